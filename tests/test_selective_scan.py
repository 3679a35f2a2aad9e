"""The selective scan against its recurrence, and Vision Mamba's block, which has two of them."""

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import Tensor, nn

from pecg_utils.models import selective_scan as scanning
from pecg_utils.models import vim
from pecg_utils.models.cnn_ecg_mamba import Answer, Places
from pecg_utils.models.selective_scan import selective_scan
from pecg_utils.models.vim import CORES, DropPath, VimBlock, VimLayer

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def recurrence(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The definition, sample after sample."""
    state, out = torch.zeros(len(u), *A.shape, dtype=u.dtype), []
    for t in range(u.shape[1]):
        new = (dt[:, t] * u[:, t])[:, :, None] * B[:, t, None]  # (batch, E, N)
        state = (dt[:, t, :, None] * A).exp() * state + new
        out.append((state * C[:, t, None]).sum(-1) + D * u[:, t])
    return torch.stack(out, 1)


def inputs(T: int, batch: int = 2, E: int = 3, N: int = 4, dtype=torch.float64) -> list[Tensor]:
    """u, dt, A, B, C, D with decays from nearly none to nearly all at once."""
    draw = torch.Generator().manual_seed(T)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    dt = nn.functional.softplus(normal(batch, T, E) * 2 - 1)
    A = -normal(E, N).exp()
    given = [normal(batch, T, E), dt, A, normal(batch, T, N), normal(batch, T, N), normal(E)]
    return [v.to(dtype).requires_grad_() for v in given]


@pytest.fixture(params=[1, 24, 24 * 7, 1 << 19], ids="cached {}".format)
def cached(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of one step, of one, of seven, and of all."""
    monkeypatch.setattr(scanning, "CACHED", request.param)
    return int(request.param)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 50, 300])
def test_equals_the_recurrence(length: int, cached: int) -> None:
    given = inputs(length)
    assert (selective_scan(*given) - recurrence(*given)).abs().max() < 1e-10


def test_gradients(cached: int) -> None:
    assert torch.autograd.gradcheck(selective_scan, inputs(9))


def test_gradients_are_those_of_the_recurrence(cached: int) -> None:
    given = inputs(60)
    weights = torch.randn(2, 60, 3, dtype=torch.float64)
    ours = torch.autograd.grad((selective_scan(*given) * weights).sum(), given)
    theirs = torch.autograd.grad((recurrence(*given) * weights).sum(), given)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_no_output_sees_a_later_sample() -> None:
    given = [v.detach() for v in inputs(100)]
    first = selective_scan(*given)
    for place in (0, 1, 3, 4):
        given[place][:, 53] += 1
    second = selective_scan(*given)
    assert torch.equal(first[:, :53], second[:, :53])
    assert not torch.allclose(first[:, 53:], second[:, 53:])


