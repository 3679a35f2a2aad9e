"""What the book shows and finds of a record that compares models over seeds and folds."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_mrmnet_words import row, rules, scored
from test_report import record, tables, trial

from pecg_utils import findings, kept, kept_models, ledger, picked, ranks
from pecg_utils.data.cpsc_ways import RATES
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.protocol import Protocol
from pecg_utils.sample_wise import COMMONEST, LABELS, NOTHING, SAMPLES

HERE = Protocol("mrmnet", TWELVE_LEADS, "12-lead", "fold", "together")
NAMES = ("mrmnet", "fcn_wang", "lstm_bidir")
AREAS = (0.9, 0.912, 0.85)
WAYS = ("sound: all labels, zeros after the end", "data_process.py: all labels, stretched")


def intervals(rows, columns):
    """Rows that end with a value, with an interval around it."""
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(low=table["value"] - 0.03, high=table["value"] + 0.02)


def ranked(areas=AREAS, blocks=4):
    """As comparison.blocks gives it: in each block the models are ranked as their areas are."""
    rows = [
        (f"{name}, seed {seed + 1}, fold 10", name, f"seed {seed + 1}, fold 10", area + seed / 100)
        for name, area in zip(NAMES, areas, strict=True)
        for seed in range(blocks)
    ]
    return pd.DataFrame(rows, columns=["name", "model", "block", "value"])


def held(areas=AREAS):
    """The tables that the chapter puts into its record."""
    compared = scored(
        *(
            row(name, metric, area - 0.3 * (metric == "f1"), 0.011, area - areas[0])
            for name, area in zip(NAMES, areas, strict=True)
            for metric in ("auroc", "f1")
        )
    ).assign(trials=4)
    cost = pd.DataFrame(
        {
            "weights": [6952742, 278277, 1234567],
            "multiply_adds": [2.2e9, 1e8, 3.3e8],
            "seconds": [900.0, 70.0, 800.0],
            "mebibytes": [900.0, 70.0, 400.0],
        }
    )
    areas_of = compared[compared["metric"] == "auroc"].reset_index(drop=True)
    both = [
        (name, metric, value)
        for number, name in enumerate([*NAMES, COMMONEST, NOTHING])
        for metric, value in ((SAMPLES, 0.7 - number / 9), (LABELS, 0.6 - number / 9))
    ]
    by_rate = [
        (f"{way}, {band}", band, 41 + number, 40, 0.8 + number / 20)
        for way in WAYS
        for number, band in enumerate(RATES)
    ]
    gates = {"name": ["seed 1, fold 10"], "high: on the QRS": [0.512], "high: elsewhere": [0.4]}
    less = [("all recordings", 300, -0.0147), ("those under 10 s", 41, 0.063)]
    return {
        "comparison": compared,
        "cost": pd.concat([areas_of[["name", "value", "low", "high"]], cost], axis=1),
        "blocks": ranked(areas),
        "rules": rules(),
        "gates": pd.DataFrame(gates),
        "ablation of parts": scored(
            row("MRM-Net", "auroc", 0.9, 0.014, 0),
            row("MRM-Net", "f1", 0.6, 0.02, 0),
            row("exchange", "auroc", 0.87, 0.01, -0.03),
            row("exchange", "f1", 0.59, 0.01, -0.01),
        ),
        "both F1": intervals(both, ["name", "metric", "value"]),
        "ways": intervals(
            [(w, m, v) for w, v in zip(WAYS, (0.8, 0.7), strict=True) for m in ("auroc", "f1")],
            ["name", "metric", "value"],
        ),
        "by rate": intervals(by_rate, ["name", "band", "windows", "patients", "value"]),
        "stretched less sound": intervals(less, ["name", "recordings", "value"]),
    }


def of_models(given=None, kind="subset", dataset="ptbxl", beside="twin"):
    """A record of the chapter with these tables, as it is read from its file."""
    protocols = [replace(HERE, model=name, repeat=seed) for name in NAMES for seed in (0, 1)]
    found = {**record(kind, dataset, [trial(p, 0.87, kind) for p in protocols])}
    found["chapter"] = "mrmnet"
    found["beside"] = []
    if beside:
        found["beside"] = [
            {"dataset": "cpsc2018", "kind": beside, "recordings": 321, "patients": 300}
        ]
    found["tables"] = {
        name: table.astype(object).where(table.notna(), None).to_dict("list")
        for name, table in (held() if given is None else given).items()
    }
    return json.loads(json.dumps(found, allow_nan=False))


def parts(record):
    """What is said of a record, with a word in each picture's place."""
    read = {name: kept._numeric(pd.DataFrame(t)) for name, t in record["tables"].items()}
    return "\n\n".join(kept_models.parts(record, read, lambda which, *_: f"PICTURE{which}"))


