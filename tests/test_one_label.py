"""Metrics of one class a window: equal to scikit-learn on resamples written out, by patient."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, fbeta_score, precision_recall_fscore_support
from test_subgroups import outcome

from pecg_utils import bootstrap, metrics, subgroups
from pecg_utils.errors import PecgError
from pecg_utils.one_label import METRICS, confusion, difference, intervals, scores_of


def made_up(n_windows, n_classes, patients=12, seed=0):
    """Targets (the last class rare), scores that often find them, and the patient of each."""
    generator = np.random.default_rng(seed)
    shares = np.append(np.full(n_classes - 1, 0.97 / (n_classes - 1)), 0.03)
    targets = np.eye(n_classes, dtype=bool)[generator.choice(n_classes, n_windows, p=shares)]
    scores = targets + 1.3 * generator.random((n_windows, n_classes))
    return targets, scores, generator.integers(0, patients, n_windows)


def written_out(truth, answers, weights, n_classes):
    """(M, C + 1, R) by scikit-learn on each resample's windows, over the classes that they have."""
    result = np.full((len(METRICS), n_classes + 1, weights.shape[1]), np.nan)
    for r in range(weights.shape[1]):
        rows = np.repeat(np.arange(len(truth)), weights[:, r])
        true, answered = truth[rows], answers[rows]
        labels = np.unique(true)
        result[0, -1, r] = accuracy_score(true, answered)
        of_classes = precision_recall_fscore_support(
            true, answered, labels=labels, zero_division=0
        )[:3]
        of_all = precision_recall_fscore_support(
            true, answered, labels=labels, average="macro", zero_division=0
        )[:3]
        result[1:4, labels, r], result[1:4, -1, r] = of_classes, of_all
        for average, place in ((None, labels), ("macro", -1)):
            result[4, place, r] = fbeta_score(
                true, answered, beta=2, labels=labels, average=average, zero_division=0
            )
    return result


def whole_alone(drawn, truth, weights):
    """`drawn`, as written out, without the macro values of resamples that miss a class."""
    held = [set(truth[of > 0]) == set(truth) for of in weights.T]
    drawn[1:, -1, ~np.array(held)] = np.nan  # top1 is of windows, not of classes
    return drawn


@st.composite
def small_cases(draw):
    n, n_classes = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    numbers = st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return n_classes, np.array(draw(numbers)), np.array(draw(numbers)), np.array(weights)[:, None]


@settings(deadline=None, max_examples=150)
@given(small_cases())
def test_every_value_equals_scikit_learn(case):
    n_classes, truth, answers, weights = case
    found = scores_of(confusion(np.eye(n_classes, dtype=bool)[truth], answers, weights))
    np.testing.assert_allclose(found, written_out(truth, answers, weights, n_classes), atol=1e-12)


def test_the_confusion_of_patients_is_that_of_their_windows_and_draws():
    targets, scores, who = made_up(400, 5, patients=30)
    answers, patients = scores.argmax(axis=1), bootstrap.patient_codes(who, 400)
    times = bootstrap.draws(30, 300, seed=4)
    weights = bootstrap.resample_weights(who, 300, seed=4)
    np.testing.assert_array_equal(times[patients], weights)  # the draws that bootstrap.py makes
    found = confusion(targets, answers, times, patients)
    np.testing.assert_array_equal(found, confusion(targets, answers, weights))
    for r in (0, 127, 128, 299):
        rows = np.repeat(np.arange(400), weights[:, r])
        expected = np.zeros((5, 5))
        np.add.at(expected, (targets[rows].argmax(axis=1), answers[rows]), 1)
        np.testing.assert_array_equal(found[:, :, r], expected)


