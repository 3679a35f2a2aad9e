"""Small parts of a training side: nested, and with as many positives in proportion."""

import numpy as np
import pytest

from pecg_utils.data.small import nested


@pytest.mark.parametrize("share", [0.06, 0.25, 0.5, 0.9])
def test_each_part_holds_as_many_positives_in_proportion(share: float) -> None:
    positive = np.random.default_rng(0).uniform(size=350) < share
    order = nested(positive, [3, 1])
    assert sorted(order) == list(range(350))
    count = np.cumsum(positive[order])
    wanted = np.arange(1, 351) * positive.mean()
    assert np.abs(count - wanted).max() <= 1


def test_another_seed_draws_others_and_the_same_seed_the_same() -> None:
    positive = np.arange(100) % 4 == 0
    first, again, other = nested(positive, [0, 0]), nested(positive, [0, 0]), nested(positive, 1)
    np.testing.assert_array_equal(first, again)
    assert set(first[:50]) != set(other[:50])


def test_a_side_of_one_kind_is_drawn_too() -> None:
    assert sorted(nested(np.zeros(9, dtype=bool), 0)) == list(range(9))
