"""The state-space models on this machine: both backends proved equal, timed, and a chapter run.

    python tests/gpu/prove.py

`make gpu` runs it. Where there is a CUDA GPU it builds causal-conv1d and mamba-ssm in the
environment that runs it, compares their kernels with the torch code in float32 and in bfloat16,
prints the times of both, and then runs the chapter that has these models at the paper's size.
Where there is none it compares the torch code with a loop in float64, and says what it left out.
It ends with 1 where something is not equal.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from pecg_utils.models import kernels
from pecg_utils.models.mamba2 import CausalConv
from pecg_utils.models.selective_scan import selective_scan
from pecg_utils.models.ssm import ssd

ROOT = Path(__file__).parents[2]
BUILT = ("causal-conv1d==1.7.0", "mamba-ssm==2.3.2.post1")
LENGTHS = (256, 1024, 8192)  # of the GPU
SHORT = (50, 256)  # of the CPU, where the loop is the other side
CHAPTER = ("cnn_ecg_mamba", "--profile", "paper")
# The largest error of the output, and of any gradient, beside the norm of what is expected.
LIMITS = {
    torch.float64: (1e-10, 1e-9),
    torch.float32: (1e-4, 1e-4),
    torch.bfloat16: (1e-3, 1e-2),
}
# triton multiplies float32 in tf32, of three digits, if it is not told otherwise. So it does in a
# run and for the times; to prove that both compute the same, it is told.
EXACT = {"TRITON_F32_DEFAULT": "ieee"}

BATCH, WIDTH, STATE, HEADDIM, KERNEL = 2, 128, 16, 64, 4


@dataclass(frozen=True)
class Part:
    """One operation: what it is given, how a backend runs it, and its definition as a loop.

    halves: which of the tensors autocast would have in half precision.
    """

    name: str
    given: Callable[[int], list[Tensor]]
    run: Callable[..., Tensor]
    loop: Callable[..., Tensor]
    halves: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """One comparison: the relative errors that were found, and whether they are small enough.

    judged: false where the errors are for information.
    """

    part: str
    length: int
    dtype: torch.dtype
    backend: str
    against: str
    output: float
    gradients: float
    judged: bool = True

    @property
    def equal(self) -> bool:
        output, gradients = LIMITS[self.dtype]
        return not self.judged or (self.output <= output and self.gradients <= gradients)

    def __str__(self) -> str:
        said = ("equal" if self.equal else "NOT EQUAL") if self.judged else ""
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.part:12} {self.length:6,} {dtype:9} {self.backend} against {self.against}: "
            f"output {self.output:.1e}, gradients {self.gradients:.1e}  {said}"
        ).rstrip()


# The three operations


def _scan_given(length: int) -> list[Tensor]:
    u, B, C = (_normal(BATCH, length, n) for n in (WIDTH, STATE, STATE))
    dt = F.softplus(_normal(BATCH, length, WIDTH) - 3)
    return [u, dt, -_normal(WIDTH, STATE).exp(), B, C, _normal(WIDTH)]


def _scan_loop(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    state, out = u.new_zeros(len(u), *A.shape), []  # (batch, E, N)
    for u_t, dt_t, B_t, C_t in zip(*(v.unbind(1) for v in (u, dt, B, C)), strict=True):
        state = (dt_t[..., None] * A).exp() * state + (dt_t * u_t)[..., None] * B_t[:, None]
        out.append((state * C_t[:, None]).sum(-1) + D * u_t)
    return torch.stack(out, dim=1)  # (batch, T, E)


def _duality_given(length: int) -> list[Tensor]:
    heads = WIDTH // HEADDIM
    x, dt = _normal(BATCH, length, heads, HEADDIM), F.softplus(_normal(BATCH, length, heads) - 3)
    B, C = (_normal(BATCH, length, 1, STATE) for _ in range(2))
    return [x, dt, -_normal(heads).exp(), B, C, _normal(heads)]


def _duality_loop(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    state, out = x.new_zeros(*x[:, 0].shape, B.shape[-1]), []  # (batch, H, P, N)
    for x_t, dt_t, B_t, C_t in zip(*(v.unbind(1) for v in (x, dt, B, C)), strict=True):
        new = (dt_t[..., None] * x_t)[..., None] * B_t[:, :, None]
        state = (dt_t * A).exp()[..., None, None] * state + new
        out.append((state * C_t[:, :, None]).sum(-1) + D[:, None] * x_t)
    return torch.stack(out, dim=1)  # (batch, T, H, P)


def _conv_given(length: int) -> list[Tensor]:
    return [_normal(BATCH, length, WIDTH), _normal(WIDTH, KERNEL), _normal(WIDTH)]


def _conv_run(x: Tensor, weight: Tensor, bias: Tensor, backend: kernels.Backend) -> Tensor:
    module = CausalConv(WIDTH, KERNEL, backend)
    weights = {"conv.weight": weight[:, None, None], "conv.bias": bias}
    y: Tensor = functional_call(module, weights, (x,))
    return y


def _conv_loop(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = []
    for t in range(x.shape[1]):
        seen = range(max(0, t - KERNEL + 1), t + 1)
        out.append(bias + sum(weight[:, KERNEL - 1 - (t - s)] * x[:, s] for s in seen))
    return torch.stack(out, dim=1)  # (batch, T, E)


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


PARTS = (
    Part("scan", _scan_given, lambda *v, backend: selective_scan(*v, backend=backend),
         _scan_loop, halves=(0, 3, 4)),
    Part("duality", _duality_given, lambda *v, backend: ssd(*v, backend=backend),
         _duality_loop, halves=(0, 3, 4)),
    Part("convolution", _conv_given, lambda *v, backend: _conv_run(*v, backend),
         _conv_loop, halves=(0,)),
)  # fmt: skip


# Proof and times


def inputs(part: Part, length: int, device: str, dtype: torch.dtype) -> list[Tensor]:
    """What `part` is given, drawn anew from its length, as autocast to `dtype` would leave it."""
    torch.manual_seed(length)
    half = dtype == torch.bfloat16
    given = []
    for place, tensor in enumerate(part.given(length)):
        kind = (dtype if place in part.halves else torch.float32) if half else dtype
        given.append(tensor.to(device, kind).requires_grad_())
    return given


def outcome(part: Part, given: list[Tensor], backend: str) -> list[Tensor]:
    """The output and the gradient of each input, by a backend or by the loop."""
    device = given[0].device.type
    if backend == "loop":
        y = part.loop(*given)
    else:
        half = any(v.dtype == torch.bfloat16 for v in given)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            y = part.run(*given, backend=backend)
    towards = torch.linspace(-1, 2, y.numel(), device=device).reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, given, towards)]


def check(
    part: Part,
    length: int,
    device: str,
    dtype: torch.dtype,
    backend: str,
    against: str,
    judged: bool = True,
) -> Check:
    """`backend` compared with another backend on the same device, or with the loop in float64."""
    given = inputs(part, length, device, dtype)
    found = outcome(part, given, backend)
    if against == "loop":
        given = [v.detach().cpu().double().requires_grad_() for v in given]
    expected = outcome(part, given, against)
    errors = []
    for one, other in zip(found, expected, strict=True):
        one, other = one.double().cpu(), other.double().cpu()
        errors.append(float((one - other).norm() / other.norm()))
    # A number that is none is larger than any other, so that it is no equality.
    errors = [error if error == error else float("inf") for error in errors]
    return Check(part.name, length, dtype, backend, against, errors[0], max(errors[1:]), judged)


def seconds(
    part: Part, length: int, device: str, dtype: torch.dtype, backend: str, turns: int = 5
) -> float:
    """The median time of forward and backward together."""
    given = inputs(part, length, device, dtype)
    taken = []
    for _ in range(turns + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        outcome(part, given, backend)
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def prove(
    device: str,
    dtype: torch.dtype,
    backend: str,
    against: str,
    lengths: tuple[int, ...],
    judged: bool = True,
) -> bool:
    """Every part at every length, a line each; whether all are equal."""
    made = [check(p, n, device, dtype, backend, against, judged) for p in PARTS for n in lengths]
    print("\n".join(map(str, made)), flush=True)
    return all(one.equal for one in made)


def show_times(
    device: str, dtype: torch.dtype, backends: tuple[str, str], lengths: tuple[int, ...]
) -> None:
    """Forward and backward by both, a line a part and length."""
    for part in PARTS:
        for length in lengths:
            first, second = (seconds(part, length, device, dtype, b) for b in backends)
            print(
                f"{part.name:12} {length:6,}  {backends[0]} {1000 * first:8.2f} ms, "
                f"{backends[1]} {1000 * second:8.2f} ms, {second / first:.1f} times",
                flush=True,
            )


# The build


def only_for(setup: str, architecture: str) -> str:
    """A setup.py that compiles for one architecture ("90") in place of all that nvcc knows.

    Raises ValueError when it does not look as those of the two packages do.
    """
    begins, appends = (
        "cc_flag = []",
        r'cc_flag\.append\("(-gencode|arch=compute_\d+,code=sm_\d+)"\)',
    )
    flags = f'cc_flag = ["-gencode", "arch=compute_{architecture},code=sm_{architecture}"]'
    changed = re.sub(appends, "pass", setup).replace(begins, flags)
    if changed.count("-gencode") != 1 or changed.count("arch=compute") != 1:
        raise ValueError("this setup.py has another list of architectures than was expected")
    return changed


def build() -> None:
    """causal-conv1d and mamba-ssm, from source, and what mamba-ssm imports as it starts.

    Raises CalledProcessError when a command fails, and SystemExit when there is no nvcc.
    """
    if shutil.which("nvcc") is None and not os.environ.get("CUDA_HOME"):
        sys.exit("There is no nvcc here, and no CUDA_HOME that has one; the kernels want both.")
    pip = [sys.executable, "-m", "pip"]
    alone = ["--quiet", "--no-build-isolation", "--no-deps"]
    peers = (ROOT / "tests/bench/requirements-bench.txt").read_text(encoding="utf-8").split("\n")
    # transformers with its own, and einops; the packages that are only timed are not wanted here.
    wanted = [
        line for line in peers if "==" in line and not line.startswith(("deepecgkit", "mamba"))
    ]
    subprocess.run([*pip, "install", "--quiet", "ninja", "wheel"], check=True)
    subprocess.run([*pip, "install", "--quiet", "--no-deps", *wanted], check=True)
    names = [name.partition("==")[0].replace("-", "_").upper() for name in BUILT]
    names = [name.replace("MAMBA_SSM", "MAMBA") for name in names]
    forced = {f"{name}_FORCE_BUILD": "TRUE" for name in names}  # no wheel from elsewhere
    skipped = {f"{name}_SKIP_CUDA_BUILD": "TRUE" for name in names}
    major, minor = torch.cuda.get_device_capability()
    with tempfile.TemporaryDirectory() as place:
        for package in BUILT:
            folder = Path(place) / package.partition("==")[0]
            fetch = [*pip, "download", *alone, "--no-binary", ":all:", "-d", str(folder), package]
            subprocess.run(fetch, check=True, env=os.environ | forced | skipped)
            (archive,) = folder.glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            setup = next(folder.glob("*/setup.py"))
            text = only_for(setup.read_text(encoding="utf-8"), f"{major}{minor}")
            setup.write_text(text, encoding="utf-8")
            print(f"building {package}, minutes long", flush=True)
            make = [*pip, "install", *alone, str(setup.parent)]
            subprocess.run(make, check=True, env=os.environ | forced | compilers())


def compilers() -> dict[str, str]:
    """One job a core, and where torch's own CUDA packages keep headers that nvcc may lack."""
    nvidia = Path(sysconfig.get_path("purelib")) / "nvidia"
    paths = {"CPATH": "include", "LIBRARY_PATH": "lib"}
    found = {"MAX_JOBS": str(os.cpu_count() or 1)}
    for name, inside in paths.items():
        folders = [str(folder) for folder in sorted(nvidia.glob(f"*/{inside}"))]
        found[name] = os.pathsep.join([*folders, *filter(None, [os.environ.get(name)])])
    return found


