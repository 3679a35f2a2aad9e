"""Every fault of the quality table, made on purpose."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pecg_utils.data import open_dataset, quality, windows
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.errors import PecgError

Writer = Callable[..., Path]
Noise = Callable[..., np.ndarray]


def only_fault(root: Path, leads: tuple[str, ...] = TWELVE_LEADS) -> quality.Fault:
    """The one fault of the record `bad`, which stands among good ones."""
    dataset = open_dataset("zzu", root)
    row = dataset.table["record"].tolist().index("bad")
    signal, faults = quality.check(dataset, row, leads, 3.0)
    assert len(faults) == 1
    assert (signal is None) == faults[0].excluded
    assert faults[0].record == "bad"
    return faults[0]


def edit(root: Path, old: str, new: str) -> None:
    header = root / "Child_ecg/P00/bad.hea"
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new))


def test_missing(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    (root / "Child_ecg/P00/bad.dat").unlink()
    fault = only_fault(root)
    assert (fault.fault, fault.detail, fault.excluded) == ("missing", "bad.dat is not there", True)
    (root / "Child_ecg/P00/bad.hea").unlink()
    assert only_fault(root).detail == "bad.hea is not there"


def test_unreadable(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    (root / "Child_ecg/P00/bad.dat").write_bytes(bytes(1000))
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("unreadable", True)
    assert fault.detail == "bad.dat is cut short, with 500 of 24,000 samples"
    (root / "Child_ecg/P00/bad.hea").write_text("bad twelve 500 2000\n")
    assert only_fault(root).fault == "unreadable"


@pytest.mark.parametrize("gain", ["1e-30", "1e-300", "0.001"])
def test_a_gain_that_makes_no_ecg(noise: Noise, write_zzu: Writer, gain: str) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    header = root / "Child_ecg/P00/bad.hea"
    lines = header.read_text().splitlines()
    words = lines[3].split()
    words[2] = f"{gain}(0)/mV"
    lines[3] = " ".join(words)
    header.write_text("\n".join(lines))
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("unreadable", True)
    assert "a wrong gain" in fault.detail


def test_a_path_outside_the_folder(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    table = root / "AttributesDictionary.csv"
    table.write_text(table.read_text().replace("P00/bad,", "../../secret,"))
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("unreadable", True)
    assert "not inside" in fault.detail


def test_wrong_rate(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    edit(root, "bad 12 500", "bad 12 250")
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("wrong rate", True)
    assert fault.detail == "250 Hz where the release has 500 Hz"


def test_lead_missing(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4, leads=9)})
    fault = only_fault(root)
    assert (fault.fault, fault.detail, fault.excluded) == ("lead missing", "V2, V4, V6", True)
    dataset = open_dataset("zzu", root)
    assert quality.inspect(dataset).faults == ()  # a 9-lead recording is asked for its nine


def test_too_short(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(3), "bad": noise(3)[:-1]})
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("too short", True)
    assert fault.detail == "3.00 s, a window needs 3 s"
    assert quality.check(open_dataset("zzu", root), 0, TWELVE_LEADS, 3.0)[1] == []


def test_nan(noise: Noise, write_zzu: Writer) -> None:
    root = write_zzu({"good": noise(4), "bad": noise(4)})
    path = root / "Child_ecg/P00/bad.dat"
    samples = np.fromfile(path, "<i2").reshape(-1, 12)
    samples[[5, 900], 4] = -32768
    samples[900, 5] = -32768
    samples.tofile(path)
    fault = only_fault(root)
    assert (fault.fault, fault.excluded) == ("NaN", True)
    assert fault.detail == "2 samples are marked as missing"
    assert quality.check(open_dataset("zzu", root), 1, ("I", "II"), 3.0)[1] == []  # other leads


def test_flat(noise: Noise, write_zzu: Writer) -> None:
    signal = noise(4)
    signal[:, [1, 7]] = 0.25
    root = write_zzu({"good": noise(4), "bad": signal})
    fault = only_fault(root)
    assert (fault.fault, fault.detail, fault.excluded) == ("flat", "II, V2", False)
    signal[:] = 0.25
    fault = only_fault(write_zzu({"bad": signal}, "all"))
    assert (fault.fault, fault.detail, fault.excluded) == ("flat", "every lead is constant", True)


@pytest.mark.parametrize("rail", [26.6, -26.6])
def test_railed(noise: Noise, write_zzu: Writer, rail: float) -> None:
    signal = noise(4)
    signal[100:200, 6] = rail
    root = write_zzu({"good": noise(4), "bad": signal})
    fault = only_fault(root)
    assert (fault.fault, fault.detail, fault.excluded) == ("railed", "V1, 5.0% of time", False)
    signal[100:200, 6] = 26.4 * np.sign(rail)
    assert quality.inspect(open_dataset("zzu", write_zzu({"a": signal}, "below"))).faults == ()


def test_the_others_go_on(noise: Noise, write_zzu: Writer, tmp_path: Path) -> None:
    railed = noise(7)
    railed[5, 2] = 27.0
    names = ["a", "gone", "b", "cut", "short", "railed"]
    signals = dict.fromkeys(names, noise(7)) | {"short": noise(2), "railed": railed}
    root = write_zzu(signals)
    (root / "Child_ecg/P00/gone.hea").unlink()
    (root / "Child_ecg/P00/cut.dat").write_bytes(b"12")
    made = windows.prepare(open_dataset("zzu", root), windows.Settings(TWELVE_LEADS), tmp_path)
    assert made.table["record"].tolist() == ["a", "a", "b", "b", "railed", "railed"]
    assert made.report.excluded == ["gone", "cut", "short"]
    assert made.report.checked == 6
    assert made.report.counts() == dict.fromkeys(
        ["duplicate", "missing", "unreadable", "too short", "railed"], 1
    )
    (copy,) = [fault for fault in made.report.faults if fault.fault == "duplicate"]
    assert (copy.record, copy.detail, copy.excluded) == ("b", "the samples of a", False)
    assert made.table.groupby("record")["same"].first().nunique() == 2
    assert Report.from_json(made.report.as_json()) == made.report


def test_none_left_is_one_clear_sentence(noise: Noise, write_zzu: Writer, tmp_path: Path) -> None:
    dataset = open_dataset("zzu", write_zzu({"a": noise(1), "b": noise(2), "c": noise(5)}))
    (dataset.path(2).parent / "c.dat").unlink()
    with pytest.raises(PecgError) as caught:
        windows.prepare(dataset, windows.Settings(TWELVE_LEADS), tmp_path / "cache")
    assert str(caught.value) == (
        f"No recording of {dataset.root} is left: 3 of 3 are shut out (too short 2, missing 1); "
        "the first is a, too short: 1.00 s, a window needs 3 s."
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_twins_report(twin: Dataset) -> None:
    report = quality.inspect(twin)
    assert report.checked == len(twin.table)
    assert report.excluded == []
    assert set(report.counts()) <= {"railed"}


def test_the_real_recordings(real: Callable[[str], Path]) -> None:
    report = quality.inspect(open_dataset("zzu", real("zzu-pecg")))
    assert report.checked == 19
    assert report.excluded == []


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("leads", [1, 9, 12])
def test_extremes_are_numpys(noise: Noise, samples: int, leads: int) -> None:
    signal = noise(2, leads)[:samples]
    for _ in range(2):
        low, high = quality.extremes(signal)
        np.testing.assert_array_equal(low, signal.min(axis=0))
        np.testing.assert_array_equal(high, signal.max(axis=0))
        signal[samples // 2, 0] = np.nan
