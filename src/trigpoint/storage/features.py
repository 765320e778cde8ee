"""Local features in HDF5: `/<image>/{keypoints, descriptors, scores}`, image names escaped into one group level."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from trigpoint.errors import StorageError
from trigpoint.storage.hdf5 import (
    create_group,
    create_h5,
    file_settings,
    open_h5,
    read_kernel_backends,
    write_kernel_backends,
)
from trigpoint.storage.names import escape_name, unescape_name
from trigpoint.types import Features

DESCRIPTOR_DTYPES = ("float16", "float32")


class FeatureWriter:
    """Writes a feature file; it appears when the `with` block ends without an error.

    Each image is a group with `keypoints` (N, 2) float32, `descriptors` (N, D) of `descriptor_dtype`, `scores` (N,)
    float32 and the attributes `image_size` (width, height) and `cache_key`. N = 0 is stored like any other. Keypoints
    of a method that has no descriptors (D = 0) are stored without any.
    """

    def __init__(
        self, output: str | os.PathLike[str], settings: Mapping[str, Any], descriptor_dtype: str = "float16"
    ) -> None:
        if descriptor_dtype not in DESCRIPTOR_DTYPES:
            raise StorageError(
                f"{output}: descriptor_dtype '{descriptor_dtype}', expected one of {', '.join(DESCRIPTOR_DTYPES)}"
            )
        self._path = Path(output)
        self._dtype = np.dtype(descriptor_dtype)
        self._context = create_h5(output, "features", settings)
        self.kernel_backends: set[str] = set()  # that answered while the features were made

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            write_kernel_backends(self._file, self.kernel_backends)
        self._context.__exit__(kind, error, trace)

    def write(self, name: str, features: Features, cache_key: str = "") -> None:
        """Add one image.

        Args:
            name: image; each is written once.
            features: N may be 0.
            cache_key: what the values depend on (image bytes, weights, settings), to find them again later.

        Raises:
            StorageError: the image was written before, array lengths differ, or a value is not a number.
        """
        escaped = escape_name(name)
        if escaped in self._file:
            raise StorageError(f"{self._path}: features of '{name}' were written twice")
        arrays = self._checked(name, features)
        group = create_group(self._file, escaped)
        for key, values in arrays.items():
            group.create_dataset(key, data=values)
        group.attrs["image_size"] = np.array(features.image_size, dtype=np.int64)
        group.attrs["cache_key"] = cache_key

    def copy_from(self, reader: "FeatureReader", name: str) -> None:
        """Add one image with what another file holds of it."""
        self.write(name, reader.read(name), reader.cache_key(name))

    def write_failed(self, name: str, size: tuple[int, int], reason: str) -> None:
        """Add an image that could not be used: no features, and the reason in the file's attribute `failed`."""
        nothing = np.zeros((0, 2), dtype=np.float32)
        self.write(name, Features(nothing, nothing, np.zeros(0, dtype=np.float32), size))
        failed = failed_images(self._file)
        self._file.attrs["failed"] = json.dumps({**failed, name: reason}, sort_keys=True)

    def _checked(self, name: str, features: Features) -> dict[str, np.ndarray]:
        where = f"{self._path}: '{name}'"
        keypoints = np.asarray(features.keypoints, dtype=np.float32)
        scores = np.asarray(features.scores, dtype=np.float32)
        descriptors = np.asarray(features.descriptors)
        num = len(keypoints)
        if keypoints.shape != (num, 2) or descriptors.ndim != 2 or len(descriptors) != num or scores.shape != (num,):
            raise StorageError(
                f"{where}: keypoints {keypoints.shape}, descriptors {descriptors.shape}, scores {scores.shape};"
                " expected (N, 2), (N, D), (N,)"
            )
        if not np.isfinite(keypoints).all() or not np.isfinite(descriptors).all() or np.isnan(scores).any():
            raise StorageError(f"{where}: a keypoint, descriptor or score is not a number; check weights and settings")
        with np.errstate(over="ignore"):
            stored = descriptors.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise StorageError(f"{where}: a descriptor does not fit {self._dtype}; use descriptor_dtype float32")
        described = {"descriptors": stored} if descriptors.shape[1] else {}
        return {"keypoints": keypoints, **described, "scores": scores}


