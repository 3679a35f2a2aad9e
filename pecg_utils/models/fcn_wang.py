"""Three convolutions at full resolution: the fully convolutional net of the PTB-XL benchmark.

The net is that of Wang, Yan and Oates 2017 (arXiv 1611.06455); sizes and head are those of the
code of Strodthoff et al. 2021 (arXiv 2004.13701, helme/ecg_ptbxl_benchmarking).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models import Choice, Entry, Size, Stage
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


class AnyKernel(nn.Conv2d):
    """A convolution over time: (B, c_in, 1, T) to (B, c_out, 1, T), or T - 1 with an even kernel.

    Padded by (kernel - 1) // 2 on both sides. An even kernel is computed as the next longer one
    with a zero ahead of it, and a step more of padding there, which gives the same numbers. In
    bfloat16 torch 2.13.0 has wrong ones for even kernels on a CPU with AMX (oneDNN's
    brg_conv_fwd:avx10_1_512_amx), where the leads are even and fewer than 16 and their product
    with the kernel is a multiple of 32 and 64 at least: for 12 leads and the kernel 8, off by
    as much as the numbers themselves. With odd kernels none were found.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        aside = (0, (kernel - 1) // 2)
        super().__init__(c_in, c_out, (1, kernel), padding=aside, bias=False)
        self.is_even = kernel % 2 == 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_even:
            return super().forward(x)
        aside = self.kernel_size[1] // 2
        longer = F.pad(self.weight, (1, 0))  # (c_out, c_in, 1, kernel + 1)
        return F.conv2d(F.pad(x, (aside, aside - 1)), longer)


class FcnWang(nn.Module):
    """Convolutions of stride 1, each with a norm and a ReLU; pooling and head.

    A kernel can be even, as the published 8 is: it takes a step off. Any length from 5 samples:
    three even kernels leave two steps then, and over one a batch of one window has no variance to
    be normed by.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.kernels = kernels
        widths = (n_leads, *channels)
        self.body = nn.ModuleList(
            nn.Sequential(
                AnyKernel(c_in, c_out, kernel), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)
            )
            for c_in, c_out, kernel in zip(widths[:-1], channels, kernels, strict=True)
        )
        self.pool = MaxAndMean()
        self.head = Head(2 * channels[-1], n_classes, head, dropout)
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = row(x)  # (B, L, 1, T)
        for layer in self.body:
            x = layer(x)  # (B, 128, 256 and 128, 1, T - 1)
        x = self.pool(x)  # (B, 256)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {2} steps"
        rows = [
            Stage(f"Convolution {i}", layer, f"kernel {kernel}", maps)
            for i, (layer, kernel) in enumerate(zip(self.body, self.kernels, strict=True), start=1)
        ]
        return rows + last_stages(self.pool, self.head)


WANG = CODE + "basic_conv1d.py, fcn_wang"
ODD = "the same numbers; bfloat16 has wrong ones for even kernels on some CPUs"

ENTRY = Entry(
    name="fcn_wang",
    model=FcnWang,
    what="three convolutions that keep the resolution",
    sizes=(
        Size("channels", (128, 256, 128), "code", WANG),
        Size("kernels", (8, 5, 3), "code", WANG),
        *HEAD_SIZES,
    ),
    choices=(
        Choice("layer", "convolution of stride 1, batch norm, ReLU", "code", WANG),
        Choice("even kernel", "padded by (kernel - 1) // 2, one step fewer", "code", WANG),
        Choice("even kernel computed", "as an odd one with a zero ahead", "ours", ODD),
        POOLING,
        *HEAD_CHOICES,
    ),
    min_samples=5,
)
