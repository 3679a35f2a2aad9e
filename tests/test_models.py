"""The registry and its models."""

import inspect
import subprocess
import sys

import pytest
import torch
from ptbxl_by_hand import COUNTS as OF_PTBXL
from torch import Tensor, nn
from transfer_by_hand import COUNTS as OF_TRANSFER
from transfer_by_hand import SMALL as TRANSFER

from pecg_utils.errors import PecgError
from pecg_utils.models import NAMES, create, entry, settings, table, window

HEAD: dict[str, object] = {"head": 16, "dropout": 0.0}
SMALL: dict[str, dict[str, object]] = {
    "resnet1d": {"channels": (8, 8, 16, 16), "blocks": 1, "kernel": 3},
    "bilstm": {"hidden": 12, "dropout": 0.0},
    "transformer": {"d_model": 16, "heads": 2, "feedforward": 32, "depth": 1, "dropout": 0.0},
    "mamba2": {"d_model": 16, "d_state": 8, "depth": 1},
    "cnn_ecg_mamba": {"channels": (8, 8, 16, 16), "depth": 1, "d_state": 4, "drop_path": 0.0},
    "agcacl": {
        "channels": (8, 8, 16, 16),
        "heads": 2,
        "feedforward": 32,
        "depth": 1,
        "dropout": 0.0,
    },
    "mrmnet": {"width": 4, "dropout": 0.0},
    "xresnet1d101": {"stem": (4, 4, 8), "channels": 4, "blocks": (1, 1, 2, 1), **HEAD},
    "resnet1d_wang": {"channels": 8, **HEAD},
    "fcn_wang": {"channels": (8, 16, 8), **HEAD},
    "inceptiontime": {"filters": 4, "bottleneck": 4, "depth": 3, **HEAD},
    "lstm_bidir": {"hidden": 12, **HEAD},
    "peace": {
        "channels": (8, 8, 16, 16),
        "blocks": 1,
        "kernel": 3,
        "heads": 2,
        "feedforward": 32,
        "dropout": 0.0,
    },
    **TRANSFER,
}
COUNTS = OF_PTBXL | OF_TRANSFER
# No logit depends on these: BiLstm reads the last step; Peace's learn from its alignment alone.
STILL = {
    "bilstm": ["recurrence.lstm.weight_hh_l1_reverse"],
    "peace": ["embed.weight", "embed.bias"],
}


pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def small(name: str, leads: int = 12, classes: int = 5, samples: int = 300) -> nn.Module:
    return create(name, leads, classes, samples, **SMALL[name])


