"""A trial: what a protocol says, what is trained on what, and what is read back."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from pecg_utils import lessons, places, reloaded, trial
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.errors import PecgError
from pecg_utils.protocol import Protocol, Start
from pecg_utils.subgroups import AGE_BANDS, by_age
from pecg_utils.train import Training
from pecg_utils.transfers import Transfer
from pecg_utils.trial import carry_out, judge

torch.set_num_threads(1)
TINY = {"channels": (4, 4, 4, 4), "blocks": 1}
TRAINING = Training(epochs=2, batch=32, lr=1e-2, seed=0, precision="32")
PATIENT = Protocol("resnet1d", TWELVE_LEADS, "12-lead", "patient")


def made_up(patients=40, key="made up", size=1.0):
    """Two recordings of two windows a patient; the labels are the patient's."""
    generator = np.random.default_rng(0)
    of = np.repeat(np.arange(patients), 4)
    labels = (np.arange(patients)[:, None] % [2, 3] == 0)[of]
    steps = generator.normal(0, 2000, (len(of), 12, 100))
    steps[:, 0] += np.where(labels[:, :1], 1, -1) * np.linspace(-9000, 9000, 100)
    return Windows(
        steps=steps.astype(np.int16),
        gain=np.full((len(of), 12), 1e-3 * size, np.float32),
        table=pd.DataFrame(
            {
                "record": [f"P{p:02d}_{i % 4 // 2}" for i, p in enumerate(of)],
                "patient": [f"P{p:02d}" for p in of],
                "age_days": of * 130.0,
            }
        ),
        labels=labels,
        classes=("a", "b"),
        settings=Settings(TWELVE_LEADS, seconds=1.0),
        report=Report(2 * patients, ()),
        key=key,
    )


def tried(folder, protocol=PATIENT, windows=None, kind="twin", training=TRAINING):
    return carry_out(windows or made_up(), protocol, kind, TINY, training, folder, 50)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return tried(tmp_path_factory.mktemp("trials"))


def test_a_trial_is_tested_on_its_test_side_with_the_real_labels(done):
    windows = made_up()
    split = json.loads((done.folder / "split.json").read_text())
    test = np.flatnonzero(np.array(split["side"]) == 2)
    np.testing.assert_array_equal(done.targets, windows.labels[test])
    assert done.about["record"].tolist() == windows.table["record"].iloc[test].tolist()
    assert done.probabilities.shape == (len(test), 2)
    assert done.facts["split"]["windows"]["test"] == len(test)
    assert sum(done.facts["split"]["patients"].values()) == 40
    assert len(done.curves) == 2
    assert done.facts["weights"] > 0
    value = done.value("auroc")
    assert value["low"] <= value["value"] <= value["high"]


def test_read_back_it_is_the_same_and_nothing_is_trained(done, monkeypatch):
    monkeypatch.setattr(trial, "_train", None)
    again = tried(done.folder.parent)
    pd.testing.assert_frame_equal(again.scores, done.scores)
    pd.testing.assert_frame_equal(again.curves, done.curves)
    np.testing.assert_array_equal(again.probabilities, done.probabilities)
    assert again.facts == json.loads(json.dumps(done.facts))


