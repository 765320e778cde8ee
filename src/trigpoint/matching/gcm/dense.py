"""Cells of two coarse maps that are nearest to each other.

Distances are squared ones, 2 - 2 a.b, and so are their ratios: 0.9 is 0.949 as Lowe counts.

Source: GCM, arXiv 2403.05388, after Efe, Ince and Alatan, "DFM", CVPR workshops 2021.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.kernels import two_nearest

RATIO_EPS = 1e-8
UNIT_EPS = 1e-12


@dataclass(frozen=True)
class CellMatches:
    """Matches of cells, row i of each array belongs to match i.

    Attributes:
        cells0: (N, 2) int64 x, y of the first map.
        cells1: (N, 2) of the second.
        similarity: (N,) float32 cosine of the two descriptors.
        ratio: (N,) float32 squared distance against that of the second best, the worse of the tested directions.
    """

    cells0: Tensor
    cells1: Tensor
    similarity: Tensor
    ratio: Tensor

    def __len__(self) -> int:
        return len(self.cells0)

    def where(self, kept: Tensor) -> "CellMatches":
        """The matches of a mask (N,)."""
        return CellMatches(self.cells0[kept], self.cells1[kept], self.similarity[kept], self.ratio[kept])


def match_dense(
    map0: Tensor,
    map1: Tensor,
    *,
    ratio: float,
    bidirectional: bool = True,
    border_cells: int = 0,
    context_cells: int = 0,
) -> CellMatches:
    """Mutual nearest cells that pass the ratio test, by index of the first map, row by row.

    Args:
        map0: (C, h0, w0) float32, of any length.
        map1: (C, h1, w1).
        ratio: largest allowed; 1 passes all.
        bidirectional: it is tested from the second map to the first, too.
        context_cells: cells are compared together with so many neighbours to each side, by the mean of their cosines;
            0: by themselves.
        border_cells: matches with an end in so many outermost rows or columns of its map are dropped.
    """
    (height0, width0), (height1, width1) = map0.shape[1:], map1.shape[1:]
    nearest0, nearest1 = two_nearest(_descriptors(map0, context_cells), _descriptors(map1, context_cells))
    index0 = torch.arange(height0 * width0, device=map0.device)
    index1 = nearest0.index
    worst = distance_ratio(nearest0.best, nearest0.second)
    if bidirectional:
        worst = torch.maximum(worst, distance_ratio(nearest1.best, nearest1.second)[index1])
    kept = (nearest1.index[index1] == index0) & (worst <= ratio)
    cells0 = torch.stack([index0 % width0, index0 // width0], dim=1)
    cells1 = torch.stack([index1 % width1, index1 // width1], dim=1)
    for cells, size in ((cells0, (width0, height0)), (cells1, (width1, height1))):
        limit = cells.new_tensor(size) - border_cells
        kept &= ((cells >= border_cells) & (cells < limit)).all(dim=1)
    return CellMatches(cells0, cells1, nearest0.best, worst).where(kept)


def _descriptors(values: Tensor, context_cells: int) -> Tensor:
    """(h * w, C) unit rows of a map (C, h, w); with neighbours (h * w, C * side^2), those beyond the border zero."""
    height, width = values.shape[1:]
    rows = unit_rows(values.flatten(1).T)
    if context_cells == 0:
        return rows
    side = 2 * context_cells + 1
    around = functional.unfold(rows.T.reshape(1, -1, height, width), side, padding=context_cells)
    return unit_rows(around[0].T)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of length 1; of length 0 where they are zero, so that they are like no other and not like all."""
    return (rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(UNIT_EPS)).contiguous()


def distance_ratio(best: Tensor, second: Tensor) -> Tensor:
    """Squared distance of the best against that of the second best, from cosines; 0 where there is no second."""
    return (2 - 2 * best) / (2 - 2 * second + RATIO_EPS)