def test_a_case_solved_by_hand():
    """Class 0: 3 of 4 found, 1 false; class 1: 1 of 2, 1 false; class 2, without a window: 1 false;
    class 3: never answered."""
    counts = np.zeros((4, 4, 1))
    counts[0, 0], counts[0, 1], counts[1, 1], counts[1, 2], counts[3, 0] = 3, 1, 1, 1, 1
    found = scores_of(counts)[:, :, 0]
    none = np.nan
    expected = [
        [none, none, none, none, 4 / 7],
        [3 / 4, 1 / 2, none, 0, 5 / 12],
        [3 / 4, 1 / 2, none, 0, 5 / 12],
        [3 / 4, 1 / 2, none, 0, 5 / 12],
        [3 / 4, 1 / 2, none, 0, 5 / 12],
    ]
    np.testing.assert_allclose(found, expected)
    # Two found of four, no false one: P 1, R 1/2, F1 2/3, F2 5 x 2 / (5 x 2 + 4 x 2) = 5/9.
    half = np.array([[2, 2], [0, 0]])[:, :, None]
    np.testing.assert_allclose(scores_of(half)[:, 0, 0], [none, 1, 1 / 2, 2 / 3, 5 / 9])
    assert np.isnan(scores_of(np.zeros((2, 2, 1)))).all()  # no window at all


def test_the_interval_holds_the_middle_of_the_resamples():
    targets, scores, who = made_up(150, 4, patients=60, seed=1)
    table = intervals(targets, scores, who, resamples=80, seed=2, level=0.9, labels=list("abcd"))
    weights = bootstrap.resample_weights(who, 80, seed=2)
    answers, truth = scores.argmax(axis=1), targets.argmax(axis=1)
    drawn = whole_alone(written_out(truth, answers, weights, 4), truth, weights)
    value = written_out(truth, answers, np.ones((150, 1), dtype=int), 4)[:, :, 0]
    assert table.index[:5].tolist() == [("top1", name) for name in [*"abcd", "macro"]]
    own = table.iloc[: 5 * len(METRICS)]
    np.testing.assert_allclose(own["value"], value.ravel())
    for row, values in zip(own.itertuples(), drawn.reshape(len(own), 80), strict=True):
        kept = values[np.isfinite(values)]
        assert row.n_defined == len(kept)
        ends = np.quantile(kept, [0.05, 0.95]) if len(kept) else (np.nan, np.nan)
        np.testing.assert_allclose([row.low, row.high], ends)
    defined = own["n_defined"]
    assert 0 < defined[("f1", "d")] < 80  # the rare class is missing now and then
    assert defined[("f1", "macro")] == defined[("f1", "d")]
    assert defined[("top1", "macro")] == 80
    assert own["positives"].loc["recall"].tolist() == [*targets.sum(axis=0), 150]


def test_the_table_is_that_of_the_bootstrap_and_ends_with_its_areas():
    targets, scores, who = made_up(120, 3)
    parts = np.arange(120) % 2
    more = {"resamples": 30, "seed": 3, "level": 0.8, "labels": list("abc"), "parts": parts}
    found, whole = (by(targets, scores, who, **more) for by in (intervals, bootstrap.intervals))
    areas = ["auroc", "average_precision"]
    pd.testing.assert_frame_equal(found.loc[areas], whole.loc[areas])
    assert found.index.get_level_values(0).unique().tolist() == [*METRICS, *areas]
    assert found.index.names == whole.index.names
    pd.testing.assert_series_equal(found.dtypes, whole.dtypes)
    assert (found["guess"].notna() == (found.index.get_level_values(0) == areas[1])).all()
    assert set(METRICS) <= set(metrics.WORDS)


def test_a_class_without_a_window_is_left_out_of_every_mean():
    targets = np.eye(3, dtype=bool)[[0, 0, 1, 1]]
    scores = np.eye(3)[[0, 2, 1, 1]]  # the third class is answered once, and nobody has it
    table = intervals(targets, scores, [1, 2, 3, 4], resamples=40)
    assert table.loc[("recall", "macro"), "value"] == 0.75
    assert table.loc[("precision", "macro"), "value"] == 1
    assert table.loc[("f1", "2"), ["value", "low", "high"]].isna().all()
    assert table.loc[("f1", "2"), "n_defined"] == 0
    # A class that nobody has is not asked of a resample; the two others are, by four patients.
    drawn = bootstrap.draws(4, 40, seed=0)
    both = drawn[:2].any(axis=0) & drawn[2:].any(axis=0)
    assert table.loc[("f1", "macro"), "n_defined"] == both.sum() < 40
    assert table.loc[("top1", "macro"), "n_defined"] == 40
    alone = intervals(targets, scores, ["x"] * 4, resamples=40)
    assert alone[["low", "high"]].isna().all(axis=None)
    assert (alone["n_defined"] == 0).all()
    assert alone.loc[("top1", "macro"), "value"] == 0.75


