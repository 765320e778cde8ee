"""The CUDA side's pyramid, compiled for the host and run element by element through ctypes."""

import ctypes
import shutil
import subprocess
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trigpoint.kernels.pyramid import PyramidMatches, plan_levels

SOURCES = Path(__file__).parents[1] / "cuda_kernels"
DTYPES = ("float32", "bfloat16", "float16")
POSITIONS = ("stored", "recomputed")
ALIGNMENT = 256


class Map(Structure):
    _fields_ = [("data", c_void_p)] + [
        (name, c_int64) for name in ("rows", "columns", "channel_stride", "row_stride", "column_stride")
    ]


class Level(Structure):
    _fields_ = [
        (name, c_int64) for name in ("grid_rows", "grid_columns", "rows", "columns", "gap_next", "gap_before")
    ] + [("child_weights", c_void_p), ("divisors", c_void_p)]


class Pyramid(Structure):
    _fields_ = [
        ("desc0", Map),
        ("desc1", Map),
        ("channels", c_int64),
        ("levels", POINTER(Level)),
        ("num_levels", c_int64),
        ("power", c_double),
        ("dtype", c_int32),
        ("positions", c_int32),
        ("threads", c_int32),
    ]


class Result(Structure):
    _fields_ = [
        (name, c_void_p)
        for name in ("pixel_of_patch", "score_of_patch", "patch_of_block", "pixel_of_block", "score_of_block")
    ]


class Emulation:
    """`match` computes what tp_match_pyramid_cuda would, apart from the order of a tensor core's sums."""

    def __init__(self, library: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.library.tp_pyramid_emulated_bytes.restype = c_int64
        self.library.tp_emulated_error.restype = c_char_p

    @classmethod
    def build(cls, folder: Path) -> "Emulation":
        compiler = shutil.which("g++")
        if compiler is None:
            pytest.skip("no g++")
        library = folder / "libemulation.so"
        flags = [
            "-std=c++17",
            "-O2",
            "-ffp-contract=off",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unknown-pragmas",
            "-shared",
            "-fPIC",
        ]
        source = SOURCES / "tests/pyramid_emulation.cpp"
        folders = [f"-I{SOURCES / name}" for name in ("csrc", "include")]
        subprocess.run([compiler, *flags, *folders, str(source), "-o", str(library)], check=True)
        return cls(library)

    def match(
        self,
        desc0: Tensor,
        desc1: Tensor,
        *,
        levels: int = 99,
        min_shape: int = 5,
        power: float = 1.5,
        border: float = 0.9,
        dtype: str = "float32",
        positions: str = "stored",
        scratch: int = 0,
    ) -> PyramidMatches:
        """`scratch` bytes for batches; 0 is the least there can be, one row or patch at a time."""
        problem, plan = self.problem(desc0, desc1, levels, min_shape, power, border, dtype, positions)
        needed = self.library.tp_pyramid_emulated_bytes(byref(problem), c_int64(scratch))
        block = torch.full((needed + ALIGNMENT,), 255, dtype=torch.uint8)
        workspace = c_void_p(-(-block.data_ptr() // ALIGNMENT) * ALIGNMENT)
        blocks = [side // 4 for side in desc1.shape[1:]]
        shapes = (desc0.shape[1:], desc0.shape[1:], blocks, blocks, blocks)
        types = (torch.int64, torch.float32, torch.int64, torch.int64, torch.float32)
        out = [torch.full(shape, -7, dtype=dtype) for shape, dtype in zip(shapes, types, strict=True)]
        result = Result(*[tensor.data_ptr() for tensor in out])
        self.run(problem, result, workspace, scratch)
        return PyramidMatches(*out, len(plan))

    def run(self, problem: Pyramid, result: Result, workspace: c_void_p, scratch: int) -> None:
        if self.library.tp_match_pyramid_emulated(byref(problem), byref(result), workspace, c_int64(scratch)):
            raise RuntimeError(self.library.tp_emulated_error().decode())

    def bytes(self, size0: tuple[int, int], size1: tuple[int, int], dtype: str, positions: str) -> int:
        """The workspace at the scratch size of the CUDA side."""
        desc0, desc1 = torch.empty(1).expand(128, *size0), torch.empty(1).expand(128, *size1)
        problem, _ = self.problem(desc0, desc1, 99, 5, 1.5, 0.9, dtype, positions)
        return self.library.tp_pyramid_emulated_bytes(byref(problem), c_int64(80 << 20))

    def problem(
        self,
        desc0: Tensor,
        desc1: Tensor,
        levels: int,
        min_shape: int,
        power: float,
        border: float,
        dtype: str,
        positions: str,
    ) -> tuple[Pyramid, tuple]:
        plan = plan_levels(tuple(desc0.shape[1:]), tuple(desc1.shape[1:]), levels, min_shape, border)
        made = [
            Level(
                *level.grid,
                *level.size,
                level.gap_next,
                level.gap_before,
                level.child_weights.data_ptr(),
                level.divisors.data_ptr(),
            )
            for level in plan
        ]
        maps = [Map(desc.data_ptr(), desc.shape[1], desc.shape[2], *desc.stride()) for desc in (desc0, desc1)]
        array = (Level * max(1, len(made)))(*made)
        numbers = DTYPES.index(dtype), POSITIONS.index(positions)
        return Pyramid(*maps, desc0.shape[0], array, len(plan), power, *numbers, 1), plan
