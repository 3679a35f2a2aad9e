"""Watched trainings: what is kept after every epoch, and that watching changes nothing."""

import dataclasses
import shutil
from types import SimpleNamespace

import made_pairs
import numpy as np
import pytest
import torch
from test_train import SHORT, Stopped, equal, network, sides
from test_trial import TINY, TRAINING, made_up

from pecg_utils import files, models, train, trial
from pecg_utils.data.inputs import Inputs, Scale
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.splits import NOWHERE
from pecg_utils.objectives import Heads, ManyLabels
from pecg_utils.protocol import Protocol
from pecg_utils.train import fit, predict

torch.set_num_threads(1)
WATCHED = dataclasses.replace(
    TRAINING, epochs=3, loss="plain", keep="average_precision", watch=True
)
MRMNET = Protocol("mrmnet", TWELVE_LEADS, "12-lead", "fold", "together", turn=3)
PIECES = dataclasses.replace(MRMNET, crop=0.7)
RESNET = dataclasses.replace(MRMNET, model="resnet1d")
SIZES = {"mrmnet": {"width": 4}, "resnet1d": TINY}
TESTED, VALIDATES = 7, 6  # the folds of turn 3


def windows(copies=False):
    """The made-up ones in ten folds; with copies, fold 1 holds the recordings of the tested one."""
    made = made_up(patients=20)
    fold = np.arange(80) // 4 % 10 + 1
    same = made.table["record"].copy()
    if copies:
        same[fold == 1] = same[fold == TESTED].to_numpy()
    return dataclasses.replace(made, table=made.table.assign(fold=fold, same=same))


def tried(folder, protocol=MRMNET, given=None, training=WATCHED):
    given = windows() if given is None else given
    sizes = SIZES[protocol.model]
    return trial.carry_out(given, protocol, "twin", sizes, training, folder, 20)


@pytest.fixture(scope="module", params=[PIECES, RESNET], ids=["pieces", "whole"])
def done(request, tmp_path_factory):
    return tried(tmp_path_factory.mktemp("watched"), request.param)


def watched(outcome):
    """What was kept: name of the file -> its array."""
    folder = trial.epochs(outcome.folder)
    return {path.name: np.load(path) for path in sorted(folder.iterdir())}


def test_each_side_and_epoch_has_a_file_with_every_heads_probabilities(done):
    found = watched(done)
    names = [f"{side}-{e:04d}.npy" for side in ("test", "validation") for e in (1, 2, 3)]
    assert list(found) == names
    heads = 1 if done.protocol.model == "resnet1d" else 2
    for name, given in found.items():
        fold = TESTED if name.startswith("test") else VALIDATES
        assert given.shape == ((windows().table["fold"] == fold).sum(), heads, 2)
        assert given.dtype == np.float32
        assert given.min() > 0
        assert given.max() < 1
    assert len({given.tobytes() for given in found.values()}) == 6


def test_in_the_kept_epoch_the_mean_over_heads_is_the_answer(done):
    found, epoch = watched(done), done.facts["best_epoch"]
    for side, name in (("validation", "validation.npy"), ("test", "probabilities.npy")):
        kept = np.load(done.folder / name)
        np.testing.assert_allclose(found[f"{side}-{epoch:04d}.npy"].mean(axis=1), kept, atol=1e-6)
    np.testing.assert_array_equal(np.load(done.folder / "probabilities.npy"), done.probabilities)


def test_the_curve_is_of_the_validation_side_that_was_kept_after_each_epoch(done):
    found, score = watched(done), ManyLabels(np.ones((2, 2), bool), "plain").score
    given = windows()
    targets = given.labels[given.table["fold"] == VALIDATES]
    for row in done.facts["curves"]:
        mean = found[f"validation-{row['epoch']:04d}.npy"].mean(axis=1)
        assert row["validation_average_precision"] == score("average_precision", targets, mean)


