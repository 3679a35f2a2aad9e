"""MIT-BIH: beats, classes, the usual division and the patient it overlooks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from pecg_utils.data import mitdb, open_dataset, quality
from pecg_utils.errors import PecgError

Real = Callable[[str], Path]


@pytest.fixture
def few(real: Real, tmp_path: Path) -> Path:
    for record in ("114", "201", "202"):
        for suffix in ("hea", "dat", "atr"):
            shutil.copy(real("mitdb") / f"{record}.{suffix}", tmp_path)
    return tmp_path


def test_the_release(real: Real) -> None:
    dataset = open_dataset("mitdb", real("mitdb"))
    assert (len(dataset.table), dataset.kind) == (48, "full")
    assert dataset.table["patient"].nunique() == 47
    assert dataset.table["division"].value_counts().to_dict() == {"DS1": 22, "DS2": 22, "paced": 4}
    both = dataset.table[dataset.table["division"] != "paced"].groupby("patient")["division"]
    assert both.nunique().loc[lambda n: n > 1].index.tolist() == ["201"]
    every = pd.concat([mitdb.beats(dataset.path(row)) for row in range(48)])
    assert len(every) == 109_494  # Moody and Mark's reference beats
    held = {r: set(mitdb.beats(real("mitdb") / r)["aami"]) for r in ("100", "208")}
    for record, classes in held.items():
        row = int(np.flatnonzero(dataset.table["record"] == record)[0])
        assert set(dataset.labels.columns[dataset.labels.iloc[row]]) == classes
    assert quality.inspect(dataset).faults == ()


def test_without_the_paced_recordings_it_is_a_part_of_the_release(real: Real) -> None:
    root = real("mitdb")
    dataset = mitdb.open_folder(root, paced=False)
    assert (len(dataset.table), len(dataset.labels), dataset.kind) == (44, 44, "subset")
    assert not {"102", "104", "107", "217"} & set(dataset.table["record"])
    assert dataset.table["division"].value_counts().to_dict() == {"DS1": 22, "DS2": 22}
    assert dataset.table["patient"].nunique() == 43
    assert [path.stem for path in dataset.tables] == dataset.table["record"].tolist()
    row = int(np.flatnonzero(dataset.table["record"] == "208")[0])
    held = set(mitdb.beats(root / "208")["aami"])
    assert set(dataset.labels.columns[dataset.labels.iloc[row]]) == held


def test_the_paced_recordings_alone_are_nothing_where_they_are_left_out(
    real: Real, tmp_path: Path
) -> None:
    for record in ("102", "217"):
        for suffix in ("hea", "dat", "atr"):
            shutil.copy(real("mitdb") / f"{record}.{suffix}", tmp_path)
    assert len(open_dataset("mitdb", tmp_path).table) == 2
    with pytest.raises(PecgError) as caught:
        open_dataset("mitdb", tmp_path, paced=False)
    assert str(caught.value) == (
        f"{tmp_path} holds recordings of paced beats alone (102, 217), and these are left out "
        "here. Give a folder that holds others of the release too."
    )
    for suffix in ("hea", "dat", "atr"):
        shutil.copy(real("mitdb") / f"100.{suffix}", tmp_path)
    assert open_dataset("mitdb", tmp_path, paced=False).table["record"].tolist() == ["100"]


def test_leads_by_name_and_people(few: Path) -> None:
    dataset = open_dataset("mitdb", few)
    recording = dataset.read(0)
    theirs, _ = wfdb.rdsamp(str(few / "114"))
    assert recording.leads == ("V5", "MLII")
    np.testing.assert_array_equal(recording.take(["MLII"])[:, 0], theirs[:, 1].astype(np.float32))
    assert (recording.fs, recording.sex) == (360, "female")
    assert dataset.table["age_days"].tolist() == [72 * 365.25, 68 * 365.25, 68 * 365.25]
    assert dataset.table["patient"].tolist() == ["114", "201", "201"]
    assert dataset.kind == "subset"


def test_symbols_become_classes_and_what_is_no_beat_goes(few: Path) -> None:
    beats = mitdb.beats(few / "201")
    annotated = wfdb.rdann(str(few / "201"), "atr")
    assert "+" in annotated.symbol
    assert set(beats["symbol"]) <= set(mitdb.AAMI)
    kept = [s in mitdb.AAMI for s in annotated.symbol]
    assert beats["sample"].tolist() == np.array(annotated.sample)[kept].tolist()
    assert (beats["aami"][beats["symbol"] == "a"] == "S").all()


@pytest.mark.parametrize("stored", [None, b"", b"\xff", b"\x01\x02\x03"])
def test_annotations_that_cannot_be_read(few: Path, stored: bytes | None) -> None:
    (few / "201.atr").unlink()
    if stored is not None:
        (few / "201.atr").write_bytes(stored)
    with pytest.raises(PecgError, match=r"^(missing|unreadable): 201\.atr"):
        mitdb.beats(few / "201")


def test_a_bad_header_is_listed_and_shut_out(few: Path) -> None:
    (few / "202.hea").write_text("202 2 360 650000\n")
    report = quality.inspect(open_dataset("mitdb", few))
    assert report.excluded == ["202"]


@pytest.mark.parametrize("paced", [True, False])
def test_no_folder_of_it(tmp_path: Path, paced: bool) -> None:
    with pytest.raises(PecgError, match="is no MIT-BIH folder"):
        open_dataset("mitdb", tmp_path, paced=paced)
