"""What stands at the head of the page on small sets, of records made up here."""

import numpy as np
import pytest
from test_kept_small import MODELS, WAYS, held, lost, of_small, transfer

from pecg_utils import findings, small_findings


def test_the_finding_is_of_transfer_filters_epochs_and_random_tests():
    assert findings.ecgs_enough([of_small()]).splitlines() == [
        "- PE-HSM, {tag}`twin`, 300 recordings, 75 with the label, after PTB-XL, "
        "{tag}`twin`, 2 trainings of each of 2 models (record `0123456789ab`):",
        "  - AUROC after pre-training, *all weights* and *head only*, less that of the same model "
        "from scratch, in the mean over 2 models, by recordings taught: with 50: +0.020 and "
        "+0.010; with all 209: +0.020 and +0.010. Of the 8 differences of single models none "
        "leaves 0 out.",
        "  - With all recordings taught the highest AUROC of 6 models and ways, picked on the same "
        "test side, is 0.870 (0.840 to 0.910), of `crnn lstm` *all weights*; the highest from "
        "scratch is 0.850 (0.820 to 0.890), of `crnn lstm`.",
        "  - Simulated beats, {tag}`twin`, 5,484 ST levels of 40 patients, 84 of them 100 µV or "
        "more from the baseline: in the median patient a band-pass filter moves the level *as "
        "coded* by 10 µV (9 to 11), and 10 % of deviations vanish; *as meant* by 20 µV (18 to 22), "
        "and 20 % of deviations vanish; *zero-phase* by 30 µV (27 to 33), and 30 % of deviations "
        "vanish.",
        "  - The epoch chosen by the test side less that by validation, over 2 trainings, "
        "{tag}`twin`: the best macro F1, as coded, +0.125 in the mean (+0.120 to +0.130); the best "
        "AUROC +0.025 in the mean (+0.020 to +0.030).",
        "  - The same model tested 3 times with random changes, as coded, {tag}`twin`: its AUROCs "
        "lie 0.030 apart in the mean of 2 models, and 0.040 for `crnn lstm` (0.820 to 0.860; 0.800 "
        "without changes).",
    ]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ({("crnn lstm", "head only", "all"): 0.03}, "1 leaves 0 out, 1 above it and 0 below."),
        (
            {("resnet18", "head only", "50"): -0.5, ("crnn lstm", "all weights", "50"): 0.2},
            "2 leave 0 out, 1 above it and 1 below.",
        ),
        ({("crnn lstm", "head only", "100"): 0.3}, "none leaves 0 out."),  # it is not of the ends
    ],
)
def test_differences_that_leave_nothing_out_are_counted(gains, said):
    table = transfer(gains)
    told = findings.ecgs_enough([of_small(held(ways=table))])
    assert f"Of the 8 differences of single models {said}" in told
    unknown = table.assign(gain_low=np.nan, gain_high=np.nan)
    assert "none leaves" in findings.ecgs_enough([of_small(held(ways=unknown))])


def test_what_is_best_from_scratch_is_said_once_and_all_alone_has_one_side():
    worse = {(m, way, "all"): -0.1 for m in MODELS for way in WAYS[1:]}
    table = transfer(worse, sizes=((209, "all"),))
    told = findings.ecgs_enough([of_small(held(ways=table))])
    assert "of `crnn lstm` *from scratch*.\n" in told
    assert "the highest from scratch" not in told
    assert "by recordings taught: with all 209: -0.100 and -0.100. Of the 4 differences" in told


def test_without_a_deviation_none_vanishes():
    told = findings.ecgs_enough([of_small(held(**{"st levels": lost(deviating=0)}))])
    assert "0 of them 100 µV or more" in told
    assert "vanish" not in told
    assert "nan" not in told


@pytest.mark.parametrize("gone", ["ways", "st levels", "epochs", "random tests"])
def test_a_record_without_what_is_found_has_no_finding(gone):
    given = {name: table for name, table in held().items() if name != gone}
    assert small_findings.lines(of_small(given)) == []
    assert findings.ecgs_enough([of_small(given)]) == "No record is kept yet.\n"
    assert findings.ecgs_enough([of_small(given), of_small()]) == findings.ecgs_enough([of_small()])
