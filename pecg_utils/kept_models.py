"""A kept record that compares models over seeds and folds, as tables and pictures."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pecg_utils import comparison_plots, mrmnet_plots, mrmnet_words, plots, ranks
from pecg_utils.markdown import table as markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = dict[str, pd.DataFrame]
Draw = Callable[[str, str, "Callable[[], Figure]"], str]  # name, words for the blind, picture


def parts(record: dict[str, Any], held: Tables, draw: Draw) -> list[str]:
    """What the record holds, part by part; nothing where it compares no models.

    held: its tables by name. draw: makes a picture's line of the page.
    """
    if "comparison" not in held:
        return []
    kind = record["data"][0]["kind"]
    return [*_models(held, kind, draw), *_audits(held, kind, draw), *_ways(record, held, draw)]


def _models(held: Tables, kind: str, draw: Draw) -> list[str]:
    scored, cost, blocks = (held[name] for name in ("comparison", "cost", "blocks"))
    ranked = ranks.compare(blocks)
    count = int(scored["trials"].iloc[0])
    return [
        f"All models, {count} trainings each, which differ in seed and tested fold:",
        draw("-models", "Macro AUROC and macro F1 of each model", lambda: plots.forest(scored)),
        _table(mrmnet_words.compared(scored), "model"),
        _said(mrmnet_words.gained(scored, kind)),
        "What each costs:",
        draw(
            "-cost",
            "Macro AUROC against weights, multiply-adds and seconds",
            lambda: comparison_plots.cost_and_score(cost),
        ),
        _table(mrmnet_words.cost(cost), "model"),
        draw(
            "-ranks",
            "Mean ranks of the models and the critical difference",
            lambda: comparison_plots.critical_difference(ranked),
        ),
        ranks.in_words(ranked),
    ]


def _audits(held: Tables, kind: str, draw: Draw) -> list[str]:
    found = []
    if (table := held.get("rules")) is not None:
        found += [
            "Who chooses the epoch and the head:",
            _said(mrmnet_words.optimism(table, kind)),
        ]
    if (table := held.get("gates")) is not None:
        table = table.rename(columns={"name": "training"})
        found += [
            "The mean gate by step of each training, on the QRS and elsewhere:",
            markdown(table),
        ]
    if (table := held.get("ablation of parts")) is not None:
        found += [
            "One part changed at a time, less the whole model; the grey band is the spread of the "
            "whole model's own trainings:",
            draw(
                "-parts",
                "What each change of the model or its loss brings in macro AUROC and macro F1",
                lambda: mrmnet_plots.gains(table),
            ),
            _said(mrmnet_words.gained(table, kind)),
        ]
    if (both := held.get("both F1")) is not None:
        found += [
            "F1 averaged over recordings, and over labels:",
            draw(
                "-f1",
                "Sample-wise and label-wise F1 of each model and of two constant answers",
                lambda: comparison_plots.two_f1(both),
            ),
        ]
    return found


def _ways(record: dict[str, Any], held: Tables, draw: Draw) -> list[str]:
    beside = next(iter(record.get("beside", [])), record["data"][0])  # CPSC2018, if not itself
    found = []
    if (ways := held.get("ways")) is not None:
        found += [
            f"MRM-Net on CPSC2018, {{tag}}`{beside['kind']}`, {beside['recordings']} recordings, "
            "in each way of preparing it:",
            draw(
                "-ways",
                "Macro AUROC and macro F1 in each way of preparing CPSC2018",
                lambda: plots.forest(ways),
            ),
        ]
    if (rates := held.get("by rate")) is not None:
        rates = rates.assign(name=[name.rsplit(", ", 1)[0] for name in rates["name"]])
        found += [
            "The same, padded and stretched, by class of heart rate:",
            draw(
                "-rates",
                "Macro AUROC by class of heart rate, padded and stretched",
                lambda: mrmnet_plots.by_rate(rates),
            ),
        ]
    if (less := held.get("stretched less sound")) is not None:
        found.append(_said(mrmnet_words.stretched_less_sound(less, beside["kind"])))
    return found


def _table(shown: pd.DataFrame, name: str) -> str:
    return markdown(shown.reset_index(names=name))


def _said(text: Any) -> str:
    return str(text.data)
