"""The operations in a few lines of torch each: the truth that every other backend must equal."""

from torch import Tensor

from trigpoint.kernels.nearest_neighbors import TwoNearest


def two_nearest(desc0: Tensor, desc1: Tensor) -> tuple[TwoNearest, TwoNearest]:
    """The two largest dot products of every row with the rows of the other matrix, in both directions.

    Args:
        desc0: (N, D) float32.
        desc1: (M, D) float32.
    """
    products = desc0 @ desc1.T
    return _two_largest(products), _two_largest(products.T)


def _two_largest(products: Tensor) -> TwoNearest:
    best, index = products.max(dim=1)  # torch: the first of equal maxima
    others = products.scatter(1, index[:, None], float("-inf"))
    return TwoNearest(index, best, others.amax(dim=1))
