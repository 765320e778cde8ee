"""Pose of one query from 2D-3D matches through the map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigpoint.geometry.pixels import to_colmap
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.storage import colmap
from trigpoint.types import Camera, Pose


@dataclass(frozen=True)
class PointMatches:
    """2D-3D matches of a query: `keypoints` (M,) indices of its keypoints, `points` (M,) point numbers of the map."""

    keypoints: NDArray[np.int64]
    points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True)
class PoseEstimate:
    """A pose, the number of matches it explains, and the camera, whose focal length may have been estimated."""

    pose: Pose
    num_inliers: int
    camera: Camera


def point_matches(
    references: Sequence[str], indices: Mapping[str, np.ndarray], points_of_reference: Mapping[str, np.ndarray]
) -> PointMatches:
    """2D-3D matches through several references, each (keypoint, point) pair once however many references give it.

    Args:
        references: names to use.
        indices: name -> (M, 2) matches, query keypoint and reference keypoint.
        points_of_reference: name -> (N,) point number of each keypoint of the reference, -1 for none.

    Returns:
        Sorted by keypoint, then point; empty if no matched keypoint observes a point.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for name in references:
        points = points_of_reference[name][indices[name][:, 1]]
        both = np.stack([indices[name][:, 0].astype(np.int64), points], axis=1)
        found.append(both[points >= 0])
    unique = np.unique(np.concatenate(found), axis=0)
    return PointMatches(unique[:, 0], unique[:, 1])


def estimate_pose(
    keypoints: NDArray[np.float32],
    matches: PointMatches,
    positions: Mapping[int, np.ndarray],
    camera: Camera,
    settings: LocalizationSettings,
    *,
    estimate_focal_length: bool = False,
) -> PoseEstimate | None:
    """LO-RANSAC and refinement of cam_from_world; half a pixel is added to the keypoints here.

    Args:
        keypoints: (N, 2) of the query, our convention.
        matches: at least four, or there is no pose.
        positions: point number -> (3,) world position.
        camera: of the query; the start, if its focal length is estimated.
        settings: threshold, trials, seed.
        estimate_focal_length: in RANSAC and refinement.

    Returns:
        The pose and its inliers, or None where no four matches agree on one.
    """
    if len(matches) < 4:
        return None
    points2d = to_colmap(keypoints[matches.keypoints].astype(np.float64))
    points3d = np.array([positions[point] for point in matches.points.tolist()])
    estimate = colmap.absolute_pose(
        points2d,
        points3d,
        camera,
        {
            "estimate_focal_length": estimate_focal_length,
            "ransac": {
                "max_error": settings.max_error_px,
                "min_inlier_ratio": settings.min_inlier_ratio,
                "confidence": settings.confidence,
                "min_num_trials": settings.min_num_trials,
                "max_num_trials": settings.max_num_trials,
            },
        },
        {
            "refine_focal_length": settings.refine_focal_length or estimate_focal_length,
            "refine_extra_params": settings.refine_extra_params,
        },
        settings.seed,
    )
    return None if estimate is None else PoseEstimate(*estimate)
