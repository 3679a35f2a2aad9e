"""Two signals of the same seconds and one class a window: what a model of two encoders is given.

Leipzig's segments are the surface ECG and the electrograms. MIT-BIH's beats stand in where no
electrogram can be had: lead MLII takes the ECG's place and the other lead the electrograms'. That
shows what a protocol does to a score, and nothing about electrograms.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data import beat_windows, mitdb, prepared, segments
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import Dataset
from pecg_utils.data.windows import Windows

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Batch = tuple[Floats, Floats, Flags]


class Pairs(Protocol):
    """Prepared windows of two signals.

    table: one row a window. labels: (N, C) bool, one true a row. mask: (N, K), which
    channels of the second signal are there. names: class -> words. left_out: what is in no window,
    by record and reason. sizes: of the model that reads
    them: electrograms, ecg_fs and iegm_fs, Hz. n_leads, n_samples: of the first signal.
    """

    @property
    def table(self) -> pd.DataFrame: ...
    @property
    def labels(self) -> Flags: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> dict[str, str]: ...
    @property
    def left_out(self) -> pd.DataFrame: ...
    @property
    def report(self) -> Report: ...
    @property
    def key(self) -> str: ...
    @property
    def mask(self) -> Flags: ...
    @property
    def n_leads(self) -> int: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def sizes(self) -> dict[str, int]: ...

    def __len__(self) -> int: ...

    def batch(self, rows: Rows) -> Batch:
        """The signals (n, L, T) and (n, K, U), standardised a channel, and the mask (n, K)."""

    def only(self, keep: Flags) -> "Pairs":
        """The windows where `keep` (N,) is true."""


@dataclass(frozen=True)
class BeatPairs:
    """MIT-BIH's beats, MLII beside the other lead."""

    windows: Windows
    place: Rows  # (N,) where the N beats are among those of `windows`
    table: pd.DataFrame
    labels: Flags

    n_leads = 1
    sizes: ClassVar[dict[str, int]] = {
        "electrograms": 1,
        "ecg_fs": round(mitdb.FS),
        "iegm_fs": round(mitdb.FS),
    }

    @property
    def classes(self) -> tuple[str, ...]:
        return self.windows.classes

    @property
    def names(self) -> dict[str, str]:
        return mitdb.LABELS

    @property
    def left_out(self) -> pd.DataFrame:
        return pd.DataFrame(columns=["record", "rhythm", "reason", "windows", "seconds"])

    @property
    def report(self) -> Report:
        return self.windows.report

    @property
    def key(self) -> str:
        return self.windows.key

    @property
    def mask(self) -> Flags:
        return np.ones((len(self), 1), dtype=bool)

    @property
    def n_samples(self) -> int:
        return int(self.windows.steps.shape[2])

    def __len__(self) -> int:
        return len(self.place)

    def batch(self, rows: Rows) -> Batch:
        """MLII (n, 1, T), the other lead (n, 1, T), standardised, and a mask (n, 1) all true."""
        both = prepared.standardised(self.windows.steps[self.place[rows]])  # (n, 2, T)
        return both[:, :1], both[:, 1:], self.mask[rows]

    def only(self, keep: Flags) -> "BeatPairs":
        """The beats where `keep` (N,) is true."""
        table = self.table[keep].reset_index(drop=True)
        return BeatPairs(self.windows, self.place[keep], table, self.labels[keep])


def prepare(dataset: Dataset, cache: Path, grouped: bool = True, fingerprint: str = "") -> Pairs:
    """The segments of a Leipzig folder, or the beats of a MIT-BIH one, found in `cache` or made.

    grouped: of Leipzig, whether rhythms are joined as segments.GROUPS says. Raises what the two
    modules' own `prepare` raise.
    """
    if dataset.name == "mitdb":
        found = beat_windows.prepare(dataset, cache, fingerprint=fingerprint)
        return BeatPairs(found, np.arange(len(found)), found.table, found.labels)
    return segments.prepare(dataset, cache, grouped, fingerprint)


def children(pairs: Pairs) -> Pairs | None:
    """The windows of the children alone, where the table tells them from adults."""
    if "group" not in pairs.table.columns:
        return None
    return pairs.only((pairs.table["group"] == "child").to_numpy())


@dataclass(frozen=True)
class PairInputs:
    """The windows `rows` of `pairs`, as a model eats them.

    labels: (n, C) bool. hidden: whether the second signal is said to be absent throughout.
    """

    pairs: Pairs
    rows: Rows
    labels: Flags
    hidden: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, which: Rows) -> Batch:
        """The inputs `which` (places among `rows`), as Pairs.batch gives them."""
        ecg, second, mask = self.pairs.batch(self.rows[which])
        return ecg, second, mask & (not self.hidden)
