"""Segments: where they lie, what is in them, what is left out, and the folder they are kept in.

No recording of the release could be had. The records here are written in its form. Each channel is
one sine of a frequency of its own, so that a value tells which channel and which moment it is of.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import leipzig, open_dataset, prepared, segments, spans
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.segments import Segments, prepare
from pecg_utils.data.spans import ELECTROGRAMS
from pecg_utils.errors import PecgError
from pecg_utils.twins import leipzig as twins
from pecg_utils.twins import leipzig_plan as plan
from pecg_utils.twins.tables import rows

FS, LENGTH = 977, 1954
CHILD = (*TWELVE_LEADS, *ELECTROGRAMS)
CHANNELS = {
    "x001": CHILD,
    "x0028": (*TWELVE_LEADS, "ART", *ELECTROGRAMS),
    "x0023": (*TWELVE_LEADS, "ABL12", "ABL_uni", *ELECTROGRAMS[1:]),
    "x100": (*TWELVE_LEADS, "ABL12", *ELECTROGRAMS[2:], "RVA12"),
    "x102": (*TWELVE_LEADS, "ABL12", "RVA12"),
    "x109": (*TWELVE_LEADS[::-1], "RVA12", "CS90"),
}
HERTZ = {name: 5.0 + 2 * n for n, name in enumerate(TWELVE_LEADS)}
HERTZ |= {name: 80.0 + 10 * n for n, name in enumerate((*ELECTROGRAMS, "ABL_uni", "ART"))}
PLUS, Q, NOISE, N = 28, 13, 14, 1  # annotation codes of WFDB
MISSING = -(1 << 23)  # format 24's mark of a missing sample, signal(5)
Marks = Sequence[tuple[int, int, str]]
COURSE: Marks = [
    (500, PLUS, "(N"),  # 500 .. 9500: 4 windows, of which one holds a Q and one both
    (2600, Q, ""),
    (500 + 3 * LENGTH, NOISE, ""),
    (500 + 4 * LENGTH - 1, Q, ""),
    (9500, PLUS, "(AVRT"),  # 3 windows, of which the second holds a ~ at its last sample
    (9500 + 2 * LENGTH - 1, NOISE, ""),
    (16000, PLUS, "(IVR"),  # 2 windows
    (20000, PLUS, "(SVT"),  # which the dataset does not define
    (25000, PLUS, "(VT"),  # shorter than a window
    (26000, PLUS, "(/A"),  # to the end, at 30287: 2 windows
]


def annotate(path: Path, found: Marks) -> None:
    """An annotation file in MIT format: (sample, code, aux) each."""
    out, before = b"", 0
    for sample, code, aux in found:
        step, before = sample - before, sample
        out += struct.pack("<HHHH", 59 << 10, step >> 16, step & 0xFFFF, code << 10)
        text = aux.encode()
        out += struct.pack("<H", 63 << 10 | len(text)) + text + bytes(len(text) % 2)
    path.write_bytes(out + bytes(2))


def sine(name: str, time: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * HERTZ[name] * time)


def write(
    root: Path, name: str, channels: Sequence[str], seconds: float = 31.0, marks: Marks = COURSE
) -> np.ndarray:
    """A record of sines of 1 mV; gives its digital samples, of which 2,000 are a millivolt."""
    time = np.arange(round(seconds * FS)) / FS
    digital = np.rint(2000 * np.stack([sine(c, time) for c in channels], axis=1)).astype(int)
    store(root, name, channels, digital)
    annotate(root / f"{name}.atr", marks)
    return digital


def store(root: Path, name: str, channels: Sequence[str], digital: np.ndarray) -> None:
    """Format 24: the low three bytes of each sample, signal(5); 2,000 units are a millivolt."""
    lines = [f"{name} {len(channels)} {FS} {len(digital)}"]
    lines += [f"{name}.dat 24 2000/mV 24 0 0 0 0 {channel}" for channel in channels]
    (root / f"{name}.hea").write_text("\n".join(lines) + "\n")
    four = np.ascontiguousarray(digital, dtype="<i4").view(np.uint8)  # (T, 4 * channels)
    (root / f"{name}.dat").write_bytes(four.reshape(*digital.shape, 4)[..., :3].tobytes())


def opened(root: Path, records: Sequence[str]) -> Dataset:
    head = "subject_id,file_name,gender,age,diagnosis"
    for group, name in (("children", "x0"), ("adults", "x1")):
        lines = [f"1,{r},F,{12.5 if name == 'x0' else 40},AVRT" for r in records if r[:2] == name]
        (root / f"{group}-subject-info.csv").write_text("\n".join([head, *lines]) + "\n")
    lacking = [n for n in ("children", "adults") if len(_lines(root, n)) == 1]
    for group in lacking:
        (root / f"{group}-subject-info.csv").unlink()
    return open_dataset("leipzig", root)


def _lines(root: Path, group: str) -> list[str]:
    return (root / f"{group}-subject-info.csv").read_text().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six records with the channels that the release has. Not to be written to."""
    root = tmp_path_factory.mktemp("leipzig")
    for name, channels in CHANNELS.items():
        write(root, name, channels)
    opened(root, list(CHANNELS))
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def six(folder: Path, cache: Path) -> Segments:
    return prepare(open_dataset("leipzig", folder), cache, grouped=False)


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., Dataset]:
    """One record of a child, x001; with its digital samples changed, where `change` is given."""

    def make(change: Callable[[np.ndarray], None] | None = None, **how: object) -> Dataset:
        root = tmp_path / "one"
        root.mkdir(exist_ok=True)
        digital = write(root, "x001", CHILD, **how)
        if change is not None:
            change(digital)
            store(root, "x001", CHILD, digital)
        return opened(root, ["x001"])

    return make


