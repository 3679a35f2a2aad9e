"""The training loop: it learns, repeats, goes on where it was stopped, and sees what it may see."""

import dataclasses
import errno
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pecg_utils import objectives, train
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.data.quality import Report
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.errors import PecgError
from pecg_utils.train import Training, fit, predict

torch.set_num_threads(1)
LEADS = ("I", "II")
SHORT = Training(epochs=4, batch=16, lr=1e-2, seed=3, precision="32")


def made_up(n=80):
    """Windows whose two labels are told by the slope of lead I and by the size of lead II."""
    generator = np.random.default_rng(0)
    labels = generator.random((n, 2)) < 0.4
    steps = generator.normal(0, 3000, (n, 2, 30))
    steps[:, 0] += np.where(labels[:, :1], 1, -1) * np.linspace(-6000, 6000, 30)
    steps[:, 1] *= np.where(labels[:, 1:], 3, 1)
    return Windows(
        steps=steps.astype(np.int16),
        gain=np.full((n, 2), 1e-3, np.float32),
        table=pd.DataFrame({"record": np.arange(n), "patient": np.arange(n)}),
        labels=labels,
        classes=("a", "b"),
        settings=Settings(LEADS, seconds=0.3),
        report=Report(n, ()),
        key="made up",
    )


def sides():
    windows = made_up()
    rows = [np.arange(0, 57), np.arange(57, 68)]  # 57 leaves one window over at batch 14 or 28
    measure = scale(windows, rows[0], LEADS)
    return [Inputs(windows, r, measure, windows.labels[r]) for r in rows]


def network():
    """Small, with dropout and batch normalisation: both carry a state that a resume must keep."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv1d(2, 8, 5),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(8 * 26, 2),
    )


def equal(one, other):
    states = one.model.state_dict(), other.model.state_dict()
    return all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_the_loss_falls_and_the_best_epoch_is_kept(tmp_path):
    training, validation = sides()
    fitted = fit(network(), training, validation, dataclasses.replace(SHORT, epochs=12), tmp_path)
    losses = [row["train_loss"] for row in fitted.curves]
    f1 = [row["validation_f1"] for row in fitted.curves]
    assert losses[-1] < 0.5 * losses[0]
    assert [row["epoch"] for row in fitted.curves] == list(range(1, 13))
    assert fitted.best_epoch == 1 + int(np.argmax(f1))  # the first of equals
    given = predict(fitted.model, validation)
    assert fitted.objective.score("f1", validation.labels, given) == max(f1)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tmp_path):
    fits = [
        fit(network(), *sides(), dataclasses.replace(SHORT, seed=seed), tmp_path)
        for seed in (3, 3, 4)
    ]
    assert equal(fits[0], fits[1])
    assert fits[0].curves == fits[1].curves
    assert not equal(fits[0], fits[2])


@pytest.mark.parametrize(("precision", "name"), [("32", "32-true"), ("bf16", "bf16-mixed")])
def test_both_precisions_run_and_keep_float32_weights(tmp_path, precision, name):
    fitted = fit(network(), *sides(), dataclasses.replace(SHORT, precision=precision), tmp_path)
    assert fitted.precision == name
    assert all(p.dtype == torch.float32 for p in fitted.model.parameters())
    assert np.isfinite([row["train_loss"] for row in fitted.curves]).all()


def test_precision_auto_follows_the_machine(tmp_path):
    fitted = fit(network(), *sides(), dataclasses.replace(SHORT, precision="auto"), tmp_path)
    assert fitted.precision == ("bf16-mixed" if train.has_bf16() else "32-true")


def test_probabilities_do_not_depend_on_the_batch(monkeypatch):
    model, (training, _) = network(), sides()
    whole = predict(model, training)
    monkeypatch.setattr(train, "_EVALUATION_BATCH", 13)
    np.testing.assert_allclose(predict(model, training), whole, atol=1e-6)
    assert whole.shape == (57, 2)
    assert whole.min() > 0
    assert whole.max() < 1


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3])
def test_stopped_in_an_epoch_and_resumed_gives_the_weights_of_a_run_never_stopped(
    tmp_path, monkeypatch, after
):
    never = fit(network(), *sides(), SHORT, tmp_path / "never")
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    loss, calls = objectives.weighted_bce, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 4 * after + 3:  # four batches an epoch: in the middle of the next one
            raise Stopped
        return loss(*arguments)

    monkeypatch.setattr(objectives, "weighted_bce", stops)
    with pytest.raises(Stopped):
        fit(network(), *sides(), SHORT, tmp_path / "stopped")
    state = torch.load(tmp_path / "stopped", weights_only=True)
    assert state["epoch"] == after
    torch.manual_seed(99)  # whatever a new process draws first
    resumed = fit(network(), *sides(), SHORT, tmp_path / "stopped")
    assert equal(resumed, never)
    assert resumed.curves == never.curves
    assert resumed.best_epoch == never.best_epoch


def test_killed_in_an_epoch_and_resumed_gives_the_weights_of_a_run_never_stopped(
    tmp_path, monkeypatch
):
    program = """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        import test_train as t
        t.train._SAVE_EVERY = 0.0
        loss, calls = t.objectives.weighted_bce, []
        def dies(*arguments):
            calls.append(1)
            if len(calls) == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            return loss(*arguments)
        t.objectives.weighted_bce = dies
        t.fit(t.network(), *t.sides(), t.SHORT, t.Path(sys.argv[2]))
    """
    checkpoint = tmp_path / "killed"
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program), here, checkpoint])
    assert done.returncode == -signal.SIGKILL
    assert torch.load(checkpoint, weights_only=True)["epoch"] == 2
    resumed = fit(network(), *sides(), SHORT, checkpoint)
    assert equal(resumed, fit(network(), *sides(), SHORT, tmp_path / "never"))


def test_killed_after_the_last_epoch_nothing_is_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    first = fit(network(), *sides(), SHORT, tmp_path / "done")
    monkeypatch.setattr(train, "_one_epoch", None)
    assert equal(fit(network(), *sides(), SHORT, tmp_path / "done"), first)


def test_a_checkpoint_is_written_whole_or_the_older_one_stays(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    train.save({"epoch": torch.tensor(1)}, path)

    def half(scratch, data):
        with scratch.open("wb") as out:
            out.write(bytes(data)[:100])
        raise Stopped

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(Stopped):
        train.save({"epoch": torch.tensor(2)}, path)
    assert int(torch.load(path, weights_only=True)["epoch"]) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(scratch, data):
        scratch.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PecgError, match="The disk is full"):
        fit(network(), *sides(), SHORT, tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_training_sees_no_window_of_another_side(tmp_path, monkeypatch):
    training, validation = sides()
    seen, batch, mode = {True: set(), False: set()}, Inputs.batch, []
    monkeypatch.setattr(
        Inputs, "batch", lambda s, which: (seen[mode[-1]].update(s.rows[which]), batch(s, which))[1]
    )
    model = network()
    switch = model.train
    monkeypatch.setattr(model, "train", lambda on=True: (mode.append(on), switch(on))[1])
    fit(model, training, validation, SHORT, tmp_path / "checkpoint")
    assert seen[True] == set(training.rows)  # in training mode: all of its side, nothing else
    assert seen[False] == set(validation.rows)


def test_the_positive_weights_are_counted_on_the_training_side(tmp_path, monkeypatch):
    training, validation = sides()
    counted = []
    weigh = objectives.positive_weights
    monkeypatch.setattr(objectives, "positive_weights", lambda y: (counted.append(y), weigh(y))[1])
    fit(network(), training, validation, SHORT, tmp_path / "checkpoint")
    assert len(counted) == 1
    np.testing.assert_array_equal(counted[0].numpy(), training.labels)


def test_nothing_is_printed_that_would_stand_in_the_book(tmp_path):
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import test_train as t
        short = t.dataclasses.replace(t.SHORT, precision="bf16")
        t.fit(t.network(), *t.sides(), short, t.Path("x"))
    """
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", textwrap.dedent(program), here]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout + done.stderr == ""


