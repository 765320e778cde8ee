"""Image Matching Challenge, the tree of its validation and test sets: `<root>/phototourism/<scene>/set_100/` with

    images.txt calibration.txt            lists, one path relative to set_100/ a line
    images/<stem>.jpg calibration/calibration_<stem>.h5 (K, R, T: world to camera)
    new-vis-pairs/keys-th-0.1.npy         `A-B` of the pairs that see enough in common; 0.0 to 0.9
    sub_set/5bag_000.txt                  images of a bag, as images.txt
    depth_maps/<stem>.h5 (depth)          0 where unknown; absent in the image-only scenes of test servers

Images get the names `<scene>/set_100/images/<stem>.jpg`. K is taken in the pixel convention of COLMAP, which made it.

Source: Jin et al., "Image Matching across Wide Baselines", IJCV 2021; ubc-vision/image-matching-benchmark.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.base import PrepareSettings, RawTree, some
from trigpoint.datasets.images import read_header
from trigpoint.datasets.npz_files import read_npy
from trigpoint.datasets.text_files import read_lines
from trigpoint.errors import DataError, ImageError, SettingsError
from trigpoint.types import Camera, Dataset, Pose

DATASET = "phototourism"
SET = "set_100"
SEPARATOR = "-"  # of the two stems in a pair's key
BAG_NAME = re.compile(r"(\d+)bag_(\d+)")
ROTATION_TOLERANCE = 1e-3  # of R R^T against the identity
Pair = tuple[str, str]


@dataclass(frozen=True)
class Bag:
    """A small set of images that is reconstructed on its own: `name` such as `5bag_000`, image names."""

    name: str
    images: tuple[str, ...]


def read_tree(dataset_id: str, root: Path, settings: PrepareSettings) -> RawTree:
    """All images of the chosen scenes, all their pairs within a scene, and the true cameras and poses.

    Raises:
        DataError: a list or calibration is missing or damaged.
        SettingsError: a scene that is not there.
    """
    image_root = root / DATASET
    there = sorted(path.parent.name for path in image_root.glob(f"*/{SET}") if path.is_dir())
    if not there:
        raise DataError(
            f"{image_root}: no <scene>/{SET}; run `trigpoint fetch --dataset {dataset_id}`, or unpack the scenes there"
        )
    scenes = there if settings.sequences is None else list(settings.sequences)
    if missing := sorted(set(scenes) - set(there)):
        raise SettingsError(f"prepare: sequences: no {some(missing)} below {image_root}; there are {', '.join(there)}")
    names: list[str] = []
    cameras: dict[str, Camera] = {}
    poses: dict[str, Pose] = {}
    pairs: list[Pair] = []
    for scene in scenes:
        listed = list_images(image_root, scene)
        for name in listed:
            cameras[name], poses[name] = _read_calibration(image_root, name)
        names += listed
        pairs += combinations(sorted(listed), 2)
    return RawTree(image_root=image_root, map_names=names, cameras=cameras, poses=poses, pairs=pairs)


def scene_of(name: str) -> str:
    """The scene that an image name belongs to."""
    return name.split("/", 1)[0]


def stem_of(name: str) -> str:
    """The key of an image in the benchmark's files."""
    return PurePosixPath(name).stem


def list_images(image_root: Path, scene: str) -> list[str]:
    """Image names of a scene, in the order of images.txt.

    Raises:
        DataError: no list, two images of one stem, or a stem that cannot be part of a pair's key.
    """
    path = image_root / scene / SET / "images.txt"
    names = [f"{scene}/{SET}/{line}" for _, line in read_lines(path)]
    stems = [stem_of(name) for name in names]
    if len(set(stems)) < len(stems) or any(SEPARATOR in stem for stem in stems):
        raise DataError(
            f"{path}: two images of one name, or a name with '{SEPARATOR}', which divides the two of a pair"
        )
    return names


