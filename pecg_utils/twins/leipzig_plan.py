"""Who is in the Leipzig twin, and what beats in which order; no signal yet.

Sourced: how many beats of each kind there are, in how many records, the channels, about how many
marks of noise (`leipzig_subjects.csv` and `leipzig_beats.csv` say where each was read). Ours: the
order of the episodes, their lengths and rates, and how the counts are shared out between the
subjects.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins import rhythms
from pecg_utils.twins.heart import Heart
from pecg_utils.twins.rhythms import NONE, Beats
from pecg_utils.twins.tables import rows

FULL_MINUTES = 1107  # 18.45 h
NOISE_MARKS = 228  # annotations ~
LONGEST = 9000.0  # s, of the release's longest record
_LEAST = 15  # beats that a record has at any size
_BASE = ("sinus", "preexcited", "bundle")  # what a heart does between episodes
# Beats in an episode, from and to.
_EPISODE = {
    "AVRT": (30, 260),
    "AVNRT": (30, 260),
    "AVNRT+BII": (30, 90),
    "VT": (5, 60),
    "AFIB": (80, 400),
    "AFL": (60, 120),
    "IVR": (8, 30),
    "EAT": (15, 30),
    "paced atrium": (9, 33),
    "paced ventricle": (9, 33),
    "junctional": (6, 30),
    "avnrt": (1, 3),
    "avrt": (1, 3),
}
# Beats that stand alone within the base rhythm: symbol -> kind of QRS, and whether P goes before.
_ALONE = {
    "F": ("ventricular", True),
    "a": ("aberrant", True),
    "f": ("paced", True),
    "L": ("ventricular", True),
    "b": ("normal", True),
    "j": ("normal", False),
}


@dataclass(frozen=True)
class Course:
    """All that happens in one record. symbol, aux: (n,) for each beat, "" for one without QRS.

    begins: the rhythms' (time in s, name). noisy: stretches (k, 2) in s.
    """

    beats: Beats
    symbol: NDArray[np.str_]
    aux: NDArray[np.str_]
    begins: list[tuple[float, str]]
    noisy: NDArray[np.float64]
    seconds: float


def counts(minutes: float = FULL_MINUTES) -> dict[str, dict[str, int]]:
    """record -> kind -> beats, for a twin of about this many minutes.

    A kind that a record has at full size it has at least once at any size.
    """
    subjects = rows("leipzig_subjects.csv")
    found: dict[str, dict[str, int]] = {row["record"]: {} for row in subjects}
    for kind in rows("leipzig_beats.csv"):
        carriers = [row for row in subjects if _carries(row, kind["carriers"])]
        size = np.array([float(row["size"]) for row in carriers])
        full = _divided(int(kind["beats"]), size)
        share = minutes / FULL_MINUTES
        for row, number in zip(carriers, full, strict=True):
            if number:
                found[row["record"]][kind["kind"]] = max(1, round(number * share))
    for numbers in found.values():
        base = next(kind for kind in _BASE if kind in numbers)
        numbers[base] += max(0, _LEAST - sum(numbers.values()))
    return found


def _carries(subject: dict[str, str], carriers: str) -> bool:
    if carriers.startswith("all"):
        groups = carriers.split()
        listed = subject["group"] in groups or groups == ["all"]
        return listed or subject["record"] in groups
    return subject["diagnosis"] in carriers.split() or subject["record"] in carriers.split()


def _divided(total: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """`total` in whole parts by `weights` (n,), none of them 0 while there is enough."""
    exact = total * weights / weights.sum()
    parts = np.maximum(np.floor(exact), 1).astype(np.int64)
    order = np.argsort(parts - exact)  # those that lost most get the rest first
    for k in range(total - int(parts.sum())):
        parts[order[k % len(order)]] += 1
    while parts.sum() > total:
        parts[parts.argmax()] -= 1
    return np.asarray(parts)


def course(
    rng: np.random.Generator, hearts: dict[str, Heart], numbers: dict[str, int], left_sided: bool
) -> Course:
    """What beats in which order in a record with these `numbers` of beats, kind -> beats.

    hearts: by kind of beat. left_sided: whether the record's pathway, if any, is on the left.
    """
    episodes = _episodes(rng, numbers)
    parts, symbols, texts, begins = [], [], [], []
    at = 0.0
    before = ""
    for kind, number, alone in episodes:
        row = _KINDS[kind]
        made, symbol, seconds = _play(rng, hearts, kind, number, alone, left_sided)
        shifted = replace(made, p=made.p + at, qrs=made.qrs + at)
        if row["rhythm"] and row["rhythm"] != before:
            begins.append((at + 0.001, row["rhythm"]))
            before = row["rhythm"]
        text = np.where(symbol == row["symbol"], row["aux"], "")
        parts.append(shifted)
        symbols.append(symbol)
        texts.append(text)
        at += seconds
    beats = Beats(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS}
    )
    order = np.argsort(np.where(np.isnan(beats.qrs), beats.p, beats.qrs), kind="stable")
    symbol, aux = np.concatenate(symbols)[order], np.concatenate(texts)[order]
    noisy = _noise(rng, at, sum(numbers.values()))
    return Course(beats.only(order), symbol, aux, begins, noisy, at)


_FIELDS = ("p", "p_kind", "qrs", "qrs_kind", "gain", "shaking")
_KINDS = {row["kind"]: row for row in rows("leipzig_beats.csv")}


def _episodes(
    rng: np.random.Generator, numbers: dict[str, int]
) -> list[tuple[str, int, dict[str, int]]]:
    """The order of a record's episodes: (kind, beats, beats that stand alone in it)."""
    base = {kind: numbers[kind] for kind in _BASE if numbers.get(kind)}
    between = [
        (kind, size)
        for kind, (least, most) in _EPISODE.items()
        for size in _cut(rng, numbers.get(kind, 0), least, most)
    ]
    rng.shuffle(between)
    stretches = len(between) + 1
    alone = {
        kind: rng.multinomial(count, np.full(stretches, 1 / stretches))
        for kind, count in numbers.items()
        if kind in ("atrial", "ventricular") or kind.startswith("rarely")
    }
    lengths = {
        kind: rng.multinomial(count, rng.dirichlet(np.full(stretches, 2.0)))
        for kind, count in base.items()
    }
    order: list[tuple[str, int, dict[str, int]]] = []
    for k in range(stretches):
        extra = {kind: int(shares[k]) for kind, shares in alone.items() if shares[k]}
        for kind in base:  # a premature beat needs beats around it, which it is not one of
            order.append((kind, int(lengths[kind][k]), extra))
            extra = {}
        if k < len(between):
            order.append((*between[k], {}))
    return [one for one in order if one[1] or one[2]]


