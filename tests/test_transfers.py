"""What is varied in a transfer: its name, what goes before it, and how children are taught."""

import dataclasses
import itertools

import numpy as np
import pytest
from made_domains import TRAINING, made_up, protocol

from pecg_utils import train
from pecg_utils.alignment import ABLATION
from pecg_utils.data.domains import ADULTS, CHILDREN
from pecg_utils.protocol import Protocol
from pecg_utils.transfers import METHODS, TEXTS, TOKENS, Transfer

CHILDREN_TAUGHT = Transfer(shots=10)
OTHER = {
    "method": "MMD",
    "shots": None,
    "draw": 1,
    "begin": False,
    "frozen": True,
    "terms": "no text",
    "texts": "random",
    "form": "child",
    "tokens": "none",
    "steps": 7,
    "tested": ADULTS,
}


@pytest.mark.parametrize("method", METHODS)
def test_a_name_tells_every_field_apart(method):
    assert set(OTHER) == {field.name for field in dataclasses.fields(Transfer)}
    usual = Transfer(method, shots=10)
    names = [
        dataclasses.replace(usual, **{field: value}).name
        for field, value in OTHER.items()
        if getattr(usual, field) != value
    ]
    assert len({usual.name, *names}) == 1 + len(names) >= len(OTHER)


def test_the_fields_of_many_values_are_told_apart_together():
    plan = [
        Transfer(method, shots, begin=begin, frozen=frozen, texts=texts, tokens=tokens, terms=terms)
        for method, shots, begin, frozen, texts, tokens, terms in itertools.product(
            METHODS, (1, 10, 100, None), (True, False), (True, False), TEXTS, TOKENS, ABLATION
        )
    ]
    assert len({transfer.name for transfer in plan}) == len(plan)


def test_what_a_page_calls_a_method():
    called = {
        "adults alone": Transfer("plain"),
        "from scratch": Transfer("plain", 10, begin=False),
        "fine-tuning": Transfer("plain", 10),
        "linear probe": Transfer("plain", None, frozen=True),
        "PEACE": Transfer("PEACE", 10, begin=False),
        "DANN": Transfer("DANN"),
    }
    assert {words: transfer.called for words, transfer in called.items()} == {
        words: words for words in called
    }
    assert [Transfer(shots=shots).taught for shots in (0, 50, None)] == ["0", "50", "all"]
    assert Transfer("plain", None).name == "fine-tuning, all shots"


def test_before_children_adults_are_taught_in_the_same_way():
    odd = Transfer("MMD", 10, 3, True, True, "single text", "random", "child", "none", 7, ADULTS)
    first = odd.before
    assert first == dataclasses.replace(odd, shots=0, draw=0, frozen=False)
    assert first.before is None
    assert Transfer(shots=None).before == Transfer()
    assert Transfer(shots=0).before is None
    assert Transfer(shots=10, begin=False).before is None


def test_of_all_draws_and_probes_one_training_with_adults_goes_before():
    plan = [Transfer("plain", shots, draw) for shots in (10, None) for draw in (0, 1)]
    plan += [Transfer("plain", 10, frozen=True)]
    assert {transfer.before.name for transfer in plan} == {Transfer("plain").name}


def test_a_protocol_goes_on_from_the_one_before_with_all_else_the_same():
    one = protocol(CHILDREN_TAUGHT, repeat=2, changes=(("axes", "beside"),))
    assert one.before == dataclasses.replace(one, transfer=CHILDREN_TAUGHT.before)
    assert one.before.repeat == 2
    assert one.before.before is None
    assert protocol(Transfer()).before is None
    assert Protocol("peace", ("I",), "12-lead").before is None


def test_by_domain_a_protocol_divides_as_its_transfer_says():
    windows = made_up()
    few = protocol(Transfer(shots=3, draw=1), repeat=5).divide(windows.table, windows.labels, 0)
    (split,) = few
    assert split.by == "domain"
    assert windows.labels[split.rows("train")].sum(axis=0).tolist() == [3, 3, 3]
    assert set(windows.table["domain"].iloc[split.rows("train")]) == {CHILDREN}
    (other,) = protocol(Transfer(shots=3, draw=2)).divide(windows.table, windows.labels, 0)
    assert not np.array_equal(split.side, other.side)
    (adults,) = protocol(Transfer(tested=ADULTS)).divide(windows.table, windows.labels, 0)
    assert set(windows.table["domain"].iloc[adults.rows("test")]) == {ADULTS}


def test_adults_are_taught_as_the_chapter_says():
    assert Transfer(steps=1).training(TRAINING, 30) == TRAINING
    longer = Transfer(steps=100).training(TRAINING, 30)  # two batches an epoch
    assert (longer.epochs, longer.last) == (50, False)


class Counted:
    """Windows that count how many batches of them are taken."""

    def __init__(self, count):
        self.labels = np.zeros((count, 1), dtype=bool)
        self.taken = 0

    def __len__(self):
        return len(self.labels)

    def batch(self, which):
        self.taken += 1
        return np.zeros((len(which), 1, 4), dtype=np.float32)


@pytest.mark.parametrize(
    ("taught", "epochs"),
    # Batches of 16; a single window left over is passed by.
    [(1, 100), (16, 100), (17, 100), (18, 50), (32, 50), (33, 50), (160, 10), (800, 3), (9000, 3)],
)
def test_children_are_taught_for_a_number_of_steps(taught, epochs):
    assert Transfer(shots=10, steps=100).training(TRAINING, taught).epochs == epochs


@pytest.mark.parametrize("taught", [1, 5, 17, 33, 40])
def test_as_many_steps_are_taken_as_were_asked_for(taught, tmp_path):
    import torch

    torch.set_num_threads(1)
    windows = Counted(taught)
    training = Transfer(shots=10, steps=7).training(TRAINING, taught)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1))
    fitted = train.fit(model, windows, Counted(3), training, tmp_path / "checkpoint")
    assert 7 <= windows.taken <= 7 + 3 * 3
    assert fitted.best_epoch == training.epochs  # the last one is kept


def test_all_are_taught_children_alike_and_the_last_epoch_is_kept():
    for how in ({}, {"frozen": True}, {"begin": False}):
        training = Transfer(shots=10, **how).training(TRAINING, 30)
        assert training.last
        same = ("lr", "batch", "weight_decay", "seed", "precision", "loss", "schedule", "keep")
        assert all(getattr(training, name) == getattr(TRAINING, name) for name in same)
    assert not TRAINING.last
