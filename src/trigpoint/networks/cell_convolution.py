"""The part of a 3x3 convolution with stride 2 over windows that comes from a level of coarse cells.

A window of 16 px sees at most 3x3 cells of 8 px. The products of a cell with each of the nine kernel places are made
once for the cell; what each output takes of them, and how strongly (the inverse length of the pixel's numbers), is a
sparse matrix of the window. That is a fifth of the convolution's arithmetic.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.patch2pix_windows import WindowSource, window_pixels

KERNEL_PX, STRIDE = 3, 2
PLACES = KERNEL_PX**2


class CellConvolution:
    """The convolution of one level of one image's windows, prepared.

    Args:
        weight: (O, C, 3, 3) of the level's channels.
        window_px: side of the windows, even.
        cell_px: of the level.
    """

    def __init__(self, weight: Float[Tensor, "O C 3 3"], window_px: int, cell_px: int) -> None:
        outputs, channels = weight.shape[:2]
        of_places = weight.permute(2, 3, 0, 1).reshape(PLACES * outputs, channels, 1, 1)
        self._weight = of_places.contiguous(memory_format=torch.channels_last)
        self._window_px = window_px
        self._cells = torch.arange((cell_px + window_px - 2) // cell_px + 1)  # in a row of a window
        out_px = window_px // STRIDE
        pixels = STRIDE * torch.arange(out_px)[:, None] + torch.arange(KERNEL_PX) - 1
        self._pixels = pixels.clamp(min=0)  # that an output's kernel places see, along one axis
        inside = (pixels >= 0).float()  # the window's zero padding
        self._inside = inside[:, None, :, None] * inside[:, None, :]
        self._places = torch.arange(PLACES).view(KERNEL_PX, KERNEL_PX)

    def add_to(
        self, maps: Float[Tensor, "N O h w"], source: WindowSource, level: int, xy: Float[Tensor, "N 2"]
    ) -> None:
        """Add the part to the rest of the convolution.

        Args:
            maps: channels last, changed.
            source: of the image.
            level: position of the level in it.
            xy: positions of the windows.
        """
        count, outputs, height, width = maps.shape
        lines, columns = window_pixels(source, xy, self._window_px)
        row_of, column_of = source.cells[level]
        rows, row = self._distinct(row_of, lines)
        line, column = self._distinct(column_of, columns)
        index = rows[:, :, None] * source.widths[level] + line[:, None, :]
        cells = source.rows[level][index.reshape(-1)].view(*index.shape, -1).permute(0, 3, 1, 2)
        products = functional.conv2d(cells, self._weight).permute(0, 2, 3, 1)
        cell = row[:, :, None, :, None] * len(self._cells) + column[:, None, :, None, :]
        strength = source.inverse_norms[lines[:, :, None], columns[:, None, :]]
        strength = strength[:, self._pixels[:, None, :, None], self._pixels[None, :, None, :]] * self._inside
        taken = maps.new_zeros(count, height * width, products.shape[1] * products.shape[2] * PLACES)
        flat = (count, height * width, PLACES)
        taken.scatter_(2, (cell * PLACES + self._places).view(flat), strength.view(flat))
        maps.permute(0, 2, 3, 1).view(count, -1, outputs).baddbmm_(taken, products.reshape(count, -1, outputs))

    def _distinct(self, cell_of: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3) cells along an axis, and (N, outputs, 3) which of them each kernel place sees."""
        cells = cell_of[pixels]
        first = cells[:, :1]
        return (first + self._cells).clamp_(max=int(cell_of[-1])), (cells - first)[:, self._pixels]
