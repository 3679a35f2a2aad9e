"""The book's generated pages, made from docstrings, the registry and the kept records.

Nothing in them is typed by hand: a data card is its reader's docstring, the table of models is
counted, and the tables of results come from records. They go to book/generated, which git ignores.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pecg_utils import (
    cards,
    chapters,
    claims,
    files,
    findings,
    kept,
    keys,
    ledger,
    places,
    twin_pages,
)
from pecg_utils.markdown import table as markdown

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
        pages[f"{chapter}-kept.md"] = kept.fragment(records, folder)
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
    """Every claim of a chapter with its source, and each record's measurement beside it.

    Of a paper without claims, why there are none.
    """
    paper = claims.load(chapter)
    if not paper.claims:
        return (
            f"## {paper.paper}\n\n"
            f"Of {paper.paper} no number could be read, so that there is none to hold a "
            f"measurement against, and no verdict. {paper.unread} What was measured here stands in "
            f"{{doc}}`../papers/{chapter}`.\n"
        )
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
        about = f"### {kept.title(record)}\n\n{kept.about(record)}"
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
