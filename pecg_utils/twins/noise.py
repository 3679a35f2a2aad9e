"""What a recording holds beside the heart: mains, muscle, wander, and the amplifier's rail.

All sizes are ours, set beside real ZZU-pECG recordings: a median step of 2 to 15 microvolts between
samples at 500 Hz, a one-second mean that moves by 0.01 to 0.05 mV.
"""

import numpy as np
from numpy.typing import NDArray

RAIL = 26.625  # mV; ZZU-pECG's amplifier ends at about 26.6 mV (audit of ECGBench)
_BAND = np.array([-0.5, -0.5, 0.0, 0.5, 0.5], np.float32)  # band-pass about 80 Hz at 500 Hz: muscle


def noise(rng: np.random.Generator, samples: int, fs: float = 500.0) -> NDArray[np.float32]:
    """Noise of the eight independent leads: (T, 8), mV. One recording is quieter than another."""
    # 50 Hz mains, in step on all leads, each with its own coupling
    time = np.arange(samples, dtype=np.float32) / np.float32(fs)
    coupling = 0.003 * np.exp(0.8 * rng.standard_normal(8)) * np.exp(0.5 * rng.standard_normal())
    mains = np.sin(2 * np.pi * np.float32(50.0) * time + np.float32(rng.uniform(0, 2 * np.pi)))
    total: NDArray[np.float32] = mains[:, None] * coupling.astype(np.float32)  # (T, 8)

    # muscle: band-passed noise that comes and goes, and white noise of the amplifier
    level = 0.003 * np.exp(0.5 * rng.standard_normal()) * np.exp(0.3 * rng.standard_normal(8))
    knots = np.arange(0, samples + fs, fs)  # one a second
    swell = np.exp(0.6 * rng.standard_normal(len(knots)))
    envelope = np.interp(np.arange(samples), knots, swell).astype(np.float32)
    white = rng.standard_normal((samples + 4, 8), dtype=np.float32)
    muscle = np.zeros((samples, 8), np.float32)  # (T, 8)
    for k in np.flatnonzero(_BAND):
        muscle += _BAND[k] * white[k : k + samples]
    total += muscle * (envelope[:, None] * level.astype(np.float32))
    total += 0.002 * white[:samples]

    # wander: breathing and electrodes, six slow waves a lead, drawn at 10 Hz and joined by lines
    slow = np.arange(0, samples + fs / 10, fs / 10)  # (K,)
    frequency = rng.uniform(0.08, 0.6, 6)
    phase = rng.uniform(0, 2 * np.pi, (6, 8))
    height = 0.025 * np.exp(0.6 * rng.standard_normal()) * np.exp(0.4 * rng.standard_normal(8))
    waves = np.sin(2 * np.pi * frequency[:, None, None] * slow[:, None] / fs + phase[:, None, :])
    drift = waves.mean(axis=0) * height * np.sqrt(6)  # (K, 8)
    for lead in range(8):
        total[:, lead] += np.interp(np.arange(samples), slow, drift[:, lead])
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
