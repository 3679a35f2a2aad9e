"""Who trains and who is tested.

| by | unit that stays on one side | |
| --- | --- | --- |
| window | the window | windows of one recording stand on both sides: the paper's split |
| record | the recording | recordings of one patient may stand on both sides |
| patient | the patient | the sound split; refused where a patient is unknown |
| proxy | recordings of equal source, age, sex and labels | where no patient is named |
| fold | the release's own folds | PTB-XL: 1 to 8 train, 9 validation, 10 test; by patient |

Except by window, recordings with the same samples count as one unit, whoever they are said to be
of. All but the folds are multilabel-stratified (Sechidis et al. 2011, through
iterative-stratification): a unit carries every label that one of its windows carries.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files
from pecg_utils.data.recording import UNKNOWN
from pecg_utils.errors import PecgError

SIDES = ("train", "validation", "test")
WAYS = ("window", "record", "patient", "proxy", "fold")
_UNIT = {"record": "record", "patient": "patient", "proxy": "proxy", "fold": "patient"}
SHARES = (0.7, 0.1, 0.2)  # train : validation : test, arXiv 2510.03780


@dataclass(frozen=True)
class Split:
    """side: (N,) int8, the place in SIDES of each window. by: one of WAYS."""

    by: str
    side: npt.NDArray[np.int8]

    def rows(self, side: str) -> npt.NDArray[np.intp]:
        """The windows on one side, by number."""
        return np.flatnonzero(self.side == SIDES.index(side))

    @property
    def fingerprint(self) -> str:
        """Equal for equal splits."""
        return files.fingerprint([self.by, self.side.tobytes()])

    def save(self, path: Path) -> None:
        """Write it whole, with its fingerprint."""
        stored = {"by": self.by, "side": self.side.tolist(), "fingerprint": self.fingerprint}
        files.write_text(path, json.dumps(stored))


def make(table: pd.DataFrame, labels: npt.NDArray[np.bool_], by: str, seed: int) -> Split:
    """A split of the windows in `table` (N rows with record, patient and, for these ways, fold or
    proxy; where it has the column `same`, rows that are equal there stay on one side).

    labels: (N, C) bool. The shares are 7:1:2. Raises PecgError when `by` is unknown, when there
    are too few units, when patients are unknown, and when the split is not what it claims to be.
    """
    if by not in WAYS:
        raise PecgError(f"No split is called {by!r}; there are {', '.join(WAYS)}.")
    if by == "fold":
        side = _by_fold(table)
    else:
        _refuse_unknown(table, by)
        units = np.arange(len(table)) if by == "window" else _units(table, by)
        side = _stratified(units, labels, seed, by)
    split = Split(by, side)
    check(split, table)
    return split


def load(path: Path, table: pd.DataFrame) -> Split:
    """The split that `save` wrote, checked against the windows in `table`.

    Raises PecgError when the file is damaged, is of other windows, or leaks a patient.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        split = Split(str(stored["by"]), np.array(stored["side"], dtype=np.int8))
        same = stored["fingerprint"] == split.fingerprint
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise PecgError(f"The split in {path} cannot be read ({error}); delete it.") from error
    if not same:
        raise PecgError(f"The split in {path} was changed after it was made; delete it.")
    check(split, table)
    return split


