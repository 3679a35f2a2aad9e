"""What takes minutes: full-size twins, and the memory that they and their windows need."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pecg_utils.data import leipzig, open_dataset
from pecg_utils.twins import leipzig as leipzig_twin
from pecg_utils.twins import zzu as twin
from pecg_utils.twins.leipzig_plan import FULL_MINUTES
from pecg_utils.twins.zzu_plan import FULL_PATIENTS

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder():
    """About two gigabytes, and gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="pecg-full-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def full(folder):
    """The twin at full size, and the seconds that writing it took."""
    begun = time.perf_counter()
    root = twin.write(folder / "zzu", FULL_PATIENTS)
    return root, time.perf_counter() - begun


def test_the_full_twin_is_written_in_two_minutes_with_the_releases_counts(full):
    root, seconds = full
    table = open_dataset("zzu", root).table
    assert (table["patient"].nunique(), len(table)) == (2597, 3716)
    assert (table["n_leads"] == 9).sum() == 933
    assert len(list(root.rglob("*.dat"))) == 3716
    print(f"written in {seconds:.0f} s")
    assert seconds < 120


@pytest.mark.parametrize("leads", ["TWELVE_LEADS", "NINE_LEADS"])
def test_its_windows_are_prepared_in_less_than_a_gigabyte(full, folder, leads):
    root, _ = full
    program = f"""
        import sys
        from pathlib import Path
        from pecg_utils.data import leipzig, open_dataset
        from pecg_utils.data.recording import {leads} as leads
        from pecg_utils.data.windows import Settings, prepare
        whole = open_dataset("zzu", sys.argv[1])
        chosen = whole.only((whole.table["n_leads"] == len(leads)).to_numpy())
        windows = prepare(chosen, Settings(leads), Path(sys.argv[2]))
        print(windows.table["record"].nunique(), len(chosen.table) - len(windows.report.excluded))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(root), str(folder / "windows")]
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)  # the peak of this very process
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    assert process.returncode == 0, text
    recordings, usable = map(int, text.split()[-2:])
    assert recordings == usable > 900
    peak = used.ru_maxrss / (2**10 if sys.platform == "linux" else 2**20)  # MiB
    print(f"{leads}: {peak:.0f} MiB")
    assert peak < 1000


def test_the_full_leipzig_twin_is_written_in_ten_minutes_and_two_gigabytes(folder):
    """39 records, 18 hours at 977 Hz; and its 118,000 annotations are walked in 20 s."""
    root = folder / "leipzig"
    command = [BIN / "pecg", "data", "twin", "leipzig", str(root), "--size", "full"]
    seconds, peak = _watched(command)
    dataset = open_dataset("leipzig", root)
    hours = (dataset.table["n_samples"] / dataset.table["fs"]).sum() / 3600
    begun = time.perf_counter()
    counted = [len(leipzig.annotations(root / name)) for name in dataset.table["record"]]
    walked = time.perf_counter() - begun
    print(f"{hours:.2f} h written in {seconds:.0f} s, {peak:.0f} MiB in all processes together")
    print(f"{sum(counted):,} annotations of {len(counted)} records walked in {walked:.1f} s")
    assert len(counted) == 39
    assert 18 < hours < 19
    assert 115_000 < sum(counted) < 121_000
    assert seconds < 600
    assert peak < 2000
    assert walked < 20


def test_training_on_the_full_leipzig_twin_needs_less_than_two_gigabytes(folder):
    """Segments prepared, an epoch over the whole training side, tested and scored."""
    root = folder / "leipzig"
    if not root.is_dir():
        leipzig_twin.write(root, FULL_MINUTES)
    program = """
        import sys
        from pathlib import Path
        from pecg_utils import chapters, trial
        from pecg_utils.chapters.sizes import SIZES
        from pecg_utils.data import open_dataset, pairs
        from pecg_utils.protocol import Protocol
        from pecg_utils.train import Training
        here = Path(sys.argv[2])
        prepared = pairs.prepare(open_dataset("leipzig", Path(sys.argv[1])), here / "cache")
        p = chapters.parameters("agcacl", {"epochs": 1, "batch": 128})
        plan = Protocol("agcacl", p.leads, "12-lead", "patient", "window")
        made = trial.carry_out(
            prepared, plan, "twin", SIZES["tiny"]["agcacl"], Training(**p.training), here / "trials"
        )
        assert made.facts["split"]["windows"]["train"] > 15_000, made.facts["split"]
        print(made.facts["split"]["windows"], f"{len(prepared):,} windows")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(root), str(folder)]
    seconds, peak = _watched(command)
    print(f"prepared, taught and tested in {seconds:.0f} s, {peak:.0f} MiB")
    assert peak < 2000


def _watched(command):
    """Run `command`; gives the seconds and the peak memory in MiB of it and its processes."""
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in family))
        time.sleep(0.2)
    assert process.returncode == 0
    return time.perf_counter() - begun, peak / 2**20


def test_the_papers_block_at_8192_tokens_needs_less_than_six_gigabytes():
    """Width 384, one layer, a batch of 8, forward and backward."""
    program = """
        import torch
        from pecg_utils.models.vim import VimBlock
        block, tokens = VimBlock(384, 16, 4, 2), torch.randn(8, 8192, 384, requires_grad=True)
        block(tokens).sum().backward()
    """
    seconds, peak = _watched([sys.executable, "-c", textwrap.dedent(program)])
    print(f"{seconds:.0f} s, {peak:.0f} MiB, imports included")
    assert peak < 6000
