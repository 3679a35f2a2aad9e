"""Claims by mode: a model that learned from adults, and how many children it was taught."""

import dataclasses

import pandas as pd
import pytest
from test_claims import WANTED, record, row, trial
from test_claims_by_task import HERE, of_ptbxl, run

from pecg_utils import claims
from pecg_utils.claims import join, load
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol
from pecg_utils.transfers import Transfer

MODES = ("zero-shot", "50-shot", "full", "PTB-XL")
# arXiv 2605.00647, typed a second time: macro AUC in %, by MODES.
REPORTED = {
    ("peace", "v1"): (59.39, 79.03, 90.89, 96.65),
    ("peace", "v2"): (59.39, 81.74, 91.56, 96.90),
    ("dann", "v2"): (49.33, 81.70, 89.67, 96.54),
    ("merl", "v2"): (58.58, 70.65, 80.97, 92.49),
    ("ked", "v2"): (57.77, 50.66),
}
ABLATION = {
    "no text": (46.01, 66.37, 66.86),
    "w/o LSBC": (56.23, 77.74, 89.63),
    "w/o CAF": (47.10, 77.69, 90.45),
    "single text": (49.20, 74.30, 88.70),
}
GAINS = {
    ("zero-shot", "group A"): 10.06,
    ("full", "group A"): 1.62,
    ("full", "group B"): 10.01,
}


def test_every_number_of_peace_is_there_once():
    listed = load("peace").claims
    expected = {
        (model, version, mode, ""): value
        for (model, version), values in REPORTED.items()
        for mode, value in zip(MODES, values, strict=False)
    }
    expected |= {
        ("peace", "v2", mode, variant): value
        for variant, values in ABLATION.items()
        for mode, value in zip(MODES, values, strict=False)
    }
    gains = {(c.mode, c.variant): c.value for c in listed if c.gain}
    found = {(c.model, c.version, c.mode, c.variant): c.value for c in listed if not c.gain}
    assert (found, gains) == (expected, GAINS)
    assert len(listed) == len({c.id for c in listed}) == 4 * 4 + 2 + 4 * 3 + 3
    assert {(c.metric, c.leads, c.unit, c.task, c.year) for c in listed} == {
        ("auroc", 12, "%", None, None)
    }


def test_every_number_says_whether_it_was_read_in_an_abstract_or_a_digest():
    for claim in load("peace").claims:
        assert claim.read.startswith("the abstract" if claim.version == "v1" else "a digest")
        assert f"2605.00647{claim.version}" in claim.read
        assert claim.id.startswith(f"{claim.model}-{claim.version}-{claim.mode.lower()}")
        assert claim.id.endswith("-gain") == claim.gain


CHILDREN = Protocol("peace", TWELVE_LEADS, "shared labels", "domain")


def of_children(value, kind="full", protocol=CHILDREN, **how):
    """A trial whose AUROC is `value`, within 0.01, with `how` in place of what is usual."""
    return of_ptbxl(dataclasses.replace(protocol, transfer=Transfer(**how)), value, kind)


def of_peace(trials, dataset="zzu", kind="full", sizes="paper"):
    return {**record(trials, dataset, kind), "parameters": {"sizes": sizes}}


ALL = [
    of_children(0.60),
    of_children(0.80, shots=50),
    of_children(0.91, shots=None),
    of_children(0.97, tested="adults"),
    of_children(0.50, method="DANN"),
    of_children(0.82, method="DANN", shots=50, terms="no text", tokens="none"),
    of_children(0.40, terms="no text"),
    of_children(0.41, terms="w/o LSBC", shots=50),
    of_children(0.42, terms="w/o CAF", shots=None),
]


