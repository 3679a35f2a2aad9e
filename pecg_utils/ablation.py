"""An ablation of a loss: the same model, split and data, with some terms and with several seeds.

Two trials of one seed are of the same windows and patients, so that their difference has an
interval of its own, which is narrower than that of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pecg_utils import subgroups
from pecg_utils.trial import Outcome

WHOLE = "whole"
_METRICS = ("top1", "f1")


def rows(outcomes: Sequence[Outcome], resamples: int = 1000) -> pd.DataFrame:
    """One row a trial and metric: terms, seed, metric, value, low, high, of macro values.

    gain, gain_low, gain_high: the trial less that of the same seed with the first outcome's terms.
    """
    first = {o.protocol.repeat: o for o in outcomes if o.protocol.loss == outcomes[0].protocol.loss}
    found = []
    for outcome in outcomes:
        terms, seed = outcome.protocol.loss or WHOLE, outcome.protocol.repeat
        for metric in _METRICS:
            value, low, high = outcome.value(metric)[["value", "low", "high"]]
            gain = subgroups.difference(outcome, first[seed], metric, resamples, one_label=True)
            found.append((terms, seed, metric, value, low, high, *gain))
    columns = ["terms", "seed", "metric", "value", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(found, columns=columns)


@dataclass(frozen=True)
class Gain:
    """What the whole loss brings over the first terms. gain: the mean over the seeds. spread: the
    largest distance between two seeds of the same terms, of either. seeds: how many. shown: of how
    many of them the interval of the gain does not hold 0."""

    gain: float
    spread: float
    seeds: int
    shown: int


def gain(table: pd.DataFrame, metric: str) -> Gain:
    """What the whole loss brings in a metric. table: as `rows` gives it."""
    mine = table[table["metric"] == metric]
    first, whole = (mine[mine["terms"] == name] for name in (table["terms"].iloc[0], WHOLE))
    spread = max(of["value"].max() - of["value"].min() for of in (first, whole))
    shown = (whole["gain_low"] > 0) | (whole["gain_high"] < 0)
    return Gain(float(whole["gain"].mean()), float(spread), len(whole), int(shown.sum()))
