"""The audits of the chapter on small sets: what was chosen, how, and by whose recordings.

The released code (arXiv 2503.08960, section 6.6 of what is known of it) keeps the epoch that is
best on the test side, and searches for settings by the F1 of the test side. Here the same is done,
beside the same by the validation side, from the same trainings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pecg_utils import comparison, marked_waves, noisy_test, small_study, subgroups
from pecg_utils.chapters.ecgs_enough import FS
from pecg_utils.choosing_plots import BY_TEST, CHANGED, PIECE, SOUNDLY
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.windows import Windows
from pecg_utils.filters import FILTERS
from pecg_utils.ledger import Run
from pecg_utils.metrics import AUROC
from pecg_utils.picked import area
from pecg_utils.small_study import ALL, EVERY, HEAD, SCRATCH, Sets, Trials
from pecg_utils.trial import Outcome, epochs, outcome_of

LONGER = 4  # times the steps of the others
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def scored(targets: Flags, given: Floats) -> dict[str, float]:
    """The macro AUROC and F1 (at 0.5) of answers (n, C).

    With one label, F1 is the mean of that of its carriers and that of the others, as in the code.
    """
    from sklearn.metrics import f1_score

    f1 = float(f1_score(targets, given >= 0.5, average="macro", zero_division=0))
    return {"auroc": area(targets, given), "f1": f1}


def watched(run: Run, sets: Sets) -> dict[str, list[Outcome]]:
    """Each compared model taught the whole small set from scratch for the run's epochs, and looked
    at after each of them."""
    p = run.parameters
    found = {}
    for model in p.compared:
        plan = [
            small_study.tuned(run, model, sets.small, EVERY, number, folds=1, steps=0)
            for number in range(p.repeats)
        ]
        found[model] = run.trials(sets.small, plan, watch=True)
    return found


def by_epoch(trials: Mapping[str, Sequence[Outcome]], labels: Flags) -> pd.DataFrame:
    """What trainings that were watched score: name, model, seed, side, epoch, auroc, f1.

    labels: (N, C) of all windows. side: "validation" or "test". A row an epoch and side.
    """
    rows = []
    for model, outcomes in trials.items():
        for outcome in outcomes:
            (fold,) = outcome.folds
            seed = outcome.protocol.repeat
            for side in ("validation", "test"):
                targets = labels[fold.sides[side]]
                paths = sorted(epochs(fold.folder).glob(f"{side}-*.npy"))
                for epoch, path in enumerate(paths, 1):
                    name = f"{model}, seed {seed + 1}, {side}, epoch {epoch}"
                    found = scored(targets, np.load(path).mean(axis=1))
                    rows.append({"name": name, "model": model, "seed": seed, "side": side})
                    rows[-1] |= {"epoch": epoch, **found}
    return pd.DataFrame(rows)


def grid(run: Run, sets: Sets) -> pd.DataFrame:
    """Length and normalisation by model, each taught the whole small set from scratch, once.

    Columns: name, model, samples, normalise, value, low, high (AUROC on the test side), validation
    (AUROC there), and how many carriers are on either: tested, validated.
    """
    p = run.parameters
    rows = []
    for model in p.compared:
        for length in p.lengths:
            plan = [
                small_study.tuned(
                    run, model, sets.small, EVERY, 0, folds=1, crop=int(length) / FS, normalise=how
                )
                for how in p.normalisations
            ]
            for outcome in run.trials(sets.small, plan):
                (fold,) = outcome.folds
                held = sets.small.labels[fold.sides["validation"]]
                how = outcome.protocol.normalise
                rows.append(
                    {
                        "name": f"{model}, {length} samples, {how}",
                        "model": model,
                        "samples": int(length),
                        "normalise": how,
                        **outcome.value("auroc")[["value", "low", "high"]].to_dict(),
                        "validation": area(held, np.load(fold.folder / "validation.npy")),
                        "tested": int(outcome.targets.any(axis=1).sum()),
                        "validated": int(held.any(axis=1).sum()),
                    }
                )
    return pd.DataFrame(rows)


def configurations(table: pd.DataFrame) -> pd.DataFrame:
    """What choosing a cell of the grid by the test side adds: name, model, rule, cell, value
    (AUROC on the test side)."""
    rows = []
    for model, part in table.groupby("model", sort=False):
        for rule, by in ((BY_TEST, "value"), (SOUNDLY, "validation")):
            best = part.loc[part[by].idxmax()]
            cell = f"{best['samples']:,} samples, {best['normalise']}"
            rows.append((f"{model}, {rule}", model, rule, cell, best["value"]))
    return pd.DataFrame(rows, columns=["name", "model", "rule", "cell", "value"])


def filtered(run: Run, model: str) -> dict[str, list[Outcome]]:
    """A model taught the whole small set from scratch, with each filter, a training a seed."""
    p, found = run.parameters, {}
    for name in FILTERS:
        windows = run.windows(run.training, TWELVE_LEADS, labelled=False, needed=True, filter=name)
        assert windows is not None
        plan = [
            small_study.tuned(run, model, windows, EVERY, number, windows=f"filter {name}")
            for number in range(p.repeats)
        ]
        found[name] = run.trials(windows, plan)
    return found


def compared(trials: Mapping[str, Sequence[Outcome]], resamples: int = 1000) -> pd.DataFrame:
    """The macro AUROC with each filter, and less that without one, as comparison.table has it."""
    return comparison.table(trials, resamples, ("auroc",))


def marked(run: Run) -> marked_waves.Recordings:
    """Recordings whose waves are marked: LUDB's, or simulated ones where it was not given."""
    given = run.further("ludb")
    return marked_waves.of_twin() if given is None else marked_waves.of_ludb(given)


