"""Matches of image pairs in HDF5: packed while shards are written, groups for other tools.

A packed shard is one array for all pairs: `matches` (T, 2) int32, `scores` (T,) float32, and the index of
`storage/packed_pairs.py`. The gathered file holds groups `/<name0>/<name1>/{matches, scores}`, names escaped into one
group level each.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from trigpoint.errors import StorageError
from trigpoint.storage.features import check_same_settings
from trigpoint.storage.hdf5 import (
    create_group,
    create_h5,
    file_settings,
    open_h5,
    read_kernel_backends,
    untimed_dataset,
    write_kernel_backends,
)
from trigpoint.storage.match_layouts import GroupLayout, PackedLayout
from trigpoint.storage.names import escape_name
from trigpoint.storage.packed_pairs import PairIndexWriter
from trigpoint.types import Matches

CHUNK_ROWS = 65536  # rows of one chunk, and of one write: 512 KiB of matches
INT32_MAX = np.iinfo(np.int32).max


class MatchWriter:
    """Writes a packed match shard; it appears when the `with` block ends without an error.

    Rows are kept until a chunk is full, so the memory needed does not depend on the number of matches.
    """

    def __init__(self, output: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self._path = Path(output)
        self._context = create_h5(output, "matches", settings)
        self._index = PairIndexWriter(self._path)
        self._indices = np.empty((CHUNK_ROWS, 2), dtype=np.int64)  # int64: an index beyond int32 is seen, not wrapped
        self._row_scores = np.empty(CHUNK_ROWS, dtype=np.float32)
        self._num_rows = 0  # that wait in the two arrays
        self.kernel_backends: set[str] = set()  # that answered while the matches were made

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        self._file.attrs["layout"] = "packed"
        rows = self._indices.shape[0]
        self._matches = self._file.create_dataset("matches", (0, 2), np.int32, maxshape=(None, 2), chunks=(rows, 2))
        self._scores = self._file.create_dataset("scores", (0,), np.float32, maxshape=(None,), chunks=(rows,))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._append_rows()
                self._index.write(self._file)
                write_kernel_backends(self._file, self.kernel_backends)
            except BaseException as failure:
                self._context.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._context.__exit__(kind, error, trace)

    def write(self, name0: str, name1: str, matches: Matches, cache_key: str = "") -> None:
        """Add one pair.

        Args:
            name0: image that column 0 of the indices belongs to.
            name1: image that column 1 belongs to.
            matches: M may be 0.
            cache_key: what the values depend on, ASCII; to find them again later.

        Raises:
            StorageError: a pair of an image with itself, a pair written before (in either order), wrong shapes, an
                index below 0 or beyond int32, or a score that is not a number. Values are checked a chunk at a time,
                so the error may come some pairs later; it names the pair, and the file does not appear.
        """
        indices, scores = np.asarray(matches.indices), np.asarray(matches.scores)
        if indices.ndim != 2 or indices.shape[1] != 2 or scores.shape != indices.shape[:1]:
            self._index.refuse(name0, name1, f"matches {indices.shape}, scores {scores.shape}; expected (M, 2), (M,)")
        if indices.dtype.kind not in "iu":
            self._index.refuse(name0, name1, f"indices are {indices.dtype}, expected integers")
        self._index.add(name0, name1, len(indices), cache_key)
        done = 0
        while done < len(indices):
            start, room = self._num_rows, len(self._indices) - self._num_rows
            stop = start + min(room, len(indices) - done)
            self._indices[start:stop] = indices[done : done + stop - start]
            self._row_scores[start:stop] = scores[done : done + stop - start]
            done += stop - start
            self._num_rows = stop
            if stop == len(self._indices):
                self._append_rows()

    def _append_rows(self) -> None:
        """Check the waiting rows and write them: whole chunks, but for the last."""
        indices, scores = self._indices[: self._num_rows], self._row_scores[: self._num_rows]
        start = self._matches.shape[0]
        # as uint64 a negative index is larger than any other
        if len(indices) and (indices.view(np.uint64).max() > INT32_MAX or np.isnan(scores).any()):
            wrong = (indices < 0).any(axis=1) | (indices > INT32_MAX).any(axis=1) | np.isnan(scores)
            row = int(np.argmax(wrong))
            what = f"match {indices[row].tolist()} with score {scores[row]}; expected indices 0 to {INT32_MAX}"
            self._index.refuse(*self._index.pair_of_row(start + row), f"{what} and a score that is a number")
        self._matches.resize(start + len(indices), axis=0)
        self._scores.resize(start + len(indices), axis=0)
        self._matches[start:] = indices.astype(np.int32)
        self._scores[start:] = scores
        self._num_rows = 0


class MatchReader:
    """Reads a packed shard or a gathered file; to be used in a `with` block.

    Args:
        path: file.
        in_order: the pairs of a packed shard will be read in the order they are stored in: fetch a chunk at a time.
    """

    def __init__(self, path: str | os.PathLike[str], *, in_order: bool = False) -> None:
        self._path = Path(path)
        self._in_order = in_order

    def __enter__(self) -> Self:
        self._file = open_h5(self._path, "matches")
        packed = self._file.attrs["layout"] == "packed"
        self._source = (
            PackedLayout(self._file, CHUNK_ROWS if self._in_order else 0) if packed else GroupLayout(self._file)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the matches were made with."""
        return file_settings(self._file)

    @property
    def kernel_backends(self) -> set[str]:
        """Backends of the correlation kernels that answered while the matches were made."""
        return read_kernel_backends(self._file)

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs in the file, as stored, sorted."""
        return sorted(self._source.pairs())

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return self._source.has(*pair) or self._source.has(*reversed(pair))

    def read(self, name0: str, name1: str) -> Matches:
        """Matches of one pair; column 0 indexes the keypoints of `name0`, however the pair is stored.

        Raises:
            StorageError: the file does not hold the pair in either order.
        """
        if self._source.has(name0, name1):
            return self._source.read(name0, name1)
        if self._source.has(name1, name0):
            stored = self._source.read(name1, name0)
            return Matches(indices=np.ascontiguousarray(stored.indices[:, ::-1]), scores=stored.scores)
        raise StorageError(f"{self._path}: holds no pair '{name0}' '{name1}'; run `trigpoint match-pairs` again")

    def cache_key(self, name0: str, name1: str) -> str:
        """What the matches of a stored pair depend on, as given to the writer."""
        return self._source.cache_key(name0, name1)


class GroupWriter:
    """Writes matches as groups, as `gather_matches` does; the file appears when the `with` block ends without an error.

    The order of the pairs decides the file's bytes, not what is read from it.
    """

    def __init__(self, output: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self._context = create_h5(output, "matches", settings)
        self._parents: dict[str, h5py.Group] = {}
        self.kernel_backends: set[str] = set()  # that answered while the matches were made

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        self._file.attrs["layout"] = "groups"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            write_kernel_backends(self._file, self.kernel_backends)
        self._context.__exit__(kind, error, trace)

    def write(self, name0: str, name1: str, matches: Matches, cache_key: str = "") -> None:
        """Add one pair, which is not in the file yet; arguments as of `MatchWriter.write`."""
        if name0 not in self._parents:
            self._parents[name0] = create_group(self._file, escape_name(name0))
        group = create_group(self._parents[name0], escape_name(name1))
        _fill_group(group.id, matches, cache_key)


def gather_matches(shards: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> None:
    """Write the pairs of all shards as groups `/<name0>/<name1>/{matches, scores}`, sorted, whatever the sharding.

    Raises:
        StorageError: no shards, a pair in two of them (in either order), or shards made with different settings.
    """
    paths = sorted(Path(shard) for shard in shards)
    if not paths:
        raise StorageError(f"{output}: no match shards were given")
    with ExitStack() as stack:
        readers = [stack.enter_context(MatchReader(path, in_order=True)) for path in paths]
        owner: dict[tuple[str, str], int] = {}
        for index, (path, reader) in enumerate(zip(paths, readers, strict=True)):
            check_same_settings(readers[0].settings, reader.settings, paths[0], path)
            for name0, name1 in reader.pairs():
                other = owner.get((name0, name1), owner.get((name1, name0)))
                if other is not None:
                    raise StorageError(f"{path}: the pair '{name0}' '{name1}' is in {paths[other]} too; match again")
                owner[name0, name1] = index
        with GroupWriter(output, readers[0].settings) as writer:
            for name0, name1 in sorted(owner):
                reader = readers[owner[name0, name1]]
                writer.write(name0, name1, reader.read(name0, name1), reader.cache_key(name0, name1))
            writer.kernel_backends.update(*(reader.kernel_backends for reader in readers))


def _fill_group(group: h5py.h5g.GroupID, matches: Matches, cache_key: str) -> None:
    """One pair through HDF5's low-level calls: a third of the time of the objects, which is minutes in the end."""
    for key, values in ((b"matches", matches.indices), (b"scores", matches.scores)):
        kind = h5py.h5t.NATIVE_INT32 if key == b"matches" else h5py.h5t.NATIVE_FLOAT
        space = h5py.h5s.create_simple(values.shape)
        dataset = h5py.h5d.create(group, key, kind, space, dcpl=untimed_dataset())
        if values.size:
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
    if cache_key:
        text = np.array(cache_key.encode("ascii"))
        attribute = h5py.h5a.create(
            group, b"cache_key", h5py.h5t.py_create(text.dtype), h5py.h5s.create(h5py.h5s.SCALAR)
        )
        attribute.write(text)
