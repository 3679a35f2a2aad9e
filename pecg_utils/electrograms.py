"""When atria and ventricles are activated, read off a stretch of a Leipzig recording.

The annotated beat, the surface leads and the catheter in the right ventricle give the ventricles'
time; the atria's comes from the coronary sinus, which lies between left atrium and left ventricle
and sees both. The atrium
under it gives a sharp burst, the ventricle, farther away, a slow one: above 80 Hz the atrial one
stands out, also where both come at once. All rules are *ours*:

- **ventricle**: the onset of the QRS complex, where the slopes of all leads together begin to
  exceed a small part of their steepest near the annotated beat;
- **atrium**: bursts of a height that is usual in their channel; those less than 40 ms apart are one
  activation, which half of the channels must see. A burst's time is its middle;
- **VA** runs from a QRS onset to the earliest burst of the next activation, **AV** from the
  earliest burst of the last one to the QRS onset. An activation that begins less than 20 ms before
  the QRS onset counts as after it, for in AVNRT both may come at once.

Nothing here knows how a twin was made: `tests/test_electrograms.py` compares with it. A T wave that
runs into the next QRS can move its onset forward, in one of the twin's patients by 22 ms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import progress
from pecg_utils.beats import Floats, smooth
from pecg_utils.data import leipzig
from pecg_utils.data.quality import FLAT_MV
from pecg_utils.data.recording import TWELVE_LEADS, Dataset, Recording
from pecg_utils.errors import PecgError
from pecg_utils.signal import band_pass

RHYTHMS = ("N", "AVNRT", "AVRT", "VT")
SURFACE = ("I", "II", "V1")
CS = ("CS90", "CS78", "CS56", "CS34", "CS12")  # from the coronary sinus's mouth outwards
CHANNELS = ("RVA12", *CS, "ABL12")
SECONDS = 1.1  # of an example: two beats of a child's sinus rhythm, three of a tachycardia
LEAD_IN = 0.22  # s of an example before its first QRS onset

_USUAL = ("N", "R", "L", "X")  # beats that stand for their rhythm
_SHARP = (80.0, 300.0)  # Hz
_BURST, _NOISE = 0.35, 4.0  # least height: of the channel's usual one, and of its median
_APART = 0.04  # s between bursts of two activations
_EARLY = 0.02  # s before the QRS onset that still count as after it
_QUIET = 0.05  # slope outside the QRS, as a fraction of its steepest, as in measure.py
_STILL = 0.012  # s that it stays so: a QRS may stand still for a moment where it turns
_MARGIN = 1.5  # s read on either side of a span
_SPANS, _LONGEST = 3, 20.0  # spans of one rhythm that are read of a record, and s of each
_INTERVALS = ["rhythm", "patient", "beats", "va", "av", "cycle"]
_INTERVALS += ["va_beats", "va_low", "va_high", "first"]
_EVENT = ["time", *CS, "first", "clear"]


@dataclass(frozen=True)
class Stretch:
    """A second of one rhythm, measured; times in s from the first sample of `signal`.

    start: s from the recording's start. leads: SURFACE and those of CHANNELS that are there and not
    flat, in this order. signal: (T, L) mV. beats: as `timed` gives them. atria: as `activations`
    gives them.
    """

    recording: str
    rhythm: str
    start: float
    fs: float
    leads: tuple[str, ...]
    signal: npt.NDArray[np.float32]
    beats: pd.DataFrame
    atria: pd.DataFrame


@dataclass(frozen=True)
class _Piece:
    """A part of a recording around a span, the span itself being low to high (s, in the part)."""

    patient: str
    rhythm: str
    start: float
    low: float
    high: float
    recording: Recording
    marks: pd.DataFrame


def onsets(recording: Recording, at: npt.ArrayLike) -> Floats:
    """The QRS onsets (n,) in s of the beats annotated at `at` (n,) s; NaN beyond the signal.

    Where RVA12 shows the right ventricle activated before the surface ECG moves, as a slow onset in
    ventricular tachycardia lets it, the onset is where its burst begins.
    """
    leads = [lead for lead in TWELVE_LEADS if lead in recording.leads]
    fs, signal = recording.fs, np.nan_to_num(recording.take(leads))  # (T, L)
    even = smooth(signal, 0.012 * fs)
    speed: Floats = np.zeros(len(even))  # (T,)
    speed[2:-2] = np.sqrt(np.square(even[4:] - even[:-4]).mean(axis=1))
    apex: Floats = np.zeros(len(speed))  # (T,)
    if "RVA12" in recording.leads and not _dead(recording.take(["RVA12"])):
        apex = _sharp(recording, ["RVA12"])[:, 0]
    stay, found = np.ones(round(_STILL * fs)), []
    for beat in np.asarray(at, dtype=np.float64):
        low, high = (max(0, round((beat + d) * fs)) for d in (-0.10, 0.08))
        if low + 3 > len(speed[:high]):
            found.append(np.nan)
            continue
        peak = low + int(np.argmax(speed[low:high]))
        early = max(0, low - round(0.1 * fs))
        before = speed[max(0, peak - round(0.2 * fs)) : max(1, peak - round(0.08 * fs))]
        noise = float(np.quantile(before, 0.6))  # with the slope of the T wave before
        moving = speed[early : peak + 1] >= noise + _QUIET * (speed[peak] - noise)
        still = np.flatnonzero(np.convolve(moving, stay)[: len(moving)] == 0)
        onset = early + (int(still[-1]) + 1 if len(still) else 0)
        found.append(min(onset, _begins(apex, onset, fs)) / fs)
    return np.array(found, dtype=np.float64)


def _begins(apex: Floats, onset: int, fs: float) -> int:
    """Where the burst of `apex` (T,) up to 60 ms before sample `onset` begins, else `onset`."""
    first = max(0, onset - round(0.06 * fs))
    near = apex[first : onset + 1]
    peak = int(np.argmax(near))
    low = np.flatnonzero(near[:peak] < near[peak] / 2)
    if near[peak] <= _BURST * apex.max() or peak == len(near) - 1 or not len(low):
        return onset
    return first + int(low[-1])


def activations(recording: Recording) -> pd.DataFrame:
    """The activations of the atria that the coronary sinus shows, one row each, by time.

    time: the earliest burst, s. CS90 ... CS12: each channel's, s, NaN where it has none. first:
    "CS90" or "CS12", the end of the catheter that is activated first, "" where that is not clear.
    clear: how many times the smallest of its bursts is higher than the noise of its channel.
    Empty where no channel of the coronary sinus is there, or each is flat or lacks samples.
    """
    names = [name for name in CS if name in recording.leads]
    names = [name for name in names if not _dead(recording.take([name]))]
    if not names:
        return pd.DataFrame(columns=_EVENT)
    fs = recording.fs
    envelope = _sharp(recording, names)  # (T, C)
    noise = np.maximum(np.median(envelope, axis=0), 1e-6)
    blocks = np.array_split(envelope, max(1, int(len(envelope) / fs / 1.5)))
    usual = np.median([block.max(axis=0) for block in blocks], axis=0)  # (C,)
    channel, at, height = _bursts(envelope, np.maximum(_BURST * usual, _NOISE * noise), fs)
    rows = []
    for group in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) > _APART * fs) + 1):
        row: dict[str, float | str] = dict.fromkeys(CS, np.nan)
        for k in group[np.argsort(height[group], kind="stable")]:  # the highest stays
            row[names[channel[k]]] = at[k] / fs
        seen = np.array([row[name] for name in CS], dtype=np.float64)  # (5,)
        if np.isfinite(seen).sum() < max(1, len(names) / 2):
            continue
        row |= {"time": float(np.nanmin(seen)), "first": _first(seen)}
        rows.append(row | {"clear": float((height[group] / noise[channel[group]]).min())})
    return pd.DataFrame(rows, columns=_EVENT)


def timed(recording: Recording, marks: pd.DataFrame, rhythm: str) -> pd.DataFrame:
    """The beats of `marks` with their intervals, one row each; times in s from the first sample.

    marks: annotations with sample, counted from the recording's first, symbol and aux. Gives
    symbol; onset, of the QRS; va and av, ms, NaN where there is no activation between this beat and
    the next, or the last; cycle, ms from the beat before; and of the activation that belongs to the
    beat, which is the one before it in sinus rhythm and the one after it otherwise, CS90 ... CS12
    and first as in `activations`.
    """
    beats = _beats(recording, marks).drop(columns="aux")
    return _joined(beats, activations(recording), rhythm)


def _beats(recording: Recording, marks: pd.DataFrame) -> pd.DataFrame:
    """The beats of `marks` within the signal: symbol, aux and onset in s."""
    marks = marks[~marks["symbol"].isin(["+", "~"])].reset_index(drop=True)
    onset = onsets(recording, marks["sample"].to_numpy() / recording.fs)
    return marks[["symbol", "aux"]].assign(onset=onset).dropna(ignore_index=True)


def _joined(beats: pd.DataFrame, atria: pd.DataFrame, rhythm: str) -> pd.DataFrame:
    onset = beats["onset"].to_numpy(np.float64)  # (n,)
    cycle = np.diff(onset, prepend=np.nan)
    usual = float(np.nanmedian(cycle)) if len(onset) > 1 else 1.0
    time = atria["time"].to_numpy(np.float64)
    # Where each beat's own time begins; the first and the last have a usual cycle to them.
    edges = np.concatenate([onset[:1] - usual, onset, onset[-1:] + usual]) - _EARLY
    place = np.searchsorted(time, edges)  # (n + 2,)
    after, until = place[1:-1], place[2:]
    va = np.where(after < until, np.append(time, np.nan)[after] - onset, np.nan)
    av = np.where(place[:-2] < after, onset - np.append(time, np.nan)[after - 1], np.nan)
    own = after - 1 if rhythm == "N" else after
    own = np.where(np.isnan(av if rhythm == "N" else va), -1, own)
    mine = atria[[*CS, "first"]].reindex(own).reset_index(drop=True)
    mine["first"] = mine["first"].fillna("")
    return beats.assign(va=1000 * va, av=1000 * av, cycle=1000 * cycle).join(mine)


def examples(dataset: Dataset, rhythms: Sequence[str] = RHYTHMS) -> list[Stretch]:
    """The clearest SECONDS of each rhythm that `dataset` (leipzig or its twin) has, in their order.

    Clearest: with most electrograms; of those, where all channels see each activation of the
    atria; of those, where the smallest burst is highest over the noise. It has at least two beats,
    all usual ones of the rhythm, and no annotation Q or ~. A rhythm without such a stretch is left
    out, and so is a recording that cannot be read.
    """
    best: dict[str, tuple[tuple[float, ...], Stretch]] = {}
    for piece in _pieces(dataset, rhythms, 1, "looking for examples"):
        for stretch in _stretches(piece):
            rank = _rank(stretch)
            if piece.rhythm not in best or rank > best[piece.rhythm][0]:
                best[piece.rhythm] = rank, stretch
    return [best[rhythm][1] for rhythm in rhythms if rhythm in best]


def intervals(dataset: Dataset, rhythms: Sequence[str] = RHYTHMS, most: int = 60) -> pd.DataFrame:
    """Each patient's medians by rhythm, of up to about `most` beats in the rhythm's longest spans.

    One row a rhythm and patient, in the order of `rhythms` and the table: rhythm, patient, beats;
    va, av and cycle, ms; va_beats, how many of the beats had an activation of the atria after
    them; va_low and va_high, ms, the quartiles of their VA; first, the end of the coronary sinus
    that is activated first most often. A beat counts when the next is of the same rhythm. va and av
    are NaN where no channel lies in the coronary sinus.
    """
    found: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for piece in _pieces(dataset, rhythms, _SPANS, "measuring intervals"):
        parts = found.setdefault((piece.rhythm, piece.patient), [])
        if sum(map(len, parts)) < most:
            beats = timed(piece.recording, piece.marks, piece.rhythm)
            parts.append(beats[_in_span(piece, beats)])
    rows = []
    for (rhythm, patient), parts in sorted(found.items(), key=lambda i: rhythms.index(i[0][0])):
        beats = pd.concat(parts)[:most]
        if beats.empty:
            continue
        row: dict[str, object] = {"rhythm": rhythm, "patient": patient, "beats": len(beats)}
        row |= {name: float(beats[name].median()) for name in ("va", "av", "cycle")}
        row["va_beats"] = int(beats["va"].notna().sum())
        row["va_low"], row["va_high"] = beats["va"].quantile([0.25, 0.75]).tolist()
        seen = beats["first"][beats["first"] != ""].mode()
        rows.append(row | {"first": seen.iloc[0] if len(seen) else ""})
    return pd.DataFrame(rows, columns=_INTERVALS)


def _pieces(dataset: Dataset, rhythms: Sequence[str], spans: int, what: str) -> Iterator[_Piece]:
    """The longest `spans` spans of each rhythm in each recording, as far as they can be read."""
    if dataset.name != "leipzig":  # no other has electrograms
        return
    for row in progress.track(range(len(dataset.table)), len(dataset.table), what):
        n_samples = dataset.table["n_samples"].iat[row]
        try:
            marks = leipzig.annotations(dataset.path(row))
        except PecgError:  # quality.py names it
            continue
        if np.isnan(n_samples):
            continue
        all_spans = leipzig.rhythms(marks, int(n_samples))
        long = (all_spans["start"] - all_spans["end"]).sort_values(kind="stable").index
        for rhythm in rhythms:
            of_one = all_spans.loc[long][lambda table, name=rhythm: table["rhythm"] == name]
            for start, end, _ in of_one[:spans].itertuples(index=False):
                try:
                    yield _read(dataset, row, rhythm, start, end, marks)
                except PecgError:
                    continue


def _read(
    dataset: Dataset, row: int, rhythm: str, start: int, end: int, marks: pd.DataFrame
) -> _Piece:
    fs = dataset.rate(row)
    end = min(end, start + round(_LONGEST * fs))
    first = max(0, start - round(_MARGIN * fs))
    recording = dataset.read(row, first / fs, (end - first) / fs + _MARGIN)
    lacking = [lead for lead in SURFACE if lead not in recording.leads]
    if recording.fs != leipzig.FS or lacking or len(recording.signal) < fs:
        raise PecgError(f"Recording {recording.record} has too little to measure, or a wrong rate.")
    last = first + len(recording.signal)
    near = marks[(marks["sample"] >= first) & (marks["sample"] < last)]
    near = near.assign(sample=near["sample"] - first)
    inside = ((start - first) / fs, (end - first) / fs)
    return _Piece(recording.patient, rhythm, first / fs, *inside, recording, near)


def _in_span(piece: _Piece, beats: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which beats are usual ones of the span, which goes on, and have neighbours that were read."""
    readable = (beats["symbol"] != "Q").to_numpy()
    near = np.concatenate([[True], readable, [True]])
    onset = beats["onset"].to_numpy(np.float64)
    usual = beats["symbol"].isin(_USUAL).to_numpy() & near[:-2] & near[2:]
    following = np.append(onset[1:], np.inf)
    return np.asarray(usual & (onset >= piece.low) & (following < piece.high))