PICTURES = ("-models", "-cost", "-ranks", "-parts", "-f1", "-ways", "-rates")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The page's text, its folder, and what each picture was drawn of, in order."""
    found = []
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:

        def watched(module, name):
            real = getattr(module, name)
            patch.setattr(module, name, lambda *given: found.append((name, *given)) or real(*given))

        watched(kept_models.plots, "forest")
        for name in ("cost_and_score", "critical_difference", "two_f1"):
            watched(kept_models.comparison_plots, name)
        for name in ("gains", "by_rate"):
            watched(kept_models.mrmnet_plots, name)
        return kept.fragment([of_models()], folder), folder, found


def test_each_picture_is_there_once_and_described(drawn):
    text, folder, _ = drawn
    pictures = re.findall(r"\{image\} \.\./generated/(\S+)\n:alt: (.+)", text)
    names = [name for name, _ in pictures]
    assert names == [f"mrmnet-0123456789ab{which}.svg" for which in PICTURES]
    assert {path.name for path in folder.iterdir()} == set(names)
    assert all((folder / name).read_text().count("<svg") == 1 for name in names)
    assert len({alt for _, alt in pictures}) == len(PICTURES)
    assert all(len(alt) > 30 for _, alt in pictures)


def test_each_picture_is_drawn_of_its_own_table(drawn):
    *_, found = drawn
    models, cost, diagram, changes, both, ways, rates = found
    tables_held = held()
    for (name, *given), expected, table in (
        (models, "forest", "comparison"),
        (cost, "cost_and_score", "cost"),
        (changes, "gains", "ablation of parts"),
        (both, "two_f1", "both F1"),
        (ways, "forest", "ways"),
    ):
        assert name == expected
        pd.testing.assert_frame_equal(given[0], tables_held[table], check_dtype=False)
    assert diagram[0] == "critical_difference"
    assert diagram[1].mean.to_dict() == {"fcn_wang": 1, "mrmnet": 2, "lstm_bidir": 3}
    assert rates[0] == "by_rate"
    assert rates[1]["name"].tolist() == [WAYS[0]] * 3 + [WAYS[1]] * 3
    assert rates[1]["value"].tolist() == tables_held["by rate"]["value"].tolist()


def cells(text, corner):
    """The table whose first cell that is: the first cell of each row -> the others."""
    (found,) = [t for t in tables(text) if t[0][0].strip() == corner]
    return {of[0].strip(): [cell.strip() for cell in of[1:]] for of in found[2:]}


