"""The datasets from where they are published, each file compared with its published checksum.

No checksum is kept here. PhysioNet lays `SHA256SUMS.txt` beside every release, and figshare lists
the files of an article with their MD5; that list is fetched first and stays in the folder. What is
already there with the right checksum is not fetched again, so the same command goes on after a
break.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import pooch
import requests

from pecg_utils import files
from pecg_utils.data import archives
from pecg_utils.data.transfer import Resuming, check_room
from pecg_utils.errors import PecgError
from pecg_utils.progress import say, track


@dataclass(frozen=True)
class Remote:
    """A file of a release. checksum: `sha256:...` or `md5:...`. size: bytes, where published."""

    name: str
    url: str
    checksum: str
    size: int | None = None


def physionet_files(text: str, address: str) -> list[Remote]:
    """The files in a SHA256SUMS.txt, which lie beside it. Raises ValueError with what is wrong."""
    if not text.endswith("\n"):
        raise ValueError("its last line is cut")
    base = address.rpartition("/")[0]
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *]?(\S.*)", line)
        if not match:
            raise ValueError(f"line {number} is no checksum with a name: {line[:80]!r}")
        found.append(Remote(match[2], f"{base}/{quote(match[2])}", f"sha256:{match[1]}"))
    return found


def figshare_files(text: str, address: str) -> list[Remote]:
    """The files in what figshare's API says of an article. Raises ValueError if it is none."""
    try:
        found = [
            Remote(
                str(file["name"]),
                str(file["download_url"]),
                f"md5:{file['computed_md5']}",
                int(file["size"]),
            )
            for file in json.loads(text)["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"it is no article of figshare's ({error!r})") from error
    for file in found:
        if not re.fullmatch(r"md5:[0-9a-f]{32}", file.checksum):
            raise ValueError(f"it gives no MD5 for {file.name}")
    return found


@dataclass(frozen=True)
class Release:
    """Where a dataset is published, and on what terms.

    page: where a person finds it. listing: the address of the list of its files, which is kept in
    the folder as `kept_as` and read by `read`. archive: the file to unpack, if there is one; its
    other parts are NAME.z01 and so on. at_least: bytes of all files, where the list gives none.
    """

    title: str
    page: str
    licence: str
    citation: str
    listing: str
    access: str = "open to all, without an account"
    read: Callable[[str, str], list[Remote]] = physionet_files
    kept_as: str = "SHA256SUMS.txt"
    archive: str = ""
    at_least: int = 0


_PHYSIONET = (
    "Goldberger et al. 2000, PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101:e215"
)

RELEASES = {
    "zzu": Release(
        title="ZZU-pECG, version 1",
        page="https://doi.org/10.6084/m9.figshare.27078763.v1",
        licence="CC BY 4.0",
        citation="Tan et al. 2025, Scientific Data 12:867, doi 10.1038/s41597-025-05225-z",
        listing="https://api.figshare.com/v2/articles/27078763/versions/1",
        read=figshare_files,
        kept_as="figshare.json",
        archive="Child_ecg.zip",
    ),
    "ptbxl": Release(
        title="PTB-XL 1.0.3",
        page="https://physionet.org/content/ptb-xl/1.0.3/",
        licence="CC BY 4.0",
        citation="Wagner et al. 2022, PTB-XL (version 1.0.3), PhysioNet, doi 10.13026/kfzx-aw45; "
        + _PHYSIONET,
        listing="https://physionet.org/files/ptb-xl/1.0.3/SHA256SUMS.txt",
        at_least=21_799 * 12 * (5000 + 1000) * 2,  # its samples at 500 and 100 Hz, 2 bytes each
    ),
    "challenge": Release(
        title="PhysioNet/CinC Challenge 2021, version 1.0.3",
        page="https://physionet.org/content/challenge-2021/1.0.3/",
        licence="CC BY 4.0",
        citation="Reyna et al. 2022, Will Two Do? Varying Dimensions in Electrocardiography: The "
        "PhysioNet/Computing in Cardiology Challenge 2021 (version 1.0.3), PhysioNet, "
        "doi 10.13026/34va-7q14; " + _PHYSIONET,
        listing="https://physionet.org/files/challenge-2021/1.0.3/SHA256SUMS.txt",
    ),
    "leipzig": Release(
        title="Leipzig Heart Center ECG-Database 1.0.0",
        page="https://physionet.org/content/leipzig-heart-center-ecg/1.0.0/",
        licence="ODC-By 1.0",
        citation="Klingel et al. 2024, Leipzig Heart Center ECG-Database: Arrhythmias in Children "
        "and Patients with Congenital Heart Disease (version 1.0.0), PhysioNet, "
        "doi 10.13026/7a4j-vn37; " + _PHYSIONET,
        listing="https://physionet.org/files/leipzig-heart-center-ecg/1.0.0/SHA256SUMS.txt",
    ),
    "ludb": Release(
        title="Lobachevsky University Database 1.0.1",
        page="https://physionet.org/content/ludb/1.0.1/",
        licence="ODC-By 1.0",
        citation="Kalyakulina et al. 2020, LUDB: A New Open-Access Validation Tool for "
        "Electrocardiogram Delineation Algorithms, IEEE Access 8:186181-186190, "
        "doi 10.1109/ACCESS.2020.3029211; " + _PHYSIONET,
        listing="https://physionet.org/files/ludb/1.0.1/SHA256SUMS.txt",
        at_least=24_564_712,  # all files that its list names
    ),
    "mitdb": Release(
        title="MIT-BIH Arrhythmia Database 1.0.0",
        page="https://physionet.org/content/mitdb/1.0.0/",
        licence="ODC-By 1.0",
        citation="Moody and Mark 2001, The impact of the MIT-BIH Arrhythmia Database, "
        "IEEE Eng in Med and Biol 20(3):45-50, doi 10.13026/C2F305; " + _PHYSIONET,
        listing="https://physionet.org/files/mitdb/1.0.0/SHA256SUMS.txt",
        at_least=48 * 650_000 * 3,  # its samples: two leads of 12 bits make 3 bytes
    ),
}
# What is published without checksums, and where to get it.
ELSEWHERE = {
    "cpsc2018": "its publisher gives no checksums. Get it from "
    "http://2018.icbeb.org/Challenge.html; fetching challenge gets its recordings too, in "
    "training/cpsc_2018",
}


def release(name: str) -> Release:
    """Where the dataset `name` is published. Raises PecgError when it cannot be fetched."""
    if name in ELSEWHERE:
        raise PecgError(f"{name} cannot be fetched by name: {ELSEWHERE[name]}.")
    if name not in RELEASES:
        raise PecgError(f"No dataset is called {name!r}; there are {', '.join(RELEASES)}.")
    return RELEASES[name]


def terms(published: Release) -> str:
    """What a person should know before the download: licence, access, and what to cite."""
    return (
        f"{published.title}, {published.page}\n"
        f"licence: {published.licence}\n"
        f"access: {published.access}\n"
        f"cite: {published.citation}"
    )


@dataclass(frozen=True)
class Patience:
    """How a server is asked. wait: seconds between two tries. at_once: files at the same time."""

    tries: int = 8
    wait: float = 5.0
    at_once: int = 4


def fetch(
    name: str,
    folder: Path,
    published: Release | None = None,
    patience: Patience = Patience(),
) -> Path:
    """Fetch the dataset `name` into `folder`, which its reader then opens, and unpack its archive.

    published: where it is, if not where RELEASES says. patience: how its server is asked.

    Raises PecgError when a file cannot be had or has another checksum than is published, when the
    list of files is malformed or names a file outside the folder, when the archive cannot be
    trusted, and when the disk has too little room. No half-written file is ever in place of a
    whole one; what has come of it is in NAME.part, from where the next call goes on.
    """
    published = published or release(name)
    folder = Path(os.path.expanduser(folder)).absolute()
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=patience.at_once))
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=patience.at_once))
        wanted = _listed(published, folder, session, patience)
        parts = [file for file in wanted if _is_part(file.name, published.archive)]
        if published.archive and published.archive not in {file.name for file in parts}:
            raise PecgError(f"{published.listing} does not list {published.archive} any more.")
        mark = "\n".join(
            f"{file.checksum} {file.name}" for file in sorted(parts, key=lambda f: f.name)
        )
        target = folder / Path(published.archive).stem
        if parts and target.exists():
            if archives.marked(target) != mark:
                raise PecgError(
                    f"{target} is there already and was not unpacked from this release. Give "
                    "another folder, or move it away."
                )
            wanted = [file for file in wanted if file not in parts]
            parts = []
        _check_room(published, folder, wanted, parts)
        _fetch_all(wanted, folder, session, patience)
    if parts:
        archives.unpack(folder / published.archive, target, mark)
        say(f"No longer needed in {folder}: {', '.join(file.name for file in parts)}.")
    return folder


