"""The protocol of the local feature challenge: queries are registered in the map by COLMAP's mapper.

Every listed pair is verified by RANSAC on its own, what is left gives 2D-3D matches, and the mapper registers the
image. Source: tsattler/visuallocalizationbenchmark, local_feature_evaluation (matches_importer, image_registrator).
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.geometry.pixels import to_colmap
from trigpoint.localization.absolute_pose import point_matches
from trigpoint.localization.query import Map, Outcome, Query, batches, query_camera, without_pairs, without_pose
from trigpoint.localization.settings import LocalizationSettings
from trigpoint.storage import colmap
from trigpoint.types import Camera


@dataclass(frozen=True)
class _Verified:
    """A query, its camera, and the matches of each pair that was verified."""

    query: Query
    camera: Camera | None
    matches: dict[str, np.ndarray]


def register_queries(
    queries: Iterable[Query], scene: Map, model: Path, settings: LocalizationSettings, pool: ThreadPoolExecutor
) -> list[Outcome]:
    """Outcome of each query, in their order.

    Args:
        queries: with their matches.
        scene: of `model`.
        model: directory of the map; not changed.
        settings: the `register_*` and `pair_*` fields, seed, and what to do without calibration.
        pool: for the verification; the mapper itself works on one core.
    """
    reconstruction = colmap.read_model(model)
    references = References(reconstruction)
    for camera in reconstruction.cameras.values():
        camera.has_prior_focal_length = True  # a model's file does not say so, and its cameras are calibrated

    verified = [
        item
        for batch in batches(queries)
        for item in pool.map(lambda query: _verify(query, references, settings), batch)
    ]
    rows = [_row(item, scene, settings) for item in verified]
    images = [
        colmap.NewImage(
            name=item.query.image.name,
            camera=item.camera,
            xy=to_colmap(item.query.keypoints.astype(np.float64)),
            matches=item.matches,
            refine=item.query.image.camera is None,
        )
        for item, row in zip(verified, rows, strict=True)
        if "status" not in row and item.camera is not None
    ]
    options = {
        "abs_pose_max_error": settings.max_error_px,
        "abs_pose_min_num_inliers": settings.register_min_num_inliers,
        "abs_pose_min_inlier_ratio": settings.register_min_inlier_ratio,
        "abs_pose_refine_focal_length": settings.refine_focal_length,
        "abs_pose_refine_extra_params": settings.refine_extra_params,
    }
    found = colmap.register_images(reconstruction, images, options, settings.seed)
    return [_outcome(row, found, settings) for row in rows]


class References:
    """Cameras and keypoints of a model's images, which pycolmap has one by one, so that each is read once."""

    def __init__(self, model: Any) -> None:
        self._images = colmap.registered_images(model)
        self._xy: dict[str, np.ndarray] = {}

    def camera(self, name: str) -> Any:
        """The pycolmap.Camera of an image."""
        return self._images[name].camera

    def xy(self, name: str) -> np.ndarray:
        """(N, 2) keypoints in COLMAP's convention."""
        if name not in self._xy:
            self._xy[name] = np.array([point.xy for point in self._images[name].points2D]).reshape(-1, 2)
        return self._xy[name]


def _verify(query: Query, references: References, settings: LocalizationSettings) -> _Verified:
    camera = query_camera(query.image, settings)
    if camera is None:
        return _Verified(query, None, {})
    own, xy = colmap.to_colmap_camera(camera), to_colmap(query.keypoints.astype(np.float64))
    options = {
        "min_num_inliers": settings.pair_min_num_inliers,
        "ransac": {"max_error": settings.pair_max_error_px},
    }
    matches = {}
    for name, indices in query.indices.items():
        cameras, points = (own, references.camera(name)), (xy, references.xy(name))
        inliers = colmap.verified_matches(cameras, points, indices, options, settings.seed)
        if len(inliers) >= settings.pair_min_num_inliers:
            matches[name] = inliers
    return _Verified(query, camera, matches)


def _row(item: _Verified, scene: Map, settings: LocalizationSettings) -> dict[str, Any]:
    """Entry of localization.json; with a status where it is already known that there is no pose."""
    image = item.query.image
    row: dict[str, Any] = {"name": image.name, "split": image.split}
    if not item.query.indices:
        return without_pairs(row).row
    matches = point_matches(list(item.matches), item.matches, scene.points_of_reference)
    row |= {"num_matches": len(matches), "num_inliers": 0, "references": list(item.matches)}
    if item.camera is None or len(matches) < settings.register_min_num_inliers:
        return row | without_pose(item.camera, len(matches), settings.register_min_num_inliers)
    return row


def _outcome(row: dict[str, Any], found: dict[str, Any], settings: LocalizationSettings) -> Outcome:
    if "status" in row:
        return Outcome(row)
    if row["name"] not in found:
        ratio = 100 * settings.register_min_inlier_ratio
        reason = f"no pose with {settings.register_min_num_inliers} inliers and {ratio:g} % of the matches"
        return Outcome({**row, "status": "failed", "reason": reason})
    pose, num_inliers = found[row["name"]]
    return Outcome({**row, "status": "localized", "num_inliers": num_inliers}, pose)
