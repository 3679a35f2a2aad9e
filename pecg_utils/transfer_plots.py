"""The pictures of a chapter that carries a model from adults to children.

Each function draws one and gives the figure. A mode, or shots, is how many of the children's
recordings were taught, as text: "0" is none, "10" are ten with each label at most, "all" is all.
Tables may come from JSON, where a number that is not known is None.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.lines import Line2D

from pecg_utils.metrics import AUROC, WORDS
from pecg_utils.plots import (
    EDGED,
    GREY,
    HOLLOW,
    INK,
    OURS,
    PALE,
    RULE,
    SOUND,
    canvas,
    key,
    note,
    numbered,
    outlined,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Looks = dict[str, tuple[str, dict[str, Any]]]  # by name: a colour, and a marker's look

_NONE, _ALL = "0", "all"
_METHODS = {  # a colour and a marker each, so that they are told apart in grey too
    "from scratch": ("#7b8794", "s"),
    "fine-tuning": (INK, "o"),
    "linear probe": ("#4fa3d1", "^"),
    "DANN": ("#2e8b57", "v"),
    "MMD": ("#a98600", "D"),
    "CLIP": ("#8a5fb0", "<"),
    "PEACE": (OURS, "o"),
}
_FEW = (("#4fa3d1", "s"), (SOUND, "^"), ("#134b73", "v"))  # the darker, the more children
_SEEN: Looks = {  # at the test
    "ECG alone": (SOUND, {"marker": "o", **EDGED}),
    "its own tokens": (OURS, {"marker": "s", **EDGED}),
    "another's tokens": (INK, {"marker": "^", **EDGED}),
}
_WHISKER, _SPREAD = "95 % over patients", "least to most over draws or seeds"


def shots(table: pd.DataFrame, metric: str = AUROC) -> "Figure":
    """What each method scores with few and with many children: a line a method.

    table: with method, shots, recordings (mean number taught), metric, value, low, high (95 % over
    patients), least and most (over draws of the shots, or seeds). A method may lack a value.
    """
    table = numbered(table[table["metric"] == metric])
    modes, methods = _modes(table["shots"]), list(dict.fromkeys(table["method"]))
    figure, (panel,) = canvas(10, 5.4)
    looks, ends = _of_methods(methods), {}
    for number, (method, (colour, marker)) in enumerate(looks.items()):
        part = table[table["method"] == method].set_index("shots").reindex(modes)
        places = np.arange(len(modes)) + _shift(number, len(methods), 0.74)
        there = np.flatnonzero(part["value"].notna())
        if not len(there):
            continue
        x, y = places[there], part["value"].to_numpy()[there]
        look: dict[str, Any] = {"color": colour, "zorder": 3}
        panel.plot(x, y, color=colour, linewidth=0.9, alpha=0.4)
        panel.vlines(places, part["low"], part["high"], linewidth=1.2, **look)
        panel.vlines(places, part["least"], part["most"], linewidth=9, alpha=0.3, **look)
        panel.plot(x, y, marker, markersize=7, **EDGED, **look)
        ends[method] = float(y[-1])
    taught = table.groupby("shots")["recordings"].mean()
    panel.set_xticks(range(len(modes)), [_shots(mode, taught[mode]) for mode in modes])
    panel.set(xlim=(-0.5, len(modes) - 0.5), ylabel=WORDS[metric])
    panel.set_xlabel("shots: at most so many of the children's recordings taught with each label")
    for place in range(1, len(modes)):
        panel.axvline(place - 0.5, color=RULE, linewidth=0.8, zorder=0)
    if metric == AUROC:
        panel.axhline(0.5, color=GREY, linestyle=":", zorder=0)
    _at_the_end(panel, ends, looks)
    key(figure, _intervals())
    return figure


def _at_the_end(panel: "Axes", ends: dict[str, float], looks: dict[str, tuple[str, str]]) -> None:
    """Each method's marker and name on the right, by its last value as far as they have room."""
    low, high = panel.get_ylim()
    names = sorted(ends, key=ends.__getitem__)
    steps = 0.055 * (high - low) * np.arange(len(names))
    values = np.array([ends[name] for name in names])
    pushed = np.maximum.accumulate(values - steps) + steps  # upwards, by those below
    right = panel.get_xlim()[1] + 0.12
    for at, name in zip(pushed - (pushed - values).mean(), names, strict=True):
        colour, marker = looks[name]
        panel.plot(right, at, marker, color=colour, markersize=7, clip_on=False, **EDGED)
        weight = "bold" if name == "PEACE" else "normal"
        panel.text(right + 0.09, at, name, va="center", fontsize=10, fontweight=weight, color=INK)
    panel.set_ylim(low, high)


