"""Backbones of hierarchical matching: the interface's table, by the names that GCM's configuration files use.

Importing this loads no torch. A row's target is a function `(checkpoint, source) -> Backbone` (`base.Backbone`), where
`checkpoint` is the file's content and `source` its name for messages; it raises WeightsError where the two do not fit.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trigpoint.errors import SettingsError
from trigpoint.settings import nearest

if TYPE_CHECKING:
    from trigpoint.networks.backbones.base import Backbone


@dataclass(frozen=True, kw_only=True)
class BackboneEntry:
    """One row of the table.

    Attributes:
        target: `module:function` that makes the network from a checkpoint.
        taps: (stride, channels) of each map, finest first, each stride twice the one before; the last two may be equal.
        centre_px: pixel of the image at which cell 0 of the coarsest map is centred, the same for x and y:
            (stride - 1) / 2 where maps are halved by 2x2 pooling, 0 where by padded strided convolutions.
        padding: sides of the network's image are multiples of it.
        weights: name of its checkpoint in `trigpoint.storage.weights`.
    """

    target: str
    taps: tuple[tuple[int, int], ...]
    centre_px: float
    padding: int
    weights: str

    @property
    def num_maps(self) -> int:
        """Maps that matching works on: a last map that has a stride of its own serves both dense stages, as two."""
        strides = [stride for stride, _ in self.taps]
        return len(strides) + (strides[-1] != strides[-2])


_MODULES = "trigpoint.networks.backbones"
_VGG_TAPS = ((1, 64), (2, 128), (4, 256), (8, 512), (16, 512), (16, 512))
BACKBONES: dict[str, BackboneEntry] = {
    "VGG19": BackboneEntry(target=f"{_MODULES}.vgg:vgg19", taps=_VGG_TAPS, centre_px=7.5, padding=16, weights="vgg19"),
    "VGG19_BN": BackboneEntry(
        target=f"{_MODULES}.vgg:vgg19_bn", taps=_VGG_TAPS, centre_px=7.5, padding=16, weights="vgg19-bn"
    ),
    "COARSEVGG19": BackboneEntry(
        target=f"{_MODULES}.vgg:coarse_vgg19", taps=_VGG_TAPS[1:], centre_px=7.5, padding=16, weights="vgg19"
    ),
}


def backbone_entry(name: str) -> BackboneEntry:
    """The table's row for a name in any case.

    Raises:
        SettingsError: no backbone has this name; the message lists the names and the nearest one.
    """
    if name.upper() not in BACKBONES:
        raise SettingsError(f"no backbone is called '{name}'{nearest(name.upper(), list(BACKBONES))}")
    return BACKBONES[name.upper()]


def load_backbone(name: str, checkpoint: Mapping[str, Any], source: str) -> Backbone:
    """A backbone with a checkpoint's weights, in evaluation mode.

    Args:
        name: of the table, in any case.
        checkpoint: the file's content.
        source: file or name for messages.

    Raises:
        SettingsError: no backbone has this name.
        WeightsError: the checkpoint is of another network.
    """
    module, function = backbone_entry(name).target.split(":")
    backbone: Backbone = getattr(importlib.import_module(module), function)(checkpoint, source)
    return backbone.eval()
