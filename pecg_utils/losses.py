"""The benchmark's loss: binary cross-entropy in which a rare label's positives weigh more.

With n_c positive windows of label c among N, logit z and target y (arXiv 2510.03780, as its
independent reproduction codes it):

    w_c  = min((N - n_c) / max(1, n_c), tau),    tau = 100
    loss = mean over batch and label of  (1 - y) softplus(z) + y w_c softplus(-z)

N and n_c are counted over the training windows, once, and never over a batch.
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
