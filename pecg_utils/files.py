"""Files that are written whole or not at all, and fingerprints of what they hold."""

import errno
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

_CANNOT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a scratch path beside `target`; move it onto `target` when the block ends well.

    The block writes a file or makes a folder at the scratch path. When the block fails, nothing
    is left. When another process put a folder at `target` first, that one stays and ours goes.

    Raises PecgError when the disk is full or the place cannot be written to.
    """
    scratch = target.parent / f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # as under /proc
            raise PecgError(
                f"{target} cannot be written: no folder can be made there. Choose another folder."
            ) from error
        yield scratch
        if scratch.is_dir() and target.exists():
            return
        try:
            os.replace(scratch, target)
        except OSError as error:  # the other process was faster between the two lines above
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PecgError(
                f"The disk is full: {target} could not be written, and nothing of it was kept. "
                "Free some space and run again."
            ) from error
        if error.errno in _CANNOT:
            raise PecgError(
                f"{target} cannot be written: {error.strerror} ({error.filename}). "
                "Choose another folder."
            ) from error
        raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        elif scratch.exists():
            scratch.unlink()


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` whole or not at all."""
    with whole(target) as scratch:
        scratch.write_text(text, encoding="utf-8")


def array_bytes(array: npt.NDArray[Any]) -> bytes:
    """A .npy file of `array`. Written by ourselves, a full disk is named; numpy hides it."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def fingerprint(parts: Iterable[bytes | str]) -> str:
    """Twelve hex digits over `parts`, in their order."""
    digest = hashlib.blake2b(digest_size=6)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def file_digest(path: Path) -> bytes:
    """The digest of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
