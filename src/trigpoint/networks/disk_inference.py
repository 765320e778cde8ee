"""DISK's network for inference: logits at every pixel, descriptors only at the keypoints.

Exact up to rounding: the dense 128-channel map takes 80 % of the arithmetic and is read at less than 1 % of its pixels.

- The eight convolution biases that a later normalisation removes are left out; in bfloat16 they would cost precision.
- Normalisation is applied before the twofold enlargement (both are affine and enlarging keeps constants), with the
  enlarged map's mean and variance taken from the small one.
- PReLU keeps positive factors, so only the mean is taken off the maps; the scale 1/sigma goes into the next weights.
- The two halves of a skip connection are convolved one after the other, never joined.
- The last level, at full resolution, is a strip of rows at a time: 80 channels to 25 taps by one matrix product, then
  25 shifted additions, so that neither its input nor its 129 output channels are ever stored.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn import functional

from trigpoint.errors import ShapeError
from trigpoint.networks.disk_unet import DESCRIPTOR_DIM, KERNEL_SIZE, DiskUNet

NORM_EPS = 1e-5
LOW_CHANNELS = 64  # of every map that is enlarged
STRIP_ROWS = 16  # rows of the last level at a time: 64 channels x 20 rows x 1024 columns float32 = 5 MB
RADIUS = KERNEL_SIZE // 2
LOW_TAPS = 4  # columns (rows) of the half-resolution map that five enlarged ones depend on


@dataclass(frozen=True)
class _Half:
    """Slopes and weights of a convolution unit, for the channels that come from one map."""

    slopes: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DiskMaps:
    """What descriptors are computed from: the last level's input before enlarging and gating.

    Attributes:
        logits: (H, W) float32.
        low: (64, H/2, W/2), to be enlarged, zero mean.
        skip: (16, H, W), zero mean.
        scale: (80,) reciprocal standard deviations of the enlarged map's channels and the skip map's.
    """

    logits: Float32[Tensor, "H W"]
    low: Float32[Tensor, "64 h w"]
    skip: Float32[Tensor, "16 H W"]
    scale: Float32[Tensor, "80"]


class DiskInference:
    """The network prepared for one device and type.

    Args:
        network: with its weights.
        dtype: of activations and of the convolutions up to half resolution; statistics and the last level, logits
            included, are float32 always.
    """

    def __init__(self, network: DiskUNet, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        state = {key: value.detach().float().to(self.device) for key, value in network.unet.state_dict().items()}
        self._first = state["path_down.0.1.3.weight"].to(dtype)
        down = [(state[f"path_down.{i}.1.1.weight"], state[f"path_down.{i}.1.3.weight"]) for i in range(1, 5)]
        up = [(state[f"path_up.{i}.conv.1.weight"], state[f"path_up.{i}.conv.3.weight"]) for i in range(4)]
        self._down = [_Half(slopes.to(dtype), weight.to(dtype)) for slopes, weight in down]
        self._up = [_halves(slopes.to(dtype), weight.to(dtype)) for slopes, weight in up[:-1]]
        self._last_slopes, weight = up[-1]  # (80,), (129, 80, 5, 5)
        self._last_bias = state["path_up.3.conv.3.bias"]
        self._taps = weight[DESCRIPTOR_DIM].reshape(weight.shape[1], -1).T.contiguous()  # (25, 80)
        by_position = weight[:DESCRIPTOR_DIM].permute(2, 3, 1, 0)  # (5, 5, 80, 128)
        self._descriptor_low = by_position[:, :, :LOW_CHANNELS].reshape(-1, DESCRIPTOR_DIM).contiguous()
        self._descriptor_skip = by_position[:, :, LOW_CHANNELS:].reshape(-1, DESCRIPTOR_DIM).contiguous()
        self._enlarge = enlargement_matrices().to(self.device)

    def maps(self, image: Tensor) -> DiskMaps:
        """Logits of every pixel of one image, and what descriptors need.

        Args:
            image: (3, H, W) float32 RGB in [0, 1]. With H and W multiples of 16 this is the trained network; other
                sides are halved upwards and enlarged maps cut, where the dense form would need padding.

        Raises:
            ShapeError: another shape.
        """
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
            raise ShapeError(f"disk: image is {tuple(image.shape)}, expected (3, H, W)")
        # TensorFloat-32, cudnn's default, rounds to 10 bits: keypoints would move between devices
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            return self._maps(image)

    def _maps(self, image: Float[Tensor, "3 H W"]) -> DiskMaps:
        skips = [_convolve(image[None].to(self.device, self.dtype), self._first)]
        for half in self._down:
            # of an odd side the last pixel is averaged over what there is
            skips.append(_unit(functional.avg_pool2d(skips[-1], 2, ceil_mode=True), half))
        low = skips.pop()
        for half_low, half_skip in self._up:
            skip = skips.pop()
            centred, scale = _centre_enlarged(low, skip)
            low = _convolve(functional.prelu(_enlarge_to(centred, skip), half_low.slopes), half_low.weight * scale)
            low += _unit(skip, half_skip)
        skip = skips.pop().float()
        low, low_scale = _centre_enlarged(low.float(), skip)
        skip, skip_scale = _centre(skip)
        scale = torch.cat([low_scale.flatten(), skip_scale.flatten()])
        return DiskMaps(self._logits(low[0], skip[0], self._taps * scale), low[0], skip[0], scale)

    def _logits(
        self, low: Float32[Tensor, "64 h w"], skip: Float32[Tensor, "16 H W"], weights: Float32[Tensor, "25 80"]
    ) -> Float32[Tensor, "H W"]:
        """(64, H/2, W/2), (16, H, W), both centred, and (25, 80) weights to (H, W)."""
        height, width = skip.shape[1:]
        logits = torch.empty(height, width, device=self.device)
        for top in range(0, height, STRIP_ROWS):
            bottom = min(top + STRIP_ROWS, height)
            first, last = max(top - RADIUS, 0), min(bottom + RADIUS, height)
            taps = weights[:, LOW_CHANNELS:] @ self._gated_skip(skip[:, first:last])
            taps.addmm_(weights[:, :LOW_CHANNELS], self._gated_low(low, first, last, width))
            logits[top:bottom] = _add_taps(taps.view(-1, last - first, width), top - first, bottom - top)
        return logits.add_(self._last_bias[DESCRIPTOR_DIM])

    def _gated_skip(self, rows: Tensor) -> Tensor:
        slopes = self._last_slopes[LOW_CHANNELS:]
        return functional.prelu(rows[None], slopes)[0].flatten(1)

    def _gated_low(self, low: Tensor, first: int, last: int, width: int) -> Tensor:
        """Rows `first` to `last` (exclusive) of the enlarged and gated map, (64, rows * W)."""
        low_first, low_last = max(first // 2 - 1, 0), min((last - 1) // 2 + 2, low.shape[1])
        enlarged = functional.interpolate(low[None, :, low_first:low_last], scale_factor=2, mode="bilinear")
        rows = enlarged[:, :, first - 2 * low_first : last - 2 * low_first, :width].contiguous()
        return functional.prelu(rows, self._last_slopes[:LOW_CHANNELS])[0].flatten(1)

    def descriptors(self, maps: DiskMaps, xy: Int64[Tensor, "N 2"]) -> Float32[Tensor, "N 128"]:
        """Unit descriptors at integer pixels.

        Args:
            maps: of the image.
            xy: (N, 2) int64 pixels of the network's image.

        Returns:
            (N, 128) float32; rows of unit length.
        """
        height, width = maps.logits.shape
        offsets = torch.arange(-RADIUS, RADIUS + 1, device=self.device)
        x, y = xy[:, 0, None] + offsets, xy[:, 1, None] + offsets  # (N, 5)
        inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
        index = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
        skip = maps.skip.flatten(1).T.contiguous()[index.flatten(1)]  # (N, 25, 16)
        low = self._enlarged_patches(maps.low, xy)  # (N, 25, 64)
        weights = inside.flatten(1)[:, :, None] * maps.scale  # (N, 25, 80), zero outside the image
        skip = _gate_last(skip, self._last_slopes[LOW_CHANNELS:]).mul_(weights[:, :, LOW_CHANNELS:])
        low = _gate_last(low, self._last_slopes[:LOW_CHANNELS]).mul_(weights[:, :, :LOW_CHANNELS])
        raw = torch.addmm(self._last_bias[:DESCRIPTOR_DIM], low.flatten(1), self._descriptor_low)
        raw.addmm_(skip.flatten(1), self._descriptor_skip)
        return functional.normalize(raw, dim=1, eps=1e-12)

    def _enlarged_patches(self, low: Float32[Tensor, "64 h w"], xy: Int64[Tensor, "N 2"]) -> Float32[Tensor, "N 25 64"]:
        """(N, 25, 64) of the enlarged map around each pixel, from the 4 x 4 values of `low` that they depend on."""
        height, width = low.shape[1:]
        parity = xy % 2
        taps = torch.arange(LOW_TAPS, device=self.device)
        start = xy // 2 - 2 + parity
        x = (start[:, 0, None] + taps).clamp(0, width - 1)  # clamped borders, as in bilinear enlargement
        y = (start[:, 1, None] + taps).clamp(0, height - 1)
        index = (y[:, :, None] * width + x[:, None, :]).flatten(1)
        patches = low.flatten(1).T.contiguous()[index]  # (N, 16, 64)
        return torch.bmm(self._enlarge[parity[:, 1], parity[:, 0]], patches)


def enlargement_matrices() -> Float32[Tensor, "2 2 25 16"]:
    """(2, 2, 25, 16): by parity of y and x, the five-by-five enlarged values from four-by-four small ones.

    Twofold bilinear enlargement without aligned corners puts output 2k at k - 1/4 and 2k + 1 at k + 1/4. Around an even
    pixel 2k the small ones k-2 .. k+1 are needed, around an odd one 2k+1 those from k-1 to k+2.
    """
    matrices = torch.zeros(2, KERNEL_SIZE, LOW_TAPS)
    for parity in range(2):
        for row in range(KERNEL_SIZE):
            position = (parity + row - RADIUS + 0.5) / 2 - 0.5 - (parity - 2)  # in taps, of the centre 2k + parity
            left = int(position)
            matrices[parity, row, left] = 1 - (position - left)
            matrices[parity, row, left + 1] += position - left
    outer = torch.einsum("air,bjs->abijrs", matrices, matrices)
    return outer.reshape(2, 2, KERNEL_SIZE**2, LOW_TAPS**2)


def _convolve(maps: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(maps, weight, padding=RADIUS)


def _gate_last(values: Tensor, slopes: Tensor) -> Tensor:
    """PReLU over the last axis."""
    return torch.where(values > 0, values, values * slopes)


def _halves(slopes: Tensor, weight: Tensor) -> tuple[_Half, _Half]:
    """A unit over [enlarged, skip] as one for each; the enlarged map always has LOW_CHANNELS."""
    low = _Half(slopes[:LOW_CHANNELS], weight[:, :LOW_CHANNELS].contiguous())
    return low, _Half(slopes[LOW_CHANNELS:], weight[:, LOW_CHANNELS:].contiguous())


def _unit(maps: Tensor, half: _Half) -> Tensor:
    """Normalise, gate, convolve."""
    centred, scale = _centre(maps)
    return _convolve(functional.prelu(centred, half.slopes), half.weight * scale)


def _centre(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(1, C, H, W) maps less their mean, and (C, 1, 1) reciprocal standard deviations; statistics in float32."""
    centred = maps - maps.mean(dim=(2, 3), keepdim=True, dtype=torch.float32).to(maps.dtype)
    squares = torch.linalg.vector_norm(centred, dim=(2, 3), dtype=torch.float32).square()
    return centred, _reciprocal_deviation(squares, maps).to(maps.dtype)


