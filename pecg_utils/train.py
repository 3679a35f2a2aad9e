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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pecg_utils import files, progress
from pecg_utils.data.inputs import Inputs
from pecg_utils.losses import positive_weights, weighted_bce

_SAVE_EVERY = 10.0  # seconds between two checkpoints
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Training:
    """How a model is trained. The defaults are the paper's as far as they are known.

    epochs, batch and lr: arXiv 2510.03780, as its reproduction quotes them. weight_decay: ours,
    torch's default. precision: "auto", "32" or "bf16"; auto is bf16 where the processor has it.
    loss: "weighted", that paper's, or "plain" binary cross-entropy. schedule: "constant", or
    "cosine": up over the first twentieth of the steps, then down to nothing along half a cosine.
    keep: "f1" or "average_precision", whose macro value on the validation side says which epoch is
    kept. shift: whether each window is rolled along time by a random number of samples, anew each
    time that it is taught, so that no beat has a place of its own.
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


@dataclass
class Fitted:
    """A trained model at its best epoch. seconds: of training, all attempts together. curves: one
    row an epoch."""

    model: nn.Module
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


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` to `path` whole or not at all. Raises PecgError when the disk is full."""
    buffer = io.BytesIO()  # torch's own writer hides the reason when a disk is full
    torch.save(state, buffer)
    with files.whole(path) as scratch:
        scratch.write_bytes(buffer.getbuffer())


def fit(
    model: nn.Module, train: Inputs, validation: Inputs, training: Training, checkpoint: Path
) -> Fitted:
    """Train `model`; keep the epoch with the best `training.keep` on the validation side.

    Which epoch the papers kept is unknown; the benchmark's reproduction keeps that of the best
    macro F1. A checkpoint at `checkpoint` is resumed, and is written whole about every ten seconds.
    """
    settle()
    fabric = _fabric(training.precision)
    weights = torch.ones(train.labels.shape[1])  # (C,)
    if training.loss == "weighted":
        weights = positive_weights(torch.from_numpy(train.labels))
    weights = fabric.to_device(weights)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.lr, weight_decay=training.weight_decay
    )
    learner, optimizer = fabric.setup(model, optimizer)
    torch.manual_seed(training.seed)
    done, best, curves, spent = 0, _Best(), [], 0.0
    begun = time.monotonic()
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        done, best, curves = state["epoch"], _Best(**state["best"]), state["curves"]
        spent = state["seconds"]
    last_saved = time.monotonic()
    left = range(done, training.epochs)
    for epoch in progress.track(left, len(left), f"{checkpoint.stem}: epoch"):
        loss = _one_epoch(fabric, learner, optimizer, train, weights, training, epoch)
        score = _macro(training.keep, validation.labels, predict(model, validation))
        row = {"epoch": epoch + 1, "train_loss": loss, f"validation_{training.keep}": score}
        curves.append(row)
        if score > best.score:
            kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
            best = _Best(score, epoch + 1, kept)
        if time.monotonic() - last_saved > _SAVE_EVERY:
            state = {
                "model": model.state_dict(),
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
    return Fitted(
        model=model,
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
    train: Inputs,
    weights: torch.Tensor,
    training: Training,
    epoch: int,
) -> float:
    """One pass over the training side in an order of its own; gives the mean loss."""
    learner.train()
    generator = np.random.default_rng([training.seed, epoch])
    order = generator.permutation(len(train))
    starts = range(0, len(order), training.batch)
    losses = []
    for step, start in enumerate(starts, epoch * len(starts)):
        which = order[start : start + training.batch]
        if len(which) == 1 and start:  # batch normalisation cannot learn from one window
            continue
        for group in optimizer.param_groups:
            group["lr"] = training.lr * _rate(training, step, training.epochs * len(starts))
        windows = train.batch(which)  # (B, L, T)
        if training.shift:
            windows = rolled(windows, generator.integers(windows.shape[2], size=len(windows)))
        x = fabric.to_device(torch.from_numpy(windows))  # (B, L, T)
        y = fabric.to_device(torch.from_numpy(train.labels[which].astype(np.float32)))  # (B, C)
        optimizer.zero_grad()
        loss = weighted_bce(learner(x), y, weights)
        fabric.backward(loss)
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


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
def predict(model: nn.Module, inputs: Inputs) -> npt.NDArray[np.float32]:
    """The probabilities (n, C) of `inputs`, reckoned in float32."""
    model.eval()
    device = next(model.parameters()).device
    parts = []
    for start in range(0, len(inputs), _EVALUATION_BATCH):
        which = np.arange(start, min(start + _EVALUATION_BATCH, len(inputs)))
        x = torch.from_numpy(inputs.batch(which)).to(device)  # (B, L, T)
        parts.append(torch.sigmoid(model(x)).cpu())  # (B, C)
    return np.asarray(torch.cat(parts).numpy())


def _macro(
    metric: str, targets: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> float:
    """The macro F1 at 0.5, or the macro average precision over the labels that occur."""
    from sklearn.metrics import average_precision_score, f1_score

    if metric == "f1":
        guessed = probabilities >= 0.5
        return float(f1_score(targets, guessed, average="macro", zero_division=0))
    occur = targets.any(axis=0)
    if not occur.any() or not np.isfinite(probabilities).all():
        return 0.0
    return float(average_precision_score(targets[:, occur], probabilities[:, occur]))


def settle() -> None:
    """Make torch repeat its results, and keep it quick; before its first work in a process.

    An LSTM's gradients fade to denormal numbers over a window, with which processors are slow: a
    step in float32 takes six times as long unless they are flushed to zero.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for repeatable
    torch.use_deterministic_algorithms(True)
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
