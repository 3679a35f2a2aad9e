"""The chapter on CNN-ECG-Mamba, run whole at the smoke profile, and what it leaves."""

import json

import pages
import pytest
from test_run import Project, said

from pecg_utils import claims, findings, ledger, places, subgroups


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("mamba"))


@pytest.fixture(scope="module")
def record(project):
    ran = project.do("pecg", "run", "cnn_ecg_mamba", "--profile", "smoke")
    assert ran.returncode == 0, ran.err
    (path,) = project.root.glob("_runs/cnn_ecg_mamba/*/record.json")
    return ledger.read_record(path)


@pytest.fixture(scope="module")
def page(project, record):
    path = project.root / "book" / "papers" / "cnn_ecg_mamba.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_every_cell_ran_without_a_warning(page):
    pages.ran_quietly(page)


def test_every_picture_is_there_and_described(page):
    pages.pictured(page, 17)


def test_the_record_holds_every_protocol_with_the_challenge_score(record):
    by = {}
    for trial in record["trials"]:
        protocol = trial["protocol"]
        more = (str(protocol["changes"]), protocol["windows"])
        by[(protocol["split"], protocol["most"], *more)] = trial
        assert "challenge_score" in trial["scores"]["metric"]
        assert "average_precision" in trial["scores"]["metric"]
    assert len(by) == len(record["trials"])
    plain = {split for split, _, changes, note in by if changes == "[]" and not note}
    assert plain == {"file", "site", "proxy"}  # a twin has no copies
    assert ("file", None, "[]", "") in by
    assert sum(bool(note) for *_, note in by) == 1  # windows of 10 s
    assert sum(changes != "[]" for *_, changes, _ in by) == 1  # one direction
    assert record["data"][0] == {
        **record["data"][0],
        "dataset": "challenge",
        "kind": "twin",
        "recordings": 80,
        "named": False,
    }
    (left,) = (trial for (split, *_), trial in by.items() if split == "site")
    assert [fold["split"]["site"] for fold in left["folds"]] == ["ningbo"]
    alike = [trial for (split, most, *_), trial in by.items() if split == "file" and most]
    taught = {f["split"]["windows"]["train"] for trial in [left, *alike] for f in trial["folds"]}
    assert max(taught) <= 1.02 * min(taught)


def test_what_the_record_says_of_sites_makes_the_finding(record):
    table = record["tables"]["sites, auroc"]
    assert table["site"] == ["ningbo"] * 2 + [subgroups.EVERYWHERE] * 2
    said = findings.cnn_ecg_mamba([record])
    assert f"{table['value'][2]:.3f}" in said
    assert "{tag}`twin`" in said
    assert "1 site:" in said


def test_the_claims_stand_beside_it_without_a_verdict(record):
    joined = claims.join("cnn_ecg_mamba", record)
    assert set(joined["verdict"]) == {"not comparable"}
    assert joined.loc[joined["year"] == 2021, ["value", "sound"]].notna().all(axis=None)
    assert joined.loc[joined["year"] == 2020, "value"].isna().all()


def test_what_a_reader_may_get_wrong_is_a_sentence(project):
    told = {
        ("--dataset", "hospitals"): "hospitals has no twin; give the folder of its recordings",
        ("--dataset", "zzu"): "dataset must be one of challenge, hospitals, not 'zzu'.",
        ("-p", "sites", "0"): "sites must be a whole number from 1 to 10, not '0'.",
        ("-p", "parts", "head"): "parts must be a list, each once, of stem, one direction",
        ("-p", "models", "resnet1d"): "cnn_ecg_mamba has no parameter 'models'.",
        ("--data", str(places.PROJECT / "book")): "is no folder of the Challenge 2021",
    }
    for given, sentence in told.items():
        process = project.do("pecg", "run", "cnn_ecg_mamba", *given)
        assert process.returncode == 2
        assert sentence in "\n".join(said(process))
