"""Made-up windows of adults and children, and the tiny network that the tests teach on them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pecg_utils.data import domains
from pecg_utils.data.quality import Report
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.protocol import Protocol
from pecg_utils.train import Training
from pecg_utils.transfers import Transfer
from pecg_utils.trial import Outcome, carry_out

LEADS = ("I", "II")
CLASSES = ("NORM", "STACH", "LVH")
TINY = {
    "channels": (4, 4, 8, 8),
    "blocks": 1,
    "kernel": 3,
    "stem_kernel": 3,
    "text": 12,
    "heads": 2,
    "feedforward": 16,
}
TRAINING = Training(
    epochs=2,
    batch=16,
    lr=1e-2,
    precision="32",
    loss="plain",
    schedule="cosine",
    keep="average_precision",
)
PEOPLE = 40  # of each domain
YEAR = 365.25


def single(
    domain: str = domains.CHILDREN, people: int = PEOPLE, seed: int = 0, told: float = 1.0
) -> Windows:
    """Windows of one domain: a window for each of `people`, and a second one for every fourth.

    The ages of children go up to 17 years, of adults from 18 in whole ones. Whoever is not NORM
    has one or both of the other labels. told: how loud each label's own frequency is in the noise.
    """
    generator = np.random.default_rng([seed, domain == domains.CHILDREN])
    of = np.repeat(np.arange(people), np.where(np.arange(people) % 4 == 0, 2, 1))  # (N,)
    kind = generator.permutation(people)[of] % 5  # NORM, NORM, STACH, LVH, STACH and LVH
    labels = np.column_stack([kind < 2, np.isin(kind, (2, 4)), kind > 2])  # (N, C)
    time = np.arange(32) / 32
    waves = np.sin(2 * np.pi * np.array([[2.0], [5.0], [9.0]]) * time)  # (C, T)
    signal = generator.normal(size=(len(of), len(LEADS), 32)) + told * (labels @ waves)[:, None]
    days = np.linspace(1, 17 * YEAR, people)
    if domain == domains.ADULTS:
        days = YEAR * generator.integers(18, 40, people)
    return Windows(
        steps=np.round(signal * 1000).astype(np.int16),
        gain=np.full((len(of), len(LEADS)), 1e-3, np.float32),
        table=pd.DataFrame(
            {
                "record": [f"{domain[0]}{row}" for row in range(len(of))],
                "patient": [f"P{person:02d}" for person in of],
                "source": domain,
                "age_days": days[of],
                "sex": "female",
                "start": 0.0,
                "same": [f"{domain} {seed} {row}" for row in range(len(of))],
            }
        ),
        labels=labels,
        classes=CLASSES,
        settings=Settings(LEADS, fs=32.0, seconds=1.0, whole=True),
        report=Report(len(of), ()),
        key=f"{domain} {people} {seed} {told}",
    )


def made_up(adults: int = PEOPLE, children: int = PEOPLE, told: float = 1.0) -> Windows:
    """Adults and children, joined."""
    grown = single(domains.ADULTS, adults, told=told)
    return domains.join([grown], single(domains.CHILDREN, children, told=told))


def relabelled(windows: Windows, rows: np.ndarray) -> Windows:
    """The same windows, under the same key, with every label of these rows turned round."""
    labels = windows.labels.copy()
    labels[rows] = ~labels[rows]
    return replace(windows, labels=labels)


def protocol(transfer: Transfer | None = None, **other) -> Protocol:
    """A training of the tiny network on the joined windows."""
    return Protocol("peace", LEADS, "made-up", "domain", transfer=transfer or Transfer(), **other)


def tried(folder, windows=None, repeat=0, training=TRAINING, changes=(), **transfer) -> Outcome:
    """A transfer carried out on `windows`; transfer: Transfer's fields, with few steps."""
    how = protocol(Transfer(**{"steps": 4, **transfer}), repeat=repeat, changes=changes)
    windows = made_up() if windows is None else windows
    return carry_out(windows, how, "twin", TINY, training, folder, 20)
