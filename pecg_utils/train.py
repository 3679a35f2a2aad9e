"""The training loop.

It is short enough to read aloud: take a batch, compare, go one step downhill, and after each pass
look at the validation side. Lightning Fabric finds the device and the precision. A run that was
stopped at any moment goes on from its last checkpoint and, on a CPU, ends with the very weights of
a run that was never stopped: the order of the batches depends on the seed and the epoch alone, and
a checkpoint holds the state of the random numbers that dropout draws.
"""

import io
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pecg_utils import files, progress
from pecg_utils.augment import augmented
from pecg_utils.objectives import ManyLabels, Objective

_SAVE_EVERY = 10.0  # seconds between two checkpoints
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Training:
    """How a model is trained. The defaults are the paper's as far as they are known.

    epochs, batch and lr: arXiv 2510.03780, as its reproduction quotes them. weight_decay: ours,
    torch's default. precision: "auto", "32" or "bf16"; auto is bf16 where the processor has it.
    loss: "weighted", that paper's, or "plain" binary cross-entropy, or "focal", of arXiv
    2503.08960's code, without them. schedule: "constant", or "cosine": up over the first
    twentieth of the steps, then down to nothing along half a cosine.
    keep: "f1" or "average_precision", whose macro value on the validation side says which epoch is
    kept; with `last` it is looked at, and the last epoch is kept. shift: whether each window is
    rolled along time by a random number of samples, anew each time that it is taught, so that no
    beat has a place of its own. hide: the chance that a window of two signals is taught without the
    second one, drawn anew each time, by a model of both. crop: samples of the piece of a window
    that is taught, drawn anew each time; 0 for the whole. watch: whether what the model answers to
    both other sides is kept after every epoch, for an audit; nothing is chosen by it. quiet: with
    `last`, the validation side is looked at after the last epoch alone. augment: whether each
    window, or the piece of it, is changed at random, as augment.py has it, anew each time that it
    is taught; one of two signals is not.
    """

    epochs: int = 200
    batch: int = 64
    lr: float = 7e-4
    weight_decay: float = 0.01
    seed: int = 0
    precision: str = "auto"
    loss: str = "weighted"
    schedule: str = "constant"
    keep: str = "f1"
    shift: bool = False
    hide: float = 0.0
    last: bool = False
    crop: int = 0
    watch: bool = False
    quiet: bool = False
    augment: bool = False


class Taught(Protocol):
    """One side of a split, as data/inputs.py and data/pairs.py give it. labels: (n, C) bool."""

    @property
    def labels(self) -> npt.NDArray[np.bool_]: ...

    def __len__(self) -> int: ...

    def batch(self, which: npt.NDArray[np.intp]) -> Any:
        """What the model is called with: an array (n, L, T), or several of n rows each."""


@dataclass
class Fitted:
    """A trained model and its objective, at its best epoch. seconds: of training, all attempts
    together. curves: one row an epoch."""

    model: nn.Module
    objective: Objective
    best_epoch: int
    device: str
    precision: str
    seconds: float
    curves: list[dict[str, float]] = field(default_factory=list)


