"""The shared labels as tables for a page: what is joined, what is left out, how each looks.

One row a label, its code as the index, words and not tuples in the cells: a notebook shows them as
they are. What they say stands in data/label_map.py and descriptors.py.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from pecg_utils.data.label_map import left_out, pairs
from pecg_utils.descriptors import AXES, defined_by, descriptors
from pecg_utils.errors import PecgError

_DATASETS = {"ptbxl": "PTB-XL", "zzu": "ZZU-pECG"}
_TITLES = {"rhythm": "rhythm", "morphology": "morphology", "stt": "ST-T"}  # of an axis


def mapped() -> pd.DataFrame:
    """Every shared label: its words, its partners on each side, how certain, and why.

    The Challenge's codes are empty where none is certain; certainty is PTB-XL's side seen from
    ZZU's.
    """
    rows = {
        pair.code: {
            "words": pair.words,
            "PTB-XL's statements": ", ".join(pair.scp),
            "ZZU's findings": ", ".join(pair.aha),
            "the Challenge's codes": ", ".join(pair.snomed),
            "certainty": pair.certainty,
            "reason": pair.reason,
        }
        for pair in pairs()
    }
    return _by_label(pd.DataFrame.from_dict(rows, orient="index"))


def omitted() -> pd.DataFrame:
    """What PTB-XL or ZZU-pECG states and no shared label takes in, by its code there.

    Columns: dataset, words, nearest (what comes nearest in the other one, perhaps nothing), reason.
    """
    rows = [
        (row.code, _DATASETS[row.dataset], row.words, ", ".join(row.nearest), row.reason)
        for row in left_out()
    ]
    columns = ["code", "dataset", "words", "nearest", "reason"]
    return pd.DataFrame(rows, columns=columns).set_index("code")


def described(labels: Sequence[str] | None = None, form: str = "child") -> pd.DataFrame:
    """How each label looks, in words, rhythm, morphology and ST-T, and what defines that.

    labels: codes of the map, all of them if none are given. form: "adult" or "child".
    Raises PecgError when there is no such form or label.
    """
    words = {pair.code: pair.words for pair in pairs()}
    wanted = list(words) if labels is None else list(labels)
    if unknown := [label for label in wanted if label not in words]:
        raise PecgError(
            f"There is no shared label {', '.join(unknown)}; there are {', '.join(words)}."
        )
    table = descriptors(form, wanted)[list(AXES)].rename(columns=_TITLES)
    table.insert(0, "words", [words[label] for label in wanted])
    sources = defined_by(wanted)
    table["defined by"] = [_once(sources.loc[[label]].to_numpy()[0]) for label in wanted]
    return _by_label(table)


def _once(cells: Iterable[str]) -> str:
    """The sources of all axes, each named once, in the order in which they come."""
    named = (source.strip() for cell in cells for source in cell.split(";"))
    return ", ".join(dict.fromkeys(named))


def _by_label(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis(index="label")
