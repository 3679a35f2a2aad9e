"""The audits of the transfer chapter that ask trained models again, and its controls."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pecg_utils import transfer_asked, transfer_study
from pecg_utils.data import domains
from pecg_utils.ledger import Run
from pecg_utils.transfer_asked import UNTRAINED
from pecg_utils.transfer_study import PEACE, TUNED, Gathered, Trials
from pecg_utils.trial import Outcome

CUT, PRESSED = "cut to 10 s", "pressed to 10 s"
FOR_CHILDREN = "for children"


def adults(trials: Trials, both: Gathered) -> Outcome:
    """The first PEACE without a child, on adults that it was not taught: PTB-XL's own number."""
    first = trials[PEACE, "0"][0]
    rows = transfer_asked.other_adults(first, both.windows, "train", "validation")
    return transfer_asked.again(first, both.windows, rows, tested=domains.ADULTS)


def leak(told: Trials, both: Gathered, resamples: int = 1000) -> pd.DataFrame:
    """As transfer_asked.leak has it, of models of adults, asked of adults that they were not
    taught, and of models that were taught all children, asked of other children: with the column
    `tested`, domains.ADULTS or CHILDREN."""
    found = []
    for tested, mode in ((domains.ADULTS, "0"), (domains.CHILDREN, "all")):
        first = {name: outcomes[0] for (name, of), outcomes in told.items() if of == mode}
        one = next(iter(first.values()))
        rows = one.folds[0].sides["test"]
        if tested == domains.ADULTS:
            rows = transfer_asked.other_adults(one, both.windows, "train", "validation")
        asked = transfer_asked.leak(first, both.windows, rows, resamples)
        found.append(asked.assign(tested=tested))
    return pd.concat(found, ignore_index=True)


def controls(run: Run, both: Gathered, trials: Trials) -> Trials:
    """PEACE with other vectors in the place of its texts, with the texts for children, and a
    network that nobody trained, once a seed."""
    found = transfer_study.controls(run, both, trials)
    how = {"method": PEACE, "form": "child"}
    asked = ["0", transfer_study.few(run.parameters.shots)]
    found |= transfer_study.carried_out(run, both, FOR_CHILDREN, asked, {}, **how)
    resamples = run.parameters.resamples
    found[UNTRAINED, "0"] = [
        run.also(transfer_asked.untrained(outcome, both.windows, seed, resamples))
        for seed, outcome in enumerate(trials[PEACE, "0"])
    ]
    return found


def pressed(run: Run, both: Gathered, trials: Trials) -> pd.DataFrame:
    """Models of adults on the children's recordings, cut after ten seconds as they were taught,
    and pressed from their whole length into as many: PEACE and the plain network.

    As transfer_study.table has it, with the column `model`; each pressed row's gain is on its cut
    one."""
    settings = {"stretch": True, "squeeze": True}
    whole = transfer_study.cut(run, both.children, **settings)
    whole = domains.of_labels(whole, both.windows.classes)
    children = both.windows.table["domain"] == domains.CHILDREN
    before = both.windows.table[children]
    # A fault late in a recording shuts out the whole and not its first ten seconds.
    known = np.flatnonzero(whole.table["record"].isin(before["record"]))
    place = pd.Series(known, index=whole.table["record"].iloc[known])
    # Whoever is tested is named as in the joined windows, so that both are paired by patient.
    same = before.set_index("record").reindex(whole.table["record"]).reset_index()
    named = replace(domains.join([], whole), table=same)
    tables = []
    for name, key in ((PEACE, PEACE), ("plain", TUNED)):
        found: Trials = {}
        outcomes = trials[key, "0"]
        rows = outcomes[0].folds[0].sides["test"]
        rows = rows[both.windows.table["record"].iloc[rows].isin(place.index).to_numpy()]
        again = place.loc[both.windows.table["record"].iloc[rows]].to_numpy()
        for words, windows, which in ((CUT, both.windows, rows), (PRESSED, named, again)):
            found[f"{name}, {words}", "0"] = [
                run.also(
                    transfer_asked.again(
                        outcome, windows, which, words, resamples=run.parameters.resamples
                    )
                )
                for outcome in outcomes
            ]
        part = transfer_study.table(found, run.parameters.resamples, ["auroc"])
        tables.append(part.assign(model=name))
    return pd.concat(tables, ignore_index=True)


def flagged(
    trials: Trials, seen: Outcome, both: Gathered, resamples: int = 1000, rate: float = 0.05
) -> pd.DataFrame:
    """As transfer_asked.flagged has it, of the first PEACE without a child. seen: on adults."""
    first = trials[PEACE, "0"][0]
    return transfer_asked.flagged(seen, first, both.names, rate, resamples=resamples)
