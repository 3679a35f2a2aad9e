"""What the book shows and finds of a record that carries models from a large set to a small one."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_report import record, tables, trial

from pecg_utils import (
    claims,
    epoch_rules,
    findings,
    kept,
    kept_small,
    ledger,
    places,
    report,
)
from pecg_utils.choosing_plots import BY_TEST, CHANGED, PIECE, SOUNDLY
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.filters import FILTERS
from pecg_utils.protocol import Protocol, Start

HERE = Protocol("crnn", TWELVE_LEADS, "12-lead", normalise="window", crop=4.096, steps=40)
BROAD = replace(HERE, split="fold", steps=0)
MODELS, WAYS = ("resnet18", "crnn lstm"), ("from scratch", "head only", "all weights")
PICTURES = ("curves", "gains", "cost", "grid", "filters", "epochs", "settings", "random")


def transfer(gains=None, sizes=((50, "50"), (100, "100"), (209, "all"))):
    """As small_study.table has it; gains: (model, way, called) -> the gain, 0.02 to both sides."""
    rows = []
    for m, model in enumerate(MODELS):
        for s, (size, called) in enumerate(sizes):
            for way in WAYS:
                gain = (gains or {}).get((model, way, called), 0.01 * WAYS.index(way))
                near = 0.02 * (way != WAYS[0])
                for metric in ("auroc", "average_precision"):
                    value = 0.6 + 0.1 * s + 0.05 * m + gain - 0.3 * (metric != "auroc")
                    rows.append(
                        {
                            **{
                                "name": f"{model}, {way}, {called}, {metric}",
                                "model": model,
                                "way": way,
                            },
                            **{"source": "ptbxl" if near else "", "size": size, "called": called},
                            **{"positives": 12.0, "metric": metric, "trials": 2, "value": value},
                            **{"low": value - 0.03, "high": value + 0.04, "apart": 0.015},
                            **{"gain": gain, "gain_low": gain - near, "gain_high": gain + near},
                            **{"least": value - 0.01, "most": value + 0.005},
                            **{"gain_least": gain - 0.02 * near, "gain_most": gain + near},
                        }
                    )
    return pd.DataFrame(rows)


def lost(kind="twin", deviating=84):
    """As the chapter keeps what filters do; kind: of the marked beats."""
    rows = []
    for wave in ("ST", "T"):
        for number, name in enumerate(FILTERS):
            row = {"wave": wave, "filter": name, "patients": 40, "levels": 5484}
            row["deviating"] = deviating
            for measured, scale in (
                *(("median_uv", 10.0), ("mean_uv", -5.0), ("vanished", 0.1)),
                *(("appeared", 0.02), ("correlation", 0.1)),
            ):
                value = (
                    scale * number * (1 + (wave == "T"))
                    if deviating or measured != "vanished"
                    else np.nan
                )
                both = {f"{measured}_low": 0.9 * value, f"{measured}_high": 1.1 * value}
                row |= {measured: value, **both}
            rows.append({**row, "name": f"{wave}, {name}", "kind": kind})
    return pd.DataFrame(rows)


def epochs(above=(0.03, 0.02)):
    """Three epochs a training, the first the best on validation; above: what the second has more.

    On the test side the second has 0.1 more of F1 beside it.
    """
    rows = []
    for seed, more in enumerate(above):
        for side in ("validation", "test"):
            for epoch in (1, 2, 3):
                best = (more if epoch == 2 else 0.0) if side == "test" else 0.1 * (epoch == 1)
                f1 = 0.5 + best + 0.1 * (epoch == 2 and side == "test")
                name = f"crnn lstm, seed {seed + 1}, {side}, epoch {epoch}"
                row = {"name": name, "model": "crnn lstm", "seed": seed, "side": side}
                rows.append({**row, "epoch": epoch, "auroc": 0.7 + best, "f1": f1})
    return pd.DataFrame(rows)


def compared_to_first(names):
    """As comparison.table gives it: each 0.05 less than the one before."""
    rows = [(name, "auroc", 2, 0.7 - k / 20, -k / 20) for k, name in enumerate(names)]
    found = pd.DataFrame(rows, columns=["name", "metric", "trials", "value", "gain"])
    ends = {f"{of}{end}": found[of] + by for of in ("value", "gain") for end, by in ENDS}
    return found.assign(**ends).rename(columns={"value_low": "low", "value_high": "high"})


def held(**changed):
    """The tables that the chapter puts into its record."""
    areas = transfer().query("metric == 'auroc' and way == 'all weights' and called == 'all'")
    cells = [
        (f"{m}, {n} samples, {how}", m, n, how, 0.5 + n / 1e5 + number / 50, 0.6 - number / 50)
        for m in MODELS
        for n in (1024, 2048)
        for number, how in enumerate(("none", "window"))
    ]
    grid = pd.DataFrame(
        cells, columns=["name", "model", "samples", "normalise", "value", "validation"]
    )
    drawn = [
        (f"{model}, {kind}, draw {k}", model, kind, k, "auroc", 0.7 + m / 10 + by)
        for m, model in enumerate(MODELS)
        for k in range(4)
        for kind, by in ((PIECE, -0.01 * (k > 0)), (CHANGED, (m + 1) * k / 100))
    ]
    settled = [
        (f"{m}, {rule}", m, rule, cell, value)
        for m in MODELS
        for rule, cell, value in (
            (BY_TEST, "1,024 samples, none", 0.68),
            (SOUNDLY, "2,048 samples, window", 0.6),
        )
    ]
    found = {
        "large labels": pd.DataFrame(
            {"name": ["a", "b"], "words": ["One", "Two"], "recordings": [1150, 87]}
        ),
        "small labels": pd.DataFrame(
            {"name": ["PE"], "words": ["Embolism"], "recordings": [75], "patients": [74]}
        ),
        "pre-training": pd.DataFrame(
            {"name": ["crnn lstm, seed 1"], "value": [0.687], "epoch": [2], "taught": [278]}
        ).assign(model="crnn lstm", low=0.6, high=0.7, tested=27),
        "sets": pd.DataFrame(
            {"name": ["large", "small"], "recordings": [346, 300], "carriers": [340, 75]}
        ),
        "ways": transfer(),
        "longer": compared_to_first(("resnet18, from scratch", "resnet18, longer")),
        "cost": areas[["model", "value", "low", "high"]]
        .rename(columns={"model": "name"})
        .assign(weights=21001, multiply_adds=5e6, seconds=1.5, mebibytes=9.7, learned=65),
        "grid": grid.assign(
            low=grid["value"] - 0.1, high=grid["value"] + 0.1, tested=15, validated=6
        ),
        "st levels": lost(),
        "filters": compared_to_first(FILTERS),
        "epochs": epochs(),
        "settings": pd.DataFrame(settled, columns=["name", "model", "rule", "cell", "value"]),
        "random tests": pd.DataFrame(
            drawn, columns=["name", "model", "kind", "draw", "metric", "value"]
        ),
        "unlabelled": pd.DataFrame(
            {"name": ["crnn lstm"], "recordings": [347], "without": [11], "value": [-0.05]}
        ).assign(low=-0.2, high=0.1),
    }
    return {**found, **changed}


ENDS = (("_low", -0.02), ("_high", 0.02))


def of_small(given=None, kind="twin", sets=("pe", "ptbxl"), beats=None):
    """A record of the chapter, as it is read from its file. sets: the small one and the large one.
    beats: LUDB's kind, or simulated."""
    dataset, source = sets
    wide = {"windows": {"train": 278, "validation": 41, "test": 27}}
    tuned = replace(HERE, start=Start("ptbxl", "793265aa"))
    small = trial(HERE, 0.6, kind)
    for one in (small, other := trial(tuned, 0.7, kind)):
        one["scores"]["label"] = ["PE" if x == "a" else x for x in one["scores"]["label"]]
        one["scores"]["label"] = ["PE 2" if x == "b" else x for x in one["scores"]["label"]]
    found = {
        **record(trials=[trial(BROAD, 0.8, kind, split=wide), small, other]),
        **{"chapter": "ecgs_enough", "parameters": {"source": source}},
        "data": [about(dataset, kind, 300, 299)],
        "beside": [about(source, kind, 347, 300)],
    }
    if beats:
        found["beside"].append(about("ludb", beats, 200, 200))
    found["tables"] = {
        name: table.astype(object).where(table.notna(), None).to_dict("list")
        for name, table in (held() if given is None else given).items()
    }
    return json.loads(json.dumps(found, allow_nan=False, default=vars))


