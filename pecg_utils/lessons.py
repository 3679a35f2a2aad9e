"""How prepared data is taught, and how the answers to it are scored.

Windows carry any number of labels each, pairs one class each. What differs between the two lies
here and in objectives.py; splits, folds, training and records do not differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, one_label
from pecg_utils.data.inputs import Inputs, learned, measure
from pecg_utils.data.pairs import PairInputs, Pairs
from pecg_utils.data.windows import Windows
from pecg_utils.protocol import Protocol

WEIGHTS = "weights.safetensors"  # of a trial whose weights others go on from
_RAMP = 1 / 12  # of the epochs, over which the contrastive terms are raised: 5 of 60, *ours*
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Lesson:
    """What a trial teaches. inputs: by side. model and objective: new, or an objective of None for
    train.fit's own. kept: what to keep beside the weights."""

    inputs: Mapping[str, Any]
    model: Any
    objective: Any
    kept: Mapping[str, Any]


def lesson(
    prepared: Windows | Pairs,
    labels: Flags,
    sides: Mapping[str, Rows],
    protocol: Protocol,
    sizes: Mapping[str, Any],
    epochs: int,
    start: Path | None = None,
    seed: int = 0,
) -> Lesson:
    """What `protocol` teaches. labels: (N, C). sides: the rows of each. sizes: the model's.

    epochs: of training. start: the weights to go on from. seed: of the split.
    """
    if isinstance(prepared, Windows):
        if protocol.transfer is not None:
            return _of_domains(prepared, labels, sides, protocol, sizes, epochs, start, seed)
        return _of_windows(prepared, labels, sides, protocol, sizes, start)
    return _of_pairs(prepared, labels, sides, protocol, sizes, epochs)


def _of_windows(
    windows: Windows,
    labels: Flags,
    sides: Mapping[str, Rows],
    protocol: Protocol,
    sizes: Mapping[str, Any],
    start: Path | None,
) -> Lesson:
    from pecg_utils import models

    leads, way = protocol.leads, protocol.normalise
    told = learned(windows, sides["train"], leads, way)
    inputs = {}
    for side, rows in sides.items():
        taken = measure(windows, rows, leads, way, told)
        inputs[side] = Inputs(windows, rows, taken, labels[rows])
    model = models.create(
        protocol.model,
        n_leads=len(protocol.leads),
        n_classes=labels.shape[1],
        n_samples=protocol.piece(windows),
        **sizes,
    )
    if protocol.start is not None:
        assert start is not None
        _go_on(model, start, windows, protocol, sizes)
    kept = {} if told is None else {"mean": told.mean.tolist(), "std": told.std.tolist()}
    return Lesson(inputs, model, of_heads(model, protocol), kept)


def _go_on(
    model: Any, start: Path, windows: Windows, protocol: Protocol, sizes: Mapping[str, Any]
) -> None:
    """Give `model` the weights in the file `start`, but for those of its last layer."""
    from pecg_utils import weights

    wanted = weights.Wanted(
        model=protocol.model,
        sizes=dict(sizes),
        leads=protocol.leads,
        fs=windows.settings.fs,
        classes=None,
    )
    weights.begin(model, start, wanted)
    if protocol.start is not None and protocol.start.head:
        model.freeze()


def _of_domains(
    windows: Windows,
    labels: Flags,
    sides: Mapping[str, Rows],
    protocol: Protocol,
    sizes: Mapping[str, Any],
    epochs: int,
    start: Path | None,
    seed: int,
) -> Lesson:
    from pecg_utils import adapting

    transfer, leads = protocol.transfer, protocol.leads
    assert transfer is not None
    repeat = protocol.repeat
    model = adapting.made(windows, transfer, protocol.model, len(leads), sizes, repeat)
    inputs, objective, kept = adapting.taught(
        windows, labels, sides, transfer, leads, model, start, epochs, seed, repeat
    )
    return Lesson(inputs, model, objective, kept)


def of_heads(model: Any, protocol: Protocol) -> Any:
    """The objective of a model of several answers to one window; None for any other."""
    from pecg_utils.models.mrmnet import MrmNet
    from pecg_utils.mutual import ABLATION, Terms
    from pecg_utils.objectives import Heads

    if not isinstance(model, MrmNet):
        return None
    return Heads(ABLATION[protocol.loss] if protocol.loss else Terms())


def _of_pairs(
    pairs: Pairs,
    labels: Flags,
    sides: Mapping[str, Rows],
    protocol: Protocol,
    sizes: Mapping[str, Any],
    epochs: int,
) -> Lesson:
    import torch

    from pecg_utils.contrastive import ABLATION, Contrast, Terms
    from pecg_utils.objectives import OneLabel

    if protocol.normalise != "window":
        raise ValueError(f"pairs are normalised by window, and not by {protocol.normalise}")
    inputs = {side: PairInputs(pairs, rows, labels[rows]) for side, rows in sides.items()}
    model = model_of_pairs(pairs, protocol.model, sizes)
    counts = torch.from_numpy(labels[sides["train"]].sum(axis=0))  # (C,)
    terms = ABLATION[protocol.loss] if protocol.loss else Terms()
    terms = replace(terms, epochs=epochs * _RAMP)
    return Lesson(inputs, model, OneLabel(Contrast(counts, model.head.in_features, terms)), {})


def model_of_pairs(pairs: Pairs, model: str, sizes: Mapping[str, Any]) -> Any:
    """A new model of two signals, such as these pairs have."""
    from pecg_utils import models

    return models.create(
        model,
        n_leads=pairs.n_leads,
        n_classes=len(pairs.classes),
        n_samples=pairs.n_samples,
        **{**sizes, **pairs.sizes},
    )


def answers(
    prepared: Windows | Pairs,
    probabilities: npt.NDArray[np.float32],
    thresholds: npt.NDArray[np.float64],
) -> Flags:
    """What is answered, (n, C): labels from their threshold (C,) on, or the likeliest class."""
    if isinstance(prepared, Windows):
        return probabilities >= thresholds
    likeliest = probabilities.argmax(axis=1)  # (n,)
    return np.asarray(likeliest[:, None] == np.arange(probabilities.shape[1]))


def scores(
    prepared: Windows | Pairs,
    targets: Flags,
    probabilities: npt.NDArray[np.float32],
    who: pd.Series,
    resamples: int,
    parts: pd.Series | None,
) -> pd.DataFrame:
    """Every metric with its interval, as bootstrap.intervals or one_label.intervals gives it."""
    score = bootstrap if isinstance(prepared, Windows) else one_label
    return score.intervals(
        targets, probabilities, who, resamples=resamples, labels=prepared.classes, parts=parts
    ).reset_index()
