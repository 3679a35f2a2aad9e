"""The published baselines of the PTB-XL benchmark: all their weights learn, their parts by hand."""

import pytest
import torch
from ptbxl_by_hand import COUNTS
from torch import Tensor, nn
from torch.nn import functional as F

from pecg_utils.chapters.sizes import SIZES
from pecg_utils.errors import PecgError
from pecg_utils.models import create, entry, learning
from pecg_utils.models.fcn_wang import AnyKernel
from pecg_utils.models.inceptiontime import Group, SideBySide
from pecg_utils.models.lstm_bidir import PoolAndEnd
from pecg_utils.models.pooled_head import FeatureNorm, Head, MaxAndMean
from pecg_utils.models.resnet1d_wang import TwoKernels
from pecg_utils.models.xresnet1d101 import Bottleneck

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

NAMES = tuple(COUNTS)


def tiny(
    name: str, leads: int = 12, classes: int = 5, samples: int = 250, **sizes: object
) -> nn.Module:
    return create(name, leads, classes, samples, **(SIZES["tiny"][name] | sizes))


def maps(*shape: int) -> Tensor:
    """Noise as maps (B, C, 1, S)."""
    return torch.randn(*shape[:2], 1, shape[2], dtype=torch.float64)


def silent(norm: nn.Module) -> None:
    """From here on it gives 0."""
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("xresnet1d101", 1_872_261),
        ("resnet1d_wang", 473_349),
        ("fcn_wang", 309_765),
        ("inceptiontime", 507_653),
        ("lstm_bidir", 2_330_629),
    ],
)
def test_all_weights_learn_at_the_benchmarks_sizes(name: str, weights: int) -> None:
    """On crops of 2.5 s at 100 Hz of 12 leads, with the five superclasses."""
    assert COUNTS[name](12, 5, 250)[0] == weights
    assert learning(create(name, 12, 5, 250), 12, 250) == (weights, weights)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_all_weights_learn_at_the_chapters_sizes(name: str, sizes: str) -> None:
    given = SIZES[sizes][name]
    assert (given == {}) or sizes != "paper"
    total, learn = learning(create(name, 9, 1, 40, **given), 9, 40)
    assert total == learn


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leads", [1, 9, 12])
def test_a_batch_of_one_of_any_length(name: str, leads: int) -> None:
    """In evaluation and in training, down to the shortest, with one label."""
    least = entry(name).min_samples
    for samples in (least, least + 1, 249, 251):
        model = tiny(name, leads, 1, samples)
        windows = torch.randn(1, leads, samples)
        logits = model.eval()(windows)
        assert logits.shape == (1, 1)
        logits = model.train()(windows)
        assert logits.shape == (1, 1)
        logits.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "least"),
    [("xresnet1d101", 33), ("resnet1d_wang", 5), ("inceptiontime", 2)],
)
def test_the_shortest_length_is_the_least_that_trains_on_one_window(name: str, least: int) -> None:
    assert entry(name).min_samples == least
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        tiny(name)(torch.randn(1, 12, least - 1))


