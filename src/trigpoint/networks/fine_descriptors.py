"""Descriptors of single pixels at full resolution, by the names that GCM's configuration files use.

Importing this loads no torch.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trigpoint.errors import SettingsError
from trigpoint.settings import nearest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FineEntry:
    """Where a descriptor's loader `(checkpoint, source, device) -> FineDescriptor` is, and its default weights."""

    target: str
    weights: str


FINE_MODELS = {
    "R2D2": FineEntry("trigpoint.networks.fine_networks:load_patches", "gcm-student"),
    "VGG19": FineEntry("trigpoint.networks.fine_networks:load_vgg19", "vgg19"),
    "DISK": FineEntry("trigpoint.networks.fine_networks:load_disk_descriptors", "disk-depth"),
}


class FineDescriptor(ABC):
    """Computes per image what can be shared, and descriptors only of the pixels that are asked for."""

    @abstractmethod
    def prepare(self, images: Tensor) -> Any:
        """What `sample` needs of one image.

        Args:
            images: (1, 3, H, W) float32 on the device, RGB in [0, 1] less ImageNet's mean, by its deviation; sides are
                multiples of 16.
        """

    @abstractmethod
    def sample(self, prepared: Any, xy: Tensor) -> Tensor:
        """(N, C) float32 of any length at pixels (N, 2) int64 x, y."""

    @abstractmethod
    def num_bytes(self, prepared: Any) -> int:
        """Memory of what `prepare` gave."""


def fine_entry(name: str) -> FineEntry:
    """The table's row for a name in any case.

    Raises:
        SettingsError: no descriptor has this name.
    """
    if name.upper() not in FINE_MODELS:
        raise SettingsError(f"no fine model is called '{name}'{nearest(name.upper(), list(FINE_MODELS))}")
    return FINE_MODELS[name.upper()]


def load_fine_descriptor(name: str, checkpoint: Mapping[str, Any], source: str, device: str) -> FineDescriptor:
    """A descriptor with a checkpoint's weights.

    Raises:
        SettingsError: no descriptor has this name.
        WeightsError: the checkpoint is of another network.
    """
    module, function = fine_entry(name).target.split(":")
    loaded: FineDescriptor = getattr(importlib.import_module(module), function)(checkpoint, source, device)
    return loaded
