"""Trainings that go on from weights of another task: what they begin with, and what they leave.

The weights are those of a tiny network that nobody taught anything; what they are worth is not
asked here, only where they go. Last, no label and no sample of a test side reaches a weight.
"""

import dataclasses
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from made_small import SIZES
from test_trial import made_up
from torch.optim.optimizer import register_optimizer_step_post_hook

from pecg_utils import lessons, models, train, trial, weights
from pecg_utils.chapters.ecgs_enough import MODELS
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.objectives import ManyLabels
from pecg_utils.protocol import Protocol, Start
from pecg_utils.train import Training

torch.set_num_threads(1)
TRAINING = Training(
    epochs=2, batch=32, lr=1e-2, weight_decay=1e-3, precision="32", loss="focal", augment=True
)
PATIENT = Protocol("resnet18_1d", TWELVE_LEADS, "12-lead", "patient", crop=0.7, steps=3)
HEAD = Start("another task", "before", head=True)
ALL = Start("another task", "before")
NET, QUICK = "resnet18", "alexnet"
EACH = [model for model in MODELS if model not in ("vgg16", "crnn gru")]  # of each network one


def network(model, classes=3, seed=7, **other):
    """A network with norms that have seen something."""
    torch.manual_seed(seed)
    name, changes = MODELS[model]
    sizes = {**SIZES[name], **dict(changes), **other}
    made = models.create(name, 12, classes, 70, **sizes)
    with torch.no_grad():
        for _ in range(2):
            made(3 * torch.randn(8, 12, 70) + 1)
    return made, sizes


def before(folder, model=NET, classes=3, about=(), **other):
    """The file of such a network, where a trial beside it looks for it; its weights."""
    made, sizes = network(model, classes, **other)
    of = weights.About(
        model=MODELS[model][0],
        sizes=sizes,
        leads=TWELVE_LEADS,
        fs=100.0,
        samples=70,
        classes=tuple("xyz"[:classes]),
        normalise="window",
        filter="none",
        mean=[],
        std=[],
        dataset="ptbxl",
        kind="twin",
        fingerprint="",
        run="",
        revision="",
        made="2025-01-01T00:00:00",
    )
    path = folder / "before" / lessons.WEIGHTS
    path.parent.mkdir(parents=True, exist_ok=True)
    weights.save(path, made.state_dict(), dataclasses.replace(of, **dict(about)))
    return {name: value.clone() for name, value in made.state_dict().items()}


def tried(folder, model=NET, windows=None, training=TRAINING, **how):
    name, changes = MODELS[model]
    protocol = dataclasses.replace(PATIENT, model=name, changes=changes, **how)
    windows = made_up() if windows is None else windows
    return trial.carry_out(windows, protocol, "twin", SIZES[name], training, folder, 20)


def stored(outcome, fold=0):
    """Everything that a training left: weights and statistics of norms, and the scale."""
    kept = torch.load(outcome.folds[fold].folder / "model.pt", weights_only=True)
    scale = {name: torch.tensor(kept[name]) for name in ("mean", "std")}
    return {**kept["weights"], **kept["objective"], **scale}


def same(one, other):
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


def of_head(name):
    return name.startswith("head.")


@pytest.fixture(autouse=True)
def unscored(monkeypatch):
    """What a test side is scored with is not looked at here, and takes its time."""
    monkeypatch.setattr(lessons, "scores", lambda *_: pd.DataFrame())


@pytest.fixture
def begun(monkeypatch):
    """The weights that each training begins with, as it begins."""
    found, fit = [], train.fit

    def spied(model, *others):
        found.append({name: value.clone() for name, value in model.state_dict().items()})
        return fit(model, *others)

    monkeypatch.setattr(train, "fit", spied)
    return found


