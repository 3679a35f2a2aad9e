"""What a model costs: its weights, its arithmetic, and the memory that training it takes."""

import copy
import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pecg_utils import models

_TRAINED, _FROZEN = 16, 4  # bytes: a weight in float32, its gradient and AdamW's two moments


class Cost(NamedTuple):
    """weights: how many numbers. multiply_adds: of the answer to one whole recording. mebibytes:
    of 2^20 bytes, of one training step: what is held for the way back, and the weights with their
    gradients and AdamW's two moments.
    """

    weights: int
    multiply_adds: int
    mebibytes: float


def cost(model: nn.Module, n_leads: int, n_samples: int, crops: int, batch: int) -> Cost:
    """What `model` costs where a recording is answered from `crops` windows (n_leads, n_samples).

    batch: windows of a training step, all in float32. Its memory is that of the CPU's operators,
    without what they need while they run and without what the loss holds: a GPU's may differ.
    Neither the model nor torch's random numbers are changed.
    """
    parameters = list(model.parameters())
    own = sum(p.numel() * (_TRAINED if p.requires_grad else _FROZEN) for p in parameters)
    once = models.multiply_adds(model, n_leads, n_samples)
    return Cost(
        weights=sum(p.numel() for p in parameters),
        multiply_adds=crops * once,
        mebibytes=(held(model, n_leads, n_samples, batch) + own) / 2**20,
    )


def held(model: nn.Module, n_leads: int, n_samples: int, batch: int) -> int:
    """Bytes that autograd holds for the way back of `batch` windows, (batch, n_leads, n_samples).

    Found by a forward on the CPU as in training, in float32, which takes as much memory itself.
    Each piece of memory counts once, the model's own parameters and buffers not at all.
    """
    tried = copy.deepcopy(model).cpu().float().train()
    mine = {_place(x) for x in (*tried.parameters(), *tried.buffers())}
    alive: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> _Saved:
        saved = _Saved(tensor.detach())  # or an operator's answer would keep the operator
        alive.add(saved)
        return saved

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():  # dropout draws
        given = models.window(tried, n_leads, n_samples, count=batch)
        with hooks:
            answer: Any = tried(*given)
    pieces = {_place(s.tensor): s.tensor.untyped_storage().nbytes() for s in alive}
    del answer  # until here it kept what leads back from it
    return sum(size for place, size in pieces.items() if place not in mine)


class _Saved:
    """A tensor for the way back; it goes when nothing that is kept leads back through it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
