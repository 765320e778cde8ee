"""Image pairs with known cameras and poses, for two-view pose estimation. `prepare: {lists: ...}` says whose:

- `folder`: any tree of the layout `photos` with `cameras_gt.txt` or a COLMAP model; pairs are chosen as for a map.
- `megadepth_1500`: five lists of 300 pairs of two scenes. `megadepth_test_1500_scene_info/*.npz` (image_paths,
  intrinsics, poses, pair_infos) and the images they name, below `Undistorted_SfM/`.
- `scannet_1500`: `test.npz` (name: scene, part, two frames), `intrinsics.npz`, and below `scannet_test_1500/` for each
  scene `color/<frame>.jpg` and `pose/<frame>.txt`.

Sources: Li and Snavely, MegaDepth, CVPR 2018; Dai et al., ScanNet, CVPR 2017; lists of Sun et al., LoFTR, CVPR 2021,
and Sarlin et al., SuperGlue, CVPR 2020.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets import photos
from trigpoint.datasets.base import PrepareSettings, RawTree
from trigpoint.datasets.images import read_header
from trigpoint.datasets.npz_files import read_npz
from trigpoint.errors import DataError, ImageError
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.geometry.pose import inverse_pose
from trigpoint.types import Camera, Pose

MEGADEPTH_LISTS = "megadepth_test_1500_scene_info"
SCANNET_IMAGES = "scannet_test_1500"
SCANNET_SIZE = (640, 480)  # of the images that intrinsics.npz is for; those released are larger
ROTATION_TOLERANCE = 1e-3  # of R R^T against the identity
Pair = tuple[str, str]
_logger = logging.getLogger(__name__)


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """The images of all pairs with their cameras and poses, which every estimator may use.

    Raises:
        DataError: a list or calibration file is missing or damaged, or no image of a folder has a known pose.
    """
    readers = {"folder": _folder, "megadepth_1500": _megadepth, "scannet_1500": _scannet}
    return readers[settings.lists](dataset_id, root, settings)


def _folder(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    tree = photos.read_tree(dataset_id, root, settings)
    if len(tree.poses) < 2:
        raise DataError(
            f"{root}: {len(tree.poses)} images have a known camera and pose; give them in cameras_gt.txt or as a COLMAP"
            " model in sparse/"
        )
    everything = sorted({*tree.map_names, *tree.query_splits})
    return replace(tree, map_names=everything, query_splits={}, reference_images=list(tree.poses))


def _megadepth(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    lists = sorted((root / MEGADEPTH_LISTS).glob("*.npz"))
    if not lists:
        raise DataError(f"{root / MEGADEPTH_LISTS}: no *.npz; run `trigpoint fetch --dataset {dataset_id}`")
    cameras: dict[str, Camera] = {}
    poses: dict[str, Pose] = {}
    pairs: list[Pair] = []
    for path in lists:
        scene = read_npz(path)
        if missing := {"image_paths", "intrinsics", "poses", "pair_infos"} - scene.keys():
            raise DataError(f"{path}: holds no {', '.join(sorted(missing))}; fetch it again")
        for number, info in enumerate(scene["pair_infos"]):
            where = f"{path}: pair {number}"
            pair = tuple(_megadepth_image(where, root, scene, index, cameras, poses) for index in _indices(where, info))
            pairs.append((pair[0], pair[1]))
    return _listed(root, cameras, poses, pairs)


def _indices(where: str, info: Any) -> Sequence[int]:
    """The two image numbers of an entry ((index, index), overlap, matches)."""
    try:
        first, second = (int(index) for index in info[0])
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(f"{where}: expected ((image, image), overlap, ...); fetch it again") from error
    return first, second


def _megadepth_image(
    where: str, root: Path, scene: dict[str, Any], index: int, cameras: dict[str, Camera], poses: dict[str, Pose]
) -> str:
    """Name of an image; its camera and pose are added. Lists of one scene share its world."""
    values = [scene[key][index] if 0 <= index < len(scene[key]) else None for key in ("image_paths", "intrinsics")]
    if values[0] is None or values[1] is None:
        raise DataError(f"{where}: image {index} has no path or intrinsics; fetch it again")
    name = PurePosixPath(str(values[0])).as_posix()
    pose = _pose(where, scene["poses"][index])
    if name in poses and not np.allclose(pose.rotation, poses[name].rotation, atol=1e-6):
        raise DataError(f"{where}: '{name}' has another pose than in a list before; fetch all of them again")
    if name not in cameras:
        cameras[name] = _camera(where, root, name, values[1])
    poses[name] = pose
    return name


def _scannet(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    listed, intrinsics = read_npz(root / "test.npz"), read_npz(root / "intrinsics.npz")
    names = np.asarray(listed.get("name", np.zeros(0)))
    if names.ndim != 2 or names.shape[1] != 4 or names.dtype.kind not in "iu":
        raise DataError(f"{root / 'test.npz'}: `name` is {names.dtype} {names.shape}, expected whole numbers (N, 4)")
    cameras: dict[str, Camera] = {}
    poses: dict[str, Pose] = {}
    pairs: list[Pair] = []
    for scene, part, *frames in names.tolist():
        folder = f"scene{scene:04d}_{part:02d}"
        if folder not in intrinsics:
            raise DataError(f"{root / 'intrinsics.npz'}: no '{folder}', which test.npz lists; fetch it again")
        pair = [f"{SCANNET_IMAGES}/{folder}/color/{frame}.jpg" for frame in frames]
        for name, frame in zip(pair, frames, strict=True):
            if name not in cameras:
                cameras[name] = _scannet_camera(root, name, intrinsics[folder])
                poses[name] = _scannet_pose(root / SCANNET_IMAGES / folder / "pose" / f"{frame}.txt")
        pairs.append((pair[0], pair[1]))
    return _listed(root, cameras, poses, pairs, pose_unit="metre")


def _scannet_camera(root: Path, name: str, K: Any) -> Camera:
    """From the calibration of 640 x 480 pixels whose centres are at integers, to that of the image as released."""
    camera = _camera(str(root / "intrinsics.npz"), root, name, K)
    x, y = camera.width / SCANNET_SIZE[0], camera.height / SCANNET_SIZE[1]
    fx, fy, cx, cy = camera.params
    return replace(camera, params=(fx * x, fy * y, (cx + HALF_PIXEL) * x, (cy + HALF_PIXEL) * y))


def _scannet_pose(path: Path) -> Pose:
    """cam_from_world of a file with the 4 x 4 matrix world_from_cam."""
    try:
        matrix = np.loadtxt(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no readable 4 x 4 matrix ({error})") from error
    return inverse_pose(_pose(str(path), matrix))


def _camera(where: str, root: Path, name: str, K: Any) -> Camera:
    """A PINHOLE camera of a 3 x 3 matrix, as it stands, for the size of the image."""
    matrix = _matrix(where, K, 9).reshape(3, 3)
    if matrix[0, 1] or matrix[1, 0] or (matrix[2] != (0, 0, 1)).any() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise DataError(f"{where}: '{name}': the intrinsics are no upright pinhole camera's: {matrix.tolist()}")
    try:
        width, height = read_header(root / name).size
    except ImageError as error:
        raise DataError(f"{where}: {error}; fetch the images too") from error
    params = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    return Camera("PINHOLE", width, height, tuple(map(float, params)), has_prior_focal_length=True)


def _pose(where: str, value: Any) -> Pose:
    """The pose of a 4 x 4 (or 3 x 4) matrix, as it stands."""
    matrix = _matrix(where, value, 12).reshape(-1, 4)
    rotation, translation = matrix[:3, :3], matrix[:3, 3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise DataError(f"{where}: a pose holds no rotation: {matrix.tolist()}")
    return Pose(rotation.copy(), translation.copy())


def _matrix(where: str, value: Any, least: int) -> NDArray[np.float64]:
    """Finite numbers of a matrix with at least so many."""
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: expected a matrix of numbers ({error})") from error
    if matrix.size not in (9, 12, 16) or matrix.size < least or not np.isfinite(matrix).all():
        raise DataError(f"{where}: a matrix of shape {matrix.shape}, or a number that is not finite")
    return matrix


def _listed(
    root: Path, cameras: dict[str, Camera], poses: dict[str, Pose], pairs: list[Pair], pose_unit: str = "arbitrary"
) -> RawTree:
    """The tree of listed pairs; one that is listed twice counts once."""
    unique = list(dict.fromkeys(pairs))
    if len(unique) < len(pairs):
        _logger.warning("%d of %d pairs are listed more than once", len(pairs) - len(unique), len(pairs))
    return RawTree(
        image_root=root,
        map_names=sorted(cameras),
        cameras=cameras,
        poses=poses,
        pose_unit=pose_unit,
        reference_images=sorted(poses),
        pairs=unique,
    )
