"""The loss of AGCACL (arXiv 2509.19315), reconstructed from the words of its abstract.

Beside losses.py, which holds the benchmark's loss for windows of several labels, this is a loss for
windows of one label each, and for a model that gives an embedding beside its logits. Nothing is
shared by the two.

*paper*: contrast between classes instead of between pairs of windows, by class prototypes, a global
matrix of the similarities of classes, and the weights phi, for rare classes, and psi, for classes
that are hard to tell apart. *ours*: every equation and number below, as none of the paper is known.
Throughout, z_i is the embedding of window i, of length one, and y_i its class out of K.

Everything is reckoned in float32 at least, also under autocast. A class that a batch lacks adds
nothing, gets no gradient, and keeps its prototype.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.precise import precise, products

_SHORT = 1e-6  # a mean of embeddings below this length points nowhere: its class counts as absent


def class_means(z: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean embedding of each class in the batch (K, D), with gradient, and which there are.

    mu_c = (sum of z_i with y_i = c) / (their number). z (B, D), y (B,) whole numbers. The second,
    (K,) bool, is False where the batch lacks the class or its embeddings cancel out.
    """
    member = F.one_hot(y, classes).T  # (K, B)
    number = member.sum(dim=1)  # (K,)
    means = products(member, z.T) / number.clamp(min=1)[:, None]  # (K, D)
    return means, (number > 0) & (means.detach().norm(dim=1) > _SHORT)


class Prototypes(nn.Module):
    """A direction for each class, kept over the batches, and in a checkpoint.

    p_c <- m p_c + (1 - m) mu_c, then scaled to length one; m = 0.9

    p_c begins as zeros, so that at its first sight it is mu_c, scaled. vectors: (K, D), zeros for a
    class that was never seen. seen: (K,) bool.
    """

    vectors: Tensor
    seen: Tensor

    def __init__(self, classes: int, width: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("vectors", torch.zeros(classes, width))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, z: Tensor, y: Tensor) -> None:
        """Move the prototypes of the classes in the batch: z (B, D), y (B,)."""
        means, there = class_means(z, y, len(self.seen))
        means = means.to(self.vectors)  # (K, D)
        moved = self.momentum * self.vectors + (1 - self.momentum) * means  # (K, D)
        there &= moved.norm(dim=1) > _SHORT
        # New tensors: a backward pass that is still to come needs the old ones as they are.
        self.vectors = torch.where(there[:, None], F.normalize(moved, dim=1), self.vectors)
        self.seen = self.seen | there


def similarity(vectors: Tensor) -> Tensor:
    """The matrix of cosines between classes (K, K), from vectors of length one (K, D).

    S_cj = p_c . p_j
    """
    return products(vectors, vectors)


def class_balanced(counts: Tensor, beta: float = 0.999) -> Tensor:
    """A weight for each class (K,), float32, from its number of training windows n_c (K,).

    phi_c = (1 - beta) / (1 - beta^n_c), scaled to a mean of 1 over the classes that occur

    This is the class-balanced weight of Cui et al. 2019 (arXiv 1901.05555), taken for the paper's
    phi. What tells the two apart is where it stands: there at the cross-entropy, here at the
    alignment. beta = 0 weighs all alike, beta near 1 as 1 / n_c. A class without windows gets 0.

    Raises ValueError unless counts are (K,) with a window at least, and 0 <= beta < 1.
    """
    if counts.ndim != 1 or not (counts > 0).any():
        raise ValueError(f"counts must be (K,) with a window at least, not {counts.tolist()}")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be from 0 to below 1, not {beta}")
    there = counts > 0
    exactly = torch.tensor(beta, dtype=torch.float64)
    rest = -torch.expm1(counts.double() * exactly.log())  # (K,), 1 - beta^n_c
    weights = torch.where(there, (1 - beta) / rest, 0)  # (K,)
    return (weights * there.sum() / weights.sum()).float()


