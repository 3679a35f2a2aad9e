"""The chapter on PEACE, run whole at the smoke profile, and what it is given and leaves."""

import json
import shutil
import sys
from itertools import product

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
    run,
    sources,
    transfer_study,
)
from pecg_utils.data import open_dataset
from pecg_utils.errors import PecgError
from pecg_utils.twins import challenge, ptbxl

MODES = ["0", "10", "all"]  # of the smoke profile
# The tables of the record -> columns that hold a finite number in every row.
SCORED = ["value", "low", "high"]
COMPARED = [*SCORED, "gain", "gain_low", "gain_high", "least", "most"]
TABLES = {
    "labels": ["adults", "children", "taught", "tested"],
    "by age": ["recordings", "patients", "rate", "axis", "r_v1", "s_v1", "t_v1"],
    "transfer": [*COMPARED, "recordings"],
    "per label": [*SCORED, "positives", "adults"],
    "bands": [*SCORED, "windows", "patients"],
    "ablation": COMPARED,
    "tokens": SCORED,
    "controls": COMPARED,
    "pressed": [*SCORED, "gain", "gain_low", "gain_high"],
    "healthy": ["children", "share", "rate"],
    "cases": ["labels", "stated", "found", "called beside", "by chance"],
    "hospitals": SCORED,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("peace"))


@pytest.fixture(scope="module")
def record(project):
    ran = project.do("pecg", "run", "peace", "--profile", "smoke")
    assert ran.returncode == 0, ran.err
    (path,) = project.root.glob("_runs/peace/*/record.json")
    return ledger.read_record(path)


@pytest.fixture(scope="module")
def page(project, record):
    path = project.root / "book" / "papers" / "peace.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def held(record, name):
    return pd.DataFrame(record["tables"][name])


def macro(trial, metric="auroc"):
    scores = pd.DataFrame(trial["scores"])
    return scores.query("metric == @metric and label == 'macro'")["value"].item()


def test_every_cell_ran_without_a_warning(page):
    pages.ran_quietly(page)


def test_every_picture_is_there_and_described(page):
    pages.pictured(page, 16)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_in_the_record_with_finite_numbers(record, name):
    table = held(record, name)
    assert len(table)
    assert table["name"].is_unique or name in ("transfer", "ablation", "controls")
    numbers = table[TABLES[name]]
    assert np.isfinite(numbers.astype(float)).all(axis=None), numbers


def test_all_of_it_was_measured_on_twins_and_says_so(record, page):
    (given,) = record["data"]
    assert (given["dataset"], given["kind"]) == ("zzu", "twin")
    beside = [(one["dataset"], one["kind"]) for one in record["beside"]]
    assert beside == [("ptbxl", "twin"), ("challenge", "twin")]
    assert {trial["data"] for trial in record["trials"]} == {"twin"}
    told = [
        "".join(output["data"]["text/markdown"])
        for cell in page
        for output in cell.get("outputs", ())
        if "text/markdown" in output.get("data", {})
    ]
    assert "on zzu *twin*: 129 recordings of 90 patients" in told[0]
    assert "A result from a twin is no reproduction." in told[0]
    assert sum("twin" in words for words in told) >= 5
    assert not [words for words in told if "subset" in words or "full" in words]


def test_every_method_is_there_with_no_child_few_and_all(record):
    compared = held(record, "transfer")
    found = {(row.method, row.mode) for row in compared.itertuples()}
    methods = ("fine-tuning", *record["parameters"]["methods"], "PEACE")
    assert found == set(product(methods, MODES))
    taught = compared.groupby("mode")["recordings"].unique()
    assert [len(one) for one in taught] == [1, 1, 1]  # the same for every method
    assert taught["0"][0] == 0 < taught["10"][0] < taught["all"][0]
    variants = held(record, "ablation")
    assert set(variants["name"]) == {"complete", *record["parameters"]["terms"]}
    assert held(record, "controls")["name"].unique().tolist() == [
        *("real", "random", "shuffled", "one-hot", "for children", "untrained")
    ]


