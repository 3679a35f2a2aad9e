"""Tables in Markdown."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def table(frame: pd.DataFrame) -> str:
    """A table in Markdown, its cells as they are."""

    def line(cells: Iterator[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    head = line(iter(frame.columns))
    rule = line(iter(["---"] * len(frame.columns)))
    return "\n".join([head, rule, *(line(iter(row)) for row in frame.itertuples(index=False))])
