"""The models of the book: one file each, and the registry that makes them by name.

A model file holds its `nn.Module` and one `ENTRY`. To add a model, write such a file and put its
name into `NAMES`. Nothing here imports torch until a model is asked for.

Every model takes windows (B, L, T), float32 in normalised units (L leads, T samples), and gives
logits (B, C). A model of two signals is made by the same words, leads and samples being those of
the surface ECG. What it takes beside these windows is its entry's `beside`, in words, and its own
method `beside`, as tensors; `window` puts them together, so that tables and diagrams run it as any
other. Its answer is a tuple, the logits first.
"""

import difflib
import functools
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pecg_utils.errors import PecgError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

NAMES = (
    "resnet1d",
    "bilstm",
    "transformer",
    "mamba2",
    "cnn_ecg_mamba",
    "agcacl",
    "mrmnet",
    "xresnet1d101",
    "resnet1d_wang",
    "fcn_wang",
    "inceptiontime",
    "lstm_bidir",
    "peace",
    "resnet18_1d",
    "crnn",
    "alexnet1d",
    "vgg1d",
    "attresnet",
    "restransformer",
    "rawtransformer",
)

Tag = Literal["paper", "code", "ours"]


class Size(NamedTuple):
    """One keyword of a model: its default, whether *paper*, *code* or *ours*, and from where.

    options: what it can be, where it is a word. least: the smallest, where it is a count.
    """

    name: str
    default: int | float | tuple[int, ...] | str
    tag: Tag
    source: str
    options: tuple[str, ...] = ()
    least: int = 1


class Choice(NamedTuple):
    """A choice of a model that is no number: what was chosen, its tag, and from where."""

    name: str
    value: str
    tag: Tag
    source: str


class Stage(NamedTuple):
    """One step of a model, in the order in which the signal passes it.

    `shape` names the axes of the output after the batch, to be filled in by a run:
    `"{0} channels × {1} steps"`. Where the output is a tuple, its tensors' axes follow each other.
    """

    name: str
    module: "nn.Module"
    detail: str
    shape: str


@dataclass(frozen=True)
class Entry:
    """What the registry knows of a model. The bounds include their ends; None is no bound.

    beside: what the model takes beside the windows of leads, in words; most take nothing.
    """

    name: str
    model: "type[nn.Module]"
    what: str
    sizes: tuple[Size, ...]
    choices: tuple[Choice, ...]
    min_samples: int
    max_samples: int | None = None
    min_leads: int = 1
    max_leads: int = 16
    beside: str = ""


def entry(name: str) -> Entry:
    """The registry's entry for `name`.

    Raises PecgError when no model has that name.
    """
    if name not in NAMES:
        raise PecgError(f"There is no model {name!r}. {_nearest(name, NAMES)}")
    found: Entry = importlib.import_module(f"pecg_utils.models.{name}").ENTRY
    return found


def create(name: str, n_leads: int, n_classes: int, n_samples: int, **sizes: object) -> "nn.Module":
    """A new model with random weights: windows (B, n_leads, n_samples) to logits (B, n_classes).

    Sizes that are not given are the entry's defaults, which are the benchmark paper's wherever
    that is known. Every model takes windows of other lengths too, within its bounds.

    Raises PecgError on an unknown model or size, on a value that no such model can have, and on
    leads or samples outside the model's bounds.
    """
    known = entry(name)
    _bounded(name, "leads", n_leads, known.min_leads, known.max_leads)
    _bounded(name, "classes", n_classes, 1, None)
    _bounded(name, "samples", n_samples, known.min_samples, known.max_samples)
    listed = {size.name: size for size in known.sizes}
    values: dict[str, Any] = {key: size.default for key, size in listed.items()}
    for key, value in sizes.items():
        if key not in listed:
            raise PecgError(f"The model {name} has no size {key!r}. {_nearest(key, values)}")
        values[key] = _checked(name, value, listed[key])
    return known.model(n_leads, n_classes, **values)


def window(
    model: "nn.Module", n_leads: int, n_samples: int, count: int = 1, device: Any = None
) -> "tuple[Tensor, ...]":
    """What `model` is called with for `count` windows, all zeros and all there.

    The first is (count, n_leads, n_samples); a model of two signals adds its own.
    """
    import torch

    leads = torch.zeros(count, n_leads, n_samples, device=device)
    beside = getattr(model, "beside", None)
    return (leads, *beside(leads)) if beside else (leads,)


