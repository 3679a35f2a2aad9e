"""The reader of the Challenge's headers: sources, codes, classes, rates, real malformed files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.data import challenge, open_dataset, quality, wfdb16, windows
from pecg_utils.data.recording import TWELVE_LEADS, UNKNOWN
from pecg_utils.errors import PecgError

Real = Callable[[str], Path]


def write(folder: Path, name: str, *comments: str, fs: str = "500", first: str = "") -> None:
    """A record of ten samples in the Challenge's own form."""
    folder.mkdir(parents=True, exist_ok=True)
    signals = [f"{name}.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in TWELVE_LEADS]
    lines = [first or f"{name} 12 {fs} 10", *signals, *comments]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    samples = np.arange(120, dtype="<i2")
    (folder / f"{name}.mat").write_bytes(bytes(24) + samples.tobytes())


def test_the_scored_classes_are_the_published_ones() -> None:
    codes = {year: challenge.classes(year) for year in (2020, 2021)}
    assert {year: len(of_one) for year, of_one in codes.items()} == {2020: 27, 2021: 30}
    names = {year: list(challenge.class_names(year)) for year in (2020, 2021)}
    assert {year: len(of_one) for year, of_one in names.items()} == {2020: 24, 2021: 26}
    joined = {"CRBBB|RBBB", "PAC|SVPB", "PVC|VPB"}
    assert {name for name in names[2020] if "|" in name} == joined
    assert {name for name in names[2021] if "|" in name} == joined | {"CLBBB|LBBB"}
    assert set(names[2021]) - set(names[2020]) == {"BBB", "PRWP", "CLBBB|LBBB"}
    assert codes[2021]["733534002"][0] == codes[2021]["164909002"][0] == "CLBBB|LBBB"


def test_the_real_recordings(real: Real) -> None:
    dataset = open_dataset("challenge", real("challenge-2021"))
    assert dataset.table["source"].value_counts().to_dict() == {
        "ningbo": 59,
        "georgia": 40,
        "ptb-xl": 39,
        "cpsc_2018_extra": 29,
        "chapman_shaoxing": 17,
        "cpsc_2018": 14,
        "ptb": 10,
    }
    assert dataset.table["fs"].value_counts().to_dict() == {500: 198, 1000: 10}
    assert (dataset.table["patient"] == "unknown").all()
    assert dataset.kind == "subset"
    by_record = dataset.table.set_index("record")
    assert by_record.loc["HR00001", ["sex", "n_samples"]].tolist() == ["female", 5000]
    assert by_record.loc["HR00001", "age_days"] == pytest.approx(56 * 365.25)
    assert np.isnan(by_record.loc["E00001", "age_days"])
    row = int(np.flatnonzero(dataset.table["record"] == "HR00001")[0])
    assert dataset.read(row).labels == ("LQRSV", "NSR")
    report = quality.inspect(dataset)
    assert report.excluded == []
    assert report.counts() == {"flat": 6, "duplicate": 1}
    earlier = challenge.open_folder(real("challenge-2021"), 2020)
    assert len(earlier.table) == 208 - 59 - 17
    assert "PRWP" not in earlier.labels


def test_every_real_recording_is_what_wfdb_reads(real: Real, tmp_path: Path) -> None:
    """The thirteen early Georgia headers too, once their first line is put right for wfdb."""
    dataset = open_dataset("challenge", real("challenge-2021"))
    mended = 0
    for row in range(len(dataset.table)):
        path = dataset.path(row)
        header = path.with_name(path.name + ".hea").read_text()
        if header.split()[0].endswith(".mat"):
            mended += 1
            fixed = header.replace(f"{path.name}.mat 12", f"{path.name} 12", 1)
            (tmp_path / f"{path.name}.hea").write_text(fixed)
            (tmp_path / f"{path.name}.mat").symlink_to(path.with_name(path.name + ".mat"))
            path = tmp_path / path.name
        theirs, fields = wfdb.rdsamp(str(path))
        ours = dataset.read(row)
        np.testing.assert_array_equal(ours.signal, theirs.astype(np.float32), path.name)
        assert (ours.fs, list(ours.leads)) == (fields["fs"], fields["sig_name"])
        assert wfdb16.read_header(dataset.path(row)) is not None
    assert mended == 13


def test_recordings_of_ptb_xl_have_the_samples_of_ptb_xl(real: Real) -> None:
    ours, theirs = (
        open_dataset("challenge", real("challenge-2021")),
        open_dataset("ptbxl", real("ptb-xl")),
    )
    digests = {
        quality.digest(theirs.read(row).signal): theirs.table["record"][row]
        for row in range(len(theirs.table))
    }
    rows = np.flatnonzero(ours.table["source"] == "ptb-xl")
    found = {
        ours.table["record"][row]: digests[digest]
        for row in rows
        if (digest := quality.digest(ours.read(row).signal)) in digests
    }
    assert found == {f"HR{i:05}": str(i) for i in range(1, 11)}


def test_ptbxl_names_the_patients_of_its_part(real: Callable[[str], Path]) -> None:
    ptbxl = open_dataset("ptbxl", real("ptb-xl")).table.set_index("record")["patient"]
    table = challenge.open_folder(real("challenge-2021"), ptbxl=real("ptb-xl")).table
    named = table[table["patient"] != UNKNOWN].set_index("record")
    assert named.index.tolist() == [f"HR{i:05}" for i in range(1, 11)]
    assert named["patient"].tolist() == [ptbxl[str(i)] for i in range(1, 11)]
    assert (named["proxy"] == "ptb-xl, patient " + named["patient"]).all()
    with pytest.raises(PecgError, match="is no PTB-XL folder"):
        challenge.open_folder(real("challenge-2021"), ptbxl=real("ludb"))


def test_folders_of_one_origin_share_a_site(real: Real, tmp_path: Path) -> None:
    dataset = open_dataset("challenge", real("challenge-2021"))
    both = dataset.table[["source", "site"]].drop_duplicates().set_index("source")["site"].to_dict()
    assert both.pop("cpsc_2018_extra") == "cpsc_2018"
    assert all(site == source for source, site in both.items())
    few = dataset.only(dataset.table["record"].isin(["Q0001", "A0001", "S0001"]).to_numpy())
    made = windows.prepare(few, windows.Settings(("I", "V6"), 100.0, 2.0), tmp_path)
    expected = few.table.set_index("record")["site"]
    assert (made.table["site"] == made.table["record"].map(expected)).all()
    assert len(set(made.table["record"])) == len(few.table) > 1


def test_what_headers_say(tmp_path: Path) -> None:
    place = tmp_path / "training/st_petersburg_incart/g1"
    twice = "#Dx: 427084000,427084000,713427006,59118001,1"
    write(place, "I0001", "# Age: 41", "# Sex: M", twice, fs="257")
    write(tmp_path / "training/ptb/g1", "S1", "#Age: NaN", "#Sex: Unknown", "#Dx: 1", fs="1000")
    write(tmp_path / "training/georgia/g1", "E1", "#Age: -3", first="E1.mat 12 500 10 05-May-2020")
    table = open_dataset("challenge", tmp_path).table
    assert table["source"].tolist() == ["georgia", "ptb", "st_petersburg_incart"]
    assert table["fs"].tolist() == [500, 1000, 257]
    assert table["sex"].tolist() == ["unknown", "unknown", "male"]
    assert table["age_days"].fillna(0).tolist() == [0, 0, pytest.approx(41 * 365.25)]
    labels = open_dataset("challenge", tmp_path).labels
    assert labels.sum(axis=1).tolist() == [0, 0, 2]  # none scored; and two codes that are one
    assert labels.iloc[2][["STach", "CRBBB|RBBB"]].all()
    inner = open_dataset("challenge", place)  # from below `training`
    assert inner.table["record"].tolist() == ["I0001"]
    assert open_dataset("challenge", place.parent).table["source"].tolist() == [
        "st_petersburg_incart"
    ]


def test_all_codes_can_be_the_labels(tmp_path: Path) -> None:
    place = tmp_path / "training/ningbo"
    write(place, "a", "#Dx: 999,426783006,74390002,999")
    write(place, "b", "#Dx: 164889003,12")
    write(place, "c", "#Dx: Unknown")
    dataset = challenge.open_folder(tmp_path, labels="codes")
    assert list(dataset.labels) == ["164889003", "426783006", "74390002", "12", "999"]
    assert dataset.label_names["74390002"] == "wolff parkinson white pattern"
    assert dataset.label_names["999"] == "999"
    assert dataset.labels.dtypes.eq(bool).all()
    assert dataset.read(0).labels == ("426783006", "74390002", "999")
    assert dataset.read(2).labels == ()
    classes = challenge.open_folder(tmp_path)
    assert dataset.table.equals(classes.table)
    assert list(classes.labels) == list(challenge.LABELS)
    none = challenge.open_folder(tmp_path, labels="codes").only(np.array([False, False, True]))
    assert none.read(0).labels == ()
    with pytest.raises(PecgError, match="has the labels classes and codes, not 'all'"):
        challenge.open_folder(tmp_path, labels="all")


def test_a_folder_without_a_code(tmp_path: Path) -> None:
    write(tmp_path / "training/ningbo", "a")
    dataset = challenge.open_folder(tmp_path, labels="codes")
    assert dataset.labels.shape == (1, 0)
    assert dataset.read(0).labels == ()


def test_the_listed_codes_are_133_and_the_real_ones_are_among_them(real: Real) -> None:
    known = challenge.code_names()
    assert len(known) == 133
    assert list(known)[:30] == list(challenge.classes())
    assert all(code.isdigit() and name.strip() == name != "" for code, name in known.items())
    dataset = challenge.open_folder(real("challenge-2021"), labels="codes")
    assert dataset.labels.shape == (208, 58)
    assert set(dataset.labels) - set(known) == {"251238007"}
    assert dataset.labels["426783006"].sum() == 62
    by_class = challenge.open_folder(real("challenge-2021")).labels
    joined = dataset.labels["713427006"] | dataset.labels["59118001"]
    assert joined.tolist() == by_class["CRBBB|RBBB"].tolist()


def test_a_proxy_joins_equal_people_and_no_others(tmp_path: Path) -> None:
    place = tmp_path / "training/ningbo"
    write(place, "a", "#Age: 4", "#Sex: Male", "#Dx: 1,2")
    write(place, "b", "#Age: 4", "#Sex: Male", "#Dx: 2,1")
    write(place, "c", "#Age: 5", "#Sex: Male", "#Dx: 1,2")
    write(place, "d", "#Age: 4", "#Sex: Female", "#Dx: 1,2")
    write(tmp_path / "training/ptb", "e", "#Age: 4", "#Sex: Male", "#Dx: 1,2")
    table = open_dataset("challenge", tmp_path).table.set_index("record")
    assert table.loc["a", "proxy"] == table.loc["b", "proxy"]
    assert table["proxy"].nunique() == 4


@pytest.mark.parametrize("header", [b"", b"\0\1\2", b"x", b"x 12 500 -5\n", b"x 2 500 10\nx.mat\n"])
def test_a_broken_header_is_listed_and_shut_out(tmp_path: Path, header: bytes) -> None:
    write(tmp_path / "training/ptb", "good", "#Dx: 426783006")
    (tmp_path / "training/ptb/x.hea").write_bytes(header)
    dataset = open_dataset("challenge", tmp_path)
    assert dataset.table["record"].tolist() == ["good", "x"]
    report = quality.inspect(dataset, seconds=0.01)
    assert report.excluded == ["x"]
    assert report.faults[-1].fault in ("unreadable", "missing")


def test_a_folder_without_a_header(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"is no folder of the Challenge 2021: there is no \.hea"):
        open_dataset("challenge", tmp_path)
    write(tmp_path / "training/ningbo/g1", "a")
    with pytest.raises(PecgError, match="is no folder of the Challenge 2020"):
        challenge.open_folder(tmp_path, 2020)
