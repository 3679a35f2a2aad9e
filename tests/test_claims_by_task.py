"""Claims by task: a paper whose protocol is sound, and a run of one of its tasks."""

import dataclasses

import pytest
from test_claims import WANTED, record, row, trial

from pecg_utils import claims
from pecg_utils.chapters.mrmnet import MrmNet
from pecg_utils.claims import Paper, join, load
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol

TASKS = ("all", "diagnostic", "sub", "super", "form", "rhythm")
# Strodthoff et al. 2021, macro AUROC on fold 10, typed a second time.
REPORTED = {
    "inceptiontime": (0.925, 0.931, 0.930, 0.921, 0.899, 0.953),
    "xresnet1d101": (0.925, 0.937, 0.929, 0.928, 0.896, 0.957),
    "resnet1d_wang": (0.919, 0.936, 0.928, 0.930, 0.880, 0.946),
    "fcn_wang": (0.918, 0.926, 0.927, 0.925, 0.869, 0.931),
    "lstm_bidir": (0.914, 0.932, 0.923, 0.921, 0.876, 0.949),
}
HERE = Protocol("fcn_wang", TWELVE_LEADS, "12-lead", "fold", "together", crop=2.5)


def test_every_number_of_the_benchmark_is_there_once():
    listed = load("mrmnet").claims
    found = {(c.model, c.task): c.value for c in listed}
    assert found == {
        (model, task): value
        for model, values in REPORTED.items()
        for task, value in zip(TASKS, values, strict=True)
    }
    assert len(listed) == len({c.id for c in listed}) == 30
    assert {(c.metric, c.leads, c.unit, c.gain) for c in listed} == {("auroc", 12, "", False)}
    assert set(MrmNet.model_fields["task"].annotation.__args__) == set(TASKS)


def test_every_number_says_in_which_row_of_which_table_it_was_read():
    """The benchmark's README calls InceptionTime otherwise, and the others as they are here."""
    listed = load("mrmnet").claims
    table = "the table of helme/ecg_ptbxl_benchmarking's README, row "
    for claim in listed:
        theirs = "inception1d" if claim.model == "inceptiontime" else claim.model
        assert claim.read == table + theirs
        assert claim.id == f"{claim.model}-{claim.task}-auroc"
    assert "Strodthoff et al. 2021" in load("mrmnet").paper


def of_ptbxl(protocol, auroc, kind="full"):
    scores = {
        "metric": ["auroc", "f1", "auroc"],
        "label": ["macro", "macro", "NORM"],
        "value": [auroc, 0.1, 0.2],
        "low": [auroc - 0.01, 0.0, 0.1],
        "high": [auroc + 0.01, 0.2, 0.3],
    }
    return {"protocol": dataclasses.asdict(protocol), "data": kind, "scores": scores}


def run(trials, task="super", dataset="ptbxl", kind="full", sizes="paper"):
    return {**record(trials, dataset, kind), "parameters": {"task": task, "sizes": sizes}}


@pytest.mark.parametrize("task", TASKS)
def test_a_claim_is_joined_to_a_run_of_its_own_task_alone(task):
    table = join("mrmnet", run([of_ptbxl(HERE, 0.92)], task))
    assert table["task"].tolist() == [c.task for c in load("mrmnet").claims]
    found = row(table, f"fcn_wang-{task}-auroc")
    assert found[["value", "low", "high"]].tolist() == pytest.approx([0.92, 0.91, 0.93])
    assert found["claimed"] == REPORTED["fcn_wang"][TASKS.index(task)]
    others = table[table["task"] != task]
    assert len(others) == 25
    assert others[["value", "low", "high"]].isna().all(axis=None)
    assert set(others["verdict"]) == {"not comparable"}
    assert set(others["why"]) == {"another task"}
    rest = table[(table["task"] == task) & (table["model"] != "fcn_wang")]
    assert set(rest["why"]) == {"not measured in this run"}


