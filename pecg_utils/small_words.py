"""What the page on small sets says of its tables."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pecg_utils.claims import interval
from pecg_utils.words import markdown

if TYPE_CHECKING:
    from IPython.display import Markdown

HEAD, ALL = "head only", "all weights"
NAMES = {
    "ptbxl": "PTB-XL",
    "cpsc2018": "CPSC2018",
    "hospitals": "the Challenge and LUDB",
    "pe": "PE-HSM",
}
# What is known of the paper's findings, in its own order; none has a number (papers' section 6.5).
_READ = "a digest of arXiv 2503.08960"


def task(dataset: str, kind: str) -> "Markdown":
    """What the small set is, and what it stands for."""
    if dataset == "pe" and kind == "twin":
        return markdown(
            "The small set of this page is a *twin* of the private one, with as many findings as "
            "we chose to give it. One patient in four has an embolism, and the ECG of one in two "
            "of these shows it. No number on this page is about real embolisms."
        )
    if dataset == "pe":
        return markdown(
            f"The small set of this page is the reader's own (*{kind}*), in the form of the "
            "private one. It is not the paper's set."
        )
    return markdown(
        f"The small set of this page is a stand-in, made of PTB-XL (*{kind}*): is there any of the "
        "statements of the right heart below? No number on this page is about embolisms."
    )


def sets(table: pd.DataFrame) -> pd.DataFrame:
    """The two sets side by side, to show; table: as small_tables.sets gives it."""
    rows = {}
    for row in table.itertuples(index=False):
        share = 100 * row.carriers / row.recordings
        rows[f"the {row.name} set"] = {
            "dataset": f"{NAMES.get(row.dataset, row.dataset)}, {row.kind}",
            "recordings": f"{row.recordings:,}",
            "labels": f"{row.labels:,}",
            "recordings with a label": f"{row.carriers:,} ({share:.0f} %)",
        }
    return pd.DataFrame(rows)


def larger(table: pd.DataFrame) -> "Markdown":
    """Whether the large set is large beside the small one."""
    count = table.set_index("name")["recordings"].astype(int)
    times = count["large"] / count["small"]
    if times < 1:
        return markdown(
            f"The large set of this run is the smaller one, with {count['large']:,} recordings "
            f"against {count['small']:,}: it says little about pre-training on a large set."
        )
    return markdown(
        f"The large set of this run has {times:.1f} times as many recordings as the small one; the "
        f"paper's PTB-XL has {21_837 / 927:.0f} times as many as its small set *paper*."
    )


def broadly(table: pd.DataFrame) -> pd.DataFrame:
    """Pre-trained models on their own large set, to show."""
    numbers = _numeric(table, "value", "low", "high")
    shown = pd.DataFrame(
        {
            "macro AUROC": [
                interval(row.value, row.low, row.high) for row in numbers.itertuples(index=False)
            ],
            "epoch kept": table["epoch"].to_numpy(),
            "recordings taught": table["taught"].to_numpy(),
            "recordings tested": table["tested"].to_numpy(),
        },
        index=pd.Index(table["name"]),
    )
    return shown.rename_axis(None)


def compared(table: pd.DataFrame, metric: str = "auroc") -> pd.DataFrame:
    """Every model and way, a column for each number of recordings: value and interval."""
    part = _numeric(table[table["metric"] == metric], "value", "low", "high")
    shown: dict[str, dict[tuple[str, str], str]] = {}
    for row in part.itertuples(index=False):
        head = f"all, {row.size:,} taught" if row.called == "all" else f"{row.size:,} taught"
        shown.setdefault(head, {})[row.model, row.way] = interval(row.value, row.low, row.high)
    found = pd.DataFrame(shown)
    found.index = pd.Index([f"{model}, {way}" for model, way in found.index])
    return found


def gained(table: pd.DataFrame, kind: str) -> "Markdown":
    """What pre-training brings: how many differences from scratch leave 0 out, and which way."""
    numbers = ("gain", "gain_low", "gain_high", "gain_least", "gain_most")
    part = _numeric(table[table["metric"] == "auroc"], *numbers)
    lines = []
    for way in (HEAD, ALL):
        own = part[part["way"] == way]
        more, less = own["gain_low"] > 0, own["gain_high"] < 0
        lines.append(
            f"- *{way}* less from scratch, *{kind}*: {_added(own['gain'].mean())} in the mean over "
            f"models and sizes; the interval over patients leaves 0 out in "
            f"{int((more | less).sum())} of {_comparisons(len(own))}"
            + _named("better", own[more])
            + _named("worse", own[less])
            + f". By luck alone about {len(own) / 20:.1f} would."
        )
    unknown = (
        "\nThe interval does not know what another seed, or other recordings taught, would have "
        "changed"
    )
    apart = (part["gain_most"] - part["gain_least"]).max()
    if int(part["trials"].max()) < 2 or np.isnan(apart):
        lines.append(f"{unknown}, and there is one training each.")
    else:
        lines.append(
            f"{unknown}: the gain of one training and another differ by {apart:.3f} at the most."
        )
    return markdown("\n".join(lines))


def _comparisons(count: int) -> str:
    return f"{count} comparison{'' if count == 1 else 's'}"


def _named(word: str, rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    each = [f"{row.model} at {row.size:,}" for row in rows.itertuples(index=False)]
    return f"; {word}: {', '.join(each)}"


def findings(table: pd.DataFrame, grid: pd.DataFrame, kind: str) -> pd.DataFrame:
    """What the paper says in words, and what was measured here; columns: says, here, read.

    Numbers of the paper could not be had, so that none is put beside ours.
    """
    part = _numeric(table[table["metric"] == "auroc"], "value", "gain", "gain_low", "gain_high")
    tuned = part[part["way"] != "from scratch"]
    by_model = part.groupby("model")["value"].mean()
    best = by_model.idxmax()
    better = int((tuned["gain_low"] > 0).sum())
    rows = [
        (
            "transfer helps",
            f"the interval over patients leaves 0 out, for the better, in {better} of "
            f"{_comparisons(len(tuned))}, for the worse in {int((tuned['gain_high'] < 0).sum())} "
            f"({kind})",
        ),
        (
            "CRNN is the best trade-off, ResNet-18 stable",
            f"highest mean AUROC over ways and sizes: {best}, {by_model.max():.3f}; "
            f"of all models {by_model.min():.3f} to {by_model.max():.3f} ({kind})",
        ),
        ("attention models gain from all weights, others from the head alone", _ways(tuned, kind)),
        ("transformers starve where there is little to learn from", _starved(part, kind)),
        ("the best length and normalisation depend on the model", _cells(grid, kind)),
    ]
    found = pd.DataFrame(rows, columns=["the paper says", "here"])
    found["read in"] = _READ
    return found.set_index("the paper says")


def _ways(tuned: pd.DataFrame, kind: str) -> str:
    wide = tuned.groupby(["model", "way"])["gain"].mean().unstack("way")
    each = [f"{m}: {_added(row[HEAD])} and {_added(row[ALL])}" for m, row in wide.iterrows()]
    return f"gain of the head alone and of all weights, mean over sizes: {'; '.join(each)} ({kind})"


def _starved(part: pd.DataFrame, kind: str) -> str:
    scratch = part[part["way"] == "from scratch"]
    fewest = scratch[scratch["size"] == scratch["size"].min()]
    own = fewest["model"].str.contains("transformer")
    if own.all() or not own.any():
        return "transformers and others were not both tried"
    return (
        f"from scratch on {int(fewest['size'].iloc[0])} recordings, mean AUROC of the transformers "
        f"{fewest.loc[own, 'value'].mean():.3f}, of the others "
        f"{fewest.loc[~own, 'value'].mean():.3f} ({kind})"
    )


def _cells(grid: pd.DataFrame, kind: str) -> str:
    known = _numeric(grid, "validation").dropna(subset="validation")
    best = known.loc[known.groupby("model")["validation"].idxmax()]
    each = [
        f"{row.model}: {row.samples:,} samples, {row.normalise}"
        for row in best.itertuples(index=False)
    ]
    return f"best by validation: {'; '.join(each)} ({kind})"


def varied(grid: pd.DataFrame, kind: str) -> "Markdown":
    """How far the cells of the grid lie apart, beside how wide their intervals are."""
    grid = _numeric(grid, "value", "low", "high")
    lines = []
    for model, part in grid.groupby("model", sort=False):
        best = part.loc[part["value"].idxmax()]
        others = part.drop(index=best.name)
        found = f"the one cell has {best['value']:.3f}"
        if len(others):
            found = f"the {len(part)} cells lie between {part['value'].min():.3f} and "
            found += f"{best['value']:.3f}"
        lines.append(
            f"- {model}, *{kind}*: {found}{_width(part, others, float(best['value']))} "
            f"{int(part['tested'].iloc[0])} carriers were tested and "
            f"{int(part['validated'].iloc[0])} validated."
        )
    return markdown("\n".join(lines))


def _width(part: pd.DataFrame, others: pd.DataFrame, best: float) -> str:
    """How wide the cells' intervals are, and how many of the others' hold the best cell's value."""
    width = float((part["high"] - part["low"]).mean())
    if np.isnan(width):
        return ", and no interval is known."
    if others.empty:
        return f", with an interval that is {width:.3f} wide."
    within = int((others["high"] >= best).sum())
    held = f"of {within} of the {len(others)} other cells holds"
    if len(others) == 1:
        held = f"of the other cell {'holds' if within else 'does not hold'}"
    return f", and an interval is {width:.3f} wide in the mean. That {held} the best cell's value."


