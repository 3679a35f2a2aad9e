"""Where a Leipzig recording is cut, and the cutting: from annotations to windows in millivolts.

Every second of a recording that is read is either in a window or in `left_out`, under a reason.
Nothing is raised for a bad recording but ShutOut, which carries what is wrong with it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import signal
from pecg_utils.data import leipzig
from pecg_utils.data.quality import FLAT_MV, MOST_MV, Fault, unread
from pecg_utils.data.recording import TWELVE_LEADS, UNKNOWN, Dataset, Recording
from pecg_utils.errors import PecgError

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

FS = leipzig.FS
ELECTROGRAMS = tuple(name for name in leipzig.ELECTROGRAMS if name != "ABL_uni")
SECONDS = 2.0  # *ours*: three beats of a tachycardia and more
ECG_FS = 500.0
ECG_LENGTH = round(SECONDS * ECG_FS)
IEGM_LENGTH = round(SECONDS * FS)
ECG_BAND, MAINS, IEGM_BAND = (0.5, 100.0), 50.0, (30.0, 300.0)  # Hz; *ours*, as is usual
_STRETCH = 240.0  # s in which windows may begin that are filtered together: bounds the memory
_MARGIN = 10.0  # s before and after them: five times what the slowest wave that passes takes
SETTINGS = {  # what the contents of a prepared set depend on
    "electrograms": ELECTROGRAMS,
    "seconds": SECONDS,
    "rates": (ECG_FS, FS),
    "bands": (ECG_BAND, MAINS, IEGM_BAND),
    "stretch": (_STRETCH, _MARGIN),
}

NO_GROUP = "rhythm in no group"
_EARLY, _UNDEFINED, _TAIL = "before the first rhythm", "rhythm not defined", "shorter than a window"
_MISSING, _FLAT, _NONE = "samples missing", "every lead flat", "no electrogram present"
REASONS = {
    _EARLY: "It lies before the first annotation of a rhythm.",
    _UNDEFINED: "Its rhythm is none that the dataset defines.",
    _TAIL: "The end of a span, or a whole span, is shorter than a window.",
    "Q": "A beat that could not be read lies in the window.",
    "~": "A change of noise is annotated in the window.",
    "Q and ~": "Both are.",
    _MISSING: "A sample of the surface ECG is marked as missing.",
    _FLAT: "The 12 leads are constant.",
    _NONE: "No electrogram of the list is there, or each is flat.",
    NO_GROUP: "Its rhythm is in none of the groups.",
}
_LEFT_OUT = ["record", "rhythm", "reason", "windows", "seconds"]


class ShutOut(Exception):
    """A recording of which nothing is used. faults: why, and what else was found of it."""

    def __init__(self, faults: list[Fault], left_out: pd.DataFrame | None = None) -> None:
        super().__init__(faults[-1].detail)
        self.faults = faults
        self.left_out = pd.DataFrame(columns=_LEFT_OUT) if left_out is None else left_out


@dataclass
class Plan:
    """What is to be cut from a recording, and what became of it.

    windows: one row a window, by time, with first (sample), rhythm, span and reason, which is ""
    for one that is kept. spare: (rhythm, reason) -> samples in no window at all. inside: its
    channels that are in ELECTROGRAMS. flat, lost: channel -> windows where it is flat, or lacks
    samples.
    """

    record: str
    n_samples: int
    inside: tuple[str, ...]
    windows: pd.DataFrame
    spare: Counter[tuple[str, str]]
    noted: list[Fault]
    flat: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    def result(self) -> tuple[pd.DataFrame, pd.DataFrame, list[Fault]]:
        """The windows that were cut (first, rhythm, span), what is left out, and all faults.

        Raises ShutOut when no window was kept.
        """
        read = self.windows["reason"].isin(["", _MISSING, _FLAT, _NONE]).sum()
        faults = list(self.noted)
        for fault, channels in (("flat", self.flat), ("NaN", self.lost)):
            if channels:
                detail = ", ".join(
                    f"{name} in {n} of {read} windows" for name, n in channels.items()
                )
                faults.append(Fault(self.record, fault, detail, False))
        kept = self.windows["reason"] == ""
        left_out = self._left_out()
        if not kept.any():
            why = left_out.groupby("reason")["seconds"].sum().sort_values(ascending=False)
            detail = ", ".join(f"{reason} {seconds:.1f} s" for reason, seconds in why.items())
            raise ShutOut([*faults, Fault(self.record, "no window", detail, True)], left_out)
        table = self.windows.loc[kept, ["first", "rhythm", "span"]].reset_index(drop=True)
        return table, left_out, faults

    def _left_out(self) -> pd.DataFrame:
        gone = self.windows[self.windows["reason"] != ""]
        windows = Counter(zip(gone["rhythm"], gone["reason"], strict=True))
        rows = []
        for rhythm, reason in dict.fromkeys((*windows, *self.spare)):
            count, more = windows[rhythm, reason], self.spare[rhythm, reason]
            seconds = (count * IEGM_LENGTH + more) / FS
            rows.append((self.record, rhythm, reason, count, seconds))
        return pd.DataFrame(rows, columns=_LEFT_OUT)


@dataclass(frozen=True)
class Part:
    """Some windows. ecg: (n, 12, 1000), iegm: (n, 7, 1954), mV; mask: (n, 7), what is present."""

    ecg: Floats
    iegm: Floats
    mask: Flags


def plan(dataset: Dataset, row: int) -> Plan:
    """What is to be cut from recording `row`. Raises ShutOut when nothing can be."""
    record = str(dataset.table["record"].iat[row])
    try:
        begin = dataset.read(row, 0.0, SECONDS)
        annotated = leipzig.annotations(dataset.path(row))
    except PecgError as error:
        raise ShutOut([unread(record, error)]) from error
    inside = tuple(name for name in ELECTROGRAMS if name in begin.leads)
    noted = _channels(begin, inside)
    n_samples = int(dataset.table["n_samples"].iat[row])
    missing = [lead for lead in TWELVE_LEADS if lead not in begin.leads]
    barred = None
    if begin.fs != FS:
        barred = "wrong rate", f"{begin.fs:g} Hz where the release has {FS:g} Hz"
    elif missing:
        barred = "lead missing", ", ".join(missing)
    elif not inside:
        barred = "no electrogram", f"none of {', '.join(ELECTROGRAMS)}"
    elif n_samples < IEGM_LENGTH:
        barred = "too short", f"{n_samples / FS:.2f} s, a window needs {SECONDS:g} s"
    if barred is not None:
        raise ShutOut([*noted, Fault(record, *barred, excluded=True)])
    outside = annotated["sample"][~annotated["sample"].between(0, n_samples - 1)]
    if len(outside):
        detail = f"{len(outside)} of {len(annotated)}, as at sample {outside.iloc[-1]:,}"
        noted.append(Fault(record, "annotation outside", f"{detail} of {n_samples:,}", False))
    annotated = annotated.drop(index=outside.index)
    spans = leipzig.rhythms(annotated, n_samples)
    windows, spare = _cut_spans(spans, annotated, n_samples)
    for name in dict.fromkeys(spans["rhythm"][~spans["rhythm"].isin(list(leipzig.LABELS))]):
        these = spans[spans["rhythm"] == name]
        seconds = (these["end"] - these["start"]).sum() / FS
        detail = f"{name or UNKNOWN!r} in {len(these)} spans, {seconds:.1f} s"
        noted.append(Fault(record, _UNDEFINED, detail, False))
    return Plan(record, n_samples, inside, windows, spare, noted)


def _channels(recording: Recording, inside: tuple[str, ...]) -> list[Fault]:
    """What a recording's channels are, besides the leads and electrograms that are asked for."""
    faults = []
    lacking = [name for name in ELECTROGRAMS if name not in inside]
    if lacking:
        faults.append(
            Fault(recording.record, "electrogram missing", ", ".join(lacking), excluded=False)
        )
    known = (*TWELVE_LEADS, *ELECTROGRAMS)
    other = [
        f"{name} as channel {place + 1} of {len(recording.leads)}"
        for place, name in enumerate(recording.leads)
        if name not in known
    ]
    if other:
        detail = f"{', '.join(other)}: no electrogram of the list"
        faults.append(Fault(recording.record, "other channel", detail, excluded=False))
    return faults


