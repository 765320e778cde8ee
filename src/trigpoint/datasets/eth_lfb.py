"""A scene of the ETH local feature benchmark: `images/`, reconstructed with poses unknown.

Schoenberger et al., CVPR 2017. The two scenes of Strecha et al. (CVPR 2008) have ground truth: `gt_dense_cameras/`
as published, or `cameras_gt.txt`.
"""

import logging
from importlib.resources import files
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.cameras_gt import pinhole, rotation_matrix
from trigpoint.datasets.photos import Known, read_known_cameras
from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.datasets.tree import list_images
from trigpoint.errors import DataError
from trigpoint.types import Pose

CAMERA_FOLDER = "gt_dense_cameras"
NUM_VALUES = 26  # K 9, zeros 3, rotation 9, centre 3, size 2
_logger = logging.getLogger(__name__)


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The tree of one scene.

    Raises:
        DataError: no `images/`, or a damaged camera file.
    """
    image_root = root / "images"
    if not image_root.is_dir():
        raise DataError(
            f"{image_root}: no such folder; run `trigpoint fetch --dataset {dataset_id}` or put the images there"
        )
    names = list_images(image_root)
    known = read_known_cameras(root, image_root, names) or _strecha_cameras(root / CAMERA_FOLDER, names)
    poses = {name: pose for name, (_, pose) in known.items()}
    return RawTree(
        image_root=image_root,
        map_names=names,
        cameras={name: camera for name, (camera, _) in known.items()},
        poses=poses,
        pose_unit="metre" if poses else "arbitrary",
        reference_images=list(poses) if settings.use_poses else (),
        published=published_rows(settings.scene or dataset_id.removeprefix("eth_lfb_")),
    )


def read_strecha_camera(path: Path) -> Known:
    """Camera and pose of one `.camera` file, under the stem of the image it belongs to.

    Nine numbers of K in rows, three zeros, the rotation camera to world in rows, the camera centre, width and height.
    K is taken in COLMAP's pixel convention: its authors do not say which they mean.

    Raises:
        DataError: other numbers than these.
    """
    words = " ".join(line for _, line in read_lines(path)).split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise fail(path, 1, f"expected {NUM_VALUES} numbers ({error})") from error
    if len(values) != NUM_VALUES or not np.isfinite(values).all():
        raise fail(path, 1, f"expected {NUM_VALUES} finite numbers, got {len(values)}")
    K = values[:9]
    if any((K[1], K[3], K[6], K[7])) or K[8] != 1:
        raise fail(path, 1, "K has skew or a last row other than 0 0 1, which a PINHOLE camera has not")
    camera = pinhole(path, 1, [K[0], K[4], K[2], K[5]], values[24:])
    rotation = rotation_matrix(path, 1, values[12:21]).T
    stem = PurePosixPath(path.name.removesuffix(".camera")).stem
    return {stem: (camera, Pose(rotation, -rotation @ np.array(values[21:24], dtype=np.float64)))}


def published_rows(scene: str) -> tuple[dict[str, object], ...]:
    """Published rows of a scene, the benchmark's own table first; none if it is no scene of the benchmark."""
    text = files("trigpoint.datasets").joinpath("eth_lfb_published.yaml").read_text(encoding="utf-8")
    return tuple(
        {"method": method, "source": table["source"], **dict(zip(table["columns"], values, strict=True))}
        for table in yaml.safe_load(text)["tables"]
        for method, values in table["scenes"].get(scene.lower(), {}).items()
    )


def _strecha_cameras(folder: Path, names: list[str]) -> Known:
    """Cameras by image name: files and images belong together by stem, as `0000.jpg.camera` and `0000.png`."""
    if not folder.is_dir():
        return {}
    by_stem: Known = {}
    for path in sorted(folder.glob("*.camera")):
        by_stem.update(read_strecha_camera(path))
    known = {name: by_stem[stem] for name in names if (stem := PurePosixPath(name).stem) in by_stem}
    without = [name for name in names if name not in known]
    if without:
        _logger.warning("%d images have no camera in %s: %s", len(without), folder, some(without))
    return known
