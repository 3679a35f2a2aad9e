"""Trained models asked again, and the control that sees no signal."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from made_pairs import EACH, PATIENT, PATIENTS, TINY, made_up, tried
from sklearn.metrics import roc_auc_score

from pecg_utils import asked, contrastive, lessons, presence, trial
from pecg_utils.data import splits
from pecg_utils.objectives import OneLabel

torch.set_num_threads(1)
CROSSED = dataclasses.replace(PATIENT, folds=2)


def model_of(fold, pairs, weights=None):
    """The trained model of a fold, made here anew."""
    model = lessons.model_of_pairs(pairs, "agcacl", TINY)
    stored = torch.load(fold.folder / "model.pt", weights_only=True)
    model.load_state_dict(weights or stored["weights"])
    return model.eval()


@torch.inference_mode()
def answer(model, pairs, rows, there=True):
    ecg, second, mask = (torch.from_numpy(part) for part in pairs.batch(rows))
    return model(ecg, second, mask & there)


@pytest.fixture(scope="module")
def by_second():
    return made_up("second")


@pytest.fixture(scope="module")
def crossed(tmp_path_factory, by_second):
    return tried(tmp_path_factory.mktemp("crossed"), CROSSED, by_second, epochs=4)


def test_without_electrograms_is_the_very_models_with_a_mask_of_false(crossed, by_second):
    away = asked.without_electrograms(crossed, by_second, 20)
    assert len(away.folds) == 2
    for fold, before in zip(away.folds, crossed.folds, strict=True):
        rows = before.sides["test"]
        np.testing.assert_array_equal(fold.sides["test"], rows)
        logits = answer(model_of(before, by_second), by_second, rows, there=False).logits
        np.testing.assert_array_equal(fold.probabilities, logits.softmax(dim=1).numpy())
        assert not np.allclose(fold.probabilities, before.probabilities, atol=0.1)
    np.testing.assert_array_equal(away.targets, crossed.targets)
    assert away.about.equals(crossed.about)
    np.testing.assert_array_equal(away.answers.argmax(axis=1), away.probabilities.argmax(axis=1))
    # What told the class is taken away.
    assert crossed.value("auroc")["value"] > 0.95
    assert abs(away.value("auroc")["value"] - 0.5) < 0.15


def test_without_electrograms_says_so_and_leaves_the_trial_as_it_was(crossed, by_second):
    before = {path: path.read_bytes() for path in crossed.folder.rglob("*") if path.is_file()}
    name, given = crossed.facts["name"], crossed.probabilities.copy()
    away = asked.without_electrograms(crossed, by_second, 20)
    assert away.protocol.windows == "second signal taken away at test"
    assert dataclasses.replace(away.protocol, windows="") == crossed.protocol
    assert away.facts["name"] == f"{name}, second signal taken away at test"
    assert away.facts["seconds"] == 0  # nothing is trained
    assert away.facts["split"] == crossed.facts["split"]
    assert away.kind == crossed.kind
    assert {path: path.read_bytes() for path in before} == before
    assert (crossed.facts["name"], crossed.protocol.windows) == (name, "")
    np.testing.assert_array_equal(crossed.probabilities, given)
    assert by_second.mask.all()


def test_a_model_that_hears_the_ecg_answers_without_electrograms(tmp_path):
    pairs = made_up("ecg")
    outcome = tried(tmp_path, pairs=pairs, epochs=4, hide=0.3)
    assert asked.without_electrograms(outcome, pairs, 20).value("auroc")["value"] > 0.95


def test_changed_sizes_are_those_that_are_asked(tmp_path, by_second):
    changed = dataclasses.replace(PATIENT, changes=(("branches", "ecg"), ("depth", 2)))
    outcome = tried(tmp_path, changed, by_second)
    away = asked.without_electrograms(outcome, by_second, 20)
    # The model never read them; nothing is missing.
    np.testing.assert_array_equal(away.probabilities, outcome.probabilities)
    assert asked.embedded(outcome, by_second).z.shape == (len(away.probabilities), 8)


def test_what_is_embedded_is_of_the_best_epoch(tmp_path, monkeypatch):
    pairs, seen = made_up(), []
    scores = iter([0.1, 0.9, 0.3, 0.9])

    def score(objective, *_):
        seen.append({name: value.clone() for name, value in objective.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(OneLabel, "score", score)
    outcome = tried(tmp_path, pairs=pairs, epochs=4)
    assert outcome.facts["best_epoch"] == 2
    found = asked.embedded(outcome, pairs)
    each = [state["contrast.prototypes.vectors"].numpy() for state in seen]
    np.testing.assert_array_equal(found.prototypes, each[1])
    for other in (0, 2, 3):
        assert not np.allclose(found.prototypes, each[other], atol=1e-4)
    assert found.seen.tolist() == [True] * 3


def test_what_is_embedded_is_the_test_side_by_its_own_model(crossed, by_second):
    found, fold = asked.embedded(crossed, by_second), crossed.folds[0]
    rows = fold.sides["test"]
    expected = answer(model_of(fold, by_second), by_second, rows).embedding.numpy()
    np.testing.assert_array_equal(found.z, expected)
    np.testing.assert_allclose(np.linalg.norm(found.z, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.labels, by_second.labels[rows].argmax(axis=1))
    counts = by_second.labels[fold.sides["train"]].sum(axis=0)
    np.testing.assert_array_equal(found.counts, counts)
    phi = contrastive.class_balanced(torch.from_numpy(counts)).numpy()
    np.testing.assert_array_equal(found.phi, phi)
    np.testing.assert_allclose(found.similar, found.prototypes @ found.prototypes.T, atol=1e-6)
    # psi by hand: how much of the row's rest a class has, at the temperature 0.1.
    raised = np.exp(found.similar / 0.1) * (1 - np.eye(3))
    by_hand = 1 + raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.psi, by_hand, rtol=1e-3)
    # Windows lie by their own class's prototype.
    nearest = (found.z @ found.prototypes.T).argmax(axis=1)
    assert (nearest == found.labels).mean() > 0.9


def test_a_class_that_was_not_taught_has_no_prototype(tmp_path):
    pairs = made_up()
    rare = dataclasses.replace(pairs, labels=pairs.labels.copy())
    first = pairs.table["division"] == "DS1"
    rare.labels[first & pairs.labels[:, 2]] = [True, False, False]
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, split="division"), rare)
    found = asked.embedded(outcome, rare)
    assert found.seen.tolist() == [True, True, False]
    assert not found.prototypes[2].any()
    assert found.counts[2] == 0
    assert 2 in found.labels
    assert (found.psi[2] == 1).all()


def untrained(pairs, folds=1, protocol=PATIENT) -> trial.Outcome:
    """An outcome of the right sides, of a model that answers at random."""
    made = splits.of(pairs.table, pairs.labels, protocol.split, 0, folds)
    generator, count = np.random.default_rng(1), len(pairs.classes)
    each = []
    for split in made:
        sides = {side: split.rows(side) for side in splits.SIDES}
        given = generator.dirichlet(np.ones(count), len(sides["test"])).astype(np.float32)
        each.append(trial.Fold(Path(), sides, given, np.full(count, 0.5), {}))
    protocol = dataclasses.replace(protocol, folds=folds)
    facts = {"curves": []}
    return trial.outcome_of(protocol, "twin", pairs, pairs.labels, each, facts, Path(), 20)


def value(scores, metric, label="macro"):
    (found,) = scores[(scores["metric"] == metric) & (scores["label"] == label)]["value"]
    return found


@pytest.mark.parametrize("folds", [1, 3])
def test_where_the_mask_tells_the_class_presence_alone_tells_it(folds):
    pairs = made_up()
    mask = pairs.labels[:, [1, 2, 2]]
    told = dataclasses.replace(pairs, mask=mask)
    scores = presence.alone(untrained(told, folds), told, 20, draws=0)
    assert value(scores, "auroc") == 1
    assert value(scores, "top1") == 1
    habits = mask ^ (np.random.default_rng(2).random(mask.shape) < 0.2)
    scores = presence.alone(
        untrained(told, folds), dataclasses.replace(told, mask=habits), 20, draws=0
    )
    assert 0.7 < value(scores, "auroc") < 0.99


@pytest.mark.parametrize("folds", [1, 3])
def test_where_the_mask_tells_nothing_presence_alone_is_chance(folds):
    pairs = made_up()  # every channel always there
    scores = presence.alone(untrained(pairs, folds), pairs, 20, draws=0)
    assert scores.loc[scores["metric"] == "auroc", "value"].tolist() == [0.5] * 4
    generator = np.random.default_rng(3)
    of = generator.random((PATIENTS, 3)) < 0.5  # a layout a patient, of no meaning
    random = dataclasses.replace(pairs, mask=np.repeat(of, EACH, axis=0))
    found = presence.alone(untrained(pairs, folds), random, 20, draws=0)
    assert value(found, "auroc") == pytest.approx(0.5, abs=0.12)


def test_presence_alone_gives_each_layout_its_shares_among_what_was_taught(monkeypatch):
    pairs = made_up()
    layouts = np.random.default_rng(4).random((len(pairs), 3)) < 0.5
    pairs = dataclasses.replace(pairs, mask=layouts)
    outcome = untrained(pairs, 2)
    (found,) = given_to_intervals(monkeypatch, outcome, pairs)
    expected = []
    for fold in outcome.folds:
        taught = fold.sides["train"]
        for row in fold.sides["test"]:
            alike = (layouts[taught] == layouts[row]).all(axis=1)
            expected.append(pairs.labels[taught][alike].mean(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def given_to_intervals(monkeypatch, *asked_of):
    """The probabilities that presence.alone has scored, for each pair of outcome and pairs."""
    given, intervals = [], presence.one_label.intervals

    def spied(targets, probabilities, *others, **named):
        given.append(probabilities)
        return intervals(targets, probabilities, *others, **named)

    monkeypatch.setattr(presence.one_label, "intervals", spied)
    for outcome, pairs in zip(asked_of[::2], asked_of[1::2], strict=True):
        presence.alone(outcome, pairs, 20, draws=0)
    return given


def test_presence_alone_sees_no_label_of_a_test_or_validation_side(monkeypatch):
    pairs = made_up()
    told = dataclasses.replace(pairs, mask=pairs.labels[:, [1, 2, 2]])
    outcome = untrained(told, protocol=dataclasses.replace(PATIENT, split="division"))
    poisoned = dataclasses.replace(told, labels=told.labels.copy())
    (fold,) = outcome.folds
    for side in ("validation", "test"):
        poisoned.labels[fold.sides[side]] = [True, False, False]
    wrong = dataclasses.replace(outcome, targets=poisoned.labels[fold.sides["test"]])
    first, second = given_to_intervals(monkeypatch, outcome, told, wrong, poisoned)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, outcome.targets)  # it did learn


def test_presence_alone_is_named_and_scored_on_the_trials_own_test_sides():
    pairs = made_up()
    outcome = untrained(pairs, 3, dataclasses.replace(PATIENT, loss="CE"))
    scores = presence.alone(outcome, pairs, 20, draws=0)
    assert set(scores["name"]) == {
        "presence of electrograms alone, 2 leads of made-up recordings, 3-fold by patient, CE"
    }
    assert list(scores.columns) == ["name", *outcome.scores.columns, "lot", "lot_high", "beaten"]
    assert scores[["lot", "lot_high", "beaten"]].isna().all(axis=None)  # no draw
    for column in ("metric", "label", "positives"):
        assert scores[column].tolist() == outcome.scores[column].tolist()


def test_layouts_by_lot_are_what_layouts_of_no_meaning_reach():
    """Two classes, each of half the patients, whose layouts say which; and layouts by chance."""
    pairs = made_up(classes=2)
    second = np.random.default_rng(5).permutation(PATIENTS) % 2 == 1
    labels = np.repeat(np.stack([~second, second], axis=1), EACH, axis=0)
    found = {}
    for name, layouts in (("habit", second), ("chance", np.arange(PATIENTS) < 10)):
        mask = np.repeat(np.stack([layouts, ~layouts, layouts], axis=1), EACH, axis=0)
        asked_of = dataclasses.replace(pairs, labels=labels, mask=mask)
        scores = presence.alone(untrained(asked_of, 2), asked_of, 20, draws=40)
        row = (scores["metric"] == "auroc") & (scores["label"] == "macro")
        assert scores.loc[~row, ["lot", "lot_high", "beaten"]].isna().all(axis=None)
        (found[name],) = scores[row].itertuples()
    assert found["habit"].value == 1
    assert found["habit"].beaten < 0.1
    assert found["chance"].beaten > 0.1
    for row in found.values():
        assert abs(row.lot - 0.5) < 0.2
        assert row.lot < row.lot_high < 1


def of_patients(layouts):
    """Made-up pairs where a class is the patient's own, and so is a row of `layouts` (P, K)."""
    pairs = made_up()
    kinds = np.arange(PATIENTS) % 3
    labels, mask = (np.repeat(of, EACH, axis=0) for of in (np.eye(3, dtype=bool)[kinds], layouts))
    return dataclasses.replace(pairs, labels=labels, mask=mask)


