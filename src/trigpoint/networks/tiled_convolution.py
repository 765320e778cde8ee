"""A 3x3 convolution of 8x8 maps by Winograd's minimal filtering, F(4x4, 3x3): 36 products a tile in place of 144.

Cutting into tiles and putting together are fixed linear maps of the 64 pixels, one product each. Between them are 36
products of matrices, written as 1x1 convolutions, for which torch's library is faster than for products.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

MAP_PX = 8
TILE_PX = 4  # of outputs
TILE_IN_PX = 6
TILES = MAP_PX // TILE_PX  # in a row
# Along one axis: outputs = OUT @ ((OF_KERNEL @ kernel) * (OF_INPUTS @ inputs)).
OF_INPUTS = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OF_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class TiledConvolution:
    """The convolution with zero padding, prepared.

    Args:
        weight: (O, C, 3, 3) float32 on a processor.
        bias: (O,).
    """

    def __init__(self, weight: Float[Tensor, "O C 3 3"], bias: Float[Tensor, "O"]) -> None:
        of_inputs, out, of_kernel = (torch.tensor(rows, dtype=torch.float64) for rows in (OF_INPUTS, OUT, OF_KERNEL))
        cut = of_inputs.new_zeros(TILES, TILE_IN_PX, MAP_PX + 2)  # of the padded map
        joined = of_inputs.new_zeros(MAP_PX, TILES, TILE_IN_PX)
        for tile in range(TILES):
            start = tile * TILE_PX
            cut[tile, :, start : start + TILE_IN_PX] = of_inputs
            joined[start : start + TILE_PX, tile] = out
        cut = cut[:, :, 1:-1]
        # places in a tile first, then tiles: a place's matrix of all tiles and maps is one block of memory
        self._cut = torch.einsum("tiy,ujx->ijtuyx", cut, cut).reshape(-1, MAP_PX**2).float()
        self._joined = torch.einsum("yti,xuj->yxijtu", joined, joined).reshape(MAP_PX**2, -1).float()
        filters = torch.einsum("iy,ocyx,jx->ijoc", of_kernel, weight.double(), of_kernel)
        self._filters = filters.flatten(0, 1)[..., None, None].float()
        self._bias = bias

    def __call__(self, maps: Float[Tensor, "N C 8 8"]) -> Float[Tensor, "N O 8 8"]:
        """The convolution's output; channels are last in memory, maps second to last."""
        (count, channels), outputs = maps.shape[:2], self._filters.shape[1]
        tiles = self._cut @ maps.permute(2, 3, 0, 1).reshape(MAP_PX**2, -1)
        tiles = tiles.view(len(self._filters), count, TILES, TILES, channels)  # which tiles share an image is the same
        products = maps.new_empty(len(self._filters), count, TILES, TILES, outputs)
        for place, filters in enumerate(self._filters):
            products[place] = functional.conv2d(tiles[place].permute(0, 3, 1, 2), filters).permute(0, 2, 3, 1)
        out = (self._joined @ products.view(self._joined.shape[1], -1)).view(MAP_PX, MAP_PX, count, outputs)
        return out.add_(self._bias).permute(2, 3, 0, 1)
