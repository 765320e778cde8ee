"""Correspondences that move together: the large connected groups of neighbours that agree on scale and rotation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from trigpoint.geometry.scale_rotation import decode_scale_rot

CELL_PX = 4.0  # distances are given in patches
COS_LIMIT = float(np.cos(np.radians(90)))  # 6e-17, not 0: points that coincide have no direction and no edge
NORM_FLOOR = 1e-16


@dataclass(frozen=True)
class Filtered:
    """What is left.

    Attributes:
        rows: (M, 6) x0, y0, x1, y1, score, code.
        index: (M,) int64 which rows these were.
        component_sizes: (M,) int64 number of correspondences in each one's group.
    """

    rows: NDArray[np.floating]
    index: NDArray[np.int64]
    component_sizes: NDArray[np.int64]


def post_filter(
    rows: NDArray[np.floating], *, locality: float = 2.0, min_cc_size: int = 50, legacy: bool = False
) -> Filtered:
    """The correspondences whose group has more than `min_cc_size` members.

    Args:
        rows: (N, 6) x0, y0, x1, y1, score, code, in pixels of the images as they were matched.
        locality: neighbours are at most 4 times as many pixels apart, in both images.
        legacy: log2 of the group's size is added to the score; angles are averaged as numbers, not on the circle.
    """
    sizes = component_sizes(len(rows), edges(rows, locality, legacy=legacy))
    kept = np.flatnonzero(sizes > min_cc_size)
    rows, sizes = rows[kept], sizes[kept]
    if legacy:
        rows = rows.copy()
        rows[:, 4] += np.log2(sizes)
    return Filtered(rows, kept, sizes)


def edges(rows: NDArray[np.floating], locality: float, *, legacy: bool = False) -> NDArray[np.int64]:
    """(E, 2) pairs a < b of rows that are neighbours in both images and agree on their direction, sorted.

    Source: naver/pump, its post-filter: candidates are neighbours in either image; lengths in the other image are
    divided (or multiplied) by the mean relative scale, directions compared after the mean rotation.
    """
    if len(rows) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    xy0, xy1 = rows[:, :2].astype(np.float64), rows[:, 2:4].astype(np.float64)
    scale, angle = decode_scale_rot(rows[:, 5])
    limit_px = CELL_PX * locality
    forth = _agreeing(xy0, xy1, 1 / scale, np.radians(angle), limit_px, legacy)
    back = _agreeing(xy1, xy0, scale, -np.radians(angle), limit_px, legacy)
    both = np.unique(np.concatenate([forth, back]), axis=0)
    return np.asarray(both)


def component_sizes(num_rows: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) for each row the number of rows it is connected with, itself included."""
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(num_rows, num_rows))
    _, labels = connected_components(graph, directed=False)
    return np.bincount(labels)[labels] if num_rows else np.zeros(0, dtype=np.int64)


def _agreeing(
    xy: NDArray[np.float64],
    other: NDArray[np.float64],
    factor: NDArray[np.float64],
    angle_rad: NDArray[np.float64],
    limit_px: float,
    legacy: bool,
) -> NDArray[np.int64]:
    """(E, 2) neighbours in `xy` that are neighbours in `other` too, where lengths are multiplied by `factor`."""
    pairs = cKDTree(xy).query_pairs(limit_px, output_type="ndarray").astype(np.int64)
    a, b = pairs[:, 0], pairs[:, 1]
    v, w = xy[b] - xy[a], other[b] - other[a]
    length, other_length = np.hypot(*v.T), np.hypot(*w.T)
    near = (length <= limit_px) & (other_length * (factor[a] + factor[b]) / 2 <= limit_px)
    phi = (angle_rad[a] + angle_rad[b]) / 2
    if not legacy:  # the mean on the circle: of 180 and -135 degrees it is -157.5, not 22.5
        phi = angle_rad[a] + np.remainder(angle_rad[b] - angle_rad[a] + np.pi, 2 * np.pi) / 2 - np.pi / 2
    v = v / np.maximum(length, NORM_FLOOR)[:, None]
    w = w / np.maximum(other_length, NORM_FLOOR)[:, None]
    turned_x, turned_y = v[:, 0] * np.cos(phi) + v[:, 1] * np.sin(phi), v[:, 1] * np.cos(phi) - v[:, 0] * np.sin(phi)
    return pairs[near & (turned_x * w[:, 0] + turned_y * w[:, 1] >= COS_LIMIT)]
