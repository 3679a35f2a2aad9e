"""What the chapter on small sets carries out: models pre-trained on a large set and transferred.

A training on the small set is told apart by its model, by the way of transfer, by how many
recordings are taught, and by a number: the seed of this training and of the pre-training, and the
draw of the recordings. What lies between trainings that differ in this number alone is what other
seeds and other recordings would have done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import comparison, weights
from pecg_utils.chapters.ecgs_enough import FS, MODELS
from pecg_utils.data import large
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.files import whole
from pecg_utils.ledger import Run
from pecg_utils.lessons import WEIGHTS
from pecg_utils.machine import revision
from pecg_utils.protocol import Protocol, Start
from pecg_utils.trial import Outcome

SCRATCH, HEAD, ALL = WAYS = ("from scratch", "head only", "all weights")
EVERY = "all"  # recordings of the training side
Trials = dict[tuple[str, str, str], list[Outcome]]  # model, way, size -> a training a number


@dataclass(frozen=True)
class Sets:
    """The windows of the large set and of the small one. source: the dataset of the large one."""

    large: Windows
    source: Dataset
    small: Windows


def gather(run: Run) -> Sets:
    """Both sets: twins, or both real.

    Raises PecgError where a real set is beside a twin, and where the large set has no label that
    enough of its recordings carry.
    """
    p, kind = run.parameters, run.training.kind
    given = run.further("large")
    if given is None and (kind != "twin" or p.source == "hospitals"):
        raise PecgError(
            f"Models are to be pre-trained on {p.source}, for a small set that is "
            f"{_kind(run.training)}: give its folder as the parameter large."
        )
    source = run.beside(p.source, p.others) if given is None else given
    if (source.kind == "twin") != (kind == "twin"):
        raise PecgError(
            f"The large set's folder holds {_kind(source)} and the small set's "
            f"{_kind(run.training)}: give both as real recordings, or both as twins."
        )
    if p.dataset == "ptbxl":
        source = large.without(source, large.SITE, large.OF_RIGHT[p.source])
    source = large.enough(source, p.least)
    many = run.windows(source, TWELVE_LEADS, needed=True)
    few = run.windows(run.training, TWELVE_LEADS, labelled=False, needed=True)
    assert many is not None
    assert few is not None
    return Sets(many, source, few)


def _kind(dataset: Dataset) -> str:
    return "a twin" if dataset.kind == "twin" else "real recordings"


def protocol(run: Run, model: str, of: Windows, **how: Any) -> Protocol:
    """A training of the chapter on these windows, by patient where all are named."""
    p = run.parameters
    name, changes = MODELS[model]
    usual = {
        "cohort": "12-lead",
        "split": "proxy" if "proxy" in of.table else "patient",
        "normalise": p.normalise,
        "changes": changes,
        "crop": p.samples / FS,
    }
    return Protocol(name, TWELVE_LEADS, **{**usual, **how})


def broad(run: Run, model: str, of: Windows, **how: Any) -> Protocol:
    """A training on the large set; PTB-XL's own folds divide it."""
    by_fold = {"split": "fold"} if run.parameters.source == "ptbxl" else {}
    return protocol(run, model, of, **by_fold, **how)


def pretrained(run: Run, sets: Sets) -> dict[str, list[Outcome]]:
    """Each model taught the large set, a training a seed; its weights lie in its folder.

    A model whose weights were given as a file is not taught; it is not here.
    """
    p, found = run.parameters, {}
    own = set() if not p.weights else {given(run, sets)[0]}
    for model in p.models:
        if model in own:
            continue
        plan = [broad(run, model, sets.large, repeat=number) for number in range(p.repeats)]
        found[model] = run.trials(sets.large, plan, of=sets.source)
        for outcome in found[model]:
            _keep(run, sets, model, outcome)
    return found


