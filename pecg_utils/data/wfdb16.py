"""WFDB records of format 16, read straight; every other record through wfdb.

Preparing windows reads each recording of a release once, and there wfdb's general reader is the
bottleneck. A record whose signals all lie in one `.dat` file as 16-bit samples needs none of that
generality. What this reader gives equals `wfdb.rdsamp`, value for value.
Source: the WFDB header and signal file formats, header(5) and signal(5).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.errors import PecgError

INVALID = -32768  # format 16's mark of a missing sample, signal(5)
DEFAULT_GAIN = 200.0  # adu/mV where a header gives none or 0, header(5)

_LONGEST_HEADER = 1 << 20  # bytes
_LONGEST_ANNOTATIONS = 1 << 24  # bytes
_MOST_SAMPLES = 50_000_000  # of all leads together, 0.4 GB in wfdb: a day of two leads at 250 Hz
_PLAIN = {1: "N", 24: "p", 27: "t", 39: "(", 40: ")"}  # annot(5): waves, their onsets and ends
_TO_MV = {"mV": 1.0, "mv": 1.0, "uV": 1e-3}

# Only what wfdb reads in the same way; a line of any other form is left to wfdb.
_FIRST = re.compile(
    r"[^/\s]+ \s+ (?P<leads>-?\d+) \s+ (?P<fs>\d+(?:\.\d+)?) \s+ (?P<samples>-?\d+) (?:\s.*)?",
    re.VERBOSE | re.ASCII,
)
_SIGNAL = re.compile(
    r"""(?P<dat>[^~\s]\S*) \s+ 16 (?:x1)? (?:\+(?P<offset>\d+))?
    \s+ (?P<gain>-?\d+\.?\d*(?:e[-+]?\d+)?) (?:\((?P<baseline>-?\d+)\))? (?:/m[Vv])?
    \s+ \d+ \s+ (?P<zero>-?\d+) \s+ -?\d+ \s+ -?\d+ \s+ \d+ \s+ (?P<lead>\S.*)""",
    re.VERBOSE | re.ASCII,
)


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
        with hea.open("rb") as file:
            stored = file.read(_LONGEST_HEADER + 1)
    except FileNotFoundError:
        raise PecgError(f"missing: {hea.name} is not there") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise PecgError(f"unreadable: {hea.name}: {error}") from error
    lines = [line.strip() for line in stored.decode("ascii", "ignore").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    try:
        if len(stored) > _LONGEST_HEADER:
            raise ValueError(f"it is longer than {_LONGEST_HEADER:,} bytes")
        return _parse(lines, hea)
    except (ValueError, OverflowError) as error:
        raise PecgError(f"unreadable: {hea.name} is malformed ({error})") from error


def _parse(lines: list[str], hea: Path) -> Header | None:
    if not lines:
        raise ValueError("it is empty")
    first = _FIRST.fullmatch(lines[0])
    if first is None:  # several segments, a counter frequency, or no header at all
        return None
    n_leads, fs, n_samples = int(first["leads"]), float(first["fs"]), int(first["samples"])
    if n_leads < 1 or n_samples < 1 or not 0 < fs < math.inf:
        raise ValueError(f"first line {lines[0]!r}")
    if len(lines) < n_leads + 1:
        raise ValueError(f"{n_leads} signals announced, {len(lines) - 1} described")
    signals = [_SIGNAL.fullmatch(line) for line in lines[1:]]
    leads, gains, baselines, files = [], [], [], set()
    for signal in signals:
        if signal is None or len(signals) > n_leads:
            return None
        gain = float(signal["gain"])
        if not math.isfinite(gain):
            raise ValueError(f"gain {signal['gain']}")
        files.add((signal["dat"], int(signal["offset"] or 0)))
        gains.append(gain or DEFAULT_GAIN)
        baselines.append(int(signal["baseline"] or signal["zero"]))
        leads.append(signal["lead"])
    if len(files) != 1:
        return None
    ((dat, offset),) = files
    if Path(dat).name != dat:
        raise ValueError(f"signal file {dat!r} is outside the record's folder")
    return Header(
        leads=tuple(leads),
        fs=fs,
        n_samples=n_samples,
        dat=hea.with_name(dat),
        offset=offset,
        gain=np.array(gains),
        baseline=np.array(baselines, dtype=np.int64),
    )


def read_digital(header: Header, first: int = 0, last: int | None = None) -> npt.NDArray[np.int16]:
    """The stored samples `first` to `last`, (samples, leads) int16.

    Raises PecgError when some are missing, of the span or after it.
    """
    first, last = _span(first, last, header.n_samples)
    wanted = header.n_samples * len(header.leads)
    try:
        there = (header.dat.stat().st_size - header.offset) // 2
        if there < wanted:
            raise PecgError(
                f"unreadable: {header.dat.name} is cut short, with {max(there, 0):,} "
                f"of {wanted:,} samples"
            )
        samples = np.fromfile(
            header.dat,
            dtype="<i2",
            count=(last - first) * len(header.leads),
            offset=header.offset + 2 * first * len(header.leads),
        )
    except FileNotFoundError:
        raise PecgError(f"missing: {header.dat.name} is not there") from None
    except OSError as error:
        raise PecgError(f"unreadable: {header.dat.name}: {error.strerror}") from error
    return samples.reshape(last - first, len(header.leads))  # (T, L)


def _span(first: int, last: int | None, n_samples: int) -> tuple[int, int]:
    """The samples from `first` up to `last`, within a record of `n_samples`."""
    end = n_samples if last is None else min(last, n_samples)
    return min(max(first, 0), end), end


def read(
    path: Path, first: int = 0, last: int | None = None
) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    """The record at `path` (no suffix): signal (samples, leads) float32 in mV, fs in Hz, leads.

    first, last: the samples that are wanted, the last one excluded; None is the end. A missing
    sample is NaN. Raises PecgError, whose message begins with "missing:" or
    "unreadable:", when the record cannot be read.
    """
    header = read_header(path)
    if header is None:
        return _read_with_wfdb(path, first, last)
    digital = read_digital(header, first, last)  # (T, L)
    signal = _millivolts(digital, header)  # (T, L)
    if digital.size and digital.min() == INVALID:
        signal[digital == INVALID] = np.nan
    return signal, header.fs, header.leads


def _millivolts(digital: npt.NDArray[np.int16], header: Header) -> npt.NDArray[np.float32]:
    """(T, L) float32, reckoned in float64 as wfdb does.

    Leads of one gain and one baseline, as in most releases, are divided as one run of numbers:
    several times faster than rows of a dozen, and equal.
    """
    signal = np.empty(digital.shape, dtype=np.float32)
    gain: Any = header.gain[0] if (header.gain == header.gain[0]).all() else header.gain
    with np.errstate(over="ignore"):  # beyond float32 it is infinite, which quality.py finds
        if header.baseline.any():
            np.divide(
                digital - header.baseline.astype(np.float64), gain, out=signal, casting="unsafe"
            )
        else:
            np.divide(digital, gain, out=signal, dtype=np.float64, casting="unsafe")
    return signal


def annotations(
    path: Path, suffix: str, codes: Mapping[int, str] = MappingProxyType({})
) -> pd.DataFrame:
    """The annotations `suffix` of the record at `path` (no suffix): sample, symbol and aux.

    codes: the symbols of annotation codes that WFDB does not define and the file may not declare.
    A code that nobody defines has the symbol "". Raises PecgError, beginning with "missing:" or
    "unreadable:", when they cannot be read.
    """
    import wfdb

    file = path.with_name(f"{path.name}.{suffix}")
    try:
        size = file.stat().st_size
        if size > _LONGEST_ANNOTATIONS:
            raise ValueError(f"it is longer than {_LONGEST_ANNOTATIONS:,} bytes")
        plain = _plain_annotations(file)
        if plain is not None:
            return plain
        found = wfdb.rdann(str(path), suffix, return_label_elements=["label_store"])
        symbols = {label.label_store: label.symbol for label in wfdb.io.annotation.ann_labels}
        known = {**symbols, **codes}
        table = pd.DataFrame(
            {
                "sample": np.asarray(found.sample, dtype=np.int64),
                "symbol": [known.get(int(code), "") for code in found.label_store],
                "aux": [text.strip("\0 ") for text in found.aux_note],
            }
        )
    except FileNotFoundError:
        raise PecgError(f"missing: {file.name} is not there") from None
    except Exception as error:  # wfdb raises whatever its parser stumbles on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PecgError(f"unreadable: {file.name}: {reason}") from error
    if table.empty:
        raise PecgError(f"unreadable: {file.name} holds no annotation")
    return table


def _plain_annotations(file: Path) -> pd.DataFrame | None:
    """What `annotations` gives, of a file of the codes in _PLAIN alone; None where wfdb is needed.

    In such a file every word is a code and the samples since the last, annot(5). wfdb reads a
    record's whole header for each file of annotations, and LUDB has a file a lead.
    """
    stored = file.read_bytes()
    words = np.frombuffer(stored[: len(stored) // 2 * 2], dtype="<u2")
    if len(stored) % 2 or len(words) < 2 or words[-1] or not words[:-1].all():
        return None
    code, after = words[:-1] >> 10, words[:-1] & 1023
    at = np.cumsum(after, dtype=np.int64)
    if not np.isin(code, list(_PLAIN)).all():
        return None
    return pd.DataFrame({"sample": at, "symbol": [_PLAIN[int(c)] for c in code], "aux": ""})


def announced(path: Path) -> tuple[float, int, float]:
    """fs in Hz, leads and samples by wfdb's own header reader; NaN, 0 and NaN where it fails."""
    import wfdb

    try:
        about = wfdb.rdheader(str(path))
        return float(about.fs), int(about.n_sig), float(about.sig_len or math.nan)
    except Exception:  # wfdb raises whatever its parser stumbles on
        return math.nan, 0, math.nan


def _read_with_wfdb(
    path: Path, first: int, last: int | None
) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    import wfdb

    try:
        about = wfdb.rdheader(str(path))
        first, last = _span(first, last, about.sig_len or 0)
        if about.n_sig * (last - first) > _MOST_SAMPLES:  # wfdb makes room for all at once
            raise ValueError(f"{about.n_sig} leads of {last - first:,} samples announced")
        values, fields = wfdb.rdsamp(str(path), sampfrom=first, sampto=last or None)
        units = dict.fromkeys(fields["units"])
        if foreign := [unit for unit in units if unit not in _TO_MV]:
            raise ValueError(f"a lead is in {foreign[0]!r} and not in mV")
        with np.errstate(over="ignore"):
            signal = (values * [_TO_MV[unit] for unit in fields["units"]]).astype(np.float32)
        return signal, float(fields["fs"]), tuple(str(name) for name in fields["sig_name"])
    except FileNotFoundError as error:
        raise PecgError(f"missing: {Path(str(error.filename)).name} is not there") from None
    except Exception as error:  # wfdb raises whatever its parser stumbles on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PecgError(f"unreadable: {path.name}: {reason}") from error
