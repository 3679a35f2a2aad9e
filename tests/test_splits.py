"""Splits: what each promises, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import open_dataset, splits
from pecg_utils.data.blocks import Blocks
from pecg_utils.data.splits import Split
from pecg_utils.errors import PecgError

Table = tuple[pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def many() -> Table:
    """The windows of 300 patients with 1 to 3 recordings of 1 to 6 windows, and 5 labels."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for patient in range(300):
        carried = rng.uniform(size=5) < [0.5, 0.3, 0.15, 0.1, 0.05]
        for visit in range(rng.integers(1, 4)):
            for start in range(rng.integers(1, 7)):
                rows.append((f"P{patient}", f"P{patient}_E{visit}", 3.0 * start, patient % 10 + 1))
                labels.append(carried)
    table = pd.DataFrame(rows, columns=["patient", "record", "start", "fold"])
    return table, np.array(labels)


def sides_of(split: Split, units: pd.Series) -> pd.Series:
    return pd.Series(split.side).groupby(units.to_numpy()).nunique()


@pytest.mark.parametrize("by", ["window", "record", "patient"])
def test_shares_and_labels_are_near_on_every_side(many: Table, by: str) -> None:
    table, labels = many
    split = splits.make(table, labels, by, seed=1)
    units = np.arange(len(table)) if by == "window" else table[by].to_numpy()
    first = pd.Series(split.side).groupby(units).first()
    carried = pd.DataFrame(labels).groupby(units).max()
    for place, share in enumerate(splits.SHARES):
        assert (first == place).mean() == pytest.approx(share, abs=0.02)
        for label in range(5):
            here = carried[label][first == place].mean()
            assert here == pytest.approx(carried[label].mean(), abs=0.04)
    rows = [split.rows(side) for side in splits.SIDES]
    assert sorted(np.concatenate(rows)) == list(range(len(table)))


def test_what_stays_together(many: Table) -> None:
    table, labels = many
    ways = ("window", "record", "patient", "fold")
    by = {way: splits.make(table, labels, way, seed=1) for way in ways}
    assert (sides_of(by["patient"], table["patient"]) == 1).all()
    assert (sides_of(by["fold"], table["patient"]) == 1).all()
    assert (sides_of(by["record"], table["record"]) == 1).all()
    assert (sides_of(by["record"], table["patient"]) > 1).any()
    assert (sides_of(by["window"], table["record"]) > 1).any()


