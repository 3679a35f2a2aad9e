"""The tables and sentences of the chapter on MRM-Net: every number is as it was given."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pecg_utils import models, mrmnet_words, picked
from pecg_utils.picked import AS_CODED, EPOCH, HEAD, LAST, RULES, SOUND
from pecg_utils.protocol import Protocol


def said(markdown):
    return markdown.data


def test_all_weights_learn_and_the_released_ones_do_not(seeded_on_one_thread):
    """At a width of 4 a gate's few hidden numbers may all be shut at the start, at 16 not."""
    table = mrmnet_words.weights((20, 16))
    assert table.index.tolist() == [20, 20, 16, 16]
    assert table["exchange"].tolist() == ["no", "yes"] * 2
    for (width, row), exchange in zip(table.iterrows(), (False, True) * 2, strict=True):
        model = models.create("mrmnet", 12, 5, 1000, width=width, exchange=exchange)
        total = sum(p.numel() for p in model.parameters())
        assert row["weights here"] == row["of which learn"] == f"{total:,}"
    assert table["released code"].tolist() == [
        *("not known", "not known"),
        *("34.27 million, 1.78 learn", "not known"),
    ]


def test_what_the_page_says_of_the_released_weights_is_what_is_typed():
    total, learn = mrmnet_words.RELEASED[16]
    assert round(total / learn) == 19  # the notebook's words
    assert set(mrmnet_words.RELEASED) < set(mrmnet_words.WIDTHS)


def row(name, metric, value, apart, gain, interval=True):
    ends = [value - 0.02, value + 0.01] if interval else [np.nan] * 2
    around = [gain - 0.005 * (gain != 0), gain + 0.01 * (gain != 0)] if interval else [np.nan] * 2
    return (name, metric, 3, value, *ends, apart, gain, *around)


def scored(*rows):
    """As comparison.table gives it."""
    own = ["value", "low", "high", "apart", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=["name", "metric", "trials", *own])


MODELS = scored(
    row("mrmnet", "auroc", 0.9, 0.0125, 0),
    row("mrmnet", "f1", 0.6, 0.0375, 0),
    row("fcn_wang", "auroc", 0.912, 0.003, 0.012),
    row("fcn_wang", "f1", 0.55, 0.007, -0.05),
)


def test_models_are_compared_in_a_row_each():
    shown = mrmnet_words.compared(MODELS)
    assert shown.index.tolist() == ["mrmnet", "fcn_wang"]
    assert list(shown.columns) == [
        *("macro AUROC", "its seeds lie apart by", "macro AUROC, less mrmnet"),
        *("macro F1", "macro F1, less mrmnet"),
    ]
    assert shown.loc["mrmnet"].tolist() == [
        *("0.900 (0.880 to 0.910)", "0.013", ""),
        *("0.600 (0.580 to 0.610)", ""),
    ]
    assert shown.loc["fcn_wang"].tolist() == [
        *("0.912 (0.892 to 0.922)", "0.003", "+0.012 (+0.007 to +0.022)"),
        *("0.550 (0.530 to 0.560)", "-0.050 (-0.055 to -0.040)"),
    ]


def test_without_intervals_the_values_stand_alone():
    bare = scored(
        row("mrmnet", "auroc", 0.9, 0.0, 0, interval=False),
        row("other", "auroc", 0.8, 0.0, -0.1, interval=False),
    )
    shown = mrmnet_words.compared(bare)
    assert shown.loc["other"].tolist() == ["0.800", "0.000", "-0.100"]
    assert shown.loc["mrmnet"].tolist() == ["0.900", "0.000", ""]
    assert "no interval of a difference to mrmnet leaves 0 out" in said(
        mrmnet_words.gained(bare, "twin")
    )


def gained(**gains):
    """The sentence for models with these gains in AUROC; in F1 all are far better."""
    rows = [row("MRM-Net", "auroc", 0.9, 0.0125, 0), row("MRM-Net", "f1", 0.6, 0.5, 0)]
    for name, gain in gains.items():
        rows += [row(name, "auroc", 0.9 + gain, 0.3, gain), row(name, "f1", 0.9, 0.4, 0.3)]
    return said(mrmnet_words.gained(scored(*rows), "subset"))


