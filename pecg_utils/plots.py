"""The pictures of the chapters. Each function draws one and gives the figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils.data.recording import Dataset, Recording
from pecg_utils.metrics import WORDS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK, GREY = "#1f2933", "#8a94a0"
OURS, PAPER, SOUND = "#c2571a", "#1f2933", "#1d6fa5"  # legible to colour-blind readers
_PALETTE = ["#1d6fa5", "#c2571a", "#2e8b57", "#8a5fb0"]
PALE, RULE = "#f3f5f7", "#e4e7eb"  # every other row's ground, and what has no value
EDGED: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8}
HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.7}


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> "tuple[Figure, list[Axes]]":
    """An empty figure of width × height inches, and its panels row by row."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    flat = list(axes.ravel())
    for axis in flat:
        axis.spines[["top", "right"]].set_visible(False)
    plt.close(figure)  # shown by the notebook as the cell's value, once
    return figure, flat


def outlined(axis: "Axes", rows: int, columns: int | None = None) -> None:
    """White lines between the cells of a heat map, and no frame."""
    axis.set_xticks(np.arange((columns or rows) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=0.6)
    axis.tick_params(which="minor", length=0)
    axis.tick_params(which="major", length=0)
    axis.spines[:].set_visible(False)


def shades() -> "Colormap":
    """From pale to dark, so that more is darker in grey too, and the least is not the paper."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("more", ["#c3d9ea", SOUND, INK])


def note(
    panel: "Axes", at: tuple[float, float], words: str, off: tuple[float, float], ha: Any, va: Any
) -> None:
    """A number beside a dot, `off` points from it; none where there is no dot."""
    from matplotlib.patheffects import withStroke

    if np.isfinite(at).all():
        look: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "color": INK}
        look["path_effects"] = [withStroke(linewidth=2.5, foreground="white")]
        panel.annotate(words, at, off, ha=ha, va=va, annotation_clip=False, **look)


def rows(panel: "Axes", names: Sequence[str], named: bool = True, size: float = 10) -> None:
    """A row of the panel for each name, the first on top, every other on a pale ground."""
    for place in range(0, len(names), 2):
        panel.axhspan(place - 0.5, place + 0.5, color=PALE, linewidth=0, zorder=0)
    panel.set_yticks(range(len(names)), names if named else [], fontsize=size)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(names) - 0.5, -0.5)


def key(
    figure: "Figure",
    handles: "Sequence[Artist]",
    title: str | None = None,
    columns: int | None = None,
) -> None:
    """What the marks of a figure mean, under its panels, in one row or in so many columns."""
    look: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 9.5}
    columns = columns or len(handles)
    figure.legend(handles=handles, ncols=columns, title=title, columnspacing=1.6, **look)


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, None being NaN, and a column of nothing but numbers being one of numbers."""
    return table.where(table.notna(), np.nan).infer_objects()


def ecg(recording: Recording, start: float = 0.0) -> "Figure":
    """Ten seconds as a cardiologist sees them: 25 mm/s and 10 mm/mV on millimetre paper.

    Three rows of 2.5 s a lead, and lead II whole beneath them. A lead that is not there says
    so. start: in s. The figure is as large as the paper would be, at 25.4 mm an inch.
    """
    import matplotlib.pyplot as plt

    layout = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]]
    millimetres_high, row_height = 130, 30
    width, height = 262, millimetres_high + 14  # of the figure, mm: a margin, and the title
    figure = plt.figure(figsize=(width / 25.4, height / 25.4))
    axis = figure.add_axes((6 / width, 2 / height, 250 / width, millimetres_high / height))
    plt.close(figure)
    first = int(start * recording.fs)
    piece = recording.signal[first : first + int(10 * recording.fs)]  # (T, L)
    piece = piece - np.median(piece, axis=0).astype(np.float32)
    paper_grid(axis, 250, millimetres_high)
    at = {lead: column for column, lead in enumerate(recording.leads)}
    for row, names in enumerate([*layout, ["II"]]):
        middle = millimetres_high - row_height * (row + 0.5) - 5
        share = 10.0 / len(names)
        for place, lead in enumerate(names):
            left = place * share * 25 + 1
            label = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 1}
            axis.text(left, middle + 11, lead, fontsize=10, color=INK, bbox=label, zorder=3)
            if lead not in at:
                axis.text(left, middle, "not recorded", fontsize=9, color=GREY, bbox=label)
                continue
            low, high = (int(s * recording.fs) for s in (place * share, (place + 1) * share))
            trace = piece[low:high, at[lead]]
            x = (np.arange(len(trace)) / recording.fs + place * share) * 25
            axis.plot(x, np.clip(trace * 10, -14, 14) + middle, color=INK, linewidth=0.8)
    years = recording.age_days / 365.25
    age = f"{years:.1f} years" if years >= 1 else f"{recording.age_days:.0f} days"
    if np.isnan(years):
        age = "age unknown"
    named = ", ".join(recording.labels) or "none of the labels"
    axis.set_title(
        f"{recording.record}: {recording.sex}, {age}; {named}\n25 mm/s, 10 mm/mV",
        fontsize=10,
        loc="left",
    )
    return figure


