"""Findings in sentences, with the measured numbers put in by code and never by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pecg_utils import subgroups
from pecg_utils.data.recording import UNKNOWN, Dataset, people, sites
from pecg_utils.data.windows import Windows
from pecg_utils.metrics import WORDS
from pecg_utils.trial import Outcome

if TYPE_CHECKING:
    from IPython.display import Markdown

    from pecg_utils.ledger import Run


def markdown(text: str) -> "Markdown":
    """`text` as a notebook shows it."""
    from IPython.display import Markdown

    return Markdown(text)  # type: ignore[no-untyped-call]


def measured(outcome: Outcome, metric: str = "auroc") -> str:
    """`0.712 (95 % interval 0.680 to 0.741)`."""
    row = outcome.value(metric)
    if row["low"] != row["low"]:  # NaN: too few patients for an interval
        return f"{row['value']:.3f} (too few patients for an interval)"
    return f"{row['value']:.3f} (95 % interval {row['low']:.3f} to {row['high']:.3f})"


def about(run: "Run") -> "Markdown":
    """What made this page: profile, data, models' sizes."""
    p, given, training = run.parameters, run.given, run.training
    text = (
        f"This page was made at the profile `{p.profile}` on {given.name} *{given.kind}*: "
        f"{recordings(len(given.table), *_known(given))}. "
        f"Models of the {p.sizes} sizes, {p.epochs} epochs, seed {p.seed}."
    )
    if training is not given:
        text += (
            f" That is too few to train on, so the models were trained on the *{training.kind}*, "
            f"{recordings(len(training.table), *_known(training))}, "
            "and tested on the real recordings as they are. "
            "Every result below says which it is."
        )
    if training.kind == "twin":
        text += " A result from a twin is no reproduction."
    return markdown(text)


def recordings(count: int, patients: int, named: bool) -> str:
    """`208 recordings of 190 patients`, or into how many groups proxies join those of no name."""
    if named:
        return f"{count:,} recordings of {patients:,} patients"
    return f"{count:,} recordings whose patients are not all named, {patients:,} by proxy"


def _known(dataset: Dataset) -> tuple[int, bool]:
    """How many patients there are, and whether all are named."""
    return people(dataset.table).nunique(), bool((dataset.table["patient"] != UNKNOWN).all())


def contrast(first: Outcome, second: Outcome, metric: str = "auroc") -> "Markdown":
    """Two trials against each other: both values, and whether their intervals meet."""
    a, b = first.value(metric), second.value(metric)
    apart = a["low"] > b["high"] or b["low"] > a["high"]
    distance = abs(a["value"] - b["value"])
    meet = "the intervals do not meet" if apart else "the intervals overlap"
    if np.isnan([a["low"], b["low"]]).any():
        meet = "without both intervals this says little"
    return markdown(
        f"On the *{first.kind}*, {WORDS[metric]} is {measured(first, metric)} with "
        f"*{first.protocol.name}*, and {measured(second, metric)} with *{second.protocol.name}*. "
        f"The distance is {distance:.3f}; {meet}."
    )


def difference(
    first: Outcome, second: Outcome, resamples: int = 1000, metric: str = "auroc"
) -> "Markdown":
    """A macro metric of one trial less that of another, on the recordings that both tested."""
    value, low, high = subgroups.difference(
        first, second, metric, resamples, one_label=first.one_label
    )
    held = f"95 % interval {low:+.3f} to {high:+.3f}). "
    held += "It holds 0." if low <= 0 <= high else "It does not hold 0."
    if np.isnan([value, low]).any():
        held = "without an interval, for want of patients), which says nothing."
    return markdown(
        f"On the *{first.kind}*, {WORDS[metric]} with *{first.protocol.name}*, less that with "
        f"*{second.protocol.name}* on the same recordings, is {value:+.3f} ({held}"
    )


def distances(table: pd.DataFrame) -> pd.DataFrame:
    """A table as subgroups.distances gives it, as a reader wants it: a row a name."""
    said = []
    for row in table.itertuples():
        held = "" if np.isnan(row.low) else f" ({row.low:+.3f} to {row.high:+.3f})"
        said.append("undefined" if np.isnan(row.value) else f"{row.value:+.3f}{held}")
    shown = table.assign(said=said, metric=table["metric"].map(WORDS))
    wide = shown.pivot(index="name", columns="metric", values="said")
    order = shown["name"].drop_duplicates(), shown["metric"].drop_duplicates()
    return wide.loc[order].rename_axis(index=None, columns=None)