def noisy(trials: Trials, sets: Sets, way: str, draws: int) -> pd.DataFrame:
    """Models that were taught the whole small set, tested on random pieces, and these changed too.

    Of each model the first training. Columns: name, model, kind (PIECE, or CHANGED, as coded), draw
    (0: all pieces of a recording, unchanged), metric (AUROC), value.
    """
    parts = []
    for (model, of, called), outcomes in trials.items():
        if (of, called) != (way, EVERY):
            continue
        for kind in (PIECE, CHANGED):
            one = noisy_test.drawn(outcomes[0], sets.small, draws, changed=kind == CHANGED)
            one = one[one["metric"] == AUROC].reset_index(drop=True)
            one.insert(0, "name", [f"{model}, {kind}, draw {k}" for k in one["draw"]])
            one.insert(1, "model", model)
            one.insert(2, "kind", kind)
            parts.append(one)
    return pd.concat(parts, ignore_index=True)


def longer(run: Run, sets: Sets, trials: Trials) -> pd.DataFrame:
    """A model from scratch with LONGER times as many steps, beside what `trials` has of it.

    On the whole small set, less from scratch with the usual steps: as comparison.table has it.
    """
    p, model = run.parameters, run.parameters.compared[0]
    plan = [
        small_study.tuned(run, model, sets.small, EVERY, number, steps=LONGER * p.steps)
        for number in range(p.repeats)
    ]
    rows = {f"{model}, from scratch": trials[model, SCRATCH, EVERY]} if model in p.models else {}
    rows[f"{model}, from scratch, {LONGER} times the steps"] = run.trials(sets.small, plan)
    if model in p.models:
        rows[f"{model}, all weights"] = trials[model, ALL, EVERY]
    return comparison.table(rows, p.resamples, ("auroc",))


def fitted_heads(run: Run, sets: Sets, trials: Trials) -> pd.DataFrame:
    """A head that is fitted to the end, by logistic regression, in place of one taught in steps.

    On the whole small set, less from scratch: as comparison.table has it, three rows a model.
    """
    p, parts = run.parameters, []
    for model in p.models:
        scratch, taught = (trials[model, way, EVERY] for way in (SCRATCH, HEAD))
        fitted = [_fitted(outcome, sets.small, p.resamples) for outcome in taught]
        rows = {
            f"{model}, {SCRATCH}": scratch,
            f"{model}, {HEAD}": taught,
            f"{model}, head fitted to the end": fitted,
        }
        parts.append(comparison.table(rows, p.resamples, ("auroc",)))
    return pd.concat(parts, ignore_index=True)


def _fitted(outcome: Outcome, windows: Windows, resamples: int) -> Outcome:
    """The frozen models of `outcome` with another head: scikit-learn's logistic regression, of one
    label, on features with deviation 1, carriers weighing as much as the others (*ours*)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch import nn

    from pecg_utils import reloaded, train

    protocol, folds = outcome.protocol, []
    for fold in outcome.folds:
        taught, tested = fold.sides["train"], fold.sides["test"]
        model, inputs = reloaded.model_and_inputs(
            fold.folder,
            protocol,
            fold.facts["sizes"],
            windows,
            np.concatenate([taught, tested]),
            windows.labels,
        )
        model.head = nn.Identity()
        features = train.predict(model, inputs, lambda x: x, protocol.piece(windows))  # (n, F)
        line = LogisticRegression(class_weight="balanced", max_iter=10_000)
        head = make_pipeline(StandardScaler(), line)
        head.fit(features[: len(taught)], windows.labels[taught, 0])
        given = head.predict_proba(features[len(taught) :])[:, 1:].astype(np.float32)  # (n, 1)
        folds.append(replace(fold, probabilities=given))
    return outcome_of(
        replace(protocol, windows="head fitted to the end"),
        outcome.kind,
        windows,
        windows.labels,
        folds,
        outcome.facts,
        outcome.folder,
        resamples,
    )


def unlabelled(run: Run, sets: Sets, begun: Mapping[str, Sequence[Outcome]]) -> pd.DataFrame:
    """Recordings of PTB-XL without any label, taught as negatives and left out.

    Asked of recordings with a label alone. One row a compared model that was pre-trained here:
    name, recordings, without (a label), value, low, high (macro AUROC taught as negatives, less
    left out). No row where the large set is not PTB-XL, or all of it is labelled.
    """
    p = run.parameters
    columns = ["name", "recordings", "without", "value", "low", "high"]
    labelled = sets.source.labels.any(axis=1).to_numpy()
    if sets.source.name != "ptbxl" or labelled.all():
        return pd.DataFrame(columns=columns)
    only = sets.source.only(labelled)
    part = run.windows(only, TWELVE_LEADS, needed=True, part="with a label")
    assert part is not None
    rows = []
    for model in p.compared:
        if model not in begun:
            continue
        plan = [small_study.broad(run, model, part, windows="without a label left out")]
        (without,) = run.trials(part, plan, of=sets.source)
        change = subgroups.difference(begun[model][0], without, "auroc", p.resamples)
        rows.append((model, len(labelled), int((~labelled).sum()), *change))
    return pd.DataFrame(rows, columns=columns)
