"""What was found in folders of recordings, read whole: the table of the book's page on datasets."""

from collections.abc import Sequence
from typing import Any

from pecg_utils.data import duplicates, quality
from pecg_utils.data.recording import UNKNOWN, Dataset


def survey(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Open every recording of every dataset; for JSON.

    `datasets` holds one entry each: recordings, patients (0 where none is named), sources, rates,
    leads, hours, labels with their counts, and the quality report. `copies` holds the groups of
    recordings with the same samples, each a list of (dataset, record, patient).
    """
    found = [_one(dataset) for dataset in datasets]
    copies = duplicates.find(datasets)
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
        "labels": {str(name): int(count) for name, count in dataset.labels.sum().items()},
        "quality": quality.inspect(dataset).as_json(),
    }
