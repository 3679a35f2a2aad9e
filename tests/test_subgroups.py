"""Parts of a test side, and two trials on the same recordings."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pecg_utils import challenge_score, subgroups
from pecg_utils.bootstrap import resample_weights
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.subgroups import EVERYWHERE, by_site, difference, differences
from pecg_utils.trial import Outcome, Protocol

PLAN = Protocol("cnn_ecg_mamba", TWELVE_LEADS, "12-lead", "file", folds=3)
W = challenge_score.weights()


def outcome(skill, rows=None, seed=0, protocol=PLAN, apart=False):
    """200 recordings at three sites, of 100 proxies; the probabilities follow the labels.

    apart: a model for each site in place of three folds. Each model has a scale of its own.
    """
    generator = np.random.default_rng(5)
    targets = generator.random((200, 26)) < np.linspace(0.1, 0.4, 26)
    noise = np.random.default_rng(seed).random((200, 26))
    probabilities = (skill * targets + (1 - skill) * noise).astype(np.float32)
    number = np.arange(200)
    about = pd.DataFrame(
        {
            "record": [f"R{i}" for i in number],
            "start": 0.0,
            "patient": "unknown",
            "proxy": [f"p{i // 2}" for i in number],
            "site": np.repeat(["north", "east", "south"], [120, 60, 20]),
        }
    )
    model = np.repeat([0, 1, 2], [120, 60, 20]) if apart else number % 3
    about["model"] = model
    probabilities = 0.1 * probabilities + 0.3 * model[:, None].astype(np.float32)
    chosen = number if rows is None else rows
    return Outcome(
        protocol=protocol,
        kind="twin",
        classes=tuple(W.columns),
        targets=targets[chosen],
        probabilities=probabilities[chosen],
        answers=probabilities[chosen] >= 0.05 + 0.3 * model[chosen, None],
        about=about.iloc[chosen].reset_index(drop=True),
        scores=pd.DataFrame(),
        facts={"weights": 1234, "seconds": 5.4},
        curves=pd.DataFrame(),
        folds=(),
        folder=None,
    )


# The second trial tested the two larger sites alone, in another order.
GOOD, POOR = outcome(0.4), outcome(0.1, np.arange(180)[::-1], seed=1, apart=True)


def within(given, rows, parts):
    """The macro AUROC, where only pairs of one part count, by scikit-learn."""
    values = []
    for c in range(26):
        right = pairs = 0.0
        for part in np.unique(parts):
            of = rows[parts == part]
            truth = given.targets[of, c]
            count = truth.sum() * (~truth).sum()
            if count:
                right += count * roc_auc_score(truth, given.probabilities[of, c])
                pairs += count
        if pairs:
            values.append(right / pairs)
    return np.mean(values)


def rows_of(given, numbers):
    """Where these recordings stand in an outcome, in their own order."""
    at = pd.Series(np.arange(len(given.about)), index=given.about["record"])
    return at.loc[[f"R{i}" for i in numbers]].to_numpy()


def test_sites_are_scored_on_the_recordings_that_both_tested():
    table = by_site({"pooled": GOOD, "left out": POOR}, resamples=50)
    assert table["site"].tolist() == ["north"] * 2 + ["east"] * 2 + [EVERYWHERE] * 2
    assert table["recordings"].tolist() == [120, 120, 60, 60, 180, 180]
    assert table["protocol"].tolist() == ["pooled", "left out"] * 3
    for row in table.itertuples():
        which = {"north": slice(0, 120), "east": slice(120, 180), EVERYWHERE: slice(0, 180)}
        given = GOOD if row.protocol == "pooled" else POOR
        numbers = np.arange(200)[which[row.site]]
        parts = numbers % 3 + 10 * (numbers >= 120)  # the folds of the one, the sites of the other
        assert row.value == pytest.approx(within(given, rows_of(given, numbers), parts))
        assert row.low < row.value < row.high


def test_a_site_is_the_source_where_there_is_none_and_the_score_has_weights():
    bare = [
        dataclasses.replace(o, about=o.about.rename(columns={"site": "source"}))
        for o in (GOOD, POOR)
    ]
    found = by_site({"a": bare[0], "b": bare[1]}, "challenge_score", 50, W)
    expected = by_site({"a": GOOD, "b": POOR}, "challenge_score", 50, W)
    pd.testing.assert_frame_equal(found, expected)
    north = GOOD.about["site"] == "north"
    value = challenge_score.score(GOOD.targets[north], GOOD.answers[north], W)
    assert found["value"].iloc[0] == pytest.approx(value)


def test_a_difference_is_of_the_same_recordings_and_draws_the_same_patients():
    value, low, high = difference(GOOD, POOR, resamples=200)
    numbers = np.arange(180)
    parts = numbers % 3 + 10 * (numbers >= 120)
    first, second = (within(o, rows_of(o, numbers), parts) for o in (GOOD, POOR))
    assert value == pytest.approx(first - second)
    assert low < value < high
    assert difference(POOR, GOOD, resamples=200) == pytest.approx((-value, -high, -low))
    assert difference(GOOD, GOOD, resamples=50) == (0.0, 0.0, 0.0)
    order = np.array(sorted(numbers, key=lambda i: (GOOD.about["site"][i], f"R{i}")))
    weights = resample_weights(order // 2, 200, seed=0)
    wrong = [(o.targets != (o.probabilities >= 0.5)).mean(axis=1) for o in (GOOD, POOR)]
    apart = wrong[0][order] - wrong[1][rows_of(POOR, order)]
    ends = np.quantile(apart @ weights / weights.sum(axis=0), [0.025, 0.975])
    assert difference(GOOD, POOR, "hamming_loss", 200)[1:] == pytest.approx(tuple(ends))
    # of two alike trials the interval is narrower than the two intervals side by side
    near = outcome(0.4)
    near.probabilities[::7] += 0.001
    alike = difference(GOOD, near, resamples=200)
    own = by_site({"a": GOOD}, resamples=200).iloc[-1]
    assert alike[2] - alike[1] < 0.5 * (own["high"] - own["low"])


def test_rows_that_all_tested_are_of_the_same_windows_in_one_order():
    some = outcome(0.2, np.arange(60, 200, 2)[::-1], seed=2)
    three = [GOOD, POOR, some]
    found = subgroups.tested_by_all(three)
    names = [o.about["record"].iloc[rows].tolist() for o, rows in zip(three, found, strict=True)]
    assert names[0] == names[1] == names[2]
    assert sorted(names[0]) == sorted(f"R{i}" for i in range(60, 180, 2))
    (alone,) = subgroups.tested_by_all([some])
    assert sorted(alone) == list(range(70))
    moved = dataclasses.replace(GOOD, about=GOOD.about.assign(start=1.0))  # other windows
    assert [len(rows) for rows in subgroups.tested_by_all([moved, GOOD])] == [0, 0]


def test_parts_are_named_by_what_was_changed_and_counted():
    stem = dataclasses.replace(PLAN, changes=(("depth", 0), ("pool", "mean")))
    short = dataclasses.replace(PLAN, windows="windows of 10 s")
    other = dataclasses.replace(PLAN, model="resnet1d", changes=(("blocks", 1),))
    changed = [outcome(0.3, protocol=protocol) for protocol in (stem, short, other)]
    table = differences(GOOD, changed, 50)
    assert table["part"].tolist() == [
        "the whole model",
        "depth 0, pool mean",
        "windows of 10 s",
        "resnet1d",
    ]
    value, low, high = difference(changed[0], GOOD, "auroc", 50)
    assert table["macro AUROC"].tolist()[:2] == ["", f"{value:+.3f} ({low:+.3f} to {high:+.3f})"]
    assert set(table["weights"]) == {"1,234"}
    assert set(table["seconds of training"]) == {"5"}


def test_thresholds_of_the_test_side_flatter():
    table = subgroups.thresholds(GOOD, W, 50)
    assert table["name"].tolist()[-1] == "chosen on the test side itself"
    assert table["value"].iloc[2] > table["value"].iloc[0]
    for place, answers in enumerate([GOOD.probabilities >= 0.5, GOOD.answers]):
        expected = challenge_score.score(GOOD.targets, answers, W)
        assert table["value"].iloc[place] == pytest.approx(expected)


def chosen(skill, rows=None, seed=0):
    """As `outcome`, of the first three classes, one a recording, of which the likeliest answers."""
    given = outcome(skill, rows, seed)
    targets = np.eye(3, dtype=bool)[given.targets[:, :3].argmax(axis=1)]
    probabilities = given.probabilities[:, :3] + 0.06 * targets  # (n, 3)
    scores = pd.DataFrame({"metric": ["top1"], "label": "macro", "value": 0.5})
    return dataclasses.replace(
        given,
        classes=tuple("abc"),
        targets=targets,
        probabilities=probabilities,
        answers=np.eye(3, dtype=bool)[probabilities.argmax(axis=1)],
        scores=scores,
    )


def test_distances_are_a_row_a_pair_and_metric_each_the_first_less_the_second():
    good, poor, few = chosen(0.4), chosen(0.1, seed=1), chosen(0.0, np.arange(150)[::-1], 2)
    pairs = {"good less poor": (good, poor), "few less good": (few, good)}
    table = subgroups.distances(pairs, ("top1", "f1"), 60)
    assert list(table.columns) == ["name", "metric", "value", "low", "high"]
    assert table["name"].tolist() == ["good less poor"] * 2 + ["few less good"] * 2
    assert table["metric"].tolist() == ["top1", "f1"] * 2
    for row in table.itertuples():
        expected = difference(*pairs[row.name], row.metric, 60, one_label=True)
        assert (row.value, row.low, row.high) == expected
    right = [(o.answers & o.targets).any(axis=1)[rows_of(o, range(150))] for o in (few, good)]
    assert table["value"].iloc[2] == pytest.approx(right[0].mean() - right[1].mean())
    assert table["value"].iloc[0] > 0 > table["value"].iloc[2]


def test_distances_of_several_labels_take_the_f1_of_several_labels():
    scores = pd.DataFrame({"metric": ["auroc", "f1"], "label": "macro", "value": 0.5})
    two = tuple(dataclasses.replace(o, scores=scores) for o in (GOOD, POOR))
    table = subgroups.distances({"a": two}, ("hamming_loss", "f1"), 30)
    assert table[["value", "low", "high"]].to_numpy().tolist() == [
        list(difference(GOOD, POOR, metric, 30)) for metric in ("hamming_loss", "f1")
    ]
