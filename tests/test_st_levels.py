"""ST levels are measured where the marks say, and what filters do to them is told over patients."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils import filters, marked_waves, st_levels
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.marked_waves import Marked, Recordings
from pecg_utils.st_levels import levels, summary
from pecg_utils.twins import pe

ST, HEIGHT = (0.15, -0.2), 0.4  # mV: of lead I and of V1, and of both T waves


def marks(*waves):
    table = pd.DataFrame(waves, columns=["wave", "onset", "peak", "end"])
    return table.astype(dict.fromkeys(("onset", "peak", "end"), "Int64"))


def made(record="a", patient="p", fs=500.0, beats=8, scale=1.0):
    """A beat a second: 80 ms of QRS, a step of ST for 120 ms, T of one sample's peak; offset."""
    second, ms = round(fs), fs / 1000
    signal = np.full((beats * second, 2), 0.3, np.float32)
    waves = []
    for beat in range(beats):
        on = beat * second + round(300 * ms)
        end, peak = on + round(80 * ms), on + round(300 * ms)
        signal[on:end] += 1.0
        for lead, level in enumerate(ST):
            signal[end : end + round(120 * ms), lead] += scale * level
        signal[peak] += HEIGHT
        waves += [
            ("P", on - round(160 * ms), on - round(120 * ms), on - round(80 * ms)),
            ("QRS", on, on + 5, end),
            ("T", peak - round(40 * ms), peak, peak + round(40 * ms)),
        ]
    return Marked(record, patient, fs, signal, ("I", "V1"), (marks(*waves),) * 2)


def recordings(*all_of_them):
    return Recordings("made", "twin", {one.record: lambda one=one: one for one in all_of_them})


@pytest.mark.parametrize("fs", [250.0, 500.0, 1000.0])
def test_a_known_step_is_measured_to_a_microvolt(fs):
    table = levels(recordings(made(fs=fs)))
    assert len(table) == 8 * 2 * 2 * len(filters.FILTERS)
    for (wave, lead), rows in table[table["filter"] == "none"].groupby(["wave", "lead"]):
        expected = 1000 * HEIGHT if wave == "T" else 1000 * ST["IV1".index(lead)]
        np.testing.assert_allclose(rows["raw_uv"], expected, atol=0.1)
        np.testing.assert_array_equal(rows["uv"], rows["raw_uv"])
        assert not rows["change_uv"].any()
        assert rows["beat"].tolist() == list(range(8))
    np.testing.assert_allclose(table["qrs_ms"], 80)


def test_a_filter_is_measured_at_the_same_samples():
    one = made()
    table = levels(recordings(one), ["as coded"]).set_index(["wave", "lead", "beat"])
    after = filters.filtered(one.signal, 500.0, "as coded").astype(float)
    for beat, lead in ((0, 0), (3, 1)):
        on = 500 * beat + 150
        zero = after[on - 10 : on, lead].mean()
        st = after[on + 70 : on + 80, lead].mean() - zero
        row = table.loc["ST", one.leads[lead], beat]
        assert row["uv"] == pytest.approx(1000 * st, abs=1e-3)
        assert row["change_uv"] == pytest.approx(1000 * st - row["raw_uv"], abs=1e-3)
        t = table.loc["T", one.leads[lead], beat]["uv"]
        assert t == pytest.approx(1000 * (after[on + 150, lead] - zero), abs=1e-3)


@pytest.mark.parametrize(
    ("waves", "kept"),
    [
        ([("QRS", 100, 120, 140)], {"ST"}),
        ([("QRS", 100, 120, 140), ("T", 150, 180, 220)], {"ST", "T"}),  # its end is not asked for
        ([("QRS", 100, 120, 140), ("T", 150, 179, 220)], set()),
        ([("QRS", 100, 120, 140), ("P", 180, 190, 200)], {"ST"}),
        ([("QRS", 100, 120, 140), ("P", 179, 190, 200)], set()),
        ([("QRS", 100, 120, 140), ("QRS", pd.NA, 180, 200)], {"ST"}),
        ([("QRS", 100, 120, 140), ("QRS", pd.NA, 179, 200)], set()),
        ([("QRS", pd.NA, 120, 140)], set()),
        ([("QRS", 100, 120, pd.NA)], set()),
        ([("QRS", 9, 20, 40)], set()),
        ([("QRS", 10, 20, 40)], {"ST"}),
        ([("QRS", 900, 910, 960)], {"ST"}),
        ([("QRS", 900, 910, 961)], set()),
        ([("P", 80, 90, 95)], set()),
    ],
)
def test_which_beats_count(waves, kept):
    known = [("QRS", 400, 420, 440), ("T", 500, 540, 580)]
    waves = [*waves, *known] if waves[0][1] is pd.NA or waves[0][1] < 400 else [*known, *waves]
    signal = np.zeros((1000, 1), np.float32)
    table = levels(recordings(Marked("a", "p", 500.0, signal, ("I",), (marks(*waves),))), ["none"])
    number = 0 if waves[-1] == known[-1] else 1
    found = set(table["wave"][table["beat"] == number])
    assert found == (kept if len([w for w in waves if w[0] == "QRS"]) > 1 else {"ST", "T"})


