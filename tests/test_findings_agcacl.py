"""The finding on two signals and one class a window, and what the book shows of such a record."""

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from test_report import record, tables

from pecg_utils import findings, kept
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol

AT_RANDOM = Protocol("agcacl", TWELVE_LEADS, "12-lead", "window", "window", folds=3)
APART = replace(AT_RANDOM, split="patient")
BEATS = Protocol("agcacl", ("MLII", "other"), "2-lead", "window", "window")
BEATS_APART = replace(BEATS, split="division")
# What a record of the chapter holds beside the two, each of them with scores of its own.
BESIDE = [
    replace(APART, split="block"),
    replace(APART, loss="CE"),
    replace(APART, repeat=1),
    replace(APART, changes=(("branches", "ecg"),)),
    replace(APART, windows="second signal taken away at test"),
    replace(AT_RANDOM, cohort="children"),
    replace(APART, cohort="children"),
]
METRICS = ("top1", "precision", "recall", "f1", "f2", "auroc", "average_precision")


def trial(protocol, value, kind="twin"):
    """A trial with two classes: top-1 accuracy is `value`, the others are 0.1 below it."""
    rows = [
        (metric, label, value - (metric != "top1") / 10)
        for metric in METRICS
        for label in (("macro",) if metric == "top1" else ("a", "b", "macro"))
    ]
    scores = pd.DataFrame(rows, columns=["metric", "label", "value"])
    scores["low"], scores["high"] = scores["value"] - 0.05, scores["value"] + 0.02
    scores["positives"] = 4
    return {
        "name": protocol.name,
        "protocol": {**vars(protocol), "leads": list(protocol.leads)},
        "data": kind,
        "split": {"windows": {"test": 20}},
        "scores": scores.to_dict("list"),
    }


WAYS = ("at random", "by time", "patients apart")


def same_windows(**values):
    """The table of that name. values: metric -> its value for each of WAYS."""
    rows = [
        (way, metric, "macro", value, value - 0.05, value + 0.02, 1234, 37, 6)
        for metric, several in values.items()
        for way, value in zip(WAYS, several, strict=True)
    ]
    columns = ["name", "metric", "label", "value", "low", "high", "windows", "patients", "classes"]
    return pd.DataFrame(rows, columns=columns)


SAME = same_windows(top1=(0.95, 0.8, 0.6), f1=(0.85, 0.7, 0.5), auroc=(0.99, 0.9, 0.75))


