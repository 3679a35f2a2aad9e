"""The models' sizes, from those a laptop trains in seconds to the papers' own."""

from typing import Any

# The models' sizes below the paper's; all *ours*, so that a laptop trains the tiny ones in seconds
# and the small ones in minutes. What is not named is the paper's.
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "resnet1d": {"channels": (16, 32, 64, 128), "blocks": 1},
        "bilstm": {"hidden": 16, "layers": 1},
        "transformer": {
            "d_model": 32,
            "heads": 4,
            "feedforward": 64,
            "patch": 6,
            "attention_dropout": 0.0,
        },
        "mamba2": {"d_model": 16, "expand": 1, "d_state": 8, "headdim": 16, "depth": 1},
        "cnn_ecg_mamba": {
            "channels": (16, 32, 48, 64),
            "strides": (2, 2, 2, 2),
            "depth": 1,
            "expand": 1,
            "places": 64,
            "core": "duality",
        },
        "agcacl": {
            "channels": (16, 16, 32, 32),
            "strides": (4, 2, 2, 2),
            "depth": 1,
            "feedforward": 64,
            "dropout": 0.0,
        },
        "mrmnet": {"width": 4},
        "xresnet1d101": {
            "stem": (16, 16, 32),
            "channels": 16,
            "blocks": (1, 1, 2, 1),
            "head": 32,
        },
        "resnet1d_wang": {"channels": 32, "head": 32},
        "fcn_wang": {"channels": (32, 64, 32), "head": 32},
        "inceptiontime": {"filters": 4, "bottleneck": 4, "depth": 3, "head": 32},
        "lstm_bidir": {"hidden": 16, "layers": 1, "head": 32},
        "peace": {
            "channels": (8, 16, 24, 32),
            "blocks": 1,
            "kernel": 5,
            "text": 64,
            "heads": 2,
            "feedforward": 64,
            "dropout": 0.0,
        },
        "resnet18_1d": {"channels": (8, 16, 24, 32)},
        "crnn": {"channels": (8, 16, 24, 32), "hidden": 32},
    },
    "small": {
        "resnet1d": {"channels": (16, 32, 64, 128), "blocks": 1},
        "bilstm": {"hidden": 32},
        "transformer": {"d_model": 32, "heads": 4, "feedforward": 64, "attention_dropout": 0.0},
        "mamba2": {"d_model": 32, "d_state": 16, "headdim": 16},
        "cnn_ecg_mamba": {
            "channels": (16, 32, 48, 64),
            "strides": (2, 2, 2, 2),
            "depth": 2,
            "expand": 1,
            "places": 128,
            "core": "duality",
        },
        "agcacl": {"channels": (16, 32, 64, 64), "depth": 1, "feedforward": 128},
        "mrmnet": {"width": 16},
        "xresnet1d101": {},
        "resnet1d_wang": {},
        "fcn_wang": {},
        "inceptiontime": {},
        "lstm_bidir": {"hidden": 64},
        "peace": {"channels": (16, 32, 64, 64), "blocks": 1, "feedforward": 128},
        "resnet18_1d": {"channels": (16, 32, 64, 128)},
        "crnn": {"channels": (16, 32, 64, 128), "hidden": 64},
    },
    "paper": {
        "resnet1d": {},
        "bilstm": {},
        "transformer": {},
        "mamba2": {},
        "cnn_ecg_mamba": {},
        "agcacl": {},
        "mrmnet": {},
        "xresnet1d101": {},
        "resnet1d_wang": {},
        "fcn_wang": {},
        "inceptiontime": {},
        "lstm_bidir": {},
        "peace": {},
        "resnet18_1d": {},
        "crnn": {},
    },
}
# A ResNet-1D with about as many weights as the CNN-ECG-Mamba of the same sizes; a test counts them.
EQUAL_BUDGET: dict[str, tuple[tuple[str, Any], ...]] = {
    "tiny": (("channels", (12, 20, 30, 42)), ("blocks", 1)),
    "small": (("channels", (12, 24, 40, 64)), ("blocks", 1)),
    "paper": (("channels", (128, 256, 512, 800)), ("blocks", 2)),
}