def test_no_beat_at_all():
    signal = np.zeros((1000, 1), np.float32)
    none = Marked("a", "p", 500.0, signal, ("I",), (marks(("P", 80, 90, 95)),))
    for given in (recordings(none), recordings()):
        with pytest.raises(PecgError, match="No beat of made has its QRS onset and end marked"):
            levels(given)


def table_of(raw, uv, patients):
    rows = {"wave": "ST", "filter": "as coded", "patient": patients, "raw_uv": raw, "uv": uv}
    return pd.DataFrame(rows).assign(change_uv=lambda t: t["uv"] - t["raw_uv"])


def test_a_summary_by_hand():
    raw = np.array([100.0, 120.0, -300.0, 20.0, -49.0, 60.0])
    uv = np.array([10.0, 60.0, 49.0, 20.0, 100.0, 50.0])
    (row,) = summary(table_of(raw, uv, list("aabbbc")), 200).to_dict("records")
    assert (row["patients"], row["levels"], row["deviating"]) == (3, 6, 3)
    # |change|: a 90 and 60, b 349, 0 and 149, c 10; medians 75, 149, 10
    assert row["median_uv"] == 75
    assert row["mean_uv"] == pytest.approx((uv - raw).mean())
    assert row["vanished"] == pytest.approx(2 / 3)
    assert row["appeared"] == pytest.approx(1 / 2)
    assert row["correlation"] == pytest.approx(np.corrcoef(raw, uv)[0, 1])
    assert row["median_uv_low"] == 10
    assert row["median_uv_high"] == 149


def test_an_interval_is_of_patients_drawn_again():
    rng = np.random.default_rng(0)
    who = rng.integers(0, 12, 300)
    raw = rng.normal(0, 90, 300)
    uv = 0.4 * raw + rng.normal(0, 30, 300) + 20 * (who % 3)
    (row,) = summary(table_of(raw, uv, who), 60, seed=5).to_dict("records")
    codes = pd.factorize(who)[0]
    again = np.random.default_rng(5)
    drawn = []
    for _ in range(60):
        chosen = again.integers(12, size=12)
        at = np.concatenate([np.flatnonzero(codes == one) for one in chosen])
        x, y = raw[at], uv[at]
        middles = [np.median(np.abs(uv - raw)[codes == one]) for one in chosen]
        high, low = np.abs(x) >= 100, np.abs(x) < 50
        gone, come = (np.abs(y) < 50)[high].mean(), (np.abs(y) >= 100)[low].mean()
        drawn.append([np.median(middles), (y - x).mean(), gone, come, np.corrcoef(x, y)[0, 1]])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    names = ("median_uv", "mean_uv", "vanished", "appeared", "correlation")
    np.testing.assert_allclose([row[f"{name}_low"] for name in names], low)
    np.testing.assert_allclose([row[f"{name}_high"] for name in names], high)


def test_one_patient_has_no_interval_and_no_deviation_no_share():
    (row,) = summary(table_of([60.0, 70.0], [1.0, 2.0], ["a", "a"])).to_dict("records")
    assert np.isnan([row["median_uv_low"], row["vanished"], row["appeared"]]).all()
    words = st_levels.table(pd.DataFrame([row])).iloc[0]
    assert words.filter(like="vanish").empty
    assert words["median |change|, µV"] == "64"
    assert words["of those ≥ 100 µV now < 50 µV, %"] == "–"


