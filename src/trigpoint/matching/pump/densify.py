"""A place in the other image for every pixel: correspondences interpolated over their triangulation."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import QhullError, cKDTree

MIN_ROWS = 4
NUM_NEAREST = 3
Size = tuple[int, int]  # width, height


def densify(
    rows: NDArray[np.floating], size0: Size, size1: Size, *, mode: str = "full", side: str = "left"
) -> NDArray[np.float64]:
    """Rows for every pixel of one image, row by row.

    Args:
        rows: (N, 4) or wider, x0, y0, x1, y1.
        size0: (width, height) of image 0, in the pixels of `rows`.
        size1: of image 1.
        mode: outside the hull of the correspondences `full` moves a pixel by the mean of its three nearest ones,
            `convex` leaves it out.
        side: `left` takes the pixels of image 0, `right` those of image 1.

    Returns:
        (M, 4) x0, y0, x1, y1; empty for fewer than 4 rows, or where all lie on one line.

    Source: naver/pump, densification of its post-filter, by scipy's triangulation.
    """
    if side == "right":
        swapped = rows[:, [2, 3, 0, 1]]
        return densify(swapped, size1, size0, mode=mode, side="left")[:, [2, 3, 0, 1]]
    if len(rows) < MIN_ROWS:
        return np.zeros((0, 4))
    known, targets = rows[:, :2].astype(np.float64), rows[:, 2:4].astype(np.float64)
    y, x = np.indices((size0[1], size0[0]))
    pixels = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    try:
        places = np.asarray(LinearNDInterpolator(known, targets)(pixels))
    except QhullError:  # all on one line
        return np.zeros((0, 4))
    outside = np.isnan(places).any(axis=1)
    if mode == "convex":
        return np.concatenate([pixels, places], axis=1)[~outside]
    _, nearest = cKDTree(known).query(pixels[outside], k=NUM_NEAREST)
    places[outside] = pixels[outside] + (targets - known)[nearest].mean(axis=1)
    return np.concatenate([pixels, places], axis=1)
