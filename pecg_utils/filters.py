"""The filters of a recording that the audit of "Are ECGs enough?" holds beside each other.

The paper's code means to keep 1 to 45 Hz (arXiv 2503.08960, utils.py:98 of both its versions). It
designs a Butterworth filter of order 2 for a rate of 100 Hz (*code*) and runs it at 500 Hz, where
every frequency of the design is five times as high: what it keeps is 5 to 225 Hz. It runs it
forwards only and from a state of zero (utils.py:364, *code*), so that waves move in time and change
their form, and a lead that begins at an offset rings there. It does so on the first 10 s, after
shorter recordings got zeros at their end, and cuts its 2,048 samples out of the result (*code*).

The other filters are *ours*: what the code meant, the same without moving anything in time, and one
of another kind.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

Signal = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

BAND = (1.0, 45.0)  # Hz, both edges at -3 dB: code
DESIGNED_FOR = 100.0  # Hz, the rate that the code gives to the design: code
ORDER = 2  # of either edge: code
DRIFT = 0.5  # Hz, the wavelets below which are baseline: ours
HISS = 25.0  # Hz, the wavelets above which are shrunk: ours
WAVELET = "sym8"  # near to symmetric, and near to the form of a QRS: ours
WORDS = MappingProxyType(
    {
        "none": "the recording as it is",
        "as coded": "1 to 45 Hz designed for 100 Hz and run at 500 Hz, which keeps 5 to 225 Hz; "
        "forwards only",
        "as meant": "1 to 45 Hz designed for the recording's own rate; forwards only",
        "zero-phase": "1 to 45 Hz designed for the recording's own rate; forwards and backwards, "
        "so that nothing moves in time",
        "wavelet": "the slowest wavelets taken away and the finest shrunk",
    }
)
FILTERS = tuple(WORDS)


def filtered(signal: Signal, fs: float, name: str) -> Signal:
    """`signal` (T, L) mV at `fs` Hz through the filter `name`, one of FILTERS: (T, L) float32 mV.

    Raises PecgError for an unknown name, and when `fs` is too low for the filter's band.
    """
    run = _RUN.get(known(name))
    if run is None or not signal.size:
        return signal
    return np.asarray(run(signal, fs), dtype=np.float32)


def known(name: str) -> str:
    """The name of a filter, looked at. Raises PecgError when there is none of this name."""
    if name not in FILTERS:
        raise PecgError(f"There is no filter {name!r}. Choose one of: {', '.join(FILTERS)}.")
    return name


def response(name: str, fs: float, frequencies: npt.ArrayLike) -> Floats:
    """The gain of a linear filter at `frequencies` (n,) Hz of a signal at `fs` Hz: (n,), 1 is all.

    Raises PecgError for "wavelet", whose gain depends on the signal, and as `filtered` does.
    """
    from scipy.signal import sosfreqz

    at = np.asarray(frequencies, dtype=np.float64)
    if known(name) == "none":
        return np.ones_like(at)
    if name == "wavelet":
        raise PecgError("The wavelet filter is not linear: it has no gain of its own to draw.")
    gain = np.abs(sosfreqz(_sections(DESIGNED_FOR if name == "as coded" else fs), at, fs=fs)[1])
    return np.asarray(gain**2 if name == "zero-phase" else gain)


@lru_cache(maxsize=8)
def _sections(fs: float) -> Floats:
    """The band-pass designed for `fs` Hz, as second-order sections (ORDER, 6)."""
    from scipy.signal import butter

    if fs <= 2 * BAND[1]:
        raise PecgError(
            f"A filter up to {BAND[1]:g} Hz needs more than {2 * BAND[1]:g} Hz; "
            f"the signal has {fs:g}. Raise its rate or take no filter."
        )
    return np.asarray(butter(ORDER, BAND, "bandpass", fs=fs, output="sos"))


def _as_coded(signal: Signal, fs: float) -> Floats:
    from scipy.signal import sosfilt

    return np.asarray(sosfilt(_sections(DESIGNED_FOR), signal, axis=0))


def _as_meant(signal: Signal, fs: float) -> Floats:
    from scipy.signal import sosfilt

    return np.asarray(sosfilt(_sections(fs), signal, axis=0))


def _zero_phase(signal: Signal, fs: float) -> Floats:
    from scipy.signal import sosfiltfilt

    padding = min(round(fs / BAND[0]), len(signal) - 1)  # the slowest wave that passes
    return np.asarray(sosfiltfilt(_sections(fs), signal, axis=0, padlen=padding))


def _wavelet(signal: Signal, fs: float) -> Floats:
    """Without baseline, and with soft thresholds on the finest details; all choices *ours*.

    A level of details holds an octave: the first fs / 4 to fs / 2, the next the one below it. So
    many levels are made that the approximation ends at or below DRIFT, and it is set to zero. The
    levels that begin at or above HISS are shrunk by the universal threshold of Donoho and Johnstone
    (1994), with the noise reckoned from each level's own median, as mains and muscle are not white.
    Zeros that fill up a short recording are not asked how large the noise is.
    """
    import pywt

    levels = max(1, int(np.ceil(np.log2(fs / (2 * DRIFT)))))
    # Beyond its ends the signal is its own mirror image, so that any length will do. pywt warns of
    # levels whose wavelets reach beyond the ends; at 10 s those of the slowest level all do.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        parts = pywt.wavedec(signal.astype(np.float64), WAVELET, "symmetric", levels, axis=0)
    parts[0] = np.zeros_like(parts[0])
    for octave in range(1, levels + 1):
        if fs / 2 ** (octave + 1) < HISS:
            break
        parts[-octave] = _shrunk(parts[-octave], len(signal))
    return np.asarray(pywt.waverec(parts, WAVELET, "symmetric", axis=0)[: len(signal)])


def _shrunk(details: Floats, samples: int) -> Floats:
    """`details` (n, L) moved towards zero by the universal threshold of each lead."""
    size = np.abs(details)
    size[size == 0] = np.nan
    held = ~np.isnan(size).all(axis=0)  # (L,) leads with any detail
    limit = np.zeros(details.shape[1])
    limit[held] = np.nanmedian(size[:, held], axis=0) / 0.6745 * np.sqrt(2 * np.log(samples))
    return np.asarray(np.sign(details) * np.maximum(np.abs(details) - limit, 0.0))


_RUN: dict[str, Callable[[Signal, float], Floats]] = {
    "as coded": _as_coded,
    "as meant": _as_meant,
    "zero-phase": _zero_phase,
    "wavelet": _wavelet,
}
