"""The ZZU-pECG reader: its cells, its labels, its folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils.data import open_dataset, zzu
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

COLUMNS = [
    "Filename,ECG_ID,Patient_ID,Age,Gender,Acquisition_date,Sampling_point,Lead,AHA_code,CHN_code",
    "ICD-10 code,pSQI,basSQI,bSQI",
]
WORDS = {
    "AHA": {"A1": "Normal ECG", "L145": "ST deviation", "K143": "Left axis"},
    "CHN": {"A1": "Normal ECG", "J106": "Left ventricular high voltage", "L121": "ST deviation"},
}
WORDS["CHN"]["Modifier362"] = WORDS["AHA"]["Modifier362"] = "Horizontal"


def folder(root: Path, *rows: str) -> Path:
    (root / "AttributesDictionary.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return root


def row(icd: str, age: str = "572d", gender: str = "'Female'", points: str = "15000") -> str:
    where = "P00/P00001/P00001_E01,P00001_E01,P00001"
    return f"{where},{age},{gender},2023-01-01 00:00:00,{points},12,'A1','A1',{icd},,,"


@pytest.mark.parametrize(
    ("cell", "days"),
    [("572d", 572.0), ("1d", 1.0), (" 5474 d ", 5474.0), ("'30d'", 30.0)],
)
def test_an_age_is_in_days(cell: str, days: float) -> None:
    assert zzu.age_in_days(cell) == days


@pytest.mark.parametrize("cell", ["", "d", "572", "572m", "-3d", "12.5d", "572d 3h", "unknown"])
def test_an_unreadable_age_is_nan(cell: str) -> None:
    assert pd.isna(zzu.age_in_days(cell))


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("'Q21.0'", ["Q21.0"]),
        ("Q21.0", ["Q21.0"]),
        ("'Q21.0';'Q21.1'", ["Q21.0", "Q21.1"]),
        ("Q21.0;Q21.1", ["Q21.0", "Q21.1"]),
        ("'Q21.0';Q21.1; I40.9", ["Q21.0", "Q21.1", "I40.9"]),
        ("'(FO)  Q21.1' ; 'Q21.1'", ["(FO) Q21.1", "Q21.1"]),
        ("'two; in one';'K143'", ["two; in one", "K143"]),
        ("", []),
        ("''", []),
        (" ; ", []),
    ],
)
def test_a_packed_cell(cell: str, items: list[str]) -> None:
    assert zzu.unpack(cell) == items


def test_sex_rate_and_count_of_samples(tmp_path: Path) -> None:
    rows = [row("'Q21.0'", gender=g, points="5000") for g in ("'Female'", "Male", "' male '", "''")]
    dataset = open_dataset("zzu", folder(tmp_path, *rows))
    assert dataset.table["sex"].tolist() == ["female", "male", "male", "unknown"]
    # Sampling_point is the number of samples; the rate is the release's
    assert dataset.table["n_samples"].tolist() == [5000] * 4
    assert dataset.rate(0) == 500
    assert dataset.table["age_days"].tolist() == [572.0] * 4


def test_the_prefixes_tell_labels_apart(tmp_path: Path) -> None:
    cells = {
        "'(F) I40.0'": {"(F) I40.0"},
        "'(V) I40.0'": {"(V) I40.0"},
        "'(FO) Q21.1'": {"(FO) Q21.1"},
        "'(OSD) Q21.1'": {"(OSD) Q21.1"},
        "'Q21.1'": {"Q21.1"},
        "'I40.0'": set(),  # without its prefix it is none of the 19
        "'Q21.1';'(FO) Q21.1';'J18.9'": {"Q21.1", "(FO) Q21.1"},
        "Q21.10": set(),
    }
    dataset = open_dataset("zzu", folder(tmp_path, *[row(cell) for cell in cells]))
    carried = [set(dataset.labels.columns[flags]) for flags in dataset.labels.to_numpy()]
    assert carried == list(cells.values())


def test_all_19_labels(tmp_path: Path) -> None:
    assert len(zzu.LABELS) == 19
    rows = [row(f"'{code}'") for code in zzu.LABELS]
    dataset = open_dataset("zzu", folder(tmp_path, *rows))
    flags = dataset.labels.to_numpy()
    assert flags.sum() == 19
    assert flags.diagonal().all()
    assert list(dataset.label_names) == list(dataset.labels.columns)


def test_the_labels_are_the_releases_own(real: Callable[[str], Path]) -> None:
    printed = pd.read_csv(real("zzu-pecg") / "DiseaseCode.csv").iloc[:, 2].dropna().tolist()
    assert set(zzu.LABELS) == {code for code in printed if "dictionary" not in code}


@pytest.mark.parametrize(
    ("aha", "chn", "words"),
    [
        ("'A1'", "'A1'", ["Normal ECG"]),
        # no AHA code: the cell holds the finding, or the CHN code knows it
        ("'Left ventricular high voltage'", "'J106'", ["Left ventricular high voltage"]),
        ("'unheard of'", "'J106'", ["Left ventricular high voltage"]),
        # no CHN code
        ("'K143'", "'Left axis'", ["Left axis"]),
        ("'K143'", "'unheard of'", ["Left axis"]),
        ("'unheard of'", "'nor this'", ["unheard of"]),
        ("'L145+Modifier362'", "'L121+Modifier362'", ["ST deviation, horizontal"]),
        ("'A9+x'", "'L121+Depression'", ["ST deviation, depression"]),
        # cells of unequal length cannot be aligned: their union
        ("'A1';'K143'", "'A1'", ["Normal ECG", "Left axis"]),
        ("", "'A1'", ["Normal ECG"]),
        ("", "", []),
    ],
)
def test_two_columns_of_findings_complete_each_other(aha: str, chn: str, words: list[str]) -> None:
    assert zzu.findings(aha, chn, WORDS) == words


def test_rows_of_the_release(real: Callable[[str], Path], tmp_path: Path) -> None:
    source = real("zzu-pecg")
    shutil.copy(source / "AttributesDictionary-excerpt.csv", tmp_path / "AttributesDictionary.csv")
    shutil.copy(source / "ECGCode.csv", tmp_path)
    dataset = open_dataset("zzu", tmp_path)
    assert len(dataset.table) == 50
    assert dataset.table["age_days"].between(1, 5474).all()
    assert dataset.table["sex"].value_counts().to_dict() == {"male": 32, "female": 18}
    table = dataset.table.set_index("record")
    assert table.loc["P03763_E01", "age_days"] == 3714
    assert table.loc["P03763_E01", "n_samples"] == 15000
    # 'Left ventricular high voltage' has no AHA code, and E48 and J106 are the CHN codes
    assert "Left ventricular high voltage" in table.loc["P00491_E01", "findings"].split(";")
    described = pd.read_csv(source / "ECGCode.csv", keep_default_na=False)["Description"]
    said = [finding for cell in dataset.table["findings"] for finding in cell.split(";")]
    base = {text.partition(",")[0] for text in described}
    known = [finding for finding in said if finding.partition(",")[0] in base]
    assert len(known) / len(said) > 0.95


def test_the_real_recordings(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("zzu", real("zzu-pecg"))
    assert (dataset.kind, len(dataset.table)) == ("subset", 19)
    assert dataset.table["age_days"].min() == 111
    for number in range(19):
        recording = dataset.read(number)
        assert len(recording.signal) == dataset.table["n_samples"][number]
        assert recording.fs == 500
    first = dataset.read(dataset.table["record"].tolist().index("P00073_E02"))
    assert set(first.labels) == {"(FO) Q21.1", "Q25.0"}
    assert (first.patient, first.age_days, first.sex) == ("P00073", 2740.0, "female")


def test_a_twin_is_called_a_twin(twin: Dataset, tmp_path: Path) -> None:
    assert twin.kind == "twin"
    folder(tmp_path, row("'Q21.0'"))
    assert open_dataset("zzu", tmp_path).kind == "subset"
    for content in ('{"twin_of": "leipzig"}', "{", "[1]", "null", ""):
        (tmp_path / "twin.json").write_text(content)
        with pytest.raises(PecgError, match=r"twin\.json"):
            open_dataset("zzu", tmp_path)


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"is no folder\. Give the folder"):
        open_dataset("zzu", tmp_path / "nowhere")
    with pytest.raises(PecgError, match=r"is no ZZU-pECG folder: it has no AttributesDictionary"):
        open_dataset("zzu", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(PecgError, match="is no folder"):
        open_dataset("zzu", tmp_path / "file")
    with pytest.raises(PecgError, match="is no folder"):
        open_dataset("zzu", "~nobody-of-this-name/data")


@pytest.mark.parametrize(
    "column", ["Filename", "ECG_ID", "Patient_ID", "Age", "Gender", "Lead", "ICD-10 code"]
)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    path = folder(tmp_path, row("'Q21.0'")) / "AttributesDictionary.csv"
    path.write_text(path.read_text().replace(column, "Other", 1))
    with pytest.raises(PecgError, match=rf"AttributesDictionary\.csv has no column '{column}'; it"):
        open_dataset("zzu", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\0" * 500,
        bytes(range(256)) * 9,
        b'"never closed',
        b"\xff\xfe\0A",
        b"a\n1,2\n",
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "AttributesDictionary.csv").write_bytes(content)
    with pytest.raises(PecgError, match=r"AttributesDictionary\.csv"):
        open_dataset("zzu", tmp_path)


def test_a_table_without_rows_or_with_too_many_cells(tmp_path: Path) -> None:
    folder(tmp_path)
    with pytest.raises(PecgError, match="lists no recording"):
        open_dataset("zzu", tmp_path)
    for rows in ([row("'Q21.0'") + ",one too many"], [row("'Q21.0'"), row("'Q21.0'") + ",,,,"]):
        folder(tmp_path, *rows)
        with pytest.raises(PecgError, match=r"AttributesDictionary\.csv"):
            open_dataset("zzu", tmp_path)


def test_a_row_that_is_cut_short_has_empty_cells(tmp_path: Path) -> None:
    dataset = open_dataset("zzu", folder(tmp_path, row("'Q21.0'"), "P00/P00002/P00002_E01,P00002"))
    assert dataset.labels.sum(axis=1).tolist() == [1, 0]
    assert dataset.table["sex"].tolist() == ["female", "unknown"]
    assert pd.isna(dataset.table["age_days"][1])


def test_a_damaged_code_table(tmp_path: Path) -> None:
    folder(tmp_path, row("'Q21.0'"))
    (tmp_path / "ECGCode.csv").write_text("Description,AHA\nNormal ECG,A1\n")
    with pytest.raises(PecgError, match=r"ECGCode\.csv has no column 'AHA\(Category&Code\)'"):
        open_dataset("zzu", tmp_path)
