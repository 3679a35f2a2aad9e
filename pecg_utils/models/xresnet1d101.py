"""A deep residual net of bottlenecks: XResNet-101 over time, of the PTB-XL benchmark.

The changes to the ResNet are those of He et al. 2019 (bag of tricks, arXiv 1812.01187): a stem of
three convolutions, halving in a bottleneck's middle convolution, shortcuts that halve by the mean.
Sizes and head are those of the code of Strodthoff et al. 2021 (arXiv 2004.13701,
helme/ecg_ptbxl_benchmarking), where all four stages are of one width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.gates import convolution, normed
from pecg_utils.models.pooled_head import (
    CODE,
    HEAD_CHOICES,
    HEAD_SIZES,
    POOLING,
    Head,
    MaxAndMean,
    begin,
    last_stages,
    row,
)


class Bottleneck(nn.Module):
    """Narrow, look around, widen: (B, c_in, 1, S) -> (B, wide, 1, S / stride); a shortcut."""

    def __init__(self, c_in: int, narrow: int, wide: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            normed(c_in, narrow, 1),
            normed(narrow, narrow, kernel, stride),
            convolution(narrow, wide, 1),
            nn.BatchNorm2d(wide),
        )
        aside: list[nn.Module] = []
        if stride != 1:  # a last step that has no partner is its own mean
            aside.append(nn.AvgPool2d((1, stride), ceil_mode=True))
        if c_in != wide:
            aside += [convolution(c_in, wide, 1), nn.BatchNorm2d(wide)]
        self.shortcut = nn.Sequential(*aside)

    def forward(self, x: Tensor) -> Tensor:
        y = self.path(x)  # (B, wide, 1, S / stride)
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class XResNet1d(nn.Module):
    """A stem, four stages of bottlenecks, of which the last three halve, pooling, head.

    Any length from 33 samples: each of the five halvings rounds up, and below 33 the last stage
    sees a single step, over which a batch of one window has no variance to be normed by.

    Raises PecgError when a kernel is even, which would shift the shortcut against its block.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        stem: tuple[int, ...],
        channels: int,
        expansion: int,
        blocks: tuple[int, ...],
        kernel: int,
        stem_kernel: int,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        for name, value in (("kernel", kernel), ("stem_kernel", stem_kernel)):
            if value % 2 == 0:
                raise PecgError(
                    f"The size {name} of the model xresnet1d101 was given as {value}; "
                    "give an odd one."
                )
        self.kernel, self.stem_kernel = kernel, stem_kernel
        first, second, third = stem
        self.stem = nn.Sequential(
            normed(n_leads, first, stem_kernel, 2),
            normed(first, second, stem_kernel),
            normed(second, third, stem_kernel),
            nn.MaxPool2d((1, 3), (1, 2), (0, 1)),
        )
        self.body = nn.ModuleList()
        c_in, wide = third, expansion * channels
        for i, count in enumerate(blocks):
            stage = nn.Sequential()
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                stage.append(Bottleneck(c_in, channels, wide, kernel, stride))
                c_in = wide
            self.body.append(stage)
        self.pool = MaxAndMean()
        self.head = Head(2 * wide, n_classes, head, dropout)
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(row(x))  # (B, 64, 1, T / 4)
        for stage in self.body:
            x = stage(x)  # (B, 256, 1, T / 4..32)
        x = self.pool(x)  # (B, 512)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {2} steps"
        stem = f"three convolutions {self.stem_kernel}, max pool"
        rows = [Stage("Stem", self.stem, stem, maps)]
        for i, stage in enumerate(self.body):
            assert isinstance(stage, nn.Sequential)
            halves = "" if i == 0 else ", stride 2"
            count = f"{len(stage)} bottleneck" + ("s" if len(stage) > 1 else "")
            detail = f"{count}, kernel {self.kernel}{halves}"
            rows.append(Stage(f"Stage {i + 1}", stage, detail, maps))
        return rows + last_stages(self.pool, self.head)


XRESNET = CODE + "xresnet1d.py"

ENTRY = Entry(
    name="xresnet1d101",
    model=XResNet1d,
    what="33 residual bottlenecks in four stages",
    sizes=(
        Size("stem", (32, 32, 64), "code", XRESNET + ", stem_szs"),
        Size("channels", 64, "code", XRESNET + ", the same in all four stages"),
        Size("expansion", 4, "code", XRESNET + ", xresnet1d101"),
        Size("blocks", (3, 4, 23, 3), "code", XRESNET + ", xresnet1d101"),
        Size("kernel", 5, "code", XRESNET + " and fastai_model.py"),
        Size("stem_kernel", 5, "code", XRESNET),
        *HEAD_SIZES,
    ),
    choices=(
        Choice("stem", "the first of three convolutions halves, then max pool 3", "code", XRESNET),
        Choice("halving", "in the middle convolution of a stage's first block", "code", XRESNET),
        Choice("shortcut", "mean of two steps, then convolution 1 and norm", "code", XRESNET),
        Choice(
            "last norm of a block",
            "begins at 1",
            "code",
            XRESNET + " begins it at 0, fastai_model.py sets it to 1 before it trains",
        ),
        POOLING,
        *HEAD_CHOICES,
    ),
    min_samples=33,
)
