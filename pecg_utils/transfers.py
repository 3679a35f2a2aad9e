"""What is varied where a model that learned from adults is to read children.

PEACE (arXiv 2605.00647) has three modes: zero-shot, with no child taught; a support set of at most
50 positives a label; and all children. Here each method is taught in two stages. The first sees
labelled adults, and for two methods also children without their labels. The second goes on from
there with the support set. Every number below is *ours*.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from pecg_utils.data.domains import CHILDREN

# plain: a network with one output a label, which knows no texts and no domains.
METHODS = ("plain", "DANN", "MMD", "CLIP", "PEACE")
TEXTS = ("real", "random", "shuffled", "one-hot")
TOKENS = ("own", "shuffled", "none")


def epochs(steps: int, taught: int, batch: int) -> int:
    """How many passes over `taught` windows, `batch` a step, make `steps` steps at the least."""
    batches = math.ceil(taught / batch)
    if batches > 1 and taught % batch == 1:
        batches -= 1  # train.fit passes over a batch of one
    return math.ceil(steps / batches)


@dataclass(frozen=True)
class Transfer:
    """One training.

    method: one of METHODS. shots: of children, at most so many positives a label; 0 is zero-shot,
    None all. draw: which support set. begin: whether children are taught what adults taught before.
    frozen: only the outputs learn from children. terms: of PEACE's loss, by alignment.ABLATION.
    texts: one of TEXTS, in the place of the labels' descriptors. form: "adult" or "child", of the
    descriptors. tokens: whose axis tokens a record is shown in training, one of TOKENS. steps: of
    training, at the least. tested: domains.ADULTS or CHILDREN.
    """

    method: str = "PEACE"
    shots: int | None = 0
    draw: int = 0
    begin: bool = True
    frozen: bool = False
    terms: str = "complete"
    texts: str = "real"
    form: str = "adult"
    tokens: str = "own"
    steps: int = 100
    tested: str = CHILDREN

    @property
    def before(self) -> "Transfer | None":
        """The training with adults that this one goes on from."""
        if self.shots == 0 or not self.begin:
            return None
        return replace(self, shots=0, draw=0, frozen=False)

    @property
    def called(self) -> str:
        """The method, as a page calls it."""
        if self.method != "plain":
            return self.method
        if self.shots == 0:
            return "adults alone"
        if not self.begin:
            return "from scratch"
        return "linear probe" if self.frozen else "fine-tuning"

    @property
    def taught(self) -> str:
        """How many positives a label are taught of the children, in a word."""
        return "all" if self.shots is None else str(self.shots)

    @property
    def name(self) -> str:
        """All of it that is not usual."""
        words = [self.called, f"{self.taught} shots"]
        if not self.begin and self.shots != 0 and self.called != "from scratch":
            words.append("from scratch")
        if self.frozen and self.called != "linear probe":
            words.append("frozen")
        usual = Transfer()
        if self.draw:
            words.append(f"draw {self.draw + 1}")
        for what in ("terms", "texts", "form", "tokens"):
            if (value := getattr(self, what)) != getattr(usual, what):
                words.append(f"{what} {value}")
        if self.steps != usual.steps:
            words.append(f"{self.steps} steps")
        if self.tested != CHILDREN:
            words.append(f"{self.tested} tested")
        return ", ".join(words)

    def training(self, training: Any, taught: int) -> Any:
        """train.Training for this one, of so many `taught` recordings.

        Both are taught for a number of steps at the least, so that few are not taught less. The
        epochs of adults are those of `training`, or more where these are too few steps. Of children
        the last epoch is kept: nothing is chosen by those who are not in the support set. The rate
        is the same, whatever is begun with.
        """
        enough = epochs(self.steps, taught, training.batch)
        if self.shots == 0:
            return replace(training, epochs=max(training.epochs, enough))
        return replace(training, epochs=max(3, enough), last=True)
