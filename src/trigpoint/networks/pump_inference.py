"""PUMP's network for inference: batch norms folded where that is exact, full resolution only where it is read.

- The norm after operation 2 and the last one go into the convolution that follows: neither has zero padding.
- In a residual branch the norm's scale joins the addition, its shift the bias of the following 1x1 convolution.
- The map at half resolution is what is kept: descriptors of every pixel are its twofold bilinear enlargement, and
  those of the patches (pixels 4 i + 2) come from four values each, a sixteenth of the work.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.pump_net import (
    DEPTH,
    MIXING_PX,
    PATCH_PX,
    SHUFFLE,
    STEM_PX,
    PumpNet,
    check_image_shape,
    preprocess,
)

NORM_EPS = 1e-5
UNIT_EPS = 1e-12
FIRST_BLOCK = 6


@dataclass(frozen=True)
class _Norm:
    """An evaluated batch norm: `scale * x + shift`."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True)
class _Block:
    """Residual depthwise convolution, then a 1x1 one with the residual norm's shift in its bias, then a norm."""

    mixing: Tensor
    mixing_bias: Tensor
    residual_scale: Tensor
    pointwise: Tensor
    pointwise_bias: Tensor
    norm: _Norm


class PumpInference:
    """The network prepared for one device and type.

    Args:
        network: with its weights.
        dtype: of the network up to half resolution; descriptors are float32 always.
    """

    def __init__(self, network: PumpNet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device(device), dtype
        state = {key: value.detach().double() for key, value in network.state_dict().items()}
        norm = _norm(state, "2")
        self._stem = _channels_last(self._convolution(state["0.weight"], state["0.bias"]))
        self._patch = _channels_last(self._convolution(*_absorb(norm, state["3.weight"], state["3.bias"])))
        self._patch_norm = self._as_norm(_norm(state, "5"))
        self._blocks = [self._block(state, FIRST_BLOCK + 4 * index) for index in range(DEPTH)]
        head = FIRST_BLOCK + 4 * DEPTH
        last = _norm(state, str(head - 1))  # of the last block, applied here only
        self._head = self._convolution(*_absorb(last, state[f"{head}.weight"], state[f"{head}.bias"]))

    def half_maps(self, images: Tensor) -> Tensor:
        """The network up to half resolution, before descriptors are of unit length.

        Args:
            images: (B, 3, H, W) uint8 RGB, sides of at least 4.

        Returns:
            (B, 128, 2 floor(H / 4), 2 floor(W / 4)) of the network's type, or float32 for float64.

        Raises:
            ShapeError: another number of channels, or a side below 4.
        """
        check_image_shape(tuple(images.shape))
        # TensorFloat-32, cudnn's default, rounds to 10 bits: matches would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self._half_maps(preprocess(images.to(self.device), self.dtype))

    def _half_maps(self, maps: Tensor) -> Tensor:
        weight, bias = self._stem
        # channels last: the two dense convolutions take 29 ms, not 98 (300 x 200, 2 cores); the others do not gain
        maps = maps.contiguous(memory_format=torch.channels_last)
        maps = functional.conv2d(maps, weight, bias, padding=STEM_PX // 2).relu_()
        weight, bias = self._patch
        maps = functional.conv2d(maps, weight, bias, stride=PATCH_PX).relu_().contiguous()
        maps = _apply(self._patch_norm, maps)
        for index, block in enumerate(self._blocks):
            mixed = functional.conv2d(
                maps, block.mixing, block.mixing_bias, padding=MIXING_PX // 2, groups=maps.shape[1]
            ).relu_()
            maps = torch.addcmul(maps, mixed, block.residual_scale)
            maps = functional.conv2d(maps, block.pointwise, block.pointwise_bias).relu_()
            if index < DEPTH - 1:
                maps = _apply(block.norm, maps)
        weight, bias = self._head
        return functional.pixel_shuffle(functional.conv2d(maps, weight, bias), SHUFFLE)

    def _convolution(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return weight.to(self.device, self.dtype), bias.to(self.device, self.dtype)

    def _as_norm(self, norm: _Norm) -> _Norm:
        scale, shift = self._convolution(norm.scale, norm.shift)
        return _Norm(scale.view(-1, 1, 1), shift.view(-1, 1, 1))

    def _block(self, state: dict[str, Tensor], position: int) -> _Block:
        residual = _norm(state, f"{position}.fn.2")
        weight, bias = state[f"{position + 1}.weight"], state[f"{position + 1}.bias"]
        mixing, mixing_bias = self._convolution(state[f"{position}.fn.0.weight"], state[f"{position}.fn.0.bias"])
        pointwise, pointwise_bias = self._convolution(weight, bias + weight[:, :, 0, 0] @ residual.shift)
        norm = self._as_norm(_norm(state, str(position + 3)))
        scale = self._as_norm(residual).scale
        return _Block(mixing, mixing_bias, scale, pointwise, pointwise_bias, norm)


class PumpAsReleased(PumpInference):
    """The network operation by operation, nothing folded: near-ties of the matching fall as in the release.

    In float64 (its maps are float32) they do so on any number of threads, which change the order of float32 sums.
    """

    def __init__(self, network: PumpNet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self._layers = list(network.to(self.device, dtype))[:-1]  # without the last enlargement

    def _half_maps(self, maps: Tensor) -> Tensor:
        for layer in self._layers:
            maps = layer(maps)
        return maps.float() if self.dtype == torch.float64 else maps


def pixel_descriptors(half_map: Float[Tensor, "128 h w"]) -> Float32[Tensor, "128 2*h 2*w"]:
    """Descriptors of every pixel.

    Args:
        half_map: (128, 2 h, 2 w).

    Returns:
        (128, 4 h, 4 w) float32, unit vectors along the first axis.
    """
    enlarged = functional.interpolate(half_map[None].float(), scale_factor=2, mode="bilinear", align_corners=False)
    return _unit(enlarged[0])


def patch_descriptors(half_map: Float[Tensor, "128 h w"]) -> Float32[Tensor, "128 h//2 w//2"]:
    """Descriptors of the pixels (4 j + 2, 4 i + 2) only, equal to those of `pixel_descriptors` up to rounding.

    Pixel 4 i + 2 lies at 2 i + 3/4 of the map at half resolution.

    Args:
        half_map: (128, 2 h, 2 w).

    Returns:
        (128, h, w) float32, unit vectors along the first axis.
    """
    maps = half_map.float()
    rows = torch.lerp(maps[:, 0::2], maps[:, 1::2], 0.75)
    return _unit(torch.lerp(rows[:, :, 0::2], rows[:, :, 1::2], 0.75))


def _channels_last(convolution: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return convolution[0].contiguous(memory_format=torch.channels_last), convolution[1]


def _unit(maps: Tensor) -> Tensor:
    return maps.div_(torch.linalg.vector_norm(maps, dim=0).clamp_min_(UNIT_EPS))


def _apply(norm: _Norm, maps: Tensor) -> Tensor:
    return maps.mul_(norm.scale).add_(norm.shift)


def _norm(state: dict[str, Tensor], name: str) -> _Norm:
    scale = state[f"{name}.weight"] * torch.rsqrt(state[f"{name}.running_var"] + NORM_EPS)
    return _Norm(scale, state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale)


def _absorb(norm: _Norm, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution without padding that takes the norm's input instead of its output."""
    return weight * norm.scale.view(-1, 1, 1), bias + torch.einsum("oiyx,i->o", weight, norm.shift)
