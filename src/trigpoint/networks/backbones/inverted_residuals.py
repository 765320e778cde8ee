"""Encoders of inverted residuals: MobileNetV3 and EfficientNetV2, up to their last tap.

Parameter names are torchvision's: `features` is a row of units, each with its layers in `block`.

Source: Howard et al., "Searching for MobileNetV3", ICCV 2019, Table 1; Tan and Le, "EfficientNetV2: Smaller models and
faster training", ICML 2021, Table 4; both normalise with eps 1e-3 as torchvision does.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from trigpoint.networks.backbones.base import TappedRow
from trigpoint.networks.backbones.loading import load_part

NORM_EPS = 1e-3
Activation = Callable[[], nn.Module]


class MobileRow(NamedTuple):
    """One unit of MobileNetV3."""

    kernel: int
    expanded: int
    channels: int
    squeezed: int  # inner channels of the excitation, 0 for none
    activation: Activation
    stride: int
    dilation: int = 1  # of the dilated form, where it takes the place of the stride


MOBILE_STEM = 16
MOBILE_ROWS = (  # the large network
    MobileRow(3, 16, 16, 0, nn.ReLU, 1),
    MobileRow(3, 64, 24, 0, nn.ReLU, 2),
    MobileRow(3, 72, 24, 0, nn.ReLU, 1),
    MobileRow(5, 72, 40, 24, nn.ReLU, 2),
    MobileRow(5, 120, 40, 32, nn.ReLU, 1),
    MobileRow(5, 120, 40, 32, nn.ReLU, 1),
    MobileRow(3, 240, 80, 0, nn.Hardswish, 2),
    MobileRow(3, 200, 80, 0, nn.Hardswish, 1),
    MobileRow(3, 184, 80, 0, nn.Hardswish, 1),
    MobileRow(3, 184, 80, 0, nn.Hardswish, 1),
    MobileRow(3, 480, 112, 120, nn.Hardswish, 1),
    MobileRow(3, 672, 112, 168, nn.Hardswish, 1),
    MobileRow(5, 672, 160, 168, nn.Hardswish, 2, 2),
    MobileRow(5, 960, 160, 240, nn.Hardswish, 1, 2),
    MobileRow(5, 960, 160, 240, nn.Hardswish, 1, 2),
)
MOBILE_TAPS = (1, 3, 6, 11, 12)
DILATED_MOBILE_TAPS = (1, 3, 6, 10, 15)
MOBILE_LAYERS = 17  # of `features`, with the head

EFFICIENT_STEM = 24
EFFICIENT_STAGES = (  # of the small network: fused, expansion, stride, channels, units; its sixth is beyond the taps
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
)
EFFICIENT_TAPS = (1, 2, 3, 4, 5)


class Excitation(nn.Module):
    """Channels scaled by what two 1x1 convolutions make of their means."""

    def __init__(self, channels: int, squeezed: int, activation: Activation, gate: Activation) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Maps of the same size."""
        means = maps.mean(dim=(2, 3), keepdim=True)
        return maps * self.gate(self.fc2(self.activation(self.fc1(means))))


class InvertedResidual(nn.Module):
    """Layers in a row, added to their input where it has their output's shape."""

    def __init__(self, layers: list[nn.Module], residual: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)
        self._residual = residual

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C h w"]:
        """(B, C0, H, W) to (B, C, H / stride, W / stride)."""
        inner = self.block(maps)
        return maps + inner if self._residual else inner


def mobilenet_v3_large(checkpoint: Mapping[str, Any], source: str) -> TappedRow:
    """Taps at strides 2, 4, 8, 16 and 16."""
    network = TappedRow(_mobile_units(MOBILE_TAPS[-1], dilated=False), MOBILE_TAPS)
    unused = ("classifier.", *(f"features.{position}." for position in range(MOBILE_TAPS[-1] + 1, MOBILE_LAYERS)))
    return load_part(network, checkpoint, source, name="MobileNetV3-Large", unused=unused)


