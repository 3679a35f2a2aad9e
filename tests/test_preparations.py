"""CPSC2018 in each way of preparing it: what each model is given, and what its answers come to."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from sklearn.metrics import roc_auc_score

from pecg_utils import chapters, files, ledger, preparations, trial
from pecg_utils.data import cpsc2018, cpsc_ways, open_dataset
from pecg_utils.data.recording import TWELVE_LEADS
from pecg_utils.errors import PecgError
from pecg_utils.preparations import FIRST, SOUND, STRETCHED, TRANSPOSED
from pecg_utils.sources import Sources

# Of each recording: its length in s, its heart rate in 1/min, and its labels, the first one first.
LABELS = [("Normal",), ("AF",), ("RBBB", "PVC"), ("PVC",), ("AF", "RBBB"), ("Normal",)]
MADE = [
    (seconds, rate, LABELS[(3 * block + place) % 6])
    for block in range(6)
    for place, (seconds, rate) in enumerate(
        ((7.0 + block / 4, 125.0), (12.0, 50.0), (10.0, 80.0), (15.5, 110.0), (8.0, 75.0))
    )
]
BROKEN = 3  # the file of this recording is no Matlab file
HEALTHY = [place for place in range(len(MADE)) if place != BROKEN]


def beating(seconds, rate, seed):
    """Spikes at an even rate with some noise, (12, samples) in mV at 500 Hz."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * 500)) / 500
    beats = np.arange(0.3, seconds, 60 / rate)
    spikes = np.exp(-0.5 * ((at[:, None] - beats) / 0.015) ** 2).sum(axis=1)
    height = np.linspace(0.5, 1.5, 12)[:, None]
    return height * spikes + rng.normal(0, 0.02, (12, len(at)))


