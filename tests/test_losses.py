"""The losses against their equations, torch's own, and cases solved by hand."""

from math import exp, log

import pytest
import torch
from torch.nn.functional import softplus

from pecg_utils.losses import focal, positive_weights, weighted_bce


def test_weights_are_negatives_over_positives_up_to_the_cap():
    labels = torch.zeros(300, 5)
    labels[:100, 0] = 1  # 200 / 100
    labels[:1, 1] = 1  # 299, cut at 100
    labels[:, 2] = 1  # no negative
    labels[:150, 4] = 1  # label 3 has no positive: 300 / max(1, 0), cut at 100
    assert positive_weights(labels).tolist() == [2, 100, 0, 100, 1]
    assert positive_weights(labels, tau=1.5).tolist() == [1.5, 1.5, 0, 1.5, 1]
    assert positive_weights(labels[:4, 3:4]).tolist() == [4]
    assert positive_weights(labels.bool()).dtype == torch.float32


def test_a_loss_solved_by_hand():
    # z = ln 3 for a positive of weight 2: 2 ln(1 + 1/3); z = 0 for a negative: ln 2
    logits = torch.tensor([[log(3), 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1, 0]])
    weights = torch.tensor([2.0, 50.0], dtype=torch.float64)
    expected = (2 * log(1 + exp(-log(3))) + log(2)) / 2
    assert weighted_bce(logits, targets, weights).item() == pytest.approx(expected, abs=1e-12)


def test_the_loss_is_its_equation_and_torchs_own():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, 19, generator=generator, dtype=torch.float64)
    targets = (torch.rand(64, 19, generator=generator) < 0.2).double()
    weights = positive_weights(targets).double()
    loss = weighted_bce(logits, targets, weights)
    equation = (1 - targets) * softplus(logits) + targets * weights * softplus(-logits)
    torch.testing.assert_close(loss, equation.mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        loss, torch.nn.BCEWithLogitsLoss(pos_weight=weights)(logits, targets)
    )


def test_the_loss_takes_whole_number_targets_and_keeps_huge_logits_finite():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = weighted_bce(logits, torch.tensor([[False, True]]), torch.tensor([1.0, 3.0]))
    loss.backward()
    assert loss.item() == pytest.approx((1e4 + 3e4) / 2)
    assert logits.grad.tolist() == [[0.5, -1.5]]


@pytest.mark.parametrize("shape", [(0, 3), (4,)])
def test_labels_of_no_window_or_of_one_dimension_are_refused(shape):
    with pytest.raises(ValueError, match="labels must be"):
        positive_weights(torch.zeros(shape))


def test_a_focal_loss_solved_by_hand():
    # p = 3/4 of a positive: 0.7 × (1/4)² ln(4/3); p = 1/4 of a negative: 0.3 × (3/4)² ln 4; p = 1/2
    # of another: 0.3 × (1/2)² ln 2.
    logits = torch.tensor([[log(3), log(3), 0.0]], dtype=torch.float64)
    targets = torch.tensor([[1, 0, 0]])
    expected = (0.7 / 16 * log(4 / 3) + 0.3 * 9 / 16 * log(4) + 0.3 / 4 * log(2)) / 3
    assert focal(logits, targets).item() == pytest.approx(expected, abs=1e-12)


def drawn():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64, 19, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(64, 19, generator=generator) < 0.2).double()


def test_without_focus_it_is_half_of_the_cross_entropy():
    logits, targets = drawn()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    found = focal(logits, targets, alpha=0.5, gamma=0.0)
    torch.testing.assert_close(found, plain / 2)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.7, 2.0), (0.25, 0.5), (1.0, 3.0)])
def test_the_focal_loss_is_its_equation_written_with_probabilities(alpha, gamma):
    logits, targets = drawn()
    p = torch.sigmoid(logits)
    positive = -alpha * (1 - p) ** gamma * torch.log(p)
    negative = -(1 - alpha) * p**gamma * torch.log(1 - p)
    expected = torch.where(targets > 0, positive, negative).mean()
    torch.testing.assert_close(focal(logits, targets, alpha, gamma), expected)


def test_the_defaults_are_those_of_the_code():
    logits, targets = drawn()
    found = focal(logits, targets)
    torch.testing.assert_close(found, focal(logits, targets, 0.7, 2.0), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [40.0, 1e4])
def test_huge_logits_keep_the_focal_loss_and_its_gradient_finite(size, gamma, dtype):
    logits = torch.tensor([[size, -size, size, -size]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([[True, True, False, False]])
    loss = focal(logits, targets, 0.7, gamma)
    loss.backward()
    assert loss.item() == pytest.approx((0.7 + 0.3) * size / 4, rel=1e-2)  # the wrong two
    expected = torch.tensor([[0, -0.7, 0.3, 0]]) / 4
    torch.testing.assert_close(logits.grad.float(), expected, rtol=1e-2, atol=1e-6)
