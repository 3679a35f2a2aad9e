"""Augmentation: each change by itself, how often each is drawn, and what training makes of it."""

import dataclasses

import numpy as np
import pytest
import torch
from drawn import draw
from test_crops import PIECES, Numbered, Seen
from test_train import SHORT, Stopped, equal, network, sides

from pecg_utils import augment, augment_plots, train
from pecg_utils.augment import KINDS, augmented, changed
from pecg_utils.train import fit

torch.set_num_threads(1)
B, L, T = 400, 5, 1000


def noise(windows=B, leads=L, samples=T):
    """Windows without a 0 in them."""
    x = np.random.default_rng(0).normal(0, 1, (windows, leads, samples)).astype(np.float32)
    return np.where(np.abs(x) < 1e-3, np.float32(1), x)


def only(kind, x):
    """x, and what this kind makes of all of its windows."""
    return x, changed(x, np.full(len(x), kind), np.random.default_rng(1))


@pytest.mark.parametrize("kind", range(7))
def test_no_change_is_made_in_place_and_all_are_float32_of_the_same_shape(kind):
    x = noise(20)
    before = x.copy()
    x.setflags(write=False)
    _, found = only(kind, x)
    assert found.dtype == np.float32
    assert found.shape == x.shape
    assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(x, before)
    assert np.array_equal(found, x) == (kind in (0, 1))
    assert (KINDS[kind] == "nothing") == (kind in (0, 1))


def test_a_sign_is_flipped():
    x, found = only(2, noise(20))
    np.testing.assert_array_equal(found, -x)


def test_each_sample_is_dropped_with_a_chance_of_a_tenth_the_same_in_all_leads():
    x, found = only(3, noise())
    zero = found == 0
    assert (zero == zero[:, :1]).all()
    np.testing.assert_array_equal(found[~zero], x[~zero])
    count = zero[:, 0].sum(axis=1)
    assert abs(count.mean() - 100) < 2
    assert 8 < count.std() < 11  # each sample by itself: 9.5
    assert zero[:, 0].sum(axis=0).max() < 80  # 40 of 400 windows at each place
    assert zero[:, 0].sum(axis=0).min() > 10


def test_each_lead_is_zeroed_with_a_chance_of_a_fifth():
    x, found = only(4, noise())
    zero = (found == 0).all(axis=2)  # (B, L)
    np.testing.assert_array_equal(found[~zero], x[~zero])
    np.testing.assert_allclose(zero.mean(axis=0), 0.2, atol=0.06)
    assert len({tuple(row) for row in zero}) > 15  # leads by themselves: 32 ways


def wave(kind):
    """What is added, (B, T) float64; the windows are 0."""
    _, found = only(kind, np.zeros((B, L, T), np.float32))
    assert (found == found[:, :1]).all()  # in all leads alike
    return found[:, 0].astype(np.float64)


def test_a_sine_is_added_of_the_amplitudes_and_frequencies_of_the_code():
    added = wave(5)
    amplitude, frequency = [], []
    for one in added:
        # A sine keeps to x[t-1] + x[t+1] = 2 cos(w) x[t].
        inner = one[1:-1]
        cosine = ((one[:-2] + one[2:]) * inner).sum() / (2 * (inner**2).sum())
        w = np.arccos(min(cosine, 1.0))
        frequency.append(w / (2 * np.pi))
        amplitude.append(np.abs(one).max())
    found = np.array(frequency)
    assert 0.0009 < found.min() < 0.0015
    assert 0.0195 < found.max() < 0.0201
    assert 0.24 < min(amplitude) < 0.27
    assert 0.97 < max(amplitude) <= 1
    assert (added[:, 0] == 0).all()
    assert (added[:, 1] > 0).all()
    x, found = only(5, noise(20))
    assert np.abs(found - x).max() <= 1.001


def test_a_square_wave_is_added_of_the_amplitudes_and_frequencies_of_the_code():
    added = wave(6)
    height = np.abs(added)
    np.testing.assert_allclose(height, height[:, :1] * np.ones(T))
    assert 0.005 <= height.min() < 0.0055
    assert 0.0195 < height.max() <= 0.02
    turns = np.array([(np.diff(np.sign(one)) != 0).sum() for one in added])
    frequency = turns / 2 / T  # to within a cycle in T samples
    assert frequency.min() < 0.003
    assert abs(np.median(frequency) - 0.05) < 0.006
    assert 0.097 < frequency.max() <= 0.1
    assert (added[:, 0] > 0).all()


