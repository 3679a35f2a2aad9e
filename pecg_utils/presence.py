"""A control that sees no signal: which electrograms are there, and nothing else.

Catheters lie differently in children and in adults, and each operator has habits. A network that is
given channels which may be absent can read these habits off the zeros. What a classifier of the
mask alone gets right, habits alone have told. All of it is *ours*.
"""

import numpy as np
import pandas as pd

from pecg_utils import one_label
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.recording import people
from pecg_utils.trial import Outcome


def alone(outcome: Outcome, pairs: Pairs, resamples: int = 1000) -> pd.DataFrame:
    """A decision tree on the mask, with the very sides of `outcome`; its scores on the test sides.

    As the tree is not bounded, it gives each layout of channels the shares of the classes among the
    windows with that layout that it was taught, and a layout that it was not taught those of one
    like it. Rows as `one_label.intervals` gives them, with the column `name`.
    """
    from sklearn.tree import DecisionTreeClassifier

    mask = pairs.mask  # (N, K)
    classes = np.arange(len(pairs.classes))
    truth = pairs.labels.argmax(axis=1)  # (N,)
    given = []
    for fold in outcome.folds:
        taught, tested = fold.sides["train"], fold.sides["test"]
        tree = DecisionTreeClassifier(random_state=0).fit(mask[taught], truth[taught])
        shares = np.zeros((len(tested), len(classes)))  # (n, C)
        shares[:, tree.classes_] = tree.predict_proba(mask[tested])
        given.append(shares)
    scores = one_label.intervals(
        outcome.targets,
        np.concatenate(given),
        people(outcome.about),
        resamples=resamples,
        labels=pairs.classes,
        parts=outcome.about["model"] if len(outcome.folds) > 1 else None,
    ).reset_index()
    protocol = outcome.protocol
    by = protocol.name.removeprefix(f"{protocol.model}, ")
    scores.insert(0, "name", f"presence of electrograms alone, {by}")
    return scores
