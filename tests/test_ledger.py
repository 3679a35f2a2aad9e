"""The ledger: a run's record says all that it must, in JSON that anyone can read."""

import dataclasses
import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from made_pairs import PATIENT as OF_PAIRS
from made_pairs import made_up, tried
from test_segments import CHILD, opened, write

from pecg_utils import asked, chapters, ledger, machine, places
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.protocol import Protocol
from pecg_utils.sources import Sources
from pecg_utils.twins import zzu as twin

torch.set_num_threads(1)
GIVEN = {"profile": "smoke", "patients": 40, "models": ["resnet1d"], "resamples": 20}
PATIENT = Protocol("resnet1d", TWELVE_LEADS, "12-lead")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder that the runs of these tests write into, and their book/results."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("work")
        patch.setenv("PECG_WORK", str(folder))
        patch.setattr(places, "results", lambda: folder / "results")
        yield folder


@pytest.fixture(scope="module")
def run(work):
    """A run with one trial, two damaged recordings among its data, and its record written."""
    source = twin.write(work / "source", 65, seed=1)
    folder = work / "damaged"
    shutil.copytree(source, folder)
    twelve = sorted(p for p in folder.rglob("*.hea") if p.read_text().split()[1] == "12")
    cut, broken = twelve[3].with_suffix(".dat"), twelve[7]
    cut.write_bytes(cut.read_bytes()[:-200])
    broken.write_text("no header at all\n")
    begun = ledger.start("benchmark", {**GIVEN, "data": str(folder)})
    prepared = begun.windows(begun.training, TWELVE_LEADS)
    begun.trials(prepared, [PATIENT])
    begun.finish()
    return begun, {cut.stem: "unreadable", broken.stem: "unreadable"}


@pytest.fixture(scope="module")
def text(run):
    return (run[0].folder / "record.json").read_text(encoding="utf-8")


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def test_the_record_says_all_that_it_must(run, text):
    begun, _ = run
    record = json.loads(text)
    assert (record["chapter"], record["key"]) == ("benchmark", begun.key)
    assert record["profile"] == "smoke"
    assert record["parameters"] == {**begun.parameters.model_dump(), "data": "damaged"}
    (data,) = record["data"]
    assert (data["dataset"], data["kind"], data["patients"]) == ("zzu", "twin", 65)
    assert re.fullmatch("[0-9a-f]{12}", data["fingerprint"])
    assert {"python", *machine.PACKAGES} == set(record["versions"])
    assert record["versions"]["torch"].startswith("2.")
    assert re.match("[0-9a-f]{12}|unknown", record["revision"])
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["processor"]
    assert record["seconds"] >= record["training_seconds"] > 0
    assert record["peak_memory_mib"] > 50
    (trial,) = record["trials"]
    assert trial["protocol"]["leads"] == list(TWELVE_LEADS)
    assert re.fullmatch("[0-9a-f]{12}", trial["split"]["fingerprint"])
    assert trial["split"]["by"] == "patient"
    assert set(trial["split"]["windows"]) == {"train", "validation", "test"}
    scores = trial["scores"]
    assert len({len(column) for column in scores.values()}) == 1
    assert len(scores["value"]) == 5 * 20  # metrics × (19 labels and macro)
    for name in ("value", "low", "high"):
        macro = [
            v for v, label in zip(scores[name], scores["label"], strict=True) if label == "macro"
        ]
        assert all(math.isfinite(v) for v in macro)


def test_the_record_is_strict_json(text):
    record = json.loads(text, parse_constant=no_constant)
    assert None in record["trials"][0]["scores"]["value"]  # a label that the test side lacks


def test_the_record_tells_no_path_of_this_machine(run, text, work):
    assert str(work) not in text
    assert str(places.PROJECT) not in text
    assert not re.search(r'"[^"]*(?<![\w.])/(home|root|tmp|work|usr|Users)/', text)


def test_the_bad_recordings_are_named_and_the_others_went_on(run, text):
    begun, bad = run
    report = json.loads(text)["quality"]["twin, 12 leads"]
    shut = {f["record"]: f["fault"] for f in report["faults"] if f["excluded"]}
    assert shut == bad
    rows = begun.windows(begun.training, TWELVE_LEADS).table["record"]
    assert not set(bad) & set(rows)
    assert rows.nunique() == report["checked"] - 2
    faults = ledger.faults(json.loads(text)["quality"])
    assert faults.loc["twin, 12 leads", "shut out"] == 2


