"""Made-up windows of two signals, and the tiny model that the tests teach on them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pecg_utils.data.quality import Report
from pecg_utils.protocol import Protocol
from pecg_utils.train import Training
from pecg_utils.trial import Outcome, carry_out

TINY = {
    "channels": (4, 4, 8, 8),
    "strides": (4, 2, 2, 2),
    "heads": 2,
    "depth": 1,
    "feedforward": 16,
}
TRAINING = Training(epochs=2, batch=32, lr=1e-2, seed=0, precision="32")
PATIENT = Protocol("agcacl", ("I", "II"), "made-up", "patient", "window")
PATIENTS, EACH = 20, 12  # windows of a patient


@dataclass(frozen=True)
class Made:
    """Pairs in memory. ecg: (N, 2, 64) at 64 Hz. second: (N, 3, 128) at 128 Hz."""

    table: pd.DataFrame
    labels: np.ndarray
    ecg: np.ndarray
    second: np.ndarray
    mask: np.ndarray
    classes: tuple[str, ...]
    key: str = "made up"

    report = Report(PATIENTS, ())
    n_leads = 2
    n_samples = 64
    sizes = {"electrograms": 3, "ecg_fs": 64, "iegm_fs": 128}  # noqa: RUF012

    def __len__(self):
        return len(self.labels)

    def batch(self, rows):
        return self.ecg[rows], self.second[rows], self.mask[rows]

    def only(self, keep):
        parts = ("labels", "ecg", "second", "mask")
        kept = {name: getattr(self, name)[keep] for name in parts}
        return replace(self, table=self.table[keep].reset_index(drop=True), **kept)


def made_up(told: str = "ecg", classes: int = 3) -> Made:
    """20 patients with 12 windows each, one every 9 s; the classes are not equally frequent.

    told: which signal tells the class, "ecg" or "second"; the other one is noise. All channels are
    there. The last 8 patients are the division's DS2.
    """
    generator = np.random.default_rng(0)
    of = np.repeat(np.arange(PATIENTS), EACH)
    kind = generator.choice(classes, len(of), p=np.arange(classes, 0, -1) / sum(range(classes + 1)))
    signals = {}
    for name, channels, length in (("ecg", 2, 64), ("second", 3, 128)):
        signal = generator.normal(size=(len(of), channels, length))
        if name == told:
            cycles = 2.0 * (1 + kind[:, None, None])  # a class is a frequency
            signal += 2 * np.sin(2 * np.pi * cycles * np.arange(length) / length)
        signals[name] = signal.astype(np.float32)
    start = np.tile(np.arange(EACH) * 9.0, PATIENTS)
    table = pd.DataFrame(
        {
            "record": [f"R{patient:02d}" for patient in of],
            "patient": [f"P{patient:02d}" for patient in of],
            "age_days": of * 100.0,
            "start": start,
            "end": start + 1,
            "division": np.where(of < 12, "DS1", "DS2"),
        }
    )
    there = np.ones((len(of), 3), dtype=bool)
    names = tuple("abc"[:classes])
    return Made(table, np.eye(classes, dtype=bool)[kind], **signals, mask=there, classes=names)


def tried(folder, protocol=PATIENT, pairs=None, training=TRAINING, **how) -> Outcome:
    """`protocol` carried out on `pairs` with the tiny model; how: what differs in the training."""
    pairs = made_up() if pairs is None else pairs
    return carry_out(pairs, protocol, "twin", TINY, replace(training, **how), folder, 20)