def test_half_precision_is_summed_in_float32() -> None:
    given = [v.detach().to(torch.bfloat16) for v in inputs(4000)]
    exact = recurrence(*(v.double() for v in given))
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(*given)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.double(), exact, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("cached", [1, 1 << 19])
def test_memory_is_that_of_the_tokens_and_not_of_the_states(
    cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept for the backward pass: arrays of T × E, and the states at the chunks' starts."""
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    monkeypatch.setattr(scanning, "CACHED", cached)  # 1: as for a batch too large for the cache
    given = inputs(2000, 4, 64, 16, torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        selective_scan(*given)
    assert sum(kept) < 4 * 2000 * 64 * 16 / 3  # of all states


def test_the_papers_block_at_8192_tokens_would_need_less_than_six_gigabytes() -> None:
    """A quarter of the length and one sequence here; the whole of it is in test_slow.py."""
    program = """
        import resource, torch
        from pecg_utils.models.vim import VimBlock
        block = VimBlock(384, 16, 4, 2)
        tokens = torch.randn(1, 2048, 384, requires_grad=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        block(tokens).sum().backward()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    used = int(done.stdout) / (2**10 if sys.platform == "linux" else 2**20)  # MiB
    assert 8 * 4 * used < 6000


# Vision Mamba's block


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each core, the duality with heads of 16 channels and chunks of 8."""
    monkeypatch.setattr(vim, "HEADDIM", 16)
    monkeypatch.setattr(vim, "CHUNK", 8)
    return str(request.param)


def block(core: str = "scan", both: bool = True) -> VimBlock:
    return VimBlock(32, 4, 4, 2, both, core)


def test_every_weight_of_both_directions_gets_a_gradient(core: str) -> None:
    made = block(core)
    made(torch.randn(2, 20, 32)).square().sum().backward()
    names = dict(made.named_parameters())
    own = {"scan": 7, "duality": 6}  # the duality has no low rank in its steps
    assert sum(name.startswith("backwards.") for name in names) == own[core]
    assert [name for name, p in names.items() if p.grad is None or not p.grad.any()] == []


def test_reversing_time_mirrors_a_block_with_tied_weights(core: str) -> None:
    made = block(core)
    made.backwards.load_state_dict(made.forwards.state_dict())
    tokens = torch.randn(2, 21, 32)
    torch.testing.assert_close(made(tokens.flip(1)), made(tokens).flip(1))
    made.backwards.A_log.data += 1  # and with other weights it does not
    assert not torch.allclose(made(tokens.flip(1)), made(tokens).flip(1), atol=1e-4)


def test_two_directions_see_the_whole_sequence_and_one_the_past_alone(core: str) -> None:
    tokens = torch.randn(1, 30, 32)
    changed = tokens.clone()
    changed[:, 20] += 1
    both, one = block(core), block(core, both=False)
    assert not torch.allclose(both(tokens)[:, 5], both(changed)[:, 5], atol=1e-7)
    assert torch.equal(one(tokens)[:, :20], one(changed)[:, :20])


def test_the_sum_of_both_is_halved(core: str) -> None:
    made = block(core)
    tokens = torch.randn(1, 12, 32)
    x, gate = made.in_proj(tokens).chunk(2, -1)
    ahead, back = made.forwards(x), made.backwards(x.flip(1)).flip(1)
    expected = made.out_proj((ahead + back) / 2 * nn.functional.silu(gate))
    torch.testing.assert_close(made(tokens), expected)


def test_a_direction_by_duality_is_the_recurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out sample by sample, from its weights: 4 heads of 16 channels, state 4, chunks of 8.

    The scan has one decay a channel and state; with all of a head's alike it gives the same.
    """
    monkeypatch.setattr(vim, "HEADDIM", 16)
    monkeypatch.setattr(vim, "CHUNK", 8)
    made = block("duality").double().backwards
    w = {k: v.detach() for k, v in made.named_parameters()}
    w["D"].normal_()
    x = torch.randn(1, 21, 64, dtype=torch.float64)
    mixed = nn.functional.silu(made.conv(x))  # (1, 21, 64)
    dt, b, c = (mixed @ w["x_proj.weight"].T).split([4, 4, 4], -1)
    dt = nn.functional.softplus(dt + w["dt_bias"]).repeat_interleave(16, -1)  # (1, 21, 64)
    A = -w["A_log"].exp().repeat_interleave(16)[:, None].repeat(1, 4)  # (64, 4)
    expected = recurrence(mixed, dt, A, b, c, w["D"].repeat_interleave(16))
    torch.testing.assert_close(made(x), expected, rtol=0, atol=1e-10)


def test_gradients_of_a_block(core: str) -> None:
    made = VimBlock(8, 3, 4, 2, core=core).double()
    tokens = torch.randn(1, 11, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: made(x), [tokens, *made.parameters()])


def test_heads_divide_the_width() -> None:
    assert vim.DualDirection(96, 4, 4).headdim == 32
    assert vim.DualDirection(768, 4, 4).dt_bias.shape == (24,)
    with pytest.raises(ValueError, match="core is 'dual'; it must be one of scan, duality"):
        block("dual")


def test_the_norm_is_an_rms_norm() -> None:
    norm = VimLayer(32, block(), 0.0).norm
    tokens = torch.randn(2, 5, 32) + 3  # a layer norm would take the mean away
    expected = tokens / (tokens.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(tokens), expected)


def test_steps_and_decays_begin_as_published() -> None:
    one = block().forwards
    dt = nn.functional.softplus(one.dt_proj.bias)
    assert 1e-3 <= dt.min() < dt.max() <= 0.1
    torch.testing.assert_close(one.A_log.exp(), torch.arange(1.0, 5).repeat(64, 1))
    assert (one.D == 1).all()
    assert one.dt_proj.in_features == 2  # the model's width over 16


def test_blocks_are_dropped_in_training_alone_and_keep_the_mean() -> None:
    drop = DropPath(0.25)
    tokens = torch.ones(4000, 2, 3)
    dropped = drop(tokens)
    gone = (dropped == 0).all(dim=(1, 2))
    assert 0.2 < gone.float().mean() < 0.3
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(tokens), tokens)


@pytest.mark.parametrize("length", [1, 2, 9, 10])
def test_the_class_token_stands_in_the_middle_and_answers(length: int) -> None:
    places = Places(4, 10)
    made = places(torch.zeros(2, length, 4))
    assert made.shape == (2, length + 1, 4)
    assert torch.equal(made[:, length // 2], places.token.expand(2, 1, 4)[:, 0])
    answer = Answer(4, mean=False)
    torch.testing.assert_close(answer(made), answer.norm(made[:, length // 2]))
    mean = Answer(4, mean=True)
    torch.testing.assert_close(mean(made), mean.norm(made).mean(1))
