"""What is wrong with a recording, each fault under its own name.

Some faults shut a recording out; others are noted and the recording stays, as the papers keep it.

| fault | what it means | shut out |
| --- | --- | --- |
| missing | the header or the signal file is not there | yes |
| unreadable | a malformed header, a signal file cut short, or values that no heart makes | yes |
| wrong rate | sampled at another rate than the release states | yes |
| lead missing | a lead that is asked for is not there | yes |
| too short | not one whole window | yes |
| NaN | a sample is marked as missing | yes |
| flat | every lead is constant: yes; one lead is constant: noted | all leads |
| railed | a sample at the amplifier's rail | noted |
| duplicate | the samples of a recording before it | noted, and kept on its side of a split |
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pecg_utils import progress
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset, Recording
from pecg_utils.errors import PecgError

_STRETCH = 600.0  # s of a recording that are read at a time
MOST_MV = 1000.0  # beyond a volt it is the header's gain that is wrong
FLAT_MV = 1e-6  # a nanovolt, below one step of any amplifier
RAIL_MV = 26.5  # ZZU-pECG's rail lies near 26.6 mV; nothing cardiac comes near it


@dataclass(frozen=True)
class Fault:
    """One fault of one recording. excluded: whether the recording is shut out for it."""

    record: str
    fault: str
    detail: str
    excluded: bool


@dataclass(frozen=True)
class Report:
    """The faults of a dataset. checked: the number of recordings that were looked at."""

    checked: int
    faults: tuple[Fault, ...]

    @property
    def excluded(self) -> list[str]:
        """The recordings shut out, in their order."""
        return list(dict.fromkeys(f.record for f in self.faults if f.excluded))

    def counts(self) -> dict[str, int]:
        """Recordings a fault, most first."""
        pairs = {(f.record, f.fault) for f in self.faults}
        return dict(Counter(fault for _, fault in pairs).most_common())

    def as_json(self) -> dict[str, Any]:
        """For a run's record."""
        return {"checked": self.checked, "faults": [asdict(f) for f in self.faults]}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "Report":
        """The report that `as_json` wrote."""
        return Report(stored["checked"], tuple(Fault(**f) for f in stored["faults"]))


def check(
    dataset: Dataset,
    row: int,
    leads: Sequence[str] | None,
    seconds: float,
    start: float = 0.0,
    length: float | None = None,
) -> tuple[npt.NDArray[np.float32] | None, list[Fault]]:
    """Read recording `row` and look for faults. leads: None for whatever it has.

    start, length: the stretch that is read, s; without them all of it.

    Gives its signal, (samples, len(leads)) float32 in mV, or None when it is shut out, and the
    faults. Nothing is raised for a bad recording.
    """
    record = str(dataset.table["record"].iat[row])
    try:
        recording = dataset.read(row, start, length)
    except PecgError as error:
        return None, [unread(record, error)]
    return examine(
        recording, dataset.rate(row), recording.leads if leads is None else leads, seconds
    )


def examine(
    recording: Recording, fs: float, leads: Sequence[str], seconds: float
) -> tuple[npt.NDArray[np.float32] | None, list[Fault]]:
    """As `check`, for a recording that is read already and should have been sampled at `fs` Hz."""
    record = recording.record
    barred = _barred(recording, fs, leads, seconds)
    if barred is not None:
        return None, [Fault(record, *barred, excluded=True)]
    signal = recording.take(leads)  # (T, L)
    low, high = extremes(signal)  # (L,) each
    if np.isnan(low).any():
        lost = int(np.isnan(signal).any(axis=1).sum())
        return None, [Fault(record, "NaN", f"{lost} samples are marked as missing", True)]
    top = float(np.maximum(-low, high).max())
    if top > MOST_MV:
        return None, [Fault(record, "unreadable", f"values up to {top:.3g} mV: a wrong gain", True)]
    flat = [lead for lead, same in zip(leads, high - low < FLAT_MV, strict=True) if same]
    if len(flat) == len(leads):
        return None, [Fault(record, "flat", "every lead is constant", True)]
    faults = []
    if flat:
        faults.append(Fault(record, "flat", ", ".join(flat), False))
    railed = [
        lead
        for lead, bottom, top in zip(leads, low, high, strict=True)
        if max(-bottom, top) >= RAIL_MV
    ]
    if railed:
        share = float((np.abs(signal) >= RAIL_MV).any(axis=1).mean())
        faults.append(Fault(record, "railed", f"{', '.join(railed)}, {share:.1%} of time", False))
    return signal, faults


