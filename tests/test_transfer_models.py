"""The models of the transfer chapter: all their weights learn, their parts by hand."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transfer_by_hand import COUNTS, SMALL, small, vgg

from pecg_utils.chapters.sizes import SIZES
from pecg_utils.errors import PecgError
from pecg_utils.models import create, entry, learning, multiply_adds
from pecg_utils.models.alexnet1d import mean_of_parts
from pecg_utils.models.encoder import EncoderLayer, SelfAttention, attention
from pecg_utils.models.resnet18_1d import Trunk

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

NAMES = tuple(COUNTS)
ATTENDING = ("attresnet", "restransformer", "rawtransformer")


def exact(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def mixed(module: nn.Module) -> nn.Module:
    """In float64, with biases and norms that are not the first ones, so that each is seen."""
    for weight in module.double().parameters():
        nn.init.normal_(weight, 0.1, 0.5)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_shapes_at_the_chapters_lengths(name: str) -> None:
    for samples in (1024, 2048, 5000):
        model = create(name, 12, 5, samples, **SIZES["tiny"][name])
        assert model(torch.randn(2, 12, samples)).shape == (2, 5)
    assert small(name).features(torch.randn(3, 12, 2048)).ndim == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_model_takes_other_lengths_than_it_was_made_for(name: str) -> None:
    model = small(name, 2048)
    for samples in (1000, 2047, 2049):
        assert model(torch.randn(1, 12, samples)).isfinite().all()


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet18_1d", 3_851_397),
        ("crnn", 5_164_933),
        ("alexnet1d", 23_882_501),
        ("vgg1d", 36_395_397),
        ("attresnet", 4_902_021),
        ("restransformer", 10_156_165),
        ("rawtransformer", 1_590_277),
    ],
)
def test_weights_at_the_papers_sizes(name: str, weights: int) -> None:
    """On 2,048 samples of 12 leads, with the five superclasses."""
    with torch.device("meta"):
        model = create(name, 12, 5, 2048)
    macs = multiply_adds(model, 12, 2048)
    assert (weights, macs) == COUNTS[name](12, 5, 2048)
    assert weights == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("layers", "stages"), [("11", (1, 1, 2, 2, 2)), ("16", (2, 2, 3, 3, 3))])
@pytest.mark.parametrize(("pool", "pooled"), [("time", 7 * 512), ("as coded", 49)])
def test_each_vgg_has_its_weights(
    layers: str, stages: tuple[int, ...], pool: str, pooled: int
) -> None:
    with torch.device("meta"):
        model = create("vgg1d", 12, 5, 2048, layers=layers, pool=pool)
    weights, macs = vgg(12, 5, 2048, stages, pooled)
    if layers == "11":  # a norm's two numbers a channel, where 16 has one bias
        weights += 64 + 128 + 2 * 256 + 4 * 512
    assert sum(p.numel() for p in model.parameters()) == weights
    assert multiply_adds(model, 12, 2048) == macs


def test_the_grus_three_gates() -> None:
    with torch.device("meta"):
        gru, lstm = (create("crnn", 12, 5, 2048, cell=cell) for cell in ("GRU", "LSTM"))
    recurrence = [
        sum(p.numel() for p in model.get_submodule("recurrence").parameters())
        for model in (gru, lstm)
    ]
    assert recurrence == [gates * (512 * 256 + 3 * 256 * 256 + 4 * 256) for gates in (3, 4)]


@pytest.mark.parametrize("sizes", ["tiny", "small"])
@pytest.mark.parametrize("name", NAMES)
def test_all_weights_learn_at_the_chapters_sizes(name: str, sizes: str) -> None:
    total, learn = learning(create(name, 12, 1, 200, **SIZES[sizes][name]), 12, 200)
    assert total == learn
    least, most = (10_000, 60_000) if sizes == "tiny" else (200_000, 600_000)
    assert least < total < most


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("vgg1d", {"layers": "11"}),
        ("vgg1d", {"pool": "as coded"}),
        ("crnn", {"cell": "GRU"}),
        ("rawtransformer", {"kernel": 3, "stride": 1}),
    ],
)
def test_all_weights_learn_of_the_other_kinds(name: str, sizes: dict[str, object]) -> None:
    model = small(name, 100, **sizes)
    total, learn = learning(model, 12, 100)
    assert total == learn
    assert model(torch.randn(1, 12, entry(name).min_samples)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_the_shortest_length_is_the_least_that_trains_on_one_window(name: str) -> None:
    """Of the others, one sample already is filled up to what their layers need."""
    least = 33 if "channels" in SMALL[name] and name not in ("alexnet1d", "vgg1d") else 1
    assert entry(name).min_samples == least
    small(name)(torch.randn(1, 12, least)).sum().backward()
    if least > 1:
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            small(name)(torch.randn(1, 12, least - 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [250, 253, 2048])
def test_every_sample_of_every_lead_counts(name: str, samples: int) -> None:
    """A max may pass over a sample: of four windows and many channels it never does so to all."""
    model = small(name).double().eval()
    windows = exact(8, 12, samples).requires_grad_()
    model(windows).square().sum().backward()
    assert windows.grad is not None
    assert (windows.grad != 0).any(dim=0).all()


@pytest.mark.parametrize("name", [name for name in NAMES if "dropout" in SMALL[name]])
def test_dropout_is_silent_in_evaluation_and_heard_in_training(name: str) -> None:
    windows = torch.randn(4, 12, 200)
    model = small(name, 200, dropout=0.5)
    assert not torch.equal(model(windows), model(windows))
    model.eval()
    assert torch.equal(model(windows), model(windows))
    without = small(name, 200, dropout=0.0)
    assert torch.equal(without(windows), without(windows))


# The trunk, and what stands on it.


def test_the_trunk_makes_64_steps_of_512() -> None:
    with torch.device("meta"):
        assert Trunk(12, (64, 128, 256, 512))(torch.zeros(1, 12, 2048)).shape == (1, 512, 64)


def test_the_trunk_is_the_one_dimensional_net() -> None:
    """Written with one-dimensional convolutions, from its weights."""
    trunk = mixed(Trunk(3, (4, 6, 6, 8))).eval()
    held = {key: value.squeeze(2) for key, value in trunk.state_dict().items() if value.ndim == 4}
    norms = trunk.state_dict()

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        kernel = held[f"{conv}.weight"]
        x = F.conv1d(x, kernel, stride=stride, padding=kernel.shape[2] // 2)
        own = [norms[f"{norm}.{part}"] for part in ("running_mean", "running_var")]
        return F.batch_norm(x, *own, norms[f"{norm}.weight"], norms[f"{norm}.bias"])

    windows = exact(2, 3, 150)
    x = F.max_pool1d(layer(windows, "stem.0.0", "stem.0.1", 2).relu(), 3, 2, 1)
    for i in range(4):
        for j in range(2):
            at, stride = f"body.{i}.{j}", 2 if i > 0 and j == 0 else 1
            y = layer(x, f"{at}.first.0", f"{at}.first.1", stride).relu()
            y = layer(y, f"{at}.second.0", f"{at}.second.1")
            if f"{at}.shortcut.0.weight" in held:
                x = layer(x, f"{at}.shortcut.0", f"{at}.shortcut.1", stride)
            x = (x + y).relu()
    torch.testing.assert_close(trunk(windows), x)


def test_the_resnet_reads_the_mean() -> None:
    model = small("resnet18_1d").double().eval()
    windows = exact(2, 12, 300)
    maps = model.get_submodule("trunk")(windows)
    torch.testing.assert_close(model(windows), model.head(maps.sum(dim=2) / maps.shape[2]))


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_the_crnns_recurrence_looks_back_alone(cell: str) -> None:
    model = small("crnn", cell=cell).double().eval()
    maps = exact(1, 16, 12)
    changed = maps.clone()
    changed[..., 7] += 1
    states = [model.get_submodule("recurrence")(given) for given in (maps, changed)]
    apart = (states[0] - states[1]).abs().amax(dim=2)[0]  # (12,)
    assert (apart[:7] == 0).all()
    assert (apart[7:] > 0).all()  # the last one too, which the head reads
    seen = model.features(exact(1, 12, 300))
    assert seen.shape == (1, 24)


def test_the_crnns_answer_is_its_last_state() -> None:
    model = small("crnn").double().eval()
    windows = exact(2, 12, 300)
    states = model.get_submodule("recurrence")(model.get_submodule("trunk")(windows))
    torch.testing.assert_close(model(windows), model.head(states[:, -1]))
    changed = windows.clone()
    changed[..., 0] += 1
    assert not torch.allclose(model(windows), model(changed), atol=1e-12)


def test_forget_gates_begin_open_and_nothing_else_is_biased() -> None:
    lstm = create("crnn", 12, 5, 300, **SMALL["crnn"]).get_submodule("recurrence.cell")
    for key, weight in lstm.named_parameters():
        if key.startswith("bias"):
            assert weight.view(4, 24)[1].eq(1).all()  # input, forget, cell, output
            assert weight.view(4, 24)[[0, 2, 3]].eq(0).all()
        if key.startswith("weight_hh"):
            assert torch.allclose(weight.T @ weight, torch.eye(24), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weights_begin_as_the_released_training_draws_them(name: str) -> None:
    model = create(name, 12, 5, 300, **SIZES["small"][name])
    attends = [part for part in model.modules() if isinstance(part, SelfAttention)]
    assert bool(attends) == (name in ATTENDING)
    glorot = {id(linear) for part in attends for linear in (part.project, part.out)}
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            out, into, *kernel = part.weight.shape
            expected = 0.01
            if isinstance(part, nn.Conv2d):
                expected = (2 / (out * math.prod(kernel))) ** 0.5
            elif id(part) in glorot:
                expected = (2 / (out + into)) ** 0.5
            elif name in ("alexnet1d", "vgg1d") and part is not model.head:
                expected *= (4096 / 256) ** 0.5
            off = abs(float(part.weight.detach().std()) / expected - 1)
            assert off < 4 / part.weight.numel() ** 0.5  # more than five deviations of it
            assert part.bias is None or not part.bias.any()


# Attention.


def test_attention_by_hand() -> None:
    """Two heads of two, over three steps."""
    layer = mixed(SelfAttention(4, 2))
    x = exact(1, 3, 4)
    query, key, value = (x[0] @ layer.project.weight.T + layer.project.bias).chunk(3, dim=1)
    heads = []
    for head in (slice(0, 2), slice(2, 4)):
        pairs = (query[:, head] @ key[:, head].T / math.sqrt(2)).exp()  # (3, 3)
        heads.append(pairs / pairs.sum(dim=1, keepdim=True) @ value[:, head])
    expected = torch.cat(heads, dim=1) @ layer.out.weight.T + layer.out.bias
    torch.testing.assert_close(layer(x)[0], expected)


@pytest.mark.parametrize("width", [8, 64])
def test_attention_in_bfloat16_is_close_and_of_its_kind(width: int) -> None:
    """Narrow heads are reckoned in float32 there, as their gradients are slow otherwise."""
    given = [torch.randn(2, 2, 30, width).bfloat16().requires_grad_() for _ in range(3)]
    with torch.autocast("cpu", torch.bfloat16):
        seen = attention(*given)
    assert seen.dtype == torch.bfloat16
    full = F.scaled_dot_product_attention(*(one.detach().float() for one in given))
    assert (seen.float() - full).abs().max() < 0.02
    seen.float().sum().backward()
    assert all(one.grad is not None and one.grad.dtype == torch.bfloat16 for one in given)


def test_an_encoder_layer_is_torchs_own() -> None:
    ours = mixed(EncoderLayer(8, 2, 16, 0.0))
    theirs = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True).double()
    pairs = {"in_proj_": "attend.project.", "out_proj.": "attend.out."}
    names = {f"self_attn.{a}{k}": f"{b}{k}" for a, b in pairs.items() for k in ("weight", "bias")}
    layers = {
        "linear1": "feed.0",
        "linear2": "feed.3",
        "norm1": "first_norm",
        "norm2": "second_norm",
    }
    names |= {f"{a}.{k}": f"{b}.{k}" for a, b in layers.items() for k in ("weight", "bias")}
    held = ours.state_dict()
    theirs.load_state_dict({their: held[our] for their, our in names.items()})
    x = exact(2, 9, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_attresnet_is_the_mean_of_what_its_steps_see() -> None:
    model = small("attresnet").double().eval()
    windows = exact(2, 12, 300)
    steps = model.get_submodule("trunk")(windows).transpose(1, 2)  # (2, 10, 16)
    seen = model.get_submodule("attend")(steps)
    torch.testing.assert_close(model(windows), model.head(seen.mean(dim=1)))


@pytest.mark.parametrize("name", ["restransformer", "rawtransformer"])
def test_the_transformers_tell_each_step_where_it_stands(name: str) -> None:
    model = small(name).double().eval()
    windows = exact(2, 12, 300)
    if name == "restransformer":
        steps = model.get_submodule("trunk")(windows).transpose(1, 2)
    else:
        steps = model.get_submodule("embedding")(windows)
    place = torch.arange(steps.shape[1], dtype=torch.float64)[:, None]
    angle = place / 10_000 ** (torch.arange(0, 16, 2, dtype=torch.float64) / 16)
    waves = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)  # (S, 16)
    x = steps + waves
    for layer in model.get_submodule("encoder").children():
        x = layer(x)
    torch.testing.assert_close(model(windows), model.head(x.mean(dim=1)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 3), (17, 16), (5, 5)])
@pytest.mark.parametrize("samples", [1, 30, 48, 50])
def test_tokens_of_raw_samples_by_hand(kernel: int, stride: int, samples: int) -> None:
    model = small("rawtransformer", kernel=kernel, stride=stride).double()
    embedding = model.get_submodule("embedding")
    window = exact(1, 12, samples)
    tokens = embedding(window)
    assert tokens.shape == (1, -(-samples // stride), 16)
    weight = embedding.get_parameter("conv.weight").squeeze(2)  # (16, 12, kernel)
    for i, token in enumerate(tokens[0]):
        expected = torch.zeros(16, dtype=torch.float64)
        for j in range(kernel):
            at = i * stride - (kernel - stride) // 2 + j
            if 0 <= at < samples:
                expected += weight[:, :, j] @ window[0, :, at]
        torch.testing.assert_close(token, expected)


# Pooling by parts.


@pytest.mark.parametrize("steps", [1, 3, 7, 63, 64, 157])
@pytest.mark.parametrize("parts", [6, 7])
def test_means_of_parts_are_torchs_adaptive_pooling(steps: int, parts: int) -> None:
    maps = exact(2, 5, 1, steps)
    expected = F.adaptive_avg_pool1d(maps[:, :, 0], parts)
    torch.testing.assert_close(mean_of_parts(maps, 3, parts)[:, :, 0], expected)


def test_the_vgg_as_coded_pools_channels_to_49_features() -> None:
    model = small("vgg1d", pool="as coded", channels=(8, 8, 16, 16, 512)).double()
    pool = model.get_submodule("pool")
    assert model.get_submodule("hidden.0").get_parameter("weight").shape == (32, 49)
    maps = exact(2, 512, 1, 64)
    coded = nn.AdaptiveAvgPool2d(7)(maps.squeeze(2))  # the released layer, on the released maps
    assert coded.shape == (2, 7, 7)
    torch.testing.assert_close(pool(maps), coded.flatten(1))


def test_the_vgg_as_coded_mixes_channels() -> None:
    """Of 14 channels, two make a feature: what one gains and the other loses is not seen."""
    windows = {
        pool: small("vgg1d", pool=pool, channels=(8, 8, 8, 8, 14)) for pool in ("time", "as coded")
    }
    maps = torch.zeros(1, 14, 1, 7)
    maps[0, :, 0] = torch.arange(14.0)[:, None]
    found = {pool: model.get_submodule("pool")(maps) for pool, model in windows.items()}
    assert found["as coded"].view(7, 7).tolist() == [[0.5 + 2 * part] * 7 for part in range(7)]
    assert found["time"].view(14, 7).tolist() == [[float(channel)] * 7 for channel in range(14)]
    moved = maps.clone()
    moved[:, 4], moved[:, 5] = maps[:, 5], maps[:, 4]
    again = {pool: model.get_submodule("pool")(moved) for pool, model in windows.items()}
    assert torch.equal(found["as coded"], again["as coded"])
    assert not torch.equal(found["time"], again["time"])


@pytest.mark.parametrize("name", ["alexnet1d", "vgg1d"])
def test_2048_samples_are_not_filled_up(name: str) -> None:
    """And the steps are those of the released code, of torch's layers without padding."""
    steps = {"alexnet1d": 63, "vgg1d": 64}[name]
    model = small(name)
    shapes = []
    pool = model.get_submodule("pool")
    hook = pool.register_forward_hook(
        lambda _module, given, _found: shapes.append(given[0].shape[3])
    )
    for samples in (2048, 2047, 2049):
        model(torch.randn(1, 12, samples))
    hook.remove()
    assert shapes[:2] == [steps, steps]
    assert shapes[2] == {"alexnet1d": 63, "vgg1d": 65}[name]


