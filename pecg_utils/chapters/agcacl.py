"""The parameters of notebooks/agcacl.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pecg_utils.chapters.common import Chapter, different
from pecg_utils.data.recording import TWELVE_LEADS


class Agcacl(Chapter):
    """The parameters of notebooks/agcacl.ipynb."""

    dataset: Annotated[
        Literal["leipzig", "mitdb"], Field(description="whose reader opens the data")
    ]
    minutes: Annotated[int, Field(ge=8, le=1_107, description="of recording in the twin")]
    grouped: Annotated[bool, Field(description="whether rhythms are joined into seven classes")]
    folds: Annotated[int, Field(ge=2, le=10, description="of the cross-validations")]
    most: Annotated[int, Field(ge=0, le=1_000_000, description="windows a model is taught; 0: all")]
    terms: Annotated[
        list[Literal["CE", "balanced CE", "CE + SupCon", "CE + align", "+ phi", "+ psi"]],
        AfterValidator(different),
        Field(min_length=1, description="of the loss, in the ablation; the whole is always there"),
    ]
    stretch: Annotated[float, Field(ge=6, le=600, description="of a block split, s")]
    repeats: Annotated[int, Field(ge=1, le=20, description="seeds of training in the ablation")]

    @property
    def least_patients(self) -> int:
        """Leipzig has 39 patients, its children are 29."""
        return 20

    @property
    def reading(self) -> dict[str, Any]:
        """Of MIT-BIH, that the paced recordings are left out, as ANSI/AAMI EC57 says."""
        return {"paced": False} if self.dataset == "mitdb" else {}

    @property
    def twin_size(self) -> int:
        """How large the twin is: minutes."""
        return self.minutes

    @property
    def leads(self) -> tuple[str, ...]:
        """What the first encoder reads, and of MIT-BIH the second too."""
        return TWELVE_LEADS if self.dataset == "leipzig" else ("MLII", "other")

    @property
    def ways(self) -> tuple[tuple[str, int], ...]:
        """The splits that are compared, with their folds; the last keeps patients apart.

        Each window is tested once by the cross-validations, and so is DS2 by MIT-BIH's division.
        """
        apart = ("patient", self.folds) if self.dataset == "leipzig" else ("division", 1)
        return ("window", self.folds), ("block", self.folds), apart

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments; all *ours*."""
        ours = {"schedule": "cosine", "weight_decay": 1e-4, "keep": "f1", "last": True, "hide": 0.1}
        return {**super().training, **ours}


_COMMON = {
    "dataset": "leipzig",
    "data": "",
    "seed": 0,
    "grouped": True,
    "folds": 3,
    "stretch": 60.0,
    "most": 0,
    "batch": 32,
    "lr": 2e-3,
    "terms": ["CE", "balanced CE", "CE + SupCon", "CE + align", "+ phi", "+ psi"],
    "repeats": 3,
    "resamples": 1000,
    "precision": "32",
}
PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        **_COMMON,
        "minutes": 12,
        "epochs": 1,
        "stretch": 10.0,
        "sizes": "tiny",
        "folds": 2,
        "most": 200,
        "terms": ["CE"],
        "repeats": 1,
        "resamples": 100,
    },
    "demo": {
        **_COMMON,
        "minutes": 60,
        "epochs": 10,
        "stretch": 10.0,
        "sizes": "tiny",
        "folds": 2,
        "most": 400,
        "terms": ["CE"],
        "repeats": 1,
    },
    "study": {**_COMMON, "minutes": 200, "epochs": 15, "sizes": "small"},
    "paper": {
        **_COMMON,
        "minutes": 1_107,
        "epochs": 60,
        "batch": 128,
        "lr": 1e-3,
        "sizes": "paper",
        "folds": 5,
    },
}
