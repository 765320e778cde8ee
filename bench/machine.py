"""What a measurement was made on: processor, cores, memory, versions; never a host name."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import psutil

PACKAGES = ("h5py", "kornia", "numpy", "opencv-python", "poselib", "pycolmap", "scipy", "torch", "trigpoint")
GIB = 2**30


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, GPUs and versions of this machine, for a file in bench/results."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "gpus": _gpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def spread(seconds: list[float]) -> dict[str, object]:
    """Median, smallest and largest of repeated timings, in seconds."""
    ordered = sorted(seconds)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {
        "median_s": round(median, 4),
        "min_s": round(ordered[0], 4),
        "max_s": round(ordered[-1], 4),
        "repeats": len(ordered),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.is_file() else []
    return names[0] if names else platform.processor() or "unknown"


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
