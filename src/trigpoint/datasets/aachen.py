"""Aachen Day-Night, versions 1 and 1.1: reference images with poses, day and night queries with intrinsics.

Sattler et al., CVPR 2018. Trees as the official script and its users lay them out are all understood. A
`cameras_gt.txt` at the root (not part of Aachen, whose query poses are secret) gives ground truth for queries.
The provided database.db files are not used: version 1's holds a guessed focal length for every reference image.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.cameras_gt import FILE_NAME, read_cameras_gt
from trigpoint.datasets.colmap_files import NUM_PARAMS, read_model_poses
from trigpoint.datasets.nvm import read_nvm_poses
from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.datasets.tree import list_images
from trigpoint.errors import DataError
from trigpoint.types import Camera, Pose

SERVER = "https://data.ciirc.cvut.cz/public/projects/2020VisualLocalization/Aachen-Day-Night"
ADDITIONAL_NIGHT = "query/night/nexus5x_additional_night/"  # the queries that version 1.1 adds


@dataclass(frozen=True)
class Part:
    """A part of the tree: where it may lie, the usual place first, and where on the server it comes from."""

    places: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Release:
    """One version of the benchmark.

    Attributes:
        model: NVM file or folder of a COLMAP model, in the order of preference.
        intrinsics: of the reference images; a COLMAP model has them too.
        pairs: the list to match, optional.
        submission: file name the evaluation server's users know it by.
    """

    images: Part
    model: Part
    intrinsics: Part
    day: Part
    night: Part
    pairs: tuple[str, ...]
    submission: str


IMAGES = ("images/images_upright", "images_upright")
DAY = Part(("queries/day_time_queries_with_intrinsics.txt",), "queries/")
RELEASES = {
    "v1": Release(
        images=Part(IMAGES, "images/database_and_query_images.zip"),
        model=Part(
            ("3D-models/aachen_cvpr2018_db.nvm", "3D-models/aachen_v_1/aachen_cvpr2018_db.nvm"),
            "3D-models/aachen_cvpr2018_db.nvm",
        ),
        intrinsics=Part(
            ("3D-models/database_intrinsics.txt", "3D-models/aachen_v_1/database_intrinsics.txt"),
            "3D-models/database_intrinsics.txt",
        ),
        day=DAY,
        night=Part(("queries/night_time_queries_with_intrinsics.txt",), "queries/"),
        pairs=("image_pairs_to_match.txt", "others/image_pairs_to_match.txt"),
        submission="Aachen_eval_[{run}].txt",
    ),
    "v1_1": Release(
        images=Part(IMAGES, "images/database_and_query_images.zip and aachen_v1_1.zip"),
        model=Part(
            (
                "3D-models/aachen_v_1_1/images.bin",
                "3D-models/aachen_v_1_1/images.txt",
                "3D-models/aachen_v_1_1/aachen_v_1_1.nvm",
            ),
            "aachen_v1_1.zip",
        ),
        intrinsics=Part(
            (
                "3D-models/aachen_v_1_1/database_intrinsics_v1_1.txt",
                "3D-models/aachen_v_1_1/cameras.bin",
                "3D-models/aachen_v_1_1/cameras.txt",
            ),
            "aachen_v1_1.zip",
        ),
        day=DAY,
        night=Part(
            (
                "queries/night_time_queries_with_intrinsics_v1_1.txt",
                "queries/night_time_queries_with_intrinsics.txt",
            ),
            "aachen_v1_1.zip",
        ),
        pairs=("image_pairs_to_match_v1_1.txt", "others/image_pairs_to_match_v1_1.txt"),
        submission="Aachen_v1_1_eval_[{run}].txt",
    ),
}
PARTS = ("images", "model", "intrinsics", "day", "night")
_logger = logging.getLogger(__name__)


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The tree of Aachen in the version that `settings.version` names.

    Images of the reference model are mapped and their poses may be used; other reference images are left out, as
    nothing is known of them. Queries are those of the two lists. Given intrinsics go before those of a COLMAP model.

    Raises:
        DataError: files or whole folders of images are missing (all of them are named, with where they come from), or
            damaged, or of the other version.
    """
    release = RELEASES[settings.version]
    paths = _find_parts(dataset_id, root, release)
    poses, cameras = _read_reference(paths["model"], paths["intrinsics"])
    without = sorted(set(poses) - set(cameras))
    if without:
        raise DataError(f"{paths['intrinsics']}: no intrinsics of {some(without)}, which {paths['model'].name} has")
    query_splits = {}
    for split in ("day", "night"):
        queries = _read_queries(paths[split], split, settings.version)
        cameras.update(queries)
        query_splits.update(dict.fromkeys(queries, split))
    map_names = [name for name in poses if name not in query_splits]
    _check_images(paths["images"], {*map_names, *query_splits}, release)
    reference = list(map_names)
    if (root / FILE_NAME).is_file():
        poses = {name: pose for name, (_, pose) in read_cameras_gt(root / FILE_NAME).items()} | poses
    return RawTree(
        image_root=paths["images"],
        map_names=map_names,
        query_splits=query_splits,
        cameras=cameras,
        poses=poses,
        pose_unit="metre",
        reference_images=reference,
        pairs_path=_first(root, release.pairs),
        submission=release.submission,
    )