def test_stopped_before_the_facts_are_written_it_is_finished(done, tmp_path, monkeypatch):
    write = trial.files.write_text

    def stop(path, text):
        if path.name == "facts.json":
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(trial.files, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        tried(tmp_path)
    monkeypatch.undo()
    again = tried(tmp_path)
    pd.testing.assert_frame_equal(again.scores, done.scores)
    names = {path.name for path in again.folder.iterdir()}
    assert names == {"split.json", "model.pt", "validation.npy", "probabilities.npy", "facts.json"}


def test_a_split_that_was_changed_is_refused(tmp_path):
    outcome = tried(tmp_path)
    path = outcome.folder / "split.json"
    stored = json.loads(path.read_text())
    stored["side"][0] = (stored["side"][0] + 1) % 3
    path.write_text(json.dumps(stored))
    with pytest.raises(PecgError, match="was changed"):
        tried(tmp_path)


def test_each_protocol_kind_and_set_of_windows_has_a_folder_of_its_own(tmp_path, monkeypatch):
    def barely(place, *others):
        np.save(place / "probabilities.npy", np.zeros((len(others[2]["test"]), 2)))
        (place / "facts.json").write_text(json.dumps({"curves": []}))

    monkeypatch.setattr(trial, "_train", barely)
    folders = [
        tried(tmp_path).folder,
        tried(tmp_path, dataclasses.replace(PATIENT, split="record")).folder,
        tried(tmp_path, dataclasses.replace(PATIENT, normalise="own")).folder,
        tried(tmp_path, kind="subset").folder,
        tried(tmp_path, windows=made_up(key="others")).folder,
    ]
    assert len(set(folders)) == 5


def spied(monkeypatch):
    """What Inputs are made during a trial: the scale and the rows of each side."""
    made = []
    for module in (lessons, reloaded):  # what is taught, and what `judge` asks
        monkeypatch.setattr(module, "Inputs", lambda *a: made.append(Inputs(*a)) or made[-1])
    return made


@pytest.mark.parametrize("normalise", ["train", "own"])
def test_statistics_come_from_the_training_side_or_from_each_side(tmp_path, monkeypatch, normalise):
    made = spied(monkeypatch)
    tried(tmp_path, dataclasses.replace(PATIENT, normalise=normalise))
    train_side = made[0]
    for side in made:
        rows = side.rows if normalise == "own" else train_side.rows
        expected = scale(made_up(), rows, TWELVE_LEADS)
        np.testing.assert_array_equal(side.scale.mean, expected.mean)
        np.testing.assert_array_equal(side.scale.std, expected.std)


def test_no_patient_of_the_test_side_is_trained_on(tmp_path, monkeypatch):
    made = spied(monkeypatch)
    outcome = tried(tmp_path)
    patients = made_up().table["patient"]
    learned = {patients.iloc[row] for side in made[:2] for row in side.rows}
    assert len(learned) == 32
    assert not learned & set(outcome.about["patient"])


def test_judged_on_other_windows_the_training_sides_statistics_and_weights_are_used(
    done, monkeypatch
):
    other = made_up(patients=12, key="other", size=5.0)
    made = spied(monkeypatch)
    judged = judge(done, other, "subset", TINY, 50)
    kept = torch.load(done.folder / "model.pt", weights_only=False)
    np.testing.assert_array_equal(made[0].scale.mean, kept["mean"])
    split = json.loads((done.folder / "split.json").read_text())
    rows = np.flatnonzero(np.array(split["side"]) == 0)
    expected = scale(made_up(), rows, TWELVE_LEADS)
    np.testing.assert_array_equal(made[0].scale.std, expected.std)
    assert len(judged.probabilities) == len(other)
    assert (judged.kind, judged.facts["data"], judged.facts["trained_on"]) == (
        "subset",
        "subset",
        "twin",
    )
    assert judged.facts["split"]["windows"] == {"test": 48}
    assert done.facts["data"] == "twin"  # the trial that it is of is left as it was


def test_judged_on_its_own_windows_a_model_says_what_it_said(done):
    again = judge(done, made_up(), "twin", TINY, 50)
    split = json.loads((done.folder / "split.json").read_text())
    test = np.flatnonzero(np.array(split["side"]) == 2)
    np.testing.assert_allclose(again.probabilities[test], done.probabilities, atol=1e-5)


def test_permuted_labels_are_each_patients_and_as_many_patients_carry_each():
    windows = made_up()
    patients = windows.table["patient"].to_numpy()
    dealt = trial.permute_between_patients(windows.table, windows.labels, seed=5)

    def by_patient(labels):
        return pd.DataFrame(labels).groupby(patients)

    assert (by_patient(dealt).nunique() == 1).all(axis=None)
    before, after = by_patient(windows.labels).first(), by_patient(dealt).first()
    assert sorted(map(tuple, after.to_numpy())) == sorted(map(tuple, before.to_numpy()))
    assert not after.equals(before)
    again = trial.permute_between_patients(windows.table, windows.labels, seed=5)
    np.testing.assert_array_equal(dealt, again)
    other = trial.permute_between_patients(windows.table, windows.labels, seed=6)
    assert not np.array_equal(dealt, other)


def test_permuted_labels_are_what_is_taught_and_what_is_tested(tmp_path, monkeypatch):
    made = spied(monkeypatch)
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, labels="permuted"))
    windows = made_up()
    dealt = trial.permute_between_patients(windows.table, windows.labels, TRAINING.seed)
    np.testing.assert_array_equal(made[0].labels, dealt[made[0].rows])
    np.testing.assert_array_equal(outcome.targets, dealt[made[2].rows])


