"""The reconstructed loss: cases solved by hand, loops in float64, gradients, what is absent."""

import io
from dataclasses import replace
from itertools import permutations
from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from pecg_utils.contrastive import (
    ABLATION,
    Contrast,
    Prototypes,
    Terms,
    alignment,
    class_balanced,
    class_means,
    hard_classes,
    ramp,
    separation,
    similarity,
    supcon,
)

T = 1 / log(3)  # a temperature at which exp(s / T) is 3^s
ALL = torch.ones(3, dtype=torch.bool)
# Right, up, left: S_01 = S_12 = 0, S_02 = -1.
CROSS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


def close(found: Tensor, expected: object, atol: float = 1e-12) -> None:
    wanted = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def test_class_means_by_hand() -> None:
    # Class 0: the mean of (1, 0) and (0, 1). Class 1: none. Class 2: (1, 0) and (-1, 0) cancel.
    z = torch.tensor([[1.0, 0], [0, 1], [1, 0], [-1, 0]])
    means, there = class_means(z, torch.tensor([0, 0, 2, 2]), 3)
    assert means.tolist() == [[0.5, 0.5], [0, 0], [0, 0]]
    assert there.tolist() == [True, False, False]


def test_prototypes_by_hand() -> None:
    kept = Prototypes(3, 2, momentum=3 / 7)
    kept.update(torch.tensor([[1.0, 0.0], [0.0, 0.5]]), torch.tensor([0, 1]))
    # At first sight the mean itself, at length one; class 2 was not there.
    close(kept.vectors, [[1, 0], [0, 1], [0, 0]], 1e-6)
    assert kept.seen.tolist() == [True, True, False]
    # Class 0 from (1, 0) towards (0, 1): (3/7, 4/7), which at length one is (0.6, 0.8).
    # Its two windows (-0.3, 1) and (0.3, 1) have this mean.
    before = kept.vectors
    kept.update(torch.tensor([[-0.3, 1.0], [0.3, 1.0]]), torch.tensor([0, 0]))
    close(kept.vectors, [[0.6, 0.8], [0, 1], [0, 0]], 1e-6)
    assert torch.equal(kept.vectors[1:], before[1:])  # classes that are absent: to the bit
    assert before[0].tolist() == [1, 0]  # the old ones stay for a backward pass to come
    assert not kept.vectors.requires_grad


def test_a_class_that_points_nowhere_moves_no_prototype() -> None:
    kept = Prototypes(1, 2, momentum=0.5)
    opposite, zero = torch.tensor([[1.0, 0], [-1, 0]]), torch.zeros(2, dtype=torch.int64)
    kept.update(opposite, zero)
    assert not kept.seen.any()
    kept.update(opposite[:1], zero[:1])
    kept.update(opposite[1:], zero[1:])  # half of (1, 0) and half of (-1, 0)
    assert kept.vectors.tolist() == [[1, 0]]


def test_a_checkpoint_keeps_the_prototypes() -> None:
    loss = Contrast(torch.tensor([5, 5, 5]), 4)
    loss(torch.zeros(2, 3), unit(2, 4).float(), torch.tensor([0, 2]), 1)
    buffer = io.BytesIO()
    torch.save(loss.state_dict(), buffer)
    buffer.seek(0)
    other = Contrast(torch.tensor([1, 2, 3]), 4)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other.prototypes.vectors, loss.prototypes.vectors)
    assert other.prototypes.seen.tolist() == [True, False, True]
    assert torch.equal(other.phi, loss.phi)


def test_similarity_by_hand() -> None:
    assert similarity(CROSS).tolist() == [[1, 0, -1], [0, 1, 0], [-1, 0, 1]]


