"""State-space duality against the recurrence that it stands for."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pecg_utils.models import ssm
from pecg_utils.models.ssm import ssd


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """At these sizes two gain nothing, and on a busy machine they wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def recurrence(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The definition, sample after sample."""
    heads = x.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(heads, 2), C.repeat_interleave(heads, 2)  # (batch, T, H, N)
    state = torch.zeros(*x[:, 0].shape, B.shape[-1], dtype=x.dtype)  # (batch, H, P, N)
    out = []
    for t in range(x.shape[1]):
        u = x[:, t] * dt[:, t, :, None]  # (batch, H, P)
        state = state * (dt[:, t] * A).exp()[..., None, None] + u[..., None] * B[:, t, :, None]
        out.append((state * C[:, t, :, None]).sum(-1) + D[:, None] * x[:, t])
    return torch.stack(out, 1)


def inputs(
    length: int, groups: int = 1, heads: int = 4, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, ...]:
    """x, dt, A, B, C, D with decays from nearly none to nearly all at once."""
    draw = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    dt = torch.nn.functional.softplus(normal(2, length, heads) * 2 - 1)
    A = -(normal(heads).exp())
    B, C = normal(2, length, groups, 5), normal(2, length, groups, 5)
    return tuple(v.to(dtype) for v in (normal(2, length, heads, 3), dt, A, B, C, normal(heads)))


@pytest.fixture(params=[1, 1000, 1 << 17], ids="cached {}".format)
def cached(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks computed one by one, some together, and all together."""
    monkeypatch.setattr(ssm, "CACHED", request.param)
    return int(request.param)


@pytest.mark.parametrize("length", [1, 2, 29, 30, 31, 60, 300])
@pytest.mark.parametrize("chunk", [1, 7, 30, 64])
def test_equals_the_recurrence(length: int, chunk: int, cached: int) -> None:
    given = inputs(length)
    error = (ssd(*given, chunk=chunk) - recurrence(*given)).abs().max()
    assert error < 1e-10


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_share_b_and_c_between_their_heads(groups: int) -> None:
    given = inputs(70, groups)
    assert torch.allclose(ssd(*given, chunk=25), recurrence(*given), atol=1e-10, rtol=0)


def test_without_a_direct_path() -> None:
    x, dt, A, B, C, D = inputs(40)
    assert torch.allclose(
        ssd(x, dt, A, B, C), recurrence(x, dt, A, B, C, torch.zeros_like(D)), atol=1e-10, rtol=0
    )


def test_gradients(cached: int) -> None:
    given = [v.requires_grad_() for v in inputs(7, groups=2)]
    assert torch.autograd.gradcheck(lambda *v: ssd(*v, chunk=3), given)
    assert torch.autograd.gradcheck(lambda *v: ssd(*v, chunk=3), given[:5])  # no direct path


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_are_those_of_the_recurrence(groups: int, cached: int) -> None:
    given = [v.requires_grad_() for v in inputs(61, groups)]
    weights = torch.randn(2, 61, 4, 3, dtype=torch.float64)
    ours = torch.autograd.grad((ssd(*given, chunk=8) * weights).sum(), given)
    theirs = torch.autograd.grad((recurrence(*given) * weights).sum(), given)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_no_output_sees_a_later_sample() -> None:
    x, dt, A, B, C, D = inputs(100)
    first = ssd(x, dt, A, B, C, D, chunk=16)
    for changed in (x, dt, B, C):
        changed[:, 53] += 1
    second = ssd(x, dt, A, B, C, D, chunk=16)
    assert torch.equal(first[:, :53], second[:, :53])
    assert (first[:, 53:] != second[:, 53:]).flatten(2).any(-1).all()  # and all later ones do


def test_long_decay_does_not_overflow() -> None:
    """Sums of a thousand within a chunk: exp of their negative is no float32."""
    x, dt, A, B, C, D = inputs(90, dtype=torch.float32)
    dt = (dt + 50).requires_grad_()
    y = ssd(x, dt, A, B, C, D, chunk=30)
    y.sum().backward()
    assert y.isfinite().all()
    assert dt.grad is not None
    assert dt.grad.isfinite().all()


def test_half_precision_is_computed_in_single() -> None:
    given = inputs(300, dtype=torch.bfloat16)
    exact = recurrence(*(v.double() for v in given))
    with torch.autocast("cpu", torch.bfloat16):
        y = ssd(*given)
        plain = ssd(*(v.float() for v in given))
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.double(), exact, rtol=2**-8, atol=1e-4)  # one rounding, at the end
    assert plain.dtype == torch.float32
    assert torch.allclose(plain.double(), exact, rtol=1e-4, atol=1e-4)


def test_memory_grows_with_length_not_with_its_square() -> None:
    def kept(length: int) -> int:
        total = 0

        def note(v: Tensor) -> Tensor:
            nonlocal total
            total += v.numel()
            return v

        given = [v.requires_grad_() for v in inputs(length)]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda v: v):
            ssd(*given, chunk=16)
        return total

    assert kept(1600) < 4.2 * kept(400)


def test_refusals() -> None:
    given = inputs(10)
    with pytest.raises(ValueError, match="at least 1"):
        ssd(*given, chunk=0)
    with pytest.raises(ValueError, match="3 groups do not divide 4 heads"):
        ssd(*inputs(10, groups=3))
