"""What each paper reports, beside what was measured here.

A claim is a number in a paper, kept in claims/<chapter>.yaml with where it was read. It is joined
to the trial of a record that follows the paper's protocol, and to the trial of the same model under
the sound one that the file names beside it.
"""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from pecg_utils.metrics import WORDS

FOLDER = Path(__file__).resolve().parent / "claims"
NEAR_POINTS = 2.0  # of per cent
ADULTS = "PTB-XL"  # the mode that tests on adults, without a child's recording taught
# Of `join`: a claim, what was measured, and what is said of it.
_COLUMNS = [
    *("claim", "model", "leads", "year", "version", "task", "mode", "variant", "gain", "metric"),
    *("unit", "claimed", "value", "low", "high", "sound", "sound_low", "sound_high", "data"),
    *("verdict", "why", "key", "read"),
]
SHOTS = {"zero-shot": 0, ADULTS: 0, "50-shot": 50, "full": None}  # mode -> protocol's shots


class Claim(BaseModel):
    """One number that a paper reports. unit: "%" where the paper gives per cent.

    year: of the Challenge's release that it is of. version: of the paper, where versions differ.
    task: of PTB-XL that it is of. mode: how many of the children a model from adults was taught.
    variant: the ablation's name of what was left out, or of a gain, the group of baselines.
    cohort: as in protocol.Protocol; by default all recordings with these leads. gain: whether the
    number is a distance to the strongest of the paper's baselines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    model: str
    leads: int
    metric: Literal[
        "hamming_loss",
        "f1",
        "auroc",
        "average_precision",
        "challenge_score",
        "top1",
        "precision",
        "recall",
        "f2",
    ]
    year: int | None = None
    version: str | None = None
    task: str | None = None
    mode: Literal["zero-shot", "50-shot", "full", "PTB-XL"] | None = None
    variant: str = ""
    cohort: str = ""
    gain: bool = False
    value: float
    unit: Literal["", "%"] = ""
    read: str


class Paper(BaseModel):
    """All that a paper reports.

    protocol: how, as far as it is known, in the words of trial.Protocol; sound: how it should have
    been, empty where the paper's is sound. published, sound_words: what the two are called above a
    table. unread: why there are no claims, in sentences for a reader, where there are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str
    dataset: str
    protocol: dict[str, str]
    sound: dict[str, str] = {}
    published: str
    sound_words: str = ""
    unread: str = ""
    claims: list[Claim]

    @model_validator(mode="after")
    def _claims_or_why_not(self) -> Self:
        if bool(self.claims) == bool(self.unread):
            raise ValueError("a paper has claims, or `unread` says why there are none")
        return self


def load(chapter: str) -> Paper:
    """The claims of a chapter's paper."""
    text = (FOLDER / f"{chapter}.yaml").read_text(encoding="utf-8")
    return Paper.model_validate(yaml.safe_load(text))


def verdict(claim: Claim, value: float, low: float, high: float, kind: str) -> tuple[str, str]:
    """The verdict on a claim, and why.

    value, low, high: measured, in the claim's unit. kind: of the data. Only full data earns one:
    reproduced, when the claim lies in the interval; near, within two points of per cent, which is
    0.02 of a number from 0 to 1; else not reproduced. Two points are more than any Hamming loss
    that is claimed, so that metric knows no 'near'.
    """
    if kind != "full":
        what = {"twin": "simulated recordings", "subset": "a part of the release"}[kind]
        return "not comparable", f"measured on {what}"
    if low <= claim.value <= high:
        return "reproduced", "the claim lies in the interval"
    distance = abs(claim.value - value)
    points = distance * (1 if claim.unit == "%" else 100)
    if claim.metric != "hamming_loss" and points <= NEAR_POINTS:
        return "near", f"{points:.1f} points away"
    return "not reproduced", f"{distance:.3g} away and outside the interval"


