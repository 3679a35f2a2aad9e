"""The pictures of a chapter that compares several models: told apart or not, what a score costs,
and two numbers that are both called F1.

Each function draws one and gives the figure. A line is a model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.metrics import AUROC, WORDS
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas
from pecg_utils.ranks import Ranks
from pecg_utils.sample_wise import COMMONEST, CONSTANT, LABELS, SAMPLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COSTS = {  # columns, and what stands above the panels
    "weights": "weights",
    "learned": "weights taught:\nhead only",
    "multiply_adds": "multiply-adds\nfor a recording",
    "seconds": "time of training",
    "mebibytes": "memory of a\ntraining step",
}
_KINDS = {  # of F1: a colour, a marker, where in the line, and what it is
    SAMPLES: (OURS, "o", -0.14, "averaged over recordings, as MRM-Net's released code has it"),
    LABELS: (SOUND, "D", 0.14, "averaged over labels: macro F1"),
}


def critical_difference(ranks: Ranks) -> "Figure":
    """The mean rank of each model, the best on top and on the left, and which are not told apart.

    Demšar's diagram (2006, JMLR 7:1-30) with a line a model: a bar on the right joins models that
    are not told apart, and the bracket on top is as long as mean ranks must differ for that.
    """
    names, places = list(ranks.mean.index), list(range(len(ranks.mean)))
    figure, (panel,) = canvas(10, 1.9 + 0.34 * len(names))
    panel.hlines(places, 1, ranks.mean, color=GREY, linewidth=0.8)
    panel.plot(ranks.mean, places, "o", color=SOUND, markersize=8)
    for place, rank in zip(places, ranks.mean, strict=True):
        _beside(panel, rank, place, f"{rank:.2f}")
    end = 1 + ranks.critical if np.isfinite(ranks.p) else 0.0
    if end:
        panel.plot([1, 1, end, end], [-0.75, -0.95, -0.95, -0.75], color=INK, linewidth=1.5)
        _beside(panel, end, -0.85, f"critical difference {ranks.critical:.2f}")
    panel.set_yticks(places, names, fontsize=10)
    panel.set_xticks(np.arange(1, len(names) + 1))
    right = max(1.05 * len(names), 1.25 * end)  # the bracket's words need room
    panel.set(xlim=(0.95, right), ylim=(len(names) - 0.5, -1.3))
    several = "s" if ranks.blocks > 1 else ""
    panel.set_xlabel(f"mean rank over {ranks.blocks} block{several}; 1 is best")
    panel.set_title(_verdict(ranks), loc="left", fontsize=11, color=INK)
    joined = [group for group in ranks.groups if len(group) > 1]
    look: dict[str, Any] = {"transform": panel.get_yaxis_transform(), "color": OURS}
    for number, group in enumerate(joined):
        held = [names.index(name) for name in group]
        bar: dict[str, Any] = {"marker": "o", "linewidth": 3, "markersize": 5, "clip_on": False}
        panel.plot([1.02 + 0.025 * number] * len(held), held, **bar, **look)
    if joined:
        panel.text(1.01, -0.55, "joined:\nnot told apart", va="bottom", fontsize=9, **look)
    return figure


def _verdict(ranks: Ranks) -> str:
    p = f"p = {ranks.p:.3f}" if ranks.p >= 0.001 else "p < 0.001"
    if np.isnan(ranks.p):
        return "Too few models or blocks to tell any apart"
    if ranks.p >= ranks.level:
        return f"At this size no model can be told from any other (Friedman's {p})"
    if not ranks.told_apart:
        return f"Not all are alike (Friedman's {p}), but no two can be told apart at this size"
    return f"Models that no bar joins are told apart (Friedman's {p})"


def cost_and_score(table: pd.DataFrame) -> "Figure":
    """What each model scores and what that costs: a panel for each, the best score on top.

    table: a row a model, with name, value, low and high of the macro AUROC, weights, multiply_adds,
    seconds (s) and mebibytes, as cost.Cost has them, and maybe learned, the weights that are taught
    where all but the head are kept. Costs are on a logarithmic scale, each panel
    from its least on. Were the score bought by a cost, its dots would go left from line to line.
    """
    table = table.sort_values("value", ascending=False, kind="stable")
    places = list(range(len(table)))
    known = {column: words for column, words in _COSTS.items() if column in table}
    figure, (scores, *costs) = canvas(10, 1.3 + 0.4 * len(table), 1, 1 + len(known))
    grid = scores.get_gridspec()
    assert grid is not None
    grid.set_width_ratios((1.7, *[1.0] * len(known)))
    scores.hlines(places, table["low"], table["high"], color=SOUND, linewidth=2)
    scores.plot(table["value"], places, "o", color=SOUND)
    for place, value in zip(places, table["value"], strict=True):
        _above(scores, value, place, f"{value:.3f}")
    scores.set_yticks(places, table["name"], fontsize=9)
    scores.set_title(f"{WORDS[AUROC]}\nand its interval", loc="left", fontsize=10)
    scores.tick_params(axis="x", labelsize=8)
    for panel, (column, words) in zip(costs, known.items(), strict=True):
        _cost(panel, table[column].to_numpy(dtype=float), column)
        panel.set_title(words, loc="left", fontsize=10)
    for panel in (scores, *costs):
        panel.set_ylim(len(table) - 0.5, -0.6)
    return figure


def _cost(panel: "Axes", values: npt.NDArray[np.float64], column: str) -> None:
    """One cost (models,): dots on a logarithmic scale without ticks, as each has its number."""
    known = np.isfinite(values) & (values > 0)
    least = values[known].min() if known.any() else 1.0
    most = values[known].max() if known.any() else 1.0
    ratio = max(most / least, 2.0)
    panel.hlines(np.flatnonzero(known), least, values[known], color=GREY, linewidth=0.8)
    panel.plot(values[known], np.flatnonzero(known), "o", color=INK, markersize=6)
    for place, value in enumerate(values):
        _beside(panel, value if known[place] else least, place, _short(value, column))
    panel.set_xscale("log")
    panel.set_xlim(least / ratio**0.1, most * ratio**1.1)
    panel.set(xticks=[], yticks=[])
    panel.minorticks_off()
    panel.spines[["bottom", "left"]].set_visible(False)


def _short(value: float, column: str) -> str:
    """A cost in a few letters: 8.7 M, 52 min, 1.2 GiB."""
    steps: tuple[tuple[float, str], ...] = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
    if column == "seconds":
        steps = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    elif column == "mebibytes":
        steps = ((1024, "GiB"), (1, "MiB"))
    if not np.isfinite(value):
        return "unknown"
    for step, unit in steps:
        if value >= step:
            return f"{value / step:.{0 if value >= 10 * step else 1}f} {unit}"
    step, unit = (1.0, "") if steps[-1][0] == 1e3 else steps[-1]
    return f"{value / step:.3g} {unit}".strip()


def two_f1(table: pd.DataFrame) -> "Figure":
    """Both kinds of F1 of each model, and in grey what a constant answer earns.

    table: as sample_wise.table gives it. The dotted line is the F1 over recordings of the most
    common label given to everyone.
    """
    names = list(dict.fromkeys(table["name"]))
    figure, (panel,) = canvas(10, 1.3 + 0.56 * len(names))
    for metric, (colour, marker, shift, words) in _KINDS.items():
        part = table[table["metric"] == metric].set_index("name").reindex(names)
        for place, (name, row) in enumerate(part.iterrows()):
            own = GREY if name in CONSTANT else colour
            panel.hlines(place + shift, row["low"], row["high"], color=own, linewidth=2)
            panel.plot(row["value"], place + shift, marker, color=own, markersize=6)
            words_of = f"{row['value']:.3f}"
            _above(panel, row["value"], place + shift, words_of, above=shift < 0)
        panel.plot([], [], marker, color=colour, label=words)
    free = table[(table["name"] == COMMONEST) & (table["metric"] == SAMPLES)]["value"]
    if len(free):
        look: dict[str, Any] = {"color": GREY, "linestyle": ":", "zorder": 0}
        panel.axvline(float(free.iloc[0]), label=f"over recordings, {COMMONEST}", **look)
    panel.set_yticks(np.arange(len(names)), names, fontsize=10)
    panel.set_xticks(np.linspace(0, 1, 6))
    panel.set(xlim=(-0.04, 1), ylim=(len(names) - 0.45, -0.6), xlabel="F1")
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _beside(panel: "Axes", x: float, y: float, words: str) -> None:
    """Words on the right of a dot."""
    look: dict[str, Any] = {"textcoords": "offset points", "va": "center", "color": INK}
    panel.annotate(words, (x, y), (8, 0), fontsize=9, **look)


def _above(panel: "Axes", x: float, y: float, words: str, *, above: bool = True) -> None:
    """Words above a dot, or below it."""
    look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "color": INK}
    look.update(va="bottom" if above else "top", fontsize=8)
    look["bbox"] = {"facecolor": "white", "linewidth": 0, "pad": 0.5}
    panel.annotate(words, (x, y), (0, 5 if above else -5), **look)
