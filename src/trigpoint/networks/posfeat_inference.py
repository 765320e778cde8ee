"""PoSFeat's description network for inference, and descriptors at keypoints.

Exact up to rounding: batch normalisation goes into the weights before it; the coarse head, which only training reads,
is left out; the decoder's convolutions of enlarged maps run at the small maps' resolution (see `enlarging`), those of
joined maps as the sum of two, so that nothing is copied together; descriptors are interpolated at the keypoints only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError
from trigpoint.networks.convolution import convolve
from trigpoint.networks.enlarging import EnlargedConvolution
from trigpoint.networks.posfeat_net import CELL_PX, STRIDE, ResUNet
from trigpoint.networks.resnet import Bottleneck

DECODER_ROWS = 8  # computed at a time


@dataclass(frozen=True)
class PosfeatMaps:
    """What descriptors and scores are computed from, channels last in memory.

    Attributes:
        local: (1, 128, H/4, W/4) float32, descriptors before normalisation.
        small: (1, 64, H/4, W/4).
    """

    local: Tensor
    small: Tensor


@dataclass(frozen=True)
class _Folded:
    """A convolution with the batch normalisation behind it in its weights."""

    weight: Tensor
    bias: Tensor
    stride: int = 1

    def __call__(self, maps: Tensor) -> Tensor:
        return convolve(maps, self.weight, self.bias, stride=self.stride, padding=self.weight.shape[2] // 2)

    def on_joined(self, first: Tensor, second: Tensor) -> Tensor:
        """Of two maps as if they were one; two convolutions of half the depth take 5 to 25 % less time than one."""
        padding = self.weight.shape[2] // 2
        result = convolve(first, self._halves[0], self.bias, padding=padding)
        return result.add_(convolve(second, self._halves[1], padding=padding))

    @cached_property
    def _halves(self) -> tuple[Tensor, Tensor]:
        first, second = self.weight.chunk(2, dim=1)
        form = torch.channels_last
        return first.contiguous(memory_format=form), second.contiguous(memory_format=form)


class DescriptionInference:
    """The description network prepared for one device and type.

    Args:
        network: with its weights.
        dtype: of weights and activations; the result is float32 always.
    """

    def __init__(self, network: ResUNet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device(device), dtype
        place = {"device": self.device, "dtype": dtype}
        self._first = _folded(network.firstconv, network.firstbn, place)
        stages = (network.layer1, network.layer2, network.layer3)
        self._stages = [[_FoldedBottleneck(block, place) for block in stage] for stage in stages]
        self._up = [_FoldedUp(unit.conv.conv, unit.conv.bn, place) for unit in (network.upconv3, network.upconv2)]
        self._join = [_folded(unit.conv, unit.bn, place) for unit in (network.iconv3, network.iconv2)]
        self._fine = _folded(network.conv_fine.conv, network.conv_fine.bn, place)

    def maps(self, image: Tensor) -> PosfeatMaps:
        """Maps of one image.

        Args:
            image: (3, H, W) float32, normalised as `normalize_image` does; sides are multiples of 16.

        Raises:
            ShapeError: another shape.
        """
        if (
            image.ndim != 3
            or image.shape[0] != 3
            or 0 in image.shape
            or image.shape[1] % STRIDE
            or image.shape[2] % STRIDE
        ):
            raise ShapeError(f"posfeat: image is {tuple(image.shape)}, expected (3, H, W), sides multiples of {STRIDE}")
        # TensorFloat-32, cudnn's default, rounds to 10 bits: keypoints would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self._maps(image[None].to(self.device, self.dtype).contiguous(memory_format=torch.channels_last))

    def _maps(self, image: Tensor) -> PosfeatMaps:
        small, *skips, decoded = self.encode(image)
        for level in range(len(self._up)):
            decoded = self.join(level, self.enlarge(level, decoded), skips.pop())
        return PosfeatMaps(self.describe(decoded), small.float())

    def encode(self, image: Tensor) -> list[Tensor]:
        """(1, 3, H, W), channels last, to the stem's pooled map and those of the three stages."""
        maps = [functional.max_pool2d(self._first(image).relu_(), 3, 2, 1)]
        for stage in self._stages:
            last = maps[-1]
            for block in stage:
                last = block(last)
            maps.append(last)
        return maps

    def enlarge(self, level: int, maps: Tensor) -> Tensor:
        """(1, C0, h, w) to (1, C, 2 h, 2 w), level 0 from stride 16, level 1 from stride 8."""
        return self._up[level](maps)

    def join(self, level: int, enlarged: Tensor, skip: Tensor) -> Tensor:
        """Enlarged map and the encoder's to (1, C, h, w)."""
        return functional.elu_(self._join[level].on_joined(enlarged, skip))

    def describe(self, decoded: Tensor) -> Tensor:
        """(1, 256, H/4, W/4) to (1, 128, H/4, W/4) float32."""
        return functional.elu_(self._fine(decoded)).float()


