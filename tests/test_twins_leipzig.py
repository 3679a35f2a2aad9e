"""The Leipzig twin: its counts, its channels, its marks, and what the reader makes of it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.data import leipzig as reader
from pecg_utils.data import open_dataset, quality
from pecg_utils.errors import PecgError
from pecg_utils.twins import leipzig, leipzig_plan
from pecg_utils.twins.heart import healthy, kinds
from pecg_utils.twins.tables import rows

SUBJECTS = rows("leipzig_subjects.csv")
KINDS = {row["kind"]: row for row in rows("leipzig_beats.csv")}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return leipzig.write(tmp_path_factory.mktemp("twin") / "leipzig", 3, seed=2, workers=1)


def beats(numbers: dict[str, dict[str, int]], symbol: str, aux: str | None = None) -> int:
    return sum(
        count
        for of_one in numbers.values()
        for kind, count in of_one.items()
        if KINDS[kind]["symbol"] == symbol and aux in (None, KINDS[kind]["aux"])
    )


def test_full_size_counts_are_the_releases() -> None:
    numbers = leipzig_plan.counts()
    symbols = {"N": 50_973, "X": 29_477, "/": 13_779, "R": 12_023, "A": 3_469, "V": 2_133}
    for symbol, count in (symbols | {"J": 1_710}).items():
        assert beats(numbers, symbol) == count
    assert sum(beats(numbers, symbol) for symbol in "FafLbj") == 360
    assert sum(sum(one.values()) for one in numbers.values()) == 113_924
    texts = {"AVRT": (17_599, 16), "AVNRT": (8_097, 13), "VT": (1_914, 16), "AFIB": (1_235, 6)}
    texts |= {"avnrt": (231, 6), "AVNRT+BII": (161, 2), "AFL": (109, 1), "IVR": (82, 4)}
    texts |= {"EAT": (28, 1), "avrt": (21, 2)}
    for text, (count, carriers) in texts.items():
        assert beats(numbers, "X", text) == count
        assert sum(text in one for one in numbers.values()) == carriers
    assert beats(numbers, "N", "N-Prex") == 13_786
    large = sum(sum(numbers[record].values()) for record in ("x001", "x003", "x004", "x006"))
    assert large == pytest.approx(61_806, rel=0.06)


def test_subjects_and_channels_are_the_releases() -> None:
    diagnoses = Counter(row["diagnosis"] for row in SUBJECTS)
    assert len(SUBJECTS) == 39
    assert diagnoses["AVNRT"] == 13
    assert diagnoses["AVRT"] + diagnoses["AVRT-WPW"] + diagnoses["PJRT"] == 16
    assert (diagnoses["AVRT-WPW"], diagnoses["PJRT"], diagnoses["TOF with VT"]) == (5, 1, 8)
    channels = {row["record"]: 12 + len(leipzig.CHANNELS[row["channels"]]) for row in SUBJECTS}
    assert Counter(channels.values()) == {19: 28, 14: 5, 18: 4, 20: 2}
    fourteen = {record for record, count in channels.items() if count == 14}
    assert fourteen == {"x102", "x105", "x107", "x108", "x109"}
    assert {r for r, count in channels.items() if count == 18} == {"x002", "x005", "x0015", "x0029"}
    ages = [float(row["age"].lstrip(".")) for row in SUBJECTS if row["group"] == "children"]
    assert 5 <= min(ages) < max(ages) <= 18


@pytest.mark.parametrize("minutes", [1, 8, 40, 300])
def test_smaller_plans_keep_who_has_what(minutes: int) -> None:
    full, small = leipzig_plan.counts(), leipzig_plan.counts(minutes)
    assert {r: set(one) for r, one in small.items()} == {r: set(one) for r, one in full.items()}
    assert min(sum(one.values()) for one in small.values()) >= 15
    if minutes >= 40:
        share = sum(sum(one.values()) for one in small.values()) / 113_924
        assert share == pytest.approx(minutes / 1107, rel=0.1)


def test_no_minutes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="at least 1"):
        leipzig.write(tmp_path / "twin", 0)


def test_the_reader_opens_every_record(twin: Path) -> None:
    dataset = open_dataset("leipzig", twin)
    table = dataset.table.set_index("record")
    assert dataset.kind == "twin"
    assert Counter(table["source"]) == {"children": 29, "adults": 10}
    assert table.loc["x007", "age_days"] == pytest.approx(14.3 * 365.25)
    assert Counter(table["n_leads"]) == {19: 28, 14: 5, 18: 4, 20: 2}
    report = quality.inspect(dataset)
    assert report.excluded == []
    assert [(f.record, f.fault, f.detail) for f in report.faults] == [("x0027", "flat", "ABL12")]
    held = set(dataset.labels.columns[dataset.labels.any()])
    assert held == set(reader.LABELS) - {"A", "B"}  # what those stand for is not known
    assert dataset.labels["AFL"].sum() == dataset.labels["EAT"].sum() == 1


def test_every_beat_of_the_plan_is_annotated(twin: Path) -> None:
    numbers = leipzig_plan.counts(3)
    unreadable = 0
    for record, planned in numbers.items():
        found = reader.annotations(twin / record)
        marked = Counter(found["symbol"])
        expected = Counter[str]()
        for kind, count in planned.items():
            expected[KINDS[kind]["symbol"]] += count
        lost = sum((expected - marked).values())
        assert lost == marked["Q"]  # in noise a beat is marked as unreadable, whatever it was
        assert not set(marked) - set(expected) - {"+", "~", "Q"}
        unreadable += lost
        assert found["sample"].is_monotonic_increasing
        assert found["symbol"].iloc[0] == "+"
        n_samples = wfdb.rdheader(str(twin / record)).sig_len
        spans = reader.rhythms(found, n_samples)
        assert found["sample"].max() < n_samples
        episodes = {KINDS[kind]["rhythm"] for kind in planned} - {""}
        assert set(spans["rhythm"]) == episodes
    assert unreadable < 0.1 * sum(sum(one.values()) for one in numbers.values())


def test_a_beat_of_a_tachycardia_stands_in_its_rhythm(twin: Path) -> None:
    found = reader.annotations(twin / "x001")
    spans = reader.rhythms(found, 10**9)
    beat = found[(found["symbol"] == "X") & (found["aux"] == "AVRT")]
    at = np.searchsorted(spans["start"], beat["sample"], side="right") - 1
    assert len(beat)
    assert set(spans["rhythm"].to_numpy()[at]) == {"AVRT"}


def test_channels_are_where_their_names_say(twin: Path) -> None:
    for row in SUBJECTS:
        header = wfdb.rdheader(str(twin / row["record"]))
        assert header.sig_name[:12] == list(leipzig.LEADS)
        assert (header.fs, set(header.fmt), set(header.adc_gain)) == (977, {"24"}, {2000.0})
    assert wfdb.rdheader(str(twin / "x0028")).sig_name[12] == "ART"
    assert wfdb.rdheader(str(twin / "x100")).sig_name[-1] == "RVA12"


def test_wfdb_finds_the_checksums_right(twin: Path) -> None:
    record = wfdb.rdrecord(str(twin / "x0013"), physical=False)
    sums = record.d_signal.astype(np.int64).sum(axis=0)
    assert [int(s) % 65536 for s in sums] == [c % 65536 for c in record.checksum]
    assert record.init_value == record.d_signal[0].tolist()
    assert np.abs(record.d_signal).max() <= 10_000  # the rail of 5 mV
    limb = record.d_signal[:, :3] / 2000  # Einthoven's law holds
    np.testing.assert_allclose(limb[:, 1], limb[:, 0] + limb[:, 2], atol=0.002)


def test_same_bytes_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [row for row in SUBJECTS if row["record"] in ("x0025", "x109", "x102")]
    monkeypatch.setattr(leipzig, "rows", lambda name: some)
    folders = [leipzig.write(tmp_path / str(n), 2, seed=1, workers=n) for n in (1, 2)]
    contents = [{p.name: p.read_bytes() for p in sorted(f.iterdir())} for f in folders]
    assert contents[0] == contents[1]
    other = leipzig.write(tmp_path / "other", 2, seed=2, workers=1)
    assert (other / "x109.dat").read_bytes() != contents[0]["x109.dat"]


def test_the_end_of_a_course_is_its_last_beat() -> None:
    rng = np.random.default_rng(4)
    hearts = kinds(rng, healthy(rng, 4000))
    numbers = {"sinus": 40, "AVRT": 50, "VT": 12, "paced ventricle": 20, "atrial": 4, "rarely j": 2}
    happened = leipzig_plan.course(rng, hearts, numbers, left_sided=True)
    there = happened.beats.qrs[~np.isnan(happened.beats.qrs)]
    assert (happened.symbol != "").sum() == sum(numbers.values()) == len(there)
    assert np.diff(there).min() > 0.15
    assert np.diff(there).max() < 2.5
    assert 0 < there.min() < there.max() < happened.seconds < there.max() + 2
    assert "eccentric" in happened.beats.p_kind
