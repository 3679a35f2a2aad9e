"""What a state-space model is, on one beat: every step of the explanation as a small function.

All start from one line, with a state h that is zero before the first sample::

    h[t] = exp(dt a) h[t-1] + dt b x[t]

x is the signal in mV, dt the time from sample to sample in s, a = -1 / tau a rate of decay in 1/s,
tau the time constant. b = 1 / tau here, so that h is in mV and settles at x where x stays the same.
What is chosen by hand (time constants, the rule of the step, sizes) is *ours* and stands here.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data.quality import check
from pecg_utils.data.recording import Dataset, Recording
from pecg_utils.errors import PecgError
from pecg_utils.measure import measure
from pecg_utils.signal import resample

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]

TAUS = (0.010, 0.060, 0.300)  # s: a fast, a middle and a slow memory
QRS = 0.06  # s to either side of R that count as the QRS
_AFTER, _GAP = 0.65, 0.1  # s after R, and left free before the next beat
_STRETCH = 10.0  # s around the recording's middle in which a beat is looked for
# The step of `chosen_step`: nearly nothing on a level stretch, a little over 1 at the steepest.
_GAIN, _BIAS = 7.0, -6.0
# The work whose time is taken: recordings, heads, features a head, numbers a state.
_BATCH, _HEADS, _FEATURES, _STATE = 4, 8, 8, 16
_STRIDES = (2, 2, 2, 1)
_TINY = {"channels": (8, 16, 16, 32), "strides": _STRIDES, "depth": 2, "d_state": 8}


@dataclass(frozen=True)
class Beat:
    """One beat of one lead, and its neighbours as far as they are in sight.

    x: (T,) mV, its median taken off. fs: Hz. r: the sample of its R. beats: (n,) the samples in the
    middle of every QRS in sight.
    """

    x: Floats
    fs: float
    r: int
    beats: npt.NDArray[np.intp]
    lead: str
    record: str

    @property
    def dt(self) -> float:
        """From sample to sample, s."""
        return 1 / self.fs

    @property
    def seconds(self) -> Floats:
        """(T,) s, 0 at R."""
        return (np.arange(len(self.x)) - self.r) / self.fs

    @property
    def qrs(self) -> npt.NDArray[np.bool_]:
        """(T,), which samples count as a QRS."""
        distance = np.abs(np.arange(len(self.x))[:, None] - self.beats)  # (T, n)
        return np.asarray((distance <= QRS * self.fs).any(axis=1))


def one_beat(
    recording: Recording,
    lead: str = "II",
    fs: float = 250.0,
    before: float = 0.35,
    after: float | None = None,
) -> Beat:
    """About one second of `lead` around one R, near the recording's middle, at `fs` Hz.

    R is the sample farthest from the median around it, of those within 60 ms of where `measure`
    finds the beat. before, after: s around R; without `after` 0.65 s, or as far as 0.1 s before the
    next beat. A beat whose surroundings are not all recorded is passed over.

    Raises PecgError when the lead is not there, or no whole beat that moves it is found.
    """
    recording.take([lead])
    middle, half = len(recording.signal) / 2, _STRETCH / 2 * recording.fs
    near = recording.signal[max(0, int(middle - half)) : int(middle + half)]  # (T, L)
    given = resample(near, recording.fs, fs)  # (T, L)
    at = np.round(measure(given, fs, recording.leads).r_times * fs).astype(int)  # (n,)
    trace = given[:, recording.leads.index(lead)].astype(np.float64)  # (T,)
    close, left = round(QRS * fs), round(before * fs)
    for beat in sorted(at, key=lambda r: abs(r - len(trace) / 2)):
        first = max(0, beat - close)
        around = trace[first : beat + close + 1]
        if not np.isfinite(around).all():
            continue
        level = np.nanmedian(trace[max(0, beat - left) : beat + left + 1])
        r = first + int(np.abs(around - level).argmax())
        right = round((_AFTER if after is None else after) * fs)
        if after is None:
            right = min([right, *(at[at > beat][:1] - r - round(_GAP * fs))])
        x = trace[max(0, r - left) : r + right + 1]
        if len(x) == left + right + 1 and np.isfinite(x).all() and np.ptp(x) > 0:
            seen = at[(at >= r - left) & (at <= r + right)] - (r - left)  # (n,)
            return Beat(x - np.median(x), fs, left, seen, lead, recording.record)
    raise PecgError(
        f"Recording {recording.record} shows no whole beat in lead {lead} in the {_STRETCH:g} s "
        "around its middle; give another recording."
    )


def clear_recording(dataset: Dataset, label: str, around: float = 1.5) -> Recording:
    """A usable recording of `dataset` with a whole beat in lead II: the first that carries `label`.

    One that carries nothing else goes before; of all recordings, where none carries it. around:
    seconds that must be there on either side of the beat. Raises PecgError when no recording has
    such a beat.
    """
    others = dataset.labels.drop(columns=label, errors="ignore").sum(axis=1).to_numpy()
    lacks = ~dataset.labels[label].to_numpy() if label in dataset.labels else np.zeros(len(others))
    order = np.lexsort((others, lacks))
    for row in order.tolist():
        if check(dataset, row, ("II",), 1.0)[0] is None:
            continue
        recording = dataset.read(row)
        try:
            one_beat(recording, before=around, after=around)
            one_beat(recording)
        except PecgError:
            continue
        return recording
    raise PecgError(
        f"No recording in {dataset.root} has a beat in lead II with {around:g} s on either side."
    )


def recurrence(x: Floats, dt: float | Floats, a: float, b: float) -> Floats:
    """The loop itself: h[t] = exp(dt[t] a) h[t-1] + dt[t] b x[t].

    x: (T,). dt: s, one number or one a sample (T,). a: 1/s, negative. Gives h: (T,).
    """
    step = np.broadcast_to(dt, x.shape)  # (T,)
    keep, write = np.exp(step * a), step * b * x  # (T,) each
    h = np.empty(len(x))  # (T,)
    state = 0.0
    for t in range(len(x)):
        state = keep[t] * state + write[t]
        h[t] = state
    return h


def memories(beat: Beat, taus: Sequence[float] = TAUS) -> dict[float, Floats]:
    """The recurrence with several decays, tau (s) -> h (T,) mV: a = -1 / tau, b = 1 / tau."""
    return {tau: recurrence(beat.x, beat.dt, -1 / tau, 1 / tau) for tau in taus}


def kernel(length: int, dt: float, a: float, b: float) -> Floats:
    """How much a sample that is k steps old weighs in the state: dt b exp(k dt a), (length,)."""
    return np.asarray(dt * b * np.exp(np.arange(length) * dt * a))


def convolution(x: Floats, dt: float, a: float, b: float) -> Floats:
    """The same h (T,) without a loop: h[t] = Σ_k kernel[k] x[t-k]. For one dt alone."""
    return np.asarray(np.convolve(x, kernel(len(x), dt, a, b))[: len(x)])


def chosen_step(beat: Beat) -> Floats:
    """A step that the signal chooses: dt[t] = softplus(7 s[t] - 6) / fs, (T,) s.

    s is the size of the slope, averaged over 40 ms, over its largest: 1 in the QRS, near 0 between
    beats. A model has the softplus too; there what goes into it is learned.
    """
    width = round(0.04 * beat.fs)
    slope = np.convolve(np.abs(np.gradient(beat.x)), np.ones(width) / width, mode="same")  # (T,)
    return np.asarray(np.log1p(np.exp(_GAIN * slope / slope.max() + _BIAS)) / beat.fs)


@dataclass(frozen=True)
class Memory:
    """A state and its steps. dt: (T,) s. h: (T,) mV.

    share: of all weights in the last state, h[-1] = Σ_s weight[s] x[s], the part on a QRS.
    """

    name: str
    dt: Floats
    h: Floats
    share: float


def selection(beat: Beat, tau: float = TAUS[1]) -> list[Memory]:
    """The recurrence at one tau with three steps: chosen by the signal, and two that are constant.

    One constant is the time between samples, the other the mean of the chosen step.
    """
    chosen = chosen_step(beat)  # (T,)
    steps = {
        "chosen by the signal": chosen,
        "constant, as long as a sample": np.full(len(chosen), beat.dt),
        "constant, the mean of the chosen": np.full(len(chosen), chosen.mean()),
    }
    found = []
    for name, dt in steps.items():
        later = dt.sum() - np.cumsum(dt)  # (T,) s that the state goes on after each sample
        weight = dt / tau * np.exp(-later / tau)  # (T,)
        share = float(weight[beat.qrs].sum() / weight.sum())
        found.append(Memory(name, dt, recurrence(beat.x, dt, -1 / tau, 1 / tau), share))
    return found


@dataclass(frozen=True)
class Chunked:
    """h: (T,) mV. chunk: samples. handed: (K,) mV, the state that each chunk starts from.

    alone: (T,) mV, what each chunk has of its own, started from zero. difference: the largest from
    the loop, mV.
    """

    h: Floats
    alone: Floats
    chunk: int
    handed: Floats
    difference: float


def in_chunks(beat: Beat, chunk: int = 44, tau: float = TAUS[1]) -> Chunked:
    """The state with the chosen step, a chunk at a time; of 44, one begins at the R of `one_beat`.

    Within a chunk that starts from the state g, with S[i] = (dt[0] + … + dt[i]) a::

        h[i] = Σ_{j ≤ i} exp(S[i] - S[j]) dt[j] b x[j] + exp(S[i]) g

    one product of a triangular matrix with the chunk, and the fading of what was handed on. Raises
    ValueError when `chunk` is below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    dt, a, b = chosen_step(beat), -1 / tau, 1 / tau
    h, alone = np.empty(len(dt)), np.empty(len(dt))  # (T,) each
    state, handed = 0.0, []
    for first in range(0, len(dt), chunk):
        span = slice(first, first + chunk)
        handed.append(state)
        sums = np.cumsum(dt[span] * a)  # (Q,)
        within = np.exp(np.minimum(sums[:, None] - sums, 0.0))  # (Q, Q)
        alone[span] = np.tril(within) @ (dt[span] * b * beat.x[span])
        h[span] = alone[span] + np.exp(sums) * state
        state = float(h[span][-1])
    loop = recurrence(beat.x, dt, a, b)
    return Chunked(h, alone, chunk, np.array(handed), float(np.abs(h - loop).max()))


