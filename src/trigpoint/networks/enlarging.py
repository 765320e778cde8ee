"""3x3 convolution of a bilinearly enlarged map, computed at the small map's resolution.

Both steps are linear: each of the nine taps is applied to the small map (a matrix product), and the nine results are
enlarged, moved by the tap's offset and added. The products thus run over the small map's pixels only: 4 times fewer of
them for a twofold enlargement, 16 times for a fourfold one. Exact up to rounding, borders included: the enlargement
clamps, and the convolution sees zeros beyond the enlarged map.

Maps here are (H, W, C), channels last.
"""

from functools import lru_cache

import torch
from torch import Tensor

from trigpoint.networks.convolution import convolve

TAPS = 3
BLOCK = 32  # enlarged columns that one product computes; its band of small ones is the matrix' inner side


def enlargement_taps(small: int, large: int, align_corners: bool) -> Tensor:
    """(large, small, 3): weight of small position j in enlarged position i + tap - 1, zero where that is outside."""
    position = torch.arange(large, dtype=torch.float64)
    if align_corners:
        position = position * ((small - 1) / max(large - 1, 1))
    else:
        position = ((position + 0.5) * (small / large) - 0.5).clamp(min=0)
    left = position.floor().clamp(max=small - 1).long()
    fraction = position - left
    weights = torch.zeros(large + 2, small, dtype=torch.float64)
    rows = torch.arange(large)
    weights[rows + 1, left] += 1 - fraction
    weights[rows + 1, (left + 1).clamp(max=small - 1)] += fraction
    return torch.stack([weights[tap : tap + large] for tap in range(TAPS)], dim=2).float()


class Band:
    """The rows of an enlargement cut into blocks, each with the few small positions that it depends on.

    Attributes:
        blocks: (first, last, first small, last small, weights (last - first, small ones, 3)).
    """

    def __init__(self, small: int, large: int, align_corners: bool, block: int, device: torch.device) -> None:
        weights = enlargement_taps(small, large, align_corners)
        self.blocks: list[tuple[int, int, int, int, Tensor]] = []
        for first in range(0, large, block):
            last = min(first + block, large)
            used = weights[first:last].abs().sum(dim=(0, 2)).nonzero().flatten()
            low, high = int(used[0]), int(used[-1]) + 1
            self.blocks.append((first, last, low, high, weights[first:last, low:high].to(device)))


@lru_cache(maxsize=16)
def band(small: int, large: int, align_corners: bool, block: int, device: torch.device) -> Band:
    """A `Band`, kept for the next image of the same size."""
    return Band(small, large, align_corners, block, device)


class EnlargedConvolution:
    """The convolution's weights as three 1x1 convolutions, one for each row of taps.

    Args:
        weight: (C, C0, 3, 3).
        align_corners: of the enlargement.
    """

    def __init__(self, weight: Tensor, align_corners: bool) -> None:
        self._align = align_corners
        self.channels = weight.shape[0]
        self.rows = [
            weight[:, :, row].permute(2, 0, 1).reshape(TAPS * self.channels, -1)[:, :, None, None].contiguous()
            for row in range(TAPS)
        ]

    def products(self, maps: Tensor, scale: Tensor | None = None) -> list[Tensor]:
        """The taps' results, one (h, 3 w, C) for each row of taps; columns of taps beside each other.

        Args:
            maps: (1, C0, h, w).
            scale: (C0,) multiplies the input channels; it is put on the weights.
        """
        height, width = maps.shape[2:]
        results = []
        for weight in self.rows:
            scaled = weight if scale is None else weight * scale[:, None, None]
            taps = convolve(maps, scaled.contiguous(memory_format=torch.channels_last))
            results.append(taps.permute(0, 2, 3, 1).reshape(height, TAPS * width, self.channels))
        return results

    def add_block(self, target: Tensor, products: list[Tensor], block: tuple[int, int, int, int, Tensor]) -> None:
        """Add the convolved enlarged map's rows of one block of `band` to `target` (rows, W, C)."""
        first, last, low, high, weights = block
        width, large = products[0].shape[1] // TAPS, target.shape[1]
        # rows before columns: one large product, and nothing is kept at the enlarged width but the target
        near = torch.cat([taps[low:high].flatten(1) for taps in products])
        rows = (weights.permute(0, 2, 1).flatten(1).to(target.dtype) @ near).view(last - first, -1, self.channels)
        for left, right, low_x, high_x, weights_x in band(width, large, self._align, BLOCK, target.device).blocks:
            matrix = weights_x.flatten(1).to(target.dtype).expand(last - first, -1, -1)
            target[:, left:right].baddbmm_(matrix, rows[:, TAPS * low_x : TAPS * high_x])

    def row_blocks(
        self, small: int, large: int, block: int, device: torch.device
    ) -> list[tuple[int, int, int, int, Tensor]]:
        """Blocks of rows for `add_block`."""
        return band(small, large, self._align, block, device).blocks
