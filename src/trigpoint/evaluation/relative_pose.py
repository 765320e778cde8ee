"""Two-view pose accuracy of a run's matches, apart from mapping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from trigpoint.errors import SettingsError
from trigpoint.evaluation.mapping import auc_percent
from trigpoint.evaluation.two_view import (
    AUC_THRESHOLDS_DEG,
    ESTIMATORS,
    Ransac,
    View,
    error_deg,
    estimate_two_view,
)
from trigpoint.evaluation.two_view_settings import EstimatorName
from trigpoint.geometry.metrics import FAILED_DEG
from trigpoint.geometry.pose import relative_pose
from trigpoint.log import progress
from trigpoint.settings import check_choice
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset

CONFIDENCE, MAX_ITERATIONS = 0.9999, 100_000  # PoseLib's own


@dataclass(frozen=True, kw_only=True)
class RelativePoseSettings:
    """Settings of the two-view evaluation that goes with a map; `layout: relative_pose` compares estimators."""

    estimator: EstimatorName = "poselib"  # poselib: LO-RANSAC with known intrinsics
    threshold_px: float = 1.0  # epipolar error of an inlier
    max_pairs: int = 1000  # above it, a seeded choice of so many pairs is evaluated; 0 leaves the evaluation out
    seed: int = 0  # of the choice of pairs and of RANSAC

    def __post_init__(self) -> None:
        check_choice("evaluate", "estimator", self.estimator, get_args(EstimatorName))
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

    Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021, Section 3.3.
    """
    cameras = {image.name: image.camera for image in dataset.images if image.camera and image.name in dataset.poses}
    eligible = [(name0, name1) for name0, name1 in pairs if name0 in cameras and name1 in cameras]
    chosen = choose_pairs(eligible, settings)
    if not chosen:
        return {}
    ransac = Ransac(
        threshold_px=settings.threshold_px,
        confidence=CONFIDENCE,
        max_iterations=MAX_ITERATIONS,
        seed=settings.seed,
    )
    errors = []
    for name0, name1 in progress(chosen, "relative poses"):
        indices = matches.read(name0, name1).indices
        xy0, xy1 = features.keypoints(name0)[indices[:, 0]], features.keypoints(name1)[indices[:, 1]]
        views = View(xy0.astype(np.float64), cameras[name0]), View(xy1.astype(np.float64), cameras[name1])
        truth = relative_pose(dataset.poses[name0], dataset.poses[name1])
        errors.append(error_deg(estimate_two_view(settings.estimator, *views, ransac), truth, ignore_sign=True))
    return {
        "estimator": ESTIMATORS[settings.estimator].label,
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
