"""Import of cameras, images, keypoints and matches into a COLMAP database.

COLMAP accepts indices without a keypoint, pairs of an image with itself and NaN, and fails without a name on pairs
that come twice, so everything is checked here first. The database is built on a local disk (TMPDIR), because SQLite's
write-ahead log and locks do not work on shared ones, then closed and moved.
"""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import DataError, EmptyResultError
from trigpoint.geometry.pixels import to_colmap
from trigpoint.log import progress
from trigpoint.mapping.cameras import assign_cameras
from trigpoint.mapping.settings import ImportSettings
from trigpoint.storage import colmap
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset, DatasetImage

logger = logging.getLogger(__name__)
Pair = tuple[str, str]


def import_database(
    dataset: Dataset, features: Path, matches: Path, pairs: Sequence[Pair], output: Path, settings: ImportSettings
) -> None:
    """Write a database of the map images and the listed pairs; queries stay outside.

    Images are numbered by name from 1. An image that is in no pair needs no features. Half a pixel is added to the
    keypoints here, and nowhere else on the way into a map.

    Raises:
        DataError: a pair with an unknown image, a query, twice the same image, or listed twice; an index without a
            keypoint; a keypoint that is not finite; features of an image of another size; a camera that is missing.
        StorageError: features or matches of a listed image or pair are missing.
        EmptyResultError: there is no map image.
    """
    images = dataset.with_role("map")
    if not images:
        raise EmptyResultError(f"dataset '{dataset.id}' has no map images; check `trigpoint prepare`'s log")
    check_pairs(pairs, dataset)
    with tempfile.TemporaryDirectory(prefix="trigpoint-import-") as folder:
        temporary = Path(folder) / "database.db"
        with FeatureReader(features) as feature_reader, MatchReader(matches) as match_reader:
            image_ids = {image.name: number for number, image in enumerate(images, start=1)}
            with colmap.open_database(temporary) as database, colmap.transaction(database):
                _write_images(database, images, image_ids, settings)
                used = {name for pair in pairs for name in pair}
                counts = _write_keypoints(database, images, image_ids, used, feature_reader)
                total = _write_matches(database, pairs, image_ids, counts, match_reader)
        colmap.write_settings(temporary, {"intrinsics": settings.intrinsics})
        with atomic_path(output) as partial:
            shutil.copyfile(temporary, partial)
    logger.info("%d images, %d pairs, %d matches written to %s", len(images), len(pairs), total, output)


def check_pairs(pairs: Sequence[Pair], dataset: Dataset) -> None:
    """Refuse a pair list that COLMAP would take or fail on without a name; errors as `import_database`."""
    roles = {image.name: image.role for image in dataset.images}
    unusable = dict(dataset.unusable)
    seen: set[Pair] = set()
    for name0, name1 in pairs:
        for name in (name0, name1):
            if name not in roles:
                reason = f": it cannot be used ({unusable[name]})" if name in unusable else ""
                raise DataError(f"pair list: '{name}' is not an image of dataset '{dataset.id}'{reason}")
            if roles[name] != "map":
                raise DataError(f"pair list: '{name}' is a {roles[name]}; only map images go into the database")
        if name0 == name1:
            raise DataError(f"pair list: '{name0}' is paired with itself; remove the line")
        pair = (min(name0, name1), max(name0, name1))
        if pair in seen:
            raise DataError(f"pair list: '{name0}' '{name1}' is listed twice (in either order); remove one")
        seen.add(pair)


def _write_images(
    database: Any, images: tuple[DatasetImage, ...], image_ids: dict[str, int], settings: ImportSettings
) -> None:
    cameras, camera_of = assign_cameras(images, settings)
    for index, camera in enumerate(cameras):
        colmap.write_camera(database, colmap.to_colmap_camera(camera, camera_id=index + 1))
    for image in images:
        colmap.write_image(database, image_ids[image.name], image.name, camera_of[image.name] + 1)


def _write_keypoints(
    database: Any, images: tuple[DatasetImage, ...], image_ids: dict[str, int], used: set[str], reader: FeatureReader
) -> dict[str, int]:
    """Keypoints of the images that are in a pair, and of others that have features; name -> count."""
    counts = {}
    for image in images:
        if image.name not in used and image.name not in reader:
            continue
        features = reader.read(image.name)
        if features.image_size != image.size:
            raise DataError(
                f"'{image.name}' is {image.size[0]}x{image.size[1]} px in dataset.json but its features are of"
                f" {features.image_size[0]}x{features.image_size[1]}; run `trigpoint extract-features` again"
            )
        if not np.isfinite(features.keypoints).all():
            raise DataError(f"features of '{image.name}': a keypoint is NaN or infinite; extract them again")
        keypoints = to_colmap(features.keypoints.astype(np.float32))
        database.write_keypoints(image_ids[image.name], np.ascontiguousarray(keypoints.reshape(-1, 2)))
        counts[image.name] = len(keypoints)
    return counts


def _write_matches(
    database: Any, pairs: Sequence[Pair], image_ids: dict[str, int], counts: dict[str, int], reader: MatchReader
) -> int:
    """Matches of the listed pairs, pairs without any included; the total."""
    total = 0
    for name0, name1 in progress(pairs, "pairs imported"):
        indices = reader.read(name0, name1).indices
        for name, column in zip((name0, name1), indices.T, strict=True):
            if len(column) and (column.min() < 0 or column.max() >= counts[name]):
                raise DataError(
                    f"matches of '{name0}' '{name1}': index {int(column.max())} or {int(column.min())} has no keypoint,"
                    f" '{name}' has {counts[name]}; features and matches are of different runs, match the pairs again"
                )
        database.write_matches(image_ids[name0], image_ids[name1], indices.astype(np.uint32))
        total += len(indices)
    return total
