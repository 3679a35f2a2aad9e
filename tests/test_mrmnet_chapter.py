"""The chapter on MRM-Net, run whole at the smoke profile, and what it leaves."""

import json

import pages
import pandas as pd
import pytest
from test_run import Project, said

from pecg_utils import claims, findings, kept, ledger, picked, places, preparations, sample_wise


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("mrmnet"))


@pytest.fixture(scope="module")
def record(project):
    ran = project.do("pecg", "run", "mrmnet", "--profile", "smoke")
    assert ran.returncode == 0, ran.err
    (path,) = project.root.glob("_runs/mrmnet/*/record.json")
    return ledger.read_record(path)


@pytest.fixture(scope="module")
def page(project, record):
    path = project.root / "book" / "papers" / "mrmnet.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def mine_of(blocks, model):
    return blocks.loc[blocks["model"] == model, "value"].tolist()


def held(record, name):
    return pd.DataFrame(record["tables"][name])


def test_every_cell_ran_without_a_warning(page):
    pages.ran_quietly(page)


def test_every_picture_is_there_and_described(page):
    pages.pictured(page, 16)


def test_the_page_shows_that_every_weight_learns(page):
    (cell,) = [c for c in page if "mrmnet_words.weights()" in "".join(c["source"])]
    shown = "".join(cell["outputs"][-1]["data"]["text/plain"])
    for count in ("1,780,134", "6,952,742", "27,475,494", "2,284,550", "8,838,118", "34,752,422"):
        assert shown.count(count) == 2  # there are so many, and so many learn


def test_the_record_holds_every_model_and_seed(record):
    models = ["mrmnet", *record["parameters"]["models"]]
    first = [t["protocol"] for t in record["trials"] if t["protocol"]["cohort"] == "12-lead"]
    whole = [p for p in first if not p["changes"] and not p["loss"]]
    assert [(p["model"], p["repeat"]) for p in whole] == [(m, r) for m in models for r in (0, 1)]
    assert {p["crop"] for p in whole if p["model"] == "mrmnet"} == {0.0}
    assert {p["crop"] for p in whole if p["model"] != "mrmnet"} == {2.5}
    assert {(p["split"], p["normalise"], p["turn"]) for p in first} == {("fold", "together", 0)}
    others = [(p["changes"], p["loss"]) for p in first if p["changes"] or p["loss"]]
    assert others == [([["exchange", True]], "")] * 2 + [([], "BCE")] * 2
    taught = {t["split"]["windows"]["train"] for t in record["trials"] if "folds" not in t}
    assert len(taught) == 1


def test_the_record_says_what_each_model_costs(record):
    cost = held(record, "cost").set_index("name")
    assert cost.index.tolist() == ["mrmnet", *record["parameters"]["models"]]
    numbers = cost[["weights", "multiply_adds", "seconds", "mebibytes"]]
    assert (numbers > 0).all(axis=None)
    for trial in record["trials"]:
        if trial["protocol"]["cohort"] == "12-lead" and not trial["protocol"]["changes"]:
            assert cost.loc[trial["protocol"]["model"], "weights"] == trial["weights"]


def test_the_tables_are_of_the_trials(record):
    compared = held(record, "comparison")
    blocks = held(record, "blocks")
    for trial in record["trials"]:
        p = trial["protocol"]
        if p["cohort"] != "12-lead" or p["changes"] or p["loss"]:
            continue
        scores = pd.DataFrame(trial["scores"])
        value = scores.query("metric == 'auroc' and label == 'macro'")["value"].item()
        of = (blocks["model"] == p["model"]) & (
            blocks["block"] == f"seed {p['repeat'] + 1}, fold 10"
        )
        mine = blocks[of]
        assert mine["value"].item() == value
        area = compared[(compared["name"] == p["model"]) & (compared["metric"] == "auroc")].iloc[0]
        values = mine_of(blocks, p["model"])
        assert area["apart"] == pytest.approx(max(values) - min(values), abs=2e-6)
    taken = held(record, "rules")
    assert len(taken) == 2 * len(picked.RULES)
    sums = taken.assign(both=taken["auroc"] + taken["f1"]).pivot(
        index="seed", columns="rule", values="both"
    )
    assert (sums[picked.EPOCH] >= sums[picked.SOUND]).all()
    names = held(record, "both F1")["name"].unique().tolist()
    assert names[:3] == ["mrmnet", *record["parameters"]["models"]]
    assert sample_wise.COMMONEST in names


def test_the_twin_of_cpsc2018_stands_beside_it(record):
    (beside,) = record["beside"]
    assert (beside["dataset"], beside["kind"], beside["recordings"]) == ("cpsc2018", "twin", 60)
    ways = held(record, "ways")
    assert ways["name"].unique().tolist() == [
        *(preparations.SOUND, preparations.STRETCHED, preparations.FIRST, preparations.TRANSPOSED)
    ]
    trials = [t for t in record["trials"] if t["protocol"]["cohort"] == "CPSC2018"]
    assert [t["split"]["windows"]["test"] for t in trials] == [60] * 4
    assert {t["data"] for t in trials} == {"twin"}
    assert [len(t["protocol"]["leads"]) for t in trials] == [12, 12, 12, 1000]


def test_what_the_record_holds_makes_the_finding_and_the_kept_page(record, tmp_path):
    told = findings.mrmnet([record])
    own = held(record, "comparison").iloc[0]
    assert "PTB-XL, {tag}`twin`" in told
    assert claims.interval(own["value"], own["low"], own["high"]) in told
    shown = kept.fragment([record], tmp_path)
    assert "What each costs:" in shown
    assert "MRM-Net on CPSC2018, {tag}`twin`, 60 recordings" in shown
    pictures = {path.name.removeprefix(f"mrmnet-{record['key']}") for path in tmp_path.iterdir()}
    wanted = ("models", "cost", "ranks", "parts", "f1", "ways", "rates")
    assert pictures == {f"-{name}.svg" for name in wanted}


def test_only_the_runs_task_is_beside_a_claim(record):
    joined = claims.join("mrmnet", record)
    measured = joined[joined["value"].notna()]
    assert measured["task"].unique().tolist() == ["super"]
    assert sorted(measured["model"]) == sorted(record["parameters"]["models"])
    assert set(joined["verdict"]) == {"not comparable"}


def test_what_a_reader_may_get_wrong_is_a_sentence(project):
    told = {
        ("-p", "task", "rythm"): "task must be one of all, diagnostic, sub, super, form, rhythm",
        ("-p", "models", "resnet"): "models must be a list, each once, of xresnet1d101,",
        ("-p", "parts", "exchange,exchange"): "parts must be a list, each once,",
        ("-p", "turns", "11"): "turns must be a whole number from 1 to 10, not '11'.",
        ("--dataset", "zzu"): "dataset must be one of ptbxl, cpsc2018, not 'zzu'.",
        ("--data", str(places.PROJECT / "book")): "ptbxl_database.csv",
    }
    for given, sentence in told.items():
        process = project.do("pecg", "run", "mrmnet", *given)
        assert process.returncode == 2
        assert sentence in "\n".join(said(process))
