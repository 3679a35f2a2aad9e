"""Losses between two domains: by hand, against their formulas in numpy, and which way they pull."""

from math import exp, log, tanh

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils.alignment import lsbc
from pecg_utils.domain import DomainHead, adversary, clip, mmd, nearness, reverse, strength

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(draw(*shape, seed=seed), dim=1)


TARGET = torch.tensor([False, True, True, False, True])


def test_the_strength_by_hand() -> None:
    assert strength(0) == 0
    assert strength(log(3) / 10) == pytest.approx(1 / 2)  # 2 / (1 + 1/3) - 1
    assert strength(1) == pytest.approx(2 / (1 + exp(-10)) - 1)
    assert strength(0.5, gamma=2) == pytest.approx(tanh(0.5))  # the same curve by another name


def test_the_reversal_leaves_the_values_and_turns_the_gradient() -> None:
    x = draw(3, 2).requires_grad_()
    turned = reverse(x, 0.25)
    assert torch.equal(turned, x)
    (turned * draw(3, 2, seed=1)).sum().backward()
    torch.testing.assert_close(x.grad, -0.25 * draw(3, 2, seed=1))


def linear_head(weight: float) -> DomainHead:
    """h(f) = weight × f for f from 0, of one feature."""
    head = DomainHead(1, 1)
    for part in head.parameters():
        part.data.zero_()
    head.layers[0].weight.data.fill_(1)
    head.layers[2].weight.data.fill_(weight)
    return head.double()


def test_the_adversary_by_hand() -> None:
    # Two of the source at log 3: each softplus(log 3) = log 4. One of the target: log(4/3). By
    # their sides' means, so that the two count as much as the one.
    features = torch.full((3, 1), log(3), dtype=torch.float64)
    target = torch.tensor([False, True, False])
    found = adversary(linear_head(1.0), features, target, 0.5)
    assert found.item() == pytest.approx(log(4) + log(4 / 3))
    assert adversary(linear_head(0.0), features, target, 0.5).item() == pytest.approx(2 * log(2))
    alone = adversary(linear_head(1.0), features[:1], target[:1], 0.5)
    assert alone.item() == pytest.approx(log(4))


def test_the_head_goes_down_and_the_encoder_up() -> None:
    head = DomainHead(4).double()
    gradients = {}
    for progress in (0.0, 0.05, 0.5):
        features = draw(5, 4).requires_grad_()
        head.zero_grad()
        adversary(head, features, TARGET, progress).backward()
        gradients[progress] = features.grad, head.layers[0].weight.grad.clone()
    straight = draw(5, 4).requires_grad_()
    head.zero_grad()
    logits = head(straight)
    each = F.binary_cross_entropy_with_logits(logits, TARGET.double(), reduction="none")
    (each[~TARGET].mean() + each[TARGET].mean()).backward()
    for progress, (of_features, of_head) in gradients.items():
        torch.testing.assert_close(of_features, -strength(progress) * straight.grad)
        torch.testing.assert_close(of_head, head.layers[0].weight.grad)
    assert not gradients[0.0][0].any()


def test_an_encoder_hides_its_domain() -> None:
    """Two clouds apart by a shift, which the encoder can take away or keep."""
    shift = torch.nn.Parameter(torch.tensor([2.0, 0.0]))
    head = DomainHead(2, 16)
    steps = torch.optim.SGD([*head.parameters(), shift], lr=0.1)
    target = torch.arange(64) % 2 == 1
    noise = torch.randn(64, 2)
    for _ in range(150):
        features = noise + target[:, None] * shift
        steps.zero_grad()
        adversary(head, features, target, 1.0).backward()
        steps.step()
    assert shift.norm() < 1


def by_numpy(x: Tensor, y: Tensor, widths: tuple[float, ...]) -> float:
    a, b = x.numpy(), y.numpy()
    both = np.concatenate([a, b])
    squares = [
        ((both[i] - both[j]) ** 2).sum() for i in range(len(both)) for j in range(i + 1, len(both))
    ]
    middle = sorted(squares)[(len(squares) - 1) // 2]

    def mean(p: np.ndarray, q: np.ndarray) -> float:
        each = [
            [np.exp(-((u - v) ** 2).sum() / (w * middle)) for w in widths] for u in p for v in q
        ]
        return float(np.mean(each))

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def test_mmd_by_hand() -> None:
    # One sample each, 1 apart: the median is 1, and a kernel of width 1 / log 2 gives 1/2.
    x, y = torch.zeros(1, 1), torch.ones(1, 1)
    assert mmd(x, y, (1 / log(2),)).item() == pytest.approx(1 + 1 - 2 / 2)
    # Two and one: 0 and 1 against 1. Squares 1, 1, 0: the median 1. 3/4 + 1 - 2 (1/2 + 1) / 2.
    x = torch.tensor([[0.0], [1.0]])
    assert mmd(x, y, (1 / log(2),)).item() == pytest.approx(0.75 + 1 - 1.5)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 4), (3, 8)])
@pytest.mark.parametrize("widths", [WIDTHS, (1.0,)])
def test_mmd_is_the_formula(n: int, m: int, widths: tuple[float, ...]) -> None:
    x, y = draw(n, 3), 2 * draw(m, 3, seed=1) + 1
    assert mmd(x, y, widths).item() == pytest.approx(by_numpy(x, y, widths))
    assert mmd(x, y).item() == pytest.approx(by_numpy(x, y, WIDTHS))


