"""Records of several scales and rotations joined on a grid of 2x2 pixels, one for each image: the best score wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

CELL_PX = 2
BIN_PX = 4  # records stand one for every 4 x 4 pixels of the image they come from
RULES = ("bins", "nearest")
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
_MAX_DISTANCE_PX = 8.0  # in the image of the records
_NUM_NEAREST = 4


@dataclass(frozen=True)
class View:
    """One scale and rotation, as seen by one image.

    Attributes:
        rows: (h, w, 6) x0, y0, x1, y1 in the two unscaled images, score, code; any values where there is no record.
        ids: (h, w) int64, different for different records of all views; negative where there is none.
        transform: (3, 3) of that image: unscaled from scaled and rotated pixels.
        order: of two equal scores the view of lower order wins.
    """

    rows: NDArray[np.floating]
    ids: NDArray[np.int64]
    transform: NDArray[np.floating]
    order: int


class Accumulator:
    """The best record for every cell of one image.

    Args:
        size: (width, height) of the unscaled image; cell (j, i) stands for pixel (2 i + 1, 2 j + 1).
        image: 0 or 1, whose image it is.
        rule: `bins`: of the 3 x 3 records around a cell those at most twice as far as the nearest; `nearest`: the same
            of the 4 nearest records, wherever they stand. Both ask for at most 8 pixels of the scaled image.
        dtype: of rows; float32 repeats the comparisons of the release.

    Source: naver/pump, merging with its options `cpu` (here without reading outside the grid) and `torch`.
    """

    def __init__(self, size: tuple[int, int], image: int, rule: str = "bins", dtype: type = np.float64) -> None:
        shape = (size[1] // CELL_PX, size[0] // CELL_PX)
        self.rows: NDArray[np.floating] = np.zeros((*shape, 6), dtype=dtype)
        self.ids = np.full(shape, -1, dtype=np.int64)
        self._order = np.full(shape, np.iinfo(np.int64).max, dtype=np.int64)
        self._columns = slice(2 * image, 2 * image + 2)
        self._rule = rule

    def add(self, view: View) -> None:
        """Take over the records of a view that score higher than what is there; views may come in any order."""
        if 0 in self.ids.shape or 0 in view.ids.shape:
            return
        choose = best_in_bins if self._rule == "bins" else best_of_nearest
        index = choose(view.rows[..., self._columns], view.rows[..., 4], view.ids >= 0, view.transform, self.ids.shape)
        rows = view.rows.reshape(-1, 6)[index]  # index -1 reads any row and is left out below
        scores, current = rows[..., 4], self.rows[..., 4]
        better = (scores > current) | ((scores == current) & (view.order < self._order) & (scores > 0))
        better &= index >= 0
        self.rows[better] = rows[better]
        self.ids[better] = view.ids.reshape(-1)[index][better]
        self._order[better] = view.order


def best_in_bins(
    xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    exists: NDArray[np.bool_],
    transform: NDArray[np.floating],
    shape: tuple[int, ...],
) -> NDArray[np.int64]:
    """For every cell the record that scores highest among those near it.

    Args:
        xy: (h, w, 2) places of records in the unscaled image.
        scores: (h, w).
        exists: (h, w) false where there is no record.
        transform: (3, 3) unscaled from scaled pixels, in which record (v, u) belongs to the block at (4 u, 4 v).
        shape: (H, W) of the cells.

    Returns:
        (H, W) int64 index v * w + u; of equal scores the first; -1 where no record is near enough.
    """
    cells = _cells(shape, transform.dtype)
    inverse = np.linalg.inv(transform)
    centres = np.trunc(0.5 + (cells @ inverse[:2, :2].T + inverse[:2, 2]) / BIN_PX).astype(np.int64)
    offsets = np.array([[dx, dy] for dy, dx in _AROUND])
    around = centres[..., None, :] + offsets  # (H, W, 9, 2), row by row
    inside = ((around >= 0) & (around < [xy.shape[1], xy.shape[0]])).all(axis=-1)
    index = np.where(inside, around[..., 1] * xy.shape[1] + around[..., 0], 0)
    inside &= exists.reshape(-1)[index]
    distances = np.where(inside, _squares(cells[..., None, :] - xy.reshape(-1, 2)[index]), np.inf)
    limit = np.float64(_limit_px(transform)).astype(transform.dtype) ** 2
    nearest = np.minimum(distances.min(axis=-1), limit)
    near = inside & (distances <= 4 * nearest[..., None])
    return _best(index, np.where(near, scores.reshape(-1)[index], -np.inf))


def best_of_nearest(
    xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    exists: NDArray[np.bool_],
    transform: NDArray[np.floating],
    shape: tuple[int, ...],
) -> NDArray[np.int64]:
    """As `best_in_bins`, among the four records nearest to the cell."""
    known = np.flatnonzero(exists)
    if len(known) == 0:
        return np.full(shape, -1, dtype=np.int64)
    tree = cKDTree(xy.reshape(-1, 2)[known])
    distances, found = (np.asarray(part) for part in tree.query(_cells(shape, np.dtype(np.float64)), k=_NUM_NEAREST))
    near = (distances <= 2 * distances[..., :1]) & (distances <= _limit_px(transform) - 1e-7)
    index = known[np.where(np.isfinite(distances), found, 0)]
    return _best(index, np.where(near, scores.reshape(-1)[index], -np.inf))


def _cells(shape: tuple[int, ...], dtype: np.dtype) -> NDArray[np.floating]:
    """(H, W, 2) pixels the cells stand for."""
    y, x = np.indices(shape)
    return (np.stack([x, y], axis=-1) * CELL_PX + 1).astype(dtype)


def _squares(differences: NDArray[np.floating]) -> NDArray[np.floating]:
    return differences[..., 0] * differences[..., 0] + differences[..., 1] * differences[..., 1]


def _limit_px(transform: NDArray[np.floating]) -> float:
    return _MAX_DISTANCE_PX * float(np.sqrt(np.linalg.det(transform)))


def _best(index: NDArray[np.int64], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Along the last axis the index whose score is highest, the first of equal ones; -1 where all are -inf."""
    best = scores.argmax(axis=-1)[..., None]
    chosen = np.take_along_axis(index, best, axis=-1)[..., 0]
    return np.where(np.isneginf(np.take_along_axis(scores, best, axis=-1)[..., 0]), -1, chosen)