def test_what_diverged_is_still_strict_json(run, monkeypatch):
    begun, _ = run
    outcome = next(iter(begun._outcomes.values()))
    monkeypatch.setitem(
        outcome.facts, "curves", [{"epoch": 1, "train_loss": math.nan, "validation_f1": 0.0}]
    )
    monkeypatch.setattr(machine, "peak_memory_mib", lambda: math.nan)
    before = (begun.folder / "record.json").read_text()
    begun.finish()
    after = (begun.folder / "record.json").read_text()
    (begun.folder / "record.json").write_text(before)
    record = json.loads(after, parse_constant=no_constant)
    assert record["trials"][0]["curves"][0]["train_loss"] is None
    assert record["peak_memory_mib"] is None


def test_rows_give_the_scores_back(run, text):
    begun, _ = run
    rows = ledger.rows(json.loads(text)["trials"])
    outcome = next(iter(begun._outcomes.values()))
    np.testing.assert_allclose(rows["value"], outcome.scores["value"], rtol=1e-5)  # six digits
    assert set(rows["windows"]) == {len(outcome.about)}
    assert set(rows["name"]) == {PATIENT.name}


def test_started_again_a_run_reads_its_trials_back(run, monkeypatch):
    begun, _ = run
    again = ledger.start("benchmark", {**GIVEN, "data": str(begun.given.root)})
    assert (again.key, again.folder) == (begun.key, begun.folder)
    monkeypatch.setattr("pecg_utils.train.fit", None)
    outcomes = again.trials(again.windows(again.training, TWELVE_LEADS), [PATIENT])
    assert outcomes[0].scores.equals(next(iter(begun._outcomes.values())).scores)


def test_a_notebooks_other_variables_are_no_parameters(run):
    begun, _ = run
    namespace = {
        **GIVEN,
        "data": str(begun.given.root),
        "epochs": None,
        "_i1": "text",
        "In": ["x"],
        "Out": {},
        "np": np,
    }
    assert ledger.start("benchmark", namespace).key == begun.key
    with pytest.raises(PecgError, match="no parameter 'epoch'"):
        ledger.start("benchmark", {**namespace, "epoch": 5})


def test_the_data_may_be_moved_and_not_changed(run, work):
    begun, _ = run
    moved = work / "moved"
    shutil.copytree(begun.given.root, moved)
    assert ledger.start("benchmark", {**GIVEN, "data": str(moved)}).key == begun.key
    signal = next(iter(sorted(moved.rglob("*.dat"))))
    stored = bytearray(signal.read_bytes())
    stored[100] ^= 1
    signal.write_bytes(stored)
    assert ledger.start("benchmark", {**GIVEN, "data": str(moved)}).key != begun.key


def test_too_few_children_are_not_trained_on_but_judged(work):
    few = twin.write(work / "few", 5, seed=2)
    small = ledger.start("benchmark", {**GIVEN, "data": str(few)})
    assert small.training is small.given  # a twin is never judged by another
    (few / "twin.json").unlink()  # now it is taken for a part of the release
    found = ledger.start("benchmark", {**GIVEN, "data": str(few)})
    assert found.given.root == few
    assert found.training is not found.given
    assert len(found.training.table["patient"].unique()) == 40
    record = found.record()
    assert [(d["kind"], d["patients"]) for d in record["data"]] == [("subset", 5), ("twin", 40)]
    assert record["data"][0]["fingerprint"] != record["data"][1]["fingerprint"]


def test_of_a_kind_of_recording_that_is_not_there_there_are_no_windows(run, monkeypatch):
    begun, _ = run
    assert begun.windows(begun.training, ("I", "II")) is None
    assert begun.trials(None, [Protocol("resnet1d", NINE_LEADS, "9-lead")]) == []


def test_ptbxl_without_a_folder_is_its_twin(work):
    begun = ledger.start("benchmark", {**GIVEN, "dataset": "ptbxl"})
    assert (begun.training.name, begun.training.kind) == ("ptbxl", "twin")
    assert begun.training.table["patient"].nunique() == 40


def test_keep_copies_the_record_under_its_name(run, text):
    begun, _ = run
    kept = ledger.keep(begun.key[:6])
    assert kept == places.results() / "benchmark-smoke-zzu-twin.json"
    assert kept.read_text(encoding="utf-8") == text
    assert [record["key"] for record in ledger.kept("benchmark")] == [begun.key]
    assert ledger.kept("another") == []


