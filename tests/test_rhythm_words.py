"""The sentences of the AGCACL chapter, with each number reckoned by hand."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_pairs import PATIENT, Made

from pecg_utils import rhythm_words
from pecg_utils.trial import Outcome


def pairs_of(held, classes, left_out=None):
    """Windows of 2 s; held: patient -> how many windows of each class, which are rhythms too."""
    of = [(who, c) for who, counts in held.items() for c, n in enumerate(counts) for _ in range(n)]
    table = pd.DataFrame({"record": "R", "patient": [who for who, _ in of], "start": 4.0})
    table["end"] = table["start"] + 2
    table["rhythm"] = [classes[c] for _, c in of]
    labels = np.eye(len(classes), dtype=bool)[[c for _, c in of]]
    empty = np.zeros((len(of), 1), np.float32)
    made = Made(table, labels, empty, empty, empty > 0, classes)
    if left_out is None:
        return made
    return SimpleNamespace(table=made.table, left_out=left_out)


CLASSES = ("N", "VT", "AVRT", "atrial")
HELD = {  # 1,100 windows of five patients
    "p1": (500, 0, 10, 0),
    "p2": (200, 3, 10, 0),
    "p3": (200, 0, 10, 0),
    "p4": (100, 0, 20, 0),
    "p5": (0, 47, 0, 0),
}


def test_classes_of_few_patients_and_the_largest_part_of_one_are_named():
    said = rhythm_words.concentrated(pairs_of(HELD, CLASSES)).data
    assert said == (
        "1,100 windows of 5 patients. In fewer than 4 patients: VT (2). In none: atrial. The most "
        "lopsided class is VT: 94% of its windows are of one patient. A model that answers N to "
        "everything is right in 90.9% of the windows."
    )


def test_a_class_of_four_patients_is_not_of_few():
    held = {f"p{n}": (5, 1) for n in range(4)}
    said = rhythm_words.concentrated(pairs_of(held, ("N", "VT"))).data
    assert said.startswith("24 windows of 4 patients. The most lopsided class is")
    held["p3"] = (5, 0)
    assert "In fewer than 4 patients: VT (3). The most" in (
        rhythm_words.concentrated(pairs_of(held, ("N", "VT"))).data
    )


LEFT_OUT = ["record", "rhythm", "reason", "windows", "seconds"]


def test_what_is_in_no_window_is_told_by_its_reason_and_by_rhythm_the_longest_first():
    rows = [
        ("R1", "VT", "touches a Q", 1, 30.0),
        ("R1", "N", "no group", 6, 90.0),
        ("R2", "VT", "touches a Q", 3, 96.0),
        ("R2", "", "before the first rhythm", 0, 9.0),
    ]
    left = pd.DataFrame(rows, columns=LEFT_OUT)
    pairs = pairs_of({"p1": (60, 12)}, ("N", "VT"), left)  # 72 windows of 2 s
    # Of VT 126 s are lost beside 24, of N 90 beside 120.
    assert rhythm_words.left_out(pairs).data == (
        "2.4 minutes of recording are in windows, 3.8 are not. In minutes, by reason: touches a Q "
        "2.1; no group 1.5; before the first rhythm 0.1. The rhythms that lose most: 84% of VT, "
        "43% of N. A rhythm that comes in short runs loses much of itself to the tails."
    )


def test_the_three_rhythms_that_lose_most_are_named_by_the_share_and_not_by_the_seconds():
    held = {"p1": (40, 1, 2), "p2": (0, 3, 2), "p3": (20, 4, 1)}  # 120 s, 16 s, 10 s
    seconds = {"N": (30.0, 10.0), "VT": (8.0, 16.0), "AVRT": (2.5,)}
    rows = [("R", name, "tail", 0, each) for name, several in seconds.items() for each in several]
    pairs = pairs_of(held, ("N", "VT", "AVRT"), pd.DataFrame(rows, columns=LEFT_OUT))
    said = rhythm_words.left_out(pairs).data
    assert "lose most: 60% of VT, 25% of N, 20% of AVRT. A rhythm" in said
    four = pairs_of({"p1": (60, 8, 5, 4)}, CLASSES, pairs.left_out)  # the fourth loses nothing
    assert (
        "lose most: 60% of VT, 25% of N, 20% of AVRT. A rhythm" in rhythm_words.left_out(four).data
    )
    short = pairs.left_out[pairs.left_out["rhythm"] == "AVRT"]
    said = rhythm_words.left_out(pairs_of(held, ("N", "VT", "AVRT"), short)).data
    assert "lose most: 20% of AVRT, 0% of N, 0% of VT. A rhythm" in said


def test_where_nothing_is_left_out_it_says_so():
    none = pd.DataFrame(columns=["record", "rhythm", "reason", "windows", "seconds"])
    said = rhythm_words.left_out(pairs_of({"p1": (2, 1)}, ("N", "VT"), none)).data
    assert said.startswith("Nothing of the recordings that are read is left out")
    assert "minutes" not in said


def test_the_patients_are_proxies_where_none_is_named():
    made = pairs_of(HELD, CLASSES)
    table = made.table.assign(proxy=made.table["patient"], patient="unknown")
    unnamed = dataclasses.replace(made, table=table)
    assert rhythm_words.concentrated(unnamed).data == rhythm_words.concentrated(made).data


@pytest.mark.parametrize("number", [0, 1])
def test_a_lopsided_share_is_of_the_class_itself(number):
    held = {"p1": (80, 9) if number else (99, 2), "p2": (20, 1) if number else (1, 2)}
    said = rhythm_words.concentrated(pairs_of(held, ("N", "VT"))).data
    assert f"{('N: 99%', 'VT: 90%')[number]} of its windows are of one patient" in said


def folds_of(*sides):
    """An outcome of folds, each of (windows that are taught, windows that are tested)."""
    rows = [dict(zip(("train", "test"), map(np.array, of), strict=True)) for of in sides]
    return SimpleNamespace(folds=[SimpleNamespace(sides=of) for of in rows])


def test_of_a_split_by_time_it_is_told_how_much_is_of_patients_who_were_taught():
    pairs = pairs_of({"p1": (4,), "p2": (4,), "p3": (2,)}, ("N",))  # rows 0 to 3, to 7, to 9
    first = ([0, 1, 4, 5], [2, 6, 8])  # p3 is not taught
    second = ([2, 3, 8], [0, 1, 4, 5, 9])  # p2 is not taught
    said = rhythm_words.by_time(folds_of(first, second), pairs).data
    assert said == (  # 2 of 3 and 3 of 5
        "Of the windows that the split by time tests, 62% are of patients who were taught at other "
        "times. The rest are of patients of whom nothing was taught by that model, as of "
        "recordings too short to be on two sides."
    )
    assert "tests, 67% are" in rhythm_words.by_time(folds_of(first), pairs).data


def test_a_split_by_time_knows_patients_by_their_proxies():
    table = pairs_of({"p1": (2,), "p2": (2,)}, ("N",)).table
    unnamed = table.assign(patient="unknown", proxy=["a", "b", "a", "c"])
    said = rhythm_words.by_time(folds_of(([0, 1], [2, 3])), SimpleNamespace(table=unnamed)).data
    assert "tests, 50% are" in said


def outcome(truth, answers, classes=CLASSES, scores=(), **protocol):
    """An outcome on windows of these classes, each given by its number."""
    one_hot = np.eye(len(classes), dtype=bool)
    return Outcome(
        protocol=dataclasses.replace(PATIENT, **protocol),
        kind="twin",
        classes=classes,
        targets=one_hot[truth],
        probabilities=None,
        answers=one_hot[answers],
        about=None,
        scores=pd.DataFrame(scores, columns=["metric", "label", "value", "low", "high"]),
        facts={},
        curves=None,
        folds=(),
        folder=None,
    )


TRUTH = [0] * 6 + [1] * 3 + [2]  # 6 N, 3 VT, 1 AVRT, and nothing atrial


def test_a_class_that_neither_ever_answers_rightly_is_named():
    first = outcome(TRUTH, [0] * 6 + [0, 2, 2] + [3])  # VT and AVRT are answered, and wrongly
    second = outcome(TRUTH, [1] * 6 + [1, 0, 0] + [0])  # VT once rightly
    # N to everything: precision 0.6, recall 1, F1 0.75, of one class of the three that occur.
    floor = "Answering the commonest class to everything has a macro F1 of 0.250 here. "
    said = rhythm_words.never([first, second]).data
    assert said == floor + (
        "Never answered rightly, by neither: AVRT. Each adds a 0 to the mean: the difference "
        "between the two ways of dividing is made by the other classes alone."
    )
    assert "by neither: VT, AVRT. Each" in rhythm_words.never([first, first]).data
    right = outcome(TRUTH, TRUTH)
    assert rhythm_words.never([first, right]).data == floor
    assert rhythm_words.never([right, first]).data == floor


def test_the_five_metrics_stand_in_per_cent_with_one_row_an_outcome():
    metrics = ("top1", "precision", "recall", "f1", "f2")

    def scored(value, low, **protocol):
        rows = [
            (metric, label, value + (metric == "f2") / 8 - wrong, low, value + 0.125)
            for metric in (*metrics, "auroc")
            for label, wrong in (("N", 0.5), ("macro", 0))
        ]
        return outcome([0], [0], scores=rows, **protocol)

    shown = rhythm_words.five([scored(0.75, 0.6254), scored(0.5, math.nan, split="window")])
    assert list(shown.columns) == [
        "top-1 accuracy",
        "macro precision",
        "macro recall",
        "macro F1",
        "macro F2",
    ]
    assert shown.index.tolist() == [PATIENT.name, dataclasses.replace(PATIENT, split="window").name]
    assert shown.iloc[0].tolist() == ["75.0 (62.5 to 87.5)"] * 4 + ["87.5 (62.5 to 87.5)"]
    assert shown.iloc[1].tolist() == ["50.0"] * 4 + ["62.5"]


NUMBERS = ["value", "low", "high", "lot", "beaten"]


def alone(*scored):
    """scored: the protocol, the AUROC's NUMBERS, and the recall."""
    columns = ["name", "metric", "label", *NUMBERS]
    rows = []
    for by, *numbers, recall in scored:
        name = f"presence of electrograms alone, 12 leads, {by}"
        rows += [
            (name, "recall", "macro", recall, *[0.111] * 2, math.nan, math.nan),
            (name, "auroc", "a", *[0.222] * 5),
            (name, "auroc", "macro", *numbers),
            (name, "recall", "a", *[0.333] * 5),
        ]
    return pd.DataFrame(rows, columns=columns)


