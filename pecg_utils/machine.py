"""What this machine is and can do: for each run's record, and for `pecg doctor`."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pecg_utils import places

# The packages whose version can change a number.
PACKAGES = (
    "torch",
    "lightning-fabric",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "iterative-stratification",
    "wfdb",
    "papermill",
    "matplotlib",
    "jupyter-book",
)


def versions() -> dict[str, str]:
    """Python's version and each package's."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def facts() -> dict[str, Any]:
    """The machine: processor, cores, memory in GiB, GPU, system. No name and no path."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib("MemTotal"),
        "gpu": gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "state_space": state_space_backend(),
    }


def gpu() -> str:
    """The GPU's name, or 'none'."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def state_space_backend() -> str:
    """Which code runs the state-space models here."""
    import torch

    from pecg_utils.models import kernels

    if not torch.cuda.is_available():
        return "torch, on the processor"
    return kernels.state()


def peak_memory_mib() -> float:
    """The most memory that this process has held, MiB."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def doctor(folders: list[Path]) -> list[tuple[str, str]]:
    """What `pecg doctor` prints, as (what, fact): versions, device, disk, memory, datasets."""
    from pecg_utils.train import has_bf16

    rows = list(versions().items())
    known = facts()
    rows += [
        ("processor", f"{known['processor']}, {known['cores']} cores"),
        ("GPU", known["gpu"]),
        ("bf16 in hardware", "yes" if has_bf16() else "no"),
        ("state-space models", known["state_space"]),
        ("memory", f"{_memory_gib('MemAvailable')} of {known['memory_gib']} GiB free"),
        ("disk", f"{shutil.disk_usage(places.work()).free / 2**30:.1f} GiB free"),
    ]
    found = [row for folder in [places.work() / "_data", *folders] for row in _datasets(folder)]
    return rows + (found or [("datasets", "none found; pecg run writes a twin")])


def _datasets(folder: Path) -> list[tuple[str, str]]:
    from pecg_utils.data import open_dataset
    from pecg_utils.errors import PecgError

    marks = {"AttributesDictionary.csv": "zzu", "ptbxl_database.csv": "ptbxl"}
    found = []
    for mark, name in marks.items():
        places = (path for depth in ("", "*/", "*/*/") for path in folder.glob(depth + mark))
        for path in sorted(places):
            try:
                dataset = open_dataset(name, path.parent)
                what = f"{dataset.kind}, {len(dataset.table):,} recordings"
            except PecgError as error:
                what = str(error)
            found.append((f"dataset {name}", f"{path.parent}: {what}"))
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib(what: str) -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(what + ":"):
                return round(int(line.split()[1]) / 2**20, 1)
    except OSError:
        pass
    return float("nan")


def revision() -> str:
    """The git revision, with '+ changes' where the code differs from it; 'unknown' outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "pecg_utils", "notebooks")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} + changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(places.PROJECT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
