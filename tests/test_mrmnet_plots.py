"""The pictures of what is audited of MRM-Net: every number, name and place is as it was given."""

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex

from pecg_utils import mrmnet_plots, picked
from pecg_utils.data.cpsc_ways import RATES
from pecg_utils.picked import AS_CODED, MEAN, RULES
from pecg_utils.plots import GREY, INK, OURS
from pecg_utils.plots import SOUND as BLUE

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def words(texts):
    return [text.get_text() for text in texts]


def dots(panel, colour=None):
    """The lines that are drawn as dots, (x, y) each."""
    return [
        line.get_xydata()
        for line in panel.lines
        if line.get_marker() == "o" and colour in (None, line.get_color())
    ]


def intervals(panel, number=0):
    """(low, high, place) of each horizontal line."""
    segments = panel.collections[number].get_segments()
    return [(of[0][0], of[1][0], of[0][1]) for of in segments if len(of)]


def trainings(count, epochs, spread=0.02):
    """As picked.table gives them: `count` trainings, three of a fold, with their rules."""
    rng = np.random.default_rng(count)
    seen, taken = [], []
    for number in range(count):
        rows = [
            (epoch, side, answer, 0.9 - 0.3 / (epoch + 1) + spread * rng.normal(), 0.5)
            for side in ("validation", "test")
            for answer in (MEAN, "high", "low")
            for epoch in range(1, epochs + 1)
        ]
        one = pd.DataFrame(rows, columns=["epoch", "side", "answer", "auroc", "f1"])
        one["f1"] += spread * rng.normal(size=len(one))
        one["both"] = one["auroc"] + one["f1"]
        block = {"seed": number % 3, "fold": 10 - number // 3}
        seen.append(one.assign(**block))
        taken.append(picked.rules(one).assign(**block))
    return pd.concat(seen, ignore_index=True), pd.concat(taken, ignore_index=True)


SIZES = [(6, 12), (1, 3), (30, 40), (2, 1)]


@pytest.mark.parametrize(("count", "epochs"), SIZES)
def test_a_line_a_training_and_where_it_was_stopped(count, epochs):
    seen, taken = trainings(count, epochs)
    figure = mrmnet_plots.epochs(seen, taken)
    left, *_ = draw(figure, 12)
    mean = seen[(seen["side"] == "test") & (seen["answer"] == MEAN)]
    lines = [line for line in left.lines if line.get_marker() != "o"]
    assert len(lines) == count
    for line, (_, of) in zip(lines, mean.groupby(["seed", "fold"]), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), of[["epoch", "auroc"]])
    for rule, colour in ((AS_CODED, OURS), (picked.SOUND, BLUE)):
        (drawn,) = dots(left, colour)
        np.testing.assert_array_equal(drawn, taken.loc[taken["rule"] == rule, ["epoch", "auroc"]])
    assert (left.get_xlabel(), left.get_ylabel()) == ("epoch", "macro AUROC, test side")
    (key,) = figure.legends
    assert words(key.get_texts()) == ["one training, mean of the heads", AS_CODED, picked.SOUND]
    colours = [handle.get_color() for handle in key.legend_handles]
    assert colours == [GREY, OURS, BLUE]


@pytest.mark.parametrize(("count", "epochs"), SIZES)
def test_each_rule_is_drawn_above_the_sound_one(count, epochs):
    seen, taken = trainings(count, epochs)
    _, *panels = draw(mrmnet_plots.epochs(seen, taken), 12)
    rules = [rule for rule in RULES if rule != picked.SOUND]
    for panel, metric in zip(panels, ("auroc", "f1"), strict=True):
        above = picked.optimism(taken, metric)
        assert len(dots(panel)) == len(rules)
        for place, rule, drawn in zip((3, 2, 1, 0), rules, dots(panel), strict=True):
            values = above.loc[above["rule"] == rule, "above"]
            np.testing.assert_array_equal(drawn[:, 0], values)
            assert np.abs(drawn[:, 1] - place).max() <= 0.2
            assert drawn[:, 1].mean() == pytest.approx(place)
            note = next(t for t in panel.texts if round(t.xy[1] - 0.3) == place)
            assert note.get_text() == f"{values.mean():+.3f}"
            bar = next(
                line
                for line in panel.lines
                if line.get_marker() == "None" and np.mean(line.get_ydata()) == pytest.approx(place)
            )
            assert list(bar.get_xdata()) == pytest.approx([values.mean()] * 2)
            assert bar.get_color() == (OURS if rule == AS_CODED else INK)
        (zero,) = (line for line in panel.lines if line.get_linestyle() == ":")
        assert list(zero.get_xdata()) == [0, 0]
    assert [words.replace("\n", " ") for words in words(panels[0].get_yticklabels())] == rules
    assert not any(words(panels[1].get_yticklabels()))
    assert [panel.get_xlabel() for panel in panels] == [
        "macro AUROC above the sound rule's",
        "sample-wise F1 above the sound rule's",
    ]


