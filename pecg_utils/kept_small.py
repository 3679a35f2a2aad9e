"""A kept record that carries models from a large set to a small one, as tables and pictures."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pecg_utils import (
    cards,
    choosing_plots,
    comparison_plots,
    epoch_rules,
    mrmnet_words,
    plots,
    small_plots,
    small_words,
    st_levels,
    words,
)
from pecg_utils.markdown import table as markdown
from pecg_utils.metrics import AUROC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = dict[str, pd.DataFrame]
Draw = Callable[[str, str, "Callable[[], Figure]"], str]  # name, words for the blind, picture


def parts(record: dict[str, Any], held: Tables, draw: Draw) -> list[str]:
    """What the record holds, part by part; nothing where it has no small task.

    held: its tables by name. draw: makes a picture's line of the page.
    """
    if "small labels" not in held:
        return []
    kind = record["data"][-1]["kind"]  # of the small set that models are taught
    return [
        *_sets(record, held, kind),
        *_transfer(held, kind, draw),
        *_prepared(held, kind, draw),
        *_filtered(held, kind, draw),
        *_chosen(record, held, kind, draw),
    ]


def named(trials: list[dict[str, Any]], held: Tables) -> list[dict[str, Any]]:
    """The trials, in whose names it is said which are of the large set."""
    if "large labels" not in held:
        return trials
    return [
        {**trial, "name": f"{trial['name']}, on the large set"} if _broad(trial, held) else trial
        for trial in trials
    ]


def _broad(trial: dict[str, Any], held: Tables) -> bool:
    """Whether a trial answers with the large set's labels."""
    return bool(set(trial["scores"]["label"]) & set(held["large labels"]["name"]))


def _sets(record: dict[str, Any], held: Tables, kind: str) -> list[str]:
    """The large set, the small task, and whose ST levels are measured."""
    found = []
    if (large := source(record)) is not None:
        pairs = held["large labels"][["name", "recordings"]].itertuples(index=False)
        listed = ", ".join(f"{label} {int(many):,}" for label, many in pairs)
        count = words.recordings(large["recordings"], large["patients"], large.get("named", True))
        found.append(
            f"Models are pre-trained on {cards.name(large['dataset'])} {{tag}}`{large['kind']}`, "
            f"{count}{_taking_part(record, held, large['recordings'])}. Its labels, and how many "
            f"recordings carry each: {listed}."
        )
    if (both := held.get("sets")) is not None:
        found.append(_said(small_words.larger(both)))
    found += [
        f"What the small task is made of, {{tag}}`{kind}`:",
        markdown(held["small labels"].rename(columns={"name": "label"})),
    ]
    if (begun := held.get("pre-training")) is not None and len(begun):
        shown = markdown(small_words.broadly(begun).reset_index(names="model"))
        found.append(f":::{{dropdown}} The pre-trained models on the large set\n{shown}\n:::")
    return found


def source(record: dict[str, Any]) -> dict[str, Any] | None:
    """The record's entry of the large set; None where it has none."""
    of = record["parameters"]["source"]
    return next((data for data in record.get("beside", []) if data["dataset"] == of), None)


def _taking_part(record: dict[str, Any], held: Tables, of: int) -> str:
    """How many of the large set's recordings take part, where not all of them do."""
    broad = [trial for trial in record["trials"] if _broad(trial, held)]
    if not broad:  # its weights were given
        return ""
    many = sum(broad[0]["split"]["windows"].values())
    return f", of which {many:,} take part" if many < of else ""


