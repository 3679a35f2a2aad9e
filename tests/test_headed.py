"""Models with a head: frozen, the head alone learns."""

import pytest
import torch
from torch.nn import functional as F
from transfer_by_hand import COUNTS, SMALL, small

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

NAMES = tuple(COUNTS)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_the_head_alone_learns(name: str) -> None:
    sizes = {"dropout": 0.5} if "dropout" in SMALL[name] else {}
    windows, labels = torch.randn(6, 12, 200), (torch.rand(6, 5) < 0.5).float()
    for frozen in (True, False):
        model = small(name, 200, **sizes)
        if frozen:
            model.freeze()
        model.train()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        steps = torch.optim.AdamW(model.parameters(), lr=0.1)
        F.binary_cross_entropy_with_logits(model(windows), labels).backward()
        steps.step()
        changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
        if frozen:
            assert changed == {"head.weight", "head.bias"}
            assert all(p.grad is None for k, p in model.named_parameters() if "head" not in k)
        else:
            statistics = {key for key in before if "running" in key}
            assert statistics | {"head.weight", "head.bias"} < changed


@pytest.mark.parametrize("name", NAMES)
def test_frozen_stays_in_evaluation_whatever_it_is_told(name: str) -> None:
    sizes = {"dropout": 0.5} if "dropout" in SMALL[name] else {}
    model = small(name, 200, **sizes)
    model.freeze()
    windows = torch.randn(2, 12, 200)
    assert {key for key, part in model.named_modules() if part.training} == {"", "head"}
    for mode in (True, False, True):
        assert model.train(mode) is model
        training = {key for key, part in model.named_modules() if part.training}
        assert training == ({"", "head"} if mode else set())
        assert torch.equal(model(windows), model(windows))
    evaluated = small(name, 200, **sizes)
    evaluated.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(evaluated.eval()(windows), model(windows))


def test_freezing_a_model_in_evaluation_leaves_it_there() -> None:
    model = small("resnet18_1d").eval()
    model.freeze()
    assert not any(part.training for part in model.modules())


def test_frozen_keeps_no_way_back() -> None:
    model = small("resnet18_1d")
    model.freeze()
    windows = torch.randn(2, 12, 300, requires_grad=True)
    model(windows).sum().backward()
    assert windows.grad is None
    with torch.no_grad():
        assert not model(windows).requires_grad
