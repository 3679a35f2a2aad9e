"""PhysioNet/CinC Challenge: 12-lead recordings of eight sources, from 2020 and 2021.

| what | |
| --- | --- |
| source | Perez Alday et al. 2020, Physiological Measurement 41:124003; Reyna et al. 2021, CinC |
| identifiers | PhysioNet, challenge-2020 and challenge-2021 |
| licence | CC BY 4.0 |
| size | 2021: 88,253 recordings; 2020: the 43,101 of them without Chapman-Shaoxing and Ningbo |
| signal | 12 leads at 500 Hz, INCART at 257 and PTB at 1,000 Hz, 16 bits in `.mat` |
| labels | SNOMED codes; 27 of them make 24 scored classes in 2020, 30 make 26 in 2021 |
| codes | all 133, scored or not: `open_folder(root, labels="codes")` |

**What to know before using it**

- Some codes are scored as one: complete right bundle branch block with right bundle branch block,
  premature atrial with supraventricular premature beats, premature ventricular with ventricular
  premature beats, and in 2021 complete left bundle branch block with left bundle branch block.
- 6,287 recordings carry no scored code (2020: 5,352). They are in the table, without a label.
- A code can stand twice in a header; it counts once.
- A source states what it looked for. CPSC2018's part knows nine findings, and a code that it does
  not have says nothing of its recordings; nor is there a code for a normal ECG.
- No header names a patient. A patient split is therefore refused. The column `proxy` joins
  recordings of equal source, age, sex and codes, which a careful split keeps on one side.
- PTB-XL names the patients of its part: `HR00007` is its recording 7. With a PTB-XL folder beside
  it, `open_folder(root, ptbxl=folder)` fills them in, as the patient and as the proxy.
- The source is the folder under `training`. The column `site` says where a recording was made, by
  which one hospital can be left out: `cpsc_2018` and `cpsc_2018_extra` are one site, any other
  source is one of its own.
- The PTB-XL part copies an older release of PTB-XL, so the two datasets share recordings.
- Some early Georgia headers call the record `E00015.mat`, which wfdb refuses. The meaning is beyond
  doubt and they are read.
- Ages are in years and become days here, at 365.25 a year.
"""

import csv
import os
import re
from importlib import resources
from pathlib import Path

import pandas as pd

from pecg_utils import progress
from pecg_utils.data import wfdb16
from pecg_utils.data.recording import UNKNOWN, Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

RELEASE_RECORDINGS = {2020: 43_101, 2021: 88_253}
ONLY_IN_2021 = ("chapman_shaoxing", "ningbo")
# The sources that share a site with another (ours). The organisers call cpsc_2018_extra the "unused
# data from CPSC2018" (their announcement of the data to the group physionet-challenges), and no
# header names a hospital: a model trained on one of the two has met the hospitals of the other.
_SITES = {"cpsc_2018_extra": "cpsc_2018"}
READINGS = ("classes", "codes")  # what the labels can be
_COMMENT = re.compile(r"#\s*(\w+)\s*:\s*(.*?)\s*")


def classes(year: int = 2021) -> dict[str, tuple[str, str]]:
    """SNOMED code -> (class, words) of the codes that were scored in `year`, 2020 or 2021.

    Codes that are scored as one share a class, whose name joins their abbreviations.
    """
    listed = [row for row in _listed("challenge.csv") if _scored(row, year)]
    joined: dict[str, list[str]] = {}
    for row in listed:
        joined.setdefault(row["class_2021"], []).append(row["abbreviation"])
    return {row["code"]: ("|".join(joined[row["class_2021"]]), row["name"]) for row in listed}


def code_names() -> dict[str, str]:
    """SNOMED code -> words of the 133 codes that the organisers list, the scored ones first."""
    rows = [*_listed("challenge.csv"), *_listed("challenge_unscored.csv")]
    return {row["code"]: row["name"] for row in rows}


