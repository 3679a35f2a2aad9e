"""The project beside other packages that do the same work, timed in one run on one machine.

    python tests/bench/bench.py [--data _data/twins/zzu-bench] [--repeats 7] [--out bench.json]

`make bench` runs it in an environment of its own, which holds the project and the packages of
requirements-bench.txt. Each row lets the two sides take turns, so that a busy moment of the
machine falls on both, and gives the median of each. Before it times them it checks that the two
give the same answer, where they compute the same thing, and it says what they do not share.
A target is *met* when the ratio of the medians reaches it, and *within noise* when only the upper
quartile of the turns' own ratios does. The column `quartiles` shows both quartiles: where they lie
far apart the machine was busy with something else, and the row should be taken again.

The training step of whole state-space models, with its memory, has a table of its own: steps.py.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import steps
import torch
from steps import training_step, weights_of
from torch import Tensor

LOOPS = 25  # of scikit-learn's bootstrap, scaled up to RESAMPLES
RESAMPLES = 1000
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "wfdb",
    "deepecgkit",
    "mambapy",
    "transformers",
)


@dataclass(frozen=True)
class Row:
    """One comparison. ours, theirs: median seconds a turn; turns: theirs / ours of each turn."""

    what: str
    peer: str
    unit: str  # "a second": `amount` pieces a turn are turned into a rate; "ms": the time itself
    amount: int
    ours: float
    theirs: float
    turns: tuple[float, ...]
    target: float
    note: str

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def verdict(self) -> str:
        if self.ratio >= self.target:
            return "met"
        return "within noise" if self.quartiles[1] >= self.target else "not met"

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.quantile(self.turns, [0.25, 0.75])
        return float(low), float(high)

    def shown(self, seconds: float) -> str:
        if self.unit == "ms":
            return f"{1000 * seconds:,.0f} ms"
        return f"{self.amount / seconds:,.0f} {self.unit}"


def compare(
    what: str,
    peer: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    repeats: int,
    target: float,
    note: str,
    unit: str = "ms",
    amount: int = 1,
    scale: float = 1.0,
) -> Row:
    """Time `ours` and `theirs` in turns, `repeats` times each after one turn to warm up.

    What `theirs` takes is multiplied by `scale`.
    """
    print(f"timing {what} against {peer}", file=sys.stderr)
    sides = {"ours": ours, "theirs": theirs}
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for repeat in range(repeats + 1):
        # The side that begins changes, so that neither always follows the other.
        for name in sorted(sides, reverse=bool(repeat % 2)):
            start = time.perf_counter()
            sides[name]()
            taken[name].append(time.perf_counter() - start)
    ours_taken = taken["ours"][1:]
    theirs_taken = [scale * seconds for seconds in taken["theirs"][1:]]
    return Row(
        what=what,
        peer=peer,
        unit=unit,
        amount=amount,
        ours=statistics.median(ours_taken),
        theirs=statistics.median(theirs_taken),
        turns=tuple(t / o for o, t in zip(ours_taken, theirs_taken, strict=True)),
        target=target,
        note=note,
    )


def windows_rows(data: Path, repeats: int) -> list[Row]:
    """Every 12-lead recording of `data` to 3-s windows at 100 Hz, from files that are cached.

    Twice: cut only, which is what the peer's lines do, and prepared whole as a chapter does it.
    """
    import wfdb
    from scipy.signal import resample_poly

    from pecg_utils.data import windows, zzu
    from pecg_utils.data.recording import TWELVE_LEADS

    dataset = zzu.open_folder(data)
    dataset = dataset.only((dataset.table["n_leads"] == 12).to_numpy())
    paths = [str(dataset.path(row)) for row in range(len(dataset.table))]
    settings = windows.Settings(leads=TWELVE_LEADS)

    def cut() -> np.ndarray:
        pieces = [piece for _, piece, _, _ in windows._cut_each(dataset, settings)]
        return np.concatenate([piece for piece in pieces if piece is not None])  # (N, 12, 300)

    def prepared() -> windows.Windows:
        with tempfile.TemporaryDirectory() as cache:  # empty every time
            return windows.prepare(dataset, settings, Path(cache))

    def theirs() -> np.ndarray:
        pieces = []
        for path in paths:
            signal, _ = wfdb.rdsamp(path)  # (samples, 12) mV
            slow = resample_poly(signal, 1, 5, axis=0)  # (T, 12)
            whole = len(slow) // 300
            pieces.append(slow[: whole * 300].reshape(whole, 300, 12).transpose(0, 2, 1))
        return np.concatenate(pieces).astype(np.float32)  # (N, 12, 300)

    plain = theirs()
    kept = prepared()
    # The filter reaches 10 samples, and beyond a recording's ends the two pad differently. Two
    # microvolts leave room for the rounding to int16.
    inside = slice(10, -10)
    for mine in (cut(), kept.millivolts(np.arange(len(kept)))):
        np.testing.assert_allclose(mine[:, :, inside], plain[:, :, inside], atol=2e-3)
    shared = {"repeats": repeats, "target": 5, "unit": "windows/s", "amount": len(plain)}
    peer = "wfdb.rdsamp + scipy resample_poly"
    return [
        compare(
            f"windows cut, {len(paths)} recordings",
            peer,
            cut,
            theirs,
            note="both read, resample and slice; ours checks each recording's quality as well",
            **shared,
        ),
        compare(
            f"windows prepared, {len(paths)} recordings",
            peer,
            prepared,
            theirs,
            note="ours also hashes every file for its key, and writes int16, table and checksums",
            **shared,
        ),
    ]


def mamba_rows(repeats: int) -> list[Row]:
    """One block, with its norm and residual, at the benchmark's sizes: width 128, state 64."""
    from deepecgkit.models.mamba1d import MambaBlock
    from mambapy.mamba import MambaConfig, ResidualBlock

    from pecg_utils.models.mamba2 import Mamba2Block, Residual

    torch.manual_seed(0)
    batch, samples, width, state = 16, 300, 128, 64
    x = torch.randn(batch, samples, width)  # (B, T, D)
    block = Mamba2Block(width, d_state=state, conv=4, expand=2, headdim=8, chunk=30)
    ours = Residual(width, block)
    peers = {
        "deepecgkit MambaBlock": MambaBlock(width, d_state=state, d_conv=4, expansion_factor=2),
        "mambapy ResidualBlock": ResidualBlock(
            MambaConfig(d_model=width, n_layers=1, d_state=state, d_conv=4, expand_factor=2)
        ),
    }

    def mean_square(y: Tensor) -> Tensor:
        return y.square().mean()

    return [
        compare(
            f"Mamba-2 block step, {batch} × {samples} × {width}",
            name,
            training_step(ours, x, mean_square),
            training_step(theirs, x, mean_square),
            repeats=repeats,
            target=3,
            note=f"both width {width}, state {state}, expand 2; ours is Mamba-2, theirs Mamba-1, "
            f"without heads; weights: ours {weights_of(ours):,}, theirs {weights_of(theirs):,}",
        )
        for name, theirs in peers.items()
    ]


