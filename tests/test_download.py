"""Downloads, against a server on loopback that breaks off, lies and refuses."""

import dataclasses
import hashlib
import io
import json
import shutil
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from pecg_utils import cli
from pecg_utils.data import archives, download
from pecg_utils.data.download import Patience, Release, fetch
from pecg_utils.errors import PecgError

QUICK = Patience(tries=3, wait=0.01, at_once=2)
BASE = "/db/1.0"
BIG = np.random.default_rng(0).bytes(1_000_000)


class Host(ThreadingHTTPServer):
    """A server. script: for a path, the ways of answering, one a request; the last one stays."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.script, self.asked, self.sent = {}, {}, [], 0
        self.address = f"http://127.0.0.1:{self.server_port}"

    def ranges(self, name):
        """The Range headers of the requests for a file, in their order."""
        return [asked for path, asked in self.asked if path == f"{BASE}/{name}"]

    def handle_error(self, request, client_address):
        pass  # a client that goes away is part of the tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        ways = self.server.script.get(self.path)
        way = ranged if not ways else ways.pop(0) if len(ways) > 1 else ways[0]
        body = self.server.files.get(unquote(self.path))
        if body is None:
            self.answer(404)
        else:
            way(self, body, int(asked[6:-1]) if asked else None)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(body)} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.server.sent += len(body)

    def log_message(self, *arguments):
        pass


def ranged(handler, body, begin):
    """The right answer."""
    if begin is None:
        handler.answer(200, body)
    elif begin >= len(body):
        handler.answer(416, Content_Range=f"bytes */{len(body)}")
    else:
        given = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        handler.answer(206, body[begin:], Content_Range=given)


def whole(handler, body, begin):
    handler.answer(200, body)


def cut(handler, body, begin):
    """Announces everything, sends the half, and breaks the connection."""
    rest = body[begin or 0 :]
    given = {"Content_Range": f"bytes {begin}-{len(body) - 1}/{len(body)}"} if begin else {}
    handler.answer(206 if begin else 200, rest[: len(rest) // 2], Content_Length=len(rest), **given)
    handler.close_connection = True


def status(code):
    return lambda handler, body, begin: handler.answer(code)


def announcing(length):
    """Sends the whole body under another length."""

    def way(handler, body, begin):
        handler.answer(200, body, Content_Length=length, Connection="close")
        handler.close_connection = True

    return way


@pytest.fixture
def host():
    server = Host()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def publish(host):
    """Publishes files as PhysioNet does. The list's text can be another."""

    def put(contents, listing=None):
        lines = [f"{hashlib.sha256(c).hexdigest()} {name}\n" for name, c in contents.items()]
        text = "".join(lines) if listing is None else listing
        host.files |= {f"{BASE}/{name}": content for name, content in contents.items()}
        host.files[f"{BASE}/SHA256SUMS.txt"] = text.encode()
        return Release(
            title="A database 1.0",
            page="https://example.org/a",
            licence="CC0",
            citation="Somebody 2001",
            listing=f"{host.address}{BASE}/SHA256SUMS.txt",
        )

    return put


@pytest.fixture
def publish_archive(host):
    """Publishes files as figshare does, with sizes; Child.zip is to be unpacked."""

    def put(contents, **changes):
        files = [
            {
                "name": name,
                "size": len(content),
                "download_url": f"{host.address}{BASE}/{name}",
                "computed_md5": hashlib.md5(content).hexdigest(),
            }
            | changes
            for name, content in contents.items()
        ]
        host.files |= {f"{BASE}/{name}": content for name, content in contents.items()}
        host.files["/v2/articles/1"] = json.dumps({"id": 1, "files": files}).encode()
        return Release(
            title="An article",
            page="https://example.org/b",
            licence="CC0",
            citation="Somebody 2002",
            listing=f"{host.address}/v2/articles/1",
            read=download.figshare_files,
            kept_as="figshare.json",
            archive="Child.zip",
        )

    return put


def refused(release, folder, patience=QUICK):
    """What the user reads when the fetch is refused: one line, at most three sentences."""
    with pytest.raises(PecgError) as caught:
        fetch("a", folder, release, patience)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    return said


