"""One-sided records of PUMP: what every patch of image 0, and every 4x4 block of image 1, takes for its best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigpoint.kernels.pyramid import PyramidMatches

PATCH_PX = 4
PATCH_CENTRE_PX = 2  # the patch's one descriptor is that of pixel 4 i + 2
NONE = -1


@dataclass(frozen=True)
class Side:
    """The records of one image's grid.

    Attributes:
        xyxy: (h, w, 4) int64: x0, y0, x1, y1 in pixels of the two images that were matched; -1 where there is none.
        scores: (h, w) float32, 0 where there is none.
    """

    xyxy: NDArray[np.int64]
    scores: NDArray[np.float32]

    def swapped(self) -> Side:
        """The same records with the images exchanged."""
        return Side(self.xyxy[..., [2, 3, 0, 1]], self.scores)


@dataclass(frozen=True)
class PairRecords:
    """Records by image 0's grid and by image 1's."""

    side0: Side
    side1: Side

    def swapped(self) -> PairRecords:
        """The same records with the images exchanged."""
        return PairRecords(self.side1.swapped(), self.side0.swapped())


def records_of(matches: PyramidMatches, width1: int) -> PairRecords:
    """The pyramid's answers as pixels.

    Args:
        matches: of a grid of patches and a map of pixels.
        width1: columns of image 1's map.
    """
    grid = tuple(matches.pixel_of_patch.shape)
    patch, pixel = np.arange(grid[0] * grid[1]).reshape(grid), matches.pixel_of_patch.cpu().numpy()
    side0 = Side(_pixels(patch, pixel, grid[1], width1), matches.score_of_patch.cpu().numpy())
    patch, pixel = matches.patch_of_block.cpu().numpy(), matches.pixel_of_block.cpu().numpy()
    return PairRecords(side0, Side(_pixels(patch, pixel, grid[1], width1), matches.score_of_block.cpu().numpy()))


def empty_side(size: tuple[int, int]) -> Side:
    """No records for an image of this (width, height): one cell for every 4 pixels, the last ones in part."""
    width, height = ((side + PATCH_PX - 1) // PATCH_PX for side in size)
    return Side(np.full((height, width, 4), NONE, dtype=np.int64), np.zeros((height, width), dtype=np.float32))


def record_ids(xyxy: NDArray[np.int64], size0: tuple[int, int], size1: tuple[int, int]) -> NDArray[np.int64]:
    """One number for each record (..., 4) of images of these (width, height), different for different records.

    -1 where there is no record.
    """
    x0, y0, x1, y1 = np.moveaxis(xyxy, -1, 0)
    ids = ((y0 * size0[0] + x0) * size1[1] + y1) * size1[0] + x1
    return np.where(x0 < 0, NONE, ids)


def num_ids(size0: tuple[int, int], size1: tuple[int, int]) -> int:
    """Ids of records of two images of these sizes are below this number."""
    return size0[0] * size0[1] * size1[0] * size1[1]


def _pixels(patch: NDArray[np.int64], pixel: NDArray[np.int64], columns0: int, width1: int) -> NDArray[np.int64]:
    """(h, w, 4) from linear indices of patches and of pixels."""
    y0, x0 = np.divmod(patch, columns0)
    y1, x1 = np.divmod(pixel, width1)
    return np.stack([PATCH_PX * x0 + PATCH_CENTRE_PX, PATCH_PX * y0 + PATCH_CENTRE_PX, x1, y1], axis=-1)
