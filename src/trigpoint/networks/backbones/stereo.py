"""The feature parts of three stereo networks: PSMNet, the fast DeepPruner and CREStereo.

Parameter names are DeepPruner's (PSMNet's are mapped to them) and those of CREStereo's port to PyTorch; users bring the
checkpoints, whole ones or cut to the feature part.

Source: Chang and Chen, "Pyramid stereo matching network", CVPR 2018, Table 1; Duggal, Wang, Ma, Hu and Urtasun,
"DeepPruner: Learning efficient stereo matching via differentiable PatchMatch", ICCV 2019; Li et al., "Practical stereo
matching via cascaded recurrent network with adaptive correlation", CVPR 2022, whose encoder is RAFT's.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError
from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.backbones.loading import load_part
from trigpoint.networks.resnet import shortcut

STEM = 32
POOLED, BRANCH, JOINED, FEATURE = 128, 32, 128, 32
PSM_POOLS, PRUNER_POOLS = (64, 32, 16, 8), (32, 16, 8)  # sides of the cells, on the map that is pooled
LEAST_SIDE_PX = 256  # of both networks' images: one of the largest cells
EXTRACTION = ("", "feature_extraction.", "module.feature_extraction.")  # the part, the whole, trained on several GPUs
ENCODER = ("", "fnet.", "module.fnet.")


class PlainBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to the shortcut; none after the sum."""

    def __init__(self, channels_in: int, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _activated(channels_in, channels, 3, stride, dilation)
        self.conv2 = _normalised(channels, channels, 3, 1, dilation)
        self.downsample = shortcut(channels_in, channels, stride)

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C h w"]:
        """(B, C0, H, W) to (B, C, H / stride, W / stride)."""
        return self.conv2(self.conv1(maps)) + self.downsample(maps)


class PooledPyramid(Backbone):
    """Stem and four residual stages; two stages' maps, joined with means over large cells, make the features.

    Args:
        name: of the network, for messages.
        pools: sides of the cells, descending; the branches are numbered up to 4.
        third_stride: of the third stage.
        fourth_dilation: of the fourth stage.
    """

    channels_last = True

    def __init__(self, name: str, pools: tuple[int, ...], *, third_stride: int, fourth_dilation: int) -> None:
        super().__init__()
        self._name = name
        self._pools = {f"branch{number}": pool for number, pool in enumerate(pools, 5 - len(pools))}
        self._joins_second = third_stride == 1  # the map of the pooled map's size that comes first
        self.firstconv = nn.Sequential(_activated(3, STEM, 3, 2), _activated(STEM, STEM, 3), _activated(STEM, STEM, 3))
        self.layer1 = _stage(STEM, 32, 3, 1)
        self.layer2 = _stage(32, 64, 16, 2)
        self.layer3 = _stage(64, POOLED, 3, third_stride)
        self.layer4 = _stage(POOLED, POOLED, 3, 1, fourth_dilation)
        for branch, pool in self._pools.items():
            self.add_module(branch, nn.Sequential(nn.AvgPool2d(pool), _activated(POOLED, BRANCH, 1)))
        channels = (64 if self._joins_second else POOLED) + POOLED + BRANCH * len(pools)
        self.lastconv = nn.Sequential(_activated(channels, JOINED, 3), nn.Conv2d(JOINED, FEATURE, 1, bias=False))

    def stages(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        """The first stage's map, the second's and the features.

        Raises:
            ShapeError: a side is shorter than one of the largest cells.
        """
        if min(images.shape[2:]) < LEAST_SIDE_PX:
            width, height = images.shape[3], images.shape[2]
            raise ShapeError(
                f"{self._name}: image of {width}x{height} px, both sides must be {LEAST_SIDE_PX} px or more"
            )
        first = self.layer1(self.firstconv(images))
        second = self.layer2(first)
        third = self.layer3(second)
        last = self.layer4(third)
        joined = [second if self._joins_second else third, last]
        for branch in reversed(self._pools):
            means = getattr(self, branch)(last)
            joined.append(functional.interpolate(means, last.shape[2:], mode="bilinear", align_corners=False))
        return first, second, self.lastconv(torch.cat(joined, dim=1))


class DeepPrunerFast(PooledPyramid):
    """Maps of the first two stages and the features, at strides 2, 4 and 8."""

    def __init__(self) -> None:
        super().__init__("deeppruner_fats", PRUNER_POOLS, third_stride=2, fourth_dilation=1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        return list(self.stages(images))


class PsmNet(PooledPyramid):
    """The first stage's map, the features at stride 4, and every second row and column of them."""

    def __init__(self) -> None:
        super().__init__("psm", PSM_POOLS, third_stride=1, fourth_dilation=2)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        first, _, features = self.stages(images)
        return [first, features, features[:, :, ::2, ::2].contiguous()]


class EncoderBlock(nn.Module):
    """Two 3x3 convolutions and a 1x1 shortcut, each normalised over its image; ReLU after each and after the sum."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride))

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C h w"]:
        """(B, C0, H, W) to (B, C, H / stride, W / stride)."""
        inner = functional.relu(functional.instance_norm(self.conv1(maps)))
        inner = functional.relu(functional.instance_norm(self.conv2(inner)))
        return functional.relu(inner + functional.instance_norm(self.downsample(maps)))


class CreStereo(Backbone):
    """The first stage's map at stride 2, the features at stride 4 and their 2x2 means.

    It was trained on images scaled to [-1, 1]. The normalisation behind the first convolution takes the difference
    away, but for 2 % (ImageNet's deviations of the three colours differ by so much) and what is beyond the border.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.layer1 = nn.Sequential(EncoderBlock(64, 64, 1), EncoderBlock(64, 64, 1))
        self.layer2 = nn.Sequential(EncoderBlock(64, 96, 2), EncoderBlock(96, 96, 1))
        self.layer3 = nn.Sequential(EncoderBlock(96, 128, 1), EncoderBlock(128, 128, 1))
        self.conv2 = nn.Conv2d(128, 256, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        first = self.layer1(functional.relu(functional.instance_norm(self.conv1(images))))
        features = self.conv2(self.layer3(self.layer2(first)))
        return [first, features, functional.avg_pool2d(features, 2)]


def deeppruner_fast(checkpoint: Mapping[str, Any], source: str) -> DeepPrunerFast:
    """DeepPruner's features from its checkpoint."""
    return load_part(DeepPrunerFast(), checkpoint, source, name="DeepPruner (fast)", prefixes=EXTRACTION)


def psm_net(checkpoint: Mapping[str, Any], source: str) -> PsmNet:
    """PSMNet's features from its checkpoint."""
    return load_part(PsmNet(), checkpoint, source, name="PSMNet", prefixes=EXTRACTION, rename=rename_psm)


def cre_stereo(checkpoint: Mapping[str, Any], source: str) -> CreStereo:
    """CREStereo's features from its checkpoint."""
    return load_part(CreStereo(), checkpoint, source, name="CREStereo", prefixes=ENCODER)


def rename_psm(key: str) -> str:
    """Name of a tensor of PSMNet's feature part as it is called here.

    There ReLUs count among the layers of the stem and of the last convolutions, and stand beside a nested pair of
    convolution and normalisation in blocks.
    """
    key = re.sub(r"firstconv\.([024])\.", lambda found: f"firstconv.{int(found[1]) // 2}.", key)
    key = re.sub(r"(layer\d\.\d+\.conv1)\.0\.", r"\1.", key)
    return key.replace("lastconv.2.", "lastconv.1.")


def _normalised(channels_in: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = kernel // 2 * dilation
    convolution = nn.Conv2d(channels_in, channels, kernel, stride, padding, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def _activated(channels_in: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return _normalised(channels_in, channels, kernel, stride, dilation).append(nn.ReLU())


def _stage(channels_in: int, channels: int, blocks: int, stride: int, dilation: int = 1) -> nn.Sequential:
    first = PlainBlock(channels_in, channels, stride, dilation)
    return nn.Sequential(first, *(PlainBlock(channels, channels, 1, dilation) for _ in range(blocks - 1)))