@pytest.mark.parametrize("classes", [3, 2])  # of the other task; here there are two
@pytest.mark.parametrize("start", [HEAD, ALL])
def test_a_training_begins_with_these_weights_and_a_new_head(tmp_path, begun, start, classes):
    given = before(tmp_path, classes=classes)
    tried(tmp_path, start=start)
    tried(tmp_path)
    (one, scratch) = begun
    for name, value in one.items():
        if of_head(name):
            assert len(value) == 2
            assert torch.equal(value, scratch[name])  # of the seed, as from scratch
            if classes == 2 and name == "head.weight":
                assert not torch.equal(value, given[name])
        else:
            assert torch.equal(value, given[name]), name
    assert not torch.equal(scratch["trunk.stem.0.0.weight"], one["trunk.stem.0.0.weight"])


def test_another_repeat_has_another_head_and_the_same_start(tmp_path, begun):
    before(tmp_path)
    for repeat in (0, 1):
        tried(tmp_path, start=ALL, repeat=repeat)
    differ = {name for name in begun[0] if not torch.equal(begun[0][name], begun[1][name])}
    assert differ == {"head.weight"}  # its bias begins with zeros


def test_every_fold_begins_with_them(tmp_path, begun):
    given = before(tmp_path)
    outcome = tried(tmp_path, start=HEAD, folds=2)
    assert len(begun) == len(outcome.folds) == 2
    for one in (*begun, *(stored(outcome, fold) for fold in range(2))):
        assert all(torch.equal(one[name], given[name]) for name in given if not of_head(name))


@pytest.mark.parametrize("model", EACH)
def test_of_the_head_alone_all_else_stays_bit_for_bit(tmp_path, begun, model):
    given = before(tmp_path, model)
    left = stored(tried(tmp_path, model, start=HEAD))
    for name in given:
        changed = not torch.equal(left[name], begun[0][name])
        assert changed == of_head(name), name
        assert of_head(name) or torch.equal(left[name], given[name]), name


@pytest.mark.parametrize("model", [NET, "crnn lstm", "restransformer"])
def test_of_all_weights_every_one_learns(tmp_path, begun, model):
    given = before(tmp_path, model)
    left = stored(tried(tmp_path, model, start=ALL))
    stayed = [name for name in given if torch.equal(left[name], begun[0][name])]
    assert stayed == []


def test_the_new_tasks_own_scale_is_used(tmp_path):
    """What leads were scaled by belongs to the windows, and not to the weights."""
    before(tmp_path, about={"mean": [9.0] * 12, "std": [9.0] * 12, "normalise": "train"}.items())
    left, scratch = stored(tried(tmp_path, start=ALL)), stored(tried(tmp_path))
    for name in ("mean", "std"):
        assert torch.equal(left[name], scratch[name])
        assert not torch.equal(left[name], torch.full((12,), 9.0).double())


def test_no_file_and_a_damaged_one_are_refused(tmp_path):
    with pytest.raises(PecgError, match=r"There is no file of weights at .*before/weights\.safe"):
        tried(tmp_path, start=ALL)
    before(tmp_path)
    path = tmp_path / "before" / lessons.WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(PecgError, match="damaged"):
        tried(tmp_path, start=HEAD)
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(PecgError, match="was changed since it was written"):
        tried(tmp_path, start=HEAD)
    path.write_bytes(whole)
    tried(tmp_path, start=HEAD)  # what was refused left nothing behind


