"""R2D2's network and its student for inference: batch norms folded, the last layer only where it is read.

Every batch norm follows a convolution, so that folding is exact up to rounding. The last convolution, 2x2 with taps 8
px away, takes a fifth of the student's arithmetic, and where matches are refined few pixels need it.
"""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from trigpoint.networks.r2d2_net import DESCRIPTOR_DIM, ConvolutionSpec, PatchNet

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
        self._layers = network.layers
        folded = [(weight.to(self.device), bias.to(self.device)) for weight, bias in _folded(network)]
        self._convolutions = [(_channels_last(weight.to(dtype)), bias.to(dtype)) for weight, bias in folded[:-1]]
        self._last_weight, self._last_bias = _channels_last(folded[-1][0]), folded[-1][1]
        by_tap = folded[-1][0].permute(2, 3, 1, 0)  # (2, 2, 128, 128): tap rows and columns, from, to
        self._last_matrix = by_tap.reshape(-1, DESCRIPTOR_DIM).contiguous()
        heads = [
            value.detach().float().to(self.device) for value in (*network.clf.parameters(), *network.sal.parameters())
        ]
        self._clf_weight, self._clf_bias, self._sal_weight, self._sal_bias = heads

    def body(self, images: Float[Tensor, "B 3 H W"]) -> Maps:
        """What the last convolution is computed from; channels lie together in memory.

        Args:
            images: RGB in [0, 1] less ImageNet's mean, by its deviation; any size.
        """
        # TensorFloat-32, cudnn's default, rounds to 10 bits: matches would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            maps = images.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last)
            for spec, (weight, bias) in zip(self._layers[:-1], self._convolutions, strict=True):
                maps = functional.conv2d(maps, weight, bias, padding=_padding(spec), dilation=spec.dilation)
                if spec.activate:
                    maps.relu_()
            return maps.float()

    def maps(self, images: Float[Tensor, "B 3 H W"]) -> Maps:
        """Descriptors of every pixel before they are of unit length; arguments as `body`."""
        spec = self._layers[-1]
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return functional.conv2d(
                self.body(images), self._last_weight, self._last_bias, padding=_padding(spec), dilation=spec.dilation
            )

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
        reach = self._layers[-1].dilation // 2
        found = self._last_bias.expand(len(xy), -1)
        for tap, (down, right) in enumerate(((-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach))):
            x, y = xy[:, 0] + right, xy[:, 1] + down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            values = rows[index].mul_(inside[:, None])
            found = torch.addmm(found, values, self._last_matrix[tap * DESCRIPTOR_DIM : (tap + 1) * DESCRIPTOR_DIM])
        return found

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


def _folded(network: PatchNet) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution with the norm that follows it, float32."""
    folded = []
    layers = iter(network.ops)
    for layer in layers:
        if not isinstance(layer, torch.nn.Conv2d):
            continue
        assert layer.bias is not None
        weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
        norm = next(layers, None)
        if norm is not None:
            assert isinstance(norm, torch.nn.BatchNorm2d)
            assert norm.running_var is not None and norm.running_mean is not None
            scale = torch.rsqrt(norm.running_var.double() + norm.eps)
            weight, bias = weight * scale[:, None, None, None], (bias - norm.running_mean.double()) * scale
        folded.append((weight.float(), bias.float()))
    return folded


def _padding(spec: ConvolutionSpec) -> int:
    return (spec.kernel_px - 1) * spec.dilation // 2


def _channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last)
