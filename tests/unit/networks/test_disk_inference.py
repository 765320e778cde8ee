"""DISK's sparse inference form against its dense form."""

import pytest
import torch

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks.disk_inference import DiskInference
from trigpoint.networks.disk_unet import DiskUNet, load_disk


@pytest.fixture(scope="module")
def network() -> DiskUNet:
    torch.manual_seed(0)
    return DiskUNet().eval()


@pytest.mark.parametrize("size", [(32, 32), (16, 80), (64, 48)])
def test_logits_and_all_descriptors_equal_the_dense_form(network: DiskUNet, size: tuple[int, int]) -> None:
    height, width = size
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    inference = DiskInference(network)
    with torch.inference_mode():
        dense = network(image[None])[0]
        maps = inference.maps(image)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        descriptors = inference.descriptors(maps, torch.stack([x.flatten(), y.flatten()], dim=1))
    torch.testing.assert_close(maps.logits, dense[128], rtol=1e-4, atol=1e-5)
    expected = torch.nn.functional.normalize(dense[:128].flatten(1).T, dim=1)
    torch.testing.assert_close(descriptors, expected, rtol=0, atol=1e-5)


def test_one_pixel_at_the_lowest_level_is_normalised_to_zero(network: DiskUNet) -> None:
    """torch refuses to normalise a single pixel; a tiny photograph must pass all the same."""
    with torch.inference_mode():
        maps = DiskInference(network).maps(torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1)))
    assert torch.isfinite(maps.logits).all()


def test_bfloat16_stays_close(network: DiskUNet) -> None:
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        full = DiskInference(network).maps(image)
        half = DiskInference(network, dtype=torch.bfloat16).maps(image)
    assert half.logits.dtype == torch.float32
    spread = full.logits.std()
    assert (half.logits - full.logits).abs().mean() < 0.05 * spread


def test_no_keypoints_give_no_descriptors(network: DiskUNet) -> None:
    inference = DiskInference(network)
    with torch.inference_mode():
        found = inference.descriptors(inference.maps(torch.zeros(3, 16, 16)), torch.zeros(0, 2, dtype=torch.int64))
    assert found.shape == (0, 128)


@pytest.mark.parametrize("size", [(37, 50), (16, 33), (1, 1), (3, 70)])
def test_other_sides_pass_without_padding(network: DiskUNet, size: tuple[int, int]) -> None:
    """Logits and descriptors of the unpadded form agree with one another: the last level, computed densely."""
    height, width = size
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    inference = DiskInference(network)
    with torch.inference_mode():
        maps = inference.maps(image)
        low = torch.nn.functional.interpolate(maps.low[None], scale_factor=2, mode="bilinear")[:, :, :height, :width]
        gated = network.unet.path_up[3].conv[1](torch.cat([low, maps.skip[None]], dim=1))
        dense = network.unet.path_up[3].conv[3](gated * maps.scale[:, None, None])[0]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        descriptors = inference.descriptors(maps, torch.stack([x.flatten(), y.flatten()], dim=1))
    torch.testing.assert_close(maps.logits, dense[128], rtol=1e-4, atol=1e-5)
    expected = torch.nn.functional.normalize(dense[:128].flatten(1).T, dim=1)
    torch.testing.assert_close(descriptors, expected, rtol=0, atol=1e-5)
    if min(size) > 1:  # of the enlarged and cut map
        torch.testing.assert_close(low.mean(dim=(2, 3)), torch.zeros(1, 64), rtol=0, atol=1e-5)
        deviation = (low.var(dim=(2, 3), correction=0) + 1e-5).rsqrt()[0]
        torch.testing.assert_close(deviation, maps.scale[:64], rtol=1e-4, atol=0)


def test_sides_that_cannot_be_halved_four_times_are_refused_by_the_dense_form(network: DiskUNet) -> None:
    for shape in ((1, 3, 32, 33), (1, 1, 32, 32), (1, 3, 0, 16)):
        with pytest.raises(ShapeError, match="multiples of 16"):
            network(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"expected \(3, H, W\)"):
        DiskInference(network).maps(torch.zeros(1, 32, 32))


def test_both_sections_of_checkpoints_are_read(network: DiskUNet) -> None:
    for section in ("extractor", "disk"):
        loaded = load_disk({section: network.state_dict()}, "a.pth")
        assert torch.equal(loaded.unet.path_up[3].conv[3].weight, network.unet.path_up[3].conv[3].weight)


def test_foreign_checkpoints_are_refused(network: DiskUNet) -> None:
    with pytest.raises(WeightsError, match=r"a\.pth is no DISK checkpoint"):
        load_disk({"model": network.state_dict()}, "a.pth")
    state = dict(network.state_dict())
    state.pop("unet.path_up.3.conv.3.bias")
    with pytest.raises(WeightsError, match=r"path_up\.3\.conv\.3\.bias"):
        load_disk({"disk": state}, "a.pth")
