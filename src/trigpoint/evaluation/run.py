"""metrics.json of one run: all its numbers, and the rows and histograms behind them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trigpoint.evaluation.alignment import world_from_map
from trigpoint.evaluation.distributions import map_histograms, pair_table, recall_table
from trigpoint.evaluation.localization import localization_metrics
from trigpoint.evaluation.mapping import TRIANGULATED, mapping_metrics, pair_errors_deg
from trigpoint.evaluation.relative_pose import RelativePoseSettings, relative_pose_metrics
from trigpoint.storage.colmap import (
    DatabaseSummary,
    model_poses,
    model_statistics,
    observed_points,
    read_model,
    registered_images,
    require_database,
    summarize_database,
)
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.pairs import read_pairs
from trigpoint.storage.poses import read_poses
from trigpoint.types import Dataset


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What the stages of a run wrote.

    `poses` and `localization` are absent where the dataset has no queries, `merging` where the method has keypoints.
    """

    features: Path
    matches: Path
    pairs: Path
    database: Path
    model: Path
    mapping: Path
    poses: Path | None = None
    localization: Path | None = None
    merging: Path | None = None


def evaluate_run(dataset: Dataset, run: str, files: RunFiles, settings: RelativePoseSettings) -> dict[str, Any]:
    """All metrics of a run.

    Returns:
        {"run", "mapping", "localization" (with queries only), "relative_pose" (where evaluated), "merging" (of pair
        methods), "details"}; `details` holds a row for each map image and query, and histograms.

    Raises:
        StorageError: a file is missing or damaged.
    """
    require_database(files.database, "trigpoint verify-pairs")
    database = summarize_database(files.database)
    log = read_json(files.mapping, "mapping")
    model = read_model(files.model)
    poses = model_poses(model)
    metrics: dict[str, Any] = {
        "run": run,
        "mapper": log["mapper"],
        "mapping": mapping_metrics(dataset, model_statistics(model), poses, log, database),
    }
    details: dict[str, Any] = {
        "images": image_rows(dataset, model, log, database),
        "histograms": map_histograms(model, list(database.inliers.values())),
        "pairs": pair_table([image.name for image in dataset.with_role("map")], database),
    }
    names = [image.name for image in dataset.with_role("map") if image.name in dataset.poses]
    if log["mapper"] != TRIANGULATED:
        details["pose_recall"] = recall_table(pair_errors_deg(names, poses, dataset.poses))
    if files.poses is not None and files.localization is not None:
        alignment = world_from_map(poses, dataset.poses, is_aligned=log["aligned_to_reference"])
        metrics["localization"], details["queries"] = localization_metrics(
            dataset, read_poses(files.poses), read_json(files.localization, "localization"), alignment
        )
    with FeatureReader(files.features) as features, MatchReader(files.matches) as matches:
        two_view = relative_pose_metrics(dataset, read_pairs(files.pairs), features, matches, settings)
    if two_view:
        metrics["relative_pose"] = two_view
    if files.merging is not None:
        merged = read_json(files.merging, "merge")
        metrics["merging"] = {key: value for key, value in merged.items() if key not in ("kind", "settings")}
    return metrics | {"details": details}


def image_rows(dataset: Dataset, model: Any, log: dict[str, Any], database: DatabaseSummary) -> list[dict[str, Any]]:
    """One row for each map image: keypoints, observations, and why it is not registered, as `unregistered` has it."""
    registered = registered_images(model)
    outside = {row["name"]: row for row in log["unregistered"]}
    rows = []
    for image in dataset.with_role("map"):
        row: dict[str, Any] = {"name": image.name, "registered": image.name in registered}
        if image.name in database.num_keypoints:
            row["keypoints"] = database.num_keypoints[image.name]
        if image.name in registered:
            row["observations"] = int((observed_points(registered[image.name]) >= 0).sum())
        elif image.name in outside:
            row |= outside[image.name]
        rows.append(row)
    return rows