def test_a_difference_draws_the_same_patients_for_both():
    targets, scores, who = made_up(200, 3, patients=25)
    first = scores.argmax(axis=1)
    second = np.where(np.arange(200) % 9, first, 0)
    weights = bootstrap.resample_weights(who, 60, seed=0)
    truth, once = targets.argmax(axis=1), np.ones((200, 1), dtype=int)
    drawn, value = (
        np.subtract(*(written_out(truth, answers, w, 3)[:, -1] for answers in (first, second)))
        for w in (weights, once)
    )
    for m, metric in enumerate(METRICS):
        expected = (*value[m], *np.quantile(drawn[m], [0.025, 0.975]))
        assert difference(targets, first, second, who, metric, 60) == pytest.approx(expected)
    assert np.isnan(difference(targets, first, second, np.zeros(200), "top1")[1:]).all()


def of_single_patients(rare=10, patients=20):
    """Each patient has five windows of class 0 and four of class 1, which are mistaken for each
    other in some patients more than in others. `rare` of them have one of a class of their own
    beside these, which is answered with class 0, so that its F1 is 0."""
    kind = np.tile([0, 0, 0, 0, 0, 1, 1, 1, 1, 0], (patients, 1))
    kind[:rare, 9] = 2 + np.arange(rare)
    answers = kind.copy()
    answers[:rare, 9] = 0
    wrong = np.random.default_rng(3).random((patients, 9)) < np.linspace(0, 0.8, patients)[:, None]
    wrong = np.random.default_rng(4).permutation(wrong)  # not those of the rare classes alone
    answers[:, :9] ^= wrong
    return kind.ravel(), answers.ravel(), np.repeat(np.arange(patients), 10)


def test_an_interval_of_a_macro_value_holds_it_where_classes_are_of_one_patient_each():
    truth, answers, who = of_single_patients()
    targets, given = np.eye(12, dtype=bool)[truth], np.eye(12)[answers]
    weights = bootstrap.resample_weights(who, 3000, seed=0)
    each = scores_of(confusion(targets, answers, weights))  # macro over what a resample holds
    table = intervals(targets, given, who, resamples=3000)
    every = np.array([len(set(truth[of > 0])) == 12 for of in weights.T])
    for metric in METRICS[1:]:
        row, old = table.loc[(metric, "macro")], each[METRICS.index(metric), -1]
        assert row["n_defined"] == every.sum()
        assert 5 < row["n_defined"] < 100
        assert row["low"] < row["value"] < row["high"]
        assert np.quantile(old, 0.025) > row["value"]  # it was all above
        np.testing.assert_allclose(row[["low", "high"]], np.quantile(old[every], [0.025, 0.975]))
    assert table.loc[("top1", "macro"), "n_defined"] == 3000
    rare = table.loc[("f1", "2"), ["value", "low", "high", "n_defined"]]  # a class as before
    assert rare.tolist() == [0, 0, 0, (weights[0] > 0).sum()]


def test_where_no_resample_holds_every_class_a_macro_value_has_no_interval():
    truth, answers, who = of_single_patients(rare=20)
    table = intervals(np.eye(22, dtype=bool)[truth], np.eye(22)[answers], who, resamples=50)
    for metric in METRICS[1:]:
        row = table.loc[(metric, "macro")]
        assert np.isfinite(row["value"])
        assert row[["low", "high"]].isna().all()
        assert row["n_defined"] == 0
    found = difference(np.eye(22, dtype=bool)[truth], truth, answers, who, "f1", 50)
    assert found[0] > 0.9
    assert np.isnan(found[1:]).all()


