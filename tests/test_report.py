"""The book's generated pages, and the sentences that a chapter says about its numbers."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pecg_utils import cards, chapters, ledger, metrics, models, places, report, words
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.data.windows import Windows
from pecg_utils.trial import Outcome, Protocol
from pecg_utils.twins import TWINS

PAGES = {
    "datasets.md",
    "twins.md",
    "dataset-challenge.md",
    "dataset-hospitals.md",
    "dataset-cpsc2018.md",
    "dataset-leipzig.md",
    "dataset-ludb.md",
    "dataset-mitdb.md",
    "dataset-pe.md",
    "dataset-zzu.md",
    "dataset-ptbxl.md",
    "claims.md",
    "models.md",
    "benchmark-kept.md",
    "benchmark-finding.md",
    "cnn_ecg_mamba-kept.md",
    "cnn_ecg_mamba-finding.md",
    "agcacl-kept.md",
    "agcacl-finding.md",
    "mrmnet-kept.md",
    "mrmnet-finding.md",
    "peace-kept.md",
    "peace-finding.md",
    "ecgs_enough-kept.md",
    "ecgs_enough-finding.md",
}


def page(project, name):
    return (project / "book" / "generated" / name).read_text(encoding="utf-8")


def trial(protocol, value, kind="subset", **more):
    """A trial of a record with two labels, its second AUROC undefined."""
    columns = {"metric": [], "label": [], "value": [], "low": [], "high": [], "positives": []}
    for metric in [*metrics.WORDS, "hamming_loss_all_zero"]:
        for label in ("a", "b", "macro"):
            undefined = label == "b" and metric == "auroc"
            columns["metric"].append(metric)
            columns["label"].append(label)
            columns["value"].append(None if undefined else value)
            columns["low"].append(None if undefined else value - 0.05)
            columns["high"].append(None if undefined else value + 0.05)
            columns["positives"].append(4)
    return {
        "name": protocol.name,
        "protocol": {**vars(protocol), "leads": list(protocol.leads)},
        "data": kind,
        "split": {"windows": {"test": 20}},
        "scores": columns,
        **more,
    }


WINDOW = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "window", "own")
PATIENT = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient")
PLAIN = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "window")


def record(kind="subset", dataset="zzu", trials=None):
    data = {"dataset": dataset, "kind": kind, "recordings": 1234, "patients": 56}
    return {
        "chapter": "benchmark",
        "key": "0123456789ab",
        "made": "2026-01-02T03:04:05+00:00",
        "profile": "study",
        "data": [data],
        "revision": "abc",
        "training_seconds": 90.0,
        "peak_memory_mib": 800.0,
        "machine": {"processor": "a processor", "cores": 2, "gpu": "none"},
        "trials": trials
        or [
            trial(WINDOW, 0.95, kind),
            trial(PATIENT, 0.6, kind),
            trial(PLAIN, 0.9, kind),
            trial(replace(PLAIN, labels="permuted"), 0.7, kind),
            trial(replace(PATIENT, labels="permuted"), 0.5, kind),
            trial(replace(PATIENT, antialias=False), 0.4, kind),
        ],
    }


def keep(project, given, name="benchmark-study-zzu-subset"):
    folder = project / "book" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(given))


def tables(text):
    """Each Markdown table as its rows of cells; all rows of one are equally long."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    split = [
        [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in t.strip().splitlines()]
        for t in found
    ]
    for rows in split:
        assert len({len(row) for row in rows}) == 1, rows[0]
        assert all(set(cell.strip()) <= set("-: ") for cell in rows[1])
    return split


def test_without_any_run_every_page_is_there_and_says_so(project):
    assert {path.name for path in report.write_all()} == PAGES
    for name in PAGES:
        text = page(project, name)
        tables(text)
        assert "nan" not in re.findall(r"[a-z]+", text.lower())
        assert "Traceback" not in text
    assert "No record is kept yet." in page(project, "benchmark-kept.md")
    assert "No record is kept yet." in page(project, "benchmark-finding.md")
    listed = tables(page(project, "claims.md"))
    assert [len(rows) for rows in listed] == [2 + 16, 2 + 5, 2 + 14, 2 + 30, 2 + 33]


