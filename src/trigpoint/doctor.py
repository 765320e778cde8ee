"""What this machine has, and what is missing for which feature, with the cure."""

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from trigpoint import __version__
from trigpoint.errors import TrigpointError
from trigpoint.storage.weights import WEIGHTS, cached_path

MIN_PYTHON = (3, 11)
MIN_FREE_GB = 2.0  # of the demo: environment apart, features, matches and models of 100 images take under 1 GB
MIN_MEMORY_GB = 4.0  # DISK at 1024 px takes 2 GB
# package -> what stops without it
PACKAGES = {
    "h5py": "every stage",
    "PIL": "reading images",
    "scipy": "metrics",
    "poselib": "two-view pose evaluation",
    "kornia": "LightGlue",
    "snakemake": "the workflow",
}
DISTRIBUTION_OF = {"PIL": "pillow"}
# program -> (what it is for, cure)
PROGRAMS = {
    "sbatch": ("running on a Slurm cluster (profiles/slurm)", "run on a machine of the cluster"),
    "chromium": ("testing the report in a browser (make test-browser)", "apt-get install chromium"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked for.
        state: `ok`, `missing` (the main job cannot run) or `absent` (some feature cannot).
        found: version, model, size, or what went wrong.
        feature: what needs it.
        cure: what to do; empty if it is there.
    """

    subject: str
    state: str
    found: str
    feature: str = ""
    cure: str = ""


def examine(folder: Path) -> list[Finding]:
    """Everything that is looked at; `folder` is where the workflow would run."""
    checks: list[Callable[[], Finding]] = [_python, _torch, _gpu, _pycolmap, _opencv]
    findings = [check() for check in checks]
    findings += [_package(name, feature) for name, feature in PACKAGES.items()]
    findings += [_kernels(), _mitsuba()]
    findings += [_program(name, *about) for name, about in PROGRAMS.items()]
    findings += [_weights(name) for name in WEIGHTS]
    return [*findings, _cores(), _memory(), _disk(folder)]


def can_run(findings: list[Finding]) -> bool:
    """Whether the main job can run: nothing it needs is missing."""
    return all(finding.state != "missing" for finding in findings)


def as_text(findings: list[Finding]) -> str:
    """A line for each finding, and what can be done about what is not there."""
    width = max(len(finding.subject) for finding in findings)
    lines = [f"trigpoint {__version__} on {platform.system()} {platform.machine()}"]
    for finding in findings:
        lines.append(f"{finding.state:8}{finding.subject:{width}}  {finding.found}".rstrip())
        if finding.cure:
            lines.append(f"{'':8}{'':{width}}  needed for {finding.feature}: {finding.cure}")
    lines.append("the main job can run" if can_run(findings) else "the main job CANNOT run: see the lines `missing`")
    return "\n".join(lines) + "\n"


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info >= MIN_PYTHON:
        return Finding("python", "ok", found)
    wanted = ".".join(map(str, MIN_PYTHON))
    return Finding("python", "missing", found, "everything", f"install Python {wanted} or newer")


def _torch() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch", "missing", str(error), "features and matches", "run: pip install torch")
    return Finding("torch", "ok", torch.__version__)


def _gpu() -> Finding:
    feature, cure = (
        "speed: networks run on the CPU without one",
        "install an NVIDIA driver and a PyTorch built for CUDA",
    )
    try:
        import torch
    except ImportError:
        return Finding("gpu", "absent", "torch cannot be imported", feature, cure)
    if not torch.cuda.is_available():
        return Finding("gpu", "absent", "PyTorch finds no CUDA device", feature, cure)
    properties = torch.cuda.get_device_properties(0)
    memory = f"{properties.total_memory / 2**30:.0f} GiB"
    return Finding("gpu", "ok", f"{properties.name}, {memory}, CUDA {torch.version.cuda}")


def _pycolmap() -> Finding:
    try:
        from trigpoint.storage.colmap import load  # checks what it finds

        return Finding("pycolmap", "ok", load().__version__)
    except TrigpointError as error:
        found, _, cure = str(error).partition("; ")
        return Finding("pycolmap", "missing", found, "mapping and localization", cure)


def _opencv() -> Finding:
    try:
        import cv2
    except ImportError as error:  # the package is there, the system's libraries are not, or neither
        cure = "run: apt-get install libgl1 libglib2.0-0 (or pip install opencv-python-headless)"
        return Finding("opencv", "missing", str(error), "networks: it resizes their images", cure)
    return Finding("opencv", "ok", cv2.__version__)


def _package(name: str, feature: str) -> Finding:
    distribution = DISTRIBUTION_OF.get(name, name)
    try:
        importlib.import_module(name)
    except ImportError as error:
        return Finding(distribution, "missing", str(error), feature, f"run: pip install {distribution}")
    return Finding(distribution, "ok", importlib.metadata.version(distribution))


def _kernels() -> Finding:
    from trigpoint.kernels import library

    feature = "fast matching (everything works without, many times slower)"
    try:
        compiled = library.load_library()
    except TrigpointError as error:
        found, _, cure = str(error).partition("; ")
        return Finding("kernels", "absent", found, feature, cure)
    cuda = "CUDA" if compiled.tp_cuda_built() else "no CUDA side"
    if compiled.tp_cuda_built() and compiled.tp_cuda_devices() == 0:
        cuda = f"CUDA, but {library.last_error(compiled)}"
    return Finding("kernels", "ok", f"compiled: cpu-{compiled.tp_cpu_isa().decode()}; {cuda}")


def _mitsuba() -> Finding:
    try:
        return Finding("mitsuba", "ok", importlib.metadata.version("mitsuba"))
    except importlib.metadata.PackageNotFoundError:
        feature = "trigpoint render-scene"
        return Finding("mitsuba", "absent", "not installed", feature, "run: pip install 'trigpoint[render]'")


def _program(name: str, feature: str, cure: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, "ok", path) if path else Finding(name, "absent", "not on the path", feature, cure)


def _weights(name: str) -> Finding:
    subject, path = f"weights {name}", cached_path(name)
    if path.is_file():
        return Finding(subject, "ok", str(path))
    return Finding(subject, "absent", "not fetched", WEIGHTS[name].description, f"trigpoint fetch-weights {name}")


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", "ok", str(usable))


def _memory() -> Finding:
    total = psutil.virtual_memory().total / 1e9
    if total >= MIN_MEMORY_GB:
        return Finding("memory", "ok", f"{total:.1f} GB")
    return Finding("memory", "absent", f"{total:.1f} GB", "networks at their usual sizes", "set a smaller resize_px")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    if free >= MIN_FREE_GB:
        return Finding("disk", "ok", f"{free:.1f} GB free in {folder}")
    return Finding("disk", "missing", f"{free:.1f} GB free in {folder}", "results", f"free at least {MIN_FREE_GB:g} GB")
