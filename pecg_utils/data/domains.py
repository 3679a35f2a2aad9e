"""Adults and children side by side: their windows joined, divided, and the few that are taught.

The adults are the source, the children the target. Both are divided by patient, 6 : 1 : 3 (*ours*;
PEACE has 8 : 1 : 1, which leaves few to test on in a small set), and by age alone: neighbours in
age are dealt to the sides at random, so that each side has all ages. Labels have no say in it, so
that none of a tested patient can reach a training, not even by who else is in it.

A support set is the children that are taught: at most so many with each label, or all.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import UNKNOWN, people, sites
from pecg_utils.data.splits import NOWHERE, SIDES, Split
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Sides = npt.NDArray[np.int8]

DOMAINS = ADULTS, CHILDREN = "adults", "children"
ADULT_DAYS = 18 * 365.25
_DEAL = np.array([0] * 6 + [1] + [2] * 3, dtype=np.int8)  # sides of ten neighbours in age
_FEWEST = 30  # people who are divided; fewer are all tested


def join(adults: Sequence[Windows], children: Windows | None = None) -> Windows:
    """Windows of adults and of children as one set, with the column `domain` in its table.

    All must be of the same leads, rate and length, and have the same labels. Patients of two sets
    never have one name, a proxy stands for whom a recording is of, and the steps are held in
    memory: (N, L, T) int16.
    Raises PecgError when they are not alike.
    """
    parts = [*adults, *([] if children is None else [children])]
    first = parts[0]
    for other in parts[1:]:
        if other.classes != first.classes or _shape(other) != _shape(first):
            raise PecgError(
                "These windows cannot be joined: they differ in their labels, leads, rate or "
                "length."
            )
    tables = []
    for number, part in enumerate(parts):
        domain = CHILDREN if part is children else ADULTS
        named = part.table["patient"] != UNKNOWN
        table = part.table.assign(domain=domain)
        table["patient"] = table["patient"].where(~named, f"{number}: " + table["patient"])
        table["proxy"] = f"{number}: " + people(part.table).astype(str)
        table["site"] = sites(part.table)
        tables.append(table)
    faults = tuple(fault for part in parts for fault in part.report.faults)
    return Windows(
        steps=np.concatenate([np.asarray(part.steps) for part in parts]),
        gain=np.concatenate([part.gain for part in parts]),
        table=pd.concat(tables, ignore_index=True),
        labels=np.concatenate([part.labels for part in parts]),
        classes=first.classes,
        settings=first.settings,
        report=Report(sum(part.report.checked for part in parts), faults),
        key=files.fingerprint([part.key for part in parts]),
    )


def of_labels(windows: Windows, labels: Sequence[str]) -> Windows:
    """The same windows with these labels alone, in this order."""
    places = [windows.classes.index(label) for label in labels]
    key = files.fingerprint([windows.key, *labels])
    return replace(windows, labels=windows.labels[:, places], classes=tuple(labels), key=key)


def parts(table: pd.DataFrame, domain: str, seed: int) -> dict[str, Rows]:
    """Side of SIDES -> the windows of `domain` there, by number, of a joined table (N rows).

    Fewer than 30 people are too few to divide: children are then all tested, adults refused.
    """
    mine = np.flatnonzero(table["domain"] == domain)
    part = table.iloc[mine]
    unit = _units(part)  # (n,)
    age = part["age_days"].fillna(part["age_days"].median()).groupby(unit).min()  # a unit
    if len(age) < _FEWEST:
        if domain == ADULTS:
            raise PecgError(
                f"There are {len(age)} adults to train on, and {_FEWEST} are needed; give more."
            )
        empty = mine[:0]
        return {"train": empty, "validation": empty, "test": mine}
    generator = np.random.default_rng([seed, domain == CHILDREN])
    # Equal ages, as a year's adults have, are taken in random order.
    order = np.lexsort((generator.random(len(age)), age.to_numpy()))
    dealt = [generator.permutation(_DEAL) for _ in range(-(-len(age) // len(_DEAL)))]
    side = np.empty(len(age), dtype=np.int8)
    side[order] = np.concatenate(dealt)[: len(age)]
    of_row = side[np.searchsorted(age.index.to_numpy(), unit)]  # (n,)
    return {name: mine[of_row == number] for number, name in enumerate(SIDES)}


def _units(table: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Numbers of who is kept together (n,): a person, and whoever has the same samples."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names: Rows = pd.factorize(people(table))[0]
    copies: Rows = pd.factorize(table["same"])[0]
    size = names.max() + copies.max() + 2
    links = (np.ones(len(names)), (names, names.max() + 1 + copies))
    _, joined = connected_components(coo_array(links, shape=(size, size)), directed=False)
    return np.asarray(joined[names], dtype=np.intp)


def divide(
    table: pd.DataFrame, labels: Flags, shots: int | None, draw: int, seed: int, tested: str
) -> Split:
    """What one training sees. labels: (N, C), of which only those of taught children are read.

    shots: 0 teaches and validates adults; otherwise children are taught, at most so many with each
    label, or all (None), and validate. tested: ADULTS or CHILDREN. draw: which support set.
    Raises PecgError when the support set is empty.
    """
    of = {domain: parts(table, domain, seed) for domain in (ADULTS, CHILDREN)}
    taught = of[ADULTS if shots == 0 else CHILDREN]
    train = taught["train"]
    if shots != 0:
        train = train[support(labels[train], shots, [seed, draw])]
    side = np.full(len(table), NOWHERE, dtype=np.int8)
    for number, rows in enumerate((train, taught["validation"], of[tested]["test"])):
        side[rows] = number
    return Split("domain", side)


def support(labels: Flags, shots: int | None, seed: int | Sequence[int]) -> Rows:
    """Which of these recordings (n, C) are taught, by number, so that no label has more than
    `shots`; all of them where shots is None.

    The rarest label chooses first, in random order, then the next one fills up. A recording that
    would give another label more than `shots` is passed over, so that a label that mostly comes
    with a commoner one may have fewer.
    Raises PecgError when there is no recording with a label.
    """
    if not labels.any():
        raise PecgError(
            "The support set is empty: none of the children who may be taught carries one of the "
            "labels. Give more children, or other labels."
        )
    if shots is None:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    taken = np.zeros(len(labels), dtype=bool)
    count = np.zeros(labels.shape[1], dtype=int)
    for label in np.argsort(labels.sum(axis=0), kind="stable"):
        for row in order[labels[order, label]]:
            if count[label] >= shots:
                break
            if not taken[row] and (count[labels[row]] < shots).all():
                taken[row] = True
                count += labels[row]
    return np.flatnonzero(taken)


def shot_counts(windows: Windows, names: Sequence[str], shots: int, seed: int) -> pd.DataFrame:
    """What a support set of `shots` holds: label, words, asked, found, there, one row a label.

    names: the labels' words. there: the positives among the children who may be taught. found: the
    most that the first draw could take of them.
    """
    rows = parts(windows.table, CHILDREN, seed)["train"]
    labels = windows.labels[rows]
    found = labels[support(labels, shots, [seed, 0])].sum(axis=0) if labels.any() else 0
    return pd.DataFrame(
        {
            "label": windows.classes,
            "words": list(names),
            "asked": shots,
            "found": found,
            "there": labels.sum(axis=0),
        }
    )


def adults_alone(table: pd.DataFrame) -> Flags:
    """Which recordings of a dataset's table are of people of 18 years or more.

    Raises PecgError when none states an age of 18 or more.
    """
    old = (table["age_days"] >= ADULT_DAYS).to_numpy()
    if not old.any():
        unaged = int(table["age_days"].isna().sum())
        raise PecgError(
            f"None of the {len(table)} recordings is of an adult: {unaged} state no age, the "
            "others one below 18 years. Give recordings of adults with their ages."
        )
    return np.asarray(old)


def _shape(windows: Windows) -> tuple[object, ...]:
    return windows.settings.leads, windows.settings.fs, windows.steps.shape[1:]
