"""Windows of filtered recordings: filtered at their rate, after the zeros, and cached apart."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pecg_utils.data import open_dataset
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Settings, prepare
from pecg_utils.errors import PecgError
from pecg_utils.filters import FILTERS, filtered

WHOLE = Settings(TWELVE_LEADS, fs=250.0, seconds=5.0, whole=True)


@pytest.fixture
def small(noise: Callable[..., np.ndarray], write_zzu: Callable[..., Path]) -> Dataset:
    return open_dataset("zzu", write_zzu({"a": noise(7) + 0.5, "b": noise(3, seed=1) + 0.5}))


@pytest.mark.parametrize("name", FILTERS)
def test_a_whole_recording_is_filtered_with_its_zeros(
    small: Dataset, tmp_path: Path, name: str
) -> None:
    plain, made = (
        prepare(small, dataclasses.replace(WHOLE, filter=each), tmp_path) for each in ("none", name)
    )
    assert (made.key == plain.key) == (name == "none")
    given, found = (windows.millivolts(np.arange(2)) for windows in (plain, made))
    step = made.gain.max() + plain.gain.max()
    for before, after in zip(given, found, strict=True):
        expected = filtered(before.T, 250.0, name).T
        np.testing.assert_allclose(after, expected, atol=4 * step)
    if name in ("as meant", "zero-phase"):  # the step to the zeros rings on in them
        assert np.abs(found[1, :, 760:800]).max() > 0.05
    assert made.table.equals(plain.table)
    assert made.report == plain.report
    assert made.settings.timing == ""


def test_a_recording_is_filtered_before_it_is_cut(small: Dataset, tmp_path: Path) -> None:
    several = Settings(TWELVE_LEADS, fs=250.0, seconds=1.5)
    plain, made = (
        prepare(small, dataclasses.replace(several, filter=name), tmp_path).millivolts(np.arange(4))
        for name in ("none", "as meant")
    )  # (4, 12, 375), all of one recording
    expected = filtered(plain.transpose(0, 2, 1).reshape(1500, 12), 250.0, "as meant")
    got = made.transpose(0, 2, 1).reshape(1500, 12)
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_windows_from_before_there_were_filters_are_found_again() -> None:
    old = '{"antialias": true, "fs": 250.0, "leads": ["I"], "seconds": 5.0, '
    old += '"squeeze": false, "stretch": false, "whole": true}'
    settings = Settings(("I",), 250.0, 5.0, whole=True)
    assert json.dumps(settings.told, sort_keys=True) == old
    keys = {
        hashlib.sha256(
            json.dumps(dataclasses.replace(settings, filter=name).told).encode()
        ).digest()
        for name in FILTERS
    }
    assert len(keys) == len(FILTERS)


def test_a_filter_that_there_is_not() -> None:
    with pytest.raises(PecgError, match="no filter 'band'"):
        Settings(TWELVE_LEADS, filter="band")


def test_a_filter_for_a_higher_rate(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="needs more than 90 Hz"):
        prepare(small, Settings(TWELVE_LEADS, fs=50.0, filter="as meant"), tmp_path)
    assert not list(tmp_path.glob("*/windows.i16"))
