"""The metric of the PhysioNet/CinC Challenges of 2020 and 2021.

A record with the labels L and the answers O adds 1 / |L ∪ O| to A[j, k] for each j in L and k in
O. With the weight w[j, k] that the answer k earns where j is true, and s(A) = sum of w A,

    score = (s(A) - s(inactive)) / (s(correct) - s(inactive))

where 'correct' answers with the labels and 'inactive' with sinus rhythm alone: 1 is perfect, 0 is
no better than calling everyone normal, and it may be negative (Perez Alday et al. 2020; Reyna et
al. 2021). A wrong answer still earns its weight, which is higher for classes of like treatment.

The edges are those of the organisers' program (evaluate_model.py of the repository
physionetchallenges/evaluation-2021): a record without labels or
without answers adds nothing, and the score is 0 where inactive answers are as good as correct
ones, as when every record is of sinus rhythm alone or has no label (versions of 2020's program give
NaN there).

Every record adds its own part to s, (its row of L w, times O, summed) / |L ∪ O|. So no A is ever
made, and a resample of patients is a weighted sum of parts.
"""

from collections.abc import Hashable, Sequence
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pecg_utils.bootstrap import resample_weights
from pecg_utils.data import challenge
from pecg_utils.errors import PecgError
from pecg_utils.metrics import checked

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Groups: TypeAlias = Sequence[Hashable] | NDArray[np.generic] | pd.Series
Table: TypeAlias = ArrayLike | pd.DataFrame

NORMAL = "NSR"
_BLOCK = 1024  # records at a time, so that the float64 copy of their draws stays small


def weights(year: int = 2021, path: Path | None = None) -> pd.DataFrame:
    """What each answer (column) earns where each class (row) is true, (C, C).

    The classes are those of `challenge.class_names(year)`, in that order: 26 in 2021, 24 in 2020.
    The weights of 2020 are those of 2021 without BBB and PRWP, where LBBB stands for the later
    CLBBB|LBBB; they equal the weights.csv of 2020 number by number, as read in a team's copy of
    it. `path` reads another CSV of the same form, comments behind '#'.

    Raises PecgError for another year, and for a file that does not hold a finite number for each
    pair of these classes, or not in this order, rows and columns alike.
    """
    if year not in challenge.RELEASE_RECORDINGS:
        raise PecgError(f"There was no Challenge of {year} with this metric: give 2020 or 2021.")
    names = list(challenge.class_names(year))
    where = "the package's challenge_weights.csv" if path is None else str(path)
    try:
        held = resources.files(challenge.__package__).joinpath("challenge_weights.csv")
        text = (held if path is None else path).read_text(encoding="utf-8")
        table = pd.read_csv(StringIO(text), comment="#", index_col=0).astype(np.float64)
    except (OSError, ValueError) as error:
        raise PecgError(f"{where} is no readable table of weights: {error}") from error
    if path is None and year == 2020:
        table = table.rename(index={"CLBBB|LBBB": "LBBB"}, columns={"CLBBB|LBBB": "LBBB"})
        table = table.loc[names, names]
    _check_weights(table, names, where)
    return table


def score(targets: Table, outputs: Table, weights: pd.DataFrame, normal: str = NORMAL) -> float:
    """The Challenge's metric of the module's head.

    targets, outputs: (N, C), 0 and 1 or booleans. The columns of a table must be the classes of
    `weights`, in their order; arrays without names have the order of the Challenge's classes in
    2020 or 2021, and so must `weights`. normal: the class of the inactive answer.

    Raises ValueError for shapes that do not fit or values other than 0 and 1, PecgError for
    classes in another order and for `normal` not among them.
    """
    above, gain = _parts(targets, outputs, weights, normal)  # (N,) each
    return float(_ratio(above.sum(), gain.sum(), undefined=0.0))


