"""The pictures of children beside adults: each draws the numbers that it is given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pecg_utils import children, children_plots
from pecg_utils.children import BANDS, Typical
from pecg_utils.errors import PecgError
from pecg_utils.plots import OURS, SOUND

pytestmark = pytest.mark.usefixtures("drawn_and_closed")

YEAR = 365.25


def drawn(figure: Figure, panels: int) -> list[Axes]:
    """Draw it for real and give its panels; nothing sticks out, no panel covers another."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == 8
    axes = figure.axes
    assert len(axes) == panels
    boxes = [axis.get_tightbbox() for axis in axes]
    whole = figure.bbox
    assert all(whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1 for box in boxes)
    assert all(whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1 for box in boxes)
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert not (one.padded(-1)).overlaps(other.padded(-1))
    return axes


def people(ages: list[float]) -> pd.DataFrame:
    """A table as `children.measured` gives it, of some recordings of each age."""
    rng = np.random.default_rng(0)
    days = np.repeat(ages, 4)
    n = len(days)
    table = pd.DataFrame({"record": [f"r{i}" for i in range(n)], "age_days": days})
    table["patient"] = table["record"]
    table["rate"] = 160 - 15 * np.log(1 + days / 100) + rng.normal(0, 3, n)
    table["axis"] = 60 + rng.normal(0, 10, n)
    for name in ("r_v1", "s_v1", "r_v6"):
        table[name] = rng.uniform(0.1, 1.5, n)
    for name in ("t_v1", "t_v2", "t_v3"):
        table[name] = rng.normal(0, 0.2, n)
    return table


def boxes(axis: Axes) -> list[tuple[float, float, float, float]]:
    """From, up to, lower and upper edge of each band's box."""
    shades = [part for part in axis.collections if part.get_alpha() is not None]
    corners = [shade.get_paths()[0].get_extents() for shade in shades]
    return [(box.x0, box.x1, box.y0, box.y1) for box in corners]


def medians(axis: Axes) -> list[float]:
    lines = [part for part in axis.collections if part.get_alpha() is None]
    return [float(line.get_segments()[0][0, 1]) for line in lines]


def test_by_age_draws_each_recording_and_each_bands_median_and_quartiles() -> None:
    table = people([1.0, 200.0, 9 * YEAR, 20 * YEAR, 70 * YEAR])
    summed = children.by_age(table)
    axes = drawn(children_plots.by_age(table), 4)
    for axis, name in zip(axes, ("rate", "axis", "ratio_v1", "t_v1"), strict=True):
        young, grown = (line for line in axis.lines if line.get_marker() == ".")
        assert (young.get_color(), grown.get_color()) == (OURS, SOUND)
        assert (len(young.get_xdata()), len(grown.get_xdata())) == (12, 8)
        values = table.assign(ratio_v1=children.ratio(table))[name]
        np.testing.assert_allclose([*young.get_ydata(), *grown.get_ydata()], values)
        assert max(young.get_xdata()) < 18 * YEAR <= min(grown.get_xdata())
        np.testing.assert_allclose(medians(axis), summed[name])
        found = np.array(boxes(axis))
        np.testing.assert_allclose(found[:, 2:], summed[[f"{name}_low", f"{name}_high"]])
        years = found[:, :2] / YEAR
        np.testing.assert_allclose(years[1], [30 / YEAR, 1])
        np.testing.assert_allclose(years[2:4], [[8, 12], [18, 40]])
        assert axis.get_xscale() == "log"
        assert axis.get_xlim()[0] == min(young.get_xdata()) == 3  # a day old is drawn at three
    assert [axis.get_yscale() for axis in axes] == ["linear", "linear", "log", "linear"]


def test_by_age_says_what_colours_and_boxes_are() -> None:
    figure = children_plots.by_age(people([200.0, 20 * YEAR, 70 * YEAR]))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[:2] == ["children: 4 recordings", "adults: 8 recordings"]
    assert words[2:] == ["median of an age band", "its middle half"]
    first = drawn(figure, 4)[0]
    named = [text.get_text() for text in first.get_xticklabels()]
    assert named[:2] == ["1 month", "1 year"]  # the scale begins with the youngest one's band
    adults = drawn(children_plots.by_age(people([20 * YEAR])), 4)
    assert adults[0].get_xlim()[0] == 18 * YEAR
    (legend,) = adults[0].get_figure().legends
    assert legend.get_texts()[0].get_text() == "adults: 4 recordings"


