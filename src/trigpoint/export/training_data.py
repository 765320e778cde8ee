"""Training data as DISK reads it: a dataset.json of scenes, with calibration and depth in HDF5.

dataset.json: scene name -> {image_path, calib_path, depth_path: folders, relative to the file; images: file names;
tuples: lists of indices into images}. `calib_path/calibration_<image>.h5` holds K, R, T (world to camera),
`depth_path/<image without its last extension>.h5` holds `depth` (H, W), 0 where it is unknown.

Pixel convention: centre of the top-left pixel at (0, 0): half a pixel is taken off COLMAP's principal points. The
original keeps COLMAP's numbers although its keypoints count from the centre (`legacy`).

Source: cvlab-epfl/disk, `colmap/colmap2dataset.py`, `merge_datasets.py` and `disk/data`.
"""

import itertools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import scipy.sparse

from trigpoint.errors import DataError, EmptyResultError, SettingsError, StorageError
from trigpoint.export.run_files import new_folder
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.storage import colmap
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.types import Camera, Pose

PINHOLE = ("PINHOLE", "SIMPLE_PINHOLE")
PATHS = ("image_path", "calib_path", "depth_path")
HEADER_BYTES = 64  # of a depth map: three numbers, each with its &
FLOAT16_RANGE = (float(np.finfo(np.float16).smallest_normal), float(np.finfo(np.float16).max))
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingDataSettings:
    """What `make-training-data` can be asked for; defaults are the original's."""

    name: str = "default-scene"
    depth: bool = True  # off: no depth maps, for the epipolar reward
    tuple_size: int = 2  # 2 as the original's converter; 3: triplets, all of whose pairs qualify, as the published data
    max_tuples: int | None = None  # a random sample of so many
    min_covisibility: float = 0.5  # shared points over the points of the image with fewer, inclusive
    max_covisibility: float = 0.8  # above, the views are too much alike to learn from
    seed: int = 0  # of the sample
    legacy: bool = False  # principal points with COLMAP's half pixel in them, as the original

    def __post_init__(self) -> None:
        if self.tuple_size not in (2, 3):
            raise SettingsError(f"make-training-data: tuples are pairs (2) or triplets (3), got {self.tuple_size}")
        if not 0 <= self.min_covisibility <= self.max_covisibility <= 1:
            raise SettingsError(
                f"make-training-data: covisibility {self.min_covisibility} to {self.max_covisibility}:"
                " expected 0 <= min <= max <= 1"
            )
        if self.max_tuples is not None and self.max_tuples < 1:
            raise SettingsError(f"make-training-data: max_tuples must be positive, got {self.max_tuples}")
        if not self.name:
            raise SettingsError("make-training-data: a scene needs a name")


def make_training_data(workspace: Path, output: Path, settings: TrainingDataSettings) -> None:
    """Write dataset.json, calibration and depth of a COLMAP dense workspace into a new folder.

    Args:
        workspace: holds `images/`, `sparse/` and `stereo/depth_maps/<image>.geometric.bin`, as `image_undistorter` and
            `patch_match_stereo` leave it.
        output: folder to write; the paths in dataset.json are relative to it.
        settings: see there.

    Raises:
        StorageError: the folder exists, or a model, image or depth map is missing or damaged.
        DataError: a camera with distortion, a depth map of another size, two images of one stem.
        EmptyResultError: no tuple of images qualifies.
    """
    model = colmap.read_model(workspace / "sparse")
    images = colmap.registered_images(model)
    pairs = covisible_pairs(
        {name: colmap.observed_points(image) for name, image in images.items()},
        settings.min_covisibility,
        settings.max_covisibility,
    )
    tuples = _tuples(pairs, settings)
    if not tuples:
        raise EmptyResultError(
            f"{workspace}: no {'pair' if settings.tuple_size == 2 else 'triplet'} of {len(images)} images shares"
            f" {settings.min_covisibility:.0%} to {settings.max_covisibility:.0%} of its points; widen the range"
        )
    names = list(dict.fromkeys(itertools.chain.from_iterable(tuples)))
    _check_stems(names)
    cameras, poses = colmap.model_cameras(model), colmap.model_poses(model)
    with new_folder(output) as folder:
        for name in names:
            if not (workspace / "images" / name).is_file():
                raise StorageError(f"{workspace / 'images' / name}: no such file, though the model has this image")
            _write_calibration(folder / "calibration", name, cameras[name], poses[name], settings.legacy)
            if settings.depth:
                _write_depth(folder / "depth", name, workspace / "stereo" / "depth_maps", cameras[name])
        number = {name: index for index, name in enumerate(names)}
        scene = {
            "image_path": os.path.relpath(workspace / "images", output),
            "calib_path": "calibration",
            "depth_path": "depth" if settings.depth else "",
            "images": names,
            "tuples": [[number[name] for name in members] for members in tuples],
        }
        write_json(folder / "dataset.json", {settings.name: scene})
    logger.info("%s: %d of %d images, %d tuples", output, len(names), len(images), len(tuples))


