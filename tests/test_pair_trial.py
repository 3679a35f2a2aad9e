"""Trials of two signals: what is taught on what, by whom it is split, what a stop may not change.

The tests teach the tiny model of made_pairs.py, on windows whose class one signal tells.
"""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from made_pairs import EACH, PATIENT, PATIENTS, TRAINING, made_up, tried

from pecg_utils import train, trial
from pecg_utils.contrastive import ABLATION
from pecg_utils.data import splits
from pecg_utils.data.splits import NOWHERE
from pecg_utils.models.agcacl import Agcacl
from pecg_utils.objectives import OneLabel
from pecg_utils.protocol import taught_alike

torch.set_num_threads(1)
DIVISION = dataclasses.replace(PATIENT, split="division")


def kept(outcome, fold=0):
    """All tensors of a fold's file, by name: the model's weights and the objective's state."""
    stored = torch.load(outcome.folds[fold].folder / "model.pt", weights_only=True)
    assert set(stored) == {"weights", "objective"}
    return stored["weights"] | stored["objective"]


def same(one, other):
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tried(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    return tried(tmp_path_factory.mktemp("crossed"), dataclasses.replace(PATIENT, folds=3))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("told", ["ecg", "second"])
def test_what_either_signal_tells_is_learnt(tmp_path, told, classes):
    pairs = made_up(told, classes)
    outcome = tried(tmp_path, pairs=pairs, epochs=4)
    assert outcome.classes == tuple("abc"[:classes])
    assert outcome.value("auroc")["value"] > 0.95
    assert outcome.value("top1")["value"] > 0.9
    rows = outcome.folds[0].sides["test"]
    np.testing.assert_array_equal(outcome.targets, pairs.labels[rows])
    assert outcome.about["record"].tolist() == pairs.table["record"].iloc[rows].tolist()
    np.testing.assert_allclose(outcome.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (outcome.answers.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(
        outcome.answers.argmax(axis=1), outcome.probabilities.argmax(axis=1)
    )
    right = (outcome.answers & outcome.targets).any(axis=1).mean()
    assert outcome.value("top1")["value"] == pytest.approx(right)
    low, value, high = outcome.value("top1")[["low", "value", "high"]]
    assert low <= value <= high  # over patients


def test_a_signal_that_tells_nothing_teaches_nothing(tmp_path):
    branch = dataclasses.replace(PATIENT, changes=(("branches", "iegm"),))
    outcome = tried(tmp_path, branch, made_up("ecg"), epochs=4)
    assert abs(outcome.value("auroc")["value"] - 0.5) < 0.15
    assert outcome.facts["sizes"]["branches"] == "iegm"


def test_read_back_it_is_the_same_and_nothing_is_trained(crossed, monkeypatch):
    monkeypatch.setattr(trial, "_train", None)
    again = tried(crossed.folder.parent, crossed.protocol)
    np.testing.assert_array_equal(again.probabilities, crossed.probabilities)
    np.testing.assert_array_equal(again.answers, crossed.answers)
    assert again.scores.equals(crossed.scores)
    assert json.loads(json.dumps(again.facts)) == json.loads(json.dumps(crossed.facts))


def test_a_cross_validation_tests_each_window_once_by_a_model_that_never_saw_its_patient(crossed):
    pairs = made_up()
    tested = np.concatenate([fold.sides["test"] for fold in crossed.folds])
    assert sorted(tested) == list(range(len(pairs)))
    np.testing.assert_array_equal(crossed.targets, pairs.labels[tested])
    patients = pairs.table["patient"].to_numpy()
    assert crossed.about["patient"].tolist() == patients[tested].tolist()
    for number, fold in enumerate(crossed.folds):
        of = {side: set(patients[rows]) for side, rows in fold.sides.items()}
        assert not of["train"] & of["validation"]
        assert not (of["train"] | of["validation"]) & of["test"]
        part = (crossed.about["model"] == number).to_numpy()
        np.testing.assert_array_equal(crossed.probabilities[part], fold.probabilities)
    assert not same(kept(crossed, 0), kept(crossed, 1))
    assert crossed.facts["split"]["patients"] == {"test": PATIENTS}


def test_by_block_no_window_is_near_one_of_another_side(tmp_path):
    pairs = made_up()
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, split="block"))
    side = np.full(len(pairs), NOWHERE)
    for place, rows in enumerate(outcome.folds[0].sides.values()):
        side[rows] = place
    for _, part in pairs.table.assign(side=side).query("side >= 0").groupby("record"):
        start, end, of = (part[name].to_numpy() for name in ("start", "end", "side"))
        apart = np.maximum(start[:, None] - end, start - end[:, None])
        assert apart[of[:, None] != of].min(initial=np.inf) >= 10
    lost = int((side == NOWHERE).sum())
    assert 0 < lost <= PATIENTS  # one at each seam; the stretches of 60 s begin 8 s later
    assert sum(outcome.facts["split"]["windows"].values()) == len(pairs) - lost
    assert outcome.facts["split"]["by"] == "block"


def test_stretches_and_their_gap_are_the_protocols(tmp_path):
    short = dataclasses.replace(PATIENT, split="block", stretch=36.0)
    outcome = tried(tmp_path, short)
    stored = json.loads((outcome.folder / "split.json").read_text())
    assert stored["gap"] == 6.0
    # Windows of 1 s stand 9 s apart, so that none is lost, and four make a stretch.
    assert sum(outcome.facts["split"]["windows"].values()) == len(made_up())
    side = np.array(stored["side"]).reshape(PATIENTS, 3, 4)
    assert (side == side[:, :, :1]).all()
    assert not (side == side[:, :1, :1]).all()


def test_by_division_the_second_part_is_tested_and_the_first_teaches(tmp_path):
    pairs = made_up()
    outcome = tried(tmp_path, DIVISION)
    assert set(outcome.about["division"]) == {"DS2"}
    assert outcome.facts["split"]["windows"]["test"] == 8 * EACH
    # An eighth of DS1's patients, one and a half, validates.
    assert outcome.facts["split"]["patients"] in [
        {"train": 11, "validation": 1, "test": 8},
        {"train": 10, "validation": 2, "test": 8},
    ]
    taught = np.concatenate([outcome.folds[0].sides[side] for side in ("train", "validation")])
    assert set(pairs.table["division"].iloc[taught]) == {"DS1"}


def test_each_step_of_the_ablation_is_trained_down_another_loss(tmp_path, plain):
    # Several batches: at the first one the terms beside the cross-entropy count 0.
    made = {
        name: tried(tmp_path, dataclasses.replace(PATIENT, loss=name, most=40), batch=8)
        for name in ("", *ABLATION)
    }
    weights = {name: kept(outcome) for name, outcome in made.items()}
    names = list(weights)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            assert not torch.equal(weights[first]["head.weight"], weights[second]["head.weight"])
    assert len({outcome.folder for outcome in made.values()}) == len(made)
    assert len({outcome.protocol.name for outcome in made.values()}) == len(made)
    sides = [outcome.folds[0].sides["train"].tolist() for outcome in made.values()]
    assert all(side == sides[0] for side in sides)
    assert len(sides[0]) == 40


def test_a_repeat_is_trained_anew_on_the_very_same_windows(tmp_path):
    few = dataclasses.replace(PATIENT, most=100)
    first, again, seeded = (
        tried(tmp_path, few),
        tried(tmp_path, dataclasses.replace(few, repeat=1)),
        tried(tmp_path / "other", few, seed=1),
    )
    for side in splits.SIDES:
        np.testing.assert_array_equal(first.folds[0].sides[side], again.folds[0].sides[side])
    assert first.facts["split"] == again.facts["split"]
    assert len(again.folds[0].sides["train"]) == 100
    assert not torch.equal(kept(first)["head.weight"], kept(again)["head.weight"])
    assert first.folder != again.folder
    # Another seed of the run, though it trains as that repeat does, divides otherwise too.
    assert not np.array_equal(first.folds[0].sides["test"], seeded.folds[0].sides["test"])


def test_the_rarer_classes_weight_is_counted_on_what_is_taught(tmp_path):
    pairs = made_up()
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, most=60))
    counts = pairs.labels[outcome.folds[0].sides["train"]].sum(axis=0)  # (3,)
    assert counts.sum() == 60
    phi = (1 - 0.999) / (1 - 0.999**counts)
    np.testing.assert_allclose(kept(outcome)["contrast.phi"], phi / phi.mean(), rtol=1e-5)


