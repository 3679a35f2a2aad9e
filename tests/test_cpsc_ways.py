"""CPSC2018 in the ways of the released code: first labels, swapped axes, heart rates."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_cpsc2018 import reference, write

from pecg_utils.data import cpsc_ways, open_dataset
from pecg_utils.data.prepared import to_steps
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Settings, Windows, prepare
from pecg_utils.errors import PecgError
from pecg_utils.models import create
from pecg_utils.signal import stretched

SECONDS = 10.0


@pytest.fixture
def own(tmp_path: Path) -> Dataset:
    """The challenge's own form: one, three and two labels, the first one never the smallest."""
    for number in (1, 2, 3):
        write(tmp_path / "cpsc", f"A000{number}", samples=4000 + 1000 * number)
    rows = ("A0001,5,,", "A0002,8,1,3", "A0003,7,6,")
    return open_dataset("cpsc2018", reference(tmp_path / "cpsc", *rows))


def carried(dataset: Dataset) -> list[list[str]]:
    flags = dataset.labels.to_numpy()
    return [dataset.labels.columns[row].tolist() for row in flags]


def test_each_recording_keeps_its_first_label_alone(own: Dataset) -> None:
    assert cpsc_ways.says_first(own)
    before = carried(own)
    assert before == [["RBBB"], ["Normal", "I-AVB", "STD"], ["PAC", "PVC"]]
    alone = cpsc_ways.first_alone(own)
    assert carried(alone) == [["RBBB"], ["STD"], ["PVC"]]
    assert alone.labels.columns.equals(own.labels.columns)
    assert set(alone.labels.dtypes) == {np.dtype(bool)}
    assert carried(own) == before  # the given one stays as it is
    assert alone.table.equals(own.table)
    assert alone.read(1).labels == ("STD",)
    assert own.read(1).labels == ("Normal", "I-AVB", "STD")


def test_the_windows_of_first_labels_carry_them_and_are_the_same_windows(
    own: Dataset, tmp_path: Path
) -> None:
    settings = Settings(TWELVE_LEADS, seconds=SECONDS, whole=True)
    every = prepare(own, settings, tmp_path / "cache")
    first = prepare(cpsc_ways.first_alone(own), settings, tmp_path / "cache")
    assert first.labels.sum(axis=1).tolist() == [1, 1, 1]
    assert every.labels.sum(axis=1).tolist() == [1, 3, 2]
    np.testing.assert_array_equal(first.steps, every.steps)


def test_a_recording_of_which_the_first_is_not_said_has_none(own: Dataset) -> None:
    mixed = dataclasses.replace(own, table=own.table.assign(first=["", "STD", "PVC"]))
    assert cpsc_ways.says_first(mixed)
    assert carried(cpsc_ways.first_alone(mixed)) == [[], ["STD"], ["PVC"]]


@pytest.mark.parametrize("lacks", ["the words", "the column"])
def test_without_first_labels_it_is_refused(own: Dataset, lacks: str) -> None:
    table = own.table.drop(columns="first")
    if lacks == "the words":
        table = own.table.assign(first="")
    silent = dataclasses.replace(own, table=table)
    assert not cpsc_ways.says_first(silent)
    with pytest.raises(
        PecgError,
        match=rf"^The recordings in {own.root} do not say which of their labels is the first; the "
        r"Challenge's own files with REFERENCE\.csv do\.$",
    ):
        cpsc_ways.first_alone(silent)


def test_the_real_wfdb_copy_does_not_say_and_the_twin_does(
    real: Callable[[str], Path], own: Dataset
) -> None:
    copy = open_dataset("cpsc2018", real("challenge-2021") / "training/cpsc_2018")
    assert cpsc_ways.says_first(copy) is False
    assert cpsc_ways.says_first(own) is True
    with pytest.raises(PecgError, match="do not say which of their labels is the first"):
        cpsc_ways.first_alone(copy)


def made(millivolts: np.ndarray, fs: float = 100.0) -> Windows:
    """Windows of signals (N, L, T) in mV."""
    steps, gain = to_steps(np.asarray(millivolts, dtype=np.float32))
    n, leads, samples = steps.shape
    return Windows(
        steps=steps,
        gain=gain,
        table=pd.DataFrame({"record": [f"A{i}" for i in range(n)], "patient": "unknown"}),
        labels=np.ones((n, 2), dtype=bool),
        classes=("a", "b"),
        settings=Settings(TWELVE_LEADS[:leads], fs=fs, seconds=samples / fs, whole=True),
        report=Report(n, ()),
        key="made",
    )