def test_presence_stands_beside_what_layouts_by_lot_reach():
    table = alone(
        ("window split", 0.7, 0.6, 0.8, 0.65, 0.045, 0.25),
        ("patient split", 0.55, 0.499, 0.601, 0.5, 0.31, 0.2),
    )
    assert rhythm_words.presence(table).data == (
        "The presence of electrograms alone. With *12 leads, window split*, macro AUROC is 0.700 "
        "(95 % interval 0.600 to 0.800) and macro recall 0.250. With layouts dealt to patients by "
        "lot the AUROC is 0.650 in the middle, and as high or higher in 4% of the draws: more than "
        "lots give. With *12 leads, patient split*, macro AUROC is 0.550 (95 % interval 0.499 to "
        "0.601) and macro recall 0.200. With layouts dealt to patients by lot the AUROC is 0.500 "
        "in the middle, and as high or higher in 31% of the draws: no more than lots give."
    )


@pytest.mark.parametrize(("beaten", "told"), [(0.05, "more than"), (0.055, "no more than")])
def test_a_twentieth_of_the_draws_may_be_as_high(beaten, told):
    table = alone(("patient split", 0.7, 0.6, 0.8, 0.65, beaten, 0.25))
    assert rhythm_words.presence(table).data.endswith(f"of the draws: {told} lots give.")


