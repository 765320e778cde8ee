"""Maps of small sets of images, all from one verified database: the multiview task of the Image Matching Challenge."""

import logging
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trigpoint.errors import SettingsError
from trigpoint.log import progress
from trigpoint.mapping.options import incremental_options
from trigpoint.mapping.settings import MappingSettings
from trigpoint.storage import colmap
from trigpoint.types import Pose

VERIFY = "trigpoint verify-pairs"
_logger = logging.getLogger(__name__)


def map_bags(
    database: Path, bags: Sequence[tuple[str, tuple[str, ...]]], settings: MappingSettings, num_threads: int = 1
) -> list[dict[str, Any]]:
    """An incremental map of each bag, the component with most images.

    Pairs are verified once for all bags: what RANSAC finds in a pair does not depend on the other images.

    Args:
        database: as `verify_database` leaves it; not changed.
        bags: (name, names of the images) of each.
        settings: the mapper must be incremental; `min_model_size` is 3 in the benchmark.
        num_threads: more than one changes the last digits; `deterministic` makes it one.

    Returns:
        For each bag {"bag", "images", "poses", "points3D", "mean_track_length"}, `poses` by image name, empty without
        a model; then the two last ones are absent.

    Raises:
        SettingsError: another mapper.
    """
    if settings.mapper != "incremental":
        raise SettingsError(f"map-bags: mapper is incremental, got '{settings.mapper}'")
    colmap.require_database(database, VERIFY)
    colmap.set_log_level()
    threads = 1 if settings.deterministic else num_threads
    estimated = colmap.read_settings(database).get("intrinsics", "estimate") == "estimate"
    options = incremental_options(settings, estimated=estimated, num_threads=threads, extract_colors=False)
    with tempfile.TemporaryDirectory(prefix="trigpoint-bags-") as folder:
        copy = Path(folder) / "database.db"  # on a local disk: mappers open it for writing
        shutil.copyfile(database, copy)
        found = [_map_bag(copy, name, images, options) for name, images in progress(bags, "bags mapped")]
    _logger.info("%d of %d bags have a model", sum(bool(bag["poses"]) for bag in found), len(found))
    return found


def _map_bag(database: Path, name: str, images: Iterable[str], options: Any) -> dict[str, Any]:
    options.image_names = sorted(images)
    with tempfile.TemporaryDirectory(prefix="trigpoint-bag-") as folder:
        models = colmap.pycolmap.incremental_mapping(database, folder, folder, options).values()
    result: dict[str, Any] = {"bag": name, "images": sorted(images), "poses": {}}
    if not models:
        return result
    best = max(models, key=lambda model: (model.num_reg_images(), model.num_points3D()))
    statistics = colmap.model_statistics(best)
    result |= {"poses": _by_name(colmap.model_poses(best)), "points3D": statistics.points3D}
    return result | ({"mean_track_length": statistics.mean_track_length} if statistics.points3D else {})


def _by_name(poses: dict[str, Pose]) -> dict[str, Any]:
    return {
        name: {"rotation": pose.rotation.tolist(), "translation": pose.translation.tolist()}
        for name, pose in sorted(poses.items())
    }
