"""The image-matching toolbox's quantiser: keypoints of an image from the points of its pairs, one after the other.

Every point meets the keypoints of its own cell only, and pulls the nearest half the way to itself if that is close
enough. The result depends on the order of the pairs and of the points in them; it is here for parity with published
numbers. `shared_keypoints` has the way that does not depend on the order.

Source: Zhou, Sattler and Leal-Taixe, "Patch2Pix", CVPR 2021, and their image-matching toolbox.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ShapeError
from trigpoint.settings import check_number

Cell = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class QuantizationSettings:
    """Defaults are those of the toolbox for Aachen; `cell_px: 0` joins equal points only, and keeps every match."""

    cell_px: float = 48.0  # side of the cells, a grid from the image's origin
    distance_px: float = 4.0  # a point nearer than this to a keypoint of its cell joins it
    score_threshold: float = 0.25  # matches with a lower score are left out

    def __post_init__(self) -> None:
        check_number("quantization", "cell_px", self.cell_px, 0)
        check_number("quantization", "distance_px", self.distance_px, 0)
        check_number("quantization", "score_threshold", self.score_threshold, 0)


class ImageQuantizer:
    """Keypoints of one image, built from its points in the order they are added."""

    def __init__(self, settings: QuantizationSettings) -> None:
        self._cell_px, self._distance_px = settings.cell_px, settings.distance_px
        self._x: list[float] = []
        self._y: list[float] = []
        self._cells: dict[Cell, list[int]] = {}  # numbers of the cell's keypoints
        self._exact: dict[tuple[float, float], int] = {}

    def add(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """Numbers of the keypoints that points (N, 2) join or found; keypoints may move until the last point is in.

        Raises:
            ShapeError: not (N, 2).
        """
        if points.ndim != 2 or points.shape[1] != 2:
            raise ShapeError(f"points are {points.shape}, expected (N, 2)")
        rows: Iterable[list[float]] = points.astype(np.float64).tolist()
        join = self._join if self._cell_px > 0 else self._join_equal
        return np.array([join(x, y) for x, y in rows], dtype=np.int64)

    def keypoints(self) -> NDArray[np.float32]:
        """(K, 2) positions, in the order the keypoints were founded."""
        return np.column_stack([self._x, self._y]).astype(np.float32).reshape(-1, 2)

    def _join(self, x: float, y: float) -> int:
        cell = (math.floor(x / self._cell_px), math.floor(y / self._cell_px))
        own = self._cells.setdefault(cell, [])
        nearest, least = -1, math.inf
        for number in own:
            dx, dy = self._x[number] - x, self._y[number] - y
            distance = math.sqrt(dx * dx + dy * dy)
            if distance < least:  # of equal ones the first
                nearest, least = number, distance
        if least < self._distance_px:
            self._x[nearest] = (self._x[nearest] + x) / 2
            self._y[nearest] = (self._y[nearest] + y) / 2
            return nearest
        own.append(self._found(x, y))
        return own[-1]

    def _join_equal(self, x: float, y: float) -> int:
        if (x, y) not in self._exact:
            self._exact[x, y] = self._found(x, y)
        return self._exact[x, y]

    def _found(self, x: float, y: float) -> int:
        self._x.append(x)
        self._y.append(y)
        return len(self._x) - 1


def unique_matches(indices: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rows of matches that are the best of both their keypoints, sorted; of equal scores the first.

    Args:
        indices: (M, 2) keypoint numbers.
        scores: (M,).
    """
    best = [_best_of_each(indices[:, side], scores) for side in (0, 1)]
    return np.intersect1d(best[0], best[1])


def _best_of_each(numbers: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    order = np.lexsort((np.arange(len(scores)), -scores, numbers))
    _, first = np.unique(numbers[order], return_index=True)
    return order[first].astype(np.int64)
