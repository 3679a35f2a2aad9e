"""What the chapter on transfer carries out: adults and children gathered, and its trainings.

A training is told apart by its method, by how many children are taught, and by a number that is
both its seed and its draw of the support set: what lies between trainings of one method is what
other seeds and other children in the support set would have done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pecg_utils import children, comparison, subgroups
from pecg_utils.chapters.peace import ADULTS
from pecg_utils.data import domains, label_map
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.ledger import Run
from pecg_utils.protocol import Protocol
from pecg_utils.transfers import Transfer
from pecg_utils.trial import Outcome

Trials = dict[tuple[str, str], list[Outcome]]  # name, shots taught -> a training a number

TUNED, PEACE = "fine-tuning", "PEACE"
# What the baselines are called -> how they are taught.
METHODS: dict[str, dict[str, Any]] = {
    TUNED: {"method": "plain"},
    "from scratch": {"method": "plain", "begin": False},
    "linear probe": {"method": "plain", "frozen": True},
    "DANN": {"method": "DANN"},
    "MMD": {"method": "MMD"},
    "CLIP": {"method": "CLIP"},
    PEACE: {"method": "PEACE"},
}
CONTROLS = ("real", "random", "shuffled", "one-hot")
# How the axis tokens are used in training -> the transfer's field, and the network's size.
TOKENS: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {
    "in the path": ("own", ()),
    "beside": ("own", (("axes", "beside"),)),
    "shuffled": ("shuffled", ()),
    "none": ("none", ()),
}


@dataclass(frozen=True)
class Gathered:
    """windows: of adults and children, joined, with the labels that take part. adults, children:
    their recordings, with all shared labels. names: the labels' words. counts: of the windows
    that carry each shared label, with `taken`. unaged: how many recordings of the
    adults' dataset state no age, and so are left out; of how many; how many of the children's."""

    windows: Windows
    adults: Dataset
    children: Dataset
    names: list[str]
    counts: pd.DataFrame
    unaged: tuple[int, int, int]


def gather(run: Run) -> Gathered:
    """Adults and children of a run: both twins, or both real.

    Raises PecgError where the adults that are needed were not given, where those that were given
    could be used for nothing, and where too few labels are left.
    """
    p, twin = run.parameters, run.training.kind == "twin"
    source = run.further("adults")
    if source is None and not twin:
        raise PecgError(
            "Real children were given, enough to train on, and no adults: give the folder of "
            "PTB-XL as the parameter adults."
        )
    if source is not None and (source.kind == "twin") != twin:
        if not twin or (run.given is run.training and run.further("hospitals") is None):
            raise PecgError(
                f"The adults' folder holds {_kind(source)} and the children's {_kind(run.given)}: "
                "give both as real recordings or both as twins, the children as data."
            )
        source = None  # real adults, whom the few real children or the hospitals are read with
    if source is None:
        source = run.beside("ptbxl", p.patients, **ADULTS)
    adults = label_map.shared(source.only(domains.adults_alone(source.table)))
    young = of_children(run.training)
    parts = [cut(run, dataset) for dataset in (adults, young)]
    joined = domains.join(parts[:1], parts[1])
    counts = _counted(joined, p.seed, label_map.occurring(adults, young)["words"])
    counts["taken"] = (
        (counts["adults"] >= p.least) & (counts["taught"] >= 1) & (counts["tested"] >= 1)
    )
    if counts["taken"].sum() < 2:
        raise PecgError(
            f"Fewer than two labels are carried by {p.least} adults or more and by children on "
            "both sides; give more recordings, or a smaller least."
        )
    wanted = counts.index[counts["taken"]].tolist()
    windows = domains.of_labels(joined, wanted)
    names = [young.label_names[label] for label in wanted]
    unaged = (
        int(source.table["age_days"].isna().sum()),
        len(source.table),
        int(young.table["age_days"].isna().sum()),
    )
    return Gathered(windows, adults, young, names, counts, unaged)


def _kind(dataset: Dataset) -> str:
    return "a twin" if dataset.kind == "twin" else "real recordings"


def _counted(joined: Windows, seed: int, words: pd.Series) -> pd.DataFrame:
    """Windows that carry each label: words, adults, children, and of these taught and tested."""
    grown, young = (domains.parts(joined.table, of, seed) for of in domains.DOMAINS)
    rows = {
        "adults": np.concatenate(list(grown.values())),
        "children": np.concatenate(list(young.values())),
        "taught": young["train"],
        "tested": young["test"],
    }
    counted = {name: joined.labels[of].sum(axis=0) for name, of in rows.items()}
    table = pd.DataFrame(counted, index=pd.Index(joined.classes))
    table.insert(0, "words", words)
    return table


def cut(run: Run, dataset: Dataset, **other: Any) -> Windows:
    """The windows of the recordings with 12 leads, whatever they carry. other: as in Run.windows.

    Raises PecgError where there is none.
    """
    found = run.windows(dataset, TWELVE_LEADS, labelled=False, needed=True, **other)
    assert found is not None
    return found


def grown(run: Run, both: Gathered) -> tuple[pd.DataFrame, dict[str, children.Typical]]:
    """How an ECG changes with age, measured recording by recording and as typical beats.

    As children.measured and children.beats have it. Most newborns were recorded with 9 leads,
    which hold all that is measured but V2: they are in it, and in nothing else of the chapter.
    """
    nine = run.windows(both.children, NINE_LEADS, labelled=False)
    parts = [both.windows, *([] if nine is None else [nine])]
    found = pd.concat([children.measured(part) for part in parts], ignore_index=True)
    beats: dict[str, children.Typical] = {}
    for part in reversed(parts):  # where both have a band, the one with 12 leads is shown
        beats |= children.beats(part)
    return found, {band: beats[band] for band in children.BANDS if band in beats}


def of_children(dataset: Dataset) -> Dataset:
    """Recordings of which any finding is stated, with the shared labels."""
    return label_map.shared(dataset.only(dataset.labels.any(axis=1).to_numpy()))


def protocol(transfer: Transfer, repeat: int = 0, **changes: Any) -> Protocol:
    """One training of the chapter. changes: sizes of the network."""
    return Protocol(
        "peace",
        TWELVE_LEADS,
        "shared labels",
        "domain",
        repeat=repeat,
        changes=tuple(changes.items()),
        transfer=transfer,
    )


def modes(shots: Sequence[str]) -> dict[str, int | None]:
    """How many are taught, as a page calls it -> as a transfer has it: none, these, all."""
    return {"0": 0, **{one: int(one) for one in shots}, "all": None}


def few(shots: Sequence[str]) -> str:
    """The support set that the ablation and the controls look at: the paper's 50, or the least."""
    return "50" if "50" in shots else shots[0]