def test_class_balanced_weights_by_hand() -> None:
    # beta = 1/2. n = 1: (1/2) / (1/2) = 1. n = 2: (1/2) / (3/4) = 2/3. Their mean is 5/6.
    close(class_balanced(torch.tensor([1, 2, 0]), 0.5), [6 / 5, 4 / 5, 0], 1e-6)
    assert class_balanced(torch.tensor([1, 2, 0]), 0.0).tolist() == [1, 1, 0]
    # beta near 1: as 1 / n, here 1 and 1/3 over their mean 2/3. In float32, 1 - beta^n would be 0.
    close(class_balanced(torch.tensor([1, 3]), 1 - 1e-12), [3 / 2, 1 / 2], 1e-6)
    many = class_balanced(torch.tensor([10**9, 1]))
    close(many, [2 * 0.001 / 1.001, 2 / 1.001], 1e-6)


@pytest.mark.parametrize("counts", [[0, 0], [[1, 2]], []])
def test_counts_of_no_window_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="counts must be"):
        class_balanced(torch.tensor(counts))


@pytest.mark.parametrize("beta", [1.0, -0.1])
def test_a_beta_outside_its_range_is_refused(beta: float) -> None:
    with pytest.raises(ValueError, match="beta must be"):
        class_balanced(torch.tensor([1, 2]), beta)


# Row 0: 3^0 and 3^-1, of 4/3: 3/4 and 1/4. Row 1: 1 and 1. Row 2: as row 0 from the other side.
PSI = torch.tensor([[1, 7 / 4, 5 / 4], [3 / 2, 1, 3 / 2], [5 / 4, 7 / 4, 1]], dtype=torch.float64)


def test_hard_classes_by_hand() -> None:
    close(hard_classes(similarity(CROSS), ALL, T), PSI)
    # Without class 1, each of the others has one rival, of all the weight.
    two = hard_classes(similarity(CROSS), torch.tensor([True, False, True]), T)
    assert two.tolist() == [[1, 1, 2], [1, 1, 1], [2, 1, 1]]
    alone = hard_classes(similarity(CROSS), torch.tensor([True, False, False]), T)
    assert torch.equal(alone, torch.ones_like(alone))
    assert not hard_classes(similarity(CROSS.clone().requires_grad_()), ALL, T).requires_grad


def test_alignment_by_hand() -> None:
    z, y = CROSS[:2], torch.tensor([0, 1])
    # Window 0: e = 3, 1, 1/3, so 3 of 13/3. Window 1: e = 1, 3, 1, so 3 of 5.
    plain = [log(13 / 9), log(5 / 3)]
    close(alignment(z, y, CROSS, ALL, temperature=T), sum(plain) / 2)
    phi = torch.tensor([1 / 2, 3 / 2, 1.0])
    close(alignment(z, y, CROSS, ALL, phi, temperature=T), (plain[0] / 2 + plain[1] * 3 / 2) / 2)
    # psi: 3 of 3 + 7/4 · 1 + 5/4 · 1/3 = 31/6, and 3 of 3 + 3/2 + 3/2 = 6.
    hard = [log(31 / 18), log(2)]
    close(alignment(z, y, CROSS, ALL, psi=PSI, temperature=T), sum(hard) / 2)
    both = alignment(z, y, CROSS, ALL, phi, PSI, T)
    close(both, (hard[0] / 2 + hard[1] * 3 / 2) / 2)


def test_alignment_passes_over_classes_that_were_never_seen() -> None:
    y = torch.tensor([0, 1, 2])
    seen = torch.tensor([True, False, True])
    z, vectors = CROSS.clone().requires_grad_(), CROSS.clone().requires_grad_()
    loss = alignment(z, y, vectors, seen, temperature=T)
    # Windows 0 and 2: 3 of 3 + 1/3 each. Window 1 is left out.
    close(loss, log(10 / 9))
    loss.backward()
    assert z.grad is not None
    assert vectors.grad is not None
    assert z.grad[1].tolist() == [0, 0]
    assert vectors.grad[1].tolist() == [0, 0]
    assert z.grad[0].any()
    nothing = alignment(z, y, vectors, ~ALL)
    z.grad = None
    nothing.backward()
    assert nothing.item() == 0
    assert z.grad.isfinite().all()
    assert not z.grad.any()


