"""PEACE's loss: what is composed, cases by hand, the equation written out, the gate's memory."""

import copy
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pecg_utils.alignment import (
    ABLATION,
    Alignment,
    Gate,
    Terms,
    compose,
    contrast,
    fuse,
    lsbc,
    others,
    own_texts,
)
from pecg_utils.models import create

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(draw(*shape, seed=seed), dim=1)


def flags(*rows: str) -> Tensor:
    return torch.tensor([[sign == "1" for sign in row] for row in rows])


TARGETS = flags("110", "011", "000", "100", "001", "010")
VECTORS = draw(3, 3, 5, seed=3)  # axis, label, number of a text
E, T = unit(6, 4, seed=1), unit(6, 4, seed=2)


def test_composing_by_hand() -> None:
    # Two axes, three labels, vectors of one number.
    vectors = torch.tensor([[[1.0], [3.0], [8.0]], [[10.0], [30.0], [80.0]]])
    found = compose(flags("110", "001", "000"), vectors)
    assert found.tolist() == [[[2], [20]], [[8], [80]], [[0], [0]]]
    assert fuse(found).tolist() == [[11], [44], [0]]


def test_composing_is_a_mean_by_axis() -> None:
    found = compose(TARGETS, VECTORS)
    assert found.shape == (6, 3, 5)
    for i, row in enumerate(TARGETS):
        for axis in range(3):
            own = VECTORS[axis, row].mean(dim=0) if row.any() else torch.zeros(5)
            torch.testing.assert_close(found[i, axis], own.double())
    assert torch.equal(compose(TARGETS.double(), VECTORS), found)
    order = [2, 0, 1]
    torch.testing.assert_close(compose(TARGETS[:, order], VECTORS[:, order]), found)


def test_what_a_model_is_told() -> None:
    axes, fused = own_texts(TARGETS, VECTORS, "three")
    assert torch.equal(axes, compose(TARGETS, VECTORS))
    assert torch.equal(fused, fuse(axes))
    single, again = own_texts(TARGETS, VECTORS, "one")
    assert single.shape == (6, 1, 5)
    assert torch.equal(single[:, 0], fused)
    assert torch.equal(again, fused)
    assert own_texts(TARGETS, VECTORS, "none") == (None, None)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_in_a_control_nobody_keeps_its_own_place(count: int) -> None:
    drawn = set()
    for seed in range(20):
        places = others(count, torch.Generator().manual_seed(seed))
        assert sorted(places.tolist()) == list(range(count))
        assert (places != torch.arange(count)).all()
        drawn.add(tuple(places.tolist()))
    assert len(drawn) == (1 if count == 2 else 2 if count == 3 else 20)
    with pytest.raises(ValueError, match="no other to take the place of one: count is 1"):
        others(1)


def test_texts_shuffled_between_labels_still_tell_the_labels_and_between_records_do_not() -> None:
    shuffled = VECTORS[:, others(3, torch.Generator().manual_seed(0))]
    right, wrong = compose(TARGETS, VECTORS), compose(TARGETS, shuffled)
    labelled = [0, 1, 3, 4, 5]
    assert not torch.isclose(right, wrong)[labelled].all(dim=2).any()
    assert len({tuple(row.flatten().tolist()) for row in wrong}) == 6  # one for each set of labels
    mixed = right[others(6, torch.Generator().manual_seed(0))]
    assert not torch.isclose(mixed, right).all(dim=(1, 2)).any()


