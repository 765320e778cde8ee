"""Relative pose of two images with known intrinsics: one table of robust estimators, printed with every number.

The estimator alone moves AUC@5 by more than most methods differ, so none is a default of the field. Those whose name
ends with `_f` do without the intrinsics until a fundamental matrix is found; then E = K1^T F K0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import poselib
from numpy.typing import NDArray

from trigpoint.geometry.metrics import FAILED_DEG, relative_pose_error_deg
from trigpoint.geometry.pixels import to_colmap
from trigpoint.storage import colmap
from trigpoint.types import Camera, Pose

AUC_THRESHOLDS_DEG = (1, 3, 5, 10, 20)
MIN_MATCHES = 5  # of the five-point solver
MIN_MATCHES_F = 8  # of the linear solver for a fundamental matrix
NO_DISTANCE_LIMIT = 1e9  # of points in front of both cameras, in baselines: OpenCV drops those beyond 50 otherwise
Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ransac:
    """What every robust estimator is told.

    Attributes:
        threshold_px: epipolar error of an inlier, Sampson's or the estimator's own; pixels of the original images.
        confidence: that a sample without an outlier was drawn.
        max_iterations: samples at most.
        seed: of the samples; for OpenCV, whose samples have a fixed one, of the order of the matches.
    """

    threshold_px: float
    confidence: float
    max_iterations: int
    seed: int


@dataclass(frozen=True)
class View:
    """Matched points of one image: `xy` (M, 2) pixels, centre of the top-left pixel at (0, 0), and its camera."""

    xy: Points
    camera: Camera

    @cached_property
    def corner_xy(self) -> Points:
        """(M, 2) pixels in the camera's own convention, the corner of the top-left pixel at (0, 0)."""
        return np.ascontiguousarray(to_colmap(self.xy.astype(np.float64)))

    @cached_property
    def rays(self) -> Points:
        """(M, 2) on the plane z = 1, without distortion."""
        return colmap.normalized_points(colmap.to_colmap_camera(self.camera), self.corner_xy)

    @cached_property
    def focal_px(self) -> float:
        """Mean focal length."""
        return colmap.focal_length_px(self.camera)


@dataclass(frozen=True)
class TwoViewPose:
    """cam1_from_cam0 with a translation of length 1, and how many matches fit it."""

    pose: Pose
    num_inliers: int


Estimate = Callable[[View, View, Ransac], TwoViewPose | None]


