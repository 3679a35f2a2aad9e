"""The Challenge's metric: against its definition in loops, at its edges; thresholds, intervals."""

import time

import numpy as np
import pandas as pd
import pytest
import yaml

from pecg_utils import challenge_score, claims
from pecg_utils.bootstrap import resample_weights
from pecg_utils.challenge_score import intervals, score
from pecg_utils.challenge_thresholds import thresholds
from pecg_utils.data import challenge
from pecg_utils.errors import PecgError

W = challenge_score.weights()
NAMES = list(W.columns)
NSR = NAMES.index("NSR")


def by_definition(targets, outputs, w=W, normal="NSR"):
    """The score from sets and loops alone."""
    names, table = list(w.columns), w.to_numpy()

    def s(answers):
        total = 0.0
        for truth, given in zip(targets, answers, strict=True):
            labels = {j for j in range(len(names)) if truth[j]}
            called = {k for k in range(len(names)) if given[k]}
            for j in labels:
                for k in called:
                    total += table[j, k] / len(labels | called)
        return total

    inactive = [[name == normal for name in names] for _ in targets]
    floor, ceiling = s(inactive), s(targets)
    return (s(outputs) - floor) / (ceiling - floor) if ceiling != floor else 0.0


def drawn(n, targets_rate, outputs_rate, seed=0, classes=26):
    generator = np.random.default_rng(seed)
    targets = generator.random((n, classes)) < targets_rate
    return targets, generator.random((n, classes)) < outputs_rate


def record(*names):
    return np.isin(NAMES, names)


def problem(n, seed, classes=26):
    """Labels of rare to common classes, with the honest probability of each: (n, C) both."""
    generator = np.random.default_rng(seed)
    rates = np.linspace(0.01, 0.3, classes)
    hidden = np.log(rates / (1 - rates)) + 2 * generator.normal(size=(n, classes))
    probabilities = 1 / (1 + np.exp(-hidden))
    return generator.random((n, classes)) < probabilities, probabilities


def test_the_weights_are_the_published_ones_in_the_order_of_the_classes():
    for year, count in ((2021, 26), (2020, 24)):
        w = challenge_score.weights(year)
        assert list(w.index) == list(w.columns) == list(challenge.class_names(year))
        assert w.shape == (count, count)
        assert (np.diag(w) == 1).all()
        off = w.to_numpy()[~np.eye(count, dtype=bool)]
        assert (off.min(), off.max()) == (0.15, 0.5)
    # Two rows of weights_abbreviations.csv (2021), typed a second time in its own order.
    theirs = "AF AFL BBB Brady CLBBB|LBBB CRBBB|RBBB IAVB IRBBB LAD LAnFB LPR LQRSV LQT NSIVCB NSR"
    theirs = f"{theirs} PAC|SVPB PR PRWP PVC|VPB QAb RAD SA SB STach TAb TInv".split()
    nsr = (
        "0.25 0.25 0.275 0.45 0.275 0.35 0.45 0.45 0.4 0.4 0.45 0.325 0.3 0.4 1 0.4125 0.375 "
        "0.325 0.375 0.15 0.4 0.45 0.45 0.375 0.25 0.25"
    )
    prwp = (
        "0.425 0.425 0.45 0.375 0.45 0.475 0.375 0.375 0.425 0.425 0.375 0.475 0.475 0.425 0.325 "
        "0.4125 0.45 1 0.45 0.325 0.425 0.375 0.375 0.45 0.425 0.425"
    )
    assert W.loc["NSR", theirs].tolist() == [float(x) for x in nsr.split()]
    assert W.loc["PRWP", theirs].tolist() == [float(x) for x in prwp.split()]
    assert round(float(W.to_numpy().sum()), 4) == 286.075  # of the whole published table


