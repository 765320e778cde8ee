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


_VGG_TAPS = ((1, 64), (2, 128), (4, 256), (8, 512), (16, 512), (16, 512))
_BOTTLENECK_TAPS = ((2, 64), (4, 256), (8, 512), (16, 1024))
_DILATED_TAPS = ((2, 64), (4, 256), (8, 2048))
_PATCH_TAPS = tuple((stride, 128) for stride in (1, 2, 4, 8, 16))


def _entry(target: str, taps: tuple[tuple[int, int], ...], weights: str, centre_px: float = 0) -> BackboneEntry:
    """A row whose network needs sides that are multiples of its coarsest stride."""
    target = f"trigpoint.networks.backbones.{target}"
    return BackboneEntry(target=target, taps=taps, centre_px=centre_px, padding=taps[-1][0], weights=weights)


BACKBONES: dict[str, BackboneEntry] = {
    "VGG19": _entry("vgg:vgg19", _VGG_TAPS, "vgg19", 7.5),
    "VGG19_BN": _entry("vgg:vgg19_bn", _VGG_TAPS, "vgg19-bn", 7.5),
    "COARSEVGG19": _entry("vgg:coarse_vgg19", _VGG_TAPS[1:], "vgg19", 7.5),
    "RESNET18": _entry("resnet:resnet18", ((2, 64), (4, 64), (8, 128), (16, 256)), "resnet18"),
    "RESNET50": _entry("resnet:resnet50", _BOTTLENECK_TAPS, "resnet50"),
    "RESNEXT50": _entry("resnet:resnext50", _BOTTLENECK_TAPS, "resnext50"),
    "DEEPLABV3_RESNET50": _entry("resnet:deeplabv3_resnet50", _DILATED_TAPS, "deeplabv3-resnet50"),
    "FCN_RESNET50": _entry("resnet:fcn_resnet50", _DILATED_TAPS, "fcn-resnet50"),
    "DEEPLABV3_MOBILE": _entry(
        "inverted_residuals:deeplabv3_mobilenet_v3_large",
        ((2, 16), (4, 24), (8, 40), (16, 80), (16, 160)),
        "deeplabv3-mobilenet",
    ),
    "MOBILEV3": _entry(
        "inverted_residuals:mobilenet_v3_large", ((2, 16), (4, 24), (8, 40), (16, 112), (16, 112)), "mobilenet-v3"
    ),
    "EFFICIENTNETV2": _entry(
        "inverted_residuals:efficientnet_v2_s", ((2, 24), (4, 48), (8, 64), (16, 128), (16, 160)), "efficientnet-v2"
    ),
    "DEEPPRUNER_FATS": _entry("stereo:deeppruner_fast", ((2, 32), (4, 64), (8, 32)), "deeppruner-fast"),
    "PSM": _entry("stereo:psm_net", ((2, 32), (4, 32), (8, 32)), "psmnet"),
    "CRE": _entry("stereo:cre_stereo", ((2, 64), (4, 256), (8, 256)), "crestereo", 2),
    "R2D2": _entry("r2d2:averaged_patches", _PATCH_TAPS, "gcm-student", 7.5),
    "R2D2_STU": _entry("r2d2:averaged_patches", _PATCH_TAPS, "gcm-student", 7.5),
    "DISK": _entry("disk:disk_encoder", ((2, 32), (4, 64), (8, 64), (16, 64)), "disk-depth", 7.5),
}
UNAVAILABLE = {
    "SWIN_TRANSFORMER": "GCM lists the name without the network, and a Swin transformer's finest map has stride 4, "
    "where refinement down to pixels needs one of stride 2",
}


def backbone_entry(name: str) -> BackboneEntry:
    """The table's row for a name in any case.

    Raises:
        SettingsError: no backbone has this name, or no network can; the message lists the names and the nearest one.
    """
    if name.upper() in UNAVAILABLE:
        raise SettingsError(
            f"backbone '{name}' cannot be had: {UNAVAILABLE[name.upper()]}; known: {', '.join(BACKBONES)}"
        )
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
    backbone.prepare()
    return backbone
