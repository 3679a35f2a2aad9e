"""A bidirectional LSTM over the samples, pooled over all of them, of the PTB-XL benchmark.

The cell is torch's; sizes, pooling and head are those of the code of Strodthoff et al. 2021
(arXiv 2004.13701, helme/ecg_ptbxl_benchmarking).
"""

import torch
from torch import Tensor, nn

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.bilstm import Recurrence
from pecg_utils.models.pooled_head import CODE, HEAD_CHOICES, HEAD_SIZES, Head, begin, last_stages

ENDS = ("last", "own")


class PoolAndEnd(nn.Module):
    """Hidden states (B, T, 2H) to their mean, their largest and one of them (B, 6H).

    ends: which one. "last", as released: both directions at the last sample, where the backward
    one has seen that sample alone. "own", as it seems meant, *ours*: each direction where it ends,
    the backward one at the first sample.
    """

    def __init__(self, ends: str) -> None:
        super().__init__()
        self.ends = ends

    def forward(self, x: Tensor) -> Tensor:
        end = x[:, -1]  # (B, 2H)
        if self.ends == "own":
            hidden = x.shape[2] // 2
            end = torch.cat([end[:, :hidden], x[:, 0, hidden:]], dim=1)
        return torch.cat([x.mean(dim=1), x.amax(dim=1), end], dim=1)


class LstmBidir(nn.Module):
    """LSTM layers in both directions, pooling over the samples, head."""

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        hidden: int,
        layers: int,
        ends: str,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.recurrence = Recurrence(n_leads, hidden, layers, 0.0)
        self.pool = PoolAndEnd(ends)
        self.head = Head(6 * hidden, n_classes, head, dropout)
        self.detail = f"{layers} layer{'s' if layers > 1 else ''}, {hidden} hidden each way"
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.recurrence(x)  # (B, T, 2H)
        x = self.pool(x)  # (B, 6H)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        states = "{0} steps × {1} features"
        pooled = "mean, largest and last"
        return [
            Stage("Bidirectional LSTM", self.recurrence, self.detail, states),
            *last_stages(self.pool, self.head, pooled),
        ]


RNN = CODE + "rnn1d.py"

ENTRY = Entry(
    name="lstm_bidir",
    model=LstmBidir,
    what="two LSTM layers in both directions, pooled over all samples",
    sizes=(
        Size("hidden", 256, "code", RNN),
        Size("layers", 2, "code", RNN),
        Size("ends", "last", "code", RNN + "; own is ours", ENDS),
        *HEAD_SIZES,
    ),
    choices=(
        Choice("pooling", "mean, largest and last over time", "code", RNN),
        Choice("dropout between the layers", "none", "code", RNN),
        Choice("first weights of the LSTM", "torch's", "code", RNN + " and basic_conv1d.py"),
        *HEAD_CHOICES,
    ),
    min_samples=1,
    max_samples=5000,  # each sample is one step after the other: longer windows take seconds each
)
