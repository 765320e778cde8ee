"""Images as NCNet's and Patch2Pix's networks see them, and their maps, kept for the images' further pairs."""

import hashlib
import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.errors import WeightsError
from trigpoint.networks.patch2pix_inference import PyramidInference
from trigpoint.networks.patch2pix_windows import WindowSource, window_source
from trigpoint.networks.preprocessing import normalize_image, to_tensor
from trigpoint.networks.resnet34 import CELL_PX, COARSEST_LEVEL, normalize_features
from trigpoint.types import Image

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class DescribedImage:
    """What pairs need of an image.

    Attributes:
        features: (256, h, w), each cell of unit length.
        windows: what the regressors' windows are read from; none for NCNet.
        size: (width, height) of the network's image.
    """

    features: Tensor
    windows: WindowSource | None
    size: Size

    @property
    def num_bytes(self) -> int:
        """Of all maps."""
        own = self.features.numel() * self.features.element_size()
        return own + (0 if self.windows is None else self.windows.num_bytes)


class DescribedImages:
    """Maps by image; the ones used last stay in memory.

    Args:
        network: the backbone, prepared.
        feat_idx: levels that windows are made of; none without regressors.
        imsize: longer side, or None.
        multiple: sides of the network's image are multiples of it.
        max_bytes: of kept maps.
        legacy: sizes as the release rounds them.
    """

    def __init__(
        self,
        network: PyramidInference,
        feat_idx: tuple[int, ...],
        *,
        imsize: int | None,
        multiple: int,
        max_bytes: int,
        legacy: bool,
    ) -> None:
        self._network, self._feat_idx = network, feat_idx
        self._imsize, self._multiple, self._legacy = imsize, multiple, legacy
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[tuple[str, Size], DescribedImage] = OrderedDict()
        self.num_computed = 0

    def of(self, image: Image) -> DescribedImage | None:
        """The image's maps; None if it is too small to have a pooled cell.

        Raises:
            WeightsError: a value of the maps is not finite.
        """
        decoded = (image.pixels.shape[1], image.pixels.shape[0])
        size = network_size(decoded, self._imsize, self._multiple, legacy=self._legacy)
        if min(size) == 0:
            return None
        key = (image.digest or hashlib.sha256(image.pixels.tobytes()).hexdigest(), decoded)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        described = self.describe(resize_bicubic(image.pixels, size), image.name)
        self._keep(key, described)
        return described

    def describe(self, pixels: NDArray[np.uint8], name: str) -> DescribedImage:
        """Maps of an image (H, W, 3) of any size that has a cell, as it is."""
        levels = self._network.levels(normalize_image(to_tensor(pixels))[None])
        features = normalize_features(levels[COARSEST_LEVEL][0])
        if not torch.isfinite(features).all():
            raise WeightsError(f"{name}: the network gave values that are not finite: check the checkpoint")
        self.num_computed += 1
        windows = window_source(levels, self._feat_idx) if self._feat_idx else None
        return DescribedImage(features, windows, (pixels.shape[1], pixels.shape[0]))

    def _keep(self, key: tuple[str, Size], described: DescribedImage) -> None:
        if described.num_bytes > self._max_bytes:
            return
        self._kept[key] = described
        self._bytes += described.num_bytes
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.num_bytes


def network_size(size: Size, imsize: int | None, multiple: int, *, legacy: bool = False) -> Size:
    """(width, height) with the longer side reduced to `imsize`, then both cut to multiples.

    Args:
        size: (width, height) of the image.
        imsize: never enlarges; None, 0 or less: the image's own longer side.
        multiple: of the network's cells.
        legacy: in floating point, in the release's order: some sizes lose a whole multiple.
    """
    longer = max(size)
    wanted = longer if imsize is None or imsize <= 0 else min(imsize, longer)
    if not legacy:
        width, height = (side * wanted // (longer * multiple) * multiple for side in size)
        return width, height
    cells = multiple // CELL_PX
    width, height = (
        int(math.floor(side / (longer / wanted) * (1 / CELL_PX) / cells) / (1 / CELL_PX) * cells) for side in size
    )
    return width, height


def resize_bicubic(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 resampled to (width, height) by Pillow's bicubic filter, with which the networks were trained."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.array(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC))  # writable
