"""Archives, whole and split, good and hostile."""

import io
import shutil
import stat
import struct
import subprocess
import zipfile

import numpy as np
import pytest
from loopback import BIG, QUICK, free, names, refused, zipped

from pecg_utils.data import archives
from pecg_utils.data.download import fetch
from pecg_utils.errors import PecgError


def split(whole, *sizes):
    """The zip file cut as PKZIP cuts it, into parts of these sizes and the rest, the last one."""
    data = bytearray(b"PK\7\x08" + whole)  # the signature of a split archive stands first
    starts = [0, *np.cumsum(sizes).tolist()]

    def place(position):
        part = max(n for n, start in enumerate(starts) if start <= position)
        return part, position - starts[part]

    end = len(data) - 22
    members, length, position = struct.unpack_from("<HLL", data, end + 10)
    at = position + 4
    here = 0
    for _ in range(members):
        (offset,) = struct.unpack_from("<L", data, at + 42)
        part, offset = place(offset + 4)
        struct.pack_into("<H", data, at + 34, part)
        struct.pack_into("<L", data, at + 42, offset)
        here += place(at)[0] == len(sizes)
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    part, position = place(position + 4)
    struct.pack_into("<4H2L", data, end + 4, len(sizes), part, here, members, length, position)
    return [bytes(data[a:b]) for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


SIGNALS = {f"Child/P0{n}/E{n}.dat": BIG[n * 9000 : (n + 1) * 9000] for n in range(5)}


def parts_of(whole, *sizes):
    *first, last = split(whole, *sizes)
    return {f"Child.z{n:02d}": part for n, part in enumerate(first, 1)} | {"Child.zip": last}


def test_an_archive_is_unpacked_and_a_second_call_needs_it_no_more(
    host, publish_archive, tmp_path, capsys
):
    release = publish_archive({"table.csv": b"x", "Child.zip": zipped(SIGNALS)})
    fetch("a", tmp_path, release, QUICK)
    for name, content in SIGNALS.items():
        assert (tmp_path / name).read_bytes() == content
    assert f"No longer needed in {tmp_path}: Child.zip." in capsys.readouterr().err
    (tmp_path / "Child.zip").unlink()
    host.asked.clear()
    fetch("a", tmp_path, release, QUICK)
    assert host.asked == []
    assert not (tmp_path / "Child.zip").exists()


def test_members_without_the_top_folder_go_into_it(publish_archive, tmp_path):
    fetch("a", tmp_path, publish_archive({"Child.zip": zipped({"P/E.dat": b"e"})}), QUICK)
    assert (tmp_path / "Child/P/E.dat").read_bytes() == b"e"


def test_a_folder_that_was_there_before_is_not_taken_for_the_archives(
    host, publish_archive, tmp_path
):
    (tmp_path / "Child").mkdir()
    said = refused(publish_archive({"Child.zip": zipped(SIGNALS)}), tmp_path)
    assert said.startswith(f"{tmp_path / 'Child'} is there already and was not unpacked from this")
    assert host.ranges("Child.zip") == []


@pytest.mark.parametrize(
    "sizes",
    [(20_000,), (10_000, 10_000, 10_000), (4,), (-200,), (9_047, 9_046)],
    ids=["two", "four", "only the signature first", "within the directory", "odd"],
)
def test_a_split_archive_is_unpacked(publish_archive, tmp_path, sizes):
    whole = zipped(SIGNALS)
    contents = parts_of(whole, *(size % len(whole) for size in sizes))
    assert len(contents) == len(sizes) + 1
    fetch("a", tmp_path, publish_archive(contents), QUICK)
    for name, content in SIGNALS.items():
        assert (tmp_path / name).read_bytes() == content


def test_a_split_archive_of_another_program_is_unpacked(tmp_path):
    if not shutil.which("zip"):
        pytest.skip("no zip command, so no archive that another program has split")
    for name, content in {**SIGNALS, "Child/big": BIG[:200_000]}.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    command = ["zip", "-q", "-r", "-s", "64k", tmp_path / "Child.zip", "Child"]
    subprocess.run(command, cwd=tmp_path / "in", check=True)
    assert len(list(tmp_path.glob("Child.z*"))) == 4
    archives.unpack(tmp_path / "Child.zip", tmp_path / "Child")
    for name, content in SIGNALS.items():
        assert (tmp_path / name).read_bytes() == content


def test_a_part_that_is_missing_is_named(publish_archive, tmp_path):
    contents = parts_of(zipped(SIGNALS), 10_000, 10_000)
    del contents["Child.z02"]
    said = refused(publish_archive(contents), tmp_path)
    assert said.endswith(f"is the last of 3 parts; {tmp_path / 'Child.z02'} is missing.")
    assert not (tmp_path / "Child").exists()


@pytest.mark.parametrize("part", ["Child.z01", "Child.z02", "Child.zip"])
@pytest.mark.parametrize("side", ["begin", "end"])
def test_a_part_that_is_cut_is_refused(publish_archive, tmp_path, part, side):
    contents = parts_of(zipped(SIGNALS), 20_000, 10_000)
    contents[part] = contents[part][100:] if side == "begin" else contents[part][:-100]
    said = refused(publish_archive(contents), tmp_path)
    assert "or a part of it is damaged" in said
    assert names(tmp_path) == set(contents)


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "member", ["../x", "Child/../../x", "/x", "C:/x", "..\\x", "\\x", link("Child/x")]
)
def test_a_member_that_leaves_the_folder_is_refused(publish_archive, tmp_path, member):
    contents = {"Child.zip": zipped({"Child/good": b"g", member: b"/etc/passwd"})}
    said = refused(publish_archive(contents), tmp_path / "a")
    assert "is a link or would not stay in the folder; nothing of it was unpacked." in said
    assert names(tmp_path) - {"a/figshare.json"} == {"a/Child.zip"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_named_twice_is_refused(publish_archive, tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("Child/a", b"1")
        file.writestr("Child/a", b"2")
    assert "twice" in refused(publish_archive({"Child.zip": out.getvalue()}), tmp_path)
    assert not (tmp_path / "Child").exists()


def test_a_zip_bomb_is_refused(publish_archive, tmp_path):
    said = refused(publish_archive({"Child.zip": zipped({"Child/a": bytes(10**6)})}), tmp_path)
    assert "would unpack to 1000000, which no archive of recordings does" in said
    assert names(tmp_path) == {"Child.zip"}


def test_an_archive_may_not_unpack_to_too_much(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"x": BIG}))
    with pytest.raises(PecgError, match="would unpack to 1000000"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "a", most=999_999)
    archives.unpack(tmp_path / "a.zip", tmp_path / "a", most=1_000_000)


