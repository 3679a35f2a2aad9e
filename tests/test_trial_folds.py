"""Trials of several folds: cross-validations, sites left out, and models that are taught alike."""

import dataclasses
import json

import made_pairs
import numpy as np
import pandas as pd
import pytest
from test_trial import PATIENT, TINY, TRAINING, made_up, spied, tried

from pecg_utils import trial
from pecg_utils.data import splits
from pecg_utils.data.inputs import scale
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import taught_alike
from pecg_utils.trial import carry_out

SITES = ("north", "east", "south")


def of_sites():
    """The made-up windows, one a recording, of no named patient, at three sites."""
    windows = made_up()
    number = np.arange(len(windows))
    table = windows.table.assign(
        record=[f"R{i}" for i in number],
        patient="unknown",
        proxy=[f"proxy {i // 2}" for i in number],
        site=[SITES[i % 7 % 3] for i in number],
        start=0.0,
    )
    return dataclasses.replace(windows, table=table, key="of sites")


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossed")
    protocol = dataclasses.replace(PATIENT, split="proxy", folds=3)
    return tried(folder, protocol, of_sites())


def test_a_cross_validation_tests_every_window_once_with_its_own_labels(crossed):
    windows = of_sites()
    records = crossed.about["record"].tolist()
    assert sorted(records) == sorted(windows.table["record"])
    at = [windows.table["record"].tolist().index(record) for record in records]
    np.testing.assert_array_equal(crossed.targets, windows.labels[at])
    facts = crossed.facts
    assert facts["split"]["windows"] == {"test": 160}
    assert facts["split"]["patients"] == {"test": 80}
    assert [fold["split"]["windows"]["test"] for fold in facts["folds"]] == pytest.approx(
        [53] * 3, abs=4
    )
    assert facts["seconds"] == pytest.approx(sum(f["seconds"] for f in facts["folds"]), abs=0.1)
    assert [fold.thresholds.shape for fold in crossed.folds] == [(2,)] * 3
    assert not np.isnan(crossed.value("auroc")["low"])  # a proxy stands for the patient


def test_each_fold_is_trained_without_what_it_tests(tmp_path, monkeypatch):
    made = spied(monkeypatch)
    tried(tmp_path, dataclasses.replace(PATIENT, split="site", folds=9), of_sites())
    table = of_sites().table
    assert len(made) == 9  # three sides of three sites
    for place in range(0, 9, 3):
        training, validation, test = (table.iloc[inputs.rows] for inputs in made[place : place + 3])
        assert test["site"].nunique() == 1
        taught = pd.concat([training, validation])
        assert not set(taught["site"]) & set(test["site"])
        assert not set(training["proxy"]) & set(validation["proxy"])
        measure = scale(of_sites(), made[place].rows, TWELVE_LEADS)
        np.testing.assert_array_equal(made[place + 2].scale.mean, measure.mean)


def test_read_back_a_cross_validation_is_the_same_and_nothing_is_trained(crossed, monkeypatch):
    monkeypatch.setattr(trial, "_train", None)
    again = tried(
        crossed.folder.parent, dataclasses.replace(PATIENT, split="proxy", folds=3), of_sites()
    )
    pd.testing.assert_frame_equal(again.scores, crossed.scores)
    np.testing.assert_array_equal(again.probabilities, crossed.probabilities)


