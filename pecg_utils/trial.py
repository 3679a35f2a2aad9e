"""A trial: what one protocol comes to, carried out and scored.

Each fold is split, taught and tested in a folder of its own, and what is finished is never done
again. The scores of a cross-validation are of all its test sides together.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import challenge_score, challenge_thresholds, files, lessons, progress, reloaded
from pecg_utils.data import splits
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import people, sites
from pecg_utils.data.windows import Windows
from pecg_utils.protocol import Protocol


@dataclass(frozen=True)
class Fold:
    """One split of a trial, carried out. folder: where its model lies. sides: the rows of each.

    probabilities: (n, C) of the test side. thresholds: (C,).
    """

    folder: Path
    sides: Mapping[str, npt.NDArray[np.intp]]
    probabilities: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float64]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial, on its test side; of a cross-validation, on all test sides together.

    targets: (n, C) bool. probabilities: (n, C). answers: (n, C) bool, decided at 0.5, or where the
    Challenge's metric is reckoned at thresholds of the validation side, or the likeliest class of
    windows that have one each. about: one row a test window, with record, patient, age_days and
    `model`, the number of the fold whose model scored it; only windows of one model are ranked
    together. scores: as bootstrap.intervals or one_label.intervals gives them. facts: what goes
    into the run's record beside the scores. curves: one row an epoch, of the first fold.
    """

    protocol: Protocol
    kind: str
    classes: tuple[str, ...]
    targets: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    answers: npt.NDArray[np.bool_]
    about: pd.DataFrame
    scores: pd.DataFrame
    facts: dict[str, Any]
    curves: pd.DataFrame
    folds: tuple[Fold, ...]
    folder: Path

    def value(self, metric: str, label: str = "macro") -> pd.Series:
        """The row of one metric of one label: value, low, high."""
        found = self.scores[(self.scores["metric"] == metric) & (self.scores["label"] == label)]
        return found.iloc[0]

    @property
    def one_label(self) -> bool:
        """Whether each window is of one class, so that its scores have a top-1 accuracy."""
        return bool((self.scores["metric"] == "top1").any())

    @property
    def confusion(self) -> npt.NDArray[np.int_]:
        """Windows by true class and answered class, (C, C)."""
        return np.asarray(self.targets.T.astype(int) @ self.answers.astype(int))

    @property
    def usual_thresholds(self) -> pd.Series:
        """Class -> the median of its thresholds over the folds."""
        each = np.stack([fold.thresholds for fold in self.folds])  # (folds, C)
        middle = np.quantile(each, 0.5, axis=0, method="lower")  # inf is no number
        return pd.Series(middle, index=list(self.classes))


def carry_out(
    windows: Windows | Pairs,
    protocol: Protocol,
    kind: str,
    sizes: Mapping[str, Any],
    training: Any,
    folder: Path,
    resamples: int = 1000,
    weights: pd.DataFrame | None = None,
) -> Outcome:
    """Train and test under `protocol`, or read what an earlier call with the same folder left.

    kind: "twin", "subset" or "full", of the data. sizes: the model's. training: train.Training.
    folder: where checkpoints, the splits, the trained weights and the probabilities are kept.
    weights: the Challenge's, where its metric is to be reckoned too, as challenge_score.weights
    gives them.
    """
    place = _place(folder, protocol, kind, windows)
    start = None
    if protocol.start is not None:
        start = folder / protocol.start.folder
    if (before := protocol.before) is not None:
        start = _place(folder, before, kind, windows)
        if not (start / "facts.json").is_file():
            carry_out(windows, before, kind, sizes, training, folder, resamples)
    labels = windows.labels
    if protocol.labels == "permuted":
        labels = permute_between_patients(windows.table, labels, training.seed)
    sizes = {**sizes, **dict(protocol.changes)}
    crop = protocol.piece(windows) if protocol.crop and isinstance(windows, Windows) else 0
    again = replace(training, crop=crop)
    folds = []
    found = _splits(place, windows, labels, protocol, training.seed)
    for inner, split in progress.track(found, len(found), f"{protocol.model}: fold"):
        sides = {side: split.rows(side) for side in splits.SIDES}
        sides["train"] = protocol.taught(sides["train"], labels, training.seed)
        if not (inner / "facts.json").is_file():
            _train(inner, windows, labels, sides, protocol, kind, sizes, again, start)
        facts = json.loads((inner / "facts.json").read_text(encoding="utf-8"))
        facts["split"] = _about_split(split, sides, windows.table)
        thresholds = np.full(labels.shape[1], 0.5)
        if weights is not None:
            held, given = sides["validation"], np.load(inner / "validation.npy")
            who = people(windows.table.iloc[held])
            thresholds = challenge_thresholds.thresholds(labels[held], given, weights, who)
        given = np.load(inner / "probabilities.npy")
        folds.append(Fold(inner, sides, given, thresholds, facts))
    facts = _joined(protocol, folds)
    tested = np.concatenate([fold.sides["test"] for fold in folds])
    facts["split"]["patients"]["test"] = int(people(windows.table.iloc[tested]).nunique())
    return outcome_of(protocol, kind, windows, labels, folds, facts, place, resamples, weights)


