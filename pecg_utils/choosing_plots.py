"""Pictures of what choosing by the test side adds to a score, and how far a random test scatters.

Each function draws one and gives the figure. Tables may come from JSON, where a number that is not
known is None.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from pecg_utils.metrics import WORDS
from pecg_utils.plots import (
    EDGED,
    GREY,
    INK,
    OURS,
    RULE,
    SOUND,
    canvas,
    key,
    note,
    numbered,
    outlined,
    rows,
    shades,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

RULES = AS_CODED, BY_VALIDATION, LAST = "by the test side, as coded", "by validation", "last epoch"
PIECE, CHANGED = "random piece", "random piece, changed"  # how a random test is made
CHOICES = BY_TEST, SOUNDLY = "configuration by the test side", "configuration by validation"

_LOOKS = {  # a colour and a marker each
    AS_CODED: (OURS, "o"),
    BY_VALIDATION: (SOUND, "D"),
    LAST: (GREY, "s"),
    BY_TEST: (OURS, "o"),
    SOUNDLY: (SOUND, "D"),
}
_ADDED = "added by\nthe test side"


def grid(table: pd.DataFrame, fs: float = 500.0) -> "Figure":
    """What each model scores at each length (column) and normalisation (row): a heat map a model.

    table: with model, samples, normalise, value (AUROC, test side) and validation (the same on the
    validation side). fs: in Hz. Framed is the best by validation, starred the best by the test
    side; what was not tried is a dash.
    """
    table = numbered(table)
    models, ways = _unique(table["model"]), _unique(table["normalise"])
    lengths = sorted({int(samples) for samples in table["samples"]})
    columns = 2 if len(models) in (2, 4) or len(lengths) > 5 else 3
    columns = min(columns, len(models))
    lines = -(-len(models) // columns)
    figure, panels = canvas(10, 1.9 + lines * (0.6 + 0.4 * len(ways)), lines, columns)
    for panel in panels[len(models) :]:
        panel.remove()
    panels = panels[: len(models)]
    known = table["value"].dropna()
    low, high = (known.min(), known.max()) if len(known) else (0.5, 0.5)
    shade = Normalize(low, max(high, low + 0.02))
    for number, (panel, model) in enumerate(zip(panels, models, strict=True)):
        tested, validated = (
            table[table["model"] == model]
            .pivot(index="normalise", columns="samples", values=column)
            .reindex(index=ways, columns=lengths)
            .to_numpy()
            for column in ("value", "validation")
        )  # (normalisations, lengths) each
        panel.set_facecolor(RULE)
        image = panel.imshow(tested, cmap=shades(), norm=shade, aspect="auto")
        _cells(panel, tested, validated, shade)
        outlined(panel, len(ways), len(lengths))
        lowest = number + columns >= len(models)
        under = [f"{samples:,}\n{samples / fs:.1f} s" for samples in lengths]
        panel.set_xticks(range(len(lengths)), under if lowest else [], fontsize=9)
        panel.set_yticks(range(len(ways)), [] if number % columns else ways, fontsize=9)
        panel.set_title(model, loc="left", fontsize=10.5, color=INK)
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.5, aspect=36, pad=0.03)
    bar.set_label("AUROC, test side")
    frame = Patch(facecolor="none", edgecolor=OURS, linewidth=2.4, label="best by validation")
    star: dict[str, Any] = {"color": INK, "linestyle": "", "markersize": 9}
    key(figure, [frame, Line2D([], [], marker="*", label="best by the test side", **star)])
    return figure


def _cells(panel: "Axes", tested: Floats, validated: Floats, shade: Normalize) -> None:
    """Each cell's number, a star on the best, and a frame around the best by validation."""
    for (row, column), value in np.ndenumerate(tested):
        words = "–" if np.isnan(value) else f"{value:.3f}"
        colour = GREY if np.isnan(value) else _on(shade(value))
        panel.text(column, row, words, ha="center", va="center", fontsize=9, color=colour)
    if np.isfinite(validated).any():
        row, column = _best(validated)
        look: dict[str, Any] = {"fill": False, "edgecolor": OURS, "linewidth": 2.4, "zorder": 4}
        panel.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, **look))
    if np.isfinite(tested).any():
        row, column = _best(tested)
        colour = _on(shade(tested[row, column]))
        panel.plot(column + 0.33, row - 0.26, "*", color=colour, markersize=7, zorder=5)


def _best(values: Floats) -> tuple[int, int]:
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return int(row), int(column)


def _on(shade: float) -> str:
    return "white" if shade > 0.38 else INK  # the easier to read


def optimism(table: pd.DataFrame) -> "Figure":
    """What choosing the epoch by the test side adds: a dot a training, a bar their mean.

    table: with model, rule (one of RULES), metric, value, seed. A panel a metric. Beside each model
    by how much the mean as coded lies above that by validation.
    """
    table = numbered(table)
    models, metrics = _unique(table["model"]), _unique(table["metric"])
    rules = [rule for rule in RULES if rule in set(table["rule"])]
    figure, panels = canvas(10, 1.7 + (0.16 + 0.13 * len(rules)) * len(models), 1, len(metrics))
    for panel, metric in zip(panels, metrics, strict=True):
        rows(panel, models, named=panel is panels[0])
        means = {}
        for number, rule in enumerate(rules):
            part = table[(table["metric"] == metric) & (table["rule"] == rule)]
            colour, marker = _LOOKS[rule]
            places = part["model"].map(models.index) + _shift(number, len(rules))
            dot: dict[str, Any] = {"color": colour, "markersize": 6, "alpha": 0.65, "zorder": 3}
            panel.plot(part["value"], places, marker, **dot, **EDGED)
            means[rule] = part.groupby("model")["value"].mean().reindex(models)
            middle = np.arange(len(models)) + _shift(number, len(rules))
            panel.vlines(means[rule], middle - 0.13, middle + 0.13, colour, linewidth=2.6, zorder=4)
        if AS_CODED in means and BY_VALIDATION in means:
            _beside(panel, _ADDED, means[AS_CODED] - means[BY_VALIDATION], "+")
        panel.set_xlabel(f"{_called(metric)}, test side")
        panel.locator_params(axis="x", nbins=5)
    dots = [_mark(rule, f"epoch {rule}" if rule != LAST else rule) for rule in rules]
    bar = Line2D([], [], color=INK, marker="|", linestyle="", markersize=11, markeredgewidth=2.6)
    bar.set_label("mean of the trainings")
    key(figure, [*dots, bar])
    return figure


