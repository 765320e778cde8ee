"""ResNet34 without its classifier, as a pyramid of maps: the backbone of NCNet and Patch2Pix.

Parameter names are those of torchvision and of the official checkpoints. `layer4` is in every checkpoint and is never
computed. As in all published models `layer3` keeps the resolution of `layer2`.

Source: Zhou, Sattler and Leal-Taixe, "Patch2Pix", CVPR 2021; the blocks are those of `trigpoint.networks.resnet`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError
from trigpoint.networks.resnet import basic_stage

WIDTHS = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)
STRIDES = (1, 2, 1, 2)
COMPUTED_STAGES = 3
LEVEL_CHANNELS = (3, 64, 64, 128, 256)
LEVEL_STRIDES = (1, 2, 4, 8, 8)
COARSEST_LEVEL = 4
CELL_PX = LEVEL_STRIDES[COARSEST_LEVEL]
NORM_FLOOR = 1e-6  # added to squared norms


class ResNet34(nn.Module):
    """The pyramid of five levels: the image, the stem, and three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        channels = WIDTHS[0]
        for number, (width, blocks, stride) in enumerate(zip(WIDTHS, BLOCKS, STRIDES, strict=True), start=1):
            self.add_module(f"layer{number}", basic_stage(channels, width, blocks, stride))
            channels = width

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Maps of 3, 64, 64, 128 and 256 channels at strides 1, 2, 4, 8 and 8.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; sides of at least 8.

        Raises:
            ShapeError: a smaller image.
        """
        check_sides(images)
        levels = [images, functional.relu(self.bn1(self.conv1(images)))]
        maps = functional.max_pool2d(levels[-1], 3, 2, 1)
        for number in range(1, COMPUTED_STAGES + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
            levels.append(maps)
        return levels


def check_sides(images: Tensor) -> None:
    """Refuse what has no cell.

    Raises:
        ShapeError: a side below the coarsest stride.
    """
    if min(images.shape[2:]) < CELL_PX:
        raise ShapeError(f"images are {tuple(images.shape)}, sides have to be at least {CELL_PX}")


def normalize_features(maps: Float[Tensor, "*batch C h w"]) -> Float[Tensor, "*batch C h w"]:
    """Divided by `sqrt(sum over channels of squares + 1e-6)`, as NCNet does."""
    return maps * torch.rsqrt(maps.square().sum(dim=-3, keepdim=True) + NORM_FLOOR)