def covisible_pairs(points: dict[str, np.ndarray], smallest: float, largest: float) -> list[tuple[str, str]]:
    """Pairs of images, in the order of the mapping, by the share of their points that both see.

    Args:
        points: (N,) point numbers by image, -1 for keypoints without a point.
        smallest: of |shared| / min(|points 0|, |points 1|), inclusive; `largest`: the same. An image without points is
            in no pair.
    """
    names = list(points)
    seen = [np.unique(numbers[numbers >= 0]) for numbers in points.values()]
    rows = np.repeat(np.arange(len(names)), [len(numbers) for numbers in seen])
    columns = np.unique(np.concatenate([*seen, np.zeros(0, np.int64)]), return_inverse=True)[1]
    incidence = scipy.sparse.csr_array((np.ones(len(rows), np.int64), (rows, columns)))
    shared = scipy.sparse.coo_array(scipy.sparse.triu(incidence @ incidence.T, k=1))
    order = np.lexsort((shared.col, shared.row))
    pairs = []
    for row, column, count in zip(shared.row[order], shared.col[order], shared.data[order], strict=True):
        share = count / min(len(seen[row]), len(seen[column]))
        if smallest <= share <= largest:
            pairs.append((names[row], names[column]))
    return pairs


def _tuples(pairs: list[tuple[str, str]], settings: TrainingDataSettings) -> list[tuple[str, ...]]:
    tuples: list[tuple[str, ...]] = list(pairs)
    if settings.tuple_size == 3:
        partners: dict[str, list[str]] = {}
        for name0, name1 in pairs:
            partners.setdefault(name0, []).append(name1)
        known = set(pairs)
        tuples = [
            (name, *both)
            for name, later in partners.items()
            for both in itertools.combinations(later, 2)
            if both in known
        ]
    if settings.max_tuples is not None and len(tuples) > settings.max_tuples:
        chosen = np.random.default_rng(settings.seed).choice(len(tuples), settings.max_tuples, replace=False)
        tuples = [tuples[index] for index in np.sort(chosen)]
    return tuples


def _check_stems(names: Sequence[str]) -> None:
    owners: dict[str, str] = {}
    for name in names:
        stem = str(PurePosixPath(name).with_suffix(""))
        if stem in owners:
            raise DataError(f"'{owners[stem]}' and '{name}' would share the depth map '{stem}.h5'; rename one")
        owners[stem] = name
        if "." in PurePosixPath(stem).name or PurePosixPath(name).suffix != ".jpg":
            logger.warning("'%s': DISK's own training reads NAME.jpg with one dot only", name)


def _write_calibration(folder: Path, name: str, camera: Camera, pose: Pose, legacy: bool) -> None:
    if camera.model not in PINHOLE:
        raise DataError(
            f"'{name}': camera {camera.model}, expected PINHOLE: undistort first (`colmap image_undistorter`)"
        )
    *focal, cx, cy = camera.params
    shift = 0.0 if legacy else HALF_PIXEL
    K = np.array([[focal[0], 0, cx - shift], [0, focal[-1], cy - shift], [0, 0, 1]], dtype=np.float32)
    path = folder.parent / f"{folder.name}/calibration_{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["K"], file["R"], file["T"] = K, pose.rotation, pose.translation
        file.attrs["pixel_origin"] = "corner" if legacy else "centre"


def _write_depth(folder: Path, name: str, depth_maps: Path, camera: Camera) -> None:
    source = depth_maps / f"{name}.geometric.bin"
    depth = read_depth_map(source)
    if depth.shape != (camera.height, camera.width):
        raise DataError(
            f"{source}: {depth.shape[1]}x{depth.shape[0]} px, the image has {camera.width}x{camera.height}: run"
            " patch_match_stereo at full size (without max_image_size)"
        )
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
    known = depth[depth > 0]
    fits = len(known) == 0 or (known.min() >= FLOAT16_RANGE[0] and known.max() <= FLOAT16_RANGE[1])
    path = folder / PurePosixPath(name).with_suffix(".h5")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("depth", data=depth.astype(np.float16 if fits else np.float32), compression="gzip")


