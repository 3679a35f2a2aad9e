"""The Challenge twin: which recordings carry which codes, and the files it writes."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.data import challenge as reader
from pecg_utils.data import cpsc2018 as cpsc_reader
from pecg_utils.data import open_dataset, quality
from pecg_utils.errors import PecgError
from pecg_utils.twins import challenge, challenge_plan, cpsc2018, findings
from pecg_utils.twins.challenge_plan import SOURCES, Planned
from pecg_utils.twins.person import record
from pecg_utils.twins.tables import rows
from pecg_utils.twins.torso import LEADS

TABLE = rows("challenge_counts.csv")
CODE = {row["abbreviation"]: row["code"] for row in TABLE}
SIZE, SEED = 40, 2
# Recordings of a source, its rate, and the form of its records' names.
RELEASE = {
    "cpsc_2018": (6877, 500, r"A\d{4}"),
    "cpsc_2018_extra": (3453, 500, r"Q\d{4}"),
    "st_petersburg_incart": (74, 257, r"I\d{4}"),
    "ptb": (516, 1000, r"S\d{4}"),
    "ptb-xl": (21837, 500, r"HR\d{5}"),
    "georgia": (10344, 500, r"E\d{5}"),
    "chapman_shaoxing": (10247, 500, r"JS\d{5}"),
    "ningbo": (34905, 500, r"JS\d{5}"),
}


@pytest.fixture(scope="module")
def full() -> list[Planned]:
    return challenge.plan(challenge.SIZES["full"], 3)


@pytest.fixture(scope="module")
def planned() -> list[Planned]:
    """A small plan, in which INCART's recording of 30 minutes is cut to 20 s."""
    return [
        replace(one, samples=20 * 257) if one.source == "st_petersburg_incart" else one
        for one in challenge_plan.plan(SIZE, SEED)
    ]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, planned: list[Planned]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(challenge, "plan", lambda *_: planned)
        root = tmp_path_factory.mktemp("twin") / "challenge"
        return challenge.write(root, SIZE, seed=SEED, workers=1)


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def carriers(found: list[Planned], *names: str) -> list[Planned]:
    return [one for one in found if all(CODE[name] in one.codes for name in names)]


def test_the_table_is_the_challenges() -> None:
    scored = {row["code"] for row in TABLE if row["scored"] == "yes"}
    assert scored == set(reader.classes(2021))
    in_2020 = {CODE[name] for name in challenge_plan._NEW_IN_2021}
    assert scored - in_2020 == set(reader.classes(2020))
    total = {row["abbreviation"]: sum(int(row[name]) for name in RELEASE) for row in TABLE}
    seen = {"AF": 5255, "NSR": 28971, "SB": 18918, "STach": 9657, "TAb": 11716, "VEB": 1944}
    assert {name: total[name] for name in seen} == seen
    assert {name: cpsc_reader.SNOMED[CODE[name]] for name in ("VEB", "STD", "STE", "IAVB")} == {
        "VEB": "PVC",
        "STD": "STD",
        "STE": "STE",
        "IAVB": "I-AVB",
    }
    known = {row["code"] for row in rows("findings.csv")} | {*findings.RHYTHMS, ""}
    assert {row["finding"] for row in TABLE} <= known


def test_full_size_counts_are_the_releases(full: list[Planned]) -> None:
    assert Counter(one.source for one in full) == {name: one[0] for name, one in RELEASE.items()}
    assert len(full) == reader.RELEASE_RECORDINGS[2021]
    counts = Counter((one.source, code) for one in full for code in set(one.codes))
    for row in TABLE:
        for name in RELEASE:
            assert counts[name, row["code"]] == int(row[name]), (name, row["abbreviation"])


def test_recordings_without_a_scored_class_and_with_a_code_twice(full: list[Planned]) -> None:
    in_2021, in_2020 = reader.classes(2021), reader.classes(2020)
    six = [one for one in full if one.source not in reader.ONLY_IN_2021]
    assert len(six) == reader.RELEASE_RECORDINGS[2020]
    assert sum(in_2021.keys().isdisjoint(one.codes) for one in full) == 6287
    assert sum(in_2020.keys().isdisjoint(one.codes) for one in six) == 5352
    twice = [one for one in full if len(set(one.codes)) < len(one.codes)]
    assert len(twice) == 631
    assert {one.source for one in twice} <= {one.source for one in six}
    assert all(one.codes for one in full)


