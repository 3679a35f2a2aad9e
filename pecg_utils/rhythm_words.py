"""What the AGCACL chapter found, in sentences with the measured numbers put in by code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pecg_utils import ablation, claims, one_label
from pecg_utils.asked import Embedded
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import people
from pecg_utils.metrics import WORDS
from pecg_utils.trial import Outcome
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

    from pecg_utils.ledger import Run

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
    """How much of the recordings is in no window, why, and of which class most."""
    table = pairs.left_out
    if table.empty:
        return markdown("Nothing of the recordings that are read is left out but what is named.")
    minutes = table.groupby("reason")["seconds"].sum().sort_values(ascending=False) / 60
    inside = (pairs.table["end"] - pairs.table["start"]).groupby(pairs.table["rhythm"]).sum()
    outside = table[table["rhythm"] != ""].groupby("rhythm")["seconds"].sum()
    every = inside.add(outside, fill_value=0.0)
    lost = (outside.reindex(every.index).fillna(0) / every).sort_values(ascending=False)
    listed = "; ".join(f"{reason} {spent:.1f}" for reason, spent in minutes.items())
    most = ", ".join(f"{share:.0%} of {name}" for name, share in lost.head(3).items())
    return markdown(
        f"{inside.sum() / 60:.1f} minutes of recording are in windows, {minutes.sum():.1f} are "
        f"not. In minutes, by reason: {listed}. The rhythms that lose most: {most}. A rhythm that "
        "comes in short runs loses much of itself to the tails."
    )


def by_time(outcome: Outcome, pairs: Pairs) -> "Markdown":
    """Of a split by time, how much of the test side is of patients who were taught too."""
    known = []
    who = people(pairs.table)
    for fold in outcome.folds:
        known.append(who.iloc[fold.sides["test"]].isin(who.iloc[fold.sides["train"]]))
    share = float(np.concatenate(known).mean())
    return markdown(
        f"Of the windows that the split by time tests, {share:.0%} are of patients who were taught "
        "at other times. The rest are of patients of whom nothing was taught by that model, as of "
        "recordings too short to be on two sides."
    )


def never(outcomes: Sequence[Outcome]) -> "Markdown":
    """Which classes none of the outcomes ever answers rightly, and what that makes of a mean."""
    names = np.array(outcomes[0].classes)
    occur = outcomes[0].targets.any(axis=0)
    hit = np.any([np.diag(outcome.confusion) > 0 for outcome in outcomes], axis=0)
    missed = names[occur & ~hit].tolist()
    share = float(outcomes[0].targets.mean(axis=0).max())
    floor = 2 * share / (1 + share) / occur.sum()
    said = f"Answering the commonest class to everything has a macro F1 of {floor:.3f} here. "
    if missed:
        said += (
            f"Never answered rightly, by neither: {', '.join(missed)}. Each adds a 0 to the mean: "
            "the difference between the two ways of dividing is made by the other classes alone."
        )
    return markdown(said)


def five(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Top-1 accuracy and macro precision, recall, F1 and F2 in per cent, a row an outcome."""
    table = {
        outcome.protocol.name: {
            WORDS[metric]: claims.interval(
                100 * row["value"], 100 * row["low"], 100 * row["high"], 1
            )
            for metric, row in ((of, outcome.value(of)) for of in one_label.METRICS)
        }
        for outcome in outcomes
    }
    return pd.DataFrame(table).T


def presence(rows: pd.DataFrame) -> "Markdown":
    """What the mask alone reaches, beside what it reaches where layouts are dealt by lot."""
    said = []
    for name, part in rows[rows["label"] == "macro"].groupby("name", sort=False):
        by = str(name).partition(", ")[2]
        area, recall = (part[part["metric"] == of].iloc[0] for of in ("auroc", "recall"))
        held = f"95 % interval {area['low']:.3f} to {area['high']:.3f}"
        if np.isnan(area["low"]):
            held = "too few patients for an interval"
        one = f"With *{by}*, macro AUROC is {area['value']:.3f} ({held}) and macro recall "
        one += f"{recall['value']:.3f}."
        if np.isfinite(area["lot"]):
            told = "no more than lots give" if area["beaten"] > 0.05 else "more than lots give"
            one += (
                f" With layouts dealt to patients by lot the AUROC is {area['lot']:.3f} in the "
                f"middle, and as high or higher in {area['beaten']:.0%} of the draws: {told}."
            )
        said.append(one)
    return markdown("The presence of electrograms alone. " + " ".join(said))


def constant(rows: pd.DataFrame) -> bool:
    """Whether every window has the same channels, so that presence can say nothing."""
    areas = rows[(rows["metric"] == "auroc") & (rows["label"] == "macro")]
    return bool((areas["low"] == 0.5).all() and (areas["high"] == 0.5).all())


def heard(outcome: Outcome) -> "Markdown":
    """What the answers of `outcome` were made from, as the model itself reports it."""
    counts = outcome.facts["heard"]
    return markdown(
        f"Of {len(outcome.about):,} answers, {counts['ecg']:,} were made with the first signal and "
        f"{counts['iegm']:,} with the second, as the model itself reports."
    )


def gain(rows: pd.DataFrame, metrics: Sequence[str] = ("top1", "f1")) -> "Markdown":
    """What the whole loss brings over the first terms, beside what a seed brings."""
    said = []
    for metric in metrics:
        found = ablation.gain(rows, metric)
        words = f"{WORDS[metric]} {100 * found.gain:+.1f} points"
        if found.seeds < 2:
            words += " (one seed, which leaves the luck of training out"
        else:
            words += (
                f" (the mean of {found.seeds} seeds; seeds of one loss lie up to "
                f"{100 * found.spread:.1f} points apart"
            )
        zero = "the interval of the difference holds 0"
        if not rows["gain_low"].notna().any():
            zero = "too few patients for an interval"
        elif found.shown:
            zero = f"the interval of the difference leaves 0 out in {found.shown} of {found.seeds}"
        said.append(f"{words}; {zero})")
    return markdown(f"The whole loss over *{rows['terms'].iloc[0]}*: " + "; ".join(said) + ".")


def separation(first: Embedded, last: Embedded, names: tuple[str, str]) -> "Markdown":
    """How far apart the classes lie in two embeddings: the silhouette, from -1 to 1."""
    from sklearn.metrics import silhouette_score

    if len(np.unique(first.labels)) < 2:
        return markdown("These windows are of one class alone, so that nothing lies apart.")
    values = [silhouette_score(of.z, of.labels, metric="cosine") for of in (first, last)]
    return markdown(
        f"Mean silhouette, 1 where each window is nearest to its own class and 0 where classes "
        f"cover each other: {values[0]:.2f} with {names[0]}, {values[1]:.2f} with {names[1]}."
    )


def stands_in(run: "Run") -> "Markdown":
    """What the words of the page mean where the data are not the paper's."""
    if run.training.name == "leipzig":
        return markdown("The signals are the surface ECG and electrograms; the classes, rhythms.")
    return markdown(
        "This run is on MIT-BIH. Where the page says *electrogram*, it is the second surface lead; "
        "a window is one beat, half a second before its R wave and half a second after it, and the "
        "classes are kinds of beat. What the page says of catheters does not apply."
    )
