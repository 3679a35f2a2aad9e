"""A run's key: what changes it, and what does not."""

import json
import shutil
from pathlib import Path

import pytest

from pecg_utils import chapters, keys, places

DATA = ["0123456789ab"]


@pytest.fixture
def notebook(tmp_path):
    return Path(shutil.copy(places.notebook("benchmark"), tmp_path / "benchmark.ipynb"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that may be changed."""
    copy = tmp_path / "pecg_utils"
    shutil.copytree(keys.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "PACKAGE", copy)
    return copy


def key(notebook, data=DATA, **given):
    parameters = chapters.parameters("benchmark", {"profile": "smoke", **given}).model_dump()
    return keys.run_key(notebook, parameters, data)


def append(path, text):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_equal_things_have_equal_keys(notebook, package):
    assert key(notebook) == key(places.notebook("benchmark"))


@pytest.mark.parametrize("kind", ["code", "markdown"])
def test_a_cell_changes_the_key(notebook, kind):
    before = key(notebook)
    book = json.loads(notebook.read_text(encoding="utf-8"))
    cell = [c for c in book["cells"] if c["cell_type"] == kind][-1]
    cell["source"] = [*cell["source"], "\n# a word more"]
    notebook.write_text(json.dumps(book), encoding="utf-8")
    assert key(notebook) != before


def test_outputs_and_metadata_do_not(notebook):
    before = key(notebook)
    book = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "1"}]
            cell["execution_count"] = 3
    notebook.write_text(json.dumps(book), encoding="utf-8")
    assert key(notebook) == before


@pytest.mark.parametrize(
    "source",
    [
        "trial.py",  # imported by the notebook
        "metrics.py",  # by what it imports
        "train.py",  # inside a function
        "models/mamba2.py",  # by the registry, by its name
        "data/windows.py",
        "twins/heart.py",
        "twins/norms.csv",  # read, not imported
        "claims/benchmark.yaml",
        "__init__.py",
    ],
)
def test_a_source_that_can_be_reached_changes_the_key(notebook, package, source):
    before = key(notebook)
    append(package / source, "\n# changed\n")
    assert key(notebook) != before


@pytest.mark.parametrize("source", ["cli.py", "run.py", "report.py"])
def test_a_source_that_cannot_be_reached_does_not(notebook, package, source):
    before = key(notebook)
    append(package / source, "\n# changed\n")
    assert key(notebook) == before


def test_a_new_model_changes_the_key_and_a_new_module_that_nobody_imports_does_not(
    notebook, package
):
    before = key(notebook)
    (package / "unused.py").write_text("x = 1\n")
    assert key(notebook) == before
    (package / "models" / "new.py").write_text("x = 1\n")
    assert key(notebook) != before


@pytest.mark.parametrize(
    "given",
    [{"seed": 1}, {"epochs": 2}, {"models": ["resnet1d"]}, {"dataset": "ptbxl"}, {"lr": 1e-3}],
)
def test_a_parameter_changes_the_key(notebook, given):
    assert key(notebook, **given) != key(notebook)


def test_the_profiles_name_is_a_parameter_too(notebook):
    assert key(notebook, profile="demo") != key(notebook)


def test_the_contents_of_the_data_change_the_key_and_their_place_does_not(notebook):
    assert key(notebook, data=["ba9876543210"]) != key(notebook)
    elsewhere = chapters.parameters("benchmark", {"profile": "smoke"}).model_dump()
    elsewhere["data"] = "/somewhere/else"
    assert keys.run_key(notebook, elsewhere, DATA) == key(notebook)


@pytest.mark.parametrize(
    "code",
    [
        "import pecg_utils.losses",
        "from pecg_utils import losses",
        "from pecg_utils.losses import weighted_bce",
        "def f():\n    from pecg_utils.losses import weighted_bce as w",
    ],
)
def test_every_way_of_importing_is_followed(code):
    assert keys.PACKAGE / "losses.py" in keys.reachable(code)


def test_what_is_not_ours_is_not_followed():
    assert keys.reachable("import numpy\nfrom torch import nn") == []
