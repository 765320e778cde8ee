"""Pixel conventions, in this one place.

Ours: the centre of the top-left pixel is (0, 0). COLMAP's: its corner is (0, 0), so its centre is (0.5, 0.5).
"""

import numpy as np
from numpy.typing import NDArray

HALF_PIXEL = 0.5


def to_colmap(xy: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (..., 2) of our convention as COLMAP's: half a pixel is added."""
    return xy + xy.dtype.type(HALF_PIXEL)


def from_colmap(xy: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (..., 2) of COLMAP's convention as ours: half a pixel is taken off."""
    return xy - xy.dtype.type(HALF_PIXEL)


def resize_points(
    xy: NDArray[np.floating], size_from: tuple[int, int], size_to: tuple[int, int]
) -> NDArray[np.float32]:
    """Points of an image of one size, in the same image resized to another.

    Args:
        xy: (N, 2) pixels, centre of the top-left pixel at (0, 0).
        size_from: (width, height) the points belong to.
        size_to: (width, height) wanted.

    Returns:
        (N, 2) float32; `(xy + 0.5) * scale - 0.5` with one scale for each axis, computed in float64.
    """
    scale = np.asarray(size_to, dtype=np.float64) / np.asarray(size_from, dtype=np.float64)
    resized = (xy.astype(np.float64) + HALF_PIXEL) * scale - HALF_PIXEL
    return resized.astype(np.float32)
