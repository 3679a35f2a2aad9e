"""Windows: their values, their key, their cache, and what may happen to it."""

import dataclasses
import errno
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.signal import resample_poly

from pecg_utils.data import open_dataset, windows
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Settings, Windows, prepare
from pecg_utils.errors import PecgError
from pecg_utils.signal import resample, squeezed

Writer = Callable[..., Path]
Noise = Callable[..., np.ndarray]
NINE = Settings(NINE_LEADS)
TWELVE = Settings(TWELVE_LEADS)


@pytest.fixture(scope="module")
def nine(twin: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return prepare(twin, NINE, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def small(noise: Noise, write_zzu: Writer) -> Dataset:
    return open_dataset("zzu", write_zzu({"a": noise(7), "b": noise(4, seed=1)}))


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file under `folder`: when it was written, and what it holds."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in found}


@pytest.mark.parametrize(
    "settings", [NINE, Settings(("V3", "II"), 100.0, 2.5), Settings(NINE_LEADS, antialias=False)]
)
def test_values_are_those_of_wfdb_and_scipy(
    twin: Dataset, tmp_path: Path, settings: Settings
) -> None:
    made = prepare(twin, settings, tmp_path)
    length = round(settings.seconds * settings.fs)
    expected, records, starts = [], [], []
    for row, record in enumerate(twin.table["record"]):
        signal, fields = wfdb.rdsamp(str(twin.path(row)))
        names = [name.upper() for name in fields["sig_name"]]
        signal = signal[:, [names.index(lead.upper()) for lead in settings.leads]]
        if settings.antialias:
            slow = resample_poly(signal, 1, 5, axis=0, padtype="edge")
        else:
            slow = signal[::5]
        for place in range(len(slow) // length):  # the tail is dropped
            expected.append(slow[place * length : (place + 1) * length].T)
            records.append(record)
            starts.append(place * settings.seconds)
    assert made.steps.shape == (len(expected), len(settings.leads), length)
    assert made.steps.dtype == np.int16
    millivolts = made.millivolts(np.arange(len(made)))
    step = made.gain[:, :, None]
    # half a step, and what float32 loses of a peak
    assert (np.abs(millivolts - np.stack(expected)) <= 0.52 * step + 2e-5).all()
    assert np.abs(made.steps).max(axis=2).min() >= 32766  # every lead fills the 16 bits
    assert made.table["record"].tolist() == records
    assert made.table["start"].tolist() == starts


def test_labels_patients_and_ages_follow_the_recordings(twin: Dataset, nine: Windows) -> None:
    rows = [twin.table["record"].tolist().index(r) for r in nine.table["record"]]
    np.testing.assert_array_equal(nine.labels, twin.labels.to_numpy()[rows])
    assert nine.classes == tuple(twin.labels.columns)
    for column in ("patient", "age_days", "sex", "n_leads"):
        assert nine.table[column].tolist() == twin.table[column].iloc[rows].tolist()


def test_a_tail_is_dropped_and_a_window_that_just_fits_is_kept(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    signals = {"just": noise(3), "over": noise(5.98), "two": noise(6)}
    made = prepare(open_dataset("zzu", write_zzu(signals)), TWELVE, tmp_path)
    assert made.table["record"].tolist() == ["just", "over", "two", "two"]


def test_a_flat_lead_and_silence_in_a_window(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    signal = noise(6)
    signal[:, 0] = 0.0
    signal[:1500, 1] = 0.0
    made = prepare(open_dataset("zzu", write_zzu({"a": signal})), TWELVE, tmp_path)
    millivolts = made.millivolts(np.array([0, 1]))
    assert np.isfinite(millivolts).all()
    assert np.abs(millivolts[:, 0]).max() < 1e-4
    assert np.abs(millivolts[1, 1]).max() > 0.3


def test_the_key_follows_contents_and_settings_and_not_the_place(
    small: Dataset, tmp_path: Path
) -> None:
    def key(dataset: Dataset, settings: Settings = TWELVE) -> str:
        return prepare(dataset, settings, tmp_path / "cache").key

    moved = tmp_path / "moved" / "elsewhere"
    shutil.copytree(small.root, moved)
    keys = [key(small)]
    assert key(open_dataset("zzu", moved)) == keys[0]
    for settings in (
        Settings(NINE_LEADS),
        Settings(TWELVE_LEADS[::-1]),
        Settings(TWELVE_LEADS, fs=125.0),
        Settings(TWELVE_LEADS, seconds=2.0),
        Settings(TWELVE_LEADS, antialias=False),
        Settings(TWELVE_LEADS, whole=True),
        Settings(TWELVE_LEADS, whole=True, stretch=True),
        Settings(TWELVE_LEADS, whole=True, squeeze=True),
    ):
        keys.append(key(small, settings))
    keys.append(key(small.only(np.array([True, False]))))
    keys.append(key(small.only(np.array([False, True]))))

    dat = moved / "Child_ecg/P00/a.dat"
    stored = bytearray(dat.read_bytes())
    stored[1000] ^= 1
    dat.write_bytes(stored)
    keys.append(key(open_dataset("zzu", moved)))
    header = moved / "Child_ecg/P00/b.hea"
    header.write_text(header.read_text() + "# a word\n")
    keys.append(key(open_dataset("zzu", moved)))
    table = moved / "AttributesDictionary.csv"
    table.write_text(table.read_text().replace("Q21.0", "Q21.1", 1))
    keys.append(key(open_dataset("zzu", moved)))
    (moved / "Child_ecg/P00/b.dat").unlink()
    keys.append(key(open_dataset("zzu", moved)))
    assert len(set(keys)) == len(keys)


def test_the_key_follows_a_signal_file_of_another_name(small: Dataset) -> None:
    header = small.path(0).with_suffix(".hea")
    header.write_text(header.read_text().replace("a.dat", "other.dat"))
    other = small.path(0).with_name("other.dat")
    shutil.move(small.path(0).with_suffix(".dat"), other)
    before = windows.data_fingerprint(small)
    other.write_bytes(other.read_bytes()[:-2] + b"zz")
    assert windows.data_fingerprint(small) != before


def test_a_row_that_names_no_file_has_a_fingerprint(small: Dataset, tmp_path: Path) -> None:
    table = small.root / "AttributesDictionary.csv"
    table.write_text(table.read_text().replace("P00/a,", "../../../a,"))
    made = prepare(open_dataset("zzu", small.root), TWELVE, tmp_path / "cache")
    assert made.report.excluded == ["a"]
    assert made.table["record"].tolist() == ["b"]


def test_an_equal_request_finds_the_cache(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(small, TWELVE, tmp_path / "cache")
    before = state(tmp_path / "cache")
    monkeypatch.setattr(windows, "_make", None)
    again = prepare(small, TWELVE, tmp_path / "cache")
    assert state(tmp_path / "cache") == before
    assert len(before) == 5
    np.testing.assert_array_equal(first.steps, again.steps)
    assert first.report == again.report
    monkeypatch.undo()
    known = windows.data_fingerprint(small)
    assert prepare(small, TWELVE, tmp_path / "cache", known).key == first.key
    part = small.only(np.array([False, True]))
    assert prepare(part, TWELVE, tmp_path / "cache", known).table["record"].tolist() == ["b"]


NAMES = ["windows.i16", "gain.npy", "table.csv", "manifest.json", "checksums.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", ["cut in half", "a byte flipped", "emptied", "gone"])
def test_a_damaged_cache_is_made_again_with_a_word(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, harm: str
) -> None:
    first = prepare(small, TWELVE, tmp_path / "cache")
    before = {place: content for place, (_, content) in state(tmp_path / "cache").items()}
    del first
    assert capsys.readouterr().err == ""
    path = next((tmp_path / "cache").iterdir()) / name
    stored = bytearray(path.read_bytes())
    if harm == "gone":
        path.unlink()
    elif harm == "a byte flipped":
        stored[len(stored) // 2] ^= 4
        path.write_bytes(stored)
    else:
        path.write_bytes(stored[: len(stored) // 2 if harm == "cut in half" else 0])
    prepare(small, TWELVE, tmp_path / "cache")
    assert "are damaged; they are made again." in capsys.readouterr().err
    after = {place: content for place, (_, content) in state(tmp_path / "cache").items()}
    assert after == before


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"windows.i16": 1}', "\udcff"])
def test_checksums_of_another_form(small: Dataset, tmp_path: Path, content: str) -> None:
    prepare(small, TWELVE, tmp_path)
    path = next(p for p in tmp_path.rglob("checksums.json"))
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert len(prepare(small, TWELVE, tmp_path)) == 3
    assert set(json.loads(path.read_text())) == set(NAMES[:4])


def test_a_cache_that_another_process_takes_away(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, calls = windows._load, []

    def taken_away(dataset: Dataset, settings: Settings, folder: Path) -> Windows:
        calls.append(folder)
        if len(calls) == 1:
            shutil.rmtree(folder)
        return load(dataset, settings, folder)

    monkeypatch.setattr(windows, "_load", taken_away)
    assert len(prepare(small, TWELVE, tmp_path / "cache")) == 3
    assert len(calls) == 2


@pytest.mark.parametrize("writes", [0, 1, 3])
def test_a_disk_that_fills_up(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    real_open, left = Path.open, [writes]

    def full_open(path: Path, mode: str = "r", *args: object, **more: object) -> object:
        if "w" in mode:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real_open(path, mode, *args, **more)

    monkeypatch.setattr(Path, "open", full_open)
    with pytest.raises(PecgError, match=r"^The disk is full"):
        prepare(small, TWELVE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    assert len(prepare(small, TWELVE, tmp_path / "cache")) == 3


@pytest.mark.usefixtures("tiny_disk")
@pytest.mark.parametrize("seconds", [75, 160, 400])
def test_a_disk_that_is_full(
    noise: Noise, write_zzu: Writer, tmp_path: Path, seconds: float
) -> None:
    """1 MB: full within the windows, and with the larger ones at the first write."""
    dataset = open_dataset("zzu", write_zzu({"a": noise(seconds), "b": noise(seconds)}))
    disk = tmp_path / "disk"
    (disk / "filler").write_bytes(bytes(900_000))
    with pytest.raises(PecgError, match=r"^The disk is full"):
        prepare(dataset, TWELVE, disk / "cache")
    assert [p.name for p in disk.rglob("*") if p.is_file()] == ["filler"]
    (disk / "filler").unlink()
    if seconds < 200:
        assert len(prepare(dataset, TWELVE, disk / "cache")) == 2 * (seconds // 3)


def test_a_cache_that_is_a_file(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(PecgError, match="cannot be written"):
        prepare(small, TWELVE, tmp_path / "cache")


SECOND = """
import sys, time
from pathlib import Path
from pecg_utils.data import open_dataset, windows
from pecg_utils.data.recording import NINE_LEADS
dataset = open_dataset("zzu", Path(sys.argv[1]))
while time.time() < float(sys.argv[3]):
    time.sleep(0.001)
made = windows.prepare(dataset, windows.Settings(NINE_LEADS), Path(sys.argv[2]))
print(made.key, len(made), int(made.steps.astype(int).sum()))
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_two_processes_at_once(twin: Dataset, nine: Windows, tmp_path: Path, damaged: bool) -> None:
    if damaged:
        (tmp_path / nine.key).mkdir()
        (tmp_path / nine.key / "windows.i16").write_bytes(b"half")
    start = str(time.time() + 2.0)
    command = [sys.executable, "-c", SECOND, str(twin.root), str(tmp_path), start]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    total = int(nine.steps.astype(int).sum())
    assert [out for out, _ in said] == [f"{nine.key} {len(nine)} {total}\n"] * 2
    assert [p.name for p in tmp_path.iterdir()] == [nine.key]


def test_the_antialias_filter_kills_what_would_fold(write_zzu: Writer, tmp_path: Path) -> None:
    time_ = np.arange(5000) / 500
    signal = np.repeat(np.sin(2 * np.pi * 70 * time_)[:, None], 12, axis=1).astype(np.float32)
    dataset = open_dataset("zzu", write_zzu({"a": signal}))
    for antialias, loud in ((True, False), (False, True)):
        made = prepare(dataset, Settings(TWELVE_LEADS, antialias=antialias), tmp_path / "cache")
        middle = made.millivolts(np.array([1]))
        assert (np.abs(middle).max() > 0.9) == loud
        assert loud or np.abs(middle).max() < 0.02


def test_a_whole_recording_is_one_window_cut_or_filled_with_zeros(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    dataset = open_dataset("zzu", write_zzu({"a": noise(7), "b": noise(2, seed=1)}))
    whole = Settings(TWELVE_LEADS, fs=100.0, seconds=5.0, whole=True)
    made = prepare(dataset, whole, tmp_path)
    assert made.steps.shape == (2, 12, 500)
    assert made.table["record"].tolist() == ["a", "b"]
    long, short = made.millivolts(np.arange(2))
    filled = prepare(dataset, Settings(TWELVE_LEADS, 100.0, 2.0), tmp_path).millivolts
    step = made.gain.max()
    assert not short[:, 200:].any()
    assert np.abs(short[:, :200]).min(axis=1).max() > 0
    np.testing.assert_allclose(short[:, :200], filled(np.array([3]))[0], atol=2 * step)
    # the last sample of the cut one lacks what the filter would have seen after it
    np.testing.assert_allclose(long[:, :190], filled(np.array([0]))[0][:, :190], atol=2 * step)
    assert np.abs(long[:, -1]).max() > 0


def test_a_whole_recording_may_be_short_but_not_nothing(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    dataset = open_dataset("zzu", write_zzu({"a": noise(7), "b": noise(0.5, seed=1)}))
    made = prepare(dataset, Settings(TWELVE_LEADS, seconds=5.0, whole=True), tmp_path)
    assert list(made.report.excluded) == ["b"]
    (fault,) = [f for f in made.report.faults if f.excluded]
    assert fault.fault == "too short"


def test_a_short_recording_is_stretched_and_a_long_one_is_cut(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    signals = {"long": noise(7), "short": noise(2, seed=1), "just": noise(5, seed=2)}
    dataset = open_dataset("zzu", write_zzu(signals))
    padded = Settings(TWELVE_LEADS, fs=100.0, seconds=5.0, whole=True)
    plain, made = (
        prepare(dataset, dataclasses.replace(padded, stretch=stretch), tmp_path)
        for stretch in (False, True)
    )
    assert made.key != plain.key
    assert made.steps.shape == (3, 12, 500)
    for row in (0, 2):  # which are as long as a window, or longer
        np.testing.assert_array_equal(made.steps[row], plain.steps[row])
        np.testing.assert_array_equal(made.gain[row], plain.gain[row])
    given, short = (windows.millivolts(np.array([1]))[0] for windows in (plain, made))
    step = made.gain[1].max() + plain.gain[1].max()
    assert not given[:, 200:].any()
    assert np.abs(short[:, 200:]).max(axis=1).min() > 0.1
    places = np.linspace(0, 199, 500)  # the 200 samples at 100 Hz, the ends staying
    expected = [np.interp(places, np.arange(200), lead[:200]) for lead in given]
    np.testing.assert_allclose(short, expected, atol=step)
    np.testing.assert_allclose(short[:, [0, -1]], given[:, [0, 199]], atol=step)
    assert made.table.equals(plain.table)  # copies are still told by what was read
    assert made.report == plain.report


@pytest.mark.parametrize("way", ["stretch", "squeeze"])
def test_only_the_time_of_whole_recordings_is_changed(
    small: Dataset, tmp_path: Path, way: str
) -> None:
    several = Settings(TWELVE_LEADS, seconds=3.5, **{way: True})
    made = prepare(small, several, tmp_path)
    assert made.table["record"].tolist() == ["a", "a", "b"]  # of 7 and 4 s
    plain = prepare(small, dataclasses.replace(several, **{way: False}), tmp_path)
    np.testing.assert_array_equal(made.steps, plain.steps)
    assert several.timing == ""


def test_a_long_recording_is_squeezed_and_a_short_one_padded(
    noise: Noise, write_zzu: Writer, tmp_path: Path
) -> None:
    """All of it, at another rate: 6.17 s to 5 s; a late fault is then one of what was read."""
    late = noise(30, seed=4)
    late[14_000:, 3] = 27.0  # beyond the rail, and nowhere in the first five seconds
    signals = {"long": noise(6.17), "short": noise(2, seed=1), "just": noise(5, seed=2)}
    dataset = open_dataset("zzu", write_zzu({**signals, "late": late}))
    cut = Settings(TWELVE_LEADS, fs=100.0, seconds=5.0, whole=True)
    plain, made, both = (
        prepare(dataset, dataclasses.replace(cut, **ways), tmp_path)
        for ways in ({}, {"squeeze": True}, {"squeeze": True, "stretch": True})
    )
    assert len({plain.key, made.key, both.key}) == 3
    assert made.steps.shape == both.steps.shape == (4, 12, 500)
    for row in (1, 2):
        np.testing.assert_array_equal(made.steps[row], plain.steps[row])
    expected = squeezed(resample(signals["long"].astype("f4"), 500, 100), 500).T
    step = made.gain[0].max()
    np.testing.assert_allclose(made.millivolts(np.array([0]))[0], expected, atol=3 * step)
    np.testing.assert_array_equal(both.steps[[0, 3]], made.steps[[0, 3]])
    assert both.millivolts(np.array([1]))[0][:, 200:].any(axis=1).all()
    assert [w.settings.timing for w in (plain, made, both)] == [
        *("", "squeezed", "stretched and squeezed"),
    ]
    assert not plain.report.faults
    assert [(f.record, f.fault) for f in made.report.faults] == [("late", "railed")]


def test_a_sine_of_thirty_seconds_is_three_times_as_fast(write_zzu: Writer, tmp_path: Path) -> None:
    time_ = np.arange(15_000) / 500
    signal = np.repeat(np.sin(2 * np.pi * 7 * time_)[:, None], 12, axis=1).astype(np.float32)
    dataset = open_dataset("zzu", write_zzu({"a": signal}))
    whole = Settings(TWELVE_LEADS, seconds=10.0, whole=True, squeeze=True)
    made = prepare(dataset, whole, tmp_path)
    spectrum = np.abs(np.fft.rfft(made.lead("a")))
    assert np.fft.rfftfreq(1000, 0.01)[spectrum.argmax()] == pytest.approx(21)
    cut = prepare(dataset, dataclasses.replace(whole, squeeze=False), tmp_path)
    spectrum = np.abs(np.fft.rfft(cut.lead("a")))
    assert np.fft.rfftfreq(1000, 0.01)[spectrum.argmax()] == pytest.approx(7)


def test_one_lead_of_a_recordings_first_window(small: Dataset, tmp_path: Path) -> None:
    made = prepare(small, TWELVE, tmp_path)
    assert made.table["record"].tolist() == ["a", "a", "b"]
    millivolts = made.millivolts(np.arange(3))
    np.testing.assert_array_equal(made.lead("a"), millivolts[0, TWELVE_LEADS.index("II")])
    np.testing.assert_array_equal(made.lead("b", "V6"), millivolts[2, TWELVE_LEADS.index("V6")])
    assert made.lead("b").shape == (300,)
    turned = prepare(small, Settings(TWELVE_LEADS[::-1]), tmp_path)  # by name, not by place
    np.testing.assert_array_equal(turned.lead("a", "V1"), made.lead("a", "V1"))
