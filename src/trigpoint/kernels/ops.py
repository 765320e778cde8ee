"""The kernels as operators of torch (`torch.ops.trigpoint`): traced with fake tensors, differentiated where losses are.

Importing this module registers them. They call the public operations, so checks, backends and provenance are the same.
Gradients: `correlate_4d` and `mutual_matching` (NCNet's losses), `pool_aggregate` and `rectify` (PUMP's pyramid loss).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from trigpoint.kernels import correlation, correlation_reference, match_pyramid
from trigpoint.kernels import pyramid_reference as reference
from trigpoint.kernels.pyramid import BLOCK, Slices, children, divisor, pooled_size, shifted

Context = Any  # torch.autograd.function.FunctionCtx, whose attributes are free


@torch.library.custom_op("trigpoint::match_pyramid", mutates_args=())
def match_pyramid_op(
    desc0: Tensor,
    desc1: Tensor,
    levels: int,
    min_shape: int,
    power: float,
    border: float,
    dtype: str,
    positions: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """`trigpoint.kernels.match_pyramid`: pixel and score of patches; patch, pixel and score of blocks."""
    rules: dict[str, Any] = {"levels": levels, "min_shape": min_shape, "power": power, "border": border}
    found = match_pyramid(desc0, desc1, dtype=dtype, positions=positions, backend=backend, **rules)
    return found.pixel_of_patch, found.score_of_patch, found.patch_of_block, found.pixel_of_block, found.score_of_block


@match_pyramid_op.register_fake
def _(desc0: Tensor, desc1: Tensor, *settings: object) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grid, blocks = desc0.shape[1:], [side // BLOCK for side in desc1.shape[1:]]
    patch, block = desc0.new_empty(grid, dtype=torch.int64), desc0.new_empty(blocks, dtype=torch.int64)
    return patch, desc0.new_empty(grid), block, torch.empty_like(block), desc0.new_empty(blocks)


@torch.library.custom_op("trigpoint::correlate_4d", mutates_args=())
def correlate_4d(desc0: Tensor, desc1: Tensor, pooling: int, backend: str) -> tuple[Tensor, Tensor]:
    """`trigpoint.kernels.correlation.correlate_4d`: volume and offsets; gradients reach the pixels that won."""
    found = correlation.correlate_4d(desc0.detach(), desc1.detach(), pooling=pooling, backend=backend)
    return found.volume.contiguous(), found.offsets.contiguous()


@correlate_4d.register_fake
def _(desc0: Tensor, desc1: Tensor, pooling: int, backend: str) -> tuple[Tensor, Tensor]:
    shape = [side // pooling for side in (*desc0.shape[1:], *desc1.shape[1:])]
    return desc0.new_empty(shape), desc0.new_empty(shape, dtype=torch.uint8)


def _save_correlation(ctx: Context, inputs: tuple[Tensor, Tensor, int, str], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[0], inputs[1], output[1])
    ctx.pooling = inputs[2]
    ctx.mark_non_differentiable(output[1])


def _correlation_gradient(ctx: Context, gradient: Tensor, _offsets: Tensor | None) -> tuple[Tensor, Tensor, None, None]:
    """Offset by offset: what of the gradient went to the pixels with it, times the other side's pixels."""
    desc0, desc1, offsets = ctx.saved_tensors
    pooling = ctx.pooling
    gradient0, gradient1 = torch.zeros_like(desc0), torch.zeros_like(desc1)
    for number in range(pooling**4):
        side0, side1 = divmod(number, pooling**2)
        row0, column0 = divmod(side0, pooling)
        row1, column1 = divmod(side1, pooling)
        share = (gradient * (offsets == number)).flatten(2).flatten(0, 1)
        pixels0 = desc0[:, row0::pooling, column0::pooling]
        pixels1 = desc1[:, row1::pooling, column1::pooling]
        gradient0[:, row0::pooling, column0::pooling] += (pixels1.flatten(1) @ share.T).view_as(pixels0)
        gradient1[:, row1::pooling, column1::pooling] += (pixels0.flatten(1) @ share).view_as(pixels1)
    return gradient0, gradient1, None, None


correlate_4d.register_autograd(_correlation_gradient, setup_context=_save_correlation)


@torch.library.custom_op("trigpoint::mutual_matching", mutates_args=())
def mutual_matching(volume: Tensor, backend: str) -> Tensor:
    """`trigpoint.kernels.correlation.mutual_matching`."""
    return correlation.mutual_matching(volume.detach(), backend=backend).contiguous()


@mutual_matching.register_fake
def _(volume: Tensor, backend: str) -> Tensor:
    return volume.new_empty(volume.shape)