def covisible_pairs(image_root: Path, scene: str, least: float) -> list[Pair]:
    """Image names of the pairs with at least so much co-visibility (0.0, 0.1, ... 0.9), the larger stem first.

    Raises:
        DataError: the file of this threshold is missing, or names an image that images.txt does not.
    """
    path = image_root / scene / SET / "new-vis-pairs" / f"keys-th-{least:.1f}.npy"
    by_stem = {stem_of(name): name for name in list_images(image_root, scene)}
    pairs = []
    for key in np.ravel(np.asarray(read_npy(path), dtype=object)).tolist():
        stems = sorted(str(key).split(SEPARATOR), reverse=True)
        if len(stems) != 2 or any(stem not in by_stem for stem in stems):
            raise DataError(f"{path}: '{key}' does not name two images of images.txt; fetch the scene again")
        pairs.append((by_stem[stems[0]], by_stem[stems[1]]))
    return sorted(set(pairs))


def read_bags(image_root: Path, scene: str) -> dict[int, list[Bag]]:
    """Bags by their size, sorted by name.

    Raises:
        DataError: there is none, or one names an image that images.txt does not or has another size than its name says.
    """
    folder = image_root / scene / SET / "sub_set"
    known = set(list_images(image_root, scene))
    bags: dict[int, list[Bag]] = {}
    for path in sorted(folder.glob("*.txt")):
        match = BAG_NAME.fullmatch(path.stem)
        if not match:
            continue
        images = tuple(f"{scene}/{SET}/{line}" for _, line in read_lines(path))
        if unknown := sorted(set(images) - known):
            raise DataError(f"{path}: not in images.txt: {some(unknown)}")
        if len(set(images)) != int(match[1]):
            raise DataError(f"{path}: {len(set(images))} images, its name says {match[1]}; fetch the scene again")
        bags.setdefault(len(images), []).append(Bag(path.stem, images))
    if not bags:
        raise DataError(f"{folder}: no bags such as 5bag_000.txt; fetch the scene again")
    return dict(sorted(bags.items()))


def dataset_bags(dataset: Dataset, most: int | None = None) -> dict[str, tuple[str, ...]]:
    """Image names of all bags of a prepared dataset by `<scene>/<bag>`; of each size and scene the first `most`."""
    root = Path(dataset.image_root)
    scenes = sorted({scene_of(image.name) for image in dataset.images})
    return {
        f"{scene}/{bag.name}": bag.images
        for scene in scenes
        for bags in read_bags(root, scene).values()
        for bag in bags[:most]
    }


def read_depth(image_root: Path, name: str) -> NDArray[np.float32] | None:
    """(H, W) depth along the optical axis, 0 where unknown; None without a depth map.

    Raises:
        DataError: the file is damaged.
    """
    path = image_root / scene_of(name) / SET / "depth_maps" / f"{stem_of(name)}.h5"
    if not path.is_file():
        return None
    depth = np.asarray(_read_h5(path, ("depth",))["depth"], dtype=np.float32).squeeze()
    if depth.ndim != 2:
        raise DataError(f"{path}: depth has shape {depth.shape}, expected (H, W)")
    return depth


def _read_calibration(image_root: Path, name: str) -> tuple[Camera, Pose]:
    path = image_root / scene_of(name) / SET / "calibration" / f"calibration_{stem_of(name)}.h5"
    values = _read_h5(path, ("K", "R", "T"))
    K, R, T = (np.asarray(values[key], dtype=np.float64) for key in ("K", "R", "T"))
    if K.shape != (3, 3) or R.shape != (3, 3) or T.size != 3 or not all(np.isfinite(part).all() for part in (K, R, T)):
        raise DataError(f"{path}: K {K.shape}, R {R.shape}, T {T.shape}; expected finite (3, 3), (3, 3), (3,)")
    if np.abs(R @ R.T - np.eye(3)).max() > ROTATION_TOLERANCE or min(K[0, 0], K[1, 1]) <= 0 or K[0, 1] or K[1, 0]:
        raise DataError(f"{path}: R is no rotation, or K no upright pinhole camera's")
    try:
        width, height = read_header(image_root / name).size
    except ImageError as error:
        raise DataError(f"{error}; images.txt lists it") from error
    params = tuple(float(value) for value in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    return Camera("PINHOLE", width, height, params, has_prior_focal_length=True), Pose(R, T.reshape(3))


def _read_h5(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            return {key: file[key][()] for key in keys}
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError(f"{path}: no readable {', '.join(keys)} ({error}); fetch the scene again") from error