def _stretches(piece: _Piece) -> Iterator[Stretch]:
    """Each SECONDS of a piece that begin before a beat and can serve as an example."""
    recording, fs = piece.recording, piece.recording.fs
    atria = activations(recording)
    if atria.empty or any(_dead(recording.take([lead])) for lead in SURFACE):
        return
    marks = piece.marks
    beats = _joined(_beats(recording, marks), atria, piece.rhythm)
    good = _in_span(piece, beats) & ~beats["symbol"].isin(["R", "L"]) & (beats["aux"] != "N-Prex")
    onset, long = beats["onset"].to_numpy(np.float64), round(SECONDS * fs)
    noise = marks.loc[marks["symbol"] == "~", "sample"].to_numpy() / fs
    for at in onset[good]:
        first = round((at - LEAD_IN) * fs)
        start, end = first / fs, (first + long) / fs
        here = (onset >= start) & (onset < end)
        if start < piece.low or end > piece.high or here.sum() < 2 or not good[here].all():
            continue
        if ((noise >= start - 6) & (noise < end)).any():  # how long it lasts is not annotated
            continue
        signal = recording.signal[first : first + long]
        yield _cut(piece, start, signal, beats[here], atria[atria["time"].between(start, end)])


def _cut(
    piece: _Piece,
    start: float,
    signal: npt.NDArray[np.float32],
    beats: pd.DataFrame,
    atria: pd.DataFrame,
) -> Stretch:
    whole = replace(piece.recording, signal=signal)
    inside = [name for name in CHANNELS if name in whole.leads]
    inside = [name for name in inside if not _dead(whole.take([name]))]
    leads = (*SURFACE, *inside)
    beats, atria = (table.reset_index(drop=True) for table in (beats, atria))
    beats[["onset", *CS]] -= start
    atria[["time", *CS]] -= start
    return Stretch(
        recording=whole.record,
        rhythm=piece.rhythm,
        start=piece.start + start,
        fs=whole.fs,
        leads=leads,
        signal=whole.take(leads),  # (T, L)
        beats=beats.drop(columns="aux"),
        atria=atria,
    )