def _enlarge_to(maps: Tensor, like: Tensor) -> Tensor:
    """Twofold bilinear enlargement, cut to the sides of another map."""
    enlarged = functional.interpolate(maps, scale_factor=2, mode="bilinear")
    return enlarged[:, :, : like.shape[2], : like.shape[3]]


def _centre_enlarged(maps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Maps less the mean, and the reciprocal standard deviation, that they will have after `_enlarge_to`.

    Enlarging keeps the mean (borders are clamped). Along one axis the sum of squares of the enlarged values is
    sum_i x_i (3/8 x_{i-1} + 5/4 x_i + 3/8 x_{i+1}) with clamped borders; the two axes are independent. Where a row or a
    column is cut off, the enlarged map is made for its statistics alone.
    """
    if 2 * maps.shape[2] != like.shape[2] or 2 * maps.shape[3] != like.shape[3]:
        enlarged = _enlarge_to(maps, like).float()
        mean = enlarged.mean(dim=(2, 3), keepdim=True)
        squares = torch.linalg.vector_norm(enlarged - mean, dim=(2, 3)).square()
        return maps - mean.to(maps.dtype), _reciprocal_deviation(squares, enlarged).to(maps.dtype)
    centred = maps - maps.mean(dim=(2, 3), keepdim=True, dtype=torch.float32).to(maps.dtype)
    x = centred[0].float()
    smooth = 1.25 * x
    smooth[:, :, 1:].add_(x[:, :, :-1], alpha=0.375)
    smooth[:, :, :-1].add_(x[:, :, 1:], alpha=0.375)
    smooth[:, :, 0].add_(x[:, :, 0], alpha=0.375)
    smooth[:, :, -1].add_(x[:, :, -1], alpha=0.375)
    squares = 1.25 * _inner(x, smooth) + 0.75 * _inner(x[:, 1:], smooth[:, :-1])
    squares += 0.375 * (_inner(x[:, :1], smooth[:, :1]) + _inner(x[:, -1:], smooth[:, -1:]))
    return centred, _reciprocal_deviation(squares, maps, 4).to(maps.dtype)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(C, ...) and (C, ...) to (C,) inner products."""
    return torch.bmm(a.flatten(1)[:, None], b.flatten(1)[:, :, None]).flatten()


def _reciprocal_deviation(squares: Tensor, maps: Tensor, pixels_each: int = 1) -> Tensor:
    """(C, 1, 1) from sums of squares over `pixels_each` pixels for each pixel of the maps."""
    variance = squares.reshape(-1, 1, 1) / (pixels_each * maps.shape[2] * maps.shape[3])
    return torch.rsqrt(variance + NORM_EPS)


def _add_taps(taps: Tensor, offset: int, rows: int) -> Tensor:
    """Sum of 25 planes (25, R, W), plane (i, j) shifted by (i - 2, j - 2); zero outside.

    Args:
        offset: row of `taps` that belongs to the first output row.
        rows: output rows.
    """
    height, width = taps.shape[1:]
    total = torch.zeros(rows, width, device=taps.device, dtype=taps.dtype)
    for plane in range(KERNEL_SIZE**2):
        down, right = plane // KERNEL_SIZE - RADIUS, plane % KERNEL_SIZE - RADIUS
        first, last = max(offset + down, 0), min(offset + down + rows, height)
        left, end = max(right, 0), min(width + right, width)
        target = total[first - offset - down : last - offset - down, left - right : end - right]
        target += taps[plane, first:last, left:end]
    return total
