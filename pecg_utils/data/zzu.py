"""ZZU-pECG: paediatric 12- and 9-lead recordings with admission diagnoses.

| what | |
| --- | --- |
| source | Tan et al. 2025, Scientific Data 12:867 |
| identifiers | doi 10.1038/s41597-025-05225-z, figshare 10.6084/m9.figshare.27078763 |
| licence | CC BY 4.0 |
| where and when | First Affiliated Hospital of Zhengzhou University, January 2018 to May 2024 |
| size | 14,190 recordings of 11,643 children; 12,334 with 12 leads, 1,856 with 9 |
| signal | 500 Hz, 5 to 120 s, WFDB format 16, a gain and baseline of its own for each lead |
| ages | 1 day to 5,474 days |
| labels | ICD-10 codes of the admission; 19 of them are the benchmark's categories |
| findings | 91 of the tracing, with 14 modifiers: `open_folder(root, labels="findings")` |
| files | `AttributesDictionary.csv`, `ECGCode.csv`, `Child_ecg/P00/P00001/P00001_E01.{hea,dat}` |

**What to know before using it**

- A 9-lead recording has no V2, V4 and V6. Position 7 is V3 there and V2 in a 12-lead recording,
  so leads are found by name.
- `Sampling_point` is the number of samples. It is no sampling rate.
- `Age` is in days and written `572d`. `Gender` is quoted. Cells with several codes are packed as
  `'Q21.0';'Q21.1'`.
- `AHA_code` and `CHN_code` complete each other: 14 findings have no AHA code and 29 no CHN code,
  and the column without a code holds the finding in words. `AHA_code` alone is therefore enough for
  the labels; `zzu_findings.py` says what its cells hold.
- Four labels differ from another only by a prefix: `(F)` and `(V)` before I40.0, `(FO)` and `(OSD)`
  before Q21.1. The codes are compared whole, which gives 19 labels.
- The diagnosis is the admission's and not read from the tracing. All recordings of an admission
  share it.
- About 11.8 % of recordings touch the amplitude rail near 26.6 mV.
- The descriptor counts 3,516 recordings with a cardiovascular diagnosis. A recount gives 3,716, and
  the benchmark uses 3,716.
"""

import re
from pathlib import Path

import pandas as pd

from pecg_utils.data import wfdb16, zzu_findings
from pecg_utils.data.recording import Dataset, kind_of, read_table
from pecg_utils.errors import PecgError

FS = 500.0
RAIL_MV = 26.6  # the amplitude rail, touched by 11.8 % of recordings
RELEASE_RECORDINGS = 14_190
READINGS = ("diagnoses", "findings")  # what the labels can be

# DiseaseCode.csv of the release: code -> (group, category).
LABELS = {
    "(F) I40.0": ("Myocarditis", "Fulminant myocarditis"),
    "(V) I40.0": ("Myocarditis", "Viral myocarditis"),
    "I40.9": ("Myocarditis", "Acute myocarditis"),
    "I51.4": ("Myocarditis", "Myocarditis, unspecified"),
    "I42.0": ("Cardiomyopathy", "Dilated cardiomyopathy"),
    "I42.2": ("Cardiomyopathy", "Hypertrophic cardiomyopathy"),
    "I42.9": ("Cardiomyopathy", "Cardiomyopathy, unspecified"),
    "Q24.8": ("Cardiomyopathy", "Non-compaction of the ventricular myocardium"),
    "M30.3": ("Kawasaki disease", "Kawasaki disease"),
    "Q21.0": ("Congenital heart disease", "Ventricular septal defect"),
    "Q21.1": ("Congenital heart disease", "Atrial septal defect"),
    "(FO) Q21.1": ("Congenital heart disease", "Atrial septal defect, foramen ovale"),
    "(OSD) Q21.1": ("Congenital heart disease", "Atrial septal defect, ostium secundum"),
    "Q21.2": ("Congenital heart disease", "Atrioventricular septal defect"),
    "Q21.3": ("Congenital heart disease", "Tetralogy of Fallot"),
    "Q22.1": ("Congenital heart disease", "Right ventricular outflow tract stenosis"),
    "Q25.0": ("Congenital heart disease", "Patent ductus arteriosus"),
    "Q25.6": ("Congenital heart disease", "Pulmonary artery stenosis"),
    "I37.0": ("Congenital heart disease", "Pulmonary valve stenosis"),
}

_COLUMNS = [
    "Filename",
    "ECG_ID",
    "Patient_ID",
    "Age",
    "Gender",
    "Sampling_point",
    "Lead",
    "AHA_code",
    "CHN_code",
    "ICD-10 code",
]


