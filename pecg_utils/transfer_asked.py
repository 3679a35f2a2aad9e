"""Models that a transfer left, asked again: of other recordings, untrained, and shown the answer.

Nothing is trained here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import adapting, bootstrap
from pecg_utils.data import domains
from pecg_utils.data.inputs import Inputs, Scale
from pecg_utils.data.recording import people
from pecg_utils.data.windows import Windows
from pecg_utils.errors import PecgError
from pecg_utils.metrics import METRICS, macro
from pecg_utils.subgroups import AGE_BANDS
from pecg_utils.trial import Fold, Outcome, outcome_of

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]

SEEN = ("ECG alone", "its own tokens", "another's tokens")
UNTRAINED = "untrained"


def again(
    outcome: Outcome,
    windows: Windows,
    rows: Rows,
    called: str = "",
    tested: str = domains.CHILDREN,
    kind: str = "",
    resamples: int = 1000,
) -> Outcome:
    """The model of `outcome` on the windows `rows` of `windows`, as it is.

    called: what is other about the windows. tested: whom they are of. kind: of the data, where it
    is another one's than the outcome's.
    """
    model, measure = _model(outcome, windows)
    given = _asked(model, windows, rows, measure)
    assert outcome.protocol.transfer is not None
    transfer = replace(outcome.protocol.transfer, tested=tested)
    protocol = replace(outcome.protocol, transfer=transfer, windows=called)
    return _outcome(outcome, windows, rows, given, protocol, kind or outcome.kind, resamples)


def other_adults(outcome: Outcome, windows: Windows, *sides: str) -> Rows:
    """The adults of joined windows, by number, that are on none of these sides of `outcome`."""
    there = np.concatenate([outcome.folds[0].sides[side] for side in sides])
    adults = np.flatnonzero(windows.table["domain"] == domains.ADULTS)
    return np.setdiff1d(adults, there)


def untrained(outcome: Outcome, windows: Windows, seed: int, resamples: int = 1000) -> Outcome:
    """A network like that of `outcome` that nobody trained, on the same windows."""
    import torch

    torch.manual_seed(seed)
    model = _network(outcome, windows).eval()
    rows = outcome.folds[0].sides["test"]
    given = _asked(model, windows, rows, _model(outcome, windows)[1])
    protocol = replace(outcome.protocol, windows=UNTRAINED, repeat=seed)
    return _outcome(outcome, windows, rows, given, protocol, outcome.kind, resamples)


def leak(
    outcomes: dict[str, Outcome], windows: Windows, rows: Rows, resamples: int = 1000
) -> pd.DataFrame:
    """What the axis tokens tell, where they are shown at test too: taught, seen, value, low, high.

    outcomes: how each model was taught -> its outcome. rows: of the windows, who is asked. value:
    macro AUROC. For "another's tokens" each record is given those of the next one's in a random
    circle.
    """
    import torch

    from pecg_utils.alignment import others

    found = []
    for taught, outcome in outcomes.items():
        model, measure = _model(outcome, windows)
        inputs = Inputs(windows, rows, measure, windows.labels[rows])
        circle = others(len(rows), torch.Generator().manual_seed(0)).numpy()
        for seen in SEEN:
            whose = circle if seen == SEEN[2] else np.arange(len(rows))
            if seen == SEEN[0]:
                given = _asked(model, windows, rows, measure)
            else:
                given = _with_tokens(model, outcome, windows, inputs, inputs.labels[whose])
            who = people(windows.table.iloc[rows])
            found.append((taught, seen, *_macro(inputs.labels, given, who, resamples)))
    return pd.DataFrame(found, columns=["taught", "seen", "value", "low", "high"])


def flagged(
    adults: Outcome,
    children: Outcome,
    names: Sequence[str],
    rate: float = 0.05,
    normal: str = "NORM",
    resamples: int = 1000,
) -> pd.DataFrame:
    """Healthy children whom a model calls carriers of a label at a threshold for healthy adults.

    adults, children: what one model answered to both test sides. names: the labels' words. Healthy
    for a label is who carries `normal` and not the label itself. The threshold is where `rate` of
    such adults are called carriers. One row a label other than `normal` and a band of age: label,
    words, band, children, share, low, high (95 % over patients, adults and children), rate. Bands
    without a healthy child are left out.
    Raises PecgError when `normal` is no label, or no adult or no child of the test sides has it.
    """
    classes = list(children.classes)
    healthy = []
    for who, outcome in (("adult", adults), ("child", children)):
        carries = np.zeros(len(outcome.targets), dtype=bool)
        if normal in classes:
            carries = outcome.targets[:, classes.index(normal)]  # (n,)
        if not carries.any():
            raise PecgError(
                f"No {who} of the test side has the label {normal}, so that it cannot be said what "
                "the model makes of healthy ones. Give more recordings."
            )
        healthy.append(carries)
    grown = bootstrap.resample_weights(people(adults.about), resamples, seed=1)  # (n, R)
    age, who = children.about["age_days"].to_numpy(), people(children.about).to_numpy()
    rows = []
    for c, label in enumerate(classes):
        sound, young = (
            carries & ~outcome.targets[:, c]
            for carries, outcome in zip(healthy, (adults, children), strict=True)
        )
        if label == normal or not sound.any():
            continue
        given = adults.probabilities[sound, c]
        threshold = np.quantile(given, 1 - rate)
        drawn = _quantiles(given, grown[sound], 1 - rate)  # (R,)
        lower = -np.inf
        for band, upper in AGE_BANDS.items():
            inside = young & (age > lower) & (age <= upper)
            lower = upper
            if not inside.any():
                continue
            seen = children.probabilities[inside, c]  # (m,)
            count = len(set(who[inside]))
            ends = np.full(2, np.nan)
            if count > 1:
                weights = bootstrap.resample_weights(who[inside], resamples, seed=0)  # (m, R)
                called = ((seen[:, None] > drawn) * weights).sum(axis=0)  # (R,)
                ends = bootstrap.middle((called / weights.sum(axis=0))[None])[0][0]
            share = float((seen > threshold).mean())
            rows.append((label, names[c], band, count, share, *ends, rate))
    columns = ["label", "words", "band", "children", "share", "low", "high", "rate"]
    return pd.DataFrame(rows, columns=columns)


def _quantiles(
    values: npt.NDArray[np.floating], weights: npt.NDArray[np.int32], level: float
) -> npt.NDArray[np.float64]:
    """The quantile of `values` (n,) in each resample, (R,), by how often each is in it (n, R)."""
    return np.array(
        [
            np.quantile(np.repeat(values, times), level) if times.any() else np.nan
            for times in weights.T
        ]
    )


def _network(outcome: Outcome, windows: Windows) -> Any:
    protocol = outcome.protocol
    assert protocol.transfer is not None
    sizes = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in outcome.facts["sizes"].items()
    }
    leads = len(protocol.leads)
    return adapting.made(windows, protocol.transfer, protocol.model, leads, sizes, protocol.repeat)


def _model(outcome: Outcome, windows: Windows) -> tuple[Any, Scale]:
    """The trained network of the first fold, and how its windows are scaled."""
    import torch

    kept = torch.load(outcome.folds[0].folder / "model.pt", weights_only=True)
    model = _network(outcome, windows)
    model.load_state_dict(kept["weights"])
    measure = Scale(outcome.protocol.leads, np.array(kept["mean"]), np.array(kept["std"]))
    return model.eval(), measure


def _asked(model: Any, windows: Windows, rows: Rows, measure: Scale) -> Floats:
    from pecg_utils import train

    inputs = Inputs(windows, rows, measure, windows.labels[rows])
    return train.predict(model, inputs, adapting.Adapting.probabilities)


def _with_tokens(
    model: Any,
    outcome: Outcome,
    windows: Windows,
    inputs: Inputs,
    labels: npt.NDArray[np.bool_],
    batch: int = 256,
) -> Floats:
    """The model's answers (n, C) with the axis tokens of these labels (n, C) in sight."""
    import torch

    from pecg_utils.alignment import own_texts

    transfer, repeat = outcome.protocol.transfer, outcome.protocol.repeat
    assert transfer is not None
    texts = adapting.vectors(windows.classes, transfer, model.labels.shape[1], repeat)
    parts = []
    for start in range(0, len(inputs), batch):
        some = np.arange(start, min(start + batch, len(inputs)))
        axes, _ = own_texts(torch.from_numpy(labels[some].astype(np.float32)), texts, "three")
        with torch.inference_mode():
            logits = model.leaked(torch.from_numpy(inputs.batch(some)), axes)
        parts.append(torch.sigmoid(logits.float()).numpy())
    return np.concatenate(parts)


