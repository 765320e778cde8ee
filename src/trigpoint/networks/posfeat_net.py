"""PoSFeat's two networks: ResUNet describes at stride 4, KeypointDet scores every pixel.

Parameter names are those of the official checkpoints. These are the dense forms, for training and as the reference of
`posfeat_inference`.

Source: Li, Wang, Liu, Ran, Xu and Guo, "Decoupling Makes Weakly Supervised Local Feature Better", CVPR 2022; the
encoder is ResNet-50 with the stride on the 3x3 convolution (torchvision's v1.5).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trigpoint.errors import ShapeError, WeightsError
from trigpoint.networks.posfeat_priors import PRIORS
from trigpoint.networks.resnet import bottleneck_stage

DESCRIPTOR_DIM = 128
SMALL_CHANNELS = 64  # of the stem's map, which the detector reads beside the descriptors'
CELL_PX = 4  # of the descriptor map
STRIDE = 16  # image sides must be multiples: the decoder joins maps of strides 16, 8 and 4
ENCODER_BLOCKS = (3, 4, 6)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"Softplus": functional.softplus, "Sigmoid": torch.sigmoid}


class DescriptionMaps(NamedTuple):
    """What ResUNet gives.

    Attributes:
        local: (B, 128, H/4, W/4) descriptors before normalisation, at least -1.
        coarse: (B, 128, H/16, W/16), for the matching of whole images in training.
        small: (B, 64, H/4, W/4), the encoder's stem after pooling.
    """

    local: Tensor
    coarse: Tensor
    small: Tensor


class ConvUnit(nn.Module):
    """Convolution with bias, batch normalisation, ELU."""

    def __init__(self, channels_in: int, channels_out: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, size, padding=size // 2)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, maps: Float[Tensor, "B C0 H W"]) -> Float[Tensor, "B C H W"]:
        """Maps of the same size."""
        return functional.elu(self.bn(self.conv(maps)))


class UpUnit(nn.Module):
    """Twofold bilinear enlargement with aligned corners, then a convolution unit."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvUnit(channels_in, channels_out, 3)

    def forward(self, maps: Float[Tensor, "B C0 h w"]) -> Float[Tensor, "B C 2*h 2*w"]:
        """Maps of twice the size."""
        return self.conv(functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True))


class ResUNet(nn.Module):
    """The description network, 20,508,992 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.firstconv = nn.Conv2d(3, SMALL_CHANNELS, 7, 2, 3, bias=False)
        self.firstbn = nn.BatchNorm2d(SMALL_CHANNELS)
        self.layer1 = bottleneck_stage(64, 64, ENCODER_BLOCKS[0], 1)
        self.layer2 = bottleneck_stage(256, 128, ENCODER_BLOCKS[1], 2)
        self.layer3 = bottleneck_stage(512, 256, ENCODER_BLOCKS[2], 2)
        self.conv_coarse = ConvUnit(1024, DESCRIPTOR_DIM, 1)
        self.upconv3 = UpUnit(1024, 512)
        self.iconv3 = ConvUnit(1024, 512, 3)
        self.upconv2 = UpUnit(512, 256)
        self.iconv2 = ConvUnit(512, 256, 3)
        self.conv_fine = ConvUnit(256, DESCRIPTOR_DIM, 1)

    def forward(self, images: Tensor) -> DescriptionMaps:
        """(B, 3, H, W) float RGB, normalised as `normalize_image` does, to maps.

        Where a side is no multiple of 16 the encoder's maps get zeros up to the decoder's size.

        Raises:
            ShapeError: another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ShapeError(f"posfeat: image batch is {tuple(images.shape)}, expected (B, 3, H, W)")
        stem = functional.relu(self.firstbn(self.firstconv(images)))
        small = functional.max_pool2d(stem, 3, 2, 1)
        fourth = self.layer1(small)
        eighth = self.layer2(fourth)
        sixteenth = self.layer3(eighth)
        decoded = self.iconv3(_join(self.upconv3(sixteenth), eighth))
        decoded = self.iconv2(_join(self.upconv2(decoded), fourth))
        return DescriptionMaps(self.conv_fine(decoded), self.conv_coarse(sixteenth), small)


