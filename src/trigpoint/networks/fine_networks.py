"""The networks behind `fine_descriptors`: R2D2 or its student, VGG19's conv1_2, DISK."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.backbones.vgg import fine_vgg19
from trigpoint.networks.disk_inference import DiskInference, DiskMaps
from trigpoint.networks.disk_unet import load_disk
from trigpoint.networks.fine_descriptors import FineDescriptor
from trigpoint.networks.preprocessing import denormalize_image
from trigpoint.networks.r2d2_inference import PatchInference
from trigpoint.networks.r2d2_net import load_patch_net


class FinePatches(FineDescriptor):
    """R2D2 or its student, without the last layer, which is computed at the pixels alone."""

    def __init__(self, network: PatchInference) -> None:
        self._network = network

    def prepare(self, images: Tensor) -> Tensor:
        """(128, H, W)."""
        return self._network.body(images)[0]

    def sample(self, prepared: Tensor, xy: Tensor) -> Tensor:
        """(N, 128)."""
        return self._network.descriptors(prepared, xy)

    def num_bytes(self, prepared: Tensor) -> int:
        """Of the map."""
        return prepared.numel() * prepared.element_size()


class FineMap(FineDescriptor):
    """The only map of a backbone that is as large as the image."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def prepare(self, images: Tensor) -> Tensor:
        """(C, H, W)."""
        return self._backbone(images)[0][0]

    def sample(self, prepared: Tensor, xy: Tensor) -> Tensor:
        """(N, C)."""
        return prepared.permute(1, 2, 0)[xy[:, 1], xy[:, 0]]

    def num_bytes(self, prepared: Tensor) -> int:
        """Of the map."""
        return prepared.numel() * prepared.element_size()


class FineDisk(FineDescriptor):
    """DISK's descriptors, whose last level is computed at the pixels alone."""

    def __init__(self, network: DiskInference) -> None:
        self._network = network

    def prepare(self, images: Tensor) -> DiskMaps:
        """What DISK's descriptors are computed from."""
        return self._network.maps(denormalize_image(images[0]))

    def sample(self, prepared: DiskMaps, xy: Tensor) -> Tensor:
        """(N, 128)."""
        return self._network.descriptors(prepared, xy)

    def num_bytes(self, prepared: DiskMaps) -> int:
        """Of the maps."""
        return 4 * (prepared.logits.numel() + prepared.low.numel() + prepared.skip.numel())


def load_patches(checkpoint: Mapping[str, Any], source: str, device: str) -> FinePatches:
    """R2D2 or its student, whichever the checkpoint is of."""
    return FinePatches(PatchInference(load_patch_net(checkpoint, source), device))


def load_vgg19(checkpoint: Mapping[str, Any], source: str, device: str) -> FineMap:
    """VGG19's conv1_2."""
    network = fine_vgg19(checkpoint, source).to(torch.device(device))
    network.prepare()
    return FineMap(network)


def load_disk_descriptors(checkpoint: Mapping[str, Any], source: str, device: str) -> FineDisk:
    """DISK's descriptors."""
    return FineDisk(DiskInference(load_disk(checkpoint, source), device))
