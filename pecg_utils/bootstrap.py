"""Bootstrap intervals over patients, for every metric at once.

A resample draws as many patients as there are, with replacement, and a patient's records all come
along: records of one child are no independent evidence (Efron and Tibshirani 1993, *An
Introduction to the Bootstrap*, chapter 8: resample what was sampled). A resample is kept as the
number of times that each record is in it, so that nothing is copied: each label's records are
sorted by score once, and every resample's counts follow from sums of these weights.

With records in falling order of score, and for each group of tied scores h positives in it, T
positives and A records down to its end, F negatives before it and f in it:

    AUROC             = sum of h (negatives - F - f / 2) / (positives × negatives)
    average precision = sum of h T / A / positives

The percentile interval of an average precision leans upwards where a label is rare: a positive
drawn twice raises the precision at its own score.

Scores of different models have no common scale. Where several models each scored a part of the
records, as in a cross-validation, these parts are given as `parts`, and only records of one part
are ranked together: the AUROC is then the share of right pairs among the pairs of a part, the
average precision the mean over the parts, each weighing as many as it has positives.

Only the groups that hold a positive count, so a label costs one sparse matrix product. The sums
are whole numbers in float64, hence exact, and the values are those of scikit-learn on the
resample written out.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from pecg_utils.metrics import METRICS, checked, label_names, macro, scores

Floats = NDArray[np.float64]

# Resamples taken at a time: the weights of 2,158 records then fit a core's cache.
_BLOCK = 128


def intervals(
    targets: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[Hashable] | NDArray[np.generic] | pd.Series,
    *,
    resamples: int = 1000,
    seed: int = 0,
    threshold: float = 0.5,
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    parts: Sequence[Hashable] | NDArray[np.generic] | pd.Series | None = None,
) -> pd.DataFrame:
    """Every metric of `metrics.scores` with its percentile interval over resampled patients.

    `targets` (N, C) holds 0 and 1, `probabilities` (N, C) finite scores, `groups` (N,) the
    patient of each record. `labels` names the C columns. `parts` (N,): which model scored a record,
    where it was not one for all.

    Returns one row a (metric, label) with the columns `value` (on all records); `guess`, what the
    average precision of a label is for equal scores, which is its share of the records of a part,
    and NaN for the other metrics; `low` and `high`,
    which hold the middle `level` of the resamples; `n_defined`, how many resamples had the metric
    defined; and `positives`. In a resample that misses every positive of a label its F1, AUROC and
    average precision are undefined, and the macro value is the mean over the other labels: were the
    F1 taken as 0 there, the interval of a macro F1 could lie below its value. A label without a
    positive on all records has F1 0 throughout, as in `value`. The interval is NaN where no
    resample is defined, and everywhere (`n_defined` 0) with fewer than two patients.

    Raises what `metrics.scores` raises, and ValueError for `groups` of another length or with
    missing values, and for a `level` outside 0 to 1 or no resamples.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples {resamples} must be positive and level {level} in (0, 1)")
    truth, given = checked(targets, probabilities)  # both (N, C)
    names = label_names(labels, truth.shape[1])
    table = scores(truth, given, threshold, labels=names)
    patients = patient_codes(groups, len(truth))  # (N,)
    of = None if parts is None else patient_codes(parts, len(truth))  # (N,)
    if of is not None:  # what scikit-learn reckons over all records is not asked for
        whole = np.ones((len(truth), 1), dtype=np.int32)
        areas = resampled(truth, given, whole, threshold, of)[3:, :, 0]  # (2, C)
        for metric, values in zip(METRICS[3:], areas, strict=True):
            table.loc[metric, "value"] = np.append(values, macro(values))

    table["guess"] = np.nan
    equal = resampled(truth, np.zeros(truth.shape), np.ones((len(truth), 1), np.int32), parts=of)
    table.loc[METRICS[4], "guess"] = np.append(equal[4, :, 0], macro(equal[4, :, 0]))
    limits = np.full((len(table), 2), np.nan)
    defined = np.zeros(len(table), dtype=np.int64)
    if patients.max() > 0:
        weights = resample_weights(patients, resamples, seed)  # (N, R)
        drawn = resampled(truth, given, weights, threshold, of)  # (M, C, R)
        rows = np.concatenate([drawn, macro(drawn.swapaxes(0, 1))[:, None]], axis=1)
        limits, defined = middle(rows.reshape(len(table), resamples), level)

    return pd.DataFrame(
        {
            "value": table["value"],
            "guess": table["guess"],
            "low": limits[:, 0],
            "high": limits[:, 1],
            "n_defined": defined,
            "positives": table["positives"],
        }
    )


