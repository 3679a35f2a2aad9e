"""The training step of whole state-space models: time and peak memory, ours beside four peers'.

A part of bench.py, and a program that makes one step in a process of its own:

    python tests/bench/steps.py "ours, duality, one direction" 2    # the side and the threads

Every side takes the same windows and, but for the one that has its own, the same stem; then two
layers of width 64 with 16 numbers of state a channel, expanded twice, a convolution of four tokens,
and the mean of the tokens into one linear layer. Ours adds learned places and a class token, whose
cost it bears. No two sides have the same weights; tests/oracles/ shows that what they compute is
the same.

What takes a minute a step is timed once, in its first step. All else takes turns.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

BATCH, LEADS, SAMPLES, CLASSES = 64, 12, 1000, 19
WIDTH, LAYERS, STATE = 64, 2, 16
STEM = {"channels": (16, 32, 64, WIDTH), "kernels": (15, 7, 5, 3), "strides": (2, 2, 1, 1)}
TARGET = 3  # times the fastest peer
LIMIT = 6144  # MiB, of the paper's block


@dataclass(frozen=True)
class Side:
    """One model, how it is made, and what is to be known of it."""

    name: str
    directions: int
    make: Callable[[], nn.Module]
    note: str
    once: bool = False  # too slow to take turns
    shape: tuple[int, ...] = (BATCH, LEADS, SAMPLES)


@dataclass(frozen=True)
class Timed:
    """A side's figures: seconds of each of its turns, MiB that one step adds at its peak."""

    name: str
    directions: int
    turns: tuple[float, ...]
    peak: float
    weights: int
    note: str

    @property
    def seconds(self) -> float:
        return statistics.median(self.turns)


def training_step(model: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Callable:
    """One step on `x`: forward, backward, AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(model(x)).backward()
        optimiser.step()

    return step


def weights_of(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


class Stemmed(nn.Module):
    """Our stem, a peer's layers, the mean over the tokens, one linear layer."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        from pecg_utils.models.cnn_ecg_mamba import Stem

        self.stem = Stem(LEADS, STEM["channels"], STEM["kernels"], STEM["strides"])
        self.layers = layers
        self.norm = nn.RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.layers(self.stem(x))  # (B, 250, D)
        return self.head(self.norm(tokens).mean(dim=1))  # (B, C)


class OfEmbeddings(nn.Module):
    """A model of transformers, which wants to be told that its input is no words: (B, S, D)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(inputs_embeds=tokens, use_cache=False).last_hidden_state  # (B, S, D)


def _ours(core: str, directions: int) -> nn.Module:
    from pecg_utils.models import create

    return create(
        "cnn_ecg_mamba",
        LEADS,
        CLASSES,
        SAMPLES,
        **STEM,
        depth=LAYERS,
        d_state=STATE,
        directions=directions,
        core=core,
        places=SAMPLES // 4,
        pool="mean",
        drop_path=0.0,
    )


def _deepecgkit_blocks() -> nn.Module:
    from deepecgkit.models.mamba1d import MambaBlock

    return Stemmed(nn.Sequential(*(MambaBlock(WIDTH, STATE) for _ in range(LAYERS))))


def _deepecgkit_model() -> nn.Module:
    from deepecgkit.models.mamba1d import Mamba1D

    sizes = {"d_model": WIDTH, "d_state": STATE, "num_layers": LAYERS, "patch_size": 4}
    return Mamba1D(LEADS, CLASSES, **sizes, dropout_rate=0.0)


def _mambapy() -> nn.Module:
    from mambapy.mamba import Mamba, MambaConfig

    return Stemmed(Mamba(MambaConfig(d_model=WIDTH, n_layers=LAYERS, d_state=STATE)))


NO_WORDS = {"vocab_size": 1, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}


def _transformers_mamba() -> nn.Module:
    from transformers import MambaConfig, MambaModel

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": STATE}
    return Stemmed(OfEmbeddings(MambaModel(MambaConfig(**sizes, **NO_WORDS))))


def _transformers_mamba2(chunk: int) -> nn.Module:
    from transformers import Mamba2Config, Mamba2Model

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": STATE}
    heads = {"num_heads": 2, "head_dim": 64, "n_groups": 1, "chunk_size": chunk}
    return Stemmed(OfEmbeddings(Mamba2Model(Mamba2Config(**sizes, **heads, **NO_WORDS))))


def _papers_block(core: str) -> nn.Module:
    from pecg_utils.models.vim import VimBlock

    return VimBlock(384, STATE, conv=4, expand=2, core=core)


OURS = [
    Side(
        f"ours, {core}, {way}",
        directions,
        lambda core=core, directions=directions: _ours(core, directions),
        f"{algorithm}; {note}",
    )
    for directions, way, note in (
        (1, "one direction", "as the peers"),
        (2, "both directions", "what the chapter runs"),
    )
    for core, algorithm in (("duality", "Mamba-2's core"), ("scan", "Mamba-1's core"))
]
PEERS = [
    Side(
        "deepecgkit blocks", 1, _deepecgkit_blocks, "Mamba-1 in a loop over the tokens; our stem"
    ),
    Side(
        "mambapy", 1, _mambapy, "Mamba-1 as a parallel scan, its default; our stem"
    ),
    Side(
        "transformers Mamba2",
        1,
        lambda: _transformers_mamba2(256),
        "Mamba-2 in chunks of 256, its default; our stem",
    ),
    Side(
        "transformers Mamba2, tuned",
        1,
        lambda: _transformers_mamba2(32),
        "the same in chunks of 32, as ours, for whoever knows to ask for them",
    ),
    Side(
        "transformers Mamba",
        1,
        _transformers_mamba,
        "Mamba-1 in a loop over the tokens; our stem; one step, the first",
        once=True,
    ),
    Side(
        "deepecgkit Mamba1D",
        2,
        _deepecgkit_model,
        "Mamba-1, its own model: patches of 4 samples in place of a stem; each direction is a "
        "block of its own, and a layer joins the two",
    ),
]  # fmt: skip
BLOCKS = [
    Side(
        f"the paper's block, {core}",
        2,
        lambda core=core: _papers_block(core),
        "width 384, batch 8 of 8,192 tokens, forward and backward of one layer, once",
        once=True,
        shape=(8, 8192, 384),
    )
    for core in ("scan", "duality")
]


def step_of(side: Side) -> tuple[Callable, int]:
    """A side's step, made anew from seed 0, and its number of weights."""
    torch.manual_seed(0)
    model = side.make()
    x = torch.randn(side.shape)  # (B, L, T), or (B, S, D) for a block
    if side in BLOCKS:
        x.requires_grad_()
        return lambda: model(x).sum().backward(), weights_of(model)
    y = (torch.rand(BATCH, CLASSES) < 0.1).float()  # (B, C)
    loss = nn.functional.binary_cross_entropy_with_logits
    return training_step(model, x, lambda z: loss(z, y)), weights_of(model)


def first_step(side: Side) -> dict[str, float]:
    """Seconds of one step in this process, and the MiB that it added at its peak (on Linux)."""
    step, weights = step_of(side)
    status, linux = Path("/proc/self/status"), sys.platform == "linux"

    def kib(field: str) -> int:
        lines = status.read_text().splitlines() if linux else []
        return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)

    if linux:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = kib("VmRSS:")
    begun = time.perf_counter()
    step()
    seconds = time.perf_counter() - begun
    peak = (kib("VmHWM:") - before) / 2**10 if linux else float("nan")
    return {"seconds": seconds, "peak": peak, "weights": weights}


