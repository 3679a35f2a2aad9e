"""A kept record that carries models from adults to children, as tables and pictures."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pecg_utils import (
    cards,
    challenge_plots,
    peace_words,
    plots,
    transfer_plots,
    transfer_words,
    words,
)
from pecg_utils.data.domains import DOMAINS
from pecg_utils.markdown import table as markdown
from pecg_utils.metrics import AUROC
from pecg_utils.subgroups import EVERYWHERE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = dict[str, pd.DataFrame]
Draw = Callable[[str, str, "Callable[[], Figure]"], str]  # name, words for the blind, picture


def parts(record: dict[str, Any], held: Tables, draw: Draw) -> list[str]:
    """What the record holds, part by part; nothing where nothing was carried over.

    held: its tables by name. draw: makes a picture's line of the page.
    """
    if "transfer" not in held:
        return []
    kind = record["data"][-1]["kind"]  # of what models are trained on
    return [
        *_beside(record),
        *_methods(held, kind, draw),
        *_controls(held, kind, draw),
        *_children(held, kind, draw),
        *_real(record, held, draw),
    ]


def _beside(record: dict[str, Any]) -> list[str]:
    """The other datasets of the run."""
    listed = [
        f"{cards.name(d['dataset'])} {{tag}}`{d['kind']}`, "
        + words.recordings(d["recordings"], d["patients"], d.get("named", True))
        for d in record.get("beside", [])
    ]
    return [f"Beside it: {'; '.join(listed)}."] if listed else []


def _methods(held: Tables, kind: str, draw: Draw) -> list[str]:
    table = held["transfer"]
    trials = int(table["trials"].max())
    shown = peace_words.compared(table[table["metric"] == AUROC]).reset_index(names="method")
    found = [
        f"Every method with no child taught, with few and with all, {{tag}}`{kind}`, "
        f"{trials} {'training' if trials == 1 else 'trainings'} each:",
        draw(
            "-shots",
            "Macro AUROC against the number of children taught, a line a method",
            lambda: transfer_plots.shots(table),
        ),
        markdown(shown),
        _said(transfer_words.gained(table, kind)),
    ]
    if (labelled := held.get("per label")) is not None:
        found += [
            "PEACE label by label, from the first training of each mode:",
            draw(
                "-labels",
                "AUROC of each label in each mode, and how many carriers were tested",
                lambda: transfer_plots.per_label(labelled),
            ),
        ]
    return found


def _controls(held: Tables, kind: str, draw: Draw) -> list[str]:
    """What a part, the axis tokens and the texts bring."""
    found = []
    if (left_out := held.get("ablation")) is not None:
        found += [
            "One part of PEACE left out at a time, less the whole; the diamonds are the paper's:",
            draw(
                "-ablation",
                "Difference in macro AUROC of each variant of PEACE from the whole, a panel a mode",
                lambda: transfer_plots.ablation(left_out),
            ),
            _said(peace_words.ablation(left_out, kind)),
        ]
    if (told := held.get("tokens")) is not None:
        of_adults, of_children = (told[told["tested"] == of] for of in DOMAINS)
        found += [
            "What the axis tokens, made of the answer, tell of adults that no model was taught, "
            f"{{tag}}`{kind}`:",
            draw(
                "-tokens",
                "Macro AUROC on adults by the tokens in training and what is seen at the test",
                lambda: transfer_plots.leak(of_adults),
            ),
            _said(peace_words.leak(of_adults)),
            "The same where all children of the training side are taught too, asked of other "
            f"children, {{tag}}`{kind}`:",
            draw(
                "-tokens-children",
                "Macro AUROC on children by the tokens in training and what is seen at the test",
                lambda: transfer_plots.leak(of_children),
            ),
            _said(peace_words.leak(of_children)),
        ]
    if (controlled := held.get("controls")) is not None:
        found += [
            "Other vectors in the place of the texts, and a network that nobody trained:",
            draw(
                "-controls",
                "Macro AUROC with each kind of texts, without children and with few",
                lambda: transfer_plots.controls(controlled),
            ),
            _said(peace_words.controls(controlled, kind)),
        ]
    return found


def _children(held: Tables, kind: str, draw: Draw) -> list[str]:
    """What was asked of children: pressed recordings, and healthy ones."""
    found = []
    if (pressed := held.get("pressed")) is not None:
        found += [
            "Recordings cut after ten seconds, as the models know them, and pressed into ten:",
            draw(
                "-pressed",
                "Macro AUROC of children's recordings, cut and pressed, by model",
                lambda: plots.forest(pressed, (AUROC,)),
            ),
            _said(transfer_words.pressed(pressed, kind)),
        ]
    if (healthy := held.get("healthy")) is not None:
        found += [
            f"Healthy children, {{tag}}`{kind}`, whom PEACE without a child calls carriers:",
            draw(
                "-healthy",
                "The share of healthy children called carriers of each label by band of age",
                lambda: transfer_plots.flagged(healthy),
            ),
            _said(transfer_words.flagged(healthy)),
        ]
    return found


def _real(record: dict[str, Any], held: Tables, draw: Draw) -> list[str]:
    """Children case by case, and hospitals left out."""
    found = []
    if (cases := held.get("cases")) is not None:
        given, taught = record["data"][0], record["data"][-1]["kind"]
        if cases["name"].str.contains("PTB-XL").any():  # models of the given adults
            taught = next(
                d["kind"]
                for d in record["beside"]
                if d["dataset"] == "ptbxl" and d["kind"] != "twin"
            )
        found += [
            "Children case by case: how many of the labels that their files state models of "
            "adults find.",
            _said(transfer_words.cases(given["kind"], taught, cases["labels"].nunique() == 1)),
            markdown(cases.rename(columns={"name": "model"})),
        ]
    if (listed := held.get("children")) is not None:
        found.append(markdown(listed.rename(columns={"name": "recording"})))
    if (sites := held.get("hospitals")) is not None:
        source = next(d for d in record["beside"] if d["dataset"] == "challenge")
        found.append(_said(transfer_words.hospitals(sites, source["kind"])))
        for method in ("plain", "PEACE"):
            own = sites[sites["protocol"].str.startswith(f"{method}, ")]
            found.append(
                draw(
                    f"-hospitals-{method.lower()}",
                    f"Macro AUROC by hospital, pooled and left out, {method}",
                    lambda own=own: challenge_plots.paired(  # type: ignore[misc]
                        own, "macro AUROC", 0.5, EVERYWHERE
                    ),
                )
            )
    return found


def _said(text: Any) -> str:
    return str(text.data)
