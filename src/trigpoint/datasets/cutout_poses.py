"""Camera and pose of a view of a scan, from the 3D points behind its pixels: truth for views that are held out."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.storage import colmap
from trigpoint.types import Camera, Pose

NUM_POINTS = 2000  # drawn of all pixels that have one
MAX_ERROR_PX = 2.0
MIN_INLIER_RATIO = 0.5
SEED = 0


def view_of_points(points: NDArray[np.float64], size: tuple[int, int]) -> tuple[Camera, Pose] | None:
    """The camera that sees each point at its pixel.

    Args:
        points: (H, W, 3) in the world, NaN where there is none.
        size: (width, height) of the image that belongs to them.

    Returns:
        SIMPLE_PINHOLE with the principal point in the middle, and cam_from_world; None if no such camera fits.
    """
    rows, columns = np.nonzero(np.isfinite(points).all(axis=2))
    chosen = np.random.default_rng(SEED).permutation(len(rows))[:NUM_POINTS]
    if len(chosen) < NUM_POINTS // 10:
        return None
    rows, columns = rows[chosen], columns[chosen]
    scale = np.array(size) / (points.shape[1], points.shape[0])
    pixels = (np.column_stack([columns, rows]) + 0.5) * scale  # COLMAP's convention
    start = colmap.guessed_camera("SIMPLE_PINHOLE", float(max(size)), size, has_prior=False)
    ransac = {"max_error": MAX_ERROR_PX, "min_inlier_ratio": MIN_INLIER_RATIO}
    found = colmap.absolute_pose(
        pixels,
        points[rows, columns],
        start,
        {"estimate_focal_length": True, "ransac": ransac},
        {"refine_focal_length": True, "refine_extra_params": False},
        SEED,
    )
    if found is None or found[1] < MIN_INLIER_RATIO * len(chosen):
        return None
    pose, _, camera = found
    return camera, pose