def lots(scores):
    """value, lot, lot_high and beaten of the macro AUROC."""
    row = scores[(scores["metric"] == "auroc") & (scores["label"] == "macro")].iloc[0]
    return row[["value", "lot", "lot_high", "beaten"]].tolist()


@pytest.mark.parametrize("folds", [1, 3])
def test_a_layout_that_tells_a_patients_class_beats_layouts_dealt_by_lot(folds):
    pairs = of_patients(np.eye(3, dtype=bool)[np.arange(PATIENTS) % 3])
    value, lot, high, beaten = lots(presence.alone(untrained(pairs, folds), pairs, 20, draws=40))
    assert value == 1
    assert beaten == 0
    assert 0.3 < lot < 0.7
    assert lot < high < 1


def test_a_layout_of_no_meaning_does_not_beat_lots():
    generator = np.random.default_rng(7)
    ranks = []
    for _ in range(6):
        pairs = of_patients(generator.random((PATIENTS, 3)) < 0.5)
        value, lot, high, beaten = lots(presence.alone(untrained(pairs, 3), pairs, 20, draws=40))
        assert (beaten < 0.05) == (value > high)
        assert lot <= high
        ranks.append(beaten)
    assert 0.2 < np.mean(ranks) < 0.8  # as one draw more among the lots
    assert sum(rank > 0.05 for rank in ranks) >= 5