def paper_grid(axis: "Axes", width: int, height: int) -> None:
    """The paper of an ECG under `axis`, which is then in mm: lines at each one and each fifth."""
    axis.set(xlim=(0, width), ylim=(0, height), xticks=[], yticks=[])
    for step, colour, line in ((1, "#f7d9d3", 0.4), (5, "#eba99c", 0.7)):
        axis.vlines(np.arange(0, width + 1, step), 0, height, color=colour, linewidth=line)
        axis.hlines(np.arange(0, height + 1, step), 0, width, color=colour, linewidth=line)
    axis.spines[:].set_visible(False)


def cohort(dataset: Dataset) -> "Figure":
    """Who is in a dataset: ages by number of leads, and recordings a label."""
    figure, (ages, labels) = canvas(10, 4.6, 1, 2)
    years = dataset.table["age_days"] / 365.25
    numbers = sorted(dataset.table["n_leads"].dropna().unique())
    ages.hist(
        [years[dataset.table["n_leads"] == n].dropna() for n in numbers],
        bins=list(np.linspace(0, max(16, float(years.max())), 17)),
        stacked=True,
        color=_PALETTE[: len(numbers)],
        label=[f"{n:.0f} leads" for n in numbers],
    )
    ages.set(xlabel="age (years)", ylabel="recordings")
    ages.set_title(f"{len(years):,} recordings by age", loc="left", fontsize=11)
    ages.legend(frameon=False)
    counts = dataset.labels.sum()[::-1]
    names = [f"{dataset.label_names[code]} [{code}]" for code in counts.index]
    bars = labels.barh(names, counts.to_numpy(), color=SOUND)
    labels.tick_params(axis="y", labelsize=8)
    labels.bar_label(bars, fontsize=8, padding=2)
    labels.set_xlabel("recordings")
    labels.set_title("recordings by label", loc="left", fontsize=11)
    return figure


def curves(outcomes: "Sequence[object]") -> "Figure":
    """Loss and validation score by epoch, a line a trial; a dot where the epoch was kept."""
    from pecg_utils.trial import Outcome

    figure, (losses, scores) = canvas(10, 3.8, 1, 2)
    judged = "f1"
    several = len({outcome.protocol.model for outcome in outcomes}) == len(outcomes)  # type: ignore[attr-defined]
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Outcome)
        colour = _PALETTE[number % len(_PALETTE)]
        epochs = outcome.curves["epoch"]
        name = outcome.protocol.model if several else outcome.protocol.name
        judged = str(outcome.curves.columns[-1]).removeprefix("validation_")
        values = outcome.curves[f"validation_{judged}"]
        losses.plot(epochs, outcome.curves["train_loss"], color=colour, label=name)
        scores.plot(epochs, values, color=colour, label=name)
        best = outcome.facts["best_epoch"]
        scores.plot(best, values.iloc[best - 1], "o", color=colour)
    losses.set(xlabel="epoch", ylabel="loss, training side", ylim=(0, None))
    scores.set(xlabel="epoch", ylabel=f"{WORDS[judged]}, validation side", ylim=(0, None))
    losses.legend(frameon=False)
    return figure


