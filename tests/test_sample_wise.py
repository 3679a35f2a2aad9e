"""F1 over recordings and over labels: against scikit-learn, by hand, and resampled by patients."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from pecg_utils import bootstrap, sample_wise
from pecg_utils.sample_wise import (
    COMMONEST,
    GIVEN,
    LABELS,
    NOTHING,
    SAMPLES,
    TPR,
    both_ways,
    table,
)


def made(seed=0, n=150, labels=6):
    """Targets, of which some carry nothing, and answers that are right more often than not."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n, labels)) < np.linspace(0.03, 0.5, labels)
    answers = targets ^ (rng.random((n, labels)) < 0.15)
    return targets, answers


def patient(i):
    return f"p{i // 2 if i % 3 else i}"


def outcome(targets, probabilities, records=None):
    """A trial's outcome as far as it is needed: some patients have more recordings than others."""
    number = np.arange(len(targets)) if records is None else records
    about = pd.DataFrame(
        {
            "record": [f"R{i}" for i in number],
            "start": 0.0,
            "patient": [patient(i) for i in number],
            "source": "twin",
        }
    )
    return SimpleNamespace(
        targets=targets,
        probabilities=probabilities,
        answers=np.zeros(targets.shape, bool),  # not to be used: decided elsewhere than at 0.5
        about=about,
    )