def test_the_contrast_by_hand() -> None:
    # tau = 1 / log 3, embeddings (1, 0) and (0, 1): a match weighs 3, another 1.
    axes = torch.eye(2, dtype=torch.float64)
    apart = lsbc(axes, axes, flags("10", "01"), 1 / log(3))
    assert apart.item() == pytest.approx(log(4 / 3))
    # Both are each other's positives: the mean of log(4/3) and log 4.
    shared = lsbc(axes, axes, flags("11", "01"), 1 / log(3))
    assert shared.item() == pytest.approx(log(4) - log(3) / 2)
    # All at one place: log of how many there are, and that is the least where all share a label.
    same = axes[[0, 0, 0]]
    assert lsbc(same, same, flags("1", "1", "1")).item() == pytest.approx(log(3))
    # Each direction has a half: here the ECGs are alike, the texts are not.
    alike = lsbc(axes[[0, 0]], axes, flags("10", "01"), 1 / log(3))
    towards_text = (log(4 / 3) + log(4)) / 2
    assert alike.item() == pytest.approx((towards_text + log(2)) / 2)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_the_equation_written_out(temperature: float) -> None:
    e, t, y = E.numpy(), T.numpy(), TARGETS.numpy().astype(int)
    there = np.flatnonzero(y.any(axis=1))
    losses = []
    for i in there:
        own = [j for j in there if y[i] @ y[j] > 0]
        to_text = log(sum(exp(e[i] @ t[j] / temperature) for j in there))
        to_ecg = log(sum(exp(t[i] @ e[j] / temperature) for j in there))
        logs = [
            (e[i] @ t[j] / temperature - to_text + t[i] @ e[j] / temperature - to_ecg) / 2
            for j in own
        ]
        losses.append(-sum(logs) / len(own))
    found = lsbc(E, T, TARGETS, temperature)
    assert found.item() == pytest.approx(np.mean(losses))


def test_a_record_without_a_label_is_left_out_on_both_sides() -> None:
    labelled = TARGETS.any(dim=1)
    whole = lsbc(E, T, TARGETS)
    torch.testing.assert_close(lsbc(E[labelled], T[labelled], TARGETS[labelled]), whole)
    ecg, text = E.clone().requires_grad_(), T.clone().requires_grad_()
    lsbc(ecg, text, TARGETS).backward()
    for free in (ecg, text):
        assert free.grad is not None
        assert free.grad.any(dim=1).tolist() == labelled.tolist()


@pytest.mark.parametrize("count", [0, 1, 4])
def test_where_no_record_has_a_label_it_is_0_with_gradient(count: int) -> None:
    ecg = unit(count, 4).requires_grad_()
    loss = lsbc(ecg, unit(count, 4, seed=1), torch.zeros(count, 3))
    assert loss.item() == 0
    loss.backward()
    assert ecg.grad is not None
    assert not ecg.grad.any()


def test_one_record_has_nobody_to_be_told_from() -> None:
    assert lsbc(E[:1], T[:1], TARGETS[:1]).item() == 0


def test_neither_the_order_of_records_nor_of_labels_nor_which_side_is_which_counts() -> None:
    whole = lsbc(E, T, TARGETS).item()
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    assert lsbc(E[order], T[order], TARGETS[order]).item() == pytest.approx(whole)
    assert lsbc(E, T, TARGETS[:, [2, 0, 1]]).item() == pytest.approx(whole)
    assert lsbc(T, E, TARGETS).item() == pytest.approx(whole)
    assert lsbc(E, T, TARGETS.repeat(1, 2).double()).item() == pytest.approx(whole)


def test_the_gradient_is_the_losss_and_draws_sharers_together() -> None:
    def loss(e: Tensor, t: Tensor) -> Tensor:
        return lsbc(e, t, TARGETS, 0.5)

    assert torch.autograd.gradcheck(loss, (E.clone().requires_grad_(), T.clone().requires_grad_()))
    ecg, text = (x.clone().requires_grad_() for x in (E, T))
    steps = torch.optim.SGD([ecg, text], lr=0.05)
    sharing = TARGETS.double() @ TARGETS.double().T > 0
    nothing = ~TARGETS.any(dim=1)
    strange = ~sharing & ~nothing & ~nothing[:, None]

    def gap() -> float:
        near = (F.normalize(ecg, dim=1) @ F.normalize(text, dim=1).T).detach()
        return float(near[sharing].mean() - near[strange].mean())

    before = gap()
    for _ in range(100):
        steps.zero_grad()
        lsbc(F.normalize(ecg, dim=1), F.normalize(text, dim=1), TARGETS).backward()
        steps.step()
    assert gap() > before + 0.5