def epochs(table: pd.DataFrame, kind: str) -> "Markdown":
    """By how much the epoch of the best test side lies above that of the best validation side."""
    lines = []
    table = _numeric(table, "value")
    for by, words in (("f1", "the best F1, as coded"), ("auroc", "the best AUROC *ours*")):
        own = table[(table["by"] == by) & (table["metric"] == by)]
        wide = own.pivot(index=["model", "seed"], columns="rule", values="value")
        above = wide["by the test side, as coded"] - wide["by validation"]
        looked = own[own["rule"] == "by validation"]
        ties = int((looked["tied"] > 1).sum())
        shared = f" In {ties} of them several epochs share the best score." if ties else ""
        lines.append(
            f"- {words}, *{kind}*, {len(wide)} {'training' if len(wide) == 1 else 'trainings'}: "
            f"chosen by the test side less chosen by validation {above.mean():+.3f} in the mean "
            f"({above.min():+.3f} to {above.max():+.3f}).{shared}"
        )
    return markdown("\n".join(lines))


def configured(table: pd.DataFrame, kind: str) -> "Markdown":
    """What choosing length and normalisation by the test side adds."""
    lines = []
    for model, part in _numeric(table, "value").groupby("model", sort=False):
        by_test, by_validation = part.iloc[0], part.iloc[1]
        lines.append(
            f"- {model}, *{kind}*: AUROC {by_test['value']:.3f} ({by_test['cell']}) by the test "
            f"side, {by_validation['value']:.3f} ({by_validation['cell']}) by validation: "
            f"{by_test['value'] - by_validation['value']:+.3f}."
        )
    return markdown("\n".join(lines))


