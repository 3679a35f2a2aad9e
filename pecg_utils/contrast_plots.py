"""The pictures of a chapter on windows of one class each: who has them, what is taken for what, and
what the contrastive loss of contrastive.py weighs and moves.

A class is its place in `classes`. Arrays are numpy's, or whatever numpy makes an array of.
"""

from collections.abc import Sequence
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.asked import Embedded
from pecg_utils.metrics import WORDS
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas, outlined, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

FEW = 3  # *ours*: a class of so few patients is marked, as a test side can hardly have it
_NONE = "#f2f4f6"  # a cell that stands for nothing
_LOOKS = (  # a colour and a marker a class
    *((SOUND, "o"), (OURS, "s"), ("#2e8b57", "^"), ("#8a5fb0", "D"), (INK, "v")),
    *(("#b8860b", "P"), (GREY, "X"), (SOUND, "<"), (OURS, ">"), ("#2e8b57", "p")),
    *(("#8a5fb0", "h"), (INK, "8"), ("#b8860b", "d")),
)
_MANY = {"child": "children", "adult": "adults"}
_NAMES = {"top1": "top-1 accuracy", "precision": "macro precision", "recall": "macro recall"}
_MIDDLE: dict[str, Any] = {"ha": "center", "va": "center"}


def subjects(table: pd.DataFrame, labels: Flags, classes: Sequence[str]) -> "Figure":
    """How many windows of each class (row) each patient (column) has, as a heat map.

    table: a row a window, with patient, and maybe group (child or adult). labels: (N, C) bool. The
    class that most patients have is on top. Within a group those patients stand on the left who
    have the classes on top. Beside each row: its patients, its windows, and the largest part of
    them that is of one patient; marked is a class of no more than FEW patients.
    """
    from matplotlib.colors import LogNorm

    flags = pd.DataFrame(np.asarray(labels, dtype=int), columns=list(classes))
    counts = flags.groupby(table["patient"].to_numpy()).sum().T  # (C, patients)
    patients = (counts > 0).sum(axis=1)
    counts = counts.loc[patients.sort_values(ascending=False, kind="stable").index]
    counts, spans = _in_groups(counts, table)
    values = counts.to_numpy()  # (C, patients)
    rows, columns = values.shape
    figure, (panel,) = canvas(10, 1.9 + 0.42 * rows)
    highest = max(2, int(values.max()))
    norm = LogNorm(1, highest)
    shown = np.where(values > 0, values, np.nan)
    image = panel.imshow(shown, cmap=shades(), norm=norm, aspect="auto")
    panel.set_facecolor(_NONE)
    wide = 6.4 * 72 / columns  # of a column, in points
    upright = max(len(f"{count:,}") for count in values.ravel()) * 5 > wide
    if wide > 8.5:  # or else neither counts nor names can be read
        for (row, column), count in np.ndenumerate(values):
            if count:
                place = (column, row)
                _in_cell(panel, place, f"{count:,}", norm(count), 8, 90 if upright else 0)
    panel.set_yticks(range(rows), [str(name) for name in counts.index], fontsize=9)
    ends = (46, 96, 158)  # of the words on the right, in points
    _beside(panel, -0.72, ("patients", "windows", "most from\none patient"), ends, va="bottom")
    for row, (of, name) in enumerate(zip(values, panel.get_yticklabels(), strict=True)):
        held = np.count_nonzero(of)
        marked = {"color": OURS, "fontweight": "bold"} if held <= FEW else {}
        name.update(marked)
        most = f"{100 * of.max() / of.sum():.0f} %" if held else "–"
        _beside(panel, row, (f"{held}", f"{of.sum():,}", most), ends, **marked)
    names = counts.columns.astype(str) if wide > 8.5 else [""] * columns
    panel.set_xticks(range(columns), names, rotation=90, fontsize=8)
    outlined(panel, rows, columns)
    for group, first, last in spans:
        panel.plot([first - 0.35, last + 0.35], [-0.68, -0.68], color=INK, clip_on=False)
        number = last - first + 1
        named = f"{number} {_MANY.get(group, group) if number > 1 else group}"
        panel.text((first + last) / 2, -0.8, named, ha="center", va="bottom", fontsize=9)
        if first:
            panel.plot([first - 0.5] * 2, [-0.8, rows - 0.5], color=INK, clip_on=False)
    panel.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    bar = figure.colorbar(image, location="bottom", shrink=0.45, aspect=32, pad=0.03)
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000, 3000) if tick <= highest]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.set_label(f"windows of one patient; bold orange rows: classes of {FEW} patients or fewer")
    return figure