def test_what_did_not_change_is_not_written_again(project):
    report.write_all()
    folder = project / "book" / "generated"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert report.write_all() == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    keep(project, record())
    changed = {path.name for path in report.write_all()}
    assert changed == {"claims.md", "benchmark-kept.md", "benchmark-finding.md"}
    assert report.write_all() == []
    (folder / "claims.md").write_text("changed by hand")
    assert [path.name for path in report.write_all()] == ["claims.md"]


@pytest.mark.parametrize("module", cards.CARDS.values())
def test_a_data_card_is_the_readers_docstring_and_its_labels(module):
    labels = getattr(module, "LABELS", None) or module.SUPERCLASSES
    card = cards.data_card(module)
    assert card.startswith("# ")
    for line in module.__doc__.splitlines()[1:]:
        assert line in card
    *_, listed = tables(card)
    codes = [row[0].strip().replace("\\|", "|") for row in listed[2:]]
    assert codes == [f"`{code}`" for code in labels]


def test_the_page_of_models_counts_each_and_tags_each_size(project):
    report.write_all()
    text = page(project, "models.md")
    counted, *sizes = tables(text)
    assert [row[0].strip() for row in counted[2:]] == list(models.NAMES)
    weights = models.table()["weights"]
    assert [int(row[2].replace(",", "")) for row in counted[2:]] == weights.tolist()
    assert len(sizes) == len(models.NAMES)
    for rows in sizes:
        at = [cell.strip() for cell in rows[0]].index("tag")
        assert all(re.fullmatch(r" \{tag\}`(paper|code|ours)` ", row[at]) for row in rows[2:])


def test_kept_records_are_shown_with_a_tag_a_picture_and_both_protocols(project):
    judged = trial(PATIENT, 0.7, "subset", trained_on="twin")
    own = trial(PATIENT, 0.55, "twin")
    given = record(trials=[trial(WINDOW, 0.9, "twin"), own, judged])
    keep(project, given)
    report.write_all()
    text = page(project, "benchmark-kept.md")
    (table,) = tables(text)
    assert [row[1].strip() for row in table[2:]] == ["{tag}`twin`"] * 2 + ["{tag}`subset`"]
    judged_name = f"{PATIENT.name}, trained on the twin"
    assert [row[0].strip() for row in table[2:]] == [WINDOW.name, PATIENT.name, judged_name]
    assert "### ZZU-pECG: trained on the twin, tried on 1234 real recordings" in text
    assert "divided at random" not in page(project, "benchmark-finding.md")
    assert "0.900 (0.850 to 0.950)" in " ".join(table[2])
    assert "{tag}`subset`, 1,234 recordings of 56 patients" in text
    assert "1.5 minutes" in text
    picture, alt = re.search(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text).groups()
    assert (project / "book" / "generated" / picture).read_text().count("<svg") == 1
    assert len(alt) > 20


def test_the_finding_says_both_sides(project):
    keep(project, record())
    report.write_all()
    text = page(project, "benchmark-finding.md")
    assert "0.900 (0.850 to 0.950) with windows divided at random" in text
    assert "0.600 (0.550 to 0.650) with patients kept apart" in text
    assert "it is 0.700 (0.650 to 0.750) and 0.500 (0.450 to 0.550)" in text
    assert "{tag}`subset`, 56 patients, 2 labels" in text


@pytest.mark.parametrize("kind", ["twin", "subset", "full"])
def test_claims_stand_beside_a_record_and_only_full_data_has_a_verdict(project, kind):
    keep(project, record(kind))
    report.write_all()
    text = page(project, "claims.md")
    measured, *_ = tables(text)
    flat = " ".join(" ".join(row) for row in measured)
    assert f"{{tag}}`{kind}`" in flat
    assert ("not comparable" in flat) == (kind != "full")
    assert ("reproduced" in flat) == (kind == "full")


def test_a_record_of_another_dataset_says_that_no_claim_is_comparable(project):
    keep(project, record("full", "ptbxl"))
    report.write_all()
    assert "No claim is comparable with this record: another dataset." in page(project, "claims.md")


def test_the_run_that_is_the_page_now_is_on_the_page_of_claims(project):
    folder = project / "_runs" / "benchmark" / "0123456789ab"
    folder.mkdir(parents=True)
    shown = project / "book" / "papers" / "benchmark.ipynb"
    shown.parent.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record("twin")))
    (folder / "benchmark.ipynb").write_text("executed")
    shown.write_text("executed")
    report.write_all()
    assert "Record `0123456789ab`" in page(project, "claims.md")
    shown.write_text("executed by another run")
    report.write_all()
    assert "Record `0123456789ab`" not in page(project, "claims.md")