def padding(dataset: Dataset, seconds: float) -> "Markdown":
    """How much of the windows is zeros after a recording's end."""
    lasting = dataset.table["n_samples"] / dataset.table["fs"]  # s
    filled = lasting.clip(upper=seconds) / seconds
    return markdown(
        f"The recordings of the *{dataset.kind}* last {lasting.median():.1f} s in the middle. "
        f"{1 - filled.mean():.0%} of their windows of {seconds:g} s is zeros."
    )


def changed_parts(parts: Sequence[str]) -> "Markdown":
    """What the last audit of CNN-ECG-Mamba changes in this run, in words."""
    said = {
        "stem": "the blocks taken out, so that the mean over the stem's tokens answers",
        "one direction": "one direction in place of two",
        "mean": "the mean over all tokens in place of the class token",
        "other core": "Mamba-1's core in place of Mamba-2's, or the other way round",
        "10 s": "windows of 10 s, which hold hardly any padding",
        "resnet1d": "a ResNet-1D of about as many weights in the model's place",
    }
    listed = "; ".join(said[part] for part in parts) or "nothing"
    return markdown(f"In this run: {listed}.")


def copies(windows: Windows) -> "Markdown":
    """How many recordings have the samples of another one."""
    table = windows.table.drop_duplicates("record")
    places = sites(table).groupby(table["same"]).nunique()
    return markdown(
        f"{windows.copies} of {len(table)} recordings have the same samples as another one here, "
        f"in {int((table['same'].value_counts() > 1).sum())} groups; {int((places > 1).sum())} of "
        "these groups lie across sites."
    )


def labels_tested(first: Outcome, second: Outcome) -> "Markdown":
    """On how many labels each of two trials is tested at all."""
    counts = [int(outcome.targets.any(axis=0).sum()) for outcome in (first, second)]
    return markdown(
        f"Of the {len(first.classes)} labels, the test side of *{first.protocol.name}* holds "
        f"{counts[0]}, and that of *{second.protocol.name}* {counts[1]}."
    )


def hamming(outcome: Outcome) -> "Markdown":
    """Hamming loss beside that of the answer 'no' to everything."""
    loss, zero = outcome.value("hamming_loss")["value"], outcome.value("hamming_loss_all_zero")
    relation = "worse" if loss > zero["value"] else "better"
    if loss == zero["value"]:
        relation = "no better"
    return markdown(
        f"On the *{outcome.kind}*, *{outcome.protocol.name}* has a Hamming loss of {loss:.4f}. "
        f"Answering 'no' to every label has {zero['value']:.4f}. The model is {relation} than "
        "saying nothing, by this measure."
    )


def on_given(run: "Run", judged: Sequence[Outcome]) -> "Markdown":
    """What the given recordings are, where models trained on the twin are tested on them."""
    if not judged:
        return markdown("This run tested its models on the data that they were trained on.")
    about = judged[0].about
    labelled = int(judged[0].targets.any(axis=1).sum())
    return markdown(
        f"{run.given.name}, *{run.given.kind}*: {about['record'].nunique()} recordings of "
        f"{about['patient'].nunique()} patients in {len(about)} windows, of which {labelled} "
        f"carry a label. {measured(judged[0])} is the macro AUROC of "
        f"`{judged[0].protocol.model}`, over the labels that occur."
    )


def best(outcomes: Sequence[Outcome], metric: str = "auroc") -> "Markdown":
    """Which trial is highest, and which others its interval does not set apart."""
    ranked = sorted(outcomes, key=lambda o: -o.value(metric)["value"])
    top = ranked[0]
    low = top.value(metric)["low"]
    level = [o.protocol.model for o in ranked[1:] if not o.value(metric)["high"] < low]
    text = (
        f"On the *{top.kind}*, the highest {WORDS[metric]} is that of `{top.protocol.model}`: "
        f"{measured(top, metric)}."
    )
    if metric == "auroc" and low <= 0.5:
        text += " That interval holds 0.5, so no better than chance is shown here."
    if level:
        text += " Its interval overlaps those of " + ", ".join(f"`{name}`" for name in level) + "."
    return markdown(text)
