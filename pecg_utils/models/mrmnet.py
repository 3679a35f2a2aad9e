"""MRM-Net: one ECG at two resolutions, each with its own answer (arXiv 2406.16928).

Written from a description of the released code (wxhdf/MRM, HEAD c581ee6), in our own structure;
the paper's tables and sizes could not be had. The loss, in which the two answers teach each other,
is in pecg_utils/mutual.py.

The released net has 34.3 million weights at width 16 of which 1.78 million ever get a gradient, and
44.9 of which 6.95 at width 32. Here there are only such as learn, at 12 leads and 5 labels:

    width                                16           32            64
    without the exchange, as released    1,780,134    6,952,742    27,475,494
    with it                              2,284,550    8,838,118    34,752,422

As many as learn in the released one, to the digits that are known. They are not its very numbers:
where the description leaves something open (a norm, a bias, the groups of a convolution) the choice
is *ours*, and a bias that a norm takes away again is left out, as its gradient is 0. The exchange
is what the paper's abstract tells of; the released forward never calls it.

Maps are (B, C, 1, T), as in pecg_utils/models/gates.py, which has the blocks.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage
from pecg_utils.models.gates import GROUP, Fusion, chain, convolution, normed

STREAMS = ("both", "high", "low")
GATES = ("both", "channel", "spatial", "none")
FLATTEN = ("channels", "steps")
KERNELS = (3, 13, 23, 33)  # of a base scale


class Answer(NamedTuple):
    """The logits of the mean of the heads' probabilities (B, C), and what the loss needs.

    heads: (B, H, C), the logits of each stream's own head, the high resolution first. features:
    (B, H, F), each stream's last maps, flattened, of one length. H is 2, or 1 with one stream.
    """

    logits: Tensor
    heads: Tensor
    features: Tensor


class Stem(nn.Module):
    """Four convolutions, each with a max over two steps: (B, L, T) -> (B, 4w, 1, T + 4).

    Each max adds a step, as it moves by one step and is padded on both sides. The window is first
    filled with zeros at its end up to a T that is a multiple of 4 (*ours*), so that the streams'
    steps are an exact half and quarter of those here: only then are their features of one length.
    1,000 samples need no filling.
    """

    def __init__(self, n_leads: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = n_leads
        for c_out, kernel in ((width, 11), (2 * width, 7), (4 * width, 5), (4 * width, 3)):
            layers += [normed(c_in, c_out, kernel), nn.MaxPool2d((1, 2), 1, (0, 1))]
            c_in = c_out
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[2] % 4)).unsqueeze(2)  # (B, L, 1, 4 ceil(T / 4))
        maps: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return maps


class MeanOfKernels(nn.Module):
    """The mean of convolutions with kernels of several lengths: (B, C, 1, T) -> (B, D, 1, T / s).

    Computed as one convolution, whose kernel is the mean of theirs, the shorter ones with zeros on
    both sides: the same numbers for fewer than half of the products.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(convolution(c_in, c_out, kernel, stride) for kernel in KERNELS)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        long = max(KERNELS)
        kernel = torch.zeros((), device=x.device)
        for conv in self.each:
            assert isinstance(conv, nn.Conv2d)
            aside = (long - conv.kernel_size[1]) // 2
            kernel = kernel + F.pad(conv.weight, (aside, aside))  # (D, C, 1, 33)
        kernel = kernel / len(KERNELS)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, kernel, stride=(1, self.stride), padding=(0, long // 2))


class BaseScale(nn.Module):
    """A resolution: kernels from short to long, and a short one beside them, then half the steps.

    (B, C, 1, T) -> (B, D, 1, T / (2 stride))
    """

    def __init__(self, c_in: int, c_out: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            MeanOfKernels(c_in, c_out, stride),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
            nn.MaxPool2d((1, 2)),
            nn.Dropout(dropout),
        )
        self.short = nn.Sequential(normed(c_in, c_out, 3, stride), nn.MaxPool2d((1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.wide(x) + self.short(x)
        return maps


class Each(nn.ModuleList):
    """A part for each stream: maps of one or two streams to as many."""

    def forward(self, *streams: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(x) for part, x in zip(self, streams, strict=True))


class Exchange(nn.Module):
    """Each stream is told of the other one: (B, C, 1, 2S) and (B, 2C, 1, S) to the same.

    From high to low by a convolution of stride 2; from low to high by one after which each step
    stands twice. What comes is added, and each stream goes through blocks of its own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        high, low = channels, 2 * channels
        self.down = normed(high, low, 3, 2)
        self.up = nn.Sequential(
            convolution(low, high, 3), nn.BatchNorm2d(high), nn.Upsample(scale_factor=(1, 2))
        )
        blocks = ("basic", "se", "eca", "basic", "se", "eca", "basic")
        self.each = Each(chain(width, *blocks) for width in (high, low))

    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        new_high, new_low = self.each(high + self.up(low), low + self.down(high))
        return new_high, new_low


class Heads(nn.ModuleList):
    """The logits of each stream by itself, from its mean over time: (B, H, C)."""

    def forward(self, *streams: Tensor) -> Tensor:
        means = [x.mean(dim=(2, 3)) for x in streams]  # of (B, 4w) and (B, 8w)
        return torch.stack([head(x) for head, x in zip(self, means, strict=True)], dim=1)


class MeanProbability(nn.Module):
    """The logit of the mean of the heads' probabilities: (B, H, C) -> (B, C).

    z = log(sum of sigmoid(o_h)) - log(sum of sigmoid(-o_h)), by logarithms throughout, in float32
    at least, so that logits of any size give a finite one.
    """

    def forward(self, heads: Tensor) -> Tensor:
        heads = heads.to(torch.promote_types(heads.dtype, torch.float32))
        return F.logsigmoid(heads).logsumexp(dim=1) - F.logsigmoid(-heads).logsumexp(dim=1)


class MrmNet(nn.Module):
    """Stem, two base scales, blocks of each, perhaps the exchange, gates, two heads.

    `streams` "high" and "low" keep one resolution and one head. `flatten` says in which order the
    features stand, and so which one of the high resolution faces which one of the low one in the
    mutual loss. "channels", as released: one channel after the other, so that half of the window
    in a channel faces the whole window in another. "steps", *ours*: one step after the other, so
    that two steps face the one of the same moment.

    Any length from 1 sample; see Stem for such as no pooling divides.

    Raises PecgError when the width is no multiple of 4, and when one stream is to exchange.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        width: int,
        streams: str,
        exchange: bool,
        gates: str,
        flatten: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if width % 4:
            raise PecgError(f"The model mrmnet was given width {width}; give a multiple of 4.")
        if exchange and streams != "both":
            raise PecgError(
                f"The model mrmnet was given exchange with the stream {streams} alone; an "
                "exchange takes both."
            )
        self.flatten = flatten
        self.reads = ("high", "low") if streams == "both" else (streams,)
        channels = {"high": 4 * width, "low": 8 * width}
        blocks = {
            "high": ("basic", "basic", "basic"),
            "low": ("basic", "eca", "se", "basic", "eca", "se", "basic"),
        }
        self.stem = Stem(n_leads, width)
        self.scales = Each(
            BaseScale(4 * width, channels[name], 1 if name == "high" else 2, dropout)
            for name in self.reads
        )
        self.blocks = Each(chain(channels[name], *blocks[name]) for name in self.reads)
        self.exchange = Exchange(4 * width) if exchange else None
        self.fusion = Each(Fusion(channels[name], gates) for name in self.reads)
        self.heads = Heads(
            nn.Sequential(nn.LayerNorm(channels[name]), nn.Linear(channels[name], n_classes))
            for name in self.reads
        )
        self.answer = MeanProbability()
        self.gates = gates
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Answer:
        maps = self.stem(x)  # (B, 4w, 1, 4S)
        streams = self.scales(*[maps] * len(self.reads))  # (B, 4w, 1, 2S), (B, 8w, 1, S)
        streams = self.blocks(*streams)
        if self.exchange is not None:
            streams = self.exchange(*streams)
        streams = self.fusion(*streams)
        heads = self.heads(*streams)  # (B, H, C)
        if self.flatten == "steps":
            streams = tuple(x.permute(0, 3, 2, 1) for x in streams)
        features = torch.stack([x.flatten(1) for x in streams], dim=1)  # (B, H, 8wS)
        return Answer(self.answer(heads), heads, features)

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        one = "{0} channels × {2} steps"
        maps = "{0} × {2} and {3} × {5} channels × steps" if len(self.reads) == 2 else one
        gates = {"both": "channel and step", "spatial": "step", "channel": "channel", "none": ""}
        kernels = ", ".join(map(str, KERNELS))
        rows = [
            Stage("Stem", self.stem, "four convolutions, kernels 11 to 3", one),
            Stage("Base scales", self.scales, f"kernels {kernels}", maps),
            Stage("Blocks", self.blocks, "residual convolutions, gates", maps),
        ]
        if self.exchange is not None:
            rows.append(Stage("Exchange", self.exchange, "each stream to the other", maps))
        gated = gates[self.gates]
        return [
            *rows,
            Stage("Fusion", self.fusion, f"gates by {gated}" if gated else "no gates", maps),
            Stage("Heads", self.heads, "mean over time, norm, linear", "{0} × {1} logits"),
            Stage("Mean probability", self.answer, "of the heads, as a logit", "{0} logits"),
        ]


CODE = "wxhdf/MRM c581ee6"
OPEN = "the description of the released code leaves it open"

ENTRY = Entry(
    name="mrmnet",
    model=MrmNet,
    what="two resolutions of one signal, each with a head, that teach each other",
    sizes=(
        Size(
            "width", 32, "code", CODE + ": byte-code model2; readable Dui1 has 16, Dui2 64", (), 4
        ),
        Size("streams", "both", "code", CODE + "; one alone is our ablation", STREAMS),
        Size("exchange", False, "code", CODE + " never calls it; the abstract tells of it"),
        Size("gates", "both", "code", CODE + "; one or none is our ablation", GATES),
        Size(
            "flatten",
            "channels",
            "code",
            CODE + ", as torch flattens (B, C, T); by steps is ours",
            FLATTEN,
        ),
        Size("dropout", 0.2, "code", CODE),
    ),
    choices=(
        Choice("stem", "kernels 11, 7, 5, 3, max over two steps, stride 1", "code", CODE),
        Choice("base scale", "mean of kernels 3, 13, 23, 33; a short one beside", "code", CODE),
        Choice("eca", "the sigmoid of the channel's own mean", "code", CODE),
        Choice("se", "a quarter of the channels", "code", CODE),
        Choice("groups", f"of {GROUP} channels", "code", CODE + "; at the kernel 3, ours"),
        Choice("norm in the gate", "once, of max and mean together", "ours", OPEN),
        Choice("place of the exchange", "after the blocks of the streams", "ours", OPEN),
        Choice("other lengths", "zeros at the end, to a multiple of 4 samples", "ours", OPEN),
        Choice("weights", "none that learns nothing", "ours", "1.78 of 34.3 million learn there"),
        Choice("answer", "the mean of both heads' probabilities", "ours", "there, the better one"),
    ),
    min_samples=1,
    max_leads=1_000,  # a window whose axes are swapped, as one way of the released code has it
)
