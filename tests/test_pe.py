"""The private pulmonary-embolism set: the reader of a form of our own, and the twin in it."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils import cli
from pecg_utils.data import open_dataset, quality
from pecg_utils.data.recognise import missing, recognise
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.twins import findings, pe
from pecg_utils.twins.findings import draw_adult
from pecg_utils.twins.tables import rows
from pecg_utils.twins.writers import write_microvolts

SIZE, SEED = 12, 3


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pe.write(tmp_path_factory.mktemp("twin") / "pe", SIZE, seed=SEED, workers=1)


@pytest.fixture
def own(tmp_path: Path, noise: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Writes a hospital's folder with these rows of recordings.csv; its first record is there."""

    def write(*lines: str, head: str = "record,patient,age,sex,pe") -> Path:
        write_microvolts(tmp_path / "records", "a", noise(4), TWELVE_LEADS, 250)
        (tmp_path / "recordings.csv").write_text("\n".join([head, *lines]) + "\n")
        return tmp_path

    return write


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_reader_reads_what_was_planned(twin: Path) -> None:
    planned = pe.plan(SIZE, SEED)
    dataset = open_dataset(recognise(twin), twin)
    assert (dataset.name, dataset.kind, missing(dataset)) == ("pe", "twin", [])
    assert dataset.table["record"].tolist() == [one.record for one in planned]
    assert dataset.table["patient"].nunique() == SIZE
    assert dataset.table["sex"].tolist() == [one.sex for one in planned]
    np.testing.assert_allclose(dataset.table["age_days"] / 365.25, [one.age for one in planned])
    assert dataset.labels["PE"].tolist() == [one.embolism for one in planned]
    assert set(dataset.table["fs"]) == {500.0}
    assert set(dataset.table["n_samples"]) == {5000}
    assert quality.inspect(dataset).faults == ()
    recording = dataset.read(4)
    assert (recording.leads, recording.signal.shape) == (TWELVE_LEADS, (5000, 12))
    signal, _ = wfdb.rdsamp(str(twin / "records/0005"))
    np.testing.assert_array_equal(recording.signal, signal.astype(np.float32))
    np.testing.assert_allclose(signal[:, 1], signal[:, 0] + signal[:, 2], atol=0.0021)


def test_full_size(twin: Path) -> None:
    assert pe.SIZES["full"] == 927
    full = pe.plan(927)
    ill = [one for one in full if one.embolism]
    well = [one for one in full if not one.embolism]
    assert len(ill) == round(927 / 4)
    assert sum(one.embolism for one in full[:300]) == pytest.approx(75, abs=20)
    assert abs(np.mean([o.age for o in ill]) - np.mean([o.age for o in well])) < 4
    women = [np.mean([one.sex == "female" for one in group]) for group in (ill, well)]
    assert women == pytest.approx([0.55, 0.55], abs=0.08)
    for group in (ill, well):
        counts = Counter(name for one in group for name in one.others)
        for name, share in pe.EVERYDAY.items():
            assert counts[name] / len(group) == pytest.approx(share, abs=0.07)
    assert min(one.age for one in full) >= 18
    assert pe.plan(40, 1) != pe.plan(40, 0) == pe.plan(40, 0)
    known = {row["code"] for row in rows("findings.csv")} | set(findings.RHYTHMS)
    assert {*pe.EVERYDAY, "PE"} <= known
    with pytest.raises(PecgError, match="at least 1"):
        pe.plan(0)


def test_an_embolism_shows_in_half_of_its_carriers() -> None:
    later = []
    for k in range(200):
        hearts = [
            draw_adult(np.random.default_rng(k), 24000, "male", found, seen=pe.SEEN).heart
            for found in ([], ["PE"])
        ]
        later.append(hearts[1].rate / hearts[0].rate)
    assert np.mean(np.array(later) > 1.05) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(later) == 1.0) == pytest.approx(0.5, abs=0.1)


def test_same_bytes_for_any_number_of_workers(twin: Path, tmp_path: Path) -> None:
    two = pe.write(tmp_path / "two", SIZE, seed=SEED, workers=2)
    assert content(two) == content(twin)
    one = pe.plan(SIZE, SEED)[0]
    pe.render(one, tmp_path / "one", SEED)
    pe.render(one, tmp_path / "other", SEED + 1)
    assert content(tmp_path / "one") != content(tmp_path / "other")
    pe.render(replace(one, number=one.number + 1), tmp_path / "next", SEED)
    first, second = (next(iter((tmp_path / f).rglob("*.dat"))) for f in ("one", "next"))
    assert first.read_bytes() != second.read_bytes()


def test_a_hospitals_own_folder(own: Callable[..., Path]) -> None:
    root = own("a,p1,71.5, F ,1", "b,,,?,0", "../a,p2,300,male,0", " c ,p2,old,Female,0")
    shutil.copy(root / "records/a.hea", root / "a.hea")  # outside of records: never read
    dataset = open_dataset("pe", root)
    table = dataset.table
    assert dataset.kind == "subset"
    assert table["sex"].tolist() == ["female", "unknown", "male", "female"]
    assert table["patient"].tolist() == ["p1", "unknown", "p2", "p2"]
    np.testing.assert_allclose(table["age_days"] / 365.25, [71.5, np.nan, np.nan, np.nan])
    assert dataset.labels["PE"].tolist() == [True, False, False, False]
    assert table["fs"].tolist() == [250.0, 500.0, 500.0, 500.0]
    assert table["n_samples"].iloc[0] == 2000
    assert np.isnan(table["n_samples"].iloc[1:]).all()
    found = {fault.record: fault.fault for fault in quality.inspect(dataset).faults}
    assert found == {"b": "missing", "../a": "unreadable", "c": "missing"}


def test_as_many_recordings_as_the_papers_are_not_the_papers(
    own: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = own(*(f"r{k},p{k},60,F,{k % 2}" for k in range(927)))
    assert open_dataset("pe", root).kind == "subset"
    monkeypatch.setattr("sys.argv", ["pecg", "data", "check", str(root)])
    cli.main()
    said = capsys.readouterr().out
    assert "holds pe, subset: 927 recordings." in said
    assert "of the release" not in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,p,70,F,1", "b,p,70,F,2"], r"recordings.csv, row 3: pe is '2'; it has to be 0 or 1\."),
        (["a,p,70,F,"], r"row 2: pe is ''; it has to be 0 or 1\."),
        (["a,p,70,F,1", "b,p,70,F,0", "a,p,70,F,0"], r"lists the record 'a' more than once"),
        ([], r"lists no recording\."),
    ],
)
def test_a_wrong_table_is_refused(own: Callable[..., Path], lines: list[str], said: str) -> None:
    with pytest.raises(PecgError, match=said):
        open_dataset("pe", own(*lines))


def test_other_folders_are_refused(own: Callable[..., Path], tmp_path: Path, twin: Path) -> None:
    with pytest.raises(PecgError, match=r"no PE-HSM folder: it has no recordings\.csv"):
        open_dataset("pe", tmp_path)
    with pytest.raises(PecgError, match="has no column 'patient', 'pe'"):
        open_dataset("pe", own("a,70,F", head="record,age,sex"))
    other = Path(shutil.copytree(twin, tmp_path / "other"))
    mark = other / "twin.json"
    mark.write_text(mark.read_text().replace('"pe"', '"ptbxl"'))
    with pytest.raises(PecgError, match="twin of another dataset"):
        open_dataset("pe", other)
