"""The adapter to pycolmap 4.2: conversions, seeds and thread counts, databases and models.

COLMAP's names end here: what other modules see are the values of `trigpoint.types`. Its traps, and where they are met:
every options object has `random_seed` -1 and `num_threads` -1 (`seeded`); quaternions are x, y, z, w (`to_rigid3d`
goes through the matrix); the corner of the top-left pixel is (0, 0) (`geometry.pixels`, called where keypoints cross);
a database is in WAL mode, so a copy of an open one is empty (`open_database` closes it before anything is moved).
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import SettingsError, StorageError, TrigpointError
from trigpoint.storage.colmap_library import load
from trigpoint.types import Camera, Pose

pycolmap: Any = load()
UNSET = -1  # COLMAP's "not set": a random seed, all cores
# Table of our own in the database; COLMAP neither reads nor drops it.
SETTINGS_TABLE = "trigpoint_settings"


# -- options ---------------------------------------------------------------------------------------------------------


def seeded(options: Any, seed: int, num_threads: int) -> Any:
    """Put the seed and the thread count wherever an options object, or one inside it, leaves them open; returns it."""
    for key, value in options.todict(recursive=False).items():
        if key == "random_seed" and value == UNSET:
            setattr(options, key, seed)
        elif key in {"num_threads", "num_workers"} and value == UNSET:
            setattr(options, key, num_threads)
        elif key == "use_gpu" and value:
            setattr(options, key, False)  # the wheel has no CUDA; the numbers should not depend on the machine
        elif hasattr(value, "todict"):
            seeded(value, seed, num_threads)
    return options


def set_log_level() -> None:
    """COLMAP's own lines (glog, standard error) only with `--verbose`; warnings always."""
    debug = logging.getLogger("trigpoint").isEnabledFor(logging.DEBUG)
    pycolmap.logging.minloglevel = pycolmap.logging.INFO if debug else pycolmap.logging.WARNING


# -- values ----------------------------------------------------------------------------------------------------------


def check_camera_model(name: str) -> None:
    """Refuse a name that is no camera model of COLMAP."""
    if name not in pycolmap.CameraModelId.__members__ or name == "INVALID":
        known = ", ".join(sorted(set(pycolmap.CameraModelId.__members__) - {"INVALID"}))
        raise SettingsError(f"camera_model: '{name}' is no camera model of COLMAP; known: {known}")


def to_colmap_camera(camera: Camera, camera_id: int = 1) -> Any:
    """A pycolmap.Camera.

    Raises:
        TrigpointError: unknown model, or a wrong number of parameters.
    """
    check_camera_model(camera.model)
    converted = pycolmap.Camera(
        model=camera.model,
        width=camera.width,
        height=camera.height,
        params=list(camera.params),
        camera_id=camera_id,
        has_prior_focal_length=camera.has_prior_focal_length,
    )
    if not converted.verify_params():
        raise TrigpointError(
            f"camera {camera.model} {camera.width}x{camera.height}: {len(camera.params)} parameters,"
            f" expected {converted.params_info}"
        )
    return converted


def from_colmap_camera(camera: Any) -> Camera:
    """The value of a pycolmap.Camera."""
    return Camera(
        model=camera.model_name,
        width=int(camera.width),
        height=int(camera.height),
        params=tuple(float(value) for value in camera.params),
        has_prior_focal_length=bool(camera.has_prior_focal_length),
    )


def guessed_camera(model: str, focal_length_px: float, size: tuple[int, int], *, has_prior: bool) -> Camera:
    """A camera to start from: principal point in the image centre, no distortion."""
    check_camera_model(model)
    model_id = pycolmap.CameraModelId.__members__[model]
    camera = pycolmap.Camera.create_from_model_id(1, model_id, focal_length_px, *size)
    camera.has_prior_focal_length = has_prior
    return from_colmap_camera(camera)


def focal_length_px(camera: Camera) -> float:
    """Mean of the focal lengths of a camera."""
    return float(to_colmap_camera(camera).mean_focal_length())


def normalized_points(camera: Any, xy: np.ndarray) -> np.ndarray:
    """(N, 2) points on the plane z = 1 of (N, 2) pixels in COLMAP's convention; NaN where there is no such ray."""
    points = camera.cam_from_img(np.asarray(xy, dtype=np.float64).reshape(-1, 2))
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def to_rigid3d(pose: Pose) -> Any:
    """A pycolmap.Rigid3d, cam_from_world as here."""
    return pycolmap.Rigid3d(pycolmap.Rotation3d(np.asarray(pose.rotation, dtype=np.float64)), pose.translation)


def from_rigid3d(rigid: Any) -> Pose:
    """The pose of a pycolmap.Rigid3d."""
    return Pose(np.array(rigid.rotation.matrix()), np.array(rigid.translation, dtype=np.float64))


# -- databases -------------------------------------------------------------------------------------------------------