def test_separation_by_hand() -> None:
    # Means at length one: (1, 0), (0.6, 0.8) from two windows, (0, 1): cosines 0.6, 0, 0.8.
    z = torch.tensor([[1.0, 0], [0.6, 0.8], [0.3, 0.4], [0, 1]], dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 2])
    close(separation(z, y, torch.ones(3, 3)), (0.36 + 0 + 0.64) / 3)
    # psi_01 + psi_10 = 7/4 + 3/2 = psi_12 + psi_21: 13/4 · (0.36 + 0.64) over six pairs.
    close(separation(z, y, PSI), 13 / 24)
    close(separation(z, y, PSI, margin=0.6), 13 / 4 * 0.2**2 / 6)
    # Without class 1 nothing is above 0; without class 2 one pair is left, both ways.
    assert separation(z[[0, 3]], y[[0, 3]], PSI).item() == 0
    close(separation(z[:3], y[:3], PSI), 13 / 4 * 0.36 / 2)


def test_separation_does_not_mind_how_classes_are_numbered() -> None:
    z, y = unit(12, 4), torch.arange(12) % 3
    psi = hard_classes(similarity(unit(3, 4, seed=1)), ALL)
    expected = separation(z, y, psi)
    for order in permutations(range(3)):
        turned = torch.tensor(order)
        moved = torch.empty_like(psi)
        moved[turned[:, None], turned] = psi
        close(separation(z, turned[y], moved), expected.item())


def test_separation_moves_the_windows_of_the_pair_and_no_others() -> None:
    # Classes 0 and 1 are 0.6 alike; class 2 is opposite, below the margin, class 3 absent, and the
    # two windows of class 4 cancel out.
    z = torch.tensor([[1.0, 0], [0.6, 0.8], [-0.8, -0.6], [0, 1], [0, -1]], requires_grad=True)
    separation(z, torch.tensor([0, 1, 2, 4, 4]), torch.ones(5, 5)).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert z.grad[:2].any(dim=1).all()
    assert not z.grad[2:].any()
    # The step down turns them away from each other: (1, 0) down, (0.6, 0.8) up.
    assert z.grad[0, 1] > 0 > z.grad[1, 1]


def test_supcon_by_hand() -> None:
    # Right and up are one class, left another. Anchor right: 3^0 of 3^0 + 3^-1. Anchor up: 1 of
    # 1 + 1. Left has no other of its class.
    loss = supcon(CROSS, torch.tensor([0, 0, 1]), T)
    close(loss, (log(4 / 3) + log(2)) / 2)
    z = CROSS.clone().requires_grad_()
    none = supcon(z, torch.tensor([0, 1, 2]), T)
    none.backward()
    assert none.item() == 0
    assert z.grad is not None
    assert z.grad.abs().sum().item() == 0
    assert supcon(z[:1], torch.tensor([0])).item() == 0


def test_the_terms_are_their_loops() -> None:
    """Twenty windows, five classes of which one is absent, each sum written out."""
    z, p, t = unit(20, 6), unit(5, 6, seed=1), 0.2
    y = torch.randint(4, (20,), generator=torch.Generator().manual_seed(2))
    seen = torch.tensor([True, True, False, True, True])
    phi, S = class_balanced(torch.tensor([50, 9, 3, 1, 0])).double(), p @ p.T
    psi = hard_classes(S, seen, 0.3)
    here = [c for c in range(5) if seen[c]]
    for c in here:
        total = sum(exp(S[c, k] / 0.3) for k in here if k != c)
        for j in here:
            assert j == c or psi[c, j].item() == pytest.approx(1 + exp(S[c, j] / 0.3) / total)
    rows = []
    for i in range(20):
        if seen[y[i]]:
            e = {j: float(psi[y[i], j]) * exp(z[i] @ p[j] / t) for j in here if j != y[i]}
            own = exp(z[i] @ p[y[i]] / t)
            rows.append(float(phi[y[i]]) * -log(own / (own + sum(e.values()))))
    close(alignment(z, y, p, seen, phi, psi, t), sum(rows) / len(rows))
    means = {c: z[y == c].mean(dim=0) for c in range(5) if (y == c).any()}
    pairs = [
        float(psi[c, j]) * max(0.0, float(a @ b / (a.norm() * b.norm()) - 0.1)) ** 2
        for (c, a), (j, b) in permutations(means.items(), 2)
    ]
    close(separation(z, y, psi, margin=0.1), sum(pairs) / len(pairs))
    anchors = []
    for i in range(20):
        others = [a for a in range(20) if a != i]
        total = sum(exp(z[i] @ z[a] / t) for a in others)
        logs = [log(exp(z[i] @ z[a] / t) / total) for a in others if y[a] == y[i]]
        if logs:
            anchors.append(-sum(logs) / len(logs))
    close(supcon(z, y, t), sum(anchors) / len(anchors))


