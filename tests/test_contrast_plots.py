"""The pictures of windows of one class each: every number, name and place is as it was given."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from pecg_utils import contrast_plots
from pecg_utils.plots import OURS

CLASSES = ("N", "paced", "AVRT", "AVNRT", "VT", "atrial", "premature")

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def words(texts):
    return [text.get_text() for text in texts]


def cells(panel):
    """What is written in the cells: (row, column) -> words."""
    return {
        tuple(round(place) for place in text.get_position()[::-1]): text.get_text()
        for text in panel.texts
        if not hasattr(text, "xyann") and text.get_position()[1] >= -0.5
    }


def beside(panel):
    """What is written on the right of the rows: row -> words, from left to right."""
    found = {}
    for note in panel.texts:
        if hasattr(note, "xyann"):
            found.setdefault(note.xy[1], []).append((note.xyann[0], note.get_text()))
    return {row: [word for _, word in sorted(several)] for row, several in found.items()}


def windows_of(held):
    """A table and labels of {patient: (group, {class: windows})}."""
    rows = [
        (patient, group, name)
        for patient, (group, several) in held.items()
        for name, number in several.items()
        for _ in range(number)
    ]
    table = pd.DataFrame(rows, columns=["patient", "group", "rhythm"])
    table.insert(0, "record", table["patient"])
    return table, table["rhythm"].to_numpy()[:, None] == np.array(CLASSES)


SMALL = {
    "old": ("adult", {"N": 3, "VT": 4}),
    "b": ("child", {"N": 9, "AVRT": 2}),
    "a": ("child", {"N": 5, "AVRT": 1, "paced": 7}),
    "c": ("child", {"N": 1_200, "paced": 2}),
    "d": ("child", {"N": 2, "AVRT": 5, "paced": 1, "premature": 6}),
    "e": ("child", {"AVRT": 3}),
}


def test_subjects_are_sorted_and_counted():
    panel, bar = draw(contrast_plots.subjects(*windows_of(SMALL), CLASSES))
    rows, columns = words(panel.get_yticklabels()), words(panel.get_xticklabels())
    assert rows == ["N", "AVRT", "paced", "VT", "premature", "AVNRT", "atrial"]
    assert columns == ["d", "a", "b", "c", "e", "old"]  # N, AVRT and paced; N and AVRT; and so on
    expected = {
        (rows.index(name), columns.index(patient)): f"{number:,}"
        for patient, (_, several) in SMALL.items()
        for name, number in several.items()
    }
    assert cells(panel) == expected
    drawn = np.ma.filled(panel.images[0].get_array().astype(float), np.nan)
    for place, number in np.ndenumerate(drawn):
        assert np.isnan(number) == (place not in expected)
        assert np.isnan(number) or f"{number:,.0f}" == expected[place]
    assert beside(panel) == {
        -0.72: ["patients", "windows", "most from\none patient"],
        0: ["5", "1,219", "98 %"],
        1: ["4", "11", "45 %"],
        2: ["3", "10", "70 %"],
        3: ["1", "4", "100 %"],
        4: ["1", "6", "100 %"],
        5: ["0", "0", "–"],
        6: ["0", "0", "–"],
    }
    marked = [to_hex(name.get_color()) == OURS for name in panel.get_yticklabels()]
    assert marked == [False, False, True, True, True, True, True]
    assert [name.get_fontweight() == "bold" for name in panel.get_yticklabels()] == marked
    assert "bold orange rows: classes of 3 patients or fewer" in bar.get_xlabel()
    assert {text.get_rotation() for text in panel.texts} == {0}


def test_children_stand_before_adults():
    panel, _ = draw(contrast_plots.subjects(*windows_of(SMALL), CLASSES))
    heads = {t.get_text(): t.get_position() for t in panel.texts if t.get_position()[1] == -0.8}
    assert heads == {"5 children": (2, -0.8), "1 adult": (5, -0.8)}
    lines = [line.get_xdata() for line in panel.lines]
    np.testing.assert_allclose(lines, [[-0.35, 4.35], [4.65, 5.35], [4.5, 4.5]])
    table, labels = windows_of(SMALL)
    panel, _ = draw(contrast_plots.subjects(table.drop(columns="group"), labels, CLASSES))
    assert words(panel.get_xticklabels()) == ["d", "a", "b", "c", "old", "e"]
    assert not panel.lines
    table.loc[table["patient"] == "a", "group"] = None
    panel, _ = draw(contrast_plots.subjects(table, labels, CLASSES))
    assert words(panel.get_xticklabels()) == ["d", "b", "c", "e", "old", "a"]
    assert "1 unknown" in words(panel.texts)


def test_of_patients_with_the_same_classes_the_one_with_more_windows_comes_first():
    held = {
        name: ("child", {"N": 4, "VT": number})
        for name, number in zip("abc", (2, 9, 3), strict=True)
    }
    panel, _ = draw(contrast_plots.subjects(*windows_of(held), CLASSES))
    assert words(panel.get_xticklabels()) == ["b", "c", "a"]


@pytest.mark.parametrize(("patients", "written"), [(47, True), (80, False)])
def test_many_subjects_are_written_upright_or_not_at_all(patients, written):
    rng = np.random.default_rng(1)
    held = {
        f"x{n:03}": (
            "child" if n < patients - 10 else "adult",
            {"N": int(rng.integers(100, 2000)), CLASSES[n % 5]: int(rng.integers(1, 400))},
        )
        for n in range(patients)
    }
    panel, _ = draw(contrast_plots.subjects(*windows_of(held), CLASSES))
    assert panel.images[0].get_array().shape == (7, patients)
    assert len(cells(panel)) == (
        sum(len(several) for _, several in held.values()) if written else 0
    )
    turned = {text.get_rotation() for text in panel.texts if text.get_position()[1] in range(7)}
    assert 90 in turned or not written
    assert sorted(filter(None, words(panel.get_xticklabels()))) == (sorted(held) if written else [])


def test_confusion_shows_shares_of_the_truth():
    matrix = np.diag([980, 75, 3, 0, 10, 1, 2])
    matrix[0, 1], matrix[1, 0], matrix[2, 4], matrix[6, 3] = 2, 25, 1, 2
    (panel,) = draw(contrast_plots.confusion(matrix, CLASSES))
    none = "no window of this class to be judged by"
    assert cells(panel) == {
        **{(0, 0): "100 %", (0, 1): "< 1 %", (1, 0): "25 %", (1, 1): "75 %", (2, 2): "75 %"},
        **{(2, 4): "25 %", (3, 3): none, (4, 4): "100 %", (5, 5): "100 %"},
        **{(6, 3): "50 %", (6, 6): "50 %"},
    }
    drawn = np.ma.filled(panel.images[0].get_array(), 0)
    np.testing.assert_allclose(drawn.sum(axis=1), [1, 1, 1, 0, 1, 1, 1])
    assert panel.images[0].get_clim() == (0, 1)
    counts = [beside(panel)[row][0] for row in range(7)]
    assert counts[:5] == ["982 windows", "100 windows", "4 windows", "no windows", "10 windows"]
    assert words(panel.get_xticklabels()) == words(panel.get_yticklabels()) == list(CLASSES)
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("the answer", "the truth")
    grey = [patch for patch in panel.patches if patch.get_hatch()]
    assert [patch.get_bbox().bounds for patch in grey] == [(-0.5, 2.5, 7, 1)]
    right = [patch.get_bbox().bounds for patch in panel.patches if not patch.get_hatch()]
    assert right == [(n - 0.5, n - 0.5, 1, 1) for n in range(7) if n != 3]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def spaces():
    """Embeddings (200, 16) under two losses, their classes, and the prototypes (7, 16)."""
    rng = np.random.default_rng(3)
    centres = unit(rng.normal(size=(7, 16)))
    centres[3] = unit(centres[2:3] + 0.05 * centres[3:4])[0]  # two that lie on each other
    y = np.concatenate([np.arange(6), rng.choice(6, 194, p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04])])
    before, after = (unit(centres[y] + s * rng.normal(size=(200, 16))) for s in (0.3, 0.05))
    return before, after, y, centres


def pictured(spaces, seen=None):
    before, after, y, centres = spaces
    seen = np.ones(7, bool) if seen is None else seen
    every = np.ones(7, bool)
    left, right = (
        SimpleNamespace(z=z, labels=y, prototypes=centres, seen=there)
        for z, there in ((before, seen), (after, every))
    )
    return contrast_plots.embeddings(left, right, CLASSES, ("one", "two"))


def flat(z, other):
    """`other` on the two axes along which z varies most, up to their signs; and the part there."""
    _, sizes, axes = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    return np.abs((other - z.mean(axis=0)) @ axes[:2].T), (sizes[:2] ** 2).sum() / (sizes**2).sum()


def test_each_panel_is_projected_on_its_own_axes(spaces):
    *both, y, centres = spaces
    panels = draw(pictured(spaces))
    for panel, z, title in zip(panels, both, ("one", "two"), strict=True):
        places, part = flat(z, z)
        assert panel.get_title("left") == f"{title}: {100 * part:.0f} % of the variance"
        dots = {each.get_label(): each.get_offsets() for each in panel.collections}
        for number, name in enumerate(CLASSES):
            np.testing.assert_allclose(np.abs(dots[name]), places[y == number], atol=1e-9)
        large = {line.get_label(): line.get_xydata() for line in panel.lines}
        for name, at in zip(CLASSES, flat(z, centres)[0], strict=True):
            np.testing.assert_allclose(np.abs(large[name]), [at], atol=1e-9)
        x, y_ = panel.transData.transform([(1, 1)])[0] - panel.transData.transform([(0, 0)])[0]
        assert x == pytest.approx(y_)  # one scale for both axes
        rare = [list(dots).index(name) for name in ("N", "paced", "premature")]
        assert rare == sorted(rare)
    assert panels[0].get_title("left") != panels[1].get_title("left")


def test_a_class_is_told_by_its_marker_and_its_name(spaces):
    figure = pictured(spaces)
    (key,) = figure.legends
    counts = np.bincount(spaces[2], minlength=7)
    assert words(key.get_texts()) == [
        f"{name} ({n})" for name, n in zip(CLASSES, counts, strict=True)
    ]
    markers = [handle.get_marker() for handle in key.legend_handles]
    assert len(set(markers)) == 7
    assert len(set(contrast_plots._LOOKS)) == 13
    for panel in draw(figure):
        drawn = {line.get_label(): line.get_marker() for line in panel.lines}
        assert [drawn[name] for name in CLASSES] == markers
        symbols = {line.get_label(): line.get_xydata()[0] for line in panel.lines}
        assert sorted(words(panel.texts)) == sorted(CLASSES)
        points = {name: panel.transData.transform(at) for name, at in symbols.items()}
        for note in panel.texts:
            box = Text.get_window_extent(note)
            assert not any(box.contains(*at) for at in points.values())
            away = np.hypot(*(np.clip(points[note.get_text()], box.min, box.max) - points[
                note.get_text()]))  # fmt: skip
            assert away < 16 or note.arrow_patch.get_visible()


def test_a_class_without_a_prototype_is_named_as_such(spaces):
    seen = np.array([True] * 5 + [False, False])
    one, two = draw(pictured(spaces, seen))
    assert words(one.texts) == list(CLASSES[:5])
    assert len(one.lines) == 5
    assert one.get_xlabel() == "first component\n(without a prototype: atrial, premature)"
    assert len(two.texts) == 7
    assert two.get_xlabel() == "first component"


def test_weights_show_every_number():
    rng = np.random.default_rng(0)
    similar = np.round(np.corrcoef(rng.normal(size=(7, 12))), 3)
    psi = 1 + np.abs(similar) / 3
    phi = np.array([0.1, 0.2, 0.3, 0.4, 1.5, 0, 4.5])
    counts = np.array([5210, 900, 700, 310, 45, 0, 20])
    alike, harder, bars = draw(contrast_plots.weights(similar, psi, phi, counts, CLASSES))
    there = [n for n in range(7) if n != 5]
    assert similar.min() < 0
    assert cells(alike) == {
        (c, j): f"{similar[c, j]:.2f}".replace("-", "−") for c in there for j in there
    }
    assert cells(harder) == {
        (c, j): f"{psi[c, j]:.2f}" for c in there for j in there if c != j
    }  # fmt: skip
    assert alike.images[0].get_clim() == (similar[np.ix_(there, there)].min(), 1)
    assert harder.images[0].get_clim() == (1, 2)
    for panel in (alike, harder):
        shown = np.ma.getmaskarray(np.ma.masked_invalid(panel.images[0].get_array()))
        assert shown[5].all()
        assert shown[:, 5].all()
        assert words(panel.get_xticklabels()) == list(CLASSES)
    assert words(alike.get_yticklabels()) == list(CLASSES)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], phi)
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars.patches] == pytest.approx(range(7))
    for panel in (alike, harder, bars):  # a row is one class in all three
        assert panel.get_ylim() == (6.5, -0.5)
    notes = [text for text in bars.texts if text.get_text() not in ("windows",)]
    assert words(notes) == [
        *("0.10", "0.20", "0.30", "0.40", "1.50", "0.00", "4.50"),
        *("5,210", "900", "700", "310", "45", "none", "20"),
    ]
    assert [panel.get_title("left")[0] for panel in (alike, harder, bars)] == ["S", "ψ", "φ"]


def brightness(colour):
    """The relative luminance that WCAG 2 reckons contrast by."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_words_stand_out_from_their_cells():
    similar = np.linspace(0, 1, 49).reshape(7, 7)
    figure = contrast_plots.weights(similar, 1 + similar, np.ones(7), np.ones(7, int), CLASSES)
    panel = draw(figure)[0]
    image = panel.images[0]
    for text in panel.texts:
        column, row = text.get_position()
        cell = image.cmap(image.norm(similar[row, column]))[:3]
        one, two = sorted([brightness(text.get_color()), brightness(cell)])
        assert (two + 0.05) / (one + 0.05) > 3.7


