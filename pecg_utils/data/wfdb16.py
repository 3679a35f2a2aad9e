"""WFDB records of format 16, read straight; every other record through wfdb.

Preparing windows reads each recording of a release once, and there wfdb's general reader is the
bottleneck. A record whose signals all lie in one `.dat` file as 16-bit samples needs none of that
generality. What this reader gives equals `wfdb.rdsamp`, value for value.
Source: the WFDB header and signal file formats, header(5) and signal(5).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

INVALID = -32768  # format 16's mark of a missing sample, signal(5)
DEFAULT_GAIN = 200.0  # adu/mV where a header gives none or 0, header(5)

_FORMAT = re.compile(r"^16(?:\+(?P<offset>\d+))?$")
_GAIN = re.compile(r"^(?P<gain>[-+0-9.eE]+)(?:\((?P<baseline>[-+]?\d+)\))?(?:/(?P<units>\S+))?$")


@dataclass(frozen=True)
class Header:
    """What a format-16 header says. gain: (leads,) adu/mV; baseline: (leads,) adu."""

    leads: tuple[str, ...]
    fs: float
    n_samples: int
    dat: Path
    offset: int
    gain: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.int64]


def read_header(path: Path) -> Header | None:
    """The header of the record at `path` (no suffix), or None where wfdb is needed.

    Raises PecgError when it is missing or malformed.
    """
    hea = path.with_name(path.name + ".hea")
    try:
        text = hea.read_text(encoding="ascii")
    except FileNotFoundError:
        raise PecgError(f"missing: {hea.name} is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PecgError(f"unreadable: {hea.name}: {error}") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    try:
        return _parse(lines, hea)
    except (ValueError, IndexError) as error:
        raise PecgError(f"unreadable: {hea.name} is malformed ({error})") from error


def _parse(lines: list[str], hea: Path) -> Header | None:
    if not lines:
        raise ValueError("it is empty")
    words = lines[0].split()
    if "/" in words[0]:  # a record of several segments
        return None
    n_leads, fs, n_samples = int(words[1]), words[2], int(words[3])
    if not re.fullmatch(r"[0-9.]+", fs):  # a counter frequency follows: wfdb knows
        return None
    if n_leads < 1 or n_samples < 0 or not 0 < float(fs) < math.inf:
        raise ValueError(f"first line {lines[0]!r}")
    if len(lines) < n_leads + 1:
        raise ValueError(f"{n_leads} signals announced, {len(lines) - 1} described")
    leads, gains, baselines, files = [], [], [], set()
    for line in lines[1 : n_leads + 1]:
        word = line.split(maxsplit=8)
        shape = _FORMAT.match(word[1])
        gain = _GAIN.match(word[2]) if len(word) > 2 else None
        if shape is None or len(word) < 9 or gain is None or gain["units"] not in (None, "mV"):
            return None
        value = float(gain["gain"])
        if not math.isfinite(value):
            raise ValueError(f"gain {word[2]!r}")
        files.add((word[0], int(shape["offset"] or 0)))
        gains.append(value or DEFAULT_GAIN)
        baselines.append(int(gain["baseline"] if gain["baseline"] is not None else word[4]))
        leads.append(word[8])
    if len(files) != 1:
        return None
    ((dat, offset),) = files
    if Path(dat).name != dat:
        raise ValueError(f"signal file {dat!r} is outside the record's folder")
    return Header(
        leads=tuple(leads),
        fs=float(fs),
        n_samples=n_samples,
        dat=hea.with_name(dat),
        offset=offset,
        gain=np.array(gains),
        baseline=np.array(baselines, dtype=np.int64),
    )


def read_digital(header: Header) -> npt.NDArray[np.int16]:
    """The stored samples, (samples, leads) int16. Raises PecgError when some are missing."""
    wanted = header.n_samples * len(header.leads)
    try:
        there = (header.dat.stat().st_size - header.offset) // 2
        if there < wanted:
            raise PecgError(
                f"unreadable: {header.dat.name} is cut short, with {max(there, 0):,} "
                f"of {wanted:,} samples"
            )
        samples = np.fromfile(header.dat, dtype="<i2", count=wanted, offset=header.offset)
    except FileNotFoundError:
        raise PecgError(f"missing: {header.dat.name} is not there") from None
    except OSError as error:
        raise PecgError(f"unreadable: {header.dat.name}: {error.strerror}") from error
    return samples.reshape(header.n_samples, len(header.leads))  # (T, L)


def read(path: Path) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    """The record at `path` (no suffix): signal (samples, leads) float32 in mV, fs in Hz, leads.

    A missing sample is NaN. Raises PecgError, whose message begins with "missing:" or
    "unreadable:", when the record cannot be read.
    """
    header = read_header(path)
    if header is None:
        return _read_with_wfdb(path)
    digital = read_digital(header)
    millivolts = digital.astype(np.float64)  # as wfdb reckons; in place, for speed
    np.subtract(millivolts, header.baseline, out=millivolts)
    np.divide(millivolts, header.gain, out=millivolts)
    signal = millivolts.astype(np.float32)  # (T, L)
    if digital.size and digital.min() == INVALID:
        signal[digital == INVALID] = np.nan
    return signal, header.fs, header.leads


def _read_with_wfdb(path: Path) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    import wfdb

    try:
        signal, fields = wfdb.rdsamp(str(path))
    except FileNotFoundError as error:
        raise PecgError(f"missing: {Path(str(error.filename)).name} is not there") from None
    except Exception as error:  # wfdb raises whatever its parser stumbles on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PecgError(f"unreadable: {path.name}: {reason}") from error
    return signal.astype(np.float32), float(fields["fs"]), tuple(fields["sig_name"])
