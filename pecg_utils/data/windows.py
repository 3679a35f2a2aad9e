"""Recordings, cut into windows, in one memory-mapped array.

A prepared set is a folder of five files: the windows as int16 (windows, leads, samples), the gain
of each lead of each window in mV a step, a table with one row a window, a manifest with the
settings and the quality report, and the checksums of these four. The folder's name is a key over
the contents of the dataset's files and the settings, so that an equal request finds it again and a
changed file never does. `prepared.py` makes it, whole or not at all.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import files, filters, progress, signal
from pecg_utils.data import prepared, quality
from pecg_utils.data.quality import Fault, Report, check
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

_LAYOUT = 3  # part of the key; raise it when the files' layout changes
_FILES = ("windows.i16", "gain.npy", "table.csv", "manifest.json")
_THREADS = 2  # numpy leaves the interpreter to the other one while it reckons
_AHEAD = 64  # recordings read before they are written: what bounds the memory
_LEAST_SECONDS = 1.0  # of a recording of which the whole is one window


@dataclass(frozen=True)
class Settings:
    """How windows are cut. fs: their rate, Hz. seconds: their length, s. leads: by name.

    antialias: filter before the rate is lowered. Without it every n-th sample is kept. whole: a
    recording is one window, its first `seconds`, and zeros after its end where it is shorter.
    stretch: with `whole`, a shorter one is drawn out in time to `seconds`, and no zeros are added.
    squeeze: with `whole`, all of a longer one is pressed together to `seconds`, filtered before
    whatever `antialias` says, and nothing is cut off. With both, every recording fills `seconds`,
    at a heart rate that it did not have. filter: one of filters.FILTERS, run at `fs` on the whole
    recording, or with `whole` on its `seconds` and the zeros after its end.

    Raises PecgError for a filter that there is not.
    """

    leads: tuple[str, ...]
    fs: float = 100.0
    seconds: float = 3.0
    antialias: bool = True
    whole: bool = False
    stretch: bool = False
    squeeze: bool = False
    filter: str = "none"

    def __post_init__(self) -> None:
        filters.known(self.filter)

    @property
    def told(self) -> dict[str, Any]:
        """What a key is made from: without a filter that of windows from before there were any."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("filter", "none")}

    @property
    def timing(self) -> str:
        """What is done to a recording's time, in words; empty where it is left as it was."""
        done = {"stretched": self.stretch, "squeezed": self.squeeze}
        return " and ".join(word for word, so in done.items() if so and self.whole)


