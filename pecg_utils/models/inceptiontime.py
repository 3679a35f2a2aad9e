"""Kernels of several lengths side by side: InceptionTime, as in the PTB-XL benchmark.

The modules are those of Ismail Fawaz et al. 2020 (arXiv 1909.04939), one net of it where they join
five; sizes and head are those of the code of Strodthoff et al. 2021 (arXiv 2004.13701,
helme/ecg_ptbxl_benchmarking), which calls it inception1d.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.gates import convolution
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

GROUP = 3  # modules beside one shortcut


class SideBySide(nn.Module):
    """Few channels through each kernel, a max beside: (B, c_in, 1, T) -> (B, F (K + 1), 1, T).

    F filters for each of K kernels, and as many after the max over three steps.
    """

    def __init__(self, c_in: int, bottleneck: int, filters: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        self.bottleneck = convolution(c_in, bottleneck, 1)
        self.each = nn.ModuleList(convolution(bottleneck, filters, kernel) for kernel in kernels)
        self.largest = nn.Sequential(nn.MaxPool2d((1, 3), 1, (0, 1)), convolution(c_in, filters, 1))
        self.norm = nn.BatchNorm2d(filters * (len(kernels) + 1))

    def forward(self, x: Tensor) -> Tensor:
        few = self.bottleneck(x)  # (B, 32, 1, T)
        maps = torch.cat([*(conv(few) for conv in self.each), self.largest(x)], dim=1)
        return F.relu(self.norm(maps), inplace=True)  # (B, 128, 1, T)


class Group(nn.Module):
    """Three modules and a shortcut past them: (B, c_in, 1, T) -> (B, F (K + 1), 1, T)."""

    def __init__(self, c_in: int, bottleneck: int, filters: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        wide = filters * (len(kernels) + 1)
        self.path = nn.Sequential(
            *(SideBySide(wide if i else c_in, bottleneck, filters, kernels) for i in range(GROUP))
        )
        self.shortcut = nn.Sequential(convolution(c_in, wide, 1), nn.BatchNorm2d(wide))

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.path(x) + self.shortcut(x)  # (B, 128, 1, T)
        return F.relu(maps, inplace=True)


class InceptionTime(nn.Module):
    """Groups of three modules at full resolution, pooling, head.

    Any length from 2 samples: over one a batch of one window has no variance to be normed by.

    Raises PecgError when a kernel is even, which would give other steps than its neighbours, and
    when the modules do not come in threes.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        filters: int,
        bottleneck: int,
        kernels: tuple[int, ...],
        depth: int,
        head: int,
        dropout: float,
    ) -> None:
        super().__init__()
        for kernel in kernels:
            if kernel % 2 == 0:
                raise PecgError(
                    f"The model inceptiontime was given the kernel {kernel}; give odd ones."
                )
        if depth % GROUP:
            raise PecgError(
                f"The model inceptiontime was given depth {depth}; give a multiple of {GROUP}, "
                "since each shortcut passes so many modules."
            )
        wide = filters * (len(kernels) + 1)
        self.body = nn.ModuleList(
            Group(wide if i else n_leads, bottleneck, filters, kernels)
            for i in range(depth // GROUP)
        )
        self.pool = MaxAndMean()
        self.head = Head(2 * wide, n_classes, head, dropout)
        self.detail = f"kernels {', '.join(map(str, kernels))} and max"
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = row(x)  # (B, L, 1, T)
        for group in self.body:
            x = group(x)  # (B, 128, 1, T)
        x = self.pool(x)  # (B, 256)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        maps = "{0} channels × {2} steps"
        last = GROUP * len(self.body)
        named = [f"Modules {i} to {i + 2}" for i in range(1, last, GROUP)]
        rows = [
            Stage(name, group, self.detail, maps)
            for name, group in zip(named, self.body, strict=True)
        ]
        return rows + last_stages(self.pool, self.head)


INCEPTION = CODE + "inception1d.py"

ENTRY = Entry(
    name="inceptiontime",
    model=InceptionTime,
    what="kernels of three lengths side by side, at full resolution",
    sizes=(
        Size("filters", 32, "code", INCEPTION),
        Size("bottleneck", 32, "code", INCEPTION),
        Size("kernels", (39, 19, 9), "code", INCEPTION + ", from 8 × 5 of fastai_model.py"),
        Size("depth", 6, "code", INCEPTION, (), GROUP),
        *HEAD_SIZES,
    ),
    choices=(
        Choice("bottleneck", "in the first module, too", "code", INCEPTION),
        Choice("shortcut", "past each three modules; convolution 1, norm", "code", INCEPTION),
        Choice("nets", "one, no ensemble", "code", INCEPTION),
        POOLING,
        *HEAD_CHOICES,
    ),
    min_samples=2,
)
