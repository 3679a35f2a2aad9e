"""The Leipzig twin: simulated procedures with surface ECG and electrograms, beat by beat.

The real release: Klingel et al. 2024, PhysioNet leipzig-heart-center-ecg 1.0.0, doi
10.13026/7a4j-vn37, ODC-By 1.0. The twin has its 39 records, its channels, its counts of beats (of
which one in a hundred lies in noise and is marked Q, as unreadable) and its concentration of
classes in few subjects (`leipzig_plan`); surface ECG and electrograms come from the same beats
(`catheter`). What is ours: every waveform, which subject has what, where the noise is, that the
rhythms A and B do not occur, a rail of 5 mV, and that the annotation file declares its own codes,
which the release's may not.
"""

import csv
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pecg_utils.errors import PecgError
from pecg_utils.twins import writing
from pecg_utils.twins.catheter import draw_catheters, electrograms
from pecg_utils.twins.draw import dipoles
from pecg_utils.twins.heart import Heart, healthy
from pecg_utils.twins.leipzig_plan import FULL_MINUTES, LONGEST, Course, counts, course
from pecg_utils.twins.noise import Device, draw_drift, draw_levels, hiss
from pecg_utils.twins.person import Person, of_heart
from pecg_utils.twins.rhythms import Beats
from pecg_utils.twins.tables import rows
from pecg_utils.twins.torso import LEADS, project, twelve

FS = 977  # Hz
GAIN, RAIL = 2000.0, 5.0  # adu a mV; mV
SIZES = {"smoke": 8, "demo": 40, "study": 200, "full": FULL_MINUTES}  # minutes of recording
DEVICE = Device(mains=50.0, hum=0.8, muscle=1.2, wander=0.5)  # ours
_CHUNK = 60.0  # s that are drawn at a time
RATE = 1.12  # of the sinus rate normal for the age, so that all records take about 18.45 h
_TABLES = {"children": "children-subject-info.csv", "adults": "adults-subject-info.csv"}
_SINUS = ("CS12", "CS34", "CS56", "CS78", "CS90")
CHANNELS = {
    "all": ("ABL12", "RVA12", *_SINUS),
    "uni": ("ABL12", "ABL_uni", "RVA12", *_SINUS),
    "art": ("ART", "ABL12", "RVA12", *_SINUS),
    "noabl": ("RVA12", *_SINUS),
    "two": ("ABL12", "RVA12"),
    "last": ("ABL12", *_SINUS, "RVA12"),
}


def write(root: Path, minutes: int, seed: int = 0, workers: int | None = None) -> Path:
    """Write a twin of about `minutes` of recording under `root`; see `writing.write`.

    It always has all 39 records, of which some are a few seconds long where `minutes` are few.
    Raises PecgError when there is none.
    """
    if minutes < 1:
        raise PecgError(f"A twin of {minutes} minutes was asked for; at least 1 is needed.")
    numbers = counts(minutes)
    # The longest first, so that no process is left alone with one at the end.
    subjects = sorted(rows("leipzig_subjects.csv"), key=lambda row: -float(row["size"]))

    def fill(scratch: Path) -> None:
        jobs = [Job(row, numbers[row["record"]], seed) for row in subjects]
        task = partial(render, root=scratch)
        made = dict(writing.each(task, jobs, "writing the Leipzig twin", workers, few=2))
        for group, name in _TABLES.items():
            _write_table(scratch / name, group, made)

    about = {"twin_of": "leipzig", "minutes": minutes, "records": len(subjects), "seed": seed}
    return writing.write(root, about, fill)


@dataclass(frozen=True)
class Job:
    """One record to write: its row of leipzig_subjects.csv, its beats by kind, and the seed."""

    subject: dict[str, str]
    numbers: dict[str, int]
    seed: int


def render(job: Job, root: Path) -> tuple[str, float]:
    """Simulate and write one record under `root`; gives its name and its length in s."""
    record = job.subject["record"]
    rng = np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=(4, _number(record))))
    person = of_heart(rng, _heart(rng, job.subject, job.numbers))
    left = job.subject["pathway"].startswith("left")
    happened = course(rng, dict(person.hearts), job.numbers, left)
    _write_signal(rng, root, job.subject, person, happened)
    _annotate(rng, root / record, happened)
    return record, happened.seconds


def _number(record: str) -> int:
    return int(record.removeprefix("x"))  # x002 is 2, x0010 is 10, x100 is 100


def _heart(rng: np.random.Generator, subject: dict[str, str], numbers: dict[str, int]) -> Heart:
    """The subject's heart; a sinus rate that brings the record to a length that it can have."""
    age = float(subject["age"].lstrip("."))
    heart = healthy(rng, age * 365.25)
    base = sum(numbers.get(kind, 0) for kind in ("sinus", "preexcited", "bundle"))
    other = sum(numbers.values()) - base
    left = LONGEST * 0.97 - 0.42 * other  # s for the beats of the base rhythm
    least = 60 * base / left if left > 0 else 110.0
    return replace(heart, rate=float(np.clip(heart.rate * RATE, least, 140.0)))


