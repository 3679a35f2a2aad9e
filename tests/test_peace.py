"""The model that is asked by texts: what may be seen when, labels exchanged, its parts by hand."""

import inspect

import pytest
import torch
from torch import Tensor, nn

from pecg_utils.diagrams import trace
from pecg_utils.domain import nearness
from pecg_utils.errors import PecgError
from pecg_utils.models import create, entry, learning
from pecg_utils.models.peace import ANSWERS, AXES, Peace, Query

SMALL = {
    "channels": (8, 8, 16, 16),
    "blocks": 1,
    "kernel": 3,
    "text": 10,
    "heads": 2,
    "feedforward": 32,
    "dropout": 0.0,
}

OTHERS = [("path", "linear"), ("path", "nearness")]

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")


def small(leads: int = 12, classes: int = 5, **sizes: object) -> Peace:
    model = create("peace", leads, classes, 250, **{**SMALL, **sizes})
    assert isinstance(model, Peace)
    return model


def given(count: int = 4, leads: int = 12, samples: int = 250) -> tuple[Tensor, Tensor, Tensor]:
    """Windows, three axis vectors for each, and its fused one."""
    axes = torch.randn(count, 3, 10)
    return torch.randn(count, leads, samples), axes, axes.mean(dim=1)


def same(first: tuple[Tensor | None, ...], second: tuple[Tensor | None, ...]) -> bool:
    """Bit for bit."""
    return all(
        a is b is None or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("axes", AXES)
def test_the_answer_in_training(axes: str) -> None:
    model = small(axes=axes)
    x, tokens, fused = given()
    answer = model(x, tokens, fused)
    assert answer[0] is answer.logits
    assert answer.logits.shape == (4, 5)
    assert answer.embedding.shape == answer.text.shape == (4, 16)
    assert answer.labels.shape == (5, 16)
    for rows in (answer.embedding, answer.text, answer.labels):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    assert (answer.auxiliary is None) == (axes == "path")
    plain = model(x)
    assert plain.text is plain.auxiliary is None


@pytest.mark.parametrize(("axes", "answer"), [(a, "queries") for a in AXES] + OTHERS)
def test_in_evaluation_a_records_own_text_is_refused(axes: str, answer: str) -> None:
    model = small(axes=axes, answer=answer).eval()
    x, tokens, fused = given()
    for own in ((tokens, fused), (tokens, None), (None, fused)):
        with pytest.raises(PecgError, match="text in evaluation, which is made of its labels"):
            model(x, *own)
    parameters = inspect.signature(model.forward).parameters
    assert list(parameters) == ["x", "axes", "fused"]
    assert parameters["axes"].default is parameters["fused"].default is None


@pytest.mark.parametrize("answer", ["queries", "nearness"])
def test_in_evaluation_text_is_read_of_the_labels_alone(answer: str) -> None:
    """The one way by which text comes in is passed once, and by the labels' vectors."""
    model = small(answer=answer).eval()
    model.set_labels(torch.randn(3, 10))
    read: list[Tensor] = []
    model.text.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    model(given()[0])
    assert [vectors.shape for vectors in read] == [(1, 3, 10)]
    assert torch.equal(read[0][0], model.labels)


@pytest.mark.parametrize("axes", AXES)
def test_poisoned_axis_tokens_leave_the_evaluation_bit_for_bit(axes: str) -> None:
    """Of two copies one sees other tokens, which hold NaN, in a pass without a step."""
    x, tokens, fused = given()
    answers = []
    for wrong in (0.0, torch.nan, 1e6):
        torch.manual_seed(1)
        model = small(axes=axes, dropout=0.3).train()
        model(x, tokens + wrong, fused + wrong)
        answers.append(model.eval()(x))
    assert answers[0].logits.isfinite().all()
    assert same(answers[0], answers[1])
    assert same(answers[0], answers[2])


def test_the_path_reads_the_axis_tokens_and_beside_it_does_not() -> None:
    x, tokens, fused = given()
    path, beside = small(axes="path"), small(axes="beside")
    beside.load_state_dict(path.state_dict())
    plain = path(x).logits
    seen, apart = path(x, tokens, fused), beside(x, tokens, fused)
    assert not torch.allclose(seen.logits, plain)
    assert torch.equal(apart.logits, plain)
    assert torch.equal(apart.auxiliary, seen.logits)
    wanted = tokens.clone().requires_grad_()
    path(x, wanted).logits.square().sum().backward()
    assert wanted.grad is not None
    assert wanted.grad.any(dim=2).all()  # every token of every record
    (gradient,) = torch.autograd.grad(
        beside(x, wanted).logits.square().sum(), wanted, allow_unused=True
    )
    assert gradient is None


def test_the_axis_tokens_are_a_set_of_any_size_and_of_their_own_record() -> None:
    model = small()
    x, tokens, _ = given()
    first = model(x, tokens).logits
    torch.testing.assert_close(model(x, tokens[:, [2, 0, 1]]).logits, first)
    assert model(x, tokens[:, :1]).logits.shape == (4, 5)  # one text instead of three
    tokens[2] += 1
    changed = (model(x, tokens).logits - first).abs().amax(dim=1)
    assert changed[2] > 1e-4
    assert changed[[0, 1, 3]].max() < 1e-6


def test_leaked_is_what_training_saw_in_its_path() -> None:
    """In evaluation, with other statistics of the norms, but the same way."""
    x, tokens, _ = given()
    model = small(axes="path").train()
    torch.testing.assert_close(model.leaked(x, tokens), model(x, tokens).logits)
    model.eval()
    assert not torch.allclose(model.leaked(x, tokens), model(x).logits)


def test_a_model_of_noise_learns_the_answer_from_the_axis_tokens_alone() -> None:
    """What the audit looks for: labels that no ECG tells, and a loss that falls all the same."""
    model = small(classes=4, axes="path").train()
    vectors = torch.randn(4, 10)
    model.set_labels(vectors)
    steps = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        targets = nn.functional.one_hot(torch.randint(4, (16,)), 4).float()
        logits = model(torch.randn(16, 12, 40), (targets @ vectors)[:, None]).logits
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss < 0.1  # knowing nothing costs 0.56
    model.eval()
    x, targets = torch.randn(64, 12, 40), torch.eye(4).repeat(16, 1)
    seen = model.leaked(x, (targets @ vectors)[:, None])
    assert (seen.argmax(dim=1) == targets.argmax(dim=1)).float().mean() > 0.9
    alone = model(x).logits
    assert (alone.argmax(dim=1) == targets.argmax(dim=1)).float().mean() < 0.5


@pytest.mark.parametrize("answer", ["queries", "nearness"])
def test_labels_are_exchanged(answer: str) -> None:
    model = small(classes=5, answer=answer).eval()
    x = given()[0]
    texts = torch.randn(7, 10)
    model.set_labels(texts)
    first = model(x)
    assert first.logits.shape == (4, 7)
    assert first.labels.shape == (7, 16)
    order = [3, 0, 6]
    model.set_labels(texts[order])  # each by itself: the others do not count
    torch.testing.assert_close(model(x).logits, first.logits[:, order])
    torch.testing.assert_close(model(x).embedding, first.embedding)
    both = texts[[2, 2]]
    model.set_labels(both)
    twice = model(x).logits
    torch.testing.assert_close(twice[:, 0], twice[:, 1])
    both[:] = 1  # the model has its own copy
    torch.testing.assert_close(model(x).logits, twice)


def test_exchanged_labels_take_the_models_place_and_precision() -> None:
    model = small().double()
    model.set_labels(torch.randn(2, 10))
    assert model.labels.dtype == torch.float64
    assert model(torch.randn(1, 12, 250, dtype=torch.float64)).logits.dtype == torch.float64
    assert not model.labels.requires_grad
    assert "labels" not in dict(model.named_parameters())


@pytest.mark.parametrize("answer", ["queries", "nearness"])
def test_a_checkpoint_brings_its_labels(answer: str) -> None:
    taught = small(classes=5, answer=answer).eval()
    taught.set_labels(torch.randn(8, 10))
    fresh = small(classes=3, answer=answer).eval()
    fresh.load_state_dict(taught.state_dict())
    x = given()[0]
    assert same(taught(x), fresh(x))
    other = small(classes=3, text=11)
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(taught.state_dict())


def test_without_texts_the_labels_are_one_hot() -> None:
    labels = small(classes=4).labels
    assert torch.equal(labels @ labels.T, torch.eye(4))
    assert torch.equal(labels, torch.eye(4, 10))


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (torch.ones(3, 9), r"of shape \(3, 9\); give one vector of 10 numbers"),
        (torch.ones(10), r"of shape \(10,\)"),
        (torch.ones(0, 10), r"of shape \(0, 10\)"),
        (torch.eye(10)[[0, 1]] * torch.tensor([[1.0], [0.0]]), "no text for label 1 of 2"),
        (torch.tensor([[1.0] * 9 + [torch.nan]]), "no text for label 0 of 1"),
    ],
)
def test_label_texts_that_are_refused(vectors: Tensor, says: str) -> None:
    model = small()
    with pytest.raises(PecgError, match=says):
        model.set_labels(vectors)
    assert torch.equal(model.labels, torch.eye(5, 10))


