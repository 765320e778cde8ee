"""Epipolar geometry of two calibrated views."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ShapeError
from trigpoint.types import Pose


def skew(vector: NDArray[np.floating]) -> NDArray[np.float64]:
    """(3, 3) with `skew(a) @ b = a x b`."""
    x, y, z = (float(value) for value in vector)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def essential_matrix(cam1_from_cam0: Pose) -> NDArray[np.float64]:
    """E (3, 3) with x1^T E x0 = 0 for normalized points; zero for a pure rotation."""
    return skew(cam1_from_cam0.translation) @ cam1_from_cam0.rotation


def fundamental_matrix(cam1_from_cam0: Pose, K0: NDArray[np.floating], K1: NDArray[np.floating]) -> NDArray[np.float64]:
    """F (3, 3) with x1^T F x0 = 0 for pixels in the convention of the two calibration matrices (3, 3)."""
    return np.linalg.inv(K1).T @ essential_matrix(cam1_from_cam0) @ np.linalg.inv(K0)


def epipolar_distance_px(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], F: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance of each point of image 1 from the epipolar line of its partner.

    Args:
        xy0: (M, 2) pixels of image 0.
        xy1: (M, 2) pixels of image 1; row i is the partner of row i of `xy0`.
        F: (3, 3), with x1^T F x0 = 0 for homogeneous x0, x1.

    Returns:
        (M,) pixels, not negative; NaN where the partner is the epipole and has no line.

    Raises:
        ShapeError: the two point arrays differ in length.

    Source: Hartley and Zisserman, 2nd ed., Section 9.2; l1 = F x0.
    """
    lines = _epipolar_lines(xy0, xy1, F)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(_along(lines, xy1)) / np.hypot(lines[:, 0], lines[:, 1])


def sampson_distance_px(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], F: NDArray[np.floating]
) -> NDArray[np.float64]:
    """First-order distance of a correspondence from the epipolar constraint, shared between both images.

    Args:
        xy0: (M, 2) pixels of image 0.
        xy1: (M, 2) pixels of image 1.
        F: (3, 3), with x1^T F x0 = 0.

    Returns:
        (M,) pixels, not negative (the square root of the usual squared form); NaN where both points are epipoles.

    Raises:
        ShapeError: the two point arrays differ in length.

    Source: Hartley and Zisserman, 2nd ed., equation 11.9.
    """
    lines1 = _epipolar_lines(xy0, xy1, F)
    lines0 = _epipolar_lines(xy1, xy0, F.T)
    squares = (lines1[:, :2] ** 2).sum(axis=1) + (lines0[:, :2] ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(_along(lines1, xy1)) / np.sqrt(squares)


def _epipolar_lines(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], F: NDArray[np.floating]
) -> NDArray[np.float64]:
    if xy0.shape != xy1.shape or xy0.ndim != 2 or xy0.shape[1] != 2:
        raise ShapeError(f"expected two (M, 2) arrays of one length, got {xy0.shape} and {xy1.shape}")
    homogeneous = np.column_stack([xy0, np.ones(len(xy0))]).astype(np.float64)
    return homogeneous @ np.asarray(F, dtype=np.float64).T


def _along(lines: NDArray[np.float64], xy: NDArray[np.floating]) -> NDArray[np.float64]:
    return lines[:, 0] * xy[:, 0] + lines[:, 1] * xy[:, 1] + lines[:, 2]
