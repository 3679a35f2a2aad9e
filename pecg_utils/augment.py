"""Windows, changed at random before they are taught: six changes and none.

*code* (arXiv 2503.08960's, data_augmentation.py of v1, unchanged in v2): for each window one number
of 0 to 6 is drawn, all as likely, and says what is done, as KINDS has it, after the window was
normalised. What is dropped is the same in all leads, and so are both waves, which begin at phase 0
with the piece. Its scaling (lines 84-91) changes nothing, is never drawn, and is left out.

Amplitudes are in the windows' own units: standard deviations where they are normalised by them,
else mV. They do not follow the units: windows of length 1 ("l2" of data/normalise.py), whose
samples are a seventieth on average, are lost under the sine.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

KINDS = (
    "nothing",
    "nothing",
    "sign flipped",
    "a tenth dropped",
    "leads zeroed",
    "sine added",
    "square added",
)
DROPPED = 0.1  # the chance of each sample
ZEROED = 0.2  # the chance of each lead
SINE = (0.25, 1.0), (0.001, 0.02)  # amplitude; cycles a sample
SQUARE = (0.005, 0.02), (0.001, 0.1)


def augmented(batch: Floats, rng: np.random.Generator) -> Floats:
    """Windows (B, L, T), each changed in a way that is drawn for it, as a new array (B, L, T)."""
    return changed(batch, rng.integers(len(KINDS), size=len(batch)), rng)


def changed(batch: Floats, kinds: npt.NDArray[np.integer], rng: np.random.Generator) -> Floats:
    """As `augmented`, each window in the way of KINDS that `kinds` (B,) gives it by number."""
    found = np.array(batch, dtype=np.float32)
    for kind, change in _CHANGES.items():
        which = np.flatnonzero(kinds == kind)
        if len(which):
            found[which] = change(found[which], rng)
    return found


def _flipped(x: Floats, rng: np.random.Generator) -> Floats:
    return -x


def _dropped(x: Floats, rng: np.random.Generator) -> Floats:
    kept = rng.random((x.shape[0], x.shape[2])) >= DROPPED  # (n, T)
    return np.where(kept[:, None], x, np.float32(0))


def _zeroed(x: Floats, rng: np.random.Generator) -> Floats:
    kept = rng.random(x.shape[:2]) >= ZEROED  # (n, L)
    return np.where(kept[:, :, None], x, np.float32(0))


def _sine(x: Floats, rng: np.random.Generator) -> Floats:
    return _added(x, rng, *SINE, np.sin)


def _square(x: Floats, rng: np.random.Generator) -> Floats:
    """Up in the first half of each cycle, down in the second."""
    return _added(x, rng, *SQUARE, lambda phase: np.where(phase % (2 * np.pi) < np.pi, 1.0, -1.0))


def _added(
    x: Floats,
    rng: np.random.Generator,
    amplitudes: tuple[float, float],
    frequencies: tuple[float, float],
    wave: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> Floats:
    amplitude = rng.uniform(*amplitudes, (len(x), 1))  # (n, 1)
    frequency = rng.uniform(*frequencies, (len(x), 1))  # (n, 1)
    phase = 2 * np.pi * frequency * np.arange(x.shape[2])  # (n, T)
    added: Floats = (amplitude * wave(phase)).astype(np.float32)  # (n, T)
    return x + added[:, None]


_CHANGES = {2: _flipped, 3: _dropped, 4: _zeroed, 5: _sine, 6: _square}
