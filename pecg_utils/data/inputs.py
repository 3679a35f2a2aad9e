"""The windows of one side of a split, as a model eats them: leads by name, normalised.

Normalisation is a z-score a lead. Its mean and standard deviation come from the training side; the
paper's reproduction takes them from each side itself (arXiv 2510.03780; see the chapter's audit),
which a deployed model could not do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError

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
    places = _places(windows, leads)
    # Counted from a value near the mean, or a square and its mean would differ by rounding alone.
    near = windows.millivolts(rows[:1])[:, places].sum(axis=(0, 2)) / windows.steps.shape[2]  # (L,)
    total = np.zeros(len(places))
    squares = np.zeros(len(places))
    for start in range(0, len(rows), _CHUNK):
        part = windows.millivolts(rows[start : start + _CHUNK])[:, places]  # (n, L, T)
        part -= near[:, None]
        total += part.sum(axis=(0, 2), dtype=np.float64)
        squares += np.einsum("nlt,nlt->l", part, part, dtype=np.float64)
    count = max(len(rows) * windows.steps.shape[2], 1)
    if together:
        # Each lead was counted from a value of its own; its sum and squares from 0 are added up.
        near = near.astype(np.float64)
        squares = squares + 2 * near * total + count * near**2
        total = total + count * near
        mean = np.full(len(places), total.mean() / count)
        std = np.sqrt(np.maximum(squares.mean() / count - mean**2, 0))
    else:
        mean = near + total / count
        std = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    constant = std <= 1e-6 * np.abs(mean)  # what rounding to 16 bits leaves of equal values
    return Scale(tuple(leads), mean, np.where(constant, 1.0, std))


@dataclass(frozen=True)
class Inputs:
    """Windows `rows` of `windows` under `scale`. labels: (n, C) bool, what they are taught as."""

    windows: Windows
    rows: npt.NDArray[np.intp]
    scale: Scale
    labels: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, which: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """The inputs `which` (places among `rows`): (n, L, T) float32, in standard deviations."""
        rows = self.rows[which]
        places = _places(self.windows, self.scale.leads)
        factor = self.windows.gain[rows][:, places] / self.scale.std  # (n, L)
        steps = self.windows.steps[rows]
        if len(places) < steps.shape[1]:
            steps = steps[:, places]
        shift = (self.scale.mean / self.scale.std).astype(np.float32)  # (L,)
        scaled = steps * factor.astype(np.float32)[:, :, None]
        scaled -= shift[:, None]
        return np.asarray(scaled, dtype=np.float32)


def _places(windows: Windows, leads: Sequence[str]) -> list[int]:
    have = windows.settings.leads
    missing = [lead for lead in leads if lead not in have]
    if missing:
        raise PecgError(f"These windows have no lead {', '.join(missing)}; they have {have}.")
    return [have.index(lead) for lead in leads]