def test_the_page_says_the_numbers_of_the_tables(drawn):
    text, *_ = drawn
    assert "All models, 4 trainings each, which differ in seed and tested fold:" in text
    compared, cost = (t for t in tables(text) if t[0][0].strip() == "model")
    assert [cell.strip() for cell in compared[3]] == [
        *("fcn_wang", "0.912 (0.892 to 0.922)", "0.011", "+0.012 (+0.007 to +0.022)"),
        *("0.612 (0.592 to 0.622)", "+0.012 (+0.007 to +0.022)"),
    ]
    assert [cell.strip() for cell in cost[2]] == [
        *("mrmnet", "0.900 (0.880 to 0.910)", "6,952,742", "2,200 million", "900", "900"),
    ]
    assert cells(text, "training") == {"seed 1, fold 10": ["0.512", "0.4"]}
    for words in (
        "On the *subset*, in macro AUROC, *fcn_wang* lies above mrmnet and *lstm_bidir* lies below",
        "that differ in their seed alone lie up to 0.011 apart.",
        "3 models in 4 blocks, Friedman's p = 0.018",
        "fcn_wang above lstm_bidir",
        "On the *subset*, over 2 trainings,",
        f"- {picked.AS_CODED}: macro AUROC +0.035 in the mean (+0.020 to +0.050)",
        "On the *subset*, in macro AUROC, *exchange* lies below MRM-Net",
        "that differ in their seed alone lie up to 0.014 apart.",
        "On the *twin*, macro AUROC with stretched recordings less that with padded ones is: on "
        "all recordings, 300, -0.015 (-0.045 to +0.005); on those under 10 s, 41, +0.063",
    ):
        assert words in text
    assert "The same in numbers" in text


def test_cpsc2018_is_the_twin_beside_a_subset_of_ptbxl(drawn):
    text, *_ = drawn
    assert "### PTB-XL, subset, profile study" in text
    assert "MRM-Net on CPSC2018, {tag}`twin`, 321 recordings, in each way" in text
    itself = parts(of_models(kind="full", dataset="cpsc2018", beside=""))
    assert "MRM-Net on CPSC2018, {tag}`full`, 1234 recordings, in each way" in itself
    assert "On the *full*, macro AUROC with stretched recordings" in itself
    assert "twin" not in itself


SAID = {
    "rules": "Who chooses the epoch and the head:",
    "gates": "The mean gate by step of each training",
    "ablation of parts": "PICTURE-parts",
    "both F1": "PICTURE-f1",
    "ways": "PICTURE-ways",
    "by rate": "PICTURE-rates",
    "stretched less sound": "macro AUROC with stretched recordings less",
}


@pytest.mark.parametrize("name", SAID)
def test_each_audit_is_shown_without_the_others(name):
    several = held()
    least = {table: several[table] for table in ("comparison", "cost", "blocks")}
    text = parts(of_models({**least, name: several[name]}))
    for table, words in SAID.items():
        assert (words in text) == (table == name)
    for which in ("-models", "-cost", "-ranks"):
        assert f"PICTURE{which}" in text


def test_a_record_that_compares_no_models_shows_none_of_it(tmp_path):
    given = held()
    del given["comparison"]
    for tables_held in ({}, given):
        one = of_models(tables_held)
        assert parts(one) == ""
        text = kept.fragment([one], tmp_path)
        assert re.findall(r"\.\./generated/(\S+)", text) == ["mrmnet-0123456789ab.svg"]
        assert len(tables(text)) == 1
    without = {name: value for name, value in of_models({}).items() if name != "tables"}
    assert kept.fragment([without], tmp_path) == text


def test_where_a_record_has_no_intervals_no_number_is_made_up(tmp_path):
    """As of fewer than two patients: null throughout."""
    bare = {
        name: table.assign(**{c: np.nan for c in table if c in ("low", "high") or "gain_" in c})
        for name, table in held().items()
    }
    one = of_models(bare)
    assert one["tables"]["comparison"]["gain_low"] == [None] * 6
    text = kept.fragment([one], tmp_path)
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    assert "None" not in text
    assert len(list(tmp_path.glob("*.svg"))) == len(PICTURES)
    assert "no interval of a difference to mrmnet leaves 0 out" in text
    assert "on all recordings, 300, -0.015; on those under 10 s" in text
    compared, _ = (t for t in tables(text) if t[0][0].strip() == "model")
    assert [cell.strip() for cell in compared[3]] == [
        *("fcn_wang", "0.912", "0.011", "+0.012", "0.612", "+0.012"),
    ]


