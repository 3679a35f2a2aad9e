"""Files as the releases have them: WFDB format 16 and packed CSV cells."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_record(
    folder: Path, name: str, signal: NDArray[np.float32], leads: Sequence[str], fs: int
) -> None:
    """Write `signal` (T, L) in mV as the WFDB record `name` in format 16: a .hea and a .dat file.

    Each lead has a gain and a baseline of its own, so that it fills the 16 bits, as in ZZU-pECG
    (WFDB header format: https://physionet.org/physiotools/wag/header-5.htm).
    """
    low, high = signal.min(axis=0).astype(float), signal.max(axis=0).astype(float)  # (L,)
    gain = 65533.0 / np.maximum(high - low, 1e-6)  # -32768 means "no sample", so it stays unused
    baseline = np.ceil(-32767.0 - gain * low)
    digital = np.rint(signal * gain + baseline).astype("<i2")  # (T, L)
    gains = [f"{float(g)!r}({int(b)})/mV" for g, b in zip(gain, baseline, strict=True)]
    _header(folder, name, digital, leads, fs, f"{name}.dat 16", gains)
    (folder / f"{name}.dat").write_bytes(digital.tobytes())


def write_microvolts(
    folder: Path, name: str, signal: NDArray[np.float32], leads: Sequence[str], fs: int
) -> None:
    """The same with one sample step of 1 uV for all leads, as in PTB-XL."""
    digital = np.rint(np.clip(signal * 1000, -32767, 32767)).astype("<i2")  # (T, L)
    _header(folder, name, digital, leads, fs, f"{name}.dat 16", ["1000.0(0)/mV"] * len(leads))
    (folder / f"{name}.dat").write_bytes(digital.tobytes())


def write_challenge(
    folder: Path,
    name: str,
    signal: NDArray[np.float32],
    leads: Sequence[str],
    fs: int,
    comments: Sequence[str],
    written: str,
) -> None:
    """The same as the Challenge has it: a MATLAB file for the samples, facts as comments.

    written: date and time of the first line, as 12-May-2020 12:33:59.
    """
    digital = np.rint(np.clip(signal * 1000, -32767, 32767)).astype("<i2")  # (T, L)
    gains = ["1000/mV"] * len(leads)
    _header(folder, name, digital, leads, fs, f"{name}.mat 16+24", gains, written, comments)
    # MAT-file format 4: a matrix `val` of 16-bit numbers, leads x samples, column after column.
    front = struct.pack("<5i", 30, len(leads), len(digital), 0, 4) + b"val\0"
    (folder / f"{name}.mat").write_bytes(front + digital.tobytes())


def _header(
    folder: Path,
    name: str,
    digital: NDArray[np.int16],
    leads: Sequence[str],
    fs: int,
    where: str,
    gains: Sequence[str],
    written: str = "",
    comments: Sequence[str] = (),
) -> None:
    checksum = digital.sum(axis=0, dtype=np.int64)  # (L,)
    first = f"{name} {len(leads)} {fs} {len(digital)} {written}".rstrip()
    lines = [
        f"{where} {gains[k]} 16 0 {digital[0, k]} {checksum[k] % 65536} 0 {lead}"
        for k, lead in enumerate(leads)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join([first, *lines, *(f"#{line}" for line in comments)]) + "\n"
    (folder / f"{name}.hea").write_text(text, encoding="ascii")


def packed(items: Iterable[str]) -> str:
    """Items in one cell as ZZU-pECG packs them: `'I40.0';'J18.9'`."""
    return ";".join(f"'{item}'" for item in items)
