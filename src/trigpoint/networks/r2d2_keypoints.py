"""R2D2's extractor: repeatable and reliable pixels of an image at several scales.

Source: Revaud et al., "R2D2", NeurIPS 2019, section 4 and the authors' extraction program.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

from trigpoint.errors import WeightsError
from trigpoint.geometry.pixels import HALF_PIXEL
from trigpoint.networks.keypoints import local_maxima, refine_subpixel
from trigpoint.networks.preprocessing import normalize_image
from trigpoint.networks.r2d2_inference import PatchInference

PATCH_PX = 32  # side of a keypoint at scale 1
NMS_WINDOW_PX = 3
SCALE_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions:
    """Which scales, which pixels.

    Attributes:
        scale_factor: from one level to the next; 1: one level, the largest that the sizes allow.
        min_size_px: of a level's longer side.
        max_size_px: likewise; larger levels are only passed through.
        min_scale: of a level against the image.
        max_scale: likewise, at most 1.
        reliability_threshold: least value of a keypoint.
        repeatability_threshold: likewise.
        subpixel: parabolas through the repeatability beside each keypoint.
        legacy: a level's pixel x is x / scale of the image, levels are made of one another without smoothing, of equal
            neighbours each is a keypoint.
    """

    scale_factor: float = 2**0.25
    min_size_px: int = 256
    max_size_px: int = 1024
    min_scale: float = 0.0
    max_scale: float = 1.0
    reliability_threshold: float = 0.7
    repeatability_threshold: float = 0.7
    subpixel: bool = False
    legacy: bool = False


@dataclass(frozen=True)
class PatchKeypoints:
    """Keypoints of all levels, levels from large to small, each in row-major order.

    Attributes:
        xy: (N, 2) pixels of the image, centre of the top-left pixel at (0, 0).
        sizes: (N,) pixels of the image that a patch is wide.
        scores: (N,) reliability times repeatability.
        descriptors: (N, 128) of unit length.
    """

    xy: Float32[Tensor, "N 2"]
    sizes: Float32[Tensor, "N"]
    scores: Float32[Tensor, "N"]
    descriptors: Float32[Tensor, "N 128"]

    def strongest(self, limit: int | None) -> "PatchKeypoints":
        """At most `limit` keypoints, largest score first; equal ones in the order of levels and rows."""
        order = torch.argsort(self.scores, descending=True, stable=True)[:limit]
        return PatchKeypoints(self.xy[order], self.sizes[order], self.scores[order], self.descriptors[order])


def extract_keypoints(
    network: PatchInference, image: Float32[Tensor, "3 H W"], options: ExtractionOptions
) -> PatchKeypoints:
    """All keypoints of an image.

    Args:
        image: RGB in [0, 1].

    Returns:
        Arrays on the network's device.

    Raises:
        WeightsError: the network's output is not finite.
    """
    image = image.to(network.device)
    levels = [_of_level(network, image, level, scale, options) for level, scale in _pyramid(image, options)]
    columns = zip(*((level.xy, level.sizes, level.scores, level.descriptors) for level in levels), strict=True)
    return PatchKeypoints(*(torch.cat(parts) for parts in columns))


def searched_scales(longer_px: int, options: ExtractionOptions) -> list[tuple[float, bool]]:
    """Scales from 1 downwards, and whether each is searched; the others are only passed through.

    An image that no level of the options' sizes can be made of is searched as it is.
    """
    lowest = max(options.min_scale, options.min_size_px / longer_px)
    highest = min(options.max_scale, options.max_size_px / longer_px)
    if options.scale_factor == 1:
        return [(min(1.0, highest), True)]
    scales, scale = [], 1.0
    while scale + SCALE_TOLERANCE >= lowest:
        scales.append((scale, scale - SCALE_TOLERANCE <= highest))
        scale /= options.scale_factor
    return scales if any(searched for _, searched in scales) else [(1.0, True)]


def _pyramid(
    image: Float32[Tensor, "3 H W"], options: ExtractionOptions
) -> Iterator[tuple[Float32[Tensor, "3 h w"], float]]:
    height, width = image.shape[1:]
    level = image[None]
    for scale, searched in searched_scales(max(height, width), options):
        size = max(1, round(height * scale)), max(1, round(width * scale))
        if scale != 1 and options.legacy:
            level = functional.interpolate(level, size, mode="bilinear")
        elif scale != 1 and searched:
            level = functional.interpolate(image[None], size, mode="bilinear", antialias=True)
        if searched:
            yield level[0], scale


def _of_level(
    network: PatchInference,
    image: Float32[Tensor, "3 H W"],
    level: Float32[Tensor, "3 h w"],
    scale: float,
    options: ExtractionOptions,
) -> PatchKeypoints:
    maps = network.maps(normalize_image(level)[None])[0]
    reliability, repeatability = network.heads(maps)
    if not torch.isfinite(repeatability).all():
        raise WeightsError("r2d2: the network gave values that are not finite: check the checkpoint, or use float32")
    xy = _peaks(repeatability, options.legacy)
    x, y = xy.unbind(1)
    kept = (repeatability[y, x] >= options.repeatability_threshold) & (
        reliability[y, x] >= options.reliability_threshold
    )
    xy, x, y = xy[kept], x[kept], y[kept]
    positions = refine_subpixel(repeatability, xy) if options.subpixel else xy.float()
    (height, width), (level_height, level_width) = image.shape[1:], level.shape[1:]
    factors = positions.new_tensor([width / level_width, height / level_height])
    half_px = 0.0 if options.legacy else HALF_PIXEL
    return PatchKeypoints(
        (positions + half_px) * factors - half_px,
        torch.full_like(positions[:, 0], PATCH_PX / scale),
        reliability[y, x] * repeatability[y, x],
        functional.normalize(maps[:, y, x].T, dim=1),
    )


def _peaks(repeatability: Float32[Tensor, "H W"], legacy: bool) -> Int64[Tensor, "N 2"]:
    """(N, 2) pixels x, y that no neighbour exceeds, in row-major order."""
    if not legacy:
        return local_maxima(repeatability, NMS_WINDOW_PX)
    largest = functional.max_pool2d(repeatability[None], NMS_WINDOW_PX, stride=1, padding=NMS_WINDOW_PX // 2)[0]
    return torch.nonzero(repeatability == largest).flip(1)
