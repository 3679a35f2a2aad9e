"""The scheme says what the method is: which parts the test has, and which training alone."""

import numpy as np
import pytest
from drawn import draw
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from pecg_utils import peace_picture
from pecg_utils.descriptors import descriptors

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


@pytest.fixture
def axes():
    (axes,) = draw(peace_picture.scheme(), width=8)
    return axes


def boxes(axes, dashed):
    """The boxes that are dashed, or those that are not."""
    found = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    return [box for box in found if (box.get_linestyle() == "--") == dashed]


def arrows(axes):
    """start and end of each arrow, and whether it is dashed."""
    notes = [note for note in axes.texts if hasattr(note, "arrow_patch") and note.arrow_patch]
    return [(note.xyann, note.xy, note.arrow_patch.get_linestyle() == "--") for note in notes]


def around(axes, words):
    """The smallest box with this text in it."""
    (text,) = (text for text in axes.texts if text.get_text() == words)
    middle = Text.get_window_extent(text).get_points().mean(axis=0)
    held = [box for box in axes.patches if box.get_window_extent().contains(*middle)]
    return min(held, key=lambda box: box.get_window_extent().width)


@pytest.mark.parametrize("words", ["ECG\nembedding", "fused\ntext", "texts of\nits own\nlabels"])
def test_what_training_alone_has_is_dashed_and_inside_its_frame(axes, words):
    box = around(axes, words)
    assert box.get_linestyle() == "--"
    frame = max(boxes(axes, dashed=True), key=lambda box: box.get_width())
    assert frame is around(axes, "Training only")
    whole, part = frame.get_window_extent(), box.get_window_extent()
    assert whole.contains(*part.min)
    assert whole.contains(*part.max)


@pytest.mark.parametrize("words", ["Encoder", "LVH", "RBBB", "STACH", "Rhythm", "ST-T"])
def test_what_the_test_has_is_solid(axes, words):
    assert around(axes, words).get_linestyle() == "-"


def test_colours_tell_training_from_the_test_as_the_dashes_do(axes):
    for dashed in (True, False):
        for box in boxes(axes, dashed):
            assert (to_hex(box.get_edgecolor()) == peace_picture.TRAINING) == dashed
    for note in axes.texts:
        if getattr(note, "arrow_patch", None):
            one = to_hex(note.arrow_patch.get_edgecolor()) == peace_picture.TRAINING
            assert one == (note.arrow_patch.get_linestyle() == "--")


def test_the_query_of_the_example_looks_at_each_token_of_both_kinds(axes):
    tokens = {
        dashed: sorted(
            box.get_x() + box.get_width() / 2
            for box in boxes(axes, dashed)
            if box.get_width() == pytest.approx(0.3)
        )
        for dashed in (True, False)
    }
    assert (len(tokens[False]), len(tokens[True])) == (6, 3)
    query = around(axes, peace_picture.EXAMPLE)
    at = query.get_x() + query.get_width() / 2
    looks = [line for line in axes.lines if line.get_xdata()[-1] == pytest.approx(at)]
    for dashed, style in ((True, "--"), (False, "-")):
        ends = sorted(line.get_xdata()[0] for line in looks if line.get_linestyle() == style)
        assert ends == pytest.approx(tokens[dashed])
        tops = {line.get_ydata()[-1] for line in looks}
        assert len(tops) == 1
        assert query.get_y() - 0.1 < tops.pop() <= query.get_y()


def test_arrows_go_from_box_to_box(axes):
    """Whatever an arrow starts from or ends at is no further than a letter's width."""
    ends = {}
    for start, end, dashed in arrows(axes):
        ends[end] = (start, dashed)
    for words, comes in (("Encoder", False), ("LVH", False), ("ECG\nembedding", True)):
        box = around(axes, words)
        reaches = [
            dashed
            for (x, y), (_, dashed) in ends.items()
            if -0.08 <= x - box.get_x() <= box.get_width() + 0.08
            and -0.08 <= y - box.get_y() <= box.get_height() + 0.08
        ]
        assert comes in reaches, words
    inside = [d for start, _, d in arrows(axes) if start[1] > 2.5 and start[0] > 4.7 and d]
    assert inside == []  # nothing of training alone goes on to the logits
    assert sum(text.get_text() == "logit" for text in axes.texts) == len(peace_picture.QUERIES)


def test_the_texts_are_the_projects_own(axes):
    texts = descriptors("adult", [peace_picture.EXAMPLE]).loc[peace_picture.EXAMPLE]
    shown = {text.get_text().replace("\n", " ") for text in axes.texts if text.get_text()}
    for whole in texts:
        begun = [words for words in shown if whole.startswith(words.removesuffix(" …"))]
        assert len(begun) == 1
        assert begun[0] == whole or begun[0].endswith(" …")
        assert len(begun[0]) >= 35
    assert set(peace_picture.QUERIES) <= set(descriptors("adult").index) & shown


def test_every_word_can_be_read(axes):
    assert min(text.get_fontsize() for text in axes.texts if text.get_text()) >= 10.5
    words = {text.get_text() for text in axes.texts}
    assert any(word.startswith("At the test: the ECG alone.") for word in words)
    frame = (box for box in boxes(axes, dashed=False) if box.get_width() < 3)
    for box in frame:
        held = box.get_window_extent()
        for text in axes.texts:
            inside = Text.get_window_extent(text)
            if text.get_text() and held.contains(*inside.get_points().mean(axis=0)):
                assert held.x0 < inside.x0
                assert inside.x1 < held.x1, text.get_text()
                assert held.y0 <= inside.y0 + 1
                assert inside.y1 <= held.y1 + 1, text.get_text()


def test_the_lead_is_an_ecg_of_the_rate_that_was_asked_for():
    x = peace_picture.lead(4.0, 500.0, 100.0)
    assert x.shape == (2000,)
    peaks = np.flatnonzero((x[1:-1] > 1.0) & (x[1:-1] > x[:-2]) & (x[1:-1] >= x[2:])) + 1
    np.testing.assert_allclose(np.diff(peaks), 300, atol=1)  # 0.6 s
    between = x[peaks[0] + 20 : peaks[1] - 20]
    assert 0.25 < between.max() < 0.4  # T, and nothing else as high as R


def test_the_words_for_those_who_do_not_see_it_name_the_parts():
    for part in ("ECG", "encoder", "tokens", "query", "logit", "training only", "gate", "fused"):
        assert part in peace_picture.ALT