def test_transposed_each_sample_is_a_lead_with_its_value_to_16_bits() -> None:
    windows = made(
        np.random.default_rng(0).normal(0, 0.5, (3, 12, 40)) * [[[1.0], [30], [0.1]] * 4]
    )
    turned = cpsc_ways.transposed(windows)
    assert turned.steps.shape == (3, 40, 12)
    assert turned.gain.shape == (3, 40)
    assert (turned.steps.dtype, turned.gain.dtype) == (np.dtype("<i2"), np.float32)
    rows = np.arange(3)
    given, found = windows.millivolts(rows).transpose(0, 2, 1), turned.millivolts(rows)
    assert (np.abs(found - given) <= 0.51 * turned.gain[:, :, None]).all()
    assert found[1, 7, 4] == pytest.approx(windows.millivolts(rows)[1, 4, 7], abs=1e-3)
    assert np.abs(turned.steps).max(axis=2).min() == 32767  # every sample fills the 16 bits
    assert turned.settings.leads[:2] == ("sample 0", "sample 1")
    assert len(set(turned.settings.leads)) == 40
    assert dataclasses.replace(turned.settings, leads=TWELVE_LEADS) == windows.settings
    assert turned.table is windows.table
    np.testing.assert_array_equal(turned.labels, windows.labels)
    np.testing.assert_array_equal(turned.lead("A2", "sample 9"), found[2, 9])


def test_transposed_zeros_after_the_end_stay_zeros() -> None:
    signal = np.random.default_rng(0).normal(0, 0.5, (2, 12, 40))
    signal[1, :, 25:] = 0
    found = cpsc_ways.transposed(made(signal)).millivolts(np.arange(2))
    assert not found[1, 25:].any()
    assert np.abs(found[1, :25]).max(axis=1).min() > 0.1
    assert np.isfinite(found).all()


def test_the_model_takes_the_samples_of_ten_seconds_for_leads() -> None:
    turned = cpsc_ways.transposed(made(np.random.default_rng(0).normal(0, 0.5, (2, 12, 1000))))
    model = create("mrmnet", len(turned.settings.leads), 9, turned.steps.shape[2], width=4)
    answer = model.eval()(torch.from_numpy(turned.millivolts(np.arange(2))))
    assert answer.logits.shape == (2, 9)
    assert answer.logits.isfinite().all()
    with pytest.raises(PecgError, match="1001 leads"):
        create("mrmnet", 1001, 9, 12, width=4)


def heart(a_minute: float, seconds: float = SECONDS, fs: float = 100.0) -> np.ndarray:
    """Pulses of 1 mV in twelve leads, (12, T), the first one after 0.4 s."""
    time = np.arange(round(seconds * fs)) / fs
    beats = np.arange(0.4, seconds - 0.1, 60 / a_minute)
    pulse = np.exp(-0.5 * ((time - beats[:, None]) / 0.015) ** 2).sum(axis=0)
    return np.linspace(0.4, 1.2, 12)[:, None] * pulse


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0])
def test_heart_rates_are_those_of_the_signals(fs: float) -> None:
    rates = [45, 60, 75, 100, 140]
    found = cpsc_ways.heart_rates(made(np.stack([heart(rate, fs=fs) for rate in rates]), fs))
    assert found.shape == (5,)
    np.testing.assert_allclose(found, rates, rtol=0.02)


def test_where_fewer_than_three_beats_are_there_is_no_rate() -> None:
    flat, offset = np.zeros((12, 1000)), np.full((12, 1000), 0.7)
    two = heart(75)
    two[:, 150:] = 0  # beats at 0.4 and 1.2 s
    found = cpsc_ways.heart_rates(made(np.stack([flat, heart(75), offset, two])))
    assert np.isnan(found).tolist() == [True, False, True, True]
    three, less = heart(75, seconds=2.4), heart(75, seconds=1.6)
    assert cpsc_ways.heart_rates(made(three[None])) == pytest.approx([75], rel=0.02)
    assert np.isnan(cpsc_ways.heart_rates(made(less[None])))


def test_one_early_beat_and_zeros_after_the_end_leave_the_middle_interval() -> None:
    early = heart(60)
    early[:, 300:] = np.roll(early[:, 300:], -30, axis=1)  # a beat 0.7 s after the one before it
    short = heart(80)
    short[:, 600:] = 0  # of 6 s
    found = cpsc_ways.heart_rates(made(np.stack([early, short])))
    np.testing.assert_allclose(found, [60, 80], rtol=0.02)


def test_stretching_lowers_the_rate_by_the_factor_and_moves_the_class() -> None:
    six = heart(80, seconds=6.0)  # (12, 600)
    padded = np.pad(six, ((0, 0), (0, 400)))
    drawn = stretched(six.T.astype(np.float32), 1000).T
    before, after = cpsc_ways.heart_rates(made(np.stack([padded, drawn])))
    assert after / before == pytest.approx(0.6, rel=0.02)
    bands = list(cpsc_ways.RATES.values())
    assert np.searchsorted(bands, [before, after]).tolist() == [1, 0]  # slow, where it was normal


def test_every_rate_of_one_decimal_is_in_one_class() -> None:
    bands = list(cpsc_ways.RATES.values())
    assert bands == sorted(bands)
    assert [name.split()[0] for name in cpsc_ways.RATES] == ["under", "60", "over"]
    rates = [30, 59.9, 60.0, 75.3, 100.0, 100.1, 250]
    assert np.searchsorted(bands, rates).tolist() == [0, 0, 1, 1, 1, 2, 2]
    found = cpsc_ways.heart_rates(made(np.stack([heart(rate) for rate in (55, 77, 131)])))
    assert [round(rate, 1) for rate in found] == found.tolist()
