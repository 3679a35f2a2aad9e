"""What the paper reports: every number, its source, its verdict, and the trial it is joined to."""

import dataclasses
import math

import pandas as pd
import pytest

from pecg_utils import claims
from pecg_utils.claims import Claim, join, load, verdict
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.protocol import Protocol

# arXiv 2510.03780, typed a second time: (Hamming loss, macro F1 in %) on 9 and on 12 leads.
REPORTED = {
    "resnet1d": {9: (0.0076, 89.15), 12: (0.0069, 94.67)},
    "bilstm": {9: (0.0148, 79.75), 12: (0.0092, 90.96)},
    "mamba2": {9: (0.0124, 85.63), 12: (0.0188, 84.30)},
    "transformer": {9: (0.0178, 81.82), 12: (0.0116, 90.08)},
}


def test_every_number_of_the_paper_is_there_once():
    found = {(c.model, c.leads, c.metric): (c.value, c.unit) for c in load("benchmark").claims}
    expected = {}
    for model, by_leads in REPORTED.items():
        for leads, (loss, f1) in by_leads.items():
            expected[model, leads, "hamming_loss"] = (loss, "")
            expected[model, leads, "f1"] = (f1, "%")
    assert found == expected
    assert len(load("benchmark").claims) == 16


def test_every_claim_has_a_name_of_its_own_and_says_where_it_was_read():
    listed = load("benchmark").claims
    assert len({claim.id for claim in listed}) == 16
    for claim in listed:
        assert claim.id.startswith(f"{claim.model}-{claim.leads}-")
        assert len(claim.read) > 20


def test_the_papers_protocol_splits_windows_and_normalises_each_side():
    assert load("benchmark").protocol == {"split": "window", "normalise": "own"}


PERCENT = Claim(id="x", model="m", leads=12, metric="f1", value=90.0, unit="%", read="there")
LOSS = Claim(id="y", model="m", leads=12, metric="hamming_loss", value=0.01, read="there")


@pytest.mark.parametrize(
    ("claim", "value", "low", "high", "expected"),
    [
        (PERCENT, 88.0, 85.0, 91.0, "reproduced"),
        (PERCENT, 95.0, 90.0, 97.0, "reproduced"),  # the claim on the interval's lower end
        (PERCENT, 80.0, 75.0, 90.0, "reproduced"),  # on its upper end, however far the value
        (PERCENT, 92.0, 91.0, 93.0, "near"),  # two points, the most that is near
        (PERCENT, 88.0, 87.0, 89.0, "near"),
        (PERCENT, 92.01, 91.0, 93.0, "not reproduced"),
        (PERCENT, 87.99, 87.0, 89.0, "not reproduced"),
        (LOSS, 0.011, 0.009, 0.012, "reproduced"),
        (LOSS, 0.0101, 0.01005, 0.012, "not reproduced"),  # no loss is 'near'
        (PERCENT, 90.5, math.nan, math.nan, "near"),
        (LOSS, 0.01, math.nan, math.nan, "not reproduced"),
    ],
)
def test_a_verdict_on_full_data(claim, value, low, high, expected):
    assert verdict(claim, value, low, high, "full")[0] == expected


@pytest.mark.parametrize(("kind", "why"), [("twin", "simulated"), ("subset", "part")])
def test_a_twin_and_a_subset_never_earn_one(kind, why):
    said = verdict(PERCENT, 90.0, 89.0, 91.0, kind)
    assert said[0] == "not comparable"
    assert why in said[1]


def trial(protocol, f1, loss, kind="full", **more):
    scores = {
        "metric": ["f1", "hamming_loss", "f1"],
        "label": ["macro", "macro", "a"],
        "value": [f1, loss, 0.123],
        "low": [f1 - 0.01, loss - 0.001, 0.1],
        "high": [f1 + 0.01, loss + 0.001, 0.2],
    }
    return {"protocol": dataclasses.asdict(protocol), "data": kind, "scores": scores, **more}


def record(trials, dataset="zzu", kind="full"):
    return {"key": "0123", "data": [{"dataset": dataset, "kind": kind}], "trials": trials}


