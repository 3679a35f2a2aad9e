"""The metrics of a classifier that gives each window one class, with intervals over patients.

| metric | for one class | `macro` |
| --- | --- | --- |
| top1 | none | share of the windows that are answered with their class |
| precision | TP / (TP + FP), 0 where the class is never answered | mean over the classes |
| recall | TP / (TP + FN) | mean over the classes |
| f1, f2 | (1 + b²) TP / ((1 + b²) TP + b² FN + FP) with b of 1 or 2 | mean over the classes |

The classes are those that have a window, and one without is NaN and left out of every mean (*ours*;
scikit-learn takes the classes of the truth and of the answers together, so that one wrong answer of
a class that no window has pulls down the mean of them all). A resample that misses every window of
one of these classes has no macro value: without a class that is hard to recognise the mean would be
higher, and an interval of such means would lie above its value. So the interval of a macro value is
over the resamples that hold every class, and n_defined says how many these are.

All of these follow from the confusion counts. A resample has each patient whole, so that its counts
are the patients' own, each times as often as the patient is drawn.
"""

from collections.abc import Hashable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pecg_utils import bootstrap
from pecg_utils.metrics import AUROC, AVERAGE_PRECISION, F1, MACRO, checked, label_names, macro

Floats = NDArray[np.float64]
Groups: TypeAlias = Sequence[Hashable] | NDArray[np.generic] | pd.Series

METRICS = ("top1", "precision", "recall", F1, "f2")

_BLOCK = 128  # resamples at a time, so that the float64 copy of their draws stays small


def intervals(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: Groups,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    parts: Groups | None = None,
) -> pd.DataFrame:
    """The metrics of `METRICS`, then AUROC and average precision, with their intervals.

    `targets` (N, C) holds one 1 a row, `probabilities` (N, C) finite scores of which the highest is
    the answer (the first of equal ones, *ours*). The rest, and the table, are as in
    `bootstrap.intervals`, which gives the rows of the AUROC and the average precision, each class
    against the others.

    Raises what `bootstrap.intervals` raises, and ValueError for a row of targets that is not of one
    class.
    """
    truth, given = checked(targets, probabilities)  # both (N, C)
    answers = given.argmax(axis=1)  # (N,)
    patients = bootstrap.patient_codes(groups, len(truth))  # (N,)
    count = int(patients.max()) + 1
    once = np.ones((count, 1), dtype=np.int32)  # (P, 1)
    value = scores_of(confusion(truth, answers, once, patients)).ravel()  # (M (C + 1),)
    limits = np.full((len(value), 2), np.nan)
    defined = np.zeros(len(value), dtype=np.int64)
    if count > 1:
        times = bootstrap.draws(count, resamples, seed)  # (P, R)
        counted = confusion(truth, answers, times, patients)  # (C, C, R)
        drawn = scores_of(counted, np.asarray(truth.any(axis=0)))  # (M, C + 1, R)
        limits, defined = bootstrap.middle(drawn.reshape(len(value), resamples), level)
    names = [*label_names(labels, truth.shape[1]), MACRO]
    decided = pd.DataFrame(
        {
            "value": value,
            "guess": np.nan,
            "low": limits[:, 0],
            "high": limits[:, 1],
            "n_defined": defined,
            "positives": np.tile(np.append(truth.sum(axis=0), len(truth)), len(METRICS)),
        },
        index=pd.MultiIndex.from_product([METRICS, names], names=["metric", "label"]),
    )
    ranked = bootstrap.intervals(
        truth,
        given,
        groups,
        resamples=resamples,
        seed=seed,
        level=level,
        labels=labels,
        parts=parts,
    )
    return pd.concat([decided, ranked.loc[[AUROC, AVERAGE_PRECISION]]])


