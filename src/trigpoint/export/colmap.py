"""COLMAP: `database.db` and `sparse/0`, there and back; and the database of DISK's `h5_to_db`, to the letter.

Pixel convention: corner of the top-left pixel at (0, 0), so half a pixel is added to our keypoints on the way out and
taken off on the way in; cameras and models are COLMAP's already. The database of `h5_to_db` lacks the half pixel, as
the original does: centre of the top-left pixel at (0, 0).

Matches come back from the table `matches`, without scores (all 1). Descriptors of a database are 8-bit SIFT; they come
back as unit rows.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import DataError, SettingsError, StorageError
from trigpoint.export.disk_h5 import open_foreign, rows_of, two_rows
from trigpoint.export.run_files import ForeignRun, unscored
from trigpoint.geometry.pixels import from_colmap
from trigpoint.storage import colmap
from trigpoint.storage.atomic import atomic_path
from trigpoint.types import Camera, Dataset, Features, Matches, Pose

MODEL_FORMATS = ("bin", "txt")
MODEL_FOLDERS = ("sparse/0", "sparse", "model", ".")
DISK_CAMERA_MODELS = {
    "simple-pinhole": "SIMPLE_PINHOLE",
    "pinhole": "PINHOLE",
    "simple-radial": "SIMPLE_RADIAL",
    "opencv": "OPENCV",
}
DISK_FOCAL_FACTOR = 1.2  # of the longer side; the original never finds the EXIF focal length with a current Pillow
DISK_RADIAL = 0.1  # simple-radial's k, from nowhere


def write_model(model: Path, output: Path, model_format: str = "bin") -> None:
    """Write a model into a folder that exists, binary or text; coordinates are COLMAP's already.

    Raises:
        StorageError: there is no readable model.
        DataError: a name with a blank in a text model, which COLMAP would read up to the blank.
    """
    read = colmap.read_model(model)
    if model_format == "txt":
        for image in read.images.values():
            if any(letter.isspace() for letter in image.name):
                raise DataError(f"'{image.name}': COLMAP reads a name up to the blank in a text model; use bin")
        read.write_text(output)
    else:
        read.write_binary(output)


@dataclass(frozen=True, kw_only=True)
class DiskDatabaseSettings:
    """Options of DISK's `h5_to_db` under their names."""

    camera_model: str = "simple-radial"
    single_camera: bool = False
    image_extension: str = ".jpg"  # with the dot

    def __post_init__(self) -> None:
        if self.camera_model not in DISK_CAMERA_MODELS:
            known = ", ".join(DISK_CAMERA_MODELS)
            raise SettingsError(f"--camera-model: '{self.camera_model}' is none of {known}")
        if self.camera_model == "opencv" and not self.single_camera:
            raise SettingsError("--camera-model opencv needs --single-camera, as in the original")


def disk_database(folder: Path, dataset: Dataset, output: Path, settings: DiskDatabaseSettings) -> None:
    """Write the database that DISK's `h5_to_db` makes of its files: no half pixel, guessed cameras without a prior.

    Args:
        folder: holds keypoints.h5 and matches.h5 of DISK.
        dataset: gives the images' sizes; an image is `<stem><image_extension>` there.
        output: database; must not exist.
        settings: as the original's options.

    Raises:
        StorageError: the database exists, or a file is missing.
        DataError: a stem without an image in the dataset.
    """
    if output.exists():
        raise StorageError(f"{output}: exists; remove it or choose another name")
    sizes = {Path(image.name).name: image.size for image in dataset.images}
    with (
        tempfile.TemporaryDirectory(prefix="trigpoint-export-") as temporary,
        open_foreign(folder / "keypoints.h5") as keypoints,
        open_foreign(folder / "matches.h5") as matches,
    ):
        path = Path(temporary) / "database.db"
        with colmap.open_database(path) as database, colmap.transaction(database):
            ids: dict[str, int] = {}
            for number, key in enumerate(sorted(keypoints), start=1):
                name = key + settings.image_extension
                if name not in sizes:
                    raise DataError(f"{folder / 'keypoints.h5'}: there is no image '{name}' in the dataset")
                camera_id = 1 if settings.single_camera else number
                if camera_id == number:
                    camera = disk_camera(sizes[name], settings.camera_model)
                    colmap.write_camera(database, colmap.to_colmap_camera(camera, camera_id))
                colmap.write_image(database, number, name, camera_id)
                database.write_keypoints(number, np.ascontiguousarray(rows_of(keypoints, key, 2), np.float32))
                ids[key] = number
            for key0 in sorted(matches):
                for key1 in sorted(matches[key0]):
                    database.write_matches(ids[key0], ids[key1], two_rows(matches[key0], key1).astype(np.uint32))
        with atomic_path(output) as partial:
            shutil.copyfile(path, partial)


