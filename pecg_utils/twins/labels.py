"""The 19 diseases of the ZZU-pECG benchmark and what each does to the simulated heart.

`labels.csv` holds the codes as the release's DiseaseCode.csv prints them, prefixes included.
`effects.csv` is the one table of effects: label, what changes, by how much, in which unit. All of
it is ours.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pecg_utils.twins.heart import Heart
from pecg_utils.twins.tables import rows

CODES: tuple[str, ...] = tuple(row["code"] for row in rows("labels.csv"))


def draw_severity(rng: np.random.Generator) -> float:
    """How much of a label's effect a child shows: nothing for a quarter, else 0.4 to 1.6."""
    silent, size = rng.uniform() < 0.25, rng.uniform(0.4, 1.6)
    return 0.0 if silent else float(size)


def diseased(heart: Heart, severity: Mapping[str, float], table: str = "effects.csv") -> Heart:
    """`heart` with the effects of the labels in `severity` (code -> 0 none, 1 the table's size)."""
    values: dict[str, float] = {}
    for row in rows(table):
        if row["code"] not in severity:
            continue
        name, amount = row["parameter"], severity[row["code"]]
        now = values.get(name, getattr(heart, name))
        size = float(row["size"])
        if row["change"] == "times":
            values[name] = now * size**amount
        elif row["change"] == "plus":
            values[name] = now + size * amount
        else:  # "to": the value itself, a little off at other severities
            values[name] = size * (1 + 0.1 * (amount - 1))
    return replace(heart, **values)