def _transfer(held: Tables, kind: str, draw: Draw) -> list[str]:
    """The three ways to the small set, what pre-training brings, and what a model costs."""
    if (table := held.get("ways")) is None:
        return []
    trials = int(table["trials"].max())
    found = [
        "Each model from scratch, with a new head alone taught, and with all weights taught, from "
        f"few recordings and from all, {{tag}}`{kind}`, "
        f"{trials} {'training' if trials == 1 else 'trainings'} each:",
        draw(
            "-curves",
            "AUROC against the number of recordings taught, a panel a model, a line a way",
            lambda: small_plots.curves(table),
        ),
        markdown(small_words.compared(table).reset_index(names="model, way")),
        "What pre-training adds to the same model from scratch:",
        draw(
            "-gains",
            "Difference in AUROC from the same model taught from scratch, a panel a number of "
            "recordings",
            lambda: small_plots.gains(table),
        ),
        _said(small_words.gained(table, kind)),
    ]
    if (heads := held.get("heads")) is not None:
        found += [
            "A head fitted to the end in place of one taught in steps, by the same features:",
            _said(small_words.heads(heads, kind)),
        ]
    if (longer := held.get("longer")) is not None:
        found += [
            "Whether more steps from scratch do the same as pre-training:",
            _said(small_words.longer(longer, kind)),
        ]
    if (cost := held.get("cost")) is not None:
        found += [
            "What each model costs, beside what it scores with all weights and recordings taught:",
            draw(
                "-cost",
                "AUROC of each model against weights, multiply-adds and seconds of a training",
                lambda: comparison_plots.cost_and_score(cost),
            ),
            markdown(mrmnet_words.cost(cost).reset_index(names="model")),
        ]
    return found


def _prepared(held: Tables, kind: str, draw: Draw) -> list[str]:
    """Length and normalisation, and what the paper says in words beside what is found here."""
    if (grid := held.get("grid")) is None:
        return []
    found = [
        "Length of a piece and normalisation, each cell one training from scratch, "
        f"{{tag}}`{kind}`:",
        draw(
            "-grid",
            "AUROC by length and normalisation, the best by validation framed, by the test starred",
            lambda: choosing_plots.grid(grid),
        ),
        _said(small_words.varied(grid, kind)),
    ]
    if (table := held.get("ways")) is not None:
        shown = small_words.findings(table, grid, kind).reset_index()
        found += ["What the paper says in words, beside this record:", markdown(shown)]
    return found


def _filtered(held: Tables, kind: str, draw: Draw) -> list[str]:
    """What filters do to the ST level, and to models that are taught through them."""
    found = []
    if (lost := held.get("st levels")) is not None:
        own = str(lost["kind"].iloc[0])  # of the marked beats, not of the small set
        found += [
            f"What each filter does to the ST level and the T wave, {{tag}}`{own}`:",
            _said(small_words.st(lost, own)),
            markdown(st_levels.table(lost)),
        ]
    if (table := held.get("filters")) is not None:
        found += [
            f"A model taught from scratch through each filter, {{tag}}`{kind}`:",
            draw(
                "-filters",
                "AUROC of one model with each filter and without one, with intervals",
                lambda: plots.forest(table, (AUROC,)),
            ),
            _said(small_words.filters(table, kind)),
        ]
    return found


def _chosen(record: dict[str, Any], held: Tables, kind: str, draw: Draw) -> list[str]:
    """What choosing by the test side adds, how a random test scatters, and missing labels."""
    found = []
    if (seen := held.get("epochs")) is not None:
        by_rule = epoch_rules.chosen(seen)
        found += [
            "The epoch with the best macro F1 on the test side, on validation, and the last one, "
            f"{{tag}}`{kind}`:",
            draw(
                "-epochs",
                "AUROC and F1 on the test side of each training by the rule that chose its epoch",
                lambda: choosing_plots.optimism(by_rule[by_rule["by"] == epoch_rules.F1]),
            ),
            _said(small_words.epochs(by_rule, kind)),
        ]
    if (settled := held.get("settings")) is not None:
        found += [
            "Length and normalisation chosen by the test side, and by validation, "
            f"{{tag}}`{kind}`:",
            draw(
                "-settings",
                "AUROC on the test side of each model's cell by the side that chose the cell",
                lambda: choosing_plots.chosen(settled),
            ),
            _said(small_words.configured(settled, kind)),
        ]
    if (thrown := held.get("random tests")) is not None:
        found += [
            f"The same models tested with random changes, a dot a test, {{tag}}`{kind}`:",
            draw(
                "-random",
                "AUROC of each model in many tests with random changes, and in the one without",
                lambda: choosing_plots.noisy(thrown[thrown["kind"] == choosing_plots.CHANGED]),
            ),
            _said(small_words.noisy(thrown, kind)),
        ]
    large, none = source(record), held.get("unlabelled")
    if large is not None and none is not None and len(none):
        found += [
            "Recordings of the large set without a label, taught as negatives:",
            _said(small_words.unlabelled(none, large["kind"])),
        ]
    return found


def _said(text: Any) -> str:
    return str(text.data)
