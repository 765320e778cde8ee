"""Images reduced and rotated, each with the 3x3 matrix that maps its pixels to those of the image it was made from.

Centre of the top-left pixel is (0, 0): reducing by s puts pixel x at (x + 0.5) / s - 0.5 of the larger image. Under
`legacy` the functions do what PUMP's release does: x / s, the ratios of width and height exchanged when resizing,
averages over windows of whole pixels, values cut instead of rounded, canvases cut to multiples of 4, and quarter turns
in the negative sense interpolated.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.preprocessing import fit_longer_side, shrink

CANVAS_MULTIPLE = 4  # the network drops what is beyond
QUARTER_DEG = 90
Transform = NDArray[np.floating]  # (3, 3): original from current pixels; float64, float32 under `legacy`


@dataclass(frozen=True)
class TransformedImage:
    """(3, H, W) uint8 RGB and the (3, 3) matrix that maps its pixels to the image's it was made from."""

    pixels: Tensor
    transform: Transform

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[2], self.pixels.shape[1]


def untouched(pixels: Tensor, *, legacy: bool = False) -> TransformedImage:
    """An image and the identity."""
    return TransformedImage(pixels, np.eye(3, dtype=np.float32 if legacy else np.float64))


def resize(image: TransformedImage, longer_px: int, *, legacy: bool = False) -> TransformedImage:
    """The image with its longer side reduced to `longer_px`, by areas; 0, or a smaller image: as it is."""
    width, height = image.size
    if longer_px == 0 or max(width, height) <= longer_px:
        return image
    if not legacy:
        size = fit_longer_side((width, height), longer_px)
        pixels = torch.from_numpy(shrink(np.ascontiguousarray(image.pixels.permute(1, 2, 0).cpu().numpy()), size))
        scaled = scaling(width / size[0], height / size[1])
        return TransformedImage(pixels.permute(2, 0, 1).contiguous().to(image.pixels.device), image.transform @ scaled)
    new_height, new_width = (int(side * longer_px / max(width, height)) for side in (height, width))
    averaged = functional.interpolate(image.pixels[None].float(), (new_height, new_width), mode="area")[0]
    scaled = np.diag([height / new_height, width / new_width, 1]).astype(np.float32)  # exchanged, as released
    return TransformedImage(_to_uint8(averaged, legacy), image.transform @ scaled)


def reduce(image: TransformedImage, scale: float, *, legacy: bool = False) -> TransformedImage:
    """The image reduced by a factor of at most 1: halved by 2x2 means as often as possible, the rest bicubically."""
    if scale == 1:
        return image
    values, rest = image.pixels[None].float(), scale
    while rest <= 0.5:
        values, rest = functional.avg_pool2d(values, 2), 2 * rest
    if rest != 1:
        values = functional.interpolate(values, scale_factor=rest, mode="bicubic", align_corners=False)
    if legacy:
        transform = image.transform.copy()
        transform[:2, :2] /= scale
    else:
        transform = image.transform @ scaling(1 / scale, 1 / scale)
    return TransformedImage(_to_uint8(values[0], legacy), transform)


def reduced_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) that `reduce` makes of an image's."""
    width, height = size
    rest = scale
    while rest <= 0.5:
        width, height, rest = width // 2, height // 2, 2 * rest
    return math.floor(width * rest), math.floor(height * rest)


