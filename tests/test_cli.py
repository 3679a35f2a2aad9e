"""The pecg command: each fault of the user's is one sentence and exit code 2, no traceback."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pecg_utils import chapters, cli, ledger, places
from pecg_utils import run as running
from pecg_utils.twins import TWINS
from pecg_utils.twins import zzu as twin

PECG = Path(sys.executable).with_name("pecg")


def pecg(work, *arguments):
    return subprocess.run(
        [PECG, *arguments],
        env={**os.environ, "PECG_WORK": str(work), "OMP_NUM_THREADS": "1"},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=60,
    )


def called(monkeypatch, *arguments):
    """The exit code of the command in this very process; 0 when it just returns."""
    monkeypatch.setattr(sys, "argv", ["pecg", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as left:
        return left.code
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return twin.write(tmp_path_factory.mktemp("twin") / "zzu", 5)


@pytest.fixture
def damaged(data, tmp_path):
    return Path(shutil.copytree(data, tmp_path / "damaged"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "epoch", "5"], "benchmark has no parameter 'epoch'. Did you mean 'epochs'?"),
        (
            ["-p", "epochs", "five"],
            "epochs must be a whole number from 1 to 2000, not 'five'.",
        ),
        (["-p", "epochs", "-3"], "epochs must be a whole number from 1 to 2000, not '-3'."),
        (["--profile", "dem"], "There is no profile 'dem'. Did you mean 'demo'?"),
        (["--dataset", "zz"], "dataset must be one of zzu, ptbxl, not 'zz'."),
        (["--data", "nowhere"], "nowhere is no folder."),
        (["--data", "."], ". is no ZZU-pECG folder: it has no AttributesDictionary.csv."),
        (["--dataset", "ptbxl", "--data", "."], ". is no PTB-XL folder: it has no "),
    ],
)
def test_what_is_given_wrong_to_a_run_is_one_sentence_and_exit_code_2(
    tmp_path, arguments, sentence
):
    ran = pecg(tmp_path, "run", "benchmark", *arguments)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith(f"pecg: {sentence}")
    assert ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_an_unknown_chapter_is_refused(tmp_path):
    ran = pecg(tmp_path, "run", "benchmarks")
    assert ran.returncode == 2
    assert ran.stderr == "pecg: There is no chapter 'benchmarks'. Did you mean 'benchmark'?\n"


def test_a_missing_label_file_is_named(damaged, tmp_path):
    (damaged / "AttributesDictionary.csv").unlink()
    ran = pecg(tmp_path, "run", "benchmark", "--data", str(damaged))
    assert ran.returncode == 2
    assert ran.stderr.startswith(
        f"pecg: {damaged} is no ZZU-pECG folder: it has no AttributesDictionary.csv."
    )
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("column", ["ICD-10 code", "Patient_ID"])
def test_a_label_file_without_a_column_is_named_with_the_column(
    damaged, tmp_path, monkeypatch, capsys, column
):
    path = damaged / "AttributesDictionary.csv"
    pd.read_csv(path, dtype=str).drop(columns=column).to_csv(path, index=False)
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    assert called(monkeypatch, "run", "benchmark", "--data", damaged) == 2
    said = capsys.readouterr().err
    assert said.startswith("pecg: ")
    assert column in said
    assert "AttributesDictionary.csv" in said


def test_a_command_or_option_that_there_is_not_is_exit_code_2(monkeypatch, capsys):
    assert called(monkeypatch, "runn") == 2
    assert called(monkeypatch, "run", "benchmark", "--epochs", "5") == 2
    assert called(monkeypatch, "run") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_full_disk_is_exit_code_2(monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "there/model.pt")

    monkeypatch.setattr(running, "run", full)
    assert called(monkeypatch, "run", "benchmark") == 2
    assert capsys.readouterr().err == (
        "pecg: The disk is full: there/model.pt could not be written.\n"
    )


def test_another_error_of_the_system_is_not_called_a_full_disk(monkeypatch):
    def broken(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(running, "run", broken)
    monkeypatch.setattr(sys, "argv", ["pecg", "run", "benchmark"])
    with pytest.raises(OSError, match="Input/output"):
        cli.main()


def test_a_run_says_where_its_record_is(monkeypatch, capsys, tmp_path):
    asked = []

    def ran(*arguments):
        asked.append(arguments)
        return running.Ran("0123", tmp_path, skipped=True)

    monkeypatch.setattr(running, "run", ran)
    assert called(monkeypatch, "run", "benchmark", "-p", "epochs", "3", "--force") == 0
    expected = {"profile": None, "dataset": None, "data": None, "epochs": "3"}
    assert asked == [("benchmark", expected, True)]
    said = capsys.readouterr().out
    assert said == (
        f"benchmark 0123 is recorded already; nothing was run. Record: {tmp_path / 'record.json'}\n"
    )


def test_parameters_are_listed_with_their_values_in_each_profile(monkeypatch, capsys):
    assert called(monkeypatch, "parameters", "benchmark") == 0
    said = capsys.readouterr().out
    for name in chapters.CHAPTERS["benchmark"][0].model_fields:
        assert f"\n{name}: " in f"\n{said}"
    assert "smoke 60, demo 150" in said
    assert called(monkeypatch, "parameters", "benchmarc") == 2


def test_quality_names_each_bad_recording(damaged, monkeypatch, capsys):
    path = sorted(damaged.rglob("*.dat"))[0]
    path.write_bytes(path.read_bytes()[:-2])
    assert called(monkeypatch, "data", "quality", "zzu", damaged) == 0
    said = capsys.readouterr().out
    assert f"{path.stem}  shut out  unreadable: " in said
    assert ", 1 shut out." in said
    for path in damaged.rglob("*.dat"):
        path.unlink()
    assert called(monkeypatch, "data", "quality", "zzu", damaged) == 2
    assert "No recording in" in capsys.readouterr().err
    assert called(monkeypatch, "data", "quality", "zz", damaged) == 2
    assert capsys.readouterr().err == (
        "pecg: No dataset is called 'zz'; "
        "there are zzu, ptbxl, challenge, cpsc2018, leipzig, ludb, mitdb, pe, hospitals.\n"
    )


def test_a_twin_is_written_and_never_over_something_else(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "twin"
    assert called(monkeypatch, "data", "twin", "zzu", folder, "--size", "smoke") == 0
    assert (folder / "AttributesDictionary.csv").is_file()
    assert called(monkeypatch, "data", "twin", "zzu", folder, "--seed", "1") == 2
    assert called(monkeypatch, "data", "twin", "zz", folder) == 2
    assert called(monkeypatch, "data", "twin", "zzu", folder, "--size", "big") == 2
    said = capsys.readouterr().err.splitlines()
    assert "already holds another twin" in said[0]
    assert said[1] == "pecg: 'zz' has no twin; there is one of " + ", ".join(TWINS) + "."
    assert said[2].startswith("pecg: There is no size 'big'; there are smoke")


def test_doctor_says_what_there_is(data, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    assert called(monkeypatch, "doctor") == 0
    said = capsys.readouterr().out
    for what in ("python", "torch", "GPU", "state-space models", "memory", "disk"):
        assert f"\n{what} " in f"\n{said}"
    assert "none found" in said
    assert called(monkeypatch, "doctor", data.parent) == 0
    assert f"{data}: twin, " in capsys.readouterr().out


def test_keep_of_no_run_is_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    assert called(monkeypatch, "keep", "abc") == 2
    assert "No finished runs have a key" in capsys.readouterr().err


def test_keep_and_report_name_what_they_wrote(monkeypatch, capsys, tmp_path):
    from pecg_utils import places, report

    monkeypatch.setattr(places, "PROJECT", tmp_path)
    monkeypatch.setattr(ledger, "keep", lambda key: tmp_path / "book" / f"{key}.json")
    monkeypatch.setattr(report, "write_all", lambda: [tmp_path / "book" / "claims.md"])
    assert called(monkeypatch, "keep", "abc") == 0
    assert called(monkeypatch, "report") == 0
    assert capsys.readouterr().out == "Kept: book/abc.json\nwritten: book/claims.md\n"


def test_a_survey_is_kept_for_the_book(twin_folder, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    assert called(monkeypatch, "data", "survey", f"zzu={twin_folder}") == 0
    assert "zzu, twin: " in capsys.readouterr().out
    kept = json.loads((tmp_path / "book/results/data/survey.json").read_text())
    (one,) = kept["datasets"]
    assert (one["dataset"], one["kind"]) == ("zzu", "twin")
    assert one["recordings"] == one["quality"]["checked"] > 0
    assert kept["copies"] == []
    assert called(monkeypatch, "data", "survey", "zzu") == 2
    assert capsys.readouterr().err == "pecg: 'zzu' is no NAME=FOLDER, as in ptbxl=~/ptb-xl.\n"
    assert called(monkeypatch, "data", "survey", f"zz={twin_folder}") == 2


def test_likeness_is_kept_for_the_book(monkeypatch, capsys, tmp_path):
    folder = TWINS["zzu"].write(tmp_path / "zzu", 50, seed=9, workers=1)
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    monkeypatch.setenv("PECG_WORK", str(tmp_path))
    assert called(monkeypatch, "data", "likeness", f"zzu={folder}", "--size", "smoke") == 0
    assert "zzu: told from its twin with an AUROC of " in capsys.readouterr().out
    (one,) = json.loads((tmp_path / "book/results/data/likeness.json").read_text())["compared"]
    assert (one["dataset"], one["kind"]) == ("zzu", "twin")
    assert called(monkeypatch, "data", "likeness", f"ludb={folder}") == 2
    assert called(monkeypatch, "data", "likeness", f"zzu={folder}", "--size", "big") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-2].startswith("pecg: 'ludb' has no twin; there is one of zzu, ptbxl")
    assert said[-1] == "pecg: There is no size 'big'; there are smoke, demo, study, full."


@pytest.mark.parametrize("name", ["ptbxl", "challenge", "cpsc2018", "pe"])
def test_every_twin_can_be_asked_for_by_name(monkeypatch, capsys, tmp_path, name):
    assert called(monkeypatch, "data", "twin", name, tmp_path / name, "--size", "smoke") == 0
    assert f"The twin of {name} is in {tmp_path / name}." in capsys.readouterr().out
    assert called(monkeypatch, "data", "check", tmp_path / name) == 0
    assert f"holds {name}, twin: " in capsys.readouterr().out


def test_a_twin_where_none_can_be_is_one_sentence(monkeypatch, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert called(monkeypatch, "data", "twin", "zzu", tmp_path / "link", "--size", "smoke") == 0
    assert (tmp_path / "link" / "AttributesDictionary.csv").is_file()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "twin.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "odd", tmp_path / "file" / "twin", "/proc/nope/twin"):
        assert called(monkeypatch, "data", "twin", "zzu", place, "--size", "smoke") == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "already holds another twin" in said or "cannot be written" in said
    assert called(monkeypatch, "data", "twin", "zzu", tmp_path / "x", "--seed", "-1") == 2
    assert "Traceback" not in capsys.readouterr().err