def _cut(rng: np.random.Generator, number: int, least: int, most: int) -> list[int]:
    """`number` beats in episodes of `least` to `most`; the last one takes what is left."""
    sizes = []
    while number > 0:
        size = min(number, int(rng.integers(least, most + 1)))
        sizes.append(size)
        number -= size
    return sizes


def _play(
    rng: np.random.Generator,
    hearts: dict[str, Heart],
    kind: str,
    number: int,
    alone: dict[str, int],
    left_sided: bool,
) -> tuple[Beats, NDArray[np.str_], float]:
    """One episode from 0 s on: its beats, their symbols, and how long it takes in s."""
    total = number + sum(alone.values())
    heart = hearts["normal"]
    long = total * 60 / min(heart.rate, 60) + 20  # s, enough for any rhythm here
    row = _KINDS[kind]
    if kind in _BASE:
        qrs_kind = {"sinus": "normal", "preexcited": "preexcited", "bundle": "aberrant"}[kind]
        made = _first(rhythms.sinus(rng, heart, long, qrs_kind), total)
        if kind == "preexcited":
            made = replace(made, p=made.qrs - hearts["preexcited"].pr / 1000)
        symbol = np.full(total, row["symbol"], "U1")
        made, symbol = _with_alone(rng, made, symbol, heart, alone)
    else:
        made = _first(_tachycardia(rng, hearts, kind, long, left_sided), total)
        symbol = np.where(np.isnan(made.qrs), "", row["symbol"]).astype("U1")
    there = made.qrs[~np.isnan(made.qrs)]
    rr = float(np.diff(there).mean()) if len(there) > 1 else 60 / heart.rate
    start = float(np.nanmin(np.fmin(made.p, made.qrs)))
    start = min(start, float(there[0]))
    # The first wave comes 60 ms after the episode's start, the next episode when a beat is due.
    lag = 0.06 - start
    seconds = float(there[-1]) + lag + max(rr - 0.2, 0.12)
    return replace(made, p=made.p + lag, qrs=made.qrs + lag), symbol, seconds


