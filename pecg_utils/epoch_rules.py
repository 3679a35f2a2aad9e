"""Which epoch of a training is kept, by whose recordings and by which score."""

import pandas as pd

from pecg_utils.choosing_plots import AS_CODED, BY_VALIDATION, LAST

F1, AUROC = LOOKED_AT = "f1", "auroc"


def chosen(seen: pd.DataFrame) -> pd.DataFrame:
    """What each rule for the epoch comes to on the test side.

    seen: as small_audits.by_epoch gives it.

    Columns: model, seed, by (the score that the rule looks at: "f1", as the code, or "auroc"),
    rule, epoch, tied (how many epochs share the best score that was looked at), metric, value.
    """
    rows = []
    for (model, seed), part in seen.groupby(["model", "seed"], sort=False):
        sides = {side: of.set_index("epoch") for side, of in part.groupby("side")}
        last = int(part["epoch"].max())
        for by in LOOKED_AT:
            looked = {AS_CODED: sides["test"][by], BY_VALIDATION: sides["validation"][by]}
            taken = {
                rule: (int(of.idxmax()), int((of == of.max()).sum())) for rule, of in looked.items()
            }
            for rule, (epoch, tied) in {**taken, LAST: (last, 1)}.items():
                for metric in ("auroc", "f1"):
                    value = float(sides["test"][metric][epoch])
                    rows.append((model, seed, by, rule, epoch, tied, metric, value))
    columns = ["model", "seed", "by", "rule", "epoch", "tied", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)
