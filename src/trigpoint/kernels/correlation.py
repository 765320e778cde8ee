"""NCNet's correlation of two feature maps and its soft mutual filter: public operations (see `trigpoint.kernels`).

The CPU backend pools every register tile as it is made, `torch` some rows of image 0 at a time, so that the unpooled
volume never exists.
"""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from trigpoint.errors import SettingsError, ShapeError
from trigpoint.kernels import correlation_reference as reference
from trigpoint.kernels import library as compiled
from trigpoint.kernels import usage
from trigpoint.kernels.pyramid_reference import correlate

BACKENDS = ("auto", "reference", "torch", "cpu")
LARGEST_POOLING = 4  # its offsets fit in a byte
COMPILED_POOLINGS = (1, 2)
DIMENSIONS = 4
BLOCK_BYTES = {"cpu": 1 << 24, "cuda": 1 << 28}  # of the unpooled volume, at once in `torch`


@dataclass(frozen=True)
class Correlation:
    """`volume` (h0, w0, h1, w1) float32; `offsets` uint8 of that shape: which pixel of each pooled cell won.

    With pooling p the offset is ((r0 p + c0) p + r1) p + c1: row and column inside the cell of side 0, then of side 1.
    Without pooling all offsets are 0.
    """

    volume: Tensor
    offsets: Tensor
    pooling: int


class Problem(ctypes.Structure):
    """tp_correlation."""

    _fields_ = [
        ("desc0", compiled.Map),
        ("desc1", compiled.Map),
        ("channels", ctypes.c_int64),
        ("pooling", ctypes.c_int64),
        ("threads", ctypes.c_int32),
    ]


def correlate_4d(desc0: Tensor, desc1: Tensor, *, pooling: int = 1, backend: str = "auto") -> Correlation:
    """Dot products of every column of one map with every column of the other, the largest of `pooling` ** 4 kept.

    Args:
        desc0: (C, H0, W0) float32, sides divisible by `pooling`.
        desc1: (C, H1, W1) float32 on the same device, alike.
        pooling: 1 keeps all; NCNet and Patch2Pix take 2.
        backend: one of BACKENDS; gradients pass `reference`, which `auto` takes where they are asked for. Elsewhere it
            takes `cpu` where that is built, else `torch`.

    Raises:
        ShapeError: the two are not float32 maps of equal width with such sides on one device.
        SettingsError: an unknown backend, or one that cannot do this.
    """
    if desc0.ndim != 3 or desc1.ndim != 3 or desc0.shape[0] != desc1.shape[0] or 0 in (*desc0.shape, *desc1.shape):
        raise ShapeError(
            f"features are {tuple(desc0.shape)} and {tuple(desc1.shape)}, expected (C, H0, W0) and (C, H1, W1), "
            "no side zero"
        )
    if desc0.dtype != torch.float32 or desc1.dtype != torch.float32 or desc0.device != desc1.device:
        raise ShapeError(
            f"features are {desc0.dtype} on {desc0.device} and {desc1.dtype} on {desc1.device}, "
            "expected float32 on one device"
        )
    if not 1 <= pooling <= LARGEST_POOLING:
        raise SettingsError(f"pooling {pooling}: expected 1 to {LARGEST_POOLING}")
    if any(side % pooling for side in (*desc0.shape[1:], *desc1.shape[1:])):
        raise ShapeError(
            f"features are {tuple(desc0.shape)} and {tuple(desc1.shape)}: sides must be multiples of pooling {pooling}"
        )
    chosen = _choose("correlate_4d", backend, (desc0, desc1), pooling in COMPILED_POOLINGS)
    if chosen == "cpu":
        return _correlate_cpu(desc0, desc1, pooling)
    if chosen == "torch" and pooling > 1:
        return _correlate_in_blocks(desc0, desc1, pooling)
    volume = correlate(desc0, desc1)
    if pooling == 1:
        return Correlation(volume, torch.zeros_like(volume, dtype=torch.uint8), pooling)
    return Correlation(*reference.pool(volume, pooling), pooling)


