"""Images seen through dense correspondences."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ShapeError


def inside(targets_xy: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H0, W0) whether the pixel nearest to each place (H0, W0, 2) is one of an image of size (width, height).

    A place that is not finite is outside.
    """
    nearest = np.rint(targets_xy)
    return np.asarray(np.isfinite(nearest).all(axis=-1) & ((nearest >= 0) & (nearest < size)).all(axis=-1))


def warp_nearest(pixels: NDArray[np.uint8], targets_xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """One image's view built from another's pixels, by the nearest pixel.

    Args:
        pixels: (H1, W1, C) of the image that is looked up.
        targets_xy: (H0, W0, 2) for each pixel of the view its place (x, y) in `pixels`, centre of the top-left pixel at
            (0, 0). Rounded, halves to even; places outside take the border's pixel.

    Returns:
        (H0, W0, C), type of `pixels`.

    Raises:
        ShapeError: other shapes, an image without pixels, or a place that is not finite.
    """
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ShapeError(f"pixels are {pixels.shape}, expected (H, W, C) of positive sizes")
    if targets_xy.ndim != 3 or targets_xy.shape[2] != 2:
        raise ShapeError(f"targets are {targets_xy.shape}, expected (H, W, 2)")
    if not np.isfinite(targets_xy).all():
        raise ShapeError("targets hold values that are not finite")
    height, width = pixels.shape[:2]
    x = np.rint(targets_xy[..., 0]).clip(0, width - 1).astype(np.int64)
    y = np.rint(targets_xy[..., 1]).clip(0, height - 1).astype(np.int64)
    return pixels[y, x]
