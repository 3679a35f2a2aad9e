"""Recordings with the same samples."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pecg_utils.data import duplicates, open_dataset, quality


def test_within_a_dataset(noise: Callable[..., np.ndarray], write_zzu: Callable[..., Path]) -> None:
    nearly = noise(4)
    nearly[1230, 7] += 0.01
    root = write_zzu(
        {"a": noise(4), "b": noise(4, seed=1), "c": noise(4), "d": nearly, "e": noise(5)}
    )
    (root / "Child_ecg/P00/e.dat").write_bytes(b"cut")
    found = duplicates.find([open_dataset("zzu", root)])
    assert found["record"].tolist() == ["a", "c"]
    assert found["group"].tolist() == [1, 1]


def test_across_the_real_datasets(real: Callable[[str], Path]) -> None:
    folders = {"ptbxl": "ptb-xl", "challenge": "challenge-2021"}
    found = duplicates.find([open_dataset(name, real(at)) for name, at in folders.items()])
    groups = [tuple(part["record"]) for _, part in found.groupby("group")]
    within = {("137", "138"), ("143", "144"), ("145", "463"), ("456", "457"), ("459", "460")}
    assert set(groups) == within | {("E07509", "E07510")} | {
        (str(i), f"HR{i:05}") for i in range(1, 11)
    }
    under_two = found.groupby("group")["patient"].nunique()
    several = found[found["group"].isin(under_two[under_two > 1].index)]
    # 145 and 463 stand under two patients; the Challenge names none
    assert {"145", "463"} <= set(several["record"])


def test_every_tenth_sample_is_looked_at(noise: Callable[..., np.ndarray]) -> None:
    first, second = noise(4), noise(4)
    assert quality.digest(first) == quality.digest(second)
    second[10, 3] += 0.01
    assert quality.digest(first) != quality.digest(second)
    assert quality.digest(first) != quality.digest(first[:-1])
