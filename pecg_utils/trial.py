"""One model, trained and tested under one protocol.

A protocol says all that an audit varies: the model, which recordings, which leads, how the windows
are split, where the normalisation comes from, and whether the labels are the real ones. Everything
else stays the same, so that two trials differ in what is compared and in nothing else.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, files
from pecg_utils.data import splits
from pecg_utils.data.inputs import Inputs, Scale, scale
from pecg_utils.data.windows import Windows

# Upper ends in days; the bands of the release's description, the first year's four in two.
AGE_BANDS = {
    "under 1 month": 30.0,
    "1 to 12 months": 365.25,
    "1 to 3 years": 3 * 365.25,
    "3 to 5 years": 5 * 365.25,
    "5 to 8 years": 8 * 365.25,
    "8 to 12 years": 12 * 365.25,
    "over 12 years": float("inf"),
}


@dataclass(frozen=True)
class Protocol:
    """What is trained on what, how.

    model: a name of the registry. leads: what the model sees. cohort: the recordings, as
    "12-lead". split: one of splits.WAYS.
    normalise: "train" takes the training side's statistics everywhere, "own" each side's own.
    labels: "real", or "permuted" between patients. antialias: whether the windows are filtered.
    """

    model: str
    leads: tuple[str, ...]
    cohort: str
    split: str = "patient"
    normalise: str = "train"
    labels: str = "real"
    antialias: bool = True

    @property
    def name(self) -> str:
        """A short name that tells protocols apart."""
        leads = f"{len(self.leads)} leads"
        if self.cohort != f"{len(self.leads)}-lead":
            leads += f" of {self.cohort} recordings"
        words = [self.model, leads, f"{self.split} split"]
        if self.normalise == "own":
            words.append("own statistics")
        if self.labels == "permuted":
            words.append("permuted labels")
        if not self.antialias:
            words.append("no filter")
        return ", ".join(words)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial, on its test side.

    targets: (n, C) bool. probabilities: (n, C). about: one row a test window, with record,
    patient and age_days. scores: as bootstrap.intervals gives them. facts: what goes into the
    run's record beside the scores. curves: one row an epoch.
    """

    protocol: Protocol
    kind: str
    classes: tuple[str, ...]
    targets: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    about: pd.DataFrame
    scores: pd.DataFrame
    facts: dict[str, Any]
    curves: pd.DataFrame
    folder: Path

    def value(self, metric: str, label: str = "macro") -> pd.Series:
        """The row of one metric of one label: value, low, high."""
        found = self.scores[(self.scores["metric"] == metric) & (self.scores["label"] == label)]
        return found.iloc[0]


def carry_out(
    windows: Windows,
    protocol: Protocol,
    kind: str,
    sizes: Mapping[str, Any],
    training: "Any",
    folder: Path,
    resamples: int = 1000,
) -> Outcome:
    """Train and test under `protocol`, or read what an earlier call with the same folder left.

    kind: "twin", "subset" or "full", of the data. sizes: the model's. training: train.Training.
    folder: where checkpoints, the split, the trained weights and the probabilities are kept.
    """
    name = files.fingerprint([protocol.name, kind, windows.key])
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    labels = windows.labels
    if protocol.labels == "permuted":
        labels = permute_between_patients(windows.table, labels, training.seed)
    split = _split(place / "split.json", windows, labels, protocol.split, training.seed)
    sides = {side: split.rows(side) for side in splits.SIDES}
    if not (place / "facts.json").is_file():
        _train(place, windows, labels, sides, protocol, kind, sizes, training)
    stored = np.load(place / "probabilities.npy")
    facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
    facts["split"] = {
        "by": split.by,
        "fingerprint": split.fingerprint,
        "windows": {side: len(rows) for side, rows in sides.items()},
        "patients": {side: windows.table["patient"].iloc[r].nunique() for side, r in sides.items()},
    }
    return _outcome(protocol, kind, windows, sides["test"], labels, stored, facts, place, resamples)


def _split(
    path: Path, windows: Windows, labels: npt.NDArray[np.bool_], by: str, seed: int
) -> splits.Split:
    if not path.is_file():
        splits.make(windows.table, labels, by, seed).save(path)
    return splits.load(path, windows.table)


