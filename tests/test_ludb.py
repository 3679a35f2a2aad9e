"""LUDB: cells of several lines, lower-case leads, marks of every lead."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from pecg_utils.data import ludb, open_dataset, quality, wfdb16
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError

Real = Callable[[str], Path]


def test_the_release(real: Real) -> None:
    dataset = open_dataset("ludb", real("ludb"))
    assert (len(dataset.table), dataset.kind) == (200, "full")
    assert dataset.table["sex"].value_counts().to_dict() == {"male": 115, "female": 85}
    counts = dataset.labels.sum()
    rhythms = {  # the release's README
        "Sinus rhythm": 143,
        "Sinus tachycardia": 4,
        "Sinus bradycardia": 25,
        "Sinus arrhythmia": 8,
        "Irregular sinus rhythm": 2,
        "Atrial fibrillation": 15,
        "Atrial flutter, typical": 3,
        "Axis: normal": 75,
        "Axis: left axis deviation": 66,
        "Axis: vertical": 26,
        "Axis: horizontal": 20,
        "Axis: right axis deviation": 3,
    }
    assert counts[list(rhythms)].to_dict() == rhythms
    assert dataset.table["age_days"].isna().sum() == (raw_ages(real("ludb")) == ">89").sum()
    assert quality.inspect(dataset).faults == ()


def raw_ages(root: Path) -> pd.Series:
    return pd.read_csv(root / "ludb.csv")["Age"].str.strip()


def test_no_statement_is_left_out(real: Real) -> None:
    raw = pd.read_csv(real("ludb") / "ludb.csv", dtype=str).fillna("")
    found = set().union(*(ludb.statements(row) for row in raw.to_dict("records")))
    assert found == set(ludb.LABELS)


def test_signals_are_what_wfdb_reads_under_the_usual_names(real: Real) -> None:
    dataset = open_dataset("ludb", real("ludb"))
    for row in (0, 99, 199):
        ours = dataset.read(row)
        theirs, fields = wfdb.rdsamp(str(real("ludb") / f"data/{row + 1}"))
        np.testing.assert_array_equal(ours.signal, theirs.astype(np.float32))
        assert ours.leads == TWELVE_LEADS
        assert fields["sig_name"] == [lead.lower() for lead in TWELVE_LEADS]


def test_marks_are_in_order_and_of_a_heart(real: Real) -> None:
    path = real("ludb") / "data/1"
    for lead in TWELVE_LEADS:
        marks = ludb.marks(path, lead)
        whole = marks.dropna()
        assert (whole["onset"] < whole["peak"]).all()
        assert (whole["peak"] < whole["end"]).all()
        assert marks["peak"].is_monotonic_increasing
    annotated = wfdb.rdann(str(path), "ii")
    assert len(ludb.marks(path, "II")) == sum(s in "pNt" for s in annotated.symbol)
    widths = (whole["end"] - whole["onset"])[whole["wave"] == "QRS"] / ludb.FS
    assert widths.between(0.05, 0.2).all()


def test_annotations_are_those_that_wfdb_reads(real: Real) -> None:
    files = [("1", "i"), ("95", "ii"), ("39", "v6"), ("3", "avr"), *long_pauses(real("ludb"))]
    for record, lead in files:
        theirs = wfdb.rdann(str(real("ludb") / "data" / record), lead)
        ours = wfdb16.annotations(real("ludb") / "data" / record, lead)
        assert ours["sample"].tolist() == theirs.sample.tolist()
        assert ours["symbol"].tolist() == theirs.symbol
        assert set(ours["aux"]) == {""}


def long_pauses(root: Path) -> list[tuple[str, str]]:
    """Two files whose first wave comes too late for a word of its own."""
    files = (root / "data").glob("*.ii")
    late = [f for f in files if 59 in np.frombuffer(f.read_bytes(), "<u2") >> 10]
    return [(f.stem, "ii") for f in sorted(late)[:2]]


def test_a_wave_without_an_onset(real: Real) -> None:
    marks = ludb.marks(real("ludb") / "data/95", "II")
    (lost,) = marks.index[marks["peak"] == 785]
    assert marks["onset"].isna()[lost]
    assert (marks["wave"][lost], marks["end"][lost]) == ("QRS", 866)


@pytest.mark.parametrize("stored", [None, b"", b"\1", b"\0\0\0\0"])
def test_marks_that_cannot_be_read(real: Real, tmp_path: Path, stored: bytes | None) -> None:
    for suffix in ("hea", "dat"):
        shutil.copy(real("ludb") / f"data/1.{suffix}", tmp_path)
    if stored is not None:
        (tmp_path / "1.avr").write_bytes(stored)
    with pytest.raises(PecgError, match=r"^(missing|unreadable): 1\.avr"):
        ludb.marks(tmp_path / "1", "aVR")


def test_no_ludb_folder(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"is no LUDB folder: it has no ludb\.csv"):
        open_dataset("ludb", tmp_path)
    (tmp_path / "ludb.csv").write_text("ID,Sex\n1,M\n")
    with pytest.raises(PecgError, match="Rhythms"):
        open_dataset("ludb", tmp_path)
