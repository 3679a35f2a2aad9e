"""Who trains and who is tested.

| by | unit that stays on one side | |
| --- | --- | --- |
| window | the window | windows of one recording stand on both sides: the paper's split |
| block | a stretch of a recording | no two sides come nearer in time than a gap; see `blocks.py` |
| file | the recording | as `record`, and copies of a recording may stand on both sides |
| record | the recording | recordings of one patient may stand on both sides |
| patient | the patient | the sound split; refused where a patient is unknown |
| proxy | recordings of equal source, age, sex and labels | where no patient is named |
| fold | the release's own folds | PTB-XL: 1 to 8 train, 9 validation, 10 test; or each in turn |
| division | the patient | MIT-BIH's DS1 trains, DS2 is tested, but for 202: its patient is in DS1 |
| site | the place of recording | one place is tested, the others train and validate |
| domain | the patient | adults or children train, children are tested; see `domains.py` |

Except by window and by file, recordings with the same samples count as one unit, whoever they are
said to be of. All but folds and division are multilabel-stratified (Sechidis et al. 2011, through
iterative-stratification): a unit carries every label that one of its windows carries.

`make` divides once, 7:1:2. `several` makes the splits of a cross-validation, in each of which
another part is tested, or of leaving out one site after the other. `of` is either.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files
from pecg_utils.data import blocks, folds
from pecg_utils.data.blocks import USUAL, Blocks
from pecg_utils.data.recording import UNKNOWN, sites
from pecg_utils.errors import PecgError

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Sides = npt.NDArray[np.int8]

SIDES = ("train", "validation", "test")
_UNIT = {
    "file": "record",
    "record": "record",
    "patient": "patient",
    "proxy": "proxy",
    "fold": "patient",
    "division": "patient",
    "domain": "proxy",
}
WAYS = ("window", *_UNIT, "site", "block")
_APART = ("window", "file")  # ways in which copies of a recording may stand on both sides
# By site or fold: a copy of a tested recording; by block: a window at a seam; by domain: who is
# neither taught nor tested.
NOWHERE = -1
SHARES = (0.7, 0.1, 0.2)  # train : validation : test, arXiv 2510.03780
_VALIDATION = SHARES[1] / (SHARES[0] + SHARES[1])  # of what is not tested


@dataclass(frozen=True)
class Split:
    """side: (N,) int8, the place in SIDES of each window, or NOWHERE. by: one of WAYS.

    gap: s, of a block split, that its sides are apart.
    """

    by: str
    side: Sides
    gap: float = 0.0

    def rows(self, side: str) -> Rows:
        """The windows on one side, by number."""
        return np.flatnonzero(self.side == SIDES.index(side))

    @property
    def fingerprint(self) -> str:
        """Equal for equal splits."""
        gap = [repr(self.gap)] if self.by == "block" else []
        return files.fingerprint([self.by, self.side.tobytes(), *gap])

    def save(self, path: Path) -> None:
        """Write it whole, with its fingerprint."""
        stored = {"by": self.by, "side": self.side.tolist(), "fingerprint": self.fingerprint}
        gap = {"gap": self.gap} if self.by == "block" else {}
        files.write_text(path, json.dumps(stored | gap))


def make(
    table: pd.DataFrame,
    labels: Flags,
    by: str,
    seed: int,
    block: Blocks = USUAL,
    turn: int = 0,
) -> Split:
    """A split of the windows in `table` (N rows with record, patient and, for these ways, fold,
    proxy, or start and end in s; where it has the column `same`, rows that are equal there stay on
    one side).

    labels: (N, C) bool. block: how long a stretch and the gap are, by block. turn: by fold, how
    many places before the last the tested fold is. The shares are 7:1:2, by block before the
    windows at the seams go. Raises PecgError when `by` is unknown, when there
    are too few units, when patients are unknown, and when the split is not what it claims to be.
    """
    if by not in WAYS:
        raise PecgError(f"No split is called {by!r}; there are {', '.join(WAYS)}.")
    if by == "site":
        raise PecgError("A site split has a part for each site; `several` makes them.")
    if by == "domain":
        raise PecgError("A split by domain is made by `domains.divide`.")
    if by == "fold":
        side = folds.sides(table, turn, NOWHERE)
    elif by == "division":
        side = _by_division(table, labels, seed)
    else:
        _refuse_unknown(table, by)
        side = _stratified(_units(table, by, block), labels, seed, by)
    return _checked(by, side, table, block)


def of(
    table: pd.DataFrame,
    labels: Flags,
    by: str,
    seed: int,
    count: int,
    block: Blocks = USUAL,
    turn: int = 0,
) -> list[Split]:
    """One split by `make` where `count` is 1 (and not by site), or those that `several` makes."""
    if count == 1 and by != "site":
        return [make(table, labels, by, seed, block, turn)]
    return several(table, labels, by, seed, count, block)


def several(
    table: pd.DataFrame, labels: Flags, by: str, seed: int, count: int, block: Blocks = USUAL
) -> list[Split]:
    """`count` splits, each with another test side; arguments and errors otherwise as in `make`.

    By site, those with the most recordings are left out, one at a time, at most `count` of them.
    Otherwise every window is tested once, or by block at most once. Of what is not tested an eighth
    is validation, as in 7:1.
    """
    if by == "site":
        return _left_out(table, labels, seed, count)
    if by not in WAYS or by in ("fold", "division", "domain"):
        raise PecgError(f"There is no cross-validation by {by!r}.")
    _refuse_unknown(table, by)
    units = _units(table, by, block)  # (N,)
    names, unit_of = np.unique(units, return_inverse=True)
    if len(names) < max(10, 2 * count):
        raise PecgError(
            f"A cross-validation of {count} parts by {by} needs at least {max(10, 2 * count)} "
            f"{by}s and there are {len(names)}."
        )
    carried = _carried(unit_of, labels)
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    parts = MultilabelStratifiedKFold(count, shuffle=True, random_state=seed)
    splits = []
    for rest, test in parts.split(names, carried):
        side = np.zeros(len(names), dtype=np.int8)
        side[_divide(rest, carried, _VALIDATION, seed)[1]] = 1
        side[test] = 2
        splits.append(_checked(by, side[unit_of], table, block))
    return splits


def _checked(by: str, side: Sides, table: pd.DataFrame, block: Blocks = USUAL) -> Split:
    split = Split(by, side)
    if by == "block":
        apart = blocks.spaced(*_times(table), side, block.gap, NOWHERE)
        split = Split(by, apart, float(block.gap))
    check(split, table)
    return split


def _left_out(table: pd.DataFrame, labels: Flags, seed: int, count: int) -> list[Split]:
    where = sites(table)
    largest = table.groupby(where)["record"].nunique().sort_values(ascending=False, kind="stable")
    if len(largest) < 2:
        raise PecgError(
            f"To leave a site out takes two; all recordings are of {largest.index[0]!r}."
        )
    inner = "proxy" if "proxy" in table.columns else "patient"
    _refuse_unknown(table, inner)
    splits = []
    for site in largest.index[:count]:
        tested = (where == site).to_numpy()
        side = np.full(len(table), 2, dtype=np.int8)
        side[~tested] = 0
        if "same" in table.columns:
            side[~tested & table["same"].isin(table["same"][tested]).to_numpy()] = NOWHERE
        rest = np.flatnonzero(side == 0)
        side[_validating(table, labels, rest, inner, seed, repr(site))] = 1
        splits.append(_checked("site", side, table))
    return splits


def _validating(
    table: pd.DataFrame, labels: Flags, rest: Rows, by: str, seed: int, without: str
) -> Rows:
    """The windows of an eighth of the units of the windows `rest`, which are not tested."""
    names, unit_of = np.unique(_units(table.iloc[rest], by), return_inverse=True)
    if len(names) < 10:
        raise PecgError(
            f"Without {without} there are {len(names)} {by}s left to train on; 10 are needed."
        )
    carried = _carried(unit_of, labels[rest])
    _, validation = _divide(np.arange(len(names)), carried, _VALIDATION, seed)
    return rest[np.isin(unit_of, validation)]


def load(path: Path, table: pd.DataFrame) -> Split:
    """The split that `save` wrote, checked against the windows in `table`.

    Raises PecgError when the file is damaged, is of other windows, or leaks a patient.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        side = np.array(stored["side"], dtype=np.int8)
        split = Split(str(stored["by"]), side, float(stored.get("gap", 0.0)))
        same = stored["fingerprint"] == split.fingerprint
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise PecgError(f"The split in {path} cannot be read ({error}); delete it.") from error
    if not same:
        raise PecgError(f"The split in {path} was changed after it was made; delete it.")
    check(split, table)
    return split


