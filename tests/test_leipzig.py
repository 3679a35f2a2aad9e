"""The Leipzig reader: channels by name, its own annotation codes, stretches of long records.

No recording of the release could be had. The records here are written in its form, as far as it is
described: format 24, 977 Hz, 2,000 units a millivolt, and the annotation codes 42 and 43, which
WFDB does not define and the file does not declare.
"""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.data import leipzig, open_dataset, quality, wfdb16
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError

CHILD = (*TWELVE_LEADS, "ABL12", "RVA12", "CS12", "CS34", "CS56", "CS78", "CS90")
WITH_PRESSURE = (*TWELVE_LEADS, "ART", "ABL12", "RVA12", "CS12", "CS34", "CS56", "CS78", "CS90")
ADULT = (*TWELVE_LEADS, "ABL12", "RVA12")
BEATS = [
    (10, 28, "(N"),
    (500, 1, ""),
    (1500, 1, "N-Prex"),
    (70_000, 28, "(AVRT"),
    (70_400, 42, "AVRT"),
    (70_900, 43, ""),
    (71_000, 14, ""),
]


def annotate(path: Path, found: list[tuple[int, int, str]]) -> None:
    """An annotation file in MIT format: (sample, code, aux) each."""
    out, before = b"", 0
    for sample, code, aux in found:
        step, before = sample - before, sample
        if step > 1023:
            out += struct.pack("<HHH", 59 << 10, step >> 16, step & 0xFFFF)
            step = 0
        out += struct.pack("<H", code << 10 | step)
        if aux:
            text = aux.encode() + b"\0"
            out += struct.pack("<H", 63 << 10 | len(text)) + text + bytes(len(text) % 2)
    path.write_bytes(out + bytes(2))


def write(root: Path, name: str, channels: tuple[str, ...], seconds: float = 90.0) -> np.ndarray:
    """A record in which each channel has a level of its own; gives its digital samples."""
    count = len(channels)
    noise = np.random.default_rng(count).integers(-600, 600, (round(seconds * 977), count))
    digital = noise + 40 * np.arange(count)
    wfdb.wrsamp(
        name, fs=977, units=["mV"] * count, sig_name=list(channels), d_signal=digital,
        fmt=["24"] * count, adc_gain=[2000.0] * count, baseline=[0] * count, write_dir=str(root),
    )  # fmt: skip
    annotate(root / f"{name}.atr", BEATS)
    return digital


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, channels in (("x001", CHILD), ("x0028", WITH_PRESSURE), ("x102", ADULT)):
        write(tmp_path, name, channels)
    head = "subject_id,file_name,gender,age,diagnosis"
    (tmp_path / "children-subject-info.csv").write_text(
        f"{head},ap_loacation,ecg_duration\n001,x001,M,6.6,AVRT-WPW,left lateral,0:01:30\n"
        "028,x0028,F,.14.3,AVNRT,,0:01:30\n"
    )
    (tmp_path / "adults-subject-info.csv").write_text(
        f"{head},ecg_duration\n102,x102,F,64.16,TOF with VT,0:01:30\n"
    )
    return tmp_path


def test_the_table(folder: Path) -> None:
    dataset = open_dataset("leipzig", folder)
    table = dataset.table.set_index("record")
    assert table["source"].tolist() == ["children", "children", "adults"]
    assert table["n_leads"].tolist() == [19, 20, 14]
    assert (table["age_days"] / 365.25).tolist() == pytest.approx([6.6, 14.3, 64.16])
    assert table["sex"].tolist() == ["male", "female", "female"]
    assert table["pathway"].tolist() == ["left lateral", "", ""]
    assert dataset.labels.loc[0][dataset.labels.loc[0]].index.tolist() == ["N", "AVRT"]
    assert quality.inspect(dataset).faults == ()


@pytest.mark.parametrize(
    ("cell", "years"), [("6.6", 6.6), (".14.3", 14.3), ("17", 17.0), ("", None), ("1.2.3", None)]
)
def test_ages(cell: str, years: float | None) -> None:
    found = leipzig.age_in_years(cell)
    assert np.isnan(found) if years is None else found == years