@pytest.mark.parametrize(
    ("name", "sizes", "says"),
    [
        ("resnet18_1d", {"channels": (8, 8)}, "give 4 whole numbers"),
        ("crnn", {"cell": "RNN"}, "give one of LSTM, GRU"),
        ("vgg1d", {"layers": "13"}, "give one of 11, 16"),
        ("vgg1d", {"pool": "both"}, "give one of time, as coded"),
        ("attresnet", {"heads": 3}, "channels that end with 16 and 3 heads"),
        ("restransformer", {"heads": 3}, "the width 16 with 3 heads; give an even width"),
        ("rawtransformer", {"width": 9, "heads": 3}, "the width 9 with 3 heads"),
        ("rawtransformer", {"kernel": 4}, "the kernel 4 and the stride 3; give an odd kernel"),
        ("rawtransformer", {"stride": 6}, "the kernel 5 and the stride 6"),
    ],
)
def test_refusals(name: str, sizes: dict[str, object], says: str) -> None:
    with pytest.raises(PecgError) as caught:
        small(name, **sizes)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_training_repeats_itself(name: str) -> None:
    """With torch's own check on that no operation does otherwise."""
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    found = []
    try:
        for _ in range(2):
            torch.manual_seed(3)
            model = small(name, 200)
            model(torch.randn(4, 12, 200)).square().sum().backward()
            found.append([p.grad for p in model.parameters()])
    finally:
        torch.use_deterministic_algorithms(was)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
