"""Progress with the time left, on whatever takes over five seconds.

In a terminal or a notebook it is a bar. A chapter that `pecg run` executes has no terminal: there
the bars are also written to the file that the variable PECG_PROGRESS names, and `pecg run` shows
them.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

DELAY = 5.0  # seconds before a bar appears
_EVERY = 0.5  # seconds between two writes of the file
_open: list["tqdm[Any]"] = []  # the bars that are running, the outermost first
_written = 0.0


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The `items`, with a bar named `what` once they take longer than five seconds."""
    bar: tqdm[Any] = tqdm(total=total, desc=what, delay=DELAY, leave=False, file=sys.stderr)
    _open.append(bar)
    _tell()
    try:
        for item in items:
            yield item
            bar.update()
            _tell()
    finally:
        _open.remove(bar)
        bar.close()


def say(message: str) -> None:
    """One line for the person who waits, above the bars."""
    tqdm.write(message, file=sys.stderr)
    _write(message + "\n", ".said", "a")


def _tell() -> None:
    global _written
    if time.monotonic() - _written < _EVERY:
        return
    _written = time.monotonic()
    parts = []
    for bar in _open:
        facts = bar.format_dict
        left = ""
        if bar.n and facts["elapsed"]:
            seconds = facts["elapsed"] / bar.n * (facts["total"] - bar.n)
            left = f", {tqdm.format_interval(round(seconds))} left"
        parts.append(f"{bar.desc} {bar.n}/{bar.total}{left}")
    _write(" · ".join(parts), "", "w")


def _write(text: str, suffix: str, mode: str) -> None:
    name = os.environ.get("PECG_PROGRESS")
    if not name:
        return
    # A full disk must not end the work whose progress this is.
    with suppress(OSError), Path(name + suffix).open(mode, encoding="utf-8") as file:
        file.write(text)
