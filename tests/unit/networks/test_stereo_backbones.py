"""Feature parts of stereo networks: maps, small properties, and the names of the published checkpoints."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backbone_checkpoints import empty_checkpoint
from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks.backbones import BACKBONES, load_backbone
from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.backbones.stereo import CreStereo, DeepPrunerFast, PlainBlock, PsmNet, rename_psm

NETWORKS: dict[str, Callable[[], Backbone]] = {"PSM": PsmNet, "DEEPPRUNER_FATS": DeepPrunerFast, "CRE": CreStereo}
SIDE_PX = 256
PREFIX = {"PSM": "feature_extraction.", "DEEPPRUNER_FATS": "feature_extraction.", "CRE": "fnet."}


@pytest.fixture(scope="module")
def published(fill_weights: Callable) -> Callable[[str], dict[str, Tensor]]:
    """Stand-in weights under the names of a published feature part."""
    return lambda name: fill_weights(empty_checkpoint(name))


@pytest.fixture(scope="module")
def network(published: Callable) -> Callable[[str], Backbone]:
    return lambda name: load_backbone(name, published(name), "filled weights")


@pytest.fixture(scope="module")
def images() -> Tensor:
    """(1, 3, 256, 320)."""
    return torch.randn(1, 3, SIDE_PX, 320, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_have_the_tables_strides_and_channels(name: str, network: Callable, images: Tensor) -> None:
    height = 96 if name == "CRE" else SIDE_PX
    with torch.inference_mode():
        maps = network(name)(images[:, :, :height])
    assert [tuple(found.shape) for found in maps] == [
        (1, channels, height // stride, 320 // stride) for stride, channels in BACKBONES[name].taps
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_and_cut_checkpoints_load_under_their_published_names(name: str, published: Callable) -> None:
    part = published(name)
    own = NETWORKS[name]().state_dict()
    renamed = {rename_psm(key) if name == "PSM" else key: tensor for key, tensor in part.items()}
    assert {key: tensor.shape for key, tensor in renamed.items()} == {key: own[key].shape for key in own}
    rest = {"dres0.0.0.weight": torch.zeros(2), "update_block.encoder.weight": torch.zeros(2)}
    for prefix in ("", PREFIX[name], f"module.{PREFIX[name]}"):
        others = {prefix.removesuffix(PREFIX[name]) + key: tensor for key, tensor in rest.items() if prefix}
        checkpoint = {"epoch": 3, "state_dict": {**others, **{prefix + key: part[key] for key in part}}}
        loaded = load_backbone(name, checkpoint, "own.tar").state_dict()
        assert all(torch.equal(loaded[key], renamed[key]) for key in own)


@pytest.mark.parametrize("name", NETWORKS)
def test_names_under_another_prefix_are_refused(name: str) -> None:
    """The original loads DeepPruner's without asking whether anything fits, and then has random weights."""
    wrong = {"model." + key: tensor for key, tensor in empty_checkpoint(name).items()}
    with pytest.raises(WeightsError, match=r"own\.tar is no checkpoint of .*expected a tensor") as refused:
        load_backbone(name, {"state_dict": wrong}, "own.tar")
    assert "\n" not in str(refused.value)


def test_one_stereo_networks_checkpoint_does_not_fit_the_other() -> None:
    with pytest.raises(WeightsError, match=r"own\.tar is no checkpoint of PSMNet"):
        load_backbone("PSM", empty_checkpoint("DEEPPRUNER_FATS"), "own.tar")
    with pytest.raises(WeightsError, match=r"own\.tar is no checkpoint of DeepPruner"):
        load_backbone("DEEPPRUNER_FATS", empty_checkpoint("PSM"), "own.tar")


@pytest.mark.parametrize("name", ["PSM", "DEEPPRUNER_FATS"])
def test_images_below_one_cell_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"{name.lower()}: image of 320x248 px, both sides must be 256 px or more"):
        NETWORKS[name]()(torch.zeros(1, 3, 248, 320))


def test_a_block_ends_without_activation() -> None:
    block = PlainBlock(4, 4, 1, 1).eval()
    torch.nn.init.zeros_(block.conv2[0].weight)
    maps = torch.randn(1, 4, 6, 5)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize(
    ("name", "pools", "earlier"), [("PSM", (8, 16, 32, 64), 64), ("DEEPPRUNER_FATS", (8, 16, 32), 128)]
)
def test_features_are_made_of_two_stages_and_means_over_cells(
    name: str, pools: tuple[int, ...], earlier: int, network: Callable, images: Tensor
) -> None:
    backbone = network(name).double()  # the stand-in weights make large numbers
    seen: dict[str, Tensor] = {}
    for part in ("layer2", "layer3", "layer4"):
        backbone.get_submodule(part).register_forward_hook(lambda *call, part=part: seen.update({part: call[2]}))
    backbone.lastconv.register_forward_pre_hook(lambda _module, inputs: seen.update({"joined": inputs[0]}))
    with torch.inference_mode():
        maps = backbone(images[..., :SIDE_PX].double())
        joined, last = seen["joined"], seen["layer4"]
        assert joined.shape[1] == earlier + 128 + 32 * len(pools)
        assert torch.equal(joined[:, :earlier], seen["layer2" if name == "PSM" else "layer3"])
        assert torch.equal(joined[:, earlier : earlier + 128], last)
        for number, pool in enumerate(pools):
            branch = backbone.get_submodule(f"branch{4 - number}.1")
            means = last.unfold(2, pool, pool).unfold(3, pool, pool).mean(dim=(4, 5))
            spread = joined[:, earlier + 128 + 32 * number :][:, :32]
            cells = branch(means)
            ends = slice(None, None, spread.shape[3] - 1)  # the corner pixels have the corner cells' values
            corners = slice(None, None, max(cells.shape[3] - 1, 1))
            torch.testing.assert_close(
                spread[:, :, ends, ends], cells[:, :, corners, corners].expand(1, 32, 2, 2), rtol=1e-9, atol=1e-6
            )
            if pool < pools[-1]:  # where two cells meet: their mean
                border = spread[:, :, 0, pool - 1 : pool + 1].mean(dim=2)
                torch.testing.assert_close(border, cells[:, :, 0, :2].mean(dim=2), rtol=1e-9, atol=1e-6)
    if name == "PSM":
        assert torch.equal(maps[2], maps[1][:, :, ::2, ::2])


def test_the_encoder_does_not_see_contrast(network: Callable, images: Tensor) -> None:
    """Every convolution but the last is normalised over its image, so that twice the image gives the same maps."""
    encoder, small = network("CRE"), images[..., :96, :128]
    with torch.inference_mode():
        maps, doubled = encoder(small), encoder(2 * small)
        assert (maps[0] >= 0).all() and (maps[1] < 0).any()
        torch.testing.assert_close(maps[2], maps[1].unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5)))
    for found, expected in zip(doubled, maps, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_encoders_two_ways_to_scale_images_differ_little(network: Callable) -> None:
    """It was trained on [-1, 1] and gets ImageNet's mean and deviation; normalisation takes most of that away."""
    encoder = network("CRE")
    coarse = torch.rand(1, 3, 13, 17, generator=torch.Generator().manual_seed(2))
    photograph = torch.nn.functional.interpolate(coarse, (96, 128), mode="bilinear")
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        here, there = encoder((photograph - mean) / deviation)[1], encoder(2 * photograph - 1)[1]
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    cosine = torch.nn.functional.cosine_similarity(here[inner], there[inner])
    assert cosine.mean() > 0.99
