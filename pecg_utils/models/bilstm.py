"""A bidirectional LSTM over the samples, read at the last one.

The cell is that of Hochreiter and Schmidhuber 1997 (doi 10.1162/neco.1997.9.8.1735) with forget
gates, as torch has it; the sizes are those of the ZZU-pECG benchmark (arXiv 2510.03780).
"""

from torch import Tensor, nn

from pecg_utils.models import Choice, Entry, Size, Stage


class Recurrence(nn.Module):
    """Windows (B, L, T) to the hidden states of both directions (B, T, 2H)."""

    def __init__(self, n_leads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            n_leads,
            hidden,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,  # torch drops between layers only, and warns
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lstm(x.transpose(1, 2))[0]  # (B, T, 2H)
        return y


class LastStep(nn.Module):
    """(B, T, 2H) -> (B, 2H)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]


class BiLstm(nn.Module):
    """LSTM layers in both directions, the last time step, dropout, one linear layer.

    At the last step the backward direction of the last layer has seen that one sample alone. Its
    recurrent weights (`weight_hh_l1_reverse` with two layers) act on a state of zeros there: they
    get a gradient of zero and never learn. That is what reading the last step means; the paper's
    choice is kept.
    """

    def __init__(
        self, n_leads: int, n_classes: int, *, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.recurrence = Recurrence(n_leads, hidden, layers, dropout)
        self.last = LastStep()
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * hidden, n_classes))
        self.detail = f"{layers} layer{'s' if layers > 1 else ''}, {hidden} hidden each way"

    def forward(self, x: Tensor) -> Tensor:
        x = self.recurrence(x)  # (B, T, 2H)
        x = self.last(x)  # (B, 2H)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        return [
            Stage("Bidirectional LSTM", self.recurrence, self.detail, "{0} steps × {1} features"),
            Stage("Last time step", self.last, "", "{0} features"),
            Stage("Linear", self.head, "after dropout", "{0} logits"),
        ]


QUOTED = "arXiv 2510.03780, as the reproduction tayy00 quotes it"

ENTRY = Entry(
    name="bilstm",
    model=BiLstm,
    what="two LSTM layers in both directions, read at the last step",
    sizes=(
        Size("hidden", 128, "paper", QUOTED),
        Size("layers", 2, "paper", QUOTED),
        Size("dropout", 0.5, "paper", QUOTED),
    ),
    choices=(
        Choice("readout", "last time step, both directions", "paper", QUOTED),
        Choice("dropout placed", "between the layers and before the head", "ours", "not known"),
    ),
    min_samples=1,
    max_samples=5000,  # each sample is one step after the other: longer windows take seconds each
)
