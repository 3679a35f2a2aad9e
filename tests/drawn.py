"""What the tests of pictures share: a figure laid out, with every word legible."""

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text


def draw(figure):
    """Draw it for real and give its axes; no words lie on others, or outside of the figure."""
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() == 10
    figure.draw_without_rendering()  # lays it out; a closed figure's canvas draws nothing
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and not hidden(text)
    ]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts]
    for (one, a), (two, b) in combinations(boxes, 2):
        over = (np.minimum(a.max, b.max) - np.maximum(a.min, b.min)).min()
        assert over <= 1, f"{one!r} lies on {two!r}"
    for word, box in boxes:
        assert (box.min >= -1).all(), word
        assert (box.max <= figure.bbox.max + 1).all(), word
    return figure.axes


def hidden(text):
    """Whether it is of a tick that its axis does not draw."""
    if text.axes is None:  # of a legend
        return False
    for axis, side in ((text.axes.xaxis, 0), (text.axes.yaxis, 1)):
        ticks = [each for tick in axis.get_major_ticks() for each in (tick.label1, tick.label2)]
        if text in ticks:
            low, high = sorted(axis.get_view_interval())
            return not low <= text.get_position()[side] <= high
    return False
