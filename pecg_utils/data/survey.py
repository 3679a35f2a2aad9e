"""What was found in folders of recordings, read whole: the table of the book's page on datasets."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pecg_utils.data import duplicates, quality
from pecg_utils.data.recording import UNKNOWN, Dataset


def survey(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Open every recording of every dataset; for JSON.

    `datasets` holds one entry each: recordings, patients (0 where none is named), sources, rates,
    leads, hours, labels with their counts, the quality report and, where the table says at which
    site a recording was made, sites: the recordings and the labels of each. `copies` holds the
    groups of recordings with the same samples, each a list of (dataset, record, patient).
    """
    found = [_one(dataset) for dataset in datasets]
    # `hospitals` is made of the others' files, so that beside them it would be all copies.
    own = [dataset for dataset in datasets if dataset.name != "hospitals"]
    copies = duplicates.find(own or datasets)
    groups = [
        part[["dataset", "record", "patient"]].to_numpy().tolist()
        for _, part in copies.groupby("group")
    ]
    return {"datasets": found, "copies": groups}


def _one(dataset: Dataset) -> dict[str, Any]:
    table = dataset.table
    known = table["patient"] != UNKNOWN
    seconds = (table["n_samples"] / table["fs"]).sum()
    return {
        "dataset": dataset.name,
        "kind": dataset.kind,
        "recordings": len(table),
        "patients": int(table["patient"][known].nunique()),
        "sources": sorted(table["source"].unique().tolist()),
        "rates": sorted(float(rate) for rate in table["fs"].dropna().unique()),
        "leads": sorted(int(count) for count in table["n_leads"].dropna().unique()),
        "hours": round(float(seconds) / 3600, 2),
        "unlabelled": int((~dataset.labels.any(axis=1)).sum()),
        "labels": _counts(dataset.labels),
        "quality": quality.inspect(dataset).as_json(),
        **({"sites": _by_site(dataset)} if "site" in table else {}),
    }


def _by_site(dataset: Dataset) -> dict[str, Any]:
    return {
        str(site): {"recordings": len(labels), "labels": _counts(labels)}
        for site, labels in dataset.labels.groupby(dataset.table["site"].to_numpy())
    }


def _counts(labels: pd.DataFrame) -> dict[str, int]:
    return {str(name): int(count) for name, count in labels.sum().items()}
