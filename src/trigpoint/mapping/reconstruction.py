"""From a verified database to a map: incremental, global, hierarchical, or points onto given poses."""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trigpoint.errors import DataError, EmptyResultError
from trigpoint.mapping.alignment import align_to_reference
from trigpoint.mapping.cameras import given_camera
from trigpoint.mapping.components import diagnosis, diagnosis_table, unregistered
from trigpoint.mapping.options import global_options, hierarchical_options, incremental_options
from trigpoint.mapping.settings import MappingSettings
from trigpoint.storage import colmap
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.json_files import write_json
from trigpoint.types import Dataset

logger = logging.getLogger(__name__)
VERIFY = "trigpoint verify-pairs"


def map_database(
    dataset: Dataset, database: Path, output: Path, log: Path, settings: MappingSettings, num_threads: int = 1
) -> None:
    """Reconstruct, and write the largest component as a binary COLMAP model and what happened as mapping.json.

    Args:
        dataset: image folder (for colours), reference poses.
        database: as `verify_database` leaves it; not changed.
        output: directory of the model, replaced as a whole.
        log: mapping.json: `mapper`, `aligned_to_reference`, `components` (largest first), `unregistered` with reasons.
        settings: see MappingSettings.
        num_threads: more than one changes the last digits; `deterministic` makes it one.

    Raises:
        EmptyResultError: no model; the message counts images, pairs, verified pairs and the largest connected group.
        DataError: `triangulate` without reference poses or cameras.
    """
    colmap.require_database(database, VERIFY)
    colmap.set_log_level()
    threads = 1 if settings.deterministic else num_threads
    with tempfile.TemporaryDirectory(prefix="trigpoint-map-") as folder:
        # a copy on a local disk: mappers open it for writing (global mapping adds relative poses)
        copy = Path(folder) / "database.db"
        shutil.copyfile(database, copy)
        summary = colmap.summarize_database(copy)
        models = MAPPERS[settings.mapper](dataset, copy, Path(folder), settings, threads)
    models = sorted(models, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))
    if not models or not models[0].num_points3D():
        logger.error("no model:\n%s", "\n".join(diagnosis_table(summary)))
        raise EmptyResultError(f"{database}: no model could be built: {diagnosis(summary)}")
    model = models[0]
    aligned = settings.mapper != "triangulate" and align_to_reference(model, dataset, settings)
    with atomic_path(output) as partial:
        partial.mkdir()
        model.write(partial)
    names = [set(colmap.registered_images(item)) for item in models]
    left_out = unregistered(summary, names[0], set().union(*names[1:]))
    components = [
        {"images": len(group), "points3D": item.num_points3D()} for group, item in zip(names, models, strict=True)
    ]
    value = {
        "mapper": settings.mapper,
        "aligned_to_reference": aligned or settings.mapper == "triangulate",
        "components": components,
        "unregistered": left_out,
    }
    write_json(log, value, kind="mapping")
    logger.info(
        "%s: %d of %d images, %d points, %d components", settings.mapper, len(names[0]), len(summary.images),
        model.num_points3D(), len(models),
    )  # fmt: skip


def _incremental(dataset: Dataset, database: Path, folder: Path, settings: MappingSettings, threads: int) -> list[Any]:
    root = _colour_root(dataset, settings)
    estimated = _estimated(database)
    options = incremental_options(settings, estimated=estimated, num_threads=threads, extract_colors=root is not None)
    return list(colmap.pycolmap.incremental_mapping(database, root or folder, folder, options).values())


def _global(dataset: Dataset, database: Path, folder: Path, settings: MappingSettings, threads: int) -> list[Any]:
    options = global_options(settings, estimated=_estimated(database), num_threads=threads)
    root = _colour_root(dataset, settings)
    if settings.calibrate_view_graph and _estimated(database):
        colmap.calibrate_focal_lengths(database, settings.seed)
    models = list(colmap.pycolmap.global_mapping(database, root or folder, folder, options).values())
    for model in models:
        if root is not None:
            model.extract_colors_for_all_images(root)
    return models


def _hierarchical(dataset: Dataset, database: Path, folder: Path, settings: MappingSettings, threads: int) -> list[Any]:
    if not colmap.summarize_database(database).inliers:  # COLMAP answers an empty database with an IndexError
        return []
    root = _colour_root(dataset, settings)
    estimated = _estimated(database)
    options = hierarchical_options(settings, estimated=estimated, num_threads=threads, extract_colors=root is not None)
    return list(colmap.pycolmap.hierarchical_mapping(database, root or folder, folder, options).values())


def _triangulate(dataset: Dataset, database: Path, folder: Path, settings: MappingSettings, threads: int) -> list[Any]:
    """Points of the reference images; their poses and cameras stay as they are."""
    root = _colour_root(dataset, settings)
    options = incremental_options(settings, estimated=False, num_threads=threads, extract_colors=root is not None)
    model = reference_model(dataset, database)
    return [
        colmap.pycolmap.triangulate_points(
            model, database, root or folder, folder, clear_points=True, options=options, refine_intrinsics=False
        )
    ]


MAPPERS: dict[str, Callable[[Dataset, Path, Path, MappingSettings, int], list[Any]]] = {
    "incremental": _incremental,
    "global": _global,
    "hierarchical": _hierarchical,
    "triangulate": _triangulate,
}


def reference_model(dataset: Dataset, database: Path) -> Any:
    """A pycolmap.Reconstruction of the dataset's reference poses and given cameras, with the database's numbers.

    Raises:
        DataError: no image of the database has a pose that may be used, or one of them has no calibration.
    """
    image_ids = colmap.summarize_database(database).images
    names = sorted(set(dataset.reference_images) & set(dataset.poses) & set(image_ids))
    if not names:
        raise DataError(
            f"dataset '{dataset.id}' has no map image with a reference pose; mapper triangulate needs them,"
            " mapper incremental does not"
        )
    images = {image.name: image for image in dataset.images}
    return colmap.posed_model(
        [(image_ids[name], name, given_camera(images[name]), dataset.poses[name]) for name in names]
    )


def _estimated(database: Path) -> bool:
    """Whether the database's intrinsics are only a start; of a foreign database that is what COLMAP assumes."""
    return colmap.read_settings(database).get("intrinsics", "estimate") == "estimate"


def _colour_root(dataset: Dataset, settings: MappingSettings) -> Path | None:
    """The image folder, if colours are wanted and it is there (a map can be made where the images are not)."""
    root = Path(dataset.image_root)
    if not settings.extract_colors:
        return None
    if not root.is_dir():
        logger.warning("%s is not there: the points get no colours", root)
        return None
    return root
