"""Resampling against scipy, and what the anti-alias filter is for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from pecg_utils.beats import beats
from pecg_utils.errors import PecgError
from pecg_utils.signal import resample, squeezed, stretched


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


def test_stretched_by_hand() -> None:
    """Three samples as five: every other one lies halfway between two."""
    signal = np.array([[0.0, 5.0], [4.0, -1.0], [2.0, 3.0]], dtype="f4")
    out = stretched(signal, 5)
    assert out.dtype == np.float32
    assert out.tolist() == [[0, 5], [2, 2], [4, -1], [3, 1], [2, 3]]
    np.testing.assert_allclose(  # four: at the places 0, 2/3, 4/3 and 2
        stretched(signal, 4), [[0, 5], [8 / 3, 1], [10 / 3, 1 / 3], [2, 3]], rtol=1e-6
    )
    assert stretched(signal, 2).tolist() == [[0, 5], [2, 3]]  # pressed together, the ends stay
    np.testing.assert_array_equal(stretched(signal, 3), signal)
    np.testing.assert_array_equal(stretched(signal[:1], 4), np.repeat(signal[:1], 4, axis=0))


@pytest.mark.parametrize(("samples", "to"), [(600, 1000), (999, 1000), (7, 1000), (1000, 600)])
def test_a_line_stays_a_line_and_the_ends_stay(samples: int, to: int) -> None:
    line = np.stack([np.linspace(-1, 3, samples), np.linspace(2, 0, samples)], 1).astype("f4")
    out = stretched(line, to)
    assert out.shape == (to, 2)
    np.testing.assert_allclose(out[:, 0], np.linspace(-1, 3, to), atol=1e-6)
    np.testing.assert_array_equal(out[[0, -1]], line[[0, -1]])
    noise = np.random.default_rng(0).normal(size=(samples, 2)).astype("f4")
    np.testing.assert_array_equal(stretched(noise, to)[[0, -1]], noise[[0, -1]])
    assert np.abs(stretched(noise, to)).max() <= np.abs(noise).max()


def test_a_stretched_heart_beats_slower_by_the_factor() -> None:
    """80 beats a minute over 6 s, drawn out to 10 s, are 48."""
    time = np.arange(600) / 100
    phase = (time - 0.3) % 0.75
    pulse = np.exp(-0.5 * ((phase - 0.375) / 0.02) ** 2)[:, None].astype("f4")
    found = [60 / np.median(np.diff(beats(x, 100))) for x in (pulse, stretched(pulse, 1000))]
    assert found == pytest.approx([80, 80 * 6 / 10], rel=0.03)


@pytest.mark.parametrize(("seconds", "fs"), [(30, 500), (12.34, 500), (10.01, 100), (14.398, 500)])
def test_a_squeezed_tone_is_higher_by_the_factor(seconds: float, fs: float) -> None:
    """Also where the lengths have no factor in common, as 7199 and 5000 samples."""
    samples = round(10 * fs)
    out = squeezed(tone(5, fs, seconds), samples)
    assert out.shape == (samples, 2)
    assert out.dtype == np.float32
    phase = 2 * np.pi * 5 * seconds / 10 * np.arange(samples) / fs
    middle = slice(100, -100)
    expected = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    np.testing.assert_allclose(out[middle], expected[middle], atol=0.02)


def test_what_would_be_higher_than_half_the_rate_is_filtered_away() -> None:
    """30 s at 100 Hz as 10 s: 20 Hz would be 60 and fold to 40; 12 Hz is 36 and stays."""
    assert np.abs(squeezed(tone(20, 100, 30), 1000)[20:-20]).max() < 0.02
    assert np.abs(squeezed(tone(12, 100, 30), 1000)[20:-20]).max() > 0.95
    assert np.abs(stretched(tone(20, 100, 30), 1000)[20:-20]).max() > 0.9  # lines fold it


def test_a_squeezed_offset_has_no_step_at_its_ends() -> None:
    flat = np.full((1234, 2), [3.0, -20.0], dtype="f4")
    np.testing.assert_allclose(squeezed(flat, 1000), flat[:1000], rtol=2e-3)


def test_a_squeezed_heart_beats_faster_by_the_factor() -> None:
    """60 beats a minute over 24 s, pressed to 10 s, are 144."""
    time = np.arange(2400) / 100
    pulse = np.exp(-0.5 * ((time % 1.0 - 0.5) / 0.02) ** 2)[:, None].astype("f4")
    found = [60 / np.median(np.diff(beats(x, 100))) for x in (pulse, squeezed(pulse, 1000))]
    assert found == pytest.approx([60, 144], rel=0.03)
