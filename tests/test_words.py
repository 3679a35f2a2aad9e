"""Distances between trials in words; other sentences are tested beside their pages."""

import math

import pandas as pd

from pecg_utils import words


def table(rows):
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])


def test_a_distance_is_a_row_a_name_in_the_order_given_with_its_sign():
    shown = words.distances(
        table(
            [
                ("z less a", "top1", 0.25, 0.2, 0.3125),
                ("z less a", "f1", -0.0625, -0.1, 0.02),
                ("a less b", "top1", 0.0, -0.01, 0.01),
                ("a less b", "f1", 0.5, 0.4, 0.6),
            ]
        )
    )
    assert shown.index.tolist() == ["z less a", "a less b"]
    assert list(shown.columns) == ["top-1 accuracy", "macro F1"]
    assert shown.loc["z less a"].tolist() == [
        "+0.250 (+0.200 to +0.312)",
        "-0.062 (-0.100 to +0.020)",
    ]
    assert shown.loc["a less b"].tolist() == [
        "+0.000 (-0.010 to +0.010)",
        "+0.500 (+0.400 to +0.600)",
    ]
    assert (shown.index.name, shown.columns.name) == (None, None)


def test_a_distance_without_an_interval_is_the_value_alone():
    shown = words.distances(table([("a less b", "f1", 0.5, math.nan, math.nan)]))
    assert shown.loc["a less b", "macro F1"] == "+0.500"


def test_a_distance_without_a_value_is_undefined():
    rows = [
        ("a less b", "f1", math.nan, math.nan, math.nan),
        ("a less b", "auroc", math.nan, -0.1, 0.1),  # resamples may have one all the same
        ("c less b", "f1", 0.25, 0.125, 0.5),
        ("c less b", "auroc", 0.0, math.nan, math.nan),
    ]
    shown = words.distances(table(rows))
    assert shown.loc["a less b"].tolist() == ["undefined", "undefined"]
    assert shown.loc["c less b"].tolist() == ["+0.250 (+0.125 to +0.500)", "+0.000"]
