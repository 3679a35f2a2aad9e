"""Children read one by one, and hospitals left out: on made-up windows, and on real recordings."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_domains import CLASSES, YEAR, made_up, relabelled, single, tried

from pecg_utils import chapters, transfer_real, transfer_study
from pecg_utils.data import domains, label_map, open_dataset
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.data.recording import Dataset
from pecg_utils.data.windows import data_fingerprint
from pecg_utils.errors import PecgError
from pecg_utils.ledger import Run
from pecg_utils.sources import Sources
from pecg_utils.transfer_real import ALONE, LEFT_OUT, POOLED, TOGETHER, Cases
from pecg_utils.transfer_study import PEACE

torch.set_num_threads(1)
WORDS = {pair.code: pair.words for pair in label_map.pairs()}


def dataset(windows, kind="twin", name="zzu"):
    """The dataset whose recordings these windows are; the file states one label more."""
    flags = pd.DataFrame(windows.labels, columns=list(windows.classes))
    flags["AFIB"] = np.arange(len(flags)) % 7 == 0
    table = windows.table.assign(n_leads=12)
    return Dataset(name, Path(name), kind, table, flags, WORDS, (), None)


@pytest.fixture(scope="module")
def both():
    grown, young = dataset(single(ADULTS), name="ptbxl"), dataset(single(CHILDREN))
    names = list(CLASSES)
    return transfer_study.Gathered(made_up(), grown, young, names, pd.DataFrame(), (0, 0, 0))


@pytest.fixture(scope="module")
def trials(tmp_path_factory, both):
    folder = tmp_path_factory.mktemp("trials")
    return {
        (PEACE, "0"): [tried(folder, both.windows), None],
        ("fine-tuning", "0"): [tried(folder, both.windows, method="plain"), None],
    }


@pytest.fixture
def unmapped(monkeypatch):
    """The made-up datasets have the shared labels already."""
    monkeypatch.setattr(label_map, "shared", lambda dataset: dataset)


class Asking:
    """A run that was given these children, and no adults; `windows` are those of its data."""

    def __init__(self, given, training, windows=None):
        self.given, self.training, self.cut, self.put = given, training, windows, []

    def further(self, parameter):
        assert parameter == "adults"

    def also(self, outcome):
        self.put.append(outcome)
        return outcome

    def windows(self, dataset, leads, *, labelled, needed):
        kept = self.cut.table["record"].isin(dataset.table["record"]).to_numpy()
        parts = {name: getattr(self.cut, name)[kept] for name in ("steps", "gain", "labels")}
        table = self.cut.table[kept].reset_index(drop=True)
        return replace(self.cut, **parts, table=table)


@pytest.fixture
def found(both, trials, unmapped):
    """The cases of a run on twins alone."""
    run = Asking(both.children, both.children)
    made = transfer_real.cases(run, both, trials)
    assert run.put == list(made.readings.values())
    return made


def test_on_twins_tested_children_are_read_by_the_first_models_of_adults(found, both, trials):
    first = trials[PEACE, "0"][0]
    rows = first.folds[0].sides["test"][:19]
    records = both.windows.table["record"].iloc[rows].tolist()
    assert list(found.readings) == [PEACE, "plain"]
    for (words, outcome), key in zip(found.readings.items(), (PEACE, "fine-tuning"), strict=True):
        assert outcome.about["record"].tolist() == records
        given = trials[key, "0"][0].probabilities[: len(rows)]
        np.testing.assert_allclose(outcome.probabilities, given, atol=1e-6)
        assert found.called[words].shape == (len(rows), len(CLASSES))
        assert outcome.kind == "twin"
    assert (found.kind, found.alike) == ("twin", True)


def test_real_children_without_adults_are_read_by_models_of_the_twin(both, trials, unmapped):
    young = single(CHILDREN, seed=5)
    stated = young.labels.copy()
    stated[[2, 4]] = False  # whose file says nothing
    young = replace(young, labels=stated)
    given = dataset(young, kind="subset")
    given.labels["AFIB"] = False
    run = Asking(given, both.children, young)
    made = transfer_real.cases(run, both, trials)
    expected = [record for record in young.table["record"] if record not in ("c2", "c4")][:19]
    for outcome in made.readings.values():
        assert outcome.about["record"].tolist() == expected
        assert (outcome.kind, outcome.facts["trained_on"]) == ("subset", "twin")
    assert made.kind == "twin"  # of the adults
    assert "none of these" not in transfer_real.case_table(made)["the file"].tolist()


def test_no_child_has_a_say_in_what_is_called(both, trials):
    outcome = trials[PEACE, "0"][0]
    called = transfer_real._called(outcome, both.windows, outcome)
    domain = both.windows.table["domain"]
    other = relabelled(both.windows, np.flatnonzero(domain == CHILDREN))
    np.testing.assert_array_equal(transfer_real._called(outcome, other, outcome), called)
    steps = both.windows.steps.copy()
    steps[(domain == CHILDREN).to_numpy()] //= 3
    quiet = replace(both.windows, steps=steps)
    np.testing.assert_array_equal(transfer_real._called(outcome, quiet, outcome), called)
    taught = outcome.folds[0].sides["train"]  # nor whom it was taught
    other = relabelled(both.windows, taught)
    np.testing.assert_array_equal(transfer_real._called(outcome, other, outcome), called)
    left = np.setdiff1d(np.flatnonzero(domain == ADULTS), taught)
    ill = both.windows.labels.copy()
    ill[left] = True
    everyone = replace(both.windows, labels=ill)
    most = transfer_real._called(outcome, everyone, outcome)
    assert most.sum() > called.sum()


def test_the_table_says_what_the_file_states_and_what_each_model_calls(found):
    table = transfer_real.case_table(found)
    assert table.columns.tolist() == ["age", "sex", "the file", PEACE, "plain"]
    own = found.dataset.labels.set_index(found.dataset.table["record"])
    for row, (record, said) in enumerate(table.iterrows()):
        stated = [WORDS[label] for label in own.columns if own.loc[record, label]]
        assert said["the file"] == ("; ".join(stated) or "none of these")
        for words, called in found.called.items():
            named = [WORDS[CLASSES[c]] for c in np.flatnonzero(called[row])]
            assert said[words] == ("; ".join(named) or "none of these")
    assert table["the file"].str.contains(WORDS["AFIB"]).any()  # which no model knows


def test_a_reading_of_others_is_no_reading(found):
    plain = found.readings["plain"]
    turned = replace(plain, about=plain.about.iloc[::-1].reset_index(drop=True))
    readings = {**found.readings, "plain": turned}
    with pytest.raises(ValueError, match="not of the same children in the same order"):
        transfer_real.case_table(replace(found, readings=readings))


@pytest.mark.parametrize(
    ("days", "said"),
    [(111.0, "111 days"), (365.0, "365 days"), (14.9 * YEAR, "14.9 years"), (np.nan, "not stated")],
)
def test_ages_are_told_in_days_and_then_in_years(days, said):
    assert transfer_real._age(days) == said


def test_agreement_is_counted_beside_chance(found):
    """By hand: of the first label 3 of 4 are stated and 2 called, of the second 1 and 4."""
    stated = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], dtype=bool)
    called = np.array([[1, 1], [0, 1], [0, 1], [1, 1]], dtype=bool)
    outcome = replace(found.readings[PEACE], targets=stated, classes=CLASSES[:2])
    table = transfer_real.agreement(Cases(None, {"one": outcome}, {"one": called}, "twin"))
    (row,) = table.to_dict("records")
    assert row == {
        **{"name": "one", "labels": 2, "stated": 4, "found": 2, "called beside": 4},
        "by chance": 2.5,  # 3 x 2 / 4 and 1 x 4 / 4
    }


def of_sites(sizes, **labels):
    """Windows of sites of these sizes; labels: a column of 0 and 1 each."""
    site = np.repeat(list(sizes), list(sizes.values()))
    flags = np.column_stack(list(labels.values())).astype(bool)
    return SimpleNamespace(table=pd.DataFrame({"site": site}), labels=flags, classes=tuple(labels))


def test_a_label_is_asked_for_where_others_than_the_hospital_left_out_carry_it():
    within, spread = [1] * 6 + [0] * 6, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1]
    few = [0] * 6 + [1] * 4 + [0, 0]
    windows = of_sites({"a": 6, "b": 4, "c": 2}, W=within, S=spread, F=few, T=spread)
    assert transfer_real._elsewhere(windows, 2, 2, ()) == ["S", "T"]
    assert transfer_real._elsewhere(windows, 1, 2, ()) == ["S", "F", "T"]
    assert transfer_real._elsewhere(windows, 1, 2, ("S",)) == ["F", "T"]
    for count, least, unstated in ((2, 2, ("S",)), (1, 6, ()), (2, 100, ())):
        with pytest.raises(PecgError, match=r"Fewer than two labels .* a smaller least"):
            transfer_real._elsewhere(windows, count, least, unstated)


def test_a_label_is_read_for_where_adults_and_children_carry_it():
    adults = [of_sites({"a": 4}, X=[1, 1, 0, 0], Y=[1, 1, 1, 0], Z=[1, 1, 1, 1])] * 2
    children = of_sites({"c": 2}, X=[1, 0], Y=[1, 1], Z=[0, 0])
    run = SimpleNamespace(parameters=SimpleNamespace(least=4))
    assert transfer_real._wanted(run, ALONE, adults, children, None) == ["X", "Y"]
    run.parameters.least = 5
    with pytest.raises(PecgError, match="carried by 5 adults or more; give more adults"):
        transfer_real._wanted(run, ALONE, adults, children, None)


@pytest.fixture(scope="module")
def real_run(real_folders, tmp_path_factory):
    """A run that was given all at hand: 19 children, PTB-XL's adults and the Challenge's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PECG_WORK", str(tmp_path_factory.mktemp("work")))
        p = chapters.parameters("peace", {"profile": "smoke", "resamples": 20, "precision": "32"})
        given = open_dataset("zzu", real_folders["data"], **p.reading)
        beside = {}
        for name, (other, how) in p.folders.items():
            opened = open_dataset(other, real_folders[name], **how)
            beside[name] = opened, data_fingerprint(opened)
        twin = replace(given, kind="twin")  # its recordings are not asked for here
        prints = {"subset": data_fingerprint(given), "twin": "0123456789ab"}
        sources = Sources(given, twin, prints, beside)
        yield Run("peace", p, sources, "abc", tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def real_folders(real):
    named = {"data": "zzu-pecg", "adults": "ptb-xl", "hospitals": "challenge-2021"}
    return {name: real(folder) for name, folder in named.items()}


@pytest.fixture(scope="module")
def real_cases(real_run):
    return transfer_real.cases(real_run, None, {})


def test_real_children_are_read_by_models_of_real_adults(real_cases, real_run):
    assert list(real_cases.readings) == [
        *(f"PEACE, {ALONE}", f"plain, {ALONE}", f"PEACE, {TOGETHER}", f"plain, {TOGETHER}")
    ]
    silent = label_map.unstated(real_run.further("hospitals"))
    for words, outcome in real_cases.readings.items():
        assert len(outcome.about) == 19
        assert outcome.kind == "subset"
        assert "trained_on" not in outcome.facts  # real adults, real children
        assert outcome.targets.any(axis=0).all()
        assert (TOGETHER in words) == (outcome.protocol.cohort == TOGETHER)
        if TOGETHER in words:
            assert not set(outcome.classes) & set(silent)
        assert outcome.about["age_days"].between(100, 15 * YEAR).all()
    assert not real_cases.alike
    assert real_cases.kind == "subset"


def test_every_real_child_is_in_the_table_with_what_its_file_states(real_cases):
    table = transfer_real.case_table(real_cases)
    assert len(table) == 19
    assert table.index.str.fullmatch(r"P\d{5}_E\d\d").all()
    assert table["age"].str.fullmatch(r"\d+ days|\d+\.\d years").all()
    own = label_map.shared(real_cases.dataset)
    shared = dict(zip(own.table["record"], own.labels.any(axis=1), strict=True))
    told = {record: said != "none of these" for record, said in table["the file"].items()}
    assert told == shared
    counted = transfer_real.agreement(real_cases).set_index("name")
    assert counted.index.tolist() == list(real_cases.readings)
    assert (counted["found"] <= counted["stated"]).all()
    assert (counted["by chance"] >= 0).all()
    for words, called in real_cases.called.items():
        assert counted.loc[words, ["found", "called beside"]].sum() == called.sum()
        assert counted.loc[words, "labels"] == called.shape[1]


@pytest.mark.usefixtures("drawn_and_closed")
def test_a_real_child_is_drawn_with_what_is_said_of_it(real_cases):
    figure = transfer_real.drawn(real_cases)
    title = re.sub(r"\s+", " ", figure.get_suptitle())
    table = transfer_real.case_table(real_cases)
    (row,) = (row for _, row in table.iterrows() if title.startswith(f"{row['age']}, "))
    for name in ("the file", *real_cases.readings):
        assert f"{name}: {row[name]}" in title


def test_real_hospitals_are_left_out_and_none_is_there_twice(real_run):
    found = transfer_real.sites(real_run)
    assert list(found.outcomes) == [
        *(f"plain, {POOLED}", f"plain, {LEFT_OUT}", f"PEACE, {POOLED}", f"PEACE, {LEFT_OUT}")
    ]
    table = found.windows.table
    of_ptbxl = table[table["site"] == "ptb-xl"]
    assert not of_ptbxl["record"].str.startswith("HR").any()  # the Challenge's copies of PTB-XL
    assert len(of_ptbxl) > 450
    assert (table["age_days"] >= domains.ADULT_DAYS).all()
    largest = table["site"].value_counts().index[0]
    left_out = found.outcomes[f"PEACE, {LEFT_OUT}"]
    assert set(left_out.about["site"]) == {largest}
    (fold,) = left_out.folds
    assert largest not in set(table["site"].iloc[fold.sides["train"]])
    taught = [
        len(fold.sides["train"]) for outcome in found.outcomes.values() for fold in outcome.folds
    ]
    assert max(taught) <= 1.1 * min(taught)  # the pooled are taught no more
    assert {outcome.kind for outcome in found.outcomes.values()} == {"subset"}
    assert found.dataset.name == "challenge"
    assert found.names == [WORDS[label] for label in found.windows.classes]
