"""A run's key: what its result depends on.

The notebook's cells, the package sources that its code can reach, the parameters and the data's
contents. An equal key means an equal result, so that the run need not be made again; a change in
any of them gives another key. The sources are found by following imports, also those inside
functions, from what the notebook imports; a package of ours is taken whole.
"""

import ast
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pecg_utils import files

PACKAGE = Path(__file__).resolve().parent


def run_key(notebook: Path, parameters: dict[str, Any], data: Iterable[str]) -> str:
    """The key of running `notebook` with `parameters` on data with the fingerprints `data`.

    Where the data lies is no part of it, only what it holds.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    code = [text for cell, text in zip(cells, texts, strict=True) if cell["cell_type"] == "code"]
    settled = {name: value for name, value in parameters.items() if name != "data"}
    return files.fingerprint(
        [
            *texts,
            *(path.read_bytes() for path in reachable("\n".join(code))),
            json.dumps(settled, sort_keys=True),
            *data,
        ]
    )


def reachable(code: str) -> list[Path]:
    """The package's files that `code` can reach by imports, sorted."""
    todo = _imported(code)
    seen: set[Path] = set()
    while todo:
        path = _file(todo.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        todo |= _imported(path.read_text(encoding="utf-8"))
        seen |= set(path.with_suffix("").glob("*.yaml"))  # what claims.py reads lies in claims/
        if (
            path.name == "__init__.py" and path.parent != PACKAGE
        ):  # its registry and its tables are named in no import
            seen |= set(path.parent.glob("*.csv"))
            todo |= {f"{_dotted(path.parent)}.{other.stem}" for other in path.parent.glob("*.py")}
    return sorted(seen)


def _imported(code: str) -> set[str]:
    """Dotted names under pecg_utils that the code imports; a package stands for itself."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == "pecg_utils"}
    within: set[str] = set()
    for name in ours:  # importing a.b.c runs a, a.b and a.b.c
        parts = name.split(".")
        within |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return within


def _dotted(folder: Path) -> str:
    return ".".join(("pecg_utils", *folder.relative_to(PACKAGE).parts))


def _file(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    source = path.with_suffix(".py")
    return source if source.is_file() and module != "pecg_utils" else None
