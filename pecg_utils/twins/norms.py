"""Normal heart rate, intervals, axis and amplitudes of children by age.

The values are in `norms.csv`, rounded after Rijnbeek et al. 2001 (Eur Heart J 22:702-711) and
Davignon et al. 1980 (Pediatr Cardiol 1:123-131), and tagged *ours* for the rounding.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins.tables import rows

# Spread of an amplitude between healthy children, as a fraction of its mean (ours; the printed
# percentile bands are wider, since they also hold differences of electrode placement).
AMPLITUDE_SPREAD = 0.25
ADULT_SPREAD = 0.36  # as in PTB-XL's first 500 recordings, placement included


@cache
def _columns() -> dict[str, NDArray[np.float64]]:
    table = rows("norms.csv")
    return {name: np.array([float(row[name]) for row in table]) for name in table[0]}


def normal(name: str, age_days: float) -> float:
    """The normal value of `name` at an age in days: 1/min, ms, degrees or mV (see norms.csv).

    Between the table's ages the value is linear in the logarithm of the age, since a child's heart
    changes as much in the first month as in later years; outside of them it stays constant.
    """
    table = _columns()
    log_age = np.log(max(age_days, 1.0))
    return float(np.interp(log_age, np.log(table["age"]), table[name]))
