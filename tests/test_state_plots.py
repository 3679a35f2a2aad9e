"""The pictures of a state-space model: each draws the numbers that it is given."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pecg_utils import state_plots, states
from pecg_utils.data import open_dataset

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


@pytest.fixture(scope="module")
def beat():
    seconds = (np.arange(251) - 88) / 250
    x = np.exp(-0.5 * (seconds / 0.012) ** 2) + 0.25 * np.exp(-0.5 * ((seconds - 0.25) / 0.04) ** 2)
    return states.Beat(x, 250.0, 88, np.array([88]), "II", "P1_E01")


def draw(figure, panels):
    """Draw it for real and give its panels, which have words at the axes; none overlap."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays it out; a closed figure's canvas draws nothing
    axes = figure.axes
    assert len(axes) == panels
    assert axes[-1].get_xlabel()
    assert all(axis.get_ylabel() for axis in axes)
    boxes = [axis.get_tightbbox() for axis in axes]
    for above, below in pairwise(boxes):
        assert above.y0 >= below.y1 - 1
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 + 1 for box in boxes)
    return axes


def line(axis, label):
    (found,) = (each for each in axis.lines if each.get_label() == label)
    return found.get_xydata()


def test_memories_stand_under_the_beat(beat):
    found = states.memories(beat)
    above, *below = draw(state_plots.memories(beat, found), 4)
    assert above.get_title("left") == "lead II of recording P1_E01 at 250 Hz"
    np.testing.assert_array_equal(above.lines[0].get_ydata(), beat.x)
    titles = [axis.get_title("left") for axis in below]
    assert titles == [
        "fast: 10 ms, keeps 67.0 % a sample",
        "middle: 60 ms, keeps 93.6 % a sample",
        "slow: 300 ms, keeps 98.7 % a sample",
    ]
    for axis, h in zip(below, found.values(), strict=True):
        np.testing.assert_array_equal(axis.lines[-1].get_ydata(), h)
    draw(state_plots.memories(beat, states.memories(beat, [0.02, 0.03])), 3)


def test_the_convolution_lies_on_the_loop(beat):
    above, below = draw(state_plots.convolution(beat), 2)
    loop, dots = line(below, "loop"), line(below, "convolution, every 4th")
    np.testing.assert_array_equal(loop[:, 1], states.memories(beat)[0.06])
    np.testing.assert_allclose(dots, loop[::4], rtol=0, atol=1e-14)
    assert "mV" in below.get_title("left")
    at = above.lines[-1].get_xdata()[0]
    assert at == loop[np.abs(loop[:, 1]).argmax(), 0]
    (weights,) = above.collections
    assert weights.get_paths()[0].get_extents().x1 == pytest.approx(at)  # of the past alone


def test_selection_shows_beat_step_and_state(beat):
    found = states.selection(beat)
    figure = state_plots.selection(beat, found)
    _, middle, below = draw(figure, 3)
    for memory, step, state in zip(found, middle.lines, below.lines, strict=False):
        np.testing.assert_allclose(step.get_ydata(), 1000 * memory.dt)
        np.testing.assert_array_equal(state.get_ydata(), memory.h)
        assert step.get_linestyle() == state.get_linestyle()
    (key,) = figure.legends
    words = [text.get_text() for text in key.get_texts()]
    for memory, word in zip(found, words, strict=True):
        assert f"{100 * memory.share:.0f} % of the last state is QRS" in word


@pytest.mark.parametrize("chunk", [44, 400])
def test_chunks_are_joined_by_dots(beat, chunk):
    found = states.in_chunks(beat, chunk)
    _, below = draw(state_plots.chunks(beat, found), 2)
    assert below.get_title("left").startswith(f"{len(found.handed)} chunks of {chunk} samples")
    dots = line(below, "handed on")
    firsts = np.arange(chunk, 251, chunk)
    np.testing.assert_allclose(dots[:, 0], beat.seconds[firsts - 1].reshape(-1))
    np.testing.assert_allclose(dots[:, 1], found.h[firsts - 1], rtol=0, atol=1e-14)
    colours = [each.get_color() for each in below.lines if each.get_linestyle() == "-"]
    assert len(colours) == len(found.handed)
    assert all(one != two for one, two in pairwise(colours))


def test_times_are_a_line_a_way():
    ways = ["loop over samples", "selective_scan", "ssd"] * 2
    table = pd.DataFrame(
        {
            "samples": [100] * 3 + [1000] * 3,
            "way": ways,
            "milliseconds": [10.0, 2.0, 1.0, 100.0, 20.0, 5.0],
            "difference": [0, 1e-7, 2e-7, 0, 3e-7, 1e-8],
        }
    )
    (panel,) = draw(state_plots.times(table), 1)
    drawn = line(panel, "ssd: 5 ms at 1,000")
    assert drawn.tolist() == [[100, 1.0], [1000, 5.0]]
    assert "3e-07" in panel.get_title("left")
    assert [text.get_text() for text in panel.get_xticklabels()] == ["100", "1,000"]


def test_reach_leaves_blank_what_is_not_seen(beat):
    one = np.where(beat.seconds < 0.1, 2.0, 0.0)
    found = states.Reach(one / one.sum(), np.full(251, 1 / 251), 0.02, 8)
    above, below = draw(state_plots.reach(beat, found), 2)
    assert below.get_yscale() == "log"
    seen = line(below, "forwards alone")
    assert np.isnan(seen[seen[:, 0] > 0.12, 1]).all()
    assert np.isfinite(seen[seen[:, 0] < 0.09, 1]).all()
    np.testing.assert_allclose(line(below, "both directions")[:, 1], 100 / 251)
    shade = max(above.patches, key=lambda patch: patch.get_extents().width)
    left = shade.get_extents().transformed(above.transData.inverted()).x0
    assert left == pytest.approx(beat.seconds[beat.seconds < 0.1][-1])
    assert {text.get_text().strip() for text in above.texts} == {
        "class token",
        "forwards alone: exactly 0 from here on",
    }
    top = max(beat.x)
    assert all(text.get_window_extent().y0 > above.transData.transform((0, top))[1] - 1
               for text in above.texts)  # fmt: skip


def test_a_real_recording_is_drawn(real: Callable[[str], Path]) -> None:
    recording = open_dataset("ptbxl", real("ptb-xl")).read(17)
    beat = states.one_beat(recording)
    draw(state_plots.selection(beat, states.selection(beat)), 3)
