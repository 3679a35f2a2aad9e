"""The loss of PEACE (arXiv 2605.00647), reconstructed from what a digest of its page tells.

Beside contrastive.py and mutual.py, which hold other papers' losses: this one is for windows of any
number of labels, a model that gives an embedding of the ECG beside its logits, and a text for each
label in three parts (rhythm, morphology, ST-T).

*paper*, at second hand: a record's text is composed from those of its positive labels, as three
axis tokens and one fused embedding; a contrastive loss in both directions whose positives are all
records that share a label; a gate on its weight, from the smoothed classification loss and the
training's progress; an ablation that leaves out the text, that loss, the gate, and two of the three
texts. *ours*: every equation and number below, as none of the paper's are known. y_i in {0, 1}^C
are the labels of record i.

Everything is reckoned in float32 at least, also under autocast.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.precise import precise, products

AXES = ("rhythm", "morphology", "ST-T")

Texts = Literal["three", "one", "none"]


def compose(targets: Tensor, vectors: Tensor) -> Tensor:
    """The axis tokens of each record (B, A, E): by axis, the mean of its positive labels' texts.

    A_ia = sum over c of y_ic v_ac / sum over c of y_ic

    targets: y (B, C), 0 and 1. vectors: v (A, C, E), a text vector for each axis and label; A is 3.
    A record without a label gets zeros, which tell that it has none.
    """
    y = targets.to(torch.promote_types(vectors.dtype, torch.float32))  # (B, C)
    share = y / y.sum(dim=1, keepdim=True).clamp(min=1)  # (B, C)
    axes, labels, width = vectors.shape
    flat = vectors.transpose(0, 1).reshape(labels, axes * width)  # (C, A E)
    return products(share, flat.T).view(-1, axes, width)


def fuse(axes: Tensor) -> Tensor:
    """One text of each record, the mean of its axes': (B, A, E) -> (B, E)."""
    return axes.mean(dim=1)


def own_texts(
    targets: Tensor, vectors: Tensor, texts: Texts
) -> tuple[Tensor | None, Tensor | None]:
    """What a model is told of its records in training: axis tokens and fused text, or nothing.

    texts "three": (B, A, E) and (B, E). "one": the fused text is the only token, (B, 1, E).
    "none": None, None. targets (B, C) and vectors (A, C, E) as `compose` takes them.
    """
    if texts == "none":
        return None, None
    axes = compose(targets, vectors)  # (B, A, E)
    fused = fuse(axes)  # (B, E)
    return (axes if texts == "three" else fused[:, None]), fused


