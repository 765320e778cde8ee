"""NCNet's dense correlation, 4D pooling and soft mutual filter in plain torch: the truth, and what gradients pass."""

import torch
from torch import Tensor

FLOOR = 1e-5  # added to both maxima of the mutual filter


def pool(volume: Tensor, pooling: int) -> tuple[Tensor, Tensor]:
    """The largest of `pooling` ** 4 values, and which: rows and columns of side 0, then of side 1, the last fastest.

    Args:
        volume: (H0, W0, H1, W1), sides divisible by `pooling`.

    Returns:
        (H0 / p, W0 / p, H1 / p, W1 / p) and uint8 of that shape; of equal values the first.
    """
    parts = volume
    for dimension in range(4):
        parts = parts.unflatten(2 * dimension, (-1, pooling))
    inside = parts.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)
    values, offsets = inside.max(dim=4)  # torch: the first of equal maxima
    return values, offsets.to(torch.uint8)


def mutual_matching(volume: Tensor) -> Tensor:
    """c * (c / (largest over side 1 + floor)) * (c / (largest over side 0 + floor)), the bracket first."""
    matrix = volume.flatten(2).flatten(0, 1)
    row, column = matrix.amax(dim=1, keepdim=True) + FLOOR, matrix.amax(dim=0, keepdim=True) + FLOOR
    return (matrix * ((matrix / row) * (matrix / column))).view_as(volume)
