"""PE-HSM: 12-lead recordings of adults, with and without pulmonary embolism. A private set.

| what | |
| --- | --- |
| source | Hospital de Santa Maria, Lisbon; Marques and Oliveira 2025, arXiv 2503.08960 |
| identifiers | none: the set was never published |
| licence | none: nobody outside the hospital can have it |
| size | 927 recordings |
| signal | 12 leads, 10 s |
| labels | one: pulmonary embolism or not |
| files | `recordings.csv`, `records/0001.hea` and `.dat` |

**What to know before using it**

- The set is private, and the form of the folder is this project's own: a hospital can put its own
  data into it. Anything else here is a twin, and no result from it stands for the paper's. Own
  data count as a subset, however many they are, so that no claim of the paper is judged on them.
- `recordings.csv` has the columns `record`, `patient`, `age`, `sex` and `pe`. A record is a WFDB
  record of that name in `records`, at any rate. Ages are in years and become days here, at 365.25 a
  year. Sex is `male` or `female`, or their first letters. `pe` is 1 with an embolism and 0 without.
- A patient, an age or a sex that is not known stays empty. Without patients a patient split is
  refused.
- An embolism changes an ECG little and in some patients only: heart rate, frontal axis, the right
  chest leads' T waves. Age and sex alone may tell the groups apart.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pecg_utils import progress
from pecg_utils.data import wfdb16
from pecg_utils.data.recording import UNKNOWN, Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 500.0  # Hz, where a header cannot be read
LABELS = {"PE": "Pulmonary embolism"}
_COLUMNS = ["record", "patient", "age", "sex", "pe"]
_SEX = {"male": "male", "female": "female", "m": "male", "f": "female"}


def open_folder(root: Path) -> Dataset:
    """The set or a part of it, from the folder that holds recordings.csv.

    Raises PecgError when the table is missing or lacks a column, a record stands in it twice, or
    `pe` is neither 0 nor 1.
    """
    listed = root / "recordings.csv"
    raw = read_table(listed, _COLUMNS, "PE-HSM")
    cells = raw[_COLUMNS].apply(lambda column: column.str.strip())
    if wrong := [(k, cell) for k, cell in enumerate(cells["pe"]) if cell not in ("0", "1")]:
        row, cell = wrong[0]
        raise PecgError(f"{listed}, row {row + 2}: pe is {cell!r}; it has to be 0 or 1.")
    again = cells["record"][cells["record"].duplicated()]
    if len(again):
        raise PecgError(
            f"{listed} lists the record {again.iloc[0]!r} more than once; each recording needs a "
            "record of its own."
        )
    paths = "records/" + cells["record"]
    counts = [_counts(root / path) for path in progress.track(paths, len(paths), "reading headers")]
    years = pd.to_numeric(cells["age"], errors="coerce").astype(float)
    table = pd.DataFrame(
        {
            "record": cells["record"],
            "patient": cells["patient"].where(cells["patient"] != "", UNKNOWN),
            "source": "pe",
            "age_days": years.where(years.between(0, 150)) * 365.25,
            "sex": cells["sex"].str.lower().map(_SEX).fillna(UNKNOWN),
            "fs": [fs for fs, _, _ in counts],
            "n_leads": [leads for _, leads, _ in counts],
            "n_samples": [samples for _, _, samples in counts],
            "path": paths,
        }
    )
    return Dataset(
        name="pe",
        root=root,
        kind=kind_of(root, "pe", whole=False),  # whatever is here, it is not the paper's set
        table=table,
        labels=pd.DataFrame({"PE": cells["pe"] == "1"}),
        label_names=LABELS,
        tables=(listed,),
        _read=wfdb16.read,
    )


def _counts(path: Path) -> tuple[float, int, float]:
    """fs, leads and samples that a header announces; FS, 12 and NaN where it cannot be read.

    Reading the recording will say why.
    """
    unknown = (FS, 12, np.nan)
    if ".." in path.parts:  # out of the folder, perhaps
        return unknown
    try:
        header = wfdb16.read_header(path)
    except PecgError:
        return unknown
    if header is not None:
        return header.fs, len(header.leads), header.n_samples
    fs, leads, samples = wfdb16.announced(path)  # a form that wfdb must read
    return unknown if np.isnan(fs) else (fs, leads, samples)