def table(n_leads: int = 12, n_classes: int = 19, n_samples: int = 300) -> "pd.DataFrame":
    """One row a model at its default sizes, counted and not typed.

    Columns: model, what, weights (trained numbers), multiply_adds (for one window, with what the
    model takes beside it), and the bounds min_samples and max_samples.
    """
    import pandas as pd

    rows = []
    for name in NAMES:
        known = entry(name)
        weights, macs = _count(name, n_leads, n_classes, n_samples)
        rows.append((name, known.what, weights, macs, known.min_samples, known.max_samples))
    columns = ["model", "what", "weights", "multiply_adds", "min_samples", "max_samples"]
    return pd.DataFrame(rows, columns=columns).astype({"max_samples": "Int64"})


def learning(model: "nn.Module", n_leads: int, n_samples: int) -> tuple[int, int]:
    """How many weights `model` has, and how many of them learn from its logits.

    Found by training: a copy in float64 gets four windows (4, n_leads, n_samples) of noise. A
    tensor of weights learns when an element of it has a gradient that is more than rounding. A
    bias, say, that a batch norm takes away again has none.
    """
    import copy

    import torch

    tried = copy.deepcopy(model).cpu().double().train()
    noise = torch.Generator().manual_seed(0)
    given = [
        torch.randn(x.shape, generator=noise, dtype=torch.float64) if x.is_floating_point() else x
        for x in window(tried, n_leads, n_samples, count=4)
    ]
    with torch.random.fork_rng(devices=[]):  # dropout draws
        answer = tried(*given)
    logits = answer[0] if isinstance(answer, tuple) else answer
    weights = [p for p in tried.parameters() if p.requires_grad]
    found = torch.autograd.grad(logits.square().sum(), weights, allow_unused=True)
    most = [0.0 if g is None else float(g.abs().max()) for g in found]
    learn = sum(p.numel() for p, own in zip(weights, most, strict=True) if own > 1e-10 * max(most))
    return sum(p.numel() for p in tried.parameters()), learn


def multiply_adds(model: "nn.Module", n_leads: int, n_samples: int) -> int:
    """Multiply-adds of `model`, wherever it lies, for one window (n_leads, n_samples).

    Counted with a copy on torch's meta device: there the LSTM and the attention are spelt out as
    the matrix products that they are, where on the CPU each is one fused operator that the counter
    misses. It also costs no arithmetic. Additions and products element by element (norms,
    activations, the residual sums, the passing on of the state-space state) are not counted, as is
    usual.
    """
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    tried = copy.deepcopy(model).to("meta", torch.float32)
    with torch.device("meta"):
        given = window(tried, n_leads, n_samples, count=2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tried(*given)
    return int(counter.get_total_flops() // (2 * 2))  # two windows, two flops a multiply-add


def settings(name: str) -> "pd.DataFrame":
    """Every size and choice of a model with its tag. Columns: setting, value, tag, source.

    Raises PecgError when no model has that name.
    """
    import pandas as pd

    known = entry(name)
    rows = [(s.name, str(s.default), s.tag, s.source) for s in known.sizes]
    rows += [(c.name, c.value, c.tag, c.source) for c in known.choices]
    return pd.DataFrame(rows, columns=["setting", "value", "tag", "source"])


@functools.cache
def _count(name: str, n_leads: int, n_classes: int, n_samples: int) -> tuple[int, int]:
    """Weights, and multiply-adds for one window."""
    import torch

    with torch.device("meta"):
        model = create(name, n_leads, n_classes, n_samples)
    weights = sum(p.numel() for p in model.parameters())
    return weights, multiply_adds(model, n_leads, n_samples)


def _nearest(word: str, known: Iterable[str]) -> str:
    """What to say instead of `word`."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."


def _bounded(model: str, what: str, value: int, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PecgError(f"The model {model} was given {value!r} {what}; give a whole number.")
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"{low} to {high}"
        raise PecgError(f"The model {model} was given {value} {what}; it takes {bounds}.")


def _checked(model: str, value: object, size: Size) -> object:
    """`value` if it is of the default's kind; counts are from `least`, fractions in [0, 1)."""
    default = size.default
    if isinstance(default, bool):  # before the numbers, of which Python counts it one
        wanted = "True or False"
        if isinstance(value, bool):
            return value
    elif isinstance(default, str):
        wanted = f"one of {', '.join(size.options)}"
        if value in size.options:
            return value
    elif isinstance(default, tuple):
        wanted = f"{len(default)} whole numbers from 1"
        if isinstance(value, list | tuple) and len(value) == len(default):
            whole = [v for v in value if isinstance(v, int) and not isinstance(v, bool) and v >= 1]
            if len(whole) == len(value):
                return tuple(whole)
    elif isinstance(default, float):
        wanted = "a number from 0 to below 1"
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
            return float(value)
    else:
        wanted = f"a whole number from {size.least}"
        if isinstance(value, int) and not isinstance(value, bool) and value >= size.least:
            return value
    raise PecgError(
        f"The size {size.name} of the model {model} was given as {value!r}; give {wanted}."
    )
