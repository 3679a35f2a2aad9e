"""No label of a tested patient reaches a training by any way.

Each method is carried out twice, in folders of their own and with splits made anew: the second
time every label of whoever is tested, adult or child, is turned round. The weights must be the
same, bit for bit. Labels of those who are taught must change them, or this would show nothing.

That holds for given labels: which ones take part is settled before, by how many recordings of all
carry each.
"""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from made_domains import TRAINING, made_up, relabelled, tried

from pecg_utils import lessons
from pecg_utils.data import domains
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.transfers import METHODS

torch.set_num_threads(1)
SHOTS = {"zero-shot": 0, "few": 4, "all": None}
TWO_EPOCHS = dataclasses.replace(TRAINING, epochs=2, batch=32)


@pytest.fixture(scope="module")
def both():
    return made_up()


@pytest.fixture(scope="module", autouse=True)
def unscored():
    """What a test side is scored with is not looked at here, and takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "scores", lambda *_: pd.DataFrame())
        yield


def rows(windows, domain, *sides):
    parts = domains.parts(windows.table, domain, 0)
    return np.concatenate([parts[side] for side in sides])


def carried_out(folder, windows, method, shots):
    return tried(folder, windows, training=TWO_EPOCHS, method=method, shots=SHOTS[shots])


def stored(outcome):
    """Everything that a training left: weights, buffers, the objective, the scale."""
    found = torch.load(outcome.folds[0].folder / "model.pt", weights_only=True)
    assert set(found) == {"mean", "std", "weights", "objective"}
    scales = {name: torch.tensor(found[name]) for name in ("mean", "std")}
    return {**found["weights"], **found["objective"], **scales}


def same(one, other):
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def clean(tmp_path_factory, both):
    """method, shots -> the outcome with the real labels."""
    folder = tmp_path_factory.mktemp("clean")
    return {
        (method, shots): carried_out(folder, both, method, shots)
        for method in METHODS
        for shots in SHOTS
    }


def copied(outcome, folder, *names):
    """Files of a training, put where one of the same name in `folder` looks for them."""
    place = folder / outcome.folder.name
    place.mkdir(parents=True)
    for name in names:
        shutil.copy(outcome.folder / name, place / name)


@pytest.mark.parametrize("method", METHODS)
def test_a_tested_patients_labels_reach_no_weight(tmp_path, both, clean, method):
    tested = np.concatenate([rows(both, ADULTS, "test"), rows(both, CHILDREN, "test")])
    poisoned = relabelled(both, tested)
    for shots in SHOTS:
        outcome = carried_out(tmp_path, poisoned, method, shots)
        known = clean[method, shots]
        np.testing.assert_array_equal(
            outcome.targets, ~known.targets
        )  # the labels that were turned round are those that it is tested by
        assert same(stored(outcome), stored(known)), shots
        np.testing.assert_array_equal(outcome.probabilities, known.probabilities)
        assert outcome.curves.equals(known.curves)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_child_no_childs_label_reaches_a_weight(tmp_path, both, clean, method):
    """Nor one of those whom DANN and MMD are shown without labels."""
    poisoned = relabelled(both, rows(both, CHILDREN, "train", "validation", "test"))
    outcome = carried_out(tmp_path, poisoned, method, "zero-shot")
    assert same(stored(outcome), stored(clean[method, "zero-shot"]))


@pytest.mark.parametrize("method", METHODS)
def test_of_few_taught_children_only_their_own_labels_reach_a_weight(tmp_path, both, clean, method):
    """Who is taught is chosen by the labels of all children who may be taught, and of no other:
    with the support set as it was, theirs do not count either. Which epoch is kept is not chosen by
    any."""
    known = clean[method, "few"]
    others = np.setdiff1d(
        rows(both, CHILDREN, "train", "validation", "test"), known.folds[0].sides["train"]
    )
    first = clean[method, "zero-shot"]
    copied(first, tmp_path, "split.json", "facts.json", "model.pt")
    copied(known, tmp_path, "split.json")
    outcome = carried_out(tmp_path, relabelled(both, others), method, "few")
    assert same(stored(outcome), stored(known))


@pytest.mark.parametrize("method", METHODS)
def test_the_labels_of_who_is_taught_reach_the_weights(tmp_path, both, clean, method):
    """And one of them is enough: without this the tests above would pass whatever was taught."""
    adult = relabelled(both, rows(both, ADULTS, "train")[:1])
    outcome = carried_out(tmp_path / "adult", adult, method, "zero-shot")
    assert not same(stored(outcome), stored(clean[method, "zero-shot"]))
    for shots in ("few", "all"):
        known = clean[method, shots]
        folder = tmp_path / shots
        copied(clean[method, "zero-shot"], folder, "split.json", "facts.json", "model.pt")
        copied(known, folder, "split.json")
        child = relabelled(both, known.folds[0].sides["train"][:1])
        outcome = carried_out(folder, child, method, shots)
        assert not same(stored(outcome), stored(known)), shots


def test_the_adults_labels_reach_what_children_are_taught_from(tmp_path, both, clean):
    adult = relabelled(both, rows(both, ADULTS, "train")[:1])
    outcome = carried_out(tmp_path, adult, "PEACE", "few")
    assert not same(stored(outcome), stored(clean["PEACE", "few"]))


def test_the_same_again_is_the_same_bit_for_bit(tmp_path, both, clean):
    again = carried_out(tmp_path, both, "DANN", "few")
    assert again.folder.parent != clean["DANN", "few"].folder.parent
    assert same(stored(again), stored(clean["DANN", "few"]))