def estimate_two_view(name: str, view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
    """The pose that the estimator of this name finds; None for too few matches or inliers, or without an answer.

    Row i of both views shows the same point.
    """
    least = MIN_MATCHES_F if name in FUNDAMENTAL else MIN_MATCHES
    if len(view0.xy) < least:
        return None
    found = ESTIMATORS[name].estimate(view0, view1, ransac)
    return found if found is not None and found.num_inliers >= least else None


def error_deg(found: TwoViewPose | None, truth: Pose, ignore_sign: bool) -> float:
    """The error of a pair, 180 degrees without a pose."""
    return FAILED_DEG if found is None else relative_pose_error_deg(found.pose, truth, ignore_sign=ignore_sign)


def _poselib(view0: View, view1: View, ransac: Ransac) -> TwoViewPose:
    pose, info = poselib.estimate_relative_pose(
        view0.corner_xy, view1.corner_xy, *(_poselib_camera(view.camera) for view in (view0, view1)),
        _poselib_options(ransac), {},
    )  # fmt: skip
    return TwoViewPose(Pose(np.array(pose.R), np.array(pose.t)), int(info["num_inliers"]))


def _poselib_f(view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
    planes = [_focal_plane(view) for view in (view0, view1)]
    F, info = poselib.estimate_fundamental(*planes, _poselib_options(ransac), {})
    return _of_fundamental(F, np.asarray(info["inliers"], dtype=bool), view0, view1)


def _poselib_options(ransac: Ransac) -> dict[str, Any]:
    return {
        "max_epipolar_error": ransac.threshold_px,
        "success_prob": ransac.confidence,
        "max_iterations": ransac.max_iterations,
        "seed": ransac.seed,
    }


def _poselib_camera(camera: Camera) -> dict[str, Any]:
    return {"model": camera.model, "width": camera.width, "height": camera.height, "params": list(camera.params)}


def _pycolmap(view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
    options = {
        "max_error": ransac.threshold_px,
        "confidence": ransac.confidence,
        "max_num_trials": ransac.max_iterations,
        "random_seed": ransac.seed,
    }
    found = colmap.relative_pose(view0.corner_xy, view1.corner_xy, view0.camera, view1.camera, options)
    return None if found is None else TwoViewPose(*found)


def _opencv_essential(method: int) -> Estimate:
    """As published tables have it: points on the plane z = 1, the threshold over the mean of the four focal lengths."""

    def estimate(view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
        order = _shuffled(view0, ransac)
        rays0, rays1 = view0.rays[order], view1.rays[order]
        threshold = 2 * ransac.threshold_px / (view0.focal_px + view1.focal_px)
        E, mask = cv2.findEssentialMat(
            rays0, rays1, np.eye(3), method=method, prob=ransac.confidence, threshold=threshold,
            maxIters=ransac.max_iterations,
        )  # fmt: skip
        return _of_essential(E, mask, rays0, rays1)

    return estimate


def _opencv_fundamental(method: int) -> Estimate:
    def estimate(view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
        order = _shuffled(view0, ransac)
        shuffled0, shuffled1 = View(view0.xy[order], view0.camera), View(view1.xy[order], view1.camera)
        F, mask = cv2.findFundamentalMat(
            _focal_plane(shuffled0), _focal_plane(shuffled1), method, ransac.threshold_px, ransac.confidence,
            ransac.max_iterations,
        )  # fmt: skip
        return None if mask is None else _of_fundamental(F, mask.ravel() > 0, shuffled0, shuffled1)

    return estimate


def _shuffled(view: View, ransac: Ransac) -> NDArray[np.int64]:
    """An order of the matches: OpenCV's samples have a seed that cannot be chosen, or that repeats."""
    return np.random.default_rng(ransac.seed).permutation(len(view.xy))


def _eight_point_f(view0: View, view1: View, ransac: Ransac) -> TwoViewPose | None:
    """All matches, none tested: what the Image Matching Challenge does with the matches of a submission."""
    F, _ = cv2.findFundamentalMat(_focal_plane(view0), _focal_plane(view1), cv2.FM_8POINT)
    return _of_fundamental(F, np.ones(len(view0.xy), dtype=bool), view0, view1)


def _focal_plane(view: View) -> Points:
    """(M, 2) pixels without distortion and with the principal point at (0, 0): K is diag(f, f, 1)."""
    return np.ascontiguousarray(view.rays * view.focal_px)


def _of_fundamental(F: Any, inliers: NDArray[np.bool_], view0: View, view1: View) -> TwoViewPose | None:
    """The pose of a fundamental matrix of the focal planes, by its inliers."""
    if F is None or np.shape(F) != (3, 3):  # seven points may give three
        return None
    K0, K1 = (np.diag([view.focal_px, view.focal_px, 1.0]) for view in (view0, view1))
    return _of_essential(K1 @ np.asarray(F) @ K0, inliers, view0.rays, view1.rays)


def _of_essential(E: Any, mask: Any, rays0: Points, rays1: Points) -> TwoViewPose | None:
    """Of all candidates (3 k, 3) and their four poses, the one with most inliers in front of both cameras."""
    if E is None or mask is None:
        return None
    best: TwoViewPose | None = None
    for candidate in np.asarray(E, dtype=np.float64).reshape(-1, 3, 3):
        inliers = np.asarray(mask).astype(np.uint8).reshape(-1, 1).copy()  # recoverPose writes into it
        count, rotation, translation, *_ = cv2.recoverPose(
            candidate, rays0, rays1, np.eye(3), NO_DISTANCE_LIMIT, mask=inliers
        )
        if best is None or count > best.num_inliers:
            best = TwoViewPose(
                Pose(np.asarray(rotation, np.float64), np.asarray(translation, np.float64)[:, 0]), int(count)
            )
    return best


@dataclass(frozen=True)
class Estimator:
    """One row of the table: what estimates, its name and version for the tables, and what it first finds."""

    estimate: Estimate
    label: str
    model: str = "essential matrix"


_OPENCV, _POSELIB = f"OpenCV {cv2.__version__}", f"PoseLib {poselib.__version__}"
ESTIMATORS: dict[str, Estimator] = {
    "poselib": Estimator(_poselib, _POSELIB),
    "pycolmap": Estimator(_pycolmap, f"pycolmap {colmap.pycolmap.__version__}"),
    "opencv_ransac": Estimator(_opencv_essential(cv2.RANSAC), f"{_OPENCV} RANSAC"),
    "opencv_magsac": Estimator(_opencv_essential(cv2.USAC_MAGSAC), f"{_OPENCV} MAGSAC"),
    "poselib_f": Estimator(_poselib_f, f"{_POSELIB} F", "fundamental matrix"),
    "opencv_magsac_f": Estimator(_opencv_fundamental(cv2.USAC_MAGSAC), f"{_OPENCV} MAGSAC F", "fundamental matrix"),
    "opencv_usac_f": Estimator(_opencv_fundamental(cv2.USAC_DEFAULT), f"{_OPENCV} USAC F", "fundamental matrix"),
    "eight_point_f": Estimator(_eight_point_f, f"{_OPENCV} 8 points F", "fundamental matrix"),
}
FUNDAMENTAL: Sequence[str] = tuple(name for name in ESTIMATORS if name.endswith("_f"))
