"""Patch2Pix: a ResNet34 pyramid, NCNet's consensus, and two regressors that move and judge each match.

Parameter names are those of the official checkpoints. This is the form for training, and the reference of
`patch2pix_inference`.

Source: Zhou, Sattler and Leal-Taixe, "Patch2Pix: Epipolar-Guided Pixel-Level Correspondences", CVPR 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trigpoint.errors import WeightsError
from trigpoint.networks.backbones.loading import load_part
from trigpoint.networks.consensus import NeighbourhoodConsensus
from trigpoint.networks.resnet34 import LEVEL_CHANNELS, ResNet34

NUM_OUTPUTS = 5  # four shifts and a confidence
OFFICIAL_STRIDE = 2  # of convolutions for which a checkpoint names none
LARGEST_SIZE = 4096  # of layers and windows, so that a damaged file does not fill the memory


@dataclass(frozen=True, kw_only=True)
class RegressorConfig:
    """What a checkpoint says of its regressors; defaults are those of the published one."""

    feat_idx: tuple[int, ...] = (0, 1, 2, 3)  # levels of the pyramid that windows are made of
    feat_comb: str = "pre"  # both windows are joined before the convolutions, or `post` after them
    conv_dims: tuple[int, ...] = (512, 512)
    conv_kers: tuple[int, ...] = (3, 3)
    conv_strs: tuple[int, ...] = (2, 1)
    fc_dims: tuple[int, ...] = (512, 256)
    psize: tuple[int, int] = (16, 16)  # px, windows of mid and fine
    pshift: int = 8  # px between the proposals of training
    panc: int = 8  # proposals for each coarse match in training
    shared: bool = False  # mid and fine are one network

    @property
    def window_channels(self) -> int:
        """Numbers of a pixel of a window."""
        return sum(LEVEL_CHANNELS[level] for level in self.feat_idx)

    def conv_sizes(self, window_px: int) -> list[int]:
        """Side of the map after each convolution."""
        sizes, side = [], window_px
        for kernel, stride in zip(self.conv_kers, self.conv_strs, strict=True):
            side = (side - kernel + 2) // stride + 1
            sizes.append(side)
        return sizes


def regressor_config(values: Mapping[str, Any], source: str) -> RegressorConfig:
    """The configuration of a checkpoint; `feat_dim` of official files is derived, and keys of training are passed over.

    Raises:
        WeightsError: a value that no regressor can have.
    """
    known = {item.name for item in fields(RegressorConfig)}
    taken: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
    }
    lists = {item.name for item in fields(RegressorConfig) if isinstance(item.default, tuple)}
    possible = all(isinstance(value, tuple) == (key in lists) for key, value in taken.items())
    if possible and taken and "conv_strs" not in taken:
        taken["conv_strs"] = (OFFICIAL_STRIDE,) * len(taken.get("conv_kers", RegressorConfig.conv_kers))
    if not possible or not _is_possible(config := RegressorConfig(**taken)):
        raise WeightsError(f"{source}: no regressor is configured so: {taken}")
    return config


def _is_possible(config: RegressorConfig) -> bool:
    sizes = (config.conv_dims, config.conv_kers, config.conv_strs, config.fc_dims, config.psize)
    if not all(isinstance(number, int) and 1 <= number <= LARGEST_SIZE for part in sizes for number in part):
        return False
    if len({len(config.conv_dims), len(config.conv_kers), len(config.conv_strs)}) != 1 or len(config.psize) != 2:
        return False
    levels = set(config.feat_idx)
    return (
        config.feat_comb in ("pre", "post")
        and len(levels) > 0
        and levels.issubset(range(len(LEVEL_CHANNELS)))
        and min(config.conv_sizes(min(config.psize)), default=0) >= 1
    )


class Regressor(nn.Module):
    """Five numbers for each pair of windows."""

    def __init__(self, config: RegressorConfig, window_px: int) -> None:
        super().__init__()
        self.config, self.window_px = config, window_px
        images = 2 if config.feat_comb == "pre" else 1
        layers: list[nn.Module] = []
        inputs = images * config.window_channels
        for outputs, kernel, stride in zip(config.conv_dims, config.conv_kers, config.conv_strs, strict=True):
            layers += [nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False), nn.BatchNorm2d(outputs)]
            inputs = outputs
        layers += [nn.ReLU(), nn.MaxPool2d(config.conv_sizes(window_px)[-1])]
        self.conv = nn.Sequential(*layers)
        layers, inputs = [], inputs * (3 - images)
        for outputs in config.fc_dims:
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
            inputs = outputs
        self.fc = nn.Sequential(*layers, nn.Linear(inputs, NUM_OUTPUTS))

    def forward(self, windows0: Float[Tensor, "N C p p"], windows1: Float[Tensor, "N C p p"]) -> Float[Tensor, "N 5"]:
        """Raw outputs, to be decoded by `decode`."""
        return self.fc(self.pooled(windows0, windows1))

    def pooled(self, windows0: Float[Tensor, "N C p p"], windows1: Float[Tensor, "N C p p"]) -> Float[Tensor, "N D"]:
        """What the linear layers get."""
        if self.config.feat_comb == "pre":
            return self.conv(torch.cat([windows0, windows1], dim=1)).flatten(1)
        return torch.cat([self.conv(windows).flatten(1) for windows in (windows0, windows1)], dim=1)


class Patch2PixNet(nn.Module):
    """The whole network; without a configuration NCNet, which has no regressors."""

    def __init__(self, config: RegressorConfig | None) -> None:
        super().__init__()
        self.config = config
        self.extract = ResNet34()
        self.ncn = NeighbourhoodConsensus()
        if config is not None:
            self.regress_mid = Regressor(config, config.psize[0])
            self.regress_fine = self.regress_mid if config.shared else Regressor(config, config.psize[1])


def decode(
    raw: Float[Tensor, "N 5"], matches: Float[Tensor, "N 4"], sizes: tuple[int, int, int, int], window_px: int
) -> tuple[Tensor, Tensor]:
    """Matches moved by raw outputs, and their confidences.

    Args:
        raw: of a regressor.
        matches: x0, y0, x1, y1 in pixels of the network's images, the corner of the top-left pixel at (0, 0).
        sizes: width and height of image 0, then of image 1; matches end at the borders.
        window_px: side of the regressor's windows; shifts are in [-window / 2, window / 2).

    Returns:
        (N, 4) and (N,) in (0, 1).
    """
    moved = matches + (window_px * torch.tanh(torch.relu(raw[:, :4])) - window_px // 2)
    limits = moved.new_tensor(sizes)
    return torch.minimum(moved.clamp(min=0), limits), torch.sigmoid(raw[:, 4])


def load_patch2pix(checkpoint: Mapping[str, Any], source: str, *, regressors: bool = True) -> Patch2PixNet:
    """A network with a checkpoint's weights, in evaluation mode.

    Args:
        checkpoint: what `trigpoint.storage.checkpoints.read_checkpoint` makes of a file: `state_dict`, and `config`
            where the file has one; without, the published configuration is meant.
        source: file or name for messages.
        regressors: false leaves them out, of either checkpoint: NCNet.

    Raises:
        WeightsError: names or shapes differ from the network's, or a value is not finite.
    """
    config = regressor_config(checkpoint.get("config", {}), source) if regressors else None
    name, unused = ("Patch2Pix", ()) if regressors else ("NCNet", ("regress_mid.", "regress_fine."))
    network = load_part(Patch2PixNet(config), checkpoint, source, name=name, unused=unused)
    for key, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{source}: '{key}' holds values that are not finite")
    return network.eval()
