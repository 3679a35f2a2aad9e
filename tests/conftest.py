"""What the tests of the data layer share: the real recordings, and a small twin."""

import csv
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pecg_utils import places
from pecg_utils.data import open_dataset
from pecg_utils.data.recording import NINE_LEADS, TWELVE_LEADS, Dataset
from pecg_utils.twins import zzu
from pecg_utils.twins.writers import write_record

pytest_plugins = ["loopback"]  # the server of the tests of downloads

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Gives the folder of a real dataset; skips the test where there is none.

    With the word `data` in the variable PECG_REQUIRE a missing folder is a failure.
    """

    def folder(name: str) -> Path:
        path = DATA / name
        if not path.is_dir():
            reason = f"no real recordings: ../shared/data/{name} is not there"
            if "data" in os.environ.get("PECG_REQUIRE", ""):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return folder


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZZU twin of 16 children, with 9- and 12-lead recordings. Not to be written to."""
    return zzu.write(tmp_path_factory.mktemp("data") / "twin", 16, seed=3, workers=1)


@pytest.fixture(scope="session")
def twin(twin_folder: Path) -> Dataset:
    """The twin, opened."""
    return open_dataset("zzu", twin_folder)


@pytest.fixture(scope="session")
def noise() -> Callable[..., np.ndarray]:
    """Makes a signal (samples, leads) at 500 Hz in mV: noise of 0.3 mV, which no check minds."""

    def make(seconds: float, leads: int = 12, seed: int = 0) -> np.ndarray:
        size = (round(seconds * 500), leads)
        return np.random.default_rng(seed).normal(0, 0.3, size).astype(np.float32)

    return make


@pytest.fixture
def write_zzu(tmp_path: Path) -> Callable[..., Path]:
    """Writes signals (samples, 9 or 12) in mV as a ZZU folder; the names are the records'."""

    def write(signals: dict[str, np.ndarray], place: str = "zzu", fs: int = 500) -> Path:
        root = tmp_path / place
        rows = []
        for number, (record, signal) in enumerate(signals.items()):
            leads = NINE_LEADS if signal.shape[1] == 9 else TWELVE_LEADS
            write_record(root / "Child_ecg/P00", record, signal, leads, fs)
            cells = [f"P00/{record}", record, f"P{number:05d}", "572d", "'Male'", ""]
            rows.append([*cells, len(signal), signal.shape[1], "'A1'", "'A1'", "'Q21.0'"])
        with (root / "AttributesDictionary.csv").open("w", newline="") as file:
            csv.writer(file).writerows([zzu.COLUMNS[:11], *rows])
        return root

    return write


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, where the tests may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command, so no disk to fill")
    if done.returncode:
        pytest.skip("mounting a disk to fill it is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def drawn_and_closed() -> Iterator[None]:
    """No figure stays open, or the notebook would show it a second time."""
    from matplotlib import pyplot

    yield
    left = pyplot.get_fignums()
    pyplot.close("all")
    assert left == []


@pytest.fixture
def seeded_on_one_thread() -> Iterator[None]:
    """At small sizes two threads gain nothing, and on a busy machine wait for each other."""
    import torch

    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project: no run, no kept record, no page."""
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    monkeypatch.delenv("PECG_WORK", raising=False)
    return tmp_path
