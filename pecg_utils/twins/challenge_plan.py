"""Who is in the Challenge twin: its sources, and the codes of each recording.

At full size every source has its recordings, and every code of `challenge_counts.csv` stands in as
many of them as in the release. As there, 6,287 recordings have no code that is scored in 2021, and
5,352 of the first six sources none that is scored in 2020; 631 of the latter have a code twice
(audit of ECGBench, https://github.com/vlbthambawita/ECGBench).

Which codes stand together is ours: one rhythm a recording and one block of a bundle branch, no two
that deny each other, and all else at random. Sinus arrhythmia is the exception: where a source has
more rhythms than recordings it joins another sinus rhythm. How the recordings without a scored code
spread over the sources is ours too, as far as the counts leave it open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pecg_utils.errors import PecgError
from pecg_utils.twins import cpsc2018
from pecg_utils.twins.noise import Device
from pecg_utils.twins.prevalence import shared_out
from pecg_utils.twins.tables import rows


@dataclass(frozen=True)
class Source:
    """One source; a row of `challenge_sources.csv`."""

    name: str
    recordings: int
    prefix: str  # of a record's name
    digits: int
    first: int  # number of the first record
    fs: int  # Hz
    men: float  # their share
    age: tuple[float, float]  # middle and spread, years
    known: float  # share of the ages that are given
    unscored: int | None  # recordings without a scored code; None: they follow from the others
    step: float  # of a sample, mV
    written: str  # date and time in a header's first line
    comments: tuple[str, ...]
    device: Device


def _source(row: Mapping[str, str]) -> Source:
    edges = ("mains", "hum", "muscle", "wander", "low", "high")
    return Source(
        name=row["source"],
        recordings=int(row["recordings"]),
        prefix=row["prefix"],
        digits=int(row["digits"]),
        first=int(row["first"]),
        fs=int(row["fs"]),
        men=int(row["men"]) / int(row["people"]),
        age=(float(row["age"]), float(row["spread"])),
        known=float(row["known"]),
        unscored=int(row["unscored"]) if row["unscored"] else None,
        step=float(row["step"]) / 1000,
        written=row["written"],
        comments=tuple(row["comments"].split()),
        device=Device(**{name: float(row[name]) for name in edges}),
    )


SOURCES = tuple(_source(row) for row in rows("challenge_sources.csv"))
FULL_RECORDINGS = sum(source.recordings for source in SOURCES)
FIRST_SIX = tuple(source.name for source in SOURCES[:6])  # of the Challenge 2020
UNSCORED_2020 = 5_352  # of the first six sources' recordings
DOUBLED = 631  # of the same
_LEAST = {source.name: 1 if source.name == "st_petersburg_incart" else 3 for source in SOURCES}

_RHYTHMS = ("AF", "AFL", "NSR", "SB", "STach", "PR", "Brady")
_SINUS = ("NSR", "SB", "STach")
_BUNDLES = ("BBB", "CLBBB", "LBBB", "CRBBB", "RBBB", "IRBBB")
_ATRIAL = ("IAVB", "LPR", "PAC", "SVPB")  # what fibrillating or fluttering atria do not show
_VENTRICULAR = ("PVC", "VPB", "VEB")
_APART: dict[str, tuple[str, ...]] = {
    **{name: _BUNDLES for name in _BUNDLES},
    "LAD": ("RAD",),
    "LAnFB": ("RAD",),
    "AF": _ATRIAL,
    "AFL": _ATRIAL + _VENTRICULAR,
    "PR": _ATRIAL + _VENTRICULAR,
    "STD": ("STE",),
}
# Not scored in 2020. They always join another code, so that both years' counts come out.
_NEW_IN_2021 = ("BBB", "CLBBB", "PRWP")


@dataclass(frozen=True)
class Planned:
    """One recording of the plan. codes: SNOMED, in the header's order, one of them twice in some.

    copied: the recording of the CPSC2018 twin that this one is a copy of.
    """

    source: str
    number: int
    group: int
    age: int  # years
    age_known: bool
    sex: str
    samples: int
    codes: tuple[str, ...]
    copied: cpsc2018.Planned | None = None


def source_named(name: str) -> Source:
    """The source of that name."""
    return next(source for source in SOURCES if source.name == name)


def plan(recordings: int, seed: int = 0) -> list[Planned]:
    """The recordings of a twin; nothing is written. Raises PecgError when there is none."""
    if recordings < 1:
        raise PecgError(f"A twin of {recordings} recordings was asked for; at least 1 is needed.")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(12,)))
    sizes = shared_out({one.name: one.recordings for one in SOURCES}, recordings, _LEAST)
    copied = cpsc2018.plan(sizes["cpsc_2018"], seed) if sizes["cpsc_2018"] else []
    carried = {"cpsc_2018": [_cpsc_codes(one) for one in copied]}
    counts, unscored = _scaled(sizes), _unscored(sizes, carried["cpsc_2018"])
    for source in SOURCES[1:]:
        carried[source.name] = draw_codes(
            rng, source.name, sizes[source.name], counts[source.name], unscored[source.name]
        )
    _double(rng, carried)
    found = []
    for source in SOURCES:
        men = rng.permutation(sizes[source.name]) < round(sizes[source.name] * source.men)
        for k, codes in enumerate(carried[source.name]):
            whom = copied[k] if source.name == "cpsc_2018" else None
            years = int(np.clip(rng.normal(*source.age), 18, 95))
            known = bool(rng.uniform() < source.known)
            seconds = _seconds(rng, source.name)
            found.append(
                Planned(
                    source=source.name,
                    number=source.first + k,
                    group=1 + k // 1000,
                    age=whom.age if whom else years,
                    age_known=known,
                    sex=whom.sex if whom else "male" if men[k] else "female",
                    samples=whom.samples if whom else round(seconds * source.fs),
                    codes=codes,
                    copied=whom,
                )
            )
    return found


def _seconds(rng: np.random.Generator, source: str) -> float:
    """How long a recording is, s. PTB's are mostly as in the release, the rest is ours."""
    if source == "cpsc_2018_extra":
        return cpsc2018.draw_seconds(rng)
    if source == "ptb":
        return 115.2 if rng.uniform() < 0.8 else round(float(rng.uniform(60.0, 115.2)), 3)
    return 1800.0 if source == "st_petersburg_incart" else 10.0


