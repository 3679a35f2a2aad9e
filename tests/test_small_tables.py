"""Tables of the page on small sets: what is in the sets, the models, and what they cost."""

import dataclasses

import made_small
import numpy as np
import pandas as pd
import pytest
import torch
from made_small import dataset

from pecg_utils import models, small_study, small_tables, trial
from pecg_utils.chapters.ecgs_enough import MODELS
from pecg_utils.cost import cost
from pecg_utils.data import open_dataset, ptbxl
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol
from pecg_utils.small_study import ALL, EVERY, HEAD, SCRATCH

torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path):
    return made_small.run(tmp_path, models=list(MODELS), batch=4)


def test_labels_of_the_large_set_are_counted_in_its_windows(run):
    both = small_study.gather(run)
    part = made_small.windows(dataset("ptbxl").only(np.arange(60) > 1), TWELVE_LEADS)
    found = small_tables.carried(dataclasses.replace(both, large=part))  # two could not be used
    assert found.to_dict("list") == {
        "name": ["NORM", "MI", "CD"],
        "words": ["NORM in words", "MI in words", "CD in words"],
        "recordings": [11, 11, 12],  # the first two are one of each
    }


def test_the_small_task_is_counted_by_recordings_and_by_patients(tmp_path):
    small = dataset("pe")
    small.table["patient"] = [f"P{k // 8}" for k in range(60)]  # two of eight have the label
    found = small_tables.asked(made_small.run(tmp_path, small))
    assert found.to_numpy().tolist() == [["PE", "PE in words", 15, 8]]
    assert found.columns.tolist() == ["name", "words", "recordings", "patients"]


def test_the_right_hearts_task_is_made_of_its_statements(tmp_path, real):
    task = open_dataset("ptbxl", real("ptb-xl"), task="right")
    found = small_tables.asked(made_small.run(tmp_path, task, dataset="ptbxl"))
    assert found.columns.tolist() == ["name", "words", "recordings", "patients"]
    assert found["name"].tolist() == [*ptbxl.RIGHT_STATEMENTS, "any of them"]
    last = found.iloc[-1]
    flags = task.labels["RIGHT"]
    assert last["recordings"] == flags.sum() > 0
    assert last["patients"] == task.table["patient"][flags].nunique()
    assert found["recordings"][:-1].max() <= last["recordings"] <= found["recordings"][:-1].sum()


def test_both_sets_are_counted(run):
    both = small_study.gather(run)
    both.small.table.loc[:4, "patient"] = "one"
    found = small_tables.sets(run, both)
    columns = ["name", "dataset", "kind", "recordings", "labels", "carriers", "patients"]
    assert found.columns.tolist() == columns
    assert found.to_numpy().tolist() == [
        ["large", "ptbxl", "twin", 60, 3, 36, 60],
        ["small", "pe", "twin", 60, 1, 15, 56],
    ]


def test_each_model_is_listed_with_its_own_size(run):
    shown = small_tables.listed(run)
    assert shown.index.tolist() == list(MODELS)
    assert shown.columns.tolist() == ["what", "weights", "multiply-adds of a piece"]
    for called, row in shown.iterrows():
        name, changes = MODELS[called]
        sizes = {**made_small.SIZES[name], **dict(changes)}
        model = models.create(name, 12, 1, 64, **sizes)
        assert row["weights"] == f"{sum(w.numel() for w in model.parameters()):,}"
        assert row["what"] == models.entry(name).what
        assert row["multiply-adds of a piece"] == (
            f"{models.multiply_adds(model, 12, 64) / 1e6:,.1f} million"
        )
    assert shown.loc["vgg11", "weights"] != shown.loc["vgg16", "weights"]
    assert shown.loc["crnn lstm", "weights"] != shown.loc["crnn gru", "weights"]