def _macro(
    targets: npt.NDArray[np.bool_], given: Floats, who: pd.Series, resamples: int
) -> tuple[float, float, float]:
    """Macro AUROC of answers (n, C) with its interval over `who` (n,)."""
    area = METRICS.index("auroc")
    whole = np.ones((len(given), 1), dtype=np.int32)
    weights = bootstrap.resample_weights(who, resamples, seed=0)
    each = [
        macro(bootstrap.resampled(targets, given.astype(np.float64), of).swapaxes(0, 1))
        for of in (whole, weights)
    ]  # (M, 1), (M, R)
    ends, _ = bootstrap.middle(each[1][area : area + 1])
    return float(each[0][area, 0]), float(ends[0, 0]), float(ends[0, 1])


def _outcome(
    outcome: Outcome,
    windows: Windows,
    rows: Rows,
    given: Floats,
    protocol: Any,
    kind: str,
    resamples: int,
) -> Outcome:
    first = outcome.folds[0]
    fold = Fold(first.folder, {"test": rows}, given, first.thresholds, {})
    facts = {**outcome.facts, "name": protocol.name, "data": kind, "seconds": 0.0, "curves": []}
    if kind != outcome.kind:
        facts["trained_on"] = outcome.kind
    facts["split"] = {
        "by": protocol.split,
        "fingerprint": windows.key,
        "windows": {"test": len(rows)},
        "patients": {"test": int(people(windows.table.iloc[rows]).nunique())},
    }
    return outcome_of(
        protocol, kind, windows, windows.labels, [fold], facts, outcome.folder, resamples
    )
