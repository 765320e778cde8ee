"""Public operations: check the arguments, choose a backend, call it.

`reference` is the plain statement in torch, `torch` the streamed one for CPU and CUDA; `auto` takes the fastest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trigpoint.errors import SettingsError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

    from trigpoint.kernels.nearest_neighbors import MutualMatches, TwoNearest
    from trigpoint.kernels.pyramid import PyramidCost, PyramidMatches

BACKENDS = ("auto", "reference", "torch", "cpu")
RATIO_SIDES = ("both", "first")  # of mutual_nearest_neighbors
DISTANCES = ("euclidean", "angle")
PYRAMID_BACKENDS = ("auto", "reference", "cpu", "cuda")
PYRAMID_DTYPES = ("float32", "bfloat16", "float16")
POSITIONS = ("auto", "stored", "recomputed")


def mutual_nearest_neighbors(
    desc0: Tensor,
    desc1: Tensor,
    *,
    ratio: float | None = None,
    ratio_sides: str = "both",
    distance: str = "euclidean",
    max_distance: float | None = None,
    mutual: bool = True,
    backend: str = "auto",
) -> MutualMatches:
    """Pairs of descriptors that are nearest to each other.

    Nearest means the largest dot product; of equal ones the first. The distance matters only to the two tests, each
    applied in both directions unless `ratio_sides` says otherwise: `d1 < ratio * d2`, d2 the distance of the second
    nearest (a lone candidate passes), and `d1 <= max_distance`.

    Args:
        desc0: (N, D) float32 unit rows.
        desc1: (M, D) float32 unit rows on the same device.
        ratio: above 0; 1 refuses ties only; None makes no ratio test.
        ratio_sides: `both`, or `first`: only the descriptors of `desc0` have to pass it.
        distance: `euclidean`: sqrt(2 max(1 - a.b, 1e-6)), DISK's; `angle`: arccos(a.b) in radians, COLMAP's.
        max_distance: None accepts all.
        mutual: off: a row of `desc0` and its nearest need not choose each other, so a row of `desc1` can be in several
            pairs; the tests are applied in both directions all the same.
        backend: one of BACKENDS; `auto` takes the compiled `cpu` for CPU tensors where it is there and faster.

    Returns:
        Indices (K, 2) int64, sorted by the first, and dot products (K,) float32.

    Raises:
        ShapeError: the two are not matrices of float32 of equal width on one device.
        SettingsError: an unknown distance or backend, one that is not there, or a ratio that is not positive.
    """
    from trigpoint.kernels import nearest_neighbors

    _check_rows(desc0, desc1)
    if distance not in DISTANCES or backend not in BACKENDS:
        raise SettingsError(
            f"distance '{distance}', backend '{backend}': expected one of {DISTANCES} and of {BACKENDS}"
        )
    if (ratio is not None and not ratio > 0) or ratio_sides not in RATIO_SIDES:
        raise SettingsError(
            f"ratio {ratio} of side '{ratio_sides}': expected one above 0, and one of {', '.join(RATIO_SIDES)}"
        )
    if len(desc0) == 0 or len(desc1) == 0:
        return nearest_neighbors.no_matches(desc0.device)
    nearest0, nearest1 = two_nearest(desc0, desc1, backend=backend)
    return nearest_neighbors.mutual_matches(
        nearest0, nearest1, ratio, distance, max_distance, mutual=mutual, ratio_sides=ratio_sides
    )


def two_nearest(desc0: Tensor, desc1: Tensor, *, backend: str = "auto") -> tuple[TwoNearest, TwoNearest]:
    """For every row of either matrix the largest dot product with the rows of the other, where, and the second largest.

    Of equal products the first. For tests that `mutual_nearest_neighbors` does not have.

    Args:
        desc0: (N, D) float32, N > 0.
        desc1: (M, D) float32 on the same device, M > 0.
        backend: as for `mutual_nearest_neighbors`.

    Raises:
        ShapeError: the two are not matrices of float32 of equal width on one device, or one has no rows.
        SettingsError: an unknown backend, or one that is not there.
    """
    from trigpoint.kernels import nearest_cpu, nearest_neighbors, reference, usage

    _check_rows(desc0, desc1)
    if len(desc0) == 0 or len(desc1) == 0:
        raise ShapeError(f"descriptors are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected rows in both")
    if backend not in BACKENDS:
        raise SettingsError(f"backend '{backend}': expected one of {BACKENDS}")
    chosen = backend
    if backend == "auto":
        compiled = desc0.device.type == "cpu" and desc0.shape[1] > 0 and nearest_cpu.is_faster()
        chosen = "cpu" if compiled else "torch"
    elif backend == "cpu":
        _choose_backend(backend, desc0.device.type)
    usage.note("mutual_nearest_neighbors", f"torch-{desc0.device.type}" if chosen == "torch" else _full_name(chosen))
    find = {"reference": reference, "torch": nearest_neighbors, "cpu": nearest_cpu}[chosen].two_nearest
    return find(desc0.detach(), desc1.detach()) if chosen == "cpu" else find(desc0, desc1)


def block_products(desc0: Tensor, desc1: Tensor) -> Tensor:
    """Dot products within small blocks: each descriptor of a block with each of the block that belongs to it.

    Args:
        desc0: (N, P, D) float32.
        desc1: (N, Q, D) float32 on the same device.

    Returns:
        (N, P, Q).

    Raises:
        ShapeError: the two are not blocks of float32 of equal number and width on one device.
    """
    import torch

    from trigpoint.kernels import usage

    if desc0.ndim != 3 or desc1.ndim != 3 or desc0.shape[::2] != desc1.shape[::2]:
        raise ShapeError(f"blocks are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected (N, P, D) and (N, Q, D)")
    _check_types(desc0, desc1)
    usage.note("block_products", f"torch-{desc0.device.type}")
    return torch.bmm(desc0, desc1.transpose(1, 2))


def match_pyramid(
    desc0: Tensor,
    desc1: Tensor,
    *,
    levels: int = 99,
    min_shape: int = 5,
    power: float = 1.5,
    border: float = 0.9,
    dtype: str = "float32",
    positions: str = "auto",
    backend: str = "auto",
) -> PyramidMatches:
    """Correlate every patch with every pixel, let the pyramid vote, read out the best of both sides (PUMP).

    Args:
        desc0: (C, H0, W0) float32 unit vectors, one a patch: every fourth pixel of image 0 from the third on.
        desc1: (C, H1, W1) float32 unit vectors, one a pixel of image 1, on the same device.
        levels: at most so many levels above level 0.
        min_shape: the last level is the first whose map of image 1 has a side of at most so many cells.
        power: of the rectification max(v, 0) ** power, 1 to 3.
        border: exponent of the visible share in the divisor of a mean, 0 to 1.
        dtype: of the descriptors in the products; sums are float32.
        positions: what is kept for the way down: `stored` pooled maxima and positions of level 0; `recomputed` nothing
            below level 2, the products are then computed twice. `auto` decides by the free memory and logs it. The
            result is the same. The reference keeps everything.
        backend: one of PYRAMID_BACKENDS.

    Raises:
        ShapeError: the two are not float32 maps of equal, positive width on one device.
        SettingsError: a setting is out of its range, or the named backend is not there.
    """
    from trigpoint.kernels import usage

    _check_maps(desc0, desc1)
    _check_pyramid(levels, power, border, dtype, positions, backend)
    chosen = _choose_backend(backend, desc0.device.type)
    usage.note("match_pyramid", _full_name(chosen))
    if chosen == "reference":
        from trigpoint.kernels import pyramid_reference

        products0, products1 = _rounded(desc0, dtype), _rounded(desc1, dtype)
        return pyramid_reference.match_pyramid(
            products0, products1, levels=levels, min_shape=min_shape, power=power, border=border
        )
    from trigpoint.kernels import pyramid_cpu, pyramid_cuda

    compiled = pyramid_cpu if chosen == "cpu" else pyramid_cuda
    return compiled.match_pyramid(
        desc0,
        desc1,
        levels=levels,
        min_shape=min_shape,
        power=power,
        border=border,
        dtype=dtype,
        positions=positions,
    )


def reciprocal(matches: PyramidMatches) -> Tensor:
    """(K, 2) int64 [patch, pixel] on which both sides agree, sorted by patch."""
    from trigpoint.kernels import pyramid

    return pyramid.reciprocal(matches)


def estimate_pyramid(
    channels: int,
    size0: tuple[int, int],
    size1: tuple[int, int],
    *,
    levels: int = 99,
    min_shape: int = 5,
    dtype: str = "float32",
    positions: str = "stored",
) -> PyramidCost:
    """Memory and operations of `match_pyramid` for descriptors (C, *size0) and (C, *size1)."""
    from trigpoint.kernels import pyramid

    return pyramid.estimate_pyramid(
        channels, size0, size1, levels=levels, min_shape=min_shape, dtype=dtype, positions=positions
    )


def _check_rows(desc0: Tensor, desc1: Tensor) -> None:
    if desc0.ndim != 2 or desc1.ndim != 2 or desc0.shape[1] != desc1.shape[1]:
        raise ShapeError(f"descriptors are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected (N, D) and (M, D)")
    _check_types(desc0, desc1)


def _check_types(desc0: Tensor, desc1: Tensor) -> None:
    import torch

    if desc0.dtype != torch.float32 or desc1.dtype != torch.float32 or desc0.device != desc1.device:
        raise ShapeError(
            f"descriptors are {desc0.dtype} on {desc0.device} and {desc1.dtype} on {desc1.device}, "
            "expected float32 on one device"
        )


def _check_maps(desc0: Tensor, desc1: Tensor) -> None:
    if desc0.ndim != 3 or desc1.ndim != 3 or desc0.shape[0] != desc1.shape[0] or 0 in (*desc0.shape, *desc1.shape):
        raise ShapeError(
            f"descriptors are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected (C, H0, W0) and (C, H1, W1), "
            "no side zero"
        )
    _check_types(desc0, desc1)


def _check_pyramid(levels: int, power: float, border: float, dtype: str, positions: str, backend: str) -> None:
    if levels < 0 or not 1 <= power <= 3 or not 0 <= border <= 1:
        raise SettingsError(f"levels {levels}, power {power}, border {border}: expected at least 0, 1 to 3, and 0 to 1")
    for name, value, known in (
        ("dtype", dtype, PYRAMID_DTYPES),
        ("positions", positions, POSITIONS),
        ("backend", backend, PYRAMID_BACKENDS),
    ):
        if value not in known:
            raise SettingsError(f"{name} '{value}': expected one of {', '.join(known)}")


def _rounded(desc: Tensor, dtype: str) -> Tensor:
    """The descriptors as their products see them, in float32."""
    import torch

    return desc if dtype == "float32" else desc.to(getattr(torch, dtype)).float()


def backend_in_use(device: str) -> str:
    """What `auto` computes with on `cpu` or `cuda`, for provenance: `cpu-avx512`, `cuda-sm90`, `reference`."""
    return _full_name(_choose_backend("auto", device))


def _choose_backend(backend: str, device: str) -> str:
    """`reference`, `cpu` or `cuda` for tensors on a device; a named backend that is missing is an error."""
    from trigpoint.kernels import library, pyramid_cuda

    if backend == "auto":
        there = pyramid_cuda.is_there() if device == "cuda" else library.library_or_none() is not None
        return device if there else "reference"
    if backend == "reference":
        return backend
    if backend != device:
        raise SettingsError(f"backend '{backend}': the tensors are on {device}")
    library.load_library()
    if backend == "cuda" and (refusal := pyramid_cuda.refusal()) is not None:
        raise SettingsError(f"backend 'cuda': {refusal}")
    return backend


def _full_name(backend: str) -> str:
    """With the instructions: `cpu-avx512`, `cuda-sm90`."""
    from trigpoint.kernels import library

    if backend == "cuda":
        import torch

        return "cuda-sm{}{}".format(*torch.cuda.get_device_capability())
    return f"cpu-{library.load_library().tp_cpu_isa().decode()}" if backend == "cpu" else backend
