"""Builds the correlation kernels into one shared library: `python cuda_kernels/build.py [--if-possible] [LIBRARY]`.

With --if-possible a missing compiler is said, and no error.

Needs g++ (12 or newer) or clang++ (CXX names another); where nvcc is found (NVCC names another, NVCC= leaves CUDA out)
the CUDA side is built too. Standard library only: setup.py and the Makefile call it before anything is installed.
"""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.resolve()
SOURCES = ROOT / "csrc"
LIBRARY = ROOT.parent / "src" / "trigpoint" / "kernels" / "_lib" / "libtrigpoint_kernels.so"
OBJECTS = ROOT.parent / "build" / "kernels"
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-pthread", "-Wall", "-Wextra"]
# GCC 12 takes the undefined arguments of its own AVX-512 intrinsics for uninitialized ones
FLAGS += ["-Wno-maybe-uninitialized", "-Wno-unknown-warning-option", f"-I{ROOT / 'include'}", f"-I{SOURCES}"]
AVX512 = ["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"]
INSTRUCTION_SETS = {"avx2": ["-mavx2", "-mfma"], "avx512": AVX512, "avx512bf16": [*AVX512, "-mavx512bf16"]}
# machine code for Ampere and Hopper, and PTX that newer devices compile for themselves
ARCHITECTURES = ["arch=compute_80,code=sm_80", "arch=compute_90,code=sm_90", "arch=compute_90,code=compute_90"]
_logger = logging.getLogger("cuda_kernels")


class NoCompilerError(Exception):
    """There is no C++ compiler."""


@dataclass(frozen=True)
class Step:
    """One compiler call and the object it writes."""

    command: list[str]
    source: Path
    target: Path


def compiler() -> str:
    """The C++ compiler: CXX, g++, clang++ or c++, the first that is there."""
    for name in (os.environ.get("CXX"), "g++", "clang++", "c++"):
        if name and shutil.which(name):
            return name
    raise NoCompilerError("no C++ compiler (g++, clang++, c++) was found: install g++, then run `make kernels`")


def nvcc() -> str | None:
    """The CUDA compiler, or None where there is none or nothing for it."""
    if not any(SOURCES.glob("*.cu")):
        return None
    return shutil.which(os.environ.get("NVCC", "nvcc") or "no-nvcc")


def steps(objects: Path, flags: list[str]) -> list[Step]:
    """The compiler calls; `flags` are added to every one."""
    cxx, cuda = compiler(), nvcc()
    found = []
    for source in sorted(SOURCES.glob("*.cpp")):
        instructions = source.stem.removeprefix("cpu_")
        if instructions in INSTRUCTION_SETS and platform.machine() not in ("x86_64", "AMD64"):
            continue
        if source.stem == "cuda_absent" and cuda:
            continue
        extra = INSTRUCTION_SETS.get(instructions, [])
        found.append(_step([cxx, *FLAGS, *extra, *flags, "-c"], source, objects))
    if cuda:
        gencode = [word for architecture in ARCHITECTURES for word in ("-gencode", architecture)]
        command = [cuda, "-std=c++17", "-O3", "--fmad=false", *gencode, f"-I{ROOT / 'include'}", f"-I{SOURCES}"]
        command += ["-Xcompiler", "-fPIC,-fvisibility=hidden", "-c"]
        found += [_step(command, source, objects) for source in sorted(SOURCES.glob("*.cu"))]
    return found


def _step(command: list[str], source: Path, objects: Path) -> Step:
    target = objects / f"{source.name}.o"
    return Step([*command, str(source), "-o", str(target)], source, target)


def build(library: Path = LIBRARY, objects: Path = OBJECTS, flags: list[str] | None = None) -> Path:
    """Compile what changed and link; the library is replaced whole or not at all.

    Raises:
        NoCompilerError: there is none.
        subprocess.CalledProcessError: a compiler failed; it has said why.
    """
    flags = flags or []
    objects.mkdir(parents=True, exist_ok=True)
    library.parent.mkdir(parents=True, exist_ok=True)
    todo = steps(objects, flags)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_compile, todo))
    cuda = nvcc()  # it knows where its runtime lies
    link = [cuda, "-shared", "-Xcompiler", "-pthread"] if cuda else [compiler(), "-shared", "-pthread"]
    link += [*flags, *(str(step.target) for step in todo)]
    partial = library.with_name(f"{library.name}.{os.getpid()}.partial")
    subprocess.run([*link, "-o", str(partial)], check=True)
    partial.replace(library)
    return library


def _compile(step: Step) -> None:
    """Run the call unless its object was made by the same call from the same files."""
    headers = [path for path in (*SOURCES.iterdir(), *(ROOT / "include").iterdir()) if path.suffix in (".h", ".inc")]
    digest = hashlib.sha256("\0".join(step.command).encode())
    for path in (step.source, *sorted(headers)):
        digest.update(path.read_bytes())
    stamp = step.target.with_suffix(".sha256")
    if step.target.is_file() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    _logger.info("compile %s", step.source.name)
    subprocess.run(step.command, check=True)
    stamp.write_text(digest.hexdigest())


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = sys.argv[1:]
    optional = "--if-possible" in arguments
    paths = [Path(word) for word in arguments if word != "--if-possible"]
    try:
        library = build(*paths)
    except NoCompilerError as error:
        _logger.log(logging.WARNING if optional else logging.ERROR, "%s", error)
        return 0 if optional else 1
    except subprocess.CalledProcessError as error:
        _logger.error("the compiler ended with status %s", error.returncode)
        return 1
    _logger.info("built %s (%s)", library, "with CUDA" if nvcc() else "no nvcc: without CUDA")
    return 0


if __name__ == "__main__":
    sys.exit(main())
