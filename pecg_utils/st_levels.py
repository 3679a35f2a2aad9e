"""What each filter does to the ST segment and the T wave, in microvolts.

A beat's level is measured at the same samples in the recording as it is and in what a filter makes
of it. Where the waves are is known beforehand, so that no delineation stands between a filter and
its level. A wave that a filter moves in time is not followed: a model does not follow it either.

The definitions are *ours*, after common use (the ST level 60 to 80 ms after the QRS end, the PR
segment as the isoelectric line):

- baseline: the mean of the last 20 ms before the QRS onset
- ST level: the mean from 60 to 80 ms after the QRS end, less the baseline
- T wave: the sample where its peak is without a filter, less the baseline

A beat counts in a lead where its QRS onset and end are marked and both spans lie in the recording.
The ST span must end before the peak of the T wave, or before whatever wave is marked next, so that
a fast heart gets no ST level in the middle of its T wave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, progress
from pecg_utils.errors import PecgError
from pecg_utils.filters import FILTERS, filtered
from pecg_utils.marked_waves import Marked, Recordings

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

BASELINE = (-0.020, 0.0)  # s from the QRS onset
SEGMENT = (0.060, 0.080)  # s from the QRS end
HIGH, LOW = 100.0, 50.0  # µV: from where a level is a deviation, and up to where it is none; ours
WAVES = {"ST": "ST level", "T": "T wave where its peak was"}
_STATISTICS = ("median_uv", "mean_uv", "vanished", "appeared", "correlation")


@dataclass(frozen=True)
class Beat:
    """One beat of one lead under several filters. Times in ms from the QRS onset.

    at: (t,) ms. traces: (t,) mV each, by filter. levels: ST in µV, by filter. baseline, segment:
    the two spans that these come from, first and last.
    """

    record: str
    lead: str
    at: Floats
    traces: dict[str, Floats]
    levels: dict[str, float]
    baseline: tuple[float, float]
    segment: tuple[float, float]


@dataclass(frozen=True)
class _Places:
    """Where the beats of a recording are measured, (n,) each: samples, and -1 for no T wave."""

    lead: Places
    beat: Places
    onset: Places
    end: Places
    t_peak: Places

    def only(self, keep: npt.NDArray[np.bool_]) -> "_Places":
        return _Places(*(each[keep] for each in vars(self).values()))


def levels(recordings: Recordings, filters: Sequence[str] = FILTERS) -> pd.DataFrame:
    """The levels of every beat in every lead: one row a beat, lead, wave and filter.

    Columns: record, patient, lead, beat (its number among the lead's QRS), wave ("ST" or "T"),
    qrs_ms (its QRS's duration), filter, raw_uv (without a filter), uv (with it) and change_uv, the
    second less the first. A beat whose T wave is not marked in a lead has an ST level only.

    Raises PecgError where no beat can be measured.
    """
    parts = []
    todo = recordings.readers.values()
    for read in progress.track(todo, len(todo), f"measuring the beats of {recordings.name}"):
        found = read()
        parts += _of_one(found, _places(found), filters)
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if table.empty:
        raise PecgError(f"No beat of {recordings.name} has its QRS onset and end marked.")
    table["change_uv"] = table["uv"] - table["raw_uv"]
    return table


def _of_one(found: Marked, at: _Places, filters: Sequence[str]) -> list[pd.DataFrame]:
    raw = _measured(found.signal, found.fs, at)
    parts = []
    for name in filters:
        after = _measured(filtered(found.signal, found.fs, name), found.fs, at)
        for wave in WAVES:
            there = np.isfinite(raw[wave])
            columns = {
                "record": found.record,
                "patient": found.patient,
                "lead": np.array(found.leads)[at.lead[there]],
                "beat": at.beat[there],
                "qrs_ms": 1000 / found.fs * (at.end - at.onset)[there],
                "wave": wave,
                "filter": name,
                "raw_uv": raw[wave][there],
                "uv": after[wave][there],
            }
            parts.append(pd.DataFrame(columns))
    return parts


def _places(found: Marked) -> _Places:
    """The beats of a recording that can be measured, lead by lead."""
    none = np.zeros(0, dtype=np.intp)
    parts = [_Places(none, none, none, none, none)]
    before, after = round(-BASELINE[0] * found.fs), round(SEGMENT[1] * found.fs)
    for lead, marks in enumerate(found.marks):
        wave = marks["wave"].to_numpy(object)
        onset, peak, end = (
            marks[name].to_numpy(np.float64, na_value=np.nan) for name in ("onset", "peak", "end")
        )
        last = float(len(found.signal))
        # What the ST span must not reach: the peak of T, the onset of another wave, the end.
        begins = np.where((wave == "T") | np.isnan(onset), peak, onset)
        limit = np.append(begins[1:], last)
        t_peak = np.where(np.append(wave[1:], "") == "T", limit, -1)
        qrs = np.flatnonzero(wave == "QRS")
        known = np.isfinite(onset[qrs]) & np.isfinite(end[qrs])
        beat, at = np.flatnonzero(known), qrs[known]
        each = (np.full(len(at), lead), beat, onset[at], end[at], t_peak[at])
        fits = (onset[at] >= before) & (end[at] + after <= np.minimum(limit[at], last))
        parts.append(_Places(*(column.astype(np.intp) for column in each)).only(fits))
    return _Places(*(np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)))


def _columns(places: _Places) -> list[Places]:
    return list(vars(places).values())


def _measured(signal: npt.NDArray[np.float32], fs: float, at: _Places) -> dict[str, Floats]:
    """The levels (n,) of each of WAVES in µV, of `signal` (T, L) in mV; T is NaN where none is."""
    total = np.cumsum(np.pad(signal.astype(np.float64), ((1, 0), (0, 0))), axis=0)  # (T + 1, L)

    def mean(start: Places, span: tuple[float, float]) -> Floats:
        first, last = (start + round(edge * fs) for edge in span)
        return np.asarray((total[last, at.lead] - total[first, at.lead]) / (last - first))

    zero = mean(at.onset, BASELINE)
    t = np.where(at.t_peak >= 0, signal[at.t_peak, at.lead] - zero, np.nan)
    return {"ST": 1000 * (mean(at.end, SEGMENT) - zero), "T": 1000 * t}


def summary(table: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """What each filter does, over patients: one row a wave and filter of `levels`.

    Columns: wave, filter, patients, levels (beats × leads), deviating (how many of them are HIGH µV
    or more from the baseline without a filter), and with the ends `_low` and `_high` of the middle
    95 % of resampled patients:

    - median_uv: a patient's median of |change|, µV; of the patients the median
    - mean_uv: the mean change of all levels, µV
    - vanished: of the deviating levels, the share that is under LOW µV with the filter
    - appeared: of the levels under LOW µV, the share that is HIGH µV or more with the filter
    - correlation: of the levels with and without the filter; NaN where either is constant
    """
    rows = []
    parts = dict(iter(table.groupby(["wave", "filter"], sort=False)))
    for wave, name in sorted(parts, key=lambda key: list(WAVES).index(key[0])):
        part = parts[wave, name]
        patients = bootstrap.patient_codes(part["patient"], len(part))  # (N,)
        count = int(patients.max()) + 1
        drawn = bootstrap.draws(count, resamples, seed)  # (P, R)
        weights = np.hstack([np.ones((count, 1), drawn.dtype), drawn])  # (P, 1 + R)
        values = _statistics(part, patients, weights)  # (statistics, 1 + R)
        limits, _ = bootstrap.middle(values[:, 1:])
        limits[:] = np.nan if count < 2 else limits
        high = int((part["raw_uv"].abs() >= HIGH).sum())
        row: dict[str, Any] = {"wave": wave, "filter": name, "patients": count}
        row |= {"levels": len(part), "deviating": high}
        for statistic, value, (low, upper) in zip(_STATISTICS, values[:, 0], limits, strict=True):
            row |= {statistic: value, f"{statistic}_low": low, f"{statistic}_high": upper}
        rows.append(row)
    return pd.DataFrame(rows)


def _statistics(part: pd.DataFrame, patients: Places, weights: npt.NDArray[np.int32]) -> Floats:
    """Each of _STATISTICS, (5, R), with every patient counted as often as `weights` (P, R) say."""
    raw, uv, change = (part[name].to_numpy() for name in ("raw_uv", "uv", "change_uv"))  # (N,)
    halves = pd.Series(np.abs(change)).groupby(patients).median().to_numpy()  # (P,)

    def total(values: npt.NDArray[Any]) -> Floats:
        of_each = np.bincount(patients, weights=values, minlength=len(weights))  # (P,)
        return np.asarray(of_each @ weights, dtype=np.float64)  # (R,)

    count, high, low = total(np.ones(len(raw))), np.abs(raw) >= HIGH, np.abs(raw) < LOW
    x, y = raw - raw.mean(), uv - uv.mean()  # so that squares lose no digits
    mean_x, mean_y = total(x) / count, total(y) / count
    with np.errstate(invalid="ignore", divide="ignore"):
        both = total(x * y) / count - mean_x * mean_y
        spread = (total(x * x) / count - mean_x**2) * (total(y * y) / count - mean_y**2)
        return np.stack(
            [
                _medians(halves, weights),
                total(change) / count,
                total(high & (np.abs(uv) < LOW)) / total(high),
                total(low & (np.abs(uv) >= HIGH)) / total(low),
                both / np.sqrt(spread),
            ]
        )


def _medians(values: Floats, weights: npt.NDArray[np.int32]) -> Floats:
    """The median (R,) of `values` (P,), each counted as often as `weights` (P, R) say."""
    order = np.argsort(values)
    upto = np.cumsum(weights[order], axis=0)  # (P, R)
    count = upto[-1]
    middle = [np.argmax(upto >= place, axis=0) for place in ((count + 1) // 2, count // 2 + 1)]
    return np.asarray(values[order][np.stack(middle)].mean(axis=0))


def table(found: pd.DataFrame) -> pd.DataFrame:
    """`summary`'s rows in words for a page, in µV and percent, intervals in brackets."""
    return pd.DataFrame(
        {
            "measured": found["wave"].map(WAVES),
            "filter": found["filter"],
            "beats × leads": found["levels"].map("{:,}".format),
            "patients": found["patients"],
            "median |change|, µV": _words(found, "median_uv", "{:.0f}"),
            "mean change, µV": _words(found, "mean_uv", "{:+.0f}"),
            f"of those ≥ {HIGH:.0f} µV now < {LOW:.0f} µV, %": _words(
                found, "vanished", "{:.0f}", 100
            ),
            f"of those < {LOW:.0f} µV now ≥ {HIGH:.0f} µV, %": _words(
                found, "appeared", "{:.0f}", 100
            ),
            "correlation with unfiltered": _words(found, "correlation", "{:.2f}"),
        }
    )


def _words(found: pd.DataFrame, name: str, form: str, times: float = 1.0) -> list[str]:
    ends = found[[name, f"{name}_low", f"{name}_high"]].to_numpy(np.float64) * times + 0.0
    cells = []
    for value, low, high in ends:
        words = form.format(value) if np.isfinite(value) else "–"
        if np.isfinite([value, low, high]).all() and low < high:
            words += f" ({form.format(low)} to {form.format(high)})"
        cells.append(words)
    return cells


def plainest(table: pd.DataFrame, narrow: float = 110.0) -> tuple[str, str, int]:
    """Record, lead and number of a beat whose ST deviation is plain to see without any filter.

    Of the leads with four beats or more and a median QRS of `narrow` ms at most, the one whose
    median level is farthest from the baseline, less three standard deviations from beat to beat; of
    it the beat nearest to the median. What a filter does to it has no say. Raises PecgError when
    there is no such lead.
    """
    rows = table[table["wave"] == "ST"].drop_duplicates(["record", "lead", "beat"])
    of_lead = rows.groupby(["record", "lead"])
    usual = of_lead["raw_uv"].median()
    fit = (of_lead["qrs_ms"].median() <= narrow) & (of_lead.size() >= 4)
    if not fit.any():
        raise PecgError(f"No lead has four beats with a QRS of {narrow:.0f} ms or less.")
    record, lead = (usual.abs() - 3 * of_lead["raw_uv"].std())[fit].idxmax()
    mine = rows[(rows["record"] == record) & (rows["lead"] == lead)]
    at = (mine["raw_uv"] - usual[record, lead]).abs().idxmin()
    return str(record), str(lead), int(mine.loc[at, "beat"])


def one_beat(
    recordings: Recordings, record: str, lead: str, beat: int, filters: Sequence[str] = FILTERS
) -> Beat:
    """A beat of `levels`, 0.3 s before the QRS onset to 0.6 s after it, under each filter.

    Raises PecgError when `record` is not there or this beat of the lead cannot be measured.
    """
    if record not in recordings.readers:
        raise PecgError(f"{recordings.name} has no recording {record!r}.")
    found = recordings.readers[record]()
    at = _places(found)
    of_lead = at.lead == (found.leads.index(lead) if lead in found.leads else -1)
    one = at.only(of_lead & (at.beat == beat))
    if not len(one.beat):
        raise PecgError(f"Beat {beat} of lead {lead} in {record} cannot be measured.")
    onset, end = int(one.onset[0]), int(one.end[0])
    first, last = max(0, onset - round(0.3 * found.fs)), onset + round(0.6 * found.fs)
    traces, values = {}, {}
    for name in filters:
        after = filtered(found.signal, found.fs, name)
        traces[name] = after[first:last, one.lead[0]].astype(np.float64)
        values[name] = float(_measured(after, found.fs, one)["ST"][0])
    step = 1000 / found.fs  # ms
    return Beat(
        record=found.record,
        lead=lead,
        at=np.asarray(step * (np.arange(first, min(last, len(found.signal))) - onset)),
        traces=traces,
        levels=values,
        baseline=(1000 * BASELINE[0], 1000 * BASELINE[1]),
        segment=(
            step * (end - onset) + 1000 * SEGMENT[0],
            step * (end - onset) + 1000 * SEGMENT[1],
        ),
    )
