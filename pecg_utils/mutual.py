"""The loss of MRM-Net (arXiv 2406.16928): two heads learn from the labels and from each other.

Beside losses.py, which holds the benchmark's loss, and contrastive.py: this one is for a model of
several answers to one window, each (B, C), and as many rows of features of one length, (B, F).

*code* (wxhdf/MRM c581ee6): binary cross-entropy for each head; the divergence of the features and
of the logits, both ways, at temperature T = 4 and times T squared, summed over labels or features
and divided by the number of windows; both sides are moved by it (no gradient is stopped). Softmax
over the labels ties labels that may occur together: a window that raises the logits of all labels
alike has no divergence. *ours*: the Bernoulli form, in which each label stands by itself.

Everything is reckoned in float32 at least, also under autocast.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn import functional as F

from pecg_utils.precise import precise

Kind = Literal["softmax", "bernoulli"]


def heads_bce(heads: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each head, added: a scalar from logits (B, H, C), targets (B, C).

    L = sum over h of  mean over i and c of  softplus(o_hic) - y_ic o_hic
    """
    heads = precise(heads)
    wanted = targets.to(heads)[:, None].expand_as(heads)  # (B, H, C)
    return heads.shape[1] * F.binary_cross_entropy_with_logits(heads, wanted)


def softmax_divergence(a: Tensor, b: Tensor, temperature: float = 4.0) -> Tensor:
    """Both Kullback-Leibler divergences of rows (B, N) as distributions over N, added: a scalar.

    L = T^2 / B  sum over i of  KL(p_i || q_i) + KL(q_i || p_i)
      = T^2 / B  sum over i and n of  (p_in - q_in) (log p_in - log q_in),
    with p_i = softmax(a_i / T) and q_i = softmax(b_i / T)

    As coded, for logits and features. T^2 makes up for the gradient, which falls as 1 / T^2. Of a
    single label nothing can be learned in this way: the softmax of one number is 1.
    """
    log_p = (precise(a) / temperature).log_softmax(dim=1)  # (B, N)
    log_q = (precise(b) / temperature).log_softmax(dim=1)  # (B, N)
    each = (log_p.exp() - log_q.exp()) * (log_p - log_q)  # (B, N)
    return temperature**2 * each.sum() / len(each)


def bernoulli_divergence(a: Tensor, b: Tensor, temperature: float = 4.0) -> Tensor:
    """The same, each of the N numbers the logit of a label that is there or not: a scalar.

    L = T^2 / B  sum over i and n of  KL(p_in || q_in) + KL(q_in || p_in)
      = T / B  sum over i and n of  (p_in - q_in) (a_in - b_in),
    with p = sigmoid(a / T), q = sigmoid(b / T), each against its rest, 1 - p and 1 - q

    The second line is the first, as log p - log(1 - p) = a / T; it needs no logarithm.
    """
    a, b = precise(a), precise(b)
    each = ((a / temperature).sigmoid() - (b / temperature).sigmoid()) * (a - b)  # (B, N)
    return temperature * each.sum() / len(each)


DIVERGENCES = {"softmax": softmax_divergence, "bernoulli": bernoulli_divergence}


@dataclass(frozen=True)
class Terms:
    """What is added to the cross-entropy. A weight of 0 leaves its term out.

    features, logits: the weights. kind: of the logits' divergence; features are no labels, and keep
    the softmax.
    """

    features: float = 0.01
    logits: float = 0.1
    temperature: float = 4.0
    kind: Kind = "softmax"


ABLATION = {
    "BCE": Terms(features=0, logits=0),
    "+ logits": Terms(features=0),
    "+ features": Terms(),
    "T = 1": Terms(temperature=1),
    "Bernoulli": replace(Terms(), kind="bernoulli"),
}


class Losses(NamedTuple):
    """The loss to go down, and its parts before their weights; 0 for what is left out."""

    total: Tensor
    bce: Tensor
    features: Tensor
    logits: Tensor


def mutual_loss(
    heads: Tensor, features: Tensor, targets: Tensor, terms: Terms | None = None
) -> Losses:
    """The whole loss: L = BCE + 0.01 D(f_1, f_2) + 0.1 D(o_1, o_2), the weights those of `terms`.

    heads (B, H, C), features (B, H, F), targets (B, C) of 0 and 1 (models.mrmnet.Answer has the
    first two). H is 2; with one head there is nobody to learn from, and the cross-entropy is all.

    Raises ValueError on another number of heads, and on a kind that is not known.
    """
    terms = terms or Terms()
    if heads.shape[1] not in (1, 2):
        raise ValueError(f"heads must be (B, 1, C) or (B, 2, C), not {tuple(heads.shape)}")
    if terms.kind not in DIVERGENCES:
        raise ValueError(f"kind must be one of {', '.join(DIVERGENCES)}, not {terms.kind!r}")
    # Once, so that the terms' gradients are added in float32 too.
    heads, features = precise(heads), precise(features)
    bce = heads_bce(heads, targets)
    by_features = by_logits = bce.new_zeros(())
    if heads.shape[1] == 2:
        if terms.features:
            first, second = features.unbind(dim=1)  # (B, F)
            by_features = softmax_divergence(first, second, terms.temperature)
        if terms.logits:
            first, second = heads.unbind(dim=1)  # (B, C)
            by_logits = DIVERGENCES[terms.kind](first, second, terms.temperature)
    total = bce + terms.features * by_features + terms.logits * by_logits
    return Losses(total, bce, by_features, by_logits)
