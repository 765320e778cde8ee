"""Any folder of photographs: `images/` at any depth, and what may lie beside it.

- `cameras_gt.txt` (also inside `images/`, then for the images of its folder): calibration and poses;
- or a COLMAP model in `sparse/`, `sparse/0/` or `model/`, text or binary;
- `queries.txt`: names of images to localize instead of map, one a line.
"""

import fnmatch
import logging
from pathlib import Path

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.cameras_gt import FILE_NAME, read_cameras_gt
from trigpoint.datasets.text_files import read_lines
from trigpoint.datasets.tree import list_images
from trigpoint.errors import DataError
from trigpoint.storage.colmap import load as load_pycolmap
from trigpoint.types import Camera, Pose

MODEL_FOLDERS = ("sparse/0", "sparse", "model")
Known = dict[str, tuple[Camera, Pose]]
_logger = logging.getLogger(__name__)


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The tree of `data/<id>/`.

    Raises:
        DataError: no `images/`, or a file beside it that cannot be read.
    """
    image_root = root / "images"
    if not image_root.is_dir():
        raise DataError(f"{image_root}: no such folder; put the photographs of '{dataset_id}' there, or a link to them")
    names = list_images(image_root)
    queries = _query_names(root, names, settings)
    known = read_known_cameras(root, image_root, names)
    poses = {name: pose for name, (_, pose) in known.items()}
    return RawTree(
        image_root=image_root,
        map_names=[name for name in names if name not in queries],
        query_splits=dict.fromkeys(queries, settings.query_split),
        cameras={name: camera for name, (camera, _) in known.items()},
        poses=poses,
        pose_unit=settings.pose_unit,
        reference_images=[name for name in poses if name not in queries] if settings.use_poses else (),
    )


def read_known_cameras(root: Path, image_root: Path, names: list[str]) -> Known:
    """Calibration and poses that lie beside the images or among them, by image name; empty if there are none."""
    known: Known = {}
    if (root / FILE_NAME).is_file():
        known.update(assign(read_cameras_gt(root / FILE_NAME), names, str(root / FILE_NAME)))
    for path in _cameras_among(image_root, names):
        folder = path.parent.relative_to(image_root).as_posix()
        inside = [name for name in names if folder == "." or name.startswith(f"{folder}/")]
        known.update(assign(read_cameras_gt(path), inside, str(path)))
    if not known:
        folder_of_model = next((root / name for name in MODEL_FOLDERS if _is_model(root / name)), None)
        if folder_of_model:
            known = assign(read_colmap_model(folder_of_model), names, str(folder_of_model))
    return known


def assign(known: Known, names: list[str], source: str) -> Known:
    """Give each listed camera to the image of its name, or to the only image whose path ends with it.

    Names on one side only are said in the log.
    """
    by_ending: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")
        for start in range(len(parts)):
            by_ending.setdefault("/".join(parts[start:]), []).append(name)
    found: Known = {}
    lost = []
    for listed, value in known.items():
        candidates = [listed] if listed in by_ending.get(listed, []) else by_ending.get(listed, [])
        if len(candidates) == 1:
            found[candidates[0]] = value
        else:
            lost.append(f"{listed} (ambiguous)" if candidates else listed)
    without = [name for name in names if name not in found]
    if lost:
        _logger.warning("%s lists %d images that are not there: %s", source, len(lost), some(sorted(lost)))
    if without:
        _logger.warning("%d images are not in %s: %s", len(without), source, some(without))
    return found


def read_colmap_model(folder: Path) -> Known:
    """Cameras and poses of a COLMAP model, text or binary, by image name.

    Raises:
        DataError: the model cannot be read.
    """
    pycolmap = load_pycolmap()
    try:
        model = pycolmap.Reconstruction(str(folder))
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataError(f"{folder}: no readable COLMAP model ({error}); export it again") from error
    known = {}
    for image in model.images.values():
        if image.has_pose:
            cam_from_world = image.cam_from_world()
            camera = model.cameras[image.camera_id]
            known[image.name] = (
                Camera(camera.model.name, camera.width, camera.height, tuple(camera.params.tolist()), True),
                Pose(cam_from_world.rotation.matrix(), cam_from_world.translation),
            )
    return known


def _query_names(root: Path, names: list[str], settings: PrepareSettings) -> set[str]:
    queries = set()
    if settings.query_pattern is not None:
        queries.update(fnmatch.filter(names, settings.query_pattern))
        if not queries:
            raise DataError(f"{root}/images: no name matches query_pattern '{settings.query_pattern}'")
    listing = root / "queries.txt"
    if listing.is_file():
        listed = [line for _, line in read_lines(listing) if not line.startswith("#")]
        missing = sorted(set(listed) - set(names))
        if missing:
            raise DataError(f"{listing}: not below images/: {some(missing)}; correct the names")
        queries.update(listed)
    return queries


def _cameras_among(image_root: Path, names: list[str]) -> list[Path]:
    folders = {image_root}
    for name in names:
        folders.update((image_root / name).parents)
    inside = [folder for folder in folders if folder == image_root or image_root in folder.parents]
    return sorted(folder / FILE_NAME for folder in inside if (folder / FILE_NAME).is_file())


def _is_model(folder: Path) -> bool:
    return any((folder / f"images.{suffix}").is_file() for suffix in ("bin", "txt"))