def _cut_spans(
    spans: pd.DataFrame, annotated: pd.DataFrame, n_samples: int
) -> tuple[pd.DataFrame, Counter[tuple[str, str]]]:
    """The windows in every span, and the samples that are in none."""
    spare: Counter[tuple[str, str]] = Counter()
    first, rhythm, number = [np.zeros(0, np.int64)], [], []
    before = int(spans["start"].iloc[0]) if len(spans) else n_samples
    if before:
        spare["", _EARLY] += before
    for span, (start, end, name) in enumerate(spans.itertuples(index=False)):
        if name not in leipzig.LABELS:
            spare[name, _UNDEFINED] += end - start
            continue
        count = (end - start) // IEGM_LENGTH
        first.append(start + IEGM_LENGTH * np.arange(count))
        rhythm += [name] * count
        number += [span] * count
        if rest := end - start - count * IEGM_LENGTH:
            spare[name, _TAIL] += rest
    begins = np.concatenate(first)
    unreadable, noisy = (_holds(begins, annotated, symbol) for symbol in ("Q", "~"))
    reason = np.select([unreadable & noisy, unreadable, noisy], ["Q and ~", "Q", "~"], default="")
    windows = {"first": begins, "rhythm": rhythm, "span": number, "reason": reason.astype(object)}
    return pd.DataFrame(windows), spare


