"""Keypoints that all pairs of an image share, from the points that each pair has of its own.

Pair methods give every pair its own points, so nothing links the pairs (A, B) and (A, C) and every track has two views.
Here the points of an image elect keypoints, and each correspondence moves to the keypoints nearest to its ends.

By radius, points are visited best first and each absorbs those around it. By bins, it is the places with the highest
sums of scores that are visited; that is the aggregation of hloc's match_dense.py (score-summing bins, re-assignment
within a radius), with non-maximum suppression in place of its grid of cells, so that no border of a cell splits a
cluster. Either way everything is a function of the set of points, whatever their order.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trigpoint.errors import SettingsError
from trigpoint.settings import check_choice, check_number

SCHEMES = ("radius", "bins", "quantize")
QUERY_POINTS = ("raw", "merged")
BINS_AT_ONCE = 32_768  # bounds the pairs of neighbours in memory: some 50 each
SLACK_PX = 1e-3  # points a cell apart but for their rounding to float32 stay two
LEAST_WEIGHT = 1e-12  # of a point whose score is 0, so that a mean exists


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """Defaults are for dense matchers; methods that repeat their points lose less with smaller distances."""

    scheme: Literal["radius", "bins", "quantize"] = "radius"  # how keypoints come of points; quantize: as published
    radius_px: float = 4.0  # radius: a point absorbs worse ones so near, and moves at most so far
    cell_px: float = 4.0  # bins: no two keypoints of an image are elected closer to each other
    bin_px: float = 1.0  # bins: side of the bins in which scores are summed before the election
    max_error_px: float = 2.0  # bins: a point moves at most so far to its keypoint, or its correspondence is lost
    quantize_cell_px: float = 48.0  # quantize: side of the cells, a point meets those of its own only; 0: equal points
    quantize_distance_px: float = 4.0  # quantize: a point nearer than this to a keypoint of its cell joins it
    quantize_min_score: float = 0.25  # quantize: correspondences with a lower score are left out
    longer_side_px: int | None = None  # the distances hold for such images, larger ones have larger; null: for all
    max_keypoints: int | None = 8192  # of an image, those with the highest sums; null: all
    min_matches: int = 15  # pairs of map images left with fewer lose all; 15 is the mapper's least for a pair
    query_points: Literal["raw", "merged"] = "raw"  # of queries: as each pair has them, or merged as map images' are

    def __post_init__(self) -> None:
        check_choice("merging", "scheme", self.scheme, SCHEMES)
        check_number("merging", "radius_px", self.radius_px, 1e-3)
        for name in ("quantize_cell_px", "quantize_distance_px", "quantize_min_score"):
            check_number("merging", name, getattr(self, name), 0.0)
        check_number("merging", "cell_px", self.cell_px, 0.0)
        check_number("merging", "bin_px", self.bin_px, 1e-3)
        check_number("merging", "max_error_px", self.max_error_px, 1e-3)
        check_number("merging", "min_matches", self.min_matches, 0)
        check_choice("merging", "query_points", self.query_points, QUERY_POINTS)
        for name in ("max_keypoints", "longer_side_px"):
            if getattr(self, name) is not None:
                check_number("merging", name, getattr(self, name), 1)
        if self.bin_px > self.max_error_px:
            raise SettingsError(
                f"merging: bin_px {self.bin_px:g} is more than max_error_px {self.max_error_px:g}; points of one"
                " bin would be too far from its keypoint"
            )

    def at_size(self, size: tuple[int, int]) -> "MergeSettings":
        """The distances of an image of (width, height): a method that shrinks it is less exact in its pixels."""
        factor = max(1.0, max(size) / self.longer_side_px) if self.longer_side_px else 1.0
        distances = {name: factor * getattr(self, name) for name in ("radius_px", "cell_px", "bin_px", "max_error_px")}
        return replace(self, **distances, longer_side_px=None)

    @property
    def reach_px(self) -> float:
        """How far a point moves to its keypoint at most."""
        return self.radius_px if self.scheme == "radius" else self.max_error_px


@dataclass(frozen=True)
class SharedKeypoints:
    """Keypoints of one image: `xy` (K, 2) float32, `scores` (K,) float32, the sums of their points' scores."""

    xy: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.xy)


def elect_keypoints(
    points: NDArray[np.float32], scores: NDArray[np.float32], settings: MergeSettings
) -> SharedKeypoints:
    """Keypoints of an image from the points of all its pairs.

    Points, or bins in which scores are summed, best first, suppress the others around them; each of those that are left
    then moves to the mean of the points in reach that are nearest to it, weighted by score.

    Args:
        points: (P, 2).
        scores: (P,), not negative.
        settings: distances and the most keypoints.

    Returns:
        Keypoints, best of the election first; none for no points.
    """
    if len(points) == 0:
        return SharedKeypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32))
    order = np.lexsort((scores, points[:, 1], points[:, 0]))  # sums of floats depend on the order
    xy = points[order].astype(np.float64)
    weights = np.maximum(scores[order].astype(np.float64), LEAST_WEIGHT)
    elected = (_by_radius if settings.scheme == "radius" else _by_bins)(xy, weights, settings)
    owner = nearest_keypoint(xy, elected, settings.reach_px)
    sums, means = _weighted_means(xy[owner >= 0], weights[owner >= 0], owner[owner >= 0], len(elected))
    moved = np.where(sums[:, None] > 0, means, elected).astype(np.float32)
    owner = nearest_keypoint(xy, moved, settings.reach_px)
    total = np.bincount(owner[owner >= 0], scores[order][owner >= 0].astype(np.float64), len(moved))
    return SharedKeypoints(moved, total.astype(np.float32))