def write(root):
    """CPSC2018 in its own form, of the recordings in MADE."""
    root.mkdir(parents=True)
    rows = ["Recording,First_label,Second_label,Third_label"]
    for number, (seconds, rate, labels) in enumerate(MADE):
        struct = {"sex": "Male", "age": 30.0 + number, "data": beating(seconds, rate, number)}
        savemat(root / f"A{number:04d}.mat", {"ECG": struct})
        codes = [str(list(cpsc2018.LABELS).index(label) + 1) for label in labels]
        rows.append(",".join([f"A{number:04d}", *codes, *[""] * (3 - len(codes))]))
    (root / f"A{BROKEN:04d}.mat").write_bytes(b"no such file" * 50)
    (root / "REFERENCE.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder that the windows of these tests are kept in."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("work")
        patch.setenv("PECG_WORK", str(folder))
        yield folder


@pytest.fixture(scope="module")
def dataset(work):
    return open_dataset("cpsc2018", write(work / "cpsc"))


def run_on(given, folder, **asked):
    """A run of the chapter on `given`."""
    asked = {"profile": "smoke", "dataset": given.name, "folds": 3, "resamples": 20, **asked}
    parameters = chapters.parameters("mrmnet", asked)
    sources = Sources(given, given, {given.kind: files.fingerprint([str(given.root)])})
    return ledger.Run("mrmnet", parameters, sources, "abc", folder)


@pytest.fixture(scope="module")
def untaught(work):
    """Trials are divided and scored, and their probabilities made up; what each was given."""
    asked = []

    def carry_out(windows, protocol, kind, sizes, training, folder, resamples, weights):
        asked.append((windows, protocol, kind))
        folds = []
        for number, split in enumerate(protocol.divide(windows.table, windows.labels, 0)):
            rows = split.rows("test")
            noise = np.random.default_rng(len(asked) + 10 * number).random((len(rows), 9))
            given = (0.3 * windows.labels[rows] + 0.7 * noise).astype(np.float32)
            folds.append(trial.Fold(folder, {"test": rows}, given, np.full(9, 0.5), {}))
        facts = {"seconds": 1.0, "curves": []}
        place = folder / files.fingerprint([protocol.name, kind, windows.key])
        return trial.outcome_of(
            protocol, kind, windows, windows.labels, folds, facts, place, resamples
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "carry_out", carry_out)
        yield asked


@pytest.fixture(scope="module")
def ran(dataset, untaught, work):
    """The run, its ways, and what each way's trial was given: name -> (windows, protocol)."""
    untaught.clear()
    run = run_on(dataset, work / "run")
    ways = preparations.carry_out(run)
    given = {
        name: next((w, p) for w, p, _ in untaught if p == outcome.protocol)
        for name, outcome in ways.outcomes.items()
    }
    assert len(untaught) == 4
    assert {kind for *_, kind in untaught} == {"subset"}
    return run, ways, given


def test_each_way_has_a_protocol_of_its_own(ran):
    run, ways, given = ran
    assert list(ways.outcomes) == [SOUND, STRETCHED, FIRST, TRANSPOSED]
    protocols = {name: protocol for name, (_, protocol) in given.items()}
    for protocol in protocols.values():
        assert (protocol.model, protocol.cohort, protocol.normalise) == (
            *("mrmnet", "CPSC2018"),
            "together",
        )
        assert (protocol.folds, protocol.repeat, protocol.crop) == (3, 0, 0)
    assert {name: p.split for name, p in protocols.items()} == {
        **{SOUND: "proxy", STRETCHED: "proxy"},
        **{FIRST: "file", TRANSPOSED: "file"},
    }
    assert {name: p.windows for name, p in protocols.items()} == {
        **{SOUND: "", STRETCHED: "stretched"},
        **{FIRST: "first label", TRANSPOSED: "first label, transposed"},
    }
    for name in (SOUND, STRETCHED, FIRST):
        assert protocols[name].leads == TWELVE_LEADS
    assert len({protocol.name for protocol in protocols.values()}) == 4
    assert len({outcome.folder for outcome in ways.outcomes.values()}) == 4
    assert len(run._outcomes) == 4  # all are in the run's record
    assert run.record()["beside"] == []


def test_every_recording_is_tested_once_in_each_way(ran):
    _, ways, _ = ran
    for outcome in ways.outcomes.values():
        assert sorted(outcome.about["record"]) == [f"A{place:04d}" for place in HEALTHY]
        assert outcome.about["model"].nunique() == 3


def test_windows_are_padded_or_stretched(ran):
    _, ways, given = ran
    assert given[SOUND][0] is ways.padded
    assert given[STRETCHED][0] is ways.stretched
    every = np.arange(len(HEALTHY))
    padded, stretched = (w.millivolts(every) for w in (ways.padded, ways.stretched))  # (N, 12, T)
    assert padded.shape == stretched.shape == (len(HEALTHY), 12, 1000)
    assert ways.padded.table["record"].equals(ways.stretched.table["record"])
    for row, place in enumerate(HEALTHY):
        seconds = MADE[place][0]
        end = min(round(100 * seconds), 1000)
        assert (padded[row, :, end:] == 0).all()
        assert (padded[row, :, end - 5 : end] != 0).any()
        if seconds < 10:
            assert (stretched[row, :, -5:] != 0).any()
        else:
            np.testing.assert_array_equal(padded[row], stretched[row])


def test_the_first_label_stands_alone(ran):
    _, _, given = ran
    names = np.array(list(cpsc2018.LABELS))
    for way in (SOUND, STRETCHED):
        windows = given[way][0]
        said = [set(names[row]) for row in windows.labels]
        assert said == [set(MADE[place][2]) for place in HEALTHY]
    assert (given[SOUND][0].labels.sum(axis=1) == 2).any()
    for way in (FIRST, TRANSPOSED):
        windows = given[way][0]
        assert (windows.labels.sum(axis=1) == 1).all()
        alone = names[windows.labels.argmax(axis=1)]
        assert alone.tolist() == [MADE[place][2][0] for place in HEALTHY]
        assert windows.table["record"].tolist() == [f"A{place:04d}" for place in HEALTHY]


def test_transposed_windows_have_samples_for_leads(ran):
    _, ways, given = ran
    (first, _), (turned, protocol) = given[FIRST], given[TRANSPOSED]
    every = np.arange(len(HEALTHY))
    assert turned.steps.shape == (len(HEALTHY), 1000, 12)
    assert turned.gain.shape == (len(HEALTHY), 1000)
    before, after = first.millivolts(every), turned.millivolts(every)
    assert (np.abs(after.transpose(0, 2, 1) - before) <= 0.6 * turned.gain[:, None]).all()
    assert turned.settings.leads == protocol.leads == tuple(f"sample {i}" for i in range(1000))
    np.testing.assert_array_equal(before, ways.stretched.millivolts(every))


def test_short_recordings_are_those_under_ten_seconds(ran):
    _, ways, _ = ran
    lengths = np.array([MADE[place][0] for place in HEALTHY])
    assert (lengths == 10).any()
    assert ways.short.tolist() == (lengths < 10).tolist()
    order = np.random.default_rng(2).permutation(len(HEALTHY))
    table = ways.padded.table.iloc[order].reset_index(drop=True)
    other = dataclasses.replace(ways, padded=dataclasses.replace(ways.padded, table=table))
    assert other.short.tolist() == (lengths < 10)[order].tolist()


def test_scores_are_the_macro_ones_of_each_way(ran):
    _, ways, _ = ran
    found = preparations.scores(ways)
    assert list(found.columns) == ["name", "metric", "value", "low", "high"]
    assert found["name"].unique().tolist() == list(ways.outcomes)
    assert not found.duplicated(["name", "metric"]).any()
    found = found.set_index(["name", "metric"])
    for name, outcome in ways.outcomes.items():
        for metric in ("auroc", "f1"):
            own = outcome.value(metric)[["value", "low", "high"]]
            assert found.loc[(name, metric)].tolist() == own.tolist()


def test_a_stretched_heart_is_slower(ran):
    _, ways, _ = ran
    true, stretched = preparations.rates(ways)
    rates = np.array([MADE[place][1] for place in HEALTHY])
    lasting = np.minimum([MADE[place][0] for place in HEALTHY], 10) / 10
    np.testing.assert_allclose(true, rates, rtol=0.03)
    np.testing.assert_allclose(stretched, rates * lasting, rtol=0.03)
    assert (np.round(true, 1) == true).all()
    assert (lasting < 1).any()


def test_recordings_are_classed_by_their_own_rate(ran):
    """The rates are in the order of the windows, and the test sides in another."""
    _, ways, _ = ran
    rates = {f"A{place:04d}": rate for place, (_, rate, _) in enumerate(MADE)}
    true = np.array([rates[record] for record in ways.padded.table["record"]])
    tested = ways.outcomes[SOUND].about["record"].tolist()
    assert tested != ways.padded.table["record"].tolist()
    found = preparations.by_rate(ways, true, 20)
    assert list(found.columns) == ["band", "windows", "patients", "value", "low", "high", "name"]
    assert found["name"].tolist() == [SOUND] * 3 + [STRETCHED] * 3
    inside = {
        "under 60 a minute": lambda rate: rate < 60,
        "60 to 100 a minute": lambda rate: 60 <= rate <= 100,
        "over 100 a minute": lambda rate: rate > 100,
    }
    assert found["band"].tolist() == list(inside) * 2
    for row in found.itertuples():
        outcome = ways.outcomes[row.name]
        of = outcome.about["record"].map(rates).map(inside[row.band]).to_numpy()
        assert (
            row.windows
            == of.sum()
            == {"under 60 a minute": 6, "60 to 100 a minute": 12}.get(row.band, 11)
        )
        assert row.value == pytest.approx(area(outcome, of))


@pytest.mark.parametrize(("rate", "band"), [(59.9, 0), (60.0, 1), (100.0, 1), (100.1, 2)])
def test_sixty_and_a_hundred_are_normal_rates(rate, band):
    ends = list(cpsc_ways.RATES.values())
    assert [rate <= end for end in ends].index(True) == band


def area(outcome, of):
    """Macro AUROC of some rows, where only pairs of one fold count, by scikit-learn."""
    values = []
    for truth, given in zip(outcome.targets.T, outcome.probabilities.T, strict=True):
        right = pairs = 0.0
        for fold in range(3):
            rows = of & (outcome.about["model"] == fold).to_numpy()
            count = truth[rows].sum() * (~truth[rows]).sum()
            if count:
                right += count * roc_auc_score(truth[rows], given[rows])
                pairs += count
        if pairs:
            values.append(right / pairs)
    return np.mean(values)


def test_rates_are_kept_by_recording(ran):
    _, ways, _ = ran
    true, stretched = np.arange(29.0), np.arange(29.0) / 2
    found = preparations.rate_table(ways, true, stretched)
    assert list(found.columns) == ["name", "short", "rate", "after_stretching"]
    assert found["name"].tolist() == [f"A{place:04d}" for place in HEALTHY]
    assert found["short"].tolist() == [MADE[place][0] < 10 for place in HEALTHY]
    assert found["rate"].tolist() == true.tolist()
    assert found["after_stretching"].tolist() == stretched.tolist()


def test_stretched_less_sound_on_all_and_on_the_short_ones(ran):
    """Only pairs that one model ranked in both ways count, on both sides."""
    _, ways, _ = ran
    found = preparations.differences(ways, 50)
    assert list(found.columns) == ["name", "recordings", "value", "low", "high"]
    assert found["name"].tolist() == ["all recordings", "those under 10 s"]
    short = {f"A{place:04d}": MADE[place][0] < 10 for place in HEALTHY}
    assert found["recordings"].tolist() == [29, sum(short.values())]
    assert 0 < sum(short.values()) < 29
    sound, stretched = (ways.outcomes[name] for name in (SOUND, STRETCHED))
    assert sound.about["record"].equals(stretched.about["record"])  # so that `area` is of the same
    for row, keep in zip(
        found.itertuples(), (np.full(29, True), sound.about["record"].map(short)), strict=True
    ):
        both = [area(outcome, np.array(keep)) for outcome in (stretched, sound)]
        assert row.value == pytest.approx(both[0] - both[1])
        assert row.low < row.value < row.high


def test_without_a_first_label_two_ways_are_left(dataset, untaught, work):
    """As in the WFDB copy."""
    copy = dataclasses.replace(dataset, table=dataset.table.assign(first=""))
    ways = preparations.carry_out(run_on(copy, work / "copy"))
    assert list(ways.outcomes) == [SOUND, STRETCHED]
    assert len(preparations.scores(ways)["name"].unique()) == 2
    with pytest.raises(PecgError, match="do not say which of their labels is the first"):
        cpsc_ways.first_alone(copy)


def test_the_wfdb_copy_says_no_first_label(real, dataset):
    copy = open_dataset("cpsc2018", real("challenge-2021") / "training/cpsc_2018")
    assert not cpsc_ways.says_first(copy)
    assert cpsc_ways.says_first(dataset)


def test_beside_ptbxl_the_twin_is_prepared(dataset, untaught, work, monkeypatch):
    """It is as large as was asked for, and the record names it beside the run's own data."""
    untaught.clear()
    folder = write(work / "twin")
    (folder / "twin.json").write_text(json.dumps({"twin_of": "cpsc2018"}))
    asked = []
    monkeypatch.setattr(ledger, "twin", lambda *given: asked.append(given) or folder)
    own = dataclasses.replace(dataset, name="ptbxl")
    run = run_on(own, work / "beside", recordings=77)
    ways = preparations.carry_out(run)
    assert set(asked) == {("cpsc2018", 77)}
    assert (ways.dataset.root, ways.dataset.kind) == (folder, "twin")
    assert {kind for *_, kind in untaught} == {"twin"}
    (beside,) = run.record()["beside"]
    assert (beside["dataset"], beside["kind"]) == ("cpsc2018", "twin")
    assert beside["recordings"] == len(MADE)
    assert [data["dataset"] for data in run.record()["data"]] == ["ptbxl"]


def test_no_rate_without_three_beats():
    """Two spikes in ten seconds, and four."""
    at = np.arange(1000) / 100
    spikes = [
        np.exp(-0.5 * ((at[:, None] - beats) / 0.015) ** 2).sum(axis=1)
        for beats in ([2.0, 6.0], [1.0, 2.5, 4.0, 5.5])
    ]
    millivolts = np.repeat(np.array(spikes)[:, None], 12, axis=1).astype(np.float32)  # (2, 12, T)

    class Two:
        settings = SimpleNamespace(fs=100.0)
        millivolts = staticmethod(lambda rows: millivolts[rows])

        def __len__(self):
            return 2

    found = cpsc_ways.heart_rates(Two())
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(40, rel=0.02)


def test_empty_tables_are_not_made(ran):
    _, ways, _ = ran
    found = preparations.by_rate(ways, np.full(len(HEALTHY), np.nan), 5)
    assert isinstance(found, pd.DataFrame)
    assert found.empty
