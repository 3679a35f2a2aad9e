"""F1 averaged over recordings, beside F1 averaged over labels: two numbers of one name.

MRM-Net's released code (wxhdf/MRM c581ee6, utils.py:115-158) reckons F1 and the true positive rate
of each recording by itself, over its labels decided at 0.5, and averages over recordings. With Y
the labels that a recording carries and A those that it is answered with,

    F1 of a recording  = 2 |Y and A| / (|Y| + |A|)
    TPR of a recording = |Y and A| / |Y|

That weighs a label by how many carry it: a label that every second recording has, given to every
recording, earns much, and a rare one that is never answered costs next to nothing. The macro F1 of
metrics.py, label-wise here, weighs each label alike. As coded there, a recording that carries no
label is 0 / 0; it counts as 0 here (*ours*, scikit-learn's zero_division=0), also where rightly
nothing is answered.

Two constant answers stand beside the models: what is earned without looking at an ECG.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pecg_utils import bootstrap
from pecg_utils.data.recording import people
from pecg_utils.metrics import macro
from pecg_utils.subgroups import tested_by_all
from pecg_utils.trial import Outcome

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

GIVEN, COMMONEST, NOTHING = "the answers", "the most common label to everyone", "nothing"
CONSTANT = (COMMONEST, NOTHING)
SAMPLES, LABELS, TPR = "sample-wise F1", "label-wise F1", "sample-wise TPR"


def both_ways(targets: Flags, answers: Flags) -> pd.DataFrame:
    """The scores of `answers` (n, C) to `targets` (n, C), and of the constant answers.

    Rows: GIVEN and those of CONSTANT. Columns: SAMPLES, TPR and LABELS. A label that is neither
    carried nor answered has F1 0.

    Raises ValueError for shapes that differ or are empty.
    """
    rows = {GIVEN: answers, **constant(targets)}
    once = np.ones((len(targets), 1), dtype=np.int32)  # (n, 1)
    found = {
        name: {
            SAMPLES: float(f1_of_each(targets, given).mean()),
            TPR: float(tpr_of_each(targets, given).mean()),
            LABELS: float(label_wise(targets, given, once)[0]),
        }
        for name, given in rows.items()
    }
    return pd.DataFrame.from_dict(found, orient="index")


def table(outcomes: Mapping[str, Outcome], resamples: int = 1000) -> pd.DataFrame:
    """Both F1 of each trial with their intervals over patients: name, metric, value, low, high.

    outcomes: what to call each trial -> its outcome. On the windows that all of them tested,
    decided at 0.5 as in the released code. Last come the constant answers to the same windows. The
    ends hold 95 % of the resamples and are NaN with fewer than two patients.

    Raises ValueError where trials give a window different labels, or test none in common.
    """
    shared = tested_by_all(list(outcomes.values()))
    order = np.argsort(shared[0])  # the first's own, for the same resamples as of its other scores
    shared = [rows[order] for rows in shared]
    first = next(iter(outcomes.values()))
    targets = first.targets[shared[0]]  # (n, C)
    given = {}
    for (name, outcome), rows in zip(outcomes.items(), shared, strict=True):
        if not np.array_equal(outcome.targets[rows], targets):
            raise ValueError(f"{name} and {next(iter(outcomes))} give windows different labels")
        given[name] = outcome.probabilities[rows] >= 0.5  # (n, C)
    who = people(first.about.iloc[shared[0]])
    weights = bootstrap.resample_weights(who, resamples, seed=0)  # (n, R)
    several = who.nunique() > 1
    found = []
    for name, answers in {**given, **constant(targets)}.items():
        for metric, score in ((SAMPLES, sample_wise), (LABELS, label_wise)):
            value = score(targets, answers, np.ones((len(targets), 1), dtype=np.int32))[0]
            low, high = np.nan, np.nan
            if several:
                low, high = bootstrap.middle(score(targets, answers, weights)[None])[0][0]
            found.append((name, metric, float(value), float(low), float(high)))
    return pd.DataFrame(found, columns=["name", "metric", "value", "low", "high"])


def constant(targets: Flags) -> dict[str, Flags]:
    """Answers (n, C) that are the same for every recording, by the names of CONSTANT.

    The most common label is that of `targets`, hence of the side that is scored: no model is needed
    to know it, and it is the same on any large side. The first of equally common ones.
    """
    nothing = np.zeros(targets.shape, dtype=bool)  # (n, C)
    commonest = nothing.copy()
    commonest[:, targets.sum(axis=0).argmax()] = True
    return {COMMONEST: commonest, NOTHING: nothing}


def f1_of_each(targets: Flags, answers: Flags) -> Floats:
    """F1 of each recording over its labels, (n,); 0 where nothing is carried nor answered."""
    both, carried, answered = _counted(targets, answers)
    return 2 * both / np.maximum(carried + answered, 1)


def tpr_of_each(targets: Flags, answers: Flags) -> Floats:
    """The part of each recording's labels that is answered, (n,); 0 where it carries none."""
    both, carried, _ = _counted(targets, answers)
    return both / np.maximum(carried, 1)


def sample_wise(targets: Flags, answers: Flags, weights: NDArray[np.int32]) -> Floats:
    """The mean over recordings of their F1 in each resample, (R,), of weights (n, R)."""
    mean: Floats = f1_of_each(targets, answers) @ weights / weights.sum(axis=0)
    return mean


def label_wise(targets: Flags, answers: Flags, weights: NDArray[np.int32]) -> Floats:
    """The mean over labels of their F1 in each resample, (R,), as `bootstrap.intervals` has it."""
    positive, called, both = (
        csr_array(of.T, dtype=np.float64) @ weights  # (C, R)
        for of in (targets, answers, targets & answers)
    )
    carried = np.asarray(targets.any(axis=0))[:, None]  # (C, 1)
    return macro(bootstrap.f1_of_counts(positive, called, both, carried))


def _counted(targets: Flags, answers: Flags) -> tuple[Floats, Floats, Floats]:
    """Of each recording the labels that are carried and answered, carried, and answered, (n,)."""
    if targets.shape != answers.shape or targets.ndim != 2 or targets.size == 0:
        raise ValueError(f"targets {targets.shape} and answers {answers.shape} must be (n, C)")
    both, carried, answered = (
        of.sum(axis=1, dtype=np.float64) for of in (targets & answers, targets, answers)
    )
    return both, carried, answered
