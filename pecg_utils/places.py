"""Where things lie: the project, and the git-ignored folders that runs write into."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def work() -> Path:
    """The folder that runs write into: the project, or what the variable PECG_WORK names."""
    return Path(os.environ.get("PECG_WORK", PROJECT))


def twins() -> Path:
    """The simulated datasets."""
    return work() / "_data" / "twins"


def windows() -> Path:
    """The prepared windows, each set under its key."""
    return work() / "_data" / "windows"


def runs() -> Path:
    """The runs, each under its chapter and key."""
    return work() / "_runs"


def notebook(chapter: str) -> Path:
    """A chapter's source."""
    return PROJECT / "notebooks" / f"{chapter}.ipynb"


def page(chapter: str) -> Path:
    """The executed copy of a chapter that the book renders."""
    return work() / "book" / "papers" / f"{chapter}.ipynb"


def results() -> Path:
    """The kept records, in git."""
    return PROJECT / "book" / "results"


def survey() -> Path:
    """What was found in whole folders of recordings, in git."""
    return results() / "data" / "survey.json"


def likeness() -> Path:
    """How like real recordings the twins are, in git."""
    return results() / "data" / "likeness.json"
