"""CPSC2018 in both of its forms."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pecg_utils.data import cpsc2018, open_dataset, quality
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError


def write(root: Path, name: str, samples: int = 3500, leads: int = 12, **fields: object) -> Path:
    signal = np.random.default_rng(0).normal(0, 0.3, (leads, samples))
    struct = {"sex": "Male", "age": 74.0, "data": signal, **fields}
    root.mkdir(parents=True, exist_ok=True)
    savemat(root / f"{name}.mat", {"ECG": struct}, do_compression=True)
    return root / f"{name}.mat"


def reference(root: Path, *rows: str) -> Path:
    head = "Recording,First_label,Second_label,Third_label"
    (root / "REFERENCE.csv").write_text("\n".join([head, *rows]) + "\n")
    return root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write(tmp_path / "TrainingSet1", "A0001")
    write(tmp_path / "TrainingSet2", "A0002", 5000, sex="Female", age=np.nan)
    return reference(tmp_path, "A0001,5,,", "A0002,8,1,3")


def test_the_challenges_own_form(own: Path) -> None:
    dataset = open_dataset("cpsc2018", own)
    assert dataset.table["first"].tolist() == ["RBBB", "STD"]
    assert dataset.table["sex"].tolist() == ["male", "female"]
    assert dataset.table["n_samples"].tolist() == [3500, 5000]
    assert dataset.table["age_days"][0] == pytest.approx(74 * 365.25)
    assert np.isnan(dataset.table["age_days"][1])
    first, second = dataset.read(0), dataset.read(1)
    assert first.labels == ("RBBB",)
    assert second.labels == ("Normal", "I-AVB", "STD")
    assert (first.leads, first.fs, first.signal.shape) == (TWELVE_LEADS, 500, (3500, 12))
    expected = np.random.default_rng(0).normal(0, 0.3, (12, 3500)).T
    np.testing.assert_array_equal(first.signal, expected.astype(np.float32))


def test_the_wfdb_copy(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("cpsc2018", real("challenge-2021") / "training/cpsc_2018")
    carried = dataset.labels.sum()
    assert carried[carried > 0].to_dict() == {
        "Normal": 1,
        "AF": 7,
        "LBBB": 1,
        "RBBB": 4,
        "PAC": 1,
        "PVC": 1,
        "STD": 1,
    }
    assert set(dataset.table["first"]) == {""}
    assert quality.inspect(dataset).faults == ()


BAD = {
    "empty": b"",
    "no mat file": b"MATLAB 5.0 MAT-file" + bytes(400),
    "text": b"time,lead\n1,2\n" * 50,
}


@pytest.mark.parametrize("kind", [*BAD, "cut", "flipped", "no struct", "two leads", "words"])
def test_a_bad_file_is_named_and_the_rest_goes_on(own: Path, kind: str) -> None:
    bad = own / "TrainingSet2/A0002.mat"
    stored = bytearray(bad.read_bytes())
    if kind in BAD:
        bad.write_bytes(BAD[kind])
    elif kind == "cut":
        bad.write_bytes(stored[: len(stored) // 2])
    elif kind == "flipped":
        stored[len(stored) // 2] ^= 0xFF
        bad.write_bytes(stored)
    elif kind == "no struct":
        savemat(bad, {"val": np.zeros((12, 5000))})
    elif kind == "two leads":
        write(bad.parent, "A0002", leads=2)
    else:
        write(bad.parent, "A0002", data="sinus rhythm")
    report = quality.inspect(open_dataset("cpsc2018", own))
    assert report.excluded == ["A0002"]
    assert report.faults[0].fault == "unreadable"
    assert "A0002.mat" in report.faults[0].detail


def test_a_file_that_unpacks_to_gigabytes_is_refused_before_it_does(own: Path) -> None:
    savemat(own / "TrainingSet2/A0002.mat", {"ECG": np.zeros((12, 900_000))}, do_compression=True)
    assert (own / "TrainingSet2/A0002.mat").stat().st_size < 200_000
    with pytest.raises(PecgError, match="it unpacks to more than 67,108,864 bytes"):
        open_dataset("cpsc2018", own).read(1)


def test_a_missing_file(own: Path) -> None:
    (own / "TrainingSet2/A0002.mat").unlink()
    (fault,) = quality.inspect(open_dataset("cpsc2018", own)).faults
    assert (fault.record, fault.fault) == ("A0002", "missing")


@pytest.mark.parametrize("label", ["0", "10", "AF", "-1", "1.5"])
def test_a_label_that_there_is_not(own: Path, label: str) -> None:
    with pytest.raises(PecgError, match=f"A0002 has the label '{label}', not 1 to 9"):
        open_dataset("cpsc2018", reference(own, "A0001,5,,", f"A0002,1,{label},"))


def test_neither_form(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="is no CPSC2018 folder"):
        open_dataset("cpsc2018", tmp_path)
    (tmp_path / "REFERENCE.csv").write_text("Recording,First_label\nA0001,1\n")
    with pytest.raises(PecgError, match="Second_label"):
        open_dataset("cpsc2018", tmp_path)


def test_the_codes_are_the_nine_labels() -> None:
    assert sorted(cpsc2018.SNOMED.values()) == sorted(cpsc2018.LABELS)
