"""Surface ECG and electrograms side by side: Leipzig's rhythms, cut into windows of 2 s.

A span of one rhythm lasts from its `+` annotation to the next, or to the end, and is cut from its
begin into windows that do not overlap. A window is left out where a `Q` (a beat that could not be
read) or a `~` (a change of noise) lies in it. Both signals keep their own rate: the ECG 500 Hz, the
electrograms the 977 Hz they were recorded at. A channel is known by its name alone. One that a
recording lacks, or that is flat over a window, is absent in that window: zeros, and false in the
mask. Every choice here is *ours*; arXiv 2509.19315 says no more than that rhythm segments are
built, denoised, and their labels grouped.

A prepared set is a folder as in `prepared.py`, and never is a whole recording in memory: it is
filtered in stretches of a few minutes, each with a margin beyond its windows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files, progress
from pecg_utils.data import leipzig, prepared
from pecg_utils.data.quality import Fault, Report
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.spans import (
    ECG_FS,
    ECG_LENGTH,
    ELECTROGRAMS,
    FS,
    IEGM_LENGTH,
    NO_GROUP,
    SECONDS,
    SETTINGS,
    ShutOut,
    cut,
    plan,
)
from pecg_utils.data.windows import data_fingerprint
from pecg_utils.errors import PecgError

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

# *ours*: which rhythms are taught as one. The paper groups its labels and does not say how.
GROUPS = {
    "N": "Sinus rhythm",
    "paced": "Paced, in atrium or ventricle",
    "AVRT": "Atrioventricular re-entrant tachycardia",
    "AVNRT": "Atrioventricular nodal re-entrant tachycardia",
    "VT": "Ventricular tachycardia",
    "atrial": "Atrial fibrillation, flutter or ectopic tachycardia",
    "premature": "Ectopic: a rhythm marked A, J or B",
}
GROUP_OF = {
    **{name: name for name in ("N", "AVRT", "AVNRT", "VT")},
    **dict.fromkeys(("/A", "/V"), "paced"),
    **dict.fromkeys(("AFIB", "AFL", "EAT"), "atrial"),
    **dict.fromkeys(("A", "J", "B"), "premature"),
}
UNGROUPED = leipzig.LABELS  # each rhythm as it is annotated, idioventricular rhythm with them
_LAYOUT = 1  # part of the key; raise it when the files' layout or the filters change
_FILES = (
    *("ecg.i16", "ecg_gain.npy", "iegm.i16", "iegm_gain.npy", "mask.npy"),
    *("table.csv", "left_out.csv", "manifest.json"),
)


@dataclass(frozen=True)
class Segments:
    """Prepared windows of both signals.

    folder: where the M stored windows lie. place: (N,) where the N windows are among these.
    ecg_gain: (N, 12) and iegm_gain: (N, 7) float32, mV a step. mask: (N, 7) bool, which of
    ELECTROGRAMS are present.
    table: one row a window: record, patient, source, age_days, sex, group (child or adult), rhythm,
    span (its number in the record), start and end (s). labels: (N, C) bool. classes: their codes.
    left_out: seconds and windows of each record that are in no window, by rhythm and reason (see
    spans.REASONS). report: what was found of the recordings. n_leads, n_samples, sizes: what a
    model of them is created with.
    """

    folder: Path
    stored: int
    place: Rows
    ecg_gain: Floats
    iegm_gain: Floats
    mask: npt.NDArray[np.bool_]
    table: pd.DataFrame
    labels: npt.NDArray[np.bool_]
    classes: tuple[str, ...]
    left_out: pd.DataFrame
    report: Report
    key: str

    n_leads = len(TWELVE_LEADS)
    n_samples = ECG_LENGTH
    sizes: ClassVar[dict[str, int]] = {
        "electrograms": len(ELECTROGRAMS),
        "ecg_fs": round(ECG_FS),
        "iegm_fs": round(FS),
    }

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> dict[str, str]:
        """Class -> words."""
        return {name: {**UNGROUPED, **GROUPS}[name] for name in self.classes}

    @property
    def ecg_steps(self) -> npt.NDArray[np.int16]:
        """(M, 12, 1000), mapped anew, so that what was read of the file does not stay in memory."""
        return _mapped(self.folder / "ecg.i16", self.stored, len(TWELVE_LEADS), ECG_LENGTH)

    @property
    def iegm_steps(self) -> npt.NDArray[np.int16]:
        """(M, 7, 1954), mapped anew too."""
        return _mapped(self.folder / "iegm.i16", self.stored, len(ELECTROGRAMS), IEGM_LENGTH)

    def ecg(self, rows: Rows) -> Floats:
        """The surface ECG of the windows `rows`: (n, 12, 1000) float32, mV at 500 Hz."""
        return self.ecg_steps[self.place[rows]] * self.ecg_gain[rows][:, :, None]

    def iegm(self, rows: Rows) -> Floats:
        """Their electrograms: (n, 7, 1954) float32, mV at 977 Hz; zeros where absent."""
        return self.iegm_steps[self.place[rows]] * self.iegm_gain[rows][:, :, None]

    def batch(self, rows: Rows) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
        """ECG (n, 12, 1000), electrograms (n, 7, 1954) and mask (n, 7) of the windows `rows`.

        Each channel of each window has mean 0 and deviation 1; one that is constant is zeros.
        """
        place = self.place[rows]
        return (
            prepared.standardised(self.ecg_steps[place]),
            prepared.standardised(self.iegm_steps[place]),
            self.mask[rows],
        )

    def only(self, keep: npt.NDArray[np.bool_]) -> "Segments":
        """The windows where `keep` (N,) is true, as of the children alone; nothing is copied."""
        return replace(
            self,
            place=self.place[keep],
            ecg_gain=self.ecg_gain[keep],
            iegm_gain=self.iegm_gain[keep],
            mask=self.mask[keep],
            table=self.table[keep].reset_index(drop=True),
            labels=self.labels[keep],
        )

    def grouped(self) -> "Segments":
        """The same windows with the classes of GROUPS, less those of a rhythm in no group."""
        group = self.table["rhythm"].map(GROUP_OF)
        held = group.notna().to_numpy()
        lost = self.table[~held].groupby(["record", "rhythm"], sort=False).size()
        rows = [(*of, NO_GROUP, count, count * SECONDS) for of, count in lost.items()]
        left_out = pd.DataFrame([*self.left_out.itertuples(index=False), *rows])
        left_out = left_out.set_axis(self.left_out.columns, axis=1)
        homeless = left_out[left_out["rhythm"].isin(set(UNGROUPED) - set(GROUP_OF))]
        noted = [
            Fault(str(record), NO_GROUP, f"{rhythm}, {seconds:.1f} s", False)
            for (record, rhythm), seconds in homeless.groupby(["record", "rhythm"], sort=False)[
                "seconds"
            ]
            .sum()
            .items()
        ]
        return replace(
            self.only(held),
            labels=_one_hot(group[held], tuple(GROUPS)),
            classes=tuple(GROUPS),
            left_out=left_out,
            report=Report(self.report.checked, (*self.report.faults, *noted)),
        )


def prepare(dataset: Dataset, cache: Path, grouped: bool = True, fingerprint: str = "") -> Segments:
    """The windows of a Leipzig folder, found in `cache` or made there.

    grouped: with the classes of GROUPS, or else with those of UNGROUPED; the stored windows are the
    same. fingerprint: of the dataset's contents, when it is known already.
    Raises PecgError for another dataset, when no recording is left, and when the disk is full.
    """
    if dataset.name != "leipzig":
        raise PecgError(f"Electrograms are in Leipzig folders; {dataset.root} is {dataset.name}'s.")
    key = files.fingerprint(
        [
            fingerprint or data_fingerprint(dataset),
            files.fingerprint(dataset.table["record"].astype(str)),
            json.dumps(SETTINGS, sort_keys=True),
            f"segments {_LAYOUT}",
        ]
    )
    segments = prepared.find_or_make(
        cache / key,
        _FILES,
        lambda scratch: _make(dataset, scratch),
        lambda folder: _load(dataset, folder),
    )
    return segments.grouped() if grouped else segments


def _make(dataset: Dataset, folder: Path) -> None:
    tables: list[pd.DataFrame] = []
    left: list[pd.DataFrame] = []
    faults: list[Fault] = []
    arrays: dict[str, list[npt.NDArray[np.generic]]] = {"ecg_gain": [], "iegm_gain": [], "mask": []}
    rows = range(len(dataset.table))
    with (folder / "ecg.i16").open("wb") as ecg, (folder / "iegm.i16").open("wb") as iegm:
        for row in progress.track(rows, len(rows), f"preparing segments of {dataset.name}"):
            before = (ecg.tell(), iegm.tell())
            try:
                made = _write(dataset, row, ecg, iegm)
            except ShutOut as barred:  # its last stretch may be the bad one
                for file, place in zip((ecg, iegm), before, strict=True):
                    file.seek(place)
                    file.truncate()
                faults += barred.faults
                left.append(barred.left_out)
                continue
            tables.append(made.table.assign(row=row))
            left.append(made.left_out)
            faults += made.faults
            for name, several in arrays.items():
                several += made.arrays[name]
    report = Report(len(rows), tuple(faults))
    if not tables:
        raise PecgError(prepared.nothing_left(dataset, report))
    for name, several in arrays.items():
        (folder / f"{name}.npy").write_bytes(files.array_bytes(np.concatenate(several)))
    pd.concat(tables).to_csv(folder / "table.csv", index=False)
    pd.concat(left).to_csv(folder / "left_out.csv", index=False)
    manifest = {"settings": SETTINGS, "report": report.as_json()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@dataclass(frozen=True)
class _Made:
    """What one recording gave, beside the samples that are on the disk by then."""

    table: pd.DataFrame
    left_out: pd.DataFrame
    faults: list[Fault]
    arrays: Mapping[str, Sequence[npt.NDArray[np.generic]]]


def _write(dataset: Dataset, row: int, ecg: BinaryIO, iegm: BinaryIO) -> _Made:
    planned = plan(dataset, row)
    arrays: dict[str, list[npt.NDArray[np.generic]]] = {"ecg_gain": [], "iegm_gain": [], "mask": []}
    for part in cut(dataset, row, planned):
        for name, out, millivolts in (("ecg", ecg, part.ecg), ("iegm", iegm, part.iegm)):
            steps, gain = prepared.to_steps(millivolts)  # (n, L, T), (n, L)
            out.write(steps.tobytes())
            arrays[f"{name}_gain"].append(gain)
        arrays["mask"].append(part.mask)
    table, left_out, faults = planned.result()
    return _Made(table, left_out, faults, arrays)


def _load(dataset: Dataset, folder: Path) -> Segments:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    index = pd.read_csv(folder / "table.csv", dtype={"rhythm": str}, keep_default_na=False)
    left_out = pd.read_csv(folder / "left_out.csv", dtype={"rhythm": str}, keep_default_na=False)
    count = len(index)
    columns = ["record", "patient", "source", "age_days", "sex"]
    table = dataset.table[columns].iloc[index["row"]].reset_index(drop=True)
    table["group"] = table["source"].map({"children": "child", "adults": "adult"})
    for name in ("rhythm", "span"):
        table[name] = index[name]
    table["start"] = index["first"] / leipzig.FS
    table["end"] = (index["first"] + IEGM_LENGTH) / leipzig.FS
    return Segments(
        folder=folder,
        stored=count,
        place=np.arange(count),
        ecg_gain=np.load(folder / "ecg_gain.npy"),
        iegm_gain=np.load(folder / "iegm_gain.npy"),
        mask=np.load(folder / "mask.npy"),
        table=table,
        labels=_one_hot(table["rhythm"], tuple(UNGROUPED)),
        classes=tuple(UNGROUPED),
        left_out=left_out,
        report=Report.from_json(manifest["report"]),
        key=folder.name,
    )


def _mapped(path: Path, count: int, channels: int, length: int) -> npt.NDArray[np.int16]:
    return np.memmap(path, "<i2", "r", shape=(count, channels, length))


def _one_hot(names: pd.Series, classes: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = names.to_numpy()[:, None] == np.array(classes)  # (N, C)
    return flags
