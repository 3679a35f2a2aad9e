"""How a model learns from adults and then from children, by each method of transfers.py.

One network serves all methods, models/peace.py: with label queries for PEACE, with one output a
label where no text is known, and with the nearness of ECG and text for CLIP. The methods differ in
the loss and in what a model is shown while it is taught.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils import descriptors, text_vectors
from pecg_utils.alignment import ABLATION, Alignment, compose, fuse, others, own_texts
from pecg_utils.data import domains
from pecg_utils.data.inputs import Inputs, Scale, scale
from pecg_utils.data.windows import Windows
from pecg_utils.domain import DomainHead, adversary, clip, mmd
from pecg_utils.models.peace import Answer
from pecg_utils.objectives import Told, many_labels
from pecg_utils.precise import precise
from pecg_utils.transfers import Transfer

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

ANSWERS = {"PEACE": "queries", "CLIP": "nearness"}  # of the network; any other has linear outputs
UNLABELLED = ("DANN", "MMD")  # methods that are shown children without labels


def vectors(labels: tuple[str, ...], transfer: Transfer, size: int, seed: int = 0) -> Tensor:
    """The texts of each label, (A, C, E) of length one; A axes, E the `size`.

    In the place of the real ones the controls of text_vectors: random directions, those of another
    label, or one of its own for each label, which is what the ablation without text has too. seed:
    of what is random or shuffled.
    Raises PecgError when a label has no descriptor.
    """
    texts = descriptors.descriptors(transfer.form, labels)
    flat = text_vectors.encode(texts.to_numpy().ravel().tolist(), size)
    found = flat.reshape(len(labels), len(descriptors.AXES), size)  # (C, A, E)
    kind = "one-hot" if transfer.terms == "no text" else transfer.texts
    if kind == "random":
        found = text_vectors.random_like(found, seed)
    elif kind == "shuffled":
        found = text_vectors.shuffled_between_labels(found, seed)
    elif kind == "one-hot":
        found = text_vectors.one_hot(found)
    return torch.from_numpy(found).transpose(0, 1).contiguous()


@dataclass(frozen=True)
class Both:
    """Labelled adults, and as many children without labels behind each batch of them.

    The children of a batch are drawn by who the adults are, so that a training that is resumed
    draws the same.
    """

    adults: Inputs
    children: Inputs

    def __len__(self) -> int:
        return len(self.adults)

    @property
    def labels(self) -> Flags:
        """Of the adults (n, C)."""
        return self.adults.labels

    def batch(self, which: Rows) -> Floats:
        """(2 n, L, T), the adults first."""
        drawn = np.random.default_rng(which).integers(len(self.children), size=len(which))
        return np.concatenate([self.adults.batch(which), self.children.batch(drawn)])


class Adapting(Told):
    """The loss of a method, from models.peace.Answer. texts: (A, C, E). width: of the features.

    epochs: of the training, as DANN and PEACE's gate reckon with its progress.
    """

    texts: Tensor

    def __init__(self, transfer: Transfer, texts: Tensor, width: int, epochs: int) -> None:
        super().__init__()
        self.transfer, self.epochs = transfer, epochs
        self.register_buffer("texts", texts, persistent=False)
        self.alignment = Alignment(ABLATION[transfer.terms]) if self._is("PEACE") else None
        self.head = DomainHead(width) if self._is("DANN") and transfer.shots == 0 else None

    def _is(self, method: str) -> bool:
        return self.transfer.method == method

    def told(self, targets: Tensor) -> tuple[Tensor | None, ...]:
        """Axis tokens (B, A, E) and fused text (B, E) of the records, made of their labels.

        The tokens are another record's where the transfer says "shuffled", the fused text, which
        the alignment needs, is always the record's own.
        """
        if self._is("CLIP"):
            return None, _unit(fuse(compose(targets, self.texts)))
        if self.alignment is None:
            return ()
        axes, fused = own_texts(targets, self.texts, self.alignment.terms.texts)
        if axes is not None and self.transfer.tokens == "shuffled":
            alone = len(axes) == 1  # there is no other's to show
            axes = None if alone else axes[others(len(axes)).to(axes.device)]
        if self.transfer.tokens == "none":
            axes = None
        return axes, None if fused is None else _unit(fused)

    def forward(self, answer: Answer, targets: Tensor, passed: float) -> Tensor:
        n, progress = len(targets), passed / max(1, self.epochs)
        if self._is("CLIP"):
            assert answer.text is not None
            return clip(answer.embedding, answer.text, targets)
        if self.alignment is not None:
            parts = (answer.logits, answer.embedding, answer.text, answer.auxiliary)
            total: Tensor = self.alignment(*parts, targets, progress).total
            return total
        loss = F.binary_cross_entropy_with_logits(precise(answer.logits[:n]), precise(targets))
        if len(answer.logits) == n:
            return loss
        features = answer.features
        assert features is not None
        if self.head is None:
            return loss + mmd(features[:n], features[n:])
        child = torch.arange(len(features), device=features.device) >= n  # (2 n,)
        return loss + adversary(self.head, features, child, progress)

    @staticmethod
    def probabilities(answer: Answer) -> Tensor:
        """(B, C), each label by itself. CLIP's rank and decide nothing."""
        return torch.sigmoid(precise(answer.logits))

    @classmethod
    def each(cls, answer: Answer) -> Tensor:
        """(B, 1, C), of its one head."""
        return cls.probabilities(answer)[:, None]

    def score(self, metric: str, targets: Flags, probabilities: Floats) -> float:
        """As objectives.ManyLabels has it."""
        return many_labels(metric, targets, probabilities)