def test_verdicts_on_a_task():
    found = row(join("mrmnet", run([of_ptbxl(HERE, 0.93)])), "fcn_wang-super-auroc")
    assert (found["verdict"], found["why"]) == ("reproduced", "the claim lies in the interval")
    found = row(join("mrmnet", run([of_ptbxl(HERE, 0.91)])), "fcn_wang-super-auroc")
    assert (found["verdict"], found["why"]) == ("near", "1.5 points away")
    found = row(join("mrmnet", run([of_ptbxl(HERE, 0.90)])), "fcn_wang-super-auroc")
    assert found["verdict"] == "not reproduced"
    for how, why in (
        ({"kind": "twin"}, "measured on simulated recordings"),
        ({"sizes": "small"}, "a smaller model than the paper's"),
    ):
        kind = how.get("kind", "full")
        found = row(
            join("mrmnet", run([of_ptbxl(HERE, 0.93, kind)], **how)), "fcn_wang-super-auroc"
        )
        assert (found["verdict"], found["why"]) == ("not comparable", why)
        assert found["value"] == 0.93


def test_another_dataset_is_said_before_another_task():
    table = join("mrmnet", run([of_ptbxl(HERE, 0.92)], dataset="cpsc2018"))
    assert set(table["why"]) == {"another dataset"}
    assert table["value"].isna().all()


def test_claims_of_no_task_are_compared_as_before():
    table = join("benchmark", record([trial(WANTED, 0.94, 0.007)]))
    assert table["task"].isna().all()
    assert row(table, "resnet1d-12-f1")["value"] == pytest.approx(94)
    given = {**record([trial(WANTED, 0.94, 0.007)]), "parameters": {"sizes": "paper"}}
    assert row(join("benchmark", given), "resnet1d-12-f1")["value"] == pytest.approx(94)


@pytest.mark.parametrize(
    "changed",
    [
        {"turn": 1},
        {"repeat": 1},
        {"changes": (("width", 16),)},
        {"loss": "BCE"},
        {"windows": "other ones"},
        {"normalise": "train"},
        {"split": "patient"},
        {"labels": "permuted"},
        {"antialias": False},
        {"model": "lstm_bidir"},
    ],
    ids=str,
)
def test_a_trial_of_another_fold_seed_or_protocol_is_not_the_papers(changed):
    other = of_ptbxl(dataclasses.replace(HERE, **changed), 0.5)
    alone = join("mrmnet", run([other]))
    assert alone[alone["model"] == "fcn_wang"]["value"].isna().all()
    both = join("mrmnet", run([other, of_ptbxl(HERE, 0.92)]))
    assert row(both, "fcn_wang-super-auroc")["value"] == 0.92


def test_a_record_from_before_there_were_turns_is_still_read():
    old = of_ptbxl(HERE, 0.92)
    for name in ("turn", "repeat", "crop", "loss"):
        del old["protocol"][name]
    assert row(join("mrmnet", run([old])), "fcn_wang-super-auroc")["value"] == 0.92


def test_where_the_papers_protocol_is_sound_there_is_no_second_one():
    paper = load("mrmnet")
    assert paper.sound == {}
    assert paper.sound_words == ""
    patient = of_ptbxl(dataclasses.replace(HERE, split="patient", normalise="train"), 0.5)
    joined = join("mrmnet", run([of_ptbxl(HERE, 0.92), patient]))
    assert joined[["sound", "sound_low", "sound_high"]].isna().all(axis=None)
    shown = claims.shown("mrmnet", joined)
    assert list(shown.columns) == ["task", "metric", "paper", paper.published, "data", "verdict"]
    first = shown[shown["task"] == "super"].loc["fcn_wang"]
    assert first[paper.published] == "0.920 (0.910 to 0.930)"
    assert first["paper"] == "0.925"
    assert first["metric"] == "macro AUROC"
    two = claims.shown("benchmark", join("benchmark", record([])))  # another's is still there
    assert list(two.columns)[-4:-2] == ["here, split by window", "here, split by patient"]


def test_a_paper_may_leave_its_sound_protocol_out_and_nothing_else():
    whole = load("mrmnet").model_dump()
    assert Paper.model_validate({k: v for k, v in whole.items() if not k.startswith("sound")})
    for name in ("paper", "dataset", "protocol", "published", "claims"):
        with pytest.raises(ValueError, match=name):
            Paper.model_validate({k: v for k, v in whole.items() if k != name})
