"""Vision Mamba's block: a state-space model that reads a sequence forwards and backwards.

Zhu et al. 2024 (arXiv 2401.09417) and the released code. Both directions share the projections into
and out of the block; the convolution, the projection to step, B and C, and A and D are each
direction's own. The two results are summed and halved, as an option of the released code does.

The state-space core of a direction is Mamba-1's selective scan, as released, or, which is *ours*,
Mamba-2's state-space duality (arXiv 2405.21060): one decay for a head of channels instead of one
for each channel and state, so that a CPU computes it as matrix products, several times faster.

Two things go wrong in silence in code that descends from the released one: the backward weights
are passed over where a slow path is taken, and another norm runs where the fast one cannot be
imported. There is one path here, and one norm.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models.mamba2 import A_RANGE, CausalConv, RmsNorm, step_bias
from pecg_utils.models.selective_scan import selective_scan
from pecg_utils.models.ssm import ssd

EPS = 1e-5  # of the norms, as in the released block; torch's own default differs by dtype
CORES = ("scan", "duality")

# Of the duality alone. Forward and backward on one core at 64 × 250 tokens of 128 channels, by the
# channels of a head and beside the fastest: 8 3.2, 16 1.8, 32 1.3, 64 1.2, 128 1; the scan 6.9.
# Mamba-2's release has 64, of which the narrow blocks here would have a single head or two, each
# with one decay rate for all. Chunks of 32 are the fastest, 16 to 64 within a fifth of them.
HEADDIM = 32
CHUNK = 32


class Direction(nn.Module):
    """What one direction has for itself: (B, T, E) -> (B, T, E), causal in that direction."""

    def __init__(self, width: int, d_state: int, conv: int, dt_rank: int) -> None:
        super().__init__()
        self.split = [dt_rank, d_state, d_state]
        self.conv = CausalConv(width, conv)
        self.x_proj = nn.Linear(width, sum(self.split), bias=False)
        self.dt_proj = nn.Linear(dt_rank, width)
        nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(step_bias(width))
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(width, 1))  # (E, N)
        self.D = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.conv(x))  # (B, T, E)
        low_rank, b, c = self.x_proj(x).split(self.split, dim=-1)
        dt = F.softplus(self.dt_proj(low_rank).to(self.A_log.dtype))  # (B, T, E)
        return selective_scan(x, dt, -self.A_log.exp(), b, c, self.D)


class DualDirection(nn.Module):
    """A direction with Mamba-2's core: (B, T, E) -> (B, T, E), causal in that direction.

    Heads of HEADDIM channels, or of the most that divide E and HEADDIM both; a step and a decay
    rate a head.
    """

    def __init__(self, width: int, d_state: int, conv: int) -> None:
        super().__init__()
        self.headdim = math.gcd(width, HEADDIM)
        heads = width // self.headdim
        self.split = [heads, d_state, d_state]
        self.conv = CausalConv(width, conv)
        self.x_proj = nn.Linear(width, sum(self.split), bias=False)
        self.dt_bias = nn.Parameter(step_bias(heads))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(*A_RANGE).log())
        self.D = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor) -> Tensor:
        return together([self], x.unsqueeze(2)).squeeze(2)


def together(directions: "list[DualDirection]", x: Tensor) -> Tensor:
    """Directions of equal sizes at once, each on its own part: (B, T, G, E) -> (B, T, G, E).

    Each is a group of heads to the duality. On small sequences a step is as many operations as
    one direction alone takes, and the operations are what it costs.
    """
    first, (batch, T, G, E) = directions[0], x.shape
    x = F.silu(first.conv.joined([one.conv for one in directions], x.flatten(2)))  # (B, T, GE)
    u = x.reshape(batch, T, G, E)
    weights = torch.stack([one.x_proj.weight for one in directions])  # (G, H + 2N, E)
    projected = torch.einsum("btge,gfe->btgf", u, weights)
    # (B, T, G, H), and (B, T, G, N) twice
    dt, b, c = torch.split_with_sizes(projected, first.split, dim=-1)
    dt = dt.to(first.dt_bias.dtype) + torch.stack([one.dt_bias for one in directions])
    dt = F.softplus(dt).flatten(2)  # (B, T, GH)
    A = -torch.cat([one.A_log for one in directions]).exp()
    D = torch.cat([one.D for one in directions])
    u = x.reshape(batch, T, -1, first.headdim)  # (B, T, GH, P)
    return ssd(u, dt, A, b, c, D, CHUNK).reshape(batch, T, G, E)


class VimBlock(nn.Module):
    """Two directions over one gated projection: (B, T, D) -> (B, T, D).

    `both` false leaves out the backward direction, as an ablation.

    Raises ValueError when `core` is none of CORES.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int,
        conv: int,
        expand: int,
        both: bool = True,
        core: str = "scan",
    ) -> None:
        super().__init__()
        if core not in CORES:
            raise ValueError(f"core is {core!r}; it must be one of {', '.join(CORES)}")
        width = expand * d_model

        def direction() -> Direction | DualDirection:
            if core == "duality":
                return DualDirection(width, d_state, conv)
            return Direction(width, d_state, conv, math.ceil(d_model / 16))

        self.in_proj = nn.Linear(d_model, 2 * width, bias=False)
        self.forwards = direction()
        self.backwards = direction() if both else None
        self.out_proj = nn.Linear(width, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.in_proj(x).chunk(2, dim=-1)  # (B, T, E) each
        if isinstance(self.forwards, DualDirection) and isinstance(self.backwards, DualDirection):
            both = torch.stack([x, x.flip(1)], dim=2)  # (B, T, 2, E)
            y, back = together([self.forwards, self.backwards], both).unbind(2)
            y = (y + back.flip(1)) / 2
        else:
            y = self.forwards(x)  # (B, T, E)
            if self.backwards is not None:
                y = (y + self.backwards(x.flip(1)).flip(1)) / 2
        out: Tensor = self.out_proj(y * F.silu(gate))  # (B, T, D)
        return out


class DropPath(nn.Module):
    """Leaves out a whole block for some windows of a batch, in training alone: (B, ...)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate  # (B, 1, 1)
        return x * kept / (1 - self.rate)


class VimLayer(nn.Module):
    """A block on the normed tokens, added to the tokens: (B, T, D) -> (B, T, D)."""

    def __init__(self, d_model: int, block: VimBlock, drop_path: float) -> None:
        super().__init__()
        self.norm = RmsNorm(d_model, eps=EPS)
        self.block = block
        self.drop = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.drop(self.block(self.norm(x)))  # (B, T, D)
        return y
