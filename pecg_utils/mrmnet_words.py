"""Tables and sentences of the chapter on MRM-Net, with the measured numbers put in by code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import comparison, models, picked, resolutions
from pecg_utils.claims import interval
from pecg_utils.data.cpsc_ways import RATES
from pecg_utils.data.windows import Windows
from pecg_utils.metrics import WORDS
from pecg_utils.trial import Outcome
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

    from pecg_utils.ledger import Run

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
WIDTHS = (16, 32, 64)  # of the released code
# Weights of the released nets at 12 leads and 5 labels, and how many of them ever get a gradient;
# counted there, in millions (wxhdf/MRM c581ee6).
RELEASED = {16: (34.27, 1.78), 32: (44.87, 6.95)}


def weights(widths: Sequence[int] = WIDTHS) -> pd.DataFrame:
    """How many weights MRM-Net has here and how many learn, counted; and in the released code."""
    rows = []
    for width in widths:
        for exchange in (False, True):
            model = models.create("mrmnet", 12, 5, 1000, width=width, exchange=exchange)
            total, learn = models.learning(model, 12, 32)  # the length changes no weight
            there, there_learn = RELEASED.get(width, (np.nan, np.nan))
            released = f"{there:.2f} million, {there_learn:.2f} learn"
            rows.append(
                {
                    "width": width,
                    "exchange": "yes" if exchange else "no",
                    "weights here": f"{total:,}",
                    "of which learn": f"{learn:,}",
                    "released code": "not known" if exchange or np.isnan(there) else released,
                }
            )
    return pd.DataFrame(rows).set_index("width")


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """comparison.table as a reader wants it: a row a model, values and differences in words."""
    first = table["name"].iloc[0]
    shown = {}
    for name, of in table.groupby("name", sort=False):
        row = {}
        for line in of.itertuples():
            metric = WORDS[line.metric]
            row[metric] = interval(line.value, line.low, line.high)
            if line.metric == "auroc":
                row["its seeds lie apart by"] = f"{line.apart:.3f}"
            apart = f"{line.gain:+.3f}"
            if not np.isnan(line.gain_low):
                apart += f" ({line.gain_low:+.3f} to {line.gain_high:+.3f})"
            row[f"{metric}, less {first}"] = "" if name == first else apart
        shown[name] = row
    return pd.DataFrame(shown).T


def untested(outcomes: Sequence[Outcome]) -> "Markdown":
    """Which labels a test side lacks, or has everywhere, and so has no AUROC of; by tested fold."""
    said = []
    for fold, outcome in {_tested(o): o for o in reversed(outcomes)}.items():
        share = outcome.targets.mean(axis=0)  # (C,)
        names = np.array(outcome.classes)
        if len(lacking := names[share == 0]):
            said.append(f"{fold} has no recording with {', '.join(lacking)}")
        if len(full := names[share == 1]):
            said.append(f"{fold} has no recording without {', '.join(full)}")
    if not said:
        return markdown("Every label is carried by some recordings of each test side.")
    return markdown(
        f"{'; '.join(said)}. Such a label has no AUROC and is left out of its mean; in macro F1 a "
        "label that nobody carries counts as 0."
    )


def _tested(outcome: Outcome) -> str:
    """What was tested, in words."""
    if outcome.protocol.split != "fold":
        return "The test side"
    return f"Fold {10 - outcome.protocol.turn}"


def gates(outcomes: Sequence[Outcome], windows: Windows) -> pd.DataFrame:
    """The mean gate by step on the QRS and elsewhere, of each training and stream."""
    rows = []
    for outcome in outcomes:
        model, tested = resolutions.trained(outcome, windows)
        found = resolutions.around_beats(model, tested)
        row: dict[str, Any] = {"name": comparison.block(outcome.protocol)}
        for stream in found.gates:
            inside, outside = found.levels(stream)
            row |= {
                f"{stream}: on the QRS": round(inside, 3),
                f"{stream}: elsewhere": round(outside, 3),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def cost(table: pd.DataFrame) -> pd.DataFrame:
    """comparison.costs as a reader wants it."""
    return pd.DataFrame(
        {
            "macro AUROC": [
                interval(row.value, row.low, row.high) for row in table.itertuples(index=False)
            ],
            "weights": [f"{count:,}" for count in table["weights"]],
            "multiply-adds a recording": [
                f"{n / 1e6:,.0f} million" for n in table["multiply_adds"]
            ],
            "seconds of a training": [
                f"{s:.0f}" if s >= 10 else f"{s:.1f}" for s in table["seconds"]
            ],
            "memory of a step (MiB)": [f"{m:,.0f}" for m in table["mebibytes"]],
        },
        index=pd.Index(table["name"].to_numpy()),
    )


def optimism(taken: pd.DataFrame, kind: str) -> "Markdown":
    """How far each way of choosing by the test side lies above the sound one."""
    said = []
    for rule in (picked.AS_CODED, picked.EPOCH, picked.HEAD):
        both = []
        for metric, words in (("auroc", "macro AUROC"), ("f1", "sample-wise F1")):
            above = picked.optimism(taken, metric)
            values = above.loc[above["rule"] == rule, "above"].to_numpy()
            spread = f"{values.min():+.3f} to {values.max():+.3f}"
            both.append(f"{words} {values.mean():+.3f} in the mean ({spread})")
        said.append(f"- {rule}: {', '.join(both)}")
    count = len(taken[["seed", "fold"]].drop_duplicates())
    return markdown(
        f"On the *{kind}*, over {count} trainings, less what the epoch by validation and the mean "
        f"of the heads have:\n\n" + "\n".join(said)
    )


def gained(table: pd.DataFrame, kind: str) -> "Markdown":
    """Which changes of a model can be told from nothing, in both senses."""
    first, *names = list(dict.fromkeys(table["name"]))
    of = table[(table["metric"] == "auroc") & (table["name"] != first)].set_index("name")
    better = [name for name in names if of.loc[name, "gain_low"] > 0]
    worse = [name for name in names if of.loc[name, "gain_high"] < 0]
    own = table[(table["metric"] == "auroc") & (table["name"] == first)].iloc[0]
    said = []
    for found, word in ((better, "above"), (worse, "below")):
        if found:
            verb = "lies" if len(found) == 1 else "lie"
            said.append(f"{', '.join(f'*{n}*' for n in found)} {verb} {word} {first}")
    told = " and ".join(said) + " by an interval without 0" if said else ""
    nothing = f"no interval of a difference to {first} leaves 0 out"
    return markdown(
        f"On the *{kind}*, in macro AUROC, {told or nothing}. Trainings of {first} itself that "
        f"differ in their seed alone lie up to {own['apart']:.3f} apart."
    )


def about_ways(run: "Run") -> "Markdown":
    """What CPSC2018 is measured on here, to be said before its pictures."""
    given = run.given.name == "cpsc2018"
    kind, count = ("twin", run.parameters.recordings)
    if given:
        kind, count = run.given.kind, len(run.given.table)
    return markdown(
        f"All pictures of this section are of the *{kind}* of CPSC2018, {count:,} recordings."
    )


def stretched_less_sound(table: pd.DataFrame, kind: str) -> "Markdown":
    """What stretching does to the score. table: as preparations.differences gives it."""
    said = [
        f"on {row.name}, {row.recordings}, {row.value:+.3f}"
        + ("" if np.isnan(row.low) else f" ({row.low:+.3f} to {row.high:+.3f})")
        for row in table.itertuples(index=False)
        if not np.isnan(row.value)
    ]
    return markdown(
        f"On the *{kind}*, macro AUROC with stretched recordings less that with padded ones is: "
        f"{'; '.join(said)}. Each way was trained once, so that another seed may move this too."
    )


def stretching(true: Floats, stretched: Floats, short: Flags, kind: str) -> "Markdown":
    """What stretching does to the heart rate: arrays (N,), 1/min, and which were stretched."""
    found = short & np.isfinite(true) & np.isfinite(stretched)
    if not short.any():
        return markdown(f"No recording of the *{kind}* is shorter than a window.")
    if not found.any():
        return markdown(f"No heart rate of the *{kind}*'s stretched recordings can be measured.")
    slower = stretched[found] / true[found]
    ends = list(RATES.values())[:-1]
    classes = [np.digitize(of[found], ends, right=True) for of in (true, stretched)]
    moved = int((classes[0] != classes[1]).sum())
    return markdown(
        f"On the *{kind}*, {int(short.sum())} of {len(short)} recordings are stretched. Their "
        f"heart rate falls to {np.median(slower):.0%} of what it was in the median, and to "
        f"{slower.min():.0%} in the shortest. "
        f"{moved} of the {int(found.sum())} whose rate can be measured change their class."
    )