def _in_groups(
    counts: pd.DataFrame, table: pd.DataFrame
) -> tuple[pd.DataFrame, list[tuple[str, int, int]]]:
    """The columns sorted, and of each group its name, its first and its last column."""
    order = pd.DataFrame((counts == 0).T.to_numpy(), index=counts.columns)
    order["windows"] = -counts.sum()
    if "group" not in table:
        return counts[order.sort_values(list(order)).index], []
    group = table.groupby("patient")["group"].first().reindex(counts.columns).fillna("unknown")
    names = [*_MANY, *sorted(set(group) - set(_MANY))]
    order.insert(0, "group", group.map(names.index))
    order = order.sort_values(list(order))
    held = order["group"].to_numpy()
    spans = [
        (names[at], int(np.flatnonzero(held == at)[0]), int(np.flatnonzero(held == at)[-1]))
        for at in dict.fromkeys(held)
    ]
    return counts[order.index], spans


def _beside(
    axis: "Axes", row: float, words: Sequence[str], ends: Sequence[float], **look: Any
) -> None:
    """Words on the right of a row, each flush right at so many points from the panel."""
    look = {"ha": "right", "va": "center", "fontsize": 8.5, "color": INK, **look}
    look.update(xycoords=("axes fraction", "data"), textcoords="offset points")
    for word, end in zip(words, ends, strict=True):
        axis.annotate(word, (1, row), (end, 0), annotation_clip=False, **look)


def _in_cell(
    axis: "Axes", at: tuple[int, int], words: str, part: float, size: float, turned: float = 0
) -> None:
    """Words on a cell (column, row) whose shade is `part` of the way from pale to dark."""
    colour = "white" if part > 0.36 else INK  # where white is the easier to read
    axis.text(*at, words, **_MIDDLE, color=colour, fontsize=size, rotation=turned)


def confusion(matrix: Counts, classes: Sequence[str]) -> "Figure":
    """What the windows of each class (row) are taken for (column): % of the row's windows.

    matrix: (C, C) counts, the truth by the answer. Beside each row its windows. A class without any
    is grey.
    """
    from matplotlib.patches import Rectangle

    matrix = np.asarray(matrix)
    windows = matrix.sum(axis=1)  # (C,)
    share = matrix / np.where(windows > 0, windows, 1)[:, None]  # (C, C)
    figure, (panel,) = canvas(10, 1.3 + 0.46 * len(classes))
    shown = np.where(matrix > 0, share, np.nan)
    panel.imshow(shown, cmap=shades(), vmin=0, vmax=1, aspect="auto")
    for (row, column), part in np.ndenumerate(shown):
        if np.isfinite(part):
            words = f"{100 * part:.0f} %" if part >= 0.005 else "< 1 %"
            _in_cell(panel, (column, row), words, part, 9)
    outlined(panel, len(classes))
    places = range(len(classes))
    panel.set_xticks(places, classes, fontsize=9)
    panel.set_yticks(places, classes, fontsize=9)
    for place, number in enumerate(windows):
        if number:
            _beside(panel, place, (f"{number:,} windows",), (8,), ha="left")
            corner = (place - 0.5, place - 0.5)
            right = Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.6, zorder=3)
            panel.add_patch(right)
            continue
        panel.get_yticklabels()[place].set_color(GREY)
        _beside(panel, place, ("no windows",), (8,), ha="left", color=GREY)
        row = Rectangle((-0.5, place - 0.5), len(classes), 1, linewidth=0, hatch="///")
        row.set(facecolor=_NONE, edgecolor="#c4cad1")
        panel.add_patch(row)
        box = {"facecolor": "white", "linewidth": 0, "pad": 3}
        none = "no window of this class to be judged by"
        panel.text((len(classes) - 1) / 2, place, none, **_MIDDLE, fontsize=9, bbox=box)
    panel.set(xlabel="the answer", ylabel="the truth")
    return figure