class _FoldedBottleneck:
    """A bottleneck of three folded convolutions, or four with the shortcut's."""

    def __init__(self, block: nn.Module, place: Mapping[str, object]) -> None:
        assert isinstance(block, Bottleneck)
        pairs = ((block.conv1, block.bn1), (block.conv2, block.bn2), (block.conv3, block.bn3))
        self._convolutions = [_folded(conv, norm, place) for conv, norm in pairs]
        shortcut = list(block.downsample)
        self._shortcut = _folded(shortcut[0], shortcut[1], place) if shortcut else None

    def __call__(self, maps: Tensor) -> Tensor:
        first, second, third = self._convolutions
        inner = third(second(first(maps).relu_()).relu_())
        return inner.add_(maps if self._shortcut is None else self._shortcut(maps)).relu_()


class _FoldedUp:
    """Twofold enlargement, folded 3x3 convolution, ELU; the products at the small map's resolution."""

    def __init__(self, conv: nn.Conv2d, norm: nn.Module, place: Mapping[str, object]) -> None:
        folded = _folded(conv, norm, place)
        self._enlarged = EnlargedConvolution(folded.weight, align_corners=True)
        self._bias = folded.bias

    def __call__(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        target = self._bias.expand(2 * height, 2 * width, -1).contiguous()
        products = self._enlarged.products(maps)
        for block in self._enlarged.row_blocks(height, 2 * height, DECODER_ROWS, maps.device):
            self._enlarged.add_block(target[block[0] : block[1]], products, block)
        return functional.elu_(target).permute(2, 0, 1)[None]


def _folded(conv: nn.Module, norm: nn.Module, place: Mapping[str, object]) -> _Folded:
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (
        -norm.running_mean.double() if conv.bias is None else conv.bias.detach().double() - norm.running_mean.double()
    )
    weight = conv.weight.detach().double() * factor[:, None, None, None]
    moved = weight.to(**place).contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shifted = (bias * factor + norm.bias.detach().double()).to(**place)  # type: ignore[call-overload]
    return _Folded(moved, shifted, conv.stride[0])


def sample_descriptors(local: Tensor, xy: Tensor, *, half_cell_shift: bool) -> Tensor:
    """Unit descriptors at positions of the image, bilinear; zero beyond the map.

    Args:
        local: (1, 128, h, w).
        xy: (N, 2) float32 pixels of the network's image, at most its size.
        half_cell_shift: read x w / (W - 1) - 1/2 as the authors do, in training too; otherwise cell x / 4, which is
            where the encoder's strides put pixel x.

    Returns:
        (N, 128) float32.

    Source: PoSFeat's release gives corner-aligned coordinates to a sampler that aligns edges.
    """
    size = torch.tensor([local.shape[3], local.shape[2]], device=local.device)
    cells = xy * (size / (CELL_PX * size - 1)) - 0.5 if half_cell_shift else xy / CELL_PX
    grid = (2 * cells + 1) / size - 1
    sampled = functional.grid_sample(local, grid[None, None], mode="bilinear", align_corners=False)
    return functional.normalize(sampled[0, :, 0].T, dim=1)
