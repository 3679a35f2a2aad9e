"""Models over seeds and folds: what is trained, what is joined, what a difference is taken over."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from pecg_utils import bootstrap, comparison, cost, models, train
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol
from pecg_utils.trial import Outcome

CLASSES = ("A", "B", "C")
N, RESAMPLES = 90, 60
OWN = ["value", "low", "high", "apart", "gain", "gain_low", "gain_high"]


def asked(dataset="ptbxl", turns=2, repeats=3):
    return SimpleNamespace(dataset=dataset, turns=turns, repeats=repeats)


def test_ptbxl_is_trained_by_turns_and_seeds_and_fold_ten_comes_first():
    plan = comparison.plan(asked())
    assert [(one.turn, one.repeat) for one in plan] == [
        *((0, 0), (0, 1), (0, 2)),
        *((1, 0), (1, 1), (1, 2)),
    ]
    assert plan[0] == Protocol("mrmnet", TWELVE_LEADS, "12-lead", "fold", "together")
    assert comparison.block(plan[0]) == "seed 1, fold 10"
    assert comparison.block(plan[-1]) == "seed 3, fold 9"
    assert len({one.name for one in plan}) == 6


def test_a_turn_that_is_named_is_the_only_one():
    for turn in (0, 3):
        plan = comparison.plan(asked(), turn=turn, loss="BCE")
        assert [(one.turn, one.repeat, one.loss) for one in plan] == [
            (turn, repeat, "BCE") for repeat in range(3)
        ]


def test_what_differs_from_mrmnet_is_in_every_protocol():
    sizes = (("streams", "high"),)
    for one in comparison.plan(asked(), model="fcn_wang", crop=2.5, changes=sizes):
        assert (one.model, one.crop, one.changes, one.normalise) == (
            *("fcn_wang", 2.5, sizes, "together"),
        )


def test_cpsc2018_is_divided_once_by_proxy():
    plan = comparison.plan(asked("cpsc2018"))
    assert [(one.split, one.turn, one.repeat, one.folds) for one in plan] == [
        ("proxy", 0, repeat, 1) for repeat in range(3)
    ]
    assert [comparison.block(one) for one in plan] == ["seed 1", "seed 2", "seed 3"]


def outcome(skill, seed=0, turn=0, patients=None, scale=1.0):
    """90 recordings of 40 patients; probabilities that follow the labels, on a scale of their own.

    turn: another one tests other recordings. scale: the lower, the nearer to 0 all answers are.
    """
    rng = np.random.default_rng(turn + 7)
    targets = rng.random((N, 3)) < [0.5, 0.3, 0.15]
    noise = np.random.default_rng(100 * turn + seed + 1).random((N, 3))
    given = (scale * (skill * targets + (1 - skill) * noise)).astype(np.float32)
    who = [f"P{turn}-{i}" for i in rng.integers(40, size=N)] if patients is None else patients
    about = pd.DataFrame({"record": [f"R{turn}-{i}" for i in range(N)], "patient": who, "model": 0})
    scores = bootstrap.intervals(targets, given, about["patient"], resamples=RESAMPLES)
    return Outcome(
        protocol=Protocol("mrmnet", TWELVE_LEADS, "12-lead", "fold", repeat=seed, turn=turn),
        kind="twin",
        classes=CLASSES,
        targets=targets,
        probabilities=given,
        answers=np.zeros(targets.shape, bool),  # not to be used
        about=about,
        scores=scores.reset_index(),
        facts={"seconds": 10.0, "sizes": {}},
        curves=pd.DataFrame(),
        folds=(),
        folder=None,
    )


FIELDS = ("targets", "probabilities")


def scored(trials, metrics=("auroc", "f1")):
    found = comparison.table(trials, RESAMPLES, metrics)
    assert list(found.columns) == ["name", "metric", "trials", *OWN]
    return found.set_index(["name", "metric"])


def test_of_one_trial_all_is_as_it_was_scored_itself():
    one, two = outcome(0.3), outcome(0.2, seed=5)
    table = scored({"one": [one], "two": [two]}, ("auroc", "f1", "hamming_loss"))
    for name, given in (("one", one), ("two", two)):
        for metric in ("auroc", "f1", "hamming_loss"):
            row, own = table.loc[(name, metric)], given.value(metric)
            expected = own[["value", "low", "high"]].astype(float).tolist()
            assert row[["value", "low", "high"]].tolist() == pytest.approx(expected, abs=1e-12)
            assert row["apart"] == 0
            assert row["trials"] == 1
    gain = table.loc[("two", "auroc"), "gain"]
    apart = two.value("auroc")["value"] - one.value("auroc")["value"]
    assert gain == pytest.approx(apart)
    assert gain < 0


def within(outcomes):
    """Macro AUROC where only the pairs of one trial count."""
    values = []
    for c in range(3):
        of = [(o.targets[:, c], o.probabilities[:, c]) for o in outcomes]
        pairs = [int(truth.sum() * (~truth).sum()) for truth, _ in of]
        areas = [roc_auc_score(truth, given) for truth, given in of]
        values.append(np.average(areas, weights=pairs))
    return np.mean(values)


def test_trials_are_joined_and_recordings_ranked_within_a_trial():
    """The second trial gives every recording a tenth of the first one's probability."""
    first = [outcome(0.4), outcome(0.4, seed=1, scale=0.1), outcome(0.4, turn=1, scale=0.5)]
    row = scored({"one": first}).loc[("one", "auroc")]
    assert row["value"] == pytest.approx(within(first), abs=1e-12)
    truth, given = (np.concatenate([getattr(o, of) for o in first]) for of in FIELDS)
    together = roc_auc_score(truth, given, average="macro")
    assert abs(row["value"] - together) > 0.02  # had they one scale for all
    f1 = scored({"one": first}).loc[("one", "f1"), "value"]
    assert f1 == pytest.approx(f1_score(truth, given >= 0.5, average="macro"))


