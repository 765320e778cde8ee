"""Calibrated cameras with poses, one a line: `cameras_gt.txt` beside a dataset's images.

Lines that start with `#` are comments, and one of them may be `# pixel_origin: corner` or `# pixel_origin: centre`:
where (0, 0) is in the top left pixel; the corner, as in COLMAP, if the line is absent. Each other line is

    name fx fy cx cy R00 R01 R02 R10 R11 R12 R20 R21 R22 tx ty tz width height

with `x_cam = R * x_world + t` (x right, y down, z forward). Names are relative to the image folder and may have blanks.
"""

import re
from pathlib import Path

import numpy as np

from trigpoint.datasets.text_files import fail, read_lines
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.types import Camera, Pose

FILE_NAME = "cameras_gt.txt"
NUM_VALUES = 18
ROTATION_TOLERANCE = 1e-3  # of R R^T against the identity: published files have 4 to 17 digits
_ORIGIN = re.compile(r"#\s*pixel_origin:\s*(\S+)\s*")


def read_cameras_gt(path: Path) -> dict[str, tuple[Camera, Pose]]:
    """Cameras (PINHOLE, COLMAP's pixel convention) and poses by image name.

    Raises:
        DataError: the file cannot be read, or a line of it; the message has the line's number.
    """
    cameras: dict[str, tuple[Camera, Pose]] = {}
    shift = 0.0
    for number, line in read_lines(path):
        origin = _ORIGIN.fullmatch(line)
        if origin:
            if origin[1] not in ("corner", "centre"):
                raise fail(path, number, f"pixel_origin is 'corner' or 'centre', not '{origin[1]}'")
            shift = HALF_PIXEL if origin[1] == "centre" else 0.0
        elif not line.startswith("#"):
            name, values = split_name(path, number, line, NUM_VALUES)
            if name in cameras:
                raise fail(path, number, f"'{name}' has a line already; delete one")
            cameras[name] = _camera(path, number, values, shift), _pose(path, number, values)
    return cameras


def split_name(path: Path, number: int, line: str, num_values: int) -> tuple[str, list[float]]:
    """A name, which may have blanks, and the finite numbers after it.

    Raises:
        DataError: fewer numbers, or one that is none.
    """
    parts = line.rsplit(maxsplit=num_values)
    if len(parts) != num_values + 1:
        raise fail(path, number, f"expected a name and {num_values} numbers")
    try:
        values = [float(part) for part in parts[1:]]
    except ValueError as error:
        raise fail(path, number, f"expected a name and {num_values} numbers ({error})") from error
    if not np.isfinite(values).all():
        raise fail(path, number, "a number is not finite")
    return parts[0], values


def rotation_matrix(path: Path, number: int, values: list[float]) -> np.ndarray:
    """(3, 3) rotation of nine numbers, row by row.

    Raises:
        DataError: they are no rotation.
    """
    rotation = np.array(values, dtype=np.float64).reshape(3, 3)
    deviation = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if deviation > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise fail(path, number, f"R is no rotation (R R^T is {deviation:.2g} off the identity, or it mirrors)")
    return rotation


def pinhole(path: Path, number: int, focal: list[float], size: list[float], shift: float = 0.0) -> Camera:
    """A PINHOLE camera of fx, fy, cx, cy and width, height; `shift` is added to the principal point.

    Raises:
        DataError: a focal length or size that is not positive, or a fractional size.
    """
    fx, fy, cx, cy = focal
    width, height = size
    if min(fx, fy, width, height) <= 0 or int(width) != width or int(height) != height:
        raise fail(path, number, "focal lengths and the size in whole pixels must be positive")
    return Camera("PINHOLE", int(width), int(height), (fx, fy, cx + shift, cy + shift), has_prior_focal_length=True)


def _camera(path: Path, number: int, values: list[float], shift: float) -> Camera:
    return pinhole(path, number, values[:4], values[16:], shift)


def _pose(path: Path, number: int, values: list[float]) -> Pose:
    return Pose(rotation_matrix(path, number, values[4:13]), np.array(values[13:16], dtype=np.float64))
