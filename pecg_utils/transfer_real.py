"""Real recordings: children case by case, and one hospital's models at another hospital.

Nineteen children are too few for a rate. Each is looked at by itself: what its file says, and what
models of real adults say. What can be measured is the way from hospitals to another one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import transfer_asked
from pecg_utils.data import domains, label_map
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.ledger import Run
from pecg_utils.protocol import Protocol, taught_alike
from pecg_utils.transfer_study import PEACE, Gathered, Trials, cut, of_children, protocol
from pecg_utils.transfers import Transfer
from pecg_utils.trial import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 19  # children at most
_PTBXL = "ptb-xl"  # the part of the Challenge that PTB-XL itself stands for
LEFT_OUT, POOLED = "hospital left out", "hospitals pooled"
OF_PLAIN = (f"plain, {POOLED}", f"plain, {LEFT_OUT}")
LONGER = 2  # times the steps of training on children, at the least: few adults, many epochs
ALONE, TOGETHER = "PTB-XL", "PTB-XL and the Challenge"


@dataclass(frozen=True)
class Cases:
    """Children read one by one. dataset: theirs. readings: who learned from whom -> the outcome.
    called: for each of these, (n, C) bool, what the model calls. kind: of the adults."""

    dataset: Dataset
    readings: Mapping[str, Outcome]
    called: Mapping[str, npt.NDArray[np.bool_]]
    kind: str

    @property
    def alike(self) -> bool:
        """Whether all readings are of the same labels."""
        return len({outcome.classes for outcome in self.readings.values()}) == 1


def cases(run: Run, both: Gathered, trials: Trials) -> Cases:
    """Zero-shot, by PEACE and by a plain network of the same adults, of the given children.

    Where few real children were given, and adults with them, new models learn from those adults,
    PTB-XL's alone and with the Challenge's where they are given too; otherwise those of `trials`
    are asked.
    """
    readings: dict[str, Outcome] = {}
    called: dict[str, npt.NDArray[np.bool_]] = {}
    source = run.further("adults")
    if run.given is run.training or source is None:
        first = trials[PEACE, "0"][0]
        if run.given is run.training:
            rows = first.folds[0].sides["test"][:_SHOWN]
            windows = both.windows
        else:
            windows = domains.join([], cut(run, of_children(run.given)))
            windows = domains.of_labels(windows, both.windows.classes)
            rows = np.arange(len(windows))[:_SHOWN]
        for words, outcome in ((PEACE, first), ("plain", trials["fine-tuning", "0"][0])):
            found = transfer_asked.again(
                outcome, windows, rows, "case by case", kind=run.given.kind, resamples=20
            )
            readings[words] = run.also(found)
            called[words] = _called(outcome, both.windows, found)
        return Cases(run.given, readings, called, both.adults.kind)
    children = cut(run, of_children(run.given))
    sets = {ALONE: [cut(run, _adults(source))]}
    if (hospitals := run.further("hospitals")) is not None:
        other = _without_ptbxl(hospitals)
        sets[TOGETHER] = [*sets[ALONE], cut(run, _adults(other))]
    for of, adults in sets.items():
        wanted = _wanted(run, of, adults, children, hospitals)
        windows = domains.of_labels(domains.join(adults, children), wanted)
        for method, words in ((PEACE, PEACE), ("plain", "plain")):
            how = Transfer(method, steps=LONGER * run.parameters.steps)
            plan = replace(protocol(how), cohort=of)
            outcome = run.trials(windows, [plan], of=source)[0]
            readings[f"{words}, {of}"] = outcome
            called[f"{words}, {of}"] = _called(outcome, windows, outcome)
    return Cases(run.given, readings, called, source.kind)


def _wanted(
    run: Run, of: str, adults: list[Windows], children: Windows, hospitals: Dataset | None
) -> list[str]:
    """The labels that enough adults and some child carry, and that each adults' dataset states."""
    grown = np.sum([part.labels.sum(axis=0) for part in adults], axis=0)  # (C,)
    unstated: tuple[str, ...] = ()
    if of == TOGETHER and hospitals is not None:
        unstated = label_map.unstated(hospitals)
    wanted = [
        label
        for label, old, young in zip(
            children.classes, grown, children.labels.sum(axis=0), strict=True
        )
        if old >= run.parameters.least and young and label not in unstated
    ]
    if len(wanted) < 2:
        raise PecgError(
            f"Fewer than two labels that these children carry are carried by "
            f"{run.parameters.least} adults or more; give more adults, or a smaller least."
        )
    return wanted


def _adults(dataset: Dataset) -> Dataset:
    return label_map.shared(dataset.only(domains.adults_alone(dataset.table)))


def _without_ptbxl(dataset: Dataset) -> Dataset:
    return dataset.only((dataset.table["source"] != _PTBXL).to_numpy())


def _called(outcome: Outcome, windows: Windows, asked: Outcome) -> npt.NDArray[np.bool_]:
    """Which labels a model calls (n, C): those above the threshold at which it calls as many of the
    adults that it was not taught as carry the label. No child has a say in it."""
    held = transfer_asked.other_adults(outcome, windows, "train")
    seen = transfer_asked.again(outcome, windows, held, tested=domains.ADULTS, resamples=20)
    share = seen.targets.mean(axis=0)  # (C,)
    threshold = [
        np.quantile(given, 1 - part)
        for given, part in zip(seen.probabilities.T, share, strict=True)
    ]
    return np.asarray(asked.probabilities > np.array(threshold))