class FeatureReader:
    """Reads a feature shard, or the view over all shards; to be used in a `with` block."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._shards: dict[str, h5py.File] = {}

    def __enter__(self) -> Self:
        self._file = open_h5(self._path, "features")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._shards.values():
            file.close()
        self._shards.clear()
        self._file.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the features were made with."""
        return file_settings(self._file)

    @property
    def kernel_backends(self) -> set[str]:
        """Backends of the correlation kernels that answered while the features were made."""
        return read_kernel_backends(self._file)

    @property
    def failed(self) -> dict[str, str]:
        """Reason by name of the images that could not be used; they have no keypoints."""
        return failed_images(self._file)

    def names(self) -> list[str]:
        """The images in this file, sorted."""
        return sorted(unescape_name(escaped) for escaped in self._file)

    def __contains__(self, name: str) -> bool:
        return bool(self._file.id.links.exists(escape_name(name).encode()))

    def read(self, name: str) -> Features:
        """Features of one image; descriptors in the type they are stored in, (N, 0) if there are none.

        Raises:
            StorageError: the file does not hold the image, or its shard is missing.
        """
        group = self._group(name)
        width, height = (int(length) for length in group.attrs["image_size"])
        keypoints = group["keypoints"][()]
        return Features(
            keypoints=keypoints,
            descriptors=group["descriptors"][()]
            if "descriptors" in group
            else np.zeros((len(keypoints), 0), np.float32),
            scores=group["scores"][()],
            image_size=(width, height),
        )

    def keypoints(self, name: str) -> np.ndarray:
        """(N, 2) float32 keypoints of one image; errors as `read`."""
        keypoints: np.ndarray = self._group(name)["keypoints"][()]
        return keypoints

    def num_keypoints(self, name: str) -> int:
        """How many keypoints one image has; errors as `read`."""
        return int(self._group(name)["keypoints"].shape[0])

    def cache_key(self, name: str) -> str:
        """What the image's features depend on, as given to the writer; errors as `read`."""
        return str(self._group(name).attrs["cache_key"])

    def _group(self, name: str) -> h5py.Group:
        """The image's group; a link is followed here, so that each shard is opened and checked once."""
        escaped = escape_name(name)
        if name not in self:
            raise StorageError(f"{self._path}: holds no features of '{name}'; run `trigpoint extract-features` again")
        link = self._file.get(escaped, getlink=True)
        if not isinstance(link, h5py.ExternalLink):
            return self._file[escaped]
        if link.filename not in self._shards:
            self._shards[link.filename] = open_h5(self._path.parent / link.filename, "features")
        shard = self._shards[link.filename]
        if escaped not in shard:
            raise StorageError(f"{shard.filename}: holds no features of '{name}'; run `trigpoint gather` again")
        return shard[escaped]


def link_shards(shards: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> None:
    """Write one file that shows the images of all shards through external links.

    The links are relative to `output`'s folder, so that the tree can be moved as a whole; other HDF5 readers follow
    them too. The shards have to stay.

    Raises:
        StorageError: no shards, an image in two of them, or shards made with different settings.
    """
    paths = sorted(Path(shard) for shard in shards)
    if not paths:
        raise StorageError(f"{output}: no feature shards were given")
    owner: dict[str, Path] = {}
    settings: dict[str, Any] = {}
    failed: dict[str, str] = {}
    backends: set[str] = set()
    for path in paths:
        with FeatureReader(path) as reader:
            check_same_settings(settings, reader.settings, paths[0], path)
            settings = reader.settings
            failed |= reader.failed
            backends |= reader.kernel_backends
            for name in reader.names():
                if name in owner:
                    raise StorageError(f"{path}: '{name}' is in {owner[name]} too; extract both shards again")
                owner[name] = path
    with create_h5(output, "features", settings) as file:
        write_kernel_backends(file, backends)
        if failed:
            file.attrs["failed"] = json.dumps(failed, sort_keys=True)
        for name in sorted(owner):
            relative = os.path.relpath(owner[name], Path(output).parent)
            file[escape_name(name)] = h5py.ExternalLink(relative, escape_name(name))


def failed_images(file: h5py.File) -> dict[str, str]:
    """The attribute `failed` of a feature file: reason by image name, empty if nothing failed."""
    failed: dict[str, str] = json.loads(file.attrs.get("failed", "{}"))
    return failed


def linked_shards(path: str | os.PathLike[str]) -> list[str]:
    """The shards that a feature file shows through links, relative to its folder, sorted; none for a shard."""
    with open_h5(path, "features") as file:
        links = (file.get(escaped, getlink=True) for escaped in file)
        return sorted({link.filename for link in links if isinstance(link, h5py.ExternalLink)})


def check_same_settings(first: dict[str, Any], other: dict[str, Any], first_path: Path, other_path: Path) -> None:
    """Refuse shards that were made with different settings; an empty `first` stands for none yet.

    Raises:
        StorageError: names both files and the settings that differ.
    """
    if first and first != other:
        different = sorted(key for key in first.keys() | other.keys() if first.get(key) != other.get(key))
        raise StorageError(
            f"{other_path}: made with other settings than {first_path} ({', '.join(different)}); make both again"
        )
