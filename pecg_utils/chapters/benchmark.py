"""The parameters of notebooks/benchmark.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pecg_utils.chapters.common import Chapter, different


class Benchmark(Chapter):
    """The parameters of notebooks/benchmark.ipynb."""

    dataset: Annotated[Literal["zzu", "ptbxl"], Field(description="whose reader opens the data")]
    patients: Annotated[int, Field(ge=20, le=20_000, description="in the twin")]
    seconds: Annotated[float, Field(ge=1, le=10, description="length of a window, s")]
    models: Annotated[
        list[Literal["resnet1d", "bilstm", "transformer", "mamba2"]],
        AfterValidator(different),
        Field(min_length=1, description="that are compared; the first carries the audit"),
    ]

    @classmethod
    def usual(cls, dataset: str) -> dict[str, Any]:
        """The length of a window: arXiv 2510.03780's, and that of the PTB-XL benchmark's crops."""
        return {"seconds": 2.5 if dataset == "ptbxl" else 3.0}

    @property
    def twin_helps(self) -> bool:
        """Whether models are trained on the twin where the given data holds too few patients."""
        return True

    @property
    def twin_size(self) -> int:
        """How large the twin is: patients."""
        return self.patients

    @property
    def cutting(self) -> dict[str, Any]:
        """windows.Settings' arguments."""
        return {"seconds": self.seconds}


_MODELS = ["resnet1d", "bilstm", "transformer", "mamba2"]
_COMMON = {
    "dataset": "zzu",
    "data": "",
    "seed": 0,
    "batch": 64,
    "lr": 7e-4,
    "models": _MODELS,
    "resamples": 1000,
    "precision": "auto",
}
PROFILES = {
    "smoke": {
        **_COMMON,
        "patients": 60,
        "epochs": 1,
        "lr": 2e-3,
        "sizes": "tiny",
        "resamples": 100,
    },
    "demo": {**_COMMON, "patients": 150, "epochs": 10, "lr": 2e-3, "sizes": "tiny"},
    "study": {**_COMMON, "patients": 400, "epochs": 15, "lr": 2e-3, "sizes": "small"},
    "paper": {**_COMMON, "patients": 2597, "epochs": 200, "sizes": "paper"},
}
