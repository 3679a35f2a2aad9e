"""The chapter on AGCACL, run whole at the smoke profile, and what it leaves."""

import json

import pages
import pandas as pd
import pytest
from test_run import Project, said

from pecg_utils import claims, findings, kept, ledger, places


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("agcacl"))


@pytest.fixture(scope="module")
def record(project):
    ran = project.do("pecg", "run", "agcacl", "--profile", "smoke")
    assert ran.returncode == 0, ran.err
    (path,) = project.root.glob("_runs/agcacl/*/record.json")
    return ledger.read_record(path)


@pytest.fixture(scope="module")
def page(project, record):
    path = project.root / "book" / "papers" / "agcacl.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def by_protocol(record):
    """What tells the trials of a record apart -> the trial."""
    found = {}
    for trial in record["trials"]:
        p = trial["protocol"]
        words = (p["cohort"], p["split"], p["loss"], str(p["changes"]), p["windows"], p["most"])
        found[words] = trial
    assert len(found) == len(record["trials"])
    return found


def test_every_cell_ran_without_a_warning(page):
    pages.ran_quietly(page)


def test_every_picture_is_there_and_described(page):
    pages.pictured(page, 15)


def test_the_record_holds_every_protocol_with_its_scores(record):
    found = by_protocol(record)
    plain = {words[:2] for words in found if words[2:5] == ("", "[]", "")}
    assert plain == {
        *(("12-lead", way) for way in ("window", "block", "patient")),
        *(("children", way) for way in ("window", "patient")),
    }
    assert sum(words[2] == "CE" for words in found) == 1
    branches = sorted(words[3] for words in found if words[3] != "[]")
    assert [name for name in ("ecg", "iegm") if f"'{name}'" in str(branches)] == ["ecg", "iegm"]
    assert [words[4] for words in found if words[4]] == ["second signal taken away at test"]
    for trial in record["trials"]:
        assert set(trial["scores"]["metric"]) >= {"top1", "precision", "recall", "f1", "f2"}
        assert trial["data"] == "twin"
    given = record["data"][0]
    assert (given["dataset"], given["patients"], given["named"]) == ("leipzig", 39, True)


def test_models_that_are_compared_are_taught_equally_many(record):
    found = by_protocol(record)
    plain = [words for words in found if words[:5] == ("12-lead", "window", "", "[]", "")]
    assert len(plain) in (1, 2)  # one where the paper's protocol is taught no more than the others
    published = max(plain, key=lambda words: words[5]) if len(plain) == 2 else None
    taught = [
        fold["split"]["windows"]["train"]
        for words, trial in found.items()
        if words != published
        for fold in trial["folds"]
    ]
    assert len(taught) == 18  # three ways, the children's two, CE, two branches, one taken away
    assert max(taught) <= 1.02 * min(taught)
    assert max(taught) <= record["parameters"]["most"]


def test_no_subject_is_on_two_sides_when_subjects_are_kept_apart(record):
    sums = {"window": [], "patient": []}
    for words, trial in by_protocol(record).items():
        if words[0] == "12-lead" and words[1] in sums:
            sums[words[1]] += [sum(f["split"]["patients"].values()) for f in trial["folds"]]
    assert max(sums["patient"]) <= 39  # of whom some are not taught, where windows are drawn
    assert min(sums["window"]) > 39