def _holds(begins: Places, annotated: pd.DataFrame, symbol: str) -> Flags:
    """Whether each window (n,) holds an annotation `symbol`."""
    at = np.sort(annotated["sample"][annotated["symbol"] == symbol].to_numpy())
    flags: Flags = np.searchsorted(at, begins + IEGM_LENGTH) > np.searchsorted(at, begins)
    return flags


def cut(dataset: Dataset, row: int, planned: Plan) -> Iterator[Part]:
    """The windows that `planned` keeps, by time; one that turns out bad gets its reason there.

    Raises ShutOut when a stretch cannot be read.
    """
    todo = planned.windows.index[planned.windows["reason"] == ""]
    first = planned.windows["first"].to_numpy()
    stretch = first[todo] // round(_STRETCH * FS)
    for number in np.unique(stretch):
        here = todo[stretch == number]
        low = max(int(first[here[0]]) - round(_MARGIN * FS), 0)
        high = min(int(first[here[-1]]) + IEGM_LENGTH + round(_MARGIN * FS), planned.n_samples)
        try:
            recording = dataset.read(row, low / FS, (high - low) / FS)
        except PecgError as error:
            raise ShutOut([*planned.noted, unread(planned.record, error)]) from error
        leads = (*TWELVE_LEADS, *planned.inside)
        part, reason = _cut_stretch(recording.take(leads), first[here] - low, planned)
        planned.windows.loc[here, "reason"] = reason
        if (reason == "").any():
            yield part


