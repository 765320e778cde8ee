"""Coarse to fine: which crops of two images are matched, as coarse matches say, and their records put together."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trigpoint.matching.pump.records import PATCH_PX, PairRecords, Side, empty_side

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class CropPair:
    """Top left pixels (x, y), multiples of 4, of a crop of image 0 and of the crop of image 1 it is matched with."""

    corner0: tuple[int, int]
    corner1: tuple[int, int]


def coarse_sizes(size0: Size, size1: Size, coarse_px: int) -> tuple[int, int]:
    """Longer sides of the two images when both are reduced by the factor that makes each fit; 0: as they are."""
    if max(*size0, *size1) <= coarse_px:
        return 0, 0
    factor = min(coarse_px / max(size0), coarse_px / max(size1))
    return int(0.5 + factor * max(size0)), int(0.5 + factor * max(size1))


def tile_corners(side: int, tile_px: int, overlap: float, *, legacy: bool = False) -> list[int]:
    """Where tiles begin along one side of an image: multiples of 4, evenly spread.

    They are rounded down, so that the last one is a whole tile and ends with the image's last patch, and at most a step
    apart; under `legacy` to the nearest multiple, whose tile may be two pixels short, and fewer for large overlaps.
    """
    if side <= tile_px:
        return [0]
    step = int(overlap * tile_px)
    count = math.ceil(side / step) - 1 if legacy else math.ceil((side - tile_px) / step) + 1
    places = np.linspace(0, side - tile_px, count) / PATCH_PX
    return [PATCH_PX * int(place) for place in (places + 0.5 if legacy else places + 1e-9)]


def plan_crops(
    coarse: NDArray[np.floating],
    size0: Size,
    size1: Size,
    *,
    tile_px: int,
    overlap: float,
    min_share: float,
    legacy: bool = False,
) -> list[CropPair]:
    """Pairs of crops for the coarse matches.

    Every tile of image 0 is paired with the tile of image 1 around the median of its matches, then, without the matches
    seen, with the next, as long as matches are left. Where no match is near their median, the best of them is taken.

    Args:
        coarse: (N, 5) or wider: x0, y0, x1, y1, score in pixels of the two images.
        min_share: of a tile's matches that a pair of crops has to see in order to be matched.
    """
    pairs = []
    for y0 in tile_corners(size0[1], tile_px, overlap, legacy=legacy):
        for x0 in tile_corners(size0[0], tile_px, overlap, legacy=legacy):
            left = coarse[_inside(coarse[:, :2], (x0, y0), tile_px)]
            total = len(left)
            while len(left):
                corner1 = _tile_around(_lower_median(left[:, 2:4]), size1, tile_px, legacy)
                seen = _inside(left[:, 2:4], corner1, tile_px)
                if not seen.any():
                    best = left[left[:, 4].argmax(), 2:4]
                    corner1 = _tile_around(best, size1, tile_px, legacy)
                    seen = _inside(left[:, 2:4], corner1, tile_px) | (left[:, 2:4] == best).all(axis=1)
                if seen.sum() >= min_share * total:
                    pairs.append(CropPair((x0, y0), corner1))
                left = left[~seen]
    return pairs


class CropRecords:
    """Records of crops put together for whole images; a higher score replaces what is there.

    Args:
        size0, size1: of the whole images.
    """

    def __init__(self, size0: Size, size1: Size) -> None:
        self._sides = empty_side(size0), empty_side(size1)

    def add(self, records: PairRecords, crops: CropPair) -> None:
        """Take over records in pixels of the crops."""
        shift = np.array([*crops.corner0, *crops.corner1])
        for whole, side, corner in zip(
            self._sides, (records.side0, records.side1), (crops.corner0, crops.corner1), strict=True
        ):
            _add_side(whole, Side(side.xyxy + shift, side.scores), corner)

    def records(self) -> PairRecords:
        """What was put together so far."""
        return PairRecords(*self._sides)


def _add_side(whole: Side, side: Side, corner: tuple[int, int]) -> None:
    height, width = side.scores.shape
    rows = slice(corner[1] // PATCH_PX, corner[1] // PATCH_PX + height)
    columns = slice(corner[0] // PATCH_PX, corner[0] // PATCH_PX + width)
    better = side.scores > whole.scores[rows, columns]
    whole.xyxy[rows, columns][better] = side.xyxy[better]
    whole.scores[rows, columns][better] = side.scores[better]


def _inside(xy: NDArray[np.floating], corner: tuple[int, int], tile_px: int) -> NDArray[np.bool_]:
    return np.asarray(((xy >= corner) & (xy < np.array(corner) + tile_px)).all(axis=1))


def _lower_median(xy: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.sort(xy, axis=0)[(len(xy) - 1) // 2]


def _tile_around(centre: NDArray[np.floating], size: Size, tile_px: int, legacy: bool) -> tuple[int, int]:
    x, y = (
        PATCH_PX * int(max(0.0, min(side - tile_px, float(place) - tile_px // 2)) / PATCH_PX + (0.5 if legacy else 0))
        for place, side in zip(centre, size, strict=True)
    )
    return x, y
