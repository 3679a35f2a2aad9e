"""Scores of parts of a test side, and of two trials on the same recordings.

Two trials are compared where both were tested. A resample draws the same patients for both, so that
the interval of their difference does not hold what the choice of patients does to both alike. And
the same pairs of recordings are ranked for both: those that one model scored in the one trial and
one model in the other. Between sites nothing is ranked where sites are left out, since no model
scored two of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import bootstrap, challenge_score, challenge_thresholds
from pecg_utils import one_label as single
from pecg_utils.data.recording import people, sites
from pecg_utils.metrics import METRICS, WORDS, macro
from pecg_utils.trial import Outcome

# Upper ends in days; the bands of the release's description, the first year's four in two.
AGE_BANDS = {
    "under 1 month": 30.0,
    "1 to 12 months": 365.25,
    "1 to 3 years": 3 * 365.25,
    "3 to 5 years": 5 * 365.25,
    "5 to 8 years": 8 * 365.25,
    "8 to 12 years": 12 * 365.25,
    "over 12 years": float("inf"),
}
EVERYWHERE = "all of these"


def by_age(outcome: Outcome, resamples: int = 1000) -> pd.DataFrame:
    """Macro AUROC with its interval a band of age: band, windows, patients, value, low, high.

    A band with fewer than two patients is left out.
    """
    return by_band(outcome, outcome.about["age_days"].to_numpy(), AGE_BANDS, resamples)


def by_band(
    outcome: Outcome,
    values: npt.NDArray[np.floating],
    bands: Mapping[str, float],
    resamples: int = 1000,
) -> pd.DataFrame:
    """The same by another number of each test window, `values` (n,). bands: their upper ends."""
    lower = -np.inf
    rows = []
    for band, upper in bands.items():
        inside = (values > lower) & (values <= upper)
        lower = upper
        patients = people(outcome.about)[inside]
        if patients.nunique() < 2:
            continue
        rows_of = np.flatnonzero(inside)
        parts = outcome.about["model"].to_numpy()[rows_of]
        value, low, high = _scored(outcome, rows_of, parts, "auroc", resamples, None)
        rows.append((band, int(inside.sum()), patients.nunique(), value, low, high))
    return pd.DataFrame(rows, columns=["band", "windows", "patients", "value", "low", "high"])


def by_site(
    outcomes: Mapping[str, Outcome],
    metric: str = "auroc",
    resamples: int = 1000,
    weights: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """A macro metric with its interval for each trial on the recordings that all of them tested.

    outcomes: what to call each trial -> its outcome. metric: "auroc", "average_precision" or, with
    the Challenge's weights, "challenge_score". One row a site and trial, the site with the most
    recordings first, and last the rows of EVERYWHERE, within which each site is ranked by itself:
    site, recordings, protocol, value, low, high. A value is NaN where a site has no label that some
    carry and some do not.
    """
    shared = tested_by_all(list(outcomes.values()))
    parts = _parts(list(outcomes.values()), shared)
    first = next(iter(outcomes.values()))
    about = first.about.iloc[shared[0]]
    where = sites(about).to_numpy()
    order = pd.Series(where).value_counts().index.tolist()
    rows = []
    for site in [*order, EVERYWHERE]:
        inside = np.ones(len(where), dtype=bool) if site == EVERYWHERE else where == site
        count = int(about["record"][inside].nunique())
        for (name, outcome), rows_of in zip(outcomes.items(), shared, strict=True):
            within = np.char.add(parts, where.astype(str))[inside]
            scored = _scored(outcome, rows_of[inside], within, metric, resamples, weights)
            rows.append((str(site), count, name, *scored))
    return pd.DataFrame(rows, columns=["site", "recordings", "protocol", "value", "low", "high"])


def difference(
    first: Outcome,
    second: Outcome,
    metric: str = "auroc",
    resamples: int = 1000,
    *,
    one_label: bool = False,
) -> tuple[float, float, float]:
    """The macro metric of `first` less that of `second`, and the ends of its interval.

    On the windows that both tested. The ends are NaN with fewer than two patients. `metric` is of
    metrics.METRICS or one_label.METRICS; F1, which is of both, is that of one class a window where
    `one_label` is set.

    Raises ValueError where a metric of one class a window is asked for and the labels or the
    answers of a window are not of exactly one, or the labels of the two differ.
    """
    a, b = tested_by_all([first, second])
    who = people(first.about.iloc[a])
    if metric in single.METRICS and (one_label or metric not in METRICS):
        if not np.array_equal(first.targets[a], second.targets[b]):
            raise ValueError("the two trials give their windows different labels")
        answers, others = _chosen(first.answers[a]), _chosen(second.answers[b])
        return single.difference(first.targets[a], answers, others, who, metric, resamples)
    parts = np.unique(_parts([first, second], [a, b]), return_inverse=True)[1]
    place = METRICS.index(metric)
    whole = np.ones((len(a), 1), dtype=np.int32)  # (n, 1)
    drawn = bootstrap.resample_weights(who, resamples, seed=0)  # (n, R)
    values = []
    for weights in (whole, drawn):
        of_each = [
            macro(
                bootstrap.resampled(o.targets[rows], _exact(o, rows), weights, parts=parts)[place]
            )
            for o, rows in ((first, a), (second, b))
        ]
        values.append(of_each[0] - of_each[1])
    if who.nunique() < 2:
        return float(values[0][0]), float("nan"), float("nan")
    low, high = bootstrap.middle(values[1][None])[0][0]
    return float(values[0][0]), float(low), float(high)


def distances(
    pairs: Mapping[str, tuple[Outcome, Outcome]],
    metrics: Sequence[str],
    resamples: int = 1000,
) -> pd.DataFrame:
    """For each name and metric, the first outcome less the second: name, metric, value, low, high.

    As `difference` gives them.
    """
    rows = [
        (name, metric, *difference(*two, metric, resamples, one_label=two[0].one_label))
        for name, two in pairs.items()
        for metric in metrics
    ]
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])


def differences(whole: Outcome, changed: Sequence[Outcome], resamples: int = 1000) -> pd.DataFrame:
    """Each of `changed` less `whole` in both areas, with weights and seconds: a table to show.

    A row a trial; `part` names what was changed in it.
    """
    rows = []
    for outcome in [whole, *changed]:
        protocol = outcome.protocol
        words = [f"{name} {value}" for name, value in protocol.changes]
        words = [protocol.windows] if protocol.windows else words
        if protocol.model != whole.protocol.model:
            words = [protocol.model]
        row = {"part": "the whole model" if outcome is whole else ", ".join(words)}
        for metric in ("auroc", "average_precision"):
            value, low, high = difference(outcome, whole, metric, resamples)
            text = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
            if np.isnan([value, low]).any():
                text = "no interval"
            row[WORDS[metric]] = "" if outcome is whole else text
        row["weights"] = f"{outcome.facts['weights']:,}"
        row["seconds of training"] = f"{outcome.facts['seconds']:.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def thresholds(outcome: Outcome, weights: pd.DataFrame, resamples: int = 1000) -> pd.DataFrame:
    """The Challenge score of `outcome` at three sets of thresholds: name, value, low, high.

    Those chosen on the test side itself come last. They flatter, and are no result.
    """
    who = people(outcome.about)
    best = np.empty(outcome.probabilities.shape)  # (n, C), of the model that scored each window
    for model in outcome.about["model"].unique():
        of = (outcome.about["model"] == model).to_numpy()
        best[of] = challenge_thresholds.thresholds(
            outcome.targets[of], outcome.probabilities[of], weights, who[of]
        )
    answers = {
        "0.5 for every class": outcome.probabilities >= 0.5,
        "chosen on the validation side": outcome.answers,
        "chosen on the test side itself": outcome.probabilities >= best,
    }
    rows = []
    for name, given in answers.items():
        scored = challenge_score.intervals(outcome.targets, given, who, weights, resamples)
        rows.append((name, *scored))
    return pd.DataFrame(rows, columns=["name", "value", "low", "high"])


def _exact(outcome: Outcome, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    return outcome.probabilities[rows].astype(np.float64)


def _chosen(answers: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The one class that each window is answered with, (n,), of answers (n, C)."""
    wrong = int((answers.sum(axis=1) != 1).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(answers)} windows are not answered with one class")
    return np.asarray(answers.argmax(axis=1))