def bootstrap_row(repeats: int) -> Row:
    """All five metrics of 2,158 records × 19 labels, each label and macro, by patient."""
    from sklearn.metrics import average_precision_score, f1_score, hamming_loss, roc_auc_score

    from pecg_utils.bootstrap import intervals, resample_weights, resampled

    generator = np.random.default_rng(0)
    targets = generator.random((2158, 19)) < np.linspace(0.01, 0.3, 19)
    probabilities = 0.3 * targets + 0.7 * generator.random(targets.shape)
    patients = generator.integers(0, 1500, size=len(targets))
    weights = resample_weights(patients, RESAMPLES, seed=0)  # (N, R)

    def theirs() -> np.ndarray:
        drawn = np.full((5, targets.shape[1], LOOPS), np.nan)
        for r in range(LOOPS):
            rows = np.repeat(np.arange(len(targets)), weights[:, r])
            truth, scores = targets[rows], probabilities[rows]
            decided = scores >= 0.5
            for c in range(targets.shape[1]):
                drawn[0, c, r] = hamming_loss(truth[:, c], decided[:, c])
                drawn[1, c, r] = truth[:, c].mean()
                if truth[:, c].any():
                    drawn[3, c, r] = roc_auc_score(truth[:, c], scores[:, c])
                    drawn[4, c, r] = average_precision_score(truth[:, c], scores[:, c])
            drawn[2, :, r] = f1_score(truth, decided, average=None, zero_division=0)
        return drawn

    mine = resampled(targets, probabilities, weights[:, :LOOPS])
    np.testing.assert_allclose(mine, theirs(), atol=1e-9)
    return compare(
        f"bootstrap, {RESAMPLES} resamples",
        "scikit-learn in a loop",
        lambda: intervals(targets, probabilities, patients, resamples=RESAMPLES),
        theirs,
        repeats=repeats,
        target=20,
        scale=RESAMPLES / LOOPS,
        note=f"theirs timed over {LOOPS} resamples and multiplied by {RESAMPLES // LOOPS}",
    )


