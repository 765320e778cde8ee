"""Products within blocks, and the two nearest rows as an operation of its own."""

import pytest
import torch

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.kernels import block_products, reference, two_nearest


def test_blocks_are_multiplied_with_their_own() -> None:
    torch.manual_seed(0)
    desc0, desc1 = torch.randn(5, 4, 7), torch.randn(5, 3, 7)
    found = block_products(desc0, desc1)
    assert found.shape == (5, 4, 3)
    assert found[2, 1, 0].item() == pytest.approx((desc0[2, 1] * desc1[2, 0]).sum().item(), rel=1e-5)
    assert block_products(desc0[:0], desc1[:0]).shape == (0, 4, 3)


@pytest.mark.parametrize(
    ("shape0", "shape1", "dtype"),
    [
        ((5, 4, 7), (6, 4, 7), torch.float32),
        ((5, 4, 7), (5, 4, 8), torch.float32),
        ((4, 7), (4, 7), torch.float32),
        ((5, 4, 7), (5, 4, 7), torch.float64),
    ],
)
def test_other_shapes_and_types_are_refused(
    shape0: tuple[int, ...], shape1: tuple[int, ...], dtype: torch.dtype
) -> None:
    with pytest.raises(ShapeError):
        block_products(torch.zeros(shape0, dtype=dtype), torch.zeros(shape1, dtype=dtype))


@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
def test_two_nearest_is_the_references(backend: str) -> None:
    torch.manual_seed(0)
    desc0, desc1 = (torch.nn.functional.normalize(torch.randn(count, 16), dim=1) for count in (30, 70))
    for found, expected in zip(
        two_nearest(desc0, desc1, backend=backend), reference.two_nearest(desc0, desc1), strict=True
    ):
        assert torch.equal(found.index, expected.index)
        torch.testing.assert_close(found.best, expected.best)
        torch.testing.assert_close(found.second, expected.second)


def test_two_nearest_needs_rows_and_a_known_backend() -> None:
    with pytest.raises(ShapeError, match="expected rows in both"):
        two_nearest(torch.zeros(0, 4), torch.zeros(3, 4))
    with pytest.raises(SettingsError, match="expected one of"):
        two_nearest(torch.zeros(2, 4), torch.zeros(3, 4), backend="none")