def names(folder):
    """Every file in the folder, but the list."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {"SHA256SUMS.txt", "figshare.json"}


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


def test_a_broken_connection_is_taken_up_where_it_broke(host, publish, tmp_path):
    host.script[f"{BASE}/big.dat"] = [cut, ranged]
    fetch("a", tmp_path, publish({"big.dat": BIG}), QUICK)
    assert (tmp_path / "big.dat").read_bytes() == BIG
    first, second = host.ranges("big.dat")
    assert first is None
    assert 400_000 < int(second.removeprefix("bytes=").rstrip("-")) <= 500_000
    assert host.sent < 1.2 * len(BIG)


def test_another_call_goes_on_where_the_last_one_broke_off(host, publish, tmp_path):
    release = publish({"big.dat": BIG})
    host.script[f"{BASE}/big.dat"] = [cut, ranged]
    said = refused(release, tmp_path, Patience(tries=1, wait=0.01))
    assert f"{host.address}{BASE}/big.dat could not be fetched in 1 tries" in said
    assert f"kept in {tmp_path / 'big.dat.part'}; the same command goes on" in said
    assert names(tmp_path) == {"big.dat.part"}
    fetch("a", tmp_path, release, QUICK)
    assert names(tmp_path) == {"big.dat"}
    assert (tmp_path / "big.dat").read_bytes() == BIG
    assert host.ranges("big.dat")[1].startswith("bytes=4")


def test_tries_are_counted(host, publish, tmp_path):
    host.script[f"{BASE}/big.dat"] = [cut]
    said = refused(publish({"big.dat": BIG}), tmp_path)
    assert "in 3 tries" in said
    assert len(host.ranges("big.dat")) == 3
    assert names(tmp_path) == {"big.dat.part"}


def test_a_server_that_knows_no_ranges_sends_all_again(host, publish, tmp_path):
    host.script[f"{BASE}/big.dat"] = [cut, whole]
    fetch("a", tmp_path, publish({"big.dat": BIG}), QUICK)
    assert (tmp_path / "big.dat").read_bytes() == BIG
    _, second = host.ranges("big.dat")
    assert second is not None


@pytest.mark.parametrize(
    "given", ["bytes 3-999999/1000000", "bytes 5-9/1000000", "bytes 5-999999/*", "nonsense"]
)
def test_another_range_than_was_asked_for_is_not_taken(host, publish, tmp_path, given):
    def shifted(handler, body, begin):
        handler.answer(206, body[begin:], Content_Range=given)

    release = publish({"big.dat": BIG})
    host.script[f"{BASE}/big.dat"] = [shifted, ranged]
    (tmp_path / "big.dat.part").write_bytes(BIG[:5])
    fetch("a", tmp_path, release, QUICK)
    assert (tmp_path / "big.dat").read_bytes() == BIG
    assert host.ranges("big.dat") == ["bytes=5-", None]


def test_a_range_that_nobody_asked_for_is_not_taken(host, publish, tmp_path):
    def partial(handler, body, begin):
        handler.answer(206, body, Content_Range=f"bytes 0-{len(body) - 1}/{len(body)}")

    host.script[f"{BASE}/a"] = [partial]
    assert "byte 0 and on were asked for" in refused(publish({"a": b"aaa"}), tmp_path)
    assert names(tmp_path) == set()


def test_416_begins_again_from_zero(host, publish, tmp_path):
    (tmp_path / "a.part").write_bytes(b"longer than the file")
    fetch("a", tmp_path, publish({"a": b"aaa"}), QUICK)
    assert (tmp_path / "a").read_bytes() == b"aaa"
    assert host.ranges("a") == ["bytes=20-", None]


def test_416_after_the_last_byte_is_the_end(host, publish, tmp_path):
    (tmp_path / "big.dat.part").write_bytes(BIG)
    fetch("a", tmp_path, publish({"big.dat": BIG}), QUICK)
    assert names(tmp_path) == {"big.dat"}
    assert host.ranges("big.dat") == ["bytes=1000000-"]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_named_with_address_and_status(host, publish, tmp_path, code):
    host.script[f"{BASE}/a"] = [status(code)]
    said = refused(publish({"a": b"aaa"}), tmp_path)
    assert said.startswith(f"{host.address}{BASE}/a cannot be fetched: the server answers {code} ")
    assert f"put at {tmp_path / 'a'} is used." in said
    assert len(host.ranges("a")) == 1
    assert names(tmp_path) == set()


def test_a_challenge_for_browsers_is_no_file(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [status(202)]  # what a firewall before a server sends
    assert "the server answers 202 Accepted." in refused(publish({"a": b"aaa"}), tmp_path)
    assert names(tmp_path) == set()


def test_a_list_that_is_not_there_is_named(host, publish, tmp_path):
    release = publish({})
    host.files.clear()
    said = refused(release, tmp_path)
    assert said.startswith(f"{release.listing} cannot be fetched: the server answers 404 Not Found")
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [status(503), status(429), ranged]
    fetch("a", tmp_path, publish({"a": b"aaa"}), QUICK)
    assert (tmp_path / "a").read_bytes() == b"aaa"


def test_a_server_that_stays_busy_is_given_up(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [status(503)]
    said = refused(publish({"a": b"aaa"}), tmp_path)
    assert said.endswith("in 3 tries; the last one ended with: the server answers 503 Service "
                         "Unavailable.")  # fmt: skip
    assert len(host.ranges("a")) == 3
    assert names(tmp_path) == set()


def test_a_server_that_is_not_there_is_named(publish, tmp_path):
    listing = "http://127.0.0.1:9/SHA256SUMS.txt"
    said = refused(Release("t", "p", "l", "c", listing), tmp_path)
    assert said.startswith(f"{listing} could not be fetched in 3 tries")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(host, tmp_path):
    import requests

    from pecg_utils.data.transfer import Resuming

    def silent(handler, body, begin):
        time.sleep(0.6)
        handler.close_connection = True

    host.files["/a"], host.script["/a"] = b"aaa", [silent]
    with requests.Session() as session:
        getting = Resuming(tmp_path / "a", session, tries=2, wait=0.01, patience=0.1)
        with pytest.raises(PecgError, match=r"in 2 tries.*timed out"):
            getting(f"{host.address}/a", tmp_path / "b")


def test_one_failure_ends_the_other_transfers(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [status(503)]
    host.script[f"{BASE}/b"] = [status(404)]
    begun = time.perf_counter()
    said = refused(publish({"a": b"aaa", "b": b"bbb"}), tmp_path, Patience(3, 10.0, 2))
    assert time.perf_counter() - begun < 5
    assert "404" in said


def test_a_wrong_checksum_deletes_the_file_and_names_both(host, publish, tmp_path):
    release = publish({"a": b"aaa"})
    host.files[f"{BASE}/a"] = b"aab"
    said = refused(release, tmp_path)
    for content in (b"aaa", b"aab"):
        assert hashlib.sha256(content).hexdigest() in said
    assert said.startswith(f"{host.address}{BASE}/a has another checksum")
    assert names(tmp_path) == set()
    host.files[f"{BASE}/a"] = b"aaa"
    fetch("a", tmp_path, release, QUICK)
    assert (tmp_path / "a").read_bytes() == b"aaa"


def test_a_stale_part_of_another_file_is_not_trusted(host, publish, tmp_path):
    (tmp_path / "a").with_suffix(".part").write_bytes(b"z")
    assert "checksum" in refused(publish({"a": b"aaa"}), tmp_path)
    assert names(tmp_path) == set()


def test_a_body_shorter_than_announced_is_refused(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [announcing(9)]
    said = refused(publish({"a": b"aaa"}), tmp_path)
    assert "in 3 tries" in said
    assert names(tmp_path) <= {"a.part"}


def test_a_body_longer_than_announced_is_refused(host, publish, tmp_path):
    host.script[f"{BASE}/a"] = [announcing(2)]
    assert hashlib.sha256(b"aa").hexdigest() in refused(publish({"a": b"aaa"}), tmp_path)
    assert names(tmp_path) == set()


def test_another_length_than_published_is_refused_at_once(host, publish_archive, tmp_path):
    host.script[f"{BASE}/Child.zip"] = [announcing(4), announcing(2)]
    release = publish_archive({"Child.zip": b"aaa"})
    for announced in (4, 2):
        said = refused(release, tmp_path)
        assert f"announces {announced} bytes, and 3 are published." in said
    assert names(tmp_path) == set()


@pytest.mark.parametrize(("body", "what"), [(b"aaaa", "more than the 3"), (b"aa", "only 2 of")])
def test_without_a_length_the_published_one_counts(host, publish_archive, tmp_path, body, what):
    release = publish_archive({"Child.zip": b"aaa"})
    host.files[f"{BASE}/Child.zip"] = body
    host.script[f"{BASE}/Child.zip"] = [announcing(None)]
    assert what in refused(release, tmp_path, Patience(1, 0.01))
    assert names(tmp_path) == {"Child.zip.part"}


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


def free(monkeypatch, space):
    usage = SimpleNamespace(total=10**9, used=0, free=space)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


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


# Archives


def zipped(contents, compress=zipfile.ZIP_DEFLATED):
    """A zip file. The names are strings, or ZipInfo for what no tool would write."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return out.getvalue()


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


# Names and the command


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
