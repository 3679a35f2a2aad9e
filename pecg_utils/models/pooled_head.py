"""The end that the baselines of the PTB-XL benchmark share (arXiv 2004.13701).

Pooling over time two ways, joined, and two linear layers, each after a batch norm and a dropout:
as in the released code (helme/ecg_ptbxl_benchmarking), which takes the layers from fastai 1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models import Choice, Size, Stage


class MaxAndMean(nn.Module):
    """Maps (B, C, 1, S) to the largest and the mean value of each channel (B, 2C)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.amax(dim=(2, 3)), x.mean(dim=(2, 3))], dim=1)


class FeatureNorm(nn.BatchNorm1d):
    """Batch norm of features (B, F); in training a batch of one is normed as in evaluation.

    One window has no variance over its batch, and torch refuses it. By the means and variances of
    the batches before it gets its logits and gradients, and changes neither (*ours*).
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            known = self.running_mean, self.running_var
            return F.batch_norm(x, *known, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class Head(nn.Sequential):
    """Features (B, F) to logits (B, C), through `width` features; the first dropout is halved."""

    def __init__(self, features: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__(
            FeatureNorm(features),
            nn.Dropout(dropout / 2),
            nn.Linear(features, width),
            nn.ReLU(inplace=True),
            FeatureNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, n_classes),
        )
        self.detail = f"norm, linear to {width}, ReLU, norm, linear"


def row(x: Tensor) -> Tensor:
    """Windows (B, L, T) as maps of one row (B, L, 1, T), as pecg_utils/models/gates.py has them."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def begin(model: nn.Module) -> None:
    """Weights of convolutions and linear layers by He et al. 2015 (arXiv 1502.01852), no bias.

    Drawn from normal distributions, as the released training does before it begins. Norms begin as
    torch has them, scaled by 1: there, too, even where the model's own file had begun one at 0.
    Kernels are laid out channels last, as the maps are.
    """
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def last_stages(pool: nn.Module, head: Head, pooled: str = "largest and mean") -> list[Stage]:
    """Pooling and head, for the diagram."""
    return [
        Stage("Pooling over time", pool, pooled, "{0} features"),
        Stage("Head", head, head.detail, "{0} logits"),
    ]


CODE = "helme/ecg_ptbxl_benchmarking, code/models/"
HEAD = CODE + "fastai_model.py"

HEAD_SIZES = (
    Size("head", 128, "code", HEAD + ", lin_ftrs_head"),
    Size("dropout", 0.5, "code", HEAD + ", ps_head; half of it before the first linear layer"),
)
HEAD_CHOICES = (
    Choice(
        "head",
        "batch norm, dropout, linear, ReLU; batch norm, dropout, linear",
        "code",
        CODE + "basic_conv1d.py",
    ),
    Choice("first weights", "He, normal; no biases", "code", CODE + "basic_conv1d.py, weight_init"),
    Choice(
        "a batch of one",
        "in the head, normed as in evaluation",
        "ours",
        "the released code cannot train on one",
    ),
)
POOLING = Choice("pooling", "largest and mean over time", "code", CODE + "basic_conv1d.py")
