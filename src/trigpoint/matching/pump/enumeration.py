"""Which scales and rotations of two images PUMP matches with each other."""

import math
from dataclasses import dataclass

from trigpoint.geometry.scale_rotation import encode_scale_rot

MAX_HALF_OCTAVES = 100
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class ScaleRotation:
    """Image 0 is reduced by min(scale, 1), image 1 by min(1 / scale, 1), so none is ever enlarged.

    Attributes:
        scale: a power of the square root of 2.
        angle_deg: the image with the patches is turned by it, or by its negative if that is image 1.
        code: of both, see `encode_scale_rot`.
    """

    scale: float
    angle_deg: float
    code: int

    @property
    def reductions(self) -> tuple[float, float]:
        """Factors of image 0 and image 1."""
        return min(self.scale, 1.0), min(1 / self.scale, 1.0)


def enumerate_views(
    min_scale: float, max_scale: float, min_rot: float, max_rot: float, rot_step: float
) -> list[ScaleRotation]:
    """All scales, each with all rotations, in the release's order; rotations are multiples of `rot_step` degrees.

    The half turn is listed once, as -180.
    """
    scales = [2 ** (index / 2) for index in range(-MAX_HALF_OCTAVES, MAX_HALF_OCTAVES + 1)]
    turns = [rot_step * index for index in range(math.floor(-180 / rot_step), math.floor(180 / rot_step))]
    return [
        ScaleRotation(scale, -turn + 0.0, int(encode_scale_rot(scale, -turn)))
        for scale in scales
        if min_scale <= scale <= max_scale
        for turn in turns
        if min_rot <= turn <= max_rot
    ]


def is_swapped(size0: Size, size1: Size, swap: int) -> bool:
    """Whether image 1 gives the patches: with 1 if its shorter side is the larger one, with -1 if smaller, 0 never."""
    return swap * min(size1) > swap * min(size0)


def levels_for(size0: Size, size1: Size) -> int:
    """Levels of the pyramid for whole images of these sizes: floor(log2(p / 4)), p the smaller one's mean side."""
    mean_px = math.floor(min(sum(size0) / 2, sum(size1) / 2))
    return max(0, math.floor(math.log2(max(mean_px, 1) / 4)))


def common_levels(sizes: list[tuple[Size, Size]], min_shape: int, levels: int) -> int:
    """The number of levels that every pair of views can have.

    Args:
        sizes: for each pair of views the image with the patches, and the other.
        min_shape: cells of the last level's shorter side.
        levels: at most so many; 0: no further limit.
    """
    limits = [levels] if levels else []
    for first, second in sizes:
        limits += [math.ceil(math.log2(min(first)) - 1), math.ceil(math.log2(min(second) / min_shape))]
    return max(0, min(limits))
