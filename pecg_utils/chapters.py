"""Each chapter's parameters: names, types, bounds, and their values in each profile.

A parameter that is not given takes its profile's value. A name that is unknown, a value of a wrong
type or out of range is refused with a sentence before anything runs. Whatever a parameter does not
name is the same in every profile.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pecg_utils.errors import PecgError

PROFILES = ("smoke", "demo", "study", "paper")


def _different(items: list[str]) -> list[str]:
    if len(set(items)) < len(items):
        raise ValueError("an item is given twice")
    return items


class Benchmark(BaseModel):
    """The parameters of notebooks/benchmark.ipynb."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: Annotated[
        Literal["smoke", "demo", "study", "paper"],
        Field(description="how much is done: seconds, minutes, an hour, the paper's own sizes"),
    ]
    dataset: Annotated[Literal["zzu", "ptbxl"], Field(description="whose reader opens the data")]
    data: Annotated[str, Field(description="the dataset's folder; empty for the twin")]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="of splits and training")]
    patients: Annotated[int, Field(ge=20, le=20_000, description="in the twin")]
    epochs: Annotated[int, Field(ge=1, le=2_000, description="passes over the training side")]
    batch: Annotated[int, Field(ge=2, le=4_096, description="windows a training step")]
    lr: Annotated[float, Field(gt=0, le=1, description="learning rate of AdamW")]
    seconds: Annotated[float, Field(ge=1, le=10, description="length of a window, s")]
    sizes: Annotated[Literal["tiny", "small", "paper"], Field(description="of the models")]
    models: Annotated[
        list[Literal["resnet1d", "bilstm", "transformer", "mamba2"]],
        AfterValidator(_different),
        Field(min_length=1, description="that are compared; the first carries the audit"),
    ]
    resamples: Annotated[int, Field(ge=20, le=100_000, description="of patients, an interval")]
    precision: Annotated[
        Literal["auto", "32", "bf16"], Field(description="of training; auto: bf16 where it is fast")
    ]


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
    },
    "small": {
        "resnet1d": {"channels": (16, 32, 64, 128), "blocks": 1},
        "bilstm": {"hidden": 32},
        "transformer": {"d_model": 32, "heads": 4, "feedforward": 64, "attention_dropout": 0.0},
        "mamba2": {"d_model": 32, "d_state": 16, "headdim": 16},
    },
    "paper": {"resnet1d": {}, "bilstm": {}, "transformer": {}, "mamba2": {}},
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
}
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
        raise PecgError(f"{name} must be {wanted(chapter, name)}, not {named[name]!r}.") from error


def datasets(chapter: str) -> list[str]:
    """The datasets that `chapter` can run on, the paper's own first."""
    names: list[str] = CHAPTERS[chapter][0].model_json_schema()["properties"]["dataset"]["enum"]
    return names


def wanted(chapter: str, name: str) -> str:
    """What a parameter takes, in words: 'a whole number from 1 to 2000'."""
    schema = CHAPTERS[chapter][0].model_json_schema()["properties"][name]
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
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