def _write_signal(
    rng: np.random.Generator,
    root: Path,
    subject: dict[str, str],
    person: Person,
    happened: Course,
) -> None:
    """The .dat file, a minute at a time, and the header."""
    record, inside = subject["record"], CHANNELS[subject["channels"]]
    silent = ("ABL12",) if record == "x0027" else ()
    catheters = draw_catheters(rng, inside, silent)
    drift, levels = draw_drift(rng, DEVICE), draw_levels(rng, DEVICE)
    hum = 0.01 * np.exp(0.5 * rng.standard_normal(len(inside)))  # (C,) mV
    samples = round(happened.seconds * FS)
    channels = (*LEADS, *inside)
    total, begin = np.zeros(len(channels), np.int64), np.zeros(len(channels), np.int64)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{record}.dat").open("wb") as file:
        for first in range(0, samples, round(_CHUNK * FS)):
            last = min(first + round(_CHUNK * FS), samples)
            near = _near(happened, first / FS, last / FS)
            vcg = dipoles(near, person.hearts, person.shape, first, last, FS, person.shaking)
            leads = project(vcg, person.view)  # (T, 8)
            leads += hiss(rng, levels, last - first, FS, DEVICE, first) + drift(first, last, FS)
            bursts = electrograms(rng, near, catheters, first, last, FS)  # (T, C)
            noise = rng.standard_normal(bursts.shape, dtype=np.float32) * hum.astype(np.float32)
            noise[:, [name in silent for name in inside]] = 0.0
            signal = np.concatenate([twelve(leads), bursts + noise], axis=1)  # (T, 12 + C)
            _disturb(rng, signal, happened.noisy, first)
            digital = np.rint(np.clip(signal, -RAIL, RAIL) * GAIN).astype("<i4")
            if first == 0:
                begin = digital[0].astype(np.int64)
            total += digital.sum(axis=0)
            # Format 24: the low three bytes of each sample, signal(5).
            file.write(digital.view(np.uint8).reshape(*digital.shape, 4)[..., :3].tobytes())
    lines = [f"{record} {len(channels)} {FS} {samples}"]
    for name, value, whole in zip(channels, begin, total, strict=True):
        lines.append(f"{record}.dat 24 {GAIN:g}/mV 24 0 {value} {whole % 65536} 0 {name}")
    (root / f"{record}.hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def _near(happened: Course, start: float, end: float) -> Beats:
    """The beats of which anything can be seen between `start` and `end`, s."""
    at = np.where(np.isnan(happened.beats.qrs), happened.beats.p, happened.beats.qrs)
    low, high = np.searchsorted(at, [start - 3.0, end + 3.0])
    return happened.beats.only(np.arange(low, high))


def _disturb(
    rng: np.random.Generator, signal: NDArray[np.float32], noisy: NDArray[np.float64], first: int
) -> None:
    """In noisy stretches the surface ECG is swamped by muscle and movement."""
    for start, end in noisy:
        low, high = round(start * FS) - first, round(end * FS) - first
        low, high = max(low, 0), min(high, len(signal))
        if low < high:
            size = 0.25 * rng.standard_normal((high - low, 12), dtype=np.float32)
            signal[low:high, :12] += size + np.float32(rng.normal(0, 0.5))


def _annotate(rng: np.random.Generator, path: Path, happened: Course) -> None:
    """The .atr file: every beat, every change of rhythm, every mark of noise."""
    import wfdb  # half a second, which whoever asks for another twin need not wait

    beats = happened.beats
    there = (happened.symbol != "") & ~np.isnan(beats.qrs)
    time, symbol, aux = beats.qrs[there] + 0.04, happened.symbol[there], happened.aux[there]
    in_noise = np.zeros(len(time), bool)
    for start, end in happened.noisy:
        in_noise |= (time >= start) & (time < end)
    symbol, aux = np.where(in_noise, "Q", symbol), np.where(in_noise, "", aux)
    changes = np.array([at for at, _ in happened.begins])
    names = np.array([f"({name}" for _, name in happened.begins])
    marks = happened.noisy[:, 0]
    all_times = np.concatenate([time, changes, marks])
    order = np.argsort(all_times, kind="stable")
    everything = pd.DataFrame(
        {
            "sample": np.rint(all_times * FS).astype(np.int64),
            "symbol": [*symbol, *["+"] * len(changes), *["~"] * len(marks)],
            "aux": [*aux, *names, *[""] * len(marks)],
        }
    ).iloc[order]
    wfdb.wrann(
        path.name,
        "atr",
        everything["sample"].to_numpy(),
        symbol=everything["symbol"].tolist(),
        aux_note=everything["aux"].tolist(),
        fs=FS,
        custom_labels=pd.DataFrame(
            {
                "label_store": [42, 43],
                "symbol": ["X", "b"],
                "description": ["beat of a tachycardia", "beat marked b"],
            }
        ),
        write_dir=str(path.parent),
    )


def _write_table(path: Path, group: str, seconds: dict[str, float]) -> None:
    columns = ["subject_id", "file_name", "gender", "age", "diagnosis"]
    columns += ["ap_loacation"] if group == "children" else []  # the release's own spelling
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*columns, "ecg_duration"])
        for row in rows("leipzig_subjects.csv"):
            if row["group"] != group:
                continue
            record = row["record"]
            long = round(seconds[record])
            line = [record.removeprefix("x"), record, row["sex"], row["age"], row["diagnosis"]]
            line += [row["pathway"]] if group == "children" else []
            out.writerow([*line, f"{long // 3600}:{long // 60 % 60:02d}:{long % 60:02d}"])
