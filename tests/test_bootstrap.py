"""Bootstrap intervals: equal to scikit-learn on resamples written out, drawn by patient, quick."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, hamming_loss, roc_auc_score

from pecg_utils.bootstrap import intervals, resample_weights, resampled
from pecg_utils.metrics import METRICS, macro, scores


def made_up(n_records, n_labels, *, steps, seed=0):
    """Targets, scores rounded to `steps` levels (few: heavy ties) and about two records each."""
    generator = np.random.default_rng(seed)
    rates = np.linspace(0.02, 0.4, n_labels)
    targets = generator.random((n_records, n_labels)) < rates
    noisy = 0.3 * targets + 0.7 * generator.random((n_records, n_labels))
    groups = generator.integers(0, n_records // 2 + 1, size=n_records)
    return targets, np.round(noisy * steps) / steps, groups


def written_out(targets, probabilities, weights, threshold=0.5):
    """(M, C, R) by scikit-learn on each resample's rows, repeated as often as they are drawn."""
    n_labels, n_resamples = targets.shape[1], weights.shape[1]
    result = np.full((len(METRICS), n_labels, n_resamples), np.nan)
    for r in range(n_resamples):
        rows = np.repeat(np.arange(len(targets)), weights[:, r])
        for c in range(n_labels):
            truth, given_ = targets[rows, c], probabilities[rows, c]
            result[0, c, r] = hamming_loss(truth, given_ >= threshold)
            result[1, c, r] = hamming_loss(truth, np.zeros_like(truth))
            if truth.any() or not targets[:, c].any():
                result[2, c, r] = f1_score(truth, given_ >= threshold, zero_division=0)
            if truth.any() and not truth.all():
                result[3, c, r] = roc_auc_score(truth, given_)
                result[4, c, r] = average_precision_score(truth, given_)
    return result


@pytest.mark.parametrize("steps", [1, 4, 30, 10**6])
def test_every_resample_equals_scikit_learn(steps):
    targets, probabilities, groups = made_up(150, 5, steps=steps)
    weights = resample_weights(groups, 40, seed=1)
    ours = resampled(targets, probabilities, weights)
    theirs = written_out(targets, probabilities, weights)
    assert np.isfinite(theirs).sum() > 0.9 * theirs.size
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@st.composite
def small_cases(draw):
    n = draw(st.integers(1, 12))
    targets = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    levels = draw(
        st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.5000001, 1.0]), min_size=n, max_size=n)
    )
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return np.array(targets)[:, None], np.array(levels)[:, None], np.array(weights)[:, None]


@settings(deadline=None, max_examples=150)
@given(small_cases())
def test_ties_absences_and_lone_classes_equal_scikit_learn(case):
    targets, probabilities, weights = case
    np.testing.assert_allclose(
        resampled(targets, probabilities, weights),
        written_out(targets, probabilities, weights),
        rtol=0,
        atol=1e-12,
    )


def test_more_resamples_than_a_block_are_the_same_as_one_by_one():
    targets, probabilities, groups = made_up(60, 3, steps=8)
    weights = resample_weights(groups, 300, seed=0)
    together = resampled(targets, probabilities, weights)
    for r in (0, 127, 128, 299):
        alone = resampled(targets, probabilities, weights[:, r : r + 1])
        np.testing.assert_array_equal(together[:, :, r : r + 1], alone)


def test_weights_of_one_are_the_value_itself():
    targets, probabilities, _ = made_up(80, 4, steps=6)
    once = resampled(targets, probabilities, np.ones((80, 1), dtype=np.int32))[:, :, 0]
    table = scores(targets, probabilities)["value"]
    for m, metric in enumerate(METRICS):
        expected = table.loc[metric].to_numpy()
        np.testing.assert_allclose([*once[m], macro(once[m])], expected, atol=1e-12)


