"""From beats to the heart's two dipoles: each wave of each beat is laid where its time says.

Any stretch of a recording can be drawn by itself, since only `draw_shaking` has to do with chance:
two stretches side by side equal one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.heart import Bumps, Heart, Shape, p_wave, qrs_complex, t_wave
from pecg_utils.twins.rhythms import Beats

# How a P wave's vector (left, down, back) differs from the sinus node's, by where it starts; ours.
_FROM = {
    "sinus": (1.0, 1.0, 1.0),
    "paced": (1.0, 0.9, 0.8),  # from the right atrium's appendage
    "ectopic": (-0.7, 0.7, 1.2),  # from the left atrium
    "retrograde": (0.4, -1.0, 0.5),  # from the AV node or below: negative in II, III and aVF
    "eccentric": (-0.9, -0.7, 1.2),  # from a pathway on the left: negative in I too
}
_SPIKE = np.array([0.6, 0.5, -0.4])  # mV, of a pacing spike; ours


@dataclass(frozen=True)
class Shaking:
    """The fibrillating atria of one heart: four waves of 4 to 8 a second, which drift in rate."""

    frequency: NDArray[np.float64]  # (4,) Hz
    phase: NDArray[np.float64]  # (4, 2) of the wave and of its drift
    vectors: NDArray[np.float64]  # (4, 3) mV

    def __call__(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """The dipole (T, 3) in mV at times (T,) in s."""
        drift = 1.5 * np.sin(2 * np.pi * 0.23 * time[:, None] + self.phase[:, 1])  # (T, 4)
        waves = np.sin(2 * np.pi * self.frequency * time[:, None] + self.phase[:, 0] + drift)
        return np.asarray(waves @ self.vectors)


def draw_shaking(rng: np.random.Generator) -> Shaking:
    """One heart's fibrillation, 0.02 to 0.1 mV high, highest towards V1; sizes ours."""
    height = 0.035 * np.exp(0.4 * rng.standard_normal())
    towards = np.array([0.5, 0.6, 1.0]) * rng.standard_normal((4, 3))
    return Shaking(rng.uniform(4.0, 8.0, 4), rng.uniform(0, 2 * np.pi, (4, 2)), height * towards)


@dataclass(frozen=True)
class Marks:
    """Where each beat's waves begin and end: arrays (n,), s; r is the middle of the QRS."""

    r: NDArray[np.float64]
    p_on: NDArray[np.float64]
    p_off: NDArray[np.float64]
    qrs_on: NDArray[np.float64]
    qrs_off: NDArray[np.float64]
    t_on: NDArray[np.float64]
    t_off: NDArray[np.float64]


def marks(beats: Beats, hearts: Mapping[str, Heart], shape: Shape, seconds: float) -> Marks:
    """The waves of those beats with a QRS whose middle lies between 0 and `seconds`."""
    beats = beats.only(~np.isnan(beats.qrs))
    width, t_on, t_off = (np.zeros(len(beats)) for _ in range(3))
    for kind in np.unique(beats.qrs_kind):
        mine = beats.qrs_kind == kind
        waves, begins = t_wave(hearts[kind], shape)
        width[mine], t_on[mine], t_off[mine] = hearts[kind].qrs / 1000, begins, waves.end
    r = beats.qrs + 0.5 * width
    keep = (r >= 0) & (r < seconds)
    p_end = p_wave(hearts["normal"], shape).end
    found = (
        r,
        beats.p,
        beats.p + p_end,
        beats.qrs,
        beats.qrs + width,
        beats.qrs + t_on,
        beats.qrs + t_off,
    )
    return Marks(*(column[keep] for column in found))