def test_the_weights_of_2020_are_the_published_ones():
    w = challenge_score.weights(2020)
    codes = {name: code for code, (name, _) in challenge.classes(2020).items()}
    assert codes["CRBBB|RBBB"] == "59118001"  # the last of the two
    # The row of 164909002 (LBBB) in the weights.csv of 2020, by code, for some of its columns.
    row = {270492004: 0.325, 164889003: 0.475, 426627000: 0.325, 251146004: 0.45, 426783006: 0.275}
    row |= {164909002: 1.0, 164917005: 0.375, 427084000: 0.4, 164947007: 0.325, 59118001: 0.425}
    by_code = {int(codes[name]): value for name, value in w.loc["LBBB"].items()}
    assert {code: by_code[code] for code in row} == row
    assert round(float(w.to_numpy().sum()), 4) == 244.525


@pytest.mark.parametrize("rates", [(0.02, 0.02), (0.08, 0.1), (0.3, 0.05), (0.05, 0.4), (0.9, 0.8)])
@pytest.mark.parametrize("year", [2020, 2021])
def test_it_is_what_the_definition_says(rates, year):
    w = challenge_score.weights(year)
    targets, outputs = drawn(60, *rates, seed=year, classes=len(w))
    expected = by_definition(targets, outputs, w)
    assert score(targets, outputs, w) == pytest.approx(expected, abs=1e-12)
    assert score(targets.astype(int), outputs.astype(float), w) == score(targets, outputs, w)


def test_an_uneven_matrix_is_not_turned_about():
    """The published weights are symmetric: rows and columns must be right for others too."""
    generator = np.random.default_rng(3)
    names = ["NSR", "a", "b", "c"]
    w = pd.DataFrame(generator.random((4, 4)), index=names, columns=names)
    targets, outputs = (pd.DataFrame(x, columns=names) for x in drawn(40, 0.4, 0.4, 5, 4))
    for normal in ("NSR", "b"):
        expected = by_definition(targets.to_numpy(), outputs.to_numpy(), w, normal)
        assert score(targets, outputs, w, normal) == pytest.approx(expected, abs=1e-12)


NOTHING, ALL, NORMAL = record(), np.ones(26, dtype=bool), record("NSR")


@pytest.mark.parametrize(
    ("targets", "outputs", "expected"),
    [
        ([record("AF"), NOTHING], [record("AF"), NOTHING], 1.0),
        ([record("AF"), NOTHING], [record("AF"), ALL], 1.0),  # nothing is lost without a label
        ([record("AF"), record("SB")], [NOTHING, NOTHING], None),
        ([record("AF"), record("SB", "NSR")], [ALL, ALL], None),
        ([record("AF", "TAb")], [record("AF")], None),  # one record
        ([NOTHING, NOTHING], [record("AF"), NOTHING], 0.0),
        ([NORMAL, NORMAL], [NORMAL, record("AF")], 0.0),  # correct is no better than inactive
        ([NORMAL, NOTHING], [NORMAL, ALL], 0.0),
    ],
)
def test_edges(targets, outputs, expected):
    found = score(np.array(targets), np.array(outputs), W)
    assert found == pytest.approx(by_definition(targets, outputs), abs=1e-12)
    if expected is not None:
        assert found == expected


def test_no_answer_at_all_is_worse_than_inactive():
    targets, _ = drawn(50, 0.1, 0)
    assert score(targets, np.zeros_like(targets), W) < 0


def test_correct_is_one_and_inactive_is_zero():
    targets, _ = drawn(300, 0.08, 0)
    inactive = np.zeros_like(targets)
    inactive[:, NSR] = True
    assert score(targets, targets, W) == 1.0
    assert score(targets, inactive, W) == 0.0
    assert score(targets, inactive, W, normal="AF") != 0.0