def _save_volume(ctx: Context, inputs: tuple[Tensor, str], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _mutual_gradient(ctx: Context, gradient: Tensor) -> tuple[Tensor, None]:
    """c^3 / (row column), row and column being a largest value each plus the floor; equal largest ones share."""
    (volume,) = ctx.saved_tensors
    matrix, outer = volume.flatten(2).flatten(0, 1), gradient.flatten(2).flatten(0, 1)
    row = matrix.amax(dim=1, keepdim=True) + correlation_reference.FLOOR
    column = matrix.amax(dim=0, keepdim=True) + correlation_reference.FLOOR
    weighted = outer * matrix**2 / (row * column)
    found = 3 * weighted
    for dimension, largest in ((1, row), (0, column)):
        is_largest = matrix == matrix.amax(dim=dimension, keepdim=True)
        loss = (weighted * matrix / largest).sum(dim=dimension, keepdim=True)
        found = found - loss * is_largest / is_largest.sum(dim=dimension, keepdim=True)
    return found.view_as(volume), None


mutual_matching.register_autograd(_mutual_gradient, setup_context=_save_volume)


@torch.library.custom_op("trigpoint::rectify", mutates_args=())
def rectify(values: Tensor, power: float) -> Tensor:
    """max(v, 0) ** power; its gradient is 0 where v <= 0, where the reference's own would be none."""
    return reference.rectify(values.detach(), power).contiguous().clone()


@rectify.register_fake
def _(values: Tensor, power: float) -> Tensor:
    return values.new_empty(values.shape)


def _save_values(ctx: Context, inputs: tuple[Tensor, float], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.power = inputs[1]


def _rectify_gradient(ctx: Context, gradient: Tensor) -> tuple[Tensor, None]:
    (values,) = ctx.saved_tensors
    slope = ctx.power * values.clamp(min=0) ** (ctx.power - 1)
    return gradient * torch.where(values > 0, slope, 0), None


rectify.register_autograd(_rectify_gradient, setup_context=_save_values)


@torch.library.custom_op("trigpoint::pool_aggregate", mutates_args=())
def pool_aggregate(level: int, border: float, lower: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """`pyramid_reference.pool_aggregate`: a level (not rectified) from the rectified level below, and its weights.

    Args:
        level: 1 and more.
        border: 0 to 1.
        lower: (A, B, P, Q) float32 or float64.
        weights: (A, B) float32 of the patches; no gradient reaches them.
    """
    return reference.pool_aggregate(level, border, lower.detach(), weights)


@pool_aggregate.register_fake
def _(level: int, border: float, lower: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    grid = [side + (level == 1) for side in lower.shape[:2]]
    return lower.new_empty([*grid, *pooled_size(lower.shape[2:])]), weights.new_empty(grid)


def _save_level(ctx: Context, inputs: tuple[int, float, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.level, ctx.border = inputs[:2]
    ctx.save_for_backward(inputs[2], inputs[3])
    ctx.mark_non_differentiable(output[1])


def _aggregate_gradient(ctx: Context, gradient: Tensor, _weights: Tensor | None) -> tuple[None, None, Tensor, None]:
    """The mean's links backwards, then the first maximum of every window."""
    lower, weights = ctx.saved_tensors
    grid, size = gradient.shape[:2], gradient.shape[2:]
    links = _links(ctx.level, grid, weights.shape, size)
    total = weights.new_zeros(grid)
    visible = weights.new_zeros((*grid, *size))
    for parents, cells, sources, _ in links:
        total[parents] += weights[sources]
        visible[(*parents, *cells)] += weights[sources][..., None, None]
    share = gradient / divisor(total[..., None, None].expand_as(visible), visible, ctx.border)
    pooled = gradient.new_zeros((*weights.shape, *size))
    for parents, cells, sources, from_cells in links:
        pooled[(*sources, *from_cells)] += weights[sources][..., None, None] * share[(*parents, *cells)]
    _, where = max_pool2d(lower.flatten(0, 1), 3, 2, 1, return_indices=True)
    maps = lower.new_zeros((where.shape[0], lower.shape[2] * lower.shape[3]))
    maps = maps.scatter_add(1, where.flatten(1), pooled.flatten(0, 1).flatten(1))
    return None, None, maps.view_as(lower), None


def _links(
    level: int, grid: Sequence[int], child_grid: Sequence[int], size: Sequence[int]
) -> list[tuple[Slices, Slices, Slices, Slices]]:
    """Of the four children: parents, their cells, the children, the cells looked up."""
    found = []
    for row, column, parents, sources in children(level, grid, child_grid):
        (to_rows, from_rows), (to_columns, from_columns) = (
            shifted(size[0], size[0], row),
            shifted(size[1], size[1], column),
        )
        found.append((parents, (to_rows, to_columns), sources, (from_rows, from_columns)))
    return found


pool_aggregate.register_autograd(_aggregate_gradient, setup_context=_save_level)
