"""The findings that PTB-XL and ZZU-pECG both state: adults and children under one set of labels.

PTB-XL has 71 SCP-ECG statements, ZZU-pECG 91 findings, most of them by the code of the AHA/ACC/HRS
list. `label_map.csv` pairs what is certainly one finding, with how certain that is and a reason;
`label_map_left_out.csv` names everything else, and what comes nearest to it. A test holds that each
statement and each finding stands in exactly one of the two tables.

The pairs are *ours*, made from the words of the two releases: PEACE's nine harmonised labels are
not published. That two words mean one finding does not make the tracings alike: many limits move
with age, as the reasons say.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import pandas as pd

from pecg_utils.data import zzu_findings
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

CERTAINTIES = ("same", "broader", "narrower")
_HOW = {"ptbxl": "task='all'", "zzu": "labels='findings'"}


@dataclass(frozen=True)
class Pair:
    """One shared label.

    code: ours. scp: PTB-XL's statements, aha: ZZU's findings, any of which carries it. certainty:
    "same", or what PTB-XL's side is in view of ZZU's, "broader" or "narrower". overlaps: codes of
    labels that share a statement or a finding with it. reason: why this is one finding.
    """

    code: str
    words: str
    scp: tuple[str, ...]
    aha: tuple[str, ...]
    certainty: str
    overlaps: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """A statement or finding of `dataset` without a certain partner, and what comes nearest."""

    dataset: str
    code: str
    words: str
    nearest: tuple[str, ...]
    reason: str


@cache
def pairs() -> tuple[Pair, ...]:
    """The shared labels, from label_map.csv, checked."""
    text = resources.files(__package__).joinpath("label_map.csv").read_text(encoding="utf-8")
    return parse(text.splitlines())


@cache
def left_out() -> tuple[LeftOut, ...]:
    """What the map leaves out, from label_map_left_out.csv: PTB-XL's statements, then ZZU's."""
    path = resources.files(__package__).joinpath("label_map_left_out.csv")
    rows = _rows(path.read_text(encoding="utf-8").splitlines())
    return tuple(
        LeftOut(r["dataset"], r["code"], r["words"], _several(r["nearest"]), r["reason"])
        for r in rows
    )


def parse(lines: Iterable[str]) -> tuple[Pair, ...]:
    """The pairs in the lines of a table like label_map.csv.

    Raises PecgError when a column is missing, a label has no words, reason, statement or finding,
    a certainty is none, ZZU has no such finding, a code stands twice, two labels have the same
    partners, or labels overlap otherwise than the table says.
    """
    found: list[Pair] = []
    for row in _rows(lines):
        try:
            pair = Pair(
                code=row["code"],
                words=row["words"],
                scp=_several(row["scp"]),
                aha=_several(row["aha"]),
                certainty=row["certainty"],
                overlaps=_several(row["overlaps"]),
                reason=row["reason"],
            )
        except KeyError as error:
            raise PecgError(f"The label map has no column {error}.") from error
        _check(pair)
        if any(pair.code == other.code for other in found):
            raise PecgError(f"The label map has the label {pair.code} twice.")
        for other in found:
            if set(pair.scp) == set(other.scp) or set(pair.aha) == set(other.aha):
                raise PecgError(
                    f"The label map gives {other.code} and {pair.code} the same partners on one "
                    "side; join them."
                )
        found.append(pair)
    for pair in found:
        actual = {other.code for other in found if other is not pair and _overlap(pair, other)}
        if actual != set(pair.overlaps):
            raise PecgError(
                f"The label map's {pair.code} shares statements or findings with "
                f"{', '.join(sorted(actual)) or 'no other'}, and its column overlaps says "
                f"{', '.join(pair.overlaps) or 'none'}."
            )
    return tuple(found)


def shared(dataset: Dataset) -> Dataset:
    """`dataset` with the shared labels alone, all of them, in the map's order.

    dataset: PTB-XL opened with task="all", or ZZU-pECG with labels="findings", or a twin of either.
    A label that none of its recordings carries is there all the same; `occurring` names it.
    Raises PecgError for another dataset, and where it was opened with other labels or does not know
    a statement of the map.
    """
    if dataset.name not in _HOW:
        raise PecgError(
            f"The shared labels join PTB-XL and ZZU-pECG; {dataset.name} is neither of them."
        )
    sides = {pair.code: pair.scp if dataset.name == "ptbxl" else pair.aha for pair in pairs()}
    known = set(dataset.labels.columns)
    # A finding's modified form is a column only where it occurs.
    wanted = {_base(code) for side in sides.values() for code in side}
    if missing := sorted(wanted - known):
        raise PecgError(
            f"The labels of {dataset.root} lack {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''} of the label map; open it with "
            f"{_HOW[dataset.name]}, and see that its list of codes is whole."
        )
    labels = pd.DataFrame(
        {
            code: dataset.labels[[one for one in side if one in known]].any(axis=1)
            for code, side in sides.items()
        }
    )
    return replace(
        dataset,
        labels=labels.astype(bool),
        label_names={pair.code: pair.words for pair in pairs()},
    )


def occurring(a: Dataset, b: Dataset) -> pd.DataFrame:
    """How many recordings carry each shared label in `a` and in `b`, two datasets of `shared`.

    One row a label: words, a, b, and lacks, which is "", "a", "b" or "a and b".
    Raises PecgError when their labels differ.
    """
    if list(a.labels.columns) != list(b.labels.columns):
        raise PecgError(
            f"{a.name} and {b.name} have different labels; give both as `shared` makes them."
        )
    table = pd.DataFrame({"a": a.labels.sum(), "b": b.labels.sum()}, dtype=int)
    table.insert(0, "words", [a.label_names[code] for code in table.index])
    table["lacks"] = [
        " and ".join(side for side in ("a", "b") if row[side] == 0) for _, row in table.iterrows()
    ]
    return table


def _check(pair: Pair) -> None:
    empty = [name for name in ("code", "words", "scp", "aha", "reason") if not getattr(pair, name)]
    if empty:
        raise PecgError(f"The label map's {pair.code or 'label'} has no {empty[0]}.")
    if pair.certainty not in CERTAINTIES:
        raise PecgError(
            f"The label map's {pair.code} is {pair.certainty!r}; what is none of "
            f"{', '.join(CERTAINTIES)} belongs among what is left out."
        )
    for side in (pair.scp, pair.aha):
        if twice := {code for code in side if side.count(code) > 1}:
            raise PecgError(f"The label map's {pair.code} has {min(twice)} twice.")
    known = zzu_findings.release()
    for code in pair.aha:
        first, plus, modifier = code.partition("+Modifier")
        if first not in known or (plus and f"Modifier{modifier}" not in known):
            raise PecgError(f"The label map's {pair.code} names {code}, which ZZU has not.")


def _overlap(one: Pair, other: Pair) -> bool:
    """Whether a recording can carry both by one statement or finding; L145+Modifier362 is L145."""
    aha = any(_within(a, b) or _within(b, a) for a in one.aha for b in other.aha)
    return aha or bool(set(one.scp) & set(other.scp))


def _within(code: str, other: str) -> bool:
    return code == other or code.startswith(f"{other}+Modifier")


def _base(code: str) -> str:
    return code.partition("+Modifier")[0]


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _rows(lines: Iterable[str]) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