def read_intrinsics(path: Path) -> dict[str, Camera]:
    """Cameras by image name of lines `name MODEL width height params...`, in COLMAP's convention.

    Raises:
        DataError: a line has no known model, another number of parameters, or a name that has a line already.
    """
    cameras: dict[str, Camera] = {}
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        parts = line.split()
        start = next((index for index, part in enumerate(parts) if index and part in NUM_PARAMS), None)
        if start is None:
            raise fail(path, number, "expected 'name MODEL width height params...' with a COLMAP camera model")
        name, model = " ".join(parts[:start]), parts[start]
        try:
            width, height = int(parts[start + 1]), int(parts[start + 2])
            params = tuple(float(part) for part in parts[start + 3 :])
        except (IndexError, ValueError) as error:
            raise fail(path, number, f"expected numbers after {model} ({error})") from error
        if len(params) != NUM_PARAMS[model] or params[0] <= 0:
            raise fail(path, number, f"{model} has {NUM_PARAMS[model]} parameters, the first positive; got {params}")
        if name in cameras:
            raise fail(path, number, f"'{name}' has a line already")
        cameras[name] = Camera(model, width, height, params, has_prior_focal_length=True)
    return cameras


def _find_parts(dataset_id: str, root: Path, release: Release) -> dict[str, Path]:
    parts: dict[str, Part] = {what: getattr(release, what) for what in PARTS}
    found = {what: _first(root, part.places) for what, part in parts.items()}
    missing = [f"{part.places[0]} (from {part.source})" for what, part in parts.items() if found[what] is None]
    if missing:
        raise DataError(
            f"{root}: missing {', '.join(missing)} of {SERVER}; run `trigpoint data fetch {dataset_id}` or put them"
            " there"
        )
    return {what: path for what, path in found.items() if path is not None}


def _read_reference(model: Path, intrinsics: Path) -> tuple[dict[str, Pose], dict[str, Camera]]:
    """Poses and cameras of the reference images."""
    cameras: dict[str, Camera] = {}
    if model.suffix == ".nvm":
        poses = read_nvm_poses(model)
    else:
        poses, cameras = read_model_poses(model.parent)
    if intrinsics.stem != "cameras":
        return poses, {**cameras, **read_intrinsics(intrinsics)}
    if not cameras:
        raise DataError(f"{intrinsics.parent}: an NVM model needs database_intrinsics_v1_1.txt beside it")
    return poses, cameras


def _read_queries(path: Path, split: str, version: str) -> dict[str, Camera]:
    """One list of queries, of which version 1.1's night list has more than version 1's of the same name."""
    queries = read_intrinsics(path)
    if split != "night":
        return queries
    added = [name for name in queries if name.startswith(ADDITIONAL_NIGHT)]
    if version == "v1_1" and not added:
        raise DataError(
            f"{path}: no query below {ADDITIONAL_NIGHT}, so it is version 1's list; that of aachen_v1_1.zip belongs to"
            " queries/night_time_queries_with_intrinsics_v1_1.txt"
        )
    if version == "v1" and added:
        _logger.warning("%s: %d queries of version 1.1 are left out", path, len(added))
        return {name: camera for name, camera in queries.items() if not name.startswith(ADDITIONAL_NIGHT)}
    return queries


def _first(root: Path, places: Iterable[str]) -> Path | None:
    return next((root / place for place in places if (root / place).exists()), None)


def _check_images(image_root: Path, listed: set[str], release: Release) -> None:
    """Refuse a tree where whole folders of listed images are missing, and say which images are in no list."""
    there = set(list_images(image_root))
    absent = Counter(str(PurePosixPath(name).parent) for name in listed - there)
    missing = [f"{name} ({count} images)" for name, count in sorted(absent.items()) if not (image_root / name).is_dir()]
    if missing:
        raise DataError(f"{image_root}: missing {', '.join(missing)}; unpack {release.images.source} of {SERVER}")
    left_out = sorted(there - listed)
    if left_out:
        _logger.warning("%d images are in no list and left out: %s", len(left_out), some(left_out))