def ablation():
    terms = ("CE", "CE + align", "+ phi")
    rows = [
        (name, seed, metric, value := 0.5 + 0.1 * n + 0.01 * seed + more, value - 0.1, value + 0.2)
        for n, name in enumerate(terms)
        for seed in (7, 1, 3)
        for metric, more in (("top1", 0.2), ("f1", -0.05 * n * n))
    ]
    return pd.DataFrame(rows, columns=["terms", "seed", "metric", "value", "low", "high"])


def test_seeds_are_dots_about_their_mean():
    rows = ablation()
    figure = contrast_plots.seeds(rows)
    panels = draw(figure)
    assert words(panels[0].get_yticklabels()) == ["CE", "CE + align", "+ phi"]
    assert [panel.get_xlabel() for panel in panels] == ["top-1 accuracy", "macro F1"]
    for panel, metric in zip(panels, ("top1", "f1"), strict=True):
        part = rows[rows["metric"] == metric]
        dots, first = panel.lines
        np.testing.assert_array_equal(dots.get_xdata(), part["value"])
        places = dots.get_ydata()
        assert np.round(places).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert len(set(places)) == 9
        assert all(one < two for one, two in pairwise(places))
        thin, means = panel.collections
        ends = np.array([segment[:, 0] for segment in thin.get_segments()])
        np.testing.assert_array_equal(ends, part[["low", "high"]])
        assert [segment[0, 1] for segment in thin.get_segments()] == places.tolist()
        mean = part.groupby("terms", sort=False)["value"].mean().to_numpy()
        np.testing.assert_allclose([segment[0, 0] for segment in means.get_segments()], mean)
        middles = [segment[:, 1].mean() for segment in means.get_segments()]
        assert middles == pytest.approx([0, 1, 2])
        assert first.get_xdata() == pytest.approx([mean[0]] * 2)
        assert first.get_linestyle() == ":"
        assert panel.get_ylim() == (2.5, -0.5)  # the first stands on top
    top = {0: ["0.737"], 1: ["0.837 (+0.100)"], 2: ["0.937 (+0.200)"]}
    assert beside(panels[0]) == top
    (key,) = figure.legends
    assert words(key.get_texts()) == ["a seed", "its interval", "mean of the seeds", "that of CE"]


def test_terms_that_lack_a_value_say_so():
    rows = ablation()
    rows = rows[(rows["terms"] != "CE + align") | (rows["metric"] != "f1")]
    rows.loc[(rows["terms"] == "+ phi") & (rows["metric"] == "f1"), "value"] -= 0.2
    one, two = draw(contrast_plots.seeds(rows))
    assert beside(two) == {0: ["0.537"], 1: ["no value"], 2: ["0.337 (−0.200)"]}
    assert len(two.lines[0].get_xdata()) == 6
    assert len(one.lines[0].get_xdata()) == 9
