"""What a cardiologist reads off an ECG: rate, intervals, axis and heights, by signal processing.

All rules here are *ours*, with thresholds set so as to agree with LUDB's hand marks, of adults:

- all is measured on the **median beat**, of the beats of the most common shape. Zero is the level
  just before the QRS, joined from beat to beat by straight lines, as with a ruler on paper;
- **QRS**: where the slopes of all leads together (root mean square) exceed a twentieth of their
  steepest;
- **P and T** are seen along the one direction in lead space in which they are largest. P begins at
  a tenth of its height. T ends three tenths beyond where the tangent at its steepest fall meets the
  level after it, which is where hand marks put it;
- **P is there** when one half of the beats shows what the other half shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pecg_utils.beats import Floats, Signal, aligned, beats, cut, smooth
from pecg_utils.errors import PecgError
from pecg_utils.signal import resample

RATE = 500.0  # Hz, of the median beat
_FEWEST = 3  # beats
_QUIET = 0.05  # slope outside the QRS, as a fraction of its steepest
_SPIKE = 16  # samples: what is shorter is no QRS but a pacemaker's spike before it
_AGREE = 0.75  # correlation of one half of the beats with the other where there is a P wave
_RISE = 0.05  # mV, of a wave in the QRS that counts as R


@dataclass(frozen=True)
class Measured:
    """What was measured, NaN where it could not be; pr, for one, where no P wave stands out.

    r_times: (n,) s, of all beats. rate: 1/min. rr_spread: standard deviation of the RR intervals
    over their mean. pr, qrs, qt, qtc: ms, qtc by Bazett. axis: degrees in (-180, 180], of the net
    QRS area in I and aVF. p: mV, in lead II. r, s, t: mV, by lead. All heights are against the
    level just before the QRS; r and s are height and depth, both positive, p and t have a sign. A
    pacemaker's spike is part of the QRS that it sets off.
    """

    r_times: Floats
    r: dict[str, float]
    s: dict[str, float]
    t: dict[str, float]
    rate: float = np.nan
    rr_spread: float = np.nan
    pr: float = np.nan
    qrs: float = np.nan
    qt: float = np.nan
    qtc: float = np.nan
    axis: float = np.nan
    p: float = np.nan


def as_row(measured: Measured) -> dict[str, float]:
    """One row of a table: rate, rr_spread, pr, qrs, qt, qtc, axis, p_II, r_I, s_I, t_I, r_II ..."""
    names = ("rate", "rr_spread", "pr", "qrs", "qt", "qtc", "axis")
    row = {name: float(getattr(measured, name)) for name in names} | {"p_II": measured.p}
    for lead in measured.r:
        row |= {f"{wave}_{lead}": getattr(measured, wave)[lead] for wave in "rst"}
    return row


def measure(signal: Signal, fs: float, leads: Sequence[str]) -> Measured:
    """Measure `signal` (T, L) in mV at `fs` Hz, 100 to 1000; `leads` are its leads' names.

    With fewer than three beats all is NaN but r_times. Raises PecgError when the names do not fit
    the signal or the rate is another.
    """
    if signal.ndim != 2 or signal.shape[1] != len(leads):
        raise PecgError(
            f"A signal of shape {signal.shape} does not have the {len(leads)} leads "
            f"{', '.join(leads)}; give one name a column."
        )
    r = beats(signal, fs)
    if len(r) < _FEWEST:
        nothing = dict.fromkeys(leads, np.nan)
        return Measured(r, nothing, nothing, nothing)
    signal = np.nan_to_num(signal)
    found = _found(signal, fs, r)
    beat, on, off, rr, level = found.beat, found.on, found.off, found.rr, found.level
    qrs, trusted = beat[on : off + 1], beat * found.trust
    t_peak, t_end = _t(trusted, on, off, rr)
    halves = [_median_beat(level, fs, found.chosen[i::2], found.before, 0.1) for i in (0, 1)]
    p_on = _p(trusted, [half * found.trust for half in halves], on, t_end, rr)

    p = t = np.full(len(leads), np.nan)
    if not np.isnan(t_end):
        t = _largest(beat[(off + t_peak) // 2 : int(t_end) + 1])
    if not np.isnan(p_on):
        p = _largest(beat[int(p_on) : on])
    by_lead = (dict(zip(leads, x.tolist(), strict=True)) for x in (*_heights(qrs), t, p))
    r_height, s_depth, t_height, p_height = by_lead
    qt = (t_end - on) * 1000 / RATE
    return Measured(
        found.r + found.peak / RATE - found.before,
        r_height,
        s_depth,
        t_height,
        rate=60 / rr,
        rr_spread=float(np.diff(found.r).std()) / rr,
        pr=(on - p_on) * 1000 / RATE,
        qrs=(off - on) * 1000 / RATE,
        qt=qt,
        qtc=qt / rr**0.5,
        axis=_axis(qrs, leads),
        p=p_height.get("II", np.nan),
    )


def median_beat(signal: Signal, fs: float) -> tuple[Floats, int] | None:
    """The median beat (w, L) of `signal` (T, L), in mV at RATE, and the sample of its QRS's peak.

    It is the beat that `measure` measures, from three quarters of an RR interval before the QRS to
    nine tenths after it, but no longer than 0.45 and 0.7 s. None with fewer than three beats.
    Raises PecgError when `fs` is not from 100 to 1000 Hz.
    """
    r = beats(signal, fs)
    if len(r) < _FEWEST:
        return None
    found = _found(np.nan_to_num(signal), fs, r)
    return found.beat, found.peak


class _Found(NamedTuple):
    """The median beat of a signal, and what it was found with."""

    beat: Floats  # (w, L) mV at RATE, 0 just before the QRS
    on: int  # the QRS's first sample,
    off: int  # its last
    peak: int  # and where it is largest
    before: float  # s from the beat's first sample to R
    chosen: Floats  # (m,) s, R of the beats that it is the median of
    r: Floats  # (n,) s, of all beats
    rr: float  # s, their mean interval
    level: Signal  # (T, L), the signal with its zero line made straight
    trust: npt.NDArray[np.float32]  # (L,)


def _found(signal: Signal, fs: float, r: Floats) -> _Found:
    r, common, trust = aligned(signal, fs, r)
    rr = float(np.diff(r).mean())

    # The QRS does not need a zero line, and the zero line needs to know where the QRS begins.
    start, _ = _qrs(_median_beat(signal, fs, r[common], 0.25, 0.3) * trust, round(0.25 * RATE), rr)
    level = _zeroed(signal, fs, r[common] + (start - 5) / RATE - 0.25)
    before, after = min(0.45, 0.75 * rr), min(0.70, 0.9 * rr)
    whole = common & (r >= before) & (r + after <= len(signal) / fs)
    chosen = r[whole if whole.sum() >= _FEWEST else common]
    beat = _median_beat(level, fs, chosen, before, after)  # (w, L)
    on, off = _qrs(beat * trust, round(before * RATE), rr)
    beat -= beat[max(0, on - 8) : max(1, on - 2)].mean(axis=0)
    peak = on + int(np.argmax(_rms(smooth(beat[on : off + 1] * trust, 9))))
    return _Found(beat, on, off, peak, before, chosen, r, rr, level, trust)


def _rms(x: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(x).mean(axis=-1)))


def _median_beat(signal: Signal, fs: float, r: Floats, before: float, after: float) -> Floats:
    """(w, L) at RATE, R at `before` s."""
    beat = np.median(cut(signal, fs, r, before, after), axis=0)
    return resample(beat.astype(np.float32), fs, RATE).astype(np.float64)


def _zeroed(signal: Signal, fs: float, quiet: Floats) -> Signal:
    """`signal` less the straight lines through its level at the moments `quiet` (n,) in s."""
    knots = np.round(quiet * fs)  # (n,)
    level = cut(signal, fs, quiet, 0.008, 0.008).mean(axis=1)  # (n, L)
    slope = np.diff(level, axis=0) / np.diff(knots)[:, None]  # (n - 1, L)
    time = np.arange(len(signal))
    line = np.clip(np.searchsorted(knots, time) - 1, 0, len(slope) - 1)  # (T,)
    lines = level[line] + slope[line] * (time - knots[line])[:, None]  # (T, L)
    return np.asarray(signal - lines, dtype=np.float32)


def _qrs(beat: Floats, middle: int, rr: float) -> tuple[int, int]:
    """First and last sample of the QRS of `beat` (w, L) around its sample `middle`."""
    even = smooth(beat, 7 * min(1.0, rr**0.5))
    speed = np.zeros(len(beat))
    speed[1:-1] = _rms(even[2:] - even[:-2])
    low = max(middle - 50, 0)
    peak = low + int(np.argmax(speed[low : middle + 50]))
    noise = float(np.quantile(speed[max(0, middle - 100) : max(1, middle - 25)], 0.15))
    on = peak - _still(speed[peak::-1], noise)
    noise = float(np.quantile(speed[min(middle + 40, len(speed) - 1) : middle + 130], 0.15))
    off = peak + _still(speed[peak:], noise)
    if off - on < _SPIKE and off + 4 < middle + 100 < len(speed):
        peak = off + 4 + int(np.argmax(speed[off + 4 : middle + 100]))
        off = peak + _still(speed[peak:], noise)
    return on, off


def _still(speed: Floats, noise: float, stay: int = 8) -> int:
    """After how many samples `speed` falls to a small part of speed[0] and stays there."""
    fast = speed >= noise + _QUIET * (speed[0] - noise)
    moving = np.convolve(fast, np.ones(stay))[stay - 1 :]  # how many of the next ones are fast
    return int(np.argmax(moving == 0)) if (moving == 0).any() else len(speed) - 1


def _t(beat: Floats, on: int, off: int, rr: float) -> tuple[int, float]:
    """Sample of the T wave's peak, and of its end, NaN when it is not in sight."""
    even = smooth(beat, 21 * min(1.0, rr**0.5))
    first = off + round(0.04 * RATE)
    last = min(on + round(min(0.5 * rr**0.5, 0.72 * rr) * RATE), len(beat) - 2)
    if last < first + 3:
        return first, np.nan
    peak = first + int(np.argmax(_rms(even[first:last])))
    wave = even @ even[peak] / max(float(np.linalg.norm(even[peak])), 1e-9)  # (w,) mV
    reach = round(0.16 * min(1.0, rr**0.5) * RATE)  # not as far as the next P wave
    fall = -np.diff(wave[peak : peak + reach])
    steep = peak + int(np.argmax(fall))
    drop = float(wave[steep] - wave[steep : steep + reach].min())
    end = steep + 0.5 + 1.3 * drop / max(float(fall.max()), 1e-9)
    latest = min(len(beat) - 1, on + min(0.65 * rr**0.5, 0.85 * rr) * RATE)
    return peak, end if end < latest else np.nan


