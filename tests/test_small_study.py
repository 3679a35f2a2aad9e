"""What the chapter on small sets carries out: both sets, pre-training, given weights, the table."""

import dataclasses
import itertools
from types import SimpleNamespace

import made_small
import numpy as np
import pandas as pd
import pytest
import torch
from made_small import CODES, dataset
from sklearn.metrics import average_precision_score, roc_auc_score

from pecg_utils import files, small_audits, small_study, subgroups, trial, weights
from pecg_utils.chapters.ecgs_enough import MODELS, PROFILES
from pecg_utils.data import large, open_dataset
from pecg_utils.data.recording import TWELVE_LEADS, people, sites
from pecg_utils.errors import PecgError
from pecg_utils.lessons import WEIGHTS
from pecg_utils.protocol import Protocol, Start
from pecg_utils.small_study import ALL, EVERY, HEAD, SCRATCH, WAYS

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("small", "beside", "source", "why"),
    [
        ("subset", None, "ptbxl", "pre-trained on ptbxl, for a small set that is real recordings"),
        ("full", None, "hospitals", "pre-trained on hospitals, for a small set that is real rec"),
        ("twin", None, "hospitals", "on hospitals, for a small set that is a twin: give its fold"),
        ("twin", "subset", "ptbxl", "folder holds real recordings and the small set's a twin"),
        ("twin", "full", "cpsc2018", "folder holds real recordings and the small set's a twin"),
        ("subset", "twin", "ptbxl", "folder holds a twin and the small set's real recordings"),
    ],
)
def test_twins_do_not_go_with_real_recordings(tmp_path, small, beside, source, why):
    given = None if beside is None else dataset("ptbxl", beside)
    run = made_small.run(tmp_path, dataset("pe", small), given, source=source)
    with pytest.raises(PecgError, match=why):
        small_study.gather(run)


def test_a_label_takes_part_where_enough_people_carry_it(tmp_path):
    rare = dataset("ptbxl")
    rare.labels.loc[8:, "MI"] = False  # of eight people two carry it
    for least, classes in ((2, ("NORM", "MI", "CD")), (3, ("NORM", "CD"))):
        found = small_study.gather(made_small.run(tmp_path, large=rare, least=least))
        assert found.large.classes == tuple(found.source.labels) == classes
    with pytest.raises(PecgError, match="No label in ptbxl has 13 people who carry it"):
        small_study.gather(made_small.run(tmp_path, large=rare, least=13))


@pytest.mark.parametrize(("source", "recordings"), [("ptbxl", 60), ("cpsc2018", 36)])
def test_of_ptbxl_alone_recordings_without_a_label_are_taught(tmp_path, source, recordings):
    run = made_small.run(tmp_path, large=dataset(source), source=source)
    found = small_study.gather(run)
    assert len(found.large) == recordings
    assert len(found.small) == 60  # in the small set, none is what most have
    assert found.small.classes == ("PE",)
    assert found.source.name == source


def test_what_asks_for_the_right_heart_has_met_neither_the_question_nor_the_patients(tmp_path):
    """The small set is PTB-XL's, and the large one has another label, and perhaps its site."""
    known = ("AF", "IRBBB", "CRBBB|RBBB", "BBB")
    site = np.where(np.arange(60) % 3 == 0, large.SITE, "elsewhere")
    of = dataset("hospitals", "full", codes=known, site=site)
    task = dataset("ptbxl", "full", codes=("RIGHT",))
    run = made_small.run(tmp_path, task, of, dataset="ptbxl", source="hospitals")
    found = small_study.gather(run)
    assert found.large.classes == ("AF",)
    assert set(sites(found.large.table)) == {"elsewhere"}
    assert not found.large.table["record"].isin(of.table["record"][::3]).any()
    twins = dataset("ptbxl", codes=("RIGHT",))
    run = made_small.run(tmp_path, twins, dataset("cpsc2018"), dataset="ptbxl", source="cpsc2018")
    assert small_study.gather(run).large.classes == ("AF", "STD")
    run = made_small.run(tmp_path, large=dataset("cpsc2018"), source="cpsc2018")
    assert small_study.gather(run).large.classes == CODES["cpsc2018"]  # embolisms are no block


