"""COLMAP databases: written through pycolmap, counted through SQLite."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import StorageError
from trigpoint.geometry.epipolar import essential_matrix
from trigpoint.storage.colmap.library import load, seeded
from trigpoint.storage.colmap.values import to_rigid3d
from trigpoint.types import Pose

pycolmap: Any = load()
# Table of our own in the database; COLMAP neither reads nor drops it.
SETTINGS_TABLE = "trigpoint_settings"


@contextmanager
def open_database(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A pycolmap.Database, closed at the end; a file that does not exist is created.

    Opening alone changes the file's bytes and time, so inputs go through `open_database_copy` or `summarize_database`.

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


@contextmanager
def open_database_copy(path: Path) -> Iterator[Any]:
    """A pycolmap.Database on a copy in the temporary folder, so that reading leaves the file's bytes and time alone.

    Raises:
        StorageError: the file is missing or no COLMAP database.
    """
    require_database(path, "trigpoint verify-pairs")
    with tempfile.TemporaryDirectory(prefix="trigpoint-database-") as folder:
        copy = Path(folder, "copy.db")
        shutil.copyfile(path, copy)
        with open_database(copy) as database:
            yield database


def transaction(database: Any) -> Any:
    """One transaction for the body of a `with`; it commits even when the body raises, so throw the file away then."""
    return pycolmap.DatabaseTransaction(database)


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


def verify_matches(path: Path, options: dict[str, Any], seed: int, num_threads: int) -> None:
    """Estimate and write the two-view geometry of every pair with matches; options as TwoViewGeometryOptions."""
    pycolmap.geometric_verification(
        path,
        verifier_options=seeded(pycolmap.GeometricVerifierOptions(), seed, num_threads),
        two_view_geometry_options=seeded(pycolmap.TwoViewGeometryOptions(options), seed, num_threads),
    )


def calibrate_focal_lengths(path: Path, seed: int) -> None:
    """Estimate focal lengths from a database's fundamental matrices, before global mapping (calibrate_view_graph)."""
    pycolmap.calibrate_view_graph(path, seeded(pycolmap.ViewGraphCalibrationOptions(), seed, 1))


def write_calibrated_geometry(database: Any, ids: tuple[int, int], pose: Pose, matches: np.ndarray) -> None:
    """Write the verified matches (M, 2) of a pair of image numbers with its known relative pose cam1_from_cam0."""
    geometry = pycolmap.TwoViewGeometry(
        config=pycolmap.TwoViewGeometryConfiguration.CALIBRATED,
        cam2_from_cam1=to_rigid3d(pose),
        E=essential_matrix(pose),
        inlier_matches=np.ascontiguousarray(matches, dtype=np.uint32),
    )
    database.write_two_view_geometry(*ids, geometry)


def write_settings(path: Path, settings: dict[str, str]) -> None:
    """Note in a closed database how it was made; replaces earlier notes of the same name."""
    with _sqlite(path) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS {SETTINGS_TABLE} (name TEXT PRIMARY KEY, value TEXT)")
        connection.executemany(f"INSERT OR REPLACE INTO {SETTINGS_TABLE} VALUES (?, ?)", sorted(settings.items()))
        connection.commit()


def read_settings(path: Path) -> dict[str, str]:
    """How a database was made; empty for a foreign one."""
    with _sqlite(path, write=False) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = ?", (SETTINGS_TABLE,)).fetchall()
        return dict(connection.execute(f"SELECT name, value FROM {SETTINGS_TABLE}")) if tables else {}


@contextmanager
def _sqlite(path: Path, *, write: bool = True) -> Iterator[sqlite3.Connection]:
    # immutable: reading neither creates a write-ahead log beside the file nor changes its time
    connection = sqlite3.connect(path) if write else sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
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
    """Counts of a closed database, read through SQLite: pycolmap writes to a database by opening it.

    Raises:
        StorageError: the file is no COLMAP database.
    """
    try:
        with _sqlite(path, write=False) as connection:
            images = dict(connection.execute("SELECT name, image_id FROM images ORDER BY name"))
            keypoints = dict(connection.execute("SELECT image_id, rows FROM keypoints"))
            matches = connection.execute("SELECT pair_id, rows FROM matches ORDER BY pair_id").fetchall()
            undefined = int(pycolmap.TwoViewGeometryConfiguration.UNDEFINED)
            query = "SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0 AND config != ? ORDER BY pair_id"
            verified = connection.execute(query, (undefined,)).fetchall()
    except sqlite3.Error as error:
        raise StorageError(
            f"{path}: not a COLMAP database ({error}); `trigpoint import-database` writes one"
        ) from error
    names = {image_id: name for name, image_id in images.items()}
    return DatabaseSummary(
        images=images,
        num_keypoints={name: keypoints.get(image_id, 0) for name, image_id in images.items()},
        matches=_by_names(names, matches),
        inliers=_by_names(names, verified),
    )


def _by_names(names: dict[int, str], rows: list[tuple[int, int]]) -> dict[tuple[str, str], int]:
    pairs = [pycolmap.pair_id_to_image_pair(pair_id) for pair_id, _ in rows]
    return {(names[id0], names[id1]): count for (id0, id1), (_, count) in zip(pairs, rows, strict=True)}
