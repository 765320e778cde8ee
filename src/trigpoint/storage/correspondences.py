"""Correspondences of image pairs in packed HDF5 shards: what pair methods find, before keypoints are shared.

`xy` (T, 4) float32: x0, y0, x1, y1 in pixels of the original images; `scores` (T,) float32, not negative; and the index
of `storage/packed_pairs.py`. The attribute `failed` holds images that could not be used, as in feature files.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from trigpoint.errors import StorageError
from trigpoint.storage.features import check_same_settings, failed_images
from trigpoint.storage.hdf5 import create_h5, file_settings, open_h5, read_kernel_backends, write_kernel_backends
from trigpoint.storage.packed_pairs import PairIndex, PairIndexWriter, open_rows, read_rows
from trigpoint.types import Correspondences

CHUNK_ROWS = 16384  # rows of one chunk: 256 KiB of coordinates
Pair = tuple[str, str]


class CorrespondenceWriter:
    """Writes a packed shard; it appears when the `with` block ends without an error."""

    def __init__(self, output: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self._context = create_h5(output, "correspondences", settings)
        self._index = PairIndexWriter(Path(output))
        self._failed: dict[str, str] = {}
        self.kernel_backends: set[str] = set()  # that answered while the correspondences were made

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        self._xy = self._file.create_dataset("xy", (0, 4), np.float32, maxshape=(None, 4), chunks=(CHUNK_ROWS, 4))
        self._scores = self._file.create_dataset("scores", (0,), np.float32, maxshape=(None,), chunks=(CHUNK_ROWS,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._index.write(self._file)
            write_kernel_backends(self._file, self.kernel_backends)
            if self._failed:
                self._file.attrs["failed"] = json.dumps(self._failed, sort_keys=True)
        self._context.__exit__(kind, error, trace)

    def write(self, name0: str, name1: str, found: Correspondences, cache_key: str = "") -> None:
        """Add one pair.

        Args:
            name0: image of the first two columns.
            name1: image of the last two.
            found: M may be 0.
            cache_key: what the values depend on, ASCII; to find them again later.

        Raises:
            StorageError: a pair of an image with itself, a pair written before (in either order), wrong shapes, a
                coordinate that is not finite, or a score that is negative or not finite.
        """
        xy, scores = np.asarray(found.xy, dtype=np.float32), np.asarray(found.scores, dtype=np.float32)
        if xy.shape != (len(scores), 4) or scores.ndim != 1:
            self._index.refuse(name0, name1, f"xy {xy.shape}, scores {scores.shape}; expected (M, 4), (M,)")
        if not np.isfinite(xy).all() or not (np.isfinite(scores) & (scores >= 0)).all():
            self._index.refuse(
                name0, name1, "a coordinate is not finite, or a score is negative or not finite; check the method"
            )
        self._index.add(name0, name1, len(xy), cache_key)
        start = len(self._xy)
        self._xy.resize(start + len(xy), axis=0)
        self._scores.resize(start + len(xy), axis=0)
        self._xy[start:], self._scores[start:] = xy, scores

    def note_failed(self, name: str, reason: str) -> None:
        """Note an image that could not be used."""
        self._failed[name] = reason


class CorrespondenceReader:
    """Reads one packed shard; to be used in a `with` block."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __enter__(self) -> Self:
        self._file = open_h5(self.path, "correspondences")
        self._index = PairIndex(self._file)
        self._xy, self._scores = open_rows(self._file, "xy"), open_rows(self._file, "scores")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the correspondences were made with."""
        return file_settings(self._file)

    @property
    def failed(self) -> dict[str, str]:
        """Reason by name of the images that could not be used."""
        return failed_images(self._file)

    @property
    def kernel_backends(self) -> set[str]:
        """Backends of the correlation kernels that answered while the correspondences were made."""
        return read_kernel_backends(self._file)

    def pairs(self) -> list[Pair]:
        """The pairs as stored, sorted."""
        return sorted(self._index.pairs())

    def read(self, name0: str, name1: str) -> Correspondences:
        """Correspondences of a pair that is stored in this order.

        Raises:
            StorageError: the file does not hold the pair in this order.
        """
        if self._index.find(name0, name1) < 0:
            raise StorageError(f"{self.path}: holds no pair '{name0}' '{name1}'; run `trigpoint match-pairs` again")
        start, stop = self._index.rows(name0, name1)
        found = Correspondences(np.empty((stop - start, 4), np.float32), np.empty(stop - start, np.float32))
        if stop > start:
            read_rows(self._xy, start, found.xy)
            read_rows(self._scores, start, found.scores)
        return found

    def cache_key(self, name0: str, name1: str) -> str:
        """What the correspondences of a stored pair depend on, as given to the writer."""
        return self._index.cache_key(name0, name1)


class CorrespondenceShards:
    """All shards of a run as one; to be used in a `with` block.

    Raises:
        StorageError: no shards, a pair in two of them (in either order), or shards made with different settings.
    """

    def __init__(self, shards: Sequence[str | os.PathLike[str]]) -> None:
        self._paths = sorted(Path(shard) for shard in shards)
        if not self._paths:
            raise StorageError("no correspondence shards were given")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._readers = [stack.enter_context(CorrespondenceReader(path)) for path in self._paths]
            self._owner: dict[Pair, CorrespondenceReader] = {}
            for reader in self._readers:
                check_same_settings(self._readers[0].settings, reader.settings, self._paths[0], reader.path)
                self._add(reader)
            self._stack = stack.pop_all()
        return self

    def _add(self, reader: CorrespondenceReader) -> None:
        for name0, name1 in reader.pairs():
            other = self._owner.get((name0, name1), self._owner.get((name1, name0)))
            if other is not None:
                raise StorageError(f"{reader.path}: the pair '{name0}' '{name1}' is in {other.path} too; match again")
            self._owner[name0, name1] = reader

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the correspondences were made with."""
        return self._readers[0].settings

    @property
    def failed(self) -> dict[str, str]:
        """Reason by name of the images that could not be used."""
        return {name: reason for reader in self._readers for name, reason in reader.failed.items()}

    @property
    def kernel_backends(self) -> set[str]:
        """Backends of the correlation kernels that answered while the correspondences were made."""
        return set().union(*(reader.kernel_backends for reader in self._readers))

    def pairs(self) -> list[Pair]:
        """The pairs as stored, sorted, however they are sharded."""
        return sorted(self._owner)

    def read(self, name0: str, name1: str) -> Correspondences:
        """Correspondences of a pair that is stored in this order."""
        return self._owner[name0, name1].read(name0, name1)
