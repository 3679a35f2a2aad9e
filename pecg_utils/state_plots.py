"""The pictures of what a state-space model is, each of what a function of `states` gives."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils import states
from pecg_utils.plots import GREY, INK, OURS, SOUND, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN = "#2e8b57"
_SHADE = "#eceff2"
_SPEEDS = ("fast", "middle", "slow")
_SECONDS = "seconds from R"
_STATE = "state (mV)"


def memories(beat: states.Beat, found: dict[float, states.Floats]) -> "Figure":
    """A beat, and under it what each decay makes of it. found: as `states.memories` gives it."""
    figure, (above, *below) = canvas(10, 1.6 + 1.35 * len(found), 1 + len(found))
    _beat(above, beat)
    colours = (OURS, SOUND, GREEN)
    named = _SPEEDS if len(found) == len(_SPEEDS) else ("memory",) * len(found)
    for number, (axis, (tau, h)) in enumerate(zip(below, found.items(), strict=True)):
        colour = colours[number % len(colours)]
        axis.axhline(0, color=GREY, linewidth=0.6)
        axis.fill_between(beat.seconds, h, color=colour, alpha=0.2, linewidth=0)
        axis.plot(beat.seconds, h, color=colour, linewidth=1.8)
        kept = 100 * np.exp(-beat.dt / tau)
        _title(axis, f"{named[number]}: {1000 * tau:g} ms, keeps {kept:.1f} % a sample", colour)
        axis.set_ylabel(_STATE)
    _share_time([above, *below], beat)
    return figure


def convolution(beat: states.Beat, tau: float = states.TAUS[1]) -> "Figure":
    """The recurrence and the convolution of one beat, which are one.

    Above, the kernel laid on the past of one moment, where the state is farthest from zero. Below,
    the loop as a line and the convolution as dots.
    """
    figure, (above, below) = canvas(10, 5.2, 2)
    h = states.recurrence(beat.x, beat.dt, -1 / tau, 1 / tau)  # (T,)
    same = states.convolution(beat.x, beat.dt, -1 / tau, 1 / tau)  # (T,)
    at = int(np.abs(h).argmax())
    weights = states.kernel(at + 1, beat.dt, -1 / tau, 1 / tau)[::-1]  # (at + 1,)
    _beat(above, beat)
    high = float(np.abs(beat.x).max())
    past = beat.seconds[: at + 1]
    above.fill_between(past, weights / weights.max() * high, color=SOUND, alpha=0.3, linewidth=0)
    above.annotate(
        "the weights of the past\n(their own scale)",
        (past[-1], 0.75 * high),
        (12, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=SOUND,
    )
    below.axhline(0, color=GREY, linewidth=0.6)
    below.plot(beat.seconds, h, color=OURS, linewidth=2, label="loop")
    few = slice(None, None, 4)
    dots: dict[str, Any] = {"color": INK, "markersize": 3, "label": "convolution, every 4th"}
    below.plot(beat.seconds[few], same[few], "o", **dots)
    for axis in (above, below):
        axis.axvline(past[-1], color=SOUND, linestyle=":")
    _title(below, f"largest difference {_tiny(np.abs(h - same).max())} mV", INK)
    below.set_ylabel(_STATE)
    below.legend(frameon=False, fontsize=9)
    _share_time([above, below], beat)
    return figure


def selection(beat: states.Beat, found: list[states.Memory]) -> "Figure":
    """A beat, the step at each sample, and the state. found: as `states.selection` gives it.

    The QRS is shaded. The key says how much of the last state was written there.
    """
    figure, (above, middle, below) = canvas(10, 7.0, 3)
    _beat(above, beat)
    looks = ((OURS, "-", 2.2), (SOUND, "--", 1.8), (GREEN, "-.", 1.8))
    for memory, (colour, style, width) in zip(found, looks, strict=True):
        look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": width}
        middle.plot(beat.seconds, 1000 * memory.dt, **look)
        name = f"{memory.name}:\n{100 * memory.share:.0f} % of the last state is QRS"
        below.plot(beat.seconds, memory.h, label=name, **look)
    middle.set(yscale="log", ylabel="step dt (ms)")
    middle.yaxis.set_major_formatter("{x:g}")
    below.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    below.set_ylabel(_STATE)
    for axis in (above, middle, below):
        for at in beat.seconds[beat.beats]:
            axis.axvspan(at - states.QRS, at + states.QRS, color=_SHADE, zorder=-1, linewidth=0)
    lines, words = below.get_legend_handles_labels()
    figure.legend(lines, words, frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    _share_time([above, middle, below], beat)
    return figure


def chunks(beat: states.Beat, found: states.Chunked) -> "Figure":
    """The state chunk by chunk, with a dot for each state that is handed on.

    found: as `states.in_chunks` gives it. The thin line is what each chunk has of its own.
    """
    figure, (above, below) = canvas(10, 4.8, 2)
    _beat(above, beat)
    firsts = range(0, len(found.h), found.chunk)
    edges = beat.seconds[0] + np.array([*firsts, len(found.h)]) * beat.dt - beat.dt / 2
    for number, first in enumerate(firsts):
        span = slice(first, first + found.chunk)
        colour = (SOUND, OURS)[number % 2]
        joined = slice(max(0, first - 1), first + found.chunk)
        below.plot(beat.seconds[joined], found.h[joined], color=colour, linewidth=2.4)
        name = "the chunk alone, from zero" if first == 0 else None
        below.plot(beat.seconds[span], found.alone[span], ":", color=INK, label=name)
        if number % 2:
            for axis in (above, below):
                axis.axvspan(*edges[number : number + 2], color=_SHADE, zorder=-1, linewidth=0)
    ends = beat.seconds[[first - 1 for first in firsts[1:]]]
    below.plot(ends, found.handed[1:], "o", color=INK, markersize=6, label="handed on")
    below.legend(frameon=False, fontsize=9)
    words = f"{len(found.handed)} chunks of {found.chunk} samples"
    _title(below, f"{words}; largest difference from the loop {_tiny(found.difference)} mV", INK)
    below.set_ylabel(_STATE)
    _share_time([above, below], beat)
    return figure


def times(table: pd.DataFrame) -> "Figure":
    """Milliseconds by length, a line a way. table: as `states.times` gives it."""
    figure, (panel,) = canvas(8, 3.8)
    looks = ((INK, "o"), (OURS, "s"), (SOUND, "D"))
    for (colour, marker), (way, part) in zip(looks, table.groupby("way", sort=False), strict=True):
        milliseconds = part["milliseconds"]
        name = f"{way}: {milliseconds.iloc[-1]:.3g} ms at {part['samples'].iloc[-1]:,}"
        panel.plot(part["samples"], milliseconds, color=colour, marker=marker, label=name)
    lengths = list(dict.fromkeys(table["samples"]))
    panel.set(xscale="log", yscale="log", xlabel="samples", ylabel="milliseconds, forward")
    panel.set_xticks(lengths, [f"{length:,}" for length in lengths])
    low, high = table["milliseconds"].min(), table["milliseconds"].max()
    ticks = [t for t in (0.3, 1, 3, 10, 30, 100, 300, 1000) if low / 2 < t < high * 2]
    panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
    panel.legend(frameon=False, fontsize=9)
    worst = table["difference"].max()
    _title(panel, f"one answer in three ways; they differ by {_tiny(worst)} of it at most", INK)
    return figure


def reach(beat: states.Beat, found: states.Reach) -> "Figure":
    """How much each sample moves the answer: with one direction, and with two.

    found: as `states.reach` gives it; drawn as the mean of the samples of each token. What one
    direction does not see at all is shaded.
    """
    figure, (above, below) = canvas(10, 5.2, 2)
    _beat(above, beat)
    seen = np.flatnonzero(found.one)[-1]
    whole = len(beat.x) // found.stride * found.stride
    centres = beat.seconds[:whole].reshape(-1, found.stride).mean(axis=1)  # (n,)
    for size, colour, style, name in (
        (found.two, SOUND, "-", "both directions"),
        (found.one, OURS, "--", "forwards alone"),
    ):
        means = size[:whole].reshape(-1, found.stride).mean(axis=1)  # (n,)
        drawn = 100 * np.where(means > 0, means, np.nan)  # a logarithm has no place for 0
        below.plot(centres, drawn, color=colour, linestyle=style, linewidth=1.8, label=name)
    below.set(yscale="log", ylabel="gradient (% a sample)")
    below.yaxis.set_major_formatter("{x:g}")
    below.legend(frameon=False, loc="upper left", fontsize=9)
    for axis in (above, below):
        axis.axvspan(*beat.seconds[[seen, -1]], color=_SHADE, zorder=-1, linewidth=0)
        axis.axvline(found.token, color=INK, linestyle=":")
    low, high = above.get_ylim()
    top = high + 0.18 * (high - low)  # room for words over the ECG
    above.set_ylim(low, top)
    words: dict[str, Any] = {"fontsize": 9, "va": "top"}
    above.text(found.token, top, "class token ", color=INK, ha="right", **words)
    unseen = "forwards alone: exactly 0 from here on"
    above.text(beat.seconds[seen], top, "  " + unseen, color=OURS, ha="left", **words)
    _share_time([above, below], beat)
    return figure


def _beat(axis: "Axes", beat: states.Beat) -> None:
    axis.plot(beat.seconds, beat.x, color=INK, linewidth=1.4)
    axis.set_ylabel("ECG (mV)")
    _title(axis, f"lead {beat.lead} of recording {beat.record} at {beat.fs:g} Hz", INK)


def _title(axis: "Axes", words: str, colour: str) -> None:
    axis.set_title(words, loc="left", fontsize=10, color=colour)


def _share_time(axes: "list[Axes]", beat: states.Beat) -> None:
    for axis in axes:
        axis.set_xlim(beat.seconds[0], beat.seconds[-1])
        if axis is not axes[-1]:
            axis.tick_params(labelbottom=False)
    axes[-1].set_xlabel(_SECONDS)
    axes[-1].figure.align_ylabels(axes)


def _tiny(value: float) -> str:
    """`0`, `5.6e-17`: what rounding leaves."""
    return "0" if value == 0 else f"{value:.0e}"
