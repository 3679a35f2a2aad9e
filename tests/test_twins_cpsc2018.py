"""The CPSC2018 twin: who is in it, and the files it writes."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from pecg_utils.data import cpsc2018 as reader
from pecg_utils.data import open_dataset, quality
from pecg_utils.errors import PecgError
from pecg_utils.twins import cpsc2018
from pecg_utils.twins.findings import draw_adult, rhythm_of
from pecg_utils.twins.person import record

SIZE, SEED = 14, 4


@pytest.fixture(scope="module")
def full() -> list[cpsc2018.Planned]:
    return cpsc2018.plan(cpsc2018.SIZES["full"])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cpsc2018.write(tmp_path_factory.mktemp("twin") / "cpsc", SIZE, seed=SEED, workers=1)


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_labels_and_their_order_are_the_readers() -> None:
    assert list(cpsc2018.FIRST) == list(cpsc2018.ANY) == list(reader.LABELS)
    assert set(cpsc2018.FINDINGS) == set(reader.LABELS)
    assert reader.RELEASE_RECORDINGS == cpsc2018.FULL_RECORDINGS == sum(cpsc2018.FIRST.values())


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_full_size_counts_are_the_releases(seed: int) -> None:
    full = cpsc2018.plan(6877, seed)
    assert Counter(one.labels[0] for one in full) == {
        "Normal": 918,
        "AF": 1098,
        "I-AVB": 704,
        "LBBB": 207,
        "RBBB": 1695,
        "PAC": 556,
        "PVC": 672,
        "STD": 825,
        "STE": 202,
    }
    assert Counter(label for one in full for label in one.labels) == {
        "Normal": 918,
        "AF": 1221,
        "I-AVB": 722,
        "LBBB": 236,
        "RBBB": 1857,
        "PAC": 616,
        "PVC": 700,
        "STD": 869,
        "STE": 220,
    }
    assert Counter(len(one.labels) for one in full) == {1: 6401, 2: 470, 3: 6}
    assert all(len(set(one.labels)) == len(one.labels) for one in full)
    assert all(one.labels == ("Normal",) for one in full if "Normal" in one.labels)
    assert not any({"LBBB", "RBBB"} <= set(one.labels) for one in full)


def test_full_size_people_lengths_and_folders(full: list[cpsc2018.Planned]) -> None:
    assert sum(one.sex == "male" for one in full) == 3699
    assert 18 <= min(one.age for one in full) < max(one.age for one in full) <= 95
    seconds = np.array([one.samples for one in full]) / 500
    assert 6 <= seconds.min() < 6.5
    assert 60 < seconds.max() <= 144
    assert np.mean(seconds <= 60) > 0.99
    assert 10 <= np.median(seconds) <= 16
    assert Counter(one.folder for one in full).keys() == {f"TrainingSet{k}" for k in (1, 2, 3)}
    assert (full[0].record, full[-1].record) == ("A0001", "A6877")
    thirds = [Counter(one.labels[0] for one in full[k::3])["RBBB"] for k in range(3)]
    assert max(thirds) - min(thirds) < 120  # the labels are mixed, not one after the other


@pytest.mark.parametrize("recordings", [1, 3, 9, 40, 400, 1500])
def test_smaller_plans_scale(recordings: int) -> None:
    for seed in range(3):
        planned = cpsc2018.plan(recordings, seed)
        assert len(planned) == recordings
        counts = Counter(one.labels[0] for one in planned)
        assert len(counts) == min(recordings, 9)
        if recordings >= 40:
            for name, count in cpsc2018.FIRST.items():
                assert counts[name] == pytest.approx(recordings * count / 6877, abs=1.01)
            joined = sum(len(one.labels) - 1 for one in planned)
            assert joined == round(recordings * 482 / 6877)


def test_another_seed_is_another_plan_and_none_is_refused(tmp_path: Path) -> None:
    assert cpsc2018.plan(40, 0) == cpsc2018.plan(40, 0) != cpsc2018.plan(40, 1)
    with pytest.raises(PecgError, match="at least 1"):
        cpsc2018.write(tmp_path / "cpsc", 0)


def test_the_reader_reads_what_was_planned(twin: Path) -> None:
    dataset = open_dataset("cpsc2018", twin)
    planned = cpsc2018.plan(SIZE, SEED)
    assert dataset.kind == "twin"
    assert dataset.table["record"].tolist() == [one.record for one in planned]
    assert dataset.table["first"].tolist() == [one.labels[0] for one in planned]
    assert dataset.table["sex"].tolist() == [one.sex for one in planned]
    assert dataset.table["n_samples"].tolist() == [one.samples for one in planned]
    np.testing.assert_allclose(dataset.table["age_days"] / 365.25, [one.age for one in planned])
    for row, one in enumerate(planned):
        assert set(dataset.read(row).labels) == set(one.labels)
    assert quality.inspect(dataset).faults == ()


def test_files_are_as_in_the_challenge(twin: Path) -> None:
    with (twin / "REFERENCE.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["Recording", "First_label", "Second_label", "Third_label"]
    one = cpsc2018.plan(SIZE, SEED)[3]
    assert lines[3][:2] == [one.record, str(list(reader.LABELS).index(one.labels[0]) + 1)]
    ecg = loadmat(twin / one.folder / f"{one.record}.mat")["ECG"][0, 0]
    assert ecg["sex"][0] == one.sex.capitalize()
    assert ecg["age"][0, 0] == one.age
    data = ecg["data"]
    assert data.shape == (12, one.samples)
    np.testing.assert_allclose(data[1], data[0] + data[2], atol=1e-5)
    np.testing.assert_allclose(data[0] * 1000, np.rint(data[0] * 1000), atol=1e-3)  # 1 uV
    dataset = open_dataset("cpsc2018", twin)
    np.testing.assert_array_equal(dataset.read(3).signal, data.T)


def test_same_bytes_for_any_number_of_workers(
    tmp_path: Path, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = cpsc2018.write(tmp_path / "two", SIZE, seed=SEED, workers=2)
    assert content(two) == content(twin)
    monkeypatch.setattr("time.asctime", lambda *_: "another day")
    planned = cpsc2018.plan(SIZE, SEED)[0]
    cpsc2018.render(planned, tmp_path / "again", SEED)
    (again,) = content(tmp_path / "again").values()
    assert again == content(twin)[f"TrainingSet1/{planned.record}.mat"]
    cpsc2018.render(planned, tmp_path / "other", SEED + 1)
    assert content(tmp_path / "other") != content(tmp_path / "again")


def test_premature_ventricular_beats_join_other_rhythms() -> None:
    for base in ("AFIB", "PAC"):
        rng = np.random.default_rng(2)
        found = {}
        for findings in ([base], [base, "PVC"]):
            person = draw_adult(rng, 60 * 365.25, "male", findings)
            made = record(rng, person, 40, noisy=False, rhythm=rhythm_of(rng, findings))
            width = made.beats.qrs_off - made.beats.qrs_on
            found[len(findings)] = np.mean(width > np.median(width) + 0.02)
            if base == "AFIB":
                assert np.isnan(made.beats.p_on).all()
        assert found[1] == 0
        assert 0.02 < found[2] < 0.4
