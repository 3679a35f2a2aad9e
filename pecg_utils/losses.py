"""Losses of labels that do not exclude each other, in which a rare label's positives weigh more.

The benchmark's is a binary cross-entropy. With n_c positive windows of label c among N, logit z and
target y (arXiv 2510.03780, as its independent reproduction codes it):

    w_c  = min((N - n_c) / max(1, n_c), tau),    tau = 100
    loss = mean over batch and label of  (1 - y) softplus(z) + y w_c softplus(-z)

N and n_c are counted over the training windows, once, and never over a batch.

The focal loss (Lin et al., arXiv 1708.02002) also lets answers that are right already count less;
see `focal`.
"""

import torch
from torch import Tensor
from torch.nn import functional


def positive_weights(labels: Tensor, tau: float = 100.0) -> Tensor:
    """The weights w_c of each label's positives, (C,), float32, from the training labels (N, C).

    `labels` holds 0 and 1 in any dtype. A label without positives gets min(N, tau), one without
    negatives gets 0: such a label then teaches nothing.

    Raises ValueError unless `labels` is (N, C) with N > 0.
    """
    if labels.ndim != 2 or len(labels) == 0:
        raise ValueError(f"labels must be (N, C) with N > 0, not {tuple(labels.shape)}")
    positives = labels.sum(dim=0, dtype=torch.float64)  # (C,)
    weights = (len(labels) - positives) / positives.clamp(min=1)  # (C,)
    return weights.clamp(max=tau).float()


def weighted_bce(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The loss of the module's equation, a scalar, from logits and targets (B, C), weights (C,).

    torch's own binary cross-entropy with `pos_weight` is the same equation, computed so that no
    logit overflows.
    """
    return functional.binary_cross_entropy_with_logits(
        logits, targets.to(logits.dtype), pos_weight=weights
    )


def focal(logits: Tensor, targets: Tensor, alpha: float = 0.7, gamma: float = 2.0) -> Tensor:
    """The focal loss, a scalar, from logits and targets (B, C).

    With p the probability that is given to what is true, p = sigmoid(z) of a positive and
    sigmoid(-z) of a negative, it is the mean over batch and label of

        y alpha (1 - p)^gamma (-log p)  +  (1 - y) (1 - alpha) (1 - p)^gamma (-log p)

    *code*: the equation is torchvision's sigmoid_focal_loss, which that of arXiv 2503.08960 calls
    with these alpha and gamma (ecg_classification_main.py:64-65 of its v1). Its weights of the
    positives are of its cross-entropy alone (line 236): here alpha is all that weighs them. With
    gamma 0 and alpha 0.5 it is half of `weighted_bce` with weights of 1.
    """
    y = targets.to(logits.dtype)
    right = (2 * y - 1) * logits  # (B, C), the logit of what is true
    share = alpha * y + (1 - alpha) * (1 - y)  # (B, C)
    # log p and log (1 - p) by log-sigmoids: neither rounds to the log of 0.
    wrong = torch.exp(gamma * functional.logsigmoid(-right))  # (B, C), (1 - p)^gamma
    return -(share * wrong * functional.logsigmoid(right)).mean()