def test_gradients_are_those_of_small_steps() -> None:
    y, p, psi = torch.tensor([0, 0, 1, 1, 2]), unit(4, 3, seed=1), 1 + unit(4, 4).abs()
    seen, phi = torch.tensor([True, True, False, True]), torch.tensor([0.5, 1.5, 1, 1])
    for term in (
        lambda z: alignment(z, y, p, seen, phi, psi),
        lambda z: separation(z, y, psi),
        lambda z: supcon(z, y),
    ):
        z = unit(5, 3).requires_grad_()
        assert term(z).item() > 0
        assert torch.autograd.gradcheck(term, z)
    weights = unit(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: alignment(unit(5, 3), y, p, seen, phi, psi), weights)


def test_the_ramp() -> None:
    assert [ramp(passed) for passed in (0, 1, 2.5, 5, 60)] == [0, 0.2, 0.5, 1, 1]
    assert ramp(0, over=0) == 1


COUNTS = torch.tensor([60, 25, 5, 0])


def whole(terms: Terms, passed: float = 9.0, repeat: int = 1) -> tuple[Contrast, dict[str, float]]:
    loss = Contrast(COUNTS, 6, terms)
    y = torch.tensor([0, 0, 0, 1, 1, 2])
    for seed in range(repeat):
        parts = loss(unit(6, 4, seed=seed + 9), unit(6, 6, seed=seed), y, passed)
    return loss, {name: part.item() for name, part in parts._asdict().items()}


def test_the_whole_is_the_sum_of_its_parts_after_the_ramp() -> None:
    terms = Terms(supcon=0.25)
    for passed, part in ((0.0, 0.0), (2.0, 0.4), (5.0, 1.0)):
        _, found = whole(terms, passed)
        added = 0.5 * found["align"] + 0.1 * found["separate"] + 0.25 * found["supcon"]
        assert found["total"] == pytest.approx(found["cross_entropy"] + part * added, abs=1e-12)
    assert min(found.values()) > 0


def test_each_step_of_the_ablation_adds_one_thing() -> None:
    found = {name: whole(terms)[1] for name, terms in {**ABLATION, "whole": Terms()}.items()}
    plain = found["CE"]
    assert plain["total"] == plain["cross_entropy"]
    on = {name: [part for part, value in row.items() if value] for name, row in found.items()}
    assert on["CE"] == on["balanced CE"] == ["total", "cross_entropy"]
    assert on["CE + SupCon"] == ["total", "cross_entropy", "supcon"]
    for name in ("CE + align", "+ phi", "+ psi"):
        assert on[name] == ["total", "cross_entropy", "align"]
    assert on["whole"] == ["total", "cross_entropy", "align", "separate"]
    assert replace(ABLATION["+ psi"], separate=0.1) == Terms()  # the step after it
    steps = [found[name]["align"] for name in ("CE + align", "+ phi", "+ psi")]
    assert len(set(steps)) == 3
    assert steps[2] == found["whole"]["align"]
    assert steps[2] > steps[1]  # psi weighs the rivals by 1 or more


def test_the_class_balanced_cross_entropy_is_its_equation() -> None:
    _, found = whole(ABLATION["balanced CE"])
    phi = class_balanced(COUNTS).double()
    y = torch.tensor([0, 0, 0, 1, 1, 2])
    logs = unit(6, 4, seed=9).log_softmax(dim=1)
    assert found["total"] == pytest.approx((-phi[y] * logs[range(6), y]).mean().item())


