"""R2D2's descriptor network, and the shallower student that GCM distilled from it.

Fully convolutional at full resolution: strides are replaced by dilation. Parameter names are those of the official
checkpoints. `r2d2_inference` has the form for inference.

Sources: Revaud, Weinzaepfel, De Souza and Humenberger, "R2D2: Reliable and repeatable detector and descriptor", NeurIPS
2019 (the teacher); "GCM", arXiv 2403.05388 (the student).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.networks.backbones.loading import load_part

DESCRIPTOR_DIM = 128


@dataclass(frozen=True)
class ConvolutionSpec:
    """A convolution that keeps the size; all but the last are followed by a batch norm without scale and shift."""

    channels: int
    kernel_px: int
    dilation: int
    activate: bool = True


_MIXING = (
    ConvolutionSpec(DESCRIPTOR_DIM, 2, 4, activate=False),
    ConvolutionSpec(DESCRIPTOR_DIM, 2, 8, activate=False),
    ConvolutionSpec(DESCRIPTOR_DIM, 2, 16, activate=False),
)
TEACHER = (
    ConvolutionSpec(32, 3, 1),
    ConvolutionSpec(32, 3, 1),
    ConvolutionSpec(64, 3, 1),
    ConvolutionSpec(64, 3, 2),
    ConvolutionSpec(128, 3, 2),
    ConvolutionSpec(128, 3, 4),
    *_MIXING,
)
STUDENT = (ConvolutionSpec(32, 3, 1), ConvolutionSpec(64, 3, 1), ConvolutionSpec(128, 3, 2), *_MIXING)


class PatchNet(nn.Module):
    """A 128-channel map, and from its squares how reliable and how repeatable each pixel is.

    Args:
        layers: TEACHER (484,387 parameters) or STUDENT (290,627).
    """

    def __init__(self, layers: tuple[ConvolutionSpec, ...]) -> None:
        super().__init__()
        self.layers = layers
        ops: list[nn.Module] = []
        channels_in = 3
        for spec in layers:
            padding = (spec.kernel_px - 1) * spec.dilation // 2
            ops.append(nn.Conv2d(channels_in, spec.channels, spec.kernel_px, padding=padding, dilation=spec.dilation))
            ops.append(nn.BatchNorm2d(spec.channels, affine=False))
            if spec.activate:
                ops.append(nn.ReLU())
            channels_in = spec.channels
        self.ops = nn.ModuleList(ops[:-1])
        self.clf = nn.Conv2d(DESCRIPTOR_DIM, 2, 1)
        self.sal = nn.Conv2d(DESCRIPTOR_DIM, 1, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 128 H W"]:
        """Descriptors before they are of unit length.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; any size.
        """
        maps = images
        for layer in self.ops:
            maps = layer(maps)
        return maps

    def heads(self, maps: Float[Tensor, "B 128 H W"]) -> tuple[Float[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Reliability and repeatability in [0, 1], from raw maps."""
        squares = maps.square()
        reliability = torch.softmax(self.clf(squares), dim=1)[:, 1]
        peak = functional.softplus(self.sal(squares))[:, 0]
        return reliability, peak / (1 + peak)


def load_patch_net(checkpoint: Mapping[str, Any], source: str) -> PatchNet:
    """A network with a checkpoint's weights, in evaluation mode: the teacher or the student, whichever it is of.

    Args:
        checkpoint: the file's content: the state dict under `state_dict`, its names with or without `module.`.
        source: file or name for messages.

    Raises:
        WeightsError: names or shapes are neither network's.
    """
    state = checkpoint.get("state_dict", checkpoint)
    is_teacher = isinstance(state, Mapping) and any(str(key).endswith("ops.22.weight") for key in state)
    network = PatchNet(TEACHER if is_teacher else STUDENT)
    name = "R2D2" if is_teacher else "R2D2 or its student"
    return load_part(network, checkpoint, source, name=name, prefixes=("", "module.")).eval()