def embeddings(
    before: Embedded,
    after: Embedded,
    classes: Sequence[str],
    titles: tuple[str, str] = ("cross-entropy alone", "the whole loss"),
) -> "Figure":
    """The same windows' embeddings under two losses, each on the two axes that show most of them.

    Prototypes are drawn large and by name where they were seen. The axes are the principal
    components of the panel's own embeddings, so that the two panels share none.
    """
    from sklearn.decomposition import PCA

    labels = before.labels
    figure, panels = canvas(10, 5.4, 1, 2)
    sides = [(of.z, of.prototypes, of.seen) for of in (before, after)]
    prototypes = []
    often = np.bincount(labels, minlength=len(classes))  # (K,)
    for panel, title, (z, vectors, seen) in zip(panels, titles, sides, strict=True):
        found = PCA(2, svd_solver="full").fit(np.asarray(z))
        at, places = (found.transform(np.asarray(of)) for of in (z, vectors))  # (n, 2), (K, 2)
        shown = found.explained_variance_ratio_.sum()
        for number in np.argsort(-often, kind="stable"):  # the rare ones on top
            colour, marker = _LOOKS[number % len(_LOOKS)]
            look: dict[str, Any] = {"color": colour, "marker": marker, "label": classes[number]}
            x, y = at[labels == number].T
            panel.scatter(x, y, s=16, alpha=0.45, linewidths=0, **look)
            if seen[number]:
                look.update(markersize=12, markeredgecolor="white", markeredgewidth=1.4, zorder=4)
                panel.plot(*places[number], linestyle="", **look)
        panel.set_title(f"{title}: {100 * shown:.0f} % of the variance", loc="left", fontsize=11)
        unseen = [name for name, there in zip(classes, seen, strict=True) if not there]
        note = f"\n(without a prototype: {', '.join(unseen)})" if unseen else ""
        panel.set(xticks=[], yticks=[], xlabel="first component" + note)
        panel.set_aspect("equal", adjustable="datalim")
        panel.margins(0.12)
        prototypes.append([(classes[n], places[n]) for n in range(len(classes)) if seen[n]])
    panels[0].set_ylabel("second component")
    _key(figure, often, classes)
    figure.draw_without_rendering()  # what is beside what is known once the panels have their sizes
    for panel, names in zip(panels, prototypes, strict=True):
        _named(panel, names, figure.dpi)
    return figure


def _key(figure: "Figure", often: Counts, classes: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for name, number, (colour, marker) in zip(classes, often, cycle(_LOOKS), strict=False):
        look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": ""}
        handles.append(Line2D([], [], markersize=7, label=f"{name} ({number:,})", **look))
    look = {"frameon": False, "fontsize": 9, "columnspacing": 1.2, "handletextpad": 0.2}
    look.update(title="small: windows; large, with a name: the prototype", title_fontsize=9)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(7, len(classes)), **look)


def _named(panel: "Axes", names: "Sequence[tuple[str, Floats]]", dpi: float) -> None:
    """Each name as near to its symbol as no other name or symbol is, with a line to it."""
    from matplotlib.transforms import Bbox

    symbols = [panel.transData.transform(at) for _, at in names]
    taken = [Bbox([middle - 8, middle + 8]) for middle in symbols]
    inside = panel.get_window_extent()
    look: dict[str, Any] = {"fontsize": 9, "zorder": 5, "textcoords": "offset points", **_MIDDLE}
    look["bbox"] = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
    look["arrowprops"] = {"arrowstyle": "-", "color": INK, "linewidth": 0.8, "shrinkB": 7}
    angles = np.deg2rad([0, 180, 90, 270, 45, 135, 225, 315])
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (8, 2)
    for (name, at), symbol in zip(names, symbols, strict=True):
        note = panel.annotate(name, tuple(at), (0, 0), **look)
        half = np.array(note.get_window_extent().size) / 2 + 3  # of the name and some white
        for far, way in product(range(12, 132, 10), ways):
            middle = symbol + way * (far + half)
            place = Bbox([middle - half, middle + half])
            whole = np.all(inside.min <= place.min) and np.all(place.max <= inside.max)
            if whole and not place.count_overlaps(taken):
                taken.append(place)
                right, up = (middle - symbol) * 72 / dpi  # points
                note.set_position((right, up))
                if note.arrow_patch is not None:
                    note.arrow_patch.set_visible(far > 12)
                break