# The two halves


def on_cpu(lengths: tuple[int, ...]) -> bool:
    """The torch code against the loop."""
    equal = [
        prove("cpu", dtype, "torch", "loop", lengths) for dtype in (torch.float64, torch.float32)
    ]
    show_times("cpu", torch.float32, ("torch", "loop"), lengths)
    print(
        "There is no CUDA GPU here. On one, causal-conv1d and mamba-ssm would have been built, "
        "their kernels compared with the torch code in float32 and bfloat16 and timed at "
        f"{', '.join(f'{n:,}' for n in LENGTHS)} tokens, and `pecg run {' '.join(CHAPTER)}` run."
    )
    return all(equal)


def on_gpu(what: str) -> bool:
    """One part of the proof on the GPU, in a process that has its own settings of triton."""
    if what == "times":
        print("as a run has it, with triton's tf32: errors, then forward and backward in float32")
        prove("cuda", torch.float32, "mamba-ssm", "torch", LENGTHS, judged=False)
        show_times("cuda", torch.float32, ("mamba-ssm", "torch"), LENGTHS)
        return True
    dtype = getattr(torch, what)
    equal = prove("cuda", dtype, "mamba-ssm", "torch", LENGTHS)
    if dtype == torch.float32:  # of a loop in float64, bfloat16 has not as many digits
        equal = prove("cuda", dtype, "torch", "loop", LENGTHS[:1]) and equal
    return equal


def main(arguments: list[str]) -> int:
    if not torch.cuda.is_available():
        return 0 if on_cpu(SHORT) else 1
    if arguments:
        return 0 if on_gpu(arguments[0]) else 1
    if "torch" in kernels.state():
        build()
    itself = [sys.executable, __file__]
    equal = True
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    for what, settings in (("float32", EXACT), ("bfloat16", EXACT), ("times", {})):
        equal &= subprocess.run([*itself, what], env=os.environ | settings).returncode == 0
    if not equal:
        print("The backends are not equal, or one could not run; the chapter was not run.")
        return 1
    pecg = [sys.executable, "-c", "from pecg_utils.cli import main; main()"]
    return subprocess.run([*pecg, "run", *CHAPTER], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
