"""What each chapter found, in a sentence a record: what stands at the head of its page."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from pecg_utils import cards, claims, ledger, peace_words, picked, ranks, small_findings
from pecg_utils.subgroups import EVERYWHERE

Records = list[dict[str, Any]]
_ENDS = ("window", "patient")
_SITES = ("sites, auroc", "sites, challenge_score")  # tables of a record
_RANDOM, _OTHERS = "at random", "patients apart"  # rows of the table "same windows"
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
    """For each record windows at random and patients apart, on the windows that both tested."""
    lines = []
    for record in records:
        table = pd.DataFrame(record.get("tables", {}).get("same windows", {}))
        if table.empty:
            continue
        given = record["data"][0]
        said = {}
        for row in table.astype({"value": float, "low": float, "high": float}).itertuples():
            said[row.name, row.metric] = claims.interval(
                100 * row.value, 100 * row.low, 100 * row.high, 1
            )
        other = "" if given["dataset"] == claims.load("agcacl").dataset else ", another dataset"
        windows, patients, classes = (
            table[of].iloc[0] for of in ("windows", "patients", "classes")
        )
        lines.append(
            f"- {cards.name(given['dataset'])}, {{tag}}`{given['kind']}`{other}, {windows:,} "
            f"windows of {patients} patients and {classes} classes: models that were taught other "
            f"windows of the same patients have a top-1 accuracy of {said[_RANDOM, 'top1']} % and "
            f"a macro F1 of {said[_RANDOM, 'f1']} %. Models that were taught other patients have "
            f"{said[_OTHERS, 'top1']} % and {said[_OTHERS, 'f1']} % on the same windows (record "
            f"`{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


def mrmnet(records: Records) -> str:
    """For each record MRM-Net and the best other model, and what choosing by the test side adds."""
    lines = []
    for record in records:
        held = {name: pd.DataFrame(table) for name, table in record.get("tables", {}).items()}
        if not {"comparison", "blocks", "rules"} <= set(held):
            continue
        given, areas = record["data"][0], held["comparison"].query("metric == 'auroc'")
        own, others = areas.iloc[0], areas.iloc[1:]
        best = others.loc[others["value"].astype(float).idxmax()]
        value, other = (
            claims.interval(row["value"], row["low"], row["high"]) for row in (own, best)
        )
        chosen = []
        for metric, words in (("auroc", "macro AUROC"), ("f1", "sample-wise F1")):
            above = picked.optimism(held["rules"], metric)
            above = above.loc[above["rule"] == picked.AS_CODED, "above"]
            spread = f"{above.min():+.3f} to {above.max():+.3f}"
            chosen.append(f"{words} {above.mean():+.3f} in the mean ({spread})")
        told = ranks.compare(held["blocks"]).told_apart
        apart = "no two of the models can be told apart by their ranks"
        if told:
            pairs = "pair" if len(told) == 1 else "pairs"
            apart = f"{len(told)} {pairs} of the {len(areas)} models can be told apart by ranks"
        lines.append(
            f"- {cards.name(given['dataset'])}, {{tag}}`{given['kind']}`, {given['patients']:,} "
            f"patients, {int(own['trials'])} trainings a model. Epoch and head chosen by the test "
            f"side, as coded, less the epoch by validation and the mean of the heads: "
            f"{' and '.join(chosen)}. Macro AUROC of MRM-Net, without that choice, is {value}; "
            f"that of `{best['name']}`, the best of the {len(others)} others, is {other}; {apart} "
            f"(record `{record['key']}`)."
        )
    return "\n".join(lines or [_NOTHING]) + "\n"


def peace(records: Records) -> str:
    """For each record PEACE beside fine-tuning, what its texts and its tokens do, and hospitals."""
    lines = []
    for record in records:
        held = {name: pd.DataFrame(table) for name, table in record.get("tables", {}).items()}
        if not {"transfer", "controls", "tokens"} <= set(held):
            continue
        children = record["data"][-1]  # models are trained on its kind
        kind = children["kind"]
        areas = held["transfer"].query("metric == 'auroc'").set_index(["method", "mode"])
        (none, all_), (tuned, tuned_all) = (
            [_measured(areas.loc[(method, mode)]) for mode in ("0", "all")]
            for method in ("PEACE", "fine-tuning")
        )
        trials = int(areas.loc[("PEACE", "0"), "trials"])
        lines += [
            f"- {cards.name(children['dataset'])}, {{tag}}`{kind}`, {children['patients']:,} "
            f"children, and adults of PTB-XL, {{tag}}`{_adults(record)}`, "
            f"{trials} {'training' if trials == 1 else 'trainings'} a method (record "
            f"`{record['key']}`):",
            f"  - {_other_texts(held['controls'])}",
            f"  - {_shown_the_answer(held['tokens'], _adults(record))}",
            f"  - Macro AUROC of PEACE is {none} without a child and {all_} with all of them; that "
            f"of fine-tuning is {tuned} and {tuned_all}.",
            *_of_hospitals(record, held),
        ]
    return "\n".join(lines or [_NOTHING]) + "\n"


def _measured(row: Any) -> str:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return claims.interval(value, low, high)


def _adults(record: dict[str, Any]) -> str:
    """The kind of the adults that models learn from: a twin's where the children are one's."""
    twin = record["data"][-1]["kind"] == "twin"
    of_ptbxl = [d["kind"] for d in record.get("beside", []) if d["dataset"] == "ptbxl"]
    return str(next(kind for kind in of_ptbxl if (kind == "twin") == twin))


def _other_texts(table: pd.DataFrame) -> str:
    """What other vectors do in the place of PEACE's texts."""
    others = table[table["name"].isin(peace_words.WITHOUT_MEANING)]
    others = others.astype(dict.fromkeys(("gain", "gain_low", "gain_high"), float))
    told = [
        f"*{row.name}* {peace_words.mode(row.mode)} "
        f"{row.gain:+.3f} ({row.gain_low:+.3f} to {row.gain_high:+.3f})"
        for row in others.itertuples(index=False)
        if row.gain_low > 0 or row.gain_high < 0
    ]
    modes = " and ".join(peace_words.mode(mode) for mode in others["mode"].unique())
    with_what = f"With random, shuffled or one-hot vectors in place of the texts, {modes}"
    if not told:
        return f"{with_what}, none of {len(others)} differences to the real texts leaves 0 out."
    leave = "leaves" if len(told) == 1 else "leave"
    return (
        f"{with_what}, {len(told)} of {len(others)} differences to the real texts {leave} 0 out: "
        f"{'; '.join(told)}."
    )