_CPSC = {"Normal": "NSR", "I-AVB": "IAVB", "PVC": "VEB"}  # the others' names are equal


def _cpsc_codes(planned: cpsc2018.Planned) -> tuple[str, ...]:
    wanted = {_CPSC.get(label, label) for label in planned.labels}
    return tuple(
        row["code"] for row in rows("challenge_counts.csv") if row["abbreviation"] in wanted
    )


def _scaled(sizes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """How many recordings of each source carry each abbreviation, in a twin of these `sizes`.

    What one source is rounded by is carried to the next, so that a code's sum is right to the half.
    """
    counts: dict[str, dict[str, int]] = {source.name: {} for source in SOURCES}
    for row in rows("challenge_counts.csv"):
        exact = [int(row[one.name]) * sizes[one.name] / one.recordings for one in SOURCES]
        edges = np.floor(np.cumsum(exact) + 0.5 + 1e-9)
        for source, count in zip(SOURCES, np.diff(edges, prepend=0.0), strict=True):
            counts[source.name][row["abbreviation"]] = int(count)
    return counts


def _unscored(sizes: Mapping[str, int], copied: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """How many recordings of each source carry no scored code."""
    scored = {row["code"] for row in rows("challenge_counts.csv") if row["scored"] == "yes"}
    found = {
        one.name: round(one.unscored * sizes[one.name] / one.recordings)
        for one in SOURCES
        if one.unscored is not None
    }
    found["cpsc_2018"] = sum(scored.isdisjoint(codes) for codes in copied)
    full = sum(one.recordings for one in SOURCES[:6])
    wanted = round(UNSCORED_2020 * sum(sizes[name] for name in FIRST_SIX) / full)
    rest = wanted - sum(found.get(name, 0) for name in FIRST_SIX)
    return found | {"georgia": int(np.clip(rest, 0, sizes["georgia"]))}


def draw_codes(
    rng: np.random.Generator,
    source: str,
    recordings: int,
    counts: Mapping[str, int],
    unscored: int,
) -> list[tuple[str, ...]]:
    """The codes of each of so many recordings of a source.

    counts: how many recordings carry each abbreviation. unscored: how many have no scored code.
    A code that finds no place is left out, which happens in small twins only.
    """
    table = rows("challenge_counts.csv")
    places = {row["abbreviation"]: k for k, row in enumerate(table)}
    scored = [row["abbreviation"] for row in table if row["scored"] == "yes"]
    has = np.zeros((recordings, len(table)), bool)  # (N, C)
    order = rng.permutation(recordings)
    lawful = order[: recordings - unscored]  # with a scored code
    rhythms = [name for name in _RHYTHMS for _ in range(counts[name])][: len(lawful)]
    for place, name in zip(lawful, rhythms, strict=False):
        has[place, places[name]] = True
    free = lawful[len(rhythms) :]
    alone, joined = free[: counts["SA"]], counts["SA"] - len(free)
    has[alone, places["SA"]] = True
    if joined > 0:
        sinus = np.flatnonzero(has[:, [places[name] for name in _SINUS]].any(axis=1))
        chosen = rng.choice(sinus, min(joined, len(sinus)), replace=False)
        has[chosen, places["SA"]] = True
    bare = free[counts["SA"] :]
    others = [name for name in scored if name not in (*_RHYTHMS, "SA")]
    covered = _cover(
        rng, has, bare, {n: counts[n] for n in others if n not in _NEW_IN_2021}, places
    )
    lawful = np.setdiff1d(lawful, bare[covered:])
    _strew(rng, has, lawful, {name: counts[name] for name in others}, places)
    unlawful = np.setdiff1d(order, lawful)
    rest = {name: counts[name] for name in places if name not in scored}
    covered = _cover(rng, has, unlawful, rest, places)
    if covered < len(unlawful):  # more recordings than codes
        likely = np.array([int(row[source]) for row in table if row["scored"] == "no"])
        drawn = rng.choice(list(rest), len(unlawful) - covered, p=likely / likely.sum())
        has[unlawful[covered:], [places[name] for name in drawn]] = True
    _strew(rng, has, order, rest, places)
    return [tuple(table[k]["code"] for k in np.flatnonzero(line)) for line in has]


def _cover(
    rng: np.random.Generator,
    has: NDArray[np.bool_],
    bare: NDArray[np.int64],
    counts: Mapping[str, int],
    places: Mapping[str, int],
) -> int:
    """Give each of the recordings `bare` one code, as far as they go; says how far that is."""
    codes = rng.permutation([places[name] for name, count in counts.items() for _ in range(count)])
    number = min(len(codes), len(bare))
    has[bare[:number], codes[:number].astype(int)] = True
    return number


def _strew(
    rng: np.random.Generator,
    has: NDArray[np.bool_],
    among: NDArray[np.int64],
    counts: Mapping[str, int],
    places: Mapping[str, int],
) -> None:
    """Bring each abbreviation to its count, anywhere `among` those that it can stand in."""
    for name in sorted(counts, key=lambda name: (name not in _BUNDLES, -counts[name])):
        missing = counts[name] - int(has[:, places[name]].sum())
        denied = [places[name]] + [
            places[other]
            for other in places
            if name in _APART.get(other, ()) or other in _APART.get(name, ())
        ]
        fits = among[~has[np.ix_(among, np.array(denied))].any(axis=1)]
        chosen = rng.choice(fits, min(max(missing, 0), len(fits)), replace=False)
        has[chosen, places[name]] = True


def _double(rng: np.random.Generator, carried: dict[str, list[tuple[str, ...]]]) -> None:
    """Write one of the codes twice in some recordings of the first six sources."""
    where = [(name, k) for name in FIRST_SIX for k in range(len(carried[name]))]
    full = sum(one.recordings for one in SOURCES[:6])
    for place in rng.choice(len(where), round(DOUBLED * len(where) / full), replace=False):
        name, k = where[place]
        codes = carried[name][k]
        carried[name][k] = (*codes, str(rng.choice(codes)))
