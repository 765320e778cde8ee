"""Where numbers come from: settings, versions, weights and the kind of machine, nothing that names a person or host."""

import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil

from trigpoint import __version__
from trigpoint.matching.base import MATCHERS
from trigpoint.methods.base import METHODS
from trigpoint.storage.colmap import read_settings
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.json_files import read_json
from trigpoint.storage.matches import MatchReader
from trigpoint.storage.weights import WEIGHTS, cached_path, sha256_of

PACKAGES = ("h5py", "kornia", "numpy", "opencv-python", "pillow", "poselib", "pycolmap", "snakemake", "torch")
PRIVATE_KEYS = ("mirrors", "mirror", "root", "image_root", "downloads")  # hosts and folders of this machine
_ABSOLUTE = re.compile(r"^(/|~|\\\\|[A-Za-z]:[\\/])")
GPU_TIMEOUT_S = 10  # the driver of a sleeping card takes seconds
_BYTES_PER_GIB = 1024**3


def provenance(
    dataset: str,
    work: Path,
    runs: list[str],
    left_out: list[str],
    settings: dict[str, Any],
    made_with: tuple[dict[str, Any], dict[str, list[str]]] | None = None,
) -> dict[str, Any]:
    """What provenance.json holds.

    Args:
        dataset: its id.
        work: the dataset's work folder with one folder for each run.
        runs: reported runs.
        left_out: configured runs that are not in the report.
        settings: of the report: `config`, `commit`, `seed`; absent ones stay absent.
        made_with: run -> settings by stage, and run -> backends of the kernels, where the runs' metrics say so; None
            if their files do.
    """
    if made_with is None:
        made_with = {run: run_settings(work / run) for run in runs}, kernel_backends(work, runs)
    stages, backends = made_with
    return {
        "dataset": dataset,
        "trigpoint": __version__,
        **{key: settings[key] for key in ("commit", "seed", "deterministic") if settings.get(key) not in (None, "")},
        "runs": without_places(stages),
        "left_out": left_out,
        "kernel_backends": {run: names for run, names in backends.items() if names},
        "weights": weights_used(stages),
        "versions": {"python": platform.python_version(), **package_versions()},
        "machine": machine(),
        "config": without_places(settings.get("config", {})),
    }


def run_settings(folder: Path) -> dict[str, Any]:
    """Settings by stage, as each file of a run holds them.

    Raises:
        StorageError: a file is missing or damaged.
    """
    with FeatureReader(folder / "features.h5") as features, MatchReader(folder / "matches.h5") as matches:
        stages: dict[str, Any] = {"features": features.settings, "matches": matches.settings}
    stages["database"] = dict(read_settings(folder / "database.db"))
    for stage in ("mapping", "localization"):
        path = folder / f"{stage}.json"
        log = read_json(path, stage) if path.is_file() else {}
        stages |= {stage: {key: log[key] for key in ("settings", "mapper", "seed") if key in log}} if log else {}
    return {stage: values for stage, values in stages.items() if values}


def kernel_backends(work: Path, runs: list[str]) -> dict[str, list[str]]:
    """Backends of the correlation kernels that answered for each run; runs that asked none are absent."""
    found = {}
    for run in runs:
        with FeatureReader(work / run / "features.h5") as features, MatchReader(work / run / "matches.h5") as matches:
            found[run] = sorted(features.kernel_backends | matches.kernel_backends)
    return {run: names for run, names in found.items() if names}


def weights_used(stages: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Registered checkpoints of the methods, and those that a setting names: sha256 and licence by name."""
    names = {name for name in WEIGHTS if any(_mentions(values, name) for values in stages.values())}
    for values in stages.values():
        features: dict[str, Any] = next(
            (values[stage] for stage in ("features", "correspondences", "flow") if stage in values), {}
        )
        matches = values.get("matches", values.get("flow", {}))
        if features.get("method") in METHODS:
            entry = METHODS[features["method"]]
            if not features.get("settings", {}).get(entry.weights_setting):
                names |= set(entry.weights) & WEIGHTS.keys()
        chosen = matches.get("matcher_settings", matches.get("settings", {}))
        if matches.get("matcher") in MATCHERS and not chosen.get("weights"):
            names |= set(MATCHERS[matches["matcher"]].weights) & WEIGHTS.keys()
    return {name: {"sha256": _checksum(name), "licence": WEIGHTS[name].licence} for name in sorted(names)}


def _checksum(name: str) -> str:
    """Of a checkpoint that the table does not know by its sum: the file's that is there."""
    known = WEIGHTS[name].sha256
    return sha256_of(cached_path(name)) if not known and cached_path(name).is_file() else known


def _mentions(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, name) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(item, name) for item in value)
    return bool(value == name)


def without_places(value: Any) -> Any:
    """A copy without the folders and hosts of this machine: an absolute path keeps its last name only."""
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items() if key not in PRIVATE_KEYS}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    if isinstance(value, str) and _ABSOLUTE.match(value):
        return ".../" + re.split(r"[\\/]", value.rstrip("/\\"))[-1]
    return value


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that numbers depend on; what is not installed is absent."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """Processor model, cores, memory and GPU models of the machine that writes the report."""
    values: dict[str, Any] = {
        "processor": processor_model(),
        "cores": psutil.cpu_count(logical=True),
        "memory_gib": round(psutil.virtual_memory().total / _BYTES_PER_GIB, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }
    gpus = gpu_models()
    return values | ({"gpus": gpus} if gpus else {})


def processor_model() -> str:
    """The processor's name as the system knows it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.is_file() else []
    return names[0].strip() if names else platform.machine()


def gpu_models() -> list[str]:
    """Names of NVIDIA GPUs; empty where the driver's tool is absent or finds none."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=GPU_TIMEOUT_S)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