@pytest.mark.parametrize("spread", [1e-3, 0.2])
def test_epochs_are_legible_however_little_they_differ(spread):
    for count, epochs in ((1, 1), (2, 1), (3, 8), (2, 40)):
        left, *_ = draw(mrmnet_plots.epochs(*trainings(count, epochs, spread)), 12)
        low, high = left.get_xlim()
        shown = [place for place in left.get_xticks() if low <= place <= high]
        assert shown
        assert all(place == round(place) for place in shown)  # an epoch is whole


def test_a_thousandth_is_legible():
    """As one short training may have it: long numbers at the axis."""
    seen, taken = trainings(1, 1)
    taken["auroc"] = [0.8 - 0.00115, 0.8, 0.8 - 0.00115, 0.8, 0.8]
    _, middle, _ = draw(mrmnet_plots.epochs(seen, taken), 12)
    assert words(middle.texts) == ["-0.001", "+0.000", "-0.001", "+0.000"]


NAMES = ["MRM-Net", "high alone", "low alone", "exchange", "features by step", "+ logits"]


def compared(names=NAMES, interval=True):
    """As comparison.table gives it."""
    rng = np.random.default_rng(len(names))
    rows = []
    for number, name in enumerate(names):
        for metric, level in (("auroc", 0.9), ("f1", 0.6)):
            gain = 0.0 if number == 0 else rng.normal(0, 0.02)
            apart = 0.01 if metric == "auroc" else 0.03
            ends = [gain - 0.011 * (number > 0), gain + 0.017 * (number > 0)]
            value = level + gain
            rows.append((name, metric, 3, value, value - 0.02, value + 0.01, apart, gain, *ends))
            rows[-1] = (*rows[-1][:6], apart * (number + 1), *rows[-1][7:])
    columns = ["name", "metric", "trials", "value", "low", "high", "apart"]
    table = pd.DataFrame(rows, columns=[*columns, "gain", "gain_low", "gain_high"])
    if not interval:
        table[["low", "high", "gain_low", "gain_high"]] = np.nan
    return table


@pytest.mark.parametrize("names", [NAMES, NAMES[:2], [*NAMES, "T = 1", "Bernoulli", "no gates"]])
def test_gains_are_drawn_with_their_intervals(names):
    table = compared(names)
    panels = draw(mrmnet_plots.gains(table))
    for panel, metric, label in zip(
        panels, ("auroc", "f1"), ("macro AUROC", "macro F1"), strict=True
    ):
        of = table[(table["metric"] == metric) & (table["name"] != "MRM-Net")]
        places = np.arange(len(of))[::-1]
        (drawn,) = dots(panel)
        np.testing.assert_array_equal(drawn, np.column_stack([of["gain"], places]))
        ends = list(zip(of["gain_low"], of["gain_high"], places, strict=True))
        assert intervals(panel) == ends
        noted = {note.xy[1]: note.get_text() for note in panel.texts}
        assert noted == {
            place: f"{gain:+.3f}" for place, gain in zip(places, of["gain"], strict=True)
        }
        assert panel.get_xlabel() == f"{label}, less MRM-Net"
        (zero,) = (line for line in panel.lines if line.get_linestyle() == ":")
        assert list(zero.get_xdata()) == [0, 0]
    assert words(panels[0].get_yticklabels()) == names[1:]
    assert not any(words(panels[1].get_yticklabels()))


def test_the_grey_band_is_the_first_models_own():
    table = compared()
    for panel, apart in zip(draw(mrmnet_plots.gains(table)), (0.01, 0.03), strict=True):
        (band,) = panel.patches
        box = band.get_extents().transformed(panel.transData.inverted())
        assert (box.x0, box.x1) == (pytest.approx(-apart), pytest.approx(apart))
        assert to_hex(band.get_facecolor()) == GREY


def test_one_metric_has_one_panel():
    (panel,) = draw(mrmnet_plots.gains(compared(), ("f1",)))
    assert panel.get_xlabel() == "macro F1, less MRM-Net"
    assert words(panel.get_yticklabels()) == NAMES[1:]


def test_gains_without_intervals_are_dots_alone():
    table = compared(interval=False)
    for panel, metric in zip(draw(mrmnet_plots.gains(table)), ("auroc", "f1"), strict=True):
        of = table[(table["metric"] == metric) & (table["name"] != "MRM-Net")]
        np.testing.assert_array_equal(dots(panel)[0][:, 0], of["gain"])
        assert intervals(panel) == []
        assert len(panel.texts) == 5