def test_presence_without_an_interval_says_so_and_without_lots_tells_of_none():
    table = alone(("patient split", 0.71, *[math.nan] * 4, 0.25))
    assert rhythm_words.presence(table).data == (
        "The presence of electrograms alone. With *12 leads, patient split*, macro AUROC is 0.710 "
        "(too few patients for an interval) and macro recall 0.250."
    )
    table = alone(("patient split", 0.71, math.nan, math.nan, 0.5, 0.01, 0.25))
    said = rhythm_words.presence(table).data
    assert "nan" not in said
    assert said.endswith("in 1% of the draws: more than lots give.")


def test_presence_is_constant_where_every_macro_auroc_is_chance_without_a_width():
    chance = ("window split", 0.5, 0.5, 0.5, 0.5, 1.0, 0.2)
    assert rhythm_words.constant(alone(chance, chance))
    for other in (
        ("patient split", 0.5, 0.49, 0.5, 0.5, 1.0, 0.2),
        ("patient split", 0.5, 0.5, 0.51, 0.5, 1.0, 0.2),
        ("patient split", 0.5, math.nan, math.nan, 0.5, 1.0, 0.2),
    ):
        assert not rhythm_words.constant(alone(chance, other))
        assert not rhythm_words.constant(alone(other))


def test_what_was_heard_is_counted_over_the_answers():
    outcome = SimpleNamespace(
        about=pd.DataFrame({"record": ["r"] * 1500}), facts={"heard": {"ecg": 1499, "iegm": 1234}}
    )
    assert rhythm_words.heard(outcome).data == (
        "Of 1,500 answers, 1,499 were made with the first signal and 1,234 with the second, as the "
        "model itself reports."
    )


