"""The built book in Chromium, opened from its folder as a reader does: light, dark, desk and phone.

Playwright drives the system's Chromium. Without one these tests skip; with `browser` in the
environment variable PECG_REQUIRE they fail instead.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.browser

THEMES = ("light", "dark")
WIDTHS = (1280, 390)  # a desk, a phone (px)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What one page looks like from inside; the numbers are CSS pixels and contrast ratios.
LOOK = """() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = text => rgb(text).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (ink, ground) => {
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const style = element => getComputedStyle(element);
  const visible = element => element.checkVisibility({visibilityProperty: true});
  const ground = style(document.body).backgroundColor;
  const root = document.documentElement;
  return {
    theme: root.dataset.theme,
    overflow: root.scrollWidth - root.clientWidth,
    images: [...document.images].map(image =>
      ({alt: image.getAttribute("alt"), source: image.getAttribute("src"),
        drawn: image.naturalWidth > 0, figure: image.closest("article") !== null})),
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll(".math mjx-container").length,
    broken: document.querySelectorAll("mjx-merror").length,
    tags: [...document.querySelectorAll("abbr.pecg-tag")].map(tag =>
      ({name: tag.textContent, title: tag.title,
        contrast: contrast(style(tag).color, style(tag).backgroundColor)})),
    text: [...document.querySelectorAll("article p")].map(p => contrast(style(p).color, ground)),
    searches: [...document.querySelectorAll(
      "form.bd-search, button.search-button, button.search-button-field")].filter(visible).length,
  };
}"""


@dataclass(frozen=True)
class Visit:
    """One page in one theme at one width."""

    page: str
    theme: str
    width: int
    errors: list[str]  # JavaScript errors and errors on the console
    outside: list[str]  # requests that left the book's folder
    look: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.page} ({self.theme}, {self.width} px)"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(path).exists():
        reason = f"Chromium is not installed: no `chromium` on the path and no {path}"
        if "browser" in os.environ.get("PECG_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def ready(page: Page) -> None:
    """Wait until MathJax, where a page has it, has set every formula."""
    page.evaluate("() => window.MathJax?.startup?.promise")


@pytest.fixture(scope="session")
def visits(browser: Browser, html: Path) -> list[Visit]:
    """Every page of the book, in each theme and at each width."""
    pages = sorted(html.rglob("*.html"))
    pages = [page for page in pages if "_static" not in page.parts and page.name != "index.html"]
    visits = []
    for theme in THEMES:
        for width in WIDTHS:
            tab = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 800})
            errors: list[str] = []
            outside: list[str] = []
            tab.on("pageerror", lambda error, to=errors: to.append(str(error)))
            tab.on(
                "console",
                lambda said, to=errors: to.append(said.text) if said.type == "error" else None,
            )
            tab.on(
                "request",
                lambda asked, to=outside: (
                    None if asked.url.startswith((html.as_uri(), "data:")) else to.append(asked.url)
                ),
            )
            for page in pages:
                tab.goto(page.as_uri(), wait_until="load")
                ready(tab)
                visits.append(
                    Visit(
                        str(page.relative_to(html)),
                        theme,
                        width,
                        errors.copy(),
                        outside.copy(),
                        tab.evaluate(LOOK),
                    )
                )
                errors.clear()
                outside.clear()
            tab.close()
    return visits


def test_every_page_is_visited(visits: list[Visit]) -> None:
    pages = {visit.page for visit in visits}
    assert {"intro.html", "glossary.html", "papers/benchmark.html", "search.html"} <= pages
    assert len(visits) == len(pages) * len(THEMES) * len(WIDTHS)
    assert all(visit.look["theme"] == visit.theme for visit in visits)


def test_no_javascript_errors(visits: list[Visit]) -> None:
    assert not [f"{visit}: {error}" for visit in visits for error in visit.errors]


def test_no_request_leaves_the_folder(visits: list[Visit]) -> None:
    assert not [f"{visit}: {url}" for visit in visits for url in visit.outside]


def test_no_page_scrolls_sideways(visits: list[Visit]) -> None:
    assert not [
        f"{visit}: {visit.look['overflow']} px" for visit in visits if visit.look["overflow"]
    ]


def test_every_image_is_drawn_and_described(visits: list[Visit]) -> None:
    for visit in visits:
        for image in visit.look["images"]:
            assert image["drawn"], (str(visit), image)
            if image["figure"]:  # Sphinx writes the file's path where no description was given
                assert " " in image["alt"], (str(visit), image)
                assert image["source"] not in image["alt"], (str(visit), image)
            else:  # the logo: empty where the title stands beside it, but never missing
                assert image["alt"] is not None, (str(visit), image)
    chapter = next(visit for visit in visits if visit.page == "papers/benchmark.html")
    assert "Lead II over 3 s with one tall beat." in [i["alt"] for i in chapter.look["images"]]


def test_formulas_are_set_by_the_local_mathjax(visits: list[Visit]) -> None:
    with_formulas = {visit.page for visit in visits if visit.look["formulas"]}
    assert {"glossary.html", "papers/benchmark.html"} <= with_formulas
    for visit in visits:
        assert visit.look["typeset"] == visit.look["formulas"], visit
        assert not visit.look["broken"], visit


def test_text_and_tags_are_readable(visits: list[Visit]) -> None:
    # 4.5:1 is the least that WCAG 2.2 (1.4.3) asks of text.
    faint = [
        f"{visit}: {tag}" for visit in visits for tag in visit.look["tags"] if tag["contrast"] < 4.5
    ]
    assert not faint
    assert not [str(visit) for visit in visits if min(visit.look["text"], default=21) < 4.5]


def test_tags_come_from_the_role_and_from_emphasis(visits: list[Visit]) -> None:
    chapter = next(visit for visit in visits if visit.page == "papers/benchmark.html")
    # *paper* and *ours* in a notebook's cell, {tag}`twin` and {tag}`subset` in the fragments
    assert sorted(tag["name"] for tag in chapter.look["tags"]) == [
        "ours",
        "paper",
        "subset",
        "twin",
    ]
    assert all(tag["title"] for tag in chapter.look["tags"])


def test_one_search_box(visits: list[Visit]) -> None:
    desk = [visit for visit in visits if visit.width == 1280 and visit.page != "search.html"]
    assert {visit.look["searches"] for visit in desk} == {1}


def test_search_finds_a_word(browser: Browser, html: Path) -> None:
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((html / "search.html").as_uri() + "?q=millivolts")
    tab.wait_for_selector("#search-results li")
    assert "Glossary" in tab.inner_text("#search-results")
    assert not errors
    tab.close()


def test_the_first_page_leads_to_the_introduction(browser: Browser, html: Path) -> None:
    tab = browser.new_page()
    tab.goto((html / "index.html").as_uri())
    tab.wait_for_url("**/intro.html")
    tab.close()
