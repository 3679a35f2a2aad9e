"""A folder of prepared arrays: made whole or not at all, found again, made anew when damaged.

Its name is a key over all that its contents depend on. It is written beside its place and moved
there whole: of two processes that make the same one at once, the second finds the first one's and
leaves it. A folder whose checksums do not hold is made again.
"""

import json
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pecg_utils import files, progress
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

Loaded = TypeVar("Loaded")

_TRIES = 5  # at a folder that other processes mend too
_LEAST_MV = 1e-6  # a window's peak is taken as at least this: a lead of zeros needs a gain too


def find_or_make(
    folder: Path,
    names: Sequence[str],
    make: Callable[[Path], None],
    load: Callable[[Path], Loaded],
) -> Loaded:
    """What `load` makes of `folder`, which `make` fills with the files `names` where need be.

    make: given an empty folder. Raises PecgError when the disk is full, or as `make` does.
    """
    for _ in range(_TRIES):
        if folder.is_dir() and not _is_whole(folder, names):
            progress.say(f"The windows in {folder} are damaged; they are made again.")
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.is_dir():
            with files.whole(folder) as scratch:
                scratch.mkdir(parents=True)
                make(scratch)
                checksums = {name: _checksum(scratch / name) for name in names}
                (scratch / "checksums.json").write_text(json.dumps(checksums), encoding="utf-8")
        try:
            return load(folder)
        except FileNotFoundError:  # another process found it damaged at the same time
            continue
    raise PecgError(f"{folder} is being taken away while it is read; run again.")


def to_steps(
    millivolts: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]:
    """Windows (n, L, T) in mV as 16-bit steps (n, L, T) and the mV a step has (n, L)."""
    peak = np.maximum(np.abs(millivolts).max(axis=2), _LEAST_MV)  # (n, L)
    gain = (peak / 32767).astype(np.float32)
    return np.rint(millivolts / gain[:, :, None]).astype("<i2"), gain


def standardised(steps: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Windows (n, L, T) with mean 0 and deviation 1 in each channel; a constant one is zeros.

    The steps alone tell, since a gain cancels.
    """
    centred = steps - steps.mean(axis=2, keepdims=True, dtype=np.float32)  # (n, L, T)
    deviation = centred.std(axis=2, keepdims=True)
    return np.asarray(centred / np.where(deviation > 0, deviation, 1.0), dtype=np.float32)


def nothing_left(dataset: Dataset, report: Report) -> str:
    """The sentence for a dataset of which every recording is shut out."""
    first = next(f for f in report.faults if f.excluded)
    reasons = ", ".join(f"{fault} {count}" for fault, count in report.counts().items())
    return (
        f"No recording of {dataset.root} is left: {len(report.excluded)} of {report.checked} are "
        f"shut out ({reasons}); the first is {first.record}, {first.fault}: {first.detail}."
    )


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            total = zlib.crc32(chunk, total)
    return total


def _is_whole(folder: Path, names: Sequence[str]) -> bool:
    try:
        checksums = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        return bool(checksums == {name: _checksum(folder / name) for name in names})
    except (OSError, ValueError):
        return False
