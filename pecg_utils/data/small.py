"""Small parts of a training side, each of which holds the next smaller one.

A learning curve asks what more recordings bring. Were each size drawn anew, the curve would also
show who was drawn.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def nested(positive: npt.NDArray[np.bool_], seed: int | Sequence[int]) -> npt.NDArray[np.intp]:
    """An order of the recordings, positive (n,) or not, drawn at random: (n,) of their numbers.

    The first k of them hold as many positives, in proportion, as all do, give or take one.
    """
    generator = np.random.default_rng(seed)
    place = np.empty(len(positive))
    for kind in (True, False):
        members = np.flatnonzero(positive == kind)
        dealt = generator.permutation(len(members))
        place[members] = (dealt + 0.5) / max(len(members), 1)
    return np.argsort(place, kind="stable")
