"""The pictures of what choosing adds: every number, mark, name and place is as it was given."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from pecg_utils import choosing_plots
from pecg_utils.plots import GREY, INK, OURS, SOUND

pytestmark = pytest.mark.usefixtures("drawn_and_closed")

MODELS = (
    *("alexnet1d", "vgg11", "vgg16", "resnet18", "att_resnet", "crnn_lstm", "crnn_gru"),
    *("res_transformer", "transformer"),
)
LENGTHS = (1024, 2048, 4096, 5000)
SCALED = ("none", "z-score a lead", "z-score", "min-max")
RULES = {
    "by the test side, as coded": (OURS, "o"),
    "by validation": (SOUND, "D"),
    "last epoch": (GREY, "s"),
}
CHOICES = ("configuration by the test side", "configuration by validation")


def words(texts):
    return [text.get_text() for text in texts]


def legible(figure):
    """Its panels; no word is smaller than 8 points."""
    panels = draw(figure)
    assert all(text.get_fontsize() >= 8 for text in figure.findobj(Text) if text.get_text())
    return panels


def stored(rows):
    """The table as it comes back from a kept record: None where there is no number."""
    return pd.DataFrame(json.loads(pd.DataFrame(rows).to_json(orient="records")), dtype=object)


def marks(panel, colour, marker):
    """Where these markers are: (x, y) each."""
    (line,) = (
        line for line in panel.lines if (line.get_color(), line.get_marker()) == (colour, marker)
    )
    return line.get_xydata()


def bars(panel, colour):
    """The upright bars of this colour: (x, lower y, upper y) each."""
    (found,) = (c for c in panel.collections if to_hex(c.get_color()[0]) == colour)
    return np.array([(end[0, 0], *sorted(end[:, 1])) for end in found.get_segments() if len(end)])


def beside(panel):
    """What stands on the right, by row; its head is at -0.55."""
    return {note.xy[1]: note.get_text() for note in panel.texts if note.xy[0] == 1}


def luminance(colour):
    """Of WCAG 2: 0 black, 1 white."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def grid_rows(models=MODELS, lengths=LENGTHS, scaled=SCALED):
    """What looks like a study. The third model's last normalisation was not tried."""
    rng = np.random.default_rng(1)
    rows = []
    for (m, model), length, (n, name) in product(enumerate(models), lengths, enumerate(scaled)):
        value = 0.68 + 0.03 * np.log2(length / 1024) * (m % 2) + 0.03 * n + rng.normal(0, 0.03)
        row = {"model": model, "samples": length, "normalise": name, "value": value}
        row |= {"low": value - 0.05, "high": value + 0.04, "validation": rng.uniform(0.6, 0.9)}
        if (m, n) != (2, 3):
            rows.append(row)
    return rows


