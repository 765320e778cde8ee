"""PoSFeat's inference form equals its plain networks."""

import pytest
import torch

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks import posfeat_detection
from trigpoint.networks.posfeat_detection import DetectionInference
from trigpoint.networks.posfeat_inference import DescriptionInference, sample_descriptors
from trigpoint.networks.posfeat_net import DescriptionMaps, KeypointDet, ResUNet, load_posfeat


@pytest.fixture(scope="module")
def networks() -> tuple[ResUNet, KeypointDet]:
    """Random weights, and statistics of batch normalisation that are not those of a new network."""
    torch.manual_seed(0)
    backbone, head = ResUNet(), KeypointDet()
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low, high in ((module.running_mean, -0.1, 0.1), (module.running_var, 0.5, 1.5)):
                assert values is not None
                values.uniform_(low, high)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    with torch.no_grad():
        head.relu.weight.fill_(0.3)
    return backbone.eval(), head.eval()


@pytest.mark.parametrize("size", [(16, 16), (16, 48), (64, 32)])
@torch.inference_mode()
def test_maps_and_scores_equal_the_plain_form(networks: tuple[ResUNet, KeypointDet], size: tuple[int, int]) -> None:
    backbone, head = networks
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(1))
    expected = backbone(image[None])
    maps = DescriptionInference(backbone).maps(image)
    torch.testing.assert_close(maps.local, expected.local, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps.small, expected.small, rtol=1e-4, atol=1e-5)
    found = DetectionInference(head).scores(maps, image)
    plain = head(DescriptionMaps(maps.local, expected.coarse, maps.small), image[None])[0, 0]
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_scores_do_not_depend_on_what_is_stored(
    networks: tuple[ResUNet, KeypointDet], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.randn(3, 48, 80, generator=torch.Generator().manual_seed(3))
    maps = DescriptionInference(networks[0]).maps(image)
    detector = DetectionInference(networks[1])
    stored = detector.scores(maps, image)
    monkeypatch.setattr(posfeat_detection, "STORED_PIXELS", 0)
    assert torch.equal(detector.scores(maps, image), stored)


@torch.inference_mode()
def test_bfloat16_stays_near(networks: tuple[ResUNet, KeypointDet]) -> None:
    backbone, head = networks
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(2))
    exact, rough = (DescriptionInference(backbone, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    difference = exact.maps(image).local - rough.maps(image).local
    assert 0 < difference.abs().max() < 0.1 * exact.maps(image).local.abs().max()
    maps = exact.maps(image)
    scores = [DetectionInference(head, dtype=dtype).scores(maps, image) for dtype in (torch.float32, torch.bfloat16)]
    assert 0 < (scores[0] - scores[1]).abs().max() < 0.2


def test_other_sizes_are_refused(networks: tuple[ResUNet, KeypointDet]) -> None:
    with pytest.raises(ShapeError, match="sides multiples of 16"):
        DescriptionInference(networks[0]).maps(torch.zeros(3, 16, 17))


def test_descriptors_are_read_where_the_convention_says() -> None:
    local = torch.zeros(1, 2, 4, 6)
    local[0, 0] = torch.arange(6.0)  # the column
    local[0, 1] = 1
    xy = torch.tensor([[8.0, 8.0], [10.0, 4.0]])

    def columns(half_cell_shift: bool) -> list[float]:
        sampled = sample_descriptors(local, xy, half_cell_shift=half_cell_shift)
        return (sampled[:, 0] / sampled[:, 1]).tolist()

    assert columns(False) == pytest.approx([2.0, 2.5])
    assert columns(True) == pytest.approx([8 * 6 / 23 - 0.5, 10 * 6 / 23 - 0.5])


def test_checkpoints_load_with_and_without_the_prefix_of_several_gpus(networks: tuple[ResUNet, KeypointDet]) -> None:
    backbone, head = networks
    plain = {"backbone": backbone.state_dict(), "localheader": head.state_dict()}
    prefixed = {key: {f"module.{name}": value for name, value in state.items()} for key, state in plain.items()}
    for checkpoint in (plain, prefixed):
        loaded, detector = load_posfeat(checkpoint, "test.pth")
        assert detector is not None and not loaded.training
        assert torch.equal(loaded.conv_fine.conv.weight, backbone.conv_fine.conv.weight)
    assert load_posfeat({"backbone": backbone.state_dict()}, "test.pth", detector=False)[1] is None
    with pytest.raises(WeightsError, match=r"test\.pth is no PoSFeat checkpoint: it has no section 'localheader'"):
        load_posfeat({"backbone": backbone.state_dict()}, "test.pth")
    with pytest.raises(WeightsError, match="does not fit PoSFeat's localheader: Missing"):
        load_posfeat({**plain, "localheader": {}}, "test.pth")