def test_patients_are_drawn_and_their_records_come_along():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    weights = resample_weights(groups, 500, seed=0)
    assert weights.shape == (6, 500)
    for patient in "abc":
        of_patient = weights[groups == patient]
        assert (of_patient == of_patient[0]).all()
    one_a_patient = weights[[0, 1, 3]]
    assert (one_a_patient.sum(axis=0) == 3).all()
    # A patient is drawn 0, 1, 2 or 3 times with the chances of three draws among three.
    shares = np.bincount(one_a_patient.ravel(), minlength=4) / one_a_patient.size
    np.testing.assert_allclose(shares, np.array([8, 12, 6, 1]) / 27, atol=0.04)


def test_the_draw_depends_on_the_seed_and_not_on_the_names():
    plain = resample_weights([0, 1, 1, 2], 20, seed=3)
    np.testing.assert_array_equal(plain, resample_weights(["x", "y", "y", "z"], 20, seed=3))
    pairs = [("zzu", 5), ("zzu", 7), ("zzu", 7), ("ptbxl", 5)]
    np.testing.assert_array_equal(plain, resample_weights(pairs, 20, seed=3))
    assert (plain != resample_weights([0, 1, 1, 2], 20, seed=4)).any()


def test_the_interval_holds_the_middle_of_the_resamples():
    targets, probabilities, groups = made_up(150, 5, steps=20)
    table = intervals(targets, probabilities, groups, resamples=100, seed=2, level=0.9)
    drawn = written_out(targets, probabilities, resample_weights(groups, 100, seed=2))
    for m, metric in enumerate(METRICS):
        for c in range(5):
            low, high = np.nanquantile(drawn[m, c], [0.05, 0.95])
            row = table.loc[(metric, str(c))]
            assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-9)
            assert row["n_defined"] == np.isfinite(drawn[m, c]).sum()
        # the macro of a resample is over the labels that this resample has defined
        low, high = np.quantile(np.nanmean(drawn[m], axis=0), [0.05, 0.95])
        assert tuple(table.loc[(metric, "macro"), ["low", "high"]]) == pytest.approx((low, high))
    assert table.loc[("auroc", "0"), "n_defined"] < 100  # a rare label is missing now and then
    assert table["positives"].loc["f1"].tolist() == [*targets.sum(axis=0), targets.sum()]
    pd.testing.assert_series_equal(table["value"], scores(targets, probabilities)["value"])


def test_records_of_one_patient_widen_the_interval():
    targets, probabilities, _ = made_up(100, 2, steps=10**6)
    repeated = np.repeat(np.arange(100), 10)  # ten equal records each
    args = (targets[repeated], probabilities[repeated])
    by_patient = intervals(*args, repeated).loc[("auroc", "macro")]
    by_record = intervals(*args, np.arange(1000)).loc[("auroc", "macro")]
    ratio = (by_patient["high"] - by_patient["low"]) / (by_record["high"] - by_record["low"])
    assert 2.2 < ratio < 4.5  # sqrt(10) = 3.2


def test_undefined_metrics_and_lone_patients_give_nan_without_a_warning():
    targets = np.array([[0, 1], [0, 0], [0, 1]])
    probabilities = np.array([[0.1, 0.9], [0.2, 0.3], [0.3, 0.8]])
    table = intervals(targets, probabilities, [1, 2, 3], resamples=50)
    assert table.loc[("auroc", "0"), ["value", "low", "high"]].isna().all()
    assert table.loc[("auroc", "0"), "n_defined"] == 0
    assert 0 < table.loc[("auroc", "1"), "n_defined"] < 50
    alone = intervals(targets, probabilities, ["x", "x", "x"], resamples=50)
    assert alone[["low", "high"]].isna().all(axis=None)
    assert (alone["n_defined"] == 0).all()
    assert alone.loc[("auroc", "1"), "value"] == 1


