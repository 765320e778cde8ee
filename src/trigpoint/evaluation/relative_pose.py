"""Two-view pose accuracy of a run's matches, apart from mapping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import poselib

from trigpoint.errors import SettingsError
from trigpoint.evaluation.mapping import auc_percent
from trigpoint.geometry.metrics import FAILED_DEG, relative_pose_error_deg
from trigpoint.geometry.pixels import to_colmap
from trigpoint.geometry.pose import relative_pose
from trigpoint.log import progress
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Camera, Dataset, Pose

AUC_THRESHOLDS_DEG = (1, 3, 5, 10, 20)
MIN_MATCHES = 5  # of the five-point solver


@dataclass(frozen=True, kw_only=True)
class RelativePoseSettings:
    """Settings of the two-view evaluation; the estimator is PoseLib's LO-RANSAC with known intrinsics."""

    threshold_px: float = 1.0  # Sampson error of an inlier
    max_pairs: int = 1000  # above it, a seeded choice of so many pairs is evaluated; 0 leaves the evaluation out
    seed: int = 0  # of the choice of pairs and of RANSAC

    def __post_init__(self) -> None:
        if self.threshold_px <= 0:
            raise SettingsError(f"evaluate: threshold_px must be positive, got {self.threshold_px}")
        if self.max_pairs < 0:
            raise SettingsError(f"evaluate: max_pairs must not be negative, got {self.max_pairs}")


def relative_pose_metrics(
    dataset: Dataset,
    pairs: Sequence[tuple[str, str]],
    features: FeatureReader,
    matches: MatchReader,
    settings: RelativePoseSettings,
) -> dict[str, Any]:
    """Area under the recall curve over the listed pairs whose two images have ground truth and a given camera.

    Too few matches, or no estimate, is an error of 180 degrees. The sign of the translation is known (points lie in
    front of both cameras), but ignored as in the published tables.

    Returns:
        {"estimator", "threshold_px", "seed", "pairs", "eligible_pairs", "failed_pairs", "auc_percent"}, `pairs` being
        those evaluated; empty where no pair is eligible or `max_pairs` is 0.

    Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021, Section 3.3; estimator: PoseLib.
    """
    cameras = {image.name: image.camera for image in dataset.images if image.camera and image.name in dataset.poses}
    eligible = [(name0, name1) for name0, name1 in pairs if name0 in cameras and name1 in cameras]
    chosen = choose_pairs(eligible, settings)
    if not chosen:
        return {}
    errors = []
    for name0, name1 in progress(chosen, "relative poses"):
        indices = matches.read(name0, name1).indices
        xy0, xy1 = features.keypoints(name0)[indices[:, 0]], features.keypoints(name1)[indices[:, 1]]
        estimate = estimate_relative_pose(xy0, xy1, cameras[name0], cameras[name1], settings)
        truth = relative_pose(dataset.poses[name0], dataset.poses[name1])
        errors.append(relative_pose_error_deg(estimate, truth, ignore_sign=True) if estimate else FAILED_DEG)
    return {
        "estimator": f"PoseLib {poselib.__version__}",
        "threshold_px": settings.threshold_px,
        "seed": settings.seed,
        "pairs": len(chosen),
        "eligible_pairs": len(eligible),
        "failed_pairs": sum(error == FAILED_DEG for error in errors),
        "auc_percent": auc_percent(errors, AUC_THRESHOLDS_DEG),
    }


def choose_pairs(pairs: Sequence[tuple[str, str]], settings: RelativePoseSettings) -> list[tuple[str, str]]:
    """The pairs, sorted; above `max_pairs` a seeded choice of them."""
    ordered = sorted(pairs)
    if len(ordered) <= settings.max_pairs:
        return ordered
    rng = np.random.default_rng(settings.seed)
    return [ordered[row] for row in sorted(rng.choice(len(ordered), settings.max_pairs, replace=False))]


def estimate_relative_pose(
    xy0: np.ndarray, xy1: np.ndarray, camera0: Camera, camera1: Camera, settings: RelativePoseSettings
) -> Pose | None:
    """cam1_from_cam0 with a translation of length 1 from matches with known intrinsics.

    Args:
        xy0: (M, 2) pixels, centre of the top-left pixel at (0, 0).
        xy1: (M, 2), row i is the partner of row i of `xy0`.
        camera0: of image 0.
        camera1: of image 1.
        settings: threshold and seed.

    Returns:
        The pose, or None for fewer than 5 matches or inliers.
    """
    if len(xy0) < MIN_MATCHES:
        return None
    pose, info = poselib.estimate_relative_pose(
        to_colmap(xy0.astype(np.float64)),
        to_colmap(xy1.astype(np.float64)),
        _poselib_camera(camera0),
        _poselib_camera(camera1),
        {"max_epipolar_error": settings.threshold_px, "seed": settings.seed},
        {},
    )
    return Pose(np.array(pose.R), np.array(pose.t)) if info["num_inliers"] >= MIN_MATCHES else None


def _poselib_camera(camera: Camera) -> dict[str, Any]:
    return {"model": camera.model, "width": camera.width, "height": camera.height, "params": list(camera.params)}
