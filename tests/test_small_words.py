"""What the page on small sets says: every number is as it was given, and is counted by hand.

Each table comes as the run makes it, and as a kept record gives it back, with None for NaN.
"""

import json
import re
from itertools import product

import numpy as np
import pandas as pd
import pytest

from pecg_utils import small_words
from pecg_utils.choosing_plots import AS_CODED, BY_TEST, BY_VALIDATION, LAST, SOUNDLY

WAYS = ("from scratch", "head only", "all weights")
FORMS = {
    "as made": lambda table: table,
    "from a record": lambda table: pd.DataFrame(
        {
            name: pd.Series([None if pd.isna(x) else x for x in column.tolist()], dtype=object)
            for name, column in table.items()
        }
    ),
}
form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def said(markdown):
    assert not re.search(
        r"\bnan\b|None|[;,] ?\.|\b1 (comparisons|trainings|cells)\b", markdown.data
    )
    return markdown.data


@pytest.mark.parametrize(
    ("dataset", "kind", "words"),
    [
        ("pe", "twin", r"a \*twin\* of the private one.* One patient in four has an embolism"),
        ("pe", "subset", r"the reader's own \(\*subset\*\).* It is not the paper's set\."),
        ("ptbxl", "twin", r"a stand-in, made of PTB-XL \(\*twin\*\).* No number .* is about embol"),
        ("ptbxl", "full", r"a stand-in, made of PTB-XL \(\*full\*\).* No number .* is about embol"),
    ],
)
def test_the_small_set_is_never_the_papers(dataset, kind, words):
    assert re.search(words, said(small_words.task(dataset, kind)))


