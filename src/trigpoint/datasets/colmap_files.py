"""Cameras and poses of a COLMAP model, binary or text, without its points: Aachen v1.1's are a gigabyte.

Source: COLMAP's documentation of its output format (cameras, images); rigs and frames of newer models are not read,
because each image's line has its own pose.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.errors import DataError
from trigpoint.geometry.pose import matrix_from_quaternion
from trigpoint.types import Camera, Pose

# COLMAP's camera models in the order of their numbers, and how many parameters each has
NUM_PARAMS = {
    "SIMPLE_PINHOLE": 3,
    "PINHOLE": 4,
    "SIMPLE_RADIAL": 4,
    "RADIAL": 5,
    "OPENCV": 8,
    "OPENCV_FISHEYE": 8,
    "FULL_OPENCV": 12,
    "FOV": 5,
    "SIMPLE_RADIAL_FISHEYE": 4,
    "RADIAL_FISHEYE": 5,
    "THIN_PRISM_FISHEYE": 12,
}
MODEL_NAMES = tuple(NUM_PARAMS)
POINT_BYTES = 24  # of one observation in images.bin: x, y, number of the point
CHUNK_BYTES = 64


def model_file(folder: Path, name: str) -> Path | None:
    """`<name>.bin` or `<name>.txt` of a model's folder, or None."""
    places = (folder / f"{name}{suffix}" for suffix in (".bin", ".txt"))
    return next((path for path in places if path.is_file()), None)


def read_model_poses(folder: Path) -> tuple[dict[str, Pose], dict[str, Camera]]:
    """Poses (cam_from_world) and cameras by image name, in the order of the file.

    Raises:
        DataError: no model there, or a damaged one.
    """
    images, cameras = model_file(folder, "images"), model_file(folder, "cameras")
    if images is None or cameras is None:
        raise DataError(f"{folder}: no COLMAP model; it has cameras.bin and images.bin (or .txt)")
    by_id = dict(_cameras_binary(cameras) if cameras.suffix == ".bin" else _cameras_text(cameras))
    poses: dict[str, Pose] = {}
    camera_of: dict[str, Camera] = {}
    for name, camera_id, numbers in _images_binary(images) if images.suffix == ".bin" else _images_text(images):
        if name in poses:
            raise DataError(f"{images}: '{name}' comes twice; get the model again")
        if camera_id not in by_id:
            raise DataError(f"{images}: '{name}' has camera {camera_id}, which {cameras.name} has not")
        if not np.isfinite(numbers).all() or not any(numbers[:4]):
            raise DataError(f"{images}: the pose of '{name}' is no pose ({numbers})")
        poses[name] = Pose(matrix_from_quaternion(numbers[:4]), np.array(numbers[4:], dtype=np.float64))
        camera_of[name] = by_id[camera_id]
    return poses, camera_of


def _cameras_binary(path: Path) -> Iterator[tuple[int, Camera]]:
    with path.open("rb") as stream:
        (count,) = _take(stream, "<Q", path)
        for _ in range(count):
            camera_id, model, width, height = _take(stream, "<iiQQ", path)
            if not 0 <= model < len(MODEL_NAMES):
                raise DataError(f"{path}: camera {camera_id} has the unknown model number {model}")
            name = MODEL_NAMES[model]
            params = _take(stream, f"<{NUM_PARAMS[name]}d", path)
            yield camera_id, Camera(name, width, height, tuple(params), has_prior_focal_length=True)


def _cameras_text(path: Path) -> Iterator[tuple[int, Camera]]:
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        parts = line.split()
        try:
            size, params = (int(parts[2]), int(parts[3])), tuple(float(part) for part in parts[4:])
            if len(params) != NUM_PARAMS[parts[1]]:
                raise ValueError(f"{len(params)} parameters")
            yield int(parts[0]), Camera(parts[1], *size, params, has_prior_focal_length=True)
        except (IndexError, KeyError, ValueError) as error:
            raise fail(path, number, f"expected 'CAMERA_ID MODEL WIDTH HEIGHT PARAMS...' ({error})") from error


def _images_binary(path: Path) -> Iterator[tuple[str, int, tuple[float, ...]]]:
    with path.open("rb") as stream:
        (count,) = _take(stream, "<Q", path)
        for _ in range(count):
            values = _take(stream, "<i7di", path)
            name = _take_name(stream, path)
            (num_points,) = _take(stream, "<Q", path)
            if stream.seek(num_points * POINT_BYTES, 1) > path.stat().st_size:
                raise DataError(f"{path}: truncated; get the model again")
            yield name, values[8], values[1:8]


def _images_text(path: Path) -> Iterator[tuple[str, int, tuple[float, ...]]]:
    """Every image has two lines, the second of which may be empty, so empty lines count here."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if not line.startswith("#")]
    for number, line in enumerate(lines[0::2], start=1):
        if not line.strip():
            continue
        parts = line.split(maxsplit=9)
        try:
            yield parts[9].strip(), int(parts[8]), tuple(float(part) for part in parts[1:8])
        except (IndexError, ValueError) as error:
            raise DataError(f"{path}, image {number}: expected 'ID QW QX QY QZ TX TY TZ CAMERA_ID NAME'") from error


def _take(stream: IO[bytes], layout: str, path: Path) -> tuple[Any, ...]:
    size = struct.calcsize(layout)
    data = stream.read(size)
    if len(data) < size:
        raise DataError(f"{path}: truncated; get the model again")
    return struct.unpack(layout, data)


def _take_name(stream: IO[bytes], path: Path) -> str:
    name = bytearray()
    while not (end := name.find(b"\0")) >= 0:
        data = stream.read(CHUNK_BYTES)
        if not data:
            raise DataError(f"{path}: truncated; get the model again")
        name += data
    stream.seek(end + 1 - len(name), 1)
    return name[:end].decode("utf-8", "surrogateescape")
