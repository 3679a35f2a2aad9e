"""The pictures of the way from adults to children: every number, name and place is as given."""

import json

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from pecg_utils import transfer_plots
from pecg_utils.plots import GREY, INK, OURS, SOUND

pytestmark = pytest.mark.usefixtures("drawn_and_closed")

METHODS = ("from scratch", "fine-tuning", "linear probe", "DANN", "MMD", "CLIP", "PEACE")
SHOTS = ("0", "10", "50", "100", "all")
MODES = ("0", "10", "all")
BANDS = (
    *("under 1 month", "1 to 12 months", "1 to 3 years", "3 to 5 years"),
    *("5 to 8 years", "8 to 12 years", "over 12 years"),
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
    text = pd.DataFrame(rows).to_json(orient="records")
    return pd.DataFrame(json.loads(text), dtype=object)


def interval(value, rng):
    return {"value": value, "low": value - rng.uniform(0.01, 0.05), "high": value + 0.02}


def segments(panel, width, colour=None):
    """The whiskers or bars of this width: (first x, first y, last x, last y) each."""
    found = [
        lines.get_segments()
        for lines in panel.collections
        if np.allclose(lines.get_linewidth(), width)
        and (colour is None or to_hex(lines.get_color()[0]) == colour)
    ]
    points = np.array([end for each in found for end in each if len(end)])
    return points.reshape(-1, 4) if len(points) else np.empty((0, 4))


def dots(panel, colour):
    """The markers of this colour within the panel: (x, y) each."""
    found = [
        line.get_xydata()
        for line in panel.lines
        if line.get_marker() != "None" and line.get_color() == colour and line.get_clip_on()
    ]
    whole = np.concatenate(found)
    return whole[np.isfinite(whole).all(axis=1)]


def dotted(panel):
    (line,) = (line for line in panel.lines if line.get_linestyle() == ":")
    return line


def shots_rows(methods=METHODS, metrics=("auroc", "average_precision"), apart=0.006):
    rng = np.random.default_rng(1)
    rows = []
    for metric in metrics:
        for m, method in enumerate(methods):
            for s, shots in enumerate(SHOTS):
                value = 0.55 + 0.07 * s + apart * m - 0.3 * (metric != "auroc")
                row = {"name": f"{method}, {shots}", "method": method, "shots": shots}
                row |= {"recordings": (0, 212.4, 830, 1391, 6100)[s], "metric": metric, "trials": 3}
                row |= {**interval(value, rng), "least": value - 0.008, "most": value + 0.012}
                if method == "from scratch" and shots == "0":
                    row |= dict.fromkeys(("value", "low", "high", "least", "most"))
                rows.append(row)
    return rows


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
def test_each_method_is_a_line_over_the_shots(metric):
    table = stored(shots_rows())
    (panel,) = legible(transfer_plots.shots(table, metric))
    table = table[table["metric"] == metric]
    assert len(set(transfer_plots._METHODS.values())) == len(METHODS)
    for method, (colour, marker) in transfer_plots._METHODS.items():
        part = table[(table["method"] == method) & table["value"].notna()]
        (line,) = (
            line
            for line in panel.lines
            if line.get_color() == colour and line.get_marker() == marker and line.get_clip_on()
        )
        np.testing.assert_array_equal(line.get_ydata(), part["value"].astype(float))
        places = [SHOTS.index(shots) for shots in part["shots"]]
        np.testing.assert_allclose(line.get_xdata(), places, atol=0.38)
        whiskers, bars = segments(panel, 1.2, colour), segments(panel, 9, colour)
        np.testing.assert_array_equal(whiskers[:, [1, 3]], part[["low", "high"]].astype(float))
        np.testing.assert_array_equal(bars[:, [1, 3]], part[["least", "most"]].astype(float))
        for at in (whiskers[:, 0], whiskers[:, 2], bars[:, 0]):
            np.testing.assert_allclose(at, line.get_xdata())
    assert words(panel.get_xticklabels()) == [
        "0\nno child",
        "10\n212 recordings",
        "50\n830 recordings",
        "100\n1,391 recordings",
        "all\n6,100 recordings",
    ]
    assert panel.get_ylabel() == {"auroc": "macro AUROC"}.get(metric, "macro average precision")
    assert [line.get_linestyle() for line in panel.lines].count(":") == (metric == "auroc")
    if metric == "auroc":
        assert list(dotted(panel).get_ydata()) == [0.5, 0.5]


def test_methods_stand_side_by_side():
    figure = transfer_plots.shots(stored(shots_rows(apart=0.0)))
    (panel,) = legible(figure)
    bars = segments(panel, 9)
    at = np.sort(panel.transData.transform(bars[:, :2])[:, 0]) * 72 / figure.dpi  # points
    assert len(at) == 34
    assert np.diff(at).min() > 9.5


@pytest.mark.parametrize("apart", [-0.01, 0.0, 0.0005, 0.05])
def test_names_stand_at_the_right_in_the_order_of_the_last_values(apart):
    (panel,) = legible(transfer_plots.shots(stored(shots_rows(apart=apart))))
    named = sorted(panel.texts, key=lambda text: text.get_position()[1])
    if apart:
        assert words(named) == list(METHODS if apart > 0 else METHODS[::-1])
    low, high = panel.get_ylim()
    ends = segments(panel, 1.2)
    assert low < ends[:, 1].min()
    assert ends[:, 3].max() < high
    for text in named:
        colour, marker = transfer_plots._METHODS[text.get_text()]
        (key,) = (k for k in panel.lines if not k.get_clip_on() and k.get_color() == colour)
        assert key.get_marker() == marker
        assert key.get_ydata()[0] == text.get_position()[1]
        assert panel.get_xlim()[1] < key.get_xdata()[0] < text.get_position()[0]
        assert (text.get_fontweight() == "bold") == (text.get_text() == "PEACE")
    if apart == 0.05:  # far enough from each other to stand where they are
        values = [0.83 + apart * m for m in range(7)]
        np.testing.assert_allclose([t.get_position()[1] for t in named], values, atol=1e-9)


def test_a_method_without_a_value_has_no_line_and_one_without_a_name_here_has_its_own():
    rows = shots_rows(("PEACE", "MERL", "KED"))
    for row in rows:
        if row["method"] == "KED":
            row |= dict.fromkeys(("value", "low", "high", "least", "most"))
    (panel,) = legible(transfer_plots.shots(stored(rows)))
    assert sorted(words(panel.texts)) == ["MERL", "PEACE"]
    colours = {line.get_color() for line in panel.lines if line.get_marker() != "None"}
    assert len(colours) == 2
    assert OURS in colours


def label_rows(labels=12):
    rng = np.random.default_rng(2)
    rows = []
    for n in range(labels):
        for k, mode in enumerate(MODES):
            row = {"label": f"L{n}", "words": f"label number {n}" + " of long words" * (n == 3)}
            row |= {"mode": mode, **interval(0.3 + 0.13 * k + rng.uniform(0, 0.25), rng)}
            rows.append(row | {"positives": 7 + n, "adults": 1000 * n})
    return rows


@pytest.mark.parametrize("labels", [2, 39])
def test_labels_are_sorted_by_the_last_mode(labels):
    table = stored(label_rows(labels))
    table.loc[table["label"] == "L0", "adults"] = None
    figure = transfer_plots.per_label(table)
    (panel,) = legible(figure)
    by = table[table["mode"] == "all"].set_index("label")["value"].astype(float)
    order = list(by.sort_values(ascending=False).index)
    named = [text.replace("\n", " ") for text in words(panel.get_yticklabels())]
    assert [name.split("[")[1] for name in named] == [f"{label}]" for label in order]
    assert named[order.index("L1")] == "label number 1 [L1]"
    assert panel.get_ylim() == (labels - 0.5, -0.5)
    looks = {"0": OURS, "10": SOUND, "all": INK}
    for mode, colour in looks.items():
        part = table[table["mode"] == mode].set_index("label").loc[order]
        found, whiskers = dots(panel, colour), segments(panel, 1.5, colour)
        np.testing.assert_array_equal(found[:, 0], part["value"].astype(float))
        np.testing.assert_array_equal(np.round(found[:, 1]), range(labels))
        np.testing.assert_array_equal(whiskers[:, [0, 2]], part[["low", "high"]].astype(float))
        np.testing.assert_array_equal(whiskers[:, 1], found[:, 1])
    counts = {}
    for note in panel.texts:
        counts.setdefault(note.xy[1], {})[note.xyann[0]] = note.get_text()
    told = {row: [several[x] for x in sorted(several)] for row, several in counts.items()}
    assert told.pop(-0.55) == ["children\ntested", "adults\ntaught"]
    for place, label in enumerate(order):
        n = int(label[1:])
        assert told[place] == [str(7 + n), f"{1000 * n:,}" if n else "–"]
    assert list(dotted(panel).get_xdata()) == [0.5, 0.5]
    (key,) = figure.legends
    assert words(key.get_texts()) == [
        "no child taught",
        "10 shots",
        "all children taught",
        "95 % over patients",
    ]
    assert [handle.get_color() for handle in key.legend_handles] == [*looks.values(), GREY]
    drawn = {(line.get_color(), line.get_marker()) for line in panel.lines[:3]}
    assert drawn == {(h.get_color(), h.get_marker()) for h in key.legend_handles[:3]}


def test_labels_that_cannot_be_judged_come_last():
    rows = label_rows(3)
    for row in rows:
        if row["label"] == "L1" and row["mode"] == "all":
            row |= dict.fromkeys(("value", "low", "high"))
    rows = [row for row in rows if (row["label"], row["mode"]) != ("L0", "all")]
    (panel,) = legible(transfer_plots.per_label(stored(rows)))
    assert words(panel.get_yticklabels()) == [f"label number {n} [L{n}]" for n in (2, 0, 1)]
    assert len(dots(panel, INK)) == 1
    assert len(dots(panel, SOUND)) == 3


def test_modes_go_from_none_to_all_and_each_looks_its_own_way():
    modes = transfer_plots._modes(pd.Series(["all", "100", "10", "0", "50", "10"]))
    assert modes == ["0", "10", "50", "100", "all"]
    looks = transfer_plots._of_modes(modes)
    assert len({(colour, look["marker"]) for colour, look in looks.values()}) == 5
    assert len({look["marker"] for _, look in looks.values()}) == 5
    assert [look.get("markerfacecolor") for _, look in looks.values()] == ["white", *[None] * 4]


def test_ages_stand_from_left_to_right_with_the_children_under_them():
    rng = np.random.default_rng(3)
    rows = [
        {"band": band, "windows": 99, "patients": 35 * j + 1230, "mode": mode}
        | interval(0.5 + 0.03 * j + 0.1 * k, rng)
        for j, band in enumerate(BANDS)
        for k, mode in enumerate(("all", "10", "0"))
        if (band, mode) != ("under 1 month", "10")
    ]
    table = stored(rows)
    (panel,) = legible(transfer_plots.by_age(table))
    under = [f"{band}\n{35 * j + 1230:,} children" for j, band in enumerate(BANDS)]
    assert words(panel.get_xticklabels()) == under
    for mode, colour in (("0", OURS), ("10", SOUND), ("all", INK)):
        part = table[table["mode"] == mode]
        found, whiskers = dots(panel, colour), segments(panel, 1.6, colour)
        np.testing.assert_array_equal(found[:, 1], part["value"].astype(float))
        assert [BANDS[round(x)] for x in found[:, 0]] == list(part["band"])
        np.testing.assert_array_equal(whiskers[:, [1, 3]], part[["low", "high"]].astype(float))
        np.testing.assert_array_equal(whiskers[:, 0], found[:, 0])
    at = np.sort(segments(panel, 1.6)[:, 0])
    assert np.diff(at).min() > 0.1
    assert list(dotted(panel).get_ydata()) == [0.5, 0.5]


PARTS = ("no text", "w/o LSBC", "w/o CAF", "single text")
CLAIMED = {"0": (-0.134, -0.032, -0.123, -0.102), "10": (), "all": (-0.247, -0.019, -0.011, -0.029)}


def ablation_rows():
    rows = []
    for k, mode in enumerate(MODES):
        whole = {"name": "complete", "mode": mode, "value": 0.6 + 0.12 * k, "apart": 0.015}
        rows.append({**whole, "gain": None, "gain_low": None, "gain_high": None, "claimed": None})
        for n, name in enumerate(PARTS):
            gain = 0.004 * n - 0.01 * k
            rows.append({**whole, "name": name, "value": whole["value"] + gain, "gain": gain})
            rows[-1] |= {"gain_low": gain - 0.02, "gain_high": gain + 0.01, "apart": 0.05}
            rows[-1]["claimed"] = CLAIMED[mode][n] if CLAIMED[mode] else None
    return rows


def test_what_a_part_brings_stands_beside_what_the_paper_says():
    table = stored(ablation_rows())
    figure = transfer_plots.ablation(table)
    panels = legible(figure)
    assert [panel.get_title("left") for panel in panels] == [
        "no child taught\ncomplete: 0.600",
        "10 shots\ncomplete: 0.720",
        "all children taught\ncomplete: 0.840",
    ]
    assert len({panel.get_xlim() for panel in panels}) == 1
    named = ["".join(words(panel.get_yticklabels())) for panel in panels]
    assert named == ["".join(PARTS), "", ""]
    for panel, mode in zip(panels, MODES, strict=True):
        part = table[(table["mode"] == mode) & (table["name"] != "complete")]
        found, theirs = dots(panel, SOUND), dots(panel, INK)
        np.testing.assert_array_equal(found[:, 0], part["gain"].astype(float))
        np.testing.assert_array_equal(np.round(found[:, 1]), range(4))
        whiskers = segments(panel, 2, SOUND)
        expected = part[["gain_low", "gain_high"]].astype(float)
        np.testing.assert_array_equal(whiskers[:, [0, 2]], expected)
        np.testing.assert_array_equal(theirs[:, 0], CLAIMED[mode])
        np.testing.assert_array_equal(np.round(theirs[:, 1]), range(len(theirs)))
        (band,) = panel.patches
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-0.015, 0.015))
        written = [f"{float(x):+.3f}" for x in (*part["gain"], *CLAIMED[mode])]
        assert sorted(words(panel.texts)) == sorted(written)
    (open_,) = (line for line in panels[0].lines if line.get_marker() == "D")
    assert open_.get_markerfacecolor() == "white"
    assert words(figure.legends[0].get_texts()) == [
        "the paper",
        "here, and its interval: 95 % over patients",
        "seeds lie so far apart",
    ]