def test_prototypes_move_in_training_alone_and_before_the_loss() -> None:
    loss, _ = whole(Terms(), repeat=2)
    close(loss.prototypes.vectors.norm(dim=1), [1, 1, 1, 0], 1e-6)
    expected = Prototypes(4, 6)
    for seed in range(2):
        expected.update(unit(6, 6, seed=seed), torch.tensor([0, 0, 0, 1, 1, 2]))
    assert torch.equal(loss.prototypes.vectors, expected.vectors)
    before = loss.prototypes.vectors
    loss.eval()
    parts = loss(unit(2, 4), unit(2, 6), torch.tensor([3, 3]), 9)  # a class never seen
    assert torch.equal(loss.prototypes.vectors, before)
    assert not loss.prototypes.seen[3]
    assert (parts.align.item(), parts.separate.item()) == (0, 0)
    assert parts.total.isfinite()


def test_two_losses_before_one_backward_pass() -> None:
    """As where gradients are summed over batches: the prototypes move between the two."""
    loss, z, y = Contrast(COUNTS, 6), unit(6, 6).requires_grad_(), torch.tensor([0, 1, 2, 0, 1, 2])
    both = loss(unit(6, 4), z, y, 9).total + loss(unit(6, 4), z.flip(0), y, 9).total
    both.backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_reckoned_in_float32(autocast: bool) -> None:
    """The result for bf16 embeddings is the result for the same numbers in float32, to the bit."""
    y = torch.arange(64) % 4
    z, logits = unit(64, 32).bfloat16(), (9 * unit(64, 4)).bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        loss = Contrast(COUNTS + 1, 32, Terms(supcon=0.5))
        own, given = z.to(dtype).detach().clone().requires_grad_(), logits.to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            parts = loss(given, own, y, 9)
        parts.total.backward()
        assert {part.dtype for part in parts} == {torch.float32}
        assert own.grad is not None
        assert own.grad.isfinite().all()
        assert loss.prototypes.vectors.dtype == torch.float32
        results.append((torch.stack(parts), loss.prototypes.vectors, own.grad.bfloat16()))
    for half, full in zip(*results, strict=True):
        assert torch.equal(half, full)


def test_a_batch_of_one_window_and_one_class_is_finite() -> None:
    loss = Contrast(COUNTS, 6, Terms(supcon=0.5))
    z, logits = unit(1, 6).requires_grad_(), unit(1, 4).requires_grad_()
    parts = loss(logits, z, torch.tensor([2]), 9)
    parts.total.backward()
    # Its prototype is the window itself, without a rival, as no other class was seen.
    assert (parts.align.item(), parts.separate.item(), parts.supcon.item()) == (0, 0, 0)
    assert z.grad is not None
    assert z.grad.abs().max().item() < 1e-12
    assert parts.total.item() == parts.cross_entropy.item() > 0


def test_training_parts_the_classes() -> None:
    """Free embeddings of three classes, from one bundle: after the loss, their means are apart."""
    start = torch.tensor([1.0] + [0.0] * 5, dtype=torch.float64) + 0.3 * unit(30, 6)
    free, y = start.clone().requires_grad_(), torch.arange(30) % 3
    loss = Contrast(torch.tensor([10, 10, 10]), 6)
    steps = torch.optim.SGD([free], lr=2.0)
    for _ in range(60):
        z = torch.nn.functional.normalize(free, dim=1)
        steps.zero_grad()
        loss(torch.zeros(30, 3), z, y, 9).total.backward()
        steps.step()
    apart = similarity(loss.prototypes.vectors)[~torch.eye(3, dtype=torch.bool)]
    own = (z.detach() * loss.prototypes.vectors[y]).sum(dim=1)
    assert apart.max() < 0.2
    assert own.min() > 0.9
    assert sqrt(float(z.detach().square().sum(dim=1).mean())) == pytest.approx(1)
