"""The ZZU-pECG twin: who is in it, and the files it writes."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.errors import PecgError
from pecg_utils.twins import writing, zzu, zzu_plan
from pecg_utils.twins.labels import CODES
from pecg_utils.twins.noise import RAIL
from pecg_utils.twins.tables import rows
from pecg_utils.twins.writers import write_record

REAL = Path(__file__).parents[2] / "shared" / "data" / "zzu-pecg"
NAMES = {
    9: ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V3", "V5"],
    12: ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"],
}
GROUPS = {row["code"]: row["group"] for row in rows("labels.csv")}


@pytest.fixture(scope="module")
def full() -> list[zzu_plan.Planned]:
    return zzu_plan.plan(zzu.SIZES["full"])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zzu.write(tmp_path_factory.mktemp("twin") / "zzu", 12, seed=4, workers=1)


def table(root: Path) -> list[dict[str, str]]:
    with (root / "AttributesDictionary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_full_size_counts_are_the_releases(full: list[zzu_plan.Planned]) -> None:
    assert len(full) == 3716
    assert len({one.patient for one in full}) == 2597
    assert len({one.record for one in full}) == 3716
    assert sum(one.leads == 9 for one in full) == 933
    groups = Counter(group for one in full for group in {GROUPS[code] for code in one.labels})
    assert groups == {
        "Congenital heart disease": 2787,
        "Myocarditis": 635,
        "Kawasaki disease": 194,
        "Cardiomyopathy": 147,
    }
    assert sum(len({GROUPS[code] for code in one.labels}) > 1 for one in full) == 47
    labels = Counter(code for one in full for code in one.labels)
    assert set(labels) == set(CODES)
    sourced = {"Q21.0": 1062, "Q21.1": 936, "Q25.0": 348, "Q21.3": 89, "Q21.2": 61}
    assert {code: labels[code] for code in sourced} == sourced
    assert sum(one.railed for one in full) == round(0.118 * 3716)


def test_full_size_ages_leads_and_lengths(full: list[zzu_plan.Planned]) -> None:
    young = [one for one in full if one.age_days <= 28]
    assert np.mean([one.leads == 9 for one in young]) == pytest.approx(0.94, abs=0.03)
    nine = [one.age_days for one in full if one.leads == 9]
    twelve = [one.age_days for one in full if one.leads == 12]
    assert np.median(nine) < 450 < np.median(twelve)
    chd = {row["quantile"]: float(row["chd"]) for row in rows("zzu_ages.csv")}
    ages = [one.age_days for one in full if {GROUPS[c] for c in one.labels} == {GROUPS["Q21.0"]}]
    assert np.median(ages) == pytest.approx(chd["0.5"], rel=0.08)
    assert max(one.age_days for one in full) <= 5474
    assert min(one.age_days for one in full) >= 1
    lengths = Counter(one.samples for one in full)
    assert all(length % 500 == 0 and 2500 <= length <= 60000 for length in lengths)
    assert 0.6 < lengths[15000] / 3716 < 0.85
    assert 50 < len(lengths) <= 67
    assert all(2018 <= one.time.year <= 2024 for one in full)
    assert max(one.time for one in full) < zzu_plan.LAST_DAY


def test_recordings_of_a_child_share_sex_and_labels_and_follow_in_time(
    full: list[zzu_plan.Planned],
) -> None:
    children: dict[str, list[zzu_plan.Planned]] = {}
    for one in full:
        children.setdefault(one.patient, []).append(one)
    assert max(map(len, children.values())) == 19
    for mine in children.values():
        assert len({(one.sex, one.labels, one.others) for one in mine}) == 1
        assert [one.time for one in mine] == sorted(one.time for one in mine)
        assert [one.record[-2:] for one in mine] == [f"{k + 1:02d}" for k in range(len(mine))]
        assert mine[-1].age_days - mine[0].age_days <= 43


@pytest.mark.parametrize("patients", [1, 2, 24, 150, 700])
def test_smaller_plans_scale(patients: int) -> None:
    for seed in range(3):
        planned = zzu_plan.plan(patients, seed)
        recordings = max(patients, round(patients * 3716 / 2597))
        assert len(planned) == recordings
        assert len({one.patient for one in planned}) == patients
        assert sum(one.leads == 9 for one in planned) == round(recordings * 933 / 3716)
        if patients >= 150:
            groups = [{GROUPS[code] for code in one.labels} for one in planned]
            share = np.mean(["Congenital heart disease" in one for one in groups])
            assert share == pytest.approx(2787 / 3716, abs=0.05)


def test_another_seed_is_another_plan() -> None:
    assert zzu_plan.plan(24, 0) == zzu_plan.plan(24, 0)
    assert zzu_plan.plan(24, 0) != zzu_plan.plan(24, 1)


def test_no_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PecgError, match="at least 1"):
        zzu.write(tmp_path / "zzu", 0)


@pytest.mark.parametrize("name", ["AttributesDictionary.csv", "ECGCode.csv", "DiseaseCode.csv"])
def test_tables_have_the_releases_header(twin: Path, name: str) -> None:
    if not REAL.is_dir():
        pytest.skip(f"no real recordings at {REAL}")
    mine, real = (folder / name for folder in (twin, REAL))
    assert mine.read_bytes().split(b"\n")[0] == real.read_bytes().split(b"\n")[0]
    if name != "AttributesDictionary.csv":
        assert set(known(mine)) <= set(known(real))


def known(path: Path) -> list[tuple[str, ...]]:
    """The codes of a code table, without its free text."""
    with path.open(newline="", encoding="utf-8") as file:
        found = [tuple(line) for line in csv.reader(file)]
    if path.name == "ECGCode.csv":
        return found
    return [(line[0], line[1], line[2]) for line in found if not line[0].startswith("Other")]


def test_attribute_rows_are_packed_as_in_the_release(twin: Path) -> None:
    lines = table(twin)
    planned = zzu_plan.plan(12, 4)
    assert [line["ECG_ID"] for line in lines] == [one.record for one in planned]
    for line, one in zip(lines, planned, strict=True):
        assert line["Filename"] == f"{one.patient[:3]}/{one.patient}/{one.record}"
        assert line["Age"] == f"{one.age_days}d"
        assert line["Gender"] in {"'Male'", "'Female'"}
        assert line["Sampling_point"] == str(one.samples)
        cells = line["ICD-10 code"].split(";")
        assert all(cell[0] == cell[-1] == "'" for cell in cells)
        assert set(one.labels) <= {cell.strip("'") for cell in cells}
        assert line["AHA_code"].count(";") == line["CHN_code"].count(";")
        assert line["pSQI"] == line["basSQI"] == line["bSQI"] == ""


def test_wfdb_reads_what_was_written(twin: Path) -> None:
    leads = Counter()
    for line, one in zip(table(twin), zzu_plan.plan(12, 4), strict=True):
        path = twin / "Child_ecg" / line["Filename"]
        signal, about = wfdb.rdsamp(str(path))
        assert about["sig_name"] == NAMES[one.leads]
        assert about["fs"] == 500
        assert set(about["units"]) == {"mV"}
        assert signal.shape == (one.samples, one.leads)
        assert not np.isnan(signal).any()
        assert (np.abs(signal).max() > 26.5) == one.railed
        step = np.ptp(signal[:, :3], axis=0).max() / 65533
        np.testing.assert_allclose(signal[:, 1], signal[:, 0] + signal[:, 2], atol=3 * step + 1e-5)
        raw = wfdb.rdrecord(str(path), physical=False)
        assert raw.init_value == raw.d_signal[0].tolist()
        assert [c % 65536 for c in raw.checksum] == [
            c % 65536 for c in raw.d_signal.astype(np.int64).sum(axis=0)
        ]
        assert raw.d_signal.max() > 32700
        assert raw.d_signal.min() == pytest.approx(-32767, abs=1)
        leads[one.leads] += 1
    assert set(leads) == {9, 12}


def test_a_record_keeps_its_values(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).normal(0, [[1, 0.01, 5]], (700, 3)).astype(np.float32)
    signal[:, 1] += 20  # far from zero: the baseline leaves the 16 bits
    signal[3, 2] = RAIL
    write_record(tmp_path / "a", "x", signal, ("I", "II", "V1"), 500)
    read, _ = wfdb.rdsamp(str(tmp_path / "a" / "x"))
    np.testing.assert_allclose(read, signal, atol=float(np.ptp(signal, axis=0).max()) / 60000)


def test_findings_follow_the_simulated_rate(twin: Path) -> None:
    fast = zzu.zzu_codes.FINDINGS["fast"]
    heart = zzu.draw_child(np.random.default_rng(0), 1000).heart
    rate = {"rate": 200.0, "r2_v1": 0.0}
    aha, chn = zzu.zzu_codes.findings(type(heart)(**(heart.__dict__ | rate)), 1000)
    assert fast[1] in aha
    assert fast[2] in chn
    assert "A1" not in aha


def test_same_bytes_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_plan = zzu_plan.plan

    def short(patients: int, seed: int = 0) -> list[zzu_plan.Planned]:
        # Enough children to go parallel, few enough recordings to stay quick.
        return [one for one in real_plan(patients, seed) if one.samples < 13000][:30]

    monkeypatch.setattr(zzu, "plan", short)
    one = content(zzu.write(tmp_path / "one", 200, seed=5, workers=1))
    two = content(zzu.write(tmp_path / "two", 200, seed=5, workers=2))
    assert one == two


def test_another_seed_is_another_signal(tmp_path: Path) -> None:
    planned = zzu_plan.plan(1)
    zzu.render(planned, tmp_path / "one", seed=0)
    zzu.render(planned, tmp_path / "other", seed=1)
    assert content(tmp_path / "one") != content(tmp_path / "other")


def test_written_again_is_left_alone(twin: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in twin.rglob("*")}
    assert zzu.write(twin, 12, seed=4) == twin
    assert {path: path.stat().st_mtime_ns for path in twin.rglob("*")} == before
    about = json.loads((twin / "twin.json").read_text())
    assert about["twin_of"] == "zzu"
    assert (about["patients"], about["recordings"], about["seed"]) == (12, 17, 4)
    assert about["sources"] == writing.sources()


def test_a_foreign_folder_is_refused_and_kept(tmp_path: Path, twin: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(PecgError, match="something else"):
        zzu.write(mine, 2)
    assert (mine / "thesis.txt").read_text() == "precious"
    with pytest.raises(PecgError, match="already holds another twin"):
        zzu.write(twin, 12, seed=5)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(PecgError, match="something else"):
        zzu.write(file, 2)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    zzu.write(tmp_path, 1)
    assert len(table(tmp_path)) == 1


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zzu, "write_record", fails)
    with pytest.raises(PecgError, match="disk is full"):
        zzu.write(tmp_path / "zzu", 2, workers=1)
    assert list(tmp_path.iterdir()) == []
