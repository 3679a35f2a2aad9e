"""What each chapter found, in a sentence a record: what stands at the head of its page."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from pecg_utils import cards, claims, ledger
from pecg_utils.subgroups import EVERYWHERE

Records = list[dict[str, Any]]
_ENDS = ("window", "patient")
_SITES = ("sites, auroc", "sites, challenge_score")  # tables of a record
_APART = ("patient", "division")  # splits that keep patients apart
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
    """For each record the model's scores on the same recordings, sites pooled and left out."""
    lines = []
    for record in records:
        tables = [pd.DataFrame(record.get("tables", {}).get(name, {})) for name in _SITES]
        if any(table.empty for table in tables):
            continue
        given = record["data"][0]
        values = []
        for table in tables:
            together = table[table["site"] == EVERYWHERE].astype({"low": float, "high": float})
            values.append(
                [claims.interval(row.value, row.low, row.high) for row in together.itertuples()]
            )
            count, sites = together["recordings"].iloc[0], table["site"].nunique() - 1
        (pooled, apart), (score, score_apart) = values
        lines.append(
            f"- {cards.name(given['dataset'])}, {{tag}}`{given['kind']}`, {count:,} recordings of "
            f"{sites} {'site' if sites == 1 else 'sites'}: models that had other recordings of the "
            f"same site in training have a macro AUROC of {pooled} and a Challenge score of "
            f"{score}. Models that had none have {apart} and {score_apart} (record "
            f"`{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


def agcacl(records: Records) -> str:
    """For each record the whole model, windows at random and patients kept apart."""
    lines = []
    for record in records:
        found = {}
        for trial in record["trials"]:
            protocol = trial["protocol"]
            other = ("changes", "windows", "loss", "repeat")
            if protocol["model"] == "agcacl" and not any(protocol[name] for name in other):
                found[protocol["cohort"], protocol["split"]] = trial
        given = record["data"][0]
        whole = record["trials"][0]["protocol"]["cohort"]
        apart = next((way for way in _APART if (whole, way) in found), None)
        if apart is None or (whole, "window") not in found:
            continue
        rows = ledger.rows([found[whole, "window"], found[whole, apart]])
        macro = rows[rows["label"] == "macro"].set_index("metric")
        said = {
            metric: [
                claims.interval(100 * row.value, 100 * row.low, 100 * row.high, 1)
                for row in macro.loc[[metric]].itertuples()
            ]
            for metric in ("top1", "f1")
        }
        other_data = (
            "" if given["dataset"] == claims.load("agcacl").dataset else ", another dataset"
        )
        lines.append(
            f"- {cards.name(given['dataset'])}, {{tag}}`{given['kind']}`{other_data}, "
            f"{given['patients']} patients: top-1 accuracy is {said['top1'][0]} % and macro F1 "
            f"{said['f1'][0]} % with windows divided at random, {said['top1'][1]} % and "
            f"{said['f1'][1]} % with patients kept apart (record `{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


FRAGMENTS: dict[str, Callable[[Records], str]] = {
    "benchmark": benchmark,
    "cnn_ecg_mamba": cnn_ecg_mamba,
    "agcacl": agcacl,
}