def test_a_bar_in_a_cell_does_not_break_a_table():
    text = report.markdown(pd.DataFrame({"a": ["x | y"], "b": [1]}))
    assert tables(text) == [[[" a ", " b "], [" --- ", " --- "], [" x \\| y ", " 1 "]]]


def outcome(value, low=None, high=None, model="resnet1d", zero=0.05, loss=0.04):
    low, high = value - 0.05 if low is None else low, value + 0.05 if high is None else high
    scores = pd.DataFrame(
        [
            ("auroc", "macro", value, low, high),
            ("hamming_loss", "macro", loss, 0.03, 0.05),
            ("hamming_loss_all_zero", "macro", zero, 0.04, 0.06),
        ],
        columns=["metric", "label", "value", "low", "high"],
    )
    protocol = Protocol(model, NINE_LEADS, "9-lead")
    about = pd.DataFrame({"record": ["r", "r", "s"], "patient": ["p", "p", "q"]})
    targets = np.array([[True], [False], [False]])
    return Outcome(
        protocol=protocol,
        kind="twin",
        classes=("a",),
        targets=targets,
        probabilities=None,
        answers=None,
        about=about,
        scores=scores,
        facts={},
        curves=pd.DataFrame(),
        folds=(),
        folder=None,
    )


def test_the_labels_that_a_test_side_holds_are_counted():
    both = replace(
        outcome(0.9), classes=("a", "b"), targets=np.array([[True, False], [True, True]])
    )
    one = replace(
        outcome(0.6), classes=("a", "b"), targets=np.array([[False, True], [False, True]])
    )
    text = words.labels_tested(both, one).data
    assert text.startswith("Of the 2 labels, the test side of *resnet1d, 9 leads, patient split*")
    assert "holds 2, and that of" in text
    assert text.endswith("1.")


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (outcome(0.9), outcome(0.6), "The distance is 0.300; the intervals do not meet."),
        (outcome(0.6), outcome(0.9), "The distance is 0.300; the intervals do not meet."),
        (outcome(0.7), outcome(0.75), "The distance is 0.050; the intervals overlap."),
        (outcome(0.9), outcome(0.6, math.nan, math.nan), "without both intervals"),
    ],
)
def test_a_contrast_says_whether_intervals_meet(one, two, said):
    text = words.contrast(one, two).data
    assert said in text
    assert "nan" not in text
    assert "*twin*" in text


@pytest.mark.parametrize(
    ("loss", "said"), [(0.06, "is worse than"), (0.04, "is better than"), (0.05, "no better than")]
)
def test_hamming_loss_is_held_against_saying_nothing(loss, said):
    assert said in words.hamming(outcome(0.7, loss=loss)).data


def test_the_best_names_those_that_its_interval_does_not_set_apart():
    listed = [outcome(0.65, model="bilstm"), outcome(0.80), outcome(0.78, model="mamba2")]
    text = words.best(listed).data
    assert "is that of `resnet1d`: 0.800 (95 % interval 0.750 to 0.850)" in text
    assert "Its interval overlaps those of `mamba2`." in text
    assert "no better than chance" not in text
    assert "no better than chance" in words.best([outcome(0.53)]).data
    assert "`bilstm`" not in words.best([outcome(0.6, model="bilstm"), outcome(0.8)]).data


def test_what_made_the_page_is_said_with_its_data(tmp_path, monkeypatch):
    class Part:
        def __init__(self, kind, patients):
            self.name, self.kind = "zzu", kind
            self.table = pd.DataFrame({"patient": range(patients)})

    class Run:
        parameters = chapters.parameters("benchmark", {"profile": "smoke"})
        given = Part("subset", 19)
        training = Part("twin", 60)

    text = words.about(Run()).data
    assert "profile `smoke`" in text
    assert "zzu *subset*: 19 recordings of 19 patients" in text
    assert "trained on the *twin*, 60 recordings" in text
    assert "no reproduction" in text
    assert "1 recordings" not in words.on_given(Run(), [outcome(0.7)]).data
    assert "2 recordings of 2 patients in 3 windows" in words.on_given(Run(), [outcome(0.7)]).data
    assert "that they were trained on" in words.on_given(Run(), []).data


