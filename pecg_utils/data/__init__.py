"""The datasets, each in its own file, whose docstring is its data card."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pecg_utils.data import challenge, cpsc2018, hospitals, leipzig, ludb, mitdb, pe, ptbxl, zzu
from pecg_utils.data.recording import Dataset
from pecg_utils.errors import PecgError

READERS: dict[str, Callable[..., Dataset]] = {
    "zzu": zzu.open_folder,
    "ptbxl": ptbxl.open_folder,
    "challenge": challenge.open_folder,
    "cpsc2018": cpsc2018.open_folder,
    "leipzig": leipzig.open_folder,
    "ludb": ludb.open_folder,
    "mitdb": mitdb.open_folder,
    "pe": pe.open_folder,
    "hospitals": hospitals.open_folder,
}


def open_dataset(name: str, root: str | Path, **how: Any) -> Dataset:
    """The dataset `name` in the folder `root`. how: what its reader takes beside the folder.

    Raises PecgError when the name is unknown or the folder is not one of that dataset.
    """
    if name not in READERS:
        raise PecgError(f"No dataset is called {name!r}; there are {', '.join(READERS)}.")
    folder = Path(os.path.expanduser(root))  # Path.expanduser raises for an unknown user
    if not folder.is_dir():
        raise PecgError(f"{folder} is no folder. Give the folder that holds the release's files.")
    return READERS[name](folder, **how)