def carried_out(
    run: Run,
    both: Gathered,
    name: str,
    shots: Sequence[str],
    changes: Mapping[str, Any],
    **how: Any,
) -> Trials:
    """A method's trainings: for each of these modes, one a number. how: Transfer's fields."""
    p = run.parameters
    found: Trials = {}
    for called in shots:
        count = modes(p.shots)[called]
        plan = [
            protocol(
                Transfer(**how, shots=count, draw=number if count else 0, steps=p.steps),
                number,
                **changes,
            )
            for number in range(p.repeats)
        ]
        found[name, called] = run.trials(both.windows, plan)
    return found


def methods(run: Run, both: Gathered) -> Trials:
    """Every method at every number of shots. From scratch there is nothing without a child."""
    p = run.parameters
    found: Trials = {}
    for name, how in METHODS.items():
        if name not in (*p.methods, TUNED, PEACE):
            continue
        asked = list(modes(p.shots))
        if name in ("from scratch", "linear probe"):  # without a child, as fine-tuning
            asked = asked[1:]
        found |= carried_out(run, both, name, asked, {}, **how)
    return found


def ablation(run: Run, both: Gathered, trials: Trials) -> Trials:
    """PEACE whole, from `trials`, and with one of its terms left out, without children, with few
    and with all."""
    p = run.parameters
    asked = ["0", few(p.shots), "all"]
    found: Trials = {("complete", mode): trials[PEACE, mode] for mode in asked}
    for term in p.terms:
        found |= carried_out(run, both, term, asked, {}, method=PEACE, terms=term)
    return found