def _by_radius(xy: NDArray[np.float64], weights: NDArray[np.float64], settings: MergeSettings) -> NDArray[np.float64]:
    """Points (E, 2) that no better kept one is closer to than the radius; of equal scores the lower x, then y first."""
    ranked = xy[np.lexsort((xy[:, 1], xy[:, 0], -weights))]
    kept = ranked[spread_out(ranked, settings.radius_px, None)]
    if settings.max_keypoints is None or len(kept) <= settings.max_keypoints:
        return kept
    owner = nearest_keypoint(xy, kept, settings.radius_px)
    sums = np.bincount(owner[owner >= 0], weights[owner >= 0], len(kept))
    return kept[np.argsort(-sums, kind="stable")[: settings.max_keypoints]]


def _by_bins(xy: NDArray[np.float64], weights: NDArray[np.float64], settings: MergeSettings) -> NDArray[np.float64]:
    """Means (E, 2) of the bins with the highest sums that are no closer than a cell."""
    cells = np.floor(xy / settings.bin_px + 0.5).astype(np.int64)
    cells -= cells.min(axis=0)
    key = cells[:, 1] * (cells[:, 0].max() + 1) + cells[:, 0]
    keys, bin_of = np.unique(key, return_inverse=True)
    sums, means = _weighted_means(xy, weights, bin_of, len(keys))
    means = means[np.lexsort((keys, -sums))]
    return means[spread_out(means, settings.cell_px, settings.max_keypoints)]


def _weighted_means(
    xy: NDArray[np.float64], weights: NDArray[np.float64], group: NDArray[np.int64], num_groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of weights (G,) and weighted mean (G, 2) of each group; 0 and 0 of an empty one."""
    sums = np.bincount(group, weights, num_groups).astype(np.float64)
    columns = [np.bincount(group, weights * xy[:, axis], num_groups) for axis in (0, 1)]
    return sums, np.stack(columns, axis=1) / np.where(sums > 0, sums, 1)[:, None]


def spread_out(xy: NDArray[np.float64], distance: float, maximum: int | None) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: of points, best first, those that no better kept one is closer to.

    Args:
        xy: (N, 2), best first.
        distance: kept points are at least so far apart, less SLACK_PX.
        maximum: at most so many are kept; None: all.

    Returns:
        Indices, ascending.
    """
    kept = np.zeros(0, dtype=np.int64)
    radius = max(0.0, distance - SLACK_PX)
    for start in range(0, len(xy), BINS_AT_ONCE):
        batch = np.arange(start, min(start + BINS_AT_ONCE, len(xy)))
        if len(kept):
            to_kept, _ = cKDTree(xy[kept]).query(xy[batch], distance_upper_bound=radius)
            batch = batch[np.isinf(to_kept)]
        kept = np.concatenate([kept, batch[_suppress(xy[batch], radius)]])
        if maximum is not None and len(kept) >= maximum:
            return kept[:maximum]
    return kept


def _suppress(xy: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Which points (N, 2), best first, are kept; in rounds, each of which keeps all that wait for no better one."""
    kept = np.zeros(len(xy), dtype=bool)
    undecided = np.ones(len(xy), dtype=bool)
    better, worse = cKDTree(xy).query_pairs(radius, output_type="ndarray").T if len(xy) else np.zeros((2, 0), np.int64)
    while undecided.any():
        waits = np.zeros(len(xy), dtype=bool)
        waits[worse] = True
        chosen = undecided & ~waits
        kept |= chosen
        undecided &= ~chosen
        undecided[worse[chosen[better]]] = False
        both = undecided[better] & undecided[worse]
        better, worse = better[both], worse[both]
    return kept


def nearest_keypoint(
    points: NDArray[np.floating], keypoints: NDArray[np.floating], max_error_px: float
) -> NDArray[np.int64]:
    """(P,) index of the keypoint nearest to each point (P, 2), -1 where none is within the distance."""
    if len(points) == 0 or len(keypoints) == 0:
        return np.full(len(points), -1, dtype=np.int64)
    limit = np.nextafter(max_error_px, np.inf)
    _, index = cKDTree(keypoints.astype(np.float64)).query(points.astype(np.float64), distance_upper_bound=limit)
    return np.where(index < len(keypoints), index, -1).astype(np.int64)


def one_to_one(index0: NDArray[np.int64], index1: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows that share no keypoint, taken by descending score; of equal scores the lower keypoints first.

    Args:
        index0: (M,) keypoint of image 0, -1 for none: such rows are never taken.
        index1: (M,) of image 1.
        scores: (M,).

    Returns:
        Rows, sorted by the keypoint of image 0.
    """
    rows = np.lexsort((index1, index0, -scores))
    rows = rows[(index0[rows] >= 0) & (index1[rows] >= 0)]
    taken = np.zeros(0, dtype=np.int64)
    while len(rows):
        best = _is_first(index0[rows]) & _is_first(index1[rows])
        taken = np.concatenate([taken, rows[best]])
        free = ~np.isin(index0[rows], index0[rows[best]]) & ~np.isin(index1[rows], index1[rows[best]])
        rows = rows[free]
    return taken[np.argsort(index0[taken])]


def _is_first(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where each value occurs for the first time."""
    first = np.zeros(len(values), dtype=bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first
