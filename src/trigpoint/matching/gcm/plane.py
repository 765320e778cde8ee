"""The plane that coarse matches are brought together by: a homography, whether it is believed, and an image through it.

Source: the warping stage of Efe, Ince and Alatan, "DFM", CVPR workshops 2021.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from trigpoint.geometry.homography import apply_homography

RANSAC_ITERATIONS = 5000
RANSAC_CONFIDENCE = 0.9999
LEAST_POINTS = 4
LEAST_INLIERS = 8
LARGEST_AREA_RATIO = 16.0
FINAL_THRESHOLD_PX = 3.0


def estimate_homography(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], threshold_px: float
) -> tuple[NDArray[np.float64], int] | None:
    """Map of the second image's points to the first's, by RANSAC, and how many agree with it.

    Args:
        xy0: (N, 2) pixels.
        xy1: (N, 2).
        threshold_px: largest distance in the first image of one that agrees.

    Returns:
        (3, 3) and the number; None if there are fewer than four points or they fix no map.
    """
    if len(xy0) < LEAST_POINTS:
        return None
    H, mask = cv2.findHomography(
        xy1.astype(np.float64),
        xy0.astype(np.float64),
        cv2.RANSAC,
        threshold_px,
        maxIters=RANSAC_ITERATIONS,
        confidence=RANSAC_CONFIDENCE,
    )
    if H is None or not np.isfinite(H).all():
        return None
    return np.asarray(H, dtype=np.float64), int(np.count_nonzero(mask))


def is_believable(H: NDArray[np.float64], num_inliers: int, size: tuple[int, int]) -> bool:
    """Whether an image of (width, height) keeps its orientation and about its scale everywhere through a homography.

    At least eight points agree, no part of the image is beyond the horizon, and areas change by a factor of at most 16
    at its corners, between which the change is largest and smallest.
    """
    width, height = size
    corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], dtype=np.float64)
    depths = corners @ H[2, :2] + H[2, 2]
    if num_inliers < LEAST_INLIERS or (np.sign(depths) != np.sign(depths[0])).any() or not depths.all():
        return False
    areas = np.linalg.det(H) / depths**3
    return bool(((areas >= 1 / LARGEST_AREA_RATIO) & (areas <= LARGEST_AREA_RATIO)).all())


def warp(pixels: NDArray[np.uint8], H: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) through a homography onto a canvas of (width, height), bilinearly, black where nothing is shown."""
    return np.asarray(cv2.warpPerspective(pixels, H, size), dtype=np.uint8)


def unwarp(xy: NDArray[np.floating], H: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) points of the warped image in the image it was made of."""
    return apply_homography(xy, np.linalg.inv(H))