def _is_part(name: str, archive: str) -> bool:
    stem = archive.removesuffix(".zip")
    return bool(archive) and re.fullmatch(rf"{re.escape(stem)}\.(zip|z\d\d+)", name) is not None


def _listed(
    published: Release, folder: Path, session: requests.Session, patience: Patience
) -> list[Remote]:
    """The files of the release, from the list in the folder, or fetched and then kept there."""
    kept = folder / published.kept_as
    if kept.is_file():
        return _read(published, kept, f"{kept}, from {published.listing},")
    with files.whole(kept) as scratch:
        # The list has no checksum that would tell two versions of it apart: it begins anew.
        getting = Resuming(kept, session, tries=patience.tries, wait=patience.wait)
        getting.part.unlink(missing_ok=True)
        getting(published.listing, scratch)
        return _read(published, scratch, published.listing)


def _read(published: Release, path: Path, called: str) -> list[Remote]:
    try:
        found = published.read(path.read_text(encoding="utf-8"), published.listing)
    except ValueError as error:
        raise PecgError(
            f"{called} is no list of files with checksums: {error}. Delete it if it is in the "
            "folder, and run again."
        ) from error
    if not found:
        raise PecgError(f"{called} lists no file.")
    seen = {published.kept_as}
    for file in found:
        if not archives.inside(file.name) or file.name in seen:
            raise PecgError(
                f"{called} names the file {file.name!r}, which is outside the folder or named "
                "twice; nothing was fetched."
            )
        seen.add(file.name)
    return found


