"""The pictures of the Challenge: class names, counts, thresholds and pairs as they were given."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pecg_utils import challenge_plots, challenge_score
from pecg_utils.data import challenge, open_dataset
from pecg_utils.data.recording import Dataset
from pecg_utils.plots import OURS, SOUND

NAN = math.nan


pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def draw(figure):
    """Draw it for real, and give its axes; no two labels of a tick lie on each other."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays it out; a closed figure's canvas draws nothing
    for axis in figure.axes:
        for line, side in ((axis.xaxis, 0), (axis.yaxis, 1)):
            low, high = sorted(line.get_view_interval())
            ticks = zip(line.get_ticklocs(), line.get_ticklabels(), strict=True)
            boxes = [text.get_window_extent() for at, text in ticks if low <= at <= high]
            boxes.sort(key=lambda box: box.min[side])
            for one, two in pairwise(boxes):
                assert one.max[side] <= two.min[side] + 1
            for box in boxes:
                assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
    return figure.axes


@pytest.mark.parametrize("year", [2020, 2021])
def test_the_weights_are_sorted_from_sinus_rhythm_on(year):
    table, words = challenge_score.weights(year), challenge.class_names(year)
    panel, bar = draw(challenge_plots.weights(table, words))
    order = [text.get_text() for text in panel.get_xticklabels()]
    assert sorted(order) == sorted(table.columns)
    assert order[0] == "NSR"
    assert table.loc[order, "NSR"].is_monotonic_decreasing
    rows = [text.get_text() for text in panel.get_yticklabels()]
    assert rows[0] == "sinus rhythm [NSR]"
    assert [row.rpartition(" ")[2] for row in rows] == [f"[{name}]" for name in order]
    drawn = np.ma.filled(panel.images[0].get_array(), NAN)
    wrong = ~np.eye(len(order), dtype=bool)
    np.testing.assert_array_equal(drawn[wrong], table.loc[order, order].to_numpy()[wrong])
    assert {text.get_text() for text in panel.texts} == {"1"}
    assert panel.get_title("left") == "wrong answers earn 0.15 to 0.5"
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("the answer", "the truth")
    assert bar.get_ylabel()


def test_the_weights_without_words():
    panel, _ = draw(challenge_plots.weights(challenge_score.weights()))
    assert panel.get_yticklabels()[0].get_text() == "NSR"


def three(**more):
    names = ["0.5 for every class", "chosen on the training side", "chosen on the test side itself"]
    return pd.DataFrame({"name": names, "value": [-0.1, 0.3, 0.4], **more})


def test_thresholds_are_dots_and_scores_bars():
    chosen = pd.Series({"AF": 0.2, "NSR": 0.7, "PR": math.inf, "SB": 0.1})
    scores = three(low=[-0.2, 0.2, NAN], high=[0.1, 0.4, NAN])
    dots, bars = draw(challenge_plots.thresholds(chosen, scores))
    names = [text.get_text() for text in dots.get_yticklabels()]
    assert names == ["PR", "NSR", "AF", "SB"]
    drawn = dots.lines[0].get_xydata()
    assert drawn.tolist() == [[0.7, 2], [0.2, 1], [0.1, 0]]
    assert [text.get_text() for text in dots.texts] == ["never answered"]
    assert dots.get_title("left") == "2 of 4 classes below 0.5"
    half = [each for each in dots.lines if each.get_linestyle() == ":"]
    assert [each.get_xdata()[0] for each in half] == [0.5]
    assert [bar.get_width() for bar in bars.patches] == [-0.1, 0.3, 0.4]
    named = dict(
        zip(bars.get_yticks(), [t.get_text() for t in bars.get_yticklabels()], strict=True)
    )
    words = [named[bar.get_y() + bar.get_height() / 2].replace("\n", " ") for bar in bars.patches]
    assert words == three()["name"].tolist()
    assert [bool(bar.get_hatch()) for bar in bars.patches] == [False, False, True]
    assert [text.get_text() for text in bars.texts] == ["-0.100", "0.300", "0.400"]
    assert bars.get_xlabel() == "Challenge score"


