"""One simulated child: a heart, its shape and electrodes, and the recordings made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.heart import Beats, Heart, Shape, dipole, draw_shape, healthy
from pecg_utils.twins.labels import diseased, draw_severity
from pecg_utils.twins.noise import noise
from pecg_utils.twins.torso import electrodes, project, twelve

# Electrode placement varies between children (chest size, habit) more than between two recordings
# of one child; both ours.
PLACEMENT, REPLACEMENT = 0.10, 0.025


@dataclass(frozen=True)
class Child:
    """What all recordings of a child share: its signature."""

    heart: Heart
    shape: Shape
    view: NDArray[np.float64]  # (8, 3) the leads' view of the dipole


@dataclass(frozen=True)
class Simulated:
    """A simulated recording."""

    signal: NDArray[np.float32]  # (T, 12) mV, leads in the order of torso.LEADS
    beats: Beats
    heart: Heart  # as it was in this recording


def draw_child(rng: np.random.Generator, age_days: float, labels: Sequence[str] = ()) -> Child:
    """A child of an age in days with the labels' effects, each at a severity of its own."""
    severity = {code: draw_severity(rng) for code in labels}
    heart = diseased(healthy(rng, age_days), severity)
    return Child(heart, draw_shape(rng), electrodes(rng, PLACEMENT))


def record(
    rng: np.random.Generator, child: Child, seconds: float, fs: float = 500.0, noisy: bool = True
) -> Simulated:
    """A recording of `seconds` at `fs` Hz: another heart rate, electrodes set anew, noise."""
    heart = child.heart
    scale = np.exp(rng.normal(0.0, 0.05, 3))
    heart = replace(
        heart,
        rate=float(np.clip(heart.rate * np.exp(0.06 * rng.standard_normal()), 40.0, 230.0)),
        pr=heart.pr + float(rng.normal(0.0, 2.0)),
        qtc=heart.qtc + float(rng.normal(0.0, 6.0)),
        voltage=heart.voltage * float(scale[0]),
        t_scale=heart.t_scale * float(scale[1]),
        st=heart.st + float(rng.normal(0.0, 0.01)),
    )
    vcg, beats = dipole(rng, heart, child.shape, seconds, fs)  # (T, 3)
    moved = 1 + REPLACEMENT * rng.standard_normal((8, 1))
    leads = project(vcg, child.view * moved)  # (T, 8)
    if noisy:
        leads += noise(rng, len(leads), fs)
    return Simulated(twelve(leads), beats, heart)


def simulate(
    rng: np.random.Generator,
    age_days: float,
    labels: Sequence[str] = (),
    seconds: float = 10.0,
    fs: float = 500.0,
    noisy: bool = True,
) -> Simulated:
    """One recording of a new child; see `draw_child` and `record`."""
    return record(rng, draw_child(rng, age_days, labels), seconds, fs, noisy)
