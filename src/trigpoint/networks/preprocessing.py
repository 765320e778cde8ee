"""From a photograph's pixels to a network's input: size, resampling, range, padding."""

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]


def fit_longer_side(size: tuple[int, int], longer_px: int | None) -> tuple[int, int]:
    """(width, height) shrunk so that the longer side is `longer_px`; images that are smaller already stay."""
    longest = max(size)
    if longer_px is None or longest <= longer_px:
        return size
    width, height = (max(1, round(side * longer_px / longest)) for side in size)
    return width, height


def fit_shorter_side(size: tuple[int, int], shorter_px: int) -> tuple[int, int]:
    """(width, height) shrunk so that the shorter side is `shorter_px`; images that are smaller already stay."""
    shortest = min(size)
    if shortest <= shorter_px:
        return size
    width, height = (round(side * shorter_px / shortest) for side in size)
    return width, height


def fit_frame(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """(width, height) shrunk to fit into a frame (width, height); images that fit already stay."""
    scale = min(1.0, frame[0] / size[0], frame[1] / size[1])
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def fill_frame(size: tuple[int, int], frame: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """(width, height) scaled up or down until one side is that of a frame (width, height), and the factor.

    The other side is rounded down, so its own factor is a little smaller.

    Source: cvlab-epfl/disk, where images are fitted to its height and width.
    """
    (width, height), tall = size, size[1] * frame[0] > size[0] * frame[1]
    factor = 1 / max(height / frame[1], width / frame[0])
    filled = (int(factor * width), frame[1]) if tall else (frame[0], int(factor * height))
    return (max(1, filled[0]), max(1, filled[1])), factor


def shrink(pixels: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """(H, W, 3) uint8 resampled to a smaller (width, height); each pixel is the mean of the area it covers."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def to_tensor(pixels: UInt8[np.ndarray, "H W 3"]) -> Float32[Tensor, "3 H W"]:
    """(H, W, 3) uint8 to (3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float().div_(255)


def normalize_image(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """(..., 3, H, W) RGB in [0, 1] with ImageNet's mean taken off and divided by its deviation."""
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (images - mean) / deviation


def denormalize_image(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """(..., 3, H, W) RGB in [0, 1] from what `normalize_image` made of it."""
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return images * deviation + mean


def pad_to_frame(image: Float[Tensor, "C h w"], frame: tuple[int, int]) -> Float[Tensor, "C H W"]:
    """(C, H, W) with zeros on the right and at the bottom up to a frame (width, height) that it fits into."""
    height, width = image.shape[1:]
    return torch.nn.functional.pad(image, (0, frame[0] - width, 0, frame[1] - height))


def pad_to_multiple(image: Float[Tensor, "C h w"], multiple: int) -> Float[Tensor, "C H W"]:
    """(C, H, W) with zeros on the right and at the bottom, sides multiples of `multiple`."""
    height, width = image.shape[1:]
    return torch.nn.functional.pad(image, (0, -width % multiple, 0, -height % multiple))
