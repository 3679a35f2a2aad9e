"""CPSC2018: 12-lead recordings with nine rhythm and morphology classes.

| what | |
| --- | --- |
| source | Liu et al. 2018, Journal of Medical Imaging and Health Informatics 8:1368 |
| identifiers | China Physiological Signal Challenge 2018; a copy is in PhysioNet challenge-2020 |
| licence | the challenge's own terms; the copy is CC BY 4.0 |
| size | 6,877 public recordings |
| signal | 12 leads at 500 Hz, 6 to 144 s |
| labels | nine classes, up to three a recording, the first of them the main one |

**What to know before using it**

- There are two forms. The challenge's own has a `.mat` file with sex, age and signal in mV for
  each recording, and `REFERENCE.csv` with a first, second and third label. The WFDB copy has
  headers with SNOMED codes, whose order says nothing, so that the main label is lost. Both are
  read; the column `first` is empty for the copy.
- No patient is named, so a patient split is refused. The column `proxy` joins recordings of equal
  age, sex and labels.
"""

import re
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils.data import challenge, wfdb16
from pecg_utils.data.recording import TWELVE_LEADS, UNKNOWN, Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 500.0
RELEASE_RECORDINGS = 6_877
LABELS = {
    "Normal": "Normal",
    "AF": "Atrial fibrillation",
    "I-AVB": "First-degree AV block",
    "LBBB": "Left bundle branch block",
    "RBBB": "Right bundle branch block",
    "PAC": "Premature atrial contraction",
    "PVC": "Premature ventricular contraction",
    "STD": "ST depression",
    "STE": "ST elevation",
}
# The same in the WFDB copy's headers.
SNOMED = {
    "426783006": "Normal",
    "164889003": "AF",
    "270492004": "I-AVB",
    "164909002": "LBBB",
    "59118001": "RBBB",
    "284470004": "PAC",
    "164884008": "PVC",
    "429622005": "STD",
    "164931005": "STE",
}
_ORDER = ("First_label", "Second_label", "Third_label")
_MOST_BYTES = 64 << 20  # of a .mat file, unpacked; the longest recording takes 7 MB
_COMPRESSED = 15  # the element type miCOMPRESSED of MAT-file format 5


def open_folder(root: Path) -> Dataset:
    """The release or a part of it, in either form.

    Raises PecgError when the folder holds neither REFERENCE.csv nor a header.
    """
    tables: tuple[Path, ...] = ()
    reference = next(iter(sorted(root.rglob("REFERENCE.csv"))), None)
    if reference is not None:
        table, labels = _own_form(root, reference)
        read, tables = read_mat, (reference,)
    elif headers := sorted(root.rglob("*.hea")):
        table, codes = challenge.read_headers(root, headers)
        table["source"], table["first"] = "cpsc2018", ""
        labels = [[SNOMED[code] for code in of_one if code in SNOMED] for of_one in codes]
        read = wfdb16.read
    else:
        raise PecgError(
            f"{root} is no CPSC2018 folder: it has neither a REFERENCE.csv nor a .hea file. Give "
            "the folder that holds the release's own files."
        )
    return Dataset(
        name="cpsc2018",
        root=root,
        kind=kind_of(root, "cpsc2018", len(table) == RELEASE_RECORDINGS),
        table=table,
        labels=pd.DataFrame({name: [name in of_one for of_one in labels] for name in LABELS}),
        label_names=LABELS,
        tables=tables,
        _read=read,
    )


def _own_form(root: Path, reference: Path) -> tuple[pd.DataFrame, list[list[str]]]:
    raw = read_table(reference, ["Recording", *_ORDER], "CPSC2018")
    order = list(LABELS)
    labels = []
    for row in raw.to_dict("records"):
        numbers = [str(row[column]).strip() for column in _ORDER]
        if wrong := [n for n in numbers if n and not re.fullmatch("[1-9]", n)]:
            raise PecgError(
                f"{reference}: {row['Recording']} has the label {wrong[0]!r}, not 1 to 9."
            )
        labels.append([order[int(n) - 1] for n in numbers if n])
    where = {path.stem: path for path in sorted(root.rglob("*.mat"))}
    people = [_person(where.get(name)) for name in raw["Recording"]]
    table = pd.DataFrame(
        {
            "record": raw["Recording"],
            "patient": UNKNOWN,
            "source": "cpsc2018",
            "age_days": [age for age, _, _ in people],
            "sex": [sex for _, sex, _ in people],
            "fs": FS,
            "n_leads": 12,
            "n_samples": [samples for _, _, samples in people],
            "path": [
                str(where[n].relative_to(root).with_suffix("")) if n in where else n
                for n in raw["Recording"]
            ],
            "first": [of_one[0] if of_one else "" for of_one in labels],
        }
    )
    years = (table["age_days"] / 365.25).round()
    joined = pd.Series([" ".join(sorted(of_one)) for of_one in labels])
    table["proxy"] = years.astype(str) + " years, " + table["sex"] + ", " + joined
    return table, labels


def _person(path: Path | None) -> tuple[float, str, float]:
    """Age in days, sex and samples, as far as the file can be read."""
    try:
        ecg = _struct(path) if path else {}
    except PecgError:  # reading the recording will say why
        ecg = {}
    years = pd.to_numeric(str(ecg.get("age", "")), errors="coerce")
    sex = str(ecg.get("sex", "")).lower()
    data = ecg.get("data")
    return (
        float(years) * 365.25 if 0 <= years < 150 else np.nan,
        sex if sex in ("male", "female") else UNKNOWN,
        data.shape[1] if isinstance(data, np.ndarray) and data.ndim == 2 else np.nan,
    )


def read_mat(
    path: Path, first: int = 0, last: int | None = None
) -> tuple[npt.NDArray[np.float32], float, tuple[str, ...]]:
    """The recording in the challenge's own `.mat` file at `path` (no suffix), as wfdb16.read.

    Raises PecgError, beginning with "missing:" or "unreadable:", when it cannot be read.
    """
    file = path.with_name(path.name + ".mat")
    data = _struct(file).get("data")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.dtype.kind not in "fiu":
        raise PecgError(f"unreadable: {file.name} holds no matrix of numbers ECG.data")
    if data.shape[0] != len(TWELVE_LEADS):
        raise PecgError(f"unreadable: {file.name} has {data.shape[0]} leads where 12 are needed")
    return np.ascontiguousarray(data.T[first:last], dtype=np.float32), FS, TWELVE_LEADS


def _struct(file: Path) -> dict[str, object]:
    """The fields of the struct ECG in a .mat file."""
    from scipy.io import loadmat

    try:
        _check_size(file)
        ecg = loadmat(str(file), squeeze_me=True, struct_as_record=True)["ECG"]
        return {name: ecg[name].item() for name in ecg.dtype.names}
    except FileNotFoundError:
        raise PecgError(f"missing: {file.name} is not there") from None
    except Exception as error:  # scipy raises whatever its parser stumbles on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PecgError(f"unreadable: {file.name}: {reason}") from error


def _check_size(file: Path) -> None:
    """Raise ValueError when a format-5 file unpacks to more than any recording takes."""
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it is longer than {_MOST_BYTES:,} bytes")
    stored = file.read_bytes()
    place, total = 128, 0  # behind the file's own header
    while place + 8 <= len(stored):
        kind = int.from_bytes(stored[place : place + 4], "little")
        size = int.from_bytes(stored[place + 4 : place + 8], "little")
        body = stored[place + 8 : place + 8 + size]
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(body, _MOST_BYTES + 1)
            total += len(unpacked)
        if total > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
        place += 8 + size
