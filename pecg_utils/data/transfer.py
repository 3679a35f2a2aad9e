"""One file over HTTP, taken up again where it broke off.

pooch compares checksums and puts a file in place, but it begins every file anew. This downloader
is what pooch calls for the bytes. They go into `NAME.part` beside the file, which stays between
runs.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import requests

from pecg_utils.errors import PecgError
from pecg_utils.progress import track

MB = 1 << 20
_PIECE = 1 << 16  # bytes read at once; a break loses at most these
_BUSY = {429, 500, 502, 503, 504}  # answers that another try may mend


class _Again(Exception):
    """What went wrong, where another try may help."""


@dataclass(frozen=True)
class Resuming:
    """A pooch downloader for the file `target`.

    size: its bytes, where they are published. tries: how often it is asked for. wait: seconds
    between two tries. patience: seconds without a byte until a connection counts as broken. stop:
    set by another thread, ends the transfer.
    """

    target: Path
    session: requests.Session
    size: int | None = None
    tries: int = 8
    wait: float = 5.0
    patience: float = 60.0
    stop: Event = field(default_factory=Event)

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.target.with_name(self.target.name + ".part")

    def __call__(self, url: str, output_file: str | Path, _pooch: Any = None) -> None:
        """Fetch `url` and move it onto `output_file`.

        Raises PecgError when the server refuses the file or says another length than is
        published, when no try was enough, and when the disk has too little room.
        """
        reason = ""
        for attempt in range(self.tries):
            if attempt and self.stop.wait(self.wait):
                break
            try:
                self._take(url)
            except (_Again, requests.RequestException) as error:
                reason = _in_a_line(error)
            else:
                os.replace(self.part, output_file)
                return
        kept = f" What has come is kept in {self.part}; the same command goes on from there."
        raise PecgError(
            f"{url} could not be fetched in {self.tries} tries; the last one ended with: {reason}."
            + (kept if self.part.exists() else "")
        )

    def _take(self, url: str) -> None:
        """One try. It ends well only when the .part file is as long as was announced."""
        have = self.part.stat().st_size if self.part.exists() else 0
        if have and have == self.size:
            return
        # Without "identity" a server may compress what it sends, and positions mean nothing.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self.session.get(
            url, headers=headers, stream=True, timeout=(self.patience, self.patience)
        ) as answer:
            if answer.status_code == 416 and have:
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return  # nothing is left to send; the checksum judges what there is
                self.part.unlink()
                raise _Again("the server has no such range")
            have, total = self._announced(answer, url, have)
            if total is not None:
                check_room(self.target.parent, total - have, self.target.name)
            with self.part.open("ab" if have else "wb") as file:
                pieces = self._write(answer, file, have, total)
                mb = (total or 0) // MB - have // MB
                for _ in track(pieces, mb, f"{self.target.name} (MB)") if mb > 0 else pieces:
                    pass

    def _announced(self, answer: requests.Response, url: str, have: int) -> tuple[int, int | None]:
        """From which byte the body begins, and how long the whole file is to be."""
        if answer.status_code in _BUSY:
            raise _Again(f"the server answers {answer.status_code} {answer.reason}")
        length = answer.headers.get("Content-Length", "")
        total: int | None
        if answer.status_code == 206:
            given = answer.headers.get("Content-Range", "")
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", given)
            first, last, total = map(int, match.groups()) if match else (-1, -1, None)
            if total is None or not have or first != have or last != total - 1:
                self.part.unlink(missing_ok=True)
                raise _Again(f"byte {have} and on were asked for, and {given!r} was sent")
        elif answer.status_code == 200:  # the whole file, whether or not a range was asked for
            have, total = 0, int(length) if length.isdecimal() else self.size
        else:
            raise PecgError(
                f"{url} cannot be fetched: the server answers {answer.status_code} "
                f"{answer.reason}. A file that you get in another way and put at {self.target} "
                "is used."
            )
        if self.size is not None and total != self.size:
            raise PecgError(
                f"{url} is not the file that is published: the server announces {total} bytes, "
                f"and {self.size} are published."
            )
        return have, total

    def _write(
        self, answer: requests.Response, file: BinaryIO, have: int, total: int | None
    ) -> Iterator[None]:
        """Write the body, and yield once a megabyte."""
        for piece in answer.iter_content(_PIECE):
            if self.stop.is_set():
                raise _Again("another file failed")
            before, have = have, have + len(piece)
            if total is not None and have > total:
                file.truncate(0)
                raise _Again(f"more than the {total} bytes that were announced came")
            file.write(piece)
            for _ in range(have // MB - before // MB):
                yield
        if total is not None and have < total:
            raise _Again(f"only {have} of the {total} bytes that were announced came")


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise PecgError when the disk of `folder`, which need not exist, has too little room."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise PecgError(
            f"{what} needs {needed / 1e9:.3g} GB more, and {there} has {free / 1e9:.3g} GB free. "
            "Free some space or give another folder."
        )


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
