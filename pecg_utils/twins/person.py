"""One simulated person, child or adult: a heart, its shape and electrodes, and their recordings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins import rhythms
from pecg_utils.twins.draw import Marks, Shaking, dipoles, draw_shaking, marks
from pecg_utils.twins.heart import Heart, Shape, draw_shape, healthy, kinds
from pecg_utils.twins.labels import diseased, draw_severity
from pecg_utils.twins.noise import ZZU, Device, noise
from pecg_utils.twins.rhythms import Beats
from pecg_utils.twins.torso import electrodes, project, twelve

# Electrode placement varies between people (chest size, habit) more than between two recordings of
# one person; both ours.
PLACEMENT, REPLACEMENT = 0.10, 0.025

Rhythm = Callable[[np.random.Generator, Heart, float], Beats]


@dataclass(frozen=True)
class Person:
    """What all recordings of a person share: the signature."""

    hearts: dict[str, Heart]  # by kind of beat; "normal" is the usual one
    shape: Shape
    view: NDArray[np.float64]  # (8, 6) the leads' view of both dipoles
    shaking: Shaking

    @property
    def heart(self) -> Heart:
        """The heart as it is in its usual beats."""
        return self.hearts["normal"]


@dataclass(frozen=True)
class Simulated:
    """A simulated recording."""

    signal: NDArray[np.float32]  # (T, 12) mV, leads in the order of torso.LEADS
    beats: Marks
    heart: Heart  # as it was in this recording


def of_heart(rng: np.random.Generator, heart: Heart) -> Person:
    """A person with this heart, and a shape and electrodes drawn."""
    shape, view = draw_shape(rng), electrodes(rng, PLACEMENT)
    return Person(kinds(rng, heart), shape, view, draw_shaking(rng))


def draw_child(rng: np.random.Generator, age_days: float, labels: Sequence[str] = ()) -> Person:
    """A child of an age in days with the labels' effects, each at a severity of its own."""
    severity = {code: draw_severity(rng) for code in labels}
    return of_heart(rng, diseased(healthy(rng, age_days), severity))


def record(
    rng: np.random.Generator,
    person: Person,
    seconds: float,
    fs: float = 500.0,
    noisy: bool = True,
    rhythm: Rhythm = rhythms.sinus,
    device: Device = ZZU,
) -> Simulated:
    """A recording of `seconds` at `fs` Hz: another heart rate, electrodes set anew, noise."""
    heart = person.heart
    scale = np.exp(rng.normal(0.0, 0.05, 3))
    heart = replace(
        heart,
        rate=float(np.clip(heart.rate * np.exp(0.06 * rng.standard_normal()), 30.0, 230.0)),
        pr=heart.pr + float(rng.normal(0.0, 2.0)),
        qtc=heart.qtc + float(rng.normal(0.0, 6.0)),
        voltage=heart.voltage * float(scale[0]),
        t_scale=heart.t_scale * float(scale[1]),
        st=heart.st + float(rng.normal(0.0, 0.01)),
    )
    beats = rhythm(rng, heart, seconds)
    samples = round(seconds * fs)
    hearts = {**person.hearts, "normal": heart}
    vcg = dipoles(beats, hearts, person.shape, 0, samples, fs, person.shaking)  # (T, 6)
    moved = 1 + REPLACEMENT * rng.standard_normal((8, 1))
    leads = project(vcg, person.view * moved)  # (T, 8)
    if noisy:
        leads += noise(rng, samples, fs, device)
        leads = device.through(leads, fs)
    return Simulated(twelve(leads), marks(beats, hearts, person.shape, seconds), heart)


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
