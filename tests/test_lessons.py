"""Lessons: which objective a model of windows is taught by, and for what length it is made."""

import dataclasses

import numpy as np
import pytest
import torch
from test_trial import PATIENT, made_up

from pecg_utils import mutual
from pecg_utils.chapters.sizes import SIZES
from pecg_utils.data.inputs import scale
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.lessons import lesson
from pecg_utils.models import NAMES
from pecg_utils.objectives import Heads
from pecg_utils.protocol import Protocol

pytestmark = pytest.mark.usefixtures("seeded_on_one_thread")

ROWS = {"train": np.arange(100), "validation": np.arange(100, 130), "test": np.arange(130, 160)}
MRMNET = dataclasses.replace(PATIENT, model="mrmnet")


def taught(protocol: Protocol, **sizes: object):
    windows = made_up()
    sizes = {**SIZES["tiny"][protocol.model], **sizes}
    return lesson(windows, windows.labels, ROWS, protocol, sizes, 3)


@pytest.mark.parametrize("name", ["", *mutual.ABLATION])
def test_mrmnet_is_taught_by_its_heads_with_the_protocols_terms(name: str) -> None:
    objective = taught(dataclasses.replace(MRMNET, loss=name)).objective
    assert isinstance(objective, Heads)
    assert objective.terms == (mutual.ABLATION[name] if name else mutual.Terms())


def test_all_terms_is_the_papers_loss_and_no_two_ablations_are_alike() -> None:
    assert mutual.Terms() == mutual.ABLATION["+ features"]
    assert len(set(mutual.ABLATION.values())) == len(mutual.ABLATION)


def test_one_stream_alone_has_heads_too() -> None:
    found = taught(MRMNET, streams="low")
    assert isinstance(found.objective, Heads)
    answer = found.model(torch.zeros(2, 12, 100))
    assert Heads.each(answer).shape == (2, 1, 2)
    assert found.objective(answer, torch.zeros(2, 2), 0.0).isfinite()


@pytest.mark.parametrize("model", [name for name in NAMES if name not in ("mrmnet", "agcacl")])
def test_any_other_model_of_windows_has_the_trainings_own_objective(model: str) -> None:
    found = taught(dataclasses.replace(PATIENT, model=model))
    assert found.objective is None


@pytest.mark.parametrize(("crop", "steps"), [(0.0, 26), (0.5, 14), (0.7, 19), (3.0, 26)])
def test_the_model_is_made_for_a_piece_and_the_windows_stay_whole(crop: float, steps: int) -> None:
    """Of mrmnet the features say how long the window was that the model saw."""
    protocol = dataclasses.replace(MRMNET, crop=crop)
    windows = made_up()
    found = lesson(windows, windows.labels, ROWS, protocol, SIZES["tiny"]["mrmnet"], 3)
    answer = found.model(torch.zeros(2, 12, protocol.piece(windows)))
    assert answer.features.shape == (2, 2, 32 * steps)  # 32 channels of the low stream
    assert found.inputs["train"].batch(np.arange(4)).shape == (4, 12, 100)


def test_what_is_too_short_for_a_model_is_the_piece() -> None:
    taught(dataclasses.replace(PATIENT, crop=0.64))
    with pytest.raises(PecgError, match="was given 63 samples; it takes at least 64"):
        taught(dataclasses.replace(PATIENT, crop=0.63))


@pytest.mark.parametrize("normalise", ["train", "together", "own"])
def test_each_side_is_measured_as_the_protocol_says(normalise: str) -> None:
    windows = made_up()
    found = taught(dataclasses.replace(PATIENT, normalise=normalise))
    together = normalise == "together"
    of_train = scale(windows, ROWS["train"], TWELVE_LEADS, together)
    assert (len(set(of_train.std)) == 1) is together
    for side, rows in ROWS.items():
        own = scale(windows, rows, TWELVE_LEADS)
        expected = own if normalise == "own" else of_train
        np.testing.assert_array_equal(found.inputs[side].scale.mean, expected.mean)
        np.testing.assert_array_equal(found.inputs[side].scale.std, expected.std)
        np.testing.assert_array_equal(found.inputs[side].labels, windows.labels[rows])
    assert found.kept == {"mean": of_train.mean.tolist(), "std": of_train.std.tolist()}
