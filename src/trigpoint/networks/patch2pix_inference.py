"""Patch2Pix for inference: batch norms folded into convolutions and linear layers, channels last, windows in batches.

On a processor the convolutions of the published regressors go through `CellConvolution`, of which the finer levels are
the rest, and `TiledConvolution`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.networks.cell_convolution import KERNEL_PX, STRIDE, CellConvolution
from trigpoint.networks.patch2pix_net import Regressor, decode
from trigpoint.networks.patch2pix_windows import WindowSource, read_windows
from trigpoint.networks.resnet import BasicBlock
from trigpoint.networks.resnet34 import (
    CELL_PX,
    COMPUTED_STAGES,
    LEVEL_CHANNELS,
    LEVEL_STRIDES,
    ResNet34,
    check_sides,
)
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
        self._windows = _WindowConvolution(network, device)
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
        found = [self._raw((source0, source1), matches[i : i + count]) for i in range(0, len(matches), count)]
        return torch.cat(found) if found else matches.new_zeros(0, 5)

    def _raw(self, sources: tuple[WindowSource, WindowSource], matches: Tensor) -> Tensor:
        values = torch.cat([self._pooled(maps) for maps in self._windows.maps(sources, matches)], dim=1)
        for weight, bias in self._linear[:-1]:
            values = functional.linear(values, weight, bias).relu_()
        return functional.linear(values, *self._linear[-1])

    def _pooled(self, maps: Tensor) -> Tensor:
        """(N, D): the further convolutions, the ReLU and the largest of the map."""
        for convolution in self._convolutions:
            maps = convolution(maps)
        return maps.amax(dim=(2, 3)).relu_()


class _WindowConvolution:
    """The first convolution, from the pyramids: of both images' windows together, or of each alone (`post`)."""

    def __init__(self, network: Regressor, device: torch.device) -> None:
        config, self._window_px = network.config, network.window_px
        conv, norm = network.conv[0], network.conv[1]
        assert isinstance(conv, nn.Conv2d)
        weight, self._bias = (tensor.to(device) for tensor in fold(conv, norm))
        self._stride, self._joined = conv.stride[0], config.feat_comb == "pre"
        self._num_levels = len(config.feat_idx)
        self._of_cells: list[CellConvolution] = []
        channels = config.window_channels
        coarsest = config.feat_idx[-1]
        geometry = (conv.kernel_size[0], self._stride, self._window_px % 2)
        fits = len(config.feat_idx) > 1 and LEVEL_STRIDES[coarsest] == CELL_PX and geometry == (KERNEL_PX, STRIDE, 0)
        if device.type == "cpu" and fits:
            self._num_levels -= 1
            channels -= LEVEL_CHANNELS[coarsest]
            parts = weight.split([channels, LEVEL_CHANNELS[coarsest]] * (2 if self._joined else 1), dim=1)
            self._of_cells = [CellConvolution(part, self._window_px, CELL_PX) for part in parts[1::2]]
            weight = torch.cat(parts[0::2], dim=1)
        self._channels = channels
        self._weight = weight.contiguous(memory_format=torch.channels_last)

    def maps(self, sources: tuple[WindowSource, WindowSource], matches: Tensor) -> list[Tensor]:
        """(N, O, h, w) of both images, or of each of them."""
        if self._joined:
            return [self._convolved(sources, [matches[:, :2], matches[:, 2:]])]
        return [self._convolved(sources[i : i + 1], [matches[:, 2 * i : 2 * i + 2]]) for i in (0, 1)]

    def _convolved(self, sources: Sequence[WindowSource], positions: list[Tensor]) -> Tensor:
        side, channels = self._window_px, self._channels
        windows = positions[0].new_empty(len(positions[0]), side, side, channels * len(sources))
        for number, (source, xy) in enumerate(zip(sources, positions, strict=True)):
            part = windows[..., number * channels : (number + 1) * channels]
            read_windows(source, xy, side, part, self._num_levels)
        maps = functional.conv2d(windows.permute(0, 3, 1, 2), self._weight, self._bias, self._stride, 1)
        maps = maps.contiguous(memory_format=torch.channels_last)
        for of_cells, source, xy in zip(self._of_cells, sources, positions, strict=False):
            of_cells.add_to(maps, source, self._num_levels, xy)
        return maps


def _convolutions(network: Regressor, device: torch.device) -> Iterator[Callable[[Tensor], Tensor]]:
    """A regressor's convolutions after the first, with their norms."""
    first, *sizes = network.config.conv_sizes(network.window_px)
    side = first
    norms = [layer for layer in network.conv.children() if isinstance(layer, nn.BatchNorm2d)]
    layers = [layer for layer in network.conv.children() if isinstance(layer, nn.Conv2d)]
    for layer, norm, side_out in zip(layers[1:], norms[1:], sizes, strict=True):
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
