"""Outcomes on the windows that all of them tested, solved by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_pairs import PATIENT

from pecg_utils import one_label, shared_windows, subgroups
from pecg_utils.trial import Fold, Outcome

CLASSES = ("a", "b", "c")
# Record, start, class of each window; P1 has R1 and R2, P2 has R3, P3 has R4.
WINDOWS = {
    "A": ("R1", 0.0, "a"),
    "B": ("R1", 2.0, "b"),
    "C": ("R2", 0.0, "a"),
    "D": ("R3", 0.0, "b"),
    "E": ("R3", 2.0, "b"),
    "F": ("R4", 0.0, "c"),
}
PATIENTS = {"R1": "P1", "R2": "P1", "R3": "P2", "R4": "P3"}


def outcome(tested: str, answered: str, models: str | None = None) -> Outcome:
    """An outcome that answers the windows `tested`, in this order, with the classes `answered`.

    models: of a cross-validation, the fold that scored each.
    """
    record, start, kinds = zip(*(WINDOWS[name] for name in tested), strict=True)
    targets, answers = (
        np.eye(3, dtype=bool)[[CLASSES.index(name) for name in each]] for each in (kinds, answered)
    )
    about = pd.DataFrame({"record": record, "start": start})
    about["patient"] = about["record"].map(PATIENTS)
    about["source"] = "here"
    about["model"] = [int(name) for name in models or "0" * len(tested)]
    # The later a window is asked, the surer: no two are given the same.
    sure = 0.5 + 0.05 * np.arange(len(tested))[:, None]  # (n, 1)
    probabilities = np.where(answers, sure, (1 - sure) / 2).astype(np.float32)
    folds = tuple(Fold(None, {}, None, None, {}) for _ in set(models or "0"))
    outcome = Outcome(
        protocol=PATIENT,
        kind="twin",
        classes=CLASSES,
        targets=targets,
        probabilities=probabilities,
        answers=answers,
        about=about,
        scores=pd.DataFrame(),
        facts={"seconds": 5.0},
        curves=pd.DataFrame(),
        folds=folds,
        folder=None,
    )
    parts = about["model"] if len(folds) > 1 else None
    scores = one_label.intervals(
        targets, probabilities, about["patient"], resamples=30, labels=CLASSES, parts=parts
    )
    return dataclasses.replace(outcome, scores=scores.reset_index())


# All but F are tested by the first, all but A by the second, all but B by the third.
ALL = {
    "first": outcome("ABCDE", "abbba", "01011"),
    "second": outcome("FEDCB", "cbbab"),
    "third": outcome("CAEDF", "aabbc"),
}


@pytest.fixture(scope="module")
def shared() -> dict[str, Outcome]:
    return shared_windows.on_shared(ALL, 30)


def test_only_windows_that_all_tested_are_left_in_one_order(shared):
    assert list(shared) == ["first", "second", "third"]
    for found in shared.values():
        assert found.about["record"].tolist() == ["R2", "R3", "R3"]  # C, D, E
        assert found.about["start"].tolist() == [0, 0, 2]
        assert found.about.index.tolist() == [0, 1, 2]
        assert found.targets.argmax(axis=1).tolist() == [0, 1, 1]
    answers = {name: found.answers.argmax(axis=1).tolist() for name, found in shared.items()}
    assert answers == {"first": [1, 1, 0], "second": [0, 1, 1], "third": [0, 1, 1]}
    for name, places in (("first", [2, 3, 4]), ("second", [3, 2, 1]), ("third", [0, 3, 2])):
        np.testing.assert_array_equal(shared[name].probabilities, ALL[name].probabilities[places])
    assert shared["first"].about["model"].tolist() == [0, 1, 1]


def test_the_scores_are_those_of_the_windows_that_are_left(shared):
    first, second = shared["first"], shared["second"]
    assert first.value("top1")["value"] == pytest.approx(1 / 3)
    assert second.value("top1")["value"] == 1
    # Class a: none of one found, one false. Class b: one of two found, one false. c is of nobody.
    assert first.value("f1", "a")["value"] == 0
    assert first.value("f1", "b")["value"] == 0.5
    assert first.value("f1")["value"] == 0.25
    assert np.isnan(first.value("f1", "c")["value"])
    assert second.value("f1")["value"] == 1
    # D and E alone are of one model of the first, and of one class: nothing is ranked there.
    assert np.isnan(first.value("auroc")["value"])
    assert second.value("auroc")["value"] == 1
    who = first.about["patient"]
    for found in (second, shared["third"]):
        expected = one_label.intervals(
            found.targets, found.probabilities, who, resamples=30, labels=CLASSES
        )
        assert found.scores.equals(expected.reset_index())
    assert list(first.scores.columns) == list(ALL["first"].scores.columns)
    assert first.one_label


def test_all_else_is_as_it_was_and_nothing_is_changed_in_place(shared):
    before = outcome("ABCDE", "abbba", "01011")
    for name in ("protocol", "kind", "classes", "facts", "curves", "folds", "folder"):
        assert getattr(shared["first"], name) is getattr(ALL["first"], name)
    assert len(ALL["first"].about) == 5
    assert ALL["first"].scores.equals(before.scores)
    np.testing.assert_array_equal(ALL["first"].targets, before.targets)


def test_what_all_tested_is_left_as_it_is_but_for_its_order():
    turned = outcome("EDCBA", "abbba")  # the same answers to the same windows
    plain = outcome("ABCDE", "abbba")
    found = shared_windows.on_shared({"x": plain, "y": turned}, 30)
    assert found["x"].scores.equals(plain.scores)
    assert found["y"].value("top1").equals(turned.value("top1"))
    assert found["x"].about.equals(found["y"].about)


def test_the_difference_on_shared_windows_is_that_of_their_values():
    for metric in ("top1", "f1"):
        value, *_ = subgroups.difference(ALL["second"], ALL["first"], metric, 30, one_label=True)
        two = (shared_windows.on_shared({n: ALL[n] for n in ("first", "second")}, 30)).values()
        first, second = (found.value(metric)["value"] for found in two)
        assert value == pytest.approx(second - first)


def test_rows_are_of_macro_values_with_how_many_these_are_of(shared):
    table = shared_windows.rows(ALL | {"shared": shared["second"]})
    columns = ["name", "metric", "label", "value", "low", "high", "windows", "patients", "classes"]
    assert list(table.columns) == columns
    metrics = [*one_label.METRICS, "auroc", "average_precision"]
    assert table["metric"].tolist() == metrics * 4
    assert table.index.tolist() == list(range(28))
    assert set(table["label"]) == {"macro"}
    counts = ["windows", "patients", "classes"]
    found = table.groupby("name", sort=False)[counts].agg(["first", "nunique"])
    assert found.xs("first", axis=1, level=1).to_dict("index") == {
        "first": {"windows": 5, "patients": 2, "classes": 2},
        "second": {"windows": 5, "patients": 3, "classes": 3},
        "third": {"windows": 5, "patients": 3, "classes": 3},
        "shared": {"windows": 3, "patients": 2, "classes": 2},
    }
    assert (found.xs("nunique", axis=1, level=1) == 1).all(axis=None)
    for row in table.itertuples():
        of = ALL[row.name] if row.name in ALL else shared["second"]
        expected = of.value(row.metric)[["value", "low", "high"]].astype(float)
        np.testing.assert_array_equal([row.value, row.low, row.high], expected)