def per_label(table: pd.DataFrame) -> "Figure":
    """AUROC of each label, a dot a mode; the label that the last mode answers best is on top.

    table: with label, words, mode, value, low, high, positives (children tested that carry the
    label) and adults (that carry it and were taught). Both numbers stand on the right.
    """
    table = numbered(table)
    looks = _of_modes(_modes(table["mode"]))
    facts = table.groupby("label", sort=False)[["words", "positives", "adults"]].last()
    last = table[table["mode"] == [*looks][-1]].set_index("label")["value"].reindex(facts.index)
    labels = list(last.sort_values(ascending=False, kind="stable").index)
    figure, (panel,) = canvas(10, 1.5 + (0.14 + 0.07 * len(looks)) * len(labels))
    for place in range(0, len(labels), 2):
        panel.axhspan(place - 0.5, place + 0.5, color=PALE, linewidth=0, zorder=0)
    _dots(panel, table, ("label", labels), ("mode", looks), size=6)
    names = [fill(f"{facts['words'][label]} [{label}]", 40) for label in labels]
    panel.set_yticks(range(len(labels)), names, fontsize=8.5)
    _beside(panel, -0.55, ("children\ntested", "adults\ntaught"), "bottom")
    for place, row in enumerate(facts.loc[labels].itertuples()):
        _beside(panel, place, (_count(row.positives), _count(row.adults)), "center")
    panel.axvline(0.5, color=GREY, linestyle=":", zorder=1)
    panel.set(ylim=(len(labels) - 0.5, -0.5), xlabel="AUROC", xlim=_unit_range(table))
    key(figure, _named(looks))
    return figure


def _beside(panel: "Axes", row: float, words: Sequence[str], va: Any) -> None:
    """Words in columns on the right of a row, each flush right."""
    look: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    look.update(ha="right", va=va, fontsize=8.5, color=INK, annotation_clip=False)
    for number, word in enumerate(words):
        panel.annotate(word, (1, row), (54 * number + 52, 0), **look)


def by_age(table: pd.DataFrame) -> "Figure":
    """Macro AUROC by band of age, a colour a mode.

    table: with band, windows, patients, mode, value, low, high; the bands in their order.
    """
    table = numbered(table)
    bands, looks = list(dict.fromkeys(table["band"])), _of_modes(_modes(table["mode"]))
    figure, (panel,) = canvas(10, 4.4)
    for number, (mode, (colour, look)) in enumerate(looks.items()):
        part = table[table["mode"] == mode].set_index("band").reindex(bands)
        places = np.arange(len(bands)) + _shift(number, len(looks), 0.6)
        panel.plot(places, part["value"], color=colour, linewidth=0.8, alpha=0.4)
        panel.vlines(places, part["low"], part["high"], color=colour, linewidth=1.6)
        panel.plot(places, part["value"], color=colour, linestyle="", markersize=7, **look)
    _under(panel, bands, table.groupby("band")["patients"].max())
    panel.axhline(0.5, color=GREY, linestyle=":", zorder=0)
    panel.set(xlim=(-0.5, len(bands) - 0.5), ylabel=WORDS[AUROC])
    key(figure, _named(looks))
    return figure


def _under(panel: "Axes", bands: Sequence[str], children: pd.Series) -> None:
    names = [f"{fill(band, 14)}\n{_count(children[band])} children" for band in bands]
    panel.set_xticks(range(len(bands)), names, fontsize=9)