def test_keep_refuses_a_key_of_no_run(work):
    with pytest.raises(PecgError, match="No finished runs have a key that begins with 'ffff'"):
        ledger.keep("ffff")


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"chapter": 1}', "null", "7"])
def test_a_damaged_record_is_refused_by_name(tmp_path, damaged):
    path = tmp_path / "benchmark-x.json"
    path.write_text(damaged)
    with pytest.raises(PecgError, match=r"benchmark-x\.json is no run's record"):
        ledger.read_record(path)


def test_a_record_cut_in_half_is_refused(run, text, tmp_path):
    path = tmp_path / "half.json"
    path.write_text(text[: len(text) // 2])
    with pytest.raises(PecgError, match="is no run's record"):
        ledger.read_record(path)


def test_outside_git_the_revision_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.revision() == "unknown"


def fault(record, fault, detail, excluded):
    return {"record": record, "fault": fault, "detail": detail, "excluded": excluded}


def test_each_fault_is_named_with_what_was_shut_out_for_it():
    first = [fault("7", "too short", "1.9 s", True), fault("8", "flat", "V1", False)]
    reports = {
        "twin": {"checked": 9, "faults": first},
        "subset": {"checked": 3, "faults": [fault("8", "flat", "I", False)]},
    }
    table = ledger.named(reports)
    assert (table.index.name, list(table.columns)) == ("recording", ["fault", "detail", "shut out"])
    assert list(table.itertuples(name=None)) == [
        ("7", "too short", "1.9 s", "yes"),
        ("8", "flat", "V1", "no"),
        ("8", "flat", "I", "no"),
    ]


@pytest.mark.parametrize("reports", [{}, {"twin": {"checked": 9, "faults": []}}])
def test_where_there_is_no_fault_the_list_is_empty(reports):
    table = ledger.named(reports)
    assert table.empty
    assert list(table.columns) == ["fault", "detail", "shut out"]


@pytest.fixture
def begun(tmp_path, work):
    """Gives a run of two signals on one child's record of 31 s."""

    def start(**given):
        if not (tmp_path / "x001.hea").is_file():
            write(tmp_path, "x001", CHILD)
        dataset = opened(tmp_path, ["x001"])
        p = chapters.parameters("agcacl", {"profile": "smoke", "resamples": 20, **given})
        sources = Sources(dataset, dataset, {dataset.kind: "0123456789ab"})
        return ledger.Run("agcacl", p, sources, "abc", tmp_path / "run")

    return start


def test_a_run_prepares_its_windows_of_two_signals_as_it_was_asked(begun, work):
    run = begun()
    joined = run.pairs()
    assert len(joined) == 6
    assert "premature" in joined.classes
    assert run.reports == {run.training.kind: joined.report.as_json()}
    assert ledger.faults(run.reports)["looked at"].tolist() == [1]
    assert (places.windows() / joined.key).is_dir()
    single = begun(grouped=False).pairs()
    assert len(single) == 8  # with idioventricular rhythm, which no group has
    assert "premature" not in single.classes
    run.sources.fingerprints[run.training.kind] = "another"
    assert run.pairs().key != joined.key


def test_models_that_are_asked_again_are_in_the_record_and_were_trained_once(begun, tmp_path):
    run, pairs = begun(), made_up()
    trained = tried(tmp_path / "trials", pairs=pairs)
    trained.facts["seconds"] = 12.5
    run._outcomes[trained.folder.name] = trained  # as Run.trials does
    without = asked.without_electrograms(trained, pairs, 20)
    assert run.also(without) is without
    run.also(without)  # a cell that is run twice
    record = run.record()
    names = [OF_PAIRS.name, f"{OF_PAIRS.name}, second signal taken away at test"]
    assert [trial["name"] for trial in record["trials"]] == names
    assert record["trials"][1]["protocol"]["windows"] == "second signal taken away at test"
    assert set(record["trials"][1]["heard"]) == {"ecg", "iegm"}
    assert record["training_seconds"] == 12.5
    other = dataclasses.replace(trained, folder=tmp_path / "b", facts={**trained.facts})
    run._outcomes["b"] = dataclasses.replace(other, protocol=PATIENT)
    assert run.record()["training_seconds"] == 25


def test_more_rows_of_a_table_follow_and_a_cell_run_twice_adds_none(begun):
    run = begun()
    first, second = (pd.DataFrame({"name": [of, of], "value": [1.0, 2.0]}) for of in "ab")
    assert run.more("distances", first) is first
    run.more("distances", second)
    run.more("distances", first)
    held = run.record()["tables"]["distances"]
    assert held == {"name": ["b", "b", "a", "a"], "value": [1.0, 2.0, 1.0, 2.0]}
