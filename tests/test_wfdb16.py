"""The format-16 reader against wfdb, value for value, and against broken files."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pecg_utils.data import open_dataset, wfdb16
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset
from pecg_utils.errors import PecgError


def same_as_wfdb(path: Path) -> None:
    signal, fs, leads = wfdb16.read(path)
    theirs, fields = wfdb.rdsamp(str(path))
    assert signal.dtype == np.float32
    np.testing.assert_array_equal(signal, theirs.astype(np.float32))
    assert fs == fields["fs"]
    assert list(leads) == fields["sig_name"]


def outcome(path: Path) -> tuple[np.ndarray, float, tuple[str, ...]] | str:
    """What the reader gives, or the sentence with which it refuses."""
    try:
        return wfdb16.read(path)
    except PecgError as error:
        return str(error)


def read_straight(path: Path) -> None:
    """Fails when the record would go through wfdb and so be equal to it for nothing."""
    assert wfdb16.read_header(path) is not None


def write(folder: Path, header: str | bytes, dat: bytes | None = None, name: str = "x") -> Path:
    (folder / f"{name}.hea").write_bytes(header if isinstance(header, bytes) else header.encode())
    if dat is not None:
        (folder / f"{name}.dat").write_bytes(dat)
    return folder / name


SAMPLES = np.arange(-300, 300, dtype="<i2").tobytes()  # 300 samples of 2 leads
LINE = "x.dat 16 200(0)/mV 16 0 0 0 0 {}"
GOOD = "\n".join(["x 2 500 300", LINE.format("I"), LINE.format("V2")]) + "\n"


def test_every_real_zzu_recording(real: Callable[[str], Path]) -> None:
    headers = sorted(real("zzu-pecg").rglob("*.hea"))
    assert len(headers) == 19
    for header in headers:
        read_straight(header.with_suffix(""))
        same_as_wfdb(header.with_suffix(""))


@pytest.mark.parametrize(("rate", "fs"), [("records500", 500), ("records100", 100)])
def test_real_ptbxl_recordings_at_both_rates(
    real: Callable[[str], Path], rate: str, fs: int
) -> None:
    headers = sorted((real("ptb-xl") / rate).rglob("*.hea"))[:: 500 // 30][:30]
    assert len(headers) == 30
    for header in headers:
        read_straight(header.with_suffix(""))
        same_as_wfdb(header.with_suffix(""))
        assert wfdb16.read(header.with_suffix(""))[1] == fs


def test_twins_with_9_and_12_leads(twin: Dataset) -> None:
    seen = set()
    for row, leads in enumerate(twin.table["n_leads"]):
        read_straight(twin.path(row))
        same_as_wfdb(twin.path(row))
        seen.add(leads)
    assert seen == {9, 12}


def test_a_lead_is_found_by_name_and_not_by_position(twin: Dataset) -> None:
    counts = twin.table["n_leads"].tolist()
    nine, twelve = twin.read(counts.index(9)), twin.read(counts.index(12))
    assert (nine.leads, twelve.leads) == (NINE_LEADS, TWELVE_LEADS)
    assert (nine.leads[7], twelve.leads[7]) == ("V3", "V2")
    np.testing.assert_array_equal(nine.take(["V3"])[:, 0], nine.signal[:, 7])
    np.testing.assert_array_equal(twelve.take(["V3"])[:, 0], twelve.signal[:, 8])
    np.testing.assert_array_equal(twelve.take(["V6", "I"]), twelve.signal[:, [11, 0]])
    with pytest.raises(PecgError, match=r"no lead V2, V6; it has I, II"):
        nine.take(["V2", "V6", "I"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_wfdb_writes(tmp_path: Path, data: st.DataObject) -> None:
    leads = data.draw(st.integers(1, 12))
    samples = data.draw(st.integers(1, 1100))
    digital = np.random.default_rng(data.draw(st.integers(0, 99))).integers(
        -32768, 32768, (samples, leads)
    )
    if data.draw(st.booleans()):  # missing samples
        digital[:: data.draw(st.integers(1, 50))] = wfdb16.INVALID
    wfdb.wrsamp(
        "r",
        fs=data.draw(st.sampled_from([100, 257, 360, 499.5, 500, 1000])),
        units=["mV"] * leads,
        sig_name=[f"lead {k}" for k in range(leads)],
        d_signal=digital,
        fmt=["16"] * leads,
        adc_gain=data.draw(st.lists(st.floats(0.01, 1e6), min_size=leads, max_size=leads)),
        baseline=data.draw(st.lists(st.integers(-40000, 40000), min_size=leads, max_size=leads)),
        comments=data.draw(st.sampled_from([[], ["Age: 3"]])),
        write_dir=str(tmp_path),
    )
    read_straight(tmp_path / "r")
    same_as_wfdb(tmp_path / "r")


def test_a_missing_sample_is_nan(tmp_path: Path) -> None:
    digital = np.array([[1, -32768], [-32767, 3]], dtype="<i2")
    path = write(tmp_path, GOOD.replace("300", "2"), digital.tobytes())
    expected = np.array([[0.005, np.nan], [-163.835, 0.015]], dtype=np.float32)
    np.testing.assert_array_equal(wfdb16.read(path)[0], expected)


def test_headers_as_old_tools_write_them(tmp_path: Path) -> None:
    """No baseline: the ADC zero is it. Gain 0 or none: 200. Comments and blank lines between."""
    header = (
        "# made by hand, Zürich\n\nx 2 500 300\n\n"
        "x.dat 16 0 16 7 0 0 0 I\n# half way\nx.dat 16 1e2/mV 12 -3 0 0 0 V 2 \n# age 3\n"
    )
    path = write(tmp_path, header.encode("latin-1"), SAMPLES)
    read_straight(path)
    same_as_wfdb(path)
    signal, _, leads = wfdb16.read(path)
    assert leads == ("I", "V 2")
    np.testing.assert_allclose(signal[0], [(-300 - 7) / 200, (-299 + 3) / 100], rtol=1e-6)


def test_a_byte_offset_before_the_samples(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace(" 16 200", " 16+24 200"), bytes(24) + SAMPLES)
    read_straight(path)
    same_as_wfdb(path)
    assert wfdb16.read(path)[0][0, 0] == np.float32(-1.5)


def test_other_formats_go_through_wfdb(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-2000, 2000, (500, 2))
    for name, formats in {"old": ["212", "212"], "two": ["16", "16"]}.items():
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV", "uV"],
            sig_name=["MLII", "V5"],
            d_signal=digital,
            fmt=formats,
            adc_gain=[200.0, 0.5],
            baseline=[0, 10],
            write_dir=str(tmp_path),
        )
        signal, fs, leads = wfdb16.read(tmp_path / name)
        assert (fs, leads) == (360, ("MLII", "V5"))
        # the second lead is written in µV, and comes as mV
        expected = np.stack([digital[:, 0] / 200, (digital[:, 1] - 10) / 0.5 / 1000], axis=1)
        np.testing.assert_allclose(signal, expected, rtol=1e-6)


def test_two_signal_files(tmp_path: Path) -> None:
    header = GOOD.replace("x.dat", "y.dat", 1)
    path = write(tmp_path, header, SAMPLES[:600])
    (tmp_path / "y.dat").write_bytes(SAMPLES[600:])
    same_as_wfdb(path)
    assert wfdb16.read(path)[0][0].tolist() == [0, -1.5]


def test_a_signal_file_of_another_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_bytes(SAMPLES)
    (tmp_path / "inner").mkdir()
    for name in ("../x.dat", str(tmp_path / "x.dat"), "./../x.dat"):
        path = write(tmp_path / "inner", GOOD.replace("x.dat", name))
        with pytest.raises(PecgError, match=r"^unreadable: x\.hea is malformed .* is outside"):
            wfdb16.read(path)


def test_segments_of_nothing_take_no_memory(tmp_path: Path) -> None:
    """wfdb fills what a segment announces as empty with NaN, however much it is."""
    write(tmp_path, GOOD, SAMPLES)
    nothing = "".join(f"~ 0 200(0)/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "V2"))
    write(tmp_path, f"layout 2 500 0\n{nothing}", name="layout")
    segments = "long/3 2 500 {}\nlayout 0\nx 300\n~ {}\n"
    short = write(tmp_path, segments.format(500, 200), name="long")
    signal = wfdb16.read(short)[0]
    assert np.isnan(signal).sum() == 400
    same_as_wfdb(short)
    write(tmp_path, segments.format(40_000_300, 40_000_000), name="long")
    with pytest.raises(PecgError, match="2 leads of 40,000,300 samples announced"):
        wfdb16.read(short)


def test_a_lead_in_another_unit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("/mV", "/mmHg", 1), SAMPLES)
    with pytest.raises(PecgError, match=r"^unreadable: x: a lead is in 'mmHg' and not in mV"):
        wfdb16.read(path)


FIRST = GOOD.splitlines()[0]
MALFORMED: dict[str, str | bytes] = {
    "empty": "",
    "blank": "\n \n\t\n",
    "comments only": "# nothing\n# here\n",
    "binary": bytes(range(256)) * 8,
    "zeros": bytes(4096),
    "cut in the first line": "x 2 5",
    "cut in the name": "x",
    "cut in a signal line": GOOD[:30],
    "cut before the last signal": GOOD[: GOOD.index("\n", 20)],
    "cut after the gain": GOOD[:-20],
    "negative signals": GOOD.replace("x 2", "x -2"),
    "no signal": GOOD.replace("x 2", "x 0"),
    "no signal, no line": "x 0 500 300\n",
    "more signals than lines": GOOD.replace("x 2", "x 12"),
    "a million signals": GOOD.replace("x 2", "x 1000000"),
    "endless signals": GOOD.replace("x 2", "x " + "9" * 30),
    "endless digits": GOOD.replace("x 2", "x " + "9" * 5000),
    "more lines than signals": GOOD.replace("x 2", "x 1"),
    "negative samples": GOOD.replace("500 300", "500 -300"),
    "no samples": GOOD.replace("500 300", "500 0"),
    "samples left out": GOOD.replace("500 300", "500"),
    "10 GB announced": GOOD.replace("500 300", "500 2500000000"),
    "10 GB announced in format 212": GOOD.replace(" 16 ", " 212 ").replace("300", "2500000000"),
    "10 GB announced in format 8": GOOD.replace(" 16 200", " 8 200").replace("300", "2500000000"),
    "10 GB announced in two files": GOOD.replace("x.dat", "y.dat", 1).replace(
        "500 300", "500 2500000000"
    ),
    "10 GB of no signal in segments": "x/2 2 500 2500000000\n~ 2499999999\nx 1\n",
    "itself as its segment": "x/2 2 500 600\nx 300\nx 300\n",
    "a segment that is not there": "x/2 2 500 600\ny 300\nz 300\n",
    "no segment": "x/0 2 500 600\n",
    "a rate of 0": GOOD.replace("500", "0"),
    "a rate of none": GOOD.replace("500 300", "fast 300"),
    "a rate with two points": GOOD.replace("500 300", "5.0.0 300"),
    "a negative rate": GOOD.replace("500 300", "-500 300"),
    "a counter rate": GOOD.replace("500 300", "500/100(3) 300"),
    "gain NaN": GOOD.replace("200(", "NaN("),
    "gain inf": GOOD.replace("200(", "inf("),
    "gain beyond float": GOOD.replace("200(", "1e999("),
    "gain of words": GOOD.replace("200(", "two("),
    "gain E": GOOD.replace("200(", "2E2("),
    "gain with plus": GOOD.replace("200(", "+200("),
    "gain tiny": GOOD.replace("200(", "1e-300("),
    "gain huge": GOOD.replace("200(", "1e300("),
    "gain negative": GOOD.replace("200(", "-200("),
    "gain zero": GOOD.replace("200(", "0.0("),
    "baseline beyond int64": GOOD.replace("(0)", "(" + "9" * 30 + ")"),
    "baseline of words": GOOD.replace("(0)", "(zero)"),
    "baseline with a point": GOOD.replace("(0)", "(0.5)"),
    "folder above": GOOD.replace("x.dat", "../x.dat"),
    "folder above alone": GOOD.replace("x.dat", ".."),
    "this folder": GOOD.replace("x.dat", "."),
    "absolute file": GOOD.replace("x.dat", "/etc/passwd"),
    "another file": GOOD.replace("x.dat", "nowhere.dat"),
    "no file": GOOD.replace("x.dat", "~"),
    "the header itself": GOOD.replace("x.dat", "x.hea"),
    "an unknown format": GOOD.replace(" 16 200", " 17 200"),
    "format 212": GOOD.replace(" 16 200", " 212 200"),
    "format words": GOOD.replace(" 16 200", " sixteen 200"),
    "two samples a frame": GOOD.replace(" 16 200", " 16x2 200"),
    "a skew": GOOD.replace(" 16 200", " 16:3 200", 1),
    "an offset beyond the end": GOOD.replace(" 16 200", " 16+999999999999999999999 200"),
    "an odd offset": GOOD.replace(" 16 200", " 16+1 200"),
    "no lead names": "\n".join(["x 2 500 300", *["x.dat 16 200(0)/mV 16 0 0 0 0"] * 2]),
    "fields missing": "\n".join(["x 2 500 300", *["x.dat 16 200"] * 2]),
    "only files": "\n".join(["x 2 500 300", *["x.dat"] * 2]),
    "commas for blanks": GOOD.replace(" ", ","),
    "carriage returns": GOOD.replace("\n", "\r\n"),
    "utf-16": GOOD.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "megabytes": GOOD + "# and so on\n" * 200_000,
    "a wrong date": GOOD.replace("500 300", "500 300 25:99:99 99/99/9999"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_header_is_named_or_read_as_wfdb_reads_it(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, MALFORMED[kind], SAMPLES)
    begun = time.monotonic()
    found = outcome(path)
    if isinstance(found, str):
        assert found.startswith(("missing: ", "unreadable: "))
        assert "\n" not in found
    else:
        signal, fs, leads = found
        assert signal.shape[1] == len(leads)
        assert signal.size <= 600
        if kind != "a wrong date":  # which wfdb refuses, though no sample depends on it
            theirs, fields = wfdb.rdsamp(str(path))
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(signal, theirs.astype(np.float32))
            assert (fs, list(leads)) == (fields["fs"], [str(n) for n in fields["sig_name"]])
    assert time.monotonic() - begun < 2


MUST_FAIL = ["empty", "binary", "negative signals", "negative samples", "10 GB announced"]
MUST_FAIL += ["more signals than lines", "folder above", "absolute file", "gain NaN", "gain inf"]
MUST_FAIL += ["10 GB announced in two files", "10 GB of no signal in segments", "megabytes"]
MUST_FAIL += ["a rate of 0", "baseline beyond int64", "no signal", "another file"]


@pytest.mark.parametrize("kind", MUST_FAIL)
def test_these_are_never_read(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, MALFORMED[kind], SAMPLES)
    with pytest.raises(PecgError, match=r"^(missing|unreadable): "):
        wfdb16.read(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_bytes_in_the_header_end_well(tmp_path: Path, data: st.DataObject) -> None:
    header = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(header)))
        drop = data.draw(st.integers(0, 3))
        new = data.draw(st.binary(max_size=3) | st.sampled_from([b"9", b"-", b" ", b"\n", b"/"]))
        header[place : place + drop] = new
    path = write(tmp_path, bytes(header), SAMPLES)
    found = outcome(path)
    if isinstance(found, str):
        assert found.startswith(("missing: ", "unreadable: "))
        return
    signal, _, leads = found
    assert signal.shape[1] == len(leads)
    if wfdb16.read_header(path) is not None:
        try:
            theirs, _ = wfdb.rdsamp(str(path))
        except Exception:  # names of records that wfdb does not allow
            return
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(signal, theirs.astype(np.float32))


def test_signal_files_missing_cut_short_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"^missing: x\.hea is not there"):
        wfdb16.read(tmp_path / "x")
    path = write(tmp_path, GOOD)
    with pytest.raises(PecgError, match=r"^missing: x\.dat is not there"):
        wfdb16.read(path)
    write(tmp_path, GOOD, SAMPLES[:-2])
    with pytest.raises(PecgError, match=r"^unreadable: x\.dat is cut short, with 599 of 600"):
        wfdb16.read(path)
    (tmp_path / "x.dat").unlink()
    (tmp_path / "x.dat").mkdir()
    with pytest.raises(PecgError, match=r"^unreadable: x\.dat"):
        wfdb16.read(path)
    with pytest.raises(PecgError, match=r"^unreadable: "):
        wfdb16.read(tmp_path / "x\0y")


def test_the_data_card_names_the_readers() -> None:
    with pytest.raises(PecgError, match="No dataset is called 'mit'; there are zzu, ptbxl"):
        open_dataset("mit", ".")