def case_table(found: Cases) -> pd.DataFrame:
    """One row a child: recording, age, sex, what the file states of the shared labels, what each
    model calls, in words."""
    names = {pair.code: pair.words for pair in label_map.pairs()}
    about = next(iter(found.readings.values())).about
    table = pd.DataFrame(
        {
            "recording": about["record"],
            "age": [_age(days) for days in about["age_days"]],
            "sex": about["sex"],
        }
    )
    own = of_children(found.dataset)
    stated = dict(zip(own.table["record"], own.labels.to_numpy(), strict=True))
    columns = np.array(own.labels.columns)
    table["the file"] = [
        _listed(names[label] for label in columns[stated[record]]) for record in about["record"]
    ]
    for words, outcome in found.readings.items():
        classes = np.array(outcome.classes)
        if outcome.about["record"].tolist() != about["record"].tolist():
            raise ValueError("the readings are not of the same children in the same order")
        table[words] = [
            _listed(names[label] for label in classes[row]) for row in found.called[words]
        ]
    return table.set_index("recording").rename_axis(None)


def _age(days: float) -> str:
    if not np.isfinite(days):
        return "not stated"
    return f"{days:.0f} days" if days < 365.25 else f"{days / 365.25:.1f} years"


def _listed(words: Iterable[str]) -> str:
    return "; ".join(words) or "none of these"


def agreement(found: Cases) -> pd.DataFrame:
    """How often each reading is right: name, labels, stated, found (of the stated ones), called
    beside, by chance (of the stated that as many calls dealt at random would find)."""
    rows = []
    for words, outcome in found.readings.items():
        called, stated = found.called[words], outcome.targets
        chance = (stated.sum(axis=0) * called.mean(axis=0)).sum()
        hit = int((called & stated).sum())
        count = (len(outcome.classes), int(stated.sum()), hit, int((called & ~stated).sum()))
        rows.append((words, *count, round(float(chance), 1)))
    columns = ["name", "labels", "stated", "found", "called beside", "by chance"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Sites:
    """Hospitals left out in turn. dataset: the Challenge's. windows: of all adults. names: the
    labels' words. outcomes: how -> the outcome."""

    dataset: Dataset
    windows: Windows
    names: list[str]
    outcomes: Mapping[str, Outcome]


def sites(run: Run) -> Sites:
    """Adults of several hospitals: each of the largest left out, and all pooled as the reference.

    The hospitals are the Challenge's, given or its twin, and PTB-XL's where its folder is given.
    """
    p = run.parameters
    dataset = run.further("hospitals")
    if dataset is None:
        dataset = run.beside("challenge", p.recordings, labels="codes")
    source = run.further("adults") if dataset.kind != "twin" else None
    part = dataset if source is None else _without_ptbxl(dataset)
    parts = [cut(run, _adults(part))]
    if source is not None:
        own = cut(run, _adults(source))
        parts.append(replace(own, table=own.table.assign(source=_PTBXL)))
    whole = domains.join(parts)
    wanted = _elsewhere(whole, p.sites, p.least, label_map.unstated(dataset))
    windows = domains.of_labels(whole, wanted)
    apart = Protocol(
        "peace",
        TWELVE_LEADS,
        "hospitals",
        "site",
        folds=p.sites,
        transfer=Transfer(PEACE),
    )
    pooled = replace(apart, split="proxy", folds=max(2, p.sites))
    plan = taught_alike(windows, [pooled, apart], p.seed)
    outcomes = {}
    for method in ("plain", PEACE):
        for words, one in zip((POOLED, LEFT_OUT), plan, strict=True):
            one = replace(one, transfer=Transfer(method, steps=LONGER * p.steps))
            outcomes[f"{method}, {words}"] = run.trials(windows, [one], of=dataset)[0]
    names = {pair.code: pair.words for pair in label_map.pairs()}
    return Sites(dataset, windows, [names[label] for label in wanted], outcomes)


def drawn(found: Cases) -> "Figure":
    """The ECG of one of the children: the first of which the file states more than one label, or
    any, with what the file says and what each model calls above it."""
    from textwrap import fill

    from pecg_utils import plots

    first = next(iter(found.readings.values()))
    stated = first.targets.sum(axis=1)
    record = str(first.about["record"].iloc[int(np.argmax(np.minimum(stated, 2)))])
    row = int(np.flatnonzero(found.dataset.table["record"] == record)[0])
    figure = plots.ecg(found.dataset.read(row, seconds=10.0))
    said = case_table(found).loc[record]
    lines = [f"{name}: {said[name]}" for name in said.index[2:]]
    title = "\n".join(fill(line, 100) for line in [f"{said['age']}, {said['sex']}", *lines])
    figure.suptitle(title, x=0.02, y=1.0, va="bottom", ha="left", fontsize=9)
    return figure


def _elsewhere(windows: Windows, count: int, least: int, unstated: tuple[str, ...]) -> list[str]:
    """The labels that `least` recordings or more carry outside of each of the `count` largest
    sites, and that the dataset has a word for.

    Raises PecgError when there are fewer than two.
    """
    site = windows.table["site"]
    left_out = site.value_counts().index[:count]
    outside = [windows.labels[(site != one).to_numpy()].sum(axis=0) for one in left_out]  # (C,)
    enough = np.min(outside, axis=0) >= least
    wanted = [
        label
        for label, there in zip(windows.classes, enough, strict=True)
        if there and label not in unstated
    ]
    if len(wanted) < 2:
        raise PecgError(
            f"Fewer than two labels are carried by {least} of the adults outside of each hospital "
            "that is left out; give more recordings, or a smaller least."
        )
    return wanted
