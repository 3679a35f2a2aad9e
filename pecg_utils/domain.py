"""Losses that bring two domains together by older methods, with which PEACE is compared.

A model learns labels in one domain, the source (adults), and is to answer in another one, the
target (children). Three ways, each after its own paper; what here is *ours* is said with each:

- **DANN** (Ganin et al. 2016, JMLR 17:59): a head that tells the domains apart, and an encoder that
  works against it.
- **MMD** (Gretton et al. 2012, JMLR 13:723): the distance between the features of both.
- **CLIP** (Radford et al. 2021, arXiv 2103.00020): each ECG towards its own record's text, without
  label queries; a label is answered by how near its text lies.

The first two need no label of the target, the last no domain. That PEACE (arXiv 2605.00647) was
compared with the first two is *paper*, at second hand; how it ran them is not known. Everything is
reckoned in float32 at least, also under autocast.
"""

from math import exp
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.alignment import contrast
from pecg_utils.precise import precise, products


def strength(progress: float, gamma: float = 10.0) -> float:
    """How strongly the encoder works against the domain head, from 0 to 1, as training goes on.

    lambda_p = 2 / (1 + exp(-gamma p)) - 1,  with p the progress from 0 to 1 and gamma = 10

    Ganin et al. 2016, of their experiments with images.
    """
    return 2 / (1 + exp(-gamma * progress)) - 1


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, by: float) -> Tensor:
        ctx.by = by
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.by * gradients[0], None


def reverse(x: Tensor, by: float) -> Tensor:
    """x as it is, whose gradient is multiplied by -`by` (Ganin et al. 2016, gradient reversal)."""
    reversed_: Tensor = _Reverse.apply(x, by)  # type: ignore[no-untyped-call]
    return reversed_


class DomainHead(nn.Module):
    """Tells the target from the source: features (B, D) to logits (B,), that of the target.

    One hidden layer *ours*; the paper's heads differ from one experiment to another.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features).squeeze(1)
        return logits


def adversary(head: DomainHead, features: Tensor, target: Tensor, progress: float) -> Tensor:
    """What DANN adds to the classification loss: a scalar from features (B, D).

    L = mean over the source of softplus(h(f_i)) + mean over the target of softplus(-h(f_i))

    target: (B,) bool, False for the source. The head goes down this loss, while what made the
    features goes up it, `strength(progress)` times: the paper's saddle point in one pass. A domain
    that the batch lacks adds nothing.
    """
    logits = precise(head(reverse(precise(features), strength(progress))))  # (B,)
    each = F.binary_cross_entropy_with_logits(logits, target.to(logits), reduction="none")
    sides = [
        torch.where(side, each, 0).sum() / side.sum().clamp(min=1) for side in (~target, target)
    ]
    return sides[0] + sides[1]


def mmd(
    source: Tensor,
    target: Tensor,
    widths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0),
) -> Tensor:
    """The squared maximum mean discrepancy of two samples (N, D) and (M, D): a scalar from 0.

    MMD^2 = mean over i, i' of k(x_i, x_i') + mean over j, j' of k(y_j, y_j')
            - 2 mean over i, j of k(x_i, y_j),
    k(x, y) = mean over w of exp(-|x - y|^2 / (w m))

    The biased estimate of Gretton et al. 2012 (equation 5, squared), in which each sample meets
    itself too: never below 0, and there for a single sample; for few samples of one and the same
    kind it is well above 0. m is the median of |z_i - z_j|^2 over all pairs of both samples
    together, a heuristic of theirs, the lower middle of an even number, without gradient; and at
    least a thousandth of their mean (*ours*), should most samples be at one place. Several
    widths, as Long et al. 2015 (arXiv 1502.02791) take them, who learn their weights; equal ones,
    and which, are *ours*. Where one sample is empty, it is 0, with gradient.
    """
    if not len(source) or not len(target):
        return precise(source).sum() * 0 + precise(target).sum() * 0
    both = torch.cat([precise(source), precise(target)])  # (N + M, D)
    both = both - both.detach().mean(dim=0)  # no distance changes, and their digits are kept
    square = both.square().sum(dim=1)  # (N + M,)
    apart = square[:, None] + square - 2 * products(both, both)  # (N + M, N + M)
    first, second = torch.triu_indices(len(both), len(both), 1, device=both.device)
    pairs = apart.detach()[first, second]
    middle = torch.maximum(pairs.median(), pairs.mean() / 1000).clamp(min=1e-12)
    near = torch.stack([torch.exp(-apart / (w * middle)) for w in widths]).mean(dim=0)
    n = len(source)
    return near[:n, :n].mean() + near[n:, n:].mean() - 2 * near[:n, n:].mean()


def clip(
    ecg: Tensor, text: Tensor, targets: Tensor | None = None, temperature: float = 0.07
) -> Tensor:
    """Each ECG towards its own record's text and back: a scalar.

    L = -mean over i of  1/2 [ log softmax_j(e_i . t_j / tau) at j = i, and the same with e and t
        exchanged ]

    ecg: e (B, D), text: t (B, D), rows of length one. Two records of the same labels have the same
    text, and are still driven apart: that is what alignment.lsbc mends. With targets (B, C), those
    without a label are left out, as they have no text. The temperature is fixed here, and learned
    in CLIP (*ours*, so that it is the one of lsbc; CLIP's begins at 0.07).
    """
    own = torch.eye(len(ecg), dtype=torch.bool, device=ecg.device)
    if targets is not None:
        own = own & targets.bool().any(dim=1)
    return contrast(ecg, text, own, temperature)


def nearness(ecg: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """The logits of a model that `clip` taught: how near each label's text lies, (B, C).

    e_i . l_c / tau, from embeddings (B, D) and label texts (C, D) of length one. They rank records
    for a label; no 0 among them says where a label begins to be there.
    """
    return products(ecg, labels) / temperature