def times(lengths: Sequence[int] = (128, 512, 2048), repeats: int = 3) -> pd.DataFrame:
    """One recurrence of a model's size in three ways, timed on this machine's processor.

    A loop over the samples; `selective_scan`, which prepares a chunk at a time and leaves one
    multiply-add a sample to the loop; `ssd`, which loops over chunks alone. Forward only, 4
    sequences of 64 features with 16 numbers each. One A a head and one dt a head, so that all
    three have the same answer.

    Columns: samples, way, milliseconds (the best of `repeats`), difference (the largest from the
    loop's answer, over the largest answer).
    """
    import torch

    from pecg_utils.models.selective_scan import selective_scan
    from pecg_utils.models.ssm import ssd

    draw = torch.Generator().manual_seed(0)
    rate = -torch.rand(_HEADS, generator=draw) - 0.5  # (H,)
    A = rate.repeat_interleave(_FEATURES)[:, None].expand(-1, _STATE).contiguous()  # (E, N)
    rows = []
    for length in lengths:
        sizes = ((_HEADS, _FEATURES), (_HEADS,), (1, _STATE), (1, _STATE))
        x, dt, B, C = (torch.randn(_BATCH, length, *s, generator=draw) for s in sizes)
        dt = dt.sigmoid() / 10  # (batch, T, H)
        wide = dt.repeat_interleave(_FEATURES, dim=2)  # (batch, T, E)
        flat = (x.flatten(2), wide, A, B[:, :, 0], C[:, :, 0])
        looped, told = _best(partial(_loop, *flat), repeats)
        rows.append((length, "loop over samples", looped, 0.0))
        for way, work in (
            ("selective_scan", partial(selective_scan, *flat, D=None, backend="torch")),
            ("ssd", partial(ssd, x, dt, rate, B, C, backend="torch")),
        ):
            milliseconds, y = _best(work, repeats)
            difference = (y.reshape(told.shape) - told).abs().max() / told.abs().max()
            rows.append((length, way, milliseconds, float(difference)))
    return pd.DataFrame(rows, columns=["samples", "way", "milliseconds", "difference"])


