"""A server on loopback that publishes releases and misbehaves as it is told, as fixtures."""

import hashlib
import io
import json
import shutil
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from pecg_utils.data import download
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


def free(monkeypatch, space):
    usage = SimpleNamespace(total=10**9, used=0, free=space)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def zipped(contents, compress=zipfile.ZIP_DEFLATED):
    """A zip file. The names are strings, or ZipInfo for what no tool would write."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return out.getvalue()
