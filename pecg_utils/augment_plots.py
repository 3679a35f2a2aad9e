"""The picture of what augmentation does to an ECG: one lead, a panel a draw."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pecg_utils.augment import KINDS, changed
from pecg_utils.plots import GREY, INK, OURS, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SECONDS = 2.5  # that are shown, of the window's beginning


def six(
    window: npt.NDArray[np.float32], fs: float, seed: int = 0, lead: int = 0, unit: str = "mV"
) -> "Figure":
    """One lead of a window (L, T) at `fs` Hz, unchanged in grey, and under each of the seven draws.

    Two of them change nothing, so that six different things happen. lead: its place. unit: of the
    values, "mV" or "standard deviations". The whole window is changed, and its beginning is drawn.
    Of the zeroed leads, which are drawn by lot, a lot is shown that fell on this one.
    """
    shown = slice(0, max(2, round(_SECONDS * fs)))
    seconds = np.arange(window.shape[1])[shown] / fs  # (t,)
    before = window[lead, shown]
    figure, panels = canvas(12, 2.2, 1, len(KINDS))
    for draw, (panel, kind) in enumerate(zip(panels, KINDS, strict=True)):
        rng = np.random.default_rng([seed, draw])
        after = _after(window, draw, rng, lead)[lead, shown]
        panel.plot(seconds, before, color=GREY, linewidth=0.8, label="as it was")
        colour = INK if np.array_equal(after, before) else OURS
        panel.plot(seconds, after, color=colour, linewidth=0.9, label="as it is taught")
        panel.set_title(f"{draw}: {kind}", loc="left", fontsize=9, color=colour)
        panel.sharey(panels[0])
        panel.set_xticks([0, 1, 2])
        panel.set_xlim(0, _SECONDS)
        panel.tick_params(labelsize=8, labelleft=draw == 0)
    panels[0].set_ylabel(unit, fontsize=9)
    panels[len(panels) // 2].set_xlabel("seconds", fontsize=9)
    return figure


def _after(
    window: npt.NDArray[np.float32], draw: int, rng: np.random.Generator, lead: int
) -> npt.NDArray[np.float32]:
    """The window (L, T) as `draw` changes it; where a lot zeroes leads, this one is among them."""
    while True:
        after: npt.NDArray[np.float32] = changed(window[None], np.array([draw]), rng)[0]
        if KINDS[draw] != "leads zeroed" or not after[lead].any():
            return after
