"""Blocks of ResNet and ResNeXt, of which several encoders are made; parameter names are torchvision's.

Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, with the stride on the 3x3
convolution (torchvision's v1.5); Xie, Girshick, Dollar, Tu and He, "Aggregated residual transformations for deep neural
networks", CVPR 2017.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

EXPANSION = 4  # of a bottleneck
BASE_WIDTH = 64  # width for which a group of a grouped bottleneck has its nominal channels


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride; shortcut added before the last ReLU."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(channels_in, width, stride)

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C h w"]:
        """(B, C0, H, W) to (B, width, H / stride, W / stride)."""
        inner = functional.relu(self.bn1(self.conv1(maps)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.downsample(maps))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 to four times the width; shortcut added before the last ReLU.

    Args:
        width: of the inner maps if there is one group.
        dilation: of the 3x3 convolution.
        groups: of the 3x3 convolution; the inner maps have `group_width` channels in each where width is 64, and in
            proportion elsewhere.
    """

    def __init__(
        self,
        channels_in: int,
        width: int,
        stride: int,
        *,
        dilation: int = 1,
        groups: int = 1,
        group_width: int = BASE_WIDTH,
    ) -> None:
        super().__init__()
        inner, channels_out = width * group_width // BASE_WIDTH * groups, EXPANSION * width
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample = shortcut(channels_in, channels_out, stride)

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C h w"]:
        """(B, C0, H, W) to (B, 4 width, H / stride, W / stride)."""
        inner = functional.relu(self.bn1(self.conv1(maps)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.downsample(maps))


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """A normalised 1x1 convolution where size or channels change, else nothing."""
    if stride == 1 and channels_in == channels_out:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))


def basic_stage(channels_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """Basic blocks in a row; the first one has the stride."""
    return nn.Sequential(
        BasicBlock(channels_in, width, stride), *(BasicBlock(width, width, 1) for _ in range(blocks - 1))
    )


def bottleneck_stage(
    channels_in: int,
    width: int,
    blocks: int,
    stride: int,
    *,
    first_dilation: int = 1,
    dilation: int = 1,
    groups: int = 1,
    group_width: int = BASE_WIDTH,
) -> nn.Sequential:
    """Bottlenecks in a row; the first one has the stride, and a dilation of its own."""
    block = partial(Bottleneck, groups=groups, group_width=group_width)
    first = block(channels_in, width, stride, dilation=first_dilation)
    rest = (block(EXPANSION * width, width, 1, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
