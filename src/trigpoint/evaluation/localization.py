"""What localization is worth: recall within thresholds, for each split of the queries."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trigpoint.geometry.metrics import PoseError, absolute_pose_error, joint_recall
from trigpoint.geometry.pose import Sim3, transform_pose
from trigpoint.types import Dataset, DatasetImage, Pose

# (metres, degrees): the thresholds of visuallocalization.net since June 2020
RECALL_THRESHOLDS = ((0.25, 2.0), (0.5, 5.0), (5.0, 10.0))
MISS = PoseError(float("inf"), float("inf"))


def localization_metrics(
    dataset: Dataset,
    poses: dict[str, Pose],
    log: dict[str, Any],
    world_from_map: Sim3 | None,
    thresholds: Sequence[tuple[float, float]] = RECALL_THRESHOLDS,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Numbers by split, and one row for each query.

    `queries` and `localized` count all queries of the split; errors are measured on those with ground truth
    (`ground_truth_queries`), and a query without a pose is an infinite error in recall and in the medians `median_m`
    and `median_deg`, which are absent when infinite. `median_localized_*` are those over localized queries alone, which
    other tools report. Recall and metres are absent where distances have no scale.

    Args:
        dataset: queries and their ground truth.
        poses: poses.txt, cam_from_world in the map's world.
        log: localization.json.
        world_from_map: takes the map into the world of the ground truth; None if unknown, then errors are absent.
        thresholds: (metres, degrees) of recall.

    Source: Sattler et al., "Benchmarking 6DOF Outdoor Visual Localization", CVPR 2018, Section 3.
    """
    logged = {row["name"]: row for row in log["queries"]}
    splits: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    queries = dataset.with_role("query")
    for split in sorted({query.split for query in queries}):
        members = [query for query in queries if query.split == split]
        errors = {query.name: _error(query, dataset, poses, world_from_map) for query in members}
        splits[split or "all"] = _split_metrics(dataset, members, poses, errors, thresholds)
        rows += [_row(query, dataset, poses, errors[query.name], logged.get(query.name, {})) for query in members]
    return splits, rows


def _error(
    query: DatasetImage, dataset: Dataset, poses: dict[str, Pose], world_from_map: Sim3 | None
) -> PoseError | None:
    if query.name not in dataset.poses or world_from_map is None:
        return None
    if query.name not in poses:
        return MISS
    return absolute_pose_error(transform_pose(world_from_map, poses[query.name]), dataset.poses[query.name])


def _split_metrics(
    dataset: Dataset,
    members: list[DatasetImage],
    poses: dict[str, Pose],
    errors: dict[str, PoseError | None],
    thresholds: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "queries": len(members),
        "localized": sum(query.name in poses for query in members),
    }
    measured = [error for error in errors.values() if error is not None]
    if not measured:
        return metrics
    metrics["ground_truth_queries"] = len(measured)
    if dataset.pose_unit == "metre":
        metrics["recall_percent"] = {
            f"{metres:g}m_{degrees:g}deg": 100 * joint_recall(measured, metres, degrees)
            for metres, degrees in thresholds
        }
    unit = "m" if dataset.pose_unit == "metre" else "units"
    found = [error for error in measured if error is not MISS]
    for prefix, chosen in (("median", measured), ("median_localized", found)):
        values = {
            f"{prefix}_{unit}": [error.position for error in chosen],
            f"{prefix}_deg": [error.rotation_deg for error in chosen],
        }
        metrics |= {key: float(np.median(numbers)) for key, numbers in values.items() if _has_median(numbers)}
    return metrics


def _has_median(numbers: list[float]) -> bool:
    """Whether the median is finite; asked first, because the mean of a finite and an infinite middle is a miss."""
    return bool(numbers) and bool(np.isfinite(np.sort(numbers)[len(numbers) // 2]))


def _row(
    query: DatasetImage, dataset: Dataset, poses: dict[str, Pose], error: PoseError | None, logged: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": query.name, "split": query.split or "all", "localized": query.name in poses}
    row |= {key: logged[key] for key in ("status", "reason", "num_matches", "num_inliers", "cluster") if key in logged}
    row |= {"num_references": len(logged["references"])} if "references" in logged else {}
    if error is not None and error is not MISS:
        unit = "m" if dataset.pose_unit == "metre" else "units"
        row |= {f"error_{unit}": error.position, "error_deg": error.rotation_deg}
    row["has_ground_truth"] = query.name in dataset.poses
    return row
