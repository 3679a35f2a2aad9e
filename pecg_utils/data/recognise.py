"""Which dataset a folder holds, and what of its release is missing."""

import hashlib
import re
from itertools import islice
from pathlib import Path

from pecg_utils import progress
from pecg_utils.data import challenge, cpsc2018, leipzig, ludb, mitdb, ptbxl, zzu
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

# dataset: how many recordings its release holds
RELEASES = {
    "zzu": zzu.RELEASE_RECORDINGS,
    "ptbxl": ptbxl.RELEASE_RECORDINGS[0],
    "challenge": challenge.RELEASE_RECORDINGS[2021],
    "cpsc2018": cpsc2018.RELEASE_RECORDINGS,
    "leipzig": leipzig.RELEASE_RECORDINGS,
    "ludb": ludb.RELEASE_RECORDINGS,
    "mitdb": mitdb.RELEASE_RECORDINGS,
}
_MARKS = {
    "zzu": "AttributesDictionary.csv",
    "ptbxl": "ptbxl_database.csv",
    "ludb": "ludb.csv",
    "leipzig": "children-subject-info.csv",
    "cpsc2018": "REFERENCE.csv",
    "mitdb": "100.hea",
    "pe": "recordings.csv",
}
_SUFFIXES = (".dat", ".mat")
HOSPITALS = ("challenge", "ptbxl", "ludb")  # what the dataset `hospitals` puts side by side
_HEADERS = 20  # that are looked into: the first one may be damaged


def recognise(folder: Path) -> str:
    """The name of the dataset in `folder`, by the files that only its release has.

    Raises PecgError when it is none that is known.
    """
    name = _by_mark(folder)
    if not name and len({release for release, _ in _below(folder)}) > 1:
        return "hospitals"
    if name := name or _by_search(folder):
        return name
    known = ", ".join(f"{mark} ({name})" for name, mark in _MARKS.items())
    raise PecgError(
        f"{folder} holds no dataset that is known: there is none of {known}, and no header with a "
        "line #Dx (challenge)."
    )


def releases_in(root: Path) -> dict[str, Path]:
    """Which of HOSPITALS lie in the subfolders of `root`, in that order, each with its folder.

    Raises PecgError when one is there twice.
    """
    found: dict[str, Path] = {}
    for name, folder in _below(root):
        if (other := found.setdefault(name, folder)) != folder:
            raise PecgError(
                f"{root} holds {name} twice, in {other.name} and {folder.name}; take one away."
            )
    return {name: found[name] for name in HOSPITALS if name in found}


def _below(root: Path) -> list[tuple[str, Path]]:
    folders = sorted(path for path in root.glob("*") if path.is_dir())
    named = [(_by_mark(folder) or _by_search(folder), folder) for folder in folders]
    return [(name, folder) for name, folder in named if name in HOSPITALS]


def _by_mark(folder: Path) -> str:
    return next((name for name, mark in _MARKS.items() if (folder / mark).is_file()), "")


def _by_search(folder: Path) -> str:
    if next(folder.rglob("REFERENCE.csv"), None):
        return "cpsc2018"
    headers = islice(folder.rglob("*.hea"), _HEADERS)
    return "challenge" if any(map(_has_dx, headers)) else ""


def _has_dx(header: Path) -> bool:
    try:
        text = header.read_text(errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^#\s*Dx\s*:", text, re.MULTILINE))


def missing(dataset: Dataset) -> list[str]:
    """What is missing of the release, a sentence each; nothing for a complete one.

    Files are looked for, and not opened. Where SHA256SUMS.txt lies in the folder of a release,
    every file that it lists is compared with it.
    """
    found = []
    listed, whole = len(dataset.table), RELEASES.get(dataset.name)
    if dataset.kind == "subset" and whole:  # a hospital's own recordings are part of no release
        found.append(f"{listed:,} of the release's {whole:,} recordings are listed.")
    paths = [dataset.root / str(path) for path in dataset.table["path"]]
    for what, suffixes in (("header", (".hea",)), ("signal file", _SUFFIXES)):
        gone = [p for p in paths if not any(p.with_name(p.name + s).is_file() for s in suffixes)]
        own_form = dataset.name == "cpsc2018" and bool(dataset.tables)
        if gone and not (what == "header" and own_form):  # the challenge's own files have none
            found.append(f"{len(gone):,} have no {what}; the first is {gone[0].name}.")
    if dataset.name != "hospitals":
        return found + _differing(dataset.root)
    there = releases_in(dataset.root)
    absent = [f"The release {name} is not there." for name in HOSPITALS if name not in there]
    for folder in there.values():
        found += [f"In {folder.name}: {sentence}" for sentence in _differing(folder)]
    return absent + found


def parts(dataset: Dataset) -> list[str]:
    """Where each release that `dataset` is put together from lies, a sentence each.

    Nothing for a dataset that is one release.
    """
    if dataset.name != "hospitals":
        return []
    where = dataset.table["path"].str.partition("/")[0]
    found = []
    for name, folder in releases_in(dataset.root).items():
        listed = int((where == folder.name).sum())
        of = "simulated" if (folder / "twin.json").exists() else f"of {RELEASES[name]:,}"
        found.append(f"{name} is in {folder.name}: {listed:,} recordings, {of}.")
    return found


def _differing(root: Path) -> list[str]:
    sums = root / "SHA256SUMS.txt"
    if not sums.is_file():
        return []
    lines = [line.split(maxsplit=1) for line in sums.read_text(errors="replace").splitlines()]
    pairs = [(line[0], root / line[1].lstrip("*")) for line in lines if len(line) == 2]
    gone, other = [], []
    for checksum, path in progress.track(pairs, len(pairs), "comparing with SHA256SUMS.txt"):
        if not path.is_file():
            gone.append(path.name)
            continue
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != checksum:
                other.append(path.name)
    found = []
    if gone:
        found.append(
            f"{len(gone):,} of the {len(pairs):,} files in SHA256SUMS.txt are not there; the first "
            f"is {gone[0]}."
        )
    if other:
        found.append(
            f"{len(other):,} files differ from SHA256SUMS.txt; the first is {other[0]}. Delete "
            "them, and fetch them again."
        )
    return found