def test_a_layout_of_each_patients_own_tells_the_patient_and_so_do_lots():
    """By window all is told, for the layout names a patient whose class was taught: lots do too."""
    bits = (np.arange(PATIENTS)[:, None] >> np.arange(5)) % 2 == 1  # (P, 5), no two alike
    pairs = of_patients(bits)
    by_window = dataclasses.replace(PATIENT, split="window")
    found = presence.alone(untrained(pairs, 2, by_window), pairs, 20, draws=10)
    assert lots(found) == [1, 1, 1, 1]


def test_lots_are_the_scores_of_layouts_dealt_among_the_patients(monkeypatch):
    """By scikit-learn; and the masks that were taught, one layout a patient, each dealt once."""
    generator = np.random.default_rng(8)
    layouts = generator.random((PATIENTS, 6)) < 0.5
    pairs = of_patients(layouts)
    pairs.labels[generator.random(len(pairs)) < 0.3] = [True, False, False]
    outcome = untrained(pairs, 2)
    seen, shares = [], presence._shares

    def spied(outcome, pairs, mask):
        seen.append((mask, shares(outcome, pairs, mask)))
        return seen[-1][1]

    monkeypatch.setattr(presence, "_shares", spied)
    value, lot, high, beaten = lots(presence.alone(outcome, pairs, 20, draws=15))
    (own, _), *dealt = seen
    np.testing.assert_array_equal(own, pairs.mask)
    assert len(dealt) == 15
    areas = []
    for mask, given in dealt:
        of_each = mask.reshape(PATIENTS, EACH, 6)
        assert (of_each == of_each[:, :1]).all()
        assert sorted(of_each[:, 0].tolist()) == sorted(layouts.tolist())
        areas.append(np.mean([area_within(outcome, given, c) for c in range(3)]))
    assert len({mask.tobytes() for mask, _ in dealt}) == 15
    expected = [*np.quantile(areas, [0.5, 0.95]), np.mean(np.array(areas) >= value)]
    np.testing.assert_allclose([lot, high, beaten], expected)


