"""All queries of a dataset against a map: poses.txt and localization.json."""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import DataError
from trigpoint.localization.absolute_pose import PoseEstimate, estimate_pose, point_matches
from trigpoint.localization.covisibility import covisibility_clusters
from trigpoint.localization.query import (
    Map,
    Outcome,
    Query,
    batches,
    query_camera,
    read_map,
    without_pairs,
    without_pose,
)
from trigpoint.localization.registration import register_queries
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.log import progress
from trigpoint.storage import colmap
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import write_json
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.poses import write_poses
from trigpoint.types import Dataset, DatasetImage

logger = logging.getLogger(__name__)


def localize_queries(
    dataset: Dataset,
    features: Path,
    matches: Path,
    pairs: Sequence[tuple[str, str]],
    model: Path,
    poses: Path,
    log: Path,
    settings: LocalizationSettings,
    num_threads: int = 1,
) -> None:
    """Write the pose of each query that has one, and the outcome of all.

    Queries are independent and each has the same seed, so the number of threads does not change the result. A query
    that fails has no pose; nothing is put in its place.

    Args:
        dataset: queries and their cameras.
        features: keypoints of the queries; the references' are in the model.
        matches: of the listed pairs.
        pairs: query and map image, in either order.
        model: directory of the map.
        poses: text file to write, cam_from_world.
        log: localization.json to write.
        settings: see LocalizationSettings.
        num_threads: queries at once.

    Raises:
        DataError: a pair without exactly one query, or a match with a keypoint the map does not have.
        StorageError: the map, the features or the matches of a listed pair are missing.
    """
    colmap.set_log_level()
    references = _references(dataset, pairs)
    scene = read_map(model)
    images = dataset.with_role("query")
    with (
        FeatureReader(features) as reader,
        MatchReader(matches) as match_reader,
        ThreadPoolExecutor(num_threads) as pool,
    ):
        queries = (_read_query(image, references.get(image.name, []), scene, reader, match_reader) for image in images)
        counted = progress(queries, "queries", total=len(images))
        if settings.protocol == "local_feature_challenge":
            outcomes = register_queries(counted, scene, model, settings, pool)
        else:
            outcomes = [
                outcome
                for batch in batches(counted)
                for outcome in pool.map(lambda query: localize(query, scene, settings), batch)
            ]
    located = {outcome.row["name"]: outcome.pose for outcome in outcomes if outcome.pose is not None}
    write_poses(poses, located)
    write_json(log, {"queries": [outcome.row for outcome in outcomes]}, kind="localization")
    logger.info("%d of %d queries localized", len(located), len(images))


def localize(query: Query, scene: Map, settings: LocalizationSettings) -> Outcome:
    """Pose of one query; of several covisibility clusters the one with most inliers (then the larger) is kept."""
    row: dict[str, Any] = {"name": query.image.name, "split": query.image.split}
    if not query.indices:
        return without_pairs(row)
    camera = query_camera(query.image, settings)
    clusters = [list(query.indices)]
    if settings.covisibility_clustering:
        clusters = covisibility_clusters({name: scene.points_of_reference[name] for name in query.indices})
    best: tuple[int, int, PoseEstimate | None] = (0, 0, None)  # cluster, matches, estimate
    most_matches = 0
    for number, names in enumerate(clusters):
        matches = point_matches(names, query.indices, scene.points_of_reference)
        most_matches = max(most_matches, len(matches))
        if camera is None or len(matches) < settings.min_num_inliers:
            continue
        unknown = query.image.camera is None
        estimate = estimate_pose(
            query.keypoints, matches, scene.positions, camera, settings, estimate_focal_length=unknown
        )
        if estimate is not None and (best[2] is None or estimate.num_inliers > best[2].num_inliers):
            best = number, len(matches), estimate
    number, num_matches, estimate = best
    row["num_matches"] = num_matches if estimate else most_matches
    row["num_inliers"] = estimate.num_inliers if estimate else 0
    row["references"] = clusters[number] if estimate else list(query.indices)
    if estimate is not None and estimate.num_inliers >= settings.min_num_inliers:
        return Outcome(
            {**row, "status": "localized", "cluster": number, **_estimated(query.image, estimate)}, estimate.pose
        )
    return Outcome({**row, **without_pose(camera, most_matches, settings.min_num_inliers)})


def _estimated(image: DatasetImage, estimate: PoseEstimate) -> dict[str, Any]:
    """The focal length, where it was estimated."""
    return {} if image.camera else {"focal_length_px": colmap.focal_length_px(estimate.camera)}


def _references(dataset: Dataset, pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Query -> the map images it is listed with, in the order of the list, each once."""
    roles = {image.name: image.role for image in dataset.images}
    references: dict[str, list[str]] = {}
    for name0, name1 in pairs:
        for name in (name0, name1):
            if name not in roles:
                raise DataError(f"pair list: '{name}' is not an image of dataset '{dataset.id}'")
        if [roles[name0], roles[name1]].count("query") != 1:
            raise DataError(f"pair list: '{name0}' '{name1}' are not a query and a map image")
        query, reference = (name0, name1) if roles[name0] == "query" else (name1, name0)
        listed = references.setdefault(query, [])
        if reference not in listed:
            listed.append(reference)
    return references


def _read_query(
    image: DatasetImage, references: list[str], scene: Map, features: FeatureReader, matches: MatchReader
) -> Query:
    """A query's matches to those listed references that are in the map."""
    indices = {}
    for name in references:
        if name in scene.points_of_reference:
            indices[name] = matches.read(image.name, name).indices
    keypoints = features.keypoints(image.name) if indices else np.empty((0, 2), dtype=np.float32)
    for name, rows in indices.items():
        counts = len(keypoints), len(scene.points_of_reference[name])
        if len(rows) and (rows.min() < 0 or (rows.max(axis=0) >= counts).any()):
            raise DataError(
                f"matches of '{image.name}' '{name}': an index has no keypoint ({counts[0]} and {counts[1]} there are);"
                " features, matches and map are of different runs"
            )
    return Query(image, keypoints, indices)
