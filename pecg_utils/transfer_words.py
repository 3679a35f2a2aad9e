"""What the page on transfer says of its tables, beside what peace_words says of the method's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pecg_utils import peace_words
from pecg_utils.claims import interval
from pecg_utils.trial import Outcome
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown


def whole(table: pd.DataFrame) -> "HTML":
    """A table of words with every row and no cell cut short."""
    from IPython.display import HTML

    with pd.option_context("display.max_colwidth", None):
        written = table.rename_axis(None).to_html(max_rows=None, border=0, justify="left")
    return HTML(written)  # type: ignore[no-untyped-call]


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """Recordings that carry each shared label that occurs, to show.

    table: as transfer_study.Gathered has it.
    """
    there = table[(table["adults"] > 0) | (table["children"] > 0)]
    heads = {"taught": "children who may be taught", "tested": "children tested"}
    shown = there.drop(columns="taken").rename(columns=heads)
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
    """What pressing does to each model. table: of pairs of rows, cut and pressed, each pressed one
    compared with its cut one."""
    said = []
    for _, pair in table.groupby("model", sort=False):
        cut, other = pair.iloc[0], pair.iloc[1]
        low, high = float(other["gain_low"]), float(other["gain_high"])
        verdict = "leaves 0 out" if low > 0 or high < 0 else "holds 0"
        said.append(
            f"{cut['model']} from {float(cut['value']):.3f} to {float(other['value']):.3f}, a "
            f"difference of {float(other['gain']):+.3f} ({low:+.3f} to {high:+.3f}), which "
            f"{verdict}"
        )
    return markdown(
        f"On *{kind}*, from recordings cut to recordings pressed: {'; '.join(said)}. The "
        "recordings, the models and the labels are the same."
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
        f"children: {', '.join(named)}{f', and {len(above) - 3} more' if len(above) > 3 else ''}."
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
        f"all of them tested, *{kind}*, the macro AUROC within a hospital is: "
        f"{'; '.join(said)}."
    )


def cases(children: str, adults: str, alike: bool) -> "Markdown":
    """Whose recordings are read one by one, and by models of whom. children, adults: the kinds.

    alike: whether all readings are of the same labels.
    """
    said = f"The children are of the *{children}*, the models' adults of the *{adults}*."
    if not alike:
        said += (
            " Models that learned from the Challenge's adults too know other labels, as it has no "
            "word for some: their counts are not those of the same findings."
        )
    return markdown(said)


def gained(table: pd.DataFrame, kind: str) -> "Markdown":
    """What each method gains over fine-tuning, or in general over the first of its mode.

    table: as transfer_study.table gives it.
    """
    area = table[(table["metric"] == "auroc") & table["gain_low"].notna()]
    first = area.drop_duplicates("mode")["name"].iloc[0]
    area = area[area.duplicated("mode")].astype({"gain_low": float, "gain_high": float})
    clear = area[(area["gain_low"] > 0) | (area["gain_high"] < 0)]
    said = [
        f"{row.name} {peace_words.mode(row.mode)} {row.gain:+.3f} ({row.gain_low:+.3f} to "
        f"{row.gain_high:+.3f})"
        for row in clear.itertuples(index=False)
    ]
    listed = f": {'; '.join(said)}" if said else ""
    count = f"{len(said) or 'none'} of {len(area)} difference{'s' * (len(area) > 1)} to {first}"
    verb = "leave" if len(said) > 1 else "leaves"
    return markdown(f"On *{kind}*, in macro AUROC, {count} {verb} 0 out{listed}.")
