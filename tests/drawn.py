"""What the tests of pictures share: a figure laid out, with every word legible."""

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text


def draw(figure, width=10):
    """Draw it for real and give its axes; no words lie on others, or outside of the figure.

    width: of the figure, in inches.
    """
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() == width
    figure.draw_without_rendering()  # lays it out; a closed figure's canvas draws nothing
    away = not_drawn(figure.axes)
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in away
    ]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts]
    for (one, a), (two, b) in combinations(boxes, 2):
        over = (np.minimum(a.max, b.max) - np.maximum(a.min, b.min)).min()
        assert over <= 1, f"{one!r} lies on {two!r}"
    for word, box in boxes:
        assert (box.min >= -1).all(), word
        assert (box.max <= figure.bbox.max + 1).all(), word
    return figure.axes


def not_drawn(panels):
    """The labels of ticks that their axes do not draw: out of view, or of an earlier layout."""
    found = set()
    for axis in (axis for panel in panels for axis in (panel.xaxis, panel.yaxis)):
        low, high = sorted(axis.get_view_interval())
        there = axis.get_major_ticks()
        for tick in axis.majorTicks:
            if tick not in there or not low <= tick.get_loc() <= high:
                found |= {tick.label1, tick.label2}
    return found
