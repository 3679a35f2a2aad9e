"""Trained models of two signals, asked again: without electrograms, and for their embeddings.

The models are those that a trial left in its folders. Nothing is trained here.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pecg_utils import lessons
from pecg_utils.data.pairs import PairInputs, Pairs
from pecg_utils.trial import Fold, Outcome, outcome_of

Floats = npt.NDArray[np.float32]

AWAY = "second signal taken away at test"


@dataclass(frozen=True)
class Embedded:
    """A test side as a model sees it. z: (n, D), length one. labels: (n,) the class of each.

    prototypes: (K, D), zeros where `seen` (K,) is false. similar, psi: (K, K), and phi: (K,), as in
    contrastive.py. counts: (K,) windows that were taught.
    """

    z: Floats
    labels: npt.NDArray[np.intp]
    prototypes: Floats
    seen: npt.NDArray[np.bool_]
    similar: Floats
    psi: Floats
    phi: Floats
    counts: npt.NDArray[np.int_]


def without_electrograms(outcome: Outcome, pairs: Pairs, resamples: int = 1000) -> Outcome:
    """The models of `outcome` on the same test sides, told that every electrogram is absent."""
    from pecg_utils import train
    from pecg_utils.objectives import OneLabel

    folds, heard = [], np.zeros(2)
    for fold in outcome.folds:
        rows = fold.sides["test"]
        hidden = PairInputs(pairs, rows, pairs.labels[rows], hidden=True)
        model, _ = _model(fold, outcome, pairs)
        given = train.predict(model, hidden, OneLabel.probabilities)
        folds.append(replace(fold, probabilities=given))
        heard += train.predict(model, hidden, _heard).sum(axis=0)
    labels = pairs.labels.copy()  # (N, C)
    labels[np.concatenate([fold.sides["test"] for fold in folds])] = outcome.targets  # if permuted
    protocol = replace(outcome.protocol, windows=AWAY)
    facts = {**outcome.facts, "name": protocol.name, "seconds": 0.0}
    facts["heard"] = dict(zip(("ecg", "iegm"), heard.astype(int).tolist(), strict=True))
    return outcome_of(
        protocol, outcome.kind, pairs, labels, folds, facts, outcome.folder, resamples
    )


def embedded(outcome: Outcome, pairs: Pairs) -> Embedded:
    """The first fold's test side, with the prototypes and weights of its model's loss."""
    from pecg_utils import contrastive, train

    fold = outcome.folds[0]
    model, kept = _model(fold, outcome, pairs)
    rows = fold.sides["test"]
    z = train.predict(model, PairInputs(pairs, rows, pairs.labels[rows]), _embedding)  # (n, D)
    vectors = kept["contrast.prototypes.vectors"]  # (K, D)
    seen = kept["contrast.prototypes.seen"]  # (K,)
    similar = contrastive.similarity(vectors)
    return Embedded(
        z=z,
        labels=outcome.targets[: len(rows)].argmax(axis=1),
        prototypes=vectors.numpy(),
        seen=seen.numpy(),
        similar=similar.numpy(),
        psi=contrastive.hard_classes(similar, seen).numpy(),
        phi=kept["contrast.phi"].numpy(),
        counts=pairs.labels[fold.sides["train"]].sum(axis=0),
    )


def _heard(answer: Any) -> Any:
    return answer.heard.float()


def _embedding(answer: Any) -> Any:
    return answer.embedding


def _model(fold: Fold, outcome: Outcome, pairs: Pairs) -> tuple[Any, dict[str, Any]]:
    """A fold's trained model, and what its objective kept."""
    import torch

    stored = torch.load(fold.folder / "model.pt", weights_only=True)
    model = lessons.model_of_pairs(pairs, outcome.protocol.model, fold.facts["sizes"])
    model.load_state_dict(stored["weights"])
    return model, stored["objective"]
