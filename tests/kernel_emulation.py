"""The CUDA side's pyramid, compiled for the host and run element by element through the package's own calls."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from torch import Tensor

from trigpoint.kernels import pyramid_cuda
from trigpoint.kernels.pyramid import PyramidMatches

SOURCES = Path(__file__).parents[1] / "cuda_kernels"
FLAGS = [
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


class Emulation:
    """`match` computes what the CUDA side would, apart from the order of a tensor core's sums."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.tp_pyramid_cuda_bytes.restype = ctypes.c_int64
        self.library.tp_emulated_error.restype = ctypes.c_char_p
        self.library.tp_last_error = self.library.tp_emulated_error

    @classmethod
    def build(cls, folder: Path) -> "Emulation":
        compiler = shutil.which("g++")
        if compiler is None:
            pytest.skip("no g++")
        path = folder / "libemulation.so"
        folders = [f"-I{SOURCES / name}" for name in ("csrc", "include")]
        source = SOURCES / "tests" / "pyramid_emulation.cpp"
        subprocess.run([compiler, *FLAGS, *folders, str(source), "-o", str(path)], check=True)
        return cls(path)

    def scratch(self, bytes: int) -> None:
        """Room for batches, from now on; 0 is the least there can be: one row or patch at a time."""
        self.library.tp_emulated_scratch(ctypes.c_int64(bytes))

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
    ) -> PyramidMatches:
        rules = (levels, min_shape, border)
        return pyramid_cuda.run(self.library, desc0, desc1, rules, power, dtype, positions, 0)
