"""The pictures that compare models: every number, name and place is as it was given."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex
from matplotlib.text import Text

from pecg_utils import comparison_plots
from pecg_utils.plots import GREY, OURS, SOUND
from pecg_utils.ranks import compare
from pecg_utils.sample_wise import COMMONEST, LABELS, NOTHING, SAMPLES

pytestmark = pytest.mark.usefixtures("drawn_and_closed")

NAMES = (
    *("resnet1d", "bilstm", "transformer", "mamba2", "cnn_ecg_mamba", "mrmnet"),
    *("mrmnet, width 16", "mrmnet with the exchange"),
)


def words(texts):
    return [text.get_text() for text in texts]


def legible(figure):
    """Its panels; no word is smaller than 8 points."""
    panels = draw(figure)
    assert all(text.get_fontsize() >= 8 for text in figure.findobj(Text) if text.get_text())
    return panels


def ranked(models, apart, blocks, seed=1):
    rng = np.random.default_rng(seed)
    rows = [
        (NAMES[m], block, apart * m + rng.normal())
        for block in range(blocks)
        for m in range(models)
    ]
    return compare(pd.DataFrame(rows, columns=["model", "block", "value"]))


def bars(panel):
    """The lines of each bar that joins models: the places that it joins."""
    return [list(line.get_ydata()) for line in panel.lines if line.get_color() == OURS]


@pytest.mark.parametrize(("models", "apart", "blocks"), [(7, 1.0, 9), (8, 2.0, 9), (3, 0.5, 6)])
def test_the_diagram_shows_ranks_and_groups(models, apart, blocks):
    ranks = ranked(models, apart, blocks)
    assert ranks.told_apart
    (panel,) = legible(comparison_plots.critical_difference(ranks))
    names = list(ranks.mean.index)
    assert words(panel.get_yticklabels()) == names
    dots, bracket = panel.lines[:2]
    np.testing.assert_allclose(dots.get_xdata(), ranks.mean)
    assert list(dots.get_ydata()) == list(range(models))
    assert panel.get_ylim()[0] > panel.get_ylim()[1]  # the best on top
    low, high = panel.get_xlim()
    assert low < 1 < models < high  # and on the left
    assert words(panel.texts)[:-2] == [f"{rank:.2f}" for rank in ranks.mean]
    across = bracket.get_xdata()
    assert max(across) - min(across) == pytest.approx(ranks.critical)
    assert f"critical difference {ranks.critical:.2f}" in words(panel.texts)
    joined = [group for group in ranks.groups if len(group) > 1]
    assert bars(panel) == [[names.index(name) for name in group] for group in joined]
    starts = [line.get_xdata()[0] for line in panel.lines if line.get_color() == OURS]
    assert all(one < two for one, two in pairwise(starts))
    assert panel.get_xlabel() == f"mean rank over {blocks} blocks; 1 is best"
    assert panel.get_title("left").startswith("Models that no bar joins are told apart (Friedman's")


def test_where_nothing_is_told_apart_the_title_says_so():
    ranks = ranked(7, 0.1, 2)
    (panel,) = legible(comparison_plots.critical_difference(ranks))
    assert panel.get_title("left") == (
        f"At this size no model can be told from any other (Friedman's p = {ranks.p:.3f})"
    )
    assert bars(panel) == [[0, 1, 2, 3, 4, 5, 6]]


def test_models_that_are_not_alike_but_not_told_apart_either():
    some = (ranked(6, 0.25, 5, seed) for seed in range(300))
    ranks = next(r for r in some if r.p < 0.05 and not r.told_apart)
    (panel,) = legible(comparison_plots.critical_difference(ranks))
    assert panel.get_title("left").startswith("Not all are alike (Friedman's p = 0.0")
    assert len(bars(panel)) == 1


@pytest.mark.parametrize(("models", "blocks"), [(1, 5), (2, 5), (4, 1)])
def test_too_few_have_a_diagram_without_a_difference(models, blocks):
    (panel,) = legible(comparison_plots.critical_difference(ranked(models, 1, blocks)))
    assert panel.get_title("left") == "Too few models or blocks to tell any apart"
    assert not any("critical" in text for text in words(panel.texts))
    assert bars(panel) == ([list(range(models))] if models > 1 else [])
    assert panel.get_xlabel() == f"mean rank over {blocks} block{'s' * (blocks > 1)}; 1 is best"


def costs():
    table = pd.DataFrame(
        {
            "name": NAMES,
            "value": [0.925, 0.921, 0.905, 0.919, 0.917, 0.923, 0.922, 0.9],
            "weights": [8739973, 541957, 278277, 244805, 25965061, 6952742, 950, 8.0e6],
            "multiply_adds": [4e8, 5.3e8, 1e8, 3.2e8, 3.3e9, 2.2e9, 6e8, 3e12],
            "seconds": [900, 1500, 700, 2200, 9000, 3100, 12.34, 259200],
            "mebibytes": [300, 650, 700, 500, 4000, 900, 5.25, 10240],
        }
    )
    return table.assign(low=table["value"] - 0.008, high=table["value"] + 0.006)


def notes(panel):
    """What stands beside or above the dots, from top to bottom."""
    return [note.get_text() for note in sorted(panel.texts, key=lambda note: note.xy[1])]


def test_costs_stand_beside_scores_the_best_on_top():
    table = costs()
    figure = comparison_plots.cost_and_score(table)
    scores, *panels = legible(figure)
    order = [0, 5, 6, 1, 3, 4, 2, 7]
    expected = table.iloc[order]
    assert words(scores.get_yticklabels()) == [NAMES[n] for n in order]
    np.testing.assert_array_equal(scores.lines[0].get_xdata(), expected["value"])
    ends = [segment[:, 0] for segment in scores.collections[0].get_segments()]
    np.testing.assert_array_equal(ends, expected[["low", "high"]])
    assert notes(scores) == [f"{value:.3f}" for value in expected["value"]]
    columns = ("weights", "multiply_adds", "seconds", "mebibytes")
    for panel, column in zip(panels, columns, strict=True):
        assert panel.get_xscale() == "log"
        assert panel.get_ylim() == scores.get_ylim()
        np.testing.assert_array_equal(panel.lines[0].get_xdata(), expected[column])
        assert list(panel.lines[0].get_ydata()) == list(range(8))
        low, high = panel.get_xlim()
        assert low < expected[column].min()
        for note in panel.texts:  # beside its own dot, and whole
            dot = panel.transData.transform(note.xy)
            box = Text.get_window_extent(note)
            assert 0 < box.x0 - dot[0] < 20
            assert box.x1 < panel.transData.transform((high, 0))[0] + 12
    weights, products, seconds, memory = (notes(panel) for panel in panels)
    assert weights == ["8.7 M", "7.0 M", "950", "542 k", "245 k", "26 M", "278 k", "8.0 M"]
    assert products[:3] == ["400 M", "2.2 G", "600 M"]
    assert products[-1] == "3.0 T"
    assert seconds[:3] == ["15 min", "52 min", "12 s"]
    assert seconds[-1] == "3.0 d"
    assert memory == [
        *("300 MiB", "900 MiB", "5.2 MiB", "650 MiB", "500 MiB", "3.9 GiB", "700 MiB", "10 GiB")
    ]
    assert [panel.get_title("left").replace("\n", " ") for panel in (scores, *panels)] == [
        "macro AUROC and its interval",
        "weights",
        "multiply-adds for a recording",
        "time of training",
        "memory of a training step",
    ]


def test_a_cost_that_is_not_known_is_written_as_such():
    table = costs().head(3)
    table["seconds"] = [np.nan, 0.25, 0.0]
    table["mebibytes"] = np.nan
    _, _, _, seconds, memory = legible(comparison_plots.cost_and_score(table))
    assert notes(seconds) == ["unknown", "0.25 s", "0 s"]
    assert list(seconds.lines[0].get_ydata()) == [1]
    assert notes(memory) == ["unknown"] * 3
    assert len(memory.lines[0].get_xdata()) == 0


def test_what_the_head_alone_has_is_one_more_cost():
    table = costs().assign(learned=[512, 1.5e6, 5130, 12, 99999, 4e4, 7, 1e3])
    scores, weights, learned, *others = legible(comparison_plots.cost_and_score(table))
    assert learned.get_title("left") == "weights taught:\nhead only"
    expected = table.sort_values("value", ascending=False)
    np.testing.assert_array_equal(weights.lines[0].get_xdata(), expected["weights"])
    np.testing.assert_array_equal(learned.lines[0].get_xdata(), expected["learned"])
    told = ["512", "40 k", "7", "1.5 M", "12", "100 k", "5.1 k", "1.0 k"]
    assert notes(learned) == told
    assert len(others) == 3
    assert len(scores.get_yticklabels()) == 8


def f1s():
    rows = [
        (name, metric, value, value - 0.02 * (value > 0), value + 0.01 * (value > 0))
        for number, name in enumerate((*NAMES[:6], COMMONEST, NOTHING))
        for metric, value in (
            (SAMPLES, {COMMONEST: 0.42, NOTHING: 0.0}.get(name, 0.75 - 0.01 * number)),
            (LABELS, {COMMONEST: 0.12, NOTHING: 0.0}.get(name, 0.7 - 0.02 * number)),
        )
    ]
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])


def test_two_kinds_of_f1_are_pairs_of_dots():
    table = f1s()
    figure = comparison_plots.two_f1(table)
    (panel,) = legible(figure)
    names = [*NAMES[:6], COMMONEST, NOTHING]
    assert words(panel.get_yticklabels()) == names
    dots = [line for line in panel.lines if len(line.get_xdata()) == 1]
    assert len(dots) == len(panel.collections) == 16
    for line, interval in zip(dots, panel.collections, strict=True):
        name = names[round(line.get_ydata()[0])]
        metric = SAMPLES if line.get_ydata()[0] < names.index(name) else LABELS
        assert line.get_marker() == {SAMPLES: "o", LABELS: "D"}[metric]
        row = table[(table["name"] == name) & (table["metric"] == metric)].iloc[0]
        assert line.get_xdata()[0] == row["value"]
        np.testing.assert_array_equal(interval.get_segments()[0][:, 0], row[["low", "high"]])
        colour = GREY if name in (COMMONEST, NOTHING) else {SAMPLES: OURS, LABELS: SOUND}[metric]
        assert line.get_color() == colour
        assert to_hex(interval.get_color()[0]) == colour
    assert sorted(words(panel.texts)) == sorted(f"{value:.3f}" for value in table["value"])
    (free,) = (line for line in panel.lines if line.get_linestyle() == ":")
    assert list(free.get_xdata()) == [0.42, 0.42]
    (key,) = figure.legends
    assert words(key.get_texts()) == [
        "averaged over recordings, as MRM-Net's released code has it",
        "averaged over labels: macro F1",
        "over recordings, the most common label to everyone",
    ]
    assert [handle.get_color() for handle in key.legend_handles] == [OURS, SOUND, GREY]


def test_without_constant_answers_there_is_no_line():
    table = f1s()
    (panel,) = legible(comparison_plots.two_f1(table[table["name"].isin(NAMES)]))
    assert not any(line.get_linestyle() == ":" for line in panel.lines)
    assert len(panel.get_yticklabels()) == 6