def test_each_claim_is_joined_to_the_trial_of_its_mode():
    table = join("peace", of_peace(ALL))
    assert len(table) == 33
    measured = table[table["value"].notna()].set_index("claim")["value"]
    assert measured.to_dict() == pytest.approx(
        {
            **{f"peace-{v}-zero-shot": 60 for v in ("v1", "v2")},
            **{f"peace-{v}-50-shot": 80 for v in ("v1", "v2")},
            **{f"peace-{v}-full": 91 for v in ("v1", "v2")},
            **{f"peace-{v}-ptb-xl": 97 for v in ("v1", "v2")},
            "dann-v2-zero-shot": 50,
            "dann-v2-50-shot": 82,
            "peace-v2-zero-shot-no-text": 40,
            "peace-v2-50-shot-without-lsbc": 41,
            "peace-v2-full-without-caf": 42,
        }
    )
    first = row(table, "peace-v1-zero-shot")
    assert first[["low", "high"]].tolist() == pytest.approx([59, 61])
    assert (first["verdict"], first["mode"], first["version"]) == ("reproduced", "zero-shot", "v1")
    assert row(table, "peace-v1-50-shot")["verdict"] == "reproduced"
    assert row(table, "peace-v2-50-shot")["verdict"] == "near"
    assert table[["sound", "sound_low", "sound_high"]].isna().all(axis=None)


def test_a_part_of_the_adults_earns_no_verdict():
    made = of_peace(ALL)
    for kind, verdict in (
        ("full", "reproduced"),
        ("subset", "not comparable"),
        ("twin", "not comp"),
    ):
        made["beside"] = [
            {"dataset": "challenge", "kind": "twin"},
            {"dataset": "ptbxl", "kind": kind},
        ]
        first = row(join("peace", made), "peace-v1-zero-shot")
        assert first["verdict"].startswith(verdict)
        assert (first["why"] == "the adults are not the whole of PTB-XL") == (kind != "full")


def test_what_nobody_ran_and_the_gains_say_so():
    table = join("peace", of_peace(ALL))
    for model in ("merl", "ked"):
        part = table[table["model"] == model]
        assert set(part["why"]) == {"not measured in this run"}
        assert part["value"].isna().all()
    gains = table[table["gain"]]
    assert set(gains["why"]) == {"the paper's baselines are not known here"}
    assert gains["value"].isna().all()
    other = join("peace", of_peace(ALL, "cpsc2018"))
    assert set(other["why"]) == {"another dataset"}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"kind": "twin"}, "measured on simulated recordings"),
        ({"kind": "subset"}, "measured on a part of the release"),
        ({"sizes": "small"}, "a smaller model than the paper's"),
    ],
)
def test_only_the_papers_sizes_on_the_whole_release_have_a_verdict(how, why):
    found = join("peace", of_peace([of_children(0.5939, how.get("kind", "full"))], **how))
    first = row(found, "peace-v2-zero-shot")
    assert (first["verdict"], first["why"]) == ("not comparable", why)
    assert first["value"] == pytest.approx(59.39)


def test_adults_that_the_model_learned_from_earn_no_verdict():
    table = join("peace", of_peace([of_children(0.9690, tested="adults")]))
    found = row(table, "peace-v2-ptb-xl")
    assert (found["verdict"], found["value"]) == ("not comparable", pytest.approx(96.90))
    assert found["why"] == "here PTB-XL itself is what the model was taught"


@pytest.mark.parametrize("shots", [0, 50, None])
@pytest.mark.parametrize(
    "changed",
    [
        {"method": "CLIP"},
        {"draw": 1},
        {"terms": "two texts"},
        {"texts": "shuffled"},
        {"tokens": "shuffled"},
        {"form": "child"},
    ],
    ids=str,
)
def test_a_trial_that_differs_in_one_thing_is_not_the_papers(shots, changed):
    other = of_children(0.3, shots=shots, **changed)
    assert join("peace", of_peace([other]))["value"].isna().all()
    both = join("peace", of_peace([other, of_children(0.6, shots=shots)]))
    assert both["value"].dropna().tolist() == pytest.approx([60, 60])


