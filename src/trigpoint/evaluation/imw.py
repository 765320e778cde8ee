"""Measures of the Image Matching Benchmark, to the letter, where its numbers are to be compared with published ones.

They are not those of the rest of the package: the mean average accuracy is a histogram of whole degrees, not an area
under a curve, and both errors have a floor of some 1e-8 radians.

Source: ubc-vision/image-matching-benchmark, `utils/eval_helper.py`; Jin et al., "Image Matching across Wide Baselines",
IJCV 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trigpoint.errors import ShapeError
from trigpoint.geometry.pose import quaternion_from_matrix
from trigpoint.types import Pose

LOSS_FLOOR = 1e-15  # of one minus a squared cosine
FAILED_RAD = (np.pi, np.pi / 2)  # of a pair without a pose: rotation, translation
MIN_INLIERS = 5
MAX_DEG = 10  # bins of one degree
REPEATABILITY_PX = tuple(range(1, 11))


def pose_error_rad(estimate: Pose, truth: Pose) -> tuple[float, float]:
    """Errors of a relative pose cam1_from_cam0, radians.

    Returns:
        The rotation's full angle, 0 to pi; the angle between the translations whatever their sign, 0 to pi / 2.
    """
    cosine = float(quaternion_from_matrix(estimate.rotation) @ quaternion_from_matrix(truth.rotation))
    rotation_loss = max(LOSS_FLOOR, 1 - cosine**2)
    lengths = np.linalg.norm(estimate.translation) * np.linalg.norm(truth.translation)
    along = float(estimate.translation @ truth.translation) / max(float(lengths), np.finfo(float).eps)
    translation_loss = max(LOSS_FLOOR, 1 - along**2)
    return float(np.arccos(1 - 2 * rotation_loss)), float(np.arccos(np.sqrt(1 - translation_loss)))


def essential_error_rad(
    E: NDArray[np.float64], x0: NDArray[np.float64], x1: NDArray[np.float64], truth: Pose
) -> tuple[float, float]:
    """Errors of the pose that an essential matrix (3, 3) and its inliers give; FAILED_RAD for fewer than 5.

    Args:
        E: x1^T E x0 = 0.
        x0, x1: (M, 2) inliers on the plane z = 1 of both cameras.
        truth: cam1_from_cam0.
    """
    if len(x0) < MIN_INLIERS or E.shape != (3, 3):
        return FAILED_RAD
    import cv2

    _, rotation, translation, _ = cv2.recoverPose(E, x0, x1)
    found = Pose(np.asarray(rotation, np.float64), np.asarray(translation, np.float64)[:, 0])
    return pose_error_rad(found, truth)


@dataclass(frozen=True)
class AverageAccuracy:
    """Share of pairs by error in whole degrees, and the mean of the running sums.

    Attributes:
        shares: (10,) of the pairs whose error is in 0..1, 1..2, ... 9..10 degrees, the last border included.
        at_5: mean of the first five running sums; `at_10`: of all ten, the benchmark's headline.
    """

    shares: NDArray[np.float64]
    at_5: float
    at_10: float


def mean_average_accuracy(errors_rad: NDArray[np.floating]) -> AverageAccuracy:
    """The benchmark's mAA of pairs (N, 2) of rotation and translation errors; failed pairs are infinite and count.

    Raises:
        ShapeError: another shape, or no pair.
    """
    errors = np.asarray(errors_rad, dtype=np.float64)
    if errors.ndim != 2 or errors.shape[1] != 2 or not len(errors):
        raise ShapeError(f"errors are {errors.shape}, expected (N, 2) with N > 0")
    worse_deg = np.degrees(errors.max(axis=1))
    counts, _ = np.histogram(worse_deg[np.isfinite(worse_deg)], np.arange(MAX_DEG + 1))
    shares = counts / len(errors)
    running = np.cumsum(shares)
    return AverageAccuracy(shares, float(running[:5].mean()), float(running.mean()))


def transfer_by_depth(
    xy0: NDArray[np.float64],
    depth: NDArray[np.float64],
    K0: NDArray[np.float64],
    K1: NDArray[np.float64],
    cam1_from_cam0: Pose,
) -> NDArray[np.float64]:
    """Pixels (N, 2) of image 1 where points of image 0 are seen.

    Args:
        xy0: (N, 2) pixels.
        depth: (N,) along the optical axis of camera 0, positive.
        K0, K1: (3, 3) calibrations, of the pixels' convention.
        cam1_from_cam0: in the depth's unit.
    """
    rays = np.column_stack([xy0, np.ones(len(xy0))]) @ np.linalg.inv(K0).T
    points = (rays * np.asarray(depth).reshape(-1, 1)) @ cam1_from_cam0.rotation.T + cam1_from_cam0.translation
    projected = points @ K1.T
    return projected[:, :2] / projected[:, 2:]


def symmetric_epipolar_error(
    x0: NDArray[np.float64], x1: NDArray[np.float64], E: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(M,) squared distances to both epipolar lines, summed; points (M, 2) on the plane z = 1, x1^T E x0 = 0."""
    homogeneous0, homogeneous1 = (np.column_stack([x, np.ones(len(x))]) for x in (x0, x1))
    lines1, lines0 = homogeneous0 @ E.T, homogeneous1 @ E
    residual = (homogeneous1 * lines1).sum(axis=1)
    return residual**2 * (1 / (lines1[:, :2] ** 2).sum(axis=1) + 1 / (lines0[:, :2] ** 2).sum(axis=1))


def repeatability(
    xy0_in_1: NDArray[np.float64], xy1: NDArray[np.float64], thresholds_px: Sequence[float] = REPEATABILITY_PX
) -> NDArray[np.float64]:
    """Share of points (N, 2) of image 0, transferred to image 1, with a detection (M, 2) closer than each threshold.

    Returns:
        (T,) 0 to 1; NaN without points.
    """
    if not len(xy0_in_1):
        return np.full(len(thresholds_px), np.nan)
    if not len(xy1):
        return np.zeros(len(thresholds_px))
    nearest, _ = cKDTree(xy1).query(xy0_in_1)
    return np.array([float(np.mean(nearest < threshold)) for threshold in thresholds_px])
