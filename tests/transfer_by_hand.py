"""The models of the transfer chapter: weights and multiply-adds by hand, and sizes for tests."""

from collections.abc import Callable

TINY = (8, 8, 16, 16)
SMALL: dict[str, dict[str, object]] = {
    "resnet18_1d": {"channels": TINY},
    "crnn": {"channels": TINY, "hidden": 24, "dropout": 0.0},
}


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


COUNTS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "resnet18_1d": resnet18_1d,
    "crnn": crnn,
}
