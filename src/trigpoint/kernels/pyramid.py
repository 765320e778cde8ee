"""PUMP's pyramid: results, level sizes, child weights, cost. Shared by every backend; no volume is touched here.

Image 0 gives a grid of patches (stride 4 px), image 1 a map of pixels. Level 0 is the rectified correlation of every
patch with every pixel; every further level halves the map of pixels and joins four patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from torch import Tensor

BLOCK = 4  # side of a pixel block of image 1, the stride of the patches of image 0
REFERENCE_COPIES = 4  # of level 0 at the reference's largest moment: old, new, positions (64 bit)
NUM_MASKS = 4  # which of the two looked-up rows (or columns) of image 1 exist: bit 0 the next one, bit 1 the one before


@dataclass(frozen=True)
class PyramidMatches:
    """The best counterpart of every patch of image 0 and of every 4x4 pixel block of image 1.

    Attributes:
        pixel_of_patch: (H0, W0) int64, linear index y1 * W1 + x1 of the patch's best pixel; of equal ones the first.
        score_of_patch: (H0, W0) float32.
        patch_of_block: (H1 // 4, W1 // 4) int64, linear index of the block's best patch.
        pixel_of_block: (H1 // 4, W1 // 4) int64, linear index in H1 * W1 of the block's pixel that wins with it; of
            equal ones the first in (patch, row, column) order.
        score_of_block: (H1 // 4, W1 // 4) float32.
        num_levels: levels above level 0; a perfect chain of votes scores about 1 + num_levels.
    """

    pixel_of_patch: Tensor
    score_of_patch: Tensor
    patch_of_block: Tensor
    pixel_of_block: Tensor
    score_of_block: Tensor
    num_levels: int

    @classmethod
    def empty(cls, desc0: Tensor, desc1: Tensor, num_levels: int) -> Self:
        """Unset results for (C, H0, W0) patches and (C, H1, W1) pixels, on their device, for a library to fill."""
        device = desc0.device
        blocks = (desc1.shape[1] // BLOCK, desc1.shape[2] // BLOCK)
        return cls(
            pixel_of_patch=torch.empty(desc0.shape[1:], dtype=torch.int64, device=device),
            score_of_patch=torch.empty(desc0.shape[1:], device=device),
            patch_of_block=torch.empty(blocks, dtype=torch.int64, device=device),
            pixel_of_block=torch.empty(blocks, dtype=torch.int64, device=device),
            score_of_block=torch.empty(blocks, device=device),
            num_levels=num_levels,
        )


@dataclass(frozen=True)
class LevelShape:
    """One level above level 0.

    Attributes:
        number: 1, 2, ...
        grid: rows and columns of parents.
        size: rows and columns of its map of image 1.
        gap_next, gap_before: parent row y has the child rows y + gap_next, looked up one map row on, and
            y - gap_before, one map row back; columns alike.
    """

    number: int
    grid: tuple[int, int]
    size: tuple[int, int]
    gap_next: int
    gap_before: int


@dataclass(frozen=True)
class Level(LevelShape):
    """A level with what every backend needs to join four children of the level below.

    Attributes:
        child_grid, child_size: as `grid` and `size`, of the level below.
        child_weights: child_grid, float32.
        weights: grid, float32: the sum of the existing children's weights.
        divisors: grid + (4, 4), float32, by row mask and column mask (NUM_MASKS); infinite where nothing is visible.
    """

    child_grid: tuple[int, int]
    child_size: tuple[int, int]
    child_weights: Tensor
    weights: Tensor
    divisors: Tensor


def gaps(level: int) -> tuple[int, int]:
    """`gap_next` and `gap_before` of a level: parents of level 1 sit on the corners of the patches."""
    return (0, 1) if level == 1 else (2 ** (level - 2), 2 ** (level - 2))


def pooled_size(size: Sequence[int]) -> tuple[int, int]:
    """Size of a map after a 3x3 maximum with stride 2 and padding 1."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


def shifted(num_targets: int, num_sources: int, shift: int) -> tuple[slice, slice]:
    """The targets t whose source t + shift exists, and those sources."""
    start = max(0, -shift)
    stop = max(start, min(num_targets, num_sources - shift))
    return slice(start, stop), slice(start + shift, stop + shift)


Slices = tuple[slice, slice]


def children(level: int, grid: Sequence[int], child_grid: Sequence[int]) -> list[tuple[int, int, Slices, Slices]]:
    """Of the four children, in the order of summation: map row and column looked up, parents' and children's slices."""
    gap_next, gap_before = gaps(level)
    found = []
    for row, v in ((1, gap_next), (-1, -gap_before)):
        to_y, from_y = shifted(grid[0], child_grid[0], v)
        for column, u in ((1, gap_next), (-1, -gap_before)):
            to_x, from_x = shifted(grid[1], child_grid[1], u)
            found.append((row, column, (to_y, to_x), (from_y, from_x)))
    return found


def divisor(total: Tensor, visible: Tensor, border: float) -> Tensor:
    """total * (visible / total) ** border in float32, computed in float64; infinite where that is zero."""
    share = visible.double() / total.double()
    powered = (total.double() * share**border).float()
    full = torch.where(visible < total, powered, total)
    return torch.where((full > 0) & (visible > 0), full, torch.inf)


def make_level(number: int, child_weights: Tensor, child_size: tuple[int, int], border: float) -> Level:
    """The level above a grid of children with these weights (child_grid, float32)."""
    child_grid = (child_weights.shape[0], child_weights.shape[1])
    enlarged = 1 if number == 1 else 0
    grid = (child_grid[0] + enlarged, child_grid[1] + enlarged)
    weights = child_weights.new_zeros(grid)
    visible = child_weights.new_zeros((*grid, NUM_MASKS, NUM_MASKS))
    bits = torch.arange(NUM_MASKS, device=child_weights.device)
    for row, column, parents, sources in children(number, grid, child_grid):
        weights[parents] += child_weights[sources]
        seen = ((bits & _bit(row)) > 0)[:, None] & ((bits & _bit(column)) > 0)
        visible[parents] += child_weights[sources][..., None, None] * seen
    return Level(
        number=number,
        grid=grid,
        size=pooled_size(child_size),
        child_grid=child_grid,
        child_size=child_size,
        gap_next=gaps(number)[0],
        gap_before=gaps(number)[1],
        child_weights=child_weights,
        weights=weights,
        divisors=divisor(weights[..., None, None].expand_as(visible), visible, border),
    )


def _bit(offset: int) -> int:
    return 1 if offset > 0 else 2


def level_shapes(grid: tuple[int, int], size: tuple[int, int], levels: int, min_shape: int) -> tuple[LevelShape, ...]:
    """Shapes of the levels above level 0; arguments as of `plan_levels`."""
    found: list[LevelShape] = []
    weights = [torch.ones(side) for side in grid]  # a parent's weight is that of its row times that of its column
    while len(found) < levels:
        number = len(found) + 1
        weights = [_joined(number, side) for side in weights]
        if not all(bool(side.any()) for side in weights):
            break
        size = pooled_size(size)
        found.append(LevelShape(number, (len(weights[0]), len(weights[1])), size, *gaps(number)))
        if min(size) <= min_shape:
            break
    return tuple(found)


def _joined(level: int, weights: Tensor) -> Tensor:
    """Weights of the rows (or columns) of parents from those of their children."""
    gap_next, gap_before = gaps(level)
    joined = weights.new_zeros(len(weights) + (level == 1))
    for shift in (gap_next, -gap_before):
        parents, sources = shifted(len(joined), len(weights), shift)
        joined[parents] += weights[sources]
    return joined


@lru_cache(maxsize=16)
def plan_levels(
    grid: tuple[int, int], size: tuple[int, int], levels: int, min_shape: int, border: float
) -> tuple[Level, ...]:
    """The levels above level 0 for unit weights, on the CPU; kept for the last sixteen sizes.

    A level whose parents have no child ends the pyramid and is not kept.

    Args:
        grid: rows and columns of patches of image 0.
        size: rows and columns of pixels of image 1.
        levels: at most so many.
        min_shape: the last level is the first whose map has a side of at most so many cells.
        border: 0 divides sums by the weights of all children, 1 by those of the visible ones.
    """
    plan: list[Level] = []
    weights = torch.ones(grid)
    for shape in level_shapes(grid, size, levels, min_shape):
        level = make_level(shape.number, weights, size, border)
        plan.append(level)
        weights, size = level.weights, level.size
    return tuple(plan)


def reciprocal(matches: PyramidMatches) -> Tensor:
    """(K, 2) int64 [patch, pixel], sorted by patch: the pixel is the patch's best, and both win the pixel's block.

    Exact integers; a pixel right of or below the last whole block has no block and is dropped.
    """
    rows, columns = matches.patch_of_block.shape
    if rows == 0 or columns == 0:
        return torch.zeros(0, 2, dtype=torch.int64, device=matches.pixel_of_patch.device)
    patches = torch.arange(matches.pixel_of_patch.numel(), device=matches.pixel_of_patch.device)
    best = torch.full_like(patches, -1)
    # a pixel lies in one block, so a patch's best pixel is compared with the one winner of that block
    won = matches.pixel_of_block.flatten()
    owner = matches.patch_of_block.flatten()
    agreed = matches.pixel_of_patch.flatten()[owner] == won
    best[owner[agreed]] = won[agreed]
    kept = best >= 0
    return torch.stack([patches[kept], best[kept]], dim=1)


@dataclass(frozen=True)
class PyramidCost:
    """What one matching takes beside the descriptors and the result."""

    bytes: int
    flops: int
    num_levels: int


def estimate_pyramid(
    channels: int,
    size0: tuple[int, int],
    size1: tuple[int, int],
    *,
    levels: int = 99,
    min_shape: int = 5,
    dtype: str = "float32",
    positions: str = "stored",
) -> PyramidCost:
    """Memory and operations of `match_pyramid` on a CPU for (C, *size0) patches and (C, *size1) pixels.

    Exact where the compiled kernels are; what the reference takes, roughly, where they are not.
    """
    from trigpoint.kernels import pyramid_cpu
    from trigpoint.kernels.library import library_or_none

    plan = level_shapes(size0, size1, levels, min_shape)
    flops = 2 * channels * size0[0] * size0[1] * size1[0] * size1[1]
    if library_or_none() is not None:
        workspace = pyramid_cpu.workspace_bytes(channels, size0, size1, plan, dtype, positions)
        return PyramidCost(workspace, flops if positions == "stored" else 2 * flops, len(plan))
    level0 = 4 * size0[0] * size0[1] * size1[0] * size1[1]
    above = sum(4 * level.grid[0] * level.grid[1] * level.size[0] * level.size[1] for level in plan)
    return PyramidCost(REFERENCE_COPIES * level0 + 2 * above, flops, len(plan))
