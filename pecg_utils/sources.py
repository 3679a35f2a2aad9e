"""The data of a run: what a chapter is asked about, what its models are trained on, and twins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pecg_utils import chapters, files, places
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import Dataset, people
from pecg_utils.data.windows import data_fingerprint
from pecg_utils.errors import PecgError
from pecg_utils.twins import TWINS, writing


@dataclass(frozen=True)
class Sources:
    """The data of a run. given: what is asked about. training: what models are trained on, which
    is the twin where the given data holds too few patients. fingerprints: of their contents.
    beside: further folders that were given, by parameter, each with its fingerprint. files: given
    files, by parameter, the digest of each."""

    given: Dataset
    training: Dataset
    fingerprints: dict[str, str]
    beside: Mapping[str, tuple[Dataset, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def open_sources(parameters: Any) -> Sources:
    """The data that the parameters name; a twin is written first where it is not there yet.

    Raises PecgError when the folder is no such dataset, and when it holds too few patients for a
    chapter in which the twin cannot help.
    """
    name, how = parameters.dataset, parameters.reading
    more: dict[str, Any] = {"files": _digests(parameters)}
    beside = more["beside"] = {}
    for parameter, (other, read) in parameters.folders.items():
        if folder := getattr(parameters, parameter):
            dataset = open_dataset(other, folder, **read)
            beside[parameter] = dataset, data_fingerprint(dataset)
    if not parameters.data:
        given = open_dataset(name, twin(name, parameters.twin_size), **how)
        return Sources(given, given, {given.kind: data_fingerprint(given)}, **more)
    given = open_dataset(name, parameters.data, **how)
    prints = {given.kind: data_fingerprint(given)}
    # A twin stands for itself, however small it is.
    if given.kind == "twin" or labelled_patients(given) >= parameters.least_patients:
        return Sources(given, given, prints, **more)
    if not parameters.twin_helps:
        raise PecgError(
            f"{_too_few(given, parameters.least_patients)} Give a larger part of it, or no data "
            "for the twin."
        )
    training = open_dataset(name, twin(name, parameters.twin_size), **how)
    return Sources(given, training, {**prints, "twin": data_fingerprint(training)}, **more)


def _digests(parameters: Any) -> dict[str, str]:
    found = {}
    for name in parameters.files:
        if path := getattr(parameters, name):
            try:
                found[name] = files.file_digest(Path(path)).hex()
            except OSError as error:
                raise PecgError(f"{path}, given as {name}, cannot be read: {error}.") from error
    return found


def labelled_patients(dataset: Dataset) -> int:
    """How many patients carry a label, or proxies where patients are not named."""
    return int(people(dataset.table)[dataset.labels.any(axis=1)].nunique())


def _too_few(dataset: Dataset, needed: int) -> str:
    return (
        f"The {labelled_patients(dataset)} patients with a label in {dataset.root} are too few to "
        f"train on: {needed} are needed."
    )


def use(chapter: str, dataset: Dataset) -> str:
    """What `chapter` can do with `dataset`, in a sentence."""
    usual = chapters.parameters(chapter, {})
    if dataset.name not in chapters.datasets(chapter):
        for parameter, (other, _) in usual.folders.items():
            if other == dataset.name:
                return f"takes it as the parameter {parameter}, beside its own data."
        return f"does not use {dataset.name}."
    if dataset.kind == "twin":
        return "trains and tests on it; a result from a twin is no reproduction."
    if labelled_patients(dataset) < usual.least_patients:
        few = _too_few(dataset, usual.least_patients)
        if not usual.twin_helps:
            return f"cannot use it. {few}"
        return f"trains models on the twin and tests them on these recordings. {few}"
    if dataset.kind == "full" and dataset.name == chapters.datasets(chapter)[0]:
        return "trains and tests on it; at the profile paper it gives verdicts on the claims."
    return "trains and tests on it, without a verdict on the paper's claims."


def twin(dataset: str, size: int) -> Path:
    """The folder of the twin of `dataset` of this size, written where it is not there yet.

    Raises PecgError where the dataset has no twin.
    """
    if dataset not in TWINS:
        raise PecgError(f"{dataset} has no twin; give the folder of its recordings as data.")
    name = f"{dataset}-{size}-{writing.sources()}"
    folder: Path = TWINS[dataset].write(places.twins() / name, size)
    return folder