def logits_of(model: nn.Module, windows: Tensor) -> Tensor:
    """The logits for windows (B, L, T), and for noise where a model takes a second signal."""
    _, *beside = window(model, *windows.shape[1:], count=len(windows))
    noise = torch.Generator().manual_seed(1)
    for i, signal in enumerate(beside):
        if signal.is_floating_point():  # and no mask
            beside[i] = torch.randn(signal.shape, generator=noise).to(windows)
    answer = model(windows, *beside)
    logits: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return logits


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leads", [9, 12])
@pytest.mark.parametrize("samples", [250, 300, 301, 1000])
def test_any_length_gives_logits(name: str, leads: int, samples: int) -> None:
    model = small(name, leads, samples=samples)
    # In training, where a batch of one must do too.
    logits = logits_of(model, torch.randn(1, leads, samples))
    assert logits.shape == (1, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_shortest_window(name: str) -> None:
    shortest = entry(name).min_samples
    model = small(name, samples=shortest)
    assert logits_of(model, torch.randn(1, 12, shortest)).shape == (1, 5)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_sample_counts(name: str) -> None:
    """Where the length is no multiple of a patch or a chunk, no tail is dropped."""
    model = small(name, samples=301).eval()
    given = torch.randn(1, 12, 301)
    changed = given.clone()
    changed[..., -1] += 5
    assert not torch.allclose(logits_of(model, given), logits_of(model, changed), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name: str) -> None:
    model = small(name)
    logits_of(model, torch.randn(4, 12, 300)).square().sum().backward()
    still = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == STILL.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_overfits_eight_windows(name: str) -> None:
    model = small(name, samples=120)
    windows, labels = torch.randn(8, 12, 120), (torch.rand(8, 5) < 0.5).float()
    steps = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = nn.functional.binary_cross_entropy_with_logits(logits_of(model, windows), labels)
        steps.zero_grad()
        loss.backward()
        steps.step()
        if loss < 0.05:
            break
    assert loss < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_close(name: str) -> None:
    model = small(name).eval()
    windows = torch.randn(4, 12, 300)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = logits_of(model, windows)
    with torch.no_grad():
        full = logits_of(model, windows)
    largest = max(1.0, float(full.abs().max()))  # bfloat16 is exact to a part of the number
    assert torch.allclose(half.float(), full, atol=0.05 * largest)


@pytest.mark.parametrize("name", NAMES)
def test_float64_runs_through(name: str) -> None:
    model = small(name).double().eval()
    windows = torch.randn(2, 12, 300, dtype=torch.float64)
    with torch.no_grad():
        exact = logits_of(model, windows)
        assert exact.dtype == torch.float64
        close = logits_of(model.float(), windows.float()).double()
        assert torch.allclose(exact, close, atol=1e-4)


def test_mamba2_gives_the_same_for_any_chunk() -> None:
    models = [
        create("mamba2", 12, 19, 300, chunk=chunk, d_model=32).double() for chunk in (30, 1, 64)
    ]
    windows = torch.randn(2, 12, 300, dtype=torch.float64)
    for other in models[1:]:
        other.load_state_dict(models[0].state_dict())
        assert torch.allclose(models[0](windows), other(windows), atol=1e-10, rtol=0)


def test_mamba2_block_is_causal() -> None:
    block = create("mamba2", 12, 5, 100, d_model=16).get_submodule("blocks.0")
    x = torch.randn(1, 100, 16)
    changed = x.clone()
    changed[:, 40] += 1
    first, second = block(x), block(changed)
    assert torch.allclose(first[:, :40], second[:, :40], atol=1e-6)
    assert (first[:, 40:] - second[:, 40:]).abs().amax(-1).min() > 1e-6


def test_mamba2_block_is_the_published_one() -> None:
    """The whole block written out sample by sample, from its weights."""
    sizes = {"d_model": 16, "d_state": 4, "headdim": 8, "chunk": 7}
    block = create("mamba2", 12, 5, 20, **sizes).double().get_submodule("blocks.0.block")
    w = {k: v.detach() for k, v in block.named_parameters()}
    w["D"].normal_()
    w["norm.weight"].normal_()
    signal = torch.randn(20, 16, dtype=torch.float64)
    projected = signal @ w["in_proj.weight"].T
    z, mixed, dt = projected[:, :32], projected[:, 32:72], projected[:, 72:]
    state, out = torch.zeros(4, 8, 4, dtype=torch.float64), []
    for t in range(20):
        seen = [(k, t - 3 + k) for k in range(4) if t - 3 + k >= 0]
        now = w["conv.conv.bias"] + sum(
            w["conv.conv.weight"][:, 0, 0, k] * mixed[s] for k, s in seen
        )
        now = now / (1 + torch.exp(-now))
        x, b, c = now[:32].reshape(4, 8), now[32:36], now[36:]
        step = torch.log1p(torch.exp(dt[t] + w["dt_bias"]))
        keep = torch.exp(-step * torch.exp(w["A_log"]))
        state = keep[:, None, None] * state + step[:, None, None] * x[:, :, None] * b
        y = (state @ c + w["D"][:, None] * x).flatten() * z[t] / (1 + torch.exp(-z[t]))
        y = y / torch.sqrt(y.square().mean() + torch.finfo(torch.float64).eps) * w["norm.weight"]
        out.append(w["out_proj.weight"] @ y)
    assert torch.allclose(block(signal[None])[0], torch.stack(out), atol=1e-10, rtol=0)


def test_mamba2_begins_as_published() -> None:
    block = create("mamba2", 12, 19, 300, d_model=512).get_submodule("blocks.0.block")
    rates = block.get_parameter("A_log").exp()
    steps = nn.functional.softplus(block.get_parameter("dt_bias"))
    assert 1 <= rates.min() < 2
    assert 15 < rates.max() <= 16
    assert 0.00099 < steps.min() < 0.0015
    assert 0.07 < steps.max() < 0.101
    assert 0.007 < steps.median() < 0.014  # log-uniform: the middle is the geometric mean


def conv(c_in: int, c_out: int, kernel: int) -> int:
    return c_in * c_out * kernel


def by_hand(name: str, L: int = 12, C: int = 19, T: int = 300) -> tuple[int, int]:
    """Weights and multiply-adds at the default sizes, written out."""
    if name in COUNTS:
        return COUNTS[name](L, C, T)
    if name == "resnet1d":
        weights, macs = conv(L, 64, 15) + 2 * 64, conv(L, 64, 15) * T // 2
        c_in, steps = 64, T // 4
        for c in (64, 128, 256, 512):
            if c != c_in:
                steps = (steps + 1) // 2
                weights += c_in * c + 2 * c  # the shortcut and its norm
                macs += c_in * c * steps
            kernels = conv(c_in, c, 7) + 3 * conv(c, c, 7)
            weights += kernels + 4 * 2 * c
            macs += kernels * steps
            c_in = c
        return weights + 512 * C + C, macs + 512 * C
    if name == "bilstm":
        H = 128
        cell = [4 * H * (width + H) for width in (L, 2 * H)]  # input and recurrent, four gates
        return 2 * (sum(cell) + 2 * 8 * H) + 2 * H * C + C, 2 * T * sum(cell) + 2 * H * C
    if name == "transformer":
        D, F, S = 128, 256, T // 3
        layer = 3 * D * D + D * D + 2 * D * F
        head = D * 64 + 64 * C
        weights = 3 * L * D + D + 2 * (layer + 4 * D + F + D + 4 * D) + head + 64 + C
        return weights, S * 3 * L * D + 2 * (S * layer + 2 * S * S * D) + head
    if name == "cnn_ecg_mamba":
        D, N, E, R, S = 384, 16, 768, 24, 1 + -(-T // 8)
        weights = macs = 0
        c_in, steps = L, T
        for c, k, stride in zip((64, 128, 256, D), (15, 7, 5, 3), (2, 2, 2, 1), strict=True):
            steps = -(-steps // stride)
            weights += conv(c_in, c, k) + 2 * c
            macs += conv(c_in, c, k) * steps
            c_in = c
        linear = E * (R + 2 * N) + R * E  # to step, B and C, and from the step's low rank
        one_way = linear + E * (4 + 1) + E + E * N + E  # convolution, bias of the step, A, D
        block = D * 2 * E + 2 * one_way + E * D + D
        weights += 1024 * D + D + 24 * block + D + D * C + C
        scan = E * (4 + N)  # the convolution, and the state into the output
        macs += 24 * S * (D * 2 * E + 2 * (linear + scan) + E * D) + D * C
        return weights, macs
    if name == "agcacl":
        D, F, sizes = 128, 256, ((32, 15), (64, 7), (128, 5), (128, 3))
        weights, macs, tokens = 0, 0, []
        for c_in, steps in ((L, T), (7, round(T * 977 / 500))):
            for c, k in sizes:
                steps = -(-steps // 2)
                weights += conv(c_in, c, k) + 2 * c
                macs += conv(c_in, c, k) * steps
                c_in = c
            tokens.append(steps)
        S, R = tokens
        ask = 4 * D * D  # query, key, value and out
        weights += 2 * (ask + 4 * D + 2 * D) + 2 * D * D + D  # both ways, with norms; the gate
        macs += (S + R) * ask + 2 * 2 * S * R * D  # both signals ask and are asked
        macs += S * R * D + S * 2 * D * D  # to the ECG's places; the gate
        layer = ask + 2 * D * F
        weights += 2 * (layer + 4 * D + F + D + 4 * D) + D * C + C
        return weights, macs + 2 * (S * layer + 2 * S * S * D) + D * C
    if name == "mrmnet":
        w, A = 32, 4 * -(-T // 4) + 4  # steps after the stem, each of whose pools adds one
        weights = macs = 0
        c_in = L
        for i, (c, k) in enumerate(((w, 11), (2 * w, 7), (4 * w, 5), (4 * w, 3))):
            weights += conv(c_in, c, k) + 2 * c
            macs += conv(c_in, c, k) * (A - 4 + i)
            c_in = c
        for D, S, basics, gated in ((4 * w, A // 2, 3, 0), (8 * w, A // 4, 3, 2)):
            scale, short = conv(c_in, D, 3 + 13 + 23 + 33), conv(c_in, D, 3)
            weights += scale + short + 2 * 2 * D
            macs += (conv(c_in, D, 33) + short) * 2 * S  # the four kernels as one
            basic, grouped = 2 * conv(D, D, 3), conv(16, D, 7) + conv(16, D, 3)
            squeeze = 2 * D * (D // 4)
            gates = gated + 1  # pairs of eca and se, the last of them in the fusion block
            weights += (basics + 1) * (basic + 4 * D)
            weights += gates * (grouped + 4 * D + squeeze + D // 4 + D)
            macs += ((basics + 1) * basic + gates * grouped) * S + gates * squeeze
            by_channel = 2 * D * (D // 8)
            weights += by_channel + 2 * (D // 8) + D + 2 * 7 + 2 * 2 * D  # gates, and the norm
            macs += 2 * by_channel + 2 * 7 * S
            mix = conv(2 * D, D, 3) + conv(D, D, 3) + 2 * D * D
            weights += mix + 3 * 2 * D + 2 * D + D * C + C
            macs += mix * S + D * C
        return weights, macs
    if name == "peace":
        D, E, F, S = 256, 128, 512, -(-T // 2)
        weights, macs, c_in = conv(L, 64, 15) + 2 * 64, conv(L, 64, 15) * S, 64
        for c in (64, 128, 256, 256):
            if c_in != 64 or c != 64:
                S = -(-S // 2)
                weights += c_in * c + 2 * c  # the shortcut and its norm
                macs += c_in * c * S
            kernels = conv(c_in, c, 7) + 3 * conv(c, c, 7)
            weights += kernels + 4 * 2 * c
            macs += kernels * S
            c_in = c
        weights += 2 * D + D * D + D  # norm of the tokens, embedding
        weights += E * D + D + 2 * D  # of text, with its norm
        weights += 4 * D * D + 4 * D + 2 * D + 2 * D * F + F + D + 2 * D + D + 1
        macs += D * D + C * E * D // 2  # the labels' texts once for the two windows of the count
        macs += 2 * C * D * D + 2 * S * D * D + 2 * C * S * D  # query, out; key, value; attention
        return weights, macs + 2 * C * D * F + C * D
    D, N, H, P, Q = 128, 64, 32, 8, 30
    E = H * P
    width = E + 2 * N
    linear = D * (E + width + H) + E * D
    weights = L * D + D + 2 * (linear + 5 * width + 3 * H + E + D) + D + D * C + C
    scan = Q * N + Q * E + N * E + N * E  # C·B, mixing, into the state and out of it, per sample
    return weights, T * (L * D + 2 * (linear + 4 * width + scan)) + D * C


@pytest.mark.parametrize("name", NAMES)
def test_table_counts_as_by_hand(name: str) -> None:
    row = table().set_index("model").loc[name]
    assert (row["weights"], row["multiply_adds"]) == by_hand(name)


def test_table_follows_its_arguments() -> None:
    nine = table(n_leads=9, n_classes=5, n_samples=90).set_index("model")
    for name in ("bilstm", "transformer", "mamba2"):
        counted = (nine.loc[name, "weights"], nine.loc[name, "multiply_adds"])
        assert counted == by_hand(name, 9, 5, 90)


@pytest.mark.parametrize("name", NAMES)
def test_entry_names_the_sizes_that_the_model_takes(name: str) -> None:
    known = entry(name)
    keywords = [
        p.name
        for p in inspect.signature(known.model).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    assert sorted(keywords) == sorted(size.name for size in known.sizes)
    rows = settings(name)
    assert set(rows["tag"]) <= {"paper", "code", "ours"}
    assert (rows["source"] != "").all()


@pytest.mark.parametrize(
    ("name", "leads", "samples", "sizes", "says"),
    [
        ("resnet", 12, 300, {}, "no model 'resnet'. Did you mean resnet1d?"),
        (
            "zebra",
            12,
            300,
            {},
            "alexnet1d, vgg1d, attresnet, restransformer, rawtransformer.",
        ),
        ("resnet1d", 12, 300, {"chanels": (1, 2, 3, 4)}, "Did you mean channels?"),
        ("resnet1d", 0, 300, {}, "given 0 leads; it takes 1 to 16"),
        ("resnet1d", 17, 300, {}, "given 17 leads; it takes 1 to 16"),
        ("resnet1d", 12, 63, {}, "given 63 samples; it takes at least 64"),
        ("bilstm", 12, 5001, {}, "given 5001 samples; it takes 1 to 5000"),
        ("bilstm", 12, True, {}, "given True samples; give a whole number"),
        ("bilstm", 12, 300, {"dropout": 1.0}, "given as 1.0; give a number from 0 to below 1"),
        ("bilstm", 12, 300, {"hidden": 0}, "given as 0; give a whole number from 1"),
        ("bilstm", 12, 300, {"hidden": "big"}, "given as 'big'; give a whole number"),
        ("resnet1d", 12, 300, {"channels": (8, 16)}, "give 4 whole numbers from 1"),
        ("resnet1d", 12, 300, {"channels": (8, 16, 0, 8)}, "give 4 whole numbers from 1"),
        ("resnet1d", 12, 300, {"kernel": 4}, "given as 4; give an odd one"),
        ("transformer", 12, 300, {"heads": 3}, "d_model 128 with 3 heads"),
        ("transformer", 12, 300, {"d_model": 9, "heads": 3}, "d_model 9 with 3 heads"),
        ("mamba2", 12, 300, {"headdim": 7}, "headdim 7, which does not divide"),
        ("cnn_ecg_mamba", 12, 300, {"directions": 3}, "given 3 directions; give 1 or 2"),
        ("cnn_ecg_mamba", 12, 300, {"core": "dual"}, "give one of scan, duality"),
        ("cnn_ecg_mamba", 12, 300, {"depth": -1}, "given as -1; give a whole number from 0"),
        ("cnn_ecg_mamba", 12, 300, {"depth": 0}, "given depth 0 and the pool token"),
        ("cnn_ecg_mamba", 12, 300, {"pool": "max"}, "given as 'max'; give one of token, mean"),
        ("cnn_ecg_mamba", 12, 300, {"kernels": (15, 7, 4, 3)}, "given the kernel 4; give odd"),
        ("agcacl", 12, 300, {"kernels": (15, 6, 5, 3)}, "given the kernel 6; give odd"),
        ("agcacl", 12, 300, {"heads": 3}, "end with 128 and 3 heads; give an even width"),
        ("agcacl", 12, 300, {"branches": "ekg"}, "give one of both, ecg, iegm"),
        ("agcacl", 12, 16, {}, "given 16 samples; it takes at least 17"),
        ("mrmnet", 12, 300, {"width": 18}, "given width 18; give a multiple of 4"),
        ("mrmnet", 12, 300, {"width": 2}, "given as 2; give a whole number from 4"),
        ("mrmnet", 12, 300, {"streams": "mid"}, "give one of both, high, low"),
        ("mrmnet", 12, 300, {"exchange": 1}, "given as 1; give True or False"),
        ("mrmnet", 12, 300, {"exchange": True, "streams": "low"}, "the stream low alone"),
        ("peace", 12, 300, {"text": 18}, "given 19 classes and the text 18, too few numbers"),
        ("peace", 12, 300, {"heads": 3}, "end with 256 and 3 heads; give a width"),
        ("peace", 12, 300, {"kernel": 4}, "given as 4; give an odd one"),
        ("peace", 12, 300, {"axes": "both"}, "given as 'both'; give one of path, beside"),
        ("peace", 12, 16, {}, "given 16 samples; it takes at least 17"),
    ],
)
def test_refusals(name: str, leads: int, samples: int, sizes: dict[str, object], says: str) -> None:
    with pytest.raises(PecgError) as caught:
        create(name, leads, 19, samples, **sizes)
    assert says in str(caught.value)


def test_cnn_ecg_mamba_learns_by_duality_and_by_its_stem_alone() -> None:
    for changed, layers in (({"core": "duality"}, 1), ({"depth": 0, "pool": "mean"}, 0)):
        model = create("cnn_ecg_mamba", 12, 5, 300, **(SMALL["cnn_ecg_mamba"] | changed))
        assert len(model.get_submodule("layers")) == layers
        model(torch.randn(2, 12, 301)).square().sum().backward()
        still = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []


def test_no_classes_are_refused() -> None:
    with pytest.raises(PecgError, match="given 0 classes; it takes at least 1"):
        create("bilstm", 12, 0, 300)


def test_a_list_does_for_a_tuple() -> None:
    """Parameters come from YAML and JSON, which have no tuples."""
    assert create("resnet1d", 12, 19, 300, channels=[4, 4, 4, 4])(torch.randn(2, 12, 300)).numel()


def test_the_registry_does_not_import_torch() -> None:
    code = "import sys, pecg_utils.models; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
