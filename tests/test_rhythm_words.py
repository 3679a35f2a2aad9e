"""The sentences of the AGCACL chapter, with each number reckoned by hand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_pairs import Made

from pecg_utils import rhythm_words


def pairs_of(held, classes, left_out=None):
    """Windows of 2 s; held: patient -> how many windows of each class."""
    of = [(who, c) for who, counts in held.items() for c, n in enumerate(counts) for _ in range(n)]
    table = pd.DataFrame({"record": "R", "patient": [who for who, _ in of], "start": 4.0})
    table["end"] = table["start"] + 2
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


def test_what_is_in_no_window_is_told_by_its_reason_the_longest_first():
    rows = [
        ("R1", "VT", "touches a Q", 1, 30.0),
        ("R1", "N", "no group", 6, 90.0),
        ("R2", "VT", "touches a Q", 3, 96.0),
        ("R2", "", "before the first rhythm", 0, 9.0),
    ]
    left = pd.DataFrame(rows, columns=["record", "rhythm", "reason", "windows", "seconds"])
    pairs = pairs_of({"p1": (60, 12)}, ("N", "VT"), left)  # 72 windows of 2 s
    assert rhythm_words.left_out(pairs).data == (
        "2.4 minutes of recording are in windows, 3.8 are not. In minutes, by reason: touches a Q "
        "2.1; no group 1.5; before the first rhythm 0.1."
    )


def test_where_nothing_is_left_out_it_says_so():
    none = pd.DataFrame(columns=["record", "rhythm", "reason", "windows", "seconds"])
    said = rhythm_words.left_out(pairs_of({"p1": (2, 1)}, ("N", "VT"), none)).data
    assert said.startswith("Nothing of the recordings that are read is left out")
    assert "minutes" not in said


def alone(*scored):
    rows = [
        (f"presence of electrograms alone, 12 leads, {by}", metric, label, *numbers)
        for by, *numbers in scored
        for metric, label in (("auroc", "a"), ("auroc", "macro"), ("recall", "macro"))
    ]
    table = pd.DataFrame(rows, columns=["name", "metric", "label", "value", "low", "high"])
    other = table["metric"].ne("auroc") | table["label"].ne("macro")
    table.loc[other, ["value", "low", "high"]] = 0.111
    return table


def test_presence_is_above_chance_where_its_interval_is_and_else_not_told_from_it():
    table = alone(("window split", 0.7, 0.6, 0.8), ("patient split", 0.55, 0.499, 0.601))
    assert rhythm_words.presence(table).data == (
        "The presence of electrograms alone. With *12 leads, window split*, macro AUROC is 0.700 "
        "(95 % interval 0.600 to 0.800), above chance. With *12 leads, patient split*, macro "
        "AUROC is 0.550 (95 % interval 0.499 to 0.601), not told from chance."
    )
    said = rhythm_words.presence(alone(("patient split", 0.6, 0.5, 0.7))).data
    assert "not told from chance" in said  # the interval begins at chance


def test_what_was_heard_is_counted_over_the_answers():
    outcome = SimpleNamespace(
        about=pd.DataFrame({"record": ["r"] * 1500}), facts={"heard": {"ecg": 1500, "iegm": 1234}}
    )
    assert rhythm_words.heard(outcome).data == (
        "Of 1,500 answers, 1,500 were made with the surface ECG and 1,234 with an electrogram, as "
        "the model itself reports."
    )


def terms(**values):
    """An ablation; values: name_metric -> a value a seed."""
    rows = [
        (name.partition("_")[0], seed, name.partition("_")[2], value, value - 0.1, value + 0.1)
        for name, seeds in values.items()
        for seed, value in enumerate(seeds)
    ]
    return pd.DataFrame(rows, columns=["terms", "seed", "metric", "value", "low", "high"])


TWO = terms(
    CE_top1=[0.50, 0.56], CE_f1=[0.40, 0.42], whole_top1=[0.60, 0.62], whole_f1=[0.40, 0.35]
)


def test_a_gain_stands_beside_what_a_seed_brings():
    assert rhythm_words.gain(TWO).data == (
        "The whole loss over *CE*: top-1 accuracy +8.0 points, the means of 2 seeds each, where "
        "seeds of one loss lie up to 6.0 points apart; macro F1 -3.5 points, the means of 2 seeds "
        "each, where seeds of one loss lie up to 5.0 points apart."
    )


def test_a_gain_of_one_seed_says_what_it_leaves_out_and_of_what_it_is():
    single = TWO[TWO["seed"] == 0].replace("CE", "+ psi")
    said = rhythm_words.gain(single, "+ psi", ("f1",)).data
    assert said == (
        "The whole loss over *+ psi*: macro F1 +0.0 points (one seed each, which leaves the luck "
        "of training out)."
    )


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