def test_of_equally_good_epochs_the_first_is_kept(tmp_path, monkeypatch):
    f1 = iter([0.1, 0.4, 0.4, 0.2])
    monkeypatch.setattr(objectives.ManyLabels, "score", lambda *_: next(f1))
    assert fit(network(), *sides(), SHORT, tmp_path).best_epoch == 2


def test_the_last_epoch_is_kept_where_it_is_asked_for_whatever_its_score(tmp_path, monkeypatch):
    of_epochs, model = [], network()
    scores = [0.1, 0.9, 0.4, 0.2]

    def score(*_):
        of_epochs.append({name: value.clone() for name, value in model.state_dict().items()})
        return scores[len(of_epochs) - 1]

    monkeypatch.setattr(objectives.ManyLabels, "score", score)
    fitted = fit(model, *sides(), dataclasses.replace(SHORT, last=True), tmp_path / "last")
    assert fitted.best_epoch == 4
    assert [row["validation_f1"] for row in fitted.curves] == scores  # it is looked at
    found = fitted.model.state_dict()
    assert all(torch.equal(value, of_epochs[3][name]) for name, value in found.items())
    assert not torch.equal(found["0.weight"], of_epochs[1]["0.weight"])
    of_epochs.clear()
    model = network()
    best = fit(model, *sides(), SHORT, tmp_path / "best")  # and otherwise the best one
    assert best.best_epoch == 2
    assert torch.equal(best.model.state_dict()["0.weight"], of_epochs[1]["0.weight"])