def mutual_matching(volume: Tensor, *, backend: str = "auto") -> Tensor:
    """The soft mutual filter: each value times its share of its row's and of its column's largest.

    Args:
        volume: (h0, w0, h1, w1) float32, one channel; a row is a cell of side 0, a column one of side 1.
        backend: one of BACKENDS; gradients pass `reference`, which `auto` takes where they are asked for.

    Returns:
        A new volume of that shape.
    """
    if volume.ndim != DIMENSIONS or 0 in volume.shape or volume.dtype != torch.float32:
        raise ShapeError(f"volume is {tuple(volume.shape)} {volume.dtype}, expected (h0, w0, h1, w1) float32")
    if _choose("mutual_matching", backend, (volume,), True) != "cpu":
        return reference.mutual_matching(volume)
    library, dense = compiled.load_library(), volume.detach().contiguous()
    out = torch.empty_like(dense)
    cells0, cells1 = volume.shape[0] * volume.shape[1], volume.shape[2] * volume.shape[3]
    status = library.tp_mutual_matching_cpu(
        ctypes.c_void_p(dense.data_ptr()),
        ctypes.c_int64(cells0),
        ctypes.c_int64(cells1),
        ctypes.c_float(reference.FLOOR),
        ctypes.c_int32(torch.get_num_threads()),
        ctypes.c_void_p(out.data_ptr()),
    )
    if status != 0:
        raise SettingsError(compiled.last_error(library))
    return out


def _choose(operation: str, backend: str, tensors: tuple[Tensor, ...], can: bool) -> str:
    """`reference`, `torch` or `cpu`, noted for provenance."""
    if backend not in BACKENDS:
        raise SettingsError(f"backend '{backend}': expected one of {', '.join(BACKENDS)}")
    graded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    device = tensors[0].device.type
    on_cpu = device == "cpu"
    if backend == "cpu" and (graded or not on_cpu or not can):
        reason = "no gradients" if graded else "tensors on the CPU" if not on_cpu else f"pooling {COMPILED_POOLINGS}"
        raise SettingsError(f"backend 'cpu' of {operation} takes {reason}; use auto or reference")
    compilable = on_cpu and can and not graded
    chosen = backend
    if backend == "auto":
        chosen = "cpu" if compilable and compiled.library_or_none() else "reference" if graded else "torch"
    full_name = f"torch-{device}" if chosen == "torch" else chosen
    usage.note(operation, f"cpu-{compiled.load_library().tp_cpu_isa().decode()}" if chosen == "cpu" else full_name)
    return chosen


def _correlate_in_blocks(desc0: Tensor, desc1: Tensor, pooling: int) -> Correlation:
    """The reference on as many rows of image 0 at a time as memory is granted for."""
    shape = [side // pooling for side in (*desc0.shape[1:], *desc1.shape[1:])]
    volume, offsets = desc0.new_empty(shape), desc0.new_empty(shape, dtype=torch.uint8)
    row_bytes = pooling * desc0.shape[2] * desc1[0].numel() * desc0.element_size()
    rows = max(1, BLOCK_BYTES.get(desc0.device.type, BLOCK_BYTES["cpu"]) // row_bytes)
    for first in range(0, shape[0], rows):
        part = correlate(desc0[:, pooling * first : pooling * (first + rows)], desc1)
        volume[first : first + rows], offsets[first : first + rows] = reference.pool(part, pooling)
    return Correlation(volume, offsets, pooling)


def _correlate_cpu(desc0: Tensor, desc1: Tensor, pooling: int) -> Correlation:
    library = compiled.load_library()
    desc0, desc1 = desc0.detach(), desc1.detach()
    shape = [side // pooling for side in (*desc0.shape[1:], *desc1.shape[1:])]
    volume = torch.empty(shape)
    offsets = torch.zeros(shape, dtype=torch.uint8)
    maps = [compiled.Map(desc.data_ptr(), *desc.shape[1:], *desc.stride()) for desc in (desc0, desc1)]
    problem = Problem(*maps, desc0.shape[0], pooling, torch.get_num_threads())
    out = ctypes.c_void_p(volume.data_ptr()), ctypes.c_void_p(offsets.data_ptr())
    if library.tp_correlate_cpu(ctypes.byref(problem), *out) != 0:
        raise SettingsError(compiled.last_error(library))
    return Correlation(volume, offsets, pooling)
