"""Stretches of a recording's time, and how near windows on two sides of a split come.

Neighbouring windows of one sustained rhythm are nearly the same window. Between a split by window
and one by patient stands one by time: a stretch of a recording is on one side, and where two
stretches of different sides meet, the windows at the seam are on none.

In every function: start, end: (N,) s, of each window. recording: (N,) int, which it is of, equal
for recordings with the same samples. side: (N,) int8, `nowhere` for a window on no side.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
Sides = npt.NDArray[np.int8]

_EXACT = 1e-6  # s; a gap that is kept to less than a sample is kept


@dataclass(frozen=True)
class Blocks:
    """seconds: of a stretch. gap: s between windows on different sides, at least. Both *ours*."""

    seconds: float = 60.0
    gap: float = 10.0


USUAL = Blocks()


def numbered(start: Floats, recording: Ints, seconds: float) -> Ints:
    """The stretch that each window begins in: (N,), a number of its own for each."""
    which = np.stack([recording, np.floor(start / seconds).astype(np.int64)], axis=1)
    places: Ints = np.unique(which, axis=0, return_inverse=True)[1].ravel()
    return places


def spaced(
    start: Floats, end: Floats, recording: Ints, side: Sides, gap: float, nowhere: int
) -> Sides:
    """`side`, less each window that ends within `gap` s of one on another side, or after it began.

    Windows that begin together have to be on one side, as those of one stretch are.
    """
    order = np.lexsort((start, recording))
    here, begins, sides = recording[order], start[order], side[order]
    last = np.flatnonzero((np.diff(here) != 0) | (np.diff(sides) != 0))  # before another run
    after = np.searchsorted(last, np.arange(len(order)))  # the run of each window
    following = np.append(last + 1, len(order))[after]  # where the next run begins
    there = np.minimum(following, len(order) - 1)
    meets = (following < len(order)) & (here[there] == here)
    near = meets & (end[order] + gap > begins[there] + _EXACT)
    kept = side.copy()
    kept[order[near]] = nowhere
    return kept


def too_near(
    start: Floats, end: Floats, recording: Ints, side: Sides, gap: float, nowhere: int
) -> Ints:
    """The windows that begin less than `gap` s after one on another side ends: (n,), by number."""
    order = np.lexsort((start, recording))
    sides = side[order]
    reached = np.full(len(order), -np.inf)  # how far windows before it, on other sides, go
    for one in np.unique(sides[sides != nowhere]):
        ends = pd.Series(np.where(sides == one, end[order], -np.inf))
        reach = ends.groupby(recording[order]).cummax().to_numpy()
        reached = np.where(sides == one, reached, np.maximum(reached, reach))
    near = (sides != nowhere) & (start[order] - reached < gap - _EXACT)
    found: Ints = order[near]
    return found
