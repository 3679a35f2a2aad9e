"""The ZZU-pECG twin: simulated children in the release's own files.

The real release: Tan et al. 2025, Sci Data 12:867, doi 10.1038/s41597-025-05225-z, CC BY 4.0. The
twin stands for its 3,716 recordings of 2,597 children with one of the benchmark's 19 labels
(`zzu_plan`). The files' layout is the release's; the signals are simulated, and no sample of a real
recording is in them. What is ours in particular: the chest leads alone run into the rail, findings
(AHA and CHN codes) are read off the simulated heart, and the signal-quality columns are empty.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pecg_utils.errors import PecgError
from pecg_utils.files import fingerprint, whole
from pecg_utils.twins import zzu_codes
from pecg_utils.twins.child import draw_child, record
from pecg_utils.twins.noise import touch_rail
from pecg_utils.twins.torso import LEADS
from pecg_utils.twins.writers import packed, write_record
from pecg_utils.twins.zzu_plan import FULL_PATIENTS, Planned, plan

FS = 500  # Hz
SIZES = {"smoke": 24, "demo": 150, "study": 400, "full": FULL_PATIENTS}  # children
SERIAL = 100  # fewer children than this: starting processes costs more than they bring
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
    """Write the twin of `patients` children under `root`, whole or not at all, and give `root`.

    The same seed and number give the same bytes, with any number of `workers` (processes; None
    takes one for each processor). A twin that is already there and the same is left as it is.

    Raises PecgError when `root` holds something else, when `patients` is below 1, or when the disk
    is full.
    """
    root = Path(root)
    planned = plan(patients, seed)
    about = json.dumps(
        {
            "twin_of": "zzu",
            "patients": patients,
            "recordings": len(planned),
            "seed": seed,
            "sources": sources(),
        },
        indent=1,
    )
    if _there(root, about):
        return root
    with whole(root) as scratch:
        scratch.mkdir()
        lines = list(_rendered(planned, scratch, seed, workers))
        zzu_codes.write_tables(scratch, COLUMNS, lines)
        (scratch / "twin.json").write_text(about + "\n", encoding="utf-8")
    if not _there(root, about):
        raise PecgError(f"{root} was written by another process meanwhile, with another twin.")
    return root


def sources() -> str:
    """The fingerprint of the simulator: of every source and table in this package."""
    here = [item for item in files(__package__).iterdir() if item.name.endswith((".py", ".csv"))]
    return fingerprint(
        part
        for item in sorted(here, key=lambda item: item.name)
        for part in (item.name, item.read_bytes())
    )


def _there(root: Path, about: str) -> bool:
    """Whether this very twin is at `root`; PecgError when something else is."""
    if not root.exists():
        return False
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
        return False
    mark = root / "twin.json"
    if mark.is_file() and mark.read_text(encoding="utf-8").strip() == about:
        return True
    what = (
        "another ZZU twin (size, seed or simulator differ)" if mark.is_file() else "something else"
    )
    raise PecgError(f"{root} already holds {what}. Remove it or choose another folder.")


def _rendered(
    planned: Sequence[Planned], root: Path, seed: int, workers: int | None
) -> Iterator[list[str]]:
    """Render all children, in as many processes as `workers` says; the rows in the plan's order."""
    children: dict[str, list[Planned]] = {}
    for item in planned:
        children.setdefault(item.patient, []).append(item)
    task = partial(render, root=root, seed=seed)
    count = workers or os.cpu_count() or 1
    with tqdm(total=len(planned), desc="ZZU twin", unit="rec", delay=5) as bar:
        if count == 1 or len(children) < SERIAL:
            for made in map(task, children.values()):
                bar.update(len(made))
                yield from made
            return
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            for made in pool.map(task, children.values(), chunksize=8):
                bar.update(len(made))
                yield from made
