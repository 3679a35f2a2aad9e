"""The findings that PTB-XL and ZZU-pECG both state: adults and children under one set of labels.

PTB-XL has 71 SCP-ECG statements, ZZU-pECG 91 findings, most of them by the code of the AHA/ACC/HRS
list. `label_map.csv` pairs what is certainly one finding, with how certain that is and a reason;
`label_map_left_out.csv` names everything else, and what comes nearest to it. A test holds that each
statement and each finding stands in exactly one of the two tables.

The Challenge has codes of most of these labels (Perez Alday et al. 2020, Reyna et al. 2021), and so
a second set of adults; for what it has no code for, see `unstated`. The table's comments say which
of its codes are left out.

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

from pecg_utils.data import challenge, zzu_findings
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

CERTAINTIES = ("same", "broader", "narrower")
_HOW = {"ptbxl": "task='all'", "zzu": "labels='findings'", "challenge": "labels='codes'"}
_SIDES = {"ptbxl": "scp", "zzu": "aha", "challenge": "snomed"}


@dataclass(frozen=True)
class Pair:
    """One shared label.

    code: ours. scp: PTB-XL's statements, aha: ZZU's findings, snomed: the Challenge's codes, which
    may be none, any of which carries it. certainty: "same", or what PTB-XL's side is in view of
    ZZU's, "broader" or "narrower". overlaps: codes of labels that share a statement, a finding or a
    code with it. reason: why this is one finding.
    """

    code: str
    words: str
    scp: tuple[str, ...]
    aha: tuple[str, ...]
    snomed: tuple[str, ...]
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
    a certainty is none, ZZU has no such finding or the Challenge no such code, a code stands
    twice, two labels have the same partners, or labels overlap otherwise than the table says.
    """
    found: list[Pair] = []
    for row in _rows(lines):
        try:
            pair = Pair(
                code=row["code"],
                words=row["words"],
                scp=_several(row["scp"]),
                aha=_several(row["aha"]),
                snomed=_several(row["snomed"]),
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
            if any(
                set(a) and set(a) == set(b)
                for a, b in zip(_sides(pair), _sides(other), strict=True)
            ):
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

    dataset: PTB-XL opened with task="all", ZZU-pECG with labels="findings", the Challenge with
    labels="codes", or a twin of one. A label that none of its recordings carries is there all the
    same; `occurring` names it. So is one that the dataset cannot state, which is then not known and
    False for all: `unstated` names it, and neither a loss nor a score should count it.
    Raises PecgError for another dataset, and where it was opened with other labels or does not know
    a statement of the map.
    """
    if dataset.name not in _HOW:
        raise PecgError(
            f"The shared labels join PTB-XL, ZZU-pECG and the Challenge; {dataset.name} is none "
            "of them."
        )
    sides = {pair.code: getattr(pair, _SIDES[dataset.name]) for pair in pairs()}
    known = set(dataset.labels.columns)
    if dataset.name == "challenge":  # a code is a column only where it occurs; a class is no number
        wanted = set() if all(code.isdigit() for code in known) else {"SNOMED codes"}
    else:  # a finding's modified form is a column only where it occurs
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


def unstated(dataset: Dataset) -> tuple[str, ...]:
    """The shared labels that `dataset` has no certain word for, and so is silent about.

    dataset: as `shared` takes or makes it. Of the Challenge these are the same for all sources,
    though a source may never use a code that others do. Raises PecgError for another dataset.
    """
    if dataset.name not in _SIDES:
        raise PecgError(f"No shared label is told by {dataset.name}; give a dataset of `shared`.")
    return tuple(pair.code for pair in pairs() if not getattr(pair, _SIDES[dataset.name]))


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
    for side in _sides(pair):
        if twice := {code for code in side if side.count(code) > 1}:
            raise PecgError(f"The label map's {pair.code} has {min(twice)} twice.")
    known = zzu_findings.release()
    for code in pair.aha:
        first, plus, modifier = code.partition("+Modifier")
        if first not in known or (plus and f"Modifier{modifier}" not in known):
            raise PecgError(f"The label map's {pair.code} names {code}, which ZZU has not.")
    if strange := set(pair.snomed) - set(challenge.code_names()):
        raise PecgError(
            f"The label map's {pair.code} names {min(strange)}, which the Challenge has not."
        )


def _sides(pair: Pair) -> tuple[tuple[str, ...], ...]:
    return pair.scp, pair.aha, pair.snomed


def _overlap(one: Pair, other: Pair) -> bool:
    """Whether a recording can carry both by one statement, finding or code.

    L145+Modifier362 is L145.
    """
    aha = any(_within(a, b) or _within(b, a) for a in one.aha for b in other.aha)
    return aha or bool(set(one.scp) & set(other.scp) or set(one.snomed) & set(other.snomed))


def _within(code: str, other: str) -> bool:
    return code == other or code.startswith(f"{other}+Modifier")


def _base(code: str) -> str:
    return code.partition("+Modifier")[0]


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _rows(lines: Iterable[str]) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
