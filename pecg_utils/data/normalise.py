"""Windows normalised each by itself: by its own samples alone, so that no side has to be known.

Every way is affine in each lead of each window: (value - offset) × factor. What is measured is the
whole prepared window (10 s, say), with whatever zeros follow a recording that ended before it, and
not the piece that a model is then shown (*ours*: the code measures the piece).

| way | offset | 1 / factor | of | tag |
| --- | --- | --- | --- | --- |
| window | mean | deviation | each lead | *code*: zscore |
| minmax | least | greatest less least: from 0 to 1 | each lead | *code* |
| median | median | interquartile range | each lead | *code*: rscal |
| l2 | 0 | root of the sum of squares, so that they sum to 1 | each lead | *code* |
| whole | mean | deviation | all leads at once, so that a small lead stays small | *ours* |

The code of arXiv 2503.08960 (utils.py:377-420 of its v1, unchanged in v2) has six ways, by the
names above. The fifth is "none" (mV as they are). The sixth, logscal, log(1 + |x|), is not affine:
it takes the sign of every wave away, and is left out. "train" (the training side's mean and
deviation, of inputs.py) is *ours*. Of a deviation's divisor, n for the code's n - 1, and of the
quartiles between two samples, for the code's that are samples, nothing can be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pecg_utils import progress
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError

EACH = ("window", "minmax", "median", "l2", "whole")
WAYS = ("none", "train", "together", "own", *EACH)
_CHUNK = 64  # windows at a time: 30 MB of twelve leads of 10 s at 500 Hz
_LEAST_SHARE = 0.01  # of the deviation: what the quartiles must be apart, to be divided by; *ours*
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Each:
    """offset: (n, L) mV, and factor: (n, L) 1/mV, of each lead of each of n windows, in order."""

    leads: tuple[str, ...]
    offset: Floats
    factor: Floats


def each(windows: Windows, rows: npt.NDArray[np.intp], leads: Sequence[str], way: str) -> Each:
    """What the windows `rows` are normalised by, each by itself. way: one of EACH.

    A lead that is constant in a window, but for a step of rounding, becomes zeros there, whatever
    the way. Where the middle half of a lead lies closer together than a hundredth of its deviation,
    as where most of it is zeros, "median" divides by the deviation (*ours*).

    Raises PecgError for a lead that is not there, ValueError for another way.
    """
    if way not in EACH:
        raise ValueError(f"windows are not normalised one by one by {way}; the ways are {EACH}")
    at = places(windows, leads)
    offset, factor = np.zeros((2, len(rows), len(at)))  # (n, L) each
    starts = range(0, len(rows), _CHUNK)
    for start in progress.track(starts, len(starts), "measuring each window"):
        part = rows[start : start + _CHUNK]
        steps = windows.steps[part][:, at]  # (n, L, T) int16
        gain = windows.gain[part][:, at].astype(np.float64)  # (n, L)
        middle, width = _MEASURED[way](steps, gain)  # (n, L) each, mV
        apart = steps.max(axis=2).astype(int) - steps.min(axis=2)  # (n, L)
        here = slice(start, start + len(part))
        offset[here] = middle
        np.divide(1.0, width, out=factor[here], where=(apart > 1) & (width > 0))
    return Each(tuple(leads), offset, factor)


def places(windows: Windows, leads: Sequence[str]) -> list[int]:
    """Where these leads are among the windows'. Raises PecgError for one that is not there."""
    have = windows.settings.leads
    missing = [lead for lead in leads if lead not in have]
    if missing:
        raise PecgError(f"These windows have no lead {', '.join(missing)}; they have {have}.")
    return [have.index(lead) for lead in leads]


def _window(steps: npt.NDArray[np.int16], gain: Floats) -> tuple[Floats, Floats]:
    values = steps.astype(np.float64)  # (n, L, T)
    return gain * values.mean(axis=2), gain * values.std(axis=2)


def _whole(steps: npt.NDArray[np.int16], gain: Floats) -> tuple[Floats, Floats]:
    mean, std = _window(steps, gain)  # (n, L) each
    middle = mean.mean(axis=1, keepdims=True)  # (n, 1)
    variance = (std**2 + (mean - middle) ** 2).mean(axis=1, keepdims=True)
    return np.broadcast_to(middle, mean.shape), np.broadcast_to(np.sqrt(variance), mean.shape)


def _minmax(steps: npt.NDArray[np.int16], gain: Floats) -> tuple[Floats, Floats]:
    least, most = steps.min(axis=2).astype(np.float64), steps.max(axis=2).astype(np.float64)
    return gain * least, gain * (most - least)


def _l2(steps: npt.NDArray[np.int16], gain: Floats) -> tuple[Floats, Floats]:
    length = np.sqrt(np.square(steps, dtype=np.float64).sum(axis=2))  # (n, L)
    return np.zeros_like(length), gain * length


def _median(steps: npt.NDArray[np.int16], gain: Floats) -> tuple[Floats, Floats]:
    low, middle, high = np.quantile(steps, [0.25, 0.5, 0.75], axis=2)  # (n, L) each
    std = _window(steps, gain)[1]
    between = gain * (high - low)
    return gain * middle, np.where(between < _LEAST_SHARE * std, std, between)


_MEASURED = {
    "window": _window,
    "minmax": _minmax,
    "median": _median,
    "l2": _l2,
    "whole": _whole,
}
