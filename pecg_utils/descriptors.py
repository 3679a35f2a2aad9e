"""What each shared label looks like, in words: three short texts, for an adult and for a child.

PEACE describes each label along three axes, rhythm, morphology and ST-T, in texts that a language
model wrote and people revised; they are not published and not made for an age. Those in
`data/descriptors.csv` are *ours*: one sentence an axis, in an adult form and in a form for children
that is aware of age, with what defines it. An axis that a finding says nothing about says so.
"""

import csv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pandas as pd

from pecg_utils.data.label_map import pairs
from pecg_utils.errors import PecgError

AXES = ("rhythm", "morphology", "stt")
FORMS = ("adult", "child")
OURS = "ours"  # a source: common reading that no listed guideline or table defines
_FILE = "descriptors.csv"


def descriptors(
    form: str, labels: Sequence[str] | None = None, file: Path | None = None
) -> pd.DataFrame:
    """The texts of `labels` in `form`, one row a label, one column an axis of AXES.

    form: "adult" or "child". labels: codes of label_map, all of them if none are given. file: a
    table of other texts, with the columns of descriptors.csv.
    Raises PecgError when there is no such form, a label lacks a text, or the file is faulty.
    """
    if form not in FORMS:
        raise PecgError(f"Descriptors have the forms {' and '.join(FORMS)}, not {form!r}.")
    return _table(form, labels, file)


def defined_by(labels: Sequence[str] | None = None, file: Path | None = None) -> pd.DataFrame:
    """What defines the texts, one row a label, one column an axis: sources joined by ";"."""
    return _table("source", labels, file)


def _table(column: str, labels: Sequence[str] | None, file: Path | None) -> pd.DataFrame:
    texts = _read(file)
    wanted = [pair.code for pair in pairs()] if labels is None else list(labels)
    for label in wanted:
        if missing := [axis for axis in AXES if (label, axis) not in texts]:
            raise PecgError(
                f"The label {label} has no text for {', '.join(missing)} in "
                f"{file or f'pecg_utils/data/{_FILE}'}; write it there or leave the label out."
            )
    rows = [[texts[label, axis][column] for axis in AXES] for label in wanted]
    return pd.DataFrame(rows, index=pd.Index(wanted, name="label"), columns=list(AXES), dtype=str)


def _read(file: Path | None) -> dict[tuple[str, str], dict[str, str]]:
    """(label, axis) -> the row of the table."""
    path = file or resources.files("pecg_utils.data").joinpath(_FILE)
    name = path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise PecgError(f"{path} cannot be read as a table of descriptors: {error}.") from error
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        lacking = [c for c in ("label", "axis", *FORMS, "source") if not (row.get(c) or "").strip()]
        place = row.get("label") or f"row {len(found) + 1}"
        if lacking:
            raise PecgError(f"{name}: {place} has nothing in the column {lacking[0]}.")
        if row["axis"] not in AXES:
            raise PecgError(
                f"{name}: {place} has the axis {row['axis']!r}; there are {', '.join(AXES)}."
            )
        if (row["label"], row["axis"]) in found:
            raise PecgError(f"{name}: {place} has its {row['axis']} twice.")
        found[row["label"], row["axis"]] = row
    return found