def test_mmd_knows_no_side_no_order_no_place_and_no_scale() -> None:
    x, y = draw(7, 3), draw(5, 3, seed=1) + 1
    whole = mmd(x, y).item()
    assert mmd(y, x).item() == pytest.approx(whole)
    assert mmd(x[[6, 2, 0, 1, 3, 5, 4]], y).item() == pytest.approx(whole)
    assert mmd(x + 1000, y + 1000).item() == pytest.approx(whole)
    assert mmd(50 * x, 50 * y).item() == pytest.approx(whole)
    assert mmd((x + 1000).float(), (y + 1000).float()).item() == pytest.approx(whole, abs=1e-3)


def test_mmd_is_0_for_equal_samples_and_grows_as_they_part() -> None:
    x = draw(40, 3)
    assert mmd(x, x).item() == pytest.approx(0, abs=1e-12)
    apart = [mmd(x, draw(40, 3, seed=1) + shift).item() for shift in (0, 0.5, 1, 2)]
    assert apart == sorted(apart)
    assert 0 < apart[0] < 0.1
    assert apart[3] > 0.4


def test_mmds_gradient_draws_the_samples_together() -> None:
    x, y = draw(6, 3), (draw(5, 3, seed=1) + 2).requires_grad_()
    steps = torch.optim.SGD([y], lr=1.0)
    before = mmd(x, y).item()
    for _ in range(60):
        steps.zero_grad()
        mmd(x, y).backward()
        steps.step()
    assert mmd(x, y).item() < before / 3


def test_mmds_median_has_no_gradient() -> None:
    """With one, larger samples would be as good as smaller ones, and no gradient point that way."""
    x, y = draw(6, 3).requires_grad_(), (draw(5, 3, seed=1) + 2).requires_grad_()
    by_x, by_y = torch.autograd.grad(mmd(x, y), (x, y))
    assert (by_x * x).sum() + (by_y * y).sum() > 0.01


def test_mmd_where_most_samples_are_at_one_place() -> None:
    """The median of their distances is 0, and rounding is as large: the other sample is far."""
    x, y = 10 * torch.randn(1, 64).expand(5, -1), 10 * torch.randn(1, 64)
    assert mmd(x, y).item() == pytest.approx(2, abs=1e-2)
    assert mmd(x, x[:2]).item() == pytest.approx(0, abs=1e-2)


def test_mmd_of_nothing_and_of_what_is_all_the_same() -> None:
    free = draw(3, 2).requires_grad_()
    for first, second in ((free, draw(0, 2)), (draw(0, 2), free)):
        loss = mmd(first, second)
        (gradient,) = torch.autograd.grad(loss, free)
        assert loss.item() == 0
        assert not gradient.any()
    same = torch.ones(4, 2).requires_grad_()
    loss = mmd(same, torch.ones(3, 2))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert not same.grad.any()


def test_clip_by_hand_and_by_torchs_cross_entropy() -> None:
    # tau = 1 / log 3: a match weighs 3, another 1.
    axes = torch.eye(2, dtype=torch.float64)
    assert clip(axes, axes, temperature=1 / log(3)).item() == pytest.approx(log(4 / 3))
    e, t = unit(6, 4), unit(6, 4, seed=1)
    logits, own = e @ t.T / 0.07, torch.arange(6)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(clip(e, t), expected)
    assert clip(e[:1], t[:1]).item() == 0


def test_clip_leaves_out_records_without_a_label() -> None:
    e, t = unit(6, 4), unit(6, 4, seed=1)
    targets = torch.tensor([1, 0, 1, 1, 0, 1])[:, None]
    kept = [0, 2, 3, 5]
    torch.testing.assert_close(clip(e, t, targets), clip(e[kept], t[kept]))
    free = e.clone().requires_grad_()
    none = clip(free, t, torch.zeros(6, 1))
    none.backward()
    assert none.item() == 0
    assert not free.grad.any()


def test_clip_drives_apart_what_lsbc_does_not() -> None:
    """One label for each record: one and the same loss. A shared label: no longer."""
    e, t = unit(4, 4), unit(4, 4, seed=1)
    torch.testing.assert_close(clip(e, t), lsbc(e, t, torch.eye(4)))
    alike = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1]])
    same = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 1]]  # as both losses would have it
    assert clip(same, same).item() == pytest.approx(log(2), abs=1e-4)
    free = (same + 0.01 * draw(4, 4)).requires_grad_()
    for loss, pulls in ((clip, True), (lambda a, b: lsbc(a, b, alike), False)):
        rows = F.normalize(free, dim=1)
        (gradient,) = torch.autograd.grad(loss(rows, rows), free)
        assert ((gradient[0] - gradient[1]) @ (free[0] - free[1]) < -1e-4).item() is pulls


def test_nearness_ranks_labels_by_their_texts() -> None:
    e, labels = unit(3, 4), unit(5, 4, seed=1)
    found = nearness(e, labels, 0.5)
    torch.testing.assert_close(found, 2 * e @ labels.T)
    assert nearness(labels, labels).argmax(dim=1).tolist() == list(range(5))


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_reckoned_in_float32(autocast: bool) -> None:
    x, y = draw(6, 4).bfloat16(), unit(6, 4, seed=1).bfloat16()
    for loss in (mmd, clip, nearness):
        found = []
        for dtype in (torch.bfloat16, torch.float32):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                found.append(loss(x.to(dtype), y.to(dtype)))
        assert found[0].dtype == torch.float32
        assert torch.equal(*found)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert adversary(DomainHead(4), x, TARGET.new_ones(6), 0.5).dtype == torch.float32
