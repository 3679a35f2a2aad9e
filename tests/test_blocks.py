"""Splits by stretches of time: what stays together, and how far apart the sides are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import blocks, splits
from pecg_utils.data.blocks import Blocks
from pecg_utils.data.splits import NOWHERE, Split
from pecg_utils.errors import PecgError

Table = tuple[pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def hours() -> Table:
    """8 recordings of 20 minutes in windows of 1 to 3 s that may overlap, shuffled; 3 classes."""
    rng = np.random.default_rng(0)
    parts = []
    for record in range(8):
        start = np.sort(rng.uniform(0, 1200, 700))
        end = start + rng.uniform(1, 3, 700)
        parts.append(pd.DataFrame({"record": f"R{record}", "start": start, "end": end}))
    table = pd.concat(parts).sample(frac=1, random_state=1).reset_index(drop=True)
    return table, np.eye(3, dtype=bool)[rng.choice(3, len(table), p=[0.8, 0.15, 0.05])]


def apart(table: pd.DataFrame, split: Split) -> float:
    """How near two sides come, by comparing every window with every other one."""
    nearest = np.inf
    for _, rows in table.groupby(
        table["same"] if "same" in table else table["record"]
    ).indices.items():
        start, end = (table[name].to_numpy()[rows] for name in ("start", "end"))
        side = split.side[rows]
        gap = np.maximum(start[:, None] - end[None], start[None] - end[:, None])
        other = (side[:, None] != side[None]) & (side[:, None] >= 0) & (side[None] >= 0)
        nearest = min(nearest, gap[other].min(initial=np.inf))
    return nearest


@pytest.mark.parametrize(("seconds", "gap"), [(60.0, 10.0), (60.0, 0.0), (20.0, 5.0)])
def test_sides_are_apart_and_only_what_lies_at_a_seam_is_lost(
    hours: Table, seconds: float, gap: float
) -> None:
    table, labels = hours
    split = splits.make(table, labels, "block", 1, Blocks(seconds, gap))
    assert split.gap == gap
    assert gap <= apart(table, split) < gap + 5
    assert (split.side == NOWHERE).mean() < 0.6 * (gap + 3) / seconds
    for place, share in enumerate(splits.SHARES):
        placed = split.side[split.side != NOWHERE]
        assert (placed == place).mean() == pytest.approx(share, abs=0.06)
    block = table["record"] + (table["start"] // seconds).astype(str)
    placed = split.side != NOWHERE
    assert (pd.Series(split.side)[placed].groupby(block[placed]).nunique() == 1).all()


def test_each_window_is_tested_at_most_once(hours: Table) -> None:
    table, labels = hours
    found = splits.several(table, labels, "block", 0, 4)
    tested = np.concatenate([split.rows("test") for split in found])
    assert len(np.unique(tested)) == len(tested) > 0.85 * len(table)
    assert all(apart(table, split) >= 10.0 for split in found)
    assert len({split.fingerprint for split in found}) == 4


def test_a_gap_that_is_not_kept_is_refused(hours: Table, tmp_path: Path) -> None:
    table, labels = hours
    split = splits.make(table, labels, "block", 1)
    split.save(tmp_path / "split.json")
    loaded = splits.load(tmp_path / "split.json", table)
    assert (loaded.gap, loaded.fingerprint) == (10.0, split.fingerprint)
    wider = Split("block", split.side, 16.0)
    with pytest.raises(PecgError, match=r"in recording R\d the window from .* lies within 16 s"):
        splits.check(wider, table)
    lost = np.flatnonzero(split.side == NOWHERE)
    back = split.side.copy()
    for place in lost[:20]:  # each was left out for a reason
        refused = 0
        for side in range(3):
            back[place] = side
            try:
                splits.check(Split("block", back, 10.0), table)
            except PecgError:
                refused += 1
        back[place] = NOWHERE
        assert refused >= 2
    stored = json.loads((tmp_path / "split.json").read_text())
    (tmp_path / "split.json").write_text(json.dumps(stored | {"gap": 0.0}))
    with pytest.raises(PecgError, match="was changed after it was made"):
        splits.load(tmp_path / "split.json", table)


def test_a_long_window_before_a_short_one_is_seen() -> None:
    start, end = np.array([0.0, 50.0, 70.0]), np.array([100.0, 55.0, 75.0])
    side, one = np.array([0, 0, 2], dtype=np.int8), np.zeros(3, dtype=int)
    assert blocks.too_near(start, end, one, side, 10.0, NOWHERE).tolist() == [2]
    assert blocks.spaced(start, end, one, side, 10.0, NOWHERE).tolist() == [NOWHERE, 0, 2]
    assert blocks.too_near(start, end, np.arange(3), side, 10.0, NOWHERE).tolist() == []


def test_copies_of_a_recording_are_one_in_time(hours: Table) -> None:
    table, labels = hours
    first = table[table["record"] == "R0"]
    both = pd.concat([table, first.assign(record="R9")], ignore_index=True)
    both["same"] = both["record"].replace("R9", "R0")
    many = np.concatenate([labels, labels[first.index]])
    split = splits.make(both, many, "block", 1)
    assert apart(both, split) >= 10.0
    np.testing.assert_array_equal(split.side[first.index], split.side[len(table) :])


def test_what_cannot_be_split_by_block(hours: Table) -> None:
    table, labels = hours
    with pytest.raises(PecgError, match="have no end; split by record"):
        splits.make(table.drop(columns="end"), labels, "block", 0)
    with pytest.raises(PecgError, match="needs at least 10 blocks and there are 8"):
        splits.make(table, labels, "block", 0, Blocks(1300.0))
    with pytest.raises(PecgError, match="Stretches of 0 s"):
        splits.make(table, labels, "block", 0, Blocks(0.0))
    with pytest.raises(PecgError, match="leaves nothing for"):
        splits.make(table, labels, "block", 0, Blocks(60.0, 2000.0))
