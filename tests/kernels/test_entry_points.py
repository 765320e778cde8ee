"""Every C function on small and odd sizes under AddressSanitizer and UBSan, for every instruction set."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "cuda_kernels"
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
INSTRUCTION_SETS = ["generic", "avx2", "avx512", "avx512bf16"]  # those that this processor lacks run as the next lesser


@pytest.fixture(scope="module")
def program() -> Path:
    """The test program, linked with a sanitized library; objects are kept between runs."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    folder = ROOT / "build" / "sanitized-kernels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NVCC", "")
        patch.setenv("CXX", "g++")
        library = build_module().build(folder / "libtrigpoint_kernels.so", folder / "objects", SANITIZERS)
    compile_program(folder, library, "entry_points", [])
    return folder / "entry_points"


def compile_program(folder: Path, library: Path, name: str, extra: list[str]) -> None:
    flags = ["-std=c++17", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *SANITIZERS]
    folders = [f"-I{KERNELS / part}" for part in ("include", "csrc")]
    source = [str(KERNELS / "tests" / "entry_points.cpp"), *extra, str(library)]
    command = ["g++", *flags, *folders, *source, "-pthread", f"-Wl,-rpath,{folder}", "-o", str(folder / name)]
    subprocess.run(command, check=True)


def build_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cuda_kernels_build", KERNELS / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
def test_entry_points_are_right_and_clean(program: Path, instructions: str) -> None:
    environment = {**os.environ, "TRIGPOINT_ISA": instructions}
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "CUDA built 0" in done.stdout


def test_the_cuda_sides_pyramid_is_clean_on_the_host(program: Path) -> None:
    """The functions, the blocks' phases and the staging of the CUDA kernels, as loops; equal to the CPU's results."""
    emulation = ["-DTP_EMULATED", str(KERNELS / "tests" / "pyramid_emulation.cpp")]
    compile_program(program.parent, program.parent / "libtrigpoint_kernels.so", "emulated_entry_points", emulation)
    done = subprocess.run([str(program.parent / "emulated_entry_points")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_function_of_the_header_is_called() -> None:
    header = (KERNELS / "include" / "trigpoint_kernels.h").read_text()
    declared = {
        line.split("(")[0].split()[-1].lstrip("*") for line in header.splitlines() if line.startswith("TP_EXPORT")
    }
    called = (KERNELS / "tests" / "entry_points.cpp").read_text()
    assert len(declared) > 10
    assert [name for name in sorted(declared) if f"{name}(" not in called] == []
