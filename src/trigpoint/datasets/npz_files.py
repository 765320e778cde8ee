"""NPZ and NPY files from outside, arrays of objects included, read without running anything that is in them."""

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.datasets.numpy_pickles import load_numpy_pickle
from trigpoint.errors import DataError


def read_npz(path: Path) -> dict[str, Any]:
    """Arrays of an NPZ file by name; an array of objects comes as a list of its values, in nested lists.

    Raises:
        DataError: the file is missing, damaged, or holds more than numbers, texts and arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for name in archive.namelist():
                with archive.open(name) as stream:
                    found[name.removesuffix(".npy")] = _read_member(stream, path, name)
            return found
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _unreadable(path, error) from error


def read_npy(path: Path) -> Any:
    """The array of an NPY file; errors and arrays of objects as `read_npz` has them."""
    try:
        with path.open("rb") as stream:
            return _read_member(stream, path, path.name)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_member(stream: IO[bytes], path: Path, name: str) -> Any:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            return load_numpy_pickle(stream, f"{path}: {name}")
        return _values(stream.read(), shape, dtype, fortran)
    except ValueError as error:
        raise DataError(f"{path}: {name}: no readable array ({error}); fetch the file again") from error


def _values(data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool) -> NDArray[Any]:
    count = int(np.prod(shape, dtype=np.int64))
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes, expected {count} values of {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _unreadable(path: Path, error: Exception) -> DataError:
    detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return DataError(f"{path}: {detail}; fetch the file again")