def test_no_real_recording_of_ptb_xls_site_comes_before_the_right_heart(
    tmp_path, real, monkeypatch
):
    (root,) = {real(name).parent for name in ("challenge-2021", "ptb-xl", "ludb")}
    whole = open_dataset("hospitals", root)
    task = open_dataset("ptbxl", real("ptb-xl"), task="right")
    run = made_small.run(tmp_path, task, whole, dataset="ptbxl", source="hospitals", least=1)
    given = []
    monkeypatch.setattr(run, "windows", lambda of, leads, **how: given.append(of) or of)
    found = small_study.gather(run)
    before, asked = given
    assert found.source is before
    assert asked is task
    assert (sites(whole.table) == large.SITE).any()
    assert large.SITE not in set(sites(before.table))
    of_site = set(people(whole.table)[sites(whole.table) == large.SITE])
    of_task = {f"ptbxl-{patient}" for patient in people(task.table)}
    assert of_task <= of_site
    assert not of_site & set(people(before.table))
    assert len(before.table) > 300
    assert not set(before.labels) & set(large.OF_RIGHT["hospitals"])


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of two models, its sets, and what came of pre-training, two seeds each."""
    folder = tmp_path_factory.mktemp("begun")
    run = made_small.run(folder, models=["resnet18", "crnn gru"], repeats=2, normalise="train")
    both = small_study.gather(run)
    return run, both, small_study.pretrained(run, both)


def test_pre_trained_weights_lie_in_their_folder_with_what_they_are_of(begun):
    run, both, found = begun
    assert {model: [o.protocol.repeat for o in each] for model, each in found.items()} == {
        "resnet18": [0, 1],
        "crnn gru": [0, 1],
    }
    for model, outcome in itertools.chain(*([(m, o) for o in each] for m, each in found.items())):
        assert outcome.folder.parent == run.folder / "trials"
        assert (outcome.protocol.split, outcome.protocol.steps) == ("fold", 0)
        about, held = weights.read(outcome.folder / WEIGHTS)
        kept = torch.load(outcome.folder / "model.pt", weights_only=True)
        assert about == weights.About(
            model=MODELS[model][0],
            sizes={**made_small.SIZES[MODELS[model][0]], **dict(MODELS[model][1])},
            leads=TWELVE_LEADS,
            fs=500.0,
            samples=64,
            classes=CODES["ptbxl"],
            normalise="train",
            filter="none",
            mean=kept["mean"],
            std=kept["std"],
            dataset="ptbxl",
            kind="twin",
            fingerprint=both.large.key,
            run="0123456789ab",
            revision=about.revision,
            made=about.made,
        )
        assert held.keys() == kept["weights"].keys()
        assert all(torch.equal(held[name], kept["weights"][name]) for name in held)
    before = [(o.folder / WEIGHTS).read_bytes() for each in found.values() for o in each]
    again = small_study.pretrained(run, both)  # is read back, and written once
    assert [(o.folder / WEIGHTS).read_bytes() for each in again.values() for o in each] == before


def test_each_number_goes_on_from_the_pre_training_of_its_own_seed(begun):
    run, both, found = dataclasses.replace(begun[0]), *begun[1:]
    starts = small_study.starts(run, both, found)
    for model, outcomes in found.items():
        assert starts[model] == [Start("ptbxl", outcome.folder.name) for outcome in outcomes]
        assert len({start.folder for start in starts[model]}) == 2
    run.parameters = run.parameters.model_copy(update={"models": ["crnn gru"]})
    trials = small_study.transferred(run, both, starts, asked=["50"])
    assert list(trials) == [("crnn gru", way, "50") for way in WAYS]
    for (model, way, _), outcomes in trials.items():
        for number, outcome in enumerate(outcomes):
            how = outcome.protocol
            assert (how.model, how.changes) == MODELS[model]
            assert (how.repeat, how.draw, how.most, how.steps) == (number, number, 50, 3)
            assert (
                how.start
                == {
                    SCRATCH: None,
                    HEAD: dataclasses.replace(starts[model][number], head=True),
                    ALL: starts[model][number],
                }[way]
            )
            left = torch.load(outcome.folder / "model.pt", weights_only=True)["weights"]
            _, first = weights.read(found[model][number].folder / WEIGHTS)
            same = all(torch.equal(left[n], first[n]) for n in first if not n.startswith("head."))
            assert same == (way == HEAD)


def of_file(begun, folder, model="resnet18", **about):
    """A file of the pre-trained weights of one model, with another record, and a run given it."""
    path = folder / "given.safetensors"
    held_about, held = weights.read(begun[2][model][1].folder / WEIGHTS)
    weights.save(path, held, dataclasses.replace(held_about, **about))
    digest = files.file_digest(path).hex()
    return path, {"weights": str(path), "files": {"weights": digest}, "repeats": 2}


def test_given_weights_take_the_place_of_pre_training(begun, tmp_path):
    path, given = of_file(begun, tmp_path, dataset="somewhere else")
    run = made_small.run(tmp_path, **given)
    both = small_study.gather(run)
    found = small_study.pretrained(run, both)
    assert list(found) == ["crnn gru"]
    starts = small_study.starts(run, both, found)
    own = Start("somewhere else, given weights", given["files"]["weights"][:16])
    assert starts["resnet18"] == [own, own]
    assert [start.of for start in starts["crnn gru"]] == ["ptbxl"] * 2
    copied = run.folder / "trials" / own.folder / WEIGHTS
    assert copied.read_bytes() == path.read_bytes()
    path.unlink()  # from here on the copy is what is used
    (outcome, _) = run.trials(
        both.small,
        [
            small_study.tuned(
                run, "resnet18", both.small, "50", n, start=dataclasses.replace(own, head=True)
            )
            for n in range(2)
        ],
    )
    left = torch.load(outcome.folder / "model.pt", weights_only=True)["weights"]
    _, first = weights.read(copied)
    assert all(torch.equal(left[n], first[n]) for n in first if not n.startswith("head."))


def test_where_each_models_weights_are_given_nothing_is_pre_trained(begun, tmp_path):
    _, given = of_file(begun, tmp_path)
    run = made_small.run(tmp_path, models=["resnet18"], **given)
    both = small_study.gather(run)
    assert small_study.pretrained(run, both) == {}
    assert list(small_study.starts(run, both, {})) == ["resnet18"]


@pytest.mark.parametrize(
    ("model", "about", "changed", "why"),
    [
        ("resnet18", {"fs": 250.0}, {}, "taught at 250 Hz and 500 Hz is asked"),
        ("resnet18", {"leads": TWELVE_LEADS[::-1]}, {}, "in this order and 12 are asked"),
        ("resnet18", {"classes": ("NORM", "MI", "STTC")}, {}, "they lack CD and have STTC too"),
        ("resnet18", {"classes": ("MI", "NORM", "CD")}, {}, "have them in another order"),
        ("resnet18", {}, {"models": ["vgg11", "crnn gru"]}, "resnet18_1d, which is none of the"),
        ("crnn gru", {}, {"models": ["crnn lstm"]}, "of crnn, which is none of the models of th"),
    ],
)
def test_given_weights_of_something_else_are_refused(begun, tmp_path, model, about, changed, why):
    path, given = of_file(begun, tmp_path, model, **about)
    run = made_small.run(tmp_path, **given, **changed)
    both = small_study.gather(run)
    for asked in (small_study.pretrained, lambda *two: small_study.starts(*two, {})):
        with pytest.raises(PecgError, match=why) as refused:
            asked(run, both)
        assert str(path) in str(refused.value)
    assert not (tmp_path / "trials").exists()


def test_given_weights_of_another_size_or_task_are_refused(begun, tmp_path, monkeypatch):
    _, given = of_file(begun, tmp_path)
    run = made_small.run(tmp_path, **given)
    monkeypatch.setitem(made_small.SIZES, "resnet18_1d", {"channels": (4, 4, 4, 8)})
    with pytest.raises(PecgError, match=r"channels = \(4, 4, 4, 4\) and \(4, 4, 4, 8\) is asked"):
        small_study.pretrained(run, small_study.gather(run))
    monkeypatch.undo()
    run = made_small.run(tmp_path, large=dataset("cpsc2018"), source="cpsc2018", **given)
    with pytest.raises(PecgError, match="they lack AF, RBBB, STD and have NORM, MI, CD too many"):
        small_study.pretrained(run, small_study.gather(run))


SMALL = made_small.windows(dataset("pe", people=122), TWELVE_LEADS)


def answered(way, number, most, told, folds=2):
    """An outcome as a training leaves it, whose answers are drawn. told: how much they know."""
    start = None if way == SCRATCH else Start("PTB-XL", f"{number}ab", head=way == HEAD)
    draw = None if most is None else number
    how = Protocol("resnet18_1d", TWELVE_LEADS, "12-lead", folds=folds, repeat=number)
    how = dataclasses.replace(how, most=most, draw=draw, start=start)
    rng = np.random.default_rng([number, most or 0, WAYS.index(way), round(100 * told)])
    made = []
    for split in how.divide(SMALL.table, SMALL.labels, 0):
        sides = {side: split.rows(side) for side in ("train", "validation", "test")}
        sides["train"] = how.taught(sides["train"], SMALL.labels, 0)
        noise = rng.normal(size=(len(sides["test"]), 1)) + told * SMALL.labels[sides["test"]]
        given = (1 / (1 + np.exp(-noise))).astype(np.float32)
        made.append(trial.Fold(None, sides, given, np.full(1, 0.5), {}))
    facts = {"curves": []}
    return trial.outcome_of(how, "twin", SMALL, SMALL.labels, made, facts, None, 20)


@pytest.fixture(scope="module")
def trials():
    """Two models of which the second knows more, three ways, two sizes, two numbers."""
    return {
        (model, way, called): [
            answered(way, number, most, told + 0.5 * WAYS.index(way)) for number in range(2)
        ]
        for model, told in (("crnn lstm", 0.2), ("resnet18", 0.9))
        for called, most in (("50", 50), (EVERY, None))
        for way in WAYS
    }


@pytest.fixture(scope="module")
def tabled(trials):
    return small_study.table(trials, SMALL.labels, 40)


def test_a_row_is_a_model_a_way_a_number_of_recordings_and_a_metric(trials, tabled):
    assert tabled.columns.tolist() == [
        *("name", "model", "way", "source", "size", "called", "positives", "metric", "trials"),
        *("value", "low", "high", "apart", "gain", "gain_low", "gain_high", "least", "most"),
        *("gain_least", "gain_most"),
    ]
    found = [tuple(row) for row in tabled[["model", "way", "called", "metric"]].to_numpy()]
    assert len(found) == len(set(found)) == 24
    assert {row[:3] for row in found} == set(trials)
    assert tabled["name"].tolist() == [", ".join(row) for row in found]
    assert tabled["name"].is_unique
    assert (tabled["trials"] == 2).all()
    assert (tabled["source"] == np.where(tabled["way"] == SCRATCH, "", "PTB-XL")).all()


def by_hand(outcome, metric):
    """Of two models each with a half of the small set, ranked apart: the mean over pairs."""
    score = {"auroc": roc_auc_score, "average_precision": average_precision_score}[metric]
    parts = [outcome.about["model"] == fold for fold in range(2)]
    each = [score(outcome.targets[of, 0], outcome.probabilities[of, 0]) for of in parts]
    pairs = [outcome.targets[of].sum() * (~outcome.targets[of]).sum() for of in parts]
    return np.average(each, weights=pairs)


def test_a_value_is_the_mean_over_trainings_and_they_lie_between_least_and_most(trials, tabled):
    for row in tabled.itertuples():
        outcomes = trials[row.model, row.way, row.called]
        each = [outcome.value(row.metric)["value"] for outcome in outcomes]
        assert (row.least, row.most) == (min(each), max(each))
        assert row.least < row.most
        assert row.low <= row.value <= row.high
        if row.metric == "auroc":
            assert row.value == pytest.approx(np.mean(each), abs=1e-6)
            hand = [by_hand(outcome, row.metric) for outcome in outcomes]
            assert each == pytest.approx(hand, abs=1e-6)


def test_a_gain_is_over_the_same_model_from_scratch_with_as_many_recordings(trials, tabled):
    for (model, called, metric), part in tabled.groupby(["model", "called", "metric"]):
        ways = part.set_index("way")
        scratch = trials[model, SCRATCH, called]
        for way, row in ways.iterrows():
            assert row["gain"] == pytest.approx(row["value"] - ways.loc[SCRATCH, "value"])
            assert row["gain_low"] <= row["gain"] <= row["gain_high"]
            apart = [
                a.value(metric)["value"] - b.value(metric)["value"]
                for a, b in zip(trials[model, way, called], scratch, strict=True)
            ]
            assert (row["gain_least"], row["gain_most"]) == pytest.approx((min(apart), max(apart)))
        assert ways.loc[SCRATCH, ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
        assert (ways.loc[[HEAD, ALL], "gain"].abs() > 1e-3).all()


def test_of_one_training_a_gain_has_the_interval_of_a_difference(trials):
    """Patients are drawn for both at once, though not the same ones as there."""
    one = {key: outcomes[:1] for key, outcomes in trials.items() if key[0::2] == ("resnet18", "50")}
    table = small_study.table(one, SMALL.labels, 1500)
    assert (table["trials"] == 1).all()
    for row in table.itertuples():
        pair = one["resnet18", row.way, "50"][0], one["resnet18", SCRATCH, "50"][0]
        wanted = subgroups.difference(*pair, row.metric, 1500)
        assert row.gain == pytest.approx(wanted[0], abs=1e-6)
        assert (row.gain_low, row.gain_high) == pytest.approx(wanted[1:], abs=0.02)


def test_how_many_recordings_and_positives_were_taught_is_counted(trials, tabled):
    for row in tabled.itertuples():
        folds = [f for outcome in trials[row.model, row.way, row.called] for f in outcome.folds]
        taught = [fold.sides["train"] for fold in folds]
        assert row.size == (50 if row.called == "50" else round(np.mean([len(r) for r in taught])))
        assert row.positives == np.mean([SMALL.labels[rows].sum() for rows in taught])
    sizes = tabled.groupby("called")["size"].unique()
    assert len(sizes["50"]) == len(sizes["all"]) == 1
    assert sizes["all"][0] > 50
    assert tabled.loc[tabled["called"] == "50", "positives"].between(11.5, 13.5).all()


def test_ways_may_be_asked_for_alone(trials):
    few = {key: trials[key] for key in trials if key[1] != HEAD and key[2] == EVERY}
    table = small_study.table(few, SMALL.labels, 20)
    assert table["way"].unique().tolist() == [SCRATCH, ALL]


class Planned:
    """A run that notes what it is to carry out, on windows of which only the key is known."""

    def __init__(self, profile, **changed):
        self.parameters = SimpleNamespace(**{**PROFILES[profile], **changed})
        self.training = self
        self.plan = []

    def windows(self, of, leads, *, filter, **how):
        return SimpleNamespace(key=f"small, {filter}", table=pd.DataFrame())

    def trials(self, windows, plan, of=None, watch=False):
        self.plan += [(windows.key, protocol, watch) for protocol in plan]
        return []


@pytest.mark.parametrize("filter", ["none", "as meant"])
@pytest.mark.parametrize("source", ["ptbxl", "cpsc2018"])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_training_of_the_chapter_has_a_name_of_its_own(profile, source, filter, monkeypatch):
    """In the folder of its windows: what is named alike is carried out once, and read back."""
    run = Planned(profile, source=source, filter=filter)
    p = run.parameters
    key = f"large, {filter}"
    wide = SimpleNamespace(key=key, table=pd.DataFrame())
    both = small_study.Sets(wide, None, run.windows(None, TWELVE_LEADS, filter=filter))
    begun = {
        model: [Start(source, files.fingerprint([model, str(n)])) for n in range(p.repeats)]
        for model in p.models
    }
    small_study.pretrained(run, both)
    trials = small_study.transferred(run, both, begun)
    taught = len(p.models) * len([*p.taught, EVERY]) * len(WAYS) * p.repeats
    assert len(run.plan) == taught + len(p.models) * p.repeats
    assert len(set(run.plan)) == len(run.plan)
    monkeypatch.setattr(small_audits.comparison, "table", lambda *_: None)
    small_audits.watched(run, both)
    small_audits.grid(run, both)
    small_audits.filtered(run, p.compared[0])
    small_audits.longer(run, both, trials)
    named = {(key, protocol.name): (protocol, watch) for key, protocol, watch in run.plan}
    assert len(named) == len(set(run.plan))
    repeated = len(run.plan) - len(named)  # a cell of the grid may be what was taught before
    same = [n for n in p.lengths if int(n) == p.samples and p.normalise in p.normalisations]
    assert repeated == (len(same) * len(set(p.compared) & set(p.models)) if p.folds == 1 else 0)
