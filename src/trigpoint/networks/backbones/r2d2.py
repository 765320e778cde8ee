"""R2D2's descriptors, or its student's, averaged over ever larger blocks: a pyramid of one descriptor.

Source: GCM, arXiv 2403.05388, whose names `R2D2` and `R2D2_STU` both stand for the student.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.r2d2_inference import folded
from trigpoint.networks.r2d2_net import PatchNet, load_patch_net

HALVINGS = 4


class AveragedPatches(Backbone):
    """Raw maps at full resolution, then means of 2x2 cells four times, each of unit length.

    Args:
        network: with its weights.
    """

    channels_last = True

    def __init__(self, network: PatchNet) -> None:
        super().__init__()
        self.layers = folded(network)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Five maps of 128 channels, finest first."""
        maps = [self.layers(images)]
        for _ in range(HALVINGS):
            maps.append(functional.normalize(functional.avg_pool2d(maps[-1], 2), dim=1))
        return maps


def averaged_patches(checkpoint: Mapping[str, Any], source: str) -> AveragedPatches:
    """From a checkpoint of R2D2 or of its student."""
    return AveragedPatches(load_patch_net(checkpoint, source))
