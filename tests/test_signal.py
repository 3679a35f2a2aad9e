"""Resampling against scipy, and what the anti-alias filter is for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from pecg_utils.errors import PecgError
from pecg_utils.signal import resample


def tone(hz: float, fs: float = 500, seconds: float = 10) -> np.ndarray:
    time = np.arange(round(seconds * fs)) / fs
    return np.stack([np.sin(2 * np.pi * hz * time), np.cos(2 * np.pi * hz * time)], 1).astype("f4")


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 1500),
    leads=st.integers(1, 12),
    factor=st.sampled_from([2, 3, 5, 10]),
    offset=st.floats(-20, 20, allow_subnormal=False),
)
def test_equal_to_scipys_polyphase_filter(
    samples: int, leads: int, factor: int, offset: float
) -> None:
    noise = np.random.default_rng(samples).normal(offset, 1, (samples, leads)).astype("f4")
    slow = resample(noise, 100.0 * factor, 100.0)
    theirs = resample_poly(noise.astype(float), 1, factor, axis=0, padtype="edge")
    assert slow.shape == theirs.shape == (-(-samples // factor), leads)
    assert slow.dtype == np.float32
    np.testing.assert_allclose(slow, theirs, atol=1e-5 * (1 + abs(offset)))


@pytest.mark.parametrize(("fs", "to"), [(360, 500), (500, 360), (257, 100), (1000, 499.5)])
def test_rates_that_are_no_multiple(fs: float, to: float) -> None:
    slow = resample(tone(7, fs), fs, to)
    assert len(slow) == int(np.ceil(round(10 * fs) * to / fs))
    middle = slice(100, -100)
    expected = np.sin(2 * np.pi * 7 * np.arange(len(slow)) / to)
    np.testing.assert_allclose(slow[middle, 0], expected[middle], atol=0.01)


def test_the_filter_kills_70_hz_and_plain_decimation_folds_it_to_30() -> None:
    kept, killed = tone(30), tone(70)
    filtered = resample(killed, 500, 100)[20:-20]
    assert np.abs(filtered).max() < 0.02
    plain = resample(killed, 500, 100, antialias=False)
    assert np.abs(plain).max() > 0.9
    spectrum = np.abs(np.fft.rfft(plain[:, 0]))
    assert np.fft.rfftfreq(len(plain), 0.01)[spectrum.argmax()] == pytest.approx(30)
    passed = resample(kept, 500, 100)[20:-20]
    np.testing.assert_allclose(passed, kept[::5][20:-20], atol=0.02)


def test_a_lead_with_an_offset_has_no_step_at_its_ends() -> None:
    flat = np.full((777, 2), [3.0, -20.0], dtype="f4")
    np.testing.assert_allclose(resample(flat, 500, 100), flat[:156], rtol=2e-3)


def test_plain_decimation_keeps_every_fifth_sample() -> None:
    signal = tone(5)[:503]
    np.testing.assert_array_equal(resample(signal, 500, 100, antialias=False), signal[::5])
    with pytest.raises(PecgError, match="from 360 to 100 Hz is impossible"):
        resample(signal, 360, 100, antialias=False)


def test_an_equal_rate_changes_nothing() -> None:
    signal = tone(5)
    np.testing.assert_array_equal(resample(signal, 500, 500), signal)
