"""The loss of two heads: cases solved by hand, the equation as coded, gradients, large logits."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils.mutual import (
    ABLATION,
    Terms,
    bernoulli_divergence,
    heads_bce,
    mutual_loss,
    softmax_divergence,
)

T = 4.0
DIVERGENCES = (softmax_divergence, bernoulli_divergence)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_cross_entropy_by_hand() -> None:
    # Head 1: 3/4 where 1 is right, 1/4 where 0 is; head 2: 1/2 and 1/2. -log of 3/4 and of 1/2.
    heads = torch.tensor([[[log(3), -log(3)], [0.0, 0.0]]], dtype=torch.float64)
    targets = torch.tensor([[True, False]])
    assert heads_bce(heads, targets).item() == pytest.approx(log(4 / 3) + log(2))
    # Halves for two windows with the second at 1/2 throughout: the mean of both, twice log 2.
    two = torch.cat([heads, torch.zeros_like(heads)])
    expected = (log(4 / 3) + log(2)) / 2 + log(2)
    assert heads_bce(two, targets.expand(2, 2)).item() == pytest.approx(expected)


def test_softmax_divergence_by_hand() -> None:
    # p = 3/4, 1/4 against 1/2, 1/2: 1/4 log(3/2) - 1/4 log(1/2) = log(3) / 4, times T^2 = 16.
    a, b = rows([T * log(3), 0.0], [5.0, 5.0]), rows([0.0, 0.0], [1.0, 1.0])
    assert softmax_divergence(a[:1], b[:1]).item() == pytest.approx(4 * log(3))
    # The second window raises both logits alike: no divergence. Sum over windows, divided by two.
    assert softmax_divergence(a, b).item() == pytest.approx(2 * log(3))
    # T = 1: p = 81/82.
    expected = (81 / 82 - 1 / 2) * log(81)
    assert softmax_divergence(a[:1], b[:1], 1.0).item() == pytest.approx(expected)


def test_bernoulli_divergence_by_hand() -> None:
    # Each label 3/4 against 1/2: (1/4) (T log 3), times T: 4 log 3, and twice that for both.
    a, b = rows([T * log(3), T * log(3)], [0.0, 0.0]), rows([0.0, 0.0], [0.0, 0.0])
    assert bernoulli_divergence(a[:1], b[:1]).item() == pytest.approx(8 * log(3))
    assert bernoulli_divergence(a, b).item() == pytest.approx(4 * log(3))
    assert softmax_divergence(a, b).item() == 0  # where the softmax sees nothing


def test_of_a_single_label_the_softmax_says_nothing() -> None:
    a, b = draw(5, 1), draw(5, 1, seed=1)
    assert softmax_divergence(a, b).item() == 0
    assert bernoulli_divergence(a, b).item() > 0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_divergences_are_torchs_both_ways(temperature: float) -> None:
    a, b = draw(7, 9), draw(7, 9, seed=1)
    logs = [(x / temperature).log_softmax(dim=1) for x in (a, b)]
    both = [
        F.kl_div(logs[i], logs[1 - i].exp(), reduction="sum") * temperature**2 / 7 for i in (0, 1)
    ]
    torch.testing.assert_close(softmax_divergence(a, b, temperature), both[0] + both[1])
    first, second = (torch.distributions.Bernoulli(logits=x / temperature) for x in (a, b))
    kl = torch.distributions.kl_divergence
    expected = (kl(first, second) + kl(second, first)).sum() * temperature**2 / 7
    torch.testing.assert_close(bernoulli_divergence(a, b, temperature), expected)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_divergence_moves_both_and_ends_where_they_agree(divergence) -> None:  # type: ignore[no-untyped-def]
    a, b = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(divergence, (a, b))
    assert divergence(a, b).item() == pytest.approx(divergence(b, a).item())
    divergence(a, b).backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.any(dim=1).all()
    assert b.grad.any(dim=1).all()
    same = a.detach().clone().requires_grad_()
    none = divergence(same, same.detach().clone())
    none.backward()
    assert none.item() == 0
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-12


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_logits_give_a_finite_loss(divergence, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    a = torch.tensor([[1e4, -1e4, 0.0], [3e4, 3e4, 3e4]], dtype=dtype).requires_grad_()
    b = torch.tensor([[-1e4, 1e4, 0.0], [0.0, 0.0, 0.0]], dtype=dtype)
    loss = divergence(a, b)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    # Two labels 1e4 apart, T (1)(2e4) each, of two windows; what the second adds is the kind's.
    first = divergence(a[:1], b[:1]).item()
    assert first == pytest.approx(2 * T * 2e4, rel=0.01)


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("kind", ["softmax", "bernoulli"])
def test_bfloat16_is_reckoned_in_float32(autocast: bool, kind: str) -> None:
    heads, features = (9 * draw(6, 2, 5)).bfloat16(), draw(6, 2, 4000).relu().bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        own, beside = (x.to(dtype).detach().clone().requires_grad_() for x in (heads, features))
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            parts = mutual_loss(own, beside, draw(6, 5) > 0, Terms(kind=kind))  # type: ignore[arg-type]
        parts.total.backward()
        assert {part.dtype for part in parts} == {torch.float32}
        assert own.grad is not None
        assert beside.grad is not None
        results.append((torch.stack(parts), own.grad.bfloat16(), beside.grad.bfloat16()))
    for half, full in zip(*results, strict=True):
        assert torch.equal(half, full)


HEADS, FEATURES, TARGETS = draw(6, 2, 5), draw(6, 2, 40, seed=1).relu(), draw(6, 5, seed=2) > 0


def test_the_whole_is_the_weighted_sum_of_its_parts() -> None:
    found = mutual_loss(HEADS, FEATURES, TARGETS)
    total = found.bce + 0.01 * found.features + 0.1 * found.logits
    torch.testing.assert_close(found.total, total)
    wanted = TARGETS.double()
    each = [F.binary_cross_entropy_with_logits(HEADS[:, h], wanted) for h in (0, 1)]
    torch.testing.assert_close(found.bce, each[0] + each[1])
    torch.testing.assert_close(found.features, softmax_divergence(FEATURES[:, 0], FEATURES[:, 1]))
    torch.testing.assert_close(found.logits, softmax_divergence(HEADS[:, 0], HEADS[:, 1]))
    assert min(found).item() > 0


def test_each_step_of_the_ablation_changes_one_thing() -> None:
    found = {name: mutual_loss(HEADS, FEATURES, TARGETS, t) for name, t in ABLATION.items()}
    on = {
        name: [part for part, value in row._asdict().items() if value.item()]
        for name, row in found.items()
    }
    assert on["BCE"] == ["total", "bce"]
    assert on["+ logits"] == ["total", "bce", "logits"]
    assert on["+ features"] == on["T = 1"] == on["Bernoulli"] == list(found["BCE"]._fields)
    assert ABLATION["+ features"] == Terms()
    assert found["Bernoulli"].features == found["+ features"].features
    expected = bernoulli_divergence(HEADS[:, 0], HEADS[:, 1])
    assert found["Bernoulli"].logits == expected != found["+ features"].logits
    assert found["T = 1"].features != found["+ features"].features


def test_one_head_has_nobody_to_learn_from() -> None:
    found = mutual_loss(HEADS[:, :1], FEATURES[:, :1], TARGETS)
    assert (found.features.item(), found.logits.item()) == (0, 0)
    assert found.total == found.bce


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"heads must be .* not \(6, 3, 5\)"):
        mutual_loss(draw(6, 3, 5), draw(6, 3, 8), TARGETS)
    with pytest.raises(ValueError, match="kind must be one of softmax, bernoulli, not 'soft'"):
        mutual_loss(HEADS, FEATURES, TARGETS, replace(Terms(), kind="soft"))


def test_two_heads_come_to_agree() -> None:
    """Free logits of two heads without labels' help: the divergence draws them together."""
    free = (3 * HEADS).clone().requires_grad_()
    steps = torch.optim.SGD([free], lr=0.5)
    terms = Terms(features=0, logits=1, kind="bernoulli")
    before = (free[:, 0] - free[:, 1]).abs().mean().item()
    for _ in range(100):
        steps.zero_grad()
        mutual_loss(free, FEATURES, TARGETS, terms).logits.backward()
        steps.step()
    assert (free[:, 0] - free[:, 1]).abs().mean().item() < before / 10
