"""PUMP's network: checkpoints it takes, shapes it refuses, and that the folded form is the same function."""

import pytest
import torch

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks.pump_inference import PumpInference, patch_descriptors, pixel_descriptors
from trigpoint.networks.pump_net import PumpNet, load_pump, preprocess


@pytest.fixture(scope="module")
def network() -> PumpNet:
    """Random weights, and norms that do something."""
    torch.manual_seed(0)
    network = PumpNet()
    for name, value in network.state_dict().items():
        if value.ndim == 1:
            value.uniform_(0.5, 1.5) if name.endswith(("var", "weight")) else value.normal_(0, 0.3)
    return network.eval()


def test_names_and_sizes_are_the_official_ones(network: PumpNet) -> None:
    state = network.state_dict()
    assert len(state) == 114 and sum(value.numel() for value in network.parameters()) == 3_469_568
    assert state["30.fn.0.weight"].shape == (512, 1, 9, 9) and state["34.weight"].shape == (512, 512, 1, 1)


@pytest.mark.parametrize("size", [(4, 4), (17, 30), (8, 23)])
@torch.inference_mode()
def test_folded_form_is_the_same_function(network: PumpNet, size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    dense = network(preprocess(images))
    assert dense.shape == (2, 128, size[0] // 4 * 4, size[1] // 4 * 4)
    half_maps = PumpInference(network).half_maps(images)
    for image in range(2):
        torch.testing.assert_close(pixel_descriptors(half_maps[image]), dense[image], rtol=0, atol=1e-5)
        torch.testing.assert_close(patch_descriptors(half_maps[image]), dense[image, :, 2::4, 2::4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 3, 8), (1, 4, 8, 8), (3, 8, 8)])
def test_images_the_network_cannot_take_are_refused(network: PumpNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected \(B, 3, H, W\)"):
        network(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"expected \(B, 3, H, W\)"):
        PumpInference(network).half_maps(torch.zeros(shape, dtype=torch.uint8))


def test_flat_and_wrapped_checkpoints_load(network: PumpNet) -> None:
    state = network.state_dict()
    for content in (state, {"model": state, "epoch": 3, "optimizer": {}}):
        torch.testing.assert_close(load_pump(content, "x").state_dict(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("34.bias"), "no '34.bias'"),
        (lambda state: state.update({"35.weight": torch.zeros(1)}), "unknown '35.weight'"),
        (lambda state: state.update({"3.bias": torch.zeros(511)}), r"'3.bias' is \(511,\).*needs \(512,\)"),
        (lambda state: state.update({"3.bias": torch.full((512,), torch.nan)}), "'3.bias'.*not finite"),
        (lambda state: state.update({"model": 3}), "section 'model' is a int"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_in_one_line(network: PumpNet, change: object, message: str) -> None:
    state = dict(network.state_dict())
    change(state)  # type: ignore[operator]
    with pytest.raises(WeightsError, match=message) as error:
        load_pump(state, "x.pt")
    assert "\n" not in str(error.value)
