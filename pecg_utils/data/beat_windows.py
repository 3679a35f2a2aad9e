"""MIT-BIH's beats, one window each, as prepared windows.

| what | |
| --- | --- |
| window | 0.5 s before the annotated R wave and 0.5 s after it, 360 samples (*ours*) |
| leads | MLII, and whichever the other one is, named in the table |
| classes | the five of ANSI/AAMI EC57 (`mitdb.AAMI`), without the four paced recordings |
| signal | as recorded, at 360 Hz; nothing is filtered (*ours*) |

The windows of neighbouring beats overlap wherever the heart beats faster than 60 a minute, so that
a split by window shows the test side samples that were trained on.
"""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files, progress
from pecg_utils.data import mitdb, prepared
from pecg_utils.data.quality import Fault, Report, examine, unread
from pecg_utils.data.recording import Dataset
from pecg_utils.data.windows import Settings, Windows, data_fingerprint
from pecg_utils.errors import PecgError

MLII, OTHER = "MLII", "other"  # the leads, as the windows name them
BEFORE, AFTER = 0.5, 0.5  # s
_LAYOUT = 1  # part of the key; raise it when the files' layout changes
_FILES = ("windows.i16", "gain.npy", "table.csv", "manifest.json")


def prepare(
    dataset: Dataset,
    cache: Path,
    before: float = BEFORE,
    after: float = AFTER,
    fingerprint: str = "",
) -> Windows:
    """The beats of a MIT-BIH folder, found in `cache` or made there: leads MLII and other.

    The table has, beside the usual columns, division (DS1 or DS2), other (the second lead's name),
    symbol (WFDB's), at (the R wave, s), start and end (s). labels: (N, 5) bool, one true a row.
    The report names the recordings that are shut out, the paced ones among them, and how many beats
    of which class lie so near an end of their recording that the window does not fit.

    before, after: s, of the R wave. fingerprint: of the dataset's contents, when it is known.
    Raises PecgError for another dataset, when no recording is left, and when the disk is full.
    """
    if dataset.name != "mitdb":
        raise PecgError(f"Beats are cut from MIT-BIH; {dataset.root} is {dataset.name}'s.")
    extent = (round(before * mitdb.FS), round(after * mitdb.FS))
    if min(extent) < 0 or sum(extent) < 1:
        raise PecgError(
            f"A window from {before:g} s before a beat to {after:g} s after it is none."
        )
    settings = Settings((MLII, OTHER), mitdb.FS, sum(extent) / mitdb.FS)
    parts = [
        fingerprint or data_fingerprint(dataset),
        files.fingerprint(dataset.table["record"].astype(str)),
        json.dumps({**settings.told, "before": extent[0]}, sort_keys=True),
        f"beats {_LAYOUT}",
    ]
    return prepared.find_or_make(
        cache / files.fingerprint(parts),
        _FILES,
        lambda scratch: _make(dataset, settings, extent, scratch),
        lambda folder: _load(dataset, settings, extent, folder),
    )


def _make(dataset: Dataset, settings: Settings, extent: tuple[int, int], folder: Path) -> None:
    faults: list[Fault] = []
    gains: list[npt.NDArray[np.float32]] = []
    tables: list[pd.DataFrame] = []
    rows = range(len(dataset.table))
    with (folder / "windows.i16").open("wb") as out:
        for row in progress.track(rows, len(rows), f"preparing beats of {dataset.name}"):
            table, cut, found = _cut(dataset, row, extent, settings.seconds)
            faults += found
            if table is None:
                continue
            steps, gain = prepared.to_steps(cut)  # (n, 2, T), (n, 2)
            out.write(steps.tobytes())
            gains.append(gain)
            tables.append(table)
    report = Report(len(rows), tuple(faults))
    if not tables:
        raise PecgError(prepared.nothing_left(dataset, report))
    (folder / "gain.npy").write_bytes(files.array_bytes(np.concatenate(gains)))
    pd.concat(tables).to_csv(folder / "table.csv", index=False)
    manifest = {"settings": asdict(settings), "report": report.as_json()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _cut(
    dataset: Dataset, row: int, extent: tuple[int, int], seconds: float
) -> tuple[pd.DataFrame | None, npt.NDArray[np.float32], list[Fault]]:
    """The beats of recording `row`, (n, 2, T) in mV, and their table; or None, and the faults."""
    record, none = str(dataset.table["record"].iat[row]), np.zeros((0, 2, sum(extent)), np.float32)
    if record in mitdb.PACED:
        fault = Fault(record, "paced", "left out, as ANSI/AAMI EC57 says", True)
        return None, none, [fault]
    try:
        recording = dataset.read(row)
        beats = mitdb.beats(dataset.path(row))
    except PecgError as error:
        return None, none, [unread(record, error)]
    other = next((lead for lead in recording.leads if lead != MLII), "a second one")
    signal, faults = examine(recording, dataset.rate(row), [MLII, other], seconds)
    if signal is None:
        return None, none, faults
    at = beats["sample"].to_numpy()
    fits = (at >= extent[0]) & (at + extent[1] <= len(signal))
    if not fits.all():
        near = ", ".join(f"{name} {n}" for name, n in Counter(beats["aami"][~fits]).items())
        faults.append(Fault(record, "beat at the edge", near, excluded=not fits.any()))
    if not fits.any():
        return None, none, faults or [Fault(record, "no beat", "none is annotated", True)]
    every = np.lib.stride_tricks.sliding_window_view(signal, sum(extent), axis=0)  # (·, 2, T)
    return beats[fits].assign(row=row, other=other), every[at[fits] - extent[0]], faults


def _load(dataset: Dataset, settings: Settings, extent: tuple[int, int], folder: Path) -> Windows:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    index = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    row, at = index["row"].to_numpy(dtype=int), index["sample"].to_numpy(dtype=int)
    columns = ["record", "patient", "source", "age_days", "sex", "division"]
    table = dataset.table[columns].iloc[row].reset_index(drop=True)
    table["other"], table["symbol"] = index["other"], index["symbol"]
    table["at"] = at / mitdb.FS
    table["start"], table["end"] = (at - extent[0]) / mitdb.FS, (at + extent[1]) / mitdb.FS
    classes = tuple(mitdb.LABELS)
    return Windows(
        steps=np.memmap(folder / "windows.i16", "<i2", "r", shape=(len(index), 2, sum(extent))),
        gain=np.load(folder / "gain.npy"),
        table=table,
        labels=index["aami"].to_numpy()[:, None] == np.array(classes),
        classes=classes,
        settings=settings,
        report=Report.from_json(manifest["report"]),
        key=folder.name,
    )
