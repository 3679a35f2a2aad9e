"""Thresholds that suit the metric of the PhysioNet/CinC Challenges, one a class.

The metric pays for a wrong answer too, so its best thresholds lie well below 0.5, and those of the
classes hang together through |L ∪ O|. They are found by coordinate ascent: all classes start at
one threshold, then each in turn takes the best cut between any two of its probabilities, until no
class gains any more.

With the other classes held, answering one class as well changes a record's part of the score by a
number that does not depend on where the cut is. The running sum of these numbers down the falling
probabilities is therefore the gain at every cut at once. A class costs O(N) and no A is made; a
coarser grid of thresholds would save nothing.
"""

import numpy as np
import pandas as pd

from pecg_utils.challenge_score import Bools, Floats, Groups, Table, check_order
from pecg_utils.metrics import checked

# Where the ascent starts, every class alike (*ours*): the usual decision, and a low one, as the
# metric likes many answers. The better end is kept.
_STARTS = (0.5, 0.1)
_SWEEPS = 50  # far more than any ascent has needed; a bound all the same
_GAIN = 1e-9  # of summed parts: less is rounding


def thresholds(
    targets: Table, probabilities: Table, weights: pd.DataFrame, groups: Groups | None = None
) -> Floats:
    """Thresholds (C,) that maximise the score: a class is answered where p >= its threshold.

    Choose them on the training or validation folds and never on the records that the score is
    reported of: with 26 free numbers the metric is flattered on what they were chosen on.

    targets (N, C) holds 0 and 1, probabilities (N, C) numbers from 0 to 1, columns as in `score`.
    With groups (N,) each patient counts the same however many records there are (*ours*); without,
    each record does, as in `score`. A class that is best never answered has the threshold inf.

    The same each time. The end may be a local maximum, but never one below 0.5 for all classes.

    Raises what `score` raises, and ValueError for probabilities outside 0 to 1.
    """
    check_order((targets, probabilities), weights)
    truth, given = checked(targets, probabilities)  # (N, C) each
    if given.min() < 0 or given.max() > 1:
        raise ValueError("probabilities must lie between 0 and 1")
    share = np.ones(len(truth))  # (N,)
    if groups is not None:
        if len(groups) != len(truth):
            raise ValueError(f"{len(groups)} groups for {len(truth)} records")
        patient = pd.factorize(pd.Index(groups), use_na_sentinel=False)[0]  # (N,)
        share = 1 / np.bincount(patient)[patient]
    ends = [_ascend(truth, given, weights.to_numpy(np.float64), share, at) for at in _STARTS]
    return max(ends, key=lambda end: end[0])[1]


def _ascend(
    truth: Bools, given: Floats, w: Floats, share: Floats, start: float
) -> tuple[float, Floats]:
    """What `thresholds` tells, from one start: the shared sum of parts, and the thresholds (C,)."""
    n_classes = truth.shape[1]
    earns = truth @ w  # (N, C) of each answer, before the division
    order = np.argsort(-given, axis=0, kind="stable")  # (N, C)
    falling = np.take_along_axis(given, order, axis=0)  # (N, C)
    chosen = np.full(n_classes, start)  # (C,)
    answered = given >= start  # (N, C)
    earned = (earns * answered).sum(axis=1)  # (N,) by all answers
    union = (truth | answered).sum(axis=1)  # (N,)
    total = float((share * earned / np.maximum(union, 1)).sum())
    for _ in range(_SWEEPS):
        before = total
        for c in range(n_classes):
            without = earned - earns[:, c] * answered[:, c]  # (N,) the other classes alone
            fewer = union - (answered[:, c] & ~truth[:, c])  # (N,)
            more = fewer + ~truth[:, c]  # (N,)
            unanswered = share * without / np.maximum(fewer, 1)  # (N,)
            change = share * (without + earns[:, c]) / more - unanswered  # (N,)
            sums = unanswered.sum() + np.append(0.0, np.cumsum(change[order[:, c]]))  # (N + 1,)
            column = falling[:, c]
            tied = np.flatnonzero(column[1:] == column[:-1]) + 1  # no cut within a tie
            sums[tied] = -np.inf
            cut = int(np.argmax(sums))  # so many records are answered
            if sums[cut] <= total + _GAIN:
                continue
            chosen[c] = _between(column, cut)
            answered[:, c] = given[:, c] >= chosen[c]
            earned = without + earns[:, c] * answered[:, c]
            union = fewer + (answered[:, c] & ~truth[:, c])
            total = float(sums[cut])
        if total <= before + _GAIN:
            break
    return total, chosen


def _between(falling: Floats, cut: int) -> float:
    """The threshold that the first `cut` of `falling` reach and no other: midway, as it can be."""
    if cut == 0:
        return float("inf")
    if cut == len(falling):
        return 0.0
    above, below = float(falling[cut - 1]), float(falling[cut])
    middle = (above + below) / 2
    return middle if middle > below else above  # neighbours among floats have no middle
