"""Which dataset a folder holds, what is missing, and what that means for a chapter."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils import chapters, sources
from pecg_utils.data import open_dataset
from pecg_utils.data.recognise import RELEASES, missing, parts, recognise
from pecg_utils.data.recording import UNKNOWN, Dataset
from pecg_utils.errors import PecgError
from pecg_utils.twins import zzu as twin


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("zzu-pecg", "zzu"),
        ("ptb-xl", "ptbxl"),
        ("challenge-2021", "challenge"),
        ("challenge-2021/training/georgia", "challenge"),
        ("ludb", "ludb"),
        ("mitdb", "mitdb"),
        (".", "hospitals"),
        ("challenge-2021/training", "challenge"),
    ],
)
def test_real_folders(real: Callable[[str], Path], folder: str, name: str) -> None:
    assert recognise(real(folder)) == name


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"holds no dataset that is known: there is none of Attr"):
        recognise(tmp_path)
    (tmp_path / "x.hea").write_text("x 12 500 10\n# Dx\n")
    with pytest.raises(PecgError, match="holds no dataset"):
        recognise(tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/REFERENCE.csv").touch()
    assert recognise(tmp_path) == "cpsc2018"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return twin.write(tmp_path / "zzu", 24)


def test_a_whole_twin_lacks_nothing(small: Path) -> None:
    assert missing(open_dataset("zzu", small)) == []


def test_what_is_missing_is_named(small: Path) -> None:
    headers = sorted(small.rglob("*.hea"))
    headers[3].unlink()
    for path in headers[5:7]:
        path.with_suffix(".dat").unlink()
    (small / "twin.json").unlink()  # now it passes for a part of the release
    dataset = open_dataset("zzu", small)
    first, header, signal = missing(dataset)
    assert first == f"{len(dataset.table)} of the release's 14,190 recordings are listed."
    assert header == f"1 have no header; the first is {headers[3].stem}."
    assert signal.startswith("2 have no signal file; the first is ")


def test_files_are_compared_with_the_releases_checksums(small: Path) -> None:
    names = ["AttributesDictionary.csv", "ECGCode.csv"]
    sums = [f"{hashlib.sha256((small / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (small / "SHA256SUMS.txt").write_text("".join(sums))
    assert missing(open_dataset("zzu", small)) == []
    (small / "SHA256SUMS.txt").write_text("".join(sums) + f"{'0' * 64}  RECORDS\n")
    (small / "ECGCode.csv").write_text((small / "ECGCode.csv").read_text() + "\n")
    gone, other = missing(open_dataset("zzu", small))
    assert gone.startswith("1 of the 3 files in SHA256SUMS.txt are not there; the first is RECORDS")
    assert other.startswith("1 files differ from SHA256SUMS.txt; the first is ECGCode.csv")


def test_releases_beside_each_other_are_named(
    real: Callable[[str], Path], small: Path, tmp_path: Path
) -> None:
    assert parts(open_dataset("zzu", small)) == []
    for name in ("ptb-xl", "ludb", "mitdb"):
        (tmp_path / name).symlink_to(real(name))
    dataset = open_dataset(recognise(tmp_path), tmp_path)
    assert parts(dataset) == [
        "ptbxl is in ptb-xl: 500 recordings, of 21,799.",
        "ludb is in ludb: 200 recordings, of 200.",
    ]
    assert missing(dataset)[0] == "The release challenge is not there."
    (tmp_path / "ludb").unlink()
    with pytest.raises(PecgError, match="holds no dataset that is known"):
        recognise(tmp_path)
    (tmp_path / "ludb").mkdir()
    shutil.copy(real("ludb") / "ludb.csv", tmp_path / "ludb")
    (tmp_path / "ludb/SHA256SUMS.txt").write_text("0 ludb.csv\n0 RECORDS\n")
    lacking = missing(open_dataset("hospitals", tmp_path))
    assert "200 have no header; the first is 1." in lacking
    assert any(said.startswith("In ludb: 1 of the 2 files in SHA256SUMS.txt") for said in lacking)


def test_the_releases_are_of_the_known_sizes() -> None:
    assert RELEASES["challenge"] == 88_253
    assert RELEASES["ptbxl"] == 21_799


def test_what_a_chapter_can_do_with_it(small: Path, real: Callable[[str], Path]) -> None:
    def use(name: str, folder: Path) -> str:
        return sources.use("benchmark", open_dataset(name, folder))

    assert use("zzu", small) == "trains and tests on it; a result from a twin is no reproduction."
    assert "models on the twin and tests them on these recordings. The 7 patients" in use(
        "zzu", real("zzu-pecg")
    )
    assert use("ptbxl", real("ptb-xl")).endswith("without a verdict on the paper's claims.")
    assert use("ludb", real("ludb")) == "does not use ludb."


def test_few_patients_are_too_few_to_train_on(real: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copy(real("ptb-xl") / "scp_statements.csv", tmp_path)
    listed = (real("ptb-xl") / "ptbxl_database.csv").read_text().splitlines(keepends=True)
    (tmp_path / "ptbxl_database.csv").write_text("".join(listed[:20]))
    assert sources.use("benchmark", open_dataset("ptbxl", tmp_path)).endswith(
        "are too few to train on: 60 are needed."
    )


def test_a_chapter_that_trains_on_what_it_is_given_cannot_use_a_few(
    real: Callable[[str], Path], tmp_path: Path
) -> None:
    few = tmp_path / "training" / "ptb"
    shutil.copytree(real("challenge-2021/training/ptb"), few)
    said = sources.use("cnn_ecg_mamba", open_dataset("challenge", tmp_path))
    assert said.startswith("cannot use it. The ")
    parameters = chapters.parameters("cnn_ecg_mamba", {"data": str(tmp_path)})
    with pytest.raises(PecgError, match=r"are too few to train on: 60 are needed\. Give a larger"):
        sources.open_sources(parameters)


def holding(count: int, kind: str = "subset") -> Dataset:
    """A Leipzig dataset of `count` patients with a label, of whom one has two, and of five without.

    Two of the others are of no name, and known by a proxy.
    """
    names = [f"x{n:03d}" for n in range(count)]
    table = pd.DataFrame({"record": [*names, *"abcdef"]})
    table["patient"] = table["record"].replace({"x000": UNKNOWN, "x001": UNKNOWN, "a": "x002"})
    table["proxy"] = table["record"].replace({"a": "x002"})
    labels = pd.DataFrame({"N": [True] * (count + 1) + [False] * 5, "VT": False})
    return Dataset("leipzig", Path("few"), kind, table, labels, {}, (), lambda *_: None)


@pytest.mark.parametrize("count", [19, 20, 59])
def test_the_chapter_of_39_subjects_needs_fewer_than_the_others(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    given = holding(count)
    assert sources.labelled_patients(given) == count
    monkeypatch.setattr(sources, "open_dataset", lambda *_, **__: given)
    monkeypatch.setattr(sources, "data_fingerprint", lambda _: "0123456789ab")
    parameters = chapters.parameters("agcacl", {"data": "few"})
    if count < 20:
        few = "The 19 patients with a label in few are too few to train on: 20 are needed."
        assert sources.use("agcacl", given) == f"cannot use it. {few}"
        with pytest.raises(PecgError) as caught:
            sources.open_sources(parameters)
        assert str(caught.value) == f"{few} Give a larger part of it, or no data for the twin."
        given = replace(given, kind="twin")  # which stands for itself
    found = sources.open_sources(parameters)
    assert found.given is found.training is given
    assert found.fingerprints == {given.kind: "0123456789ab"}
    assert sources.use("agcacl", given).startswith("trains and tests on it")
    for chapter in ("benchmark", "cnn_ecg_mamba"):
        assert chapters.parameters(chapter, {}).least_patients == 60


def test_mitbih_is_taken_without_its_paced_recordings(real: Callable[[str], Path]) -> None:
    given = {"dataset": "mitdb", "data": str(real("mitdb"))}
    found = sources.open_sources(chapters.parameters("agcacl", given))
    assert (len(found.given.table), found.given.kind) == (44, "subset")
    assert found.training is found.given
    assert list(found.fingerprints) == ["subset"]


def test_without_electrograms_there_is_no_twin_to_fall_back_on() -> None:
    with pytest.raises(PecgError, match=r"^mitdb has no twin; give the folder"):
        sources.open_sources(chapters.parameters("agcacl", {"dataset": "mitdb"}))
