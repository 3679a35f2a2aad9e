"""The pictures of the filters draw the gains, the beat and the levels that they are given."""

import numpy as np
import pandas as pd
import pytest
from drawn import draw
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from pecg_utils import filter_plots, filters
from pecg_utils.filter_plots import COLOURS
from pecg_utils.plots import GREY
from pecg_utils.st_levels import Beat

pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def beat(names=filters.FILTERS, offset=0.5):
    at = np.arange(-300.0, 600.0, 2.0)
    wave = 0.8 * np.exp(-0.5 * ((at - 40) / 12) ** 2) + 0.2 * (at > 80)
    traces = {name: offset * k + wave / (1 + k) for k, name in enumerate(names)}
    levels = {name: 200.0 / (1 + k) - 110 * (k == 2) for k, name in enumerate(names)}
    return Beat("36", "V3", at, traces, levels, (-20.0, 0.0), (140.0, 160.0))


def table(wave="ST", names=filters.FILTERS, count=500):
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 120, count)
    parts = []
    for k, name in enumerate(names):
        uv = raw * (1 - 0.4 * k)
        parts.append(pd.DataFrame({"wave": wave, "filter": name, "raw_uv": raw, "uv": uv}))
    return pd.concat(parts, ignore_index=True)


def test_the_gains_and_the_edges_of_the_bands():
    (panel,) = draw(filter_plots.responses())
    curves = {line.get_label(): line for line in panel.lines if len(line.get_xdata()) > 2}
    assert list(curves) == ["as coded", "as meant", "zero-phase"]
    for name, line in curves.items():
        hertz, gain = line.get_data()
        np.testing.assert_allclose(gain, 100 * filters.response(name, 500.0, hertz))
        assert to_hex(line.get_color()) == COLOURS[name]
    edges = [line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == ":"]
    assert edges == [1.0, 45.0, 5.0, 225.0]
    words = [text.get_text() for text in panel.texts]
    assert words == ["1 Hz", "45 Hz", "5 Hz", "225 Hz", "the mains' 50 Hz"]


def test_at_another_rate_the_coded_band_is_elsewhere():
    (panel,) = draw(filter_plots.responses(250.0))
    assert "2.5 Hz" in [text.get_text() for text in panel.texts]
    assert max(line.get_xdata()[-1] for line in panel.lines if len(line.get_xdata()) > 2) <= 125


def test_a_beat_stands_on_its_baseline_in_every_panel():
    given = beat()
    figure = filter_plots.one_beat(given)
    panels = draw(figure)
    assert [panel.get_title("left") for panel in panels] == [
        "as coded: ST +200 → +100 µV",
        "as meant: ST +200 → −43 µV",
        "zero-phase: ST +200 → +50 µV",
        "wavelet: ST +200 → +40 µV",
    ]
    assert len({(panel.get_xlim(), panel.get_ylim()) for panel in panels}) == 1
    before = (given.at >= -20) & (given.at < 0)
    for panel, name in zip(panels, filters.FILTERS[1:], strict=True):
        grey, coloured = (line for line in panel.lines if len(line.get_xdata()) > 2)
        assert to_hex(grey.get_color()) == GREY
        assert to_hex(coloured.get_color()) == COLOURS[name]
        for line, of in ((grey, "none"), (coloured, name)):
            y = line.get_ydata()
            assert y[before].mean() == pytest.approx(0, abs=1e-9)
            np.testing.assert_allclose(np.diff(y), np.diff(given.traces[of]), atol=1e-9)
        spans = [(p.get_x(), p.get_x() + p.get_width()) for p in panel.patches]
        assert spans == [(-20, 0), (140, 160)]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == ["recording 36, V3, as it is", "baseline", "ST level"]


def test_fewer_filters_have_fewer_panels():
    panels = draw(filter_plots.one_beat(beat(("none", "as coded", "as meant", "zero-phase"))))
    assert len(panels) == 3
    assert len(draw(filter_plots.levels(table(names=filters.FILTERS[:3])))) == 2
    assert len(draw(filter_plots.levels(table(), names=["as coded"]))) == 1


@pytest.mark.parametrize("wave", ["ST", "T"])
def test_levels_lie_where_they_are_and_the_vanished_are_counted(wave):
    given = table(wave)
    panels = draw(filter_plots.levels(given, wave))
    far = 400 if wave == "ST" else 1000
    for panel, name in zip(panels, filters.FILTERS[1:], strict=True):
        rows = given[given["filter"] == name]
        (mesh,) = panel.collections
        count = np.ma.filled(mesh.get_array(), 0)  # (with the filter, without)
        assert count.sum() == len(rows)
        edges = np.linspace(-far, far, 81)
        inside = rows[(rows["raw_uv"].abs() < far) & (rows["uv"].abs() < far)]
        x, y = (np.digitize(inside[c], edges) - 1 for c in ("raw_uv", "uv"))
        assert (count[y, x] > 0).all()
        high = rows["raw_uv"].abs() >= 100
        share = 100 * (rows["uv"].abs() < 50)[high].mean()
        assert [text.get_text() for text in panel.texts] == [f"{share:.0f} % vanish"]
        boxes = [p.get_bbox().extents.tolist() for p in panel.patches if isinstance(p, Rectangle)]
        assert boxes == [[-far, -50, -100, 50], [100, -50, far, 50]]
        r = rows["raw_uv"].corr(rows["uv"])
        assert panel.get_title() == f"{name}\nr = {r:.2f}".replace("-1", "−1")
    assert (panels[0].get_ylabel(), panels[1].get_ylabel()) == (f"{wave} with the filter (µV)", "")


def test_no_deviation_nothing_vanishes():
    given = table()
    given = given[given["raw_uv"].abs() < 100]
    assert all(not panel.texts for panel in draw(filter_plots.levels(given)))