def _best(work: "Callable[[], Tensor]", repeats: int) -> "tuple[float, Tensor]":
    """The shortest of several times in ms, and what came out."""
    import torch

    spent = []
    with torch.no_grad():
        for _ in range(repeats):
            begun = time.perf_counter()
            y = work()
            spent.append(1000 * (time.perf_counter() - begun))
    return min(spent), y


def _loop(u: "Tensor", dt: "Tensor", A: "Tensor", B: "Tensor", C: "Tensor") -> "Tensor":
    """Shapes as in `selective_scan`: (batch, T, E)."""
    import torch

    h = u.new_zeros(len(u), *A.shape)  # (batch, E, N)
    y = torch.empty_like(u)
    for t in range(u.shape[1]):
        step = dt[:, t, :, None]  # (batch, E, 1)
        h = (step * A).exp() * h + step * u[:, t, :, None] * B[:, t, None]
        y[:, t] = (h * C[:, t, None]).sum(-1)
    return y


@dataclass(frozen=True)
class Reach:
    """How much each sample moves the answer of a new model, for one direction and for two.

    one, two: (T,), the size of the gradient, over its sum. token: s from R at which the class
    token stands. stride: samples a token.
    """

    one: Floats
    two: Floats
    token: float
    stride: int


def reach(beat: Beat, seeds: int = 20) -> Reach:
    """The gradient of one logit with respect to each sample of the beat, the mean of many models.

    The model is `cnn_ecg_mamba` in a tiny size, untrained: what it cannot see, no training shows
    it. Its class token stands in the middle of the tokens. With one direction nothing can reach it
    from behind, but for the few samples that the stem's convolutions share out.
    """
    import torch

    from pecg_utils import models

    x = torch.tensor(beat.x / beat.x.std(), dtype=torch.float32)[None, None]  # (1, 1, T)
    found = []
    with torch.random.fork_rng(devices=[]):
        for directions in (1, 2):
            total = np.zeros(len(beat.x))  # (T,)
            for seed in range(seeds):
                torch.manual_seed(seed)
                model = models.create(
                    "cnn_ecg_mamba", 1, 1, len(beat.x), directions=directions, **_TINY
                ).eval()
                window = x.clone().requires_grad_()
                (slope,) = torch.autograd.grad(model(window).sum(), window)
                size = slope[0, 0].abs().numpy().astype(np.float64)  # (T,)
                total += size / size.sum() / seeds
            found.append(total)
    stride = math.prod(_STRIDES)
    tokens = -(-len(beat.x) // stride)
    middle = (tokens // 2 - 0.5) * stride  # between the tokens on either side
    return Reach(found[0], found[1], (middle - beat.r) / beat.fs, stride)
