"""What the book shows and finds of a record that carries models from adults to children."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_report import record, tables, trial

from pecg_utils import findings, kept, kept_peace, ledger, places
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol
from pecg_utils.transfers import Transfer

HERE = Protocol("peace", TWELVE_LEADS, "shared labels", "domain", transfer=Transfer())
METHODS, MODES = ("fine-tuning", "CLIP", "PEACE"), ("0", "10", "all")
PICTURES = (
    *(
        "-shots",
        "-labels",
        "-ablation",
        "-tokens",
        "-tokens-children",
        "-controls",
        "-pressed",
        "-healthy",
    ),
    *("-hospitals-plain", "-hospitals-peace"),
)


def compared(names, modes, metrics=("auroc",), gains=None):
    """As transfer_study.table has it; gains: (name, mode) -> the gain, with 0.02 to both sides."""
    rows = []
    for m, mode in enumerate(modes):
        for n, name in enumerate(names):
            for metric in metrics:
                value = 0.6 + 0.1 * m + 0.01 * n - 0.3 * (metric != "auroc")
                gain = (gains or {}).get((name, mode), 0.01 if n else 0.0)
                near = 0.02 if n else 0.0
                rows.append(
                    {
                        **{"name": name, "method": name, "mode": mode, "shots": mode},
                        **{"recordings": 30.0 * m, "metric": metric, "trials": 3, "value": value},
                        **{"low": value - 0.03, "high": value + 0.04, "apart": 0.015},
                        **{"gain": gain, "gain_low": gain - near, "gain_high": gain + near},
                        **{"least": value - 0.01, "most": value + 0.005},
                    }
                )
    return pd.DataFrame(rows)


def sites():
    rows = [
        (site, count, f"{method}, {how}", value)
        for site, count in (("north", 40), ("all of these", 1489))
        for method, by in (("plain", 0.0), ("PEACE", 0.1))
        for how, value in (("hospitals pooled", 0.7 + by), ("hospital left out", 0.65 + by))
    ]
    table = pd.DataFrame(rows, columns=["site", "recordings", "protocol", "value"])
    return table.assign(low=table["value"] - 0.05, high=table["value"] + 0.05)


def held(**changed):
    """The tables that the chapter puts into its record."""
    seen = [
        (tested, taught, what, 0.5 + t / 100 + s / 10 + (tested == "children") / 1000)
        for tested in ("adults", "children")
        for t, taught in enumerate(("in the path", "beside", "shuffled", "none"))
        for s, what in enumerate(("ECG alone", "its own tokens", "another's tokens"))
    ]
    tokens = pd.DataFrame(seen, columns=["tested", "taught", "seen", "value"])
    controls = ["real", "random", "shuffled", "one-hot", "for children"]
    healthy = [("STACH", "fast", band, 4, share, 0.05) for band, share in (("a", 0.5), ("b", 0.0))]
    pressed = [f"{m}, {how}" for m in ("PEACE", "plain") for how in ("cut", "pressed")]
    left_out = compared(["complete", "no text"], MODES)
    found = {
        "transfer": compared(METHODS, MODES, ("auroc", "average_precision")),
        "per label": pd.DataFrame(
            [
                (label, label.lower(), mode, value, 12, 40)
                for label, value in (("STACH", 0.8), ("LVH", 0.6))
                for mode in MODES
            ],
            columns=["label", "words", "mode", "value", "positives", "adults"],
        ).assign(low=0.5, high=0.9),
        "children": pd.DataFrame(
            {"name": ["P1_E01"], "age": ["3.5 years"], "sex": ["male"], "the file": ["Normal ECG"]}
        ),
        "ablation": left_out.assign(
            claimed=np.where(left_out["name"] == "complete", np.nan, -0.0123)
        ),
        "tokens": tokens.assign(low=tokens["value"] - 0.02, high=tokens["value"] + 0.03),
        "controls": compared(controls, MODES[:2]),
        "pressed": compared(pressed, ["0"]).assign(model=["PEACE", "PEACE", "plain", "plain"]),
        "healthy": pd.DataFrame(
            healthy, columns=["label", "words", "band", "children", "share", "rate"]
        ).assign(low=np.nan, high=np.nan),
        "cases": pd.DataFrame(
            {
                "name": ["PEACE, PTB-XL", "PEACE, PTB-XL and the Challenge"],
                **{"labels": [9, 12], "stated": [26, 33], "found": [10, 8]},
            }
        ),
        "hospitals": sites(),
    }
    return {**found, **changed}


def about(dataset, kind, recordings, patients, named=True):
    counts = {"recordings": recordings, "patients": patients, "named": named}
    return {"dataset": dataset, "kind": kind, **counts}


def carried(given=None, kind="twin", cases="subset", trials=None):
    """A record of the chapter, as it is read from its file. kind: of what models are trained on;
    cases: of the children who are read one by one."""
    trials = trials or [
        trial(HERE, 0.8, kind),
        trial(replace(HERE, transfer=Transfer("plain")), 0.7, kind, trained_on=kind),
        trial(replace(HERE, cohort="hospitals", repeat=1), 0.61, cases),
    ]
    found = {**record(trials=trials), "chapter": "peace"}
    found["data"] = [about("zzu", kind, 700, 612)]
    found["beside"] = [about("ptbxl", kind, 800, 790)]
    if cases != kind:
        found["data"].insert(0, about("zzu", cases, 19, 18))
        found["beside"].append(about("ptbxl", cases, 500, 466))
    found["beside"].append(about("challenge", cases, 208, 202, named=False))
    found["tables"] = {
        name: table.astype(object).where(table.notna(), None).to_dict("list")
        for name, table in (held() if given is None else given).items()
    }
    return json.loads(json.dumps(found, allow_nan=False, default=vars))


def parts(one):
    """What is said of a record, with a word in each picture's place."""
    read = {name: kept._numeric(pd.DataFrame(t)) for name, t in one["tables"].items()}
    return "\n\n".join(kept_peace.parts(one, read, lambda which, *_: f"PICTURE{which}"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The page's text, its folder, and what each picture was drawn of, in order."""
    found = []
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:

        def watched(module, name):
            real = getattr(module, name)
            patch.setattr(module, name, lambda *given: found.append((name, *given)) or real(*given))

        for name in ("shots", "per_label", "ablation", "leak", "controls", "flagged"):
            watched(kept_peace.transfer_plots, name)
        watched(kept_peace.plots, "forest")
        watched(kept_peace.challenge_plots, "paired")
        return kept.fragment([carried()], folder), folder, found


def test_each_picture_is_there_once_and_described(drawn):
    text, folder, _ = drawn
    pictures = re.findall(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text)
    names = [name for name, _ in pictures]
    assert names == [f"peace-0123456789ab{which}.svg" for which in PICTURES]
    assert {path.name for path in folder.iterdir()} == set(names)
    assert all((folder / name).read_text().count("<svg") == 1 for name in names)
    assert len({alt for _, alt in pictures}) == len(PICTURES)
    assert all(len(alt) > 30 for _, alt in pictures)


def test_each_picture_is_drawn_of_its_own_table(drawn):
    *_, found = drawn
    of = held()
    tokens, hospitals = of["tokens"], of["hospitals"]
    plain = hospitals["protocol"].str.startswith("plain")
    expected = [
        ("shots", of["transfer"]),
        ("per_label", of["per label"]),
        ("ablation", of["ablation"]),
        ("leak", tokens[tokens["tested"] == "adults"]),
        ("leak", tokens[tokens["tested"] == "children"]),
        ("controls", of["controls"]),
        ("forest", of["pressed"]),
        ("flagged", of["healthy"]),
        ("paired", hospitals[plain]),
        ("paired", hospitals[~plain]),
    ]
    for (name, table, *_), (wanted, whole) in zip(found, expected, strict=True):
        assert name == wanted
        pd.testing.assert_frame_equal(table, whole, check_dtype=False)


def test_every_number_is_tagged_with_what_it_was_measured_on(drawn):
    text, *_ = drawn
    for words in (
        "### ZZU-pECG, twin, and 19 real recordings, profile study",
        "Beside it: PTB-XL {tag}`twin`, 800 recordings of 790 patients; PTB-XL {tag}`subset`, 500 ",
        "with few and with all, {tag}`twin`, 3 trainings each:",
        "On the *twin*, in macro AUROC, none of 3 differences to the complete model leaves 0 out",
        "of adults that no model was taught, {tag}`twin`:",
        "asked of other children, {tag}`twin`:",
        "- taught with the tokens in the path: 0.500 (0.480 to 0.530) from the ECG alone, 0.600",
        "On the *twin*, macro AUROC with other texts in their place",
        "Healthy children, {tag}`twin`, whom PEACE",
        "On *twin*, in macro AUROC, none of 6 differences to fine-tuning leaves 0 out.",
        "On *twin*, from recordings cut to recordings pressed: PEACE from 0.600 to 0.610",
        "The children are of the *subset*, the models' adults of the *subset*. Models ",
        "On the 1,489 recordings of 1 hospital that all of them tested, *subset*",
        "PEACE, hospital left out 0.750 (0.700 to 0.800)",
    ):
        assert words in text
    assert not re.search(r"\bnan\b|None", text)


def test_the_methods_and_the_cases_are_tables(drawn):
    text, *_ = drawn
    methods, cases, children, trials = tables(text)
    said = [cell.strip() for cell in children[2]]
    assert said == ["P1_E01", "3.5 years", "male", "Normal ECG"]
    assert [row[0].strip() for row in methods[2:]] == list(METHODS)
    assert methods[4][1].strip() == "0.620 (0.590 to 0.660), trainings 0.61 to 0.62"
    assert [len(methods[0]), len(trials)] == [1 + len(MODES), 2 + 3]
    assert [cell.strip() for cell in cases[2]] == ["PEACE, PTB-XL", "9", "26", "10"]
    assert [row[1].strip() for row in trials[2:]] == ["{tag}`twin`"] * 2 + ["{tag}`subset`"]
    assert "trained on" not in str(trials)  # each on what it was tested on, and repeats are there
    assert trials[4][0].strip().endswith("repeat 1")


def test_a_model_of_the_twin_that_is_asked_about_real_children_says_so(tmp_path):
    asked = trial(HERE, 0.5, "subset", trained_on="twin")
    text = kept.fragment([carried({}, trials=[trial(HERE, 0.8, "twin"), asked])], tmp_path)
    assert "### ZZU-pECG: trained on the twin, tried on 19 real recordings" in text
    (rows,) = tables(text)
    named = [row[0].strip() for row in rows[2:]]
    assert named == [HERE.name, f"{HERE.name}, trained on the twin"]


SAID = {
    "ablation": "One part of PEACE left out",
    "tokens": "What the axis tokens, made of the answer, tell",
    "controls": "Other vectors in the place of the texts",
    "pressed": "Recordings cut after ten seconds",
    "healthy": "Healthy children",
    "cases": "Children case by case",
    "hospitals": "that all of them tested",
}


@pytest.mark.parametrize("name", SAID)
def test_each_part_is_shown_without_the_others(name):
    whole = held()
    text = parts(carried({"transfer": whole["transfer"], name: whole[name]}))
    assert "PICTURE-shots" in text
    for table, words in SAID.items():
        assert (words in text) == (table == name)


def test_models_of_the_twin_that_read_real_children_are_the_twins():
    """Where no adults were given."""
    whole = held()
    own = whole["cases"].assign(name=["PEACE", "plain"], labels=9)
    text = parts(carried(held(cases=own)))
    said = "The children are of the *subset*, the models' adults of the *twin*.\n"
    assert said in text


def test_a_record_that_carries_nothing_over_shows_none_of_it(tmp_path):
    given = held()
    del given["transfer"], given["ablation"]
    assert parts(carried(given)) == ""
    text = kept.fragment([carried({})], tmp_path)
    assert re.findall(r"\.\./generated/(\S+)", text) == ["peace-0123456789ab.svg"]


def test_all_on_real_recordings_says_nothing_of_a_twin():
    one = carried(kind="full", cases="full")
    assert "twin" not in parts(one) + findings.peace([one]) + kept.title(one)
    assert kept.title(one) == "ZZU-pECG, full, profile study"
    assert findings.peace([one]).count("{tag}`full`") == 4


def test_the_finding_is_of_peace_beside_fine_tuning_of_its_texts_and_its_tokens():
    assert findings.peace([carried()]).splitlines() == [
        "- ZZU-pECG, {tag}`twin`, 612 children, and adults of PTB-XL, {tag}`twin`, 3 trainings a "
        "method (record `0123456789ab`):",
        "  - With random, shuffled or one-hot vectors in place of the texts, zero-shot and 10-shot"
        ", none of 6 differences to the real texts leaves 0 out.",
        "  - Asked of adults that it was not taught, {tag}`twin`, from the ECG alone, a model has "
        "0.500 (0.480 to 0.530) if its axis tokens were in the path to the answer, 0.510 (0.490 to "
        "0.540) if they were beside it, and 0.530 (0.510 to 0.560) if there were none; shown a "
        "recording's own tokens, which are made of the answer, the first has 0.600 (0.580 to "
        "0.630). Where all children are taught too, others are read with 0.501 (0.481 to 0.531) if "
        "tokens were in the path and with 0.531 (0.511 to 0.561) if there were none.",
        "  - Macro AUROC of PEACE is 0.620 (0.590 to 0.660) without a child and 0.820 (0.790 to "
        "0.860) with all of them; that of fine-tuning is 0.600 (0.570 to 0.640) and 0.800 (0.770 "
        "to 0.840).",
        "  - Of 1,489 adults of 1 hospital, {tag}`subset`, within a hospital: plain, hospitals "
        "pooled 0.700 (0.650 to 0.750); plain, hospital left out 0.650 (0.600 to 0.700); PEACE, "
        "hospitals pooled 0.800 (0.750 to 0.850); PEACE, hospital left out 0.750 (0.700 to 0.800).",
    ]


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        (
            {("random", "0"): -0.05},
            "1 of 6 differences to the real texts leaves 0 out: *random* zero-shot -0.050 "
            "(-0.070 to -0.030).",
        ),
        (
            {("one-hot", "10"): 0.03, ("shuffled", "0"): -0.021},
            "2 of 6 differences to the real texts leave 0 out: *shuffled* zero-shot -0.021 "
            "(-0.041 to -0.001); *one-hot* 10-shot +0.030 (+0.010 to +0.050).",
        ),
        ({("for children", "0"): -0.3}, "none of 6 differences to the real texts leaves 0 out."),
    ],
)
def test_the_finding_names_the_controls_that_can_be_told_from_the_real_texts(gains, said):
    names = ["real", "random", "shuffled", "one-hot", "for children"]
    given = held(controls=compared(names, MODES[:2], gains=gains))
    assert said in findings.peace([carried(given)])
    unknown = given["controls"].assign(gain_low=np.nan, gain_high=np.nan)
    assert "none of 6" in findings.peace([carried(held(controls=unknown))])


@pytest.mark.parametrize("gone", ["transfer", "controls", "tokens", "all"])
def test_a_record_without_what_is_found_has_no_finding(gone):
    given = {name: table for name, table in held().items() if gone not in (name, "all")}
    assert findings.peace([carried(given)]) == "No record is kept yet.\n"
    assert findings.peace([]) == "No record is kept yet.\n"
    both = findings.peace([carried(given), carried()])
    assert both == findings.peace([carried()])


def test_a_finding_without_hospitals_says_nothing_of_them():
    given = held()
    del given["hospitals"]
    lines = findings.peace([carried(given)]).splitlines()
    assert lines == findings.peace([carried()]).splitlines()[:-1]


def test_every_kept_record_is_found_and_shown(tmp_path):
    for path in places.results().glob("peace-*.json"):
        one = ledger.read_record(path)
        line = findings.peace([one])
        assert one["key"] in line
        assert "nan" not in line
        folder = tmp_path / one["key"]
        assert f"{{tag}}`{one['data'][-1]['kind']}`" in kept.fragment([one], folder)
        assert len(list(folder.glob("*.svg"))) == len(PICTURES)