def rotate(image: TransformedImage, angle_deg: float, *, crop: bool = False, legacy: bool = False) -> TransformedImage:
    """The image turned: pixel p of the result shows R p + t of the image, R = [[cos, -sin], [sin, cos]].

    Multiples of 90 degrees are exact. Others are sampled bilinearly on a canvas that holds the whole image, black
    outside, sides multiples of 4.

    Args:
        crop: the canvas has the image's own size instead, for all but multiples of 90 degrees.
    """
    quarters, rest = divmod(angle_deg if legacy else angle_deg % 360, QUARTER_DEG)
    if rest == 0 and 0 <= quarters < 4:
        return _quarter_turns(image, int(quarters))
    width, height = image.size
    rotation = np.eye(3, dtype=image.transform.dtype)
    sin, cos = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    rotation[:2, :2] = [[cos, -sin], [sin, cos]]
    canvas = (width, height) if crop else rotated_size((width, height), angle_deg, legacy=legacy)
    border_px = 0 if legacy else 1  # the centre of W pixels is at (W - 1) / 2
    centre_from, centre_to = ((np.array(size, rotation.dtype) - border_px) / 2 for size in (canvas, (width, height)))
    rotation[:2, 2] = centre_to - rotation[:2, :2] @ centre_from
    return TransformedImage(_sample(image.pixels, rotation, canvas, legacy), image.transform @ rotation)


def rotated_size(size: tuple[int, int], angle_deg: float, *, legacy: bool = False) -> tuple[int, int]:
    """(width, height) of the canvas that holds a turned image; of quarter turns the exact one."""
    width, height = size
    if angle_deg % QUARTER_DEG == 0 and (not legacy or angle_deg >= 0):
        return (width, height) if angle_deg % 180 == 0 else (height, width)
    sin, cos = abs(math.sin(math.radians(angle_deg))), abs(math.cos(math.radians(angle_deg)))
    extents = width * cos + height * sin, width * sin + height * cos
    if legacy:
        wide, high = (int(extent + 0.5) // CANVAS_MULTIPLE * CANVAS_MULTIPLE for extent in extents)
    else:
        wide, high = (math.ceil(round(extent, 6) / CANVAS_MULTIPLE) * CANVAS_MULTIPLE for extent in extents)
    return wide, high


def scaling(x: float, y: float) -> Transform:
    """Pixels of an image x times as wide and y times as high, from the smaller one's: `(p + 0.5) * factor - 0.5`."""
    return np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]])


def transform_points(transform: Transform, xy: NDArray) -> NDArray[np.floating]:
    """Points (..., 2) through a transform, of the transform's type."""
    points = np.asarray(xy).astype(transform.dtype)
    moved = points @ transform[:2, :2].T + transform[:2, 2]
    return np.asarray(moved)


def _quarter_turns(image: TransformedImage, quarters: int) -> TransformedImage:
    width, height = image.size
    corners = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]  # shown at the result's top left
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    (x, y) = corners[quarters]
    rotation = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]], dtype=image.transform.dtype)
    return TransformedImage(torch.rot90(image.pixels, quarters, (1, 2)).contiguous(), image.transform @ rotation)


def _sample(pixels: Tensor, rotation: Transform, canvas: tuple[int, int], legacy: bool) -> Tensor:
    """(3, H', W') values at the places that `rotation` maps the canvas to; zero outside."""
    from_unit, to_unit = (_from_unit_square(size) for size in (canvas, (pixels.shape[2], pixels.shape[1])))
    # In this order and type: under `legacy` values that are whole numbers but for rounding are cut.
    theta = torch.linalg.inv(torch.from_numpy(to_unit.astype(rotation.dtype))) @ torch.from_numpy(rotation)
    theta = (theta @ torch.from_numpy(from_unit.astype(rotation.dtype)))[None, :2].to(pixels.device, torch.float32)
    grid = functional.affine_grid(theta, [1, 3, canvas[1], canvas[0]], align_corners=True)
    sampled = functional.grid_sample(pixels[None].float(), grid, align_corners=True)
    return _to_uint8(sampled[0], legacy)


def _from_unit_square(size: tuple[int, int]) -> Transform:
    """Pixels of an image from [-1, 1], which are the centres of its first and last ones."""
    x, y = ((max(side, 2) - 1) / 2 for side in size)
    return np.array([[x, 0, x], [0, y, y], [0, 0, 1]])


def _to_uint8(values: Tensor, legacy: bool) -> Tensor:
    return (values if legacy else values.round()).clamp(0, 255).to(torch.uint8)
