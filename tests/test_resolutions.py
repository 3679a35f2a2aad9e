"""What a resolution sees, by hand; its gates, where they lie, and their mean around a beat."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pecg_utils import lessons, resolutions, train
from pecg_utils.data import ptbxl
from pecg_utils.data.inputs import Inputs, Scale
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.windows import Settings, Windows, prepare
from pecg_utils.errors import PecgError
from pecg_utils.models import create
from pecg_utils.models.mrmnet import MrmNet
from pecg_utils.protocol import Protocol
from pecg_utils.trial import Fold, Outcome

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

LEADS = ("II", "V1", "V5")
SIZES = {"width": 4}


def made(samples: int = 400, **sizes: object) -> MrmNet:
    model = create("mrmnet", len(LEADS), 2, samples, **(SIZES | sizes))
    assert isinstance(model, MrmNet)
    return model.eval()


def base(stream: str, first: int, last: int) -> tuple[int, int]:
    """The first and last sample that steps `first` to `last` of a base scale reach.

    Its kernel of 33 reaches 16 steps of the stem, and its maximum is over two. A step of the stem
    reaches 5 + 3 + 2 + 1 samples to either side by the kernels 11, 7, 5, 3, and 4 more to the left,
    as each of its maxima also looks one step back.
    """
    stride = {"high": 1, "low": 2}[stream]
    return 2 * stride * first - 16 - 15, stride * (2 * last + 1) + 16 + 11


def by_hand(steps: int, exchange: bool) -> dict[tuple[str, str], tuple[int, int]]:
    """The middle one of `steps` steps of the low stream and of twice as many of the high one."""
    h, q = steps, steps // 2
    deep = {"high": 3 * 2, "low": 3 * 2 + 2 * (3 + 1)}  # basic blocks reach 2 steps, eca 3, se 1
    mix = 2 + 3 + 1 + 2
    found = {("high", "stem"): (2 * steps - 15, 2 * steps + 11)}
    found["low", "stem"] = found["high", "stem"]
    for stream, k in (("high", h), ("low", q)):
        found[stream, "base scale"] = base(stream, k, k)
        found[stream, "blocks"] = base(stream, k - deep[stream], k + deep[stream])
        reach = deep[stream] + mix
        found[stream, "fusion"] = base(stream, k - reach, k + reach)
    if exchange:  # 14 steps of its own blocks; before them the other stream, by a kernel of 3
        for stage, own in (("exchange", 14), ("fusion", 14 + mix)):
            other = (h - own) // 2 - 1 - deep["low"], (h + own) // 2 + 1 + deep["low"]
            found["high", stage] = base("low", *other)  # the low one's step stands for two
            found["low", stage] = base("low", q - own - deep["low"], q + own + deep["low"])
    return found


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("samples", [400, 403])
def test_spans_are_those_of_the_kernels(exchange: bool, samples: int) -> None:
    """403 samples are filled up to 404."""
    found = resolutions.spans(made(exchange=exchange), len(LEADS), samples)
    assert list(found.columns) == ["stream", "stage", "step", "first", "last"]
    stages = ["stem", "base scale", "blocks", *["exchange"] * exchange, "fusion"]
    assert found["stage"].tolist() == [stage for stage in stages for _ in range(2)]
    long = {"high": 2, "low": 4}
    steps = [1 if row.stage == "stem" else long[row.stream] for row in found.itertuples()]
    assert found["step"].tolist() == steps
    expected = by_hand(-(-samples // 4) + 1, exchange)
    for row in found.itertuples():
        assert (row.first, row.last) == expected[row.stream, row.stage], row


def test_a_base_scale_reaches_as_far_as_its_longest_kernel() -> None:
    found = resolutions.spans(made(), len(LEADS), 200).set_index(["stage", "stream"])
    widths = (found["last"] - found["first"] + 1).to_dict()
    assert widths["stem", "high"] == 1 + 10 + 6 + 4 + 2 + 4  # the kernels, a sample each maximum
    assert widths["base scale", "high"] == 27 + 32 + 1  # the kernel 33, a maximum over two steps
    assert widths["base scale", "low"] == 27 + 32 + 2


def test_spans_of_one_stream_and_of_short_windows_end_with_the_window() -> None:
    found = resolutions.spans(made(streams="low"), len(LEADS), 100)
    assert found["stream"].unique().tolist() == ["low"]
    last = found.iloc[-1]
    assert (last["first"], last["last"]) == (0, 99)
    one = resolutions.spans(made(samples=1), len(LEADS), 1)
    assert one[["first", "last"]].eq(0).all(axis=None)


def test_spans_leave_the_model_and_the_random_numbers_as_they_were() -> None:
    model = made().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    resolutions.spans(model, len(LEADS), 100)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():  # batch norms under which every ReLU is shut
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.bias.fill_(-100.0)
    assert len(resolutions.spans(model, len(LEADS), 100)) == 8


def draw(model: MrmNet, samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(1, len(LEADS), samples)).astype(np.float32)


def hooked(model: MrmNet) -> int:
    return sum(len(part._forward_hooks) for part in model.modules())


@pytest.mark.parametrize("streams", ["both", "high", "low"])
def test_gates_are_those_of_the_fusion(streams: str) -> None:
    model = made(streams=streams).train()
    window = draw(model, 400)
    found = resolutions.gates(model, window)
    assert model.training
    assert hooked(model) == 0
    model.eval()
    assert tuple(found) == model.reads
    with torch.no_grad():
        stem = model.stem(torch.from_numpy(window))
        maps = model.blocks(*model.scales(*[stem] * len(model.reads)))
    for (stream, of), fusion, seen in zip(found.items(), model.fusion, maps, strict=True):
        with torch.no_grad():
            spatial, channel = fusion.spatial(seen), fusion.channel(seen)
        np.testing.assert_allclose(of.spatial, spatial.flatten().numpy(), atol=1e-6)
        np.testing.assert_allclose(of.channel, channel.flatten().numpy(), atol=1e-6)
        assert of.step == {"high": 2, "low": 4}[stream]
        assert len(of.edges) == len(of.spatial) + 1 == 404 // of.step + 1
        assert len(of.channel) == {"high": 16, "low": 32}[stream]


def test_a_step_lies_in_the_middle_of_what_its_base_scale_reaches() -> None:
    """The middle of 2k - 31 to 2k + 28, and of 4k - 31 to 4k + 29."""
    for samples in (40, 400, 1001):
        found = resolutions.gates(made(), draw(made(), samples))
        for stream, step, first in (("high", 2, -1.5), ("low", 4, -1.0)):
            np.testing.assert_array_equal(found[stream].centres[:3], first + step * np.arange(3))
            assert found[stream].edges[0] == first - step / 2
            assert found[stream].edges[-1] > samples - 1
    high = found["high"]
    assert (high.edges[1], high.edges[2]) == (-0.5, 1.5)  # samples 0 and 1 whole


def test_what_is_later_in_the_window_is_later_in_the_gates() -> None:
    model = made(samples=600).double()
    window = np.zeros((1, len(LEADS), 600))
    window[:, :, 280:284] = 3.0
    moved = np.roll(window, 40, axis=2)
    for stream, before in resolutions.gates(model, window).items():
        after = resolutions.gates(model, moved)[stream]
        shift = 40 // before.step
        middle = slice(len(before.spatial) // 3, len(before.spatial) // 3 * 2)
        assert np.ptp(before.spatial[middle]) > 1e-6
        # Not exactly: gates inside the blocks are means over the window, its edges included.
        np.testing.assert_allclose(
            after.spatial[middle.start + shift : middle.stop + shift],
            before.spatial[middle],
            atol=np.ptp(before.spatial) / 50,
        )


@pytest.mark.parametrize(("gates", "there"), [("channel", "channel"), ("spatial", "spatial")])
def test_a_gate_that_is_off_is_none(gates: str, there: str) -> None:
    model = made(gates=gates)
    for of in resolutions.gates(model, draw(model, 100)).values():
        given = {"spatial": of.spatial, "channel": of.channel}
        assert [name for name, gate in given.items() if gate is not None] == [there]


def test_gates_are_of_one_window() -> None:
    with pytest.raises(ValueError, match="2 windows"):
        resolutions.gates(made(), np.zeros((2, len(LEADS), 100), np.float32))


# Windows whose beats are known: a spike every 80 samples, in each of two windows a recording.
RR, SAMPLES = 80, 550


def made_up(records: int = 4, fs: float = 100.0) -> Windows:
    seconds = (np.arange(SAMPLES) % RR - RR / 2) / 100
    spike = np.exp(-0.5 * (seconds / 0.015) ** 2) + 0.25  # mV, 1 at 40, 120, ..., above 0.25
    height = np.repeat(1.0 + np.arange(records), 2)  # of a recording
    steps = np.round(1000 * spike * height[:, None, None] / records)
    steps = np.broadcast_to(steps, (2 * records, len(LEADS), SAMPLES)).astype(np.int16)
    of = np.repeat(np.arange(records), 2)
    return Windows(
        steps=steps,
        gain=np.full((2 * records, len(LEADS)), 1e-3 * records, np.float32),
        table=pd.DataFrame(
            {"record": [f"R{i}" for i in of], "patient": of, "start": np.tile([0, 5.5], records)}
        ),
        labels=np.eye(2, dtype=bool)[of % 2],
        classes=("a", "b"),
        settings=Settings(LEADS, fs=fs, seconds=SAMPLES / fs),
        report=Report(records, ()),
        key="made up",
    )


def inputs_of(windows: Windows, rows: np.ndarray | None = None) -> Inputs:
    rows = np.arange(len(windows)) if rows is None else rows
    measure = Scale(LEADS, np.zeros(3), np.ones(3))
    return Inputs(windows, rows, measure, windows.labels[rows])


def saw(monkeypatch: pytest.MonkeyPatch, phase: Callable[[np.ndarray], np.ndarray]) -> None:
    """The gates of each window as a function of the samples that a step lies on, by its height."""

    def opened(model: MrmNet, windows: np.ndarray) -> dict[str, tuple]:
        found = {}
        for stream, step, first, steps in (("high", 2, -1.5, 278), ("low", 4, -1.0, 139)):
            gate = phase(first + step * np.arange(steps))  # (S,)
            high = windows[:, :1].max(axis=2)  # (B, 1)
            found[stream] = (steps, gate / 10 * high, None)
        return found

    monkeypatch.setattr(resolutions, "_opened", opened)


def test_around_beats_lays_ecg_and_gates_on_the_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    saw(monkeypatch, lambda at: np.cos(2 * np.pi * (at - 40) / RR))
    windows = made_up()
    found = resolutions.around_beats(made(), inputs_of(windows))
    np.testing.assert_allclose(found.seconds, np.arange(-30, 51) / 100)
    # At 40, 120, ... 440; only 0.3 s of what follows the one at 520 is in the window.
    assert (found.recordings, found.beats, found.lead) == (4, 4 * 2 * 6, "II")
    heights = 1.0 + np.arange(4)
    spike = np.exp(-0.5 * (found.seconds / 0.015) ** 2) * heights.mean()
    within = np.abs(found.seconds) < 0.35
    np.testing.assert_allclose(found.ecg.mean[within], spike[within], rtol=0, atol=5e-3)
    wave = np.cos(2 * np.pi * found.seconds / 0.8) * 1.25 / 10
    for stream, step in (("high", 2), ("low", 4)):
        band = found.gates[stream]
        bent = 1.25 / 10 * 4 * (np.pi * step / RR) ** 2  # what a straight line between steps loses
        np.testing.assert_allclose(band.mean, wave * heights.mean(), rtol=0, atol=bent)
        at = np.abs(wave) > 0.05
        low, high = np.quantile(heights, [0.1, 0.9])
        wide = (band.high - band.low)[at]
        np.testing.assert_allclose(wide, np.abs(wave[at]) * (high - low), rtol=0.05)
        near = np.abs(found.seconds) < 0.0601
        assert found.levels(stream) == pytest.approx(
            (band.mean[near].mean(), band.mean[~near].mean())
        )


def test_r_is_the_farthest_from_the_level_near_each_qrs() -> None:
    at = np.arange(100, 1000, 90)
    signal = np.full((1000, 4), 0.7, np.float32)
    signal[at, :3] += 1.0
    signal[at + 3, 3] -= 0.8  # down, and a little later
    signal[at + 20, 3] += 1.2  # larger, but later than a QRS is long
    assert resolutions.r_samples(signal, 100.0, 0).tolist() == at.tolist()
    assert resolutions.r_samples(signal, 100.0, 3).tolist() == (at + 3).tolist()
    assert resolutions.r_samples(0 * signal, 100.0, 0).tolist() == []


def test_a_recording_counts_once_and_windows_without_a_beat_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saw(monkeypatch, np.ones_like)
    windows = made_up(records=3)
    steps = windows.steps.copy()
    steps[1] = steps[1, :, :1]  # R0 has beats in one window alone
    steps[4:] = 500  # R2 has none at all
    windows = dataclasses.replace(windows, steps=steps)
    found = resolutions.around_beats(made(), inputs_of(windows))
    assert (found.recordings, found.beats) == (2, 6 + 12)
    np.testing.assert_allclose(found.gates["high"].mean, (1.25 + 2.5) / 2 / 10, rtol=1e-3)
    assert found.ecg.mean.max() == pytest.approx(1.5, rel=1e-3)
    assert resolutions.around_beats(made(), inputs_of(windows), before=0.41).beats == 5 + 10
    rows = np.array([1, 2, 3])
    assert resolutions.around_beats(made(), inputs_of(windows, rows)).recordings == 1


def test_what_cannot_be_averaged_is_refused() -> None:
    windows = made_up(records=1)
    with pytest.raises(PecgError, match="gates channel"):
        resolutions.around_beats(made(gates="channel"), inputs_of(windows))
    with pytest.raises(PecgError, match="no lead V6"):
        resolutions.around_beats(made(), inputs_of(windows), lead="V6")
    with pytest.raises(PecgError, match="2 windows has a beat with 4 s before"):
        resolutions.around_beats(made(), inputs_of(windows), before=4.0, after=4.0)


def test_untrained_is_new_and_its_norms_know_the_windows() -> None:
    model, inputs = made(dropout=0.0), inputs_of(made_up())
    state = torch.get_rng_state()
    first, again, other = (resolutions.untrained(model, inputs, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [next(m.parameters()) for m in (model, first, again, other)]
    assert torch.equal(weights[1], weights[2])
    assert not any(torch.equal(weights[1], weights[i]) for i in (0, 3))
    conv, norm = first.stem.layers[0][:2]
    with torch.no_grad():
        windows = torch.from_numpy(inputs.batch(np.arange(len(inputs))))
        maps = conv(torch.nn.functional.pad(windows, (0, 2))[:, :, None])  # to a multiple of 4
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), atol=1e-4, rtol=1e-4)
    assert not first.training
    torch.testing.assert_close(model.stem.layers[0][1].running_mean, torch.zeros(4))


def kept(tmp_path: Path, windows: Windows, protocol: Protocol, sizes: dict) -> tuple:
    """What a trial of Windows leaves in its folder, untrained."""
    sides = {"train": np.arange(4), "validation": np.array([4]), "test": np.array([5, 7])}
    lesson = lessons.lesson(windows, windows.labels, sides, protocol, sizes, 1)
    weights = lesson.model.state_dict()
    train.save({**lesson.kept, "weights": weights, "objective": {}}, tmp_path / "model.pt")
    nothing = np.zeros((2, 2), np.float32)
    fold = Fold(tmp_path, sides, nothing, np.full(2, 0.5), {})
    facts = {"sizes": sizes, "curves": []}
    table = pd.DataFrame()
    outcome = Outcome(
        protocol, "twin", windows.classes, windows.labels[sides["test"]], nothing, nothing > 1,
        table, table, facts, table, (fold,), tmp_path,
    )  # fmt: skip
    return outcome, lesson


@pytest.mark.parametrize("normalise", ["train", "own"])
def test_a_trained_model_comes_back_with_the_windows_as_it_saw_them(
    tmp_path: Path, normalise: str
) -> None:
    windows = made_up()
    protocol = Protocol("mrmnet", LEADS[:2], "12-lead", normalise=normalise)
    outcome, lesson = kept(tmp_path, windows, protocol, SIZES | {"exchange": True})
    model, inputs = resolutions.trained(outcome, windows)
    assert inputs.rows.tolist() == [5, 7]
    both = np.arange(2)
    np.testing.assert_array_equal(inputs.batch(both), lesson.inputs["test"].batch(both))
    np.testing.assert_array_equal(inputs.labels, windows.labels[[5, 7]])
    window = torch.from_numpy(inputs.batch(both))
    with torch.no_grad():
        assert torch.equal(model(window).logits, lesson.model.eval()(window).logits)


def test_a_model_without_resolutions_is_refused(tmp_path: Path) -> None:
    windows, sizes = made_up(), {"channels": (4, 4, 4, 4), "blocks": 1}
    outcome, _ = kept(tmp_path, windows, Protocol("resnet1d", LEADS, "12-lead"), sizes)
    with pytest.raises(PecgError, match="resnet1d has no resolutions"):
        resolutions.trained(outcome, windows)


def test_real_recordings_have_gates_around_their_beats(
    real: Callable[[str], Path], tmp_path: Path
) -> None:
    dataset = ptbxl.open_folder(real("ptb-xl"), fs=100.0)
    dataset = dataset.only(np.arange(len(dataset.table)) < 5)
    windows = prepare(dataset, Settings(TWELVE_LEADS, seconds=10.0), tmp_path, "some")
    measure = Scale(TWELVE_LEADS, np.zeros(12), np.full(12, 0.2))
    inputs = Inputs(windows, np.arange(5), measure, windows.labels)
    model = create("mrmnet", 12, 5, 1000, **SIZES)
    assert isinstance(model, MrmNet)
    found = resolutions.around_beats(resolutions.untrained(model, inputs), inputs)
    assert found.recordings == 5
    assert 30 < found.beats < 80
    assert abs(found.seconds[found.ecg.mean.argmax()]) < 0.03  # R of lead II
    for band in found.gates.values():
        assert (band.low <= band.high).all()
        assert 0 <= band.low.min() < band.high.max() <= 1
