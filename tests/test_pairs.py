"""Windows of two signals: Leipzig's segments and MIT-BIH's beats are taught the same way."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from made_pairs import TINY, made_up
from test_segments import CHILD, opened, write

from pecg_utils.data import mitdb, open_dataset, segments
from pecg_utils.data.beat_windows import prepare as beats_of
from pecg_utils.data.pairs import BeatPairs, PairInputs, Pairs, children, prepare
from pecg_utils.data.quality import Report
from pecg_utils.data.recording import TWELVE_LEADS, Dataset
from pecg_utils.data.segments import GROUPS, Segments
from pecg_utils.data.spans import ELECTROGRAMS
from pecg_utils.data.windows import Settings, Windows
from pecg_utils.errors import PecgError
from pecg_utils.lessons import model_of_pairs


def beats(count: int = 9) -> BeatPairs:
    """Made-up beats of 30 samples; the other lead of the third is constant."""
    generator = np.random.default_rng(0)
    steps = generator.integers(-3000, 3000, (count, 2, 30)).astype(np.int16)
    steps[2, 1] = 7
    labels = np.eye(5, dtype=bool)[np.arange(count) % 5]
    windows = Windows(
        steps=steps,
        gain=np.full((count, 2), 1e-3, np.float32),
        table=pd.DataFrame({"record": np.arange(count), "patient": np.arange(count)}),
        labels=labels,
        classes=tuple(mitdb.LABELS),
        settings=Settings(("MLII", "other"), 360, 30 / 360),
        report=Report(count, ()),
        key="made up",
    )
    return BeatPairs(windows, np.arange(count), windows.table, labels)


@pytest.fixture(scope="module")
def leipzig(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One child's record of 31 s, 8 windows of which 2 are of no group."""
    root = tmp_path_factory.mktemp("leipzig")
    write(root, "x001", CHILD)
    return opened(root, ["x001"])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def joined(leipzig: Dataset, cache: Path) -> Pairs:
    return prepare(leipzig, cache)


def test_a_beat_is_its_mlii_beside_its_other_lead_each_standardised() -> None:
    pairs = beats()
    rows = np.array([4, 0, 2])
    mlii, other, mask = pairs.batch(rows)
    assert mlii.shape == other.shape == (3, 1, 30)
    for signal, lead in ((mlii, 0), (other, 1)):
        assert signal.dtype == np.float32
        expected = pairs.windows.steps[rows, lead].astype(float)  # (3, 30)
        expected -= expected.mean(axis=1, keepdims=True)
        expected /= np.maximum(expected.std(axis=1, keepdims=True), 1e-9)
        np.testing.assert_allclose(signal[:, 0], expected, atol=1e-5)
    assert not other[2].any()  # constant, and not NaN
    assert mask.tolist() == [[True]] * 3
    assert pairs.mask.shape == (9, 1)
    assert pairs.mask.all()
    assert (len(pairs), pairs.n_leads, pairs.n_samples) == (9, 1, 30)
    assert pairs.sizes == {"electrograms": 1, "ecg_fs": 360, "iegm_fs": 360}


def test_a_part_of_the_beats_and_a_part_of_that_keep_signal_label_and_row_together() -> None:
    pairs = beats()
    part = pairs.only(np.arange(9) % 2 == 0)  # 0 2 4 6 8
    part = part.only(np.array([False, False, True, True, True]))  # 4 6 8
    assert part.table["record"].tolist() == [4, 6, 8]
    assert part.table.index.tolist() == [0, 1, 2]
    assert (len(part), len(part.mask)) == (3, 3)
    np.testing.assert_array_equal(part.labels, pairs.labels[[4, 6, 8]])
    of_part, of_all = part.batch(np.array([2, 0])), pairs.batch(np.array([8, 4]))
    for first, second in zip(of_part, of_all, strict=True):
        np.testing.assert_array_equal(first, second)
    assert part.windows is pairs.windows  # nothing is copied


def test_inputs_are_the_rows_of_their_side_and_hidden_ones_lack_the_second_signal() -> None:
    pairs = beats()
    rows = np.array([7, 1, 5])
    inputs = PairInputs(pairs, rows, pairs.labels[rows])
    assert len(inputs) == 3
    given, expected = inputs.batch(np.array([2, 0])), pairs.batch(np.array([5, 7]))
    for first, second in zip(given, expected, strict=True):
        np.testing.assert_array_equal(first, second)
    assert given[2].all()
    ecg, second, mask = replace(inputs, hidden=True).batch(np.array([2, 0]))
    np.testing.assert_array_equal(ecg, given[0])
    np.testing.assert_array_equal(second, given[1])  # it is said to be absent, not taken away
    assert mask.shape == (2, 1)
    assert mask.dtype == bool
    assert not mask.any()
    assert pairs.mask.all()  # as it was


