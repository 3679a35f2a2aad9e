"""Models, or one model changed in one thing at a time, each trained with several seeds and folds.

A trial is one model, seed and tested fold. All models are tested on the same recordings, so that a
resample of patients can be the same for all of them, and the interval of a difference does not hold
what the choice of patients does to both sides alike. Within a model, scores of different trainings
have no common scale: only recordings that one training scored are ranked together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, models
from pecg_utils.data.recording import TWELVE_LEADS, people
from pecg_utils.metrics import METRICS, macro
from pecg_utils.protocol import Protocol
from pecg_utils.trial import Outcome

Trials = Mapping[str, Sequence[Outcome]]  # what to call a model -> its trials


def plan(parameters: Any, **changes: Any) -> list[Protocol]:
    """What a model is trained for: a protocol a fold that takes its turn and a seed.

    parameters: of the chapter, with dataset, turns and repeats. changes: what differs from MRM-Net,
    whole. The first protocol tests the tenth fold of PTB-XL. CPSC2018 has no folds, and is divided
    once, by proxy.
    """
    by_fold = parameters.dataset == "ptbxl"
    same = {
        "model": "mrmnet",
        "leads": TWELVE_LEADS,
        "cohort": "12-lead",
        "split": "fold" if by_fold else "proxy",
        "normalise": "together",
        "turn": 0,
        **changes,
    }
    turns = range(parameters.turns if by_fold and "turn" not in changes else 1)
    return [
        Protocol(**{**same, "turn": same["turn"] + turn}, repeat=seed)
        for turn in turns
        for seed in range(parameters.repeats)
    ]


def table(
    trials: Trials, resamples: int = 1000, metrics: Sequence[str] = ("auroc", "f1")
) -> pd.DataFrame:
    """One row a model and macro metric: name, metric, trials, value, low, high, and what follows.

    apart: how far two trials that differ in their seed alone lie from each other at most. gain,
    gain_low, gain_high: the value less that of the first model, with the interval over patients,
    who are drawn for both at once.

    Raises ValueError where two models were not tested on the same recordings in the same order.
    """
    names = list(trials)
    joined = {name: _joined(trials[name]) for name in names}
    about = joined[names[0]][2]
    who = people(about)
    weights = bootstrap.resample_weights(who, resamples, seed=0)  # (n, R)
    whole = np.ones((len(about), 1), dtype=np.int32)
    rows = []
    first: dict[str, tuple[float, npt.NDArray[np.float64]]] = {}
    for name in names:
        targets, probabilities, tested = joined[name]
        if not tested[["record", "trial", "model"]].equals(about[["record", "trial", "model"]]):
            raise ValueError(f"{name} and {names[0]} were not tested on the same recordings")
        # Ranked together: what one model scored, of a trial and of a fold of it.
        parts = np.unique(tested[["trial", "model"]].to_numpy(), axis=0, return_inverse=True)[1]
        each = [
            macro(bootstrap.resampled(targets, probabilities, of, parts=parts).swapaxes(0, 1))
            for of in (whole, weights)
        ]  # (M, 1), (M, R)
        for metric in metrics:
            place = METRICS.index(metric)
            value, drawn = float(each[0][place, 0]), each[1][place]
            first.setdefault(metric, (value, drawn))
            gain, gains = value - first[metric][0], drawn - first[metric][1]
            limits, _ = bootstrap.middle(np.stack([drawn, gains]))
            if who.nunique() < 2:
                limits = np.full((2, 2), np.nan)
            apart = _seeds_apart(trials[name], metric)
            rows.append(
                (name, metric, len(trials[name]), value, *limits[0], apart, gain, *limits[1])
            )
    own = ["value", "low", "high", "apart", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=["name", "metric", "trials", *own])


def _seeds_apart(outcomes: Sequence[Outcome], metric: str) -> float:
    by_fold: dict[int, list[float]] = {}
    for outcome in outcomes:
        by_fold.setdefault(outcome.protocol.turn, []).append(outcome.value(metric)["value"])
    return float(max(max(values) - min(values) for values in by_fold.values()))


def blocks(trials: Trials, metric: str = "auroc") -> pd.DataFrame:
    """One row a trial: name, model, block (seed and tested fold), value of the macro metric."""
    rows = [
        (
            f"{name}, {block(outcome.protocol)}",
            name,
            block(outcome.protocol),
            outcome.value(metric)["value"],
        )
        for name, of_one in trials.items()
        for outcome in of_one
    ]
    return pd.DataFrame(rows, columns=["name", "model", "block", "value"])


def block(protocol: Protocol) -> str:
    """Which seed, and which fold is tested, in words."""
    tested = f", fold {10 - protocol.turn}" if protocol.split == "fold" else ""
    return f"seed {protocol.repeat + 1}{tested}"


def costs(
    trials: Trials, scored: pd.DataFrame, samples: int, batch: int, fs: float = 100.0
) -> pd.DataFrame:
    """What each model costs beside what it scores.

    scored: as `table` gives it. samples: of a recording. batch: windows of a training step. fs: Hz.
    One row a model: name, value, low, high (macro AUROC), weights, multiply_adds (for a recording,
    with all its pieces), seconds (of a training, the mean), mebibytes (of a training step).
    """
    from pecg_utils.cost import cost

    rows = []
    area = scored[scored["metric"] == "auroc"].set_index("name")
    for name, of_one in trials.items():
        outcome = of_one[0]
        protocol = outcome.protocol
        piece = round(protocol.crop * fs) or samples
        pieces = len(range(0, samples - piece, max(1, piece // 2))) + 1
        model = models.create(
            protocol.model, len(protocol.leads), len(outcome.classes), piece, **_sizes(outcome)
        )
        found = cost(model, len(protocol.leads), piece, pieces, batch)
        seconds = float(np.mean([o.facts["seconds"] / len(o.folds) for o in of_one]))
        row = area.loc[name]
        spent = (found.weights, found.multiply_adds, seconds, found.mebibytes)
        rows.append((name, row["value"], row["low"], row["high"], *spent))
    columns = ["weights", "multiply_adds", "seconds", "mebibytes"]
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", *columns])


def _sizes(outcome: Outcome) -> dict[str, Any]:
    """The sizes of the outcome's model, as create takes them."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in outcome.facts["sizes"].items()}


def _joined(
    outcomes: Sequence[Outcome],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], pd.DataFrame]:
    """Targets and probabilities (n, C) of all trials, and whom they are of, with the trial."""
    about = [
        outcome.about.assign(trial=number).reset_index(drop=True)
        for number, outcome in enumerate(outcomes)
    ]
    return (
        np.concatenate([outcome.targets for outcome in outcomes]),
        np.concatenate([outcome.probabilities.astype(np.float64) for outcome in outcomes]),
        pd.concat(about, ignore_index=True),
    )
