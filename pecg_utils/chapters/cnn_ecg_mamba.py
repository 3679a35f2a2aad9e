"""The parameters of notebooks/cnn_ecg_mamba.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pecg_utils.chapters.common import Chapter, different
from pecg_utils.chapters.sizes import EQUAL_BUDGET, SIZES


class CnnEcgMamba(Chapter):
    """The parameters of notebooks/cnn_ecg_mamba.ipynb."""

    dataset: Annotated[
        Literal["challenge", "hospitals"], Field(description="whose reader opens the data")
    ]
    year: Annotated[
        int, Field(ge=2020, le=2021, description="of the Challenge: its sources and classes")
    ]
    recordings: Annotated[int, Field(ge=60, le=100_000, description="in the twin")]
    fs: Annotated[float, Field(ge=50, le=500, description="rate of a window, Hz")]
    seconds: Annotated[float, Field(ge=2, le=60, description="length of a window, s")]
    folds: Annotated[int, Field(ge=2, le=10, description="of the cross-validations")]
    sites: Annotated[int, Field(ge=1, le=10, description="that are left out, the largest first")]
    parts: Annotated[
        list[Literal["stem", "one direction", "mean", "other core", "10 s", "resnet1d"]],
        AfterValidator(different),
        Field(description="that are taken from the model, or put in its place, one at a time"),
    ]

    @field_validator("year")
    @classmethod
    def _known(cls, year: int, info: ValidationInfo) -> int:
        if info.data.get("dataset") == "hospitals" and year != 2021:
            raise ValueError("hospitals has the classes of 2021 alone: leave out year.")
        return year

    @property
    def twin_size(self) -> int:
        """How large the twin is: recordings."""
        return self.recordings

    @property
    def reading(self) -> dict[str, Any]:
        """What the dataset's reader is told beside the folder."""
        return {"year": self.year} if self.dataset == "challenge" else {}

    @property
    def cutting(self) -> dict[str, Any]:
        """windows.Settings' arguments: one window a recording."""
        return {"fs": self.fs, "seconds": self.seconds, "whole": True}

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments; all but the batch of the paper profile *ours*."""
        ours = {"loss": "plain", "schedule": "cosine", "weight_decay": 0.05, "shift": True}
        return {**super().training, **ours, "keep": "average_precision"}


_CHALLENGE = {
    "dataset": "challenge",
    "data": "",
    "seed": 0,
    "year": 2021,
    "batch": 16,
    "lr": 4e-3,
    "seconds": 16.384,  # 8,192 samples at 500 Hz
    "folds": 2,
    "sites": 2,
    "parts": ["stem", "one direction", "mean", "other core", "10 s", "resnet1d"],
    "resamples": 1000,
    "precision": "auto",
}
PROFILES = {
    "smoke": {
        **_CHALLENGE,
        "recordings": 80,
        "epochs": 1,
        "fs": 62.5,
        "sizes": "tiny",
        "folds": 2,
        "sites": 1,
        "parts": ["one direction", "10 s"],
        "resamples": 100,
    },
    "demo": {
        **_CHALLENGE,
        "recordings": 600,
        "epochs": 20,
        "fs": 62.5,
        "sizes": "tiny",
        "parts": ["one direction", "resnet1d"],
    },
    "study": {
        **_CHALLENGE,
        "recordings": 800,
        "epochs": 30,
        "fs": 125.0,
        "sizes": "small",
        "folds": 3,
        "sites": 10,
    },
    "paper": {
        **_CHALLENGE,
        "recordings": 88_253,
        "epochs": 60,
        "batch": 30,
        "lr": 1e-4,
        "fs": 500.0,
        "sizes": "paper",
        "folds": 5,
        "sites": 10,
    },
}


def changes_of_parts(p: CnnEcgMamba) -> list[dict[str, Any]]:
    """The last audit of CNN-ECG-Mamba: for each of `p.parts` what its protocol has, and seconds."""
    core = SIZES[p.sizes]["cnn_ecg_mamba"].get("core", "scan")
    usual = {"model": "cnn_ecg_mamba", "seconds": p.seconds}
    known: dict[str, dict[str, Any]] = {
        "stem": {"changes": (("depth", 0), ("pool", "mean"))},
        "one direction": {"changes": (("directions", 1),)},
        "mean": {"changes": (("pool", "mean"),)},
        "other core": {"changes": (("core", "scan" if core == "duality" else "duality"),)},
        "10 s": {"seconds": 10.0, "windows": "windows of 10 s"},
        "resnet1d": {"model": "resnet1d", "changes": EQUAL_BUDGET[p.sizes]},
    }
    return [{**usual, **known[part]} for part in p.parts]
