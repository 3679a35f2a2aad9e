"""Models asked again with random pieces and changes: by hand, each draw by itself."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from test_trial import PATIENT, TINY, made_up, tried
from test_trial_folds import of_sites

from pecg_utils import augment, models, noisy_test
from pecg_utils.data.inputs import Inputs, scale
from pecg_utils.noisy_test import drawn

torch.set_num_threads(1)
CROPPED = dataclasses.replace(PATIENT, crop=0.7)  # 70 of 100 samples


def value(table, draw, metric):
    (found,) = table[(table["draw"] == draw) & (table["metric"] == metric)]["value"]
    return found


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    return tried(tmp_path_factory.mktemp("cropped"), CROPPED)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    protocol = dataclasses.replace(CROPPED, split="proxy", folds=3, normalise="own")
    return tried(tmp_path_factory.mktemp("crossed"), protocol, of_sites())


def test_a_row_a_draw_and_metric_and_the_first_is_the_sound_test(cropped):
    table = drawn(cropped, made_up(), 3)
    assert list(table.columns) == ["draw", "metric", "value"]
    assert list(table["draw"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert list(table["metric"]) == ["auroc", "f1"] * 4
    for metric in ("auroc", "f1"):
        assert value(table, 0, metric) == pytest.approx(cropped.value(metric)["value"], abs=1e-12)
    assert table[table["metric"] == "auroc"]["value"].nunique() > 2
    assert table["value"].between(0, 1).all()


def test_a_draw_is_what_the_kept_model_says_of_changed_pieces(cropped, monkeypatch):
    """And the pieces are the ones that training would cut out, changed as it would."""
    seen, real = [], augment.augmented

    def spied(pieces, rng):
        seen.append((pieces.copy(), real(pieces, rng)))
        return seen[-1][1]

    monkeypatch.setattr(noisy_test, "augmented", spied)
    windows, fold = made_up(), cropped.folds[0]
    table = drawn(cropped, windows, 2)
    measure = scale(windows, fold.sides["train"], PATIENT.leads)
    test = fold.sides["test"]
    whole = Inputs(windows, test, measure, windows.labels[test]).batch(np.arange(len(test)))
    model = models.create("resnet1d", n_leads=12, n_classes=2, n_samples=70, **TINY)
    kept = torch.load(fold.folder / "model.pt", weights_only=True)
    model.load_state_dict(kept["weights"])
    assert len(seen) == 2
    places = []
    for draw, (pieces, changed) in enumerate(seen, 1):
        assert pieces.shape == (len(test), 12, 70)
        for window, piece in zip(whole, pieces, strict=True):
            of = [s for s in range(31) if np.array_equal(window[:, s : s + 70], piece)]
            assert len(of) == 1
            places += of
        with torch.no_grad():
            said = torch.sigmoid(model.eval()(torch.from_numpy(changed))).numpy()
        area = roc_auc_score(cropped.targets, said, average="macro")
        assert value(table, draw, "auroc") == pytest.approx(area, abs=1e-9)
        f1 = f1_score(cropped.targets, said >= 0.5, average="macro", zero_division=0)
        assert value(table, draw, "f1") == pytest.approx(f1)
    assert len(set(places)) > 10


def test_draws_follow_the_seed_and_their_own_number(cropped):
    windows = made_up()
    three, five = drawn(cropped, windows, 3, seed=1), drawn(cropped, windows, 5, seed=1)
    np.testing.assert_array_equal(three["value"], five["value"][:8])
    assert (drawn(cropped, windows, 3, seed=2)["value"] != three["value"])[2:].any()
    assert list(drawn(cropped, windows, 0)["draw"]) == [0, 0]


@pytest.mark.parametrize("way", ["together", "window", "median"])
def test_of_whole_windows_that_nothing_changed_it_is_the_sound_test(tmp_path, monkeypatch, way):
    outcome = tried(tmp_path, dataclasses.replace(PATIENT, normalise=way))
    noisy = drawn(outcome, made_up(), 1)
    assert (noisy["value"][2:].to_numpy() != noisy["value"][:2].to_numpy()).any()
    monkeypatch.setattr(noisy_test, "augmented", lambda x, rng: x)
    table = drawn(outcome, made_up(), 1)
    for metric in ("auroc", "f1"):
        assert value(table, 1, metric) == pytest.approx(value(table, 0, metric), abs=1e-9)


def test_folds_are_asked_each_of_its_own_model_and_ranked_apart(crossed, monkeypatch):
    monkeypatch.setattr(noisy_test, "augmented", lambda x, rng: x)
    monkeypatch.setattr("pecg_utils.train.drawn_piece", lambda x, crop, rng: x[:, :, -crop:])
    windows = of_sites()
    table = drawn(crossed, windows, 1)
    assert value(table, 0, "auroc") == pytest.approx(crossed.value("auroc")["value"], abs=1e-12)
    parts, truth, said = crossed.about["model"], crossed.targets, []
    for fold in crossed.folds:
        rows = fold.sides["test"]
        measure = scale(windows, rows, PATIENT.leads)  # each side's own
        x = Inputs(windows, rows, measure, windows.labels[rows]).batch(np.arange(len(rows)))
        model = models.create("resnet1d", n_leads=12, n_classes=2, n_samples=70, **TINY)
        model.load_state_dict(torch.load(fold.folder / "model.pt", weights_only=True)["weights"])
        with torch.no_grad():
            said.append(torch.sigmoid(model.eval()(torch.from_numpy(x[:, :, -70:]))).numpy())
    given, areas = np.concatenate(said), []
    for label in (0, 1):
        pairs, right = 0, 0.0
        for part in (0, 1, 2):
            y, p = truth[parts == part, label], given[parts == part, label]
            pairs += y.sum() * (~y).sum()
            right += roc_auc_score(y, p) * y.sum() * (~y).sum()
        areas.append(right / pairs)
    assert value(table, 1, "auroc") == pytest.approx(np.mean(areas), abs=1e-9)
    f1 = f1_score(truth, given >= 0.5, average="macro", zero_division=0)
    assert value(table, 1, "f1") == pytest.approx(f1)


def test_other_windows_are_refused(cropped):
    windows = made_up()
    turned = dataclasses.replace(windows, table=windows.table[::-1].reset_index(drop=True))
    for other in (turned, made_up(patients=12)):
        with pytest.raises(ValueError, match="not those on which the models were tested"):
            drawn(cropped, other, 1)