def test_the_tables_are_of_the_trials(record):
    """Of one repeat, so that a table's value is a training's."""
    of_trial = {}
    for trial in record["trials"]:
        protocol = trial["protocol"]
        how = protocol["transfer"]
        usual = (how["terms"], how["texts"], how["form"], how["tokens"], how["tested"])
        plain = usual == ("complete", "real", "adult", "own", "children")
        asked = (protocol["cohort"], protocol["changes"], protocol["windows"])
        if plain and asked == ("shared labels", [], ""):
            of_trial[how["method"], how["shots"]] = trial
    names = {"plain": "fine-tuning"}
    shots = {None: "all"}
    compared = held(record, "transfer").set_index(["method", "mode", "metric"])["value"]
    assert len(of_trial) == 12
    for (method, count), trial in of_trial.items():
        for metric in ("auroc", "average_precision"):
            row = (names.get(method, method), shots.get(count, str(count)), metric)
            assert compared[row] == pytest.approx(macro(trial, metric))
    seen = held(record, "tokens").set_index(["tested", "taught", "seen"])["value"]
    own = compared["PEACE", "0", "auroc"]
    taught = compared["PEACE", "all", "auroc"]  # children are asked of who was taught children
    assert seen["children", "in the path", "ECG alone"] == pytest.approx(taught)
    (grown,) = (t for t in record["trials"] if t["protocol"]["transfer"]["tested"] == "adults")
    assert seen["adults", "in the path", "ECG alone"] == pytest.approx(macro(grown))
    pressed = held(record, "pressed").set_index("name")["value"]
    assert pressed["PEACE, cut to 10 s"] == pytest.approx(own)
    controls = held(record, "controls").set_index(["name", "mode"])["value"]
    assert controls["real", "0"] == held(record, "ablation")["value"][0] == pytest.approx(own)


def test_hospitals_are_left_out_and_pooled(record):
    table = held(record, "hospitals")
    assert table["protocol"].unique().tolist() == [
        *("plain, hospitals pooled", "plain, hospital left out"),
        *("PEACE, hospitals pooled", "PEACE, hospital left out"),
    ]
    assert len(table["site"].unique()) == 1 + record["parameters"]["sites"]
    trials = [t for t in record["trials"] if t["protocol"]["cohort"] == "hospitals"]
    assert [t["protocol"]["split"] for t in trials] == ["proxy", "site"] * 2


def test_what_the_record_holds_makes_the_finding_and_the_kept_page(record, tmp_path):
    line = findings.peace([record])
    first = held(record, "transfer").query("method == 'PEACE' and metric == 'auroc'").iloc[0]
    assert claims.interval(first["value"], first["low"], first["high"]) in line
    assert line.count("{tag}`twin`") == line.count("{tag}") == 4
    shown = kept.fragment([record], tmp_path)
    assert "### ZZU-pECG, twin, profile smoke" in shown
    assert set(shown.split("{tag}`")[1:]) == {
        part for part in shown.split("{tag}`")[1:] if part.startswith("twin`")
    }
    pictures = {path.name.removeprefix(f"peace-{record['key']}") for path in tmp_path.iterdir()}
    wanted = (
        "shots",
        "labels",
        "ablation",
        "tokens",
        "tokens-children",
        "controls",
        "pressed",
        "healthy",
    )
    both = ("hospitals-plain", "hospitals-peace")
    assert pictures == {f"-{name}.svg" for name in (*wanted, *both)}


def test_numbers_stand_beside_claims_without_a_verdict(record):
    joined = claims.join("peace", record)
    measured = joined[joined["value"].notna()].set_index("claim")["value"]
    compared = held(record, "transfer").set_index(["method", "mode", "metric"])["value"]
    zero = 100 * compared["PEACE", "0", "auroc"]
    assert measured["peace-v2-zero-shot"] == pytest.approx(zero)
    assert measured["dann-v2-full"] == pytest.approx(100 * compared["DANN", "all", "auroc"])
    assert not any("50-shot" in claim for claim in measured.index)  # ten were taught
    assert set(joined["verdict"]) == {"not comparable"}


def test_real_children_enough_to_train_on_ask_for_real_adults(
    project, record, monkeypatch, tmp_path
):
    """A copy of the twin without its mark stands for them."""
    (twin,) = (project.root / "_data" / "twins").glob("zzu-*")
    real = shutil.copytree(twin, tmp_path / "real")
    (real / "twin.json").unlink()
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    begun = ledger.start("peace", {"profile": "smoke", "data": str(real)})
    assert begun.given is begun.training
    with pytest.raises(PecgError, match="enough to train on, and no adults: give the folder of"):
        transfer_study.gather(begun)


