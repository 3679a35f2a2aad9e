"""The pictures of the PhysioNet/CinC Challenge: its metric, its sites, and a site left out."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils.challenge_score import NORMAL
from pecg_utils.data.recording import Dataset
from pecg_utils.data.recording import sites as places
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas, outlined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = "cividis"  # one lightness to each value, also for colour-blind readers and in grey
_NO_LABEL = "no scored class"


def weights(table: pd.DataFrame, words: Mapping[str, str] | None = None) -> "Figure":
    """What each answer (column) earns where each class (row) is true, as a heat map.

    table: as `challenge_score.weights` gives it; the classes are sorted by what the answer 'sinus
    rhythm' earns. words: class -> words, as a dataset's label_names.
    """
    order = table[NORMAL].sort_values(ascending=False, kind="stable").index
    values = table.loc[order, order].to_numpy(np.float64)  # (C, C)
    right = np.eye(len(order), dtype=bool)
    figure, (panel,) = canvas(10, 7.4)
    wrong = np.where(right, np.nan, values)
    image = panel.imshow(wrong, cmap=_COLOURS, aspect="auto")
    for place, value in enumerate(values[right]):
        panel.text(place, place, f"{value:g}", ha="center", va="center", fontsize=8, color=INK)
    places = range(len(order))
    panel.set_xticks(places, order, rotation=90, fontsize=8)
    panel.set_yticks(places, [_named(name, words) for name in order], fontsize=7.5)
    panel.set(xlabel="the answer", ylabel="the truth")
    outlined(panel, len(order))
    figure.colorbar(image, shrink=0.6, pad=0.02).set_label("what a wrong answer earns")
    low, high = np.nanmin(wrong), np.nanmax(wrong)
    panel.set_title(f"wrong answers earn {low:g} to {high:g}", loc="left", fontsize=11)
    return figure


def thresholds(chosen: pd.Series, scores: pd.DataFrame) -> "Figure":
    """The threshold of each class, and the score at three sets of thresholds.

    chosen: class -> threshold, inf for a class that is never answered, on the validation side.
    scores: one row a set, with name and value, and low and high where there is an interval. The
    last row is the one that was chosen on the test side itself: it is hatched, for it is no result.
    """
    figure, (dots, bars) = canvas(10, 1.2 + 0.22 * len(chosen), 1, 2)
    ordered = chosen.sort_values(ascending=False)
    places = np.arange(len(ordered))[::-1]
    never = np.isinf(ordered.to_numpy(np.float64))  # (C,)
    drawn = np.where(never, 1.0, ordered)
    dots.hlines(places, drawn, 0.5, color=GREY, linewidth=1)
    dots.plot(drawn[~never], places[~never], "o", color=SOUND, markersize=5)
    for place in places[never]:  # drawn at the edge, as the axis has no place for it
        dots.plot(1.0, place, ">", color=OURS, markersize=6, clip_on=False)
        words: dict[str, Any] = {"fontsize": 8, "color": OURS, "ha": "right", "va": "center"}
        words["bbox"] = {"facecolor": "white", "linewidth": 0, "pad": 1}
        dots.text(0.97, place, "never answered", **words)
    dots.axvline(0.5, color=INK, linestyle=":")
    dots.set_yticks(places, ordered.index, fontsize=8)
    dots.set(xlim=(0, 1), ylim=(-0.7, len(ordered) - 0.3), xlabel="threshold")
    below = int((ordered < 0.5).sum())
    dots.set_title(f"{below} of {len(ordered)} classes below 0.5", loc="left", fontsize=11)
    _bars(bars, scores)
    return figure


def _bars(bars: "Axes", scores: pd.DataFrame) -> None:
    rows = np.arange(len(scores))[::-1]
    colours = [GREY, *[SOUND] * (len(scores) - 2), "white"]
    drawn_bars = bars.barh(rows, scores["value"], color=colours, height=0.4)
    drawn_bars[-1].set(hatch="////", edgecolor=GREY)
    for row, (_, score) in zip(rows, scores.iterrows(), strict=True):
        low, high = (float(score.get(end, np.nan)) for end in ("low", "high"))
        bars.hlines(row, low, high, color=INK, linewidth=1.5)
        right = max([0.0, *(v for v in (score["value"], high) if np.isfinite(v))])
        where: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
        bars.annotate(f"{score['value']:.3f}", (right, row), **where, fontsize=9)
    names = [textwrap.fill(str(name), 20) for name in scores["name"]]
    bars.set_yticks(rows, names, fontsize=9)
    bars.axvline(0, color=INK, linewidth=0.8)
    reach = scores.reindex(columns=["value", "low", "high"]).to_numpy(np.float64)
    low, high = min(0.0, np.nanmin(reach)), max(0.0, np.nanmax(reach))
    bars.set(xlim=(1.05 * low, high + 0.2 * (high - low)), ylim=(-0.7, len(scores) - 0.3))
    bars.set_xlabel("Challenge score")
    bars.set_title("on the test side", loc="left", fontsize=11)


def sites(dataset: Dataset) -> "Figure":
    """How many recordings of each class each site has, as a heat map with the counts.

    A site is the table's column `site`, or where it has none `source`. An empty cell is none. The
    sites with most recordings stand on the left, the commonest classes on top.
    """
    from matplotlib.colors import LogNorm

    where = places(dataset.table).astype(str)
    recordings = where.value_counts()
    labels = dataset.labels.assign(**{_NO_LABEL: ~dataset.labels.any(axis=1).to_numpy()})
    counts = labels.groupby(where.to_numpy()).sum().T[list(recordings.index)]  # (C + 1, sites)
    order = dataset.labels.sum().sort_values(ascending=False, kind="stable").index
    counts = counts.loc[[*order, _NO_LABEL]]
    values = counts.to_numpy(np.float64)
    figure, (panel,) = canvas(10, 1.6 + 0.245 * len(counts))
    shown = np.where(values > 0, values, np.nan)
    norm = LogNorm(1, max(2.0, values.max()))
    image = panel.imshow(shown, cmap=_COLOURS, norm=norm, aspect="auto")
    for (row, col), count in np.ndenumerate(values):
        if count:
            colour = "white" if norm(count) < 0.55 else INK
            words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
            panel.text(col, row, f"{count:,.0f}", color=colour, **words)
    names = [_named(name, dataset.label_names) for name in counts.index]
    panel.set_yticks(range(len(names)), names, fontsize=7.5)
    wrapped = [textwrap.fill(str(site).replace("_", " "), 11) for site in recordings.index]
    heads = [f"{site}\n{n:,}" for site, n in zip(wrapped, recordings, strict=True)]
    panel.set_xticks(range(len(heads)), heads, fontsize=8)
    panel.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    panel.set_xlabel(f"{where.name}, and its recordings")
    outlined(panel, len(counts), len(recordings))
    bar = figure.colorbar(image, shrink=0.5, pad=0.02)
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000, 10_000) if tick <= values.max()]
    bar.set_ticks(ticks or [1], labels=[f"{tick:,}" for tick in ticks or [1]], minor=False)
    bar.ax.minorticks_off()
    bar.set_label("recordings of the class")
    return figure


def paired(
    rows: pd.DataFrame, metric: str = "Challenge score", chance: float = 0.0, last: str = ""
) -> "Figure":
    """Two protocols on the same sites: a dot and an interval each, sorted by the second.

    rows: with site, recordings, protocol, value, low, high. The protocol that comes first is drawn
    in orange (all sites in training), the other in blue (the site left out). chance: where the
    dotted line stands. last: the site that stands at the bottom whatever its value, as all of them
    together. Raises ValueError for more than two protocols.
    """
    protocols = list(dict.fromkeys(rows["protocol"]))
    if len(protocols) > 2:
        raise ValueError(f"there are {len(protocols)} protocols; two can be paired")
    by = [rows[rows["protocol"] == protocol].set_index("site") for protocol in protocols]
    counts = rows.drop_duplicates("site").set_index("site")["recordings"]
    order = list(
        by[-1].reindex(counts.index)["value"].sort_values(kind="stable", na_position="first").index
    )
    order = [site for site in order if site == last] + [site for site in order if site != last]
    places = np.arange(len(order))  # the highest on top
    figure, (panel,) = canvas(10, 1.4 + 0.55 * len(order))
    values = [part.reindex(order)["value"].to_numpy(np.float64) for part in by]
    if len(by) == 2:
        for place, first, second in zip(places, *values, strict=True):
            panel.plot([first, second], [place + 0.14, place - 0.14], color=GREY, linewidth=0.8)
    for part, value, colour, shift in zip(by, values, (OURS, SOUND), (0.14, -0.14), strict=False):
        part = part.reindex(order)
        panel.hlines(places + shift, part["low"], part["high"], color=colour, linewidth=2)
        name = str(part["protocol"].dropna().iloc[0])
        marker = "o" if colour == OURS else "s"
        panel.plot(value, places + shift, marker, color=colour, label=name)
    heads = [f"{site}\nn = {counts[site]:,}" for site in order]
    panel.set_yticks(places, heads, fontsize=8.5)
    panel.axvline(chance, color=GREY, linestyle=":")
    panel.set(ylim=(-0.6, len(order) - 0.4), xlabel=metric)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    return figure


def _named(name: str, words: Mapping[str, str] | None) -> str:
    """`sinus rhythm [NSR]`: of classes that are scored as one, the words of the first."""
    if words is None or name not in words:
        return name
    return f"{words[name].split(' or ')[0]} [{name}]"
