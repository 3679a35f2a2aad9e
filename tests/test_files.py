"""Files that are written whole or not at all."""

import errno
from pathlib import Path

import pytest

from pecg_utils import files
from pecg_utils.errors import PecgError


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    files.write_text(tmp_path / "deep/er/a.txt", "α")
    assert (tmp_path / "deep/er/a.txt").read_text(encoding="utf-8") == "α"
    files.write_text(tmp_path / "deep/er/a.txt", "β")
    with files.whole(tmp_path / "folder") as scratch:
        scratch.mkdir()
        (scratch / "b").write_text("b")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "deep/er/a.txt").read_text(encoding="utf-8") == "β"
    assert (tmp_path / "folder/b").read_text() == "b"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "folder"]
    assert [p.name for p in (tmp_path / "deep/er").iterdir()] == ["a.txt"]


def fail_while_writing(target: Path, error: BaseException, folder: bool = False) -> None:
    with files.whole(target) as scratch:
        if folder:
            scratch.mkdir()
            (scratch / "half").touch()
        else:
            scratch.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), PecgError("y")])
@pytest.mark.parametrize("folder", [False, True])
def test_nothing_is_left_of_a_failed_block(
    tmp_path: Path, error: BaseException, folder: bool
) -> None:
    files.write_text(tmp_path / "a", "old")
    with pytest.raises(type(error)):
        fail_while_writing(tmp_path / "a", error, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_of_two_folders_the_first_stays(tmp_path: Path) -> None:
    with files.whole(tmp_path / "a") as scratch:
        scratch.mkdir()
        (scratch / "mine").touch()
        (tmp_path / "a").mkdir()
        (tmp_path / "a/theirs").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["theirs"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(tmp_path: Path, number: int) -> None:
    message = r"^The disk is full: .*/a could not be written, and nothing"
    with pytest.raises(PecgError, match=message):
        fail_while_writing(tmp_path / "a", OSError(number, "full"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full(tiny_disk: Path) -> None:
    with pytest.raises(PecgError, match="The disk is full"):
        files.write_text(tiny_disk / "a", "x" * (1 << 21))
    assert list(tiny_disk.iterdir()) == []
    files.write_text(tiny_disk / "b", "x")


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for target in ("file/a", "file/b/a"):
        with pytest.raises(PecgError, match=r"cannot be written: .*Choose another folder\."):
            files.write_text(tmp_path / target, "x")
    assert (tmp_path / "file").read_text() == "x"


def test_other_faults_keep_their_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.whole(tmp_path / "a"):
        (tmp_path / "nowhere").read_text()


def test_a_fingerprint_tells_parts_from_their_neighbours() -> None:
    assert files.fingerprint(["ab", "c"]) != files.fingerprint(["a", "bc"])
    assert files.fingerprint(["a", "b"]) != files.fingerprint(["a" + 8 * "\0" + "b"])
    assert files.fingerprint(["a", b"b"]) == files.fingerprint([b"a", "b"])
    assert files.fingerprint(["a", "b"]) != files.fingerprint(["b", "a"])
    assert len(files.fingerprint([])) == 12


def test_a_files_digest_is_of_its_contents(tmp_path: Path) -> None:
    for name, content in {"a": b"x", "b": b"x", "c": b"y"}.items():
        (tmp_path / name).write_bytes(content)
    digests = [files.file_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