def deeplabv3_mobilenet_v3_large(checkpoint: Mapping[str, Any], source: str) -> TappedRow:
    """The encoder of DeepLabV3: the last units dilate instead of striding."""
    network = TappedRow(_mobile_units(DILATED_MOBILE_TAPS[-1], dilated=True), DILATED_MOBILE_TAPS)
    load_part(
        network.features,
        checkpoint,
        source,
        name="DeepLabV3 with MobileNetV3-Large",
        prefixes=("backbone.",),
        unused=tuple(f"{position}." for position in range(DILATED_MOBILE_TAPS[-1] + 1, MOBILE_LAYERS)),
    )
    return network


def efficientnet_v2_s(checkpoint: Mapping[str, Any], source: str) -> TappedRow:
    """Taps at strides 2, 4, 8, 16 and 16."""
    units: list[nn.Module] = [_convolution(3, EFFICIENT_STEM, 3, 2, nn.SiLU)]
    channels_in = EFFICIENT_STEM
    for fused, expansion, first_stride, channels, count in EFFICIENT_STAGES:
        make = _fused_unit if fused else _efficient_unit
        strides = [first_stride] + [1] * (count - 1)
        widths = [channels_in] + [channels] * (count - 1)
        units.append(nn.Sequential(*(make(*shape, channels, expansion) for shape in zip(widths, strides, strict=True))))
        channels_in = channels
    network = TappedRow(units, EFFICIENT_TAPS)
    unused = ("features.6.", "features.7.", "classifier.")
    return load_part(network, checkpoint, source, name="EfficientNetV2-S", unused=unused)


def _convolution(
    channels_in: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    activation: Activation | None = None,
    *,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(channels, eps=NORM_EPS),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def _mobile_units(last: int, *, dilated: bool) -> list[nn.Module]:
    """Positions 0 to `last` of `features`."""
    units: list[nn.Module] = [_convolution(3, MOBILE_STEM, 3, 2, nn.Hardswish)]
    channels_in = MOBILE_STEM
    for row in MOBILE_ROWS[:last]:
        units.append(_mobile_unit(channels_in, row, row.dilation if dilated else 1))
        channels_in = row.channels
    return units


def _mobile_unit(channels_in: int, row: MobileRow, dilation: int) -> InvertedResidual:
    layers: list[nn.Module] = []
    if row.expanded != channels_in:
        layers.append(_convolution(channels_in, row.expanded, 1, 1, row.activation))
    stride = 1 if dilation > 1 else row.stride
    depthwise = {"dilation": dilation, "groups": row.expanded}
    layers.append(_convolution(row.expanded, row.expanded, row.kernel, stride, row.activation, **depthwise))
    if row.squeezed:
        layers.append(Excitation(row.expanded, row.squeezed, nn.ReLU, nn.Hardsigmoid))
    layers.append(_convolution(row.expanded, row.channels, 1))
    return InvertedResidual(layers, residual=row.stride == 1 and channels_in == row.channels)


def _efficient_unit(channels_in: int, stride: int, channels: int, expansion: int) -> InvertedResidual:
    expanded = expansion * channels_in
    layers = [
        _convolution(channels_in, expanded, 1, 1, nn.SiLU),
        _convolution(expanded, expanded, 3, stride, nn.SiLU, groups=expanded),
        Excitation(expanded, channels_in // 4, nn.SiLU, nn.Sigmoid),
        _convolution(expanded, channels, 1),
    ]
    return InvertedResidual(layers, residual=stride == 1 and channels_in == channels)


def _fused_unit(channels_in: int, stride: int, channels: int, expansion: int) -> InvertedResidual:
    expanded = expansion * channels_in
    layers: list[nn.Module] = [_convolution(channels_in, expanded, 3, stride, nn.SiLU)]
    if expansion != 1:
        layers.append(_convolution(expanded, channels, 1))
    return InvertedResidual(layers, residual=stride == 1 and channels_in == channels)
