"""R2D2's network and its student for inference: batch norms folded, the last layer only where it is read.

Every batch norm follows a convolution, so that folding is exact up to rounding. The last convolution, 2x2 with taps 8
px away, takes a fifth of the student's arithmetic, and where matches are refined few pixels need it.
"""

import copy

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from trigpoint.networks.r2d2_net import DESCRIPTOR_DIM, PatchNet

TAPS = ((-1, -1), (-1, 1), (1, -1), (1, 1))  # of the last convolution: down, right
HEAD_ROWS = 64  # rows of the map whose squares exist at a time
Maps = Float32[Tensor, "B 128 H W"]


class PatchInference:
    """The network prepared for one device.

    Args:
        network: with its weights.
        dtype: of the convolutions but for the last; that one, descriptors and heads are float32 always.
    """

    def __init__(self, network: PatchNet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device(device), dtype
        layers = folded(network).to(self.device)
        convert_conv2d_weight_memory_format(layers, torch.channels_last)  # two thirds of the time, on a processor
        self._last = layers[-1]
        self._body = layers[:-1].to(dtype)
        assert isinstance(self._last, nn.Conv2d) and self._last.bias is not None
        by_tap = self._last.weight.permute(2, 3, 1, 0)  # (2, 2, 128, 128): tap rows and columns, from, to
        self._last_matrix = by_tap.reshape(-1, DESCRIPTOR_DIM).contiguous()
        self._last_bias, self._reach = self._last.bias, int(self._last.padding[0])
        heads = [value.detach().to(self.device) for head in (network.clf, network.sal) for value in head.parameters()]
        self._clf_weight, self._clf_bias, self._sal_weight, self._sal_bias = heads

    def body(self, images: Float[Tensor, "B 3 H W"]) -> Maps:
        """What the last convolution is computed from; channels lie together in memory.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; any size.
        """
        # TensorFloat-32, cudnn's default, rounds to 10 bits: matches would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            maps = images.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
            body: Tensor = self._body(maps)
            return body.float()

    def maps(self, images: Float[Tensor, "B 3 H W"]) -> Maps:
        """Descriptors of every pixel before they are of unit length; arguments as `body`."""
        body = self.body(images)
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            maps: Tensor = self._last(body)
            return maps

    def descriptors(self, body: Float32[Tensor, "128 H W"], xy: Int64[Tensor, "N 2"]) -> Float32[Tensor, "N 128"]:
        """`maps` at some pixels only.

        Args:
            body: of one image.
            xy: pixels x, y.

        Returns:
            (N, 128), not of unit length.
        """
        height, width = body.shape[1:]
        rows = body.permute(1, 2, 0).reshape(height * width, DESCRIPTOR_DIM)
        taps = []
        for down, right in TAPS:
            x, y = xy[:, 0] + self._reach * right, xy[:, 1] + self._reach * down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            values = rows.index_select(0, y.clamp(0, height - 1) * width + x.clamp(0, width - 1))
            taps.append(values.index_fill_(0, torch.nonzero(~inside).flatten(), 0))
        return torch.addmm(self._last_bias, torch.cat(taps, dim=1), self._last_matrix)

    def heads(self, maps: Float32[Tensor, "128 H W"]) -> tuple[Float32[Tensor, "H W"], Float32[Tensor, "H W"]]:
        """Reliability and repeatability of one image in [0, 1], from its raw map."""
        reliability, repeatability = torch.empty_like(maps[0]), torch.empty_like(maps[0])
        for top in range(0, maps.shape[1], HEAD_ROWS):
            squares = maps[None, :, top : top + HEAD_ROWS].square()
            classes = functional.conv2d(squares, self._clf_weight, self._clf_bias)[0]
            reliability[top : top + HEAD_ROWS] = torch.softmax(classes, dim=0)[1]
            peak = functional.softplus(functional.conv2d(squares, self._sal_weight, self._sal_bias)[0, 0])
            repeatability[top : top + HEAD_ROWS] = peak / (1 + peak)
        return reliability, repeatability


def folded(network: PatchNet) -> nn.Sequential:
    """Convolutions and activations alone: each convolution has taken up the norm behind it; no gradients."""
    layers: list[nn.Module] = []
    for layer in network.ops:
        if isinstance(layer, nn.BatchNorm2d):
            _fold(layers[-1], layer)
        else:
            layers.append(copy.deepcopy(layer) if isinstance(layer, nn.Conv2d) else nn.ReLU(inplace=True))
    return nn.Sequential(*layers).requires_grad_(False)


def _fold(convolution: nn.Module, norm: nn.BatchNorm2d) -> None:
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    assert norm.running_var is not None and norm.running_mean is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    with torch.no_grad():
        convolution.weight.copy_(convolution.weight.double() * scale[:, None, None, None])
        convolution.bias.copy_((convolution.bias.double() - norm.running_mean.double()) * scale)
