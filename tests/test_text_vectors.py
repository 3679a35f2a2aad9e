"""Texts as vectors: unit length, deterministic, near where words are shared; and the controls."""

import subprocess
import sys

import numpy as np
import pytest

from pecg_utils.descriptors import AXES, descriptors
from pecg_utils.errors import PecgError
from pecg_utils.text_vectors import encode, one_hot, random_like, shuffled_between_labels

TEXTS = [
    "Sinus rhythm at more than 100 beats a minute.",
    "Sinus rhythm at less than 60 beats a minute.",
    "Broad notched R waves in I, aVL, V5 and V6.",
    "The ST segment is depressed.",
]


@pytest.fixture(scope="module")
def real_texts() -> np.ndarray:
    """The vectors of all adult descriptors, (labels, 3, 64)."""
    table = descriptors("adult")
    return encode(table.to_numpy().ravel().tolist(), 64).reshape(len(table), len(AXES), 64)


@pytest.mark.parametrize("size", [2, 3, 4, 16])
def test_shape_and_length(size: int) -> None:
    vectors = encode(TEXTS, size)
    assert (vectors.shape, vectors.dtype) == ((4, size), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert (vectors[:, 4:] == 0).all()  # four texts span four directions at most


def test_texts_that_share_words_are_near() -> None:
    near = encode(TEXTS, 16) @ encode(TEXTS, 16).T
    assert near[0, 1] > 0.5
    assert near[0, 1] > 2 * max(near[0, 2], near[0, 3])


def test_words_of_one_letter_count_with_their_neighbours() -> None:
    one, other = encode(["R before S", "S before R", "T"], 3)[:2]
    assert 0 < one @ other < 0.99


def test_neither_order_nor_repetition_changes_a_vector() -> None:
    vectors = encode(TEXTS, 8)
    assert np.array_equal(encode(TEXTS[::-1], 8), vectors[::-1])
    assert np.array_equal(encode([*TEXTS, TEXTS[2]], 8), vectors[[0, 1, 2, 3, 2]])


def test_all_texts_equal() -> None:
    vectors = encode(["one text", "one text"], 5)
    assert vectors.tolist() == [[1, 0, 0, 0, 0]] * 2


def test_another_process_gets_the_same_bits() -> None:
    code = (
        "import sys; from pecg_utils.text_vectors import encode\n"
        f"sys.stdout.buffer.write(encode({TEXTS!r}, 3, seed=7).tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == encode(TEXTS, 3, seed=7).tobytes()


@pytest.mark.parametrize(
    ("texts", "size", "reason"),
    [
        ([], 8, "There is no text to encode"),
        (["one", ""], 8, "has no word in it: ''"),
        (["one", " ... "], 8, r"has no word in it: ' \.\.\. '"),
        (["one", "two"], 0, "Vectors of 0 numbers were asked for"),
        (
            ["aaaa aaaa", "aaaa aaa", "zzzz"],
            1,
            "Nothing of the text 'zzzz' is left in vectors of 1",
        ),
    ],
)
def test_what_cannot_be_encoded(texts: list[str], size: int, reason: str) -> None:
    with pytest.raises(PecgError, match=reason):
        encode(texts, size)


def test_the_descriptors_are_encoded_and_told_apart(real_texts: np.ndarray) -> None:
    labels = list(descriptors("adult").index)
    flat = real_texts.reshape(-1, 64)
    assert np.linalg.norm(flat, axis=1) == pytest.approx(1, abs=1e-5)
    rhythm = real_texts[:, 0]
    fast, slow, broad = (labels.index(name) for name in ("STACH", "SBRAD", "AFIB"))
    assert rhythm[fast] @ rhythm[slow] > rhythm[fast] @ rhythm[broad]
    one, other = labels.index("LVH"), labels.index("RVH")  # rhythm is not part of either
    assert np.array_equal(rhythm[one], rhythm[other])
    whole = real_texts.reshape(len(labels), -1)
    assert len(np.unique(whole, axis=0)) == len(labels)


def test_random_vectors_keep_only_which_are_equal(real_texts: np.ndarray) -> None:
    drawn = random_like(real_texts, seed=1)
    assert (drawn.shape, drawn.dtype) == (real_texts.shape, np.float32)
    assert np.linalg.norm(drawn, axis=-1) == pytest.approx(1, abs=1e-6)
    flat, before = drawn.reshape(-1, 64), real_texts.reshape(-1, 64)
    same = (before[:, None] == before[None]).all(axis=-1)
    assert np.array_equal((flat[:, None] == flat[None]).all(axis=-1), same)
    assert np.abs((flat * before).sum(axis=1)).max() < 0.6
    assert np.array_equal(drawn, random_like(real_texts, seed=1))
    assert not np.allclose(drawn, random_like(real_texts, seed=2))


@pytest.mark.parametrize("labels", [2, 3, 9])
def test_no_label_keeps_its_vectors(labels: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(labels, 3, 5)).astype(np.float32)
    for seed in range(20):
        dealt = shuffled_between_labels(vectors, seed)
        source = [int(np.flatnonzero((vectors == one).all(axis=(1, 2)))[0]) for one in dealt]
        assert sorted(source) == list(range(labels))  # the axes of one went together
        assert all(place != label for label, place in enumerate(source))
    deals = {shuffled_between_labels(vectors, seed).tobytes() for seed in range(20)}
    assert len(deals) == {2: 1, 3: 2}.get(labels, 20)
    with pytest.raises(PecgError, match="fewer than two labels"):
        shuffled_between_labels(vectors[:1])


def test_one_hot_says_which_label_and_nothing_more() -> None:
    made = one_hot(np.zeros((3, 2, 4), np.float32))
    assert made.dtype == np.float32
    assert made[:, 0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert np.array_equal(made[:, 0], made[:, 1])
    assert one_hot(np.zeros((2, 2), np.float32)).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(PecgError, match=r"5 labels need vectors of 5 numbers or more.*have 4"):
        one_hot(np.zeros((5, 4), np.float32))