def _place(folder: Path, protocol: Protocol, kind: str, windows: Windows | Pairs) -> Path:
    """The folder of a trial."""
    return folder / files.fingerprint([protocol.name, kind, windows.key])


def _splits(
    place: Path,
    windows: Windows | Pairs,
    labels: npt.NDArray[np.bool_],
    protocol: Protocol,
    seed: int,
) -> list[tuple[Path, splits.Split]]:
    """The splits of a trial, each with the folder of its own that keeps it."""
    table, by = windows.table, protocol.split
    if protocol.folds == 1 and by != "site":
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "split.json").is_file():
            protocol.divide(table, labels, seed)[0].save(place / "split.json")
        return [(place, splits.load(place / "split.json", table))]
    kept = place / "folds"  # one number a fold; its folder is written last
    if not kept.is_file():
        made = protocol.divide(table, labels, seed)
        for number, split in enumerate(made):
            (place / str(number)).mkdir(parents=True, exist_ok=True)
            split.save(place / str(number) / "split.json")
        files.write_text(kept, "\n".join(str(number) for number in range(len(made))))
    inner = [place / name for name in kept.read_text(encoding="utf-8").split()]
    return [(folder, splits.load(folder / "split.json", table)) for folder in inner]


def _about_split(
    split: splits.Split, sides: Mapping[str, npt.NDArray[np.intp]], table: pd.DataFrame
) -> dict[str, Any]:
    who = people(table)
    found: dict[str, Any] = {
        "by": split.by,
        "fingerprint": split.fingerprint,
        "windows": {side: len(rows) for side, rows in sides.items()},
        "patients": {side: int(who.iloc[rows].nunique()) for side, rows in sides.items()},
    }
    if split.by == "site":
        found["site"] = str(sites(table).iat[sides["test"][0]])
    return found


def _joined(protocol: Protocol, folds: Sequence[Fold]) -> dict[str, Any]:
    """The facts of a trial: of its one fold, or of the first with those of each in `folds`."""
    first = folds[0].facts
    if protocol.folds == 1 and protocol.split != "site":
        return first
    each = [fold.facts for fold in folds]
    own = ("best_epoch", "seconds", "split")
    return {
        **first,
        "seconds": round(sum(facts["seconds"] for facts in each), 2),
        "split": {
            "by": protocol.split,
            "fingerprint": files.fingerprint(facts["split"]["fingerprint"] for facts in each),
            "windows": {"test": sum(facts["split"]["windows"]["test"] for facts in each)},
            "patients": {},
        },
        "folds": [{name: facts[name] for name in own} for facts in each],
    }


def epochs(folder: Path) -> Path:
    """Where a watched training with its model in `folder` keeps what it answered: a file a side
    and epoch, (n, H, C), the probabilities of each head."""
    return folder / "epochs"


def _train(
    place: Path,
    windows: Windows | Pairs,
    labels: npt.NDArray[np.bool_],
    sides: Mapping[str, npt.NDArray[np.intp]],
    protocol: Protocol,
    kind: str,
    sizes: Mapping[str, Any],
    training: Any,
    start: Path | None,
) -> None:
    import torch

    from pecg_utils import train

    seed = training.seed  # of the split
    training = protocol.training(training, len(sides["train"]))
    torch.manual_seed(training.seed)
    begun = None
    if start is not None:
        begun = start / (lessons.WEIGHTS if protocol.start else "model.pt")
    lesson = lessons.lesson(windows, labels, sides, protocol, sizes, training.epochs, begun, seed)
    inputs = lesson.inputs

    def look(epoch: int, model: Any, objective: Any) -> None:
        for side in ("validation", "test"):
            given = train.predict(model, inputs[side], objective.each, training.crop)  # (n, H, C)
            with files.whole(epochs(place) / f"{side}-{epoch:04d}.npy") as scratch:
                scratch.write_bytes(files.array_bytes(given))

    fitted = train.fit(
        lesson.model,
        inputs["train"],
        inputs["validation"],
        training,
        place / f"{protocol.name}.checkpoint",
        lesson.objective,
        look if training.watch else None,
    )
    facts = {
        "name": protocol.name,
        "protocol": asdict(protocol),
        "data": kind,
        "weights": sum(p.numel() for p in fitted.model.parameters()),
        "sizes": dict(sizes),
        "best_epoch": fitted.best_epoch,
        "device": fitted.device,
        "precision": fitted.precision,
        "seconds": round(fitted.seconds, 2),
        "curves": fitted.curves,
    }
    weights = {name: value.cpu() for name, value in fitted.model.state_dict().items()}
    objective = fitted.objective.state_dict()
    train.save({**lesson.kept, "weights": weights, "objective": objective}, place / "model.pt")
    for side, name in (("validation", "validation.npy"), ("test", "probabilities.npy")):
        given = train.predict(
            fitted.model, inputs[side], fitted.objective.probabilities, training.crop
        )
        with files.whole(place / name) as scratch:
            scratch.write_bytes(files.array_bytes(given))
    files.write_text(place / "facts.json", json.dumps(facts))  # the last file: all is there
    (place / f"{protocol.name}.checkpoint").unlink(missing_ok=True)


