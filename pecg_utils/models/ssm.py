"""State-space scans in plain torch."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pecg_utils.models import kernels
from pecg_utils.models.kernels import Backend

CACHED = 1 << 17


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    chunk: int = 25,
    backend: Backend = "auto",
) -> Tensor:
    """Mamba-2's state-space duality: a linear recurrence, computed as matrix products.

    For every head, with a state S of N × P numbers that starts at zero::

        S[t] = exp(dt[t] A) S[t-1] + dt[t] B[t] x[t]ᵀ
        y[t] = C[t]ᵀ S[t] + D x[t]

    (Dao and Gu 2024, arXiv 2405.21060: equation 1 with the scalar A of section 5, computed by the
    block decomposition of section 6.) Inside a chunk the recurrence is written out as one lower
    triangular matrix of decays, and a loop over the chunks, not over the samples, passes the
    state on. Decays are exp of sums that are never positive, so nothing overflows.

    x: (batch, T, H, P). dt: (batch, T, H), not negative. A: (H,), negative. B and C:
    (batch, T, G, N), where G groups share them between the H heads. D: (H,). Gives
    (batch, T, H, P) in the dtype of x. Any T: the last chunk may be shorter. Memory grows with T,
    not with its square. Gradients are of the first order.

    Half precisions are computed in float32 throughout, under autocast too: the inputs lose
    nothing more than they have lost.

    The result does not depend on `chunk`; the time does. Forward and backward on one CPU core at
    the benchmark's sizes (H 32, P 8, N 64), beside the fastest:

    ============== === === === === === === === ===
    chunk           10  16  20  25  30  32  50  64
    16 × T = 300   1.3 1.1 1.0 1.1 1.1 1.1 1.4 1.5
    8 × T = 1000   1.3 1.0 1.0 1.1 1.1 1.0 1.3 1.3
    ============== === === === === === === === ===

    backend: "auto" takes mamba-ssm's kernel where it can run, `kernels` says where.

    Raises ValueError when `chunk` is below 1 or G does not divide H, and PecgError for a backend
    that is unknown or not there.
    """
    T, H = x.shape[1:3]
    G = B.shape[2]
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if H % G:
        raise ValueError(f"{G} groups do not divide {H} heads")
    if kernels.use(x, backend, kernels.DUALITY):
        return kernels.duality(x, dt, A, B, C, D)
    exact = torch.promote_types(x.dtype, torch.float32)
    with without_autocast(x.device.type):
        given = [v.to(exact) for v in (x, dt, A, B, C)]
        direct = torch.zeros_like(given[2]) if D is None else D.to(exact)
        y: Tensor = _Duality.apply(*given, direct, min(chunk, T))  # type: ignore[no-untyped-call]
        return y.to(x.dtype)


Span = tuple[slice, slice, int]  # samples, chunks, samples to a chunk


class _Duality(torch.autograd.Function):
    """`ssd` in one dtype. In the shapes, R heads share a group, and k chunks of Q samples are
    computed together: as many as the processor's cache holds, and on a GPU all.

    The backward pass keeps the state at each chunk's start and computes the rest again, which
    takes less time than fetching it from memory.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, Q: int
    ) -> Tensor:
        batch, T, H, P = x.shape
        G, N = B.shape[2:]
        R = H // G
        few = max(1, CACHED // (batch * H * Q * max(P, Q))) if x.device.type == "cpu" else T
        spans = _spans(T, Q, few)
        x, dt = x.reshape(batch, T, G, R, P), dt.reshape(batch, T, G, R)
        A, D = A.reshape(G, R), D.reshape(G, R)
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        starts = x.new_empty(
            batch, -(-T // Q), G, N, R * P
        )  # the state that each chunk starts from
        state = x.new_zeros(batch, G, N, R * P)
        for span in spans:
            u, b, c, sums, decay = _within(x, dt, A, B, C, span)
            # Within a chunk: y[i] = Σ_{j ≤ i} (C[i]·B[j]) exp(a[j+1] + … + a[i]) u[j].
            mixing = (c @ b.mT)[:, :, :, None] * decay  # (batch, k, G, R, Q, Q)
            mixed = (mixing @ u).permute(0, 1, 4, 2, 3, 5)  # (batch, k, Q, G, R, P)
            # What each chunk alone leaves in the state, and the state passed on.
            left = b.mT @ _side_by_side(u, _fade(sums))  # (batch, k, G, N, RP)
            through = _through(sums, P)  # (batch, k, G, 1, RP)
            start = starts[:, span[1]]  # (batch, k, G, N, RP)
            for k in range(left.shape[1]):
                start[:, k] = state
                state = torch.addcmul(left[:, k], state, through[:, k])
            carried = (c @ start).reshape((*u.shape[:3], -1, R, P)).transpose(2, 3)
            since = sums.exp().permute(0, 1, 4, 2, 3)[..., None]  # (batch, k, Q, G, R, 1)
            out = _chunks(y, span)  # (batch, k, Q, G, R, P)
            torch.addcmul(mixed, carried, since, out=out)
            out.addcmul_(_chunks(x, span), D[..., None])
        ctx.save_for_backward(x, dt, A, B, C, D, y, starts)
        ctx.spans = spans
        return y.reshape(batch, T, H, P)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, C, D, y, starts = ctx.saved_tensors
        batch, T, G, R, P = x.shape
        dy = dy.reshape(x.shape)
        dx, ddt, dB, dC = (
            torch.empty(v.shape, dtype=v.dtype, device=v.device) for v in (x, dt, B, C)
        )
        dA, dD = torch.zeros_like(A), torch.zeros_like(D)
        later = torch.zeros_like(starts[:, 0])  # (batch, G, N, RP), what the next chunk hands back
        for span in reversed(ctx.spans):
            u, b, c, sums, decay = _within(x, dt, A, B, C, span)
            dth, xh, yh = (_by_head(v, span) for v in (dt, x, y))  # (batch, k, G, R, Q[, P])
            g = _by_head(dy, span).contiguous()  # (batch, k, G, R, Q, P)
            start = starts[:, span[1]]  # (batch, k, G, N, RP)
            of_start = _side_by_side(g, sums.exp())  # (batch, k, G, Q, RP)
            back = c.mT @ of_start  # (batch, k, G, N, RP)
            through = _through(sums, P)  # (batch, k, G, 1, RP)
            after = torch.empty_like(back)  # what reaches the state that each chunk leaves
            for k in reversed(range(back.shape[1])):
                after[:, k] = later
                later = torch.addcmul(back[:, k], later, through[:, k])
            fade = _fade(sums)  # (batch, k, G, R, Q)
            left = _side_by_side(u, fade)  # (batch, k, G, Q, RP)
            of_scores = (g @ u.mT).mul_(decay).sum(3)  # (batch, k, G, Q, Q)
            _chunks(dC, span).copy_((of_scores @ b + of_start @ start.mT).transpose(2, 3))
            _chunks(dB, span).copy_((of_scores.mT @ c + left @ after.mT).transpose(2, 3))
            mixing = (c @ b.mT)[:, :, :, None] * decay  # (batch, k, G, R, Q, Q)
            du = mixing.mT @ g  # (batch, k, G, R, Q, P)
            of_left = (b @ after).reshape((*u.shape[:3], -1, R, P)).transpose(3, 4)
            du.addcmul_(of_left, fade[..., None])
            # Each log decay scales what it lies between: all outputs from it on, less the inputs
            # from it on, which it does not reach, and the state that the chunk leaves.
            gx, ux = (g * xh).sum(-1), (du * xh).sum(-1)  # (batch, k, G, R, Q)
            rest = (g * yh).sum(-1) - D[..., None] * gx - dth * ux
            end = after * (start * through + b.mT @ left)  # (batch, k, G, N, RP)
            ends = end.sum(3).reshape((*u.shape[:4], P)).sum(-1)  # (batch, k, G, R)
            da = rest.flip(-1).cumsum(-1).flip(-1) + ends[..., None]  # (batch, k, G, R, Q)
            dA += (da * dth).sum((0, 1, 4))
            dD += gx.sum((0, 1, 4))
            _by_head(ddt, span).copy_(ux + da * A[..., None])
            out = _by_head(dx, span)
            torch.mul(du, dth[..., None], out=out)
            out.addcmul_(g, D[..., None, None])
        H = G * R
        return (
            dx.reshape(batch, T, H, P),
            ddt.reshape(batch, T, H),
            dA.flatten(),
            dB,
            dC,
            dD.flatten(),
            None,
        )


def _spans(T: int, Q: int, few: int) -> list[Span]:
    """Whole chunks of Q samples, `few` at a time, and what is left of T as one shorter chunk."""
    whole = T // Q
    spans = []
    for first in range(0, whole, few):
        last = min(first + few, whole)
        spans.append((slice(first * Q, last * Q), slice(first, last), Q))
    if T % Q:
        spans.append((slice(whole * Q, T), slice(whole, whole + 1), T % Q))
    return spans


def _chunks(v: Tensor, span: Span) -> Tensor:
    """A span of (batch, T, ...) as (batch, k, Q, ...), a view."""
    v = v[:, span[0]]
    return v.view(v.shape[0], -1, span[2], *v.shape[2:])


def _by_head(v: Tensor, span: Span) -> Tensor:
    """A span of (batch, T, G, R, ...) as (batch, k, G, R, Q, ...), a view."""
    return _chunks(v, span).movedim(2, 4)


def _within(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, span: Span
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Of each chunk: u (batch, k, G, R, Q, P), B and C (batch, k, G, Q, N), the sums of the log
    decays up to each sample (batch, k, G, R, Q), and the decay from each to each, (…, Q, Q)."""
    xh, dth = _by_head(x, span), _by_head(dt, span)
    u = x.new_empty(xh.shape)  # (batch, k, G, R, Q, P), as it lies
    torch.mul(xh, dth[..., None], out=u)
    b, c = (_chunks(v, span).transpose(2, 3) for v in (B, C))  # (batch, k, G, Q, N)
    sums = (dth * A[..., None]).cumsum(-1)  # (batch, k, G, R, Q)
    # Above the diagonal the span would be positive; it is masked before exp, not after.
    Q = span[2]
    later = torch.full((Q, Q), -torch.inf, dtype=x.dtype, device=x.device).triu(1)
    spans = sums[..., :, None] - sums[..., None, :]
    return u, b, c, sums, spans.add_(later).exp_()


def _fade(sums: Tensor) -> Tensor:
    """The decay from each sample to its chunk's end."""
    return (sums[..., -1:] - sums).exp()


def _through(sums: Tensor, P: int) -> Tensor:
    """The decay over a whole chunk: (batch, k, G, 1, RP)."""
    return sums[..., -1].exp().repeat_interleave(P, dim=-1)[..., None, :]


def _side_by_side(u: Tensor, by: Tensor) -> Tensor:
    """u (batch, k, G, R, Q, P) times `by`, a group's heads beside each other: (..., Q, RP)."""
    u, by = u.transpose(3, 4), by.transpose(3, 4)
    scaled = u.new_empty(u.shape)
    return torch.mul(u, by[..., None], out=scaled).flatten(-2)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Everything inside runs in the dtypes it is given. The meta device has no autocast to stop."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
