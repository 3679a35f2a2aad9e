"""The model of two resolutions: all its weights learn, its parts by hand, lengths, ablations."""

from itertools import product
from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils import mrmnet_words, mutual
from pecg_utils.diagrams import trace
from pecg_utils.models import create, learning, mrmnet
from pecg_utils.models.gates import ChannelGate, ChannelNorm, OwnMean, SpatialGate, Squeeze
from pecg_utils.models.mrmnet import (
    FLATTEN,
    GATES,
    STREAMS,
    Answer,
    Exchange,
    MeanOfKernels,
    MeanProbability,
    MrmNet,
)
from pecg_utils.objectives import Heads as HeadsObjective

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

ALONE = [(streams, gates) for streams, gates in product(STREAMS, GATES)]


def made(**sizes: object) -> MrmNet:
    model = create("mrmnet", 12, 5, 1000, **({"width": 4} | sizes))
    assert isinstance(model, MrmNet)
    return model


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)[:, None, None]  # (1, 1, 1, T)


@pytest.mark.parametrize(
    ("width", "exchange", "weights"),
    [
        (16, False, 1_780_134),
        (32, False, 6_952_742),
        (64, False, 27_475_494),
        (16, True, 2_284_550),
        (32, True, 8_838_118),
        (64, True, 34_752_422),
    ],
)
def test_all_weights_learn_and_are_as_many_as_in_the_docstring(
    width: int, exchange: bool, weights: int
) -> None:
    """1.78 and 6.95 million learn in the released net at widths 16 and 32, of 34.3 and 44.9."""
    model = made(width=width, exchange=exchange)
    assert learning(model, 12, 32) == (weights, weights)


@pytest.mark.parametrize(("streams", "gates"), ALONE)
def test_all_weights_learn_in_each_ablation(streams: str, gates: str) -> None:
    model = made(streams=streams, gates=gates, flatten="steps")
    total, learn = learning(model, 12, 32)
    assert total == learn == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("exchange", [False, True])
def test_every_single_element_learns(exchange: bool) -> None:
    """With the ReLUs made smooth: at the outset some are below zero for a whole batch."""
    model = made(width=16, exchange=exchange, dropout=0.0).double()
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.ReLU):
                setattr(part, name, nn.SiLU())
    model(torch.randn(4, 12, 64, dtype=torch.float64)).logits.square().sum().backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None
        assert weights.grad.abs().min() > 1e-15, name


def test_the_count_sees_weights_that_learn_nothing() -> None:
    """A bias that a norm takes away, and a part that forward never calls."""
    model = made()
    total, _ = learning(model, 12, 32)
    first = model.blocks[0][0].first
    first[0].bias = nn.Parameter(torch.randn(16))
    model.register_module("unused", nn.Linear(3, 2))
    before = torch.random.get_rng_state()
    assert learning(model, 12, 32) == (total + 16 + 8, total)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())
    recurrent = 4 * 128 * 128  # of the last step backwards, see BiLstm
    total, learn = learning(create("bilstm", 12, 5, 20), 12, 20)
    assert total - learn == recurrent


def test_shapes_at_1000_samples_are_the_released_ones() -> None:
    model = made(width=16).eval()
    windows = torch.randn(2, 12, 1000)
    stem = model.stem(windows)
    assert stem.shape == (2, 64, 1, 1004)
    streams = model.scales(stem, stem)
    assert [maps.shape for maps in streams] == [(2, 64, 1, 502), (2, 128, 1, 251)]
    answer = model(windows)
    assert [part.shape for part in answer] == [(2, 5), (2, 2, 5), (2, 2, 32_128)]


@pytest.mark.parametrize(
    ("sizes", "fusion"),
    [
        ({"exchange": True}, "16 × 152 and 32 × 76 channels × steps"),
        ({"streams": "high", "gates": "none"}, "16 channels × 152 steps"),
        ({"streams": "low", "gates": "spatial"}, "32 channels × 76 steps"),
    ],
)
def test_the_diagram_of_each_form(sizes: dict[str, object], fusion: str) -> None:
    model = made(**sizes)
    steps = trace(model, 12, 300)
    shapes = {step.name: step.shape for step in steps}
    assert ("Exchange" in shapes) is ("exchange" in sizes)
    assert shapes["Fusion"] == fusion
    assert shapes["Mean probability"] == "5 logits"
    assert sum(step.weights for step in steps) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 249, 251, 254])