EXPECTED = [
    *[(500 + LENGTH * k, "N") for k in (0, 2)],
    *[(9500 + LENGTH * k, "AVRT") for k in (0, 2)],
    *[(16000 + LENGTH * k, "IVR") for k in (0, 1)],
    *[(26000 + LENGTH * k, "/A") for k in (0, 1)],
]


def test_windows_lie_within_spans_and_hold_no_mark_of_noise(six: Segments) -> None:
    for _, table in six.table.groupby("record"):
        found = zip(np.rint(table["start"] * FS).astype(int), table["rhythm"], strict=True)
        assert list(found) == EXPECTED
        assert table["span"].tolist() == [0, 0, 1, 1, 2, 2, 5, 5]
        np.testing.assert_allclose(table["end"] - table["start"], 2.0)
    assert six.table["record"].unique().tolist() == [
        "x001",
        "x0028",
        "x0023",
        "x100",
        "x102",
        "x109",
    ]
    assert six.table.groupby("record")["group"].first().to_dict() == {
        **dict.fromkeys(("x001", "x0023", "x0028"), "child"),
        **dict.fromkeys(("x100", "x102", "x109"), "adult"),
    }
    assert set(six.table["age_days"]) == {12.5 * 365.25, 40 * 365.25}
    assert (six.table["patient"] == six.table["record"]).all()


def test_every_second_is_in_a_window_or_left_out_for_a_reason(six: Segments) -> None:
    of_one = six.left_out[six.left_out["record"] == "x102"].set_index(["rhythm", "reason"])
    windows = of_one["windows"]
    assert windows[windows > 0].to_dict() == {("N", "Q"): 1, ("N", "Q and ~"): 1, ("AVRT", "~"): 1}
    seconds = (of_one["seconds"] * FS).round().astype(int).to_dict()
    assert seconds[("", "before the first rhythm")] == 500
    assert seconds[("SVT", "rhythm not defined")] == 5000
    assert seconds[("VT", "shorter than a window")] == 1000
    assert seconds[("AVRT", "shorter than a window")] == 6500 - 3 * LENGTH
    assert set(six.left_out["reason"]) <= set(spans.REASONS)
    for record, table in six.table.groupby("record"):
        gone = six.left_out["seconds"][six.left_out["record"] == record].sum()
        assert 2.0 * len(table) + gone == pytest.approx(31.0)


def test_labels_by_rhythm_and_by_group(six: Segments) -> None:
    assert six.classes == tuple(leipzig.LABELS)
    held = [six.classes[place] for place in six.labels.argmax(axis=1)]
    assert held == six.table["rhythm"].tolist()
    assert (six.labels.sum(axis=1) == 1).all()
    grouped = six.grouped()
    assert len(grouped) == len(six) - 12
    assert grouped.classes == tuple(segments.GROUPS)
    pairs = set(zip(grouped.table["rhythm"], grouped.labels.argmax(axis=1), strict=True))
    assert pairs == {("N", 0), ("/A", 1), ("AVRT", 2)}
    assert set(segments.GROUP_OF) == set(leipzig.LABELS) - {"IVR"}
    assert set(segments.GROUP_OF.values()) == set(segments.GROUPS)
    noted = [f for f in grouped.report.faults if f.fault == "rhythm in no group"]
    assert [f.record for f in noted] == list(CHANNELS)
    assert noted[0].detail == "IVR, 4.1 s"
    no_group = grouped.left_out[grouped.left_out["reason"] == "rhythm in no group"]
    assert no_group[["rhythm", "windows", "seconds"]].drop_duplicates().values.tolist() == [
        ["IVR", 2, 4.0]
    ]
    rows = np.arange(len(grouped))
    kept = np.flatnonzero(six.table["rhythm"] != "IVR")
    np.testing.assert_array_equal(grouped.ecg(rows), six.ecg(kept))
    np.testing.assert_array_equal(grouped.iegm(rows), six.iegm(kept))