def made(
    windows: Windows,
    transfer: Transfer,
    model: str,
    leads: int,
    sizes: Mapping[str, Any],
    seed: int = 0,
) -> Any:
    """A new network of `transfer` for these windows, which knows the texts of their labels.

    seed: of texts that are random or shuffled.
    """
    from pecg_utils import models

    new: Any = models.create(
        model,
        n_leads=leads,
        n_classes=len(windows.classes),
        n_samples=int(windows.steps.shape[2]),
        **{"answer": ANSWERS.get(transfer.method, "linear"), **sizes},
    )
    if transfer.method in ANSWERS:
        texts = vectors(windows.classes, transfer, new.labels.shape[1], seed)
        new.set_labels(_unit(texts.mean(dim=0)))
    return new


def taught(
    windows: Windows,
    labels: Flags,
    sides: Mapping[str, Rows],
    transfer: Transfer,
    leads: tuple[str, ...],
    network: Any,
    start: Path | None,
    epochs: int,
    seed: int,
    repeat: int = 0,
) -> tuple[dict[str, Any], Adapting, dict[str, Any]]:
    """The sides' inputs, the objective, and what to keep beside the weights.

    start: model.pt of the training with adults that this one goes on from, whose statistics then
    scale all windows; they are those of the training side otherwise. seed: that the split was made
    with, by which children without labels are found. repeat: as `made`'s seed.
    """
    measure = scale(windows, sides["train"], leads)
    if start is not None:
        kept = torch.load(start, weights_only=True)
        measure = Scale(leads, np.array(kept["mean"]), np.array(kept["std"]))
        network.load_state_dict(kept["weights"])
    if transfer.frozen:
        network.freeze()
    inputs: dict[str, Any] = {
        side: Inputs(windows, rows, measure, labels[rows]) for side, rows in sides.items()
    }
    if transfer.method in UNLABELLED and transfer.shots == 0:
        rows = domains.parts(windows.table, domains.CHILDREN, seed)["train"]
        if len(rows):
            unread = np.zeros((len(rows), labels.shape[1]), dtype=bool)
            inputs["train"] = Both(inputs["train"], Inputs(windows, rows, measure, unread))
    size = network.labels.shape[1]
    texts = vectors(windows.classes, transfer, size, repeat)
    objective = Adapting(transfer, texts, network.width, epochs)
    return inputs, objective, {"mean": measure.mean.tolist(), "std": measure.std.tolist()}


def _unit(texts: Tensor) -> Tensor:
    """Rows of length one; a row of zeros, which says that there is no text, stays one."""
    return F.normalize(texts, dim=-1)
