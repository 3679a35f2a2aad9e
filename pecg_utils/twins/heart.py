"""Heart beats as a few Gaussian waves on a moving dipole.

A beat is a sum of Gaussian bumps in time, each with a vector in space (McSharry et al. 2003, IEEE
Trans Biomed Eng 50:289-294; as a dipole: Sameni et al. 2007, EURASIP J Adv Signal Process 2007:
43407). Where those authors tune the vectors by hand, here the QRS loop is solved so that it passes
through the R and S amplitudes and the frontal axis that a `Heart` asks for.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.norms import AMPLITUDE_SPREAD, normal
from pecg_utils.twins.torso import DOWER, INDEPENDENT

Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class Heart:
    """What one heart does, in the units of an ECG report."""

    rate: float  # beats a minute
    pr: float  # PR interval, ms
    qrs: float  # QRS duration, ms
    qtc: float  # QT by Bazett, ms
    axis: float  # frontal QRS axis, degrees
    frontal: float  # height of the main QRS deflection along that axis, mV
    r_v1: float  # mV, as are all below unless said otherwise
    s_v1: float
    r_v6: float
    s_v6: float
    q_v6: float
    t_v1: float
    t_v6: float
    p_right: float = 0.10  # right atrial part of the P wave along lead II
    p_left: float = 0.08  # left atrial part
    r2_v1: float = 0.0  # second R of an rsR' in V1
    st: float = 0.0  # ST level in V5, with its mirror image in aVR
    t_scale: float = 1.0  # factor on the T wave
    voltage: float = 1.0  # factor on QRS and T
    arrhythmia: float = 0.03  # swing of the RR interval with breathing, as a fraction


@dataclass(frozen=True)
class Shape:
    """What tells one healthy heart from another at equal intervals and amplitudes."""

    turn: Vectors  # (3, 3) the heart's position in the chest, a rotation
    widths: Vectors  # (4,) factors on the widths of the QRS bumps
    notch_at: Vectors  # (2,) notches in the QRS, as fractions of its duration
    notch: Vectors  # (2, 3) their vectors, mV
    p_gap: float  # ms between the atrial parts of the P wave at a PR of 130 ms
    t_skew: float  # width of the T wave's rise over that of its fall


@dataclass(frozen=True)
class Beats:
    """When each simulated beat did what: arrays (n,), seconds from the recording's start."""

    r: NDArray[np.float64]
    p_on: NDArray[np.float64]
    p_off: NDArray[np.float64]
    qrs_on: NDArray[np.float64]
    qrs_off: NDArray[np.float64]
    t_on: NDArray[np.float64]
    t_off: NDArray[np.float64]


def healthy(rng: np.random.Generator, age_days: float) -> Heart:
    """A healthy child's heart at an age in days, drawn around the norms of that age."""

    def interval(name: str) -> float:
        deviate = float(np.clip(rng.standard_normal(), -2.0, 2.0))
        return normal(name, age_days) + normal(f"{name}_sd", age_days) * deviate

    def amplitude(name: str) -> float:
        return normal(name, age_days) * float(np.exp(AMPLITUDE_SPREAD * rng.standard_normal()))

    values = {name: interval(name) for name in ("rate", "pr", "qrs", "qtc", "axis")}
    measured = ("frontal", "r_v1", "s_v1", "r_v6", "s_v6", "q_v6", "t_v1", "t_v6")
    values |= {name: amplitude(name) for name in measured}
    values["p_right"] = 0.10 * float(np.exp(0.2 * rng.standard_normal()))
    values["p_left"] = 0.08 * float(np.exp(0.2 * rng.standard_normal()))
    # Incomplete right bundle-branch block patterns are common in healthy children.
    values["r2_v1"] = 0.08 * float(rng.exponential())
    values["st"] = 0.02 * float(rng.standard_normal())
    # Sinus arrhythmia grows with vagal tone: hardly any in a newborn, much at school age (ours).
    years = age_days / 365.25
    values["arrhythmia"] = (0.015 + 0.06 * min(years, 10.0) / 10) * float(rng.gamma(4.0, 0.25))
    return Heart(**values)


def draw_shape(rng: np.random.Generator) -> Shape:
    """A heart's own shape. Sizes are ours: large enough that a child can be told from another."""
    return Shape(
        turn=_rotation(rng.normal(0.0, 0.11, 3)),
        widths=np.exp(rng.normal(0.0, 0.10, 4)),
        notch_at=rng.uniform(0.15, 0.95, 2),
        notch=rng.normal(0.0, 0.08, (2, 3)),
        p_gap=float(rng.uniform(22, 40)),
        t_skew=float(rng.uniform(1.2, 2.2)),
    )


