"""The nearest images of each image, by their vectors."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trigpoint.log import progress
from trigpoint.retrieval.vlad import Vlad, VladSettings
from trigpoint.storage.features import FeatureReader

BLOCK_IMAGES = 256  # vectors of queries held at a time
BLOCK_REFERENCES = 4096  # similarities of one block: 4 MiB
NAMES_IN_LOG = 5
_logger = logging.getLogger(__name__)


def nearest_images(
    features: FeatureReader,
    queries: Sequence[str],
    references: Sequence[str],
    num_neighbors: int,
    settings: VladSettings,
) -> dict[str, list[str]]:
    """The references most like each query, best first; an image is not its own neighbour.

    Words are learnt from the references. Memory: one vector a reference, and one block of similarities.

    Args:
        features: local features of all of them.
        queries: images to find neighbours of; may be the references.
        references: images to choose from.
        num_neighbors: at most so many for each query.
        settings: of words and vectors.

    Returns:
        Names by query, for all queries, sorted by query. An image without features has and is no neighbour; the log
        names such images.

    Raises:
        EmptyResultError: no reference has features.
    """
    queries, references = sorted(set(queries)), sorted(set(references))
    vlad = Vlad.learn(features, references, settings)
    filled = _with_features(features, references)
    matrix = np.empty((len(filled), vlad.words.size), dtype=np.float32)
    for row, name in enumerate(progress(filled, "references described")):
        matrix[row] = vlad.describe(features.read(name).descriptors)
    row_of = {name: row for row, name in enumerate(filled)}
    neighbors: dict[str, list[str]] = {name: [] for name in queries}
    for block in _blocks(_with_features(features, queries), BLOCK_IMAGES):
        vectors = np.stack(
            [
                matrix[row_of[name]] if name in row_of else vlad.describe(features.read(name).descriptors)
                for name in block
            ]
        )
        own = np.array([row_of.get(name, -1) for name in block])
        for name, rows in zip(block, top_k(vectors, matrix, num_neighbors, own), strict=True):
            neighbors[name] = [filled[row] for row in rows]
    return neighbors


def top_k(
    queries: NDArray[np.float32], references: NDArray[np.float32], k: int, excluded: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """Rows of the references with the largest dot product, largest first, the lower row of equals.

    Args:
        queries: (N, D).
        references: (M, D); compared a block at a time, so no (N, M) array exists.
        k: at most so many rows for each query.
        excluded: (N,) a row of the references that a query must not get, or -1.

    Returns:
        N arrays of at most k row numbers.
    """
    best = np.empty((len(queries), 0), dtype=np.float32)
    rows = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(references), BLOCK_REFERENCES):
        block = references[start : start + BLOCK_REFERENCES]
        similarity = queries @ block.T
        numbers = np.arange(start, start + len(block))
        if excluded is not None:
            similarity[excluded[:, None] == numbers[None]] = -np.inf
        best = np.concatenate([best, similarity], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(numbers, similarity.shape)], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return [own[values > -np.inf] for own, values in zip(rows, best, strict=True)]


def _with_features(features: FeatureReader, names: Sequence[str]) -> list[str]:
    filled = [name for name in names if features.num_keypoints(name)]
    empty = sorted(set(names) - set(filled))
    if empty:
        some = ", ".join(empty[:NAMES_IN_LOG]) + (", ..." if len(empty) > NAMES_IN_LOG else "")
        _logger.warning("%d images have no features and get no neighbours: %s", len(empty), some)
    return filled


def _blocks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