def read_depth_map(path: Path) -> np.ndarray:
    """(H, W) float32 of a depth map of COLMAP: `width&height&channels&`, then float32, width fastest.

    Raises:
        StorageError: missing, or another content.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file; run `colmap patch_match_stereo`, or leave depth out") from error
    head = data[:HEADER_BYTES].split(b"&", 3)
    if len(head) != 4 or not all(word.isdigit() for word in head[:3]):
        raise StorageError(f"{path}: no depth map of COLMAP, expected width&height&channels&")
    width, height, channels = (int(word) for word in head[:3])
    start = sum(len(word) + 1 for word in head[:3])
    if channels != 1 or len(data) - start != 4 * width * height:
        raise StorageError(
            f"{path}: {width}x{height}x{channels} in {len(data) - start} bytes; one channel of 4 expected"
        )
    return np.frombuffer(data, dtype="<f4", offset=start).reshape(height, width)


def merge_datasets(files: Sequence[Path], output: Path, names: Sequence[str] | None = None) -> None:
    """Write one file with the scenes of several; folders stay where they are, their paths are made to fit.

    A scene whose name is taken is called `<file index>-<scene index>` (from 0), as in the original, with a further
    number where even that is taken.

    Args:
        files: each as dataset.json.
        output: file to write.
        names: one for each file: its scene gets this name, several scenes get it before their own.

    Raises:
        StorageError: a file is missing or damaged.
        DataError: a scene's folder is missing, or an index is out of range.
        SettingsError: another number of names than of files.
    """
    if names is not None and len(names) != len(files):
        raise SettingsError(f"--name: {len(names)} names for {len(files)} files; give one for each")
    merged: dict[str, Any] = {}
    for index, path in enumerate(files):
        scenes = read_scenes(path)
        for number, (scene_name, scene) in enumerate(scenes.items()):
            wanted = scene_name
            if names is not None:
                wanted = names[index] if len(scenes) == 1 else f"{names[index]}-{scene_name}"
            name = _free_name(wanted, f"{index}-{number}", merged)
            if name != wanted:
                logger.warning("%s: scene '%s' is called '%s' in the merged file", path, wanted, name)
            merged[name] = {**scene, **_moved_paths(scene, path.parent, output.parent)}
    write_json(output, merged)
    logger.info("%s: %d scenes of %d files", output, len(merged), len(files))


def _free_name(wanted: str, other: str, taken: dict[str, Any]) -> str:
    candidates = itertools.chain([wanted, other], (f"{other}-{count}" for count in itertools.count(2)))
    return next(name for name in candidates if name not in taken)


def _moved_paths(scene: dict[str, Any], start: Path, end: Path) -> dict[str, str]:
    found = {key: scene_folder(scene, key, start) for key in PATHS}
    return {key: os.path.relpath(folder, end) if folder else "" for key, folder in found.items()}


def scene_folder(scene: dict[str, Any], key: str, start: Path) -> Path | None:
    """A folder of a scene: as given if it is there, else relative to the file; None for an empty path.

    Raises:
        DataError: it is nowhere.
    """
    if not scene.get(key):
        return None
    for folder in (start / scene[key], Path(scene[key])):  # `/` keeps an absolute path
        if folder.is_dir():
            return folder.resolve()
    raise DataError(f"{start / scene[key]}: no such folder ({key} of a scene)")


def read_scenes(path: Path) -> dict[str, Any]:
    """The scenes of a dataset.json for training, by name, checked.

    Raises:
        StorageError: missing, no JSON, or without the fields of a scene.
        DataError: tuples of different lengths, or an index without an image.
    """
    scenes = read_json(path)
    if not isinstance(scenes, dict) or not scenes:
        raise StorageError(f"{path}: no scenes; `trigpoint make-training-data` writes such a file")
    for name, scene in scenes.items():
        missing = {"image_path", "calib_path", "images", "tuples"} - set(scene if isinstance(scene, dict) else ())
        if missing:
            raise StorageError(f"{path}: scene '{name}' has no {', '.join(sorted(missing))}; is it training data?")
        lengths = {len(members) for members in scene["tuples"]}
        indices = set(itertools.chain.from_iterable(scene["tuples"]))
        if len(lengths) > 1 or not indices <= set(range(len(scene["images"]))):
            raise DataError(f"{path}: scene '{name}': tuples of one length, with indices of its images, were expected")
    return scenes