def test_seeds_lie_apart_within_a_tested_fold():
    """Two folds differ by far more than two seeds of one, which is not asked about."""
    several = [
        *(outcome(0.3, seed=seed) for seed in range(4)),
        *(outcome(0.1, seed=seed, turn=1) for seed in range(3)),
    ]
    for order in (several, several[::-1]):
        table = scored({"one": order, "two": order})
        for metric in ("auroc", "f1"):
            row = table.loc[("one", metric)]
            own = [o.value(metric)["value"] for o in several]
            spreads = [max(of) - min(of) for of in (own[:4], own[4:])]
            assert spreads[0] != spreads[1]
            assert row["apart"] == max(spreads) < max(own) - min(own)
            assert row["trials"] == 7
            assert table.loc[("two", metric), "apart"] == row["apart"]
    alone = scored({"one": [outcome(0.3), outcome(0.1, turn=1)]})
    assert (alone["apart"] == 0).all()


def test_patients_are_drawn_for_both_models_and_all_trials_at_once():
    """By hand for the share of wrong answers: a recording's own share, weighed by its draws."""
    pair = {
        "one": [outcome(0.3, seed=s, turn=t) for t in (0, 1) for s in (0, 1)],
        "two": [outcome(0.32, seed=s, turn=t) for t in (0, 1) for s in (5, 6)],
    }
    row = scored(pair, ("hamming_loss",)).loc[("two", "hamming_loss")]
    wrong = {
        name: np.concatenate([((o.probabilities >= 0.5) != o.targets).mean(axis=1) for o in of])
        for name, of in pair.items()
    }
    who = pd.concat([o.about["patient"] for o in pair["one"]], ignore_index=True)
    drawn = bootstrap.resample_weights(who, RESAMPLES, seed=0)  # (n, R)
    seen = pd.DataFrame(drawn).groupby(who.to_numpy()).nunique()
    assert (seen == 1).all(axis=None)  # a patient is drawn equally often wherever it is tested
    of_each = {name: mean @ drawn / drawn.sum(axis=0) for name, mean in wrong.items()}
    apart = of_each["two"] - of_each["one"]
    ends = np.quantile(apart, [0.025, 0.975])
    assert row[["gain_low", "gain_high"]].tolist() == pytest.approx(ends.tolist(), abs=1e-12)
    assert row["gain"] == pytest.approx(wrong["two"].mean() - wrong["one"].mean())
    alone = np.quantile(of_each["two"], [0.025, 0.975])
    assert row[["low", "high"]].tolist() == pytest.approx(alone.tolist(), abs=1e-12)


