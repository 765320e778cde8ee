"""What localization works on: the map, a query with its matches, and what became of it."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.localization.settings import LocalizationSettings
from trigpoint.storage import colmap
from trigpoint.types import Camera, DatasetImage, Pose

DEFAULT_FOCAL_FACTOR = 1.2  # times the longer side: where the estimation of an unknown focal length starts
QUERIES_AT_ONCE = 64  # bounds the keypoints in memory


@dataclass(frozen=True)
class Map:
    """What localization needs of a model: point positions, and which point each reference keypoint observes."""

    positions: dict[int, np.ndarray]
    points_of_reference: dict[str, np.ndarray]


@dataclass(frozen=True)
class Query:
    """One query with its keypoints (N, 2) and its matches (M, 2) to each listed reference of the map."""

    image: DatasetImage
    keypoints: np.ndarray
    indices: dict[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What became of a query; `row` is its entry in localization.json."""

    row: dict[str, Any]
    pose: Pose | None = None


def read_map(model: Path) -> Map:
    """A model's points and the observations of its registered images."""
    reconstruction = colmap.read_model(model)
    return Map(
        positions={point_id: np.array(point.xyz) for point_id, point in reconstruction.points3D.items()},
        points_of_reference={
            name: colmap.observed_points(image) for name, image in colmap.registered_images(reconstruction).items()
        },
    )


def without_pairs(row: dict[str, Any]) -> Outcome:
    """Outcome of a query that no image of the map was retrieved or listed for."""
    status = {"status": "no pairs", "reason": "no image of the map was retrieved or listed for it"}
    return Outcome({**row, **status, "num_matches": 0, "num_inliers": 0, "references": []})


def without_pose(camera: Camera | None, num_matches: int, least: int) -> dict[str, str]:
    """Status and reason of a query without a pose."""
    if camera is None:
        reason = "no calibration in the dataset; add it, or set localization: {estimate_focal_length: true}"
        return {"status": "failed", "reason": reason}
    if num_matches < least:
        return {"status": "too few matches", "reason": f"{least} are needed"}
    return {"status": "failed", "reason": f"no pose with {least} inliers"}


def query_camera(image: DatasetImage, settings: LocalizationSettings) -> Camera | None:
    """The query's calibration; without one a start to estimate the focal length from, if that is allowed."""
    if image.camera is not None or not settings.estimate_focal_length:
        return image.camera
    focal = DEFAULT_FOCAL_FACTOR * max(image.size)
    return colmap.guessed_camera(settings.camera_model, focal, image.size, has_prior=False)


def batches(queries: Iterable[Query]) -> Iterator[list[Query]]:
    """Queries in lists of at most QUERIES_AT_ONCE."""
    iterator = iter(queries)
    while batch := list(itertools.islice(iterator, QUERIES_AT_ONCE)):
        yield batch
