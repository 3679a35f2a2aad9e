"""Tables of the page on small sets: what is in the sets, the models, and what they cost."""

from collections.abc import Mapping, Sequence

import pandas as pd

from pecg_utils import comparison, models
from pecg_utils.chapters.ecgs_enough import FS, MODELS
from pecg_utils.data import ptbxl
from pecg_utils.data.recording import people
from pecg_utils.ledger import Run
from pecg_utils.small_study import ALL, EVERY, Sets, Trials, sizes_of
from pecg_utils.trial import Outcome


def carried(sets: Sets) -> pd.DataFrame:
    """The large set's labels that take part: name, words, recordings that carry each."""
    counts = sets.large.labels.sum(axis=0)
    words = [sets.source.label_names[code] for code in sets.large.classes]
    found = {"name": list(sets.large.classes), "words": words, "recordings": counts}
    return pd.DataFrame(found)


def asked(run: Run) -> pd.DataFrame:
    """What the small task is made of: name, words, recordings, patients."""
    dataset = run.training
    if dataset.name == "ptbxl":
        return ptbxl.definition(dataset).rename(columns={"statement": "name"})
    rows = []
    for code, flags in dataset.labels.items():
        patients = int(dataset.table["patient"][flags].nunique())
        rows.append((code, dataset.label_names[str(code)], int(flags.sum()), patients))
    return pd.DataFrame(rows, columns=["name", "words", "recordings", "patients"])


def listed(run: Run) -> pd.DataFrame:
    """The models of this run at its sizes: what each is, its weights, its multiply-adds a piece."""
    rows = {}
    for called in run.parameters.models:
        name = MODELS[called][0]
        sizes = sizes_of(run, called)
        model = models.create(name, 12, 1, run.parameters.samples, **sizes)
        rows[called] = {
            "what": models.entry(name).what,
            "weights": f"{sum(w.numel() for w in model.parameters()):,}",
            "multiply-adds of a piece": (
                f"{models.multiply_adds(model, 12, run.parameters.samples) / 1e6:,.1f} million"
            ),
        }
    return pd.DataFrame(rows).T


def sets(run: Run, both: Sets) -> pd.DataFrame:
    """The two sets: name, dataset, kind, recordings, labels, carriers (of any label), patients."""
    rows = []
    for name, windows, of in (
        ("large", both.large, both.source),
        ("small", both.small, run.training),
    ):
        carriers = int(windows.labels.any(axis=1).sum())
        patients = int(people(windows.table).nunique())
        counted = (len(windows), len(windows.classes), carriers, patients)
        rows.append((name, of.name, of.kind, *counted))
    columns = ["name", "dataset", "kind", "recordings", "labels", "carriers", "patients"]
    return pd.DataFrame(rows, columns=columns)


def broadly(begun: Mapping[str, Sequence[Outcome]]) -> pd.DataFrame:
    """Macro AUROC of each pre-trained model on the large set's test side, a row a training.

    Columns: name, model, value, low, high, epoch (that is kept), taught, tested (recordings).
    """
    rows = []
    for model, outcomes in begun.items():
        for outcome in outcomes:
            name = f"{model}, seed {outcome.protocol.repeat + 1}"
            scores = outcome.value("auroc")[["value", "low", "high"]]
            taught = len(outcome.folds[0].sides["train"])
            kept = outcome.facts["best_epoch"]
            rows.append((name, model, *scores, kept, taught, len(outcome.about)))
    columns = ["name", "model", "value", "low", "high", "epoch", "taught", "tested"]
    return pd.DataFrame(rows, columns=columns)


def costs(run: Run, trials: Trials, compared: pd.DataFrame) -> pd.DataFrame:
    """What each model costs beside what it scores, all weights taught all recordings.

    As comparison.costs, and learned: the weights that are taught where the head alone learns.
    """
    of = {
        model: outcomes
        for (model, way, called), outcomes in trials.items()
        if (way, called) == (ALL, EVERY)
    }
    scored = compared[(compared["way"] == ALL) & (compared["called"] == EVERY)]
    scored = scored.assign(name=scored["model"])
    windows = run.parameters
    found = comparison.costs(of, scored, round(10 * FS), windows.batch, FS)
    heads = []
    for model in found["name"]:
        made = models.create(MODELS[model][0], 12, 1, windows.samples, **sizes_of(run, model))
        heads.append(sum(w.numel() for w in made.get_submodule("head").parameters()))
    found["learned"] = heads
    return found
