"""Keypoints of a score map: local maxima, the strongest of them, and their sub-pixel position."""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor


def local_maxima(
    scores: Float[Tensor, "H W"], window_px: int, threshold: float | None = None, *, mirror: bool = False
) -> Int64[Tensor, "N 2"]:
    """Pixels that are the largest of the square window around them; of equal ones the first in row-major order.

    Args:
        scores: (H, W) float.
        window_px: side of the window, odd; pixels beyond the border count as -infinity.
        threshold: scores must be larger; None accepts all.
        mirror: pixels beyond the border are mirrored ones instead, and count among equal ones; only to compare with
            programs that do so.

    Returns:
        (N, 2) int64 pixels x, y in row-major order.

    Source: DISK's `nms`: the position that stride-1 max pooling reports must be the pixel itself.
    """
    radius = window_px // 2
    height, width = scores.shape
    if mirror:
        padded = torch.nn.functional.pad(scores[None], (radius,) * 4, mode="reflect")[0]
    else:
        padded = torch.nn.functional.pad(scores, (radius,) * 4, value=float("-inf"))
    largest = _running_maximum(_running_maximum(padded, window_px, 1), window_px, 0)
    found = scores == largest
    if threshold is not None:
        found &= scores > threshold
    y, x = torch.nonzero(found, as_tuple=True)
    first = torch.ones_like(x, dtype=torch.bool)
    values = scores[y, x]
    for down in range(-radius, 1):
        for right in range(-radius, radius + 1):
            if (down, right) < (0, 0):  # row-major before the pixel
                first &= padded[y + radius + down, x + radius + right] != values
    assert largest.shape == (height, width)
    return torch.stack([x[first], y[first]], dim=1)


def _running_maximum(values: Tensor, window: int, dim: int) -> Tensor:
    """Maximum of `window` neighbours along an axis, which gets shorter by `window - 1`; log2(window) passes."""
    reach = 1
    while reach < window:
        step = min(reach, window - reach)
        size = values.shape[dim] - step
        values = torch.maximum(values.narrow(dim, 0, size), values.narrow(dim, step, size))
        reach += step
    return values


def strongest(
    xy: Int64[Tensor, "N 2"], scores: Float[Tensor, "N"], limit: int | None
) -> tuple[Int64[Tensor, "K 2"], Float[Tensor, "K"]]:
    """The `limit` keypoints with the largest scores, largest first; of equal ones by y, then x.

    Args:
        xy: (N, 2) int64 in row-major order.
        scores: (N,).

    Returns:
        (K, 2) and (K,), K = min(N, limit).
    """
    order = torch.argsort(scores, descending=True, stable=True)[:limit]
    return xy[order], scores[order]


def refine_subpixel(scores: Float[Tensor, "H W"], xy: Int64[Tensor, "N 2"]) -> Float32[Tensor, "N 2"]:
    """Vertex of the parabola through a maximum and its two neighbours, for each axis; at most half a pixel away.

    Args:
        scores: (H, W).
        xy: (N, 2) int64 pixels of local maxima; a coordinate on the border stays.

    Returns:
        (N, 2) float32.
    """
    height, width = scores.shape
    x, y = xy.unbind(1)
    center = scores[y, x]

    def vertex(before: Tensor, after: Tensor, inside: Tensor) -> Tensor:
        curvature = before - 2 * center + after
        step = 0.5 * (before - after) / curvature.clamp(max=-torch.finfo(curvature.dtype).tiny)
        return torch.where(inside & (curvature < 0), step.clamp(-0.5, 0.5), 0.0)

    step_x = vertex(scores[y, (x - 1).clamp(min=0)], scores[y, (x + 1).clamp(max=width - 1)], (x > 0) & (x < width - 1))
    step_y = vertex(
        scores[(y - 1).clamp(min=0), x], scores[(y + 1).clamp(max=height - 1), x], (y > 0) & (y < height - 1)
    )
    return xy.float() + torch.stack([step_x, step_y], dim=1)
