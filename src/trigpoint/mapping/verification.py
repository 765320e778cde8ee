"""Geometric verification of the matches of a database: which of them fit one motion between the two cameras."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import DataError, EmptyResultError
from trigpoint.geometry.epipolar import essential_matrix
from trigpoint.geometry.pose import relative_pose
from trigpoint.log import progress
from trigpoint.mapping.cameras import given_camera
from trigpoint.mapping.components import diagnosis, diagnosis_table
from trigpoint.mapping.settings import VerificationSettings
from trigpoint.storage import colmap
from trigpoint.storage.atomic import atomic_path
from trigpoint.types import Dataset, Pose

logger = logging.getLogger(__name__)
IMPORT = "trigpoint import-database"


def verify_database(
    database: Path, output: Path, settings: VerificationSettings, num_threads: int = 1, dataset: Dataset | None = None
) -> None:
    """Copy a database and write the two-view geometry of every pair that has matches into the copy.

    Each geometry gets its configuration: COLMAP ignores those without one and says nothing.

    Args:
        database: as `import_database` leaves it; not changed.
        output: a new database, replaced if it exists.
        settings: with `known_poses` the poses and cameras of `dataset` are believed, otherwise RANSAC estimates.
        num_threads: pairs are independent, so the count does not change the result.
        dataset: needed for `known_poses` only.

    Raises:
        EmptyResultError: there are matches but no pair is verified.
        DataError: known poses are asked for, and the dataset has none that may be used.
    """
    colmap.require_database(database, IMPORT)
    colmap.set_log_level()
    with tempfile.TemporaryDirectory(prefix="trigpoint-verify-") as folder:
        temporary = Path(folder) / "database.db"
        shutil.copyfile(database, temporary)
        if settings.known_poses:
            _verify_known_poses(temporary, _reference(dataset), settings)
        else:
            threads = 1 if settings.deterministic else num_threads
            colmap.verify_matches(temporary, _options(settings), settings.seed, threads)
        summary = colmap.summarize_database(temporary)
        if not summary.inliers:
            logger.error("no verified pair:\n%s", "\n".join(diagnosis_table(summary)))
            raise EmptyResultError(f"{database}: no pair of images is verified: {diagnosis(summary)}")
        with atomic_path(output) as partial:
            shutil.copyfile(temporary, partial)
    pairs, inliers = len(summary.inliers), sum(summary.inliers.values())
    logger.info("%d of %d pairs verified, %d inlier matches", pairs, len(summary.matches), inliers)


def _options(settings: VerificationSettings) -> dict[str, Any]:
    """As pycolmap's TwoViewGeometryOptions takes them."""
    return {
        "min_num_inliers": settings.min_num_inliers,
        "ransac": {
            "max_error": settings.max_error_px,
            "min_inlier_ratio": settings.min_inlier_ratio,
            "confidence": settings.confidence,
            "max_num_trials": settings.max_num_trials,
        },
    }


def _reference(dataset: Dataset | None) -> Dataset:
    if dataset is None:
        raise DataError("verification with known_poses needs the dataset: give --dataset")
    if not any(name in dataset.poses for name in dataset.reference_images):
        raise DataError(f"dataset '{dataset.id}' has no reference poses that may be used; set known_poses: false")
    return dataset


def _verify_known_poses(path: Path, dataset: Dataset, settings: VerificationSettings) -> None:
    """Keep matches within `max_error_px` of each other's epipolar lines; pairs without two known poses are left out.

    Source: hloc's triangulation (estimation_and_geometric_verification), which writes no configuration and so loses
    all of it with pycolmap 4.2.
    """
    known = set(dataset.reference_images) & set(dataset.poses)
    cameras = {
        image.name: colmap.to_colmap_camera(given_camera(image)) for image in dataset.images if image.name in known
    }
    summary = colmap.summarize_database(path)
    pairs = [pair for pair, count in summary.matches.items() if count and known.issuperset(pair)]
    with colmap.open_database(path) as database, colmap.transaction(database):
        keypoints = {
            name: database.read_keypoints(summary.images[name]) for name in {n for pair in pairs for n in pair}
        }
        for name0, name1 in progress(pairs, "pairs checked"):
            ids = summary.images[name0], summary.images[name1]
            matches = database.read_matches(*ids)
            pose = relative_pose(dataset.poses[name0], dataset.poses[name1])
            near = near_epipolar_lines(
                (cameras[name0], cameras[name1]),
                (keypoints[name0][matches[:, 0], :2], keypoints[name1][matches[:, 1], :2]),
                pose,
                settings.max_error_px,
            )
            if near.sum() >= settings.min_num_inliers:
                colmap.write_calibrated_geometry(database, ids, pose, matches[near])


def near_epipolar_lines(
    cameras: tuple[Any, Any], xy: tuple[np.ndarray, np.ndarray], cam1_from_cam0: Pose, max_error_px: float
) -> np.ndarray:
    """Which matches are near each other's epipolar lines, in both images.

    Args:
        cameras: pycolmap cameras of image 0 and 1, distortion included.
        xy: (M, 2) pixels in COLMAP's convention of image 0 and of image 1.
        cam1_from_cam0: relative pose.
        max_error_px: distance on the plane z = 1 times the camera's mean focal length.

    Returns:
        (M,) bool; False too where there is no epipolar line (a pure rotation, the epipole itself).
    """
    E = essential_matrix(cam1_from_cam0)
    points = [
        np.column_stack([colmap.normalized_points(c, p), np.ones(len(p))]) for c, p in zip(cameras, xy, strict=True)
    ]
    lines = points[1] @ E, points[0] @ E.T  # in image 0, in image 1
    residual = np.abs((points[1] * lines[1]).sum(axis=1))
    near = np.ones(len(residual), dtype=bool)
    for camera, line in zip(cameras, lines, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            near &= residual / np.hypot(line[:, 0], line[:, 1]) * camera.mean_focal_length() <= max_error_px
    return near