def ablation(table: pd.DataFrame, mode: str | Sequence[str] | None = None) -> "Figure":
    """What leaving out a part changes, beside what the paper says of it; a panel a mode.

    table: with name ("complete" is the whole model), mode, value, gain, gain_low, gain_high (less
    the complete model, AUROC being from 0 to 1), apart (as far apart as seeds lie) and claimed (the
    paper's difference, or nothing). The grey band is as wide to either side of 0 as seeds of the
    complete model lie apart. mode: which to draw; all of them if none is given.
    """
    table = numbered(table)
    modes = _modes(table["mode"]) if mode is None else [mode] if isinstance(mode, str) else [*mode]
    table = table[table["mode"].isin(modes)]
    names = [name for name in dict.fromkeys(table["name"]) if name != "complete"]
    figure, panels = canvas(10, 1.7 + 0.62 * len(names), 1, len(modes))
    places = np.arange(len(names))
    ends = [0.0]
    for panel, one in zip(panels, modes, strict=True):
        of = table[table["mode"] == one].set_index("name")
        apart, parts = of.loc["complete", "apart"], of.reindex(names)
        ours, theirs = places - 0.1, places + 0.18
        panel.axvspan(-apart, apart, color=GREY, alpha=0.25, lw=0, label="seeds lie so far apart")
        panel.axvline(0, color=GREY, linestyle=":")
        panel.hlines(ours, parts["gain_low"], parts["gain_high"], color=SOUND, linewidth=2)
        named = f"here, and its interval: {_WHISKER}"
        panel.plot(parts["gain"], ours, "o", color=SOUND, markersize=7, label=named, **EDGED)
        panel.plot(parts["claimed"], theirs, "D", color=INK, label="the paper", **HOLLOW)
        for at, gain, claimed in zip(places, parts["gain"], parts["claimed"], strict=True):
            note(panel, (gain, at - 0.1), f"{gain:+.3f}", (0, 5), "center", "bottom")
            note(panel, (claimed, at + 0.18), f"{claimed:+.3f}", (0, -6), "center", "top")
        panel.set_yticks(places, names if panel is panels[0] else [], fontsize=10)
        panel.set_ylim(len(names) - 0.3, -0.6)
        named = f"{_said(one)}\ncomplete: {of.loc['complete', 'value']:.3f}"
        panel.set_title(named, loc="left", fontsize=10)
        drawn = parts[["gain", "gain_low", "gain_high", "claimed"]].to_numpy().ravel()
        ends += [end for end in (-apart, apart, *drawn) if np.isfinite(end)]
    room = 0.16 * (max(ends) - min(ends))  # for the words at the outermost dots
    for panel in panels:
        panel.set_xlim(min(ends) - room, max(ends) + room)
        panel.locator_params(axis="x", nbins=5)
        panel.set_xlabel(f"{WORDS[AUROC]},\nless the complete model")
    key(figure, panels[0].get_legend_handles_labels()[0][::-1])
    return figure


def controls(table: pd.DataFrame) -> "Figure":
    """What the texts bring: real ones beside vectors that mean nothing, a panel a mode.

    table: with name ("real" and the controls), mode, value, low, high, least and most (of seeds).
    """
    table = numbered(table)
    modes, names = _modes(table["mode"]), list(dict.fromkeys(table["name"]))
    figure, panels = canvas(10, 1.6 + 0.46 * len(names), 1, len(modes))
    for panel, mode in zip(panels, modes, strict=True):
        of = table[table["mode"] == mode].set_index("name").reindex(names)
        for place, (name, row) in enumerate(of.iterrows()):
            real = name == "real"
            look: dict[str, Any] = {"color": SOUND if real else INK}
            panel.hlines(place, row["low"], row["high"], linewidth=1.2, **look)
            panel.hlines(place, row["least"], row["most"], linewidth=11, alpha=0.3, **look)
            look |= EDGED if real else HOLLOW
            panel.plot(row["value"], place, "o", markersize=7, **look)
            words = f"{row['value']:.3f}"
            note(panel, (row["value"], place), words, (0, 6), "center", "bottom")
        panel.axvline(0.5, color=GREY, linestyle=":", zorder=0)
        panel.set_yticks(range(len(names)), names if panel is panels[0] else [], fontsize=10)
        panel.set(ylim=(len(names) - 0.5, -0.75), xlim=_unit_range(table))
        panel.set_xlabel(WORDS[AUROC])
        panel.set_title(_said(mode), loc="left", fontsize=10)
    panels[0].set_ylabel("label texts")
    key(figure, _intervals())
    return figure


