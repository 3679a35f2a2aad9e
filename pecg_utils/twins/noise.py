"""What a recording holds beside the heart: mains, muscle, wander, and the amplifier's rail.

All sizes are ours, set beside real ZZU-pECG recordings: a median step of 2 to 15 microvolts between
samples at 500 Hz, a one-second mean that moves by 0.01 to 0.05 mV.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAIL = 26.625  # mV; ZZU-pECG's amplifier ends at about 26.6 mV (audit of ECGBench)
_BAND = np.array([-0.5, -0.5, 0.0, 0.5, 0.5], np.float32)  # band-pass about 80 Hz at 500 Hz: muscle


@dataclass(frozen=True)
class Device:
    """An electrocardiograph and its surroundings. hum, muscle, floor and wander are factors."""

    mains: float = 50.0  # Hz
    hum: float = 1.0
    muscle: float = 1.0
    floor: float = 1.0  # the amplifier's own noise
    wander: float = 1.0
    low: float = 0.0  # Hz, of its high-pass filter; 0 for none
    high: float = 0.0  # Hz, of its low-pass filter; 0 for none

    def through(self, leads: NDArray[np.float32], fs: float) -> NDArray[np.float32]:
        """`leads` (T, L) as the device's filters let them through."""
        from scipy.signal import butter, sosfiltfilt  # a second, which only writing a twin needs

        for edge, kind in ((self.low, "highpass"), (self.high, "lowpass")):
            if 0 < edge < 0.5 * fs:
                sections = butter(2 if kind == "lowpass" else 1, edge, kind, fs=fs, output="sos")
                leads = sosfiltfilt(sections, leads, axis=0).astype(np.float32)
        return leads


ZZU = Device()


@dataclass(frozen=True)
class Drift:
    """The wander of one recording's baseline: six slow waves in each of the independent leads."""

    frequency: NDArray[np.float64]  # (6,) Hz
    phase: NDArray[np.float64]  # (6, 8)
    height: NDArray[np.float64]  # (8,) mV

    def __call__(self, first: int, last: int, fs: float) -> NDArray[np.float32]:
        """The samples `first` to `last` at `fs` Hz: (last - first, 8), mV."""
        step = fs / 10  # drawn at 10 Hz and joined by lines
        knots = np.arange(first, last + step, step)  # (K,)
        angle = 2 * np.pi * self.frequency[:, None, None] * knots[:, None] / fs  # (6, K, 1)
        at_knots = np.sin(angle + self.phase[:, None, :]).mean(axis=0) * self.height  # (K, 8)
        time = np.arange(first, last)
        leads = [np.interp(time, knots, lead) for lead in at_knots.T]
        return np.stack(leads, axis=1).astype(np.float32)


def draw_drift(rng: np.random.Generator, device: Device = ZZU) -> Drift:
    """The wander of a recording made with `device`: breathing and electrodes."""
    frequency, phase = rng.uniform(0.08, 0.6, 6), rng.uniform(0, 2 * np.pi, (6, 8))
    height = 0.025 * np.exp(0.6 * rng.standard_normal()) * np.exp(0.4 * rng.standard_normal(8))
    return Drift(frequency, phase, device.wander * height * np.sqrt(6))


def noise(
    rng: np.random.Generator, samples: int, fs: float = 500.0, device: Device = ZZU
) -> NDArray[np.float32]:
    """Noise of the eight independent leads: (T, 8), mV. One recording is quieter than another."""
    total = hiss(rng, draw_levels(rng, device), samples, fs, device)
    total += draw_drift(rng, device)(0, samples, fs)
    return total


@dataclass(frozen=True)
class Levels:
    """How loud a recording's mains, muscle and amplifier are in each independent lead: (8,), mV."""

    mains: NDArray[np.float64]
    phase: float
    muscle: NDArray[np.float64]
    floor: NDArray[np.float64]


def draw_levels(rng: np.random.Generator, device: Device = ZZU) -> Levels:
    """The levels of a recording made with `device`."""
    mains = 0.003 * np.exp(0.8 * rng.standard_normal(8)) * np.exp(0.5 * rng.standard_normal())
    phase = float(rng.uniform(0, 2 * np.pi))
    muscle = 0.003 * np.exp(0.5 * rng.standard_normal()) * np.exp(0.3 * rng.standard_normal(8))
    floor = 0.002 * np.exp(0.2 * rng.standard_normal()) * np.exp(0.15 * rng.standard_normal(8))
    return Levels(device.hum * mains, phase, device.muscle * muscle, device.floor * floor)


def hiss(
    rng: np.random.Generator,
    levels: Levels,
    samples: int,
    fs: float,
    device: Device = ZZU,
    first: int = 0,
) -> NDArray[np.float32]:
    """Mains, muscle and the amplifier, without wander: (samples, 8), mV, from sample `first` on."""
    # mains in step on all leads, each with its own coupling
    time = np.arange(first, first + samples, dtype=np.float64) / fs
    wave = np.sin(2 * np.pi * device.mains * time + levels.phase).astype(np.float32)
    total: NDArray[np.float32] = wave[:, None] * levels.mains.astype(np.float32)  # (T, 8)

    # muscle: band-passed noise that comes and goes, and white noise of the amplifier
    knots = np.arange(0, samples + fs, fs)  # one a second
    swell = np.exp(0.6 * rng.standard_normal(len(knots)))
    envelope = np.interp(np.arange(samples), knots, swell).astype(np.float32)
    white = rng.standard_normal((samples + 4, 8), dtype=np.float32)
    muscle = np.zeros((samples, 8), np.float32)  # (T, 8)
    for k in np.flatnonzero(_BAND):
        muscle += _BAND[k] * white[k : k + samples]
    total += muscle * (envelope[:, None] * levels.muscle.astype(np.float32))
    total += white[:samples] * levels.floor.astype(np.float32)
    return total


def touch_rail(
    rng: np.random.Generator, leads: NDArray[np.float32], places: list[int], fs: float = 500.0
) -> None:
    """Let one to three of the columns `places` of `leads` (T, L) run into the rail, in place.

    An electrode loses touch for 2 to 600 ms, the lead stands at the rail, then comes back
    exponentially. The columns should be chest leads: a limb lead at the rail would break
    Einthoven's law, as it does in real recordings.
    """
    samples = len(leads)
    chosen = rng.choice(places, size=min(len(places), int(rng.integers(1, 4))), replace=False)
    for lead in chosen:
        for _ in range(int(rng.integers(1, 4))):
            length = int(fs * 0.002 * 300 ** rng.uniform())
            start = int(rng.integers(0, samples - length))
            side = np.float32(RAIL if rng.uniform() < 0.5 else -RAIL)
            after = np.arange(samples - start - length, dtype=np.float32) / fs
            leads[start : start + length, lead] = side
            leads[start + length :, lead] += side * np.exp(-after / rng.uniform(0.02, 0.3))
    np.clip(leads, -RAIL, RAIL, out=leads)
