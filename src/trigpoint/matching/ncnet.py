"""From NCNet's scores of all pairs of cells to matches, and from these to the proposals that regressors get.

A match is the best cell of the other image, by the share of its score in the sum of exponentials over all cells; that
needs the largest score and one sum, no volume of shares.

Source: Rocco et al., "Neighbourhood Consensus Networks", NeurIPS 2018; Zhou, Sattler and Leal-Taixe, "Patch2Pix", CVPR
2021, whose filters these are.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.kernels.correlation import Correlation

CHUNK_BYTES = 1 << 25  # of exponentials at once


@dataclass(frozen=True)
class CellMatches:
    """Matches of cells.

    Attributes:
        cells: (N, 4) int64: column and row in image 0, column and row in image 1.
        scores: (N,) float32, at most 1.
        mutual: (N,) bool, whether both images found the match.
    """

    cells: Tensor
    scores: Tensor
    mutual: Tensor

    def at(self, rows: Tensor) -> "CellMatches":
        """Some of them: a mask, or numbers of rows."""
        return CellMatches(self.cells[rows], self.scores[rows], self.mutual[rows])

    def __len__(self) -> int:
        return len(self.cells)


def best_of_both_sides(scores: Correlation) -> CellMatches:
    """One match for each cell of image 1, then one for each cell of image 0, as the release lists them.

    Args:
        scores: the volume after the last filter, with the offsets of the pooling.
    """
    height0, width0, height1, width1 = scores.volume.shape
    matrix = scores.volume.reshape(height0 * width0, height1 * width1)
    shares1, partners0 = _largest_shares(matrix.T)
    shares0, partners1 = _largest_shares(matrix)
    all0, all1 = (torch.arange(count, device=matrix.device) for count in matrix.shape)
    of0, of1 = torch.cat([partners0, all0]), torch.cat([all1, partners1])
    mutual = torch.cat([partners1[partners0] == all1, partners0[partners1] == all0])
    offset = scores.offsets.view(matrix.shape)[of0, of1].long()
    columns = []
    p = scores.pooling
    for cell, width, inside in ((of0, width0, offset // p**2), (of1, width1, offset % p**2)):
        columns += [cell % width * p + inside % p, cell // width * p + inside // p]
    return CellMatches(torch.stack(columns, dim=1), torch.cat([shares1, shares0]), mutual)


def _largest_shares(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of the softmax of each row of (N, M), and its column; of equal ones the first."""
    rows = max(1, CHUNK_BYTES // (matrix.shape[1] * matrix.element_size()))
    shares, columns = [], []
    for first in range(0, len(matrix), rows):
        part = matrix[first : first + rows]
        largest, column = part.max(dim=1)
        shares.append(1 / (part - largest[:, None]).exp_().sum(dim=1))
        columns.append(column)
    return torch.cat(shares), torch.cat(columns)


def each_once(found: CellMatches) -> CellMatches:
    """Matches that both sides list are kept as image 1's; sorted by columns and rows of image 0, then of image 1."""
    num_first = int(found.mutual.sum()) // 2 if len(found) else 0
    order = _lexicographic(found.cells)
    cells = found.cells[order]
    repeated = torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
    repeated[1:] = (cells[1:] == cells[:-1]).all(dim=1)
    kept = found.at(order[~repeated])
    assert len(found) - len(kept) == num_first  # only mutual matches are listed twice
    return kept


def select(found: CellMatches, *, mutual: bool, threshold: float, legacy: bool = False) -> CellMatches:
    """The matches that survive the coarse stage.

    Args:
        found: of `best_of_both_sides`.
        mutual: keep those only that both sides found.
        threshold: keep scores above it.
        legacy: a filter that would leave nothing is passed over, as in the release.

    Returns:
        In the order of `each_once`; under `legacy`, where nothing is mutual, as they were found.
    """
    kept = each_once(found)
    if mutual:
        kept = kept.at(kept.mutual)
        if legacy and len(kept) == 0:
            kept = found
    above = kept.at(kept.scores > threshold)
    return kept if legacy and len(above) == 0 else above


def draw(num_matches: int, count: int, generator: np.random.RandomState) -> NDArray[np.int64]:
    """Exactly `count` rows of so many, shuffled and repeated where they are fewer; (4,) zeros if there is none.

    Source: as training in the release fills its batches.
    """
    if num_matches == 0:
        return np.zeros(4, dtype=np.int64)
    rows = np.arange(num_matches)
    generator.shuffle(rows)
    return np.tile(rows, -(-count // num_matches))[:count]


def expand(matches: Tensor, pshift: int) -> Tensor:
    """(8 N, 4) proposals round matches (N, 4): moved by `pshift` px to the four diagonals, in one image at a time."""
    diagonal = matches.new_tensor([(-1, -1), (1, -1), (-1, 1), (1, 1)]) * pshift
    shifts = matches.new_zeros(8, 4)
    shifts[:4, :2], shifts[4:, 2:] = diagonal, diagonal
    return (matches[:, None] + shifts).flatten(0, 1)


def _lexicographic(rows: Tensor) -> Tensor:
    """The stable order of rows (N, D) by their first number, then the second, and so on."""
    order = torch.arange(len(rows), device=rows.device)
    for column in reversed(range(rows.shape[1])):
        order = order[torch.argsort(rows[order, column], stable=True)]
    return order