def _keep(run: Run, sets: Sets, model: str, outcome: Outcome) -> None:
    """Write the trained weights and what they are of into the trial's folder."""
    import torch

    path = outcome.folder / WEIGHTS
    if path.is_file():
        return
    kept = torch.load(outcome.folder / "model.pt", weights_only=True)
    settings, source = sets.large.settings, sets.source
    about = weights.About(
        model=outcome.protocol.model,
        sizes=sizes_of(run, model),
        leads=outcome.protocol.leads,
        fs=settings.fs,
        samples=outcome.protocol.piece(sets.large),
        classes=outcome.classes,
        normalise=outcome.protocol.normalise,
        filter=settings.filter,
        mean=kept.get("mean", []),
        std=kept.get("std", []),
        dataset=source.name,
        kind=source.kind,
        fingerprint=sets.large.key,
        run=run.key,
        revision=revision(),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    weights.save(path, kept["weights"], about)


def sizes_of(run: Run, model: str) -> dict[str, Any]:
    """The sizes of a model of this run, as models.create takes them."""
    name, changes = MODELS[model]
    return {**run.sizes(name), **dict(changes)}


def given(run: Run, sets: Sets) -> tuple[str, Start]:
    """The model whose weights were given as a file, and what to go on from.

    The file is copied beside the run's trials. Raises PecgError where its weights are not of a
    model of this run, or were taught other leads, another rate or other classes.
    """
    from pecg_utils import models

    p = run.parameters
    path = Path(p.weights).expanduser()
    about, _ = weights.read(path)
    alike = {
        model: sizes_of(run, model)
        for model in p.models
        if MODELS[model][0] == about.model and not set(MODELS[model][1]) - set(about.sizes.items())
    }
    if not alike:
        raise PecgError(
            f"The weights in {path} are of {about.model}, which is none of the models of this run: "
            f"{', '.join(p.models)}. Give other weights, or name the model."
        )
    model, sizes = next(iter(alike.items()))
    name, classes = MODELS[model][0], sets.large.classes
    wanted = weights.Wanted(name, sizes, TWELVE_LEADS, FS, classes)
    tried = models.create(name, len(TWELVE_LEADS), len(classes), p.samples, **sizes)
    weights.begin(tried, path, wanted)
    digest = run.sources.files["weights"][:16]
    place = run.folder / "trials" / digest / WEIGHTS
    if not place.is_file():
        with whole(place) as scratch:
            scratch.write_bytes(path.read_bytes())
    return model, Start(f"{about.dataset}, given weights", digest)


def starts(run: Run, sets: Sets, begun: dict[str, list[Outcome]]) -> dict[str, list[Start]]:
    """What each model goes on from, one a seed. begun: as `pretrained` gives it."""
    found = {
        model: [Start(sets.source.name, outcome.folder.name) for outcome in outcomes]
        for model, outcomes in begun.items()
    }
    if run.parameters.weights:
        model, start = given(run, sets)
        found[model] = [start] * run.parameters.repeats
    return found


def sizes(run: Run) -> dict[str, int | None]:
    """How many recordings are taught, as a page calls it -> as a protocol has it."""
    return {**{one: int(one) for one in run.parameters.taught}, EVERY: None}


def transferred(
    run: Run, sets: Sets, begun: dict[str, list[Start]], asked: Sequence[str] = ()
) -> Trials:
    """Each model in each way with each number of recordings, or with those `asked` alone."""
    p, found = run.parameters, {}
    for model in p.models:
        for called in asked or sizes(run):
            for way in WAYS:
                plan = []
                for number in range(p.repeats):
                    start = None
                    if way != SCRATCH:
                        start = replace(begun[model][number], head=way == HEAD)
                    plan.append(tuned(run, model, sets.small, called, number, start=start))
                found[model, way, called] = run.trials(sets.small, plan)
    return found


def tuned(run: Run, model: str, of: Windows, called: str, number: int, **how: Any) -> Protocol:
    """A training on the small set. called: how many recordings. number: seed and draw."""
    p = run.parameters
    most = sizes(run)[called]
    usual = {
        "most": most,
        "draw": None if most is None else number,
        "steps": p.steps,
        "folds": p.folds,
        "repeat": number,
    }
    return protocol(run, model, of, **{**usual, **how})


def table(trials: Trials, labels: npt.NDArray[np.bool_], resamples: int = 1000) -> pd.DataFrame:
    """One row a model, way and number of recordings, of the macro AUROC and average precision.

    labels: (N, C) of the small set.

    Columns: name, model, way, source (pre-trained on what), size (recordings taught), called (the
    same in words), positives (taught, the mean), metric, trials, value, low, high (of the mean over
    trainings, over patients), least, most (over trainings), gain, gain_low, gain_high (less the
    same model from scratch with the same recordings, over patients), gain_least, gain_most (over
    trainings).
    """
    found = []
    for model, called in dict.fromkeys((model, called) for model, _, called in trials):
        ways = {way: trials[model, way, called] for way in WAYS if (model, way, called) in trials}
        part = comparison.table(ways, resamples, ("auroc", "average_precision"))
        ends = [
            [float(one.value(metric)["value"]) for one in ways[way]]
            for way, metric in zip(part["name"], part["metric"], strict=True)
        ]
        part["least"], part["most"] = [min(e) for e in ends], [max(e) for e in ends]
        taught = {way: _taught(outcomes, labels) for way, outcomes in ways.items()}
        part.insert(1, "model", model)
        part.insert(2, "way", part["name"])
        starts = {way: outcomes[0].protocol.start for way, outcomes in ways.items()}
        part.insert(3, "source", [start.of if (start := starts[w]) else "" for w in part["way"]])
        part.insert(4, "size", [round(taught[way][0]) for way in part["way"]])
        part.insert(5, "called", called)
        part.insert(6, "positives", [taught[way][1] for way in part["way"]])
        gains = [
            [float(a.value(metric)["value"] - b.value(metric)["value"]) for a, b in paired]
            for way, metric in zip(part["way"], part["metric"], strict=True)
            for paired in [list(zip(ways[way], ways[next(iter(ways))], strict=True))]
        ]
        part["gain_least"] = [min(each) for each in gains]
        part["gain_most"] = [max(each) for each in gains]
        part["name"] = [
            f"{model}, {way}, {called}, {metric}"
            for way, metric in zip(part["way"], part["metric"], strict=True)
        ]
        found.append(part)
    return pd.concat(found, ignore_index=True)


def _taught(outcomes: Sequence[Outcome], labels: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Recordings and positives that were taught, the mean over folds and trainings."""
    rows = [fold.sides["train"] for outcome in outcomes for fold in outcome.folds]
    positives = [labels[of].any(axis=1).sum() for of in rows]
    return float(np.mean([len(of) for of in rows])), float(np.mean(positives))
