"""Files as the releases have them: WFDB format 16 and packed CSV cells."""

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
    checksum = digital.sum(axis=0, dtype=np.int64) % 65536
    lines = [f"{name} {len(leads)} {fs} {len(signal)}"]
    for k, lead in enumerate(leads):
        lines.append(
            f"{name}.dat 16 {float(gain[k])!r}({int(baseline[k])})/mV 16 0 "
            f"{digital[0, k]} {checksum[k]} 0 {lead}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / f"{name}.dat").write_bytes(digital.tobytes())


def packed(items: Iterable[str]) -> str:
    """Items in one cell as ZZU-pECG packs them: `'I40.0';'J18.9'`."""
    return ";".join(f"'{item}'" for item in items)
