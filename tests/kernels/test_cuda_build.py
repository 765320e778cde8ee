"""Where nvcc is, the library gets its CUDA side, and loads where no driver is."""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects are kept between runs; from nothing it takes 15 s of two quiet cores."""
    spec = importlib.util.spec_from_file_location("cuda_kernels_build", ROOT / "cuda_kernels" / "build.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    objects = ROOT / "build" / "cuda-kernels"
    path: Path = build.build(tmp_path_factory.mktemp("cuda") / "library.so", objects)
    return path


def test_the_library_has_a_cuda_side_and_says_what_it_finds(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    loaded.tp_last_error.restype = ctypes.c_char_p
    assert loaded.tp_cuda_built() == 1
    if torch.cuda.is_available():
        assert loaded.tp_cuda_devices() > 0
    else:
        assert loaded.tp_cuda_devices() == 0
        assert loaded.tp_last_error() == b"no CUDA device"


def test_no_cuda_library_has_to_be_there_to_load_it(library: Path) -> None:
    needed = subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True).stdout
    assert "libc.so" in needed
    assert "libcuda" not in needed