def test_codes_that_deny_each_other_stay_apart(full: list[Planned]) -> None:
    rhythms = {CODE[name] for name in challenge_plan._RHYTHMS}
    bundles = {CODE[name] for name in challenge_plan._BUNDLES}
    for one in full:
        if one.source != "cpsc_2018":
            assert len(rhythms & set(one.codes)) <= 1
        assert len(bundles & set(one.codes)) <= 1
    assert not carriers(full, "AF", "IAVB")
    assert not carriers(full, "PR", "VEB")
    assert not carriers(full, "LAD", "RAD")
    assert len(carriers(full, "NSR", "TAb")) > 1000
    joined = (
        carriers(full, "SA", "NSR") + carriers(full, "SA", "SB") + carriers(full, "SA", "STach")
    )
    assert {one.source for one in joined} == {"ptb-xl", "ningbo"}  # more rhythms than recordings


def test_full_size_people_lengths_and_folders(full: list[Planned]) -> None:
    records = Counter(name(one) for one in full)
    assert max(records.values()) == 1
    groups = Counter((one.source, one.group) for one in full)
    assert max(groups.values()) == 1000
    for source in SOURCES:
        mine = [one for one in full if one.source == source.name]
        recordings, fs, form = RELEASE[source.name]
        assert (source.recordings, source.fs) == (recordings, fs)
        assert all(re.fullmatch(form, name(one)) for one in mine)
        assert sorted({one.group for one in mine}) == list(range(1, 1 + -(-recordings // 1000)))
        men = sum(one.sex == "male" for one in mine)
        assert men == pytest.approx(recordings * source.men, abs=1)
        seconds = {one.samples / fs for one in mine}
        if not source.name.startswith("cpsc"):
            usual = {"ptb": 115.2, "st_petersburg_incart": 1800.0}.get(source.name, 10.0)
            assert usual in seconds
            assert (len(seconds) == 1) == (source.name != "ptb")
        assert min(one.age for one in mine) >= 18
    copied = [one.copied for one in full if one.copied]
    assert copied == cpsc2018.plan(6877, 3)


def name(one: Planned) -> str:
    source = challenge_plan.source_named(one.source)
    return f"{source.prefix}{one.number:0{source.digits}d}"


@pytest.mark.parametrize("recordings", [1, 5, 64, 600, 2000])
def test_smaller_plans_scale(recordings: int) -> None:
    for seed in range(2):
        found = challenge.plan(recordings, seed)
        assert len(found) == recordings
        assert all(one.codes for one in found)
        sources = Counter(one.source for one in found)
        if recordings >= 64:
            assert set(sources) == set(RELEASE)
            assert min(n for s, n in sources.items() if s != "st_petersburg_incart") >= 3
            assert sources["st_petersburg_incart"] <= 1 + recordings // 1000
        if recordings >= 600:
            scored = reader.classes()
            seen = Counter(
                c for one in found for c in {scored[d][0] for d in one.codes if d in scored}
            )
            assert set(seen) == set(reader.class_names())
            assert seen["NSR"] == pytest.approx(recordings * 28971 / 88253, rel=0.1)


def test_another_seed_is_another_plan_and_none_is_refused(tmp_path: Path) -> None:
    assert challenge.plan(64, 0) == challenge.plan(64, 0) != challenge.plan(64, 1)
    with pytest.raises(PecgError, match="at least 1"):
        challenge.write(tmp_path / "challenge", 0)


def test_the_reader_reads_what_was_planned(twin: Path, planned: list[Planned]) -> None:
    dataset = open_dataset("challenge", twin)
    assert dataset.kind == "twin"
    assert quality.inspect(dataset).faults == ()
    table = dataset.table.set_index("record")
    labels = dataset.labels.set_index(dataset.table["record"])
    assert len(table) == len(planned)
    scored = reader.classes()
    for one in planned:
        row = table.loc[name(one)]
        assert (row["source"], row["sex"], row["n_samples"]) == (one.source, one.sex, one.samples)
        assert row["fs"] == RELEASE[one.source][1]
        assert np.isnan(row["age_days"]) or row["age_days"] / 365.25 == pytest.approx(one.age)
        carried = {scored[code][0] for code in one.codes if code in scored}
        assert set(labels.columns[labels.loc[name(one)]]) == carried


def test_files_are_as_in_the_release(
    twin: Path, planned: list[Planned], real: Callable[[str], Path]
) -> None:
    for source in SOURCES:
        one = next(one for one in planned if one.source == source.name)
        folder = f"training/{source.name}/g1"
        path = twin / folder / name(one)
        signal, _ = wfdb.rdsamp(str(path))
        dataset = open_dataset("challenge", twin)
        row = dataset.table["record"].tolist().index(name(one))
        np.testing.assert_array_equal(dataset.read(row).signal, signal.astype(np.float32))
        np.testing.assert_allclose(signal[:, 1], signal[:, 0] + signal[:, 2], atol=0.0021)
        steps = np.diff(np.unique(np.rint(signal[:, 1] * 1000)))
        coarse = source.name in ("georgia", "chapman_shaoxing", "ningbo")
        assert steps.min() == (4 if coarse else 1)
        raw = wfdb.rdrecord(str(path), physical=False)
        assert raw.init_value == raw.d_signal[0].tolist()
        if source.name == "st_petersburg_incart":
            continue
        model = next(iter(sorted((real("challenge-2021") / folder).glob("*.hea"))))
        assert forms(path.with_suffix(".hea")) == forms(model)


def forms(header: Path) -> list[str]:
    """A header's lines without what differs between recordings; one of the two units' spellings."""
    lines = header.read_text().replace("/mv", "/mV").splitlines()
    lines[0] = re.sub(r"\d+ [\d:-]+-\w+-\d{4} [\d:]+$", "samples, date", lines[0])
    kept = [re.sub(r"^[A-Z]+\d+", "", re.sub(r" -?\d+ -?\d+ 0 (\S+)$", r" \1", x)) for x in lines]
    return [line.partition(":")[0] if line.startswith("#") else line for line in kept]


def test_the_cpsc_folder_is_a_copy(twin: Path, planned: list[Planned], tmp_path: Path) -> None:
    one = next(one for one in planned if one.source == "cpsc_2018")
    signal, _ = wfdb.rdsamp(str(twin / "training/cpsc_2018/g1" / name(one)))
    assert one.copied is not None
    np.testing.assert_allclose(signal, cpsc2018.simulate(one.copied, SEED), atol=0.0011)
    labels = {cpsc_reader.SNOMED[code] for code in one.codes}
    assert labels == set(one.copied.labels)


def test_same_bytes_for_any_number_of_workers(
    tmp_path: Path, twin: Path, planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "plan", lambda *_: planned)
    two = challenge.write(tmp_path / "two", SIZE, seed=SEED, workers=2)
    assert content(two) == content(twin)
    challenge.render(planned[-1], tmp_path / "one", SEED)
    challenge.render(planned[-1], tmp_path / "other", SEED + 1)
    assert content(tmp_path / "other") != content(tmp_path / "one")
    source = challenge_plan.source_named(planned[-1].source)
    signal = challenge.simulate(planned[-1], source, SEED)
    neighbour = replace(planned[-1], number=planned[-1].number + 1)
    assert not np.array_equal(challenge.simulate(neighbour, source, SEED), signal)


@pytest.mark.parametrize("finding", ["LAD", "RAD", "PRWP"])
def test_the_challenges_own_findings_can_be_seen(finding: str) -> None:
    axes, heights = [], []
    for shown in ([], [finding]):
        for k in range(12):
            rng = np.random.default_rng(k)
            person = findings.draw_adult(rng, 60 * 365.25, "male", shown)
            made = record(rng, person, 4, noisy=False)
            first, last = int(made.beats.qrs_on[1] * 500), int(made.beats.qrs_off[1] * 500)
            beat = made.signal[first:last] - made.signal[first]  # (T, 12)
            height = {lead: beat[:, place] for place, lead in enumerate(LEADS)}
            i, avf = height["I"].sum(), height["aVF"].sum() * 2 / np.sqrt(3)
            axes.append(np.degrees(np.arctan2(avf, i)))
            heights.append(height["V3"].max())
    before, after = np.median(axes[:12]), np.median(axes[12:])
    assert -30 < before < 90
    if finding == "PRWP":
        assert np.median(heights[12:]) < 0.6 * np.median(heights[:12])
    else:
        assert after < -30 if finding == "LAD" else after > 90
