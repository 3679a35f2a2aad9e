"""The book's page on how like real recordings the twins are.

It is made from what `pecg data likeness` measured and git keeps.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from pecg_utils import cards, claims, files, places, plots
from pecg_utils.markdown import table as markdown
from pecg_utils.twins import writing

_SHOWN = ("rate", "pr", "qrs", "qt", "qtc", "axis", "r_V1", "s_V1", "r_V6", "s_V6", "t_V6")
_UNITS = {"rate": "1/min", "pr": "ms", "qrs": "ms", "qt": "ms", "qtc": "ms", "axis": "degrees"}
TARGET = 0.80  # an AUROC below it is what the twins were made for


def twins_page(folder: Path) -> str:
    """The page's text; its pictures are drawn into `folder` where they are not there yet."""
    kept = places.likeness()
    if not kept.is_file():
        return "# How good the twins are\n\nNo twin was compared yet.\n"
    found = json.loads(kept.read_text(encoding="utf-8"))
    parts = [
        "# How good the twins are",
        _finding(found["compared"]),
        "## Who can tell them apart",
        "Boosted trees saw what a program measured in ten seconds of each recording, and were "
        "tested on patients that they had not seen. Intervals are over patients; the Challenge and "
        "CPSC2018 name none, so that each recording counts as one there. Age bands, sources and "
        "normal ECGs have the same shares in the twin's recordings as in the real ones. *Heights* "
        "are those of P, R, S and T in every lead.",
        "The simulated adults and the electrocardiographs were set by looking at these same real "
        "recordings, so that beside others the twins may do worse. The measuring itself is held "
        "against the hand marks of [LUDB](dataset-ludb.md) by the project's tests. The twins that "
        "are not in the table have no real recordings here to stand beside.",
        markdown(pd.DataFrame([_row(one) for one in found["compared"]])),
        "## What differs",
        "In each picture a dot is the median and a line the middle 80 % of the recordings. The "
        "shaded bands of the spectrum hold the same.",
    ]
    for one in found["compared"]:
        parts += _one(one, folder)
    if found["simulator"] != writing.sources():
        parts.append(
            f"These twins were written by the simulator `{found['simulator']}`. It has changed "
            f"since, to `{writing.sources()}`: `pecg data likeness` measures anew."
        )
    else:
        parts.append(f"Twins of size `{found['size']}`, by the simulator `{found['simulator']}`.")
    return "\n\n".join(parts) + "\n"


def _finding(compared: list[dict[str, Any]]) -> str:
    """The page's first paragraph: which twins are told from real recordings, and by what."""
    groups: dict[str, list[str]] = {"met": [], "missed": [], "undecided": []}
    for one in compared:
        value, low, high = one["auroc"]["all of it"]
        how = "met" if high < TARGET else "missed" if low >= TARGET else "undecided"
        words = f"{cards.name(one['dataset'])} ({value:.2f})"
        groups[how].append(words if how != "undecided" else f"{words[:-1]}, {one['real']} real)")
    easy = max(compared, key=lambda one: one["auroc"]["intervals"][0])
    value, low, high = easy["auroc"]["intervals"]
    apart = claims.interval(value, low, high, 2)
    said = {
        "met": "It is met for {}.",
        "missed": "It is missed for {}.",
        "undecided": "For {} the recordings are too few to say.",
    }
    return " ".join(
        [
            "How well can a classifier tell a twin from real recordings? An AUROC of 0.5 would "
            f"mean not at all; the aim was less than {TARGET:.2f}.",
            *(said[how].format(" and ".join(names)) for how, names in groups.items() if names),
            "By rate, intervals and axis alone the one told apart best is the twin of "
            f"{cards.name(easy['dataset'])}, with {apart}. A result from a twin says what a method "
            "does on simulated ECGs, and no more.",
        ]
    )


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": f"[{cards.name(one['dataset'])}](dataset-{one['dataset']}.md)",
        "data": f"{{tag}}`{one['kind']}`",
        "real": f"{one['real']:,}",
        "twin": f"{one['twin']:,}",
        **{
            what: claims.interval(values[0], values[1], values[2], 2)
            for what, values in one["auroc"].items()
        },
    }


def _one(one: dict[str, Any], folder: Path) -> list[str]:
    name = cards.name(one["dataset"])
    mark = files.fingerprint([json.dumps(one).encode()])
    picture = folder / f"likeness-{one['dataset']}-{mark}.svg"
    if not picture.is_file():
        with files.whole(picture) as scratch:
            figure = plots.likeness(one)
            scratch.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(scratch, format="svg", metadata={"Date": None})
    alt = f"Medians and middle 80 % of what was measured in {name} and in its twin, and the spectra"
    tables = []
    for band, values in one["quantiles"].items():
        rows = [_measurement(what, values[what]) for what in _SHOWN]
        tables.append(
            f"**{band[:1].upper()}{band[1:]}**, {values['recordings']} real recordings\n\n"
            f"{markdown(pd.DataFrame(rows))}"
        )
    return [
        f"### {name}",
        f"```{{image}} {picture.name}\n:alt: {alt}\n:class: dark-light\n```",
        ":::{dropdown} The same in numbers, by age\n" + "\n\n".join(tables) + "\n:::",
    ]


def _measurement(what: str, of_both: dict[str, list[float | None]]) -> dict[str, str]:
    wave, _, lead = what.partition("_")
    words = {"rate": "heart rate", "axis": "axis", "qtc": "QTc"}.get(what, wave.upper())
    unit = _UNITS.get(what, "mV")
    digits = 2 if unit == "mV" else 0

    def spread(kind: str) -> str:
        low, middle, high = of_both[kind]
        if low is None or middle is None or high is None:
            return "not measured"
        return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    return {
        "measured": f"{words} in {lead}" if lead else words,
        "unit": unit,
        "real: median (middle 80 %)": spread("real"),
        "twin": spread("twin"),
    }
