"""The models of the transfer chapter: weights and multiply-adds by hand, and sizes for tests."""

from collections.abc import Callable

from pecg_utils.models import create
from pecg_utils.models.headed import Headed

TINY = (8, 8, 16, 16)
SMALL: dict[str, dict[str, object]] = {
    "resnet18_1d": {"channels": TINY},
    "crnn": {"channels": TINY, "hidden": 24, "dropout": 0.0},
    "alexnet1d": {"channels": (8, 8, 16, 16, 16), "hidden": 32, "dropout": 0.0},
    "vgg1d": {"channels": (8, 8, 16, 16, 16), "hidden": 32, "dropout": 0.0},
    "attresnet": {"channels": TINY, "heads": 2},
    "restransformer": {"channels": TINY, "heads": 2, "dropout": 0.0},
    "rawtransformer": {"width": 16, "kernel": 5, "stride": 3, "heads": 2, "dropout": 0.0},
}


def small(name: str, samples: int = 300, classes: int = 5, **sizes: object) -> Headed:
    model = create(name, 12, classes, samples, **(SMALL[name] | sizes))
    assert isinstance(model, Headed)
    return model


def halved(steps: int, times: int = 1) -> int:
    """Each halving rounds up."""
    for _ in range(times):
        steps = -(-steps // 2)
    return steps


def trunk(L: int, T: int) -> tuple[int, int]:
    """Weights with the norms', and multiply-adds, of the ResNet-18 before its mean."""
    weights, macs = L * 64 * 7 + 2 * 64, L * 64 * 7 * halved(T)
    c_in, steps = 64, halved(T, 2)
    for c in (64, 128, 256, 512):
        if c != c_in:
            steps = halved(steps)
            weights += c_in * c + 2 * c  # the shortcut and its norm
            macs += c_in * c * steps
        kernels = 3 * c_in * c + 3 * 3 * c * c
        weights += kernels + 4 * 2 * c
        macs += kernels * steps
        c_in = c
    return weights, macs


def resnet18_1d(L: int, C: int, T: int) -> tuple[int, int]:
    weights, macs = trunk(L, T)
    return weights + 512 * C + C, macs + 512 * C


def crnn(L: int, C: int, T: int) -> tuple[int, int]:
    weights, macs = trunk(L, T)
    H = 256
    cells = 4 * H * (512 + H) + 4 * H * (H + H)  # four gates, two layers
    return weights + cells + 2 * 8 * H + H * C + C, macs + halved(T, 5) * cells + H * C


def attresnet(L: int, C: int, T: int) -> tuple[int, int]:
    weights, macs = trunk(L, T)
    D, S = 512, halved(T, 5)
    weights += 4 * D * D + 4 * D + D * C + C
    return weights, macs + 4 * S * D * D + 2 * S * S * D + D * C


def encoder(D: int, S: int) -> tuple[int, int]:
    """Two layers, whose feed-forward is four times as wide."""
    products = 4 * D * D + 2 * 4 * D * D
    biases = 4 * D + 4 * D + D
    return 2 * (products + biases + 2 * 2 * D), 2 * (S * products + 2 * S * S * D)


def restransformer(L: int, C: int, T: int) -> tuple[int, int]:
    weights, macs = trunk(L, T)
    layers = encoder(512, halved(T, 5))
    return weights + layers[0] + 512 * C + C, macs + layers[1] + 512 * C


def rawtransformer(L: int, C: int, T: int) -> tuple[int, int]:
    D = 256
    layers = encoder(D, T)
    return 3 * L * D + D + layers[0] + D * C + C, 3 * L * D * T + layers[1] + D * C


def hidden(pooled: int, C: int) -> tuple[int, int]:
    """Two hidden layers and the head: weights with the biases, and multiply-adds."""
    products = pooled * 4096 + 4096 * 4096 + 4096 * C
    return products + 4096 + 4096 + C, products


def alexnet1d(L: int, C: int, T: int) -> tuple[int, int]:
    last = max(1, -(-(T - 33) // 32))  # steps after the last pool, of three; 2 S + 1 before each
    first, second, third = 8 * last + 7, 4 * last + 3, 2 * last + 1
    weights = macs = 0
    each = ((L, 64, 11, first), (64, 192, 5, second), (192, 384, 3, third))
    for c_in, c, kernel, steps in (*each, (384, 256, 3, third), (256, 256, 3, third)):
        weights += c_in * c * kernel + 2 * c  # its norm
        macs += c_in * c * kernel * steps
    end = hidden(6 * 256, C)
    return weights + 256 + end[0], macs + end[1]  # the bias of the fourth, before a ReLU


def vgg(L: int, C: int, T: int, stages: tuple[int, ...], pooled: int) -> tuple[int, int]:
    """Without norms."""
    steps = 32 * -(-T // 32)
    weights = macs = 0
    c_in = L
    for c, count in zip((64, 128, 256, 512, 512), stages, strict=True):
        for _ in range(count):
            weights += 3 * c_in * c + c
            macs += 3 * c_in * c * steps
            c_in = c
        steps //= 2
    end = hidden(pooled, C)
    return weights + end[0], macs + end[1]


def vgg1d(L: int, C: int, T: int) -> tuple[int, int]:
    return vgg(L, C, T, (2, 2, 3, 3, 3), 7 * 512)


COUNTS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "resnet18_1d": resnet18_1d,
    "crnn": crnn,
    "alexnet1d": alexnet1d,
    "vgg1d": vgg1d,
    "attresnet": attresnet,
    "restransformer": restransformer,
    "rawtransformer": rawtransformer,
}
