"""Each chapter's parameters: names, types, bounds, and their values in each profile.

A parameter that is not given takes its profile's value. A name that is unknown, a value of a wrong
type or out of range is refused with a sentence before anything runs. Whatever a parameter does not
name is the same in every profile.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pecg_utils.errors import PecgError

PROFILES = ("smoke", "demo", "study", "paper")


def _different(items: list[str]) -> list[str]:
    if len(set(items)) < len(items):
        raise ValueError("an item is given twice")
    return items


class _Chapter(BaseModel):
    """The parameters that every chapter has, and what they mean for reading and training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Annotated[
        Literal["smoke", "demo", "study", "paper"],
        Field(description="how much is done: seconds, minutes, an hour, the paper's own sizes"),
    ]
    data: Annotated[str, Field(description="the dataset's folder; empty for the twin")]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="of splits and training")]
    epochs: Annotated[int, Field(ge=1, le=2_000, description="passes over the training side")]
    batch: Annotated[int, Field(ge=2, le=4_096, description="windows a training step")]
    lr: Annotated[float, Field(gt=0, le=1, description="learning rate of AdamW")]
    sizes: Annotated[Literal["tiny", "small", "paper"], Field(description="of the models")]
    resamples: Annotated[int, Field(ge=20, le=100_000, description="of patients, an interval")]
    precision: Annotated[
        Literal["auto", "32", "bf16"], Field(description="of training; auto: bf16 where it is fast")
    ]

    @property
    def reading(self) -> dict[str, Any]:
        """What the dataset's reader is told beside the folder."""
        return {}

    @property
    def twin_helps(self) -> bool:
        """Whether models are trained on the twin where the given data holds too few patients."""
        return False

    @property
    def training(self) -> dict[str, Any]:
        """train.Training's arguments."""
        return {
            "epochs": self.epochs,
            "batch": self.batch,
            "lr": self.lr,
            "seed": self.seed,
            "precision": self.precision,
        }


class Benchmark(_Chapter):
    """The parameters of notebooks/benchmark.ipynb."""

    dataset: Annotated[Literal["zzu", "ptbxl"], Field(description="whose reader opens the data")]
    patients: Annotated[int, Field(ge=20, le=20_000, description="in the twin")]
    seconds: Annotated[float, Field(ge=1, le=10, description="length of a window, s")]
    models: Annotated[
        list[Literal["resnet1d", "bilstm", "transformer", "mamba2"]],
        AfterValidator(_different),
        Field(min_length=1, description="that are compared; the first carries the audit"),
    ]

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


class CnnEcgMamba(_Chapter):
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
        AfterValidator(_different),
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
    },
    "paper": {"resnet1d": {}, "bilstm": {}, "transformer": {}, "mamba2": {}, "cnn_ecg_mamba": {}},
}
# A ResNet-1D with about as many weights as the CNN-ECG-Mamba of the same sizes; a test counts them.
EQUAL_BUDGET: dict[str, tuple[tuple[str, Any], ...]] = {
    "tiny": (("channels", (12, 20, 30, 42)), ("blocks", 1)),
    "small": (("channels", (12, 24, 40, 64)), ("blocks", 1)),
    "paper": (("channels", (128, 256, 512, 800)), ("blocks", 2)),
}
CHAPTERS: dict[str, tuple[type[BaseModel], dict[str, dict[str, Any]]]] = {
    "benchmark": (
        Benchmark,
        {
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
        },
    ),
    "cnn_ecg_mamba": (
        CnnEcgMamba,
        {
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
        },
    ),
}


def parts(p: CnnEcgMamba) -> list[dict[str, Any]]:
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


_SECONDS = {"zzu": 3.0, "ptbxl": 2.5}  # arXiv 2510.03780; the PTB-XL benchmark's crops


def parameters(chapter: str, given: Mapping[str, Any]) -> Any:
    """The parameters of `chapter`: what is `given`, and the profile's values for the rest.

    A value of None counts as not given. Raises PecgError for an unknown chapter, profile or name,
    a wrong type, or a value out of range.
    """
    if chapter not in CHAPTERS:
        raise PecgError(f"There is no chapter {chapter!r}.{_nearest(chapter, CHAPTERS)}")
    model, profiles = CHAPTERS[chapter]
    named = {name: value for name, value in given.items() if value is not None}
    profile = named.get("profile", "demo")
    if profile not in tuple(profiles):  # a tuple: the value may be a list
        raise PecgError(f"There is no profile {profile!r}.{_nearest(str(profile), profiles)}")
    values = {"profile": profile, **profiles[profile], **named}
    values.setdefault("seconds", _SECONDS.get(str(values["dataset"]), 3.0))
    for name in named:
        if name not in model.model_fields:
            raise PecgError(
                f"{chapter} has no parameter {name!r}.{_nearest(name, model.model_fields)}"
            )
    for name, value in values.items():  # on a command line a list is 'resnet1d,mamba2'
        if isinstance(value, str) and get_origin(model.model_fields[name].annotation) is list:
            values[name] = [item.strip() for item in value.split(",")]
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if str(reason := first.get("ctx", {}).get("error", "")).endswith("."):  # a whole sentence
            raise PecgError(str(reason)) from error
        raise PecgError(f"{name} must be {wanted(chapter, name)}, not {named[name]!r}.") from error


def datasets(chapter: str) -> list[str]:
    """The datasets that `chapter` can run on, the paper's own first."""
    names: list[str] = CHAPTERS[chapter][0].model_json_schema()["properties"]["dataset"]["enum"]
    return names


def wanted(chapter: str, name: str) -> str:
    """What a parameter takes, in words: 'a whole number from 1 to 2000'."""
    schema = CHAPTERS[chapter][0].model_json_schema()["properties"][name]
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if schema["type"] == "array":
        return "a list, each once, of " + ", ".join(schema["items"]["enum"])
    if schema["type"] == "string":
        return "text"
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    above = "above" if "exclusiveMinimum" in schema else "from"
    return f"{kind} {above} {low} to {schema['maximum']}"


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(known)}."
