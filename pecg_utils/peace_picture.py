"""The scheme of PEACE (arXiv 2605.00647), drawn: what the test has, and what training has besides.

*paper*, at second hand: the parts, and what goes into which. *ours*: their arrangement, the ECG's
embedding as the mean of its tokens, and the form of the gate. The lead is made here of a few
Gaussians; the texts are the project's own.
"""

from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.patches import FancyBboxPatch

from pecg_utils.descriptors import descriptors
from pecg_utils.diagrams import EDGE, ENDS, INK, LEARNS, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 8.0, 6.9  # inches
TRAINING, PALE = "#a8480b", "#fdf1e7"  # of what training alone has, which is dashed too
EXAMPLE = "LVH"
QUERIES = (EXAMPLE, "RBBB", "STACH")  # three of the labels
_AXES = {"rhythm": "Rhythm", "morphology": "Morphology", "stt": "ST-T"}
_WAVES = (  # of a beat: mV, s from R, and width in s; *ours*
    *((0.15, -0.17, 0.022), (-0.12, -0.03, 0.009), (1.3, 0.0, 0.011)),
    *((-0.3, 0.03, 0.010), (0.32, 0.24, 0.042)),
)
_ECG_TOKENS = tuple(4.45 + 0.36 * n for n in range(6))  # the middle of each, in inches
_AXIS_TOKENS = tuple(6.91 + 0.36 * n for n in range(3))
_ASKED = (4.8, 5.7, 6.6)  # the middle of each query
_ROW, _SIDE = 2.93, 0.3  # the height of the ECG's way, and of a token

ALT = (
    "Scheme of the method. An ECG goes through an encoder and becomes a row of tokens. Three texts "
    "of each label, on rhythm, morphology and ST-T, become vectors and these a query for the "
    "label. Each query attends over all tokens and gives one logit. Dashed, in training only: "
    "texts of the record's own labels join the tokens as three axis tokens; fused to one text, "
    "they and the ECG's embedding are pulled together, as far as a gate lets them. At the test "
    "there is the ECG alone."
)


def lead(seconds: float = 2.4, fs: float = 250.0, rate: float = 75.0) -> npt.NDArray[np.float64]:
    """A drawn lead of sinus rhythm in mV, (T,), at fs Hz and `rate` beats a minute."""
    t = np.arange(round(seconds * fs)) / fs  # (T,) s
    x = np.zeros_like(t)
    for beat in np.arange(0.35, seconds + 0.5, 60 / rate):  # s, of each R
        for height, at, width in _WAVES:
            x += height * np.exp(-0.5 * ((t - beat - at) / width) ** 2)
    return x


def scheme() -> "Figure":
    """The method as a picture: solid is the way of the test, dashed is added in training.

    The figure has its own white ground, for light and dark pages. ALT says what it shows.
    """
    figure = plt.figure(figsize=(WIDTH, HEIGHT), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))  # one unit is one inch
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.axis("off")
    _training(axes)
    _ecg(axes)
    _texts(axes)
    _queries(axes)
    _box(axes, (0.15, HEIGHT - 0.6, WIDTH - 0.3, 0.45), "white")
    words = "At the test: the ECG alone. What is solid stays, what is dashed is gone."
    _say(axes, (WIDTH / 2, HEIGHT - 0.375), words, size=12.5, ha="center")
    plt.close(figure)  # shown by the notebook as the cell's value, once
    return figure


def _training(axes: "Axes") -> None:
    """What training has besides: the pull with its gate, and the record's own texts."""
    _box(axes, (0.15, 0.12, WIDTH - 0.3, 1.75), PALE, dashed=True)
    _say(axes, (0.35, 0.45), "Training only", size=15, weight="bold", color=TRAINING)
    words = "An ECG and the text of its own labels are pulled together. A gate weighs it: more, "
    words += "the later it is and the less the labels are mistaken."
    _say(axes, (0.35, 1.18), fill(words, 39), size=11, color=INK)
    for left, wide, name in (
        (3.88, 1.14, "ECG\nembedding"),
        (5.72, 0.72, "fused\ntext"),
        (6.78, 0.98, "texts of\nits own\nlabels"),
    ):
        _box(axes, (left, 0.68, wide, 0.72), "white", dashed=True)
        _say(axes, (left + wide / 2, 1.04), name, size=11.5, ha="center")
    _arrow(axes, (5.06, 1.04), (5.68, 1.04), style="<|-|>", color=TRAINING, dashed=True)
    _say(axes, (5.37, 0.84), "pull", ha="center", color=TRAINING)
    _say(axes, (5.37, 1.24), "× gate", ha="center", color=TRAINING)
    _arrow(axes, (6.75, 1.04), (6.47, 1.04), color=TRAINING, dashed=True)
    embedded, joined = _ECG_TOKENS[0], _AXIS_TOKENS[1]
    _arrow(axes, (embedded, _ROW - 0.2), (embedded, 1.43), color=TRAINING, dashed=True)
    _arrow(axes, (joined, 1.43), (joined, _ROW - 0.44), color=TRAINING, dashed=True)


