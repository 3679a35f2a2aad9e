"""A second twin beside a run's data: opened once, known by its own contents, named everywhere."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pecg_utils import chapters, ledger, places
from pecg_utils.data import cpsc_ways
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import data_fingerprint
from pecg_utils.ledger import Run
from pecg_utils.protocol import Protocol
from pecg_utils.sources import Sources

torch.set_num_threads(1)
SIZE = 24  # recordings of the second twin
PROTOCOL = Protocol("mrmnet", TWELVE_LEADS, "CPSC2018", "proxy", "together")
BESIDE = "cpsc2018, twin, 12 leads"
STRETCHED = f"{BESIDE}, stretched"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("work")
        patch.setenv("PECG_WORK", str(folder))
        yield folder


@pytest.fixture(scope="module")
def start(work: Path, twin: Dataset) -> Callable[[str], Run]:
    """Gives a run whose own data is a small subset, or a twin, of another release."""

    def begin(kind: str) -> Run:
        given = dataclasses.replace(twin, kind=kind)
        p = chapters.parameters("mrmnet", {"profile": "smoke", "batch": 8, "resamples": 20})
        sources = Sources(given, given, {kind: "0123456789ab"})
        return Run("mrmnet", p, sources, "abc", work / f"run of {kind}")

    return begin


@pytest.fixture(scope="module")
def run(start: Callable[[str], Run]) -> Run:
    """A run on a subset that carried out one trial on the second twin."""
    begun = start("subset")
    dataset = begun.beside("cpsc2018", SIZE)
    prepared = begun.windows(dataset, TWELVE_LEADS, needed=True, stretch=True)
    begun.trials(prepared, [PROTOCOL], of=dataset)
    begun.windows(begun.given, TWELVE_LEADS)
    return begun


def test_it_is_the_twin_of_that_size_and_is_opened_once(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "twin", None)
    dataset = run.beside("cpsc2018", SIZE)
    assert dataset is run.beside("cpsc2018", SIZE)
    assert (dataset.name, dataset.kind, len(dataset.table)) == ("cpsc2018", "twin", SIZE)
    assert dataset.root.parent == places.twins()


@pytest.mark.parametrize("kind", ["subset", "twin"])
def test_its_windows_are_known_by_its_own_contents(start, kind: str) -> None:
    """Also where the run's own data is a twin, whose fingerprint is another."""
    begun = start(kind)
    dataset = begun.beside("cpsc2018", SIZE)
    own = data_fingerprint(dataset)
    prepared = begun.windows(dataset, TWELVE_LEADS)
    other = begun.windows(begun.given, TWELVE_LEADS)
    alone = start(kind)
    alone.sources.fingerprints["twin"] = own  # as a run has it that was given this twin
    assert alone.windows(dataset, TWELVE_LEADS).key == prepared.key
    part = cpsc_ways.first_alone(dataset)  # what is made of it is of it
    assert begun.windows(part, TWELVE_LEADS).key == prepared.key
    assert prepared.key != other.key
    assert set(begun.reports) == {BESIDE, f"{kind}, 12 leads"}
    assert begun.reports[BESIDE]["checked"] == SIZE
    assert begun.reports[f"{kind}, 12 leads"]["checked"] == other.table["record"].nunique()
    assert [about["fingerprint"] for about in begun.record()["beside"]] == [own]
    assert [about["fingerprint"] for about in begun.record()["data"]] == ["0123456789ab"]


def test_the_record_has_it_beside_the_runs_own_data(run: Run) -> None:
    dataset, record = run.beside("cpsc2018", SIZE), run.record()
    (given,) = record["data"]
    assert (given["dataset"], given["kind"]) == ("zzu", "subset")
    assert record["beside"] == [
        {
            "dataset": "cpsc2018",
            "kind": "twin",
            "fingerprint": data_fingerprint(dataset),
            "recordings": SIZE,
            "patients": dataset.table["proxy"].nunique(),
            "named": False,
        }
    ]
    assert set(record["quality"]) == {STRETCHED, "subset, 12 leads"}


def test_its_trials_are_of_a_twin_whatever_the_given_data_is(run: Run) -> None:
    (trial,) = run.record()["trials"]
    assert trial["data"] == "twin"
    assert trial["name"] == PROTOCOL.name
    (outcome,) = run._outcomes.values()
    assert outcome.kind == "twin"
    sizes = outcome.facts["split"]["windows"]
    assert sum(sizes.values()) == SIZE


def test_without_a_word_of_what_they_are_of_trials_are_of_the_training_data(
    start, monkeypatch
) -> None:
    said = []
    monkeypatch.setattr(ledger, "carry_out", lambda *a: said.append((a[2], a[4].watch)) or 1 / 0)
    begun = start("subset")
    dataset = begun.beside("cpsc2018", SIZE)
    prepared = begun.windows(dataset, TWELVE_LEADS)
    for how in ({}, {"of": dataset}, {"watch": True}):
        with pytest.raises(ZeroDivisionError):
            begun.trials(prepared, [PROTOCOL], **how)
    assert said == [("subset", False), ("twin", False), ("subset", True)]
    assert begun.trials(None, [PROTOCOL], of=dataset) == []


def test_the_written_record_and_the_shown_facts_name_it(run: Run) -> None:
    run.folder.mkdir(exist_ok=True)
    shown = run.finish()["of this run"]
    assert shown["beside it"] == f"cpsc2018, twin, {SIZE} recordings"
    assert "cpsc2018" not in shown["data"]
    written = json.loads((run.folder / "record.json").read_text())
    assert written["beside"] == run.record()["beside"]


def test_a_run_without_a_second_twin_says_nothing_of_one(start) -> None:
    begun = start("twin")
    begun.folder.mkdir(exist_ok=True)
    assert begun.record()["beside"] == []
    assert "beside it" not in begun.finish().index
    assert begun.reports == {}
    begun.windows(begun.given, TWELVE_LEADS)
    assert list(begun.reports) == ["twin, 12 leads"]


def test_windows_of_another_time_have_a_report_of_their_own(start) -> None:
    begun = start("twin")
    for ways in ({}, {"stretch": True}, {"squeeze": True}, {"stretch": True, "squeeze": True}):
        begun.windows(begun.given, TWELVE_LEADS, whole=True, **ways)
    ends = ["", ", stretched", ", squeezed", ", stretched and squeezed"]
    assert list(begun.reports) == [f"twin, 12 leads{end}" for end in ends]


def test_the_outcome_is_of_the_windows_that_were_asked_for(run: Run) -> None:
    (outcome,) = run._outcomes.values()
    dataset = run.beside("cpsc2018", SIZE)
    flags = dataset.labels.set_index(dataset.table["record"])
    expected = flags.loc[outcome.about["record"]].to_numpy()
    np.testing.assert_array_equal(outcome.targets, expected)
