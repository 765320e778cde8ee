"""Checkpoints that hold more than tensors, converted once into safetensors, which cannot run anything.

Patch2Pix's files keep the regressors' configuration as a pickled `argparse.Namespace`, and results as numbers of numpy.
Both are read by a restricted unpickler that knows these names only. Numpy's own functions are not called: a forged type
could make them take bytes for addresses.
"""

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from trigpoint.errors import WeightsError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.weights import first_line, load_state_dict, resolve_weights

SUFFIX = ".safetensors"
METADATA_KEY = "trigpoint"
BACKBONES = ("ResNet34",)
NUMBER_KINDS = "biuf"
PLAIN = (bool, int, float, str, type(None))


class _NumberType:
    """Stands for numpy.dtype: a plain number's, whose state may only say the byte order."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in NUMBER_KINDS or self.dtype.fields is not None:
            raise pickle.UnpicklingError(f"it holds a number of type {name!r}")

    def __setstate__(self, state: Any) -> None:
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError(f"it holds a number of type {self.dtype} with {state[1:5]!r}")


def _number(number_type: Any, data: Any) -> Any:
    """Stands for numpy's function that makes a number of bytes."""
    if not isinstance(number_type, _NumberType) or not isinstance(data, bytes | str):
        raise pickle.UnpicklingError("it holds a number without a type")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype=number_type.dtype, count=1)[0].item()


_KNOWN: list[Any] = [
    argparse.Namespace,
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
]


def convert_checkpoint(source: Path, output: Path) -> int:
    """Write the tensors and the configuration of a checkpoint as a safetensors file.

    Args:
        source: Patch2Pix's file with its sections, or a flat state dict such as NCNet's; a file that is safetensors
            already is checked and copied.
        output: file to write.

    Returns:
        The number of tensors.

    Raises:
        WeightsError: not a checkpoint, another backbone, or a pickle that holds anything else.
    """
    from safetensors.torch import save

    content = _read_safetensors(source) if is_safetensors(source) else _sections(_unpickle(source), source)
    tensors = {key: value.detach().clone().contiguous() for key, value in content["state_dict"].items()}
    metadata = {"format": "pt", METADATA_KEY: json.dumps({"config": content["config"]}, sort_keys=True)}
    with atomic_path(output) as partial:
        partial.write_bytes(save(tensors, metadata=metadata))
    return len(tensors)


def read_checkpoint(name_or_path: str | Path) -> dict[str, Any]:
    """`state_dict` and `config` (empty where the file has none) of a converted file, or of one of tensors alone.

    Args:
        name_or_path: a registered name or a file.

    Raises:
        WeightsError: missing, altered, no checkpoint, or a file that has to be converted first.
    """
    path = resolve_weights(name_or_path)
    if is_safetensors(path):
        return _read_safetensors(path)
    try:
        content = load_state_dict(path)
    except WeightsError as error:
        if "argparse.Namespace" not in str(error.__cause__):
            raise
        target = path.with_suffix(SUFFIX).name
        raise WeightsError(
            f"{path} holds a pickled Namespace: convert it once, `trigpoint convert-weights {path} {target}`"
        ) from error
    return _sections(content, path)


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: the length of a JSON text, then the text."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:9] == b"{" and not start.startswith(b"PK")


def _unpickle(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(_KNOWN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is no checkpoint, or one with more than tensors and a Namespace in it, and is not loaded: "
            f"{first_line(error)}"
        ) from error
    except (RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        raise WeightsError(f"{path} is not a readable checkpoint: {first_line(error)}") from error


def _sections(content: Any, path: Path) -> dict[str, Any]:
    """`state_dict` and `config` of a file's content."""
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected names and tensors")
    backbone = content.get("backbone", BACKBONES[0])
    if backbone not in BACKBONES:
        raise WeightsError(f"{path}: backbone {backbone!r}, known: {', '.join(BACKBONES)}")
    state = content.get("state_dict", content)
    config = content.get("config", content.get("regressor_config", {}))
    values = vars(config) if isinstance(config, argparse.Namespace) else config
    if not isinstance(state, dict) or not isinstance(values, dict):
        raise WeightsError(f"{path}: state_dict and regressor_config must be mappings")
    values = dict(values)
    if "feat_idx" in content:
        values["feat_idx"] = content["feat_idx"]
    return {"state_dict": _tensors(state, path), "config": {str(k): _plain(v, k, path) for k, v in values.items()}}


def _tensors(state: dict[Any, Any], path: Path) -> dict[str, Any]:
    import torch

    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(f"{path}: {key!r} is a {type(value).__name__}, expected a tensor")
    if not state:
        raise WeightsError(f"{path} holds no tensors")
    return dict(state)


def _plain(value: Any, key: Any, path: Path) -> Any:
    if isinstance(value, list | tuple) and all(isinstance(item, PLAIN) for item in value):
        return list(value)
    if isinstance(value, PLAIN):
        return value
    raise WeightsError(f"{path}: '{key}' of the configuration is a {type(value).__name__}")


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {first_line(error)}") from error
    config = metadata.get("config", {}) if isinstance(metadata, dict) else {}
    return _sections({"state_dict": state, "config": config}, path)