def _rotation(angles: Vectors) -> Vectors:
    """Rotation by `angles` (3,) in radians about X, Y and Z, one after the other."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    return turn


# The leads in which amplitudes are asked for, as views of the dipole: V1, V6, I, aVF.
_I, _II = DOWER[INDEPENDENT.index("I")], DOWER[INDEPENDENT.index("II")]
_ASKED = np.stack(
    [DOWER[INDEPENDENT.index("V1")], DOWER[INDEPENDENT.index("V6")], _I, _II - _I / 2]
)  # (4, 3)
# V6 and I look along nearly the same line: where they disagree, V6 yields a little to the axis.
_WEIGHT = np.array([1.0, 0.9, 1.0, 1.0])
_SOLVE = np.linalg.pinv(_ASKED * _WEIGHT[:, None]) * _WEIGHT  # (3, 4)


def _vector(v1: float, v6: float, i: float, avf: float) -> Vectors:
    """The dipole (3,) that comes closest to these amplitudes in mV."""
    return np.asarray(_SOLVE @ np.array([v1, v6, i, avf]))


# Where in the QRS (fraction of its duration) the four points of the loop lie, and how wide the bump
# at each is: the septum, the right ventricle, the left ventricle, the base.
_LOOP_AT = np.array([0.18, 0.40, 0.60, 0.82])
_LOOP_WIDTH = 0.10


def _qrs(heart: Heart, shape: Shape) -> tuple[Vectors, Vectors, Vectors]:
    """Centres (n,) and widths (n,) in seconds from the QRS onset, and vectors (n, 3) in mV."""
    angle = np.radians(heart.axis)
    side, down = heart.frontal * np.cos(angle), heart.frontal * np.sin(angle) * np.sqrt(3) / 2
    young = float(np.clip(heart.r_v1 / (heart.r_v1 + heart.s_v1), 0.0, 1.0))
    points = np.stack(
        [
            _vector(0.3 * heart.r_v1, -heart.q_v6, -0.05, -0.06 * down),
            _vector(heart.r_v1, (0.05 + 0.1 * young) * heart.r_v6, 0.6 * side, 0.6 * down),
            _vector(-heart.s_v1 * (1.0 - 0.6 * young), heart.r_v6, side, down),
            _vector(
                heart.r2_v1 - heart.s_v1 * (0.15 + 0.85 * young),
                -heart.s_v6,
                -0.8 * heart.s_v6,
                -0.15 * down,
            ),
        ]
    )  # (4, 3)
    width = _LOOP_WIDTH * shape.widths  # (4,)
    # Neighbouring bumps overlap; their heights are solved so that the sum meets the points.
    overlap = np.exp(-0.5 * ((_LOOP_AT[:, None] - _LOOP_AT) / width) ** 2)  # (4 points, 4 bumps)
    loop = np.linalg.solve(overlap, points)  # (4, 3)
    centre, width = np.r_[_LOOP_AT, shape.notch_at], np.r_[width, 0.055, 0.055]
    vectors = np.concatenate([loop, shape.notch * heart.frontal]) * heart.voltage  # (6, 3)
    seconds = heart.qrs / 1000
    return centre * seconds, width * seconds, vectors @ shape.turn.T


def _rr(rng: np.random.Generator, heart: Heart, seconds: float) -> tuple[Vectors, Vectors]:
    """R times (n,) in seconds, a beat beyond either end, and the breathing (n,) at them, -1..1."""
    mean = 60.0 / heart.rate
    count = int(seconds / mean * 1.5) + 8
    breath_rate = heart.rate / rng.uniform(3.8, 4.6)  # a child breathes about once in four beats
    time = np.arange(count) * mean
    breath = np.sin(2 * np.pi * breath_rate / 60 * time + rng.uniform(0, 2 * np.pi))  # (n,)
    slow = np.sin(2 * np.pi * 0.1 * time + rng.uniform(0, 2 * np.pi))  # the blood pressure's waves
    swing = heart.arrhythmia * (breath + 0.4 * slow) + 0.008 * rng.standard_normal(count)
    r = np.cumsum(mean * (1 + swing)) - mean * (1 + rng.uniform())
    keep = r < seconds + 1.5
    return r[keep], breath[keep]


@dataclass(frozen=True)
class _Waves:
    """The bumps of one beat; times in seconds from the QRS onset."""

    centre: Vectors  # (11,) two of P, six of QRS, ST, two of T
    width: Vectors  # (11,)
    vectors: Vectors  # (11, 3) mV
    p_off: float
    t_on: float
    qt: float


def _waves(heart: Heart, shape: Shape) -> _Waves:
    qrs = heart.qrs / 1000
    qt = heart.qtc / 1000 * float(np.sqrt(60.0 / heart.rate))  # Bazett
    at, width, loop = _qrs(heart, shape)  # (6,), (6,), (6, 3)
    # The P wave starts a PR interval before the QRS and is shorter where that is shorter.
    p_width = 0.008 + 0.00006 * heart.pr
    p_first = 2.2 * p_width - heart.pr / 1000
    p_last = p_first + shape.p_gap / 1000 * heart.pr / 130
    p_right = np.array([0.35, 0.75, -0.15]) * heart.p_right * 1.1  # left, down and forwards
    p_left = np.array([0.65, 0.55, 0.30]) * heart.p_left * 1.1  # left, down and backwards
    # A T wave rises slowly and falls fast: a wide bump under the flank of a narrow one.
    t_fall = 0.072 * qt
    t_rise = shape.t_skew * t_fall
    t_peak = qt - 2.2 * t_fall
    t_height = heart.t_scale * heart.voltage
    t = _vector(heart.t_v1, heart.t_v6, 0.65 * heart.t_v6, 0.55 * heart.t_v6) * t_height  # (3,)
    st = np.array([0.8, 0.6, 0.1]) * heart.st  # (3,) towards V5
    st_width = 0.16 * (t_peak - qrs) + 0.012
    return _Waves(
        centre=np.r_[p_first, p_last, at, (qrs + t_peak) / 2, t_peak - 0.9 * t_rise, t_peak],
        width=np.r_[p_width, p_width, width, st_width, t_rise, t_fall],
        vectors=np.concatenate([[p_right, p_left], loop, [st, 0.37 * t, 0.70 * t]]),
        p_off=p_last + 2.2 * p_width,
        t_on=t_peak - 2.2 * t_rise,
        qt=qt,
    )


def dipole(
    rng: np.random.Generator, heart: Heart, shape: Shape, seconds: float, fs: float = 500.0
) -> tuple[NDArray[np.float32], Beats]:
    """Simulate the dipole (T, 3) in mV over `seconds` at `fs` Hz, and the beats' times in seconds.

    The QT interval is Bazett's at the recording's mean rate, the same for all of its beats. X
    points to the left, Y to the feet, Z to the back, as `torso.DOWER` wants them.
    """
    r, breath = _rr(rng, heart, seconds)  # (n,), (n,)
    waves = _waves(heart, shape)

    # Breathing moves the heart, and so the height of all waves; QRS and T also vary on their own.
    gain = np.repeat(1 + 0.04 * breath[:, None], len(waves.centre), axis=1)  # (n, 11)
    gain[:, 2:8] *= 1 + 0.02 * rng.standard_normal((len(r), 1))
    gain[:, 8:] *= 1 + 0.04 * rng.standard_normal((len(r), 1))

    pr, qrs = heart.pr / 1000, heart.qrs / 1000
    onset = r - 0.5 * qrs  # (n,) the R time is the middle of the QRS
    first = np.floor((onset - pr - 0.03) * fs).astype(int)  # (n,)
    span = int((pr + waves.qt + 0.12) * fs)
    time = (first[:, None] + np.arange(span)) / fs - onset[:, None]  # (n, span)
    bumps = time[:, :, None].astype(np.float32) - waves.centre.astype(np.float32)  # (n, span, 11)
    bumps /= (np.sqrt(2) * waves.width).astype(np.float32)
    np.exp(-bumps * bumps, out=bumps)
    bumps *= gain[:, None, :].astype(np.float32)
    moved = bumps @ waves.vectors.astype(np.float32)  # (n, span, 3)

    pad = span + int(2 * fs)  # beats before the start and after the end
    total = round(seconds * fs)
    signal = np.zeros((total + 2 * pad, 3), np.float32)  # (T + 2 pad, 3)
    for start, beat in zip(first + pad, moved, strict=True):
        signal[start : start + span] += beat
    times = Beats(
        r=r,
        p_on=onset - pr,
        p_off=onset + waves.p_off,
        qrs_on=onset,
        qrs_off=onset + qrs,
        t_on=onset + waves.t_on,
        t_off=onset + waves.qt,
    )
    return signal[pad : pad + total], _inside(times, seconds)


def _inside(beats: Beats, seconds: float) -> Beats:
    """The beats whose R time lies in the recording."""
    keep = (beats.r >= 0) & (beats.r < seconds)
    return Beats(**{field.name: getattr(beats, field.name)[keep] for field in fields(beats)})