def noisy(table: pd.DataFrame) -> "Figure":
    """How far one random test scatters: a dot a draw, and the test without draws as a bar.

    table: with model, draw (0 is the test without draws), metric, value. A panel a metric. Beside
    each model how far its draws lie apart.
    """
    table = numbered(table)
    models, metrics = _unique(table["model"]), _unique(table["metric"])
    figure, panels = canvas(10, 1.7 + 0.46 * len(models), 1, len(metrics))
    for panel, metric in zip(panels, metrics, strict=True):
        rows(panel, models, named=panel is panels[0])
        of = table[table["metric"] == metric]
        draws, sound = of[of["draw"] != 0], of[of["draw"] == 0]
        # the golden ratio lays neighbours apart, and each draw in the same place every time
        beside = (0.618 * draws["draw"]) % 1 - 0.5
        places = draws["model"].map(models.index) + 0.6 * beside
        dot: dict[str, Any] = {"color": OURS, "markersize": 6, "alpha": 0.5, "zorder": 3}
        panel.plot(draws["value"], places, "o", **dot, **EDGED)
        middle = sound["model"].map(models.index).to_numpy()
        panel.vlines(sound["value"], middle - 0.4, middle + 0.4, SOUND, linewidth=3, zorder=4)
        by = draws.groupby("model")["value"]
        _beside(panel, "draws lie\napart", (by.max() - by.min()).reindex(models))
        panel.set_xlabel(_called(metric))
        panel.locator_params(axis="x", nbins=5)
    look: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 6, "alpha": 0.5}
    one = Line2D([], [], color=OURS, label="one random test, as coded", **look, **EDGED)
    bar = Line2D([], [], color=SOUND, marker="|", linestyle="", markersize=13, markeredgewidth=3)
    bar.set_label("the test without random draws")
    key(figure, [one, bar])
    return figure


def chosen(table: pd.DataFrame) -> "Figure":
    """What choosing a model's configuration by the test side adds: two dots a model, joined.

    table: with rule (one of CHOICES), model, value (AUROC, test side). The best by validation is on
    top.
    """
    table = numbered(table)
    both = table.pivot(index="model", columns="rule", values="value").reindex(columns=CHOICES)
    both = both.reindex(_unique(table["model"]))
    both = both.sort_values(SOUNDLY, ascending=False, kind="stable")
    places, (coded, sound) = np.arange(len(both)), (both[rule] for rule in CHOICES)
    figure, (panel,) = canvas(10, 1.7 + 0.42 * len(both))
    rows(panel, list(both.index), named=True)
    panel.hlines(places, sound, coded, GREY, linewidth=2.5, zorder=2)
    for rule in CHOICES:
        colour, marker = _LOOKS[rule]
        size = 11 if rule == BY_TEST else 7  # so that both are seen where they are equal
        panel.plot(both[rule], places, marker, color=colour, markersize=size, zorder=3, **EDGED)
    for place, pair in enumerate(zip(coded, sound, strict=True)):
        ends = {f"{value:.3f}": value for value in sorted(pair) if np.isfinite(value)}
        sides = ((9, "left"), (-9, "right"))  # of the higher one, and of the lower if it differs
        for (words, value), (off, side) in zip(reversed(ends.items()), sides, strict=False):
            note(panel, (value, place), words, (off, 0), side, "center")
    _beside(panel, _ADDED, coded - sound, "+")
    panel.margins(x=0.12)
    panel.set_xlabel("AUROC, test side")
    key(figure, [_mark(rule, rule) for rule in CHOICES[::-1]])
    return figure


def _unique(column: pd.Series) -> list[str]:
    return list(dict.fromkeys(column))


def _called(metric: str) -> str:
    return WORDS.get(metric, metric).removeprefix("macro ")  # the small dataset has one label


def _shift(number: int, several: int) -> float:
    """Where one of several stands in a row."""
    return (number - (several - 1) / 2) * min(0.27, 0.6 / several)


def _mark(rule: str, label: str) -> Line2D:
    colour, marker = _LOOKS[rule]
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "", **EDGED}
    return Line2D([], [], markersize=7, label=label, **look)


def _beside(panel: "Axes", head: str, numbers: pd.Series, sign: str = "") -> None:
    """A number on the right of each row, flush right, and above them what they are."""
    look: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    look.update(ha="right", fontsize=9, color=INK, annotation_clip=False)
    panel.annotate(head, (1, -0.55), (66, 0), va="bottom", **look)
    for place, number in enumerate(numbers):
        words = "–" if np.isnan(number) else f"{round(number, 3) + 0.0:{sign}.3f}".replace("-", "−")
        panel.annotate(words, (1, place), (66, 0), va="center", **look)
