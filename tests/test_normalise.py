"""Windows normalised each by itself: against numpy in mV, the same in training and when asked."""

import dataclasses

import numpy as np
import pytest
import torch
from test_trial import PATIENT, TINY, made_up, spied, tried

from pecg_utils import models, reloaded
from pecg_utils.data import inputs, normalise
from pecg_utils.data.inputs import Inputs, learned, measure
from pecg_utils.data.normalise import EACH, WAYS, each
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.trial import judge

torch.set_num_threads(1)
LEADS = ("V5", "I", "aVR")
AT = [10, 0, 3]
ROWS = np.array([7, 3, 150, 4, 90, 91, 12])


def windows():
    """Windows with leads of other sizes and levels in each."""
    made = made_up()
    generator = np.random.default_rng(1)
    steps = np.asarray(made.steps) // 2 + generator.integers(-9000, 9000, (len(made), 12, 1))
    gain = 1e-4 * generator.uniform(0.1, 10, (len(made), 12))
    return dataclasses.replace(
        made, steps=steps.clip(-32767, 32767).astype(np.int16), gain=gain.astype(np.float32)
    )


def given(made, way, leads=LEADS, rows=ROWS):
    """All inputs under `way`, (n, L, T)."""
    told = learned(made, rows, leads, way)
    side = Inputs(made, rows, measure(made, rows, leads, way, told), made.labels[rows])
    return side.batch(np.arange(len(rows)))


def by_hand(way, x):
    """x: (n, L, T) mV, float64."""
    if way == "none":
        return x
    if way == "window":
        return (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
    if way == "whole":
        return (x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True)
    if way == "minmax":
        low, high = x.min(axis=2, keepdims=True), x.max(axis=2, keepdims=True)
        return (x - low) / (high - low)
    if way == "l2":
        return x / np.linalg.norm(x, axis=2, keepdims=True)
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=2, keepdims=True)
    return (x - middle) / (high - low)