def controls(run: Run, both: Gathered, trials: Trials) -> Trials:
    """PEACE with the real descriptors, from `trials`, and with others in their place."""
    asked = ["0", few(run.parameters.shots)]
    found: Trials = {("real", mode): trials[PEACE, mode] for mode in asked}
    for texts in CONTROLS[1:]:
        found |= carried_out(run, both, texts, asked, {}, method=PEACE, texts=texts)
    return found


def tokens(run: Run, both: Gathered) -> Trials:
    """PEACE with the axis tokens used in each way of TOKENS, without children and with all, once
    each."""
    found: Trials = {}
    for name, (whose, changes) in TOKENS.items():
        for mode, shots in (("0", 0), ("all", None)):
            how = Transfer(PEACE, shots, tokens=whose, steps=run.parameters.steps)
            found[name, mode] = run.trials(both.windows, [protocol(how, **dict(changes))])
    return found


def table(
    trials: Trials,
    resamples: int = 1000,
    metrics: Sequence[str] = ("auroc", "average_precision"),
) -> pd.DataFrame:
    """One row a name, number of shots and macro metric, those of one number of shots together.

    Columns: name, method, mode and shots (the same), recordings (children's that were taught, the
    mean), metric, trials, value, low, high (over patients), least, most (over trainings), apart,
    and gain, gain_low, gain_high (less the first name of the same mode, over patients).
    """
    found = []
    for mode in dict.fromkeys(mode for _, mode in trials):
        of_mode = {name: outcomes for (name, m), outcomes in trials.items() if m == mode}
        part = comparison.table(of_mode, resamples, metrics)
        ends = [
            [float(outcome.value(row.metric)["value"]) for outcome in of_mode[str(row.name)]]
            for row in part[["name", "metric"]].rename_axis(None).itertuples(index=False, name="R")
        ]
        part["least"], part["most"] = [min(e) for e in ends], [max(e) for e in ends]
        taught = {
            name: float(np.mean([_taught(outcome) for outcome in outcomes]))
            for name, outcomes in of_mode.items()
        }
        part.insert(1, "method", part["name"])
        part.insert(2, "mode", mode)
        part.insert(3, "shots", mode)
        part.insert(4, "recordings", part["name"].map(taught))
        found.append(part)
    return pd.concat(found, ignore_index=True)


def _taught(outcome: Outcome) -> int:
    transfer = outcome.protocol.transfer
    if transfer is None or transfer.shots == 0:
        return 0
    return len(outcome.folds[0].sides["train"])


def per_label(trials: Trials, both: Gathered, name: str = PEACE) -> pd.DataFrame:
    """AUROC of each label, from the first training of each mode: label, words, mode, value, low,
    high, positives (tested), adults (positives among the adults who are taught). trials: one
    without children is among them."""
    first = next(outcomes[0] for (_, mode), outcomes in trials.items() if mode == "0")
    adults = first.folds[0].sides["train"]
    taught = dict(zip(both.windows.classes, both.windows.labels[adults].sum(axis=0), strict=True))
    words = dict(zip(both.windows.classes, both.names, strict=True))
    rows = []
    for (of, mode), outcomes in trials.items():
        if of != name:
            continue
        scores = outcomes[0].scores
        for row in scores[
            (scores["metric"] == "auroc") & (scores["label"] != "macro")
        ].itertuples():
            label = str(row.label)
            values = (row.value, row.low, row.high, row.positives)
            rows.append((label, words[label], mode, *values, int(taught[label])))
    columns = ["label", "words", "mode", "value", "low", "high", "positives", "adults"]
    return pd.DataFrame(rows, columns=columns)


def by_age(trials: Trials, resamples: int = 1000, name: str = PEACE) -> pd.DataFrame:
    """Macro AUROC by band of age, from the first training of each mode, as subgroups.by_age."""
    parts = [
        subgroups.by_age(outcomes[0], resamples).assign(mode=mode)
        for (of, mode), outcomes in trials.items()
        if of == name
    ]
    return pd.concat(parts, ignore_index=True)


def support_sets(both: Gathered, shots: Sequence[str], seed: int) -> pd.DataFrame:
    """What each support set holds, as domains.shot_counts has it."""
    parts = [domains.shot_counts(both.windows, both.names, int(one), seed) for one in shots]
    return pd.concat(parts, ignore_index=True)
