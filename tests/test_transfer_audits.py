"""The audits that ask trained models again: whom they ask, and that pairs are of one patient."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_domains import CLASSES, made_up, single, tried

from pecg_utils import transfer_asked, transfer_audits, transfer_study
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.transfer_asked import SEEN, UNTRAINED
from pecg_utils.transfer_audits import FOR_CHILDREN
from pecg_utils.transfer_study import PEACE, TUNED

torch.set_num_threads(1)
WORDS = ["normal", "fast", "thick"]


@pytest.fixture(scope="module")
def both():
    children = SimpleNamespace(name="zzu")
    return transfer_study.Gathered(made_up(), None, children, WORDS, pd.DataFrame(), (0, 0, 0))


@pytest.fixture(scope="module")
def trials(tmp_path_factory, both):
    """PEACE by two seeds and a plain network, of adults alone."""
    folder = tmp_path_factory.mktemp("trials")
    return {
        (PEACE, "0"): [tried(folder, both.windows, repeat=seed) for seed in (0, 1)],
        (TUNED, "0"): [tried(folder, both.windows, repeat=seed, method="plain") for seed in (0, 1)],
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory, both):
    """Models that were shown axis tokens, and one that was not."""
    folder = tmp_path_factory.mktemp("told")
    return {
        (name, mode): [tried(folder, both.windows, tokens=tokens, shots=shots)]
        for name, tokens in (("in the path", "own"), ("none", "none"))
        for mode, shots in (("0", 0), ("all", None))
    }


class Asking:
    """A run that gives windows of whole recordings, and keeps what goes into its record."""

    def __init__(self, whole=None):
        self.parameters = SimpleNamespace(resamples=30, shots=["10"])
        self.whole, self.put, self.settings = whole, [], None

    def also(self, outcome):
        self.put.append(outcome)
        return outcome

    def windows(self, dataset, leads, *, labelled, needed, **settings):
        assert (dataset.name, leads, labelled, needed) == ("zzu", TWELVE_LEADS, False, True)
        self.settings = settings
        return self.whole


def test_tokens_are_asked_of_adults_who_were_not_taught_and_of_tested_children(told, both):
    table = transfer_audits.leak(told, both, 30)
    assert table["tested"].tolist() == [ADULTS] * 6 + [CHILDREN] * 6
    assert table["taught"].tolist() == (["in the path"] * 3 + ["none"] * 3) * 2
    assert table["seen"].tolist() == [*SEEN] * 4
    of = {
        mode: {name: outcomes[0] for (name, m), outcomes in told.items() if m == mode}
        for mode in ("0", "all")
    }
    one = of["0"]["in the path"]
    grown = np.flatnonzero(both.windows.table["domain"] == ADULTS)
    taught = {*one.folds[0].sides["train"], *one.folds[0].sides["validation"]}
    others = np.array([row for row in grown if row not in taught])
    assert 0 < len(others) < len(grown)
    for tested, mode, rows in (
        (ADULTS, "0", others),
        (CHILDREN, "all", one.folds[0].sides["test"]),
    ):
        part = table[table["tested"] == tested].drop(columns="tested").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, transfer_asked.leak(of[mode], both.windows, rows, 30))
    value = table.set_index(["tested", "taught", "seen"])["value"]
    for name, outcome in of["all"].items():
        assert value[CHILDREN, name, SEEN[0]] == pytest.approx(outcome.value("auroc")["value"])


def test_the_first_training_of_each_way_is_asked(told, both, monkeypatch):
    given = []
    monkeypatch.setattr(
        transfer_audits.transfer_asked,
        "leak",
        lambda first, *_: given.append(first) or pd.DataFrame({"value": [0.5]}),
    )
    several = {name: [outcomes[0], None, None] for name, outcomes in told.items()}
    transfer_audits.leak(several, both)
    assert given == [
        {name: outcomes[0] for (name, m), outcomes in told.items() if m == mode}
        for mode in ("0", "all")
    ]


def whole_recordings():
    """The children's windows pressed: in another order, with labels in another order and one more,
    without three of the recordings, and with one that was shut out before."""
    young = single(CHILDREN)
    order = np.random.default_rng(7).permutation(len(young))[3:]
    labels = np.column_stack([young.labels[:, [2, 0, 1]], np.ones(len(young), dtype=bool)])
    parts = {
        "steps": young.steps[order][..., ::-1].copy(),
        "gain": young.gain[order],
        "table": young.table.iloc[order].reset_index(drop=True),
        "labels": labels[order],
    }
    table = parts["table"]
    table.loc[5, "record"] = "shut out before"
    table.loc[5, "same"] = "another's samples"
    classes = (CLASSES[2], CLASSES[0], CLASSES[1], "OTHER")
    return replace(young, classes=classes, key="whole", **parts)


@pytest.fixture(scope="module")
def asked(trials, both):
    run = Asking(whole_recordings())
    return run, transfer_audits.pressed(run, both, trials)


def test_cut_and_pressed_are_the_same_recordings_of_the_same_patients(asked, both, trials):
    run, _ = asked
    assert run.settings == {"stretch": True, "squeeze": True}
    assert len(run.put) == 8  # two models, two seeds, cut and pressed
    tested = both.windows.table.iloc[trials[PEACE, "0"][0].folds[0].sides["test"]]
    there = set(run.whole.table["record"])
    assert "shut out before" not in set(tested["record"])
    expected = [record for record in tested["record"] if record in there]
    assert 0 < len(expected) < len(tested)
    cut, pressed = run.put[:2], run.put[2:4]
    for before, after in zip(cut, pressed, strict=True):
        assert before.about["record"].tolist() == after.about["record"].tolist() == expected
        assert before.about["patient"].tolist() == after.about["patient"].tolist()
        assert set(after.about["patient"]) <= set(tested["patient"])
        np.testing.assert_array_equal(before.targets, after.targets)
        assert not np.allclose(before.probabilities, after.probabilities, atol=1e-4)
    whole = run.whole
    row = {record: number for number, record in enumerate(whole.table["record"])}
    own = whole.labels[[row[record] for record in expected]][:, [1, 2, 0]]
    np.testing.assert_array_equal(pressed[0].targets, own)
    assert len({outcome.protocol.name for outcome in run.put}) == 8


def test_each_pressed_row_is_compared_with_its_cut_one(asked):
    run, table = asked
    assert table["model"].tolist() == [PEACE] * 2 + ["plain"] * 2
    assert table["name"].tolist() == [
        *("PEACE, cut to 10 s", "PEACE, pressed to 10 s"),
        *("plain, cut to 10 s", "plain, pressed to 10 s"),
    ]
    assert (table["trials"] == 2).all()
    each = [outcome.value("auroc")["value"] for outcome in run.put]
    ends = [(min(pair), max(pair)) for pair in zip(each[::2], each[1::2], strict=True)]
    assert list(zip(table["least"], table["most"], strict=True)) == ends
    assert (table.loc[[0, 2], ["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    for one in (1, 3):
        difference = table["value"][one] - table["value"][one - 1]
        assert table["gain"][one] == pytest.approx(difference)
        assert table["gain_low"][one] < table["gain_high"][one]


def test_untrained_networks_and_texts_for_children_join_the_controls(trials, both, monkeypatch):
    run, carried = Asking(), []
    monkeypatch.setattr(
        transfer_audits.transfer_study, "controls", lambda *_: {("real", "0"): ["real"]}
    )

    def carried_out(run, both, name, shots, changes, **how):
        carried.append((shots, changes, how))
        return {(name, one): [name] for one in shots}

    monkeypatch.setattr(transfer_audits.transfer_study, "carried_out", carried_out)
    found = transfer_audits.controls(run, both, trials)
    assert list(found) == [
        ("real", "0"),
        (FOR_CHILDREN, "0"),
        (FOR_CHILDREN, "10"),
        (UNTRAINED, "0"),
    ]
    assert carried == [(["0", "10"], {}, {"method": PEACE, "form": "child"})]
    assert found[UNTRAINED, "0"] == run.put
    assert [outcome.protocol.repeat for outcome in run.put] == [0, 1]
    one, other = (outcome.probabilities for outcome in run.put)
    assert not np.allclose(one, other, atol=1e-4)


def test_healthy_children_are_called_by_the_first_peace_and_adults_it_was_not_taught(trials, both):
    seen = transfer_audits.adults(trials, both)
    first = trials[PEACE, "0"][0]
    found = transfer_audits.flagged(trials, seen, both, 30, 0.2)
    expected = transfer_asked.flagged(seen, first, WORDS, 0.2, resamples=30)
    pd.testing.assert_frame_equal(found, expected)
    assert set(found["words"]) == {"fast", "thick"}
    assert (found["rate"] == 0.2).all()
