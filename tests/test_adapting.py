"""How each method teaches: its texts, what a model is shown, what learns, what goes on."""

import dataclasses

import numpy as np
import pytest
import torch
from made_domains import CLASSES, LEADS, TINY, TRAINING, made_up, tried
from torch.nn import functional as F

from pecg_utils import adapting, descriptors, text_vectors, train
from pecg_utils.adapting import Adapting, Both
from pecg_utils.alignment import ABLATION
from pecg_utils.data import domains
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.domain import adversary, mmd
from pecg_utils.errors import PecgError
from pecg_utils.transfers import METHODS, Transfer

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

SIZE = TINY["text"]
TARGETS = torch.tensor(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.float32
)
ROWS = np.arange(len(TARGETS))


@pytest.fixture(scope="module")
def both():
    return made_up()


def texts(transfer=None, labels=CLASSES):
    return adapting.vectors(labels, transfer or Transfer(), SIZE)


def new(transfer, **sizes):
    torch.manual_seed(0)
    return adapting.made(made_up(), transfer, "peace", len(LEADS), {**TINY, **sizes})


def objective(transfer, epochs=4):
    torch.manual_seed(0)
    return Adapting(transfer, texts(transfer), TINY["channels"][-1], epochs)


def inputs(windows, rows):
    return Inputs(windows, rows, scale(windows, rows, LEADS), windows.labels[rows])


def test_each_label_has_three_texts_of_length_one_in_its_own_words():
    made = texts()
    assert made.shape == (3, len(CLASSES), SIZE)  # axes first
    torch.testing.assert_close(made.norm(dim=2), torch.ones(3, len(CLASSES)))
    words = descriptors.descriptors("adult", CLASSES)
    flat = text_vectors.encode(words.to_numpy().ravel().tolist(), SIZE)
    for c, label in enumerate(CLASSES):
        for a, axis in enumerate(descriptors.AXES):
            same = np.flatnonzero(words.to_numpy().ravel() == words.loc[label, axis])[0]
            np.testing.assert_array_equal(made[a, c], flat[same])
    assert not torch.equal(made, texts(Transfer(form="child")))


def test_in_the_place_of_the_texts_are_the_controls():
    real = texts()
    found = {name: texts(Transfer(texts=name)) for name in ("random", "shuffled", "one-hot")}
    for made in found.values():
        assert made.shape == real.shape
        torch.testing.assert_close(made.norm(dim=2), torch.ones(3, len(CLASSES)))
    assert not torch.isclose(found["random"], real).all(dim=2).any()
    dealt = [
        [c for c in range(3) if torch.equal(found["shuffled"][:, own], real[:, c])]
        for own in range(3)
    ]
    assert sorted(c for (c,) in dealt) == [0, 1, 2]  # of another label, all axes together
    assert all(own != c for own, (c,) in enumerate(dealt))
    own = torch.eye(len(CLASSES), SIZE).expand(3, -1, -1)
    assert torch.equal(found["one-hot"], own)
    assert torch.equal(texts(Transfer(terms="no text")), own)
    assert torch.equal(texts(Transfer(terms="no text", texts="random")), own)


def test_a_label_that_nobody_described_is_refused():
    with pytest.raises(PecgError, match="The label CRBBB has no text for rhythm, morphology, stt"):
        texts(labels=("NORM", "CRBBB"))


@pytest.mark.parametrize("method", METHODS)
def test_a_new_network_answers_as_its_method_does_by_the_texts_of_its_labels(method):
    model = new(Transfer(method))
    assert model.answer == {"PEACE": "queries", "CLIP": "nearness"}.get(method, "linear")
    if method in ("PEACE", "CLIP"):
        torch.testing.assert_close(model.labels, F.normalize(texts().mean(dim=0), dim=1))
        other = new(Transfer(method, texts="random"))
        assert not torch.equal(other.labels, model.labels)
    else:
        assert model.readout.out_features == len(CLASSES)
        assert torch.equal(model.labels, torch.eye(len(CLASSES), SIZE))  # no text is known
    assert new(Transfer(), answer="linear").answer == "linear"  # the given sizes have the last word


def of_domain(windows, domain):
    return np.flatnonzero(windows.table["domain"] == domain)


