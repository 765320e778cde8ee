"""PUMP's descriptor network: ConvMixer with a convolutional stem, one unit descriptor of 128 numbers a pixel.

Parameter names are those of the official checkpoints, which are numbered after the operations in sequence. This is the
dense form, for training and as the reference of `pump_inference`.

Source: Revaud, Leroy, Weinzaepfel and Chidlovskii, "PUMP: Pyramidal and Uniqueness Matching Priors for Unsupervised
Learning of Local Descriptors", CVPR 2022.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks.preprocessing import IMAGENET_DEVIATION, IMAGENET_MEAN

DESCRIPTOR_DIM = 128
HIDDEN_DIM = 512
DEPTH = 7
PATCH_PX = 4  # stride of the hidden maps; rows and columns beyond its multiples are dropped
MIXING_PX = 9
STEM_PX = 5
SHUFFLE = 2


class Residual(nn.Module):
    """`x + fn(x)`; every channel is mixed over its neighbourhood alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fn = nn.Sequential(
            nn.Conv2d(channels, channels, MIXING_PX, padding=MIXING_PX // 2, groups=channels),
            nn.ReLU(),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Maps of the same size and channels."""
        return maps + self.fn(maps)


class PumpNet(nn.Sequential):
    """The network of PUMP, 3,469,568 parameters; position in the sequence is the name in checkpoints."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(3, DESCRIPTOR_DIM, STEM_PX, padding=STEM_PX // 2),
            nn.ReLU(),
            nn.BatchNorm2d(DESCRIPTOR_DIM),
            nn.Conv2d(DESCRIPTOR_DIM, HIDDEN_DIM, PATCH_PX, stride=PATCH_PX),
            nn.ReLU(),
            nn.BatchNorm2d(HIDDEN_DIM),
        ]
        for _ in range(DEPTH):
            layers += [Residual(HIDDEN_DIM), nn.Conv2d(HIDDEN_DIM, HIDDEN_DIM, 1), nn.ReLU()]
            layers += [nn.BatchNorm2d(HIDDEN_DIM)]
        layers += [nn.Conv2d(HIDDEN_DIM, DESCRIPTOR_DIM * SHUFFLE**2, 1), nn.PixelShuffle(SHUFFLE)]
        layers += [nn.Upsample(scale_factor=PATCH_PX // SHUFFLE, mode="bilinear", align_corners=False)]
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Descriptors of every pixel.

        Args:
            images: (B, 3, H, W) float, normalised as `preprocess` does; sides of at least 4.

        Returns:
            (B, 128, 4 floor(H / 4), 4 floor(W / 4)), unit vectors along the second axis.

        Raises:
            ShapeError: another number of channels, or a side below 4.
        """
        check_image_shape(tuple(images.shape))
        return functional.normalize(super().forward(images), dim=1, eps=1e-12)


def check_image_shape(shape: tuple[int, ...]) -> None:
    """Refuse what the patches cannot cover.

    Raises:
        ShapeError: not (B, 3, H, W) with sides of at least 4.
    """
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < PATCH_PX:
        raise ShapeError(f"pump: image batch is {shape}, expected (B, 3, H, W) with sides of at least {PATCH_PX}")


def preprocess(images: UInt8[Tensor, "B 3 H W"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "B 3 H W"]:
    """(B, 3, H, W) uint8 RGB to `dtype`, divided by 255, less ImageNet's mean, by its deviation."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=dtype, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_DEVIATION, dtype=dtype, device=images.device).view(3, 1, 1)
    return images.to(dtype).div_(255).sub_(mean).div_(std)


def load_pump(checkpoint: Mapping[str, Any], source: str) -> PumpNet:
    """A network with a checkpoint's weights, in evaluation mode.

    Args:
        checkpoint: the file's content: the state dict itself (official files), or one that holds it under `model`
            (files written while training).
        source: file or name for messages.

    Raises:
        WeightsError: names or shapes differ from the network's.
    """
    state = checkpoint.get("model", checkpoint)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{source} is no PUMP checkpoint: its section 'model' is a {type(state).__name__}")
    network = PumpNet()
    expected = network.state_dict()
    missing, unknown = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or unknown:
        first = f"no '{min(missing)}'" if missing else f"unknown '{min(unknown, key=str)}'"
        raise WeightsError(f"{source} is no PUMP checkpoint: {len(missing) + len(unknown)} names differ, {first}")
    for key, value in expected.items():
        found = tuple(getattr(state[key], "shape", ()))
        if not isinstance(state[key], Tensor) or found != tuple(value.shape):
            raise WeightsError(f"{source}: '{key}' is {found}, PUMP's network needs {tuple(value.shape)}")
        if state[key].is_floating_point() and not torch.isfinite(state[key]).all():
            raise WeightsError(f"{source}: '{key}' holds values that are not finite")
    network.load_state_dict(dict(state), strict=True)
    return network.eval()