def written(table):
    """The columns of a table as a record has them, with null for NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("list")


def of_rhythms(trials, kind="twin", dataset="leipzig", held=None):
    given = {**record(kind, dataset, trials), "chapter": "agcacl"}
    given["data"][0]["patients"] = 39
    given["tables"] = {name: written(table) for name, table in (held or {}).items()}
    return json.loads(json.dumps(given))


@pytest.fixture
def both():
    """A record whose trials all have other scores than the windows that all of them tested."""
    trials = [trial(protocol, 0.3) for protocol in (AT_RANDOM, APART, *BESIDE)]
    return of_rhythms(trials, held={"same windows": SAME})


def test_the_finding_is_of_the_windows_that_all_tested_at_random_and_patients_apart(both):
    (line,) = findings.agcacl([both]).splitlines()
    assert line == (
        "- Leipzig Heart Center, {tag}`twin`, 1,234 windows of 37 patients and 6 classes: models "
        "that were taught other windows of the same patients have a top-1 accuracy of 95.0 (90.0 "
        "to 97.0) % and a macro F1 of 85.0 (80.0 to 87.0) %. Models that were taught other "
        "patients have 60.0 (55.0 to 62.0) % and 50.0 (45.0 to 52.0) % on the same windows (record "
        "`0123456789ab`)."
    )


def test_a_finding_without_intervals_gives_the_values_alone():
    bare = SAME.assign(low=math.nan, high=math.nan)
    told = findings.agcacl([of_rhythms([trial(APART, 0.3)], held={"same windows": bare})])
    assert "a top-1 accuracy of 95.0 % and a macro F1 of 85.0 %. Models" in told
    assert "have 60.0 % and 50.0 % on the same windows" in told


def test_a_finding_on_mitbih_says_that_it_is_another_dataset():
    trials = [trial(BEATS, 0.97, "subset"), trial(BEATS_APART, 0.8, "subset")]
    given = of_rhythms(trials, "subset", "mitdb", {"same windows": SAME})
    (line,) = findings.agcacl([given]).splitlines()
    assert line.startswith(
        "- MIT-BIH Arrhythmia, {tag}`subset`, another dataset, 1,234 windows of 37 patients and 6 "
    )
    assert "top-1 accuracy of 95.0 (90.0 to 97.0) %" in line


@pytest.mark.parametrize("gone", ["the table", "all tables"])
def test_a_record_without_the_same_windows_has_no_finding(both, gone):
    alone = {name: value for name, value in both.items() if name != "tables"}
    if gone == "the table":
        alone["tables"] = {"distances": written(held()["distances"])}
    assert findings.agcacl([alone]) == "No record is kept yet.\n"
    assert len(findings.agcacl([alone, both, both]).splitlines()) == 2


def held():
    """The tables that the chapter puts into its record."""
    names = ["at random less patients apart", "both signals less the ECG alone"]
    distances = pd.DataFrame(
        {
            "name": [names[0]] * 2 + [names[1]] * 2,
            "metric": ["top1", "f1"] * 2,
            "value": [0.35, 0.4, 0.02, -0.01],
            "low": [0.3, 0.33, -0.01, -0.05],
            "high": [0.4, 0.45, 0.05, 0.03],
        }
    )
    presence = pd.DataFrame(
        {
            "name": ["presence of electrograms alone, 12 leads, 3-fold by patient"] * 2,
            "metric": ["auroc", "recall"],
            "label": ["macro"] * 2,
            "value": [0.71, 0.25],
            "guess": [0.5, math.nan],
            "low": [0.62, 0.2],
            "high": [0.78, 0.3],
            "n_defined": [90, 100],
            "positives": [50, 50],
            "lot": [0.66, math.nan],
            "lot_high": [0.74, math.nan],
            "beaten": [0.125, math.nan],
        }
    )
    ablation = pd.DataFrame(
        [
            (terms, seed, metric, value + seed / 50, value - 0.1, value + 0.1, gain, *ends)
            for terms, value, gain, ends in (
                ("CE", 0.5, 0.0, (0.0, 0.0)),
                ("whole", 0.53, 0.03, (0.01, 0.05)),
            )
            for seed in (0, 1)
            for metric in ("top1", "f1")
        ],
        columns=[
            *("terms", "seed", "metric", "value", "low", "high"),
            *("gain", "gain_low", "gain_high"),
        ],
    )
    return {
        "same windows": SAME,
        "distances": distances,
        "presence": presence,
        "ablation": ablation,
        "children": same_windows(top1=(0.11, 0.12, 0.13)),  # is of the page, and not of the kept
    }


def pictures(text):
    return re.findall(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text)


def shown(folder, name=None):
    """A record with all tables of the chapter, or with one alone, as the page shows it."""
    several = [trial(p, 0.3 + n / 20) for n, p in enumerate([AT_RANDOM, APART, *BESIDE])]
    tables_held = held() if name is None else {name: held()[name]} if name else {}
    return kept.fragment([of_rhythms(several, held=tables_held)], folder)


SAID = [
    ("same windows", "windows that all three ways tested:"),
    ("distances", "What lies between two trials"),
    ("presence", "The presence of electrograms alone."),
    ("ablation", "Terms of the loss"),
]


def names_of(text):
    *_, listed = tables(text)
    assert [cell.strip() for cell in listed[0]][:2] == ["trial", "data"]
    return [row[0].strip() for row in listed[2:]]


def test_a_record_with_tables_shows_distances_the_mask_alone_and_the_terms(tmp_path):
    text = shown(tmp_path)
    distances, _ = tables(text)
    assert "On the 1,234 windows that all three ways tested:" in text
    assert "F1 of each class, over all windows that each of the two tested:" in text
    assert [[cell.strip() for cell in row] for row in distances[:1] + distances[2:]] == [
        ["on the same windows", "top-1 accuracy", "macro F1"],
        [
            "at random less patients apart",
            "+0.350 (+0.300 to +0.400)",
            "+0.400 (+0.330 to +0.450)",
        ],
        [
            "both signals less the ECG alone",
            "+0.020 (-0.010 to +0.050)",
            "-0.010 (-0.050 to +0.030)",
        ],
    ]
    assert (
        "The presence of electrograms alone. With *12 leads, 3-fold by patient*, macro AUROC is "
        "0.710 (95 % interval 0.620 to 0.780) and macro recall 0.250. With layouts dealt to "
        "patients by lot the AUROC is 0.660 in the middle, and as high or higher in 12% of the "
        "draws: no more than lots give." in text
    )
    assert "The whole loss over *CE*: top-1 accuracy +3.0 points (the mean of 2 seeds" in text
    assert "the interval of the difference leaves 0 out in 2 of 2" in text
    assert "The other trials of the record:" in text


@pytest.fixture
def drawn(monkeypatch):
    """What each picture is drawn of, in order: the name of the function, and what it was given."""
    found = []

    def watched(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *given: found.append((name, *given)) or real(*given)
        )

    watched(kept.plots, "forest")
    watched(kept.plots, "per_class")
    watched(kept.contrast_plots, "seeds")
    return found


def test_each_picture_is_drawn_of_its_own_table(tmp_path, drawn):
    text = shown(tmp_path)
    names, alts = zip(*pictures(text), strict=True)
    assert names == tuple(
        f"agcacl-0123456789ab{of}.svg" for of in ("-ways", "-classes", "-loss", "")
    )
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    assert all((tmp_path / name).read_text().count("<svg") == 1 for name in names)
    title = "of Leipzig Heart Center, twin, profile study"
    assert alts == (
        f"Top-1 accuracy, macro F1 and AUROC by way of dividing, {title}",
        f"F1 by class and way of dividing, {title}",
        f"Top-1 accuracy and macro F1 by terms of the loss and seed, {title}",
        f"top-1 accuracy and macro F1 with intervals, trials {title}",
    )
    ways, classes, terms, rest = drawn
    assert (ways[0], ways[2]) == ("forest", ("top1", "f1", "auroc"))
    pd.testing.assert_frame_equal(ways[1], SAME)
    assert (classes[0], classes[3]) == ("per_class", "f1")
    assert terms[0] == "seeds"
    pd.testing.assert_frame_equal(terms[1], held()["ablation"])
    assert (rest[0], rest[2]) == ("forest", ("top1", "f1"))
    others = [p for p in [AT_RANDOM, APART, *BESIDE] if not p.loss and not p.repeat]
    assert names_of(text) == [p.name for p in others]
    assert list(dict.fromkeys(rest[1]["name"])) == [f"{p.name} [twin]" for p in others]


def test_the_picture_by_class_is_of_two_plain_trials_of_all_patients(tmp_path, drawn):
    shown(tmp_path, "same windows")
    _, rows, names, _ = drawn[1]
    assert list(dict.fromkeys(rows["name"])) == [AT_RANDOM.name, APART.name]
    assert names == {"a": "a", "b": "b", "macro": "macro"}
    f1 = rows[(rows["metric"] == "f1") & (rows["label"] == "b")]
    assert f1["value"].tolist() == pytest.approx([0.2, 0.25])


def test_the_picture_by_class_on_mitbih_is_of_the_division(tmp_path, drawn):
    trials = [trial(p, 0.5, "subset") for p in (BEATS, replace(BEATS, split="block"), BEATS_APART)]
    kept.fragment([of_rhythms(trials, "subset", "mitdb", {"same windows": SAME})], tmp_path)
    assert list(dict.fromkeys(drawn[1][1]["name"])) == [BEATS.name, BEATS_APART.name]


def test_a_record_without_tables_shows_none_of_it_and_all_its_trials(tmp_path):
    text = shown(tmp_path, "")
    assert len(tables(text)) == 1
    assert names_of(text) == [p.name for p in [AT_RANDOM, APART, *BESIDE]]
    assert [name for name, _ in pictures(text)] == ["agcacl-0123456789ab.svg"]
    for words in ("three ways", *(said for _, said in SAID), "F1 of each class", "other trials"):
        assert words not in text


@pytest.mark.parametrize(("name", "said"), SAID)
def test_each_table_is_shown_without_the_others(tmp_path, name, said):
    text = shown(tmp_path, name)
    for table, words in SAID:
        assert (words in text) == (table == name)
    assert said in text
    assert "The other trials of the record:" in text
    assert len(names_of(text)) == 9 - 2 * (name == "ablation")


def of_presence(folder, **columns):
    """What the page says of a presence table with these columns, of which AUROC and recall is."""
    table = held()["presence"].assign(**columns)
    return kept.fragment([of_rhythms([trial(APART, 0.5)], held={"presence": table})], folder)


def test_presence_is_told_where_a_column_is_null_throughout(tmp_path):
    """As a record of few patients has it, or one without lots."""
    text = of_presence(tmp_path, low=math.nan, high=math.nan)
    assert "macro AUROC is 0.710 (too few patients for an interval) and macro recall 0.250." in text
    assert "as high or higher in 12% of the draws" in text
    text = of_presence(tmp_path, lot=math.nan, lot_high=math.nan, beaten=math.nan, guess=math.nan)
    assert "0.710 (95 % interval 0.620 to 0.780) and macro recall 0.250." in text
    assert "by lot" not in text


def test_every_number_of_the_presence_table_is_cast(tmp_path, monkeypatch):
    given = []
    told = kept.rhythm_words.presence
    monkeypatch.setattr(
        kept.rhythm_words, "presence", lambda rows: given.append(rows) or told(rows)
    )
    numbers = [*("value", "guess", "low", "high", "n_defined", "positives"), "lot", "lot_high"]
    of_presence(tmp_path, **dict.fromkeys(["low", "high", "lot", "lot_high", "beaten"], math.nan))
    assert {kind.name for kind in given[0][[*numbers, "beaten"]].dtypes} == {"float64"}


def test_presence_that_is_constant_is_not_told_of(tmp_path):
    """As on MIT-BIH, where every window has the second lead."""
    numbers = {"value": 0.5, "low": 0.5, "high": 0.5, "lot": 0.5, "lot_high": 0.5, "beaten": 1.0}
    text = of_presence(tmp_path, **numbers)
    assert "presence" not in text
    assert "other trials" not in text
    assert "presence" in of_presence(tmp_path, **{**numbers, "high": 0.51})


def test_a_distance_without_an_interval_is_shown_without_one(tmp_path):
    """As a record writes it, null."""
    bare = held()["distances"].astype({"low": object, "high": object})
    bare[["low", "high"]] = None
    text = kept.fragment([of_rhythms([trial(APART, 0.5)], held={"distances": bare})], tmp_path)
    assert [cell.strip() for cell in tables(text)[0][2][1:]] == ["+0.350", "+0.400"]


def test_a_distance_without_a_value_is_shown_as_undefined(tmp_path):
    table = held()["distances"].assign(value=[math.nan, 0.4, 0.02, -0.01])
    text = kept.fragment([of_rhythms([trial(APART, 0.5)], held={"distances": table})], tmp_path)
    said = [cell.strip() for cell in tables(text)[0][2][1:]]
    assert said == ["undefined", "+0.400 (+0.330 to +0.450)"]
