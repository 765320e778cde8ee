"""Dense correspondences as a field: for each pixel of one image its place in the other."""

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import SettingsError
from trigpoint.matching.pump.densify import densify

DENSE_COLUMNS = 4
SIDES = {"left": "first", "right": "second"}


def dense_field(
    rows: NDArray[np.floating], size0: tuple[int, int], size1: tuple[int, int], side: str
) -> NDArray[np.float32]:
    """The field over the pixels of one image.

    Args:
        rows: (N, 6) matches, which are densified, or dense (N, 4), a row for each pixel or for some of them.
        size0: (width, height) of image 0.
        size1: of image 1.
        side: `left` gives places in image 1 for the pixels of image 0, `right` places in image 0 for those of image 1.

    Returns:
        (H, W, 2) float32 x, y; NaN for a pixel without a row, so everywhere for fewer than 4 matches.

    Raises:
        SettingsError: the dense rows are those of the other image's pixels.
    """
    dense = rows if rows.shape[1] == DENSE_COLUMNS else densify(rows, size0, size1, mode="full", side=side)
    own, other = (slice(0, 2), slice(2, 4)) if side == "left" else (slice(2, 4), slice(0, 2))
    width, height = size0 if side == "left" else size1
    pixels = np.rint(dense[:, own]).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < (width, height))).all()
    if not inside or not np.array_equal(pixels, dense[:, own]):
        raise SettingsError(
            f"the dense rows are not of the {SIDES[side]} image's pixels: set post_filter.dense_side to {side}, or give"
            " matches that are not densified"
        )
    field = np.full((height, width, 2), np.nan, dtype=np.float32)
    field[pixels[:, 1], pixels[:, 0]] = dense[:, other]
    return field
