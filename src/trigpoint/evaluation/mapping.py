"""What a map is worth: its size and fit, and its poses against ground truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigpoint.geometry.metrics import FAILED_DEG, absolute_pose_error, pose_auc
from trigpoint.geometry.pose import align_poses, transform_pose
from trigpoint.storage.colmap import DatabaseSummary, ModelStatistics
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
    registered images, after Umeyama's similarity on all their centres, and absent where none is determined.
    `auc_percent` is over ALL pairs of map images with ground truth, the larger of rotation and translation direction
    error (with sign: a map knows it), a pair with an unregistered image counting as 180 degrees; it needs no alignment.
    """
    names = [image.name for image in dataset.with_role("map") if image.name in dataset.poses]
    metrics: dict[str, Any] = {"ground_truth_images": len(names)} if names else {}
    if len(names) >= 2:
        errors = pair_errors_deg(names, poses, dataset.poses)
        metrics["auc_percent"] = auc_percent(errors, AUC_THRESHOLDS_DEG)
    registered = {name: poses[name] for name in names if name in poses}
    alignment = align_poses(registered, dataset.poses)
    if alignment is None:
        return metrics
    found = [
        absolute_pose_error(transform_pose(alignment, pose), dataset.poses[name]) for name, pose in registered.items()
    ]
    unit = "m" if dataset.pose_unit == "metre" else "units"
    metrics[f"center_rmse_{unit}"] = float(np.sqrt(np.mean([error.position**2 for error in found])))
    metrics["rotation_median_deg"] = float(np.median([error.rotation_deg for error in found]))
    return metrics


def pair_errors_deg(names: Sequence[str], poses: dict[str, Pose], truth: dict[str, Pose]) -> NDArray[np.float64]:
    """Error of the relative pose of each pair of N names, 180 degrees where one of the two has no pose.

    As `relative_pose_error_deg` with sign, for all partners of an image at once: 1,000 images have 499,500 pairs.

    Returns:
        (N (N - 1) / 2,) degrees, in the order of `itertools.combinations`.
    """
    errors = np.full((len(names), len(names)), FAILED_DEG)
    known = [row for row, name in enumerate(names) if name in poses]
    estimates = _stacked([poses[names[row]] for row in known])
    truths = _stacked([truth[names[row]] for row in known])
    for place, row in enumerate(known[:-1]):
        rotations, translations = _relative_poses(*estimates, place)
        true_rotations, true_translations = _relative_poses(*truths, place)
        chords = np.linalg.norm(rotations - true_rotations, axis=(1, 2)) / (2 * np.sqrt(2))
        turned = np.degrees(2 * np.arcsin(np.clip(chords, 0, 1)))
        moved = _direction_errors_deg(translations, true_translations)
        errors[row, known[place + 1 :]] = np.maximum(turned, moved)
    return errors[np.triu_indices(len(names), k=1)]


def _stacked(poses: Sequence[Pose]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotations (N, 3, 3) and translations (N, 3)."""
    rotations = np.array([pose.rotation for pose in poses]).reshape(-1, 3, 3)
    return rotations, np.array([pose.translation for pose in poses]).reshape(-1, 3)


def _relative_poses(
    rotations: NDArray[np.float64], translations: NDArray[np.float64], place: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """cam1_from_cam0 for camera 0 at `place` and each camera 1 after it."""
    relative = rotations[place + 1 :] @ rotations[place].T
    return relative, translations[place + 1 :] - relative @ translations[place]


def _direction_errors_deg(estimates: NDArray[np.float64], truths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles between rows; 0 where the truth has no baseline, 180 where only the estimate has none."""
    sines = np.linalg.norm(np.cross(estimates, truths), axis=1)
    angles = np.degrees(np.arctan2(sines, (estimates * truths).sum(axis=1)))
    angles[~estimates.any(axis=1)] = FAILED_DEG
    angles[~truths.any(axis=1)] = 0.0
    return angles


def auc_percent(errors_deg: ArrayLike, thresholds_deg: Sequence[int]) -> dict[str, float]:
    """Threshold -> area under the recall curve, in percent."""
    areas = pose_auc(errors_deg, thresholds_deg)
    return {str(threshold): 100 * area for threshold, area in zip(thresholds_deg, areas, strict=True)}
