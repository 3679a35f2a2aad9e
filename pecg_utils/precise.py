"""What the losses reckon in float32 at least, also under autocast: bfloat16 has three digits."""

from contextlib import nullcontext

import torch
from torch import Tensor


def precise(x: Tensor) -> Tensor:
    """x in float32, or as it is where that is finer."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def products(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of all rows (N, D) and (M, D): (N, M), in float32 at least."""
    a, b = precise(a), precise(b)
    dtype = torch.promote_types(a.dtype, b.dtype)
    kind = a.device.type  # "meta", on which models are counted, knows no autocast
    known = torch.amp.is_autocast_available(kind)
    with torch.autocast(kind, enabled=False) if known else nullcontext():
        return a.to(dtype) @ b.to(dtype).T