def test_children_stand_behind_the_adults_and_give_no_labels(both):
    adults, children = (of_domain(both, of) for of in (domains.ADULTS, domains.CHILDREN))
    joined = Both(inputs(both, adults), inputs(both, children[:7]))
    assert len(joined) == len(adults)
    np.testing.assert_array_equal(joined.labels, both.labels[adults])
    which = np.array([4, 0, 9])
    batch = joined.batch(which)
    assert batch.shape == (6, len(LEADS), 32)
    np.testing.assert_array_equal(batch[:3], joined.adults.batch(which))
    every = joined.children.batch(np.arange(7))
    for child in batch[3:]:
        assert any(np.array_equal(child, one) for one in every)


def test_which_children_are_drawn_depends_on_who_the_adults_are(both):
    adults, children = (of_domain(both, of) for of in (domains.ADULTS, domains.CHILDREN))
    joined = Both(inputs(both, adults), inputs(both, children))
    which = np.arange(16)
    first = joined.batch(which)
    joined.batch(np.arange(5))  # what was asked before has no say
    np.random.default_rng(1).normal()
    np.testing.assert_array_equal(joined.batch(which), first)
    assert not np.array_equal(joined.batch(which[::-1])[16:], first[16:])
    drawn = np.concatenate([joined.batch(np.arange(s, s + 16))[16:] for s in range(30)])
    assert len(np.unique(drawn, axis=0)) == len(children)  # in time all are shown


@pytest.mark.parametrize("method", ["DANN", "MMD", "PEACE", "CLIP", "plain"])
@pytest.mark.parametrize("shots", [0, 5])
def test_who_is_shown_children_without_labels(both, method, shots):
    transfer = Transfer(method, shots=shots)
    (split,) = [domains.divide(both.table, both.labels, shots, 0, 3, domains.CHILDREN)]
    sides = {side: split.rows(side) for side in ("train", "validation", "test")}
    model = new(transfer)
    given, made, kept = adapting.taught(
        both, both.labels, sides, transfer, LEADS, model, None, 2, seed=3
    )
    if method in ("DANN", "MMD") and shots == 0:
        assert isinstance(given["train"], Both)
        shown = given["train"].children
        np.testing.assert_array_equal(
            shown.rows, domains.parts(both.table, domains.CHILDREN, 3)["train"]
        )
        assert not set(shown.rows) & set(sides["test"])
        assert not shown.labels.any()
    else:
        assert isinstance(given["train"], Inputs)
    assert (made.head is not None) == (method == "DANN" and shots == 0)
    measure = scale(both, sides["train"], LEADS)  # of the adults alone, without a child
    assert kept == {"mean": measure.mean.tolist(), "std": measure.std.tolist()}
    for side, rows in sides.items():
        np.testing.assert_array_equal(given[side].labels, both.labels[rows])


def test_without_children_to_show_only_adults_are_taught():
    few = made_up(children=12)
    split = domains.divide(few.table, few.labels, 0, 0, 0, domains.CHILDREN)
    sides = {side: split.rows(side) for side in ("train", "validation", "test")}
    transfer = Transfer("DANN")
    given, _, _ = adapting.taught(
        few, few.labels, sides, transfer, LEADS, new(transfer), None, 2, seed=0
    )
    assert isinstance(given["train"], Inputs)


@pytest.mark.parametrize("terms", ABLATION)
@pytest.mark.parametrize("tokens", ["own", "shuffled", "none"])
def test_what_peace_is_told(terms, tokens):
    made = objective(Transfer(terms=terms, tokens=tokens))
    axes, fused = made.told(TARGETS)
    vectors = made.texts
    by_hand = [vectors[:, row.bool()].mean(dim=1) if row.any() else 0 for row in TARGETS]
    own = torch.stack([torch.zeros(3, SIZE) + one for one in by_hand])  # (B, A, E)
    if terms == "no text":
        assert axes is fused is None
        return
    whole = torch.nn.functional.normalize(own.mean(dim=1), dim=1)
    torch.testing.assert_close(fused, whole)  # always the record's own
    if tokens == "none":
        assert axes is None
        return
    if terms == "single text":
        own = own.mean(dim=1, keepdim=True)
    assert axes.shape == own.shape
    if tokens == "own":
        torch.testing.assert_close(axes, own)
        return
    assert not torch.allclose(axes, own)
    assert all(any(torch.allclose(one, axis) for one in own) for axis in axes)