def leak(table: pd.DataFrame) -> "Figure":
    """What a model answers that is given axis tokens at the test: a row a way of teaching.

    table: with taught (where the tokens were in training), seen (what is given at the test), value,
    low, high. What was not tried may be absent.
    """
    table = numbered(table)
    rows = list(dict.fromkeys(table["taught"]))
    looks = {name: look for name, look in _SEEN.items() if name in set(table["seen"])}
    figure, (panel,) = canvas(10, 1.5 + 0.72 * len(rows))
    _dots(panel, table, ("taught", rows), ("seen", looks), size=9, written=True)
    panel.axvline(0.5, color=GREY, linestyle=":", zorder=0)
    panel.set_yticks(range(len(rows)), rows, fontsize=10)
    panel.set(ylabel="axis tokens in training", xlabel=WORDS[AUROC])
    low, high = _unit_range(table)
    panel.set(ylim=(len(rows) - 0.5, -0.5), xlim=(low, high + 0.04))
    panel.hlines(np.arange(1, len(rows)) - 0.5, low, high + 0.04, RULE, linewidth=0.8, zorder=0)
    key(figure, _named(looks), title="given at the test")
    return figure


def flagged(table: pd.DataFrame) -> "Figure":
    """How many healthy children a model of adults calls carriers of each label, by age.

    table: with label, words, band, children, share, low, high (from 0 to 1), and rate, the share of
    healthy adults who are called so. Numbers are bold where the interval does not hold that rate.
    """
    table = numbered(table)
    labels, bands = (list(dict.fromkeys(table[column])) for column in ("label", "band"))
    share, low, high = (
        table.pivot(index="label", columns="band", values=of).loc[labels, bands].to_numpy()
        for of in ("share", "low", "high")
    )  # (labels, bands) each
    rate = float(table["rate"].iloc[0])
    most = max(2 * rate, float(np.nanmax(share, initial=0.0)))
    shade = TwoSlopeNorm(rate, 0, most)
    colours = LinearSegmentedColormap.from_list("flagged", ["#8fbcdc", "#fbfaf7", "#8a3a0c"])
    figure, (panel,) = canvas(10, 2.0 + 0.36 * len(labels))
    panel.set_facecolor(RULE)
    image = panel.imshow(share, cmap=colours, norm=shade, aspect="auto")
    for (row, column), part in np.ndenumerate(share):
        apart = low[row, column] > rate or high[row, column] < rate
        words = f"{100 * part:.0f} %" if part >= 0.005 or part == 0 else "< 1 %"
        look: dict[str, Any] = {"fontweight": "bold" if apart else "normal", "color": INK}
        if np.isnan(part):
            words, look["color"] = "–", GREY
        elif shade(part) > 0.85:  # where white is the easier to read
            look["color"] = "white"
        panel.text(column, row, words, ha="center", va="center", fontsize=9.5, **look)
    outlined(panel, len(labels), len(bands))
    named = table.groupby("label")["words"].first()
    names = [fill(f"{named[label]} [{label}]", 40) for label in labels]
    panel.set_yticks(range(len(labels)), names, fontsize=8.5)
    _under(panel, bands, table.groupby("band")["children"].max())
    bar = figure.colorbar(image, location="bottom", shrink=0.6, aspect=36, pad=0.02)
    steps = np.arange(1, 11) * (0.1 if most < 0.45 else 0.2)
    least = rate + 0.2 * (most - rate)  # nearer ones would lie on the rate's
    ticks = [0, rate, *(step for step in steps if least <= step <= most)]
    bar.set_ticks(ticks, labels=[f"{100 * tick:.3g} %" for tick in ticks])
    bar.set_label(
        f"healthy children called carriers; white is {100 * rate:.3g} %, as of healthy adults\n"
        f"bold: the interval over patients leaves out {100 * rate:.3g} %"
    )
    return figure


