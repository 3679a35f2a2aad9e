"""An ablation's table and what some terms bring, by hand."""

import dataclasses
import math

import pandas as pd
import pytest
from made_pairs import PATIENT

from pecg_utils import ablation
from pecg_utils.trial import Outcome

# (terms, repeat) -> top-1 accuracy and macro F1; each with its interval 0.1 below and 0.2 above.
TRIALS = {
    ("CE", 0): (0.50, 0.40),
    ("CE", 1): (0.60, 0.44),
    ("", 0): (0.65, 0.70),
    ("", 1): (0.69, 0.50),
}


def outcome(loss, repeat, values):
    scores = [
        (metric, label, value, value - 0.1, value + 0.2)
        for metric, value in zip(("top1", "f1"), values, strict=True)
        for label, value in (("a", 0.01), ("macro", value))
    ]
    return Outcome(
        protocol=dataclasses.replace(PATIENT, loss=loss, repeat=repeat),
        kind="twin",
        classes=("a",),
        targets=None,
        probabilities=None,
        answers=None,
        about=None,
        scores=pd.DataFrame(
            [*scores, ("auroc", "macro", 0.9, 0.8, 1.0)],
            columns=["metric", "label", "value", "low", "high"],
        ),
        facts={},
        curves=pd.DataFrame(),
        folds=(),
        folder=None,
    )


@pytest.fixture(scope="module")
def table():
    return ablation.rows([outcome(*which, values) for which, values in TRIALS.items()])


def test_a_row_is_a_trial_and_metric_with_macro_values(table):
    assert list(table.columns) == ["terms", "seed", "metric", "value", "low", "high"]
    assert table["terms"].tolist() == ["CE"] * 4 + ["whole"] * 4
    assert table["seed"].tolist() == [0, 0, 1, 1] * 2
    assert table["metric"].tolist() == ["top1", "f1"] * 4
    assert table["value"].tolist() == [0.5, 0.4, 0.6, 0.44, 0.65, 0.7, 0.69, 0.5]
    assert table["low"].tolist() == pytest.approx((table["value"] - 0.1).tolist())
    assert table["high"].tolist() == pytest.approx((table["value"] + 0.2).tolist())
    assert ablation.rows([]).empty


def test_a_gain_is_of_the_means_and_its_spread_the_larger_of_the_two(table):
    top = ablation.gain(table, "whole", "CE", "top1")
    assert top.gain == pytest.approx(0.67 - 0.55)
    assert top.spread == pytest.approx(0.10)  # of CE; 0.04 of the whole
    f1 = ablation.gain(table, "whole", "CE", "f1")
    assert f1.gain == pytest.approx(0.60 - 0.42)
    assert f1.spread == pytest.approx(0.20)  # of the whole; 0.04 of CE
    assert (top.seeds, f1.seeds) == (2, 2)
    back = ablation.gain(table, "CE", "whole", "top1")
    assert (back.gain, back.spread) == pytest.approx((-0.12, 0.10))


def test_other_terms_count_for_nothing_and_the_fewer_seeds_are_told(table):
    other = pd.DataFrame({"terms": "+ phi", "seed": [0, 1, 2], "metric": "top1"})
    other = other.assign(value=[0.1, 0.5, 0.9], low=math.nan, high=math.nan)
    more = pd.concat([table, other])
    assert ablation.gain(more, "whole", "CE", "top1") == ablation.gain(table, "whole", "CE", "top1")
    assert ablation.gain(more, "+ phi", "CE", "top1").seeds == 2
    few = more[(more["terms"] != "CE") | (more["seed"] == 0)]
    single = ablation.gain(few, "whole", "CE", "top1")
    assert single.seeds == 1
    assert single.gain == pytest.approx(0.67 - 0.50)
    assert single.spread == pytest.approx(0.04)
