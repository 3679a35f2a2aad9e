"""Running a chapter: papermill behind a key.

A run whose key is recorded already is not made again. A run that fails keeps its partial notebook,
says which cell failed and with what, and leaves the book's page as it was.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pecg_utils import chapters, files, ledger, places, sources
from pecg_utils.errors import PecgError


class ChapterFailed(Exception):
    """A cell of a chapter failed. Its two lines name the cell and the error."""


@dataclass(frozen=True)
class Ran:
    """skipped: whether it was recorded already. folder: where its record and notebook lie."""

    key: str
    folder: Path
    skipped: bool


def run(chapter: str, given: Mapping[str, Any], force: bool = False) -> Ran:
    """Execute `chapter` with the parameters `given`, and make it the chapter's page in the book.

    force: run it even if it is recorded. Raises PecgError for what the user gave wrong, before a
    kernel starts where that can be told; ChapterFailed when a cell fails.
    """
    parameters = chapters.parameters(chapter, given)
    key = ledger.key_of(chapter, parameters, sources.open_sources(parameters))
    folder = places.runs() / chapter / key
    executed = folder / f"{chapter}.ipynb"
    done = (folder / "record.json").is_file() and executed.is_file()
    if force and folder.exists():
        shutil.rmtree(folder)
        done = False
    if not done:
        folder.mkdir(parents=True, exist_ok=True)
        _execute(chapter, parameters, folder)
    _show(executed, places.page(chapter))
    return Ran(key, folder, done)


def _execute(chapter: str, parameters: Any, folder: Path) -> None:
    import papermill

    partial = folder / f"{chapter}.partial.ipynb"
    # Only what differs from the profile, so that the page shows what was asked for.
    profile = {"profile": parameters.profile}
    usual = chapters.parameters(chapter, {**profile, "dataset": parameters.dataset}).model_dump()
    named = {k: v for k, v in parameters.model_dump().items() if v != usual[k]} | profile
    if parameters.dataset != chapters.parameters(chapter, profile).dataset:
        named["dataset"] = parameters.dataset
    for name in (
        "data",
        *parameters.folders,
        *parameters.files,
    ):  # the kernel runs in the project's folder
        if place := getattr(parameters, name):
            named[name] = str(Path(place).expanduser().resolve())
    try:
        with _shown(chapter, folder):
            papermill.execute_notebook(
                places.notebook(chapter),
                partial,
                parameters=named,
                cwd=str(places.PROJECT),
                progress_bar=False,
            )
    except papermill.PapermillExecutionError as error:
        if error.ename == "PecgError":
            raise PecgError(str(error.evalue)) from error
        raise ChapterFailed(
            f"{chapter} failed in cell {error.cell_index}: {_first_line(error.source)}\n"
            f"{error.ename}: {_first_line(error.evalue)} (the notebook so far: {partial})"
        ) from error
    if not (folder / "record.json").is_file():
        raise ChapterFailed(
            f"{chapter} ran to its end and left no record in {folder}.\n"
            "Its last cell must call run.finish()."
        )
    os.replace(partial, folder / f"{chapter}.ipynb")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else ""


def _show(executed: Path, page: Path) -> None:
    """Put the executed notebook into the book, unless it is there already."""
    if page.is_file() and page.read_bytes() == executed.read_bytes():
        return
    with files.whole(page) as scratch:
        shutil.copyfile(executed, scratch)


@contextmanager
def _shown(chapter: str, folder: Path) -> Iterator[None]:
    """Show the progress that the kernel writes into a file, in one line that is drawn anew."""
    told, said = folder / "progress", folder / "progress.said"
    for path in (told, said):
        path.unlink(missing_ok=True)
    before = os.environ.get("PECG_PROGRESS")
    os.environ["PECG_PROGRESS"] = str(told)
    over = threading.Event()

    def show() -> None:
        with tqdm(bar_format=f"{chapter} {{elapsed}} {{desc}}", leave=False) as line:
            lines = 0
            while not over.wait(0.5):
                line.set_description_str(told.read_text() if told.is_file() else "starting")
                words = said.read_text().splitlines() if said.is_file() else []
                for message in words[lines:]:
                    line.write(message)
                lines = len(words)

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        yield
    finally:
        over.set()
        shower.join()
        if before is None:
            del os.environ["PECG_PROGRESS"]
        else:
            os.environ["PECG_PROGRESS"] = before
        for path in (told, said):
            path.unlink(missing_ok=True)
