"""What training goes down, how a model's answer is read, and which epoch is the better one.

A window either carries any number of labels or is of one class. The two differ in these three
things, and a training loop need not know which it has. An objective is called with a model's
answer to a batch, the targets (B, C), 0 and 1, and the epochs that have passed, parts of one too.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pecg_utils.contrastive import Contrast
from pecg_utils.losses import focal, positive_weights, weighted_bce
from pecg_utils.models.agcacl import Answer
from pecg_utils.models.mrmnet import Answer as MrmAnswer
from pecg_utils.mutual import Terms, mutual_loss

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
LOSSES = ("weighted", "plain", "focal")  # of many labels


class Told(nn.Module):
    """What an objective may do more: `told` gives what a model is called with in training beside
    its inputs, made of the targets (B, C). Nothing, unless a model learns from texts."""

    def told(self, targets: Tensor) -> tuple[Tensor | None, ...]:
        return ()


class ManyLabels(Told):
    """Logits (B, C) of labels that do not exclude each other: binary cross-entropy, or focal.

    labels: (N, C) of the training side. loss: "weighted" by its positives, "plain", or "focal",
    where each weighs 1. Raises ValueError for another.
    """

    weights: Tensor

    def __init__(self, labels: Flags, loss: str) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"there is no loss {loss!r}; there are {', '.join(LOSSES)}")
        self.focal = loss == "focal"
        weights = torch.ones(labels.shape[1])  # (C,)
        if loss == "weighted":
            weights = positive_weights(torch.from_numpy(labels))
        self.register_buffer("weights", weights)

    def forward(self, answer: Tensor, targets: Tensor, passed: float) -> Tensor:
        if self.focal:
            return focal(answer, targets)
        return weighted_bce(answer, targets, self.weights)

    @staticmethod
    def probabilities(answer: Tensor) -> Tensor:
        """(B, C), each label by itself."""
        return torch.sigmoid(answer)

    @staticmethod
    def each(answer: Tensor) -> Tensor:
        """(B, 1, C), of its one head."""
        return torch.sigmoid(answer.float())[:, None]

    def score(self, metric: str, targets: Flags, probabilities: Floats) -> float:
        """The macro F1 at 0.5 over all labels, or the average precision of those that occur."""
        return many_labels(metric, targets, probabilities)


class Heads(Told):
    """Logits of several heads and their features (models.mrmnet.Answer), which learn from the
    labels and from each other. terms: mutual.Terms."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.terms = terms

    def forward(self, answer: MrmAnswer, targets: Tensor, passed: float) -> Tensor:
        return mutual_loss(answer.heads, answer.features, targets, self.terms).total

    @staticmethod
    def probabilities(answer: MrmAnswer) -> Tensor:
        """(B, C), the mean of the heads' own."""
        return torch.sigmoid(answer.logits)

    @staticmethod
    def each(answer: MrmAnswer) -> Tensor:
        """(B, H, C), each head's own."""
        return torch.sigmoid(answer.heads.float())

    def score(self, metric: str, targets: Flags, probabilities: Floats) -> float:
        """As ManyLabels has it."""
        return many_labels(metric, targets, probabilities)


class OneLabel(Told):
    """Logits and embedding (models.agcacl.Answer) of one class: `contrast` is the loss."""

    def __init__(self, contrast: Contrast) -> None:
        super().__init__()
        self.contrast = contrast

    def forward(self, answer: Answer, targets: Tensor, passed: float) -> Tensor:
        y = targets.argmax(dim=1)  # (B,)
        total: Tensor = self.contrast(answer.logits, answer.embedding, y, passed).total
        return total

    @staticmethod
    def probabilities(answer: Answer) -> Tensor:
        """(B, C), which sum to 1."""
        return answer.logits.float().softmax(dim=1)

    @classmethod
    def each(cls, answer: Answer) -> Tensor:
        """(B, 1, C), of its one head."""
        return cls.probabilities(answer)[:, None]

    def score(self, metric: str, targets: Flags, probabilities: Floats) -> float:
        """The macro metric over the classes that occur; F1 of the likeliest class."""
        from sklearn.metrics import f1_score

        if metric != "f1":
            return _average_precision(targets, probabilities)
        occur = np.flatnonzero(targets.any(axis=0))
        truth, answered = targets.argmax(axis=1), probabilities.argmax(axis=1)
        return float(f1_score(truth, answered, labels=occur, average="macro", zero_division=0))


Objective = ManyLabels | Heads | OneLabel


def many_labels(metric: str, targets: Flags, probabilities: Floats) -> float:
    """The macro F1 at 0.5 over all labels, or the average precision of those that occur."""
    from sklearn.metrics import f1_score

    if metric == "f1":
        return float(f1_score(targets, probabilities >= 0.5, average="macro", zero_division=0))
    return _average_precision(targets, probabilities)


def _average_precision(targets: Flags, probabilities: Floats) -> float:
    from sklearn.metrics import average_precision_score

    occur = targets.any(axis=0)
    if not occur.any() or not np.isfinite(probabilities).all():
        return 0.0
    return float(average_precision_score(targets[:, occur], probabilities[:, occur]))