def _p(beat: Floats, halves: list[Floats], on: int, t_end: float, rr: float) -> float:
    """Sample of the P wave's onset, NaN when none stands out between T and QRS."""
    if np.isnan(t_end):
        return np.nan
    first, last = max(0, on - round(0.36 * RATE), round(t_end - rr * RATE) + 5), on - 10
    if last < first + 15:
        return np.nan
    width = 30 * min(1.0, rr**0.5)
    one, other = (_bumps(half, on, width)[first:last] for half in halves)
    if (one * other).sum() <= _AGREE * np.linalg.norm(one) * np.linalg.norm(other):
        return np.nan
    bumps = _bumps(beat, on, width)  # (w, L)
    size = _rms(bumps)
    top = np.r_[False, (size[1:-1] >= size[:-2]) & (size[1:-1] >= size[2:]), False]
    top[: first + round(0.06 * min(1.0, rr) * RATE)] = top[last:] = False  # the end of T, the QRS
    if not top.any():
        return np.nan
    peak = int(np.argmax(size * top))
    wave = smooth(beat @ bumps[peak] / np.linalg.norm(bumps[peak]), 9)  # (w,) mV
    start = max(first, peak - round(0.1 * RATE))
    lowest = start + int(np.argmin(wave[start:peak]))
    tenth = wave[lowest] + 0.1 * (wave[peak] - wave[lowest])
    below = np.flatnonzero(wave[lowest:peak] <= tenth)
    return lowest + float(below[-1]) if below.size else np.nan


