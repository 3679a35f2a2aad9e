"""A run of the chapter on small sets over made-up recordings, with networks of a few weights.

Nothing is read and nothing prepared: a window is drawn at random, with a wave for each label that
its recording carries.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pecg_utils import chapters, files, ledger
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import Dataset
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.filters import FILTERS
from pecg_utils.sources import Sources

SAMPLES = 96  # of a window, of which 64 are taught
SIZES = {
    "resnet18_1d": {"channels": (4, 4, 4, 4)},
    "attresnet": {"channels": (4, 4, 4, 8)},
    "crnn": {"channels": (4, 4, 4, 4), "hidden": 4},
    "alexnet1d": {"channels": (4, 4, 4, 4, 4), "hidden": 4},
    "vgg1d": {"channels": (4, 4, 4, 4, 4), "hidden": 4},
    "restransformer": {"channels": (4, 4, 4, 8), "depth": 1, "feedforward": 2},
    "rawtransformer": {"width": 8, "kernel": 9, "stride": 8, "feedforward": 2},
}
CODES = {"pe": ("PE",), "cpsc2018": ("AF", "RBBB", "STD"), "ptbxl": ("NORM", "MI", "CD")}


def dataset(name, kind="twin", people=60, codes=None, site=None):
    """A recording of each of `people`. One in four has the label, where there is one alone; of
    several, one in five has each. site: of each recording."""
    codes = codes or CODES[name]
    row = np.arange(people)
    carried = [row % 5 == k for k in range(len(codes))] if len(codes) > 1 else [row % 4 == 0]
    table = {
        "record": [f"{name}{k}" for k in row],
        "patient": [f"{name} P{k}" for k in row],
        "source": name,
        "age_days": 9000.0,
        "sex": "male",
        "n_leads": 12,
        "row": row,
    }
    if name == "ptbxl":
        table["fold"] = 1 + row // 6 % 10
    if site is not None:
        table["site"] = site
    return Dataset(
        name=name,
        root=Path(name),
        kind=kind,
        table=pd.DataFrame(table),
        labels=pd.DataFrame(dict(zip(codes, carried, strict=True))),
        label_names={code: f"{code} in words" for code in codes},
        tables=(),
        _read=None,
    )


def windows(of, leads, filter="none"):
    """The windows of the dataset `of`. Those of a recording are the same in every part of it."""
    rows = of.table["row"].to_numpy()
    rng = np.random.default_rng([len(of.name), FILTERS.index(filter)])
    signal = rng.normal(size=(rows.max() + 1, len(leads), SAMPLES))[rows]  # (N, L, T)
    for code in of.labels:
        cycles = 2 + list(of.label_names).index(code)
        wave = np.sin(2 * np.pi * cycles * np.arange(SAMPLES) / 32)
        signal[of.labels[code].to_numpy()] += wave
    return Windows(
        steps=np.round(signal * 1000).astype(np.int16),
        gain=np.full(signal.shape[:2], 1e-3, np.float32),
        table=of.table.drop(columns="row").assign(start=0.0, same=of.table["record"]),
        labels=of.labels.to_numpy(),
        classes=tuple(of.labels),
        settings=Settings(leads, 500.0, SAMPLES / 500, whole=True, filter=filter),
        report=Report(len(rows), ()),
        key=files.fingerprint([*of.table["record"], filter]),
    )


class Made(ledger.Run):
    """A run whose recordings are made up."""

    def beside(self, name, size, **how):
        assert size == self.parameters.others
        return dataset(name)

    def windows(self, of, leads, *, labelled=True, needed=False, part="", **other):
        has = (of.table["n_leads"] == len(leads)).to_numpy()
        if labelled and of.name != "ptbxl":
            has = has & of.labels.any(axis=1).to_numpy()
        assert needed
        return windows(of.only(has), leads, **{"filter": self.parameters.filter, **other})

    def sizes(self, model):
        return SIZES[model]


def run(folder, small=None, large=None, files=None, **changed):
    """A run at the profile smoke but for what is `changed`, whose values are not checked."""
    usual = {"samples": 64, "batch": 16, "resamples": 20, "precision": "32"}
    plain = chapters.parameters("ecgs_enough", {"profile": "smoke"})
    parameters = plain.model_copy(update={**usual, **changed})
    small = small or dataset("pe")
    beside = {} if large is None else {"large": (large, "mark")}
    sources = Sources(small, small, {small.kind: "print"}, beside, files or {})
    return Made("ecgs_enough", parameters, sources, "0123456789ab", folder)
