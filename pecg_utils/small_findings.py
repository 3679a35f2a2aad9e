"""What the chapter on small sets found, in a few lines a record, for the head of its page."""

from typing import Any

import pandas as pd

from pecg_utils import cards, epoch_rules
from pecg_utils.choosing_plots import AS_CODED, BY_VALIDATION, CHANGED
from pecg_utils.claims import interval
from pecg_utils.kept_small import source
from pecg_utils.small_words import ALL, HEAD

SCRATCH, EVERY = "from scratch", "all"  # a way, and all recordings, in the table "ways"
BANDS = ("as coded", "as meant", "zero-phase")  # the band-pass filters
_NEEDED = {"sets", "ways", "st levels", "epochs", "random tests"}


def lines(record: dict[str, Any]) -> list[str]:
    """What a record found, as lines of a nested list; none where it lacks one of its tables."""
    held = {name: pd.DataFrame(table) for name, table in record.get("tables", {}).items()}
    if not set(held) >= _NEEDED:
        return []
    small, large = record["data"][-1], source(record)
    kind = f"{{tag}}`{small['kind']}`"
    before = ""
    if large is not None:
        before = f", after {cards.name(large['dataset'])}, {{tag}}`{large['kind']}`"
    areas = _of_auroc(held["ways"])
    trials = int(areas["trials"].max())
    return [
        f"- {cards.name(small['dataset'])}, {kind}, {small['recordings']:,} recordings, "
        f"{_carriers(held['sets'])} with the label{before}, "
        f"{trials} {'training' if trials == 1 else 'trainings'} of each of "
        f"{areas['model'].nunique()} models (record `{record['key']}`):",
        f"  - {_brought(areas)}",
        f"  - {_best(areas)}",
        f"  - {_st(held['st levels'])}",
        f"  - {_epochs(held['epochs'], kind)}",
        f"  - {_scatter(held['random tests'], kind)}",
    ]


def _carriers(table: pd.DataFrame) -> str:
    """How many recordings of the small set carry its label."""
    return f"{int(table.set_index('name').loc['small', 'carriers']):,}"


def _of_auroc(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the AUROC with their numbers as such, in which a record has None for NaN."""
    columns = ("size", "value", "low", "high", "gain", "gain_low", "gain_high")
    return table[table["metric"] == "auroc"].astype(dict.fromkeys(columns, float))


def _brought(areas: pd.DataFrame) -> str:
    """What pre-training adds where the fewest and where all recordings are taught."""
    every, fewest = areas["called"] == EVERY, areas["size"] == areas["size"].min()
    sides = {f"all {areas.loc[every, 'size'].max():,.0f}": areas[every]}
    if not (every & fewest).any():
        sides = {f"{areas['size'].min():,.0f}": areas[fewest], **sides}
    said = [
        f"with {words}: {_mean(side, ALL)} and {_mean(side, HEAD)}" for words, side in sides.items()
    ]
    compared = pd.concat(sides.values())
    compared = compared[compared["way"] != SCRATCH]
    above, below = int((compared["gain_low"] > 0).sum()), int((compared["gain_high"] < 0).sum())
    sure = "none leaves 0 out"
    if outside := above + below:
        verb = "leaves" if outside == 1 else "leave"
        sure = f"{outside} {verb} 0 out, {above} above it and {below} below"
    return (
        f"AUROC after pre-training, *{ALL}* and *{HEAD}*, less that of the same model from "
        f"scratch, in the mean over {areas['model'].nunique()} models, by recordings taught: "
        f"{'; '.join(said)}. Of the {len(compared)} differences of single models {sure}."
    )


def _mean(side: pd.DataFrame, way: str) -> str:
    return f"{side.loc[side['way'] == way, 'gain'].mean():+.3f}"


def _best(areas: pd.DataFrame) -> str:
    """The model and way with the highest AUROC where all recordings are taught."""
    every = areas[areas["called"] == EVERY]
    best = every.loc[every["value"].idxmax()]
    scratch = every.loc[every.loc[every["way"] == SCRATCH, "value"].idxmax()]
    told = interval(best["value"], best["low"], best["high"])
    found = (
        f"With all recordings taught the highest AUROC of {len(every)} models and ways, picked on "
        f"the same test side, is {told}, of `{best['model']}` *{best['way']}*"
    )
    if best["way"] == SCRATCH:
        return f"{found}."
    other = interval(scratch["value"], scratch["low"], scratch["high"])
    return f"{found}; the highest from scratch is {other}, of `{scratch['model']}`."


def _st(table: pd.DataFrame) -> str:
    """What the band-pass filters do to the ST level, and whose it is."""
    kind = str(table["kind"].iloc[0])
    part = table[table["wave"] == "ST"].set_index("filter")
    first = part.iloc[0]
    deviating = int(first["deviating"])
    said = []
    for name in BANDS:
        value, low, high = (float(part.loc[name, f"median_uv{e}"]) for e in ("", "_low", "_high"))
        gone = ""
        if deviating:  # or there is nothing that could vanish
            gone = f", and {100 * float(part.loc[name, 'vanished']):.0f} % of deviations vanish"
        said.append(f"*{name}* by {value:.0f} µV ({low:.0f} to {high:.0f}){gone}")
    whose = "Simulated beats" if kind == "twin" else cards.name("ludb")
    return (
        f"{whose}, {{tag}}`{kind}`, {int(first['levels']):,} ST levels of {int(first['patients'])} "
        f"patients, {deviating:,} of them 100 µV or more from the baseline: in the median patient "
        f"a band-pass filter moves the level {'; '.join(said)}."
    )


def _epochs(table: pd.DataFrame, kind: str) -> str:
    """What the epoch that the test side chose adds to that of validation."""
    by_rule = epoch_rules.chosen(table.astype(dict.fromkeys(epoch_rules.LOOKED_AT, float)))
    each = []
    for by, words in ((epoch_rules.F1, "macro F1, as coded,"), (epoch_rules.AUROC, "AUROC")):
        own = by_rule[(by_rule["by"] == by) & (by_rule["metric"] == by)]
        wide = own.pivot(index=["model", "seed"], columns="rule", values="value")
        above = wide[AS_CODED] - wide[BY_VALIDATION]
        each.append(
            f"the best {words} {above.mean():+.3f} in the mean ({above.min():+.3f} to "
            f"{above.max():+.3f})"
        )
    return (
        f"The epoch chosen by the test side less that by validation, over {len(above)} "
        f"{'training' if len(above) == 1 else 'trainings'}, {kind}: {'; '.join(each)}."
    )


def _scatter(table: pd.DataFrame, kind: str) -> str:
    """How far tests with random changes lie apart, and those of which model farthest."""
    table = table[table["metric"] == "auroc"].astype({"value": float})
    table = table[table["kind"] == CHANGED]
    drawn = table[table["draw"] != 0].groupby("model", sort=False)["value"]
    ends = pd.DataFrame({"least": drawn.min(), "most": drawn.max(), "tests": drawn.size()})
    apart = ends["most"] - ends["least"]
    widest = apart.idxmax()
    sound = table[(table["draw"] == 0) & (table["model"] == widest)]["value"].iloc[0]
    return (
        f"The same model tested {ends['tests'].max()} times with random changes, as coded, {kind}: "
        f"its AUROCs lie {apart.mean():.3f} apart in the mean of {len(ends)} "
        f"{'model' if len(ends) == 1 else 'models'}, and {apart[widest]:.3f} for `{widest}` "
        f"({ends.loc[widest, 'least']:.3f} to {ends.loc[widest, 'most']:.3f}; {sound:.3f} without "
        "changes)."
    )
