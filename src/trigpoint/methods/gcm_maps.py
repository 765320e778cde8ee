"""Photographs as GCM's networks see them, and their maps, kept for further pairs of the same photographs."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trigpoint.errors import WeightsError
from trigpoint.matching.gcm.refinement import Sampler
from trigpoint.networks.backbones.base import Backbone
from trigpoint.networks.fine_descriptors import FineDescriptor
from trigpoint.networks.preprocessing import (
    fit_longer_side,
    fit_shorter_side,
    normalize_image,
    pad_to_multiple,
    shrink,
    to_tensor,
)
from trigpoint.types import Image


@dataclass(frozen=True)
class View:
    """Pixels that the networks see.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        key: different for different pixels; empty if its maps are not worth keeping.
    """

    pixels: NDArray[np.uint8]
    key: tuple[object, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]


def open_view(image: Image, longer_px: int | None, shorter_px: int | None) -> View:
    """A photograph reduced to its longer side, or to its shorter one if that is given."""
    decoded = image.pixels.shape[1], image.pixels.shape[0]
    size = fit_longer_side(decoded, longer_px) if shorter_px is None else fit_shorter_side(decoded, shorter_px)
    digest = image.digest or hashlib.sha256(image.pixels.tobytes()).hexdigest()
    return View(shrink(image.pixels, size), (digest, decoded, size))


class GcmMaps:
    """Maps of views by the two networks.

    Args:
        backbone: on the device.
        fine: None if the backbone's finest map is that of pixels.
        padding: sides of the networks' images are multiples of it.
        device: of the networks.
        max_bytes: of kept maps.
    """

    def __init__(
        self, backbone: Backbone, fine: FineDescriptor | None, *, padding: int, device: str, max_bytes: int
    ) -> None:
        self._backbone, self._fine = backbone, fine
        self._padding, self._device = padding, torch.device(device)
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[tuple[object, ...], tuple[Any, int]] = OrderedDict()

    def padded_size(self, view: View) -> tuple[int, int]:
        """(width, height) of the networks' image."""
        width, height = (side + -side % self._padding for side in view.size)
        return width, height

    def pyramid(self, view: View) -> list[Tensor]:
        """Maps (C, h, w), finest first; the last two have one resolution."""
        maps: list[Tensor] = self._get("pyramid", view, self._compute_pyramid, _bytes_of)
        return maps

    def coarsest(self, view: View) -> Tensor:
        """The last map alone."""
        if ("pyramid", *view.key) in self._kept:
            return self.pyramid(view)[-1]
        maps: list[Tensor] = self._get("coarsest", view, self._compute_coarsest, _bytes_of)
        return maps[0]

    def fine_sampler(self, view: View) -> Sampler:
        """Descriptors of single pixels by the fine model."""
        fine = self._fine
        assert fine is not None
        prepared = self._get("fine", view, lambda of: fine.prepare(self._input(of)), fine.num_bytes)
        return lambda xy: fine.sample(prepared, xy)

    def _compute_pyramid(self, view: View) -> list[Tensor]:
        maps = [level[0] for level in self._backbone(self._input(view))]
        self._check(maps)
        return maps if maps[-1].shape[1:] == maps[-2].shape[1:] else [*maps, maps[-1]]

    def _compute_coarsest(self, view: View) -> list[Tensor]:
        maps = [self._backbone.coarsest(self._input(view))[0]]
        self._check(maps)
        return maps

    def _check(self, maps: list[Tensor]) -> None:
        if not all(torch.isfinite(level).all() for level in maps):
            raise WeightsError("gcm: the backbone gave values that are not finite: check its checkpoint")

    def _input(self, view: View) -> Tensor:
        """(1, 3, H, W): zeros beside the image are the mean colour."""
        image = pad_to_multiple(normalize_image(to_tensor(view.pixels)), self._padding)[None]
        order = torch.channels_last if self._backbone.channels_last else torch.contiguous_format
        return image.to(self._device, memory_format=order)

    def _get(self, kind: str, view: View, compute: Callable[[View], Any], count: Callable[[Any], int]) -> Any:
        key = (kind, *view.key)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        # TensorFloat-32, cudnn's default, rounds to 10 bits: matches would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            computed = compute(view)
        size = count(computed)
        if view.key and size <= self._max_bytes:
            self._kept[key] = computed, size
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1][1]
        return computed


def map_sampler(values: Tensor) -> Sampler:
    """Values of a map (C, h, w) at cells (N, 2) x, y, as (N, C)."""
    rows = values.permute(1, 2, 0)  # in this order in memory, if the network's maps are channels last
    return lambda xy: rows[xy[:, 1], xy[:, 0]]


def _bytes_of(maps: list[Tensor]) -> int:
    return sum({level.data_ptr(): level.numel() * level.element_size() for level in maps}.values())
