"""An ablation of a loss: the same model, split and data, with some terms and with several seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pecg_utils.trial import Outcome

WHOLE = "whole"
_METRICS = ("top1", "f1")


def rows(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row a trial and metric: terms, seed, metric, value, low, high, of macro values."""
    found = []
    for outcome in outcomes:
        terms, seed = outcome.protocol.loss or WHOLE, outcome.protocol.repeat
        for metric in _METRICS:
            value, low, high = outcome.value(metric)[["value", "low", "high"]]
            found.append((terms, seed, metric, value, low, high))
    return pd.DataFrame(found, columns=["terms", "seed", "metric", "value", "low", "high"])


@dataclass(frozen=True)
class Gain:
    """What some terms bring over others. gain: of the means over the seeds. spread: the largest
    distance between two seeds of the same terms, of either. seeds: how many there are of each."""

    gain: float
    spread: float
    seeds: int


def gain(table: pd.DataFrame, of: str, over: str, metric: str) -> Gain:
    """What the terms `of` bring over the terms `over`. table: as `rows` gives it."""
    values = table[table["metric"] == metric].groupby("terms")["value"]
    spread = (values.max() - values.min())[[of, over]].max()
    means, seeds = values.mean(), values.size()
    return Gain(float(means[of] - means[over]), float(spread), int(seeds[[of, over]].min()))