def join(chapter: str, record: dict[str, Any]) -> pd.DataFrame:
    """One row a claim: what the paper says, and what the run of `record` measured.

    Columns: claim, model, leads, year, version, task, mode, variant, gain, metric, unit, claimed,
    value, low, high (the paper's protocol), sound, sound_low, sound_high, data, verdict, why, key,
    read. What was not measured is NaN. Of a paper without claims there is no row.
    """
    paper = load(chapter)
    rows = []
    for claim in paper.claims:
        factor = 100.0 if claim.unit == "%" else 1.0
        same = record["data"][0]["dataset"] == paper.dataset
        given = record.get("parameters", {})
        asked = given.get("year", claim.year) == claim.year and given.get("grouped", True)
        other_task = given.get("task", claim.task) != claim.task
        asked = same and asked and not claim.gain and not other_task
        ours = _score(record, claim, paper.protocol) if asked else None
        sound = _score(record, claim, paper.sound) if asked and paper.sound else None
        value, low, high = (float("nan"),) * 3
        kind = record["data"][0]["kind"]
        said = ("not comparable", "not measured in this run")
        if ours is not None:
            value, low, high, kind = (*(factor * x for x in ours[:3]), ours[3])
            said = verdict(claim, value, low, high, kind)
            if kind == "full" and record.get("parameters", {}).get("sizes", "paper") != "paper":
                said = ("not comparable", "a smaller model than the paper's")
            elif kind == "full" and claim.mode == ADULTS:
                said = ("not comparable", "here PTB-XL itself is what the model was taught")
            elif kind == "full" and claim.mode and _fewer_adults(record):
                said = ("not comparable", "the adults are not the whole of PTB-XL")
        elif not same:
            said = ("not comparable", "another dataset")
        elif other_task:
            said = ("not comparable", "another task")
        elif claim.gain:
            said = ("not comparable", "the paper's baselines are not known here")
        rows.append(
            {
                "claim": claim.id,
                "model": claim.model,
                "leads": claim.leads,
                "year": claim.year,
                "version": claim.version,
                "task": claim.task,
                "mode": claim.mode,
                "variant": claim.variant,
                "gain": claim.gain,
                "metric": claim.metric,
                "unit": claim.unit,
                "claimed": claim.value,
                "value": value,
                "low": low,
                "high": high,
                "sound": factor * sound[0] if sound else float("nan"),
                "sound_low": factor * sound[1] if sound else float("nan"),
                "sound_high": factor * sound[2] if sound else float("nan"),
                "data": kind,
                "verdict": said[0],
                "why": said[1],
                "key": record["key"],
                "read": claim.read,
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)  # which are there without a row too


def shown(chapter: str, joined: pd.DataFrame) -> pd.DataFrame:
    """The joined table as a reader wants it: numbers with their intervals, in words."""
    paper = load(chapter)
    percent = joined["unit"] == "%"
    metric = joined["metric"].map(WORDS) + np.where(percent, " (%)", "")
    metric += np.where(joined["gain"].astype(bool), ", gain over the strongest baseline", "")
    of = {"leads": joined["leads"]}
    if joined["year"].notna().all():
        of = {"release": joined["year"].astype(int)}
    elif joined["mode"].notna().all():
        of = {"mode": joined["mode"], "version": joined["version"]}
    elif joined["version"].notna().all():
        of = {"version": joined["version"]}
    elif joined["task"].notna().all():
        of = {"task": joined["task"]}
    sound = {}
    if paper.sound:
        words = _in_words(joined, "sound", "sound_low", "sound_high", percent)
        sound[paper.sound_words] = words
    table = pd.DataFrame(
        {
            **of,
            "metric": metric,
            "paper": joined["claimed"].astype(str),
            paper.published: _in_words(joined, "value", "low", "high", percent),
            **sound,
            "data": joined["data"],
            "verdict": joined["verdict"],
        }
    )
    names = joined["model"] + joined["variant"].map(lambda variant: variant and f", {variant}")
    table.index = pd.Index(names.to_numpy())  # without a name, which would take a line
    return table


def versions(chapter: str) -> pd.DataFrame:
    """What a paper reports in each of its versions, side by side; "not found" where it was not.

    One row a metric; with modes, one a model, what was left out of it, and mode, as "peace, no
    text, full: macro AUROC".
    """
    rows = [
        {
            "metric": _whose(claim)
            + WORDS[claim.metric]
            + (", gain over the strongest baseline" if claim.gain else ""),
            "version": claim.version,
            "value": f"{'+' if claim.gain else ''}{claim.value}{'' if claim.gain else claim.unit}",
        }
        for claim in load(chapter).claims
    ]
    listed = pd.DataFrame(rows, columns=["metric", "version", "value"])
    order = listed["metric"].drop_duplicates()
    table = listed.pivot(index="metric", columns="version", values="value").loc[order]
    return table.fillna("not found").rename_axis(index=None, columns=None)


def _whose(claim: Claim) -> str:
    """What tells a claim from others of its metric, for a heading; nothing without a mode."""
    parts = [claim.model, claim.variant, claim.mode]
    return f"{', '.join(part for part in parts if part)}: " if claim.mode else ""


def _in_words(
    joined: pd.DataFrame, value: str, low: str, high: str, percent: "pd.Series[bool]"
) -> list[str]:
    digits = np.where(percent, 1, np.where(joined["metric"] == "hamming_loss", 4, 3))
    columns = (joined[value], joined[low], joined[high], digits)
    return [
        "not run" if pd.isna(v) else interval(v, a, b, digits)
        for v, a, b, digits in zip(*columns, strict=True)
    ]


def interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """`0.712 (0.680 to 0.741)`; the value alone where the interval is undefined."""
    if pd.isna(value):
        return "undefined"
    if pd.isna(low):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _score(
    record: dict[str, Any], claim: Claim, wanted: dict[str, str]
) -> tuple[float, float, float, str] | None:
    """The claim's metric in the trial that follows `wanted`: value, low, high, kind of data.

    Of several, one that was taught all that it could be.
    """
    for trial in sorted(record["trials"], key=lambda trial: bool(trial["protocol"].get("most"))):
        protocol = trial["protocol"]
        other = ("changes", "windows", "loss", "repeat", "turn")
        fits = (
            (_carried if claim.mode else _whole)(protocol, claim)
            and len(protocol["leads"]) == claim.leads
            and protocol["labels"] == "real"
            and protocol["antialias"]
            and not any(protocol.get(name) for name in other)
            and "trained_on" not in trial
            and all(protocol[name] == value for name, value in wanted.items())
        )
        if not fits:
            continue
        scores = trial["scores"]
        for metric, label, *numbers in zip(
            *(scores[c] for c in ("metric", "label", "value", "low", "high")), strict=True
        ):
            if metric == claim.metric and label == "macro":
                value, low, high = (float("nan") if x is None else float(x) for x in numbers)
                return value, low, high, trial["data"]
    return None


def _fewer_adults(record: dict[str, Any]) -> bool:
    """Whether the adults beside the children are a twin of PTB-XL or a part of it."""
    beside = record.get("beside", [])
    return any(other["dataset"] == "ptbxl" and other["kind"] != "full" for other in beside)


def _whole(protocol: dict[str, Any], claim: Claim) -> bool:
    """Whether a trial is of the claim's model and recordings, and nothing was carried over."""
    return bool(
        protocol["model"] == claim.model
        and protocol["cohort"] == (claim.cohort or f"{claim.leads}-lead")
        and not protocol.get("transfer")
    )


def _carried(protocol: dict[str, Any], claim: Claim) -> bool:
    """Whether a trial carries a model from adults to children as the claim's mode says.

    The method of the transfer is what the paper calls a model. Of those who are taught children
    too, the paper's begin with what they learned of adults, and no part stands still. Its texts are
    not made for an age.
    """
    how = protocol.get("transfer")
    if not how:
        return False
    shots = SHOTS[str(claim.mode)]
    return bool(
        how["method"].lower() == claim.model
        and how["shots"] == shots
        and (how.get("tested") == "adults") == (claim.mode == ADULTS)
        and (shots == 0 or (how["begin"] and not how["frozen"]))
        and how["draw"] == 0
        and (
            claim.model != "peace"  # the others know no terms, texts or tokens
            or (how["terms"], how["texts"], how["tokens"], how.get("form", "adult"))
            == (claim.variant or "complete", "real", "own", "adult")
        )
    )
