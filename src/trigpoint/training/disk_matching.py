"""DISK's matching as training sees it: the probability of every pair to be a mutual match, in closed form.

Each row draws a column and each column a row, from a softmax over their distances; a pair matches if both draw each
other, so its probability is the product of two. Source: Tyszkiewicz et al., NeurIPS 2020, Section 3; cvlab-epfl/disk,
its `ConsistentMatcher`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trigpoint.kernels.nearest_neighbors import to_distance


def descriptor_distances(desc0: Tensor, desc1: Tensor) -> Tensor:
    """(N, M) Euclidean distances of unit rows (N, D) and (M, D), at least 0.0014; differentiable above it."""
    return to_distance(desc0 @ desc1.T, "euclidean")


@dataclass(frozen=True)
class MatchDistribution:
    """Of the matches between two images.

    Attributes:
        affinity: (N, M) minus the inverse temperature times the distances.
    """

    affinity: Tensor

    @staticmethod
    def of_descriptors(desc0: Tensor, desc1: Tensor, inverse_temperature: float) -> "MatchDistribution":
        """Of unit rows (N, D) and (M, D)."""
        return MatchDistribution(-inverse_temperature * descriptor_distances(desc0, desc1))

    def log_probabilities(self) -> Tensor:
        """(N, M) logarithm of each pair's probability to be a match."""
        return self.affinity.log_softmax(dim=1) + self.affinity.log_softmax(dim=0)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """(K, 2) matches of one draw, sorted by the first index."""
        with torch.no_grad():
            columns, rows = (
                torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
                for logits in (self.affinity, self.affinity.T)
            )
        return mutual_pairs(columns, rows)

    def most_likely(self) -> Tensor:
        """(K, 2) matches if all draw what is likeliest, of equal ones the first."""
        return mutual_pairs(self.affinity.argmax(dim=1), self.affinity.argmax(dim=0))


def mutual_pairs(columns: Tensor, rows: Tensor) -> Tensor:
    """(K, 2) pairs that choose each other, sorted by row.

    Args:
        columns: (N,) that each row chose; `rows`: (M,) that each column chose.
    """
    index = torch.arange(len(columns), device=columns.device)
    kept = rows[columns] == index
    return torch.stack([index[kept], columns[kept]], dim=1)
