"""Convolution of an enlarged map at the small map's resolution equals enlarging first."""

import pytest
import torch
from torch.nn import functional

from trigpoint.networks.enlarging import EnlargedConvolution, enlargement_taps


@pytest.mark.parametrize(("factor", "align_corners"), [(2, True), (2, False), (4, False), (3, True)])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2), (7, 40)])
@pytest.mark.parametrize("block", [5, 64])
def test_equals_enlarging_then_convolving(factor: int, align_corners: bool, size: tuple[int, int], block: int) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 6, *size, generator=generator)
    weight, scale = torch.randn(4, 6, 3, 3, generator=generator), torch.rand(6, generator=generator)
    # float64: in float32 torch rounds the positions too
    enlarged = functional.interpolate(maps.double(), scale_factor=factor, mode="bilinear", align_corners=align_corners)
    expected = functional.conv2d(enlarged * scale[:, None, None], weight.double(), padding=1)[0].permute(1, 2, 0)
    convolution = EnlargedConvolution(weight, align_corners)
    products = convolution.products(maps.contiguous(memory_format=torch.channels_last), scale)
    found = torch.ones(factor * size[0], factor * size[1], 4)
    for rows in convolution.row_blocks(size[0], factor * size[0], block, maps.device):
        convolution.add_block(found[rows[0] : rows[1]], products, rows)
    torch.testing.assert_close(found - 1, expected.float(), rtol=1e-4, atol=1e-5)


def test_weights_of_a_position_sum_to_one_inside_and_to_zero_outside() -> None:
    sums = enlargement_taps(4, 8, align_corners=True).sum(dim=1)
    assert sums[0].tolist() == [0, 1, 1] and sums[-1].tolist() == [1, 1, 0]
    torch.testing.assert_close(sums[1:-1], torch.ones(6, 3))
