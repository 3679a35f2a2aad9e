"""What a model costs, against counts by hand, and that counting leaves everything as it was."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pecg_utils import models
from pecg_utils.cost import Cost, cost, held
from pecg_utils.models import create

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

LEADS, SAMPLES, CLASSES = 3, 20, 5


class Net(nn.Module):
    """A convolution of 4 channels, kernel 3, what `between` makes of it, and a linear layer."""

    def __init__(self, *between: nn.Module, answer: Callable[[Tensor], object] = lambda x: x):
        super().__init__()
        self.conv = nn.Conv1d(LEADS, 4, 3, padding=1)
        self.between = nn.Sequential(*between)
        self.linear = nn.Linear(4 * SAMPLES, CLASSES)
        self.answer = answer

    def forward(self, x: Tensor) -> object:
        return self.answer(self.linear(self.between(self.conv(x)).flatten(1)))


WEIGHTS = (3 * 4 * 3 + 4) + (80 * 5 + 5)
PRODUCTS = 3 * 4 * 3 * 20 + 80 * 5


def test_a_linear_model_by_hand() -> None:
    """What goes into the layer is held, and nothing else; its flattened view is no second piece."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(LEADS * SAMPLES, CLASSES))
    found = cost(model, LEADS, SAMPLES, crops=7, batch=6)
    weights = 60 * 5 + 5
    assert found == Cost(weights, 7 * 60 * 5, (6 * 60 * 4 + 16 * weights) / 2**20)


def test_a_convolution_by_hand() -> None:
    """Held are the windows and what the rectifier gives, which is what the linear layer takes."""
    found = cost(Net(nn.ReLU()), LEADS, SAMPLES, crops=1, batch=6)
    assert found.weights == WEIGHTS
    assert found.multiply_adds == PRODUCTS
    assert found.mebibytes * 2**20 == 6 * (3 + 4) * 20 * 4 + 16 * WEIGHTS
    twice = cost(Net(nn.ReLU()), LEADS, SAMPLES, crops=2, batch=12)
    assert twice[:2] == (WEIGHTS, 2 * PRODUCTS)
    assert twice.mebibytes * 2**20 == 12 * (3 + 4) * 20 * 4 + 16 * WEIGHTS


@pytest.mark.parametrize(
    ("between", "maps", "more"),
    [
        ((), 1, 0),  # what goes into the linear layer
        ((nn.ReLU(inplace=True),), 1, 0),  # written over what went in
        ((nn.BatchNorm1d(4), nn.ReLU()), 2, 2 * 4),  # what goes in, mean and deviation, what is cut
        ((nn.Sigmoid(), nn.Sigmoid()), 2, 0),  # the first's answer is the second's, too
        ((nn.Identity(), nn.Flatten(), nn.Unflatten(1, (4, SAMPLES))), 1, 0),  # views
    ],
)
def test_each_piece_of_memory_counts_once(
    between: tuple[nn.Module, ...], maps: int, more: int
) -> None:
    assert held(Net(*between), LEADS, SAMPLES, 6) == 4 * (6 * (3 + 4 * maps) * 20 + more)


def test_what_nothing_leads_back_through_is_not_held() -> None:
    class Aside(Net):
        def forward(self, x: Tensor) -> object:
            self.between(self.conv(x)).sigmoid().exp().sum()
            return super().forward(x)

    assert held(Aside(), LEADS, SAMPLES, 6) == held(Net(), LEADS, SAMPLES, 6)


def test_an_answer_of_several_tensors_holds_them_all() -> None:
    both = Net(answer=lambda x: (x, x.sigmoid()))  # what the sigmoid gives is held
    assert held(both, LEADS, SAMPLES, 6) == held(Net(), LEADS, SAMPLES, 6) + 6 * 5 * 4


def test_weights_that_are_not_trained_take_a_quarter() -> None:
    model = Net(nn.ReLU())
    for parameter in model.conv.parameters():
        parameter.requires_grad_(False)
    found = cost(model, LEADS, SAMPLES, crops=1, batch=6)
    kept = 6 * 4 * 20 * 4  # of the rectifier for the linear layer; its own way back is not needed
    assert found.mebibytes * 2**20 == kept + 16 * (80 * 5 + 5) + 4 * (3 * 4 * 3 + 4)


@pytest.mark.parametrize("name", ["resnet1d", "bilstm", "transformer", "mrmnet"])
def test_twice_the_windows_take_about_twice_the_memory(name: str) -> None:
    sizes = {"mrmnet": {"width": 4}, "bilstm": {"hidden": 12}}.get(name, {})
    model = create(name, 12, 5, 120, **sizes)
    one, two = (held(model, 12, 120, batch) for batch in (8, 16))
    assert 1.9 < two / one <= 2.0001


def test_nothing_is_changed() -> None:
    model = Net(nn.BatchNorm1d(4), nn.Dropout(0.5)).eval()
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    with torch.no_grad():
        found = cost(model, LEADS, SAMPLES, crops=2, batch=6)
        assert not torch.is_grad_enabled()
    assert torch.equal(random, torch.get_rng_state())
    assert not model.training
    assert not model.between.training
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None and p.device.type == "cpu" for p in model.parameters())
    # The modes of the model and of the caller make no difference.
    assert cost(model.train(), LEADS, SAMPLES, crops=2, batch=6) == found
    assert cost(model.double(), LEADS, SAMPLES, crops=2, batch=6) == found
    assert held(model, LEADS, SAMPLES, 6) > held(Net(), LEADS, SAMPLES, 6)


def test_the_attention_is_counted_outside_of_training_too() -> None:
    """There it would be one operator that the counter does not know."""
    model = create("transformer", 12, 5, 120)
    counted = models.multiply_adds(model, 12, 120)
    assert models.multiply_adds(model.eval(), 12, 120) == counted
    assert cost(model, 12, 120, crops=4, batch=1).multiply_adds == 4 * counted
