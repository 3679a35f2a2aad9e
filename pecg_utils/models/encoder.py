"""The layer of a transformer encoder (Vaswani et al. 2017, arXiv 1706.03762, section 3.1).

As torch.nn.TransformerEncoderLayer, norm after the sum, and the same numbers. But attention is
always torch's fused one, in evaluation too, where that layer may write out all pairs of steps: of
2,048 steps and four heads, 16 million numbers a window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models.ssm import without_autocast

NARROW = 64  # numbers of a head; of fewer, bfloat16 gradients take a CPU 2 to 14 times as long


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q · k / √E) · v of each head, (B, H, S, E) all four; fused, so that no S² is kept."""
    kind = value.dtype
    if value.device.type == "cpu" and kind == torch.bfloat16 and value.shape[3] < NARROW:
        with without_autocast("cpu"):
            query, key, value = query.float(), key.float(), value.float()
            return F.scaled_dot_product_attention(query, key, value).to(kind)
    return F.scaled_dot_product_attention(query, key, value)


class SelfAttention(nn.Module):
    """Every step asks every step, in several heads: (B, S, D) -> (B, S, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)  # to query, key and value
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(x).unflatten(2, (3, self.heads, -1))  # (B, S, 3, H, D / H)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, H, S, D / H)
        seen = attention(query, key, value)  # (B, H, S, D / H)
        mixed: Tensor = self.out(seen.transpose(1, 2).flatten(2))  # (B, S, D)
        return mixed


class EncoderLayer(nn.Module):
    """Attend, add, norm; feed-forward, add, norm: (B, S, D) -> (B, S, D)."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attend = SelfAttention(width, heads)
        self.first_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
        )
        self.second_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_norm(x + self.dropout(self.attend(x)))  # (B, S, D)
        made: Tensor = self.second_norm(x + self.dropout(self.feed(x)))  # (B, S, D)
        return made


def check_heads(model: str, width: int, heads: int) -> None:
    """Raises PecgError unless the heads divide the width, and it is even, for sines and cosines."""
    if width % heads or width % 2:
        raise PecgError(
            f"The model {model} was given the width {width} with {heads} heads; "
            "give an even width that the heads divide."
        )
