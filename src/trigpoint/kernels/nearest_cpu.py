"""The two nearest in both directions by the compiled library on a CPU: register tiles, reduced as they are made."""

import ctypes

import torch
from torch import Tensor

from trigpoint.errors import SettingsError
from trigpoint.kernels import library as compiled
from trigpoint.kernels.nearest_neighbors import TwoNearest

SLOW = "generic"  # without AVX2 torch's product is the faster one


class Rows(ctypes.Structure):
    """tp_rows: (rows, channels) of float32."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("row_stride", ctypes.c_int64),
        ("column_stride", ctypes.c_int64),
    ]


class Problem(ctypes.Structure):
    """tp_two_nearest."""

    _fields_ = [("desc0", Rows), ("desc1", Rows), ("channels", ctypes.c_int64), ("threads", ctypes.c_int32)]


class Result(ctypes.Structure):
    """tp_two_nearest_result."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("index0", "best0", "second0", "index1", "best1", "second1")]


def is_faster() -> bool:
    """Whether the library is there, and this processor has the instructions that make it faster than torch."""
    library = compiled.library_or_none()
    return library is not None and library.tp_cpu_isa().decode() != SLOW


def two_nearest(desc0: Tensor, desc1: Tensor) -> tuple[TwoNearest, TwoNearest]:
    """As `reference.two_nearest`; each product is summed in the order of the channels.

    Args:
        desc0: (N, D) float32 on the CPU, N > 0, D > 0, any strides.
        desc1: (M, D) alike.
    """
    library = compiled.load_library()
    found = [
        TwoNearest(torch.empty(len(desc), dtype=torch.int64), torch.empty(len(desc)), torch.empty(len(desc)))
        for desc in (desc0, desc1)
    ]
    rows = [Rows(desc.data_ptr(), len(desc), *desc.stride()) for desc in (desc0, desc1)]
    problem = Problem(*rows, desc0.shape[1], torch.get_num_threads())
    result = Result(*(tensor.data_ptr() for side in found for tensor in (side.index, side.best, side.second)))
    if library.tp_two_nearest_cpu(ctypes.byref(problem), ctypes.byref(result)) != 0:
        raise SettingsError(compiled.last_error(library))
    return found[0], found[1]
