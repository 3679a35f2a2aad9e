"""Resampling, and the filters of a band.

The anti-alias filter is the one that `scipy.signal.resample_poly` designs: a Kaiser-windowed sinc
(beta 5) of 20 * factor + 1 taps. For a whole factor it is applied here as one matrix product a
block, which on a CPU is several times faster than the general polyphase filter and equal to it.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

_BLOCK = 12  # output samples a matrix product makes: more would multiply more zeros


def resample(
    signal: npt.NDArray[np.float32], fs: float, to: float, antialias: bool = True
) -> npt.NDArray[np.float32]:
    """`signal` (samples, leads) from `fs` Hz at `to` Hz: (ceil(samples * to / fs), leads) float32.

    The first and the last sample are repeated beyond the edges, so that a lead with an offset has
    no step there. With antialias=False every n-th sample is kept and nothing is filtered: what
    the paper's reproduction does (arXiv 2510.03780, see the chapter), and aliasing with it.

    Raises PecgError when antialias=False and fs is no multiple of `to`.
    """
    ratio = Fraction(to / fs).limit_denominator(10_000)
    if ratio == 1:
        return signal
    if not antialias:
        if ratio.numerator != 1:
            raise PecgError(
                f"Plain decimation from {fs:g} to {to:g} Hz is impossible: {fs:g} is no multiple "
                f"of {to:g}. Leave the anti-alias filter on."
            )
        return np.ascontiguousarray(signal[:: ratio.denominator])
    if ratio.numerator == 1:
        return _decimate(signal, ratio.denominator)
    from scipy.signal import resample_poly

    resampled = resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype="edge")
    return np.asarray(resampled, dtype=np.float32)


def stretched(signal: npt.NDArray[np.float32], samples: int) -> npt.NDArray[np.float32]:
    """`signal` (T, L) drawn out or pressed together in time to `samples`: (samples, L) float32.

    Straight lines join the samples; the first and the last stay. A heart in it beats at another
    rate than it did. What the released code of MRM-Net does to short recordings (wxhdf/MRM c581ee6,
    data_process.py); how it reckons between the samples is not known, the lines are *ours*.
    """
    places = np.linspace(0, len(signal) - 1, samples)
    before = np.arange(len(signal))
    each = [np.interp(places, before, lead) for lead in signal.T]
    return np.asarray(np.stack(each, axis=1), dtype=np.float32)


def squeezed(signal: npt.NDArray[np.float32], samples: int) -> npt.NDArray[np.float32]:
    """`signal` (T, L) pressed together in time to exactly `samples` < T: (samples, L) float32.

    A heart in it beats T / samples times as fast, and so does all else in it: what would come to
    lie beyond half the rate is filtered away first, as in `resample`. Sample i stands for the
    moment i T / samples of the given ones, so that a sine of f Hz is one of f T / samples.
    """
    from scipy.signal import resample_poly

    pressed = resample_poly(signal, samples, len(signal), axis=0, padtype="edge")
    return np.asarray(pressed, dtype=np.float32)


def band_pass(
    signal: npt.NDArray[np.float32],
    fs: float,
    low: float,
    high: float,
    mains: float | None = None,
) -> npt.NDArray[np.float32]:
    """`signal` (samples, leads) between `low` and `high` Hz: (samples, leads) float32.

    Butterworth, order 2 at either edge, forwards and backwards, so that nothing moves in time.
    mains: Hz of a notch a thirtieth as wide. Orders and width are *ours*.
    """
    from scipy.signal import sosfiltfilt

    sections = _sections(fs, low, high, mains)
    padding = min(round(fs / low), len(signal) - 1)  # the slowest wave that passes
    return np.asarray(sosfiltfilt(sections, signal, axis=0, padlen=padding), dtype=np.float32)


@lru_cache(maxsize=8)
def _sections(fs: float, low: float, high: float, mains: float | None) -> npt.NDArray[np.float64]:
    from scipy.signal import butter, iirnotch, tf2sos

    parts = [butter(2, low, "highpass", fs=fs, output="sos")]
    parts.append(butter(2, high, "lowpass", fs=fs, output="sos"))
    if mains is not None:
        parts.append(tf2sos(*iirnotch(mains, 30.0, fs=fs)))
    return np.concatenate(parts)


@lru_cache(maxsize=8)
def _filter(factor: int) -> npt.NDArray[np.float64]:
    from scipy.signal import firwin

    return np.asarray(firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0)))


@lru_cache(maxsize=8)
def _band(factor: int) -> npt.NDArray[np.float32]:
    """(block, inputs): row m holds the filter's taps from input sample m * factor on."""
    taps = _filter(factor)
    band = np.zeros((_BLOCK, (_BLOCK - 1) * factor + taps.size), dtype=np.float32)
    for m in range(_BLOCK):
        band[m, m * factor : m * factor + taps.size] = taps
    return band


def _decimate(signal: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    samples, leads = signal.shape
    half = 10 * factor
    wanted = -(-samples // factor)
    blocks = -(-wanted // _BLOCK)
    band = _band(factor)
    length = (blocks - 1) * _BLOCK * factor + band.shape[1]
    padded = np.empty((length, leads), dtype=np.float32)
    padded[:half] = signal[0]
    padded[half : half + samples] = signal
    padded[half + samples :] = signal[-1]
    row, column = padded.strides
    pieces = np.lib.stride_tricks.as_strided(  # (blocks, inputs, leads), overlapping, no copy
        padded, (blocks, band.shape[1], leads), (_BLOCK * factor * row, row, column)
    )
    return np.asarray(np.matmul(band, pieces).reshape(-1, leads)[:wanted])