def test_the_gate_by_hand() -> None:
    gate = Gate(steepness=2.0, middle=0.5, scale=2.0, momentum=0.75).train()
    # The first batch's loss is the memory; at the middle the first factor is 1/2.
    assert gate(torch.tensor(4.0), 0.5).item() == pytest.approx(exp(-2) / 2)
    # 3/4 · 4 + 1/4 · 0 = 3, and sigmoid(2 · 1/2).
    assert gate(torch.tensor(0.0), 1.0).item() == pytest.approx(exp(-1.5) / (1 + exp(-1)))
    gate.eval()
    assert gate(torch.tensor(100.0), 0.5).item() == pytest.approx(exp(-1.5) / 2)
    assert gate.smoothed.item() == 3


def test_the_gate_opens_with_time_and_as_the_loss_falls() -> None:
    def at(loss: float, progress: float) -> float:
        return float(Gate()(torch.tensor(loss), progress))

    assert at(0.1, 0) < at(0.1, 0.5) < at(0.1, 1) < 1
    assert 0 < at(2, 0.5) < at(0.5, 0.5) < at(0.1, 0.5)
    assert at(log(2), 0.3) == pytest.approx(exp(-1) / 2)  # the defaults, in one number


def test_the_gate_has_no_gradient_and_no_memory_of_what_is_no_number() -> None:
    gate = Gate()
    free = torch.tensor(0.5, requires_grad=True)
    assert not gate(free, 1.0).requires_grad
    before = gate.smoothed.clone()
    gate(torch.tensor(torch.nan), 1.0)
    gate(torch.tensor(torch.inf), 1.0)
    assert torch.equal(gate.smoothed, before)
    fresh = Gate()
    fresh(torch.tensor(torch.nan), 1.0)
    fresh(torch.tensor(4.0), 1.0)  # the first that counts
    assert fresh.smoothed.item() == 4


def test_before_any_training_the_gate_takes_the_loss_that_it_is_given() -> None:
    gate = Gate().eval()
    given = gate(torch.tensor(1.0), 1.0)
    assert given == Gate()(torch.tensor(1.0), 1.0)
    assert not gate.begun


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return draw(6, 3, seed=seed), unit(6, 4, seed=seed + 50), unit(6, 4, seed=seed + 90), TARGETS


def test_a_training_that_is_resumed_goes_on_exactly() -> None:
    whole, stopped = Alignment().train(), Alignment().train()
    for step in range(3):
        logits, e, t, y = batch(step)
        first = whole(logits, e, t, None, y, step / 6)
        stopped(logits, e, t, None, y, step / 6)
    resumed = Alignment().train()
    state = copy.deepcopy(stopped.state_dict())
    assert set(state) == {"gate.smoothed", "gate.begun"}
    resumed.load_state_dict(state)
    for step in range(3, 6):
        logits, e, t, y = batch(step)
        first = whole(logits, e, t, None, y, step / 6)
        second = resumed(logits, e, t, None, y, step / 6)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert torch.equal(whole.gate.smoothed, resumed.gate.smoothed)
    new = Alignment()(*batch(5)[:3], None, TARGETS, 5 / 6)
    assert new.gate != second.gate


LOGITS, ASIDE = draw(6, 3, seed=7), draw(6, 3, seed=8)


def test_the_whole_is_the_weighted_sum_of_its_parts() -> None:
    terms = Terms(align=0.3, auxiliary=0.2)
    found = Alignment(terms)(LOGITS, E, T, ASIDE, TARGETS, 0.6)
    wanted = TARGETS.double()
    bce = F.binary_cross_entropy_with_logits(LOGITS, wanted)
    torch.testing.assert_close(found.bce, bce)
    torch.testing.assert_close(found.auxiliary, F.binary_cross_entropy_with_logits(ASIDE, wanted))
    torch.testing.assert_close(found.align, lsbc(E, T, TARGETS))
    gate = exp(-bce.item() / log(2)) / (1 + exp(-10 * (0.6 - 0.3)))
    assert found.gate.item() == pytest.approx(gate, rel=1e-5)  # its memory is float32
    total = found.bce + found.gate * 0.3 * found.align + 0.2 * found.auxiliary
    torch.testing.assert_close(found.total, total)