def resample_weights(
    groups: Sequence[Hashable] | NDArray[np.generic] | pd.Series, resamples: int, seed: int
) -> NDArray[np.int32]:
    """How often each record is in each resample, (N, R): the same for all records of a patient.

    `groups` (N,) names the patient of each record. Each column draws as many patients as there
    are, with replacement. The same groups, in whatever names, and seed give the same weights.

    Raises ValueError for missing values among `groups`.
    """
    patients = patient_codes(groups, len(groups))  # (N,)
    weights: NDArray[np.int32] = draws(int(patients.max()) + 1, resamples, seed)[patients]  # (N, R)
    return weights


def draws(count: int, resamples: int, seed: int) -> NDArray[np.int32]:
    """How often each of `count` patients is in each resample of as many, (P, R).

    A row a patient, in the order of `patient_codes`.
    """
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, count), dtype=np.int32)  # (R, P)
    for resample in drawn:
        resample[:] = np.bincount(generator.integers(count, size=count), minlength=count)
    return np.ascontiguousarray(drawn.T)


def middle(drawn: Floats, level: float = 0.95) -> tuple[Floats, NDArray[np.int64]]:
    """The ends (K, 2) of the middle `level` of each row of `drawn` (K, R), and how many count (K,).

    Only finite values count; the ends are NaN where a row has none.
    """
    limits = np.full((len(drawn), 2), np.nan)
    defined = np.isfinite(drawn).sum(axis=1)  # (K,)
    tail = (1 - level) / 2
    for i in np.flatnonzero(defined):
        limits[i] = np.quantile(drawn[i][np.isfinite(drawn[i])], [tail, 1 - tail])
    return limits, defined


def patient_codes(
    groups: Sequence[Hashable] | NDArray[np.generic] | pd.Series, n_records: int
) -> NDArray[np.intp]:
    """The patients of `groups` as numbers from 0 in order of appearance, (N,).

    Raises ValueError where they are not one for each of `n_records`, or one is missing.
    """
    codes: NDArray[np.intp] = pd.factorize(pd.Index(groups))[0]
    if len(codes) != n_records or n_records == 0:
        raise ValueError(f"{len(codes)} groups for {n_records} records: one a record is needed")
    if (codes < 0).any():
        raise ValueError(f"{(codes < 0).sum()} records have no patient in groups")
    return codes


def resampled(
    targets: NDArray[np.bool_],
    probabilities: Floats,
    weights: NDArray[np.int32],
    threshold: float = 0.5,
    parts: NDArray[np.intp] | None = None,
) -> Floats:
    """Every metric of every label in every resample, (M, C, R), M in the order of `METRICS`.

    `targets` and `probabilities` are (N, C), `weights` (N, R) as from `resample_weights`, `parts`
    (N,) numbers the model that scored each record; without it one scored them all. AUROC and
    average precision are NaN in a resample where the label lacks a class, F1 where it has lost
    every positive.
    """
    decided = probabilities >= threshold  # (N, C)
    positive = csr_array(targets.T, dtype=np.float64)  # (C, N)
    called = csr_array(decided.T, dtype=np.float64)  # (C, N)
    both = csr_array((targets & decided).T, dtype=np.float64)  # (C, N)
    carried = np.asarray(targets.any(axis=0))[:, None]  # (C, 1)
    members = [slice(None)] if parts is None else _members(parts)
    rankings = [
        [(rows, _Ranking(targets[rows, c], probabilities[rows, c])) for rows in members]
        for c in range(targets.shape[1])
    ]

    result = np.empty((len(METRICS), targets.shape[1], weights.shape[1]))  # (M, C, R)
    for start in range(0, weights.shape[1], _BLOCK):
        block = weights[:, start : start + _BLOCK].astype(np.float64)  # (N, r)
        total = block.sum(axis=0)  # (r,)
        n_positive, n_called, hits = positive @ block, called @ block, both @ block  # (C, r)
        out = result[:, :, start : start + _BLOCK]  # (M, C, r)
        out[0] = (n_positive + n_called - 2 * hits) / total
        out[1] = n_positive / total
        out[2] = f1_of_counts(n_positive, n_called, hits, carried)
        for c, of_label in enumerate(rankings):
            found = [ranking.areas(block[rows]) for rows, ranking in of_label]
            out[3, c], out[4, c] = _joined(found)
    return result


