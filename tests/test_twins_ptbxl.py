"""The PTB-XL twin: who is in it, and the files it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from pecg_utils.data import ptbxl as reader
from pecg_utils.data import quality
from pecg_utils.errors import PecgError
from pecg_utils.twins import ptbxl
from pecg_utils.twins.tables import rows

REAL = Path(__file__).parents[2] / "shared" / "data" / "ptb-xl"
STATEMENTS = {row["statement"]: row for row in rows("ptbxl_statements.csv")}


@pytest.fixture(scope="module")
def full() -> list[ptbxl.Planned]:
    return ptbxl.plan(ptbxl.SIZES["full"])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ptbxl.write(tmp_path_factory.mktemp("twin") / "ptbxl", 30, seed=1, workers=1)


def test_full_size_counts_are_the_releases(full: list[ptbxl.Planned]) -> None:
    assert len(full) == 18_869
    assert sum(len(one.records) for one in full) == 21_799
    classes = Counter(
        label
        for one in full
        for label in {STATEMENTS[name]["class"] for name in one.statements} - {""}
        for _ in one.records
    )
    for name, count in ptbxl.SUPERCLASSES.items():
        assert classes[name] == pytest.approx(count, rel=0.03)
    carried = Counter(name for one in full for name in one.statements for _ in one.records)
    assert set(carried) == set(STATEMENTS)
    for name, row in STATEMENTS.items():
        if row["source"] == "dx_mapping":
            assert carried[name] == pytest.approx(int(row["recordings"]), rel=0.08, abs=12)


def test_what_stands_together_is_from_the_release(full: list[ptbxl.Planned]) -> None:
    assert not [one for one in full if "NORM" in one.statements and "IMI" in one.statements]
    folds = Counter(one.fold for one in full)
    assert set(folds) == set(range(1, 11))
    assert max(folds.values()) < 1.1 * min(folds.values())
    numbers = [number for one in full for number in one.records]
    assert numbers == list(range(1, 21_800))


def test_the_tables_have_the_releases_columns_and_statements(twin: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"no real recordings at {REAL}")
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        mine, real = (pd.read_csv(folder / name, dtype=str) for folder in (twin, REAL))
        assert mine.columns.tolist() == real.columns.tolist()
    needed = ["description", "diagnostic", "form", "rhythm"]
    needed += ["diagnostic_class", "diagnostic_subclass"]
    kept = [real.columns[0], *needed]
    pd.testing.assert_frame_equal(mine[kept], real[kept])


def test_the_reader_opens_every_record_at_both_rates(twin: Path) -> None:
    planned = ptbxl.plan(30, 1)
    for fs in (500.0, 100.0):
        dataset = reader.open_folder(twin, "all", fs)
        assert dataset.kind == "twin"
        assert quality.inspect(dataset).excluded == []
        labels = [set(dataset.labels.columns[row]) for row in dataset.labels.to_numpy()]
        assert labels == [set(one.statements) for one in planned for _ in one.records]
    assert dataset.table["patient"].nunique() == 30
    folds = dataset.table.groupby("patient")["fold"].nunique()
    assert (folds == 1).all()


def test_the_slow_signal_is_the_fast_one(twin: Path) -> None:
    fast, slow = (reader.open_folder(twin, fs=fs).read(0) for fs in (500.0, 100.0))
    lead = fast.leads.index("II")
    near = np.abs(fast.signal[::5, lead] - slow.signal[:, lead])
    assert np.median(near) < 0.02
    assert fast.leads == slow.leads


def test_samples_stand_on_steps_of_five_microvolts(twin: Path) -> None:
    record = wfdb.rdrecord(str(twin / "records500" / "00000" / "00001_hr"), physical=False)
    assert set(record.adc_gain) == {1000.0}
    assert record.sig_name == [
        "I",
        "II",
        "III",
        "AVR",
        "AVL",
        "AVF",
        *(f"V{k}" for k in range(1, 7)),
    ]
    independent = record.d_signal[:, [0, 1, 6, 7, 8, 9, 10, 11]]
    assert (independent % 5 == 0).all()
    assert (
        np.abs(record.d_signal[:, 1] - record.d_signal[:, 0] - record.d_signal[:, 2]) <= 1
    ).all()


def test_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    contents = []
    for count in (1, 2):
        root = ptbxl.write(tmp_path / str(count), 8, seed=5, workers=count)
        contents.append(
            {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        )
    assert contents[0] == contents[1]


def test_no_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="at least 1"):
        ptbxl.write(tmp_path / "twin", 0)


def test_an_age_above_89_is_hidden_as_in_the_release(tmp_path: Path) -> None:
    old = ptbxl.Planned(1, 92, "male", 3, ("SR",), (1,))
    line = dict(zip(ptbxl.COLUMNS, ptbxl.render(old, tmp_path, 0)[0], strict=True))
    assert line["age"] == "300.0"