def noisy(table: pd.DataFrame, kind: str) -> "Markdown":
    """How far tests with random pieces and changes scatter, beside the sound one."""
    lines = []
    for model, part in _numeric(table, "value").groupby("model", sort=False):
        sound = float(part.loc[part["draw"] == 0, "value"].iloc[0])
        said = []
        for way, own in part[part["draw"] != 0].groupby("kind", sort=False):
            drawn = own["value"]
            said.append(
                f"{drawn.mean():.3f} in the mean of {len(drawn)} tests, {drawn.min():.3f} to "
                f"{drawn.max():.3f} ({way})"
            )
        lines.append(f"- {model}, *{kind}*: AUROC {sound:.3f} (all pieces); {'; '.join(said)}.")
    return markdown("\n".join(lines))


def longer(table: pd.DataFrame, kind: str) -> "Markdown":
    """Whether more steps from scratch would bring what pre-training does."""
    part = _numeric(table, "value", "gain", "gain_low", "gain_high")
    first, *others = part.itertuples(index=False)
    each = [f"{row.name} {_signed(row.gain, row.gain_low, row.gain_high)}" for row in others]
    beside = "; ".join(each) or "the model is none of those that are transferred"
    return markdown(f"AUROC of {first.name} {first.value:.3f}, *{kind}*; {beside}.")