def _first(beats: Beats, number: int) -> Beats:
    """The beats up to the `number`-th QRS complex, from the first whole one on."""
    beats = beats.only(~(np.fmin(beats.p, beats.qrs) < 0))
    last = np.flatnonzero(~np.isnan(beats.qrs))[number - 1]
    return beats.only(np.arange(last + 1))


def _with_alone(
    rng: np.random.Generator,
    beats: Beats,
    symbol: NDArray[np.str_],
    heart: Heart,
    alone: dict[str, int],
) -> tuple[Beats, NDArray[np.str_]]:
    """Some of the beats of a base rhythm become those that stand alone in it."""
    free = rng.permutation(np.arange(len(beats)))
    used = 0
    for kind, count in alone.items():
        places = np.sort(free[used : used + count])
        used += count
        mark = _KINDS[kind]["symbol"]
        if kind in ("atrial", "ventricular"):
            beats = rhythms.early(rng, beats, heart, places, kind)
        else:
            qrs_kind, follows = _ALONE[mark]
            p, kinds = beats.p.copy(), beats.qrs_kind.copy()
            kinds[places] = qrs_kind
            if not follows:
                p[places] = NONE
            beats = replace(beats, p=p, qrs_kind=kinds)
        symbol[places] = mark
    return beats, symbol


def _tachycardia(
    rng: np.random.Generator, hearts: dict[str, Heart], kind: str, long: float, left_sided: bool
) -> Beats:
    """An episode's rhythm, longer than it has to be. Rates and intervals are ours."""
    heart = hearts["normal"]
    if kind in ("AVNRT", "avnrt"):  # atria and ventricles at once
        rate = float(rng.uniform(165, 215))
        return rhythms.regular(rng, rate, long, -rng.uniform(0.01, 0.05), "retrograde")
    if kind == "AVNRT+BII":  # every second wave of the circle is not conducted downwards
        beats = rhythms.regular(rng, 2 * float(rng.uniform(82, 100)), long, -0.03, "retrograde")
        return replace(beats, qrs=np.where(np.arange(len(beats)) % 2, NONE, beats.qrs))
    if kind in ("AVRT", "avrt"):  # down the node, back through the pathway
        where = "eccentric" if left_sided else "retrograde"
        return rhythms.regular(
            rng, float(rng.uniform(170, 225)), long, -float(rng.uniform(0.085, 0.14)), where
        )
    if kind in ("VT", "IVR"):  # the atria go on by themselves
        rate = float(rng.uniform(150, 210)) if kind == "VT" else float(rng.uniform(55, 85))
        ventricles = rhythms.regular(rng, rate, long, NONE, qrs_kind="ventricular")
        atria = rhythms.sinus(rng, heart, long)
        return rhythms.joined([ventricles, replace(atria, qrs=np.full(len(atria), NONE))])
    if kind == "AFIB":
        return rhythms.fibrillation(rng, float(rng.uniform(95, 135)), long)
    if kind == "AFL":
        return rhythms.flutter(rng, float(rng.uniform(250, 300)), 4 * long, 2)
    if kind == "EAT":
        return rhythms.regular(rng, float(rng.uniform(140, 170)), long, 0.13, "ectopic")
    if kind == "paced atrium":
        return rhythms.regular(rng, float(rng.uniform(100, 150)), long, 0.17, "paced", jitter=0.001)
    if kind == "paced ventricle":
        rate = float(rng.uniform(100, 150))
        return rhythms.regular(rng, rate, long, -0.16, "retrograde", "paced", jitter=0.001)
    return rhythms.regular(rng, float(rng.uniform(65, 95)), long, NONE)  # junctional


def _noise(rng: np.random.Generator, seconds: float, beats: int) -> NDArray[np.float64]:
    """The noisy stretches of a record, (k, 2) in s: its share of the release's, each 1 to 6 s."""
    all_beats = sum(int(row["beats"]) for row in _KINDS.values())
    count = rng.poisson(NOISE_MARKS * beats / all_beats)
    start = np.sort(rng.uniform(0, max(seconds - 8, 1), count))
    return np.stack([start, start + rng.uniform(1, 6, count)], axis=1)
