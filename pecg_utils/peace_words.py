"""Tables and sentences of the chapter on PEACE, with the measured numbers put in by code.

Each takes a table as it was made or as a record keeps it, where a number that is not there is None.
How many children are taught is called a mode: "0", "10", "50" or "all" shots.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils import claims
from pecg_utils.claims import interval
from pecg_utils.metrics import WORDS
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

COMPLETE, REAL = "complete", "real"  # what the others are compared with
WITHOUT_MEANING = ("random", "shuffled", "one-hot")  # texts of which only the real ones have one
_TAUGHT = {  # transfer_asked.leak's names, after "taught"
    "in the path": "with the tokens in the path",
    "beside": "with the tokens beside the path",
    "shuffled": "with shuffled tokens",
    "none": "without tokens",
}
ALONE, OWN, OTHERS = "ECG alone", "its own tokens", "another's tokens"  # what is seen at test


def mode(shots: Any) -> str:
    """How many children are taught, in words: "zero-shot", "10-shot", "all children"."""
    if shots is None or shots == "all" or shots != shots:  # NaN too
        return "all children"
    return f"{int(shots)}-shot" if int(shots) else "zero-shot"


def claimed_differences(few: str = "50") -> pd.DataFrame:
    """What the paper's ablation lost against its complete model: name, mode, claimed (a share).

    From version 2, the only one whose ablation was found. few: the mode beside which the paper's
    50-shot stands.
    """
    modes = {"zero-shot": "0", "50-shot": few, "full": "all"}
    listed = [
        claim
        for claim in claims.load("peace").claims
        if (claim.model, claim.version) == ("peace", "v2")
        and claim.mode in modes
        and not claim.gain
    ]
    whole = {claim.mode: claim.value for claim in listed if not claim.variant}
    rows = [
        (claim.variant, modes[str(claim.mode)], round(claim.value - whole[claim.mode], 2) / 100)
        for claim in listed
        if claim.variant
    ]
    return pd.DataFrame(rows, columns=["name", "mode", "claimed"])


def ablation(table: pd.DataFrame, kind: str) -> "Markdown":
    """What leaving a part out changes, here and in the paper, and what of the latter is noise here.

    table: name, mode, value, gain, gain_low, gain_high (less the complete model), apart (of the
    row's seeds), claimed (the paper's difference, NaN where there is none). The noise of a row is
    half its interval or the distance between the complete model's seeds, whichever is larger
    (*ours*): a difference that is no larger could not be told from none here.
    """
    table = _numeric(table, "gain", "gain_low", "gain_high", "apart", "claimed")
    seeds = table[table["name"] == COMPLETE].set_index("mode")["apart"]
    told, inside, known = [], [], 0
    others = table[table["name"] != COMPLETE]
    if others.empty:
        return markdown(f"On the *{kind}*, nothing was left out of the complete model.")
    for row in others.itertuples():
        where = f"*{row.name}* {mode(row.mode)}"
        if _leaves_0_out(row):
            told.append(f"{where} {_difference(row)}")
        half = (row.gain_high - row.gain_low) / 2
        both = [x for x in (half, seeds.get(row.mode, np.nan)) if not np.isnan(x)]
        if np.isnan(row.claimed) or not both:
            continue
        known += 1
        if abs(row.claimed) <= max(both):
            there = "" if row.mode in ("0", "50", "all") else " (there 50-shot)"
            inside.append(f"{where}{there} {row.claimed:+.3f}, noise {max(both):.3f}")
    ours = (
        f"{_count(len(told), len(others), 'difference')} to the complete model "
        f"{'leave' if len(told) > 1 else 'leaves'} 0 out" + _list(told)
    )
    said = f"On the *{kind}*, in macro AUROC, {ours}."
    if known:
        said += (
            f" Of the paper's own, {_count(len(inside), known, 'difference')} "
            f"{'lie' if len(inside) > 1 else 'lies'} inside the noise measured here"
            f"{_list(inside)}. With more tested children there would be less noise."
        )
    return markdown(said)


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """Methods as rows, numbers of shots as columns, values in words.

    table: name, method, shots (None for all), recordings, metric, trials, value, low, high, least,
    most: of the single trials, which differ in their draw, or in their seed where nothing is drawn.
    Raises ValueError where a method has two rows of one metric and number of shots.
    """
    table = _numeric(table, "trials", "value", "low", "high", "least", "most")
    cells = []
    for row in table.itertuples():
        cell = interval(row.value, row.low, row.high)
        if row.trials > 1 and row.least < row.most:
            cell += f", trainings {row.least:.2f} to {row.most:.2f}"
        cells.append(cell)
    several = table["metric"].nunique() > 1
    heads = [
        f"{WORDS[metric]}, {mode(shots)}" if several else mode(shots)
        for metric, shots in zip(table["metric"], table["shots"], strict=True)
    ]
    rank = [np.inf if mode(shots) == "all children" else int(shots) for shots in table["shots"]]
    wide = pd.DataFrame({"method": table["method"].to_numpy(), "head": heads, "cell": cells})
    order = table.assign(head=heads, rank=rank).sort_values("rank", kind="stable")
    if several:
        place = {metric: number for number, metric in enumerate(table["metric"].unique())}
        order = order.sort_values("metric", key=lambda of: of.map(place), kind="stable")
    shown = wide.pivot(index="method", columns="head", values="cell")
    shown = shown.loc[wide["method"].drop_duplicates(), order["head"].drop_duplicates()]
    return shown.fillna("–").rename_axis(index=None, columns=None)


def shots(table: pd.DataFrame) -> "pd.DataFrame | Markdown":
    """How many positives of each label a support set could take, to show: one row a label.

    table: as domains.shot_counts, for one number of shots or several.
    """
    if not table["there"].any():
        return markdown(
            "None of the children who may be taught carries one of the labels: the support set is "
            "empty."
        )
    shown = table[["label", "words", "there"]].drop_duplicates("label").set_index("label")
    shown = shown.rename(columns={"there": "positives there are"})
    for asked, part in table.groupby("asked", sort=True):
        shown[f"of at most {asked}"] = [
            "none"
            if not row.there
            else f"{row.found}, all there are"
            if row.found == row.there < row.asked
            else f"{row.found}"
            for row in part.itertuples()
        ]
    return shown.rename_axis(None)


def unaged(adults: int, of: int, children: int) -> "Markdown":
    """What becomes of recordings that state no age; nothing where all do.

    adults: such ones among the `of` of the adults' dataset. children: such ones of the children's.
    """
    said = []
    if adults:
        states, it = ("states", "It is") if adults == 1 else ("state", "They are")
        said.append(
            f"{adults:,} of {of:,} recordings of the adults' dataset {states} no age, or one above "
            f"89 years, which PTB-XL hides. {it} left out."
        )
    if children:
        states, it = ("states", "It is") if children == 1 else ("state", "They are")
        said.append(
            f"{children:,} of the children's {states} no age. {it} taught and tested, and in no "
            "band of age."
        )
    return markdown(" ".join(said))


def leak(table: pd.DataFrame) -> "Markdown":
    """What the axis tokens, made of the answer, tell a model. table: as transfer_asked.leak."""
    table = _numeric(table, "value", "low", "high")
    by = {(row.taught, row.seen): row for row in table.itertuples()}
    listed, read, misled = [], [], []
    for taught in table["taught"].unique():
        alone, own, others = (by.get((taught, seen)) for seen in (ALONE, OWN, OTHERS))
        values = [
            f"{interval(row.value, row.low, row.high)} {words}"
            for row, words in (
                (alone, "from the ECG alone"),
                (own, "with its own tokens in sight"),
                (others, "with another's"),
            )
            if row is not None
        ]
        how = _TAUGHT.get(taught, taught)
        listed.append(f"- taught {how}: {', '.join(values)}")
        if alone is None:
            continue
        if own is not None and own.low > alone.high:
            read.append(how)
        if others is not None and others.high < alone.low:
            misled.append(how)
    said = []
    told = [f"its own tokens help the model taught {' or '.join(read)}"] if read else []
    if misled:
        told.append(f"another's mislead the one taught {' or '.join(misled)}")
    said.append(
        f"By intervals that do not meet, {', and '.join(told)}."
        if told
        else "No tokens help or mislead by intervals that do not meet."
    )
    plain = by.get(("none", ALONE))
    for taught in ("in the path", "beside"):
        row = by.get((taught, ALONE))
        if row is not None and plain is not None:
            side = "above" if row.value > plain.value else "below"
            said.append(
                f"From the ECG alone, which is all that there is of a new patient, the one taught "
                f"{_TAUGHT[taught]} lies {abs(row.value - plain.value):.3f} {side} the one taught "
                f"without; {_meet(row, plain)}."
            )
            break
    bullets = "\n".join(listed)
    return markdown(f"{' '.join(said)} Macro AUROC by what is seen at test:\n\n{bullets}")


def controls(table: pd.DataFrame, kind: str) -> "Markdown":
    """Whether it mattered what the texts say, by texts that say nothing or something wrong.

    table: name (real, random, shuffled, one-hot), mode, value, low, high, gain, gain_low,
    gain_high (less the real texts).
    """
    table = _numeric(table, "gain", "gain_low", "gain_high")
    others = table[table["name"] != REAL]
    listed: list[str] = []
    below: list[str] = []
    above: list[str] = []
    for row in others.itertuples():
        where = f"*{row.name}* {mode(row.mode)}"
        told = _leaves_0_out(row)
        if np.isnan(row.gain_low):
            verdict = "without an interval"
        else:
            verdict = "leaves 0 out" if told else "holds 0"
        listed.append(f"- {where}: {_difference(row)}, {verdict}")
        if told and row.name in WITHOUT_MEANING:
            (below if row.gain < 0 else above).append(where)
    said = []
    if below:
        said.append(f"what the texts say mattered against {_and(below)}")
    if above:
        verb = "is" if len(above) == 1 else "are"
        said.append(f"{_and(above)} {verb} better than the real texts")
    if not said:
        said.append(
            "no texts without a meaning can be told from the real ones, so that nothing shows "
            "that their meaning did anything"
        )
    end = "; ".join(said)
    return markdown(
        f"On the *{kind}*, macro AUROC with other texts in their place, or untrained, less that "
        f"with the real ones:\n\n" + "\n".join(listed) + f"\n\n{end[0].upper()}{end[1:]}."
    )


def _numeric(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with these columns as floats: a record's None is NaN."""
    return table.assign(**{name: table[name].astype(float) for name in columns})


def _leaves_0_out(row: Any) -> bool:
    return bool(row.gain_low > 0 or row.gain_high < 0)


def _difference(row: Any) -> str:
    if np.isnan(row.gain):
        return "undefined"
    held = "" if np.isnan(row.gain_low) else f" ({row.gain_low:+.3f} to {row.gain_high:+.3f})"
    return f"{row.gain:+.3f}{held}"


def _meet(first: Any, second: Any) -> str:
    if np.isnan([first.low, second.low]).any():
        return "without both intervals this says little"
    apart = first.low > second.high or second.low > first.high
    return "the intervals do not meet" if apart else "the intervals overlap"


def _count(some: int, all_: int, what: str) -> str:
    """`2 of 12 differences`; `no difference`, `the only difference`, `none of 12 differences`."""
    if all_ == 1:
        return f"the only {what}" if some else f"no {what}"
    return f"{some or 'none'} of {all_} {what}s"


def _list(items: list[str]) -> str:
    return f": {'; '.join(items)}" if items else ""


def _and(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