def test_a_protocols_name_tells_it_apart():
    other = {
        "model": "mamba2",
        "leads": NINE_LEADS,
        "cohort": "9-lead",
        "split": "window",
        "normalise": "own",
        "labels": "permuted",
        "antialias": False,
        "folds": 3,
        "changes": (("depth", 1),),
        "windows": "windows of 2 s",
        "most": 50,
        "loss": "CE",
        "repeat": 1,
        "crop": 2.5,
        "turn": 1,
        "transfer": Transfer("MMD"),
        "start": Start("PTB-XL", "0a1b2c3d"),
        "draw": 0,
        "steps": 100,
        "stretch": 20.0,
    }
    assert set(other) == {field.name for field in dataclasses.fields(Protocol)}
    block = dataclasses.replace(PATIENT, split="block")  # no other split has stretches
    names = [
        dataclasses.replace(block if k == "stretch" else PATIENT, **{k: v}).name
        for k, v in other.items()
    ]
    assert len({PATIENT.name, block.name, *names}) == 22
    assert names[-1] == f"{block.name} of 20 s"
    crossed = dataclasses.replace(block, folds=3, stretch=12.5)
    assert "3-fold by block of 12.5 s" in crossed.name
    assert dataclasses.replace(PATIENT, stretch=20.0).name == PATIENT.name


def test_the_chapters_plans_name_every_trial_once():
    code = "".join(
        "".join(cell["source"]) + "\n"
        for cell in json.loads(places.notebook("benchmark").read_text())["cells"]
        if cell["cell_type"] == "code" and "plan = " in "".join(cell["source"])
    )
    planned = []

    class Plans:
        def trials(self, windows, plan):
            planned.extend(plan)
            return [None] * len(plan)

        def __getattr__(self, name):
            return lambda *a, **k: None

    class Anything:
        def __getattr__(self, name):
            return lambda *a, **k: Anything()

    parameters = type("P", (), {"models": ["resnet1d", "bilstm", "transformer", "mamba2"]})
    namespace = {
        "p": parameters,
        "run": type("R", (Plans,), {"training": None})(),
        "twelve": 12,
        "nine": 9,
        "has_folds": True,
        **dict.fromkeys(("plots", "words", "ledger"), Anything()),
        **{"Protocol": Protocol, "TWELVE_LEADS": TWELVE_LEADS, "NINE_LEADS": NINE_LEADS},
    }
    exec(code, namespace)
    distinct = set(planned)
    assert len(distinct) >= 20  # 4 models × 2 leads × 2 splits, and the audits
    assert len({p.name for p in distinct}) == len(distinct)


def test_bands_of_age_hold_each_window_once_and_leave_out_bands_of_one_patient(done):
    bands = by_age(done, 50)
    assert bands["windows"].sum() <= len(done.about)
    lower = 0.0
    counted = {}
    for band, upper in AGE_BANDS.items():
        ages = done.about["age_days"]
        inside = done.about[(ages <= upper) & ((ages > lower) | (lower == 0))]
        lower = upper
        if inside["patient"].nunique() >= 2:
            counted[band] = (len(inside), inside["patient"].nunique())
    assert (
        dict(zip(bands["band"], zip(bands["windows"], bands["patients"], strict=True), strict=True))
        == counted
    )
    assert len(counted) >= 2


@pytest.mark.parametrize(
    ("days", "band"),
    [
        (0, "under 1 month"),
        (30, "under 1 month"),
        (31, "1 to 12 months"),
        (365.25, "1 to 12 months"),
        (366, "1 to 3 years"),
        (12 * 365.25, "8 to 12 years"),
        (12 * 365.25 + 1, "over 12 years"),
    ],
)
def test_where_an_age_falls(done, days, band):
    aged = dataclasses.replace(done, about=done.about.assign(age_days=float(days)))
    assert by_age(aged, 20)["band"].tolist() == [band]


def test_without_ages_there_are_no_bands_and_the_columns_are_there(done):
    aged = dataclasses.replace(done, about=done.about.assign(age_days=np.nan))
    bands = by_age(aged, 20)
    assert len(bands) == 0
    assert list(bands.columns) == ["band", "windows", "patients", "value", "low", "high"]
