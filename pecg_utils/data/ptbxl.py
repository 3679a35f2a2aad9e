"""PTB-XL: 12-lead recordings of adults with report statements and published folds.

| what | |
| --- | --- |
| source | Wagner et al. 2020, *PTB-XL, a large publicly available electrocardiography dataset* |
| identifiers | PhysioNet, doi 10.13026/kfzx-aw45 |
| licence | CC BY 4.0 |
| size | version 1.0.3: 21,799 recordings of 18,869 patients |
| signal | 12 leads, 10 s, at 500 Hz (`records500`) and 100 Hz (`records100`), WFDB format 16 |
| labels | 71 SCP-ECG statements; 44 diagnostic ones fall into five superclasses |
| folds | 1 to 10, no patient in two; 9 and 10 were read by a cardiologist |

**What to know before using it**

- The five superclasses are NORM, MI, STTC, CD and HYP. A recording can carry several, and 411
  carry none.
- Statements have a likelihood. As in the dataset's own example, a diagnostic statement counts
  whatever its likelihood.
- Ages are in years and become days here, at 365.25 a year. An age of 300 hides one above 89.
- In `sex`, 0 is male and 1 is female.
- Releases before 1.0.3 hold duplicates; 456 and 457 have the same samples, and so have 459
  and 460.
"""

import ast
from pathlib import Path

import numpy as np
import pandas as pd

from pecg_utils.data import wfdb16
from pecg_utils.data.recording import Dataset, read_table
from pecg_utils.errors import PecgError

FS = 500.0
SUPERCLASSES = {
    "NORM": "Normal ECG",
    "MI": "Myocardial infarction",
    "STTC": "ST/T change",
    "CD": "Conduction disturbance",
    "HYP": "Hypertrophy",
}
RELEASE_RECORDINGS = (21_799, 21_837)  # 1.0.3, and 1.0.1 that the Challenge copied
_COLUMNS = ["ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", "filename_hr"]


def open_folder(root: Path) -> Dataset:
    """The release or a part of it, from the folder that holds ptbxl_database.csv.

    The labels are the five superclasses; the signal is the 500 Hz one.
    Raises PecgError when the folder is no PTB-XL folder or a needed column is missing.
    """
    database = root / "ptbxl_database.csv"
    statements = root / "scp_statements.csv"
    raw = read_table(database, _COLUMNS, "PTB-XL")
    years = pd.to_numeric(raw["age"], errors="coerce")
    folds = pd.to_numeric(raw["strat_fold"], errors="coerce")
    table = pd.DataFrame(
        {
            "record": raw["ecg_id"],
            "patient": raw["patient_id"].str.replace(r"\.0$", "", regex=True),
            "age_days": years.where(years < 300) * 365.25,
            "sex": raw["sex"].map({"0": "male", "1": "female"}).fillna("unknown"),
            "source": "ptbxl",
            "fs": FS,
            "n_leads": 12,
            "n_samples": 5000,
            "path": raw["filename_hr"],
            "fold": folds.where(folds.between(1, 10), 0).astype(int),  # 0: none is given
        }
    )
    return Dataset(
        name="ptbxl",
        root=root,
        kind="full" if len(table) in RELEASE_RECORDINGS else "subset",
        table=table,
        labels=_superclasses(raw["scp_codes"], statements, database),
        label_names=SUPERCLASSES,
        tables=(database, statements),
        _read=wfdb16.read,
    )


def _superclasses(cells: pd.Series, statements: Path, database: Path) -> pd.DataFrame:
    listed = read_table(statements, ["diagnostic", "diagnostic_class"], "PTB-XL")
    listed.index = pd.Index(listed.iloc[:, 0])  # the statement's name is the unnamed first column
    diagnostic = listed[pd.to_numeric(listed["diagnostic"], errors="coerce") == 1.0]
    classes = diagnostic["diagnostic_class"].to_dict()
    flags = np.zeros((len(cells), len(SUPERCLASSES)), dtype=bool)
    order = {name: column for column, name in enumerate(SUPERCLASSES)}
    for row, cell in enumerate(cells):
        try:
            carried = dict(ast.literal_eval(cell))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise PecgError(
                f"{database}, row {row + 2}: scp_codes is no table of statements: {cell!r}."
            ) from error
        for statement in carried:
            if classes.get(statement) in order:
                flags[row, order[classes[statement]]] = True
    return pd.DataFrame(flags, columns=list(SUPERCLASSES))