@pytest.mark.parametrize(("models", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3)])
def test_cells_of_a_model_are_framed_and_starred(models, columns):
    table = stored(grid_rows(MODELS[:models]))
    figure = choosing_plots.grid(table)
    *panels, bar = legible(figure)
    assert [panel.get_title("left") for panel in panels] == list(MODELS[:models])
    assert len({panel.get_position().x0.round(3) for panel in panels}) == columns
    shades = {(image.norm.vmin, image.norm.vmax) for p in panels for image in p.images}
    assert shades == {(table["value"].astype(float).min(), table["value"].astype(float).max())}
    for number, (model, panel) in enumerate(zip(MODELS, panels, strict=False)):
        part = table[table["model"] == model]
        (image,) = panel.images
        shown = np.ma.filled(image.get_array().astype(float), np.nan)  # (rows, columns)
        cells = {tuple(text.get_position()): text for text in panel.texts}
        assert shown.shape == (len(SCALED), len(LENGTHS))
        assert len(cells) == shown.size
        for _, one in part.iterrows():
            column, row = LENGTHS.index(one["samples"]), SCALED.index(one["normalise"])
            assert shown[row, column] == one["value"]
            text = cells.pop((column, row))
            assert text.get_text() == f"{one['value']:.3f}"
            ground = image.cmap(image.norm(one["value"]))
            both = sorted(map(luminance, (ground, text.get_color())))
            assert (both[1] + 0.05) / (both[0] + 0.05) > 3.7  # at the worst ground, 3.8 can be had
        assert {text.get_text() for text in cells.values()} == ({"–"} if number == 2 else set())
        best = part.iloc[part["validation"].astype(float).argmax()]
        (frame,) = (patch for patch in panel.patches if isinstance(patch, Rectangle))
        middle = (frame.get_x() + frame.get_width() / 2, frame.get_y() + frame.get_height() / 2)
        assert middle == pytest.approx(
            (LENGTHS.index(best["samples"]), SCALED.index(best["normalise"]))
        )
        assert to_hex(frame.get_edgecolor()) == OURS
        best = part.iloc[part["value"].astype(float).argmax()]
        (star,) = (line for line in panel.lines if line.get_marker() == "*")
        place = tuple(np.round(star.get_xydata()[0]))
        assert place == (LENGTHS.index(best["samples"]), SCALED.index(best["normalise"]))
        lowest, left = number + columns >= models, number % columns == 0
        under = ["1,024\n2.0 s", "2,048\n4.1 s", "4,096\n8.2 s", "5,000\n10.0 s"]
        assert words(panel.get_xticklabels()) == (under if lowest else [""] * 4)
        assert words(panel.get_yticklabels()) == (list(SCALED) if left else [""] * 4)
    assert bar.get_xlabel() == "AUROC, test side"
    (key,) = figure.legends
    assert words(key.get_texts()) == ["best by validation", "best by the test side"]
    assert key.legend_handles[1].get_marker() == "*"
    assert to_hex(key.legend_handles[0].get_edgecolor()) == OURS


def test_many_lengths_have_room_and_seconds_are_of_the_rate():
    table = stored(grid_rows(MODELS[:3], (500, 1000, 1500, 2048, 4096, 5000)))
    *panels, _ = legible(choosing_plots.grid(table, fs=250.0))
    assert len({panel.get_position().x0.round(3) for panel in panels}) == 2
    assert words(panels[-1].get_xticklabels())[0] == "500\n2.0 s"


def test_a_grid_of_one_cell_or_without_numbers():
    one = stored(grid_rows(MODELS[:1], LENGTHS[:1], SCALED[:1]))
    panel, _ = legible(choosing_plots.grid(one))
    assert len(panel.texts) == len(panel.patches) == len(panel.lines) == 1
    table = stored(grid_rows(MODELS[:2]))
    table.loc[table["model"] == "vgg11", "validation"] = None
    table.loc[table["model"] == "alexnet1d", "value"] = None
    first, second, _ = legible(choosing_plots.grid(table))
    assert set(words(first.texts)) == {"–"}
    assert [len(panel.patches) for panel in (first, second)] == [1, 0]
    assert [len(panel.lines) for panel in (first, second)] == [0, 1]


def optimism_rows(models=MODELS, metrics=("auroc", "f1"), seeds=5):
    rng = np.random.default_rng(2)
    return [
        {"model": model, "rule": rule, "metric": metric, "seed": seed}
        | {"value": 0.7 - 0.3 * (metric == "f1") - 0.02 * k + rng.normal(0, 0.012)}
        for (m, model), (k, rule), metric, seed in product(
            enumerate(models), enumerate(RULES), metrics, range(seeds)
        )
        if (m, k, metric, seed) != (1, 2, "f1", 0)
    ]


