"""The pictures of the resolutions of MRM-Net, each of what a function of `resolutions` gives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.errors import PecgError
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas
from pecg_utils.resolutions import QRS, AtBeats, Band, Gates, r_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.floating[Any]]

_COLOURS = {"high": SOUND, "low": OURS}
_SHADE = "#eceff2"
_SHUT, _OPEN = "#f3f1ec", "#3b1f5c"
_SECONDS = 4.0  # of an ECG that is shown


def reach(lead: Floats, fs: float, spans: pd.DataFrame) -> "Figure":
    """An ECG, and under it what one step of each stream reaches after each stage.

    lead: (T,) mV, at `fs` Hz, 100 to 1000. spans: as `resolutions.spans` gives them for windows of
    T samples. The step is laid on the beat nearest the middle, as every other step reaches as far.
    """
    stages = list(dict.fromkeys(spans["stage"]))
    figure, (above, below) = canvas(10, 2.6 + 0.55 * len(stages), 2)
    figure.set_layout_engine("constrained", h_pad=0.06)
    grid = above.get_gridspec()
    assert grid is not None
    grid.set_height_ratios([2.0, 0.55 * len(stages)])
    base = spans[spans["stage"] == "base scale"]
    step = float((base["first"] + base["last"]).mean()) / 2
    r = r_samples(lead[:, None].astype(np.float32), fs, 0)  # (n,)
    zero = float(r[np.abs(r - step).argmin()]) if len(r) else step
    longest = int(spans["step"].max())
    moved = longest * round((zero - step) / longest)  # samples, whole steps of every stream
    at = (np.arange(len(lead)) - zero) / fs  # (T,) s
    above.plot(at, lead, color=INK, linewidth=1.2)
    above.set_ylabel("ECG (mV)")
    for row, stage in enumerate(stages):
        part = spans[spans["stage"] == stage]
        together = stage == "stem"  # it is one for both
        for place, one in enumerate(part.iloc[:1].itertuples() if together else part.itertuples()):
            colour = GREY if together else _COLOURS[str(one.stream)]
            left = (one.first + moved - 0.5 - zero) / fs
            wide = (one.last - one.first + 1) / fs
            high = row if len(part) == 1 or together else row + (place - 0.5) * 0.36
            below.barh(high, wide, 0.3, left, color=colour)
            name = "" if together else f"{one.stream}: "
            below.annotate(
                f"{name}{1000 * wide:,.0f} ms",
                (left + wide, high),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=INK if together else colour,
            )
    below.set_yticks(range(len(stages)), [f"after the {stage}" for stage in stages], fontsize=9)
    below.tick_params(axis="y", length=0)
    below.set_ylim(len(stages) - 0.45, -0.55)
    widest = float((spans["last"] - spans["first"]).max()) / fs
    most = max(_SECONDS, 1.35 * widest)  # room for the longest bar's words
    for axis in (above, below):
        axis.axvline(0, color=GREY, linestyle=":", zorder=0)
    _share_time([above, below], (-most / 2, most / 2))
    below.set_xlabel("seconds from R" if len(r) else "seconds from the step")
    steps = dict(zip(base["stream"], base["step"], strict=True))
    words = [
        f"the {name} resolution has one every {1000 * n / fs:g} ms" for name, n in steps.items()
    ]
    _title(above, f"what one step reaches; {', '.join(words)}")
    return figure


def over_ecg(
    lead: Floats, fs: float, gates: Mapping[str, Gates], start: float = 0.0, seconds: float = 4.5
) -> "Figure":
    """An ECG, a strip of colour for each stream's gate by step under it, and gates by channel.

    lead: (T,) mV. gates: as `resolutions.gates` gives them for the window that the lead is of.
    start, seconds: what is shown of it, as far as it goes. A gate that is switched off is said to
    be. Raises PecgError when `start` is not in the window.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    whole = len(lead) / fs
    if not 0 <= start < whole:
        raise PecgError(f"This window is of {whole:g} s; start at one of them, not at {start:g} s.")
    stop = min(start + seconds, whole)
    figure = plt.figure(figsize=(10, 2.9 + 0.75 * len(gates)), layout="constrained")
    plt.close(figure)
    grid = figure.add_gridspec(
        1 + len(gates), 2, width_ratios=[3.1, 1], height_ratios=[2.6, *[0.75] * len(gates)]
    )
    above = figure.add_subplot(grid[0, 0])
    strips = [figure.add_subplot(grid[1 + row, 0]) for row in range(len(gates))]
    beside = figure.add_subplot(grid[:, 1])
    for axis in (above, *strips, beside):
        axis.spines[["top", "right"]].set_visible(False)
    above.plot(np.arange(len(lead)) / fs, lead, color=INK, linewidth=1.2)
    above.set_ylabel("ECG (mV)")
    shades = LinearSegmentedColormap.from_list("gate", [_SHUT, _OPEN])
    image = None
    for axis, (stream, of) in zip(strips, gates.items(), strict=True):
        axis.set_yticks([])
        axis.set_ylabel(stream, color=_COLOURS[stream], rotation=0, ha="right", va="center")
        name = f"a step is {1000 * of.step / fs:g} ms"
        if of.spatial is None:
            _title(axis, f"{name}; the gate by step is switched off", _COLOURS[stream], 9)
            continue
        edges = of.edges / fs  # (S + 1,) s
        image = axis.pcolormesh(edges, [0, 1], of.spatial[None], cmap=shades, vmin=0, vmax=1)
        inside = (edges[1:] > start) & (edges[:-1] < stop)
        low, high = (_number(float(end(of.spatial[inside]))) for end in (np.min, np.max))
        _title(axis, f"{name}; the gate goes from {low} to {high}", _COLOURS[stream], 9)
    if image is not None:
        bar = figure.colorbar(image, ax=strips, location="bottom", shrink=0.5, aspect=35)
        bar.set_label("gate: 0 shut, 1 open")
    for stream, of in gates.items():
        if of.channel is not None:
            place = 100 * (np.arange(len(of.channel)) + 0.5) / len(of.channel)  # (C,) %
            name = f"{stream}: {len(of.channel)} channels"
            beside.plot(place, np.sort(of.channel), color=_COLOURS[stream], label=name)
    if beside.lines:
        beside.legend(frameon=False, fontsize=9, loc="upper left")
        _title(beside, "gate of each channel")
    else:
        _title(beside, "no gate by channel")
    beside.set(xlim=(0, 100), ylim=(0, 1), xlabel="channels, sorted (%)", ylabel="gate")
    _share_time([above, *strips], (start, stop))
    strips[-1].set_xlabel("seconds")
    return figure


