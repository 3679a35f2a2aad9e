"""The program behind `make gpu`: its half without a GPU, and what it does to a build."""

import dataclasses
import shutil
import subprocess
import sys
import tarfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pecg_utils.models.ssm import ssd


@pytest.fixture
def prove(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, on a machine that has no GPU whatever this one has."""
    spec = spec_from_file_location("prove", Path(__file__).parent / "gpu" / "prove.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prove", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(module, "SHORT", (17,))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)


def test_without_a_gpu_the_torch_code_is_compared_with_a_loop(prove, capsys) -> None:
    assert prove.main([]) == 0
    said = capsys.readouterr().out
    assert said.count("torch against loop") == 6  # three parts in two dtypes
    assert "NOT EQUAL" not in said
    assert "There is no CUDA GPU here. On one, causal-conv1d and mamba-ssm would" in said
    assert "`pecg run cnn_ecg_mamba --profile paper` run" in said


@pytest.mark.parametrize("name", ["scan", "duality", "convolution"])
@pytest.mark.parametrize("wrong", ["output", "gradient", "no number"])
def test_a_wrong_backend_is_caught(prove, monkeypatch, capsys, name: str, wrong: str) -> None:
    """The kernels' place is taken by the torch code, right at first, and then off by a little."""

    class Slip(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.by = 1.02 if y.dtype == torch.bfloat16 else 1.001
            return y * {"output": ctx.by, "gradient": 1.0, "no number": float("nan")}[wrong]

        @staticmethod
        def backward(ctx, dy):
            return dy * (ctx.by if wrong == "gradient" else 1.0)

    def with_kernel(part, slip):
        def run(*given, backend):
            y = part.run(*given, backend="torch")
            return slip(y) if backend == "mamba-ssm" else y

        return dataclasses.replace(part, run=run)

    right, first = prove.PARTS, [p for p in prove.PARTS if p.name == name]
    for dtype in (torch.float32, torch.bfloat16):
        for slip, equal in ((lambda y: y, True), (Slip.apply, False)):
            monkeypatch.setattr(prove, "PARTS", [with_kernel(p, slip) for p in first])
            assert prove.prove("cpu", dtype, "mamba-ssm", "torch", (17,)) is equal
    assert "NOT EQUAL" in capsys.readouterr().out
    monkeypatch.setattr(prove, "PARTS", [with_kernel(p, Slip.apply) for p in right])
    assert prove.prove("cpu", torch.float32, "mamba-ssm", "torch", (17,), judged=False)


def test_a_wrong_torch_code_ends_with_one(prove, monkeypatch, capsys) -> None:
    monkeypatch.setattr(prove, "ssd", lambda *v, backend: ssd(*v, backend=backend) * 1.001)
    assert prove.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if "NOT EQUAL" in line} == {"duality"}


SETUP = """\
import torch
if True:
    cc_flag = []
    if False:
        cc_flag.append("-DBUILD_PYTHON_PACKAGE")
    else:
        cc_flag.append("-gencode")
        cc_flag.append("arch=compute_75,code=sm_75")
        if True:
            cc_flag.append("-gencode")
            cc_flag.append("arch=compute_100,code=sm_100")
    extra_compile_args = ["-O3"] + cc_flag  # and of other makers --offload-arch=native
"""


def test_the_build_is_for_one_architecture(prove) -> None:
    names: dict[str, object] = {}
    exec(prove.only_for(SETUP, "90"), names)
    assert names["extra_compile_args"] == ["-O3", "-gencode", "arch=compute_90,code=sm_90"]
    for other in ("setup()", SETUP + "    cc_flag = []\n", SETUP.replace("sm_", "gfx")):
        with pytest.raises(ValueError, match="another list of architectures"):
            prove.only_for(other, "90")


def test_the_compilers_get_a_job_a_core_and_the_headers_of_torchs_packages(
    prove, monkeypatch, tmp_path
) -> None:
    for name in ("cu13/include", "cu13/lib", "nccl/include"):
        (tmp_path / "nvidia" / name).mkdir(parents=True)
    monkeypatch.setattr(prove.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(prove.os, "cpu_count", lambda: 16)
    monkeypatch.setenv("CPATH", "/usr/mine")
    monkeypatch.delenv("LIBRARY_PATH", raising=False)
    nvidia = tmp_path / "nvidia"
    assert prove.compilers() == {
        "MAX_JOBS": "16",
        "CPATH": f"{nvidia}/cu13/include:{nvidia}/nccl/include:/usr/mine",
        "LIBRARY_PATH": f"{nvidia}/cu13/lib",
    }


class Machine:
    """A machine with a GPU, as far as the program asks: it takes down every command."""

    def __init__(self, failing: str = "") -> None:
        self.commands: list[str] = []
        self.settings: list[dict[str, str]] = []
        self.setups: list[str] = []
        self.failing = failing

    def run(self, command, check=False, env=None, cwd=None):
        self.commands.append(" ".join(command))
        self.settings.append(env or {})
        if "download" in command:
            folder, package = Path(command[command.index("-d") + 1]), command[-1]
            (folder / "made").mkdir(parents=True)
            (folder / "made/setup.py").write_text(SETUP)
            with tarfile.open(folder / f"{package}.tar.gz", "w:gz") as packed:
                packed.add(folder / "made/setup.py", f"{package}/setup.py")
            shutil.rmtree(folder / "made")
        if command[-1].startswith("/") and "install" in command:
            self.setups.append((Path(command[-1]) / "setup.py").read_text())
        failed = bool(self.failing) and self.commands[-1].endswith(self.failing)
        return subprocess.CompletedProcess(command, int(failed))


@pytest.mark.parametrize("failing", ["", "bfloat16"])
def test_on_a_gpu_it_builds_proves_times_and_runs_the_chapter(
    prove, monkeypatch, capsys, failing: str
) -> None:
    machine = Machine(failing)
    monkeypatch.setattr(prove.subprocess, "run", machine.run)
    monkeypatch.setattr(prove.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(prove.kernels, "state", lambda: "scan by torch (there is none)")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert prove.main([]) == (1 if failing else 0)
    words = [c.split(" ", 1)[1].split("--quiet")[0].split()[-1] for c in machine.commands[:6]]
    assert words == ["install", "install", "download", "install", "download", "install"]
    assert "transformers==" in machine.commands[1]
    assert "deepecgkit" not in machine.commands[1]
    assert len(machine.setups) == 2
    assert all("arch=compute_90,code=sm_90" in setup for setup in machine.setups)
    assert machine.settings[3]["CAUSAL_CONV1D_FORCE_BUILD"] == "TRUE"
    assert machine.settings[5]["MAMBA_FORCE_BUILD"] == "TRUE"
    assert "MAMBA_SKIP_CUDA_BUILD" not in machine.settings[5]
    parts = machine.commands[6:9]
    assert [c.split()[-1] for c in parts] == ["float32", "bfloat16", "times"]
    exact = [env.get("TRITON_F32_DEFAULT") for env in machine.settings[6:9]]
    assert exact == ["ieee", "ieee", None]
    if failing:
        assert len(machine.commands) == 9
        assert "the chapter was not run" in capsys.readouterr().out
    else:
        assert machine.commands[9].endswith("run cnn_ecg_mamba --profile paper")


def test_no_compiler_is_said_in_one_sentence(prove, monkeypatch) -> None:
    monkeypatch.setattr(prove.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    with pytest.raises(SystemExit, match="There is no nvcc here"):
        prove.build()
