"""A recording, and the dataset that it comes from.

Every reader gives the same two things: a table with one row a recording, and a way to read one
recording as millivolts. Leads are found by their names. In a 9-lead ZZU record position 7 is V3,
in a 12-lead one it is V2, so a position says nothing.
"""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.errors import PecgError

TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
NINE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V3", "V5")
UNKNOWN = "unknown"  # a patient or a sex that the release does not give
# The columns of every dataset's table. source: who recorded it. fs: the rate it should have, Hz.
# path: without suffix, relative to the root.
TABLE = (
    "record",
    "patient",
    "source",
    "age_days",
    "sex",
    "fs",
    "n_leads",
    "n_samples",
    "path",
)
_CANONICAL = {lead.upper(): lead for lead in TWELVE_LEADS}


def lead_name(name: str) -> str:
    """The usual spelling of a lead: `AVR` and `avr` are `aVR`. Other channels keep their names."""
    return _CANONICAL.get(name.strip().upper(), name.strip())


@dataclass(frozen=True)
class Recording:
    """One WFDB record.

    signal: (samples, leads) float32, mV. fs: Hz. leads: their names, in the signal's order.
    age_days: NaN when unknown. sex: "male", "female" or "unknown". labels: the codes it carries.
    """

    signal: npt.NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    record: str
    patient: str
    age_days: float = float("nan")
    sex: str = "unknown"
    labels: tuple[str, ...] = ()

    def take(self, leads: Sequence[str]) -> npt.NDArray[np.float32]:
        """The signal of `leads`, by name: (samples, len(leads)) float32, mV.

        Raises PecgError when one is not there.
        """
        missing = [lead for lead in leads if lead not in self.leads]
        if missing:
            raise PecgError(
                f"Recording {self.record} has no lead {', '.join(missing)}; "
                f"it has {', '.join(self.leads)}."
            )
        if tuple(leads) == self.leads:
            return self.signal
        return np.take(self.signal, [self.leads.index(lead) for lead in leads], axis=1)


@dataclass(frozen=True)
class Dataset:
    """A folder of recordings, opened.

    table: one row a recording, with the columns of TABLE and whatever else the release knows, as
    fold. labels: (recordings, classes) bool, its columns the label codes. label_names: code to
    words.
    kind: "twin", "subset" or "full". tables: the files that the table was made from.
    """

    name: str
    root: Path
    kind: str
    table: pd.DataFrame
    labels: pd.DataFrame
    label_names: dict[str, str]
    tables: tuple[Path, ...]
    _read: Callable[
        [Path, int, int | None], tuple[npt.NDArray[np.float32], float, tuple[str, ...]]
    ] = field(repr=False)

    def path(self, row: int) -> Path:
        """Where recording `row` lies, without its suffix. Raises PecgError outside the folder."""
        named = Path(str(self._rows[row]["path"]))
        if not named.name or named.is_absolute() or ".." in named.parts:
            raise PecgError(
                f"unreadable: {self.tables[0].name} names the file '{named}', "
                f"which is not inside {self.root}"
            )
        return self.root / named

    def read(self, row: int, start: float = 0.0, seconds: float | None = None) -> Recording:
        """Recording `row` in mV, or its `seconds` from `start` (s) on, as far as it goes.

        Raises PecgError, with the reason, when it cannot be read.
        """
        first = round(start * self.rate(row)) if start else 0
        last = None if seconds is None else first + round(seconds * self.rate(row))
        signal, fs, leads = self._read(self.path(row), first, last)
        about = self._rows[row]
        return Recording(
            signal=signal,
            fs=fs,
            leads=tuple(lead_name(lead) for lead in leads),
            record=str(about["record"]),
            patient=str(about["patient"]),
            age_days=float(about["age_days"]),
            sex=str(about["sex"]),
            labels=tuple(self.labels.columns[self._flags[row]]),
        )

    def rate(self, row: int) -> float:
        """The sampling rate, Hz, that recording `row` should have."""
        return float(self._rows[row]["fs"])

    @cached_property
    def _rows(self) -> list[dict[Hashable, Any]]:  # a cell of a table takes pandas 10 µs each time
        rows: list[dict[Hashable, Any]] = self.table.to_dict("records")
        return rows

    @cached_property
    def _flags(self) -> npt.NDArray[np.bool_]:
        flags: npt.NDArray[np.bool_] = self.labels.to_numpy(dtype=bool)
        return flags

    def only(self, keep: npt.NDArray[np.bool_]) -> "Dataset":
        """The same dataset with the recordings where `keep` (recordings,) is true."""
        return Dataset(
            name=self.name,
            root=self.root,
            kind=self.kind,
            table=self.table[keep].reset_index(drop=True),
            labels=self.labels[keep].reset_index(drop=True),
            label_names=self.label_names,
            tables=self.tables,
            _read=self._read,
        )


def people(table: pd.DataFrame) -> pd.Series:
    """Whom each row of `table` is of, as far as it is known: the patient, or else its proxy.

    The proxy joins recordings that may be of one patient; without either, the recording itself.
    """
    if (table["patient"] != UNKNOWN).all():
        return table["patient"]
    stand_in = table["proxy"] if "proxy" in table.columns else "recording " + table["record"]
    return table["patient"].where(table["patient"] != UNKNOWN, stand_in)


def sites(table: pd.DataFrame) -> pd.Series:
    """Where each row of `table` was recorded: the site, or the source where none is named."""
    return table["site" if "site" in table.columns else "source"]


def kind_of(root: Path, name: str, whole: bool) -> str:
    """Say "twin" where twin.json marks the folder as one of `name`, else "full" or "subset".

    whole: whether there are as many recordings as in the release.
    Raises PecgError for a twin of another dataset, or a mark that cannot be read.
    """
    mark = root / "twin.json"
    if not mark.is_file():
        return "full" if whole else "subset"
    try:
        twin_of = dict(json.loads(mark.read_text(encoding="utf-8"))).get("twin_of")
    except (OSError, ValueError, TypeError) as error:
        raise PecgError(f"{mark} cannot be read ({error}); write the twin again.") from error
    if twin_of != name:
        raise PecgError(f"{root} holds a twin of another dataset; see its twin.json.")
    return "twin"


def read_table(path: Path, needed: Sequence[str], dataset: str) -> pd.DataFrame:
    """A release's CSV as strings, with the columns that are needed.

    Raises PecgError when it is missing, unreadable, empty or lacks a column.
    """
    if not path.is_file():
        raise PecgError(
            f"{path.parent} is no {dataset} folder: it has no {path.name}. "
            "Give the folder that holds the release's own files."
        )
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        raise PecgError(
            f"{path} could not be read as a table: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of what is too much
        raise PecgError(f"{path} has more cells in its rows than columns in its first line.")
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise PecgError(
            f"{path} has no column {', '.join(repr(c) for c in missing)}; it has "
            f"{', '.join(repr(str(c)) for c in table.columns)}."
        )
    if table.empty:
        raise PecgError(f"{path} lists no recording.")
    return table
