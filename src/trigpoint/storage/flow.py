"""Sparse flow of image pairs in HDF5: the ground truth of a benchmark, and what a run predicts at its points.

Truth (kind `flow_truth`): one entry a pair, pair i owns rows offsets[i]:offsets[i + 1] of `xy` (T, 4) float64: x, y in
the source and x, y in the target image. Prediction (kind `flow`): `pairs` (P,) int32 into the truth, `xy` (T, 2)
float32 places in the source image for the same rows, NaN where there is none, `num_matches` (P,) int64.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from trigpoint.errors import StorageError
from trigpoint.storage.hdf5 import create_h5, file_settings, open_h5, read_kernel_backends, write_kernel_backends

CHUNK_ROWS = 16384


@dataclass(frozen=True)
class FlowPair:
    """Ground truth of one image pair.

    Attributes:
        source, target: image names.
        sequence: the pair belongs to.
        rate: frames between the two images.
        source_xy, target_xy: (M, 2) float64, row i of both shows the same point; centre of the first pixel at (0, 0).
    """

    source: str
    target: str
    sequence: str
    rate: int
    source_xy: NDArray[np.float64]
    target_xy: NDArray[np.float64]


def write_flow_truth(output: str | os.PathLike[str], pairs: Sequence[FlowPair], settings: Mapping[str, Any]) -> None:
    """Write the ground truth of all pairs; their order is their number."""
    rows = [np.hstack([pair.source_xy, pair.target_xy]) for pair in pairs]
    xy = np.concatenate(rows) if rows else np.zeros((0, 4))
    texts = {name: [str(getattr(pair, name)) for pair in pairs] for name in ("source", "target", "sequence")}
    rates = np.array([pair.rate for pair in pairs], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64)
    with create_h5(output, "flow_truth", settings) as file:
        for name, values in texts.items():
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        file.create_dataset("rate", data=rates)
        file.create_dataset("offsets", data=offsets)
        file.create_dataset("xy", data=xy, dtype=np.float64)
        file.attrs["digest"] = _digest(texts, rates, offsets, xy)


class FlowTruth:
    """Reads ground truth; to be used in a `with` block."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __enter__(self) -> Self:
        self._file = open_h5(self.path, "flow_truth")
        self._offsets = self._file["offsets"][:]
        self._texts = {name: self._file[name].asstr()[:] for name in ("source", "target", "sequence")}
        self._rates = self._file["rate"][:]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._rates)

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of the content, which predictions carry."""
        return str(self._file.attrs["digest"])

    @property
    def settings(self) -> dict[str, Any]:
        """What was read, from where."""
        return file_settings(self._file)

    def names(self) -> list[tuple[str, str]]:
        """(source, target) of each pair."""
        return list(zip(self._texts["source"].tolist(), self._texts["target"].tolist(), strict=True))

    def read(self, number: int) -> FlowPair:
        """One pair."""
        xy = self._file["xy"][self._offsets[number] : self._offsets[number + 1]]
        texts = {name: str(values[number]) for name, values in self._texts.items()}
        return FlowPair(**texts, rate=int(self._rates[number]), source_xy=xy[:, :2], target_xy=xy[:, 2:])


class FlowWriter:
    """Writes predictions; the file appears when the `with` block ends without an error."""

    def __init__(self, output: str | os.PathLike[str], settings: Mapping[str, Any], truth_digest: str) -> None:
        self._context = create_h5(output, "flow", settings)
        self._truth_digest = truth_digest
        self._pairs: list[int] = []
        self._counts: list[int] = []
        self._matches: list[int] = []
        self.kernel_backends: set[str] = set()  # that answered while the pairs were matched

    def __enter__(self) -> Self:
        self._file = self._context.__enter__()
        self._xy = self._file.create_dataset("xy", (0, 2), np.float32, maxshape=(None, 2), chunks=(CHUNK_ROWS, 2))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.create_dataset("pairs", data=np.array(self._pairs, dtype=np.int32))
            offsets = np.concatenate([[0], np.cumsum(self._counts)]).astype(np.int64)
            self._file.create_dataset("offsets", data=offsets)
            self._file.create_dataset("num_matches", data=np.array(self._matches, dtype=np.int64))
            self._file.attrs["truth_digest"] = self._truth_digest
            write_kernel_backends(self._file, self.kernel_backends)
        self._context.__exit__(kind, error, trace)

    def write(self, number: int, places: NDArray[np.floating], num_matches: int) -> None:
        """Add a pair: (M, 2) places in the source image for its M points, and how many matches they are from."""
        start = len(self._xy)
        self._xy.resize(start + len(places), axis=0)
        self._xy[start:] = places
        self._pairs.append(number)
        self._counts.append(len(places))
        self._matches.append(num_matches)


@dataclass(frozen=True)
class FlowPrediction:
    """Of one pair: (M, 2) float32 places in the source image, NaN where there is none; matches they are from."""

    places: NDArray[np.float32]
    num_matches: int


class FlowPredictions:
    """All shards of a run, read at once."""

    def __init__(self, shards: Sequence[str | os.PathLike[str]], truth: FlowTruth) -> None:
        """Read them.

        Raises:
            StorageError: a shard is damaged or of another truth; a pair is missing or there twice.
        """
        self.settings: dict[str, Any] = {}
        self.kernel_backends: set[str] = set()
        self._found: dict[int, FlowPrediction] = {}
        for path in shards:
            with open_h5(path, "flow") as file:
                self._read(Path(path), file, truth.digest)
        missing = len(truth) - len(self._found)
        if missing:
            raise StorageError(f"{shards[0]}: {missing} of {len(truth)} pairs are in no shard; give all shards")

    def __getitem__(self, number: int) -> FlowPrediction:
        return self._found[number]

    def _read(self, path: Path, file: h5py.File, digest: str) -> None:
        if file.attrs.get("truth_digest") != digest:
            raise StorageError(f"{path}: made for another ground truth; run `trigpoint match-flow` again")
        self.settings = file_settings(file)
        self.kernel_backends |= read_kernel_backends(file)
        xy, offsets = file["xy"][:], file["offsets"][:]
        for row, (number, matches) in enumerate(zip(file["pairs"][:], file["num_matches"][:], strict=True)):
            if int(number) in self._found:
                raise StorageError(f"{path}: pair {number} is in another shard too; give each shard once")
            self._found[int(number)] = FlowPrediction(xy[offsets[row] : offsets[row + 1]], int(matches))


def _digest(texts: dict[str, list[str]], *arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256(repr(texts).encode())
    for values in arrays:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
