"""State-space scans in plain torch."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils.models import kernels
from pecg_utils.models.kernels import Backend


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
    (batch, T, H, P) in the dtype of x. Any T: the last chunk is filled with steps of dt = 0,
    which leave the state alone, and cut off again. Memory grows with T, not with its square.

    Half precisions are computed in float32 throughout, under autocast too: the inputs lose
    nothing more than they have lost.

    The result does not depend on `chunk`; the time does. Forward and backward on one CPU core at
    the benchmark's sizes (H 32, P 8, N 64), in seconds of processor time:

    ============== ==== ==== ==== ==== ==== ==== ==== ====
    chunk            10   16   20   25   30   32   50   64
    16 × T = 300   0.12 0.10 0.09 0.09 0.10 0.13 0.14 0.20
    8 × T = 1000   0.25 0.18 0.18 0.19 0.19 0.21 0.30 0.39
    ============== ==== ==== ==== ==== ==== ==== ==== ====


    backend: "auto" takes mamba-ssm's kernel where it can run, `kernels` says where.

    Raises ValueError when `chunk` is below 1 or G does not divide H, and PecgError for a backend
    that is unknown or not there.
    """
    batch, T, H, P = x.shape
    G, N = B.shape[2:]
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if H % G:
        raise ValueError(f"{G} groups do not divide {H} heads")
    if kernels.use(x, backend, kernels.DUALITY):
        return kernels.duality(x, dt, A, B, C, D)
    R = H // G  # heads to a group
    Q = min(chunk, T)  # samples to a chunk
    K = -(-T // Q)  # chunks

    with without_autocast(x.device.type):
        exact = torch.promote_types(x.dtype, torch.float32)
        dt = dt.to(exact)
        u = x.to(exact) * dt[..., None]  # (batch, T, H, P)
        a = dt * A.to(exact)  # (batch, T, H), the log of each step's decay
        B, C = B.to(exact), C.to(exact)
        if K * Q > T:
            rest = K * Q - T
            u, B, C = (F.pad(v, (0, 0, 0, 0, 0, rest)) for v in (u, B, C))
            a = F.pad(a, (0, 0, 0, rest))
        u = u.reshape(batch, K, Q, G, R, P)
        B = B.reshape(batch, K, Q, G, N).transpose(2, 3)  # (batch, K, G, Q, N)
        C = C.reshape(batch, K, Q, G, N).transpose(2, 3)  # (batch, K, G, Q, N)
        a = a.reshape(batch, K, Q, G, R).permute(0, 1, 3, 4, 2)  # (batch, K, G, R, Q)
        sums = a.cumsum(-1)  # (batch, K, G, R, Q)

        # Within a chunk: y[i] = Σ_{j ≤ i} (C[i]·B[j]) exp(a[j+1] + … + a[i]) u[j]. Above the
        # diagonal the sum would be positive; it is masked before exp, not after. The largest
        # array of all is written once and changed in place; adding the mask costs no gradient.
        later = torch.full((Q, Q), -torch.inf, dtype=exact, device=x.device).triu(1)
        spans = sums[..., :, None] - sums[..., None, :]  # (batch, K, G, R, Q, Q)
        decay = spans.add_(later).exp_()  # (batch, K, G, R, Q, Q)
        mixing = (C @ B.mT)[:, :, :, None] * decay  # (batch, K, G, R, Q, Q)
        y = mixing @ u.permute(0, 1, 3, 4, 2, 5)  # (batch, K, G, R, Q, P)
        y = y.permute(0, 1, 4, 2, 3, 5)  # (batch, K, Q, G, R, P)

        if K > 1:
            # What each chunk alone leaves in the state, decayed to the chunk's end.
            fade = (sums[..., -1:] - sums).exp().permute(0, 1, 4, 2, 3)  # (batch, K, Q, G, R)
            left = (u * fade[..., None]).flatten(-2).transpose(2, 3)  # (batch, K, G, Q, RP)
            left = B.mT @ left  # (batch, K, G, N, RP)
            through = sums[..., -1].exp()  # (batch, K, G, R), the decay over a whole chunk
            through = through.repeat_interleave(P, dim=-1)[..., None, :]  # (batch, K, G, 1, RP)
            state = torch.zeros_like(left[:, 0])  # (batch, G, N, RP)
            before = [state]  # the state that each chunk starts from
            for new, keep in zip(left.unbind(1)[:-1], through.unbind(1)[:-1], strict=True):
                state = state * keep + new
                before.append(state)
            carried = C @ torch.stack(before, dim=1)  # (batch, K, G, Q, RP)
            carried = carried.transpose(2, 3).reshape(u.shape)  # (batch, K, Q, G, R, P)
            y = y + carried * sums.exp().permute(0, 1, 4, 2, 3)[..., None]

        y = y.reshape(batch, K * Q, H, P)[:, :T]  # (batch, T, H, P)
        if D is not None:
            y = y + D.to(exact)[:, None] * x.to(exact)
        return y.to(x.dtype)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Everything inside runs in the dtypes it is given. The meta device has no autocast to stop."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