def two_sets(large=21_000, small=927):
    return pd.DataFrame(
        [
            ("large", "ptbxl", "full", large, 5, large - 411, large // 2),
            ("small", "pe", "twin", small, 1, 232, small),
        ],
        columns=["name", "dataset", "kind", "recordings", "labels", "carriers", "patients"],
    )


@form
def test_both_sets_stand_side_by_side(form):
    shown = small_words.sets(form(two_sets()))
    assert shown.columns.tolist() == ["the large set", "the small set"]
    assert shown["the large set"].to_dict() == {
        "dataset": "PTB-XL, full",
        "recordings": "21,000",
        "labels": "5",
        "recordings with a label": "20,589 (98 %)",
    }
    assert shown["the small set"].tolist() == ["PE-HSM, twin", "927", "1", "232 (25 %)"]
    other = two_sets().assign(dataset=["hospitals", "mine"])
    shown = small_words.sets(form(other)).loc["dataset"].tolist()
    assert shown == ["the Challenge and LUDB, full", "mine, twin"]


@form
def test_how_large_the_large_set_is(form):
    found = said(small_words.larger(form(two_sets(1854))))
    assert "has 2.0 times as many recordings" in found
    assert "PTB-XL has 24 times as many" in found  # 21,837 / 927 is 23.6
    found = said(small_words.larger(form(two_sets(500))))
    assert "is the smaller one, with 500 recordings against 927" in found


@form
def test_pre_trained_models_are_shown_by_training(form):
    rows = [
        ("crnn lstm, seed 1", "crnn lstm", 0.8124, 0.7001, 0.9, 4, 1700, 210),
        ("crnn lstm, seed 2", "crnn lstm", 0.75, np.nan, np.nan, 15, 1700, 210),
        ("resnet18, seed 1", "resnet18", np.nan, np.nan, np.nan, 1, 1700, 210),
    ]
    columns = ["name", "model", "value", "low", "high", "epoch", "taught", "tested"]
    shown = small_words.broadly(form(pd.DataFrame(rows, columns=columns)))
    assert shown.index.tolist() == [row[0] for row in rows]
    assert shown["macro AUROC"].tolist() == ["0.812 (0.700 to 0.900)", "0.750", "undefined"]
    assert shown["epoch kept"].tolist() == [4, 15, 1]
    assert shown["recordings taught"].tolist() == [1700] * 3
    assert shown["recordings tested"].tolist() == [210] * 3


def ways(gains, models=("crnn lstm", "resnet18"), sizes=((50, "50"), (649, "all")), trials=3):
    """As small_study.table makes it. gains: (model, way, called) -> the gain; 0.02 to both sides,
    and from one training to the other 0.01 to the one and 0.03 to the other."""
    rows = []
    for (m, model), (k, (size, called)), way in product(enumerate(models), enumerate(sizes), WAYS):
        gain = gains.get((model, way, called), 0.0)
        tuned = way != WAYS[0]
        for metric, less in (("auroc", 0.0), ("average_precision", 0.3)):
            value = 0.6 + 0.05 * m + 0.1 * k + gain - less
            rows.append(
                {
                    **{"name": f"{model}, {way}, {called}, {metric}", "model": model, "way": way},
                    **{"size": size, "called": called, "metric": metric, "trials": trials},
                    **{"value": value, "low": value - 0.05, "high": value + 0.03, "gain": gain},
                    **{"gain_low": gain - 0.02 * tuned, "gain_high": gain + 0.02 * tuned},
                    **{"gain_least": gain - 0.01 * tuned, "gain_most": gain + 0.03 * tuned},
                }
            )
    return pd.DataFrame(rows)


GAINS = {
    ("crnn lstm", "head only", "50"): 0.05,
    ("crnn lstm", "head only", "all"): -0.03,
    ("crnn lstm", "all weights", "50"): 0.019,  # holds 0
    ("crnn lstm", "all weights", "all"): 0.021,
    ("resnet18", "head only", "50"): -0.1,
    ("resnet18", "head only", "all"): -0.02,  # an end is 0, which is in the interval
    ("resnet18", "all weights", "50"): 0.1,
    ("resnet18", "all weights", "all"): 0.0,
}


@form
def test_each_model_and_way_is_a_row_and_each_number_of_recordings_a_column(form):
    table = ways(GAINS)
    table.loc[table["name"] == "resnet18, head only, 50, auroc", ["low", "high"]] = np.nan
    shown = small_words.compared(form(table))
    assert shown.columns.tolist() == ["50 taught", "all, 649 taught"]
    assert shown.index.tolist() == [
        *(f"crnn lstm, {way}" for way in WAYS),
        *(f"resnet18, {way}" for way in WAYS),
    ]
    assert shown.loc["crnn lstm, head only"].tolist() == [
        "0.650 (0.600 to 0.680)",
        "0.670 (0.620 to 0.700)",
    ]
    assert shown.loc["resnet18, head only", "50 taught"] == "0.550"
    other = small_words.compared(form(table), "average_precision")
    assert other.loc["resnet18, from scratch", "50 taught"] == "0.350 (0.300 to 0.380)"
    large = small_words.compared(ways({}, sizes=((1200, "all"),)))
    assert large.columns.tolist() == ["all, 1,200 taught"]
    few = ways({}, sizes=((400, "400"), (400, "all")))  # all of them are no more than the most
    assert small_words.compared(few).columns.tolist() == ["400 taught", "all, 400 taught"]


@form
def test_gains_are_counted_by_their_intervals(form):
    head, every, seeds = said(small_words.gained(form(ways(GAINS)), "twin")).split("\n", 2)
    assert head == (
        "- *head only* less from scratch, *twin*: -0.025 in the mean over models and sizes; the "
        "interval over patients leaves 0 out in 3 of 4 comparisons; better: crnn lstm at 50; "
        "worse: crnn lstm at 649, resnet18 at 50. By luck alone about 0.2 would."
    )  # the mean of 0.05, -0.03, -0.1 and -0.02
    assert every == (
        "- *all weights* less from scratch, *twin*: +0.035 in the mean over models and sizes; the "
        "interval over patients leaves 0 out in 2 of 4 comparisons; better: crnn lstm at 649, "
        "resnet18 at 50. By luck alone about 0.2 would."
    )
    assert seeds.endswith("one training and another differ by 0.040 at the most.")


@form
def test_of_one_comparison_and_one_training(form):
    one = ways(GAINS, ("crnn lstm",), ((50, "50"),), trials=1)
    found = said(small_words.gained(form(one), "subset"))
    assert "leaves 0 out in 1 of 1 comparison; better: crnn lstm at 50. By luck" in found
    assert "leaves 0 out in 0 of 1 comparison. By luck alone about 0.1 would." in found
    assert found.endswith("would have changed, and there is one training each.")
    unknown = one.assign(**dict.fromkeys([n for n in one if n.startswith("gain")], np.nan))
    found = said(small_words.gained(form(unknown), "subset"))
    assert "*head only* less from scratch, *subset*: undefined in the mean" in found
    assert found.count("leaves 0 out in 0 of 1 comparison.") == 2


def cells(models=("crnn lstm", "resnet18")):
    """value and interval on the test side, and the value on validation."""
    rows = []
    for m, model in enumerate(models):
        for k, (samples, how) in enumerate(product((1024, 5000), ("none", "window"))):
            value = 0.6 + 0.1 * (k ^ m)
            row = {"name": f"{model}, {samples}, {how}", "model": model, "samples": samples}
            row |= {"normalise": how, "value": value, "low": value - 0.15, "high": value + 0.13}
            rows.append({**row, "validation": 0.9 - 0.1 * k, "tested": 41, "validated": 9})
    return pd.DataFrame(rows)


@form
def test_the_papers_words_stand_beside_what_was_found(form):
    table, grid = ways(GAINS), cells()
    shown = small_words.findings(form(table), form(grid), "twin")
    assert shown["read in"].unique().tolist() == ["a digest of arXiv 2503.08960"]
    here = shown["here"].to_dict()
    assert here["transfer helps"] == (
        "the interval over patients leaves 0 out, for the better, in 3 of 8 comparisons, for the "
        "worse in 2 (twin)"
    )
    # crnn: 0.6 and 0.7 thrice, and 0.06 gained in all; resnet18: 0.05 more, and 0.02 lost.
    assert here["CRNN is the best trade-off, ResNet-18 stable"] == (
        "highest mean AUROC over ways and sizes: resnet18, 0.697; of all models 0.660 to 0.697 "
        "(twin)"
    )
    assert here["attention models gain from all weights, others from the head alone"] == (
        "gain of the head alone and of all weights, mean over sizes: crnn lstm: +0.010 and "
        "+0.020; resnet18: -0.060 and +0.050 (twin)"
    )
    assert here["transformers starve where there is little to learn from"] == (
        "transformers and others were not both tried"
    )
    assert here["the best length and normalisation depend on the model"] == (
        "best by validation: crnn lstm: 1,024 samples, none; resnet18: 1,024 samples, none (twin)"
    )
    assert len(here) == 5
    assert not any(re.search(r"\bnan\b|None", words) for words in here.values())


@form
def test_findings_of_one_model_and_of_transformers(form):
    one = ways(GAINS, ("crnn lstm",), ((50, "50"),))
    alone = one.assign(gain=one["gain"].where(one["way"] != "all weights"))
    grid = cells(("crnn lstm",)).assign(validation=[np.nan, 0.4, 0.7, 0.7])
    here = small_words.findings(form(alone), form(grid), "full")["here"].tolist()
    assert "for the better, in 1 of 2 comparisons, for the worse in 0 (full)" in here[0]
    assert here[1].startswith("highest mean AUROC over ways and sizes: crnn lstm, 0.623; of all ")
    assert here[2].endswith("crnn lstm: +0.050 and undefined (full)")
    assert here[4] == "best by validation: crnn lstm: 5,000 samples, none (full)"  # the first
    names = ("transformer", "crnn lstm", "restransformer")
    starved = small_words.findings(form(ways({}, names)), form(grid), "twin")["here"].tolist()[3]
    assert starved == (  # 0.6, 0.65 and 0.7
        "from scratch on 50 recordings, mean AUROC of the transformers 0.650, of the others 0.650 "
        "(twin)"
    )
    gone = {(n, "from scratch", "50"): 0.1 for n in names[:1]}
    starved = small_words.findings(form(ways(gone, names)), form(grid), "twin")["here"].tolist()[3]
    assert "of the transformers 0.700, of the others 0.650" in starved


@form
def test_cells_of_the_grid_and_the_width_of_their_intervals(form):
    first, second = said(small_words.varied(form(cells()), "twin")).split("\n")
    assert first == (
        "- crnn lstm, *twin*: the 4 cells lie between 0.600 and 0.900, and an interval is 0.280 "
        "wide in the mean. That of 1 of the 3 other cells holds the best cell's value. 41 carriers "
        "were tested and 9 validated."
    )  # 0.8 + 0.13 reaches 0.9, and 0.7 + 0.13 does not
    assert second.startswith("- resnet18, *twin*: the 4 cells lie between 0.600 and 0.900, and ")
    two = cells(("crnn lstm",))
    found = said(small_words.varied(form(two[2:]), "twin"))
    assert "the 2 cells" in found
    assert "That of the other cell holds the best cell's value." in found
    found = said(small_words.varied(form(two[[True, False, False, True]]), "twin"))
    assert "That of the other cell does not hold the best cell's value." in found
    found = said(small_words.varied(form(two[:1]), "twin"))
    assert "twin*: the one cell has 0.600, with an interval that is 0.280 wide. 41 car" in found
    unknown = two.assign(low=np.nan, high=np.nan)
    found = said(small_words.varied(form(unknown), "twin"))
    assert "between 0.600 and 0.900, and no interval is known. 41 carriers" in found


def chosen(above=(0.03, 0.05), tied=(1, 1)):
    """above: by how much the choice by the test side lies above that by validation."""
    rows = [
        ("crnn lstm", seed, by, rule, 3, tied[seed], metric, value)
        for seed, more in enumerate(above)
        for by in ("f1", "auroc")
        for rule in (AS_CODED, BY_VALIDATION, LAST)
        for metric in ("auroc", "f1")
        for value in [0.7 + (rule == AS_CODED) * (metric == by) * more * (1 + (by == "auroc"))]
    ]
    columns = ["model", "seed", "by", "rule", "epoch", "tied", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


@form
def test_what_the_choice_of_the_epoch_adds(form):
    f1, area = said(small_words.epochs(form(chosen()), "twin")).split("\n")
    assert f1 == (
        "- the best F1, as coded, *twin*, 2 trainings: chosen by the test side less chosen by "
        "validation +0.040 in the mean (+0.030 to +0.050)."
    )
    assert area == (
        "- the best AUROC *ours*, *twin*, 2 trainings: chosen by the test side less chosen by "
        "validation +0.080 in the mean (+0.060 to +0.100)."
    )
    one = said(small_words.epochs(form(chosen((-0.01,), (4,))), "full"))
    assert "*full*, 1 training: chosen" in one
    assert "-0.010 in the mean (-0.010 to -0.010). In 1 of them several epochs share the" in one
    assert "In 2 of them" in said(small_words.epochs(form(chosen(tied=(2, 5))), "twin"))


@form
def test_what_the_choice_of_the_settings_adds(form):
    rows = [
        ("crnn lstm", BY_TEST, "1,024 samples, none", 0.74),
        ("crnn lstm", SOUNDLY, "5,000 samples, l2", 0.691),
        ("resnet18", BY_TEST, "1,024 samples, l2", 0.5),
        ("resnet18", SOUNDLY, "1,024 samples, l2", 0.5),
    ]
    table = pd.DataFrame(rows, columns=["model", "rule", "cell", "value"])
    assert said(small_words.configured(form(table), "twin")).split("\n") == [
        "- crnn lstm, *twin*: AUROC 0.740 (1,024 samples, none) by the test side, 0.691 (5,000 "
        "samples, l2) by validation: +0.049.",
        "- resnet18, *twin*: AUROC 0.500 (1,024 samples, l2) by the test side, 0.500 (1,024 "
        "samples, l2) by validation: +0.000.",
    ]


@form
def test_how_far_random_tests_scatter(form):
    values = {"random piece": (0.8, 0.7, 0.74), "random piece, changed": (0.8, 0.6, 0.7)}
    rows = [
        (f"{model}, {kind}, draw {draw}", model, kind, draw, "auroc", value - m / 10)
        for m, model in enumerate(("resnet18", "alexnet"))
        for kind, each in values.items()
        for draw, value in enumerate(each)
    ]
    columns = ["name", "model", "kind", "draw", "metric", "value"]
    assert said(small_words.noisy(form(pd.DataFrame(rows, columns=columns)), "twin")).split(
        "\n"
    ) == [
        "- resnet18, *twin*: AUROC 0.800 (all pieces); 0.720 in the mean of 2 tests, 0.700 to "
        "0.740 (random piece); 0.650 in the mean of 2 tests, 0.600 to 0.700 (random piece, "
        "changed).",
        "- alexnet, *twin*: AUROC 0.700 (all pieces); 0.620 in the mean of 2 tests, 0.600 to "
        "0.640 (random piece); 0.550 in the mean of 2 tests, 0.500 to 0.600 (random piece, "
        "changed).",
    ]


def gains(rows, metric="auroc"):
    columns = ["name", "value", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns).assign(metric=metric)


@form
def test_more_steps_stand_beside_pre_training(form):
    table = gains(
        [
            ("resnet18, from scratch", 0.61, 0.0, 0.0, 0.0),
            ("resnet18, from scratch, 4 times the steps", 0.63, 0.02, -0.01, 0.05),
            ("resnet18, all weights", 0.6, -0.01, np.nan, np.nan),
        ]
    )
    assert said(small_words.longer(form(table), "twin")) == (
        "AUROC of resnet18, from scratch 0.610, *twin*; resnet18, from scratch, 4 times the steps "
        "+0.020 (-0.010 to +0.050); resnet18, all weights -0.010."
    )
    alone = said(small_words.longer(form(table[1:2]), "twin"))  # it is none of the models
    assert alone.endswith(
        "4 times the steps 0.630, *twin*; the model is none of those that are transferred."
    )


@form
def test_what_a_filter_changes(form):
    table = gains(
        [
            ("none", 0.7, 0.0, 0.0, 0.0),
            ("as coded", 0.64, -0.06, -0.09, -0.01),
            ("as meant", 0.71, 0.01, -0.03, 0.05),
            ("zero-phase", 0.73, 0.03, 0.01, 0.05),
            ("wavelet", 0.7, 0.001, np.nan, np.nan),
        ]
    )
    other = gains([("none", 0.2, 0.0, 0.0, 0.0)], "average_precision")
    assert said(small_words.filters(form(pd.concat([table, other])), "twin")) == (
        "AUROC without a filter 0.700, *twin*; the others less that: as coded -0.060 (-0.090 to "
        "-0.010) (leaves 0 out); as meant +0.010 (-0.030 to +0.050); zero-phase +0.030 (+0.010 to "
        "+0.050) (leaves 0 out); wavelet +0.001."
    )


def levels(patients=40, **changed):
    rows = [
        {
            **{"wave": wave, "filter": name, "patients": patients, "levels": 5484},
            **{"deviating": 84, "median_uv": 20.4 * number, "vanished": 0.254 * number},
            **{"median_uv_low": 18.6 * number, "median_uv_high": 22.0 * number},
            **{"vanished_low": 0.1, "vanished_high": 0.5, **changed},
        }
        for wave in ("T", "ST")
        for number, name in enumerate(("none", "as coded", "as meant"))
    ]
    return pd.DataFrame(rows)


@form
def test_what_a_filter_does_to_the_st_level(form):
    assert said(small_words.st(form(levels()), "subset")).split("\n") == [
        "5,484 ST levels of 40 patients, *subset*, of which 84 lie 100 µV or more from the "
        "baseline:",
        "",
        "- *as coded* moves the level by 20 (19 to 22) µV in the median patient, and makes 25 % of "
        "these deviations vanish.",
        "- *as meant* moves the level by 41 (37 to 44) µV in the median patient, and makes 51 % of "
        "these deviations vanish.",
    ]
    ends = dict.fromkeys(("median_uv_low", "median_uv_high", "vanished"), np.nan)
    found = said(small_words.st(form(levels(1, deviating=0, **ends)), "subset"))
    assert "of 1 patient, *subset*, of which 0 lie" in found
    assert "- *as coded* moves the level by 20 µV in the median patient.\n" in found


@form
def test_recordings_without_a_label(form):
    columns = ["name", "recordings", "without", "value", "low", "high"]
    rows = [
        ("resnet18", 21_799, 411, -0.004, -0.01, 0.002),
        ("alexnet", 21_799, 411, 0.0, None, None),
    ]
    table = pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
    assert said(small_words.unlabelled(form(table), "full")) == (
        "411 of the 21,799 recordings of the large set, *full*, carry no label. Macro AUROC on "
        "those with a label, taught with them as negatives less taught without them, one training "
        "each: resnet18 -0.004 (-0.010 to +0.002); alexnet +0.000."
    )
    nothing = said(small_words.unlabelled(form(table.assign(value=np.nan)[:1]), "full"))
    assert nothing.endswith("each: resnet18 undefined.")
    assert "no recording without a label is taught" in said(
        small_words.unlabelled(pd.DataFrame(columns=columns), "twin")
    )


def test_a_record_is_read_as_json_gives_it():
    """The form above is that of a record's file."""
    table = ways(GAINS)
    read = pd.DataFrame(json.loads(json.dumps(table.to_dict("list"))))
    assert small_words.gained(read, "x").data == small_words.gained(table, "x").data