def _train(
    place: Path,
    windows: Windows,
    labels: npt.NDArray[np.bool_],
    sides: Mapping[str, npt.NDArray[np.intp]],
    protocol: Protocol,
    kind: str,
    sizes: Mapping[str, Any],
    training: "Any",
) -> None:
    import torch

    from pecg_utils import models, train

    learned = scale(windows, sides["train"], protocol.leads)
    inputs = {}
    for side, rows in sides.items():
        own = protocol.normalise == "own"
        measure = scale(windows, rows, protocol.leads) if own else learned
        inputs[side] = Inputs(windows, rows, measure, labels[rows])
    torch.manual_seed(training.seed)
    model = models.create(
        protocol.model,
        n_leads=len(protocol.leads),
        n_classes=labels.shape[1],
        n_samples=windows.steps.shape[2],
        **sizes,
    )
    begun = time.perf_counter()
    checkpoint = place / f"{protocol.name}.checkpoint"
    fitted = train.fit(model, inputs["train"], inputs["validation"], training, checkpoint)
    facts = {
        "name": protocol.name,
        "protocol": asdict(protocol),
        "data": kind,
        "weights": sum(p.numel() for p in fitted.model.parameters()),
        "sizes": dict(sizes),
        "best_epoch": fitted.best_epoch,
        "device": fitted.device,
        "precision": fitted.precision,
        "seconds": round(time.perf_counter() - begun, 2),
        "curves": fitted.curves,
    }
    weights = {name: value.cpu() for name, value in fitted.model.state_dict().items()}
    kept = {"weights": weights, "mean": learned.mean.tolist(), "std": learned.std.tolist()}
    train.save(kept, place / "model.pt")
    with files.whole(place / "probabilities.npy") as scratch:
        scratch.write_bytes(files.array_bytes(train.predict(fitted.model, inputs["test"])))
    files.write_text(place / "facts.json", json.dumps(facts))  # the last file: all is there
    checkpoint.unlink(missing_ok=True)


def judge(
    outcome: Outcome, windows: Windows, kind: str, sizes: Mapping[str, Any], resamples: int = 1000
) -> Outcome:
    """The model of `outcome`, tested on other `windows` as it is: its weights, its statistics."""
    import torch

    from pecg_utils import models, train

    protocol = outcome.protocol
    kept = torch.load(outcome.folder / "model.pt", weights_only=True)
    model = models.create(
        protocol.model,
        n_leads=len(protocol.leads),
        n_classes=len(windows.classes),
        n_samples=windows.steps.shape[2],
        **sizes,
    )
    model.load_state_dict(kept["weights"])
    every = np.arange(len(windows))
    measure = Scale(protocol.leads, np.array(kept["mean"]), np.array(kept["std"]))
    given = train.predict(model, Inputs(windows, every, measure, windows.labels))
    facts = {**outcome.facts, "data": kind, "trained_on": outcome.kind, "curves": []}
    facts["split"] = {
        "by": "another dataset",
        "fingerprint": windows.key,
        "windows": {"test": len(windows)},
        "patients": {"test": windows.table["patient"].nunique()},
    }
    return _outcome(
        protocol, kind, windows, every, windows.labels, given, facts, outcome.folder, resamples
    )


def _outcome(
    protocol: Protocol,
    kind: str,
    windows: Windows,
    rows: npt.NDArray[np.intp],
    labels: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float32],
    facts: dict[str, Any],
    place: Path,
    resamples: int,
) -> Outcome:
    about = windows.table.iloc[rows].reset_index(drop=True)
    scores = bootstrap.intervals(
        labels[rows],
        probabilities,
        about["patient"],
        resamples=resamples,
        labels=windows.classes,
    ).reset_index()
    return Outcome(
        protocol=protocol,
        kind=kind,
        classes=windows.classes,
        targets=labels[rows],
        probabilities=probabilities,
        about=about,
        scores=scores,
        facts=facts,
        curves=pd.DataFrame(facts["curves"]),
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


def by_age(outcome: Outcome, resamples: int = 1000) -> pd.DataFrame:
    """Macro AUROC with its interval a band of age: band, windows, patients, value, low, high.

    A band with fewer than two patients is left out.
    """
    ages = outcome.about["age_days"].to_numpy()
    lower = -np.inf
    rows = []
    for band, upper in AGE_BANDS.items():
        inside = (ages > lower) & (ages <= upper)
        lower = upper
        patients = outcome.about["patient"][inside]
        if patients.nunique() < 2:
            continue
        scores = bootstrap.intervals(
            outcome.targets[inside],
            outcome.probabilities[inside],
            patients,
            resamples=resamples,
            labels=outcome.classes,
        )
        macro = scores.loc[("auroc", "macro")]
        rows.append(
            {
                "band": band,
                "windows": int(inside.sum()),
                "patients": patients.nunique(),
                "value": macro["value"],
                "low": macro["low"],
                "high": macro["high"],
            }
        )
    return pd.DataFrame(rows, columns=["band", "windows", "patients", "value", "low", "high"])
