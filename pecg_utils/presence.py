"""A control that sees no signal: which electrograms are there, and nothing else.

A network that is given channels which may be absent can read their absence off the zeros. If
absence told the classes apart, a score of the network could come from it. Two marks stand beside
what a classifier of the mask alone reaches. 0.5 is chance for an AUROC. And as there are few
patients, each with one layout, a layout always tells something of the few who have it: so the
layouts are dealt to the patients by lot, many times. All of it is *ours*.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, one_label, progress
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import people
from pecg_utils.metrics import macro
from pecg_utils.trial import Outcome

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def alone(outcome: Outcome, pairs: Pairs, resamples: int = 1000, draws: int = 200) -> pd.DataFrame:
    """A decision tree on the mask, with the very sides of `outcome`; its scores on the test sides.

    As the tree is not bounded, it gives each layout of channels the shares of the classes among the
    windows with that layout that it was taught, and a layout that it was not taught those of one
    like it. Rows as `one_label.intervals` gives them, with the columns name; and beside the macro
    AUROC lot, what it is in the middle with layouts by lot, lot_high, what a twentieth of the draws
    exceeds, and beaten, the share of the draws that are as high. draws: 0 leaves these out.
    """
    who = people(outcome.about)
    parts = outcome.about["model"] if len(outcome.folds) > 1 else None
    scores = one_label.intervals(
        outcome.targets,
        _shares(outcome, pairs, pairs.mask),
        who,
        resamples=resamples,
        labels=pairs.classes,
        parts=parts,
    ).reset_index()
    protocol = outcome.protocol
    by = protocol.name.removeprefix(f"{protocol.model}, ")
    scores.insert(0, "name", f"presence of electrograms alone, {by}")
    row = (scores["metric"] == "auroc") & (scores["label"] == "macro")
    scores[["lot", "lot_high", "beaten"]] = np.nan
    if draws:
        lots = _by_lot(outcome, pairs, draws)  # (draws,)
        beaten = float((lots >= scores.loc[row, "value"].iloc[0] - 1e-9).mean())  # ties count
        scores.loc[row, ["lot", "lot_high", "beaten"]] = [*np.quantile(lots, [0.5, 0.95]), beaten]
    return scores


def table(outcomes: Sequence[Outcome], pairs: Pairs, resamples: int = 1000) -> pd.DataFrame:
    """The macro scores of the mask alone with the sides of each outcome, as `alone` gives them."""
    every = pd.concat([alone(outcome, pairs, resamples) for outcome in outcomes])
    return every[every["label"] == "macro"].reset_index(drop=True)


def _by_lot(outcome: Outcome, pairs: Pairs, draws: int) -> Floats:
    """The macro AUROC with each patient's layout dealt to another, (draws,)."""
    names, first, of = np.unique(people(pairs.table), return_index=True, return_inverse=True)
    layouts = pairs.mask[first]  # (P, K) of each patient's first window
    codes = outcome.about["model"].to_numpy(dtype=np.intp)  # (n,)
    once = np.ones((len(codes), 1), dtype=np.int32)  # (n, 1)
    generator = np.random.default_rng(0)
    found = []
    for _ in progress.track(range(draws), draws, "layouts by lot"):
        dealt = layouts[generator.permutation(len(names))][of]  # (N, K)
        shares = _shares(outcome, pairs, dealt)
        areas = bootstrap.resampled(outcome.targets, shares, once, parts=codes)[3, :, 0]  # (C,)
        found.append(float(macro(areas)))
    return np.array(found)


def _shares(outcome: Outcome, pairs: Pairs, mask: Flags) -> Floats:
    """What a tree that was taught the mask (N, K) gives the test sides of `outcome`: (n, C)."""
    from sklearn.tree import DecisionTreeClassifier

    truth = pairs.labels.argmax(axis=1)  # (N,)
    given = []
    for fold in outcome.folds:
        taught, tested = fold.sides["train"], fold.sides["test"]
        tree = DecisionTreeClassifier(random_state=0).fit(mask[taught], truth[taught])
        shares = np.zeros((len(tested), len(pairs.classes)))  # (n, C)
        shares[:, tree.classes_] = tree.predict_proba(mask[tested])
        given.append(shares)
    return np.concatenate(given)