def test_two_alike_are_apart_by_exactly_nothing():
    of = [outcome(0.3), outcome(0.3, seed=1)]
    table = scored({"one": of, "two": [outcome(0.3), outcome(0.3, seed=1)]})
    for metric in ("auroc", "f1"):
        assert table.loc[("two", metric), ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
        own = table.loc[("one", metric)]
        assert own[["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
        assert own["low"] < own["value"] < own["high"]


def test_models_that_nearly_agree_are_nearly_nothing_apart():
    near = outcome(0.3)
    near.probabilities[::9] += 0.01
    row = scored({"one": [outcome(0.3)], "two": [near]}).loc[("two", "auroc")]
    assert row["gain_high"] - row["gain_low"] < 0.25 * (row["high"] - row["low"])
    assert row["gain_low"] <= row["gain"] <= row["gain_high"]


def part(given, rows):
    """Some of an outcome's recordings."""
    fields = {name: getattr(given, name)[rows] for name in (*FIELDS, "about")}
    return dataclasses.replace(given, **fields)


HOW = ["other recordings", "other order", "one trial less", "cut elsewhere"]


@pytest.mark.parametrize("how", HOW)
def test_models_tested_on_other_recordings_are_not_compared(how):
    one, two = [outcome(0.3), outcome(0.3, turn=1)], [outcome(0.3), outcome(0.3, turn=1)]
    if how == "other recordings":
        two[1] = outcome(0.3, turn=2)
    elif how == "other order":
        two = two[::-1]
    elif how == "one trial less":
        two = two[:1]
    else:  # the same recordings in the same order, ranked among others
        one = [part(one[0], slice(0, 50)), part(one[0], slice(50, N))]
        two = [part(two[0], slice(0, 40)), part(two[0], slice(40, N))]
    with pytest.raises(ValueError, match="second and first were not tested on the same recordings"):
        comparison.table({"first": one, "second": two}, RESAMPLES)


def test_one_patient_has_no_interval():
    alone = {f"{skill}": [outcome(skill, patients=["P"] * N)] for skill in (0.3, 0.2)}
    table = comparison.table(alone, RESAMPLES)
    ends = ["low", "high", "gain_low", "gain_high"]
    assert table[ends].isna().all(axis=None)
    assert table.drop(columns=ends).notna().all(axis=None)


def test_blocks_are_seeds_and_tested_folds():
    trials = {
        name: [outcome(skill, seed=s, turn=t) for t in (0, 1) for s in (0, 1)]
        for name, skill in (("mrmnet", 0.3), ("other", 0.2))
    }
    found = comparison.blocks(trials)
    assert list(found.columns) == ["name", "model", "block", "value"]
    assert found["name"].is_unique  # a row of it takes the place of its like in a record
    assert found["name"].iloc[-1] == "other, seed 2, fold 9"
    assert found["model"].tolist() == ["mrmnet"] * 4 + ["other"] * 4
    blocks = ["seed 1, fold 10", "seed 2, fold 10", "seed 1, fold 9", "seed 2, fold 9"]
    assert found["block"].tolist() == blocks * 2
    own = [o.value("auroc")["value"] for of in trials.values() for o in of]
    assert found["value"].tolist() == own
    of_f1 = comparison.blocks(trials, "f1")["value"].tolist()
    assert of_f1 == [o.value("f1")["value"] for of in trials.values() for o in of]


SIZES = {"channels": [4, 6, 4], "head": 5}  # as a record gives tuples back


def costly(model, crop, seconds, sizes, folds=1):
    found = [outcome(0.3, seed=seed) for seed in range(2)]
    plain = Protocol(model, TWELVE_LEADS, "12-lead", crop=crop)
    return [
        dataclasses.replace(
            one,
            protocol=plain,
            facts={"seconds": spent, "sizes": sizes},
            folds=one.folds[:1] * folds or (None,) * folds,
        )
        for one, spent in zip(found, seconds, strict=True)
    ]


def test_costs_are_of_all_pieces_and_of_the_trials_own_sizes():
    trials = {
        "whole": costly("fcn_wang", 0.0, (4.0, 8.0), SIZES),
        "pieces": costly("fcn_wang", 2.5, (1.0, 2.0), SIZES),
        "wider": costly("fcn_wang", 10.0, (3.0, 3.0), {**SIZES, "head": 50}, folds=3),
    }
    of = comparison.table(trials, RESAMPLES)
    found = comparison.costs(trials, of, 1000, 4).set_index("name")
    assert found.index.tolist() == list(trials)
    for name, head, samples, pieces in (
        ("whole", 5, 1000, 1),
        ("pieces", 5, 250, 7),
        ("wider", 50, 1000, 1),
    ):
        model = models.create("fcn_wang", 12, 3, samples, channels=(4, 6, 4), head=head)
        row = found.loc[name]
        assert row["weights"] == sum(p.numel() for p in model.parameters())
        assert row["multiply_adds"] == pieces * models.multiply_adds(model, 12, samples)
        expected = cost.cost(model, 12, samples, pieces, 4).mebibytes
        assert row["mebibytes"] == pytest.approx(expected)
    assert found["seconds"].tolist() == [6.0, 1.5, 1.0]
    areas = of[of["metric"] == "auroc"].set_index("name")
    for column in ("value", "low", "high"):
        assert found[column].tolist() == areas[column].tolist()


@pytest.mark.parametrize("crop", [250, 300, 333, 999, 1000, 7])
def test_as_many_pieces_are_counted_as_are_tested(crop, monkeypatch):
    asked_for = []

    def counted(model, n_leads, n_samples, crops, batch):
        asked_for.append((n_leads, n_samples, crops, batch))
        return cost.Cost(1, 2, 3.0)

    monkeypatch.setattr(cost, "cost", counted)
    monkeypatch.setattr(comparison.models, "create", lambda *given, **sizes: None)
    of = {"one": costly("fcn_wang", crop / 100, (1.0, 1.0), SIZES)}
    comparison.costs(of, comparison.table(of, 5), 1000, 16)
    tested = train.pieces_of(np.zeros((1, 1, 1000), np.float32), crop).shape[1]
    assert asked_for == [(12, crop, tested, 16)]
