"""The pictures of what pre-training brings: every number, name and place is as it was given."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex
from matplotlib.text import Text

from pecg_utils import small_plots
from pecg_utils.plots import GREY, INK

pytestmark = pytest.mark.usefixtures("drawn_and_closed")

MODELS = (
    *("alexnet1d", "vgg11", "vgg16", "resnet18", "att_resnet", "crnn_lstm", "crnn_gru"),
    *("res_transformer", "transformer"),
)
WAYS = {"from scratch": ("#7b8794", "s"), "head only": ("#4fa3d1", "^"), "all weights": (INK, "o")}
SIZES = (50, 100, 200, 400, 741)
NOTHING = dict.fromkeys(
    ("value", "low", "high", "least", "most", "gain", "gain_low", "gain_high"), None
)


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


def made(models=MODELS, sizes=SIZES, sources=("PTB-XL",), metric="auroc", lack=True):
    """What looks like a study. The sixth model lacks a value, the third some rows."""
    rng = np.random.default_rng(1)
    rows = []
    for (m, model), way, (k, size) in product(enumerate(models), WAYS, enumerate(sizes)):
        for s, source in enumerate(sources if way != "from scratch" else ("",)):
            gain = {"from scratch": 0.0, "head only": 0.12 - 0.04 * k, "all weights": 0.09}[way]
            gain += (0.01 * np.cos(3 * m) - 0.02 * s) * (way != "from scratch")
            value = 0.52 + 0.05 * k + 0.01 * np.sin(m) + gain
            row = {"name": f"{model}, {way}, {size}", "model": model, "way": way, "trials": 3}
            row |= {"source": source, "size": size, "metric": metric, "value": value}
            row |= {"low": value - rng.uniform(0.03, 0.08), "high": value + rng.uniform(0.02, 0.06)}
            row |= {"least": value - 0.012, "most": value + rng.uniform(0.01, 0.02), "gain": gain}
            row |= {"gain_low": gain - rng.uniform(0.02, 0.07), "gain_high": gain + 0.05}
            if lack and (m, way, size) == (5, "head only", 100):
                row |= NOTHING
            if not lack or (m, way, size > 300) != (2, "all weights", True):
                rows.append(row)
    return stored(rows)


def segments(panel, width, colour):
    """The whiskers or bars of this width and colour: (first x, first y, last x, last y) each."""
    points = [
        end.ravel()
        for lines in panel.collections
        if np.allclose(lines.get_linewidth(), width) and to_hex(lines.get_color()[0]) == colour
        for end in lines.get_segments()
        if len(end)
    ]
    return np.array(points).reshape(-1, 4)


def marks(panel, way, hollow=False):
    """The one set of markers of a way in a panel."""
    colour, marker = WAYS[way]
    (line,) = (
        line
        for line in panel.lines
        if (line.get_color(), line.get_marker()) == (colour, marker)
        and (line.get_markerfacecolor() == "white") == hollow
    )
    return line


def joins(panel, way, dashes="-"):
    (line,) = (
        line
        for line in panel.lines
        if (line.get_color(), line.get_marker()) == (WAYS[way][0], "None")
        and line.get_linestyle() == dashes
    )
    return line


def numbers(table, *columns):
    return table[list(columns)].astype(float).to_numpy().squeeze()


@pytest.mark.parametrize(("models", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (7, 3), (9, 3)])
def test_a_way_is_a_line_over_the_sizes_in_the_panel_of_its_model(models, columns):
    table = made(MODELS[:models])
    figure = small_plots.curves(table)
    panels = legible(figure)
    assert [panel.get_title("left") for panel in panels] == list(MODELS[:models])
    assert len({panel.get_position().x0.round(3) for panel in panels}) == columns
    assert len({(panel.get_xlim(), panel.get_ylim()) for panel in panels}) == 1
    whole = numbers(table[table["value"].notna()], "low", "high")
    for number, panel in enumerate(panels):
        low, high = panel.get_ylim()
        assert low < min(0.5, whole.min()) < whole.max() < high
        assert panel.get_xscale() == "log"
        for way, (colour, _) in WAYS.items():
            part = table[(table["model"] == MODELS[number]) & (table["way"] == way)]
            part = part[part["value"].notna()]
            line, join = marks(panel, way), joins(panel, way)
            np.testing.assert_array_equal(line.get_ydata(), numbers(part, "value"))
            np.testing.assert_array_equal(join.get_xydata(), line.get_xydata())
            np.testing.assert_allclose(line.get_xdata(), numbers(part, "size"), rtol=0.12)
            whiskers, bars = segments(panel, 1.2, colour), segments(panel, 6, colour)
            np.testing.assert_array_equal(whiskers[:, [1, 3]], numbers(part, "low", "high"))
            np.testing.assert_array_equal(bars[:, [1, 3]], numbers(part, "least", "most"))
            for at in (whiskers[:, 0], whiskers[:, 2], bars[:, 0], bars[:, 2]):
                np.testing.assert_allclose(at, line.get_xdata())
        (chance,) = (line for line in panel.lines if line.get_linestyle() == ":")
        assert list(chance.get_ydata()) == [0.5, 0.5]
        assert list(panel.get_xticks()) == list(SIZES)
        lowest = number + columns >= models
        assert panel.get_xlabel() == ("recordings taught" if lowest else "")
        assert words(panel.get_xticklabels()) == ([str(s) for s in SIZES] if lowest else [""] * 5)
        assert panel.get_ylabel() == ("" if number % columns else "AUROC")
        assert panel.yaxis.get_tick_params()["labelleft"] == (number % columns == 0)
    (key,) = figure.legends
    named = [*WAYS, "95 % over patients", "least to most over trainings"]
    assert words(key.get_texts()) == named
    shown = [(h.get_color(), h.get_marker()) for h in key.legend_handles[:3]]
    assert shown == list(WAYS.values())


def test_ways_stand_side_by_side():
    figure = small_plots.curves(made(MODELS[:6], (50, 100, 741), lack=False))
    for panel in legible(figure):
        for size in range(3):
            at = [marks(panel, way).get_xydata()[size] for way in WAYS]
            x = panel.transData.transform(at)[:, 0] * 72 / figure.dpi  # points
            assert (np.diff(x) > 5).all()
            assert np.ptp(x) < 20


def test_a_second_source_is_dashed_and_hollow():
    sources = ("PTB-XL", "CPSC2018")
    table = made(MODELS[:3], sources=sources)
    figure = small_plots.curves(table)
    for model, panel in zip(MODELS, legible(figure), strict=False):
        of = table[(table["model"] == model) & table["value"].notna()]
        plain = numbers(of[of["way"] == "from scratch"], "value")
        np.testing.assert_array_equal(marks(panel, "from scratch").get_ydata(), plain)
        for way, (source, dashes) in product(
            ("head only", "all weights"), zip(sources, ("-", "--"), strict=True)
        ):
            part = of[(of["way"] == way) & (of["source"] == source)]
            line = marks(panel, way, hollow=dashes == "--")
            np.testing.assert_array_equal(line.get_ydata(), numbers(part, "value"))
            np.testing.assert_array_equal(joins(panel, way, dashes).get_ydata(), line.get_ydata())
    key = {text.get_text(): h for text, h in zip_key(figure)}
    assert list(key)[::2] == [*WAYS, "95 % over patients"]  # the upper line of the key
    first, second = (key[f"pre-trained on {source}"] for source in sources)
    assert (first.get_linestyle(), first.get_markerfacecolor()) == ("-", GREY)
    assert (second.get_linestyle(), second.get_markerfacecolor()) == ("--", "white")
    assert "least to most over trainings" in key


def zip_key(figure):
    (key,) = figure.legends
    return list(zip(key.get_texts(), key.legend_handles, strict=True))


def test_one_size_and_no_intervals_are_drawn_too():
    table = made(MODELS[:2], (741,), lack=False)
    table[["low", "high", "least", "most"]] = None
    for panel in legible(small_plots.curves(table)):
        assert words(panel.get_xticklabels()) == ["741"]
        at = [marks(panel, way).get_xdata()[0] for way in WAYS]
        assert at[1] == pytest.approx(741)
        assert panel.get_xlim()[0] < at[0] < at[1] < at[2] < panel.get_xlim()[1]
        assert len(segments(panel, 1.2, INK)) == 0


def test_chance_is_in_view_where_all_are_far_above_it():
    table = made(MODELS[:2], lack=False)
    for column in ("value", "low", "high", "least", "most"):
        table[column] = table[column].astype(float) / 10 + 0.85
    for panel in legible(small_plots.curves(table)):
        assert panel.get_ylim()[0] < 0.5


def test_a_model_of_which_nothing_is_known_has_an_empty_panel():
    table = made(MODELS[:2], lack=False)
    table.loc[table["model"] == "vgg11", ["value", "low", "high", "least", "most"]] = None
    _, panel = legible(small_plots.curves(table))
    assert all(len(marks(panel, way).get_xdata()) == 0 for way in WAYS)
    table["value"] = table["low"] = table["high"] = table["least"] = table["most"] = None
    assert len(legible(small_plots.curves(table))) == 2


def test_only_the_metric_that_is_asked_for_is_drawn():
    both = pd.concat([made(MODELS[:2]), made(MODELS[:2], metric="f1").assign(value=0.25)])
    panels = legible(small_plots.curves(both, "f1"))
    assert {panel.get_ylabel() for panel in panels} == {"F1", ""}
    assert set(marks(panels[0], "all weights").get_ydata()) == {0.25}
    assert not any(line.get_linestyle() == ":" for line in panels[0].lines)
    (panel, *_) = legible(small_plots.gains(both, "f1"))
    assert panel.get_xlabel() == "F1, less that from scratch"


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ((50, 100, 200, 400, 741), ["50", "100", "200", "400", "741"]),
        ((100, 400, 741, 927, 17084), ["100", "400", "", "927", "17,084"]),
        ((850, 927), ["850", "927"]),
        ((50, 880, 900, 927), ["50", "", "", "927"]),
        ((741,), ["741"]),
    ],
)
def test_sizes_that_would_lie_on_others_are_not_written(sizes, shown):
    panels = legible(small_plots.curves(made(MODELS[:3], sizes, lack=False)))
    for panel in panels:
        assert list(panel.get_xticks()) == list(sizes)
        assert words(panel.get_xticklabels()) == shown


@pytest.mark.parametrize("models", [1, 9])
@pytest.mark.parametrize("sizes", [(50, 100, 200, 400, 741), (30, 100, 300), (50, 741), (741,)])
def test_gains_are_dots_by_model_and_panels_by_size(models, sizes):
    table = made(MODELS[:models], sizes)
    figure = small_plots.gains(table)
    panels = legible(figure)
    chosen = [50, 200, 741] if len(sizes) == 5 else list(sizes)
    titles = [panel.get_title("left") for panel in panels]
    assert titles == [f"{size} recordings taught" for size in chosen]
    table = table[table["way"] != "from scratch"]
    first = table[(table["way"] == "all weights") & (table["size"] == chosen[0])]
    order = list(first.astype({"gain": float}).sort_values("gain", ascending=False)["model"])
    order += [model for model in MODELS[:models] if model not in order]
    if sizes == (741,) and models == 9:
        assert order[-1] == "vgg16"  # of which that is not known
    assert words(panels[0].get_yticklabels()) == order
    assert len({panel.get_xlim() for panel in panels}) == 1
    for panel, size in zip(panels, chosen, strict=True):
        assert panel is panels[0] or not any(words(panel.get_yticklabels()))
        assert panel.get_ylim() == (models - 0.5, -0.5)
        grounds = [band.get_y() for band in panel.patches]  # of every other row
        assert grounds == [row - 0.5 for row in range(0, models, 2)]
        assert panel.get_xlabel() == "AUROC, less that from scratch"
        (zero,) = (line for line in panel.lines if line.get_linestyle() == ":")
        assert list(zero.get_xdata()) == [0, 0]
        for way, above in (("head only", True), ("all weights", False)):
            part = table[(table["way"] == way) & (table["size"] == size)]
            part = part[part["gain"].notna()].set_index("model")
            line = marks(panel, way)
            there = np.isfinite(line.get_xdata())
            at = line.get_xydata()[there]
            own = part.loc[[model for model in order if model in part.index]]
            np.testing.assert_array_equal(at[:, 0], numbers(own, "gain").reshape(-1))
            rows = np.array([order.index(model) for model in own.index])
            assert (np.abs(at[:, 1] - rows) < 0.3).all()
            assert ((at[:, 1] < rows) == above).all()
            whiskers = segments(panel, 1.6, WAYS[way][0])
            ends = numbers(own, "gain_low", "gain_high").reshape(-1, 2)
            np.testing.assert_array_equal(whiskers[:, [0, 2]], ends)
            np.testing.assert_array_equal(whiskers[:, 1], at[:, 1])
            low, high = panel.get_xlim()
            assert low < ends.min()
            assert ends.max() < high
    assert [t.get_text() for t, _ in zip_key(figure)] == [*list(WAYS)[1:], "95 % over patients"]


def test_gains_from_a_second_source_are_hollow():
    sources = ("PTB-XL", "CPSC2018")
    table = made(sources=sources)
    figure = small_plots.gains(table)
    panels = legible(figure)
    order = words(panels[0].get_yticklabels())
    first = table[(table["size"] == 50) & (table["way"] != "from scratch")]
    for way, (k, source) in product(("head only", "all weights"), enumerate(sources)):
        part = first[(first["way"] == way) & (first["source"] == source)].set_index("model")
        line = marks(panels[0], way, hollow=bool(k))
        np.testing.assert_array_equal(line.get_xdata(), numbers(part.loc[order], "gain"))
        np.testing.assert_array_equal(np.round(line.get_ydata()), range(9))
    places = [line.get_ydata()[0] for line in panels[0].lines if line.get_marker() in "^o"]
    assert (np.diff(sorted(places)) > 0.15).all()
    key = {text.get_text(): handle for text, handle in zip_key(figure)}
    faces = [key[f"pre-trained on {source}"].get_markerfacecolor() for source in sources]
    assert faces == [GREY, "white"]


def test_gains_without_intervals_have_dots_alone():
    table = made(MODELS[:3], lack=False)
    table[["gain_low", "gain_high"]] = None
    for panel in legible(small_plots.gains(table)):
        assert np.isfinite(marks(panel, "all weights").get_xdata()).all()
        assert len(segments(panel, 1.6, INK)) == 0