def test_the_last_epoch_is_kept_by_a_run_that_was_stopped_too(tmp_path, monkeypatch):
    how = dataclasses.replace(SHORT, last=True, epochs=3)
    monkeypatch.setattr(objectives.ManyLabels, "score", lambda *_: float("nan"))
    never = fit(network(), *sides(), how, tmp_path / "never")
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
    resumed = fit(network(), *sides(), how, tmp_path / "stopped")
    assert (resumed.best_epoch, never.best_epoch) == (3, 3)
    assert equal(resumed, never)


def test_every_epoch_has_an_order_of_its_own_and_no_batch_of_one_window(tmp_path, monkeypatch):
    training, validation = sides()
    drawn, batch = [], Inputs.batch

    def spied(inputs, which):
        if inputs is training:
            drawn.append(which)
        return batch(inputs, which)

    monkeypatch.setattr(Inputs, "batch", spied)
    fit(network(), training, validation, dataclasses.replace(SHORT, batch=14), tmp_path)
    assert [len(which) for which in drawn] == [14] * 16  # 57 windows: one is over each time
    epochs = [tuple(np.concatenate(drawn[i : i + 4])) for i in range(0, 16, 4)]
    assert all(len(set(epoch)) == 56 for epoch in epochs)
    assert len(set(epochs)) == 4


def test_a_cosine_rises_and_falls_to_nothing_and_reaches_the_optimiser(tmp_path, monkeypatch):
    cosine = dataclasses.replace(SHORT, schedule="cosine", epochs=10)
    rates = [train._rate(cosine, step, 100) for step in range(100)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[52] == pytest.approx(0.5, abs=0.02)
    assert rates[-1] < 0.001
    assert {train._rate(SHORT, step, 100) for step in range(100)} == {1.0}
    used = []
    step = torch.optim.AdamW.step

    def spied(optimizer, *given, **named):
        used.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", spied)
    fit(network(), *sides(), cosine, tmp_path)
    assert len(used) == 40  # 57 windows in batches of 16
    assert used == pytest.approx([cosine.lr * train._rate(cosine, i, 40) for i in range(40)])


def test_a_cosine_with_shifts_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    how = dataclasses.replace(SHORT, schedule="cosine", shift=True, keep="average_precision")
    whole = fit(network(), *sides(), how, tmp_path / "whole")
    monkeypatch.setattr(train, "_SAVE_EVERY", 0.0)
    one = train._one_epoch

    def stop(*given):
        if given[-1] == 2:
            raise KeyboardInterrupt
        return one(*given)

    monkeypatch.setattr(train, "_one_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), *sides(), how, tmp_path / "stopped")
    monkeypatch.setattr(train, "_one_epoch", one)
    again = fit(network(), *sides(), how, tmp_path / "stopped")
    assert equal(whole, again)
    assert again.curves == whole.curves


def test_a_shift_rolls_each_window_by_its_own_amount_and_changes_what_is_learnt(tmp_path):
    windows = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
    rolled = train.rolled(windows, np.array([0, 2]))
    np.testing.assert_array_equal(rolled[0], windows[0])
    np.testing.assert_array_equal(rolled[1], np.roll(windows[1], 2, axis=1))
    plain = fit(network(), *sides(), SHORT, tmp_path / "plain")
    shifted = fit(network(), *sides(), dataclasses.replace(SHORT, shift=True), tmp_path / "shifted")
    assert not equal(plain, shifted)


def test_the_plain_loss_weighs_every_label_alike(tmp_path, monkeypatch):
    given = []
    loss = objectives.weighted_bce
    monkeypatch.setattr(
        objectives, "weighted_bce", lambda z, y, w: given.append(w) or loss(z, y, w)
    )
    fit(network(), *sides(), dataclasses.replace(SHORT, epochs=1, loss="plain"), tmp_path / "a")
    fit(network(), *sides(), dataclasses.replace(SHORT, epochs=1), tmp_path / "b")
    assert given[0].tolist() == [1.0, 1.0]
    assert given[-1].tolist() != [1.0, 1.0]


def test_the_epoch_of_the_best_average_precision_is_kept_over_the_labels_that_occur(tmp_path):
    how = dataclasses.replace(SHORT, keep="average_precision", epochs=6)
    training, validation = sides()
    fitted = fit(network(), training, validation, how, tmp_path)
    values = [row["validation_average_precision"] for row in fitted.curves]
    assert fitted.best_epoch == values.index(max(values)) + 1
    score = fitted.objective.score
    found = score("average_precision", validation.labels, predict(fitted.model, validation))
    assert found == pytest.approx(max(values))
    targets = np.array([[1, 0], [0, 0], [1, 0]], dtype=bool)
    guessed = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.2]], dtype=np.float32)
    assert score("average_precision", targets, guessed) == pytest.approx((1 + 2 / 3) / 2)
    assert score("average_precision", targets * False, guessed) == 0.0
    assert score("average_precision", targets, guessed * np.nan) == 0.0