def test_leipzig_gives_segments_with_rhythms_joined_or_as_annotated(
    leipzig: Dataset, joined: Pairs, cache: Path
) -> None:
    assert isinstance(joined, Segments)
    assert joined.classes == tuple(GROUPS)
    single = prepare(leipzig, cache, grouped=False)
    assert single.classes == tuple(segments.UNGROUPED)
    assert (len(joined), len(single)) == (6, 8)  # less the two of idioventricular rhythm
    assert joined.key == single.key  # stored once
    other = prepare(leipzig, cache, fingerprint="known already")
    assert other.key != joined.key


def test_mitbih_gives_the_beats_of_its_windows(real: Callable[[str], Path], tmp_path: Path) -> None:
    root = tmp_path / "mitdb"
    root.mkdir()
    for suffix in ("hea", "dat", "atr"):
        shutil.copy(real("mitdb") / f"114.{suffix}", root)
    dataset = open_dataset("mitdb", root)
    pairs = prepare(dataset, tmp_path / "cache", fingerprint="known")
    windows = beats_of(dataset, tmp_path / "cache", fingerprint="known")
    assert isinstance(pairs, BeatPairs)
    assert (len(pairs), pairs.key, pairs.classes) == (len(windows), windows.key, windows.classes)
    assert pairs.report == windows.report
    assert pairs.table.equals(windows.table)
    np.testing.assert_array_equal(pairs.labels, windows.labels)
    rows = np.array([0, len(pairs) - 1])
    mlii, other, _ = pairs.batch(rows)
    for signal, name in ((mlii, "MLII"), (other, "other")):
        place = windows.settings.leads.index(name)
        millivolts = windows.millivolts(rows)[:, place]  # (2, 360)
        for found, expected in zip(signal[:, 0], millivolts, strict=True):
            assert np.corrcoef(found, expected)[0, 1] == pytest.approx(1, abs=1e-6)


def test_another_dataset_is_refused(leipzig: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PecgError, match=r"Electrograms are in Leipzig folders.* is zzu's"):
        prepare(replace(leipzig, name="zzu"), tmp_path)


@pytest.mark.parametrize("which", ["segments", "beats"])
def test_a_model_of_pairs_fits_what_their_batches_give(which: str, joined: Pairs) -> None:
    pairs = joined if which == "segments" else beats()
    model = model_of_pairs(pairs, "agcacl", TINY).eval()
    ecg, second, mask = pairs.batch(np.arange(3))
    assert ecg.shape == (3, pairs.n_leads, pairs.n_samples)
    assert second.shape[:2] == mask.shape == (3, pairs.sizes["electrograms"])
    rate = second.shape[2] / pairs.sizes["iegm_fs"]
    assert rate == pytest.approx(pairs.n_samples / pairs.sizes["ecg_fs"], abs=1e-3)  # equally long
    answer = model(*(torch.from_numpy(part) for part in (ecg, second, mask)))
    assert answer.logits.shape == (3, len(pairs.classes))
    assert answer.embedding.shape == (3, TINY["channels"][-1])
    assert (model.ecg_fs, model.iegm_fs) == (pairs.sizes["ecg_fs"], pairs.sizes["iegm_fs"])
    if which == "segments":
        assert (pairs.n_leads, second.shape[1]) == (len(TWELVE_LEADS), len(ELECTROGRAMS))


def test_what_the_data_says_of_itself_goes_before_the_runs_sizes() -> None:
    model = model_of_pairs(beats(), "agcacl", {**TINY, "electrograms": 7, "iegm_fs": 977})
    assert (model.electrograms, model.iegm_fs) == (1, 360)


def test_the_childrens_windows_keep_signal_label_and_row_together() -> None:
    whole = made_up()
    group = np.where(whole.table["patient"] < "P07", "child", "adult")
    group[::5] = "unknown"
    part = children(replace(whole, table=whole.table.assign(group=group)))
    assert part is not None
    kept = np.flatnonzero(group == "child")
    assert 0 < len(part) == len(kept) < len(whole)
    assert set(part.table["group"]) == {"child"}
    columns = list(whole.table.columns)
    expected = whole.table.iloc[kept].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.table[columns], expected)
    np.testing.assert_array_equal(part.labels, whole.labels[kept])
    of_part, of_all = part.batch(np.arange(len(part))), whole.batch(kept)
    for first, second in zip(of_part, of_all, strict=True):
        np.testing.assert_array_equal(first, second)


def test_leipzig_tells_children_from_adults_and_mitbih_does_not(joined: Pairs) -> None:
    found = children(joined)
    assert found is not None
    assert found.table.equals(joined.table)  # one child's record
    assert children(beats()) is None
