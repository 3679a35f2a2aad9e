"""The parameters of notebooks/peace.ipynb, and their values in each profile."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pecg_utils.chapters.common import Chapter, different

FS = 100.0  # Hz, of a window, *ours*; the paper keeps 500
SECONDS = 10.0  # of a window


class Peace(Chapter):
    """The parameters of notebooks/peace.ipynb."""

    dataset: Annotated[Literal["zzu"], Field(description="whose reader opens the children's data")]
    adults: Annotated[str, Field(description="PTB-XL's folder; empty for its twin")]
    hospitals: Annotated[str, Field(description="the Challenge's folder; empty for its twin")]
    patients: Annotated[int, Field(ge=60, le=20_000, description="in the twin of PTB-XL")]
    children: Annotated[int, Field(ge=60, le=12_000, description="in the twin of ZZU-pECG")]
    recordings: Annotated[int, Field(ge=100, le=90_000, description="in the Challenge's twin")]
    least: Annotated[int, Field(ge=1, le=100, description="adults with a label, to take part")]
    methods: Annotated[
        list[Literal["from scratch", "linear probe", "DANN", "MMD", "CLIP"]],
        AfterValidator(different),
        Field(description="that PEACE and fine-tuning are compared with"),
    ]
    shots: Annotated[
        list[Literal["10", "50", "100"]],
        AfterValidator(different),
        Field(min_length=1, description="positives a label of the support sets"),
    ]
    steps: Annotated[int, Field(ge=3, le=100_000, description="of a training, at the least")]
    terms: Annotated[
        list[Literal["no text", "w/o LSBC", "w/o CAF", "single text"]],
        AfterValidator(different),
        Field(description="what the ablation leaves out, one at a time"),
    ]
    repeats: Annotated[
        int, Field(ge=1, le=20, description="seeds of training, each with support sets of its own")
    ]
    sites: Annotated[int, Field(ge=1, le=8, description="hospitals that are left out in turn")]

    @property
    def twin_size(self) -> int:
        """How many children the twin has."""
        return self.children

    @property
    def reading(self) -> dict[str, Any]:
        """Findings of the tracing are the labels."""
        return {"labels": "findings"}

    @property
    def folders(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The adults' folders."""
        return {"adults": ("ptbxl", ADULTS), "hospitals": ("challenge", {"labels": "codes"})}

    @property
    def twin_helps(self) -> bool:
        """Few real children are read by what adults taught; all else is shown on twins."""
        return True

    @property
    def cutting(self) -> dict[str, Any]:
        """windows.Settings' arguments: one window a recording, its first ten seconds."""
        return {"fs": FS, "seconds": SECONDS, "whole": True}

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments; of adults, the epoch of the best average precision *ours*."""
        given = {"loss": "plain", "weight_decay": 1e-4, "schedule": "cosine"}
        return {**super().training, **given, "keep": "average_precision"}


ADULTS: dict[str, Any] = {"task": "all", "fs": FS}  # how PTB-XL is read
_COMMON: dict[str, Any] = {
    "dataset": "zzu",
    "data": "",
    "adults": "",
    "hospitals": "",
    "seed": 0,
    "least": 5,
    "methods": ["from scratch", "linear probe", "DANN", "MMD", "CLIP"],
    "terms": ["no text", "w/o LSBC", "w/o CAF", "single text"],
    "batch": 32,
    "lr": 2e-3,
    "repeats": 3,
    "sites": 3,
    "resamples": 1000,
    "precision": "auto",
}
PROFILES: dict[str, dict[str, Any]] = {
    "smoke": {
        **_COMMON,
        "patients": 120,
        "children": 90,
        "recordings": 150,
        "epochs": 1,
        "steps": 3,
        "sizes": "tiny",
        "methods": ["DANN", "CLIP"],
        "terms": ["no text"],
        "shots": ["10"],
        "repeats": 1,
        "sites": 1,
        "resamples": 100,
    },
    "demo": {
        **_COMMON,
        "patients": 220,
        "children": 180,
        "recordings": 200,
        "epochs": 6,
        "steps": 40,
        "sizes": "tiny",
        "terms": ["no text"],
        "shots": ["10"],
        "repeats": 2,
        "sites": 2,
        "batch": 16,
    },
    "study": {
        **_COMMON,
        "patients": 1500,
        "children": 800,
        "recordings": 400,
        "epochs": 12,
        "steps": 200,
        "sizes": "small",
        "shots": ["10", "50", "100"],
        "sites": 5,
        "batch": 32,
    },
    "paper": {
        **_COMMON,
        "patients": 18_869,
        "children": 2_597,
        "recordings": 43_101,
        "epochs": 20,
        "steps": 1_000,
        "sizes": "paper",
        "shots": ["10", "50", "100"],
        "sites": 6,
        "lr": 1e-4,
        "batch": 128,
    },
}