def weights(
    similar: Floats, psi: Floats, phi: Floats, counts: Counts, classes: Sequence[str]
) -> "Figure":
    """What the loss weighs by: how alike the prototypes are, and the weights psi and phi of it.

    similar and psi: (K, K), as `contrastive.similarity` and `hard_classes` give them. phi: (K,), of
    counts (K,) training windows a class. What stands for nothing is grey: the diagonal of psi, and
    the cells of a class without windows.
    """
    similar, psi, phi = (np.asarray(of) for of in (similar, psi, phi))
    none = np.asarray(counts) == 0  # (K,)
    nothing = none[:, None] | none  # (K, K)
    itself = np.eye(len(classes), dtype=bool)
    figure, (alike, harder, bars) = canvas(10, 1.6 + 0.32 * len(classes), 1, 3)
    figure.set_layout_engine("constrained", w_pad=0.08)
    grid = alike.get_gridspec()
    assert grid is not None
    grid.set_width_ratios((1, 1, 0.62))
    places = range(len(classes))
    for panel, matrix, hidden, low in (
        (alike, similar, nothing, min(0.0, float(similar.min()))),
        (harder, psi, nothing | itself, 1.0),
    ):
        shown = np.where(hidden, np.nan, matrix)
        high = low + 1 if panel is harder else 1.0
        panel.imshow(shown, cmap=shades(), vmin=low, vmax=high, aspect="auto")
        panel.set_facecolor(_NONE)
        for (row, column), value in np.ndenumerate(shown):
            if np.isfinite(value):
                words = f"{value:.2f}".replace("-", "−")
                size = 8.5 if len(classes) < 9 else 7
                _in_cell(panel, (column, row), words, (value - low) / (high - low), size)
        outlined(panel, len(classes))
        panel.set_xticks(places, classes, rotation=90, fontsize=9)
        panel.set_yticks(places, classes if panel is alike else [], fontsize=9)
        panel.set_xlabel("the other class")
    alike.set_ylabel("class of the window")
    drawn = bars.barh(places, phi, color=SOUND, height=0.62)
    box = {"facecolor": "white", "linewidth": 0, "pad": 1}
    bars.bar_label(drawn, [f"{w:.2f}" for w in phi], padding=3, fontsize=8.5, color=INK, bbox=box)
    bars.axvline(1, color=GREY, linestyle=":", zorder=0)
    _beside(bars, -0.6, ("windows",), (44,), va="bottom")
    for place, number in enumerate(counts):
        _beside(bars, place, (f"{number:,}" if number else "none",), (44,))
    bars.set(ylim=(len(classes) - 0.5, -0.5), yticks=[], xlim=(0, 1.4 * float(phi.max())))
    bars.set_xlabel("weight of a window")
    alike.set_title("S: how alike the prototypes are", loc="left", fontsize=10)
    harder.set_title("ψ: how hard to push away", loc="left", fontsize=10)
    bars.set_title("φ: how much to count", loc="left", fontsize=10)
    return figure


def seeds(rows: pd.DataFrame, metrics: Sequence[str] = ("top1", "f1")) -> "Figure":
    """An ablation: a line a set of terms, a dot a seed, a bar the seeds' mean; a panel a metric.

    rows: with terms, seed, metric, value, low, high. The dotted line is the mean of the terms that
    come first, which stand on top. Beside each line its mean, and by how much it is higher.
    """
    terms = list(dict.fromkeys(rows["terms"]))
    several = list(dict.fromkeys(rows["seed"]))
    figure, panels = canvas(10, 1.5 + 0.5 * len(terms), 1, len(metrics))
    shifts = {seed: shift for seed, shift in zip(several, _spread(len(several)), strict=True)}
    for panel, metric in zip(panels, metrics, strict=True):
        part = rows[rows["metric"] == metric]
        means = part.groupby("terms")["value"].mean().reindex(terms)
        places = part["terms"].map(terms.index) + part["seed"].map(shifts)
        dot: dict[str, Any] = {"color": SOUND, "markersize": 5.5, "markeredgecolor": "white"}
        panel.plot(part["value"], places, "o", label="a seed", zorder=4, **dot)
        thin: dict[str, Any] = {"color": SOUND, "alpha": 0.45, "linewidth": 1.2}
        panel.hlines(places, part["low"], part["high"], label="its interval", **thin)
        low, high = np.arange(len(terms)) - 0.36, np.arange(len(terms)) + 0.36
        panel.vlines(means, low, high, color=INK, linewidth=3, zorder=3, label="mean of the seeds")
        panel.axvline(
            means.iloc[0], zorder=0, color=GREY, linestyle=":", label=f"that of {terms[0]}"
        )
        for place, value in enumerate(means):
            more = f" ({value - means.iloc[0]:+.3f})".replace("-", "−") if place else ""
            words = "no value" if np.isnan(value) else f"{value:.3f}{more}"
            _beside(panel, place, (words,), (4,), ha="left")
        panel.set_yticks(range(len(terms)), terms if panel is panels[0] else [], fontsize=9)
        panel.set_ylim(len(terms) - 0.5, -0.5)
        panel.set_xlabel({**WORDS, **_NAMES}.get(metric, metric))
    lines, named = panels[0].get_legend_handles_labels()
    figure.legend(lines, named, frameon=False, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def _spread(number: int) -> Floats:
    """Places about 0 for so many dots, (number,)."""
    return (np.arange(number) - (number - 1) / 2) * min(0.18, 0.6 / number)
