"""The pictures of the resolutions: each draws the numbers that it is given, on one time axis."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pecg_utils import resolution_plots, resolutions
from pecg_utils.data import ptbxl
from pecg_utils.errors import PecgError
from pecg_utils.models import create
from pecg_utils.resolutions import AtBeats, Band, Gates

pytestmark = pytest.mark.usefixtures("drawn_and_closed", "seeded_on_one_thread")

FS = 100.0


def drawn(figure: Figure, panels: int) -> list[Axes]:
    """Draw it for real and give its panels; nothing sticks out, no panel covers another."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
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


def ecg(samples: int = 1000, first: int = 30, rr: int = 90) -> np.ndarray:
    """(T,) mV, with an R at `first` and every `rr` samples after it."""
    seconds = (np.arange(samples) - first) / FS
    seconds -= np.round(seconds / rr * FS).clip(0) * rr / FS
    return np.exp(-0.5 * (seconds / 0.012) ** 2) + 0.2 * np.exp(
        -0.5 * ((seconds - 0.25) / 0.04) ** 2
    )


SPANS = pd.DataFrame(
    [
        ("high", "stem", 1, 487, 513),
        ("low", "stem", 1, 487, 513),
        ("high", "base scale", 2, 471, 530),
        ("low", "base scale", 4, 469, 529),
        ("high", "fusion", 2, 443, 558),
        ("low", "fusion", 4, 381, 617),
    ],
    columns=["stream", "stage", "step", "first", "last"],
)


def bars(axis: Axes) -> list[tuple[float, float]]:
    return [(patch.get_x(), patch.get_width()) for patch in axis.patches]


def words(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_reach_lays_a_bar_a_stage_on_the_beat_in_the_middle() -> None:
    lead = ecg()  # an R at 480, which is nearest
    above, below = drawn(resolution_plots.reach(lead, FS, SPANS), 2)
    np.testing.assert_allclose(above.lines[0].get_xdata(), (np.arange(1000) - 480) / FS)
    np.testing.assert_array_equal(above.lines[0].get_ydata(), lead)
    assert above.get_xlim() == below.get_xlim() == (-2.0, 2.0)
    assert words(below) == [
        "270 ms",  # one for both
        *("high: 600 ms", "low: 610 ms"),
        *("high: 1,160 ms", "low: 2,370 ms"),
    ]
    moved = -20  # samples, whole steps of both, from 499.75 to 480
    expected = [
        ((first + moved - 0.5 - 480) / FS, (last - first + 1) / FS)
        for first, last in SPANS[["first", "last"]].drop(1).to_numpy()
    ]
    np.testing.assert_allclose(bars(below), expected, atol=1e-9)
    named = [text.get_text() for text in below.get_yticklabels()]
    assert named == ["after the stem", "after the base scale", "after the fusion"]
    assert below.get_ylim()[0] > below.get_ylim()[1]  # the first stage on top
    assert "every 20 ms" in above.get_title("left")
    assert "every 40 ms" in above.get_title("left")
    assert below.get_xlabel() == "seconds from R"


def test_reach_of_one_stream_and_of_a_lead_without_beats() -> None:
    low = SPANS[SPANS["stream"] == "low"]
    _, below = drawn(resolution_plots.reach(np.zeros(1000), FS, low), 2)
    assert len(bars(below)) == 3
    assert below.get_xlabel() == "seconds from the step"
    left, wide = bars(below)[1]
    assert left + wide / 2 == pytest.approx(0, abs=1e-9)


def test_reach_has_room_for_the_longest_bar() -> None:
    wide = SPANS.replace({"first": {381: 250}, "last": {617: 750}})
    _, below = drawn(resolution_plots.reach(ecg(), FS, wide), 2)
    box = below.texts[-1].get_window_extent()
    assert below.texts[-1].get_text() == "low: 5,010 ms"
    axis = below.get_window_extent()
    assert axis.x0 + axis.width / 2 < box.x0 < box.x1 < axis.x1


def gates(spatial: bool = True, channel: bool = True) -> dict[str, Gates]:
    found = {}
    for stream, step, first, steps in (("high", 2, -1.5, 502), ("low", 4, -1.0, 251)):
        ramp = np.linspace(0.0, 2.0 / step, steps)
        each = np.random.default_rng(step).permutation(np.linspace(0.1, 0.9, 8 * step))
        found[stream] = Gates(
            step, first + step * np.arange(steps), ramp if spatial else None,
            each if channel else None,
        )  # fmt: skip
    return found


def test_over_ecg_has_a_strip_a_stream_on_the_ecgs_time() -> None:
    lead, found = ecg(), gates()
    figure = resolution_plots.over_ecg(lead, FS, found, start=2.0)
    above, *strips, beside, bar = drawn(figure, 5)
    np.testing.assert_allclose(
        above.lines[0].get_xydata(), np.stack([np.arange(1000) / FS, lead], 1)
    )
    left = {round(axis.get_window_extent().x0) for axis in (above, *strips)}
    right = {round(axis.get_window_extent().x1) for axis in (above, *strips)}
    assert (len(left), len(right)) == (1, 1)
    for axis, of in zip(strips, found.values(), strict=True):
        assert axis.get_xlim() == above.get_xlim() == (2.0, 6.5)
        (mesh,) = axis.collections
        np.testing.assert_array_equal(np.ravel(mesh.get_array()), of.spatial)
        np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], of.edges / FS)
        assert mesh.get_clim() == (0, 1)  # of both streams
    titles = [axis.get_title("left") for axis in strips]
    assert titles == [
        "a step is 20 ms; the gate goes from 0.20 to 0.65",
        "a step is 40 ms; the gate goes from 0.10 to 0.33",
    ]
    assert bar.get_xlabel() == "gate: 0 shut, 1 open"
    assert [axis.get_ylabel() for axis in strips] == ["high", "low"]
    for line, of in zip(beside.lines, found.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), np.sort(of.channel))
        assert (np.diff(line.get_xdata()) > 0).all()
        assert line.get_label().endswith(f"{len(of.channel)} channels")
    assert strips[-1].get_xlabel() == "seconds"


