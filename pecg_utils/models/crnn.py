"""CRNN: the trunk of ResNet-18, then a recurrence over its steps, read at the last one.

As in the released code of "Are ECGs enough?" (arXiv 2503.08960), whose best trade-off it is. The
cells are torch's: the LSTM of Hochreiter and Schmidhuber 1997 (doi 10.1162/neco.1997.9.8.1735) with
forget gates, and the GRU of Cho et al. 2014 (arXiv 1406.1078).
"""

from torch import Tensor, nn

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.bilstm import LastStep
from pecg_utils.models.headed import CODE, SETTINGS, Headed, begin
from pecg_utils.models.resnet18_1d import CHANNELS, SHORTEST, TRUNK, Trunk

CELLS = {"LSTM": nn.LSTM, "GRU": nn.GRU}


class Forward(nn.Module):
    """Maps (B, D, S) to the hidden states (B, S, H), each of this step and those before it."""

    def __init__(self, cell: str, width: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0  # torch drops between layers only, and warns
        self.cell = CELLS[cell](width, hidden, layers, batch_first=True, dropout=between)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.cell(x.transpose(1, 2))[0]  # (B, S, H)
        return states


class Crnn(Headed):
    """The trunk, LSTM or GRU layers forward in time, the last step, head.

    A step of the trunk has looked to both sides; of the recurrence, back alone. Any length from 33
    samples, as for the trunk.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        cell: str,
        hidden: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(n_leads, channels)
        self.recurrence = Forward(cell, channels[-1], hidden, layers, dropout)
        self.last = LastStep()
        self.head = nn.Linear(hidden, n_classes)
        begin(self)
        self.cell = cell
        self.detail = f"{layers} layer{'s' if layers > 1 else ''}, forward in time"

    def features(self, x: Tensor) -> Tensor:
        maps = self.trunk(x)  # (B, 512, T / 32)
        states = self.recurrence(maps)  # (B, T / 32, H)
        end: Tensor = self.last(states)  # (B, H)
        return end

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        return [
            *self.trunk.stages(),
            Stage(self.cell, self.recurrence, self.detail, "{0} steps × {1} features"),
            Stage("Last step", self.last, "", "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


RNN = CODE + "models/RNN.py"

ENTRY = Entry(
    name="crnn",
    model=Crnn,
    what="a ResNet-18's steps, read by a recurrence at the last one",
    sizes=(
        CHANNELS,
        Size("cell", "LSTM", "code", RNN + "; GRU is too", tuple(CELLS)),
        Size("hidden", 256, "code", SETTINGS),
        Size("layers", 2, "code", SETTINGS),
        Size("dropout", 0.1, "code", SETTINGS + "; between the layers"),
    ),
    choices=(
        *TRUNK,
        Choice(
            "directions",
            "one, forward",
            "code",
            SETTINGS + "; both would crash with its GRU, which ignores them (RNN.py:113-126)",
        ),
        Choice(
            "first weights of the recurrence",
            "Glorot, orthogonal; forget gates begin open",
            "code",
            CODE + "utils.py, init_weights",
        ),
        Choice("readout", "last step, one linear layer", "code", RNN),
    ),
    min_samples=SHORTEST,
)
