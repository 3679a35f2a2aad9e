"""Which epoch and head an answer is taken from: from files written by hand, each rule by hand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from pecg_utils import picked, trial
from pecg_utils.data.quality import Report
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.picked import AS_CODED, EPOCH, HEAD, LAST, MEAN, RULES, SOUND
from pecg_utils.protocol import Protocol
from pecg_utils.train import Training

HEADS = ("high", "low")
COUNTS = {"validation": 30, "test": 40}


def truths(seed=0, labels=4):
    rng = np.random.default_rng(seed)
    return {side: rng.random((count, labels)) < 0.4 for side, count in COUNTS.items()}


def watched(folder, labels, epochs=3, heads=2, seed=0):
    """A training that was watched: side -> (epochs, n, H, C), and its outcome."""
    rng = np.random.default_rng(seed)
    given = {}
    trial.epochs(folder).mkdir(parents=True)
    for side, truth in labels.items():
        skill = rng.uniform(0.05, 0.6, (epochs, 1, heads, 1))
        noise = rng.random((epochs, len(truth), heads, truth.shape[1]))
        given[side] = (skill * truth[None, :, None] + (1 - skill) * noise).astype(np.float32)
        for epoch in range(epochs):
            np.save(trial.epochs(folder) / f"{side}-{epoch + 1:04d}.npy", given[side][epoch])
    return given, outcome(folder)


def outcome(folder, repeat=0, turn=0, sides=None, split="fold"):
    protocol = Protocol("mrmnet", ("I", "II"), "2-lead", split, repeat=repeat, turn=turn)
    return SimpleNamespace(
        protocol=protocol, folds=(SimpleNamespace(folder=folder, sides=sides or {}),)
    )


def test_every_epoch_side_and_answer_is_scored(tmp_path):
    labels = truths()
    given, one = watched(tmp_path, labels)
    found = picked.by_epoch(one, labels, HEADS)
    assert list(found.columns) == ["epoch", "side", "answer", "auroc", "f1", "both"]
    assert len(found) == 3 * 2 * 3
    assert not found.duplicated(["epoch", "side", "answer"]).any()
    for row in found.itertuples():
        heads = given[row.side][row.epoch - 1]  # (n, H, C)
        answer = heads.mean(axis=1) if row.answer == MEAN else heads[:, HEADS.index(row.answer)]
        assert row.auroc == pytest.approx(roc_auc_score(labels[row.side], answer, average="macro"))
        f1 = f1_score(labels[row.side], answer >= 0.5, average="samples", zero_division=0)
        assert row.f1 == pytest.approx(f1)
        assert row.both == pytest.approx(row.auroc + row.f1)


def test_f1_is_of_recordings_and_decided_at_a_half(tmp_path):
    """By hand: the first is right at 0.5 itself, the second half right, the third carries none."""
    truth = np.array([[1, 0], [1, 1], [0, 0]], bool)
    given = np.array([[0.5, 0.4], [0.6, 0.1], [0.2, 0.1]], np.float32)[:, None]  # (3, 1, 2)
    trial.epochs(tmp_path).mkdir()
    for side in COUNTS:
        np.save(trial.epochs(tmp_path) / f"{side}-0001.npy", given)
    found = picked.by_epoch(outcome(tmp_path), dict.fromkeys(COUNTS, truth), ("high",))
    assert found["f1"].tolist() == pytest.approx([(1 + 2 / 3 + 0) / 3] * 2)
    assert found["auroc"].tolist() == pytest.approx([(1 + 0.25) / 2] * 2)  # 1 of 2, half a tie


def test_a_label_that_all_or_none_carry_has_no_area(tmp_path):
    labels = truths()
    labels["test"][:, 1] = False
    labels["test"][:, 2] = True
    given, one = watched(tmp_path, labels)
    found = picked.by_epoch(one, labels, HEADS).query(f"side == 'test' and answer == '{MEAN}'")
    for area, answer in zip(found["auroc"], given["test"].mean(axis=2), strict=True):
        truth = labels["test"]
        own = [roc_auc_score(truth[:, c], answer[:, c]) for c in (0, 3)]
        assert area == pytest.approx(np.mean(own))


def test_one_head_has_no_mean_of_its_own(tmp_path):
    labels = truths()
    given, one = watched(tmp_path, labels, heads=1)
    found = picked.by_epoch(one, labels, ("low",))
    assert found["answer"].unique().tolist() == [MEAN]
    assert len(found) == 6
    first = found[(found["epoch"] == 1) & (found["side"] == "test")].iloc[0]
    expected = roc_auc_score(labels["test"], given["test"][0, :, 0], average="macro")
    assert first["auroc"] == pytest.approx(expected)
    taken = picked.rules(found)
    assert set(taken["answer"]) == {MEAN}
    assert taken["rule"].tolist() == list(RULES)


def test_epochs_are_in_their_order_beyond_nine(tmp_path):
    """Each epoch answers with its own number of right recordings; names sort as numbers do."""
    truth = np.repeat([[True, False], [False, True]], 12, axis=0)
    trial.epochs(tmp_path).mkdir()
    order = np.random.default_rng(0).permutation(12) + 1
    for epoch in order:
        right = np.where(np.arange(24) < 2 * epoch, truth.T, ~truth.T).T
        given = right[:, None].astype(np.float32)
        for side in COUNTS:
            np.save(trial.epochs(tmp_path) / f"{side}-{epoch:04d}.npy", given)
    found = picked.by_epoch(outcome(tmp_path), dict.fromkeys(COUNTS, truth), ("high",))
    for side in COUNTS:
        of = found[found["side"] == side]
        assert of["epoch"].tolist() == list(range(1, 13))
        assert of["f1"].tolist() == pytest.approx([epoch / 12 for epoch in range(1, 13)])
    assert picked.rules(found)["epoch"].tolist() == [12] * 5


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "one side"])
def test_a_training_that_was_not_watched_is_refused(tmp_path, left):
    labels = truths()
    if left != "nothing":
        trial.epochs(tmp_path).mkdir()
    if left == "one side":
        np.save(trial.epochs(tmp_path) / "validation-0001.npy", np.zeros((30, 2, 4), np.float32))
    one = outcome(tmp_path)
    with pytest.raises(ValueError, match=f"training of {one.protocol.name} was not watched"):
        picked.by_epoch(one, labels, HEADS)


def seen(test, validation, heads=("high", "low")):
    """As by_epoch gives it. test: answer -> its sums by epoch. validation: those of the mean.

    The area is 0.6 of the sum, the F1 the rest. On the validation side the heads would choose
    otherwise than their mean.
    """
    against = {MEAN: validation, **{head: validation[::-1] for head in heads}}
    rows = [
        (epoch, side, answer, 0.6 * both, 0.4 * both, both)
        for side, of_side in (("validation", against), ("test", test))
        for answer, sums in of_side.items()
        for epoch, both in enumerate(sums, 1)
    ]
    columns = ["epoch", "side", "answer", "auroc", "f1", "both"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=3)


def taken(table):
    return {row.rule: (row.epoch, row.answer) for row in picked.rules(table).itertuples()}


TEST = {
    MEAN: (1.10, 1.30, 1.20, 1.00),
    "high": (1.05, 1.15, 1.25, 0.90),
    "low": (1.40, 1.00, 1.35, 1.02),
}
VALIDATION = (0.8, 0.9, 1.0, 0.7)


def test_each_rule_by_hand():
    table = seen(TEST, VALIDATION)
    assert taken(table) == {
        AS_CODED: (1, "low"),  # the best of all epochs and both heads
        EPOCH: (2, MEAN),  # the best epoch of the mean
        HEAD: (3, "low"),  # the third by validation, and there the better head
        SOUND: (3, MEAN),
        LAST: (4, MEAN),
    }
    found = picked.rules(table)
    assert list(found.columns) == ["rule", "epoch", "answer", "auroc", "f1"]
    assert found["rule"].tolist() == list(RULES)
    sums = np.array([1.40, 1.30, 1.35, 1.20, 1.00])
    np.testing.assert_allclose(found["auroc"], 0.6 * sums)
    np.testing.assert_allclose(found["f1"], 0.4 * sums)


def test_the_mean_is_no_head_however_good_it_is():
    best = {**TEST, MEAN: (1.9, 1.8, 1.9, 1.7)}
    assert taken(seen(best, VALIDATION))[AS_CODED] == (1, "low")
    assert taken(seen(best, VALIDATION))[HEAD] == (3, "low")


def test_of_one_head_its_answer_is_the_mean():
    found = taken(seen({MEAN: TEST[MEAN]}, VALIDATION, heads=()))
    assert found == {
        **{AS_CODED: (2, MEAN), EPOCH: (2, MEAN)},
        **{HEAD: (3, MEAN), SOUND: (3, MEAN), LAST: (4, MEAN)},
    }


def test_area_and_f1_are_chosen_by_their_sum():
    table = seen({MEAN: TEST[MEAN]}, VALIDATION, heads=())
    table.loc[(table["side"] == "test") & (table["epoch"] == 1), "auroc"] = 0.99
    table.loc[(table["side"] == "validation") & (table["epoch"] == 1), "f1"] = 0.99
    assert taken(table)[EPOCH] == (2, MEAN)
    assert taken(table)[SOUND] == (3, MEAN)
    table = seen(TEST, VALIDATION)
    fourth = (table["side"] == "test") & (table["epoch"] == 4)
    table.loc[fourth, ["auroc", "f1"]] = [0.99, 0.01]
    table.loc[(table["side"] == "test") & (table["epoch"] == 2), "f1"] = 0.99
    assert taken(table)[AS_CODED] == (1, "low")


def tied(table):
    return table.sort_values(["epoch", "side"], kind="stable", ignore_index=True)


def test_of_equal_sums_the_first_epoch_and_the_first_head_count():
    level = {MEAN: (1.2, 1.2, 1.1), "high": (1.0, 1.3, 1.3), "low": (1.1, 1.3, 1.3)}
    found = taken(tied(seen(level, (0.9, 0.9, 0.8))))
    epoch, answer = found[AS_CODED]
    assert epoch == 2
    assert answer in HEADS
    assert found[EPOCH] == (1, MEAN)
    assert found[SOUND] == (1, MEAN)
    assert found[HEAD] == (1, "low")


def test_several_trainings_are_named_by_seed_and_fold(tmp_path):
    """Each is judged by its own recordings, which the sides of its fold name."""
    every = np.random.default_rng(5).random((120, 4)) < 0.4
    dealt = np.random.default_rng(6)
    outcomes, alone = [], []
    for repeat, turn in ((0, 0), (1, 0), (0, 1)):
        rows = dealt.permutation(120)
        sides = {"train": rows[:50], "validation": rows[50:80], "test": rows[80:]}
        labels = {side: every[sides[side]] for side in ("validation", "test")}
        folder = tmp_path / f"{repeat}-{turn}"
        watched(folder, labels, seed=10 * repeat + turn)
        outcomes.append(outcome(folder, repeat, turn, sides))
        alone.append(picked.by_epoch(outcomes[-1], labels, HEADS))
    found, rules = picked.table(outcomes, every, HEADS)
    blocks = [(0, 10), (1, 10), (0, 9)]
    for (seed, fold), one in zip(blocks, alone, strict=True):
        of = found[(found["seed"] == seed) & (found["fold"] == fold)]
        pd.testing.assert_frame_equal(of[one.columns].reset_index(drop=True), one)
        own = rules[(rules["seed"] == seed) & (rules["fold"] == fold)]
        expected = picked.rules(one)
        pd.testing.assert_frame_equal(own[expected.columns].reset_index(drop=True), expected)
    assert list(rules[["seed", "fold"]].drop_duplicates().itertuples(index=False)) == blocks
    other = outcome(folder, 4, sides=sides, split="proxy")
    for without in picked.table([other], every, HEADS):
        assert set(without["seed"]) == {4}
        assert set(without["fold"]) == {0}


def test_optimism_is_above_the_sound_rule_in_each_training():
    base = picked.rules(seen(TEST, VALIDATION))
    better = base.assign(auroc=base["auroc"] + 0.1, f1=base["f1"] * 2)
    rules = pd.concat([base.assign(seed=0, fold=10), better.assign(seed=1, fold=9)])
    found = picked.optimism(rules.sample(frac=1, random_state=1))
    assert list(found.columns) == ["seed", "fold", "rule", "above"]
    assert len(found) == 8
    above = found.set_index(["seed", "rule"])["above"].to_dict()
    by_hand = {AS_CODED: 0.12, EPOCH: 0.06, HEAD: 0.09, LAST: -0.12}
    for rule, value in by_hand.items():
        assert above[0, rule] == pytest.approx(value)
        assert above[1, rule] == pytest.approx(value)
    assert set(found.loc[found["seed"] == 1, "fold"]) == {9}
    of_f1 = picked.optimism(rules, "f1").set_index(["seed", "rule"])["above"].to_dict()
    for rule, value in by_hand.items():
        assert of_f1[0, rule] == pytest.approx(value / 0.6 * 0.4)
        assert of_f1[1, rule] == pytest.approx(2 * value / 0.6 * 0.4)


def windows(records=60, samples=64):
    """Noise of two labels: a wave in lead I, and one in lead II."""
    rng = np.random.default_rng(0)
    labels = rng.random((records, 2)) < 0.5
    millivolts = rng.normal(size=(records, 2, samples))
    millivolts += 2 * labels[:, :, None] * np.sin(np.arange(samples) / 2)
    number = np.arange(records)
    table = pd.DataFrame({"record": [f"R{i}" for i in number], "start": 0.0, "age_days": 1.0})
    return Windows(
        steps=np.rint(1000 * millivolts).astype(np.int16),
        gain=np.full((records, 2), 1e-3, np.float32),
        table=table.assign(patient=table["record"]),
        labels=labels,
        classes=("a", "b"),
        settings=Settings(("I", "II"), seconds=samples / 100),
        report=Report(records, ()),
        key="made up",
    )


def test_a_watched_training_leaves_what_is_read(tmp_path, seeded_on_one_thread):
    """At the epoch that was kept, the mean of the heads is the trial's own answer."""
    of = windows()
    protocol = Protocol("mrmnet", ("I", "II"), "2-lead", normalise="together")
    kept_by = {"loss": "plain", "keep": "average_precision", "precision": "32"}
    training = Training(epochs=3, batch=16, lr=1e-2, seed=0, **kept_by)
    sizes = {"width": 4}
    found = {}
    for watch in (True, False):
        how = dataclasses.replace(training, watch=watch)
        found[watch] = trial.carry_out(of, protocol, "twin", sizes, how, tmp_path / f"{watch}", 5)
    left = trial.epochs(found[True].folder)
    names = [f"{side}-000{epoch}.npy" for side in ("test", "validation") for epoch in (1, 2, 3)]
    assert sorted(path.name for path in left.iterdir()) == names
    truth = of.labels[found[True].folds[0].sides["validation"]]
    by_epoch = [np.load(left / name).mean(axis=1) for name in names[3:]]
    precision = [average_precision_score(truth, given, average="macro") for given in by_epoch]
    curve = found[True].curves["validation_average_precision"]
    assert curve.tolist() == pytest.approx(precision)
    seen, _ = picked.table([found[True]], of.labels, HEADS)
    assert sorted(seen["epoch"].unique()) == [1, 2, 3]
    kept = seen[(seen["epoch"] == found[True].facts["best_epoch"]) & (seen["side"] == "test")]
    area = kept[kept["answer"] == MEAN]["auroc"].iloc[0]
    assert area == pytest.approx(found[True].value("auroc")["value"])
    assert kept["auroc"].nunique() > 1  # the heads are others
    with pytest.raises(ValueError, match="was not watched"):
        picked.table([found[False]], of.labels, HEADS)
