"""Windows of a pyramid round given positions: every pixel's numbers from several levels, of unit length together.

The length of a pixel's numbers depends on the pixel alone, so its inverse is computed once for an image. A window is
read by one index for every level, and pixels beyond the border repeat it.

Source: Zhou, Sattler and Leal-Taixe, "Patch2Pix", CVPR 2021, Section 3.2; levels are looked up, not interpolated.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from trigpoint.networks.resnet34 import LEVEL_CHANNELS, LEVEL_STRIDES, NORM_FLOOR


@dataclass(frozen=True)
class WindowSource:
    """An image's levels as rows of channels, and the inverse length of each pixel's numbers.

    Attributes:
        rows: for each level in use (h_l * w_l, C_l), raster order.
        cells: for each level (H,) and (W,) int64: the row's and the column's cell that a pixel is in.
        inverse_norms: (H, W).
        size: (width, height) of the network's image.
    """

    rows: tuple[Tensor, ...]
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
    cells = [
        (row_of * levels[level].shape[3], column_of) for (row_of, column_of), level in zip(cells, feat_idx, strict=True)
    ]
    return WindowSource(tuple(rows), tuple(cells), torch.rsqrt(squares + NORM_FLOOR), (width, height))


def read_windows(
    source: WindowSource, xy: Float[Tensor, "N 2"] | Int64[Tensor, "N 2"], window_px: int, out: Tensor
) -> None:
    """Write the windows round positions.

    Args:
        source: of the image.
        xy: pixels; parts of a pixel are cut off. A window reaches `window_px // 2` to the left and above.
        window_px: side.
        out: (N, window_px, window_px, C), written; C the channels of all levels in use.
    """
    width, height = source.size
    offsets = torch.arange(window_px, device=xy.device) - window_px // 2
    corner = xy.long()
    columns = (corner[:, :1] + offsets).clamp_(0, width - 1)
    lines = (corner[:, 1:] + offsets).clamp_(0, height - 1)
    first = 0
    for rows, (row_of, column_of) in zip(source.rows, source.cells, strict=True):
        index = row_of[lines][:, :, None] + column_of[columns][:, None, :]
        last = first + rows.shape[1]
        out[..., first:last] = rows[index.reshape(-1)].view(*index.shape, -1)
        first = last
    pixel = lines[:, :, None] * width + columns[:, None, :]
    out *= source.inverse_norms.view(-1)[pixel][..., None]


def window_channels(feat_idx: tuple[int, ...]) -> int:
    """Numbers of a pixel of a window."""
    return sum(LEVEL_CHANNELS[level] for level in feat_idx)


def _cells(side: int, stride: int, device: torch.device) -> Int64[Tensor, "side"]:
    """Cell of each pixel; those of an incomplete last cell belong to the one before."""
    return (torch.arange(side, device=device) // stride).clamp_(max=max(side // stride - 1, 0))
