"""The records that are kept with the book, each as tables and pictures for its chapter's page."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pecg_utils import (
    cards,
    challenge_plots,
    claims,
    contrast_plots,
    files,
    kept_models,
    kept_peace,
    kept_small,
    ledger,
    plots,
    rhythm_words,
    words,
)
from pecg_utils.markdown import table as markdown
from pecg_utils.metrics import WORDS
from pecg_utils.subgroups import EVERYWHERE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = dict[str, pd.DataFrame]


def fragment(records: list[dict[str, Any]], folder: Path) -> str:
    """The kept records of a chapter, each as tables and pictures, for the chapter's page."""
    if not records:
        return "No record is kept yet.\n"
    return "\n\n".join(part for record in records for part in _of_record(record, folder)) + "\n"


def _of_record(record: dict[str, Any], folder: Path) -> list[str]:
    held = {name: _numeric(pd.DataFrame(table)) for name, table in record.get("tables", {}).items()}
    trials = record["trials"]
    small = "small labels" in held
    carried = small or "transfer" in held  # to a small set from a large one, or to children
    if "ablation" in held and not carried:  # has a picture of its own
        own = ("loss", "repeat")
        trials = [t for t in trials if not any(t["protocol"][name] for name in own)]
    trials = kept_small.named(trials, held)
    rows = ledger.rows([{**trial, "name": _named(trial)} for trial in trials])
    macro = rows[rows["label"] == "macro"]
    pair = _pair(macro)
    alt = f"{WORDS[pair[0]]} and {WORDS[pair[1]]} with intervals, trials of {title(record)}"
    shown = kept_small if small else kept_peace if carried else kept_models
    compared = shown.parts(record, held, functools.partial(_picture, record, folder))
    return [
        f"### {title(record)}",
        about(record),
        *_by_site(record, held, folder),
        *([] if carried else _of_signals(record, held, folder)),
        *(compared or [_picture(record, folder, "", alt, lambda: plots.forest(macro, pair))]),
        f":::{{dropdown}} The same in numbers\n{markdown(_trials_table(macro))}\n:::",
    ]


def _named(trial: dict[str, Any]) -> str:
    """A trial's name, whether it was trained on other data, and what it was tested on."""
    source = trial.get("trained_on", trial["data"])
    elsewhere = f", trained on the {source}" if source != trial["data"] else ""
    return f"{trial['name']}{elsewhere} [{trial['data']}]"


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, with columns of numbers and None as numbers and NaN."""
    found = table.copy()
    for name in found.columns:
        given = found[name].dropna()
        if all(isinstance(x, int | float) for x in given):
            found[name] = pd.to_numeric(found[name])
    return found


def _pair(macro: pd.DataFrame) -> tuple[str, str]:
    """The two metrics that a record's picture shows."""
    held = set(macro["metric"])
    if "top1" in held:
        return "top1", "f1"
    return "auroc", "challenge_score" if "challenge_score" in held else "f1"


def _by_site(record: dict[str, Any], held: Tables, folder: Path) -> list[str]:
    """What a record holds of sites that were left out, and of a model's parts; it may hold none."""
    parts = []
    for metric, chance in (("auroc", 0.5), ("challenge_score", 0.0)):
        if (table := held.get(f"sites, {metric}")) is None:
            continue
        alt = f"{WORDS[metric]} at each site, pooled and left out, of {title(record)}"
        parts.append(
            _picture(
                record,
                folder,
                f"-{metric}",
                alt,
                lambda: challenge_plots.paired(table, WORDS[metric], chance, EVERYWHERE),  # noqa: B023
            )
        )
    if parts:
        said = (
            "Each site by itself: orange, by models that had other recordings of the site in "
            "training; blue, by models that had none. All were taught equally many."
        )
        parts.insert(0, said)
    if "parts" in held:
        said = "One part of the model changed at a time: the change less the whole model."
        parts += [said, markdown(held["parts"]), "All trials of the record:"]
    return parts


def _of_signals(record: dict[str, Any], held: Tables, folder: Path) -> list[str]:
    """What a record holds of two signals: distances, the mask alone, and terms of the loss."""
    parts = []
    if (table := held.get("same windows")) is not None:
        alt = f"Top-1 accuracy, macro F1 and AUROC by way of dividing, of {title(record)}"
        three = ("top1", "f1", "auroc")
        parts += [
            f"On the {table['windows'].iloc[0]:,} windows that all three ways tested:",
            _picture(record, folder, "-ways", alt, lambda: plots.forest(table, three)),
            *_by_class(record, folder),
        ]
    if (table := held.get("distances")) is not None:
        shown = words.distances(table).reset_index(names="on the same windows")
        parts += ["What lies between two trials, with the interval over patients:", markdown(shown)]
    table = held.get("presence", pd.DataFrame())
    if not table.empty:  # a column may be null throughout
        columns = table.columns.difference(["name", "metric", "label"])
        table = table.astype(dict.fromkeys(columns, float))
        if not rhythm_words.constant(table):
            parts.append(str(rhythm_words.presence(table).data))
    if (table := held.get("ablation")) is not None:
        alt = f"Top-1 accuracy and macro F1 by terms of the loss and seed, of {title(record)}"
        parts += [
            "Terms of the loss, a dot a seed with its interval over patients:",
            _picture(record, folder, "-loss", alt, lambda: contrast_plots.seeds(table)),
            str(rhythm_words.gain(table).data),
        ]
    return [*parts, "The other trials of the record:"] if parts else []


