"""What each resolution of MRM-Net (models/mrmnet.py) sees of an ECG, and where its gates are open.

A step of a stream stands for 2 samples or for 4, and reaches further with each convolution. Nothing
is trained here: `spans` holds for any weights, and gates are those of the model that is given. How
they are laid on the signal and averaged is *ours*.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import beats, progress, reloaded
from pecg_utils.data.inputs import Inputs
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.trial import Outcome

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pecg_utils.models.mrmnet import MrmNet

Floats = npt.NDArray[np.floating[Any]]

QRS = 0.06  # s to either side of R that count as the QRS
MIDDLE = (0.1, 0.9)  # of recordings, in a band
_BATCH = 64  # windows a pass
_MASKS = 64  # ReLUs of the first layer whose reaches are joined
_LONG = 256  # samples: more than a base scale reaches


def spans(model: "MrmNet", n_leads: int, n_samples: int) -> pd.DataFrame:
    """How far one step of each stream reaches after each stage, through the convolutions.

    Columns: stream ("high" or "low"), stage ("stem", "base scale", "blocks", "exchange" where there
    is one, "fusion"), step (samples from one step to the next), first and last (the samples that
    the step in the middle of a window of `n_samples` reaches; they end where the window does).

    Measured on a copy with new weights, in eval mode: a sample is reached where the gradient of the
    step in float64 is not exactly 0. A ReLU or a maximum may hide a sample in one window, so that
    several random ones are joined. Gates are held constant: most come from means over time, by
    which the whole window moves every step a little. A fusion's gate by step would reach 3 steps
    more to either side.
    """
    rows = pd.DataFrame(_reached(model, n_leads, n_samples))
    return rows.drop(columns="number")


class _Step(NamedTuple):
    """A step of a stream by its number, and the first and the last sample that it reaches."""

    stream: str
    stage: str
    step: int
    number: int
    first: int
    last: int


def _reached(model: "MrmNet", n_leads: int, n_samples: int) -> list[_Step]:
    from copy import deepcopy

    import torch

    from pecg_utils.models.gates import ChannelGate, OwnMean, SpatialGate, Squeeze

    def constant(_module: "nn.Module", _inputs: object, gate: "Tensor") -> "Tensor":
        return gate.detach()

    new = deepcopy(model).cpu().double().eval()
    stages = {"stem": new.stem, "base scale": new.scales, "blocks": new.blocks}
    if new.exchange is not None:
        stages["exchange"] = new.exchange
    stages["fusion"] = new.fusion
    found = []
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), _listening(stages) as given:
        torch.manual_seed(0)
        for part in new.modules():
            getattr(part, "reset_parameters", lambda: None)()
            if isinstance(part, OwnMean | Squeeze | ChannelGate | SpatialGate):
                part.register_forward_hook(constant)
        width = next(new.parameters()).shape[0]  # channels of the first layer
        x = torch.randn(-(-_MASKS // width), n_leads, n_samples, dtype=torch.float64)  # (B, L, T)
        new(x.requires_grad_(True))
        finest = given["stem"].shape[3]
        for stage, maps in given.items():
            each = maps if isinstance(maps, tuple) else (maps,) * len(new.reads)
            for stream, one in zip(new.reads, each, strict=True):  # (B, C, 1, S)
                number = one.shape[3] // 2
                at = one[..., number]  # (B, C, 1)
                (slope,) = torch.autograd.grad(at, x, torch.randn_like(at), retain_graph=True)
                seen = slope.ne(0).flatten(0, 1).any(dim=0).nonzero()  # (n, 1) samples
                step = finest // one.shape[3]
                found.append(_Step(stream, stage, step, number, int(seen[0]), int(seen[-1])))
    return found


@contextmanager
def _listening(parts: "Mapping[str, nn.Module]") -> Iterator[dict[str, Any]]:
    """Within it, what each part gives when the model is called stands under the part's name."""
    given: dict[str, Any] = {}

    def under(name: str) -> Any:
        def note(_module: "nn.Module", _inputs: object, output: object) -> None:
            given[name] = output

        return note

    hooks = [part.register_forward_hook(under(name)) for name, part in parts.items()]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Gates:
    """The gates of one stream's fusion for one window, each from 0 (shut) to 1 (open).

    spatial: (S,) by step, channel: (C,) by channel; None where that gate is switched off. step:
    samples from one step to the next. centres: (S,) samples, where each step lies: the middle of
    what it reaches after its base scale. The stem adds 4 steps, so that a few lie beyond the
    window's ends.
    """

    step: int
    centres: Floats
    spatial: Floats | None
    channel: Floats | None

    @property
    def edges(self) -> Floats:
        """(S + 1,) samples: step k stands for the time from edges[k] to edges[k + 1]."""
        return np.append(self.centres, self.centres[-1] + self.step) - self.step / 2


