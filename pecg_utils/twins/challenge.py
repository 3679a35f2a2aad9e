"""The Challenge twin: simulated adults in the files of the PhysioNet/CinC Challenge 2021.

The real release: Perez Alday et al. 2020, Physiol Meas 41:124003, and Reyna et al. 2021, Computing
in Cardiology 48:1-4; PhysioNet, CC BY 4.0. The twin has its eight sources in their folders, each
with its share of the recordings, its rate, its lengths, its headers' spelling and its codes;
`challenge_plan` says what of that is sourced. Recordings of INCART last 30 minutes, of PTB about
115 s, of CPSC2018 6 to 144 s and all others 10 s. The folder `cpsc_2018` is a copy of the CPSC2018
twin of equal size and seed, as in the release; `ptb-xl` is no copy of the PTB-XL twin. What is ours
in particular: each recording is of another adult (INCART and PTB have several a patient), and the
electrocardiographs, which differ by source in noise, filters and sample step.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pecg_utils.twins import cpsc2018, writing
from pecg_utils.twins.challenge_plan import (
    FULL_RECORDINGS,
    SOURCES,
    Planned,
    Source,
    plan,
    source_named,
)
from pecg_utils.twins.findings import draw_adult, rhythm_of
from pecg_utils.twins.person import record
from pecg_utils.twins.tables import rows
from pecg_utils.twins.torso import LEADS, stepped
from pecg_utils.twins.writers import write_challenge

SIZES = {"smoke": 64, "demo": 600, "study": 2_000, "full": FULL_RECORDINGS}  # recordings


def write(root: Path, recordings: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write the twin of so many recordings under `root`; see `writing.write`.

    Raises PecgError when there is none too.
    """
    planned = plan(recordings, seed)

    def fill(scratch: Path) -> None:
        task = partial(render, root=scratch, seed=seed)
        for _ in writing.each(task, planned, "writing the Challenge twin", workers):
            pass

    about = {"twin_of": "challenge", "recordings": recordings, "seed": seed}
    return writing.write(root, about, fill)


def render(planned: Planned, root: Path, seed: int) -> None:
    """Simulate and write one recording under `root`."""
    source = source_named(planned.source)
    if planned.copied is None:
        signal = simulate(planned, source, seed)
    else:
        signal = cpsc2018.simulate(planned.copied, seed)
    comments = [
        f"Age: {planned.age if planned.age_known else 'NaN'}",
        f"Sex: {planned.sex.capitalize()}",
        f"Dx: {','.join(planned.codes)}",
        *(f"{name}: Unknown" for name in source.comments),
    ]
    folder = root / "training" / source.name / f"g{planned.group}"
    name = f"{source.prefix}{planned.number:0{source.digits}d}"
    write_challenge(folder, name, signal, LEADS, source.fs, comments, source.written)


def simulate(planned: Planned, source: Source, seed: int) -> NDArray[np.float32]:
    """The signal (T, 12) of one recording of the plan, mV."""
    key = (13, SOURCES.index(source), planned.number)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    shown = findings(planned)
    person = draw_adult(rng, planned.age * 365.25, planned.sex, shown)
    rhythm = rhythm_of(rng, shown)
    seconds = planned.samples / source.fs
    made = record(rng, person, seconds, source.fs, rhythm=rhythm, device=source.device)
    return stepped(made.signal, source.step)


def findings(planned: Planned) -> list[str]:
    """The SCP-ECG statements that a recording shows for its codes, once each."""
    return sorted(
        {
            row["finding"]
            for row in rows("challenge_counts.csv")
            if row["finding"] and row["code"] in planned.codes
        }
    )