def test_the_finding_is_of_the_best_other_model_and_of_the_choice():
    (line,) = findings.mrmnet([of_models()]).splitlines()
    assert line == (
        "- PTB-XL, {tag}`subset`, 56 patients, 4 trainings a model. Epoch and head chosen by the "
        "test side, as coded, less the epoch by validation and the mean of the heads: macro AUROC "
        "+0.035 in the mean (+0.020 to +0.050) and sample-wise F1 +0.070 in the mean (+0.040 to "
        "+0.100). Macro AUROC of MRM-Net, without that choice, is 0.900 (0.880 to 0.910); that of "
        "`fcn_wang`, the best of the 2 others, is 0.912 (0.892 to 0.922); 1 pair of the 3 models "
        "can be told apart by ranks (record `0123456789ab`)."
    )


def test_the_best_other_is_named_though_mrmnet_is_better():
    several = held((0.95, 0.8, 0.85))
    (line,) = findings.mrmnet([of_models(several)]).splitlines()
    assert "MRM-Net, without that choice, is 0.950 (0.930 to 0.960); that of `lstm_bidir`" in line


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (ranked(blocks=2), "no two of the models can be told apart by their ranks (record"),
        (ranked(blocks=12), "3 pairs of the 3 models can be told apart by ranks (record"),
    ],
)
def test_the_finding_says_how_many_are_told_apart(blocks, words):
    found = findings.mrmnet([of_models({**held(), "blocks": blocks})])
    assert words in found
    assert len(ranks.compare(blocks).told_apart) == (3 if "3 pairs" in words else 0)


@pytest.mark.parametrize("kind", ["twin", "subset", "full"])
def test_the_finding_says_what_it_is_of(kind):
    assert findings.mrmnet([of_models(kind=kind)]).startswith(f"- PTB-XL, {{tag}}`{kind}`, 56 ")
    of_cpsc = findings.mrmnet([of_models(kind=kind, dataset="cpsc2018", beside="")])
    assert of_cpsc.startswith(f"- CPSC2018, {{tag}}`{kind}`, 56 ")


def test_a_finding_without_intervals_gives_the_values_alone():
    given = held()
    given["comparison"] = given["comparison"].assign(low=np.nan, high=np.nan)
    found = findings.mrmnet([of_models(given)])
    assert "without that choice, is 0.900; that of `fcn_wang`, the best" in found
    assert "2 others, is 0.912; 1 pair" in found


@pytest.mark.parametrize("gone", ["comparison", "blocks", "rules", "all"])
def test_a_record_without_what_is_found_has_no_finding(gone):
    given = {name: table for name, table in held().items() if gone not in (name, "all")}
    assert findings.mrmnet([of_models(given)]) == "No record is kept yet.\n"
    both = findings.mrmnet([of_models(given), of_models()])
    assert both == findings.mrmnet([of_models()])
    assert len(findings.mrmnet([of_models(), of_models()]).splitlines()) == 2


KEPT = sorted((Path(__file__).parents[1] / "book" / "results").glob("mrmnet-*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_record_is_found_and_shown_with_its_own_numbers(path):
    one = ledger.read_record(path)
    (line,) = findings.mrmnet([one]).splitlines()
    text = parts(one)
    assert f"{{tag}}`{one['data'][0]['kind']}`" in line
    areas = pd.DataFrame(one["tables"]["comparison"]).query("metric == 'auroc'")
    for of in areas.itertuples():
        assert f"{of.value:.3f} ({of.low:.3f} to {of.high:.3f})" in text
    assert f"is {areas['value'].iloc[0]:.3f} (" in line
    assert f"others, is {areas['value'].iloc[1:].max():.3f} (" in line
    assert "nan" not in re.findall(r"[a-z]+", (line + text).lower())
    assert all(f"PICTURE{which}" in text for which in PICTURES)