def at_the_beat(found: AtBeats, new: AtBeats | None = None) -> "Figure":
    """The mean ECG around a beat, and under it the mean gate by step of each stream.

    found: as `resolutions.around_beats` gives it; the bands hold the middle 80 % of recordings, and
    the QRS is shaded. new: the same of an untrained model, drawn as dots.
    """
    figure, (above, *below) = canvas(8, 2.4 + 1.7 * len(found.gates), 1 + len(found.gates))
    _band(above, found.seconds, found.ecg, INK)
    above.set_ylabel("ECG (mV)")
    many = f"{found.beats:,} beats of {found.recordings:,} recordings"
    _title(above, f"lead {found.lead}, {many}; bands: the middle 80 % of recordings")
    for axis, (stream, band) in zip(below, found.gates.items(), strict=True):
        axis.axhline(0.5, color=GREY, linewidth=0.6, zorder=0)
        colour = _COLOURS[stream]
        _band(axis, found.seconds, band, colour)
        if new is not None:
            axis.plot(new.seconds, new.gates[stream].mean, ":", color=INK, label="untrained")
        on, off = found.levels(stream)
        words = f"mean gate {_number(on)} on the QRS, {_number(off)} elsewhere"
        _title(axis, f"{stream} resolution: {words}", colour)
        axis.set(ylim=(0, 1), ylabel="gate", yticks=[0, 0.5, 1])
        axis.set_yticklabels(["0 shut", "0.5", "1 open"])
    if new is not None:
        below[0].legend(frameon=False, fontsize=9, loc="lower right")
    for axis in (above, *below):
        axis.axvspan(-QRS, QRS, color=_SHADE, zorder=-1, linewidth=0)
    _share_time([above, *below], (float(found.seconds[0]), float(found.seconds[-1])))
    below[-1].set_xlabel("seconds from R")
    figure.align_ylabels([above, *below])
    return figure


def _band(axis: "Axes", seconds: Floats, band: Band, colour: str) -> None:
    axis.fill_between(seconds, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
    axis.plot(seconds, band.mean, color=colour, linewidth=1.8)


def _title(axis: "Axes", words: str, colour: str = INK, size: float = 10) -> None:
    axis.set_title(words, loc="left", fontsize=size, color=colour)


def _share_time(axes: "list[Axes]", ends: tuple[float, float]) -> None:
    for axis in axes:
        axis.set_xlim(*ends)
        if axis is not axes[-1]:
            axis.tick_params(labelbottom=False)


def _number(gate: float) -> str:
    """`0.31`, `< 0.01`: a gate that is nearly shut is not quite 0."""
    return f"{gate:.2f}" if gate >= 0.01 else "< 0.01"