def test_stopped_between_two_folds_it_goes_on(tmp_path, monkeypatch, crossed):
    protocol = dataclasses.replace(PATIENT, split="proxy", folds=3)
    real, calls = trial._train, []

    def stop(*given):
        calls.append(given[0].name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*given)

    monkeypatch.setattr(trial, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        tried(tmp_path, protocol, of_sites())
    again = tried(tmp_path, protocol, of_sites())
    assert calls == ["0", "1", "1", "2"]
    np.testing.assert_array_equal(again.probabilities, crossed.probabilities)


def test_sizes_may_be_changed_for_one_trial(tmp_path):
    wide = dataclasses.replace(PATIENT, changes=(("channels", (8, 8, 8, 8)),))
    plain, changed = tried(tmp_path), tried(tmp_path, wide)
    assert changed.facts["weights"] > plain.facts["weights"]
    assert changed.facts["sizes"]["channels"] == [8, 8, 8, 8]
    assert changed.folder != plain.folder


def test_thresholds_are_chosen_on_the_validation_side_of_each_fold(tmp_path, monkeypatch):
    seen = []

    def chosen(targets, probabilities, weights, groups):
        seen.append((targets, probabilities, list(groups)))
        return np.array([0.1 * len(seen), np.inf])

    def scored(targets, answers, groups, weights, resamples):
        seen.append(answers)
        return 0.5, 0.4, 0.6

    monkeypatch.setattr(trial.challenge_thresholds, "thresholds", chosen)
    monkeypatch.setattr(trial.challenge_score, "intervals", scored)
    protocol = dataclasses.replace(PATIENT, split="site", folds=2)
    windows = of_sites()
    outcome = carry_out(
        windows, protocol, "twin", TINY, TRAINING, tmp_path, 50, weights=pd.DataFrame([1])
    )
    for fold in (0, 1):
        split = json.loads((outcome.folder / str(fold) / "split.json").read_text())
        held = np.flatnonzero(np.array(split["side"]) == 1)
        targets, probabilities, groups = seen[fold]
        np.testing.assert_array_equal(targets, windows.labels[held])
        np.testing.assert_array_equal(
            probabilities, np.load(outcome.folder / str(fold) / "validation.npy")
        )
        assert groups == windows.table["proxy"].iloc[held].tolist()
    first = outcome.about["site"] == outcome.about["site"].iloc[0]
    expected = np.where(first, 0.1, 0.2)
    np.testing.assert_array_equal(outcome.answers[:, 0], outcome.probabilities[:, 0] >= expected)
    assert not outcome.answers[:, 1].any()
    np.testing.assert_array_equal(seen[2], outcome.answers)
    assert outcome.value("challenge_score")[["value", "low", "high"]].tolist() == [0.5, 0.4, 0.6]
    assert outcome.usual_thresholds.tolist() == [0.1, np.inf]


def test_models_that_are_taught_alike_see_equally_many_of_their_own_side(tmp_path, monkeypatch):
    windows = of_sites()
    plan = [
        dataclasses.replace(PATIENT, split="file", folds=4),
        dataclasses.replace(PATIENT, split="site", folds=3),
    ]
    alike = taught_alike(windows, plan, TRAINING.seed)
    made = spied(monkeypatch)
    for protocol in alike:
        tried(tmp_path, protocol, windows)
    taught = [made[place] for place in range(0, len(made), 3)]
    assert len({len(inputs) for inputs in taught}) == 1
    assert len(taught[0]) == alike[0].most
    whole = splits.several(windows.table, windows.labels, "site", TRAINING.seed, 3)
    for inputs, split in zip(taught[4:], whole, strict=True):
        assert set(inputs.rows) <= set(split.rows("train"))
        assert len(set(inputs.rows)) == len(inputs)
    assert min(len(split.rows("train")) for split in whole) == alike[0].most
    single = dataclasses.replace(PATIENT, split="site", folds=1)
    assert taught_alike(windows, [single], TRAINING.seed) == [single]


def test_cohorts_are_taught_alike_each_of_its_own_windows():
    whole = of_sites()
    keep = np.arange(len(whole)) % 4 != 0
    table = whole.table[keep].reset_index(drop=True)
    part = dataclasses.replace(
        whole, table=table, labels=whole.labels[keep], steps=whole.steps[keep], key="fewer"
    )
    wide = dataclasses.replace(PATIENT, split="proxy", folds=3)
    narrow = dataclasses.replace(wide, cohort="fewer")
    split = splits.several(part.table, part.labels, "proxy", 1, 3)
    least = min(len(one.rows("train")) for one in split)
    cohorts = {wide.cohort: whole, "fewer": part}
    one, other = taught_alike(cohorts, [wide, narrow], 1)
    assert one == dataclasses.replace(wide, most=least)
    assert other in (narrow, dataclasses.replace(narrow, most=least))
    assert taught_alike(whole, [wide], 1)[0].most != least
    few = dataclasses.replace(wide, most=20)  # a bound that is there already counts
    assert [p.most for p in taught_alike(cohorts, [few, narrow], 1)] == [20, 20]
    with pytest.raises(KeyError, match="fewer"):
        taught_alike({wide.cohort: whole}, [wide, narrow], 1)


def test_a_stretch_divides_as_long_as_it_is_and_models_are_taught_alike_with_it():
    """Each patient's 12 windows begin 9 s apart: stretches of 108 s are the patients themselves."""
    pairs = made_pairs.made_up()
    usual = dataclasses.replace(made_pairs.PATIENT, split="block")
    long, short = (dataclasses.replace(usual, stretch=of) for of in (108.0, 18.0))
    (split,) = long.divide(pairs.table, pairs.labels, 0)
    assert pd.Series(split.side).groupby(pairs.table["patient"]).nunique().eq(1).all()
    assert split.gap == 18.0
    sizes = [len(of.divide(pairs.table, pairs.labels, 0)[0].rows("train")) for of in (short, usual)]
    assert sizes[1] < sizes[0] / 1.02  # a gap of 3 s takes no window, one of 10 s one a seam
    assert [p.most for p in taught_alike(pairs, [short, usual], 0)] == [sizes[1], None]


@pytest.mark.parametrize(("sizes", "most"), [((100, 102), None), ((100, 103), 100)])
def test_a_fiftieth_more_is_no_more(sizes, most, monkeypatch):
    made = [type("S", (), {"rows": lambda self, side, n=n: range(n)})() for n in sizes]
    monkeypatch.setattr(splits, "several", lambda *_: made)
    (found,) = taught_alike(of_sites(), [dataclasses.replace(PATIENT, folds=2)], 0)
    assert found.most == most