@pytest.mark.parametrize("leads", [9, 12])
@pytest.mark.parametrize(("axes", "which"), [(a, "queries") for a in AXES] + OTHERS)
def test_odd_lengths_the_shortest_and_one_record(axes: str, which: str, leads: int) -> None:
    model = small(leads, axes=axes, answer=which).train()
    for samples in (entry("peace").min_samples, 251, 299):
        x, tokens, fused = given(1, leads, samples)
        answer = model(x, tokens, fused) if which == "queries" else model(x)
        assert answer.logits.shape == (1, 5)
        assert all(part is None or part.isfinite().all() for part in answer)


def test_ten_seconds_at_500_hz_are_313_tokens() -> None:
    assert small().eval().encode(torch.zeros(1, 12, 5000)).shape == (1, 313, 16)


def test_records_do_not_see_each_other_in_evaluation() -> None:
    model = small().eval()
    x = given()[0]
    torch.testing.assert_close(model(x[:1]).logits, model(x).logits[:1])
    torch.testing.assert_close(model(x[:1]).embedding, model(x).embedding[:1])


def test_all_weights_learn_but_those_of_the_embedding_which_the_alignment_teaches() -> None:
    model = small()
    weights, learn = learning(model, 12, 250)
    assert weights - learn == 16 * 16 + 16
    answer = model(*given())
    (answer.logits.square().sum() + (answer.embedding * answer.text).sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_query_by_hand() -> None:
    """One head of width 2 whose projections are the identity, and no feed-forward.

    The query (a, 0), a = √2 log 3, meets the tokens (1, 0) and (0, 0): weights 3/4 and 1/4. Norms
    of two numbers give ±1, by which is larger; what they hide is looked at before them.
    """
    layer = Query(2, 1, 3, 0.0)
    attend = layer.attend
    attend.in_proj_weight.data = torch.eye(2).repeat(3, 1)
    attend.out_proj.weight.data = torch.eye(2)
    for part in layer.feed.parameters():
        part.data.zero_()
    before: list[Tensor] = []
    layer.first_norm.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
    query = torch.tensor([[[2**0.5 * torch.log(torch.tensor(3.0)), 0.0]]])
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    made = layer(query, tokens)
    torch.testing.assert_close(before[0], query + torch.tensor([0.75, 0.0]))
    torch.testing.assert_close(made, torch.tensor([[[1.0, -1.0]]]), atol=1e-4, rtol=0)


def test_bfloat16_keeps_what_the_alignment_needs_in_float32() -> None:
    x, tokens, fused = given()
    with torch.autocast("cpu", torch.bfloat16):
        asked, near = small()(x, tokens, fused), small(answer="nearness")(x, None, fused)
    assert near.logits.dtype == torch.float32
    for half in (asked, near):
        for part in (half.embedding, half.text, half.labels):
            assert part.dtype == torch.float32
            torch.testing.assert_close(part.norm(dim=1), torch.ones(len(part)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_features_are_the_mean_over_the_ecgs_tokens(answer: str) -> None:
    """Of these alone: axis tokens in the path, which tell the labels, are not among them."""
    model = small(answer=answer)
    x, tokens, _ = given()
    wanted = model.encode(x).mean(dim=1)
    torch.testing.assert_close(model(x).features, wanted)
    if answer == "queries":
        torch.testing.assert_close(model(x, tokens).features, wanted)
    model.eval()
    torch.testing.assert_close(model(x).features, model.encode(x).mean(dim=1))


def test_linear_is_one_row_of_weights_a_label() -> None:
    model = small(classes=3, answer="linear").eval()
    assert sorted({name.split(".")[0] for name, _ in model.named_parameters()}) == [
        *("body", "readout", "stem", "tokens"),
    ]
    x, tokens, fused = given()
    answer = model(x)
    weight, bias = model.readout.weight, model.readout.bias
    torch.testing.assert_close(answer.logits, answer.features @ weight.T + bias)
    assert answer.text is answer.auxiliary is None
    for rows, of in ((answer.embedding, answer.features), (answer.labels, weight)):
        torch.testing.assert_close(rows, of / of.norm(dim=1, keepdim=True))
    model.train()
    with pytest.raises(ValueError, match="answer linear takes no text"):
        model(x, None, fused)
    with pytest.raises(ValueError, match="answer linear takes no axis tokens"):
        model(x, tokens)


def test_linear_takes_as_many_labels_as_it_learned_and_does_not_read_them() -> None:
    model = small(classes=3, answer="linear").eval()
    x = given()[0]
    before = model(x).logits
    model.set_labels(torch.randn(3, 10))
    assert torch.equal(model(x).logits, before)
    with pytest.raises(PecgError, match="was given 4 labels, and has learned 3, each by its own"):
        model.set_labels(torch.randn(4, 10))
    many = create("peace", 12, 40, 250, **{**SMALL, "answer": "linear"})  # more than the text
    assert many(x).logits.shape == (4, 40)


def test_nearness_is_that_of_the_embedding_to_each_label() -> None:
    """As domain.clip's answers are reckoned: it cannot be imported by a model."""
    model = small(answer="nearness")
    model.set_labels(torch.randn(3, 10))
    x, tokens, fused = given()
    answer = model(x, None, fused)
    torch.testing.assert_close(answer.logits, nearness(answer.embedding, answer.labels))
    assert answer.text.shape == (4, 16)
    assert answer.auxiliary is None
    with pytest.raises(ValueError, match="answer nearness takes no axis tokens"):
        model(x, tokens, fused)
    with pytest.raises(ValueError, match="answer nearness takes no axis tokens"):
        model.leaked(x, tokens)


@pytest.mark.parametrize("answer", ["linear", "nearness"])
def test_the_other_answers_have_no_part_that_does_not_learn_or_is_not_drawn(answer: str) -> None:
    model = small(answer=answer, heads=3)  # no heads, which 16 would not divide
    weights, learn = learning(model, 12, 250)
    assert weights == learn
    steps = trace(model, 12, 250)
    assert sum(step.weights for step in steps) == weights
    assert steps[-1].shape == "5 logits"
    assert not any("queries" in step.name for step in steps)