def test_a_batch_of_one_of_any_length(exchange: bool, samples: int) -> None:
    model = create("mrmnet", 9, 5, samples, width=4, exchange=exchange)  # in training
    answer = model(torch.randn(1, 9, samples))
    assert answer.heads.shape == (1, 2, 5)
    assert answer.features.shape == (1, 2, 32 * (-(-samples // 4) + 1))
    assert all(part.isfinite().all() for part in answer)
    answer.logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_length_that_no_pooling_divides_is_filled_with_zeros() -> None:
    model = made().eval()
    windows = torch.randn(2, 12, 301)
    for own, filled in zip(model(windows), model(F.pad(windows, (0, 3))), strict=True):
        assert torch.equal(own, filled)


def test_the_mean_of_kernels_is_the_mean_of_convolutions() -> None:
    for stride in (1, 2):
        many = MeanOfKernels(3, 5, stride).double()
        x = torch.randn(2, 3, 1, 50, dtype=torch.float64)
        each = [conv(x) for conv in many.each]
        assert [conv.kernel_size[1] for conv in many.each] == [3, 13, 23, 33]
        torch.testing.assert_close(many(x), sum(each) / 4)


def test_gates_by_hand() -> None:
    # Mean log 3: the sigmoid is 3 of 4.
    assert OwnMean()(row(log(9), 0)).item() == pytest.approx(3 / 4)
    # Of max 7 and mean 2 over the channels the middle tap takes 1 and 1: sigmoid(9).
    spatial = SpatialGate().double()
    spatial.conv.weight.data.zero_()
    spatial.conv.weight.data[..., 3] = 1
    maps = torch.tensor([7.0, -3, 2], dtype=torch.float64)[None, :, None, None].expand(1, 3, 1, 4)
    torch.testing.assert_close(spatial(maps), torch.full((1, 1, 1, 4), 9.0).double().sigmoid())
    squeeze = Squeeze(8).double()
    seen = torch.randn(2, 8, 1, 6, dtype=torch.float64)
    first, second = squeeze.layers[0], squeeze.layers[2]
    between = (seen.mean(dim=3)[..., 0] @ first.weight.T + first.bias).clamp(min=0)
    expected = (between @ second.weight.T + second.bias).sigmoid()
    torch.testing.assert_close(squeeze(seen)[..., 0, 0], expected)
    # f of the max and f of the mean, added; the norm is the identity where nothing was learned.
    gate = ChannelGate(16).double().eval()
    seen = torch.randn(2, 16, 1, 6, dtype=torch.float64)
    squeezed, out = gate.layers[0][0], gate.layers[1]
    of_each = [
        (part @ squeezed.weight[..., 0, 0].T / (1 + 1e-5) ** 0.5).clamp(min=0)
        @ out.weight[..., 0, 0].T
        + out.bias
        for part in (seen.amax(dim=3)[..., 0], seen.mean(dim=3)[..., 0])
    ]
    torch.testing.assert_close(gate(seen)[..., 0, 0], (of_each[0] + of_each[1]).sigmoid())


def test_the_norm_is_over_the_channels_of_a_step() -> None:
    maps = torch.randn(2, 6, 1, 9, dtype=torch.float64)
    normed = ChannelNorm(6).double()(maps)
    torch.testing.assert_close(normed.mean(dim=1), torch.zeros(2, 1, 9).double())
    torch.testing.assert_close(
        normed.var(dim=1, correction=0), torch.ones(2, 1, 9).double(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("gates", ["channel", "spatial", "none"])
def test_a_gate_that_is_off_is_one_throughout(gates: str) -> None:
    windows = torch.randn(2, 12, 100)
    whole, less = made().eval(), made(gates=gates).eval()
    less.load_state_dict({k: v for k, v in whole.state_dict().items() if k in less.state_dict()})
    assert not torch.allclose(whole(windows).logits, less(windows).logits, atol=1e-6)
    for fusion in whole.fusion:
        for name in {"channel": ["spatial"], "spatial": ["channel"]}.get(gates, GATES[1:3]):
            fusion.get_submodule(name).register_forward_hook(lambda *called: called[2] * 0 + 1)
    torch.testing.assert_close(whole(windows).logits, less(windows).logits)


@pytest.mark.parametrize("stream", ["high", "low"])
def test_one_stream_is_that_stream_of_both(stream: str) -> None:
    """With the same weights, head and features are the same; nothing of the other one is there."""
    both, alone = made().eval(), made(streams=stream).eval()
    at = STREAMS.index(stream) - 1
    weights = both.state_dict()
    parts = ("scales", "blocks", "fusion", "heads")
    moved = {
        name.replace(".0.", f".{at}.", 1) if name.startswith(parts) else name: name
        for name in alone.state_dict()
    }
    alone.load_state_dict({own: weights[theirs] for theirs, own in moved.items()})
    windows = torch.randn(2, 12, 130)
    whole, own = both(windows), alone(windows)
    torch.testing.assert_close(own.heads[:, 0], whole.heads[:, at])
    torch.testing.assert_close(own.features[:, 0], whole.features[:, at])
    torch.testing.assert_close(own.logits, own.heads[:, 0])


@pytest.mark.parametrize("exchange", [False, True])
def test_only_by_the_exchange_does_a_head_hear_of_the_other_stream(exchange: bool) -> None:
    model = made(exchange=exchange).eval()
    windows = torch.randn(2, 12, 100)
    before = model(windows).heads
    for at in (0, 1):
        weights = next(model.scales[1 - at].parameters())
        kept = weights.data.clone()
        weights.data.normal_()
        after = model(windows).heads
        weights.data.copy_(kept)
        assert torch.equal(after[:, at], before[:, at]) is not exchange
        assert not torch.equal(after[:, 1 - at], before[:, 1 - at])


def test_the_exchange_stands_each_low_step_twice_and_takes_every_other_high_one() -> None:
    exchange = Exchange(16).double().eval()
    seen: list[tuple[Tensor, ...]] = []
    exchange.each.register_forward_pre_hook(lambda _, given: seen.append(given))
    high = torch.randn(2, 16, 1, 12, dtype=torch.float64)
    low = torch.randn(2, 32, 1, 6, dtype=torch.float64)
    out = exchange(high, low)
    assert [maps.shape for maps in out] == [high.shape, low.shape]
    (told_high, told_low), scale = seen[0], (1 + 1e-5) ** 0.5
    up = F.conv2d(low, exchange.up[0].weight, padding=(0, 1)) / scale  # (2, 16, 1, 6)
    torch.testing.assert_close(told_high - high, up.repeat_interleave(2, dim=3))
    down = F.conv2d(high, exchange.down[0].weight, padding=(0, 1)) / scale  # (2, 32, 1, 12)
    torch.testing.assert_close(told_low - low, down.relu()[..., ::2])


def test_the_order_of_the_features() -> None:
    """By steps, the high resolution's steps 2s and 2s + 1 face the low one's step s."""
    by_channels, by_steps = (made(flatten=order).eval() for order in FLATTEN)
    by_steps.load_state_dict(by_channels.state_dict())
    windows = torch.randn(2, 12, 96)
    given = by_channels(windows).features, by_steps(windows).features
    for at, channels in ((0, 16), (1, 32)):
        maps = given[0][:, at].reshape(2, channels, -1)
        assert torch.equal(given[1][:, at].reshape(2, -1, channels), maps.transpose(1, 2))
    steps = 100 // 4
    assert given[1].shape[2] == steps * 32
    places = torch.arange(steps * 32)
    assert torch.equal(places // 16 // 2, places // 32)


def test_the_answer_is_the_mean_of_both_probabilities() -> None:
    answer = MeanProbability()
    heads = torch.tensor([[[log(3), log(4), 2.0]], [[-log(3), log(4), 0.0]]], dtype=torch.float64)
    heads = heads.transpose(0, 1)  # (1, 2, 3)
    logits = answer(heads)
    assert logits[0, 0].item() == pytest.approx(0, abs=1e-12)  # 3/4 and 1/4
    assert logits[0, 1].item() == pytest.approx(log(4))
    torch.testing.assert_close(logits.sigmoid(), heads.sigmoid().mean(dim=1))
    given = torch.tensor([[[9e3, -9e3, 9e3], [9e3, -9e3, -9e3]]], requires_grad=True)
    large = answer(given)
    assert large.tolist()[0] == pytest.approx([9e3, -9e3, 0], rel=1e-3)
    large.sum().backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
    half = answer(given.detach().bfloat16())
    assert half.dtype == torch.float32
    assert half.isfinite().all()


def test_windows_do_not_know_of_each_other_in_evaluation() -> None:
    model = made(exchange=True).eval()
    windows = torch.randn(3, 12, 90)
    torch.testing.assert_close(model(windows).logits[:1], model(windows[:1]).logits)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("windows", "leads", "samples"), [(1, 9, 997), (1, 12, 1000), (3, 9, 997), (2, 1000, 12)]
)
def test_a_step_is_taken_at_the_edges(
    windows: int, leads: int, samples: int, training: bool
) -> None:
    """One window, an odd length, nine leads, swapped axes; the last label has no positive."""
    model = create("mrmnet", leads, 5, samples, width=4, exchange=True).train(training)
    answer = model(torch.randn(windows, leads, samples))
    steps = -(-samples // 4) + 1
    shapes = [(windows, 5), (windows, 2, 5), (windows, 2, 32 * steps)]
    assert [tuple(part.shape) for part in answer] == shapes
    assert all(part.isfinite().all() for part in answer)
    targets = torch.zeros(windows, 5)
    targets[:, 0] = 1
    for terms in mutual.ABLATION.values():
        loss = HeadsObjective(terms)(answer, targets, 0.0)
        assert loss.isfinite()
        assert loss > 0
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    before = next(model.parameters()).detach().clone()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not torch.equal(before, next(model.parameters()))


def test_labels_that_nobody_and_that_everybody_has_are_learned_at_any_certainty() -> None:
    """Also where the logits have grown so large that a probability is 0 or 1 in float32."""
    heads = torch.tensor([[[200.0, -200.0], [300.0, -90.0]]], requires_grad=True)
    features = torch.randn(1, 2, 8)
    for targets in (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2)):
        answer = Answer(MeanProbability()(heads), heads, features)
        for terms in mutual.ABLATION.values():
            heads.grad = None
            loss = HeadsObjective(terms)(answer, targets, 0.0)
            assert loss.isfinite()
            loss.backward(retain_graph=True)
            assert heads.grad is not None
            assert heads.grad.isfinite().all()


def test_the_chapters_table_says_the_weights_of_the_docstring() -> None:
    assert mrmnet_words.WIDTHS == (16, 32, 64)
    table = mrmnet_words.weights((16, 32))  # the widest takes seconds and is counted above
    counted = table.set_index("exchange", append=True)[["weights here", "of which learn"]]
    expected = {
        (16, "no"): "1,780,134",
        (16, "yes"): "2,284,550",
        (32, "no"): "6,952,742",
        (32, "yes"): "8,838,118",
    }
    found = {of: list(row) for of, row in counted.iterrows()}
    assert found == {of: [weights, weights] for of, weights in expected.items()}
    assert all(weights in (mrmnet.__doc__ or "") for weights in expected.values())
    released = ["34.27 million, 1.78 learn", "not known", "44.87 million, 6.95 learn", "not known"]
    assert table["released code"].tolist() == released
    other = mrmnet_words.weights((4,))  # which the released code does not have
    assert other["released code"].tolist() == ["not known"] * 2