def test_seven_draws_are_alike_in_number_and_each_window_has_its_own(monkeypatch):
    given = []
    monkeypatch.setattr(augment, "changed", lambda x, kinds, rng: given.append(kinds) or x)
    augmented(np.zeros((7000, 1, 2), np.float32), np.random.default_rng(3))
    counts = np.bincount(given[0], minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - 1000).max() < 120


def test_what_is_drawn_follows_the_generator():
    x = noise(50)
    one, again, other = (augmented(x, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    same = (one == x).all(axis=(1, 2))
    assert 5 < same.sum() < 30  # two of seven: 14


def seen(tmp_path, monkeypatch, **how):
    """What a model is taught, (epochs × N, 2, T), and what was given to `augmented`."""
    model, given = Seen(), []
    real = train.augmented
    monkeypatch.setattr(train, "augmented", lambda x, g: given.append(x.copy()) or real(x, g))
    how = dataclasses.replace(PIECES, **how)
    fit(model, Numbered(), Numbered(), how, tmp_path / "checkpoint")
    monkeypatch.undo()
    return np.concatenate(model.taught), given


def test_training_changes_the_piece_that_was_cut_and_only_when_it_is_told_to(tmp_path, monkeypatch):
    taught, given = seen(tmp_path / "a", monkeypatch, augment=True)
    pieces = np.concatenate(given)
    assert pieces.shape == taught.shape
    assert pieces.shape[2] == PIECES.crop
    assert (np.diff(pieces[:, 1], axis=1) == 1).all()  # whole until then
    changes = (taught != pieces).any(axis=(1, 2))
    assert 0.45 < changes.mean() < 0.85  # 5 of 7, of which some zero no lead
    assert len({tuple(batch) for batch in changes.reshape(-1, 8)}) > 15  # of 30: drawn anew
    again, _ = seen(tmp_path / "b", monkeypatch, augment=True)
    np.testing.assert_array_equal(again, taught)
    plain, given = seen(tmp_path / "c", monkeypatch)
    assert not given
    assert (np.diff(plain[:, 1], axis=1) == 1).all()
    other, _ = seen(tmp_path / "d", monkeypatch, augment=True, seed=4)
    assert (other != taught).any()


def test_stopped_and_resumed_what_is_changed_is_that_of_a_run_never_stopped(tmp_path, monkeypatch):
    how = dataclasses.replace(SHORT, augment=True)
    never = fit(network(), *sides(), how, tmp_path / "never")
    assert not equal(never, fit(network(), *sides(), SHORT, tmp_path / "plain"))
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    one = train._one_epoch

    def stop(*given):
        if given[-1] == 2:
            raise Stopped
        return one(*given)

    monkeypatch.setattr(train, "_one_epoch", stop)
    with pytest.raises(Stopped):
        fit(network(), *sides(), how, tmp_path / "stopped")
    monkeypatch.setattr(train, "_one_epoch", one)
    assert equal(fit(network(), *sides(), how, tmp_path / "stopped"), never)


@pytest.mark.parametrize("fs", [100.0, 500.0])
@pytest.mark.usefixtures("drawn_and_closed")
def test_the_picture_has_a_panel_a_draw_and_the_lead_as_it_was_behind_each(fs):
    seconds = np.arange(round(10 * fs)) / fs
    beat = np.exp(-0.5 * ((seconds % 0.8 - 0.4) / 0.02) ** 2)
    window = np.stack([0.2 * beat, beat + 0.01]).astype(np.float32)
    figure = augment_plots.six(window, fs, lead=1)
    panels = draw(figure, width=12)
    assert [panel.get_title("left") for panel in panels] == [
        f"{n}: {kind}" for n, kind in enumerate(KINDS)
    ]
    assert panels[0].get_ylabel() == "mV"
    assert len({panel.get_ylim() for panel in panels}) == 1
    for n, panel in enumerate(panels):
        before, after = (line.get_ydata() for line in panel.lines)
        np.testing.assert_array_equal(before, window[1, : round(2.5 * fs)])
        assert np.array_equal(before, after) == (n < 2)
    assert (panels[4].lines[1].get_ydata() == 0).all()
    again = augment_plots.six(window, fs, lead=1)
    for one, other in zip(panels, again.axes, strict=True):
        np.testing.assert_array_equal(one.lines[1].get_ydata(), other.lines[1].get_ydata())
