"""Which code a state-space model runs on. The kernels themselves want a GPU: `make gpu`."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils import machine
from pecg_utils.errors import PecgError
from pecg_utils.models import kernels
from pecg_utils.models.mamba2 import CausalConv
from pecg_utils.models.selective_scan import selective_scan
from pecg_utils.models.ssm import ssd

ALL = "scan by mamba-ssm, duality by mamba-ssm, convolution by causal-conv1d"


class OnCuda(Tensor):
    """A tensor that says that it lies on a GPU."""

    is_cuda = True


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """The three functions as they would be found, by their own arguments, in torch."""

    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
        assert delta_bias is None
        assert not delta_softplus
        assert {v.dtype for v in (u, delta, A, B, C, D)} == {torch.float32}
        given = [v.as_subclass(Tensor).transpose(1, 2) for v in (u, delta, B, C)]
        y = selective_scan(given[0], given[1], A, given[2], given[3], D, backend="torch")
        return y.transpose(1, 2)

    def mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D=None):
        assert {v.dtype for v in (x, dt, A, B, C, D)} == {torch.float32}
        return ssd(x.as_subclass(Tensor), dt, A, B, C, D, backend="torch")

    def causal_conv1d_fn(x, weight, bias=None, activation=None):
        width = x.shape[1]
        assert len(weight) == width
        assert x.dtype == weight.dtype == bias.dtype
        assert x.dtype in (torch.float32, torch.bfloat16, torch.float16)
        # As its own checks: channels last in eights alone, and else time last.
        assert x.stride(2) == 1 or (x.stride(1) == 1 and not any(v % 8 for v in x.stride()[::2]))
        assert x.stride(2) == 1 or width % 8 == 0
        assert activation is None
        past = F.pad(x.as_subclass(Tensor), (weight.shape[1] - 1, 0)).to(weight.dtype)
        y = F.conv1d(past, weight[:, None], bias, groups=width)
        return y.to(x.dtype)

    found = {
        kernels.CONV: {"causal_conv1d_fn": causal_conv1d_fn},
        kernels.SCAN: {"selective_scan_fn": selective_scan_fn},
        kernels.DUALITY: {"mamba_chunk_scan_combined": mamba_chunk_scan_combined},
    }
    for name, contents in found.items():
        module = ModuleType(name)
        module.__dict__.update(contents)
        for parent in ("mamba_ssm", name.rpartition(".")[0] or name):
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, module)
    kernels._imported.cache_clear()
    yield
    kernels._imported.cache_clear()


def scan_inputs() -> list[Tensor]:
    torch.manual_seed(1)
    u, dt = torch.randn(2, 9, 6), torch.rand(2, 9, 6)
    return [u, dt, -torch.rand(6, 4), torch.randn(2, 9, 4), torch.randn(2, 9, 4), torch.randn(6)]


def duality_inputs() -> list[Tensor]:
    torch.manual_seed(2)
    x, dt, A = torch.randn(2, 9, 4, 3), torch.rand(2, 9, 4), -torch.rand(4)
    return [x, dt, A, torch.randn(2, 9, 1, 5), torch.randn(2, 9, 1, 5), torch.randn(4)]


@pytest.mark.parametrize(
    ("function", "inputs"), [(selective_scan, scan_inputs), (ssd, duality_inputs)]
)
def test_kernels_get_what_they_want_and_give_the_same(installed, function, inputs) -> None:
    given = inputs()
    expected = function(*given, backend="torch")
    on_gpu = [given[0].as_subclass(OnCuda), *given[1:]]
    for backend in ("auto", "mamba-ssm"):
        torch.testing.assert_close(function(*on_gpu, backend=backend).as_subclass(Tensor), expected)
    half = [v.to(torch.bfloat16) for v in given[:2]]  # as autocast may leave some of them
    found = function(half[0].as_subclass(OnCuda), half[1], *given[2:])
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.as_subclass(Tensor).float(), expected, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("width", [8, 7])
def test_the_convolution_gets_what_it_wants_and_gives_the_same(installed, width: int) -> None:
    torch.manual_seed(3)
    for kernel in (2, 3, 4):
        x = torch.randn(2, 9, width + 3)[..., :width]  # a slice, as the block has it
        conv = CausalConv(width, kernel)
        expected = conv(x)
        on_gpu = x.as_subclass(OnCuda)
        conv.backend = "mamba-ssm"
        with torch.no_grad():
            torch.testing.assert_close(conv(on_gpu).as_subclass(Tensor), expected)
            assert conv(on_gpu.bfloat16()).dtype == torch.bfloat16
            assert conv(on_gpu.double()).dtype == torch.float64
        conv(on_gpu).sum().backward()
        found = [p.grad.clone() for p in conv.parameters()]
        conv.zero_grad()
        conv.backend = "torch"
        conv(x).sum().backward()
        for one, other in zip(found, conv.parameters(), strict=True):
            torch.testing.assert_close(one.as_subclass(Tensor), other.grad)


def test_the_convolution_takes_the_kernel_on_a_gpu_where_there_is_one(installed, monkeypatch):
    taken = []
    monkeypatch.setattr(kernels, "convolution", lambda x, weight, bias: taken.append(x) or x)
    x = torch.randn(1, 9, 8)
    on_gpu = x.as_subclass(OnCuda)
    for given, kernel, backend in (
        (x, 4, "auto"),
        (on_gpu, 4, "torch"),
        (on_gpu, 5, "auto"),
        (on_gpu, 1, "auto"),
    ):
        CausalConv(8, kernel, backend)(given)
        assert not taken, (kernel, backend)
    CausalConv(8, 4)(on_gpu)
    assert len(taken) == 1
    with pytest.raises(PecgError, match="convolutions of 2 to 4 tokens, not 5"):
        CausalConv(8, 5, "mamba-ssm")(on_gpu)
    with pytest.raises(PecgError, match="no backend 'cuda'"):
        CausalConv(8, 5, "cuda")(on_gpu)


def test_auto_takes_the_kernels_on_a_gpu_alone(installed) -> None:
    tensor = torch.zeros(1)
    assert kernels.use(tensor.as_subclass(OnCuda), "auto", kernels.SCAN)
    assert not kernels.use(tensor.as_subclass(OnCuda), "torch", kernels.SCAN)
    assert not kernels.use(tensor, "auto", kernels.SCAN)
    assert kernels.state() == ALL


def test_what_cannot_be_imported_is_said_with_its_reason(installed, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, kernels.DUALITY, None)
    kernels._imported.cache_clear()
    assert kernels.state().startswith("scan by mamba-ssm, duality by torch (import of mamba_ssm")
    assert kernels.state().endswith(", convolution by causal-conv1d")
    monkeypatch.setitem(sys.modules, kernels.CONV, None)
    kernels._imported.cache_clear()
    assert ", convolution by torch (import of causal_conv1d" in kernels.state()


def test_kernels_that_are_not_there_are_no_silent_fallback() -> None:
    kernels._imported.cache_clear()
    tensor = torch.zeros(1)
    with pytest.raises(PecgError, match="the data is on no CUDA device"):
        kernels.use(tensor, "mamba-ssm", kernels.SCAN)
    with pytest.raises(PecgError, match="There is no backend 'cuda'; there are auto, torch"):
        selective_scan(*scan_inputs(), backend="cuda")
    if not kernels._there(kernels.SCAN):
        with pytest.raises(PecgError, match="mamba-ssm cannot be imported"):
            kernels.use(tensor.as_subclass(OnCuda), "mamba-ssm", kernels.SCAN)
        assert kernels.state().startswith("scan by torch (")
    if not kernels._there(kernels.CONV):
        with pytest.raises(PecgError, match="causal-conv1d cannot be imported"):
            CausalConv(8, 4, "mamba-ssm")(torch.zeros(1, 9, 8).as_subclass(OnCuda))


def test_the_record_says_what_runs_here(monkeypatch: pytest.MonkeyPatch, installed) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.state_space_backend() == "torch, on the processor"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.state_space_backend() == ALL