def others(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Whose place each takes in a control, (count,): never its own; all in one random cycle.

    `vectors[:, others(C)]` gives each label the texts of another one, for the whole training: they
    are then wrong in their meaning, but a record's tokens still tell its labels, in another
    writing. `axes[others(B)]` gives each record the tokens of another one in its batch: these tell
    nothing of it. Drawn on the CPU.

    Raises ValueError when there are fewer than two.
    """
    if count < 2:
        raise ValueError(f"there is no other to take the place of one: count is {count}")
    cycle = torch.randperm(count, generator=generator)
    places = torch.empty_like(cycle)
    places[cycle] = cycle.roll(1)
    return places


def contrast(ecg: Tensor, text: Tensor, positives: Tensor, temperature: float = 0.07) -> Tensor:
    """Each ECG towards its positive texts, each text towards its positive ECGs: a scalar.

    L = -mean over i of  1 / |P_i| sum over j in P_i of  1/2 [ log softmax_j(e_i . t_j / tau)
        + log softmax_j(t_i . e_j / tau) ]

    ecg: e (B, D), text: t (B, D), rows of length one. positives: (B, B) bool, symmetric, j in P_i.
    The softmax goes over all records that have a positive; those without are left out on both
    sides, as they have no text to be told from. Where none has one, it is 0, with gradient.
    """
    there = positives.any(dim=1)  # (B,)
    logits = products(ecg, text) / temperature  # (B, B)
    logits = logits.masked_fill(~(there[:, None] & there), torch.finfo(logits.dtype).min)
    logs = (logits.log_softmax(dim=1) + logits.T.log_softmax(dim=1)) / 2  # (B, B)
    number = positives.sum(dim=1)  # (B,)
    each = -torch.where(positives, logs, 0).sum(dim=1) / number.clamp(min=1)  # (B,)
    return torch.where(there, each, 0).sum() / there.sum().clamp(min=1)


def lsbc(ecg: Tensor, text: Tensor, targets: Tensor, temperature: float = 0.07) -> Tensor:
    """The label-sharing loss: `contrast` with P_i = {j : y_i . y_j > 0}, so i itself too.

    ecg and text (B, D), targets (B, C) of 0 and 1. Of all records with one and the same label, the
    least is not 0 but log of their number: none of them can have the softmax for itself.
    """
    y = precise(targets)
    return contrast(ecg, text, products(y, y) > 0, temperature)


class Gate(nn.Module):
    """How much of the alignment counts, by what was learned and how far training is: 0 to 1.

    g_t = sigmoid(k (p_t - p_0)) exp(-m_t / s),    m_t = a m_(t-1) + (1 - a) L_cls

    p_t from 0 to 1 is the progress; k = 10, p_0 = 0.3, a = 0.9, and s = log 2, the classification
    loss of one that knows nothing, at which the second factor is 1/e. m_0 is the first batch's. In
    training each batch moves m; in evaluation it stands still. A loss that is no finite number
    does not move it. m is a buffer, so that a training that is resumed goes on exactly.
    """

    smoothed: Tensor
    begun: Tensor

    def __init__(
        self,
        steepness: float = 10.0,
        middle: float = 0.3,
        scale: float = log(2),
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.steepness, self.middle, self.scale = steepness, middle, scale
        self.momentum = momentum
        self.register_buffer("smoothed", torch.zeros(()))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def forward(self, loss: Tensor, progress: float) -> Tensor:
        """g, a scalar without gradient, from the classification loss of a batch."""
        loss = loss.to(self.smoothed)
        moved = torch.where(
            self.begun, self.momentum * self.smoothed + (1 - self.momentum) * loss, loss
        )
        finite = loss.isfinite()
        smoothed = torch.where(finite & (~self.begun | self.training), moved, self.smoothed)
        if self.training:
            self.smoothed, self.begun = smoothed, self.begun | finite
        late = torch.sigmoid(smoothed.new_tensor(self.steepness * (progress - self.middle)))
        return late * torch.exp(-smoothed / self.scale)


@dataclass(frozen=True)
class Terms:
    """What is added to the cross-entropy. A weight of 0 leaves its term out.

    align: lambda. auxiliary: the weight of the logits with the axis tokens in sight, where a model
    has them beside its path. texts: what the model is told of a record in training; with "none"
    there is nothing to align with either. gate: whether it gates; without it g is 1.
    """

    align: float = 1.0
    auxiliary: float = 0.5
    texts: Texts = "three"
    gate: bool = True
    temperature: float = 0.07


# The paper's own, by its words for them.
ABLATION = {
    "complete": Terms(),
    "no text": Terms(texts="none"),
    "w/o LSBC": replace(Terms(), align=0),
    "w/o CAF": replace(Terms(), gate=False),
    "single text": replace(Terms(), texts="one"),
}


class Losses(NamedTuple):
    """The loss to go down, and its parts before their weights; 0 for what is left out, gate too."""

    total: Tensor
    bce: Tensor
    align: Tensor
    auxiliary: Tensor
    gate: Tensor


class Alignment(nn.Module):
    """The whole loss, with the gate's memory as buffers.

    L = BCE + g_t lambda LSBC + mu BCE_auxiliary

    BCE is the mean over records and labels, no label weighing more than another.
    """

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__()
        self.terms = terms or Terms()
        self.gate = Gate()

    def forward(
        self,
        logits: Tensor,
        ecg: Tensor,
        text: Tensor | None,
        auxiliary: Tensor | None,
        targets: Tensor,
        progress: float,
    ) -> Losses:
        """From logits and auxiliary (B, C), embeddings ecg and text (B, D), rows of length one,
        targets (B, C) of 0 and 1, and how much of the training has passed, from 0 to 1
        (models.peace.Answer has the first four).

        text may be None where nothing is aligned, auxiliary where a model has none. Raises
        ValueError when there is to be an alignment without a text.
        """
        terms = self.terms
        bce = _bce(logits, targets)
        align = apart = gate = bce.new_zeros(())
        if terms.align and terms.texts != "none":
            if text is None:
                raise ValueError("the alignment was given no text of the records")
            gate = self.gate(bce, progress).to(bce) if terms.gate else torch.ones_like(bce)
            align = lsbc(ecg, text, targets, terms.temperature)
        if terms.auxiliary and auxiliary is not None:
            apart = _bce(auxiliary, targets)
        total = bce + gate * terms.align * align + terms.auxiliary * apart
        return Losses(total, bce, align, apart, gate)


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    logits = precise(logits)
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits))