def check(split: Split, table: pd.DataFrame) -> None:
    """Raise PecgError unless the split fits the windows and keeps its promise.

    Every window is on a side and every side holds one; a record split keeps each recording, a
    patient or fold split each patient, a proxy split each proxy, on one side; and all of these keep
    recordings with the same samples together.
    """
    if split.by not in WAYS:
        raise PecgError(f"No split is called {split.by!r}; there are {', '.join(WAYS)}.")
    if len(split.side) != len(table):
        raise PecgError(
            f"This split is of {len(split.side)} windows and there are {len(table)}: "
            "it was made for other windows."
        )
    if not np.isin(split.side, range(len(SIDES))).all():
        raise PecgError(f"The {split.by} split puts a window on no side; delete it.")
    empty = [name for i, name in enumerate(SIDES) if not (split.side == i).any()]
    if empty:
        raise PecgError(
            f"The {split.by} split leaves nothing for {' and '.join(empty)}: there are too few "
            "to divide. Use more recordings, or another split."
        )
    if split.by == "window":
        return
    _refuse_unknown(table, split.by)
    unit = _UNIT[split.by]
    leaking = _on_two_sides(split, table[unit])
    if leaking:
        raise PecgError(
            f"The {split.by} split is refused: {unit} {leaking[0]} stands on two sides"
            + (f", and so do {len(leaking) - 1} more." if len(leaking) > 1 else ".")
        )
    if "same" in table.columns and (copies := _on_two_sides(split, table["same"])):
        named = table["record"][table["same"] == copies[0]].drop_duplicates().tolist()
        raise PecgError(
            f"The {split.by} split is refused: recordings {' and '.join(map(str, named))} have the "
            "same samples and stand on two sides."
        )


def _on_two_sides(split: Split, unit: pd.Series) -> list[object]:
    sides = pd.Series(split.side).groupby(unit.to_numpy()).nunique()
    return list(sides[sides > 1].index)


def _refuse_unknown(table: pd.DataFrame, by: str) -> None:
    if by in ("patient", "fold") and (unknown := int((table["patient"] == UNKNOWN).sum())):
        raise PecgError(
            f"The {by} split is refused: {unknown} windows are of recordings that name no patient. "
            "Split by proxy, which keeps recordings of equal source, age, sex and labels together."
        )
    if by == "proxy" and "proxy" not in table.columns:
        raise PecgError("This dataset names its patients and has no proxy; split by patient.")


def _units(table: pd.DataFrame, by: str) -> npt.NDArray[np.generic]:
    """The unit of each window; units that share a recording's samples are one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names: npt.NDArray[np.intp] = pd.factorize(table[by])[0]  # (N,)
    if "same" not in table.columns:
        return names
    copies = pd.factorize(table["same"])[0]  # (N,)
    size = names.max() + copies.max() + 2
    links = (np.ones(len(names)), (names, names.max() + 1 + copies))
    _, joined = connected_components(coo_array(links, shape=(size, size)), directed=False)
    units: npt.NDArray[np.generic] = joined[names]
    return units


def _by_fold(table: pd.DataFrame) -> npt.NDArray[np.int8]:
    if "fold" not in table.columns:
        raise PecgError("This dataset has no published folds; split by patient instead.")
    fold = table["fold"].to_numpy()
    if not np.isin(fold, range(1, 11)).all():
        raise PecgError("Some recordings have no fold between 1 and 10; split by patient instead.")
    return np.where(fold <= 8, 0, fold - 8).astype(np.int8)


def _stratified(
    units: npt.NDArray[np.generic], labels: npt.NDArray[np.bool_], seed: int, by: str
) -> npt.NDArray[np.int8]:
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    names, unit_of = np.unique(units, return_inverse=True)
    if len(names) < 10:
        raise PecgError(
            f"A {by} split at 7:1:2 needs at least 10 {by}s and there are {len(names)}."
        )
    carried = np.zeros((len(names), labels.shape[1]), dtype=int)  # (units, C)
    np.maximum.at(carried, unit_of, labels.astype(int))
    # A unit without any label is a stratum too, or it would be dealt by chance alone.
    carried = np.column_stack([carried, ~carried.any(axis=1)])

    def divide(
        members: npt.NDArray[np.intp], share: float
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        rest, taken = next(splitter.split(members, carried[members]))
        return members[rest], members[taken]

    others, test = divide(np.arange(len(names)), SHARES[2])
    _, validation = divide(others, SHARES[1] / (SHARES[0] + SHARES[1]))
    side = np.zeros(len(names), dtype=np.int8)
    side[validation] = 1
    side[test] = 2
    return side[unit_of]
