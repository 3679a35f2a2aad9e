"""The parameters of notebooks/mrmnet.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pecg_utils.chapters.common import Chapter, different

FS = 100.0  # Hz, of a window, as in the released code
SECONDS = 10.0  # of a window
# What a part of the model is called in the ablation: the sizes that change.
PARTS: dict[str, tuple[tuple[str, Any], ...]] = {
    "high alone": (("streams", "high"),),
    "low alone": (("streams", "low"),),
    "exchange": (("exchange", True),),
    "no gates": (("gates", "none"),),
    "channel gates": (("gates", "channel"),),
    "spatial gates": (("gates", "spatial"),),
    "features by step": (("flatten", "steps"),),
}


class MrmNet(Chapter):
    """The parameters of notebooks/mrmnet.ipynb."""

    dataset: Annotated[
        Literal["ptbxl", "cpsc2018"], Field(description="whose reader opens the data")
    ]
    task: Annotated[
        Literal["all", "diagnostic", "sub", "super", "form", "rhythm"],
        Field(description="of PTB-XL: which statements are the labels"),
    ]
    patients: Annotated[int, Field(ge=60, le=20_000, description="in the twin of PTB-XL")]
    recordings: Annotated[int, Field(ge=60, le=7_000, description="in the twin of CPSC2018")]
    models: Annotated[
        list[Literal["xresnet1d101", "resnet1d_wang", "fcn_wang", "inceptiontime", "lstm_bidir"]],
        AfterValidator(different),
        Field(min_length=1, description="that MRM-Net is compared with"),
    ]
    crop: Annotated[float, Field(ge=0.5, le=10, description="of the pieces these are taught, s")]
    terms: Annotated[
        list[Literal["BCE", "+ logits", "T = 1", "Bernoulli"]],
        AfterValidator(different),
        Field(description="of the loss, in the ablation; the whole is always there"),
    ]
    parts: Annotated[
        list[
            Literal[
                "high alone",
                "low alone",
                "exchange",
                "no gates",
                "channel gates",
                "spatial gates",
                "features by step",
            ]
        ],
        AfterValidator(different),
        Field(description="of the model, that the ablation changes, one at a time"),
    ]
    repeats: Annotated[int, Field(ge=1, le=20, description="seeds of training")]
    turns: Annotated[int, Field(ge=1, le=10, description="published folds that are tested in turn")]
    folds: Annotated[int, Field(ge=2, le=10, description="of the cross-validations on CPSC2018")]

    @property
    def least_patients(self) -> int:
        """The ten folds of PTB-XL need some patients each."""
        return 100

    @property
    def reading(self) -> dict[str, Any]:
        """Of PTB-XL, which labels, and the signal at 100 Hz."""
        return {"task": self.task, "fs": FS} if self.dataset == "ptbxl" else {}

    @property
    def twin_size(self) -> int:
        """How large the twin is: patients of PTB-XL, recordings of CPSC2018."""
        return self.patients if self.dataset == "ptbxl" else self.recordings

    @property
    def cutting(self) -> dict[str, Any]:
        """windows.Settings' arguments: one window a recording, its first ten seconds."""
        return {"fs": FS, "seconds": SECONDS, "whole": True}

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments.

        Adam at a constant rate *code*. The epoch of the best average precision on the validation
        side *ours*; the released code takes the test side, and what that does is an audit.
        """
        given = {"loss": "plain", "weight_decay": 0.0, "keep": "average_precision"}
        return {**super().training, **given}


_COMMON: dict[str, Any] = {
    "dataset": "ptbxl",
    "data": "",
    "seed": 0,
    "task": "super",
    "models": ["xresnet1d101", "resnet1d_wang", "fcn_wang", "inceptiontime", "lstm_bidir"],
    "crop": 2.5,
    "batch": 32,
    "lr": 1e-3,
    "repeats": 3,
    "turns": 1,
    "folds": 2,
    "resamples": 1000,
    "precision": "auto",
}
PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        **_COMMON,
        "patients": 100,
        "recordings": 60,
        "epochs": 1,
        "sizes": "tiny",
        "models": ["fcn_wang", "lstm_bidir"],
        "terms": ["BCE"],
        "parts": ["exchange"],
        "repeats": 2,
        "resamples": 100,
    },
    "demo": {
        **_COMMON,
        "patients": 130,
        "recordings": 100,
        "epochs": 8,
        "lr": 2e-3,
        "batch": 16,
        "sizes": "tiny",
        "terms": ["BCE"],
        "parts": ["exchange"],
    },
    "study": {
        **_COMMON,
        "patients": 500,
        "recordings": 300,
        "epochs": 10,
        "batch": 16,
        "sizes": "small",
        "turns": 2,
        "terms": ["BCE", "+ logits"],
        "parts": ["high alone", "low alone", "exchange"],
    },
    "paper": {
        **_COMMON,
        "patients": 18_869,
        "recordings": 6_877,
        "epochs": 40,
        "batch": 96,
        "sizes": "paper",
        "turns": 10,
        "folds": 5,
        "terms": ["BCE", "+ logits", "T = 1", "Bernoulli"],
        "parts": list(PARTS),
    },
}
