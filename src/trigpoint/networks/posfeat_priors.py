"""Priors that PoSFeat's detector can multiply its inputs by; published is `identity`, the others are ablations."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

C1, C2 = 1e-4, 9e-4  # of SSIM, for values of range 1


def identity_prior(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 H W"]:
    """(B, C, H, W) to ones (B, 1, H, W)."""
    return torch.ones_like(maps[:, :1])


def ssim_prior(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """How much a map differs from itself moved by (1, 1): (1 - SSIM) / 2 for each channel, (B, C, H, W) in [0, 1].

    Source: Wang et al., "Image quality assessment", 2004, with means over 3x3 pixels, borders mirrored.
    """
    padded = functional.pad(maps.abs(), (0, 1, 0, 1), mode="reflect")
    a, b = _mirror(padded[:, :, :-1, :-1]), _mirror(padded[:, :, 1:, 1:])
    mean_a, mean_b = _mean3(a), _mean3(b)
    variance_a, variance_b = _mean3(a**2) - mean_a**2, _mean3(b**2) - mean_b**2
    covariance = _mean3(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    below = (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
    return ((1 - above / below) / 2).clamp(0, 1)


def asl_peak_prior(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 H W"]:
    """ASLFeat's peakiness: softplus of what a value has above its 3x3 mean, times the same above its channels' mean.

    Returns:
        (B, 1, H, W): the largest over channels.

    Source: Luo et al., "ASLFeat", CVPR 2020, Eqs. 4 to 6.
    """
    scaled = maps / maps.amax(dim=(1, 2, 3), keepdim=True)
    above_place = functional.softplus(scaled - _mean3(_mirror(scaled)))
    above_channels = functional.softplus(scaled - scaled.mean(dim=1, keepdim=True))
    return (above_place * above_channels).amax(dim=1, keepdim=True)


def _mirror(maps: Tensor) -> Tensor:
    return functional.pad(maps, (1, 1, 1, 1), mode="reflect")


def _mean3(maps: Tensor) -> Tensor:
    return functional.avg_pool2d(maps, 3, 1)


PRIORS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": identity_prior,
    "SSIM": ssim_prior,
    "ASL_Peak": asl_peak_prior,
}
