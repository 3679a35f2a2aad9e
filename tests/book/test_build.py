"""The book builds strictly, a fault on a page stops it, and its files ask for nothing outside."""

import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

Copy = Callable[[Path], Path]
Build = Callable[[Path], subprocess.CompletedProcess[str]]

# Where each element names a file that the browser loads by itself; a plain <a> is only a link.
LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)


class Loads(HTMLParser):
    """Collects what a page makes the browser load from another host."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADED.get(tag, ""))
        if address and OUTSIDE.match(address):
            self.outside.append(address)


def test_the_whole_book_is_built(html: Path) -> None:
    for page in ("index", "intro", "how-to-read", "glossary", "bibliography", "papers/benchmark"):
        assert (html / f"{page}.html").is_file()


def test_progress_of_a_run_is_not_shown(html: Path) -> None:
    assert "epoch 3 of 9" not in (html / "papers/benchmark.html").read_text(encoding="utf-8")


def test_pages_load_nothing_from_outside(html: Path) -> None:
    for page in html.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert not loads.outside, page


def test_styles_load_nothing_from_outside(html: Path) -> None:
    fetched = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
    for style in html.rglob("*.css"):
        assert not fetched.findall(style.read_text(encoding="utf-8")), style


def test_scripts_load_nothing_from_outside(html: Path) -> None:
    # An address in a script is harmless until it is given to one of these.
    loading = re.compile(
        r"""(?:\bimport\s*\(?|\bfetch\s*\(|\.src\s*=|importScripts\s*\(|\.open\s*\(\s*["']GET["']\s*,)"""
        r"""\s*["'`](?:https?:)?//[^"'`]+""",
    )
    for script in html.rglob("*.js"):
        assert not loading.findall(script.read_text(encoding="utf-8")), script
    for page in html.rglob("*.html"):
        assert not loading.findall(page.read_text(encoding="utf-8")), page


def test_faults_on_a_page_stop_the_build(
    tmp_path: Path, copy_book: Copy, build_book: Build
) -> None:
    faults = {  # what is written, what the build must say of it
        "{doc}`no-such-page`": "unknown document: 'no-such-page'",
        "{term}`no such term`": "term not in glossary: 'no such term'",
        "{cite}`nobody1999`": 'could not find bibtex key "nobody1999"',
        "{tag}`papr`": "'papr' is no tag",
        "[gone](intro.md#no-such-heading)": "'no-such-heading'",
        "![a beat](no-such-figure.png)": "no-such-figure.png",
    }
    root = copy_book(tmp_path)
    with (root / "book/how-to-read.md").open("a", encoding="utf-8") as page:
        page.write("\n" + "\n\n".join(faults))
    done = build_book(root)
    assert done.returncode != 0
    warnings = [line for line in done.stdout.splitlines() if "WARNING" in line or "ERROR" in line]
    for fault, complaint in faults.items():
        assert any(complaint in line for line in warnings), (fault, warnings)


def test_launch_buttons_open_the_source_and_not_the_executed_copy(
    tmp_path: Path, copy_book: Copy, build_book: Build
) -> None:
    root = copy_book(tmp_path)
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    text = text.replace('url: ""', "url: https://github.com/someone/book", 1)
    text = text.replace(
        "launch_buttons: {}", "launch_buttons: {colab_url: https://colab.research.google.com}"
    )
    config.write_text(text, encoding="utf-8")
    done = build_book(root)
    assert done.returncode == 0, done.stdout
    page = (root / "_build/html/papers/benchmark.html").read_text(encoding="utf-8")
    assert (
        "colab.research.google.com/github/someone/book/blob/main/notebooks/benchmark.ipynb" in page
    )
    assert "book/papers/benchmark.ipynb" not in page
