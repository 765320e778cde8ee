"""Patch2Pix for inference: batch norms folded into convolutions and linear layers, channels last, windows in batches.

On a processor the second convolution of the published regressors goes through `TiledConvolution`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.networks.patch2pix_net import Regressor, decode
from trigpoint.networks.patch2pix_windows import WindowSource, read_windows
from trigpoint.networks.resnet import BasicBlock
from trigpoint.networks.resnet34 import COMPUTED_STAGES, ResNet34, check_sides
from trigpoint.networks.tiled_convolution import MAP_PX, TiledConvolution

WINDOWS_AT_ONCE = {"cpu": 64, "cuda": 1200}
Folded = tuple[Tensor, Tensor]  # weight, bias


class _Block:
    """A residual block without its norms."""

    def __init__(self, block: nn.Module, device: torch.device) -> None:
        assert isinstance(block, BasicBlock)
        self._first, self._second = (
            _placed(fold(conv, norm), device) for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2))
        )
        self._shortcut = _placed(fold(*block.downsample), device) if len(block.downsample) else None
        self._stride = block.conv1.stride[0]

    def __call__(self, maps: Tensor) -> Tensor:
        inner = functional.conv2d(maps, *self._first, self._stride, 1).relu_()
        if self._shortcut is not None:
            maps = functional.conv2d(maps, *self._shortcut, self._stride)
        return functional.conv2d(inner, *self._second, 1, 1).add_(maps).relu_()


class PyramidInference:
    """The backbone prepared for a device."""

    def __init__(self, network: ResNet34, device: torch.device) -> None:
        self._device = device
        self._stem = _placed(fold(network.conv1, network.bn1), device)
        names = [f"layer{number}" for number in range(1, COMPUTED_STAGES + 1)]
        self._stages = [[_Block(block, device) for block in network.get_submodule(name).children()] for name in names]

    def levels(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The pyramid as `ResNet34` computes it, channels last.

        Raises:
            ShapeError: a side below 8.
        """
        check_sides(images)
        weight, bias = self._stem
        images = images.to(self._device).contiguous(memory_format=torch.channels_last)
        levels = [images, functional.conv2d(images, weight, bias, 2, 3).relu_()]
        maps = functional.max_pool2d(levels[-1], 3, 2, 1)
        for stage in self._stages:
            for block in stage:
                maps = block(maps)
            levels.append(maps)
        return levels


class RegressorInference:
    """One regressor prepared for a device."""

    def __init__(self, network: Regressor, device: torch.device) -> None:
        self.config, self.window_px = network.config, network.window_px
        self._device = device
        self._joined = self.config.feat_comb == "pre"
        self._convolutions = list(_convolutions(network, device))
        *hidden, last = [layer for layer in network.fc.children() if isinstance(layer, nn.Linear)]
        norms = [layer for layer in network.fc.children() if isinstance(layer, nn.BatchNorm1d)]
        folded = [fold(layer, norm) for layer, norm in zip(hidden, norms, strict=True)]
        folded.append((last.weight.detach(), last.bias.detach()))
        self._linear = [(weight.to(device), bias.to(device)) for weight, bias in folded]

    def refine(
        self, source0: WindowSource, source1: WindowSource, matches: Float[Tensor, "N 4"]
    ) -> tuple[Tensor, Tensor]:
        """Matches moved to what the windows round them show, and their confidences.

        Args:
            source0: of image 0.
            source1: of image 1.
            matches: x0, y0, x1, y1 in pixels of the network's images.

        Returns:
            (N, 4) and (N,).
        """
        raw = self.raw(source0, source1, matches)
        return decode(raw, matches, (*source0.size, *source1.size), self.window_px)

    def raw(self, source0: WindowSource, source1: WindowSource, matches: Float[Tensor, "N 4"]) -> Tensor:
        """(N, 5): what `decode` takes."""
        count = WINDOWS_AT_ONCE.get(self._device.type, WINDOWS_AT_ONCE["cuda"])
        found = [self._raw(source0, source1, matches[i : i + count]) for i in range(0, len(matches), count)]
        return torch.cat(found) if found else matches.new_zeros(0, 5)

    def _raw(self, source0: WindowSource, source1: WindowSource, matches: Tensor) -> Tensor:
        side, channels = self.window_px, self.config.window_channels
        windows = matches.new_empty(len(matches), side, side, 2 * channels)
        read_windows(source0, matches[:, :2], side, windows[..., :channels])
        read_windows(source1, matches[:, 2:], side, windows[..., channels:])
        maps = windows.permute(0, 3, 1, 2)  # channels last in memory
        if self._joined:
            values = self._convolved(maps)
        else:
            values = torch.cat([self._convolved(maps[:, :channels]), self._convolved(maps[:, channels:])], dim=1)
        for weight, bias in self._linear[:-1]:
            values = functional.linear(values, weight, bias).relu_()
        return functional.linear(values, *self._linear[-1])

    def _convolved(self, maps: Tensor) -> Tensor:
        """(N, D): the convolutions, the ReLU and the largest of the map."""
        for convolution in self._convolutions:
            maps = convolution(maps)
        return maps.amax(dim=(2, 3)).relu_()


def _convolutions(network: Regressor, device: torch.device) -> Iterator[Callable[[Tensor], Tensor]]:
    """A regressor's convolutions with their norms."""
    side = network.window_px
    norms = [layer for layer in network.conv.children() if isinstance(layer, nn.BatchNorm2d)]
    layers = [layer for layer in network.conv.children() if isinstance(layer, nn.Conv2d)]
    for layer, norm, side_out in zip(layers, norms, network.config.conv_sizes(side), strict=True):
        weight, bias = _placed(fold(layer, norm), device)
        stride = layer.stride[0]
        if device.type == "cpu" and side == MAP_PX and (*weight.shape[2:], stride) == (3, 3, 1):
            yield TiledConvolution(weight, bias)
        else:
            yield partial(functional.conv2d, weight=weight, bias=bias, stride=stride, padding=1)
        side = side_out


def fold(layer: nn.Module, norm: nn.Module) -> Folded:
    """Weight and bias of a convolution or linear layer with the batch norm after it, in the layer's type."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_var is not None
    weight = layer.get_parameter("weight").detach().double()
    scale = norm.weight.detach().double() * torch.rsqrt(norm.running_var.double() + norm.eps)
    assert norm.running_mean is not None
    shift = norm.bias.detach().double() - norm.running_mean.double() * scale
    bias = getattr(layer, "bias", None)
    if bias is not None:
        shift = shift + bias.detach().double() * scale
    return (weight * scale.view(-1, *[1] * (weight.ndim - 1))).float(), shift.float()


def _placed(folded: Folded, device: torch.device) -> Folded:
    weight, bias = folded
    return weight.to(device).contiguous(memory_format=torch.channels_last), bias.to(device)
