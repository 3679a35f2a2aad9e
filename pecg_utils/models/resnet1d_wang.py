"""Three wide residual blocks: the ResNet that the PTB-XL benchmark names after Wang.

Named after Wang, Yan and Oates 2017 (arXiv 1611.06455); blocks, sizes, strides and head are those
of the code of Strodthoff et al. 2021 (arXiv 2004.13701, helme/ecg_ptbxl_benchmarking).
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

STRIDES = (1, 2, 2)  # of the blocks


class TwoKernels(nn.Module):
    """Two convolutions of unlike kernels and a shortcut: (B, C, 1, S) -> (B, C, 1, S / stride)."""

    def __init__(self, channels: int, kernels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        first, second = kernels
        self.first = normed(channels, channels, first, stride)
        self.second = nn.Sequential(
            convolution(channels, channels, second), nn.BatchNorm2d(channels)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(
                convolution(channels, channels, 1, stride), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))  # (B, C, 1, S / stride)
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class ResNet1dWang(nn.Module):
    """A stem at full resolution, three blocks of which the last two halve, pooling, head.

    Any length from 5 samples: below, the last block sees a single step, over which a batch of one
    window has no variance to be normed by.

    Raises PecgError when a kernel is even, which would shift the shortcut against its block.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: int,
        kernels: tuple[int, ...],
        stem_kernel: int,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        for kernel in (*kernels, stem_kernel):
            if kernel % 2 == 0:
                raise PecgError(
                    f"The model resnet1d_wang was given the kernel {kernel}; give odd ones."
                )
        self.stem = normed(n_leads, channels, stem_kernel)
        self.body = nn.ModuleList(TwoKernels(channels, kernels, stride) for stride in STRIDES)
        self.pool = MaxAndMean()
        self.head = Head(2 * channels, n_classes, head, dropout)
        self.stem_detail = f"convolution {stem_kernel}, stride 1"
        self.block_detail = f"residual, kernels {kernels[0]} and {kernels[1]}"
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(row(x))  # (B, 128, 1, T)
        for block in self.body:
            x = block(x)  # (B, 128, 1, T, T / 2 and T / 4)
        x = self.pool(x)  # (B, 256)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {2} steps"
        rows = [Stage("Stem", self.stem, self.stem_detail, maps)]
        for i, (block, stride) in enumerate(zip(self.body, STRIDES, strict=True), start=1):
            halves = "" if stride == 1 else ", stride 2"
            rows.append(Stage(f"Block {i}", block, self.block_detail + halves, maps))
        return rows + last_stages(self.pool, self.head)


WANG = CODE + "resnet1d.py, resnet1d_wang"

ENTRY = Entry(
    name="resnet1d_wang",
    model=ResNet1dWang,
    what="three wide residual blocks of unlike kernels",
    sizes=(
        Size("channels", 128, "code", WANG),
        Size("kernels", (5, 3), "code", WANG),
        Size("stem_kernel", 7, "code", WANG),
        *HEAD_SIZES,
    ),
    choices=(
        Choice("blocks", "one a stage, three stages of one width", "code", WANG),
        Choice("stem", "stride 1, no pooling", "code", WANG),
        Choice("shortcut of a halving block", "convolution 1, stride 2, batch norm", "code", WANG),
        POOLING,
        *HEAD_CHOICES,
    ),
    min_samples=5,
)
