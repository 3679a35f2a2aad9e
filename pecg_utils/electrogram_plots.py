"""The pictures of surface ECG and electrograms on one time axis, and of what lies between them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils.data.leipzig import LABELS
from pecg_utils.electrograms import CS, LEAD_IN, SECONDS, SURFACE, Stretch
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 1.5  # rows between surface and electrograms, where the intervals stand
_LIMIT = 70.0  # ms: an AVNRT's VA is shorter, an accessory pathway's is not (textbooks)
_LOOSE = 40.0  # ms between the VA of two beats, from which they have no fixed interval


def beats(examples: Sequence[Stretch]) -> "Figure":
    """A panel a rhythm: surface leads above, electrograms below, each at a gain of its own.

    Dotted: the QRS onsets. Orange: the activations of the atria along the coronary sinus. The
    arrows are the intervals between them, AV in sinus rhythm and VA in the others. examples: as
    `electrograms.examples` gives them; without any, that is what the figure says.
    """
    if not examples:
        return _none()
    columns = min(2, len(examples))
    rows = -(-len(examples) // columns)
    figure, panels = canvas(10, 0.6 + 4.3 * rows, rows, columns)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.08)
    for panel, stretch in zip(panels, examples, strict=False):
        _draw(panel, stretch)
    for panel in panels[len(examples) :]:
        panel.remove()
    lines: list[Any] = [
        panels[0].plot([], [], color=GREY, linestyle=":", label="QRS onset")[0],
        panels[0].plot([], [], color=OURS, linewidth=4.5, alpha=0.4, label="the atrium's burst")[0],
    ]
    lines.append(panels[0].plot([], [], color=SOUND, label="channel in the coronary sinus")[0])
    figure.legend(handles=lines, frameon=False, loc="outside lower center", ncols=3, fontsize=10)
    return figure


def _draw(axis: "Axes", stretch: Stretch) -> None:
    begin = float(stretch.beats["onset"].iloc[0])
    at = 1000 * (np.arange(len(stretch.signal)) / stretch.fs - begin)  # (T,) ms
    places: dict[str, float] = {}
    for place, lead in enumerate(stretch.leads):
        places[lead] = -place - (0.0 if lead in SURFACE else _GAP)
        trace = stretch.signal[:, place]
        low, high = float(np.nanmin(trace)), float(np.nanmax(trace))
        zero = (low + high) / 2 if lead in SURFACE else float(np.nanmedian(trace))
        trace = (trace - zero) * 0.46 / max(high - zero, zero - low, 1e-3)  # of one row
        colour = SOUND if lead in CS else INK
        axis.plot(at, trace + places[lead], color=colour, linewidth=0.9)
    between = 1 - len(SURFACE) - (1 + _GAP) / 2 - 0.15
    lowest = min(places.values()) - 0.7
    for onset in 1000 * (stretch.beats["onset"] - begin):
        axis.vlines(onset, lowest, 0.6, color=GREY, linestyle=":", linewidth=1.2, zorder=0)
    seen = [lead for lead in CS if lead in places]
    rows = np.array([places[lead] for lead in seen])
    for activation in 1000 * (stretch.atria[seen].to_numpy(np.float64) - begin):  # (leads,) ms
        there = np.isfinite(activation)
        axis.plot(activation[there], rows[there], color=OURS, linewidth=1.0, zorder=1)
        ends = rows[there] - 0.42, rows[there] + 0.42
        axis.vlines(activation[there], *ends, color=OURS, linewidth=4.5, alpha=0.4, zorder=1)
    name = "AV" if stretch.rhythm == "N" else "VA"
    _arrows(axis, stretch, name, between, places)
    axis.set_yticks([*places.values(), between], [*places, name], fontsize=10)
    for text in axis.get_yticklabels():
        lead = text.get_text()
        text.set_color(SOUND if lead in CS else OURS if lead == name else INK)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=10)
    axis.spines["left"].set_visible(False)
    axis.set(xlim=(-1000 * LEAD_IN, 1000 * (SECONDS - LEAD_IN)), ylim=(lowest, 0.75))
    axis.set_xlabel("ms from the first QRS onset", fontsize=10)
    words = LABELS.get(stretch.rhythm, stretch.rhythm)
    axis.set_title(f"{words}\n", loc="left", fontsize=12, color=INK)
    about: dict[str, Any] = {"fontsize": 10, "color": INK, "va": "bottom"}
    axis.annotate(reading(stretch), (0, 1), (0, 6), "axes fraction", "offset points", **about)


def _arrows(
    axis: "Axes", stretch: Stretch, name: str, height: float, places: dict[str, float]
) -> None:
    begin = float(stretch.beats["onset"].iloc[0])
    left, right = -1000 * LEAD_IN, 1000 * (SECONDS - LEAD_IN)
    head = "-|>,head_width=0.18,head_length=0.3"
    style = {"arrowstyle": head, "color": OURS, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    about: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10, "color": OURS}
    about["bbox"] = {"facecolor": "white", "linewidth": 0, "pad": 0.8}
    for _, beat in stretch.beats.iterrows():
        interval, onset = float(beat[name.lower()]), 1000 * (float(beat["onset"]) - begin)
        atrium = onset + (interval if name == "VA" else -interval)
        if not left <= atrium <= right:  # NaN, or beyond the edge
            continue
        ends = (onset, atrium) if name == "VA" else (atrium, onset)
        axis.annotate("", (ends[1], height), (ends[0], height), arrowprops=style)
        words = f"{interval:.0f} ms"
        axis.text((onset + atrium) / 2, height + 0.2, words, **about)
        times = beat[[lead for lead in CS if lead in places]].astype(float)
        if times.notna().any():  # down to the burst that it is measured to
            end = places[str(times.idxmin())]
            axis.vlines(atrium, end, height, color=OURS, linewidth=1.0, zorder=1)


def reading(stretch: Stretch) -> str:
    """What a stretch shows, in a line: `x004: atria 57 ms after the QRS onset, CS90 first`."""
    name = "av" if stretch.rhythm == "N" else "va"
    found = stretch.beats[name].to_numpy(np.float64)
    there = found[np.isfinite(found)]
    if not len(there):
        return f"{stretch.recording}: no activation of the atria is seen"
    missed = not np.isfinite(found[:-1]).all()
    if missed or there.max() - there.min() > _LOOSE:
        return f"{stretch.recording}: the atria keep no interval to the QRS"
    side = "before" if name == "av" else "after"
    ends = set(stretch.beats["first"]) - {""}
    end = f", {ends.pop()} first" if len(ends) == 1 else ""
    return f"{stretch.recording}: atria {np.median(there):.0f} ms {side} the QRS onset{end}"


def _none() -> "Figure":
    figure, (panel,) = canvas(10, 0.8)
    panel.set_axis_off()
    panel.text(0.5, 0.5, "These recordings have no electrograms.", ha="center", color=INK)
    return figure


def intervals(table: pd.DataFrame) -> "Figure":
    """VA by rhythm: a dot a patient, its line the middle half of the patient's beats.

    table: as `electrograms.intervals` gives it. Sinus rhythm, where the atria come before the
    ventricles, and rows without VA are left out. The dotted line is at 70 ms.
    """
    shown = table[(table["rhythm"] != "N") & table["va"].notna()]
    if shown.empty:
        return _none()
    rhythms = list(dict.fromkeys(shown["rhythm"]))
    figure, (panel,) = canvas(10, 1.4 + 0.13 * len(shown) + 0.2 * len(rhythms))
    place, middles = 0.0, []
    for rhythm in rhythms:
        part = shown[shown["rhythm"] == rhythm].sort_values("va", kind="stable")
        at = place - np.arange(len(part))
        middles.append(float(at.mean()))
        place = at[-1] - 2.5
        panel.hlines(at, part["va_low"], part["va_high"], color=GREY, linewidth=1.2)
        for first, colour, marker in (("CS90", SOUND, "o"), ("CS12", OURS, "D"), ("", GREY, "s")):
            mine = (part["first"] == first).to_numpy()
            if mine.any():
                panel.plot(part["va"][mine], at[mine], marker, color=colour, markersize=5)
    panel.axvline(_LIMIT, color=GREY, linestyle=":", zorder=0)
    panel.annotate(
        "70 ms",
        (_LIMIT, 1),
        (4, 0),
        panel.get_xaxis_transform(),
        "offset points",
        fontsize=9,
        color=INK,
        va="top",
    )
    heads = []
    for rhythm in rhythms:
        count = int((shown["rhythm"] == rhythm).sum())
        heads.append(f"{rhythm}\n{count} {'patient' if count == 1 else 'patients'}")
    panel.set_yticks(middles, heads, fontsize=10)
    panel.tick_params(axis="y", length=0)
    panel.set(ylim=(place + 1.2, 1.5), xlabel="VA: from the QRS onset to the earliest atrium (ms)")
    _key(panel, set(shown["first"]))
    return figure


def _key(panel: "Axes", firsts: set[str]) -> None:
    words = {"CS90": "CS90 first: septum, right side", "CS12": "CS12 first: left side"}
    for first, colour, marker in (("CS90", SOUND, "o"), ("CS12", OURS, "D")):
        if first in firsts:
            panel.plot([], [], marker, color=colour, markersize=5, label=words[first])
    if firsts & set(words):
        panel.legend(frameon=False, loc="upper right", fontsize=10)