def test_shuffled_tokens_are_never_a_records_own():
    """Each of these carries a set of labels that no other of them does."""
    different = TARGETS[:5]
    made = objective(Transfer(tokens="shuffled"))
    own = objective(Transfer()).told(different)[0]
    circles = set()
    for _ in range(20):
        axes, _ = made.told(different)
        whose = [next(i for i in range(5) if torch.allclose(own[i], axis)) for axis in axes]
        assert sorted(whose) == list(range(5))
        assert all(i != other for i, other in enumerate(whose))
        circles.add(tuple(whose))
    assert len(circles) > 1  # dealt anew each time
    alone, fused = made.told(different[:1])
    assert alone is None
    assert fused.shape == (1, SIZE)


def test_the_others_are_told_nothing_but_clip_of_its_own_text():
    for method in ("plain", "DANN", "MMD"):
        assert objective(Transfer(method)).told(TARGETS) == ()
    axes, fused = objective(Transfer("CLIP")).told(TARGETS)
    assert axes is None
    torch.testing.assert_close(fused, objective(Transfer()).told(TARGETS)[1])


@pytest.mark.parametrize("method", METHODS)
def test_every_loss_is_finite_and_teaches_what_it_should(both, method):
    transfer = Transfer(method)
    model, made = new(transfer, dropout=0.0), objective(transfer)
    x = torch.from_numpy(inputs(both, ROWS).batch(ROWS))
    if method in ("DANN", "MMD"):
        x = torch.cat([x, x.flip(0) * 2])
    loss = made(model(x, *made.told(TARGETS)), TARGETS, passed=3.0)
    assert loss.isfinite()
    loss.backward()
    for name, weights in [*model.named_parameters(), *made.named_parameters()]:
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
    reached = {name for name, weights in model.named_parameters() if weights.grad.any()}
    assert {"stem.0.weight", "tokens.norm.weight"} <= reached
    last = {"CLIP": "embed.weight", "PEACE": "layers.0.attend.in_proj_weight"}
    assert last.get(method, "readout.weight") in reached
    if method == "DANN":
        assert all(weights.grad.any() for weights in made.head.parameters())
    else:
        assert not list(made.parameters())


@pytest.mark.parametrize("method", ["DANN", "MMD"])
def test_children_without_labels_count_by_their_features_alone(both, method):
    """The loss is the adults' cross-entropy and the distance of the domains, no more."""
    transfer = Transfer(method)
    model, made = new(transfer), objective(transfer, epochs=4)
    x = torch.from_numpy(inputs(both, np.arange(12)).batch(np.arange(12)))
    answer = model(x)
    bce = F.binary_cross_entropy_with_logits(answer.logits[:6], TARGETS)
    child = torch.arange(12) >= 6
    apart = {
        "MMD": lambda: mmd(answer.features[:6], answer.features[6:]),
        "DANN": lambda: adversary(made.head, answer.features, child, 1 / 4),
    }[method]()
    torch.testing.assert_close(made(answer, TARGETS, passed=1.0), bce + apart)
    assert apart > 0
    wild = answer._replace(logits=torch.cat([answer.logits[:6], answer.logits[6:] * 1e3]))
    torch.testing.assert_close(made(wild, TARGETS, passed=1.0), bce + apart)
    alone = model(x[:6])
    plain = F.binary_cross_entropy_with_logits(alone.logits, TARGETS)
    torch.testing.assert_close(made(alone, TARGETS, passed=1.0), plain)


def fitted(both, transfer, tmp_path):
    split = domains.divide(both.table, both.labels, transfer.shots, 0, 0, domains.CHILDREN)
    sides = {side: split.rows(side) for side in ("train", "validation", "test")}
    model = new(transfer)
    given, made, _ = adapting.taught(
        both, both.labels, sides, transfer, LEADS, model, None, 2, seed=0
    )
    before = {name: value.clone() for name, value in made.state_dict().items()}
    train.fit(model, given["train"], given["validation"], TRAINING, tmp_path / "c", made)
    return model, before, made


