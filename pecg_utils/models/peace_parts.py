"""The parts of models/peace.py: an encoder's stage, its tokens, and what looks at these."""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models.gates import convolution, normed
from pecg_utils.precise import products

TEMPERATURE = 0.07  # of the nearness; that of domain.clip, which teaches it


class Residual(nn.Module):
    """Two convolutions and a shortcut: (B, C, 1, S) -> (B, D, 1, S / stride), rounded up."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.first = normed(c_in, c_out, kernel, stride)
        self.second = nn.Sequential(convolution(c_out, c_out, kernel), nn.BatchNorm2d(c_out))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(
                convolution(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))  # (B, D, 1, S / stride)
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class Tokens(nn.Module):
    """Maps to normed tokens: (B, D, 1, S) -> (B, S, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.norm(x.squeeze(2).transpose(1, 2))
        return tokens


class Query(nn.Module):
    """Queries look at the tokens, and each makes of it what it asks: (B, C, D), (B, S, D) -> first.

    The layer of a transformer decoder (arXiv 1706.03762) without its attention from query to query:
    attend, add, norm; feed-forward, add, norm. Without the second half a logit would be one and the
    same weighting of the tokens for every label, which could choose only where to look.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.first_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, feedforward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward, width),
        )
        self.second_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        seen, _ = self.attend(queries, tokens, tokens, need_weights=False)  # (B, C, D)
        queries = self.first_norm(queries + self.dropout(seen))
        made = self.dropout(self.feed(queries))
        asked: Tensor = self.second_norm(queries + made)
        return asked


class Nearness(nn.Module):
    """How near each label's text lies to the ECG, e . l / tau: (B, D), (C, D) -> (B, C)."""

    def forward(self, ecg: Tensor, labels: Tensor) -> Tensor:
        return products(ecg, labels) / TEMPERATURE
