"""The book's generated pages, made from docstrings, the registry and the kept records.

Nothing in them is typed by hand: a data card is its reader's docstring, the table of models is
counted, and the tables of results come from records. They go to book/generated, which git ignores.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pecg_utils import (
    cards,
    challenge_plots,
    chapters,
    claims,
    files,
    findings,
    keys,
    ledger,
    places,
    plots,
    twin_pages,
)
from pecg_utils.markdown import table as markdown
from pecg_utils.metrics import WORDS
from pecg_utils.subgroups import EVERYWHERE
from pecg_utils.words import recordings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIMS = (
    "# Claims and measurements\n\n"
    "Paper by paper: what it reports, and what was measured here under the same protocol and under "
    "a sound one. How a verdict is given: {ref}`verdicts`.\n\n"
)


def write_all() -> list[Path]:
    """Write every generated page whose content changed; gives those."""
    folder = places.PROJECT / "book" / "generated"
    pages = {**cards.pages(), "twins.md": twin_pages.twins_page(folder)}
    written = []
    parts = []
    for chapter in chapters.CHAPTERS:
        shown = _shown(chapter)
        records = ledger.kept(chapter)
        parts.append(claims_section(chapter, ([shown] if shown else []) + records))
        pages[f"{chapter}-kept.md"] = kept_fragment(records, folder)
        told = findings.FRAGMENTS[chapter](records or ([shown] if shown else []))
        pages[f"{chapter}-finding.md"] = told
    pages["claims.md"] = CLAIMS + "\n".join(parts)
    models = folder / "models.md"
    mark = _models_mark()
    if not (models.is_file() and mark in models.read_text(encoding="utf-8")):
        pages["models.md"] = models_page(mark)
    for name, text in pages.items():
        target = folder / name
        if not (target.is_file() and target.read_text(encoding="utf-8") == text):
            files.write_text(target, text)
            written.append(target)
    return written


def _models_mark() -> str:
    sources = keys.reachable("import pecg_utils.models")
    return f"<!-- {files.fingerprint(path.read_bytes() for path in sources)} -->"


def models_page(mark: str) -> str:
    """Every model: weights and multiply-adds, counted, and where each size comes from."""
    from pecg_utils import models

    counted = models.table()
    shown = pd.DataFrame(
        {
            "model": counted["model"],
            "what": counted["what"],
            "weights": counted["weights"].map("{:,}".format),
            "multiply-adds a window": counted["multiply_adds"].map("{:,}".format),
            "shortest window (samples)": counted["min_samples"],
        }
    )
    parts = [
        "# Models",
        "Counted on one window of 12 leads and 300 samples, with 19 labels, at the sizes of the "
        "table below. Windows of other lengths and other leads work within the bounds.",
        markdown(shown),
        "## Where each size comes from",
        "The tags say who chose it: {tag}`paper`, {tag}`code` or {tag}`ours`.",
    ]
    for name in counted["model"]:
        settings = models.settings(name)
        settings["tag"] = settings["tag"].map("{{tag}}`{}`".format)
        parts.append(f"### {name}")
        if beside := models.entry(name).beside:
            parts.append(f"Beside the window of leads it takes {beside}; the counts include them.")
        parts.append(markdown(settings))
    return "\n\n".join([*parts, mark]) + "\n"


def claims_section(chapter: str, records: list[dict[str, Any]]) -> str:
    """Every claim of a chapter with its source, and each record's measurement beside it."""
    paper = claims.load(chapter)
    listed = pd.DataFrame(
        {
            "claim": [claim.id for claim in paper.claims],
            "paper": [f"{claim.value}{claim.unit}" for claim in paper.claims],
            "read in": [claim.read for claim in paper.claims],
        }
    )
    parts = [
        f"## {paper.paper}",
        f"What the paper of {{doc}}`../papers/{chapter}` reports, and what was measured here.",
    ]
    for record in records:
        joined = claims.join(chapter, record)
        measured = joined[joined["value"].notna()]
        about = f"### {_title(record)}\n\n{_about(record)}"
        if measured.empty:
            why = joined["why"].iloc[0]
            parts += [about, f"No claim is comparable with this record: {why}."]
            continue
        table = claims.shown(chapter, measured)
        table["data"] = table["data"].map("{{tag}}`{}`".format)
        table["verdict"] += ": " + measured["why"].to_numpy()
        parts += [about, markdown(table.reset_index(names="model"))]
    parts += [f"### Where each claim of {paper.paper} was read", markdown(listed)]
    return "\n\n".join(parts) + "\n"


