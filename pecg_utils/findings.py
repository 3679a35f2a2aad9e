"""What each chapter found, in a sentence a record: what stands at the head of its page."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from pecg_utils import cards, claims, ledger
from pecg_utils.words import recordings

Records = list[dict[str, Any]]
_ENDS = ("window", "patient")
_NOTHING = "No record is kept yet."


def benchmark(records: Records) -> str:
    """For each record the first model's macro AUROC by window and by patient, real and permuted."""
    lines = []
    for record in records:
        first = record["trials"][0]["protocol"]
        found = {}
        for trial in record["trials"]:
            same = all(trial["protocol"][k] == first[k] for k in ("model", "cohort", "leads"))
            if same and trial["protocol"]["antialias"] and "trained_on" not in trial:
                way = tuple(trial["protocol"][k] for k in ("labels", "split", "normalise"))
                found[way] = trial
        wanted = [(labels, split, "train") for labels in ("real", "permuted") for split in _ENDS]
        if not all(way in found for way in wanted):
            continue
        rows = ledger.rows([found[way] for way in wanted])
        macro = rows[(rows["metric"] == "auroc") & (rows["label"] == "macro")]
        values = [
            claims.interval(v, a, b)
            for v, a, b in zip(macro["value"], macro["low"], macro["high"], strict=True)
        ]
        kind = macro["data"].iloc[0]
        people = next(d["patients"] for d in record["data"] if d["kind"] == kind)
        lines.append(
            f"- {cards.name(record['data'][0]['dataset'])}, {{tag}}`{kind}`, {people:,} patients, "
            f"{rows['label'].nunique() - 1} labels: macro AUROC of `{first['model']}` is "
            f"{values[0]} with windows divided at random and {values[1]} with patients kept apart. "
            f"With labels that mean nothing it is {values[2]} and {values[3]} "
            f"(record `{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


def cnn_ecg_mamba(records: Records) -> str:
    """For each record the model's scores with all sites pooled, and with each site left out."""
    lines = []
    for record in records:
        found = {}
        for trial in record["trials"]:
            protocol = trial["protocol"]
            plain = not protocol.get("changes") and not protocol.get("windows")
            if plain and protocol["model"] == "cnn_ecg_mamba":
                found[protocol["split"]] = trial
        if not {"file", "site"} <= set(found):
            continue
        pooled, apart = (_values(found[split]) for split in ("file", "site"))
        given = record["data"][0]
        sites = len(found["site"]["folds"])
        who = recordings(given["recordings"], given["patients"], given["named"])
        lines.append(
            f"- {cards.name(given['dataset'])}, {{tag}}`{given['kind']}`, {who}: with all sites "
            f"pooled, cross-validation gives a macro AUROC of {pooled['auroc']} and a Challenge "
            f"score of {pooled['challenge_score']}. With each of {sites} sites left out of the "
            f"training that it is tested on, they are {apart['auroc']} and "
            f"{apart['challenge_score']} (record `{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


def _values(trial: dict[str, Any]) -> dict[str, str]:
    """The macro values of a trial with their intervals, in words."""
    rows: pd.DataFrame = ledger.rows([trial])
    macro = rows[rows["label"] == "macro"]
    columns = (macro[name] for name in ("metric", "value", "low", "high"))
    return {
        metric: claims.interval(value, low, high)
        for metric, value, low, high in zip(*columns, strict=True)
    }


FRAGMENTS: dict[str, Callable[[Records], str]] = {
    "benchmark": benchmark,
    "cnn_ecg_mamba": cnn_ecg_mamba,
}