def _join(enlarged: Float[Tensor, "B C0 H W"], skip: Float[Tensor, "B C1 h w"]) -> Float[Tensor, "B C0+C1 H W"]:
    """Enlarged map, then the encoder's, which is padded with zeros; of an odd number right and bottom get one more."""
    rows, columns = enlarged.shape[2] - skip.shape[2], enlarged.shape[3] - skip.shape[3]
    padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return torch.cat([enlarged, functional.pad(skip, padding)], dim=1)


def global_feature(coarse: Float[Tensor, "B 128 h w"]) -> Float[Tensor, "B 128"]:
    """(B, 128, h, w) to (B, 128): mean of the unit vectors at all positions."""
    return functional.normalize(coarse, dim=1).mean(dim=(2, 3))


class KeypointDet(nn.Module):
    """The detection network, 628,930 parameters.

    Args:
        prior: what maps and image are multiplied by: `identity` (as published), `SSIM` or `ASL_Peak`.
        activation: of the score: `Softplus` (as published) or `Sigmoid`.
    """

    def __init__(self, prior: str = "identity", activation: str = "Softplus") -> None:
        super().__init__()
        channels = DESCRIPTOR_DIM + SMALL_CHANNELS
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels + 64, 128, 3, padding=1)
        self.conv3 = nn.Conv2d(128, 1, 1)
        self.relu = nn.PReLU()
        self.convimg = nn.Conv2d(3, 64, 3, padding=1)
        self._prior, self._activate = PRIORS[prior], ACTIVATIONS[activation]

    def forward(self, maps: DescriptionMaps, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
        """Score of every pixel, relative to its image: logits have mean 0 and variance 1.

        Args:
            maps: of ResUNet; no gradient reaches them.
            images: (B, 3, H, W) normalised, sides multiples of 16.

        Returns:
            (B, 1, H, W), positive.
        """
        size = images.shape[2:]
        features = torch.cat([maps.local, maps.small], dim=1).detach()
        map_prior, image_prior = self._prior(features), self._prior(images)
        low = self.relu(functional.instance_norm(self.conv1(map_prior * features)))
        low = functional.interpolate(low, size, mode="bilinear", align_corners=False)
        detail = functional.instance_norm(self.convimg(image_prior * images))
        joined = self.relu(functional.instance_norm(self.conv2(torch.cat([low, detail], dim=1))))
        scores = self._activate(functional.instance_norm(self.conv3(joined)))
        enlarged = functional.interpolate(map_prior, size, mode="bilinear", align_corners=False)
        return enlarged.mean(dim=1, keepdim=True) * image_prior.mean(dim=1, keepdim=True) * scores


def load_posfeat(
    checkpoint: Mapping[str, Any], source: str, *, detector: bool = True
) -> tuple[ResUNet, KeypointDet | None]:
    """Both networks with a checkpoint's weights, in evaluation mode.

    Args:
        checkpoint: sections `backbone` and `localheader`, each a state dict under the official names; a prefix
            `module.` (networks trained on several GPUs) is taken off.
        source: file or name for messages.
        detector: whether the second is wanted.

    Raises:
        WeightsError: a section is missing, or names or shapes differ.
    """
    wanted: dict[str, nn.Module] = {"backbone": ResUNet()}
    if detector:
        wanted["localheader"] = KeypointDet()
    for section, network in wanted.items():
        if not isinstance(checkpoint.get(section), Mapping):
            raise WeightsError(f"{source} is no PoSFeat checkpoint: it has no section '{section}'")
        state = {key.removeprefix("module."): value for key, value in checkpoint[section].items()}
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise WeightsError(f"{source} does not fit PoSFeat's {section}: {lines[1].strip()}") from error
        network.eval()
    backbone, head = wanted["backbone"], wanted.get("localheader")
    assert isinstance(backbone, ResUNet) and (head is None or isinstance(head, KeypointDet))
    return backbone, head
