"""Rhythms: when atria and ventricles beat, and how each beat came about.

A rhythm is a function that draws `Beats`. Each can start at any time and go on for any time, so
that `leipzig` puts hours together from them. Rates, regularity and coupling are ours, after
textbooks.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.heart import Heart

Times = NDArray[np.float64]
Kinds = NDArray[np.str_]

NONE = float("nan")


@dataclass(frozen=True)
class Beats:
    """Beats in the order of their time, (n,) each; s from the recording's start, NaN for none.

    p: onset of the P wave, whose kind is sinus, ectopic, retrograde, paced or flutter. qrs: onset
    of the QRS complex, of a kind that `heart.kinds` has. gain: (n, 3) factors on P, QRS and T.
    shaking: whether the atria fibrillate from this beat to the next.
    """

    p: Times
    p_kind: Kinds
    qrs: Times
    qrs_kind: Kinds
    gain: Times
    shaking: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.p)

    def only(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> "Beats":
        """The beats that `keep` picks: a mask or places (n,)."""
        return Beats(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def sorted(self) -> "Beats":
        """The same beats by the time of whichever of P and QRS comes first."""
        return self.only(np.argsort(np.fmin(self.p, self.qrs), kind="stable"))


def _beats(
    rng: np.random.Generator,
    p: Times,
    qrs: Times,
    p_kind: str = "sinus",
    qrs_kind: str = "normal",
    breath: Times | None = None,
    shaking: bool = False,
) -> Beats:
    count = len(p)
    # Breathing moves the heart, and so the height of all waves; QRS and T also vary on their own.
    swing = np.zeros(count) if breath is None else breath
    gain = np.repeat(1 + 0.04 * swing[:, None], 3, axis=1)  # (n, 3)
    gain[:, 1] *= 1 + 0.02 * rng.standard_normal(count)
    gain[:, 2] *= 1 + 0.04 * rng.standard_normal(count)
    return Beats(
        p=p,
        p_kind=np.full(count, p_kind, "U10"),
        qrs=qrs,
        qrs_kind=np.full(count, qrs_kind, "U11"),
        gain=gain,
        shaking=np.full(count, shaking),
    )


def joined(parts: list[Beats]) -> Beats:
    """Several rhythms as one, sorted by time."""
    columns = {f.name: np.concatenate([getattr(b, f.name) for b in parts]) for f in fields(Beats)}
    return Beats(**columns).sorted()


def _breathing(rng: np.random.Generator, heart: Heart, count: int) -> tuple[Times, Times]:
    """RR intervals (n,) in s of a sinus rhythm, and the breathing (n,) at them, -1..1."""
    mean = 60.0 / heart.rate
    breath_rate = heart.rate / rng.uniform(3.8, 4.6)  # one breath in about four beats
    time = np.arange(count) * mean
    breath = np.sin(2 * np.pi * breath_rate / 60 * time + rng.uniform(0, 2 * np.pi))  # (n,)
    slow = np.sin(2 * np.pi * 0.1 * time + rng.uniform(0, 2 * np.pi))  # the blood pressure's waves
    swing = heart.arrhythmia * (breath + 0.4 * slow) + 0.008 * rng.standard_normal(count)
    return mean * np.maximum(1 + swing, 0.4), breath


def _count(rate: float, seconds: float) -> int:
    return int(seconds * rate / 60 * 1.5) + 8


def sinus(rng: np.random.Generator, heart: Heart, seconds: float, kind: str = "normal") -> Beats:
    """Sinus rhythm, from a beat before 0 s to 1.5 s beyond `seconds`."""
    rr, breath = _breathing(rng, heart, _count(heart.rate, seconds))
    r = np.cumsum(rr) - 60.0 / heart.rate * (1 + rng.uniform())  # (n,) the middle of the QRS
    keep = r < seconds + 1.5
    qrs = r[keep] - 0.5 * heart.qrs / 1000
    return _beats(rng, qrs - heart.pr / 1000, qrs, "sinus", kind, breath[keep])


def regular(
    rng: np.random.Generator,
    rate: float,
    seconds: float,
    p_to_qrs: float,
    p_kind: str = "sinus",
    qrs_kind: str = "normal",
    jitter: float = 0.01,
) -> Beats:
    """A rhythm at `rate` a minute; each P comes `p_to_qrs` s before its QRS, NaN for no P.

    Negative where the atria follow the ventricles. jitter: of an interval, as a fraction.
    """
    mean = 60.0 / rate
    rr = mean * (1 + jitter * rng.standard_normal(_count(rate, seconds)))
    qrs = np.cumsum(rr) - mean * (1 + rng.uniform())
    qrs = qrs[qrs < seconds + 1.5]
    return _beats(rng, qrs - p_to_qrs, qrs, p_kind, qrs_kind)


def fibrillation(
    rng: np.random.Generator, rate: float, seconds: float, kind: str = "normal"
) -> Beats:
    """Atrial fibrillation: no P wave, and QRS complexes as irregular as a gamma distribution."""
    mean = 60.0 / rate
    rr = 0.45 * mean + rng.gamma(6.0, 0.55 * mean / 6.0, _count(rate, seconds))
    qrs = np.cumsum(rr) - mean * (1 + rng.uniform())
    qrs = qrs[qrs < seconds + 1.5]
    return _beats(rng, np.full(len(qrs), NONE), qrs, "sinus", kind, None, True)


def flutter(rng: np.random.Generator, rate: float, seconds: float, conducted: int) -> Beats:
    """Atrial flutter: waves at `rate` a minute, of which one in `conducted` reaches the ventricles.

    Now and then one more or one less is conducted.
    """
    waves = regular(rng, rate, seconds, 0.0, "flutter", jitter=0.004)
    p = waves.qrs  # (n,) flutter waves
    qrs = np.full(len(p), NONE)
    at = int(rng.integers(conducted))
    while at < len(p):
        qrs[at] = p[at] + 0.16
        # Two waves in a row are not conducted: the node is not ready again so soon.
        at += max(2, conducted + int(rng.choice([0, 0, 0, 0, 1, -1])))
    return Beats(p, waves.p_kind, qrs, waves.qrs_kind, waves.gain, waves.shaking)


def blocked(rng: np.random.Generator, heart: Heart, seconds: float, degree: int) -> Beats:
    """Second-degree (Wenckebach) or third-degree atrioventricular block over a sinus rhythm."""
    atria = sinus(rng, heart, seconds)
    if degree == 2:
        turn = (np.arange(len(atria)) + rng.integers(4)) % 4  # the fourth of four is not conducted
        qrs = np.where(turn == 3, NONE, atria.qrs + 0.05 * turn)
        return Beats(atria.p, atria.p_kind, qrs, atria.qrs_kind, atria.gain, atria.shaking)
    escape = regular(rng, rng.uniform(32, 45), seconds, NONE, qrs_kind="ventricular", jitter=0.02)
    alone = np.full(len(atria), NONE)
    atria = Beats(atria.p, atria.p_kind, alone, atria.qrs_kind, atria.gain, atria.shaking)
    return joined([atria, escape])


def premature(
    rng: np.random.Generator,
    beats: Beats,
    heart: Heart,
    among: NDArray[np.int64],
    number: int,
    kind: str,
    every: int = 0,
) -> Beats:
    """`beats` with premature ones in the place of some, never two in a row.

    among: places (n,), one after the other, that may be chosen. number: how many, as far as there
    is room; or each one in `every`. kind: "atrial" or "ventricular".
    """
    count = len(among)
    if every:
        chosen = np.arange(int(rng.integers(every)), count, every)
    else:  # distinct places, then one more between each two: at least two apart
        number = min(number, (count + 1) // 2)
        room = count - number + 1
        chosen = np.sort(rng.choice(room, number, replace=False)) + np.arange(number)
    return early(rng, beats, heart, among[chosen], kind)


def early(
    rng: np.random.Generator, beats: Beats, heart: Heart, places: NDArray[np.int64], kind: str
) -> Beats:
    """`beats` of which those at `places` come early, `kind` being "atrial" or "ventricular".

    The next beat comes when it would have come after a ventricular one, and earlier after an atrial
    one, since that resets the sinus node.
    """
    rr = np.diff(beats.qrs, prepend=beats.qrs[0] - 60 / heart.rate)  # (n,)
    sooner = np.zeros(len(beats))  # s
    sooner[places] = rr[places] * rng.uniform(0.28, 0.42, len(places))
    p, p_kind, qrs_kind = beats.p.copy(), beats.p_kind.copy(), beats.qrs_kind.copy()
    if kind == "ventricular":
        p[places], qrs_kind[places] = NONE, "ventricular"
        moved = sooner
    else:
        p[places] = beats.qrs[places] - heart.pr / 1000 * rng.uniform(0.85, 1.1, len(places))
        p_kind[places] = "ectopic"
        before = np.cumsum(sooner) - sooner  # of all beats before each
        moved = sooner + 0.6 * before
    return Beats(p - moved, p_kind, beats.qrs - moved, qrs_kind, beats.gain, beats.shaking)
