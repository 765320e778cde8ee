"""What a backbone is: an image's feature maps at several strides, finest first."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A frozen network; its row in `trigpoint.networks.backbones.BACKBONES` says strides, channels and padding."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Maps (B, C, H / stride, W / stride) of the row's taps, finest first; none is normalised or shares memory.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; sides are multiples of the row's padding.
        """

    def coarsest(self, images: Float[Tensor, "B 3 H W"]) -> Tensor:
        """The last map alone; a network that can leave out what only finer maps need has its own."""
        return self(images)[-1]
