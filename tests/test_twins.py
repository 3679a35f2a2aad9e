"""The simulator: heart, torso, noise, labels, and what makes a child a child."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pecg_utils.twins import writing
from pecg_utils.twins.draw import draw_shaking
from pecg_utils.twins.heart import draw_shape, healthy
from pecg_utils.twins.labels import CODES, diseased
from pecg_utils.twins.noise import RAIL, noise, touch_rail
from pecg_utils.twins.norms import normal
from pecg_utils.twins.person import Person, Simulated, draw_child, record, simulate
from pecg_utils.twins.tables import rows
from pecg_utils.twins.torso import (
    DOWER,
    INDEPENDENT,
    LEADS,
    VIEW,
    electrodes,
    project,
    twelve,
)

AGES = (3, 60, 730, 2370, 5110)
FS = 500


def lead(made: Simulated, name: str) -> NDArray[np.float32]:
    return made.signal[:, LEADS.index(name)]


def measured(made: Simulated) -> dict[str, float]:
    """What a reader would measure in a noise-free recording, by the names of `Heart`."""
    beats = made.beats
    found: list[dict[str, float]] = []
    for p_on, on, off, t_on, t_off in zip(
        beats.p_on, beats.qrs_on, beats.qrs_off, beats.t_on, beats.t_off, strict=True
    ):
        i, j, p = int(on * FS), int(off * FS), int(p_on * FS)
        ts, te = int(t_on * FS), int(t_off * FS)
        if p < 5 or te >= len(made.signal):
            continue
        beat = made.signal - np.median(made.signal[i - 5 : i - 1], axis=0)
        qrs = {name: beat[i : j + 1, LEADS.index(name)] for name in LEADS}
        late = j - (j - i) // 3
        steep = np.linalg.norm(np.diff(made.signal[i - 15 : j + 15, 6:], axis=0), axis=1)
        wide = np.flatnonzero(steep > 0.15 * steep.max())
        area_i, area_avf = qrs["I"].sum(), qrs["aVF"].sum() * 2 / np.sqrt(3)
        t_wave = beat[ts:te, LEADS.index("V6")]
        p_wave = made.signal[p:i, 1] - made.signal[p, 1]
        found.append(
            {
                "pr": (i + int(np.abs(qrs["II"]).argmax()) - p - int(p_wave.argmax())) / FS * 1000,
                "qrs": (wide[-1] - wide[0]) / FS * 1000,
                "axis": float(np.degrees(np.arctan2(area_avf, area_i))),
                "r_v1": qrs["V1"].max(),
                "s_v1": -qrs["V1"].min(),
                "r_v6": qrs["V6"].max(),
                "s_v6": -qrs["V6"][len(qrs["V6"]) // 2 :].min(),
                "q_v6": -qrs["V6"][: len(qrs["V6"]) // 2].min(),
                "r2_v1": beat[late:j, LEADS.index("V1")].max(),
                "voltage": float(np.mean([np.ptp(values) for values in qrs.values()])),
                "t_scale": float(np.abs(t_wave).max()),
                "st": beat[(j + ts) // 2 if ts > j else j + 8, LEADS.index("V5")],
                "p_right": p_wave.max(),
                "p_left": float(np.sum(made.signal[p:i, 0] - made.signal[p, 0])),
            }
        )
    middle = {key: float(np.median([one[key] for one in found])) for key in found[0]}
    return middle | {"rate": 60.0 / float(np.diff(beats.r).mean())}


def test_dower_is_the_pseudo_inverse_of_the_published_inverse() -> None:
    # Edenbrandt and Pahlm 1988: X, Y, Z from V1 to V6, I, II.
    inverse = np.array(
        [
            [-0.172, -0.074, 0.122, 0.231, 0.239, 0.194, 0.156, -0.010],
            [0.057, -0.019, -0.106, -0.022, 0.041, 0.048, -0.227, 0.887],
            [-0.229, -0.310, -0.246, -0.063, 0.055, 0.108, 0.022, 0.102],
        ]
    )
    order = [INDEPENDENT.index(name) for name in ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II")]
    np.testing.assert_allclose(np.linalg.pinv(DOWER[order]), inverse, atol=2e-3)


def test_einthoven_holds_with_noise() -> None:
    made = simulate(np.random.default_rng(0), 900, ("Q21.3",), seconds=5)
    one, two, three, avr, avl, avf = made.signal[:, :6].T
    np.testing.assert_allclose(two, one + three, atol=1e-5)
    np.testing.assert_allclose(avr, -(one + two) / 2, atol=1e-5)
    np.testing.assert_allclose(avl, (one - three) / 2, atol=1e-5)
    np.testing.assert_allclose(avf, (two + three) / 2, atol=1e-5)


def test_leads_stand_in_their_order() -> None:
    signal = project(np.eye(6, dtype=np.float32)[:3], VIEW)  # a step along X, Y and Z
    leads = twelve(signal)
    for name in INDEPENDENT:
        expected = VIEW[INDEPENDENT.index(name), :3]
        np.testing.assert_allclose(leads[:, LEADS.index(name)], expected, rtol=1e-6)


@pytest.mark.parametrize("age", AGES)
def test_rate_and_intervals_lie_within_the_norms(age: int) -> None:
    hearts = [healthy(np.random.default_rng(k), age) for k in range(200)]
    for name in ("rate", "pr", "qrs", "qtc", "axis"):
        values = np.array([getattr(heart, name) for heart in hearts])
        middle, spread = normal(name, age), normal(f"{name}_sd", age)
        assert abs(values.mean() - middle) < 0.25 * spread
        assert np.all(np.abs(values - middle) <= 2.001 * spread)


@pytest.mark.parametrize("age", AGES)
def test_the_signal_shows_what_the_heart_says(age: int) -> None:
    made = [simulate(np.random.default_rng(k), age, noisy=False) for k in range(12)]
    read = [measured(one) for one in made]
    for one, values in zip(made, read, strict=True):
        assert values["rate"] == pytest.approx(one.heart.rate, rel=0.06)
        beats = one.beats
        np.testing.assert_allclose((beats.qrs_on - beats.p_on) * 1000, one.heart.pr, rtol=1e-6)
        np.testing.assert_allclose((beats.qrs_off - beats.qrs_on) * 1000, one.heart.qrs, rtol=1e-6)
        qt = one.heart.qtc / 1000 * np.sqrt(60 / one.heart.rate)
        np.testing.assert_allclose(beats.t_off - beats.qrs_on, qt, rtol=1e-6)
        assert np.all(beats.p_off < beats.qrs_on)
        assert values["qrs"] == pytest.approx(one.heart.qrs, rel=0.45)
    for name in ("r_v1", "s_v1"):
        ratio = [v[name] / getattr(one.heart, name) for one, v in zip(made, read, strict=True)]
        assert 0.65 < np.median(ratio) < 1.4  # a small R is raised by the loop's own bends
    turn = [v["axis"] - one.heart.axis for one, v in zip(made, read, strict=True)]
    assert abs(np.median(turn)) < 20


def test_right_ventricle_leads_in_the_newborn_and_not_in_the_teenager() -> None:
    def ratio(age: int) -> float:
        read = [measured(simulate(np.random.default_rng(k), age, noisy=False)) for k in range(15)]
        return float(np.median([one["r_v1"] / one["s_v1"] for one in read]))

    newborn, child, teenager = ratio(5), ratio(2370), ratio(5110)
    assert newborn > 1.3
    assert child < 1.0
    assert teenager < 0.6


def test_t_waves_are_negative_in_v1_and_positive_in_v6_in_children() -> None:
    for k in range(8):
        made = simulate(np.random.default_rng(k), 1000, noisy=False)
        beats = made.beats
        keep = (beats.t_on > 0) & (beats.t_off < 10)
        peak = ((beats.t_on + 2 * beats.t_off)[keep] / 3 * FS).astype(int)
        rest = (beats.qrs_on[keep] * FS).astype(int)
        height = made.signal[peak] - made.signal[rest]  # (n, 12)
        middle = np.median(height, axis=0)
        assert middle[LEADS.index("V1")] < -0.05
        assert middle[LEADS.index("V6")] > 0.05


def test_beats_lie_in_the_recording_and_vary() -> None:
    made = simulate(np.random.default_rng(1), 3000, seconds=30)
    assert made.signal.shape == (15000, 12)
    assert made.signal.dtype == np.float32
    assert made.beats.r.min() >= 0
    assert made.beats.r.max() < 30
    rr = np.diff(made.beats.r)
    assert 0.01 < rr.std() / rr.mean() < 0.2
    quiet = simulate(np.random.default_rng(1), 3000, seconds=30, noisy=False)
    peaks = [
        lead(quiet, "II")[int(r * FS) - 20 : int(r * FS) + 20].max() for r in quiet.beats.r[1:]
    ]
    assert 0.015 < np.std(peaks) / np.mean(peaks) < 0.15


def test_every_label_has_effects_on_things_that_exist() -> None:
    assert len(CODES) == 19
    table = rows("effects.csv")
    assert {row["code"] for row in table} == set(CODES)
    assert {row["parameter"] for row in table} <= set(asdict(healthy(np.random.default_rng(0), 9)))
    assert {row["change"] for row in table} == {"times", "plus"}
    for row in table:
        assert row["unit"] == ("x" if row["change"] == "times" else row["unit"]) != ""


@pytest.mark.parametrize("code", CODES)
def test_label_changes_the_signal_as_its_table_says(code: str) -> None:
    before, after = [], []
    for k in range(10):
        rng = np.random.default_rng(k)
        heart, shape = replace(healthy(rng, 1200), r2_v1=0.05, st=0.0), draw_shape(rng)
        for kept, now in ((before, heart), (after, diseased(heart, {code: 1.5}))):
            child = Person({"normal": now}, shape, VIEW, draw_shaking(rng))
            kept.append(measured(record(np.random.default_rng(k), child, 6.0, noisy=False)))
    for row in rows("effects.csv"):
        if row["code"] != code:
            continue
        name, size = row["parameter"], float(row["size"])
        up = size > 1 if row["change"] == "times" else size > 0
        change = np.array([b[name] - a[name] for a, b in zip(before, after, strict=True)])
        if name == "axis":
            change = (change + 180) % 360 - 180
        assert np.median(change) * (1 if up else -1) > 0, f"{name}: {change}"
        if row["change"] == "times":  # the heart's shape and other effects may blur the size
            ratio = np.median([b[name] / a[name] for a, b in zip(before, after, strict=True)])
            assert np.log(ratio) / np.log(size**1.5) > 0.3, f"{name}: {ratio}"


def test_severity_scales_an_effect_and_zero_is_none() -> None:
    heart = healthy(np.random.default_rng(0), 500)
    assert diseased(heart, {"Q21.3": 0.0}) == heart
    mild, full = diseased(heart, {"Q21.3": 0.5}), diseased(heart, {"Q21.3": 1.0})
    assert heart.r_v1 < mild.r_v1 < full.r_v1
    assert full.r_v1 == pytest.approx(heart.r_v1 * 1.55)
    both = diseased(heart, {"Q21.3": 1.0, "Q22.1": 1.0})
    assert both.axis == pytest.approx(heart.axis + 30 + 20)


def test_a_child_can_be_told_from_others() -> None:
    """The nearest median beat among 40 children's second recordings is mostly the child's own."""

    def beat(made: Simulated) -> NDArray[np.float64]:
        start = (made.beats.r[1:-2] * FS).astype(int) - 40
        around = np.stack([made.signal[s : s + 80] for s in start if s > 0])  # (n, 80, 12)
        shape = np.median(around, axis=0).ravel()
        return np.asarray((shape - shape.mean()) / shape.std())

    first, second = [], []
    for k in range(40):
        rng = np.random.default_rng(k)
        child = draw_child(rng, 1500)
        first.append(beat(record(rng, child, 10.0)))
        second.append(beat(record(rng, child, 10.0)))
    likeness = np.stack(first) @ np.stack(second).T / len(first[0])  # (40, 40) correlations
    own, others = np.diag(likeness), likeness[~np.eye(40, dtype=bool)]
    assert own.mean() > others.mean() + 0.1
    assert (likeness.argmax(axis=1) == np.arange(40)).mean() > 0.8


def test_electrodes_differ_between_children_and_stay_near_the_usual_view() -> None:
    one, other = (electrodes(np.random.default_rng(k), 0.1) for k in (1, 2))
    assert np.abs(one - other).max() > 0.05
    assert np.abs(one - VIEW).max() < 0.8


def test_noise_is_of_the_size_of_real_recordings() -> None:
    steps, drifts = [], []
    for k in range(15):
        made = noise(np.random.default_rng(k), 5000)  # (5000, 8)
        steps.append(np.median(np.abs(np.diff(made, axis=0))))
        drifts.append(made.reshape(10, 500, 8).mean(axis=1).std(axis=0).mean())
    assert 0.001 < np.median(steps) < 0.015
    assert 0.005 < np.median(drifts) < 0.06


def test_the_rail_is_touched_in_the_named_columns_only() -> None:
    for k in range(20):
        signal = np.zeros((2500, 9), np.float32)
        touch_rail(np.random.default_rng(k), signal, [6, 7, 8])
        assert np.abs(signal).max() == np.float32(RAIL)
        assert np.abs(signal[:, :6]).max() == 0
        assert (np.abs(signal).max(axis=1) > 26.6).mean() < 0.9


def threads(_: int) -> set[int]:
    """How many threads each of this process's libraries for matrices would take."""
    import threadpoolctl

    return {int(library["num_threads"]) for library in threadpoolctl.threadpool_info()}


def test_each_process_of_several_multiplies_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what they would take, where there are as many
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert list(writing.each(threads, range(4), "counting threads", workers=2)) == [{1}] * 4