def test_models_of_pairs_are_taught_alike(plain):
    by_division = len(tried(plain.folder.parent, DIVISION).folds[0].sides["train"])
    more = len(plain.folds[0].sides["train"])
    assert by_division < more / 1.02
    assert taught_alike(made_up(), [PATIENT, DIVISION], TRAINING.seed) == [
        dataclasses.replace(PATIENT, most=by_division),
        DIVISION,
    ]


class Stopped(Exception):
    pass


@pytest.mark.parametrize("fold", [0, 1])
def test_stopped_in_an_epoch_and_resumed_it_ends_as_one_never_stopped(tmp_path, monkeypatch, fold):
    """With signals hidden, dropout, a rate that changes, and in a later fold too."""
    how = {"epochs": 4, "hide": 0.4, "schedule": "cosine"}
    protocol = dataclasses.replace(PATIENT, folds=2)
    never = tried(tmp_path / "never", protocol, **how)
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    batches = [-(-len(one.sides["train"]) // TRAINING.batch) for one in never.folds]
    last = sum(4 * count for count in batches[:fold]) + 2 * batches[fold] + 2  # in the third epoch
    step, calls = OneLabel.forward, []

    def stops(*given):
        calls.append(1)
        if len(calls) == last:
            raise Stopped
        return step(*given)

    monkeypatch.setattr(OneLabel, "forward", stops)
    with pytest.raises(Stopped):
        tried(tmp_path / "stopped", protocol, **how)
    (checkpoint,) = (tmp_path / "stopped").rglob("*.checkpoint")
    assert checkpoint.parent.name == str(fold)
    state = torch.load(checkpoint, weights_only=True)
    assert state["epoch"] == 2
    assert state["objective"]["contrast.prototypes.seen"].all()
    torch.manual_seed(99)  # whatever a new process draws first
    resumed = tried(tmp_path / "stopped", protocol, **how)
    for number in (0, 1):
        assert same(kept(resumed, number), kept(never, number))
        assert resumed.folds[number].facts["curves"] == never.folds[number].facts["curves"]
    np.testing.assert_array_equal(resumed.probabilities, never.probabilities)
    assert not list((tmp_path / "stopped").rglob("*.checkpoint"))


@pytest.fixture
def heard(monkeypatch):
    """(whether in training, the mask of the batch), of each call of a model."""
    calls, forward = [], Agcacl.forward

    def spied(model, ecg, second, mask):
        calls.append((model.training, mask.clone()))
        return forward(model, ecg, second, mask)

    monkeypatch.setattr(Agcacl, "forward", spied)
    return calls


def masks(heard, training):
    return torch.cat([mask for mode, mask in heard if mode == training])


@pytest.mark.parametrize("hide", [0.0, 0.3, 1.0])
def test_the_second_signal_is_hidden_in_training_and_only_there(tmp_path, heard, hide):
    epochs, pairs = 5, made_up()
    pairs.mask[:, 2] = False  # one channel is never there, and is not made up
    outcome = tried(tmp_path, pairs=pairs, hide=hide, epochs=epochs)
    taught = len(outcome.folds[0].sides["train"])
    given = masks(heard, training=True)
    assert len(given) == epochs * taught
    assert torch.equal(given[:, 0], given[:, 1])  # a window's channels go together
    assert not given[:, 2].any()
    share = 1 - given[:, 0].float().mean()
    assert share == pytest.approx(hide, abs=0 if hide in (0, 1) else 0.06)
    if hide == 0.3:
        by_epoch = given[:, 0].reshape(epochs, taught).sum(dim=1)
        assert len(set(by_epoch.tolist())) > 1  # drawn anew
    asked = masks(heard, training=False)  # after each epoch, and both sides at the end
    assert asked[:, :2].all()
    assert not asked[:, 2].any()
    assert pairs.mask[:, :2].all()


@pytest.mark.parametrize("branch", ["ecg", "iegm"])
def test_nothing_is_hidden_from_a_model_of_one_signal(tmp_path, heard, branch):
    alone = dataclasses.replace(PATIENT, changes=(("branches", branch),))
    hidden = tried(tmp_path / "hidden", alone, hide=0.5)
    assert masks(heard, training=True).all()
    assert same(kept(hidden), kept(tried(tmp_path / "plain", alone)))


def test_the_ramp_lasts_a_twelfth_of_the_epochs(tmp_path, monkeypatch):
    lasts, forward = set(), OneLabel.forward

    def spied(objective, *given):
        lasts.add(objective.contrast.terms.epochs)
        return forward(objective, *given)

    monkeypatch.setattr(OneLabel, "forward", spied)
    tried(tmp_path, dataclasses.replace(PATIENT, loss="CE + align"), epochs=3)
    assert lasts == {0.25}


def test_windows_of_two_signals_are_normalised_one_by_one_or_refused(tmp_path):
    with pytest.raises(ValueError, match="by window, and not by train"):
        tried(tmp_path, dataclasses.replace(PATIENT, normalise="train"))


def test_hiding_changes_what_is_learnt_and_its_seed_what_is_hidden(tmp_path, heard, plain):
    hidden = tried(tmp_path / "a", hide=0.5)
    first = masks(heard, training=True)
    assert not same(kept(hidden), kept(plain))
    heard.clear()
    assert same(kept(tried(tmp_path / "b", hide=0.5)), kept(hidden))
    assert torch.equal(masks(heard, training=True), first)
    heard.clear()
    tried(tmp_path / "c", dataclasses.replace(PATIENT, repeat=1), hide=0.5)
    assert not torch.equal(masks(heard, training=True), first)


@pytest.mark.parametrize("protocol", [DIVISION, PATIENT, dataclasses.replace(PATIENT, folds=2)])
def test_no_label_of_a_test_side_moves_a_weight(tmp_path, protocol):
    """The labels of one fold's test side are poisoned; its split stays, as it is stored."""
    pairs = made_up()
    whole = tried(tmp_path / "whole", protocol, pairs)
    poisoned = dataclasses.replace(pairs, labels=pairs.labels.copy())
    tested = whole.folds[0].sides["test"]
    poisoned.labels[tested] = [False, False, True]
    for path in (*whole.folder.rglob("split.json"), *whole.folder.rglob("folds")):
        if path.is_file():
            to = tmp_path / "poisoned" / path.relative_to(tmp_path / "whole")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    again = tried(tmp_path / "poisoned", protocol, poisoned)
    assert again.folder.name == whole.folder.name
    assert again.targets[: len(tested), 2].all()  # the poison is in
    assert not whole.targets[: len(tested), 2].all()
    assert same(kept(again), kept(whole))
    assert again.folds[0].facts["curves"] == whole.folds[0].facts["curves"]
    np.testing.assert_array_equal(again.folds[0].probabilities, whole.folds[0].probabilities)
    if protocol.folds > 1:  # and in the other fold, which is taught them, it is seen
        assert not same(kept(again, 1), kept(whole, 1))


def test_the_confusion_is_windows_by_their_class_and_by_the_answer(plain):
    truth, given = plain.targets.argmax(axis=1), plain.answers.argmax(axis=1)
    expected = np.zeros((3, 3), dtype=int)
    for row, column in zip(truth, given, strict=True):
        expected[row, column] += 1
    np.testing.assert_array_equal(plain.confusion, expected)
    turned = dataclasses.replace(
        plain,
        targets=np.eye(3, dtype=bool)[[0, 0, 0, 2, 2]],
        answers=np.eye(3, dtype=bool)[[0, 1, 1, 2, 0]],
    )
    assert turned.confusion.tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 1]]


def test_a_trial_of_one_class_a_window_knows_it_by_its_scores(plain):
    assert plain.one_label is True
    several = plain.scores[plain.scores["metric"] != "top1"]
    assert dataclasses.replace(plain, scores=several).one_label is False


def test_the_facts_and_the_folder_are_those_of_any_trial(plain):
    assert {"name", "protocol", "data", "sizes", "best_epoch", "device"} <= set(plain.facts)
    assert {"precision", "seconds", "curves", "split"} <= set(plain.facts)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    stored = torch.load(plain.folder / "model.pt", weights_only=True)["weights"]
    learnt = [value for name, value in stored.items() if not name.endswith(statistics)]
    assert plain.facts["weights"] == sum(value.numel() for value in learnt)
    names = {path.name for path in plain.folder.iterdir()}
    assert names == {"split.json", "model.pt", "validation.npy", "probabilities.npy", "facts.json"}
