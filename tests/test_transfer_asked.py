"""Models that a transfer left, asked again: what they say, of whom, and what may not have a say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_domains import CLASSES, TRAINING, YEAR, made_up, single, tried

from pecg_utils import transfer_asked, transfer_audits, transfer_real
from pecg_utils.data import domains
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.errors import PecgError
from pecg_utils.transfer_asked import SEEN, UNTRAINED
from pecg_utils.transfer_study import PEACE

torch.set_num_threads(1)
WIDE = (("channels", (4, 4, 8, 24)), ("feedforward", 48), ("dropout", 0.0))


@pytest.fixture(scope="module")
def both():
    return made_up()


@pytest.fixture(scope="module")
def trials(tmp_path_factory, both):
    """PEACE without a child by two seeds, and with a few."""
    folder = tmp_path_factory.mktemp("trials")
    return {
        "first": tried(folder, both, changes=(("depth", 2),)),
        "second": tried(folder, both, changes=(("depth", 2),), repeat=1),
        "few": tried(folder, both, shots=4),
    }


@pytest.mark.parametrize("name", ["first", "few"])
def test_asked_of_its_own_test_side_a_model_says_what_it_said(trials, both, name):
    outcome = trials[name]
    rows = outcome.folds[0].sides["test"]
    again = transfer_asked.again(outcome, both, rows, resamples=20)
    np.testing.assert_array_equal(again.probabilities, outcome.probabilities)
    np.testing.assert_array_equal(again.targets, outcome.targets)
    pd.testing.assert_frame_equal(again.about, outcome.about)
    pd.testing.assert_frame_equal(again.scores, outcome.scores)
    assert again.protocol == outcome.protocol
    assert again.kind == again.facts["data"] == "twin"
    assert "trained_on" not in again.facts  # it is asked of what it was taught on
    assert again.facts["seconds"] == 0.0  # nothing was trained
    assert outcome.facts["seconds"] > 0


def test_asked_of_others_it_is_said_of_whom_and_of_what(trials, both):
    rows = np.flatnonzero(both.table["domain"] == ADULTS)[[7, 3, 20, 9, 30, 31]]
    found = transfer_asked.again(
        trials["few"], both, rows, "case by case", tested=ADULTS, kind="subset", resamples=20
    )
    assert found.about["record"].tolist() == both.table["record"].iloc[rows].tolist()
    np.testing.assert_array_equal(found.targets, both.labels[rows])
    assert (found.kind, found.facts["trained_on"]) == ("subset", "twin")
    assert found.facts["split"]["windows"] == {"test": 6}
    assert found.facts["split"]["patients"] == {"test": found.about["patient"].nunique()}
    assert found.protocol.name.endswith("case by case, PEACE, 4 shots, 4 steps, adults tested")
    assert found.facts["name"] == found.protocol.name != trials["few"].facts["name"]


def test_each_recording_is_answered_by_itself_at_the_scale_of_training(trials, both):
    """Of other windows too, louder ones or fewer."""
    every = np.arange(len(both))
    whole = transfer_asked.again(trials["first"], both, every, resamples=20).probabilities
    part = transfer_asked.again(trials["first"], both, every[5:25], resamples=20).probabilities
    np.testing.assert_allclose(part, whole[5:25], atol=1e-6)
    loud = replace(both, gain=both.gain * 4)
    other = transfer_asked.again(trials["first"], loud, every, resamples=20).probabilities
    assert np.abs(other - whole).max() > 0.01


def test_a_network_that_nobody_trained_knows_nothing_of_the_trained_one(trials, both):
    found = {seed: transfer_asked.untrained(trials["first"], both, seed, 20) for seed in (0, 1)}
    for seed, outcome in found.items():
        again = transfer_asked.untrained(trials["second"], both, seed, 20)
        np.testing.assert_array_equal(again.probabilities, outcome.probabilities)
        assert not np.allclose(outcome.probabilities, trials["first"].probabilities, atol=1e-3)
        assert (outcome.protocol.windows, outcome.protocol.repeat) == (UNTRAINED, seed)
        np.testing.assert_array_equal(outcome.targets, trials["first"].targets)
    assert not np.allclose(found[0].probabilities, found[1].probabilities, atol=1e-3)
    names = {outcome.protocol.name for outcome in [*found.values(), *trials.values()]}
    assert len(names) == 5


@pytest.fixture(scope="module")
def noise():
    """Windows that tell nothing of their labels."""
    return made_up(told=0.0)


@pytest.fixture(scope="module")
def told(tmp_path_factory, noise):
    """A model that was shown the axis tokens of what it was taught, and one that was not.

    The last epoch of both is kept: where the ECG tells nothing the best one is any."""
    folder = tmp_path_factory.mktemp("told")
    long = replace(TRAINING, epochs=12, batch=8, lr=2e-2, last=True)
    return {
        name: tried(folder, noise, training=long, changes=WIDE, tokens=tokens)
        for name, tokens in (("in the path", "own"), ("none", "none"))
    }


def test_the_tokens_tell_the_answer_to_a_model_that_learned_to_read_them(told, noise):
    rows = told["none"].folds[0].sides["test"]
    table = transfer_asked.leak(told, noise, rows, 50)
    assert table.columns.tolist() == ["taught", "seen", "value", "low", "high"]
    assert table["taught"].tolist() == ["in the path"] * 3 + ["none"] * 3
    assert table["seen"].tolist() == [*SEEN, *SEEN]
    assert (table["low"] <= table["high"]).all()
    value = table.set_index(["taught", "seen"])["value"]
    assert value["in the path", "its own tokens"] > 0.9
    assert value["in the path", "another's tokens"] < 0.7
    assert value["none", "its own tokens"] < 0.75
    for name, outcome in told.items():  # without tokens it is what the model scored
        assert value[name, "ECG alone"] == pytest.approx(outcome.value("auroc")["value"])


def test_another_records_tokens_are_never_shown_as_its_own(told, noise, monkeypatch):
    shown = []

    def watched(model, outcome, windows, inputs, labels):
        shown.append((inputs.labels, labels))
        return np.zeros(labels.shape, dtype=np.float32)

    monkeypatch.setattr(transfer_asked, "_with_tokens", watched)
    transfer_asked.leak(told, noise, told["none"].folds[0].sides["test"], 20)
    (true, own), (_, others), *_ = shown
    np.testing.assert_array_equal(true, own)
    assert not np.array_equal(true, others)
    assert sorted(map(tuple, others)) == sorted(map(tuple, true))


def test_a_batch_at_a_time_the_tokens_tell_the_same(told, noise):
    outcome = told["in the path"]
    model, measure = transfer_asked._model(outcome, noise)
    rows = np.arange(20)
    inputs = transfer_asked.Inputs(noise, rows, measure, noise.labels[rows])
    whole, parts = (
        transfer_asked._with_tokens(model, outcome, noise, inputs, inputs.labels, size)
        for size in (256, 7)
    )
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 4])
def test_adults_who_were_not_taught_are_found_by_the_models_own_split(tmp_path, both, seed):
    """With any seed: a model that is tested on whom it was taught looks better than it is."""
    outcome = tried(tmp_path, both, training=replace(TRAINING, seed=seed, epochs=1))
    parts = domains.parts(both.table, ADULTS, seed)
    left = transfer_asked.other_adults(outcome, both, "train", "validation")
    np.testing.assert_array_equal(left, parts["test"])
    held = transfer_asked.other_adults(outcome, both, "train")
    assert set(held) == {*parts["validation"], *parts["test"]}
    gathered = SimpleNamespace(windows=both)
    seen = transfer_audits.adults({(PEACE, "0"): [outcome]}, gathered)
    assert seen.about["record"].tolist() == both.table["record"].iloc[left].tolist()
    assert seen.protocol.transfer.tested == ADULTS
    answers = transfer_asked.again(outcome, both, held, resamples=20)
    called = transfer_real._called(outcome, both, answers)
    np.testing.assert_array_equal(called.sum(axis=0), both.labels[held].sum(axis=0))


def answered(outcome, ages, normal, probabilities, patients=None):
    """`outcome` with other people: ages in years, whether they are NORM, and (n, 3) answers."""
    count = len(ages)
    who = [f"P{i}" for i in range(count)] if patients is None else patients
    about = pd.DataFrame({"patient": who, "age_days": np.array(ages) * YEAR})
    targets = np.zeros((count, len(CLASSES)), dtype=bool)
    targets[:, 0] = normal
    targets[:, 1] = ~targets[:, 0]
    return replace(
        outcome, about=about, targets=targets, probabilities=np.array(probabilities, np.float32)
    )


def test_at_the_threshold_for_healthy_adults_so_many_of_them_are_called(trials):
    generator = np.random.default_rng(0)
    given = generator.random((400, 3)) ** [1, 2, 3]
    normal = np.arange(400) % 2 == 0
    given[~normal] += 5  # what is said of the ill has no say in the threshold
    people = answered(trials["first"], np.full(400, 10.0), normal, given)
    for rate in (0.05, 0.2):
        table = transfer_asked.flagged(people, people, ["a", "b", "c"], rate, resamples=50)
        assert table["share"].tolist() == pytest.approx([rate, rate], abs=0.005)
        assert (table["rate"] == rate).all()
        assert (table["children"] == 200).all()
        assert ((table["low"] < rate) & (rate < table["high"])).all()
    assert table["label"].tolist() == ["STACH", "LVH"]  # of the normal none is a carrier
    assert table["words"].tolist() == ["b", "c"]


def test_healthy_children_are_counted_by_their_band_of_age(trials):
    adults = answered(trials["first"], [30.0] * 21, [True] * 21, np.tile(np.arange(21), (3, 1)).T)
    # The threshold at 5 % is 19, for each label.
    ages = [0.05, 0.05, 0.5, 2.0, 2.0, 2.0, 2.0, 13.0, 13.0, np.nan]
    normal = [True] * 6 + [False] + [True] * 3
    high = np.array([1, 0, 1, 1, 1, 0, 1, 0, 0, 1], dtype=bool)
    answers = np.stack([np.zeros(10), np.where(high, 19.5, 19.0), np.zeros(10)], axis=1)
    patients = ["A", "B", "C", "D", "D", "E", "F", "G", "G", "H"]
    children = answered(trials["first"], ages, normal, answers, patients)
    table = transfer_asked.flagged(adults, children, ["a", "b", "c"], resamples=200)
    assert table.columns.tolist() == [
        *("label", "words", "band", "children", "share", "low", "high", "rate")
    ]
    stach = table[table["label"] == "STACH"].set_index("band")
    assert stach.index.tolist() == [
        *("under 1 month", "1 to 12 months", "1 to 3 years", "over 12 years")
    ]  # no other band has a healthy child
    assert stach["children"].tolist() == [2, 1, 2, 1]
    assert stach["share"].tolist() == pytest.approx([1 / 2, 1, 2 / 3, 0])
    one = stach.loc[["1 to 12 months", "over 12 years"], ["low", "high"]]
    assert one.isna().all(axis=None)  # of one child there is no interval
    assert stach.loc["1 to 3 years", ["low", "high"]].tolist() == [0.0, 1.0]
    assert (table.loc[table["label"] == "LVH", "share"] == 0).all()


def test_without_healthy_people_nothing_is_said(trials):
    some = answered(trials["first"], [5.0, 6.0], [True, False], np.zeros((2, 3)))
    none = answered(trials["first"], [5.0, 6.0], [False, False], np.zeros((2, 3)))
    for who, adults, children in (("adult", none, some), ("child", some, none)):
        with pytest.raises(PecgError, match=f"No {who} of the test side has the label NORM, so"):
            transfer_asked.flagged(adults, children, CLASSES)
    with pytest.raises(PecgError, match="No adult of the test side has the label HEALTHY"):
        transfer_asked.flagged(some, some, CLASSES, normal="HEALTHY")


def test_windows_of_other_leads_are_not_asked_about(trials):
    young = single(CHILDREN)
    other = replace(young, settings=replace(young.settings, leads=("V1", "V2")))
    with pytest.raises(PecgError, match="no lead I, II"):
        transfer_asked.again(trials["first"], other, np.arange(3))
