"""dataset.json: a prepared dataset, there and back."""

import os
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import StorageError
from trigpoint.storage.json_files import read_json, write_json
from trigpoint.types import Camera, Dataset, DatasetImage, Pose

FORMAT_VERSION = 1


def write_dataset(output: str | os.PathLike[str], dataset: Dataset) -> None:
    """Write dataset.json; numbers are written so that they read back to the last bit."""
    value = asdict(dataset)
    value["poses"] = {
        name: {"rotation": pose.rotation.tolist(), "translation": pose.translation.tolist()}
        for name, pose in sorted(dataset.poses.items())
    }
    value["homographies"] = [[*pair, H.tolist()] for pair, H in dataset.homographies.items()]
    write_json(output, {"format_version": FORMAT_VERSION, **value}, kind="dataset")


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """What `write_dataset` wrote.

    Raises:
        StorageError: missing, damaged, or of another format; `trigpoint prepare` writes it.
    """
    value = read_json(path, "dataset")
    found = (value.get("kind"), value.get("format_version")) if isinstance(value, dict) else (None, None)
    if found != ("dataset", FORMAT_VERSION):
        raise StorageError(
            f"{path}: kind {found[0]}, format {found[1]}; expected dataset, format {FORMAT_VERSION}:"
            " run `trigpoint prepare` again"
        )
    try:
        return _dataset({key: item for key, item in value.items() if key not in ("kind", "format_version")})
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: damaged ({error!r}); run `trigpoint prepare` again") from error


def _dataset(value: dict[str, Any]) -> Dataset:
    value["images"] = tuple(_image(image) for image in value["images"])
    value["unusable"] = tuple((name, reason) for name, reason in value["unusable"])
    value["poses"] = {name: _pose(pose) for name, pose in value["poses"].items()}
    value["reference_images"] = tuple(value["reference_images"])
    value["published"] = tuple(value["published"])
    value["pairs"] = tuple((name0, name1) for name0, name1 in value.get("pairs", []))
    value["homographies"] = {(name0, name1): _matrix(H) for name0, name1, H in value.get("homographies", [])}
    return Dataset(**value)


def _matrix(value: list[list[float]]) -> NDArray[np.float64]:
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"a homography of shape {matrix.shape}")
    return matrix


def _image(value: dict[str, Any]) -> DatasetImage:
    camera = value.pop("camera")
    size = tuple(value.pop("size"))
    if camera is not None:
        camera = Camera(**{**camera, "params": tuple(camera["params"])})
    return DatasetImage(camera=camera, size=size, **value)


def _pose(value: dict[str, Any]) -> Pose:
    rotation, translation = np.array(value["rotation"], dtype=float), np.array(value["translation"], dtype=float)
    if rotation.shape != (3, 3) or translation.shape != (3,):
        raise ValueError(f"a pose of shapes {rotation.shape}, {translation.shape}")
    return Pose(rotation=rotation, translation=translation)
