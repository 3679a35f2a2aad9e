"""The findings of ZZU-pECG: what was seen on the tracing, as labels.

**What a cell of `AHA_code` holds.** Items, each in single quotes, joined by semicolons:
`'C23';'D30+Modifier308';'I101'`. An item is one of

- the code of the AHA/ACC/HRS statement list (Mason et al. 2007, Circulation 115:1325), with the
  letter of its category before it: `A1`, `I105`; two categories are words, `Suggests208`,
  `Consider226`; two statements that the release joins are `N(180+181)`, with or without spaces;
- the words of a finding that has no AHA code: `First-degree AV block`. 14 of the 91 have none;
- one of these with modifiers behind it, `L145+Modifier362`: ST deviation, depression. A finding
  with two modifiers was only seen printed twice: `'F60+Modifier310';'F60+Modifier342'`.

An empty cell, or `Null`, states nothing, which is not the same as normal (`A1`).

**What becomes a label.** Each of the 91 findings, whether or not one of its modifiers is given, and
each finding with its modifier that occurs in the folder: `'L145+Modifier362'` carries the labels
`L145` and `L145+Modifier362`. The 91 are the same for every folder, the twin's too.

Words that are on no list become no label. They stand in the table's column `unlisted`: a public
recount of the full release (ECGBench) finds 15 wordings where the list has 14 findings without a
code.
"""

import csv
import re
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from pecg_utils.data.recording import read_table
from pecg_utils.errors import PecgError

MODIFIER = "Modifier"  # begins the code of what is no finding by itself
_CELL = re.compile(r"(?:\s*'[^']*'\s*|[^';]*)(?:;(?:\s*'[^']*'\s*|[^';]*))*")
_ITEM = re.compile(r"'([^']*)'|([^';]+)")
_CODED = re.compile(rf"(?:[A-Z]|Suggests|Consider|{MODIFIER})\s*\(?\d.*")


@cache
def release() -> dict[str, str]:
    """Code -> words of the release's findings and modifiers, from zzu_findings.csv."""
    text = resources.files(__package__).joinpath("zzu_findings.csv").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {row["code"]: row["words"] for row in csv.DictReader(lines)}


def listed(codes: Path) -> dict[str, str]:
    """Code -> words of the findings and modifiers: the release's, then what else `codes` lists.

    codes: the folder's ECGCode.csv, which need not be there.
    Raises PecgError when it lacks a column.
    """
    known = dict(release())
    if codes.is_file():
        columns = ["Description", "AHA(Category&Code)"]
        for words, code in read_table(codes, columns, "ZZU-pECG")[columns].to_numpy():
            known.setdefault(words if code == "N/A" else _tight(code), words)
    return known


def names(known: dict[str, str]) -> dict[str, str]:
    """The findings of `known` without the modifiers."""
    return {code: words for code, words in known.items() if not code.startswith(MODIFIER)}


def items(cell: str, known: dict[str, str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """What a cell of AHA_code states, and the words in it that are on no list.

    Each finding is a tuple of its code and the codes of its modifiers.
    Raises PecgError, which says what is wrong, for a cell that is not packed as the release's are,
    for a code that is not in `known`, and for a modifier that modifies nothing or is none.
    """
    if not _CELL.fullmatch(cell):
        raise PecgError("a quote is not closed, or an item stands behind another without a ';'")
    found: list[tuple[str, ...]] = []
    unlisted: list[str] = []
    by_words = {words.casefold(): code for code, words in known.items()}
    for quoted, plain in _ITEM.findall(cell):
        item = " ".join((quoted or plain).split())
        if item in ("", "Null"):
            continue
        # A plus before a digit is inside of a code: N(180+181).
        first, *rest = (part.strip() for part in re.split(r"\+(?!\s*\d)", item))
        code = _code(first, known, by_words)
        if code is None and not rest and not _CODED.fullmatch(first):
            unlisted.append(item)
            continue
        if code is None or code.startswith(MODIFIER):
            raise PecgError(f"'{first}' is no finding that ECGCode.csv lists")
        modifiers = [_code(part, known, by_words) or "" for part in rest]
        for part, modifier in zip(rest, modifiers, strict=True):
            if not modifier.startswith(MODIFIER):
                raise PecgError(f"'{part}' behind '{first}+' is no modifier that ECGCode.csv lists")
        found.append((code, *modifiers))
    return found, unlisted


def read(
    cells: pd.Series, records: pd.Series, attributes: Path, known: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The labels (recordings, findings) bool, their words, and each recording's unlisted words.

    cells: AHA_code. records: the recordings' names. attributes: the file that both are from.
    Raises PecgError for a cell that cannot be read.
    """
    carried: list[set[str]] = []
    unlisted: list[str] = []
    modified: dict[str, str] = {}
    for record, cell in zip(records, cells, strict=True):
        try:
            found, others = items(cell, known)
        except PecgError as error:
            raise PecgError(
                f"{attributes}, recording {record}: AHA_code cannot be read, {error}: {cell!r}. "
                "Correct the cell, or add the code to ECGCode.csv."
            ) from error
        of_one = set()
        for code, *modifiers in found:
            of_one.add(code)
            for modifier in modifiers:
                name = f"{code}+{modifier}"
                of_one.add(name)
                modified[name] = f"{known[code]}, {known[modifier].lower()}"
        carried.append(of_one)
        unlisted.append(";".join(others))
    words = {**names(known), **dict(sorted(modified.items()))}
    labels = pd.DataFrame({name: [name in of_one for of_one in carried] for name in words})
    return labels, words, unlisted


def _code(text: str, known: dict[str, str], by_words: dict[str, str]) -> str | None:
    """The code that `text` is, or the words of."""
    return _tight(text) if _tight(text) in known else by_words.get(text.casefold())


def _tight(code: str) -> str:
    """`N(180 + 181)` is N(180+181). Words keep their spaces."""
    return re.sub(r"\s*\+\s*", "+", code)
