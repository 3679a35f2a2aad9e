"""Residual blocks with gates: the parts of MRM-Net (arXiv 2406.16928) that keep the resolution.

Maps are (B, C, 1, T), channels last: two-dimensional convolutions over one row, which take a CPU
from two to four fifths of the time of one-dimensional ones at the sizes of that model.
"""

import torch
from torch import Tensor, nn

GROUP = 16  # channels of one group, in the grouped convolutions


def convolution(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Over time, centred, without a bias, since a norm follows."""
    sizes = ((1, kernel), (1, stride), (0, kernel // 2))
    return nn.Conv2d(c_in, c_out, *sizes, groups=groups, bias=False)


def normed(*sizes: int) -> nn.Sequential:
    """A convolution of these sizes, in the order of `convolution`; batch norm, ReLU."""
    conv = convolution(*sizes)
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))


class Basic(nn.Module):
    """Two convolutions and a shortcut: (B, C, 1, T) -> (B, D, 1, T)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first = normed(c_in, c_out, 3)
        self.second = nn.Sequential(convolution(c_out, c_out, 3), nn.BatchNorm2d(c_out))
        self.shortcut: nn.Module = nn.Identity()
        if c_in != c_out:
            self.shortcut = nn.Sequential(convolution(c_in, c_out, 1), nn.BatchNorm2d(c_out))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))  # (B, D, 1, T)
        y += self.shortcut(x)
        maps: Tensor = self.relu(y)
        return maps


class OwnMean(nn.Module):
    """A gate for each channel, the sigmoid of its mean: (B, C, 1, T) -> (B, C, 1, 1).

    Efficient channel attention (arXiv 1910.03151) without its convolution over the channels, as the
    released code makes that one and never applies it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=3, keepdim=True).sigmoid()


class Squeeze(nn.Module):
    """A gate for each channel from the means of all: (B, C, 1, T) -> (B, C, 1, 1).

    Squeeze and excitation (arXiv 1709.01507), a quarter of the channels between.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = channels // 4
        self.layers = nn.Sequential(
            nn.Linear(channels, between), nn.ReLU(inplace=True), nn.Linear(between, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.layers(x.mean(dim=(2, 3))).sigmoid()  # (B, C)
        return gate[:, :, None, None]


class Gated(nn.Module):
    """A grouped convolution whose channels are gated, added to what was there: shapes stay."""

    def __init__(self, channels: int, kernel: int, gate: nn.Module) -> None:
        super().__init__()
        self.conv = normed(channels, channels, kernel, 1, channels // GROUP)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)  # (B, C, 1, T)
        maps: Tensor = x + y * self.gate(y)
        return maps


def chain(channels: int, *kinds: str) -> nn.Sequential:
    """Blocks of one width, by name: basic, eca, se."""
    made: list[nn.Module] = []
    for kind in kinds:
        if kind == "basic":
            made.append(Basic(channels, channels))
        else:
            eca = kind == "eca"
            gate = OwnMean() if eca else Squeeze(channels)
            made.append(Gated(channels, 7 if eca else 3, gate))
    return nn.Sequential(*made)


class ChannelGate(nn.Module):
    """How much of each channel: (B, C, 1, T) -> (B, C, 1, 1).

    sigmoid(f(max) + f(mean)), both over time, f two convolutions with an eighth of the channels and
    a batch norm between. Max and mean are normed together (*ours*), so that a batch of one
    window has two numbers a channel to be normed by.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = channels // 8
        self.layers = nn.Sequential(normed(channels, between, 1), nn.Conv2d(between, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x.amax(dim=3, keepdim=True), x.mean(dim=3, keepdim=True)]
        each: Tensor = self.layers(torch.cat(seen, dim=3))  # (B, C, 1, 2)
        return each.sum(dim=3, keepdim=True).sigmoid()


class SpatialGate(nn.Module):
    """How much of each step: (B, C, 1, T) -> (B, 1, 1, T), from max and mean over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = convolution(2, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)]
        gate: Tensor = self.conv(torch.cat(seen, dim=1)).sigmoid()  # (B, 1, 1, T)
        return gate


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each step: (B, C, 1, T) to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Fusion(nn.Module):
    """The maps by channel and, beside them, by step; joined, normed, mixed: shapes stay.

    A gate that is not in `gates` is 1 throughout: the maps themselves stand in its place, so that
    nothing else of the model changes.
    """

    def __init__(self, channels: int, gates: str) -> None:
        super().__init__()
        has_channel, has_spatial = gates in ("both", "channel"), gates in ("both", "spatial")
        self.channel = ChannelGate(channels) if has_channel else None
        self.spatial = SpatialGate() if has_spatial else None
        self.norm = ChannelNorm(2 * channels)
        self.mix = nn.Sequential(
            Basic(2 * channels, channels), *chain(channels, "eca", "se", "basic")
        )

    def forward(self, x: Tensor) -> Tensor:
        by_channel = x if self.channel is None else x * self.channel(x)
        by_step = x if self.spatial is None else x * self.spatial(x)
        maps: Tensor = self.mix(self.norm(torch.cat([by_channel, by_step], dim=1)))
        return maps
