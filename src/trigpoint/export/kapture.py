"""kapture 1.1: a folder of text and binary files, there and back.

| content | file |
|---|---|
| cameras, images | sensors/sensors.txt, sensors/records_camera.txt |
| poses, cam_from_world, quaternion w first | sensors/trajectories.txt |
| keypoints (N, 2) float32; descriptors (N, D) float32 | reconstruction/{keypoints,descriptors}/TYPE/IMAGE.{kpt,desc} |
| matches (M, 3) float64: index, index, score | reconstruction/matches/TYPE/NAME0.overlapping/NAME1.matches |
| points of a model and the keypoints that see them | reconstruction/points3d.txt, reconstruction/observations.txt |

Pixel convention: corner of the top-left pixel at (0, 0), COLMAP's (kapture's converters copy COLMAP's coordinates as
they are): half a pixel is added to our keypoints on the way out and taken off on the way in. Keypoint scores have no
place in these files and come back as 1.

Source: naver/kapture, `kapture_format.adoc`, data format v1.1.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import DataError, StorageError
from trigpoint.export.run_files import (
    ForeignRun,
    RunFiles,
    descriptor_width,
    keypoint_counts,
    new_folder,
    read_checked,
    widened,
)
from trigpoint.geometry.pixels import from_colmap, to_colmap
from trigpoint.geometry.pose import matrix_from_quaternion, quaternion_from_matrix
from trigpoint.storage import colmap
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Camera, Dataset, Features, Matches, Pose

HEADER = "# kapture format: 1.1"
VERSION = "1.1"
CAMERA_MODELS = (
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV",
    "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE",
)  # fmt: skip
UNKNOWN_CAMERA = "UNKNOWN_CAMERA"  # parameters: width, height
OVERLAPPING = ".overlapping/"
DTYPES = {"float32": np.float32, "float64": np.float64, "uint8": np.uint8, "int32": np.int32, "float": np.float64}


def export_kapture(run: RunFiles, output: Path, *, link_images: bool = False) -> None:
    """Write a kapture folder: every image of the dataset, features and matches, poses and points of the model.

    Cameras and poses are the model's where it has the image, else the dataset's; a camera that nobody knows is written
    with its size only.

    Args:
        run: features, matches and dataset; a model where there is one.
        output: folder, must not exist.
        link_images: sensors/records_data becomes a link to the dataset's image folder.

    Raises:
        StorageError: the folder exists.
        DataError: no dataset; a name with a comma; a camera model that kapture does not know; a match without keypoint.
    """
    if run.dataset is None:
        raise DataError("a kapture folder lists cameras and images: give --dataset dataset.json")
    model = None if run.model is None else colmap.read_model(run.model)
    with FeatureReader(run.features) as features, MatchReader(run.matches) as matches, new_folder(output) as folder:
        kind = str(features.settings.get("method", "features"))
        counts = keypoint_counts(features)
        _check_names([*counts, *(image.name for image in run.dataset.images), kind])
        _write_sensors(folder / "sensors", run.dataset, model)
        _write_features(folder / "reconstruction", kind, features)
        for pair in sorted(matches.pairs()):
            _write_matches(folder / "reconstruction" / "matches" / kind, pair, read_checked(matches, pair, counts))
        if model is not None:
            _write_points(folder / "reconstruction", kind, model)
        if link_images:
            (folder / "sensors" / "records_data").symlink_to(Path(run.dataset.image_root).resolve())


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if "," in name or name != name.strip() or name.startswith("#"):
            raise DataError(f"'{name}': kapture's text files cannot hold a comma, a blank at an end or a leading #")


def _write_sensors(folder: Path, dataset: Dataset, model: Any) -> None:
    cameras = {image.name: image.camera for image in dataset.images}
    poses = {name: pose for name, pose in dataset.poses.items() if name in cameras}
    if model is not None:
        cameras |= {name: camera for name, camera in colmap.model_cameras(model).items() if name in cameras}
        poses = {name: pose for name, pose in colmap.model_poses(model).items() if name in cameras}
    sensors: dict[str, str] = {}  # line -> device
    records, trajectories = [], []
    for timestamp, image in enumerate(dataset.images):
        device = sensors.setdefault(_sensor(cameras[image.name], image.size), f"camera{len(sensors)}")
        records.append(f"{timestamp}, {device}, {image.name}")
        if image.name in poses:
            pose = poses[image.name]
            numbers = [*quaternion_from_matrix(pose.rotation), *pose.translation]
            trajectories.append(", ".join([str(timestamp), device, *(repr(float(number)) for number in numbers)]))
    lines = [f"{device}, , camera, {line}" for line, device in sensors.items()]
    _write_table(folder / "sensors.txt", "sensor_id, name, sensor_type, [sensor_params]+", lines)
    _write_table(folder / "records_camera.txt", "timestamp, device_id, image_path", records)
    if trajectories:
        _write_table(folder / "trajectories.txt", "timestamp, device_id, qw, qx, qy, qz, tx, ty, tz", trajectories)


def _sensor(camera: Camera | None, size: tuple[int, int]) -> str:
    if camera is None:
        return f"{UNKNOWN_CAMERA}, {size[0]}, {size[1]}"
    if camera.model not in CAMERA_MODELS:
        raise DataError(f"kapture knows no camera model {camera.model}; known: {', '.join(CAMERA_MODELS)}")
    return ", ".join([camera.model, str(camera.width), str(camera.height), *(repr(value) for value in camera.params)])


def _write_features(folder: Path, kind: str, features: FeatureReader) -> None:
    width = descriptor_width(features)
    keypoints, descriptors = folder / "keypoints" / kind, folder / "descriptors" / kind
    _write_table(keypoints / "keypoints.txt", "name, dtype, dsize", [f"{kind}, float32, 2"])
    if width:
        line = f"{kind}, float32, {width}, {kind}, L2"
        _write_table(descriptors / "descriptors.txt", "name, dtype, dsize, keypoints_type, metric_type", [line])
    for name in features.names():
        found = features.read(name)
        _write_array(keypoints / f"{name}.kpt", to_colmap(found.keypoints), np.float32)
        if width:
            _write_array(descriptors / f"{name}.desc", widened(found.descriptors, width), np.float32)


def _write_matches(folder: Path, pair: tuple[str, str], matches: Matches) -> None:
    in_order = pair[0] < pair[1]
    columns = matches.indices if in_order else matches.indices[:, ::-1]
    name0, name1 = sorted(pair)
    rows = np.column_stack([columns, matches.scores.astype(np.float64)])
    _write_array(folder / f"{name0}{OVERLAPPING}{name1}.matches", rows, np.float64)


def _write_points(folder: Path, kind: str, model: Any) -> None:
    names = {image_id: image.name for image_id, image in model.images.items()}
    points = sorted(model.points3D.items())
    numbers = [[*point.xyz, *(float(value) for value in point.color)] for _, point in points]
    lines = [", ".join(repr(float(number)) for number in row) for row in numbers]
    _write_table(folder / "points3d.txt", "X, Y, Z, R, G, B", lines)
    observed = []
    for row, (_, point) in enumerate(points):
        seen = sorted((names[element.image_id], element.point2D_idx) for element in point.track.elements)
        observed.append(", ".join([str(row), kind, *(f"{name}, {index}" for name, index in seen)]))
    _write_table(folder / "observations.txt", "point3d_id, keypoints_type, [image_path, feature_id]*", observed)


def _write_table(path: Path, columns: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in [HEADER, f"# {columns}", *lines]), encoding="utf-8")


def _write_array(path: Path, values: np.ndarray, dtype: type) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes())


def import_kapture(folder: Path, keypoints_type: str | None = None) -> ForeignRun:
    """The content of a kapture folder (features in files, not in tar archives).

    Args:
        folder: of a kapture dataset.
        keypoints_type: which keypoints; needed where there are several types.

    Raises:
        StorageError: no kapture folder of version 1.1; a file is missing or damaged.
        DataError: several types and none chosen; a record of a camera that is not there.
    """
    sensors = _read_table(folder / "sensors" / "sensors.txt")
    head = (folder / "sensors" / "sensors.txt").read_text(encoding="utf-8").splitlines()[:1]
    if not head or VERSION not in head[0]:
        raise StorageError(
            f"{folder / 'sensors/sensors.txt'}: not of kapture format {VERSION}; upgrade it with kapture"
        )
    sizes = {row[0]: (int(float(row[4])), int(float(row[5]))) for row in sensors if row[2] == "camera"}
    records = _read_table(folder / "sensors" / "records_camera.txt")
    for _, device, name in records:
        if device not in sizes:
            raise DataError(
                f"{folder / 'sensors/records_camera.txt'}: '{name}' is of '{device}', no camera of sensors.txt"
            )
    size_of = {name: sizes[device] for _, device, name in records}
    kind = keypoints_type or _only_type(folder / "reconstruction" / "keypoints")
    return ForeignRun(
        format="kapture",
        features=_images(folder / "reconstruction", kind, size_of),
        matches=_pairs(folder / "reconstruction" / "matches" / kind),
        poses=_poses(folder / "sensors" / "trajectories.txt", records),
    )


def _only_type(folder: Path) -> str:
    kinds = sorted(path.parent.name for path in folder.glob("*/keypoints.txt"))
    if len(kinds) != 1:
        found = ", ".join(kinds) or "none"
        raise DataError(f"{folder}: expected one type of keypoints, found {found}; choose with --keypoints-type")
    return kinds[0]


def _images(folder: Path, kind: str, size_of: dict[str, tuple[int, int]]) -> Iterator[tuple[str, Features]]:
    keypoint_format = _read_table(folder / "keypoints" / kind / "keypoints.txt")[0]
    described = _descriptors_of(folder / "descriptors", kind)
    for name in sorted(size_of):
        path = folder / "keypoints" / kind / f"{name}.kpt"
        if not path.is_file():
            continue  # an image without features is not listed by kapture either
        stored = _read_array(path, keypoint_format[1], int(keypoint_format[2]))
        xy = from_colmap(stored[:, :2].astype(np.float32))
        descriptors = np.zeros((len(xy), 0), np.float32)
        if described is not None:
            place, row = described
            descriptors = _read_array(place / f"{name}.desc", row[1], int(row[2])).astype(np.float32)
        yield name, Features(xy, descriptors, np.ones(len(xy), np.float32), size_of[name])


def _descriptors_of(folder: Path, kind: str) -> tuple[Path, list[str]] | None:
    """Folder and format line of the descriptors of a type of keypoints."""
    for path in sorted(folder.glob("*/descriptors.txt")):
        row = _read_table(path)[0]
        if row[3] == kind:
            return path.parent, row
    return None


def _pairs(folder: Path) -> Iterator[tuple[str, str, Matches]]:
    for path in sorted(folder.rglob("*.matches")):
        name0, separator, name1 = path.relative_to(folder).as_posix().removesuffix(".matches").partition(OVERLAPPING)
        if not separator:
            raise DataError(f"{path}: expected IMAGE{OVERLAPPING}IMAGE.matches")
        rows = _read_array(path, "float64", 3)
        yield name0, name1, Matches(rows[:, :2].astype(np.int32), rows[:, 2].astype(np.float32))


def _poses(path: Path, records: list[list[str]]) -> dict[str, Pose]:
    if not path.is_file():
        return {}
    name_of = {(timestamp, device): name for timestamp, device, name in records}
    poses = {}
    for timestamp, device, *numbers in _read_table(path):
        if (timestamp, device) in name_of and all(numbers):  # rigs and half-known poses are left out
            values = np.array([float(number) for number in numbers])
            poses[name_of[timestamp, device]] = Pose(matrix_from_quaternion(values[:4]), values[4:])
    return poses


def _read_table(path: Path) -> list[list[str]]:
    """Rows of a kapture text file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file; is it a kapture folder with features in files?") from error
    lines = itertools.filterfalse(lambda line: not line.strip() or line.startswith("#"), text.splitlines())
    return [[word.strip() for word in line.split(",")] for line in lines]


def _read_array(path: Path, dtype: str, width: int) -> np.ndarray:
    if dtype not in DTYPES:
        raise StorageError(f"{path}: type '{dtype}', expected one of {', '.join(DTYPES)}")
    try:
        values = np.fromfile(path, np.dtype(DTYPES[dtype]).newbyteorder("<"))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror})") from error
    if len(values) % width:
        raise StorageError(f"{path}: {len(values)} numbers are no rows of {width}")
    return values.reshape(-1, width)
