"""mamba-ssm's CUDA kernels and causal-conv1d's, where they can run, behind torch's arguments.

A caller asks `use` which of the two to take. Nothing falls back in silence: "auto" takes the
kernels exactly where the tensors lie on a CUDA device and mamba-ssm can be imported, `state` says
so in words for the run's record, and asking for kernels that are not there is an error.
"""

from functools import cache
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor

from pecg_utils.errors import PecgError

Backend = Literal["auto", "torch", "mamba-ssm"]

SCAN = "mamba_ssm.ops.selective_scan_interface"
DUALITY = "mamba_ssm.ops.triton.ssd_combined"
CONV = "causal_conv1d"
CONV_KERNELS = range(2, 5)  # tokens; for others there is no kernel, and torch does it


@cache
def _imported(module: str) -> Any:
    """The module, or the exception that its import ended in; without nvcc, triton or a GPU there
    are many."""
    try:
        return import_module(module)
    except Exception as error:
        return error


def _there(module: str) -> bool:
    return not isinstance(_imported(module), Exception)


def state() -> str:
    """What runs on this machine's GPU, in words, with the reason where it is torch."""
    found = []
    for what, module in (("scan", SCAN), ("duality", DUALITY), ("convolution", CONV)):
        why = "" if _there(module) else str(_imported(module)).partition("\n")[0]
        found.append(f"{what} by torch ({why})" if why else f"{what} by {_package(module)}")
    return ", ".join(found)


def _package(module: str) -> str:
    return module.partition(".")[0].replace("_", "-")


def use(tensor: Tensor, backend: Backend, module: str) -> bool:
    """Whether the kernels in `module` are to be used for `tensor`.

    Raises PecgError when they are asked for by name and are not there, or for an unknown name.
    """
    if backend not in ("auto", "torch", "mamba-ssm"):
        raise PecgError(f"There is no backend {backend!r}; there are auto, torch and mamba-ssm.")
    there = tensor.is_cuda and backend != "torch" and _there(module)
    if backend == "mamba-ssm" and not there:
        why = f"{_package(module)} cannot be imported ({_imported(module)})"
        why = why if tensor.is_cuda else "the data is on no CUDA device"
        raise PecgError(f"The backend mamba-ssm cannot be used: {why}. Take auto or torch.")
    return there


def use_convolution(tensor: Tensor, kernel: int, backend: Backend) -> bool:
    """`use` for the convolution over `kernel` tokens."""
    if kernel in CONV_KERNELS or backend not in ("auto", "mamba-ssm"):
        return use(tensor, backend, CONV)
    if backend == "mamba-ssm":
        raise PecgError(
            f"The backend mamba-ssm cannot be used: causal-conv1d has kernels for convolutions of "
            f"2 to 4 tokens, not {kernel}. Take auto or torch."
        )
    return False


def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """`selective_scan` by mamba-ssm's kernel, in float32 as there.

    The kernel wants time last and all of one dtype, which autocast would not give it.
    """
    function = _imported(SCAN).selective_scan_fn
    with torch.autocast(u.device.type, enabled=False):
        last = [v.float().transpose(1, 2).contiguous() for v in (u, dt, B, C)]  # (batch, E or N, T)
        y: Tensor = function(
            last[0], last[1], A.float(), last[2], last[3], None if D is None else D.float()
        )
        return y.transpose(1, 2).to(u.dtype)  # (batch, T, E)


def duality(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None) -> Tensor:
    """`ssd` by mamba-ssm's kernel, in float32 as there, and in chunks of its own."""
    combined = _imported(DUALITY).mamba_chunk_scan_combined
    with torch.autocast(x.device.type, enabled=False):
        given = [v.float() for v in (x, dt, A, B, C)]
        y: Tensor = combined(*given, chunk_size=256, D=None if D is None else D.float())
        return y.to(x.dtype)


def convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The causal depthwise convolution of x (batch, T, E), in its dtype; weight (E, kernel).

    Weights take the dtype of x, as under autocast; the kernel sums in float32.
    The kernel reads channels last where E and all strides are multiples of 8, and else time last.
    """
    function = _imported(CONV).causal_conv1d_fn
    with torch.autocast(x.device.type, enabled=False):
        given = x.float() if x.dtype == torch.float64 else x  # for which there is no kernel
        given = given.contiguous().transpose(1, 2)  # (batch, E, T)
        if x.shape[2] % 8:
            given = given.contiguous()
        y: Tensor = function(given, weight.to(given.dtype).contiguous(), bias.to(given.dtype))
        return y.transpose(1, 2).to(x.dtype)  # (batch, T, E)
