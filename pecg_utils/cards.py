"""The book's pages on the datasets: a card each, and a page that sets them side by side.

A card is its reader's docstring. What was found in whole folders of recordings stands in a survey
that `pecg data survey` wrote and git keeps.
"""

import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from pecg_utils import places
from pecg_utils.data import (
    challenge,
    cpsc2018,
    hospitals,
    leipzig,
    ludb,
    mitdb,
    pe,
    ptbxl,
    zzu,
)
from pecg_utils.markdown import table as markdown
from pecg_utils.twins import TWINS, tables

CARDS: dict[str, ModuleType] = {
    "zzu": zzu,
    "ptbxl": ptbxl,
    "challenge": challenge,
    "hospitals": hospitals,
    "cpsc2018": cpsc2018,
    "leipzig": leipzig,
    "ludb": ludb,
    "mitdb": mitdb,
    "pe": pe,
}


def pages() -> dict[str, str]:
    """File name -> text of every page on datasets."""
    made = {f"dataset-{key}.md": data_card(module) for key, module in CARDS.items()}
    for key, simulator in TWINS.items():
        made[f"dataset-{key}.md"] += twin_section(key, simulator)
    made["dataset-zzu.md"] += _children()
    made["dataset-ptbxl.md"] += _findings()
    made["dataset-hospitals.md"] += _by_site() + _translation()
    made["datasets.md"] = datasets_page()
    return made


def name(dataset: str) -> str:
    """The dataset's name as people write it: the first words of its reader's docstring."""
    return (inspect.getdoc(CARDS[dataset]) or dataset).partition(":")[0]


def datasets_page() -> str:
    """What was found in the folders that were surveyed, and which recordings are copies."""
    kept = places.survey()
    if not kept.is_file():
        return "# Datasets side by side\n\nNo folder was surveyed yet.\n"
    found = json.loads(kept.read_text(encoding="utf-8"))
    copies = [group for group in found["copies"] if len({record for _, record, _ in group}) > 1]
    again = len(found["copies"]) - len(copies)  # one record's name: the same file, read twice
    groups = [
        {
            "group": number,
            "recordings": ", ".join(f"{name(d)} `{record}`" for d, record, _ in group),
            "patients": ", ".join(dict.fromkeys(f"`{patient}`" for _, _, patient in group)),
        }
        for number, group in enumerate(copies, 1)
    ]
    return (
        "# Datasets side by side\n\n"
        "Every recording of each folder was opened by its reader.\n\n"
        f"{markdown(pd.DataFrame([_surveyed(one) for one in found['datasets']]))}\n\n"
        "## Labels, and what was found wrong\n\n"
        "How many labels occur, how many recordings carry none, and how many have each fault. "
        "*Shut out* means that a recording cannot be used; with any other fault it stays.\n\n"
        f"{markdown(pd.DataFrame([_faults(one) for one in found['datasets']]))}\n\n"
        "## Recordings with the same samples\n\n"
        f"{len(groups)} groups of recordings agree in their samples. A split by record, patient or "
        "proxy keeps each group on one side. Not in the table are "
        f"{again} files that stand in two of the folders under one name.\n\n"
        f"{markdown(pd.DataFrame(groups))}\n"
    )


def _surveyed(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": f"[{name(one['dataset'])}](dataset-{one['dataset']}.md)",
        "data": f"{{tag}}`{one['kind']}`",
        "recordings": f"{one['recordings']:,}",
        "patients": f"{one['patients']:,}" if one["patients"] else "not named",
        "hours": f"{one['hours']:.1f}",
        "Hz": ", ".join(f"{rate:g}" for rate in one["rates"]),
        "leads": ", ".join(map(str, one["leads"])),
    }


def _faults(one: dict[str, Any]) -> dict[str, Any]:
    faults = pd.DataFrame(one["quality"]["faults"], columns=["record", "fault", "excluded"])
    return {
        "dataset": name(one["dataset"]),
        "data": f"{{tag}}`{one['kind']}`",
        "labels": sum(count > 0 for count in one["labels"].values()),
        "without one": f"{one['unlabelled']:,}",
        "shut out": faults.loc[faults["excluded"].astype(bool), "record"].nunique(),
        **{
            fault: int(faults.loc[faults["fault"] == fault, "record"].nunique())
            for fault in ("flat", "railed", "duplicate")
        },
    }


def data_card(module: ModuleType) -> str:
    """A dataset's page: its reader's docstring and its labels."""
    text = inspect.getdoc(module) or ""
    title, _, body = text.partition("\n")
    name, _, what = title.partition(": ")
    known = getattr(module, "LABELS", None) or getattr(module, "SUPERCLASSES", {})
    rows = []
    for code, words in known.items():
        group, category = words if isinstance(words, tuple) else ("", words)
        rows.append({"code": f"`{code}`", "label": category, "group": group})
    table = pd.DataFrame(rows)
    if (table["group"] == "").all():
        table = table.drop(columns="group")
    return (
        f"# {name}\n\n{what[:1].upper()}{what[1:]}\n{body}\n\n"
        f"## The {len(table)} labels\n\n{markdown(table)}\n"
    )


_KEY = (
    "`r_v1`, `s_v6` and so on: height of R, S, Q or T in that lead; `r2_v1`: a second R in V1; "
    "`frontal`: height of the main deflection along the axis; `p_left`, `p_right`: the two atria's "
    "parts of P; `st`: level of ST; `t_scale`, `voltage`: a factor on T, on everything; `_sd`: "
    "standard deviation."
)