def test_by_age_draws_an_axis_to_the_right_on_beyond_180() -> None:
    table = people([200.0]).assign(axis=[-140.0, -130.0, -80.0, 170.0])
    axis = drawn(children_plots.by_age(table), 4)[1]
    (dots,) = (line for line in axis.lines if line.get_marker() == ".")
    np.testing.assert_allclose(dots.get_ydata(), [220, 230, -80, 170])
    table["axis"] = [-140.0, -130.0, -120.0, -120.0]
    axis = drawn(children_plots.by_age(table), 4)[1]
    np.testing.assert_allclose(medians(axis), [235])
    ((_, _, low, high),) = boxes(axis)
    assert 220 < low < 235 < high <= 240
    assert axis.get_ylim() == (-90, 270)


def test_by_age_leaves_out_who_has_no_age_or_no_beat() -> None:
    table = people([200.0, 20 * YEAR])
    table.loc[0, "age_days"] = np.nan
    table.loc[1, "rate"] = np.nan
    figure = children_plots.by_age(table)
    dots = [line for line in drawn(figure, 4)[0].lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [2, 4]
    with pytest.raises(PecgError, match="None of 8 recordings has both an age and a beat"):
        children_plots.by_age(table.assign(age_days=np.nan))


def typical(r: float, leads: tuple[str, ...] = ("V1", "V2", "V6"), count: int = 7) -> Typical:
    seconds = np.arange(-150, 251) / 500
    trace = r * np.exp(-0.5 * (seconds / 0.012) ** 2)
    trace[:20] = np.nan
    return Typical(seconds, {lead: (1 + k) * trace for k, lead in enumerate(leads)}, count)


def test_typical_beats_are_drawn_on_one_scale_from_the_youngest() -> None:
    found = {"18 to 40 years": typical(-0.5, count=60), "under 1 month": typical(0.9)}
    axes = drawn(children_plots.typical_beats(found), 4)
    titles = [axis.get_title() for axis in axes[:2]]
    assert titles == ["under 1 month\n7 recordings", "18 to 40 years\n60 recordings"]
    assert [axis.get_ylabel() for axis in axes] == ["V1", "", "V6", ""]
    scale = set()
    for axis, (band, lead) in zip(
        axes, [(b, lead) for lead in ("V1", "V6") for b in list(found)[::-1]], strict=True
    ):
        (line,) = axis.lines
        x, y = line.get_xdata(), line.get_ydata()
        one = found[band]
        assert to_hex(line.get_color()) == (OURS if band == "under 1 month" else SOUND)
        np.testing.assert_allclose(np.diff(x), 25 / 500)  # mm a sample at 25 mm/s
        up = y - y[-1]
        np.testing.assert_allclose(up, 10 * one.leads[lead], atol=1e-6)
        low, high = axis.get_ylim()
        assert low <= np.nanmin(y)
        assert np.nanmax(y) <= high
        assert y[-1] % 5 == pytest.approx(0)  # zero is on a thick line of the paper
        box = axis.get_window_extent()
        scale |= {round(box.width / np.ptp(axis.get_xlim()), 1), round(box.height / high, 1)}
    assert max(scale) - min(scale) < 0.15  # dots a mm, across and up, of every panel


def test_typical_beats_shows_five_of_many_bands_and_says_what_is_not_there() -> None:
    found = {band: typical(0.5) for band in BANDS}
    found["under 1 month"] = typical(0.5, ("V1",))
    axes = drawn(children_plots.typical_beats(found), 10)
    titles = [axis.get_title().splitlines()[0] for axis in axes[:5]]
    assert (titles[0], titles[-1]) == ("under 1 month", "over 65 years")
    assert sorted(titles, key=list(BANDS).index) == titles
    assert [text.get_text() for text in axes[5].texts] == ["not recorded"]
    assert not axes[5].lines
    assert all(len(axis.lines) == 1 for axis in [*axes[:5], *axes[6:]])


@pytest.mark.parametrize("count", [1, 3, 4])
def test_typical_beats_of_few_bands_fit(count: int) -> None:
    found = {band: typical(1.2) for band in list(BANDS)[:count]}
    drawn(children_plots.typical_beats(found), 2 * count)


def test_typical_beats_of_nobody_are_refused() -> None:
    with pytest.raises(PecgError, match="none can be drawn"):
        children_plots.typical_beats({})
