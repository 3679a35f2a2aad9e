"""Published folds as a split: which one is tested in turn, and where the copies are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import folds, open_dataset, splits
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.splits import NOWHERE, Split
from pecg_utils.errors import PecgError
from pecg_utils.protocol import Protocol


def table(per_fold: int = 4) -> pd.DataFrame:
    """Two recordings of a patient, `per_fold` patients of each fold, the folds interleaved."""
    patient = np.repeat(np.arange(10 * per_fold), 2)
    return pd.DataFrame(
        {
            "record": [f"R{i}" for i in range(len(patient))],
            "patient": [f"P{p}" for p in patient],
            "fold": patient % 10 + 1,
            "same": [f"s{i}" for i in range(len(patient))],
        }
    )


def copied(*groups: list[int]) -> pd.DataFrame:
    """The table in which the first recordings of one patient of each of these folds are copies."""
    made = table()
    for number, of in enumerate(groups):  # patients number * 10 to number * 10 + 9, one a fold
        rows = [2 * (10 * number + fold - 1) for fold in of]
        made.loc[rows, "same"] = f"copy {number}"
    return made


def side_of(made: pd.DataFrame, fold: int, number: int = 0, turn: int = 0) -> int:
    """Where the copy in `fold` of group `number` is."""
    return int(folds.sides(made, turn, NOWHERE)[2 * (10 * number + fold - 1)])


def labels(made: pd.DataFrame) -> np.ndarray:
    return np.ones((len(made), 2), dtype=bool)


def test_without_a_turn_eight_folds_train_the_ninth_validates_and_the_tenth_is_tested() -> None:
    made = table()
    side = folds.sides(made, 0, NOWHERE)
    assert side.dtype == np.int8
    np.testing.assert_array_equal(side, np.where(made["fold"] <= 8, 0, made["fold"] - 8))
    np.testing.assert_array_equal(splits.make(made, labels(made), "fold", 0).side, side)


@pytest.mark.parametrize(
    ("turn", "tested", "validates"),
    [(0, 10, 9), (1, 9, 8), (2, 8, 7), (7, 3, 2), (8, 2, 1), (9, 1, 10), (10, 10, 9), (11, 9, 8)],
)
def test_a_turn_tests_the_fold_so_many_places_before_and_goes_round(
    turn: int, tested: int, validates: int
) -> None:
    made = table()
    split = splits.make(made, labels(made), "fold", 0, turn=turn)
    found = [set(made["fold"].iloc[split.rows(side)]) for side in splits.SIDES]
    assert found == [set(range(1, 11)) - {tested, validates}, {validates}, {tested}]


def test_in_ten_turns_every_window_is_tested_once_and_validates_once() -> None:
    made = table()
    found = np.stack([folds.sides(made, turn, NOWHERE) for turn in range(10)])  # (10, N)
    for side, times in ((0, 8), (1, 1), (2, 1)):
        assert ((found == side).sum(axis=0) == times).all()


def test_the_turn_reaches_the_split_from_a_protocol_and_no_other_way_has_turns() -> None:
    made = table()
    fold = Protocol("mrmnet", TWELVE_LEADS, "PTB-XL", "fold", turn=3)
    (split,) = fold.divide(made, labels(made), 0)
    assert set(made["fold"].iloc[split.rows("test")]) == {7}
    (same,) = splits.of(made, labels(made), "fold", 5, 1, turn=3)  # nor is the seed asked
    assert same.fingerprint == split.fingerprint
    prints = {splits.make(made, labels(made), "fold", 0, turn=t).fingerprint for t in range(10)}
    assert len(prints) == 10
    by_patient = [splits.make(made, labels(made), "patient", 0, turn=t) for t in (0, 3)]
    assert by_patient[0].fingerprint == by_patient[1].fingerprint


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ([10, 1], {10: 2, 1: NOWHERE}),  # tested and taught
        ([10, 9], {10: 2, 9: NOWHERE}),  # tested and validating
        ([9, 1], {9: 1, 1: NOWHERE}),  # validating and taught
        ([10, 9, 1, 5], {10: 2, 9: NOWHERE, 1: NOWHERE, 5: NOWHERE}),
        ([1, 5], {1: 0, 5: 0}),  # two folds, one side
    ],
)
def test_the_tested_copy_stays_or_else_the_validating_one(
    of: list[int], expected: dict[int, int]
) -> None:
    made = copied(of)
    assert {fold: side_of(made, fold) for fold in of} == expected
    side = folds.sides(made, 0, NOWHERE)
    others = made["same"] != "copy 0"
    np.testing.assert_array_equal(side[others], folds.sides(table(), 0, NOWHERE)[others])
    splits.make(made, labels(made), "fold", 0)


def test_each_group_of_copies_is_looked_at_by_itself() -> None:
    made = copied([10, 1], [9, 1], [1, 2])
    found = [side_of(made, *at) for at in ((10, 0), (1, 0), (9, 1), (1, 1), (1, 2), (2, 2))]
    assert found == [2, NOWHERE, 1, NOWHERE, 0, 0]


def test_two_copies_in_the_tested_fold_are_both_tested() -> None:
    made = copied([10, 1])
    made.loc[made["fold"] == 10, "same"] = "copy 0"
    assert (folds.sides(made, 0, NOWHERE)[made["fold"] == 10] == 2).all()
    assert side_of(made, 1) == NOWHERE


@pytest.mark.parametrize("turn", range(10))
def test_no_copy_leaks_in_any_turn_and_no_more_than_the_copies_go(turn: int) -> None:
    made = table(per_fold=12)
    drawn = np.random.default_rng(turn).integers(200, size=len(made))  # 240 recordings
    made["same"] = [f"s{i}" for i in drawn]
    split = splits.make(made, labels(made), "fold", 0, turn=turn)
    plain = folds.sides(made.drop(columns="same"), turn, NOWHERE)
    highest = pd.Series(plain).groupby(drawn).transform("max").to_numpy()
    np.testing.assert_array_equal(split.side, np.where(plain == highest, plain, NOWHERE))
    assert (split.side == NOWHERE).sum() > 10
    placed = split.side != NOWHERE
    assert pd.Series(split.side[placed]).groupby(drawn[placed]).nunique().max() == 1
    listed = np.concatenate([split.rows(side) for side in splits.SIDES])
    assert sorted(listed) == np.flatnonzero(placed).tolist()


def test_a_patient_with_one_recording_nowhere_is_on_one_side(tmp_path: Path) -> None:
    """P0 has R0, a copy of a tested recording, and R1, which is taught."""
    made = copied([10, 1])
    split = splits.make(made, labels(made), "fold", 0)
    assert split.side[:2].tolist() == [NOWHERE, 0]
    splits.check(split, made)
    split.save(tmp_path / "split.json")
    again = splits.load(tmp_path / "split.json", made)
    assert again.fingerprint == split.fingerprint
    np.testing.assert_array_equal(again.side, split.side)


def test_what_a_split_by_fold_may_still_not_do() -> None:
    made = copied([10, 1])
    side = splits.make(made, labels(made), "fold", 0).side
    leaking = side.copy()
    leaking[0] = 0  # the copy of a tested recording is taught
    with pytest.raises(
        PecgError,
        match=r"^The fold split is refused: recordings R0 and R18 have the same samples and stand "
        r"on two sides\.$",
    ):
        splits.check(Split("fold", leaking), made)
    parted = side.copy()
    parted[3] = 2  # of patient P1, whose other recording is taught
    with pytest.raises(
        PecgError, match=r"^The fold split is refused: patient P1 stands on two sides\.$"
    ):
        splits.check(Split("fold", parted), made)
    with pytest.raises(PecgError, match="The fold split puts a window on no side; delete it"):
        splits.check(Split("fold", np.where(side == NOWHERE, -2, side).astype(np.int8)), made)
    for by in ("patient", "record", "division"):  # where nothing may be left out
        with pytest.raises(PecgError, match=f"The {by} split puts a window on no side; delete it"):
            splits.check(Split(by, side), made)


def test_folds_of_one_patient_are_refused_in_every_turn_that_parts_them() -> None:
    made = table()
    made.loc[0, "fold"] = 5  # the first patient's other recording is in fold 1
    for turn in range(10):
        tested, validates = 10 - turn, (9 - turn - 1) % 10 + 1
        if {tested, validates} & {1, 5}:
            with pytest.raises(PecgError, match="fold split is refused: patient P0 stands on two"):
                splits.make(made, labels(made), "fold", 0, turn=turn)
        else:
            splits.make(made, labels(made), "fold", 0, turn=turn)


def test_where_all_that_validates_is_a_copy_nothing_is_left_for_it() -> None:
    made = table()
    made.loc[made["fold"] >= 9, "same"] = "one"
    with pytest.raises(PecgError, match="The fold split leaves nothing for validation: there are"):
        splits.make(made, labels(made), "fold", 0)
    splits.make(made, labels(made), "fold", 0, turn=4)  # where both folds are taught


@pytest.mark.parametrize("turn", [0, 4])
def test_what_has_no_folds_is_refused(turn: int) -> None:
    made = table()
    with pytest.raises(
        PecgError, match=r"^This dataset has no published folds; split by patient instead\.$"
    ):
        folds.sides(made.drop(columns="fold"), turn, NOWHERE)
    for wrong in (0, 11, -1, np.nan):  # of which some would be in a fold by going round
        with pytest.raises(
            PecgError,
            match=r"^Some recordings have no fold between 1 and 10; split by patient instead\.$",
        ):
            folds.sides(made.assign(fold=[wrong, *made["fold"][1:]]), turn, NOWHERE)


def test_the_real_ptbxl_in_turns(real: Callable[[str], Path]) -> None:
    dataset = open_dataset("ptbxl", real("ptb-xl"))
    given, fold = dataset.labels.to_numpy(), dataset.table["fold"].to_numpy()
    turns = [turn for turn in range(10) if {10 - turn, (8 - turn) % 10 + 1} <= set(fold)]
    assert 0 in turns
    for turn in turns:
        split = splits.make(dataset.table, given, "fold", 0, turn=turn)
        assert set(fold[split.rows("test")]) == {10 - turn}
