"""Each chapter's parameters: names, types, bounds, and their values in each profile.

A chapter has a file here, with its class of parameters and PROFILES. A parameter that is not given
takes its profile's value. A name that is unknown, a value of a wrong type or out of range is
refused with a sentence before anything runs. Whatever a parameter does not name is the same in
every profile.
"""

import difflib
from collections.abc import Mapping
from typing import Any, get_origin

from pydantic import ValidationError

from pecg_utils.chapters import agcacl, benchmark, cnn_ecg_mamba, ecgs_enough, mrmnet, peace
from pecg_utils.chapters.common import Chapter
from pecg_utils.errors import PecgError

PROFILES = ("smoke", "demo", "study", "paper")
CHAPTERS: dict[str, tuple[type[Chapter], dict[str, dict[str, Any]]]] = {
    "benchmark": (benchmark.Benchmark, benchmark.PROFILES),
    "cnn_ecg_mamba": (cnn_ecg_mamba.CnnEcgMamba, cnn_ecg_mamba.PROFILES),
    "agcacl": (agcacl.Agcacl, agcacl.PROFILES),
    "mrmnet": (mrmnet.MrmNet, mrmnet.PROFILES),
    "peace": (peace.Peace, peace.PROFILES),
    "ecgs_enough": (ecgs_enough.EcgsEnough, ecgs_enough.PROFILES),
}


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
    values = {"profile": profile, **profiles[profile]}
    values |= {**model.usual(str(named.get("dataset", values["dataset"]))), **named}
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
        if str(reason := first.get("ctx", {}).get("error", "")).endswith("."):  # a whole sentence
            raise PecgError(str(reason)) from error
        name = str(first["loc"][0])
        raise PecgError(f"{name} must be {wanted(chapter, name)}, not {named[name]!r}.") from error


def datasets(chapter: str) -> list[str]:
    """The datasets that `chapter` can run on, the paper's own first."""
    schema = CHAPTERS[chapter][0].model_json_schema()["properties"]["dataset"]
    names: list[str] = schema.get("enum") or [schema["const"]]
    return names


def wanted(chapter: str, name: str) -> str:
    """What a parameter takes, in words: 'a whole number from 1 to 2000'."""
    schema = CHAPTERS[chapter][0].model_json_schema()["properties"][name]
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if schema["type"] == "array":
        return "a list, each once, of " + ", ".join(schema["items"]["enum"])
    if schema["type"] == "string":
        return "text"
    if schema["type"] == "boolean":
        return "true or false"
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    above = "above" if "exclusiveMinimum" in schema else "from"
    return f"{kind} {above} {low} to {schema['maximum']}"


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(known)}."