def heads(table: pd.DataFrame, kind: str) -> "Markdown":
    """What a head that is fitted to the end brings, model by model: three rows each."""
    each = [longer(table.iloc[k : k + 3], kind).data for k in range(0, len(table), 3)]
    return markdown("\n".join(f"- {one}" for one in each))


def filters(table: pd.DataFrame, kind: str) -> "Markdown":
    """What each filter changes for a model, less no filter."""
    part = _numeric(table[table["metric"] == "auroc"], "value", "gain", "gain_low", "gain_high")
    each = []
    for row in part.itertuples(index=False):
        if row.name == "none":
            continue
        sure = " (leaves 0 out)" if row.gain_low > 0 or row.gain_high < 0 else ""
        each.append(f"{row.name} {_signed(row.gain, row.gain_low, row.gain_high)}{sure}")
    first = part[part["name"] == "none"].iloc[0]
    return markdown(
        f"AUROC without a filter {first['value']:.3f}, *{kind}*; the others less that: "
        f"{'; '.join(each)}."
    )


def st(summary: pd.DataFrame, kind: str) -> "Markdown":
    """What each filter does to the ST level, in a sentence each."""
    numbers = [n for n in summary.columns if n.startswith(("median_uv", "vanished"))]
    part = _numeric(summary[summary["wave"] == "ST"], *numbers)
    first = part.iloc[0]
    lines = [
        f"{int(first['levels']):,} ST levels of {int(first['patients'])} "
        f"{'patient' if first['patients'] == 1 else 'patients'}, *{kind}*, of "
        f"which {int(first['deviating']):,} lie 100 µV or more from the baseline:",
        "",
    ]
    for row in part[part["filter"] != "none"].itertuples(index=False):
        gone = "" if np.isnan(row.vanished) else f"{100 * row.vanished:.0f} % of these deviations"
        lines.append(
            f"- *{row.filter}* moves the level by {_micro(row, 'median_uv')} µV in the median "
            f"patient{f', and makes {gone} vanish' if gone else ''}."
        )
    return markdown("\n".join(lines))


def _micro(row: Any, name: str) -> str:
    value, low, high = (float(getattr(row, f"{name}{end}")) for end in ("", "_low", "_high"))
    return interval(value, low, high, digits=0)


def unlabelled(table: pd.DataFrame, kind: str) -> "Markdown":
    """What the recordings without a label change where they are taught as negatives."""
    if table.empty:
        return markdown(
            "In this run no recording without a label is taught: that is the code's way with "
            "PTB-XL alone."
        )
    each = [
        f"{row.name} {_signed(row.value, row.low, row.high)}"
        for row in _numeric(table, "value", "low", "high").itertuples(index=False)
    ]
    first = table.iloc[0]
    return markdown(
        f"{int(first['without']):,} of the {int(first['recordings']):,} recordings of the large "
        f"set, *{kind}*, carry no label. Macro AUROC on those with a label, taught with them as "
        f"negatives less taught without them, one training each: {'; '.join(each)}."
    )


def _signed(value: float, low: float, high: float) -> str:
    if np.isnan(value) or np.isnan(low):
        return _added(value)
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def _added(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:+.3f}"


def _numeric(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """`table` with these columns as numbers, in which a record has None for NaN."""
    return table.astype(dict.fromkeys(columns, float))