def forest(rows: pd.DataFrame, metrics: Sequence[str] = ("auroc", "f1")) -> "Figure":
    """A line a trial, a panel a metric: the value and its interval over patients.

    rows: with name, metric, value, low, high, as Run.rows gives them. In a panel of the AUROC
    the dotted line at 0.5 is chance.
    """
    names = list(dict.fromkeys(rows["name"]))
    figure, panels = canvas(10, 1.1 + 0.5 * len(names), 1, len(metrics))
    for panel, metric in zip(panels, metrics, strict=True):
        chosen = rows[rows["metric"] == metric].set_index("name").reindex(names)
        places = np.arange(len(names))[::-1]
        panel.hlines(places, chosen["low"], chosen["high"], color=SOUND, linewidth=2)
        panel.plot(chosen["value"], places, "o", color=SOUND)
        for place, value in zip(places, chosen["value"], strict=True):
            if np.isfinite(value):
                panel.annotate(
                    f"{value:.3f}",
                    (value, place),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=INK,
                )
        broken = [name.replace(" leads, ", " leads,\n") for name in names]
        panel.set_yticks(places, broken if panel is panels[0] else [], fontsize=9)
        panel.set_ylim(-0.6, len(names) - 0.3)
        panel.set_xlabel(WORDS[metric])
        if metric == "auroc":
            panel.axvline(0.5, color=GREY, linestyle=":")
            panel.set_xlim(min(0.4, float(np.nanmin(chosen["low"].fillna(0.4)))), 1.0)
        else:
            lowest = min(0.0, float(np.nanmin(chosen[["low", "value"]].fillna(0.0).to_numpy())))
            panel.set_xlim(1.1 * lowest, None if metric == "hamming_loss" else 1.0)
            if lowest < 0:
                panel.axvline(0, color=GREY, linestyle=":")
    return figure


def claims(table: pd.DataFrame) -> "Figure":
    """Macro F1 of each model: the claim, our value under its protocol, and under the sound one.

    table: as claims.join gives it.
    """
    chosen = table[table["metric"] == "f1"]
    figure, panels = canvas(10, 3.6, 1, 2)
    for panel, leads in zip(panels, (9, 12), strict=True):
        part = chosen[chosen["leads"] == leads].reset_index(drop=True)
        places = np.arange(len(part))[::-1]
        panel.plot(part["claimed"], places, "D", color=PAPER, label="the paper's claim")
        for columns, colour, shift, name in (
            (("value", "low", "high"), OURS, 0.16, "here, the paper's protocol"),
            (("sound", "sound_low", "sound_high"), SOUND, -0.16, "here, patients kept apart"),
        ):
            value, low, high = (part[c] for c in columns)
            panel.hlines(places + shift, low, high, color=colour, linewidth=2)
            panel.plot(value, places + shift, "o", color=colour, label=name)
        panel.set_yticks(places, part["model"] if leads == 9 else [])
        panel.set(xlim=(0, 100), ylim=(-0.6, len(part) - 0.4), xlabel="macro F1 (%)")
        kinds = ", ".join(sorted(set(part["data"])))
        panel.set_title(f"{leads} leads; ours on: {kinds}", loc="left", fontsize=11)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, frameon=False, loc="outside lower center", ncols=3)
    return figure