def open_folder(root: Path, labels: str = "diagnoses") -> Dataset:
    """The release, a part of it or its twin, from the folder that holds AttributesDictionary.csv.

    labels: "diagnoses", the benchmark's 19 of the admission, or "findings", what was seen on the
    tracing, by AHA code (see zzu_findings). The table then has a column `unlisted` more.
    Raises PecgError when the folder is no ZZU-pECG folder, a needed column is missing, there are no
    such labels, or a cell of findings cannot be read.
    """
    if labels not in READINGS:
        raise PecgError(f"ZZU-pECG has the labels {' and '.join(READINGS)}, not {labels!r}.")
    attributes = root / "AttributesDictionary.csv"
    raw = read_table(attributes, _COLUMNS, "ZZU-pECG")
    codes = root / "ECGCode.csv"
    table = pd.DataFrame(
        {
            "record": raw["ECG_ID"],
            "patient": raw["Patient_ID"],
            "age_days": raw["Age"].map(age_in_days),
            "sex": raw["Gender"].str.strip("' ").str.lower().replace("", "unknown"),
            "source": "zzu",
            "fs": FS,
            "n_leads": pd.to_numeric(raw["Lead"], errors="coerce"),
            "n_samples": pd.to_numeric(raw["Sampling_point"], errors="coerce"),
            "path": "Child_ecg/" + raw["Filename"],
            "findings": _findings_column(raw, codes),
        }
    )
    if labels == "findings":
        flags, names, table["unlisted"] = zzu_findings.read(
            raw["AHA_code"], raw["ECG_ID"], attributes, zzu_findings.listed(codes)
        )
    else:
        diagnoses = raw["ICD-10 code"].map(unpack).map(set)
        flags = pd.DataFrame({code: diagnoses.map(lambda d, c=code: c in d) for code in LABELS})
        names = {code: category for code, (_, category) in LABELS.items()}
    return Dataset(
        name="zzu",
        root=root,
        kind=kind_of(root, "zzu", len(table) == RELEASE_RECORDINGS),
        table=table,
        labels=flags.astype(bool),
        label_names=names,
        tables=(attributes, codes) if codes.is_file() else (attributes,),
        _read=wfdb16.read,
    )


def age_in_days(cell: str) -> float:
    """`572d` is 572.0 days. An empty or unreadable cell is NaN."""
    match = re.fullmatch(r"\s*'?(\d+)\s*d'?\s*", cell)
    return float(match[1]) if match else float("nan")


def unpack(cell: str) -> list[str]:
    """`'Q21.0';'Q21.1'` is ["Q21.0", "Q21.1"]. Outside quotes a cell is split at semicolons."""
    items = (quoted or plain for quoted, plain in re.findall(r"'([^']*)'|([^';]+)", cell))
    return [" ".join(item.split()) for item in items if item.strip()]


def findings(aha: str, chn: str, words: dict[str, dict[str, str]]) -> list[str]:
    """What was seen on the tracing, in words, from the two columns that complete each other.

    words: for "AHA" and "CHN", code to description. The two cells list the same findings in the
    same order; where one cannot be told, the other is asked, and what neither knows stays as it
    is printed.
    """
    left, right = unpack(aha), unpack(chn)
    if len(left) != len(right):  # not aligned: take the union
        named = [_in_words(cell, words["AHA"]) or cell for cell in left]
        named += [_in_words(cell, words["CHN"]) or cell for cell in right]
    else:
        named = [
            _in_words(a, words["AHA"]) or _in_words(c, words["CHN"]) or a
            for a, c in zip(left, right, strict=True)
        ]
    return list(dict.fromkeys(named))


def _in_words(cell: str, words: dict[str, str]) -> str | None:
    if cell in words:
        return words[cell]
    if cell in words.values():
        return cell
    code, plus, modifier = cell.rpartition("+")  # L145+Modifier362, L121+Depression
    if plus and code in words:
        return f"{words[code]}, {words.get(modifier, modifier).lower()}"
    return None


def _findings_column(raw: pd.DataFrame, codes: Path) -> list[str]:
    words: dict[str, dict[str, str]] = {"AHA": {}, "CHN": {}}
    if codes.is_file():
        columns = {"AHA": "AHA(Category&Code)", "CHN": "CHN(Category&Code)"}
        listed = read_table(codes, ["Description", *columns.values()], "ZZU-pECG")
        for system, column in columns.items():
            known = listed[listed[column] != "N/A"]
            words[system] = dict(zip(known[column], known["Description"], strict=True))
        modifiers = listed[listed[columns["AHA"]].str.startswith("Modifier")]
        words["CHN"] |= dict(zip(modifiers[columns["AHA"]], modifiers["Description"], strict=True))
    return [
        ";".join(findings(a, c, words))
        for a, c in zip(raw["AHA_code"], raw["CHN_code"], strict=True)
    ]