def judge(
    outcome: Outcome, windows: Windows, kind: str, sizes: Mapping[str, Any], resamples: int = 1000
) -> Outcome:
    """The model of `outcome`, tested on other `windows` as it is: its weights, its statistics.

    Where each side or each window is normalised by its own, these windows are by theirs.
    """
    from pecg_utils import train
    from pecg_utils.objectives import ManyLabels

    protocol = outcome.protocol
    every = np.arange(len(windows))
    model, inputs = reloaded.model_and_inputs(
        outcome.folder, protocol, sizes, windows, every, windows.labels
    )
    crop = protocol.piece(windows) if protocol.crop else 0
    objective = lessons.of_heads(model, protocol) or ManyLabels
    given = train.predict(model, inputs, objective.probabilities, crop)
    fold = Fold(outcome.folder, {"test": every}, given, outcome.folds[0].thresholds, {})
    facts = {**outcome.facts, "data": kind, "trained_on": outcome.kind, "curves": []}
    facts["split"] = {
        "by": "another dataset",
        "fingerprint": windows.key,
        "windows": {"test": len(windows)},
        "patients": {"test": int(people(windows.table).nunique())},
    }
    return outcome_of(
        protocol, kind, windows, windows.labels, [fold], facts, outcome.folder, resamples
    )


def outcome_of(
    protocol: Protocol,
    kind: str,
    windows: Windows | Pairs,
    labels: npt.NDArray[np.bool_],
    folds: Sequence[Fold],
    facts: dict[str, Any],
    place: Path,
    resamples: int,
    weights: pd.DataFrame | None = None,
) -> Outcome:
    """What the folds of a trial come to together. place: the trial's folder.

    labels: (N, C), what the windows were taught as. The rest is as in `carry_out`.
    """
    rows = np.concatenate([fold.sides["test"] for fold in folds])
    probabilities = np.concatenate([fold.probabilities for fold in folds])  # (n, C)
    answers = np.concatenate(  # (n, C)
        [lessons.answers(windows, fold.probabilities, fold.thresholds) for fold in folds]
    )
    about = windows.table.iloc[rows].reset_index(drop=True)
    about["model"] = np.repeat(np.arange(len(folds)), [len(fold.sides["test"]) for fold in folds])
    who = people(about)
    parts = about["model"] if len(folds) > 1 else None
    scores = lessons.scores(windows, labels[rows], probabilities, who, resamples, parts)
    if weights is not None:
        value, low, high = challenge_score.intervals(labels[rows], answers, who, weights, resamples)
        row = {"metric": "challenge_score", "label": "macro", "value": value}
        row |= {"low": low, "high": high, "positives": int(labels[rows].sum())}
        scores = pd.concat([scores, pd.DataFrame([row])], ignore_index=True)
    return Outcome(
        protocol=protocol,
        kind=kind,
        classes=windows.classes,
        targets=labels[rows],
        probabilities=probabilities,
        answers=answers,
        about=about,
        scores=scores,
        facts=facts,
        curves=pd.DataFrame(facts["curves"]),
        folds=tuple(folds),
        folder=place,
    )


def permute_between_patients(
    table: pd.DataFrame, labels: npt.NDArray[np.bool_], seed: int
) -> npt.NDArray[np.bool_]:
    """Give each patient the labels of another, drawn at random: (N, C) bool.

    A patient's labels are those of the first window. What a model then 'learns' about a label is
    who the patient is, for nothing else is left to learn.
    """
    patients, first, of = np.unique(table["patient"], return_index=True, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(patients))
    return np.asarray(labels[first[dealt]][of])
