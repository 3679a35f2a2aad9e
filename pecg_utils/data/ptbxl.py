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
| files | `ptbxl_database.csv`, `scp_statements.csv`, `records500/00000/00001_hr.hea` and `.dat` |

**What to know before using it**

- The five superclasses are NORM, MI, STTC, CD and HYP. A recording can carry several, and 411
  carry none.
- Statements have a likelihood, 0 where none is given. As in the dataset's own example, a statement
  counts whatever its likelihood; `likelihoods` keeps them.
- There are six tasks: all 71 statements, 44 diagnostic ones, their 23 subclasses and 5
  superclasses, 19 form statements and 12 rhythm statements. Four statements are diagnostic and
  form at once.
- A seventh task, `right`, is *ours* and no one's published one: a single label, on a recording with
  at least one statement of the right heart, CRBBB, IRBBB, RVH or RAO/RAE. Few carry it, and it can
  be subtle. It is what an open dataset can offer in the place of the private set of pulmonary
  embolisms, which strain the right heart, and says nothing of embolisms. `definition` counts it.
- Ages are in years and become days here, at 365.25 a year. An age of 300 hides one above 89.
- In `sex`, 0 is male and 1 is female.
- Releases before 1.0.3 hold duplicates. Among the first 500 recordings five pairs have the same
  samples: 137 and 138, 143 and 144, 456 and 457, 459 and 460, and 145 and 463, which stand under
  two patients.
