"""Diagrams say what a run says."""

from collections.abc import Iterator

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.transforms import Bbox

from pecg_utils.diagrams import alt_text, draw, trace
from pecg_utils.models import NAMES, create


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_of_all_stages_are_the_models(name: str) -> None:
    model = create(name, 12, 19, 300)
    steps = trace(model, 12, 300)
    assert sum(step.weights for step in steps) == sum(p.numel() for p in model.parameters())
    assert steps[-1].shape == "19 logits"


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet1d", ["64 channels × 63 steps", "128 channels × 32 steps"]),
        ("bilstm", ["250 steps × 256 features", "256 features"]),
        ("transformer", ["84 tokens × 128 features", "128 features"]),
        ("mamba2", ["250 steps × 128 features", "128 features"]),
        ("agcacl", ["16 and 31 tokens × 128 features", "16 tokens × 128 features"]),
        ("mrmnet", ["128 channels × 256 steps", "128 × 128 and 256 × 64 channels × steps"]),
        ("xresnet1d101", ["64 channels × 63 steps", "256 channels × 8 steps", "512 features"]),
        ("resnet1d_wang", ["128 channels × 125 steps", "128 channels × 63 steps"]),
        ("fcn_wang", ["256 channels × 249 steps", "256 features"]),
        ("inceptiontime", ["128 channels × 250 steps", "256 features"]),
        ("lstm_bidir", ["250 steps × 512 features", "1536 features"]),
        ("resnet18_1d", ["64 channels × 63 steps", "512 channels × 8 steps", "512 features"]),
        ("crnn", ["8 steps × 256 features", "256 features"]),
        ("alexnet1d", ["64 channels × 31 steps", "256 channels × 7 steps", "1536 features"]),
        ("vgg1d", ["64 channels × 128 steps", "512 channels × 8 steps", "3584 features"]),
        ("attresnet", ["8 tokens × 512 features", "512 features"]),
        ("restransformer", ["8 tokens × 512 features", "512 features"]),
        ("rawtransformer", ["250 tokens × 256 features", "256 features"]),
        (
            "peace",
            ["256 channels × 32 steps", "16 tokens × 256 features", "5 labels × 256 features"],
        ),
    ],
)
def test_shapes_are_measured(name: str, shapes: list[str]) -> None:
    """At 250 samples, where nothing divides evenly."""
    found = [step.shape for step in trace(create(name, 9, 5, 250), 9, 250)]
    assert set(shapes) <= set(found)
    text = alt_text(create(name, 9, 5, 250), 9, 250)
    assert "9 leads × 250 samples" in text
    assert all(shape in text for shape in found)


@pytest.mark.parametrize("name", NAMES)
def test_tracing_leaves_the_model_as_it_was(name: str) -> None:
    model = create(name, 12, 19, 300).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, 12, 300)
    assert model.training
    assert all((v == before[k]).all() for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off_or_covers_another(name: str) -> None:
    figure = draw(create(name, 12, 19, 300), 12, 300)
    figure.canvas.draw()
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    boxes = [Bbox(t.get_window_extent()) for t in texts]
    assert {"19 logits", "One window: 12 leads × 300 samples"} <= {t.get_text() for t in texts}
    for i, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:i])
    assert figure.get_figwidth() <= 5  # inches; a phone shows it without shrinking the text
