"""Plane-to-plane maps: points through a homography, and how far matches are from it."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ShapeError


def apply_homography(xy: NDArray[np.floating], H: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points (N, 2) mapped by H (3, 3), float64; a point of the line that goes to infinity gives infinite values."""
    if xy.ndim != 2 or xy.shape[1] != 2 or H.shape != (3, 3):
        raise ShapeError(f"points {xy.shape} and homography {H.shape}, expected (N, 2) and (3, 3)")
    mapped = xy.astype(np.float64) @ H[:, :2].T.astype(np.float64) + H[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        result: NDArray[np.float64] = mapped[:, :2] / mapped[:, 2:]
    result[mapped[:, 2] == 0] = np.inf
    return result


def image_corners(size: tuple[int, int]) -> NDArray[np.float64]:
    """(4, 2) centres of the corner pixels of an image of (width, height)."""
    width, height = size
    return np.array([(0, 0), (0, height - 1), (width - 1, 0), (width - 1, height - 1)], dtype=np.float64)


def corner_error_px(
    estimate: NDArray[np.floating] | None, truth: NDArray[np.floating], corners: NDArray[np.floating]
) -> float:
    """Mean distance of where two homographies (3, 3) put the corners (4, 2); infinite where there is no estimate.

    Source: DeTone et al., SuperPoint, CVPR Workshops 2018, Section 7.3.
    """
    if estimate is None:
        return float("inf")
    return float(transfer_errors_px(corners, apply_homography(corners, truth), estimate).mean())


def transfer_errors_px(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], H: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Distance of each point of image 1 from where H puts its partner of image 0.

    Args:
        xy0: (M, 2) pixels of image 0.
        xy1: (M, 2) pixels of image 1.
        H: (3, 3), image 1 from image 0.

    Returns:
        (M,) pixels.
    """
    if len(xy0) != len(xy1):
        raise ShapeError(f"{len(xy0)} points have {len(xy1)} partners")
    return np.linalg.norm(apply_homography(xy0, H) - xy1, axis=1)
