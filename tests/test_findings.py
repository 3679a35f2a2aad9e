"""The finding of CNN-ECG-Mamba, and what the book shows of a record with sites left out."""

import json
import re

import numpy as np
import pandas as pd
from test_report import keep, page, record, tables, trial

from pecg_utils import report
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol

POOLED = Protocol("cnn_ecg_mamba", TWELVE_LEADS, "12-lead", "file", folds=3)


def of_hospitals():
    """A record with tables of two sites, and of the model's parts."""
    sites = pd.DataFrame(
        {
            "site": ["north"] * 2 + ["east"] * 2 + ["all of these"] * 2,
            "recordings": [30, 30, 12, 12, 42, 42],
            "protocol": ["sources pooled", "site left out"] * 3,
            "value": [0.9, 0.8, None, None, 0.85, 0.75],
            "low": [0.88, 0.78, None, None, 0.83, 0.73],
            "high": [0.92, 0.82, None, None, 0.87, 0.77],
        }
    )
    parts = pd.DataFrame({"part": ["the whole model", "directions 1"], "weights": ["1", "2"]})
    given = {**record(trials=[trial(POOLED, 0.9)]), "chapter": "cnn_ecg_mamba"}
    given["data"] = [
        {
            "dataset": "hospitals",
            "kind": "subset",
            "recordings": 908,
            "patients": 850,
            "named": False,
        }
    ]
    score = sites.assign(value=sites["value"] - 0.5, low=np.nan, high=np.nan)
    held = {"sites, auroc": sites, "sites, challenge_score": score, "parts": parts}
    columns = {
        name: table.astype(object).where(table.notna(), None) for name, table in held.items()
    }
    given["tables"] = {name: table.to_dict("list") for name, table in columns.items()}
    return json.loads(json.dumps(given))


def test_the_finding_of_the_mamba_is_of_the_same_recordings(project):
    keep(project, of_hospitals(), "cnn_ecg_mamba-study-hospitals-subset")
    report.write_all()
    text = page(project, "cnn_ecg_mamba-finding.md")
    assert "Hospitals, {tag}`subset`, 42 recordings of 2 sites" in text
    assert "AUROC of 0.850 (0.830 to 0.870) and a Challenge score of 0.350" in text
    assert "have 0.750 (0.730 to 0.770) and 0.250" in text


def test_a_kept_record_shows_its_sites_and_parts(project):
    keep(project, of_hospitals(), "cnn_ecg_mamba-study-hospitals-subset")
    report.write_all()
    text = page(project, "cnn_ecg_mamba-kept.md")
    pictures = re.findall(r"\{image\} \.\./generated/(\S+)", text)
    assert len(set(pictures)) == 3
    for picture in pictures:
        assert (project / "book" / "generated" / picture).read_text().count("<svg") == 1
    assert "908 recordings whose patients are not all named, 850 by proxy" in text
    parts, _ = tables(text)
    assert [row[0].strip() for row in parts[2:]] == ["the whole model", "directions 1"]
    assert "benchmark" not in text


def test_a_record_without_sites_has_no_finding(project):
    given = of_hospitals()
    del given["tables"]["sites, auroc"]
    keep(project, given, "cnn_ecg_mamba-study-hospitals-subset")
    report.write_all()
    assert "No record is kept yet." in page(project, "cnn_ecg_mamba-finding.md")
