"""VGG19 up to its last tapped convolution; every tap is a convolution's output, before normalisation and ReLU.

Parameter names are torchvision's.

Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
configuration E; the taps are those of Efe, Ince and Alatan, "DFM: A performance baseline for deep feature matching",
CVPR workshops 2021.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from torch import nn

from trigpoint.networks.backbones.base import TappedRow
from trigpoint.networks.backbones.loading import load_part

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels, convolutions; 2x2 maxima in between
TAPS = (2, 7, 12, 21, 30, 32)  # conv1_2, 2_2, 3_2, 4_2, 5_2 and 5_3 in `features`
LAYERS = 53  # of `features` at most, with batch normalisations
NORMALISED_TAPS = (3, 10, 17, 30, 43, 46)  # the same convolutions where each is followed by a batch normalisation


class Vgg19(TappedRow):
    """VGG19's `features`.

    Args:
        taps: positions of convolutions in `features`, ascending; what follows the last one is left out.
        normalised: with batch normalisations.
    """

    def __init__(self, taps: tuple[int, ...], normalised: bool = False) -> None:
        layers = list(islice(_layers(normalised), taps[-1] + 1))
        for position, layer in enumerate(layers):
            if isinstance(layer, nn.ReLU):
                layer.inplace = position - 1 not in taps  # a tap keeps its negative values
        super().__init__(layers, taps)


def _layers(normalised: bool) -> Iterator[nn.Module]:
    channels_in = 3
    for channels, convolutions in STAGES:
        for _ in range(convolutions):
            yield nn.Conv2d(channels_in, channels, 3, padding=1)
            if normalised:
                yield nn.BatchNorm2d(channels)
            yield nn.ReLU()
            channels_in = channels
        yield nn.MaxPool2d(2)


def vgg19(checkpoint: Mapping[str, Any], source: str) -> Vgg19:
    """All six taps, without normalisation."""
    return _load(Vgg19(TAPS), checkpoint, source, "VGG19")


def vgg19_bn(checkpoint: Mapping[str, Any], source: str) -> Vgg19:
    """All six taps of the network with batch normalisations."""
    return _load(Vgg19(NORMALISED_TAPS, normalised=True), checkpoint, source, "VGG19 with batch normalisation")


def coarse_vgg19(checkpoint: Mapping[str, Any], source: str) -> Vgg19:
    """The taps but for the one at full resolution."""
    return _load(Vgg19(TAPS[1:]), checkpoint, source, "VGG19")


def fine_vgg19(checkpoint: Mapping[str, Any], source: str) -> Vgg19:
    """The tap at full resolution alone: 64 channels that describe pixels."""
    return _load(Vgg19(TAPS[:1]), checkpoint, source, "VGG19")


def _load(network: Vgg19, checkpoint: Mapping[str, Any], source: str, name: str) -> Vgg19:
    beyond = tuple(f"features.{position}." for position in range(len(network.features), LAYERS))
    return load_part(network, checkpoint, source, name=name, unused=("classifier.", *beyond))
