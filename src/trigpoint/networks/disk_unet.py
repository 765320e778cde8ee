"""DISK's U-Net: an RGB image to 128 descriptor channels and one detection logit a pixel.

Parameter names are those of the official checkpoints. This is the dense form, for training and as the reference of
`disk_inference`, which computes descriptors only where they are needed.

Source: Tyszkiewicz, Fua and Trulls, "DISK: Learning local features with policy gradient", NeurIPS 2020.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError, WeightsError

DESCRIPTOR_DIM = 128
KERNEL_SIZE = 5
STRIDE = 16  # image sides must be multiples: four poolings
DOWN_CHANNELS = (16, 32, 64, 64, 64)
UP_CHANNELS = (64, 64, 64, DESCRIPTOR_DIM + 1)


def convolution_unit(channels_in: int, channels_out: int, activate: bool = True) -> nn.Sequential:
    """Normalise, gate, convolve; positions 0 to 3 keep the checkpoints' names (2 was dropout)."""
    return nn.Sequential(
        nn.InstanceNorm2d(channels_in) if activate else nn.Identity(),
        nn.PReLU(channels_in) if activate else nn.Identity(),
        nn.Identity(),
        nn.Conv2d(channels_in, channels_out, KERNEL_SIZE, padding=KERNEL_SIZE // 2),
    )


class UpBlock(nn.Module):
    """Enlarge the lower map twofold, join the skip map behind it, one convolution unit."""

    def __init__(self, channels_low: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        self.conv = convolution_unit(channels_low + channels_skip, channels_out)

    def forward(
        self, low: Float[Tensor, "B C0 h w"], skip: Float[Tensor, "B C1 2*h 2*w"]
    ) -> Float[Tensor, "B C 2*h 2*w"]:
        """The lower map and the skip map joined at twice the lower one's size."""
        enlarged = functional.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv(torch.cat([enlarged, skip], dim=1))


class UNet(nn.Module):
    """Five levels down, four up, one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.path_down = nn.ModuleList()
        channels_in = 3
        for level, channels in enumerate(DOWN_CHANNELS):
            pool = nn.AvgPool2d(2) if level else nn.Identity()
            self.path_down.append(nn.Sequential(pool, convolution_unit(channels_in, channels, activate=level > 0)))
            channels_in = channels
        self.path_up = nn.ModuleList()
        for channels, skip in zip(UP_CHANNELS, reversed(DOWN_CHANNELS[:-1]), strict=True):
            self.path_up.append(UpBlock(channels_in, skip, channels))
            channels_in = channels

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 129 H W"]:
        """Descriptor channels and logit of every pixel."""
        skips = [images]
        for block in self.path_down:
            skips.append(block(skips[-1]))
        features = skips.pop()
        for block in self.path_up:
            features = block(features, skips.pop())
        return features


class DiskUNet(nn.Module):
    """The network of DISK, 1,092,369 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet()

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors and detection logit of every pixel.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1]; H and W are multiples of 16.

        Returns:
            (B, 129, H, W): 128 descriptor channels, not normalised, then the logit.

        Raises:
            ShapeError: another number of channels, or a side that is no multiple of 16.
        """
        check_image_shape(tuple(images.shape))
        return self.unet(images)


def check_image_shape(shape: tuple[int, ...]) -> None:
    """Refuse what the poolings cannot halve four times.

    Raises:
        ShapeError: not (B, 3, H, W) with sides that are positive multiples of 16.
    """
    if len(shape) != 4 or shape[1] != 3 or shape[2] % STRIDE or shape[3] % STRIDE or 0 in shape:
        raise ShapeError(f"disk: image batch is {shape}, expected (B, 3, H, W) with H and W multiples of {STRIDE}")


def load_disk(checkpoint: Mapping[str, Any], source: str) -> DiskUNet:
    """A network with a checkpoint's weights, in evaluation mode.

    Args:
        checkpoint: the file's content; the state dict stands under `extractor` (official files) or `disk`.
        source: file or name for messages.

    Raises:
        WeightsError: neither section is there, or names or shapes differ.
    """
    section = next((key for key in ("extractor", "disk") if key in checkpoint), None)
    if section is None:
        raise WeightsError(f"{source} is no DISK checkpoint: expected a section 'extractor' or 'disk'")
    network = DiskUNet()
    try:
        network.load_state_dict(checkpoint[section], strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{source} does not fit DISK's network: {error}") from error
    return network.eval()
