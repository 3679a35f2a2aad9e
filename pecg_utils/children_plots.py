"""The pictures of how a child's ECG differs from an adult's, of what `children` gives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils import children
from pecg_utils.children import ADULT, ADULT_BANDS, AFTER, BANDS, BEFORE, Typical
from pecg_utils.errors import PecgError
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas, paper_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHILD, _GROWN = OURS, SOUND
_YEAR = 365.25  # days
_YOUNGEST, _OLDEST = 3.0, 95 * _YEAR  # days: the ends of the scale
_TICKS = {
    **{7: "1 week", 30: "1 month", _YEAR: "1 year", 3 * _YEAR: "3", 8 * _YEAR: "8"},
    **{18 * _YEAR: "18", 40 * _YEAR: "40", 80 * _YEAR: "80"},
}
_PANELS = {  # what is drawn, how it is called, and where its thin line is
    "rate": ("heart rate (1/min)", None),
    "axis": ("frontal QRS axis (degrees)", 0.0),
    "ratio_v1": ("R over S in V1", 1.0),
    "t_v1": ("T in V1 (mV)", 0.0),
}
_ROWS = ("V1", "V6")
_MOST = 5  # bands side by side
_LABEL = {"facecolor": "white", "linewidth": 0, "pad": 2}
_SQUARE = 5  # mm, of a large square of the paper


def by_age(table: pd.DataFrame) -> "Figure":
    """Rate, axis, R over S and T in V1 against age on a logarithmic scale; adults at the right.

    table: as `children.measured` gives it, of one dataset or several. A dot a recording; a line and
    a box for each band of age, the median and the middle half. Younger than three days is drawn at
    three days, and an axis of less than -90 degrees as one of more than 180.

    Raises PecgError when no recording of known age was measured.
    """
    known = table[table["age_days"].notna() & table["rate"].notna()]
    if known.empty:
        raise PecgError(
            f"None of {len(table)} recordings has both an age and a beat that could be measured, "
            "so that nothing can be drawn by age; give others."
        )
    known = known.assign(ratio_v1=children.ratio(known), axis=_from_minus_90(known["axis"]))
    bands = children.by_age(table)
    figure, axes = canvas(8, 6.4, 2, 2)
    figure.set_layout_engine("constrained", h_pad=0.07, w_pad=0.07)
    is_adult = known["age_days"] >= ADULT
    both = {"children": (known[~is_adult], _CHILD), "adults": (known[is_adult], _GROWN)}
    kinds = {kind: (part, colour) for kind, (part, colour) in both.items() if len(part)}
    youngest = list(BANDS)[children.band_numbers(known["age_days"]).min()]
    ends = (_days(youngest)[0], _OLDEST)
    for axis, (name, (words, line)) in zip(axes, _PANELS.items(), strict=True):
        if line is not None:
            axis.axhline(line, color=GREY, linewidth=0.6, zorder=0)
        for part, colour in kinds.values():
            ages = part["age_days"].clip(lower=_YOUNGEST)
            axis.plot(ages, part[name], ".", color=colour, alpha=0.45, markersize=5, mew=0)
        for row in bands.itertuples():
            values = [float(getattr(row, name + end)) for end in ("", "_low", "_high")]
            moved = _from_minus_90(values[0]) - values[0] if name == "axis" else 0.0
            _box(axis, str(row.band), [value + moved for value in values])
        axis.set(xscale="log", xlim=ends)
        axis.set_xticks([], minor=True)
        ticks = {at: words for at, words in _TICKS.items() if at >= ends[0]}
        axis.set_xticks(list(ticks), list(ticks.values()))
        axis.tick_params(labelsize=8)
        axis.set_title(words, loc="left", fontsize=10, color=INK)
    _scales(dict(zip(_PANELS, axes, strict=True)))
    for axis in axes[2:]:
        axis.set_xlabel("age (years, logarithmic)", fontsize=9)
    _legend(figure, {kind: (len(part), colour) for kind, (part, colour) in kinds.items()})
    return figure


def typical_beats(found: Mapping[str, Typical]) -> "Figure":
    """The typical beat in V1 and V6 of up to five bands of age, from the youngest, on ECG paper.

    found: as `children.beats` gives it, of one dataset or of several joined; of more than five
    bands five are drawn, spread evenly from the first to the last. A small square is 0.04 s and
    0.1 mV in every panel. Raises PecgError when there is none.
    """
    bands = [band for band in BANDS if band in found]
    if not bands:
        raise PecgError("No band of age has a typical beat, so that none can be drawn; give more.")
    chosen = np.unique(np.linspace(0, len(bands) - 1, min(_MOST, len(bands))).round().astype(int))
    bands = [bands[number] for number in chosen]
    wide = round((BEFORE + AFTER) * 25)  # mm
    spans = [_span([found[band].leads.get(lead, np.zeros(1)) for band in bands]) for lead in _ROWS]
    high = sum(top - bottom for bottom, top in spans)
    scale = 7.6 / max(wide * len(bands), 4 * wide)  # inches a mm
    figure, axes = canvas(8, high * scale + 0.8, 2, len(bands))
    figure.set_layout_engine("constrained", h_pad=0.05, w_pad=0.04, wspace=0, hspace=0)
    grid = axes[0].get_gridspec()
    assert grid is not None
    grid.set_height_ratios([top - bottom for bottom, top in spans])
    for number, band in enumerate(bands):
        typical = found[band]
        colour = _GROWN if band in ADULT_BANDS else _CHILD
        for row, (lead, (bottom, top)) in enumerate(zip(_ROWS, spans, strict=True)):
            axis = axes[row * len(bands) + number]
            paper_grid(axis, wide, top - bottom)
            axis.set_aspect("equal")
            if number == 0:
                axis.set_ylabel(lead, rotation=0, ha="right", va="center", color=INK)
            if lead not in typical.leads:
                words = axis.text(wide / 2, (top - bottom) / 2, "not recorded", bbox=_LABEL)
                words.set(color=GREY, ha="center", va="center", fontsize=9)
                continue
            x, y = (typical.seconds + BEFORE) * 25, typical.leads[lead] * 10 - bottom
            axis.plot(x, y, color=colour, linewidth=1.6)
        many = f"{band}\n{typical.recordings} recordings"
        axes[number].set_title(many, fontsize=9, color=colour)
    figure.supxlabel("a small square: 0.04 s, 0.1 mV", fontsize=9, color=GREY)
    return figure


def _from_minus_90(degrees: Any) -> Any:
    """The same directions in (-90, 270]: few axes are near where that begins."""
    return 270 - (270 - degrees) % 360


def _days(band: str) -> tuple[float, float]:
    """Where a band of age begins and ends on the scale."""
    place = list(BANDS).index(band)
    ends = [_YOUNGEST, *BANDS.values()]
    return ends[place], min(ends[place + 1], _OLDEST)


def _box(axis: "Axes", band: str, values: list[float]) -> None:
    """The median and quartiles of a band, from its first day to its last."""
    middle, low, high = values
    days, colour = _days(band), _GROWN if band in ADULT_BANDS else _CHILD
    axis.fill_between(days, low, high, color=colour, alpha=0.22, linewidth=0)
    axis.hlines(middle, *days, color=colour, linewidth=2.2, zorder=3)


def _scales(axes: "Mapping[str, Axes]") -> None:
    """The scale of each panel's values."""
    words = {-90: "up −90", 0: "left 0", 90: "down 90", 180: "right 180", 270: "up 270"}
    axes["axis"].set_ylim(-90, 270)
    axes["axis"].set_yticks(list(words), list(words.values()))
    axes["ratio_v1"].set_yscale("log")
    axes["ratio_v1"].set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    axes["ratio_v1"].set_yticks([], minor=True)


def _legend(figure: "Figure", kinds: Mapping[str, tuple[int, str]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dots: dict[str, Any] = {"linewidth": 0, "marker": "."}
    marks: list[Any] = [
        Line2D([], [], color=colour, label=f"{kind}: {count:,} recordings", **dots)
        for kind, (count, colour) in kinds.items()
    ]
    marks.append(Line2D([], [], color=GREY, linewidth=2.2, label="median of an age band"))
    marks.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="its middle half"))
    place: dict[str, Any] = {"loc": "outside lower center", "ncols": len(marks)}
    figure.legend(handles=marks, frameon=False, fontsize=9, **place)


def _span(traces: list[children.Floats]) -> tuple[int, int]:
    """The lowest and highest mm that some beats (T,) in mV need, in whole large squares."""
    every = np.concatenate(traces) * 10
    low, high = float(np.nanmin(every)) - 1, float(np.nanmax(every)) + 1
    return int(np.floor(low / _SQUARE)) * _SQUARE, int(np.ceil(high / _SQUARE)) * _SQUARE
