"""The compiled library (cuda_kernels): where it is, loading it once, its structures in ctypes."""

import ctypes
import logging
import os
from functools import lru_cache
from pathlib import Path

from trigpoint.errors import SettingsError

ABI_VERSION = 1
DEFAULT_PATH = Path(__file__).parent / "_lib" / "libtrigpoint_kernels.so"
PATH_VARIABLE = "TRIGPOINT_KERNELS"  # names another library, for tests
CURE = "run `make kernels` (it needs g++), or install trigpoint anew where g++ is"
FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2
STORED, RECOMPUTED = 0, 1
_logger = logging.getLogger(__name__)


class Map(ctypes.Structure):
    """tp_map: a (channels, rows, columns) view of float32."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("channel_stride", ctypes.c_int64),
        ("row_stride", ctypes.c_int64),
        ("column_stride", ctypes.c_int64),
    ]


class LevelStruct(ctypes.Structure):
    """tp_level."""

    _fields_ = [
        ("grid_rows", ctypes.c_int64),
        ("grid_columns", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("gap_next", ctypes.c_int64),
        ("gap_before", ctypes.c_int64),
        ("child_weights", ctypes.c_void_p),
        ("divisors", ctypes.c_void_p),
    ]


class Problem(ctypes.Structure):
    """tp_pyramid."""

    _fields_ = [
        ("desc0", Map),
        ("desc1", Map),
        ("channels", ctypes.c_int64),
        ("levels", ctypes.POINTER(LevelStruct)),
        ("num_levels", ctypes.c_int64),
        ("power", ctypes.c_double),
        ("dtype", ctypes.c_int32),
        ("positions", ctypes.c_int32),
        ("threads", ctypes.c_int32),
    ]


class Result(ctypes.Structure):
    """tp_pyramid_result."""

    _fields_ = [
        ("pixel_of_patch", ctypes.c_void_p),
        ("score_of_patch", ctypes.c_void_p),
        ("patch_of_block", ctypes.c_void_p),
        ("pixel_of_block", ctypes.c_void_p),
        ("score_of_block", ctypes.c_void_p),
    ]


def library_path() -> Path:
    """The library that would be loaded."""
    return Path(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def load_library() -> ctypes.CDLL:
    """The compiled library.

    Raises:
        SettingsError: it was not built, or it was built from other sources.
    """
    return _load(library_path())


def library_or_none() -> ctypes.CDLL | None:
    """The compiled library, or None after one warning that says how to build it."""
    path = library_path()
    if not path.is_file() and PATH_VARIABLE not in os.environ:
        _warn_once(path)
        return None
    return _load(path)


@lru_cache(maxsize=4)
def _load(path: Path) -> ctypes.CDLL:
    if not path.is_file():
        raise SettingsError(f"{path}: the compiled kernels are not there; {CURE}")
    try:
        library = ctypes.CDLL(str(path))
        version = library.tp_abi_version()
    except (OSError, AttributeError) as error:
        raise SettingsError(f"{path}: the compiled kernels cannot be loaded ({error}); {CURE}") from None
    if version != ABI_VERSION:
        raise SettingsError(f"{path}: built for version {version} of the interface, not {ABI_VERSION}; {CURE}")
    for name in ("tp_last_error", "tp_cpu_isa"):
        getattr(library, name).restype = ctypes.c_char_p
    for name in ("tp_pyramid_cpu_bytes", "tp_cpu_workspace_bytes", "tp_pyramid_cuda_bytes"):
        getattr(library, name).restype = ctypes.c_int64
    return library


@lru_cache(maxsize=1)
def _warn_once(path: Path) -> None:
    _logger.warning("the compiled kernels are not built: matching takes the slow tensor operations; %s", CURE)


def last_error(library: ctypes.CDLL) -> str:
    """What went wrong in the last call of this thread."""
    message: bytes = library.tp_last_error()
    return message.decode()