@dataclass
class _Best:
    score: float = -1.0
    epoch: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    objective: dict[str, torch.Tensor] = field(default_factory=dict)


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` to `path` whole or not at all. Raises PecgError when the disk is full."""
    buffer = io.BytesIO()  # torch's own writer hides the reason when a disk is full
    torch.save(state, buffer)
    with files.whole(path) as scratch:
        scratch.write_bytes(buffer.getbuffer())


def fit(
    model: nn.Module,
    train: Taught,
    validation: Taught,
    training: Training,
    checkpoint: Path,
    objective: Objective | None = None,
    look: Callable[[int, nn.Module, Objective], None] | None = None,
) -> Fitted:
    """Train `model`; keep the epoch with the best `training.keep` on the validation side.

    objective: as in objectives.py; that of windows with any number of labels if none is given.
    look: called after each epoch with its number, the model and the objective.
    Which epoch the papers kept is unknown; the benchmark's reproduction keeps that of the best
    macro F1. A checkpoint at `checkpoint` is resumed, and is written whole about every ten seconds.
    """
    settle()
    fabric = _fabric(training.precision)
    objective = (objective or ManyLabels(train.labels, training.loss)).to(fabric.device)
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *objective.parameters()],
        lr=training.lr,
        weight_decay=training.weight_decay,
    )
    learner, optimizer = fabric.setup(model, optimizer)
    torch.manual_seed(training.seed)
    done, best, curves, spent = 0, _Best(), [], 0.0
    begun = time.monotonic()
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        model.load_state_dict(state["model"])
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        done, best, curves = state["epoch"], _Best(**state["best"]), state["curves"]
        spent = state["seconds"]
    last_saved = time.monotonic()
    left = range(done, training.epochs)
    for epoch in progress.track(left, len(left), f"{checkpoint.stem}: epoch"):
        loss = _one_epoch(fabric, learner, optimizer, train, objective, training, epoch)
        curves.append({"epoch": epoch + 1, "train_loss": loss})
        if not training.quiet or epoch + 1 == training.epochs:
            given = predict(model, validation, objective.eval().probabilities, training.crop)
            score = objective.score(training.keep, validation.labels, given)
            curves[-1][f"validation_{training.keep}"] = score
            if score > best.score or training.last:
                best = _Best(score, epoch + 1, _copied(model), _copied(objective))
        if look is not None:
            paused = time.monotonic()
            look(epoch + 1, model, objective)
            begun += time.monotonic() - paused  # what is looked at is no training
        if time.monotonic() - last_saved > _SAVE_EVERY:
            state = {
                "model": model.state_dict(),
                "objective": objective.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random": torch.get_rng_state(),
                "epoch": epoch + 1,
                "best": vars(best),
                "curves": curves,
                "seconds": spent + time.monotonic() - begun,
            }
            save(state, checkpoint)
            last_saved = time.monotonic()
    model.load_state_dict(best.weights)
    objective.load_state_dict(best.objective)
    return Fitted(
        model=model,
        objective=objective.cpu(),
        best_epoch=best.epoch,
        device=str(fabric.device),
        precision=fabric._precision.precision,
        seconds=spent + time.monotonic() - begun,
        curves=curves,
    )


def _one_epoch(
    fabric: Any,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Taught,
    objective: Objective,
    training: Training,
    epoch: int,
) -> float:
    """One pass over the training side in an order of its own; gives the mean loss."""
    learner.train()
    objective.train()
    generator = np.random.default_rng([training.seed, epoch])
    order = generator.permutation(len(train))
    both = len(getattr(learner.module, "reads", ())) == 2
    starts = range(0, len(order), training.batch)
    losses = []
    for step, start in enumerate(starts, epoch * len(starts)):
        which = order[start : start + training.batch]
        if len(which) == 1 and start:  # batch normalisation cannot learn from one window
            continue
        for group in optimizer.param_groups:
            group["lr"] = training.lr * _rate(training, step, training.epochs * len(starts))
        given = _given(train.batch(which), training, generator, both)
        x = [fabric.to_device(part) for part in given]
        y = fabric.to_device(torch.from_numpy(train.labels[which].astype(np.float32)))  # (B, C)
        optimizer.zero_grad()
        loss = objective(learner(*x, *objective.told(y)), y, step / len(starts))
        fabric.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _given(
    batch: Any, training: Training, generator: np.random.Generator, both: bool
) -> list[torch.Tensor]:
    """What the model is called with in training: a batch, rolled, cut, changed or partly hidden.

    both: whether it reads two signals.
    """
    if not isinstance(batch, tuple):  # (B, L, T)
        if training.shift:
            batch = rolled(batch, generator.integers(batch.shape[2], size=len(batch)))
        batch = drawn_piece(batch, training.crop, generator)
        if training.augment:
            batch = augmented(batch, generator)
        return [torch.from_numpy(batch)]
    ecg, second, mask = batch  # (B, L, T), (B, K, U), (B, K)
    if training.hide and both:
        mask = mask & (generator.random((len(mask), 1)) >= training.hide)
    return [torch.from_numpy(part) for part in (ecg, second, mask)]


def drawn_piece(
    windows: npt.NDArray[np.float32], crop: int, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """A piece of `crop` samples of each of the windows (B, L, T), at a place of its own.

    The windows themselves where `crop` is 0, or no shorter than they are.
    """
    if not 0 < crop < windows.shape[2]:
        return windows
    first = generator.integers(windows.shape[2] - crop + 1, size=len(windows))  # (B,)
    places = first[:, None] + np.arange(crop)  # (B, crop)
    return np.take_along_axis(windows, places[:, None], axis=2)  # (B, L, crop)


def _copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def rolled(windows: npt.NDArray[np.float32], by: npt.NDArray[np.int_]) -> npt.NDArray[np.float32]:
    """Windows (B, L, T), each rolled along time by its own number of samples `by` (B,)."""
    length = windows.shape[2]
    places = (np.arange(length) - by[:, None]) % length  # (B, T)
    return np.take_along_axis(windows, places[:, None], axis=2)


def _rate(training: Training, step: int, steps: int) -> float:
    """What part of the learning rate a step takes."""
    if training.schedule == "constant":
        return 1.0
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2


@torch.inference_mode()
def predict(
    model: nn.Module,
    inputs: Taught,
    read: Callable[[Any], torch.Tensor] = torch.sigmoid,
    crop: int = 0,
) -> npt.NDArray[np.float32]:
    """What `read` makes of the model's answers to `inputs`, reckoned in float32: (n, …).

    read: an objective's `probabilities`, by default that of windows with any number of labels.
    crop: samples of the pieces of a window, over which the mean is taken; 0 for the whole.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = []
    for start in range(0, len(inputs), _EVALUATION_BATCH):
        batch = inputs.batch(np.arange(start, min(start + _EVALUATION_BATCH, len(inputs))))
        given = batch if isinstance(batch, tuple) else (batch,)
        pieces = 1
        if 0 < crop < given[0].shape[2]:
            cut = pieces_of(given[0], crop)  # (B, pieces, L, crop)
            pieces, given = cut.shape[1], (cut.reshape(-1, *cut.shape[2:]),)
        answer = model(*(torch.from_numpy(part).to(device) for part in given))
        said = read(answer).cpu()  # (B × pieces, …)
        parts.append(said.view(-1, pieces, *said.shape[1:]).mean(dim=1) if pieces > 1 else said)
    return np.asarray(torch.cat(parts).numpy())


def pieces_of(windows: npt.NDArray[np.float32], crop: int) -> npt.NDArray[np.float32]:
    """All pieces of `crop` samples of windows (B, L, T), half a piece apart: (B, pieces, L, crop).

    The last one ends with the window.
    """
    starts = [*range(0, windows.shape[2] - crop, max(1, crop // 2)), windows.shape[2] - crop]
    return np.stack([windows[:, :, start : start + crop] for start in starts], axis=1)


def settle() -> None:
    """Make torch repeat its results, and keep it quick; before its first work in a process.

    Nothing here reads memory that it has not written, so that filling it first, which takes a sixth
    of a small model's step, is left out. An LSTM's gradients fade to denormal numbers over a
    window, with which processors are slow: a step in float32 takes six times as long unless they
    are flushed to zero.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for repeatable
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_flush_denormal(True)


def _fabric(precision: str) -> Any:
    """One device, found by itself."""
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import sets INFO
    if precision == "auto":
        precision = "bf16" if has_bf16() else "32"
    fabric = Fabric(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def has_bf16() -> bool:
    """Whether this machine multiplies bf16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