WANTED = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "window", "own")
SOUND = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient")
# Each differs from the paper's protocol or from the sound one in one thing that must not pass.
OTHERS = [
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "window", "train"),
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "record", "own"),
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient", "own"),
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "window", "own", "permuted"),
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient", labels="permuted"),
    Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient", antialias=False),
    Protocol("resnet1d", NINE_LEADS, "12-lead", "patient"),
    Protocol("resnet1d", NINE_LEADS, "9-lead", "window", "own"),
    Protocol("bilstm", TWELVE_LEADS, "12-lead", "window", "own"),
]


def row(table, claim):
    return table.set_index("claim").loc[claim]


def test_a_claim_is_joined_to_its_protocol_and_to_the_sound_one():
    others = [trial(protocol, 0.05, 0.9) for protocol in OTHERS]
    elsewhere = [trial(p, 0.06, 0.8, "subset", trained_on="full") for p in (WANTED, SOUND)]
    given = record([*others, *elsewhere, trial(WANTED, 0.94, 0.0070), trial(SOUND, 0.40, 0.06)])
    table = join("benchmark", given)
    f1, loss = row(table, "resnet1d-12-f1"), row(table, "resnet1d-12-hamming-loss")
    assert f1[["value", "low", "high", "sound"]].tolist() == pytest.approx([94, 93, 95, 40])
    assert loss[["value", "low", "sound", "sound_high"]].tolist() == pytest.approx(
        [0.007, 0.006, 0.06, 0.061]
    )
    assert (f1["verdict"], loss["verdict"], f1["data"]) == ("reproduced", "reproduced", "full")
    assert f1["read"]
    assert len(table) == 16


@pytest.mark.parametrize("kind", ["twin", "subset"])
def test_no_row_of_a_twin_or_a_subset_has_a_verdict(kind):
    table = join("benchmark", record([trial(WANTED, 0.9467, 0.0069, kind)], kind=kind))
    assert set(table["verdict"]) == {"not comparable"}
    assert row(table, "resnet1d-12-f1")["value"] == pytest.approx(94.67)
    assert row(table, "resnet1d-12-f1")["data"] == kind


def test_trained_on_a_twin_beside_full_data_is_still_a_twin():
    table = join("benchmark", record([trial(WANTED, 0.9467, 0.0069, "twin")], kind="subset"))
    assert row(table, "resnet1d-12-f1")["data"] == "twin"
    assert "simulated" in row(table, "resnet1d-12-f1")["why"]


def test_what_was_not_measured_is_empty_and_says_so():
    table = join("benchmark", record([trial(WANTED, 0.94, 0.007)]))
    missing = row(table, "mamba2-9-f1")
    assert pd.isna(missing["value"])
    assert (missing["verdict"], missing["why"]) == ("not comparable", "not measured in this run")
    assert pd.isna(row(table, "resnet1d-12-f1")["sound"])


def test_another_dataset_is_never_compared():
    table = join("benchmark", record([trial(WANTED, 0.94, 0.007)], dataset="ptbxl"))
    assert table[["value", "sound"]].isna().all(axis=None)
    assert set(table["why"]) == {"another dataset"}


def test_an_undefined_score_is_nan_and_not_an_error():
    broken = trial(WANTED, 0.94, 0.007)
    broken["scores"]["low"][0] = broken["scores"]["high"][0] = None
    found = row(join("benchmark", record([broken])), "resnet1d-12-f1")
    assert pd.isna(found["low"])
    assert found["verdict"] == "near"


def test_the_shown_table_has_words_and_intervals():
    given = record([trial(WANTED, 0.94, 0.0070), trial(SOUND, 0.40, 0.06)])
    shown = claims.shown("benchmark", join("benchmark", given))
    first = shown.loc["resnet1d"].set_index(["leads", "metric"])
    f1 = first.loc[(12, "macro F1 (%)")]
    assert f1["here, split by window"] == "94.0 (93.0 to 95.0)"
    assert f1["here, split by patient"] == "40.0 (39.0 to 41.0)"
    assert first.loc[(9, "Hamming loss")]["here, split by window"] == "not run"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.712, 0.68, 0.741), "0.712 (0.680 to 0.741)"),
        ((0.712, math.nan, math.nan), "0.712"),
        ((math.nan, math.nan, math.nan), "undefined"),
    ],
)
def test_an_interval_in_words(numbers, words):
    assert claims.interval(*numbers) == words


