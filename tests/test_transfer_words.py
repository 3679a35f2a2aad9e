"""What the page on transfer says: every number is as it was given, every verdict as it follows."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pecg_utils import transfer_words


def said(markdown):
    assert not re.search(r"\bnan\b|None", markdown.data)
    return markdown.data


def test_labels_that_occur_are_counted_and_the_others_left_out():
    table = pd.DataFrame(
        {
            "words": ["normal", "fast", "thick", "rare"],
            **{"adults": [33, 4, 0, 0], "children": [8, 0, 5, 0]},
            **{"taught": [5, 0, 3, 0], "tested": [3, 0, 2, 0]},
            "taken": [True, False, False, False],
        },
        index=pd.Index(["NORM", "STACH", "LVH", "X"], name="code"),
    )
    shown = transfer_words.counts(table)
    assert shown.columns.tolist() == [
        *("words", "adults", "children", "children who may be taught", "children tested"),
        "takes part",
    ]
    assert shown.index.tolist() == ["NORM", "STACH", "LVH"]
    assert shown.loc["NORM"].tolist() == ["normal", 33, 8, 5, 3, "yes"]
    assert shown["takes part"].tolist() == ["yes", "no", "no"]
    assert shown.index.name is None


def test_ages_are_shown_by_band_in_the_units_of_each():
    numbers = {"rate": 139.4, "axis": -159.7, "r_v1": 1.174, "s_v1": 1.226, "t_v1": -0.039}
    columns = {name: [value, None] for name, value in numbers.items()}
    columns |= {f"{name}_low": [value - 1, None] for name, value in numbers.items()}
    columns |= {f"{name}_high": [value + 2, None] for name, value in numbers.items()}
    table = pd.DataFrame({"band": ["newborn", "old"], "recordings": [7.0, 3.0], **columns})
    shown = transfer_words.ages(table)
    assert shown.index.tolist() == ["newborn", "old"]
    assert shown.loc["newborn"].to_dict() == {
        "recordings": 7,
        "rate (1/min)": "139 (138 to 141)",
        "axis (°)": "-160 (-161 to -158)",
        "R in V1 (mV)": "1.17 (0.17 to 3.17)",
        "S in V1 (mV)": "1.23 (0.23 to 3.23)",
        "T in V1 (mV)": "-0.04 (-1.04 to 1.96)",
    }


@pytest.mark.parametrize(("shots", "few"), [(["10", "50"], "50"), (["10"], "10")])
def test_the_papers_differences_stand_beside_those_of_the_same_mode(shots, few):
    rows = [(name, mode) for name in ("complete", "no text") for mode in ("0", few, "all")]
    table = pd.DataFrame(rows, columns=["name", "mode"])
    found = transfer_words.with_claims(table, shots)
    assert found[["name", "mode"]].equals(table)
    assert found["claimed"][:3].isna().all()
    assert found["claimed"][3:].tolist() == pytest.approx([-0.1338, -0.1537, -0.2470])


def answered(value, low=0.1, high=0.3):
    row = pd.Series({"value": value, "guess": 0.0894, "low": low, "high": high})
    return SimpleNamespace(value=lambda metric: {"average_precision": row}[metric])


def test_precision_stands_beside_prevalence():
    found = said(transfer_words.guess([answered(0.2), answered(0.25), answered(0.15)]))
    assert "macro average precision of 0.089, the mean share of carriers" in found
    assert found.endswith("has 0.200 (0.100 to 0.300), the 3 trainings from 0.150 to 0.250.")
    assert said(transfer_words.guess([answered(0.2)])).endswith("has 0.200 (0.100 to 0.300).")


def pairs(low, high):
    """Two models, cut and pressed; the interval of the second one's difference."""
    rows = [
        ("PEACE", 0.7, 0.0, 0.0, 0.0),
        ("PEACE", 0.6, -0.1, -0.15, -0.02),
        ("plain", 0.5, 0.0, 0.0, 0.0),
        ("plain", 0.55, 0.05, low, high),
    ]
    return pd.DataFrame(rows, columns=["model", "value", "gain", "gain_low", "gain_high"])


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((-0.1, 0.2), "holds 0"), ((0.01, 0.2), "leaves 0 out"), ((-0.2, -0.01), "leaves 0 out")],
)
def test_pressed_each_model_is_compared_with_itself(ends, verdict):
    table = pairs(*ends)
    found = said(transfer_words.pressed(table.astype(object), "twin"))
    assert found.startswith("On *twin*, from recordings cut to recordings pressed: PEACE ")
    assert (
        "PEACE from 0.700 to 0.600, a difference of -0.100 (-0.150 to -0.020), which leaves 0 out; "
        f"plain from 0.500 to 0.550, a difference of +0.050 ({ends[0]:+.3f} to {ends[1]:+.3f}), "
        f"which {verdict}."
    ) in found