def test_both_ways_by_hand():
    """Labels NORM, MI, CD. Recordings: F1 1, 2/3, 0 and, without a label and an answer, 0."""
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    answers = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    found = both_ways(targets, answers)
    assert found.index.tolist() == [GIVEN, COMMONEST, NOTHING]
    assert found.columns.tolist() == [SAMPLES, TPR, LABELS]
    first = found.loc[GIVEN]
    assert first[SAMPLES] == pytest.approx((1 + 2 / 3 + 0 + 0) / 4)
    assert first[TPR] == pytest.approx((1 + 1 / 2 + 0 + 0) / 4)
    assert first[LABELS] == pytest.approx((4 / 5 + 0 + 0) / 3)
    everyone = found.loc[COMMONEST]  # NORM, as MI is no more common
    assert everyone[SAMPLES] == pytest.approx((1 + 2 / 3) / 4)
    assert everyone[TPR] == pytest.approx((1 + 1 / 2) / 4)
    assert everyone[LABELS] == pytest.approx(2 * 2 / (2 + 4) / 3)
    assert (found.loc[NOTHING] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_are_those_of_scikit_learn(seed):
    targets, answers = made(seed)
    assert not targets.any(axis=1).all()
    assert (~targets.any(axis=1) & ~answers.any(axis=1)).any()
    found = both_ways(targets, answers)
    most = np.argsort(targets.sum(axis=0))[-1]
    everyone = np.arange(targets.shape[1]) == np.full((len(targets), 1), most)
    for name, given in ((GIVEN, answers), (COMMONEST, everyone), (NOTHING, 0 * answers)):
        row = found.loc[name]
        expected = f1_score(targets, given, average="samples", zero_division=0)
        assert row[SAMPLES] == pytest.approx(expected)
        expected = recall_score(targets, given, average="samples", zero_division=0)
        assert row[TPR] == pytest.approx(expected)
        expected = f1_score(targets, given, average="macro", zero_division=0)
        assert row[LABELS] == pytest.approx(expected)
    assert found.loc[COMMONEST, SAMPLES] > 2 * found.loc[COMMONEST, LABELS]


def test_a_label_that_nobody_carries_counts_as_0():
    targets, answers = made()
    targets[:, 2] = answers[:, 2] = False
    expected = f1_score(targets, answers, average="macro", zero_division=0)
    assert both_ways(targets, answers).loc[GIVEN, LABELS] == pytest.approx(expected)


def test_a_table_has_both_of_each_trial_and_of_the_constant_answers():
    targets, answers = made()
    flat = np.where(answers, 0.5, 0.49).astype(np.float32)  # 0.5 is a yes
    found = table({"one": outcome(targets, flat), "two": outcome(targets, 1 - flat)}, 200)
    assert found.columns.tolist() == ["name", "metric", "value", "low", "high"]
    assert found["name"].tolist() == [
        *("one", "one", "two", "two", COMMONEST, COMMONEST, NOTHING, NOTHING)
    ]
    assert found["metric"].tolist() == [SAMPLES, LABELS] * 4
    values = found.set_index(["name", "metric"])["value"]
    expected = both_ways(targets, answers)
    for mine, theirs in (("one", GIVEN), (COMMONEST, COMMONEST), (NOTHING, NOTHING)):
        assert values[mine, SAMPLES] == pytest.approx(expected.loc[theirs, SAMPLES])
        assert values[mine, LABELS] == pytest.approx(expected.loc[theirs, LABELS])
    other = both_ways(targets, 1 - flat >= 0.5).loc[GIVEN]
    assert values["two", SAMPLES] == pytest.approx(other[SAMPLES])
    inside = found[found["name"] != NOTHING]
    assert (inside["low"] < inside["value"]).all()
    assert (inside["value"] < inside["high"]).all()
    assert (found.loc[found["name"] == NOTHING, ["value", "low", "high"]] == 0).all(axis=None)


def test_resamples_are_of_patients_and_written_out_give_the_same():
    targets, answers = made(n=60)
    trial = outcome(targets, answers.astype(np.float32))
    weights = bootstrap.resample_weights(trial.about["patient"], 40, seed=0)
    assert (pd.DataFrame(weights).groupby(trial.about["patient"]).nunique() == 1).all(axis=None)
    assert len(np.unique(weights.sum(axis=0))) > 10  # so many recordings have the drawn patients
    drawn = [np.repeat(np.arange(60), times) for times in weights.T]
    by_sample = [
        f1_score(targets[rows], answers[rows], average="samples", zero_division=0) for rows in drawn
    ]
    np.testing.assert_allclose(sample_wise.sample_wise(targets, answers, weights), by_sample)
    by_label = [  # a label that has lost every positive is left out, as everywhere in the book
        np.mean([
            f1_score(targets[rows, c], answers[rows, c], zero_division=0)
            for c in range(6)
            if targets[rows, c].any()
        ])
        for rows in drawn
    ]  # fmt: skip
    np.testing.assert_allclose(sample_wise.label_wise(targets, answers, weights), by_label)
    assert any(not targets[rows].any(axis=0).all() for rows in drawn)
    found = table({"one": trial}, 40).set_index(["name", "metric"])
    for metric, values in ((SAMPLES, by_sample), (LABELS, by_label)):
        limits = np.quantile(values, [0.025, 0.975])
        np.testing.assert_allclose(found.loc[("one", metric), ["low", "high"]], limits)


def test_label_wise_f1_is_the_one_of_the_book():
    targets, answers = made()
    groups = [patient(i) for i in range(150)]
    book = bootstrap.intervals(targets, answers.astype(float), groups, resamples=100)
    found = table({"one": outcome(targets, answers.astype(np.float32))}, 100)
    mine = found[found["metric"] == LABELS].iloc[0]
    np.testing.assert_allclose(
        mine[["value", "low", "high"]].astype(float),
        book.loc[("f1", "macro"), ["value", "low", "high"]],
    )


def test_trials_are_scored_where_all_of_them_tested():
    targets, answers = made()
    given = answers.astype(np.float32)
    rows = np.arange(50, 150)[::-1]
    part = outcome(targets[rows], 1 - given[rows], rows)
    found = table({"part": part, "whole": outcome(targets, given)}, 20)
    other_way = table({"whole": outcome(targets, given), "part": part}, 20)
    values = found.set_index(["name", "metric"])["value"]
    expected = both_ways(targets[50:], answers[50:])
    assert values["whole", SAMPLES] == pytest.approx(expected.loc[GIVEN, SAMPLES])
    assert values[COMMONEST, LABELS] == pytest.approx(expected.loc[COMMONEST, LABELS])
    other = both_ways(targets[50:], ~answers[50:])
    again = other_way.set_index(["name", "metric"])["value"]
    pd.testing.assert_series_equal(again[values.index], values)
    assert values["part", SAMPLES] == pytest.approx(other.loc[GIVEN, SAMPLES])


def test_what_cannot_be_compared():
    targets, answers = made()
    given = answers.astype(np.float32)
    with pytest.raises(ValueError, match="two and one give windows different labels"):
        table({"one": outcome(targets, given), "two": outcome(~targets, given)}, 5)
    apart = outcome(targets, given, np.arange(1000, 1150))
    with pytest.raises(ValueError, match="0 records"):
        table({"one": outcome(targets, given), "two": apart}, 5)
    with pytest.raises(ValueError, match="must be"):
        both_ways(targets, answers[:3])
    with pytest.raises(ValueError, match="must be"):
        both_ways(targets[:0], answers[:0])


def test_one_patient_has_no_interval():
    targets, answers = made(n=2)
    found = table({"one": outcome(targets, answers.astype(np.float32))}, 5)
    assert found[["low", "high"]].isna().all(axis=None)
    assert found["value"].notna().all()
