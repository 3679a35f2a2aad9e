"""Transfers that break off, lie and stop: nothing half-written, every fault a sentence."""

import hashlib
import time

import pytest
from loopback import BASE, BIG, QUICK, announcing, cut, names, ranged, refused, status, whole

from pecg_utils.data.download import Patience, Release, fetch
from pecg_utils.errors import PecgError


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
