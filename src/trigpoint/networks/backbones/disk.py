"""DISK's encoder: the way down of its U-Net, whose receptive fields grow with the stride.

Each convolution's output is taken less its mean and by its deviation over the image, as the network itself normalises
before it goes on: cells would all be alike by the channels' means.

Source: Tyszkiewicz, Fua and Trulls, "DISK: Learning local features with policy gradient", NeurIPS 2020.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.disk_unet import DiskUNet, load_disk
from trigpoint.networks.preprocessing import denormalize_image

NORM_EPS = 1e-5


class DiskEncoder(Backbone):
    """The levels below full resolution, of 32, 64, 64 and 64 channels.

    Args:
        network: with its weights.
    """

    channels_last = True

    def __init__(self, network: DiskUNet) -> None:
        super().__init__()
        self.path_down = network.unet.path_down

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Four maps at strides 2 to 16, finest first."""
        maps, tapped = denormalize_image(images), []
        for level, block in enumerate(self.path_down):
            pool, unit = block.children()
            _, gate, _, convolution = unit.children()
            maps = pool(maps)
            if level:
                maps = gate(_standardized(maps))
            maps = convolution(maps)
            if level:
                tapped.append(_standardized(maps))
        return tapped


def _standardized(maps: Tensor) -> Tensor:
    """Instance normalisation that takes maps of one cell, too."""
    variance, mean = torch.var_mean(maps, dim=(2, 3), keepdim=True, correction=0)
    return (maps - mean) * torch.rsqrt(variance + NORM_EPS)


def disk_encoder(checkpoint: Mapping[str, Any], source: str) -> DiskEncoder:
    """From a checkpoint of DISK, official or trained here."""
    return DiskEncoder(load_disk(checkpoint, source))
