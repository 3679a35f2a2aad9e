"""The pictures of what the chapter on MRM-Net audits: epochs, parts, stretching."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import picked
from pecg_utils.data.cpsc_ways import RATES
from pecg_utils.metrics import WORDS
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ABOVE = ("macro AUROC above the sound rule's", "sample-wise F1 above the sound rule's")
_DOT: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8, "markersize": 7}


def epochs(seen: pd.DataFrame, taken: pd.DataFrame) -> "Figure":
    """Left: the test side's AUROC after each epoch, a line a training, and where it was stopped.

    Then, in AUROC and in F1 averaged over recordings: by how much each rule of picked.RULES lies
    above the sound one, a dot a training, the mean as a bar. seen and taken: as picked.table gives
    them.
    """
    figure, (left, *others) = canvas(12, 4.2, 1, 3)
    mean = seen[(seen["side"] == "test") & (seen["answer"] == picked.MEAN)]
    for number, (_, line) in enumerate(mean.groupby(["seed", "fold"])):
        named = "one training, mean of the heads" if number == 0 else None
        left.plot(line["epoch"], line["auroc"], color=GREY, linewidth=1, label=named, zorder=1)
    for rule, colour in ((picked.AS_CODED, OURS), (picked.SOUND, SOUND)):
        of = taken[taken["rule"] == rule]
        left.plot(of["epoch"], of["auroc"], "o", color=colour, label=rule, **_DOT)
    left.locator_params(axis="x", integer=True, min_n_ticks=1)
    left.set(xlabel="epoch", ylabel="macro AUROC, test side")
    figure.legend(
        *left.get_legend_handles_labels(), frameon=False, loc="outside lower left", ncols=3
    )
    for panel, metric, words in zip(others, ("auroc", "f1"), _ABOVE, strict=True):
        _above(panel, picked.optimism(taken, metric), named=panel is others[0])
        panel.set_xlabel(words)
    return figure


def _above(right: "Axes", above: pd.DataFrame, named: bool) -> None:
    """A dot a training for each rule, and their mean. above: as picked.optimism gives it."""
    rules = [rule for rule in picked.RULES if rule != picked.SOUND]
    places = np.arange(len(rules))[::-1]
    for place, rule in zip(places, rules, strict=True):
        values = above.loc[above["rule"] == rule, "above"].to_numpy()
        beside = place + np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [place]
        colour = OURS if rule == picked.AS_CODED else INK
        right.plot(values, beside, "o", color=colour, alpha=0.8, **_DOT)
        right.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2)
        right.annotate(
            f"{values.mean():+.3f}",
            (values.mean(), place + 0.3),
            (0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    right.axvline(0, color=GREY, linestyle=":")
    words = [rule.replace(", ", ",\n", 1) for rule in rules] if named else []
    right.set_yticks(places, words, fontsize=9)
    right.set(ylim=(-0.5, len(rules) - 0.3))
    right.locator_params(axis="x", nbins=4)
    right.margins(x=0.15)


def gains(rows: pd.DataFrame, metrics: tuple[str, ...] = ("auroc", "f1")) -> "Figure":
    """What a change brings over the first model, with the interval over patients; a panel a metric.

    rows: as comparison.table gives it. The band in grey is as wide to either side as trainings of
    the first model lie apart that differ in their seed alone.
    """
    first, *names = list(dict.fromkeys(rows["name"]))
    figure, panels = canvas(10, 1.2 + 0.45 * len(names), 1, len(metrics))
    places = np.arange(len(names))[::-1]
    for panel, metric in zip(panels, metrics, strict=True):
        of = rows[rows["metric"] == metric].set_index("name")
        own = of.loc[first]
        panel.axvspan(-own["apart"], own["apart"], color=GREY, alpha=0.18, lw=0)
        chosen = of.loc[names]
        panel.hlines(places, chosen["gain_low"], chosen["gain_high"], color=SOUND, linewidth=2)
        panel.plot(chosen["gain"], places, "o", color=SOUND, **_DOT)
        for place, value in zip(places, chosen["gain"], strict=True):
            shift = (0, 6)
            text = f"{value:+.3f}"
            panel.annotate(
                text, (value, place), shift, textcoords="offset points", ha="center", fontsize=8
            )
        panel.axvline(0, color=GREY, linestyle=":")
        panel.set_yticks(places, names if panel is panels[0] else [], fontsize=9)
        panel.set(ylim=(-0.6, len(names) - 0.3), xlabel=f"{WORDS[metric]}, less {first}")
    return figure


def rates(
    true: npt.NDArray[np.float64], stretched: npt.NDArray[np.float64], short: npt.NDArray[np.bool_]
) -> "Figure":
    """The heart rate of each recording, and what it is after stretching: (N,) 1/min each.

    short: (N,) which recordings were stretched. Only these are drawn apart from the line.
    """
    figure, (panel,) = canvas(6.6, 5.0)
    low = min(30.0, float(np.nanmin([true, stretched])) - 5)
    high = max(165.0, float(np.nanmax([true, stretched])) + 5)
    for edge in (60.0, 100.0):
        panel.axvline(edge, color=GREY, linewidth=0.7, linestyle=":")
        panel.axhline(edge, color=GREY, linewidth=0.7, linestyle=":")
    panel.plot([low, high], [low, high], color=GREY, linewidth=1, zorder=0)
    panel.plot(
        true[~short], stretched[~short], "o", color=GREY, markersize=3, label="10 s and longer"
    )
    panel.plot(
        true[short], stretched[short], "o", color=OURS, label="under 10 s, stretched", **_DOT
    )
    panel.set(xlim=(low, high), ylim=(low, high))
    panel.set(xlabel="heart rate (1/min)", ylabel="heart rate in the window (1/min)")
    panel.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


def by_rate(table: pd.DataFrame) -> "Figure":
    """Macro AUROC by class of heart rate, padded and stretched.

    table: with name, band, windows, patients, value, low, high; the names in the order of drawing.
    """
    names = list(dict.fromkeys(table["name"]))
    bands = [band for band in RATES if band in set(table["band"])]
    figure, (panel,) = canvas(8, 1.3 + 0.7 * len(bands))
    places = np.arange(len(bands))[::-1]
    for number, name in enumerate(names):
        of = table[table["name"] == name].set_index("band").reindex(bands)
        shift = (len(names) - 1) / 2 * 0.26 - number * 0.26
        colour = (SOUND, OURS)[number % 2]
        panel.hlines(places + shift, of["low"], of["high"], color=colour, linewidth=2)
        panel.plot(of["value"], places + shift, "o", color=colour, label=name, **_DOT)
    counts = table[table["name"] == names[0]].set_index("band").reindex(bands)
    panel.set_yticks(
        places, [f"{band}\n{int(counts.loc[band, 'windows'])} recordings" for band in bands]
    )
    panel.axvline(0.5, color=GREY, linestyle=":")
    panel.set(xlim=(None, 1.01), ylim=(-0.6, len(bands) - 0.4), xlabel="macro AUROC")
    lines, words = panel.get_legend_handles_labels()
    figure.legend(lines, words, frameon=False, loc="outside lower center", ncols=len(names))
    return figure