@pytest.mark.parametrize("chunk", [64, 2])
@pytest.mark.parametrize("way", ["none", *EACH])
def test_each_way_is_what_numpy_makes_of_the_millivolts(monkeypatch, way, chunk):
    monkeypatch.setattr(normalise, "_CHUNK", chunk)
    made = windows()
    found = given(made, way)
    expected = by_hand(way, made.millivolts(ROWS)[:, AT].astype(np.float64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("way", EACH)
def test_a_window_is_normalised_alike_whatever_it_stands_beside(way):
    made = windows()
    side = Inputs(made, ROWS, each(made, ROWS, LEADS, way), made.labels[ROWS])
    which = np.array([4, 0, 4])
    for place, one in zip(which, side.batch(which), strict=True):
        alone = given(made, way, rows=ROWS[[place]])
        np.testing.assert_array_equal(one, alone[0])


def test_of_all_leads_at_once_a_small_lead_stays_small():
    made = windows()
    made.gain[:, 0] = 1e-3 * made.gain[:, 1]
    both = {way: given(made, way, ("I", "II")) for way in ("window", "whole")}
    np.testing.assert_allclose(both["whole"].std(axis=(1, 2)), 1, atol=1e-5)
    assert (both["whole"].std(axis=2)[:, 0] < 0.02).all()
    np.testing.assert_allclose(both["window"].std(axis=2), 1, atol=1e-5)


@pytest.mark.parametrize("jitter", [0, 1])
@pytest.mark.parametrize("way", EACH)
def test_a_constant_lead_becomes_zeros(way, jitter):
    made = windows()
    made.steps[3, 0], made.steps[4, 0], made.steps[7, 0] = 32767, -5, 0
    made.steps[3:8, 0, ::7] -= jitter  # a step of rounding
    found = given(made, way)
    assert np.isfinite(found).all()
    flat = np.isin(ROWS, [3, 4, 7])
    assert (found[flat, 1] == 0).all()
    assert (found[~flat].std(axis=2) > 1e-4).all()
    assert (found[flat][:, [0, 2]].std(axis=2) > 1e-4).all()
    made.steps[:] = 77  # nothing but constant leads
    assert (given(made, way) == 0).all()


def test_where_most_of_a_lead_is_zeros_the_deviation_stands_for_the_quartiles():
    made = windows()
    made.steps[3, 0, 20:] = 0
    made.steps[3, 0, 20::3] = 1  # the quartiles are then a step apart
    found = given(made, "median")[1, 1]
    x = made.millivolts(np.array([3]))[0, 0].astype(np.float64)
    np.testing.assert_allclose(found, (x - np.median(x)) / x.std(), atol=2e-5)


def test_other_ways_and_leads_are_refused(tmp_path):
    made = windows()
    with pytest.raises(ValueError, match="not normalised by sometimes; the ways are"):
        learned(made, ROWS, LEADS, "sometimes")
    with pytest.raises(ValueError, match="one by one by train; the ways are"):
        each(made, ROWS, LEADS, "train")
    with pytest.raises(PecgError, match="have no lead V9; they have"):
        each(made, ROWS, ("V9", "I"), "window")
    with pytest.raises(ValueError, match="not normalised by sometimes"):
        tried(tmp_path, dataclasses.replace(PATIENT, normalise="sometimes"))


def test_protocols_of_one_model_are_named_apart_and_pairs_as_ever():
    names = {way: dataclasses.replace(PATIENT, normalise=way).name for way in WAYS}
    assert len(set(names.values())) == len(WAYS)
    assert names["train"] == PATIENT.name
    assert names["own"] == f"{PATIENT.name}, own statistics"
    pairs = dataclasses.replace(PATIENT, model="agcacl", normalise="window")
    assert pairs.name == "agcacl, 12 leads, patient split"


def test_every_model_of_two_signals_is_known_as_one_and_no_other():
    from pecg_utils import protocol

    assert tuple(name for name in models.NAMES if models.entry(name).beside) == protocol._OF_PAIRS


@pytest.mark.parametrize("way", ["none", "whole", "median", "l2"])
def test_a_trial_is_taught_tested_and_judged_by_windows_themselves(tmp_path, monkeypatch, way):
    made, measured = spied(monkeypatch), []
    monkeypatch.setattr(normalise, "each", None)  # it is asked for by way of inputs
    monkeypatch.setattr(inputs, "each", lambda *a: measured.append(len(a[1])) or each(*a))
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, normalise=way, crop=0.7), windows())
    assert len(made) == 3
    for side in made:
        expected = by_hand(way, windows().millivolts(side.rows).astype(np.float64))
        np.testing.assert_allclose(side.batch(np.arange(len(side))), expected, atol=2e-5)
    # once a side, whatever the epochs and the pieces
    assert measured == ([] if way == "none" else [len(side) for side in made])
    kept = torch.load(outcome.folder / "model.pt", weights_only=True)
    assert ("mean" in kept) == (way == "none")
    again = judge(outcome, windows(), "twin", TINY, 20)
    test = outcome.folds[0].sides["test"]
    np.testing.assert_allclose(again.probabilities[test], outcome.probabilities, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_read_back_a_model_sees_what_it_was_tested_on(tmp_path, way):
    protocol = dataclasses.replace(PATIENT, normalise=way)
    outcome = tried(tmp_path, protocol, windows())
    fold, made = outcome.folds[0], windows()
    rows = fold.sides["test"]
    model, side = reloaded.model_and_inputs(
        fold.folder, protocol, fold.facts["sizes"], made, rows, made.labels
    )
    with torch.no_grad():
        answer = torch.sigmoid(model.eval()(torch.from_numpy(side.batch(np.arange(len(rows))))))
    np.testing.assert_allclose(answer, fold.probabilities, atol=1e-5)
    np.testing.assert_array_equal(side.labels, made.labels[rows])
    assert side.scale.leads == TWELVE_LEADS
