"""The two layouts of match files, read pair by pair; `storage/matches.py` says what they are."""

import h5py
import numpy as np

from trigpoint.storage.names import escape_name, unescape_name
from trigpoint.storage.packed_pairs import PairIndex, open_rows, read_rows
from trigpoint.types import Matches


class PackedLayout:
    """A packed file.

    Args:
        file: open for reading.
        window_rows: rows fetched at a time, for pairs read in the order they are stored in; 0: each pair's own.
    """

    def __init__(self, file: h5py.File, window_rows: int) -> None:
        self._window_rows = window_rows
        self._window_start, self._window = 0, _empty_rows(0)
        self._index = PairIndex(file)
        self._matches = open_rows(file, "matches")
        self._scores = open_rows(file, "scores")

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs as stored, in the order they were written."""
        return self._index.pairs()

    def has(self, name0: str, name1: str) -> bool:
        """Whether the pair is stored in this order."""
        return self._index.find(name0, name1) >= 0

    def read(self, name0: str, name1: str) -> Matches:
        """Matches of a pair that is stored in this order."""
        start, stop = self._index.rows(name0, name1)
        if start == stop:
            return _empty_rows(0)
        if not self._window_rows:
            return self._fetch(start, stop)
        if start < self._window_start or stop > self._window_start + len(self._window):
            self._window_start = start
            self._window = self._fetch(start, max(stop, min(start + self._window_rows, self._index.num_rows)))
        inside = slice(start - self._window_start, stop - self._window_start)
        return Matches(indices=self._window.indices[inside].copy(), scores=self._window.scores[inside].copy())

    def _fetch(self, start: int, stop: int) -> Matches:
        rows = _empty_rows(stop - start)
        read_rows(self._matches, start, rows.indices)
        read_rows(self._scores, start, rows.scores)
        return rows

    def cache_key(self, name0: str, name1: str) -> str:
        """Key of a pair that is stored in this order; empty if it has none."""
        return self._index.cache_key(name0, name1)


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
