"""A model drawn as boxes, with the shapes that a run through it really has."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

from pecg_utils.models import Stage, window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    Output = Tensor | tuple[Tensor, ...]  # of a stage


class Staged(Protocol):
    """A model that names its steps: all models of the registry do."""

    def stages(self) -> list[Stage]: ...


class Step(NamedTuple):
    """One stage after a run: what it is, its trained weights, and its output's shape in words."""

    name: str
    detail: str
    weights: int
    shape: str


INK, SOFT, EDGE = "#1b2430", "#5a6675", "#33658a"
LEARNS, POOLS, ENDS = "#dcebf7", "#eceff2", "#fbe3d2"  # with weights, without, the last stage
WIDTH, BOX, PILL, GAP, MARGIN = 5.0, 0.86, 0.5, 0.5, 0.15  # inches, about a phone's width


def trace(model: Staged, n_leads: int, n_samples: int) -> list[Step]:
    """Run one window of zeros (1, n_leads, n_samples) through `model` and note every stage.

    A model of two signals gets its other one as well.
    """
    import torch

    network: nn.Module = model  # type: ignore[assignment]  # a module that also has stages()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> "torch.utils.hooks.RemovableHandle":
        def hook(_module: "nn.Module", _inputs: object, output: "Output") -> None:
            each = output if isinstance(output, tuple) else (output,)
            shapes[name] = tuple(axis for one in each for axis in one.shape[1:])

        return stage.module.register_forward_hook(hook)

    stages = model.stages()
    hooks = []
    for stage in stages:
        hooks.append(note(stage.name))
    was_training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(*window(network, n_leads, n_samples, device=device))
    finally:
        network.train(was_training)
        for handle in hooks:
            handle.remove()
    return [
        Step(
            s.name,
            s.detail,
            sum(p.numel() for p in s.module.parameters()),
            s.shape.format(*shapes[s.name]),
        )
        for s in stages
    ]


def alt_text(model: Staged, n_leads: int, n_samples: int) -> str:
    """What the diagram shows, in one sentence for those who do not see it."""
    steps = trace(model, n_leads, n_samples)
    path = ", then ".join(f"{step.name} to {step.shape}" for step in steps)
    return (
        f"Diagram of the model from top to bottom: {n_leads} leads × {n_samples} samples, {path}."
    )


def draw(model: Staged, n_leads: int, n_samples: int) -> "Figure":
    """A diagram of `model` from top to bottom: a box a stage, the shape after it at the arrow.

    The shapes and the numbers of weights are read off the model while one window of n_leads and
    n_samples runs through it. The figure has its own white ground, for light and dark pages.
    """
    steps = trace(model, n_leads, n_samples)
    tall = [BOX if step.detail else PILL for step in steps]
    height = 2 * (MARGIN + PILL) + sum(tall) + (len(steps) + 1) * GAP
    figure = plt.figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))  # one unit is one inch
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    y = MARGIN
    _pill(axes, y, f"One window: {n_leads} leads × {n_samples} samples")
    y += PILL
    _arrow(axes, y, "")
    y += GAP
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        _box(axes, y, tall[i], step, ENDS if last else LEARNS if step.weights else POOLS)
        y += tall[i]
        _arrow(axes, y, "" if last else step.shape)
        y += GAP
    _pill(axes, y, steps[-1].shape)
    plt.close(figure)  # shown by the notebook as the cell's value, once
    return figure


def _box(axes: "Axes", top: float, tall: float, step: Step, fill: str) -> None:
    left, right, middle = MARGIN, WIDTH - MARGIN, top + tall / 2
    axes.add_patch(_rounded(left, top, right - left, tall, fill))
    name_at = middle - 0.16 if step.detail else middle
    axes.text(left + 0.18, name_at, step.name, size=15, weight="bold", color=INK, va="center")
    if step.detail:
        axes.text(left + 0.18, middle + 0.2, step.detail, size=12, color=SOFT, va="center")
    weights = f"{step.weights:,} weights" if step.weights else "no weights"
    axes.text(right - 0.18, name_at, weights, size=12, color=SOFT, va="center", ha="right")


def _arrow(axes: "Axes", top: float, shape: str) -> None:
    x = 0.6
    style = {"arrowstyle": "-|>", "color": EDGE, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, top + GAP - 0.03), (x, top + 0.03), arrowprops=style)
    axes.text(x + 0.25, top + GAP / 2, shape, size=13.5, color=EDGE, va="center")


def _pill(axes: "Axes", top: float, text: str) -> None:
    axes.add_patch(_rounded(MARGIN, top, WIDTH - 2 * MARGIN, PILL, "white"))
    axes.text(MARGIN + 0.18, top + PILL / 2, text, size=13.5, color=INK, va="center")


def _rounded(left: float, top: float, width: float, height: float, fill: str) -> FancyBboxPatch:
    style = "round,pad=0,rounding_size=0.1"
    return FancyBboxPatch((left, top), width, height, style, fc=fill, ec=EDGE, lw=1.4)
