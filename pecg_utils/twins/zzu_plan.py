"""Who is in the ZZU-pECG twin: its children, their recordings, ages and labels; no signal yet.

Sourced: the numbers of children, recordings and 9-lead recordings, the groups' and five labels'
counts, ages, recordings a child, the share of recordings at the rail. The tables beside this file
say where each was read; the rest is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pecg_utils.errors import PecgError
from pecg_utils.twins import zzu_codes
from pecg_utils.twins.tables import rows

FULL_PATIENTS, FULL_RECORDINGS, FULL_NINE_LEAD = 2597, 3716, 933
OLDEST = 5474  # days, the release's oldest recording
NEONATE_NINE_LEAD = 0.94  # share of neonates' recordings with 9 leads (audit of ECGBench)
RAILED = 0.118  # share of recordings that touch the rail (audit of ECGBench)
BOYS = 0.6  # ours; 32 of 50 rows of the release that could be looked at are boys'
FIRST_DAY, LAST_DAY = datetime(2018, 1, 1), datetime(2024, 5, 31)


@dataclass(frozen=True)
class Planned:
    """One recording of the plan."""

    patient: str
    record: str
    age_days: int
    sex: str  # "Male" or "Female"
    time: datetime
    samples: int  # at 500 Hz
    leads: int  # 9 or 12
    railed: bool
    labels: tuple[str, ...]  # codes of labels.csv
    others: tuple[str, ...]  # further ICD-10 codes of the admission


def plan(patients: int, seed: int = 0) -> list[Planned]:
    """The recordings of the twin of `patients` children, child after child; nothing is written.

    All recordings of a child belong to one admission and share its codes. Counts are scaled from
    the full size; a smaller twin may lack a rare label altogether.

    Raises PecgError when `patients` is below 1.
    """
    if patients < 1:
        raise PecgError(f"A twin of {patients} patients was asked for; at least 1 is needed.")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    recordings = max(patients, round(patients * FULL_RECORDINGS / FULL_PATIENTS))
    visits = _visits(rng, patients, recordings)  # (patients,) recordings each
    kinds = _kinds(rng, visits)  # (patients,) row of zzu_labels.csv
    ages = _ages(rng, kinds)  # (patients,) days
    lengths = _lengths(rng, recordings)  # (recordings,) samples
    railed = np.zeros(recordings, bool)
    railed[rng.permutation(recordings)[: round(RAILED * recordings)]] = True
    nine = _nine_leads(rng, np.repeat(ages, visits))  # (recordings,)

    combinations = rows("zzu_labels.csv")
    found: list[Planned] = []
    for index in range(patients):
        name = f"P{index + 1:05d}"
        sex = "Male" if rng.uniform() < BOYS else "Female"
        labels = tuple(combinations[kinds[index]]["codes"].split(";"))
        others = zzu_codes.other_diseases(rng)
        admitted = FIRST_DAY + timedelta(
            days=float(rng.uniform(0, (LAST_DAY - FIRST_DAY).days - 45))
        )
        for visit, days in enumerate(_visit_days(rng, int(visits[index]))):
            at = len(found)
            found.append(
                Planned(
                    patient=name,
                    record=f"{name}_E{visit + 1:02d}",
                    age_days=min(int(ages[index] + days), OLDEST),
                    sex=sex,
                    time=(admitted + timedelta(days=float(days))).replace(microsecond=0),
                    samples=int(lengths[at]),
                    leads=9 if nine[at] else 12,
                    railed=bool(railed[at]),
                    labels=labels,
                    others=others,
                )
            )
    return found


def _share(weights: Sequence[float], total: int, start: float = 0.5) -> NDArray[np.int64]:
    """Divide `total` by `weights` into whole numbers whose running sums are never off by one."""
    edges = np.cumsum(weights) / np.sum(weights) * total
    edges[-1] = total
    steps = np.floor(edges + start)
    steps[-1] = total
    return np.diff(np.concatenate([[0.0], steps])).astype(np.int64)


def _visits(rng: np.random.Generator, patients: int, recordings: int) -> NDArray[np.int64]:
    table = rows("zzu_visits.csv")
    counts = _share([float(row["children"]) for row in table], patients)
    visits = np.repeat([int(row["recordings"]) for row in table], counts)
    rng.shuffle(visits)
    # The table's mean is a little off the twin's: single and double visits make up for it.
    while (missing := recordings - int(visits.sum())) != 0:
        step = 1 if missing > 0 else -1
        change = np.flatnonzero(visits == 1) if step > 0 else np.flatnonzero(visits > 1)
        visits[change[: abs(missing)]] += step
    return visits


def _kinds(rng: np.random.Generator, visits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each child a row of zzu_labels.csv, so that each row has its number of recordings."""
    weights = [float(row["recordings"]) for row in rows("zzu_labels.csv")]
    left = _share(weights, int(visits.sum()), float(rng.uniform())).astype(float)
    kinds = np.zeros(len(visits), np.int64)
    # Children with many recordings choose first; the singles at the end fill each row exactly.
    for child in np.argsort(-visits, kind="stable"):
        fits = np.where(left >= visits[child], left, 0.0)
        if not fits.any():  # only in tiny twins, where a row is smaller than a child
            fits = left
        kinds[child] = rng.choice(len(left), p=fits / fits.sum())
        left[kinds[child]] = max(0.0, left[kinds[child]] - visits[child])
    return kinds


