"""From the heart's two dipoles to the leads on the skin.

One dipole stands for depolarisation (P, QRS), one for repolarisation (ST, T), since a T wave is not
seen as a QRS complex of the same direction is: in real recordings it falls off faster from V2 to
V5. The eight independent leads are a fixed linear view of the dipole (Dower et al. 1980, J
Electrocardiol 13:91-96, whose inverse is Edenbrandt and Pahlm 1988, J Electrocardiol 21:361-367).
The other four limb leads follow from I and II, so that Einthoven's law holds by construction.
"""

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

# Dower's coefficients; columns X (to the left), Y (to the feet), Z (to the back).
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)

# What the leads see of each dipole: Dower's, but for what real recordings want otherwise (ours; set
# so that V1, V2 and the T waves of V1 to V5 come out as in PTB-XL's first 500 recordings).
DEPOLARISED, REPOLARISED = DOWER.copy(), DOWER.copy()
DEPOLARISED[INDEPENDENT.index("V1")] = (-0.20, 0.157, -0.75)
REPOLARISED[INDEPENDENT.index("V1")] = (-0.535, 0.157, -0.55)
REPOLARISED *= np.array([1, 1, 1, 1, 0.75, 0.66, 0.72, 1.0])[:, None]
VIEW = np.concatenate([DEPOLARISED, REPOLARISED], axis=1)  # (8, 6)

# Rows III, aVR, aVL, aVF from I and II (Einthoven, Goldberger).
_LIMB = np.array([[-1.0, 1.0], [-0.5, -0.5], [1.0, -0.5], [-0.5, 1.0]])


def electrodes(rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """VIEW for electrodes set a little off their places: (8, 6).

    Each coefficient moves by a normal amount of `spread` times the length of its lead's vector, and
    each lead's gain by another `spread`; half as much again for the T wave alone. Limb leads move
    less: their position matters less.
    """
    length = np.linalg.norm(DEPOLARISED, axis=1, keepdims=True)  # (8, 1)
    reach = np.where(np.arange(8) < 2, 0.4, 1.0)[:, None]  # (8, 1)
    moved = np.tile(spread * reach * length * rng.standard_normal((8, 3)), 2)  # (8, 6)
    moved[:, 3:] += 0.5 * spread * reach * length * rng.standard_normal((8, 3))
    gain = np.exp(spread * reach * rng.standard_normal((8, 1)))
    gain = np.repeat(gain, 2, axis=1) * np.exp(
        np.array([0.0, 0.5]) * spread * rng.standard_normal((8, 2))
    )
    return np.asarray((VIEW + moved) * np.repeat(gain, 3, axis=1))


def project(dipoles: NDArray[np.float32], view: NDArray[np.float64]) -> NDArray[np.float32]:
    """The independent leads (T, 8) in mV of both dipoles (T, 6) in mV, through `view` (8, 6)."""
    return dipoles @ view.T.astype(np.float32)  # (T, 8)


def twelve(independent: NDArray[np.float32]) -> NDArray[np.float32]:
    """All twelve leads (T, 12) in the order of LEADS from the independent ones (T, 8)."""
    limb = independent[:, :2]  # (T, 2)
    derived = limb @ _LIMB.T.astype(np.float32)  # (T, 4)
    return np.concatenate([limb, derived, independent[:, 2:]], axis=1)  # (T, 12)


def stepped(leads: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Twelve leads (T, 12) in mV as an amplifier of that step (mV) gives them.

    It digitises the independent leads; the other four follow from these, so that Einthoven's law
    still holds.
    """
    places = [LEADS.index(lead) for lead in INDEPENDENT]
    return twelve((step * np.rint(leads[:, places] / step)).astype(np.float32))
