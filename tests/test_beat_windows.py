"""MIT-BIH's beats as windows: their counts, their leads, their moments, and the usual division."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pecg_utils.data import beat_windows, inputs, mitdb, open_dataset, splits
from pecg_utils.data.beat_windows import prepare
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError

Real = Callable[[str], Path]
# Counted over the 44 recordings that are not paced; in brackets beats too near an end for a window.
COUNTS = {
    "DS1": {"N": 45_841, "S": 944, "V": 3_788, "F": 414, "Q": 8},  # N 25, F 1
    "DS2": {"N": 44_235, "S": 1_837, "V": 3_220, "F": 388, "Q": 7},  # N 24, V 1
}
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"


@pytest.fixture(scope="module")
def every(real: Real, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """The beats of all 48 recordings, by their real annotations; the signal is no matter here."""
    dataset = open_dataset("mitdb", real("mitdb"))
    noise = np.random.default_rng(0).normal(size=(650_000, 2)).astype(np.float32)

    def read(path: Path, first: int, last: int | None) -> tuple:
        described = path.with_suffix(".hea").read_text().splitlines()[1:3]
        return noise, 360.0, tuple(line.split()[-1] for line in described)

    cache = tmp_path_factory.mktemp("cache")
    return prepare(replace(dataset, _read=read), cache, fingerprint="real annotations")


@pytest.fixture
def few(real: Real, tmp_path: Path) -> Path:
    root = tmp_path / "mitdb"
    root.mkdir()
    for record in ("102", "114", "201"):
        for suffix in ("hea", "dat", "atr"):
            shutil.copy(real("mitdb") / f"{record}.{suffix}", root)
    return root


def counts(windows: Windows, rows: np.ndarray) -> dict[str, int]:
    return dict(zip(windows.classes, windows.labels[rows].sum(axis=0).tolist(), strict=True))


def test_counts_of_the_release(every: Windows) -> None:
    where = every.table["division"].to_numpy()
    assert {name: counts(every, where == name) for name in np.unique(where)} == COUNTS
    assert (every.labels.sum(axis=1) == 1).all()
    assert every.steps.shape == (100_682, 2, 360)
    assert every.table["record"].nunique() == 44
    assert every.report.excluded == list(mitdb.PACED)
    near = [f.detail for f in every.report.faults if f.fault == "beat at the edge"]
    lost = [part.split() for detail in near for part in detail.split(", ")]
    assert {k: sum(int(n) for c, n in lost if c == k) for k in "NFV"} == {"N": 49, "F": 1, "V": 1}
    others = every.table.groupby("record")["other"].first().value_counts().to_dict()
    assert others == {"V1": 38, "V5": 3, "V2": 2, "V4": 1}


def test_the_division_but_for_the_patient_on_both_sides(every: Windows) -> None:
    split = splits.make(every.table, every.labels, "division", 0)
    tested = every.table.iloc[split.rows("test")]
    assert sorted(tested["record"].unique()) == [r for r in DS2.split() if r != "202"]
    taught = every.table[split.side < 2]
    assert set(taught["record"]) == {*mitdb.DS1, "202"}
    assert not set(taught["patient"]) & set(tested["patient"])
    assert every.table["patient"].iloc[split.rows("validation")].nunique() == 3
    published = splits.Split(
        "division", np.where(every.table["division"] == "DS2", 2, split.side).astype(np.int8)
    )
    with pytest.raises(PecgError, match="refused: patient 201 stands on two sides"):
        splits.check(published, every.table)
    with pytest.raises(PecgError, match="no cross-validation by 'division'"):
        splits.several(every.table, every.labels, "division", 0, 3)
    with pytest.raises(PecgError, match="does not divide itself in two"):
        splits.make(every.table.drop(columns="division"), every.labels, "division", 0)


def test_beats_are_split_by_time_and_by_patient(every: Windows) -> None:
    kept = splits.make(every.table, every.labels, "block", 0)
    assert (kept.side == splits.NOWHERE).mean() < 0.1
    for place, share in enumerate(splits.SHARES):
        assert (kept.side == place).mean() == pytest.approx(share, abs=0.06)
    folds = splits.several(every.table, every.labels, "patient", 0, 5)
    for split in folds:
        tested = every.table.iloc[split.rows("test")]
        assert 8 <= tested["patient"].nunique() <= 9
        assert counts(every, split.rows("test"))["S"] > 0


def test_windows_are_around_the_beat_with_leads_by_name(few: Path, tmp_path: Path) -> None:
    dataset = open_dataset("mitdb", few)
    made = prepare(dataset, tmp_path / "cache")
    assert made.settings.leads == ("MLII", "other")
    assert made.table.groupby("record")["other"].first().to_dict() == {"114": "V5", "201": "V1"}
    for record, (mlii, other) in {"114": (1, 0), "201": (0, 1)}.items():
        signal, _ = wfdb.rdsamp(str(few / record))
        rows = np.flatnonzero(made.table["record"] == record)[[0, 5, -1]]
        for row in rows:
            at = round(made.table["at"][row] * 360)
            expected = signal[at - 180 : at + 180, [mlii, other]].T
            (found,) = made.millivolts(np.array([row]))
            assert (np.abs(found - expected) <= 0.52 * made.gain[row][:, None] + 1e-6).all()
            assert made.table["start"][row] == pytest.approx((at - 180) / 360)
            assert made.table["end"][row] == pytest.approx((at + 180) / 360)
    symbols = made.table["symbol"].map(mitdb.AAMI).tolist()
    assert symbols == [made.classes[place] for place in made.labels.argmax(axis=1)]
    rows = np.arange(len(made))
    side = inputs.Inputs(made, rows, inputs.scale(made, rows, ("MLII",)), made.labels)
    assert side.batch(np.arange(4)).shape == (4, 1, 360)
    again = prepare(dataset, tmp_path / "cache")
    assert again.key == made.key
    assert again.table.equals(made.table)
    wider = prepare(dataset, tmp_path / "cache", before=0.25, after=0.75)
    assert wider.key != made.key
    at = np.rint(wider.table["at"].to_numpy() * 360).astype(int)
    assert wider.table["start"].to_numpy() == pytest.approx((at - 90) / 360)


def test_bad_recordings_are_named(few: Path, tmp_path: Path) -> None:
    (few / "114.atr").write_bytes(b"\xff")
    made = prepare(open_dataset("mitdb", few), tmp_path / "cache")
    assert made.table["record"].unique().tolist() == ["201"]
    assert {f.record: f.fault for f in made.report.faults if f.excluded} == {
        "102": "paced",
        "114": "unreadable",
    }
    header = (few / "201.hea").read_text()
    (few / "201.hea").write_text(header.replace("MLII", "V2"))
    with pytest.raises(PecgError, match=r"No recording of .* is left: 3 of 3 are shut out"):
        prepare(open_dataset("mitdb", few), tmp_path / "cache")
    (few / "201.hea").write_text(header.replace("V1", "MLII"))
    with pytest.raises(PecgError, match=r"lead missing 1"):
        prepare(open_dataset("mitdb", few), tmp_path / "cache")


def test_what_is_no_window_and_no_mitbih(few: Path, tmp_path: Path) -> None:
    dataset = open_dataset("mitdb", few)
    with pytest.raises(PecgError, match="is none"):
        prepare(dataset, tmp_path, before=-0.1)
    with pytest.raises(PecgError, match="is leipzig's"):
        prepare(replace(dataset, name="leipzig"), tmp_path)
    assert beat_windows.BEFORE == beat_windows.AFTER == 0.5
