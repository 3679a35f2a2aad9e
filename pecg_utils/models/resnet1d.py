"""A residual network over time: convolutions along the samples, leads as input channels.

Residual blocks as in He et al. 2016 (arXiv 1512.03385, figure 2 left), made one-dimensional; at
the sizes of the ZZU-pECG benchmark (arXiv 2510.03780).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut: (B, c_in, T) -> (B, c_out, T / stride)."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        pad = kernel // 2
        self.conv1 = nn.Conv1d(c_in, c_out, kernel, stride, pad, bias=False)
        self.norm1 = nn.BatchNorm1d(c_out)
        self.conv2 = nn.Conv1d(c_out, c_out, kernel, 1, pad, bias=False)
        self.norm2 = nn.BatchNorm1d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:  # the sum below wants equal shapes
            self.shortcut = nn.Sequential(
                nn.Conv1d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm1d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        # In place, where no gradient needs what is overwritten.
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (B, c_out, T / stride)
        y = self.norm2(self.conv2(y))  # (B, c_out, T / stride)
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class ResNet1d(nn.Module):
    """Stem, four stages that widen and halve, mean over time, one linear layer.

    Any length from 64 samples: each halving rounds up. (Below 64 the last stage would see a
    single step, over which a batch of one window has no variance to normalise by.)

    Raises PecgError when a kernel is even, which would shift the shortcut against its block.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        blocks: int,
        kernel: int,
        stem_kernel: int,
    ) -> None:
        super().__init__()
        for name, value in (("kernel", kernel), ("stem_kernel", stem_kernel)):
            if value % 2 == 0:
                raise PecgError(
                    f"The size {name} of the model resnet1d was given as {value}; give an odd one."
                )
        self.kernel, self.stem_kernel = kernel, stem_kernel
        self.stem = nn.Sequential(
            nn.Conv1d(n_leads, channels[0], stem_kernel, 2, stem_kernel // 2, bias=False),
            nn.BatchNorm1d(channels[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(3, 2, 1),
        )
        self.body = nn.ModuleList()
        c_in = channels[0]
        for i, c_out in enumerate(channels):
            first = BasicBlock(c_in, c_out, kernel, 1 if i == 0 else 2)
            rest = [BasicBlock(c_out, c_out, kernel, 1) for _ in range(blocks - 1)]
            self.body.append(nn.Sequential(first, *rest))
            c_in = c_out
        self.pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (B, 64, T / 4)
        for stage in self.body:
            x = stage(x)  # (B, 64..512, T / 4..32)
        x = self.pool(x)  # (B, 512)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {1} steps"
        stem = f"convolution {self.stem_kernel} and max pool, each stride 2"
        rows = [Stage("Stem", self.stem, stem, maps)]
        for i, stage in enumerate(self.body):
            assert isinstance(stage, nn.Sequential)
            halves = "" if i == 0 else ", stride 2"
            count = f"{len(stage)} residual block" + ("s" if len(stage) > 1 else "")
            rows.append(
                Stage(f"Stage {i + 1}", stage, f"{count}, kernel {self.kernel}{halves}", maps)
            )
        rows.append(Stage("Mean over time", self.pool, "", "{0} features"))
        rows.append(Stage("Linear", self.head, "", "{0} logits"))
        return rows


QUOTED = "arXiv 2510.03780, as the reproduction tayy00 quotes it"
THEIRS = "not in what is known of the paper; the reproduction tayy00 chose it"

ENTRY = Entry(
    name="resnet1d",
    model=ResNet1d,
    what="residual convolutions over time, four stages",
    sizes=(
        Size("channels", (64, 128, 256, 512), "paper", QUOTED),
        Size("kernel", 7, "paper", QUOTED),
        Size("blocks", 2, "ours", THEIRS),
        Size("stem_kernel", 15, "ours", THEIRS),
    ),
    choices=(
        Choice("block", "basic residual block", "paper", QUOTED),
        Choice("pooling", "mean over time", "paper", QUOTED),
        Choice("head", "one linear layer", "paper", QUOTED),
        Choice("stem", "stride 2, then max pool 3 with stride 2", "ours", THEIRS),
    ),
    min_samples=64,
)
