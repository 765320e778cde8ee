"""ResNet, ResNeXt and the dilated ResNet-50 of two segmentation networks, up to their last tapped stage.

Parameter names are torchvision's. What lies beyond the last tap (the fourth stage of the plain ones, pooling,
classifiers) is neither built nor computed.

Source: see `trigpoint.networks.resnet`; the dilated form is that of Chen, Papandreou, Schroff and Adam, "Rethinking
atrous convolution for semantic image segmentation", 2017.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.backbones.loading import load_part
from trigpoint.networks.resnet import EXPANSION, basic_stage, bottleneck_stage

STEM_CHANNELS = 64
WIDTHS = (64, 128, 256, 512)
BLOCKS_18, BLOCKS_50 = (2, 2, 2, 2), (3, 4, 6, 3)
HEADS = ("layer4.", "fc.")


class ResNet(Backbone):
    """Stem and stages; taps are the stem's map after its ReLU, and the stages'.

    Args:
        stages: `layer1`, `layer2` and so on.
    """

    channels_last = True

    def __init__(self, stages: list[nn.Sequential]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self._stages = [f"layer{number}" for number in range(1, len(stages) + 1)]
        for name, stage in zip(self._stages, stages, strict=True):
            self.add_module(name, stage)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        stem = functional.relu(self.bn1(self.conv1(images)))
        return [stem, *self._stage_maps(stem)]

    def _stage_maps(self, stem: Tensor) -> list[Tensor]:
        maps = [functional.max_pool2d(stem, 3, 2, 1)]
        for name in self._stages:
            maps.append(getattr(self, name)(maps[-1]))
        return maps[1:]


class DilatedResNet50(ResNet):
    """ResNet-50 whose third and fourth stage dilate instead of striding.

    Taps are the stem's convolution before its normalisation, the first and the last stage.
    """

    def __init__(self) -> None:
        super().__init__(
            [
                bottleneck_stage(STEM_CHANNELS, WIDTHS[0], BLOCKS_50[0], 1),
                bottleneck_stage(EXPANSION * WIDTHS[0], WIDTHS[1], BLOCKS_50[1], 2),
                bottleneck_stage(EXPANSION * WIDTHS[1], WIDTHS[2], BLOCKS_50[2], 1, first_dilation=1, dilation=2),
                bottleneck_stage(EXPANSION * WIDTHS[2], WIDTHS[3], BLOCKS_50[3], 1, first_dilation=2, dilation=4),
            ]
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        convolved = self.conv1(images)
        first, *_, last = self._stage_maps(functional.relu(self.bn1(convolved)))
        return [convolved, first, last]


def resnet18(checkpoint: Mapping[str, Any], source: str) -> ResNet:
    """Stem and three stages of basic blocks."""
    channels = (STEM_CHANNELS, *WIDTHS)
    stages = [
        basic_stage(channels[index], WIDTHS[index], BLOCKS_18[index], stride) for index, stride in enumerate((1, 2, 2))
    ]
    return load_part(ResNet(stages), checkpoint, source, name="ResNet-18", unused=HEADS)


def resnet50(checkpoint: Mapping[str, Any], source: str) -> ResNet:
    """Stem and three stages of bottlenecks."""
    return load_part(ResNet(_bottlenecks()), checkpoint, source, name="ResNet-50", unused=HEADS)


def resnext50(checkpoint: Mapping[str, Any], source: str) -> ResNet:
    """Stem and three stages of bottlenecks with 32 groups of 4 channels (in the first stage)."""
    network = ResNet(_bottlenecks(groups=32, group_width=4))
    return load_part(network, checkpoint, source, name="ResNeXt-50 32x4d", unused=HEADS)


def deeplabv3_resnet50(checkpoint: Mapping[str, Any], source: str) -> DilatedResNet50:
    """The encoder of DeepLabV3."""
    return load_part(DilatedResNet50(), checkpoint, source, name="DeepLabV3 with ResNet-50", prefixes=("backbone.",))


def fcn_resnet50(checkpoint: Mapping[str, Any], source: str) -> DilatedResNet50:
    """The encoder of FCN."""
    return load_part(DilatedResNet50(), checkpoint, source, name="FCN with ResNet-50", prefixes=("backbone.",))


def _bottlenecks(**grouping: int) -> list[nn.Sequential]:
    channels = (STEM_CHANNELS, *(EXPANSION * width for width in WIDTHS))
    return [
        bottleneck_stage(channels[index], WIDTHS[index], BLOCKS_50[index], stride, **grouping)
        for index, stride in enumerate((1, 2, 2))
    ]