def twin_section(key: str, simulator: ModuleType) -> str:
    """How a dataset's twin is made: its module's docstring, its sizes, and the command."""
    body = (inspect.getdoc(simulator) or "").partition("\n\n")[2]
    modules = {path.stem for path in Path(inspect.getfile(simulator)).parent.glob("*.py")}
    body = re.sub(
        r"`(\w+)`",
        lambda match: f"`pecg_utils/twins/{match[1]}.py`" if match[1] in modules else match[0],
        body,
    )
    sizes = ", ".join(f"`{name}` {size:,}" for name, size in simulator.SIZES.items())
    return (
        f"\n## The twin\n\n{body}\n\n"
        f"`pecg data twin {key} --size demo FOLDER` writes it. Sizes, in {_COUNTED[key]}: {sizes}. "
        "[How good the twins are](twins.md) says how like real recordings they come out.\n"
    )


_COUNTED = {
    "zzu": "children",
    "ptbxl": "patients",
    "challenge": "recordings",
    "cpsc2018": "recordings",
    "leipzig": "minutes",
    "pe": "patients",
}


def _effects(name: str) -> str:
    effects = pd.DataFrame(tables.rows(name))
    effects["code"] = effects["code"].map("`{}`".format)
    words = {"times": "×", "plus": "+", "to": "becomes"}
    effects["change"] = effects["change"].map(words) + " " + effects["size"]
    effects["change"] = effects["change"].str.replace("+ -", "− ", regex=False)
    effects["unit"] = effects["unit"].replace("x", "")
    return (
        f":::{{dropdown}} The table of effects\n{_KEY}\n\n"
        f"{markdown(effects.drop(columns='size'))}\n:::\n\n"
    )


def _findings() -> str:
    """What each finding of an adult's ECG does to the simulated heart."""
    return (
        "\n### What each finding changes\n\n"
        "All of it is {tag}`ours`. The size is that of severity 1; a carrier has 0.5 to 1.5 of it. "
        "Rhythms are simulated beat by beat. The twins of the other adults' datasets take their "
        "findings from the same table.\n\n" + _effects("findings.csv")
    )


def _children() -> str:
    """What each of the 19 labels changes, and the table of normal values."""
    norms = pd.DataFrame(tables.rows("norms.csv"))
    return (
        "\nA beat is a few Gaussian waves on a moving dipole {cite}`mcsharry2003dynamical`, which "
        "Dower's matrix {cite}`dower1980deriving`, with another row for V1, brings to the leads. "
        "ST and T have a dipole of their own, which V3 to V5 see less of. Limb leads are derived, "
        "so that Einthoven's law holds by construction. The child's age sets rate, intervals, axis "
        "and the balance of the ventricles.\n\n"
        "### What each label changes\n\n"
        "All of it is {tag}`ours`. The size is that of a child with severity 1. A quarter of the "
        "children with a label show nothing of it; the others show 0.4 to 1.6 of the size.\n\n"
        + _effects("effects.csv")
        + "### Normal values by age\n\n"
        "{tag}`ours`, up to 14 years after {cite}`rijnbeek2001limits` and "
        "{cite}`davignon1980normal`: rounded medians and deviations. From 18 years on they are set "
        "so that what is measured in PTB-XL's twin comes [near](twins.md) to its first 500 "
        "recordings. Age in days, "
        "rate a minute, intervals in ms, axis in degrees, amplitudes in mV.\n\n"
        f":::{{dropdown}} The table of normal values\n{_KEY}\n\n{markdown(norms)}\n:::\n"
    )


def _by_site() -> str:
    """How many recordings of each class each site has, in the folders that were surveyed."""
    if not places.survey().is_file():
        return ""
    found = json.loads(places.survey().read_text(encoding="utf-8"))["datasets"]
    text = ""
    for one in (one for one in found if one["dataset"] == "hospitals"):
        sites = one["sites"]
        counts = pd.DataFrame({site: there["labels"] for site, there in sites.items()})
        counts.loc["all recordings"] = {site: there["recordings"] for site, there in sites.items()}
        counts.insert(0, "class", [f"`{name}`" for name in counts.index[:-1]] + ["all recordings"])
        text += (
            f"\n## What each site has\n\n{{tag}}`{one['kind']}`, {one['recordings']:,} recordings: "
            f"how many of each site are in each class.\n\n{markdown(counts)}\n"
        )
    return text


def _translation() -> str:
    """The table by which statements of PTB-XL and LUDB become scored classes."""
    text = (
        "\n## How statements become classes\n\n"
        "Only a statement that is certain counts: whoever carries it carries the class. That is "
        "so by what the words mean, which is {tag}`ours`, or because PhysioNet translated PTB-XL "
        "so for the Challenge. Numbers show the latter: how many recordings have the statement, by "
        "the tables of {cite}`wagner2020ptbxl`, and how many of PTB-XL's are in the class, by "
        "`dx_mapping_scored.csv` of physionetchallenges/evaluation-2021.\n"
    )
    for dataset in ("ptbxl", "ludb"):
        rows = [
            {
                "statement": f"`{row.statement}`",
                "class": f"`{row.meant}`" if row.meant else "none",
                "certain": "yes" if row.certain else "no",
                "why": row.why,
            }
            for row in hospitals.statements()
            if row.dataset == dataset
        ]
        near = pd.DataFrame([row for row in rows if row["class"] != "none"])
        far = pd.DataFrame([row for row in rows if row["class"] == "none"])
        text += (
            f"\n### {name(dataset)}\n\n{markdown(near)}\n\n"
            f":::{{dropdown}} The {len(far)} statements that are none of the classes\n"
            f"{markdown(far)}\n:::\n"
        )
    return text