def test_the_record_holds_its_tables(record):
    held = {name: pd.DataFrame(table) for name, table in record["tables"].items()}
    assert set(held) == {"distances", "presence", "ablation", "same windows", "children"}
    rows = held["distances"].groupby("name", sort=False)["metric"].apply(list)
    assert rows.index.tolist() == [
        "at random less by time",
        "by time less patients apart",
        "at random less patients apart",
        "both signals less the ECG alone",
        "both signals less the second alone",
        "both signals less the second taken away",
        "children: at random less patients apart",
        "all: at random less patients apart",
    ]
    assert rows.tolist() == [["top1", "f1", "auroc"]] * 8
    terms = held["ablation"].set_index(["terms", "metric"])
    assert terms.index.tolist() == [(of, m) for of in ("CE", "whole") for m in ("top1", "f1")]
    assert (terms.loc["CE", ["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    assert terms["gain"].tolist()[2:] == pytest.approx(terms["value"].diff(2).tolist()[2:])
    assert set(held["presence"]["label"]) == {"macro"}
    areas = held["presence"].query("metric == 'auroc'")
    assert len(areas) == 2
    assert areas[["lot", "lot_high", "beaten"]].notna().all(axis=None)


def test_the_ways_are_compared_on_the_same_windows(record):
    ways = ["at random", "by time", "patients apart"]
    on_children = [f"{whom}, {way}" for whom in ("children", "all") for way in ways[::2]]
    least = {}
    for words, trial in by_protocol(record).items():
        tested = trial["split"]["windows"]["test"]
        least[words[0]] = min(tested, least.get(words[0], tested))
    for name, names, cohort in (
        ("same windows", ways, "12-lead"),
        ("children", on_children, "children"),
    ):
        table = pd.DataFrame(record["tables"][name])
        assert list(dict.fromkeys(table["name"])) == names
        assert len(table) == 7 * len(names)
        (windows,), (patients,), (classes,) = (
            set(table[of]) for of in ("windows", "patients", "classes")
        )
        assert 0.9 * least[cohort] <= windows <= least[cohort]
        assert (patients <= 39, 2 <= classes <= 7) == (True, True)


def test_what_the_record_holds_makes_the_finding_and_the_kept_page(record, tmp_path):
    table = pd.DataFrame(record["tables"]["same windows"])
    first = table.iloc[0]
    told = findings.agcacl([record])
    held = f"{first['windows']:,} windows of {first['patients']} patients and {first['classes']} "
    assert f"Leipzig Heart Center, {{tag}}`twin`, {held}classes: models" in told
    assert "another dataset" not in told
    values = table.set_index(["name", "metric"])["value"]
    for way in ("at random", "patients apart"):
        for metric in ("top1", "f1"):
            assert f" {100 * values[way, metric]:.1f} (" in told
    shown = kept.fragment([record], tmp_path)
    assert f"On the {first['windows']:,} windows that all three ways tested:" in shown
    assert "at random less patients apart" in shown
    assert "The presence of electrograms alone. With *" in shown
    assert "The whole loss over *CE*: top-1 accuracy" in shown
    pictures = {path.name.removeprefix(f"agcacl-{record['key']}") for path in tmp_path.iterdir()}
    assert pictures == {".svg", "-ways.svg", "-classes.svg", "-loss.svg"}


def test_the_claims_stand_beside_it_without_a_verdict(record):
    joined = claims.join("agcacl", record)
    assert set(joined["verdict"]) == {"not comparable"}
    gains = joined["gain"].astype(bool)
    assert joined.loc[~gains, ["value", "sound"]].notna().all(axis=None)
    assert joined.loc[gains, "value"].isna().all()
    v1, v2 = (joined[(joined["version"] == v) & (joined["metric"] == "top1")] for v in ("v1", "v2"))
    assert v1["value"].iloc[0] != v2["value"].iloc[0]  # all subjects, and the children


def test_what_a_reader_may_get_wrong_is_a_sentence(project):
    told = {
        ("--dataset", "mitdb"): "mitdb has no twin; give the folder of its recordings",
        ("--dataset", "zzu"): "dataset must be one of leipzig, mitdb, not 'zzu'.",
        ("-p", "folds", "0"): "folds must be a whole number from 2 to 10, not '0'.",
        (
            "-p",
            "terms",
            "focal",
        ): "terms must be a list, each once, of CE, balanced CE, CE + SupCon",
        ("-p", "stretch", "5"): "stretch must be a number from 6 to 600, not '5'.",
        ("-p", "grouped", "perhaps"): "grouped must be true or false, not 'perhaps'.",
        ("--data", str(places.PROJECT / "book")): "is no Leipzig folder",
    }
    for given, sentence in told.items():
        process = project.do("pecg", "run", "agcacl", *given)
        assert process.returncode == 2
        assert sentence in "\n".join(said(process))