def test_a_difference_is_of_the_resamples_that_hold_every_class():
    truth, answers, who = of_single_patients(rare=4)
    better = np.where(truth == 2, truth, answers)  # one rare class is found
    targets = np.eye(6, dtype=bool)[truth]
    weights = bootstrap.resample_weights(who, 80, seed=0)
    two = [written_out(truth, of, weights, 6) for of in (better, answers)]
    drawn = np.subtract(*(whole_alone(of, truth, weights)[:, -1] for of in two))
    for metric, values in zip(METRICS, drawn, strict=True):
        kept = values[np.isfinite(values)]
        assert len(kept) == 80 if metric == "top1" else 8 < len(kept) < 40
        _, *ends = difference(targets, better, answers, who, metric, 80)
        assert ends == pytest.approx(np.quantile(kept, [0.025, 0.975]))


def single(skill, seed):
    """An outcome of test_subgroups.py whose windows have one class and one answer each."""
    base = outcome(skill, seed=seed)
    one = np.eye(26, dtype=bool)
    kinds = one[np.random.default_rng(7).integers(0, 5, 200)]
    chosen = one[(kinds * skill + base.probabilities[:, ::-1] % 0.3).argmax(axis=1)]
    return dataclasses.replace(base, targets=kinds, answers=chosen)


def test_trials_of_one_class_a_window_are_compared_by_their_answers():
    first, second = single(0.2, 0), single(0.05, 1)
    turned = dataclasses.replace(
        second,
        targets=second.targets[::-1],
        answers=second.answers[::-1],
        probabilities=second.probabilities[::-1],
        about=second.about[::-1].reset_index(drop=True),
    )
    order = np.argsort(subgroups.sites(first.about) + " " + first.about["record"])
    numbers = [o.answers[order].argmax(axis=1) for o in (first, second)]
    who = first.about["proxy"].to_numpy()[order]
    for metric in METRICS:
        expected = difference(first.targets[order], *numbers, who, metric, 50)
        found = subgroups.difference(first, turned, metric, 50, one_label=True)
        assert found == pytest.approx(expected)
        assert found[0] > 0.05
        if metric != "f1":
            assert subgroups.difference(first, turned, metric, 50) == found
    plain = subgroups.difference(first, second, "f1", 50)
    assert plain != subgroups.difference(first, second, "f1", 50, one_label=True)
    areas = [subgroups.difference(first, second, "auroc", 50, one_label=b) for b in (True, False)]
    assert areas[0] == areas[1]
    none = dataclasses.replace(second, answers=np.zeros_like(second.answers))
    with pytest.raises(ValueError, match="200 of 200 windows are not answered"):
        subgroups.difference(first, none, "top1")
    other = dataclasses.replace(second, targets=np.roll(second.targets, 1, axis=1))
    with pytest.raises(ValueError, match="different labels"):
        subgroups.difference(first, other, "top1")


def test_what_does_not_fit_is_refused():
    one = np.eye(3, dtype=bool)
    both, neither = one | [[0, 1, 0], [0, 0, 0], [0, 0, 0]], one & [[1], [0], [0]]
    for wrong, count in ((both, 1), (neither, 2)):
        with pytest.raises(ValueError, match=f"{count} of 3 rows of targets"):
            intervals(wrong, one, [1, 2, 3])
    with pytest.raises(PecgError, match="not finite"):
        intervals(one, np.full((3, 3), np.nan), [1, 2, 3])
    with pytest.raises(ValueError, match="2 groups for 3 records"):
        intervals(one, one, [1, 2])
    with pytest.raises(ValueError, match="hamming_loss is none of top1"):
        difference(one, np.arange(3), np.arange(3), [1, 2, 3], "hamming_loss")
    ones = np.ones((3, 1), dtype=np.int32)
    for answers in (np.arange(2), np.array([0, 1, 3]), np.array([-1, 0, 1])):
        with pytest.raises(ValueError, match="one answer from 0 to 2"):
            confusion(one, answers, ones)
    for weights, patients in ((ones[:2], None), (ones, np.arange(2)), (ones, np.array([0, 1, 3]))):
        with pytest.raises(ValueError, match="rows of weights do not fit"):
            confusion(one, np.arange(3), weights, patients)