@dataclass(frozen=True)
class Windows:
    """Prepared windows.

    steps: (N, L, T) int16, memory-mapped. gain: (N, L) float32, mV a step.
    table: one row a window, with record, patient, source, age_days, sex, start (s), same (equal for
    recordings with the same samples) and, where there is one, site, fold or proxy. labels: (N, C)
    bool. classes: the label codes. report: what was wrong.
    """

    steps: npt.NDArray[np.int16]
    gain: npt.NDArray[np.float32]
    table: pd.DataFrame
    labels: npt.NDArray[np.bool_]
    classes: tuple[str, ...]
    settings: Settings
    report: Report
    key: str

    def __len__(self) -> int:
        return len(self.table)

    @property
    def copies(self) -> int:
        """How many recordings have the samples of another one."""
        once = self.table.drop_duplicates("record")
        return int(once["same"].duplicated(keep=False).sum())

    def millivolts(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """The windows `rows`, (n, L, T) float32, mV."""
        return self.steps[rows] * self.gain[rows][:, :, None]

    def lead(self, record: str, name: str = "II") -> npt.NDArray[np.float32]:
        """One lead of a recording's first window, (T,) mV."""
        row = np.flatnonzero(self.table["record"] == record)[:1]
        found: npt.NDArray[np.float32] = self.millivolts(row)[0, self.settings.leads.index(name)]
        return found


def data_fingerprint(dataset: Dataset) -> str:
    """A fingerprint over the contents of every file of the dataset, missing ones included."""

    def digest(row: int) -> list[bytes]:
        try:
            path = dataset.path(row)
            header = path.with_name(path.name + ".hea").read_bytes()
        except (PecgError, OSError, ValueError):  # ValueError: no name for a file
            return [b"missing"]
        lines = (line.split() for line in header.splitlines()[1:])
        named = sorted({words[0] for words in lines if words and not words[0].startswith(b"#")})
        return [header, *(_digest(path.parent, os.fsdecode(name)) for name in named)]

    rows = range(len(dataset.table))
    with ThreadPoolExecutor(4) as pool:
        digests = progress.track(pool.map(digest, rows), len(rows), "reading the files' contents")
        parts = [_digest(table.parent, table.name) for table in dataset.tables]
        for path, contents in zip(dataset.table["path"], digests, strict=True):
            parts += [str(path).encode(), *contents]
    return files.fingerprint(parts)


def _digest(folder: Path, name: str) -> bytes:
    try:
        return files.file_digest(folder / name)
    except (OSError, ValueError):
        return b"missing"


def prepare(dataset: Dataset, settings: Settings, cache: Path, fingerprint: str = "") -> Windows:
    """The windows of `dataset`, found in `cache` or made there.

    fingerprint: of the dataset's contents, when it is known already.
    Raises PecgError when no recording is left, and when the disk is full.
    """
    fingerprint = fingerprint or data_fingerprint(dataset)
    records = files.fingerprint(dataset.table["record"].astype(str))
    key = files.fingerprint(
        [fingerprint, records, json.dumps(settings.told, sort_keys=True), str(_LAYOUT)]
    )
    return prepared.find_or_make(
        cache / key,
        _FILES,
        lambda scratch: _make(dataset, settings, scratch),
        lambda folder: _load(dataset, settings, folder),
    )


def _make(dataset: Dataset, settings: Settings, folder: Path) -> None:
    rows: list[int] = []
    first: dict[bytes, str] = {}  # digest of the samples: the first recording that has them
    same: list[str] = []
    starts: list[float] = []
    gains: list[npt.NDArray[np.float32]] = []
    faults: list[Fault] = []
    with (folder / "windows.i16").open("wb") as out:
        for row, cut, digest, found in _cut_each(dataset, settings):
            faults += found
            if cut is None:
                continue
            record = str(dataset.table["record"].iat[row])
            if (known := first.setdefault(digest, record)) != record:
                faults.append(Fault(record, "duplicate", f"the samples of {known}", False))
            steps, gain = prepared.to_steps(cut)  # (n, L, T), (n, L)
            out.write(steps.tobytes())  # not tofile, whose error hides that the disk is full
            gains.append(gain)
            rows += [row] * len(cut)
            same += [digest.hex()] * len(cut)
            starts += [i * settings.seconds for i in range(len(cut))]
    report = Report(len(dataset.table), tuple(faults))
    if not rows:
        raise PecgError(prepared.nothing_left(dataset, report))
    (folder / "gain.npy").write_bytes(files.array_bytes(np.concatenate(gains)))
    index = pd.DataFrame({"row": rows, "start": starts, "same": same})
    index.to_csv(folder / "table.csv", index=False)
    manifest = {"settings": asdict(settings), "report": report.as_json()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _cut_each(
    dataset: Dataset, settings: Settings
) -> Iterator[tuple[int, npt.NDArray[np.float32] | None, bytes, list[Fault]]]:
    """Each recording's windows in mV, or None, a digest of its samples, and its faults.

    Some are read ahead in threads.
    """
    length = round(settings.seconds * settings.fs)
    todo = range(len(dataset.table))

    least = _LEAST_SECONDS if settings.whole else settings.seconds
    stop = settings.seconds if settings.whole and not settings.squeeze else None

    def cut(row: int) -> tuple[int, npt.NDArray[np.float32] | None, bytes, list[Fault]]:
        read, faults = check(dataset, row, settings.leads, least, length=stop)
        if read is None:
            return row, None, b"", faults
        slow = signal.resample(read, dataset.rate(row), settings.fs, settings.antialias)  # (T, L)
        if settings.whole and settings.stretch and len(slow) < length:
            slow = signal.stretched(slow, length)
        if settings.whole and settings.squeeze and len(slow) > length:
            slow = signal.squeezed(slow, length)
        if settings.whole:
            slow = np.pad(slow[:length], ((0, max(length - len(slow), 0)), (0, 0)))
        slow = filters.filtered(slow, settings.fs, settings.filter)
        whole = len(slow) // length  # the tail is dropped
        pieces = slow[: whole * length].reshape(whole, length, -1).transpose(0, 2, 1)  # (n, L, T)
        return row, np.ascontiguousarray(pieces), quality.digest(read), faults

    with ThreadPoolExecutor(_THREADS) as pool:
        cuts = (
            made for start in todo[::_AHEAD] for made in pool.map(cut, todo[start : start + _AHEAD])
        )
        yield from progress.track(cuts, len(todo), f"preparing windows of {dataset.name}")


def _load(dataset: Dataset, settings: Settings, folder: Path) -> Windows:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    index = pd.read_csv(folder / "table.csv", dtype={"same": str})
    gain = np.load(folder / "gain.npy")
    length = round(settings.seconds * settings.fs)
    steps = np.memmap(
        folder / "windows.i16", dtype="<i2", mode="r", shape=(len(index), gain.shape[1], length)
    )
    wanted = ["record", "patient", "source", "site", "age_days", "sex", "n_leads", "fold", "proxy"]
    columns = [c for c in wanted if c in dataset.table.columns]
    table = dataset.table[columns].iloc[index["row"]].reset_index(drop=True)
    table["start"], table["same"] = index["start"], index["same"]
    return Windows(
        steps=steps,
        gain=gain,
        table=table,
        labels=dataset.labels.to_numpy()[index["row"].to_numpy()],
        classes=tuple(dataset.labels.columns),
        settings=settings,
        report=Report.from_json(manifest["report"]),
        key=folder.name,
    )