def check(split: Split, table: pd.DataFrame) -> None:
    """Raise PecgError unless the split fits the windows and keeps its promise.

    Every window is on a side, but where `make` leaves some out, and every side holds one; a file or
    record split keeps each recording, a patient or fold split each patient, a proxy split each
    proxy, on one side; and all of these but the first keep recordings with the same samples
    together. In a block split the
    windows of a recording that are on two sides are at least the gap apart. A site split tests
    whole sites, and nothing of a tested site, no copy of it either, is on another side.
    """
    if split.by not in WAYS:
        raise PecgError(f"No split is called {split.by!r}; there are {', '.join(WAYS)}.")
    if len(split.side) != len(table):
        raise PecgError(
            f"This split is of {len(split.side)} windows and there are {len(table)}: "
            "it was made for other windows."
        )
    known = range(NOWHERE if split.by in ("site", "block", "fold", "domain") else 0, len(SIDES))
    if not np.isin(split.side, known).all():
        raise PecgError(f"The {split.by} split puts a window on no side; delete it.")
    empty = [name for i, name in enumerate(SIDES) if not (split.side == i).any()]
    if empty:
        raise PecgError(
            f"The {split.by} split leaves nothing for {' and '.join(empty)}: there are too few "
            "to divide. Use more recordings, or another split."
        )
    if split.by == "window":
        return
    if split.by == "block":
        near = blocks.too_near(*_times(table), split.side, split.gap, NOWHERE)
        if len(near):
            one = table.iloc[near[0]]
            raise PecgError(
                f"The block split is refused: in recording {one['record']} the window from "
                f"{one['start']:.3f} s lies within {split.gap:g} s of one on another side."
            )
        return
    _refuse_unknown(table, split.by)
    placed = split.side != NOWHERE
    if split.by == "site":
        unit, leaking = "site", _on_two_sides(split.side == 2, sites(table))
    else:
        unit = _UNIT[split.by]
        leaking = _on_two_sides(split.side[placed], table[unit][placed])
    if leaking:
        raise PecgError(
            f"The {split.by} split is refused: {unit} {leaking[0]} stands on two sides"
            + (f", and so do {len(leaking) - 1} more." if len(leaking) > 1 else ".")
        )
    if split.by in _APART or "same" not in table.columns:
        return
    if copies := _on_two_sides(split.side[placed], table["same"][placed]):
        named = table["record"][table["same"] == copies[0]].drop_duplicates().tolist()
        raise PecgError(
            f"The {split.by} split is refused: recordings {' and '.join(map(str, named))} have the "
            "same samples and stand on two sides."
        )


