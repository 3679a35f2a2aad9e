"""The project itself: its lists of dependencies agree, its tools pass, its imports point down."""

import ast
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pecg_utils import places

ROOT = places.PROJECT
BIN = Path(sys.executable).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
LOCKED = [*PYPROJECT["project"]["dependencies"], *EXTRAS["test"]]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# A module imports from its own line and the lines below it, never from one above. Modules of one
# line do not import each other, but for the files of a package.
ORDER = [
    ["cli"],
    ["run", "report"],
    ["findings"],
    ["kept", "small_findings"],
    ["kept_models", "kept_peace", "kept_small"],
    ["transfer_words"],
    ["rhythm_words", "mrmnet_words", "peace_words", "small_words", "epoch_rules"],
    ["words"],
    ["twin_pages", "preparations"],
    ["transfer_real", "transfer_audits", "small_audits", "small_tables"],
    ["transfer_study", "small_study"],
    ["ledger"],
    ["mrmnet_plots"],
    [
        "augment_plots",
        "state_plots",
        "peace_picture",
        "transfer_plots",
        "challenge_plots",
        "children_plots",
        "choosing_plots",
        "comparison_plots",
        "contrast_plots",
        "electrogram_plots",
        "filter_plots",
        "resolution_plots",
        "small_plots",
    ],
    ["claims", "plots", "cards", "sources"],
    [
        "ablation",
        "children",
        "comparison",
        "label_words",
        "picked",
        "sample_wise",
        "shared_windows",
    ],
    ["label_words", "transfer_asked"],
    ["asked", "noisy_test", "presence", "resolutions", "subgroups"],
    ["trial", "likeness"],
    ["lessons", "reloaded"],
    ["adapting"],
    ["protocol", "challenge_thresholds"],
    ["challenge_score", "one_label", "st_levels"],
    ["diagrams", "bootstrap", "machine", "states", "electrograms", "marked_waves"],
    ["train", "metrics", "ranks"],
    ["objectives"],
    ["domain", "transfers"],
    [
        "alignment",
        "augment",
        "chapters",
        "contrastive",
        "cost",
        "descriptors",
        "losses",
        "mutual",
        "text_vectors",
        "weights",
    ],
    ["keys", "measure", "models", "data", "twins"],
    ["signal", "beats", "filters", "progress", "places", "markdown", "precise"],
    ["files"],
    ["errors"],
]


def git(*arguments):
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return done.stdout


def pins():
    """The lock's lines, by name: a package may have one line a Python or a system."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


@pytest.mark.parametrize("wanted", LOCKED)
def test_every_dependency_is_pinned_within_its_range(wanted):
    requirement = Requirement(wanted)
    found = pins()[canonicalize_name(requirement.name)]
    for pin in found:
        (exactly,) = pin.specifier
        assert exactly.operator == "=="
        assert requirement.specifier.contains(exactly.version)


def test_the_lock_pins_each_package_once_a_platform_and_nothing_of_one_machine():
    for name, found in pins().items():
        markers = [str(pin.marker) for pin in found]
        assert len(set(markers)) == len(markers), name
        assert all("+" not in str(pin.specifier) for pin in found), name
        assert all(pin.url is None for pin in found), name
        assert not re.match(r"nvidia-|cuda-|triton", name)
    assert not set(pins()) & {"torchvision", "torchaudio", "mamba-ssm", "causal-conv1d"}


def test_conda_asks_for_python_and_for_the_project_with_extras_that_exist():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, last = environment["dependencies"]
    names = [re.split("[=<>]", entry)[0] for entry in conda]
    assert names == ["python", "pip"]
    version = conda[0].partition("=")[2].strip("=")
    assert Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier.contains(
        f"{version}.0"
    )
    (line,) = last["pip"]
    extras = re.fullmatch(r"-e \.\[(.+)\]", line)[1].split(",")
    assert {extra.strip() for extra in extras} <= set(EXTRAS)


def test_every_dependency_has_a_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for wanted in [*LOCKED, *EXTRAS["gpu"]]:
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f'"{wanted}"'))
        reason = line.partition("#")[2].strip()
        assert len(reason) > 3, f"{wanted} is there for no stated reason"


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_that_is_imported_is_declared():
    modules = {"sklearn": "scikit-learn", "iterstrat": "iterative-stratification"}
    modules |= {"yaml": "pyyaml", "pywt": "PyWavelets"}
    declared = {
        canonicalize_name(Requirement(w).name) for w in PYPROJECT["project"]["dependencies"]
    }
    declared |= {"ipython"}  # of ipykernel
    for path in (ROOT / "pecg_utils").rglob("*.py"):
        for name in imported_names(path):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top == "pecg_utils":
                continue
            package = canonicalize_name(modules.get(top, top))
            assert package in declared, f"{path.name} imports {name}"


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_the_code_is_clean(command):
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_notebooks_have_no_outputs():
    keys = re.search(r'--extra-keys "([^"]+)"', MAKEFILE)[1]
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    command = [BIN / "nbstripout", "--verify", "--extra-keys", keys, *notebooks]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_in_git_is_large():
    for line in git("ls-tree", "-r", "-l", "HEAD").splitlines():
        size, name = line.split(maxsplit=4)[3:]
        assert int(size) <= 1500 * 1024, f"{name} has {size} bytes"
    for name in git("ls-files", "-z").split("\0"):
        path = ROOT / name
        assert not path.is_file() or path.stat().st_size <= 1500 * 1024, name


def test_nothing_that_a_run_writes_is_in_git():
    written = ("_data", "_runs", "_build", "book/papers", "book/generated", ".venv")
    assert git("ls-files", *written) == ""
    ignored = git("check-ignore", *(f"{folder}/x" for folder in written)).split()
    assert len(ignored) == len(written)


def test_make_help_lists_every_target():
    targets = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE)
    assert {"book", "test", "bench", "doctor", "help"} <= set(targets)
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = dict(line.split(maxsplit=1) for line in listed.stdout.splitlines())
    assert sorted(lines) == sorted(targets)
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, flags=re.MULTILINE)[1].split()
    assert sorted(phony) == sorted(targets)


def layer(module):
    for number, names in enumerate(ORDER):
        if module in names:
            return number
    raise AssertionError(f"{module} has no place in the order of imports")


def modules():
    """Each module under pecg_utils with what it imports of the package, by first name."""
    package = ROOT / "pecg_utils"
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        known = {name for names in ORDER for name in names}
        parts = [n.split(".") for n in imported_names(path) if n.startswith("pecg_utils.")]
        yield path, own, {p[1] for p in parts if p[1] in known or len(p) > 2} - {own}


def test_imports_point_downwards_only():
    seen = set()
    for path, own, imported in modules():
        seen.add(own)
        for other in imported:
            assert layer(other) > layer(own), f"{path.name} imports {other}, which is not below it"
    assert seen == {name for names in ORDER for name in names}


def test_the_command_starts_quickly_and_without_torch():
    code = (
        "import sys, pecg_utils.cli; "
        "print([n for n in ('torch', 'pandas', 'matplotlib', 'papermill') if n in sys.modules])"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - begun < 1.0
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["run", "report", "ledger", "trial", "plots", "words", "models", "data", "chapters"]
)
def test_torch_is_imported_only_where_it_is_needed(module):
    code = f"import sys, pecg_utils.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_module_is_long():
    for path in (ROOT / "pecg_utils").rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.name
