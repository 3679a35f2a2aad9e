"""Running a chapter, from outside: the commands that a person types, in a copy of the project."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pecg_utils import places
from pecg_utils.twins import zzu as twin

BIN = Path(sys.executable).parent
QUICK = ["--profile", "smoke", "-p", "models", "resnet1d", "-p", "resamples", "20"]


class Project:
    """A copy of what a run needs of the project; the copy's own package is the one imported."""

    def __init__(self, root):
        self.root = root
        for name in ("pecg_utils", "notebooks"):
            quiet = shutil.ignore_patterns("__pycache__")
            shutil.copytree(places.PROJECT / name, root / name, ignore=quiet)
        self.notebook = root / "notebooks" / "benchmark.ipynb"

    def start(self, *command, work=None, cwd=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PECG_")}
        environment |= {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        if work:
            environment["PECG_WORK"] = str(work)
        return subprocess.Popen(
            [BIN / command[0], *command[1:]],
            cwd=cwd or self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background job ignores Ctrl-C, and what it starts does too
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def do(self, *command, work=None, cwd=None):
        process = self.start(*command, work=work, cwd=cwd)
        process.out, process.err = process.communicate(timeout=120)
        return process

    def records(self, work=None):
        found = (work or self.root).glob("_runs/benchmark/*/record.json")
        return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def measured(record):
    """What two runs of one key must agree on, bit for bit."""
    parts = ("name", "scores", "curves", "best_epoch", "split")
    return [{part: trial[part] for part in parts} for trial in record["trials"]]


def said(process):
    """The lines of the error that the command ended with, without what kernels log."""
    lines = process.err.replace("\r", "\n").splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("pecg: ")]
    assert len(starts) == 1, process.err
    return lines[starts[0] :]


def change(notebook, edit):
    """Rewrite a notebook's list of cells by `edit`."""
    book = json.loads(notebook.read_text(encoding="utf-8"))
    book["cells"] = edit(book["cells"])
    notebook.write_text(json.dumps(book), encoding="utf-8")


def code(source):
    return {
        "cell_type": "code",
        "id": "added",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def plain(project):
    """The whole chapter at the smoke profile by plain papermill, and the record that it left."""
    ran = project.do(
        "papermill", "notebooks/benchmark.ipynb", "out.ipynb", "-p", "profile", "smoke"
    )
    assert ran.returncode == 0, ran.err
    (record,) = project.records()
    return record


@pytest.fixture(scope="module")
def again(project, plain):
    """`pecg run` after it, and once more."""
    runs = [project.do("pecg", "run", "benchmark", "--profile", "smoke") for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].err + runs[1].err
    return runs


def test_plain_papermill_leaves_the_record_and_an_executed_notebook(project, plain):
    assert plain["profile"] == "smoke"
    assert {trial["protocol"]["model"] for trial in plain["trials"]} == {
        "resnet1d",
        "bilstm",
        "transformer",
        "mamba2",
    }
    book = json.loads((project.root / "out.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    streams = ["".join(o["text"]) for o in outputs if o["output_type"] == "stream"]
    # A slow machine shows bars, each drawn over the one before; a warning would be a line of text.
    drawn = [part for text in streams for part in text.split("\r") if part.strip()]
    assert not [part for part in drawn if "%|" not in part or "\n" in part]
    assert not (project.root / "book").exists()  # papermill alone touches no page


def test_pecg_run_goes_on_from_what_is_there_and_makes_the_page(project, plain, again):
    assert f"benchmark {plain['key']} is done." in again[0].out
    (record,) = project.records()
    assert measured(record) == measured(plain)
    page = project.root / "book" / "papers" / "benchmark.ipynb"
    executed = project.root / "_runs" / "benchmark" / plain["key"] / "benchmark.ipynb"
    assert page.read_bytes() == executed.read_bytes()
    names = {path.name for path in executed.parent.iterdir()}
    assert names == {"benchmark.ipynb", "record.json", "trials"}


def test_a_recorded_run_is_skipped_and_says_so(project, plain, again):
    assert f"benchmark {plain['key']} is recorded already; nothing was run." in again[1].out
    page = project.root / "book" / "papers" / "benchmark.ipynb"
    before = page.stat().st_mtime_ns
    begun = time.monotonic()
    assert "nothing was run" in project.do("pecg", "run", "benchmark", "--profile", "smoke").out
    assert time.monotonic() - begun < 8
    assert page.stat().st_mtime_ns == before
    page.unlink()  # a page that was lost comes back without a run
    assert "nothing was run" in project.do("pecg", "run", "benchmark", "--profile", "smoke").out
    assert page.is_file()


def test_a_change_in_a_reachable_source_is_another_run(project, again, tmp_path):
    changed = Project(tmp_path / "changed")
    train = changed.root / "pecg_utils" / "train.py"
    train.write_text(train.read_text() + "# a comment\n")
    process = changed.start("pecg", "run", "benchmark", "--profile", "smoke")
    try:
        until(lambda: list(changed.root.glob("_runs/benchmark/*")), process)
        (folder,) = changed.root.glob("_runs/benchmark/*")
        assert folder.name != project.records()[0]["key"]
    finally:
        kill(process)


def until(condition, process, limit=90.0):
    """Wait for `condition` while the process runs."""
    end = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.005)


def kill(process):
    """SIGKILL for the process and everything that it started, its kernel among it."""
    family = psutil.Process(process.pid)
    family = [*family.children(recursive=True), family]
    for one in family:
        one.kill()
    process.communicate(timeout=20)
    psutil.wait_procs(family, timeout=20)


@pytest.fixture(scope="module")
def saving(tmp_path_factory):
    """A project that writes a checkpoint after every epoch, and data with two bad recordings."""
    made = Project(tmp_path_factory.mktemp("saving"))
    train = made.root / "pecg_utils" / "train.py"
    source = train.read_text(encoding="utf-8")
    assert source.count("_SAVE_EVERY = 10.0") == 1
    train.write_text(source.replace("_SAVE_EVERY = 10.0", "_SAVE_EVERY = 0.0"), encoding="utf-8")
    folder = twin.write(made.root / "data", 40, seed=1)
    headers = sorted(p for p in folder.rglob("*.hea") if p.read_text().split()[1] == "12")
    cut, broken = headers[5].with_suffix(".dat"), headers[9]
    cut.write_bytes(cut.read_bytes()[:-200])
    broken.write_text("no header at all\n")
    made.bad = {cut.stem, broken.stem}
    made.command = ["pecg", "run", "benchmark", *QUICK, "--data", "data", "-p", "epochs", "4"]
    return made


@pytest.fixture(scope="module")
def never_stopped(saving, tmp_path_factory):
    work = tmp_path_factory.mktemp("never-stopped")
    ran = saving.do(*saving.command, work=work)
    assert ran.returncode == 0, ran.err
    return work


def test_bad_recordings_are_left_out_by_name_and_the_rest_goes_on(saving, never_stopped):
    (record,) = saving.records(never_stopped)
    faults = record["quality"]["twin, 12 leads"]["faults"]
    assert {fault["record"] for fault in faults if fault["excluded"]} == saving.bad


def test_killed_in_the_middle_of_training_and_run_again_it_is_the_same_bit_for_bit(
    saving, never_stopped, tmp_path
):
    process = saving.start(*saving.command, work=tmp_path)
    trials = tmp_path / "_runs" / "benchmark"

    def training():
        return len([*trials.glob("*/trials/*/facts.json")]) >= 2 and [*trials.rglob("*.checkpoint")]

    until(training, process)
    kill(process)
    assert process.returncode == -signal.SIGKILL
    assert [*trials.rglob("*.checkpoint")], "it was not killed inside a training"
    assert not [*trials.glob("*/record.json")]
    before = {path: path.stat().st_mtime_ns for path in trials.glob("*/trials/*/facts.json")}
    ran = saving.do(*saving.command, work=tmp_path)
    assert ran.returncode == 0, ran.err
    (expected,), (record,) = saving.records(never_stopped), saving.records(tmp_path)
    assert record["key"] == expected["key"]
    assert measured(record) == measured(expected)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert not [p for p in tmp_path.rglob(".*") if p.is_file()]  # no half-written file


def test_forced_it_runs_again_and_comes_to_the_same(saving, never_stopped):
    (before,) = saving.records(never_stopped)
    (folder,) = never_stopped.glob("_runs/benchmark/*")
    facts = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/facts.json")}
    ran = saving.do(*saving.command, "--force", work=never_stopped)
    assert f"benchmark {before['key']} is done." in ran.out
    (after,) = saving.records(never_stopped)
    assert measured(after) == measured(before)
    assert all(path.stat().st_mtime_ns > then for path, then in facts.items())


def test_interrupted_it_says_that_it_goes_on(saving, tmp_path):
    process = saving.start(*saving.command, work=tmp_path)
    until(lambda: [*tmp_path.glob("_runs/benchmark/*/trials/*/split.json")], process)
    process.send_signal(signal.SIGINT)
    process.out, process.err = process.communicate(timeout=60)
    assert process.returncode == 130, process.err
    assert said(process) == ["pecg: stopped; the same command goes on from here."]


def test_a_failing_cell_is_named_in_two_lines_and_never_reaches_the_book(tmp_path):
    broken = Project(tmp_path / "broken")

    def fail(cells):
        return [*cells[:2], code("x = 1\n\nraise RuntimeError('the electrode\\nfell off')"), *cells]

    change(broken.notebook, fail)
    page = broken.root / "book" / "papers" / "benchmark.ipynb"
    page.parent.mkdir(parents=True)
    page.write_text("the page as it was")
    for _ in range(2):  # a failed run is no recorded one: the second time it fails again
        ran = broken.do("pecg", "run", "benchmark", *QUICK)
        assert ran.returncode == 1
        first, second = said(ran)
        assert "Traceback" not in ran.err
        assert first.startswith("pecg: benchmark failed in cell ")
        assert first.endswith(": x = 1")
        assert second.startswith("RuntimeError: the electrode (the notebook so far: ")
    partial = Path(second.rpartition("so far: ")[2].removesuffix(")"))
    assert "the electrode" in partial.read_text(encoding="utf-8")
    assert partial.name == "benchmark.partial.ipynb"
    assert page.read_text() == "the page as it was"
    assert not broken.records()


def test_a_chapter_that_leaves_no_record_has_failed(tmp_path):
    silent = Project(tmp_path / "silent")
    change(silent.notebook, lambda cells: cells[:2])
    ran = silent.do("pecg", "run", "benchmark", *QUICK)
    assert ran.returncode == 1
    assert "left no record" in said(ran)[0]
    assert not (silent.root / "book").exists()


def test_with_no_recording_left_it_stops_with_a_sentence(project, tmp_path):
    folder = twin.write(tmp_path / "data", 24)
    for path in folder.rglob("*.dat"):
        path.write_bytes(path.read_bytes()[:-200])
    ran = project.do("pecg", "run", "benchmark", *QUICK, "--data", str(folder), work=tmp_path)
    assert ran.returncode == 2, ran.err
    (sentence,) = said(ran)
    assert "cut short" in sentence
    assert "Traceback" not in ran.err
    assert not (tmp_path / "book").exists()


def test_papermill_with_a_misspelt_parameter_is_refused_by_the_first_cell(project, tmp_path):
    ran = project.do(
        "papermill", "notebooks/benchmark.ipynb", str(tmp_path / "out.ipynb"),
        "-p", "profile", "smoke", "-p", "epoch", "5", work=tmp_path,
    )  # fmt: skip
    assert ran.returncode != 0
    assert "benchmark has no parameter 'epoch'. Did you mean 'epochs'?" in ran.err
    assert not (tmp_path / "_runs").exists()
