"""MRM-Net on CPSC2018, prepared in the ways of its released code and in a sound one.

data/cpsc_ways.py says what the ways are. In each, every recording is tested once by a model that
was taught others. The sound way and the stretched one differ in the recordings under 10 s alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import subgroups
from pecg_utils.data import cpsc_ways
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.windows import Windows
from pecg_utils.ledger import Run
from pecg_utils.protocol import Protocol
from pecg_utils.trial import Outcome

SOUND = "sound: all labels, zeros after the end"
STRETCHED = "data_process.py: all labels, stretched"
FIRST = "data_load.py, axes kept: first label alone"
TRANSPOSED = "data_load.py: first label alone, transposed"
SHORT = "those under 10 s"
Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ways:
    """dataset: the recordings. padded, stretched: their windows. outcomes: name of a way -> what it
    came to; without those of the first label where no recording says which that is."""

    dataset: Dataset
    padded: Windows
    stretched: Windows
    outcomes: Mapping[str, Outcome]

    @property
    def short(self) -> npt.NDArray[np.bool_]:
        """Which of the padded windows are of recordings shorter than a window, (N,)."""
        table = self.dataset.table.set_index("record")
        lasting = (table["n_samples"] / table["fs"]).reindex(self.padded.table["record"])
        return np.asarray(lasting.to_numpy() < self.padded.settings.seconds)


def carry_out(run: Run) -> Ways:
    """All ways on CPSC2018: on the run's own data where it is of it, or else on its twin."""
    p = run.parameters
    given = run.given.name == "cpsc2018"
    dataset = run.given if given else run.beside("cpsc2018", p.recordings)
    padded, stretched = (
        run.windows(dataset, TWELVE_LEADS, needed=True, stretch=stretch)
        for stretch in (False, True)
    )
    assert padded is not None
    assert stretched is not None
    plain = Protocol("mrmnet", TWELVE_LEADS, "CPSC2018", "proxy", "together", folds=p.folds)
    ways: dict[str, tuple[Windows, Protocol]] = {
        SOUND: (padded, plain),
        STRETCHED: (stretched, _called(plain, "stretched")),
    }
    if cpsc_ways.says_first(dataset):
        first = run.windows(cpsc_ways.first_alone(dataset), TWELVE_LEADS, stretch=True)
        assert first is not None
        turned = cpsc_ways.transposed(first)
        by_record = _called(plain, "first label", split="file")
        ways[FIRST] = first, by_record
        leads = turned.settings.leads
        ways[TRANSPOSED] = turned, _called(by_record, "first label, transposed", leads=leads)
    outcomes = {
        name: run.trials(windows, [protocol], of=dataset)[0]
        for name, (windows, protocol) in ways.items()
    }
    return Ways(dataset, padded, stretched, outcomes)


def scores(ways: Ways) -> pd.DataFrame:
    """The macro scores of each way, one row a way and metric: name, metric, value, low, high."""
    parts = []
    for name, outcome in ways.outcomes.items():
        macro = outcome.scores[outcome.scores["label"] == "macro"]
        parts.append(macro.assign(name=name)[["name", "metric", "value", "low", "high"]])
    return pd.concat(parts, ignore_index=True)


def rates(ways: Ways) -> tuple[Rates, Rates]:
    """The heart rate of each recording, (N,) 1/min, and what it is after stretching."""
    return cpsc_ways.heart_rates(ways.padded), cpsc_ways.heart_rates(ways.stretched)


def rate_table(ways: Ways, true: Rates, stretched: Rates) -> pd.DataFrame:
    """One row a recording: name, short, rate, after_stretching (1/min)."""
    return pd.DataFrame(
        {
            "name": ways.padded.table["record"].astype(str),
            "short": ways.short,
            "rate": true,
            "after_stretching": stretched,
        }
    )


def by_rate(ways: Ways, true: Rates, resamples: int = 1000) -> pd.DataFrame:
    """Macro AUROC of padded and stretched by the class of the true rate (N,).

    Columns: name, band, windows, patients, value, low, high.
    """
    parts = []
    for name in (SOUND, STRETCHED):
        outcome = ways.outcomes[name]
        rows = np.concatenate([fold.sides["test"] for fold in outcome.folds])
        table = subgroups.by_band(outcome, true[rows], cpsc_ways.RATES, resamples)
        parts.append(table.assign(name=name))
    return pd.concat(parts, ignore_index=True)


def differences(ways: Ways, resamples: int = 1000) -> pd.DataFrame:
    """Macro AUROC of the stretched way less that of the sound one: name, value, low, high.

    On all recordings, and on those that were stretched. One training a way and fold.
    """
    sound, stretched = (ways.outcomes[name] for name in (SOUND, STRETCHED))
    rows = []
    for name, keep in (("all recordings", np.full(len(ways.short), True)), (SHORT, ways.short)):
        first, second = _only(stretched, keep), _only(sound, keep)
        found = subgroups.difference(first, second, "auroc", resamples)
        rows.append((name, int(keep.sum()), *found))
    return pd.DataFrame(rows, columns=["name", "recordings", "value", "low", "high"])


def _only(outcome: Outcome, keep: npt.NDArray[np.bool_]) -> Outcome:
    """An outcome on some of its windows. keep: (N,), of all windows; all are tested once."""
    of = keep[np.concatenate([fold.sides["test"] for fold in outcome.folds])]  # (n,)
    return replace(
        outcome,
        targets=outcome.targets[of],
        probabilities=outcome.probabilities[of],
        answers=outcome.answers[of],
        about=outcome.about[of].reset_index(drop=True),
    )


def _called(protocol: Protocol, windows: str, **changes: Any) -> Protocol:
    return replace(protocol, windows=windows, **changes)