def beating():
    """Rates of 60 recordings before and after stretching, some slow and short, some unknown."""
    rng = np.random.default_rng(0)
    true = rng.uniform(40, 150, 60)
    short = rng.random(60) < 0.3
    stretched = np.where(short, true * rng.uniform(0.6, 0.95, 60), true)
    true[0], short[0], stretched[0] = 45.0, True, 27.0  # six seconds
    true[1], short[1], stretched[1] = 50.0, True, np.nan
    true[2], short[2], stretched[2] = np.nan, False, np.nan
    true[3], short[3], stretched[3] = 70.0, False, 188.0  # a detector's mistake
    return true, stretched, short


@pytest.mark.parametrize("fast", [150.0, 260.0])
def test_every_rate_is_in_the_picture(fast):
    true, stretched, short = beating()
    true[4], stretched[4], short[4] = fast, fast * 0.7, True
    (panel,) = draw(mrmnet_plots.rates(true, stretched, short), 6.6)
    grey, orange = dots(panel, GREY)[0], dots(panel, OURS)[0]
    np.testing.assert_array_equal(grey, np.column_stack([true, stretched])[~short])
    np.testing.assert_array_equal(orange, np.column_stack([true, stretched])[short])
    low, high = panel.get_xlim()
    assert panel.get_ylim() == (low, high)  # so that the line is where nothing was moved
    shown = np.concatenate([grey, orange])
    shown = shown[np.isfinite(shown).all(axis=1)]
    assert low < shown.min() < shown.max() < high
    same = [line.get_xydata() for line in panel.lines if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(same, [[(low, low), (high, high)]])
    edges = [line for line in panel.lines if line.get_linestyle() == ":"]
    assert sorted(min(line.get_xdata()) for line in edges) == [0, 0, 60, 100]
    assert sorted(min(line.get_ydata()) for line in edges) == [0, 0, 60, 100]
    assert words(panel.get_legend().get_texts()) == ["10 s and longer", "under 10 s, stretched"]
    assert "1/min" in panel.get_xlabel()
    assert "in the window" in panel.get_ylabel()


@pytest.mark.parametrize("of", ["none short", "all short"])
def test_rates_without_one_of_the_kinds(of):
    true, stretched, _ = beating()
    short = np.full(60, of == "all short")
    (panel,) = draw(mrmnet_plots.rates(true, stretched, short), 6.6)
    assert [len(drawn) for drawn in dots(panel)] == ([0, 60] if of == "all short" else [60, 0])


def banded(bands=tuple(RATES), interval=True):
    rows = [
        (band, 10 * number + 7, 10 * number + 6, value, value - 0.1, value + 0.04, name)
        for shift, name in ((0, "sound: all labels"), (-0.06, "data_process.py: all labels"))
        for number, band in enumerate(bands)
        for value in [0.72 + 0.07 * number + shift]
    ]
    columns = ["band", "windows", "patients", "value", "low", "high", "name"]
    table = pd.DataFrame(rows, columns=columns)
    return table if interval else table.assign(low=np.nan, high=np.nan)


@pytest.mark.parametrize("bands", [tuple(RATES), tuple(RATES)[1:], tuple(RATES)[::-1]])
def test_classes_of_rate_are_drawn_for_both(bands):
    table = banded(bands)
    figure = mrmnet_plots.by_rate(table)
    (panel,) = draw(figure, 8)
    order = [band for band in RATES if band in bands]
    names = ["sound: all labels", "data_process.py: all labels"]
    counts = table.set_index(["name", "band"])["windows"]
    expected = [f"{band}\n{counts[names[0], band]} recordings" for band in order]
    assert words(panel.get_yticklabels()) == expected
    assert panel.get_yticks().tolist() == list(range(len(order)))[::-1]
    for number, (name, colour, shift) in enumerate(
        zip(names, (BLUE, OURS), (0.13, -0.13), strict=True)
    ):
        of = table[table["name"] == name].set_index("band").loc[order]
        (drawn,) = dots(panel, colour)
        np.testing.assert_array_equal(drawn[:, 0], of["value"])
        np.testing.assert_allclose(drawn[:, 1], np.arange(len(order))[::-1] + shift)
        ends = np.array(intervals(panel, number))
        np.testing.assert_array_equal(ends[:, :2], of[["low", "high"]])
        np.testing.assert_array_equal(ends[:, 2], drawn[:, 1])
    (key,) = figure.legends
    assert words(key.get_texts()) == names
    assert [handle.get_color() for handle in key.legend_handles] == [BLUE, OURS]
    (chance,) = (line for line in panel.lines if line.get_linestyle() == ":")
    assert list(chance.get_xdata()) == [0.5, 0.5]
    assert panel.get_xlabel() == "macro AUROC"


def test_a_class_without_an_interval_is_a_dot():
    (panel,) = draw(mrmnet_plots.by_rate(banded(interval=False)), 8)
    assert [len(drawn) for drawn in dots(panel)] == [3, 3]
    assert np.isfinite(panel.get_xlim()).all()