def healthy(**shares):
    """Shares of 10 younger and 30 older children called, by label."""
    rows = [
        (label, f"{label} in words", band, count, share, 0.05)
        for label, both in shares.items()
        for band, count, share in zip(("young", "old"), (10, 30), both, strict=True)
    ]
    columns = ["label", "words", "band", "children", "share", "rate"]
    return pd.DataFrame(rows, columns=columns).astype({"share": object})


def test_healthy_children_called_ill_are_counted_over_all_bands():
    table = healthy(A=(1.0, 0.0), B=(0.0, 0.4), C=(0.05, 0.05), D=(0.4, 0.0))
    found = said(transfer_words.flagged(table))
    assert found == (
        "Of 4 labels 3 are called in more than 5% of the healthy children: B in words in 30%, A "
        "in words in 25%, D in words in 10%."
    )
    more = said(transfer_words.flagged(healthy(**{n: (0.5, i / 10) for i, n in enumerate("ABCD")})))
    assert more.endswith("D in words in 35%, C in words in 28%, B in words in 20%, and 1 more.")
    few = said(transfer_words.flagged(healthy(A=(0.2, 0.0), B=(0.0, 0.0))))
    assert few.startswith("No label is called in more than 5% of the healthy children")


@pytest.mark.parametrize(
    ("sites", "word"), [(["a"], "1 hospital that"), (["a", "b"], "2 hospitals")]
)
def test_hospitals_are_told_together(sites, word):
    rows = [
        (site, 40, how, None if site == "a" else value)
        for site in [*sites, "all of these"]
        for how, value in (("plain, pooled", 0.61), ("PEACE, left out", 0.58))
    ]
    table = pd.DataFrame(rows, columns=["site", "recordings", "protocol", "value"])
    table.loc[table["site"] == "all of these", "recordings"] = 1234
    table = table.assign(low=0.5, high=0.7)
    found = said(transfer_words.hospitals(table, "subset"))
    assert found.startswith(f"On the 1,234 recordings of {word}")
    assert "*subset*" in found
    assert found.endswith(
        "is: plain, pooled 0.610 (0.500 to 0.700); PEACE, left out 0.580 (0.500 to 0.700)."
    )


def test_cases_say_whose_they_are_and_whether_they_are_alike():
    plain = said(transfer_words.cases("twin", "twin", alike=True))
    assert plain == "The children are of the *twin*, the models' adults of the *twin*."
    found = said(transfer_words.cases("subset", "full", alike=False))
    assert "of the *subset*, the models' adults of the *full*." in found
    assert found.endswith("their counts are not those of the same findings.")


def compared(**gains):
    """Gains over fine-tuning without children and with all; each is 0.02 from its interval's end,
    or has none."""
    rows = [
        ("fine-tuning", mode, metric, 0.0, 0.0, 0.0)
        for mode in ("0", "all")
        for metric in ("auroc", "average_precision")
    ]
    for name, both in gains.items():
        for mode, gain in zip(("0", "all"), both, strict=True):
            near = np.nan if gain is None else 0.02
            value = np.nan if gain is None else gain
            for metric in ("auroc", "average_precision"):
                rows.append((name, mode, metric, value, value - near, value + near))
    columns = ["name", "mode", "metric", "gain", "gain_low", "gain_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("mode", kind="stable", ignore_index=True)


@pytest.mark.parametrize(
    ("gains", "end"),
    [
        ({"DANN": (0.01, -0.01)}, "none of 2 differences to fine-tuning leaves 0 out."),
        (
            {"DANN": (0.05, 0.01), "PEACE": (0.0, 0.01)},
            "1 of 4 differences to fine-tuning leaves 0 out: DANN zero-shot +0.050 (+0.030 to "
            "+0.070).",
        ),
        (
            {"DANN": (0.05, 0.01), "PEACE": (0.0, -0.1)},
            "2 of 4 differences to fine-tuning leave 0 out: DANN zero-shot +0.050 (+0.030 to "
            "+0.070); PEACE all children -0.100 (-0.120 to -0.080).",
        ),
        ({"PEACE": (None, 0.01)}, "none of 1 difference to fine-tuning leaves 0 out."),
    ],
)
def test_a_gain_is_told_where_its_interval_leaves_0_out(gains, end):
    found = said(transfer_words.gained(compared(**gains), "twin"))
    assert found == f"On *twin*, in macro AUROC, {end}"
