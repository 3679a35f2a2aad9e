"""The CPSC2018 twin: simulated adults in the challenge's own files.

The real release: Liu et al. 2018, J Med Imaging Health Inform 8:1368-1373; the challenge's own
terms, its copy in PhysioNet's challenge-2020 is CC BY 4.0. The twin has its 6,877 recordings at
500 Hz. At full size each label is the first one, and one of up to three, of as many recordings as
in the release's REFERENCE.csv, and as many carry two labels and three. The share of men is that
which the Challenge 2020 prints. What is ours: which label joins which (at random, but never Normal,
and no two that one ECG cannot show), ages, that a third is exactly 10 s long and the others 6 to
144 s, 14 s in the middle, the sizes of the three folders, single precision, and the device.
"""

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pecg_utils.errors import PecgError
from pecg_utils.twins import writing
from pecg_utils.twins.findings import draw_adult, rhythm_of
from pecg_utils.twins.noise import Device
from pecg_utils.twins.person import record
from pecg_utils.twins.prevalence import shared_out
from pecg_utils.twins.torso import stepped

FS = 500  # Hz
FULL_RECORDINGS = 6_877
SIZES = {"smoke": 40, "demo": 400, "study": 1_500, "full": FULL_RECORDINGS}  # recordings
# How many recordings have each label as their first, and how many as any (audit of ECGBench,
# https://github.com/vlbthambawita/ECGBench). In this order the labels are numbered from 1.
FIRST = {
    "Normal": 918,
    "AF": 1_098,
    "I-AVB": 704,
    "LBBB": 207,
    "RBBB": 1_695,
    "PAC": 556,
    "PVC": 672,
    "STD": 825,
    "STE": 202,
}
ANY = {
    "Normal": 918,
    "AF": 1_221,
    "I-AVB": 722,
    "LBBB": 236,
    "RBBB": 1_857,
    "PAC": 616,
    "PVC": 700,
    "STD": 869,
    "STE": 220,
}
THREE_LABELS = 6  # recordings
MEN = 3_699  # recordings; https://physionetchallenges.org/2020
FINDINGS = {
    "Normal": "NORM",
    "AF": "AFIB",
    "I-AVB": "1AVB",
    "LBBB": "CLBBB",
    "RBBB": "CRBBB",
    "PAC": "PAC",
    "PVC": "PVC",
    "STD": "STD_",
    "STE": "STE_",
}
# Fibrillating atria have no PR interval and no premature beat; the others undo each other here.
_APART = [{"AF", "I-AVB"}, {"AF", "PAC"}, {"LBBB", "RBBB"}, {"STD", "STE"}]
_SHORTEST, _LONGEST = 6.0, 144.0  # s
STEP = 0.001  # mV
DEVICE = Device(hum=0.05, muscle=1.5, wander=0.5, low=0.2, high=150.0)


@dataclass(frozen=True)
class Planned:
    """One recording of the plan. labels: one to three, the main one first."""

    number: int
    folder: str
    age: int  # years
    sex: str
    samples: int
    labels: tuple[str, ...]

    @property
    def record(self) -> str:
        """The recording's name."""
        return f"A{self.number:04d}"


def plan(recordings: int, seed: int = 0) -> list[Planned]:
    """The recordings of a twin; nothing is written. Raises PecgError when there is none."""
    if recordings < 1:
        raise PecgError(f"A twin of {recordings} recordings was asked for; at least 1 is needed.")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(10,)))
    labels = _draw_labels(rng, recordings)
    men = rng.permutation(recordings) < round(recordings * MEN / FULL_RECORDINGS)
    found = []
    for k, carried in enumerate(labels):
        middle, spread = (44, 15) if carried == ("Normal",) else (63, 14)
        age = rng.normal(middle, spread)
        found.append(
            Planned(
                number=k + 1,
                folder=f"TrainingSet{1 + 3 * k // recordings}",
                age=int(np.clip(age, 18, 95)),
                sex="male" if men[k] else "female",
                samples=round(draw_seconds(rng) * FS),
                labels=carried,
            )
        )
    return found


