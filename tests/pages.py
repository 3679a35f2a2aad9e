"""What every executed chapter is held to."""

import base64
import re


def ran_quietly(page):
    """Every code cell ran, and printed nothing but the progress bars of a slow machine."""
    for cell in page:
        if cell["cell_type"] != "code":
            continue
        assert cell["execution_count"]
        streams = [o for o in cell["outputs"] if o["output_type"] in ("stream", "error")]
        # A bar within a bar has a line of its own, and goes back up from it.
        drawn = [p for o in streams for p in re.split("[\r\n]|\x1b\\[A", "".join(o["text"]))]
        assert not [p for p in drawn if p.strip() and "%|" not in p]


def pictured(page, least):
    """Every picture is there and described in words; there are at least so many."""
    described = [c for c in page if "image" in c["metadata"].get("mystnb", {})]
    assert len(described) >= least
    for cell in page:
        pictures = [o["data"] for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
        if cell in described:
            (picture,) = pictures
            assert len(base64.b64decode(picture["image/png"])) > 5000
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 40
        else:
            assert not pictures