# arXiv 2510.13046, typed a second time: release -> average precision, AUROC, Challenge score.
MAMBA = {2021: (0.6410, 0.9695, 0.6996), 2020: (0.5787, 0.9571, None)}
METRICS = ("average_precision", "auroc", "challenge_score")


def test_every_number_of_the_mamba_paper_is_there_once():
    listed = load("cnn_ecg_mamba").claims
    found = {(c.year, c.metric): c.value for c in listed}
    expected = {
        (year, metric): value
        for year, values in MAMBA.items()
        for metric, value in zip(METRICS, values, strict=True)
        if value is not None
    }
    assert found == expected
    assert len(listed) == len({c.id for c in listed}) == 5
    assert {c.model for c in listed} == {"cnn_ecg_mamba"}


POOLED = Protocol("cnn_ecg_mamba", TWELVE_LEADS, "12-lead", "file", folds=3)
APART = Protocol("cnn_ecg_mamba", TWELVE_LEADS, "12-lead", "site", folds=9)


def of_challenge(protocol, value, **more):
    scores = {
        "metric": [*METRICS, "auroc"],
        "label": ["macro"] * 3 + ["AF"],
        "value": [value] * 3 + [0.1],
        "low": [value - 0.01] * 4,
        "high": [value + 0.01] * 4,
    }
    return {"protocol": dataclasses.asdict(protocol), "data": "full", "scores": scores, **more}


def challenge_record(year, trials):
    return {**record(trials, "challenge"), "parameters": {"year": year}}


def test_a_claim_of_a_release_is_joined_to_a_run_of_that_release_alone():
    others = [
        dataclasses.replace(POOLED, changes=(("depth", 0),)),
        dataclasses.replace(POOLED, windows="windows of 10 s"),
        dataclasses.replace(POOLED, split="record"),
        dataclasses.replace(POOLED, model="resnet1d"),
    ]
    trials = [of_challenge(p, 0.1) for p in others]
    trials += [of_challenge(POOLED, 0.97), of_challenge(APART, 0.8)]
    table = join("cnn_ecg_mamba", challenge_record(2021, trials)).set_index(["year", "metric"])
    measured = table.loc[(2021, "auroc")]
    assert measured[["value", "sound", "claimed"]].tolist() == [0.97, 0.8, 0.9695]
    assert measured["verdict"] == "reproduced"
    assert table.loc[2020, "value"].isna().all()
    assert table.loc[2020, "verdict"].unique().tolist() == ["not comparable"]
    other = join("cnn_ecg_mamba", challenge_record(2020, trials)).set_index(["year", "metric"])
    assert other.loc[2021, "value"].isna().all()
    assert other.loc[(2020, "auroc"), "value"] == 0.97


def test_two_points_are_near_for_a_number_from_0_to_1_as_well():
    claim = next(c for c in load("cnn_ecg_mamba").claims if c.metric == "auroc")
    assert verdict(claim, 0.955, 0.95, 0.96, "full") == ("near", "1.5 points away")
    assert verdict(claim, 0.94, 0.93, 0.95, "full")[0] == "not reproduced"


def test_the_table_of_the_mamba_says_the_release_and_both_protocols():
    trials = [of_challenge(POOLED, 0.97), of_challenge(APART, 0.8)]
    shown = claims.shown("cnn_ecg_mamba", join("cnn_ecg_mamba", challenge_record(2021, trials)))
    assert "leads" not in shown
    first = shown[shown["release"] == 2021].set_index("metric").loc["macro AUROC"]
    assert first["here, sources pooled"] == "0.970 (0.960 to 0.980)"
    assert first["here, sites left out"] == "0.800 (0.790 to 0.810)"