@pytest.mark.parametrize(
    ("about", "made", "why"),
    [
        ({}, {"channels": (4, 4, 4, 8)}, r"size channels = \(4, 4, 4, 8\) and \(4, 4, 4, 4\) is"),
        ({"fs": 500.0}, {}, "taught at 500 Hz and 100 Hz is asked"),
        ({"leads": TWELVE_LEADS[::-1]}, {}, "in this order and 12 are asked"),
        ({}, {"model": "crnn gru"}, "are of the model crnn and resnet18_1d is asked"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, about, made, why):
    before(tmp_path, about=about.items(), **made)
    with pytest.raises(PecgError, match=why):
        tried(tmp_path, start=ALL)


def test_a_cell_of_the_other_kind_is_refused(tmp_path):
    before(tmp_path, "crnn gru")
    with pytest.raises(PecgError, match="size cell = GRU and LSTM is asked"):
        tried(tmp_path, "crnn lstm", start=ALL)


@pytest.fixture
def steps():
    """Counts the steps of an optimiser."""
    count = []
    hook = register_optimizer_step_post_hook(lambda *_: count.append(1))
    yield count
    hook.remove()


@pytest.mark.parametrize(
    ("asked", "most", "a_pass"),
    [
        (3, None, 4),  # 104 windows, 32 a step
        (9, None, 4),
        (5, 33, 1),  # a batch of one is passed over
        (5, 34, 2),
        (3, 1, 1),
    ],
)
def test_a_training_has_so_many_steps_at_the_least(tmp_path, steps, asked, most, a_pass):
    outcome = tried(tmp_path, QUICK, steps=asked, most=most)
    assert outcome.facts["split"]["windows"]["train"] == (most or 104)
    passes = math.ceil(asked / a_pass)
    assert len(steps) == passes * a_pass
    assert len(outcome.curves) == outcome.facts["best_epoch"] == passes


def test_without_steps_there_are_the_runs_epochs(tmp_path, steps):
    assert len(tried(tmp_path, QUICK, steps=0).curves) == TRAINING.epochs
    assert len(steps) == 2 * 4


def test_the_validation_side_is_looked_at_once_and_the_last_epoch_kept(tmp_path, monkeypatch):
    falling = iter(np.linspace(1, 0.1, 10))
    asked = []

    def score(keep, targets, given):
        asked.append(len(targets))
        return next(falling)

    monkeypatch.setattr(ManyLabels, "score", staticmethod(score))
    outcome = tried(tmp_path, QUICK, steps=9)  # three passes
    seen = outcome.curves["validation_f1"]
    assert len(asked) == 1
    assert seen.notna().tolist() == [False, False, True]
    watch = dataclasses.replace(TRAINING, watch=True)
    looked_at = tried(tmp_path / "other", QUICK, steps=9, training=watch)
    assert len(asked) == 4
    assert looked_at.curves["validation_f1"].is_monotonic_decreasing
    assert outcome.facts["best_epoch"] == looked_at.facts["best_epoch"] == 3
    assert same(stored(outcome), stored(looked_at))  # to look changes nothing
    given = np.load(trial.epochs(looked_at.folder) / "test-0003.npy")
    np.testing.assert_array_equal(given[:, 0], looked_at.probabilities)
    chosen = tried(tmp_path, QUICK, steps=0, training=dataclasses.replace(TRAINING, epochs=3))
    assert chosen.facts["best_epoch"] == 1  # else the best one is kept


def rows(outcome, fold=0):
    return set(outcome.folds[fold].sides["train"].tolist())


@pytest.fixture
def barely(monkeypatch):
    """Trials that are divided, and not taught."""

    def write(place, *others):
        np.save(place / "probabilities.npy", np.zeros((len(others[2]["test"]), 2)))
        (place / "facts.json").write_text(json.dumps({"curves": [], "seconds": 0, "best_epoch": 1}))

    monkeypatch.setattr(trial, "_train", write)


@pytest.mark.usefixtures("barely")
@pytest.mark.parametrize("folds", [1, 3])
def test_who_is_taught_is_nested_and_the_same_for_every_way(tmp_path, folds):
    positive = made_up().labels.any(axis=1)
    every = tried(tmp_path, folds=folds)
    for fold in range(folds):
        whole = np.array(sorted(rows(every, fold)))
        larger = set(whole)
        for most in (60, 30, 10):
            one = tried(tmp_path, folds=folds, most=most, draw=0)
            taught = rows(one, fold)
            assert len(taught) == most
            assert taught < larger
            larger = taught
            wanted = most * positive[whole].mean()
            assert abs(positive[sorted(taught)].sum() - wanted) <= 1
            for start in (HEAD, ALL):
                other = tried(tmp_path, folds=folds, most=most, draw=0, start=start, repeat=1)
                assert rows(other, fold) == taught
            drawn = tried(tmp_path, folds=folds, most=most, draw=1)
            assert rows(drawn, fold) != taught
            assert rows(drawn, fold) < set(whole)
            assert abs(positive[sorted(rows(drawn, fold))].sum() - wanted) <= 1
        for most in (len(whole), 500):
            assert rows(tried(tmp_path, folds=folds, most=most, draw=1), fold) == set(whole)
        held = every.folds[fold].sides
        for side in ("validation", "test"):  # they are whole, whatever is taught
            np.testing.assert_array_equal(one.folds[fold].sides[side], held[side])


WAYS = {
    "pre-training": {"steps": 0},
    "from scratch": {"start": None},
    "head only": {"start": HEAD},
    "all weights": {"start": ALL},
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """way -> the outcome with the windows as they are."""
    folder = tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "scores", lambda *_: pd.DataFrame())
        return taught_again(folder, made_up())


def taught_again(folder, windows, known=None, ways=tuple(WAYS)):
    """Some ways on these windows. known: outcomes whose splits are kept; labels of all, and of who
    is tested too, say who is on which side, so that other labels would divide anew."""
    before(folder)
    for outcome in (known or {}).values():
        place = folder / outcome.folder.name
        place.mkdir(parents=True)
        shutil.copy(outcome.folder / "split.json", place / "split.json")
    return {way: tried(folder, windows=windows, most=60, draw=0, **WAYS[way]) for way in ways}


def poisoned(sides, *names, labels=True, steps=True, windows=None):
    """The made-up windows, of which those on these sides have other labels, and other samples."""
    windows = made_up() if windows is None else windows
    of = np.concatenate([sides[name] for name in names])
    flags, moved = windows.labels.copy(), windows.steps.copy()
    if labels:
        flags[of] = ~flags[of]
    if steps:
        moved[of] = np.roll(moved[of], 37, axis=2)[:, ::-1] // 2 + 500
    return dataclasses.replace(windows, labels=flags, steps=moved)


def test_nothing_of_a_test_side_reaches_a_weight(tmp_path, clean):
    """Pre-training, too, has a test side, of which nothing goes on to the small set."""
    sides = clean["from scratch"].folds[0].sides
    found = taught_again(tmp_path, poisoned(sides, "test"), clean)
    for way, outcome in found.items():
        known = clean[way]
        np.testing.assert_array_equal(outcome.targets, ~known.targets)
        assert not np.array_equal(outcome.probabilities, known.probabilities), way
        assert same(stored(outcome), stored(known)), way
        assert outcome.curves.equals(known.curves), way
        of_validation = [np.load(one.folder / "validation.npy") for one in (outcome, known)]
        np.testing.assert_array_equal(*of_validation)


def test_nor_of_a_validation_side_nor_a_sample_of_who_is_not_drawn(tmp_path, clean):
    """For the last step is kept, and the scale is that of who is drawn."""
    ways = ("from scratch", "head only")
    sides = dict(clean["from scratch"].folds[0].sides)
    sides["others"] = np.setdiff1d(np.arange(160), np.concatenate(list(sides.values())))
    assert len(sides["others"]) == 44
    windows = poisoned(sides, "validation")
    windows = poisoned(sides, "others", labels=False, windows=windows)
    for way, outcome in taught_again(tmp_path, windows, clean, ways).items():
        assert same(stored(outcome), stored(clean[way])), way


def test_one_taught_label_and_one_taught_window_change_the_weights(tmp_path, clean):
    """Without this the tests above would pass whatever was taught."""
    sides = {"one": clean["from scratch"].folds[0].sides["train"][:1]}
    label = taught_again(tmp_path / "label", poisoned(sides, "one", steps=False), clean)
    for way, known in clean.items():
        assert not same(stored(label[way]), stored(known)), way
    windows = poisoned(sides, "one", labels=False)
    sample = taught_again(tmp_path / "sample", windows, clean, ["head only"])["head only"]
    left, known = stored(sample), stored(clean["head only"])
    for name in ("mean", "std", "head.weight"):
        assert not torch.equal(left[name], known[name]), name
