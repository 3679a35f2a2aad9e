"""The PTB-XL reader: superclasses, ages, folds, its folder."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils.data import open_dataset
from pecg_utils.errors import PecgError

HEAD = "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_hr"
STATEMENTS = (
    ",description,diagnostic,diagnostic_class\nNORM,normal,1.0,NORM\nIMI,inferior,1.0,MI\n"
    "AMI,anterior,1.0,MI\nLVH,hypertrophy,1.0,HYP\nNST_,non-specific,1.0,STTC\n"
    "CRBBB,block,1.0,CD\nSR,sinus,,\nLVOLT,low,0.0,CD\n"
)


def folder(root: Path, *rows: str) -> Path:
    (root / "ptbxl_database.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    (root / "scp_statements.csv").write_text(STATEMENTS)
    return root


def row(codes: str = "{'NORM': 100.0}", age: str = "56.0", sex: str = "1", fold: str = "3") -> str:
    return f'1,15709.0,{age},{sex},"{codes}",{fold},records500/00000/00001_hr'


def test_the_real_subset(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("ptbxl", real("ptb-xl"))
    counts = dataset.labels.sum().to_dict()
    assert counts == {"NORM": 297, "STTC": 96, "CD": 78, "MI": 73, "HYP": 40}
    assert int((~dataset.labels.any(axis=1)).sum()) == 12
    assert len(dataset.table) == 500
    assert dataset.table["patient"].nunique() == 466
    assert dataset.kind == "subset"
    assert dataset.table["fold"].between(1, 10).all()
    first = dataset.read(0)
    assert (first.patient, first.sex, first.labels) == ("15709", "female", ("NORM",))
    assert first.age_days == pytest.approx(56 * 365.25)
    assert first.signal.shape == (5000, 12)


def test_a_diagnostic_statement_counts_whatever_its_likelihood(tmp_path: Path) -> None:
    cells = {
        "{'NORM': 100.0, 'SR': 0.0}": {"NORM"},
        "{'IMI': 0.0, 'AMI': 15.0}": {"MI"},
        "{'LVH': 50.0, 'NST_': 0.0, 'CRBBB': 100.0}": {"HYP", "STTC", "CD"},
        "{'SR': 0.0, 'LVOLT': 100.0}": set(),  # neither is diagnostic
        "{'UNHEARD': 100.0}": set(),
        "{}": set(),
    }
    dataset = open_dataset("ptbxl", folder(tmp_path, *[row(cell) for cell in cells]))
    carried = [set(dataset.labels.columns[flags]) for flags in dataset.labels.to_numpy()]
    assert carried == list(cells.values())


def test_ages_sexes_patients_and_folds(tmp_path: Path) -> None:
    rows = [
        row(age="2.0", sex="0", fold="10"),
        row(age="300.0", sex="1", fold=""),
        row(age="", sex="", fold="11"),
        row(age="x", sex="2", fold="inf"),
    ]
    table = open_dataset("ptbxl", folder(tmp_path, *rows)).table
    assert table["age_days"][0] == 730.5
    assert table["age_days"][1:].isna().all()
    assert table["sex"].tolist() == ["male", "female", "unknown", "unknown"]
    assert table["fold"].tolist() == [10, 0, 0, 0]
    assert set(table["patient"]) == {"15709"}


@pytest.mark.parametrize(
    "cell", ["", "5", "{'NORM'", "NORM", "{[1]: 2}", "[1]", "None", "-" * 9000 + "1"]
)
def test_a_cell_that_is_no_table_of_statements_is_named(tmp_path: Path, cell: str) -> None:
    with pytest.raises(PecgError, match=r"ptbxl_database\.csv, row 3: scp_codes is no table"):
        open_dataset("ptbxl", folder(tmp_path, row(), row(cell)))


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="is no PTB-XL folder: it has no ptbxl_database"):
        open_dataset("ptbxl", tmp_path)
    (folder(tmp_path, row()) / "scp_statements.csv").unlink()
    with pytest.raises(PecgError, match="is no PTB-XL folder: it has no scp_statements"):
        open_dataset("ptbxl", tmp_path)


@pytest.mark.parametrize("column", HEAD.split(","))
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = folder(tmp_path, row()) / "ptbxl_database.csv"
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(PecgError, match=f"has no column '{column}'"):
        open_dataset("ptbxl", tmp_path)


def test_a_file_outside_the_folder_is_a_fault_of_its_row(tmp_path: Path) -> None:
    good = row()
    outside = [good.replace("records500/00000/00001_hr", to) for to in ("/etc/x", "../x", "", ".")]
    dataset = open_dataset("ptbxl", folder(tmp_path, *outside))
    for number in range(4):
        with pytest.raises(PecgError, match=r"^unreadable: ptbxl_database\.csv names the file"):
            dataset.read(number)