def _on_two_sides(side: npt.NDArray[np.generic], unit: pd.Series) -> list[object]:
    sides = pd.Series(side).groupby(unit.to_numpy()).nunique()
    return list(sides[sides > 1].index)


def _refuse_unknown(table: pd.DataFrame, by: str) -> None:
    if by in ("patient", "fold", "division") and (
        unknown := int((table["patient"] == UNKNOWN).sum())
    ):
        raise PecgError(
            f"The {by} split is refused: {unknown} windows are of recordings that name no patient. "
            "Split by proxy, which keeps recordings of equal source, age, sex and labels together."
        )
    if by == "proxy" and "proxy" not in table.columns:
        raise PecgError("This dataset names its patients and has no proxy; split by patient.")


def _times(
    table: pd.DataFrame,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int_]]:
    """start and end (N,) of each window, s, and its recording, equal for copies."""
    if lacking := [name for name in ("start", "end") if name not in table.columns]:
        raise PecgError(f"These windows have no {' and no '.join(lacking)}; split by record.")
    start, end = (table[name].to_numpy(dtype=float) for name in ("start", "end"))
    return start, end, _units(table, "record").astype(int)


def _units(table: pd.DataFrame, by: str, block: Blocks = USUAL) -> npt.NDArray[np.generic]:
    """The unit of each window; units that share a recording's samples are one, by most ways."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if by == "window":
        return np.arange(len(table))
    if by == "block":
        if not (block.seconds > 0 and block.gap >= 0):
            raise PecgError(f"Stretches of {block.seconds:g} s, {block.gap:g} s apart, are none.")
        start, _, recording = _times(table)
        return blocks.numbered(start, recording, block.seconds)
    names: Rows = pd.factorize(table[_UNIT[by]])[0]  # (N,)
    if by in _APART or "same" not in table.columns:
        return names
    copies = pd.factorize(table["same"])[0]  # (N,)
    size = names.max() + copies.max() + 2
    links = (np.ones(len(names)), (names, names.max() + 1 + copies))
    _, joined = connected_components(coo_array(links, shape=(size, size)), directed=False)
    units: npt.NDArray[np.generic] = joined[names]
    return units


def _by_division(table: pd.DataFrame, labels: Flags, seed: int) -> Sides:
    """De Chazal's division (2004, IEEE TBME 51:1196), and an eighth of DS1's patients validates.

    The paper does without a validation side. And it tests recording 202, though 201, which trains,
    is of the same patient: here 202 trains too (*ours*).
    """
    if "division" not in table.columns:
        raise PecgError("This dataset does not divide itself in two; split by patient instead.")
    _refuse_unknown(table, "division")
    taught = table["patient"][table["division"] == "DS1"]
    tested = (table["division"] == "DS2") & ~table["patient"].isin(taught)
    side = np.where(tested, 2, 0).astype(np.int8)
    rest = np.flatnonzero(side == 0)
    side[_validating(table, labels, rest, "patient", seed, "DS2")] = 1
    return side


def _stratified(units: npt.NDArray[np.generic], labels: Flags, seed: int, by: str) -> Sides:
    names, unit_of = np.unique(units, return_inverse=True)
    if len(names) < 10:
        raise PecgError(
            f"A {by} split at 7:1:2 needs at least 10 {by}s and there are {len(names)}."
        )
    carried = _carried(unit_of, labels)
    others, test = _divide(np.arange(len(names)), carried, SHARES[2], seed)
    _, validation = _divide(others, carried, _VALIDATION, seed)
    side = np.zeros(len(names), dtype=np.int8)
    side[validation] = 1
    side[test] = 2
    return side[unit_of]


def _carried(unit_of: Rows, labels: Flags) -> npt.NDArray[np.int_]:
    """What each unit carries, (units, C + 1), 0 and 1; the last is 'no label at all'."""
    carried = np.zeros((unit_of.max() + 1, labels.shape[1]), dtype=int)
    np.maximum.at(carried, unit_of, labels.astype(int))
    # A unit without any label is a stratum too, or it would be dealt by chance alone.
    return np.column_stack([carried, ~carried.any(axis=1)])


def _divide(
    members: Rows, carried: npt.NDArray[np.int_], share: float, seed: int
) -> tuple[Rows, Rows]:
    """The units `members` in two parts, the second about `share` of them."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    rest, taken = next(splitter.split(members, carried[members]))
    return members[rest], members[taken]
