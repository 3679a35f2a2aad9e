"""What a trial does: all that an audit varies.

A protocol says the model, which recordings, which leads, how the windows are split, where the
normalisation comes from, and whether the labels are the real ones. Everything else stays the same,
so that two trials differ in what is compared and in nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import transfers
from pecg_utils.data import domains, small, splits
from pecg_utils.data.blocks import Blocks
from pecg_utils.data.pairs import Pairs
from pecg_utils.data.windows import Windows
from pecg_utils.transfers import Transfer

Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
_OF_PAIRS = ("agcacl",)  # models of two signals, whose windows are always measured each by itself
_NORMALISED = {  # in words, where it is not by the training side's statistics
    "own": "own statistics",
    "together": "one scale for all leads",
    "none": "in mV",
    "window": "each window and lead by itself",
    "whole": "each window by itself",
    "minmax": "each window and lead from 0 to 1",
    "median": "each window and lead by its quartiles",
    "l2": "each window and lead of length 1",
}


@dataclass(frozen=True)
class Start:
    """Weights of another task that a training goes on from, with a new last layer.

    of: what they were taught, in words. folder: of the trial beside this one that holds them. head:
    nothing but the last layer learns.
    """

    of: str
    folder: str
    head: bool = False

    @property
    def name(self) -> str:
        """In words, and which weights of that description."""
        return f"{'head only' if self.head else 'all weights'} from {self.of} {self.folder[:6]}"


@dataclass(frozen=True)
class Protocol:
    """What is trained on what, how.

    model: a name of the registry. leads: what the model sees. cohort: the recordings, as
    "12-lead". split: one of splits.WAYS. normalise: "train" takes the training side's statistics
    everywhere, "together" the same over all leads at once, "own" each side's own, "window" each
    window's and lead's own; "minmax", "median", "l2" and "whole" measure each window by itself too,
    as data/normalise.py has it, before a piece is cut from it; "none" leaves mV. labels: "real", or
    "permuted" between patients. antialias: whether the windows are filtered. folds: 1 divides once;
    more are a cross-validation, or by site the most sites that are left out. changes: sizes of the
    model that differ from the run's. windows: in words, what is other about the windows. most:
    windows that a model is taught at most, drawn at random from its training side; None for all.
    loss: which terms of the model's loss are kept, by name; "" for all. repeat: added to the seed
    of training, and to nothing else. stretch: s, of a block split. crop: s, of the pieces of a
    window that a model is taught, one drawn at random each time; it is tested on all, half a piece
    apart, and answers with the mean of their probabilities; 0: whole windows. turn: by fold, how
    many places before the last the tested fold is. start: what the training goes on from, where it
    does not begin at random. draw: which nested draw the `most` windows are, in which as many are
    positive, in proportion, as on the training side; None for the plain draw. steps: of training,
    at the least, after which the last epoch is kept and nothing is chosen; 0 for the run's epochs,
    the best of which is kept.
    """

    model: str
    leads: tuple[str, ...]
    cohort: str
    split: str = "patient"
    normalise: str = "train"
    labels: str = "real"
    antialias: bool = True
    folds: int = 1
    changes: tuple[tuple[str, Any], ...] = ()
    windows: str = ""
    most: int | None = None
    loss: str = ""
    repeat: int = 0
    stretch: float = 60.0
    crop: float = 0.0
    turn: int = 0
    transfer: Transfer | None = None
    start: Start | None = None
    draw: int | None = None
    steps: int = 0

    @property
    def before(self) -> "Protocol | None":
        """The one whose model this one goes on from."""
        first = self.transfer.before if self.transfer else None
        return None if first is None else replace(self, transfer=first)

    @property
    def blocks(self) -> Blocks:
        """How a block split is cut: the gap is a sixth of a stretch."""
        return Blocks(self.stretch, self.stretch / 6)

    def divide(self, table: pd.DataFrame, labels: Flags, seed: int) -> list[splits.Split]:
        """The splits of windows with this table and these labels (N, C)."""
        if (t := self.transfer) is not None and self.split == "domain":
            return [domains.divide(table, labels, t.shots, t.draw, seed, t.tested)]
        return splits.of(table, labels, self.split, seed, self.folds, self.blocks, self.turn)

    def taught(self, rows: Rows, labels: Flags, seed: int) -> Rows:
        """Which of the windows `rows` of the training side are taught. labels: (N, C) of all."""
        if not self.most or self.most >= len(rows):
            return rows
        if self.draw is None:
            order: Rows = np.random.default_rng(seed).permutation(len(rows))
        else:
            order = small.nested(np.asarray(labels[rows].any(axis=1)), [seed, self.draw])
        return np.sort(rows[order[: self.most]])

    def training(self, training: Any, taught: int) -> Any:
        """train.Training of this protocol, of so many `taught` windows."""
        again = replace(training, seed=training.seed + self.repeat)
        if self.transfer is not None:
            return self.transfer.training(again, taught)
        if self.steps:
            enough = transfers.epochs(self.steps, taught, training.batch)
            return replace(again, epochs=enough, last=True, quiet=not training.watch)
        return again

    def piece(self, windows: Windows) -> int:
        """Samples of a piece of these windows, or of a whole one."""
        whole = int(windows.steps.shape[2])
        return min(round(self.crop * windows.settings.fs), whole) or whole

    @property
    def name(self) -> str:
        """A short name that tells protocols apart."""
        leads = f"{len(self.leads)} leads"
        if self.cohort != f"{len(self.leads)}-lead":
            leads += f" of {self.cohort} recordings"
        model = self.model
        if self.changes:
            model += " with " + " and ".join(f"{name} {value}" for name, value in self.changes)
        by = f"{self.split} split"
        if self.folds > 1:
            by = f"{self.folds}-fold by {self.split}"
        if self.split == "block" and self.stretch != 60.0:
            by += f" of {self.stretch:g} s"
        if self.split == "site":
            by = f"up to {self.folds} sites left out"
        words = [model, leads, by]
        if self.loss:
            words.append(self.loss)
        if self.normalise in _NORMALISED and self.model not in _OF_PAIRS:
            words.append(_NORMALISED[self.normalise])
        if self.crop:
            words.append(f"pieces of {self.crop:g} s")
        if self.turn:
            words.append(f"fold {10 - self.turn} tested")
        if self.labels == "permuted":
            words.append("permuted labels")
        if not self.antialias:
            words.append("no filter")
        if self.windows:
            words.append(self.windows)
        if self.most:
            words.append(f"at most {self.most:,} taught")
        if self.transfer:
            words.append(self.transfer.name)
        if self.start:
            words.append(self.start.name)
        if self.draw is not None:
            words.append(f"draw {self.draw + 1}")
        if self.steps:
            words.append(f"{self.steps} steps")
        if self.repeat:
            words.append(f"repeat {self.repeat}")
        return ", ".join(words)


def taught_alike(
    prepared: Windows | Pairs | Mapping[str, Windows | Pairs], plan: Sequence[Protocol], seed: int
) -> list[Protocol]:
    """The protocols of `plan`, each of whose models is taught as many windows as the least of them.

    More to learn from is better, whoever it is of, and would hide what a comparison is about. A
    protocol that teaches none a fiftieth more than that stays as it is.

    prepared: for all protocols, or cohort -> those of its protocols.
    """
    sizes = []
    for protocol in plan:
        of = prepared[protocol.cohort] if isinstance(prepared, Mapping) else prepared
        made = protocol.divide(of.table, of.labels, seed)
        allowed = protocol.most or len(of)
        sizes.append([min(allowed, len(split.rows("train"))) for split in made])
    least = min(min(of_one) for of_one in sizes)
    return [
        replace(protocol, most=least) if max(of_one) > 1.02 * least else protocol
        for protocol, of_one in zip(plan, sizes, strict=True)
    ]