def test_channels_are_found_by_name_and_pressure_is_no_electrogram(folder: Path) -> None:
    dataset = open_dataset("leipzig", folder)
    for row, channels in enumerate([CHILD, WITH_PRESSURE, ADULT]):
        recording = dataset.read(row, 10.0, 2.0)
        assert recording.leads == channels
        inside = [name for name in leipzig.ELECTROGRAMS if name in channels]
        assert "ART" not in inside
        taken = recording.take(inside)
        for place, name in enumerate(inside):
            expected = recording.signal[:, channels.index(name)]
            np.testing.assert_array_equal(taken[:, place], expected)


def test_a_stretch_is_that_part_of_the_whole(folder: Path) -> None:
    digital = write(folder, "x001", CHILD)
    dataset = open_dataset("leipzig", folder)
    part = dataset.read(0, start=30.0, seconds=2.0)
    first = round(30.0 * 977)
    expected = (digital[first : first + 1954] / 2000).astype(np.float32)
    np.testing.assert_array_equal(part.signal, expected)
    assert len(dataset.read(0, start=89.0, seconds=60.0).signal) == 977  # as far as it goes
    assert len(dataset.read(0).signal) == len(digital)


def test_own_codes_mechanisms_and_rhythms(folder: Path) -> None:
    found = leipzig.annotations(folder / "x001")
    assert list(found.itertuples(index=False, name=None)) == [
        (10, "+", "(N"),
        (500, "N", ""),
        (1500, "N", "N-Prex"),
        (70_000, "+", "(AVRT"),
        (70_400, "X", "AVRT"),
        (70_900, "b", ""),
        (71_000, "~", ""),
    ]
    spans = leipzig.rhythms(found, 87_930)
    assert list(spans.itertuples(index=False, name=None)) == [
        (10, 70_000, "N"),
        (70_000, 87_930, "AVRT"),
    ]
    assert leipzig.rhythms(found, 60_000)["end"].tolist() == [60_000]
    assert leipzig.rhythms(found[found["symbol"] != "+"], 60_000).empty


def test_annotations_of_a_real_dataset_keep_their_symbols(real) -> None:
    theirs = wfdb.rdann(str(real("mitdb") / "207"), "atr")
    ours = wfdb16.annotations(real("mitdb") / "207", "atr")
    assert ours["sample"].tolist() == theirs.sample.tolist()
    assert ours["symbol"].tolist() == theirs.symbol
    assert ours["aux"].tolist() == [text.strip("\0") for text in theirs.aux_note]


def test_one_bad_recording_is_named_and_the_others_go_on(folder: Path) -> None:
    stored = (folder / "x0028.dat").read_bytes()
    (folder / "x0028.dat").write_bytes(stored[: len(stored) // 2])
    (folder / "x102.atr").unlink()
    report = quality.inspect(open_dataset("leipzig", folder))
    assert report.excluded == ["x0028"]
    assert not open_dataset("leipzig", folder).labels.loc[2].any()
    with pytest.raises(PecgError, match=r"^missing: x102\.atr"):
        leipzig.annotations(folder / "x102")


def test_a_long_recording_is_looked_at_in_stretches(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays that of a stretch, and it is said in how many of them a fault is."""
    monkeypatch.setattr(quality, "_STRETCH", 60.0)
    digital = write(folder, "x102", ADULT, 240.0)
    dataset = open_dataset("leipzig", folder)
    dataset = dataset.only((dataset.table["record"] == "x102").to_numpy())
    whole = digital.size * 8
    tracemalloc.start()
    assert quality.inspect(dataset).faults == ()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole  # read at once it takes three times as much
    monkeypatch.setattr(quality, "RAIL_MV", 0.55)  # the last channels go beyond it
    monkeypatch.setattr(quality, "FLAT_MV", 1e-9)
    (fault,) = quality.inspect(dataset).faults
    assert fault.fault == "railed"
    assert fault.detail.endswith(", in 4 of 4 stretches")


def test_no_leipzig_folder(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="is no Leipzig folder: it has neither children-subject"):
        open_dataset("leipzig", tmp_path)
    (tmp_path / "adults-subject-info.csv").write_text("file_name,age\nx100,50\n")
    with pytest.raises(PecgError, match="gender"):
        open_dataset("leipzig", tmp_path)