def kept_fragment(records: list[dict[str, Any]], folder: Path) -> str:
    """The kept records of a chapter, each as tables and pictures, for the chapter's page."""
    if not records:
        return "No record is kept yet.\n"
    parts = []
    for record in records:
        rows = ledger.rows(record["trials"])
        given = record["data"][0]["kind"]
        rows["name"] += [
            (", trained on the twin" if _judged(record) and kind == given else "") + f" [{kind}]"
            for kind in rows["data"]
        ]
        macro = rows[rows["label"] == "macro"]
        pair = _pair(macro)
        alt = f"{WORDS[pair[0]]} and {WORDS[pair[1]]} with intervals, trials of {_title(record)}"
        parts += [
            f"### {_title(record)}",
            _about(record),
            *_by_site(record, folder),
            _picture(record, folder, "", alt, lambda: plots.forest(macro, pair)),  # noqa: B023
            f":::{{dropdown}} The same in numbers\n{markdown(_trials_table(macro))}\n:::",
        ]
    return "\n\n".join(parts) + "\n"


def _pair(macro: pd.DataFrame) -> tuple[str, str]:
    """The two metrics that a record's picture shows."""
    held = set(macro["metric"])
    if "top1" in held:
        return "top1", "f1"
    return "auroc", "challenge_score" if "challenge_score" in held else "f1"


def _by_site(record: dict[str, Any], folder: Path) -> list[str]:
    """What a record holds of sites that were left out, and of a model's parts; it may hold none."""
    parts = []
    held = {name: pd.DataFrame(table) for name, table in record.get("tables", {}).items()}
    for metric, chance in (("auroc", 0.5), ("challenge_score", 0.0)):
        if (table := held.get(f"sites, {metric}")) is None:
            continue
        table = table.astype({"value": float, "low": float, "high": float})
        alt = f"{WORDS[metric]} at each site, pooled and left out, of {_title(record)}"
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
    return any("trained_on" in trial for trial in record["trials"])


def _trials_table(macro: pd.DataFrame) -> pd.DataFrame:
    shown: dict[str, list[str]] = {}
    for metric, words in {**WORDS, "hamming_loss_all_zero": "all-zero answer"}.items():
        part = macro[macro["metric"] == metric]
        if part.empty:
            continue
        digits = 4 if metric.startswith("hamming") else 3
        shown[words] = [
            claims.interval(v, a, b, digits)
            for v, a, b in zip(part["value"], part["low"], part["high"], strict=True)
        ]
    first = macro[macro["metric"] == "auroc"]
    names = [name.rpartition(" [")[0] for name in first["name"]]
    tags = [f"{{tag}}`{kind}`" for kind in first["data"]]
    return pd.DataFrame({"trial": names, "data": tags, **shown})


def _title(record: dict[str, Any]) -> str:
    given = record["data"][0]
    if _judged(record):
        return (
            f"{cards.name(given['dataset'])}: trained on the twin, tried on "
            f"{given['recordings']} real recordings, profile {record['profile']}"
        )
    return f"{cards.name(given['dataset'])}, {given['kind']}, profile {record['profile']}"


def _about(record: dict[str, Any]) -> str:
    data = "; ".join(
        f"{cards.name(d['dataset'])} {{tag}}`{d['kind']}`, "
        + recordings(d["recordings"], d["patients"], d.get("named", True))
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


def _shown(chapter: str) -> dict[str, Any] | None:
    """The record of the run that is the chapter's page now."""
    page = places.page(chapter)
    if not page.is_file():
        return None
    text = page.read_bytes()
    for record in places.runs().glob(f"{chapter}/*/record.json"):
        executed = record.with_name(f"{chapter}.ipynb")
        if executed.is_file() and executed.read_bytes() == text:
            return ledger.read_record(record)
    return None
