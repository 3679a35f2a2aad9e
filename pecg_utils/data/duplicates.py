"""Recordings with the same samples, within a dataset and across datasets.

Releases copy one another: the Challenge holds PTB-XL, and PTB-XL holds some recordings twice. Two
recordings are the same here when they have as many samples and leads and agree in every tenth
sample of all leads. Windows carry the same digest in their column `same`, by which `splits` keeps
such recordings on one side.
"""

from collections.abc import Sequence

import pandas as pd

from pecg_utils import progress
from pecg_utils.data.quality import digest
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError


def digests(dataset: Dataset) -> pd.DataFrame:
    """One row a recording that can be read: dataset, record, patient and digest of its samples."""
    rows = []
    todo = range(len(dataset.table))
    for row in progress.track(todo, len(todo), f"reading {dataset.name}"):
        try:
            recording = dataset.read(row)
        except PecgError:  # quality.py names it
            continue
        rows.append((dataset.name, recording.record, recording.patient, digest(recording.signal)))
    return pd.DataFrame(rows, columns=["dataset", "record", "patient", "digest"])


def find(datasets: Sequence[Dataset]) -> pd.DataFrame:
    """The recordings that have a copy: dataset, record, patient, and the number of their group.

    Groups are numbered from 1 in the order in which their first recordings stand.
    """
    every = pd.concat([digests(dataset) for dataset in datasets], ignore_index=True)
    copied = every[every["digest"].duplicated(keep=False)].reset_index(drop=True)
    copied["group"] = pd.factorize(copied["digest"])[0] + 1
    return copied.drop(columns="digest").sort_values("group", kind="stable", ignore_index=True)
