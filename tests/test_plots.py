"""The pictures: each is a figure with labelled axes, also of little; the ECG grid is to scale."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pecg_utils import plots
from pecg_utils.claims import join
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset, Recording
from pecg_utils.trial import Outcome, Protocol

NAN = math.nan


pytestmark = pytest.mark.usefixtures("drawn_and_closed")


def draw(figure):
    """Draw it for real, and give its axes, each with a word at its x axis."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # a closed figure's canvas draws nothing
    assert all(axis.get_xlabel() for axis in figure.axes)
    return figure.axes


def recording(leads=TWELVE_LEADS, seconds=10.0, fs=500.0, **more):
    signal = np.zeros((int(seconds * fs), len(leads)), np.float32)
    at = int(0.5 * fs)
    signal[at : at + int(fs)] = 1.0  # a calibration pulse of 1 mV and 1 s in every lead
    facts = {"record": "P1_E01", "patient": "P1", "age_days": 400.0, "labels": ("Q21.0",)}
    return Recording(signal=signal, fs=fs, leads=leads, **{**facts, **more})


def traces(figure):
    """The drawn signals, each (x, y) in the axes' millimetres; the grid is no line."""
    return [line.get_xydata() for line in figure.axes[0].lines]


def test_one_second_is_25_mm_and_one_millivolt_10_mm_on_paper():
    figure = plots.ecg(recording())
    figure.canvas.draw()
    to_pixels = figure.axes[0].transData
    whole = max(traces(figure), key=len)  # lead II, ten seconds
    low, high = whole[:, 1].min(), whole[:, 1].max()
    inside = whole[whole[:, 1] > (low + high) / 2]
    second = np.array([inside[0, 0], inside[0, 0] + 25.0])
    corners = to_pixels.transform(np.column_stack([second, [low, high]])) / figure.dpi * 25.4
    assert corners[1, 0] - corners[0, 0] == pytest.approx(25.0, rel=0.002)
    assert corners[1, 1] - corners[0, 1] == pytest.approx(10.0, rel=0.002)
    # the pulse itself is as long as the second that was measured on the paper
    assert inside[-1, 0] - inside[0, 0] == pytest.approx(25.0, abs=0.1)


def test_the_grid_is_of_millimetres():
    axis = plots.ecg(recording()).axes[0]
    assert axis.get_xlim() == (0, 250)
    assert axis.get_ylim() == (0, 130)
    steps = set()
    for lines in axis.collections:
        at = sorted({tuple(segment[0]) for segment in lines.get_segments()})
        gaps = np.diff(np.array(at), axis=0).max(axis=1)
        steps |= set(np.round(gaps, 6))
    assert steps == {1.0, 5.0}


def test_twelve_leads_stand_where_a_cardiologist_looks_for_them():
    figure = plots.ecg(recording())
    assert len(traces(figure)) == 13
    words = {t.get_text(): t.get_position() for t in figure.axes[0].texts}
    assert set(words) == set(TWELVE_LEADS)
    assert words["I"][0] < words["aVR"][0] < words["V1"][0] < words["V4"][0]
    assert words["V1"][1] > words["V2"][1] > words["V3"][1]
    title = figure.axes[0].get_title(loc="left")
    assert "25 mm/s, 10 mm/mV" in title
    assert "1.1 years" in title


def test_nine_leads_leave_the_places_of_v2_v4_and_v6_blank():
    figure = plots.ecg(recording(NINE_LEADS))
    assert len(traces(figure)) == 10
    words = {t.get_text(): t.get_position() for t in figure.axes[0].texts}
    places = [(line[0, 0], line[:, 1].mean()) for line in traces(figure)]
    for lead in TWELVE_LEADS:
        x, y = words[lead]
        inside = [1 for left, middle in places if abs(left - x) < 5 and abs(middle - y) < 15]
        assert bool(inside) == (lead not in ("V2", "V4", "V6")), lead


@pytest.mark.parametrize(
    "given",
    [
        recording(seconds=4.0),
        recording(fs=100.0, age_days=NAN, labels=()),
        recording(leads=("MLII", "V5")),
        recording(age_days=12.0),
    ],
)
def test_short_slow_odd_and_unknown_recordings_are_drawn_too(given):
    figure = plots.ecg(given)
    figure.canvas.draw()
    title = figure.axes[0].get_title(loc="left")
    assert "nan" not in title
    assert not given.age_days < 365 or "12 days" in title


def dataset(ages=(10.0, 400.0, 5000.0), leads=(9, 12, 12)):
    labels = pd.DataFrame({"a": [True, False, True], "b": [False] * 3})
    table = pd.DataFrame({"age_days": ages, "n_leads": leads, "patient": ["p", "q", "r"]})
    names = {"a": "Ablepsy", "b": "Botch"}
    return Dataset("zzu", Path(), "twin", table, labels, names, (), lambda *span: None)


@pytest.mark.parametrize("given", [dataset(), dataset(ages=(NAN, 2.0, 3.0), leads=(NAN, 12, 12))])
def test_a_cohort(given):
    ages, labels = draw(plots.cohort(given))
    assert ages.get_ylabel() == "recordings"
    assert [t.get_text() for t in labels.get_yticklabels()] == ["Botch [b]", "Ablepsy [a]"]
    assert [bar.get_width() for bar in labels.patches] == [0, 2]