def _modes(column: pd.Series) -> list[str]:
    """From no child to all children; what is no number comes last but for all."""
    order = {mode: int(mode) if mode.isdigit() else 10**9 + (mode == _ALL) for mode in column}
    return sorted(order, key=order.__getitem__)


def _said(mode: str) -> str:
    several = f"{mode} shots" if mode.isdigit() else mode
    return {_NONE: "no child taught", _ALL: "all children taught"}.get(mode, several)


def _shots(mode: str, recordings: float) -> str:
    if mode == _NONE:
        return "0\nno child"
    return mode if np.isnan(recordings) else f"{mode}\n{recordings:,.0f} recordings"


def _count(number: float) -> str:
    return "–" if np.isnan(number) else f"{number:,.0f}"


def _of_modes(modes: Sequence[str]) -> Looks:
    """A colour and a marker's look for each mode, hollow for no child."""
    few = [mode for mode in modes if mode not in (_NONE, _ALL)]
    looks: Looks = {_NONE: (OURS, {"marker": "o", **HOLLOW})}
    looks[_ALL] = (INK, {"marker": "D", **EDGED})
    for number, mode in enumerate(few):
        colour, marker = _FEW[min(number, 2)] if len(few) > 1 else (SOUND, "s")
        looks[mode] = (colour, {"marker": marker, **EDGED})
    return {mode: looks[mode] for mode in modes}


def _of_methods(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each method; one that is not known takes what is left."""
    free = iter([look for name, look in _METHODS.items() if name not in methods])
    return {name: _METHODS.get(name) or next(free, (GREY, "X")) for name in methods}


def _shift(number: int, several: int, room: float = 0.7) -> float:
    """Where one of several stands beside the others, as a part of a row or a category."""
    return (number - (several - 1) / 2) * min(0.26, room / max(several - 1, 1))


def _dots(
    panel: "Axes",
    table: pd.DataFrame,
    rows: tuple[str, Sequence[str]],
    looks: tuple[str, Looks],
    size: float,
    written: bool = False,
) -> None:
    """Lines of dots with whiskers. rows and looks: the column, and what stands in it."""
    for number, (name, (colour, look)) in enumerate(looks[1].items()):
        part = table[table[looks[0]] == name].set_index(rows[0]).reindex(rows[1])
        places = np.arange(len(rows[1])) + _shift(number, len(looks[1]))
        panel.hlines(places, part["low"], part["high"], color=colour, linewidth=1.5)
        panel.plot(part["value"], places, color=colour, linestyle="", markersize=size, **look)
        if written:
            for end, value, place in zip(part["high"], part["value"], places, strict=True):
                note(panel, (end, place), f"{value:.3f}", (6, 0), "left", "center")


def _unit_range(table: pd.DataFrame) -> tuple[float, float]:
    """From the least that is drawn, and 0.45 at most, to a little over 1."""
    return min(0.45, np.floor(20 * table[["value", "low"]].min().min() - 0.2) / 20), 1.01


def _named(looks: Looks) -> list[Line2D]:
    """A dot for the key of each of these, and what the whiskers are."""
    dots = [
        Line2D([], [], color=colour, linestyle="", markersize=7, label=_said(name), **look)
        for name, (colour, look) in looks.items()
    ]
    return [*dots, Line2D([], [], color=GREY, linewidth=1.5, label=_WHISKER)]


def _intervals() -> list[Line2D]:
    """For the key: what the thin and the thick lines are."""
    thick = Line2D([], [], color=INK, linewidth=9, alpha=0.3, label=_SPREAD)
    return [Line2D([], [], color=INK, linewidth=1.2, label=_WHISKER), thick]