def test_a_member_gives_no_more_than_it_declares(tmp_path):
    data = bytearray(zipped({"x": bytes(50_000) + BIG[:1000]}))
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 1000)  # its size, in the directory
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(PecgError, match="damaged"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert names(tmp_path) == {"a.zip"}


def test_too_little_disk_to_unpack(monkeypatch, tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"x": BIG}))
    free(monkeypatch, 999_999)
    with pytest.raises(PecgError, match=r"Unpacking a\.zip needs 0\.001 GB more"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert names(tmp_path) == {"a.zip"}


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [(8, 1, "is encrypted"), (10, 9, "compression method is not supported")],
)
def test_what_python_cannot_unpack_is_one_sentence(tmp_path, offset, value, what):
    data = bytearray(zipped({"x": b"xyz"}))
    for at, shift in ((data.index(b"PK\1\2"), 0), (0, -2)):  # in the directory and at the member
        struct.pack_into("<H", data, at + offset + shift, value)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(PecgError, match=f"cannot be unpacked here: .*{what}"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "a")
    assert names(tmp_path) == {"a.zip"}


def test_no_zip_at_all_is_refused(publish_archive, tmp_path):
    assert "does not end as a zip" in refused(publish_archive({"Child.zip": b"<html>"}), tmp_path)


def test_a_split_archive_of_the_zip64_kind_is_refused_in_plain_words(tmp_path):
    *_, last = split(zipped(SIGNALS), 20_000)
    data = bytearray(last)
    struct.pack_into("<L", data, len(data) - 6, 0xFFFFFFFF)
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "a.z01").write_bytes(b"")
    with pytest.raises(PecgError, match="zip64 kind; unpack it with 7-Zip"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "a")
