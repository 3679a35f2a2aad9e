"""Mamba-1's selective scan in plain torch, written for a CPU.

For every feature e, with a state h of N numbers that starts at zero (Gu and Dao 2023, arXiv
2312.00752, section 3)::

    h[t] = exp(dt[t] A[e]) h[t-1] + dt[t] B[t] u[t]
    y[t] = C[t]·h[t] + D u[t]

Unlike Mamba-2's, the decay differs between the N numbers of a state, so that a chunk is no matrix
product. Here the time loop is one fused multiply-add a step over the whole batch, on buffers that
are written once; all else (decays, inputs, outputs, gradients) is computed a chunk at a time, as
large as the processor's cache. The backward pass keeps the state at each chunk's start alone and
computes the others again. Of those there are at most 2 √T, so that memory grows with T times E and
with √T times E times N, not with T times E times N.

Forward and backward on two cores at E 128 and N 16, in seconds, beside what else was tried:

======================================== ======== ========= ========
batch × T                                16 × 256 16 × 1024 2 × 8192
======================================== ======== ========= ========
this                                         0.09      0.27     0.40
a loop over the steps, each recorded         0.13      0.55     2.8
chunks of 16 as sums of exp(-A dt) times     0.17      0.90     4.3
doubling, a scan in log T passes             1.3       12       22
======================================== ======== ========= ========
"""

from typing import Any

import torch
from torch import Tensor

from pecg_utils.models import kernels
from pecg_utils.models.kernels import Backend
from pecg_utils.models.ssm import without_autocast

# Numbers in the arrays of one chunk; an eighth or eight times as many cost a quarter more.
CACHED = 1 << 19


def selective_scan(
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """The selective scan of u (batch, T, E): (batch, T, E) in the dtype of u.

    dt: (batch, T, E), not negative. A: (E, N), negative. B and C: (batch, T, N). D: (E,). Any T
    from 1. Half precisions are computed in float32 throughout, under autocast too. Gradients are of
    the first order. backend: "auto" takes mamba-ssm's kernel where it can run; see `kernels`.

    Raises PecgError for a backend that is unknown or not there.
    """
    if kernels.use(u, backend, kernels.SCAN):
        return kernels.scan(u, dt, A, B, C, D)
    exact = torch.promote_types(u.dtype, torch.float32)
    with without_autocast(u.device.type):
        given = [v.to(exact) for v in (u, dt, A, B, C)]
        y: Tensor = _Scan.apply(*given)  # type: ignore[no-untyped-call]
        if D is not None:
            y = y + D.to(exact) * given[0]
        return y.to(u.dtype)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        batch, T, E = u.shape
        N = A.shape[1]
        # Time first, so that a step is one run of memory.
        u, dt, B, C = (v.transpose(0, 1).contiguous() for v in (u, dt, B, C))  # (T, batch, ...)
        # Never shorter than √T / 2, so that the states kept at the chunks' starts are few.
        chunk = min(T, max(CACHED // (batch * E * N), round(T**0.5 / 2), 1))
        starts = u.new_zeros(-(-T // chunk), batch, E, N)
        y = torch.empty_like(u)
        state = starts[0]
        room = u.new_empty(2, chunk, batch, E, N)
        for k, first in enumerate(range(0, T, chunk)):
            last = min(first + chunk, T)
            starts[k] = state
            states = _states(u, dt, A, B, state, first, last, room)[0]  # (Q, batch, E, N)
            y[first:last] = (states @ C[first:last, :, :, None]).squeeze(-1)
            state = states[-1].clone()
        ctx.save_for_backward(u, dt, A, B, C, starts)
        ctx.chunk = chunk
        return y.transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        u, dt, A, B, C, starts = ctx.saved_tensors
        T = len(u)
        dy = dy.transpose(0, 1).contiguous()  # (T, batch, E)
        du, ddt, dB, dC = (torch.empty_like(v) for v in (u, dt, B, C))
        dA = torch.zeros_like(A)
        later = torch.zeros_like(starts[0])  # (batch, E, N) what the next step hands back
        room = u.new_empty(2, min(ctx.chunk, T), *starts[0].shape)
        for k in reversed(range(len(starts))):
            first, last = k * ctx.chunk, min((k + 1) * ctx.chunk, T)
            span = slice(first, last)
            states, decay = _states(u, dt, A, B, starts[k], first, last, room)
            dC[span] = (dy[span, :, None, :] @ states).squeeze(2)
            back = dy[span, :, :, None] * C[span, :, None, :]  # (Q, batch, E, N)
            for q in reversed(range(last - first)):
                back[q] += later
                torch.mul(back[q], decay[q], out=later)
            into = (dt[span] * u[span])[:, :, None, :]  # (Q, batch, 1, E)
            dB[span] = (into @ back).squeeze(2)
            of_input = (back @ B[span, :, :, None]).squeeze(-1)  # (Q, batch, E)
            du[span] = of_input * dt[span]
            # What reaches each step's exponent dt A: the state before it, decayed.
            back[1:] *= states[:-1]
            back[0] *= starts[k]
            back *= decay
            ddt[span] = of_input * u[span] + (back * A).sum(-1)
            dA += torch.einsum("qben,qbe->en", back, dt[span])
        return (*(v.transpose(0, 1) for v in (du, ddt)), dA, *(v.transpose(0, 1) for v in (dB, dC)))


def _states(
    u: Tensor, dt: Tensor, A: Tensor, B: Tensor, state: Tensor, first: int, last: int, room: Tensor
) -> tuple[Tensor, Tensor]:
    """The states after each step of `first` to `last`, and the decays: (Q, batch, E, N) each."""
    states, decay = room[0, : last - first], room[1, : last - first]
    torch.mul(dt[first:last, :, :, None], A, out=decay).exp_()
    torch.mul((dt[first:last] * u[first:last])[..., None], B[first:last, :, None, :], out=states)
    for q in range(last - first):
        state = states[q].addcmul_(decay[q], state)
    return states, decay