@pytest.mark.parametrize(
    "changed",
    [{"repeat": 1}, {"split": "window"}, {"labels": "permuted"}, {"windows": "untrained"}],
    ids=str,
)
def test_nor_is_one_of_another_seed_or_division(changed):
    other = of_children(0.3, protocol=dataclasses.replace(CHILDREN, **changed))
    assert join("peace", of_peace([other]))["value"].isna().all()


def test_who_begins_anew_or_stands_still_is_not_carried_over():
    anew = [of_children(0.3, shots=shots, begin=False) for shots in (50, None)]
    still = [of_children(0.3, shots=shots, frozen=True) for shots in (50, None)]
    ten = of_children(0.3, shots=10)
    assert join("peace", of_peace([*anew, *still, ten]))["value"].isna().all()
    frozen = join("peace", of_peace([of_children(0.6, frozen=True)]))  # nothing is taught at all
    assert row(frozen, "peace-v1-zero-shot")["value"] == pytest.approx(60)
    adults = join("peace", of_peace([of_children(0.9, tested="adults", shots=50)]))
    assert adults["value"].isna().all()


def test_a_trial_of_no_transfer_and_one_of_another_chapter_are_kept_apart():
    none, old = of_ptbxl(CHILDREN, 0.9), of_ptbxl(CHILDREN, 0.9)
    assert none["protocol"]["transfer"] is None
    del old["protocol"]["transfer"]  # of a record from before there were transfers
    assert join("peace", of_peace([none, old]))["value"].isna().all()
    carried = of_ptbxl(dataclasses.replace(HERE, transfer=Transfer()), 0.92)
    assert join("mrmnet", run([carried]))["value"].isna().all()
    given = row(join("mrmnet", run([carried, of_ptbxl(HERE, 0.91)])), "fcn_wang-super-auroc")
    assert given["value"] == 0.91


def test_the_table_of_peace_says_mode_and_version_and_what_was_left_out():
    shown = claims.shown("peace", join("peace", of_peace(ALL)))
    own = ["mode", "version", "metric", "paper", "here, adults of PTB-XL", "data", "verdict"]
    assert list(shown.columns) == own
    first = shown.loc["peace"].set_index(["mode", "version"])
    assert first.loc[("50-shot", "v1")].tolist() == [
        *("macro AUROC (%)", "79.03", "80.0 (79.0 to 81.0)", "full", "reproduced")
    ]
    left_out = shown.loc["peace, w/o LSBC", "here, adults of PTB-XL"]
    assert left_out.tolist() == ["not run", "41.0 (40.0 to 42.0)", "not run"]
    gain = shown.loc["peace, group B"]
    assert gain["metric"] == "macro AUROC (%), gain over the strongest baseline"
    others = claims.shown("benchmark", join("benchmark", record([trial(WANTED, 0.94, 0.007)])))
    assert not {"mode", "version"} & set(others.columns)
    assert set(others.index) == {"resnet1d", "bilstm", "mamba2", "transformer"}


def test_the_versions_of_peace_stand_side_by_side():
    table = claims.versions("peace")
    assert list(table.columns) == ["v1", "v2"]
    assert table.index[0] == "peace, zero-shot: macro AUROC"
    assert table.loc["peace, 50-shot: macro AUROC"].tolist() == ["79.03%", "81.74%"]
    assert table.loc["dann, full: macro AUROC"].tolist() == ["not found", "89.67%"]
    assert table.loc["peace, no text, full: macro AUROC"].tolist() == ["not found", "66.86%"]
    gain = "peace, group A, full: macro AUROC, gain over the strongest baseline"
    assert table.loc[gain].tolist() == ["not found", "+1.62"]
    assert len(table) == 29
    assert table.index.is_unique
    joined = join("peace", of_peace(ALL))
    assert isinstance(joined, pd.DataFrame)
    assert joined["variant"].notna().all()