def f1_of_counts(
    n_positive: Floats, n_called: Floats, hits: Floats, carried: NDArray[np.bool_]
) -> Floats:
    """F1 of counts (C, R): positives, answers of yes, and both. carried: (C, 1), ever positive.

    0 / 0 counts as 0, but NaN where a label that is carried has lost every positive.
    """
    values = 2 * hits / np.maximum(n_positive + n_called, 1)  # (C, R)
    return np.where((n_positive == 0) & carried, np.nan, values)


def _members(parts: NDArray[np.intp]) -> "list[slice | NDArray[np.intp]]":
    """The records of each part, by number."""
    return [np.flatnonzero(parts == part) for part in np.unique(parts)]


def _joined(found: list[tuple[Floats, Floats, Floats, Floats]]) -> tuple[Floats, Floats]:
    """AUROC and average precision, (r,) each, of the parts' own, with positives and negatives."""
    if len(found) == 1:
        return found[0][:2]
    area, mean, positives, negatives = (np.stack(each) for each in zip(*found, strict=True))
    pairs = positives * negatives  # (parts, r)
    held = np.where(pairs > 0, positives, 0)  # (parts, r)
    lacking = np.where(pairs.sum(axis=0) > 0, 1.0, np.nan)  # (r,)
    area = np.nansum(area * pairs, axis=0) / np.maximum(pairs.sum(axis=0), 1) * lacking
    mean = np.nansum(mean * held, axis=0) / np.maximum(held.sum(axis=0), 1) * lacking
    return area, mean


class _Ranking:
    """One label's records in falling order of score, ready for any resample's weights."""

    def __init__(self, targets: NDArray[np.bool_], probabilities: Floats) -> None:
        order = np.argsort(-probabilities, kind="stable")  # (N,)
        hit = targets[order]  # (N,)
        falls = np.diff(probabilities[order], prepend=np.inf) != 0  # (N,) a new tie begins
        tie = np.cumsum(falls) - 1  # (N,) 0, 0, 1, 2, 2 …
        holds = np.bincount(tie[hit], minlength=tie[-1] + 1) > 0  # (ties,) has a positive
        # Ties without a positive melt into the gaps between those with one. Gaps are the even
        # segments and ties with positives the odd ones, so that gap 0 is before tie 1.
        segment = (2 * np.cumsum(holds) - holds)[tie]  # (N,)
        n_ties = int(holds.sum())
        self._segments = _row_sums(order, segment, 2 * n_ties + 1, len(order))
        self._hits = _row_sums(order[hit], segment[hit] // 2, n_ties, len(order))

    def areas(self, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """AUROC, average precision, positives and negatives, (r,) each, under `weights` (N, r)."""
        hits = self._hits @ weights  # (T, r) positives in each tie that has one
        found = np.cumsum(hits, axis=0)  # (T, r) positives down to its end
        seen = np.cumsum(self._segments @ weights, axis=0)  # (2T + 1, r) records
        before, upto = seen[:-1:2], seen[1::2]  # (T, r) records before each tie, and to its end
        positives = hits.sum(axis=0)  # (r,)
        negatives = weights.sum(axis=0) - positives  # (r,)
        # Twice the negatives below a tie plus those in it, so that halves stay whole numbers.
        below = 2 * (negatives + found) - upto - before - hits  # (T, r)
        lacking = (positives == 0) | (negatives == 0)
        area = (hits * below).sum(axis=0) / np.where(lacking, np.nan, 2 * positives * negatives)
        precision = found / np.maximum(upto, 1)  # a tie that was not drawn has no hits either
        mean = (hits * precision).sum(axis=0) / np.where(lacking, np.nan, positives)
        return area, mean, positives, negatives


def _row_sums(
    records: NDArray[np.intp], rows: NDArray[np.intp], n_rows: int, n_records: int
) -> csr_array:
    """The matrix (n_rows, n_records) that adds each of `records` into its row of `rows`."""
    return csr_array((np.ones(len(records)), (rows, records)), shape=(n_rows, n_records))
