"""Benchmark of relative poses (MegaDepth-1500, ScanNet-1500, any folder with cameras and poses): one run.

Sources: Sarlin et al., SuperGlue, CVPR 2020, Section 5.2 (AUC); Sun et al., LoFTR, CVPR 2021 (the two lists).
"""

import logging
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from trigpoint.errors import DataError
from trigpoint.evaluation.distributions import recall_table
from trigpoint.evaluation.mapping import auc_percent
from trigpoint.evaluation.pair_benchmarks import PairEvaluation
from trigpoint.evaluation.run_matches import Pair, RunMatches
from trigpoint.evaluation.two_view import (
    AUC_THRESHOLDS_DEG,
    ESTIMATORS,
    Ransac,
    View,
    error_deg,
    estimate_two_view,
)
from trigpoint.evaluation.two_view_settings import TwoViewSettings
from trigpoint.geometry.metrics import FAILED_DEG
from trigpoint.geometry.pose import relative_pose
from trigpoint.log import progress
from trigpoint.types import Dataset

INTRINSICS = "given"  # every estimator is told the dataset's cameras
_logger = logging.getLogger(__name__)


def evaluate(dataset: Dataset, settings: TwoViewSettings, pairs: Sequence[Pair], matches: RunMatches) -> PairEvaluation:
    """Area under the recall curve by every estimator at every threshold, over all pairs with ground truth.

    The error of a pair is the larger of its rotation's and its translation direction's; without a pose it is 180
    degrees. A pair with an image whose pose or camera is unknown is left out and counted.

    A pair of the dataset's own list with an image that cannot be used counts as without a pose.

    Returns:
        Metrics {"pairs", "unusable_pairs", "pairs_without_truth", "mean_matches", "intrinsics", "ignore_sign",
        "estimators"}; of each estimator what it was told, `failed_pairs`, `median_deg`, `mean_inliers`, `auc_percent`,
        the `recall` curve of the first repetition and, of several, `auc_range_percent`. Rows: a pair, its matches, the
        first errors.

    Raises:
        DataError: no pair has ground truth.
    """
    cameras = {image.name: image.camera for image in dataset.images if image.camera and image.name in dataset.poses}
    known = [pair for pair in pairs if all(name in cameras for name in pair)]
    if not known:
        raise DataError(
            f"dataset '{dataset.id}': none of {len(pairs)} pairs has cameras and poses of both images; give them in"
            " cameras_gt.txt or a COLMAP model beside the images"
        )
    if len(known) < len(pairs):
        _logger.warning("%d of %d pairs left out: no camera or pose", len(pairs) - len(known), len(pairs))
    unusable = dict(dataset.unusable)
    lost = [pair for pair in dataset.pairs if any(name in unusable for name in pair)]
    variants = list(product(settings.estimators, settings.thresholds_px))
    shape = settings.repetitions, len(known) + len(lost)
    errors = {variant: np.full(shape, FAILED_DEG) for variant in variants}
    inliers = {variant: np.zeros(shape, dtype=int) for variant in variants}
    rows: list[dict[str, Any]] = []
    for number, (name0, name1) in enumerate(progress(known, "relative poses")):
        xy = matches.read(name0, name1).xy
        views = View(xy[:, :2], cameras[name0]), View(xy[:, 2:], cameras[name1])
        truth = relative_pose(dataset.poses[name0], dataset.poses[name1])
        for variant, repetition in product(variants, range(settings.repetitions)):
            found = estimate_two_view(variant[0], *views, ransac_of(settings, *variant, repetition))
            errors[variant][repetition, number] = error_deg(found, truth, settings.ignore_sign)
            inliers[variant][repetition, number] = found.num_inliers if found else 0
        rows.append({"image0": name0, "image1": name1, "matches": len(xy)})
    rows += [{"image0": name0, "image1": name1, "matches": 0} for name0, name1 in lost]
    for number, row in enumerate(rows):
        row |= {f"{key_of(*variant)}_deg": float(errors[variant][0, number]) for variant in variants}
    metrics = {
        "pairs": len(rows),
        "unusable_pairs": len(lost),
        "pairs_without_truth": len(pairs) - len(known),
        "mean_matches": float(np.mean([row["matches"] for row in rows])),
        "intrinsics": INTRINSICS,
        "ignore_sign": settings.ignore_sign,
        "estimators": {
            key_of(*variant): _summary(settings, variant, errors[variant], inliers[variant]) for variant in variants
        },
    }
    return PairEvaluation(metrics, rows)


def key_of(estimator: str, threshold_px: float) -> str:
    """Name of an estimator at a threshold in metrics.json, such as `poselib_1px`."""
    return f"{estimator}_{threshold_px:g}px"


def ransac_of(settings: TwoViewSettings, estimator: str, threshold_px: float, repetition: int = 0) -> Ransac:
    """What an estimator is told in one repetition."""
    is_opencv = estimator.startswith("opencv")
    return Ransac(
        threshold_px=threshold_px,
        confidence=settings.confidence,
        max_iterations=settings.opencv_max_iterations if is_opencv else settings.max_iterations,
        seed=settings.seed + repetition,
    )


def _summary(
    settings: TwoViewSettings, variant: tuple[str, float], errors: np.ndarray, inliers: np.ndarray
) -> dict[str, Any]:
    """Metrics of one estimator from errors and inliers (repetitions, pairs)."""
    areas = [auc_percent(repetition, AUC_THRESHOLDS_DEG) for repetition in errors]
    summary: dict[str, Any] = {
        "estimator": ESTIMATORS[variant[0]].label,
        "model": ESTIMATORS[variant[0]].model,
        "threshold_px": variant[1],
        "confidence": settings.confidence,
        "max_iterations": ransac_of(settings, *variant).max_iterations,
        "seed": settings.seed,
        "repetitions": settings.repetitions,
        "failed_pairs": int(np.median((errors == FAILED_DEG).sum(axis=1))),
        "median_deg": float(np.median(errors)),
        "mean_inliers": float(inliers.mean()),
        "auc_percent": {key: float(np.mean([area[key] for area in areas])) for key in areas[0]},
        "recall": recall_table(errors[0]),
    }
    if settings.repetitions > 1:
        summary["auc_range_percent"] = {key: float(np.ptp([area[key] for area in areas])) for key in areas[0]}
    return summary