def test_the_table_of_a_page():
    found = summary(levels(recordings(made("a", "p"), made("b", "q", scale=0.5))), 50)
    assert found["wave"].tolist() == ["ST"] * 5 + ["T"] * 5
    assert found["filter"].tolist() == [*filters.FILTERS] * 2
    words = st_levels.table(found)
    assert words["beats × leads"].tolist() == ["32"] * 10
    assert words["median |change|, µV"].iloc[0] == "0"
    assert words["correlation with unfiltered"].iloc[0] == "1.00"
    coded = words.iloc[1]["mean change, µV"]
    assert coded.startswith(("+", "-"))
    assert "(" in coded
    assert "to" in coded


def test_the_plainest_beat_is_the_steady_one():
    table = levels(recordings(made("a"), made("b", scale=2.0)), ["none", "as coded"])
    assert st_levels.plainest(table)[:2] == ("b", "V1")
    shaken = table.copy()
    of_b = (shaken["record"] == "b") & (shaken["lead"] == "V1")
    shaken.loc[of_b, "raw_uv"] += np.where(shaken.loc[of_b, "beat"] % 2, 150, -150)
    assert st_levels.plainest(shaken)[:2] == ("b", "I")
    with pytest.raises(PecgError, match="No lead has four beats with a QRS of 70 ms or less"):
        st_levels.plainest(table, narrow=70.0)


def test_one_beat_is_cut_out_with_its_spans():
    given = recordings(made())
    beat = st_levels.one_beat(given, "a", "V1", 2)
    assert (beat.at[0], beat.at[-1]) == (-300, 598)
    assert (beat.baseline, beat.segment) == ((-20, 0), (140, 160))
    within = (beat.at >= 140) & (beat.at < 160)
    np.testing.assert_allclose(beat.traces["none"][within], 0.3 - 0.2, atol=1e-6)
    table = levels(given).query("lead == 'V1' and beat == 2 and wave == 'ST'").set_index("filter")
    assert beat.levels == pytest.approx(table["uv"].to_dict())
    last = st_levels.one_beat(given, "a", "I", 7, ["none"])
    assert last.at.size == last.traces["none"].size
    for record, lead, number in (("b", "I", 0), ("a", "V9", 0), ("a", "I", 8)):
        with pytest.raises(PecgError):
            st_levels.one_beat(given, record, lead, number)


def test_the_twins_waves_are_where_the_simulator_laid_them():
    given = marked_waves.of_twin(3, seed=1)
    assert (given.kind, len(given.readers)) == ("twin", 3)
    one = given.readers["0001"]()
    made_ = pe.simulated(pe.plan(3, 1)[0], 1)
    np.testing.assert_array_equal(one.signal, made_.signal)
    assert one.leads == TWELVE_LEADS
    ii = one.marks[1]
    qrs = ii[ii["wave"] == "QRS"]
    inside = (made_.beats.qrs_on >= 0) & (made_.beats.qrs_off < 10)
    np.testing.assert_allclose(qrs["onset"], 500 * made_.beats.qrs_on[inside], atol=0.5)
    assert (ii["onset"] < ii["peak"]).all()
    assert (ii["peak"] < ii["end"]).all()
    table = levels(given, ["none", "as coded"])
    assert set(table["patient"]) == {"P0001", "P0002", "P0003"}
    raw = table[(table["filter"] == "none") & (table["wave"] == "T")]
    assert raw["raw_uv"].abs().median() > 80


def test_ludb(real, tmp_path):
    dataset = open_dataset("ludb", Path(real("ludb")))
    few = dataset.only(np.arange(200) < 4)
    given = marked_waves.of_ludb(few)
    table = levels(given)
    raw = table[(table["filter"] == "none") & (table["wave"] == "ST")]
    assert 0.95 < len(raw) / sum((m["wave"] == "QRS").sum() for r in given.readers.values()
                                 for m in r().marks) <= 1  # fmt: skip
    assert raw["raw_uv"].abs().median() < 100
    found = summary(table, 100).set_index(["wave", "filter"])
    assert found.loc[("ST", "wavelet"), "median_uv"] < found.loc[("ST", "as coded"), "median_uv"]
    assert found.loc[("T", "as coded"), "vanished"] > 0.9
    assert found.loc[("T", "zero-phase"), "vanished"] < 0.1
    other = open_dataset("pe", pe.write(tmp_path / "pe", 2, workers=1))
    with pytest.raises(PecgError, match="whose waves are not marked"):
        marked_waves.of_ludb(other)