@pytest.mark.parametrize("by", ["window", "record", "patient"])
def test_a_split_follows_its_seed(many: Table, by: str) -> None:
    table, labels = many
    one, same, other = (splits.make(table, labels, by, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.side, same.side)
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != other.fingerprint


def test_published_folds(many: Table) -> None:
    table, labels = many
    split = splits.make(table, labels, "fold", seed=0)
    for side, folds in {"train": set(range(1, 9)), "validation": {9}, "test": {10}}.items():
        assert set(table["fold"].iloc[split.rows(side)]) == folds
    with pytest.raises(PecgError, match="no published folds; split by patient"):
        splits.make(table.drop(columns="fold"), labels, "fold", 0)
    for wrong in (0, 11, -1):
        with pytest.raises(PecgError, match="no fold between 1 and 10"):
            splits.make(table.assign(fold=[wrong, *table["fold"][1:]]), labels, "fold", 0)


def test_folds_of_the_real_ptbxl(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("ptbxl", real("ptb-xl"))
    split = splits.make(dataset.table, dataset.labels.to_numpy(), "fold", 0)
    for side, folds in {"train": range(1, 9), "validation": [9], "test": [10]}.items():
        assert set(dataset.table["fold"].iloc[split.rows(side)]) == set(folds)
    leaking = dataset.table.assign(fold=dataset.table["fold"].to_numpy())
    twice = leaking["patient"].value_counts().index[0]
    places = np.flatnonzero(leaking["patient"] == twice)
    leaking.loc[places[0], "fold"], leaking.loc[places[1], "fold"] = 1, 10
    with pytest.raises(PecgError, match=f"The fold split is refused: patient {twice} stands on"):
        splits.make(leaking, dataset.labels.to_numpy(), "fold", 0)


@pytest.mark.parametrize(("by", "unit"), [("patient", "P"), ("fold", "P"), ("record", "r")])
def test_a_leaking_split_is_refused(tmp_path: Path, by: str, unit: str) -> None:
    table = pd.DataFrame({"patient": ["P", "P", "Q", "R"], "record": ["r", "r", "q", "s"]})
    sound = Split(by, np.array([0, 0, 1, 2], dtype=np.int8))
    splits.check(sound, table)
    leaking = Split(by, np.array([0, 2, 1, 2], dtype=np.int8))
    what = "record" if by == "record" else "patient"
    message = rf"The {by} split is refused: {what} {unit} stands on two sides\."
    with pytest.raises(PecgError, match=message):
        splits.check(leaking, table)
    leaking.save(tmp_path / "split.json")  # sealed with its own fingerprint
    with pytest.raises(PecgError, match=message):
        splits.load(tmp_path / "split.json", table)
    both = Split(by, np.array([0, 1, 2, 0], dtype=np.int8))
    more = pd.DataFrame({"patient": ["P", "P", "Q", "Q"], "record": ["r", "r", "q", "q"]})
    with pytest.raises(PecgError, match=r"stands on two sides, and so do 1 more\."):
        splits.check(both, more)


def test_a_window_split_may_part_a_patient(many: Table) -> None:
    table = pd.DataFrame({"patient": ["P"] * 3, "record": ["r"] * 3})
    splits.check(Split("window", np.array([0, 1, 2], dtype=np.int8)), table)


def test_saved_and_loaded(many: Table, tmp_path: Path) -> None:
    table, labels = many
    split = splits.make(table, labels, "patient", 3)
    split.save(tmp_path / "split.json")
    loaded = splits.load(tmp_path / "split.json", table)
    assert loaded.by == "patient"
    assert loaded.side.dtype == np.int8
    np.testing.assert_array_equal(loaded.side, split.side)
    with pytest.raises(PecgError, match="it was made for other windows"):
        splits.load(tmp_path / "split.json", table[:-1])
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    with pytest.raises(PecgError, match="is refused: patient"):  # as many, but others
        splits.load(tmp_path / "split.json", shuffled)


def test_a_file_that_was_changed(many: Table, tmp_path: Path) -> None:
    table, labels = many
    path = tmp_path / "split.json"
    splits.make(table, labels, "window", 3).save(path)
    stored = json.loads(path.read_text())
    for change in ({"side": [2 - s for s in stored["side"]]}, {"by": "record"}):
        path.write_text(json.dumps(stored | change))
        with pytest.raises(PecgError, match="was changed after it was made; delete it"):
            splits.load(path, table)


DAMAGED = ["", "{", "[]", "null", "{}", '{"by": "patient", "side": [300], "fingerprint": ""}']
DAMAGED += ['{"by": 1, "side": ["x"], "fingerprint": 2}', '{"by": "fold", "side": [[1], 2]}']
DAMAGED += ['{"by": "fold", "side": null, "fingerprint": ""}', "\udcff\udcfe"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_file_that_is_damaged(many: Table, tmp_path: Path, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PecgError, match=r"split\.json (cannot be read|was changed)"):
        splits.load(path, many[0])
    with pytest.raises(PecgError, match="cannot be read"):
        splits.load(tmp_path / "none.json", many[0])


def test_a_split_of_no_known_kind_or_side(many: Table) -> None:
    table, labels = many
    with pytest.raises(
        PecgError, match="No split is called 'child'; there are window, file, record"
    ):
        splits.make(table, labels, "child", 0)
    with pytest.raises(PecgError, match="No split is called 'child'"):  # or it would go unchecked
        splits.check(Split("child", np.zeros(len(table), dtype=np.int8)), table)
    side = splits.make(table, labels, "window", 0).side.copy()
    side[0] = 3
    with pytest.raises(PecgError, match="puts a window on no side"):
        splits.check(Split("window", side), table)


@pytest.mark.parametrize(("by", "name"), [("patient", "patients"), ("record", "records")])
def test_too_few_to_divide(by: str, name: str) -> None:
    table = pd.DataFrame({"patient": [f"P{i}" for i in range(9)] * 5})
    table["record"] = table["patient"]
    labels = np.ones((45, 2), dtype=bool)
    with pytest.raises(PecgError, match=f"needs at least 10 {name} and there are 9"):
        splits.make(table, labels, by, 0)
    splits.make(table, labels, "window", 0)


def test_a_side_with_nothing_on_it() -> None:
    table = pd.DataFrame({"patient": list("abc"), "record": list("abc"), "fold": [1, 2, 9]})
    with pytest.raises(PecgError, match="leaves nothing for test: there are too few"):
        splits.make(table, np.ones((3, 1), dtype=bool), "fold", 0)


@pytest.mark.parametrize("units", [10, 11, 15, 40])
def test_few_patients_and_labels_that_nobody_has(units: int) -> None:
    table = pd.DataFrame({"patient": np.arange(units), "record": np.arange(units)})
    labels = np.zeros((units, 4), dtype=bool)
    labels[0, 0] = True
    for seed in range(10):
        split = splits.make(table, labels, "patient", seed)
        assert [len(split.rows(side)) > 0 for side in splits.SIDES] == [True] * 3


@pytest.mark.parametrize("by", ["record", "patient", "proxy"])
def test_recordings_with_the_same_samples_stay_on_one_side(many: Table, by: str) -> None:
    """Every fourth recording is a copy of one of another patient."""
    table, labels = many
    copied = table.assign(same=table["record"], proxy=table["patient"] + "?")
    names = table["record"].unique()
    twins = dict(zip(names[::4], names[-1 : -1 - len(names[::4]) : -1], strict=True))
    copied["same"] = copied["same"].replace(twins)
    without = splits.make(copied.drop(columns="same"), labels, by, seed=1)
    assert (sides_of(without, copied["same"]) > 1).any()
    split = splits.make(copied, labels, by, seed=1)
    assert (sides_of(split, copied["same"]) == 1).all()
    assert (sides_of(split, copied[by]) == 1).all()
    with pytest.raises(PecgError, match="have the same samples and stand on two sides"):
        splits.check(without, copied)


@pytest.mark.parametrize("by", ["patient", "fold"])
def test_patients_that_nobody_names_are_not_split(many: Table, by: str) -> None:
    table, labels = many
    nameless = table.assign(patient="unknown", proxy=table["patient"])
    with pytest.raises(PecgError, match=f"The {by} split is refused: .* name no patient. Split by"):
        splits.make(nameless, labels, by, seed=1)
    split = splits.make(nameless, labels, "proxy", seed=1)
    assert (sides_of(split, table["patient"]) == 1).all()
    with pytest.raises(PecgError, match="refused"):
        splits.check(Split(by, split.side), nameless)
    with pytest.raises(PecgError, match="has no proxy"):
        splits.make(table, labels, "proxy", seed=1)


@pytest.fixture(scope="module")
def places() -> Table:
    """120 recordings of one window each at four sites, of 60 proxies; some are copies."""
    rng = np.random.default_rng(1)
    sites = np.repeat(["north", "east", "south", "west"], [60, 30, 20, 10])
    table = pd.DataFrame(
        {
            "record": [f"R{i}" for i in range(120)],
            "patient": "unknown",
            "site": sites,
            "source": "one",
            "proxy": [f"{site} {i // 2}" for i, site in enumerate(sites)],
            "same": [f"s{i}" for i in range(120)],
        }
    )
    table.loc[[3, 70], "same"] = "copied"  # north and east
    table.loc[[5, 20], "same"] = "twice"  # north alone
    return table, rng.uniform(size=(120, 4)) < 0.3


@pytest.mark.parametrize("by", ["window", "file", "record", "proxy"])
def test_a_cross_validation_tests_every_window_once(places: Table, by: str) -> None:
    table, labels = places
    found = splits.several(table, labels, by, seed=1, count=4)
    tested = np.concatenate([split.rows("test") for split in found])
    assert sorted(tested) == list(range(120))
    for split in found:
        assert 24 <= len(split.rows("test")) <= 36
        assert 8 <= len(split.rows("validation")) <= 18
        if by == "proxy":
            assert (sides_of(split, table["proxy"]) == 1).all()
    again = splits.several(table, labels, by, seed=1, count=4)
    other = splits.several(table, labels, by, seed=2, count=4)
    assert [a.fingerprint for a in again] == [b.fingerprint for b in found]
    assert [a.fingerprint for a in other] != [b.fingerprint for b in found]


def test_copies_are_kept_together_by_record_and_not_by_file(places: Table) -> None:
    table, labels = places
    copies = table.assign(same=[f"s{i % 60}" for i in range(120)])
    together = splits.several(copies, labels, "record", 0, 3)
    assert all((sides_of(split, copies["same"]) == 1).all() for split in together)
    apart = splits.several(copies, labels, "file", 0, 3)
    assert any((sides_of(split, copies["same"]) > 1).any() for split in apart)
    assert all((sides_of(split, copies["record"]) == 1).all() for split in apart)


def test_sites_are_left_out_the_largest_first_and_their_copies_are_nowhere(places: Table) -> None:
    table, labels = places
    found = splits.several(table, labels, "site", 0, 3)
    left = [table["site"].iloc[split.rows("test")].unique().tolist() for split in found]
    assert left == [["north"], ["east"], ["south"]]
    assert [len(split.rows("test")) for split in found] == [60, 30, 20]
    north = found[0]
    assert np.flatnonzero(north.side == splits.NOWHERE).tolist() == [70]
    taught = np.concatenate([north.rows("train"), north.rows("validation")])
    assert not set(table["same"].iloc[taught]) & set(table["same"].iloc[north.rows("test")])
    assert (sides_of(north, table["proxy"])[lambda n: n.index.str.startswith("south")] == 1).all()
    assert len(splits.several(table, labels, "site", 0, 10)) == 4
    bare = table.drop(columns="site").assign(source=table["site"])
    assert splits.several(bare, labels, "site", 0, 1)[0].fingerprint == north.fingerprint


def test_what_a_site_split_may_not_do(places: Table, tmp_path: Path) -> None:
    table, labels = places
    split = splits.several(table, labels, "site", 0, 1)[0]
    split.save(tmp_path / "split.json")
    assert splits.load(tmp_path / "split.json", table).fingerprint == split.fingerprint
    leaking = split.side.copy()
    leaking[0] = 0  # one of the tested site trains
    with pytest.raises(PecgError, match="The site split is refused: site north stands on two"):
        splits.check(Split("site", leaking), table)
    copied = split.side.copy()
    copied[70] = 0
    with pytest.raises(PecgError, match="R3 and R70 have the same samples and stand on two sides"):
        splits.check(Split("site", copied), table)
    with pytest.raises(PecgError, match="puts a window on no side"):
        splits.check(Split("record", split.side), table)


def test_what_cannot_be_cross_validated(places: Table, many: Table) -> None:
    table, labels = places
    with pytest.raises(PecgError, match="takes two; all recordings are of 'one'"):
        splits.several(table.drop(columns="site"), labels, "site", 0, 3)
    with pytest.raises(PecgError, match="`several` makes them"):
        splits.make(table, labels, "site", 0)
    with pytest.raises(PecgError, match="no cross-validation by 'fold'"):
        splits.several(*many, "fold", 0, 3)
    with pytest.raises(PecgError, match=r"name no patient\. Split by proxy"):
        splits.several(table, labels, "patient", 0, 3)
    with pytest.raises(PecgError, match="needs at least 14 records and there are 12"):
        splits.several(table[:12], labels[:12], "record", 0, 7)
    few = table[table["site"].isin(["south"])].assign(site=["a"] * 15 + ["b"] * 5)
    with pytest.raises(PecgError, match=r"Without 'a' there are \d proxys left to train on"):
        splits.several(few, labels[:20], "site", 0, 1)


def divided(second: int = 4, first: int = 16) -> Table:
    """3 windows of each recording, in DS1 or DS2; recording D00 of DS2 is of patient 00 of DS1."""
    names = [f"{n:02d}" for n in range(first)] + [f"D{n:02d}" for n in range(second)]
    record = np.repeat(names, 3)
    table = pd.DataFrame({"record": record, "patient": record, "source": "x"})
    table.loc[table["record"] == "D00", "patient"] = "00"
    table["division"] = np.where(table["record"].str.startswith("D"), "DS2", "DS1")
    return table, np.eye(2, dtype=bool)[np.arange(len(table)) % 3 // 2]


def test_a_division_tests_the_second_part_less_patients_of_the_first(tmp_path: Path) -> None:
    table, labels = divided()
    split = splits.make(table, labels, "division", 0)
    assert split.by == "division"
    assert set(table["record"].iloc[split.rows("test")]) == {"D01", "D02", "D03"}
    assert set(table["record"][split.side < 2]) == {*table["record"][: 3 * 16], "D00"}
    held = table["patient"].iloc[split.rows("validation")].nunique()
    assert abs(held - 16 / 8) <= 1  # an eighth; stratified, it may be one more or less
    others = [splits.make(table, labels, "division", seed) for seed in range(1, 5)]
    assert splits.make(table, labels, "division", 0).fingerprint == split.fingerprint
    assert all(np.array_equal(other.rows("test"), split.rows("test")) for other in others)
    assert len({split.fingerprint, *(other.fingerprint for other in others)}) > 1
    split.save(tmp_path / "split.json")
    assert splits.load(tmp_path / "split.json", table).fingerprint == split.fingerprint
    leaking = Split("division", np.where(table["division"] == "DS2", 2, split.side).astype(np.int8))
    with pytest.raises(PecgError, match="division split is refused: patient 00 stands on two"):
        splits.check(leaking, table)


def test_what_cannot_be_divided() -> None:
    table, labels = divided(first=9)
    with pytest.raises(PecgError, match="Without DS2 there are 9 patients left to train on; 10"):
        splits.make(table, labels, "division", 0)
    table, labels = divided(second=1)  # whose one recording is of a patient of DS1
    with pytest.raises(PecgError, match="leaves nothing for test"):
        splits.make(table, labels, "division", 0)
    table, labels = divided()
    with pytest.raises(PecgError, match="name no patient"):
        splits.make(table.assign(patient="unknown"), labels, "division", 0)
    copied = table.assign(same=table["record"].replace("D03", "01"))
    with pytest.raises(PecgError, match="recordings 01 and D03 have the same samples"):
        splits.make(copied, labels, "division", 0)
    with pytest.raises(PecgError, match="does not divide itself"):
        splits.make(table.drop(columns="division"), labels, "division", 0)
    with pytest.raises(PecgError, match="no cross-validation by 'division'"):
        splits.of(table, labels, "division", 0, 3)


@pytest.mark.parametrize("by", ["window", "record", "patient", "division"])
def test_one_split_is_the_one_that_is_made(by: str) -> None:
    table, labels = divided()
    (split,) = splits.of(table, labels, by, 3, 1)
    assert split.fingerprint == splits.make(table, labels, by, 3).fingerprint


@pytest.mark.parametrize("count", [1, 3])
def test_a_split_by_block_has_the_stretches_that_are_asked_for(count: int) -> None:
    table, labels = divided()
    start = np.arange(len(table)) * 14.0
    table = table.assign(record="R", start=start, end=start + 2)
    found = splits.of(table, labels, "block", 3, count, Blocks(42.0, 7.0))
    stretch = start // 42
    for split in found:
        assert split.gap == 7.0
        assert not (split.side == splits.NOWHERE).any()  # 12 s from a window to the next one
        assert pd.Series(split.side).groupby(stretch).nunique().eq(1).all()
        assert (np.diff(split.side)[np.diff(stretch) > 0] != 0).any()
    usual = splits.of(table, labels, "block", 3, count)
    assert {split.gap for split in usual} == {10.0}
    made = splits.make(table, labels, "block", 3, Blocks(42.0, 7.0)).fingerprint
    assert (found[0].fingerprint == made) == (count == 1)


@pytest.mark.parametrize(("by", "count"), [("record", 3), ("proxy", 2), ("site", 2), ("site", 1)])
def test_several_splits_are_those_of_a_cross_validation(places: Table, by: str, count: int) -> None:
    found = splits.of(*places, by, 3, count)
    expected = splits.several(*places, by, 3, count)
    assert len(found) == count
    assert [s.fingerprint for s in found] == [s.fingerprint for s in expected]