def gates(model: "MrmNet", window: Floats) -> dict[str, Gates]:
    """Stream -> its gates for one window (1, L, T), normalised as for the model, in eval mode.

    Raises ValueError when there is not one window.
    """
    if len(window) != 1:
        raise ValueError(f"{len(window)} windows were given; give one")
    where = _where(model, window.shape[1])
    found = {}
    for stream, (steps, spatial, channel) in _opened(model, window).items():
        step, first = where[stream]
        found[stream] = Gates(
            step=step,
            centres=first + step * np.arange(steps),
            spatial=None if spatial is None else spatial[0],
            channel=None if channel is None else channel[0],
        )
    return found


def _where(model: "MrmNet", n_leads: int) -> dict[str, tuple[int, float]]:
    """Stream -> samples from step to step, and the sample that step 0 lies on."""
    # Counted from the window's start, these are the same in a window of any length.
    return {
        row.stream: (row.step, (row.first + row.last) / 2 - row.step * row.number)
        for row in _reached(model, n_leads, _LONG)
        if row.stage == "base scale"
    }


def _opened(
    model: "MrmNet", windows: Floats
) -> dict[str, tuple[int, Floats | None, Floats | None]]:
    """Stream -> its steps S, the gates by step (B, S) and by channel (B, C), of windows (B, L, T).

    Without a trace: the model goes back to the mode that it was in.
    """
    import torch

    parts: dict[str, nn.Module] = {}
    for stream, fusion in zip(model.reads, model.fusion, strict=True):
        each: dict[str, Any] = {"maps": fusion}
        each |= {"spatial": fusion.spatial, "channel": fusion.channel}
        parts |= {f"{stream} {name}": part for name, part in each.items() if part is not None}
    training, weights = model.training, next(model.parameters())
    try:
        with torch.no_grad(), _listening(parts) as given:
            model.eval()(torch.as_tensor(windows).to(weights))
    finally:
        model.train(training)
    flat = {  # (B, S) or (B, C)
        name: None if maps is None else maps.flatten(1).double().cpu().numpy()
        for name in (f"{s} {gate}" for s in model.reads for gate in ("spatial", "channel"))
        for maps in (given.get(name),)
    }
    return {
        s: (given[f"{s} maps"].shape[3], flat[f"{s} spatial"], flat[f"{s} channel"])
        for s in model.reads
    }


def trained(outcome: Outcome, windows: Windows, fold: int = 0) -> "tuple[MrmNet, Inputs]":
    """A fold's trained model, and the windows of its test side as that model was tested on them.

    windows: those of the trial. `Inputs.batch` gives them normalised, `Inputs.rows` says which.
    """
    from pecg_utils.models.mrmnet import MrmNet

    protocol, of = outcome.protocol, outcome.folds[fold]
    sizes, rows = outcome.facts["sizes"], of.sides["test"]
    model, inputs = reloaded.model_and_inputs(
        of.folder, protocol, sizes, windows, rows, windows.labels
    )
    if not isinstance(model, MrmNet):
        raise PecgError(f"The model {protocol.model} has no resolutions; give a trial of mrmnet.")
    return model.eval(), inputs


