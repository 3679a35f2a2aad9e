"""What the page on transfer says of its tables, beside what peace_words says of the method's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pecg_utils import peace_words
from pecg_utils.claims import interval
from pecg_utils.trial import Outcome
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """Recordings that carry each shared label that occurs, to show: words, adults, children.

    table: as transfer_study.Gathered has it.
    """
    there = table[(table["a"] > 0) | (table["b"] > 0)]
    shown = there[["words", "a", "b"]].rename(columns={"a": "adults", "b": "children"})
    shown["takes part"] = there["taken"].map({True: "yes", False: "no"})
    return shown.rename_axis(None)


def ages(table: pd.DataFrame) -> pd.DataFrame:
    """What was measured by band of age, to show; table: as children.by_age gives it."""
    shown = pd.DataFrame({"recordings": table["recordings"].astype(int)})
    for name, words, digits in (
        ("rate", "rate (1/min)", 0),
        ("axis", "axis (°)", 0),
        ("r_v1", "R in V1 (mV)", 2),
        ("s_v1", "S in V1 (mV)", 2),
        ("t_v1", "T in V1 (mV)", 2),
    ):
        columns = [name, f"{name}_low", f"{name}_high"]
        shown[words] = [
            f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
            for middle, low, high in table[columns].astype(float).itertuples(index=False)
        ]
    shown.index = pd.Index(table["band"])
    return shown.rename_axis(None)


def with_claims(table: pd.DataFrame, shots: Sequence[str]) -> pd.DataFrame:
    """The ablation's table with the paper's differences beside ours, in the column `claimed`."""
    few = "50" if "50" in shots else shots[0]
    claimed = peace_words.claimed_differences(few)
    return table.merge(claimed, on=["name", "mode"], how="left")


def guess(outcomes: Sequence[Outcome]) -> "Markdown":
    """The average precision of zero-shot beside what one answer to everyone has."""
    rows = [outcome.value("average_precision") for outcome in outcomes]
    values = sorted(float(row["value"]) for row in rows)
    first = rows[0]
    spread = f", the {len(values)} trainings from {values[0]:.3f} to {values[-1]:.3f}"
    return markdown(
        f"*Against prevalence.* One and the same answer to every child has a macro average "
        f"precision of {float(first['guess']):.3f}, the mean share of carriers. PEACE without a "
        f"child has {interval(first['value'], first['low'], first['high'])}"
        f"{spread if len(values) > 1 else ''}."
    )


def pressed(table: pd.DataFrame, kind: str) -> "Markdown":
    """What pressing does to each model: its table's rows come in pairs, cut and pressed."""
    area = table[table["metric"] == "auroc"].set_index("name")
    said = []
    for first, second in zip(area.index[::2], area.index[1::2], strict=True):
        cut, other = (float(area.loc[name, "value"]) for name in (first, second))
        low, high = (float(area.loc[second, end]) for end in ("low", "high"))
        name = str(first).split(",")[0]
        said.append(
            f"{name} falls from {cut:.3f} to {other:.3f}"
            if other < cut
            else f"{name} goes from {cut:.3f} to {other:.3f}"
        )
        said[-1] += f" ({low:.3f} to {high:.3f})"
    return markdown(
        f"On {{tag}}`{kind}`, from recordings cut to recordings pressed: {'; '.join(said)}. The "
        "recordings, the models and the labels are the same; the pictures above of what a label "
        "looks like are not."
    )


def flagged(table: pd.DataFrame) -> "Markdown":
    """Which labels healthy children are called most, and in which band."""
    table = table.astype({"share": float, "children": int, "rate": float})
    rate = float(table["rate"].iloc[0])
    everyone = (
        table.assign(called=table["share"] * table["children"])
        .groupby(["label", "words"], sort=False)[["called", "children"]]
        .sum()
        .reset_index()
    )
    everyone["share"] = everyone["called"] / everyone["children"]
    above = everyone[everyone["share"] > rate].sort_values("share", ascending=False)
    if above.empty:
        return markdown(
            f"No label is called in more than {rate:.0%} of the healthy children, the share that "
            "was set among healthy adults."
        )
    named = [f"{row.words} in {row.share:.0%}" for row in above.head(3).itertuples()]
    return markdown(
        f"Of {len(everyone)} labels {len(above)} are called in more than {rate:.0%} of the healthy "
        f"children: {', '.join(named)}{', and others less often' if len(above) > 3 else ''}."
    )


def hospitals(table: pd.DataFrame, kind: str) -> "Markdown":
    """Every model on all hospitals together, left out and pooled. table: as subgroups.by_site."""
    from pecg_utils.subgroups import EVERYWHERE

    together = table[table["site"] == EVERYWHERE].astype({"value": float})
    said = [
        f"{row.protocol} {interval(row.value, row.low, row.high)}" for row in together.itertuples()
    ]
    sites = table["site"].nunique() - 1
    count = int(together["recordings"].iloc[0])
    return markdown(
        f"On the {count:,} recordings of {sites} {'hospital' if sites == 1 else 'hospitals'} that "
        f"all of them tested, {{tag}}`{kind}`, the macro AUROC within a hospital is: "
        f"{'; '.join(said)}."
    )