def hard_classes(similar: Tensor, seen: Tensor, temperature: float = 0.1) -> Tensor:
    """A weight for each pair of classes (K, K), without gradient: higher, the more they resemble.

    psi_cj = 1 + exp(S_cj / t) / sum over k != c of exp(S_ck / t)      for j != c

    similar: S (K, K). Classes that are not in seen (K,) are left out of the sum. The weight is 1
    on the diagonal and where a class was not seen, which no loss here reads.
    """
    pairs = _pairs(seen)
    logits = precise(similar.detach()) / temperature  # (K, K)
    share = logits.masked_fill(~pairs, torch.finfo(logits.dtype).min).softmax(dim=1)
    return 1 + torch.where(pairs, share, 0)


def alignment(
    z: Tensor,
    y: Tensor,
    vectors: Tensor,
    seen: Tensor,
    phi: Tensor | None = None,
    psi: Tensor | None = None,
    temperature: float = 0.1,
) -> Tensor:
    """Each window towards its class's prototype and away from the others': a scalar.

    L = mean over i of  phi_y * -log [ e_y / (e_y + sum over j != y of psi_yj e_j) ],
    with y = y_i and e_j = exp(z_i . p_j / t)

    z (B, D), y (B,), vectors (K, D), seen (K,), phi (K,), psi (K, K); without phi or psi they are
    1. Classes never seen are left out of the sum, and their windows out of the mean.
    """
    logits = products(z, vectors) / temperature  # (B, K)
    if psi is not None:  # psi e^s is e^(s + log psi); on the diagonal psi is 1
        logits = logits + psi.to(logits).log()[y]
    logits = logits.masked_fill(~seen, torch.finfo(logits.dtype).min)
    each = F.cross_entropy(logits, y, reduction="none")  # (B,)
    if phi is not None:
        each = each * phi.to(each)[y]
    return _mean(each, seen[y])


def separation(z: Tensor, y: Tensor, psi: Tensor, margin: float = 0.0) -> Tensor:
    """The classes of the batch away from each other: a scalar, with gradient through their means.

    L = mean over c != j of  psi_cj max(0, s_cj - m)^2,
    with s_cj the cosine between the batch's means mu_c and mu_j

    z (B, D), y (B,), psi (K, K). Only pairs of which the batch has both classes are in the mean; 0
    where there is none. As psi_cj and psi_jc differ, each pair is taken both ways: how the classes
    are numbered must not matter.
    """
    means, there = class_means(z, y, len(psi))  # (K, D), (K,)
    over = (similarity(F.normalize(means, dim=1)) - margin).clamp(min=0)  # (K, K)
    return _mean(psi.to(over) * over.square(), _pairs(there))


