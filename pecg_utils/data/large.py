"""What models are taught on before a small task: a large dataset, less what the small one is.

A model that has met a patient, or the very question, in its first training is no stranger to the
small task. So the recordings of the small task's site go, and so do the labels that say what it
asks.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pecg_utils.data import hospitals
from pecg_utils.data.recording import Dataset, people, sites
from pecg_utils.errors import PecgError

_SCORED = ("IRBBB", "CRBBB|RBBB", "BBB")
# Dataset -> the classes that say, or may say, what PTB-XL's task `right` asks (*ours*). BBB is a
# block of a branch that is not named. Right axis deviation stays: it is no statement of the task.
# PTB-XL itself is not here. Its superclass CD holds the right blocks beside all others, HYP the
# right hypertrophies, and its patients are those of the small task: it cannot come before it.
OF_RIGHT: dict[str, tuple[str, ...]] = {
    "hospitals": _SCORED,
    "challenge": _SCORED,
    "cpsc2018": ("RBBB",),
}
SITE = hospitals.PTBXL_SITE  # where the small task's patients were recorded


def without(dataset: Dataset, site: str | None, labels: Sequence[str]) -> Dataset:
    """`dataset` without the recordings of `site` and without the label columns `labels`.

    site: as recording.sites names it; one that is not there takes nothing away. A recording that
    carried nothing but these labels stays, as one that carries none of the rest. `Run.windows`
    leaves such out where it is asked for labelled ones, of every dataset but PTB-XL.
    Raises PecgError when there is no such label, or when no recording or no label is left.
    """
    unknown = [code for code in labels if code not in dataset.labels.columns]
    if unknown:
        raise PecgError(
            f"{dataset.name} has no label {', '.join(unknown)} that could be left out; it has "
            f"{', '.join(dataset.labels.columns)}."
        )
    elsewhere = (sites(dataset.table) != site).to_numpy()
    if not elsewhere.any():
        raise PecgError(
            f"All {len(elsewhere)} recordings in {dataset.root} were made at the site {site}, so "
            "that none is left without it. Give a folder with other sites too."
        )
    return _of(
        dataset.only(elsewhere), [code for code in dataset.labels.columns if code not in labels]
    )


def enough(dataset: Dataset, least: int) -> Dataset:
    """`dataset` with the label columns only that at least `least` people carry.

    People are patients, or recording.people's stand-ins where no patient is named.
    Raises PecgError when there is no such label.
    """
    of = people(dataset.table).to_numpy()
    flags = dataset.labels.to_numpy(dtype=bool)
    counts = [len(np.unique(of[flag].astype(str))) for flag in flags.T]
    kept = [code for code, n in zip(dataset.labels.columns, counts, strict=True) if n >= least]
    if not kept:
        raise PecgError(
            f"No label in {dataset.root} has {least} people who carry it; the most is "
            f"{max(counts, default=0)}. Ask for fewer, or give more recordings."
        )
    return _of(dataset, kept)


def _of(dataset: Dataset, codes: Sequence[str]) -> Dataset:
    """The same recordings with the label columns `codes` alone."""
    if not codes:
        raise PecgError(f"No label of {dataset.name} is left when all of them are left out.")
    names = {code: dataset.label_names[code] for code in codes}
    return replace(dataset, labels=dataset.labels[list(codes)], label_names=names)
