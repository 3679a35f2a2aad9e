"""The audits of the chapter on small sets: by hand where an answer is looked at, else on tiny runs.

Nothing that is trained here is worth anything; it is asked who was taught what, and compared how.
"""

import dataclasses
from types import SimpleNamespace

import made_small
import numpy as np
import pandas as pd
import pytest
import torch
from made_small import dataset
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from pecg_utils import epoch_rules, small_audits, small_study, train
from pecg_utils.choosing_plots import AS_CODED, BY_TEST, BY_VALIDATION, LAST, SOUNDLY
from pecg_utils.filters import FILTERS
from pecg_utils.protocol import Protocol
from pecg_utils.small_audits import CHANGED, LONGER, PIECE
from pecg_utils.small_study import ALL, EVERY, HEAD, SCRATCH
from pecg_utils.trial import epochs

torch.set_num_threads(1)

SIDES = {"train": [8], "validation": [0, 2, 4, 6], "test": [1, 3, 5, 7]}
LABELS = np.zeros((9, 1), dtype=bool)
LABELS[[0, 2, 1, 5]] = True  # validation: + + - -, test: + - + -
GOOD, TIED, BAD = [0.9, 0.1, 0.8, 0.2], [0.9, 0.6, 0.7, 0.2], [0.4, 0.6, 0.3, 0.7]
ANSWERS = {  # side -> of each epoch
    "test": [GOOD, BAD, TIED],
    "validation": [[0.2, 0.3, 0.1, 0.4], [0.9, 0.8, 0.1, 0.2], [0.8, 0.9, 0.2, 0.1]],
}
# AUROC and F1. One positive is found as one of two, the other in place of a negative: 0.8 and 2/3.
TESTED = {1: (1.0, 1.0), 2: (0.0, 0.0), 3: (1.0, (0.8 + 2 / 3) / 2)}
VALIDATED = {1: (0.5, 1 / 3), 2: (1.0, 1.0), 3: (1.0, 1.0)}  # none found: 0 and 2/3


def watched(folder, repeat=0, answers=ANSWERS, heads=1):
    """A training whose answers after each epoch were kept. heads: that differ and are averaged."""
    folder.mkdir(parents=True)
    epochs(folder).mkdir()
    shift = 0.05 * (np.arange(heads) - (heads - 1) / 2)
    for side, each in answers.items():
        for number, given in enumerate(each, 1):
            of_heads = (np.array(given)[:, None] + shift)[:, :, None]  # (n, H, 1)
            np.save(epochs(folder) / f"{side}-{number:04d}.npy", of_heads.astype(np.float32))
    fold = SimpleNamespace(folder=folder, sides={k: np.array(v) for k, v in SIDES.items()})
    protocol = Protocol("resnet18_1d", ("I",), "1-lead", repeat=repeat)
    return SimpleNamespace(protocol=protocol, folds=(fold,))


@pytest.mark.parametrize("heads", [1, 2])
def test_each_epoch_is_scored_on_both_sides(tmp_path, heads):
    seen = small_audits.by_epoch({"crnn": [watched(tmp_path / "a", heads=heads)]}, LABELS)
    assert seen.columns.tolist() == ["name", "model", "seed", "side", "epoch", "auroc", "f1"]
    assert seen["name"].is_unique
    assert seen["name"].iloc[0] == "crnn, seed 1, validation, epoch 1"
    for side, wanted in (("test", TESTED), ("validation", VALIDATED)):
        part = seen[seen["side"] == side].set_index("epoch")
        found = {epoch: tuple(row) for epoch, row in part[["auroc", "f1"]].iterrows()}
        assert found == {epoch: pytest.approx(pair) for epoch, pair in wanted.items()}


