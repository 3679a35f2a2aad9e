"""Where the beats of an ECG are, and which of them have the most common shape. All rules: *ours*.

A beat is a peak of an envelope: the mean over the leads of the signal's size between 8 and 30 Hz,
where there is little of P and T. Each lead is scaled by its usual beat and cut off a little above
it, so that a small QRS counts as a large one does, and a lead at the rail for one lead only.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

Floats = npt.NDArray[np.floating]
Signal = npt.NDArray[np.float32]

ALIKE = 0.88  # correlation from which two beats have one shape
_BEAT, _SMALL = 0.35, 0.15  # heights of a beat, and of one that fills a gap, of the usual height


def beats(signal: Signal, fs: float) -> Floats:
    """When the heart beats: (n,) s, the middle of each QRS, in `signal` (T, L) of any leads in mV.

    Raises PecgError when `fs` is not from 100 to 1000 Hz.
    """
    from scipy.signal import find_peaks

    if not 100 <= fs <= 1000:
        raise PecgError(f"Beats are found at 100 to 1000 Hz, not at {fs:g}; resample the signal.")
    if len(signal) < fs:
        return np.zeros(0)
    envelope, rate = _envelope(np.nan_to_num(signal), fs)
    at, about = find_peaks(envelope, distance=round(0.2 * rate), height=1e-6)
    height = about["peak_heights"]
    sure = at[height > _BEAT]
    if len(sure) < 2:
        return np.asarray((sure + 0.5) / rate)
    # A gap of nearly two beats may hide a small one.
    rr, after = np.median(np.diff(sure)), np.searchsorted(sure[:-1], at).clip(1)
    left, right = at - sure[after - 1], sure[after] - at
    hidden = (left + right > 1.6 * rr) & (np.minimum(left, right) > 0.4 * rr)
    keep = (height > _BEAT) | (hidden & (height > _SMALL))
    at, height = at[keep], height[keep]
    # What comes soon after a beat or just before it and is half as high is its T or P wave.
    gap, small = np.diff(at) / rate, np.zeros(len(at), bool)
    small[1:] |= (gap < 0.36) & (height[1:] < 0.5 * height[:-1])
    small[:-1] |= (gap < 0.30) & (height[:-1] < 0.5 * height[1:])
    return np.asarray((at[~small] + 0.5) / rate)


@lru_cache(maxsize=8)
def _band(rate: float) -> Floats:
    from scipy.signal import butter

    return np.asarray(butter(1, (8.0, 30.0), "bandpass", fs=rate, output="sos"))


def _envelope(signal: Signal, fs: float) -> tuple[Floats, float]:
    """How much the leads move as in a QRS: (t,), 1 at a usual beat near by; and its rate in Hz."""
    from scipy.signal import sosfiltfilt

    step = max(1, int(fs / 120))
    rate, rows = fs / step, len(signal) // step
    coarse = np.einsum("tsl->tl", signal[: rows * step].reshape(rows, step, -1)) / step  # (t, L)
    moved = smooth(np.abs(sosfiltfilt(_band(rate), coarse, axis=0)), 0.05 * rate)
    moved = np.maximum(moved - 1.5 * np.median(moved, axis=0), 0.0)  # less a noisy lead's noise
    # Blocks of 2.5 s or more hold a beat even at 30 a minute.
    blocks = np.array_split(np.arange(rows), max(1, int(rows / rate / 2.5)))
    usual = np.median([moved[block].max(axis=0) for block in blocks], axis=0)  # (L,)
    alive = usual > 1e-3
    if not alive.any():
        return np.zeros(rows), rate
    total = smooth(np.minimum(moved[:, alive] / usual[alive], 1.25).mean(axis=1), 0.08 * rate)
    highest = np.pad([total[block].max() for block in blocks], 2, mode="edge")
    near = np.median(np.lib.stride_tricks.sliding_window_view(highest, 5), axis=1)  # (blocks,)
    near = np.interp(np.arange(rows), [block.mean() for block in blocks], near)  # (t,)
    return total / np.maximum(near, 1e-9), rate


def aligned(
    signal: Signal, fs: float, r: Floats
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Lays the beats at `r` (n,) s of `signal` (T, L) on top of each other; three or more beats.

    Gives `r` moved, which beats have the most common shape, and how far each lead (L,) can be
    trusted: the part of its energy that all beats share, squared; near 0 where there is only noise.
    """
    shift = round(0.03 * fs)
    parts = np.clip(cut(signal, fs, r, 0.08 + shift / fs, 0.12 + shift / fs), -10.0, 10.0)
    parts -= parts.mean(axis=1, keepdims=True)  # (n, w + 2 shift, L)
    energy = np.median(np.square(parts).sum(axis=1), axis=0)  # (L,)
    shared = np.square(np.median(parts, axis=0)).sum(axis=0)  # (L,)
    trust = np.minimum(shared / np.maximum(energy, 1e-9), 1.0).astype(np.float32) ** 2
    parts *= trust
    width = parts.shape[1] - 2 * shift
    shape = _unit(parts[:, shift : shift + width])  # (n, w * L)
    same = shape @ shape.T > ALIKE  # (n, n)
    group = same[np.argmax(same.sum(axis=0))]  # (n,)
    template = np.median(shape[group], axis=0).reshape(width, -1)  # (w, L)
    fit = [np.einsum("nwl,wl->n", parts[:, k : k + width], template) for k in range(2 * shift + 1)]
    move = np.argmax(fit, axis=0)  # (n,)
    moved = parts[np.arange(len(r))[:, None], move[:, None] + np.arange(width)]  # (n, w, L)
    alike = _unit(moved) @ _unit(template[None])[0]  # (n,)
    common = alike > min(ALIKE, np.sort(alike)[-3] - 1e-6)  # where no three are alike, the best
    return r + np.where(alike < 0.7, 0, move - shift) / fs, common, trust


def _unit(parts: Floats) -> Floats:
    """Stretches (n, w, L) as vectors (n, w * L) of length 1 about each lead's mean."""
    flat = (parts - parts.mean(axis=1, keepdims=True)).reshape(len(parts), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def cut(signal: Signal, fs: float, r: Floats, before: float, after: float) -> Signal:
    """The stretches (n, w, L) from `before` s before each R to `after` s after it."""
    around = np.arange(-round(before * fs), round(after * fs) + 1)
    index = np.round(r * fs).astype(int)[:, None] + around
    return signal[np.clip(index, 0, len(signal) - 1)]


def smooth(x: Floats, width: float) -> Floats:
    """The moving average along axis 0 over about `width` samples, the ends repeated."""
    half = max(0, round((width - 1) / 2))
    padded = np.concatenate([x[:1].repeat(half + 1, 0), x, x[-1:].repeat(half, 0)])
    total = np.cumsum(padded, axis=0, dtype=np.float64)
    return np.asarray((total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1))
