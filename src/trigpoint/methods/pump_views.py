"""Images as PUMP's network sees them, and their maps of descriptors, kept for further pairs and computed in batches."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trigpoint.errors import WeightsError
from trigpoint.networks.image_transforms import TransformedImage, resize, scaling, untouched
from trigpoint.networks.pump_inference import PumpInference
from trigpoint.types import Image

# Of images that go through the network together, 1 kB of activations each. On a processor larger batches only cost
# memory: eight images of 300 x 200 took 2.9 s together and 0.86 s one by one, with the same bits (2 cores).
BATCH_PIXELS = {"cpu": 1 << 15, "cuda": 1 << 21}


@dataclass(frozen=True)
class View:
    """An image after some transforms.

    Attributes:
        key: different for different pixels.
        image: pixels, and the matrix to the image it began with.
    """

    key: tuple[object, ...]
    image: TransformedImage

    def then(self, image: TransformedImage, *step: object) -> "View":
        """The view after a further step, which the key has to tell."""
        return View((*self.key, *step), image)


def open_view(image: Image, longer_px: int, device: torch.device, *, legacy: bool = False) -> View:
    """A photograph reduced to `longer_px` (0: as it is), with the matrix to pixels of the original."""
    height, width = image.pixels.shape[:2]
    pixels = torch.from_numpy(np.ascontiguousarray(image.pixels.transpose(2, 0, 1))).to(device)
    opened = untouched(pixels, legacy=legacy)
    if image.size != (width, height):  # decoded at reduced size
        decoded = scaling(image.size[0] / width, image.size[1] / height).astype(opened.transform.dtype)
        opened = TransformedImage(pixels, decoded)
    digest = image.digest or hashlib.sha256(image.pixels.tobytes()).hexdigest()
    return View((digest, width, height, longer_px), resize(opened, longer_px, legacy=legacy))


class DescriptorMaps:
    """Maps at half resolution by view; the ones used last stay in memory.

    Args:
        network: prepared for a device.
        max_bytes: of kept maps.
    """

    def __init__(self, network: PumpInference, max_bytes: int) -> None:
        self._network = network
        self._max_bytes = max_bytes
        self._bytes = 0
        self._maps: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()
        self.num_computed = 0

    def of(self, views: Sequence[View]) -> list[Tensor]:
        """(128, 2 h, 2 w) of each view, in the network's type; views of one size go through the network together."""
        found: dict[tuple[object, ...], Tensor] = {}
        missing: dict[tuple[int, ...], list[View]] = {}
        for view in {view.key: view for view in views}.values():
            if view.key in self._maps:
                self._maps.move_to_end(view.key)
                found[view.key] = self._maps[view.key]
            else:
                missing.setdefault(tuple(view.image.pixels.shape), []).append(view)
        for shape, group in missing.items():
            batch = max(1, BATCH_PIXELS[self._network.device.type] // (shape[1] * shape[2]))
            for start in range(0, len(group), batch):
                found |= self._compute(group[start : start + batch])
        return [found[view.key] for view in views]

    def _compute(self, views: list[View]) -> dict[tuple[object, ...], Tensor]:
        """Maps of views of one size.

        Raises:
            WeightsError: a value is not finite.
        """
        maps = self._network.half_maps(torch.stack([view.image.pixels for view in views]))
        if not torch.isfinite(maps).all():
            raise WeightsError(
                "pump: the network gave values that are not finite: check the checkpoint, or use dtype float32"
            )
        self.num_computed += len(views)
        # copies, so that a map that is kept does not keep its whole batch
        computed = {view.key: maps[i].clone() if len(views) > 1 else maps[i] for i, view in enumerate(views)}
        for key, half_map in computed.items():
            self._keep(key, half_map)
        return computed

    def _keep(self, key: tuple[object, ...], half_map: Tensor) -> None:
        size = half_map.numel() * half_map.element_size()
        if size > self._max_bytes:
            return
        self._maps[key] = half_map
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, oldest = self._maps.popitem(last=False)
            self._bytes -= oldest.numel() * oldest.element_size()
