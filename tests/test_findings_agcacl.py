"""The finding on two signals and one class a window, and what the book shows of such a record."""

import json
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


def of_rhythms(trials, kind="twin", dataset="leipzig", held=None):
    given = {**record(kind, dataset, trials), "chapter": "agcacl"}
    given["data"][0]["patients"] = 39
    given["tables"] = {name: table.to_dict("list") for name, table in (held or {}).items()}
    return json.loads(json.dumps(given))


@pytest.fixture
def both():
    beside = [trial(protocol, 0.3) for protocol in BESIDE]
    return of_rhythms([trial(AT_RANDOM, 0.95), trial(APART, 0.6), *beside])


def test_the_finding_is_of_the_whole_model_with_windows_at_random_and_patients_apart(both):
    (line,) = findings.agcacl([both]).splitlines()
    assert line == (
        "- Leipzig Heart Center, {tag}`twin`, 39 patients: top-1 accuracy is 95.0 (90.0 to 97.0) % "
        "and macro F1 85.0 (80.0 to 87.0) % with windows divided at random, 60.0 (55.0 to 62.0) % "
        "and 50.0 (45.0 to 52.0) % with patients kept apart (record `0123456789ab`)."
    )


def test_models_that_were_taught_equally_many_are_told_of():
    """The trial at random comes twice: taught all that it could be, and as few as the other."""
    few = trial(replace(AT_RANDOM, most=100), 0.8)
    told = findings.agcacl([of_rhythms([trial(AT_RANDOM, 0.95), few, trial(APART, 0.6)])])
    assert "is 80.0 (75.0 to 82.0) % and macro F1 70.0" in told


def test_a_finding_on_mitbih_says_that_it_is_another_dataset():
    trials = [trial(BEATS, 0.97, "subset"), trial(BEATS_APART, 0.8, "subset")]
    (line,) = findings.agcacl([of_rhythms(trials, "subset", "mitdb")]).splitlines()
    assert line.startswith(
        "- MIT-BIH Arrhythmia, {tag}`subset`, another dataset, 39 patients: top-1"
    )
    assert "87.0 (82.0 to 89.0) % with windows divided at random, 80.0 (75.0 to 82.0) %" in line


@pytest.mark.parametrize("gone", ["window", "patient"])
def test_a_record_without_one_of_the_two_has_no_finding(both, gone):
    several = [t for t in both["trials"] if t["protocol"]["split"] != gone]
    alone = {**both, "trials": several}
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
            "low": [0.62, 0.2],
            "high": [0.78, 0.3],
            "positives": [50, 50],
        }
    )
    ablation = pd.DataFrame(
        [
            (terms, seed, metric, value + seed / 50, value - 0.1, value + 0.1)
            for terms, value in (("CE", 0.5), ("whole", 0.53))
            for seed in (0, 1)
            for metric in ("top1", "f1")
        ],
        columns=["terms", "seed", "metric", "value", "low", "high"],
    )
    return {"distances": distances, "presence": presence, "ablation": ablation}


def pictures(text):
    return re.findall(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text)


def shown(folder, name=None):
    """A record with all tables of the chapter, or with one alone, as the page shows it."""
    several = [trial(p, 0.3 + n / 20) for n, p in enumerate([AT_RANDOM, APART, *BESIDE])]
    tables_held = held() if name is None else {name: held()[name]} if name else {}
    return kept.fragment([of_rhythms(several, held=tables_held)], folder)


def names_of(text):
    *_, listed = tables(text)
    assert [cell.strip() for cell in listed[0]][:2] == ["trial", "data"]
    return [row[0].strip() for row in listed[2:]]


def test_a_record_with_tables_shows_distances_the_mask_alone_and_the_terms(tmp_path):
    text = shown(tmp_path)
    distances, _ = tables(text)
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
        "0.710 (95 % interval 0.620 to 0.780), above chance." in text
    )
    assert "The whole loss over *CE*: top-1 accuracy +3.0 points, the means of 2 seeds" in text
    assert "The other trials of the record:" in text


def test_the_terms_have_a_picture_of_their_own_and_are_in_no_other(tmp_path, monkeypatch):
    drawn = []
    forest, seeds = kept.plots.forest, kept.contrast_plots.seeds
    monkeypatch.setattr(
        kept.plots, "forest", lambda rows, pair: drawn.append((rows, pair)) or forest(rows, pair)
    )
    monkeypatch.setattr(
        kept.contrast_plots, "seeds", lambda rows: drawn.append(rows) or seeds(rows)
    )
    text = shown(tmp_path)
    (loss, of_loss), (all_others, of_others) = pictures(text)
    assert loss == "agcacl-0123456789ab-loss.svg"
    assert all_others == "agcacl-0123456789ab.svg"
    assert {path.name for path in tmp_path.iterdir()} == {loss, all_others}
    assert all((tmp_path / name).read_text().count("<svg") == 1 for name in (loss, all_others))
    assert of_loss.startswith("Top-1 accuracy and macro F1 by terms of the loss and seed, of")
    assert of_others.startswith("top-1 accuracy and macro F1 with intervals, trials of Leipzig")
    terms, (rows, pair) = drawn
    pd.testing.assert_frame_equal(terms, held()["ablation"])
    assert pair == ("top1", "f1")
    others = [p for p in [AT_RANDOM, APART, *BESIDE] if not p.loss and not p.repeat]
    assert names_of(text) == [p.name for p in others]
    assert list(dict.fromkeys(rows["name"])) == [f"{p.name} [twin]" for p in others]


def test_a_record_without_tables_shows_none_of_it_and_all_its_trials(tmp_path):
    text = shown(tmp_path, "")
    assert len(tables(text)) == 1
    assert names_of(text) == [p.name for p in [AT_RANDOM, APART, *BESIDE]]
    assert [name for name, _ in pictures(text)] == ["agcacl-0123456789ab.svg"]
    for words in ("lies between two trials", "presence", "Terms of the loss", "other trials"):
        assert words not in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("distances", "What lies between two trials"),
        ("presence", "The presence of electrograms alone."),
        ("ablation", "Terms of the loss"),
    ],
)
def test_each_table_is_shown_without_the_others(tmp_path, name, said):
    text = shown(tmp_path, name)
    for table, words in (
        ("distances", "What lies between two trials"),
        ("presence", "The presence of electrograms alone."),
        ("ablation", "Terms of the loss"),
    ):
        assert (words in text) == (table == name)
    assert said in text
    assert len(names_of(text)) == 9 - 2 * (name == "ablation")


def test_a_distance_without_an_interval_is_shown_without_one(tmp_path):
    """As a record writes it, null."""
    bare = held()["distances"].astype({"low": object, "high": object})
    bare[["low", "high"]] = None
    text = kept.fragment([of_rhythms([trial(APART, 0.5)], held={"distances": bare})], tmp_path)
    assert [cell.strip() for cell in tables(text)[0][2][1:]] == ["+0.350", "+0.400"]
