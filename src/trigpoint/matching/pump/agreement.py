"""Records that both images agree on: by whole numbers, and by the rounded key of PUMP's release."""

import numpy as np
from numpy.typing import NDArray


def agreed(ids0: NDArray[np.int64], ids1: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in `ids0` of the records that stand in `ids1` too, each record once (its first), in order of ids.

    Args:
        ids0: (N,) different for different records; negative ones are no records.
        ids1: (M,) likewise.
    """
    common, first, _ = np.intersect1d(ids0, ids1, return_indices=True)
    return first[common >= 0]


def agreed_as_released(
    rows0: NDArray[np.float32], rows1: NDArray[np.float32], limits: tuple[float, float, float, float]
) -> NDArray[np.int64]:
    """Positions in `rows0` whose key occurs in `rows1`, in order of keys.

    The key is a sum of float32 numbers: different records that lie close share one. Records that were never filled
    are rows of zeros and agree with each other.

    Args:
        rows0: (N, 4) x0, y0, x1, y1.
        rows1: (M, 4) likewise.
        limits: numbers above all x0, y0, x1 and y1, by which the key is meant to be different for different rows.

    Source: naver/pump, the test of reciprocity of both its matchers.
    """
    _, b, c, d = limits
    weights = np.array([b * c * d, c * d, d, 1], dtype=np.float32)
    _, first, _ = np.intersect1d(_keys(rows0, weights), _keys(rows1, weights), return_indices=True)
    return first


def _keys(rows: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums, added from left to right: a matrix product may round otherwise, and other records agree."""
    x0, y0, x1, y1 = (column * weight for column, weight in zip(rows.T, weights, strict=True))
    return ((x0 + y0) + x1) + y1
