"""What the book adds to Jupyter Book: coloured tags, and launch buttons that open the sources.

A page writes a tag as ``{tag}`paper` ``. A notebook writes it as `*paper*`, which Jupyter, Colab
and GitHub show in italics; here, an emphasised word that is a tag and nothing else becomes the
same badge.
"""

from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

# Shown when the pointer rests on the badge, and read out by screen readers.
TAGS = {
    "paper": "stated in the paper",
    "code": "read in the authors' released code",
    "ours": "our reconstruction",
    "full": "measured on the full release of the dataset",
    "subset": "measured on a part of the real recordings",
    "twin": "measured on simulated recordings",
}


def badge(name: str) -> nodes.abbreviation:
    """The node of one tag: an abbreviation whose explanation says what the tag means."""
    return nodes.abbreviation(
        name, name, explanation=TAGS[name], classes=["pecg-tag", f"pecg-tag-{name}"]
    )


def tag_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Inliner, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """The role `tag`; a word that is no tag is an error of the build."""
    if text not in TAGS:
        known = ", ".join(TAGS)
        message = inliner.reporter.error(f"{text!r} is no tag; the tags are {known}", line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]
    return [badge(text)], []


class EmphasisedTags(SphinxTransform):
    """Turns an emphasised tag into its badge."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        for node in list(self.document.findall(nodes.emphasis)):
            if node.astext() in TAGS:
                node.replace_self(badge(node.astext()))


def launch_the_source(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Point launch buttons at `notebooks/`: the executed copy that a page shows is not in git."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "url" in button and button["url"].startswith("http"):
                button["url"] = button["url"].replace("book/papers/", "notebooks/")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the role, the transform and the page hook."""
    app.add_role("tag", tag_role)
    app.add_transform(EmphasisedTags)
    app.connect("html-page-context", launch_the_source, priority=900)  # after the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
