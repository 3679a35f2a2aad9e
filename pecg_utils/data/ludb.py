"""LUDB: 12-lead recordings with the waves of every lead marked by hand.

| what | |
| --- | --- |
| source | Kalyakulina et al. 2020, IEEE Access 8:186181 |
| identifiers | PhysioNet ludb 1.0.1, doi 10.13026/eegm-h675 |
| licence | ODC-By 1.0 |
| size | 200 recordings of 200 subjects of 11 to 90 years |
| signal | 12 leads, 10 s at 500 Hz, WFDB format 16 |
| labels | rhythm, axis, conduction, extrasystoles, hypertrophy, pacing, ischaemia, repolarisation |
| marks | onset, peak and end of P, QRS and T, in each lead by itself |

**What to know before using it**

- Lead names are in lower case; they get their usual spelling.
- A cell of `ludb.csv` can hold several statements, one a line, and sex and age end in a line break.
- Where a statement says where or of what kind (`Ischemia: inferior wall`), the label is what comes
  before the colon or comma. The axis is kept whole.
- An age of `>89` is unknown here.
- Not every QRS complex has a P and a T marked, and a few have no onset.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data import wfdb16
from pecg_utils.data.recording import UNKNOWN, Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 500.0
RELEASE_RECORDINGS = 200
_WHOLE = ("Rhythms", "Conduction abnormalities", "Hypertrophies", "Other states")
_AXIS = "Electric axis of the heart"
_CUT = (
    "Extrasystolies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
)
_STATEMENTS = (
    "Sinus rhythm",
    "Sinus bradycardia",
    "Sinus tachycardia",
    "Sinus arrhythmia",
    "Irregular sinus rhythm",
    "Atrial fibrillation",
    "Atrial flutter, typical",
    "Wandering atrial pacemaker",
    "Aberrant conduction",
    "Axis: normal",
    "Axis: left axis deviation",
    "Axis: right axis deviation",
    "Axis: vertical",
    "Axis: horizontal",
    "I degree av block",
    "Iii degree av-block",
    "Sinoatrial blockade, undefined",
    "Incomplete right bundle branch block",
    "Complete right bundle branch block",
    "Incomplete left bundle branch block",
    "Complete left bundle branch block",
    "Left anterior hemiblock",
    "Non-specific intravintricular conduction delay",
    "Ventricular extrasystole",
    "Atrial extrasystole",
    "Left ventricular hypertrophy",
    "Left atrial hypertrophy",
    "Right ventricular hypertrophy",
    "Right atrial hypertrophy",
    "Left ventricular overload",
    "Left atrial overload",
    "Right atrial overload",
    "Pacemaker presence",
    "Unipolar ventricular pacing",
    "Unipolar atrial pacing",
    "Bipolar ventricular pacing",
    "Biventricular pacing",
    "P-synchrony",
    "Ischemia",
    "Scar formation",
    "Stemi",
    "Undefined ischemia/scar/supp.nstemi",
    "Non-specific repolarization abnormalities",
    "Early repolarization syndrome",
)
LABELS = {statement: statement for statement in _STATEMENTS}
WAVES = {"p": "P", "N": "QRS", "t": "T"}  # WFDB's symbols


def open_folder(root: Path) -> Dataset:
    """The release or a part of it, from the folder that holds ludb.csv.

    Raises PecgError when the folder is no LUDB folder or a needed column is missing.
    """
    listed = root / "ludb.csv"
    raw = read_table(listed, ["ID", "Sex", "Age", _AXIS, *_WHOLE, *_CUT], "LUDB")
    years = pd.to_numeric(raw["Age"].str.strip(), errors="coerce")
    table = pd.DataFrame(
        {
            "record": raw["ID"],
            "patient": raw["ID"],
            "source": "ludb",
            "age_days": years * 365.25,
            "sex": raw["Sex"].str.strip().map({"M": "male", "F": "female"}).fillna(UNKNOWN),
            "fs": FS,
            "n_leads": 12,
            "n_samples": 5000,
            "path": "data/" + raw["ID"],
        }
    )
    carried = [statements(row) for row in raw.to_dict("records")]
    return Dataset(
        name="ludb",
        root=root,
        kind=kind_of(root, "ludb", len(table) == RELEASE_RECORDINGS),
        table=table,
        labels=pd.DataFrame({name: [name in of_one for of_one in carried] for name in LABELS}),
        label_names=LABELS,
        tables=(listed,),
        _read=wfdb16.read,
    )


def statements(row: dict[str, str]) -> set[str]:
    """The labels in one row of ludb.csv, those included that LABELS does not list."""
    found = {line for column in _WHOLE for line in _lines(row[column])}
    found |= {"Axis: " + line.partition(": ")[2] for line in _lines(row[_AXIS])}
    return found | {re.split("[:,]", line)[0] for column in _CUT for line in _lines(row[column])}


def _lines(cell: str) -> list[str]:
    return [line.strip() for line in cell.splitlines() if line.strip()]


def marks(path: Path, lead: str) -> pd.DataFrame:
    """The waves marked in `lead` of the record at `path` (no suffix): wave, onset, peak, end.

    wave is "P", "QRS" or "T"; the others are sample numbers, and onset or end is <NA> where it is
    not marked. Raises PecgError when the lead's file is missing or damaged.
    """
    read = wfdb16.annotations(path, lead.lower())
    sample, symbol = read["sample"].to_numpy(), read["symbol"].to_numpy(object)
    at = np.flatnonzero(np.isin(symbol, list(WAVES)))
    if not len(at):
        raise PecgError(f"unreadable: {path.name}.{lead.lower()} marks no wave")
    onset = _where(sample, symbol, at - 1, "(")
    end = _where(sample, symbol, at + 1, ")")
    peak = pd.array(sample[at], dtype="Int64")
    names = [WAVES[sign] for sign in symbol[at]]
    return pd.DataFrame({"wave": names, "onset": onset, "peak": peak, "end": end})


def _where(
    sample: npt.NDArray[np.int64],
    symbol: npt.NDArray[np.object_],
    at: npt.NDArray[np.intp],
    sign: str,
) -> pd.arrays.IntegerArray:
    """The samples of the annotations `at` (n,), <NA> where there is none or it is no `sign`."""
    inside = at.clip(0, len(sample) - 1)
    missing = (inside != at) | (symbol[inside] != sign)
    return pd.arrays.IntegerArray(sample[inside], missing)
