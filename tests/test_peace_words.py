"""The tables and sentences of the chapter on PEACE: every number is as it was given."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from pecg_utils import peace_words
from pecg_utils.alignment import ABLATION
from pecg_utils.data.windows import Windows
from pecg_utils.transfer_asked import SEEN
from pecg_utils.transfers import TEXTS


def said(markdown):
    assert not re.search(r"\bnan\b|None\b(?! of)|<NA>", markdown.data)
    return markdown.data


def kept(table):
    """The table as a record keeps it: columns of numbers may hold None, and are then objects."""
    lists = json.loads(table.to_json(orient="split"))
    columns = zip(*lists["data"], strict=True)
    return pd.DataFrame(dict(zip(lists["columns"], columns, strict=True)), dtype=object)


def test_the_papers_differences_are_its_ablation_less_its_complete_model():
    """arXiv 2605.00647v2, reckoned by hand: zero-shot, 50-shot, full."""
    expected = {
        "no text": (-0.1338, -0.1537, -0.2470),
        "w/o LSBC": (-0.0316, -0.0400, -0.0193),
        "w/o CAF": (-0.1229, -0.0405, -0.0111),
        "single text": (-0.1019, -0.0744, -0.0286),
    }
    table = peace_words.claimed_differences()
    assert list(table.columns) == ["name", "mode", "claimed"]
    found = table.pivot(index="name", columns="mode", values="claimed")
    assert set(found.index) == set(expected) == set(ABLATION) - {"complete"}
    for name, values in expected.items():
        assert found.loc[name, ["0", "50", "all"]].tolist() == pytest.approx(values, abs=1e-12)
    fewer = peace_words.claimed_differences("10")
    assert fewer["mode"].tolist() == table["mode"].replace("50", "10").tolist()
    assert fewer["claimed"].equals(table["claimed"])


COLUMNS = ["name", "mode", "value", "gain", "gain_low", "gain_high", "apart", "claimed"]


def left_out(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


# Noise by mode: zero-shot 0.03 by the seeds of the complete model, all children 0.02 by intervals.
PARTS = left_out(
    ("complete", "0", 0.6, 0, 0, 0, 0.03, np.nan),
    ("complete", "all", 0.9, 0, 0, 0, 0.001, np.nan),
    ("no text", "0", 0.48, -0.12, -0.13, -0.11, 0.5, -0.1338),
    ("no text", "all", 0.89, -0.01, -0.03, 0.01, 0.5, -0.247),
    ("w/o LSBC", "0", 0.62, 0.02, 0.005, 0.035, 0.5, -0.0291),
    ("w/o CAF", "all", 0.9, 0.0, -0.02, 0.02, 0.5, -0.0111),
    ("ours", "all", 0.9, 0.0, -0.02, 0.02, 0.5, np.nan),
)


@pytest.mark.parametrize("as_kept", [False, True])
def test_the_ablation_names_what_leaves_0_out_and_what_is_noise(as_kept):
    found = said(peace_words.ablation(kept(PARTS) if as_kept else PARTS, "twin"))
    ours, paper = found.split(" Of the paper's own, ")
    assert ours == (
        "On the *twin*, in macro AUROC, 2 of 5 differences to the complete model leave 0 out: "
        "*no text* zero-shot -0.120 (-0.130 to -0.110); "
        "*w/o LSBC* zero-shot +0.020 (+0.005 to +0.035)."
    )
    assert paper == (
        "2 of 4 differences lie inside the noise measured here: "
        "*w/o LSBC* zero-shot -0.029, noise 0.030; *w/o CAF* all children -0.011, noise 0.020. "
        "With more tested children there would be less noise."
    )


def test_one_difference_none_and_nothing_left_out():
    one = PARTS.iloc[[1, 3]]
    found = said(peace_words.ablation(one, "subset"))
    assert "no difference to the complete model leaves 0 out. Of" in found
    assert "own, no difference lies inside the noise measured here." in found
    found = said(peace_words.ablation(PARTS.iloc[[0, 2]], "subset"))
    assert "the only difference to the complete model leaves 0 out: *no text*" in found
    none = PARTS.iloc[[0, 1, 3, 5]]
    assert "none of 2 differences to the complete model leaves 0 out." in said(
        peace_words.ablation(none, "subset")
    )
    alone = said(peace_words.ablation(PARTS.iloc[:2], "subset"))
    assert alone == "On the *subset*, nothing was left out of the complete model."


def test_without_intervals_the_seeds_are_the_noise_and_without_both_nothing_is():
    bare = PARTS.assign(gain_low=None, gain_high=None)
    found = said(peace_words.ablation(bare, "twin"))
    assert "none of 5 differences to the complete model leaves 0 out. Of" in found
    assert "1 of 4 differences lies inside the noise measured here: *w/o LSBC* zero-shot" in found
    blind = said(peace_words.ablation(bare.assign(apart=None), "twin"))
    assert "paper" not in blind
    assert "paper" not in said(peace_words.ablation(PARTS.assign(claimed=None), "twin"))


def test_another_few_shot_mode_is_said_to_stand_beside_the_papers_50():
    table = left_out(
        ("complete", "10", 0.7, 0, 0, 0, 0.1, np.nan),
        ("w/o LSBC", "10", 0.7, 0, -0.01, 0.01, 0.1, -0.04),
    )
    assert "*w/o LSBC* 10-shot (there 50-shot) -0.040, noise 0.100" in said(
        peace_words.ablation(table, "twin")
    )


def method(name, shots, value, trials=3, metric="auroc", spread=0.01):
    ends = value - 0.02, value + 0.03
    seen = value - spread, value + spread
    return (f"{name} {shots}", name, shots, 99, metric, trials, value, *ends, *seen)


METHODS = pd.DataFrame(
    [
        method("PEACE", None, 0.9, trials=1),
        method("PEACE", 10, 0.712),
        method("PEACE", 0, 0.6, spread=0.0),
        method("DANN", 0, 0.5, spread=0.02),
        method("DANN", 50, 0.8),
    ],
    columns=[
        *("name", "method", "shots", "recordings", "metric"),
        *("trials", "value", "low", "high", "least", "most"),
    ],
)


@pytest.mark.parametrize("as_kept", [False, True])
def test_methods_are_rows_and_numbers_of_shots_columns(as_kept):
    shown = peace_words.compared(kept(METHODS) if as_kept else METHODS)
    assert shown.index.tolist() == ["PEACE", "DANN"]
    assert list(shown.columns) == ["zero-shot", "10-shot", "50-shot", "all children"]
    assert shown.loc["PEACE"].tolist() == [
        "0.600 (0.580 to 0.630)",
        "0.712 (0.692 to 0.742), trainings 0.70 to 0.72",
        "–",
        "0.900 (0.880 to 0.930)",
    ]
    assert shown.loc["DANN"].tolist() == [
        "0.500 (0.480 to 0.530), trainings 0.48 to 0.52",
        "–",
        "0.800 (0.780 to 0.830), trainings 0.79 to 0.81",
        "–",
    ]


def test_two_metrics_have_columns_of_their_own_and_a_method_has_one_row():
    both = pd.concat([METHODS, METHODS.assign(metric="f1", value=0.3, low=None, high=None)])
    shown = peace_words.compared(both)
    assert list(shown.columns)[::4] == ["macro AUROC, zero-shot", "macro F1, zero-shot"]
    assert list(shown.columns)[3:5] == ["macro AUROC, all children", "macro F1, zero-shot"]
    assert shown.loc["PEACE", "macro F1, all children"] == "0.300"
    with pytest.raises(ValueError, match="duplicate"):
        peace_words.compared(pd.concat([METHODS, METHODS]))


def counted(*rows):
    return pd.DataFrame(rows, columns=["label", "words", "asked", "found", "there"])


def test_labels_with_fewer_positives_than_asked_are_named():
    table = counted(
        ("NORM", "normal ECG", 10, 10, 200),
        ("SBRAD", "sinus bradycardia", 10, 3, 3),
        ("LQT", "LQT", 10, 0, 0),
        ("RVH", "", 10, 4, 12),
        ("PAC", "premature beats", 10, 10, 10),
    )
    for given in (table, kept(table)):
        shown = peace_words.shots(given)
        assert shown.index.tolist() == given["label"].tolist()
        assert shown.columns.tolist() == ["words", "positives there are", "of at most 10"]
        of = shown["of at most 10"]
        assert of["SBRAD"] == "3, all there are"
        assert of["LQT"] == "none"
        assert of["RVH"] == "4"  # more would give another label too many
        assert of["PAC"] == "10"
    several = peace_words.shots(pd.concat([table, table.assign(asked=50, found=table["there"])]))
    assert several.columns.tolist()[2:] == ["of at most 10", "of at most 50"]
    assert several.loc["PAC", "of at most 50"] == "10, all there are"


def test_an_empty_support_set_is_said_to_be_empty():
    empty = said(peace_words.shots(counted(("NORM", "normal", 10, 0, 0), ("RVH", "x", 10, 0, 0))))
    assert empty.endswith("carries one of the labels: the support set is empty.")
    assert said(peace_words.shots(counted())) == empty


def test_the_counts_of_a_support_set_are_read_as_they_are_made():
    from pecg_utils.data import domains

    rows = 60
    table = pd.DataFrame(
        {
            "domain": domains.CHILDREN,
            "patient": [f"p{i}" for i in range(rows)],
            "proxy": [f"p{i}" for i in range(rows)],
            "same": range(rows),
            "age_days": np.arange(rows) * 10.0,
        }
    )
    labels = np.zeros((rows, 2), dtype=bool)
    labels[:, 0] = True
    windows = Windows.__new__(Windows)
    object.__setattr__(windows, "table", table)
    object.__setattr__(windows, "labels", labels)
    object.__setattr__(windows, "classes", ("NORM", "RVH"))
    made = domains.shot_counts(windows, ["normal", "right"], 5, 0)
    assert peace_words.shots(made)["of at most 5"].to_dict() == {
        "NORM": "5",
        "RVH": "none",
    }


@pytest.mark.parametrize(
    ("adults", "children", "words"),
    [
        (0, 0, ""),
        (
            1,
            0,
            "1 of 1,200 recordings of the adults' dataset states no age, or one above",
        ),
        (34, 0, "34 of 1,200 recordings of the adults' dataset state no age, or one above 89 "),
        (0, 1, "1 of the children's states no age. It is taught and tested, and in no band of age"),
        (0, 3, "3 of the children's state no age. They are taught and tested, and in no band of"),
    ],
)
def test_recordings_without_an_age(adults, children, words):
    found = said(peace_words.unaged(adults, 1200, children))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def shown_tokens(**taught):
    rows = [
        (name, seen, value, value - 0.03, value + 0.03)
        for name, values in taught.items()
        for seen, value in zip(SEEN, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["taught", "seen", "value", "low", "high"])


@pytest.mark.parametrize("as_kept", [False, True])
def test_what_the_tokens_tell(as_kept):
    table = shown_tokens(
        **{"in the path": (0.6, 0.99, 0.5)}, beside=(0.7, 0.8, 0.66), none=(0.72, 0.73, 0.71)
    )
    found = said(peace_words.leak(kept(table) if as_kept else table))
    first, second, third = re.split(r"(?<=\.) (?=[A-Z])", found)
    assert third.startswith(
        "Macro AUROC by what is seen at test:\n\n- taught with the tokens in the path: 0.600 (0.570"
        " to 0.630) from the ECG alone, 0.990 (0.960 to 1.020) with its own tokens in sight, 0.500 "
        "(0.470 to 0.530) with another's\n- taught with the tokens beside the path: 0.700"
    )
    assert "\n- taught without tokens: 0.720 (0.690 to 0.750) from the ECG alone" in third
    assert first == (
        "By intervals that do not meet, its own tokens help the model taught with the tokens in "
        "the path or with the tokens beside the path, and another's mislead the one taught with "
        "the tokens in the path."
    )
    assert second == (
        "From the ECG alone, which is all that there is of a new patient, the one taught with the "
        "tokens in the path lies 0.120 below the one taught without; the intervals do not meet."
    )


def test_tokens_that_tell_nothing_and_rows_that_are_not_there():
    table = shown_tokens(beside=(0.71, 0.7, 0.7), shuffled=(0.7, 0.7, 0.7), none=(0.7, 0.7, 0.7))
    found = said(peace_words.leak(table))
    assert "No tokens help or mislead by intervals that do not meet." in found
    assert "taught with shuffled tokens" in found
    assert "path lies 0.010 above the one taught without; the intervals overlap. Macro" in found
    lone = table[(table["seen"] == SEEN[0]) & (table["taught"] != "none")]
    found = said(peace_words.leak(lone.assign(low=None, high=None)))
    assert found == (
        "No tokens help or mislead by intervals that do not meet. Macro AUROC by what is seen at "
        "test:\n\n- taught with the tokens beside the path: 0.710 from the ECG alone\n"
        "- taught with shuffled tokens: 0.700 from the ECG alone"
    )
    without = peace_words.leak(table.assign(low=None, high=None))
    assert "without both intervals this says little." in said(without)


def control(name, mode, gain, half=0.02):
    return (name, mode, 0.7 + gain, 0.6, 0.8, gain, gain - half, gain + half)


def controls(*rows):
    columns = ["name", "mode", "value", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("as_kept", [False, True])
def test_whether_it_mattered_what_the_texts_say(as_kept):
    table = controls(
        control("real", "0", 0, 0),
        control("random", "0", -0.1),
        control("shuffled", "all", 0.01),
        control("one-hot", "all", 0.03),
        control("shuffled", "10", -0.03),
    )
    assert set(table["name"]) == set(TEXTS)
    found = said(peace_words.controls(kept(table) if as_kept else table, "twin")).split("\n")
    assert found[0].startswith(
        "On the *twin*, macro AUROC with other texts in their place, or untr"
    )
    assert found[2:6] == [
        "- *random* zero-shot: -0.100 (-0.120 to -0.080), leaves 0 out",
        "- *shuffled* all children: +0.010 (-0.010 to +0.030), holds 0",
        "- *one-hot* all children: +0.030 (+0.010 to +0.050), leaves 0 out",
        "- *shuffled* 10-shot: -0.030 (-0.050 to -0.010), leaves 0 out",
    ]
    assert found[-1] == (
        "What the texts say mattered against *random* zero-shot and *shuffled* 10-shot; "
        "*one-hot* all children is better than the real texts."
    )


def test_controls_that_cannot_be_told_from_the_real_texts():
    nothing = "No texts without a meaning can be told from the real ones, so that nothing shows"
    table = controls(control("real", "0", 0, 0), control("random", "0", -0.01))
    assert nothing in said(peace_words.controls(table, "subset"))
    bare = said(peace_words.controls(table.assign(gain_low=None, gain_high=None), "subset"))
    assert "- *random* zero-shot: -0.010, without an interval" in bare
    untrained = pd.concat([table, controls(control("untrained", "0", -0.3))])
    found = said(peace_words.controls(untrained, "subset"))
    assert "*untrained* zero-shot: -0.300" in found  # which says nothing about the texts
    assert nothing in found
    assert nothing in bare
