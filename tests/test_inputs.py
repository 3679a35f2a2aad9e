"""The inputs of a model: statistics against numpy, leads by name."""

from pathlib import Path

import numpy as np
import pytest

from pecg_utils.data import inputs
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.data.recording import NINE_LEADS, Dataset
from pecg_utils.data.windows import Settings, Windows, prepare
from pecg_utils.errors import PecgError


@pytest.fixture(scope="module")
def windows(twin: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return prepare(twin, Settings(NINE_LEADS), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("leads", [NINE_LEADS, ("V3", "I")])
def test_the_statistics_are_numpys(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, leads: tuple[str, ...], chunk: int
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK", chunk)
    rows = np.arange(0, len(windows), 3)
    places = [NINE_LEADS.index(lead) for lead in leads]
    values = windows.millivolts(rows)[:, places].astype(np.float64)  # (n, L, T)
    found = scale(windows, rows, leads)
    assert found.leads == leads
    np.testing.assert_allclose(found.mean, values.mean(axis=(0, 2)), atol=1e-7)
    np.testing.assert_allclose(found.std, values.std(axis=(0, 2)), rtol=1e-6)


def test_a_batch_is_the_z_score_of_its_leads(windows: Windows) -> None:
    rows = np.arange(len(windows))[::-1][:50]
    leads = ("V5", "II", "V1")
    side = Inputs(windows, rows, scale(windows, rows, leads), windows.labels[rows])
    assert len(side) == 50
    which = np.array([3, 0, 49, 3])
    batch = side.batch(which)
    values = windows.millivolts(rows[which])[:, [8, 1, 6]].astype(np.float64)
    expected = (values - side.scale.mean[:, None]) / side.scale.std[:, None]
    assert batch.dtype == np.float32
    assert batch.shape == (4, 3, 300)
    np.testing.assert_allclose(batch, expected, atol=2e-4)
    whole = side.batch(np.arange(50)).astype(np.float64)
    np.testing.assert_allclose(whole.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(whole.std(axis=(0, 2)), 1, atol=1e-4)


def test_own_statistics_differ_from_the_training_sides(windows: Windows) -> None:
    train, test = np.arange(0, 60), np.arange(60, len(windows))
    learned, own = scale(windows, train, NINE_LEADS), scale(windows, test, NINE_LEADS)
    labels = windows.labels[test]
    everything = np.arange(len(test))
    foreign = Inputs(windows, test, learned, labels).batch(everything)
    itself = Inputs(windows, test, own, labels).batch(everything)
    assert np.abs(itself.std(axis=(0, 2)) - 1).max() < 1e-3
    assert np.abs(foreign.std(axis=(0, 2)) - 1).max() > 1e-2


@pytest.mark.parametrize("constant", [0.0, 0.7153846, -2.7115385, 15.3538462, -26.6])
def test_a_constant_lead_has_a_deviation_of_1(windows: Windows, constant: float) -> None:
    """Rounding must not make it a tiny one, which would blow noise up."""
    steps, gain = np.array(windows.steps), windows.gain.copy()
    gain[:, 4] = max(abs(constant), 1) / 32767
    steps[:, 4] = round(constant / gain[0, 4])
    gain[::2, 4] = np.nextafter(gain[0, 4], np.float32(1))  # equal but for the last bit
    flat = Windows(**{**vars(windows), "steps": steps, "gain": gain})
    rows = np.arange(len(flat))
    found = scale(flat, rows, NINE_LEADS)
    assert found.std[4] == 1
    assert (found.std[:4] < 1).any()
    batch = Inputs(flat, rows, found, flat.labels).batch(rows)
    assert np.abs(batch[:, 4]).max() < 1e-4


def test_a_lead_that_is_not_there(windows: Windows) -> None:
    with pytest.raises(PecgError, match="These windows have no lead V2, V9; they have"):
        scale(windows, np.arange(3), ("I", "V2", "V9"))


def test_the_map_is_only_read(windows: Windows, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        windows.steps[0] = 0


@pytest.mark.parametrize("chunk", [2048, 7])
@pytest.mark.parametrize("leads", [NINE_LEADS, ("V3", "I"), ("aVR",)])
def test_together_the_statistics_are_numpys_over_all_leads(
    windows: Windows, monkeypatch: pytest.MonkeyPatch, leads: tuple[str, ...], chunk: int
) -> None:
    monkeypatch.setattr(inputs, "_CHUNK", chunk)
    rows = np.arange(0, len(windows), 3)
    places = [NINE_LEADS.index(lead) for lead in leads]
    shifted = {**vars(windows), "steps": np.array(windows.steps)}
    shifted["steps"][:, 1] = 30000  # a lead far from the others' level
    for given in (windows, Windows(**shifted)):
        values = given.millivolts(rows)[:, places].astype(np.float64)  # (n, L, T)
        found = scale(given, rows, leads, together=True)
        assert found.leads == leads
        assert found.mean.shape == found.std.shape == (len(leads),)
        np.testing.assert_allclose(found.mean, values.mean(), atol=1e-7, rtol=1e-7)
        np.testing.assert_allclose(found.std, values.std(), rtol=1e-6)
    alone, single = (scale(windows, rows, ("V3",), together=each) for each in (True, False))
    np.testing.assert_allclose(alone.std, single.std, rtol=1e-6)  # of one lead it is the same


def test_together_a_small_lead_stays_small(windows: Windows) -> None:
    gain = windows.gain.copy()
    gain[:, 4] *= 0.01
    small = Windows(**{**vars(windows), "gain": gain})
    rows = np.arange(len(small))
    each, together = (
        Inputs(small, rows, scale(small, rows, NINE_LEADS, of_all), small.labels).batch(rows)
        for of_all in (False, True)
    )
    assert each[:, 4].std() == pytest.approx(1, abs=1e-3)
    assert together.std() == pytest.approx(1, abs=1e-3)
    assert together.mean() == pytest.approx(0, abs=1e-4)
    ratio = small.millivolts(rows).std(axis=(0, 2)) / small.millivolts(rows).std()
    np.testing.assert_allclose(together.std(axis=(0, 2)), ratio, rtol=1e-3)
    assert together[:, 4].std() < 0.02


@pytest.mark.parametrize("constant", [0.0, 0.7153846, -2.7115385, 15.3538462, -26.6])
def test_together_a_constant_signal_has_a_deviation_of_1(windows: Windows, constant: float) -> None:
    """As of each lead: what rounding leaves of equal values is no deviation."""
    gain = np.full_like(windows.gain, max(abs(constant), 1) / 32767)
    steps = np.full_like(windows.steps, round(constant / gain[0, 0]))
    gain[::2] = np.nextafter(gain[0, 0], np.float32(1))  # equal but for the last bit
    flat = Windows(**{**vars(windows), "steps": steps, "gain": gain})
    rows = np.arange(len(flat))
    found = scale(flat, rows, NINE_LEADS, together=True)
    assert (found.std == 1).all()
    np.testing.assert_allclose(found.mean, flat.millivolts(rows).astype(float).mean(), rtol=1e-6)
    assert np.abs(Inputs(flat, rows, found, flat.labels).batch(rows)).max() < 1e-4
