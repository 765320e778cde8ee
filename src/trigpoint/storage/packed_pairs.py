"""The index of a packed file: which rows of its arrays belong to which image pair.

`offsets` (P + 1,) int64 (pair i owns rows offsets[i]:offsets[i + 1]), `pairs` (P, 2) int32 into `names`, and
`cache_keys` (P,) where there are any.
"""

from array import array
from bisect import bisect_right
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np

from trigpoint.errors import StorageError
from trigpoint.storage.names import escape_name, unescape_name


class PairIndexWriter:
    """Collects the pairs of a file that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._index_of: dict[str, int] = {}
        self._seen: set[tuple[int, int]] = set()
        self._pairs = array("i")
        self._offsets = array("q", [0])
        self._cache_keys: list[bytes] = []

    def add(self, name0: str, name1: str, num_rows: int, cache_key: str) -> None:
        """Add a pair that owns the next rows.

        Raises:
            StorageError: a pair of an image with itself, or a pair added before (in either order).
        """
        index0 = self._index_of.setdefault(name0, len(self._index_of))
        index1 = self._index_of.setdefault(name1, len(self._index_of))
        if index0 == index1:
            self.refuse(name0, name1, "an image cannot be matched with itself")
        key = (index0, index1) if index0 < index1 else (index1, index0)
        if key in self._seen:
            self.refuse(name0, name1, "was written twice (in either order)")
        self._seen.add(key)
        self._pairs.extend((index0, index1))
        self._offsets.append(self._offsets[-1] + num_rows)
        self._cache_keys.append(cache_key.encode("ascii"))

    def pair_of_row(self, row: int) -> tuple[str, str]:
        """The pair that owns a row."""
        pair = bisect_right(self._offsets, row) - 1
        names = list(self._index_of)
        return names[self._pairs[2 * pair]], names[self._pairs[2 * pair + 1]]

    def refuse(self, name0: str, name1: str, reason: str) -> NoReturn:
        """Raise StorageError with the file and the pair."""
        raise StorageError(f"{self._path}: pair '{name0}' '{name1}': {reason}")

    def write(self, file: h5py.File) -> None:
        """Write the index into its file."""
        names = [escape_name(name) for name in self._index_of]
        file.create_dataset("names", data=names, dtype=h5py.string_dtype())
        file.create_dataset("pairs", data=np.array(self._pairs, dtype=np.int32).reshape(-1, 2))
        file.create_dataset("offsets", data=np.array(self._offsets, dtype=np.int64))
        if any(self._cache_keys):
            file.create_dataset("cache_keys", data=np.array(self._cache_keys, dtype=bytes))


class PairIndex:
    """The index of an existing file: three arrays, not a dict of tuples, which takes longer to build than to read."""

    def __init__(self, file: h5py.File) -> None:
        self._names = [unescape_name(escaped.decode()) for escaped in file["names"][()]]
        self._index_of = {name: index for index, name in enumerate(self._names)}
        self._pairs = file["pairs"][()].astype(np.int64)
        self._offsets = file["offsets"][()]
        self._cache_keys = file["cache_keys"][()] if "cache_keys" in file else np.empty(0, dtype=bytes)
        keys = self._pairs[:, 0] * len(self._names) + self._pairs[:, 1]
        self._order = np.argsort(keys)
        self._sorted_keys = keys[self._order]

    @property
    def num_rows(self) -> int:
        """Of all pairs together."""
        return int(self._offsets[-1])

    def pairs(self) -> list[tuple[str, str]]:
        """The pairs as stored, in the order they were written."""
        return [(self._names[index0], self._names[index1]) for index0, index1 in self._pairs.tolist()]

    def find(self, name0: str, name1: str) -> int:
        """Number of a pair as stored, or -1."""
        if name0 not in self._index_of or name1 not in self._index_of:
            return -1
        key = self._index_of[name0] * len(self._names) + self._index_of[name1]
        place = int(np.searchsorted(self._sorted_keys, key))
        found = place < len(self._sorted_keys) and self._sorted_keys[place] == key
        return int(self._order[place]) if found else -1

    def rows(self, name0: str, name1: str) -> tuple[int, int]:
        """First row, and the one behind the last, of a pair that is stored in this order."""
        pair = self.find(name0, name1)
        return int(self._offsets[pair]), int(self._offsets[pair + 1])

    def cache_key(self, name0: str, name1: str) -> str:
        """Key of a pair that is stored in this order; empty if it has none."""
        pair = self.find(name0, name1)
        return self._cache_keys[pair].decode("ascii") if pair >= 0 and len(self._cache_keys) else ""


def read_rows(dataset: h5py.h5d.DatasetID, start: int, into: np.ndarray) -> None:
    """Fill `into` with its number of rows of a dataset."""
    corner = (start,) + (0,) * (into.ndim - 1)
    space = dataset.get_space()
    space.select_hyperslab(corner, into.shape)
    dataset.read(h5py.h5s.create_simple(into.shape), space, into)


def open_rows(file: h5py.File, name: str) -> h5py.h5d.DatasetID:
    """A dataset without a chunk cache: HDF5 then reads a pair's own rows, not the chunks around them."""
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(0, 0, 0)
    return h5py.h5d.open(file.id, name.encode(), access)
