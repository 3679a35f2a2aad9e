"""A chapter's parameters: what is refused, in which words, before anything runs."""

import json

import pytest

from pecg_utils import chapters, places, words
from pecg_utils.chapters.cnn_ecg_mamba import changes_of_parts
from pecg_utils.chapters.sizes import EQUAL_BUDGET, SIZES
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.data.windows import Settings
from pecg_utils.errors import PecgError
from pecg_utils.protocol import Protocol
from pecg_utils.train import Training

MODELS = "a list, each once, of resnet1d, bilstm, transformer, mamba2"


def refused(given, chapter="benchmark"):
    with pytest.raises(PecgError) as caught:
        chapters.parameters(chapter, given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"epoch": 5}, "benchmark has no parameter 'epoch'. Did you mean 'epochs'?"),
        ({"epochs": "five"}, "epochs must be a whole number from 1 to 2000, not 'five'."),
        ({"epochs": -3}, "epochs must be a whole number from 1 to 2000, not -3."),
        ({"epochs": "-3"}, "epochs must be a whole number from 1 to 2000, not '-3'."),
        ({"epochs": 1.5}, "epochs must be a whole number from 1 to 2000, not 1.5."),
        ({"epochs": 2001}, "epochs must be a whole number from 1 to 2000, not 2001."),
        ({"epochs": [3]}, "epochs must be a whole number from 1 to 2000, not [3]."),
        ({"lr": 0}, "lr must be a number above 0 to 1, not 0."),
        ({"lr": "nan"}, "lr must be a number above 0 to 1, not 'nan'."),
        ({"seconds": 0.5}, "seconds must be a number from 1 to 10, not 0.5."),
        ({"sizes": "big"}, "sizes must be one of tiny, small, paper, not 'big'."),
        ({"precision": 16}, "precision must be one of auto, 32, bf16, not 16."),
        ({"data": 3}, "data must be text, not 3."),
        ({"profile": "demos"}, "There is no profile 'demos'. Did you mean 'demo'?"),
        ({"profile": "x"}, "There is no profile 'x'. There are: smoke, demo, study, paper."),
        (
            {"models": "resnet1d,lstm"},
            f"models must be {MODELS}, not 'resnet1d,lstm'.",
        ),
        (
            {"models": []},
            f"models must be {MODELS}, not [].",
        ),
        (
            {"models": "mamba2,mamba2"},
            f"models must be {MODELS}, not 'mamba2,mamba2'.",
        ),
        ({"dataset": "zz"}, "dataset must be one of zzu, ptbxl, not 'zz'."),
        (
            {"dataset": ["zzu"]},
            "dataset must be one of zzu, ptbxl, not ['zzu'].",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_a_sentence(given, sentence):
    assert refused(given) == sentence


def test_an_unhashable_profile_is_refused_too():
    assert refused({"profile": ["smoke"]}).startswith("There is no profile ['smoke'].")


def test_an_unknown_chapter_is_refused_with_the_nearest():
    assert refused({}, "benchmarc") == "There is no chapter 'benchmarc'. Did you mean 'benchmark'?"


@pytest.mark.parametrize("profile", chapters.PROFILES)
@pytest.mark.parametrize("chapter", chapters.CHAPTERS)
def test_every_profile_is_valid_and_sizes_up_every_model(chapter, profile):
    found = chapters.parameters(chapter, {"profile": profile})
    assert found.profile == profile
    assert set(getattr(found, "models", [chapter])) <= set(SIZES[found.sizes])
    assert set(Training(**found.training).__dict__) >= set(found.training)
    if chapter != "agcacl":  # which cuts in its own ways
        assert Settings(("I",), **found.cutting).seconds == found.seconds
    assert found.twin_size >= (60 if chapter != "agcacl" else 8)


def test_a_profile_fills_in_what_is_not_given_and_none_is_not_given():
    smoke = chapters.parameters("benchmark", {"profile": "smoke", "epochs": None, "seed": "7"})
    assert (smoke.patients, smoke.epochs, smoke.seed) == (60, 1, 7)
    assert chapters.parameters("benchmark", {}).profile == "demo"


def test_the_paper_profile_is_the_papers_training():
    paper = chapters.parameters("benchmark", {"profile": "paper"})  # arXiv 2510.03780
    assert (paper.epochs, paper.batch, paper.lr, paper.seconds) == (200, 64, 7e-4, 3.0)
    assert paper.sizes == "paper"
    assert {SIZES["paper"][model] == {} for model in paper.models} == {True}


def test_windows_are_as_long_as_the_dataset_asks_unless_a_length_is_given():
    assert chapters.parameters("benchmark", {"dataset": "ptbxl"}).seconds == 2.5
    assert chapters.parameters("benchmark", {"dataset": "ptbxl", "seconds": 4}).seconds == 4


def test_a_list_is_read_from_a_command_line():
    found = chapters.parameters("benchmark", {"models": "mamba2, resnet1d"})
    assert found.models == ["mamba2", "resnet1d"]


@pytest.mark.parametrize("chapter", chapters.CHAPTERS)
def test_the_notebooks_parameters_are_the_models_fields_and_say_nothing_but_the_profile(chapter):
    cells = json.loads(places.notebook(chapter).read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", ())]
    assert len(tagged) == 1
    namespace = {}
    exec("".join(tagged[0]["source"]), {}, namespace)
    assert set(namespace) == set(chapters.CHAPTERS[chapter][0].model_fields)
    assert namespace.pop("profile") == "demo"
    assert set(namespace.values()) == {None}


@pytest.mark.parametrize("chapter", chapters.CHAPTERS)
def test_every_parameter_can_be_told_in_words(chapter):
    model, _ = chapters.CHAPTERS[chapter]
    for name, field in model.model_fields.items():
        assert chapters.wanted(chapter, name)
        assert field.description


def test_the_paper_profile_of_the_mamba_is_its_familys_training():
    paper = chapters.parameters("cnn_ecg_mamba", {"profile": "paper"})  # papers' notes, 3.2
    assert (paper.epochs, paper.batch, paper.recordings) == (60, 30, 88_253)
    assert paper.seconds * paper.fs == 8192
    assert SIZES["paper"]["cnn_ecg_mamba"] == {}


def test_the_year_reaches_the_reader_and_hospitals_have_one_alone():
    found = chapters.parameters("cnn_ecg_mamba", {"year": "2020"})
    assert found.reading == {"year": 2020}
    hospitals = {"dataset": "hospitals", "data": "x"}
    assert chapters.parameters("cnn_ecg_mamba", hospitals).reading == {}
    said = refused({**hospitals, "year": 2020}, "cnn_ecg_mamba")
    assert said == "hospitals has the classes of 2021 alone: leave out year."
    said = refused({"year": 2019}, "cnn_ecg_mamba")
    assert said == "year must be a whole number from 2020 to 2021, not 2019."


@pytest.mark.parametrize("sizes", EQUAL_BUDGET)
def test_the_resnet_beside_the_mamba_has_about_as_many_weights(sizes):
    import torch

    from pecg_utils import models

    counts = []
    with torch.device("meta"):
        for name, given in (
            ("cnn_ecg_mamba", SIZES[sizes]["cnn_ecg_mamba"]),
            ("resnet1d", dict(EQUAL_BUDGET[sizes])),
        ):
            model = models.create(name, 12, 26, 2048, **given)
            counts.append(sum(p.numel() for p in model.parameters()))
    assert 0.8 < counts[1] / counts[0] < 1.25


def test_each_part_of_the_last_audit_changes_one_thing():
    p = chapters.parameters("cnn_ecg_mamba", {"profile": "study"})
    found = changes_of_parts(p)
    assert len(found) == len(p.parts) == 6
    usual = {"model": "cnn_ecg_mamba", "seconds": p.seconds}
    assert [set(part) - set(usual) for part in found] == [{"changes"}] * 4 + [
        {"windows"},
        {"changes"},
    ]
    assert [len(part.get("changes", ())) for part in found] == [2, 1, 1, 1, 0, 2]
    others = [k for part in found for k in usual if part[k] != usual[k]]
    assert others == ["seconds", "model"]
    shared = {"leads": TWELVE_LEADS, "cohort": "12-lead", "split": "proxy", "folds": 3}
    names = set()
    for part in found:
        part.pop("seconds")
        names.add(Protocol(**part, **shared).name)
        assert words.changed_parts(p.parts).data.count(";") == 5
    assert len(names) == 6
    paper = chapters.parameters("cnn_ecg_mamba", {"profile": "paper", "parts": "other core"})
    assert changes_of_parts(paper)[0]["changes"] == (("core", "duality"),)
    assert changes_of_parts(p)[p.parts.index("other core")]["changes"] == (("core", "scan"),)
    none = chapters.parameters("cnn_ecg_mamba", {"parts": []})
    assert changes_of_parts(none) == []
