"""Each filter keeps the band that its words say, and moves waves in time only where they say so."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from pecg_utils import filters
from pecg_utils.errors import PecgError
from pecg_utils.filters import FILTERS, filtered, response

LINEAR = ("as coded", "as meant", "zero-phase")
TIME = np.arange(5000) / 500  # s


def sine(hertz, fs=500.0):
    """Ten seconds of 1 mV in two leads, (T, 2)."""
    lead = np.sin(2 * np.pi * hertz * np.arange(round(10 * fs)) / fs)
    return np.stack([lead, 2 * lead], axis=1).astype(np.float32)


def left_of(name, hertz, fs=500.0):
    """What a filter leaves of the size of a sine, in the middle of the recording."""
    before, after = sine(hertz, fs), filtered(sine(hertz, fs), fs, name)
    middle = slice(len(before) // 3, 2 * len(before) // 3)
    return after[middle].std(axis=0) / before[middle].std(axis=0)


def bumps(width, count=9):
    """Bells of a standard deviation of `width` s, one a second, (5000, 1), and when they are."""
    at = 0.5 + np.arange(1, count)
    lead = sum(np.exp(-0.5 * ((TIME - peak) / width) ** 2) for peak in at)
    return lead[:, None].astype(np.float32), at


@pytest.mark.parametrize(
    ("name", "kept", "removed"),
    [
        ("as coded", (10, 50, 100, 200), (0.5, 1, 2)),
        ("as meant", (2, 5, 10, 30), (0.1, 100, 150)),
        ("zero-phase", (2, 5, 10, 20), (0.1, 0.5, 100, 150)),
    ],
)
def test_what_is_kept_of_a_sine(name, kept, removed):
    for hertz in kept:
        assert (left_of(name, hertz) > 0.8).all(), hertz
    for hertz in removed:
        assert (left_of(name, hertz) < 0.3).all(), hertz


@pytest.mark.parametrize("name", LINEAR)
def test_the_gain_is_what_is_left_of_a_sine(name):
    for hertz in (2.0, 5.0, 20.0, 45.0, 100.0):
        gain = response(name, 500.0, [hertz])[0]
        np.testing.assert_allclose(left_of(name, hertz), gain, atol=0.01)


def test_edges_are_where_the_words_say():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(response("as coded", 500.0, [5.0, 225.0]), half, atol=1e-6)
    np.testing.assert_allclose(response("as meant", 500.0, [1.0, 45.0]), half, atol=1e-6)
    np.testing.assert_allclose(response("zero-phase", 500.0, [1.0, 45.0]), 0.5, atol=1e-6)
    np.testing.assert_allclose(response("as coded", 250.0, [2.5, 112.5]), half, atol=1e-6)
    grid = np.linspace(0.5, 49, 30)
    both = response("as coded", 100.0, grid), response("as meant", 100.0, grid)
    np.testing.assert_array_equal(*both)  # at the rate it was designed for it is what was meant
    assert response("none", 500.0, grid).tolist() == [1.0] * 30


def test_as_coded_is_one_line_of_scipy():
    recording = np.random.default_rng(0).normal(0, 0.3, (5000, 12)).astype(np.float32)
    theirs = sosfilt(butter(2, [1, 45], "bandpass", fs=100, output="sos"), recording, axis=0)
    ours = filtered(recording, 500.0, "as coded")
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours.dtype == np.float32


@pytest.mark.parametrize("width", [0.012, 0.04])  # s, as of an R and a T wave
def test_only_forwards_moves_a_wave(width):
    signal, at = bumps(width)

    def late(name):
        moved = filtered(signal, 500.0, name)[:, 0]
        near = [round(500 * (peak - 0.1)) for peak in at]
        return [TIME[first + np.argmax(moved[first : first + 100])] for first in near] - at

    for name in ("none", "zero-phase", "wavelet"):
        np.testing.assert_allclose(late(name), 0.0, atol=0.0021)
    # The upper edge delays a narrow wave, the lower one brings a wide one forwards.
    sign = 1 if width < 0.02 else -1
    assert (sign * late("as meant") > 0.003).all()
    assert (late("as coded") < (-0.003 if width < 0.02 else -0.03)).all()


@pytest.mark.parametrize("name", FILTERS[1:])
def test_a_constant_lead_ends_at_zero(name):
    after = filtered(np.full((5000, 2), 0.7, np.float32), 500.0, name)
    assert np.abs(after[2500:]).max() < 0.001
    if name in ("as coded", "as meant"):  # no state before the first sample: it rings
        assert np.abs(after[:50]).max() > 0.3
    else:
        assert np.abs(after).max() < 1e-4


def test_wavelets_take_the_drift_and_the_hiss_and_leave_the_qrs():
    beats, at = bumps(0.012)
    drift = (0.5 * np.sin(2 * np.pi * 0.2 * TIME))[:, None]
    hiss = np.random.default_rng(0).normal(0, 0.03, (5000, 1))
    after = filtered((beats + drift + hiss).astype(np.float32), 500.0, "wavelet")
    clean = filtered(beats, 500.0, "wavelet")
    assert np.abs(after - clean).max() < 0.12
    assert np.std(after - clean) < 0.25 * np.std(drift)
    peaks = clean[np.rint(at * 500).astype(int), 0]
    assert (peaks > 0.9).all()
    assert (after[np.rint(at * 500).astype(int), 0] > 0.85).all()
    between = np.abs(((TIME - 0.5) % 1) - 0.5) < 0.2
    rough = np.diff(after[between, 0], n=2).std() / np.diff(hiss[between, 0], n=2).std()
    assert rough < 0.1


def test_wavelets_shrink_a_recording_with_zeros_at_its_end_as_one_without():
    rng = np.random.default_rng(0)
    short = (bumps(0.012)[0] + rng.normal(0, 0.03, (5000, 1))).astype(np.float32)[:2000]
    padded = np.pad(short, ((0, 3000), (0, 0)))
    alone, beside = (filtered(each, 500.0, "wavelet")[500:1500] for each in (short, padded))
    assert np.diff(beside, n=2, axis=0).std() < 1.2 * np.diff(alone, n=2, axis=0).std()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("samples", [0, 1, 2, 7, 100, 2048, 5001])
def test_any_length(name, samples):
    signal = np.random.default_rng(0).normal(0, 0.3, (samples, 3)).astype(np.float32)
    after = filtered(signal, 500.0, name)
    assert after.shape == signal.shape
    assert after.dtype == np.float32
    assert np.isfinite(after).all()
    if name == "none":
        assert after is signal


def test_what_cannot_be_done_is_said():
    signal = np.zeros((500, 1), np.float32)
    with pytest.raises(PecgError, match="There is no filter 'notch'"):
        filtered(signal, 500.0, "notch")
    with pytest.raises(PecgError, match="needs more than 90 Hz; the signal has 80"):
        filtered(signal, 80.0, "as meant")
    with pytest.raises(PecgError, match="not linear"):
        response("wavelet", 500.0, [1.0])
    assert set(filters.WORDS) == set(FILTERS)
