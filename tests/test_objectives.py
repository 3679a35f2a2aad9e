"""Objectives: what training goes down, how an answer is read, and which epoch is better."""

from math import log

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pecg_utils import mutual
from pecg_utils.contrastive import Contrast, Terms, ramp
from pecg_utils.losses import focal, positive_weights, weighted_bce
from pecg_utils.models.agcacl import Answer
from pecg_utils.models.mrmnet import Answer as MrmAnswer
from pecg_utils.models.mrmnet import MeanProbability
from pecg_utils.objectives import Heads, ManyLabels, OneLabel

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)  # the third: nobody
COUNTS = torch.tensor([5, 3, 2])
WIDTH = 4


def answer(windows=6, dtype=torch.float32):
    logits = torch.randn(windows, 3, requires_grad=True)
    embedding = F.normalize(torch.randn(windows, WIDTH), dim=1)
    return Answer(logits.to(dtype), embedding, torch.ones(windows, 2, dtype=torch.bool))


def one_hot(*places, classes=3):
    return np.eye(classes, dtype=bool)[list(places)]


def taught(objective, batches=3):
    """The objective after some batches in training mode."""
    for _ in range(batches):
        objective.train()(answer(), torch.from_numpy(one_hot(0, 0, 1, 1, 2, 2)).float(), 1.0)
    return objective


@pytest.mark.parametrize("loss", ["weighted", "plain"])
def test_many_labels_go_down_the_weighted_cross_entropy(loss):
    objective = ManyLabels(LABELS, loss)
    weighs = positive_weights(torch.from_numpy(LABELS)) if loss == "weighted" else torch.ones(3)
    assert torch.equal(objective.weights, weighs)
    assert (objective.weights == 1).all() == (loss == "plain")
    logits, targets = torch.randn(4, 3), torch.from_numpy(LABELS).float()
    found = objective(logits, targets, 0.0)
    assert torch.equal(found, weighted_bce(logits, targets, weighs))
    assert torch.equal(objective(logits, targets, 7.5), found)  # the epoch does not count
    assert set(objective.state_dict()) == {"weights"}


def test_many_labels_go_down_the_focal_loss_where_each_weighs_1():
    objective = ManyLabels(LABELS, "focal")
    assert (objective.weights == 1).all()
    logits, targets = torch.randn(4, 3), torch.from_numpy(LABELS).float()
    found = objective(logits, targets, 0.0)
    assert torch.equal(found, focal(logits, targets))
    assert not torch.equal(found, weighted_bce(logits, targets, objective.weights))
    assert set(objective.state_dict()) == {"weights"}


def test_a_loss_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no loss 'dice'; there are weighted, plain, focal"):
        ManyLabels(LABELS, "dice")


def test_one_label_goes_down_the_whole_contrast_at_the_epochs_that_have_passed():
    contrast = Contrast(COUNTS, WIDTH, Terms(epochs=4.0))
    objective = taught(OneLabel(contrast)).eval()
    given, y = answer(), torch.tensor([2, 0, 1, 1, 0, 2])
    targets = F.one_hot(y, 3).float()
    losses = {}
    for passed in (0.0, 2.0, 9.0):
        parts = contrast(given.logits, given.embedding, y, passed)
        losses[passed] = objective(given, targets, passed)
        assert torch.equal(losses[passed], parts.total)
    added = losses[9.0] - losses[0.0]
    assert added > 0.01
    torch.testing.assert_close(losses[2.0], losses[0.0] + ramp(2.0, 4.0) * added)
    losses[9.0].backward()  # one number, which a step can go down


def test_prototypes_are_the_objectives_state_and_move_in_training_alone():
    first = taught(OneLabel(Contrast(COUNTS, WIDTH)))
    second = OneLabel(Contrast(COUNTS.flip(0), WIDTH)).eval()
    given, targets = answer(), torch.from_numpy(one_hot(0, 1, 2, 0, 1, 2)).float()
    before = {name: value.clone() for name, value in first.state_dict().items()}
    names = {"contrast.prototypes.vectors", "contrast.prototypes.seen", "contrast.phi"}
    assert set(before) == names
    assert not torch.equal(second(given, targets, 9.0), first.eval()(given, targets, 9.0))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(given, targets, 9.0), first(given, targets, 9.0))
    assert all(torch.equal(before[name], value) for name, value in first.state_dict().items())
    first.train()(given, targets, 9.0)
    moved = first.state_dict()["contrast.prototypes.vectors"]
    assert not torch.equal(before["contrast.prototypes.vectors"], moved)
    kept = second.state_dict()["contrast.prototypes.vectors"]  # a copy, not the same tensor
    assert torch.equal(before["contrast.prototypes.vectors"], kept)


def test_answers_are_read_each_label_by_itself_or_as_shares_of_one():
    logits = torch.tensor([[0.0, log(3), -log(3)]])
    torch.testing.assert_close(
        ManyLabels.probabilities(logits), torch.tensor([[0.5, 0.75, 0.25]]), rtol=1e-6, atol=0
    )
    given = Answer(logits, torch.ones(1, 1), torch.ones(1, 2, dtype=torch.bool))
    shares = torch.tensor([[3.0, 9.0, 1.0]]) / 13  # of 1, 3 and 1 / 3
    torch.testing.assert_close(OneLabel.probabilities(given), shares, rtol=1e-6, atol=0)
    half = OneLabel.probabilities(answer(50, torch.bfloat16))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.sum(dim=1), torch.ones(50), rtol=0, atol=1e-6)


