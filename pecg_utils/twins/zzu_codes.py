"""The code tables of the ZZU-pECG twin, and which findings a simulated heart earns.

Codes and names of findings are those of the release's ECGCode.csv; the thresholds are ours.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pecg_utils.twins.heart import Heart
from pecg_utils.twins.norms import normal
from pecg_utils.twins.tables import rows

# Description, AHA code, CHN code; "" where the release has none and prints N/A.
FINDINGS = {
    "normal": ("Normal ECG", "A1", "A1"),
    "otherwise": ("Otherwise normal ECG", "A2", "A2"),
    "fast": ("Sinus tachycardia", "C21", "C13"),
    "slow": ("Sinus bradycardia", "C22", "C14"),
    "uneven": ("Sinus arrhythmia", "C23", "C15"),
    "long pr": ("First-degree AV block", "", "H74"),
    "irbbb": ("Incomplete right bundle-branch block", "I105", "I86"),
    "right axis": ("Right-axis deviation", "J120", "J99"),
    "left axis": ("Left-axis deviation", "J121", "J100"),
    "high lv": ("Left ventricular high voltage", "", "J106"),
    "low": ("Low voltage", "J125", "J(111 + 112 + 113)"),
    "lae": ("Left atrial enlargement", "K140", "K114"),
    "rae": ("Right atrial enlargement", "K141", "K115"),
    "rvh": ("Right ventricular hypertrophy", "K143", "K118"),
    "st": ("ST deviation", "L145", "L121"),
    "t": ("T-wave abnormality", "L147", "L123"),
    "long qt": ("Prolonged QTc interval", "", "L125"),
}

# ICD-10 codes that are none of the 19, with rough odds for an admission (ours).
OTHERS = {
    "J18.9": 0.16,  # pneumonia
    "I50.9": 0.10,  # heart failure
    "I27.2": 0.08,  # pulmonary hypertension
    "I07.1": 0.08,  # tricuspid insufficiency
    "Z98.8": 0.06,  # after surgery
    "E87.8": 0.05,  # electrolytes
    "I49.9": 0.05,  # arrhythmia
    "J20.9": 0.05,  # bronchitis
    "D64.9": 0.04,  # anaemia
    "J35.2": 0.03,  # adenoids
    "Q90.9": 0.02,  # Down syndrome
}


def other_diseases(rng: np.random.Generator) -> tuple[str, ...]:
    """Further ICD-10 codes of one admission."""
    return tuple(code for code, odds in OTHERS.items() if rng.uniform() < odds)


def findings(heart: Heart, age_days: float) -> tuple[list[str], list[str]]:
    """The AHA and CHN cells of a simulated heart. A finding without a code stands by its name."""

    def beyond(name: str) -> float:
        return (float(getattr(heart, name)) - normal(name, age_days)) / normal(
            f"{name}_sd", age_days
        )

    def times(name: str) -> float:
        return float(getattr(heart, name)) * heart.voltage / normal(name, age_days)

    seen = {
        "fast": beyond("rate") > 2.0,
        "slow": beyond("rate") < -2.0,
        "uneven": heart.arrhythmia > 0.09,
        "long pr": beyond("pr") > 2.6,
        "irbbb": heart.r2_v1 > 0.30,
        "right axis": beyond("axis") > 2.0,
        "left axis": beyond("axis") < -2.4,
        "high lv": times("r_v6") > 1.8,
        "low": heart.voltage < 0.65,
        "lae": heart.p_left > 0.135,
        "rae": heart.p_right > 0.155,
        "rvh": times("r_v1") > 1.8,
        "st": abs(heart.st) > 0.10,
        "t": heart.t_scale < 0.5,
        "long qt": heart.qtc > 450.0,
    }
    names = [name for name, there in seen.items() if there]
    if not names:
        names = ["normal"] if heart.t_scale > 0.75 else ["otherwise"]
    chosen = [FINDINGS[name] for name in names]
    return (
        [aha or text for text, aha, _ in chosen],
        [(chn or text).replace(" + ", "+") for text, _, chn in chosen],
    )


def write_tables(root: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Write AttributesDictionary.csv, ECGCode.csv and DiseaseCode.csv under `root`."""
    _write(root / "AttributesDictionary.csv", columns, lines)
    codes = [(text, aha or "N/A", chn or "N/A") for text, aha, chn in FINDINGS.values()]
    _write(root / "ECGCode.csv", ("Description", "AHA(Category&Code)", "CHN(Category&Code)"), codes)
    # The release breaks this one cell's line.
    broken = {"Congenital heart disease": "Congenital \nheart disease"}
    diseases = [
        (
            broken.get(row["group"], row["group"]),
            row["category"],
            row["code"],
            row["category"].strip(),
        )
        for row in rows("labels.csv")
    ]
    diseases.append(
        ("Other diseases(OD)", "See the attribute table", "See the attribute table", "N/A")
    )
    header = ("Disease Type", "Disease Category", "ICD-10 Code", "ICD-10 Description")
    _write(root / "DiseaseCode.csv", header, diseases)


def _write(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n")  # as the release
        writer.writerow(header)
        writer.writerows(lines)
