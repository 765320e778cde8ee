"""PUMP's correspondence files: a zip-format numpy archive with the one array `corres`, whatever the file is called.

Rows are x0, y0, x1, y1, score, scale_rot_code, float32 (N, 6), or x0, y0, x1, y1 (N, 4) where matches were densified:
one row for each pixel of one of the images, in row-major order. Coordinates are pixels of the two original photographs
with the centre of the top-left pixel at (0, 0), which is our own convention, so nothing is shifted on the way.

Source: output of PUMP (Revaud et al., CVPR 2022), release of July 2022.
"""

import os
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import ShapeError, StorageError
from trigpoint.storage.atomic import atomic_path
from trigpoint.types import Correspondences

FIELD = "corres"
SPARSE_COLUMNS, DENSE_COLUMNS = 6, 4
NO_SCALE_ROT = 0  # scale_rot_code of scale 1 and angle 0


def write_corres(output: str | os.PathLike[str], rows: NDArray[Any]) -> None:
    """Write rows (N, 6) as float32, dense rows (N, 4) in the type they have; the file appears whole or not at all.

    Raises:
        ShapeError: other columns, or a number that is not finite.
    """
    checked = _checked(np.asarray(rows), ShapeError, str(output))
    if checked.shape[1] == SPARSE_COLUMNS:
        checked = checked.astype(np.float32)
    with atomic_path(output) as partial, partial.open("wb") as stream:  # a stream: numpy would add .npz to a name
        np.savez(stream, allow_pickle=False, corres=checked)


def read_corres(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Rows (N, 6) or dense (N, 4), as `write_corres` or the original wrote them; no pickled object is ever loaded.

    Raises:
        StorageError: the file is missing, no such archive, or holds something else.
    """
    try:
        rows = _read_field(path)
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file; `trigpoint match` writes it") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(f"{path}: no correspondence file ({error}); `trigpoint match` writes one") from error
    return _checked(rows, StorageError, str(path))


def is_dense(rows: NDArray[Any]) -> bool:
    """Whether the rows are densified: they have no score and no code."""
    return rows.shape[1] == DENSE_COLUMNS


def rows_from_correspondences(correspondences: Correspondences) -> NDArray[np.float32]:
    """(N, 6) rows; the code says scale 1 and angle 0, which is what an unknown one counts as."""
    codes = np.full((len(correspondences), 1), NO_SCALE_ROT, dtype=np.float32)
    return np.hstack([correspondences.xy, correspondences.scores[:, None], codes]).astype(np.float32)


def correspondences_from_rows(rows: NDArray[Any]) -> Correspondences:
    """Coordinates and scores of rows; dense ones have no score and get 1."""
    scores = np.ones(len(rows)) if is_dense(rows) else rows[:, 4]
    return Correspondences(xy=rows[:, :4].astype(np.float32), scores=scores.astype(np.float32))


def _read_field(path: str | os.PathLike[str]) -> NDArray[Any]:
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        raise StorageError(f"{path}: a bare array, expected an archive with '{FIELD}'; `trigpoint match` writes one")
    with found as archive:
        if FIELD not in archive:
            names = ", ".join(archive) or "none"
            raise StorageError(f"{path}: expected the array '{FIELD}', found {names}; `trigpoint match` writes it")
        return np.asarray(archive[FIELD])


def _checked(rows: NDArray[Any], error: type[Exception], where: str) -> NDArray[Any]:
    if rows.ndim != 2 or rows.shape[1] not in (SPARSE_COLUMNS, DENSE_COLUMNS) or rows.dtype.kind not in "fiu":
        raise error(f"{where}: expected (N, 6) or (N, 4) numbers, got {rows.dtype} {rows.shape}")
    if not np.isfinite(rows).all():
        raise error(f"{where}: {int((~np.isfinite(rows).all(axis=1)).sum())} of {len(rows)} rows are not finite")
    return rows
