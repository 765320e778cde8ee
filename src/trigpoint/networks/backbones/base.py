"""What a backbone is: an image's feature maps at several strides, finest first."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format


class Backbone(nn.Module, ABC):
    """A frozen network; its row in `trigpoint.networks.backbones.BACKBONES` says strides, channels and padding.

    Attributes:
        channels_last: whether it is faster, on the processor, with weights and maps in that order in memory.
    """

    channels_last: ClassVar[bool] = False

    @abstractmethod
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Maps (B, C, H / stride, W / stride) of the row's taps, finest first; none is normalised or shares memory.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; sides are multiples of the row's padding.
        """

    def coarsest(self, images: Float[Tensor, "B 3 H W"]) -> Tensor:
        """The last map alone; a network that can leave out what only finer maps need has its own."""
        return self(images)[-1]

    def prepare(self) -> None:
        """Put it into evaluation mode, and its weights into the faster order."""
        self.eval()
        if self.channels_last:
            convert_conv2d_weight_memory_format(self, torch.channels_last)


class TappedRow(Backbone):
    """Layers in a row, `features`; taps are the outputs of some.

    Args:
        features: the last one is tapped.
        taps: positions in `features`, ascending.
    """

    channels_last = True

    def __init__(self, features: Sequence[nn.Module], taps: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self._taps = frozenset(taps)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """The taps' maps, finest first."""
        maps, tapped = images, []
        for position, layer in enumerate(self.features):
            maps = layer(maps)
            if position in self._taps:
                tapped.append(maps)
        return tapped