# arXiv 2509.19315, typed a second time: version -> the metrics in %, and the gains in points.
AGCACL = {
    "v1": {"top1": 97.76, "precision": 94.08, "recall": 91.97, "f1": 92.97, "f2": 92.36},
    "v2": {"top1": 96.22},
}
GAINS = {
    "v1": {"precision": 13.64, "recall": 15.96, "f1": 19.82, "f2": 19.44},
    "v2": {"precision": 4.48, "recall": 1.17, "f1": 6.98, "f2": 7.34},
}


def test_every_number_of_both_versions_of_agcacl_is_there_once():
    listed = load("agcacl").claims
    found = {(c.version, c.metric, c.gain): c.value for c in listed}
    expected = {
        (version, metric, gain): value
        for gain, versions in ((False, AGCACL), (True, GAINS))
        for version, values in versions.items()
        for metric, value in values.items()
    }
    assert found == expected
    assert len(listed) == len({c.id for c in listed}) == 14
    assert {(c.model, c.leads, c.unit) for c in listed} == {("agcacl", 12, "%")}
    assert {c.version: c.cohort for c in listed} == {"v1": "", "v2": "children"}
    for claim in listed:
        assert f"2509.19315{claim.version}" in claim.read
        assert claim.id == f"agcacl-{claim.version}-{claim.metric}{'-gain' * claim.gain}"


def test_the_versions_stand_side_by_side_and_what_was_not_found_says_so():
    table = claims.versions("agcacl")
    assert list(table.columns) == ["v1", "v2"]
    assert table.loc["top-1 accuracy"].tolist() == ["97.76%", "96.22%"]
    assert table.loc["macro F2"].tolist() == ["92.36%", "not found"]
    gain = table.loc["macro recall, gain over the strongest baseline"]
    assert gain.tolist() == ["+15.96", "+1.17"]
    assert table.index[0] == "top-1 accuracy"
    assert table.shape == (9, 2)
    assert (table == "not found").sum().tolist() == [0, 4]


ALL = Protocol("agcacl", TWELVE_LEADS, "12-lead", "window", "window", folds=3)
ALL_APART = dataclasses.replace(ALL, split="patient")
CHILDREN = dataclasses.replace(ALL, cohort="children")
CHILDREN_APART = dataclasses.replace(CHILDREN, split="patient")
FIVE = ("top1", "precision", "recall", "f1", "f2")
OTHERWISE = {  # of which none is what the paper did
    "changes": (("branches", "ecg"),),
    "windows": "second signal taken away at test",
    "loss": "CE",
    "repeat": 1,
    "labels": "permuted",
    "split": "block",
    "model": "resnet1d",
}


def of_rhythms(protocol, value, kind="full"):
    """A trial of one class a window, all of whose macro metrics are `value`, within 0.01."""
    scores = {"metric": [*FIVE, "top1"], "label": ["macro"] * 5 + ["AVRT"]}
    scores |= {"value": [value] * 5 + [0.1], "low": [value - 0.01] * 6, "high": [value + 0.01] * 6}
    return {"protocol": dataclasses.asdict(protocol), "data": kind, "scores": scores}


def of_agcacl(trials, dataset="leipzig", kind="full", **given):
    return {**record(trials, dataset, kind), "parameters": {"sizes": "paper", **given}}


FOUR = [(ALL, 0.97), (ALL_APART, 0.5), (CHILDREN, 0.94), (CHILDREN_APART, 0.4)]


def test_the_first_version_is_of_all_subjects_and_the_second_of_the_children():
    table = join("agcacl", of_agcacl([of_rhythms(*pair) for pair in FOUR]))
    for version, numbers in (("v1", [97, 96, 98, 50, 49, 51]), ("v2", [94, 93, 95, 40, 39, 41])):
        part = table[(table["version"] == version) & ~table["gain"]]
        assert part["metric"].tolist() == list(AGCACL[version])
        measured = part[["value", "low", "high", "sound", "sound_low", "sound_high"]]
        for found in measured.to_numpy():
            assert found.tolist() == pytest.approx(numbers)
    assert row(table, "agcacl-v1-top1")["verdict"] == "reproduced"
    assert row(table, "agcacl-v2-top1")["verdict"] == "not reproduced"
    alone = join("agcacl", of_agcacl([of_rhythms(*pair) for pair in FOUR[:2]]))
    assert row(alone, "agcacl-v1-top1")["value"] == pytest.approx(97)
    assert alone.loc[alone["version"] == "v2", ["value", "sound"]].isna().all(axis=None)


