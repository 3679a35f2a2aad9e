"""A chapter's parameters: what is refused, in which words, before anything runs."""

import json

import pytest

from pecg_utils import ablation, chapters, places, words
from pecg_utils.chapters import ecgs_enough
from pecg_utils.chapters.cnn_ecg_mamba import changes_of_parts
from pecg_utils.chapters.sizes import EQUAL_BUDGET, SIZES
from pecg_utils.contrastive import ABLATION, Terms
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
    called = getattr(found, "models", [chapter])
    if chapter == "ecgs_enough":  # some of its models are one of two of the registry
        called = [ecgs_enough.MODELS[name][0] for name in called]
    assert set(called) <= set(SIZES[found.sizes])
    assert set(Training(**found.training).__dict__) >= set(found.training)
    if chapter != "agcacl":  # which cuts in its own ways
        assert Settings(("I",), **found.cutting).seconds == getattr(found, "seconds", 10.0)
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


TERMS = "a list, each once, of CE, balanced CE, CE + SupCon, CE + align, + phi, + psi"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"terms": "CE, + chi"}, f"terms must be {TERMS}, not 'CE, + chi'."),
        ({"terms": ["CE", "CE"]}, f"terms must be {TERMS}, not ['CE', 'CE']."),
        ({"terms": []}, f"terms must be {TERMS}, not []."),
        ({"terms": ["+ separate"]}, f"terms must be {TERMS}, not ['+ separate']."),
        ({"grouped": "maybe"}, "grouped must be true or false, not 'maybe'."),
        ({"grouped": 2}, "grouped must be true or false, not 2."),
        ({"folds": 0}, "folds must be a whole number from 2 to 10, not 0."),
        ({"folds": 1}, "folds must be a whole number from 2 to 10, not 1."),
        ({"stretch": 5}, "stretch must be a number from 6 to 600, not 5."),
        ({"most": -1}, "most must be a whole number from 0 to 1000000, not -1."),
        ({"minutes": 7}, "minutes must be a whole number from 8 to 1107, not 7."),
        ({"dataset": "zzu"}, "dataset must be one of leipzig, mitdb, not 'zzu'."),
        ({"term": "CE"}, "agcacl has no parameter 'term'. Did you mean 'terms'?"),
        ({"leads": 12}, "agcacl has no parameter 'leads'."),
    ],
)
def test_what_is_wrong_in_the_chapter_of_two_signals_is_refused_in_words(given, sentence):
    assert refused(given, "agcacl").startswith(sentence)


def test_the_terms_are_those_that_the_loss_knows_and_never_the_whole():
    terms = list(ABLATION)
    assert chapters.wanted("agcacl", "terms") == f"a list, each once, of {', '.join(terms)}"
    assert chapters.parameters("agcacl", {"terms": terms}).terms == terms
    found = chapters.parameters("agcacl", {"terms": "+ psi,CE + SupCon"})
    assert found.terms == ["+ psi", "CE + SupCon"]
    assert chapters.parameters("agcacl", {"profile": "paper"}).terms == terms
    assert ablation.WHOLE not in terms
    assert Terms() not in ABLATION.values()


@pytest.mark.parametrize("profile", chapters.PROFILES)
def test_the_ways_are_at_random_by_time_and_patients_apart_the_last(profile):
    leipzig = chapters.parameters("agcacl", {"profile": profile})
    beats = chapters.parameters("agcacl", {"profile": profile, "dataset": "mitdb"})
    assert leipzig.folds > 1
    assert beats.model_dump(exclude={"dataset"}) == leipzig.model_dump(exclude={"dataset"})
    crossed = [("window", leipzig.folds), ("block", leipzig.folds)]
    assert leipzig.ways == (*crossed, ("patient", leipzig.folds))
    assert beats.ways == (*crossed, ("division", 1))  # DS2, which is divided once
    given = chapters.parameters("agcacl", {"profile": profile, "dataset": "mitdb", "folds": "4"})
    assert given.ways == (("window", 4), ("block", 4), ("division", 1))


def test_the_stretch_of_a_block_split_is_shorter_where_there_is_little_to_divide():
    found = [chapters.parameters("agcacl", {"profile": name}).stretch for name in chapters.PROFILES]
    assert dict(zip(chapters.PROFILES, found, strict=True)) == {
        "smoke": 10.0,
        "demo": 10.0,
        "study": 60.0,
        "paper": 60.0,
    }
    given = chapters.parameters("agcacl", {"profile": "study", "stretch": "7.5"})
    assert given.stretch == 7.5


def test_the_dataset_says_which_signals_are_read_and_how_patients_are_kept_apart():
    leipzig = chapters.parameters("agcacl", {})
    beats = chapters.parameters("agcacl", {"dataset": "mitdb"})
    assert (leipzig.leads, leipzig.ways[-1][0], leipzig.reading) == (TWELVE_LEADS, "patient", {})
    assert beats.leads == ("MLII", "other")
    assert (beats.ways[-1][0], beats.reading) == ("division", {"paced": False})
    assert (leipzig.twin_size, leipzig.least_patients, beats.least_patients) == (60, 20, 20)
    assert (leipzig.training["keep"], leipzig.training["last"]) == ("f1", True)
    assert (leipzig.training["hide"], leipzig.training["epochs"]) == (0.1, 10)


@pytest.mark.parametrize(("given", "grouped"), [("false", False), ("True", True), (False, False)])
def test_whether_rhythms_are_joined_is_read_from_a_command_line(given, grouped):
    assert chapters.parameters("agcacl", {"grouped": given}).grouped is grouped