def test_each_file_is_of_the_weights_after_its_epoch_and_in_the_windows_order(done):
    """The kept epoch's, asked again head by head."""
    kept = torch.load(done.folder / "model.pt", weights_only=True)
    protocol, given = done.protocol, windows()
    model = models.create(
        protocol.model,
        n_leads=12,
        n_classes=2,
        n_samples=protocol.piece(given),
        **SIZES[protocol.model],
    )
    model.load_state_dict(kept["weights"])
    rows = np.flatnonzero(given.table["fold"] == TESTED)
    measure = Scale(TWELVE_LEADS, np.array(kept["mean"]), np.array(kept["std"]))
    each = (Heads if protocol.model == "mrmnet" else ManyLabels).each
    side = Inputs(given, rows, measure, given.labels[rows])
    crop = protocol.piece(given) if protocol.crop else 0
    asked = predict(model, side, each, crop)
    name = f"test-{done.facts['best_epoch']:04d}.npy"
    np.testing.assert_allclose(watched(done)[name], asked, atol=1e-6)


def test_unwatched_the_same_is_trained_and_nothing_is_kept(done, tmp_path):
    how = dataclasses.replace(WATCHED, watch=False)
    plain = tried(tmp_path, done.protocol, training=how)
    assert not trial.epochs(plain.folder).exists()
    for name in ("model.pt", "validation.npy", "probabilities.npy", "split.json"):
        assert (plain.folder / name).read_bytes() == (done.folder / name).read_bytes(), name
    assert plain.facts["curves"] == done.facts["curves"]
    assert plain.facts["best_epoch"] == done.facts["best_epoch"]


def poisoned(given, out):
    """The windows, of which `out` are noise of another size with other labels."""
    steps, gain, labels = given.steps.copy(), given.gain.copy(), given.labels.copy()
    steps[out] = np.random.default_rng(9).integers(-32767, 32767, steps[out].shape)
    gain[out] *= 40
    labels[out] = ~labels[out]
    return dataclasses.replace(given, steps=steps, gain=gain, labels=labels)


def test_nothing_of_the_test_side_reaches_the_weights(done, tmp_path):
    """Its windows and its labels may be anything."""
    out = (windows().table["fold"] == TESTED).to_numpy()
    other = tried(tmp_path, done.protocol, poisoned(windows(), out))
    for name in ("model.pt", "validation.npy"):
        assert (other.folder / name).read_bytes() == (done.folder / name).read_bytes(), name
    assert other.facts["curves"] == done.facts["curves"]
    for name, kept in watched(other).items():
        same = np.array_equal(kept, watched(done)[name])
        assert same is name.startswith("validation"), name
    assert not np.array_equal(other.probabilities, done.probabilities)
    assert not np.array_equal(other.targets, done.targets)


def test_nor_does_a_copy_of_it_that_is_nowhere(tmp_path):
    given = windows(copies=True)
    side = MRMNET.divide(given.table, given.labels, 0)[0].side
    nowhere = side == NOWHERE
    assert nowhere.sum() == 8
    short = dataclasses.replace(WATCHED, epochs=1)
    clean, other, fewer = (
        tried(tmp_path / name, MRMNET, of, short)
        for name, of in (
            ("clean", given),
            ("other", poisoned(given, nowhere | (side == 2))),
            ("all", poisoned(windows(), nowhere)),  # where they are no copies, they are taught
        )
    )
    kept = [(outcome.folder / "model.pt").read_bytes() for outcome in (clean, other, fewer)]
    assert kept[0] == kept[1] != kept[2]
    assert clean.facts["split"]["windows"] == {"train": 56, "validation": 8, "test": 8}


@pytest.mark.parametrize("looking", [False, True])
def test_stopped_and_resumed_the_same_files_are_left(done, tmp_path, monkeypatch, looking):
    """In the third epoch, or in the second one between the files of its two sides."""
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        one, write = train._one_epoch, files.array_bytes
        written = []

        def teach(*given):
            if not looking and given[-1] == 2:
                raise Stopped
            return one(*given)

        def bytes_of(array):
            written.append(array)
            if looking and len(written) == 4:
                raise Stopped
            return write(array)

        patch.setattr(train, "_one_epoch", teach)
        patch.setattr(files, "array_bytes", bytes_of)
        with pytest.raises(Stopped):
            tried(tmp_path, done.protocol)
    begun = sorted(path.name for path in trial.epochs(tmp_path / done.folder.name).iterdir())
    tested = ["test-0001.npy"] if looking else ["test-0001.npy", "test-0002.npy"]
    assert begun == [*tested, "validation-0001.npy", "validation-0002.npy"]
    torch.manual_seed(99)  # whatever a new process draws first
    resumed = tried(tmp_path, done.protocol)
    before, after = watched(done), watched(resumed)
    assert list(before) == list(after)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert (done.folder / "model.pt").read_bytes() == (resumed.folder / "model.pt").read_bytes()