def tested_by_all(outcomes: Sequence[Outcome]) -> list[npt.NDArray[np.intp]]:
    """For each outcome the rows of the windows that all of them tested, in one order."""
    names = [
        sites(o.about).astype(str) + " " + o.about["record"] + " " + o.about["start"].astype(str)
        for o in outcomes
    ]
    common = set(names[0]).intersection(*names[1:])
    listed = sorted(common)
    places = [pd.Series(np.arange(len(of_one)), index=of_one) for of_one in names]
    return [place.loc[listed].to_numpy() for place in places]


def _parts(outcomes: list[Outcome], shared: list[npt.NDArray[np.intp]]) -> npt.NDArray[np.str_]:
    """The models that scored each of the shared windows, one name for those of all outcomes."""
    numbers = [
        outcome.about["model"].to_numpy()[rows].astype(str)
        for outcome, rows in zip(outcomes, shared, strict=True)
    ]
    return np.array([" ".join(of_one) + " " for of_one in zip(*numbers, strict=True)])


def _scored(
    outcome: Outcome,
    rows: npt.NDArray[np.intp],
    parts: npt.NDArray[np.generic],
    metric: str,
    resamples: int,
    weights: pd.DataFrame | None,
) -> tuple[float, float, float]:
    """Value, low and high of a macro metric on some rows."""
    who = people(outcome.about.iloc[rows])
    if metric == "challenge_score":
        assert weights is not None
        answers, targets = outcome.answers[rows], outcome.targets[rows]
        if not np.delete(targets, weights.columns.get_loc(challenge_score.NORMAL), axis=1).any():
            return float("nan"), float("nan"), float("nan")  # labels earn no more than normal
        return challenge_score.intervals(targets, answers, who, weights, resamples)
    scores = bootstrap.intervals(
        outcome.targets[rows],
        outcome.probabilities[rows],
        who,
        resamples=resamples,
        labels=outcome.classes,
        parts=parts,
    )
    found = scores.loc[(metric, "macro")]
    return float(found["value"]), float(found["low"]), float(found["high"])
