"""Names and shapes of the tensors in the published checkpoints of GCM's backbones, as far as backbones use them.

Those of torchvision's networks are asked of torchvision; those of the stereo networks are written out.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from torchvision_models import torchvision_models

VGG_TAPS = ("2", "7", "12", "21", "30", "32")


class Peer(NamedTuple):
    """torchvision's network, the part of it that is run, and the modules in it whose outputs are the taps."""

    builder: str
    part: str
    taps: tuple[str, ...]


SEGMENTATION_TAPS = ("conv1", "layer1", "layer4")
PEERS = {
    "VGG19": Peer("vgg19", "features", VGG_TAPS),
    "VGG19_BN": Peer("vgg19_bn", "features", ("3", "10", "17", "30", "43", "46")),
    "COARSEVGG19": Peer("vgg19", "features", VGG_TAPS[1:]),
    "RESNET18": Peer("resnet18", "", ("relu", "layer1", "layer2", "layer3")),
    "RESNET50": Peer("resnet50", "", ("relu", "layer1", "layer2", "layer3")),
    "RESNEXT50": Peer("resnext50_32x4d", "", ("relu", "layer1", "layer2", "layer3")),
    "DEEPLABV3_RESNET50": Peer("segmentation.deeplabv3_resnet50", "backbone", SEGMENTATION_TAPS),
    "FCN_RESNET50": Peer("segmentation.fcn_resnet50", "backbone", SEGMENTATION_TAPS),
    "DEEPLABV3_MOBILE": Peer("segmentation.deeplabv3_mobilenet_v3_large", "backbone", ("1", "3", "6", "10", "15")),
    "MOBILEV3": Peer("mobilenet_v3_large", "features", ("1", "3", "6", "11", "12")),
    "EFFICIENTNETV2": Peer("efficientnet_v2_s", "features", ("1", "2", "3", "4", "5")),
}
HEADS = ("classifier.", "aux_classifier.", "fc.")

Shapes = dict[str, tuple[int, ...]]
STAGES = {"layer1": (32, 32, 3), "layer2": (32, 64, 16), "layer3": (64, 128, 3), "layer4": (128, 128, 3)}


def normalised(name: str, shape: tuple[int, ...]) -> Shapes:
    """A convolution without bias and its batch normalisation, in a row."""
    norm = {f"{name}.1.{part}": (shape[0],) for part in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.0.weight": shape, **norm, f"{name}.1.num_batches_tracked": ()}


def pooled_pyramid_names(stem: list[str], conv1: str, branches: int, last: str, joined: int) -> Shapes:
    """Tensors of PSMNet's and DeepPruner's feature parts, which differ in how they nest."""
    shapes: Shapes = {}
    for name, channels in zip(stem, (3, 32, 32), strict=True):
        shapes |= normalised(f"firstconv.{name}", (32, channels, 3, 3))
    for stage, (channels_in, channels, blocks) in STAGES.items():
        for block in range(blocks):
            before = channels_in if block == 0 else channels
            shapes |= normalised(f"{stage}.{block}.{conv1}", (channels, before, 3, 3))
            shapes |= normalised(f"{stage}.{block}.conv2", (channels, channels, 3, 3))
        if stage in ("layer2", "layer3"):
            shapes |= normalised(f"{stage}.0.downsample", (channels, channels_in, 1, 1))
    for branch in range(5 - branches, 5):
        shapes |= normalised(f"branch{branch}.1", (32, 128, 1, 1))
    return {**shapes, **normalised("lastconv.0", (128, joined, 3, 3)), f"lastconv.{last}.weight": (32, 128, 1, 1)}


def encoder_names() -> Shapes:
    """Tensors of the encoder of CREStereo's port to PyTorch; its instance norms have none."""
    convolutions = {"conv1": (64, 3, 7, 7), "conv2": (256, 128, 1, 1)}
    for stage, (channels_in, channels) in {"layer1": (64, 64), "layer2": (64, 96), "layer3": (96, 128)}.items():
        for block, before in enumerate((channels_in, channels)):
            convolutions[f"{stage}.{block}.conv1"] = (channels, before, 3, 3)
            convolutions[f"{stage}.{block}.conv2"] = (channels, channels, 3, 3)
            convolutions[f"{stage}.{block}.downsample.0"] = (channels, before, 1, 1)
    return {
        name: size
        for key, shape in convolutions.items()
        for name, size in ((f"{key}.weight", shape), (f"{key}.bias", shape[:1]))
    }


STEREO = {  # their feature parts
    "PSM": pooled_pyramid_names(["0", "2", "4"], "conv1.0", 4, "2", 64 + 128 + 4 * 32),
    "DEEPPRUNER_FATS": pooled_pyramid_names(["0", "1", "2"], "conv1", 3, "1", 128 + 128 + 3 * 32),
    "CRE": encoder_names(),
}


def build_peer(name: str) -> nn.Module:
    """torchvision's network of a backbone's name, without memory for its tensors."""
    builder = torchvision_models()
    for attribute in PEERS[name].builder.split("."):
        builder = getattr(builder, attribute)
    given = {"weights_backbone": None} if "segmentation" in PEERS[name].builder else {}
    with torch.device("meta"):
        network: nn.Module = builder(weights=None, **given)
    return network.eval()


def empty_checkpoint(name: str) -> dict[str, Tensor]:
    """A whole published checkpoint (of stereo networks the feature part) with zeros that take no memory."""
    if name in STEREO:
        kinds = {True: torch.int64, False: torch.float32}
        return {key: zeros(shape, kinds[shape == ()]) for key, shape in STEREO[name].items()}
    return {key: zeros(tensor.shape, tensor.dtype) for key, tensor in build_peer(name).state_dict().items()}


def without_heads(checkpoint: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint but for classifiers, which are large."""
    return {key: tensor for key, tensor in checkpoint.items() if not key.startswith(HEADS)}


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """One zero, seen as many."""
    return torch.zeros((), dtype=dtype).expand(shape)
