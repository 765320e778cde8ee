"""HDF5 files that appear whole or not at all and say what they are."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import h5py

from trigpoint import __version__
from trigpoint.errors import StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.storage.disk_file import DiskFile

__all__ = ["atomic_path", "create_h5", "file_settings", "open_h5"]

# kind -> (format this code reads and writes, command that writes a file of this kind)
FORMATS = {
    "features": (1, "trigpoint extract-features"),
    "matches": (1, "trigpoint match-pairs"),
    "correspondences": (1, "trigpoint match-pairs"),
    "flow_truth": (1, "trigpoint read-flow"),
    "flow": (1, "trigpoint match-flow"),
}


@contextmanager
def create_h5(output: str | os.PathLike[str], kind: str, settings: Mapping[str, Any]) -> Iterator[h5py.File]:
    """A new HDF5 file; `output` appears when the body ends without an error.

    Args:
        output: replaced if it exists.
        kind: a key of FORMATS.
        settings: what the content was made with; stored as sorted JSON.

    Yields:
        The open file, with the attributes kind, format_version, settings and trigpoint_version.
    """
    version, _ = FORMATS[kind]
    with atomic_path(output) as partial, closing(DiskFile(partial)) as disk:
        try:
            with _new_file(disk) as file:
                file.attrs["kind"] = kind
                file.attrs["format_version"] = version
                file.attrs["settings"] = json.dumps(settings, sort_keys=True)
                file.attrs["trigpoint_version"] = __version__
                yield file
        finally:
            _check_disk(disk)


def create_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A new group without a time stamp, so that the same content gives the same bytes."""
    if isinstance(parent, _NewFile):
        _check_disk(parent.disk)  # a full disk is found here, not after hours
    return h5py.Group(h5py.h5g.create(parent.id, name.encode(), gcpl=_untimed_group()))


@cache
def _untimed_group() -> h5py.h5p.PropGCID:
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    return properties


@cache
def untimed_dataset() -> h5py.h5p.PropDCID:
    """Properties of a dataset without time stamps, for h5py's low-level calls: they store four of them otherwise."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    return properties


class _NewFile(h5py.File):
    """A file that knows what it is written into."""

    disk: DiskFile


def _new_file(disk: DiskFile) -> _NewFile:
    """A file in the format of HDF5 1.10 (2016), whose groups take a quarter less room than older ones."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, disk)
    properties = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    properties.set_obj_track_times(False)
    file = _NewFile(h5py.h5f.create(b"new", h5py.h5f.ACC_EXCL, properties, access))
    file.disk = disk
    return file


def _check_disk(disk: DiskFile) -> None:
    if disk.error is not None:
        raise disk.error


def open_h5(path: str | os.PathLike[str], kind: str) -> h5py.File:
    """An existing file of this kind, open for reading.

    Raises:
        StorageError: it is missing, no HDF5 file, of another kind or of another format; the message says which
            command writes a fitting one.
    """
    version, command = FORMATS[kind]
    if not Path(path).is_file():
        raise StorageError(f"{path}: no such file; `{command}` writes it")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read as HDF5 ({error}); remove it and run `{command}` again") from error
    found = file.attrs.get("kind"), file.attrs.get("format_version")
    if found != (kind, version):
        file.close()
        raise StorageError(
            f"{path}: kind {found[0]}, format {found[1]}; expected {kind}, format {version}: run `{command}` again"
        )
    return file


def file_settings(file: h5py.File) -> dict[str, Any]:
    """The settings a file was made with."""
    settings = json.loads(file.attrs["settings"])
    assert isinstance(settings, dict)
    return settings


def write_kernel_backends(file: h5py.File, backends: Iterable[str]) -> None:
    """Note which backends of the correlation kernels answered while the content was made; none leaves no trace."""
    if names := sorted(set(backends)):
        file.attrs["kernel_backend"] = ", ".join(names)


def read_kernel_backends(file: h5py.File) -> set[str]:
    """The backends that `write_kernel_backends` noted."""
    noted = str(file.attrs.get("kernel_backend", ""))
    return set(noted.split(", ")) if noted else set()
