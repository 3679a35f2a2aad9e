"""The pictures of the filters: what each keeps, one beat through them, and all ST levels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils import filters, st_levels
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, PURPLE = "#2e8b57", "#8a5fb0"
COLOURS = {"as coded": OURS, "as meant": SOUND, "zero-phase": GREEN, "wavelet": PURPLE}
_LINEAR = ("as coded", "as meant", "zero-phase")
_HERTZ = (0.2, 250.0)  # what the picture of the gains spans
_MAINS = 50.0  # Hz, in Europe
_BASELINE, _SEGMENT = "#dfe3e8", "#f6d7bf"
_EDGE = {"ST": 400.0, "T": 1000.0}  # µV, how far the axes of the levels go
_CELLS = 80  # of the picture of the levels, along either axis


def responses(fs: float = 500.0) -> "Figure":
    """The gain of each linear filter over frequency, at `fs` Hz, with the edges of the bands."""
    figure, (panel,) = canvas(10, 3.9)
    hertz = np.geomspace(_HERTZ[0], min(_HERTZ[1], fs / 2), 600)  # (n,)
    for name in _LINEAR:
        gain = 100 * filters.response(name, fs, hertz)
        line = "--" if name == "zero-phase" else "-"
        panel.plot(hertz, gain, line, color=COLOURS[name], linewidth=2.2, label=name)
    times = fs / filters.DESIGNED_FOR
    for names, band in (
        (("as meant", "zero-phase"), filters.BAND),
        (("as coded",), tuple(times * edge for edge in filters.BAND)),
    ):
        for edge in band:
            colour = COLOURS[names[0]]
            panel.axvline(edge, color=colour, linestyle=":", linewidth=1.2, zorder=0)
            about: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10}
            about["xycoords"] = panel.get_xaxis_transform()
            about["textcoords"] = "offset points"
            panel.annotate(f"{edge:g} Hz", (edge, 1), (0, 3), color=colour, **about)
    panel.set(xscale="log", xlim=_HERTZ, ylim=(0, 108), xlabel="frequency (Hz)")
    panel.set_ylabel("what is left of the amplitude (%)")
    panel.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200], minor=False)
    panel.set_xticklabels(["0.2", "0.5", "1", "2", "5", "10", "20", "50", "100", "200"])
    panel.minorticks_off()
    panel.annotate(
        f"the mains' {_MAINS:.0f} Hz",
        (_MAINS, 100 * filters.response("as coded", fs, [_MAINS])[0]),
        (14, -40),
        textcoords="offset points",
        fontsize=10,
        color=INK,
        arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.8},
    )
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=10)
    return figure


def one_beat(beat: st_levels.Beat) -> "Figure":
    """A beat as it is, in grey, and through each filter, in panels of the same axes.

    Shaded: the spans of the baseline and of the ST level. All traces are moved up or down so that
    their baseline is zero. beat: as `st_levels.one_beat` gives it, "none" among its filters.
    """
    names = [name for name in beat.traces if name != "none"]
    rows = -(-len(names) // 2)
    figure, panels = canvas(10, 0.5 + 2.7 * rows, rows, 2)
    zeroed = {name: trace - _baseline(beat, trace) for name, trace in beat.traces.items()}
    highest = max(float(trace.max()) for trace in zeroed.values())
    lowest = min(float(trace.min()) for trace in zeroed.values())
    room = 0.06 * (highest - lowest)
    for place, (panel, name) in enumerate(zip(panels, names, strict=False)):
        panel.axvspan(*beat.baseline, color=_BASELINE, linewidth=0, zorder=0)
        panel.axvspan(*beat.segment, color=_SEGMENT, linewidth=0, zorder=0)
        panel.axhline(0, color=GREY, linewidth=0.6, zorder=1)
        panel.plot(
            beat.at,
            zeroed["none"],
            color=GREY,
            linewidth=1.6,
            label=f"recording {beat.record}, {beat.lead}, as it is",
        )
        panel.plot(beat.at, zeroed[name], color=COLOURS[name], linewidth=1.8, label=name)
        panel.set(xlim=(beat.at[0], beat.at[-1]), ylim=(lowest - room, highest + room))
        before, after = (_signed(beat.levels[each]) for each in ("none", name))
        panel.set_title(
            f"{name}: ST {before} → {after} µV", loc="left", fontsize=11, color=COLOURS[name]
        )
        if place % 2 == 0:
            panel.set_ylabel("mV from the baseline")
        else:
            panel.tick_params(labelleft=False)
        if place >= len(names) - 2:
            panel.set_xlabel("ms from the QRS onset")
        else:
            panel.tick_params(labelbottom=False)
    for panel in panels[len(names) :]:
        panel.remove()
    _spans(panels[0])
    lines, words = panels[0].get_legend_handles_labels()
    shown = [(line, word) for line, word in zip(lines, words, strict=True) if word not in names]
    figure.legend(*zip(*shown, strict=True), frameon=False, loc="outside lower center", ncols=3)
    return figure


def _spans(panel: "Axes") -> None:
    for colour, word in ((_BASELINE, "baseline"), (_SEGMENT, "ST level")):
        panel.fill_between([], [], color=colour, linewidth=0, label=word)


def _baseline(beat: st_levels.Beat, trace: st_levels.Floats) -> float:
    low, high = beat.baseline
    return float(trace[(beat.at >= low) & (beat.at < high)].mean())


def _signed(microvolts: float) -> str:
    rounded = round(microvolts)
    return f"−{-rounded}" if rounded < 0 else f"+{rounded}" if rounded else "0"


def levels(table: pd.DataFrame, wave: str = "ST", names: Sequence[str] = ()) -> "Figure":
    """Each filter's levels over those without it, in µV: a panel a filter, darker where more are.

    On the dotted line a filter changes nothing. In the boxes lie the deviations that vanish, and
    beside them how many of all deviations these are. Levels beyond the axes lie on their edge.
    table: as `st_levels.levels` gives it. names: the filters; all but "none" where none is given.
    """
    part = table[table["wave"] == wave]
    shown = list(names) or [name for name in dict.fromkeys(part["filter"]) if name != "none"]
    figure, panels = canvas(10, 3.15, 1, len(shown))
    edges = np.linspace(-_EDGE[wave], _EDGE[wave], _CELLS + 1)
    given = {name: part[part["filter"] == name] for name in shown}
    counts = {name: _counted(rows, edges) for name, rows in given.items()}
    most = max(float(count.max()) for count in counts.values())
    for panel, name in zip(panels, shown, strict=True):
        _cloud(panel, edges, counts[name], most, COLOURS[name])
        _vanishing(panel, given[name], edges[-1])
        r = given[name]["raw_uv"].corr(given[name]["uv"])
        words = f"{name}\nr = {r:.2f}".replace("= -", "= −")
        panel.set_title(words, fontsize=11, color=COLOURS[name])
        if panel is not panels[0]:
            panel.tick_params(labelleft=False)
    panels[0].set_ylabel(f"{wave} with the filter (µV)")
    figure.supxlabel(f"{wave} without a filter (µV)", fontsize=10)
    return figure


def _counted(rows: pd.DataFrame, edges: st_levels.Floats) -> st_levels.Floats:
    """How many levels lie in each cell, (without the filter, with it)."""
    x, y = (rows[name].clip(edges[0], edges[-1]).to_numpy() for name in ("raw_uv", "uv"))
    return np.asarray(np.histogram2d(x, y, bins=[edges, edges])[0])


def _cloud(
    panel: "Axes", edges: st_levels.Floats, count: st_levels.Floats, most: float, colour: str
) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    far = edges[-1]
    panel.plot([-far, far], [-far, far], ":", color=INK, linewidth=1, zorder=1)
    panel.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    shade = LinearSegmentedColormap.from_list("", [_BASELINE, colour, "#101820"])
    seen = np.ma.masked_equal(count.T, 0)
    norm = LogNorm(1, max(most, 2))
    panel.pcolormesh(edges, edges, seen, cmap=shade, norm=norm, rasterized=True)
    panel.set(xlim=(-far, far), ylim=(-far, far), aspect="equal")
    ticks, words = [-0.75 * far, 0, 0.75 * far], [f"−{0.75 * far:.0f}", "0", f"+{0.75 * far:.0f}"]
    panel.set_xticks(ticks, words)
    panel.set_yticks(ticks, words)


def _vanishing(panel: "Axes", rows: pd.DataFrame, far: float) -> None:
    from matplotlib.patches import Rectangle

    high, low = st_levels.HIGH, st_levels.LOW
    for left in (-far, high):
        box = Rectangle((left, -low), far - high, 2 * low, fill=False, edgecolor=INK, linewidth=0.9)
        panel.add_patch(box)
    deviating = rows["raw_uv"].abs() >= high
    if deviating.any():
        share = 100 * (rows["uv"][deviating].abs() < low).mean()
        about: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 9, "color": INK}
        panel.text(far * 0.98, -low - 0.14 * far, f"{share:.0f} % vanish", **about)