def test_a_gain_is_never_measured_and_says_why():
    trials = [of_rhythms(*pair) for pair in FOUR]
    table = join("agcacl", of_agcacl(trials))
    gains = table[table["gain"]]
    assert len(gains) == 8
    assert gains[["value", "low", "high", "sound"]].isna().all(axis=None)
    assert set(gains["verdict"]) == {"not comparable"}
    assert set(gains["why"]) == {"the paper's baselines are not known here"}
    assert set(table.loc[~table["gain"], "value"].notna()) == {True}
    other = join("agcacl", of_agcacl(trials, "mitdb"))
    assert set(other["why"]) == {"another dataset"}
    assert other[["value", "sound"]].isna().all(axis=None)


def test_rhythms_that_are_not_joined_are_other_classes_than_the_papers():
    table = join("agcacl", of_agcacl([of_rhythms(*pair) for pair in FOUR], grouped=False))
    assert table[["value", "sound"]].isna().all(axis=None)
    assert set(table["verdict"]) == {"not comparable"}
    joined = join("agcacl", of_agcacl([of_rhythms(*pair) for pair in FOUR], grouped=True))
    assert joined["value"].notna().sum() == 6


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_trial_that_differs_in_one_thing_is_not_the_papers(name):
    changed = {name: OTHERWISE[name]}
    others = [of_rhythms(dataclasses.replace(p, **changed), 0.1) for p, _ in FOUR]
    table = join("agcacl", of_agcacl(others))
    assert table["value"].isna().all()
    assert table["sound"].isna().all()
    both = join("agcacl", of_agcacl([*others, *(of_rhythms(*pair) for pair in FOUR)]))
    assert both["value"].min() == pytest.approx(94)
    assert both["sound"].min() == pytest.approx(40)


def test_a_model_that_was_taught_less_stands_in_only_where_there_is_no_other():
    less = [of_rhythms(dataclasses.replace(p, most=100), 0.2) for p in (ALL, ALL_APART)]
    table = join("agcacl", of_agcacl([*less, of_rhythms(ALL, 0.97)]))
    found = row(table, "agcacl-v1-f1")
    assert found[["value", "sound"]].tolist() == pytest.approx([97, 20])
    assert row(join("agcacl", of_agcacl(less)), "agcacl-v1-f1")["value"] == pytest.approx(20)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"kind": "twin"}, "measured on simulated recordings"),
        ({"kind": "subset"}, "measured on a part of the release"),
        ({"sizes": "small"}, "a smaller model than the paper's"),
    ],
)
def test_only_the_papers_sizes_on_the_whole_release_have_a_verdict(how, why):
    kind = how.get("kind", "full")
    found = join("agcacl", of_agcacl([of_rhythms(ALL, 0.9776, kind)], **how))
    first = row(found, "agcacl-v1-top1")
    assert (first["verdict"], first["why"]) == ("not comparable", why)
    assert first["value"] == pytest.approx(97.76)


def test_the_table_of_agcacl_says_the_version_and_both_protocols():
    joined = join("agcacl", of_agcacl([of_rhythms(*pair) for pair in FOUR]))
    shown = claims.shown("agcacl", joined)
    assert not {"leads", "release"} & set(shown.columns)
    first = shown.set_index(["version", "metric"])
    top = first.loc[("v2", "top-1 accuracy (%)")]
    assert top["paper"] == "96.22"
    assert top["here, windows at random"] == "94.0 (93.0 to 95.0)"
    assert top["here, subjects kept apart"] == "40.0 (39.0 to 41.0)"
    gain = first.loc[("v1", "macro F1 (%), gain over the strongest baseline")]
    assert gain["here, windows at random"] == "not run"
    assert "version" not in claims.shown("benchmark", join("benchmark", record([])))
