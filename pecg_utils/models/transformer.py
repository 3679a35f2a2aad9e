"""A transformer encoder over patches of a few samples.

The encoder layer is that of Vaswani et al. 2017 (arXiv 1706.03762, section 3.1), as torch has it;
the sizes are those of the ZZU-pECG benchmark (arXiv 2510.03780).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage


class Patches(nn.Module):
    """Windows (B, L, T) to one token a patch (B, ceil(T / patch), D).

    A tail shorter than a patch is filled up with zeros, the mean of a normalised lead, so that no
    sample is lost.
    """

    def __init__(self, n_leads: int, d_model: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.project = nn.Linear(n_leads * patch, d_model)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[-1] % self.patch))  # (B, L, S * patch)
        x = x.reshape(*x.shape[:2], -1, self.patch)  # (B, L, S, patch)
        x = x.transpose(1, 2).flatten(2)  # (B, S, L * patch)
        tokens: Tensor = self.project(x)  # (B, S, D)
        return tokens


class Positions(nn.Module):
    """Adds where each token stands, as sines and cosines (arXiv 1706.03762, section 3.5).

    pace: how far apart two tokens stand. Two signals of unequal rates share one clock through it.
    """

    def __init__(self, dropout: float, pace: float = 1.0) -> None:
        super().__init__()
        self.pace = pace
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        _, steps, width = x.shape
        half = torch.arange(width // 2, device=x.device)
        step = torch.arange(steps, device=x.device) * self.pace
        angle = step[:, None] * torch.exp(half * (-2 * math.log(10_000) / width))  # (S, D / 2)
        wave = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)  # (S, D)
        placed: Tensor = self.dropout(x + wave.to(x.dtype))  # (B, S, D)
        return placed


class MeanOverTokens(nn.Module):
    """(B, S, D) -> (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


class Transformer(nn.Module):
    """Patches, positions, encoder layers, mean over the tokens, a head of two linear layers.

    `attention_dropout` drops attention weights. At 0 torch takes its fused attention, which on
    two CPU cores makes a training step about three times faster.

    Raises PecgError when `d_model` is odd or no multiple of `heads`.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        d_model: int,
        patch: int,
        depth: int,
        heads: int,
        feedforward: int,
        dropout: float,
        attention_dropout: float,
        head_hidden: int,
    ) -> None:
        super().__init__()
        if d_model % heads or d_model % 2:
            raise PecgError(
                f"The model transformer was given d_model {d_model} with {heads} heads; "
                "give an even d_model that the heads divide."
            )
        self.patches = Patches(n_leads, d_model, patch)
        self.positions = Positions(dropout)
        self.encoder = nn.ModuleList()
        for _ in range(depth):
            layer = nn.TransformerEncoderLayer(
                d_model, heads, feedforward, dropout, batch_first=True
            )
            layer.self_attn.dropout = attention_dropout
            self.encoder.append(layer)
        self.pool = MeanOverTokens()
        self.head = nn.Sequential(
            nn.Linear(d_model, head_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(head_hidden, n_classes),
        )
        self.detail = f"{heads} heads of {d_model // heads}, feed-forward {feedforward}"

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)  # (B, S, D)
        x = self.positions(x)  # (B, S, D)
        for layer in self.encoder:
            x = layer(x)  # (B, S, D)
        x = self.pool(x)  # (B, D)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        tokens = "{0} tokens × {1} features"
        patch = f"{self.patches.patch} samples of all leads to a token"
        return [
            Stage("Patches", self.patches, patch, tokens),
            Stage("Positions", self.positions, "sines and cosines added", tokens),
            *(
                Stage(f"Encoder layer {i + 1}", layer, self.detail, tokens)
                for i, layer in enumerate(self.encoder)
            ),
            Stage("Mean over tokens", self.pool, "", "{0} features"),
            Stage("Two linear layers", self.head, "", "{0} logits"),
        ]


QUOTED = "arXiv 2510.03780, as the reproduction tayy00 quotes it"
THEIRS = "not in what is known of the paper; the reproduction tayy00 chose it"

ENTRY = Entry(
    name="transformer",
    model=Transformer,
    what="self-attention over patches of three samples",
    sizes=(
        Size("d_model", 128, "paper", QUOTED),
        Size("patch", 3, "paper", QUOTED),
        Size("depth", 2, "paper", QUOTED),
        Size("heads", 16, "paper", QUOTED + " (head dimension 8)"),
        Size("feedforward", 256, "paper", QUOTED),
        Size("dropout", 0.1, "paper", QUOTED),
        Size("attention_dropout", 0.1, "ours", "torch's layer uses its one dropout here too"),
        Size("head_hidden", 64, "ours", THEIRS),
    ),
    choices=(
        Choice("positions", "sines and cosines", "ours", THEIRS),
        Choice("pooling", "mean over tokens", "ours", THEIRS),
        Choice("encoder layer", "norm after the sum, ReLU", "ours", "torch's defaults"),
        Choice("tail of a window", "filled with zeros to a whole patch", "ours", "not known"),
    ),
    min_samples=1,
    max_samples=15000,  # attention grows with the square: 5,000 tokens at the default patch
)
