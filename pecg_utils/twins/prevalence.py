"""Sets of labels that stand together, each label as frequent as in a release."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


def raked(
    sets: Sequence[frozenset[str]],
    counts: Sequence[float],
    shares: Mapping[str, float],
    rounds: int = 60,
) -> NDArray[np.float64]:
    """How probable each of `sets` is, (sets,): as by its count, moved as little as it takes.

    counts: (sets,) how often each set was seen. shares: of the recordings that carry each label.
    Iterative proportional fitting (Deming and Stephan 1940, Ann Math Stat 11:427-444); where the
    shares contradict each other, the last ones win. A label that no set holds is passed over.
    """
    weights = np.asarray(counts, float) / np.sum(counts)
    members = [(np.array([label in one for one in sets]), share) for label, share in shares.items()]
    for _ in range(rounds):
        for mine, share in members:
            now = weights[mine].sum()
            if 0 < now < 1:
                weights[mine] *= share / now
                weights[~mine] *= (1 - share) / (1 - now)
    return np.asarray(weights / weights.sum())


def spread(
    rng: np.random.Generator, weights: NDArray[np.float64], number: int
) -> NDArray[np.int64]:
    """`number` draws from `weights` (sets,), as even as can be, in random order: (number,).

    A set of weight w comes up w times `number`, rounded up or down.
    """
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    edges[-1] = 1.0
    places = (np.arange(number) + rng.uniform()) / number
    return rng.permutation(np.searchsorted(edges, places, side="right") - 1)


def shared_out(
    counts: Mapping[str, int], number: int, least: Mapping[str, int] = MappingProxyType({})
) -> dict[str, int]:
    """`number` things shared out in proportion to `counts`, each part rounded up or down.

    A part below its `least` is raised to it where another has more than its own least.
    """
    total = sum(counts.values())
    parts = {name: number * count // total for name, count in counts.items()}
    rest = {name: number * count % total for name, count in counts.items()}
    for name in sorted(rest, key=lambda name: -rest[name])[: number - sum(parts.values())]:
        parts[name] += 1
    for name in parts:
        while parts[name] < least.get(name, 0):
            richest = max(parts, key=lambda other: parts[other] - least.get(other, 0))
            if parts[richest] <= least.get(richest, 0):
                break
            parts[richest] -= 1
            parts[name] += 1
    return parts