@pytest.mark.parametrize(("mode", "titles"), [("all", 1), (["10", "0"], 2)])
def test_an_ablation_may_be_of_some_modes(mode, titles):
    panels = legible(transfer_plots.ablation(stored(ablation_rows()), mode))
    assert len(panels) == titles
    assert panels[0].get_title("left").startswith("all" if mode == "all" else "10 shots")


def test_an_ablation_of_seeds_that_agree_has_no_claim_and_no_band():
    rows = [{**row, "claimed": None, "apart": None} for row in ablation_rows()]
    panels = legible(transfer_plots.ablation(stored(rows)))
    assert all(np.isfinite(panel.get_xlim()).all() for panel in panels)
    assert len(panels[0].texts) == len(PARTS)


def test_controls_stand_under_the_real_texts():
    rng = np.random.default_rng(4)
    names = ("real", "random", "shuffled", "one-hot", "untrained")
    rows = [
        {"name": name, "mode": mode, **interval(0.62 - 0.04 * n + 0.1 * k, rng)}
        | {"least": 0.6 - 0.04 * n + 0.1 * k, "most": 0.63 - 0.04 * n + 0.1 * k}
        for n, name in enumerate(names)
        for k, mode in enumerate(MODES)
        if (name, mode) != ("untrained", "all")
    ]
    table = stored(rows)
    figure = transfer_plots.controls(table)
    panels = legible(figure)
    titles = [panel.get_title("left") for panel in panels]
    assert titles == ["no child taught", "10 shots", "all children taught"]
    assert words(panels[0].get_yticklabels()) == list(names)
    for panel, mode in zip(panels, MODES, strict=True):
        part = table[table["mode"] == mode]
        assert list(dotted(panel).get_xdata()) == [0.5, 0.5]
        assert panel.get_xlim() == panels[0].get_xlim()
        assert panel.get_xlim()[0] < table["low"].astype(float).min()
        for colour, own in ((SOUND, part["name"] == "real"), (INK, part["name"] != "real")):
            chosen = part[own]
            found = dots(panel, colour)
            np.testing.assert_array_equal(found[:, 0], chosen["value"].astype(float))
            assert [names[int(y)] for y in found[:, 1]] == list(chosen["name"])
            for width, ends in ((1.2, ["low", "high"]), (11, ["least", "most"])):
                lines = segments(panel, width, colour)[: len(chosen), [0, 2]]
                np.testing.assert_array_equal(lines, chosen[ends].astype(float))
        assert words(panel.texts) == [f"{value:.3f}" for value in part["value"]]
    key = words(figure.legends[0].get_texts())
    assert key == ["95 % over patients", "least to most over draws or seeds"]


