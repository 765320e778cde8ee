"""What the annotations of tensors say is checked in tests: by shape, by type, and against one another."""

# ruff: noqa: F722, F821 (dimensions are no forward references)

import subprocess
import sys

import pytest
import torch
from jaxtyping import Float32, Int64, TypeCheckError, jaxtyped
from torch import Tensor

from shape_checker import check
from trigpoint import kernels
from trigpoint.networks.disk_inference import DiskMaps
from trigpoint.networks.disk_unet import UNet, UpBlock
from trigpoint.networks.keypoints import local_maxima, strongest
from trigpoint.networks.preprocessing import pad_to_multiple


def test_fitting_tensors_pass() -> None:
    xy, scores = strongest(torch.zeros(4, 2, dtype=torch.int64), torch.arange(4.0), 3)
    assert xy.shape == (3, 2) and scores.tolist() == [3, 2, 1]
    assert UpBlock(6, 2, 5)(torch.zeros(1, 6, 3, 4), torch.zeros(1, 2, 6, 8)).shape == (1, 5, 6, 8)
    assert UNet()(torch.zeros(2, 3, 16, 32)).shape == (2, 129, 16, 32)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: local_maxima(torch.zeros(1, 5, 5), 3), "scores"),  # another rank
        (lambda: pad_to_multiple(torch.zeros(3, 4, 4, dtype=torch.uint8), 16), "image"),  # another type
        (lambda: strongest(torch.zeros(4, 3, dtype=torch.int64), torch.zeros(4), None), "xy"),  # another fixed size
        (lambda: strongest(torch.zeros(4, 2, dtype=torch.int64), torch.zeros(5), None), "scores"),  # two N
        (lambda: strongest(xy=torch.zeros(4, 2), scores=torch.zeros(4), limit=None), "xy"),  # by keyword
        (lambda: UpBlock(6, 2, 5)(torch.zeros(1, 6, 3, 4), torch.zeros(1, 2, 6, 7)), "skip"),  # arithmetic: 2*w
        (lambda: UNet()(torch.zeros(1, 4, 16, 16)), "images"),
        (lambda: DiskMaps(torch.zeros(8, 8), torch.zeros(64, 4, 4), torch.zeros(16, 8, 9), torch.zeros(80)), "skip"),
    ],
)
def test_what_does_not_fit_is_named(call, what: str) -> None:
    with pytest.raises(TypeCheckError, match=f"parameter '{what}'"):
        call()


def test_nothing_is_checked_in_production() -> None:
    """No call pays for it outside the tests, and the checker need not be installed."""
    code = (
        "import sys, torch\n"
        "from trigpoint.networks.keypoints import strongest\n"
        "print(strongest(torch.zeros(4, 2), torch.zeros(4), 2)[0].shape, 'beartype' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.Size([2, 2]) False"


@pytest.mark.parametrize(("count0", "count1"), [(7, 5), (1, 1), (0, 4)])
def test_nearest_neighbours_have_the_shapes_they_promise(count0: int, count1: int) -> None:
    @jaxtyped(typechecker=check)
    def match(
        desc0: Float32[Tensor, "N D"], desc1: Float32[Tensor, "M D"]
    ) -> tuple[Int64[Tensor, "K 2"], Float32[Tensor, "K"]]:
        found = kernels.mutual_nearest_neighbors(desc0, desc1)
        return found.indices, found.similarity

    normal = torch.nn.functional.normalize(torch.randn(count0 + count1, 8), dim=1)
    indices, _ = match(normal[:count0], normal[count0:])
    assert len(indices) <= min(count0, count1)


def test_the_pyramid_has_the_shapes_it_promises() -> None:
    @jaxtyped(typechecker=check)
    def match(desc0: Float32[Tensor, "C H0 W0"], desc1: Float32[Tensor, "C H1 W1"]) -> tuple[
        Int64[Tensor, "H0 W0"], Float32[Tensor, "H0 W0"],
        Int64[Tensor, "H1//4 W1//4"], Int64[Tensor, "H1//4 W1//4"], Float32[Tensor, "H1//4 W1//4"],
        Int64[Tensor, "K 2"],
    ]:  # fmt: skip
        found = kernels.match_pyramid(desc0, desc1)
        both = kernels.reciprocal(found)
        return (
            found.pixel_of_patch, found.score_of_patch,
            found.patch_of_block, found.pixel_of_block, found.score_of_block, both,
        )  # fmt: skip

    desc0, desc1 = (torch.nn.functional.normalize(torch.randn(4, *size), dim=0) for size in ((3, 5), (12, 20)))
    assert len(match(desc0, desc1)[-1]) > 0
