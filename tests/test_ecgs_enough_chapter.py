"""The chapter on small sets, run whole at the smoke profile, and what it is given and leaves."""

import json
import pickle
import re
import shutil
import sys
from itertools import product
from types import SimpleNamespace

import numpy as np
import pages
import pandas as pd
import pytest
from test_run import Project

from pecg_utils import (
    chapters,
    claims,
    cli,
    findings,
    kept,
    ledger,
    places,
    small_study,
    sources,
    weights,
)
from pecg_utils.chapters.ecgs_enough import MODELS
from pecg_utils.choosing_plots import BY_TEST, CHANGED, SOUNDLY
from pecg_utils.data import open_dataset
from pecg_utils.errors import PecgError
from pecg_utils.filters import FILTERS
from pecg_utils.twins import pe, ptbxl

# The tables of the record -> columns that hold a finite number in every row.
SCORED = ["value", "low", "high"]
TABLES = {
    "large labels": ["recordings"],
    "small labels": ["recordings", "patients"],
    "sets": ["recordings", "labels", "carriers", "patients"],
    "pre-training": [*SCORED, "epoch", "taught", "tested"],
    "ways": [*SCORED, "gain", "gain_low", "gain_high", "least", "most", "size", "positives"],
    "heads": [*SCORED, "gain", "gain_low", "gain_high"],
    "longer": [*SCORED, "gain", "gain_low", "gain_high"],
    "cost": [*SCORED, "weights", "multiply_adds", "seconds", "mebibytes", "learned"],
    "grid": [*SCORED, "validation", "tested", "validated"],
    "st levels": ["levels", "deviating", "median_uv", "mean_uv", "vanished", "correlation"],
    "filters": [*SCORED, "gain", "gain_low", "gain_high"],
    "epochs": ["epoch", "auroc", "f1"],
    "settings": ["value"],
    "random tests": ["value"],
    "unlabelled": [*SCORED, "recordings", "without"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def record(project):
    ran = project.do("pecg", "run", "ecgs_enough", "--profile", "smoke")
    assert ran.returncode == 0, ran.err
    (path,) = project.root.glob("_runs/ecgs_enough/*/record.json")
    return ledger.read_record(path)


@pytest.fixture(scope="module")
def page(project, record):
    path = project.root / "book" / "papers" / "ecgs_enough.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def held(record, name):
    return pd.DataFrame(record["tables"][name])


def macro(trial, metric="auroc"):
    scores = pd.DataFrame(trial["scores"])
    return scores.query("metric == @metric and label == 'macro'")["value"].item()


def test_every_cell_ran_without_a_warning(page):
    pages.ran_quietly(page)


def test_every_picture_is_there_and_described(page):
    pages.pictured(page, 14)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_in_the_record_with_finite_numbers_and_names_of_its_own(record, name):
    table = held(record, name)
    assert len(table)
    assert table["name"].is_unique
    numbers = table[TABLES[name]]
    assert np.isfinite(numbers.astype(float)).all(axis=None), numbers


def test_the_record_holds_no_other_table(record):
    assert set(record["tables"]) == set(TABLES)


def test_all_of_it_was_measured_on_twins_and_says_so(record, page):
    (given,), (beside,) = record["data"], record["beside"]
    assert (given["dataset"], given["kind"]) == ("pe", "twin")
    assert (beside["dataset"], beside["kind"]) == ("ptbxl", "twin")
    assert {trial["data"] for trial in record["trials"]} == {"twin"}
    assert set(held(record, "st levels")["kind"]) == {"twin"}
    told = [
        "".join(output["data"]["text/markdown"])
        for cell in page
        for output in cell.get("outputs", ())
        if "text/markdown" in output.get("data", {})
    ]
    assert "on pe *twin*: 100 recordings of 100 patients" in told[0]
    assert "A result from a twin is no reproduction." in told[0]
    assert sum("twin" in words for words in told) >= 9
    assert not [words for words in told if "subset" in words or "*full*" in words]


def test_every_model_is_taught_in_every_way_with_few_recordings_and_with_all(record):
    table = held(record, "ways")
    models, called = record["parameters"]["models"], ["50", "all"]
    found = set(zip(table["model"], table["way"], table["called"], strict=True))
    assert found == set(product(models, small_study.WAYS, called))
    assert table.groupby("called")["size"].nunique().tolist() == [1, 1]  # the same for all
    scratch = table["way"] == "from scratch"
    assert (table.loc[scratch, ["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    assert table["source"].eq("ptbxl").equals(~scratch)
    assert held(record, "cost")["name"].tolist() == models
    assert (held(record, "cost")["learned"] < held(record, "cost")["weights"]).all()


def test_the_tables_are_of_the_trials(record):
    """Of one seed, so that a table's value is a training's."""
    values = held(record, "ways").set_index("name")["value"]
    called = {tuple(map(str, MODELS[model])): model for model in record["parameters"]["models"]}
    assert len(called) == 2
    seen, steps = 0, record["parameters"]["steps"]
    for trial in record["trials"]:
        protocol = trial["protocol"]
        if protocol["steps"] != steps or protocol["windows"] or protocol["normalise"] != "window":
            continue
        changes = tuple((name, value) for name, value in protocol["changes"])
        model = called[protocol["model"], str(changes)]
        start = protocol["start"]
        way = "from scratch" if not start else "head only" if start["head"] else "all weights"
        name = f"{model}, {way}, {protocol['most'] or 'all'}"
        for metric in ("auroc", "average_precision"):
            assert values[f"{name}, {metric}"] == pytest.approx(macro(trial, metric), abs=1e-5)
        taught = trial["split"]["windows"]["train"]
        assert taught == 50 if protocol["most"] else taught > 50
        seen += 1
    assert seen == len(values) / 2
    drawn = held(record, "random tests")
    sound = drawn[(drawn["draw"] == 0) & (drawn["kind"] == CHANGED)]
    by_model = sound.set_index("model")["value"]
    for model in record["parameters"]["models"]:
        assert by_model[model] == pytest.approx(values[f"{model}, all weights, all, auroc"])


def test_the_audits_have_every_rule_filter_and_draw(record):
    p = record["parameters"]
    watched = held(record, "epochs").groupby(["model", "seed", "side"])["epoch"].agg(list)
    assert watched.tolist() == [list(range(1, p["epochs"] + 1))] * 2 * len(p["compared"])
    assert held(record, "settings")["rule"].tolist() == [BY_TEST, SOUNDLY]
    assert held(record, "filters")["name"].tolist() == list(FILTERS)
    levels = held(record, "st levels")
    found = list(zip(levels["wave"], levels["filter"], strict=True))
    assert found == list(product(["ST", "T"], FILTERS))
    drawn = held(record, "random tests").groupby(["model", "kind"])["draw"].agg(set)
    assert drawn.tolist() == [set(range(p["draws"] + 1))] * 2 * len(p["models"])
    grid = held(record, "grid")
    cells = set(zip(grid["model"], grid["samples"].astype(str), grid["normalise"], strict=True))
    assert cells == set(product(p["compared"], p["lengths"], p["normalisations"]))


def test_pre_trained_weights_lie_in_the_run_and_say_what_they_are_of(project, record):
    files = sorted(project.root.glob(f"_runs/ecgs_enough/{record['key']}/trials/*/*.safetensors"))
    assert len(files) == 2
    abouts = [weights.read(path)[0] for path in files]
    assert {about.model for about in abouts} == {"resnet18_1d", "crnn"}
    for about in abouts:
        assert (about.dataset, about.kind, about.run) == ("ptbxl", "twin", record["key"])
        assert list(about.classes) == held(record, "large labels")["name"].tolist()


def test_what_the_record_holds_makes_the_finding_and_the_kept_page(record, tmp_path):
    line = findings.ecgs_enough([record])
    every = held(record, "ways").query("called == 'all' and metric == 'auroc'")
    best = every.loc[every["value"].idxmax()]
    assert claims.interval(best["value"], best["low"], best["high"]) in line
    assert line.count("{tag}`twin`") == line.count("{tag}") == 5
    shown = kept.fragment([record], tmp_path)
    assert "### PE-HSM, twin, profile smoke" in shown
    assert shown.count("{tag}`twin`") == shown.count("{tag}") > 20
    names = [path.name.removeprefix(f"ecgs_enough-{record['key']}-") for path in tmp_path.iterdir()]
    wanted = ("curves", "gains", "cost", "grid", "filters", "epochs", "settings", "random")
    assert sorted(names) == sorted(f"{name}.svg" for name in wanted)


def test_no_number_of_the_paper_is_beside_a_measurement(record):
    assert claims.join("ecgs_enough", record).empty


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small set and a large one, both as twins and, without a twin's mark, as real ones; and a
    pickle under two names."""
    root = tmp_path_factory.mktemp("folders")
    pe.write(root / "small", 30, workers=1)
    ptbxl.write(root / "large", 6, workers=1)
    for name in ("small", "large"):
        real = shutil.copytree(root / name, root / f"real-{name}")
        (real / "twin.json").unlink()
    listed = root / "real-small" / "recordings.csv"
    table = pd.read_csv(listed, dtype=str)
    table["pe"] = ["1"] * 25 + ["0"] * 5  # enough carriers to train on
    table.to_csv(listed, index=False)
    for name in ("model.pt", "model.safetensors"):
        (root / name).write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))
    return root


REAL, TWIN = "real recordings", "a twin"


@pytest.mark.parametrize(
    ("small", "large", "more", "sentence"),
    [
        ("small", "real-large", {}, f"large set's folder holds {REAL} and the small set's {TWIN}:"),
        ("real-small", "large", {}, f"large set's folder holds {TWIN} and the small set's {REAL}:"),
        ("real-small", "", {}, f"pre-trained on ptbxl, for a small set that is {REAL}: give its "),
        (
            "small",
            "",
            {"source": "hospitals"},
            f"pre-trained on hospitals, for a small set that is {TWIN}: give its folder as the ",
        ),
    ],
)
def test_sets_that_do_not_belong_together_are_refused_with_a_sentence(
    folders, monkeypatch, tmp_path, small, large, more, sentence
):
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    given = {"data": str(folders / small), "large": str(folders / large) if large else "", **more}
    begun = ledger.start("ecgs_enough", {"profile": "smoke", **given})
    with pytest.raises(PecgError, match=re.escape(sentence)) as refused:
        small_study.gather(begun)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pickle_is_not_opened_for_weights(folders, name):
    asked = {"profile": "smoke", "weights": str(folders / name)}
    run = SimpleNamespace(parameters=chapters.parameters("ecgs_enough", asked))
    with pytest.raises(PecgError, match="is a file of torch or pickle, which can run code"):
        small_study.given(run, sets=None)


MODELS_LISTED = f"a list, each once, of {', '.join(MODELS)}"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ("--dataset", "ptbxl", "-p", "source", "ptbxl"),
            "The small set is PTB-XL's, so that models cannot be pre-trained on PTB-XL: give ",
        ),
        (("-p", "weights", "x.safetensors"), "x.safetensors, given as weights, cannot be read: "),
        (("-p", "large", "nowhere"), "nowhere is no folder."),
        (("-p", "large", "."), ". is no PTB-XL folder: it has no "),
        (("--dataset", "ptbxl", "-p", "large", "."), ". "),
        (("-p", "ludb", "."), ". "),
        (("-p", "source", "mitdb"), "source must be one of ptbxl, cpsc2018, hospitals, not 'mit"),
        (("-p", "models", "resnet"), f"models must be {MODELS_LISTED}, not 'resnet'."),
        (("-p", "models", "vgg11,vgg11"), f"models must be {MODELS_LISTED}, not 'vgg11,vgg11'."),
        (("-p", "taught", "75"), "taught must be a list, each once, of 50, 100, 200, 400, not"),
        (("-p", "lengths", "512"), "lengths must be a list, each once, of 1024, 2048, 3072, "),
        (("-p", "filter", "notch"), "filter must be one of none, as coded, as meant, zero-phase"),
        (("-p", "draws", "1"), "draws must be a whole number from 2 to 1000, not '1'."),
        (("-p", "weight", "x"), "ecgs_enough has no parameter 'weight'. Did you mean 'weights'?"),
        (("--dataset", "zzu"), "dataset must be one of pe, ptbxl, not 'zzu'."),
    ],
)
def test_what_is_given_wrong_is_a_sentence_and_exit_code_2(
    tmp_path, monkeypatch, capsys, given, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pecg", "run", "ecgs_enough", *given])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pecg: {sentence}")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_profiles_grow_and_the_largest_has_every_model_of_the_paper():
    found = [chapters.parameters("ecgs_enough", {"profile": name}) for name in chapters.PROFILES]
    for name in ("patients", "others", "epochs", "steps", "repeats"):
        values = [getattr(p, name) for p in found]
        assert values == sorted(values)
    assert found[2].patients == found[3].patients == 927  # as many as the private set has
    assert found[3].models == list(MODELS)
    assert [p.sizes for p in found] == ["tiny", "tiny", "small", "paper"]
    assert {(p.source, p.data, p.large, p.ludb, p.weights) for p in found} == {("ptbxl", *[""] * 4)}
    assert chapters.parameters("ecgs_enough", {"dataset": "ptbxl"}).source == "cpsc2018"


def test_the_key_knows_what_a_file_of_weights_holds_and_not_where_it_lies(folders):
    def key(**given):
        given = {name: str(place) for name, place in given.items()}
        p = chapters.parameters("ecgs_enough", {"data": str(folders / "small"), **given})
        return ledger.key_of("ecgs_enough", p, sources.open_sources(p))

    first, other = folders / "model.pt", folders / "other.pt"
    other.write_bytes(b"other weights")
    none, given = key(), key(weights=first)
    assert key(weights=folders / "model.safetensors") == given  # the same bytes
    found = [none, given, key(weights=other), key(large=folders / "large")]
    assert len(set(found)) == 4


def test_a_folder_beside_the_small_set_is_said_to_be_of_use(folders):
    told = sources.use("ecgs_enough", open_dataset("pe", folders / "small"))
    assert told == "trains and tests on it; a result from a twin is no reproduction."
    assert chapters.datasets("ecgs_enough") == ["pe", "ptbxl"]
    assert places.notebook("ecgs_enough").is_file()