def _by_class(record: dict[str, Any], folder: Path) -> list[str]:
    """The F1 of each class with windows at random and with patients kept apart."""
    ways = ("window", "patient", "division")
    trials = [
        trial
        for trial in record["trials"]
        if trial["protocol"]["split"] in ways
        and trial["protocol"]["cohort"] != "children"
        and not any(trial["protocol"][name] for name in ("changes", "windows", "loss", "repeat"))
    ]
    least = sorted(trials, key=lambda trial: trial["protocol"]["most"] or float("inf"))
    of_way = {trial["protocol"]["split"]: trial for trial in reversed(least)}  # taught alike
    rows = ledger.rows([of_way[way] for way in ways if way in of_way])
    names = {label: label for label in rows["label"].unique()}
    alt = f"F1 by class and way of dividing, of {title(record)}"
    return [
        "F1 of each class, over all windows that each of the two tested:",
        _picture(record, folder, "-classes", alt, lambda: plots.per_class(rows, names, "f1")),
    ]


def _picture(
    record: dict[str, Any], folder: Path, which: str, alt: str, draw: "Callable[[], Figure]"
) -> str:
    """A kept record's picture, drawn where it is not there yet, as a line of the page."""
    picture = folder / f"{record['chapter']}-{record['key']}{which}.svg"
    if not picture.is_file():
        with files.whole(picture) as scratch:
            scratch.parent.mkdir(parents=True, exist_ok=True)
            draw().savefig(scratch, format="svg", metadata={"Date": None})
    return f"```{{image}} ../generated/{picture.name}\n:alt: {alt}\n:class: dark-light\n```"


def _judged(record: dict[str, Any]) -> bool:
    """Whether models that were trained on the twin were tested on what was given."""
    return any(
        trial.get("trained_on", trial["data"]) != trial["data"] for trial in record["trials"]
    )


def _trials_table(macro: pd.DataFrame) -> pd.DataFrame:
    shown: dict[str, list[str]] = {}
    for metric, called in {**WORDS, "hamming_loss_all_zero": "all-zero answer"}.items():
        part = macro[macro["metric"] == metric]
        if part.empty:
            continue
        digits = 4 if metric.startswith("hamming") else 3
        shown[called] = [
            claims.interval(v, a, b, digits)
            for v, a, b in zip(part["value"], part["low"], part["high"], strict=True)
        ]
    first = macro[macro["metric"] == "auroc"]
    names = [name.rpartition(" [")[0] for name in first["name"]]
    tags = [f"{{tag}}`{kind}`" for kind in first["data"]]
    return pd.DataFrame({"trial": names, "data": tags, **shown})


def title(record: dict[str, Any]) -> str:
    given = record["data"][0]
    if _judged(record):
        return (
            f"{cards.name(given['dataset'])}: trained on the twin, tried on "
            f"{given['recordings']} real recordings, profile {record['profile']}"
        )
    taught = record["data"][-1]["kind"]
    real = f", and {given['recordings']} real recordings" if taught != given["kind"] else ""
    return f"{cards.name(given['dataset'])}, {taught}{real}, profile {record['profile']}"


def about(record: dict[str, Any]) -> str:
    data = "; ".join(
        f"{cards.name(d['dataset'])} {{tag}}`{d['kind']}`, "
        + words.recordings(d["recordings"], d["patients"], d.get("named", True))
        for d in record["data"]
    )
    minutes = record["training_seconds"] / 60
    return (
        f"Record `{record['key']}`, made {record['made'][:10]} at revision "
        f"`{record['revision']}`: {data}. {len(record['trials'])} trials, {minutes:.1f} minutes "
        f"of training, {record['peak_memory_mib']:,.0f} MiB at most, on "
        f"{record['machine']['processor']} with {record['machine']['cores']} cores, "
        f"GPU {record['machine']['gpu']}"
        + (
            f", state-space models by {by}."
            if (by := record["machine"].get("state_space"))
            else "."
        )
    )
