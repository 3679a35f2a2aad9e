"""The folds that a release publishes, as a split: which are taught, validate and are tested."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.errors import PecgError

Sides = npt.NDArray[np.int8]


def sides(table: pd.DataFrame, turn: int, nowhere: int) -> Sides:
    """The side of each window of `table`, (N,): 0 trains, 1 validates, 2 is tested.

    turn: how many places before the tenth the tested fold is; the fold before that one validates.
    nowhere: the side of a recording that stands in several of these sides: the tested copy stays,
    or else the validating one. Raises PecgError where there are no folds from 1 to 10.
    """
    if "fold" not in table.columns:
        raise PecgError("This dataset has no published folds; split by patient instead.")
    fold = table["fold"].to_numpy()
    if not np.isin(fold, range(1, 11)).all():
        raise PecgError("Some recordings have no fold between 1 and 10; split by patient instead.")
    place = (fold + turn - 1) % 10  # 9 is tested, 8 validates
    side = np.where(place <= 7, 0, place - 7).astype(np.int8)
    if "same" in table.columns:
        for held in (2, 1):
            copies = table["same"].isin(table["same"][side == held]).to_numpy()
            side[copies & (side < held)] = nowhere
    return side