def untrained(model: "MrmNet", inputs: Inputs, seed: int = 0) -> "MrmNet":
    """The same model with weights that are new, and batch norms that know `inputs`.

    Where its gates follow the beats as well, training need not have taught them to.
    """
    from copy import deepcopy

    import torch
    from torch import nn

    new = deepcopy(model)
    device = next(new.parameters()).device
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for part in new.modules():
            getattr(part, "reset_parameters", lambda: None)()
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # a mean of all passes, each of which counts the same
        new.train()
        for which in np.array_split(np.arange(len(inputs)), -(-len(inputs) // _BATCH))[:4]:
            new(torch.from_numpy(inputs.batch(which)).to(device))
    return new.eval()


def r_samples(signal: npt.NDArray[np.float32], fs: float, lead: int) -> npt.NDArray[np.intp]:
    """The R of each beat of `signal` (T, L) mV in the lead of that number: (n,) samples.

    The sample farthest from the lead's median, of those within 60 ms of the QRS that beats.beats
    finds in all leads; of a QRS that points down, its lowest. Raises PecgError when `fs` is not
    from 100 to 1000 Hz.
    """
    size = np.abs(signal[:, lead] - np.median(signal[:, lead]))  # (T,)
    close, found = round(QRS * fs), []
    for middle in (beats.beats(signal, fs) * fs).astype(int):
        first = max(0, middle - close)
        found.append(first + int(size[first : middle + close + 1].argmax()))
    return np.array(found, dtype=np.intp)


class Band(NamedTuple):
    """A curve of many recordings: their mean, and the ends of the middle 80 %. (n,) each."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class AtBeats:
    """The ECG and the gates by step around the beats of many recordings, each counted once.

    seconds: (n,) from R. ecg: mV, the window's median taken off. gates: stream
    -> its gate. recordings, beats: how many there were.
    """

    seconds: Floats
    lead: str
    ecg: Band
    gates: dict[str, Band]
    recordings: int
    beats: int

    def levels(self, stream: str) -> tuple[float, float]:
        """The mean gate within 60 ms of R, and elsewhere."""
        near = np.abs(self.seconds) <= QRS + 1e-9
        mean = self.gates[stream].mean
        return float(mean[near].mean()), float(mean[~near].mean())


def around_beats(
    model: "MrmNet", inputs: Inputs, lead: str = "II", before: float = 0.3, after: float = 0.5
) -> AtBeats:
    """Where the gates by step are open around the beats of `inputs`, from `before` to `after` s.

    Around the R of `lead`, as `r_samples` finds it; a beat whose surroundings are not all in its
    window is left out. Between the middles of two steps a gate is taken to change evenly. Beats are
    averaged within a recording first.

    Raises PecgError when the model has no gate by step, the lead is not there, the windows are of
    fewer than 100 Hz, or no beat is found.
    """
    windows = inputs.windows
    if not any(fusion.spatial for fusion in model.fusion):
        raise PecgError(
            f"The model was made with gates {model.gates}, none by step; give one with gates "
            "both or spatial."
        )
    if lead not in windows.settings.leads:
        have = ", ".join(windows.settings.leads)
        raise PecgError(f"These windows have no lead {lead}; they have {have}.")
    fs, shown = windows.settings.fs, windows.settings.leads.index(lead)
    where = _where(model, len(inputs.scale.leads))
    sums: dict[str, Floats] = {}  # record -> (n, 1 + H), over its beats
    counts: dict[str, int] = {}
    starts = range(0, len(inputs), _BATCH)
    for start in progress.track(starts, len(starts), "gates around beats"):
        which = np.arange(start, min(start + _BATCH, len(inputs)))
        rows = inputs.rows[which]
        signal = windows.millivolts(rows)  # (B, L, T)
        given = _opened(model, inputs.batch(which))
        for place, row in enumerate(rows.tolist()):
            trace = signal[place, shown] - np.median(signal[place, shown])  # (T,)
            columns = [trace]
            for stream, (steps, spatial, _) in given.items():
                assert spatial is not None  # of both streams or of none
                step, first = where[stream]
                centres = first + step * np.arange(steps)
                columns.append(np.interp(np.arange(len(trace)), centres, spatial[place]))
            r = r_samples(signal[place].T, fs, shown)  # (b,)
            r = r[(r >= round(before * fs)) & (r + round(after * fs) < len(trace))]
            if not len(r):
                continue
            laid = beats.cut(np.stack(columns, axis=1), fs, r / fs, before, after)  # (b, n, 1 + H)
            record = str(windows.table["record"].iat[row])
            sums[record] = sums.get(record, 0.0) + laid.sum(axis=0)
            counts[record] = counts.get(record, 0) + len(laid)
    if not sums:
        raise PecgError(
            f"None of {len(inputs)} windows has a beat with {before:g} s before it and {after:g} s "
            "after it; give longer windows."
        )
    each = np.stack([sums[record] / counts[record] for record in sums])  # (R, n, 1 + H)
    low, high = np.quantile(each, MIDDLE, axis=0)
    curves = [Band(*of) for of in np.stack([each.mean(axis=0), low, high]).transpose(2, 0, 1)]
    return AtBeats(
        seconds=np.arange(-round(before * fs), round(after * fs) + 1) / fs,
        lead=lead,
        ecg=curves[0],
        gates=dict(zip(model.reads, curves[1:], strict=True)),
        recordings=len(each),
        beats=sum(counts.values()),
    )
