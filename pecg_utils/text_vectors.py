"""Texts as vectors, made offline, and the controls that take their place.

`encode` counts words and pieces of words (TF-IDF) and keeps the directions in which the texts
differ most (SVD). It knows words and not meanings: "fast" and "tachycardia" are as far apart as any
two words, a negation hardly counts, and nothing is known that the texts themselves do not say.
PEACE's texts came from a language model, and which encoder read them is not published; this one is
*ours*.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pecg_utils.errors import PecgError

Vectors = npt.NDArray[np.float32]


def encode(texts: Sequence[str], size: int, seed: int = 0) -> Vectors:
    """The `texts` as vectors of length 1: (n, size) float32.

    Equal texts have equal vectors, and neither the order nor the repetition of texts changes any.
    n different texts span n directions at most: what `size` has beyond is 0. seed: of the SVD.
    Raises PecgError when there is no text, one has no word in it, `size` is below 1, or so few
    directions are kept that nothing of a text is left.
    """
    from scipy.sparse import hstack
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if size < 1:
        raise PecgError(f"Vectors of {size} numbers were asked for; at least 1 is needed.")
    if not len(texts):
        raise PecgError("There is no text to encode.")
    if wordless := [text for text in texts if not re.search(r"\w", text)]:
        raise PecgError(f"A text to encode has no word in it: {wordless[0]!r}.")
    different, back = np.unique(np.asarray(texts, dtype=str), return_inverse=True)
    vectors = np.zeros((len(different), size), dtype=np.float32)  # (m, D)
    if len(different) == 1:
        vectors[0, 0] = 1.0
        return vectors[back]
    # A word may have one letter: lead I, the R wave.
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    counts = hstack([words.fit_transform(different), pieces.fit_transform(different)]).tocsr()
    kept = min(size, *counts.shape)
    svd = TruncatedSVD(kept, random_state=seed)
    reduced = svd.fit_transform(counts)  # (m, kept)
    length = np.linalg.norm(reduced, axis=1, keepdims=True)
    if (length < 1e-6).any():
        lost = str(different[int(length.argmin())])
        raise PecgError(f"Nothing of the text {lost!r} is left in vectors of {kept}; keep more.")
    vectors[:, :kept] = reduced / length
    return vectors[back]


def random_like(vectors: Vectors, seed: int = 0) -> Vectors:
    """Random directions of length 1 in the place of `vectors`, (..., D) float32.

    Vectors that are equal stay equal, so that only what the texts say is lost, not which texts are
    one (*ours*).
    """
    rows = vectors.reshape(-1, vectors.shape[-1])
    different, back = np.unique(rows, axis=0, return_inverse=True)
    drawn = np.random.default_rng(seed).standard_normal(different.shape)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn[back.ravel()].reshape(vectors.shape).astype(np.float32)


def shuffled_between_labels(vectors: Vectors, seed: int = 0) -> Vectors:
    """`vectors` (labels, ..., D) dealt anew, so that no label keeps its own.

    The axes of a label go together to the same other label. Raises PecgError for fewer than two.
    """
    if len(vectors) < 2:
        raise PecgError("The vectors of fewer than two labels cannot be shuffled between them.")
    order = np.random.default_rng(seed).permutation(len(vectors))
    dealt = np.empty_like(vectors)
    dealt[order] = vectors[np.roll(order, 1)]  # one circle through all labels
    return dealt


def one_hot(vectors: Vectors) -> Vectors:
    """A direction of its own for each label in the place of `vectors` (labels, ..., D), float32.

    All axes of a label get the same one: it says which label it is and nothing more. Raises
    PecgError when there are more labels than directions.
    """
    labels, size = len(vectors), vectors.shape[-1]
    if labels > size:
        raise PecgError(
            f"{labels} labels need vectors of {labels} numbers or more to be told apart by one "
            f"each; these have {size}."
        )
    shape = (labels, *([1] * (vectors.ndim - 2)), size)
    own = np.eye(labels, size, dtype=np.float32).reshape(shape)
    return np.broadcast_to(own, vectors.shape).copy()