def _shown_the_answer(table: pd.DataFrame, kind: str) -> str:
    """What PEACE's axis tokens do to models that are asked of adults, and of children."""
    by = table.set_index(["tested", "taught", "seen"])
    path, own, without, beside, child, child_without = (
        _measured(by.loc[which])
        for which in (
            ("adults", "in the path", peace_words.ALONE),
            ("adults", "in the path", peace_words.OWN),
            ("adults", "none", peace_words.ALONE),
            ("adults", "beside", peace_words.ALONE),
            ("children", "in the path", peace_words.ALONE),
            ("children", "none", peace_words.ALONE),
        )
    )
    return (
        f"Asked of adults that it was not taught, {{tag}}`{kind}`, from the ECG alone, a model "
        f"has {path} if its axis tokens were in the path to the answer, {beside} if they were "
        f"beside it, and {without} if there were none; shown a recording's own tokens, which are "
        f"made of the answer, the first has {own}. Where all children are taught too, others are "
        f"read with {child} if tokens were in the path and with {child_without} if there were none."
    )


def _of_hospitals(record: dict[str, Any], held: dict[str, pd.DataFrame]) -> list[str]:
    """Hospitals left out and pooled, where a record has them."""
    if "hospitals" not in held:
        return []
    kind = next(d["kind"] for d in record["beside"] if d["dataset"] == "challenge")
    together = held["hospitals"].query("site == @EVERYWHERE")
    listed = "; ".join(f"{row['protocol']} {_measured(row)}" for _, row in together.iterrows())
    sites = held["hospitals"]["site"].nunique() - 1
    return [
        f"  - Of {together['recordings'].iloc[0]:,} adults of {sites} "
        f"{'hospital' if sites == 1 else 'hospitals'}, {{tag}}`{kind}`, within a hospital: "
        f"{listed}."
    ]


def ecgs_enough(records: Records) -> str:
    """For each record what pre-training brings, and what a filter, choices and random tests do."""
    lines = [line for record in records for line in small_findings.lines(record)]
    return "\n".join(lines or [_NOTHING]) + "\n"


FRAGMENTS: dict[str, Callable[[Records], str]] = {
    "benchmark": benchmark,
    "cnn_ecg_mamba": cnn_ecg_mamba,
    "agcacl": agcacl,
    "mrmnet": mrmnet,
    "peace": peace,
    "ecgs_enough": ecgs_enough,
}