def _ecg(axes: "Axes") -> None:
    """The lead, the encoder, and the tokens of both kinds."""
    x = lead()
    axes.plot(0.15 + 1.95 * np.arange(len(x)) / len(x), 3.2 - 0.6 * x, color=INK, lw=1.3)
    _say(axes, (0.15, 2.2), "ECG", size=14, weight="bold")
    _arrow(axes, (2.14, _ROW), (2.44, _ROW))
    _box(axes, (2.47, _ROW - 0.36, 1.4, 0.72), LEARNS)
    _say(axes, (3.17, _ROW), "Encoder", size=15, weight="bold", ha="center")
    _arrow(axes, (3.9, _ROW), (4.26, _ROW))
    _say(axes, (4.68, 2.6), "tokens of the ECG", color=EDGE)
    _say(axes, (7.27, 2.6), "axis tokens", ha="center", color=TRAINING)
    for middle in (*_ECG_TOKENS, *_AXIS_TOKENS):
        place = (middle - _SIDE / 2, _ROW - _SIDE / 2, _SIDE, _SIDE)
        own = middle in _AXIS_TOKENS
        _box(axes, place, PALE if own else LEARNS, dashed=own, rounding=0.04)


def _texts(axes: "Axes") -> None:
    """The three texts of one label, and what becomes of them."""
    _say(axes, (0.15, 3.78), f"Texts of a label: {EXAMPLE}", size=12.5, weight="bold")
    texts = descriptors("adult", [EXAMPLE]).loc[EXAMPLE]
    for number, (axis, name) in enumerate(_AXES.items()):
        top = 4.0 + 0.74 * number
        _box(axes, (0.15, top, 2.85, 0.66), "white")
        _say(axes, (0.27, top + 0.14), name, size=10.5, weight="bold")
        words = fill(shorten(texts[axis], 44, placeholder=" …"), 33)
        _say(axes, (0.27, top + 0.25), words, size=10.5, color=SOFT, va="top")
        for cell in range(4):  # a vector
            place = (3.16 + 0.12 * cell, top + 0.26, 0.1, 0.14)
            _box(axes, place, LEARNS, rounding=0.01)
        axes.plot([3.66, 3.95], [top + 0.33, 4.55], color=EDGE, lw=1.6, solid_capstyle="round")
    _say(axes, (3.16, 4.02), "text\nvectors", color=EDGE)
    _arrow(axes, (3.95, 4.55), (4.36, 4.55))


def _queries(axes: "Axes") -> None:
    """A query for each label, what the example's one sees, and the logits."""
    seen = dict.fromkeys((*_ECG_TOKENS, *_AXIS_TOKENS), 0.9)
    seen.update({_ECG_TOKENS[2]: 2.6, _ECG_TOKENS[4]: 1.8})  # it looks more at some
    middle = _ASKED[QUERIES.index(EXAMPLE)]
    for token, wide in seen.items():
        own = token in _AXIS_TOKENS
        ends = [token, middle], [_ROW + 0.2, 4.32]
        line = "--" if own else "-"
        axes.plot(*ends, color=TRAINING if own else EDGE, lw=wide, ls=line, alpha=0.85)
    _say(axes, (6.2, 4.02), "each query attends\nover all tokens", size=11)
    for label, place in zip(QUERIES, _ASKED, strict=True):
        _box(axes, (place - 0.4, 4.36, 0.8, 0.38), LEARNS)
        _say(axes, (place, 4.55), label, size=11.5, weight="bold", ha="center")
        _arrow(axes, (place, 4.77), (place, 5.27))
        _box(axes, (place - 0.4, 5.3, 0.8, 0.38), ENDS)
        _say(axes, (place, 5.49), "logit", size=11.5, ha="center")
    _say(axes, (7.1, 4.55), "label\nqueries", color=EDGE)
    _say(axes, (7.1, 5.49), "one logit\na label", color=EDGE)


def _box(
    axes: "Axes",
    place: tuple[float, float, float, float],
    fill: str,
    dashed: bool = False,
    rounding: float = 0.1,
) -> None:
    """place: left, top, width and height."""
    left, top, wide, tall = place
    style = f"round,pad=0,rounding_size={rounding}"
    edge: dict[str, Any] = {"ec": TRAINING if dashed else EDGE, "ls": "--" if dashed else "-"}
    axes.add_patch(FancyBboxPatch((left, top), wide, tall, style, fc=fill, lw=1.4, **edge))


def _arrow(
    axes: "Axes",
    start: tuple[float, float],
    end: tuple[float, float],
    style: str = "-|>",
    color: str = EDGE,
    dashed: bool = False,
) -> None:
    look = {"arrowstyle": style, "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    look["ls"] = "--" if dashed else "-"
    axes.annotate("", end, start, arrowprops=look)


def _say(axes: "Axes", at: tuple[float, float], words: str, **look: Any) -> None:
    axes.text(*at, words, **{"size": 11.5, "va": "center", "color": INK, **look})
