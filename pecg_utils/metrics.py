"""The metrics of a multi-label classifier, for each label and over all of them.

| metric | for one label | `macro` |
| --- | --- | --- |
| hamming_loss | fraction of records decided wrongly | fraction of wrong (record, label) cells |
| hamming_loss_all_zero | the same had every answer been 'no' | the same over cells |
| f1 | 2 TP / (2 TP + FP + FN), 0 where that is 0 / 0 | mean over all labels |
| auroc | area under the ROC curve | mean over the labels that have both classes |
| average_precision | sum of precision × step of recall | mean over the labels that have both |

Hamming loss says little where labels are sparse: the all-zero answer beats most models, so the
two always stand side by side. A record is decided positive when its probability is at least the
threshold (*ours*; the benchmark paper gives 0.5 and not which side 0.5 itself falls on).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pecg_utils.errors import PecgError

HAMMING, ALL_ZERO, F1 = "hamming_loss", "hamming_loss_all_zero", "f1"
AUROC, AVERAGE_PRECISION = "auroc", "average_precision"
METRICS = (HAMMING, ALL_ZERO, F1, AUROC, AVERAGE_PRECISION)
MACRO = "macro"
WORDS = {  # what people call the macro value of each; the last are of one_label and challenge_score
    AUROC: "macro AUROC",
    AVERAGE_PRECISION: "macro average precision",
    F1: "macro F1",
    HAMMING: "Hamming loss",
    "top1": "top-1 accuracy",
    "precision": "macro precision",
    "recall": "macro recall",
    "f2": "macro F2",
    "challenge_score": "Challenge score",
}


def scores(
    targets: ArrayLike,
    probabilities: ArrayLike,
    threshold: float = 0.5,
    *,
    labels: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Every metric of the module's table, by scikit-learn.

    `targets` (N, C) holds 0 and 1, `probabilities` (N, C) any finite scores. `labels` names the
    C columns; without it they are called '0', '1', ….

    Returns one row a (metric, label), `macro` the last label of each metric, with the columns
    `value`, NaN where undefined; `labels_defined`, how many labels the value is taken over (0
    or 1 in the row of one label); and `positives`, the positive cells among the targets.

    Raises ValueError for shapes that do not fit, targets other than 0 and 1, or label names that
    are too few, repeated or 'macro'. Raises PecgError for a probability that is not finite.
    """
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    truth, given = checked(targets, probabilities)  # both (N, C)
    names = label_names(labels, truth.shape[1])
    decided = given >= threshold  # (N, C)

    values = {metric: np.full(len(names), np.nan) for metric in METRICS}  # each (C,)
    values[HAMMING] = (truth != decided).mean(axis=0)
    values[ALL_ZERO] = truth.mean(axis=0)
    for c in range(len(names)):
        values[F1][c] = f1_score(truth[:, c], decided[:, c], zero_division=0)
        if truth[:, c].any() and not truth[:, c].all():
            values[AUROC][c] = roc_auc_score(truth[:, c], given[:, c])
            values[AVERAGE_PRECISION][c] = average_precision_score(truth[:, c], given[:, c])

    defined = {metric: np.isfinite(of_labels) for metric, of_labels in values.items()}
    return pd.DataFrame(
        {
            "value": np.concatenate([np.append(v, macro(v)) for v in values.values()]),
            "labels_defined": np.concatenate([np.append(d, d.sum()) for d in defined.values()]),
            "positives": np.tile(np.append(truth.sum(axis=0), truth.sum()), len(METRICS)),
        },
        index=pd.MultiIndex.from_product([METRICS, [*names, MACRO]], names=["metric", "label"]),
    )


def macro(of_labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the labels that are defined, (...), from values (C, ...) with NaN elsewhere.

    NaN where no label is defined.
    """
    defined = np.isfinite(of_labels)
    total = np.where(defined, of_labels, 0).sum(axis=0)
    count = defined.sum(axis=0)
    result: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def label_names(labels: Sequence[str] | None, count: int) -> list[str]:
    """The names of `count` labels, checked, or '0', '1', … when none are given.

    Raises ValueError when they are not `count` different names, or one of them is 'macro'.
    """
    names = [str(c) for c in range(count)] if labels is None else [str(name) for name in labels]
    if len(names) != count or len({*names, MACRO}) != count + 1:
        raise ValueError(f"{count} different label names without '{MACRO}' are needed: {names}")
    return names


def checked(
    targets: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """`targets` as booleans and `probabilities` as float64, both (N, C) with N and C above 0.

    Raises ValueError for shapes that do not fit and targets other than 0 and 1, PecgError for a
    probability that is not finite.
    """
    raw = np.asarray(targets)
    given = np.asarray(probabilities, dtype=np.float64)
    if raw.ndim != 2 or raw.shape != given.shape or raw.size == 0:
        raise ValueError(
            "targets and probabilities must be of one shape (N, C), not "
            f"{raw.shape} and {given.shape}"
        )
    truth = raw.astype(bool)
    if (truth != raw).any():
        raise ValueError("targets must be 0 and 1 only")
    wrong = int((~np.isfinite(given)).sum())
    if wrong:
        raise PecgError(
            f"{wrong} of the {given.size} probabilities to be scored are not finite: the model "
            "has diverged. Train it again with a lower learning rate."
        )
    return truth, given
