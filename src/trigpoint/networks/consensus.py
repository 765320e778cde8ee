"""NCNet's neighbourhood consensus: two 4D convolutions over all pairs of cells, in both orders of the images.

Each convolution is a 3D one with the first kernel axis folded away: into the input channels of the first layer, which
has one, and into the output channels of the second, whose three parts are then added with a shift. A few rows of image
0 are worked on at a time, so that the 16 channels between the layers never exist for the whole volume.

Source: Rocco, Cimpoi, Arandjelovic, Torii, Pajdla and Sivic, "Neighbourhood Consensus Networks", NeurIPS 2018; weights
as in Patch2Pix's checkpoints, whose first axis is the first of the four kernel axes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 16
KERNEL = 3
ROW_BYTES_AT_ONCE = {"cpu": 48 << 20, "cuda": 1 << 30}  # of the channels between the layers


class Conv4d(nn.Module):
    """Weights of a 4D convolution: (first kernel axis, outputs, inputs, the three other kernel axes)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        scale = (inputs * KERNEL**4) ** -0.5
        self.weight = nn.Parameter(scale * torch.randn(KERNEL, outputs, inputs, KERNEL, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def oriented(self, swapped: bool) -> Tensor:
        """The weights, or those that do on a volume what these do on the volume with its sides exchanged."""
        return self.weight.permute(4, 1, 2, 5, 0, 3) if swapped else self.weight


class NeighbourhoodConsensus(nn.Module):
    """`g(x) + g(x^T)^T`: g the two convolutions, each with a ReLU; ^T exchanges the two images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ModuleDict({"0": Conv4d(1, CHANNELS), "2": Conv4d(CHANNELS, 1)})  # ReLUs are 1 and 3

    def forward(self, volume: Float[Tensor, "h0 w0 h1 w1"]) -> Float[Tensor, "h0 w0 h1 w1"]:
        """A score for every pair of cells, not negative."""
        return self.directed(volume, swapped=False) + self.directed(volume, swapped=True)

    def directed(self, volume: Float[Tensor, "h0 w0 h1 w1"], *, swapped: bool) -> Float[Tensor, "h0 w0 h1 w1"]:
        """`g(x)`, or `g(x^T)^T`."""
        second = self._layer("2")
        folded = second.oriented(swapped).flatten(0, 1).contiguous(memory_format=torch.channels_last_3d)
        height = volume.shape[0]
        out = second.bias.expand(volume.shape).clone()
        row_bytes = CHANNELS * volume[0].numel() * volume.element_size()
        rows = max(1, ROW_BYTES_AT_ONCE.get(volume.device.type, 0) // max(1, row_bytes))
        for first in range(0, height, rows):
            last = min(first + rows, height)
            hidden = self.hidden(volume, first, last, swapped=swapped)
            parts = functional.conv3d(hidden, folded, padding=KERNEL // 2)
            for tap in range(KERNEL):  # row r takes tap t of row r + t - 1
                shift = 1 - tap
                start, stop = max(first + shift, 0), min(last + shift, height)
                out[start:stop] += parts[start - shift - first : stop - shift - first, tap]
        return out.relu_()

    def hidden(self, volume: Float[Tensor, "h0 w0 h1 w1"], first: int, last: int, *, swapped: bool) -> Tensor:
        """(last - first, 16, w0, h1, w1): the first layer's output for some rows of image 0."""
        layer = self._layer("0")
        weight = layer.oriented(swapped).permute(1, 2, 0, 3, 4, 5).flatten(1, 2)
        height = volume.shape[0]
        above, below = int(first == 0), int(last == height)
        taken = volume[first - 1 + above : last + 1 - below]
        padded = functional.pad(taken, (0, 0, 0, 0, 0, 0, above, below)) if above or below else taken
        neighbours = torch.stack([padded[tap : tap + last - first] for tap in range(KERNEL)], dim=1)
        maps = functional.conv3d(
            neighbours.contiguous(memory_format=torch.channels_last_3d),
            weight.contiguous(memory_format=torch.channels_last_3d),
            layer.bias,
            padding=KERNEL // 2,
        )
        return maps.relu_()

    def _layer(self, name: str) -> Conv4d:
        layer = self.conv[name]
        assert isinstance(layer, Conv4d)
        return layer