def area_within(outcome, given, c):
    """The AUROC of a class, where only windows of one fold are ranked."""
    right = pairs = 0.0
    for fold in (0, 1):
        of = (outcome.about["model"] == fold).to_numpy()
        truth = outcome.targets[of, c]
        count = truth.sum() * (~truth).sum()
        right += count * roc_auc_score(truth, given[of, c])
        pairs += count
    return right / pairs


def test_no_draws_leave_the_lots_out_and_all_else_as_it_is(monkeypatch):
    pairs = of_patients(np.eye(3, dtype=bool)[np.arange(PATIENTS) % 3])
    outcome = untrained(pairs)
    with_lots = presence.alone(outcome, pairs, 20, draws=3)
    monkeypatch.setattr(presence, "_by_lot", None)
    without = presence.alone(outcome, pairs, 20, draws=0)
    columns = ["lot", "lot_high", "beaten"]
    assert list(without.columns) == list(with_lots.columns)
    assert without[columns].isna().all(axis=None)
    assert without.drop(columns=columns).equals(with_lots.drop(columns=columns))


def test_a_class_that_presence_was_not_taught_has_no_share(monkeypatch):
    pairs = made_up()
    outcome = untrained(pairs, protocol=dataclasses.replace(PATIENT, split="division"))
    rare = dataclasses.replace(pairs, labels=pairs.labels.copy())
    taught = outcome.folds[0].sides["train"]
    rare.labels[taught[pairs.labels[taught, 1]]] = [False, False, True]  # none of the middle one
    (given,) = given_to_intervals(monkeypatch, outcome, rare)
    assert given.shape == (8 * EACH, 3)
    assert not given[:, 1].any()
    np.testing.assert_allclose(given[0], rare.labels[taught].mean(axis=0))