def passed(hertz: float, low: float, high: float) -> float:
    """The gain of Butterworth filters of order 2 at both edges, run both ways."""
    return 1 / (1 + (low / hertz) ** 4) / (1 + (hertz / high) ** 4)


def test_values_are_of_the_channel_of_that_name_at_that_moment(six: Segments) -> None:
    """Also where channels stand in another order, where one is absent, and where ART is."""
    assert six.ecg_steps.shape[1:] == (12, 1000)
    assert six.iegm_steps.shape[1:] == (7, 1954)
    for row in np.flatnonzero(six.table["start"] < 20):  # the last one ends with the record
        record, start = six.table.loc[row, ["record", "start"]]
        (ecg,), (iegm,) = six.ecg(np.array([row])), six.iegm(np.array([row]))
        for place, lead in enumerate(TWELVE_LEADS):
            expected = sine(lead, start + np.arange(1000) / 500) * passed(HERTZ[lead], 0.5, 100)
            np.testing.assert_allclose(ecg[place], expected, atol=0.05)
        for place, name in enumerate(ELECTROGRAMS):
            there = name in CHANNELS[record]
            assert six.mask[row, place] == there
            expected = sine(name, start + np.arange(LENGTH) / FS) * passed(HERTZ[name], 30, 300)
            np.testing.assert_allclose(iegm[place], expected * there, atol=0.04)


def test_the_bands(one: Callable[..., Dataset], tmp_path: Path) -> None:
    """Hum and drift go from the ECG, the far field of a heartbeat from the electrograms."""

    def add(digital: np.ndarray) -> None:
        time = np.arange(len(digital)) / FS
        digital[:] = 0
        digital[:, 0] = 2000 * (np.sin(2 * np.pi * 50 * time) + np.sin(2 * np.pi * 0.1 * time) + 3)
        digital[:, 1] = 2000 * np.sin(2 * np.pi * 300 * time)
        digital[:, 12] = 2000 * np.sin(2 * np.pi * 5 * time)
        digital[:, 13] = 2000 * np.sin(2 * np.pi * 480 * time)

    made = prepare(one(add), tmp_path / "cache")
    rows = np.flatnonzero(made.table["start"].between(5, 20))
    assert np.abs(made.ecg(rows)[:, :2]).max() < 0.06
    assert np.abs(made.iegm(rows)[:, :2]).max() < 0.06
    assert not made.ecg(rows)[:, 2:].any()


