"""The two layouts of match files, read pair by pair; `storage/matches.py` says what they are."""

import h5py
import numpy as np

from trigpoint.storage.names import escape_name, unescape_name
from trigpoint.types import Matches


class PackedLayout:
    """A packed file; the index is three arrays, not a dict of tuples, which takes longer to build than to read all.

    Args:
        file: open for reading.
        window_rows: rows fetched at a time, for pairs read in the order they are stored in; 0: each pair's own.
    """

    def __init__(self, file: h5py.File, window_rows: int) -> None:
        self._window_rows = window_rows
        self._window_start, self._window = 0, _empty_rows(0)
        # Without a chunk cache HDF5 reads a pair's own rows, not the chunks around them.
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(0, 0, 0)
        self._matches = h5py.h5d.open(file.id, b"matches", access)
        self._scores = h5py.h5d.open(file.id, b"scores", access)
        self._names = [unescape_name(escaped.decode()) for escaped in file["names"][()]]
        self._index_of = {name: index for index, name in enumerate(self._names)}
        self._pairs = file["pairs"][()].astype(np.int64)
        self._offsets = file["offsets"][()]
        self._cache_keys = file["cache_keys"][()] if "cache_keys" in file else np.empty(0, dtype=bytes)
        keys = self._pairs[:, 0] * len(self._names) + self._pairs[:, 1]
        self._order = np.argsort(keys)
        self._sorted_keys = keys[self._order]

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs as stored, in the order they were written."""
        return [(self._names[index0], self._names[index1]) for index0, index1 in self._pairs.tolist()]

    def has(self, name0: str, name1: str) -> bool:
        """Whether the pair is stored in this order."""
        return self._row(name0, name1) >= 0

    def read(self, name0: str, name1: str) -> Matches:
        """Matches of a pair that is stored in this order."""
        row = self._row(name0, name1)
        start, stop = int(self._offsets[row]), int(self._offsets[row + 1])
        if start == stop:
            return _empty_rows(0)
        if not self._window_rows:
            return self._fetch(start, stop)
        if start < self._window_start or stop > self._window_start + len(self._window):
            self._window_start = start
            self._window = self._fetch(start, max(stop, min(start + self._window_rows, int(self._offsets[-1]))))
        inside = slice(start - self._window_start, stop - self._window_start)
        return Matches(indices=self._window.indices[inside].copy(), scores=self._window.scores[inside].copy())

    def _fetch(self, start: int, stop: int) -> Matches:
        rows = _empty_rows(stop - start)
        _read_rows(self._matches, start, rows.indices)
        _read_rows(self._scores, start, rows.scores)
        return rows

    def cache_key(self, name0: str, name1: str) -> str:
        """Key of a pair that is stored in this order; empty if it has none."""
        row = self._row(name0, name1)
        return self._cache_keys[row].decode("ascii") if row >= 0 and len(self._cache_keys) else ""

    def _row(self, name0: str, name1: str) -> int:
        """Position of a pair as stored, or -1."""
        if name0 not in self._index_of or name1 not in self._index_of:
            return -1
        key = self._index_of[name0] * len(self._names) + self._index_of[name1]
        place = int(np.searchsorted(self._sorted_keys, key))
        found = place < len(self._sorted_keys) and self._sorted_keys[place] == key
        return int(self._order[place]) if found else -1


class GroupLayout:
    """A gathered file; HDF5's low-level calls, because opening groups as objects takes three times as long."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs as stored."""
        return [(unescape_name(first), unescape_name(second)) for first in self._file for second in self._file[first]]

    def has(self, name0: str, name1: str) -> bool:
        """Whether the pair is stored in this order."""
        links = self._file.id.links
        first = escape_name(name0).encode()
        return bool(links.exists(first) and links.exists(first + b"/" + escape_name(name1).encode()))

    def read(self, name0: str, name1: str) -> Matches:
        """Matches of a pair that is stored in this order."""
        group = f"{escape_name(name0)}/{escape_name(name1)}/".encode()
        matches = h5py.h5d.open(self._file.id, group + b"matches")
        scores = h5py.h5d.open(self._file.id, group + b"scores")
        read = Matches(np.empty(matches.shape, dtype=np.int32), np.empty(scores.shape, dtype=np.float32))
        if len(read):
            matches.read(h5py.h5s.ALL, h5py.h5s.ALL, read.indices)
            scores.read(h5py.h5s.ALL, h5py.h5s.ALL, read.scores)
        return read

    def cache_key(self, name0: str, name1: str) -> str:
        """Key of a pair that is stored in this order; empty if it has none."""
        if not self.has(name0, name1):
            return ""
        stored = self._file[f"{escape_name(name0)}/{escape_name(name1)}"].attrs.get("cache_key", b"")
        return bytes(stored).decode("ascii")


def _empty_rows(num: int) -> Matches:
    return Matches(indices=np.empty((num, 2), dtype=np.int32), scores=np.empty(num, dtype=np.float32))


def _read_rows(dataset: h5py.h5d.DatasetID, start: int, into: np.ndarray) -> None:
    """Fill `into` with its number of rows of a dataset."""
    corner = (start,) + (0,) * (into.ndim - 1)
    space = dataset.get_space()
    space.select_hyperslab(corner, into.shape)
    dataset.read(h5py.h5s.create_simple(into.shape), space, into)
