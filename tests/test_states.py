"""The steps of the explanation: loop, convolution and chunks are one; what is selected is kept."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from pecg_utils import states
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import TWELVE_LEADS, Recording
from pecg_utils.errors import PecgError


def heart(rate=70.0, seconds=12.0, fs=500.0, leads=TWELVE_LEADS, **changed):
    """Beats of P, QRS and T in every lead, R of 1 mV, the first R at 0.5 s."""
    time = np.arange(int(seconds * fs)) / fs
    trace = np.zeros_like(time)
    for r in np.arange(0.5, seconds, 60 / rate):
        for at, height, width in ((-0.16, 0.1, 0.02), (0, 1.0, 0.012), (0.25, 0.25, 0.04)):
            trace += height * np.exp(-0.5 * ((time - r - at) / width) ** 2)
    signal = np.repeat(trace[:, None], len(leads), axis=1).astype(np.float32)
    for lead, values in changed.items():
        signal[:, leads.index(lead)] = values
    return Recording(signal, fs, tuple(leads), "P1_E01", "P1")


@pytest.fixture(scope="module")
def beat():
    return states.one_beat(heart())


def test_a_beat_is_a_second_with_r_at_zero(beat):
    assert (len(beat.x), beat.fs, beat.lead, beat.record) == (251, 250.0, "II", "P1_E01")
    assert beat.seconds[beat.r] == 0
    assert np.argmax(beat.x) == beat.r
    assert beat.seconds[[0, -1]] == pytest.approx([-0.352, 0.648])
    assert np.median(beat.x) == pytest.approx(0, abs=1e-12)
    assert beat.x[beat.r] == pytest.approx(1, abs=0.1)
    assert beat.seconds[beat.qrs] == pytest.approx(np.arange(-15, 16) / 250, abs=0.009)


@pytest.mark.parametrize("rate", [50, 70, 110, 160])
def test_a_beat_ends_before_the_next_one(rate):
    beat = states.one_beat(heart(rate))
    assert beat.seconds[-1] == pytest.approx(min(0.65, 60 / rate - 0.1), abs=0.02)
    assert not beat.qrs[-1]
    longer = states.one_beat(heart(rate), before=1.5, after=1.5)
    assert len(longer.x) == 751
    assert len(longer.beats) == sum(-1.5 <= k * 60 / rate <= 1.5 for k in range(-9, 9))


def test_a_beat_at_another_rate_and_of_a_lead_that_points_down():
    upside = heart()
    beat = states.one_beat(heart(II=-upside.signal[:, 0]), fs=125)
    assert len(beat.x) == 126
    assert np.argmin(beat.x) == beat.r


def test_a_wandering_line_moves_no_r():
    leads = heart()
    wave = (0.8 * np.sin(2 * np.pi * 0.1 * np.arange(6000) / 500)).astype(np.float32)
    s_wave = -0.45 * np.roll(leads.signal[:, 0], 15)  # 30 ms later
    steady, wandering = (
        states.one_beat(heart(II=leads.signal[:, 0] + s_wave + more)) for more in (0, wave)
    )
    assert abs(np.argmax(wandering.x[60:120]) + 60 - wandering.r) <= 1
    np.testing.assert_allclose(wandering.x[80:100], steady.x[80:100], atol=0.3)


def test_a_beat_that_is_not_all_recorded_is_passed_over():
    gap = heart().signal[:, 0].copy()
    gap[int(5.2 * 500) : int(6.8 * 500)] = np.nan  # the middle
    beat = states.one_beat(heart(II=gap))
    assert np.isfinite(beat.x).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (heart(leads=("I", "V1")), "no lead II"),
        (heart(II=0.0), "no whole beat in lead II"),
        (heart(II=np.nan), "no whole beat in lead II"),
        (heart(seconds=0.9), "no whole beat in lead II"),
    ],
)
def test_what_has_no_beat_is_told(given, words):
    with pytest.raises(PecgError, match=words):
        states.one_beat(given)


@pytest.mark.parametrize("name", ["ptb-xl", "challenge-2021", "zzu-pecg"])
def test_real_recordings_have_a_beat_that_selection_keeps(
    real: Callable[[str], Path], name: str
) -> None:
    dataset = open_dataset(
        {"ptb-xl": "ptbxl", "zzu-pecg": "zzu"}.get(name, "challenge"), real(name)
    )
    for row in (1, 6, 18):
        beat = states.one_beat(dataset.read(row))
        assert 0.4 < beat.seconds[-1] - beat.seconds[0] <= 1.01
        near = np.abs(beat.seconds) <= states.QRS
        assert np.abs(beat.x[near]).max() == np.abs(beat.x[beat.r])
        chosen, fast, _ = states.selection(beat)
        assert chosen.share > 0.6
        assert chosen.share > 2 * fast.share


def test_the_recurrence_is_the_filter_that_it_is_known_as(beat):
    for tau, h in states.memories(beat).items():
        wanted = lfilter([beat.dt / tau], [1, -np.exp(-beat.dt / tau)], beat.x)
        np.testing.assert_allclose(h, wanted, rtol=0, atol=1e-14)
    assert list(states.memories(beat)) == [0.010, 0.060, 0.300]


def test_the_recurrence_with_a_step_for_each_sample():
    draw = np.random.default_rng(0)
    x, dt = draw.normal(size=9), draw.uniform(0.001, 0.1, 9)
    wanted = [
        sum(np.exp(-3.0 * dt[s + 1 : t + 1].sum()) * dt[s] * 2.0 * x[s] for s in range(t + 1))
        for t in range(9)
    ]
    np.testing.assert_allclose(states.recurrence(x, dt, -3.0, 2.0), wanted, rtol=1e-13)


def test_the_state_settles_near_a_constant_input_in_its_unit():
    h = states.recurrence(np.full(2000, 0.8), 0.004, -1 / 0.06, 1 / 0.06)
    assert h[-1] == pytest.approx(0.8, rel=0.04)  # the step is no small part of tau
    assert h[14] == pytest.approx(0.8 * (1 - np.exp(-1)), rel=0.05)  # after 60 ms


def test_the_kernel_weighs_the_past():
    weights = states.kernel(100, 0.004, -1 / 0.06, 1 / 0.06)
    assert weights[0] == pytest.approx(0.004 / 0.06)
    assert weights[15] == pytest.approx(weights[0] * np.exp(-1))  # 60 ms


@pytest.mark.parametrize("tau", states.TAUS)
def test_loop_and_convolution_are_one(beat, tau):
    given = (beat.x, beat.dt, -1 / tau, 1 / tau)
    np.testing.assert_allclose(
        states.convolution(*given), states.recurrence(*given), rtol=0, atol=1e-14
    )


def test_the_chosen_step_is_long_in_the_qrs_alone(beat):
    dt = states.chosen_step(beat)
    assert beat.qrs[dt > 0.2 * dt.max()].all()
    assert dt.max() / beat.dt == pytest.approx(np.log1p(np.e), rel=1e-9)  # softplus(7 - 6)
    assert dt[~beat.qrs].max() < 0.05 * beat.dt
    assert dt.min() > 0


@pytest.mark.parametrize("fs", [125, 250, 500])
def test_what_is_selected_is_kept_and_a_constant_step_does_not(fs):
    beat = states.one_beat(heart(), fs=fs)
    chosen, sample, mean = states.selection(beat)
    assert chosen.share > 0.8
    assert sample.share < 0.01  # forgotten
    assert mean.share < 0.2  # hardly written
    end = np.argmax(beat.seconds > states.QRS)
    assert np.ptp(chosen.h[end:]) < 0.1 * chosen.h[end]
    assert mean.dt.mean() == pytest.approx(chosen.dt.mean())
    assert np.abs(mean.h).max() < 0.25 * chosen.h.max()
    assert (sample.dt == beat.dt).all()


def test_the_share_is_what_the_state_holds_of_the_qrs(beat):
    for memory in states.selection(beat):
        held, of_all = (
            states.recurrence(x, memory.dt, -1 / 0.06, 1 / 0.06)[-1]
            for x in (beat.qrs.astype(float), np.ones(len(beat.x)))
        )
        assert memory.share == pytest.approx(held / of_all, rel=1e-9)


@pytest.mark.parametrize("chunk", [1, 7, 44, 250, 251, 1000])
def test_chunks_give_what_the_loop_gives(beat, chunk):
    found = states.in_chunks(beat, chunk)
    loop = states.recurrence(beat.x, states.chosen_step(beat), -1 / 0.06, 1 / 0.06)
    np.testing.assert_allclose(found.h, loop, rtol=0, atol=1e-14)
    assert found.difference == np.abs(found.h - loop).max()
    firsts = np.arange(0, 251, chunk)
    assert found.handed[0] == 0
    np.testing.assert_allclose(found.handed[1:], loop[firsts[1:] - 1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.alone[:chunk], loop[:chunk], rtol=0, atol=1e-14)
    if chunk == 44:
        assert beat.r in firsts
        assert abs(found.alone[-1]) < 0.1 * abs(found.h[-1])  # the rest was handed on


def test_a_chunk_has_a_sample():
    with pytest.raises(ValueError, match="at least 1"):
        states.in_chunks(states.one_beat(heart()), 0)


def test_the_three_ways_are_timed_and_agree():
    table = states.times((9, 70), repeats=1)
    assert table["samples"].tolist() == [9] * 3 + [70] * 3
    assert table["way"].tolist() == ["loop over samples", "selective_scan", "ssd"] * 2
    assert (table["milliseconds"] > 0).all()
    loops = table["way"] == "loop over samples"
    assert (table.loc[loops, "difference"] == 0).all()
    assert table["difference"].max() < 1e-5


def test_one_direction_sees_nothing_behind_the_token():
    stretch = states.one_beat(heart(), before=1.0, after=1.0)
    before = torch.get_rng_state()
    found = states.reach(stretch, seeds=2)
    assert torch.equal(torch.get_rng_state(), before)
    behind = stretch.seconds > found.token
    # The stem of 15, 7, 5 and 3 samples, 2 apart each: 7 + 2 * 3 + 4 * 2 + 8 * 1 to either side.
    spread = stretch.seconds > found.token + (29 - 4) / 250 + 1e-9
    assert (found.one[spread] == 0).all()
    assert (found.one[behind & ~spread] > 0).all()
    assert (found.two[spread] > 0).all()
    assert found.two[behind].sum() > 0.3
    for size in (found.one, found.two):
        assert size.sum() == pytest.approx(1)
        assert size.min() >= 0
    assert abs(found.token) < 0.04  # the middle


def test_a_clear_recording_carries_the_label_alone_and_can_be_drawn(real):
    dataset = open_dataset("challenge", real("challenge-2021"))
    found = states.clear_recording(dataset, "NSR")
    assert found.labels == ("NSR",)
    assert len(states.one_beat(found, before=1.5, after=1.5).x) == 751  # 3 s at 250 Hz
    labels = dataset.labels.assign(NSR=False)
    bare = dataclasses.replace(dataset, labels=labels)
    assert states.clear_recording(bare, "NSR").labels != ("NSR",)


def test_where_no_recording_is_clear_it_is_said(write_zzu, noise):
    folder = write_zzu({"a": noise(5) * 0, "b": noise(0.6)})
    with pytest.raises(PecgError, match=r"has a beat in lead II with 1\.5 s on either side"):
        states.clear_recording(open_dataset("zzu", folder), "NSR")