def test_a_gate_that_is_nearly_shut_is_not_0() -> None:
    found = {"low": Gates(4, 4.0 * np.arange(250), np.full(250, 1e-5), None)}
    _, strip, beside, _ = drawn(resolution_plots.over_ecg(ecg(), FS, found), 4)
    assert strip.get_title("left").endswith("from < 0.01 to < 0.01")
    assert beside.get_title("left") == "no gate by channel"


def test_over_ecg_shows_no_more_than_there_is() -> None:
    above, *_ = drawn(resolution_plots.over_ecg(ecg(), FS, gates(), start=8.0), 5)
    assert above.get_xlim() == (8.0, 10.0)
    with pytest.raises(PecgError, match="of 10 s"):
        resolution_plots.over_ecg(ecg(), FS, gates(), start=10.0)


def test_over_ecg_says_which_gate_is_off() -> None:
    found = gates(spatial=False)
    _, *strips, beside = drawn(resolution_plots.over_ecg(ecg(), FS, found), 4)  # no colour bar
    assert all("switched off" in axis.get_title("left") for axis in strips)
    assert len(beside.lines) == 2
    beside = drawn(resolution_plots.over_ecg(ecg(), FS, gates(channel=False)), 5)[3]
    assert beside.get_title("left") == "no gate by channel"


def at_beats(level: float, *streams: str) -> AtBeats:
    seconds = np.arange(-30, 51) / FS
    near = np.abs(seconds) < 0.0601
    gate = np.where(near, level, level / 2)
    r = np.exp(-0.5 * (seconds / 0.012) ** 2)
    each = {
        name: Band(gate / n, gate / n * 0.8, gate / n * 1.15)
        for n, name in enumerate(streams, start=1)
    }
    return AtBeats(seconds, "II", Band(r, r - 0.2, r + 0.2), each, 1234, 12345)


def test_at_the_beat_draws_means_and_bands_on_one_scale() -> None:
    found, new = at_beats(0.84, "high", "low"), at_beats(0.4, "high", "low")
    above, *below = drawn(resolution_plots.at_the_beat(found, new), 3)
    assert above.get_title("left").startswith("lead II, 12,345 beats of 1,234 recordings")
    np.testing.assert_array_equal(above.lines[0].get_ydata(), found.ecg.mean)
    for axis, (stream, band) in zip(below, found.gates.items(), strict=True):
        assert axis.get_ylim() == (0, 1)
        curves = {
            line.get_linestyle(): line.get_ydata()
            for line in axis.lines
            if len(line.get_xdata()) > 2
        }
        np.testing.assert_array_equal(curves["-"], band.mean)
        np.testing.assert_array_equal(curves[":"], new.gates[stream].mean)
        filled = axis.collections[0].get_paths()[0].get_extents()
        assert (filled.y0, filled.y1) == (band.low.min(), band.high.max())
        shade = axis.patches[0].get_extents().transformed(axis.transData.inverted())
        np.testing.assert_allclose((shade.x0, shade.x1), (-0.06, 0.06), atol=1e-9)
    titles = [axis.get_title("left") for axis in below]
    assert titles == [
        "high resolution: mean gate 0.84 on the QRS, 0.42 elsewhere",
        "low resolution: mean gate 0.42 on the QRS, 0.21 elsewhere",
    ]
    assert [axis.get_legend() is not None for axis in below] == [True, False]


def test_at_the_beat_of_one_stream_without_a_comparison() -> None:
    _, below = drawn(resolution_plots.at_the_beat(at_beats(0.5, "low")), 2)
    assert below.get_legend() is None
    assert below.get_xlabel() == "seconds from R"


def test_a_real_recording_is_drawn(real: Callable[[str], Path]) -> None:
    recording = ptbxl.open_folder(real("ptb-xl"), fs=FS).read(12, seconds=4.0)
    lead = recording.take(["II"])[:, 0]
    model = create("mrmnet", 12, 5, 400, width=4)
    window = recording.signal.T[None] / 0.2
    drawn(resolution_plots.over_ecg(lead, FS, resolutions.gates(model, window)), 5)
    spans = resolutions.spans(model, 12, 400)
    _, below = drawn(resolution_plots.reach(lead, FS, spans), 2)
    assert words(below)[-1] == "low: 2,370 ms"