def _rank(stretch: Stretch) -> tuple[float, ...]:
    """The greater, the clearer."""
    there = [name for name in CS if name in stretch.leads]
    seen = float(stretch.atria[there].notna().to_numpy().mean()) if len(stretch.atria) else 0.0
    interval = stretch.beats["av" if stretch.rhythm == "N" else "va"]
    # The last beat's atrium may lie beyond the end; in VT beats may have none, and two tell most.
    wanted = 2 if stretch.rhythm == "VT" else len(interval) - 1
    shown = min(1.0, float(interval.notna().sum()) / wanted)
    clear = float(stretch.atria["clear"].min()) if len(stretch.atria) else 0.0
    return shown, len(stretch.leads), seen, clear


def _bursts(
    envelope: Floats, least: Floats, fs: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Channel, sample and height of each burst of `envelope` (T, C), by time: (k,) each."""
    from scipy.signal import find_peaks

    channels, samples = [], []
    for place, floor in enumerate(least):
        peaks, _ = find_peaks(envelope[:, place], height=floor, distance=round(0.1 * fs))
        channels.append(np.full(len(peaks), place))
        samples.append(peaks)
    channel, at = np.concatenate(channels), np.concatenate(samples)
    order = np.argsort(at, kind="stable")
    channel, at = channel[order], at[order]
    return channel, at, envelope[at, channel]


def _sharp(recording: Recording, names: Sequence[str]) -> Floats:
    """How much is in the channels `names` above 80 Hz: (T, C), mV."""
    sharp = band_pass(recording.take(names), recording.fs, *_SHARP)  # (T, C)
    return np.asarray(np.sqrt(smooth(np.square(sharp), 0.008 * recording.fs)))


def _first(seen: Floats) -> str:
    """Which end of the catheter is activated first, by the times (5,) from CS90 to CS12."""
    there = np.flatnonzero(np.isfinite(seen))
    if len(there) < 3:
        return ""
    slope = np.polyfit(there, seen[there], 1)[0]  # s a pair of poles
    return "" if abs(slope) < 0.002 else "CS90" if slope > 0 else "CS12"


def _dead(signal: npt.NDArray[np.float32]) -> bool:
    """Whether `signal` (T, 1) is flat or lacks samples."""
    if not len(signal):
        return True
    low, high = float(signal.min()), float(signal.max())
    return not high - low >= FLAT_MV  # also where either is NaN
