"""ResNet-18 over time, and its trunk, on which three more models stand (arXiv 2503.08960).

The net is that of He et al. 2016 (arXiv 1512.03385, table 1), made one-dimensional as in the
released code of "Are ECGs enough?" (joaodsmarques/Are-ECGs-enough-Deep-Learning-Classifiers). The
residual block is that of pecg_utils/models/peace_parts.py, whose maps are of one row: it gives the
numbers of one-dimensional convolutions, in two thirds of their time on a CPU at small sizes.
"""

from torch import Tensor, nn

from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.gates import normed
from pecg_utils.models.headed import CODE, FIRST_WEIGHTS, Headed, begin
from pecg_utils.models.peace_parts import Residual
from pecg_utils.models.pooled_head import row

STEM_KERNEL, KERNEL, BLOCKS = 7, 3, 2


class Trunk(nn.Module):
    """A stem and four stages of two residual blocks: (B, L, T) -> (B, D, T / 32), rounded up.

    D is the last of the channels: 64 steps of 512 for 2,048 samples at the paper's sizes.
    """

    def __init__(self, n_leads: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            normed(n_leads, channels[0], STEM_KERNEL, 2), nn.MaxPool2d((1, 3), (1, 2), (0, 1))
        )
        self.body = nn.ModuleList()
        c_in = channels[0]
        for i, c_out in enumerate(channels):
            first = Residual(c_in, c_out, KERNEL, 1 if i == 0 else 2)
            rest = [Residual(c_out, c_out, KERNEL, 1) for _ in range(BLOCKS - 1)]
            self.body.append(nn.Sequential(first, *rest))
            c_in = c_out

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(row(x))  # (B, 64, 1, T / 4)
        for stage in self.body:
            x = stage(x)  # (B, 64..512, 1, T / 4..32)
        return x.squeeze(2)  # (B, 512, T / 32)

    def stages(self) -> list[Stage]:
        """The trunk's steps in order, for the diagrams of the models that stand on it."""
        maps = "{0} channels × {2} steps"
        stem = f"convolution {STEM_KERNEL} and max pool, each stride 2"
        rows = [Stage("Stem", self.stem, stem, maps)]
        for i, stage in enumerate(self.body):
            halves = "" if i == 0 else ", stride 2"
            blocks = f"{BLOCKS} residual blocks, kernel {KERNEL}{halves}"
            rows.append(Stage(f"Stage {i + 1}", stage, blocks, maps))
        return rows


class MeanOverSteps(nn.Module):
    """(B, D, S) -> (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=2)


class ResNet18(Headed):
    """The trunk, mean over time, head.

    Any length from 33 samples: each of the five halvings rounds up, and below 33 the last stage
    sees a single step, over which a batch of one window has no variance to be normed by.
    """

    def __init__(self, n_leads: int, n_classes: int, *, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk = Trunk(n_leads, channels)
        self.pool = MeanOverSteps()
        self.head = nn.Linear(channels[-1], n_classes)
        begin(self)

    def features(self, x: Tensor) -> Tensor:
        maps = self.trunk(x)  # (B, 512, T / 32)
        pooled: Tensor = self.pool(maps)  # (B, 512)
        return pooled

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        return [
            *self.trunk.stages(),
            Stage("Mean over time", self.pool, "", "{0} features"),
            Stage("Head", self.head, "linear", "{0} logits"),
        ]


RESNET = CODE + "models/ResNet_1D.py"

SHORTEST = 33  # samples, of which the trunk's last stage makes two steps
CHANNELS = Size("channels", (64, 128, 256, 512), "code", RESNET)
TRUNK = (
    Choice("blocks", "two a stage, of two convolutions of 3", "code", RESNET),
    Choice("stem", "convolution 7, stride 2, then max pool 3, stride 2", "code", RESNET),
    Choice("maps", "of one row, channels last", "ours", "the same numbers, sooner on a CPU"),
    FIRST_WEIGHTS,
)

ENTRY = Entry(
    name="resnet18_1d",
    model=ResNet18,
    what="eight residual blocks in four stages, mean over time",
    sizes=(CHANNELS,),
    choices=(*TRUNK, Choice("pooling", "mean over time", "code", RESNET)),
    min_samples=SHORTEST,
)