def test_a_leak_has_a_marker_for_what_was_given():
    rng = np.random.default_rng(5)
    looks = {"ECG alone": SOUND, "its own tokens": OURS, "another's tokens": INK}
    taught = ("in the path", "beside", "shuffled", "none")
    rows = [
        {"taught": row, "seen": seen, **interval(0.97 - 0.2 * s - 0.01 * n, rng)}
        for n, row in enumerate(taught)
        for s, seen in enumerate(looks)
        if row != "none" or seen == "ECG alone"
    ]
    table = stored(rows)
    figure = transfer_plots.leak(table)
    (panel,) = legible(figure)
    assert words(panel.get_yticklabels()) == list(taught)
    places = set()
    for seen, colour in looks.items():
        part = table[table["seen"] == seen]
        found = dots(panel, colour)
        np.testing.assert_array_equal(found[:, 0], part["value"].astype(float))
        assert [taught[round(y)] for y in found[:, 1]] == list(part["taught"])
        whiskers = segments(panel, 1.5, colour)
        np.testing.assert_array_equal(whiskers[:, [0, 2]], part[["low", "high"]].astype(float))
        places |= set(found[:, 1])
    assert len(places) == len(table)
    assert sorted(words(panel.texts)) == sorted(f"{value:.3f}" for value in table["value"])
    (key,) = figure.legends
    assert words(key.get_texts()) == [*looks, "95 % over patients"]
    alone = legible(transfer_plots.leak(table[table["seen"] == "ECG alone"]))
    assert len(alone[0].texts) == 4


