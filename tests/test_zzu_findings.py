"""ZZU-pECG's findings as labels: what the cells of AHA_code hold, and what is refused."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils.data import open_dataset, zzu_findings
from pecg_utils.errors import PecgError

COLUMNS = (
    "Filename,ECG_ID,Patient_ID,Age,Gender,Acquisition_date,Sampling_point,Lead,AHA_code,CHN_code,"
    "ICD-10 code,pSQI,basSQI,bSQI"
)


def folder(root: Path, *cells: str) -> Path:
    """A ZZU folder with a recording for each cell of AHA_code; the CHN cells are of no use."""
    with (root / "AttributesDictionary.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        for number, cell in enumerate(cells):
            name = f"P{number:05d}_E01"
            row = [f"P00/{name}", name, f"P{number:05d}", "572d", "'Male'", "", "5000", "12", cell]
            writer.writerow([*row, "'?'", "'Q21.0'", "", "", ""])
    return root


def carried(root: Path) -> list[set[str]]:
    dataset = open_dataset("zzu", root, labels="findings")
    assert list(dataset.labels.columns) == list(dataset.label_names)
    return [set(dataset.labels.columns[flags]) for flags in dataset.labels.to_numpy()]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("'A1'", {"A1"}),
        ("A1", {"A1"}),
        ("'C23';'D30+Modifier308';'I101'", {"C23", "D30", "D30+Modifier308", "I101"}),
        ("C23; I101", {"C23", "I101"}),
        ("'First-degree AV block';'H84'", {"First-degree AV block", "H84"}),
        ("'first-degree  AV  block'", {"First-degree AV block"}),
        ("'Left-axis deviation'", {"J121"}),  # words where there is a code
        ("'L147+Inversion'", {"L147", "L147+Modifier367"}),
        ("'Suggests208';'Consider226'", {"Suggests208", "Consider226"}),
        ("'N(180+181)'", {"N(180+181)"}),
        ("'N(180 + 181)'", {"N(180+181)"}),
        # a finding with two modifiers, printed twice as in the release, or once
        (
            "'F60+Modifier310';'F60+Modifier342'",
            {"F60", "F60+Modifier310", "F60+Modifier342"},
        ),
        ("'F60+Modifier310+Modifier342'", {"F60", "F60+Modifier310", "F60+Modifier342"}),
        ("'A1';'A1'", {"A1"}),
        ("", set()),
        ("''", set()),
        ("Null", set()),
        ("'A1';;", {"A1"}),
    ],
)
def test_a_cell_becomes_labels(tmp_path: Path, cell: str, labels: set[str]) -> None:
    assert carried(folder(tmp_path, "'A1'", cell)) == [{"A1"}, labels]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("'A1", "a quote is not closed"),
        ("'A1';'C21", "a quote is not closed"),
        ("'A1''C21'", "without a ';'"),
        ("'A1' C21", "without a ';'"),
        ("'Z99'", "'Z99' is no finding that ECGCode.csv lists"),
        ("'A1 C21'", "'A1 C21' is no finding"),
        ("'A1,C21'", "'A1,C21' is no finding"),
        ("'Suggests999'", "'Suggests999' is no finding"),
        ("'Modifier362'", "'Modifier362' is no finding"),
        ("'Depression'", "'Depression' is no finding"),
        ("'Z99+Modifier362'", "'Z99' is no finding"),
        ("'never heard of+Modifier362'", "'never heard of' is no finding"),
        ("'L145+'", "'' behind 'L145\\+' is no modifier"),
        ("'+Modifier362'", "'' is no finding"),
        ("'L145+Modifier999'", "'Modifier999' behind 'L145\\+' is no modifier"),
        ("'A1+C21'", "'C21' behind 'A1\\+' is no modifier"),
    ],
)
def test_a_malformed_cell_is_refused_by_name(tmp_path: Path, cell: str, reason: str) -> None:
    folder(tmp_path, "'A1'", cell)
    with pytest.raises(PecgError, match=rf"recording P00001_E01: AHA_code cannot be.*{reason}"):
        open_dataset("zzu", tmp_path, labels="findings")
    assert len(open_dataset("zzu", tmp_path).table) == 2  # diagnoses do not need the cell


def test_words_on_no_list_are_kept_aside(tmp_path: Path) -> None:
    folder(tmp_path, "'A1'", "'C21';'A wandering baseline';'and more'")
    dataset = open_dataset("zzu", tmp_path, labels="findings")
    assert dataset.table["unlisted"].tolist() == ["", "A wandering baseline;and more"]
    assert carried(tmp_path) == [{"A1"}, {"C21"}]


def test_the_label_space_is_the_releases_whatever_the_folder_lists(tmp_path: Path) -> None:
    known = zzu_findings.release()
    assert (len(known), len(zzu_findings.names(known))) == (105, 91)
    folder(tmp_path, "'L145+Modifier362'")
    dataset = open_dataset("zzu", tmp_path, labels="findings")
    assert list(dataset.labels)[:91] == list(zzu_findings.names(known))
    assert list(dataset.labels)[91:] == ["L145+Modifier362"]
    assert dataset.label_names["L145+Modifier362"] == "ST deviation, depression"
    header = "Description,AHA(Category&Code),CHN(Category&Code)\n"
    (tmp_path / "ECGCode.csv").write_text(header + "Something new,Z99,N/A\nNew words,N/A,Z1\n")
    folder(tmp_path, "'Z99';'New words';'J125'")
    assert carried(tmp_path) == [{"Z99", "New words", "J125"}]


def test_the_code_list_is_the_releases_own(real: Callable[[str], Path]) -> None:
    printed = pd.read_csv(real("zzu-pecg") / "ECGCode.csv", keep_default_na=False)
    codes = printed["AHA(Category&Code)"].str.replace(" ", "")
    codes = codes.where(codes != "N/A", printed["Description"])
    assert dict(zip(codes, printed["Description"], strict=True)) == zzu_findings.release()


def test_diagnoses_are_the_default_and_no_other_labels_are_known(tmp_path: Path) -> None:
    folder(tmp_path, "'A1'")
    plain = open_dataset("zzu", tmp_path)
    assert plain.labels.equals(open_dataset("zzu", tmp_path, labels="diagnoses").labels)
    assert plain.labels.columns[plain.labels.iloc[0]].tolist() == ["Q21.0"]
    assert "unlisted" not in plain.table
    with pytest.raises(PecgError, match="labels diagnoses and findings, not 'icd'"):
        open_dataset("zzu", tmp_path, labels="icd")


def test_the_real_recordings(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("zzu", real("zzu-pecg"), labels="findings")
    assert (dataset.kind, len(dataset.table)) == ("subset", 19)
    assert dataset.labels.any(axis=1).all()
    assert not dataset.table["unlisted"].any()
    counts = dataset.labels.sum()
    assert counts[["A1", "C21", "C22", "K143", "L145"]].tolist() == [5, 7, 5, 4, 3]
    assert counts[["L145+Modifier362", "L145+Modifier363"]].tolist() == [2, 1]
    row = dataset.table["record"].tolist().index("P00615_E01")
    assert dataset.read(row).labels == ("C21", "D30", "I105", "D30+Modifier308")


def test_rows_of_the_release(real: Callable[[str], Path], tmp_path: Path) -> None:
    source = real("zzu-pecg")
    shutil.copy(source / "AttributesDictionary-excerpt.csv", tmp_path / "AttributesDictionary.csv")
    dataset = open_dataset("zzu", tmp_path, labels="findings")  # with no ECGCode.csv beside it
    assert not dataset.table["unlisted"].any()
    items = pd.read_csv(tmp_path / "AttributesDictionary.csv")["AHA_code"].str.count(";") + 1
    # one recording names one finding twice, with two modifiers
    assert dataset.labels.iloc[:, :91].sum().sum() == items.sum() - 1


def test_the_twins_findings_are_read(twin_folder: Path) -> None:
    dataset = open_dataset("zzu", twin_folder, labels="findings")
    assert dataset.kind == "twin"
    assert len(dataset.labels.columns) == 91
    assert dataset.labels.any(axis=1).all()
    assert not dataset.table["unlisted"].any()
    said = [cell.split(";") for cell in dataset.table["findings"]]
    assert dataset.labels.sum(axis=1).tolist() == [len(cell) for cell in said]
    assert [set(of_one) for of_one in said] == [
        {dataset.label_names[code] for code in dataset.labels.columns[flags]}
        for flags in dataset.labels.to_numpy()
    ]
