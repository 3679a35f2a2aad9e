"""Other people's code gives the same: mamba-ssm's own references, and the mixers of transformers.

They live in the environment of the peers, where `make oracles` runs this; elsewhere each test says
what it misses. Neither needs a GPU here. mamba-ssm's modules import triton and a compiled
extension on their way to the references, which use neither: while they are imported, empty modules
stand in for both.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.models.mamba2 import Mamba2Block
from pecg_utils.models.selective_scan import selective_scan
from pecg_utils.models.ssm import ssd
from pecg_utils.models.vim import VimBlock


def missing(package: str) -> None:
    """Skips, but under `make oracles` fails."""
    said = (
        f"{package} is not installed here; `make oracles` runs this in an environment that has it"
    )
    if "oracles" in os.environ.get("PECG_REQUIRE", ""):
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture(scope="module")
def mamba_ssm():
    """mamba-ssm's three references."""
    found = find_spec("mamba_ssm")
    if found is None or find_spec("einops") is None:
        missing("mamba-ssm")
    package = ModuleType("mamba_ssm")  # without its own start, which imports all models
    package.__path__ = list(found.submodule_search_locations)
    triton = MagicMock(__version__="3.0.0")
    # What the modules ask of their kernels while they are made: warps and sizes of blocks.
    triton.Config = lambda kwargs, **more: SimpleNamespace(kwargs=kwargs, num_warps=1)
    triton.autotune = lambda configs, **more: lambda kernel: SimpleNamespace(configs=configs)
    stand_ins = {
        "mamba_ssm": package,
        "selective_scan_cuda": ModuleType("selective_scan_cuda"),
        "triton": triton,
        "triton.language": triton.language,
    }
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_ins.items():
            patch.setitem(sys.modules, name, module)
        scan = import_module("mamba_ssm.ops.selective_scan_interface")
        minimal = import_module("mamba_ssm.modules.ssd_minimal")
        combined = import_module("mamba_ssm.ops.triton.ssd_combined")
    for name in set(sys.modules) - before:  # nobody else is to find them
        if name.startswith("mamba_ssm"):
            del sys.modules[name]
    assert Path(scan.__file__).is_file()
    return SimpleNamespace(
        scan=scan.selective_scan_ref,
        minimal=minimal.ssd_minimal_discrete,
        combined=combined.ssd_chunk_scan_combined_ref,
    )


@pytest.fixture(scope="module")
def transformers():
    """The modules of transformers that hold the two mixers."""
    if find_spec("transformers") is None:
        missing("transformers")
    return SimpleNamespace(
        mamba=import_module("transformers.models.mamba.modeling_mamba"),
        mamba2=import_module("transformers.models.mamba2.modeling_mamba2"),
    )