def _cut_stretch(raw: Floats, first: Places, planned: Plan) -> tuple[Part, npt.NDArray[np.object_]]:
    """The windows that begin at the samples `first` (n,) of `raw` (T, 12 + k), and the reasons."""
    leads, inside = len(TWELVE_LEADS), planned.inside
    flat, lost = _checked(raw, first, planned)  # (n, 12 + k) each
    for counter, flags in ((planned.flat, flat), (planned.lost, lost)):
        for name, count in zip((*TWELVE_LEADS, *inside), flags.sum(axis=0), strict=True):
            if count:
                counter[name] += int(count)
    absent = flat | lost
    reason = np.select(
        [lost[:, :leads].any(axis=1), flat[:, :leads].all(axis=1), absent[:, leads:].all(axis=1)],
        [_MISSING, _FLAT, _NONE],
        default="",
    )
    kept = reason == ""
    begins = first[kept]
    whole = _filled(raw)
    ecg = np.zeros((len(begins), leads, ECG_LENGTH), np.float32)
    slow = signal.band_pass(whole[:, :leads], FS, *ECG_BAND, mains=MAINS)  # (T, 12)
    apart = np.flatnonzero(np.diff(begins) != IEGM_LENGTH) + 1
    for run in np.split(np.arange(len(begins)), apart):  # windows without a gap between them
        if len(run):
            ecg[run] = _resampled(slow, int(begins[run[0]]), len(run))
    ecg[absent[kept][:, :leads]] = 0.0
    fast = signal.band_pass(whole[:, leads:], FS, *IEGM_BAND)  # (T, k)
    iegm = np.zeros((len(begins), len(ELECTROGRAMS), IEGM_LENGTH), np.float32)
    mask = np.zeros((len(begins), len(ELECTROGRAMS)), bool)
    for place, name in enumerate(inside):
        to = ELECTROGRAMS.index(name)
        mask[:, to] = ~absent[kept, leads + place]
        for window in np.flatnonzero(mask[:, to]):
            iegm[window, to] = fast[begins[window] : begins[window] + IEGM_LENGTH, place]
    return Part(ecg, iegm, mask), reason.astype(object)


def _checked(raw: Floats, first: Places, planned: Plan) -> tuple[Flags, Flags]:
    """Where a channel is flat, and where it lacks samples: (n, channels) each."""
    flat, lost = (np.zeros((len(first), raw.shape[1]), bool) for _ in range(2))
    for window, begin in enumerate(first):
        piece = raw[begin : begin + IEGM_LENGTH]  # (1954, channels)
        low, high = piece.min(axis=0), piece.max(axis=0)
        top = float(np.nanmax([-low, high], initial=0.0))
        if top > MOST_MV:
            detail = f"values up to {top:.3g} mV: a wrong gain"
            raise ShutOut([*planned.noted, Fault(planned.record, "unreadable", detail, True)])
        flat[window] = high - low < FLAT_MV
        lost[window] = np.isnan(low)
    return flat, lost


def _filled(raw: Floats) -> Floats:
    """`raw` (T, channels) with a line through what is missing, or a filter would spread it."""
    missing = np.isnan(raw)
    if not missing.any():
        return raw
    filled = raw.copy()
    at = np.arange(len(raw))
    for place in np.flatnonzero(missing.any(axis=0)):
        there = ~missing[:, place]
        values = raw[there, place] if there.any() else np.zeros(1, np.float32)
        filled[:, place] = np.interp(at, at[there] if there.any() else at[:1], values)
    return filled


def _resampled(slow: Floats, first: int, count: int) -> Floats:
    """`count` windows on end from sample `first` of `slow` (T, 12), at 500 Hz: (count, 12, 1000).

    A second more on either side feeds the filter, and being a whole one it keeps a sample of the
    new rate at the first sample of the window.
    """
    second, last = round(FS), first + count * IEGM_LENGTH
    piece = slow[max(first - second, 0) : last + second]
    lacking = (max(second - first, 0), max(last + second - len(slow), 0))
    piece = np.pad(piece, (lacking, (0, 0)), mode="edge")
    begin = round(ECG_FS)
    cut_out = signal.resample(piece, FS, ECG_FS)[begin : begin + count * ECG_LENGTH]
    return cut_out.reshape(count, ECG_LENGTH, -1).transpose(0, 2, 1)
