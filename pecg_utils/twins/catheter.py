"""Electrograms inside the heart, timed from the same beats that make the surface ECG.

A bipolar electrogram is a short burst when the tissue under its two poles is activated. Each
channel sees the atrium, the ventricle or both, each with its own delay from the P wave's or the QRS
complex's onset, by where that beat came from. Delays and sizes are ours, after what textbooks of
electrophysiology describe:

- In sinus rhythm the coronary sinus is activated from its mouth (CS90) outwards (CS12).
- Backwards through the AV node the septum comes first: CS90 before CS12. In AVNRT that is at the
  time of the QRS complex; through a right-sided pathway it is at least 70 ms after its onset.
- Through a left-sided pathway CS12 comes first: the eccentric sequence of left-sided AVRT.
- The right ventricle's apex (RVA12) comes first when it is paced there, and late when the right
  bundle is blocked or a pathway on the left pre-excites the ventricles.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.draw import lay
from pecg_utils.twins.heart import Bumps
from pecg_utils.twins.rhythms import Beats

CHANNELS = ("ABL12", "ABL_uni", "RVA12", "CS12", "CS34", "CS56", "CS78", "CS90", "ART")
_CS = ("CS12", "CS34", "CS56", "CS78", "CS90")


def _along(first: float, last: float) -> dict[str, float]:
    """Delays along the coronary sinus from CS12 to CS90."""
    return dict(zip(_CS, np.linspace(first, last, 5).tolist(), strict=True))


# Delay in s of the atrium under each channel from the P wave's onset, by where the P wave starts.
_ATRIUM = {
    "sinus": {"ABL12": 0.045, "ABL_uni": 0.045, **_along(0.095, 0.055)},
    "paced": {"ABL12": 0.055, "ABL_uni": 0.055, **_along(0.110, 0.070)},
    "ectopic": {"ABL12": 0.070, "ABL_uni": 0.070, **_along(0.020, 0.060)},
    "retrograde": {"ABL12": 0.004, "ABL_uni": 0.004, **_along(0.052, 0.012)},
    "eccentric": {"ABL12": 0.002, "ABL_uni": 0.002, **_along(0.006, 0.058)},
    "flutter": {"ABL12": 0.020, "ABL_uni": 0.020, **_along(0.090, 0.055)},
}
# The same of the ventricle from the QRS complex's onset.
_VENTRICLE = {
    "normal": {"ABL12": 0.030, "ABL_uni": 0.030, "RVA12": 0.012, **_along(0.070, 0.052)},
    "aberrant": {"ABL12": 0.034, "ABL_uni": 0.034, "RVA12": 0.070, **_along(0.070, 0.052)},
    "preexcited": {"ABL12": 0.002, "ABL_uni": 0.002, "RVA12": 0.058, **_along(0.006, 0.036)},
    "ventricular": {"ABL12": 0.045, "ABL_uni": 0.045, "RVA12": 0.022, **_along(0.100, 0.075)},
    "paced": {"ABL12": 0.050, "ABL_uni": 0.050, "RVA12": 0.002, **_along(0.125, 0.095)},
}
# Size in mV and half-width in s of the burst that each channel sees of each chamber.
_NEAR = {
    "atrium": {"ABL12": (0.6, 0.003), "ABL_uni": (0.5, 0.007)} | dict.fromkeys(_CS, (0.7, 0.0028)),
    "ventricle": {"ABL12": (0.9, 0.005), "ABL_uni": (1.5, 0.010), "RVA12": (2.2, 0.0030)}
    | dict.fromkeys(_CS, (0.35, 0.006)),
}


@dataclass(frozen=True)
class Catheters:
    """The catheters of one procedure.

    channels: their names, in the record's order. size: (2, C) factors on what each sees of atrium
    and ventricle. shape: (2, C, 4) heights of a burst's four deflections. silent: channels without
    contact, whose signal is flat.
    """

    channels: tuple[str, ...]
    size: NDArray[np.float64]
    shape: NDArray[np.float64]
    silent: tuple[str, ...] = ()


def draw_catheters(
    rng: np.random.Generator, channels: tuple[str, ...], silent: tuple[str, ...] = ()
) -> Catheters:
    """Catheters at their usual places, each with its own contact and angle."""
    size = np.exp(0.35 * rng.standard_normal((2, len(channels))))
    signs = np.array([0.5, -1.0, 0.8, -0.3]) * rng.choice([-1.0, 1.0], (2, len(channels), 1))
    shape = signs + 0.15 * rng.standard_normal((2, len(channels), 4))
    return Catheters(channels, size, shape, silent)


def electrograms(
    rng: np.random.Generator, beats: Beats, catheters: Catheters, first: int, last: int, fs: float
) -> NDArray[np.float32]:
    """What the catheters see in the samples `first` to `last`: (last - first, C), mV, no noise.

    rng: for the fibrillating atria alone, whose bursts come at random.
    """
    signal = np.zeros((last - first, len(catheters.channels)), np.float32)
    for kind, delays in _ATRIUM.items():
        mine = (beats.p_kind == kind) & ~np.isnan(beats.p)
        bursts = _bursts(catheters, delays, "atrium")
        lay(signal, beats.p[mine], beats.gain[mine, 0], bursts, first, fs)
    for kind, delays in _VENTRICLE.items():
        mine = (beats.qrs_kind == kind) & ~np.isnan(beats.qrs)
        bursts = _bursts(catheters, delays, "ventricle")
        lay(signal, beats.qrs[mine], beats.gain[mine, 1], bursts, first, fs)
    _fibrillate(rng, signal, beats, catheters, first, fs)
    if "ART" in catheters.channels:
        pulse = Bumps(  # the pressure wave: a fast rise, a slow fall and its notch; scale ours
            np.array([0.20, 0.28, 0.40]),
            np.array([0.045, 0.07, 0.06]),
            np.eye(len(catheters.channels))[[catheters.channels.index("ART")] * 3]
            * np.array([[0.35], [0.35], [0.15]]),
            0.6,
        )
        felt = beats.qrs[~np.isnan(beats.qrs)]
        lay(signal, felt, np.ones(len(felt)), pulse, first, fs)
    for name in catheters.silent:
        signal[:, catheters.channels.index(name)] = 0.0
    return signal


def _bursts(catheters: Catheters, delays: dict[str, float], chamber: str) -> Bumps:
    """One activation of a chamber as all channels see it: four deflections a channel."""
    which = 0 if chamber == "atrium" else 1
    centre, width, vectors = [], [], []
    for place, name in enumerate(catheters.channels):
        if name not in delays or name not in _NEAR[chamber]:
            continue
        height, half = _NEAR[chamber][name]
        for k, deflection in enumerate(catheters.shape[which, place]):
            centre.append(delays[name] + (k - 1.5) * 1.7 * half)
            width.append(half)
            vector = np.zeros(len(catheters.channels))
            vector[place] = height * catheters.size[which, place] * deflection
            vectors.append(vector)
    if not centre:  # no channel sees it
        return Bumps(np.zeros(1), np.full(1, 0.01), np.zeros((1, len(catheters.channels))), 0.0)
    return Bumps(np.array(centre), np.array(width), np.array(vectors), max(centre))


def _fibrillate(
    rng: np.random.Generator,
    signal: NDArray[np.float32],
    beats: Beats,
    catheters: Catheters,
    first: int,
    fs: float,
) -> None:
    """Add the atria's bursts while they fibrillate: about six a second, each of another size."""
    if not beats.shaking.any():
        return
    start = np.fmin(beats.p, beats.qrs)
    length = len(signal) / fs
    at = np.cumsum(0.09 + rng.gamma(4.0, 0.018, int(length / 0.1) + 2)) + first / fs
    at = at[at < first / fs + length]
    before = np.searchsorted(start, at, side="right") - 1
    at = at[beats.shaking[np.maximum(before, 0)]]
    bursts = _bursts(catheters, _ATRIUM["sinus"], "atrium")
    lay(signal, at, rng.uniform(0.2, 1.1, len(at)), bursts, first, fs)
