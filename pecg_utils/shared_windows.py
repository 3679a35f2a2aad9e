"""Outcomes on the windows that all of them tested, where alone they can be compared.

A cross-validation tests every window, a division one half, and a split by time leaves out what lies
at its seams. Which windows are tested, of whom, decides a score as much as the model does.
"""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from pecg_utils import one_label, subgroups
from pecg_utils.data.recording import people
from pecg_utils.trial import Outcome


def on_shared(outcomes: Mapping[str, Outcome], resamples: int = 1000) -> dict[str, Outcome]:
    """Each outcome, of one class a window, on the windows that all of them tested."""
    found = {}
    places = subgroups.tested_by_all(list(outcomes.values()))
    for (name, outcome), rows in zip(outcomes.items(), places, strict=True):
        about = outcome.about.iloc[rows].reset_index(drop=True)
        scores = one_label.intervals(
            outcome.targets[rows],
            outcome.probabilities[rows],
            people(about),
            resamples=resamples,
            labels=outcome.classes,
            parts=about["model"] if len(outcome.folds) > 1 else None,
        )
        found[name] = replace(
            outcome,
            targets=outcome.targets[rows],
            probabilities=outcome.probabilities[rows],
            answers=outcome.answers[rows],
            about=about,
            scores=scores.reset_index(),
        )
    return found


def rows(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """The macro scores of each outcome, with how many windows, patients and classes they are of.

    Columns: name, metric, label, value, low, high, windows, patients, classes.
    """
    parts = []
    for name, outcome in outcomes.items():
        macro = outcome.scores[outcome.scores["label"] == "macro"]
        part = macro[["metric", "label", "value", "low", "high"]].copy()
        part.insert(0, "name", name)
        part["windows"] = len(outcome.about)
        part["patients"] = int(people(outcome.about).nunique())
        part["classes"] = int(outcome.targets.any(axis=0).sum())
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