def test_each_rule_takes_the_epoch_that_it_says(tmp_path):
    other = {"test": [GOOD, TIED, BAD, BAD], "validation": [*ANSWERS["validation"], GOOD]}
    trials = {
        "crnn": [watched(tmp_path / "a"), watched(tmp_path / "b", 1, other)],
        "alexnet": [watched(tmp_path / "c")],
    }
    found = epoch_rules.chosen(small_audits.by_epoch(trials, LABELS))
    assert found.columns.tolist() == [
        *("model", "seed", "by", "rule", "epoch", "tied", "metric", "value")
    ]
    assert len(found) == 3 * 2 * 3 * 2
    one = found[(found["model"] == "crnn") & (found["seed"] == 0)]
    taken = {}
    for (by, rule), part in one.groupby(["by", "rule"]):
        (epoch,), (tied,) = part["epoch"].unique(), part["tied"].unique()
        taken[by, rule] = (epoch, tied)
        values = part.set_index("metric")["value"]
        assert (values["auroc"], values["f1"]) == pytest.approx(TESTED[epoch])  # of the test side
    assert taken == {
        ("f1", AS_CODED): (1, 1),
        ("f1", BY_VALIDATION): (2, 2),  # the first of two
        ("f1", LAST): (3, 1),
        ("auroc", AS_CODED): (1, 2),
        ("auroc", BY_VALIDATION): (2, 2),
        ("auroc", LAST): (3, 1),
    }
    again = found[found["model"] == "alexnet"].drop(columns="model").reset_index(drop=True)
    pd.testing.assert_frame_equal(again, one.drop(columns="model").reset_index(drop=True))
    longer = found[(found["seed"] == 1) & (found["rule"] == LAST)]
    assert longer["epoch"].tolist() == [4] * 4
    assert longer["value"].tolist() == [0.0] * 4


def test_scores_of_one_label_and_of_several():
    """The F1 of one label is the mean of that of its carriers and of the others, as coded."""
    rng = np.random.default_rng(0)
    targets, given = rng.random((40, 3)) < 0.4, rng.random((40, 3)).astype(np.float32)
    one = small_audits.scored(targets[:, :1], given[:, :1])
    both = [f1_score(targets[:, 0] == s, (given[:, 0] >= 0.5) == s) for s in (True, False)]
    assert one["f1"] == pytest.approx(np.mean(both))
    several = small_audits.scored(targets, given)
    each = [f1_score(targets[:, k], given[:, k] >= 0.5) for k in range(3)]
    assert several["f1"] == pytest.approx(np.mean(each))
    areas = [roc_auc_score(targets[:, k], given[:, k]) for k in range(3)]
    assert one["auroc"] == pytest.approx(areas[0])
    assert several["auroc"] == pytest.approx(np.mean(areas))


