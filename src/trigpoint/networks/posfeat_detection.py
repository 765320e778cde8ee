"""PoSFeat's detection network for inference: the published prior (none) and activation, a strip of rows at a time.

Exact up to rounding:

- Biases that a normalisation removes are left out.
- The first convolution's map, enlarged fourfold, is convolved at its own resolution: a sixteenth of the products.
- The two convolutions of the image have no activation between them: they are one of 5x5 pixels from three channels, but
  for the outermost ring of pixels, where the second one sees zeros.
- PReLU keeps positive factors, so normalisation is a mean to take off and a factor in the next weights.

The plain form holds 256 and then 128 channels at every pixel; here photographs beyond STORED_PIXELS hold none, and have
their strips computed twice, for the statistics and for the scores.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.enlarging import EnlargedConvolution
from trigpoint.networks.posfeat_inference import PosfeatMaps
from trigpoint.networks.posfeat_net import KeypointDet

NORM_EPS = 1e-5
STATISTICS_EPS = 1e-12  # keeps the reciprocal of a constant channel's deviation finite
ROWS = 16  # computed at a time; 640 columns of 128 channels are 5 MB
STORED_PIXELS = 1 << 20  # of an image whose 128 channels are kept, 512 bytes a pixel
HALO = 2  # pixels that 5x5 ones reach beyond their centre


class DetectionInference:
    """The detection network prepared for one device.

    Args:
        network: with its weights, prior `identity` and activation `Softplus`.
        dtype: of the two convolutions at stride 4; statistics and everything at full resolution are float32 always.
    """

    def __init__(self, network: KeypointDet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        state = {key: value.detach().float().to(device) for key, value in network.state_dict().items()}
        self._slope = state["relu.weight"].item()
        self._first = state["conv1.weight"].to(dtype).contiguous(memory_format=torch.channels_last)
        channels = self._first.shape[0]
        self._low = EnlargedConvolution(state["conv2.weight"][:, :channels].to(dtype), align_corners=False)
        self._image = state["convimg.weight"].contiguous(memory_format=torch.channels_last)
        self._detail = state["conv2.weight"][:, channels:].contiguous()
        self._last = state["conv3.weight"].flatten()

    def scores(self, maps: PosfeatMaps, image: Tensor) -> Tensor:
        """Score of every pixel of one image.

        Args:
            maps: of the description network.
            image: (3, H, W) float32, as given to it.

        Returns:
            (H, W) float32, positive.
        """
        image = image[None].to(maps.local.device).contiguous(memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            logits = self.logits(self.low_products(maps), self.image_part(image))
        return functional.softplus(functional.instance_norm(logits[None, None])[0, 0])

    def low_products(self, maps: PosfeatMaps) -> list[Tensor]:
        """What the second convolution's taps make of the first one's normalised and gated map."""
        features = torch.cat([maps.local, maps.small], dim=1).to(self.dtype)
        low = functional.conv2d(features, self._first, padding=1)
        mean, deviation = _statistics(low.float().split(ROWS, dim=2))
        centred = functional.leaky_relu_(low - mean.to(self.dtype)[:, None, None], self._slope)
        return [taps.float() for taps in self._low.products(centred, (1 / deviation).to(self.dtype))]

    def image_part(self, image: Tensor) -> "ImagePart":
        """Of (1, 3, H, W), channels last."""
        return ImagePart(image, self._image, self._detail)

    def logits(self, products: list[Tensor], image_part: "ImagePart") -> Tensor:
        """(H, W): both parts of the second convolution added, normalised, gated, and summed with the last weights."""
        strips = _Strips(self._low, products, image_part)
        source: Iterable[Tensor] = list(strips) if image_part.num_pixels <= STORED_PIXELS else strips
        mean, deviation = _statistics(strip.permute(2, 0, 1)[None] for strip in source)
        weights = self._last / deviation
        return torch.cat([functional.leaky_relu_(strip.sub_(mean), self._slope) @ weights for strip in source])


@dataclass(frozen=True)
class _Strips:
    """The second convolution's output before normalisation, (rows, W, 128) at a time from top to bottom."""

    low: EnlargedConvolution
    products: list[Tensor]
    image_part: "ImagePart"

    def __iter__(self) -> Iterator[Tensor]:
        height = self.image_part.height
        for block in self.low.row_blocks(len(self.products[0]), height, ROWS, self.products[0].device):
            strip = self.image_part.rows(block[0], block[1])
            self.low.add_block(strip, self.products, block)
            yield strip


class ImagePart:
    """What the second convolution makes of the image's channels.

    Args:
        image: (1, 3, H, W).
        first: (64, 3, 3, 3), normalised before the second.
        second: (128, 64, 3, 3).
    """

    def __init__(self, image: Tensor, first: Tensor, second: Tensor) -> None:
        self.height, self.num_pixels = image.shape[2], image.shape[2] * image.shape[3]
        self._padded = functional.pad(image, (HALO,) * 4)
        starts = range(0, self.height, ROWS)
        mean, deviation = _statistics(
            functional.conv2d(self._padded[:, :, row + 1 : min(row + ROWS, self.height) + 3, 1:-1], first)
            for row in starts
        )
        kernel, bias = first / deviation[:, None, None, None], -mean / deviation
        # convolution is associative: (128, 64, 3, 3) with (64, 3, 3, 3) gives (128, 3, 5, 5)
        joined = functional.conv2d(second, kernel.flip(2, 3).transpose(0, 1), padding=HALO)
        self._weight = joined.contiguous(memory_format=torch.channels_last)
        self._bias = second.sum(dim=(2, 3)) @ bias
        self._top, self._bottom = (_edge(image, 2, last, kernel, bias, second) for last in (False, True))
        self._left, self._right = (_edge(image, 3, last, kernel, bias, second) for last in (False, True))

    def rows(self, first: int, last: int) -> Tensor:
        """(last - first, W, 128)."""
        padded = self._padded[:, :, first : last + 2 * HALO]
        rows = functional.conv2d(padded, self._weight, self._bias).permute(0, 2, 3, 1)[0]
        rows[:, :1], rows[:, -1:] = self._left[first:last], self._right[first:last]
        if first == 0:
            rows[:1] = self._top
        if last == self.height:
            rows[-1:] = self._bottom
        return rows


def _edge(image: Tensor, dim: int, last: bool, kernel: Tensor, bias: Tensor, second: Tensor) -> Tensor:
    """The first or last row (dim 2) or column (dim 3) by the two convolutions one after the other: (1, W, 128)."""
    near = image.narrow(dim, image.shape[dim] - 3 if last else 0, 3)
    detail = functional.conv2d(near, kernel, bias, padding=1).narrow(dim, 1 if last else 0, 2)
    both = functional.conv2d(detail, second, padding=1)
    return both.narrow(dim, 1 if last else 0, 1).permute(0, 2, 3, 1)[0]


def _statistics(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (C,) each, over parts (1, C, h, w), channels last; joined in float64.

    Batch normalisation gives a part's numbers ten times faster than `torch.var_mean`.
    """
    count = 0
    mean = squares = torch.zeros((), dtype=torch.float64)
    for part in parts:
        _, center, reciprocal = torch.native_batch_norm(part, None, None, None, None, True, 0.0, STATISTICS_EPS)
        variance = (reciprocal.double() ** -2 - STATISTICS_EPS).clamp(min=0)
        num = part.shape[2] * part.shape[3]
        total = count + num
        difference = center.double() - mean
        squares = squares + variance * num + difference**2 * (count * num / total)
        mean = mean + difference * (num / total)
        count = total
    return mean.float(), (squares / count + NORM_EPS).sqrt().float()