"""

import ast
from pathlib import Path

import pandas as pd

from pecg_utils.data import wfdb16
from pecg_utils.data.recording import Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 500.0
SUPERCLASSES = {
    "NORM": "Normal ECG",
    "MI": "Myocardial infarction",
    "STTC": "ST/T change",
    "CD": "Conduction disturbance",
    "HYP": "Hypertrophy",
}
TASKS = ("all", "diagnostic", "sub", "super", "form", "rhythm")
RIGHT = "right"  # the task of our own
RIGHT_STATEMENTS = ("CRBBB", "IRBBB", "RVH", "RAO/RAE")
RIGHT_LABELS = {"RIGHT": "A statement of the right heart"}
_PATHS = {500.0: "filename_hr", 100.0: "filename_lr"}
RELEASE_RECORDINGS = (21_799, 21_837)  # 1.0.3, and 1.0.1 that the Challenge copied
_COLUMNS = ["ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold"]


def open_folder(root: Path, task: str = "super", fs: float = FS) -> Dataset:
    """The release or a part of it, from the folder that holds ptbxl_database.csv.

    task: one of TASKS or RIGHT, what the labels are. fs: 500 or 100 Hz, which of the two signals
    is read.
    Raises PecgError when the folder is no PTB-XL folder, a needed column is missing, or there is
    no such task or rate.
    """
    if task not in (*TASKS, RIGHT) or fs not in _PATHS:
        raise PecgError(
            f"PTB-XL has the tasks {', '.join((*TASKS, RIGHT))} at 500 or 100 Hz, not {task!r} at "
            f"{fs:g} Hz."
        )
    database = root / "ptbxl_database.csv"
    statements = root / "scp_statements.csv"
    raw = read_table(database, [*_COLUMNS, _PATHS[fs]], "PTB-XL")
    years = pd.to_numeric(raw["age"], errors="coerce")
    folds = pd.to_numeric(raw["strat_fold"], errors="coerce")
    table = pd.DataFrame(
        {
            "record": raw["ecg_id"],
            "patient": raw["patient_id"].str.replace(r"\.0$", "", regex=True),
            "age_days": years.where(years < 300) * 365.25,
            "sex": raw["sex"].map({"0": "male", "1": "female"}).fillna("unknown"),
            "source": "ptbxl",
            "fs": fs,
            "n_leads": 12,
            "n_samples": round(10 * fs),
            "path": raw[_PATHS[fs]],
            "fold": folds.where(folds.between(1, 10), 0).astype(int),  # 0: none is given
        }
    )
    listed = _statements(statements)
    carried = _carried(raw["scp_codes"], database)
    names = label_names(listed, task)
    labels = [{listed[code].get(task, "") for code in cell if code in listed} for cell in carried]
    return Dataset(
        name="ptbxl",
        root=root,
        kind=kind_of(root, "ptbxl", len(table) in RELEASE_RECORDINGS),
        table=table,
        labels=pd.DataFrame({name: [name in cell for cell in labels] for name in names}),
        label_names=names,
        tables=(database, statements),
        _read=wfdb16.read,
    )


def likelihoods(root: Path) -> pd.DataFrame:
    """The likelihood in % of every statement of every recording, (recordings, statements).

    NaN where a recording does not carry a statement; 0 where it does and none is given.
    """
    database = root / "ptbxl_database.csv"
    raw = read_table(database, _COLUMNS, "PTB-XL")
    carried = _carried(raw["scp_codes"], database)
    names = list(_statements(root / "scp_statements.csv"))
    table = pd.DataFrame([{name: cell.get(name) for name in names} for cell in carried])
    return table.astype(float).set_index(raw["ecg_id"])


def definition(dataset: Dataset) -> pd.DataFrame:
    """What the task `right` is made of, in the recordings of `dataset`, PTB-XL at any task.

    One row a statement, of which a recording may carry several, and a last one for the label
    itself. Columns: statement, words, recordings, patients.
    """
    listed = _statements(dataset.root / "scp_statements.csv")
    rated = likelihoods(dataset.root).reindex(columns=list(RIGHT_STATEMENTS))
    carried = rated.loc[dataset.table["record"]].notna()  # (recordings, 4)
    flags = {name: carried[name].to_numpy() for name in RIGHT_STATEMENTS}
    flags["any of them"] = carried.any(axis=1).to_numpy()
    rows = []
    for name, flag in flags.items():
        words = listed[name]["words"] if name in listed else RIGHT_LABELS["RIGHT"]
        people = dataset.table["patient"][flag].nunique()
        rows.append((name, words, int(flag.sum()), int(people)))
    return pd.DataFrame(rows, columns=["statement", "words", "recordings", "patients"])


def label_names(listed: dict[str, dict[str, str]], task: str) -> dict[str, str]:
    """The labels of `task`, code to words, in the order of scp_statements.csv."""
    if task == "super":
        return SUPERCLASSES
    if task == RIGHT:
        return RIGHT_LABELS
    found = (of_one[task] for of_one in listed.values() if task in of_one)
    words = {name: name if task == "sub" else listed[name]["words"] for name in found}
    return dict(sorted(words.items())) if task == "sub" else words


def _statements(path: Path) -> dict[str, dict[str, str]]:
    """What scp_statements.csv says of each statement: its words, and its label in each task."""
    needed = ["description", "diagnostic", "form", "rhythm", "diagnostic_class"]
    table = read_table(path, [*needed, "diagnostic_subclass"], "PTB-XL")
    listed = {}
    for row in table.to_dict("records"):
        name = str(next(iter(row.values())))  # the statement is the unnamed first column
        of_one = {"words": str(row["description"]), "all": name}
        for task in ("diagnostic", "form", "rhythm"):
            if pd.to_numeric(row[task], errors="coerce") == 1.0:
                of_one[task] = name
        if "diagnostic" in of_one:
            of_one |= {
                "super": str(row["diagnostic_class"]),
                "sub": str(row["diagnostic_subclass"]),
            }
        if name in RIGHT_STATEMENTS:
            of_one[RIGHT] = next(iter(RIGHT_LABELS))
        listed[name] = of_one
    return listed


def _carried(cells: pd.Series, database: Path) -> list[dict[str, float]]:
    """The statements of each recording with their likelihoods."""
    carried = []
    for row, cell in enumerate(cells):
        try:
            carried.append({str(k): float(v) for k, v in dict(ast.literal_eval(cell)).items()})
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise PecgError(
                f"{database}, row {row + 2}: scp_codes is no table of statements: {cell!r}."
            ) from error
    return carried