def difference(
    targets: NDArray[np.bool_],
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    groups: Groups,
    metric: str,
    resamples: int = 1000,
) -> tuple[float, float, float]:
    """The macro metric of the answers `first` less that of `second`, and the ends of its interval.

    `targets` (N, C) has one True a row, `first` and `second` (N,) are numbers of classes, `groups`
    (N,) names the patient of each window. Each resample is of the same patients for both. The ends
    hold 95 % of the resamples; they are NaN with fewer than two patients.

    Raises what `confusion` and `bootstrap.patient_codes` raise, and ValueError for a metric that is
    not in `METRICS`.
    """
    if metric not in METRICS:
        raise ValueError(f"{metric} is none of {', '.join(METRICS)}")
    patients = bootstrap.patient_codes(groups, len(targets))  # (N,)
    count = int(patients.max()) + 1

    needed, place = np.asarray(targets.any(axis=0)), METRICS.index(metric)

    def less(times: NDArray[np.int32]) -> Floats:
        of_each = [
            scores_of(confusion(targets, answers, times, patients), needed)[place, -1]
            for answers in (first, second)
        ]
        result: Floats = of_each[0] - of_each[1]  # (R,)
        return result

    value = float(less(np.ones((count, 1), dtype=np.int32))[0])
    if count < 2:
        return value, float("nan"), float("nan")
    limits = bootstrap.middle(less(bootstrap.draws(count, resamples, seed=0))[None])[0]  # (1, 2)
    return value, float(limits[0, 0]), float(limits[0, 1])


def confusion(
    targets: NDArray[np.bool_],
    answers: NDArray[np.integer],
    weights: NDArray[np.int32],
    patients: NDArray[np.intp] | None = None,
) -> Floats:
    """How often each class (first axis) is answered as each (second) in each resample, (C, C, R).

    `targets` (N, C) has one True a row, `answers` (N,) are numbers of classes, `weights` (N, R) is
    how often each window is in each resample. With `patients` (N,), numbers from 0, it is how often
    each patient is, (P, R), which is many times quicker.

    Raises ValueError for a row of targets that is not of one class, answers that are not one class
    a row, and weights that are too few.
    """
    _check_one_a_row(targets)
    n_windows, n_classes = targets.shape
    if answers.shape != (n_windows,) or not np.isin(answers, np.arange(n_classes)).all():
        raise ValueError(f"each of {n_windows} windows needs one answer from 0 to {n_classes - 1}")
    rows = np.arange(n_windows) if patients is None else patients  # (N,)
    if len(rows) != n_windows or rows.max() >= len(weights):
        raise ValueError(f"{len(weights)} rows of weights do not fit {n_windows} windows")
    cells = targets.argmax(axis=1) * n_classes + answers  # (N,)
    shape = (n_classes**2, len(weights))
    counts = csr_array((np.ones(n_windows), (cells, rows)), shape=shape)  # (C C, P)
    result = np.empty((n_classes**2, weights.shape[1]))  # (C C, R)
    for start in range(0, weights.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        result[:, block] = counts @ weights[:, block].astype(np.float64)
    return result.reshape(n_classes, n_classes, -1)


def scores_of(
    counts: NDArray[np.floating] | NDArray[np.integer], needed: NDArray[np.bool_] | None = None
) -> Floats:
    """Every metric of every class and, last, its macro value, (M, C + 1, R), M as in `METRICS`.

    `counts` (C, C, R): true class, answered class, resample. A class without a window in a resample
    is NaN there and left out of the mean; one that never has any is left out everywhere (*ours*;
    scikit-learn would keep it where it is answered). Without a window of a class that is `needed`
    (C,), the macro values of a resample are NaN, but for top1.
    """
    windows = counts.sum(axis=1, dtype=np.float64)  # (C, R)
    answered = counts.sum(axis=0, dtype=np.float64)  # (C, R)
    hits = np.einsum("ccr->cr", counts).astype(np.float64)  # (C, R)
    total = windows.sum(axis=0)  # (R,)
    present = np.where(windows > 0, 1.0, np.nan)  # (C, R)

    result = np.full((len(METRICS), len(counts) + 1, counts.shape[2]), np.nan)  # (M, C + 1, R)
    result[0, -1] = hits.sum(axis=0) / np.where(total > 0, total, np.nan)
    result[1, :-1] = hits / np.where(answered > 0, answered, 1) * present  # never answered: 0
    result[2, :-1] = hits / (windows * present)
    for place, squared in ((3, 1), (4, 4)):
        # b² (TP + FN) + (TP + FP) is the denominator of F_b.
        result[place, :-1] = (1 + squared) * hits / (squared * windows * present + answered)
    result[1:, -1] = macro(result[1:, :-1].swapaxes(0, 1))
    if needed is not None:
        result[1:, -1, ~(windows[needed] > 0).all(axis=0)] = np.nan
    return result


def _check_one_a_row(targets: NDArray[np.bool_]) -> None:
    wrong = int((targets.sum(axis=1) != 1).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(targets)} rows of targets are not of exactly one class")