def test_a_recording_is_read_and_filtered_in_stretches(
    folder: Path, six: Segments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_STRETCH", 5.0)
    monkeypatch.setattr(spans, "_MARGIN", 4.0)
    dataset = open_dataset("leipzig", folder)
    dataset = dataset.only((dataset.table["source"] == "adults").to_numpy())
    lengths = []

    def read(path: Path, first: int, last: int) -> tuple:
        lengths.append((last - first) / FS)
        return dataset._read(path, first, last)

    parts = prepare(replace(dataset, _read=read), tmp_path, grouped=False)
    assert len(lengths) > 4 * 3
    assert max(lengths) <= 5.0 + 2.0 + 2 * 4.0
    whole = six.only((six.table["group"] == "adult").to_numpy())
    at = np.arange(len(whole))
    pd.testing.assert_frame_equal(parts.table, whole.table)
    assert np.abs(parts.ecg(at) - whole.ecg(at)).max() < 0.05
    assert np.abs(parts.iegm(at) - whole.iegm(at)).max() < 1e-3


def test_channels_that_are_lacking_or_no_electrogram_are_named(six: Segments) -> None:
    found = {(f.record, f.fault): f.detail for f in six.report.faults}
    assert six.report.excluded == []
    assert found["x0028", "other channel"] == "ART as channel 13 of 20: no electrogram of the list"
    assert found["x0023", "other channel"].startswith("ABL_uni as channel 14 of 20")
    assert found["x102", "electrogram missing"] == "CS12, CS34, CS56, CS78, CS90"
    assert found["x109", "electrogram missing"] == "ABL12, CS12, CS34, CS56, CS78"
    assert ("x100", "electrogram missing") not in found
    assert found["x001", "rhythm not defined"] == "'SVT' in 1 spans, 5.1 s"


def test_a_flat_channel_is_absent_where_it_is_flat(
    one: Callable[..., Dataset], tmp_path: Path
) -> None:
    def flatten(digital: np.ndarray) -> None:
        digital[:, CHILD.index("ABL12")] = 77
        digital[: 500 + LENGTH, CHILD.index("CS56")] = -5
        digital[: 500 + LENGTH, CHILD.index("V1")] = 9

    made = prepare(one(flatten), tmp_path / "cache", grouped=False)
    assert made.mask.sum(axis=0).tolist() == [0, 8, 8, 8, 7, 8, 8]
    assert not made.mask[0, ELECTROGRAMS.index("CS56")]
    (fault,) = [f for f in made.report.faults if f.fault == "flat"]
    assert (fault.record, fault.excluded) == ("x001", False)
    assert fault.detail == "V1 in 1 of 8 windows, ABL12 in 8 of 8 windows, CS56 in 1 of 8 windows"
    ecg, iegm, mask = made.batch(np.arange(8))
    assert not iegm[~mask].any()
    assert not ecg[0, TWELVE_LEADS.index("V1")].any()
    np.testing.assert_allclose(iegm[mask].std(axis=1), 1.0, atol=1e-3)
    np.testing.assert_allclose(ecg[1:].std(axis=2), 1.0, atol=1e-3)
    assert np.abs(ecg.mean(axis=2)).max() < 1e-3


def test_missing_samples_shut_out_their_window_alone(
    one: Callable[..., Dataset], tmp_path: Path
) -> None:
    def lose(digital: np.ndarray) -> None:
        digital[600:610, 3] = MISSING
        digital[9600:9700, CHILD.index("CS90")] = MISSING
        digital[26000 : 26000 + LENGTH, :12] = 4
        digital[16000 : 16000 + LENGTH, 12:] = 4

    made = prepare(one(lose), tmp_path / "cache", grouped=False)
    reasons = made.left_out[made.left_out["windows"] > 0].set_index("reason")["rhythm"].to_dict()
    lost = {"samples missing": "N", "every lead flat": "/A", "no electrogram present": "IVR"}
    assert lost.items() <= reasons.items()
    assert len(made) == 5
    at = np.rint(made.table["start"] * FS).astype(int).tolist()
    assert at == [500 + 2 * LENGTH, 9500, 9500 + 2 * LENGTH, 16000 + LENGTH, 26000 + LENGTH]
    assert made.mask[:, 6].tolist() == [True, False, True, True, True]
    rows = np.arange(5)
    assert np.isfinite(made.ecg(rows)).all()
    assert np.abs(made.ecg(rows)[0]).max() > 0.5
    assert 2.0 * 5 + made.left_out["seconds"].sum() == pytest.approx(31.0)


def test_bad_recordings_are_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_STRETCH", 5.0)
    names = [f"x00{n}" for n in (*range(1, 10), 11, 10)]
    for name in names[:1] + names[2:]:
        write(tmp_path, name, CHILD)
    write(tmp_path, "x002", (*TWELVE_LEADS, "ABL_uni", "ART"))  # where two electrograms stand
    write(tmp_path, "x003", CHILD, seconds=1.9, marks=[(5, PLUS, "(N")])
    (tmp_path / "x004.atr").unlink()
    (tmp_path / "x005.atr").write_bytes(b"\x01\x02\x03")
    for name in ("x006", "x0010"):  # found when something of it is written already
        stored = (tmp_path / f"{name}.dat").read_bytes()
        (tmp_path / f"{name}.dat").write_bytes(stored[: len(stored) * 4 // 5])
    write(tmp_path, "x007", CHILD, marks=[*COURSE, (30_287, PLUS, "(VT"), (40_000, Q, "")])
    write(tmp_path, "x008", CHILD[1:])
    write(tmp_path, "x009", CHILD, marks=[(30_000, PLUS, "(N"), (30_100, N, "")])
    header = tmp_path / "x0011.hea"
    header.write_text(header.read_text().replace(" 2000/mV", " 0.001/mV"))
    made = prepare(opened(tmp_path, names), tmp_path / "cache")
    found = {(f.record, f.fault): f.detail for f in made.report.faults if f.fault[:6] != "rhythm"}
    assert made.table["record"].unique().tolist() == ["x001", "x007"]
    assert made.report.excluded == [n for n in names if n not in ("x001", "x007")]
    assert found.pop(("x002", "other channel")).startswith("ABL_uni as channel 13 of 14, ART as")
    assert found.pop(("x002", "electrogram missing")) == ", ".join(ELECTROGRAMS)
    assert found.pop(("x002", "no electrogram")).startswith("none of ABL12, RVA12")
    assert found.pop(("x003", "too short")) == "1.90 s, a window needs 2 s"
    assert found.pop(("x004", "missing")) == "x004.atr is not there"
    assert found.pop(("x005", "unreadable")).startswith("x005.atr")
    assert found.pop(("x006", "unreadable")).startswith("x006")
    assert found.pop(("x0010", "unreadable")).startswith("x0010")
    assert found.pop(("x007", "annotation outside")) == "2 of 12, as at sample 40,000 of 30,287"
    assert found.pop(("x008", "lead missing")) == "I"
    assert found.pop(("x009", "no window")).startswith("before the first rhythm 30.7 s, shorter")
    assert "a wrong gain" in found.pop(("x0011", "unreadable"))
    assert found == {}
    # what a bad recording had written is gone again
    whole = made.iegm(np.arange(len(made)))
    np.testing.assert_array_equal(whole[: len(made) // 2], whole[len(made) // 2 :])
    stored = tmp_path / "cache" / made.key / "iegm.i16"
    assert stored.stat().st_size == 2 * made.iegm_steps.size


def test_nothing_left_and_another_dataset(one: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = one(marks=[(5, N, "")])
    with pytest.raises(PecgError, match=r"No recording of .* is x001, no window: before the first"):
        prepare(dataset, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(PecgError, match="is mitdb's"):
        prepare(replace(dataset, name="mitdb"), tmp_path / "cache")


def test_found_again_and_made_anew_when_damaged(
    one: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cache, made = one(), tmp_path / "cache", segments._make
    first = prepare(dataset, cache)
    monkeypatch.setattr(segments, "_make", None)
    again = prepare(dataset, cache)
    assert again.key == first.key
    pd.testing.assert_frame_equal(again.table, first.table)
    pd.testing.assert_frame_equal(again.left_out, first.left_out)
    assert again.report == first.report
    monkeypatch.setattr(segments, "_make", made)
    said: list[str] = []
    monkeypatch.setattr(prepared.progress, "say", said.append)
    for count, name in enumerate(("ecg.i16", "mask.npy", "left_out.csv"), 1):
        path = cache / first.key / name
        stored = path.read_bytes()
        path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
        prepare(dataset, cache)
        assert path.read_bytes() == stored
        assert len(said) == count
    assert "are damaged; they are made again" in said[0]
    monkeypatch.setitem(spans.SETTINGS, "seconds", 3.0)
    assert prepare(dataset, cache).key != first.key


def test_an_annotation_that_changes_is_another_key(
    one: Callable[..., Dataset], tmp_path: Path
) -> None:
    keys = [prepare(one(marks=marks), tmp_path / "cache").key for marks in (COURSE, COURSE[:-1])]
    assert keys[0] != keys[1]


def test_a_part_of_the_records_is_another_key(folder: Path, tmp_path: Path) -> None:
    dataset, keys = open_dataset("leipzig", folder), set()
    for name in ("x001", "x102"):
        part = dataset.only((dataset.table["record"] == name).to_numpy())
        keys.add(prepare(part, tmp_path, fingerprint="of the whole folder").key)
    assert len(keys) == 2


def test_records_of_the_twin(tmp_path: Path) -> None:
    names, numbers = ["x0027", "x0028", "x105"], plan.counts(30)
    for subject in rows("leipzig_subjects.csv"):
        if subject["record"] in names:
            twins.render(twins.Job(subject, numbers[subject["record"]], 0), tmp_path)
    made = prepare(opened(tmp_path, names), tmp_path / "cache")
    assert made.table["record"].unique().tolist() == names
    present = [made.mask[(made.table["record"] == name).to_numpy()] for name in names]
    assert [some.sum(axis=1).max() for some in present] == [6, 7, 2]
    assert not present[0][:, 0].any()
    assert made.report.excluded == []
    assert set(made.report.counts()) >= {"flat", "other channel", "electrogram missing"}
    assert len(made.only((made.table["group"] == "child").to_numpy())) < len(made)
