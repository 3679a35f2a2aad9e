"""Rhythms, how they are drawn, and what catheters see of them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pecg_utils.twins import rhythms
from pecg_utils.twins.catheter import Catheters, draw_catheters, electrograms
from pecg_utils.twins.draw import dipoles, draw_shaking
from pecg_utils.twins.findings import RHYTHMS, draw_adult, rhythm_of
from pecg_utils.twins.heart import Heart, draw_shape, healthy, kinds
from pecg_utils.twins.person import of_heart, record
from pecg_utils.twins.prevalence import raked, spread
from pecg_utils.twins.rhythms import Beats
from pecg_utils.twins.tables import rows
from pecg_utils.twins.torso import LEADS

CS = ("CS12", "CS34", "CS56", "CS78", "CS90")
CHANNELS = ("ABL12", "RVA12", *CS)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def heart() -> Heart:
    return healthy(np.random.default_rng(1), 15_000)


def rr(beats: Beats) -> NDArray[np.float64]:
    return np.diff(beats.qrs[~np.isnan(beats.qrs)])


def test_sinus_rhythm_has_a_p_wave_a_pr_interval_before_each_qrs(
    rng: np.random.Generator, heart: Heart
) -> None:
    beats = rhythms.sinus(rng, heart, 60)
    assert 60 / rr(beats).mean() == pytest.approx(heart.rate, rel=0.05)
    np.testing.assert_allclose(beats.qrs - beats.p, heart.pr / 1000)


def test_fibrillation_is_irregular_and_has_no_p_wave(rng: np.random.Generator) -> None:
    beats = rhythms.fibrillation(rng, 90, 120)
    assert 60 / rr(beats).mean() == pytest.approx(90, rel=0.1)
    assert rr(beats).std() / rr(beats).mean() > 0.15
    assert np.isnan(beats.p).all()
    assert beats.shaking.all()


def test_flutter_conducts_one_wave_in_so_many(rng: np.random.Generator) -> None:
    beats = rhythms.flutter(rng, 300, 120, conducted=4)
    assert 60 / np.diff(beats.p).mean() == pytest.approx(300, rel=0.02)
    assert 60 / rr(beats).mean() == pytest.approx(75, rel=0.06)


def test_blocks(rng: np.random.Generator, heart: Heart) -> None:
    second = rhythms.blocked(rng, heart, 60, 2)
    assert np.isnan(second.qrs).mean() == pytest.approx(0.25, abs=0.03)
    pr = second.qrs - second.p
    lost = np.flatnonzero(np.isnan(pr))[1]
    assert pr[lost - 3] < pr[lost - 2] < pr[lost - 1]  # Wenckebach
    third = rhythms.blocked(rng, heart, 60, 3)
    atria, ventricles = np.diff(third.p[~np.isnan(third.p)]), rr(third)
    assert 60 / atria.mean() == pytest.approx(heart.rate, rel=0.06)
    assert 60 / ventricles.mean() < 50


@pytest.mark.parametrize("kind", ["ventricular", "atrial"])
def test_premature_beats(rng: np.random.Generator, heart: Heart, kind: str) -> None:
    before = rhythms.regular(rng, 60, 60, 0.15, jitter=0.0)
    among = np.arange(3, len(before) - 2)
    beats = rhythms.premature(rng, before, heart, among, 9, kind)
    mark = beats.qrs_kind == "ventricular" if kind == "ventricular" else beats.p_kind == "ectopic"
    chosen = np.flatnonzero(mark)
    assert len(chosen) == 9
    assert np.diff(chosen).min() > 1
    assert set(chosen) <= set(among)
    interval = np.diff(beats.qrs)
    assert (interval[chosen - 1] < 0.75).all()
    both = interval[chosen - 1] + interval[chosen]
    assert np.allclose(both, 2.0) == (kind == "ventricular")  # the pause makes up for it
    assert (both < 1.9).all() == (kind == "atrial")
    assert np.isnan(beats.p[chosen]).all() == (kind == "ventricular")
    full = rhythms.premature(rng, before, heart, among, 10_000, kind)
    assert (full.qrs_kind != "normal").sum() + (full.p_kind == "ectopic").sum() > len(among) / 2 - 1
    bigeminy = rhythms.premature(rng, before, heart, among, 0, "ventricular", every=2)
    assert set(np.diff(np.flatnonzero(bigeminy.qrs_kind == "ventricular"))) == {2}


def test_two_stretches_side_by_side_equal_one(rng: np.random.Generator, heart: Heart) -> None:
    shape, hearts = draw_shape(rng), kinds(rng, heart)
    beats = rhythms.joined(
        [
            rhythms.fibrillation(rng, 80, 6),
            rhythms.regular(rng, 70, 6, 0.16, "paced", "paced"),
            rhythms.flutter(rng, 300, 6, 2),
        ]
    )
    shaking = draw_shaking(rng)
    whole = dipoles(beats, hearts, shape, 0, 3000, 500, shaking)
    parts = [
        dipoles(beats, hearts, shape, a, b, 500, shaking)
        for a, b in ((0, 1), (1, 1700), (1700, 3000))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_every_rhythm_that_a_finding_asks_for_can_be_drawn() -> None:
    listed = {row["statement"] for row in rows("ptbxl_statements.csv")}
    assert set(RHYTHMS) <= listed
    assert {row["code"] for row in rows("findings.csv")} <= listed | {"PE", "LAD", "RAD", "PRWP"}
    for name in RHYTHMS:
        rng = np.random.default_rng(5)
        person = draw_adult(rng, 22_000, "female", [name])
        made = record(rng, person, 10.0, rhythm=rhythm_of(rng, [name]))
        assert made.signal.shape == (5000, 12)
        assert np.isfinite(made.signal).all()
        assert 3 < len(made.beats.r) < 40


def test_a_wide_beat_is_wide_and_a_spike_is_a_spike(heart: Heart) -> None:
    rng = np.random.default_rng(2)
    person = of_heart(rng, heart)
    hearts = person.hearts
    assert hearts["ventricular"].qrs > hearts["normal"].qrs + 30
    assert hearts["preexcited"].pr < 0.8 * heart.pr
    paced = rhythms.regular(rng, 70, 8, float("nan"), qrs_kind="paced")
    vcg = dipoles(paced, hearts, person.shape, 0, 4000, 500)
    at = np.rint(paced.qrs[(paced.qrs > 0.1) & (paced.qrs < 7.9)] * 500).astype(int)
    jump = np.abs(np.diff(vcg[:, 0]))
    assert (jump[at - 1] > 0.5).all()  # 0.6 mV within one sample
    assert np.median(jump) < 0.05


# Catheters


def onsets(channel: NDArray[np.float32], fs: float) -> NDArray[np.float64]:
    """When each burst of a channel without noise has its largest deflection, s."""
    size = np.abs(channel)
    places = np.flatnonzero(size > max(0.45 * size.max(), 1e-6))
    if not len(places):
        return np.zeros(0)
    groups = np.split(places, np.flatnonzero(np.diff(places) > 0.06 * fs) + 1)
    return np.array([group[size[group].argmax()] for group in groups]) / fs


def seen(beats: Beats, fs: float = 977.0) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    drawn = draw_catheters(rng, CHANNELS)
    even = Catheters(CHANNELS, np.ones_like(drawn.size), drawn.shape)
    signal = electrograms(rng, beats, even, 0, round(10 * fs), fs)
    return {name: onsets(signal[:, k], fs) for k, name in enumerate(CHANNELS)}


def after(times: NDArray[np.float64], events: NDArray[np.float64]) -> float:
    """The median time from each event to the nearest of `times`, s."""
    events = events[(events > 0.5) & (events < 9.5)]
    return float(np.median([(times - event)[np.abs(times - event).argmin()] for event in events]))


def test_the_coronary_sinus_tells_where_the_atria_were_activated_from(
    rng: np.random.Generator,
) -> None:
    orders = {}
    for kind in ("sinus", "retrograde", "eccentric", "paced", "ectopic"):
        alone = rhythms.regular(rng, 75, 10, 0.4, kind)
        found = seen(replace(alone, qrs=np.full(len(alone), np.nan)))
        orders[kind] = [after(found[name], alone.p) for name in CS]
    for kind in ("sinus", "retrograde", "paced"):
        assert np.all(np.diff(orders[kind]) < 0), kind  # the mouth, CS90, first
    for kind in ("eccentric", "ectopic"):
        assert np.all(np.diff(orders[kind]) > 0), kind  # the far left, CS12, first


def test_the_interval_from_ventricle_to_atrium_tells_the_tachycardias_apart(
    rng: np.random.Generator,
) -> None:
    nodal = rhythms.regular(rng, 180, 10, -0.03, "retrograde")
    pathway = rhythms.regular(rng, 200, 10, -0.11, "eccentric")
    for beats, first, least, most in ((nodal, "CS90", 0.0, 0.07), (pathway, "CS12", 0.07, 0.2)):
        found = seen(beats)
        # the atrium's bursts are higher than the ventricle's in the coronary sinus
        interval = after(found[first], beats.p) + float(np.median(beats.p - beats.qrs))
        assert least < interval < most


def test_the_apex_is_first_when_paced_and_late_when_its_bundle_is_blocked(
    rng: np.random.Generator,
) -> None:
    late = {}
    for kind in ("paced", "normal", "aberrant", "preexcited"):
        beats = rhythms.regular(rng, 80, 10, float("nan"), qrs_kind=kind)
        late[kind] = after(seen(beats)["RVA12"], beats.qrs)
    assert late["paced"] < late["normal"] < 0.03 < late["preexcited"] < late["aberrant"]


def test_a_channel_without_contact_is_flat(rng: np.random.Generator) -> None:
    drawn = draw_catheters(rng, CHANNELS, silent=("ABL12",))
    beats = rhythms.regular(rng, 80, 10, 0.15)
    signal = electrograms(rng, beats, drawn, 0, 5000, 977.0)
    assert not signal[:, 0].any()
    assert (np.abs(signal[:, 1:]).max(axis=0) > 0.1).all()


def test_fibrillating_atria_burst_at_random(rng: np.random.Generator) -> None:
    found = seen(rhythms.fibrillation(rng, 90, 10))
    gaps = np.diff(found["CS56"])
    assert 3 < len(found["CS56"]) / 10 < 9
    assert gaps.std() / gaps.mean() > 0.2


# Prevalence


def test_raking_meets_the_shares_and_keeps_what_excludes_each_other() -> None:
    sets = [frozenset(one) for one in ("A", "AB", "B", "C")]
    weights = raked(sets, [10, 10, 10, 10], {"A": 0.5, "B": 0.3, "C": 0.4, "none": 0.1})
    assert weights.sum() == pytest.approx(1)
    assert weights[0] + weights[1] == pytest.approx(0.5, abs=1e-3)
    assert weights[1] + weights[2] == pytest.approx(0.3, abs=1e-3)
    assert weights[3] == pytest.approx(0.4, abs=1e-3)


def test_draws_are_as_even_as_can_be(rng: np.random.Generator) -> None:
    drawn = spread(rng, np.array([0.5, 0.3, 0.2]), 101)
    assert set(np.abs(np.bincount(drawn) - 101 * np.array([0.5, 0.3, 0.2])) < 1) == {True}
    assert (np.diff(drawn) < 0).any()


def test_all_findings_of_a_recording_stand_in_its_leads() -> None:
    """A left bundle branch block: wide, R without S in V6, deep S in V1."""
    signals = {}
    for name in ("SR", "CLBBB"):
        rng = np.random.default_rng(7)
        person = draw_adult(rng, 22_000, "male", [name])
        signals[name] = record(np.random.default_rng(8), person, 10.0, noisy=False).signal
    v1 = LEADS.index("V1")
    assert signals["CLBBB"][:, v1].min() < 1.2 * signals["SR"][:, v1].min()
