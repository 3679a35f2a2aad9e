"""Heart beats as a few Gaussian waves on a moving dipole.

A beat is a sum of Gaussian bumps in time, each with a vector in space (McSharry et al. 2003, IEEE
Trans Biomed Eng 50:289-294; as a dipole: Sameni et al. 2007, EURASIP J Adv Signal Process 2007:
43407). Where those authors tune the vectors by hand, here the QRS loop is solved so that it passes
through the R and S amplitudes and the frontal axis that a `Heart` asks for.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.norms import ADULT_SPREAD, AMPLITUDE_SPREAD, normal
from pecg_utils.twins.torso import DEPOLARISED, INDEPENDENT, REPOLARISED

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
    delta: float = 0.0  # slurred start of a pre-excited QRS along its axis
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
    bend: Vectors  # (4, 3) how far the loop's points are off, as fractions of its height
    notch_at: Vectors  # (2,) notches in the QRS, as fractions of its duration
    notch: Vectors  # (2, 3) their vectors, mV
    p_gap: float  # ms between the atrial parts of the P wave at a PR of 130 ms
    t_turn: Vectors  # (3, 3) the T wave's own direction, a rotation
    t_skew: float  # width of the T wave's rise over that of its fall


def healthy(rng: np.random.Generator, age_days: float) -> Heart:
    """A healthy heart at an age in days, drawn around the norms of that age."""
    years = age_days / 365.25
    spread = AMPLITUDE_SPREAD if years < 18 else ADULT_SPREAD

    def interval(name: str) -> float:
        deviate = float(np.clip(rng.standard_normal(), -2.0, 2.0))
        return normal(name, age_days) + normal(f"{name}_sd", age_days) * deviate

    def amplitude(name: str) -> float:
        return normal(name, age_days) * float(np.exp(spread * rng.standard_normal()))

    values = {name: interval(name) for name in ("rate", "pr", "qrs", "qtc", "axis")}
    measured = ("frontal", "r_v1", "s_v1", "r_v6", "s_v6", "q_v6", "t_v1", "t_v6")
    values |= {name: amplitude(name) for name in measured}
    values["p_right"] = 0.11 * float(np.exp(0.45 * rng.standard_normal()))
    values["p_left"] = 0.08 * float(np.exp(0.45 * rng.standard_normal()))
    # Incomplete right bundle-branch block patterns are common in healthy children.
    values["r2_v1"] = 0.08 * float(rng.exponential())
    values["st"] = 0.02 * float(rng.standard_normal())
    # Sinus arrhythmia goes with vagal tone: hardly any in a newborn, much at school age, and less
    # again from 20 years on (ours).
    tone = min(years, 10.0) / 10 * float(np.clip(1 - (years - 20) / 30, 0.1, 1))
    values["arrhythmia"] = (0.015 + 0.06 * tone) * float(rng.gamma(4.0, 0.25))
    return Heart(**values)


def kinds(rng: np.random.Generator, heart: Heart) -> dict[str, Heart]:
    """The heart as it is in each kind of beat; sizes are ours, after textbook pictures.

    normal: as it is. ventricular: a wide beat from one drawn place in the ventricles, with the
    look of a left or of a right bundle branch block. paced: from the right ventricle's apex.
    preexcited: through an accessory pathway, with a delta wave. aberrant: right bundle blocked.
    """
    left_look = {"r_v1": 0.15, "s_v1": 1.5, "r_v6": 1.1, "s_v6": 0.1, "t_v1": 0.45, "t_v6": -0.3}
    right_look = {"r_v1": 1.1, "s_v1": 0.15, "r_v6": 0.4, "s_v6": 0.9, "t_v1": -0.4, "t_v6": 0.25}
    wide = {"q_v6": 0.0, "r2_v1": 0.0, "st": 0.0, "t_scale": 1.0}
    origin = left_look if rng.uniform() < 0.5 else right_look
    return {
        "normal": heart,
        "ventricular": replace(
            heart,
            qrs=1.15 * heart.qrs + rng.uniform(35, 60),
            axis=float(rng.uniform(-110, 150)),
            frontal=float(rng.uniform(0.8, 1.6)),
            voltage=float(rng.uniform(0.9, 1.4)),
            **wide,
            **origin,
        ),
        "paced": replace(
            heart,
            qrs=1.1 * heart.qrs + rng.uniform(45, 65),
            axis=float(rng.uniform(-90, -55)),
            frontal=1.2,
            **wide,
            **left_look,
        ),
        "preexcited": replace(
            heart,
            pr=0.68 * heart.pr,
            qrs=1.1 * heart.qrs + rng.uniform(20, 40),
            delta=float(rng.uniform(0.2, 0.45)),
            axis=heart.axis + float(rng.uniform(-50, 40)),
            t_scale=-0.4 * heart.t_scale,
        ),
        "aberrant": replace(
            heart, qrs=heart.qrs + 38, r2_v1=0.7 + heart.r2_v1, s_v6=heart.s_v6 + 0.4
        ),
    }


def draw_shape(rng: np.random.Generator) -> Shape:
    """A heart's own shape. Sizes are ours: large enough that a child can be told from another."""
    return Shape(
        turn=_rotation(rng.normal(0.0, 0.11, 3)),
        widths=np.exp(rng.normal(0.0, 0.10, 4)),
        bend=rng.normal(0.0, 0.15, (4, 3)),
        notch_at=rng.uniform(0.15, 0.95, 2),
        notch=rng.normal(0.0, 0.08, (2, 3)),
        p_gap=float(rng.uniform(22, 40)),
        t_turn=_rotation(rng.normal(0.0, 0.13, 3)),
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


# V6 and I look along nearly the same line: where they disagree, V6 yields a little to the axis.
_WEIGHT = np.array([1.0, 0.9, 1.0, 1.0])


def _solver(view: Vectors) -> Vectors:
    """(3, 4): from the amplitudes asked for in V1, V6, I and aVF to the dipole, through a view."""
    one, two = view[INDEPENDENT.index("I")], view[INDEPENDENT.index("II")]
    asked = np.stack(
        [view[INDEPENDENT.index("V1")], view[INDEPENDENT.index("V6")], one, two - one / 2]
    )  # (4, 3)
    return np.asarray(np.linalg.pinv(asked * _WEIGHT[:, None]) * _WEIGHT)


_QRS, _T = _solver(DEPOLARISED), _solver(REPOLARISED)


def _vector(solver: Vectors, v1: float, v6: float, i: float, avf: float) -> Vectors:
    """The dipole (3,) that comes closest to these amplitudes in mV."""
    return np.asarray(solver @ np.array([v1, v6, i, avf]))


# Where in the QRS (fraction of its duration) the four points of the loop lie, and how wide the bump
# at each is: the septum, the right ventricle, the left ventricle, the base.
_LOOP_AT = np.array([0.18, 0.40, 0.60, 0.82])
_LOOP_WIDTH = 0.10
# Gaussian waves fade out slowly, so that whoever reads the ECG sees them end later than their bumps
# say; by so much (s) the bumps are drawn together, as `measure` finds it on hearts without noise.
_FADE_QRS, _FADE_T = 0.012, 0.009


def _qrs(heart: Heart, shape: Shape) -> tuple[Vectors, Vectors, Vectors]:
    """Centres (n,) and widths (n,) in seconds from the QRS onset, and vectors (n, 3) in mV."""
    angle = np.radians(heart.axis)
    side, down = heart.frontal * np.cos(angle), heart.frontal * np.sin(angle) * np.sqrt(3) / 2
    young = float(np.clip(heart.r_v1 / (heart.r_v1 + heart.s_v1), 0.0, 1.0))
    points = np.stack(
        [
            _vector(
                _QRS,
                0.3 * heart.r_v1 + 0.5 * heart.delta,
                heart.delta - heart.q_v6,
                0.8 * heart.delta * np.cos(angle) - 0.05,
                0.8 * heart.delta * np.sin(angle) - 0.06 * down,
            ),
            _vector(_QRS, heart.r_v1, (0.05 + 0.1 * young) * heart.r_v6, 0.6 * side, 0.6 * down),
            _vector(_QRS, -heart.s_v1 * (1.0 - 0.6 * young), heart.r_v6, side, down),
            _vector(
                _QRS,
                heart.r2_v1 - heart.s_v1 * (0.35 + 0.65 * young),
                -heart.s_v6,
                -0.8 * heart.s_v6,
                -0.09 * down,
            ),
        ]
    )  # (4, 3)
    points += shape.bend * heart.frontal
    width = _LOOP_WIDTH * shape.widths  # (4,)
    # Neighbouring bumps overlap; their heights are solved so that the sum meets the points.
    overlap = np.exp(-0.5 * ((_LOOP_AT[:, None] - _LOOP_AT) / width) ** 2)  # (4 points, 4 bumps)
    loop = np.linalg.solve(overlap, points)  # (4, 3)
    centre, width = np.r_[_LOOP_AT, shape.notch_at], np.r_[width, 0.055, 0.055]
    vectors = np.concatenate([loop, shape.notch * heart.frontal]) * heart.voltage  # (6, 3)
    seconds = heart.qrs / 1000 - _FADE_QRS
    return centre * seconds + _FADE_QRS / 2, width * seconds, vectors @ shape.turn.T


@dataclass(frozen=True)
class Bumps:
    """Gaussian bumps: centres and widths (n,) in s from the wave's onset, vectors (n, 3) in mV."""

    centre: Vectors
    width: Vectors
    vectors: Vectors
    end: float  # s from the onset to the wave's end


def p_wave(heart: Heart, shape: Shape) -> Bumps:
    """The P wave: one bump for each atrium. It is shorter where the PR interval is shorter."""
    width = 0.008 + 0.00006 * heart.pr
    first = 2.2 * width
    last = first + shape.p_gap / 1000 * heart.pr / 130
    right = np.array([0.35, 0.75, -0.15]) * heart.p_right * 1.1  # left, down and forwards
    left = np.array([0.65, 0.55, 0.30]) * heart.p_left * 1.1  # left, down and backwards
    return Bumps(
        np.array([first, last]), np.full(2, width), np.stack([right, left]), last + 2.2 * width
    )


def qrs_complex(heart: Heart, shape: Shape) -> Bumps:
    """The QRS complex: four bumps of the loop and two notches."""
    centre, width, vectors = _qrs(heart, shape)
    return Bumps(centre, width, vectors, heart.qrs / 1000)


def t_wave(heart: Heart, shape: Shape) -> tuple[Bumps, float]:
    """ST segment and T wave, in s from the QRS onset, and where T begins.

    The QT interval is Bazett's at the heart's mean rate, the same for all of its beats.
    """
    qrs = heart.qrs / 1000
    qt = heart.qtc / 1000 * float(np.sqrt(60.0 / heart.rate))  # Bazett
    # A T wave rises slowly and falls fast: a wide bump under the flank of a narrow one.
    fall = 0.072 * qt
    rise = shape.t_skew * fall
    peak = qt - _FADE_T - 2.2 * fall
    height = heart.t_scale * heart.voltage
    t = _vector(_T, heart.t_v1, heart.t_v6, 0.65 * heart.t_v6, 0.55 * heart.t_v6) * height  # (3,)
    t = shape.t_turn @ t
    st = np.array([0.8, 0.6, 0.1]) * heart.st  # (3,) towards V5
    bumps = Bumps(
        np.array([(qrs + peak) / 2, peak - 0.9 * rise, peak]),
        np.array([0.16 * (peak - qrs) + 0.012, rise, fall]),
        np.stack([st, 0.37 * t, 0.70 * t]),
        qt,
    )
    return bumps, peak - 2.2 * rise
