"""CNN-ECG-Mamba: a convolutional stem, then Vision Mamba over its tokens (arXiv 2510.13046).

The paper's abstract gives the kind of model, not its layers. Stem and sizes are *ours*; width and
depth follow what is known of the same authors' earlier model.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.mamba2 import RmsNorm
from pecg_utils.models.vim import CORES, EPS, HEADDIM, VimBlock, VimLayer


class Stem(nn.Module):
    """Convolutions, each with batch norm and `activation`: windows (B, L, T) to tokens (B, S, D).

    Each convolution divides the steps by its stride, rounded up: here S is T / 8.

    Written as two-dimensional ones over (1, T), channels last: as the tokens lie, and on a CPU in
    four fifths to half of the time.
    """

    def __init__(
        self,
        n_leads: int,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = n_leads
        for out, kernel, stride in zip(channels, kernels, strides, strict=True):
            layers += [
                nn.Conv2d(width, out, (1, kernel), (1, stride), (0, kernel // 2), bias=False),
                nn.BatchNorm2d(out),
                activation(),
            ]
            width = out
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        row = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)  # (B, L, 1, T)
        tokens: Tensor = self.layers(row).squeeze(2).transpose(1, 2)  # (B, S, D)
        return tokens


class Places(nn.Module):
    """A learned vector for each place, and a class token in the middle: (B, S, D) -> (B, S + 1, D).

    The table has `table` places; for another number of tokens it is stretched or drawn together by
    lines. The class token has a place of its own.
    """

    def __init__(self, d_model: int, table: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(1, d_model, table))
        self.token = nn.Parameter(torch.empty(1, 1, d_model))
        for weights in (self.table, self.token):
            nn.init.trunc_normal_(weights, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        places: Tensor = self.table
        if x.shape[1] != places.shape[2]:
            places = F.interpolate(places, x.shape[1], mode="linear", align_corners=False)
        x = x + places.transpose(1, 2)  # (B, S, D)
        middle = x.shape[1] // 2
        token = self.token.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([x[:, :middle], token, x[:, middle:]], dim=1)  # (B, S + 1, D)


class Answer(nn.Module):
    """The class token, or the mean over all tokens, normed: (B, S + 1, D) -> (B, D)."""

    def __init__(self, d_model: int, mean: bool) -> None:
        super().__init__()
        self.norm = RmsNorm(d_model, eps=EPS)
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)  # (B, S + 1, D)
        return x.mean(dim=1) if self.mean else x[:, (x.shape[1] - 1) // 2]  # (B, D)


class CnnEcgMamba(nn.Module):
    """Stem, places and class token, Vim blocks with a residual each, one linear layer.

    `depth` 0 leaves the stem alone, with its mean; `directions` 1 leaves out the backward
    direction; `core` is "scan" or "duality"; `pool` is "token" or "mean".

    Raises PecgError when `directions` is another number than 1 and 2, when a kernel is even, or
    when the class token would answer without a block that shows it the signal.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        depth: int,
        d_state: int,
        conv: int,
        expand: int,
        directions: int,
        core: str,
        places: int,
        drop_path: float,
        pool: str,
    ) -> None:
        super().__init__()
        if directions not in (1, 2):
            raise PecgError(
                f"The model cnn_ecg_mamba was given {directions} directions; give 1 or 2."
            )
        if depth == 0 and pool == "token":
            raise PecgError(
                "The model cnn_ecg_mamba was given depth 0 and the pool token, which sees the "
                "signal through the blocks alone; give the pool mean."
            )
        if even := [kernel for kernel in kernels if kernel % 2 == 0]:
            raise PecgError(
                f"The model cnn_ecg_mamba was given the kernel {even[0]}; give odd ones."
            )
        d_model = channels[-1]
        self.stem = Stem(n_leads, channels, kernels, strides)
        self.places = Places(d_model, places)
        sizes = (d_model, d_state, conv, expand, directions == 2, core)
        self.layers = nn.ModuleList(
            VimLayer(d_model, VimBlock(*sizes), drop_path) for _ in range(depth)
        )
        self.answer = Answer(d_model, pool == "mean")
        self.head = nn.Linear(d_model, n_classes)
        ways = "both directions" if directions == 2 else "one direction"
        self.detail = f"{expand * d_model} wide, state {d_state}, {core}, {ways}"

    def forward(self, x: Tensor) -> Tensor:
        x = self.places(self.stem(x))  # (B, S + 1, D)
        for layer in self.layers:
            x = layer(x)  # (B, S + 1, D)
        logits: Tensor = self.head(self.answer(x))  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        steps = "{0} tokens × {1} features"
        return [
            Stage("Stem", self.stem, "convolutions, batch norm, GELU", steps),
            Stage("Places, class token", self.places, "the token stands in the middle", steps),
            *(
                Stage(f"Vim block {i + 1}", layer, self.detail, steps)
                for i, layer in enumerate(self.layers)
            ),
            Stage(
                "Norm, class token" if not self.answer.mean else "Norm, mean",
                self.answer,
                "",
                "{0} features",
            ),
            Stage("Linear", self.head, "", "{0} logits"),
        ]


FAMILY = "not in what is known of the paper; the authors' earlier model, by its released logs"
OURS = "not in what is known of the paper"
VIM = "arXiv 2401.09417 and its released block"
CORE = (
    "scan is Mamba-1's, as in " + VIM + "; duality is Mamba-2's (arXiv 2405.21060) in heads of "
    f"{HEADDIM} channels, ours, because a CPU computes it several times faster"
)

ENTRY = Entry(
    name="cnn_ecg_mamba",
    model=CnnEcgMamba,
    what="a convolutional stem, then state-space blocks in both directions",
    sizes=(
        Size("channels", (64, 128, 256, 384), "ours", FAMILY + " (the last, 384); the rest ours"),
        Size("kernels", (15, 7, 5, 3), "ours", OURS),
        Size("strides", (2, 2, 2, 1), "ours", OURS),
        Size("depth", 24, "ours", FAMILY, least=0),
        Size("d_state", 16, "ours", VIM),
        Size("conv", 4, "ours", VIM),
        Size("expand", 2, "ours", VIM),
        Size("directions", 2, "paper", "arXiv 2510.13046, abstract: a Vision Mamba encoder"),
        Size("core", "scan", "ours", CORE, CORES),
        Size("places", 1024, "ours", "8,192 samples through the stem"),
        Size("drop_path", 0.1, "ours", VIM + ", where it may grow with depth"),
        Size("pool", "token", "ours", VIM, ("token", "mean")),
    ),
    choices=(
        Choice("block", "shared projections, halved sum of both directions", "ours", VIM),
        Choice("class token", "in the middle of the sequence", "ours", VIM),
        Choice("norm", "RMS norm before the block and before the last layer", "ours", FAMILY),
        Choice("places", "learned; stretched for another length", "ours", OURS),
    ),
    min_samples=16,
)
