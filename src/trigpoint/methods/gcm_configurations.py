"""GCM's configuration files: read as they are, and the release's eight by their names."""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from trigpoint.errors import SettingsError
from trigpoint.settings import nearest
from trigpoint.storage.weights import WEIGHTS

OWNER = "gcm"
# Keys of the files that are settings, and keys that are not: the device is chosen outside, nothing reads the others.
KEYS = (
    "model",
    "fine_model",
    "fine_weights_path",
    "ratio_th",
    "fine_ratio",
    "up_sample",
    "down_sample",
    "enable_two_stage",
    "bidirectional",
    "resize",
)
IGNORED = ("device", "output_directory", "model_name")
SUFFIXES = (".yml", ".yaml")


def _hierarchical(model: str, weights: str, fine_ratio: float) -> dict[str, Any]:
    return {
        "model": model,
        "fine_model": "R2D2",
        "fine_weights_path": weights,
        "ratio_th": [1.0] * 5,
        "fine_ratio": fine_ratio,
        "up_sample": [16, 1],
    }


def _averaged(ratio: float) -> dict[str, Any]:
    return {"model": "R2D2_STU", "fine_model": None, "ratio_th": [ratio] + [1.0] * 5, "up_sample": [16, 1]}


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "VGG_dstlR2D2_95": _hierarchical("COARSEVGG19", "gcm-student", 0.95),
    "VGG_dstlR2D2_6": _hierarchical("COARSEVGG19", "gcm-student", 0.6),
    "ResNet18_dstlR2D2_95": _hierarchical("ResNet18", "gcm-student", 0.95),
    "ResNet18_dstlR2D2_6": _hierarchical("ResNet18", "gcm-student", 0.6),
    "ResNet18_R2D2_95": _hierarchical("ResNet18", "r2d2-wasf-n16", 0.95),
    "ResNet18_R2D2_6": _hierarchical("ResNet18", "r2d2-wasf-n16", 0.6),
    "Avg_R2D2_95": _averaged(0.95),
    "Avg_R2D2_6": _averaged(0.6),
    "DFM": {  # no file of the release: what it is compared with
        "model": "VGG19",
        "fine_model": None,
        "ratio_th": [0.9, 0.9, 0.9, 0.9, 0.95, 1.0],
        "up_sample": [16, 1],
    },
}


def read_configuration(name_or_path: str) -> dict[str, Any]:
    """Settings of a configuration, by the names of the files' keys; keys that the files leave empty are null.

    Args:
        name_or_path: a key of CONFIGURATIONS, with or without the files' suffix, or a file.

    Raises:
        SettingsError: neither; or the file is no mapping of known keys.
    """
    path = Path(name_or_path)
    if path.is_file():
        return _read(path)
    name = path.name.removesuffix(path.suffix) if path.suffix in SUFFIXES else path.name
    if name == str(name_or_path).removesuffix(path.suffix) and name in CONFIGURATIONS:
        return dict(CONFIGURATIONS[name])
    raise SettingsError(f"{OWNER}: configuration '{name_or_path}' is no file{nearest(name, list(CONFIGURATIONS))}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise SettingsError(f"{OWNER}: {path} is no YAML file: {problem}") from error
    if not isinstance(content, Mapping):
        raise SettingsError(f"{OWNER}: {path} holds a {type(content).__name__}, expected keys and values")
    for key in content:
        if key not in KEYS and key not in IGNORED:
            raise SettingsError(f"{OWNER}: {path}: unknown key '{key}'{nearest(str(key), [*KEYS, *IGNORED])}")
    values = {key: None if value == "None" else value for key, value in content.items() if key in KEYS}
    weights = values.get("fine_weights_path")
    if weights is not None:
        values["fine_weights_path"] = _weights_of_release(str(weights), path.parent)
    return values


def _weights_of_release(text: str, folder: Path) -> str:
    """A checkpoint that a file names by a path from somewhere in the release, with slashes of either kind.

    It may be where the path says, seen from here, from the file's folder or from the one above; else a registered
    checkpoint of that file name stands for it. A path that fits nothing is returned as it is: loading it says so.
    """
    given = Path(*PureWindowsPath(text).parts) if "\\" in text else Path(text)
    for start in (Path(), folder, folder.parent):
        if (start / given).is_file():
            return str(start / given)
    registered = [name for name, entry in WEIGHTS.items() if entry.file_name == given.name]
    return registered[0] if registered else text
