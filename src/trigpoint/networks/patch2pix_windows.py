"""Windows of a pyramid round given positions: every pixel's numbers from several levels, of unit length together.

The length of a pixel's numbers depends on the pixel alone, so its inverse is computed once for an image. A window is
read by one index for every level, and pixels beyond the border repeat it.

Source: Zhou, Sattler and Leal-Taixe, "Patch2Pix", CVPR 2021, Section 3.2; levels are looked up, not interpolated.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from trigpoint.networks.resnet34 import LEVEL_STRIDES, NORM_FLOOR


@dataclass(frozen=True)
class WindowSource:
    """An image's levels as rows of channels, and the inverse length of each pixel's numbers.

    Attributes:
        rows: for each level in use (h_l * w_l, C_l), raster order.
        widths: w_l of each level.
        cells: for each level (H,) and (W,) int64: the row and the column of the cell that a pixel is in.
        inverse_norms: (H, W).
        size: (width, height) of the network's image.
    """

    rows: tuple[Tensor, ...]
    widths: tuple[int, ...]
    cells: tuple[tuple[Tensor, Tensor], ...]
    inverse_norms: Float32[Tensor, "H W"]
    size: tuple[int, int]

    @property
    def num_bytes(self) -> int:
        """Of all tensors."""
        tensors = [*self.rows, self.inverse_norms]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def window_source(levels: list[Tensor], feat_idx: tuple[int, ...]) -> WindowSource:
    """What windows are read from.

    Args:
        levels: (1, C_l, h_l, w_l) of the pyramid, level 0 the image.
        feat_idx: levels in use.
    """
    height, width = levels[0].shape[2:]
    rows, cells = [], []
    squares = levels[0].new_zeros(height, width)
    for level in feat_idx:
        maps, stride = levels[level][0], LEVEL_STRIDES[level]
        row_of, column_of = (_cells(side, stride, maps.device) for side in (height, width))
        rows.append(maps.permute(1, 2, 0).reshape(-1, maps.shape[0]))
        cells.append((row_of, column_of))
        squares += maps.square().sum(dim=0)[row_of[:, None], column_of]
    widths = tuple(levels[level].shape[3] for level in feat_idx)
    return WindowSource(tuple(rows), widths, tuple(cells), torch.rsqrt(squares + NORM_FLOOR), (width, height))


def window_pixels(source: WindowSource, xy: Float[Tensor, "N 2"], window_px: int) -> tuple[Tensor, Tensor]:
    """(N, window_px) rows and columns of the image that windows show.

    Args:
        source: of the image.
        xy: pixels; parts of a pixel are cut off. A window reaches `window_px // 2` to the left and above.
        window_px: side.
    """
    width, height = source.size
    seen = xy.long()[:, :, None] + (torch.arange(window_px, device=xy.device) - window_px // 2)
    return seen[:, 1].clamp(0, height - 1), seen[:, 0].clamp(0, width - 1)


def read_windows(
    source: WindowSource, xy: Float[Tensor, "N 2"], window_px: int, out: Tensor, num_levels: int | None = None
) -> None:
    """Write the windows round positions.

    Args:
        source: of the image.
        xy: see `window_pixels`.
        window_px: side.
        out: (N, window_px, window_px, C), written; C the channels of the levels.
        num_levels: so many of the source's levels, the first; None: all. Lengths are those of all in any case.
    """
    lines, columns = window_pixels(source, xy, window_px)
    first = 0
    for level, rows in enumerate(source.rows[:num_levels]):
        row_of, column_of = source.cells[level]
        index = (row_of[lines] * source.widths[level])[:, :, None] + column_of[columns][:, None, :]
        last = first + rows.shape[1]
        out[..., first:last] = rows[index.reshape(-1)].view(*index.shape, -1)
        first = last
    out *= source.inverse_norms[lines[:, :, None], columns[:, None, :]][..., None]


def _cells(side: int, stride: int, device: torch.device) -> Int64[Tensor, "side"]:
    """Cell of each pixel; those of an incomplete last cell belong to the one before."""
    return (torch.arange(side, device=device) // stride).clamp_(max=max(side // stride - 1, 0))
