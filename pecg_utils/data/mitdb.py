"""MIT-BIH Arrhythmia: half-hour two-lead recordings with every beat annotated.

| what | |
| --- | --- |
| source | Moody and Mark 2001, IEEE Engineering in Medicine and Biology 20:45 |
| identifiers | PhysioNet mitdb 1.0.0, doi 10.13026/C2F305 |
| licence | ODC-By 1.0 |
| size | 48 recordings of 47 patients, 30 min each |
| signal | 2 leads at 360 Hz, WFDB format 212; which leads differs |
| labels | the five beat classes of ANSI/AAMI EC57, and which of them a recording holds |

**What to know before using it**

- 201 and 202 are the same patient.
- The usual division puts 22 recordings in DS1 and 22 in DS2 (de Chazal et al. 2004) and leaves out
  the four with paced beats, 102, 104, 107 and 217. It is called a patient division, and yet patient
  201 stands on both sides. The column `division` gives it.
- `beat_windows.py` cuts one window a beat. The chapter on AGCACL reads it without the four paced
  recordings, which makes it a part of the release.
- Leads are found by name: 114 has V5 first and MLII second, 102 and 104 have no MLII.
- A beat is annotated at its R wave; rhythm changes and noise are other annotations and no beats.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data import wfdb16
from pecg_utils.data.recording import UNKNOWN, Dataset, kind_of
from pecg_utils.errors import PecgError

FS = 360.0
RELEASE_RECORDINGS = 48
LABELS = {
    "N": "Normal, bundle branch block or escape beat",
    "S": "Supraventricular ectopic beat",
    "V": "Ventricular ectopic beat",
    "F": "Fusion of a ventricular and a normal beat",
    "Q": "Paced, fusion of paced and normal, or not classified",
}
# ANSI/AAMI EC57, table of beat codes; the symbols are WFDB's.
AAMI = {
    **dict.fromkeys("NLRej", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VE", "V"),
    "F": "F",
    **dict.fromkeys("/fQ", "Q"),
}
PACED = ("102", "104", "107", "217")
DS1 = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
_SAME_PATIENT = {"202": "201"}
_PERSON = re.compile(r"#\s*(-?\d+)\s+([MF])\b")


def open_folder(root: Path, paced: bool = True) -> Dataset:
    """The release or a part of it, from the folder that holds 100.hea and the others.

    paced: with the four recordings of paced beats; without them it is a part of the release.
    The labels say which beat classes a recording holds.
    Raises PecgError when no record of the release is there, or none but what is left out.
    """
    found = sorted(h for h in root.glob("*.hea") if re.fullmatch(r"[12]\d\d", h.stem))
    if not found:
        raise PecgError(
            f"{root} is no MIT-BIH folder: it has no header such as 100.hea. Give the folder that "
            "holds the release's own files."
        )
    headers = [header for header in found if paced or header.stem not in PACED]
    if not headers:
        raise PecgError(
            f"{root} holds recordings of paced beats alone ({', '.join(h.stem for h in found)}), "
            "and these are left out here. Give a folder that holds others of the release too."
        )
    rows, held = [], []
    for header in headers:
        fs, n_leads, n_samples = wfdb16.announced(header.with_suffix(""))
        age, sex = _person(header)
        rows.append(
            {
                "record": header.stem,
                "patient": _SAME_PATIENT.get(header.stem, header.stem),
                "source": "mitdb",
                "age_days": age,
                "sex": sex,
                "fs": fs,
                "n_leads": n_leads,
                "n_samples": n_samples,
                "path": header.stem,
                "division": _division(header.stem),
            }
        )
        try:
            held.append(set(beats(header.with_suffix(""))["aami"]))
        except PecgError:  # reading the recording will say why
            held.append(set())
    return Dataset(
        name="mitdb",
        root=root,
        kind=kind_of(root, "mitdb", len(rows) == RELEASE_RECORDINGS),
        table=pd.DataFrame(rows),
        labels=pd.DataFrame({label: [label in of_one for of_one in held] for label in LABELS}),
        label_names=LABELS,
        tables=tuple(header.with_suffix(".atr") for header in headers),
        _read=_read,
    )


def _read(
    path: Path, first: int = 0, last: int | None = None
) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    """As wfdb16.read, and refused when the beats cannot be read: without them it has no label."""
    beats(path)
    return wfdb16.read(path, first, last)


def beats(path: Path) -> pd.DataFrame:
    """The beats of the record at `path` (no suffix): sample, symbol (WFDB's) and aami class.

    Raises PecgError when its .atr file is missing or damaged.
    """
    table = wfdb16.annotations(path, "atr")[["sample", "symbol"]]
    table["aami"] = table["symbol"].map(AAMI)
    return table.dropna(subset="aami").reset_index(drop=True)


def _division(record: str) -> str:
    if record in PACED:
        return "paced"
    return "DS1" if record in DS1 else "DS2"


def _person(header: Path) -> tuple[float, str]:
    """Age in days and sex, from the first comment: `# 69 M 1085 1629 x1`."""
    try:
        match = _PERSON.search(header.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        match = None
    if match is None:
        return np.nan, UNKNOWN
    years = int(match[1])
    return years * 365.25 if years >= 0 else np.nan, {"M": "male", "F": "female"}[match[2]]