def _draw_labels(rng: np.random.Generator, recordings: int) -> list[tuple[str, ...]]:
    first = shared_out(FIRST, recordings, dict.fromkeys(FIRST, 1))
    main = rng.permutation([name for name, count in first.items() for _ in range(count)])
    labels = [[str(name)] for name in main]
    alone = {name: np.flatnonzero(main == name).tolist() for name in FIRST}
    joining = {name: ANY[name] - FIRST[name] for name in FIRST}
    number = round(recordings * sum(joining.values()) / FULL_RECORDINGS)
    shared = shared_out(joining, number)
    others = rng.permutation([name for name, count in shared.items() for _ in range(count)])
    third = number - round(recordings * THREE_LABELS / FULL_RECORDINGS)
    pairs: list[int] = []
    for other in others[:third]:
        fits = [name for name in alone if alone[name] and _together(other, name)]
        if fits:
            free = np.array([len(alone[name]) for name in fits])
            place = alone[str(rng.choice(fits, p=free / free.sum()))].pop()
            labels[place].append(str(other))
            pairs.append(place)
    for other in others[third:]:
        free_pairs = [k for k in pairs if all(_together(other, name) for name in labels[k])]
        if free_pairs:
            place = int(rng.choice(free_pairs))
            labels[place].append(str(other))
            pairs.remove(place)
    return [tuple(carried) for carried in labels]


def _together(one: str, other: str) -> bool:
    return one != other and other != "Normal" and {one, other} not in _APART


def draw_seconds(rng: np.random.Generator) -> float:
    """How long a recording is, s."""
    if rng.uniform() < 0.35:
        return 10.0
    return float(np.clip(14.0 * np.exp(0.5 * rng.standard_normal()), _SHORTEST, _LONGEST))


def simulate(planned: Planned, seed: int) -> NDArray[np.float32]:
    """The signal (T, 12) of one recording of the plan, mV."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11, planned.number)))
    findings = [FINDINGS[name] for name in planned.labels]
    person = draw_adult(rng, planned.age * 365.25, planned.sex, findings)
    rhythm = rhythm_of(rng, findings)
    made = record(rng, person, planned.samples / FS, FS, rhythm=rhythm, device=DEVICE)
    return stepped(made.signal, STEP)


def write(root: Path, recordings: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write the twin of so many recordings under `root`; see `writing.write`.

    Raises PecgError when there is none too.
    """
    planned = plan(recordings, seed)

    def fill(scratch: Path) -> None:
        task = partial(render, root=scratch, seed=seed)
        for _ in writing.each(task, planned, "writing the CPSC2018 twin", workers):
            pass
        _reference(scratch / "REFERENCE.csv", planned)

    about = {"twin_of": "cpsc2018", "recordings": recordings, "seed": seed}
    return writing.write(root, about, fill)


def render(planned: Planned, root: Path, seed: int) -> None:
    """Simulate and write one recording under `root`."""
    from scipy.io import savemat

    struct = {
        "sex": planned.sex.capitalize(),
        "age": float(planned.age),
        "data": np.ascontiguousarray(simulate(planned, seed).T),  # (12, T)
    }
    file = io.BytesIO()
    savemat(file, {"ECG": struct})
    # The first 116 bytes are free text, in which scipy puts the time: two twins would differ.
    stored = b"MATLAB 5.0 MAT-file, simulated".ljust(116) + file.getvalue()[116:]
    folder = root / planned.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{planned.record}.mat").write_bytes(stored)


def _reference(path: Path, planned: list[Planned]) -> None:
    numbers = {name: str(k + 1) for k, name in enumerate(FIRST)}
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["Recording", "First_label", "Second_label", "Third_label"])
        for one in planned:
            cells = [numbers[name] for name in one.labels]
            out.writerow([one.record, *cells, *[""] * (3 - len(cells))])