METHODS = "a list, each once, of from scratch, linear probe, DANN, MMD, CLIP"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("-p", "methods", "PEACE"), f"methods must be {METHODS}, not 'PEACE'."),
        (("-p", "methods", "DANN,DANN"), f"methods must be {METHODS}, not 'DANN,DANN'."),
        (("-p", "shots", "20"), "shots must be a list, each once, of 10, 50, 100, not '20'."),
        (("-p", "shots", "10,10"), "shots must be a list, each once, of 10, 50, 100, not '10,10'."),
        (("-p", "terms", "no texts"), "terms must be a list, each once, of no text, w/o LSBC,"),
        (("-p", "sites", "0"), "sites must be a whole number from 1 to 8, not '0'."),
        (("-p", "adult", "x"), "peace has no parameter 'adult'. Did you mean 'adults'?"),
        (("-p", "adults", "nowhere"), "nowhere is no folder."),
        (("-p", "adults", "."), ". is no PTB-XL folder: it has no "),
        (("-p", "hospitals", "."), ". "),
        (("--dataset", "ptbxl"), "dataset must be zzu, not 'ptbxl'."),
    ],
)
def test_what_is_given_wrong_is_a_sentence_and_exit_code_2(
    tmp_path, monkeypatch, capsys, given, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pecg", "run", "peace", *given])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pecg: {sentence}")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_no_list_of_shots_is_refused():
    with pytest.raises(PecgError, match="shots must be a list, each once, of 10, 50, 100"):
        chapters.parameters("peace", {"shots": []})


def test_profiles_grow_and_the_larger_ones_have_the_papers_support_set():
    found = [chapters.parameters("peace", {"profile": name}) for name in chapters.PROFILES]
    for name in ("patients", "children", "recordings", "epochs", "steps"):
        values = [getattr(p, name) for p in found]
        assert values == sorted(values)
    assert [p.shots for p in found] == [["10"]] * 2 + [["10", "50", "100"]] * 2
    assert [p.repeats for p in found] == [1, 2, 3, 3]
    for p in found[1:]:
        assert p.methods == ["from scratch", "linear probe", "DANN", "MMD", "CLIP"]
    for p in found[2:]:
        assert p.terms == ["no text", "w/o LSBC", "w/o CAF", "single text"]
    assert all((p.data, p.adults, p.hospitals) == ("", "", "") for p in found)
    assert all(p.twin_helps and p.twin_size == p.children for p in found)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Adults and hospitals, and adults of another seed."""
    root = tmp_path_factory.mktemp("folders")
    ptbxl.write(root / "adults", 6, workers=1)
    ptbxl.write(root / "others", 6, seed=1, workers=1)
    challenge.write(root / "hospitals", 6, workers=1)
    return root


def test_the_key_knows_what_the_folders_hold_and_not_where_they_lie(folders, twin_folder):
    def key(**given):
        given = {name: str(place) for name, place in given.items()}
        p = chapters.parameters("peace", {"profile": "smoke", "data": str(twin_folder), **given})
        return ledger.key_of("peace", p, sources.open_sources(p))

    moved = shutil.copytree(folders / "adults", folders / "moved" / "adults")
    none, given = key(), key(adults=folders / "adults")
    assert key(adults=moved) == given
    assert key(adults=f"{moved}/") == given
    all_ = key(adults=moved, hospitals=folders / "hospitals")
    others = key(adults=folders / "others")
    found = [none, given, others, all_, key(hospitals=folders / "hospitals")]
    assert len(set(found)) == 5


def test_a_folder_is_known_to_the_kernel_wherever_the_command_is_given(
    folders, twin_folder, monkeypatch, tmp_path
):
    import papermill

    asked = {}
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda *_, parameters, **__: asked.update(parameters)
    )
    monkeypatch.chdir(folders)
    given = {"data": str(twin_folder), "adults": "adults", "hospitals": "./hospitals"}
    p = chapters.parameters("peace", {"profile": "smoke", **given})
    with pytest.raises(run.ChapterFailed):  # the stand-in leaves no record
        run._execute("peace", p, tmp_path)
    wanted = {name: str(folders / name) for name in ("adults", "hospitals")}
    assert asked == {"profile": "smoke", "data": str(twin_folder), **wanted}


def test_a_folder_of_adults_is_said_to_be_of_use(folders):
    beside = {"adults": "adults", "hospitals": "hospitals"}
    for name, parameter in beside.items():
        dataset = open_dataset({"adults": "ptbxl"}.get(name, "challenge"), folders / name)
        told = sources.use("peace", dataset)
        assert told == f"takes it as the parameter {parameter}, beside its own data."
        assert sources.use("mrmnet", dataset) != told
    assert chapters.datasets("peace") == ["zzu"]
    assert places.notebook("peace").is_file()
