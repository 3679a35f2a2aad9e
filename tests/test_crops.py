"""Pieces of windows: how they are drawn in training, and the mean over them otherwise."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from test_train import Stopped, equal, network, sides
from test_trial import PATIENT, TINY, TRAINING, made_up, tried
from torch import nn

from pecg_utils import models, train
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.objectives import ManyLabels
from pecg_utils.train import Training, fit, pieces_of, predict
from pecg_utils.trial import judge

torch.set_num_threads(1)
N, T, CROP = 40, 14, 10
PIECES = Training(epochs=6, batch=8, lr=1e-3, seed=3, precision="32", crop=CROP)


class Numbered:
    """Windows (N, 2, T) that say of each sample which window's it is, and which one of it."""

    labels = np.arange(2 * N).reshape(N, 2) % 3 == 0

    def __len__(self):
        return N

    def batch(self, which):
        window = np.broadcast_to(which[:, None], (len(which), T))
        sample = np.broadcast_to(np.arange(T), (len(which), T))
        return np.stack([window, sample], axis=1).astype(np.float32)


class Seen(nn.Module):
    """Keeps what it is called with while it is taught."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 2)
        self.taught = []

    def forward(self, x):
        if self.training:
            self.taught.append(x.detach().numpy().copy())
        return self.out(x.mean(dim=2))


def starts(tmp_path, **how):
    """Where the piece of each window began, (epochs, N); the windows in their own order."""
    model = Seen()
    training = dataclasses.replace(PIECES, **how)
    fit(model, Numbered(), Numbered(), training, tmp_path / "checkpoint")
    taught = np.concatenate(model.taught).reshape(training.epochs, N, 2, -1)
    first = np.empty((training.epochs, N), dtype=int)
    for epoch, pieces in enumerate(taught):
        window, sample = pieces[:, 0], pieces[:, 1]  # (N, crop)
        if training.crop == CROP:  # each window of a batch has a place of its own
            assert all(len(set(sample[at : at + 8, 0])) > 1 for at in range(0, N, 8))
        assert (window == window[:, :1]).all()  # every lead is cut at the same place
        step = np.diff(sample, axis=1)
        assert (step == 1).all()  # without a gap, and never round the end
        assert sorted(window[:, 0]) == list(range(N))
        first[epoch, window[:, 0].astype(int)] = sample[:, 0]
    return first


def test_every_window_is_taught_a_piece_at_a_place_drawn_anew_each_time(tmp_path):
    first = starts(tmp_path)
    assert first.min() == 0
    assert first.max() == T - CROP  # the last place at which a piece fits
    counts = np.bincount(first.ravel(), minlength=T - CROP + 1)
    assert counts.min() > 0.6 * first.size / len(counts)  # each place as often as another
    assert ((first[1:] != first[:-1]).mean(axis=1) > 0.5).all()


def test_the_places_follow_the_seed_and_the_epoch_alone(tmp_path):
    first = starts(tmp_path / "a")
    np.testing.assert_array_equal(starts(tmp_path / "b"), first)
    np.testing.assert_array_equal(starts(tmp_path / "c", epochs=2), first[:2])
    assert (starts(tmp_path / "d", seed=4) != first).any()


@pytest.mark.parametrize("crop", [1, 3, T - 1])
def test_a_piece_of_any_length_fits(tmp_path, crop):
    first = starts(tmp_path, crop=crop, epochs=12)
    assert set(np.unique(first)) == set(range(T - crop + 1))


@pytest.mark.parametrize("crop", [0, T, T + 1])
def test_a_piece_as_long_as_the_window_is_the_window(tmp_path, crop):
    model = Seen()
    fit(model, Numbered(), Numbered(), dataclasses.replace(PIECES, crop=crop), tmp_path / "c")
    assert {x.shape[2] for x in model.taught} == {T}
    assert all((x[:, 1] == np.arange(T)).all() for x in model.taught)


def test_a_window_is_rolled_before_a_piece_is_cut(tmp_path):
    model = Seen()
    fit(model, Numbered(), Numbered(), dataclasses.replace(PIECES, shift=True), tmp_path / "c")
    sample = np.concatenate(model.taught)[:, 1]  # (epochs × N, crop)
    assert sample.shape[1] == CROP
    assert set(np.unique(np.diff(sample, axis=1))) == {1, 1 - T}  # round the window's end
    assert set(sample[:, 0]) == set(range(T))


def test_stopped_and_resumed_the_pieces_are_those_of_a_run_never_stopped(tmp_path, monkeypatch):
    how = Training(epochs=4, batch=16, lr=1e-2, seed=3, precision="32", crop=20)

    def small():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(2 * 20, 8), nn.Dropout(0.3), nn.Linear(8, 2))

    never = fit(small(), *sides(), how, tmp_path / "never")
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    one = train._one_epoch

    def stop(*given):
        if given[-1] == 2:
            raise Stopped
        return one(*given)

    monkeypatch.setattr(train, "_one_epoch", stop)
    with pytest.raises(Stopped):
        fit(small(), *sides(), how, tmp_path / "stopped")
    monkeypatch.setattr(train, "_one_epoch", one)
    resumed = fit(small(), *sides(), how, tmp_path / "stopped")
    assert equal(resumed, never)
    assert resumed.curves == never.curves


@pytest.mark.parametrize(
    ("length", "crop", "expected"),
    [
        (10, 4, [0, 2, 4, 6]),
        (11, 4, [0, 2, 4, 6, 7]),  # the last one ends with the window, nearer than half a piece
        (9, 4, [0, 2, 4, 5]),
        (5, 5, [0]),
        (6, 5, [0, 1]),
        (7, 3, [0, 1, 2, 3, 4]),
        (3, 1, [0, 1, 2]),
        (1000, 250, [0, 125, 250, 375, 500, 625, 750]),
        (999, 250, [0, 125, 250, 375, 500, 625, 749]),
    ],
)
def test_pieces_by_hand(length, crop, expected):
    windows = np.arange(2 * 3 * length, dtype=np.float32).reshape(2, 3, length)
    pieces = pieces_of(windows, crop)
    assert pieces.shape == (2, len(expected), 3, crop)
    for place, start in enumerate(expected):
        np.testing.assert_array_equal(pieces[:, place], windows[:, :, start : start + crop])
    covered = {sample for start in expected for sample in range(start, start + crop)}
    assert covered == set(range(length))


def by_hand(model, given, crop, read=torch.sigmoid):
    """The mean over the pieces of each window by itself: (n, …)."""
    model.eval()
    found = []
    with torch.no_grad():
        for window in given:
            cut = torch.from_numpy(pieces_of(window[None], crop)[0])  # (pieces, L, crop)
            found.append(torch.stack([read(model(piece[None]))[0] for piece in cut]).mean(dim=0))
    return torch.stack(found).numpy()


@pytest.mark.parametrize("batch", [256, 13])
def test_an_answer_is_the_mean_of_the_pieces_probabilities(monkeypatch, batch):
    monkeypatch.setattr(train, "_EVALUATION_BATCH", batch)
    training, _ = sides()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(2 * 11, 2))
    model[2].weight.data *= 20  # so that a mean of logits would be another one
    given = training.batch(np.arange(len(training)))  # (57, 2, 30)
    found = predict(model, training, crop=11)
    expected = by_hand(model, given, 11)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (57, 2)
    of_logits = 1 / (1 + np.exp(-by_hand(model, given, 11, lambda answer: answer)))
    assert np.abs(expected - of_logits).max() > 0.05
    each = predict(model, training, ManyLabels.each, 11)
    assert each.shape == (57, 1, 2)
    np.testing.assert_allclose(each[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("crop", [30, 31])
def test_a_whole_window_is_answered_once(crop):
    model, (training, _) = network(), sides()
    np.testing.assert_array_equal(predict(model, training, crop=crop), predict(model, training))


def test_the_epoch_is_chosen_by_the_mean_over_pieces(tmp_path):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 20, 2))
    training, validation = sides()
    how = Training(4, 16, 1e-2, seed=3, precision="32", crop=20, keep="average_precision")
    fitted = fit(model, training, validation, how, tmp_path / "c")
    given = validation.batch(np.arange(len(validation)))
    score = fitted.objective.score
    found = score("average_precision", validation.labels, by_hand(fitted.model, given, 20))
    assert found == max(row["validation_average_precision"] for row in fitted.curves)


CROPPED = dataclasses.replace(PATIENT, crop=0.7)  # 70 of 100 samples: two pieces


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    """A trial whose model is taught pieces, and what models were made with in it."""
    made, create = [], models.create
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "create", lambda *a, **k: made.append(k) or create(*a, **k))
        return tried(tmp_path_factory.mktemp("cropped"), CROPPED), made


def test_the_model_of_pieces_is_made_for_their_length(cropped):
    _, made = cropped
    assert [how["n_samples"] for how in made] == [70]


def test_a_trial_of_pieces_is_tested_by_all_of_them(cropped):
    outcome, _ = cropped
    kept = torch.load(outcome.folder / "model.pt", weights_only=True)
    model = models.create("resnet1d", n_leads=12, n_classes=2, n_samples=70, **TINY)
    model.load_state_dict(kept["weights"])
    windows = made_up()
    split = json.loads((outcome.folder / "split.json").read_text())
    side = np.array(split["side"])
    measure = scale(windows, np.flatnonzero(side == 0), TWELVE_LEADS)
    np.testing.assert_array_equal(kept["mean"], measure.mean)
    for place, name in ((1, "validation.npy"), (2, "probabilities.npy")):
        rows = np.flatnonzero(side == place)
        given = Inputs(windows, rows, measure, windows.labels[rows]).batch(np.arange(len(rows)))
        found = np.load(outcome.folder / name)
        np.testing.assert_allclose(found, by_hand(model, given, 70), atol=1e-5)
        with torch.no_grad():
            whole = torch.sigmoid(model(torch.from_numpy(given))).numpy()
        assert np.abs(found - whole).max() > 1e-3


def test_judged_again_a_model_of_pieces_says_what_it_said(cropped, monkeypatch):
    outcome, _ = cropped
    made, create = [], models.create
    monkeypatch.setattr(models, "create", lambda *a, **k: made.append(k) or create(*a, **k))
    again = judge(outcome, made_up(), "twin", TINY, 20)
    assert [how["n_samples"] for how in made] == [70]
    test = outcome.folds[0].sides["test"]
    np.testing.assert_allclose(again.probabilities[test], outcome.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("crop", "samples", "taught"), [(0.0, 100, 0), (0.7, 70, 70), (1.0, 100, 100), (9.0, 100, 100)]
)
def test_the_protocol_alone_says_how_long_a_piece_is(tmp_path, monkeypatch, crop, samples, taught):
    """Whatever Training says: the cropped and the whole ones of a plan share it."""
    protocol = dataclasses.replace(PATIENT, crop=crop)
    assert protocol.piece(made_up()) == samples
    used = []
    monkeypatch.setattr(train, "fit", lambda *a: used.append(a[3]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tried(tmp_path, protocol, training=dataclasses.replace(TRAINING, crop=77))
    assert [training.crop for training in used] == [taught]


def test_a_second_has_as_many_samples_as_the_windows_rate_says():
    windows = made_up()
    half = dataclasses.replace(windows.settings, fs=50.0)
    assert CROPPED.piece(dataclasses.replace(windows, settings=half)) == 35
    assert dataclasses.replace(PATIENT, crop=0.333).piece(windows) == 33


def test_the_name_says_pieces_the_tested_fold_and_the_scale_in_words():
    plain = PATIENT.name
    assert dataclasses.replace(PATIENT, crop=2.5).name == f"{plain}, pieces of 2.5 s"
    assert dataclasses.replace(PATIENT, crop=1.0).name == f"{plain}, pieces of 1 s"
    fold = dataclasses.replace(PATIENT, split="fold")
    turns = [dataclasses.replace(fold, turn=turn).name for turn in range(10)]
    assert turns[0] == fold.name == "resnet1d, 12 leads, fold split"
    assert turns[1:] == [f"{fold.name}, fold {tested} tested" for tested in range(9, 0, -1)]
    together = dataclasses.replace(fold, normalise="together", crop=2.5, turn=1)
    assert together.name == f"{fold.name}, one scale for all leads, pieces of 2.5 s, fold 9 tested"


def test_together_every_side_has_the_training_sides_one_scale(tmp_path):
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, normalise="together"))
    kept = torch.load(outcome.folder / "model.pt", weights_only=True)
    rows = outcome.folds[0].sides["train"]
    expected = scale(made_up(), rows, TWELVE_LEADS, together=True)
    assert kept["mean"] == expected.mean.tolist()
    assert kept["std"] == expected.std.tolist()
    assert len(set(kept["std"])) == 1
    again = judge(outcome, made_up(), "twin", TINY, 20)
    test = outcome.folds[0].sides["test"]
    np.testing.assert_allclose(again.probabilities[test], outcome.probabilities, atol=1e-5)
