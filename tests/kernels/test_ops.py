"""The operators of torch: registered as torch wants them, with right gradients."""

import pytest
import torch
from torch import Tensor

from trigpoint.kernels import correlation_reference, match_pyramid, ops, pyramid_reference
from trigpoint.kernels.correlation import correlate_4d

RULES = (99, 5, 1.5, 0.9, "float32", "auto", "auto")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def leaf(tensor: Tensor) -> Tensor:
    return tensor.clone().requires_grad_()


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (ops.match_pyramid_op, (normal(4, 2, 3), normal(4, 9, 8, seed=1), *RULES)),
        (ops.correlate_4d, (leaf(normal(3, 4, 2)), leaf(normal(3, 2, 6, seed=1)), 2, "auto")),
        (ops.correlate_4d, (leaf(normal(3, 2, 2)), normal(3, 1, 3, seed=1), 1, "reference")),
        (ops.mutual_matching, (leaf(normal(2, 3, 2, 2)), "auto")),
        (ops.rectify, (leaf(normal(5, 7)), 1.5)),
        (ops.pool_aggregate, (1, 0.9, leaf(normal(2, 3, 5, 6)), torch.ones(2, 3))),
        (ops.pool_aggregate, (2, 0.9, leaf(normal(3, 3, 4, 6)), normal(3, 3).abs())),
    ],
)
def test_operators_are_registered_rightly(operator: object, arguments: tuple[object, ...]) -> None:
    torch.library.opcheck(operator, arguments)


def test_operator_and_function_match_alike() -> None:
    desc0, desc1 = normal(8, 3, 4), normal(8, 17, 12, seed=1)
    found = torch.ops.trigpoint.match_pyramid(desc0, desc1, *RULES)
    expected = match_pyramid(desc0, desc1)
    for one, name in zip(found, ("pixel_of_patch", "score_of_patch", "patch_of_block", "pixel_of_block"), strict=False):
        assert torch.equal(one, getattr(expected, name))


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_gradient_of_rectify(power: float) -> None:
    values = leaf(normal(40, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda tensor: ops.rectify(tensor, power), values)
    at_zero = leaf(torch.zeros(3))
    ops.rectify(at_zero, power).sum().backward()
    assert at_zero.grad is not None and at_zero.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("border", [0.0, 0.9])
def test_gradient_of_a_level(level: int, border: float) -> None:
    lower, weights = leaf(normal(3, 4, 5, 6, dtype=torch.float64)), normal(3, 4, seed=1).abs()
    assert torch.autograd.gradcheck(
        lambda tensor: ops.pool_aggregate(level, border, tensor, weights)[0], lower, fast_mode=True
    )


def test_gradient_of_the_pyramid_equals_autograds_own() -> None:
    """Of all but rectification, whose own gradient at 0 is no number."""
    ours, own = (leaf(normal(3, 4, 9, 8, dtype=torch.float64).abs()) for _ in range(2))
    weights = torch.ones(3, 4)
    ops.pool_aggregate(1, 0.9, ours, weights)[0].square().sum().backward()
    pyramid_reference.pool_aggregate(1, 0.9, own, weights)[0].square().sum().backward()
    torch.testing.assert_close(ours.grad, own.grad)


@pytest.mark.parametrize("pooling", [1, 2])
def test_gradient_of_correlation_and_filter_equals_autograds_own(pooling: int) -> None:
    """The operators compute with the compiled backend where it is there, autograd with the reference."""
    desc0, desc1 = normal(5, 4, 6), normal(5, 8, 2, seed=1)
    ours, own = [leaf(desc0), leaf(desc1)], [leaf(desc0), leaf(desc1)]
    volume, _ = ops.correlate_4d(*ours, pooling, "auto")
    ops.mutual_matching(volume, "auto").square().sum().backward()
    expected = correlate_4d(*own, pooling=pooling, backend="reference").volume
    correlation_reference.mutual_matching(expected).square().sum().backward()
    for one, other in zip(ours, own, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)