def dipoles(
    beats: Beats,
    hearts: Mapping[str, Heart],
    shape: Shape,
    first: int,
    last: int,
    fs: float = 500.0,
    shaking: Shaking | None = None,
) -> NDArray[np.float32]:
    """Both dipoles (last - first, 6) in mV of the samples `first` to `last` at `fs` Hz.

    The first three columns are of P and QRS, the others of ST and T, as `torso.VIEW` wants them: X
    points to the left, Y to the feet, Z to the back. hearts: by kind of QRS, as `heart.kinds` gives
    them. shaking: of the atria where `beats` says so.
    """
    both = np.zeros((last - first, 6), np.float32)
    signal, after = both[:, :3], both[:, 3:]  # views
    normal = p_wave(hearts["normal"], shape)
    for kind in np.unique(beats.p_kind):
        mine = (beats.p_kind == kind) & ~np.isnan(beats.p)
        if kind == "flutter":
            waves = _flutter_wave(hearts["normal"])
        else:
            turned = normal.vectors * np.array(_FROM[str(kind)])
            waves = Bumps(normal.centre, normal.width, turned, normal.end)
        lay(signal, beats.p[mine], beats.gain[mine, 0], waves, first, fs)
        if kind == "paced":
            _spikes(signal, beats.p[mine], first, fs)
    for kind in np.unique(beats.qrs_kind):
        mine = (beats.qrs_kind == kind) & ~np.isnan(beats.qrs)
        loop, (end, _) = qrs_complex(hearts[kind], shape), t_wave(hearts[kind], shape)
        lay(signal, beats.qrs[mine], beats.gain[mine, 1], loop, first, fs)
        lay(after, beats.qrs[mine], beats.gain[mine, 2], end, first, fs)
        if kind == "paced":
            _spikes(signal, beats.qrs[mine], first, fs)
    if shaking is not None and beats.shaking.any():
        time = np.arange(first, last) / fs  # (T,)
        start = np.fmin(beats.p, beats.qrs)
        before = np.searchsorted(start, time, side="right") - 1  # (T,) the beat before each sample
        now = beats.shaking[np.maximum(before, 0)]
        signal[now] += shaking(time[now]).astype(np.float32)
    return both


def _flutter_wave(heart: Heart) -> Bumps:
    """One tooth of the saw: a slow fall and a fast rise in II, III and aVF."""
    size = 1.6 * heart.p_right
    vectors = size * np.array([[-0.25, -1.0, 0.35], [0.1, 0.55, -0.5]])
    return Bumps(np.array([0.06, 0.135]), np.array([0.034, 0.02]), vectors, 0.19)


def _spikes(signal: NDArray[np.float32], times: NDArray[np.float64], first: int, fs: float) -> None:
    at = np.rint(times * fs).astype(int) - first
    signal[at[(at >= 0) & (at < len(signal))]] += _SPIKE.astype(np.float32)


def lay(
    signal: NDArray[np.float32],
    times: NDArray[np.float64],
    gain: NDArray[np.float64],
    waves: Bumps,
    first: int,
    fs: float,
) -> None:
    """Add `waves` at `times` (n,), in s, to `signal` (T, C), which begins at sample `first`.

    gain: (n,) factors on the waves, whose vectors are (k, C).
    """
    before = float((waves.centre - 5 * waves.width).min())  # s, before and after which it is flat
    after = float((waves.centre + 5 * waves.width).max())
    span = int((after - before) * fs) + 2
    begin = np.floor((times + before) * fs).astype(int)  # (n,)
    near = (begin + span > first) & (begin < first + len(signal))
    begin, times, gain = begin[near], times[near], gain[near]
    if not len(begin):
        return
    time = (begin[:, None] + np.arange(span)) / fs - times[:, None]  # (n, span) s from the onset
    bumps = time[:, :, None].astype(np.float32) - waves.centre.astype(np.float32)  # (n, span, k)
    bumps /= (np.sqrt(2) * waves.width).astype(np.float32)
    np.exp(-bumps * bumps, out=bumps)
    moved = bumps @ waves.vectors.astype(np.float32)  # (n, span, C)
    moved *= gain[:, None, None].astype(np.float32)
    for start, beat in zip(begin - first, moved, strict=True):
        low, high = max(start, 0), min(start + span, len(signal))
        signal[low:high] += beat[low - start : high - start]
