"""Which epoch and which head an answer is taken from, and by whose recordings that is decided.

The released code of MRM-Net (wxhdf/MRM c581ee6, main_mul.py:289-293) looks at the test side after
every epoch, at each head by itself, and reports the best: the largest sum of the macro AUROC and of
the F1 that is averaged over recordings. Here the same rule is applied to the validation side, to
the mean of the heads, or to neither, from the answers that a watched training left behind
(train.Training.watch).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap
from pecg_utils.metrics import AUROC, METRICS, macro
from pecg_utils.trial import Outcome, epochs

AS_CODED = "epoch and head by the test side, as coded"
EPOCH = "epoch by the test side, mean of the heads"
HEAD = "epoch by validation, head by the test side"
SOUND = "epoch by validation, mean of the heads"
LAST = "last epoch, mean of the heads"
RULES = (AS_CODED, EPOCH, HEAD, SOUND, LAST)
MEAN = "mean"  # of the heads' probabilities
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def by_epoch(outcome: Outcome, labels: Mapping[str, Flags], names: Sequence[str]) -> pd.DataFrame:
    """One row an epoch, side and answer: epoch, side, answer, auroc, f1, both.

    labels: side -> (n, C), of "validation" and "test". names: of the heads; the answer is one of
    them or MEAN. auroc: macro. f1: averaged over recordings, decided at 0.5. both: their sum.

    Raises ValueError where the training of `outcome` was not watched.
    """
    from sklearn.metrics import f1_score

    (fold,) = outcome.folds
    rows = []
    for side, targets in labels.items():
        paths = sorted(epochs(fold.folder).glob(f"{side}-*.npy"))
        if not paths:
            raise ValueError(f"the training of {outcome.protocol.name} was not watched")
        for epoch, path in enumerate(paths, 1):
            heads = np.load(path)  # (n, H, C)
            answers = {MEAN: heads.mean(axis=1)}
            if heads.shape[1] > 1:
                answers |= {name: heads[:, place] for place, name in enumerate(names)}
            for answer, given in answers.items():
                found = area(targets, given)
                f1 = f1_score(targets, given >= 0.5, average="samples", zero_division=0)
                rows.append((epoch, side, answer, found, f1, found + f1))
    return pd.DataFrame(rows, columns=["epoch", "side", "answer", "auroc", "f1", "both"])


def area(targets: Flags, given: Floats) -> float:
    """The macro AUROC over the labels that some carry and some do not."""
    once = np.ones((len(targets), 1), dtype=np.int32)  # (n, 1)
    drawn = bootstrap.resampled(targets, given.astype(np.float64), once)  # (M, C, 1)
    return float(macro(drawn[METRICS.index(AUROC)])[0])


def rules(seen: pd.DataFrame) -> pd.DataFrame:
    """What each of RULES comes to on the test side: rule, epoch, answer, auroc, f1.

    seen: as `by_epoch` gives it, of one training.
    """
    test = seen[seen["side"] == "test"].set_index(["epoch", "answer"])
    mean = seen[(seen["side"] == "validation") & (seen["answer"] == MEAN)].set_index("epoch")
    best = int(mean["both"].idxmax())
    heads = [name for name in seen["answer"].unique() if name != MEAN] or [MEAN]
    apart = test[test.index.get_level_values("answer").isin(heads)]["both"]
    taken = {
        AS_CODED: apart.idxmax(),
        EPOCH: test.xs(MEAN, level="answer", drop_level=False)["both"].idxmax(),
        HEAD: apart.loc[[best]].idxmax(),
        SOUND: (best, MEAN),
        LAST: (int(seen["epoch"].max()), MEAN),
    }
    rows = [
        (rule, int(epoch), str(answer), *test.loc[(epoch, answer), ["auroc", "f1"]])
        for rule, (epoch, answer) in taken.items()
    ]
    return pd.DataFrame(rows, columns=["rule", "epoch", "answer", "auroc", "f1"])


def table(
    outcomes: Sequence[Outcome], labels: Flags, names: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`by_epoch` and `rules` of several trainings, each with the columns seed and fold.

    labels: (N, C) of all windows. seed: the protocol's repeat. fold: which one was tested, 0 where
    there are no folds.
    """
    seen, taken = [], []
    for outcome in outcomes:
        sides = outcome.folds[0].sides
        of = {side: labels[sides[side]] for side in ("validation", "test")}
        one = by_epoch(outcome, of, names)
        protocol = outcome.protocol
        fold = 10 - protocol.turn if protocol.split == "fold" else 0
        block = {"seed": protocol.repeat, "fold": fold}
        seen.append(one.assign(**block))
        taken.append(rules(one).assign(**block))
    return pd.concat(seen, ignore_index=True), pd.concat(taken, ignore_index=True)


def optimism(taken: pd.DataFrame, metric: str = "auroc") -> pd.DataFrame:
    """By how much each rule lies above the sound one, in each training: seed, fold, rule, above."""
    wide = taken.pivot(index=["seed", "fold"], columns="rule", values=metric)
    above = wide.sub(wide[SOUND], axis=0).drop(columns=SOUND)
    order = [rule for rule in RULES if rule != SOUND]
    return above[order].stack().rename("above").reset_index()
