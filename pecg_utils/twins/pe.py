"""The twin of PE-HSM: simulated adults, some of them with pulmonary embolism.

The real set, 927 ten-second 12-lead recordings of Hospital de Santa Maria in Lisbon, is private
(Marques and Oliveira 2025, arXiv 2503.08960), so that all but its size is ours, the folder's form
too. One patient in four has an embolism: the authors' code weighs them three times. Of these the
ECG shows it in one of two, as heart rate, axis and right chest leads (`findings.csv`); the others
look like anybody. Both groups have the same ages, sexes and everyday findings, so that nothing
but the embolism tells them apart.
"""

import csv
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from pecg_utils.errors import PecgError
from pecg_utils.twins import writing
from pecg_utils.twins.findings import draw_adult, rhythm_of
from pecg_utils.twins.noise import Device
from pecg_utils.twins.person import Simulated, record
from pecg_utils.twins.torso import LEADS, stepped
from pecg_utils.twins.writers import write_microvolts

FS = 500  # Hz
FULL_PATIENTS = 927
SIZES = {"smoke": 40, "demo": 300, "study": FULL_PATIENTS, "full": FULL_PATIENTS}  # patients
POSITIVE = 0.25  # share of patients with an embolism
SEEN = 0.5  # share of the carriers of a finding in whom it shows
# What else is found in adults who are suspected of one, and in how many of them; a rhythm always
# shows, the others as often as an embolism does.
EVERYDAY = {
    "AFIB": 0.08,
    "STACH": 0.12,
    "PVC": 0.05,
    "PAC": 0.05,
    "1AVB": 0.06,
    "CRBBB": 0.06,
    "IRBBB": 0.08,
    "LAFB": 0.06,
    "LVH": 0.10,
    "NDT": 0.20,
    "INVT": 0.06,
    "NST_": 0.10,
}
STEP = 0.005  # mV
DEVICE = Device(muscle=1.6, wander=1.6, hum=0.6, low=0.05, high=150.0)


@dataclass(frozen=True)
class Planned:
    """One patient of the plan, with one recording. embolism: whether they have one."""

    number: int
    age: int  # years
    sex: str
    embolism: bool
    others: tuple[str, ...]

    @property
    def record(self) -> str:
        """The recording's name."""
        return f"{self.number:04d}"


def plan(patients: int, seed: int = 0) -> list[Planned]:
    """The patients of a twin; nothing is written. Raises PecgError when there is none."""
    if patients < 1:
        raise PecgError(f"A twin of {patients} patients was asked for; at least 1 is needed.")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(14,)))
    ill = rng.permutation(patients) < round(POSITIVE * patients)
    return [
        Planned(
            number=k + 1,
            age=int(np.clip(rng.normal(66, 16), 18, 95)),
            sex="female" if rng.uniform() < 0.55 else "male",
            embolism=bool(ill[k]),
            others=tuple(name for name, share in EVERYDAY.items() if rng.uniform() < share),
        )
        for k in range(patients)
    ]


def write(root: Path, patients: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write the twin of `patients` adults under `root`; see `writing.write`.

    Raises PecgError when `patients` is below 1 too.
    """
    planned = plan(patients, seed)

    def fill(scratch: Path) -> None:
        task = partial(render, root=scratch, seed=seed)
        lines = list(writing.each(task, planned, "writing the PE-HSM twin", workers))
        with (scratch / "recordings.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerows([["record", "patient", "age", "sex", "pe"], *lines])

    about = {"twin_of": "pe", "patients": patients, "recordings": patients, "seed": seed}
    return writing.write(root, about, fill)


def simulated(planned: Planned, seed: int) -> Simulated:
    """One patient's recording as it is written, and where the simulator laid its waves."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(15, planned.number)))
    findings = [*(["PE"] if planned.embolism else []), *planned.others]
    person = draw_adult(rng, planned.age * 365.25, planned.sex, findings, seen=SEEN)
    rhythm = rhythm_of(rng, findings)
    made = record(rng, person, 10.0, FS, rhythm=rhythm, device=DEVICE)
    return replace(made, signal=stepped(made.signal, STEP))


def render(planned: Planned, root: Path, seed: int) -> list[str]:
    """Simulate and write one patient's recording under `root`; gives its row."""
    signal = simulated(planned, seed).signal
    write_microvolts(root / "records", planned.record, signal, LEADS, FS)
    return [
        planned.record,
        f"P{planned.number:04d}",
        str(planned.age),
        planned.sex,
        str(int(planned.embolism)),
    ]