def _check_room(
    published: Release, folder: Path, wanted: Sequence[Remote], parts: Sequence[Remote]
) -> None:
    """Raise PecgError before the first byte when the files surely do not fit on the disk."""
    have = 0
    for file in wanted:
        for place in (folder / file.name, folder / f"{file.name}.part"):
            have += place.stat().st_size if place.is_file() else 0
    sizes = sum(file.size or 0 for file in wanted)
    unpacked = sum(file.size or 0 for file in parts)  # what is in an archive is no smaller
    check_room(folder, max(sizes, published.at_least) - have + unpacked, published.title)


def _fetch_all(
    wanted: Sequence[Remote], folder: Path, session: requests.Session, patience: Patience
) -> None:
    pooch.get_logger().setLevel("ERROR")  # a line for each of 200,000 files is too much
    stop = Event()
    with ThreadPoolExecutor(patience.at_once) as pool:
        running = [
            pool.submit(_fetch_one, file, folder, session, patience, stop) for file in wanted
        ]
        try:
            for done in track(as_completed(running), len(running), "files"):
                done.result()
        except BaseException:  # Ctrl-C too: let nobody wait for the other files
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(
    file: Remote, folder: Path, session: requests.Session, patience: Patience, stop: Event
) -> None:
    target = folder / file.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            file.url,
            file.checksum,
            target.name,
            target.parent,
            downloader=Resuming(
                target, session, file.size, patience.tries, patience.wait, stop=stop
            ),
        )
    except OSError as error:
        raise PecgError(f"{target} could not be written: {error.strerror or error}.") from error
    except ValueError as error:
        got: Any = re.search(r"but got (\w+)", str(error))
        raise PecgError(
            f"{file.url} has another checksum than is published: {got[1] if got else error} "
            f"instead of {file.checksum}. It was deleted; run again to fetch it anew."
        ) from error
