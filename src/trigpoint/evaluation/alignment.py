"""The world of a map in the world of the ground truth."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.geometry.pose import Sim3, transform_points, umeyama
from trigpoint.types import Pose

IDENTITY = Sim3(1.0, np.eye(3), np.zeros(3))
SAMPLES = 500  # of three centres; with a third of the centres wrong, 30 % of the samples are good
SEED = 0
INLIER_SIGMAS = 5.0  # largest distance of an inlier, in robust standard deviations
SIGMA_OF_MEDIAN = 1.4826  # of a normal error


def world_from_map(map_poses: dict[str, Pose], truth: dict[str, Pose], *, is_aligned: bool) -> Sim3 | None:
    """The similarity that takes a map into the world its ground truth is given in.

    Args:
        map_poses: cam_from_world of the map's registered images.
        truth: ground-truth poses by image name.
        is_aligned: the map was made on reference poses, so it is in that world already.

    Returns:
        The identity for an aligned map; otherwise `robust_similarity` of the camera centres of the registered images
        with ground truth, or None where these do not determine one (fewer than three, or all on one line).
    """
    if is_aligned:
        return IDENTITY
    names = sorted(map_poses.keys() & truth.keys())
    centers = np.array([map_poses[name].center for name in names]).reshape(-1, 3)
    targets = np.array([truth[name].center for name in names]).reshape(-1, 3)
    return robust_similarity(centers, targets)


def robust_similarity(points_from: NDArray[np.float64], points_to: NDArray[np.float64]) -> Sim3 | None:
    """Umeyama's similarity on the inliers of the seeded sample of three with the least median distance.

    One camera that a map has put wrong must not move the poses of all queries; while more than half of the centres are
    right, the others do not count. The order of the points is all the randomness depends on.

    Args:
        points_from: (N, 3).
        points_to: (N, 3).

    Returns:
        The transform, or None as `umeyama`.

    Source: Rousseeuw, "Least Median of Squares Regression", 1984.
    """
    best = umeyama(points_from, points_to)
    if best is None:
        return None
    rng = np.random.default_rng(SEED)
    distances = _distances(best, points_from, points_to)
    for _ in range(SAMPLES if len(points_from) > 3 else 0):
        rows = rng.choice(len(points_from), 3, replace=False)
        candidate = umeyama(points_from[rows], points_to[rows])
        if candidate is None:
            continue
        found = _distances(candidate, points_from, points_to)
        if np.median(found) < np.median(distances):
            best, distances = candidate, found
    inliers = distances <= INLIER_SIGMAS * SIGMA_OF_MEDIAN * np.median(distances)
    return umeyama(points_from[inliers], points_to[inliers]) or best


def _distances(
    target_from_source: Sim3, points_from: NDArray[np.float64], points_to: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.linalg.norm(transform_points(target_from_source, points_from) - points_to, axis=1)
