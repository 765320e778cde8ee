"""What a map is worth: its size and fit, and its poses against ground truth."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from trigpoint.evaluation.alignment import world_from_map
from trigpoint.geometry.metrics import FAILED_DEG, absolute_pose_error, pose_auc, relative_pose_error_deg
from trigpoint.geometry.pose import relative_pose, transform_pose
from trigpoint.mapping.colmap import DatabaseSummary, ModelStatistics
from trigpoint.types import Dataset, Pose

AUC_THRESHOLDS_DEG = (1, 3, 5, 10)
TRIANGULATED = "triangulate"  # the mapper that takes the poses as given


def mapping_metrics(
    dataset: Dataset,
    statistics: ModelStatistics,
    poses: dict[str, Pose],
    log: dict[str, Any],
    database: DatabaseSummary,
) -> dict[str, Any]:
    """The numbers of a map; unknown ones are absent.

    Args:
        dataset: its map images are what had to be registered.
        statistics: of the model, as COLMAP counts.
        poses: cam_from_world of the model's registered images.
        log: mapping.json.
        database: counts of matches and verified matches.

    Source: Schönberger et al., "Comparative Evaluation of Hand-Crafted and Learned Local Features", CVPR 2017,
    Section 4 for sizes; `pose_metrics` for poses.
    """
    metrics: dict[str, Any] = {
        "images": len(dataset.with_role("map")),
        "registered": statistics.images,
        "points3D": statistics.points3D,
        "observations": statistics.observations,
        "inlier_pairs": len(database.inliers),
        "inlier_matches": sum(database.inliers.values()),
        "matched_pairs": sum(count > 0 for count in database.matches.values()),
        "matches": sum(database.matches.values()),
    }
    if statistics.images:
        metrics["mean_observations_per_image"] = statistics.observations / statistics.images
    if statistics.points3D:
        metrics["mean_track_length"] = statistics.mean_track_length
    if statistics.mean_reprojection_error_px is not None:
        metrics["mean_reprojection_error_px"] = statistics.mean_reprojection_error_px
    if log["mapper"] != TRIANGULATED:
        metrics |= pose_metrics(dataset, poses)
    return metrics


def pose_metrics(dataset: Dataset, poses: dict[str, Pose]) -> dict[str, Any]:
    """Poses of a map made without ground truth, against it.

    `center_rmse_m` (`center_rmse_units` where distances have no scale) and `rotation_median_deg` are over the
    registered images, after a similarity fitted to their centres, and absent where none is determined. `auc_percent`
    is over ALL pairs of map images with ground truth, the larger of rotation and translation direction error (with
    sign: a map knows it), a pair with an unregistered image counting as 180 degrees; it needs no alignment.
    """
    names = [image.name for image in dataset.with_role("map") if image.name in dataset.poses]
    metrics: dict[str, Any] = {"ground_truth_images": len(names)} if names else {}
    if len(names) >= 2:
        errors = pair_errors_deg(names, poses, dataset.poses)
        metrics["auc_percent"] = auc_percent(errors, AUC_THRESHOLDS_DEG)
    registered = {name: poses[name] for name in names if name in poses}
    alignment = world_from_map(registered, dataset.poses, is_aligned=False)
    if alignment is None:
        return metrics
    found = [
        absolute_pose_error(transform_pose(alignment, pose), dataset.poses[name]) for name, pose in registered.items()
    ]
    unit = "m" if dataset.pose_unit == "metre" else "units"
    metrics[f"center_rmse_{unit}"] = float(np.sqrt(np.mean([error.position**2 for error in found])))
    metrics["rotation_median_deg"] = float(np.median([error.rotation_deg for error in found]))
    return metrics


def pair_errors_deg(names: Sequence[str], poses: dict[str, Pose], truth: dict[str, Pose]) -> list[float]:
    """Error of the relative pose of each pair of names, 180 degrees where one of the two has no pose."""
    errors = []
    for name0, name1 in itertools.combinations(names, 2):
        if name0 not in poses or name1 not in poses:
            errors.append(FAILED_DEG)
            continue
        estimate = relative_pose(poses[name0], poses[name1])
        errors.append(relative_pose_error_deg(estimate, relative_pose(truth[name0], truth[name1])))
    return errors


def auc_percent(errors_deg: Sequence[float], thresholds_deg: Sequence[int]) -> dict[str, float]:
    """Threshold -> area under the recall curve, in percent."""
    areas = pose_auc(errors_deg, thresholds_deg)
    return {str(threshold): 100 * area for threshold, area in zip(thresholds_deg, areas, strict=True)}
