"""Fetching a release: its list of files, its checksums, room on the disk, the command."""

import dataclasses
import sys

import pytest
from loopback import BASE, BIG, QUICK, free, names, refused, zipped

from pecg_utils import cli
from pecg_utils.data import archives, download
from pecg_utils.data.download import fetch
from pecg_utils.errors import PecgError


def test_files_and_folders_come_and_a_second_call_asks_for_nothing(host, publish, tmp_path):
    contents = {"a.csv": b"x,y\n", "records/00/1.dat": BIG, "with space.txt": b"", "b~": b"b"}
    assert fetch("a", tmp_path / "new/a", publish(contents), QUICK) == tmp_path / "new/a"
    for name, content in contents.items():
        assert (tmp_path / "new/a" / name).read_bytes() == content
    assert names(tmp_path / "new/a") == set(contents)
    host.asked.clear()
    fetch("a", tmp_path / "new/a", publish(contents), QUICK)
    assert host.asked == []


def test_only_what_is_missing_or_damaged_is_fetched_again(host, publish, tmp_path):
    release = publish({"a": b"aaa", "b": b"bbb", "c": b"ccc"})
    fetch("a", tmp_path, release, QUICK)
    host.asked.clear()
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_bytes(b"bbd")
    fetch("a", tmp_path, release, QUICK)
    assert sorted(path for path, _ in host.asked) == [f"{BASE}/a", f"{BASE}/b"]
    assert [(tmp_path / name).read_bytes() for name in "abc"] == [b"aaa", b"bbb", b"ccc"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/tmp/x", "..", "C:x", "..\\x", "SHA256SUMS.txt"]
)
def test_a_list_that_names_a_file_outside_is_refused(host, publish, tmp_path, name):
    release = publish({"good": b""}, f"{'0' * 64} good\n{'0' * 64} {name}\n")
    said = refused(release, tmp_path / "a")
    assert f"names the file {name!r}, which is outside the folder" in said
    assert host.ranges("good") == []
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<html>\n", "line 1 is no checksum with a name: '<html>'"),
        (f"{'0' * 64} a\n{'0' * 63} b\n", "line 2 is no checksum"),
        (f"{'0' * 64} a\n\n", "line 2 is no checksum"),
        (f"{'0' * 64}\n", "line 1 is no checksum"),
        (f"{'0' * 64} a\n{'0' * 64} b.d", "its last line is cut"),
        (f"{'0' * 64} a\n{'0' * 64} a\n", "named twice"),
        ("\n", "line 1 is no checksum"),
    ],
)
def test_a_malformed_list_is_refused_and_not_kept(publish, tmp_path, text, what):
    said = refused(publish({"a": b""}, text), tmp_path)
    assert what in said
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_broke_off_begins_anew(publish, tmp_path):
    (tmp_path / "SHA256SUMS.txt.part").write_text(f"{'0' * 64} of an older list\n")
    fetch("a", tmp_path, publish({"a": b"aaa", "b": b"bbb", "c": b"ccc"}), QUICK)
    assert names(tmp_path) == {"a", "b", "c"}


def test_a_kept_list_that_is_damaged_is_named(publish, tmp_path):
    release = publish({"a": b"aaa"})
    (tmp_path / "SHA256SUMS.txt").write_bytes(b"\xff\n")
    said = refused(release, tmp_path)
    assert said.startswith(f"{tmp_path / 'SHA256SUMS.txt'}, from {release.listing}, is no list")
    assert "Delete it" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"computed_md5": "0" * 31},
        {"computed_md5": None},
        {"size": None},
        {"size": "big"},
    ],
)
def test_a_figshare_list_without_sums_or_sizes_is_refused(publish_archive, tmp_path, changes):
    assert "is no list of files" in refused(
        publish_archive({"Child.zip": b""}, **changes), tmp_path
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'{"files": 3}', b'{"files": [1]}'])
def test_an_answer_that_is_no_article_is_refused(host, publish_archive, tmp_path, answer):
    release = publish_archive({})
    host.files["/v2/articles/1"] = answer
    assert "it is no article of figshare's" in refused(release, tmp_path)


def test_a_release_without_its_archive_is_refused(publish_archive, tmp_path):
    assert "does not list Child.zip" in refused(publish_archive({"b.csv": b""}), tmp_path)


def test_a_real_list_can_be_read(real):
    text = (real("ludb") / "SHA256SUMS.txt").read_text()
    found = download.physionet_files(text, "https://physionet.org/files/ludb/1.0.1/SHA256SUMS.txt")
    assert len(found) == 2805
    assert all(archives.inside(file.name) for file in found)
    (table,) = (file for file in found if file.name == "ludb.csv")
    assert table.url == "https://physionet.org/files/ludb/1.0.1/ludb.csv"


