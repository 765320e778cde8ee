"""Matches of coarse cells handed down to cells half the size.

A match of two coarse cells allows 16 pairs of their four finer cells each; at most two of them remain. Since matches of
the level above are one to one and blocks are disjoint, no fine cell is matched twice.

Departures from the release, off under `legacy`: the ratio of the way back is that of the partner, not of the cell of
the same number; fewer than four survivors are not replaced by the corners of all blocks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trigpoint.kernels import block_products
from trigpoint.matching.gcm.dense import CellMatches, distance_ratio, unit_rows

OFFSETS = ((0, 0), (0, 1), (1, 0), (1, 1))  # x, y of the four finer cells in this order
ALL_PASS = -1.0  # as ratio: neither mutual nor below any ratio
MAX_CHILDREN = 2
LEAST_MATCHES = 4  # of the release: with fewer it gives up and returns corners
MASKED_DISTANCE = 5.0  # above the largest, 4
PARENTS_AT_ONCE = 1 << 14  # 2 * 4 * 128 floats each: 64 MiB
Sampler = Callable[[Tensor], Tensor]  # (N, 2) int64 cells x, y -> (N, C) float32 descriptors of any length


def refine(
    parents: CellMatches,
    sample0: Sampler,
    sample1: Sampler,
    *,
    ratio: float,
    bidirectional: bool = True,
    legacy: bool = False,
) -> CellMatches:
    """Matches of finer cells; children of a match in the order of their offsets, matches in the order given.

    Args:
        parents: on maps of half the size.
        sample0: descriptors of the first finer map.
        sample1: of the second.
        ratio: to be stayed below, of squared distances; -1 switches the mutual test off, too.
        bidirectional: it is tested from the second map to the first, too.
        legacy: as the release, mistakes included.
    """
    if len(parents) == 0:
        return parents
    count = len(parents)
    parts = [
        _refine_some(parents.where(chosen), sample0, sample1, ratio, bidirectional, legacy)
        for chosen in torch.arange(count, device=parents.cells0.device).split(PARENTS_AT_ONCE)
    ]
    columns = zip(*((part.cells0, part.cells1, part.similarity, part.ratio) for part in parts), strict=True)
    children = CellMatches(*(torch.cat(column) for column in columns))
    if legacy and len(children) < min(LEAST_MATCHES, count):
        return CellMatches(2 * parents.cells0, 2 * parents.cells1, parents.similarity, parents.ratio)
    return children


def _refine_some(
    parents: CellMatches, sample0: Sampler, sample1: Sampler, ratio: float, bidirectional: bool, legacy: bool
) -> CellMatches:
    offsets = parents.cells0.new_tensor(OFFSETS)
    blocks0, blocks1 = (2 * cells[:, None] + offsets for cells in (parents.cells0, parents.cells1))  # (N, 4, 2)
    desc0, desc1 = (
        unit_rows(sample(blocks.flatten(0, 1))).unflatten(0, (len(parents), len(OFFSETS)))
        for sample, blocks in ((sample0, blocks0), (sample1, blocks1))
    )
    products = block_products(desc0, desc1)  # (N, 4, 4)
    best, partner, ratio0 = _nearest(products)
    _, way_back, ratio1 = _nearest(products.transpose(1, 2))
    worst = ratio0
    if bidirectional:
        worst = torch.maximum(ratio0, ratio1 if legacy else ratio1.gather(1, partner))
    if ratio == ALL_PASS:
        kept = torch.ones_like(worst, dtype=torch.bool)
    else:
        own = torch.arange(len(OFFSETS), device=partner.device)
        kept = (way_back.gather(1, partner) == own) & (worst < ratio)
    kept = _nearest_children(kept, 2 - 2 * best)
    chosen1 = blocks1.gather(1, partner[:, :, None].expand(-1, -1, 2))
    return CellMatches(blocks0[kept], chosen1[kept], best[kept], worst[kept])


def _nearest(products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 4, 4) to largest product, its index and the ratio of distances, each (N, 4), over the last axis."""
    best, first = products.max(dim=2)  # the first of equal ones; topk does not promise that
    second = products.topk(2, dim=2).values[:, :, 1]
    return best, first, distance_ratio(best, second)


def _nearest_children(kept: Tensor, distances: Tensor) -> Tensor:
    """A mask (N, 4) with at most two of each row left, the nearest."""
    masked = torch.where(kept, distances, MASKED_DISTANCE)
    order = torch.argsort(masked, dim=1, stable=True)
    return kept & torch.zeros_like(kept).scatter(1, order[:, :MAX_CHILDREN], True)
