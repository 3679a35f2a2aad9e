"""The pictures of electrograms draw the intervals that they are given, where they were measured."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pecg_utils import electrogram_plots
from pecg_utils.electrograms import CHANNELS, CS, SURFACE, Stretch
from pecg_utils.plots import OURS, SOUND

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def stretch(rhythm="AVRT", va=(120.0, 122.0, np.nan), leads=(*SURFACE, *CHANNELS), first="CS12"):
    """Three beats; where `va` is known the atrium follows, in sinus rhythm it goes before."""
    sign, name = (-1, "av") if rhythm == "N" else (1, "va")
    onset = np.array([0.22, 0.55, 0.88])
    rows = []
    for at, interval in zip(onset, va, strict=True):
        places = np.arange(5) if first == "CS90" else np.arange(5)[::-1]
        times = at + sign * interval / 1000 + 0.01 * places
        known = np.isfinite(interval)
        row = {"onset": at, "symbol": "X", "va": np.nan, "av": np.nan, name: interval}
        rows.append(row | dict(zip(CS, times, strict=True)) | {"first": first if known else ""})
    beats = pd.DataFrame(rows)
    atria = beats.loc[beats[name].notna(), [*CS, "first"]].assign(clear=9.0)
    atria.insert(0, "time", atria[list(CS)].min(axis=1))
    signal = np.random.default_rng(0).normal(size=(1075, len(leads))).astype(np.float32)
    return Stretch("x009", rhythm, 12.5, 977.0, leads, signal, beats, atria)


def draw(figure):
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays it out; a closed figure's canvas draws nothing
    whole = figure.bbox
    for axis in figure.axes:
        box = axis.get_tightbbox()
        assert whole.x0 - 1 <= box.x0
        assert box.x1 <= whole.x1 + 1
        names = [text.get_window_extent() for text in axis.get_yticklabels()]
        for one, two in pairwise(sorted(names, key=lambda box: box.y0)):
            assert one.y1 <= two.y0 + 1
        for one, two in pairwise(
            sorted((text.get_window_extent() for text in axis.texts[1:]), key=lambda box: box.x0)
        ):
            assert one.x1 <= two.x0 or one.y1 <= two.y0 or two.y1 <= one.y0
    return figure.axes


def words(axis):
    return [text.get_text() for text in axis.texts if text.get_text().endswith(" ms")]


def test_a_panel_a_rhythm():
    given = [stretch("N", (80.0, 81.0, 82.0), first="CS90"), stretch("AVNRT", (40.0, 41.0, 42.0)),
             stretch(), stretch("VT", (80.0, np.nan, 245.0))]  # fmt: skip
    figure = electrogram_plots.beats(given)
    axes = draw(figure)
    titles = [axis.get_title("left").strip() for axis in axes]
    assert titles == [
        "Sinus rhythm",
        "Atrioventricular nodal re-entrant tachycardia",
        "Atrioventricular re-entrant tachycardia",
        "Ventricular tachycardia",
    ]
    assert [words(axis) for axis in axes] == [
        ["80 ms", "81 ms", "82 ms"],
        ["40 ms", "41 ms", "42 ms"],
        ["120 ms", "122 ms"],
        ["80 ms"],  # the last atrium is beyond the edge
    ]
    names = [text.get_text() for text in axes[1].get_yticklabels()]
    assert names == [*SURFACE, *CHANNELS, "VA"]
    assert axes[0].get_yticklabels()[-1].get_text() == "AV"
    heights = dict(zip(names, axes[1].get_yticks(), strict=True))
    assert heights["V1"] > heights["VA"] > heights["RVA12"] > heights["CS90"] > heights["CS12"]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["QRS onset", "the atrium's burst", "channel in the coronary sinus"]


def test_arrows_run_from_the_onset_to_the_atrium():
    (axis,) = draw(electrogram_plots.beats([stretch()]))
    arrows = [text for text in axis.texts if text.get_text() == ""]
    ends = [(arrow.xyann[0], arrow.xy[0]) for arrow in arrows]
    np.testing.assert_allclose(ends, [(0, 120), (330, 452)], atol=1e-6)
    (axis,) = draw(electrogram_plots.beats([stretch("N", (80.0, 81.0, 82.0))]))
    arrows = [text for text in axis.texts if text.get_text() == ""]
    np.testing.assert_allclose([a.xy[0] for a in arrows], [0, 330, 660], atol=1e-6)


def test_the_atria_are_marked_on_their_channels():
    (axis,) = draw(electrogram_plots.beats([stretch()]))
    heights = dict(zip([t.get_text() for t in axis.get_yticklabels()], axis.get_yticks(),
                       strict=True))  # fmt: skip
    lines = [line.get_xydata() for line in axis.lines if to_hex(line.get_color()) == OURS]
    lines = [line for line in lines if len(line)]
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0][:, 1], [heights[lead] for lead in CS])
    np.testing.assert_allclose(lines[0][:, 0], 120 + 10 * np.arange(5)[::-1])
    assert sum(to_hex(line.get_color()) == SOUND for line in axis.lines) == 6  # one in the key


def test_channels_that_are_not_there_leave_no_gap():
    few = stretch(leads=(*SURFACE, "RVA12", "CS90", "CS78"))
    (axis,) = draw(electrogram_plots.beats([few]))
    assert [t.get_text() for t in axis.get_yticklabels()] == [*few.leads, "VA"]
    none = stretch("VT", (np.nan,) * 3, (*SURFACE, "RVA12"))
    (axis,) = draw(electrogram_plots.beats([none]))
    assert words(axis) == []
    assert len(draw(electrogram_plots.beats([few, none, few]))) == 3
    nothing = pd.DataFrame({"rhythm": [], "va": []})
    for empty in (electrogram_plots.beats([]), electrogram_plots.intervals(nothing)):
        (axis,) = draw(empty)
        assert [t.get_text() for t in axis.texts] == ["These recordings have no electrograms."]


def test_a_line_says_what_is_seen():
    reading = electrogram_plots.reading
    assert reading(stretch()) == "x009: atria 121 ms after the QRS onset, CS12 first"
    sinus = stretch("N", (80.0, 81.0, 82.0), first="CS90")
    assert reading(sinus) == "x009: atria 81 ms before the QRS onset, CS90 first"
    assert "keep no interval" in reading(stretch("VT", (80.0, np.nan, 215.0)))
    assert "keep no interval" in reading(stretch("VT", (80.0, 130.0, 215.0)))
    assert "no activation" in reading(stretch("VT", (np.nan,) * 3))


def test_a_dot_a_patient():
    nan = np.nan
    rows = [
        ("N", "x1", 500.0, 490.0, 510.0, "CS90"),
        ("AVNRT", "x1", 45.0, 44.0, 47.0, "CS90"),
        ("AVNRT", "x2", 30.0, 29.0, 33.0, "CS90"),
        ("AVRT", "x3", 120.0, 118.0, 121.0, "CS12"),
        ("VT", "x4", 170.0, 90.0, 240.0, ""),
        ("VT", "x5", nan, nan, nan, ""),
    ]
    table = pd.DataFrame(rows, columns=["rhythm", "patient", "va", "va_low", "va_high", "first"])
    (panel,) = draw(electrogram_plots.intervals(table))
    heads = [text.get_text() for text in panel.get_yticklabels()]
    assert heads == ["AVNRT\n2 patients", "AVRT\n1 patient", "VT\n1 patient"]
    dots = [line.get_xdata().tolist() for line in panel.lines if line.get_marker() in "oDs"]
    assert [d for d in dots if d] == [[30.0, 45.0], [120.0], [170.0]]
    spans = [
        segment[:, 0].tolist() for each in panel.collections for segment in each.get_segments()
    ]
    assert spans == [[29.0, 33.0], [44.0, 47.0], [118.0, 121.0], [90.0, 240.0]]
    assert [line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == ":"] == [70.0]
