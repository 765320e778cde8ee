"""The 3D points behind the pixels of a view of a scan: MATLAB files, and the point at any place between pixels."""

from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from trigpoint.errors import DataError

VARIABLE = "XYZcut"
Lookup = Literal["bilinear", "nearest"]


def read_points(path: Path) -> NDArray[np.float64]:
    """(H, W, 3) points of a view in the scan's frame, NaN where the scan saw nothing.

    Both of MATLAB's formats are read, that of version 7.3 being HDF5 with the axes reversed.

    Raises:
        DataError: the file is missing, damaged, or has no such array.
    """
    try:
        points = _read(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, scipy.io.matlab.MatReadError) as error:
        raise DataError(f"{path}: damaged, or no file of MATLAB ({error}); fetch it again") from error
    if points is None:
        raise DataError(f"{path}: holds no array {VARIABLE}")
    if points.ndim != 3 or points.shape[2] != 3 or points.dtype.kind != "f":
        raise DataError(f"{path}: {VARIABLE} is {points.dtype} {points.shape}, expected floats (H, W, 3)")
    return points.astype(np.float64)


def _read(path: Path) -> NDArray[Any] | None:
    path.stat()  # a missing file's own error
    if not h5py.is_hdf5(path):
        return scipy.io.loadmat(str(path), variable_names=[VARIABLE]).get(VARIABLE)
    with h5py.File(path) as file:
        return np.asarray(file[VARIABLE]).transpose() if VARIABLE in file else None


def points_at(points: NDArray[np.float64], xy: NDArray[np.floating], mode: Lookup = "bilinear") -> NDArray[np.float64]:
    """The points behind places of the view.

    Args:
        points: (H, W, 3), NaN where there is none.
        xy: (N, 2) pixels of the view, centre of the top-left pixel at (0, 0); beyond the outermost centres, up to the
            border of the image, the outermost pixels hold.
        mode: bilinear between the four pixels around, of the nearest pixel where one of them has no point; or always
            of the nearest pixel.

    Returns:
        (N, 3), NaN where there is none: outside the image, and where the nearest pixel has no point.
    """
    height, width = points.shape[:2]
    size = np.array([width, height])
    inside = np.all((xy >= -0.5) & (xy <= size - 0.5), axis=1)
    x, y = np.clip(np.where(inside[:, np.newaxis], xy, 0), 0, size - 1).astype(np.float64).T
    found = points[np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)]
    if mode == "bilinear":
        x0, y0 = np.minimum(x.astype(int), max(width - 2, 0)), np.minimum(y.astype(int), max(height - 2, 0))
        x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        top = (1 - fx) * points[y0, x0] + fx * points[y0, x1]
        bottom = (1 - fx) * points[y1, x0] + fx * points[y1, x1]
        between = (1 - fy) * top + fy * bottom
        found = np.where(np.isfinite(between).all(axis=1)[:, None], between, found)
    valid = inside & np.isfinite(found).all(axis=1)
    return np.where(valid[:, None], found, np.nan)