@pytest.mark.parametrize(("models", "metrics"), [(1, ["auroc"]), (9, ["auroc", "f1"]), (2, ["f1"])])
def test_each_training_is_a_dot_by_rule_and_their_mean_a_bar(models, metrics):
    names = MODELS[:models]
    table = stored(optimism_rows(names, metrics))
    figure = choosing_plots.optimism(table)
    panels = legible(figure)
    called = {"auroc": "AUROC, test side", "f1": "F1, test side"}
    assert [panel.get_xlabel() for panel in panels] == [called[metric] for metric in metrics]
    assert words(panels[0].get_yticklabels()) == list(names)
    for panel, metric in zip(panels, metrics, strict=True):
        means, heights = {}, []
        for rule, (colour, marker) in RULES.items():
            part = table[(table["metric"] == metric) & (table["rule"] == rule)]
            at = marks(panel, colour, marker)
            np.testing.assert_array_equal(at[:, 0], part["value"].astype(float))
            assert [names[round(y)] for y in at[:, 1]] == list(part["model"])
            mean = part.astype({"value": float}).groupby("model", sort=False)["value"].mean()
            middles = bars(panel, colour)
            np.testing.assert_allclose(middles[:, 0], mean[list(names)])
            np.testing.assert_allclose(middles[:, 1:].mean(axis=1), sorted(set(at[:, 1])))
            means[rule] = mean
            heights.append(at[0, 1])
        assert (np.diff(heights) > 0.15).all()
        coded, sound, _ = means.values()
        told = beside(panel)
        assert told.pop(-0.55) == "added by\nthe test side"
        added = {n: f"{coded[name] - sound[name]:+.3f}" for n, name in enumerate(names)}
        assert told == {n: text.replace("-", "−") for n, text in added.items()}
    (key,) = figure.legends
    assert words(key.get_texts()) == [
        "epoch by the test side, as coded",
        "epoch by validation",
        "last epoch",
        "mean of the trainings",
    ]
    shown = [(h.get_color(), h.get_marker()) for h in key.legend_handles]
    assert shown == [*RULES.values(), (INK, "|")]


def test_a_rule_or_a_value_that_is_not_there_is_left_out():
    table = stored(optimism_rows(MODELS[:2], ["auroc"]))
    coded = (table["rule"] == "by the test side, as coded") & (table["model"] == "vgg11")
    table.loc[coded, "value"] = None
    (panel,) = legible(choosing_plots.optimism(table))
    assert beside(panel)[1] == "–"
    assert beside(panel)[0] != "–"
    figure = choosing_plots.optimism(table[table["rule"] != "by validation"])
    (panel,) = legible(figure)
    assert beside(panel) == {}
    assert len(figure.legends[0].get_texts()) == 3


@pytest.mark.parametrize(("models", "metrics"), [(1, ["auroc"]), (9, ["auroc", "f1"])])
def test_draws_are_dots_and_the_sound_test_a_bar(models, metrics):
    rng = np.random.default_rng(3)
    names = MODELS[:models]
    table = stored(
        {"model": model, "draw": draw, "metric": metric, "value": rng.normal(0.7, 0.02)}
        for model, metric, draw in product(names, metrics, range(21))
        if (model, draw) not in (("vgg11", 0), ("vgg16", 7))
    )
    figure = choosing_plots.noisy(table)
    panels = legible(figure)
    named = [panel.get_xlabel() for panel in panels]
    assert named == [{"auroc": "AUROC", "f1": "F1"}[metric] for metric in metrics]
    assert words(panels[0].get_yticklabels()) == list(names)
    for panel, metric in zip(panels, metrics, strict=True):
        of = table[table["metric"] == metric].astype({"value": float})
        draws, sound = of[of["draw"] != 0], of[of["draw"] == 0]
        at = marks(panel, OURS, "o")
        np.testing.assert_array_equal(at[:, 0], draws["value"])
        assert [names[round(y)] for y in at[:, 1]] == list(draws["model"])
        assert len(np.unique(np.round(at[:20, 1], 3))) == 20  # beside each other
        lines = bars(panel, SOUND)
        np.testing.assert_array_equal(lines[:, 0], sound["value"])
        middles = [names.index(model) for model in sound["model"]]
        np.testing.assert_allclose(lines[:, 1:].mean(axis=1), middles, atol=1e-9)
        told = beside(panel)
        assert told.pop(-0.55) == "draws lie\napart"
        by = draws.groupby("model")["value"]
        apart = (by.max() - by.min())[list(names)]
        assert list(told.values()) == [f"{number:.3f}" for number in apart]
    (key,) = figure.legends
    assert words(key.get_texts()) == ["one random test, as coded", "the test without random draws"]
    assert [handle.get_color() for handle in key.legend_handles] == [OURS, SOUND]


