"""CPSC2018 as the released code of MRM-Net prepares it, in more than one way (wxhdf/MRM c581ee6).

| way | labels | recordings under 10 s | axes |
| --- | --- | --- | --- |
| data_process.py:258-271 | all of a recording | stretched in time to 10 s | leads × samples |
| data_load.py:81, 219, 243 | the first one alone | as above, *ours* | transposed |
| the same, axes kept, *ours* | the first one alone | as above | leads × samples |
| sound, *ours* | all of a recording | zeros after their end | leads × samples |

Longer recordings are cut to their first 10 s. The code's readme points at data_load.py; which way
the paper's table was made by is not known. data_load.py divides 80:10:10 without a seed; here all
ways are divided by the run's.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.beats import beats
from pecg_utils.data import prepared
from pecg_utils.data.recording import Dataset
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError

# Upper ends of the classes of heart rate, 1/min to one decimal; from 60 to 100 is called normal.
RATES = {"under 60 a minute": 59.95, "60 to 100 a minute": 100.0, "over 100 a minute": np.inf}


def says_first(dataset: Dataset) -> bool:
    """Whether the recordings say which of their labels is the first; the WFDB copy does not."""
    return "first" in dataset.table and bool((dataset.table["first"] != "").any())


def first_alone(dataset: Dataset) -> Dataset:
    """The same recordings, each with the first of its labels alone.

    Raises PecgError where the dataset does not say which label is the first, as the WFDB copy.
    """
    if not says_first(dataset):
        raise PecgError(
            f"The recordings in {dataset.root} do not say which of their labels is the first; "
            "the Challenge's own files with REFERENCE.csv do."
        )
    names = dataset.labels.columns
    alone = dataset.table["first"].to_numpy()[:, None] == names.to_numpy()[None]  # (recordings, C)
    labels = pd.DataFrame(alone & dataset.labels.to_numpy(bool), columns=names)
    return replace(dataset, labels=labels)


def transposed(windows: Windows) -> Windows:
    """The same windows with leads and samples in each other's place: (N, T, L).

    A model of them takes every sample for a lead of its own, and the leads for time.
    """
    millivolts = windows.millivolts(np.arange(len(windows))).transpose(0, 2, 1)  # (N, T, L)
    steps, gain = prepared.to_steps(np.ascontiguousarray(millivolts))
    samples = tuple(f"sample {place}" for place in range(steps.shape[1]))
    return replace(
        windows, steps=steps, gain=gain, settings=replace(windows.settings, leads=samples)
    )


def heart_rates(windows: Windows) -> npt.NDArray[np.float64]:
    """What a model could read off the windows as the heart rate: (N,) 1/min.

    60 s over the middle RR interval, to one decimal; NaN where fewer than three beats were found.
    """
    rates = np.full(len(windows), np.nan)
    for row in range(len(windows)):
        signal = windows.millivolts(np.array([row]))[0].T  # (T, L)
        at = beats(np.ascontiguousarray(signal), windows.settings.fs)
        if len(at) > 2:
            rates[row] = round(60 / float(np.median(np.diff(at))), 1)
    return rates
