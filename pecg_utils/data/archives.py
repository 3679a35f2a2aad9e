"""Zip archives, whole or split into parts, unpacked without trust in what they name.

A split archive is cut like a rope: `NAME.z01`, `NAME.z02` and so on, the end in `NAME.zip`. Its
directory, at the end, gives each member's place as a part's number and a position in that part.
Python's zipfile takes the position and ignores the number. So the parts are shown to it as one
file, whose directory is written anew with positions in the whole. Nothing is copied on the disk.
The parts may have 4 GB together; beyond that positions need zip64, which is refused when split.
"""

import bisect
import io
import itertools
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from pecg_utils import files
from pecg_utils.data.transfer import check_room
from pecg_utils.errors import PecgError
from pecg_utils.progress import track

RATIO = 100  # an archive of signals unpacks to some times its size; a bomb to a thousand times
MOST = 1 << 40  # bytes that an archive may unpack to
_END = struct.Struct("<4s4H2LH")  # what a zip ends with: where its directory is
_ENTRY = struct.Struct("<4s6H3L5H2L")  # a member in the directory, before its name


def inside(name: str) -> bool:
    """Whether the file `name`, with / between folders, stays in the folder it is put into."""
    path = PureWindowsPath(name)  # knows / and \ and drives, so it refuses the most
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in name


def unpack(
    archive: Path, target: Path, mark: str = "", most: int = MOST, ratio: int = RATIO
) -> None:
    """Unpack `archive`, NAME.zip, into the folder `target`, whole or not at all.

    A folder in the archive that is called as `target` is not doubled. mark: what `marked` gives
    back later. most, ratio: bytes unpacked, and bytes unpacked for each packed one.

    Raises PecgError when a part is missing or damaged, when a member would be put outside the
    folder or is a link, when it would unpack to too much, and when the disk has too little room.
    """
    try:
        with files.whole(target) as scratch, _opened(archive) as (zipped, packed):
            members = _members(zipped, archive, target.name)
            total = sum(info.file_size for info in members.values())
            if total > min(most, ratio * packed):
                raise PecgError(
                    f"{archive} has {packed} bytes and would unpack to {total}, which no archive "
                    "of recordings does; nothing of it was unpacked."
                )
            check_room(target.parent, total, f"Unpacking {archive.name}")
            scratch.mkdir()
            for place, info in track(members.items(), len(members), f"unpacking {archive.name}"):
                out = scratch / place
                if info.is_dir():
                    out.mkdir(parents=True, exist_ok=True)
                    continue
                out.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(info) as source, out.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
            (scratch / ".unpacked").write_text(mark, encoding="utf-8")
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        raise PecgError(
            f"{archive} or a part of it is damaged: {error}. Delete it and fetch it again."
        ) from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: a method or a password
        raise PecgError(f"{archive} cannot be unpacked here: {error}.") from error


def marked(target: Path) -> str | None:
    """The mark of the folder `target`; None when `unpack` did not make it."""
    mark = target / ".unpacked"
    return mark.read_text(encoding="utf-8") if mark.is_file() else None


def _members(zipped: zipfile.ZipFile, archive: Path, top: str) -> dict[str, zipfile.ZipInfo]:
    """The members by the places, below the target, that they go to."""
    found: dict[str, zipfile.ZipInfo] = {}
    doubled = all(name.split("/")[0] == top for name in zipped.namelist())
    for info in zipped.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        if not inside(info.filename) or mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise PecgError(
                f"{archive} names the member {info.filename!r}, which is a link or would not stay "
                "in the folder; nothing of it was unpacked."
            )
        path = PurePosixPath(info.filename)
        place = str(path.relative_to(top) if doubled else path)
        if place in found:
            raise PecgError(f"{archive} names the member {info.filename!r} twice.")
        if place != ".":
            found[place] = info
    return found


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """The archive, with its parts, and how many bytes all of them have."""
    with ExitStack() as stack:
        last = stack.enter_context(archive.open("rb"))
        end = _end(last)
        parts: list[tuple[BinaryIO, int]] = []
        for number in range(1, end[1] + 1):
            path = archive.with_suffix(f".z{number:02d}")
            if not path.is_file():
                raise PecgError(f"{archive} is the last of {end[1] + 1} parts; {path} is missing.")
            parts.append((stack.enter_context(path.open("rb")), path.stat().st_size))
        parts.append((last, archive.stat().st_size))
        whole = _joined(parts, end) if end[1] else last
        zipped = stack.enter_context(zipfile.ZipFile(whole))
        yield zipped, sum(size for _, size in parts)


def _end(last: BinaryIO) -> tuple[Any, ...]:
    """The end record: signature, part, part of the directory, members here, members, the
    directory's size, its position, length of a comment."""
    size = last.seek(0, io.SEEK_END)
    last.seek(max(0, size - _END.size - 0xFFFF))
    tail = last.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + _END.size:
        raise zipfile.BadZipFile("it does not end as a zip file ends")
    return _END.unpack_from(tail, at)


def _joined(parts: Sequence[tuple[BinaryIO, int]], end: tuple[Any, ...]) -> BinaryIO:
    """The parts as one file, with a directory that holds for it."""
    _, _, first, _, members, length, position, _ = end
    if 0xFFFF in (first, members) or 0xFFFFFFFF in (length, position):
        raise RuntimeError("it is split and of the zip64 kind; unpack it with 7-Zip")
    starts = [0, *itertools.accumulate(size for _, size in parts)]
    directory_at = starts[first] + position
    raw = io.BufferedReader(_Joined(parts))
    raw.seek(directory_at)
    directory = bytearray(raw.read(length))
    at = 0
    for _ in range(members):
        entry = _ENTRY.unpack_from(directory, at)
        part, place = entry[13], entry[16]
        if entry[0] != b"PK\1\2" or part >= len(parts):
            raise zipfile.BadZipFile("its directory is not where its end says")
        if starts[part] + place >= 0xFFFFFFFF or directory_at >= 0xFFFFFFFF:
            raise RuntimeError("it is split and over 4 GB; unpack it with 7-Zip")
        struct.pack_into("<H", directory, at + 34, 0)
        struct.pack_into("<L", directory, at + 42, starts[part] + place)
        at += _ENTRY.size + sum(entry[10:13])
    tail = bytes(directory) + _END.pack(b"PK\5\6", 0, 0, members, members, length, directory_at, 0)
    pieces = [
        (file, min(size, max(0, directory_at - start)))
        for (file, size), start in zip(parts, starts, strict=False)
    ]
    return io.BufferedReader(_Joined([*pieces, (io.BytesIO(tail), len(tail))]))


class _Joined(io.RawIOBase):
    """Files one after the other: of each as many bytes as are given beside it."""

    def __init__(self, pieces: Sequence[tuple[BinaryIO, int]]) -> None:
        self._pieces = pieces
        self._starts = [0, *itertools.accumulate(size for _, size in pieces)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._starts[-1])[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = bisect.bisect_right(self._starts, self._at) - 1
        if piece >= len(self._pieces):
            return 0
        file, start = self._pieces[piece][0], self._starts[piece]
        file.seek(self._at - start)
        data = file.read(min(len(view), self._starts[piece + 1] - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
