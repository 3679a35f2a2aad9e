"""AlexNet over time: five convolutions, and three linear layers over what they found.

The net is that of Krizhevsky 2014 (arXiv 1404.5997) as torchvision has it, made one-dimensional,
with batch norms, as in the released code of "Are ECGs enough?" (arXiv 2503.08960).

The released net gives the convolutions biases, of which a norm takes four away again: these never
learn and are left out (*ours*), 896 of 23.9 million weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.headed import CODE, FIRST_WEIGHTS, SETTINGS, Headed, begin
from pecg_utils.models.pooled_head import row

PARTS = 6  # of time, each of which is pooled
HIDDEN = 4096


def mean_of_parts(x: Tensor, dim: int, parts: int) -> Tensor:
    """Adaptive average pooling of one axis to `parts`, as torch's, which may overlap.

    Of means and no more: on a GPU the gradients of torch's own do not repeat, so that it is refused
    where results must.
    """
    steps = x.shape[dim]
    ends = [(i * steps // parts, -(-(i + 1) * steps // parts)) for i in range(parts)]
    each = [x.narrow(dim, start, end - start).mean(dim, keepdim=True) for start, end in ends]
    return torch.cat(each, dim)


def louder(layers: nn.Module, hidden: int) -> None:
    """Make the first weights of hidden layers larger where these are narrower than the released.

    Drawn with 0.01, layers of 4,096 pass on half of what comes in, and layers of 64 a twentieth.
    """
    for part in layers.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, 0.01 * (HIDDEN / hidden) ** 0.5)


class PoolParts(nn.Module):
    """Means of parts of time, flattened: (B, D, 1, S) -> (B, D × parts)."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        return mean_of_parts(x, 3, self.parts).flatten(1)


class AlexNet(Headed):
    """Five convolutions with three max pools, means of six parts, two hidden layers, head.

    Any length: a window is filled up with zeros at its end as far as the max pools would leave a
    tail out. 2,048 samples need none.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        a, b, c, d, e = channels
        self.first = nn.Sequential(*_normed(n_leads, a, 11, 4, 2), _pool())
        self.second = nn.Sequential(*_normed(a, b, 5, 1, 2), _pool())
        self.last = nn.Sequential(
            *_normed(b, c, 3, 1, 1),
            nn.Conv2d(c, d, (1, 3), padding=(0, 1)),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(d),  # after the ReLU, as released
            *_normed(d, e, 3, 1, 1),
            _pool(),
        )
        self.pool = PoolParts(PARTS)
        self.hidden = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(e * PARTS, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(hidden, n_classes)
        begin(self)
        louder(self.hidden, hidden)
        self.detail = f"to {hidden} features, each after dropout"

    def features(self, x: Tensor) -> Tensor:
        # S steps after the last pool have seen 32 S + 33 samples, and are made of 32 S + 31.
        steps = max(1, -(-(x.shape[2] - 33) // 32))
        x = row(F.pad(x, (0, max(0, 32 * steps + 31 - x.shape[2]))))  # (B, L, 1, T)
        x = self.last(self.second(self.first(x)))  # (B, 256, 1, S)
        found: Tensor = self.hidden(self.pool(x))  # (B, 4096)
        return found

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {2} steps"
        return [
            Stage("First convolution", self.first, "kernel 11, stride 4, max pool", maps),
            Stage("Second convolution", self.second, "kernel 5, max pool", maps),
            Stage("Three convolutions", self.last, "kernel 3, max pool", maps),
            Stage("Mean of parts", self.pool, f"{PARTS} parts of time", "{0} features"),
            Stage("Two linear layers", self.hidden, self.detail, "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


def _normed(c_in: int, c_out: int, kernel: int, stride: int, pad: int) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, (1, kernel), (1, stride), (0, pad), bias=False)
    return [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]


def _pool() -> nn.Module:
    return nn.MaxPool2d((1, 3), (1, 2))


ALEXNET = CODE + "models/AlexNet.py"

LOUDER = Choice(
    "first weights of hidden layers",
    f"normal of 0.01 × √({HIDDEN:,} / hidden)",
    "ours",
    "the code's 0.01 at its size; narrow layers would pass little on",
)

ENTRY = Entry(
    name="alexnet1d",
    model=AlexNet,
    what="five convolutions and three linear layers",
    sizes=(
        Size("channels", (64, 192, 384, 256, 256), "code", ALEXNET),
        Size("hidden", HIDDEN, "code", ALEXNET),
        Size("dropout", 0.5, "code", SETTINGS),
    ),
    choices=(
        Choice("kernels", "11, stride 4; 5; 3, 3, 3; max pool 3, stride 2", "code", ALEXNET),
        Choice("norms", "batch norm at each; at the fourth after its ReLU", "code", ALEXNET),
        Choice("pooling", "means of 6 parts of time", "code", ALEXNET),
        Choice("pooling computed", "as means of slices", "ours", "its gradients repeat on a GPU"),
        Choice("biases", "none before a norm, which takes them away", "ours", "they never learn"),
        Choice("tail of a window", "filled with zeros", "ours", "2,048 samples need none"),
        FIRST_WEIGHTS,
        LOUDER,
    ),
    min_samples=1,
)