def answered(model, of, way=ALL, number=0, folds=1, seconds=1.0):
    """An outcome as a training leaves it, whose answers are drawn."""
    name, changes = MODELS[model]
    split = "fold" if "fold" in of.table else "patient"
    how = Protocol(name, TWELVE_LEADS, "12-lead", split, crop=64 / 500, changes=changes)
    how = dataclasses.replace(how, repeat=number, folds=folds)
    rng = np.random.default_rng([number, len(model), len(way)])
    made = []
    for divided in how.divide(of.table, of.labels, 0):
        sides = {side: divided.rows(side) for side in ("train", "validation", "test")}
        given = rng.random((len(sides["test"]), len(of.classes))).astype(np.float32)
        made.append(trial.Fold(None, sides, given, np.full(len(of.classes), 0.5), {}))
    sizes = {**made_small.SIZES[name], **dict(changes)}
    facts = {"curves": [], "seconds": seconds, "sizes": sizes, "best_epoch": 3 + number}
    return trial.outcome_of(how, "twin", of, of.labels, made, facts, None, 20)


def test_a_pre_trained_model_is_told_by_its_own_test_side(run):
    both = small_study.gather(run)
    begun = {
        model: [answered(model, both.large, number=n) for n in (0, 1)]
        for model in ("crnn lstm", "alexnet")
    }
    found = small_tables.broadly(begun)
    assert found.columns.tolist() == [
        *("name", "model", "value", "low", "high", "epoch", "taught", "tested")
    ]
    assert found["name"].tolist() == [
        f"{model}, seed {n}" for model in ("crnn lstm", "alexnet") for n in (1, 2)
    ]
    assert found["model"].tolist() == ["crnn lstm"] * 2 + ["alexnet"] * 2
    for k, row in enumerate(found.itertuples()):
        scores = begun[row.model][k % 2].value("auroc")
        assert (row.value, row.low, row.high) == tuple(scores[["value", "low", "high"]])
    assert found["epoch"].tolist() == [3, 4, 3, 4]
    assert (found["taught"] == 48).all()  # eight folds of six
    assert (found["tested"] == 6).all()
    assert small_tables.broadly({}).columns.tolist() == found.columns.tolist()


HEADS = {"resnet18": 4 + 1, "crnn gru": 4 + 1, "attresnet": 8 + 1, "alexnet": 4 + 1}


def test_what_a_model_costs_taught_with_all_weights_and_recordings(run):
    both = small_study.gather(run)
    trials = {
        (model, way, called): [
            answered(model, both.small, way, n, folds=3, seconds=seconds)
            for n, seconds in enumerate(
                (6.0, 12.0) if (way, called) == (ALL, EVERY) else (1.0, 1.0)
            )
        ]
        for model in HEADS
        for called in ("50", EVERY)
        for way in (SCRATCH, HEAD, ALL)
    }
    compared = small_study.table(trials, both.small.labels, 20)
    found = small_tables.costs(run, trials, compared)
    assert found.columns.tolist() == [
        *("name", "value", "low", "high", "weights", "multiply_adds", "seconds", "mebibytes"),
        "learned",
    ]
    assert found["name"].tolist() == list(HEADS)
    rows = compared[compared["name"].isin([f"{m}, {ALL}, {EVERY}, auroc" for m in HEADS])]
    pd.testing.assert_frame_equal(
        found[["value", "low", "high"]], rows[["value", "low", "high"]].reset_index(drop=True)
    )
    assert (found["seconds"] == 3.0).all()  # 9 s of three folds
    assert dict(zip(found["name"], found["learned"], strict=True)) == HEADS
    pieces = len(range(0, 5000 - 64, 32)) + 1  # of ten seconds, half a piece apart
    for row in found.itertuples():
        name, changes = MODELS[row.name]
        model = models.create(name, 12, 1, 64, **made_small.SIZES[name], **dict(changes))
        asked = cost(model, 12, 64, pieces, 4)
        assert (row.weights, row.multiply_adds) == (asked.weights, asked.multiply_adds)
        assert row.weights > row.learned
        assert row.mebibytes == pytest.approx(asked.mebibytes)