def unread(record: str, error: PecgError) -> Fault:
    """The fault of a recording, or of its annotations, that could not be read: missing or not."""
    kind, _, detail = str(error).partition(": ")
    known = kind in ("missing", "unreadable")
    return Fault(record, kind if known else "unreadable", detail or str(error), True)


def extremes(
    signal: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The lowest and highest value of each lead, (leads,) each; NaN where a sample is NaN.

    Rows of a dozen values are slow to reduce, so that sixteen samples are taken as one row first:
    ten times faster, and equal.
    """
    samples, leads = signal.shape
    folds = samples // 16
    rows = signal[: folds * 16].reshape(folds, 16 * leads) if folds else signal[:0]
    ends = []
    for reduce in (np.min, np.max):
        parts = [signal[folds * 16 :]]
        if folds:
            parts.append(reduce(rows, axis=0).reshape(16, leads))
        ends.append(reduce(np.concatenate(parts), axis=0))
    return ends[0], ends[1]


def digest(signal: npt.NDArray[np.float32]) -> bytes:
    """Equal for equal signals (samples, leads): a digest of their length and every tenth sample."""
    taken = np.ascontiguousarray(signal[::10])
    return hashlib.blake2b(taken.tobytes() + len(signal).to_bytes(8), digest_size=8).digest()


def _barred(
    recording: Recording, fs: float, leads: Sequence[str], seconds: float
) -> tuple[str, str] | None:
    if recording.fs != fs:
        return "wrong rate", f"{recording.fs:g} Hz where the release has {fs:g} Hz"
    missing = [lead for lead in leads if lead not in recording.leads]
    if missing:
        return "lead missing", ", ".join(missing)
    if len(recording.signal) < seconds * fs:
        return "too short", f"{len(recording.signal) / fs:.2f} s, a window needs {seconds:g} s"
    return None


def inspect(dataset: Dataset, seconds: float = 3.0) -> Report:
    """Look at every recording of `dataset`, each with the leads that its number of leads implies.

    Nine or twelve leads have to be the usual ones; another number is taken as it is.

    seconds: a recording shorter than this is too short.
    """
    faults: list[Fault] = []
    first: dict[bytes, str] = {}  # digest of the samples: the first recording that has them
    expected = {len(leads): leads for leads in (NINE_LEADS, TWELVE_LEADS)}
    counts = dataset.table["n_leads"].tolist()
    for row in progress.track(range(len(counts)), len(counts), f"reading {dataset.name}"):
        same, found = _whole(dataset, row, expected.get(counts[row]), seconds)
        faults += found
        if any(fault.excluded for fault in found):
            continue
        record = str(dataset.table["record"].iat[row])
        if (known := first.setdefault(same, record)) != record:
            faults.append(Fault(record, "duplicate", f"the samples of {known}", False))
    return Report(len(counts), tuple(faults))


def _whole(
    dataset: Dataset, row: int, leads: Sequence[str] | None, seconds: float
) -> tuple[bytes, list[Fault]]:
    """A digest of recording `row` and its faults; one of hours is read a stretch at a time."""
    total = float(dataset.table["n_samples"].iat[row]) / dataset.rate(row)  # NaN where unknown
    number = max(1, round(total / _STRETCH)) if total > _STRETCH else 1
    if number == 1:
        signal, faults = check(dataset, row, leads, seconds)
        return (b"" if signal is None else digest(signal)), faults
    found: dict[str, list[Fault]] = {}
    same = hashlib.blake2b(digest_size=8)
    for i in range(number):
        # The last stretch goes to the end, so that no sample is left out by rounding.
        length = total / number if i < number - 1 else None
        signal, faults = check(dataset, row, leads, seconds, i * total / number, length)
        for fault in faults:
            found.setdefault(fault.fault, []).append(fault)
        if signal is None:  # a header may promise more stretches than anyone can wait for
            break
        same.update(digest(signal))
    return same.digest(), [
        replace(
            some[0],
            detail=f"{some[0].detail}, in {len(some)} of {number} stretches",
            excluded=any(fault.excluded for fault in some),
        )
        for some in found.values()
    ]
