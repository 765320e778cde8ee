"""Pickles of numpy arrays from outside, read without running anything that is in them.

Only numbers, texts, lists, tuples, dictionaries and arrays of these come out. Numpy's own pickle functions are not
called either: a forged type could make them take bytes for addresses of objects. They are played by the small classes
here, which check what they are given.
"""

import codecs
import math
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import DataError

NUMERIC_KINDS = "biufUS"  # of dtypes whose bytes are values
MAX_DEPTH = 8  # of lists in lists
# What pickle may raise on damaged or hostile bytes.
_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    LookupError,
    ImportError,
)


def read_numpy_pickle(path: Path) -> Any:
    """What a pickle file holds, as plain Python values and numpy arrays; an array of objects comes as nested lists.

    Raises:
        DataError: the file is missing, damaged, or holds more than numbers, texts and arrays.
    """
    try:
        with path.open("rb") as stream:
            return load_numpy_pickle(stream, str(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def load_numpy_pickle(stream: IO[bytes], where: str) -> Any:
    """The same of an open file, from where it stands; `where` begins the message of an error."""
    try:
        # latin1: files that Python 2 wrote hold bytes where arrays have their data
        return _plain(_Reader(stream, encoding="latin1").load(), 0)
    except _DAMAGED as error:
        detail = str(error) or type(error).__name__
        raise DataError(f"{where}: not read, because it is damaged or holds more than arrays ({detail})") from error


class _Reader(pickle.Unpickler):
    """Knows the few names that numpy's pickles have, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        found = _NAMES.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return found


class _Dtype:
    """Stands for numpy.dtype; its state may only say the byte order."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        if isinstance(name, bytes):
            name = name.decode("ascii")
        made = np.dtype(str(name))
        if made.kind not in f"{NUMERIC_KINDS}O" or made.fields is not None or made.subdtype is not None:
            raise pickle.UnpicklingError(f"it holds an array of type {name!r}")
        self.dtype: np.dtype[Any] = made

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if any(part is not None for part in state[2:5]) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it holds an array of type {self.dtype} with {state[1:5]!r}")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """Stands for numpy.ndarray; the value is there once the state is."""

    value: Any = None

    def __init__(self, *_: Any) -> None:
        """Arguments say nothing: they describe an empty array."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(shape, dtype, data, "F" if fortran else "C")


class _NdarrayName:
    """Stands for the name numpy.ndarray, which is only ever an argument."""


def _array(shape: Any, dtype: Any, data: Any, order: str) -> Any:
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("it holds an array without a type or shape")
    if dtype.dtype.hasobject:
        if not isinstance(data, list) or not shape or len(data) != math.prod(shape):
            raise pickle.UnpicklingError(f"it holds objects of shape {shape}, and not as many")
        if order != "C":
            raise pickle.UnpicklingError("it holds objects in Fortran's order")
        for size in shape[:0:-1]:  # rows of rows
            data = [data[start : start + size] for start in range(0, len(data), size)] if size else []
        return data
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, dtype=dtype.dtype).reshape(shape, order=order).copy()  # type: ignore[call-overload]


def _scalar(dtype: Any, data: Any) -> Any:
    return _array((1,), dtype, data, "C")[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    return np.asarray(_array(shape, dtype, data, "F" if order == "F" else "C"))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """What pickles of protocol 2 use to write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes a text as {encoding!r}")
    return codecs.latin_1_encode(text)[0]


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


def _plain(value: Any, depth: int) -> Any:
    """The value without the stand-ins."""
    if depth > MAX_DEPTH:
        raise pickle.UnpicklingError(f"lists are nested more than {MAX_DEPTH} deep")
    if isinstance(value, _Array):
        return _plain(value.value, depth)
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str | bytes | np.ndarray | np.generic):
        return value
    raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
