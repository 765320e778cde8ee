"""PUMP's pyramid in plain torch, every volume in memory: the truth that the compiled twins must equal, ties included.

Volumes are (rows, columns of patches, rows, columns of image 1). Storage may be float16; arithmetic is float32 with one
rounding at the store. Products of weights are rounded before they are added (no fused multiply-add).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from trigpoint.kernels.pyramid import (
    BLOCK,
    Level,
    PyramidMatches,
    children,
    divisor,
    gaps,
    plan_levels,
    pooled_size,
    shifted,
)


def correlate(desc0: Tensor, desc1: Tensor) -> Tensor:
    """Dot products (H0, W0, H1, W1) of the columns of (C, H0, W0) and (C, H1, W1)."""
    product = desc0.flatten(1).T @ desc1.flatten(1)
    return product.view(*desc0.shape[1:], *desc1.shape[1:])


def rectify(values: Tensor, power: float) -> Tensor:
    """max(v, 0) ** power; 1.5 is v * sqrt(v), other powers are taken in float64 and rounded once."""
    positive = values.clamp(min=0)
    if power == 1:
        return positive
    if power == 1.5 and values.dtype != torch.float64:
        single = positive.float()
        root = single.double().sqrt().float()  # torch's float32 root is not always the nearest float
        return (single * root).to(values.dtype)
    return positive.double().pow(power).to(values.dtype)


def pool(volume: Tensor) -> Tensor:
    """The 3x3 maximum with stride 2 and padding 1 over the last two dimensions; padding never wins."""
    return max_pool2d(volume.flatten(0, 1), 3, 2, 1).view(*volume.shape[:2], *pooled_size(volume.shape[2:]))


def aggregate(level: int, border: float, pooled: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Join four children to a parent: the mean of their values at shifted cells, by weight.

    Args:
        level: of the parents, 1 and more; parents of level 1 sit on the corners of the grid of children.
        border: exponent of the visible share of weight in the divisor, 0 to 1.
        pooled: (A, B, P, Q).
        weights: (A, B) float32 of the children; None means 1.

    Returns:
        (A + e, B + e, P, Q) in the type of `pooled` and the parents' weights (A + e, B + e), e = 1 at level 1, else 0.
    """
    child_grid, size = pooled.shape[:2], pooled.shape[2:]
    weights = pooled.new_ones(child_grid, dtype=torch.float32) if weights is None else weights
    grid = [side + (level == 1) for side in child_grid]
    total = weights.new_zeros(grid)
    values = weights.new_zeros((*grid, *size), dtype=torch.promote_types(pooled.dtype, torch.float32))
    visible = weights.new_zeros((*grid, *size))
    for row, column, parents, sources in children(level, grid, child_grid):
        (to_rows, from_rows), (to_columns, from_columns) = (
            shifted(size[0], size[0], row),
            shifted(size[1], size[1], column),
        )
        weight = weights[sources]
        total[parents] += weight
        values[(*parents, to_rows, to_columns)] += weight[..., None, None] * pooled[
            (*sources, from_rows, from_columns)
        ].to(values.dtype)
        visible[(*parents, to_rows, to_columns)] += weight[..., None, None]
    values /= divisor(total[..., None, None].expand_as(visible), visible, border)
    return values.to(pooled.dtype), total


