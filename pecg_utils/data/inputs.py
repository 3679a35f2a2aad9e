"""The windows of one side of a split, as a model eats them: leads by name, normalised.

Normalisation is a z-score a lead. Its mean and standard deviation come from the training side; the
paper's reproduction takes them from each side itself (arXiv 2510.03780; see the chapter's audit),
which a deployed model could not do. Windows may also be normalised one by one, as normalise.py has
it, or be left as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pecg_utils.data.normalise import EACH, WAYS, Each, each, places
from pecg_utils.data.windows import Windows

_CHUNK = 2048  # windows at a time, so that statistics never hold a whole release


@dataclass(frozen=True)
class Scale:
    """mean and std: (leads,) float64, mV, over all samples of some windows."""

    leads: tuple[str, ...]
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def scale(
    windows: Windows, rows: npt.NDArray[np.intp], leads: Sequence[str], together: bool = False
) -> Scale:
    """The statistics of the windows `rows`. A lead that is constant there has std 1.

    together: over all leads at once, so that one that is small stays small.
    """
    at = places(windows, leads)
    # Counted from a value near the mean, or a square and its mean would differ by rounding alone.
    near = windows.millivolts(rows[:1])[:, at].sum(axis=(0, 2)) / windows.steps.shape[2]  # (L,)
    total = np.zeros(len(at))
    squares = np.zeros(len(at))
    for start in range(0, len(rows), _CHUNK):
        part = windows.millivolts(rows[start : start + _CHUNK])[:, at]  # (n, L, T)
        part -= near[:, None]
        total += part.sum(axis=(0, 2), dtype=np.float64)
        squares += np.einsum("nlt,nlt->l", part, part, dtype=np.float64)
    count = max(len(rows) * windows.steps.shape[2], 1)
    if together:
        # Each lead was counted from a value of its own; its sum and squares from 0 are added up.
        near = near.astype(np.float64)
        squares = squares + 2 * near * total + count * near**2
        total = total + count * near
        mean = np.full(len(at), total.mean() / count)
        std = np.sqrt(np.maximum(squares.mean() / count - mean**2, 0))
    else:
        mean = near + total / count
        std = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    constant = std <= 1e-6 * np.abs(mean)  # what rounding to 16 bits leaves of equal values
    return Scale(tuple(leads), mean, np.where(constant, 1.0, std))


def learned(
    windows: Windows, rows: npt.NDArray[np.intp], leads: Sequence[str], way: str
) -> Scale | None:
    """What the training side `rows` has to tell for a way of normalising; None for no word of it.

    way: one of normalise.WAYS. For "none" it is a mean of 0 and a deviation of 1 mV.
    Raises ValueError for another way.
    """
    if way not in WAYS:
        raise ValueError(f"windows are not normalised by {way}; the ways are {WAYS}")
    if way in EACH:
        return None
    if way == "none":
        return Scale(tuple(leads), np.zeros(len(leads)), np.ones(len(leads)))
    return scale(windows, rows, leads, way == "together")


def measure(
    windows: Windows,
    rows: npt.NDArray[np.intp],
    leads: Sequence[str],
    way: str,
    told: Scale | None,
) -> "Scale | Each":
    """What the windows `rows` of one side are normalised by. told: by the training side."""
    if told is None:
        return each(windows, rows, leads, way)
    return scale(windows, rows, leads) if way == "own" else told


@dataclass(frozen=True)
class Inputs:
    """Windows `rows` of `windows` under `scale`: one for all, or what each is normalised by.

    labels: (n, C) bool, what they are taught as.
    """

    windows: Windows
    rows: npt.NDArray[np.intp]
    scale: Scale | Each
    labels: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, which: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """The inputs `which` (places among `rows`): (n, L, T) float32, normalised."""
        rows = self.rows[which]
        at = places(self.windows, self.scale.leads)
        gain = self.windows.gain[rows][:, at]  # (n, L)
        if isinstance(self.scale, Each):
            factor = gain * self.scale.factor[which]  # (n, L)
            shift = self.scale.offset[which] * self.scale.factor[which]  # (n, L)
        else:
            factor = gain / self.scale.std  # (n, L)
            shift = self.scale.mean / self.scale.std  # (L,)
        steps = self.windows.steps[rows]
        if len(at) < steps.shape[1]:
            steps = steps[:, at]
        scaled = steps * factor.astype(np.float32)[:, :, None]
        scaled -= shift.astype(np.float32)[..., None]
        return np.asarray(scaled, dtype=np.float32)
