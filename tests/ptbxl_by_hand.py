"""Weights and multiply-adds of the PTB-XL benchmark's models at their default sizes, written out.

Each takes leads, labels and samples. Convolutions have no bias, and a norm two numbers a channel.
"""

from collections.abc import Callable


def head(features: int, C: int, width: int = 128) -> tuple[int, int]:
    products = features * width + width * C
    return products + 2 * features + width + 2 * width + C, products


def xresnet1d101(L: int, C: int, T: int) -> tuple[int, int]:
    steps = -(-T // 2)
    stem = 5 * (L * 32 + 32 * 32 + 32 * 64)
    weights, macs = stem + 2 * (32 + 32 + 64), stem * steps
    c_in, steps = 64, -(-steps // 2)
    for i, count in enumerate((3, 4, 23, 3)):
        for j in range(count):
            macs += c_in * 64 * steps
            if i and not j:
                steps = -(-steps // 2)
            macs += (5 * 64 * 64 + 64 * 256) * steps
            weights += c_in * 64 + 5 * 64 * 64 + 64 * 256 + 2 * (64 + 64 + 256)
            if c_in != 256:
                weights += c_in * 256 + 2 * 256
                macs += c_in * 256 * steps
                c_in = 256
    end = head(512, C)
    return weights + end[0], macs + end[1]


def resnet1d_wang(L: int, C: int, T: int) -> tuple[int, int]:
    weights, macs = 7 * L * 128 + 2 * 128, 7 * L * 128 * T
    block = (5 + 3) * 128 * 128
    for stride in (1, 2, 2):
        T = -(-T // stride)
        shortcut = 128 * 128 if stride == 2 else 0
        weights += block + 2 * 2 * 128 + (shortcut + 2 * 128 if shortcut else 0)
        macs += (block + shortcut) * T
    end = head(256, C)
    return weights + end[0], macs + end[1]


def fcn_wang(L: int, C: int, T: int) -> tuple[int, int]:
    later = 5 * 128 * 256 + 3 * 256 * 128
    end = head(256, C)
    weights = 8 * L * 128 + later + 2 * (128 + 256 + 128) + end[0]
    return weights, (9 * L * 128 + later) * (T - 1) + end[1]  # the kernel 8 is computed as 9


def inceptiontime(L: int, C: int, T: int) -> tuple[int, int]:
    kernels = (39 + 19 + 9) * 32 * 32
    products = norms = 0
    for c_in in (L, 128, 128, 128, 128, 128):
        products += c_in * 32 + kernels + c_in * 32
        norms += 2 * 128
    for c_in in (L, 128):  # the shortcuts
        products += c_in * 128
        norms += 2 * 128
    end = head(256, C)
    return products + norms + end[0], products * T + end[1]


def lstm_bidir(L: int, C: int, T: int) -> tuple[int, int]:
    H = 256
    cells = sum(4 * H * (width + H) for width in (L, 2 * H))  # input and recurrent, four gates
    end = head(6 * H, C)
    return 2 * (cells + 2 * 8 * H) + end[0], 2 * T * cells + end[1]


COUNTS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "xresnet1d101": xresnet1d101,
    "resnet1d_wang": resnet1d_wang,
    "fcn_wang": fcn_wang,
    "inceptiontime": inceptiontime,
    "lstm_bidir": lstm_bidir,
}
