"""Backbones: maps, strides and names of the table, and equality with torchvision's networks at their taps."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from backbone_checkpoints import PEERS, build_peer, empty_checkpoint, without_heads
from trigpoint.errors import SettingsError, WeightsError
from trigpoint.networks.backbones import BACKBONES, backbone_entry, load_backbone
from trigpoint.networks.backbones.vgg import fine_vgg19
from trigpoint.storage.weights import WEIGHTS


def tapped(root: nn.Module, taps: tuple[str, ...], images: Tensor) -> tuple[list[Tensor], int]:
    """Outputs of modules as they are when computed (later ones may overwrite them), parameters used until the last."""
    found: dict[str, Tensor] = {}
    parameters = 0

    def count(module: nn.Module, _inputs: object, _output: object) -> None:
        nonlocal parameters
        parameters += (len(found) < len(taps)) * sum(tensor.numel() for tensor in module.parameters(recurse=False))

    for module in root.modules():
        module.register_forward_hook(count)
    for tap in taps:
        root.get_submodule(tap).register_forward_hook(
            lambda _module, _inputs, output, tap=tap: found.update({tap: output.clone()})
        )
    root(images)
    return [found[tap] for tap in taps], parameters


def images_of(width: int, height: int) -> Tensor:
    """(1, 3, height, width) with the values of a normalised photograph: smooth, in about [-2, 2.5]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    return 4.5 * nn.functional.interpolate(coarse, (height, width), mode="bicubic") - 2


@pytest.mark.parametrize("name", PEERS)
def test_maps_are_torchvisions(name: str, fill_weights: Callable) -> None:
    peer, images = build_peer(name), images_of(96, 64)
    filled = fill_weights(without_heads(empty_checkpoint(name)))
    peer.load_state_dict(filled, strict=False, assign=True)
    if PEERS[name].part == "":
        peer.fc = nn.Identity()
    with torch.inference_mode():
        expected, parameters = tapped(peer.get_submodule(PEERS[name].part), PEERS[name].taps, images)
        network = load_backbone(name, filled, "filled weights")
        maps = network(images)
    assert sum(tensor.numel() for tensor in network.parameters()) == parameters  # nothing beyond the last tap
    entry = BACKBONES[name]
    assert [(64 // stride, 96 // stride, channels) for stride, channels in entry.taps] == [
        (*found.shape[2:], found.shape[1]) for found in maps
    ]
    assert len(maps) == len(expected)
    for found, wanted in zip(maps, expected, strict=True):
        # another order of weights in memory, another order of sums
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", PEERS)
def test_torchvisions_whole_checkpoints_fit(name: str) -> None:
    load_backbone(name, empty_checkpoint(name), "downloaded.pth")


def test_taps_before_the_activation_keep_negative_values(fill_weights: Callable) -> None:
    filled = fill_weights(without_heads(empty_checkpoint("VGG19")))
    images = images_of(32, 32)
    with torch.inference_mode():
        taps = load_backbone("VGG19", filled, "filled weights")(images)
        (fine,) = fine_vgg19(filled, "filled weights")(images)
        assert torch.equal(load_backbone("coarsevgg19", filled, "filled weights").coarsest(images), taps[-1])
    assert all((maps < 0).any() for maps in taps)
    torch.testing.assert_close(fine, taps[0])


@pytest.mark.parametrize("name", BACKBONES)
def test_the_table_names_a_checkpoint_and_halves_from_map_to_map(name: str) -> None:
    entry = BACKBONES[name]
    strides = [stride for stride, _ in entry.taps]
    assert entry.weights in WEIGHTS
    assert strides[0] in (1, 2) and entry.padding == strides[-1]
    steps = [coarse / fine for fine, coarse in pairwise(strides)]
    assert set(steps[:-1]) == {2} and steps[-1] in (1, 2)
    assert entry.num_maps == len(strides) + (steps[-1] == 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: {}, r"expected a tensor 'conv1\.weight', found none"),
        (lambda tensors: {"backbone." + key: value for key, value in tensors.items()}, "found 'backbone.conv1.weight'"),
        (lambda tensors: {**tensors, "layer5.weight": torch.zeros(1)}, "1 tensors are unknown, as 'layer5.weight'"),
        (lambda tensors: {**tensors, "bn1.bias": torch.zeros(3)}, r"'bn1.bias' is \(3,\), expected \(64,\)"),
        (lambda tensors: {key: tensors[key] for key in tensors if key != "bn1.bias"}, "1 tensors are missing"),
        (lambda tensors: {"state_dict": 3}, "'state_dict' is a int"),
    ],
)
def test_another_networks_checkpoint_is_refused(change: Callable, message: str) -> None:
    tensors = empty_checkpoint("RESNET18")
    load_backbone("RESNET18", tensors, "own.pth")
    with pytest.raises(WeightsError, match=message) as refused:
        load_backbone("RESNET18", change(tensors), "own.pth")
    assert str(refused.value).startswith("own.pth") and "\n" not in str(refused.value)


def test_checkpoints_from_before_counters_load() -> None:
    tensors = empty_checkpoint("RESNET18")
    load_backbone("RESNET18", {key: value for key, value in tensors.items() if "num_batches" not in key}, "old.pth")


def test_a_backbone_that_no_network_can_be_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"'Swin_Transformer' cannot be had: .*stride 4.*known: VGG19, "):
        backbone_entry("Swin_Transformer")
    with pytest.raises(SettingsError, match=r"no backbone is called 'resnet81'.*did you mean 'RESNET18'"):
        backbone_entry("resnet81")