def outcome(model="resnet1d", best=2):
    epochs = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [1.0, 0.5, NAN], "validation_f1": [0.1, 0.4, 0.3]}
    )
    empty = pd.DataFrame()
    protocol = Protocol(model, TWELVE_LEADS, "12-lead")
    facts = {"best_epoch": best}
    return Outcome(
        protocol, "twin", (), None, None, None, empty, empty, facts, epochs, None, Path()
    )


def test_curves_mark_the_epoch_that_was_kept():
    losses, scores = draw(plots.curves([outcome(), outcome("mamba2", 1)]))
    dots = [line.get_xydata().tolist() for line in scores.lines if line.get_marker() == "o"]
    assert dots == [[[2, 0.4]], [[1, 0.1]]]
    assert [t.get_text() for t in losses.get_legend().get_texts()] == ["resnet1d", "mamba2"]
    assert losses.get_ylabel()
    assert scores.get_ylabel()


def rows(**more):
    table = pd.DataFrame(
        {
            "name": ["one", "one", "two", "two"],
            "metric": ["auroc", "f1", "auroc", "f1"],
            "label": "macro",
            "value": [0.7, 0.2, NAN, 0.1],
            "low": [0.6, NAN, NAN, 0.05],
            "high": [0.8, NAN, NAN, 0.2],
            "positives": 3,
            "windows": 10,
        }
    )
    return table.assign(**more)


def test_a_forest_has_a_line_a_trial_and_a_panel_a_metric():
    auroc, f1 = draw(plots.forest(rows()))
    assert [t.get_text() for t in auroc.get_yticklabels()] == ["one", "two"]
    assert (auroc.get_xlabel(), f1.get_xlabel()) == ("macro AUROC", "macro F1")
    assert [t.get_text() for t in auroc.texts] == ["0.700"]  # an undefined value has no number
    assert [t.get_text() for t in f1.texts] == ["0.200", "0.100"]


def test_a_forest_of_nothing_but_undefined_values():
    draw(plots.forest(rows(value=NAN, low=NAN, high=NAN)))


def test_a_forest_of_one_metric_shows_intervals_below_chance():
    (panel,) = draw(plots.forest(rows(value=0.3, low=0.2, high=0.4), ("auroc",)))
    assert panel.get_xlim()[0] <= 0.2


def test_claims_stand_beside_what_was_measured():
    scores = {"metric": ["f1"], "label": ["macro"], "value": [0.5], "low": [None], "high": [None]}
    protocol = {
        "model": "mamba2", "leads": NINE_LEADS, "cohort": "9-lead", "split": "window",
        "normalise": "own", "labels": "real", "antialias": True,
    }  # fmt: skip
    trial = {"protocol": protocol, "data": "twin", "scores": scores}
    record = {"key": "0", "data": [{"dataset": "zzu", "kind": "twin"}], "trials": [trial]}
    table = join("benchmark", record)
    nine, _ = draw(plots.claims(table))
    assert "twin" in nine.get_title(loc="left")
    order = [t.get_text() for t in nine.get_yticklabels()]
    ours = nine.lines[1].get_xydata()
    assert ours[order.index("mamba2"), 0] == pytest.approx(50)
    assert np.isnan(ours[[i for i in range(4) if order[i] != "mamba2"], 0]).all()
    assert nine.lines[0].get_xydata()[order.index("mamba2"), 0] == pytest.approx(85.63)


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
def test_per_class_shows_value_and_share_of_each_label(metric):
    table = rows(metric=metric, label=["a", "b", "a", "b"])
    values, shares = draw(plots.per_class(table, {"a": "Ablepsy", "b": "Botch"}, metric))
    assert [t.get_text() for t in values.get_yticklabels()] == ["Ablepsy [a]", "Botch [b]"]
    assert {bar.get_width() for bar in shares.patches} == {30.0}
    assert shares.get_xlabel().endswith("(%)")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_bands_of_age(count):
    table = pd.DataFrame(
        {
            "band": ["under 1 month", "1 to 12 months", "1 to 3 years"][:count],
            "windows": 10,
            "patients": 4,
            "value": [0.6, NAN, 0.8][:count],
            "low": [NAN, NAN, 0.7][:count],
            "high": [NAN, NAN, 0.9][:count],
        },
    )
    (panel,) = draw(plots.bands(table))
    assert len(panel.get_yticklabels()) == count


def test_a_score_below_zero_is_inside_the_panel():
    rows = pd.DataFrame(
        {
            "name": ["a", "b"] * 2,
            "metric": ["auroc"] * 2 + ["challenge_score"] * 2,
            "value": [0.6, 0.7, -0.2, 0.3],
            "low": [0.5, 0.6, -0.4, 0.2],
            "high": [0.7, 0.8, -0.1, 0.4],
        }
    )
    _, panel = plots.forest(rows, ("auroc", "challenge_score")).axes
    assert panel.get_xlim()[0] < -0.4
    _, panel = plots.forest(rows[rows["name"] == "b"], ("auroc", "challenge_score")).axes
    assert panel.get_xlim()[0] == 0
