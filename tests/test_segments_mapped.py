"""Segments on the disk: nothing that was read of a file stays in memory."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pecg_utils.data import segments
from pecg_utils.data.quality import Report
from pecg_utils.data.segments import Segments

COUNT, SHAPES = 6, {"ecg": (12, 1000), "iegm": (7, 1954)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Segments, dict[str, np.ndarray]]:
    """Six windows of noise, and the steps that were written."""
    folder, generator = tmp_path_factory.mktemp("segments"), np.random.default_rng(0)
    steps = {name: generator.integers(-9, 9, (COUNT, *shape)) for name, shape in SHAPES.items()}
    for name, values in steps.items():
        (folder / f"{name}.i16").write_bytes(values.astype("<i2").tobytes())
    made = Segments(
        folder=folder,
        stored=COUNT,
        place=np.arange(COUNT),
        ecg_gain=np.full((COUNT, 12), 0.5, np.float32),
        iegm_gain=np.full((COUNT, 7), 0.25, np.float32),
        mask=np.ones((COUNT, 7), dtype=bool),
        table=pd.DataFrame({"record": ["x001"] * COUNT}),
        labels=np.ones((COUNT, 1), dtype=bool),
        classes=("N",),
        left_out=pd.DataFrame(),
        report=Report(1, ()),
        key="made up",
    )
    return made, steps


def test_a_file_is_mapped_anew_each_time_and_never_written_to(
    stored: tuple[Segments, dict[str, np.ndarray]],
) -> None:
    made, steps = stored
    for name, shape in SHAPES.items():
        first, second = (getattr(made, f"{name}_steps") for _ in range(2))
        assert isinstance(first, np.memmap)
        assert first.shape == (COUNT, *shape)
        assert first is not second
        assert not np.shares_memory(first, second)
        np.testing.assert_array_equal(first, steps[name])
        np.testing.assert_array_equal(first, second)
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 0


def test_what_is_read_keeps_no_file_mapped(
    stored: tuple[Segments, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, steps = stored
    mapped, maps = segments._mapped, []

    def seen(path: Path, *shape: int) -> np.ndarray:
        found = mapped(path, *shape)
        maps.append(weakref.ref(found))
        return found

    monkeypatch.setattr(segments, "_mapped", seen)
    part = made.only(np.arange(COUNT) % 2 == 1)  # of windows 1, 3 and 5; nothing is copied
    assert (part.folder, part.stored, len(part)) == (made.folder, COUNT, 3)
    rows = np.array([2, 0])
    held = [part.ecg(rows), part.iegm(rows), *part.batch(rows), *made.batch(rows)]
    np.testing.assert_array_equal(held[0], steps["ecg"][[5, 1]] * 0.5)
    np.testing.assert_array_equal(held[1], steps["iegm"][[5, 1]] * 0.25)
    gc.collect()
    assert [of() for of in maps] == [None] * 6
