"""The model of two signals: what each mask shuts out, one branch alone, one clock, its refusals."""

from math import nan

import pytest
import torch
from torch import Tensor

from pecg_utils.errors import PecgError
from pecg_utils.models import create, entry, window
from pecg_utils.models.agcacl import BRANCHES, Agcacl, GatedSum

SMALL = {"channels": (8, 8, 16, 16), "heads": 2, "feedforward": 32, "depth": 1}


pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def small(**sizes: object) -> Agcacl:
    model = create("agcacl", 12, 5, 250, **SMALL, **sizes).eval()
    assert isinstance(model, Agcacl)
    return model


def signals(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Half a second of 12 leads and of 7 electrograms, all there."""
    there = torch.ones(count, 7, dtype=torch.bool)
    return torch.randn(count, 12, 250), torch.randn(count, 7, 488), there


@pytest.mark.parametrize("branches", BRANCHES)
def test_logits_and_an_embedding_of_length_one(branches: str) -> None:
    answer = small(branches=branches)(*signals())
    assert answer.logits.shape == (3, 5)
    assert answer.embedding.shape == (3, 16)
    torch.testing.assert_close(answer.embedding.norm(dim=1), torch.ones(3))


def test_the_tokens_of_two_seconds() -> None:
    """1,000 samples at 500 Hz and 1,954 at 977 Hz, each a sixteenth, rounded up."""
    model = create("agcacl", 12, 7, 1000)
    assert isinstance(model, Agcacl)
    ecg, iegm, mask = window(model, 12, 1000)
    assert (iegm.shape, mask.shape, mask.dtype) == ((1, 7, 1954), (1, 7), torch.bool)
    assert [tokens.shape for tokens in model.encoders(ecg, iegm)] == [(1, 63, 128), (1, 123, 128)]


def test_a_channel_that_is_absent_has_no_effect_whatever_it_holds() -> None:
    model = small()
    ecg, iegm, mask = signals()
    mask[:, 2] = False
    other = iegm.clone()
    other[0, 2], other[1, 2], other[2, 2] = 1e6, nan, torch.inf
    for first, second in zip(model(ecg, iegm, mask), model(ecg, other, mask), strict=True):
        assert torch.equal(first, second)
    kept = iegm.clone()
    kept[:, 3] += torch.randn(488)  # the channels beside it still count
    assert not torch.allclose(model(ecg, iegm, mask).logits, model(ecg, kept, mask).logits)
    mask[:, 2] = True  # and where it is there, it has
    assert not torch.allclose(model(ecg, iegm, mask).logits[0], model(ecg, other, mask).logits[0])


def test_without_electrograms_the_leads_answer_alone() -> None:
    """Neither the electrograms nor a weight that they pass through changes the answer."""
    model = small()
    ecg, iegm, mask = signals()
    mask[0] = False
    first = model(ecg, iegm, mask).logits
    iegm[0] = nan
    assert torch.equal(model(ecg, iegm, mask).logits, first)
    both = (model.encoders.each[1], model.cross.iegm_asks, model.cross.iegm_norm)
    for part in (*both, model.cross.ecg_asks, model.gate.gate):
        for weights in part.parameters():
            weights.data.normal_()
    changed = model(ecg, iegm, mask).logits
    assert torch.equal(changed[0], first[0])
    assert not torch.allclose(changed[1:], first[1:])
    ecg[0] += torch.randn(12, 250)
    assert not torch.allclose(model(ecg, iegm, mask).logits[0], first[0])


def test_without_leads_the_electrograms_answer_alone() -> None:
    model = small()
    ecg, iegm, mask = signals()
    leads = torch.ones(3, 12, dtype=torch.bool)
    leads[0] = False
    first = model(ecg, iegm, mask, leads).logits
    ecg[0] = nan
    assert torch.equal(model(ecg, iegm, mask, leads).logits, first)
    ecg_parts = (model.encoders.each[0], model.cross.ecg_asks, model.cross.ecg_norm)
    for part in (*ecg_parts, model.cross.iegm_asks, model.gate.gate):
        for weights in part.parameters():
            weights.data.normal_()
    assert torch.equal(model(ecg, iegm, mask, leads).logits[0], first[0])
    iegm[0] += torch.randn(7, 488)
    assert not torch.allclose(model(ecg, iegm, mask, leads).logits[0], first[0])


def test_with_nothing_at_all_the_answer_is_finite_and_of_no_sample() -> None:
    model = small()
    nothing = torch.zeros(3, 7, dtype=torch.bool), torch.zeros(3, 12, dtype=torch.bool)
    ecg, iegm, _ = signals()
    logits = model(ecg, iegm, *nothing).logits
    assert logits.isfinite().all()
    assert torch.equal(logits, model(*signals()[:2], *nothing).logits)
    assert torch.equal(logits[0], logits[1])


def test_what_is_absent_sends_no_gradient_and_no_nan() -> None:
    model = small()
    ecg, iegm, mask = signals()
    mask[:] = False
    iegm[:] = nan
    answer = model(ecg, iegm, mask)
    (answer.logits.square().sum() + answer.embedding.sum()).backward()
    for name, weights in model.named_parameters():
        grad = torch.zeros(1) if weights.grad is None else weights.grad
        assert grad.isfinite().all(), name
        used = name.startswith(("encoders.each.0", "cross.ecg_norm", "layers", "head"))
        assert used == bool(grad.any()), name


@pytest.mark.parametrize(("branches", "at"), [("ecg", 0), ("iegm", 1)])
def test_one_branch_reads_its_signal_alone(branches: str, at: int) -> None:
    model = small(branches=branches)
    given = list(signals())
    first = model(*given).logits
    given[1 - at] = None  # type: ignore[call-overload]
    assert torch.equal(model(*given).logits, first)
    assert len(model.encoders.each) == 1
    assert not hasattr(model, "cross")
    both = sum(p.numel() for p in small().parameters())
    assert sum(p.numel() for p in model.parameters()) < both
    given[at] = given[at] + 1
    assert not torch.allclose(model(*given).logits, first)
    model(*given).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("branches", BRANCHES)
def test_lengths_that_nothing_divides_and_the_shortest(branches: str) -> None:
    model = small(branches=branches).train()
    least = entry("agcacl").min_samples
    for ecg, iegm in ((least, least), (251, 490), (1000, 1954), (40, 1001)):
        answer = model(torch.randn(1, 12, ecg), torch.randn(1, 7, iegm))
        assert answer.logits.isfinite().all()


def test_the_places_of_both_signals_are_one_clock() -> None:
    """At half the rate the electrograms' token j stands where the leads' token 2 j does."""
    model = small(iegm_fs=250, dropout=0.0)
    ecg_places, iegm_places = (encode[1] for encode in model.encoders.each)
    ecg, iegm = ecg_places(torch.zeros(1, 9, 16)), iegm_places(torch.zeros(1, 5, 16))
    torch.testing.assert_close(iegm, ecg[:, ::2])


def test_electrograms_at_the_leads_places_by_hand() -> None:
    # Twice the rate: tokens at 0, 1/2, 1, 3/2; weights fall from 1 to 0 over one token.
    # Place 0: 1 and 1/2, of 3/2. Place 1: 1/2, 1, 1/2, of 2. Place 2, past the end, stands at the
    # last token: 1/2 and 1, of 3/2.
    tokens = torch.zeros(1, 4, 2)
    expected = [[2 / 3, 1 / 3, 0, 0], [0, 1 / 4, 1 / 2, 1 / 4], [0, 0, 1 / 3, 2 / 3]]
    found = GatedSum(2, pace=0.5).nearness(3, tokens)
    torch.testing.assert_close(found, torch.tensor(expected))
    # The same rate: as they stand. Half the rate: tokens at 0 and 2, the line between them.
    assert torch.equal(GatedSum(2, pace=1.0).nearness(4, tokens), torch.eye(4))
    slow = GatedSum(2, pace=2.0).nearness(3, tokens[:, :2])
    assert slow.tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


def test_the_gated_sum_by_hand() -> None:
    # No weights, and a bias of ln 3: the leads' share is 3/4. 3/4 · 8 + 1/4 · 4 = 7.
    gate = GatedSum(1, pace=1.0)
    gate.gate.weight.data.zero_()
    gate.gate.bias.data.fill_(3.0).log_()
    ecg, iegm = torch.full((4, 1, 1), 8.0), torch.full((4, 1, 1), 4.0)
    has_ecg = torch.tensor([True, True, False, False])[:, None, None]
    has_iegm = torch.tensor([True, False, True, False])[:, None, None]
    assert gate(ecg, iegm, has_ecg, has_iegm).flatten()[:3].tolist() == [7, 8, 4]


def test_a_signal_that_is_read_but_not_given_is_refused() -> None:
    ecg, iegm, _ = signals()
    with pytest.raises(PecgError, match="branches both was given no iegm; give zeros"):
        small()(ecg)
    with pytest.raises(PecgError, match="branches both was given no ecg"):
        small()(None, iegm)


def test_bfloat16_keeps_the_embedding_in_float32() -> None:
    model = small()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model(*signals())
    assert half.embedding.dtype == torch.float32
    torch.testing.assert_close(half.embedding.norm(dim=1), torch.ones(3), atol=1e-5, rtol=0)


def test_what_was_heard_is_told_of_each_window_and_signal() -> None:
    model = small()
    ecg, iegm, mask = signals(4)
    leads = torch.ones(4, 12, dtype=torch.bool)
    mask[1] = False
    mask[2, 1:] = False  # one channel is enough
    leads[3] = False
    heard = model(ecg, iegm, mask, leads).heard
    assert heard.dtype == torch.bool
    assert heard.tolist() == [[True, True], [True, False], [True, True], [False, True]]
    assert model(ecg, iegm).heard.all()  # no mask: all are there
    assert model(ecg, iegm).heard.shape == (4, 2)


@pytest.mark.parametrize(("branches", "at"), [("ecg", 0), ("iegm", 1)])
def test_a_signal_that_a_branch_does_not_read_is_not_heard(branches: str, at: int) -> None:
    model = small(branches=branches)
    ecg, iegm, mask = signals()
    leads = torch.ones(3, 12, dtype=torch.bool)
    mask[0] = leads[0] = False
    expected = torch.zeros(3, 2, dtype=torch.bool)
    expected[1:, at] = True
    assert torch.equal(model(ecg, iegm, mask, leads).heard, expected)


def test_strides_say_how_many_samples_a_token_has() -> None:
    """4 · 2 · 2 · 2 = 32 samples; the clock of both signals stays one."""
    model = small(strides=(4, 2, 2, 2), iegm_fs=250, dropout=0.0)
    ecg, iegm = torch.randn(2, 12, 320), torch.randn(2, 7, 160)
    tokens = model.encoders(ecg, iegm)
    assert [part.shape for part in tokens] == [(2, 10, 16), (2, 5, 16)]
    usual = small(iegm_fs=250, dropout=0.0)
    assert [part.shape for part in usual.encoders(ecg, iegm)] == [(2, 20, 16), (2, 10, 16)]
    assert model(ecg, iegm).logits.shape == (2, 5)
    ecg_places, iegm_places = (encode[1] for encode in model.encoders.each)
    every = ecg_places(torch.zeros(1, 9, 16))
    torch.testing.assert_close(iegm_places(torch.zeros(1, 5, 16)), every[:, ::2])
    weights = [sum(p.numel() for p in made.parameters()) for made in (model, usual)]
    assert weights[0] == weights[1]  # a stride is no weight
