"""How every twin is written: whole or not at all, in several processes, and known again."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from pecg_utils import progress
from pecg_utils.errors import PecgError
from pecg_utils.files import fingerprint, whole

Item = TypeVar("Item")
Made = TypeVar("Made")


def write(root: Path, about: Mapping[str, Any], fill: Callable[[Path], None]) -> Path:
    """Have `fill` write a twin under `root`, whole or not at all, and give `root`.

    about: what the twin is, with `twin_of`; it becomes twin.json, together with the simulator's
    fingerprint. A twin that is already there and the same is left as it is.

    Raises PecgError when `root` holds something else, OSError when the disk is full.
    """
    root = Path(root).resolve()  # an empty folder that is reached by a link is replaced as such
    text = json.dumps({**about, "sources": sources()}, indent=1)
    if _there(root, text, str(about["twin_of"])):
        return root
    with whole(root) as scratch:
        scratch.mkdir()
        fill(scratch)
        (scratch / "twin.json").write_text(text + "\n", encoding="utf-8")
    if not _there(root, text, str(about["twin_of"])):
        raise PecgError(f"{root} was written by another process meanwhile, with another twin.")
    return root


def sources() -> str:
    """The fingerprint of the simulator: of every source and table in this package."""
    here = [item for item in files(__package__).iterdir() if item.name.endswith((".py", ".csv"))]
    return fingerprint(
        part
        for item in sorted(here, key=lambda item: item.name)
        for part in (item.name, item.read_bytes())
    )


def _there(root: Path, text: str, dataset: str) -> bool:
    """Whether this very twin is at `root`; PecgError when something else is."""
    if not root.exists():
        return False
    if root.is_dir() and not any(root.iterdir()):
        root.rmdir()
        return False
    mark = root / "twin.json"
    if mark.is_file() and mark.read_text(encoding="utf-8", errors="replace").strip() == text:
        return True
    what = f"another twin than this one of {dataset}" if mark.is_file() else "something else"
    raise PecgError(
        f"{root} already holds {what} (a twin differs by dataset, size, seed or simulator). Remove "
        "it or choose another folder."
    )


def each(
    task: Callable[[Item], Made],
    items: Sequence[Item],
    what: str,
    workers: int | None = None,
    few: int = 100,
) -> Iterator[Made]:
    """`task` of every item, in their order, with a bar named `what`.

    workers: processes; None takes one for each processor, or a single one where there are fewer
    items than `few`, since starting processes costs more than they bring then.
    """
    count = workers or (1 if len(items) < few else os.cpu_count() or 1)
    if count == 1:
        yield from progress.track(map(task, items), len(items), what)
        return
    chunk = max(1, min(8, len(items) // (4 * count)))
    spawn = get_context("spawn")
    with ProcessPoolExecutor(count, spawn, initializer=_one_thread, initargs=(task,)) as pool:
        yield from progress.track(pool.map(task, items, chunksize=chunk), len(items), what)


def _one_thread(task: object) -> None:
    """Have this process multiply matrices in one thread: there is a process for each processor.

    task: only received, and with it the modules and libraries that it needs, which must be there
    to be limited.
    """
    del task
    threadpool_limits(1)
