"""mamba-ssm's CUDA kernels, where they can run, behind the same arguments as the torch code.

A caller asks `use` which of the two to take. Nothing falls back in silence: "auto" takes the
kernels exactly where the tensors lie on a CUDA device and mamba-ssm can be imported, `state` says
so in words for the run's record, and asking for kernels that are not there is an error.
"""

from functools import cache
from importlib import import_module
from typing import Any, Literal

from torch import Tensor

from pecg_utils.errors import PecgError

Backend = Literal["auto", "torch", "mamba-ssm"]

SCAN = "mamba_ssm.ops.selective_scan_interface"
DUALITY = "mamba_ssm.ops.triton.ssd_combined"


@cache
def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except Exception:  # its import fails in many ways without nvcc, triton or a GPU
        return None


def state() -> str:
    """Whether mamba-ssm's kernels can be imported here, in words."""
    there = _imported(SCAN) is not None and _imported(DUALITY) is not None
    return "mamba-ssm's kernels on a GPU" if there else "torch; mamba-ssm's kernels are not there"


def use(tensor: Tensor, backend: Backend, module: str) -> bool:
    """Whether the kernels in `module` are to be used for `tensor`.

    Raises PecgError when they are asked for by name and are not there, or for an unknown name.
    """
    if backend not in ("auto", "torch", "mamba-ssm"):
        raise PecgError(f"There is no backend {backend!r}; there are auto, torch and mamba-ssm.")
    there = tensor.is_cuda and backend != "torch" and _imported(module) is not None
    if backend == "mamba-ssm" and not there:
        why = "mamba-ssm cannot be imported" if tensor.is_cuda else "the data is on no CUDA device"
        raise PecgError(f"The backend mamba-ssm cannot be used: {why}. Take auto or torch.")
    return there


def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """`selective_scan` by mamba-ssm's kernel, which wants time last: shapes as there."""
    last = [v.transpose(1, 2).contiguous() for v in (u, dt, B, C)]  # (batch, E or N, T)
    y: Tensor = _imported(SCAN).selective_scan_fn(last[0], last[1], A, last[2], last[3], D)
    return y.transpose(1, 2)  # (batch, T, E)


def duality(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """`ssd` by mamba-ssm's kernel, in chunks of its own: shapes as there."""
    combined = _imported(DUALITY).mamba_chunk_scan_combined
    y: Tensor = combined(x, dt, A, B, C, chunk_size=256, D=D)
    return y