def disk_camera(size: tuple[int, int], model: str) -> Camera:
    """The camera that `h5_to_db` guesses of an image without an EXIF focal length."""
    width, height = size
    focal, center = DISK_FOCAL_FACTOR * max(size), (width / 2, height / 2)
    params = {
        "simple-pinhole": (focal, *center),
        "pinhole": (focal, focal, *center),
        "simple-radial": (focal, *center, DISK_RADIAL),
        "opencv": (focal, focal, *center, 0.0, 0.0, 0.0, 0.0),
    }[model]
    return Camera(DISK_CAMERA_MODELS[model], width, height, params)


def import_colmap(folder: Path, database: Path | None = None) -> ForeignRun:
    """Keypoints, descriptors and matches of a database, and the poses of the model beside it.

    Args:
        folder: holds `database.db`, and a model in `sparse/0`, `sparse`, `model` or itself where there is one.
        database: another name of the database.

    Raises:
        StorageError: no COLMAP database.
    """
    path = database or folder / "database.db"
    colmap.require_database(path, "colmap feature_extractor")
    return ForeignRun(format="colmap", features=_images(path), matches=_matches(path), poses=_model_poses(folder))


def _images(path: Path) -> Iterator[tuple[str, Features]]:
    with colmap.open_database_copy(path) as database:
        for image in sorted(database.read_all_images(), key=lambda image: image.name):
            camera = database.read_camera(image.camera_id)
            stored = np.asarray(database.read_keypoints(image.image_id), np.float32)
            xy = from_colmap(stored.reshape(len(stored), -1)[:, :2]) if len(stored) else np.zeros((0, 2), np.float32)
            descriptors = _descriptors(database, image.image_id, len(xy))
            scores = np.ones(len(xy), np.float32)
            yield image.name, Features(xy, descriptors, scores, (int(camera.width), int(camera.height)))


def _descriptors(database: Any, image_id: int, count: int) -> np.ndarray:
    """(N, D) float32 unit rows; (N, 0) if there are none."""
    if not database.exists_descriptors(image_id):
        return np.zeros((count, 0), np.float32)
    rows = np.asarray(database.read_descriptors(image_id).data, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(lengths, np.finfo(np.float32).tiny)


def _matches(path: Path) -> Iterator[tuple[str, str, Matches]]:
    with colmap.open_database_copy(path) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        pair_ids, all_indices = database.read_all_matches()
        for pair_id, indices in sorted(zip(pair_ids, all_indices, strict=True), key=lambda item: item[0]):
            id0, id1 = colmap.pycolmap.pair_id_to_image_pair(pair_id)
            yield names[id0], names[id1], unscored(np.asarray(indices, np.int64).reshape(-1, 2))


def _model_poses(folder: Path) -> dict[str, Pose]:
    for name in MODEL_FOLDERS:
        if any((folder / name / f"images.{suffix}").is_file() for suffix in MODEL_FORMATS):
            return colmap.model_poses(colmap.read_model(folder / name))
    return {}