def per_class(rows: pd.DataFrame, names: dict[str, str], metric: str = "auroc") -> "Figure":
    """A line a label: the value and interval of each trial, and the share of positives.

    rows: with name, label, metric, value, low, high, positives, windows.
    """
    rows = rows[(rows["metric"] == metric) & (rows["label"] != "macro")]
    trials = list(dict.fromkeys(rows["name"]))
    labels = list(dict.fromkeys(rows["label"]))
    figure, (values, shares) = canvas(10, 1 + 0.36 * len(labels), 1, 2)
    places = np.arange(len(labels))[::-1]
    for number, trial in enumerate(trials):
        part = rows[rows["name"] == trial].set_index("label").reindex(labels)
        shift = (number - (len(trials) - 1) / 2) * -0.24
        colour = (OURS, SOUND)[number % 2]
        values.hlines(places + shift, part["low"], part["high"], color=colour, linewidth=1.5)
        values.plot(part["value"], places + shift, "o", color=colour, markersize=4, label=trial)
        share = 100 * part["positives"] / part["windows"]
        shares.barh(places + shift, share, height=0.22, color=colour)
        if "guess" in part:  # average precision without a model
            values.plot(part["guess"], places + shift, "|", color=GREY, markersize=7, zorder=1)
    if metric == "auroc":
        values.axvline(0.5, color=GREY, linestyle=":")
    values.set_yticks(places, [f"{names[label]} [{label}]" for label in labels], fontsize=8)
    values.set_xlim(0, 1.02)
    values.set_xlabel(WORDS[metric].removeprefix("macro "))
    lines, words = values.get_legend_handles_labels()
    figure.legend(lines, words, frameon=False, loc="outside lower center", ncols=1)
    shares.set_yticks(places, [])
    shares.set_xlabel("test windows that carry the label (%)")
    return figure


def bands(table: pd.DataFrame) -> "Figure":
    """Macro AUROC by band of age, as subgroups.by_age gives it."""
    figure, (panel,) = canvas(8, 1.1 + 0.42 * len(table))
    places = np.arange(len(table))[::-1]
    panel.hlines(places, table["low"], table["high"], color=SOUND, linewidth=2)
    panel.plot(table["value"], places, "o", color=SOUND)
    panel.axvline(0.5, color=GREY, linestyle=":")
    names = [
        f"{band}\n{patients} children, {windows} windows"
        for band, patients, windows in zip(
            table["band"], table["patients"], table["windows"], strict=True
        )
    ]
    panel.set_yticks(places, names, fontsize=8)
    panel.set(xlim=(0, 1.02), ylim=(-0.6, len(table) - 0.4), xlabel="macro AUROC")
    return figure


_MEASURED = {  # what likeness.compare measures, and how it is called on its panel
    "rate": "heart rate, 1/min",
    "pr": "PR, ms",
    "qrs": "QRS, ms",
    "qtc": "QTc, ms",
    "axis": "QRS axis, degrees",
    "p_II": "P in II, mV",
    "r_V1": "R in V1, mV",
    "s_V1": "S in V1, mV",
    "r_V6": "R in V6, mV",
    "s_V6": "S in V6, mV",
    "t_V6": "T in V6, mV",
}


def likeness(found: dict[str, Any]) -> "Figure":
    """Real recordings and their twin side by side: medians, the middle 80 %, and the spectrum.

    found: as `likeness.compare` gives it.
    """
    figure, axes = canvas(9.5, 8.0, 4, 3)
    figure.set_layout_engine("constrained", h_pad=0.09, w_pad=0.06)
    kinds = {"real": INK, "twin": OURS}
    ranges = found["quantiles"]["all ages"]
    for axis, (name, words) in zip(axes, _MEASURED.items(), strict=False):
        for place, (kind, colour) in enumerate(kinds.items()):
            low, middle, high = (np.nan if q is None else q for q in ranges[name][kind])
            axis.plot([low, high], [-place, -place], color=colour, linewidth=3, alpha=0.55)
            axis.plot([middle], [-place], "o", color=colour, markersize=6)
        axis.set(ylim=(-1.6, 0.6), yticks=[0, -1], title=words)
        axis.set_yticklabels(kinds)
        axis.margins(x=0.1)
        axis.title.set_fontsize(10)
    spectrum = axes[len(_MEASURED)]
    for kind, colour in kinds.items():
        low, middle, high = np.array(found["spectrum"][kind], dtype=float)  # (bands,) each
        spectrum.fill_between(found["hertz"], low, high, color=colour, alpha=0.2, linewidth=0)
        spectrum.plot(found["hertz"], middle, color=colour, linewidth=1.6)
    spectrum.set(xscale="log", xticks=[1, 10, 100], title="power, log10 of mV²/Hz")
    spectrum.set_xticklabels(["1 Hz", "10 Hz", "100 Hz"])
    spectrum.title.set_fontsize(10)
    return figure