def test_three_even_kernels_need_five_samples() -> None:
    model = tiny("fcn_wang", kernels=(8, 6, 2))
    assert model(torch.randn(1, 12, 5)).isfinite().all()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model(torch.randn(1, 12, 4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [250, 251])
def test_every_sample_of_every_lead_counts(name: str, samples: int) -> None:
    model = tiny(name).double().eval()
    windows = torch.randn(2, 12, samples, dtype=torch.float64, requires_grad=True)
    model(windows)[:, 0].sum().backward()
    assert windows.grad is not None
    assert (windows.grad != 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_silent_in_evaluation_and_heard_in_training(name: str) -> None:
    windows = torch.randn(4, 12, 100)
    model = tiny(name)
    assert [p.p for p in model.modules() if isinstance(p, nn.Dropout)] == [0.25, 0.5]
    assert not torch.equal(model(windows), model(windows))
    model.eval()
    assert torch.equal(model(windows), model(windows))
    without = tiny(name, dropout=0.0)
    assert torch.equal(without(windows), without(windows))


@pytest.mark.parametrize("name", NAMES)
def test_windows_do_not_know_of_each_other_in_evaluation(name: str) -> None:
    model = tiny(name).eval()
    windows = torch.randn(3, 12, 90)
    torch.testing.assert_close(model(windows)[:1], model(windows[:1]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_weights_begin_as_he_drew_them_and_norms_at_one(name: str) -> None:
    for part in create(name, 12, 5, 250).modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            inputs = part.weight[0].numel()
            expected = (2 / inputs) ** 0.5
            off = abs(float(part.weight.detach().std()) / expected - 1)
            assert off < 4 / part.weight.numel() ** 0.5  # more than five deviations of it
            assert part.bias is None or not part.bias.any()
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert (part.weight == 1).all()
            assert not part.bias.any()


def test_the_head_by_hand() -> None:
    head = Head(6, 3, 4, 0.5).double().eval()
    first, second = head[2], head[6]
    features, scale = torch.randn(5, 6, dtype=torch.float64), (1 + 1e-5) ** 0.5
    between = (features / scale @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(head(features), between / scale @ second.weight.T + second.bias)
    assert [part.p for part in head if isinstance(part, nn.Dropout)] == [0.25, 0.5]


def test_pooling_by_hand() -> None:
    seen = torch.tensor([[1.0, 2, 6], [-4, -1, -1]])[None, :, None]  # (1, 2, 1, 3)
    assert MaxAndMean()(seen).tolist() == [[6, -1, 3, -2]]
    states = seen[:, :, 0].transpose(1, 2)  # (1, 3, 2): forward 1, 2, 6 and backward -4, -1, -1
    assert PoolAndEnd("last")(states).tolist() == [[3, -2, 6, -1, 6, -1]]
    assert PoolAndEnd("own")(states).tolist() == [[3, -2, 6, -1, 6, -4]]


def test_one_window_is_normed_by_the_batches_before_and_changes_nothing() -> None:
    norm, usual = FeatureNorm(3), nn.BatchNorm1d(3)
    batch, one = torch.randn(6, 3) * 2 + 1, torch.randn(1, 3)
    assert torch.equal(norm(batch), usual(batch))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    in_training = norm(one)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    torch.testing.assert_close(in_training, usual.eval()(one))
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        usual.train()(one)


@pytest.mark.parametrize("kernel", [1, 2, 3, 8])
def test_a_kernel_of_any_length_is_the_convolution_padded_alike(kernel: int) -> None:
    layer = AnyKernel(12, 4, kernel).double()
    seen = maps(2, 12, 30)
    expected = F.conv1d(seen[:, :, 0], layer.weight[:, :, 0], padding=(kernel - 1) // 2)
    assert expected.shape[2] == 30 - (kernel % 2 == 0)
    torch.testing.assert_close(layer(seen)[:, :, 0], expected)


@pytest.mark.parametrize("kernel", [8, 16])
def test_even_kernels_are_right_in_bfloat16(kernel: int) -> None:
    """Called as they are, they were wrong for 8 and 12 leads on a processor with AMX."""
    for leads in range(1, 17):
        layer = AnyKernel(leads, 8, kernel)
        seen = maps(2, leads, 100).float()
        with torch.no_grad():
            exact = layer(seen)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = layer(seen)
        assert (rounded - exact).abs().max() < 0.05 * exact.std()


def test_a_bottleneck_halves_its_shortcut_by_the_mean() -> None:
    """And a last step that has no partner stands as it is."""
    halving, keeping = (Bottleneck(8, 2, 8, 5, stride).double() for stride in (2, 1))
    for block in (halving, keeping):
        silent(block.path[3])
    seen = maps(2, 8, 7)
    pairs = [seen[..., i : i + 2].mean(dim=3) for i in (0, 2, 4)] + [seen[..., 6]]
    torch.testing.assert_close(halving(seen), torch.stack(pairs, dim=3).relu())
    torch.testing.assert_close(keeping(seen), seen.relu())
    widening = Bottleneck(4, 2, 8, 5, 2).double().eval()
    silent(widening.path[3])
    seen = maps(2, 4, 6)
    mixed = F.conv2d(F.avg_pool2d(seen, (1, 2)), widening.shortcut[1].weight)
    torch.testing.assert_close(widening(seen), (mixed / (1 + 1e-5) ** 0.5).relu())


def test_a_bottleneck_looks_around_in_its_middle_alone() -> None:
    """There it halves, too."""
    shapes = [
        (part.kernel_size, part.stride)
        for part in Bottleneck(8, 2, 8, 5, 2).path.modules()
        if isinstance(part, nn.Conv2d)
    ]
    assert shapes == [((1, 1), (1, 1)), ((1, 5), (1, 2)), ((1, 1), (1, 1))]


def test_two_kernels_beside_a_shortcut() -> None:
    for stride in (1, 2):
        block = TwoKernels(4, (5, 3), stride).double().eval()
        seen, scale = maps(2, 4, 9), (1 + 1e-5) ** 0.5
        first, second = block.first[0].weight, block.second[0].weight
        assert (first.shape[3], second.shape[3]) == (5, 3)
        y = F.conv2d(seen, first, stride=(1, stride), padding=(0, 2)).relu() / scale
        y = F.conv2d(y, second, padding=(0, 1)) / scale
        aside = seen
        if stride == 2:
            aside = F.conv2d(seen[..., ::2], block.shortcut[0].weight) / scale
        torch.testing.assert_close(block(seen), (y + aside).relu())


def test_a_module_of_kernels_side_by_side() -> None:
    module = SideBySide(5, 2, 3, (9, 5, 1)).double().eval()
    seen = maps(2, 5, 20)
    few = F.conv2d(seen, module.bottleneck.weight)
    parts = [
        F.conv2d(few, conv.weight, padding=(0, kernel // 2))
        for conv, kernel in zip(module.each, (9, 5, 1), strict=True)
    ]
    around = F.pad(seen, (1, 1), value=-torch.inf).unfold(3, 3, 1).amax(dim=4)
    parts.append(F.conv2d(around, module.largest[1].weight))
    expected = (torch.cat(parts, dim=1) / (1 + 1e-5) ** 0.5).relu()
    torch.testing.assert_close(module(seen), expected)


def test_a_shortcut_passes_three_modules() -> None:
    group = Group(5, 2, 3, (9, 5, 1)).double().eval()
    assert len(group.path) == 3
    seen = maps(2, 5, 20)
    aside = group.shortcut(seen)
    torch.testing.assert_close(group(seen), (group.path(seen) + aside).relu())
    silent(group.path[2].norm)
    torch.testing.assert_close(group(seen), aside.relu())


def test_nothing_is_dropped_between_the_layers_of_the_lstm() -> None:
    assert tiny("lstm_bidir", layers=2).get_submodule("recurrence.lstm").dropout == 0


@pytest.mark.parametrize("name", NAMES)
def test_untrained_logits_are_finite_at_the_benchmarks_sizes(name: str) -> None:
    """Each bottleneck adds to what was there, and untrained norms take nothing off."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert create(name, 12, 5, 250).eval()(torch.randn(2, 12, 250)).isfinite().all()


def test_own_ends_have_the_same_weights_and_other_logits() -> None:
    last, own = (tiny("lstm_bidir", ends=ends).eval() for ends in ("last", "own"))
    own.load_state_dict(last.state_dict())
    windows = torch.randn(2, 12, 50)
    assert not torch.allclose(last(windows), own(windows), atol=1e-4)
    assert learning(own, 12, 50) == learning(last, 12, 50)


@pytest.mark.parametrize(
    ("name", "samples", "sizes", "says"),
    [
        ("xresnet1d101", 32, {}, "given 32 samples; it takes at least 33"),
        ("xresnet1d101", 250, {"kernel": 4}, "The size kernel of the model xresnet1d101 was given"),
        ("xresnet1d101", 250, {"stem_kernel": 2}, "given as 2; give an odd one."),
        ("xresnet1d101", 250, {"blocks": (3, 4, 23)}, "give 4 whole numbers from 1"),
        ("xresnet1d101", 250, {"stem": (8, 8)}, "give 3 whole numbers from 1"),
        ("xresnet1d101", 250, {"channels": 0}, "given as 0; give a whole number from 1"),
        ("resnet1d_wang", 4, {}, "given 4 samples; it takes at least 5"),
        ("resnet1d_wang", 250, {"kernels": (8, 3)}, "was given the kernel 8; give odd ones."),
        ("resnet1d_wang", 250, {"stem_kernel": 8}, "was given the kernel 8; give odd ones."),
        ("resnet1d_wang", 250, {"kernels": (5, 3, 3)}, "give 2 whole numbers from 1"),
        ("fcn_wang", 4, {}, "given 4 samples; it takes at least 5"),
        ("fcn_wang", 250, {"channels": (8, 8)}, "give 3 whole numbers from 1"),
        ("fcn_wang", 250, {"head": 0}, "given as 0; give a whole number from 1"),
        ("inceptiontime", 1, {}, "given 1 samples; it takes at least 2"),
        ("inceptiontime", 250, {"kernels": (40, 20, 10)}, "given the kernel 40; give odd ones."),
        ("inceptiontime", 250, {"depth": 4}, "given depth 4; give a multiple of 3"),
        ("inceptiontime", 250, {"depth": 2}, "given as 2; give a whole number from 3"),
        ("lstm_bidir", 5001, {}, "given 5001 samples; it takes 1 to 5000"),
        ("lstm_bidir", 250, {"ends": "first"}, "given as 'first'; give one of last, own"),
        ("lstm_bidir", 250, {"dropout": 1.0}, "give a number from 0 to below 1"),
    ],
)
def test_refusals(name: str, samples: int, sizes: dict[str, object], says: str) -> None:
    with pytest.raises(PecgError) as caught:
        create(name, 12, 5, samples, **sizes)
    assert says in str(caught.value)