def test_answering_too_much_costs_less_where_the_classes_are_alike():
    targets = np.array([record("AF"), record("SB")])
    alike = np.array([record("AF", "AFL"), record("SB")])  # w 0.5
    unlike = np.array([record("AF", "NSIVCB"), record("SB")])  # 0.35
    least = np.array([record("AF", "NSR"), record("SB")])  # 0.25
    scores = [score(targets, given, W) for given in (targets, alike, unlike, least)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    # A wrong answer beside the right one earns (1 + 0.5) / 2 instead of 1.
    assert scores[0] - scores[1] == pytest.approx(0.25 / ((1 - 0.25 / 2) + (1 - 0.45 / 2)))


def test_classes_in_another_order_are_refused(tmp_path):
    targets, outputs = drawn(20, 0.1, 0.1)
    turned = [*NAMES[1:], NAMES[0]]
    for w in (W.loc[turned, turned], W.loc[turned], W[turned]):
        for call in (score, thresholds):
            with pytest.raises(PecgError, match="in this order: AF, AFL"):
                call(targets, outputs, w)
        with pytest.raises(PecgError, match="in this order: AF, AFL"):
            intervals(targets, outputs, np.arange(20), w)
        w.to_csv(tmp_path / "w.csv")
        with pytest.raises(PecgError, match=r"w\.csv must both be the 26 classes in this order"):
            challenge_score.weights(path=tmp_path / "w.csv")
    named = pd.DataFrame(targets, columns=turned)
    with pytest.raises(PecgError, match="in this order: AFL, BBB"):
        score(named, outputs, W)
    assert score(named[NAMES], named[NAMES], W) == 1.0
    with pytest.raises(PecgError, match="in this order"):
        score(targets, outputs, challenge_score.weights(2020))


def test_a_table_of_weights_can_be_given_and_is_checked(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("# mine\n" + (W / 2).to_csv())
    pd.testing.assert_frame_equal(challenge_score.weights(path=path), W / 2, check_names=False)
    path.write_text((W.where(W != 0.15)).to_csv())
    with pytest.raises(PecgError, match="lacks a weight"):
        challenge_score.weights(path=path)
    for text in ("", "class,AF\nAF,one\n"):
        path.write_text(text)
        with pytest.raises(PecgError, match="no readable table"):
            challenge_score.weights(path=path)
    with pytest.raises(PecgError, match="no readable table"):
        challenge_score.weights(path=tmp_path / "none.csv")
    with pytest.raises(PecgError, match="give 2020 or 2021"):
        challenge_score.weights(2019)


def test_what_does_not_fit_is_refused():
    targets, outputs = drawn(10, 0.1, 0.1)
    with pytest.raises(ValueError, match="decide by thresholds first"):
        score(targets, outputs * 0.7, W)
    with pytest.raises(ValueError, match="one shape"):
        score(targets, outputs[:5], W)
    with pytest.raises(PecgError, match="no class rhythm"):
        score(targets, outputs, W, normal="rhythm")
    with pytest.raises(ValueError, match="between 0 and 1"):
        thresholds(targets, outputs * 2.0, W)
    with pytest.raises(ValueError, match="9 groups for 10 records"):
        thresholds(targets, outputs, W, np.arange(9))
    with pytest.raises(ValueError, match="9 groups for 10 records"):
        intervals(targets, outputs, np.arange(9), W)


def test_thresholds_beat_one_half_on_their_records_and_on_others():
    targets, probabilities = problem(2000, seed=1)
    found = thresholds(targets, probabilities, W)
    assert found.shape == (26,)
    others, honest = problem(2000, seed=2)
    for truth, given in ((targets, probabilities), (others, honest)):
        assert score(truth, given >= found, W) > score(truth, given >= 0.5, W) + 0.05
    np.testing.assert_array_equal(found, thresholds(targets, probabilities, W))  # each time


@pytest.mark.parametrize("steps", [3, 10, 10**9])
def test_no_threshold_of_one_class_can_be_bettered(steps):
    """Every cut of every class, tried by the score itself, ties and all."""
    targets, probabilities = problem(120, seed=4)
    probabilities = np.round(probabilities * steps) / steps
    found = thresholds(targets, probabilities, W)
    best = score(targets, probabilities >= found, W)
    assert best >= score(targets, probabilities >= 0.5, W)
    for c in range(0, 26, 5):
        for cut in [*np.unique(probabilities[:, c]), 2.0]:
            tried = found.copy()
            tried[c] = cut
            assert score(targets, probabilities >= tried, W) <= best + 1e-9


def test_thresholds_are_between_probabilities_and_a_useless_class_has_none():
    targets, probabilities = problem(400, seed=5)
    targets[:, NAMES.index("QAb")] = False
    probabilities[:, NAMES.index("QAb")] = np.random.default_rng(0).random(400)
    found = thresholds(targets, probabilities, W)
    assert found[NAMES.index("QAb")] == np.inf
    assert not (probabilities == found).any()
    assert (found > 0).all()


def test_thresholds_see_the_given_records_alone():
    """The module keeps nothing between calls, and each patient can be made to count the same."""
    targets, probabilities = problem(300, seed=6)
    alone = thresholds(targets[:150], probabilities[:150], W)
    thresholds(targets, probabilities, W)
    np.testing.assert_array_equal(thresholds(targets[:150], probabilities[:150], W), alone)
    # A patient whose record is there 300 times changes nothing where patients count the same.
    rows = np.concatenate([np.zeros(299, dtype=int), np.arange(150)])
    many = thresholds(targets[rows], probabilities[rows], W, groups=rows)
    np.testing.assert_allclose(many, alone)
    assert not np.allclose(thresholds(targets[rows], probabilities[rows], W), alone)


def test_neighbouring_probabilities_are_told_apart():
    names = ["NSR", "a"]
    w = pd.DataFrame(np.eye(2), index=names, columns=names)
    low = 0.25
    high = np.nextafter(low, 1)
    targets = pd.DataFrame([[0, 1], [0, 1], [1, 0]], columns=names)
    given = pd.DataFrame([[0.0, high], [0.0, high], [1.0, low]], columns=names)
    found = thresholds(targets, given, w)
    assert score(targets, given >= found, w) == 1.0


@pytest.mark.parametrize("grouping", ["each", "patients"])
def test_intervals_are_those_of_resamples_written_out(grouping):
    targets, outputs = drawn(80, 0.08, 0.1, seed=7)
    generator = np.random.default_rng(8)
    groups = np.arange(80) if grouping == "each" else generator.permutation(80) // 4
    value, low, high = intervals(targets, outputs, groups, W, resamples=60, seed=5)
    times = resample_weights(groups, 60, 5)
    rows = [np.repeat(np.arange(80), times[:, r]) for r in range(60)]
    scores = [score(targets[of_one], outputs[of_one], W) for of_one in rows]
    assert value == score(targets, outputs, W)
    assert (low, high) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])), abs=1e-12)
    assert scores[0] == pytest.approx(by_definition(targets[rows[0]], outputs[rows[0]]), abs=1e-12)
    assert low < value < high
    assert intervals(targets, outputs, groups, W, resamples=60, seed=6)[1:] != (low, high)