def _bumps(beat: Floats, on: int, width: float) -> Floats:
    """What in `beat` (w, L) stands out of the mean of both its sides, up to the QRS at `on`."""
    held = beat.copy()
    held[on:] = held[max(0, on - 3) : on].mean(axis=0)
    even, side = smooth(smooth(held, width / 3), width / 3), round(width)
    padded = np.concatenate([even[:1].repeat(side, 0), even, even[-1:].repeat(side, 0)])
    return np.asarray(even - (padded[: -2 * side] + padded[2 * side :]) / 2)


def _heights(qrs: Floats) -> tuple[Floats, Floats]:
    """R height and S depth (L,) of the QRS (w, L): S comes after the first wave upwards.

    In a lead without such a wave, R is 0 and S the depth of the whole.
    """
    up = qrs > _RISE + np.maximum(qrs[-1], 0.0)  # a raised ST is no R
    begun = np.maximum.accumulate(up, axis=0) | ~up.any(axis=0)
    r = np.where(up.any(axis=0), qrs.max(axis=0), 0.0)
    return r, np.maximum(-np.where(begun, qrs, 0.0).min(axis=0), 0.0)


def _largest(waves: Floats) -> Floats:
    """The values (L,) of `waves` (w, L) farthest from zero."""
    return np.asarray(waves[np.abs(waves).argmax(axis=0), np.arange(waves.shape[1])])


def _axis(qrs: Floats, leads: Sequence[str]) -> float:
    if "I" not in leads or "aVF" not in leads:
        return np.nan
    # Goldberger's leads see the frontal plane at sqrt(3) / 2 of the size of Einthoven's.
    left = float(qrs[:, leads.index("I")].sum())
    down = float(qrs[:, leads.index("aVF")].sum()) * 2 / 3**0.5 + 0.0  # no minus zero
    return float(np.degrees(np.arctan2(down, left))) if left or down else np.nan
