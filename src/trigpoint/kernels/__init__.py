"""Public operations: check the arguments, choose a backend, call it.

`reference` is the plain statement in torch, `torch` the streamed one for CPU and CUDA; `auto` takes the fastest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trigpoint.errors import SettingsError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

    from trigpoint.kernels.nearest_neighbors import MutualMatches

BACKENDS = ("auto", "reference", "torch")
DISTANCES = ("euclidean", "angle")


def mutual_nearest_neighbors(
    desc0: Tensor,
    desc1: Tensor,
    *,
    ratio: float | None = None,
    distance: str = "euclidean",
    max_distance: float | None = None,
    backend: str = "auto",
) -> MutualMatches:
    """Pairs of descriptors that are nearest to each other.

    Nearest means the largest dot product; of equal ones the first. The distance matters only to the two tests, each
    applied in both directions: `d1 < ratio * d2`, d2 the distance of the second nearest (a lone candidate passes), and
    `d1 <= max_distance`.

    Args:
        desc0: (N, D) float32 unit rows.
        desc1: (M, D) float32 unit rows on the same device.
        ratio: above 0; 1 refuses ties only; None makes no ratio test.
        distance: `euclidean`: sqrt(2 max(1 - a.b, 1e-6)), DISK's; `angle`: arccos(a.b) in radians, COLMAP's.
        max_distance: None accepts all.
        backend: one of BACKENDS.

    Returns:
        Indices (K, 2) int64, sorted by the first, and dot products (K,) float32.

    Raises:
        ShapeError: the two are not matrices of float32 of equal width on one device.
        SettingsError: an unknown distance or backend, or a ratio that is not positive.
    """
    import torch

    from trigpoint.kernels import nearest_neighbors, reference

    if desc0.ndim != 2 or desc1.ndim != 2 or desc0.shape[1] != desc1.shape[1]:
        raise ShapeError(f"descriptors are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected (N, D) and (M, D)")
    if desc0.dtype != torch.float32 or desc1.dtype != torch.float32 or desc0.device != desc1.device:
        raise ShapeError(
            f"descriptors are {desc0.dtype} on {desc0.device} and {desc1.dtype} on {desc1.device}, "
            "expected float32 on one device"
        )
    if distance not in DISTANCES or backend not in BACKENDS:
        raise SettingsError(
            f"distance '{distance}', backend '{backend}': expected one of {DISTANCES} and of {BACKENDS}"
        )
    if ratio is not None and not ratio > 0:
        raise SettingsError(f"ratio must be above 0, got {ratio}")
    if len(desc0) == 0 or len(desc1) == 0:
        return nearest_neighbors.no_matches(desc0.device)
    compute = reference if backend == "reference" else nearest_neighbors
    nearest0, nearest1 = compute.two_nearest(desc0, desc1)
    return nearest_neighbors.mutual_matches(nearest0, nearest1, ratio, distance, max_distance)
