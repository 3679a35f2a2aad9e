"""The ZZU-pECG twin: simulated children in the release's own files.

The real release: Tan et al. 2025, Sci Data 12:867, doi 10.1038/s41597-025-05225-z, CC BY 4.0. The
twin stands for its 3,716 recordings of 2,597 children with one of the benchmark's 19 labels
(`zzu_plan`). The files' layout is the release's; the signals are simulated, and no sample of a real
recording is in them. What is ours in particular: the chest leads alone run into the rail, findings
(AHA and CHN codes) are read off the simulated heart, and the signal-quality columns are empty.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pecg_utils.twins import writing, zzu_codes
from pecg_utils.twins.noise import touch_rail
from pecg_utils.twins.person import draw_child, record
from pecg_utils.twins.torso import LEADS
from pecg_utils.twins.writers import packed, write_record
from pecg_utils.twins.zzu_plan import FULL_PATIENTS, Planned, plan

FS = 500  # Hz
SIZES = {"smoke": 24, "demo": 150, "study": 400, "full": FULL_PATIENTS}  # children
NINE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V3", "V5")
COLUMNS = [
    "Filename",
    "ECG_ID",
    "Patient_ID",
    "Age",
    "Gender",
    "Acquisition_date",
    "Sampling_point",
    "Lead",
    "AHA_code",
    "CHN_code",
    "ICD-10 code",
    "pSQI",
    "basSQI",
    "bSQI",
]


def render(recordings: Sequence[Planned], root: Path, seed: int) -> list[list[str]]:
    """Simulate and write one child's `recordings` under `root`; gives their attribute rows."""
    index = int(recordings[0].patient[1:])
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, index)))
    child = draw_child(rng, recordings[0].age_days, recordings[0].labels)
    lines = []
    for planned in recordings:
        made = record(rng, child, planned.samples / FS, FS)
        names = LEADS if planned.leads == 12 else NINE_LEADS
        signal = made.signal[:, [LEADS.index(name) for name in names]]  # (T, 9 or 12)
        if planned.railed:
            chest = [k for k, name in enumerate(names) if name.startswith("V")]
            touch_rail(rng, signal, chest, FS)
        where = f"{planned.patient[:3]}/{planned.patient}"
        folder = root / "Child_ecg" / where
        write_record(folder, planned.record, signal, [name.upper() for name in names], FS)
        aha, chn = zzu_codes.findings(made.heart, planned.age_days)
        lines.append(
            [
                f"{where}/{planned.record}",
                planned.record,
                planned.patient,
                f"{planned.age_days}d",
                packed([planned.sex]),
                str(planned.time),
                str(planned.samples),
                str(planned.leads),
                packed(aha),
                packed(chn),
                packed(sorted(planned.labels + planned.others)),
                "",
                "",
                "",
            ]
        )
    return lines


def write(root: Path, patients: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write the twin of `patients` children under `root`; see `writing.write`.

    Raises PecgError when `patients` is below 1 too.
    """
    planned = plan(patients, seed)
    children: dict[str, list[Planned]] = {}
    for item in planned:
        children.setdefault(item.patient, []).append(item)

    def fill(scratch: Path) -> None:
        task = partial(render, root=scratch, seed=seed)
        made = writing.each(task, list(children.values()), "writing the ZZU twin", workers)
        lines = [line for child in made for line in child]
        zzu_codes.write_tables(scratch, COLUMNS, lines)

    about = {"twin_of": "zzu", "patients": patients, "recordings": len(planned), "seed": seed}
    return writing.write(root, about, fill)
