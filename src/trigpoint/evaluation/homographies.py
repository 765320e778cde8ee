"""Homographies estimated from matches, and how often their corners are where they should be."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trigpoint.evaluation.hpatches_settings import OPENCV_CONFIDENCE, OPENCV_ITERATIONS, Solver

MIN_MATCHES = 4
_METHODS = {
    "cv2": cv2.RANSAC,
    "usac_default": cv2.USAC_DEFAULT,
    "usac_accurate": cv2.USAC_ACCURATE,
    "usac_magsac": cv2.USAC_MAGSAC,
    "usac_prosac": cv2.USAC_PROSAC,
}


@dataclass(frozen=True, kw_only=True)
class HomographySolver:
    """OpenCV's robust estimation; it draws the same samples each time it is asked."""

    name: Solver
    threshold_px: float
    confidence: float = OPENCV_CONFIDENCE
    max_iterations: int = OPENCV_ITERATIONS

    def describe(self) -> str:
        """For tables: which estimator with which settings, since it moves the numbers."""
        return (
            f"OpenCV {cv2.__version__} {self.name}, {self.threshold_px:g} px, confidence {self.confidence:g},"
            f" {self.max_iterations} iterations"
        )


@dataclass(frozen=True)
class EstimatedHomography:
    """`H` (3, 3) image 1 from image 0, None where there was none to be found; `inliers`: how many matches fit it."""

    H: NDArray[np.float64] | None
    inliers: int


def estimate_homography(
    xy0: NDArray[np.floating], xy1: NDArray[np.floating], solver: HomographySolver, scores: NDArray[np.floating]
) -> EstimatedHomography:
    """A homography from matches (N, 2), (N, 2); fewer than four, or none that fits, are a failure and no error.

    Args:
        xy0: pixels of image 0.
        xy1: their partners in image 1.
        solver: estimator and settings.
        scores: (N,) of the matches: PROSAC takes better ones first, the others do not look.
    """
    if len(xy0) < MIN_MATCHES:
        return EstimatedHomography(None, 0)
    order = np.argsort(-scores, kind="stable") if solver.name == "usac_prosac" else slice(None)
    points0, points1 = (np.ascontiguousarray(xy[order], dtype=np.float64) for xy in (xy0, xy1))
    H, mask = cv2.findHomography(
        points0,
        points1,
        _METHODS[solver.name],
        solver.threshold_px,
        maxIters=solver.max_iterations,
        confidence=solver.confidence,
    )
    if H is None or not np.isfinite(H).all():
        return EstimatedHomography(None, 0)
    return EstimatedHomography(np.asarray(H, dtype=np.float64), int((np.asarray(mask) > 0).sum()))