def normal(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


def scan_inputs(T: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """u, dt, A, B, C, D of `selective_scan`."""
    torch.manual_seed(T)
    batch, E, N = 2, 6, 4
    dt = F.softplus(normal(batch, T, E, dtype=dtype) - 1)
    A = -normal(E, N, dtype=dtype).exp()
    given = [normal(batch, T, E, dtype=dtype), dt, A]
    given += [normal(batch, T, N, dtype=dtype) for _ in "BC"] + [normal(E, dtype=dtype)]
    return [v.requires_grad_() for v in given]


def duality_inputs(T: int, groups: int, dtype: torch.dtype) -> list[Tensor]:
    """x, dt, A, B, C, D of `ssd`."""
    torch.manual_seed(T)
    batch, H, P, N = 2, 4, 3, 5
    dt = F.softplus(normal(batch, T, H, dtype=dtype) - 1)
    given = [normal(batch, T, H, P, dtype=dtype), dt, -normal(H, dtype=dtype).exp()]
    given += [normal(batch, T, groups, N, dtype=dtype) for _ in "BC"] + [normal(H, dtype=dtype)]
    return [v.requires_grad_() for v in given]


def assert_same(ours: Callable, theirs: Callable, given: Sequence[Tensor], relative: float) -> None:
    """Both outputs and both gradients, each error beside its tensor's largest number, or 1."""
    found, expected = ours(*given), theirs(*given)
    weights = torch.randn(expected.shape, dtype=expected.dtype)
    pairs = [(found, expected)]
    pairs += zip(
        torch.autograd.grad((found * weights).sum(), given),
        torch.autograd.grad((expected * weights).sum(), given),
        strict=True,
    )
    for place, (one, other) in enumerate(pairs):
        assert one.shape == other.shape
        error = (one - other).abs().max() / other.abs().max().clamp(min=1)
        assert error < relative, f"{'output' if place == 0 else f'gradient {place - 1}'}: {error}"


# mamba-ssm's references


@pytest.mark.parametrize("length", [1, 7, 100, 600])
def test_scan_as_mamba_ssm(mamba_ssm, length: int) -> None:
    def theirs(u, dt, A, B, C, D):
        u, dt, B, C = (v.transpose(1, 2) for v in (u, dt, B, C))
        return mamba_ssm.scan(u, dt, A, B, C, D).transpose(1, 2)

    assert_same(selective_scan, theirs, scan_inputs(length), 1e-4)  # theirs is in float32 only


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", [16, 64, 320])
def test_duality_as_the_papers_listing(mamba_ssm, length: int, groups: int) -> None:
    def theirs(x, dt, A, B, C):
        B, C = (v.repeat_interleave(4 // groups, 2) for v in (B, C))
        return mamba_ssm.minimal(x * dt[..., None], dt * A, B, C, 16)[0]

    given = duality_inputs(length, groups, torch.float64)[:5]  # theirs has no direct path
    assert_same(lambda *v: ssd(*v, chunk=25), theirs, given, 1e-10)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", [16, 64, 320])
def test_duality_as_mamba_ssm(mamba_ssm, length: int, groups: int) -> None:
    given = duality_inputs(length, groups, torch.float32)
    # Theirs masks after exp, and of fast decays over the whole length its gradients are no numbers.
    given[2] = (given[2].detach() / 20).requires_grad_()
    assert_same(
        lambda *v: ssd(*v, chunk=25),
        lambda x, dt, A, B, C, D: mamba_ssm.combined(x, dt, A, B, C, 16, D),
        given,
        1e-4,
    )


# The mixers of transformers


@pytest.mark.parametrize("length", [1, 31, 200])
def test_duality_as_transformers(transformers, length: int) -> None:
    given = duality_inputs(length, 2, torch.float32)
    assert_same(
        lambda *v: ssd(*v, chunk=25),
        lambda x, dt, A, B, C, D: transformers.mamba2.mamba2_chunk_scan(x, dt, A, B, C, 32, D=D),
        given,
        1e-4,
    )


def as_theirs(ours: dict[str, Tensor], direction: str = "") -> dict[str, Tensor]:
    """The weights of a block (or of one direction and what both share) by the names of theirs."""
    shared = ("in_proj.weight", "out_proj.weight")
    kept = {k: v for k, v in ours.items() if k.startswith(direction) or k in shared}
    named = {k.removeprefix(f"{direction}."): v for k, v in kept.items()}
    named["conv1d.weight"] = named.pop("conv.conv.weight").squeeze(2)  # (E, 1, K)
    named["conv1d.bias"] = named.pop("conv.conv.bias")
    return named


def assert_same_gradients(
    block: nn.Module, mixer: nn.Module, tokens: Tensor, direction: str = ""
) -> None:
    """Of every weight."""
    factors = torch.linspace(-1, 2, tokens.numel()).reshape(tokens.shape)
    got = []
    for made in (block, mixer):
        (made(tokens) * factors).sum().backward()
        got.append({name: p.grad for name, p in made.named_parameters()})
    found, expected = as_theirs(got[0], direction), got[1]
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-3)


def mamba_mixer(transformers, block: VimBlock, direction: str) -> nn.Module:
    """Their Mamba-1 mixer with the weights of one direction of `block`."""
    config = transformers.mamba.MambaConfig(hidden_size=32, state_size=4, num_hidden_layers=1)
    mixer = transformers.mamba.MambaMixer(config, layer_idx=0)
    mixer.load_state_dict(as_theirs(block.state_dict(), direction))
    return mixer


def stirred(block: nn.Module) -> nn.Module:
    """No weight at its first value, so that no two can be taken for each other."""
    for weights in block.parameters():
        nn.init.normal_(weights, weights.mean().item(), 0.2)
    return block


@pytest.mark.parametrize("length", [1, 50])
def test_a_direction_of_vision_mamba_is_mamba(transformers, length: int) -> None:
    torch.manual_seed(0)
    block = stirred(VimBlock(32, 4, conv=4, expand=2, both=False))
    mixer = mamba_mixer(transformers, block, "forwards")
    tokens = torch.randn(2, length, 32, requires_grad=True)
    assert_same(block, mixer, [tokens], 1e-4)
    assert_same_gradients(block, mixer, tokens, "forwards")


def test_both_directions_of_vision_mamba_are_two_mambas(transformers) -> None:
    torch.manual_seed(1)
    block = stirred(VimBlock(32, 4, conv=4, expand=2))
    ahead, back = (mamba_mixer(transformers, block, way) for way in ("forwards", "backwards"))
    tokens = torch.randn(2, 50, 32, requires_grad=True)
    assert_same(block, lambda x: (ahead(x) + back(x.flip(1)).flip(1)) / 2, [tokens], 1e-4)


@pytest.mark.parametrize("length", [1, 50, 64])
def test_the_mamba2_block_is_mamba2(transformers, length: int) -> None:
    torch.manual_seed(2)
    block = stirred(Mamba2Block(32, d_state=5, conv=4, expand=2, headdim=16, chunk=30))
    config = transformers.mamba2.Mamba2Config(
        hidden_size=32,
        state_size=5,
        num_heads=4,
        head_dim=16,
        n_groups=1,
        chunk_size=16,
        num_hidden_layers=1,
        layer_norm_epsilon=torch.finfo(torch.float32).eps,  # of torch's own norm
    )
    mixer = transformers.mamba2.Mamba2Mixer(config, layer_idx=0)
    mixer.load_state_dict(as_theirs(block.state_dict()))
    tokens = torch.randn(2, length, 32, requires_grad=True)
    assert_same(block, mixer, [tokens], 1e-4)
    assert_same_gradients(block, mixer, tokens)