def test_thresholds_of_26_classes_without_intervals():
    chosen = pd.Series(np.linspace(0.05, 0.6, 26), challenge.class_names())
    draw(challenge_plots.thresholds(chosen, three()))


def dataset(**columns):
    labels = pd.DataFrame({"a": [True, False, True, False], "b": [True, True, False, False]})
    table = pd.DataFrame({"source": ["x_y", "z", "x_y", "x_y"], **columns})
    names = {"a": "Ablepsy", "b": "Botch or blunder"}
    return Dataset("c", Path(), "twin", table, labels, names, (), lambda *span: None)


def test_sites_are_counted():
    panel, _ = draw(challenge_plots.sites(dataset()))
    assert [text.get_text() for text in panel.get_xticklabels()] == ["x y\n3", "z\n1"]
    rows = [text.get_text() for text in panel.get_yticklabels()]
    assert rows == ["Ablepsy [a]", "Botch [b]", "no scored class"]
    cells = {text.get_position(): text.get_text() for text in panel.texts}
    assert cells == {(0, 0): "2", (0, 1): "1", (1, 1): "1", (0, 2): "1"}
    assert panel.get_xlabel() == "source, and its recordings"


def test_the_column_site_goes_before_the_source():
    panel, _ = draw(challenge_plots.sites(dataset(site=["p", "q", "q", "q"])))
    assert [text.get_text() for text in panel.get_xticklabels()] == ["q\n3", "p\n1"]
    cells = {text.get_position(): text.get_text() for text in panel.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (0, 1): "1", (1, 1): "1", (0, 2): "1"}
    assert panel.get_xlabel() == "site, and its recordings"


def test_the_sites_of_the_challenge(real: Callable[[str], Path]) -> None:
    given = open_dataset("challenge", real("challenge-2021"))
    panel, _ = draw(challenge_plots.sites(given))
    assert len(panel.get_xticklabels()) == given.table["site"].nunique()
    counts = [int(text.get_text()) for text in panel.texts]
    assert sum(counts) == given.labels.to_numpy().sum() + (~given.labels.any(axis=1)).sum()


def pairs():
    rows = [
        ("georgia", 40, "pooled cross-validation", 0.5, 0.4, 0.6),
        ("ptb", 1200, "pooled cross-validation", 0.4, 0.3, 0.5),
        ("st_petersburg_incart", 1, "pooled cross-validation", 0.6, NAN, NAN),
        ("ptb", 1200, "site left out", 0.3, 0.2, 0.4),
        ("georgia", 40, "site left out", 0.1, -0.1, 0.3),
    ]
    return pd.DataFrame(rows, columns=["site", "recordings", "protocol", "value", "low", "high"])


def test_pairs_are_sorted_by_the_site_left_out():
    figure = challenge_plots.paired(pairs(), "macro AUROC")
    (panel,) = draw(figure)
    heads = [text.get_text() for text in panel.get_yticklabels()]
    assert heads == ["st_petersburg_incart\nn = 1", "georgia\nn = 40", "ptb\nn = 1,200"]
    dots = {each.get_label(): each for each in panel.lines if each.get_marker() in ("o", "s")}
    pooled, left_out = dots["pooled cross-validation"], dots["site left out"]
    assert pooled.get_color() == OURS
    assert left_out.get_color() == SOUND
    assert pooled.get_xdata().tolist() == [0.6, 0.5, 0.4]
    np.testing.assert_array_equal(left_out.get_xdata(), [NAN, 0.1, 0.3])
    spans = [lines.get_segments() for lines in panel.collections]
    assert [segment[:, 0].tolist() for segment in spans[1][1:]] == [[-0.1, 0.3], [0.2, 0.4]]
    assert panel.get_xlabel() == "macro AUROC"
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(dots)


def test_one_protocol_is_drawn_and_a_third_refused():
    draw(challenge_plots.paired(pairs()[:3]))
    third = pairs().assign(protocol=["a", "b", "c", "a", "b"])
    with pytest.raises(ValueError, match="3 protocols"):
        challenge_plots.paired(third)