def test_resamples_without_anything_to_gain_are_left_out():
    targets = np.array([NORMAL, NORMAL, record("AF")])
    outputs = np.array([NORMAL, NORMAL, record("AFL")])
    value, low, high = intervals(targets, outputs, np.arange(3), W, resamples=200)
    # Wherever the third record is drawn the score is the same, and elsewhere it would be 0.
    expected = (0.5 / 2 - 0.25 / 2) / (1 - 0.25 / 2)
    assert (value, low, high) == pytest.approx((expected,) * 3)
    assert np.isnan(intervals(targets, outputs, [1, 1, 1], W)[1:]).all()
    assert intervals(targets[:2], outputs[:2], [1, 2], W)[0] == 0.0
    assert np.isnan(intervals(targets[:2], outputs[:2], [1, 2], W)[1:]).all()


def test_it_is_quick():
    targets, probabilities = problem(20_000, seed=9)
    begun = time.process_time()
    intervals(targets, probabilities >= 0.2, np.arange(20_000), W)
    assert time.process_time() - begun < 2.5
    begun = time.process_time()
    thresholds(targets[:5000], probabilities[:5000], W)
    assert time.process_time() - begun < 2.5


def test_the_claims_on_paper_are_those_that_were_read():
    text = (claims.FOLDER / "cnn_ecg_mamba.yaml").read_text(encoding="utf-8")
    held = {(c["year"], c["metric"]): c["value"] for c in yaml.safe_load(text)["claims"]}
    assert held == {
        (2021, "average_precision"): 0.6410,
        (2021, "auroc"): 0.9695,
        (2021, "challenge_score"): 0.6996,
        (2020, "average_precision"): 0.5787,
        (2020, "auroc"): 0.9571,
    }
