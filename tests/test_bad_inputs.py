"""Every reader against damaged files of every kind: a named error or a named exclusion, no more.

Each case damages one file of a small dataset that its reader reads without a fault. Afterwards
the dataset either is refused with one sentence, or the damaged recording is excluded by name, or
its faults are noted; and it takes neither long nor much memory.
"""

import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pecg_utils.data import open_dataset, quality
from pecg_utils.errors import PecgError
from pecg_utils.twins import pe
from pecg_utils.twins import zzu as twin

Real = Callable[[str], Path]
Made = Callable[[str, Path], Path]


def copy(source: Path, target: Path, *patterns: str) -> Path:
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return target


def ptbxl(real: Real, folder: Path) -> Path:
    source = real("ptb-xl")
    copy(source, folder, "scp_statements.csv", "records500/00000/0000[123]_hr.*")
    listed = (source / "ptbxl_database.csv").read_text().splitlines(keepends=True)
    (folder / "ptbxl_database.csv").write_text("".join(listed[:4]))
    return folder


def ludb(real: Real, folder: Path) -> Path:
    copy(real("ludb"), folder, "data/[12].hea", "data/[12].dat")
    listed = (real("ludb") / "ludb.csv").read_text()
    (folder / "ludb.csv").write_text(listed[: listed.index("\n3,") + 1])
    return folder


def hospitals(real: Real, folder: Path) -> Path:
    for make, name in ((ptbxl, "ptb-xl"), (ludb, "a")):
        (folder / name).mkdir()
        make(real, folder / name)
    return folder


def cpsc2018(real: Real, folder: Path) -> Path:
    del real
    signal = np.random.default_rng(0).normal(0, 0.3, (12, 3500))
    for i in (1, 2):
        struct = {"sex": "Male", "age": 50.0 + i, "data": signal + 0.01 * i}
        savemat(folder / f"A000{i}.mat", {"ECG": struct}, do_compression=True)
    head = "Recording,First_label,Second_label,Third_label"
    (folder / "REFERENCE.csv").write_text(f"{head}\nA0001,1,,\nA0002,2,,\n")
    return folder


# name of the reader: how its small folder is made, and the file of it that is damaged, by kind
SETS: dict[str, tuple[Callable[[Real, Path], Path], dict[str, str]]] = {
    "zzu": (
        lambda real, folder: twin.write(folder / "twin", 24),
        {"csv": "AttributesDictionary.csv", "codes": "ECGCode.csv", "hea": "*.hea", "dat": "*.dat"},
    ),
    "ptbxl": (
        ptbxl,
        {
            "csv": "ptbxl_database.csv",
            "codes": "scp_statements.csv",
            "hea": "*.hea",
            "dat": "*.dat",
        },
    ),
    "challenge": (
        lambda real, folder: copy(
            real("challenge-2021"),
            folder,
            "training/ptb-xl/g1/HR0000[123].*",
            "training/ptb/g1/S0001.*",
        ),
        {"hea": "HR*.hea", "mat": "HR*.mat"},
    ),
    "cpsc2018": (cpsc2018, {"csv": "REFERENCE.csv", "mat": "*.mat"}),
    "ludb": (ludb, {"csv": "ludb.csv", "hea": "*.hea", "dat": "*.dat"}),
    "hospitals": (
        hospitals,
        {"csv": "ptbxl_database.csv", "more": "ludb.csv", "hea": "*.hea", "dat": "*.dat"},
    ),
    "mitdb": (
        lambda real, folder: copy(real("mitdb"), folder, "10[01].*"),
        {"hea": "*.hea", "dat": "*.dat", "atr": "*.atr"},
    ),
    "pe": (
        lambda real, folder: pe.write(folder / "twin", 3),
        {"csv": "recordings.csv", "hea": "*.hea", "dat": "*.dat"},
    ),
}


def flipped(stored: bytes) -> bytes:
    """Forty random bits turned, ten of them in the first kilobyte."""
    dice = random.Random(len(stored))
    turned = bytearray(stored)
    for i in range(40):
        place = dice.randrange(min(len(turned), 1024) if i < 10 else len(turned))
        turned[place] ^= 1 << dice.randrange(8)
    return bytes(turned)