SEEDS = "Trainings of MRM-Net itself that differ in their seed alone lie up to 0.013 apart."


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ({"a": 0.003}, "no interval of a difference to MRM-Net leaves 0 out"),
        ({"a": 0.006, "b": 0.001}, "*a* lies above MRM-Net by an interval without 0"),
        ({"a": -0.02}, "*a* lies below MRM-Net by an interval without 0"),
        ({"a": -0.02, "b": -0.03, "c": 0.001}, "*a*, *b* lie below MRM-Net by an interval"),
        (
            {"a": 0.1, "b": 0.2, "c": -0.3},
            "*a*, *b* lie above MRM-Net and *c* lies below MRM-Net by an interval without 0",
        ),
    ],
)
def test_who_is_told_from_the_first_model(gains, words):
    found = gained(**gains)
    assert found.startswith(f"On the *subset*, in macro AUROC, {words}")
    assert found.endswith(SEEDS)


def outcome(targets, turn=0, split="fold", repeat=0):
    protocol = Protocol("mrmnet", ("I",), "1-lead", split, turn=turn, repeat=repeat)
    return SimpleNamespace(
        protocol=protocol, targets=np.array(targets, bool), classes=("NORM", "MI", "CD")
    )


def test_labels_that_a_test_side_lacks_are_named_by_fold():
    full = [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    lacks = [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    everywhere = [[1, 1, 0], [0, 1, 1]]
    assert said(mrmnet_words.untested([outcome(full), outcome(full, 1)])) == (
        "Every label is carried by some recordings of each test side."
    )
    found = said(mrmnet_words.untested([outcome(lacks), outcome(lacks, repeat=1)]))
    assert found.startswith("Fold 10 has no recording with MI, CD. Such a label has no AUROC")
    assert found.count("Fold") == 1
    found = said(mrmnet_words.untested([outcome(full), outcome(everywhere, 1)]))
    assert found.startswith("Fold 9 has no recording without MI. Such")
    found = said(mrmnet_words.untested([outcome(lacks), outcome(everywhere, 3)]))
    assert "Fold 10 has no recording with MI, CD" in found
    assert "Fold 7 has no recording without MI" in found
    found = said(mrmnet_words.untested([outcome(lacks, split="proxy")]))
    assert found.startswith("The test side has no recording with MI, CD. ")


def test_gates_are_of_each_training_and_stream(monkeypatch):
    levels = {
        0: {"high": (0.51249, 0.4), "low": (0.25, 0.75)},
        1: {"high": (0.1, 0.2), "low": (0.3, 0.4)},
    }
    asked = []

    def trained(of, windows):
        asked.append(windows)
        return of, of.protocol.repeat

    def around(model, repeat):
        assert model.protocol.repeat == repeat
        return SimpleNamespace(gates=levels[repeat], levels=levels[repeat].__getitem__)

    monkeypatch.setattr(mrmnet_words.resolutions, "trained", trained)
    monkeypatch.setattr(mrmnet_words.resolutions, "around_beats", around)
    both = [outcome([[1, 0, 1]], repeat=0), outcome([[1, 0, 1]], turn=1, repeat=1)]
    table = mrmnet_words.gates(both, "the windows")
    assert asked == ["the windows"] * 2
    assert table.to_dict("list") == {
        "name": ["seed 1, fold 10", "seed 2, fold 9"],
        "high: on the QRS": [0.512, 0.1],
        "high: elsewhere": [0.4, 0.2],
        "low: on the QRS": [0.25, 0.3],
        "low: elsewhere": [0.75, 0.4],
    }


def test_costs_are_written_with_their_units():
    table = pd.DataFrame(
        {
            "name": ["mrmnet", "fcn_wang"],
            "value": [0.9, 0.85],
            "low": [0.88, np.nan],
            "high": [0.91, np.nan],
            "weights": [6952742, 278277],
            "multiply_adds": [2_200_400_000, 99_600_000],
            "seconds": [89.6, 3.2],
            "mebibytes": [1234.4, 56.7],
        }
    )
    shown = mrmnet_words.cost(table)
    assert shown.index.tolist() == ["mrmnet", "fcn_wang"]
    assert shown.index.name is None
    assert shown.loc["mrmnet"].to_dict() == {
        "macro AUROC": "0.900 (0.880 to 0.910)",
        "weights": "6,952,742",
        "multiply-adds a recording": "2,200 million",
        "seconds of a training": "90",
        "memory of a step (MiB)": "1,234",
    }
    assert shown.loc["fcn_wang"].tolist() == ["0.850", "278,277", "100 million", "3.2", "57"]


def rules():
    """Two trainings. Above the sound rule: as coded 0.02 and 0.05 in AUROC, twice that in F1."""
    above = {AS_CODED: (0.02, 0.05), EPOCH: (0.01, 0.0), HEAD: (-0.004, -0.006), LAST: (-0.9, -0.9)}
    return pd.DataFrame(
        [
            (rule, 3, "mean", 0.8 + gain, 0.5 + 2 * gain, seed, 10)
            for seed in (0, 1)
            for rule in RULES
            for gain in [above.get(rule, (0.0, 0.0))[seed]]
        ],
        columns=["rule", "epoch", "answer", "auroc", "f1", "seed", "fold"],
    )


def test_what_choosing_by_the_test_side_adds():
    first, *listed = said(mrmnet_words.optimism(rules(), "twin")).split("\n- ")
    assert first.startswith("On the *twin*, over 2 trainings, less what the epoch by validation")
    assert listed == [
        f"{AS_CODED}: macro AUROC +0.035 in the mean (+0.020 to +0.050), "
        "sample-wise F1 +0.070 in the mean (+0.040 to +0.100)",
        f"{EPOCH}: macro AUROC +0.005 in the mean (+0.000 to +0.010), "
        "sample-wise F1 +0.010 in the mean (+0.000 to +0.020)",
        f"{HEAD}: macro AUROC -0.005 in the mean (-0.006 to -0.004), "
        "sample-wise F1 -0.010 in the mean (-0.012 to -0.008)",
    ]
    assert SOUND == "epoch by validation, mean of the heads"  # what the first line means
    folds = rules().assign(fold=lambda table: 10 - table["seed"], seed=0)
    assert "over 2 trainings" in said(mrmnet_words.optimism(folds, "twin"))
    assert set(picked.RULES) == set(rules()["rule"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("ptbxl", "*twin* of CPSC2018, 1,250 rec"), ("cpsc2018", "*subset* of CPSC2018, 16 rec")],
)
def test_the_section_on_cpsc2018_says_what_it_is_measured_on(name, words):
    given = SimpleNamespace(name=name, kind="subset", table=range(16))
    run = SimpleNamespace(given=given, parameters=SimpleNamespace(recordings=1250))
    assert words in said(mrmnet_words.about_ways(run))


def test_stretched_less_sound_says_both_differences():
    table = pd.DataFrame(
        [
            ("all recordings", 300, 0.0123, -0.01, 0.0346),
            ("those under 10 s", 41, -0.2, -0.3, -0.1),
        ],
        columns=["name", "recordings", "value", "low", "high"],
    )
    found = said(mrmnet_words.stretched_less_sound(table, "twin"))
    assert found.startswith("On the *twin*, macro AUROC with stretched recordings less that with")
    assert (
        "on all recordings, 300, +0.012 (-0.010 to +0.035); on those under 10 s, 41, -0.200 "
        "(-0.300 to -0.100). " in found
    )
    bare = said(mrmnet_words.stretched_less_sound(table.assign(low=np.nan, high=np.nan), "twin"))
    assert "on all recordings, 300, +0.012; on those under 10 s, 41, -0.200. " in bare
    table.loc[1, "value"] = np.nan
    assert "under 10 s" not in said(mrmnet_words.stretched_less_sound(table, "twin"))


def test_stretching_says_how_much_slower_hearts_are():
    """Six are short. One has no rate in its window. Two fall below 60, one to 60, one to 100."""
    true = np.array([50, 80.0, 110, 70, 64, 75, 90, np.nan])
    stretched = np.array([50, 56.0, 100.0, 63, 59.9, 60, np.nan, np.nan])
    short = np.array([False, *[True] * 6, False])
    found = said(mrmnet_words.stretching(true, stretched, short, "subset"))
    assert found.startswith("On the *subset*, 6 of 8 recordings are stretched.")
    share = np.median([56 / 80, 100 / 110, 63 / 70, 59.9 / 64, 60 / 75])
    assert f"falls to {share:.0%} of what it was in the median, and to 70% in the" in found
    assert found.endswith("3 of the 5 whose rate can be measured change their class.")


@pytest.mark.parametrize("short", [[False, False], [True, False]])
def test_where_nothing_is_stretched_or_measured_that_is_said(short):
    """The one that is short has no rate."""
    rates = np.array([np.nan, 80.0])
    found = said(mrmnet_words.stretching(rates, rates, np.array(short), "twin"))
    assert not re.search("nan", found)
    if not any(short):
        assert found == "No recording of the *twin* is shorter than a window."
    else:
        assert found == "No heart rate of the *twin*'s stretched recordings can be measured."