def test_the_score_of_many_labels_by_hand():
    score = ManyLabels(LABELS, "plain").score
    # At 0.5: the first label 2 of 2 found and 1 wrong, 4/5; the second 0; the third never there, 0.
    given = np.array([[0.9, 0.1, 0.1], [0.5, 0.4, 0.2], [0.6, 0.3, 0.1], [0, 0, 0]], np.float32)
    assert score("f1", LABELS, given) == pytest.approx(0.8 / 3)
    # Ranked: the first label 1st and 3rd, (1 + 2/3) / 2; the second 1st. The third is left out.
    assert score("average_precision", LABELS, given) == pytest.approx((5 / 6 + 1) / 2)
    assert score("average_precision", LABELS * False, given) == 0.0
    assert score("average_precision", LABELS, given * np.nan) == 0.0


def test_the_score_of_one_label_by_hand():
    score = OneLabel(Contrast(COUNTS, WIDTH)).score
    targets = one_hot(0, 0, 1, 1)  # nothing of the third class
    given = np.array(
        [[0.4, 0.3, 0.3], [0.2, 0.3, 0.5], [0.35, 0.33, 0.32], [0.1, 0.8, 0.1]], np.float32
    )
    # The likeliest are 0 2 0 1, though most are below 0.5. The first class: 1 found, 1 wrong and 1
    # missed, 1/2; the second: 1 found, 1 missed, 2/3. The third has no window and is left out.
    assert score("f1", targets, given) == pytest.approx((1 / 2 + 2 / 3) / 2)
    # Ranked: the first class 1st and 3rd, the second 1st and 2nd.
    assert score("average_precision", targets, given) == pytest.approx((5 / 6 + 1) / 2)
    assert score("average_precision", targets, given * np.nan) == 0.0


def of_heads(windows=6, heads=2, dtype=torch.float32):
    logits = torch.randn(windows, heads, 3, dtype=dtype) * 3
    return MrmAnswer(MeanProbability()(logits), logits, torch.randn(windows, heads, 8))


@pytest.mark.parametrize("name", mutual.ABLATION)
def test_heads_go_down_the_whole_mutual_loss_of_their_terms(name):
    terms = mutual.ABLATION[name]
    objective, given = Heads(terms), of_heads()
    assert objective.terms == terms
    targets = (torch.rand(6, 3) < 0.4).float()
    found = objective(given, targets, 0.0)
    parts = mutual.mutual_loss(given.heads, given.features, targets, terms)
    assert torch.equal(found, parts.total)
    assert torch.equal(objective(given, targets, 7.5), found)  # the epoch does not count
    each = [F.binary_cross_entropy_with_logits(given.heads[:, h], targets) for h in (0, 1)]
    torch.testing.assert_close(parts.bce, sum(each))
    added = terms.features * parts.features + terms.logits * parts.logits
    torch.testing.assert_close(found, sum(each) + added)
    assert (found > parts.bce) == (name != "BCE")
    assert objective.state_dict() == {}  # nothing of it is learned


def test_one_head_goes_down_its_cross_entropy_alone():
    given, targets = of_heads(heads=1), torch.from_numpy(one_hot(0, 1, 2, 0, 1, 2)).float()
    expected = F.binary_cross_entropy_with_logits(given.heads[:, 0], targets)
    torch.testing.assert_close(Heads(mutual.Terms())(given, targets, 0.0), expected)


@pytest.mark.parametrize("heads", [1, 2])
def test_the_probabilities_of_heads_are_the_mean_of_each(heads):
    given = of_heads(50, heads)
    found, each = Heads.probabilities(given), Heads.each(given)
    assert found.shape == (50, 3)
    assert each.shape == (50, heads, 3)
    assert torch.equal(found, torch.sigmoid(given.logits))
    torch.testing.assert_close(each, 1 / (1 + torch.exp(-given.heads)))
    torch.testing.assert_close(found, each.mean(dim=1), rtol=0, atol=1e-6)
    half = Heads.each(of_heads(50, heads, torch.bfloat16))
    assert half.dtype == torch.float32


def test_each_of_a_model_of_one_head_is_its_answer_with_an_axis_for_the_heads():
    logits = torch.randn(50, 3) * 3
    each = ManyLabels.each(logits)
    assert each.shape == (50, 1, 3)
    assert torch.equal(each[:, 0], ManyLabels.probabilities(logits))
    given = answer(50)
    each = OneLabel.each(given)
    assert each.shape == (50, 1, 3)
    assert torch.equal(each[:, 0], OneLabel.probabilities(given))
    assert ManyLabels.each(logits.bfloat16()).dtype == torch.float32
    assert OneLabel.each(answer(50, torch.bfloat16)).dtype == torch.float32


def test_heads_are_scored_as_many_labels_are():
    generator = np.random.default_rng(0)
    given = generator.random((40, 3)).astype(np.float32)
    targets = generator.random((40, 3)) < 0.3
    heads, many = Heads(mutual.Terms()), ManyLabels(targets, "plain")
    for metric in ("f1", "average_precision"):
        assert heads.score(metric, targets, given) == many.score(metric, targets, given) > 0
    given[0] = np.nan
    assert heads.score("average_precision", targets, given) == 0.0