@pytest.mark.parametrize(
    ("groups", "settings_", "message"),
    [
        ([1, 2], {}, "2 groups for 3 records"),
        ([1, None, 2], {}, "1 records have no patient"),
        ([1, 2, 3], {"resamples": 0}, "resamples 0"),
        ([1, 2, 3], {"level": 95}, "level 95"),
    ],
)
def test_what_does_not_fit_is_refused(groups, settings_, message):
    with pytest.raises(ValueError, match=message):
        intervals(np.eye(3), np.eye(3), groups, **settings_)


def test_a_thousand_resamples_of_a_test_fold_take_no_second():
    targets, probabilities, groups = made_up(2158, 19, steps=10**6)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        intervals(targets, probabilities, groups)
        best = min(best, time.perf_counter() - start)
    assert best < 1


def test_a_label_that_a_resample_misses_does_not_pull_its_macro_f1_down():
    """One patient carries the label and is found: in every draw that has the patient F1 is 1."""
    targets = np.zeros((20, 2), dtype=bool)
    targets[0, 0] = True
    targets[10:, 1] = True
    found = intervals(targets, targets.astype(float), np.arange(20), resamples=200)
    assert found.loc[("f1", "macro"), ["value", "low", "high"]].tolist() == [1, 1, 1]
    assert 80 < found.loc[("f1", "0"), "n_defined"] < 170  # a draw has the patient in 64 of 100
    swapped = targets[:, [1, 0]]  # the second label is called for one patient, and nobody has it
    never = intervals(swapped & [True, False], swapped.astype(float), np.arange(20))
    assert never.loc[("f1", "macro"), "value"] == 0.5
    assert never.loc[("f1", "1"), "n_defined"] == 1000


def test_scores_of_several_models_are_ranked_within_each():
    generator = np.random.default_rng(3)
    targets = generator.random((300, 4)) < [0.3, 0.1, 0.02, 0.0]
    parts = generator.integers(0, 3, 300)
    skill = 0.4 * targets + 0.6 * generator.random((300, 4))
    given = 0.2 * skill + 0.35 * parts[:, None]  # each model has a scale of its own
    patients = generator.integers(0, 120, 300)
    table = intervals(targets, given, patients, parts=parts, resamples=50)
    for c in range(4):
        pairs, right, precision, positives = 0, 0.0, 0.0, 0
        for part in range(3):
            truth, score = targets[parts == part, c], given[parts == part, c]
            if not truth.any():
                continue
            count = truth.sum() * (~truth).sum()
            pairs, right = pairs + count, right + count * roc_auc_score(truth, score)
            precision += truth.sum() * average_precision_score(truth, score)
            positives += truth.sum()
        expected = (right / pairs, precision / positives) if pairs else (np.nan, np.nan)
        found = [table.loc[(metric, str(c)), "value"] for metric in METRICS[3:]]
        np.testing.assert_allclose(found, expected)
    own = intervals(targets, skill, patients, resamples=50).loc[("auroc", "macro")]
    mixed = intervals(targets, given, patients, resamples=50).loc[("auroc", "macro")]
    macro = table.loc[("auroc", "macro")]
    assert abs(macro["value"] - own["value"]) < 0.03
    assert macro["value"] - mixed["value"] > 0.1  # what mixing the scales would have cost
    assert macro["low"] < macro["value"] < macro["high"]
    alone = intervals(targets, given, patients, parts=np.zeros(300), resamples=50)
    pd.testing.assert_frame_equal(alone, intervals(targets, given, patients, resamples=50))


def test_a_resample_within_parts_equals_the_same_records_written_out():
    generator = np.random.default_rng(4)
    targets, given = generator.random((60, 2)) < 0.4, generator.random((60, 2)).round(1)
    parts = np.arange(60) % 2
    weights = resample_weights(np.arange(60) // 2, 5, 0)
    drawn = resampled(targets, given, weights, parts=parts)
    for r in range(5):
        rows = np.repeat(np.arange(60), weights[:, r])
        whole = np.ones((len(rows), 1), dtype=np.int32)
        written = resampled(targets[rows], given[rows], whole, parts=parts[rows])
        np.testing.assert_allclose(drawn[:, :, r], written[:, :, 0])