def about(dataset, kind, recordings, patients):
    counts = {"recordings": recordings, "patients": patients, "named": True}
    return {"dataset": dataset, "kind": kind, **counts}


def parts(one):
    """What is said of a record, with a word in each picture's place."""
    read = {name: kept._numeric(pd.DataFrame(t)) for name, t in one["tables"].items()}
    return "\n\n".join(kept_small.parts(one, read, lambda which, *_: f"PICTURE{which}"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The page's text, its folder, and what each picture was drawn of, in order."""
    found = []
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:

        def watched(module, name):
            real = getattr(module, name)
            patch.setattr(module, name, lambda *given: found.append((name, *given)) or real(*given))

        for name in ("curves", "gains"):
            watched(kept_small.small_plots, name)
        for name in ("grid", "optimism", "chosen", "noisy"):
            watched(kept_small.choosing_plots, name)
        watched(kept_small.comparison_plots, "cost_and_score")
        watched(kept_small.plots, "forest")
        return kept.fragment([of_small()], folder), folder, found


def test_each_picture_is_there_once_and_described(drawn):
    text, folder, _ = drawn
    pictures = re.findall(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text)
    names = [name for name, _ in pictures]
    assert names == [f"ecgs_enough-0123456789ab-{which}.svg" for which in PICTURES]
    assert {path.name for path in folder.iterdir()} == set(names)
    assert all((folder / name).read_text().count("<svg") == 1 for name in names)
    assert len({alt for _, alt in pictures}) == len(PICTURES)
    assert all(len(alt) > 40 for _, alt in pictures)


def test_each_picture_is_drawn_of_its_own_table(drawn):
    *_, found = drawn
    of = held()
    by_rule = epoch_rules.chosen(of["epochs"])
    of["epochs"] = by_rule[by_rule["by"] == "f1"]
    of["random tests"] = of["random tests"][of["random tests"]["kind"] == CHANGED]
    expected = [
        *(("curves", "ways"), ("gains", "ways"), ("cost_and_score", "cost")),
        *(("grid", "grid"), ("forest", "filters"), ("optimism", "epochs")),
        *(("chosen", "settings"), ("noisy", "random tests")),
    ]
    for (name, table, *_), (wanted, whose) in zip(found, expected, strict=True):
        assert name == wanted
        whole = of[whose].reset_index(drop=True)
        same = table.reset_index(drop=True)
        pd.testing.assert_frame_equal(same, whole, check_dtype=False)


def test_a_sentence_with_a_tag_or_a_kind_stands_before_every_number(drawn):
    text, *_ = drawn
    for words in (
        "### PE-HSM, twin, profile study",
        "Models are pre-trained on PTB-XL {tag}`twin`, 347 recordings of 300 patients, of which "
        "346 take part. Its labels, and how many recordings carry each: a 1,150, b 87.",
        "What the small task is made of, {tag}`twin`:",
        "from few recordings and from all, {tag}`twin`, 2 trainings each:",
        "- *all weights* less from scratch, *twin*: +0.020 in the mean",
        "- crnn lstm, *twin*: the 4 cells lie between 0.510 and 0.540",
        "| transfer helps | the interval over patients leaves 0 out, for the better, in 0 of 12 ",
        "ST level and the T wave, {tag}`twin`:",
        "- *as coded* moves the level by 10 (9 to 11) µV in the median patient, and makes 10 %",
        "through each filter, {tag}`twin`:",
        "as meant -0.100 (-0.120 to -0.080) (leaves 0 out)",
        "- the best F1, as coded, *twin*, 2 trainings: chosen by the test side less chosen by "
        "validation +0.125 in the mean (+0.120 to +0.130).",
        "- the best AUROC *ours*, *twin*, 2 trainings: chosen by the test side less chosen by "
        "validation +0.025 in the mean (+0.020 to +0.030).",
        "- resnet18, *twin*: AUROC 0.680 (1,024 samples, none) by the test side, 0.600",
        "- crnn lstm, *twin*: AUROC 0.800 (all pieces); 0.790 in the mean of 3 tests, 0.790 to "
        "0.790 (random piece); 0.840 in the mean of 3 tests, 0.820 to 0.860 (random piece, ",
        "The large set of this run has 1.2 times as many recordings as the small one",
        "AUROC of resnet18, from scratch 0.700, *twin*; resnet18, longer -0.050 (-0.070 to ",
        "11 of the 347 recordings of the large set, *twin*, carry no label.",
    ):
        assert words in text
    assert not re.search(r"\bnan\b|None", text)


def test_what_is_counted_stands_in_tables(drawn):
    text, *_ = drawn
    asked, begun, compared, cost, says, levels, trials = tables(text)
    assert [cell.strip() for cell in asked[2]] == ["PE", "Embolism", "75", "74"]
    assert begun[2][0].strip() == "crnn lstm, seed 1"
    heads = [cell.strip() for cell in compared[0]]
    assert heads == ["model, way", "50 taught", "100 taught", "all, 209 taught"]
    assert compared[2][1].strip() == "0.600 (0.570 to 0.640)"
    assert [row[0].strip() for row in cost[2:]] == list(MODELS)
    assert len(says[2:]) == 5
    assert len(levels[2:]) == 2 * len(FILTERS)
    named = [row[0].strip() for row in trials[2:]]
    assert named == [f"{BROAD.name}, on the large set", HERE.name, f"{HERE.name[:-10]}{TUNED}"]


TUNED = ", all weights from ptbxl 793265, 40 steps"


def test_real_beats_beside_a_twin_have_a_tag_of_their_own():
    one = of_small(held(**{"st levels": lost("full")}), beats="full")
    text = parts(one)
    assert "ST level and the T wave, {tag}`full`:" in text
    assert "ST levels of 40 patients, *full*, of which 84" in text
    assert text.count("{tag}`full`") == text.count("*full*") == 1
    found = findings.ecgs_enough([one])
    assert "LUDB, {tag}`full`, 5,484 ST levels" in found
    assert found.count("{tag}`twin`") == 4


def test_all_on_real_recordings_says_nothing_of_a_twin():
    one = of_small(held(**{"st levels": lost("full")}), "subset", ("ptbxl", "cpsc2018"), "full")
    told = parts(one) + findings.ecgs_enough([one]) + kept.title(one)
    assert "twin" not in told
    assert findings.ecgs_enough([one]).startswith(
        "- PTB-XL, {tag}`subset`, 300 recordings, 75 with the label, after CPSC2018, "
        "{tag}`subset`, 2 trainings"
    )


ALONE = {
    "ways": ["-curves", "-gains"],
    "grid": ["-grid"],
    "filters": ["-filters"],
    "epochs": ["-epochs"],
    "settings": ["-settings"],
    "random tests": ["-random"],
    "st levels": [],
    "unlabelled": [],
}


@pytest.mark.parametrize("name", ALONE)
def test_each_part_is_shown_without_the_others(name):
    whole = held()
    few = {of: whole[of] for of in ("large labels", "small labels", name)}
    text = parts(of_small(few))
    assert re.findall(r"PICTURE(\S+)", text) == ALONE[name]
    assert len(text) > len(parts(of_small({of: few[of] for of in list(few)[:2]}))) + 100


def test_no_recording_without_a_label_and_given_weights_leave_gaps_and_no_fault():
    one = of_small(held(unlabelled=held()["unlabelled"][:0], **{"pre-training": pd.DataFrame()}))
    one["trials"] = one["trials"][1:]
    text = parts(one)
    assert "without a label" not in text
    assert "take part" not in text
    assert "dropdown" not in text
    assert "347 recordings of 300 patients. Its labels" in text


def test_a_record_of_another_chapter_is_not_taken_for_one_of_this():
    whole = held()
    del whole["small labels"]
    assert parts(of_small(whole)) == ""
    assert kept_small.named([{"name": "x"}], {}) == [{"name": "x"}]


def test_a_paper_without_a_number_says_so_on_the_page_of_claims():
    text = report.claims_section("ecgs_enough", [of_small()])
    first, said = text.strip().split("\n\n")
    assert first == "## arXiv 2503.08960"
    assert said.startswith("Of arXiv 2503.08960 no number could be read, ")
    assert said.endswith("{doc}`../papers/ecgs_enough`.")
    assert "|" not in said
    joined = claims.join("ecgs_enough", of_small())
    assert joined.empty
    assert joined.columns.tolist() == claims.join("peace", of_small()).columns.tolist()
    assert claims.shown("ecgs_enough", joined).empty
    assert claims.versions("ecgs_enough").empty


@pytest.mark.parametrize("chapter", ["ecgs_enough", "peace"])
def test_a_paper_has_claims_or_says_why_not(chapter):
    given = claims.load(chapter).model_dump()
    both = {"claims": claims.load("peace").model_dump()["claims"], "unread": "Nobody read it."}
    for wrong in (both, {"claims": [], "unread": ""}):
        with pytest.raises(ValueError, match="a paper has claims, or `unread` says why"):
            claims.Paper.model_validate({**given, **wrong})


def test_every_kept_record_is_found_and_shown(tmp_path):
    for path in places.results().glob("ecgs_enough-*.json"):
        one = ledger.read_record(path)
        line = findings.ecgs_enough([one])
        assert one["key"] in line
        assert "nan" not in line
        folder = tmp_path / one["key"]
        assert f"{{tag}}`{one['data'][-1]['kind']}`" in kept.fragment([one], folder)
        assert len(list(folder.glob("*.svg"))) == len(PICTURES)
