"""What it brings a small dataset that models were pre-trained on a large one, in pictures.

Each function draws one and gives the figure. A model learns the small dataset in one of three WAYS:
from scratch, or pre-trained, and then its head alone or all of its weights. Tables may come from
JSON, where a number that is not known is None.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from pecg_utils.metrics import AUROC, WORDS
from pecg_utils.plots import EDGED, GREY, HOLLOW, INK, canvas, key, numbered, rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = SCRATCH, HEAD, ALL = "from scratch", "head only", "all weights"
Looks = dict[tuple[str, str], dict[str, Any]]  # by way and source: how the marker looks

# A colour and a marker each, those that transfer_plots has for the same methods.
_LOOKS = {SCRATCH: ("#7b8794", "s"), HEAD: ("#4fa3d1", "^"), ALL: (INK, "o")}
_WHISKER, _SPREAD = "95 % over patients", "least to most over trainings"


def curves(table: pd.DataFrame, metric: str = AUROC) -> "Figure":
    """What each way scores when few and when many recordings are taught; a panel a model.

    table: with model, way, source (what the model was pre-trained on), size (recordings taught),
    metric, value, low, high (95 % over patients), least and most (over trainings). What comes of a
    second source is dashed and hollow. What is of one size stands side by side.
    """
    table = numbered(table[table["metric"] == metric])
    models, sizes = list(dict.fromkeys(table["model"])), _sizes(table)
    looks = _looks(table, WAYS)
    columns = 2 if len(models) in (2, 4) else min(3, len(models))
    lines = -(-len(models) // columns)
    figure, panels = canvas(10, 1.1 + (4.0 if lines == 1 else 2.4 * lines), lines, columns)
    low, high = _range(table[["value", "low", "high", "least", "most"]])
    low = min(low, 0.48) if metric == AUROC else low
    for panel in panels[len(models) :]:
        panel.remove()
    for number, (panel, model) in enumerate(zip(panels, models, strict=False)):
        _lines(panel, table[table["model"] == model], looks, sizes)
        if metric == AUROC:
            panel.axhline(0.5, color=GREY, linestyle=":", zorder=0)
        panel.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
        panel.locator_params(axis="y", nbins=6)
        panel.set_title(model, loc="left", fontsize=10.5, color=INK)
        if number % columns:
            panel.tick_params(labelleft=False)
        else:
            panel.set_ylabel(_called(metric))
        lowest = number + columns >= len(models)
        panel.set_xticks(sizes, _legible(sizes, columns) if lowest else [""] * len(sizes))
        panel.set_xlabel("recordings taught" if lowest else "")
    thick = Line2D([], [], color=INK, linewidth=6, alpha=0.3, label=_SPREAD)
    _key(figure, looks, [thick])
    return figure


def _lines(panel: "Axes", table: pd.DataFrame, looks: Looks, sizes: Sequence[int]) -> None:
    """The lines of one model on a logarithmic axis, each a little to the right of the last."""
    at = np.log10(sizes)  # (sizes,)
    span = float(at[-1] - at[0]) or 0.6
    step = min(0.034 * span, 0.8 * float(np.diff(at).min(initial=span)) / len(looks))
    shifts = (np.arange(len(looks)) - (len(looks) - 1) / 2) * step
    for shift, ((way, source), look) in zip(shifts, looks.items(), strict=True):
        of = table[(table["way"] == way) & (table["source"] == source)]
        part = of.set_index(of["size"].astype(int)).reindex(sizes)
        there = part["value"].notna().to_numpy()
        x, y = 10 ** (at + shift), part["value"].to_numpy()
        plain: dict[str, Any] = {"color": look["color"], "zorder": 3}
        panel.plot(x[there], y[there], "--" if _second(look) else "-", linewidth=1.3, **plain)
        panel.vlines(x, part["low"], part["high"], linewidth=1.2, **plain)
        panel.vlines(x, part["least"], part["most"], linewidth=6, alpha=0.3, **plain)
        panel.plot(x[there], y[there], linestyle="", markersize=6, **plain | look)
    panel.set_xscale("log")
    panel.minorticks_off()
    margin = 0.07 * span + shifts[-1]
    panel.set_xlim(10 ** (at[0] - margin), 10 ** (at[-1] + margin))


def _legible(sizes: Sequence[int], columns: int) -> list[str]:
    """The sizes in words, without those that would lie on others; both ends are always there."""
    words = [f"{size:,}" for size in sizes]
    span = float(np.log(sizes[-1] / sizes[0])) or 1.0
    points = (640 / columns - 30) * np.log(np.divide(sizes, sizes[0])) / span  # from the left
    half = np.array([3.0 * len(word) + 2 for word in words])  # of a word of 9 or 10 points, wide
    last = len(sizes) - 1
    kept = {0, last}
    for number in range(1, last):
        others = (max(k for k in kept if k < number), last)
        if all(abs(points[number] - points[k]) > half[number] + half[k] for k in others):
            kept.add(number)
    return [word if number in kept else "" for number, word in enumerate(words)]


def gains(table: pd.DataFrame, metric: str = AUROC) -> "Figure":
    """What pre-training adds to each model in each way; a panel for few, more and most recordings.

    table: as for `curves`, with gain, gain_low and gain_high: the value less that of the same model
    and size from scratch. On top is the model that gains most by all weights from the fewest
    recordings. What comes of a second source is hollow.
    """
    table = table[(table["metric"] == metric) & (table["way"] != SCRATCH)]
    table = numbered(table)
    sizes = _sizes(table)
    if len(sizes) > 3:  # the ends, and what lies nearest to their middle on a logarithmic scale
        middle = np.log(sizes[0] * sizes[-1]) / 2
        sizes = [sizes[0], min(sizes[1:-1], key=lambda s: abs(np.log(s) - middle)), sizes[-1]]
    first = table[(table["way"] == ALL) & (table["size"] == sizes[0])]
    order = first.groupby("model")["gain"].mean().reindex(list(dict.fromkeys(table["model"])))
    models = list(order.sort_values(ascending=False, kind="stable").index)
    looks = _looks(table, (HEAD, ALL))
    figure, panels = canvas(10, 1.6 + (0.24 + 0.1 * len(looks)) * len(models), 1, len(sizes))
    low, high = _range(table[table["size"].isin(sizes)][["gain", "gain_low", "gain_high"]])
    low, high = min(low, 0.0), max(high, 0.0)
    for panel, size in zip(panels, sizes, strict=True):
        rows(panel, models, named=panel is panels[0])
        panel.axvline(0, color=GREY, linestyle=":", zorder=1)
        for number, ((way, source), look) in enumerate(looks.items()):
            own = (table["way"] == way) & (table["source"] == source) & (table["size"] == size)
            part = table[own].set_index("model").reindex(models)
            shift = (number - (len(looks) - 1) / 2) * min(0.3, 0.66 / len(looks))
            places = np.arange(len(models)) + shift
            panel.hlines(places, part["gain_low"], part["gain_high"], look["color"], linewidth=1.6)
            panel.plot(part["gain"], places, linestyle="", markersize=7, zorder=3, **look)
        panel.set_title(f"{size:,} recordings taught", loc="left", fontsize=10.5, color=INK)
        panel.set_xlabel(f"{_called(metric)}, less that from scratch")
        panel.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        panel.locator_params(axis="x", nbins=5)
    _key(figure, looks, [])
    return figure


def _sizes(table: pd.DataFrame) -> list[int]:
    return sorted({int(size) for size in table["size"]})


def _called(metric: str) -> str:
    return WORDS[metric].removeprefix("macro ")  # the small dataset has one label


def _range(numbers: pd.DataFrame) -> tuple[float, float]:
    """The least and the most of what is known; never nothing, nor one number twice."""
    known = numbers.to_numpy()[numbers.notna().to_numpy()]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.5, 0.5)
    return (low, high) if high > low else (low - 0.05, high + 0.05)


def _looks(table: pd.DataFrame, ways: Iterable[str]) -> Looks:
    """For each way, in this order, and each of its sources."""
    sources = list(dict.fromkeys(table["source"][table["way"] != SCRATCH]))
    looks: Looks = {}
    for way in ways:
        for source in dict.fromkeys(table["source"][table["way"] == way]):
            colour, marker = _LOOKS[way]
            edge = HOLLOW if source in sources[1:] else EDGED
            looks[way, source] = {"color": colour, "marker": marker, **edge}
    return looks


def _second(look: dict[str, Any]) -> bool:
    return "markerfacecolor" in look


def _key(figure: "Figure", looks: Looks, more: list[Line2D]) -> None:
    """Colours and whiskers; where there are two sources, what is dashed or hollow too."""
    plain: dict[str, Any] = {"linestyle": "", "markersize": 7}
    marks = []
    for way in dict.fromkeys(way for way, _ in looks):
        colour, marker = _LOOKS[way]
        marks.append(Line2D([], [], color=colour, marker=marker, label=way, **plain, **EDGED))
    marks.append(Line2D([], [], color=INK, linewidth=1.2, label=_WHISKER))
    second = {source: _second(look) for (way, source), look in looks.items() if way != SCRATCH}
    if len(second) < 2:
        key(figure, [*marks, *more])
        return
    below = []
    for source, later in second.items():
        look = {"color": GREY, "marker": "o", "markersize": 7, **(HOLLOW if later else EDGED)}
        look["linestyle"] = "" if not more else "--" if later else "-"
        below.append(Line2D([], [], label=f"pre-trained on {source}", **look))
    below += more
    columns = max(len(marks), len(below))  # two lines, and matplotlib fills column by column
    pairs = zip_longest(marks, below)
    key(figure, [mark for pair in pairs for mark in pair if mark], columns=columns)