def pool_aggregate(level: int, border: float, lower: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`aggregate` of the pooled lower level."""
    return aggregate(level, border, pool(lower), weights)


def votes(level: int, upper: Tensor, child_grid: Sequence[int]) -> Tensor:
    """What every child gets at every upper cell: the largest value of its four parents at the shifted cells, or 0.

    Args:
        level: of `upper`.
        upper: (UA, UB, P, Q), after its own update.
        child_grid: rows and columns of the level below.

    Returns:
        (*child_grid, P, Q).
    """
    gap_next, gap_before = gaps(level)
    size = upper.shape[2:]
    added = upper.new_zeros((*child_grid, *size))
    sides = ((-1, -gap_next), (1, gap_before))
    for row, v in sides:
        for column, u in sides:
            to_y, from_y = shifted(child_grid[0], upper.shape[0], v)
            to_x, from_x = shifted(child_grid[1], upper.shape[1], u)
            to_rows, from_rows = shifted(size[0], size[0], row)
            to_columns, from_columns = shifted(size[1], size[1], column)
            target = added[to_y, to_x, to_rows, to_columns]
            torch.maximum(target, upper[from_y, from_x, from_rows, from_columns], out=target)
    return added


def unpool(lower: Tensor, added: Tensor) -> Tensor:
    """Add each vote where its 3x3 window of the lower level has its first maximum; of several votes the largest wins.

    The last row and the last column of image 1 take no part.

    Args:
        lower: (A, B, A2, B2), not negative.
        added: (A, B, P, Q), P and Q of the pooled size.
    """
    if min(lower.shape[2:]) < 2:
        return lower.clone()
    allowed = lower.clone()
    allowed[:, :, -1] = -torch.inf
    allowed[..., -1] = -torch.inf
    _, positions = max_pool2d(allowed.flatten(0, 1), 3, 2, 1, return_indices=True)
    old, add, where = lower.flatten(0, 1).flatten(1), added.flatten(0, 1).flatten(1), positions.flatten(1)
    return old.scatter_reduce(1, where, old.gather(1, where) + add, "amax").view_as(lower)


def forward_levels(level0: Tensor, plan: tuple[Level, ...], power: float, border: float) -> list[Tensor]:
    """The rectified levels 0, 1, ... of a plan, from the rectified level 0."""
    volumes = [level0]
    for level in plan:
        values, _ = pool_aggregate(level.number, border, volumes[-1], level.child_weights.to(level0.device))
        volumes.append(rectify(values, power))
    return volumes


def backward_levels(volumes: list[Tensor]) -> list[Tensor]:
    """The same levels after the votes came down from the top."""
    updated = [volumes[-1]]
    for number in range(len(volumes) - 1, 0, -1):
        lower = volumes[number - 1]
        updated.append(unpool(lower, votes(number, updated[-1], lower.shape[:2])))
    return updated[::-1]


def read_out(scores: Tensor, num_levels: int) -> PyramidMatches:
    """The best pixel of every patch and the best patch of every pixel block of a volume (H0, W0, H1, W1)."""
    grid, size = scores.shape[:2], scores.shape[2:]
    best, pixel = scores.flatten(2).max(dim=2)  # torch: the first of equal maxima
    rows, columns = size[0] // BLOCK, size[1] // BLOCK
    empty = torch.zeros(rows, columns, dtype=torch.int64, device=scores.device)
    if rows == 0 or columns == 0:
        return PyramidMatches(pixel, best.float(), empty, empty, empty.float(), num_levels)
    blocks = scores.flatten(0, 1)[:, : rows * BLOCK, : columns * BLOCK]
    blocks = blocks.unflatten(2, (columns, BLOCK)).unflatten(1, (rows, BLOCK))  # patch, rows, 4, columns, 4
    score, where = blocks.permute(1, 3, 0, 2, 4).flatten(2).max(dim=2)
    patch, inside = where // BLOCK**2, where % BLOCK**2
    row = torch.arange(rows, device=scores.device)[:, None] * BLOCK + inside // BLOCK
    column = torch.arange(columns, device=scores.device) * BLOCK + inside % BLOCK
    assert patch.numel() == 0 or int(patch.max()) < grid[0] * grid[1]
    return PyramidMatches(pixel, best.float(), patch, row * size[1] + column, score.float(), num_levels)


def match_pyramid(
    desc0: Tensor, desc1: Tensor, *, levels: int, min_shape: int, power: float, border: float
) -> PyramidMatches:
    """`trigpoint.kernels.match_pyramid` with every level in memory."""
    plan = plan_levels((desc0.shape[1], desc0.shape[2]), (desc1.shape[1], desc1.shape[2]), levels, min_shape, border)
    volumes = forward_levels(rectify(correlate(desc0, desc1), power), plan, power, border)
    return read_out(backward_levels(volumes)[0], len(plan))