def test_a_configuration_is_chosen_by_either_side_and_tested():
    rows = [
        ("crnn", 1024, "none", 0.6, 0.7),
        ("crnn", 2048, "none", 0.8, 0.5),
        ("crnn", 5000, "l2", 0.7, 0.9),
        ("alexnet", 1024, "none", 0.5, 0.6),
        ("alexnet", 5000, "l2", 0.4, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["model", "samples", "normalise", "value", "validation"])
    found = small_audits.configurations(table)
    assert found.columns.tolist() == ["name", "model", "rule", "cell", "value"]
    assert found.drop(columns="name").to_numpy().tolist() == [
        ["crnn", BY_TEST, "2,048 samples, none", 0.8],
        ["crnn", SOUNDLY, "5,000 samples, l2", 0.7],
        ["alexnet", BY_TEST, "1,024 samples, none", 0.5],
        ["alexnet", SOUNDLY, "1,024 samples, none", 0.5],
    ]
    assert found["name"].tolist() == [f"{row.model}, {row.rule}" for row in found.itertuples()]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run with two seeds, and its sets."""
    folder = tmp_path_factory.mktemp("plain")
    run = made_small.run(folder, models=["resnet18", "alexnet"], compared=["alexnet"], repeats=2)
    return run, small_study.gather(run)


class Spied:
    """What a run was asked to train: the windows, and each protocol of the plan."""

    def __init__(self, run, monkeypatch):
        self.asked, real = [], run.trials

        def trials(windows, plan, **how):
            outcomes = real(windows, plan, **how)
            self.asked += [(windows, *pair, how) for pair in zip(plan, outcomes, strict=True)]
            return outcomes

        monkeypatch.setattr(run, "trials", trials)


def test_the_grid_varies_length_and_normalisation_and_nothing_else(plain, monkeypatch):
    run, both = plain
    cells = {"lengths": ["64", "96"], "normalisations": ["none", "window"], "folds": 3}
    run = dataclasses.replace(run, parameters=run.parameters.model_copy(update=cells))
    spied = Spied(run, monkeypatch)
    found = small_audits.grid(run, both)
    assert found.columns.tolist() == [
        *("name", "model", "samples", "normalise", "value", "low", "high", "validation"),
        *("tested", "validated"),
    ]
    assert found[["model", "samples", "normalise"]].to_numpy().tolist() == [
        ["alexnet", samples, how] for samples in (64, 96) for how in ("none", "window")
    ]
    assert found["name"].tolist()[1] == "alexnet, 64 samples, window"
    usual = small_study.tuned(run, "alexnet", both.small, EVERY, 0, folds=1)
    for row, (windows, how, outcome, _) in zip(found.itertuples(), spied.asked, strict=True):
        assert windows is both.small
        assert how == dataclasses.replace(usual, crop=row.samples / 500, normalise=row.normalise)
        (fold,) = outcome.folds
        held = both.small.labels[fold.sides["validation"], 0]
        given = np.load(fold.folder / "validation.npy")[:, 0]
        assert row.validation == pytest.approx(roc_auc_score(held, given))
        area = roc_auc_score(outcome.targets[:, 0], outcome.probabilities[:, 0])
        assert row.value == pytest.approx(area)
        assert row.low <= row.value <= row.high
        assert (row.tested, row.validated) == (outcome.targets.sum(), held.sum())
        assert row.tested < len(outcome.targets)
    assert found["value"].nunique() > 1


def test_watched_trainings_have_the_runs_epochs_and_their_answers_are_kept(plain, monkeypatch):
    run, both = plain
    run = dataclasses.replace(run, parameters=run.parameters.model_copy(update={"epochs": 2}))
    spied = Spied(run, monkeypatch)
    trials = small_audits.watched(run, both)
    assert list(trials) == ["alexnet"]
    assert [outcome.protocol.repeat for outcome in trials["alexnet"]] == [0, 1]
    assert all(how == {"watch": True} for *_, how in spied.asked)
    outcome = trials["alexnet"][0]
    assert (outcome.protocol.steps, outcome.protocol.most, outcome.protocol.start) == (
        0,
        None,
        None,
    )
    seen = small_audits.by_epoch(trials, both.small.labels)
    assert seen.groupby(["seed", "side"])["epoch"].apply(list).tolist() == [[1, 2]] * 4
    best = seen[(seen["seed"] == 0) & (seen["side"] == "test")].set_index("epoch")["auroc"]
    kept = outcome.facts["best_epoch"]
    assert best[kept] == pytest.approx(outcome.value("auroc")["value"])


def test_each_filter_is_taught_its_own_windows(plain, monkeypatch):
    run, _ = plain
    spied = Spied(run, monkeypatch)
    found = small_audits.filtered(run, "alexnet")
    assert list(found) == list(FILTERS)
    assert [w.settings.filter for w, *_ in spied.asked] == [n for n in FILTERS for _ in range(2)]
    for windows, how, outcome, _ in spied.asked:
        assert len(windows) == 60  # those without the label, too
        assert how.windows == f"filter {windows.settings.filter}"
        assert (how.start, how.most) == (None, None)
        assert outcome.about["record"].tolist() == spied.asked[0][2].about["record"].tolist()
    given = [outcomes[0].probabilities.tobytes() for outcomes in found.values()]
    assert len(set(given)) == len(FILTERS)
    table = small_audits.compared(found, 20)
    assert table["name"].tolist() == list(FILTERS)
    assert table["metric"].unique().tolist() == ["auroc"]
    first = found["none"]
    for row, outcomes in zip(table.itertuples(), found.values(), strict=True):
        values = [outcome.value("auroc")["value"] for outcome in outcomes]
        usual = np.mean([outcome.value("auroc")["value"] for outcome in first])
        assert row.gain == pytest.approx(np.mean(values) - usual)


@pytest.fixture(scope="module")
def whole(plain):
    """Taught on all of the small set: of one model from scratch and as if it went on."""
    run, both = plain
    plans = {
        way: [small_study.tuned(run, "alexnet", both.small, EVERY, n, windows=way) for n in (0, 1)]
        for way in (SCRATCH, ALL)
    }
    return {("alexnet", way, EVERY): run.trials(both.small, plan) for way, plan in plans.items()}


def test_random_tests_begin_with_the_sound_one(plain, whole):
    _, both = plain
    trials = {**whole, ("alexnet", ALL, "50"): None, ("resnet18", SCRATCH, EVERY): None}
    found = small_audits.noisy(trials, both, ALL, 3)
    assert found.columns.tolist() == ["name", "model", "kind", "draw", "metric", "value"]
    assert found[["model", "kind", "draw", "metric"]].to_numpy().tolist() == [
        ["alexnet", kind, draw, "auroc"] for kind in (PIECE, CHANGED) for draw in range(4)
    ]
    assert found["name"].tolist()[5] == f"alexnet, {CHANGED}, draw 1"
    assert found["name"].is_unique
    sound = whole["alexnet", ALL, EVERY][0].value("auroc")["value"]
    assert found.loc[found["draw"] == 0, "value"].tolist() == pytest.approx([sound] * 2)
    pieces, changed = (found[found["kind"] == kind]["value"].tolist() for kind in (PIECE, CHANGED))
    assert pieces[1:] != changed[1:]


def test_of_whole_recordings_that_nothing_changes_each_test_is_the_sound_one(plain):
    run, both = plain
    plan = [small_study.tuned(run, "alexnet", both.small, EVERY, 0, crop=96 / 500)]
    trials = {("alexnet", ALL, EVERY): run.trials(both.small, plan)}
    found = small_audits.noisy(trials, both, ALL, 2)
    (sound,) = found.loc[found["kind"] == PIECE, "value"].round(9).unique()
    assert (found.loc[found["kind"] == CHANGED, "value"][1:] != sound).any()


def test_a_fitted_head_reads_the_features_of_the_model_that_was_taught(plain, whole, monkeypatch):
    run, both = plain
    only = run.parameters.model_copy(update={"models": ["alexnet"]})
    trials = {**whole, ("alexnet", HEAD, EVERY): whole["alexnet", ALL, EVERY]}
    real, seen = train.predict, []
    monkeypatch.setattr(
        train, "predict", lambda model, *given: seen.append(real(model, *given)) or seen[-1]
    )
    found = small_audits.fitted_heads(dataclasses.replace(run, parameters=only), both, trials)
    names = ["from scratch", "head only", "head fitted to the end"]
    assert found["name"].tolist() == [f"alexnet, {name}" for name in names]
    areas = []
    for outcome, features in zip(trials["alexnet", HEAD, EVERY], seen, strict=True):
        sides, labels = outcome.folds[0].sides, both.small.labels[:, 0]
        taught = features[: len(sides["train"])]
        kept = torch.load(outcome.folder / "model.pt", weights_only=True)["weights"]
        assert features.shape[1] == kept["head.weight"].shape[1]
        line = LogisticRegression(class_weight="balanced", max_iter=10_000)
        line.fit(
            (taught - taught.mean(axis=0)) / (taught.std(axis=0) + 1e-12), labels[sides["train"]]
        )
        rest = (features[len(taught) :] - taught.mean(axis=0)) / (taught.std(axis=0) + 1e-12)
        areas.append(roc_auc_score(labels[sides["test"]], line.decision_function(rest)))
    assert found["value"][2] == pytest.approx(np.mean(areas), abs=1e-6)
    assert found["gain"][2] == pytest.approx(found["value"][2] - found["value"][0])


def test_more_steps_stand_beside_the_usual_and_pre_training(plain, whole, monkeypatch):
    run, both = plain
    spied = Spied(run, monkeypatch)
    found = small_audits.longer(run, both, whole)
    rows = ["alexnet, from scratch", f"alexnet, from scratch, {LONGER} times the steps"]
    assert found["name"].tolist() == [*rows, "alexnet, all weights"]
    assert found["metric"].tolist() == ["auroc"] * 3
    assert [(how.repeat, how.steps, how.start) for _, how, *_ in spied.asked] == [
        (0, 3 * LONGER, None),
        (1, 3 * LONGER, None),
    ]
    values = [o.value("auroc")["value"] for o in whole["alexnet", SCRATCH, EVERY]]
    assert found["value"][0] == pytest.approx(np.mean(values))
    assert found["gain"].tolist() == pytest.approx((found["value"] - found["value"][0]).tolist())
    other = run.parameters.model_copy(update={"models": ["resnet18"]})  # it is not transferred
    alone = small_audits.longer(dataclasses.replace(run, parameters=other), both, {})
    assert alone["name"].tolist() == rows[1:]
    assert alone["value"][0] == pytest.approx(found["value"][1])


def test_recordings_without_a_label_are_left_out_and_none_of_them_is_asked(plain, monkeypatch):
    run, both = plain
    less = run.parameters.model_copy(update={"compared": ["resnet18", "alexnet"], "repeats": 1})
    run = dataclasses.replace(run, parameters=less)
    plan = [small_study.broad(run, "alexnet", both.large)]
    begun = {"alexnet": run.trials(both.large, plan, of=both.source)}  # resnet18's were given
    spied = Spied(run, monkeypatch)
    found = small_audits.unlabelled(run, both, begun)
    assert found.columns.tolist() == ["name", "recordings", "without", "value", "low", "high"]
    assert found[["name", "recordings", "without"]].to_numpy().tolist() == [["alexnet", 60, 24]]
    ((windows, how, without, given),) = spied.asked
    assert given == {"of": both.source}
    assert len(windows) == 36
    assert windows.labels.any(axis=1).all()
    assert windows.classes == both.large.classes
    assert dataclasses.replace(how, windows="") == plan[0]
    (taught,) = begun["alexnet"]
    asked = taught.targets.any(axis=1)
    assert 0 < asked.sum() < len(asked)
    assert taught.about["record"][asked].tolist() == without.about["record"].tolist()
    np.testing.assert_array_equal(taught.targets[asked], without.targets)

    def area(answers):
        return np.mean([roc_auc_score(without.targets[:, k], answers[:, k]) for k in range(3)])

    change = area(taught.probabilities[asked]) - area(without.probabilities)
    assert found["value"][0] == pytest.approx(change)


@pytest.mark.parametrize("source", ["ptbxl", "cpsc2018"])
def test_elsewhere_there_is_nothing_to_leave_out(plain, monkeypatch, source):
    run, both = plain
    of = dataset(source)
    if source == "ptbxl":
        of.labels["NORM"] |= ~of.labels.any(axis=1)  # all of it is labelled
    spied = Spied(run, monkeypatch)
    found = small_audits.unlabelled(run, dataclasses.replace(both, source=of), {"alexnet": None})
    assert found.columns.tolist() == ["name", "recordings", "without", "value", "low", "high"]
    assert len(found) == len(spied.asked) == 0