def flagged_rows(rate=0.05, most=0.45):
    return [
        {"label": f"L{n}", "words": f"label number {n}", "band": band, "children": 1100 + j}
        | {"share": share, "low": max(share - 0.03, 0), "high": share + 0.03, "rate": rate}
        for n in range(9)
        for j, band in enumerate(BANDS)
        for share in [round(most * n * (7 - j) / 56, 4)]
        if (n, j) != (3, 0)
    ]


def luminance(colour):
    """Of WCAG 2: 0 black, 1 white."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize(
    ("rate", "most"), [(0.05, 0.45), (0.05, 1.0), (0.05, 0.06), (0.09, 0.3), (0.025, 0.14)]
)
def test_healthy_children_who_are_called_carriers_are_counted_in_cells(rate, most):
    rows = flagged_rows(rate, most)
    panel, bar = legible(transfer_plots.flagged(stored(rows)))
    names, bands = words(panel.get_yticklabels()), words(panel.get_xticklabels())
    assert names == [f"label number {n} [L{n}]" for n in range(9)]
    assert bands == [f"{band}\n{1100 + j:,} children" for j, band in enumerate(BANDS)]
    cells = {tuple(map(round, text.get_position())): text for text in panel.texts}
    assert len(cells) == 9 * len(BANDS)
    (image,) = panel.images
    shown = np.ma.filled(image.get_array().astype(float), np.nan)
    assert cells.pop((0, 3)).get_text() == "–"
    assert np.isnan(shown[3, 0])
    for row in rows:
        column, line = BANDS.index(row["band"]), int(row["label"][1:])
        text, share = cells.pop((column, line)), row["share"]
        assert shown[line, column] == share
        expected = "< 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
        assert text.get_text() == expected
        beyond = row["low"] > rate or row["high"] < rate
        assert (text.get_fontweight() == "bold") == beyond
        both = sorted(map(luminance, (image.cmap(image.norm(share)), text.get_color())))
        assert (both[1] + 0.05) / (both[0] + 0.05) > 3.7  # at the worst ground, 3.8 can be had
    assert image.norm(rate) == 0.5
    assert image.norm(0.0) == 0.0
    assert image.norm(max(most, 2 * rate)) == pytest.approx(1.0)
    assert f"{100 * rate:.3g} %" in words(bar.get_xticklabels())
    assert (
        f"as of healthy adults\nbold: the interval over patients leaves out {100 * rate:.3g} %"
        in (bar.get_xlabel())
    )
