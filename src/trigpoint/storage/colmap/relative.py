"""Relative pose of two calibrated views by COLMAP's estimator."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.storage.colmap.library import seeded
from trigpoint.storage.colmap.values import from_rigid3d, pycolmap, to_colmap_camera
from trigpoint.types import Camera, Pose


def relative_pose(
    xy0: NDArray[np.float64], xy1: NDArray[np.float64], camera0: Camera, camera1: Camera, ransac: dict[str, float]
) -> tuple[Pose, int] | None:
    """cam1_from_cam0 by LO-RANSAC on the essential matrix, then the least tangent Sampson errors over its inliers.

    Args:
        xy0, xy1: (M, 2) pixels in COLMAP's convention.
        camera0, camera1: of the two images.
        ransac: as RANSACOptions takes it, the seed with it.

    Returns:
        Pose with a translation of length 1 and number of inliers; None if there is no pose.
    """
    cameras = to_colmap_camera(camera0), to_colmap_camera(camera1)
    options = seeded(pycolmap.RANSACOptions(ransac), 0, 1)
    answer = pycolmap.estimate_essential_matrix(xy0, xy1, *cameras, options)
    if answer is None:
        return None
    found, inliers = answer["cam2_from_cam1"], answer["inlier_mask"]
    refined = pycolmap.refine_relative_pose(found, cameras[0], xy0, cameras[1], xy1, inliers)
    pose = from_rigid3d(found if refined is None else refined["cam2_from_cam1"])
    return pose, int(answer["num_inliers"])