def terms(**values):
    """An ablation; values: name_metric -> a value and the ends of its gain, a seed."""
    firsts = {name.partition("_")[2]: seeds for name, seeds in reversed(values.items())}
    rows = []
    for name, seeds in values.items():
        of, _, metric = name.partition("_")
        for seed, (value, low, high) in enumerate(seeds):
            gained = value - firsts[metric][seed][0]
            rows.append((of, seed, metric, value, gained, low, high))
    columns = ["terms", "seed", "metric", "value", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


TWO = terms(
    CE_top1=[(0.50, 0, 0), (0.56, 0, 0)],
    CE_f1=[(0.40, 0, 0), (0.42, 0, 0)],
    whole_top1=[(0.60, 0.02, 0.2), (0.62, -0.01, 0.1)],
    whole_f1=[(0.40, -0.1, 0.1), (0.35, -0.2, 0.1)],
)


def test_a_gain_stands_beside_what_a_seed_brings_and_how_many_intervals_leave_0_out():
    assert rhythm_words.gain(TWO).data == (
        "The whole loss over *CE*: top-1 accuracy +8.0 points (the mean of 2 seeds; seeds of one "
        "loss lie up to 6.0 points apart; the interval of the difference leaves 0 out in 1 of 2); "
        "macro F1 -3.5 points (the mean of 2 seeds; seeds of one loss lie up to 5.0 points apart; "
        "the interval of the difference holds 0)."
    )


def test_a_gain_of_one_seed_says_what_it_leaves_out_and_of_what_it_is():
    single = TWO[TWO["seed"] == 0].replace("CE", "+ psi")
    assert rhythm_words.gain(single, ("f1",)).data == (
        "The whole loss over *+ psi*: macro F1 +0.0 points (one seed, which leaves the luck of "
        "training out; the interval of the difference holds 0)."
    )
    assert "out; the interval of the difference leaves 0 out in 1 of 1)." in (
        rhythm_words.gain(single, ["top1"]).data
    )


def embedded(degrees, labels):
    """Embeddings of two numbers, each of length one, at these angles."""
    angles = np.radians(degrees)
    z = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return SimpleNamespace(z=z, labels=np.array(labels))


def test_the_separation_is_the_mean_silhouette_by_cosines():
    """Apart by 60 degrees is 0.5, by 90 1, by 120 1.5, by 180 2; the silhouette (b - a) / max."""
    covered = embedded([0, 90, 0, 90], [0, 0, 1, 1])  # a 1, b the mean of 0 and 1, for each
    apart = embedded([0, 60, 180, 180], [0, 0, 1, 1])  # 1.5 / 2, 1 / 1.5, and 1 for both others
    assert rhythm_words.separation(covered, apart, ("CE", "the whole loss")).data == (
        "Mean silhouette, 1 where each window is nearest to its own class and 0 where classes "
        "cover each other: -0.50 with CE, 0.85 with the whole loss."
    )


def test_a_page_on_mitbih_says_what_its_words_mean_there():
    def said(name):
        run = SimpleNamespace(training=SimpleNamespace(name=name))
        return rhythm_words.stands_in(run).data

    assert said("leipzig") == (
        "The signals are the surface ECG and electrograms; the classes, rhythms."
    )
    assert said("mitdb").startswith("This run is on MIT-BIH. Where the page says *electrogram*")
    assert "catheters does not apply" in said("mitdb")