def test_the_domain_heads_weights_learn_too(both, tmp_path):
    _, before, made = fitted(both, Transfer("DANN"), tmp_path)
    assert {name.split(".")[0] for name in before} == {"head"}
    assert all(not torch.equal(before[name], value) for name, value in made.state_dict().items())


def test_a_linear_probe_changes_its_readout_and_nothing_else(tmp_path, both):
    probe = tried(tmp_path, both, method="plain", shots=None, frozen=True)
    tuned = tried(tmp_path, both, method="plain", shots=None)
    first = tried(tmp_path, both, method="plain", shots=0)
    before, after, other = (weights(one) for one in (first, probe, tuned))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"readout.weight", "readout.bias"}
    still = {name for name in before if "running" in name or "num_batches" in name}
    assert len(still) > 10  # the statistics of batch normalisation
    assert all(not torch.equal(before[name], other[name]) for name in still)


def kept(outcome):
    return torch.load(outcome.folds[0].folder / "model.pt", weights_only=True)


def weights(outcome):
    return kept(outcome)["weights"]


def spied(monkeypatch):
    """The weights with which trainings began, in order, and what they were taught."""
    begun, fit = [], train.fit

    def spy(model, given, *others):
        begun.append(({k: v.clone() for k, v in model.state_dict().items()}, given))
        return fit(model, given, *others)

    monkeypatch.setattr(train, "fit", spy)
    return begun


@pytest.mark.parametrize("method", ["PEACE", "plain"])
def test_children_are_taught_from_the_adults_weights_on_at_their_scale(
    tmp_path, both, monkeypatch, method
):
    begun = spied(monkeypatch)
    loud = np.where(both.table["domain"] == domains.CHILDREN, 3e-3, 1e-3)[:, None]
    loud = dataclasses.replace(both, gain=np.repeat(loud, len(LEADS), axis=1).astype(np.float32))
    outcome = tried(tmp_path, loud, method=method, shots=5)
    before = tried(tmp_path, loud, method=method, shots=0)
    assert len(begun) == 2  # the adults' training is done once
    left = weights(before)
    assert all(torch.equal(value, left[name]) for name, value in begun[1][0].items())
    assert kept(outcome)["mean"] == kept(before)["mean"]
    assert kept(outcome)["std"] == kept(before)["std"]
    adults = scale(loud, before.folds[0].sides["train"], LEADS)
    np.testing.assert_array_equal(begun[1][1].scale.std, adults.std)
    np.testing.assert_array_equal(begun[1][1].rows, outcome.folds[0].sides["train"])
    assert not all(torch.equal(value, left[name]) for name, value in weights(outcome).items())


def test_from_scratch_nothing_is_begun_with(tmp_path, both, monkeypatch):
    begun = spied(monkeypatch)
    outcome = tried(tmp_path, both, method="plain", shots=None, begin=False)
    assert len(begun) == 1
    own = scale(both, outcome.folds[0].sides["train"], LEADS)
    assert kept(outcome)["std"] == own.std.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_in_evaluation_the_ecg_alone_is_given(tmp_path, both, monkeypatch, method):
    given = []
    forward = adapting.made

    def watched(*arguments):
        model = forward(*arguments)
        model.register_forward_pre_hook(
            lambda module, inputs: given.append((module.training, [x is not None for x in inputs]))
        )
        return model

    monkeypatch.setattr(adapting, "made", watched)
    tried(tmp_path, both, training=dataclasses.replace(TRAINING, epochs=1), method=method)
    assert {tuple(there) for training, there in given if not training} == {(True,)}
    told = {"PEACE": (True, True, True), "CLIP": (True, False, True)}.get(method, (True,))
    assert {tuple(there) for training, there in given if training} == {told}


def test_an_answer_is_read_label_by_label():
    answer = new(Transfer()).eval()(torch.zeros(2, len(LEADS), 32))
    assert torch.equal(Adapting.probabilities(answer), torch.sigmoid(answer.logits))
    assert Adapting.each(answer).shape == (2, 1, len(CLASSES))
