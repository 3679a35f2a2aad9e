"""Recordings whose waves are marked: LUDB's by its annotators, the PE twin's by the simulator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data import ludb
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError
from pecg_utils.twins import pe
from pecg_utils.twins.draw import Marks
from pecg_utils.twins.torso import LEADS

TWIN_PATIENTS = 40


@dataclass(frozen=True)
class Marked:
    """A recording, its signal (T, L) in mV, and for each lead a table as `ludb.marks` gives it."""

    record: str
    patient: str
    fs: float
    signal: npt.NDArray[np.float32]
    leads: tuple[str, ...]
    marks: tuple[pd.DataFrame, ...]


@dataclass(frozen=True)
class Recordings:
    """Marked recordings by name, read when they are asked for. kind: "twin", "subset" or "full"."""

    name: str
    kind: str
    readers: Mapping[str, Callable[[], Marked]]


def of_ludb(dataset: Dataset) -> Recordings:
    """The recordings of LUDB. Raises PecgError for another dataset, which has no such marks."""
    if dataset.name != "ludb":
        raise PecgError(
            f"{dataset.root} holds {dataset.name}, whose waves are not marked. Give LUDB's folder."
        )
    records = dataset.table["record"].astype(str)
    readers = {record: partial(_read, dataset, row) for row, record in enumerate(records)}
    return Recordings("LUDB", dataset.kind, readers)


def of_twin(patients: int = TWIN_PATIENTS, seed: int = 0) -> Recordings:
    """The recordings of a PE twin, simulated anew with all that the simulator knows of them.

    Raises PecgError when `patients` is below 1.
    """
    planned = pe.plan(patients, seed)
    readers = {person.record: partial(_simulate, person, seed) for person in planned}
    return Recordings("PE-HSM twin", "twin", readers)


def _read(dataset: Dataset, row: int) -> Marked:
    read = dataset.read(row)
    marks = tuple(ludb.marks(dataset.path(row), lead) for lead in read.leads)
    return Marked(read.record, read.patient, read.fs, read.signal, read.leads, marks)


def _simulate(planned: pe.Planned, seed: int) -> Marked:
    made = pe.simulated(planned, seed)
    marks = tuple(_laid(made.beats, lead, pe.FS) for lead in made.signal.T)
    patient = f"P{planned.number:04d}"
    return Marked(planned.record, patient, float(pe.FS), made.signal, LEADS, marks)


def _laid(beats: Marks, lead: npt.NDArray[np.float32], fs: int) -> pd.DataFrame:
    """The waves of `beats` within `lead` (T,): wave, onset, peak and end, in samples.

    Onset and end are one moment in all leads; the T wave's peak is where this lead is farthest from
    where it was at the QRS onset.
    """
    rows = []
    names = ("p_on", "p_off", "qrs_on", "qrs_off", "t_on", "t_off")
    for times in np.stack([getattr(beats, name) for name in names], axis=1):  # (6,) s
        p_on, p_off, qrs_on, qrs_off, t_on, t_off = (
            -1 if np.isnan(time) else round(time * fs) for time in times
        )
        if p_on >= 0:
            rows.append(("P", p_on, (p_on + p_off) // 2, p_off))
        if qrs_on < 0 or qrs_off >= len(lead):
            continue
        rows.append(("QRS", qrs_on, (qrs_on + qrs_off) // 2, qrs_off))
        if t_on < t_off < len(lead):
            height = np.abs(lead[t_on:t_off] - lead[qrs_on])
            rows.append(("T", t_on, t_on + int(np.argmax(height)), t_off))
    table = pd.DataFrame(rows, columns=["wave", "onset", "peak", "end"])
    return table.astype(dict.fromkeys(("onset", "peak", "end"), "Int64"))