def _listed(file: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _scored(row: dict[str, str], year: int) -> bool:
    return year == 2021 or row["scored_2020"] == "yes"


def class_names(year: int = 2021) -> dict[str, str]:
    """Class -> words, in the order of the challenge's table."""
    names: dict[str, list[str]] = {}
    for name, words in classes(year).values():
        names.setdefault(name, []).append(words)
    return {name: " or ".join(words) for name, words in names.items()}


LABELS = class_names()


def open_folder(
    root: Path, year: int = 2021, ptbxl: Path | None = None, labels: str = "classes"
) -> Dataset:
    """The release or a part of it, from the folder that holds `training`, or from below it.

    year: 2021, or 2020 for its sources and its classes alone. ptbxl: a folder of PTB-XL, whose
    patients its recordings here then carry, as far as it lists them. labels: "classes", the scored
    ones, or "codes", each SNOMED code that occurs, whether scored or not, in the order of
    `code_names`; one that is not listed there is its own name.
    Raises PecgError when there is no header, or none of that year, when two recordings have one
    name, when there is no PTB-XL in `ptbxl`, or when there are no such labels.
    """
    if labels not in READINGS:
        raise PecgError(f"The Challenge has the labels {' and '.join(READINGS)}, not {labels!r}.")
    headers = sorted(root.rglob("*.hea"))
    headers = [h for h in headers if year == 2021 or source_of(root, h) not in ONLY_IN_2021]
    if not headers:
        raise PecgError(
            f"{root} is no folder of the Challenge {year}: there is no .hea file in it. Give the "
            "folder that holds the release's `training`."
        )
    table, codes = read_headers(root, headers)
    if (twice := table["record"].duplicated()).any():
        name = table["record"][twice].iloc[0]
        paths = table["path"][table["record"] == name]
        raise PecgError(
            f"Two recordings in {root} are called {name}: {paths.iloc[0]} and {paths.iloc[1]}. "
            "Rename one, in its header too."
        )
    if ptbxl is not None:
        _name_patients(table, ptbxl)
    if labels == "codes":
        carried, names = [set(of_one) for of_one in codes], _occurring(codes)
    else:
        scored, names = classes(year), class_names(year)
        carried = [{scored[code][0] for code in of_one if code in scored} for of_one in codes]
    return Dataset(
        name="challenge",
        root=root,
        kind=kind_of(root, "challenge", len(table) == RELEASE_RECORDINGS[year]),
        table=table,
        labels=pd.DataFrame(
            {name: [name in of_one for of_one in carried] for name in names},
            index=table.index,
            dtype=bool,
        ),
        label_names=names,
        tables=(),
        _read=wfdb16.read,
    )


def _occurring(codes: list[list[str]]) -> dict[str, str]:
    """Code -> words of all that occur: the listed ones in their order, then others by number."""
    found, known = {code for of_one in codes for code in of_one}, code_names()
    others = sorted(found - set(known), key=int)
    return {code: known.get(code, code) for code in [*(c for c in known if c in found), *others]}


def _name_patients(table: pd.DataFrame, ptbxl: Path) -> None:
    listed = read_table(ptbxl / "ptbxl_database.csv", ["ecg_id", "patient_id"], "PTB-XL")
    patient = listed["patient_id"].str.replace(r"\.0$", "", regex=True)
    names = dict(zip("HR" + listed["ecg_id"].str.zfill(5), patient, strict=True))
    known = (table["source"] == "ptb-xl") & table["record"].isin(names)
    table.loc[known, "patient"] = table.loc[known, "record"].map(names)
    table.loc[known, "proxy"] = "ptb-xl, patient " + table.loc[known, "patient"]


def source_of(root: Path, header: Path) -> str:
    """The folder under `training` in which a header lies; `root`'s own name where there is none."""
    parts = header.parent.relative_to(root.parent if root.parent != root else root).parts
    if "training" in parts[:-1]:
        return parts[parts.index("training") + 1]
    inner = [part for part in parts[1:] if not re.fullmatch(r"g\d+", part)]
    return (inner or parts or (UNKNOWN,))[0]


def read_headers(root: Path, headers: list[Path]) -> tuple[pd.DataFrame, list[list[str]]]:
    """A dataset's table from its headers, and the codes of each, in their order, once each.

    A header that cannot be read is in the table too; reading the recording will say why.
    """
    rows, codes = [], []
    for header in progress.track(headers, len(headers), "reading headers"):
        path = header.with_suffix("")
        fs, n_leads, n_samples = _counts(path)
        said = _comments(header)
        years = pd.to_numeric(said.get("Age", ""), errors="coerce")
        days = float(years) * 365.25 if 0 <= years < 150 else float("nan")
        sex = said.get("Sex", "").lower()
        sex = {"m": "male", "f": "female"}.get(sex, sex)
        source = source_of(root, header)
        found = list(dict.fromkeys(re.findall(r"\d+", said.get("Dx", ""))))
        codes.append(found)
        rows.append(
            {
                "record": path.name,
                "patient": UNKNOWN,
                "source": source,
                "site": _SITES.get(source, source),
                "age_days": days,
                "sex": sex if sex in ("male", "female") else UNKNOWN,
                "fs": fs,
                "n_leads": n_leads,
                "n_samples": n_samples,
                "path": os.fspath(path.relative_to(root)),
                "proxy": f"{source}, {days / 365.25:.0f} years, {sex}, {' '.join(sorted(found))}",
            }
        )
    return pd.DataFrame(rows), codes


def _counts(path: Path) -> tuple[float, int, float]:
    """fs, leads and samples that a header announces; NaN, 0 and NaN where it cannot be read."""
    try:
        header = wfdb16.read_header(path)
    except PecgError:
        return float("nan"), 0, float("nan")
    if header is None:  # a form that wfdb must read
        return wfdb16.announced(path)
    return header.fs, len(header.leads), header.n_samples


def _comments(header: Path) -> dict[str, str]:
    try:
        text = header.read_bytes()[:65536].decode("utf-8", "replace")
    except OSError:
        return {}
    found = (_COMMENT.fullmatch(line.strip()) for line in text.splitlines())
    return {match[1].capitalize(): match[2] for match in found if match}
