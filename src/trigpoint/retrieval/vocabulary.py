"""Visual words: the centres of k-means over local descriptors."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import EmptyResultError
from trigpoint.types import FloatArray

MAX_ITERATIONS = 30
BLOCK_ROWS = 16384  # descriptors compared with all words at a time: 4 MiB for 64 words


def unit_rows(values: FloatArray) -> NDArray[np.float32]:
    """(N, D) rows of length 1 as float32; rows of zeros stay."""
    rows = np.asarray(values, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, np.finfo(np.float32).tiny)


def learn_words(descriptors: FloatArray, num_words: int, seed: int) -> NDArray[np.float32]:
    """Centres of k-means, started by k-means++; the same for the same descriptors, order and seed.

    Args:
        descriptors: (N, D) with N > 0.
        num_words: K; as many as there are different descriptors if those are fewer.
        seed: of the start.

    Returns:
        (K, D) float32.

    Raises:
        EmptyResultError: there is no descriptor.

    Source: Arthur and Vassilvitskii, "k-means++", SODA 2007; Lloyd's iterations.
    """
    if not len(descriptors):
        raise EmptyResultError("no image has local features to learn visual words from; check the feature settings")
    points = np.asarray(descriptors, dtype=np.float32)
    words = _spread_start(points, num_words, np.random.default_rng(seed))
    previous = np.full(len(points), -1)
    for _ in range(MAX_ITERATIONS):
        nearest = nearest_word(points, words)
        if np.array_equal(nearest, previous):
            break
        counts = np.bincount(nearest, minlength=len(words))
        used = counts > 0  # a word that lost all its points stays where it is
        words[used] = (sum_by_word(points, nearest, len(words))[used] / counts[used, None]).astype(np.float32)
        previous = nearest
    return words


def nearest_word(descriptors: FloatArray, words: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) index of the nearest of the words (K, D) for each descriptor (N, D); the lower one of equals."""
    half_squares = 0.5 * np.sum(words * words, axis=1)
    nearest = np.empty(len(descriptors), dtype=np.int64)
    for start in range(0, len(descriptors), BLOCK_ROWS):
        block = np.asarray(descriptors[start : start + BLOCK_ROWS], dtype=np.float32)
        nearest[start : start + BLOCK_ROWS] = np.argmax(block @ words.T - half_squares, axis=1)
    return nearest


def sum_by_word(descriptors: FloatArray, nearest: NDArray[np.int64], num_words: int) -> NDArray[np.float64]:
    """(K, D) sum of the descriptors of each word, in float64 so that the order of summation does not show."""
    sums = np.zeros((num_words, descriptors.shape[1]))
    order = np.argsort(nearest, kind="stable")
    present, starts = np.unique(nearest[order], return_index=True)
    if len(present):
        sums[present] = np.add.reduceat(descriptors[order].astype(np.float64), starts, axis=0)
    return sums


def _spread_start(points: NDArray[np.float32], num_words: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Points drawn with a chance that grows with the squared distance from those drawn before."""
    chosen = [int(rng.integers(len(points)))]
    distances = np.full(len(points), np.inf)
    while len(chosen) < num_words:
        distances = np.minimum(distances, np.sum((points - points[chosen[-1]]) ** 2, axis=1, dtype=np.float64))
        total = distances.sum()
        if total <= 0:  # fewer different descriptors than words
            break
        chosen.append(int(np.searchsorted(np.cumsum(distances), rng.random() * total, side="right")))
    return points[chosen].copy()
