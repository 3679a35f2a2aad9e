"""What the AGCACL chapter found, in sentences with the measured numbers put in by code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pecg_utils import ablation
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import people
from pecg_utils.metrics import WORDS
from pecg_utils.trial import Outcome
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

FEW = 4  # patients; a class of fewer has no test side to speak of when patients are kept apart


def concentrated(pairs: Pairs) -> "Markdown":
    """Which classes are of few patients, and which patient has the largest part of the windows."""
    held = pd.DataFrame(pairs.labels, columns=pairs.classes).groupby(people(pairs.table)).sum()
    patients = (held > 0).sum()  # a class
    few = [f"{name} ({patients[name]})" for name in pairs.classes if 0 < patients[name] < FEW]
    none = [name for name in pairs.classes if not patients[name]]
    share = (held.max() / held.sum()).fillna(0.0)
    top = str(share.idxmax())
    said = f"{len(pairs):,} windows of {len(held)} patients. "
    said += f"In fewer than {FEW} patients: {', '.join(few)}. " if few else ""
    said += f"In none: {', '.join(none)}. " if none else ""
    return markdown(
        said + f"The most lopsided class is {top}: {share[top]:.0%} of its windows are of one "
        f"patient. A model that answers {held.sum().idxmax()} to everything is right in "
        f"{held.sum().max() / len(pairs):.1%} of the windows."
    )


def left_out(pairs: Pairs) -> "Markdown":
    """How much of the recordings is in no window, and why."""
    table = pairs.left_out
    if table.empty:
        return markdown("Nothing of the recordings that are read is left out but what is named.")
    minutes = table.groupby("reason")["seconds"].sum().sort_values(ascending=False) / 60
    inside = (pairs.table["end"] - pairs.table["start"]).sum() / 60
    listed = "; ".join(f"{reason} {spent:.1f}" for reason, spent in minutes.items())
    return markdown(
        f"{inside:.1f} minutes of recording are in windows, {minutes.sum():.1f} are not. In "
        f"minutes, by reason: {listed}."
    )


def presence(rows: pd.DataFrame) -> "Markdown":
    """Whether the mask alone tells the classes apart: each row's AUROC against 0.5."""
    macro = rows[(rows["metric"] == "auroc") & (rows["label"] == "macro")]
    said = []
    for row in macro.itertuples():
        far = "above" if row.low > 0.5 else "not told from"
        by = row.name.partition(", ")[2]
        said.append(
            f"With *{by}*, macro AUROC is {row.value:.3f} (95 % interval {row.low:.3f} to "
            f"{row.high:.3f}), {far} chance."
        )
    return markdown("The presence of electrograms alone. " + " ".join(said))


def heard(outcome: Outcome) -> "Markdown":
    """What the answers of `outcome` were made from, as the model itself reports it."""
    counts = outcome.facts["heard"]
    return markdown(
        f"Of {len(outcome.about):,} answers, {counts['ecg']:,} were made with the surface ECG and "
        f"{counts['iegm']:,} with an electrogram, as the model itself reports."
    )


def gain(
    rows: pd.DataFrame, over: str = "CE", metrics: Sequence[str] = ("top1", "f1")
) -> "Markdown":
    """What the whole loss brings over some terms of it, beside what a seed brings."""
    said = []
    for metric in metrics:
        found = ablation.gain(rows, ablation.WHOLE, over, metric)
        words = f"{WORDS[metric]} {100 * found.gain:+.1f} points"
        if found.seeds < 2:
            words += " (one seed each, which leaves the luck of training out)"
        else:
            words += (
                f", the means of {found.seeds} seeds each, where seeds of one loss lie up to "
                f"{100 * found.spread:.1f} points apart"
            )
        said.append(words)
    return markdown(f"The whole loss over *{over}*: " + "; ".join(said) + ".")