def test_without_draws_or_without_a_sound_test_the_rest_is_drawn():
    rows = [
        {"model": model, "draw": draw, "metric": "auroc", "value": 0.7 + 0.01 * draw}
        for model, draw in product(MODELS[:2], range(4))
    ]
    table = stored(rows)
    (panel,) = legible(choosing_plots.noisy(table[table["draw"] == 0]))
    assert beside(panel) == {-0.55: "draws lie\napart", 0: "–", 1: "–"}
    (panel,) = legible(choosing_plots.noisy(table[table["draw"] != 0]))
    assert beside(panel)[1] == "0.020"
    assert len(marks(panel, OURS, "o")) == 6


def chosen_table(models):
    """By validation the first is best; by the test side the second is as good, the third worse."""
    sound = [0.79 - 0.01 * m for m in range(models)]
    more = [0.02, 0.0, -0.004, 0.0301, 0.012, 0.001, 0.038, -0.0002, 0.02]
    rows = [
        {"rule": rule, "model": model, "value": value + (gain if rule == CHOICES[0] else 0)}
        for model, value, gain in zip(MODELS[:models], sound, more, strict=False)
        for rule in CHOICES
    ]
    return stored(rows[::-1])


@pytest.mark.parametrize("models", [1, 3, 9])
def test_choices_are_two_dots_that_are_joined(models):
    table = chosen_table(models)
    figure = choosing_plots.chosen(table)
    (panel,) = legible(figure)
    names = list(MODELS[:models])
    assert words(panel.get_yticklabels()) == names
    by = table.astype({"value": float}).pivot(index="model", columns="rule", values="value")
    coded, sound = (by.loc[names, rule] for rule in CHOICES)
    for values, look in ((coded, (OURS, "o")), (sound, (SOUND, "D"))):
        at = marks(panel, *look)
        np.testing.assert_array_equal(at[:, 0], values)
        assert list(at[:, 1]) == list(range(models))
    (joins,) = panel.collections
    ends = [(*line[:, 0], *line[:, 1]) for line in joins.get_segments()]
    assert ends == [(s, c, n, n) for n, (s, c) in enumerate(zip(sound, coded, strict=True))]
    told = beside(panel)
    assert told.pop(-0.55) == "added by\nthe test side"
    added = ["+0.020", "+0.000", "−0.004", "+0.030", "+0.012", "+0.001", "+0.038", "+0.000"]
    assert list(told.values())[:8] == added[:models]
    for place, pair in enumerate(zip(coded, sound, strict=True)):
        notes = [note for note in panel.texts if note.xy[1] == place and note.xy[0] != 1]
        assert {note.get_text() for note in notes} == {f"{value:.3f}" for value in pair}
        for note in notes:  # on the outside, beside its own dot
            assert note.get_text() == f"{note.xy[0]:.3f}"
            assert (note.xyann[0] > 0) == (note.xy[0] == max(pair))
    (key,) = figure.legends
    assert words(key.get_texts()) == list(CHOICES[::-1])
    shown = [(handle.get_color(), handle.get_marker()) for handle in key.legend_handles]
    assert shown == [(SOUND, "D"), (OURS, "o")]


def test_a_model_without_one_of_the_choices_has_one_dot():
    table = chosen_table(3)
    table.loc[(table["model"] == "vgg11") & (table["rule"] == CHOICES[1]), "value"] = None
    (panel,) = legible(choosing_plots.chosen(table))
    assert words(panel.get_yticklabels()) == ["alexnet1d", "vgg16", "vgg11"]
    assert beside(panel)[2] == "–"
    assert np.isnan(marks(panel, SOUND, "D")[2, 0])
    assert "0.780" in words(panel.texts)
