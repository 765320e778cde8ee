"""Aachen Day-Night, version 1: reference images with poses, day and night queries with intrinsics.

Sattler et al., CVPR 2018. Trees as the official script and its users lay them out are both understood. A
`cameras_gt.txt` at the root (not part of Aachen, whose query poses are secret) gives ground truth for queries.
"""

import logging
from pathlib import Path

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.cameras_gt import FILE_NAME, read_cameras_gt
from trigpoint.datasets.nvm import read_nvm_poses
from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.datasets.tree import list_images
from trigpoint.errors import DataError
from trigpoint.types import Camera

# what -> where it may lie, and where it comes from
IMAGES = (("images/images_upright", "images_upright"), "database_and_query_images.zip")
INTRINSICS = (("3D-models/database_intrinsics.txt", "3D-models/aachen_v_1/database_intrinsics.txt"), "3D-models/")
MODEL = (("3D-models/aachen_cvpr2018_db.nvm", "3D-models/aachen_v_1/aachen_cvpr2018_db.nvm"), "3D-models/")
QUERIES = {
    "day": (("queries/day_time_queries_with_intrinsics.txt",), "queries/"),
    "night": (("queries/night_time_queries_with_intrinsics.txt",), "queries/"),
}
PAIRS = ("image_pairs_to_match.txt", "others/image_pairs_to_match.txt")
# COLMAP's camera models and how many parameters each has
NUM_PARAMS = {
    "SIMPLE_PINHOLE": 3,
    "PINHOLE": 4,
    "SIMPLE_RADIAL": 4,
    "SIMPLE_RADIAL_FISHEYE": 4,
    "RADIAL": 5,
    "RADIAL_FISHEYE": 5,
    "OPENCV": 8,
    "OPENCV_FISHEYE": 8,
    "FULL_OPENCV": 12,
    "FOV": 5,
    "THIN_PRISM_FISHEYE": 12,
}
_logger = logging.getLogger(__name__)


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The tree of Aachen v1.

    Images of the reference model are mapped and their poses may be used; other images in `db/` are left out, as
    nothing is known of them. Queries are those of the two lists.

    Raises:
        DataError: files are missing (all of them are named, with where they come from) or damaged.
    """
    wanted = {"images": IMAGES, "intrinsics": INTRINSICS, "model": MODEL, **QUERIES}
    found = {what: _first(root, places) for what, (places, _) in wanted.items()}
    missing = [f"{wanted[what][0][0]} (from {wanted[what][1]})" for what, path in found.items() if path is None]
    if missing:
        raise DataError(
            f"{root}: missing {', '.join(missing)}; run `trigpoint fetch --dataset {dataset_id}` or put them there"
        )
    paths = {what: path for what, path in found.items() if path is not None}
    poses = read_nvm_poses(paths["model"])
    cameras = read_intrinsics(paths["intrinsics"])
    without = sorted(set(poses) - set(cameras))
    if without:
        raise DataError(f"{paths['intrinsics']}: no intrinsics of {some(without)}, which {paths['model'].name} has")
    query_splits = {}
    for split in QUERIES:
        queries = read_intrinsics(paths[split])
        cameras.update(queries)
        query_splits.update(dict.fromkeys(queries, split))
    map_names = [name for name in poses if name not in query_splits]
    _say_left_out(paths["images"], {*map_names, *query_splits})
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
        pairs_path=_first(root, PAIRS),
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


def _first(root: Path, places: tuple[str, ...]) -> Path | None:
    return next((root / place for place in places if (root / place).exists()), None)


def _say_left_out(image_root: Path, used: set[str]) -> None:
    left_out = [name for name in list_images(image_root) if name not in used]
    if left_out:
        _logger.warning("%d images are in no list and left out: %s", len(left_out), some(left_out))
