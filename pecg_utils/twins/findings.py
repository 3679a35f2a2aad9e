"""An adult's ECG findings: what each does to the heart, and which rhythm it asks for.

Findings go by their SCP-ECG statement. Sizes are in `findings.csv`; they and the rates are ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pecg_utils.twins import rhythms
from pecg_utils.twins.heart import Heart, healthy
from pecg_utils.twins.labels import diseased
from pecg_utils.twins.person import Person, Rhythm, of_heart
from pecg_utils.twins.rhythms import Beats

# Of several rhythms in one person, the first in this order is what beats.
RHYTHMS = (
    "PACE",
    "3AVB",
    "AFIB",
    "AFLT",
    "SVTAC",
    "PSVT",
    "2AVB",
    "WPW",
    "BIGU",
    "TRIGU",
    "PVC",
    "PAC",
    "PRC(S)",
    "SVARR",
)


def draw_adult(
    rng: np.random.Generator,
    age_days: float,
    sex: str,
    findings: Sequence[str],
    seen: float = 1.0,
) -> Person:
    """An adult of an age in days with these findings.

    sex: "male" or "female", whose QRS is 8 % lower and whose QT is 8 ms longer (ours). seen: the
    share of carriers in whom a finding shows at all; the others have a severity of 0.
    """
    heart = healthy(rng, age_days)
    if sex == "female":
        heart = replace(heart, voltage=0.92 * heart.voltage, qtc=heart.qtc + 8)
    severity = {
        code: float(rng.uniform(0.5, 1.5)) if rng.uniform() < seen else 0.0 for code in findings
    }
    shown = {code: amount for code, amount in severity.items() if amount}
    return of_heart(rng, diseased(heart, shown, "findings.csv"))


def rhythm_of(rng: np.random.Generator, findings: Sequence[str]) -> Rhythm:
    """The rhythm that the findings ask for; sinus rhythm where none does."""
    asked = [name for name in RHYTHMS if name in findings]
    if not asked:
        return rhythms.sinus
    name = asked[0]
    if name == "PACE":
        return _paced
    if name == "AFIB":
        shaken = partial(_fibrillation, rate=float(np.clip(rng.normal(88, 20), 48, 160)))
        return _with_ventricular(rng, shaken) if "PVC" in findings else shaken
    if name == "AFLT":
        return partial(_flutter, conducted=int(rng.choice([2, 3, 4], p=[0.4, 0.2, 0.4])))
    if name in ("SVTAC", "PSVT"):
        return partial(_tachycardia, rate=float(rng.uniform(150, 200)))
    if name in ("2AVB", "3AVB"):
        return partial(rhythms.blocked, degree=int(name[0]))
    if name == "WPW":
        return partial(rhythms.sinus, kind="preexcited")
    every = {"BIGU": 2, "TRIGU": 3}.get(name, 0)
    if name == "PVC" and "PAC" in findings:
        return _with_ventricular(rng, rhythm_of(rng, ["PAC"]))
    ventricular = name == "PVC" or (name != "PAC" and name != "SVARR" and rng.uniform() < 0.7)
    return partial(
        _premature,
        share=float(rng.uniform(0.05, 0.25)),
        kind="ventricular" if ventricular else "atrial",
        every=every,
    )


def _with_ventricular(rng: np.random.Generator, under: Rhythm) -> Rhythm:
    """Premature ventricular beats in the rhythm `under`."""
    share = float(rng.uniform(0.05, 0.25))
    return partial(_premature, share=share, kind="ventricular", every=0, under=under)


def _premature(
    rng: np.random.Generator,
    heart: Heart,
    seconds: float,
    share: float,
    kind: str,
    every: int,
    under: Rhythm = rhythms.sinus,
) -> Beats:
    beats = under(rng, heart, seconds)
    seen = np.flatnonzero((beats.qrs > 0.5) & (beats.qrs < seconds - 0.5))  # in the recording
    number = max(1, rng.binomial(len(seen), share))
    return rhythms.premature(rng, beats, heart, seen, number, kind, every)


def _fibrillation(rng: np.random.Generator, heart: Heart, seconds: float, rate: float) -> Beats:
    return rhythms.fibrillation(rng, rate, seconds)


def _flutter(rng: np.random.Generator, heart: Heart, seconds: float, conducted: int) -> Beats:
    return rhythms.flutter(rng, float(rng.uniform(260, 320)), seconds, conducted)


def _tachycardia(rng: np.random.Generator, heart: Heart, seconds: float, rate: float) -> Beats:
    after = -float(rng.uniform(0.02, 0.1))  # the atria follow the ventricles
    return rhythms.regular(rng, rate, seconds, after, "retrograde")


def _paced(rng: np.random.Generator, heart: Heart, seconds: float) -> Beats:
    rate = float(rng.uniform(58, 82))
    tracked = rng.uniform() < 0.5  # the ventricle follows the atrium, or beats on its own
    return rhythms.regular(
        rng, rate, seconds, 0.16 if tracked else float("nan"), "sinus", "paced", jitter=0.002
    )
