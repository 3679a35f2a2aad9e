"""Windows of hearts built to measure, whose rate, axis and heights in V1 to V6 are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pecg_utils.data.prepared import to_steps
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.windows import Settings, Windows

Heart = dict[str, float]
CHILD: Heart = {"rate": 140, "axis": 120, "r_v1": 1.2, "s_v1": 0.5, "r_v6": 0.6, "t_v1": -0.3}
ADULT: Heart = {"rate": 70, "axis": 30, "r_v1": 0.2, "s_v1": 1.0, "r_v6": 1.3, "t_v1": 0.1}
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")


def beat(seconds: np.ndarray, heart: Heart) -> np.ndarray:
    """(..., 12) mV at some `seconds` (...) from R: a P wave, R and then S, and a T wave."""
    quick = min(1.0, (75 / heart["rate"]) ** 0.5)

    def bump(at: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((seconds - at) / width) ** 2)

    p, r, s = bump(-0.12 * quick, 0.016 * quick), bump(-0.016, 0.009), bump(0.016, 0.009)
    t = bump(0.26 * quick, 0.035 * quick)
    angle = np.radians(heart["axis"])
    limb = [(np.cos(angle), 0.1), (np.cos(angle - np.pi / 3), 0.2)]  # Einthoven's I and II
    i, ii = (height * r + 0.1 * p + of_t * t for height, of_t in limb)
    leads = [i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2]
    for number, lead in enumerate(CHEST):
        name = lead.lower()
        up, down = heart.get(f"r_{name}", 0.8), heart.get(f"s_{name}", 0.3)
        leads.append(up * r - down * s + heart.get(f"t_{name}", 0.1 * number) * t + 0.05 * p)
    return np.stack(leads, axis=-1)


def made(
    hearts: Sequence[Heart],
    age_days: Sequence[float],
    fs: float = 500.0,
    seconds: float = 10.0,
    leads: Sequence[str] = TWELVE_LEADS,
    **columns: Any,
) -> Windows:
    """One window for each of `hearts`; a heart of rate 0 is flat. columns: more of the table."""
    time = np.arange(round(seconds * fs)) / fs
    noise = np.random.default_rng(0)
    signals = []
    for heart in hearts:
        signal = 0.004 * noise.standard_normal((len(time), 12))
        if heart["rate"]:
            rr = 60 / heart["rate"]
            for at in np.arange(0.35, seconds, rr):
                signal += beat(time - at, heart)
        signals.append(signal.T)
    kept = [TWELVE_LEADS.index(lead) for lead in leads]
    steps, gain = to_steps(np.stack(signals)[:, kept].astype(np.float32))
    n = len(hearts)
    table = pd.DataFrame({"record": [f"A{i}" for i in range(n)]})
    table = table.assign(patient=[f"p{i}" for i in range(n)], age_days=age_days, sex="female")
    return Windows(
        steps=steps,
        gain=gain,
        table=table.assign(**columns),
        labels=np.ones((n, 1), dtype=bool),
        classes=("a",),
        settings=Settings(tuple(leads), fs=fs, seconds=seconds, whole=True),
        report=Report(n, ()),
        key="made",
    )
