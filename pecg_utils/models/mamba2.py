"""Mamba-2: a stack of state-space blocks over the samples.

The block is that of Dao and Gu 2024 (arXiv 2405.21060, section 7 and figure 6 right); the sizes
are those of the ZZU-pECG benchmark (arXiv 2510.03780).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.errors import PecgError
from pecg_utils.models import Choice, Entry, Size, Stage, kernels
from pecg_utils.models.kernels import Backend
from pecg_utils.models.ssm import ssd

DT_RANGE = (1e-3, 0.1)  # the steps that a new block starts with, drawn log-uniformly
A_RANGE = (1.0, 16.0)  # the decay rates that a new block starts with


def step_bias(width: int) -> Tensor:
    """What softplus turns into steps drawn log-uniformly from DT_RANGE: (width,)."""
    low, high = (math.log(v) for v in DT_RANGE)
    dt = torch.empty(width).uniform_(low, high).exp()
    return dt + torch.log(-torch.expm1(-dt))


class RmsNorm(nn.RMSNorm):
    """Root-mean-square norm in the dtype of its weights, float32 under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class LeadMix(nn.Module):
    """Windows (B, L, T) to one vector a sample (B, T, D)."""

    def __init__(self, n_leads: int, d_model: int) -> None:
        super().__init__()
        self.project = nn.Linear(n_leads, d_model)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(x.transpose(1, 2))  # (B, T, D)
        return y.to(x.dtype)  # the residual sums stay in float32 under autocast