def test_pairs_and_several_folds_are_watched_too(tmp_path):
    protocol = dataclasses.replace(made_pairs.PATIENT, folds=2)
    outcome = made_pairs.tried(tmp_path, protocol, watch=True)
    for fold in outcome.folds:
        found = {p.name: np.load(p) for p in trial.epochs(fold.folder).iterdir()}
        assert len(found) == 4
        epoch = fold.facts["best_epoch"]
        last = found[f"test-{epoch:04d}.npy"]
        assert last.shape == (len(fold.sides["test"]), 1, 3)
        np.testing.assert_allclose(last[:, 0], fold.probabilities, atol=1e-6)
        np.testing.assert_allclose(last.sum(axis=2), 1, atol=1e-5)


def test_read_back_a_watched_trial_is_not_trained_again(done, tmp_path, monkeypatch):
    shutil.copytree(done.folder.parent, tmp_path / "copy")
    monkeypatch.setattr(trial, "_train", None)
    again = tried(tmp_path / "copy", done.protocol)
    assert list(watched(again)) == list(watched(done))


def test_judged_on_its_own_windows_a_model_says_what_it_said(done):
    again = trial.judge(done, windows(), "twin", SIZES[done.protocol.model], 20)
    tested = done.folds[0].sides["test"]
    np.testing.assert_allclose(again.probabilities[tested], done.probabilities, atol=1e-5)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_look_is_taken_after_each_epoch_at_the_model_as_it_is_then(tmp_path):
    training, validation = sides()
    seen = []

    def look(epoch, model, objective):
        seen.append((epoch, weights(model), predict(model, validation, objective.probabilities)))

    fitted = fit(network(), training, validation, SHORT, tmp_path / "c", None, look)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3, 4]
    score = fitted.objective.score
    for (_, _, given), row in zip(seen, fitted.curves, strict=True):
        assert score("f1", validation.labels, given) == row["validation_f1"]
    for at, (_, state, _) in enumerate(seen):
        short = dataclasses.replace(SHORT, epochs=at + 1, last=True)
        alone = fit(network(), training, validation, short, tmp_path / "none").model.state_dict()
        assert all(torch.equal(value, alone[name]) for name, value in state.items())


def test_a_look_changes_no_weight(tmp_path):
    training, validation = sides()
    looks = []

    def look(epoch, model, objective):
        looks.append(predict(model, training, objective.each))
        predict(model, validation, objective.each)

    plain = fit(network(), training, validation, SHORT, tmp_path / "plain")
    looked = fit(network(), training, validation, SHORT, tmp_path / "looked", None, look)
    assert len(looks) == 4
    assert equal(plain, looked)  # with dropout and batch norms in it
    assert plain.curves == looked.curves
    assert plain.best_epoch == looked.best_epoch


def test_what_is_looked_at_is_no_training(tmp_path, monkeypatch):
    """The seconds of a training are what its cost is reckoned from."""
    clock = [0.0]
    monkeypatch.setattr(train, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    one = train._one_epoch

    def teach(*given):
        clock[0] += 1.0
        return one(*given)

    def look(epoch, model, objective):
        clock[0] += 100.0

    monkeypatch.setattr(train, "_one_epoch", teach)
    fitted = fit(network(), *sides(), SHORT, tmp_path / "c", None, look)
    assert fitted.seconds == 4.0
    assert clock == [404.0]


def test_resumed_only_the_epochs_that_are_left_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    seen = []

    def look(epoch, model, objective):
        seen.append(epoch)
        if seen == [1, 2, 3]:
            raise Stopped

    with pytest.raises(Stopped):
        fit(network(), *sides(), SHORT, tmp_path / "c", None, look)
    resumed = fit(network(), *sides(), SHORT, tmp_path / "c", None, look)
    assert seen == [1, 2, 3, 3, 4]  # the third was not over
    assert equal(resumed, fit(network(), *sides(), SHORT, tmp_path / "never"))
