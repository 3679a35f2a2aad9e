"""Twins against real recordings: a stranger is told apart, a sibling is not; and the page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pecg_utils import likeness, places, twin_pages
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError
from pecg_utils.twins import ptbxl, writing

GROUPS = {"intervals", "heights", "spectrum", "all of it"}


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """Two twins of other seeds: the second plays the part of the real recordings' twin."""
    folder = tmp_path_factory.mktemp("twins")
    return tuple(
        open_dataset("ptbxl", ptbxl.write(folder / str(seed), 80, seed, workers=1))
        for seed in (1, 2)
    )


@pytest.fixture(scope="module")
def found(siblings: tuple[Dataset, Dataset]) -> dict:
    return likeness.compare(*siblings)


def test_a_sibling_is_not_told_apart(found: dict) -> None:
    assert set(found["auroc"]) == GROUPS
    for value, low, high in found["auroc"].values():
        assert low <= value <= high
        assert 0.3 < value < 0.7


def test_louder_recordings_are_told_apart_by_their_heights_alone(
    siblings: tuple[Dataset, Dataset],
) -> None:
    real, twin = siblings
    quiet = twin._read

    def loud(path: Path, first: int, last: int | None):
        signal, fs, leads = quiet(path, first, last)
        return signal * np.float32(2), fs, leads

    aurocs = likeness.compare(real, replace(twin, _read=loud))["auroc"]
    assert aurocs["heights"][1] > 0.75
    assert aurocs["spectrum"][1] > 0.75
    assert aurocs["intervals"][0] < 0.7


def test_cells_have_the_same_shares(siblings: tuple[Dataset, Dataset]) -> None:
    rng = np.random.default_rng(0)
    rows = likeness._matched(rng, *siblings, 600)
    cells = [
        sorted(np.array(likeness._cells(dataset))[of_one].tolist())
        for dataset, of_one in zip(siblings, rows, strict=True)
    ]
    assert cells[0] == cells[1]
    assert len(cells[0]) > 45
    assert len(set(cells[0])) > 4
    assert [len(of_one) for of_one in likeness._matched(rng, *siblings, 20)] == [20, 20]


def test_few_real_recordings_get_several_of_the_twins(siblings: tuple[Dataset, Dataset]) -> None:
    real, twin = siblings
    keep = np.zeros(len(real.table), bool)
    keep[:20] = True
    rows = likeness._matched(np.random.default_rng(0), real.only(keep), twin, 600)
    assert 0 < len(rows[0]) < 20
    assert len(rows[1]) == 8 * len(rows[0]) == len(set(rows[1]))


def test_quantiles_and_spectrum_are_those_of_the_recordings(found: dict) -> None:
    ages = found["quantiles"]["all ages"]
    low, middle, high = ages["rate"]["real"]
    assert 45 < low < middle < high < 130
    assert ages["recordings"] == found["real"] == found["twin"]
    assert ages["r_V6"]["twin"][1] > 0.5
    spectrum = np.array(found["spectrum"]["real"])
    assert spectrum.shape == (3, len(found["hertz"]))
    beat = np.argmin(np.abs(np.array(found["hertz"]) - 6))
    assert spectrum[1, beat] > spectrum[1, -2] + 2  # a QRS has power at 6 Hz, and none at 80
    assert json.loads(json.dumps(found)) == found


def test_too_few_that_match(siblings: tuple[Dataset, Dataset]) -> None:
    real, twin = siblings
    keep = np.zeros(len(real.table), bool)
    keep[:5] = True
    with pytest.raises(PecgError, match="could be matched with recordings of its twin"):
        likeness.compare(real.only(keep), twin)


def test_a_recording_that_cannot_be_read_is_nan(
    siblings: tuple[Dataset, Dataset],
) -> None:
    def broken(path: Path, first: int, last: int | None):
        raise PecgError("unreadable: x")

    table = likeness.measured(replace(siblings[0], _read=broken), [0, 1])
    assert table.columns.tolist() == ["patient", "years"]
    some = likeness.measured(siblings[0], [0])
    assert some["rate"].notna().all()


def kept(found: dict, simulator: str | None = None) -> dict:
    return {
        "simulator": simulator or writing.sources(),
        "size": "study",
        "compared": [found],
    }


def test_a_page_of_another_simulator_says_so(
    found: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "likeness", lambda: tmp_path / "likeness.json")
    for simulator, says in ((None, "Twins of size `study`"), ("0" * 12, "It has changed since")):
        (tmp_path / "likeness.json").write_text(json.dumps(kept(found, simulator)))
        assert says in twin_pages.twins_page(tmp_path)


def test_the_page(found: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PECG_HOME", str(tmp_path))
    monkeypatch.setattr(places, "likeness", lambda: tmp_path / "likeness.json")
    assert "No twin was compared yet." in twin_pages.twins_page(tmp_path)
    (tmp_path / "likeness.json").write_text(json.dumps(kept(found)))
    text = twin_pages.twins_page(tmp_path / "generated")
    value, low, high = found["auroc"]["heights"]
    assert f"{value:.2f} ({low:.2f} to {high:.2f})" in text
    assert "[PTB-XL](dataset-ptbxl.md)" in text
    assert "nan" not in text
    told = found["auroc"]["all of it"]
    for lower, upper, said in ((0.1, 0.7, "met"), (0.85, 0.9, "missed"), (0.7, 0.9, "too few")):
        again = {**found, "auroc": {**found["auroc"], "all of it": [told[0], lower, upper]}}
        (tmp_path / "likeness.json").write_text(json.dumps(kept(again)))
        assert said in twin_pages.twins_page(tmp_path / "generated").splitlines()[2]
    (tmp_path / "likeness.json").write_text(json.dumps(kept(found)))
    for drawn in (tmp_path / "generated").glob("*.svg"):
        drawn.unlink()
    text = twin_pages.twins_page(tmp_path / "generated")
    (picture,) = (tmp_path / "generated").glob("likeness-ptbxl-*.svg")
    assert picture.name in text
    before = picture.stat().st_mtime_ns
    assert twin_pages.twins_page(tmp_path / "generated") == text
    assert picture.stat().st_mtime_ns == before


def test_real_children_are_compared(real: Callable[[str], Path], twin: Dataset) -> None:
    dataset = open_dataset("zzu", real("zzu-pecg"))
    table = likeness.measured(dataset, range(len(dataset.table)))
    assert table["rate"].notna().all()
    young, old = table["years"] < 3, table["years"] > 8
    assert table.loc[young, "rate"].median() > table.loc[old, "rate"].median()
