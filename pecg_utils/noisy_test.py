"""Trained models, asked again as code that tests with random changes asks them.

The released code of arXiv 2503.08960 (v1, utils.py:1058-1076 and 1097-1135) makes its test set as
it makes the training set: each time that it is asked, a random piece of a recording is cut out and
changed at random, as augment.py has it. The same model then scores differently each time. Here the
models that a trial left are asked so on their own test sides, beside the sound test: all pieces of
a window, unchanged, and the mean of the answers. Nothing is trained.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, lessons, progress, reloaded
from pecg_utils.augment import augmented
from pecg_utils.data.inputs import Inputs
from pecg_utils.data.windows import Windows
from pecg_utils.metrics import AUROC, F1, METRICS, macro
from pecg_utils.trial import Outcome

Floats = npt.NDArray[np.float32]


def drawn(
    outcome: Outcome, windows: Windows, draws: int, seed: int = 0, changed: bool = True
) -> pd.DataFrame:
    """The macro scores of `draws` tests with random pieces and changes: draw, metric, value.

    Draw 0 is the sound test, the outcome's own. metric: "auroc", or "f1" decided at 0.5, over all
    test sides together; windows of different folds are ranked apart. windows: those of the trial,
    of any number of labels each. A draw is the same whatever how many there are. changed: whether
    the pieces, which are the same either way, are changed too.

    Raises ValueError where `windows` are not those of the trial.
    """
    from pecg_utils import train
    from pecg_utils.objectives import ManyLabels

    protocol, folds = outcome.protocol, outcome.folds
    tested = np.concatenate([fold.sides["test"] for fold in folds])  # (n,)
    if tested.max() >= len(windows) or not np.array_equal(
        windows.table["record"].iloc[tested], outcome.about["record"]
    ):
        raise ValueError("these windows are not those on which the models were tested")
    crop = protocol.piece(windows) if protocol.crop else 0
    given: list[list[Floats]] = [[] for _ in range(draws)]  # draw -> (n, C) of each fold
    for number, fold in enumerate(progress.track(folds, len(folds), f"{protocol.model}: asked")):
        model, inputs = reloaded.model_and_inputs(
            fold.folder, protocol, fold.facts["sizes"], windows, fold.sides["test"], windows.labels
        )
        objective = lessons.of_heads(model, protocol) or ManyLabels
        for draw in progress.track(range(draws), draws, "draw"):
            rng = np.random.default_rng([seed, draw, number])
            said = train.predict(
                model, _Changed(inputs, crop, rng, changed), objective.probabilities
            )
            given[draw].append(said)
    answers = [outcome.probabilities, *(np.concatenate(of_folds) for of_folds in given)]
    parts = outcome.about["model"].to_numpy() if len(folds) > 1 else None
    rows = []
    for draw, answer in enumerate(answers):
        scores = _macro(outcome.targets, answer, parts)
        rows += [(draw, metric, scores[metric]) for metric in (AUROC, F1)]
    return pd.DataFrame(rows, columns=["draw", "metric", "value"])


@dataclass(frozen=True)
class _Changed:
    """`inputs`, of each of which a random piece of `crop` samples is given, changed at random or
    as it is."""

    inputs: Inputs
    crop: int
    rng: np.random.Generator
    changed: bool

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        return self.inputs.labels

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, which: npt.NDArray[np.intp]) -> Floats:
        from pecg_utils.train import drawn_piece

        piece = drawn_piece(self.inputs.batch(which), self.crop, self.rng)
        changes = self.rng.spawn(1)[0]  # its own numbers, so that pieces are drawn alike without it
        return augmented(piece, changes) if self.changed else piece


def _macro(
    targets: npt.NDArray[np.bool_], given: Floats, parts: npt.NDArray[np.intp] | None
) -> dict[str, float]:
    """Metric -> its mean over the labels. parts: (n,), the number of the fold of each window."""
    once = np.ones((len(targets), 1), dtype=np.int32)  # (n, 1)
    each = bootstrap.resampled(targets, given.astype(np.float64), once, parts=parts)  # (M, C, 1)
    return {metric: float(macro(each[place])[0]) for place, metric in enumerate(METRICS)}