@contextmanager
def open_database(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A pycolmap.Database, closed at the end; a file that does not exist is created.

    Raises:
        StorageError: the file is no COLMAP database.
    """
    try:
        database = pycolmap.Database.open(path)
    except (RuntimeError, ValueError) as error:
        raise StorageError(
            f"{path}: not a COLMAP database ({error}); `trigpoint import-database` writes one"
        ) from error
    with database:
        yield database


def require_database(path: Path, command: str) -> None:
    """Refuse a path without a database, naming the command that writes it."""
    if not path.is_file():
        raise StorageError(f"{path}: no such file; `{command}` writes it")


def write_camera(database: Any, camera: Any) -> None:
    """Write a camera and its trivial rig, both under the camera's number."""
    database.write_camera(camera, use_camera_id=True)
    rig = pycolmap.Rig(rig_id=camera.camera_id)
    rig.add_ref_sensor(camera.sensor_id)
    database.write_rig(rig, use_rig_id=True)


def write_image(database: Any, image_id: int, name: str, camera_id: int) -> None:
    """Write an image and the frame it is alone in, both under the image's number."""
    image = pycolmap.Image(name=name, camera_id=camera_id, image_id=image_id)
    frame = pycolmap.Frame(frame_id=image_id, rig_id=camera_id)
    frame.add_data_id(image.data_id)
    database.write_frame(frame, use_frame_id=True)
    image.frame_id = image_id
    database.write_image(image, use_image_id=True)


def write_settings(path: Path, settings: dict[str, str]) -> None:
    """Note in a closed database how it was made; replaces earlier notes of the same name."""
    with _sqlite(path) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {SETTINGS_TABLE} (name TEXT PRIMARY KEY, value TEXT)")
        connection.executemany(f"INSERT OR REPLACE INTO {SETTINGS_TABLE} VALUES (?, ?)", sorted(settings.items()))
        connection.commit()


def read_settings(path: Path) -> dict[str, str]:
    """How a database was made; empty for a foreign one."""
    with _sqlite(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (SETTINGS_TABLE,)).fetchall()
        return dict(connection.execute(f"SELECT name, value FROM {SETTINGS_TABLE}")) if tables else {}


@contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class DatabaseSummary:
    """What a database holds, by image name.

    Attributes:
        images: name -> image number.
        num_keypoints: name -> count.
        matches: pair of names -> number of matches, pairs with none included.
        inliers: pair of names -> number of verified matches, only pairs with some.
    """

    images: dict[str, int]
    num_keypoints: dict[str, int]
    matches: dict[tuple[str, str], int]
    inliers: dict[tuple[str, str], int]


def summarize_database(path: Path) -> DatabaseSummary:
    """Counts of a closed database."""
    with open_database(path) as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        num_keypoints = {name: database.num_keypoints_for_image(image_id) for name, image_id in images.items()}
        matches = _counts_by_name(images, *database.read_num_matches())
        inliers = _counts_by_name(images, *database.read_two_view_geometry_num_inliers())
    return DatabaseSummary(images, num_keypoints, matches, {pair: count for pair, count in inliers.items() if count})


def _counts_by_name(images: dict[str, int], pair_ids: list[int], counts: list[int]) -> dict[tuple[str, str], int]:
    names = {image_id: name for name, image_id in images.items()}
    pairs = [pycolmap.pair_id_to_image_pair(pair_id) for pair_id in pair_ids]
    return {(names[id0], names[id1]): count for (id0, id1), count in zip(pairs, counts, strict=True)}


# -- models ----------------------------------------------------------------------------------------------------------


def read_model(path: str | os.PathLike[str]) -> Any:
    """The pycolmap.Reconstruction of a directory with a COLMAP model, binary or text.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    folder = Path(path)
    if not any((folder / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
        raise StorageError(f"{folder}: no COLMAP model (images.bin or images.txt); `trigpoint map` writes one")
    try:
        return pycolmap.Reconstruction(folder)
    except (RuntimeError, ValueError) as error:
        raise StorageError(f"{folder}: damaged COLMAP model ({error}); run `trigpoint map` again") from error


def registered_images(model: Any) -> dict[str, Any]:
    """Name -> pycolmap.Image of the images with a pose, in the order of their names."""
    images = [model.images[image_id] for image_id in model.reg_image_ids()]
    return {image.name: image for image in sorted(images, key=lambda image: image.name)}


def model_poses(model: Any) -> dict[str, Pose]:
    """cam_from_world of the registered images, by name."""
    return {name: from_rigid3d(image.cam_from_world()) for name, image in registered_images(model).items()}


def model_cameras(model: Any) -> dict[str, Camera]:
    """Cameras of the registered images, by image name."""
    return {name: from_colmap_camera(image.camera) for name, image in registered_images(model).items()}


def observed_points(image: Any) -> np.ndarray:
    """(N,) int64 point number of each keypoint of a model's image, -1 where it observes none."""
    return np.array(
        [point.point3D_id if point.has_point3D() else UNSET for point in image.points2D], dtype=np.int64
    ).reshape(-1)


@dataclass(frozen=True)
class ModelStatistics:
    """Size and fit of a model, as COLMAP counts them; the error is absent where there is no observation."""

    images: int
    points3D: int  # noqa: N815 (COLMAP's word)
    observations: int
    mean_track_length: float
    mean_reprojection_error_px: float | None


def model_statistics(model: Any) -> ModelStatistics:
    """Registered images, points, observations, mean track length and mean reprojection error."""
    observations = int(model.compute_num_observations())
    return ModelStatistics(
        images=int(model.num_reg_images()),
        points3D=int(model.num_points3D()),
        observations=observations,
        mean_track_length=float(model.compute_mean_track_length()) if observations else 0.0,
        mean_reprojection_error_px=float(model.compute_mean_reprojection_error()) if observations else None,
    )
