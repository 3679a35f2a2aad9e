"""What the chapter on transfer carries out and how it is tabled: adults, children, methods, modes.

The outcomes are tiny trainings on made-up windows; what is gathered is made of made-up datasets.
"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_domains import CLASSES, YEAR, made_up, single, tried

from pecg_utils import chapters, subgroups, transfer_study
from pecg_utils.alignment import ABLATION
from pecg_utils.chapters.peace import PROFILES, Peace
from pecg_utils.data import domains, label_map
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.errors import PecgError
from pecg_utils.transfer_study import CONTROLS, METHODS, PEACE, TOKENS, TUNED
from pecg_utils.transfers import TEXTS, Transfer

torch.set_num_threads(1)
WORDS = ["normal", "fast", "thick"]


@pytest.fixture(scope="module")
def both():
    return transfer_study.Gathered(made_up(), None, None, WORDS, pd.DataFrame(), 0)


@pytest.fixture(scope="module")
def trials(tmp_path_factory, both):
    """Two methods without a child and with few, by two seeds; from scratch there is no first."""
    folder = tmp_path_factory.mktemp("trials")
    plan = {
        (TUNED, "0"): {"method": "plain", "shots": 0},
        (TUNED, "10"): {"method": "plain", "shots": 4},
        ("from scratch", "10"): {"method": "plain", "shots": 4, "begin": False},
        (PEACE, "0"): {"method": "PEACE", "shots": 0},
        (PEACE, "10"): {"method": "PEACE", "shots": 4},
    }
    return {
        name: [
            tried(folder, both.windows, repeat=n, draw=n if how["shots"] else 0, **how)
            for n in (0, 1)
        ]
        for name, how in plan.items()
    }


@pytest.fixture(scope="module")
def tabled(trials):
    return transfer_study.table(trials, resamples=100)


def test_a_row_is_a_method_a_number_of_shots_and_a_metric(trials, tabled):
    assert tabled.columns.tolist() == [
        *("name", "method", "mode", "shots", "recordings", "metric", "trials", "value", "low"),
        *("high", "apart", "gain", "gain_low", "gain_high", "least", "most"),
    ]
    found = list(zip(tabled["method"], tabled["mode"], tabled["metric"], strict=True))
    both_metrics = ("auroc", "average_precision")
    assert set(found) == {(*key, metric) for key in trials for metric in both_metrics}
    assert len(found) == 10
    assert tabled["mode"].tolist() == ["0"] * 4 + ["10"] * 6  # those of one mode together
    assert (tabled["trials"] == 2).all()
    assert (tabled["shots"] == tabled["mode"]).all()
    assert (tabled["low"] <= tabled["high"]).all()


def test_a_method_lies_between_its_trainings(trials, tabled):
    for row in tabled.itertuples():
        each = [outcome.value(row.metric)["value"] for outcome in trials[row.method, row.mode]]
        assert (row.least, row.most) == (min(each), max(each))
        assert row.apart == pytest.approx(max(each) - min(each))
    assert (tabled["most"] > tabled["least"]).any()


def test_the_gain_is_over_the_first_method_of_the_same_mode(tabled):
    for (_, metric), part in tabled.groupby(["mode", "metric"], sort=False):
        first = part[part["method"] == TUNED].iloc[0]
        assert first[["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0], metric
        for row in part.itertuples():
            assert row.gain == pytest.approx(row.value - first["value"])
            assert row.gain_low <= row.gain_high
    later = tabled[(tabled["method"] == TUNED) & (tabled["mode"] == "10")]
    assert (later["gain"] == 0).all()  # and not over that of another mode


def test_how_many_children_were_taught_is_counted(trials, tabled):
    assert (tabled.loc[tabled["mode"] == "0", "recordings"] == 0).all()
    for key, outcomes in trials.items():
        if key[1] == "10":
            taught = np.mean([len(outcome.folds[0].sides["train"]) for outcome in outcomes])
            row = tabled[(tabled["method"] == key[0]) & (tabled["mode"] == "10")]
            assert (row["recordings"] == taught).all()
            assert taught > 0


def test_one_metric_may_be_asked_for(trials):
    table = transfer_study.table(trials, 20, ["auroc"])
    assert table["metric"].unique().tolist() == ["auroc"]
    assert len(table) == len(trials)


def test_each_label_is_told_with_its_positives_among_adults_and_children(trials, both):
    table = transfer_study.per_label(trials, both)
    assert table.columns.tolist() == [
        *("label", "words", "mode", "value", "low", "high", "positives", "adults")
    ]
    assert table["label"].tolist() == [*CLASSES, *CLASSES]
    assert table["words"].tolist() == [*WORDS, *WORDS]
    assert table["mode"].tolist() == ["0"] * 3 + ["10"] * 3
    first = trials[PEACE, "0"][0]
    adults = both.windows.labels[first.folds[0].sides["train"]].sum(axis=0)
    assert table["adults"].tolist() == [*adults, *adults]  # taught before, whatever the mode
    assert table["positives"].tolist() == [*first.targets.sum(axis=0)] * 2
    for row in table.itertuples():
        of = trials[PEACE, row.mode][0].value("auroc", row.label)
        assert (row.value, row.low, row.high) == tuple(of[["value", "low", "high"]])
    other = transfer_study.per_label(trials, both, TUNED)
    assert other["value"].tolist() != table["value"].tolist()


def test_bands_of_age_are_those_of_the_first_training_of_each_mode(trials):
    table = transfer_study.by_age(trials, 20)
    assert table["mode"].unique().tolist() == ["0", "10"]
    for mode, part in table.groupby("mode"):
        own = subgroups.by_age(trials[PEACE, mode][0], 20)
        pd.testing.assert_frame_equal(part.drop(columns="mode").reset_index(drop=True), own)


def test_support_sets_are_counted_one_after_the_other(both):
    table = transfer_study.support_sets(both, ["2", "50"], seed=0)
    assert table["asked"].tolist() == [2] * 3 + [50] * 3
    assert (table["found"][:3] == 2).all()
    assert table["found"][3:].tolist() == table["there"][3:].tolist()
    assert table["words"].tolist() == WORDS * 2
    one = domains.shot_counts(both.windows, WORDS, 50, 0)
    pd.testing.assert_frame_equal(table[3:].reset_index(drop=True), one)


def test_modes_and_the_few():
    assert transfer_study.modes(["10", "100"]) == {"0": 0, "10": 10, "100": 100, "all": None}
    assert transfer_study.few(["10", "50", "100"]) == "50"
    assert transfer_study.few(["100", "10"]) == "100"


class Planned:
    """A run that notes what it is to carry out, and gives names for outcomes."""

    def __init__(self, profile):
        self.parameters = SimpleNamespace(**PROFILES[profile])
        self.plan = []

    def trials(self, windows, plan):
        self.plan += plan
        return [one.name for one in plan]


def planned(profile):
    run = Planned(profile)
    both = SimpleNamespace(windows=None)
    trials = transfer_study.methods(run, both)
    return run, both, trials


def test_a_protocol_of_the_chapter():
    made = transfer_study.protocol(Transfer(shots=10), 2, axes="beside")
    assert (made.model, made.leads, made.split, made.folds) == ("peace", TWELVE_LEADS, "domain", 1)
    assert made.changes == (("axes", "beside"),)
    assert (made.repeat, made.transfer) == (2, Transfer(shots=10))


def test_each_number_is_a_seed_and_a_draw():
    run = Planned("study")
    found = transfer_study.carried_out(
        run, SimpleNamespace(windows=None), "x", ["0", "10", "all"], {"depth": 2}, method="MMD"
    )
    assert list(found) == [("x", "0"), ("x", "10"), ("x", "all")]
    assert all(len(outcomes) == 3 for outcomes in found.values())
    drawn = [(p.transfer.shots, p.transfer.draw, p.repeat) for p in run.plan]
    few = [(10, 0, 0), (10, 1, 1), (10, 2, 2)]
    none, every = ([(shots, 0, number) for number in range(3)] for shots in (0, None))
    assert drawn == [*none, *few, *every]
    assert {(p.transfer.method, p.transfer.steps) for p in run.plan} == {
        ("MMD", run.parameters.steps)
    }
    assert {p.changes for p in run.plan} == {(("depth", 2),)}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_training_of_the_chapter_has_a_name_of_its_own(profile):
    run, both, trials = planned(profile)
    for study in (transfer_study.ablation, transfer_study.controls):
        study(run, both, trials)
    assert len({p.name for p in run.plan}) == len(set(run.plan)) == len(run.plan)
    transfer_study.tokens(run, both)  # begins with two that are there
    assert len({p.name for p in run.plan}) == len(set(run.plan)) == len(run.plan) - 2


def test_every_method_is_carried_out_where_it_makes_sense():
    _, _, trials = planned("study")
    modes = ["0", "10", "50", "100", "all"]
    of = {name: [mode for method, mode in trials if method == name] for name in METHODS}
    for name, found in of.items():
        assert found == (modes[1:] if name in ("from scratch", "linear probe") else modes)
    few, _, _ = planned("smoke")
    assert {p.transfer.called for p in few.plan} == {
        *("adults alone", TUNED, "DANN", "CLIP", PEACE)
    }


def test_what_is_left_out_is_compared_with_what_was_carried_out_already():
    run, both, trials = planned("study")
    run.plan.clear()
    left_out = transfer_study.ablation(run, both, trials)
    assert {name for name, _ in left_out} == {"complete", *run.parameters.terms}
    assert {mode for _, mode in left_out} == {"0", "50", "all"}
    assert left_out["complete", "50"] is trials[PEACE, "50"]
    assert {p.transfer.terms for p in run.plan} == set(ABLATION) - {"complete"}
    run.plan.clear()
    controlled = transfer_study.controls(run, both, trials)
    assert {name for name, _ in controlled} == set(CONTROLS) == set(TEXTS)
    assert controlled["real", "0"] is trials[PEACE, "0"]
    assert {p.transfer.texts for p in run.plan} == set(TEXTS) - {"real"}
    run.plan.clear()
    told = transfer_study.tokens(run, both)
    assert list(told) == [(name, mode) for name in TOKENS for mode in ("0", "all")]
    before = [p for p in planned("study")[0].plan if p.transfer.method == PEACE]
    assert all(p in before for p in run.plan[:2])  # which was carried out before
    assert [p.transfer.shots for p in run.plan] == [0, None] * 4
    assert [(p.transfer.tokens, p.changes) for p in run.plan[::2]] == [
        ("own", ()),
        ("own", (("axes", "beside"),)),
        ("shuffled", ()),
        ("none", ()),
    ]


def dataset(name, domain, labels=None, ages=None, kind="twin"):
    """A dataset of the recordings of `single`, with the shared labels."""
    windows = single(domain)
    table = windows.table.assign(n_leads=12)
    if ages is not None:
        table["age_days"] = ages(table["age_days"])
    flags = pd.DataFrame(windows.labels if labels is None else labels, columns=list(CLASSES))
    names = dict(zip(CLASSES, WORDS, strict=True))
    return Dataset(name, Path(name), kind, table, flags, names, (), None)


class Gathering:
    """A run of two datasets, whose windows are those of `single`."""

    def __init__(self, adults, children, least=5, given=False):
        self.parameters = SimpleNamespace(patients=60, least=least, seed=0)
        self.training = self.given = children
        self.adults, self.has = adults, given

    def further(self, parameter):
        assert parameter in ("adults", "hospitals")
        return self.adults if self.has and parameter == "adults" else None

    def beside(self, name, size, **how):
        assert (name, size, how) == ("ptbxl", 60, {"task": "all", "fs": 100.0})
        return self.adults

    def windows(self, dataset, leads, *, labelled, needed):
        assert (leads, labelled, needed) == (TWELVE_LEADS, False, True)
        windows = single(ADULTS if dataset.name == "ptbxl" else CHILDREN)
        kept = windows.table["record"].isin(dataset.table["record"]).to_numpy()
        parts = ("steps", "gain", "table", "labels")
        windows = replace(windows, **{part: getattr(windows, part)[kept] for part in parts})
        return replace(windows, labels=dataset.labels.to_numpy())


@pytest.fixture
def unmapped(monkeypatch):
    """The made-up datasets have the shared labels already."""
    monkeypatch.setattr(label_map, "shared", lambda dataset: dataset)


@pytest.mark.usefixtures("unmapped")
def test_adults_with_an_age_and_children_with_a_finding_are_gathered():
    rare = single(CHILDREN).labels
    rare[:, 1] = False
    rare[1, 1] = True  # one child alone
    aged = dataset("ptbxl", ADULTS, ages=lambda days: days.where(days.index % 5 > 0))
    found = transfer_study.gather(Gathering(aged, dataset("zzu", CHILDREN, rare)))
    assert found.unaged[0] == 10
    of = found.windows.table["domain"].value_counts()
    stated = int(rare.any(axis=1).sum())  # of the others the file says nothing that is shared
    assert of.to_dict() == {ADULTS: 40, CHILDREN: stated}
    assert stated < len(rare)
    assert found.counts["taken"].tolist() == [True, False, True]
    assert found.windows.classes == ("NORM", "LVH")
    assert found.names == ["normal", "thick"]
    assert found.adults.labels.columns.tolist() == list(CLASSES)
    rare[:, 0] = False
    run = Gathering(aged, dataset("zzu", CHILDREN, rare))
    with pytest.raises(PecgError, match="Fewer than two labels are carried by 5 adults or more"):
        transfer_study.gather(run)


@pytest.mark.usefixtures("unmapped")
def test_a_label_takes_part_from_the_least_number_of_adults_on():
    grown, young = dataset("ptbxl", ADULTS), dataset("zzu", CHILDREN)
    carried = grown.labels.sum()
    found = transfer_study.gather(Gathering(grown, young, least=int(carried.sort_values().iloc[1])))
    assert found.counts["taken"].sum() >= 2
    with pytest.raises(PecgError, match="or a smaller least"):
        transfer_study.gather(Gathering(grown, young, least=int(carried.max()) + 1))


@pytest.mark.usefixtures("unmapped")
def test_adults_and_children_are_both_twins_or_both_real():
    real = dataset("zzu", CHILDREN, kind="subset")
    with pytest.raises(
        PecgError, match=r"Real children were given, .* and no adults: give the fol"
    ):
        transfer_study.gather(Gathering(dataset("ptbxl", ADULTS), real))
    grown = dataset("ptbxl", ADULTS, kind="subset")
    assert transfer_study.gather(Gathering(grown, real, given=True)).adults.kind == "subset"
    twins = dataset("zzu", CHILDREN)
    for adults, children in ((grown, twins), (dataset("ptbxl", ADULTS), real)):
        with pytest.raises(PecgError, match="both as real recordings or both as twins"):
            transfer_study.gather(Gathering(adults, children, given=True))
    ageless = dataset("ptbxl", ADULTS, ages=lambda days: days * np.nan)
    with pytest.raises(PecgError, match="None of the 50 recordings is of an adult: 50 state no"):
        transfer_study.gather(Gathering(ageless, dataset("zzu", CHILDREN)))
    young = dataset("ptbxl", ADULTS, ages=lambda days: days * 0 + 17 * YEAR)
    with pytest.raises(PecgError, match="0 state no age, the others one below 18 years"):
        transfer_study.gather(Gathering(young, dataset("zzu", CHILDREN)))


def test_the_profiles_are_the_chapters():
    for profile in PROFILES:
        assert isinstance(chapters.parameters("peace", {"profile": profile}), Peace)
