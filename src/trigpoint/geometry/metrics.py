"""Pose errors and what tables make of them: recall at thresholds, area under the recall curve."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trigpoint.errors import ShapeError
from trigpoint.geometry.pose import direction_angle_deg, rotation_angle_deg
from trigpoint.types import Pose

FAILED_DEG = 180.0  # error of a pair that has no estimate


@dataclass(frozen=True)
class PoseError:
    """Distance of the camera centres, in the world's unit, and angle between the rotations, degrees."""

    position: float
    rotation_deg: float


def absolute_pose_error(estimate: Pose, truth: Pose) -> PoseError:
    """Errors of a cam_from_world in the world of the truth.

    Source: Sattler et al., "Benchmarking 6DOF Outdoor Visual Localization", CVPR 2018, Section 3.
    """
    position = float(np.linalg.norm(estimate.center - truth.center))
    return PoseError(position, rotation_angle_deg(estimate.rotation, truth.rotation))


def relative_pose_error_deg(estimate: Pose, truth: Pose, *, ignore_sign: bool = False) -> float:
    """The larger of rotation error and translation direction error of a cam1_from_cam0, degrees.

    Args:
        estimate: its translation may have any length.
        truth: a true baseline of zero has no direction, so the rotation alone counts.
        ignore_sign: count opposite translations as equal, as the Image Matching Benchmark does.

    Returns:
        0 to 180; an estimate without a baseline where the truth has one is 180.

    Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021, Section 3.3.
    """
    rotation = rotation_angle_deg(estimate.rotation, truth.rotation)
    if not truth.translation.any():
        return rotation
    direction = direction_angle_deg(estimate.translation, truth.translation, ignore_sign=ignore_sign)
    return FAILED_DEG if np.isnan(direction) else max(rotation, direction)


def recall(errors: ArrayLike, threshold: float) -> float:
    """Share 0 to 1 of the errors (N,) not above a threshold; NaN for no errors."""
    values = np.asarray(errors, dtype=np.float64)
    return float(np.mean(values <= threshold)) if len(values) else float("nan")


def joint_recall(errors: Iterable[PoseError], position: float, rotation_deg: float) -> float:
    """Share 0 to 1 of poses that are within both thresholds, borders included; NaN for none. A miss has error inf."""
    within = [error.position <= position and error.rotation_deg <= rotation_deg for error in errors]
    return float(np.mean(within)) if within else float("nan")


def share_within(errors: ArrayLike, thresholds: Iterable[float]) -> NDArray[np.float64]:
    """(T,) share of the errors (N,) that do not exceed each threshold, 0 where there are none.

    Of the end-point errors of points this is PCK; of a pair's matches, averaged over pairs, the mean matching accuracy.
    """
    values, limits = np.asarray(errors, dtype=np.float64), np.asarray(tuple(thresholds), dtype=np.float64)
    if len(values) == 0:
        return np.zeros(len(limits))
    return (values[:, None] <= limits).mean(axis=0)


def pose_auc(errors: ArrayLike, thresholds: Sequence[float], *, strictly_below: bool = False) -> list[float]:
    """Area under the recall curve up to each threshold, divided by the threshold.

    The curve starts at (0, 0), passes (error i, i / N) for the sorted errors, is straight between them, and runs level
    from the last error below the threshold to it.

    Args:
        errors: (N,) not negative, infinite for a failure.
        thresholds: positive, in the unit of the errors.
        strictly_below: an error equal to the threshold is beyond it, as in the image-matching toolbox.

    Returns:
        One number 0 to 1 for each threshold; NaN for N = 0.

    Raises:
        ShapeError: not one row of numbers, or NaN among them.

    Source: Sarlin et al., SuperGlue, CVPR 2020, Section 5.2 (the exact area, not the histogram of Yi et al. 2018).
    """
    values = np.sort(np.asarray(errors, dtype=np.float64))
    if values.ndim != 1 or np.isnan(values).any():
        raise ShapeError(f"expected (N,) errors without NaN, got {values.shape}")
    if not len(values):
        return [float("nan")] * len(thresholds)
    heights = np.arange(len(values) + 1) / len(values)
    values = np.concatenate([[0.0], values])
    areas = []
    for threshold in thresholds:
        below = int(np.searchsorted(values, threshold, side="left" if strictly_below else "right"))
        x = np.append(values[:below], threshold)
        y = np.append(heights[:below], heights[below - 1])
        areas.append(float(np.trapezoid(y, x) / threshold))
    return areas


def recall_curve(errors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sorted finite errors (K,) and the share (K,) of all errors not above each, for plots."""
    values = np.sort(np.asarray(errors, dtype=np.float64))
    finite = values[np.isfinite(values)]
    return finite, np.arange(1, len(finite) + 1) / max(len(values), 1)
