"""How like the real recordings a twin is: what is measured in both, and who can tell them apart.

A classifier is told to tell twin from real by what `measure` reads off them, or by their spectrum.
An AUROC of 0.5 means that it cannot, 1 that it always can. So that it does not go by the mix of
people, age bands, sources, numbers of leads and normal ECGs have the same shares in the twin's
recordings as in the real ones. Ours, all of it.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, progress
from pecg_utils.data.recording import UNKNOWN, Dataset
from pecg_utils.data.windows import data_fingerprint
from pecg_utils.errors import PecgError
from pecg_utils.measure import as_row, measure

BANDS = {  # years, from and up to
    "under 1 year": (0, 1),
    "1 to 5 years": (1, 5),
    "5 to 12 years": (5, 12),
    "12 to 18 years": (12, 18),
    "18 to 40 years": (18, 40),
    "40 to 60 years": (40, 60),
    "over 60 years": (60, 150),
}
_NORMAL = {"ptbxl": "NORM", "challenge": "NSR", "cpsc2018": "Normal"}  # the label of a normal ECG
HERTZ = np.geomspace(0.5, 100, 25)  # edges of the bands of the spectrum
_SECONDS = 10.0  # of a recording that are looked at
_FEWEST = 10  # real recordings that a comparison needs
_FEW = 60  # with fewer real recordings than this, so many of the twin's are taken for each:
_TIMES = 8
READ = ("rate", "rr_spread", "pr", "qrs", "qt", "qtc", "axis")  # what an ECG report states


def compare(real: Dataset, twin: Dataset, most: int = 600, seed: int = 0) -> dict[str, Any]:
    """Measure both datasets and have a classifier tell them apart; for JSON.

    most: real recordings that are measured, and as many of the twin's, or some for each where there
    are few. A recording of no named patient counts as a patient. Gives how many were matched,
    `auroc` by what the classifier saw (value and 95 % interval over patients), the 10th, 50th and
    90th percentile of each measurement by age band, and those of the spectrum.

    Raises PecgError when too few recordings can be matched.
    """
    rng = np.random.default_rng(seed)
    chosen_real, chosen_twin = _matched(rng, real, twin, most)
    if len(chosen_real) < _FEWEST:
        raise PecgError(
            f"{len(chosen_real)} recordings of {real.root} could be matched with recordings of its "
            f"twin by age, source and normal or not; {_FEWEST} are needed. Give more of them."
        )
    found = pd.concat([measured(real, chosen_real), measured(twin, chosen_twin)])
    found["twin"] = np.repeat([False, True], [len(chosen_real), len(chosen_twin)])
    found["patient"] = found["patient"] + found["twin"].map({True: " twin", False: " real"})
    waves = [name for name in found if name[:2] in ("r_", "s_", "t_", "p_")]
    hertz = [name for name in found if name.endswith(" Hz")]
    seen = {"intervals": list(READ), "heights": waves, "spectrum": hertz}
    seen["all of it"] = [name for names in seen.values() for name in names]
    return {
        "dataset": real.name,
        "real": len(chosen_real),
        "kind": real.kind,
        "fingerprints": {"real": data_fingerprint(real), "twin": data_fingerprint(twin)},
        "twin": len(chosen_twin),
        "auroc": {what: _told_apart(found, names, seed) for what, names in seen.items()},
        "quantiles": _quantiles(found, [*READ, *waves]),
        "hertz": [round(float(np.sqrt(low * high)), 3) for low, high in pairwise(HERTZ)],
        "spectrum": {
            kind: np.nanpercentile(found.loc[found["twin"] == flag, hertz], (10, 50, 90), axis=0)
            .round(3)
            .tolist()
            for kind, flag in (("real", False), ("twin", True))
        },
    }


def measured(dataset: Dataset, rows: Sequence[int]) -> pd.DataFrame:
    """What is measured in the first ten seconds of each of `rows`, one row a recording.

    A recording that cannot be read has NaN throughout; one without three beats has its spectrum
    alone.
    """
    found = []
    names = dataset.table["record"].tolist()
    patients = dataset.table["patient"].tolist()
    for row in progress.track(rows, len(rows), f"measuring {dataset.name}"):
        about: dict[str, Any] = {
            "patient": names[row] if patients[row] == UNKNOWN else patients[row],
            "years": float(dataset.table["age_days"].iat[row]) / 365.25,
        }
        with suppress(PecgError):  # quality.py names a recording that cannot be read
            recording = dataset.read(row, 0.0, _SECONDS)
            with warnings.catch_warnings():  # a mean of nothing is NaN, as it should be
                warnings.simplefilter("ignore", RuntimeWarning)
                about |= as_row(measure(recording.signal, recording.fs, recording.leads))
            about |= _spectrum(recording.signal, recording.fs)
        found.append(about)
    return pd.DataFrame(found)


def _spectrum(signal: npt.NDArray[np.float32], fs: float) -> dict[str, float]:
    """The power in each band, log10 of mV² a Hz, the median over the leads."""
    from scipy.signal import welch

    hertz, power = welch(
        signal, fs, nperseg=min(round(4 * fs), len(signal)), axis=0, detrend="linear"
    )  # (f, L)
    middle = np.median(power, axis=1)  # (f,)
    found = {}
    for low, high in pairwise(HERTZ):
        inside = (hertz >= low) & (hertz < high)
        near = middle[inside].mean() if inside.any() else np.interp((low + high) / 2, hertz, middle)
        found[f"{low:.2f} Hz"] = float(np.log10(near + 1e-12)) if low < 0.4 * fs else np.nan
    return found


def _cells(dataset: Dataset) -> list[str]:
    """Age band, source, number of leads, and normal or not, of each recording."""
    years = dataset.table["age_days"] / 365.25
    band = np.full(len(years), "unknown age", object)
    for name, (low, high) in BANDS.items():
        band[(years >= low) & (years < high)] = name
    normal = _NORMAL.get(dataset.name)
    is_normal = dataset.labels[normal] if normal else pd.Series(False, dataset.labels.index)
    parts = (band, dataset.table["source"], dataset.table["n_leads"], is_normal)
    return [" ".join(map(str, cell)) for cell in zip(*parts, strict=True)]


def _matched(
    rng: np.random.Generator, real: Dataset, twin: Dataset, most: int
) -> tuple[list[int], list[int]]:
    """Rows of both, so that every cell has the same share of one as of the other."""
    cells = [pd.Series(_cells(dataset)) for dataset in (real, twin)]
    times = _TIMES if len(cells[0]) < _FEW else 1
    rows: tuple[list[int], list[int]] = ([], [])
    for cell in sorted(set(cells[0]) & set(cells[1])):
        mine, its = (rng.permutation(np.flatnonzero(of_one == cell)) for of_one in cells)
        number = min(len(mine), len(its) // times)
        rows[0].extend(mine[:number].tolist())
        rows[1].extend(its[: times * number].tolist())
    keep = np.sort(rng.permutation(len(rows[0]))[:most])
    return [rows[0][k] for k in keep], [rows[1][times * k + n] for k in keep for n in range(times)]


def _told_apart(found: pd.DataFrame, names: list[str], seed: int) -> list[float]:
    """AUROC of boosted trees on `names` over patients they have not seen, and its interval."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    target = found["twin"].to_numpy(dtype=int)
    patients = found["patient"].to_numpy()
    forest = HistGradientBoostingClassifier(
        max_iter=100, max_depth=3, min_samples_leaf=5, class_weight="balanced", random_state=seed
    )
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    guessed = cross_val_predict(
        forest, found[names].to_numpy(), target, groups=patients, cv=folds, method="predict_proba"
    )[:, 1]
    table = bootstrap.intervals(target[:, None], guessed[:, None], patients, labels=["twin"])
    row = table.loc[("auroc", "twin")]
    return [round(float(row[name]), 4) for name in ("value", "low", "high")]


def _quantiles(found: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Age band -> measurement -> "real" or "twin" -> 10th, 50th and 90th percentile."""
    bands: dict[str, Any] = {}
    limits = {"all ages": (-1.0, 200.0), **BANDS}
    for band, (low, high) in limits.items():
        inside = found[(found["years"] >= low) & (found["years"] < high)]
        if band == "all ages":  # and unknown ones
            inside = found
        parts = {kind: inside[inside["twin"] == (kind == "twin")] for kind in ("real", "twin")}
        if min(map(len, parts.values())) < 5:
            continue
        bands[band] = {
            "recordings": len(parts["real"]),
            **{
                name: {
                    kind: [
                        None if np.isnan(q) else round(float(q), 3)
                        for q in part[name].quantile([0.1, 0.5, 0.9])
                    ]
                    for kind, part in parts.items()
                }
                for name in names
            },
        }
    return bands