class CausalConv(nn.Module):
    """A depthwise convolution that sees the present and the past: (B, T, E) -> (B, T, E).

    Written as a two-dimensional one over (1, T): in its channels-last layout, which is (B, T, E)
    as it lies, torch's CPU kernel takes half the time of any one-dimensional form. backend: "auto"
    takes causal-conv1d's kernel where it can run; see `kernels`.

    Its call raises PecgError for a backend that is unknown or not there.
    """

    def __init__(self, width: int, kernel: int, backend: Backend = "auto") -> None:
        super().__init__()
        self.kernel, self.backend = kernel, backend
        self.conv = nn.Conv2d(width, width, (1, kernel), groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.joined([self], x)

    def joined(self, all_of: "list[CausalConv]", x: Tensor) -> Tensor:
        """Several such convolutions at once, each on its own width of x: (B, T, sum of E)."""
        weight = torch.cat([one.conv.weight for one in all_of])  # (sum of E, 1, 1, kernel)
        bias = torch.cat([b for one in all_of if (b := one.conv.bias) is not None])
        if kernels.use_convolution(x, self.kernel, self.backend):
            return kernels.convolution(x, weight[:, 0, 0], bias)
        past = F.pad(x, (0, 0, self.kernel - 1, 0))  # (B, T + kernel - 1, E)
        y = F.conv2d(past.transpose(1, 2).unsqueeze(2), weight, bias, groups=len(weight))
        causal: Tensor = y.squeeze(2).transpose(1, 2)  # (B, T, E)
        return causal


class Mamba2Block(nn.Module):
    """Projection, causal convolution, state-space duality, gated norm: (B, T, D) -> (B, T, D)."""

    def __init__(
        self, d_model: int, d_state: int, conv: int, expand: int, headdim: int, chunk: int
    ) -> None:
        super().__init__()
        self.d_inner = expand * d_model
        self.d_state, self.headdim, self.chunk = d_state, headdim, chunk
        heads = self.d_inner // headdim
        mixed = self.d_inner + 2 * d_state  # x, B and C pass the convolution together
        self.in_proj = nn.Linear(d_model, self.d_inner + mixed + heads, bias=False)
        self.conv = CausalConv(mixed, conv)
        self.dt_bias = nn.Parameter(step_bias(heads))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(*A_RANGE).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = RmsNorm(self.d_inner)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        heads, n = self.dt_bias.shape[0], self.d_state
        widths = [self.d_inner, self.d_inner + 2 * n, heads]
        z, xbc, dt = torch.split_with_sizes(self.in_proj(x), widths, dim=-1)
        xbc = F.silu(self.conv(xbc))  # (B, T, d_inner + 2N)
        u, b, c = torch.split_with_sizes(xbc, [self.d_inner, n, n], dim=-1)
        u = u.reshape(*u.shape[:2], heads, self.headdim)  # (B, T, H, P)
        b, c = b.unsqueeze(2), c.unsqueeze(2)  # (B, T, 1, N), one group for all heads
        dt = F.softplus(dt.to(self.dt_bias.dtype) + self.dt_bias)  # (B, T, H)
        y = ssd(u, dt, -self.A_log.exp(), b, c, self.D, self.chunk)  # (B, T, H, P)
        y = self.norm(y.flatten(2) * F.silu(z))  # (B, T, d_inner)
        out: Tensor = self.out_proj(y)  # (B, T, D)
        return out


class Residual(nn.Module):
    """A block on the normed signal, added to the signal: (B, T, D) -> (B, T, D)."""

    def __init__(self, d_model: int, block: Mamba2Block) -> None:
        super().__init__()
        self.norm = RmsNorm(d_model)
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.block(self.norm(x))  # (B, T, D)
        return y


class NormMean(nn.Module):
    """(B, T, D) -> (B, D)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm = RmsNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x).mean(dim=1)  # (B, D)
        return y


class Mamba2(nn.Module):
    """Leads to features, Mamba-2 blocks with a residual each, mean over time, one linear layer.

    `chunk` changes the time that a step takes and not its result.

    Raises PecgError when `headdim` does not divide `expand * d_model`.
    """

    def __init__(
        self,
        n_leads: int,
        n_classes: int,
        *,
        d_model: int,
        d_state: int,
        conv: int,
        expand: int,
        headdim: int,
        chunk: int,
        depth: int,
    ) -> None:
        super().__init__()
        if expand * d_model % headdim:
            raise PecgError(
                f"The model mamba2 was given headdim {headdim}, which does not divide "
                f"expand × d_model = {expand * d_model}; give one that does."
            )
        self.mix = LeadMix(n_leads, d_model)
        self.blocks = nn.ModuleList(
            Residual(d_model, Mamba2Block(d_model, d_state, conv, expand, headdim, chunk))
            for _ in range(depth)
        )
        self.pool = NormMean(d_model)
        self.head = nn.Linear(d_model, n_classes)
        self.detail = f"{expand * d_model // headdim} heads of {headdim}, state {d_state}"

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x)  # (B, T, D)
        for block in self.blocks:
            x = block(x)  # (B, T, D)
        x = self.pool(x)  # (B, D)
        logits: Tensor = self.head(x)  # (B, C)
        return logits

    def stages(self) -> list[Stage]:
        """The model's steps in order, for the diagram."""
        steps = "{0} steps × {1} features"
        return [
            Stage("Lead mix", self.mix, "linear, sample by sample", steps),
            *(
                Stage(f"Mamba-2 block {i + 1}", block, self.detail, steps)
                for i, block in enumerate(self.blocks)
            ),
            Stage("Norm, mean over time", self.pool, "", "{0} features"),
            Stage("Linear", self.head, "", "{0} logits"),
        ]


QUOTED = "arXiv 2510.03780, as the reproduction tayy00 quotes it"
THEIRS = "not in what is known of the paper; the reproduction tayy00 chose it"
RELEASED = "arXiv 2405.21060 and its released block"

ENTRY = Entry(
    name="mamba2",
    model=Mamba2,
    what="state-space blocks over the samples",
    sizes=(
        Size("d_model", 128, "paper", QUOTED),
        Size("d_state", 64, "paper", QUOTED),
        Size("conv", 4, "paper", QUOTED),
        Size("expand", 2, "paper", QUOTED),
        Size("headdim", 8, "paper", QUOTED),
        Size("chunk", 30, "paper", QUOTED),
        Size("depth", 2, "ours", THEIRS),
    ),
    choices=(
        Choice(
            "block", "one group, gated RMS norm, A in 1..16, dt in 0.001..0.1", "ours", RELEASED
        ),
        Choice("residual", "norm before the block", "ours", THEIRS),
        Choice("pooling", "mean over time", "ours", THEIRS),
        Choice(
            "lead mix, last norm", "a linear layer; RMS norm before the mean", "ours", "not known"
        ),
    ),
    min_samples=1,
)
