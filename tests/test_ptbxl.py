"""The PTB-XL reader: superclasses, ages, folds, its folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from pecg_utils.data import open_dataset, ptbxl
from pecg_utils.errors import PecgError

HEAD = "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_hr"
STATEMENTS = (
    ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
    "NORM,normal,1.0,,,NORM,NORM\nIMI,inferior,1.0,,,MI,IMI\nAMI,anterior,1.0,,,MI,AMI\n"
    "LVH,hypertrophy,1.0,,,HYP,LVH\nNST_,non-specific,1.0,1.0,,STTC,NST_\n"
    "CRBBB,block,1.0,,,CD,CRBBB\nRAO/RAE,atrial,1.0,,,HYP,RAO/RAE\nSR,sinus,,,1.0,,\nLVOLT,low,0.0,1.0,,CD,\n"
)


def folder(root: Path, *rows: str) -> Path:
    (root / "ptbxl_database.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    (root / "scp_statements.csv").write_text(STATEMENTS)
    return root


def labels_of(dataset) -> list[set[str]]:
    return [set(dataset.labels.columns[flags]) for flags in dataset.labels.to_numpy()]


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
    assert labels_of(dataset) == list(cells.values())


@pytest.mark.parametrize(
    ("task", "carried"),
    [
        ("all", {"IMI", "NST_", "SR", "LVOLT"}),
        ("diagnostic", {"IMI", "NST_"}),
        ("sub", {"IMI", "NST_"}),
        ("super", {"MI", "STTC"}),
        ("form", {"NST_", "LVOLT"}),
        ("rhythm", {"SR"}),
        ("right", set()),
    ],
)
def test_a_task_takes_its_statements(tmp_path: Path, task: str, carried: set[str]) -> None:
    root = folder(tmp_path, row("{'IMI': 35.0, 'NST_': 100.0, 'SR': 0.0, 'LVOLT': 0.0}"))
    dataset = ptbxl.open_folder(root, task)
    assert labels_of(dataset) == [carried]
    assert list(dataset.label_names) == list(dataset.labels.columns)


def test_the_real_tasks_have_the_published_sizes(real: Callable[[str], Path]) -> None:
    sizes = {"all": 71, "diagnostic": 44, "sub": 23, "super": 5, "form": 19, "rhythm": 12}
    found = {task: ptbxl.open_folder(real("ptb-xl"), task) for task in ptbxl.TASKS}
    assert {task: len(dataset.label_names) for task, dataset in found.items()} == sizes
    every, form = found["all"].labels, found["form"].labels
    assert (every[form.columns] == form).all().all()


RIGHT = {
    "{'CRBBB': 100.0, 'SR': 0.0}": 1,
    "{'IMI': 100.0, 'RAO/RAE': 0.0}": 1,  # whatever its likelihood
    "{'RAO/RAE': 15.0, 'CRBBB': 35.0}": 2,
    "{'LVH': 100.0, 'NORM': 80.0}": 0,
    "{'CRBB': 100.0}": 0,
}


def test_the_right_heart_is_any_of_its_statements(tmp_path: Path) -> None:
    dataset = ptbxl.open_folder(folder(tmp_path, *map(row, RIGHT)), "right")
    assert dataset.labels["RIGHT"].tolist() == [count > 0 for count in RIGHT.values()]
    assert dataset.label_names == {"RIGHT": "A statement of the right heart"}
    assert "right" not in ptbxl.TASKS  # the published six


def test_the_definition_counts_each_statement(tmp_path: Path) -> None:
    rows = [row(cell).replace("1,15709", f"{n},{n // 2}", 1) for n, cell in enumerate(RIGHT)]
    dataset = ptbxl.open_folder(folder(tmp_path, *rows))
    table = ptbxl.definition(dataset).set_index("statement")
    assert list(table.index) == ["CRBBB", "IRBBB", "RVH", "RAO/RAE", "any of them"]
    assert table["words"].tolist()[::3] == ["block", "atrial"]
    assert table["recordings"].tolist() == [2, 0, 0, 2, 3]
    assert table["patients"].tolist() == [2, 0, 0, 2, 2]
    part = dataset.only(np.array([False, True, True, True, True]))
    assert ptbxl.definition(part)["recordings"].tolist() == [1, 0, 0, 2, 2]


def test_the_real_right_hearts(real: Callable[[str], Path]) -> None:
    dataset = ptbxl.open_folder(real("ptb-xl"), "right")
    table = ptbxl.definition(dataset)
    assert table["recordings"].tolist() == [8, 20, 2, 3, 29]
    assert table["patients"].tolist() == [8, 20, 2, 3, 29]
    assert table["words"][1] == "incomplete right bundle branch block"
    assert int(dataset.labels["RIGHT"].sum()) == 29
    assert dataset.table["patient"][dataset.labels["RIGHT"]].nunique() == 29


def test_the_slow_signal_is_the_releases_own(real: Callable[[str], Path]) -> None:
    slow = ptbxl.open_folder(real("ptb-xl"), fs=100.0)
    recording = slow.read(6)
    theirs, fields = wfdb.rdsamp(str(real("ptb-xl") / "records100/00000/00007_lr"))
    np.testing.assert_array_equal(recording.signal, theirs.astype(np.float32))
    assert (recording.fs, slow.rate(6), fields["fs"]) == (100, 100, 100)


@pytest.mark.parametrize(("task", "fs"), [("supra", 500.0), ("super", 250.0)])
def test_a_task_or_rate_that_there_is_not(tmp_path: Path, task: str, fs: float) -> None:
    with pytest.raises(PecgError, match=f"not '{task}' at {fs:g} Hz"):
        ptbxl.open_folder(folder(tmp_path, row()), task, fs)


def test_likelihoods_are_kept(tmp_path: Path) -> None:
    table = ptbxl.likelihoods(folder(tmp_path, row("{'IMI': 35.0, 'SR': 0.0, 'UNHEARD': 9.0}")))
    assert table.loc["1"].dropna().to_dict() == {"IMI": 35.0, "SR": 0.0}


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