def _ages(rng: np.random.Generator, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ages in days: each age table's children stand evenly on its quantiles, in random order."""
    quantiles = rows("zzu_ages.csv")
    at = [float(row["quantile"]) for row in quantiles]
    table = np.array([row["ages"] for row in rows("zzu_labels.csv")])[kinds]
    ages = np.zeros(len(kinds), np.int64)
    for name in np.unique(table):
        mine = np.flatnonzero(table == name)
        even = (rng.permutation(len(mine)) + rng.uniform(size=len(mine))) / len(mine)
        ages[mine] = np.rint(np.interp(even, at, [float(row[name]) for row in quantiles]))
    return ages


def _visit_days(rng: np.random.Generator, visits: int) -> NDArray[np.float64]:
    """Days from admission of each recording: a median gap of some days, as in record_ages.csv."""
    return np.sort(np.r_[0.0, np.minimum(rng.exponential(6.0, visits - 1), 42.0)])


def _lengths(rng: np.random.Generator, recordings: int) -> NDArray[np.int64]:
    """Samples of each recording: 67 lengths from 5 to 120 s, most of them 30 s (weights ours)."""
    lengths = np.r_[2500:30001:500, 35000:60001:2500]
    weights = np.full(len(lengths), 0.003)
    weights[lengths < 5000] = 0.001
    weights[lengths > 15500] = 0.001
    weights[lengths == 10000] = 0.12
    weights[lengths == 15000] = 0.74
    drawn = np.repeat(lengths, _share(weights.tolist(), recordings, float(rng.uniform())))
    rng.shuffle(drawn)
    return drawn


def _nine_leads(rng: np.random.Generator, ages: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which recordings have 9 leads: 94 % of the neonates', and of the rest the young first."""
    total = round(len(ages) * FULL_NINE_LEAD / FULL_RECORDINGS)
    neonates = rng.permutation(np.flatnonzero(ages <= 28))
    others = np.flatnonzero(ages > 28)
    chosen = neonates[: min(total, round(NEONATE_NINE_LEAD * len(neonates)))]
    order = np.argsort(ages[others] * np.exp(0.7 * rng.standard_normal(len(others))), kind="stable")
    nine = np.zeros(len(ages), bool)
    nine[chosen] = True
    nine[others[order[: total - len(chosen)]]] = True
    return nine
