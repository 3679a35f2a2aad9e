"""Children beside adults: what is measured in hearts of known make, medians, typical beats."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_hearts import ADULT, CHILD, beat, made

from pecg_utils import children
from pecg_utils.children import ADULT_BANDS, BANDS, CHILD_BANDS, band_numbers, by_age, measured
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.data.windows import Settings, prepare
from pecg_utils.errors import PecgError
from pecg_utils.subgroups import AGE_BANDS

FLAT = {"rate": 0.0}
YEAR = 365.25
COLUMNS = ["record", "patient", "age_days", "rate", "axis"]
COLUMNS += ["r_v1", "s_v1", "r_v6", "t_v1", "t_v2", "t_v3"]


def rows(ages: list[float], **columns: object) -> pd.DataFrame:
    """A table as `measured` gives it."""
    n = len(ages)
    table = pd.DataFrame({"record": [f"r{i}" for i in range(n)], "age_days": ages})
    table["patient"] = table["record"]
    for name in COLUMNS[3:]:
        table[name] = 1.0
    return table.assign(**columns)[COLUMNS]


def test_bands_are_the_childrens_and_then_the_adults() -> None:
    assert list(CHILD_BANDS)[:-1] == list(AGE_BANDS)[:-1]
    assert list(BANDS)[-4:] == [
        *("12 to 18 years", "18 to 40 years", "40 to 65 years", "over 65 years")
    ]
    assert list(BANDS) == [*CHILD_BANDS, *ADULT_BANDS]
    assert list(BANDS.values()) == sorted(BANDS.values())
    assert BANDS["under 1 month"] == AGE_BANDS["under 1 month"]
    ages = pd.Series([0, 29, 30, 17.9 * YEAR, 18 * YEAR, 40 * YEAR, 65 * YEAR, 99 * YEAR, np.nan])
    assert band_numbers(ages).tolist() == [0, 0, 1, 6, 7, 8, 9, 9, 10]


@pytest.mark.parametrize(("fs", "within"), [(100.0, 0.25), (500.0, 0.1)])
def test_a_child_and_an_adult_are_measured_as_they_were_made(fs: float, within: float) -> None:
    child = CHILD | {"t_v2": -0.2, "t_v3": 0.25}
    table = measured(made([child, ADULT], [10.0, 50 * YEAR], fs=fs))
    assert list(table) == COLUMNS
    assert table["record"].tolist() == ["A0", "A1"]
    assert table["patient"].tolist() == ["p0", "p1"]
    for found, heart in zip(table.to_dict("records"), (child, ADULT), strict=True):
        assert found["rate"] == pytest.approx(heart["rate"], rel=0.01)
        assert found["axis"] == pytest.approx(heart["axis"], abs=5)
        for name in {"r_v1", "s_v1", "r_v6", "t_v1", "t_v2", "t_v3"} & set(heart):
            assert found[name] == pytest.approx(heart[name], rel=within, abs=0.03)


def test_where_no_beat_is_there_is_nan_and_no_error() -> None:
    table = measured(made([FLAT, CHILD], [10.0, 11.0]))
    assert table.loc[0, COLUMNS[3:]].isna().all()
    assert table.loc[1, COLUMNS[3:]].notna().all()
    assert measured(made([FLAT], [np.nan])).shape == (1, len(COLUMNS))


def test_zeros_after_the_end_of_a_short_recording_are_no_part_of_it() -> None:
    windows = made([CHILD | {"rate": 120}], [10.0])
    whole = measured(windows).loc[0]
    steps = np.array(windows.steps)
    steps[:, :, 2600:] = 0
    short = dataclasses.replace(windows, steps=steps)
    assert children._signal(short, 0).shape == (2600, 12)
    assert measured(short).loc[0, "rate"] == pytest.approx(whole["rate"], rel=0.01)


def test_recordings_are_drawn_evenly_over_the_bands_and_by_the_seed() -> None:
    ages = [10.0] * 2 + [2 * YEAR] * 9 + [50 * YEAR] * 20 + [np.nan] * 3
    windows = made([FLAT] * len(ages), ages)
    table = measured(windows, most=11)
    known = table[table["age_days"].notna()]
    assert known["age_days"].value_counts().to_dict() == {10.0: 2, 2 * YEAR: 5, 50 * YEAR: 4}
    assert children.unaged(table) == 3
    assert table["age_days"].tail(3).isna().all()
    assert table["record"].is_unique
    assert table["record"].equals(measured(windows, most=11)["record"])
    assert not table["record"].equals(measured(windows, most=11, seed=1)["record"])
    assert len(measured(windows)) == len(ages)


def test_of_a_recording_in_several_windows_the_first_is_measured() -> None:
    windows = made(
        [ADULT, CHILD, CHILD, ADULT], [9.0] * 4, record=["a", "a", "b", "b"], patient="unknown"
    )
    table = measured(windows)
    assert table["record"].tolist() == ["a", "b"]
    assert table["rate"].tolist() == pytest.approx([70, 140], rel=0.01)
    assert table["patient"].tolist() == ["recording a", "recording b"]  # nobody is two people


def test_nine_leads_give_what_they_hold() -> None:
    windows = made([CHILD] * 3, [10.0] * 3, leads=NINE_LEADS)
    table = measured(windows)
    assert table[["r_v6", "t_v2"]].isna().all(axis=None)
    assert table[["rate", "axis", "r_v1", "s_v1", "t_v1", "t_v3"]].notna().all(axis=None)
    found = by_age(table).loc[0]
    assert np.isnan([found["r_v6"], found["inverted_v2"]]).all()
    assert list(children.beats(windows)["under 1 month"].leads) == ["V1"]


@pytest.mark.parametrize("look", [measured, children.beats])
def test_windows_that_cannot_be_measured_are_refused(look: Callable[..., object]) -> None:
    limb = made([CHILD], [10.0], leads=("I", "II", "III", "aVF"))
    with pytest.raises(PecgError, match="no lead V1, in which"):
        look(limb)
    with pytest.raises(PecgError, match="of 3 s at 500 Hz"):
        look(made([CHILD], [10.0], seconds=3.0))
    with pytest.raises(PecgError, match="of 10 s at 50 Hz"):
        look(made([CHILD], [10.0], fs=50.0))


def test_the_ratio_of_r_to_s_ends_at_what_can_be_read() -> None:
    table = rows([1.0] * 5, r_v1=[1.0, 0.8, 0.0, 0.04, 0.0], s_v1=[0.5, 0.0, 1.0, 0.5, 0.0])
    found = children.ratio(table)
    np.testing.assert_allclose(found, [2.0, 16.0, 0.05, 0.1, np.nan])


def test_medians_quartiles_and_shares_are_by_band() -> None:
    ages = [10.0] * 5 + [20 * YEAR] * 4 + [70 * YEAR] * 2 + [np.nan] * 3
    rate = [100.0, 110, 120, 130, 140, 60, 60, 80, np.nan, 1, 1, 1, 1, 1]
    t_v1 = [-0.2, -0.06, -0.04, 0.1, np.nan, 0.1, 0.1, np.nan, -9, 0, 0, 0, 0, 0]
    r_v6 = [1.0, 2.0, *[np.nan] * 3, *[0.5] * 9]
    table = rows(ages, rate=rate, t_v1=t_v1, r_v6=r_v6, r_v1=[2.0] * 5 + [0.5] * 9)
    table["patient"] = ["a", "a", *table["patient"][2:]]
    found = by_age(table)
    assert found["band"].tolist() == ["under 1 month", "18 to 40 years"]  # two are too few
    assert found["recordings"].tolist() == [5, 3]  # one could not be measured
    assert found["patients"].tolist() == [4, 3]
    young, adult = found.to_dict("records")
    assert [young[n] for n in ("rate_low", "rate", "rate_high")] == [110, 120, 130]
    assert (young["ratio_v1"], adult["ratio_v1"]) == (2.0, 0.5)
    assert young["inverted_v1"] == 0.5  # a T of -0.04 mV is flat, and one is not known
    assert np.isnan(young["r_v6"])  # two are too few here too
    assert adult["r_v6"] == 0.5
    assert np.isnan(adult["inverted_v1"])
    assert children.unaged(table) == 3


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        ([10.0, 20.0, 30.0, 40.0, 60.0], (30, 20, 40)),
        ([150.0, 170.0, 175.0, -175.0, -160.0], (175, 170, 185)),  # 180 lies among them
        ([150.0, 175.0, -175.0, -170.0, -160.0], (-175, -185, -170)),
        ([140.0, 180.0, -178.0, -177.0, -176.0], (-178, -180, -177)),  # their mean is 173
        ([180.0, 180.0, 180.0, -180.0, -180.0], (180, 180, 180)),
    ],
)
def test_the_axis_goes_round(degrees: list[float], expected: tuple[float, ...]) -> None:
    found = by_age(rows([10.0] * 5, axis=degrees)).loc[0]
    np.testing.assert_allclose([found["axis"], found["axis_low"], found["axis_high"]], expected)


def test_a_table_without_ages_has_no_bands() -> None:
    found = by_age(rows([np.nan] * 4))
    assert found.empty
    assert list(found) == list(by_age(rows([10.0] * 4)))


def test_a_typical_beat_is_the_median_over_hearts_laid_on_the_qrs() -> None:
    odd = ADULT | {"r_v1": 3.0, "t_v1": -2.0}
    low, high = ADULT | {"s_v1": 0.8}, ADULT | {"s_v1": 1.2}
    windows = made([low, ADULT, odd, high, ADULT], [30 * YEAR] * 5)
    found = children.beats(windows)
    assert list(found) == ["18 to 40 years"]
    typical = found["18 to 40 years"]
    assert typical.recordings == 5
    assert list(typical.leads) == ["V1", "V2", "V6"]
    assert typical.seconds[[0, -1]].tolist() == [-0.3, 0.5]
    expected = beat(typical.seconds - 0.016, ADULT)  # the QRS is largest at R
    for lead, trace in typical.leads.items():
        apart = np.abs(trace - expected[:, TWELVE_LEADS.index(lead)])
        assert apart.max() < 0.12, lead
        assert np.median(apart) < 0.01, lead
    assert typical.leads["V1"].min() == pytest.approx(-1.0, abs=0.1)


def test_a_typical_beat_ends_where_the_next_one_begins() -> None:
    slow, fast = ADULT, CHILD | {"rate": 170}
    windows = made([slow] * 3 + [fast] * 5, [30 * YEAR] * 5 + [10.0] * 3)  # most adults are slow
    found = children.beats(windows, ["18 to 40 years", "under 1 month"])
    assert list(found) == ["under 1 month", "18 to 40 years"]
    mixed = made([slow] * 2 + [fast] * 3, [30 * YEAR] * 5)
    found["most are fast"] = children.beats(mixed)["18 to 40 years"]
    shown = {
        band: one.seconds[np.isfinite(one.leads["V6"])][[0, -1]] for band, one in found.items()
    }
    rr = 60 / 170
    for band in ("under 1 month", "most are fast"):
        np.testing.assert_allclose(shown[band], [-0.75 * rr, 0.9 * rr], atol=0.04)
    np.testing.assert_allclose(shown["18 to 40 years"], [-0.3, 0.5], atol=0.002)


def test_beats_are_of_the_bands_that_are_asked_for() -> None:
    windows = made([CHILD] * 7 + [FLAT] * 3, [10.0] * 4 + [YEAR * 2] * 3 + [YEAR * 4] * 3)
    found = children.beats(windows, ["under 1 month", "3 to 5 years"], most=3)
    assert {band: one.recordings for band, one in found.items()} == {"under 1 month": 3}
    assert children.beats(windows, ["1 to 3 years"], most=2) == {}
    with pytest.raises(PecgError, match="No band of age is called 'infants'; there are under 1"):
        children.beats(windows, ["infants"])


@pytest.mark.parametrize(("name", "folder"), [("zzu", "zzu-pecg"), ("ptbxl", "ptb-xl")])
def test_real_people_are_as_is_known(
    real: Callable[[str], Path], tmp_path: Path, name: str, folder: str
) -> None:
    """Of the first 60: children are faster and their R in V1 is taller, adults' axis is left."""
    dataset = open_dataset(name, real(folder))
    dataset = dataset.only(np.arange(len(dataset.table)) < 60)
    settings = Settings(TWELVE_LEADS, fs=100.0, seconds=10.0, whole=True)
    table = measured(prepare(dataset, settings, tmp_path))
    assert table["rate"].notna().mean() > 0.9
    assert table["rate"].dropna().between(30, 220).all()
    middle = table.median(numeric_only=True)
    if name == "zzu":
        assert table["age_days"].max() < children.ADULT
        assert middle["rate"] > 85
        assert middle["axis"] > 60
        assert middle["r_v1"] > 0.4
        assert middle["t_v1"] < -0.1
    else:
        assert middle["rate"] < 85
        assert middle["axis"] < 60
        assert middle["r_v1"] < 0.3
        assert middle["t_v2"] > 0.2