def test_a_model_of_permuted_labels_is_asked_for_what_it_was_taught(tmp_path, by_second):
    outcome = tried(tmp_path, dataclasses.replace(CROSSED, labels="permuted"), by_second)
    assert not np.array_equal(outcome.targets, by_second.labels[rows_of(outcome)])
    away = asked.without_electrograms(outcome, by_second, 20)
    np.testing.assert_array_equal(away.targets, outcome.targets)
    found = asked.embedded(outcome, by_second)
    np.testing.assert_array_equal(found.labels, outcome.targets[: len(found.z)].argmax(axis=1))


def rows_of(outcome):
    return np.concatenate([fold.sides["test"] for fold in outcome.folds])


def test_the_table_of_presence_has_the_macro_scores_with_the_sides_of_each(monkeypatch):
    pairs = made_up()
    each = [untrained(pairs, folds) for folds in (1, 3)]
    alone = presence.alone
    monkeypatch.setattr(presence, "alone", lambda *given: alone(*given, draws=0))
    found = presence.table(each, pairs, 20)
    assert set(found["label"]) == {"macro"}
    areas = [value(alone(of, pairs, 20, draws=0), "auroc") for of in each]
    assert found.loc[found["metric"] == "auroc", "value"].tolist() == areas
    assert len(found) == 2 * 7