def test_too_little_disk_is_said_before_the_first_file(
    host, publish_archive, monkeypatch, tmp_path
):
    release = publish_archive({"a": BIG, "Child.zip": zipped({"x": b"x"})})
    free(monkeypatch, 1_000_000)
    said = refused(release, tmp_path / "new/folder")
    assert "An article needs 0.001 GB more, and " in said
    assert "has 0.001 GB free. Free some space" in said
    assert host.ranges("a") == host.ranges("Child.zip") == []
    (tmp_path / "new/folder/a.part").write_bytes(BIG[:-100_000])  # what is there needs no room
    fetch("a", tmp_path / "new/folder", release, QUICK)


def test_too_little_disk_for_what_is_known_of_a_release(host, publish, monkeypatch, tmp_path):
    release = dataclasses.replace(publish({"a": b"aaa"}), at_least=3_000_000_000)
    free(monkeypatch, 2_000_000_000)
    assert "needs 3 GB more" in refused(release, tmp_path)
    assert host.ranges("a") == []


def test_too_little_disk_for_one_file(publish, monkeypatch, tmp_path):
    release = publish({"big.dat": BIG})
    free(monkeypatch, 999_999)
    assert "big.dat needs 0.001 GB more" in refused(release, tmp_path)
    assert names(tmp_path) == set()


def test_a_disk_that_fills_up_is_one_sentence(publish, tiny_disk):
    (tiny_disk / "other").write_bytes(b"x" * 900_000)
    assert "needs 0.001 GB more" in refused(publish({"big.dat": BIG}), tiny_disk)
    assert names(tiny_disk) == {"other"}


def test_a_place_that_cannot_be_written_to_is_one_sentence(publish, tmp_path):
    release = publish({"a": b"aaa", "b/c": b"c"})
    (tmp_path / "b").write_text("a file")
    assert refused(release, tmp_path).startswith(f"{tmp_path / 'b/c'} could not be written: ")
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(release, tmp_path / "file")


def test_every_release_says_where_it_is_and_on_what_terms():
    for name, release in download.RELEASES.items():
        assert release.listing.startswith("https://"), name
        said = download.terms(release)
        for part in (release.title, release.page, release.licence, release.citation):
            assert part in said
        assert "doi" in said
        if release.kept_as == "SHA256SUMS.txt":
            assert release.listing == (
                release.page.replace("/content/", "/files/") + "SHA256SUMS.txt"
            )


def test_an_unknown_name_is_refused(tmp_path):
    said = refused(None, tmp_path)
    assert said == (
        "No dataset is called 'a'; there are zzu, ptbxl, challenge, leipzig, ludb, mitdb."
    )


def test_a_dataset_without_checksums_is_not_fetched_by_name(tmp_path):
    with pytest.raises(PecgError, match=r"^cpsc2018 cannot be fetched by name: .*http://2018\."):
        fetch("cpsc2018", tmp_path)


def called(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["pecg", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as left:
        return left.code
    return 0


def test_the_command_prints_the_terms_and_then_where_the_data_are(
    host, publish, monkeypatch, tmp_path, capsys
):
    release = publish({"a": b"aaa"})
    monkeypatch.setitem(download.RELEASES, "ludb", release)
    assert called(monkeypatch, "data", "fetch", "ludb", tmp_path / "x") == 0
    said = capsys.readouterr().out
    assert said == f"{download.terms(release)}\nludb is in {tmp_path / 'x'}.\n"
    assert (tmp_path / "x/a").read_bytes() == b"aaa"


def test_the_command_ends_with_a_sentence_and_code_2(host, publish, monkeypatch, tmp_path, capsys):
    release = publish({"a": b"aaa"})
    del host.files[f"{BASE}/a"]
    monkeypatch.setitem(download.RELEASES, "ludb", release)
    assert called(monkeypatch, "data", "fetch", "ludb", tmp_path) == 2
    said = capsys.readouterr()
    assert said.out == f"{download.terms(release)}\n"  # the terms come before the download
    assert said.err.startswith(f"pecg: {host.address}{BASE}/a cannot be fetched: ")
    assert said.err.count("\n") == 1
    assert called(monkeypatch, "data", "fetch", "ludbb", tmp_path) == 2
    assert capsys.readouterr().err.startswith("pecg: No dataset is called 'ludbb'")