def alone(side: Side, threads: int) -> dict[str, float]:
    """`first_step` in a fresh process."""
    print(f"measuring {side.name} alone", file=sys.stderr)
    command = [sys.executable, __file__, side.name, str(threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(threads: int, repeats: int) -> list[Timed]:
    """Every side: its memory in a process of its own, its time in turns with the others."""
    sides = [*OURS, *PEERS, *BLOCKS]
    single = {side.name: alone(side, threads) for side in sides}
    turning = [side for side in sides if not side.once]
    steps = {side.name: step_of(side)[0] for side in turning}
    turns: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        print(f"turn {repeat} of {repeats}, {len(steps)} models", file=sys.stderr)
        for name in sorted(steps, reverse=bool(repeat % 2)):
            begun = time.perf_counter()
            steps[name]()
            turns[name].append(time.perf_counter() - begun)
    return [
        Timed(
            name=side.name,
            directions=side.directions,
            turns=(one["seconds"],) if side.once else tuple(turns[side.name][1:]),
            peak=one["peak"],
            weights=int(one["weights"]),
            note=side.note,
        )
        for side in sides
        for one in [single[side.name]]
    ]


def ratios(ours: Timed, theirs: Timed) -> np.ndarray:
    """theirs / ours turn by turn: (turns,)."""
    return np.array(theirs.turns) / np.array(ours.turns)  # one turn of theirs is spread


def table(figures: list[Timed]) -> str:
    """Each side with its figures and its note, then ours against each peer."""
    named = {one.name: one for one in figures}
    width = max(map(len, named))
    lines = [
        f"training step, {BATCH} × {LEADS} × {SAMPLES:,}, stem of stride 4, {SAMPLES // 4} tokens, "
        f"width {WIDTH}, {LAYERS} layers",
        f"{'side':{width}}  directions       step       quartiles     peak  weights",
    ]
    for one in figures:
        low, high = np.quantile(one.turns, [0.25, 0.75])
        spread = f"{1000 * low:,.0f}-{1000 * high:,.0f}" if len(one.turns) > 1 else "once"
        lines += [
            f"{one.name:{width}}  {one.directions:10}  {1000 * one.seconds:6,.0f} ms  "
            f"{spread:>14}  {one.peak:5,.0f} M  {one.weights:,}",
            f"    {one.note}",
        ]
    for block in BLOCKS:
        within = "met" if named[block.name].peak <= LIMIT else "not met"
        lines.append(f"{block.name}: peak of at most {LIMIT:,} MiB {within}")
    for mine in (named[side.name] for side in OURS):
        lines.append(f"{mine.name}, times as fast as")
        for theirs in (named[side.name] for side in PEERS):
            low, high = np.quantile(ratios(mine, theirs), [0.25, 0.75])
            ratio = theirs.seconds / mine.seconds
            verdict = _verdict(ratio, float(high)) if theirs.directions == mine.directions else ""
            cells = f"    {theirs.name:{width}}  {ratio:6.1f}x  {low:.1f}-{high:.1f}  {verdict}"
            lines.append(cells.rstrip())
    return "\n".join(lines)


def _verdict(ratio: float, high: float) -> str:
    if ratio >= TARGET:
        return f"{TARGET}x met"
    return f"{TARGET}x within noise" if high >= TARGET else f"{TARGET}x not met"


def record(figures: list[Timed]) -> list[dict[str, object]]:
    """What is kept of `measure` in JSON."""
    return [{**asdict(one), "seconds": one.seconds} for one in figures]


if __name__ == "__main__":
    (chosen,) = (side for side in [*OURS, *PEERS, *BLOCKS] if side.name == sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps(first_step(chosen)))