def test_each_step_of_the_ablation_changes_one_thing() -> None:
    found = {
        name: Alignment(terms)(LOGITS, E, T, None, TARGETS, 0.6) for name, terms in ABLATION.items()
    }
    whole = found["complete"]
    assert ABLATION["complete"] == Terms()
    assert 0 < whole.gate < 1
    for name in ("no text", "w/o LSBC"):
        assert found[name].total == found[name].bce == whole.bce
        assert (found[name].align, found[name].gate) == (0, 0)
    assert ABLATION["no text"].texts == "none"
    assert ABLATION["w/o LSBC"].texts == "three"
    open_ = found["w/o CAF"]
    assert open_.gate == 1
    torch.testing.assert_close(open_.total, whole.bce + whole.align)
    assert found["single text"] == whole  # of its loss; what the model is told differs
    assert ABLATION["single text"].texts == "one"


def test_an_alignment_without_a_text_is_refused_and_elsewhere_none_is_needed() -> None:
    with pytest.raises(ValueError, match="given no text of the records"):
        Alignment()(LOGITS, E, None, None, TARGETS, 0.5)
    for terms in (ABLATION["no text"], ABLATION["w/o LSBC"]):
        found = Alignment(terms)(LOGITS, E, None, None, TARGETS, 0.5)
        assert found.total == found.bce


def test_the_gate_weighs_the_alignments_gradient_and_gives_the_logits_none() -> None:
    gradients = []
    for terms in (Terms(), ABLATION["w/o CAF"], ABLATION["w/o LSBC"]):
        logits, ecg = LOGITS.clone().requires_grad_(), E.clone().requires_grad_()
        found = Alignment(terms)(logits, ecg, T, None, TARGETS, 0.6)
        found.total.backward()
        gradients.append((logits.grad, ecg.grad, found.gate))
    (by_logits, by_ecg, gate), (_, open_, _), (plain, none, _) = gradients
    assert torch.equal(by_logits, plain)
    assert none is None or not none.any()
    torch.testing.assert_close(by_ecg, gate * open_)


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_reckoned_in_float32(autocast: bool) -> None:
    given = [x.bfloat16() for x in (9 * LOGITS, E, T, 9 * ASIDE)]
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        own = [x.to(dtype).detach().clone().requires_grad_() for x in given]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            parts = Alignment()(*own, TARGETS, 0.6)
            told = compose(TARGETS, VECTORS.to(dtype).bfloat16().to(dtype))
        parts.total.backward()
        assert {part.dtype for part in (*parts, told)} == {torch.float32}
        results.append((torch.stack(parts), told, *(x.grad.bfloat16() for x in own)))
    for half, full in zip(*results, strict=True):
        assert torch.equal(half, full)


def test_embeddings_at_one_place_and_a_low_temperature_give_a_finite_loss() -> None:
    same = torch.ones(6, 4).requires_grad_()
    loss = contrast(same, -same, torch.eye(6, dtype=torch.bool), 1e-4)
    loss.backward()
    assert loss.item() == pytest.approx(log(6))
    assert same.grad.isfinite().all()


def test_the_model_and_its_loss_go_together() -> None:
    """A few steps of all parts, on six records that are always the same."""
    sizes = {"channels": (8, 8, 16, 16), "blocks": 1, "kernel": 3, "text": 5, "dropout": 0.0}
    model = create("peace", 9, 3, 100, heads=2, feedforward=32, axes="beside", **sizes)
    vectors = VECTORS.float()
    model.set_labels(fuse(vectors.transpose(0, 1)))
    objective = Alignment(replace(Terms(), gate=False)).train()
    steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
    x = torch.randn(6, 9, 101)
    losses = []
    for step in range(30):
        axes, fused = own_texts(TARGETS, vectors, objective.terms.texts)
        answer = model(x, axes, fused)
        parts = objective(
            answer.logits, answer.embedding, answer.text, answer.auxiliary, TARGETS, step / 30
        )
        steps.zero_grad()
        parts.total.backward()
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())
        steps.step()
        losses.append(parts)
    for name in ("bce", "align", "auxiliary"):
        assert getattr(losses[-1], name) < 0.8 * getattr(losses[0], name), name