def resnet_row(repeats: int) -> Row:
    """ResNet-1D at the benchmark's sizes on its batch: 64 windows of 12 leads × 300 samples."""
    from deepecgkit.models.resnet1d import ResNet1D

    from pecg_utils.losses import weighted_bce
    from pecg_utils.models import create

    torch.manual_seed(0)
    x = torch.randn(64, 12, 300)  # (B, L, T)
    y = (torch.rand(64, 19) < 0.1).float()  # (B, C)
    positive = torch.full((19,), 9.0)
    ours = create("resnet1d", n_leads=12, n_classes=19, n_samples=300)
    theirs = ResNet1D(input_channels=12, output_size=19, base_channels=64, dropout_rate=0.0)
    return compare(
        "ResNet-1D training step, 64 × 12 × 300",
        "deepecgkit ResNet1D",
        training_step(ours, x, lambda z: weighted_bce(z, y, positive)),
        training_step(theirs, x, lambda z: weighted_bce(z, y, positive)),
        repeats=repeats,
        target=1,
        note=f"weights: ours {weights_of(ours):,}, theirs {weights_of(theirs):,}",
    )


def machine(threads: int) -> dict[str, str]:
    """What the figures depend on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = named[0] if named else name
    return {
        "processor": f"{name}, {os.cpu_count()} logical cores, torch on {threads} threads",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def table(rows: list[Row]) -> str:
    """The rows in columns, each followed by its note."""
    head = ("what", "against", "ours", "theirs", "ratio", "quartiles", "target", "")
    cells = [
        (
            row.what,
            row.peer,
            row.shown(row.ours),
            row.shown(row.theirs),
            f"{row.ratio:.2f}x",
            "{:.2f}-{:.2f}".format(*row.quartiles),
            f"{row.target:g}x",
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]

    def spread(line: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))

    lines = [spread(head)]
    for row, line in zip(rows, cells, strict=True):
        lines += [spread(line), f"    {row.note}"]
    return "\n".join(line.rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("_data/twins/zzu-bench"))
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side (default 7)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch")
    parser.add_argument("--out", type=Path, help="write the table to this JSON file as well")
    chosen = parser.parse_args()
    if not (chosen.data / "AttributesDictionary.csv").is_file():
        parser.error(f"{chosen.data} is no ZZU-pECG folder; `make bench` writes one first")
    torch.set_num_threads(chosen.threads)

    try:
        facts = machine(chosen.threads)
    except PackageNotFoundError as missing:
        parser.error(f"{missing.name} is not installed here; `make bench` has it in an environment")
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    rows = [
        *windows_rows(chosen.data, chosen.repeats),
        *mamba_rows(chosen.repeats),
        bootstrap_row(chosen.repeats),
        resnet_row(chosen.repeats),
    ]
    print(table(rows), flush=True)
    figures = steps.measure(chosen.threads, chosen.repeats)
    print("\n" + steps.table(figures))
    if chosen.out:
        kept = [{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows]
        whole = {"machine": facts, "rows": kept, "steps": steps.record(figures)}
        chosen.out.write_text(json.dumps(whole, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