def in_its_place(path: Path, what: str) -> None:
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a link to itself":
        path.symlink_to(path.name)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "padded": lambda path: path.write_bytes(path.read_bytes() + bytes(1001)),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "UTF-16": lambda path: path.write_bytes("Größe 5,0 mV\n".encode("utf-16") * 40),
    "Latin-1": lambda path: path.write_bytes(path.read_bytes().replace(b"e", b"\xe9")),
    "gone": lambda path: in_its_place(path, "nothing"),
    "a folder": lambda path: in_its_place(path, "a folder"),
    "a link to itself": lambda path: in_its_place(path, "a link to itself"),
}
CASES = [(name, kind, damage) for name in SETS for kind in SETS[name][1] for damage in DAMAGE]


@pytest.fixture(scope="module")
def made(real: Real, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Copies a dataset's small folder, made once, into a folder of the test's own."""
    there: dict[str, Path] = {}

    def give(name: str, folder: Path) -> Path:
        if name not in there:
            there[name] = SETS[name][0](real, tmp_path_factory.mktemp(name))
        return Path(shutil.copytree(there[name], folder / name))

    return give


def victim(root: Path, pattern: str) -> Path:
    return sorted(root.rglob(pattern))[0]


@pytest.mark.parametrize("name", SETS)
def test_the_small_sets_are_sound(made: Made, tmp_path: Path, name: str) -> None:
    report = quality.inspect(open_dataset(name, made(name, tmp_path)))
    assert report.checked >= 2
    assert report.excluded == []


def outcome(name: str, root: Path) -> quality.Report | str:
    """What was found, or the sentence with which the folder is refused."""
    try:
        return quality.inspect(open_dataset(name, root))
    except PecgError as error:
        return str(error)


@pytest.mark.parametrize(("name", "kind", "damage"), CASES, ids=map(" ".join, CASES))
def test_damage(made: Made, tmp_path: Path, name: str, kind: str, damage: str) -> None:
    root = made(name, tmp_path)
    before = quality.inspect(open_dataset(name, root))
    path = victim(root, SETS[name][1][kind])
    DAMAGE[damage](path)
    found = outcome(name, root)
    if isinstance(found, str):
        assert kind in ("csv", "codes", "more"), (
            f"one bad recording refuses the whole dataset: {found}"
        )
        assert "\n" not in found
        assert path.stem in found or str(root) in found
        return
    if kind in ("csv", "codes", "more"):
        return
    record = {"ptbxl": "1", "hospitals": "ludb-1"}.get(name, path.stem)
    assert set(found.excluded) <= {record}
    if damage in ("empty", "gone", "a folder", "a link to itself"):
        listed = kind == "hea" and name in ("challenge", "mitdb")  # headers are their only list
        fewer = listed and damage == "gone" and found.checked == before.checked - 1
        assert found.excluded == [record] or fewer
    for fault in found.faults:
        assert "\n" not in fault.detail
        assert "Traceback" not in fault.detail


@pytest.mark.parametrize("name", ["zzu", "ptbxl", "challenge", "ludb", "mitdb", "pe"])
@pytest.mark.parametrize("length", ["5000000000", "-1", "99999999999999999999"])
def test_a_header_that_promises_gigabytes(
    made: Made, tmp_path: Path, name: str, length: str
) -> None:
    root = made(name, tmp_path)
    header = victim(root, SETS[name][1]["hea"])
    first, *rest = header.read_text().splitlines()
    words = first.split()
    words[3] = length
    header.write_text("\n".join([" ".join(words), *rest]) + "\n")
    program = """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        from pecg_utils.data import open_dataset, quality
        print(*quality.inspect(open_dataset(sys.argv[1], sys.argv[2])).excluded)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), name, str(root)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["1" if name == "ptbxl" else header.stem]


@pytest.mark.parametrize("named", ["../../secret", "/etc/passwd", "a/../../b", "", "x\0y"])
def test_a_table_that_leads_out_of_the_folder(made: Made, tmp_path: Path, named: str) -> None:
    root = made("ptbxl", tmp_path)
    table = root / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("records500/00000/00002_hr", named))
    report = quality.inspect(open_dataset("ptbxl", root))
    assert report.excluded == ["2"]
