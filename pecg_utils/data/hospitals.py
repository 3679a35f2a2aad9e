"""Hospitals: the Challenge, PTB-XL and LUDB side by side, all with the Challenge's scored classes.

| what | |
| --- | --- |
| source | the releases that are put side by side: the Challenge of 2021, PTB-XL, LUDB |
| identifiers | those of the releases; this dataset was never published as one |
| licence | CC BY 4.0 (the Challenge, PTB-XL), ODC-By 1.0 (LUDB) |
| size | whole: 88,253, 21,799 and 200 recordings of eight sites |
| signal | 12 leads at 500 Hz, INCART at 257 and PTB at 1,000 Hz |
| labels | the 26 classes that the Challenge of 2021 scored |
| files | a folder whose subfolders hold at least two of the three, each as it was published |

**What to know before using it**

- It is for leaving one hospital out: a model trained at some sites and tested at another. The
  column `site` says where a recording was made. The Challenge's PTB-XL part and PTB-XL are one
  site, and so are the two parts that come from CPSC2018.
- The subfolders may have any names. Each release is found by its own files; other subfolders are
  left alone.
- What PTB-XL and LUDB state becomes a class only where the table of statements says that it is
  certain. PTB-XL's axes come from its column `heart_axis`, where there is one.
- A class that a release does not record counts as absent there. LUDB states no QT interval, so
  that none of its recordings is in `LQT`, whatever it shows; PTB-XL has no word for `PRWP`. A class
  can only be judged at a site that has recordings of it.
- The first ten recordings of the Challenge's PTB-XL part stand in PTB-XL too. In eight the table
  gives the classes that the Challenge's header gives. `HR00003` has `IAVB` and `HR00010` has `SA`
  in the header alone: neither PTB-XL's statements nor its report say so, and in `HR00003` PR
  measures 140 ms. Each release keeps its own word.
- PTB-XL's premature ventricular complexes are in `PVC|VPB`. PhysioNet gave them a code that is not
  scored, so that the same recordings lack the class in the Challenge.
- A recording that stands in two releases stays in both, under its own name in each. Windows carry a
  digest of the samples, by which a split keeps the two on one side.
- Names of recordings begin with the release, as `ludb-1`, and so do the patients'. PTB-XL names the
  patients of the Challenge's PTB-XL part as far as it lists them; no other recording of the
  Challenge names one. The column `proxy` is the patient where one is named.
- It is a twin if one of its parts is, and full only if all three are there and full. No patient
  is named in a twin of the Challenge, whose PTB-XL part is no copy of another twin.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from pecg_utils.data import challenge, ludb, ptbxl, wfdb16
from pecg_utils.data.recognise import HOSPITALS, releases_in
from pecg_utils.data.recording import TABLE, UNKNOWN, Dataset, read_table
from pecg_utils.errors import PecgError

LABELS = challenge.class_names(2021)
PTBXL_SITE = "ptb-xl"  # the Challenge's folder of these recordings
AXIS = "heart_axis: "  # before a value of PTB-XL's column, which is no statement of its list


@dataclass(frozen=True)
class Statement:
    """A statement of PTB-XL or LUDB beside the scored classes.

    meant: the class that it is or resembles, or nothing. certain: whether it counts. why: on what
    ground.
    """

    dataset: str
    statement: str
    meant: str
    certain: bool
    why: str


@cache
def statements() -> tuple[Statement, ...]:
    """Every statement of PTB-XL and of LUDB, one row each, from scored_statements.csv."""
    table = resources.files(__package__).joinpath("scored_statements.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple(
        Statement(
            row["dataset"], row["statement"], row["class"], row["certain"] == "yes", row["why"]
        )
        for row in rows
    )


def open_folder(root: Path) -> Dataset:
    """The releases in the subfolders of `root`, side by side.

    Raises PecgError when there are fewer than two of the three, when one is there twice, and when
    one cannot be opened.
    """
    found = releases_in(root)
    if len(found) < 2:
        there = f"only {next(iter(found))}" if found else "none"
        raise PecgError(
            f"{root} is no folder of hospitals: at least two of {', '.join(HOSPITALS)} were looked "
            f"for in its subfolders, by the files that only their releases have, and there is "
            f"{there}."
        )
    parts = [_opened(name, found) for name in found]
    labels = [_scored(part, found) for part in parts]
    kinds = {part.kind for part in parts}
    whole = kinds == {"full"} and len(found) == len(HOSPITALS)
    return Dataset(
        name="hospitals",
        root=root,
        kind="twin" if "twin" in kinds else "full" if whole else "subset",
        table=pd.concat([_side_by_side(part) for part in parts], ignore_index=True),
        labels=pd.concat(labels, ignore_index=True),
        label_names=LABELS,
        tables=tuple(table for part in parts for table in part.tables),
        _read=wfdb16.read,
    )


def _opened(name: str, found: dict[str, Path]) -> Dataset:
    if name == "ptbxl":
        return ptbxl.open_folder(found[name], task="all")
    if name == "ludb":
        return ludb.open_folder(found[name])
    # A twin's PTB-XL part is no copy of the twin of PTB-XL, let alone of PTB-XL.
    simulated = any((folder / "twin.json").exists() for folder in found.values())
    return challenge.open_folder(found[name], ptbxl=None if simulated else found.get("ptbxl"))


def _side_by_side(part: Dataset) -> pd.DataFrame:
    """A release's table as this dataset's: TABLE, site and proxy, with names of its own."""
    table = part.table.copy()
    named = table["patient"] != UNKNOWN
    # The Challenge's patients, where they are named, are PTB-XL's.
    people = ("ptbxl" if part.name == "challenge" else part.name) + "-" + table["patient"]
    if part.name != "challenge":
        table["site"] = PTBXL_SITE if part.name == "ptbxl" else part.name
    table.loc[named, "patient"] = people[named]
    table.loc[named, "proxy"] = people[named]
    table["record"] = part.name + "-" + table["record"]
    table["path"] = part.root.name + "/" + table["path"]
    return table[[*TABLE, "site", "proxy"]]


def _scored(part: Dataset, found: dict[str, Path]) -> pd.DataFrame:
    """The scored classes of a release's recordings, (recordings, classes) bool."""
    if part.name == "challenge":
        return part.labels
    stated = part.labels
    if part.name == "ptbxl":
        stated = pd.concat([stated, _axes(found["ptbxl"])], axis=1)
    scored = pd.DataFrame(False, index=stated.index, columns=list(LABELS))
    for row in statements():
        if row.certain and row.dataset == part.name and row.statement in stated:
            scored[row.meant] |= stated[row.statement]
    return scored


def _axes(folder: Path) -> pd.DataFrame:
    """PTB-XL's heart_axis as statements, (recordings, values) bool; none where it is not given."""
    listed = read_table(folder / "ptbxl_database.csv", ["ecg_id"], "PTB-XL")
    if "heart_axis" not in listed:
        return pd.DataFrame(index=listed.index)
    values = listed["heart_axis"].str.strip()
    return pd.DataFrame({AXIS + value: values == value for value in sorted(set(values) - {""})})
