"""The chapter on AGCACL, run whole at the smoke profile, and what it leaves."""

import base64
import json

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
    for cell in page:
        if cell["cell_type"] != "code":
            continue
        assert cell["execution_count"]
        streams = [o for o in cell["outputs"] if o["output_type"] in ("stream", "error")]
        drawn = [p for o in streams for p in "".join(o["text"]).split("\r") if p.strip()]
        assert not [p for p in drawn if "%|" not in p or "\n" in p]  # a slow machine shows bars


def test_every_picture_is_there_and_described(page):
    described = [c for c in page if "image" in c["metadata"].get("mystnb", {})]
    assert len(described) >= 15
    for cell in page:
        pictures = [o["data"] for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
        if cell in described:
            (picture,) = pictures
            assert len(base64.b64decode(picture["image/png"])) > 5000
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 40
        else:
            assert not pictures


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
    taught = [
        fold["split"]["windows"]["train"]
        for words, trial in by_protocol(record).items()
        if words[0] == "12-lead" and words[5] != 200  # but for the paper's protocol
        for fold in trial["folds"]
    ]
    assert len(taught) >= 10
    assert max(taught) <= 1.02 * min(taught)


def test_no_subject_is_on_two_sides_when_subjects_are_kept_apart(record):
    sums = {"window": [], "patient": []}
    for words, trial in by_protocol(record).items():
        if words[0] == "12-lead" and words[1] in sums:
            sums[words[1]] += [sum(f["split"]["patients"].values()) for f in trial["folds"]]
    assert max(sums["patient"]) <= 39  # of whom some are not taught, where windows are drawn
    assert min(sums["window"]) > 39


def test_what_the_record_holds_makes_the_finding_and_the_kept_page(project, record, tmp_path):
    held = record["tables"]
    assert set(held) == {"distances", "presence", "ablation"}
    assert len(held["distances"]["name"]) == 12
    assert set(held["ablation"]["terms"]) == {"CE", "whole"}
    assert set(held["presence"]["label"]) == {"macro"}
    told = findings.agcacl([record])
    assert "Leipzig Heart Center, {tag}`twin`, 39 patients" in told
    assert "another dataset" not in told
    shown = kept.fragment([record], tmp_path)
    assert "at random less patients apart" in shown
    assert "The presence of electrograms alone." in shown


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
        ("-p", "folds", "0"): "folds must be a whole number from 1 to 10, not '0'.",
        (
            "-p",
            "terms",
            "focal",
        ): "terms must be a list, each once, of CE, balanced CE, CE + SupCon",
        ("-p", "grouped", "perhaps"): "grouped must be true or false, not 'perhaps'.",
        ("--data", str(places.PROJECT / "book")): "is no Leipzig folder",
    }
    for given, sentence in told.items():
        process = project.do("pecg", "run", "agcacl", *given)
        assert process.returncode == 2
        assert sentence in "\n".join(said(process))