def test_the_kept_records_in_git_are_records_and_strict_json():
    for path in places.results().glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "NaN" not in text
        assert ledger.read_record(path)["chapter"] in chapters.CHAPTERS
        assert "/home/" not in text
        assert str(Path.home()) not in text


def surveyed(kind="subset"):
    faults = [
        {"record": "7", "fault": "too short", "detail": "", "excluded": True},
        {"record": "8", "fault": "flat", "detail": "I", "excluded": False},
        {"record": "8", "fault": "duplicate", "detail": "", "excluded": False},
    ]
    one = {
        "dataset": "challenge",
        "kind": kind,
        "recordings": 1234,
        "patients": 0,
        "sources": ["ptb"],
        "rates": [257.0, 500.0],
        "leads": [12],
        "hours": 3.44,
        "unlabelled": 5,
        "labels": {"AF": 3, "SB": 0},
        "quality": {"checked": 1234, "faults": faults},
    }
    copies = [
        [["ptbxl", "1", "p"], ["challenge", "HR1", "unknown"]],
        [["cpsc2018", "A1", "unknown"], ["challenge", "A1", "unknown"]],
    ]
    return {"datasets": [one], "copies": copies}


def test_datasets_stand_side_by_side_with_what_was_found(project):
    assert "No folder was surveyed yet." in cards.datasets_page()
    places.survey().parent.mkdir(parents=True)
    places.survey().write_text(json.dumps(surveyed()))
    found, faulty, copies = tables(cards.datasets_page())
    row = {
        column.strip(): cell.strip()
        for rows in (found, faulty)
        for column, cell in zip(rows[0], rows[2], strict=True)
    }
    assert row["data"] == "{tag}`subset`"
    assert (row["recordings"], row["patients"], row["hours"]) == ("1,234", "not named", "3.4")
    assert (row["Hz"], row["labels"], row["without one"]) == ("257, 500", "1", "5")
    faults = [row[fault] for fault in ("shut out", "flat", "railed", "duplicate")]
    assert faults == ["1", "1", "0", "1"]
    assert "PTB-XL `1`, PhysioNet/CinC Challenge `HR1`" in copies[2][1]
    assert len(copies) == 3
    assert "Not in the table are 1 files" in cards.datasets_page()


def test_the_kept_survey_is_of_the_known_datasets():
    found = json.loads(places.survey().read_text(encoding="utf-8"))
    seen = {(one["dataset"], one["kind"] == "twin") for one in found["datasets"]}
    assert seen >= {(name, True) for name in TWINS}
    assert seen >= {(name, False) for name in set(cards.CARDS) - {"leipzig", "pe"}}  # none at hand
    assert all(one["recordings"] == one["quality"]["checked"] for one in found["datasets"])


def test_what_two_trials_differ_by_is_said_with_its_sign(monkeypatch):
    monkeypatch.setattr(words.subgroups, "difference", lambda *_, **__: (-0.02, -0.05, 0.01))
    said = words.difference(outcome(0.9), outcome(0.6)).data
    assert "is -0.020 (95 % interval -0.050 to +0.010). It holds 0." in said
    monkeypatch.setattr(words.subgroups, "difference", lambda *_, **__: (0.02, 0.01, 0.05))
    assert "It does not hold 0." in words.difference(outcome(0.9), outcome(0.6)).data


def test_padding_and_copies_are_counted():
    table = pd.DataFrame({"n_samples": [5000, 5000, 15000], "fs": [500.0, 500.0, 500.0]})
    dataset = type("D", (), {"table": table, "kind": "twin"})()
    said = words.padding(dataset, 20.0).data
    assert "last 10.0 s in the middle. 33% of their windows of 20 s" in said
    held = pd.DataFrame(
        {"record": list("abcd"), "same": ["x", "x", "y", "z"], "site": ["n", "e", "n", "n"]}
    )
    windows = type(
        "W", (), {"table": held, "copies": Windows.copies.fget(SimpleNamespace(table=held))}
    )
    said = words.copies(windows).data
    assert said == (
        "2 of 4 recordings have the same samples as another one here, in 1 groups; 1 of these "
        "groups lie across sites."
    )
