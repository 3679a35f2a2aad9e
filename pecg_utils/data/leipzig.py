"""Leipzig Heart Center: surface ECG and intracardiac electrograms of children and adults.

| what | |
| --- | --- |
| source | Klingel et al. 2024, *Leipzig Heart Center ECG-Database* |
| identifiers | PhysioNet leipzig-heart-center-ecg 1.0.0, doi 10.13026/7a4j-vn37 |
| licence | ODC-By 1.0 |
| size | 39 recordings, one a patient: 29 children, 10 adults with repaired tetralogy; 18.45 h |
| signal | 977 Hz, 14 to 20 channels, WFDB format 24; 78 s to 2 h 30 min |
| labels | the rhythms that a recording holds; every beat and every change of rhythm is annotated |
| files | `children-subject-info.csv`, `adults-subject-info.csv`, `x001.hea`, `.dat` and `.atr` |

**What to know before using it**

- Channels 0 to 11 are the 12 ECG leads. The others differ in number and order between recordings
  and are found by name: `ABL12 ABL_uni RVA12 CS12 CS34 CS56 CS78 CS90`. `ART` is the arterial
  pressure and no electrogram.
- Two annotation codes are the dataset's own: 42 is `X`, a beat of a tachycardia, whose mechanism
  is in the annotation's text; 43 is `b`. A `+` begins a rhythm, which its text names.
- Atrial flutter and ectopic atrial tachycardia occur in one recording each: to test them is to
  recognise a patient. Every 14-channel recording is an adult's, so that the mere presence of
  channels tells patients apart.
- An age is written `.14.3`, and one column is spelled `ap_loacation`.
- A recording is too long to be read whole: `dataset.read(row, start, seconds)` reads a stretch.
- What the rhythms `A`, `B` and `J` stand for was not spelled out in what was at hand.
- `segments.py` cuts its spans of one rhythm into windows of 2 s of both signals, and says of every
  second that is in none why it is not.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from pecg_utils.data import wfdb16
from pecg_utils.data.recording import UNKNOWN, Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 977.0
RELEASE_RECORDINGS = 39
ELECTROGRAMS = ("ABL12", "ABL_uni", "RVA12", "CS12", "CS34", "CS56", "CS78", "CS90")
CODES = {42: "X", 43: "b"}
LABELS = {
    "N": "Sinus rhythm",
    "A": "Rhythm marked A",
    "J": "Rhythm marked J",
    "B": "Rhythm marked B",
    "VT": "Ventricular tachycardia",
    "IVR": "Idioventricular rhythm",
    "AVRT": "Atrioventricular re-entrant tachycardia",
    "AVNRT": "Atrioventricular nodal re-entrant tachycardia",
    "AFIB": "Atrial fibrillation",
    "AFL": "Atrial flutter",
    "EAT": "Ectopic atrial tachycardia",
    "/A": "Atrial pacing",
    "/V": "Ventricular pacing",
}
_INFO = {"children": "children-subject-info.csv", "adults": "adults-subject-info.csv"}
_COLUMNS = ["file_name", "gender", "age", "diagnosis"]


def open_folder(root: Path) -> Dataset:
    """The release, a part of it or its twin, from the folder that holds the two subject tables.

    Raises PecgError when neither is there, or one lacks a needed column.
    """
    tables = {group: root / name for group, name in _INFO.items() if (root / name).is_file()}
    if not tables:
        raise PecgError(
            f"{root} is no Leipzig folder: it has neither {' nor '.join(_INFO.values())}. Give the "
            "folder that holds the release's own files."
        )
    parts = [
        read_table(path, _COLUMNS, "Leipzig").assign(group=group) for group, path in tables.items()
    ]
    raw = pd.concat(parts, ignore_index=True).fillna("")
    counts = [wfdb16.announced(root / name) for name in raw["file_name"]]
    location = raw["ap_loacation"] if "ap_loacation" in raw else pd.Series("", raw.index)
    table = pd.DataFrame(
        {
            "record": raw["file_name"],
            "patient": raw["file_name"],
            "source": raw["group"],
            "age_days": raw["age"].map(age_in_years) * 365.25,
            "sex": raw["gender"].str.strip().map({"M": "male", "F": "female"}).fillna(UNKNOWN),
            "fs": [FS if np.isnan(fs) else fs for fs, _, _ in counts],
            "n_leads": [leads for _, leads, _ in counts],
            "n_samples": [samples for _, _, samples in counts],
            "path": raw["file_name"],
            "diagnosis": raw["diagnosis"],
            "pathway": location,
        }
    )
    held = [_held(root / name) for name in raw["file_name"]]
    return Dataset(
        name="leipzig",
        root=root,
        kind=kind_of(root, "leipzig", len(table) == RELEASE_RECORDINGS),
        table=table,
        labels=pd.DataFrame({name: [name in of_one for of_one in held] for name in LABELS}),
        label_names=LABELS,
        tables=(*tables.values(), *(root / f"{name}.atr" for name in raw["file_name"])),
        _read=wfdb16.read,
    )


def age_in_years(cell: str) -> float:
    """`6.6` is 6.6, and `.14.3` is 14.3, as one child's age is written. NaN for anything else."""
    match = re.fullmatch(r"\.?(\d+(?:\.\d*)?)", cell.strip())
    return float(match[1]) if match else float("nan")


def annotations(path: Path) -> pd.DataFrame:
    """Every annotation of the record at `path` (no suffix): sample, symbol and aux.

    Raises PecgError, beginning with "missing:" or "unreadable:", when they cannot be read.
    """
    return wfdb16.annotations(path, "atr", CODES)


def rhythms(annotated: pd.DataFrame, n_samples: int) -> pd.DataFrame:
    """The stretches of one rhythm: start and end (samples, the end excluded) and rhythm.

    annotated: as `annotations` gives it. What comes before the first `+` has no rhythm and is left
    out, and so is a stretch without a sample.
    """
    changes = annotated[annotated["symbol"] == "+"]
    begins = changes["sample"].to_numpy()
    spans = pd.DataFrame(
        {
            "start": begins,
            "end": np.minimum(np.append(begins, n_samples)[1:], n_samples).astype(np.int64),
            "rhythm": changes["aux"].str.removeprefix("(").to_numpy(),
        }
    )
    return spans[spans["end"] > spans["start"]].reset_index(drop=True)


def _held(path: Path) -> set[str]:
    try:
        found = annotations(path)
    except PecgError:  # quality.py names a recording that cannot be read
        return set()
    return set(found.loc[found["symbol"] == "+", "aux"].str.removeprefix("("))