def intervals(
    targets: Table,
    outputs: Table,
    groups: Groups,
    weights: pd.DataFrame,
    resamples: int = 1000,
    seed: int = 0,
    normal: str = NORMAL,
) -> tuple[float, float, float]:
    """The score and the ends of its 95 % percentile interval over resampled patients.

    targets, outputs and weights as in `score`; groups: (N,) the patient of each record. Resamples
    in which correct answers are worth no more than inactive ones are left out (*ours*), for the
    score of 0 that is defined there would say nothing of the model. The ends are NaN where no
    resample is left, and with fewer than two patients.

    Raises what `score` and `bootstrap.resample_weights` raise, and ValueError for `groups` of
    another length.
    """
    above, gain = _parts(targets, outputs, weights, normal)  # (N,) each
    value = float(_ratio(above.sum(), gain.sum(), undefined=0.0))
    if len(groups) != len(above):
        raise ValueError(f"{len(groups)} groups for {len(above)} records: one a record is needed")
    drawn = resample_weights(groups, resamples, seed)  # (N, R)
    if len(set(groups)) < 2:
        return value, float("nan"), float("nan")
    parts = np.stack([above, gain])  # (2, N)
    sums = np.zeros((2, resamples))  # (2, R)
    for start in range(0, len(above), _BLOCK):
        sums += parts[:, start : start + _BLOCK] @ drawn[start : start + _BLOCK]
    values = _ratio(sums[0], sums[1], undefined=np.nan)  # (R,)
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (np.nan, np.nan)
    return value, float(low), float(high)


def _parts(
    targets: Table, outputs: Table, weights: pd.DataFrame, normal: str
) -> tuple[Floats, Floats]:
    """What each record adds to s(A) - s(inactive) and to s(correct) - s(inactive), (N,) each."""
    check_order((targets, outputs), weights)
    if normal not in weights.columns:
        raise PecgError(f"The weights have no class {normal}: give the name of sinus rhythm.")
    truth, raw = checked(targets, outputs)  # (N, C) each
    answers = raw.astype(bool)
    if (answers != raw).any():
        raise ValueError("outputs must be 0 and 1 only: decide by thresholds first")
    inactive = np.zeros_like(truth)  # (N, C)
    inactive[:, weights.columns.get_loc(normal)] = True
    earns = truth @ weights.to_numpy(np.float64)  # (N, C)

    def parts(given: Bools) -> Floats:
        union = np.maximum((truth | given).sum(axis=1), 1)  # (N,)
        result: Floats = (earns * given).sum(axis=1) / union
        return result

    base = parts(inactive)
    return parts(answers) - base, parts(truth) - base


def _ratio(above: Floats, gain: Floats, undefined: float) -> Floats:
    """above / gain, and `undefined` where correct answers gain nothing."""
    nothing = np.equal(gain, 0)
    result: Floats = np.where(nothing, undefined, above / np.where(nothing, 1.0, gain))
    return result


def _check_weights(table: pd.DataFrame, names: Sequence[str], where: str) -> None:
    if list(table.index) != list(names) or list(table.columns) != list(names):
        raise PecgError(
            f"The rows and columns of {where} must both be the {len(names)} classes in this "
            f"order: {', '.join(names)}."
        )
    if not np.isfinite(table.to_numpy(np.float64)).all():
        raise PecgError(f"{where} lacks a weight: give a number for each pair of classes.")


def check_order(tables: Sequence[Table], weights: pd.DataFrame) -> None:
    """Raise PecgError unless the weights' classes are those of the tables' columns, in order.

    The columns of a bare array are the Challenge's classes, of 2020 where it has 24, else of 2021.
    """
    years = [list(challenge.class_names(year)) for year in (2021, 2020)]
    for table in tables:
        if isinstance(table, pd.DataFrame):
            names = list(table.columns)
        else:
            names = next((n for n in years if np.shape(table)[1:] == (len(n),)), years[0])
        _check_weights(weights, names, "the weights")
