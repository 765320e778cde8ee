"""Convolution by oneDNN against PyTorch's choice."""

import pytest
import torch
from torch.nn import functional

from trigpoint.networks.convolution import convolve


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("side", "stride", "biased"), [(1, 1, True), (1, 2, False), (3, 1, True), (3, 2, False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_convolution(side: int, stride: int, biased: bool, threads: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 24, 9, 14, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(16, 24, side, side, generator=generator)
    bias = torch.randn(16, generator=generator) if biased else None
    given = [None if value is None else value.to(dtype) for value in (maps, weight, bias)]
    expected = functional.conv2d(maps.double(), weight.double(), bias.double() if biased else None, stride, side // 2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = convolve(*given, stride=stride, padding=side // 2)
    finally:
        torch.set_num_threads(before)
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    tolerance = 1e-4 if dtype == torch.float32 else 0.5  # values reach 40
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)
