"""The metrics against cases solved by hand, and what is refused."""

import numpy as np
import pytest

from pecg_utils.errors import PecgError
from pecg_utils.metrics import METRICS, macro, scores

# Label a: one hit, one miss, one false alarm. Label b: a perfect ranking, called too rarely.
# Label c: no positive at all. Label d: no negative at all.
TARGETS = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])
PROBABILITIES = np.array(
    [[0.9, 0.6, 0.1, 0.5], [0.2, 0.4, 0.1, 0.5], [0.7, 0.3, 0.1, 0.5], [0.2, 0.1, 0.1, 0.4]]
)


def value(metric: str, label: str, column: str = "value") -> float:
    return float(scores(TARGETS, PROBABILITIES, labels=list("abcd")).loc[(metric, label), column])


def test_a_case_solved_by_hand():
    assert [value("hamming_loss", label) for label in "abcd"] == [0.5, 0.25, 0, 0.25]
    assert value("hamming_loss", "macro") == 4 / 16
    assert [value("hamming_loss_all_zero", label) for label in "abcd"] == [0.5, 0.5, 0, 1]
    assert value("hamming_loss_all_zero", "macro") == 0.5
    # a: 2 / (2 + 1 + 1); b: 2 / (2 + 1); c: 0 / 0 counts as 0; d: 6 / (6 + 1)
    assert [value("f1", label) for label in "abcd"] == pytest.approx([1 / 2, 2 / 3, 0, 6 / 7])
    assert value("f1", "macro") == pytest.approx((1 / 2 + 2 / 3 + 6 / 7) / 4)
    # a: of four pairs two are in order, one reversed (0.2 against 0.7), one tied
    assert value("auroc", "a") == pytest.approx((2 + 0.5) / 4)
    assert value("auroc", "b") == 1
    # a: recall steps by 1/2 at precision 1, and by 1/2 at precision 2/4, the tie taken whole
    assert value("average_precision", "a") == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_a_label_that_lacks_a_class_is_undefined_and_left_out_of_the_mean():
    for metric in ("auroc", "average_precision"):
        assert np.isnan(value(metric, "c"))
        assert np.isnan(value(metric, "d"))
        assert value(metric, "c", "labels_defined") == 0
        assert value(metric, "a", "labels_defined") == 1
        assert value(metric, "macro", "labels_defined") == 2
    assert value("auroc", "macro") == pytest.approx((0.625 + 1) / 2)
    assert value("average_precision", "macro") == pytest.approx((0.75 + 1) / 2)
    assert value("f1", "macro", "labels_defined") == 4


def test_the_table_has_a_row_a_metric_and_label():
    table = scores(TARGETS, PROBABILITIES)
    assert table.index.tolist() == [(m, c) for m in METRICS for c in ["0", "1", "2", "3", "macro"]]
    assert table.loc["f1", "positives"].tolist() == [2, 2, 0, 4, 8]


def test_no_label_defined_gives_nan_and_no_warning():
    table = scores(np.zeros((3, 2)), np.zeros((3, 2)))
    assert np.isnan(table.loc[("auroc", "macro"), "value"])
    assert table.loc[("auroc", "macro"), "labels_defined"] == 0
    assert table.loc[("hamming_loss", "macro"), "value"] == 0


def test_the_threshold_itself_counts_as_positive():
    given = np.array([[0.3], [0.29]])
    assert scores([[1], [0]], given, threshold=0.3).loc[("f1", "macro"), "value"] == 1
    assert scores([[1], [0]], given).loc[("f1", "macro"), "value"] == 0


def test_macro_takes_the_mean_down_the_defined_labels():
    nan = np.nan
    means = macro(np.array([[1.0, nan, nan], [2.0, 4.0, nan]]))
    np.testing.assert_array_equal(means, [1.5, 4, nan])


@pytest.mark.parametrize(
    ("targets", "probabilities", "labels"),
    [
        ([0, 1], [0.1, 0.2], None),
        ([[0, 1]], [[0.1]], None),
        (np.zeros((0, 2)), np.zeros((0, 2)), None),
        ([[0, 2]], [[0.1, 0.2]], None),
        ([[0, 0.5]], [[0.1, 0.2]], None),
        ([[0, 1]], [[0.1, 0.2]], ["a"]),
        ([[0, 1]], [[0.1, 0.2]], ["a", "a"]),
        ([[0, 1]], [[0.1, 0.2]], ["a", "macro"]),
    ],
)
def test_what_does_not_fit_is_refused(targets, probabilities, labels):
    with pytest.raises(ValueError, match=r"targets|label names"):
        scores(targets, probabilities, labels=labels)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_model_is_named(bad):
    with pytest.raises(PecgError, match="1 of the 2 probabilities"):
        scores([[0, 1]], [[bad, 0.2]])
