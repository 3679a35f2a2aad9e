"""Whether several models can be told apart at all: their ranks over blocks.

In each block, here a seed with a test fold, the models are ranked, 1 the best. Where they are all
alike their mean ranks differ by chance alone, and Friedman's test says how easily. If it finds a
difference, Nemenyi's says which: two models are told apart whose mean ranks are further apart than

    critical difference = q sqrt(k (k + 1) / (6 N)) for k models and N blocks,

q the studentised range for k groups and endless degrees of freedom, over sqrt(2) (Demšar 2006,
*Statistical comparisons of classifiers over multiple data sets*, JMLR 7:1-30; his table 5 has q).
His blocks are datasets, drawn apart from each other. Folds and seeds of one dataset are not: the
training sides of two folds share most of their recordings, and two seeds of a fold share all of
them. So both tests take chance for less than it is, and find differences too easily.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
import pandas as pd

CAUTION = (
    "The blocks are no independent evidence, as their training sides share recordings, so the test "
    "says more than it should (*ours*)."
)


@dataclass(frozen=True)
class Ranks:
    """How models rank. mean: model -> mean rank over the blocks, the best first; ties share.

    p: of Friedman's chi-square, NaN with fewer than three models or two blocks. critical: the
    distance of mean ranks from which on two models are told apart at `level`. told_apart: such
    pairs, the better one first; none unless p is below the level. groups: the longest runs of
    models, in order of rank, no two of which are told apart.
    """

    mean: pd.Series
    blocks: int
    level: float
    p: float
    critical: float
    groups: tuple[tuple[str, ...], ...]
    told_apart: tuple[tuple[str, str], ...]


def compare(table: pd.DataFrame, level: float = 0.05) -> Ranks:
    """Rank the models of `table`: one row a model and block, with model, block and value.

    The higher a value the better. Raises ValueError for a model and block without a value or with
    several, an empty table, and a `level` outside 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} must be in (0, 1)")
    values = _complete(table)  # blocks × models
    count, blocks = len(values.columns), len(values)
    mean = values.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    p, critical = _friedman(values), critical_difference(count, blocks, level)
    told_apart: list[tuple[str, str]] = []
    if p < level:
        told_apart = [
            (better, worse)
            for place, better in enumerate(mean.index)
            for worse in mean.index[place + 1 :]
            if mean[worse] - mean[better] > critical
        ]
    groups = _runs(list(mean.index), told_apart)
    return Ranks(mean, blocks, level, p, critical, groups, tuple(told_apart))


def critical_difference(models: int, blocks: int, level: float = 0.05) -> float:
    """Nemenyi's, of mean ranks. NaN with fewer than two models."""
    from scipy.stats import studentized_range

    if models < 2:
        return nan
    q = float(studentized_range.ppf(1 - level, models, inf)) / sqrt(2)
    return q * sqrt(models * (models + 1) / (6 * blocks))


def in_words(ranks: Ranks) -> str:
    """What `ranks` come to, in plain sentences."""
    count = len(ranks.mean)
    blocks = f"{ranks.blocks} block{'s' if ranks.blocks > 1 else ''}"
    if np.isnan(ranks.p):
        return (
            f"{count} model{'s' if count > 1 else ''} in {blocks} cannot be tested for a "
            "difference in rank: at least three models and two blocks are needed. Nothing is told "
            "apart."
        )
    p = f"p = {ranks.p:.3f}" if ranks.p >= 0.001 else "p < 0.001"
    tested = f"{count} models in {blocks}, Friedman's {p}"
    if ranks.p >= ranks.level:
        return (
            f"At this size no model can be told from any other ({tested}): chance alone makes "
            f"ranks as different as these. {CAUTION}"
        )
    if not ranks.told_apart:
        return (
            f"The models are not all alike ({tested}), but which of them differ cannot be told at "
            f"this size: no two mean ranks are further apart than {ranks.critical:.2f}. {CAUTION}"
        )
    better: dict[tuple[str, ...], list[str]] = {}  # those below -> those above all of them
    for model in ranks.mean.index:
        below = tuple(worse for one, worse in ranks.told_apart if one == model)
        if below:
            better.setdefault(below, []).append(model)
    pairs = "; ".join(f"{_listed(ones)} above {_listed(below)}" for below, ones in better.items())
    every = len(ranks.told_apart) == count * (count - 1) // 2
    rest = "" if every else " No other two can be told apart at this size."
    return (
        f"Told apart, as their mean ranks are more than {ranks.critical:.2f} from each other "
        f"({tested}): {pairs}.{rest} {CAUTION}"
    )


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    """The values, blocks × models in the order of the table."""
    if table.empty:
        raise ValueError("there is no value to rank")
    doubled = table.duplicated(["model", "block"])
    if doubled.any():
        first = table[doubled].iloc[0]
        raise ValueError(f"{first['model']} has several values in block {first['block']}")
    models, blocks = (table[name].unique() for name in ("model", "block"))
    values = table.pivot(index="block", columns="model", values="value")
    values = values.reindex(index=blocks, columns=models).astype(float)
    missing = np.argwhere(~np.isfinite(values.to_numpy()))
    if len(missing):
        block, model = missing[0]
        raise ValueError(f"{models[model]} has no value in block {blocks[block]}")
    return values


def _friedman(values: pd.DataFrame) -> float:
    from scipy.stats import friedmanchisquare

    blocks, count = values.shape
    if count < 3 or blocks < 2:
        return nan
    if (values.nunique(axis=1) == 1).all():  # 0 / 0 there: nothing differs
        return 1.0
    return float(friedmanchisquare(*values.to_numpy().T).pvalue)


def _runs(
    models: Sequence[str], told_apart: Sequence[tuple[str, str]]
) -> tuple[tuple[str, ...], ...]:
    """The longest runs of `models` without a pair that is told apart; one model may be a run."""
    apart = set(told_apart)
    found: list[tuple[str, ...]] = []
    reached = 0  # how far the run before goes
    for start, model in enumerate(models):
        # Ranks rise: who is told apart from the first is the nearest that can be.
        end = start + 1
        while end < len(models) and (model, models[end]) not in apart:
            end += 1
        if end > reached:
            found.append(tuple(models[start:end]))
            reached = end
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