def supcon(z: Tensor, y: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation 2): a scalar.

    L = mean over i of  -1 / |P_i| sum over p in P_i of  log [ e_ip / sum over a != i of e_ia ],
    with e_ia = exp(z_i . z_a / t) and P_i the other windows of the class of i

    z (B, D), y (B,). Windows without another of their class are left out of the mean. There, each
    image stands in the batch twice, changed at random, and the anchors are summed; here (*ours*)
    each window stands once.
    """
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    same = (y[:, None] == y) & ~itself  # (B, B)
    logits = products(z, z) / temperature  # (B, B)
    logits = logits.masked_fill(itself, torch.finfo(logits.dtype).min)
    logs = logits.log_softmax(dim=1)  # (B, B)
    number = same.sum(dim=1)  # (B,)
    each = -torch.where(same, logs, 0).sum(dim=1) / number.clamp(min=1)  # (B,)
    return _mean(each, number > 0)


def ramp(passed: float, over: float = 5.0) -> float:
    """What part of the lambdas counts after `passed` epochs (parts of one too): 0 to 1, linear."""
    return 1.0 if over <= 0 else min(1.0, max(0.0, passed / over))


@dataclass(frozen=True)
class Terms:
    """What is added to the cross-entropy. A lambda of 0 leaves its term out.

    align, separate, supcon: the lambdas. phi, psi: whether these weigh; psi weighs the separation
    too. balanced: whether the cross-entropy is class-balanced. epochs: of the ramp. temperature:
    of the alignment and SupCon; hardness: that of psi.
    """

    align: float = 0.5
    separate: float = 0.1
    supcon: float = 0.0
    phi: bool = True
    psi: bool = True
    balanced: bool = False
    beta: float = 0.999
    temperature: float = 0.1
    hardness: float = 0.1
    margin: float = 0.0
    momentum: float = 0.9
    epochs: float = 5.0


_PLAIN = Terms(align=0, separate=0, phi=False, psi=False)
ABLATION = {
    "CE": _PLAIN,
    "balanced CE": replace(_PLAIN, balanced=True),
    "CE + SupCon": replace(_PLAIN, supcon=0.5),
    "CE + align": replace(_PLAIN, align=0.5),
    "+ phi": replace(_PLAIN, align=0.5, phi=True),
    "+ psi": replace(_PLAIN, align=0.5, phi=True, psi=True),
}


class Losses(NamedTuple):
    """The loss to go down, and its parts before lambda and ramp; 0 for what is left out."""

    total: Tensor
    cross_entropy: Tensor
    align: Tensor
    separate: Tensor
    supcon: Tensor


class Contrast(nn.Module):
    """The whole loss, with the prototypes and the weights phi as buffers.

    L = CE + r (lambda_1 L_align + lambda_2 L_sep),  with r the ramp

    In training each batch first moves the prototypes, which then are constants: the gradient of
    L_align is the embeddings' alone. In evaluation they stand still. They are kept whatever the
    terms, so that S can be looked at for each. The class-balanced cross-entropy is the mean of
    phi_y times each window's, not divided by the weights' sum.

    counts: the training windows of each class (K,). width: of the embedding. Raises ValueError as
    `class_balanced` does.
    """

    phi: Tensor

    def __init__(self, counts: Tensor, width: int, terms: Terms | None = None) -> None:
        super().__init__()
        self.terms = terms = terms or Terms()
        self.prototypes = Prototypes(len(counts), width, terms.momentum)
        self.register_buffer("phi", class_balanced(counts, terms.beta))

    def forward(self, logits: Tensor, z: Tensor, y: Tensor, passed: float) -> Losses:
        """From logits (B, K), embeddings z (B, D), classes y (B,), and the epochs passed so far."""
        z = precise(z)  # once, so that the terms' gradients are added in float32 too
        if self.training:
            self.prototypes.update(z, y)
        terms, seen, vectors = self.terms, self.prototypes.seen, self.prototypes.vectors
        each = F.cross_entropy(precise(logits), y, reduction="none")  # (B,)
        cross_entropy = (each * self.phi[y] if terms.balanced else each).mean()
        align = separate = pairs = cross_entropy.new_zeros(())
        similar = similarity(vectors)  # (K, K)
        psi = hard_classes(similar, seen, terms.hardness) if terms.psi else torch.ones_like(similar)
        if terms.align:
            phi = self.phi if terms.phi else None
            align = alignment(z, y, vectors, seen, phi, psi, terms.temperature)
        if terms.separate:
            separate = separation(z, y, psi, terms.margin)
        if terms.supcon:
            pairs = supcon(z, y, terms.temperature)
        added = terms.align * align + terms.separate * separate + terms.supcon * pairs
        total = cross_entropy + ramp(passed, terms.epochs) * added
        return Losses(total, cross_entropy, align, separate, pairs)


def _pairs(there: Tensor) -> Tensor:
    """Which pairs of unlike classes are both in there (K,): (K, K) bool."""
    itself = torch.eye(len(there), dtype=torch.bool, device=there.device)
    return there[:, None] & there & ~itself


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of those `values` that are counted (bool, the same shape); 0 where none is."""
    return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)
